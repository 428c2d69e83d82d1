"""A picture made into what a network was trained on, in NumPy: ink found, fitted and centred.

The compiled part (`native/picture.hpp`) is faster and equal byte for byte: this is the reference
that its tests compare it with, and what is used where there is none.  All is done in whole numbers,
so that every machine gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lenet.data.pictures.fitting import Wish, make_character
from lenet.data.pictures.groups import Group, edges_touched, find_groups, weigh
from lenet.data.pictures.reading import Box, Pixels, Reading
from lenet.data.pictures.rules import LEAST_SIDE as LEAST_SIDE_RULED
from lenet.data.pictures.rules import Mask, find_rules
from lenet.data.pictures.stains import part_fainter
from lenet.data.pictures.strokes import Pieces, count_steps, find_strokes
from lenet.data.pictures.windows import (
    blurred,
    closed,
    histogram,
    quantile,
    roughness,
    to_grey,
    without_lone_pixels,
)

LEAST_CONTRAST = 14
"""In 255 parts of the ground's light: what stands out less is no ink."""

DARKEST_GROUND = 40
"""Levels: on darker ground, ink is weighed as if it were so light."""

LEAST_REAL = 40
"""Per cent: of less of its edge a piece is where a window ended."""

LEAST_LINE = 3
"""Characters that make a line: light around so many is a page."""

ROUGH, ROUGH_SIDE, MOST_BLURS = 2, 96, 3
"""A picture that has so many pixels the shorter way, and is as rough, is smoothed first."""

DOTTED = 32
"""How rough a picture is at least that is made of black and white dots."""

INK, RULE, LEFT_OUT = 255, 128, 64

MOST_SIDE, MOST_IMAGE_SIDE = 1 << 14, 1 << 12
"""Pixels of a side, of a picture and of an image: the compiled part's limits."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A picture looked at for ink that is darker than its ground; groups, the best first."""

    ground: Pixels
    ink: Pixels
    rules: int
    gone: Mask
    pieces: Pieces
    groups: list[Group]

    @property
    def score(self) -> int:
        return self.groups[0].score if self.groups else 0


def read_characters(
    picture: Pixels, rows: int, columns: int, ink_side: int, by_mass: bool
) -> Reading:
    """The characters in a picture uint8 (rows, columns), as images (`rows`, `columns`).

    The picture may be (rows, columns, 3) too, in red, green and blue.

    The ink's longer side becomes `ink_side`, or what there is room for, and its centre of mass, or
    that of its box, comes into the middle.

    Raises:
        ValueError: if there is no pixel in a size that is given or asked for, or too many, or the
            picture has another shape.
    """
    if picture.ndim != 2 and (picture.ndim != 3 or picture.shape[2] != 3):
        raise ValueError("a picture is (rows, columns), or (rows, columns, 3) of colours")
    if not picture.size or max(picture.shape[:2]) > MOST_SIDE:
        raise ValueError("the picture has no pixel, or too many")
    sides = rows, columns, ink_side
    if min(sides) < 1 or max(sides) > MOST_IMAGE_SIDE:
        raise ValueError("the image has no pixel, or too many")
    grey = picture if picture.ndim == 2 else to_grey(picture)
    dark, light = _look_both_ways(grey)
    is_dark = _dark_wins(dark, light)
    side = dark if is_dark else light
    if not side.groups:
        return Reading(is_dark, side.rules, None, None, None, ())
    chosen = [group for group in side.groups if _is_character(group, side.groups[0], grey.shape)]
    wish = Wish(rows, columns, ink_side, by_mass)
    return Reading(
        is_dark,
        side.rules,
        side.ground if is_dark else 255 - side.ground,
        side.ink,
        _kept(side, chosen),
        tuple(make_character(side.ink, side.pieces, group, wish) for group in chosen),
    )


def _look_both_ways(grey: Pixels) -> tuple[Side, Side]:
    """The picture looked at for dark ink, and for light ink."""
    smooth, shorter = _smoothed(grey), min(grey.shape)
    dark, light = _look_for_both(smooth, max(3, shorter // (3 if shorter < 64 else 4) | 1))
    best = dark if _dark_wins(dark, light) else light
    is_apart = bool(best.groups) and edges_touched(best.groups[0].box, grey.shape) <= 1
    if is_apart and not _is_cut_close(smooth):
        return dark, light
    # Ink that is wider than the window, as in a picture cut close to it.
    whole = _look_for_both(smooth, None)
    if not best.groups or max(side.score for side in whole) > max(dark.score, light.score):
        return whole
    return dark, light


def _smoothed(grey: Pixels) -> Pixels:
    """Without noise; what is made of dots loses them."""
    smooth = without_lone_pixels(grey)
    if min(grey.shape) < ROUGH_SIDE:
        return smooth
    is_dotted = roughness(smooth) >= DOTTED
    for _ in range(MOST_BLURS):
        if not is_dotted and roughness(smooth) < ROUGH:
            break
        smooth = blurred(smooth)
    return smooth


def _is_cut_close(smooth: Pixels) -> bool:
    """Whether there is dark and light at each edge, as where a picture was cut close to its ink."""
    dark = smooth <= (int(smooth.min()) + int(smooth.max())) // 2
    edges = dark[0], dark[-1], dark[:, 0], dark[:, -1]
    return all(bool(edge.any() and not edge.all()) for edge in edges)


def _look_for_both(smooth: Pixels, window: int | None) -> tuple[Side, Side]:
    """Dark and light ink.

    Strokes on a ground that is one level are what was written: no other ink is then looked for.
    """
    other = 255 - smooth
    on_dark = _is_on_level_ground(other)
    is_level = on_dark or _is_on_level_ground(smooth)
    first = _look(other if on_dark else smooth, window)
    if is_level and _is_written(first):
        second = replace(first, groups=[])
    else:
        second = _look(smooth if on_dark else other, window)
    return (second, first) if on_dark else (first, second)


def _is_on_level_ground(smooth: Pixels) -> bool:
    """Whether all of the edge and most of the rest is as light as the lightest pixel."""
    lightest = smooth == smooth.max()
    edge = [lightest[0], lightest[-1], lightest[:, 0], lightest[:, -1]]
    return bool(2 * np.count_nonzero(lightest) >= lightest.size and all(map(np.all, edge)))


def _is_written(side: Side) -> bool:
    """Whether the best of a side is strokes away from the edge, and no page."""
    best = side.groups[0] if side.groups else None
    return best is not None and not best.solid and not edges_touched(best.box, side.ink.shape)


def _look(smooth: Pixels, window: int | None) -> Side:
    """Ink that is darker than its ground, in strokes that are narrower than `window`.

    Without a window the ground is one level: what is lightest, but for a tenth.
    """
    if window:
        ground = closed(smooth, window)
    else:
        ground = np.full_like(smooth, quantile(histogram(smooth), 900))
    ink, faint = _lift(smooth, ground)
    rules, gone = find_rules(ink, faint)
    ink[gone] = 0
    if min(smooth.shape) >= LEAST_SIDE_RULED:
        ink = part_fainter(ink, faint)
    pieces = find_strokes(ink, faint)
    least_real = LEAST_REAL if window else 0
    groups = find_groups(pieces, *count_steps(pieces, ground, smooth), least_real)
    return Side(ground, ink, rules, gone, pieces, weigh(groups, pieces, ground, smooth))


def _lift(smooth: Pixels, ground: Pixels) -> tuple[Pixels, int]:
    """How far each pixel stands out from the ground and its noise; what is faint nevertheless."""
    least = max(DARKEST_GROUND, quantile(histogram(ground), 900) * 2 // 5)
    depth = np.maximum(ground.astype(np.int64) - smooth, 0)
    ink = depth * 255 // np.maximum(ground, least)
    counts = histogram(ink)
    low, middle = quantile(counts, 50), quantile(counts, 300)
    spread = middle - low
    lifted = np.maximum(ink - (middle + spread // 2), 0).astype(np.uint8)
    return lifted, max(LEAST_CONTRAST, 4 * spread)


def _dark_wins(dark: Side, light: Side) -> bool:
    """Whether what is dark on light is what was written, and not what is light on dark."""
    if not (dark.groups and light.groups):
        return not light.groups
    ink, other = dark.groups[0], light.groups[0]
    if _is_written_on(dark, light):
        return True
    if _is_written_on(light, dark):
        return False
    shape = dark.ink.shape
    if _contains(ink, other, shape):
        return True
    if _contains(other, ink, shape):
        return False
    return _strength(ink) >= _strength(other)


def _strength(group: Group) -> int:
    """How it stands out, in grey levels: parts of the ground's light are more on a dark ground."""
    return group.score // max(1, group.level) * group.contrast


def _contains(a: Group, b: Group, shape: tuple[int, ...]) -> bool:
    """Whether b is what a leaves free: the holes of a character, and not what a ground leaves."""
    is_ground = edges_touched(a.box, shape) >= 3 and b.box.side * 10 >= a.box.side * 7 and b.solid
    return (
        not is_ground
        and a.box.encloses(b.box)
        and a.contrast * 10 >= b.contrast * 6
        and a.real >= 85
        and a.like < 40
        and a.score * 3 >= b.score
        and a.area * 100 < 80 * a.box.height * a.box.width
    )


def _overlap(a: Box, b: Box) -> bool:
    return a.top < b.bottom and b.top < a.bottom and a.left < b.right and b.left < a.right


def _is_stroke_beside(b: Group, a: Group) -> bool:
    """Whether b may be a stroke that is as strong as a."""
    return (
        b.contrast * 10 >= a.contrast * 6
        and b.real >= 85
        and b.like < 40
        and b.width < 30 * b.box.side
    )


def _stands_on(b: Group, a: Group) -> bool:
    """Whether b is a stroke with room for it on a, and as strong."""
    return a.box.encloses(b.box) and _is_stroke_beside(b, a)


def _has_room(b: Group, a: Group, shape: tuple[int, ...]) -> bool:
    """Whether b is a stroke around which the ground goes on, so that a is part of that ground."""
    return (
        _is_stroke_beside(b, a)
        and _overlap(a.box, b.box)
        and not b.like
        and b.far_like < 10
        and not edges_touched(b.box, shape)
        and _strength(b) * 2 >= _strength(a)
    )


def _is_written_on(side: Side, other: Side) -> bool:
    """Whether the best of `other` is a page on a table, and what is best of `side` written on it.

    One character, or with others a line of them; a character has fewer holes.
    """
    a, b = other.groups[0], side.groups[0]
    if _has_room(b, a, side.ink.shape):
        return True
    if a.area * 100 <= 30 * a.box.height * a.box.width:
        return False
    if a.solid and b.box.side * 10 >= a.box.side and _stands_on(b, a):
        return True
    line = [
        group
        for group in side.groups
        if group.box.side * 2 >= b.box.height and _stands_on(group, a)
    ]
    return b.box.side * 25 >= a.box.side and len(line) >= LEAST_LINE


def _is_character(group: Group, main: Group, shape: tuple[int, ...]) -> bool:
    """Whether a group is read: the main one, and what is like it in size, strength and place."""
    return group is main or (
        group.box.side * 2 >= main.box.height
        and group.level * 2 >= main.level
        and not edges_touched(group.box, shape)
        and group.box.width <= 2 * group.box.height
        and group.score * 20 > main.score
    )


def _kept(side: Side, chosen: list[Group]) -> Pixels:
    """What became of each pixel of ink: `INK`, `RULE`, `LEFT_OUT`, or 0 for none."""
    numbers = side.pieces.numbers
    read = side.pieces.among([number for group in chosen for number in group.numbers])[numbers]
    return np.select([read, side.gone, numbers > 0], [INK, RULE, LEFT_OUT]).astype(np.uint8)
