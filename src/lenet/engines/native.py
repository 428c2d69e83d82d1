"""The compiled CPU engine: the kernels in `native/` behind the protocol of `base`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import AVERAGE, EngineState, StepMetrics, Weights
from lenet.errors import EngineError
from lenet.network import Spec
from lenet.network.preparation import prepare
from lenet.recipe import Recipe
from lenet.system.machine import cores

NO_LABELS = np.zeros(0, np.int64)
NO_AVERAGE = np.zeros(0, np.float32)
NO_TARGETS = np.zeros((0, 0), np.float32)

EAGER_CURE = "use --engine eager (Python: engine='eager')"

CURES = (
    "install a C++ compiler (on Debian and Ubuntu: apt install g++) and install lenet again, or "
    f"pip install 'lenet[torch]' and {EAGER_CURE}"
)
COMPILER_CURES = (
    "install lenet again with another compiler (GCC 11 or Clang 14 at least; CXX names it), or "
    f"pip install 'lenet[torch]' and {EAGER_CURE}"
)

FAILURE = Path(__file__).with_name("native_failure.txt")
"""What the compiler said, where an install went on without the compiled part."""

REFUSALS = (ValueError, TypeError, RuntimeError, OverflowError, MemoryError)
"""What the compiled part and NumPy raise for arguments that cannot be used."""


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
        self._sdlm = recipe.optimizer == "sdlm"
        self._fixed = _fixed(spec)
        self._momentum = recipe.momentum > 0
        self._averaging = recipe.averaging > 0
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
                sdlm=self._sdlm,
                momentum=recipe.momentum,
                nesterov=recipe.nesterov,
                weight_decay=recipe.weight_decay,
                beta1=recipe.beta1,
                beta2=recipe.beta2,
                epsilon=recipe.epsilon,
                floor=recipe.curvature_floor,
                loss=(recipe.loss, recipe.label_smoothing, recipe.rubbish_cost),
                averaging=recipe.averaging,
                clip_norm=recipe.clip_norm,
                augmentation=recipe.augmentation.numbers(),
                seed=recipe.seed,
            )
        except REFUSALS as error:
            what = f"{self._spec.name} with {self._spec.parameters:,} parameters"
            _refuse(
                error,
                f"the native engine cannot run {self._spec.name} on {threads} threads",
                f"1 to {self._native.maximum_threads} threads are possible; {EAGER_CURE}",
                f"{what} on {threads} threads",
                "use fewer threads or a smaller network",
            )

    def place(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64] | None = None,
        targets: NDArray[np.float32] | None = None,
        *,
        prepared: bool = False,
    ) -> Any:
        """See `Engine.place`; targets, and images that nobody prepares, stay where they are."""
        images = np.asarray(images)
        shape = self._spec.prepared_shape if prepared else self._spec.input_shape
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise EngineError(
                f"images are {images.dtype} {images.shape}; the network {self._spec.name} reads "
                f"uint8 (n, {', '.join(map(str, shape))})"
            )
        if not prepared:
            images = prepare(self._spec.preparation, images)
        try:
            return self._native.Split(
                np.ascontiguousarray(images),
                NO_LABELS if labels is None else _whole_numbers(labels),
                self._spec.classes,
                NO_TARGETS if targets is None else np.ascontiguousarray(targets),
            )
        except REFUSALS as error:
            _refuse(
                error,
                "these labels cannot be used",
                "labels are int64 (n,), targets float32 (n, classes)",
                f"a copy of {len(images):,} images",
                "place fewer at a time",
            )

    def step(
        self, placed: Any, indices: NDArray[np.int64], learning_rate: float, epoch: int = 1
    ) -> None:
        """See `Engine.step`; what is refused changes nothing, and the engine can go on."""
        try:
            loss, misses = self._engine.step(
                placed, np.ascontiguousarray(indices), learning_rate, epoch
            )
        except REFUSALS as error:
            _refuse_batch(error, "this step cannot be taken", indices)
        self._steps.append((loss, misses, len(indices)))

    def seen(self, placed: Any, indices: NDArray[np.int64], epoch: int) -> NDArray[np.uint8]:
        """The images at `indices` as a step of `epoch` sees them, for tests and benchmarks."""
        try:
            images: NDArray[np.uint8] = self._engine.seen(
                placed, np.ascontiguousarray(indices), epoch
            )
        except REFUSALS as error:
            _refuse_batch(error, "these images cannot be seen", indices)
        return images

    def step_metrics(self) -> StepMetrics:
        """See `Engine.step_metrics`."""
        steps, self._steps = self._steps, []
        loss, misses, images = zip(*steps, strict=True) if steps else ((), (), ())
        return StepMetrics(
            np.array(loss, np.float64), np.array(misses, np.int64), np.array(images, np.int64)
        )

    def logits(self, placed: Any) -> NDArray[np.float32]:
        """See `Engine.logits`; up to four images go one by one, for their latency."""
        try:
            logits: NDArray[np.float32] = self._engine.logits(placed)
        except REFUSALS as error:
            _refuse_images(error, "logits", placed)
        return logits

    def activations(self, placed: Any) -> dict[str, NDArray[np.float32]]:
        """See `Engine.activations`."""
        try:
            outputs = self._engine.activations(placed)
        except REFUSALS as error:
            _refuse_images(error, "activations", placed)
        return {layer.name: array for layer, array in zip(self._spec.layers, outputs, strict=True)}

    def gradient(self, placed: Any, indices: NDArray[np.int64]) -> tuple[float, Weights]:
        """See `Engine.gradient`."""
        try:
            loss, _, gradient = self._engine.gradient(placed, np.ascontiguousarray(indices))
            return loss, self._unflatten(gradient)
        except REFUSALS as error:
            _refuse_batch(error, "this gradient cannot be computed", indices)

    def curvature(self, placed: Any, indices: NDArray[np.int64]) -> Weights:
        """See `Engine.curvature`."""
        try:
            return self._unflatten(self._engine.curvature(placed, np.ascontiguousarray(indices)))
        except REFUSALS as error:
            _refuse_batch(error, "this curvature cannot be computed", indices)

    def state(self) -> EngineState:
        """See `Engine.state`."""
        try:
            return self._copy_state()
        except REFUSALS as error:
            self._refuse_state(error, "the state cannot be copied")

    def _copy_state(self) -> EngineState:
        parameters, first, second, average, updates = self._engine.state()
        optimizer: Weights = {}
        if updates and (self._adamw or self._momentum or self._sdlm):
            slots = {self._first_slot: first} | ({"square": second} if self._adamw else {})
            for slot, values in slots.items():
                named = self._unflatten(values).items()
                optimizer |= {f"{slot}/{name}": array for name, array in named}
        if updates and self._averaging:
            named = self._unflatten(average).items()
            optimizer |= {f"{AVERAGE}/{name}": array for name, array in named}
        return EngineState(self._unflatten(parameters), optimizer, updates)

    def restore(self, state: EngineState) -> None:
        """See `Engine.restore`; a state that does not fit is refused before anything is touched."""
        try:
            first = self._slot(state, self._first_slot)
            second = self._slot(state, "square") if self._adamw else np.zeros(0, np.float32)
            weights = self._flatten(state.weights)
            average = self._flatten(state.answering) if self._averaging else NO_AVERAGE
            self._engine.restore(weights, first, second, average, state.updates)
        except REFUSALS as error:
            self._refuse_state(error, "this state cannot be restored")
        self._steps = []

    @property
    def _first_slot(self) -> str:
        return "mean" if self._adamw else "curvature" if self._sdlm else "momentum"

    def _refuse_state(self, error: Exception, place: str) -> NoReturn:
        expected = "a state has float32 arrays and a whole number of updates, at least 0"
        what = f"a copy of {self._spec.parameters:,} parameters and their slots"
        _refuse(error, place, expected, what, "end what else is running")

    def _slot(self, state: EngineState, slot: str) -> NDArray[np.float32]:
        zeros = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        return self._flatten(
            {name: state.optimizer.get(f"{slot}/{name}", zeros[name]) for name in self._shapes}
        )

    def _flatten(self, weights: Weights) -> NDArray[np.float32]:
        for name, shape in self._shapes.items():
            if name not in weights:
                raise ValueError(f"{name} is missing")
            if np.shape(weights[name]) != shape:
                raise ValueError(f"{name} is {np.shape(weights[name])}, not {shape}")
        arrays = [np.asarray(weights[name], np.float32).ravel() for name in self._shapes]
        return np.concatenate([*arrays, self._fixed])

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
    distances = spec.distances
    rows = [
        (
            layer.name,
            layer.operation,
            layer.activation,
            layer.window,
            layer.padding,
            layer.outputs,
            distances.scale if layer is distances else 1.0,
        )
        for layer in spec.layers
    ]
    numbers = (*spec.prepared_shape, spec.pixel_scale, spec.pixel_shift)
    try:
        return _load().build_network(*numbers, rows)
    except REFUSALS as error:
        raise EngineError(f"the native engine cannot do {error}; {EAGER_CURE}") from error


def _refuse(error: Exception, place: str, expected: str, what: str, cure: str) -> NoReturn:
    """Raise `EngineError` for what the compiled part or NumPy raised.

    `expected` says which arguments are possible, and `what` is too large where memory ended.
    """
    if isinstance(error, MemoryError):
        message = f"{place}: {what} needs more memory than there is; {cure}"
    elif "incompatible function arguments" in str(error):
        message = f"{place}: {expected}"
    else:
        message = f"{place}: {error}; {expected}"
    raise EngineError(message) from error


def _refuse_batch(error: Exception, place: str, indices: Any) -> NoReturn:
    kind, shape = getattr(indices, "dtype", type(indices).__name__), getattr(indices, "shape", "")
    expected = f"it takes int64 (n,) indices into placed images, and got {kind} {shape}".rstrip()
    what = f"a batch of {getattr(indices, 'size', 0):,} images"
    _refuse(error, place, expected, what, "use a smaller one")


def _refuse_images(error: Exception, answer: str, placed: Any) -> NoReturn:
    count = len(placed) if hasattr(placed, "__len__") else 0
    expected = "what is given must be images that an engine of this network's shapes has placed"
    what = f"{answer} of {count:,} images"
    _refuse(error, f"{answer} cannot be computed", expected, what, "place fewer at a time")


def _whole_numbers(labels: NDArray[Any]) -> NDArray[np.int64]:
    return np.ascontiguousarray(labels).astype(np.int64, casting="safe", copy=False)


def _mask(spec: Spec) -> NDArray[np.float32]:
    """1 for each parameter that may change; empty where all may."""
    masks = spec.masks()
    if not masks:
        return np.zeros(0, np.float32)
    shapes = spec.weight_shapes()
    parts = [masks.get(name, np.ones(shape, np.float32)) for name, shape in shapes.items()]
    return np.concatenate([*(part.ravel() for part in parts), np.zeros_like(_fixed(spec))])


def _fixed(spec: Spec) -> NDArray[np.float32]:
    """What the compiled part keeps behind the weights and never changes: the centres."""
    distances = spec.distances
    return np.zeros(0, np.float32) if distances is None else distances.centres().ravel()


def _load() -> Any:
    try:
        return importlib.import_module("lenet.engines._native")
    except ImportError as error:
        raise EngineError(_missing(error)) from error


def _missing(error: ImportError) -> str:
    """Why there is no compiled part: the compiler's own words, where the install kept them."""
    try:
        compiler, *lines = FAILURE.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return f"engine 'native' is not built ({error}); {CURES}"
    said = next((line for line in lines if "error" in line), "")
    return (
        f"engine 'native' is not built, for {compiler}: {said.strip()} (all of it: {FAILURE}); "
        f"{COMPILER_CURES}"
    )
