import numpy as np
import pytest
from PIL import Image

from lenet import plots

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


def test_a_contact_sheet_leaves_room_where_a_class_has_few_images(tmp_path):
    images, labels = np.full((3, 1, 8, 8), 255, np.uint8), np.array([0, 0, 2])
    plots.contact_sheet(images, labels, ["a", "b", "c"], "a title", tmp_path / "sheet.png")
    assert 0.01 < ink(tmp_path / "sheet.png") < 0.2
