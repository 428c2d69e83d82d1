"""The confusion matrix of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lenet.show.figures.figure import Drawer, open_figure
from lenet.system.streams import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 40
"""More are not drawn: at a thousand the picture would need more memory than a computer has."""

MOST_INCHES = 13.0
"""Side of the picture; twice as much takes a gigabyte while it is drawn."""

REST = "others"


def draw_confusion(
    confusion: NDArray[np.int64], class_names: Sequence[str], title: str, path: Path
) -> None:
    """A confusion matrix, rows = labels and columns = predictions, coloured by the row's share.

    Of more than `MOST_CLASSES` classes those with the most misses are drawn, as the title says.
    """
    confusion, class_names, left_out = reduce_classes(confusion, class_names)
    class_names = [printable(name) for name in class_names]
    classes = len(class_names)
    side = min(max(5.0, 0.55 * classes + 2.5), MOST_INCHES)
    small = 0.55 * classes + 2.5 > MOST_INCHES
    with open_figure(path, side + 1.0, side, Drawer.EVALUATE) as figure:
        axes = figure.subplots()
        share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(share, cmap="cividis_r", vmin=0.0, vmax=1.0)
        figure.colorbar(image, label="share of the label's images", shrink=0.8)
        axes.set_xticks(range(classes), class_names, rotation=45, ha="right")
        axes.set_yticks(range(classes), class_names)
        axes.set(xlabel="prediction", ylabel="label", title=title + left_out)
        axes.tick_params(labelsize=7 if small else 10)
        if classes <= 30:
            _write_counts(axes, confusion, share, 6 if small else 8)


def reduce_classes(
    confusion: NDArray[np.int64], class_names: Sequence[str]
) -> tuple[NDArray[np.int64], Sequence[str], str]:
    """What fits into a picture: (matrix, names, what is said of the rest).

    The classes with the most misses stay, in their order; all others are one class.
    """
    classes = len(class_names)
    if classes <= MOST_CLASSES:
        return confusion, class_names, ""
    misses = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diag(confusion)
    kept = np.sort(np.argsort(-misses, kind="stable")[: MOST_CLASSES - 1])
    group = np.full(classes, MOST_CLASSES - 1)
    group[kept] = np.arange(MOST_CLASSES - 1)
    reduced = np.zeros((MOST_CLASSES, MOST_CLASSES), np.int64)
    np.add.at(reduced, (group[:, None], group[None]), confusion)
    names = [*(class_names[index] for index in kept), REST]
    left_out = (
        f"\nthe {len(kept)} of {classes:,} classes with the most misses; the rest is {REST!r}"
    )
    return reduced, names, left_out


def _write_counts(
    axes: Axes, confusion: NDArray[np.int64], share: NDArray[np.float64], size: int
) -> None:
    for row, column in np.ndindex(*confusion.shape):
        if confusion[row, column]:
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(
                column, row, str(confusion[row, column]), ha="center", va="center",
                color=colour, fontsize=size,
            )  # fmt: skip
