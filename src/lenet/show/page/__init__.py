"""A network, or two side by side, as one HTML file in which it can be watched, used and trained.

Kept here: what the page carries (`content`), its parts joined into one file (`assembly`), and those
parts as they are: `page.html`, the style, the modules, the words, and the kernels compiled to
WebAssembly (`lenet.wasm`, made by `make wasm`).  It may know prediction, runs and data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lenet.data import Source
from lenet.errors import UsageError
from lenet.runs.run import find_run
from lenet.show import html
from lenet.show.page.assembly import assemble
from lenet.show.page.content import Shown, gather

NAME = "page.html"

MARK = '<meta name="generator" content="lenet page'
"""In every page."""

MOST_RUNS = 2
"""More would be no page of less than a megabyte."""


def write_page(
    runs: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    data: Source | None = None,
    data_dir: str | Path | None = None,
    which: str | None = None,
) -> Path:
    """Write the page of `runs`, by default to `page.html` in the first one's folder.

    `data` is what the first one was trained on, where that was at hand only.  Where its data cannot
    be had, the page carries no test images, and a warning says so.

    Raises:
        UsageError: if there are no runs or too many, they take other pictures or have other
            classes, the page cannot be written, or something else is at `out`.
        RunError, CheckpointError: if a run cannot be read.
    """
    if not 1 <= len(runs) <= MOST_RUNS:
        raise UsageError(
            f"{len(runs)} runs: a page shows one, or two side by side; name one or two folders"
        )
    if out is not None:
        html.check_place(Path(out), MARK, "page")
    found = [find_run(run) for run in runs]
    shown = [Shown(run.path.absolute().name, run.checkpoint(which)) for run in found]
    path = Path(out) if out else found[0].path / NAME
    page = assemble(gather(shown, data_dir, data, fetch=True))
    html.write(path, page.text, "page")
    return path
