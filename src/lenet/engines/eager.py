"""The PyTorch engine: the reference that the compiled one must equal, and the way to a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from lenet.data.augmentation import augment
from lenet.engines.base import AVERAGE, EngineState, StepMetrics, Weights
from lenet.errors import EngineError
from lenet.network import Layer, RadialBasis, Shape, Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH
from lenet.network.preparation import prepare
from lenet.recipe import Recipe

EVALUATION_BATCH = 2048


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
            layers += _modules(layer, row.input_shape, first_dense=_is_first_dense(spec, layer))
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
    for name, parameter in _parameters(module, spec).items():
        parameter.data.copy_(torch.from_numpy(weights[name]))
    return module


def describe_devices() -> dict[str, str]:
    """Each device that this PyTorch can compute on, with its name."""
    devices = {"cpu": f"PyTorch {torch.__version__}"}
    for index in range(torch.cuda.device_count()):
        devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices


def has_cuda() -> bool:
    """True where PyTorch can use an NVIDIA (or ROCm) GPU."""
    return torch.cuda.is_available()


def has_mps() -> bool:
    """True where PyTorch can use an Apple GPU."""
    return torch.backends.mps.is_available()


@dataclass(slots=True)
class Placed:
    """Images and labels as tensors on the engine's device; `pixels` are the images as they came."""

    images: Tensor
    labels: Tensor | None
    pixels: NDArray[np.uint8]
    targets: Tensor | None = None


@dataclass(slots=True)
class _Pending:
    """Metrics of steps that nobody has read yet; the tensors stay on the device."""

    loss: list[Tensor] = field(default_factory=list)
    misses: list[Tensor] = field(default_factory=list)
    images: list[int] = field(default_factory=list)


@final
class EagerEngine:
    """`Engine` on PyTorch's eager mode; the same bytes for the same device and thread count."""

    name = "eager"

    def __init__(
        self,
        spec: Spec,
        recipe: Recipe,
        weights: Weights,
        *,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        """Raises `EngineError` if this PyTorch has no such device."""
        self.device = device
        self._device = _open_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        self.threads = torch.get_num_threads()
        self.detail = f"PyTorch {torch.__version__}"
        self._spec = spec
        self._module = build_module(spec, weights).to(self._device)
        self._named = _parameters(self._module, spec)
        self._optimizer = _optimizer(recipe, list(self._named.values()))
        self._averaging, self._clip_norm = recipe.averaging, recipe.clip_norm
        self._answering = self._module
        if self._averaging > 0:
            self._answering = build_module(spec, weights).to(self._device).requires_grad_(False)
        self._loss = _loss(recipe)
        self._augmentation, self._seed = recipe.augmentation, recipe.seed
        self._updates = 0
        self._pending = _Pending()
        for name, mask in spec.masks().items():
            on_device = torch.from_numpy(mask).to(self._device)
            register: Any = self._named[name].register_hook  # PyTorch leaves it untyped
            register(lambda gradient, mask=on_device: gradient * mask)

    def place(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64] | None = None,
        targets: NDArray[np.float32] | None = None,
        *,
        prepared: bool = False,
    ) -> Placed:
        """See `Engine.place`; the pixels stay uint8, and each batch is scaled as it is used."""
        on_device = None if labels is None else torch.tensor(labels, device=self._device)
        wanted = None if targets is None else torch.tensor(targets, device=self._device)
        if not prepared:
            images = prepare(self._spec.preparation, images)
        return Placed(torch.tensor(images, device=self._device), on_device, images, wanted)

    def step(
        self, placed: Placed, indices: NDArray[np.int64], learning_rate: float, epoch: int = 1
    ) -> None:
        """See `Engine.step`; nothing waits for the device."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        images = None
        if not self._augmentation.is_none:
            changed = augment(
                placed.pixels[indices], indices, self._augmentation, seed=self._seed, epoch=epoch
            )
            images = torch.from_numpy(changed).to(self._device)
        loss, misses = self._backward(placed, indices, images)
        if self._clip_norm > 0:
            nn.utils.clip_grad_norm_(self._named.values(), self._clip_norm)
        self._optimizer.step()
        self._updates += 1
        if self._averaging > 0:
            self._average()
        self._pending.loss.append(loss)
        self._pending.misses.append(misses)
        self._pending.images.append(len(indices))

    @torch.no_grad()
    def _average(self) -> None:
        """The moving average, whose decay grows to the recipe's: see `average` in native/."""
        young = (1 + self._updates) / (10 + self._updates)
        share = 1.0 - min(self._averaging, young)
        pairs = zip(self._answering.parameters(), self._module.parameters(), strict=True)
        for mean, parameter in pairs:
            mean.lerp_(parameter, share)

    def _backward(
        self, placed: Placed, indices: NDArray[np.int64], images: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Leave the gradients in the parameters; the loss and the misses stay on the device.

        `images` stand for those at `indices`, if they are given.
        """
        assert placed.labels is not None
        chosen = torch.from_numpy(indices).to(self._device)
        labels = placed.labels[chosen]
        self._optimizer.zero_grad(set_to_none=True)
        chosen_images = placed.images[chosen] if images is None else images
        logits = self._module.run(_pixels(chosen_images))
        if placed.targets is None:
            loss = self._loss(logits, labels)
        else:
            loss = nn.functional.cross_entropy(logits, placed.targets[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), (logits.detach().argmax(1) != labels).sum()

    def gradient(self, placed: Placed, indices: NDArray[np.int64]) -> tuple[float, Weights]:
        """See `Engine.gradient`."""
        loss, _ = self._backward(placed, indices)
        named = self._named.items()
        return float(loss), {name: _to_numpy(parameter.grad) for name, parameter in named}

    def step_metrics(self) -> StepMetrics:
        """See `Engine.step_metrics`; this is where the device is waited for."""
        pending, self._pending = self._pending, _Pending()
        if not pending.images:
            return StepMetrics(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
        loss = torch.stack(pending.loss).cpu().numpy().astype(np.float64)
        misses = torch.stack(pending.misses).cpu().numpy().astype(np.int64)
        return StepMetrics(loss, misses, np.array(pending.images, np.int64))

    @torch.no_grad()
    def logits(self, placed: Placed) -> NDArray[np.float32]:
        """See `Engine.logits`."""
        batches = torch.split(placed.images, EVALUATION_BATCH)
        answering = self._answering
        return np.concatenate([answering.run(_pixels(batch)).cpu().numpy() for batch in batches])

    @torch.no_grad()
    def activations(self, placed: Placed) -> dict[str, NDArray[np.float32]]:
        """See `Engine.activations`."""
        x, outputs = self._scaled(placed.images), {}
        layers = _by_layer(self._answering, self._spec)
        for row, modules in zip(self._spec.counts(), layers, strict=True):
            for module in modules:
                x = module(x)
            outputs[row.name] = x.reshape(-1, *row.output_shape).cpu().numpy()
        return outputs

    def _scaled(self, images: Tensor) -> Tensor:
        """Pixels as the first layer reads them."""
        return _pixels(images) * self._module.pixel_scale + self._module.pixel_shift

    @torch.no_grad()
    def curvature(self, placed: Placed, indices: NDArray[np.int64]) -> Weights:
        """See `Engine.curvature`."""
        totals = {name: torch.zeros_like(parameter) for name, parameter in self._named.items()}
        for start in range(0, len(indices), EVALUATION_BATCH):
            chosen = torch.from_numpy(indices[start : start + EVALUATION_BATCH]).to(self._device)
            x = self._scaled(placed.images[chosen])
            for name, values in curve(self._spec, _by_layer(self._module, self._spec), x).items():
                totals[name] += values
        masks = self._spec.masks()
        mean = {
            name: (total / len(indices)) * torch.from_numpy(masks[name]).to(self._device)
            if name in masks
            else total / len(indices)
            for name, total in totals.items()
        }
        if isinstance(self._optimizer, StochasticDiagonalLevenbergMarquardt):
            for name, parameter in self._named.items():
                self._optimizer.state[parameter]["curvature"] = mean[name]
        return {name: _to_numpy(values) for name, values in mean.items()}

    def state(self) -> EngineState:
        """See `Engine.state`."""
        weights = {name: _to_numpy(parameter) for name, parameter in self._named.items()}
        optimizer = {}
        for name, parameter in self._named.items():
            slots = self._optimizer.state.get(parameter, {})
            for slot, key in _SLOTS.items():
                if isinstance(slots.get(key), Tensor):
                    optimizer[f"{slot}/{name}"] = _to_numpy(slots[key])
        if self._averaging > 0 and self._updates:
            averages = _parameters(self._answering, self._spec).items()
            optimizer |= {f"{AVERAGE}/{name}": _to_numpy(mean) for name, mean in averages}
        return EngineState(weights, optimizer, self._updates)

    def restore(self, state: EngineState) -> None:
        """See `Engine.restore`."""
        self._updates = state.updates
        self._pending = _Pending()
        self._optimizer.state.clear()
        if self._averaging > 0:
            for name, mean in _parameters(self._answering, self._spec).items():
                mean.data.copy_(torch.from_numpy(state.answering[name]))
        for name, parameter in self._named.items():
            parameter.data.copy_(torch.from_numpy(state.weights[name]))
            slots: dict[str, Tensor] = {}
            for slot, key in _SLOTS.items():
                if f"{slot}/{name}" in state.optimizer:
                    slots[key] = torch.tensor(
                        state.optimizer[f"{slot}/{name}"], device=self._device
                    )
            if "exp_avg" in slots:
                slots["step"] = torch.tensor(float(state.updates))
            if slots:
                self._optimizer.state[parameter] = slots


_SLOTS = {
    "momentum": "momentum_buffer",
    "mean": "exp_avg",
    "square": "exp_avg_sq",
    "curvature": "curvature",
}


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


def _loss(recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean loss of logits (n, classes) and labels (n,), by the recipe's name for it."""
    if recipe.loss == "cross_entropy":
        return nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def penalty(logits: Tensor, labels: Tensor) -> Tensor:
        """LeCun et al. 1998, equations 8 and 9."""
        own = logits.gather(1, labels[:, None])[:, 0]
        if recipe.loss == "mse":
            return -own.mean()
        rubbish = torch.full_like(own, -recipe.rubbish_cost)
        all_of_them = torch.cat([logits, rubbish[:, None]], dim=1)
        return (all_of_them.logsumexp(dim=1) - own).mean()

    return penalty


def _open_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        known = ", ".join(describe_devices())
        reason = str(error).splitlines()[0]
        raise EngineError(f"device {name!r}: {reason}; this PyTorch has {known}") from error
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
    return device


def _optimizer(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if recipe.optimizer == "sdlm":
        return StochasticDiagonalLevenbergMarquardt(
            parameters, recipe.learning_rate, recipe.curvature_floor
        )
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters,
            lr=recipe.learning_rate,
            betas=(recipe.beta1, recipe.beta2),
            eps=recipe.epsilon,
            weight_decay=recipe.weight_decay,
        )
    return torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


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


def _by_layer(module: LeNet, spec: Spec) -> list[list[nn.Module]]:
    """The modules of each layer; the first dense one has what flattens its input."""
    modules, layers = iter(list(module.net)[1:]), []
    for row, layer in zip(spec.counts(), spec.layers, strict=True):
        made = _modules(layer, row.input_shape, _is_first_dense(spec, layer))
        layers.append([next(modules) for _ in made])
    return layers


def _is_first_dense(spec: Spec, layer: Layer) -> bool:
    return layer is next(other for other in spec.layers if other.operation == "dense")


def _parameters(module: LeNet, spec: Spec) -> dict[str, nn.Parameter]:
    """The module's parameters by their names in `Spec.weight_shapes`; both keep layer order."""
    return dict(zip(spec.weight_shapes(), module.parameters(), strict=True))


def _pixels(images: Tensor) -> Tensor:
    return images.to(torch.float32) / 255.0


def _to_numpy(tensor: Tensor | None) -> NDArray[Any]:
    assert tensor is not None
    return tensor.detach().cpu().numpy().copy()
