"""Training speed, in examples a second."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from bench import networks
from bench.timing import rate

BATCH = 256
STEPS = 20
"""Steps between two looks at the clock."""

SECONDS = 2.0


def subjects(threads: int, cores: int) -> dict[str, Callable[[], float]]:
    """Those that train on `threads` threads; JAX takes all cores and no other number."""
    found = {
        "native": native(threads),
        "eager": torch(threads, compiled=False),
        "torch.compile": torch(threads, compiled=True),
    }
    if threads == cores and importlib.util.find_spec("jax") is not None:
        found["jax.jit"] = jax()
    return found


def native(
    threads: int, batch: int = BATCH, spec: Any = networks.SPEC, images: Any = None
) -> Callable[[], float]:
    """The native engine; `images` of the spec's shape, or those of Fashion-MNIST."""
    pixels, labels = networks.images_and_labels()
    if images is not None:
        pixels, labels = images, labels[: len(images)]
    engine = networks.native(threads, spec)
    placed = engine.place(pixels, labels)
    batches = _batches(batch, len(pixels))

    def work() -> int:
        for indices in batches:
            engine.step(placed, indices, 0.1)
        engine.step_metrics()
        return batch * len(batches)

    return lambda: rate(work, SECONDS)


def torch(threads: int, *, compiled: bool, batch: int = BATCH) -> Callable[[], float]:
    """PyTorch with the whole split as float32 in memory: no loader, no scaling, no metrics."""
    import torch

    images, labels = networks.images_and_labels()
    pixels = torch.from_numpy(images.astype(np.float32) / 255)
    targets = torch.from_numpy(labels)
    module = networks.torch_module()
    forward = torch.compile(module) if compiled else module
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    loss = torch.nn.CrossEntropyLoss()
    batches = [torch.from_numpy(indices) for indices in _batches(batch, len(images))]

    def work() -> int:
        for indices in batches:
            optimizer.zero_grad(set_to_none=True)
            loss(forward(pixels[indices]), targets[indices]).backward()
            optimizer.step()
        return batch * len(batches)

    def measured() -> float:
        torch.set_num_threads(threads)
        return rate(work, SECONDS)

    return measured


def jax() -> Callable[[], float]:
    """JAX, one compiled function a step, the split as float32 in memory."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    images, labels = networks.images_and_labels()
    pixels = jnp.asarray(images.astype(np.float32) / 255)
    targets = jnp.asarray(labels)
    batches = [jnp.asarray(indices) for indices in _batches(BATCH, len(images))]

    def leaky(x: Any) -> Any:
        return jnp.where(x > 0, x, 0.01 * x)

    def pool(x: Any) -> Any:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))

    def convolve(x: Any, p: Any, name: str, padding: int) -> Any:
        pads = [(padding, padding)] * 2
        y = lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), pads)
        return pool(leaky(y + p[f"{name}.bias"][:, None, None]))

    def dense(x: Any, p: Any, name: str) -> Any:
        bias = p[f"{name}.bias"]
        return x @ p[f"{name}.weight"].reshape(len(bias), -1).T + bias

    def loss(p: Any, x: Any, y: Any) -> Any:
        x = convolve(convolve(x, p, "C1", 2), p, "C3", 0).reshape(len(x), -1)
        logits = dense(jax.nn.sigmoid(dense(leaky(dense(x, p, "C5")), p, "F6")), p, "output")
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(y)), y])

    @jax.jit
    def step(p: Any, indices: Any) -> Any:
        slope = jax.grad(loss)(p, pixels[indices], targets[indices])
        return jax.tree.map(lambda a, b: a - 0.1 * b, p, slope)

    state = {"parameters": {name: jnp.asarray(a) for name, a in networks.weights().items()}}

    def work() -> int:
        for indices in batches:
            state["parameters"] = step(state["parameters"], indices)
        jax.block_until_ready(state["parameters"])
        return BATCH * len(batches)

    return lambda: rate(work, SECONDS)


def _batches(batch: int, count: int) -> list[np.ndarray]:
    source = np.random.default_rng(0)
    steps = max(1, min(STEPS, STEPS * 256 // batch))
    return [source.choice(count, batch, replace=batch > count) for _ in range(steps)]
