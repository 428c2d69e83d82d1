"""The figures of docs/studies/best.md: seeds on the test split, and what each ingredient gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.ingredients import scores_by_seed
from lenet.show.figures.figure import BLUE, GREY, ORANGE, open_figure
from lenet.studies.statistics import compare, mean_interval

AIMS = {"test": 93.0, "over_views": 93.8}
"""Of clothes, as they are and over views."""

WORDS = {"test": "as they are", "over_views": "over ten views"}


def draw_seeds(rows: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Test accuracies of clothes; `rows` are lines of `bench.recipes` by what was trained."""
    with open_figure(path, 8.0, 0.9 * len(rows) + 1.4) as figure:
        axes = figure.subplots()
        for (key, words), color, shift in zip(
            WORDS.items(), (BLUE, ORANGE), (-0.12, 0.12), strict=True
        ):
            axes.axvline(AIMS[key], color=color, linestyle="--", linewidth=1)
            for place, lines in enumerate(rows.values()):
                values = 100 * np.array([line[key] for line in lines])
                y = place + shift
                axes.plot(values, np.full(len(values), y), "|", color=color, alpha=0.5, ms=12)
                axes.plot(mean_interval(values), [y, y], color=color, lw=5, alpha=0.6)
                label = "" if place else f"{words}; dashed: what was aimed at"
                axes.plot(values.mean(), y, "o", color=color, label=label)
        axes.set_yticks(range(len(rows)), [f"{name} ({len(rows[name])})" for name in rows])
        axes.set_ylim(len(rows) - 0.1, -0.4)
        axes.set(
            xlabel="test accuracy, %; strokes are seeds, bars 95 % intervals of the mean",
            title="Fashion-MNIST, recipe best",
        )
        axes.grid(axis="x", alpha=0.3)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
        axes.spines[["top", "right"]].set_visible(False)


def draw_ingredients(tables: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """What leaving out or changing one thing gives; `tables` are rows of one question by title."""
    arms = {title: _differences(rows) for title, rows in tables.items()}
    heights = [len(found) + 1 for found in arms.values()]
    with open_figure(path, 8.0, 0.34 * sum(heights) + 1.4) as figure:
        every = figure.subplots(len(arms), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (title, found) in zip(every, arms.items(), strict=True):
            axes.axvline(0.0, color=GREY, linewidth=1)
            for place, values in enumerate(found.values()):
                pair = compare([values], np.zeros(len(values)))[0]
                axes.plot(values, np.full(len(values), place), "|", color=BLUE, alpha=0.5, ms=10)
                axes.plot([pair.low, pair.high], [place, place], color=BLUE, lw=4, alpha=0.6)
                axes.plot(pair.mean, place, "o", color=BLUE, ms=5)
            axes.set_yticks(range(len(found)), list(found))
            axes.invert_yaxis()
            axes.set_title(title, fontsize=10)
            axes.grid(axis="x", alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        every[-1].set_xlabel(
            "accuracy of images held out minus the control's, points; strokes are pairs, bars 95 %"
        )


def _differences(rows: list[dict[str, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Of each arm, over the seeds that it and the first one have."""
    scores = scores_by_seed(rows)
    control = next(iter(scores.values()))
    return {
        name: np.array(
            [100 * (found[seed]["accuracy"] - control[seed]["accuracy"]) for seed in seeds]
        )
        for name, found in list(scores.items())[1:]
        if len(seeds := sorted(found.keys() & control.keys())) > 1
    }
