"""A folder of predictions: shards that are whole or not there, and what they were made from."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lenet.errors import UsageError
from lenet.prediction.bulk import formats
from lenet.prediction.bulk.shard import Problem, Shard
from lenet.system.files import open_whole, write_whole
from lenet.system.locks import hold_folder

Manifest = dict[str, Any]
"""What the answers depend on, and how they are cut into shards; see docs/predict.md."""

WORDS = {
    "inputs": "the inputs have changed since",
    "network": "another network, or a later checkpoint of it, began here",
    "output": "another format, another --top or another --shard-rows was asked for",
}


@dataclass(frozen=True, slots=True)
class PredictionFolder:
    """`manifest.json`, `inputs.jsonl`, `shards/`, `problems/`, `errors.csv`, `receipt.json`.

    A shard's file appears whole, after its problems; with the same inputs, network and format all
    but the receipt are the same bytes, however often it was stopped.
    """

    path: Path

    @property
    def inputs_path(self) -> Path:
        return self.path / "inputs.jsonl"

    @property
    def errors_path(self) -> Path:
        return self.path / "errors.csv"

    @property
    def attempts_path(self) -> Path:
        return self.path / ".attempts"

    def manifest(self) -> Manifest:
        """What was predicted here.

        Raises:
            UsageError: if nothing was.
        """
        place = self.path / "manifest.json"
        try:
            manifest: Manifest = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path}: no predictions are here: {error}") from error
        return manifest

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Make the folder if need be, and hold it for this process while the block runs.

        Raises:
            UsageError: if another process holds it, it cannot be written, or something else is
                in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in self.path.iterdir()}
        except OSError as error:
            raise UsageError(f"{self.path}: cannot write in it: {error.strerror}") from error
        if not names & {"manifest.json", ".lock"} and names:
            raise UsageError(
                f"{self.path}: already there, and not made by lenet predict; choose another --out"
            )
        held = "another process predicts into this folder; wait for it"
        with hold_folder(self.path, UsageError, held):
            yield

    def begin(self, manifest: Manifest, starts_over: bool = False) -> None:
        """Start with `manifest`, or go on with the same one; another one is dropped or refused.

        Raises:
            UsageError: if another one is here.
        """
        place = self.path / "manifest.json"
        if place.exists():
            before = self.manifest()
            if before == manifest:
                return
            if not starts_over:
                self._refuse(before, manifest)
            place.unlink()
        for name in ("shards", "problems"):
            shutil.rmtree(self.path / name, ignore_errors=True)
            (self.path / name).mkdir(exist_ok=True)
        write_whole(place, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")

    def _refuse(self, before: Manifest, now: Manifest) -> None:
        changed = next(name for name in now if before.get(name) != now[name])
        raise UsageError(
            f"{self.path}: cannot go on here: {WORDS.get(changed, 'it has another format')} "
            f"({before.get(changed)} then, {now[changed]} now); choose another --out, or remove "
            "this folder"
        )

    def shard_paths(self) -> list[Path]:
        """Every shard's place, in the order of the inputs."""
        output = self.manifest()["output"]
        return [self._shard_path(number, output["format"]) for number in range(output["shards"])]

    def missing(self) -> list[int]:
        """Numbers of the shards that are not done."""
        there = {path.name for path in (self.path / "shards").iterdir()}
        return [number for number, path in enumerate(self.shard_paths()) if path.name not in there]

    def write(self, number: int, shard: Shard) -> None:
        """Keep a shard; its own file comes last, since that is what makes it done."""
        place = self._problems_path(number)
        if shard.problems:
            rows = [(formats.shown(name), reason) for name, reason in shard.problems]
            write_whole(place, formats.table_of(("path", "reason"), rows))
        write_whole(self._shard_path(number, self.manifest()["output"]["format"]), shard.content)

    def problems(self) -> Iterator[Problem]:
        """Every input that could not be used, in the order of the inputs."""
        places = (self.path / "problems").glob("*.csv")
        for path in sorted(places, key=lambda path: int(path.stem)):
            with open(path, encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    yield row["path"], row["reason"]

    def write_errors(self) -> int:
        """Write `errors.csv` from what the shards left, and count its rows."""
        count = 0
        with open_whole(self.errors_path) as file:
            file.write(formats.table_of(("path", "reason"), []))
            for problem in self.problems():
                file.write(formats.table_of(problem, []))
                count += 1
        return count

    def rows(self) -> Iterator[formats.Row]:
        """Every answer, in the order of the inputs; one shard at a time is in memory."""
        kind = self.manifest()["output"]["format"]
        for path in self.shard_paths():
            yield from formats.read(path, kind)

    def join(self, file: BinaryIO) -> None:
        """Write all answers to `file` as one file in the folder's own format."""
        formats.join(self.shard_paths(), self.manifest()["output"]["format"], file)

    def write_joined(self, path: Path) -> None:
        """The same to a file that is whole or not there."""
        with open_whole(path) as file:
            self.join(file)

    def forget_attempts(self) -> None:
        """Drop the notes of tries, when all shards are done."""
        shutil.rmtree(self.attempts_path, ignore_errors=True)

    def _shard_path(self, number: int, kind: str) -> Path:
        return self.path / "shards" / f"{number:05d}.{kind}"

    def _problems_path(self, number: int) -> Path:
        return self.path / "problems" / f"{number:05d}.csv"
