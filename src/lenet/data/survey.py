"""What was found when own data was read: counts, copies, and what could not be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not in the data set, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """`counts` has the images of each class, by split.

    `prepared` and `division` say in words how the images and the splits were made.  `copies` counts
    images whose pixels are in the same split before, `shared` those of the validation and test
    splits whose pixels are in an earlier split too, `disputed` those whose pixels also stand in
    another class.  `remarks` name folders without pictures and the like.
    """

    prepared: str
    division: str
    counts: dict[str, tuple[int, ...]]
    copies: int
    shared: int
    disputed: int
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]

    def warnings(self) -> Iterator[str]:
        """What the user should know before trusting a score."""
        if self.left_out:
            first = self.left_out[0]
            yield (
                f"files that cannot be used and are left out: {len(self.left_out)}; the first one "
                f"is {first.path}: {first.reason}"
            )
        if self.shared:
            yield (
                f"images of the validation and test splits whose pixels are in an earlier split "
                f"too: {self.shared}; scores on them are too good"
            )
        if self.disputed:
            yield f"images with the same pixels as one of another class: {self.disputed}"
        yield from self.remarks

    def facts(self) -> dict[str, Any]:
        """As plain JSON values, for a receipt; the files that were left out are counted."""
        return {
            "prepared": self.prepared,
            "division": self.division,
            "counts": {name: list(counts) for name, counts in self.counts.items()},
            "copies_in_a_split": self.copies,
            "copies_across_splits": self.shared,
            "same_pixels_in_two_classes": self.disputed,
            "left_out": len(self.left_out),
            "remarks": list(self.remarks),
        }
