"""Training rows with weights, in a form that knows neither their order nor repetitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.data.dataset import stratified_choice
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_order
from lenet.system import rng


@dataclass(frozen=True, slots=True)
class Rows:
    """Different pictures with their labels, sorted, and `weights` float64 (n,) above 0.

    A row given twice is one row of twice the weight, so that an integer weight and so many
    repetitions are the same training, to the byte.
    """

    split: Split
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)

    def at(self, indices: NDArray[np.int64]) -> Rows:
        """The rows at `indices`, copied."""
        return Rows(self.split.at(indices), self.weights[indices])


def collect(
    pictures: NDArray[np.uint8], labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> Rows:
    """Sort, and merge equal pictures of equal labels: uint8 (n, ...), int64 (n,), float64 (n,)."""
    count = len(labels)
    ends = np.ascontiguousarray(labels[:, None].astype(">i8")).view(np.uint8)
    keys = np.concatenate([pictures.reshape(count, -1), ends], axis=1)
    whole = keys.view(np.dtype((np.void, keys.shape[1]))).ravel()
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    merged = np.bincount(group, weights).astype(np.float64)
    return Rows(Split(pictures[first], labels[first]), merged)


def hold_out(rows: Rows, count: int, seed: int) -> tuple[Rows, Rows]:
    """(rest, held out): `count` rows, each class in proportion."""
    order = rng.permutation(len(rows), seed, "hold out")
    chosen = stratified_choice(rows.split.labels, count, order)
    return rows.at(np.flatnonzero(~chosen)), rows.at(np.flatnonzero(chosen))


def epoch_rows(weights: NDArray[np.float64], recipe: Recipe, epoch: int) -> NDArray[np.int64]:
    """The rows of one epoch in their order: as many as there are, drawn in proportion to `weights`.

    Systematic resampling (Madow 1949): a row of share s of n draws is drawn floor(s n) or
    ceil(s n) times, so that without weights every row is there once.
    """
    count, ends = len(weights), np.cumsum(weights)
    offset = 0.5 + float(rng.uniform((1,), 0.5, recipe.seed, "offset", epoch)[0])
    marks = (np.arange(count) + offset) * ends[-1] / count
    drawn = np.minimum(np.searchsorted(ends, marks, side="right"), count - 1)
    rows: NDArray[np.int64] = drawn[epoch_order(recipe, count, epoch)]
    return rows
