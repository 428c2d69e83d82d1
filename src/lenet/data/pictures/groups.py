"""Pieces of ink that belong together, a group each: characters, the most prominent first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lenet.data.pictures.reading import Box, Pixels
from lenet.data.pictures.strokes import Numbers, Piece, Pieces
from lenet.data.pictures.windows import histogram

LEAST_SIDE = 4
"""Pixels of ink, the longer way, below which nobody could tell what it is."""

MOST_PIECES, MOST_GROUPS = 200, 40
"""What is less prominent than so many others is left out, whatever the picture."""


@dataclass(slots=True, eq=False)
class Group:
    """Pieces that belong together; `level`, `real` and `width` are those of the first of them.

    `real`: how much of its edge is the picture's own, in per cent.  `solid`: it is as wide as a
    patch, not as a stroke.  `contrast`: levels between its ink and its ground.  `like`: how much
    around it is rather like its ink, in per cent, and `far_like` the same of twice as much.
    """

    numbers: list[int]
    box: Box
    level: int
    real: int
    width: int
    area: int
    score: int
    solid: bool = False
    contrast: int = 0
    like: int = 0
    far_like: int = 0


def find_groups(pieces: Pieces, steps: Numbers, real: Numbers, least_real: int) -> list[Group]:
    """All groups, by the score of their first piece; steps and real ones as `count_steps` says.

    The picture changes at `least_real` per cent of a piece's edge at least.
    """
    shape = pieces.numbers.shape
    large = _large_enough(pieces, steps, real, least_real)
    score = {piece.number: _prominence(piece, shape) for piece in large}

    def by_score(piece: Piece) -> int:
        return -score[piece.number]

    large = sorted(large, key=by_score)[:MOST_PIECES]
    frames = {piece.number for piece in large if _is_frame(piece, large, pieces.numbers)}
    for number in frames:
        score[number] //= 10
    waiting = sorted(large, key=by_score)
    groups = []
    while waiting:
        first, *waiting = waiting
        group, waiting = _gather(first, score[first.number], waiting, frames, shape)
        groups.append(group)
    return groups


def _large_enough(pieces: Pieces, steps: Numbers, real: Numbers, least_real: int) -> list[Piece]:
    enough = (
        (pieces.side >= LEAST_SIDE)
        & (pieces.area >= np.maximum(6, pieces.side))
        & (real * 100 >= least_real * steps)
    )
    columns = (pieces.area, pieces.edge, pieces.level, pieces.width, steps, real)
    return [
        Piece(int(number), pieces.box(int(number)), *(int(column[number]) for column in columns))
        for number in np.flatnonzero(enough)
    ]


def _prominence(piece: Piece, shape: tuple[int, ...]) -> int:
    rows, columns = shape
    box, touched = piece.box, edges_touched(piece.box, shape)
    across = (box.left == 0 and box.right == columns) or (box.top == 0 and box.bottom == rows)
    place = 10 if across or touched > 2 else 35 if touched else 100
    if box.width > 3 * box.height:
        place //= 4
    y, x = abs(box.top + box.bottom - rows), abs(box.left + box.right - columns)
    away = max(1000 * y // rows, 1000 * x // columns)  # 0 in the middle, 1000 at an edge
    # Tenths of a stroke's width in the whole, beyond what a thick pen draws.
    wide = max(10, 80 * piece.area // max(piece.edge, 1) // box.side)
    real = 100 * piece.real // max(piece.steps, 1)
    score = box.side * piece.level * place * (4000 - away)
    return score // 100 * real // 100 * real // 100 * real // wide**2


def edges_touched(box: Box, shape: tuple[int, ...]) -> int:
    """How many of the four edges of a picture of `shape` (rows, columns) the box touches."""
    rows, columns = shape
    return (box.top == 0) + (box.left == 0) + (box.bottom == rows) + (box.right == columns)


def _is_frame(piece: Piece, others: list[Piece], numbers: Numbers) -> bool:
    """Whether it goes around another that is not much fainter."""
    return any(
        other.level * 2 > piece.level and _goes_around(piece, other.box, numbers)
        for other in others
    )


def _goes_around(piece: Piece, small: Box, numbers: Numbers) -> bool:
    """Whether the piece is met on all four sides of the middle of `small`."""
    large = piece.box
    within = (
        small.top > large.top
        and small.left > large.left
        and small.bottom < large.bottom
        and small.right < large.right
    )
    if not within or small.side * 10 < large.side * 3:
        return False
    row = numbers[(small.top + small.bottom) // 2] == piece.number
    column = numbers[:, (small.left + small.right) // 2] == piece.number
    return bool(
        row[large.left : small.left].any()
        and row[small.right : large.right].any()
        and column[large.top : small.top].any()
        and column[small.bottom : large.bottom].any()
    )


def _gather(
    first: Piece, score: int, waiting: list[Piece], frames: set[int], shape: tuple[int, ...]
) -> tuple[Group, list[Piece]]:
    """The group of `first`, and what of `waiting` does not belong to it."""
    real = 100 * first.real // max(first.steps, 1)
    group = Group([first.number], first.box, first.level, real, first.width, first.area, score)
    more = True
    while more:
        more, left = False, []
        for piece in waiting:
            if piece.number in frames or not _belongs(piece, group, shape):
                left.append(piece)
                continue
            group.numbers.append(piece.number)
            group.box = _joined(group.box, piece.box)
            group.area += piece.area
            more = True
        waiting = left
    group.solid = 200 * first.area > 34 * first.edge * group.box.side
    return group, waiting


def _belongs(piece: Piece, group: Group, shape: tuple[int, ...]) -> bool:
    if piece.level * 10 < group.level * 4:
        return False
    if piece.area * 150 < group.area:  # a speck
        return False
    if group.width >= 600 and piece.width * 100 < 35 * group.width:  # a hair
        return False
    apart, side = _gap(piece.box, group.box), group.box.side
    if edges_touched(piece.box, shape) and not edges_touched(group.box, shape):
        return False
    if apart * 100 <= side * 8:
        return True
    if apart * 100 > side * 25:
        return False
    shared = _overlap(piece.box.left, piece.box.right, group.box.left, group.box.right)
    beside = shared * 10 < 3 * min(piece.box.width, group.box.width)
    tall = piece.box.height * 10 >= group.box.height * 6
    return not (beside and tall) and piece.area * 40 >= group.area


def _gap(a: Box, b: Box) -> int:
    return max(0, a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom)


def _overlap(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(0, min(end, other_end) - max(start, other_start))


def _joined(a: Box, b: Box) -> Box:
    return Box(*map(min, a[:2], b[:2]), *map(max, a[2:], b[2:]))


def weigh(groups: list[Group], pieces: Pieces, ground: Pixels, smooth: Pixels) -> list[Group]:
    """The first groups with their contrast, and with a score that says how they stand out.

    `smooth` is the picture, dark ink on light `ground`.
    """
    groups, reached = groups[:MOST_GROUPS], np.cumsum(histogram(smooth))
    for group in groups:
        middle = _contrast(group, pieces, ground, smooth)
        margin = max(2, group.box.side // 4)
        group.like = _like(group.box, margin, smooth, middle)
        group.far_like = _like(group.box, 2 * margin, smooth, middle)
        alike = int(reached[middle - 1]) if middle else 0
        for _ in range(3):
            group.score = group.score * (100 - group.like) // 100
        group.score = group.score * (smooth.size - alike) // smooth.size
    return sorted(groups, key=lambda group: -group.score)


def _contrast(group: Group, pieces: Pieces, ground: Pixels, smooth: Pixels) -> int:
    """Set the contrast; the level in the middle between its ink and its ground."""
    top, left, bottom, right = group.box
    at = np.s_[top:bottom, left:right]
    mask = pieces.among(group.numbers)[pieces.numbers[at]]
    ink, light = smooth[at][mask].astype(np.int64), ground[at][mask].astype(np.int64)
    depth = light - ink
    total = max(int(depth.sum()), 1)
    group.contrast = int((depth**2).sum()) // total
    return int((depth * (ink + light)).sum()) // (2 * total)


def _like(box: Box, margin: int, smooth: Pixels, middle: int) -> int:
    """How much within `margin` around the box is darker than `middle`, in per cent."""
    outer = smooth[
        max(0, box.top - margin) : box.bottom + margin,
        max(0, box.left - margin) : box.right + margin,
    ]
    inner = smooth[box.top : box.bottom, box.left : box.right]
    total = outer.size - inner.size
    darker = np.count_nonzero(outer < middle) - np.count_nonzero(inner < middle)
    return int(100 * darker // total) if total else 0
