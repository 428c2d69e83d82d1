"""Every number of one training, in and out of TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, final

from lenet.errors import RecipeError
from lenet.recipe.augmentation import Augmentation
from lenet.recipe.augmentation import check_used as check_augmentation_used
from lenet.recipe.values import (
    ABOVE_0,
    AT_LEAST_0,
    AT_LEAST_1,
    BELOW_1,
    FRACTION,
    Range,
    check,
    check_one,
    one_of,
    typed,
)
from lenet.system.facts import field_types, read_toml, shown

OPTIMIZERS = ("sgd", "adamw", "sdlm")
SCHEDULES = ("constant", "step", "cosine", "one_cycle", "lecun_1998")
INITIALISERS = (
    "xavier_uniform", "lecun_uniform", "kaiming_uniform", "lecun_1998", "lecun_1998_rates", "lush",
)  # fmt: skip
LOSSES = ("cross_entropy", "mse", "map")
ORDERS = ("shuffled", "constant")
SQUARES = ("half", "whole")
"""Of a distance: 1/2 |x - w|^2, or |x - w|^2 as LeCun et al. 1998 print it in equation 7."""

MOST_BYTES = 1 << 20
"""Of a recipe file, far above any recipe."""


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """All numbers of a training; the defaults are the note's.

    `learning_rate` is the schedule's peak.  `step_epochs` and `step_factor` serve the step
    schedule, `warmup_fraction` the one-cycle schedule; over the first `warmup_epochs` (0: none) of
    any other the rate grows in a straight line.  `momentum` and `nesterov` serve SGD; `beta1`,
    `beta2` and `epsilon` serve AdamW.  A gradient longer than `clip_norm` (0: any) is shortened to
    that.  With `averaging` above 0 the network that answers is the exponential moving average of
    the weights with that decay.  `curvature_images` and `curvature_floor` serve SDLM (LeCun et al.
    1998, appendix C): the images whose second derivatives are averaged before each epoch, and what
    is added to them (the paper's mu).  `loss` is that of the classes, or for a network that ends in
    distances the paper's equation 8 ("mse") or 9 ("map"), where `rubbish_cost` is j and `squares`
    says whether a distance is squared whole or halved.  An `order` of images is drawn for each
    epoch, or once.  Of each image there are so many `distortions` besides; an epoch is still as
    many images as there are in the train split.  `validation` is the number of train images held
    out for choosing.  `seed` fixes the initial weights, the held-out images, every order and what
    becomes of every image by `augmentation`, of which a dict changes the fields that it names.
    Where a training has teachers, `teacher_share` of a target is what they say at `temperature`,
    and the rest the label's.

    Raises:
        RecipeError: naming the field, its value and what it may be.

    """

    epochs: int = 10
    batch_size: int = 256
    seed: int = 0
    validation: int = 0
    initialiser: str = "xavier_uniform"
    optimizer: str = "sgd"
    learning_rate: float = 0.9
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    schedule: str = "constant"
    step_epochs: int = 3
    step_factor: float = 0.1
    warmup_fraction: float = 0.3
    label_smoothing: float = 0.0
    loss: str = "cross_entropy"
    rubbish_cost: float = 0.1
    squares: str = "half"
    curvature_images: int = 500
    curvature_floor: float = 0.02
    order: str = "shuffled"
    distortions: int = 0
    warmup_epochs: float = 0.0
    clip_norm: float = 0.0
    averaging: float = 0.0
    teacher_share: float = 0.9
    temperature: float = 2.0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, kind in field_types(type(self)).items():
            value = getattr(self, name)
            if kind is Augmentation:
                object.__setattr__(self, name, _changed(Augmentation(), value))
            else:
                object.__setattr__(self, name, typed(name, value, kind))
        check(self, _RANGES)
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum > 0):
            raise RecipeError("nesterov = true: it needs optimizer 'sgd' and momentum above 0")
        if self.momentum > 0 and self.optimizer != "sgd":
            cure = "use beta1" if self.optimizer == "adamw" else "leave it out"
            raise RecipeError(
                f"momentum = {self.momentum}: optimizer {self.optimizer!r} has none; {cure}"
            )
        if self.label_smoothing > 0 and self.loss != "cross_entropy":
            raise RecipeError(
                f"label_smoothing = {self.label_smoothing}: loss {self.loss!r} has none; leave it "
                "out, or use loss 'cross_entropy'"
            )
        if self.distortions > 0 and not self.augmentation.is_none:
            raise RecipeError(
                f"distortions = {self.distortions}: images are changed by augmentation already; "
                "leave one of them out"
            )
        if self.weight_decay > 0 and self.optimizer == "sdlm":
            raise RecipeError(
                f"weight_decay = {self.weight_decay}: optimizer 'sdlm' has none; leave it out"
            )
        if self.warmup_epochs > 0 and self.schedule == "one_cycle":
            raise RecipeError(
                f"warmup_epochs = {self.warmup_epochs}: schedule 'one_cycle' grows to its peak by "
                "itself; use warmup_fraction"
            )

    def to_toml(self) -> str:
        """The recipe as TOML text, one line a field, in the order of the class; tables last."""
        import tomli_w

        return tomli_w.dumps(asdict(self))

    @classmethod
    def from_toml(cls, text: str, place: str = "recipe") -> Recipe:
        """Read TOML text; fields that are left out keep their defaults.

        Raises:
            RecipeError: on bad TOML, an unknown key, or a value out of range.

        """
        try:
            values = read_toml(text)
        except ValueError as error:
            raise RecipeError(f"{place}: not TOML: {error}") from error
        return cls().with_changes(values, place)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe file, with or without a byte-order mark; see `from_toml`."""
        try:
            with open(path, "rb") as file:
                content = file.read(MOST_BYTES + 1)
            text = content.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RecipeError(f"{path}: cannot read this recipe: {reason}") from error
        if len(content) > MOST_BYTES:
            raise RecipeError(f"{path}: over {MOST_BYTES} bytes: not a recipe")
        return cls.from_toml(text, str(path))

    @classmethod
    def from_dict(cls, values: dict[str, Any], place: str = "recipe") -> Recipe:
        """Read plain values, such as JSON holds; see `from_toml`."""
        return cls().with_changes(values, place)

    def with_changes(self, changes: dict[str, Any], place: str = "recipe") -> Recipe:
        """This recipe with some fields changed, checked again."""
        _check_names(changes, place)
        try:
            if "augmentation" in changes:
                augmentation = _changed(self.augmentation, changes["augmentation"])
                changes = {**changes, "augmentation": augmentation}
            return replace(self, **changes)
        except RecipeError as error:
            raise RecipeError(f"{place}: {error}") from error


def check_changes(changes: dict[str, Any], place: str = "recipe") -> None:
    """Hold fields against their types and ranges, whatever recipe they will change.

    Raises:
        RecipeError: naming the field.
    """
    _check_names(changes, place)
    hints = field_types(Recipe)
    try:
        for name, value in changes.items():
            if name == "augmentation":
                _changed(Augmentation(), value)
            else:
                check_one(name, typed(name, value, hints[name]), _RANGES)
    except RecipeError as error:
        raise RecipeError(f"{place}: {error}") from error


def check_used(recipe: Recipe, named: Mapping[str, Any]) -> None:
    """Refuse fields that were named by hand and that this recipe makes no use of.

    `named` has the values too: those of `augmentation` are fields in their turn, of which defaults
    are not asked about, for a kept `Augmentation` has them all.

    Raises:
        RecipeError: naming the field and what it is for.
    """
    for name in named:
        for field_name, value in _USED_WITH.get(name, {}).items():
            if getattr(recipe, field_name) != value:
                raise RecipeError(
                    f"{name} = {getattr(recipe, name)}: it is for {field_name} {value!r}, and this "
                    f"is {getattr(recipe, field_name)!r}; leave it out, or name that too"
                )
    changes = _changed(Augmentation(), named.get("augmentation", {}))
    check_augmentation_used(recipe.augmentation, changes.differences())


def _check_names(changes: dict[str, Any], place: str) -> None:
    known = [item.name for item in fields(Recipe)]
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise RecipeError(
            f"{place}: unknown {', '.join(map(str, unknown))[:200]}; known are {', '.join(known)}"
        )


def _changed(augmentation: Augmentation, changes: Any) -> Augmentation:
    """`augmentation` with what a file, a flag or a caller changes of it."""
    if isinstance(changes, Augmentation):
        return changes
    if not isinstance(changes, dict):
        raise RecipeError(f"augmentation = {shown(changes)}: it must be a table of its fields")
    return augmentation.with_changes(changes)


_USED_WITH: dict[str, dict[str, str]] = {
    "beta1": {"optimizer": "adamw"},
    "beta2": {"optimizer": "adamw"},
    "epsilon": {"optimizer": "adamw"},
    "curvature_images": {"optimizer": "sdlm"},
    "curvature_floor": {"optimizer": "sdlm"},
    "step_epochs": {"schedule": "step"},
    "step_factor": {"schedule": "step"},
    "warmup_fraction": {"schedule": "one_cycle"},
    "rubbish_cost": {"loss": "map"},
}
"""What must be chosen for a field to matter."""

_RANGES: dict[str, Range] = {
    "epochs": AT_LEAST_1,
    "batch_size": AT_LEAST_1,
    "seed": ((lambda value: 0 <= value < 2**63), "between 0 and 2^63 - 1"),
    "validation": AT_LEAST_0,
    "initialiser": one_of(INITIALISERS),
    "optimizer": one_of(OPTIMIZERS),
    "learning_rate": ABOVE_0,
    "momentum": BELOW_1,
    "weight_decay": AT_LEAST_0,
    "beta1": BELOW_1,
    "beta2": BELOW_1,
    "epsilon": ABOVE_0,
    "schedule": one_of(SCHEDULES),
    "step_epochs": AT_LEAST_1,
    "step_factor": ((lambda value: 0 < value <= 1), "above 0 and at most 1"),
    "warmup_fraction": ((lambda value: 0 < value < 1), "between 0 and 1"),
    "label_smoothing": BELOW_1,
    "loss": one_of(LOSSES),
    "rubbish_cost": AT_LEAST_0,
    "squares": one_of(SQUARES),
    "curvature_images": AT_LEAST_1,
    "curvature_floor": ABOVE_0,
    "order": one_of(ORDERS),
    "distortions": AT_LEAST_0,
    "warmup_epochs": AT_LEAST_0,
    "clip_norm": AT_LEAST_0,
    "averaging": BELOW_1,
    "teacher_share": FRACTION,
    "temperature": ABOVE_0,
}
