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

from bench import kinds, report, timing

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
    for place in range(len(images)):
        blank = images.copy()
        blank[place] = 0
        other = pixels(kinds.page_of_digits(blank, 0))
        middle = np.argwhere(np.abs(page - other) > 60).mean(axis=0)[1] / page.shape[1]
        assert abs(middle - (place + 1.7) / (len(images) + 2.4)) < 0.05
