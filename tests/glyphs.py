"""Pictures of letters, drawn from the fonts that come with Matplotlib: many files, real shapes."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "АБВДЖЗИЙЛФЦЧШЩЭЮЯЫΔΘΞΣΨΩΓλ"
SUFFIXES = ("png", "jpg", "bmp", "gif")


def fonts():
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.name)


def draw_letter(letter, font, source):
    """Dark on light, of some size, turned and shifted a little."""
    side = int(source.integers(40, 70))
    picture = Image.new("L", (side, side), 255)
    x, y = side / 2 + source.uniform(-4, 4, 2)
    size = int(side * source.uniform(0.5, 0.7))
    ImageDraw.Draw(picture).text(
        (x, y), letter, fill=0, font=ImageFont.truetype(font, size), anchor="mm"
    )
    return picture.rotate(source.uniform(-12, 12), Image.Resampling.BILINEAR, fillcolor=255)


def draw_folder(root, letters=LETTERS, count=36, seed=0):
    """`root`/LETTER/NUMBER.(png, jpg, bmp or gif): `count` pictures of each letter."""
    source, known = np.random.default_rng(seed), fonts()
    for letter in letters:
        (root / letter).mkdir(parents=True)
        for index in range(count):
            picture = draw_letter(letter, known[index % len(known)], source)
            picture.save(root / letter / f"{index:03}.{SUFFIXES[index % len(SUFFIXES)]}")
    return root
