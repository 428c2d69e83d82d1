"""Stochastic diagonal Levenberg-Marquardt in PyTorch: LeCun et al. 1998, appendix C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from lenet.engines.module import Subsample
from lenet.network import Layer, Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH


class StochasticDiagonalLevenbergMarquardt(torch.optim.Optimizer):
    """Each weight goes down its gradient at a rate of its own: LeCun et al. 1998, equations 18, 21.

    The rate is `lr / (floor + curvature)`; `EagerEngine.curvature` gives each parameter its own,
    and until then it is 0.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, floor: float) -> None:
        super().__init__(parameters, {"lr": lr, "floor": floor})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step with the gradients that are there; `closure` is PyTorch's and must be None."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                curvature = self.state[parameter].get("curvature", 0.0)
                parameter -= group["lr"] / (group["floor"] + curvature) * parameter.grad


def curve(spec: Spec, modules: Sequence[Sequence[nn.Module]], x: Tensor) -> dict[str, Tensor]:
    """Sums over the images of second derivatives, by weight.

    Of Gauss and Newton and without what couples them: LeCun et al. 1998, equations 23, 25 and 27.
    `modules` are those of each layer, `x` (n, channels, rows, columns) what the first one reads.
    """
    passed: list[tuple[Layer, nn.Module, Tensor, Tensor]] = []
    for layer, steps in zip(spec.layers, modules, strict=True):
        kernels = [step for step in steps if not isinstance(step, nn.Flatten)]
        if len(kernels) < len(steps):
            x = x.flatten(1)
        given, told = x, kernels[0](x)
        x = told
        for step in kernels[1:]:
            x = step(x)
        passed.append((layer, kernels[0], given, told if layer.activation == "silu" else x))
    if spec.distances is not None:
        *passed, (_, _, given, _) = passed
        flow = torch.full_like(given, 2.0 * spec.distances.scale)
    else:
        chances = x.softmax(dim=1)
        flow = chances * (1.0 - chances)
    found: dict[str, Tensor] = {}
    for layer, module, given, output in reversed(passed):
        flow = flow.reshape(output.shape) * _slope(layer.activation, output) ** 2
        weight, bias, flow = _curve_layer(module, given, flow)
        if weight is not None and bias is not None:
            found |= {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}
    return {name: found[name] for name in spec.weight_shapes()}


def _curve_layer(
    module: nn.Module, given: Tensor, flow: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Of weight and bias, and of what is `given`, from those of what the module makes of it.

    A sum of products passes them on as it does a gradient, with its factors squared.
    """
    if isinstance(module, nn.Linear):
        return flow.T @ given**2, flow.sum(dim=0), flow @ module.weight**2
    if isinstance(module, nn.Conv2d):
        padding = module.padding
        below = conv2d_input(  # type: ignore[no-untyped-call]
            given.shape, module.weight**2, flow, padding=padding
        )
        weight = conv2d_weight(  # type: ignore[no-untyped-call]
            given**2, module.weight.shape, flow, padding=padding
        )
        return weight, flow.sum(dim=(0, 2, 3)), below
    if isinstance(module, Subsample):
        sums = module.sums(given)
        scaled = flow * module.weight[:, None, None] ** 2
        count, maps, rows, columns = scaled.shape
        copies = module.copies
        shared = scaled.reshape(count, maps // copies, copies, rows, columns).sum(dim=2)
        weight = (sums**2 * flow).sum(dim=(0, 2, 3))
        return weight, flow.sum(dim=(0, 2, 3)), _spread(shared, module.size, given)
    if isinstance(module, nn.AvgPool2d):
        size = int(module.kernel_size)  # type: ignore[arg-type]
        return None, None, _spread(flow / size**4, size, given)
    with torch.enable_grad():
        leaf = given.clone().requires_grad_()
        (below,) = torch.autograd.grad(module(leaf), leaf, flow)
    return None, None, below


def _spread(flow: Tensor, size: int, given: Tensor) -> Tensor:
    """What comes out of each square, to all its pixels; zero beyond the last whole square."""
    wide = flow.repeat_interleave(size, dim=2).repeat_interleave(size, dim=3)
    rows, columns = given.shape[2] - wide.shape[2], given.shape[3] - wide.shape[3]
    return functional.pad(wide, (0, columns, 0, rows))


def _slope(activation: str, output: Tensor) -> Tensor:
    """The activation's derivative, from its value; of silu from what it read."""
    amplitude, slope = SCALED_TANH
    slopes: dict[str, Callable[[], Tensor]] = {
        "identity": lambda: torch.ones_like(output),
        "relu": lambda: (output > 0).to(output),
        "leaky_relu": lambda: torch.where(output > 0, 1.0, LEAKY_RELU_SLOPE),
        "sigmoid": lambda: output * (1.0 - output),
        "tanh": lambda: 1.0 - output**2,
        "scaled_tanh": lambda: slope * (amplitude - output**2 / amplitude),
        "silu": lambda: output.sigmoid() * (1.0 + output * (1.0 - output.sigmoid())),
    }
    return slopes[activation]()
