"""From the runs of a study to its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenet.errors import StudyError
from lenet.studies.measurement import Result
from lenet.studies.statistics import Comparison, compare, mean_interval
from lenet.studies.study import Arm, Study

Scores = NDArray[np.float64]
BETTER = {"accuracy": 1.0, "loss": -1.0}
"""The direction in which each measure is better."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An arm at one learning rate: its finished runs, seed by seed.

    `validation` and `test` (seeds,) are the study's measure, or all NaN where no image was held
    out; `low` and `high` bound the mean of `validation` with 95 %.  `diverged` counts runs, which
    have the scores of guessing.
    """

    learning_rate: float
    results: tuple[Result, ...]
    validation: Scores
    test: Scores
    low: float
    high: float

    @property
    def diverged(self) -> int:
        return sum(result["divergence"] is not None for result in self.results)


@dataclass(frozen=True, slots=True)
class ArmResult:
    """An arm at every rate, and the rate that its validation scores chose."""

    arm: Arm
    cells: tuple[Cell, ...]
    chosen: Cell

    def at(self, learning_rate: float) -> Cell | None:
        return next((cell for cell in self.cells if cell.learning_rate == learning_rate), None)


@dataclass(frozen=True, slots=True)
class Table:
    """Arms against the control, pair by pair on the test split.

    `pairs` maps an arm's name to its comparison; `null` is that of the control with other seeds,
    and no part of Holm's correction.  `rates` says at which learning rate each arm stands.
    """

    pairs: dict[str, Comparison]
    null: dict[str, Comparison]
    rates: dict[str, float]
    scores: dict[str, Scores]


@dataclass(frozen=True, slots=True)
class Analysis:
    """`best` compares every arm at its own chosen rate, `base` all at the base recipe's rate.

    `base` is None if not every arm was tried at that rate, or it is the same table.
    """

    study: Study
    seeds: int
    arms: tuple[ArmResult, ...]
    best: Table
    base: Table | None


def analyse(study: Study, results: Mapping[str, Result]) -> Analysis:
    """Compare the arms over the first seeds for which every run is done.

    Raises:
        StudyError: if not even the first seed is complete.
    """
    seeds = _complete_seeds(study, results)
    if not seeds:
        raise StudyError(f"{study.name}: no seed has all its runs yet; go on with lenet study run")
    arms = tuple(_arm_result(study, arm, results, seeds) for arm in study.arms)
    best = _table(study, {row.arm.name: row.chosen for row in arms})
    return Analysis(study, seeds, arms, best, _base_table(study, arms, best))


def _complete_seeds(study: Study, results: Mapping[str, Result]) -> int:
    """Seeds from 0 on for which all arms have all rates."""
    for seed in range(study.seeds):
        for arm in study.arms:
            for rate in arm.learning_rates:
                if study.task(arm, rate, seed).key not in results:
                    return seed
    return study.seeds


def _arm_result(study: Study, arm: Arm, results: Mapping[str, Result], seeds: int) -> ArmResult:
    cells = tuple(
        _cell(
            study,
            rate,
            tuple(results[study.task(arm, rate, seed).key] for seed in range(seeds)),
        )
        for rate in arm.learning_rates
    )
    sign = BETTER[study.measure]
    chosen = cells[0]
    if len(cells) > 1:
        chosen = max(cells, key=lambda cell: sign * float(cell.validation.mean()))
    return ArmResult(arm, cells, chosen)


def _cell(study: Study, rate: float, results: tuple[Result, ...]) -> Cell:
    validation = _scores(results, f"validation_{study.measure}")
    test = _scores(results, f"test_{study.measure}")
    low, high = (np.nan, np.nan) if np.isnan(validation).any() else mean_interval(validation)
    return Cell(rate, results, validation, test, low, high)


def _scores(results: Sequence[Result], name: str) -> Scores:
    return np.array([np.nan if row[name] is None else row[name] for row in results], np.float64)


def _base_table(study: Study, arms: Sequence[ArmResult], best: Table) -> Table | None:
    rate = study.recipe.learning_rate
    cells = {row.arm.name: row.at(rate) for row in arms}
    found = {name: cell for name, cell in cells.items() if cell is not None}
    if len(found) < len(cells) or all(value == rate for value in best.rates.values()):
        return None
    return _table(study, found)


def _table(study: Study, cells: Mapping[str, Cell]) -> Table:
    scores = {name: cell.test for name, cell in cells.items()}
    control = scores[study.control]
    null = [arm.name for arm in study.arms if study.is_null(arm)]
    others = [name for name in scores if name != study.control and name not in null]
    return Table(
        pairs=dict(zip(others, compare([scores[name] for name in others], control), strict=True)),
        null=dict(zip(null, compare([scores[name] for name in null], control), strict=True)),
        rates={name: cell.learning_rate for name, cell in cells.items()},
        scores=scores,
    )
