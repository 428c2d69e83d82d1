"""How a data set's pictures were made, so that other pictures can be made the same way."""

from __future__ import annotations

from dataclasses import dataclass

from lenet.errors import UsageError

KINDS = ("ink", "fit", "stretch")
CENTRES = ("mass", "box")


@dataclass(frozen=True, slots=True)
class Convention:
    """What is done to a picture before a network sees it; it travels in the checkpoint.

    `ink`: the ink is found, cropped, fitted in `ink_side` pixels with its proportions, and put with
    its centre of mass (or of its box) in the middle.  `fit`: the whole picture is fitted in the
    network's shape with its proportions, and filled up with its ground.  `stretch`: it is resized
    to that shape.  With `light_ink`, dark on light is turned around.

    Raises:
        UsageError: if a field is none of these.
    """

    kind: str = "fit"
    ink_side: int = 20
    centre: str = "mass"
    light_ink: bool = True

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("centre", CENTRES)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise UsageError(f"{name} = {found!r}: it must be one of {', '.join(known)}")
        if self.ink_side < 1:
            raise UsageError(f"ink_side = {self.ink_side}: it must be at least 1")

    def describe(self) -> str:
        """The convention in words."""
        if self.kind == "ink":
            middle = "centre of mass" if self.centre == "mass" else "box"
            return f"ink in {self.ink_side}x{self.ink_side} pixels, its {middle} in the middle"
        how = "with its proportions" if self.kind == "fit" else "without its proportions"
        return f"the whole picture, resized {how}"


MNIST = Convention("ink", ink_side=20, centre="mass")
"""LeCun et al. 1998, section III-A: 20x20 by size, then 28x28 by centre of mass."""

EMNIST = Convention("ink", ink_side=24, centre="box")
"""Cohen et al. 2017, section II-A: the region of the ink, centred, two pixels of border."""

CLOTHES = Convention("fit")
"""Xiao, Rasul and Vollgraf 2017, section 2: the longer side to 28, centred, negated, grey."""

AS_GIVEN = Convention("fit", light_ink=False)
"""Pictures of unknown make: nothing but their size is changed."""
