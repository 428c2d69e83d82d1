"""`python -m bench.accuracy`: does the note's recipe end alike on both engines?  Paired by seed."""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import numpy as np

import lenet
from lenet.studies.statistics import compare, mean_interval

ENGINES = ("native", "eager")
MEASURES = ("train_loss", "train_accuracy", "test_accuracy")


def measure(engine: str, seed: int, data: str, epochs: int) -> dict[str, float]:
    """The last epoch of one training."""
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train(
            data=data, epochs=epochs, seed=seed, out=Path(folder) / "run", engine=engine,
            device="cpu",
        ).run  # fmt: skip
        last = run.epochs()[-1]
        return {name: last[name] for name in MEASURES}


def table(scores: dict[str, dict[str, np.ndarray]]) -> str:
    """Mean, standard deviation, 95 % interval by engine; then the paired difference."""
    lines = ["| | " + " | ".join(name.replace("_", " ") for name in MEASURES) + " |"]
    lines.append("|---|" + "---|" * len(MEASURES))
    for engine in ENGINES:
        cells = [_cell(scores[engine][name]) for name in MEASURES]
        lines.append(f"| {engine} | " + " | ".join(cells) + " |")
    pairs = [compare([scores["native"][name]], scores["eager"][name])[0] for name in MEASURES]
    cells = [f"{pair.mean:+.4f} ({pair.low:+.4f} to {pair.high:+.4f})" for pair in pairs]
    lines.append("| native - eager, paired | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: np.ndarray) -> str:
    low, high = mean_interval(values)
    return f"{values.mean():.4f} ± {values.std(ddof=1):.4f} ({low:.4f} to {high:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=None, help="CSV of every training")
    flags = parser.parse_args()
    rows = []
    for seed in range(flags.seeds):
        for engine in ENGINES:
            rows.append({"engine": engine, "seed": seed})
            rows[-1] |= measure(engine, seed, flags.data, flags.epochs)
            print(rows[-1], file=sys.stderr, flush=True)
    if flags.out:
        with open(flags.out, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    scores = {
        engine: {
            name: np.array([row[name] for row in rows if row["engine"] == engine])
            for name in MEASURES
        }
        for engine in ENGINES
    }
    print(table(scores))


if __name__ == "__main__":
    main()
