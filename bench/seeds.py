"""Trainings, seed by seed, as lines of JSON in a file: what was done stays when it is stopped."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lenet.data import Dataset
from lenet.data.dataset import Split, stratified_choice
from lenet.engines.base import Engine
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_order, epoch_steps
from lenet.studies.statistics import mean_interval
from lenet.system import rng
from lenet.training.epoch import Pass, Sums


def lines(path: Path) -> list[dict[str, Any]]:
    """All that were added so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add_line(path: Path, found: dict[str, Any]) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(found) + "\n")


def learn(engine: Engine, images: Split, recipe: Recipe) -> Sums:
    """All epochs of a recipe, of which no file is kept; what the last one came to."""
    placed = engine.place(images.images, images.labels)
    for epoch in range(1, recipe.epochs + 1):
        order = epoch_order(recipe, len(images), epoch)
        last = Pass(engine, placed, epoch_steps(recipe, order, epoch), epoch).to_end()
    return last


def part_of(dataset: Dataset, count: int, seed: int) -> Dataset:
    """With `count` train images, each class in proportion."""
    if count == len(dataset.train):
        return dataset
    order = rng.permutation(len(dataset.train), seed, "part")
    chosen = np.flatnonzero(stratified_choice(dataset.train.labels, count, order))
    return replace(dataset, train=dataset.train.at(chosen))


def interval(values: list[float]) -> str:
    """Shares in per cent: mean, standard deviation, and the 95 % interval of the mean."""
    array = 100 * np.array(values)
    if len(array) < 2:
        return f"{array.mean():.3f}"
    low, high = mean_interval(array)
    return f"{array.mean():.3f} ± {array.std(ddof=1):.3f} ({low:.3f} to {high:.3f})"


def said(changes: dict[str, Any]) -> str:
    """Changes to a recipe, in words."""
    return ", ".join(f"{name} = {value}" for name, value in changes.items())


def add_flags(parser: argparse.ArgumentParser, out: Path) -> None:
    """Those of a command that trains one seed after the other."""
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--changes", type=json.loads, default={}, help="of the recipe, as JSON")
    parser.add_argument("--out", type=Path, default=out)
