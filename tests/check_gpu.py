"""`make check-gpu`: the eager engine on a GPU beside the CPU and the native engine.

Every network of the zoo with every optimizer: the same logits, the same epoch to rounding, and a
resumed training to the same bytes; then that `auto` takes the GPU, that the clock waits for it, and
examples a second.  It needs PyTorch; `--device cpu` tries the check itself where there is no GPU.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import lenet
from lenet import data
from lenet.engines import native, open_engine, pick_device
from lenet.network import zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_steps
from lenet.runs import receipt
from lenet.system import rng
from lenet.training.epoch import Pass

NETWORKS = [name for name, row in zoo.ZOO.items() if row.pooling != "trained"]
"""The networks that the bounds here are for: distances are larger than logits."""

OPTIMIZERS = {
    "sgd": {"learning_rate": 0.2},
    "nesterov": {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
    "weight decay": {"learning_rate": 0.1, "weight_decay": 1e-3},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.002},
}

LOGITS = 1e-4
"""Of the initial network: float32 products in another order."""

EPOCH, TIMES = 1e-3, 10
"""After an epoch of 23 steps the GPU's logits may be `EPOCH` from the CPU's, or `TIMES` as far as
the native engine's are: AdamW divides by small numbers, which carries rounding far."""


def train(engine, recipe, split, epochs):
    """The mean loss of each epoch."""
    placed = engine.place(split.images, split.labels)
    losses = []
    for epoch in epochs:
        order = rng.permutation(len(split), recipe.seed, "order", epoch)
        losses.append(
            Pass(engine, placed, epoch_steps(recipe, order, epoch), epoch).to_end().mean_loss
        )
    return losses


def compare(name, changes, split, device):
    """One network with one optimizer; what is wrong, in words."""
    spec, recipe = zoo.build(name), Recipe(epochs=2, batch_size=64, **changes)
    start = initial_weights(spec, recipe)

    def opened(engine, where):
        return open_engine(spec, recipe, start, engine=engine, device=where)

    engines = {"gpu": opened("eager", device), "cpu": opened("eager", "cpu")}
    if native.missing_reason() is None:
        engines["native"] = opened("native", "cpu")
    found, wrong = {}, []
    for key, engine in engines.items():
        first = engine.logits(engine.place(split.images[:300]))
        (loss,) = train(engine, recipe, split, [1])
        found[key] = first, loss, engine.logits(engine.place(split.images[:300]))
    far = {key: [distance(found[key][at], found["cpu"][at]) for at in (0, 2)] for key in found}
    before, after = far["gpu"]
    bound = max(EPOCH, TIMES * far.get("native", (0, 0))[1])
    print(f"  {name}, {changes}: from the CPU's logits {before:.1e}, after an epoch {after:.1e} "
          f"(at most {bound:.1e})")  # fmt: skip
    if not (before < LOGITS and after <= bound):
        wrong.append(f"{name}, {changes}: the GPU and the CPU differ by {before}, then {after}")
    return wrong + resumed(spec, recipe, engines["gpu"], split, device)


def distance(one, other):
    """The largest difference of two arrays."""
    return float(np.abs(one - other).max())


def resumed(spec, recipe, engine, split, device):
    """Whether a second epoch from a copy of the state ends with the same bytes."""
    state = engine.state()
    train(engine, recipe, split, [2])
    again = open_engine(spec, recipe, state.weights, engine="eager", device=device)
    again.restore(state)
    train(again, recipe, split, [2])
    one, other = engine.state().weights, again.state().weights
    same = all(np.array_equal(one[name], other[name]) for name in one)
    return [] if same else [f"{spec.name}, {recipe.optimizer}: resumed with other bytes"]


def check_waiting(device, split):
    """`step_metrics` is where the clock is read: nothing may be under way any more."""
    spec, recipe = zoo.build(), Recipe()
    engine = open_engine(spec, recipe, initial_weights(spec, recipe), engine="eager", device=device)
    placed = engine.place(split.images, split.labels)
    for _ in range(200 if device.startswith("cuda") else 2):
        engine.step(placed, np.arange(256), 0.01)
    engine.step_metrics()
    if device.startswith("cuda") and not torch.cuda.current_stream().query():
        return ["step_metrics returned while the GPU was still at work"]
    return []


def measure(device, folder):
    """Examples a second of three epochs of Fashion-MNIST (or the digits), by the run's clock."""
    name = "fashion-mnist" if data.locate("fashion-mnist") else "digits"
    run = lenet.train(data=name, epochs=3, engine="eager", device=device, out=folder / device).run
    speed = receipt.examples_per_second(run.receipt())
    print(f"{device}: {speed:,.0f} examples/s on {name}, test accuracy "
          f"{run.epochs()[-1]['test_accuracy']:.4f}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--optimizers", nargs="*", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    parser.add_argument("--no-speed", action="store_true")
    device = (flags := parser.parse_args()).device
    split, wrong = data.load("digits").train, []
    print(f"PyTorch {torch.__version__}, {device}")
    if device.startswith("cuda"):
        print(torch.cuda.get_device_name(device))
        if pick_device() != "cuda:0":
            wrong.append(f"--device auto takes {pick_device()}")
    for name in flags.networks:
        for optimizer in flags.optimizers:
            wrong += compare(name, OPTIMIZERS[optimizer], split, device)
    wrong += check_waiting(device, split)
    with tempfile.TemporaryDirectory() as folder:
        for where in dict.fromkeys([] if flags.no_speed else [device, "cpu"]):
            measure(where, Path(folder))
    print(*(wrong or ["all is as it should be"]), sep="\n")
    sys.exit(len(wrong) > 0)


if __name__ == "__main__":
    main()
