"""Figures of a study: scores against rates, differences, divergence, mechanism."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.show.figures.figure import GREY, open_figure
from lenet.studies.analysis import Analysis, Cell, Table

COLOURS = ("#0072B2", "#999999", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
MARKERS = "osD^vPX*"
"""An arm has a colour and a marker of its own in all figures of a study."""

PERCENT = {"accuracy": (100.0, "accuracy (%)", "points"), "loss": (1.0, "loss (nats)", "nats")}


def draw_scores(analysis: Analysis, path: Path) -> None:
    """Mean validation score of each arm at each learning rate, with its 95 % interval."""
    scale, label, _ = PERCENT[analysis.study.measure]
    with open_figure(path, 8.0, 5.0) as figure:
        axes = figure.subplots()
        rates = sorted({cell.learning_rate for row in analysis.arms for cell in row.cells})
        for index, row in enumerate(analysis.arms):
            means = np.array([cell.validation.mean() for cell in row.cells])
            ends = np.array([(cell.low, cell.high) for cell in row.cells]).T
            # Intervals of the same rate stand side by side, else they hide each other.
            shift = 1.0 + 0.02 * (index - (len(analysis.arms) - 1) / 2)
            axes.errorbar(
                [cell.learning_rate * shift for cell in row.cells],
                scale * means,
                yerr=scale * np.abs(ends - means),
                capsize=3,
                linewidth=1.8,
                markersize=6,
                label=row.arm.name,
                **_style(index),
            )
        axes.set_xscale("log")
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.minorticks_off()
        axes.set(
            xlabel="learning rate",
            ylabel=f"validation {label}",
            title=f"{analysis.study.title}: mean of {analysis.seeds} seeds, 95 % intervals",
        )
        axes.grid(alpha=0.3)
        figure.legend(loc="outside lower center", ncols=min(6, len(analysis.arms)))


def draw_divergence(analysis: Analysis, path: Path) -> None:
    """How many of the runs of each arm diverged at each learning rate."""
    rates = sorted({cell.learning_rate for row in analysis.arms for cell in row.cells})
    share = np.full((len(analysis.arms), len(rates)), np.nan)
    with open_figure(path, 2.6 + 1.0 * len(rates), 1.8 + 0.5 * len(analysis.arms)) as figure:
        axes = figure.subplots()
        for y, row in enumerate(analysis.arms):
            for cell in row.cells:
                x, count = rates.index(cell.learning_rate), len(cell.results)
                share[y, x] = cell.diverged / count
                colour = "white" if share[y, x] > 0.5 else "black"
                text = f"{cell.diverged} of {count}"
                axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=9)
        image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        figure.colorbar(image, label="share of runs that diverged")
        axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axes.set_yticks(range(len(analysis.arms)), [row.arm.name for row in analysis.arms])
        axes.set(xlabel="learning rate", title="Runs that diverged")


def draw_differences(analysis: Analysis, table: Table, title: str, path: Path) -> None:
    """Each arm minus the control: every pair a dot, the mean with its 95 % interval."""
    study = analysis.study
    scale, _, unit = PERCENT[study.measure]
    pairs = {**table.pairs, **table.null}
    names = [row.arm.name for row in analysis.arms if row.arm.name in pairs]
    order = {row.arm.name: index for index, row in enumerate(analysis.arms)}
    with open_figure(path, 8.0, 1.6 + 0.6 * len(names)) as figure:
        axes = figure.subplots()
        axes.axvline(0.0, color=GREY, linewidth=1)
        for y, name in enumerate(reversed(names)):
            pair, style = pairs[name], _style(order[name])
            values = scale * (table.scores[name] - table.scores[study.control])
            spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
            axes.plot(values, y + spread, "o", color=style["color"], alpha=0.45, markersize=4)
            axes.errorbar(
                scale * pair.mean,
                y,
                xerr=scale * np.abs([[pair.mean - pair.low], [pair.high - pair.mean]]),
                capsize=5,
                linewidth=2.2,
                markersize=8,
                color=style["color"],
                marker=style["marker"],
            )
        labels = [f"{name} at {table.rates[name]:g}" for name in reversed(names)]
        axes.set_yticks(range(len(names)), labels)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set(
            xlabel=f"test {study.measure} minus that of {study.control} at "
            f"{table.rates[study.control]:g} ({unit})",
            title=title,
        )
        axes.grid(alpha=0.3, axis="x")


def draw_mechanism(analysis: Analysis, path: Path) -> None:
    """Inside the networks: gradient, dead and saturated units over the updates, medians."""
    study = analysis.study
    columns = [("each arm at its chosen rate", [row.chosen for row in analysis.arms])]
    base = [row.at(study.recipe.learning_rate) for row in analysis.arms]
    if analysis.base is not None:
        rate = study.recipe.learning_rate
        columns.append((f"all at learning rate {rate:g}", [cell for cell in base if cell]))
    with open_figure(path, 1.5 + 5.0 * len(columns), 9.0) as figure:
        grid = figure.subplots(3, len(columns), sharex=True, sharey="row", squeeze=False)
        for column, (title, cells) in enumerate(columns):
            grid[0][column].set_title(title)
            for index, cell in enumerate(cells):
                for axes, name in zip(grid[:, column], _SERIES, strict=True):
                    updates, values = median_series(cell, name)
                    axes.plot(updates, values, markersize=4, linewidth=1.6, **_style(index))
        _label(grid)
        figure.legend(
            handles=grid[0][0].get_lines(),
            labels=[row.arm.name for row in analysis.arms],
            loc="outside lower center",
            ncols=min(6, len(analysis.arms)),
        )


_SERIES = {
    "gradient": "gradient norm, all layers",
    "dead": "dead units before the output (%)",
    "saturated": "saturated (unit, image) pairs (%)",
}


def _label(grid: NDArray[Any]) -> None:
    for axes_row, label in zip(grid, _SERIES.values(), strict=True):
        axes_row[0].set_ylabel(label)
        for axes in axes_row:
            axes.grid(alpha=0.3)
    for axes in grid[0]:
        axes.set_yscale("log")
    for axes_row in grid[1:]:  # the axes of a row share their scale
        least, most = axes_row[0].get_ylim()
        axes_row[0].set_ylim(min(0.0, least), max(1.0, most))
    for axes in grid[-1]:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(left=0.0)
        axes.set_xlabel("updates (0, then a logarithmic scale)")


def median_series(cell: Cell, name: str) -> tuple[list[int], list[float]]:
    """(updates, median over the runs) of what was seen inside; a run that diverged drops out."""
    by_updates: dict[int, list[float]] = {}
    for result in cell.results:
        for row in result["mechanism"]:
            value = _value(row, name)
            if value is not None:
                by_updates.setdefault(row["updates"], []).append(value)
    updates = sorted(by_updates)
    return updates, [float(np.median(by_updates[at])) for at in updates]


def largest_gradient(result: dict[str, Any]) -> float | None:
    """The largest gradient norm over all layers that was seen in a run."""
    seen = [_value(row, "gradient") for row in result["mechanism"]]
    return max((value for value in seen if value is not None), default=None)


def _value(row: dict[str, Any], name: str) -> float | None:
    if name != "gradient":
        return None if row["loss"] is None or row[name] is None else 100.0 * float(row[name])
    norms = row["gradient_norm"].values()
    return None if None in norms else float(np.sqrt(sum(norm**2 for norm in norms)))


def _style(index: int) -> dict[str, Any]:
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
    }
