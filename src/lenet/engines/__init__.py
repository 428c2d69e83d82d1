"""Engines: which there are, and which one a run gets."""

from __future__ import annotations

import ctypes
import importlib.util
import platform

from lenet.engines.base import Engine, Weights
from lenet.errors import EngineError
from lenet.recipe import Recipe
from lenet.spec import Spec

ENGINES = ("eager",)
TORCH_CURE = "install it with: pip install 'lenet[torch]'"


def has_torch() -> bool:
    """True where PyTorch is installed; does not import it."""
    return importlib.util.find_spec("torch") is not None


def availability() -> dict[str, str]:
    """Each engine, with the devices that it has here or what is missing."""
    if not has_torch():
        return {"eager": f"PyTorch is missing; {TORCH_CURE}"}
    from lenet.engines import eager

    devices = eager.describe_devices().items()
    return {"eager": ", ".join(f"{device} ({name})" for device, name in devices)}


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

    Raises:
        EngineError: if the engine or device is unknown or not available here.

    """
    if engine not in ("auto", *ENGINES):
        raise EngineError(f"no engine is called {engine!r}; known are auto, {', '.join(ENGINES)}")
    if threads is not None and threads < 1:
        raise EngineError(f"{threads} threads: there must be at least 1")
    if not has_torch():
        raise EngineError(f"engine 'eager' needs PyTorch, which is missing; {TORCH_CURE}")
    from lenet.engines.eager import EagerEngine

    chosen = pick_device() if device == "auto" else device
    return EagerEngine(spec, recipe, weights, device=chosen, threads=threads)


def _may_have_gpu() -> bool:
    """False only where no GPU driver is; importing PyTorch to ask takes seconds."""
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    )
