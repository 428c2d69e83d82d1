"""What a model at hand gives to look at: text in a terminal, a picture or a table in a notebook."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, final

from lenet.network import Spec

if TYPE_CHECKING:
    from lenet.prediction.explanation import Explanation


@final
class Chart(str):
    """SVG text that a notebook shows as a picture."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Chart {len(self):,} characters of SVG>"

    def _repr_html_(self) -> str:
        return str(self)


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """An explanation, which a notebook shows as a picture.

    `source` is what was explained: the whole path of a picture, or `SPLIT:INDEX`.
    """

    explanation: Explanation
    source: str | None = None

    @property
    def class_name(self) -> str:
        """The answer."""
        return self.explanation.class_names[self.explanation.prediction]

    @property
    def probability(self) -> float:
        """Of the answer."""
        return float(self.explanation.probabilities[self.explanation.prediction])

    def __repr__(self) -> str:
        of = "" if self.source is None else f" for {self.source}"
        return f"<Decision {self.class_name}, {self.probability:.4f}{of}>"

    def save(self, path: str | Path) -> Path:
        """Draw it to `path` (PNG, or what the ending says).

        Raises:
            UsageError: if it cannot be drawn there, or something else is there than a figure of
                `lenet explain`.
        """
        from lenet.show.figures import Drawer, check_place, draw_decision

        check_place(Path(path), Drawer.EXPLAIN, self.source)
        draw_decision(self.explanation, Path(path), self.source)
        return Path(path)

    def _repr_png_(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return self.save(Path(folder) / "decision.png").read_bytes()


@final
@dataclass(frozen=True, slots=True)
class Summary:
    """The layers of a network as a table."""

    spec: Spec

    HEADINGS = ("layer", "what it is", "output", "parameters", "multiply-adds")

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """A row a layer, in the order of `HEADINGS`, and one for all."""
        rows = [
            (
                row.name,
                layer.describe(row.output_shape),
                "x".join(map(str, row.output_shape)),
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
            )
            for layer, row in zip(self.spec.layers, self.spec.counts(), strict=True)
        ]
        given = "x".join(map(str, self.spec.input_shape))
        total = (f"{self.spec.parameters:,}", f"{self.spec.multiply_adds:,}")
        return [("input", "pixels, 0 to 255", given, "", ""), *rows, ("all", "", "", *total)]

    def __str__(self) -> str:
        rows = [self.HEADINGS, *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.HEADINGS))]
        lines = []
        for row in rows:
            left = "  ".join(
                text.ljust(width) for text, width in zip(row[:3], widths, strict=False)
            )
            right = "  ".join(
                text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)
            )
            lines.append(f"{left}  {right}".rstrip())
        return "\n".join([self.spec.name, *lines])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{heading}</th>" for heading in self.HEADINGS)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in self.rows()
        )
        return f"<table><caption>{escape(self.spec.name)}</caption><tr>{head}</tr>{body}</table>"
