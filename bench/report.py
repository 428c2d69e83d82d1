"""The results as text, JSON and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lenet.show.figures.figure import BLUE, GREY, open_figure

Section = dict[str, Any]
"""`title`, `unit`, `better` (higher or lower), and `rows`: subject -> median, low, high, rounds."""


def table(section: Section) -> str:
    """A Markdown table: median, range, and how many times better the native engine is."""
    rows: Mapping[str, Mapping[str, float]] = section["rows"]
    first, *_ = rows.values()
    lines = [f"### {section['title']}", "", section["about"], ""]
    compared = section["better"] != "none"
    lines += [f"| | {section['unit']} | range |" + (" native is |" if compared else "")]
    lines += ["|---|---|---|" + ("---|" if compared else "")]
    for name, row in rows.items():
        ratio = first["median"] / row["median"]
        if section["better"] == "lower":
            ratio = 1 / ratio
        line = (
            f"| {name} | {number(row['median'])} | {number(row['low'])} to {number(row['high'])} |"
        )
        lines.append(line + (f" {ratio:.2f}x |" if compared else ""))
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Four significant digits, thousands separated."""
    if value >= 1000:
        return f"{round(value, -(len(str(int(value))) - 4)):,.0f}"
    return f"{value:.4g}"


def draw(sections: list[Section], path: Path) -> None:
    """A row of bars a section, with the range as a whisker."""
    with open_figure(path, 9.0, 0.32 * sum(len(s["rows"]) + 2.2 for s in sections)) as figure:
        heights = [len(section["rows"]) + 1.2 for section in sections]
        axes = figure.subplots(len(sections), 1, height_ratios=heights, squeeze=False)[:, 0]
        for axis, section in zip(axes, sections, strict=True):
            names, rows = list(section["rows"]), list(section["rows"].values())
            medians = [row["median"] for row in rows]
            errors = [
                [row["median"] - row["low"] for row in rows],
                [row["high"] - row["median"] for row in rows],
            ]
            colours = [BLUE if "native" in name or not i else GREY for i, name in enumerate(names)]
            if section["better"] == "none":
                colours = [BLUE] * len(names)
            axis.barh(names, medians, xerr=errors, color=colours, height=0.7)
            axis.bar_label(
                axis.containers[-1], [f" {number(m)}" for m in medians], padding=6, fontsize=9
            )
            axis.invert_yaxis()
            axis.set_xlim(0, max(row["high"] for row in rows) * 1.18)
            axis.set_title(section["title"], loc="left", fontsize=10)
            better = {"none": "", "lower": ", less is better"}.get(section["better"], "")
            axis.set_xlabel(f"{section['unit']}{better}", fontsize=9)
            axis.spines[["top", "right"]].set_visible(False)


def write(results: dict[str, Any], folder: Path) -> list[Path]:
    """`benchmarks.json`, `benchmarks.md` and `benchmarks.png` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"benchmarks.{ending}" for ending in ("json", "md", "png")]
    paths[0].write_text(json.dumps(results, indent=1) + "\n")
    paths[1].write_text("\n".join(table(section) for section in results["sections"]))
    draw(results["sections"], paths[2])
    return paths
