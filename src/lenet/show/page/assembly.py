"""The parts of a page joined into one file.

The modules are ECMAScript modules as they stand.  To be one script they are written one after the
other, each after those that it imports, without their import lines, the word `export`, lines of
comments and indentation: all names at their top are different, and none is renamed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from lenet.show.page.content import Content
from lenet.system.version import VERSION

STYLES = ("base.css", "parts.css")
FIRST_MODULE = "start.js"

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=async |function|class|const|let)", re.MULTILINE)

COMMENT = re.compile(r"^\s*//(?! ----).*\n", re.MULTILINE)
REMARK = re.compile(r"/\*.*?\*/\n*")
INDENTATION = re.compile(r"^[ ]+", re.MULTILINE)

NO_LESS_THAN = str.maketrans("<", ".")
"""In base 85, which has no full stop, so that no text can look like the end of a script."""


@dataclass(frozen=True, slots=True)
class Page:
    """The whole file, and the policy that allows what is in it and nothing else."""

    text: str
    policy: str


def assemble(content: Content) -> Page:
    """The page of `content`."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    program = join_modules(_module)
    styles = "".join(_read(f"style/{name}") for name in STYLES)
    style = INDENTATION.sub("", REMARK.sub("", styles))
    policy = _policy(program, style)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = environment.from_string(_read("page.html")).render(
        title=content.title,
        version=VERSION,
        policy=policy,
        links=content.links,
        style=Markup(style),  # noqa: S704 - our own files
        program=Markup(program),  # noqa: S704
        facts=Markup(_json(content.facts)),  # noqa: S704
        packs={name: Markup(_text(pack)) for name, pack in content.packs.items()},  # noqa: S704
    )
    return Page(text, policy)


def join_modules(read: Callable[[str], str]) -> str:
    """`FIRST_MODULE` and all that it imports as one script; `read` gives a module's text."""
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        parts[name] = ""  # so that a circle ends
        text = read(name)
        for imported in IMPORT.findall(text):
            add(imported)
        del parts[name]
        parts[name] = INDENTATION.sub("", COMMENT.sub("", EXPORT.sub("", IMPORT.sub("", text))))

    add(FIRST_MODULE)
    return "\n".join(f"// ---- {name} ----\n{text.strip()}\n" for name, text in parts.items())


@cache
def _read(name: str) -> str:
    return resources.files("lenet.show.page").joinpath(name).read_text(encoding="utf-8")


def _module(name: str) -> str:
    return _read(f"modules/{name}")


def _json(facts: object) -> str:
    """As JSON in which no tag can begin; names may hold lone surrogates, which are escaped."""
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _text(pack: bytes) -> str:
    return base64.b85encode(pack).decode().translate(NO_LESS_THAN)


def _policy(program: str, style: str) -> str:
    script, sheet = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (program, style)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script}' 'wasm-unsafe-eval'; worker-src blob:; "
        f"style-src 'sha256-{sheet}'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
