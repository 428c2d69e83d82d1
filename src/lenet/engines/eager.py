"""The PyTorch engine: the reference that the compiled one must equal, and the way to a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lenet.data.augmentation import augment
from lenet.engines.base import AVERAGE, EngineState, StepMetrics, Weights
from lenet.engines.module import build_module, modules_by_layer, named_parameters
from lenet.engines.second_order import StochasticDiagonalLevenbergMarquardt, curve
from lenet.errors import EngineError
from lenet.network import Spec
from lenet.network.preparation import prepare
from lenet.recipe import Recipe

EVALUATION_BATCH = 2048


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
        self._named = named_parameters(self._module, spec)
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
        layers = modules_by_layer(self._answering, self._spec)
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
            for name, values in curve(
                self._spec, modules_by_layer(self._module, self._spec), x
            ).items():
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
            averages = named_parameters(self._answering, self._spec).items()
            optimizer |= {f"{AVERAGE}/{name}": _to_numpy(mean) for name, mean in averages}
        return EngineState(weights, optimizer, self._updates)

    def restore(self, state: EngineState) -> None:
        """See `Engine.restore`."""
        self._updates = state.updates
        self._pending = _Pending()
        self._optimizer.state.clear()
        if self._averaging > 0:
            for name, mean in named_parameters(self._answering, self._spec).items():
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
    known = ", ".join(describe_devices())
    try:
        device = torch.device(name)
    except RuntimeError as error:  # its list has dozens that nobody has
        raise EngineError(f"device {name!r}: there is none; this PyTorch has {known}") from error
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
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


def _pixels(images: Tensor) -> Tensor:
    return images.to(torch.float32) / 255.0


def _to_numpy(tensor: Tensor | None) -> NDArray[Any]:
    assert tensor is not None
    return tensor.detach().cpu().numpy().copy()
