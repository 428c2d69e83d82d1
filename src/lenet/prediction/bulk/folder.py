"""A folder of predictions: shards that are whole or not there, and what they were made from."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from lenet.errors import UsageError
from lenet.prediction.bulk import formats
from lenet.prediction.bulk.shard import Problem, Shard
from lenet.system.files import open_whole, write_whole
from lenet.system.kinds import MANIFEST, Kind, Manifest, hold_kind, read_manifest

KIND = Kind("lenet predictions", frozenset({"inputs.jsonl", "shards", "digests"}))

PARTS = ("digests", "shards", "problems")
"""Folders in which each shard has a file; a shard without its digest is not done."""

ENDINGS = {"digests": "sha256", "problems": "csv"}

WORDS = {
    "format": "another version of lenet began here",
    "inputs": "the inputs have changed since",
    "network": "another network, or a later checkpoint of it, began here",
    "output": "another format, another --top or another --shard-rows was asked for",
}


@dataclass(frozen=True, slots=True)
class PredictionFolder:
    """`manifest.json`, `inputs.jsonl`, `shards/`, `problems/`, `digests/`, `errors.csv`, and so on.

    `manifest.json` says what the answers depend on, and how they are cut into shards; see
    docs/predict.md.  A shard is done when its digest is there and true; with the same inputs,
    network and format all but the receipt are the same bytes, however often it was stopped.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

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
        try:
            manifest = read_manifest(self.path)
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be looked into: {error.strerror}") from error
        if manifest is None or manifest.get("kind") != KIND.name or not _is_complete(manifest):
            raise UsageError(
                f"{self.path}: no predictions are here ({MANIFEST} is missing, damaged, or of "
                "something else)"
            )
        return manifest

    def lock(self) -> AbstractContextManager[None]:
        """Make the folder if need be, and hold it for this process while a `with` block runs.

        Raises:
            UsageError: if another process holds it, it cannot be written, or something else is
                in it.
        """
        held = "another process predicts into this folder; wait for it"
        return hold_kind(self.path, KIND, UsageError, held)

    def begin(self, manifest: Manifest, starts_over: bool = False) -> None:
        """Start with `manifest`, or go on with the same one; another one is dropped or refused.

        Raises:
            UsageError: if another one is here.
        """
        manifest = {"kind": KIND.name, **manifest}
        before = read_manifest(self.path)
        if before != manifest:
            if before is not None and not starts_over:
                self._refuse(before, manifest)
            for name in PARTS:  # first: until then they are those of the manifest that is there
                shutil.rmtree(self.path / name, ignore_errors=True)
            text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
            write_whole(self.path / MANIFEST, text)
        for name in PARTS:
            if not (self.path / name).is_dir():
                (self.path / name).unlink(missing_ok=True)
                (self.path / name).mkdir()

    def _refuse(self, before: Manifest, now: Manifest) -> None:
        changed = next((name for name in now if before.get(name) != now[name]), "manifest")
        raise UsageError(
            f"{self.path}: cannot go on here: {WORDS.get(changed, 'it has another format')} "
            f"({_then_and_now(before.get(changed), now.get(changed))}); choose another --out, or "
            "remove this folder"
        )

    def shard_paths(self) -> list[Path]:
        """Every shard's place, in the order of the inputs."""
        return [self._place("shards", number) for number in range(self._shards())]

    def missing(self) -> list[int]:
        """Numbers of the shards that are not done."""
        return [number for number in range(self._shards()) if not self.is_done(number)]

    def is_damaged(self, number: int) -> bool:
        """Whether a shard that is not done was done, and is still there."""
        return all(self._place(part, number).exists() for part in ("digests", "shards"))

    def is_done(self, number: int) -> bool:
        """Whether a shard is there, and is what was written."""
        try:
            noted = self._place("digests", number).read_bytes()
        except OSError:
            return False
        return noted == self._digests(number, self._read(number))

    def write(self, number: int, shard: Shard) -> None:
        """Keep a shard; its digest comes last, since that is what makes it done."""
        files = {"shards": shard.content}
        if shard.problems:
            rows = [(formats.shown(name), reason) for name, reason in shard.problems]
            files["problems"] = formats.table_of(("path", "reason"), rows)
        else:
            self._place("problems", number).unlink(missing_ok=True)
        for part, content in files.items():
            write_whole(self._place(part, number), content)
        write_whole(self._place("digests", number), self._digests(number, files))

    def _read(self, number: int) -> dict[str, bytes]:
        found = {}
        for part in ("shards", "problems"):
            try:
                found[part] = self._place(part, number).read_bytes()
            except OSError:
                continue
        return found

    def _digests(self, number: int, files: dict[str, bytes]) -> bytes:
        """A line for each file of a shard, as `sha256sum` writes and checks them."""
        lines = [
            f"{hashlib.sha256(content).hexdigest()}  {part}/{self._place(part, number).name}\n"
            for part, content in files.items()
        ]
        return "".join(lines).encode()

    def problems(self) -> Iterator[Problem]:
        """Every input that could not be used, in the order of the inputs."""
        for number in range(self._shards()):
            place = self._place("problems", number)
            if not place.exists():
                continue
            with open(place, encoding="utf-8", newline="") as file:
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

    def rows(self, *, partly: bool = False) -> Iterator[formats.Row]:
        """Every answer, in the order of the inputs; one shard at a time is in memory.

        With `partly` those of the shards that are done.

        Raises:
            UsageError: if some are not, or no predictions are here.
        """
        kind = self._format()
        return chain.from_iterable(formats.read(path, kind) for path in self._done(partly))

    def join(self, file: BinaryIO, *, partly: bool = False) -> None:
        """Write all answers to `file` as one file in the folder's own format; see `rows`."""
        formats.join(self._done(partly), self._format(), file)

    def write_joined(self, path: Path) -> None:
        """The same to a file that is whole or not there."""
        with open_whole(path) as file:
            self.join(file)

    def forget_attempts(self) -> None:
        """Drop the notes of tries, when all shards are done."""
        shutil.rmtree(self.attempts_path, ignore_errors=True)

    def _done(self, partly: bool) -> list[Path]:
        paths = self.shard_paths()
        done = [path for path in paths if path.exists()]
        if len(done) < len(paths) and not partly:
            raise UsageError(
                f"{self.path}: {len(paths) - len(done)} of {len(paths)} shards are not done; run "
                "the command that made this folder again"
            )
        return done

    def _shards(self) -> int:
        count: int = self.manifest()["output"]["shards"]
        return count

    def _format(self) -> str:
        kind: str = self.manifest()["output"]["format"]
        return kind

    def _place(self, part: str, number: int) -> Path:
        ending = self._format() if part == "shards" else ENDINGS[part]
        return self.path / part / f"{number:05d}.{ending}"


def _is_complete(manifest: Manifest) -> bool:
    output = manifest.get("output")
    return (
        isinstance(output, dict)
        and output.get("format") in formats.FORMATS
        and isinstance(output.get("shards"), int)
    )


def _then_and_now(before: Any, now: Any) -> str:
    """What differs; a digest by its first digits."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f"{before} then, {now} now"
    pairs = ((name, str(before.get(name)), str(now[name])) for name in now)
    return "; ".join(
        f"{name} {old:.12} then, {new:.12} now" for name, old, new in pairs if old != new
    )
