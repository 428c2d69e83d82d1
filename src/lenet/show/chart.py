"""A chart of a training as SVG text, made in a millisecond where Matplotlib takes a hundred."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lenet.runs.run import Row

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 56, 504, 34, 262
"""The plot's edges in pixels."""

TOPS = (0.6, 1, 1.6, 2.4, 3, 4, 6, 8, 12, 16, 20, 32, 40, 60, 80, 100)
"""Where the axis of losses may end: a quarter of each is a number of few digits."""


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: its key in the history, its name, its colour and its dashes."""

    key: str
    label: str
    colour: str
    dash: str = ""
    marks: bool = False

    @property
    def is_loss(self) -> bool:
        return self.key.endswith("loss")


NOTE_SERIES = (
    Series("train_loss", "train loss", "#0072B2"),
    Series("train_accuracy", "train acc", "#D55E00", dash="6 3"),
    Series("validation_accuracy", "validation acc", "#666666", dash="2 3", marks=True),
    Series("test_accuracy", "test acc", "#009E73", dash="8 3 2 3", marks=True),
)
"""The curves of the note's figure."""


MARKS = 40
"""As many a curve has at most; more would be one thick line."""


def marks_every(points: int) -> int:
    """Every how many of a curve's points has a mark."""
    return -(-points // MARKS) if points else 1


def loss_top(history: Sequence[Row]) -> float:
    """Where the axis of losses ends: no loss below the last of `TOPS` is beyond it."""
    losses = [row["train_loss"] for row in history if 0 <= row.get("train_loss", -1) < TOPS[-1]]
    return next(top for top in TOPS if top >= max(losses, default=2.3))


def line_chart(
    history: Sequence[Row], series: Sequence[Series], epochs: int, title: str, line: str = ""
) -> str:
    """Loss on the left axis and accuracy on the right one, over epochs, as an `<svg>` element."""
    top = loss_top(history)
    shown = [one for one in series if any(one.key in row for row in history)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="12" '
        'fill="currentColor">',
        _text(WIDTH / 2, 18, title, "middle", "font-weight='bold'"),
        *_axes(epochs, top),
        *(_curve(history, one, epochs, top) for one in shown),
        *_legend(shown),
        _beyond(history, top),
        _text(WIDTH / 2, HEIGHT - 6, line, "middle"),
        "</svg>",
    ]
    return "".join(parts)


def _beyond(history: Sequence[Row], top: float) -> str:
    """Words for a loss that leaves the axis, as that of a training that diverges does."""
    losses = [row["train_loss"] for row in history if "train_loss" in row]
    most = max(filter(math.isfinite, losses), default=0.0)
    if most <= top:
        return ""
    return _text(LEFT + 8, TOP - 4, f"\N{UPWARDS ARROW} train loss, up to {most:.3g}", "start")


def _axes(epochs: int, top: float) -> list[str]:
    frame = (
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}V{TOP}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.5"/>'
    )
    parts = [frame]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = BOTTOM - share * (BOTTOM - TOP)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="currentColor" stroke-opacity="0.15"/>'
        )
        parts.append(_text(LEFT - 6, y + 4, f"{top * share:g}", "end"))
        parts.append(_text(RIGHT + 6, y + 4, f"{share:.2f}", "start"))
    every = max(1, -(-epochs // 12))
    for epoch in range(0, epochs + 1, every):
        x = LEFT + epoch / epochs * (RIGHT - LEFT)
        parts.append(_text(x, BOTTOM + 16, str(epoch), "middle"))
    parts.append(_text((LEFT + RIGHT) / 2, BOTTOM + 32, "epoch", "middle"))
    parts.append(_text(14, 150, "loss (nats)", "middle", 'transform="rotate(-90 14 150)"'))
    parts.append(_text(552, 150, "accuracy", "middle", 'transform="rotate(-90 552 150)"'))
    return parts


def _curve(history: Sequence[Row], series: Series, epochs: int, top: float) -> str:
    scale = top if series.is_loss else 1.0
    points = [
        (
            LEFT + row["progress"] / epochs * (RIGHT - LEFT),
            BOTTOM - min(1.0, max(0.0, row[series.key] / scale)) * (BOTTOM - TOP),
        )
        for row in history
        if row.get(series.key, float("nan")) == row.get(series.key)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    curve = (
        f'<polyline points="{path}" fill="none" stroke="{series.colour}" stroke-width="2" '
        f'stroke-dasharray="{series.dash}"/>'
    )
    if series.marks:
        marked = points[:: marks_every(len(points))]
        dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in marked)
        curve += f'<g fill="{series.colour}">{"".join(dots)}</g>'
    return curve


def _legend(shown: Sequence[Series]) -> list[str]:
    parts = []
    for index, one in enumerate(shown):
        x = LEFT + index * 120
        parts.append(
            f'<path d="M{x} {BOTTOM + 46}h24" stroke="{one.colour}" stroke-width="2" '
            f'stroke-dasharray="{one.dash}"/>'
        )
        parts.append(_text(x + 30, BOTTOM + 50, one.label, "start"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(text)}</text>'
