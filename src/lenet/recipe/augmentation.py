"""How much the images of a training are changed each time they are seen: numbers, as data.

The pixels are changed in `lenet.data.augmentation`, and by engines that can do it themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, final

from lenet.errors import RecipeError
from lenet.recipe.values import FRACTION, check, one_of, typed
from lenet.system.facts import field_types, read_toml

BORDERS = ("zero", "edge")

ONE = 1 << 24
"""1 in the numbers of an affine map: 24 bits stand behind the point."""

PIXEL = 1 << 16
"""A pixel, or a grey level, where places and levels are whole numbers."""

KERNEL = 1 << 14
"""1 in the weights that smooth a field of displacements."""

KERNEL_REACH = 3.0
"""Standard deviations from the middle of a kernel to its end."""


@final
@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may become of an image, drawn anew for each image in each epoch; nothing by default.

    `flip`: half of the images are mirrored, left to right.  `shift`: whole pixels, at most, in each
    direction.  `scale`: sizes from 1 - scale to 1 + scale.  `squeeze`: wider by up to that share
    and lower by as much, or the reverse; `shear`: each row is moved against the one above by up to
    so much of a pixel (LeCun et al. 1998, section III-D, has these two).  `rotation`: degrees, at
    most, to either side.  `elastic`: displacements drawn from -1 to 1 for every pixel, smoothed by
    a Gaussian of `elastic_smoothness` pixels and multiplied by `elastic` (Simard, Steinkraus and
    Platt 2003, section 2: 34 and 4 for MNIST).  What comes from outside of the image is `border`:
    "zero" (black), or the nearest "edge".  `brightness`: added, as a share of white, at most.
    `contrast`: the distance from middle grey is multiplied by 1 - contrast to 1 + contrast.
    `erase`: share of the images that lose a rectangle, whose sides are up to `erase_side` of the
    image's, to a grey (Zhong et al. 2017).

    Raises:
        RecipeError: naming the field, its value and what it may be.

    """

    flip: bool = False
    shift: int = 0
    scale: float = 0.0
    squeeze: float = 0.0
    shear: float = 0.0
    rotation: float = 0.0
    elastic: float = 0.0
    elastic_smoothness: float = 4.0
    border: str = "zero"
    brightness: float = 0.0
    contrast: float = 0.0
    erase: float = 0.0
    erase_side: float = 0.4

    def __post_init__(self) -> None:
        for name, kind in field_types(type(self)).items():
            object.__setattr__(self, name, typed(name, getattr(self, name), kind))
        check(self, _RANGES)

    @property
    def is_none(self) -> bool:
        """Whether every image stays as it is."""
        return not (self.moves or self.flip or self.brightness or self.contrast or self.erase)

    @property
    def moves(self) -> bool:
        """Whether pixels move, a flip aside."""
        return bool(self.shift or self.bends)

    @property
    def bends(self) -> bool:
        """Whether pixels move otherwise than by whole ones."""
        return bool(self.scale or self.squeeze or self.shear or self.rotation or self.elastic)

    def with_changes(self, changes: dict[str, Any]) -> Augmentation:
        """The same with some fields changed, checked again."""
        known = [item.name for item in fields(self)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise RecipeError(
                f"augmentation: unknown {', '.join(map(str, unknown))[:200]}; known are "
                f"{', '.join(known)}"
            )
        return replace(self, **changes)

    def numbers(self) -> Numbers:
        """The same as whole numbers, from which images are made."""
        return Numbers(
            flip=int(self.flip),
            shift=self.shift,
            scale=round(self.scale * ONE),
            squeeze=round(self.squeeze * ONE),
            shear=round(self.shear * ONE),
            rotation=round(math.radians(self.rotation) * ONE),
            elastic=round(self.elastic * PIXEL),
            kernel=_kernel(self.elastic_smoothness) if self.elastic else (),
            edge=int(self.border == "edge"),
            brightness=round(self.brightness * 255 * PIXEL),
            contrast=round(self.contrast * PIXEL),
            erase=round(self.erase * ONE),
            erase_side=round(self.erase_side * PIXEL),
        )

    def differences(self) -> dict[str, Any]:
        """The fields that are not as they are by default."""
        default = Augmentation()
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value != getattr(default, name)}

    def __str__(self) -> str:
        """The fields that do something, as in a recipe file."""
        said = [f"{name} = {_toml(value)}" for name, value in self.differences().items()]
        return ", ".join(said) or "none"


def check_used(augmentation: Augmentation, named: Iterable[str]) -> None:
    """Refuse fields that were named by hand and that change no image.

    Raises:
        RecipeError: naming the field and what it is for.
    """
    for name in named:
        needed, what = _USED_WITH.get(name, ("", ""))
        if needed and not getattr(augmentation, needed):
            raise RecipeError(
                f"augmentation: {name} = {_toml(getattr(augmentation, name))}: it is for {what}; "
                "leave it out, or name that too"
            )


def read_fields(text: str, place: str) -> dict[str, Any]:
    """Fields written in one line, as `rotation = 10, flip = true`.

    Raises:
        RecipeError: if that is not what `text` is.
    """
    try:
        fields_of_text: dict[str, Any] = read_toml(f"fields = {{{text}}}")["fields"]
    except ValueError as error:
        raise RecipeError(
            f'{place} {text!r}: not fields, as "rotation = 10, shift = 2": {error}'
        ) from error
    return fields_of_text


@final
@dataclass(frozen=True, slots=True)
class Numbers:
    """An `Augmentation` in whole numbers, so that every engine makes the same bytes.

    `scale`, `squeeze`, `shear`, `rotation` (radians) and `erase` are in units of 1 / `ONE`;
    `elastic` (pixels), `brightness` (grey levels), `contrast` and `erase_side` of 1 / `PIXEL`;
    `kernel` has an odd number of weights, of 1 / `KERNEL`, and none without `elastic`.
    """

    flip: int
    shift: int
    scale: int
    squeeze: int
    shear: int
    rotation: int
    elastic: int
    kernel: tuple[int, ...]
    edge: int
    brightness: int
    contrast: int
    erase: int
    erase_side: int


def _kernel(smoothness: float) -> tuple[int, ...]:
    """A Gaussian of so many pixels, cut off at `KERNEL_REACH`; its weights add up to about 1."""
    reach = math.ceil(KERNEL_REACH * smoothness)
    heights = [math.exp(-0.5 * (x / smoothness) ** 2) for x in range(-reach, reach + 1)]
    total = math.fsum(heights)
    return tuple(round(KERNEL * height / total) for height in heights)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


_USED_WITH = {
    "elastic_smoothness": ("elastic", "elastic above 0, and this is 0"),
    "border": ("moves", "images that are moved, and nothing moves these"),
    "erase_side": ("erase", "erase above 0, and this is 0"),
}
"""What must be there for a field to matter, and how that is said."""

_RANGES: dict[str, tuple[Any, str]] = {
    "shift": ((lambda value: 0 <= value <= 1024), "from 0 to 1024"),
    "scale": ((lambda value: 0 <= value <= 0.9), "from 0 to 0.9"),
    "squeeze": ((lambda value: 0 <= value <= 0.9), "from 0 to 0.9"),
    "shear": ((lambda value: 0 <= value <= 2), "from 0 to 2"),
    "rotation": ((lambda value: 0 <= value <= 180), "from 0 to 180"),
    "elastic": ((lambda value: 0 <= value < 256), "at least 0 and below 256"),
    "elastic_smoothness": ((lambda value: 0.5 <= value <= 32), "from 0.5 to 32"),
    "border": one_of(BORDERS),
    "brightness": FRACTION,
    "contrast": FRACTION,
    "erase": FRACTION,
    "erase_side": ((lambda value: 0 < value <= 1), "above 0 and at most 1"),
}
