"""Export to one C file, in floats or in whole numbers, which a C compiler judges."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import EngineState, Weights
from lenet.errors import UsageError
from lenet.export.base import BITS, Expected, Format, Images, Options, Reference, Trained
from lenet.export.description import describe
from lenet.export.program import integers
from lenet.export.program.compilation import answer_source, compiler_version, find_compiler
from lenet.export.program.quantization import IntegerNetwork, check_known, quantize, weight_steps
from lenet.export.program.ranges import measure_ranges
from lenet.export.program.retraining import RECIPE, retrain
from lenet.export.program.source import WHOLE, Origin, read_weights, write_floats, write_integers
from lenet.export.rounding import float_reference
from lenet.prediction.evaluation import choose_split, open_network
from lenet.runs import checkpoint as checkpoints
from lenet.system.files import write_whole
from lenet.system.version import VERSION

FLOAT_BITS, BYTE_BITS, RETRAINED_BITS = BITS

MAY_LOSE = {BYTE_BITS: 0.001, RETRAINED_BITS: 0.005}
"""By bits of a weight, the share of the test images that may be lost against the run."""

DERIVATION = (
    "whole numbers: every score is that of the reference in NumPy, bit for bit; {bits}-bit weights "
    "may be right for at most {share:.1%} of the images fewer than the run"
)

_made: dict[tuple[Any, ...], IntegerNetwork] = {}
"""The last network in whole numbers, by checkpoint, data and bits: written and judged by it."""


def integer_network(trained: Trained, bits: int) -> IntegerNetwork:
    """The network in whole numbers; with 4 bits it is trained on, with its own train images.

    Raises:
        SpecError: if it cannot be done in whole numbers.
    """
    data = tuple(sorted(trained.dataset.digests.items()))
    key = (checkpoints.digest(trained.checkpoint), data, bits)
    if key not in _made:
        found = _integer_network(trained, bits)
        _made.clear()
        _made[key] = found
    return _made[key]


def _integer_network(trained: Trained, bits: int) -> IntegerNetwork:
    spec, weights, checkpoint = trained.spec, trained.weights, trained.checkpoint
    check_known(spec)  # before minutes go into its ranges or a retraining
    train = choose_split(trained.dataset, "train", checkpoint)
    if bits >= BYTE_BITS:
        return quantize(spec, weights, measure_ranges(spec, trained.engine, train.images), bits)
    steps = weight_steps(spec, weights, bits)
    weights = retrain(spec, weights, steps, bits, train)
    state = EngineState(weights, {}, checkpoint.state.updates)
    engine = open_network(replace(checkpoint, state=state))
    return quantize(spec, weights, measure_ranges(spec, engine, train.images), bits, steps)


def _origin(trained: Trained, options: Options) -> Origin:
    facts = describe(trained, options)
    how = "float32"
    if options.bits < FLOAT_BITS:
        how = f"whole numbers, weights of {options.bits} bits"
    lines = [
        f"Network {facts['model']} trained on {facts['data']}; in {how}.",
        f"Made by lenet {VERSION}; checkpoint {facts['checkpoint_sha256']}",
    ]
    if trained.receipt_sha256:
        lines.append(f"of the run with the receipt {trained.receipt_sha256}")
    if options.bits == RETRAINED_BITS:
        lines.append(f"and {RECIPE.epochs} epochs of training with weights of {options.bits} bits.")
    lines.append(f"Licence: {facts['licence']}; of the data: {facts['data_licence']}.")
    ink = "light on dark" if trained.checkpoint.data.convention.light_ink else "as they come"
    return Origin(
        "LeNet: a network that tells small pictures apart",
        tuple(lines),
        f"{facts['convention_in_words']}; {ink}",
    )


def _write(trained: Trained, options: Options, path: Path) -> None:
    names, origin = trained.class_names, _origin(trained, options)
    odd = [name for name in names if not name.isprintable()]
    if odd:
        raise UsageError(f"class {json.dumps(odd[0])}: such a name cannot be printed; rename it")
    if options.bits == FLOAT_BITS:
        text = write_floats(trained.spec, trained.weights, names, origin)
    else:
        text = write_integers(integer_network(trained, options.bits), names, origin)
    write_whole(path, text)


def _answer(trained: Trained, options: Options, path: Path, images: Images) -> NDArray[Any]:
    kind: Any = np.float64 if options.bits == FLOAT_BITS else np.int64
    return np.array(answer_source(path, images, trained.class_names)).astype(kind)


def _stored(trained: Trained, path: Path) -> Weights | None:
    """The floats in the file; None where it has whole numbers, which the answers are judged by."""
    text = path.read_text(encoding="utf-8")
    if WHOLE in text:
        return None
    shapes = trained.spec.weight_shapes()
    return {
        name: np.array([word.rstrip("f") for word in words], np.float32).reshape(shapes[name])
        for name, words in read_weights(trained.spec, text).items()
        if len(words) == math.prod(shapes[name])
    }


def _reference(trained: Trained, options: Options) -> Reference:
    if options.bits == FLOAT_BITS:
        return float_reference(trained.spec, trained.weights)
    network, share = integer_network(trained, options.bits), MAY_LOSE[options.bits]

    def answer(images: Images) -> Expected:
        right = integers.scores(network, images)
        return Expected(right, np.zeros(right.shape))

    derivation = DERIVATION.format(bits=options.bits, share=share)
    return Reference(answer, derivation, keeps_classes=False, may_lose=share)


def _need() -> None:
    find_compiler()


FORMAT = Format(
    title="one C file, in floats or (--bits) in whole numbers, for any processor",
    file_name="{model}.c",
    write=_write,
    answer=_answer,
    reference=_reference,
    need=_need,
    judge=compiler_version,
    takes=frozenset({"licence", "bits"}),
    stored=_stored,
)
