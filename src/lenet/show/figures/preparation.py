"""Figure of one picture's preparation."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lenet.show.figures.figure import (
    BLUE,
    GREY,
    ORANGE,
    Drawer,
    open_figure,
    percent,
    short_name,
    show_image,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lenet.prediction.stages import Preparation, StageAnswer

MOST_BARS = 3
"""Classes a stage shows."""

LONGEST_NAME, LETTERS_AN_INCH, LONGEST_CAPTION = 14, 10.0, 16
"""Letters of a class beside its bar, of the title, and of a line below an image."""


def draw_preparation(preparation: Preparation, path: Path, source: str | None = None) -> None:
    """A column a stage: what it made, what the network would see of it, and what it would answer.

    The first column is the picture that is resized and nothing else, the last one what the network
    gets.  `source` is the whole path of the picture.
    """
    columns = len(preparation.stages)
    width = max(6.4, 2.25 * columns)
    with open_figure(path, width, 6.6, Drawer.STAGES, source) as figure:
        figure.suptitle(_headline(preparation, int(width * LETTERS_AN_INCH)), fontsize=12)
        axes = figure.subplots(3, columns, height_ratios=(1.25, 1.0, 0.62), squeeze=False)
        for index, answer in enumerate(preparation.stages):
            _draw_stage(axes[0, index], f"{index + 1}. {answer.stage.name}", answer)
            _draw_seen(axes[1, index], answer, _caption(index, columns))
            _draw_bars(axes[2, index], answer, preparation, _colour(index, columns))


def _headline(preparation: Preparation, letters: int) -> str:
    def said(answer: StageAnswer) -> str:
        share = percent(answer.probabilities[answer.prediction])
        return f"{preparation.class_names[answer.prediction]} ({share})"

    lines = [
        f"{preparation.name}: {said(preparation.prepared)}; "
        f"only resized it would be {said(preparation.resized)}",
        "; ".join((*preparation.picture.notes, preparation.convention.describe())),
    ]
    return "\n".join(textwrap.fill(line, letters) for line in lines)


def _caption(index: int, columns: int) -> str:
    if index == 0:
        return "only resized"
    return "what the network gets" if index == columns - 1 else "resized"


def _colour(index: int, columns: int) -> str:
    if index == 0:
        return ORANGE
    return BLUE if index == columns - 1 else GREY


def _draw_stage(axes: Axes, title: str, answer: StageAnswer) -> None:
    show_image(axes, answer.stage.image, "gray")
    _, height, width = answer.stage.image.shape
    axes.set_title(f"{title}\n{width}x{height}", fontsize=10)
    # A square for every shape, so that the titles stand in one line.
    room = (max(height, width) - np.array([width, height])) / 2
    axes.set(xlim=(-0.5 - room[0], width - 0.5 + room[0]), xticks=[], yticks=[], frame_on=False)
    axes.set_ylim(height - 0.5 + room[1], -0.5 - room[1])
    right, bottom = width - 0.5, height - 0.5
    axes.plot(
        [-0.5, right, right, -0.5, -0.5],
        [-0.5, -0.5, bottom, bottom, -0.5],
        color="black",
        linewidth=0.8,
        clip_on=False,
    )


def _draw_seen(axes: Axes, answer: StageAnswer, caption: str) -> None:
    show_image(axes, answer.seen, "gray")
    _, height, width = answer.seen.shape
    axes.set_xlabel(textwrap.fill(f"{caption}, {width}x{height}", LONGEST_CAPTION), fontsize=9)
    axes.set(xticks=[], yticks=[])


def _draw_bars(axes: Axes, answer: StageAnswer, preparation: Preparation, colour: str) -> None:
    order = np.argsort(-answer.probabilities, kind="stable")[:MOST_BARS]
    values = answer.probabilities[order]
    bars = axes.barh(range(len(order)), values, color=colour, height=0.7)
    axes.bar_label(bars, [f" {percent(value)}" for value in values], fontsize=8)
    axes.set_yticks(
        range(len(order)), [short_name(preparation.class_names[i], LONGEST_NAME) for i in order]
    )
    axes.tick_params(labelsize=9)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.6), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
