"""Data sets: which there are, where they are, and what is in them."""

from lenet.data.catalog import CATALOG, Entry
from lenet.data.convention import Convention
from lenet.data.dataset import Dataset, Split, hold_out, training_splits
from lenet.data.digest import cache_folder
from lenet.data.export import export
from lenet.data.library import get, is_own, load, load_again, load_like
from lenet.data.location import Location, Verification, locate, verify
from lenet.data.reading import Origin, Reading
from lenet.data.survey import Survey

__all__ = [
    "CATALOG",
    "Convention",
    "Dataset",
    "Entry",
    "Location",
    "Origin",
    "Reading",
    "Split",
    "Survey",
    "Verification",
    "cache_folder",
    "export",
    "get",
    "hold_out",
    "is_own",
    "load",
    "load_again",
    "load_like",
    "locate",
    "training_splits",
    "verify",
]
