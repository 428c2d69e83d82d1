"""The data sets that lenet knows by name, as rows.

Sizes and SHA-256 are those of the payload, after decompression: distributions recompress.  Where
no payload digest is published, the publisher's container has one: a SHA-256 from TensorFlow
Datasets (`url_checksums/kmnist.txt`, `url_checksums/emnist.txt`), or for QMNIST an MD5 from
torchvision (`datasets/mnist.py`).
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from lenet.data.pictures.convention import AS_GIVEN, CLOTHES, EMNIST, MNIST, Convention
from lenet.errors import UsageError


@dataclass(frozen=True, slots=True)
class DataFile:
    """One IDX file: its name without `.gz`, and the bytes and digest that its payload must have.

    `container` is the digest of the `.gz` as published (`sha256:...` or `md5:...`), for files whose
    payload has no published digest.
    """

    name: str
    size: int
    sha256: str | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive that holds the files as `<folder>/<name>.gz`; `size` bounds it, in bytes."""

    name: str
    folder: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalog.

    `files` are train images, train labels, test images, test labels.  `mirrors` are folders on the
    web.  `transposed` says that rows and columns are swapped in the files; `first_label` is the
    label of the first class; `convention` is how its pictures were made; `flips` says that a
    picture mirrored left to right still shows its class, as no character does.
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
    convention: Convention = AS_GIVEN
    flips: bool = False

    @property
    def is_bundled(self) -> bool:
        """True for a set that comes with the installation and needs no files."""
        return not self.files


DIGITS = tuple(string.digits)
FASHION = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

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
_KMNIST_CONTAINERS = (
    "sha256:51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    "sha256:e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    "sha256:edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    "sha256:20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
)
_EMNIST_ARCHIVE = Archive(
    name="gzip.zip",
    folder="gzip",
    size=561_753_746,
    digest="sha256:fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
)


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
        licence="none stated (from NIST Special Database 19)",
        class_names=classes,
        convention=EMNIST,
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
        convention=CLOTHES,
        flips=True,
        files=_hashed(_FASHION_SHA256),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        ),
    ),
    Entry(
        name="mnist",
        title="handwritten digits, 60,000 + 10,000 pictures",
        homepage="http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        class_names=DIGITS,
        convention=MNIST,
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
        convention=CLOTHES,
        files=tuple(
            DataFile(name, size, container=digest)
            for name, size, digest in zip(
                _MNIST_NAMES, _MNIST_SIZES, _KMNIST_CONTAINERS, strict=True
            )
        ),
        mirrors=(
            "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            "https://huggingface.co/datasets/tanganke/kmnist/resolve/"
            "dab04d7c5e37a87fc08226dc58aa548bab58d0d2/raw/",
        ),
    ),
    Entry(
        name="qmnist",
        title="MNIST rebuilt with its lost test digits, 60,000 + 60,000 pictures",
        homepage="https://github.com/facebookresearch/qmnist",
        licence="BSD 3-Clause",
        class_names=DIGITS,
        convention=MNIST,
        files=(
            DataFile(
                "qmnist-train-images-idx3-ubyte",
                47_040_016,
                container="md5:ed72d4157d28c017586c42bc6afe6370",
            ),
            DataFile(
                "qmnist-train-labels-idx2-int",
                1_920_012,
                container="md5:0058f8dd561b90ffdd0f734c6a30e5e4",
            ),
            DataFile(
                "qmnist-test-images-idx3-ubyte",
                47_040_016,
                container="md5:1394631089c404de565df7b7aeaf9412",
            ),
            DataFile(
                "qmnist-test-labels-idx2-int",
                1_920_012,
                container="md5:5b5b05890a5e13444e108efe57b788aa",
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
        title="handwritten digits, 1,437 + 360 pictures, bundled with lenet",
        homepage="https://archive.ics.uci.edu/dataset/80",
        licence="CC BY 4.0",
        class_names=DIGITS,
        convention=MNIST,
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
