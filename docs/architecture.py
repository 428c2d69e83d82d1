"""`make map`: write docs/architecture.md and its drawing from the code's own words.

The floors come from the contract in pyproject.toml, what a room or a file holds from its docstring
(a native file's from its first comment).  The two walks are written here; a name in them that the
code does not have is an error.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE, NATIVE = ROOT / "src" / "lenet", ROOT / "native"
PAGE, DRAWING = ROOT / "docs" / "architecture.md", ROOT / "docs" / "images" / "rooms.svg"

Walk = tuple[tuple[str, str], ...]
"""Steps: the name of what does it, and what it does.  `module.py: name` or `file.cpp: name`."""

IMAGE: Walk = (
    ("model.py: Model.predict", "tells one picture from several, and hands each on"),
    ("prediction/inputs.py: prepare_any", "tells a path, bytes, an array and a drawing apart"),
    ("prediction/reading.py: read_regular", "reads the file, if it is one and not too large"),
    ("data/pictures/picture.py: read_picture", "decodes it, turns it upright, makes it grey"),
    ("data/pictures/ink.py: find_ink", "for digits and glyphs: asks the compiled part for the ink"),
    ("native/bindings_picture.cpp: read_characters", "checks what comes in from Python"),
    ("native/ink.cpp: lift", "the ground under the ink, and the ink on it"),
    ("native/ink.cpp: erase_rules", "takes away the lines of ruled paper, boxes and forms"),
    ("native/pieces.cpp: find_pieces", "pixels that hang together"),
    ("native/groups.cpp: find_groups", "pieces that belong together, the most prominent first"),
    ("native/picture.cpp: placed", "puts the ink, cropped and fitted, where the training's stood"),
    ("engines/native.py: NativeEngine.logits", "gets uint8 (n, channels, rows, columns)"),
    ("native/bindings.cpp: logits", "checks what comes in from Python"),
    ("native/engine.cpp: Engine::infer", "up to four images one by one, more in tiles"),
    ("native/single.hpp: infer_one", "one image, with its lanes over columns, then over maps"),
    ("native/step.cpp: infer", "or a block of tiles:"),
    ("native/tile.hpp: load_tile", "pixels into a tile, one image a lane, scaled to 0..1"),
    ("native/step.cpp: forward_tile", "convolutions (filtered where that pays) and poolings"),
    ("native/step.cpp: forward_dense", "the dense layers of several tiles together: the logits"),
    ("prediction/metrics.py: log_probabilities", "the softmax, in float64"),
    ("prediction/network.py: rank", "the likeliest classes by name: an `Answer`"),
)

GRADIENT: Walk = (
    ("training/session.py: train", "finds the data, opens the engine, makes the run's folder"),
    ("training/loop.py: run_epochs", "for each epoch an order of the images, a pass, the scores"),
    ("system/rng.py: permutation", "the order: the same for a seed and an epoch everywhere"),
    ("recipe/schedule.py: epoch_steps", "of each step its images and its learning rate"),
    ("training/epoch.py: Pass.__iter__", "asks the engine for one step after the other"),
    ("engines/native.py: NativeEngine.step", "hands over indices and rate; images stay in place"),
    ("native/bindings.cpp: step", "checks what comes in from Python"),
    ("native/engine.cpp: Engine::accumulate", "cuts the batch into shards, in a fixed order"),
    ("native/step.cpp: train", "one shard, on one thread; forward as above, then:"),
    ("native/step.cpp: score_group", "softmax cross-entropy, and its gradient in the logits"),
    ("native/step.cpp: backward_dense", "down through the dense layers to the features"),
    ("native/step.cpp: backward_tile", "through poolings and convolutions, a tile at a time"),
    ("native/minimal_gradient.hpp: minimal_weight_gradient", "C3's filters, 49 products of 100"),
    ("native/minimal_gradient.hpp: minimal_input_gradient", "the flow into C3's input"),
    ("native/convolution.hpp: convolution_weight_gradient", "C1's filters"),
    ("native/step.cpp: sum_gradient", "the lanes of a convolution's gradient into one number"),
    ("native/dense.hpp: dense_weight_gradient", "the dense filters over the whole batch, by rows"),
    ("native/engine.cpp: Engine::accumulate", "adds the shards, again in their order"),
    ("native/update.hpp: update", "SGD or AdamW, in blocks, on all threads"),
    ("engines/native.py: NativeEngine.step_metrics", "losses and misses of the steps so far"),
    (
        "training/epoch.py: Pass.account",
        "adds them up; a loss that is not finite ends the training",
    ),
    ("training/loop.py: _record_point", "a line of history, and word to the watchers"),
    ("training/loop.py: _finish_epoch", "scores the splits, writes the checkpoint"),
)


def floors() -> list[list[str]]:
    """The rooms that stand on each floor, from the roof to the ground, as the contract has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers"
    )
    named = [[part.strip(" ()") for part in row.split("|")] for row in contract["layers"]]
    there = [[name for name in row if _place(name).exists()] for row in named]
    return [row for row in there if row and row != ["__main__"]]


def docstring(path: Path) -> str:
    """Of a Python file; "" if it has none."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def first_comment(path: Path) -> str:
    """The comment that a native file begins with, as one line; "" if it begins with none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    taken = []
    for line in lines:
        if not line.startswith("//"):
            break
        taken.append(line.removeprefix("//").strip())
    return " ".join(taken)


def rooms() -> Iterator[Path]:
    """The folder of every room, those inside others after them, from the roof to the ground."""
    for row in floors():
        for name in row:
            if (SOURCE / name).is_dir():
                folders = (path.parent for path in (SOURCE / name).rglob("__init__.py"))
                yield from sorted(folders)


def page() -> str:
    """The text of docs/architecture.md."""
    parts = [
        "# Architecture",
        "<!-- Written by `make map` (docs/architecture.py) from the code's docstrings. -->",
        "A room imports only from the floors below its own, and inside a room files do not import "
        "in circles. `make imports` checks both, type-only imports included; the floors below are "
        "the contract in `pyproject.toml`.",
        f"![The rooms of the house, floor by floor](images/{DRAWING.name})",
        _floor_table(),
        "## One image, from file to answer",
        '`lenet.load("runs/first").predict("picture.png")`, step by step. `lenet predict` reads '
        "and prepares with the same functions, and answers in batches (`prediction/bulk/`).",
        walk(IMAGE),
        "## One gradient, from loss to update",
        "`lenet train`, from the loop to the kernels and back.",
        walk(GRADIENT),
        "With `--engine eager` PyTorch takes the place of everything under `native/` "
        "(`engines/eager.py`); the tests compare the two, gradient by gradient.",
        "## Every file",
        "### `src/lenet/`",
        _table(_python_rows(sorted(SOURCE.glob("*.py")))),
        *(_room(folder) for folder in rooms()),
        "### `native/`",
        "The compiled engine: plain kernels, one a layer, and vector kernels that must equal them.",
        _table(_native_rows()),
        "### `bench/`",
        docstring(ROOT / "bench" / "__init__.py"),
        _table(_python_rows(sorted((ROOT / "bench").glob("[!_]*.py")))),
    ]
    return "\n\n".join(parts) + "\n"


def drawing() -> str:
    """The house as SVG: a row a floor, the roof above."""
    rows = floors()
    width, high, gap, left = 760, 34, 8, 10
    shapes = []
    for number, row in enumerate(rows):
        top = left + number * (high + gap)
        each = (width - 2 * left - gap * (len(row) - 1)) / len(row)
        for place, name in enumerate(row):
            x = left + place * (each + gap)
            shapes.append(
                f'<rect x="{x:g}" y="{top}" width="{each:g}" height="{high}" rx="4" '
                'fill="#e8f0f8" stroke="#0072b2"/>'
            )
            middle, line = x + each / 2, top + high / 2 + 5
            shapes.append(f'<text x="{middle:g}" y="{line:g}">{escape(_title(name))}</text>')
    height = left + len(rows) * (high + gap) + left
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="15" text-anchor="middle">\n'
        "<title>Rooms of src/lenet: each imports only from the floors below it</title>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _place(name: str) -> Path:
    folder = SOURCE / name
    return folder if folder.is_dir() else folder.with_suffix(".py")


def _title(name: str) -> str:
    inside = sorted(path.parent.name for path in (SOURCE / name).glob("*/__init__.py"))
    within = f" ({', '.join(inside)})" if inside else ""
    return f"{_place(name).name}{within}"


def _words(name: str) -> str:
    place = _place(name)
    return docstring(place / "__init__.py" if place.is_dir() else place)


def _floor_table() -> str:
    rows = floors()
    lines = ["| floor | room | what is kept there |", "|---|---|---|"]
    for number, row in enumerate(rows):
        for name in row:
            mark = "/" if _place(name).is_dir() else ""
            head = _words(name).splitlines()[0]
            lines.append(f"| {len(rows) - 1 - number} | `{_place(name).name}{mark}` | {head} |")
    return "\n".join(lines)


def _room(folder: Path) -> str:
    words = docstring(folder / "__init__.py").split("\n\n")
    prose = "\n\n".join(part for part in words if not part.startswith("    "))
    files = _table(_python_rows(sorted(folder.glob("[!_]*.py"))))
    return "\n\n".join(filter(None, [f"### `{_shown(folder)}/`", prose, files]))


def _python_rows(paths: Iterable[Path]) -> list[tuple[str, str]]:
    return [(_shown(path), docstring(path).splitlines()[0]) for path in paths]


def _native_rows() -> list[tuple[str, str]]:
    """A `.cpp` file without a comment is told of by the header of its name."""
    rows = []
    for path in sorted(NATIVE.glob("*.[ch]pp")):
        words = first_comment(path) or f"See `{path.stem}.hpp`."
        rows.append((_shown(path), words.split("  ")[0].split(". ")[0].rstrip(".:") + "."))
    return rows


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| [`{name}`](../{name}) | {words} |" for name, words in rows]
    return "\n".join(["| file | what it holds |", "|---|---|", *lines]) if lines else ""


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def walk(steps: Walk) -> str:
    """A numbered list of the steps.

    Raises:
        LookupError: if the code has not what a step names.
    """
    lines = []
    for number, (name, what) in enumerate(steps, 1):
        place, _, thing = name.partition(": ")
        path = ROOT / place if place.startswith("native/") else SOURCE / place
        if not _has(path, thing):
            raise LookupError(f"{_shown(path)} has no {thing}: put the walk right")
        lines.append(f"{number}. `{thing}` ([{place}](../{_shown(path)})): {what}")
    return "\n".join(lines)


def _has(path: Path, thing: str) -> bool:
    if path.suffix != ".py":
        return re.search(rf"\b{re.escape(thing)}\(", path.read_text(encoding="utf-8")) is not None
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for part in thing.split("."):
        found = [node for node in body if getattr(node, "name", None) == part]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def main() -> None:
    """Write both."""
    PAGE.write_text(page(), encoding="utf-8")
    DRAWING.write_text(drawing(), encoding="utf-8")


if __name__ == "__main__":
    main()
