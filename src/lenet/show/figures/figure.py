"""A figure: its colours, its letters, and how it is saved."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet.errors import UsageError
from lenet.system.files import write_whole
from lenet.system.marks import check_mark, has_mark
from lenet.system.streams import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
"""From the palette of Okabe and Ito 2008, which people with any colour vision can tell apart."""

WORLD_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "PingFang SC",
    "Hiragino Sans GB", "Malgun Gothic", "Arial Unicode MS", "Noto Sans Devanagari",
    "Noto Sans Thai", "Noto Sans Hebrew", "Noto Sans Arabic",
)  # fmt: skip
"""Fonts that systems bring for scripts which DejaVu lacks."""

GLYPH_MISSING = "missing from font"
"""Part of Matplotlib's warning about a letter that it cannot draw."""


WITH_CREATOR = ("png", "pdf", "svg", "eps", "ps")
"""Formats for which Matplotlib writes who made a figure."""

WITH_EXIF = ("jpg", "jpeg", "tif", "tiff", "webp", "avif")
SOFTWARE = 0x0131
"""Formats for which Pillow does, as this tag."""


class Drawer(StrEnum):
    """The command that a figure says it was drawn by."""

    LENET = "lenet"
    EVALUATE = "lenet evaluate"
    EXPLAIN = "lenet explain"
    LR_FIND = "lenet lr-find"
    SHOW = "lenet data show"
    STAGES = "lenet predict --stages"


@contextmanager
def open_figure(
    path: Path, width: float, height: float, drawer: Drawer = Drawer.LENET, of: str | None = None
) -> Iterator[Figure]:
    """A figure of `width` x `height` inches that is saved to `path` at 160 dots an inch.

    It says by which command it was drawn, and by a digest of what, see `check_other`.
    Names of classes may be in any script: letters that Matplotlib's own font lacks are taken from
    `WORLD_FONTS`, and where none of them is installed, that is said once.

    Raises:
        UsageError: if it cannot be written there, or the name's ending is no format of figures.
    """
    _import_matplotlib()
    from matplotlib import font_manager, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = set(font_manager.get_font_names())
    families = ["DejaVu Sans", *(name for name in WORLD_FONTS if name in installed)]
    # A dollar sign in a name is no formula.
    with rc_context({"font.family": families, "text.parse_math": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        _number_plainly(figure)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _save(figure, path, _mark(drawer, of))
    missing = [note for note in caught if GLYPH_MISSING in str(note.message)]
    for note in caught:
        if note not in missing:
            warnings.warn_explicit(note.message, note.category, note.filename, note.lineno)
    if missing:
        warnings.warn(
            f"{path}: no installed font has all letters of the names in it, which are boxes now; "
            "install one that has (Debian and Ubuntu: apt install fonts-noto-cjk)",
            stacklevel=3,
        )


def _import_matplotlib() -> None:
    """Import it whatever MPLBACKEND says: figures here are drawn without a screen."""
    try:
        importlib.import_module("matplotlib")
    except ValueError:
        backend = os.environ.pop("MPLBACKEND", None)
        if backend is None:
            raise
        # What was imported before the error would be taken for whole.
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]
        try:
            importlib.import_module("matplotlib")
        finally:
            os.environ["MPLBACKEND"] = backend


def _number_plainly(figure: Figure) -> None:
    """Numbers on logarithmic axes are formulas by default, which are not drawn here."""
    from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, NullFormatter

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                axis.set_major_formatter(plain)
            if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
                least, most = sorted(axis.get_view_interval())
                if least > 0 and most < 10 * least:  # there may be no major tick at all
                    axis.set_minor_formatter(plain)
                else:
                    axis.set_minor_formatter(NullFormatter())


def _save(figure: Figure, path: Path, mark: str) -> None:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text):  # of a folder's name, say, which may hold any byte
            text.set_text(printable(text.get_text()))
    content = io.BytesIO()
    try:
        kind = path.suffix[1:] or "png"
        figure.savefig(content, format=kind, dpi=160, **_signed(kind.lower(), mark))
        write_whole(path, content.getvalue())
    except (OSError, ValueError) as error:
        raise _unwritable(path, getattr(error, "strerror", None) or error) from error


def _signed(kind: str, mark: str) -> dict[str, Any]:
    """What `savefig` is told for `mark` to be in the file; nothing where the format has no room."""
    if kind in WITH_CREATOR:
        return {"metadata": {"Creator": mark}}
    if kind not in WITH_EXIF:
        return {}
    from PIL.Image import Exif

    exif = Exif()
    exif[SOFTWARE] = mark
    return {"pil_kwargs": {"exif": exif}}


def _mark(drawer: Drawer, of: str | None = None) -> str:
    """A digest, since a figure that is passed on need not tell the names of folders."""
    mark = f"figure drawn by {drawer}"
    if of is None:
        return mark
    return f"{mark}, of {hashlib.sha256(os.fsencode(of)).hexdigest()[:16]}"


def _unwritable(path: Path, reason: object) -> UsageError:
    return UsageError(
        f"{path}: this figure cannot be written: {reason}; name a .png in a folder that is there "
        "and can be written"
    )


def check_place(path: Path, drawer: Drawer, picture: str | None = None) -> None:
    """Refuse what will not do for a figure before the work is done that it would show.

    Raises:
        UsageError: if the name's ending is no format of figures, there is no such folder, or what
            is there is `picture` itself, or was not drawn by `drawer`.
    """
    _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    ending = path.suffix[1:].lower()
    if ending and ending not in FigureCanvasAgg.get_supported_filetypes():
        raise _unwritable(path, f"no figure ends in .{ending}")
    if not path.parent.is_dir():
        raise _unwritable(path, "there is no such folder")
    check_mark(path, _mark(drawer), f"drawn by {drawer}", picture)


def check_other(path: Path, drawer: Drawer, of: str | None) -> None:
    """Refuse to draw over the figure of another picture, whose name is the same in another folder.

    Raises:
        UsageError: naming the figure.
    """
    if has_mark(path, f"{_mark(drawer)}, of ") and not has_mark(path, _mark(drawer, of or "")):
        raise UsageError(
            f"{path}: already there, drawn of another picture of this name; name a file with "
            "--out, or move it away"
        )


def short_name(name: str, most: int) -> str:
    """`name` in `most` letters: the middle goes, since names differ at their ends."""
    if len(name) <= most:
        return name
    end = most // 3
    return f"{name[: most - end - 1]}…{name[-end:]}"


def percent(share: float) -> str:
    """A probability; no network is ever sure, nor ever rules anything out."""
    if share > 0.999:
        return "> 99.9%"
    return "< 0.1%" if share < 0.001 else f"{share:.1%}"


def greys_of(light_ink: bool) -> str:
    """Light ink is drawn dark on light, as on paper; other images as they are."""
    return "gray_r" if light_ink else "gray"


def show_image(axes: Axes, image: NDArray[np.uint8], greys: str = "gray_r") -> None:
    """An image (channels, height, width) with one channel in greys, or three as colours."""
    shown = image[0] if len(image) == 1 else np.moveaxis(image[:3], 0, -1)
    axes.imshow(shown, cmap=greys, vmin=0, vmax=255, interpolation="nearest")
