"""A network drawn as the 1998 paper draws it (figure 2): maps as sheets, layers by their names."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lenet.network import LayerCounts, Spec

WIDTH, HEIGHT, FLOOR = 112, 190, 120
"""Room for one layer, the height of the drawing, and where the sheets stand, in pixels."""

MOST_SHEETS = 6


def draw_network(spec: Spec) -> str:
    """The layers from left to right with shapes, parameters and multiply-adds, as `<svg>`."""
    counts = spec.counts()
    columns = [("INPUT", spec.input_shape, "", "")]
    columns += [(row.name, row.output_shape, _parameters(row), _products(row)) for row in counts]
    parts = [_column(index, *column) for index, column in enumerate(columns)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(columns)} {HEIGHT}" '
        f'width="{WIDTH * len(columns)}" class="network" role="img" font-family="sans-serif" '
        f'font-size="12" fill="currentColor" aria-label="{escape(spec.name)}">'
        f"{''.join(parts)}</svg>"
    )


def _parameters(row: LayerCounts) -> str:
    return f"{row.parameters:,} parameters" if row.parameters else "no parameters"


def _products(row: LayerCounts) -> str:
    return f"{row.multiply_adds:,} products" if row.multiply_adds else ""


def _column(index: int, name: str, shape: Sequence[int], first: str, second: str) -> str:
    middle = index * WIDTH + WIDTH / 2
    lines = [_describe(shape), first, second]
    words = "".join(
        f'<text x="{middle}" y="{FLOOR + 34 + 15 * row}" text-anchor="middle" font-size="10">'
        f"{escape(line)}</text>"
        for row, line in enumerate(lines)
    )
    title = (
        f'<text x="{middle}" y="{FLOOR + 18}" text-anchor="middle" font-weight="bold">'
        f"{escape(name)}</text>"
    )
    return _sheets(middle, shape) + title + words


def _describe(shape: Sequence[int]) -> str:
    channels, rows, columns = shape
    return f"{channels}@{rows}x{columns}" if rows > 1 else str(channels)


def _sheets(middle: float, shape: Sequence[int]) -> str:
    """Sheets one behind the other for maps, one narrow column for a dense layer."""
    channels, rows, columns = shape
    if rows == 1:
        high = min(100.0, 12 + channels * 0.7)
        return _sheet(middle - 5, FLOOR - high, 10, high)
    scale = 60 / max(32, rows, columns)
    wide, high = max(6.0, columns * scale), max(6.0, rows * scale)
    shown = min(channels, MOST_SHEETS)
    left = middle - (wide + 6 * (shown - 1)) / 2
    return "".join(
        _sheet(left + 6 * k, FLOOR - high - 6 * (shown - 1 - k), wide, high)
        for k in reversed(range(shown))
    )


def _sheet(x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        'class="sheet" stroke="currentColor" stroke-width="0.8"/>'
    )
