import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import need
from PIL import Image

from lenet.show import figures as plots
from lenet.show.figures.confusion import reduce_classes
from lenet.training.rate_finder import RangeTest

HISTORY = [
    {"epoch": 1, "progress": 0.5, "train_loss": 1.2, "train_accuracy": 0.5},
    {"epoch": 1, "progress": 1.0, "train_loss": 0.9, "train_accuracy": 0.6, "test_accuracy": 0.7},
]


def ink(path):
    """Share of pixels that are not the background."""
    pixels = np.asarray(Image.open(path).convert("L"))
    return (pixels < 250).mean()


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1], []])
def test_curves_are_drawn_at_any_point_of_a_run(tmp_path, history):
    plots.draw_curves(history, "a title", tmp_path / "curves.png")
    assert 0.005 < ink(tmp_path / "curves.png") < 0.5


@pytest.mark.parametrize("classes", [2, 10, 47])
def test_a_confusion_matrix_of_any_size_is_drawn(tmp_path, classes):
    confusion = np.eye(classes, dtype=np.int64) * 90
    confusion[0, 1] = 10
    names = [f"class {index}" for index in range(classes)]
    plots.draw_confusion(confusion, names, "a title", tmp_path / "confusion.png")
    assert 0.02 < ink(tmp_path / "confusion.png") < 0.9


@pytest.mark.parametrize(("classes", "channels"), [(2, 1), (10, 3), (62, 1)])
def test_a_contact_sheet_shows_every_class(tmp_path, classes, channels):
    images = np.full((classes * 3, channels, 28, 28), 200, np.uint8)
    labels = np.arange(classes * 3) % classes
    names = [f"class {index}" for index in range(classes)]
    plots.contact_sheet(images, labels, names, "a title", tmp_path / "sheet.png", examples=4)
    assert 0.3 < ink(tmp_path / "sheet.png") < 0.9


def test_a_contact_sheet_draws_pictures_as_they_are_and_light_ink_as_on_paper(tmp_path):
    images, labels = np.full((20, 1, 28, 28), 230, np.uint8), np.arange(20) % 2
    for light_ink, shown in ((False, 230), (True, 25)):
        path = tmp_path / f"{light_ink}.png"
        plots.contact_sheet(images, labels, ["a", "b"], "a title", path, light_ink=light_ink)
        greys = np.asarray(Image.open(path).convert("L"), int)
        assert (np.abs(greys - shown) < 3).mean() > 0.3


def test_a_contact_sheet_leaves_room_where_a_class_has_few_images(tmp_path):
    images, labels = np.full((3, 1, 8, 8), 255, np.uint8), np.array([0, 0, 2])
    plots.contact_sheet(images, labels, ["a", "b", "c"], "a title", tmp_path / "sheet.png")
    assert 0.01 < ink(tmp_path / "sheet.png") < 0.2


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, to be asked for their words."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig

    def keep(figure, *args, **options):
        save(figure, *args, **options)
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def words_of(figure):
    """Every text that is shown, with its place in pixels."""
    from matplotlib.text import Text

    figure.canvas.draw()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    inside = figure.bbox
    return [(word, box) for word, box in boxes if box.width > 0 and inside.overlaps(box)]


def assert_readable(figure, expected):
    words = words_of(figure)
    texts = [word for word, _ in words]
    for word in expected:
        assert any(word in text for text in texts), (word, texts)
    for index, (word, box) in enumerate(words):
        for other, second in words[index + 1 :]:
            wide = min(box.x1, second.x1) - max(box.x0, second.x0)
            high = min(box.y1, second.y1) - max(box.y0, second.y0)
            assert wide < 3 or high < 3, f"{word!r} and {other!r} overlap"


def test_the_words_of_the_curves_are_there_and_do_not_overlap(tmp_path, drawn):
    rows = [
        {"epoch": e, "progress": float(e), "train_loss": 2.0 / e, "train_accuracy": 1 - 0.5 / e,
         "test_accuracy": 1 - 0.6 / e}
        for e in range(1, 11)
    ]  # fmt: skip
    plots.draw_curves(rows, "a title", tmp_path / "curves.png")
    expected = ["a title", "epoch", "loss (nats)", "accuracy (fraction)", "train loss", "test"]
    assert_readable(drawn[0], expected)


def test_hundreds_of_epochs_are_no_row_of_marks(tmp_path, drawn):
    rows = [{"epoch": e, "progress": float(e), "test_accuracy": 0.9} for e in range(1, 481)]
    plots.draw_curves(rows, "a title", tmp_path / "curves.png")
    (line,) = (line for axes in drawn[0].axes for line in axes.get_lines())
    assert line.get_markevery() == 12


def test_logarithmic_axes_have_plain_numbers(tmp_path, drawn):
    rates = np.geomspace(1e-3, 10.0, 50)
    test = RangeTest("lenet5", "a $5 bill", rates, np.linspace(2.3, 0.1, 50), 0.1)
    plots.draw_range_test(test, tmp_path / "rates.png")
    assert_readable(drawn[0], ["a $5 bill", "0.001", "0.01", "0.1", "10"])
    assert not any("mathdefault" in word for word, _ in words_of(drawn[0]))


def test_the_words_of_the_confusion_are_there_and_do_not_overlap(tmp_path, drawn):
    names = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker"]
    plots.draw_confusion(np.full((8, 8), 1000), names, "a title", tmp_path / "confusion.png")
    words = [word for word, _ in words_of(drawn[0])]
    for word in ("a title", "label", "prediction", "1000", *names):
        assert any(word in text for text in words), word


def test_the_words_of_a_decision_are_there_and_do_not_overlap(tmp_path, drawn, digits_model):
    digits_model.explain("test:3").save(tmp_path / "decision.png")
    expected = [
        "digits, test image 3", "as given", "as seen, 28x28", "what mattered", "probability",
        "C1: 6 maps, 28x28", "C3: 16 maps, 10x10", "F6: 84 units",
    ]  # fmt: skip
    assert_readable(drawn[0], expected)


def test_the_words_of_a_contact_sheet_are_there_and_do_not_overlap(tmp_path, drawn):
    images, labels = np.zeros((20, 1, 28, 28), np.uint8), np.arange(20) % 5
    names = ["zero", "one", "two", "three", "four"]
    plots.contact_sheet(images, labels, names, "a title", tmp_path / "sheet.png")
    assert_readable(drawn[0], ["a title", *names])


@pytest.mark.parametrize("name", ["a name of many words and " * 3, "one_word_of_many_letters_" * 3])
def test_long_names_of_a_contact_sheet_are_shortened_and_not_cut(tmp_path, drawn, name):
    images, labels = np.zeros((12, 1, 28, 28), np.uint8), np.arange(12)
    names = [f"{label:02} {name} {label:02}" for label in range(12)]
    plots.contact_sheet(images, labels, names, "a title", tmp_path / "sheet.png")
    shown = [(word, box) for word, box in words_of(drawn[0]) if "…" in word]
    assert [word[:2] for word, _ in shown] == [word[-2:] for word, _ in shown]
    assert len({word for word, _ in shown}) == 12
    assert all(box.x0 >= 0 for _, box in shown)


def test_a_decision_shows_long_names_of_one_word_and_is_never_sure(tmp_path, drawn, digits_model):
    names = [f"{index}_{'letters' * 5}_{index}" for index in range(10)]
    found = digits_model.explain("test:3").explanation
    sure = np.eye(10, dtype=np.float32)[found.prediction]
    changed = replace(found, class_names=tuple(names), probabilities=sure)
    plots.draw_decision(changed, tmp_path / "decision.png")
    words = [word for word, _ in words_of(drawn[0])]
    assert {f"{name[:15]}…{name[-8:]}" for name in names} <= set(words)
    assert any("(> 99.9%)" in word for word in words)


# Not getrusage: its maximum goes on through exec, so a child would report its parent's.
MEMORY = """
import re, sys
import numpy as np
from pathlib import Path
from lenet.show.figures import draw_confusion

classes = int(sys.argv[1])
matrix = np.random.default_rng(0).integers(0, 9, (classes, classes))
draw_confusion(matrix, [f"class {n}" for n in range(classes)], "a title", Path(sys.argv[2]))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("classes", [40, 62, 1000])
def test_a_confusion_matrix_of_many_classes_is_bounded(tmp_path, classes):
    need(Path("/proc/self/status").is_file(), "Linux tells a process its peak of memory")
    path = tmp_path / "confusion.png"
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(classes), str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 700  # MiB; 62 classes once took 1,300
    with Image.open(path) as picture:
        assert max(picture.size) < 4500


def test_what_is_left_out_of_a_confusion_matrix_is_said():
    matrix = np.full((62, 62), 2)
    matrix[7, 9] = 50
    names = [f"class {n}" for n in range(62)]
    reduced, shown, said = reduce_classes(matrix, names)
    assert reduced.shape == (40, 40)
    assert reduced.sum() == matrix.sum()
    assert {"class 7", "class 9"} <= set(shown)
    assert shown[-1] == "others"
    assert "the 39 of 62 classes with the most misses; the rest is 'others'" in said
    assert reduce_classes(matrix[:40, :40], names[:40])[2] == ""
