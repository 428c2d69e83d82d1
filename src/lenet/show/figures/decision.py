"""One decision of a network, layer by layer."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lenet.network import characters
from lenet.network.layers import SCALED_TANH
from lenet.prediction.explanation import Explanation
from lenet.show.figures.figure import (
    BLUE,
    ORANGE,
    Drawer,
    greys_of,
    open_figure,
    percent,
    short_name,
    show_image,
)

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure


MOST_TARGETS = 10
"""Characters shown, of networks that have more classes the nearest."""

LONGEST_LINE, LONGEST_NAME = 100, 24
"""Letters of the title in a line, and of a class beside its bar."""


def draw_decision(explanation: Explanation, path: Path, source: str | None = None) -> None:
    """One decision: the picture, what mattered in it, every layer's maps, and the answer.

    The maps of one layer share a scale, which its bar shows.  `source` is what was explained.
    """
    layers = [name for name, maps in explanation.activations.items() if maps.shape[1] > 1]
    dense = [name for name in explanation.activations if name not in layers]
    heights = [2.6, *(_sheet_rows(explanation.activations[name]) for name in layers)]
    heights += [0.45] * (len(dense) - 1)
    targets = _targets(explanation)
    heights += [1.5] if targets is not None else []
    height = sum(heights) + 0.55 * len(heights)
    with open_figure(path, 10.0, height, Drawer.EXPLAIN, source) as figure:
        rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        figure.suptitle(_headline(explanation), fontsize=12)
        _draw_answer(rows[0], explanation)
        if targets is not None:
            _draw_targets(rows[-1], explanation, targets)
        for row, name in zip(rows[1:], [*layers, *dense[:-1]], strict=targets is None):
            maps = explanation.activations[name]
            axes = row.subplots()
            shown = axes.imshow(_map_sheet(maps), cmap="cividis", aspect="equal")
            channels, height, width = maps.shape
            size = f"{channels} maps, {height}x{width}" if height > 1 else f"{channels} units"
            axes.set_title(f"{name}: {size}", fontsize=10, loc="left")
            axes.set(xticks=[], yticks=[], frame_on=False)
            ticks = np.linspace(float(maps.min()), float(maps.max()), 4 if height > 1 else 2)
            bar = row.colorbar(shown, ax=axes, pad=0.01, aspect=12, ticks=ticks, format="%.1f")
            for each in (axes, bar.ax):  # a colour bar moves what it belongs to into the middle
                each.set_anchor("W")
            bar.ax.tick_params(labelsize=8)


def _targets(explanation: Explanation) -> NDArray[np.float32] | None:
    """The characters that the network compares with, (classes, 12, 7); None where it has none."""
    distances = explanation.spec.distances
    if distances is None or distances.code != "characters":
        return None
    return distances.centres().reshape(-1, characters.ROWS, characters.COLUMNS)


def _draw_targets(row: SubFigure, explanation: Explanation, targets: NDArray[np.float32]) -> None:
    """What the last units said, as a picture beside its targets, nearest first."""
    said = explanation.activations[explanation.spec.layers[-2].name]
    order = np.argsort(-explanation.logits)[:MOST_TARGETS]
    row.suptitle(
        f"{explanation.spec.layers[-2].name} as a picture, and the characters that it is compared "
        "with: distances below",
        fontsize=10, x=0.01, ha="left",
    )  # fmt: skip
    places = row.subplots(1, MOST_TARGETS + 1)
    greys = {"cmap": "gray_r", "vmin": -SCALED_TANH[0], "vmax": SCALED_TANH[0]}
    places[0].imshow(said.reshape(targets.shape[1:]), **greys)
    places[0].set_xlabel(explanation.spec.layers[-2].name, fontsize=8)
    for axes, index in zip(places[1:], order, strict=False):
        axes.imshow(targets[index], **greys)
        name = explanation.class_names[index]
        axes.set_xlabel(f"{name[:9]}: {-explanation.logits[index]:.1f}", fontsize=8)
    for axes in places:
        axes.set(xticks=[], yticks=[])
    for axes in places[1 + len(order) :]:
        axes.set_axis_off()


def _headline(explanation: Explanation) -> str:
    names, answer = explanation.class_names, explanation.prediction
    said = f"{names[answer]} ({percent(explanation.probabilities[answer])})"
    truth = "" if explanation.label is None else f", the label is {names[explanation.label]}"
    return textwrap.fill(f"{explanation.title}: {said}{truth}", LONGEST_LINE)


def _draw_answer(row: SubFigure, explanation: Explanation) -> None:
    given, seen, mattered, answer = row.subplots(1, 4, width_ratios=(1, 1, 1.25, 1.9))
    greys = greys_of(explanation.light_ink)
    is_own = explanation.given is not explanation.image
    show_image(given, explanation.given, "gray" if is_own else greys)
    given.set_title("as given", fontsize=10)
    show_image(seen, explanation.image, greys)
    height, width = explanation.image.shape[1:]
    seen.set_title(f"as seen, {width}x{height}", fontsize=10)
    show_image(mattered, explanation.image, greys)
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
    names = [short_name(explanation.class_names[index], LONGEST_NAME) for index in order]
    answer.set_yticks(range(len(order)), names)
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
