"""Error rates, with the interval that the number of images allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


SURE = 2.0 / 3.0
"""Probability from which an answer is sure: twice that of all other classes together."""


def misses(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> int:
    """Number of images whose largest logit is not the label's."""
    return int(np.count_nonzero(logits.argmax(axis=1) != labels))


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean of -log softmax(logits)[label] over the images, in nats, summed in float64."""
    return float(-np.mean(log_probabilities(logits)[np.arange(len(labels)), labels]))


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log softmax over the classes, float64 (n, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def probabilities_of_few(logits: Sequence[Sequence[float]]) -> list[list[float]]:
    """Softmax of a few rows, in a tenth of the time: no array is made."""
    rows = []
    for row in logits:
        largest = max(row)
        powers = [math.exp(value - largest) for value in row]
        total = sum(powers)
        rows.append([power / total for power in powers])
    return rows


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a fraction: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4."""
    if count < 1:
        raise ValueError(f"an interval needs at least one trial, not {count}")
    fraction, square = hits / count, Z_95**2
    centre = (fraction + square / (2 * count)) / (1 + square / count)
    half = Z_95 * math.sqrt(fraction * (1 - fraction) / count + square / (4 * count**2))
    half /= 1 + square / count
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """(classes, classes) counts: row = label, column = prediction."""
    flat = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return flat.reshape(classes, classes)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one network on one split; every fraction is in [0, 1].

    `precision`, `recall` and `f1` are per class, NaN where a class was never predicted (precision)
    or never appears (recall).  `confusion` is as in `confusion_matrix`.  `collapsed` is True where
    every image got exactly the same logits, so that the answer does not depend on the picture.
    """

    count: int
    misses: int
    loss: float
    confusion: NDArray[np.int64]
    collapsed: bool = False

    def __repr__(self) -> str:
        low, high = self.accuracy_interval
        return (
            f"<Evaluation accuracy {self.accuracy:.4f} ({low:.4f} to {high:.4f}), {self.misses} "
            f"misses of {self.count}, loss {self.loss:.4f}>"
        )

    @property
    def error_rate(self) -> float:
        return self.misses / self.count

    @property
    def accuracy(self) -> float:
        return 1.0 - self.misses / self.count

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy."""
        return wilson_interval(self.count - self.misses, self.count)

    @property
    def precision(self) -> NDArray[np.float64]:
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def f1(self) -> NDArray[np.float64]:
        totals = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        return _ratio(2 * np.diag(self.confusion), totals)


def score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Evaluation:
    """Scores of `logits` (n, classes) against `labels` (n,); every image counts once."""
    predictions = logits.argmax(axis=1)
    return Evaluation(
        count=len(labels),
        misses=misses(logits, labels),
        loss=cross_entropy(logits, labels),
        confusion=confusion_matrix(labels, predictions, logits.shape[1]),
        collapsed=len(labels) > 1 and bool((logits == logits[0]).all()),
    )


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often the network is right among answers of a similar probability.

    `confidence`, `accuracy` (NaN where a bin is empty) and `count` are by bin, from probability 0
    to 1; `error` is the expected calibration error: the mean of |accuracy - confidence| over the
    images (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, equation 3).
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    error: float


def calibrate(
    logits: NDArray[np.float32], labels: NDArray[np.int64], bins: int = 15
) -> Calibration:
    """Calibration of the largest probability, in `bins` of equal width."""
    probabilities = np.exp(log_probabilities(logits))
    largest, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((largest * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, largest, bins) / count
        accuracy = np.bincount(place, right, bins) / count
    gaps = np.abs(accuracy - confidence)[count > 0] * count[count > 0]
    return Calibration(confidence, accuracy, count, float(gaps.sum() / len(labels)))


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Accuracy of a first network minus that of a second one on the same images, with 95 %."""

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int


def paired_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedDifference:
    """From what each network got right, (n,) each.

    The interval is Wald's for paired fractions with half a pair more in each of the four cells
    (Agresti and Min 2005, section 3).
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    b, c, n = only_first + 0.5, only_second + 0.5, len(first) + 2.0
    middle = (b - c) / n
    half = Z_95 * math.sqrt(max(0.0, b + c - (b - c) ** 2 / n)) / n
    difference = (only_first - only_second) / len(first)
    return PairedDifference(difference, middle - half, middle + half, only_first, only_second)
