"""Data sets: which there are, where they are, and what is in them.

Kept here: `published` (data sets by name), `own` (the user's own), `files` (files of many images),
`pictures` (from a picture to pixels), and what they have in common.  It may know the ground, and
nothing of networks and engines.
"""

from lenet.data.dataset import Dataset, Split, hold_out, training_splits
from lenet.data.export import export
from lenet.data.library import Source, get, is_own, load, load_again, load_like
from lenet.data.pictures.convention import Convention
from lenet.data.published.catalog import CATALOG, Entry
from lenet.data.published.digest import cache_folder
from lenet.data.published.location import Location, Verification, locate, verify
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
    "Source",
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
