"""A picture from a file, made into what a network was trained on."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.arrays import LIGHT_GROUND
from lenet.data.pictures.cells import find_cells
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.ink import find_ink
from lenet.data.pictures.reading import Box, Character, Reading
from lenet.data.pictures.strips import find_strip
from lenet.errors import FormatError

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 50_000_000
"""More are refused before they are decoded: a small file can hold a huge picture."""

LONGEST_SIDE = 1024
"""A larger picture is first reduced by a whole number; networks read 28 pixels."""

AS_A_WHOLE = "taken as a whole: the network was not trained on ink, as --resize ink makes it"
"""Where every character is asked for."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held; 1 is upright."""

FORMATS = (
    "PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "ICO", "JPEG2000", "AVIF", "HEIF",
)  # fmt: skip
"""Formats that are decoded, by what is in the file and not by its name.  Those that Pillow hands to
another program (EPS) or fetches parts of are not among them.  HEIF comes with an extra."""

SUFFIXES = frozenset(
    {
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".bmp", ".dib", ".gif",
        ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".jp2", ".j2k",
        ".jpf", ".jpx", ".avif", ".heic", ".heif", ".hif",
        # Not decoded, but looked at and named, so that nobody's picture is passed over in silence.
        ".jxl", ".svg", ".eps", ".psd", ".xcf", ".pcx", ".dds", ".qoi", ".exr", ".hdr", ".dng",
        ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
    }
)  # fmt: skip
"""Names of files in a folder that are taken for pictures."""

HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif"}
)
"""What stands at the beginning of a HEIF file, after its size and `ftyp`."""

DEPTHS = (8, 10, 12, 14, 16)
"""Bits in which cameras and scanners write greys; 9 to 16 come in 16."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a picture was after one stage of its preparation: uint8 (channels, height, width)."""

    name: str
    image: Pixels


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as given, and as the network gets it.

    `given` is uint8 (channels, height, width) of any size, `image` is uint8 in the network's shape.
    `stages` lead from `given` to `image`.  `inverted` is True where dark ink on light ground was
    turned around.  `notes` say what was found and done.  `box` is where ink was found in `given`.
    """

    given: Pixels
    image: Pixels
    stages: tuple[Stage, ...]
    inverted: bool
    notes: tuple[str, ...] = ()
    box: Box | None = None

    @property
    def plain(self) -> Pixels:
        """The whole picture in the network's shape, resized and nothing else."""
        return resized(self.given, *self.image.shape[1:])


def read_picture(
    source: Path | bytes | Image.Image,
    shape: tuple[int, ...],
    convention: Convention,
    name: str | None = None,
    *,
    most_pixels: int = MOST_PIXELS,
) -> Picture:
    """Read a file, its bytes, or a picture of Pillow's, and prepare it for a network of `shape`.

    The picture is turned upright (EXIF), laid over white where it is transparent (over black where
    what is painted is light), and made grey if one channel is wanted; of an animation the first
    frame is taken, of one that Pillow has opened that at which it stands.  Then follows what the
    convention says.

    Raises:
        FormatError: if there is no picture that can be read, it has too many pixels, or the
            convention asks for ink and there is none.
    """
    place = name or (str(source) if isinstance(source, Path) else "the picture")
    flat, notes = _open(source, place, "L" if shape[0] == 1 else "RGB", most_pixels)
    return _make(to_array(flat), notes, shape, convention, place)


def read_every(
    source: Path | bytes | Image.Image,
    shape: tuple[int, ...],
    convention: Convention,
    name: str | None = None,
    *,
    most_pixels: int = MOST_PIXELS,
) -> list[Picture]:
    """The same for every character of a picture, left to right; one where it is no ink.

    Raises:
        FormatError: as `read_picture`.
    """
    place = name or (str(source) if isinstance(source, Path) else "the picture")
    flat, notes = _open(source, place, "L" if shape[0] == 1 else "RGB", most_pixels)
    return _make_all(to_array(flat), notes, shape, convention, place, every=True)


def prepare(image: Pixels, shape: tuple[int, ...], convention: Convention, place: str) -> Picture:
    """An image uint8 (1 or 3 channels, height, width) made into `shape` as `convention` says.

    Raises:
        FormatError: if the convention asks for ink and there is none.
    """
    if len(image) != shape[0]:
        image = to_array(to_pillow(image).convert("L" if shape[0] == 1 else "RGB"))
    return _make(image, [], shape, convention, place)


def _make(
    given: Pixels,
    notes: list[str],
    shape: tuple[int, ...],
    convention: Convention,
    place: str,
) -> Picture:
    return _make_all(given, notes, shape, convention, place, every=False)[0]


def _make_all(
    given: Pixels,
    notes: list[str],
    shape: tuple[int, ...],
    convention: Convention,
    place: str,
    *,
    every: bool,
) -> list[Picture]:
    """The most prominent character of a picture, or every one of a line, left to right."""
    _, height, width = shape
    if convention.kind != "ink" or shape[0] != 1:
        said = [*notes, AS_A_WHOLE] if every else notes
        return [_fit(given, height, width, convention, said)]
    read = partial(find_ink, convention=convention, height=height, width=width)
    cells = find_cells(given[0]) if every else []
    if made := _in_boxes(given, notes, cells, "window", read):
        return made
    try:
        found = read(given[0])
    except FormatError as error:
        raise FormatError(f"{place}: {error}") from error
    if every and (strip := find_strip(given[0], found, read)):
        return _in_boxes(given, notes, strip, "place on a strip", read)
    characters = found.characters if every else found.characters[:1]
    notes = [*notes, *_notes_on(found, every)]
    in_line = sorted(characters, key=lambda character: character.box.left)
    return [_picture_of(character, found, given, notes) for character in in_line]


def _in_boxes(
    given: Pixels, notes: list[str], boxes: list[Box], kind: str, read: Callable[[Pixels], Reading]
) -> list[Picture]:
    """Every character in boxes of one kind, left to right; there may be none in them."""
    made: list[Picture] = []
    for number, box in enumerate(boxes, 1):
        part = given[:, box.top : box.bottom, box.left : box.right]
        try:
            found = read(part[0])
        except FormatError:
            continue  # an empty window
        said = [*notes, f"{kind} {number} of {len(boxes)}", *_notes_on(found, every=True)]
        characters = sorted(found.characters, key=lambda character: character.box.left)
        for character in characters:
            picture = _picture_of(character, found, part, said)
            within = character.box.moved(box.top, box.left)
            made.append(replace(picture, given=given, box=within))
    return made


def _picture_of(character: Character, found: Reading, given: Pixels, notes: list[str]) -> Picture:
    wholes = (("ground", found.ground), ("ink on its ground", found.ink), ("kept", found.kept))
    stages = (
        Stage("as given", given),
        *(Stage(name, image[None]) for name, image in wholes if image is not None),
        Stage("cropped", character.cropped[None]),
        Stage("fitted", character.fitted[None]),
        Stage("centred", character.image[None]),
    )
    return Picture(given, character.image[None], stages, found.dark, tuple(notes), character.box)


@final
class _NoWarnings:
    """Nothing is warned of while anybody is within: of odd metadata the pixels are what matters.

    `warnings.catch_warnings` alone gives back the filters of another thread where two overlap.  Who
    reads many small pictures enters once for all: it takes a twentieth of the time of one.
    """

    def __init__(self) -> None:
        self._lock, self._within = threading.Lock(), 0
        self._filters = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._filters.enter_context(warnings.catch_warnings(action="ignore"))
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._filters.close()


no_warnings = _NoWarnings()


def _open(
    source: Path | bytes | Image.Image, place: str, mode: str, most_pixels: int
) -> tuple[Image.Image, list[str]]:
    """The picture in mode L or RGB, upright, without transparency, and not too large."""
    from PIL import Image, UnidentifiedImageError

    try:
        with no_warnings:
            if isinstance(source, Image.Image):
                return _upright(source, place, mode, most_pixels, is_given=True)
            # Of a path Pillow (13.0) maps a TIFF that EXIF turns with its sides exchanged.
            with (
                source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream,
                Image.open(stream, formats=known_formats()) as opened,
            ):
                return _upright(opened, place, mode, most_pixels)
    except UnidentifiedImageError as error:
        if not isinstance(source, Image.Image) and is_heif(source):
            if _register_heif():
                return _open(source, place, mode, most_pixels)
            raise FormatError(
                f"{place}: HEIC needs pillow-heif, which is missing; install it with: "
                "pip install 'lenet[heif]'"
            ) from error
        raise FormatError(f"{place}: not a picture in a format that is known") from error
    except Image.DecompressionBombError as error:
        raise FormatError(f"{place}: far too many pixels: {error}") from error
    except MemoryError as error:
        raise FormatError(f"{place}: too large to be decoded") from error
    except FormatError:
        raise
    except Exception as error:  # Pillow's decoders let many kinds through for damaged files
        raise FormatError(f"{place}: this picture cannot be read: {error}") from error


def _upright(
    opened: Image.Image, place: str, mode: str, most_pixels: int, *, is_given: bool = False
) -> tuple[Image.Image, list[str]]:
    """`is_given` is True for a picture that is the caller's, and stays as it is."""
    from PIL import ImageOps

    if opened.width * opened.height > most_pixels:
        raise FormatError(
            f"{place}: {opened.width}x{opened.height} pixels are too many; "
            f"make it smaller than {most_pixels:,}"
        )
    notes, frames = [], getattr(opened, "n_frames", 1)
    if frames > 1:
        which = f"frame {opened.tell() + 1}" if opened.tell() else "the first"
        notes.append(f"{which} of {frames} frames")
    if not is_given:  # Only JPEG can: it is decoded at a fraction of its size, which it then has.
        opened.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
    turned = opened.format == "TIFF" and _is_turned(opened)  # Pillow turns it when it is loaded
    opened.load()
    if turned or _is_turned(opened):
        notes.append("turned upright (EXIF)")
        opened = ImageOps.exif_transpose(opened)
    return _flatten(_to_8_bits(_reduce(opened), notes), mode, notes), notes


def _is_turned(opened: Image.Image) -> bool:
    """Whether EXIF says that the camera was not held upright."""
    if opened.format == "PNG" and not opened.info:
        return False  # Pillow would make an EXIF of nothing, in a fifth of the time of decoding.
    return bool(opened.getexif().get(ORIENTATION, 1) != 1)


@cache
def known_formats() -> list[str]:
    """Those of `FORMATS` that this Pillow has, with what it was taught since."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def is_heif(source: Path | bytes) -> bool:
    """Whether a file, or what begins like one, says that it is HEIF (HEIC), as phones write it."""
    if isinstance(source, bytes):
        head = source[:12]
    else:
        with open(source, "rb") as file:
            head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


@cache
def _register_heif() -> bool:
    """Teach Pillow HEIF, at the first such picture only; False where the extra is missing."""
    try:
        module = import_module("pillow_heif")
    except ImportError:
        return False
    module.register_heif_opener()
    known_formats.cache_clear()
    return True


def _to_8_bits(picture: Image.Image, notes: list[str]) -> Image.Image:
    """16-bit and floating greys scaled to 0 to 255; Pillow itself would cut them off at 255.

    Of 16 bits, the fewest that a picture needs (of `DEPTHS`) are taken for all that it has.
    """
    from PIL import Image

    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return picture
    values = np.asarray(picture, np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        raise ValueError("a pixel is not a finite number")
    bits = next((bits for bits in DEPTHS if high < 1 << bits), DEPTHS[-1])
    top = 1.0 if picture.mode == "F" and high <= 1.0 else float((1 << bits) - 1)
    if low < 0.0 or high > top:
        values, top = values - low, high - low
    elif DEPTHS[0] < bits < DEPTHS[-1]:
        notes.append(f"{bits} bits in 16, scaled")
    return Image.fromarray((values * (255.0 / top)).round().astype(np.uint8))


def _reduce(picture: Image.Image) -> Image.Image:
    factor = -(-max(picture.size) // LONGEST_SIDE)
    if factor == 1:
        return picture
    wide = "RGBA" if picture.mode in ("P", "PA", "1") else "I" if "I;16" in picture.mode else None
    return (picture.convert(wide) if wide else picture).reduce(factor)


def _flatten(picture: Image.Image, mode: str, notes: list[str]) -> Image.Image:
    """Without transparency, in mode L or RGB."""
    from PIL import Image

    if not picture.has_transparency_data:
        if picture.mode == mode:
            return picture
        return (picture.convert("RGB") if picture.mode == "CMYK" else picture).convert(mode)
    painted = picture.convert("RGBA")
    grey = np.asarray(painted.convert("L"), np.float64)
    alpha = np.asarray(painted.getchannel("A"), np.float64)
    # Light paint on nothing, as a chalk drawing is saved, would vanish on white.
    light = alpha.min() < 128 and alpha.sum() > 0 and (grey * alpha).sum() / alpha.sum() > 127.5
    ground = "black" if light else "white"
    if alpha.min() < 255:
        notes.append(f"laid over {ground}")
    flat = Image.alpha_composite(Image.new("RGBA", painted.size, ground), painted)
    return flat.convert(mode)


def _fit(
    given: Pixels,
    height: int,
    width: int,
    convention: Convention,
    notes: list[str],
) -> Picture:
    inverted = convention.light_ink and len(given) == 1 and _is_light(given[0])
    turned = 255 - given if inverted else given
    image = _sized(turned, height, width, convention)
    stages = [Stage("as given", given), Stage("resized", image)]
    if inverted:
        stages.insert(1, Stage("turned around", turned))
        notes = [*notes, LIGHT_GROUND]
    return Picture(given, image, tuple(stages), inverted, tuple(notes))


def _sized(image: Pixels, height: int, width: int, convention: Convention) -> Pixels:
    """In that size: stretched, or as large as fits and filled up."""
    from PIL import Image, ImageOps

    if image.shape[1:] == (height, width):
        return image
    picture = to_pillow(image)
    if convention.kind == "stretch":
        return _resize(picture, height, width)
    size, ground = (width, height), _ground(picture)
    return to_array(ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=ground))


def _notes_on(found: Reading, every: bool) -> list[str]:
    """What a person should know of how ink was found."""
    notes = [
        "dark ink on light ground, turned around" if found.dark else "light ink on dark ground"
    ]
    if found.rules:
        notes.append(f"{found.rules} ruled line{'s' * (found.rules > 1)} taken away")
    if len(found.characters) > 1 and not every:
        notes.append(f"{len(found.characters)} characters; the most prominent is read")
    return notes


def _resize(picture: Image.Image, height: int, width: int) -> Pixels:
    from PIL import Image

    return to_array(picture.resize((width, height), Image.Resampling.LANCZOS))


def resized(image: Pixels, height: int, width: int) -> Pixels:
    """An image uint8 (1 or 3 channels, height, width) in another size, anti-aliased."""
    return _resize(to_pillow(image), height, width)


def to_pillow(image: Pixels) -> Image.Image:
    """uint8 (1 to 4 channels, height, width) as a picture of mode L, LA, RGB or RGBA."""
    from PIL import Image

    return Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1))


def to_array(picture: Image.Image) -> Pixels:
    """A picture of mode L or RGB as uint8 (channels, height, width), which may be read-only."""
    pixels = np.frombuffer(picture.tobytes(), np.uint8)
    if picture.mode == "L":
        return pixels.reshape(1, picture.height, picture.width)
    last = pixels.reshape(picture.height, picture.width, -1)
    return np.ascontiguousarray(np.moveaxis(last, -1, 0))


def _edge(grey: Pixels) -> Pixels:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _median(values: NDArray[Any]) -> float:
    """As `np.median`, which takes longer to look at a few numbers than to sort them."""
    ranked = np.sort(values)
    return (float(ranked[(len(ranked) - 1) // 2]) + float(ranked[len(ranked) // 2])) / 2


def _is_light(grey: Pixels) -> bool:
    """Whether the ground, taken from the picture's edge, is lighter than half."""
    edge = _edge(grey)
    lighter = 2 * np.count_nonzero(edge > 127)
    if lighter != edge.size:  # nearly always, and sooner known than a median
        return bool(lighter > edge.size)
    return _median(edge) > 127.5


def _ground(picture: Image.Image) -> int | tuple[int, ...]:
    """The colour to fill up with where the picture is not as wide as it is high."""
    colours = [int(_median(_edge(channel))) for channel in to_array(picture)]
    return colours[0] if len(colours) == 1 else tuple(colours)
