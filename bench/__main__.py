"""`make bench`: every measurement in one run; tables, JSON and a picture in build/bench."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import (
    display,
    growth,
    inference,
    networks,
    predict,
    process,
    report,
    timing,
    training,
)
from lenet.engines import native
from lenet.system import machine

PACKAGES = ("torch", "onnxruntime", "jax", "numpy", "lenet")
PARTS = ("training", "peak", "inference", "model", "process", "display", "growth", "predict")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def section(
    title: str,
    about: str,
    unit: str,
    subjects: Mapping[str, Callable[[], float]],
    rounds: int,
    better: str = "higher",
    warm_up: bool = True,
) -> report.Section:
    """Measure `subjects` side by side, and print their table."""
    say(f"\n{title}")
    samples = timing.alternate(subjects, rounds, say, warm_up)
    rows = {name: row.as_row() for name, row in samples.items()}
    found = {"title": title, "about": about, "unit": unit, "better": better, "rows": rows}
    print(report.table(found), flush=True)
    return found


def measure_training(rounds: int, cores: int) -> Iterator[report.Section]:
    for threads in sorted({1, cores}):
        yield section(
            f"Training, batch 256, {_threads(threads)}",
            "The note's network on Fashion-MNIST in memory; forward, backward and update.",
            "examples/s",
            training.subjects(threads, cores),
            rounds,
        )


def measure_peak(rounds: int, cores: int) -> Iterator[report.Section]:
    """Of one core, whatever `cores` is."""

    def trained() -> float:
        return 1e-9 * networks.MULTIPLY_ADDS * one()

    one = training.native(1)
    found = section(
        "Fraction of one core's multiply-add peak",
        f"{networks.MULTIPLY_ADDS:,} multiply-adds a training image, as the plain algorithm counts "
        f"them; {networks.executed_training():,} are executed, as minimal filtering needs fewer, "
        "so that more than 100 % of the plain count is possible. The peak is measured beside it by "
        "a loop of multiply-adds in registers.",
        "thousand million multiply-adds/s",
        {"training": trained, "peak": lambda: 1e-9 * native.measure_peak(1.0)},
        rounds,
        better="none",
    )
    rows = found["rows"]
    share = rows["training"]["median"] / rows["peak"]["median"]
    executed = share * networks.executed_training() / networks.MULTIPLY_ADDS
    found["about"] += (
        f" Training reaches {share:.0%} of it by the plain count, and {executed:.0%} by what is "
        "executed."
    )
    yield found


def measure_inference(rounds: int, cores: int) -> Iterator[report.Section]:
    for threads in sorted({1, cores}):
        yield section(
            f"Inference, batch 256, {_threads(threads)}",
            "Logits of images that are in memory, as uint8 for native and float32 for the others.",
            "images/s",
            inference.throughput(threads),
            rounds,
        )
    for threads in sorted({1, cores}):
        yield section(
            f"Latency of one image, {_threads(threads)}",
            f"Median of {inference.CALLS:,} calls from Python, a round.",
            "microseconds",
            inference.latencies(threads),
            5 * rounds,  # each is short, and a shared machine's speed changes within seconds
            better="lower",
        )


def measure_model(rounds: int, cores: int) -> Iterator[report.Section]:
    """On one thread."""
    with TemporaryDirectory(prefix="lenet-bench-") as scratch:
        found = section(
            "A model at hand, one image, 1 thread",
            f"Median of {inference.CALLS:,} calls from Python, a round: `lenet.load(RUN).predict` "
            "beside the engine's own answer to the same array.",
            "microseconds",
            inference.at_hand(1, Path(scratch)),
            5 * rounds,
            better="none",
        )
    yield found


def measure_process(rounds: int, cores: int) -> Iterator[report.Section]:
    """On all cores."""
    yield section(
        "The whole process, ten epochs",
        "From the command to the finished picture, with an evaluation after each epoch.",
        "seconds",
        process.subjects(10),
        min(rounds, 3),  # the note's own way takes minutes
        better="lower",
        warm_up=False,  # nobody warms up a process
    )


def measure_display(rounds: int, cores: int) -> Iterator[report.Section]:
    """On all cores."""
    found = section(
        "Training with and without the live view",
        "Three epochs in a pseudo-terminal of 120x50, by the run's own clock.",
        "examples/s",
        display.subjects(),
        rounds,
        better="none",
    )
    rows = found["rows"]
    cost = 1 - rows["live view"]["median"] / rows["no display"]["median"]
    found["about"] += f" The live view costs {cost:.1%}."
    yield found


def measure_growth(rounds: int, cores: int) -> Iterator[report.Section]:
    made: list[tuple[str, str, Mapping[str, Callable[[], float]]]] = [
        ("batch", "Batch sizes, on all cores.", growth.batches(cores)),
        ("small batch", "Batch sizes, on one thread.", growth.small_batches()),
        ("threads", "Threads, at batch 256.", growth.threads(cores)),
        ("side of the picture", "Sides in pixels, on all cores.", growth.sides(cores)),
    ]
    for name, about, subjects in made:
        title = f"Native training by {name}"
        yield section(title, about, "examples/s", subjects, min(rounds, 3), better="none")


def measure_predict(rounds: int, cores: int, pictures: int, rows: int) -> Iterator[report.Section]:
    """On all cores."""
    tenth = max(1, pictures // 10)
    names = {
        f"{pictures:,} PNG files": ("pictures", pictures),
        f"{tenth:,} PNG files": ("tenth", tenth),
        f"{rows:,} rows of Parquet": ("images.parquet", rows),
    }
    with predict.inputs(pictures, rows) as made:
        subjects = {
            name: made.subject(name, made.folder / place, count)
            for name, (place, count) in names.items()
        }
        found = section(
            f"Bulk prediction, {cores} processes",
            "`lenet predict` from its start to its end, on real images of 28x28 pixels.",
            "images/s",
            subjects,
            min(rounds, 3),
            better="none",
            warm_up=False,
        )
        for name in names:
            shares = ", ".join(f"{part} {share:.0%}" for part, share in made.shares(name).items())
            found["about"] += f" {name}: {shares}; at most {made.memory[name]:.0f} MiB a process."
        print(found["about"], flush=True)
        yield found


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _versions() -> dict[str, str]:
    found = {"python": machine.versions()["python"]}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--pictures", type=int, default=100_000, help="PNG files for predict")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of Parquet for predict")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    flags = parser.parse_args()
    cores = machine.cores()
    parts = {
        "training": measure_training,
        "peak": measure_peak,
        "inference": measure_inference,
        "model": measure_model,
        "process": measure_process,
        "display": measure_display,
        "growth": measure_growth,
        "predict": partial(measure_predict, pictures=flags.pictures, rows=flags.rows),
    }
    results: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        "machine": machine.describe(),
        "versions": _versions(),
        "instruction_set": native.instruction_set(),
        "sections": [found for name in flags.only for found in parts[name](flags.rounds, cores)],
    }
    for path in report.write(results, flags.out):
        say(f"wrote {path}")


if __name__ == "__main__":
    main()
