"""The compiled CPU engine: the kernels in `native/` behind the protocol of `base`."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import EngineState, StepMetrics, Weights
from lenet.errors import EngineError
from lenet.network import Layer, Spec
from lenet.network.initialiser import connection_masks
from lenet.recipe import Recipe
from lenet.system.machine import cores

KINDS = {"convolution": 0, "average": 1, "max": 2, "dense": 3}
ACTIVATIONS = {
    "identity": 0, "relu": 1, "leaky_relu": 2, "sigmoid": 3, "tanh": 4, "scaled_tanh": 5,
}  # fmt: skip
"""By a layer's operation and activation the numbers of `lenet::Kind` and `lenet::Activation` in
native/network.hpp."""

MAXIMUM_LAYERS, MAXIMUM_SIZE, MAXIMUM_PARAMETERS, MAXIMUM_OUTPUTS = 32, 64, 1 << 26, 1 << 16
"""Far beyond any LeNet; the compiled part counts in 32 bits and asks for its memory at once."""

NO_LABELS = np.zeros(0, np.int64)

EAGER_CURE = "use --engine eager"

CURES = (
    "install a C++ compiler (on Debian and Ubuntu: apt install g++) and install lenet again, or "
    "pip install 'lenet[torch]' and use --engine eager"
)


def missing_reason() -> str | None:
    """Why the compiled part cannot be used, with the cures; None where it can."""
    try:
        _load()
    except EngineError as error:
        return str(error)
    return None


def instruction_sets() -> list[str]:
    """The instruction sets that this processor has kernels for, best first."""
    names: list[str] = _load().instruction_sets()
    return names


def instruction_set() -> str:
    """The instruction set in use: `LENET_ISA` from the environment, else the best there is.

    Raises:
        EngineError: if `LENET_ISA` names one that this processor has not.
    """
    known, wanted = instruction_sets(), os.environ.get("LENET_ISA", "")
    if wanted and wanted not in known:
        raise EngineError(f"LENET_ISA={wanted}: this processor has {', '.join(known)}; unset it")
    return wanted or known[0]


def describe_instruction_sets() -> str:
    """The instruction set in use, and the others that this processor has."""
    others = ", ".join(name for name in instruction_sets() if name != instruction_set())
    return f"{instruction_set()}; LENET_ISA may choose {others}" if others else instruction_set()


def measure_peak(seconds: float) -> float:
    """Multiply-adds a second that one core does from registers alone, in the set in use."""
    return float(_load().measure_peak(instruction_set(), seconds))


class NativeEngine:
    """`Engine` on the compiled kernels; the same bytes for any number of threads."""

    name = "native"
    device = "cpu"

    def __init__(
        self, spec: Spec, recipe: Recipe, weights: Weights, *, threads: int | None = None
    ) -> None:
        """Raises `EngineError` if the compiled part is missing or cannot do what `spec` asks."""
        self._native = _load()
        self._spec = spec
        self._shapes = spec.weight_shapes()
        self._adamw = recipe.optimizer == "adamw"
        self._momentum = recipe.momentum > 0
        self._engine = self._open(recipe, weights, threads or cores())
        self.threads: int = self._engine.threads
        self.detail = instruction_set()
        self._steps: list[tuple[float, int, int]] = []

    def _open(self, recipe: Recipe, weights: Weights, threads: int) -> Any:
        try:
            return self._native.Engine(
                build_network(self._spec),
                isa=instruction_set(),
                parameters=self._flatten(weights),
                mask=_mask(self._spec),
                threads=threads,
                adamw=self._adamw,
                momentum=recipe.momentum,
                nesterov=recipe.nesterov,
                weight_decay=recipe.weight_decay,
                beta1=recipe.beta1,
                beta2=recipe.beta2,
                epsilon=recipe.epsilon,
                label_smoothing=recipe.label_smoothing,
            )
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"the native engine cannot run {self._spec.name} on {threads} threads: {error}; "
                f"{EAGER_CURE}"
            ) from error

    def place(self, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> Any:
        """See `Engine.place`; the images stay where they are and are read as uint8."""
        if images.dtype != np.uint8 or images.shape[1:] != self._spec.input_shape:
            raise EngineError(
                f"images are {images.dtype} {images.shape}; the network {self._spec.name} reads "
                f"uint8 (n, {', '.join(map(str, self._spec.input_shape))})"
            )
        try:
            return self._native.Split(
                np.ascontiguousarray(images),
                NO_LABELS if labels is None else _whole_numbers(labels),
                self._spec.classes,
            )
        except (ValueError, TypeError) as error:
            raise EngineError(f"these labels cannot be used: {error}") from error

    def step(self, placed: Any, indices: NDArray[np.int64], learning_rate: float) -> None:
        """See `Engine.step`; a wrong index is refused before anything is touched."""
        try:
            loss, misses = self._engine.step(placed, np.ascontiguousarray(indices), learning_rate)
        except (ValueError, TypeError) as error:
            raise EngineError(f"this step cannot be taken: {error}") from error
        self._steps.append((loss, misses, len(indices)))

    def step_metrics(self) -> StepMetrics:
        """See `Engine.step_metrics`."""
        steps, self._steps = self._steps, []
        loss, misses, images = zip(*steps, strict=True) if steps else ((), (), ())
        return StepMetrics(
            np.array(loss, np.float64), np.array(misses, np.int64), np.array(images, np.int64)
        )

    def logits(self, placed: Any) -> NDArray[np.float32]:
        """See `Engine.logits`; up to four images go one by one, for their latency."""
        logits: NDArray[np.float32] = self._engine.logits(placed)
        return logits

    def activations(self, placed: Any) -> dict[str, NDArray[np.float32]]:
        """See `Engine.activations`."""
        outputs = self._engine.activations(placed)
        return {layer.name: array for layer, array in zip(self._spec.layers, outputs, strict=True)}

    def gradient(self, placed: Any, indices: NDArray[np.int64]) -> tuple[float, Weights]:
        """See `Engine.gradient`."""
        loss, _, gradient = self._engine.gradient(placed, indices)
        return loss, self._unflatten(gradient)

    def state(self) -> EngineState:
        """See `Engine.state`."""
        parameters, first, second, updates = self._engine.state()
        optimizer: Weights = {}
        if updates and (self._adamw or self._momentum):
            slots = {"mean": first, "square": second} if self._adamw else {"momentum": first}
            for slot, values in slots.items():
                named = self._unflatten(values).items()
                optimizer |= {f"{slot}/{name}": array for name, array in named}
        return EngineState(self._unflatten(parameters), optimizer, updates)

    def restore(self, state: EngineState) -> None:
        """See `Engine.restore`."""
        self._steps = []
        first = self._slot(state, "mean" if self._adamw else "momentum")
        second = self._slot(state, "square") if self._adamw else np.zeros(0, np.float32)
        self._engine.restore(self._flatten(state.weights), first, second, state.updates)

    def _slot(self, state: EngineState, slot: str) -> NDArray[np.float32]:
        named = {name: state.optimizer.get(f"{slot}/{name}") for name in self._shapes}
        zeros = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        return self._flatten(
            {name: zeros[name] if array is None else array for name, array in named.items()}
        )

    def _flatten(self, weights: Weights) -> NDArray[np.float32]:
        return np.concatenate([weights[name].ravel() for name in self._shapes]).astype(np.float32)

    def _unflatten(self, values: NDArray[np.float32]) -> Weights:
        named, start = {}, 0
        for name, shape in self._shapes.items():
            size = int(np.prod(shape))
            named[name] = values[start : start + size].reshape(shape).copy()
            start += size
        return named


def build_network(spec: Spec) -> Any:
    """`spec` as the compiled part sees it.

    Raises:
        EngineError: naming the layer that it cannot do.
    """
    seen_dense = False
    for layer, counts in zip(spec.layers, spec.counts(), strict=True):
        place = f"the native engine cannot do layer {layer.name}"
        is_dense = layer.operation == "dense"
        if layer.operation not in KINDS:
            raise EngineError(f"{place}: it has no kernel for it; {EAGER_CURE}")
        if seen_dense and not is_dense:
            raise EngineError(f"{place}: it comes after a dense layer; {EAGER_CURE}")
        fits = max(counts.output_shape) <= MAXIMUM_OUTPUTS and layer.window <= MAXIMUM_SIZE
        if not fits or counts.parameters > MAXIMUM_PARAMETERS:
            raise EngineError(f"{place}: it is too large; {EAGER_CURE}")
        seen_dense = is_dense
    if len(spec.layers) > MAXIMUM_LAYERS:
        raise EngineError(f"the native engine does {MAXIMUM_LAYERS} layers at most; {EAGER_CURE}")
    return _load().build_network(
        spec.channels,
        spec.height,
        spec.width,
        spec.pixel_scale,
        spec.pixel_shift,
        [_row(layer) for layer in spec.layers],
    )


def _whole_numbers(labels: NDArray[Any]) -> NDArray[np.int64]:
    return np.ascontiguousarray(labels).astype(np.int64, casting="safe", copy=False)


def _row(layer: Layer) -> tuple[int, int, int, int, int]:
    """Kind, activation, size, padding and outputs."""
    kind, activation = KINDS[layer.operation], ACTIVATIONS[layer.activation]
    return kind, activation, layer.window, layer.padding, layer.outputs


def _mask(spec: Spec) -> NDArray[np.float32]:
    """1 for each parameter that may change; empty where all may."""
    masks = connection_masks(spec)
    if not masks:
        return np.zeros(0, np.float32)
    shapes = spec.weight_shapes()
    return np.concatenate(
        [masks.get(name, np.ones(shape, np.float32)).ravel() for name, shape in shapes.items()]
    )


def _load() -> Any:
    try:
        return importlib.import_module("lenet.engines._native")
    except ImportError as error:
        raise EngineError(f"engine 'native' is not built ({error}); {CURES}") from error
