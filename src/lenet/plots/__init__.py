"""Figures: colour-blind safe, readable at half size, drawn without a screen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lenet.errors import UsageError
from lenet.run import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from lenet.explanation import Explanation

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
"""From the palette of Okabe and Ito 2008, which people with any colour vision can tell apart."""

WORLD_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "PingFang SC",
    "Hiragino Sans GB", "Malgun Gothic", "Arial Unicode MS", "Noto Sans Devanagari",
    "Noto Sans Thai", "Noto Sans Hebrew", "Noto Sans Arabic",
)  # fmt: skip
"""Fonts that systems bring for scripts which DejaVu lacks."""

GLYPH_MISSING = "missing from font"
"""Part of Matplotlib's warning about a letter that it cannot draw."""

MOST_ROWS = 16
"""Classes below each other in a contact sheet, before another block begins."""

GAP = 2
"""Pixels around each image of a contact sheet."""


@contextmanager
def open_figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` x `height` inches that is saved to `path` at 160 dots an inch.

    Names of classes may be in any script: letters that Matplotlib's own font lacks are taken from
    `WORLD_FONTS`, and where none of them is installed, that is said once.

    Raises:
        UsageError: if it cannot be written there, or the name's ending is no format of figures.
    """
    from matplotlib import font_manager, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = set(font_manager.get_font_names())
    families = ["DejaVu Sans", *(name for name in WORLD_FONTS if name in installed)]
    # A dollar sign in a name is no formula.
    with rc_context({"font.family": families, "text.parse_math": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _save(figure, path)
    missing = [note for note in caught if GLYPH_MISSING in str(note.message)]
    for note in caught:
        if note not in missing:
            warnings.warn_explicit(note.message, note.category, note.filename, note.lineno)
    if missing:
        warnings.warn(
            f"{path}: no installed font has all letters of the names in it, which are boxes now; "
            "install one that has (Debian and Ubuntu: apt install fonts-noto-cjk)",
            stacklevel=3,
        )


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path, dpi=160)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: this figure cannot be written: {error}; name a .png in a folder that is there"
        ) from error


def draw_curves(history: Sequence[Row], title: str, path: Path) -> None:
    """The note's figure: train loss, train accuracy and test accuracy over epochs.

    Loss (nats) has the left axis and accuracy (a fraction) the right one, since they share no unit.
    """
    from matplotlib.ticker import MaxNLocator

    with open_figure(path, 8.0, 4.8) as figure:
        left = figure.subplots()
        right = left.twinx()
        _curve(left, history, "train_loss", "train loss", BLUE, "-", "")
        _curve(right, history, "train_accuracy", "train accuracy", ORANGE, "--", "")
        _curve(right, history, "validation_accuracy", "validation accuracy", GREY, ":", "s")
        _curve(right, history, "test_accuracy", "test accuracy (a monitor)", GREEN, "-.", "o")
        left.set(xlabel="epoch", ylabel="loss (nats)", title=title)
        right.set(ylabel="accuracy (fraction)", ylim=(0.0, 1.0))
        left.set_ylim(bottom=0.0)
        left.set_xlim(0, max([1, *(row["epoch"] for row in history)]))
        left.grid(alpha=0.3)
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        lines = [*left.get_lines(), *right.get_lines()]
        figure.legend(handles=lines, loc="outside lower center", ncols=max(1, len(lines)))


def _curve(
    axes: Axes, history: Sequence[Row], key: str, label: str, colour: str, line: str, marker: str
) -> None:
    rows = [row for row in history if key in row]
    if rows:
        axes.plot(
            [row["progress"] for row in rows],
            [row[key] for row in rows],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=5,
            clip_on=False,
            linewidth=2,
            label=label,
        )


def draw_confusion(
    confusion: NDArray[np.int64], class_names: Sequence[str], title: str, path: Path
) -> None:
    """A confusion matrix, rows = labels and columns = predictions, coloured by the row's share."""
    classes = len(class_names)
    side = max(5.0, 0.55 * classes + 2.5)
    with open_figure(path, side + 1.0, side) as figure:
        axes = figure.subplots()
        share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(share, cmap="cividis_r", vmin=0.0, vmax=1.0)
        figure.colorbar(image, label="share of the label's images", shrink=0.8)
        axes.set_xticks(range(classes), class_names, rotation=45, ha="right")
        axes.set_yticks(range(classes), class_names)
        axes.set(xlabel="prediction", ylabel="label", title=title)
        if classes <= 30:
            _write_counts(axes, confusion, share)


def _write_counts(axes: Axes, confusion: NDArray[np.int64], share: NDArray[np.float64]) -> None:
    for row, column in np.ndindex(*confusion.shape):
        if confusion[row, column]:
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(
                column, row, str(confusion[row, column]), ha="center", va="center",
                color=colour, fontsize=8,
            )  # fmt: skip


def contact_sheet(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    title: str,
    path: Path,
    examples: int = 10,
) -> None:
    """The first `examples` images of every class, a row a class, with the names of the classes.

    Images are uint8 (n, channels, height, width), labels int64 (n,).  More classes than
    `MOST_ROWS` stand in several blocks, side by side.
    """
    blocks = -(-len(class_names) // MOST_ROWS)
    rows = -(-len(class_names) // blocks)
    with open_figure(path, blocks * (0.62 * examples + 1.6), 0.62 * rows + 0.6) as figure:
        figure.suptitle(title)
        for block, axes in enumerate(figure.subplots(1, blocks, squeeze=False)[0]):
            names = class_names[block * rows : (block + 1) * rows]
            shown = [images[labels == block * rows + row][:examples] for row in range(len(names))]
            show_image(axes, _tile(shown, rows, examples))
            middles = (np.arange(len(names)) + 0.5) * (images.shape[2] + 2 * GAP)
            axes.set_yticks(middles, names)
            axes.set(xticks=[], frame_on=False)
            axes.tick_params(length=0)


def _tile(shown: Sequence[NDArray[np.uint8]], rows: int, columns: int) -> NDArray[np.uint8]:
    """One image out of many: `shown[row]` is (up to `columns`, channels, height, width)."""
    channels, height, width = shown[0].shape[1:]
    cells = np.zeros((rows, columns, channels, height + 2 * GAP, width + 2 * GAP), np.uint8)
    for row, images in enumerate(shown):
        cells[row, : len(images), :, GAP:-GAP, GAP:-GAP] = images
    sheet = cells.transpose(2, 0, 3, 1, 4)
    return sheet.reshape(channels, rows * (height + 2 * GAP), columns * (width + 2 * GAP))


def show_image(axes: Axes, image: NDArray[np.uint8], greys: str = "gray_r") -> None:
    """An image (channels, height, width) with one channel in greys, or three as colours."""
    shown = image[0] if len(image) == 1 else np.moveaxis(image[:3], 0, -1)
    axes.imshow(shown, cmap=greys, vmin=0, vmax=255, interpolation="nearest")


def draw_decision(explanation: Explanation, path: Path) -> None:
    """One decision: the picture, what mattered in it, every layer's maps, and the answer.

    The maps of one layer share a scale, which its bar shows.
    """
    layers = [name for name, maps in explanation.activations.items() if maps.shape[1] > 1]
    dense = [name for name in explanation.activations if name not in layers]
    heights = [2.6, *(_sheet_rows(explanation.activations[name]) for name in layers)]
    heights += [0.45] * (len(dense) - 1)
    with open_figure(path, 10.0, sum(heights) + 0.55 * len(heights)) as figure:
        rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        figure.suptitle(_headline(explanation), fontsize=12)
        _draw_answer(rows[0], explanation)
        for row, name in zip(rows[1:], [*layers, *dense[:-1]], strict=True):
            maps = explanation.activations[name]
            axes = row.subplots()
            shown = axes.imshow(_map_sheet(maps), cmap="cividis", aspect="equal")
            channels, height, width = maps.shape
            size = f"{channels} maps, {height}x{width}" if height > 1 else f"{channels} units"
            axes.set_title(f"{name}: {size}", fontsize=10, loc="left")
            axes.set(xticks=[], yticks=[], frame_on=False)
            axes.set_anchor("W")
            ticks = np.linspace(float(maps.min()), float(maps.max()), 4 if height > 1 else 2)
            bar = row.colorbar(shown, ax=axes, pad=0.01, aspect=12, ticks=ticks, format="%.1f")
            bar.ax.tick_params(labelsize=8)


def _headline(explanation: Explanation) -> str:
    names, answer = explanation.class_names, explanation.prediction
    said = f"{names[answer]} ({explanation.probabilities[answer]:.1%})"
    truth = "" if explanation.label is None else f", the label is {names[explanation.label]}"
    return f"{explanation.title}: {said}{truth}"


def _draw_answer(row: SubFigure, explanation: Explanation) -> None:
    given, seen, mattered, answer = row.subplots(1, 4, width_ratios=(1, 1, 1.25, 1.9))
    show_image(given, explanation.given)
    given.set_title("as given", fontsize=10)
    show_image(seen, explanation.image)
    height, width = explanation.image.shape[1:]
    seen.set_title(f"as seen, {width}x{height}", fontsize=10)
    show_image(mattered, explanation.image)
    largest = max(float(np.abs(explanation.occlusion).max()), 1e-6)
    shown = mattered.imshow(
        explanation.occlusion, cmap="PuOr_r", vmin=-largest, vmax=largest, alpha=0.7
    )
    mattered.set_title("what mattered", fontsize=10)
    bar = row.colorbar(shown, ax=mattered, shrink=0.8)
    bar.set_label("fall of probability when hidden", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    for axes in (given, seen, mattered):
        axes.set(xticks=[], yticks=[])
    order = np.argsort(explanation.probabilities)[::-1][:10]
    colours = [ORANGE if index == explanation.prediction else BLUE for index in order]
    bars = answer.barh(range(len(order)), explanation.probabilities[order], color=colours)
    labels = [f" {explanation.logits[index]:+.1f}" for index in order]
    answer.bar_label(bars, labels, fontsize=8)
    answer.set_yticks(range(len(order)), [explanation.class_names[index] for index in order])
    answer.tick_params(labelsize=9)
    answer.invert_yaxis()
    answer.set(xlim=(0, 1.18), xlabel="probability (and logit)")
    answer.spines[["top", "right"]].set_visible(False)


def _sheet_columns(maps: NDArray[np.float32]) -> int:
    channels, height, _ = maps.shape
    return int(channels) if height == 1 else min(int(channels), 8)


def _sheet_rows(maps: NDArray[np.float32]) -> float:
    """Height of a layer's sheet in inches."""
    return 1.15 * -(-len(maps) // _sheet_columns(maps))


def _map_sheet(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Maps side by side with a gap of NaN, which is not drawn; units as one row of squares."""
    channels, height, width = maps.shape
    if height == 1 and width == 1:
        return np.repeat(maps.reshape(1, channels), max(1, channels // 24), axis=0).astype(float)
    columns = _sheet_columns(maps)
    rows = -(-channels // columns)
    cells = np.full((rows * columns, height + 1, width + 1), np.nan)
    cells[:channels, :height, :width] = maps
    grid = cells.reshape(rows, columns, height + 1, width + 1).transpose(0, 2, 1, 3)
    return grid.reshape(rows * (height + 1), columns * (width + 1))
