"""Engines, which step and give logits: which there are, and which one a run gets.

Kept here: what an engine is (`base`), the compiled one (`native`) and PyTorch's (`eager`).  It may
know networks, recipes, and what becomes of an image that is augmented; it knows no data set and no
run.
"""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import warnings
from numbers import Integral
from pathlib import Path

from lenet.engines import native
from lenet.engines.base import Engine, Weights
from lenet.engines.native import EAGER_CURE
from lenet.errors import EngineError
from lenet.network import Spec
from lenet.recipe import Recipe

ENGINES = ("native", "eager")
AMD_DRIVER = Path("/dev/kfd")
"""Where Linux offers the compute cores of AMD's GPUs; their library comes with PyTorch."""

TORCH_CURE = "install it with: pip install 'lenet[torch]'"


def has_torch() -> bool:
    """True where PyTorch is installed; does not import it."""
    return importlib.util.find_spec("torch") is not None


def availability() -> dict[str, str]:
    """Each engine, with the devices that it has here or what is missing."""
    reason = native.missing_reason()
    return {
        "native": f"cpu ({native.describe_instruction_sets()})" if reason is None else reason,
        "eager": _describe_eager(),
    }


def _describe_eager() -> str:
    if not has_torch():
        return f"PyTorch is missing; {TORCH_CURE}"
    from lenet.engines import eager

    devices = eager.describe_devices().items()
    return ", ".join(f"{device} ({name})" for device, name in devices)


def pick_device() -> str:
    """The first GPU that PyTorch can use, else `cpu`; the note's `try_gpu`."""
    if has_torch() and _may_have_gpu():
        from lenet.engines import eager

        if eager.has_cuda():
            return "cuda:0"
        if eager.has_mps():
            return "mps"
    return "cpu"


def open_engine(
    spec: Spec,
    recipe: Recipe,
    weights: Weights,
    *,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Engine:
    """The engine to train or run `spec` with, holding a copy of `weights`.

    By default PyTorch on a GPU where there is one, else the native engine.

    Raises:
        EngineError: if the engine or device is unknown or not available here.

    """
    if engine not in ("auto", *ENGINES):
        raise EngineError(f"no engine is called {engine!r}; known are auto, {', '.join(ENGINES)}")
    if threads is not None and (not isinstance(threads, Integral) or threads < 1):
        raise EngineError(f"{threads!r} threads: there must be a whole number, at least 1")
    device = _device_for(engine, device)
    if engine == "auto":
        engine = _pick_engine(device)
    if engine == "native":
        if device != "cpu":
            raise EngineError(f"engine 'native' computes on the cpu, not {device}; {EAGER_CURE}")
        return native.NativeEngine(spec, recipe, weights, threads=threads)
    if not has_torch():
        raise EngineError(f"engine 'eager' needs PyTorch, which is missing; {TORCH_CURE}")
    from lenet.engines.eager import EagerEngine

    return EagerEngine(spec, recipe, weights, device=device, threads=threads)


def check_engine(spec: Spec, *, engine: str = "auto", device: str = "auto") -> None:
    """Refuse a network that its engine cannot do, before anybody draws its weights.

    Raises:
        EngineError: as `open_engine` would.
    """
    device = _device_for(engine, device)
    if engine == "native" or (
        engine == "auto" and device == "cpu" and native.missing_reason() is None
    ):
        native.build_network(spec)


def _device_for(engine: str, device: str) -> str:
    if device != "auto":
        return device
    return "cpu" if engine == "native" else pick_device()


def _pick_engine(device: str) -> str:
    if device != "cpu":
        return "eager"
    reason = native.missing_reason()
    if reason is not None and has_torch():
        warnings.warn(f"{reason}; going on with engine 'eager', which is slower", stacklevel=3)
        return "eager"
    return "native"


def _may_have_gpu() -> bool:
    """False only where no GPU driver is; importing PyTorch to ask takes seconds."""
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    return AMD_DRIVER.exists() or _has_nvidia_gpu()


def _has_nvidia_gpu() -> bool:
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    )
