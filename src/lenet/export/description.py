"""What an exported file says of itself."""

from __future__ import annotations

import json
from dataclasses import asdict

from lenet import data as data_sets
from lenet.export.base import Options, Trained
from lenet.runs import checkpoint as checkpoints

NOT_STATED = "not stated"


def describe(trained: Trained, options: Options) -> dict[str, str]:
    """Texts by name; lists and objects are JSON.

    `licence` is the file's own, as its maker states it; `data_licence` is that of the data that the
    network was trained on, where it is published.
    """
    source, spec = trained.checkpoint.data, trained.spec
    published = data_sets.CATALOG.get(source.name) if source.origin is None else None
    pixels = "uint8, 0 to 255" if options.input == "uint8" else "float32, fractions from 0 to 1"
    return {
        "class_names": json.dumps(source.class_names, ensure_ascii=False),
        "convention": json.dumps(asdict(source.convention)),
        "convention_in_words": source.convention.describe(),
        "input": f"{pixels}; {'x'.join(map(str, spec.input_shape))} (channels, rows, columns)",
        "model": spec.name,
        "data": source.name,
        "checkpoint_sha256": checkpoints.digest(trained.checkpoint),
        "receipt_sha256": trained.receipt_sha256,
        "licence": options.licence or NOT_STATED,
        "data_licence": NOT_STATED if published is None else published.licence,
    }
