"""How own data is read: the choices that decide which images there are and in which split."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from lenet.data.pictures.convention import Convention
from lenet.data.pictures.groups import LEAST_SIDE
from lenet.errors import UsageError

SIDE = 28
"""Height and width that pictures get where none is chosen: MNIST's."""

INK_SHARE = 20 / 28
"""Side of the ink in that of the picture (LeCun et al. 1998, section III-A)."""

MOST_SIDE = 1024
RESIZES = ("fit", "stretch", "ink")


@dataclass(frozen=True, slots=True)
class Reading:
    """The user's choices.

    `size` is height and width, `channels` 1 (grey) or 3 (colour); without them pictures become
    28x28 grey, and numbers in a file of images stay as they are stored.  `resize` is how a picture
    gets its size: `fit` keeps its proportions and fills up with its ground, `stretch` does not,
    and `ink` makes light ink on dark, fitted and centred, as MNIST was made.  `split_seed` chooses
    the test images where the data has no test split; it is not the recipe's seed, so that
    trainings with different seeds are scored on the same images.

    Raises:
        UsageError: if a choice is none of these.
    """

    size: int | None = None
    channels: int | None = None
    resize: str = "fit"
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "channels", "split_seed"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Integral):
                raise UsageError(f"{name} = {value!r}: it must be a whole number")
        if self.size is not None and not LEAST_SIDE <= self.size <= MOST_SIDE:
            raise UsageError(f"size = {self.size}: it must be from {LEAST_SIDE} to {MOST_SIDE}")
        if self.channels not in (None, 1, 3):
            raise UsageError(f"channels = {self.channels}: it must be 1 (grey) or 3 (colour)")
        if self.resize not in RESIZES:
            raise UsageError(f"resize = {self.resize!r}: it must be one of {', '.join(RESIZES)}")
        if self.resize == "ink" and self.channels == 3:
            raise UsageError("resize = 'ink' makes grey pictures; leave out channels = 3")
        if self.split_seed < 0:
            raise UsageError(f"split_seed = {self.split_seed}: it must be at least 0")

    def convention(self, side: int) -> Convention:
        """What is done to pictures of which the smaller side becomes `side`."""
        if self.resize == "ink":
            return Convention("ink", ink_side=max(1, round(INK_SHARE * side)))
        return Convention(self.resize, light_ink=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where own data is, as an absolute path, and how it is read: the same images come again."""

    path: str
    reading: Reading
