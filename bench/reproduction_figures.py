"""The figures of docs/1998.md, out of the lines that `bench.reproduction` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lenet.data import Dataset
from lenet.data.distortion import distort, draw
from lenet.network import characters
from lenet.network.preparation import frame
from lenet.show.figures.figure import BLUE, GREY, ORANGE, open_figure
from lenet.studies.statistics import mean_interval

PAPER: dict[str, Any] = json.loads(
    Path(__file__).with_name("paper_1998.json").read_text(encoding="utf-8")
)
Lines = Sequence[dict[str, Any]]

LEAST = 5
"""Seeds from which on an interval of their mean says something."""


def of_row(lines: Lines, row: str) -> Lines:
    """The trainings of one row as it is, without changes."""
    return [line for line in lines if line["row"] == row and not line["changes"]]


def errors(lines: Lines, row: str) -> np.ndarray:
    """Test errors at the end, in per cent, by seed."""
    return np.array([100 * line["test"][-1] for line in of_row(lines, row)])


def draw_curves(lines: Lines, path: Path) -> None:
    """Figure 5: error by pass, the paper's points and ours."""
    chosen = of_row(lines, "lenet5")
    with open_figure(path, 8.0, 4.6) as figure:
        axes = figure.subplots()
        for name, colour in (("test", BLUE), ("train", ORANGE)):
            curves = 100 * np.array([line[name] for line in chosen])
            passes = np.arange(1, curves.shape[1] + 1)
            axes.fill_between(passes, curves.min(0), curves.max(0), color=colour, alpha=0.25, lw=0)
            axes.plot(passes, curves.mean(0), color=colour, label=f"{name}, {len(curves)} seeds")
            theirs = PAPER["figure_5"][name]
            axes.plot(
                np.arange(1, len(theirs) + 1), theirs, "o", color=colour, ms=4, mfc="white",
                label=f"{name}, the paper's figure 5",
            )  # fmt: skip
        axes.set(xlabel="pass", ylabel="error, %", ylim=(0, 9), xticks=range(1, 22, 2))
        axes.set_title(
            "LeNet-5 of 1998, pass by pass: mean, and all seeds between lowest and highest",
            fontsize=10,
        )
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)


def draw_sizes(lines: Lines, path: Path) -> None:
    """Figure 6 and 9: test errors side by side."""
    rows = {
        "LeNet-1": ("lenet1", PAPER["figure_9"]["lenet1"]),
        "LeNet-4, 37 units": ("lenet4", PAPER["figure_9"]["lenet4"]),
        "LeNet-4, 120 units": ("lenet4-120", PAPER["figure_9"]["lenet4"]),
        "LeNet-5, 15,000": ("lenet5-15000", PAPER["figure_6"]["test"]["15k"]),
        "LeNet-5, 30,000": ("lenet5-30000", PAPER["figure_6"]["test"]["30k"]),
        "LeNet-5, 60,000": ("lenet5", PAPER["figure_9"]["lenet5"]),
        "LeNet-5, distortions": ("lenet5-distorted", PAPER["figure_9"]["lenet5-distorted"]),
    }
    found = {title: row for title, row in rows.items() if len(errors(lines, row[0]))}
    with open_figure(path, 8.0, 0.55 * len(found) + 1.2) as figure:
        axes = figure.subplots()
        for place, (row, paper) in enumerate(found.values()):
            ours = errors(lines, row)
            axes.plot(ours, np.full(len(ours), place), "|", color=BLUE, alpha=0.5, ms=12)
            if len(ours) >= LEAST:
                axes.plot(mean_interval(ours), [place, place], color=BLUE, lw=5, alpha=0.6)
            axes.plot(ours.mean(), place, "o", color=BLUE, label="" if place else "ours, mean")
            axes.errorbar(
                paper, place + 0.22, xerr=0.1, fmt="D", color=ORANGE, ms=5, capsize=3,
                label="" if place else "the paper's, with its own ±0.1",
            )  # fmt: skip
        counts = [len(errors(lines, row)) for row, _ in found.values()]
        labels = [f"{title} ({count})" for title, count in zip(found, counts, strict=True)]
        axes.set_yticks(range(len(found)), labels)
        axes.invert_yaxis()
        axes.set(xlabel="test error, %; strokes are seeds, bars 95 % intervals of the mean")
        axes.set_xlim(left=0.5)
        axes.grid(axis="x", alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)


def shared_errors(lines: Lines, row: str) -> dict[int, int]:
    """Of the paper's 82 images, by index, how many of our trainings are wrong about each."""
    wrong = [{index for index, _ in line["wrong"]} for line in of_row(lines, row)]
    return {index: sum(index in each for each in wrong) for index, _, _ in PAPER["figure_8"]}


def draw_errors(lines: Lines, row: str, dataset: Dataset, path: Path) -> None:
    """Figure 8: the paper's 82 errors, and how often they are ours."""
    shared, count = shared_errors(lines, row), len(of_row(lines, row))
    with open_figure(path, 9.0, 8.4) as figure:
        grid = figure.subplots(9, 10)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, (index, label, answer) in zip(grid.flat, PAPER["figure_8"], strict=False):
            axes.imshow(dataset.test.images[index, 0], cmap="gray_r")
            share = shared[index] / count
            colour = ORANGE if share >= 0.5 else GREY if share else BLUE
            axes.set_title(f"{label}->{answer}  {shared[index]}/{count}", fontsize=7, color=colour)
        figure.suptitle(
            "The paper's 82 errors: truth -> the paper's answer, and how many of our networks are "
            "wrong too",
            fontsize=10,
        )


def draw_characters(path: Path) -> None:
    """Figure 3: the targets of the ten classes."""
    with open_figure(path, 8.0, 1.6) as figure:
        for axes, (name, picture) in zip(
            figure.subplots(1, 10), list(characters.pictures().items())[:10], strict=True
        ):
            axes.imshow(picture, cmap="gray_r")
            axes.set_title(name, fontsize=9)
            axes.set(xticks=[], yticks=[])


def draw_distortions(dataset: Dataset, path: Path) -> None:
    """Figure 7: its ten originals, each with nine copies of ours."""
    chosen = np.array(PAPER["figure_7_train_items"])
    images = frame(dataset.train.images[chosen])
    with open_figure(path, 8.0, 8.2) as figure:
        grid = figure.subplots(10, 10)
        for version in range(10):
            shown = images
            if version:
                shown = distort(images, draw(len(dataset.train), 0, version)[chosen])
            for row in range(10):
                axes = grid[row, version]
                axes.imshow(shown[row, 0], cmap="gray_r", vmin=0, vmax=255)
                axes.set(xticks=[], yticks=[])
                if row == 0:
                    axes.set_title("original" if version == 0 else f"copy {version}", fontsize=8)


def draw_all(lines: Lines, dataset: Dataset, folder: Path) -> list[Path]:
    """All figures that the lines are enough for; returns where they are."""
    paths = [folder / "1998-characters.png", folder / "1998-distortions.png"]
    draw_characters(paths[0])
    draw_distortions(dataset, paths[1])
    if of_row(lines, "lenet5"):
        paths += [folder / "1998-curves.png", folder / "1998-errors.png"]
        draw_curves(lines, paths[-2])
        draw_sizes(lines, paths[-1])
    row = "lenet5-distorted" if of_row(lines, "lenet5-distorted") else "lenet5"
    if of_row(lines, row):
        paths.append(folder / "1998-their-errors.png")
        draw_errors(lines, row, dataset, paths[-1])
    return paths
