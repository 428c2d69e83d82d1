"""Images of a data set side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.show.figures.figure import Drawer, greys_of, open_figure, short_name, show_image

MOST_ROWS, MOST_BLOCKS = 16, 3
"""Classes below each other in a contact sheet, and how many blocks of them, which then grow."""

LONGEST_NAME, LETTER = 32, 0.085
"""Letters of a class's name that are shown, and inches of one."""

EPOCHS = 9
"""How often an image is shown as a training would see it."""

Change = Callable[[NDArray[np.uint8], NDArray[np.int64], int], NDArray[np.uint8]]

GAP = 2
"""Pixels around each image of a contact sheet."""


def contact_sheet(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    title: str,
    path: Path,
    examples: int = 10,
    *,
    light_ink: bool = True,
) -> None:
    """The first `examples` images of every class, a row a class, with the names of the classes.

    Images are uint8 (n, channels, height, width), labels int64 (n,).  More classes than
    `MOST_ROWS` stand in up to `MOST_BLOCKS` blocks, side by side.  Greys of light ink are drawn
    dark on light, others as they are.
    """
    shown = [images[labels == label][:examples] for label in range(len(class_names))]
    _draw_rows(shown, class_names, title, path, examples, light_ink)


def augmentation_sheet(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    title: str,
    path: Path,
    change: Change,
    *,
    light_ink: bool = True,
) -> None:
    """The first image of every class, and what `change` makes of it in `EPOCHS` of them.

    `change` takes images, their numbers and the epoch; see `contact_sheet` for the rest.
    """
    shown = []
    for label in range(len(class_names)):
        first = np.flatnonzero(labels == label)[:1]
        later = [change(images[first], first, epoch) for epoch in range(1, EPOCHS + 1)]
        shown.append(np.concatenate([images[first], *later]))
    _draw_rows(shown, class_names, title, path, 1 + EPOCHS, light_ink)


def _draw_rows(
    shown: Sequence[NDArray[np.uint8]],
    class_names: Sequence[str],
    title: str,
    path: Path,
    columns: int,
    light_ink: bool,
) -> None:
    """`shown[label]` (up to `columns`, channels, height, width) a row, in blocks side by side."""
    blocks = min(-(-len(class_names) // MOST_ROWS), MOST_BLOCKS)
    rows = -(-len(class_names) // blocks)
    height = shown[0].shape[2]
    class_names = [short_name(name, LONGEST_NAME) for name in class_names]
    beside = 0.5 + LETTER * max(map(len, class_names))
    width = blocks * (0.62 * columns + beside)
    with open_figure(path, width, 0.62 * rows + 0.6, Drawer.SHOW) as figure:
        figure.suptitle(title)
        for block, axes in enumerate(figure.subplots(1, blocks, squeeze=False)[0]):
            names = class_names[block * rows : (block + 1) * rows]
            part = shown[block * rows : (block + 1) * rows]
            show_image(
                axes, _tile(part, rows, columns, 0 if light_ink else 255), greys_of(light_ink)
            )
            middles = (np.arange(len(names)) + 0.5) * (height + 2 * GAP)
            axes.set_yticks(middles, names)
            axes.set(xticks=[], frame_on=False)
            axes.tick_params(length=0)
            axes.set_anchor("W")  # in the middle of its room it would leave the names too little


def _tile(
    shown: Sequence[NDArray[np.uint8]], rows: int, columns: int, gap: int
) -> NDArray[np.uint8]:
    """One image out of many on grey: `shown[row]` is (up to `columns`, channels, height, width)."""
    channels, height, width = shown[0].shape[1:]
    cells = np.full((rows, columns, channels, height + 2 * GAP, width + 2 * GAP), gap, np.uint8)
    for row, images in enumerate(shown):
        cells[row, : len(images), :, GAP:-GAP, GAP:-GAP] = images
    sheet = cells.transpose(2, 0, 3, 1, 4)
    return sheet.reshape(channels, rows * (height + 2 * GAP), columns * (width + 2 * GAP))
