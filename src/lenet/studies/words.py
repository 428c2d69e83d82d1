"""What a study found, in sentences."""

from __future__ import annotations

import numpy as np

from lenet.data import CATALOG
from lenet.studies.analysis import BETTER, Analysis, ArmResult, Table
from lenet.studies.statistics import LEVEL, Comparison, smallest_probability
from lenet.studies.study import Study


def verdict(analysis: Analysis) -> list[str]:
    """Paragraphs that a learner understands: the answer, the failures, the control."""
    study = analysis.study
    paragraphs = [_compared(analysis, analysis.best, _where_best(analysis))]
    if analysis.base is not None:
        rate = study.recipe.learning_rate
        paragraphs.append(_compared(analysis, analysis.base, f"With all at learning rate {rate:g}"))
    paragraphs.append(_divergence(analysis))
    paragraphs += [_null(study, name, pair) for name, pair in analysis.best.null.items()]
    return paragraphs


def _where_best(analysis: Analysis) -> str:
    if all(len(row.cells) == 1 for row in analysis.arms):
        return "On the test split"
    held_out = analysis.study.recipe.validation
    return (
        f"With each arm at the learning rate that {held_out:,} validation images chose for it "
        f"({', '.join(f'{name} {rate:g}' for name, rate in analysis.best.rates.items())})"
    )


def _compared(analysis: Analysis, table: Table, where: str) -> str:
    study = analysis.study
    control = format_score(study, float(table.scores[study.control].mean()))
    sentences = [f"{where}, {study.control} has a mean test {study.measure} of {control}."]
    if _is_near_guessing(analysis, table):
        sentences.append(
            "No arm is much better than guessing: these networks have not learnt enough to be "
            "compared; train them longer."
        )
    sentences += [_sentence(study, name, pair) for name, pair in table.pairs.items()]
    least = smallest_probability(analysis.seeds, len(table.pairs))
    if least >= LEVEL:
        sentences.append(
            f"So few pairs ({analysis.seeds}) can show nothing: the smallest p that they can give "
            f"is {least:.3f}; use more seeds."
        )
    return " ".join(sentences)


def _is_near_guessing(analysis: Analysis, table: Table) -> bool:
    """Whether the best arm is right less than twice as often as guessing; of published data."""
    entry = CATALOG.get(analysis.study.data)
    if analysis.study.measure != "accuracy" or entry is None:
        return False
    best = max(float(scores.mean()) for scores in table.scores.values())
    return best < 2.0 / len(entry.class_names)


def _sentence(study: Study, name: str, pair: Comparison) -> str:
    """`name` against the control, with what is known and how well."""
    interval = f"95 % interval {format_interval(study, pair)}"
    pairs = "1 pair" if pair.count == 1 else f"{pair.count} pairs"
    evidence = f"{interval}, p = {pair.p_holm:.3f} after Holm's correction, {pairs}"
    if not pair.is_shown:
        return (
            f"No difference is shown between {name} and {study.control}: "
            f"{format_difference(study, pair.mean)} ({evidence})."
        )
    word = "better" if pair.mean * BETTER[study.measure] > 0 else "worse"
    chance = pair.superiority if BETTER[study.measure] > 0 else 1.0 - pair.superiority
    return (
        f"{name} is {word} than {study.control}: {format_difference(study, pair.mean)} "
        f"({evidence}); one training of it beats one of {study.control} with a chance of "
        f"{chance:.0%}."
    )


def _divergence(analysis: Analysis) -> str:
    parts = [text for row in analysis.arms if (text := _diverged(row))]
    if not parts:
        return "No training diverged."
    return (
        "Trainings that diverged are counted with the score of guessing: " + "; ".join(parts) + "."
    )


def _diverged(row: ArmResult) -> str:
    counts = [
        f"{cell.diverged} of {len(cell.results)} at {cell.learning_rate:g}"
        for cell in row.cells
        if cell.diverged
    ]
    return f"{row.arm.name} {', '.join(counts)}" if counts else ""


def _null(study: Study, name: str, pair: Comparison) -> str:
    what = f"The control against itself with other seeds ({name})"
    numbers = f"{format_difference(study, pair.mean)}, p = {pair.p:.3f}"
    if pair.p < LEVEL:
        return (
            f"{what} differs ({numbers}), which happens by chance in one of twenty studies: trust "
            "the other differences less."
        )
    return f"{what} shows no difference ({numbers}), as it must."


def format_score(study: Study, value: float) -> str:
    """A mean score: per cent, or nats."""
    if np.isnan(value):
        return "-"
    return f"{value:.1%}" if study.measure == "accuracy" else f"{value:.4f}"


def format_difference(study: Study, value: float) -> str:
    """A difference: percentage points, or nats."""
    if np.isnan(value):
        return "-"
    return f"{100 * value:+.2f} points" if study.measure == "accuracy" else f"{value:+.4f}"


def format_interval(study: Study, pair: Comparison) -> str:
    """An interval of differences, its unit said once."""
    if np.isnan(pair.low):
        return "-"
    if study.measure == "accuracy":
        return f"{100 * pair.low:+.2f} to {100 * pair.high:+.2f} points"
    return f"{pair.low:+.4f} to {pair.high:+.4f}"
