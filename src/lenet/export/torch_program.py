"""The text of `lenet5.py`: a network in plain PyTorch, as the note writes it.

What a network of 1998 has besides, its preparation, trained subsampling and distances, is there as
text too, and is added where a network has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lenet.export.base import Trained
from lenet.network import Layer, Shape, Spec, characters
from lenet.network.layers import FLAT, LEAKY_RELU_SLOPE, SCALED_TANH, RadialBasis
from lenet.network.preparation import MARGIN

WEIGHTS = "model.safetensors"

CLASS = "LeNet5"

_PROGRAM = '''"""{title}

Needs PyTorch and safetensors.  Exported by lenet from a training on {data}.

    from lenet5 import CLASS_NAMES, load

    network = load()
    logits = network(images.float() / 255)  # images uint8 (n, {shape})
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

CLASS_NAMES = (
{names})

WEIGHTS = Path(__file__).with_name("{weights}")


class LeNetReshape(nn.Module):
    def forward(self, x):
        return {scaled}

{more}
class {kind}(nn.Module):
    """Takes pixels in [0, 1], float32 (n, {shape}), and gives logits (n, {classes})."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            LeNetReshape(),
{layers}        )

    def forward(self, x):
        return self.net(x)


def load():
    """The trained network, ready to answer."""
    network = {kind}()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()


def classify(network, images):
    """Probabilities (n, {classes}) of `CLASS_NAMES` for images uint8 (n, {shape})."""
    with torch.inference_mode():
        return torch.softmax(network(images.float() / 255), dim=1)
'''

_SCALED_TANH = """
class ScaledTanh(nn.Module):
    def forward(self, x):
        return {amplitude!r} * torch.tanh({slope!r} * x)

"""


_FRAME = '''
def frame(x):
    """Background on every side, as LeCun et al. 1998 gave it to their pictures."""
    return nn.functional.pad(x, ({margin}, {margin}, {margin}, {margin}))

'''

_SHRINK = '''
def shrink(x):
    """The picture at four fifths of its size in the middle, in steps of 1/255."""
    down, across = (tenths(side).to(x) for side in x.shape[2:])
    hundredths = down @ (255 * x) @ across.T
    return torch.floor((hundredths + 50.5) / 100) / 255


def tenths(side):
    """(side, side): how much of each small pixel lies in each large one."""
    first, large = 10 * torch.arange(side)[:, None] - side, 8 * torch.arange(side)
    return (torch.minimum(first + 10, large + 8) - torch.maximum(first, large)).clamp(min=0)

'''

_SUBSAMPLING = '''
class Subsampling(nn.Module):
    """The sum over squares, times a coefficient, plus a bias; `copies` of each map."""

    def __init__(self, maps, size, copies):
        super().__init__()
        self.size, self.copies = size, copies
        self.weight = nn.Parameter(torch.empty(maps * copies))
        self.bias = nn.Parameter(torch.empty(maps * copies))

    def forward(self, x):
        sums = nn.functional.avg_pool2d(x, self.size, divisor_override=1)
        sums = sums.repeat_interleave(self.copies, dim=1)
        return self.weight[:, None, None] * sums + self.bias[:, None, None]

'''

_DISTANCES = '''
class Distances(nn.Module):
    """Squared distances to fixed centres, times `scale`, with a minus sign: logits."""

    def __init__(self, centres, scale):
        super().__init__()
        self.register_buffer("centres", centres, persistent=False)
        self.scale = scale

    def forward(self, x):
        return -self.scale * (x[:, None] - self.centres).square().sum(dim=2)

'''

_CHARACTERS = '''
CHARACTERS = """
{characters}
"""


def centres():
    """(classes, {pixels}): +1 where a printed character is black and -1 where not."""
    found = []
    for line_of_print in CHARACTERS.strip().split("\\n\\n"):
        rows = [row.split() for row in line_of_print.split("\\n")]
        found += ["".join(parts) for parts in zip(*rows)]
    return torch.tensor([[1.0 if dot == "#" else -1.0 for dot in each] for each in found])

'''

CHARACTERS_A_LINE = 10


def program(trained: Trained) -> str:
    """The text of `lenet5.py`."""
    spec = trained.spec
    scale, shift = 255.0 * spec.pixel_scale, spec.pixel_shift
    scaling = f" * {scale!r}" if scale != 1.0 else ""
    scaling += f" + {shift!r}" if shift else ""
    prepared = f"x.reshape(-1, {', '.join(map(str, spec.input_shape))})"
    for step in spec.preparation:
        prepared = f"{step}({prepared})"
    return _PROGRAM.format(
        title=f"{spec.name}: a LeNet in plain PyTorch.",
        data=_one_line(trained.checkpoint.data.name),
        shape=", ".join(map(str, spec.input_shape)),
        names="".join(f"    {name!r},\n" for name in trained.class_names),
        weights=WEIGHTS,
        scaled=prepared + scaling,
        more="".join(_more(spec)),
        kind=CLASS,
        classes=spec.classes,
        layers="".join(f"            {line}\n" for line in _lines(spec)),
    )


def _more(spec: Spec) -> Iterator[str]:
    """Functions and classes that only some networks need."""
    operations = {layer.operation for layer in spec.layers}
    if "frame" in spec.preparation:
        yield _FRAME.format(margin=MARGIN)
    if "shrink" in spec.preparation:
        yield _SHRINK
    if any(layer.activation == "scaled_tanh" for layer in spec.layers):
        amplitude, slope = SCALED_TANH
        yield _SCALED_TANH.format(amplitude=amplitude, slope=slope)
    if "subsampling" in operations:
        yield _SUBSAMPLING
    if spec.distances is not None:
        yield _DISTANCES
        if spec.distances.code == "characters":
            printed = _print_characters(spec.classes)
            yield _CHARACTERS.format(characters=printed, pixels=characters.PIXELS)


def _print_characters(count: int) -> str:
    """The first characters, side by side, in lines of some."""
    chosen = list(characters.pictures().values())[:count]
    blocks = []
    for first in range(0, count, CHARACTERS_A_LINE):
        part = chosen[first : first + CHARACTERS_A_LINE]
        rows = zip(
            *(["".join("#" if dot > 0 else "." for dot in row) for row in each] for each in part),
            strict=True,
        )
        blocks.append("\n".join(" ".join(row) for row in rows))
    return "\n\n".join(blocks)


def _one_line(text: str) -> str:
    """A name that may hold anything, as a part of a docstring."""
    return text.encode("unicode_escape").decode().replace('"', "'")


def _lines(spec: Spec) -> Iterator[str]:
    """A line a layer, as the note writes them."""
    flat = False
    for layer, row in zip(spec.layers, spec.counts(), strict=True):
        if layer.operation in FLAT and not flat:
            yield "nn.Flatten(),"
            flat = True
        modules = [_MODULES[layer.operation](layer, row.input_shape), *_activation(layer)]
        note = "; 0 where its table has no connection" if layer.connections else ""
        yield f"{', '.join(modules)},  # {layer.name}{note}"


def places_of(spec: Spec) -> Iterator[tuple[Layer, int]]:
    """Each layer with its place in the sequence; the reshaping is the first."""
    place, flat = 1, False
    for layer in spec.layers:
        if layer.operation in FLAT and not flat:
            place, flat = place + 1, True
        yield layer, place
        place += 1 + len(_activation(layer))


def _activation(layer: Layer) -> list[str]:
    known = {
        "identity": [],
        "relu": ["nn.ReLU()"],
        "leaky_relu": [f"nn.LeakyReLU({LEAKY_RELU_SLOPE})"],
        "sigmoid": ["nn.Sigmoid()"],
        "tanh": ["nn.Tanh()"],
        "scaled_tanh": ["ScaledTanh()"],
        "silu": ["nn.SiLU()"],
    }
    return known[layer.activation]


def _convolution(layer: Layer, shape: Shape) -> str:
    padding = f", padding={layer.padding}" if layer.padding else ""
    return f"nn.Conv2d({shape[0]}, {layer.outputs}, kernel_size={layer.window}{padding})"


def _dense(layer: Layer, shape: Shape) -> str:
    size = " * ".join(map(str, shape)) if shape[1:] != (1, 1) else str(shape[0])
    return f"nn.Linear({size}, {layer.outputs})"


def _average(layer: Layer, shape: Shape) -> str:
    return f"nn.AvgPool2d(kernel_size={layer.window}, stride={layer.window})"


def _max(layer: Layer, shape: Shape) -> str:
    return f"nn.MaxPool2d(kernel_size={layer.window}, stride={layer.window})"


def _subsampling(layer: Layer, shape: Shape) -> str:
    return f"Subsampling({shape[0]}, size={layer.window}, copies={layer.outputs})"


def _distances(layer: Layer, shape: Shape) -> str:
    assert isinstance(layer, RadialBasis)
    places = f"2 * torch.eye({layer.outputs}) - 1"
    centres = "centres()" if layer.code == "characters" else places
    return f"Distances({centres}, scale={layer.scale})"


_MODULES: dict[str, Callable[[Layer, Shape], str]] = {
    "convolution": _convolution,
    "dense": _dense,
    "average": _average,
    "max": _max,
    "subsampling": _subsampling,
    "radial_basis": _distances,
}
