"""A study as data: a question, arms as changes to a base, seeds, and what is measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from lenet import data as data_sets
from lenet.errors import LenetError, StudyError
from lenet.network import zoo
from lenet.recipe import Recipe
from lenet.recipe.recipe import check_used
from lenet.system.facts import read_toml
from lenet.training.setup import check_loss

FORMAT = 1
"""Of a run's result; part of every key, so that results of another format are not mixed in."""

NO_ARMS = {
    "seed": "every arm is trained with those of the study; use seeds, and seed_offset of an arm",
    "teacher_share": "a study has no teachers; leave it out",
    "temperature": "a study has no teachers; leave it out",
}
"""Fields of a recipe that cannot make an arm, and why."""

MEASURES = ("accuracy", "loss")
"""What arms are compared by."""


@dataclass(frozen=True, slots=True)
class Task:
    """One training of a study: a network, its data and its recipe with the seed."""

    model: str
    changes: tuple[tuple[str, str], ...]
    data: str
    recipe: Recipe

    @property
    def key(self) -> str:
        """Name of the result: the same task has the same key in every study."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def describe(self) -> str:
        """The task in words."""
        what = " ".join(value for _, value in self.changes) or self.model
        return f"{what}, learning rate {self.recipe.learning_rate:g}, seed {self.recipe.seed}"


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the things compared: changes to the network and to the recipe.

    `learning_rates` are those that the arm is tried at; `seed_offset` is added to every seed.
    """

    name: str
    network: tuple[tuple[str, str], ...]
    recipe: Recipe
    learning_rates: tuple[float, ...]
    seed_offset: int = 0

    def settings(self) -> tuple[Any, ...]:
        """What makes it another arm, the seeds aside."""
        return (self.network, self.recipe, self.learning_rates)


@dataclass(frozen=True, slots=True)
class Study:
    """A question, and the runs that answer it.  `control` is the arm the others are held against.

    `recipe` is the base that the arms change, `source` the TOML text that all was read from.
    """

    name: str
    title: str
    question: str
    model: str
    data: str
    measure: str
    seeds: int
    control: str
    recipe: Recipe
    arms: tuple[Arm, ...]
    source: str

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def is_null(self, arm: Arm) -> bool:
        """Whether the arm is the control again with other seeds, and must not differ from it."""
        control = self.arm(self.control)
        return arm.name != control.name and arm.settings() == control.settings()

    def task(self, arm: Arm, learning_rate: float, seed: int) -> Task:
        """The run of an arm at a rate; `seed` counts from 0 in every arm."""
        recipe = arm.recipe.with_changes(
            {"learning_rate": learning_rate, "seed": seed + arm.seed_offset}
        )
        return Task(self.model, arm.network, self.data, recipe)

    def tasks(self) -> Iterator[Task]:
        """Every run once, seed by seed, so that an early look has all arms."""
        seen = set()
        for seed in range(self.seeds):
            for arm in self.arms:
                for rate in arm.learning_rates:
                    task = self.task(arm, rate, seed)
                    if task not in seen:
                        seen.add(task)
                        yield task


def built_in() -> dict[str, Study]:
    """The studies that come with lenet, by name."""
    folder = resources.files("lenet.studies") / "library"
    files = sorted((file for file in folder.iterdir()), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): parse(
            file.read_text(encoding="utf-8"), file.name.removesuffix(".toml"), file.name
        )
        for file in files
        if file.name.endswith(".toml")
    }


def find(name: str, seeds: int | None = None) -> Study:
    """A built-in study by name, or one from a TOML file; with `seeds` instead of its own number.

    Raises:
        StudyError: if there is neither, or the study cannot be run as written.
    """
    known = built_in()
    if name in known:
        return _with_seeds(known[name], seeds)
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"{name}: neither a built-in study ({', '.join(known)}) nor a file that can be read"
        ) from error
    return _with_seeds(parse(text, path.stem, name), seeds)


def _with_seeds(study: Study, seeds: int | None) -> Study:
    """The same study with another number of seeds, in its text too."""
    if seeds is None:
        return study
    values = {**read_toml(study.source), "seeds": seeds}
    return parse(tomli_w.dumps(values), study.name, study.name)


def parse(text: str, name: str, place: str) -> Study:
    """Read a study's TOML; `place` is where messages say that it is.

    Raises:
        StudyError: naming the field and what it may be.
    """
    try:
        values = read_toml(text)
    except ValueError as error:
        raise StudyError(f"{place}: not TOML: {error}") from error
    try:
        return _study(values, name, text)
    except LenetError as error:
        raise StudyError(f"{place}: {error}") from error


_FIELDS = {
    "title": str,
    "question": str,
    "model": str,
    "data": str,
    "measure": str,
    "seeds": int,
    "control": str,
    "learning_rates": list,
    "recipe": dict,
    "arms": dict,
}
_REQUIRED = ("question", "control", "seeds", "arms")


def _study(values: dict[str, Any], name: str, text: str) -> Study:
    _check_fields(values)
    own = zoo.recipe_of(values.get("model", zoo.DEFAULT_MODEL))
    base = own if isinstance(own, Recipe) else Recipe()
    if "seed" in values.get("recipe", {}):
        raise StudyError(f"[recipe]: seed = {values['recipe']['seed']!r}: {NO_ARMS['seed']}")
    base = base.with_changes(values.get("recipe", {}), "[recipe]")
    grid = _rates(values.get("learning_rates", [base.learning_rate]), base)
    arms = tuple(_arm(key, row, base, grid) for key, row in values["arms"].items())
    study = Study(
        name=name,
        title=values.get("title", name),
        question=values["question"],
        model=values.get("model", zoo.DEFAULT_MODEL),
        data=values.get("data", "fashion-mnist"),
        measure=values.get("measure", "accuracy"),
        seeds=values["seeds"],
        control=values["control"],
        recipe=base,
        arms=arms,
        source=text,
    )
    _check_study(study)
    return study


def _check_fields(values: dict[str, Any]) -> None:
    unknown = sorted(set(values) - set(_FIELDS))
    if unknown:
        raise StudyError(f"unknown {', '.join(unknown)}; known are {', '.join(_FIELDS)}")
    missing = [field for field in _REQUIRED if field not in values]
    if missing:
        raise StudyError(f"{', '.join(missing)} must be given")
    words = {str: "a text", int: "a whole number", list: "a list", dict: "a table"}
    for field, value in values.items():
        if type(value) is not _FIELDS[field]:
            raise StudyError(f"{field} = {value!r}: it must be {words[_FIELDS[field]]}")


def _rates(values: list[Any], base: Recipe) -> tuple[float, ...]:
    if not values:
        raise StudyError("learning_rates is empty; name at least one, or leave it out")
    rates = [base.with_changes({"learning_rate": value}).learning_rate for value in values]
    if len(set(rates)) < len(rates):
        raise StudyError(f"learning_rates = {values}: one is there twice")
    return tuple(rates)


def _arm(name: str, row: Any, base: Recipe, grid: tuple[float, ...]) -> Arm:
    if not isinstance(row, dict) or not row:
        raise StudyError(f"arm {name!r} changes nothing; give it a field, or leave it out")
    offset = row.get("seed_offset", 0)
    if type(offset) is not int or offset < 0:
        raise StudyError(f"arm {name!r}: seed_offset = {offset!r}: it must be at least 0")
    network = tuple(sorted((key, row[key]) for key in zoo.CHANGES if key in row))
    others = {*zoo.CHANGES, "seed_offset", "learning_rates"}
    changes = {key: value for key, value in row.items() if key not in others}
    recipe = base.with_changes(changes, f"arm {name!r}")
    _check_changes(name, changes, recipe)
    return Arm(name, network, recipe, _rates_of_arm(name, row, recipe, grid), offset)


def _check_changes(name: str, changes: dict[str, Any], recipe: Recipe) -> None:
    """Refuse what would make no other training of the arm."""
    for field in NO_ARMS.keys() & changes:
        raise StudyError(f"arm {name!r}: {field} = {changes[field]!r}: {NO_ARMS[field]}")
    try:
        check_used(recipe, changes)
    except LenetError as error:
        raise StudyError(f"arm {name!r}: {error}") from error


def _rates_of_arm(
    name: str, row: dict[str, Any], recipe: Recipe, grid: tuple[float, ...]
) -> tuple[float, ...]:
    """Its own, or those of all arms."""
    if "learning_rates" not in row:
        return (recipe.learning_rate,) if "learning_rate" in row else grid
    if "learning_rate" in row or not isinstance(row["learning_rates"], list):
        raise StudyError(
            f"arm {name!r}: learning_rates is a list, and stands instead of learning_rate"
        )
    return _rates(row["learning_rates"], recipe)


def _check_study(study: Study) -> None:
    if study.seeds < 1:
        raise StudyError(f"seeds = {study.seeds}: it must be at least 1")
    if study.measure not in MEASURES:
        raise StudyError(f"measure = {study.measure!r}: it must be one of {', '.join(MEASURES)}")
    names = [arm.name for arm in study.arms]
    if len(names) < 2:
        raise StudyError("a study compares at least two arms")
    if study.control not in names:
        raise StudyError(f"control = {study.control!r}: it must be one of {', '.join(names)}")
    entry = data_sets.CATALOG.get(study.data)
    classes = len(entry.class_names) if entry else 10
    seen: dict[Any, str] = {}
    for arm in study.arms:
        _check_arm(study, arm, classes)
        twin = seen.setdefault((arm.settings(), arm.seed_offset), arm.name)
        if twin != arm.name:
            raise StudyError(f"arms {twin!r} and {arm.name!r} are the same; drop one of them")


def _check_arm(study: Study, arm: Arm, classes: int) -> None:
    if len(arm.learning_rates) > 1 and not arm.recipe.validation:
        raise StudyError(
            f"arm {arm.name!r} chooses among {len(arm.learning_rates)} learning rates, and that "
            "needs images held out: set validation in [recipe]"
        )
    try:
        squares = arm.recipe.squares
        spec = zoo.build(study.model, classes=classes, changes=dict(arm.network), squares=squares)
        check_loss(spec, arm.recipe)
    except LenetError as error:
        raise StudyError(f"arm {arm.name!r}: {error}") from error
