"""Whether two arms differ: paired differences, their interval, and how sure one can be."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenet.errors import MissingExtraError

RESAMPLES = 9_999
"""Of the bootstrap, and of the permutation test where it cannot try all; 2^13 is still all."""

LEVEL = 0.05
"""A difference is called shown if Holm's p is below it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An arm against another one: differences (arm - other) of `count` pairs with the same seed.

    `low` and `high` bound the mean difference with 95 % confidence.  `p` is of the sign-flip
    permutation test, `p_holm` the same after Holm's correction over the arms of the study.
    `superiority` is the probability that one training of the arm scores above one of the other.
    """

    count: int
    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    superiority: float

    @property
    def is_shown(self) -> bool:
        return self.p_holm < LEVEL


def compare(
    scores: Sequence[NDArray[np.float64]], control: NDArray[np.float64], seed: int = 0
) -> list[Comparison]:
    """Each arm's `scores` (n,) against those of the control (n,), pair by pair."""
    differences = [arm - control for arm in scores]
    probabilities = [sign_flip_probability(each, seed) for each in differences]
    rows = zip(scores, differences, probabilities, holm(probabilities), strict=True)
    return [
        Comparison(
            len(each),
            float(each.mean()),
            *mean_interval(each, seed),
            p,
            p_holm,
            superiority(arm, control),
        )
        for arm, each, p, p_holm in rows
    ]


def mean_interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of `values` (n,), bias-corrected and accelerated bootstrap.

    Efron 1987, "Better Bootstrap Confidence Intervals", section 3; where nearly all values are the
    same and its acceleration is not defined, the percentiles of the bootstrap.  With few values it
    is somewhat too narrow; with one value there is none, and both ends are NaN.
    """
    if len(values) < 2:
        return (np.nan, np.nan)
    if np.ptp(values) == 0.0:  # the mean itself, which may be rounded, lies in its interval
        return (float(values.mean()), float(values.mean()))
    low, high = _bootstrap(values, "BCa", seed)
    return _bootstrap(values, "percentile", seed) if np.isnan([low, high]).any() else (low, high)


def check_scipy() -> None:
    """Say what is missing before hours of runs are spent.

    Raises:
        MissingExtraError: without SciPy.
    """
    try:
        found = importlib.util.find_spec("scipy")
    except ValueError:  # some program has forbidden it
        found = None
    if found is None:
        raise MissingExtraError("a study", "SciPy", "studies")


def _bootstrap(values: NDArray[np.float64], method: str, seed: int) -> tuple[float, float]:
    from scipy.stats import bootstrap

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.filterwarnings("ignore", "The BCa confidence interval cannot be calculated")
        found = bootstrap(
            (values,),
            np.mean,
            n_resamples=RESAMPLES,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return (float(found.low), float(found.high))


def sign_flip_probability(differences: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p of a mean difference at least this large if each sign were a coin's throw.

    Fisher 1935, "The Design of Experiments", section 21.  All 2^n sign patterns are tried up to
    n = 13, and `RESAMPLES` random ones above.  One difference alone is as large with either sign.
    """
    from scipy.stats import permutation_test

    if len(differences) < 2 or not np.any(differences):
        return 1.0
    found = permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def smallest_probability(pairs: int, arms: int) -> float:
    """The smallest p after Holm's correction that so many pairs can give for all of the arms."""
    return min(1.0, arms * 2.0 ** (1 - pairs))


def holm(probabilities: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in the same order.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    count, largest = len(probabilities), 0.0
    corrected = [0.0] * count
    for rank, index in enumerate(np.argsort(probabilities, kind="stable")):
        largest = max(largest, min(1.0, (count - rank) * probabilities[index]))
        corrected[index] = largest
    return corrected


def superiority(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Probability that a score of `first` is above one of `second`; a tie counts half.

    Over all pairs: Vargha and Delaney 2000, equation 3 (the measure A).
    """
    gaps = first[:, None] - second[None, :]
    return float((gaps > 0).mean() + 0.5 * (gaps == 0).mean())
