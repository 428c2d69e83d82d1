"""A network as a module of PyTorch's, layer by layer.

It reads pixels as fractions and prepares them itself, so that it can be used without an engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lenet.engines.base import Weights
from lenet.network import Layer, RadialBasis, Shape, Spec
from lenet.network.layers import FLAT, LEAKY_RELU_SLOPE, SCALED_TANH
from lenet.network.preparation import prepare


class Reshape(nn.Module):
    """(n, pixels) or (n, height, width) to (n, channels, height, width)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.shape)

    def extra_repr(self) -> str:
        return f"-1, {', '.join(map(str, self.shape))}"


class ScaledTanh(nn.Module):
    """A tanh(S a): LeCun et al. 1998, section II-B, equation 6."""

    def forward(self, x: Tensor) -> Tensor:
        amplitude, slope = SCALED_TANH
        return amplitude * torch.tanh(slope * x)


class Subsample(nn.Module):
    """Sums over squares, times a coefficient, plus a bias: LeCun et al. 1998, section II-B."""

    def __init__(self, maps: int, size: int, copies: int) -> None:
        super().__init__()
        self.size, self.copies = size, copies
        self.weight = nn.Parameter(torch.full((maps * copies,), 1.0 / size**2))
        self.bias = nn.Parameter(torch.zeros(maps * copies))

    def sums(self, x: Tensor) -> Tensor:
        """Over squares that do not overlap, for each map that comes out."""
        summed = functional.avg_pool2d(x, self.size) * float(self.size**2)
        return summed.repeat_interleave(self.copies, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.sums(x) * self.weight[:, None, None] + self.bias[:, None, None]

    def extra_repr(self) -> str:
        return f"{len(self.weight)} maps, size={self.size}"


class RadialBasisUnits(nn.Module):
    """Minus the squared distances to fixed centres: LeCun et al. 1998, equation 7."""

    centres: Tensor

    def __init__(self, layer: RadialBasis) -> None:
        super().__init__()
        self.scale = layer.scale
        self.register_buffer("centres", torch.from_numpy(layer.centres()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        apart = x[:, None, :] - self.centres
        return -self.scale * (apart * apart).sum(dim=2)

    def extra_repr(self) -> str:
        classes, inputs = self.centres.shape
        return f"in_features={inputs}, out_features={classes}, scale={self.scale}"


class Prepare(nn.Module):
    """The spec's preparation of pixels in [0, 1], to the same bytes as in training."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        images = (x.detach() * 255.0).round().to(torch.uint8).cpu().numpy()
        return torch.from_numpy(prepare(self.steps, images)).to(x) / 255.0

    def extra_repr(self) -> str:
        return ", ".join(self.steps)


class LeNet(nn.Module):
    """A network of the zoo as a plain module, in the order of the note.

    Takes pixels in [0, 1], float32 (n, channels, height, width), and gives logits (n, classes).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.pixel_scale = 255.0 * spec.pixel_scale
        self.pixel_shift = spec.pixel_shift
        self.is_prepared = not spec.preparation
        if spec.preparation:
            self.prepare = nn.Sequential(Reshape(*spec.input_shape), Prepare(spec.preparation))
        layers: list[nn.Module] = [Reshape(*spec.prepared_shape)]
        for row, layer in zip(spec.counts(), spec.layers, strict=True):
            layers += _modules(layer, row.input_shape, first_dense=_is_first_flat(spec, layer))
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x if self.is_prepared else self.prepare(x))

    def run(self, x: Tensor) -> Tensor:
        """The same for pixels that are prepared already."""
        if (self.pixel_scale, self.pixel_shift) != (1.0, 0.0):
            x = x * self.pixel_scale + self.pixel_shift
        logits: Tensor = self.net(x)
        return logits


def build_module(spec: Spec, weights: Weights) -> LeNet:
    """A `LeNet` that holds a copy of `weights`."""
    module = LeNet(spec)
    for name, parameter in named_parameters(module, spec).items():
        parameter.data.copy_(torch.from_numpy(weights[name]))
    return module


def _activation(name: str) -> list[nn.Module]:
    modules: dict[str, nn.Module] = {
        "relu": nn.ReLU(),
        "leaky_relu": nn.LeakyReLU(LEAKY_RELU_SLOPE),
        "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(),
        "scaled_tanh": ScaledTanh(),
        "silu": nn.SiLU(),
    }
    return [] if name == "identity" else [modules[name]]


def _convolution(layer: Layer, shape: Shape) -> nn.Module:
    return nn.Conv2d(shape[0], layer.outputs, kernel_size=layer.window, padding=layer.padding)


def _dense(layer: Layer, shape: Shape) -> nn.Module:
    return nn.Linear(math.prod(shape), layer.outputs)


def _average(layer: Layer, shape: Shape) -> nn.Module:
    return nn.AvgPool2d(kernel_size=layer.window, stride=layer.window)


def _maximum(layer: Layer, shape: Shape) -> nn.Module:
    return nn.MaxPool2d(kernel_size=layer.window, stride=layer.window)


def _subsampling(layer: Layer, shape: Shape) -> nn.Module:
    return Subsample(shape[0], layer.window, layer.outputs)


def _distances(layer: Layer, shape: Shape) -> nn.Module:
    assert isinstance(layer, RadialBasis)
    return RadialBasisUnits(layer)


_MODULES: dict[str, Callable[[Layer, Shape], nn.Module]] = {
    "convolution": _convolution,
    "average": _average,
    "max": _maximum,
    "dense": _dense,
    "subsampling": _subsampling,
    "radial_basis": _distances,
}
"""By a layer's operation."""


def _modules(layer: Layer, shape: Shape, first_dense: bool) -> list[nn.Module]:
    flatten: list[nn.Module] = [nn.Flatten()] if first_dense else []
    return [*flatten, _MODULES[layer.operation](layer, shape), *_activation(layer.activation)]


def modules_by_layer(module: LeNet, spec: Spec) -> list[list[nn.Module]]:
    """The modules of each layer; the first flat one has what flattens its input."""
    modules, layers = iter(list(module.net)[1:]), []
    for row, layer in zip(spec.counts(), spec.layers, strict=True):
        made = _modules(layer, row.input_shape, _is_first_flat(spec, layer))
        layers.append([next(modules) for _ in made])
    return layers


def _is_first_flat(spec: Spec, layer: Layer) -> bool:
    return layer is next(other for other in spec.layers if other.operation in FLAT)


def named_parameters(module: LeNet, spec: Spec) -> dict[str, nn.Parameter]:
    """The module's parameters by their names in `Spec.weight_shapes`; both keep layer order."""
    return dict(zip(spec.weight_shapes(), module.parameters(), strict=True))
