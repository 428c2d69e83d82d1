"""1,000 picture files that nobody would want to meet, made from real pictures with a seed."""

import io
import os
import socket
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

FORMATS = {
    "png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP",
    "ppm": "PPM", "tga": "TGA", "ico": "ICO", "jp2": "JPEG2000",
}  # fmt: skip

COUNT = 1000


@dataclass
class Maker:
    """Writes files into `folder` and remembers of which kind each one is."""

    folder: Path
    dice: np.random.Generator
    kinds: dict
    digits: np.ndarray = field(default_factory=lambda: load_digits().images)

    def drawing(self):
        """A real digit, 64x64, dark ink on light paper."""
        image = 255 - self.digits[self.dice.integers(len(self.digits))] * (255 / 16)
        return Image.fromarray(image.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)

    def path(self, kind, suffix):
        path = self.folder / f"{len(self.kinds):04d}-{kind.replace(' ', '-')[:40]}.{suffix}"
        self.kinds[str(path)] = kind
        return path

    def write(self, kind, content, suffix="png"):
        self.path(kind, suffix).write_bytes(content)

    def save(self, kind, picture, suffix="png", **options):
        self.write(kind, encode(picture, suffix, **options), suffix)


def encode(picture, suffix, **options):
    stream = io.BytesIO()
    if suffix == "ppm":
        picture = picture.convert("RGB")
    picture.save(stream, FORMATS[suffix], **options)
    return stream.getvalue()


def chunk(kind, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits=8, extra=b""):
    """A PNG of zeros, made without its pixels ever being in memory."""
    row = b"\0" * (1 + width * bits // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def huge_bmp():
    side = 2**31 - 1
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 1, 1, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def huge_tiff():
    tags = [(256, 4, 2**31), (257, 4, 2**31), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
            (277, 3, 1), (278, 4, 2**31), (279, 4, 2**31)]  # fmt: skip
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + b"\0" * 4


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("picture.png", b"not really")
    return stream.getvalue()


def make_whole(maker):
    for suffix in FORMATS:
        for _ in range(3):
            maker.save("a picture in each format", maker.drawing(), suffix)
    for suffix in ("jpg", "gif", "tif"):
        maker.write("a wrong suffix", encode(maker.drawing(), "png"), suffix)
        maker.write("a wrong suffix", encode(maker.drawing(), suffix), "png")


def make_odd(maker):
    drawing = maker.drawing()
    wide = np.asarray(drawing, np.uint16) * 257
    maker.save("16-bit grey", Image.fromarray(wide))
    maker.save("16-bit grey", Image.fromarray(wide), "tif")
    maker.save("floating-point grey", Image.fromarray(np.asarray(drawing, np.float32)), "tif")
    odd = np.asarray(drawing, np.float32).copy()
    odd[3, 3] = np.nan
    maker.save("floating-point grey that is not a number", Image.fromarray(odd), "tif")
    maker.save("black and white alone", drawing.convert("1"))
    palette = drawing.convert("P")
    maker.save(
        "a palette with a transparent colour", palette, transparency=palette.getpixel((0, 0))
    )
    ink = Image.merge("LA", [Image.new("L", drawing.size, 0), drawing.point(lambda v: 255 - v)])
    maker.save("dark ink on nothing", ink)
    chalk = Image.merge("LA", [Image.new("L", drawing.size, 255), drawing.point(lambda v: 255 - v)])
    maker.save("light ink on nothing", chalk)
    maker.save("nothing but transparency", Image.new("RGBA", (64, 64), (0, 0, 0, 0)))
    maker.save("CMYK", drawing.convert("CMYK"), "jpg")
    maker.save("CMYK", drawing.convert("CMYK"), "tif")
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        maker.save("turned by EXIF", drawing, "jpg", exif=exif.tobytes())
    frames = [maker.drawing() for _ in range(4)]
    for suffix in ("gif", "png", "webp", "tif"):
        maker.save("an animation", frames[0], suffix, save_all=True, append_images=frames[1:])
    maker.save("one pixel", Image.new("L", (1, 1), 7))
    maker.save("a line of pixels", Image.new("L", (1, 5000), 7))
    maker.save("a line of pixels", Image.new("L", (5000, 1), 7))
    maker.save("blank", Image.new("L", (64, 64), 255))
    maker.save("blank", Image.new("L", (64, 64), 0))
    large = drawing.resize((6000, 6000))
    maker.save("36 million pixels", large)
    maker.save("36 million pixels", large, "jpg")
    maker.write("49 million pixels of 16 bits", png(7000, 7000, bits=16))
    dot = Image.new("L", (32, 32), 255)
    dot.paste(0, (14, 14, 17, 16))
    maker.save("a few pixels of ink", dot)


def make_refused(maker):
    for suffix in FORMATS:
        maker.write("empty", b"", suffix)
        maker.write("text", b"a letter, and no picture\n" * 9, suffix)
        maker.write("random bytes", maker.dice.bytes(500), suffix)
    maker.write("text", b"<!doctype html><title>404</title>", "jpg")
    maker.write("text", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "png")
    maker.write("a program's own format", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    maker.write("a program's own format", zipped())
    maker.write("a program's own format", b"%PDF-1.7\n", "jpg")
    maker.write("a small file of too many pixels", png(10_000, 10_000))
    maker.write("a small file of too many pixels", png(30_000, 30_000))
    maker.write("a header of 2^31 pixels a side", huge_bmp(), "bmp")
    maker.write("a header of 2^31 pixels a side", huge_tiff(), "tif")
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 50_000_000, 9))
    maker.write("a text chunk that swells", png(64, 64, extra=bomb))
    with open(maker.path("a file of 300 megabytes", "png"), "wb") as file:
        file.truncate(300 << 20)  # with a hole, so that it takes no room


def make_strange(maker):
    """What is no file at all; a folder is not an input, whatever its name."""
    os.mkfifo(maker.path("a FIFO", "png"))
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(maker.folder)  # the name of a socket may not be long
    listener.bind(maker.path("a socket", "png").name)
    os.chdir(here)
    listener.close()
    loop = maker.path("a link to itself", "png")
    loop.symlink_to(loop.name)
    maker.path("a link to nothing", "png").symlink_to("nowhere.png")
    real = maker.folder / "real.png"
    real.write_bytes(encode(maker.drawing(), "png"))
    maker.kinds[str(real)] = "a picture in each format"
    maker.path("a link to a picture", "png").symlink_to("real.png")
    closed = maker.path("a file that may not be read", "png")
    closed.write_bytes(encode(maker.drawing(), "png"))
    closed.chmod(0)
    (maker.folder / "folder.png").mkdir()
    (maker.folder / "folder.png" / "again").symlink_to("..")
    inside = maker.folder / "folder.png" / "inside.png"
    inside.write_bytes(encode(maker.drawing(), "png"))
    maker.kinds[str(inside)] = "a picture in each format"
    name = maker.folder / '図形 ünï,"quoted"\nline.png'
    name.write_bytes(encode(maker.drawing(), "png"))
    maker.kinds[str(name)] = "a name in any script"


def make_damaged(maker, count):
    """Real pictures of every format, cut short or with bits flipped, at random places."""
    suffixes = list(FORMATS)
    for index in range(count):
        suffix = suffixes[index % len(suffixes)]
        content = bytearray(encode(maker.drawing(), suffix))
        if index // len(suffixes) % 2:
            del content[maker.dice.integers(1, len(content)) :]
            maker.write("cut short", bytes(content), suffix)
        else:
            for place in maker.dice.integers(0, len(content), maker.dice.integers(1, 9)):
                content[place] ^= 1 << maker.dice.integers(8)
            maker.write("bits flipped", bytes(content), suffix)


def make(folder, seed=0):
    """Fill `folder` with `COUNT` files; their kinds, by path."""
    maker = Maker(folder, np.random.default_rng(seed), {})
    for part in (make_whole, make_odd, make_refused, make_strange):
        part(maker)
    make_damaged(maker, COUNT - len(maker.kinds))
    return maker.kinds
