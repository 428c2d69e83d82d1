"""Images as they are seen in one epoch: moved, bent, lit and cut, in NumPy.

This is the plain reference: whole numbers alone, in an order that is stated, so that whoever does
the same makes the same bytes.  What becomes of an image hangs on (seed, epoch, image) and on
nothing else: not on its batch, on threads or on a restart.

- Words.  `mix` is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, figure 16), `GOLDEN` its
  step, and all sums and products are modulo 2^64.  The stream of an image has the key
  mix(mix(mix(seed + STREAM) + GOLDEN epoch) + GOLDEN image), and its word i is
  mix(key + GOLDEN (i + 1)).  Each draw has a word of its own, used or not (`Word`), and the field
  of displacements has those from `FIELD` on; so what one number of a recipe draws never hangs on
  the others.
- A *unit* is word >> 40 less 2^23: -2^23 to 2^23 - 1.  An amplitude a becomes a unit >> 23, and all
  shifts of negative numbers round down.
- A place in the image is in units of 1 / `PIXEL`; pixel x is at x PIXEL.  A pixel of the result is
  looked up at its place less the shift, turned, sheared and stretched around the middle, displaced,
  and mirrored (`_places`), between four pixels, with 8 bits of weight in each direction.
- Then light: contrast and brightness.  Then a rectangle is erased.

"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lenet.recipe.augmentation import KERNEL, ONE, PIXEL, Augmentation, Numbers

GOLDEN = 0x9E3779B97F4A7C15
STREAM = 0x6175676D656E7473
"""Names this stream among all that a seed may begin: "augments" in ASCII."""

FIELD = 16
"""The first word of the displacements; each word holds four, of 16 bits, the lowest first."""

UNIT = 23
"""Bits of a unit, its sign aside."""

SERIES = 8
"""Terms of the series of sine and cosine: at 180 degrees they are right to 1 / 2^20."""

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]


class Word(IntEnum):
    """Which word of an image's stream decides what."""

    flip = 0
    shift_x = 1
    shift_y = 2
    scale = 3
    squeeze = 4
    shear = 5
    rotation = 6
    contrast = 7
    brightness = 8
    erase = 9
    erase_height = 10
    erase_width = 11
    erase_top = 12
    erase_left = 13
    erase_grey = 14


def augment(
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
) -> NDArray[np.uint8]:
    """`images` uint8 (n, channels, height, width) as they are in `epoch`, copied, line by line.

    `indices` int64 (n,) are their numbers in the train split, which name their streams.
    """
    if augmentation.is_none or not len(images):
        return images.copy()
    numbers, keys = augmentation.numbers(), stream_keys(seed, epoch, indices)
    if augmentation.bends:
        changed = _sample(images, *_places(numbers, keys, *images.shape[2:]), numbers.edge)
    elif augmentation.moves or augmentation.flip:
        changed = _shifted(images, numbers, keys)
    else:
        changed = images.copy()
    if numbers.contrast or numbers.brightness:
        changed = _light(changed, numbers, keys)
    if numbers.erase:
        _erase(changed, numbers, keys)
    return np.ascontiguousarray(changed)


def stream_keys(seed: int, epoch: int, indices: NDArray[np.int64]) -> Words:
    """The key of each image's stream, uint64 (n,)."""
    first = _mix(_word(seed + STREAM))
    second = _mix(first + _word(GOLDEN * epoch))
    return _mix(second + np.asarray(indices).astype(np.uint64) * _word(GOLDEN))


def words(keys: Words, number: int) -> Words:
    """Word `number` of each stream, uint64 (n,)."""
    return _mix(keys + _word(GOLDEN * (number + 1)))


def _word(value: int) -> Words:
    """A whole number modulo 2^64, as an array, whose sums and products wrap without a warning."""
    return np.array([value % 2**64], np.uint64)


def _mix(word: Words) -> Words:
    word = (word ^ (word >> np.uint64(30))) * _word(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * _word(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def _drawn(keys: Words, word: Word, amplitude: int) -> Integers:
    """From -amplitude to almost amplitude, (n,)."""
    unit = (words(keys, word) >> np.uint64(40)).astype(np.int64) - (1 << UNIT)
    return amplitude * unit >> UNIT


def _below(keys: Words, word: Word, count: Integers | int) -> Integers:
    """A whole number from 0 to count - 1, (n,)."""
    return (words(keys, word) >> np.uint64(32)).astype(np.int64) * count >> 32


def _flipped(numbers: Numbers, keys: Words) -> NDArray[np.bool_]:
    mirrored: NDArray[np.bool_] = words(keys, Word.flip) >> np.uint64(63) == 1
    return mirrored & bool(numbers.flip)


def _shifts(numbers: Numbers, keys: Words) -> tuple[Integers, Integers]:
    """Whole pixels to the right and down."""
    count = 2 * numbers.shift + 1
    return (
        _below(keys, Word.shift_x, count) - numbers.shift,
        _below(keys, Word.shift_y, count) - numbers.shift,
    )


def _sine_and_cosine(angle: Integers) -> tuple[Integers, Integers]:
    """Of radians in units of 1 / `ONE`, by their series from the last term to the first."""
    square = angle * angle >> 24
    sine = cosine = np.full_like(angle, ONE)
    for term in range(SERIES, 0, -1):
        sine = ONE - ((square * sine >> 24) * _part(2 * term * (2 * term + 1)) >> 24)
        cosine = ONE - ((square * cosine >> 24) * _part(2 * term * (2 * term - 1)) >> 24)
    return angle * sine >> 24, cosine


def _part(divisor: int) -> int:
    """1 / divisor, in units of 1 / `ONE`, to the nearest."""
    return (2 * ONE // divisor + 1) >> 1


def _inverse_map(numbers: Numbers, keys: Words) -> tuple[Integers, Integers, Integers, Integers]:
    """From a place in the result to one in the image: (xx, xy, yx, yy), each (n,)."""
    size = ONE + _drawn(keys, Word.scale, numbers.scale)
    ratio = ONE + _drawn(keys, Word.squeeze, numbers.squeeze)
    shear = _drawn(keys, Word.shear, numbers.shear)
    sine, cosine = _sine_and_cosine(_drawn(keys, Word.rotation, numbers.rotation))
    narrow = (ONE * ONE // size) * ONE // ratio
    low = (ONE * ONE // size) * ratio >> 24
    return (
        narrow * (cosine + (shear * sine >> 24)) >> 24,
        narrow * (sine - (shear * cosine >> 24)) >> 24,
        -(low * sine >> 24),
        low * cosine >> 24,
    )


def _places(numbers: Numbers, keys: Words, height: int, width: int) -> tuple[Integers, Integers]:
    """Where each pixel of the result is looked up: columns and rows, both (n, height, width)."""
    xx, xy, yx, yy = (part[:, None, None] for part in _inverse_map(numbers, keys))
    right, down = (shift[:, None, None] * PIXEL for shift in _shifts(numbers, keys))
    x = ((2 * np.arange(width) - (width - 1)) * (PIXEL // 2))[None, None] - right
    y = ((2 * np.arange(height) - (height - 1)) * (PIXEL // 2))[None, :, None] - down
    columns = (width - 1) * (PIXEL // 2) + (xx * x + xy * y >> 24)
    rows = (height - 1) * (PIXEL // 2) + (yx * x + yy * y >> 24)
    if numbers.elastic:
        across, along = _displacements(numbers, keys, height, width)
        columns, rows = columns + across, rows + along
    columns = np.where(
        _flipped(numbers, keys)[:, None, None], (width - 1) * PIXEL - columns, columns
    )
    return columns, rows


def _displacements(
    numbers: Numbers, keys: Words, height: int, width: int
) -> tuple[Integers, Integers]:
    """Smoothed noise across and along, (n, height, width); beyond the image there is none."""
    size = height * width
    drawn = [words(keys, FIELD + word) for word in range(-(-2 * size // 4))]
    noise = np.ascontiguousarray(np.stack(drawn, axis=1)).astype("<u8").view("<i2")[:, : 2 * size]
    field = noise.astype(np.int32).reshape(-1, 2, height, width)
    for axis in (3, 2):
        field = _smooth(field, numbers.kernel, axis)
    moved = numbers.elastic * field.astype(np.int64) >> 15
    return moved[:, 0], moved[:, 1]


def _smooth(field: NDArray[np.int32], kernel: tuple[int, ...], axis: int) -> NDArray[np.int32]:
    reach, length = len(kernel) // 2, field.shape[axis]
    around = [(reach, reach) if each == axis else (0, 0) for each in range(field.ndim)]
    padded, total = np.pad(field, around), np.zeros_like(field)
    for place, weight in enumerate(kernel):
        total += np.int32(weight) * np.take(padded, range(place, place + length), axis)
    return total >> (KERNEL.bit_length() - 1)


def _sample(
    images: NDArray[np.uint8], columns: Integers, rows: Integers, edge: int
) -> NDArray[np.uint8]:
    """Between the four pixels around each place."""
    column, row = columns >> 16, rows >> 16
    right, down = columns >> 8 & 255, rows >> 8 & 255
    value = np.full(images.shape, 1 << 15, np.int64)
    for y, x, weight in (
        (row, column, (256 - down) * (256 - right)),
        (row, column + 1, (256 - down) * right),
        (row + 1, column, down * (256 - right)),
        (row + 1, column + 1, down * right),
    ):
        value += weight[:, None] * _pixels(images, y, x, edge)
    return (value >> 16).astype(np.uint8)


def _pixels(
    images: NDArray[np.uint8], rows: Integers, columns: Integers, edge: int
) -> NDArray[np.uint8]:
    """The pixels at whole places, (n, channels, height, width)."""
    count, _, height, width = images.shape
    y, x = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    found = images[np.arange(count)[:, None, None], :, y, x]
    if not edge:
        found[(y != rows) | (x != columns)] = 0
    return np.moveaxis(found, -1, 1)


def _shifted(images: NDArray[np.uint8], numbers: Numbers, keys: Words) -> NDArray[np.uint8]:
    """What `_sample` makes where whole pixels move, without the products."""
    height, width = images.shape[2:]
    right, down = _shifts(numbers, keys)
    columns = np.arange(width)[None] - right[:, None]
    columns = np.where(_flipped(numbers, keys)[:, None], width - 1 - columns, columns)
    rows = np.arange(height)[None] - down[:, None]
    shape = (len(images), height, width)
    return _pixels(
        images,
        np.broadcast_to(rows[:, :, None], shape),
        np.broadcast_to(columns[:, None], shape),
        numbers.edge,
    )


def _light(images: NDArray[np.uint8], numbers: Numbers, keys: Words) -> NDArray[np.uint8]:
    """Contrast around middle grey, and brightness; rounded to the nearest level, and clipped."""
    gain = PIXEL + _drawn(keys, Word.contrast, numbers.contrast)
    level = 255 * (PIXEL // 2) + _drawn(keys, Word.brightness, numbers.brightness)
    gain, level = gain[:, None, None, None], level[:, None, None, None]
    moved = ((2 * images.astype(np.int64) - 255) * gain >> 1) + level + PIXEL // 2 >> 16
    clipped: NDArray[np.uint8] = np.clip(moved, 0, 255).astype(np.uint8)
    return clipped


def _erase(images: NDArray[np.uint8], numbers: Numbers, keys: Words) -> None:
    """In place: a rectangle of a grey, of the same place in all channels."""
    height, width = images.shape[2:]
    tall = 1 + _below(keys, Word.erase_height, max(1, height * numbers.erase_side >> 16))
    wide = 1 + _below(keys, Word.erase_width, max(1, width * numbers.erase_side >> 16))
    top = _below(keys, Word.erase_top, height - tall + 1)
    left = _below(keys, Word.erase_left, width - wide + 1)
    grey = words(keys, Word.erase_grey) >> np.uint64(56)
    erased = (words(keys, Word.erase) >> np.uint64(40)).astype(np.int64) < numbers.erase
    for index in np.flatnonzero(erased):
        rows = slice(top[index], top[index] + tall[index])
        columns = slice(left[index], left[index] + wide[index])
        images[index, :, rows, columns] = grey[index]
