"""A folder for PyTorch that needs nothing of lenet: the network as the note writes it, and weights.

What stands here of PyTorch is text.  The proof runs the folder's own program in a process of its
own, which must not have loaded lenet.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from lenet.engines.base import Weights
from lenet.errors import ExportError
from lenet.export.base import Format, Images, Options, Reference, Trained
from lenet.export.needs import need
from lenet.export.rounding import float_reference
from lenet.export.torch_program import WEIGHTS, places_of, program
from lenet.system.files import write_whole

PROGRAM, EXAMPLE = "lenet5.py", "example.py"

_EXAMPLE = '''"""What a picture shows: `python example.py PICTURE`; without one, a bar.

The network was trained on pictures that were prepared so: {convention}{ink}.
Make yours alike; here it is only resized and made {colour}.
"""

import sys

import numpy as np
import torch

from lenet5 import CLASS_NAMES, classify, load

CHANNELS, ROWS, COLUMNS = {channels}, {rows}, {columns}


def read(path):
    from PIL import Image

    picture = Image.open(path).convert("{mode}").resize((COLUMNS, ROWS))
    return np.array(picture).reshape(ROWS, COLUMNS, CHANNELS).transpose(2, 0, 1)


def make():
    image = np.zeros((CHANNELS, ROWS, COLUMNS), np.uint8)
    image[:, ROWS // 5 : -ROWS // 5, COLUMNS * 2 // 5 : COLUMNS * 3 // 5] = 255  # a bar
    return image


image = read(sys.argv[1]) if len(sys.argv) > 1 else make()
probabilities = classify(load(), torch.from_numpy(image)[None])[0]
for index in probabilities.argsort(descending=True)[:3].tolist():
    print(f"{{CLASS_NAMES[index]}}: {{probabilities[index]:.4f}}")
'''

_PROOF = """
import sys
folder, given, wanted = sys.argv[1:]
sys.path.insert(0, folder)
import numpy as np
import torch
from lenet5 import load
network, images = load(), torch.from_numpy(np.load(given))
with torch.inference_mode():
    parts = [network(part.float() / 255) for part in images.split(256)]
assert "lenet" not in sys.modules
np.save(wanted, torch.cat(parts).numpy())
"""
"""What the proof runs: arguments are the folder, the images and where the answers go."""


def state(trained: Trained) -> dict[str, NDArray[np.float32]]:
    """The weights by the names that `lenet5.py` gives them: `net.1.weight` is that of C1."""
    found = {}
    for layer, place in places_of(trained.spec):
        for part in ("weight", "bias"):
            if f"{layer.name}.{part}" in trained.weights:
                array = trained.weights[f"{layer.name}.{part}"]
                found[f"net.{place}.{part}"] = np.ascontiguousarray(array)
    return found


def write_folder(trained: Trained, path: Path) -> None:
    """Program, weights and example, in a new folder."""
    path.mkdir()
    write_whole(path / PROGRAM, program(trained))
    write_whole(path / WEIGHTS, save(state(trained), metadata={"format": "pt"}))
    write_whole(path / EXAMPLE, _example(trained))


def answer_folder(path: Path, images: Images) -> NDArray[Any]:
    """Logits (n, classes) of the program in the folder, run by PyTorch in a process of its own.

    Raises:
        ExportError: if it fails, with its last words.
    """
    with tempfile.TemporaryDirectory() as scratch:
        given, wanted = Path(scratch) / "images.npy", Path(scratch) / "logits.npy"
        np.save(given, images)
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", _PROOF, str(path.absolute()), given, wanted],
            capture_output=True, text=True, check=False, cwd=scratch,
        )  # fmt: skip
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["it said nothing"]
            raise ExportError(f"the exported {PROGRAM} fails in PyTorch: {words[-1]}")
        found: NDArray[Any] = np.load(wanted)
        return found


def stored(trained: Trained, path: Path) -> Weights:
    """The weights in the folder by the names of the run."""
    found = load((path / WEIGHTS).read_bytes())
    return {
        f"{layer.name}.{part}": found[f"net.{place}.{part}"]
        for layer, place in places_of(trained.spec)
        for part in ("weight", "bias")
        if f"net.{place}.{part}" in found
    }


def _example(trained: Trained) -> str:
    channels, rows, columns = trained.spec.input_shape
    convention = trained.checkpoint.data.convention
    modes = {1: ("L", "grey"), 3: ("RGB", "RGB"), 4: ("RGBA", "RGBA")}
    mode, colour = modes.get(channels, ("L", "grey"))
    return _EXAMPLE.format(
        convention=convention.describe(),
        ink=", light on dark" if convention.light_ink else "",
        channels=channels,
        rows=rows,
        columns=columns,
        mode=mode,
        colour=colour,
    )


def need_torch() -> None:
    """Raises `MissingExtraError` where PyTorch is missing, which the proof runs."""
    need("export to PyTorch", "torch", {"torch": "PyTorch"})


def torch_judge() -> str:
    """PyTorch and its version."""
    return f"PyTorch {metadata.version('torch')}"


def reference(trained: Trained, options: Options) -> Reference:
    """The logits of a float32 program."""
    return float_reference(trained.spec, trained.weights)


def _write(trained: Trained, options: Options, path: Path) -> None:
    write_folder(trained, path)


def _answer(trained: Trained, options: Options, path: Path, images: Images) -> NDArray[Any]:
    return answer_folder(path, images)


FORMAT = Format(
    title="a folder for PyTorch that needs nothing of lenet",
    file_name="{model}-torch",
    folder=True,
    takes=frozenset(),
    write=_write,
    answer=_answer,
    reference=reference,
    stored=stored,
    need=need_torch,
    judge=torch_judge,
)
