"""Values that came out of a file, held against the types that they should have."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
import types
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")

LARGEST = 2**63 - 1
"""A whole number beyond that fits no array and no file."""


def read_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: on anything that is none, nested too deep, or has numbers without end.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_toml(text: str) -> dict[str, Any]:
    """What a TOML text says.

    Raises:
        ValueError: on anything that is none, nested too deep, or with a number too long to read.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file `path`.

    Raises:
        OSError: as the operating system says.
        ValueError: if it is none.
    """
    found = read_json(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__} and no object")
    return found


def build(kind: type[Kind], values: Any, place: str, *, complete: bool = False) -> Kind:
    """The dataclass `kind` out of plain values, such as `dataclasses.asdict` made of it.

    Fields that are left out keep their defaults, unless it must be `complete`.

    Raises:
        ValueError: naming the field that is missing, unknown or of another type.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{place} is {shown(values)}, and no object")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"{place} has {shown(unknown)}, which nobody knows")
    hints = field_types(kind)
    given = {name: as_type(hints[name], value, f"{place}.{name}") for name, value in values.items()}
    missing = [
        name
        for name, field in fields.items()
        if name not in given
        and (
            complete
            or (
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING
            )
        )
    ]
    if missing:
        raise ValueError(f"{place} lacks {', '.join(missing)}")
    return kind(**given)


_field_types: dict[type[Any], dict[str, Any]] = {}


def field_types(kind: type[Any]) -> dict[str, Any]:
    """The types of a data class's fields by name, looked up once: a study makes many recipes."""
    if kind not in _field_types:
        _field_types[kind] = get_type_hints(kind)
    return _field_types[kind]


def as_type(hint: Any, value: Any, place: str) -> Any:
    """`value` as the type `hint`: a plain one, a tuple, a dict, an option or a dataclass.

    Raises:
        ValueError: naming `place`, if it is of another type, or a number without bounds.
    """
    if hint is Any:
        return value
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        (hint,) = (each for each in inner if each is not type(None))
        return as_type(hint, value, place)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(as_type(inner[0], each, place) for each in value)
    if origin is dict and isinstance(value, dict):
        return {key: as_type(inner[1], each, f"{place}.{key}") for key, each in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(hint, value, place)  # type: ignore[arg-type]
    if hint is float and type(value) is int and abs(value) <= LARGEST:
        return float(value)
    if type(value) is hint and _is_bounded(value):
        return value
    raise ValueError(f"{place} is {shown(value)}, which it cannot be")


MOST_SHOWN = 60
"""Letters of a value in a message, and items of one that is listed."""


def shown(value: Any) -> str:
    """`value` in a message, in few letters."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, list | tuple | dict) and len(value) > MOST_SHOWN:
        return f"a {type(value).__name__} of {len(value)}"
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _is_bounded(value: Any) -> bool:
    if type(value) is int:
        return abs(value) <= LARGEST
    return type(value) is not float or math.isfinite(value)
