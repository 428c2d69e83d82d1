"""The data sets that lenet knows by name, as rows.

Sizes and SHA-256 are those of the payload, after decompression: distributions recompress.  Where
no payload digest is published, `md5` is that of the publisher's container, from torchvision's
`datasets/mnist.py`.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from lenet.errors import UsageError


@dataclass(frozen=True, slots=True)
class DataFile:
    """One IDX file: its name without `.gz`, and the bytes and digest that its payload must have."""

    name: str
    size: int
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive that holds the files as `<folder>/<name>.gz`; `size` bounds it, in bytes."""

    name: str
    folder: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalog.

    `files` are train images, train labels, test images, test labels.  `mirrors` are folders on the
    web.  `transposed` says that rows and columns are swapped in the files; `first_label` is the
    label of the first class; `folder` is where the files lie below a data folder.
    """

    name: str
    title: str
    homepage: str
    licence: str
    class_names: tuple[str, ...]
    files: tuple[DataFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    archive: Archive | None = None
    transposed: bool = False
    first_label: int = 0

    @property
    def is_bundled(self) -> bool:
        """True for a set that comes with the installation and needs no files."""
        return not self.files


DIGITS = tuple(string.digits)
FASHION = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
KUZUSHIJI = (
    "お o",
    "き ki",
    "す su",
    "つ tsu",
    "な na",
    "は ha",
    "ま ma",
    "や ya",
    "れ re",
    "を wo",
)

# Cohen et al. 2017, section II-B: letters whose upper and lower case look alike are one class.
MERGED = DIGITS + tuple(string.ascii_uppercase) + tuple("abdefghnqrt")
BY_CLASS = DIGITS + tuple(string.ascii_uppercase) + tuple(string.ascii_lowercase)

_MNIST_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_MNIST_SIZES = (47_040_016, 60_008, 7_840_016, 10_008)

_MNIST_SHA256 = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
_FASHION_SHA256 = (
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
_KMNIST_MD5 = (
    "bdb82020997e1d708af4cf47b453dcf7",
    "e144d726b3acfaa3e44228e80efcd344",
    "5c965bf0a639b31b8f53240b1b52f4d7",
    "7320c461ea6c1c855c0b718fb2a4b134",
)
_EMNIST_ARCHIVE = Archive("gzip.zip", "gzip", 600_000_000, "58c8d27c78d21e728a6bc7b3cc06412e")


def _hashed(digests: tuple[str, ...]) -> tuple[DataFile, ...]:
    rows = zip(_MNIST_NAMES, _MNIST_SIZES, digests, strict=True)
    return tuple(DataFile(name, size, sha256=digest) for name, size, digest in rows)


def _emnist(split: str, train: int, test: int, classes: tuple[str, ...], first: int = 0) -> Entry:
    """A split of EMNIST; the counts of images are those of Cohen et al. 2017, table II."""
    files = []
    for part, count in (("train", train), ("test", test)):
        files.append(DataFile(f"emnist-{split}-{part}-images-idx3-ubyte", 16 + 784 * count))
        files.append(DataFile(f"emnist-{split}-{part}-labels-idx1-ubyte", 8 + count))
    return Entry(
        name=f"emnist-{split}",
        title=f"handwritten characters, split {split}",
        homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        licence="public domain (NIST)",
        class_names=classes,
        files=tuple(files),
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        archive=_EMNIST_ARCHIVE,
        transposed=True,
        first_label=first,
    )


_ROWS = (
    Entry(
        name="fashion-mnist",
        title="clothes, 60,000 + 10,000 pictures",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        class_names=FASHION,
        files=_hashed(_FASHION_SHA256),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        ),
    ),
    Entry(
        name="mnist",
        title="handwritten digits, 60,000 + 10,000 pictures",
        homepage="http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        class_names=DIGITS,
        files=_hashed(_MNIST_SHA256),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://raw.githubusercontent.com/fgnt/mnist/master/",
        ),
    ),
    Entry(
        name="kmnist",
        title="cursive Japanese, 60,000 + 10,000 pictures",
        homepage="http://codh.rois.ac.jp/kmnist/",
        licence="CC BY-SA 4.0",
        class_names=KUZUSHIJI,
        files=tuple(
            DataFile(name, size, md5=md5)
            for name, size, md5 in zip(_MNIST_NAMES, _MNIST_SIZES, _KMNIST_MD5, strict=True)
        ),
        mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    ),
    Entry(
        name="qmnist",
        title="MNIST rebuilt with its lost test digits, 60,000 + 60,000 pictures",
        homepage="https://github.com/facebookresearch/qmnist",
        licence="BSD 3-Clause",
        class_names=DIGITS,
        files=(
            DataFile(
                "qmnist-train-images-idx3-ubyte", 47_040_016, md5="ed72d4157d28c017586c42bc6afe6370"
            ),
            DataFile(
                "qmnist-train-labels-idx2-int", 1_920_012, md5="0058f8dd561b90ffdd0f734c6a30e5e4"
            ),
            DataFile(
                "qmnist-test-images-idx3-ubyte", 47_040_016, md5="1394631089c404de565df7b7aeaf9412"
            ),
            DataFile(
                "qmnist-test-labels-idx2-int", 1_920_012, md5="5b5b05890a5e13444e108efe57b788aa"
            ),
        ),
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
    ),
    _emnist("balanced", 112_800, 18_800, MERGED),
    _emnist("byclass", 697_932, 116_323, BY_CLASS),
    _emnist("bymerge", 697_932, 116_323, MERGED),
    _emnist("letters", 124_800, 20_800, tuple(string.ascii_lowercase), first=1),
    _emnist("digits", 240_000, 40_000, DIGITS),
    _emnist("mnist", 60_000, 10_000, DIGITS),
    Entry(
        name="digits",
        title="handwritten digits, 1,437 + 360 pictures, bundled with scikit-learn",
        homepage="https://archive.ics.uci.edu/dataset/80",
        licence="CC BY 4.0",
        class_names=DIGITS,
    ),
)

CATALOG: dict[str, Entry] = {row.name: row for row in _ROWS}


def find(name: str) -> Entry:
    """The row of that name.

    Raises:
        UsageError: if there is none.
    """
    if name not in CATALOG:
        raise UsageError(f"no data set is called {name!r}; known are {', '.join(CATALOG)}")
    return CATALOG[name]
