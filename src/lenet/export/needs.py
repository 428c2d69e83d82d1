"""Whether the packages are here that a format is written and run with."""

from __future__ import annotations

from importlib.util import find_spec

from lenet.errors import MissingExtraError


def need(feature: str, extra: str, packages: dict[str, str]) -> None:
    """Refuse to begin what cannot be finished; `packages` are modules and what they are called.

    Raises:
        MissingExtraError: naming the first that is missing, and the extra that brings it.
    """
    for module, name in packages.items():
        if find_spec(module) is None:
            raise MissingExtraError(feature, name, extra)
