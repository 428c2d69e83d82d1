"""Data sets: which there are, where they are, and what is in them."""

from lenet.data.catalog import CATALOG, Entry
from lenet.data.convention import Convention
from lenet.data.dataset import Dataset, Split, hold_out
from lenet.data.digest import cache_folder
from lenet.data.export import export
from lenet.data.library import get, load
from lenet.data.location import Location, Verification, locate, verify

__all__ = [
    "CATALOG",
    "Convention",
    "Dataset",
    "Entry",
    "Location",
    "Split",
    "Verification",
    "cache_folder",
    "export",
    "get",
    "hold_out",
    "load",
    "locate",
    "verify",
]
