"""A figure: its colours, its letters, and how it is saved."""

from __future__ import annotations

import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lenet.errors import UsageError
from lenet.system.files import write_whole
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


@contextmanager
def open_figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` x `height` inches that is saved to `path` at 160 dots an inch.

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
            _save(figure, path)
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


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text):  # of a folder's name, say, which may hold any byte
            text.set_text(printable(text.get_text()))
    content = io.BytesIO()
    try:
        figure.savefig(content, format=path.suffix[1:] or "png", dpi=160)
        write_whole(path, content.getvalue())
    except (OSError, ValueError) as error:
        raise _unwritable(path, getattr(error, "strerror", None) or error) from error


def _unwritable(path: Path, reason: object) -> UsageError:
    return UsageError(
        f"{path}: this figure cannot be written: {reason}; name a .png in a folder that is there "
        "and can be written"
    )


def check_place(path: Path) -> None:
    """Refuse what will not do for a figure before the work is done that it would show.

    Raises:
        UsageError: if the name's ending is no format of figures, or there is no such folder.
    """
    _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    ending = path.suffix[1:].lower()
    if ending and ending not in FigureCanvasAgg.get_supported_filetypes():
        raise _unwritable(path, f"no figure ends in .{ending}")
    if not path.parent.is_dir():
        raise _unwritable(path, "there is no such folder")


def show_image(axes: Axes, image: NDArray[np.uint8], greys: str = "gray_r") -> None:
    """An image (channels, height, width) with one channel in greys, or three as colours."""
    shown = image[0] if len(image) == 1 else np.moveaxis(image[:3], 0, -1)
    axes.imshow(shown, cmap=greys, vmin=0, vmax=255, interpolation="nearest")
