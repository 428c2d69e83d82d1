import argparse
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import FASHION_MNIST, need, need_module, need_native, need_torch
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import lenet
from bench import few, ingredients, kinds, pictures, recipes, report, reproduction, seeds, timing
from lenet import data

need_native()


def test_the_share_of_the_peak_counts_what_filtering_leaves():
    from bench import networks

    assert networks.MULTIPLY_ADDS == 1_131_960
    # C1 forward and weights, C3 forward, weights and input, filtered (49 products of 100); dense.
    assert networks.executed_training() == 5 * 117_600 + 3 * 58_920 == 764_760
    assert networks.executed_answer() == 57_624 + 117_600 + 58_920 == 234_144


def test_the_benchmarks_page_has_both_shares_of_the_peak():
    from bench import networks

    sections = json.loads((ROOT / "docs" / "benchmarks.json").read_text())["sections"]
    (peak,) = (section for section in sections if "peak" in section["title"])
    share = peak["rows"]["training"]["median"] / peak["rows"]["peak"]["median"]
    executed = share * networks.executed_training() / networks.MULTIPLY_ADDS
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert f"{networks.executed_training():,} are executed" in page
    assert f"reaches {share:.0%} of it by the plain count, and {executed:.0%} by what is" in page
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{100 * share:.0f} % of the multiply-add peak by the plain count" in readme
    assert f"{100 * executed:.0f} % by what is executed" in readme


def test_the_tables_of_the_benchmarks_page_are_those_of_its_file():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    for section in json.loads((ROOT / "docs" / "benchmarks.json").read_text())["sections"]:
        assert report.table(section) in page, section["title"]


def test_the_table_of_1998_has_the_numbers_of_its_lines(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    reproduction.table(argparse.Namespace(out=reproduction.LINES))
    page = (ROOT / "docs" / "1998.md").read_text()
    cells = re.findall(r"\d\.\d{3} ± [^|]*\)", capsys.readouterr().out)
    assert len(cells) >= 3 * 7
    for cell in cells:
        assert cell in page, cell


def test_the_figures_of_the_best_recipe_are_drawn_from_what_is_in_the_repository(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(ROOT)
    recipes.draw(argparse.Namespace(out=recipes.LINES, folder=tmp_path))
    for name in ("seeds.png", "ingredients.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width == 1280


def test_arms_on_few_pictures_are_compared_seed_by_seed(monkeypatch, tmp_path, capsys):
    found = [
        {"arm": arm, "images": 100, "seed": seed, "accuracy": score}
        for arm, scores in ((few.CONTROL, (0.7, 0.72)), ("half erased", (0.72, 0.73, 0.99)))
        for seed, score in enumerate(scores)
    ]
    assert few.table(found).splitlines()[2:] == [
        "| nothing erased | 71.00 (2) |",
        "| half erased | +1.50, +1.00 to +2.00 (2) |",
    ]
    words = ["few", "--data", "digits", "--images", "100", "--out", str(tmp_path / "x.jsonl")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit, match=r"of the 1,437 of digits 5,000 are held out"):
        few.main()


@pytest.mark.thorough
def test_the_kept_lines_on_few_pictures_are_made_again():
    need(FASHION_MNIST.is_dir(), "apt install dataset-fashion-mnist")
    kept = next(line for line in seeds.lines(ROOT / few.LINES) if line["images"] == 100)
    found = few.measure(data.load(kept["data"]), 100, kept["seed"], kept["arm"])
    # Another instruction set rounds otherwise.
    assert found["accuracy"] == pytest.approx(kept["accuracy"], abs=0.03)
    assert found.keys() == kept.keys()


def test_ingredients_read_back_are_compared_with_new_ones(tmp_path):
    facts = {"data": "digits", "around": "best", "epochs": 2, "train_loss": 1.0, "loss": 1.0}
    rows = [
        {**facts, "arm": arm, "seed": seed, "accuracy": score, "over_views": score, "seconds": 1.0}
        for seed in range(2)
        for arm, score in (("best", 0.9), ("silu", 0.91 + seed / 100))
    ]
    ingredients.write_rows(tmp_path / "rows.csv", rows[:3])
    back = ingredients.read_rows(tmp_path / "rows.csv")
    assert back == rows[:3]
    assert "| silu | 91.50 | 91.50 | +1.50 |" in ingredients.table([*back, *rows[3:]])


def test_subjects_alternate_after_one_warm_up_each():
    calls = []

    def subject(name):
        return lambda: calls.append(name) or float(len(calls))

    samples = timing.alternate({"a": subject("a"), "b": subject("b")}, 3, lambda _: None)
    assert calls == ["a", "b"] * 4
    assert samples["a"] == timing.Sample(median=5.0, low=3.0, high=7.0, rounds=3)


@pytest.mark.parametrize(("better", "ratio"), [("higher", "4.00x"), ("lower", "0.25x")])
def test_a_table_says_how_many_times_better_native_is(better, ratio):
    rows = {
        "native": timing.Sample(40000.0, 39000.0, 41000.0, 5).as_row(),
        "eager": timing.Sample(10000.0, 9000.0, 11000.0, 5).as_row(),
    }
    section = {"title": "T", "about": "A", "unit": "x/s", "better": better, "rows": rows}
    last = report.table(section).splitlines()[-1]
    assert last == f"| eager | 10,000 | 9,000 to 11,000 | {ratio} |"


def test_results_are_written_as_json_markdown_and_picture(tmp_path):
    row = timing.Sample(2.0, 1.0, 3.0, 5).as_row()
    section = {"title": "T", "about": "A", "unit": "s", "better": "none", "rows": {"native": row}}
    paths = report.write({"sections": [section]}, tmp_path)
    assert json.loads(paths[0].read_text())["sections"] == [section]
    assert "| native | 2 | 1 to 3 |" in paths[1].read_text()
    with Image.open(paths[2]) as picture:
        assert picture.size[0] > 1000


@pytest.mark.thorough
def test_bulk_prediction_is_measured_with_its_shares_and_its_memory(fashion_mnist, tmp_path):
    need_module("pyarrow", "pip install 'lenet[parquet]'")
    flags = ["--only", "predict", "--rounds", "1", "--pictures", "300", "--rows", "500"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *flags, "--out", tmp_path], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (section,) = json.loads((tmp_path / "benchmarks.json").read_text())["sections"]
    assert list(section["rows"]) == ["300 PNG files", "30 PNG files", "500 rows of Parquet"]
    assert all(row["median"] > 0 for row in section["rows"].values())
    for name in section["rows"]:
        found = re.search(
            rf"{name}: reading and decoding (\d+)%, preparation (\d+)%, network (\d+)%, "
            r"writing (\d+)%; at most (\d+) MiB a process",
            section["about"],
        )
        assert 98 <= sum(map(int, found.groups()[:4])) <= 102
        assert int(found[5]) > 10


def test_native_and_eager_subjects_train(monkeypatch):
    need_torch()
    need(FASHION_MNIST.is_dir(), "install Fashion-MNIST: apt install dataset-fashion-mnist")
    from bench import training

    monkeypatch.setattr(training, "SECONDS", 0.01)
    monkeypatch.setattr(training, "STEPS", 1)
    for subject in (training.native(1), training.torch(1, compiled=False)):
        assert subject() > 0


@pytest.mark.thorough
def test_the_engines_accuracies_are_compared_seed_by_seed(monkeypatch, capsys, tmp_path):
    need_torch()
    from bench import accuracy

    words = ["accuracy", "--seeds", "2", "--data", "digits", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "runs.csv")])
    accuracy.main()
    out = capsys.readouterr().out
    assert "| native - eager, paired |" in out
    rows = (tmp_path / "runs.csv").read_text().splitlines()
    assert rows[0] == "engine,seed,train_loss,train_accuracy,test_accuracy"
    assert len(rows) == 5


def rings():
    """Three rings of three sizes, uint8 (3, 28, 28)."""
    rows, columns = np.mgrid[0:28, 0:28] - 13.5
    away = np.hypot(rows, columns)
    return np.stack([np.uint8(255 * (np.abs(away - radius) < 1.5)) for radius in (7, 8, 6)])


def pixels(content):
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("L"), float)


@pytest.mark.thorough
@pytest.mark.parametrize("name", kinds.KINDS)
def test_a_kind_is_the_same_file_for_the_same_digit_and_the_digit_can_be_seen(name):
    images = rings()
    content = kinds.make(name, images, 0)
    assert content == kinds.make(name, images, 0)
    blank = np.concatenate([images[:1] * 0, images[1:]])
    with_digit, without = pixels(content), pixels(kinds.make(name, blank, 0))
    if with_digit.shape == without.shape:  # a picture that is cut around its ink has no other size
        assert np.mean(np.abs(with_digit - without) > 30) > 0.0005
    assert content != kinds.make(name, images, 1)


def test_a_page_of_digits_shows_each_in_its_place():
    images = np.concatenate([rings()] * 3)
    page = pixels(kinds.page_of_digits(images, 0))
    for place in (0, 5, 8):
        blank = images.copy()
        blank[place] = 0
        other = pixels(kinds.page_of_digits(blank, 0))
        middle = np.argwhere(np.abs(page - other) > 60).mean(axis=0)[1] / page.shape[1]
        assert abs(middle - (place + 1.7) / (len(images) + 2.4)) < 0.05


def test_pictures_are_counted_as_right_refused_or_wrong_and_sure():
    answers = [(3, 0.99), (4, 0.5), (5, 0.91), None, (7, 0.4)]
    found = pictures.tally(answers, np.array([3, 3, 3, 3, 7]))
    assert found == pictures.Tally(right=2, wrong=2, wrong_and_sure=1, refused=1)
    rows = {pictures.RAW: {"lenet": found}, "hair_pen": {"lenet": found, "OpenCV": found}}
    *_, raw, last = pictures.table(rows, 5).splitlines()
    assert raw == "| raw arrays | 2 | 1 | 1 | 0 |  |  |  |  |"
    assert last == "| hair pen | 2 | 1 | 1 | 0 | 2 | 1 | 1 | 0 |"


def test_opencv_as_tutorials_teach_it_fits_and_centres_a_clean_digit():
    need_module("cv2", "pip install 'lenet[bench]'")
    found = pictures.prepare_with_opencv(kinds.make("clean", rings(), 0)).astype(float)
    assert found.shape == (28, 28)
    rows, columns = np.nonzero(found > 127)
    assert 19 <= np.ptp(rows) + 1 <= 21
    assert 19 <= np.ptp(columns) + 1 <= 21
    middle = [np.average(np.arange(28), weights=found.sum(axis=axis)) for axis in (0, 1)]
    assert middle == pytest.approx([13.5, 13.5], abs=0.2)
    white = io.BytesIO()
    Image.new("L", (50, 50), 255).save(white, "PNG")
    assert pictures.prepare_with_opencv(white.getvalue()) is None


@pytest.mark.thorough
def test_the_measure_of_pictures_counts_saves_and_draws_every_kind_asked_for(
    mnist_folder, tmp_path
):
    need_module("cv2", "pip install 'lenet[bench]'")
    lenet.train(
        data="mnist", epochs=1, data_dir=mnist_folder, out=tmp_path / "run", **pictures.NETWORK
    )
    flags = ["--split", "train", "--digits", "3", "--run", tmp_path / "run"]
    folders = ["--save", tmp_path / "saved", "--out", tmp_path / "out"]
    done = measure_pictures(*flags, "--kinds", "clean,neighbour", *folders)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "pictures.json").read_text())
    assert list(found["kinds"]) == ["raw arrays", "clean", "neighbour"]
    for row in found["kinds"].values():
        for counts in row.values():
            assert counts["right"] + counts["wrong"] + counts["refused"] == 3
    assert found["kinds"]["clean"]["lenet"]["right"] == 3
    assert (tmp_path / "out" / "pictures.md").read_text() in done.stdout
    with Image.open(tmp_path / "out" / "pictures.jpg") as picture:
        assert picture.size[0] > 1000
    saved = sorted(path.name for path in (tmp_path / "saved" / "clean").iterdir())
    assert saved == ["0000-5.png", "0001-0.png", "0002-4.png"]


def test_a_kind_that_is_not_there_is_named():
    done = measure_pictures("--kinds", "clean,marble")
    assert done.returncode == 2
    assert "no such kind: marble; known: raw_png, clean, " in done.stderr


def measure_pictures(*flags):
    return subprocess.run(
        [sys.executable, "-m", "bench.pictures", *flags], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
