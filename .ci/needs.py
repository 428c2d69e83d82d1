"""`python .ci/needs.py EXTRA`: what lenet and one of its extras need, itself left out, by line."""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]


def needs(extra: str) -> Iterator[str]:
    """Of an extra, and of the extras that it names."""
    for need in project["optional-dependencies"][extra]:
        if named := re.fullmatch(r"lenet\[(.*)\]", need):
            for other in named[1].split(","):
                yield from needs(other)
        else:
            yield need


print(*project["dependencies"], *needs(sys.argv[1]), sep="\n")
