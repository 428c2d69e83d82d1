import os
import re
import shutil

import numpy as np
import pytest
from conftest import run_lenet, train_run

import lenet
from lenet.errors import UsageError
from lenet.network import Convolution, Dense, Pooling, Spec
from lenet.prediction import metrics
from lenet.show.report import write_report
from lenet.show.report.content import find_mistakes
from lenet.show.report.drawing import draw_network


@pytest.fixture(scope="module")
def second_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("second") / "run"
    return train_run(
        data="digits", out=out, epochs=3, batch_size=32, learning_rate=0.05, validation=200, seed=1,
        model="lenet5-relu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(digits_run, second_run, tmp_path_factory):
    """The report of two runs."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    return write_report([digits_run.path, second_run.path], out)


def test_the_report_stands_alone(page):
    text = page.read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert not re.search(r"https?://", re.sub(r'xmlns="[^"]+"', "", text))
    assert "default-src 'none'" in text
    assert len(text) < 2_000_000


def test_the_report_says_what_evaluate_says(page, digits_model):
    scores = digits_model.evaluate()
    text = page.read_text()
    low, high = scores.accuracy_interval
    assert f'<div class="big">{scores.accuracy:.1%}</div>' in text
    assert f"95 % interval {low:.1%} to {high:.1%}" in text
    assert f"{scores.misses} misses" in text


def test_class_names_cannot_become_markup(digits_run, tmp_path):
    from lenet.show import report
    from lenet.show.report.content import gather

    part = gather(digits_run.path)
    names = part.checkpoint.data.class_names
    object.__setattr__(part.checkpoint.data, "class_names", ("<script>x", *names[1:]))
    assert "&lt;script&gt;x" in report.render([part], "test")
    assert "<script>x" not in report.render([part], "test")


def test_a_name_from_right_to_left_leaves_the_numbers_beside_it_alone(digits_run):
    from lenet.show import report
    from lenet.show.report.content import gather

    part = gather(digits_run.path)
    names = part.checkpoint.data.class_names
    object.__setattr__(part.checkpoint.data, "class_names", ("صورة", *names[1:]))
    assert '<th class="row">0 <bdi>صورة</bdi></th>' in report.render([part], "test")


def test_several_runs_are_told_apart(page, digits_run, second_run):
    text = page.read_text()
    for run in (digits_run, second_run):
        assert f"<b>{run.name}</b>" in text
    assert f"<h1>{digits_run.name} · {second_run.name}</h1>" in text


def test_a_report_without_mistakes_says_so(page, tmp_path):
    images = np.zeros((80, 28, 28), np.uint8)
    images[::2, :, :14] = images[1::2, :, 14:] = 100 + np.arange(0, 120, 3)[:, None, None]
    sides = (images, np.arange(80) % 2)
    run = train_run(data=sides, out=tmp_path / "run", epochs=9, batch_size=8, learning_rate=0.1)
    text = write_report([run.path], data=sides).read_text()
    assert "There are none: every image is read as its label." in text
    assert "whose own label got the least probability" not in text
    assert "There are none" not in page.read_text()


def test_another_split_is_another_report(digits_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(digits_run.path, run)
    paths = [write_report([run], split=split) for split in ("test", "validation")]
    assert [path.name for path in paths] == ["report.html", "report-validation.html"]


def test_a_network_without_filters_in_front_is_reported(tmp_path):
    layers = (Pooling("P1", "average"), Convolution("C2", 3, 5), Dense("F3", 10))
    run = train_run(Spec("own", 1, 28, 28, layers), data="digits", out=tmp_path / "run", epochs=1)
    assert "<h3>Filters of C2</h3>" in write_report([run.path]).read_text()
    dense = Spec("dense", 1, 28, 28, (Dense("F1", 10),))
    run = train_run(dense, data="digits", out=tmp_path / "dense", epochs=1)
    assert "Filters of" not in write_report([run.path]).read_text()


def test_runs_on_different_data_are_not_compared(digits_run, tmp_path, mnist_folder):
    train_run(data="mnist", data_dir=mnist_folder, out=tmp_path / "run", epochs=1)
    with pytest.raises(UsageError, match="trained on digits, mnist: only runs on the same data"):
        write_report([digits_run.path, tmp_path / "run"], data_dir=mnist_folder)


def test_the_command_line_writes_it(digits_run, tmp_path):
    code, out, err = run_lenet("report", digits_run.path, "--out", tmp_path / "my.html")
    assert (code, out) == (0, f"report: {tmp_path}/my.html\n"), err
    assert (tmp_path / "my.html").read_text().startswith("<!doctype html>")


def test_mistakes_come_with_the_least_likely_label_first():
    from lenet.data import Split

    logits = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.55, 0.45]], np.float32))
    split = Split(np.zeros((4, 1, 4, 4), np.uint8), np.array([1, 1, 1, 0]))
    assert [mistake.index for mistake in find_mistakes(logits, split)] == [0, 1]
    assert find_mistakes(logits, split)[0].own == pytest.approx(0.1, abs=1e-6)


def test_calibration_of_a_known_case():
    # Four answers at 0.9, three of them right; two at 0.6, one right.
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    labels = np.array([0, 0, 0, 1, 0, 1])
    found = metrics.calibrate(np.log(probabilities).astype(np.float32), labels, bins=10)
    assert found.error == pytest.approx((4 * 0.15 + 2 * 0.1) / 6, abs=1e-6)
    assert found.count.sum() == 6
    assert np.isnan(found.accuracy[0])


def test_a_paired_difference_follows_the_images_that_one_alone_got_right():
    first = np.array([True] * 90 + [False] * 10)
    second = np.array([True] * 80 + [False] * 20)
    found = metrics.paired_difference(first, second)
    assert (found.only_first, found.only_second) == (10, 0)
    assert found.difference == pytest.approx(0.1)
    assert found.low > 0
    same = metrics.paired_difference(first, first)
    assert (same.difference, same.low) == (0.0, -same.high)


def test_a_planted_interval_holds_as_often_as_it_says():
    # 10,000 images, one network right on 90 %, the other on 89 %, agreeing mostly.
    source, held = np.random.default_rng(0), 0
    for _ in range(400):
        base = source.random(2000)
        first, second = base < 0.90, (base < 0.89) ^ (source.random(2000) < 0.02)
        truth = 0.90 - (0.89 * 0.98 + 0.11 * 0.02)
        found = metrics.paired_difference(first, second)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_the_drawing_names_every_layer_with_its_counts():
    drawing = draw_network(lenet.build("lenet5"))
    for text in ("INPUT", "1@28x28", "C1", "6@28x28", "C3", "16@10x10", "240,000 products", "F6"):
        assert f">{text}<" in drawing


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_browser_opens_the_report_from_disk(browser, page, theme):
    context = browser.new_context(color_scheme=theme, viewport={"width": 1200, "height": 900})
    tab, complaints, requests = context.new_page(), [], []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    assert (complaints, [url for url in requests if not url.startswith("data:")]) == (
        [], [page.as_uri()],
    )  # fmt: skip
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 22, 26)"}[theme]
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    run = tab.locator("article").first
    everything = run.locator(".mistakes figure:visible").count()
    assert everything > 5
    first = run.locator(".mistakes figure").first
    label, prediction = first.get_attribute("data-label"), first.get_attribute("data-prediction")
    button = run.locator(f'button[data-label="{label}"][data-prediction="{prediction}"]')
    button.click()
    kinds = run.locator(".mistakes figure:visible").evaluate_all(
        "figures => [...new Set(figures.map(f => f.dataset.label + f.dataset.prediction))]"
    )
    assert kinds == [label + prediction]
    assert run.locator(".filter").is_visible()
    run.locator(".all").click()
    assert run.locator(".mistakes figure:visible").count() == everything
    assert complaints == []
    if os.environ.get("LENET_KEEP"):
        tab.screenshot(path=f"{os.environ['LENET_KEEP']}/report-{theme}.png", full_page=True)
    context.close()
