"""SHA-256 of payloads, remembered by path, size and time of change."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import platformdirs

from lenet.data.files.idx import open_payload
from lenet.errors import DigestError, FormatError
from lenet.system.files import write_whole

BLOCK = 1 << 20
RECORD = "digests.json"
"""Beside downloaded files whose payload nobody publishes a digest of: what they were hashed to."""


def cache_folder() -> Path:
    """The user's cache of lenet: downloaded data sets and remembered digests."""
    return Path(platformdirs.user_cache_dir("lenet"))


def payload_digest(path: Path, limit: int) -> str:
    """SHA-256 of a file's payload; reading stops beyond `limit` bytes.

    Raises:
        FormatError: if the file is damaged, or its payload is longer than `limit`.
    """
    digest, size = hashlib.sha256(), 0
    with open_payload(path) as stream:
        try:
            while block := stream.read(BLOCK):
                size += len(block)
                if size > limit:
                    raise FormatError(f"{path}: longer than the {limit} bytes that it should have")
                digest.update(block)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{path}: damaged: {error}") from error
    return digest.hexdigest()


def remembered_digest(path: Path, limit: int) -> str:
    """As `payload_digest`, but a file whose size and time have not changed is not read again."""
    stamp = path.stat()
    facts = {"size": stamp.st_size, "mtime_ns": stamp.st_mtime_ns}
    memory, key = _read_memory(), str(path.resolve())
    known = memory.get(key, {})
    if {name: known.get(name) for name in facts} == facts and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    digest = payload_digest(path, limit)
    _write_memory({**memory, key: {**facts, "sha256": digest}})
    return digest


def check_container(path: Path, expected: str) -> None:
    """Compare the bytes of `path` with a published digest, such as `sha256:...` or `md5:...`.

    Raises:
        DigestError: if they differ.
    """
    algorithm, _, digest = expected.partition(":")
    with open(path, "rb") as file:
        found = hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
    if found != digest:
        name = algorithm.upper()
        raise DigestError(f"its {name} is {found}, but the published one is {digest}")


def container_fits(path: Path, expected: str) -> bool:
    """Whether `check_container` has nothing to say."""
    try:
        check_container(path, expected)
    except DigestError:
        return False
    return True


def record_digest(folder: Path, name: str, sha256: str) -> None:
    """Write down what a payload out of a verified container hashes to, for later loads."""
    known = {**_read_json(folder / RECORD), name: sha256}
    write_whole(folder / RECORD, json.dumps(known, indent=1))


def recorded_digest(folder: Path, name: str) -> str | None:
    """What `record_digest` wrote, or None."""
    digest = _read_json(folder / RECORD).get(name)
    return digest if isinstance(digest, str) else None


def _memory_path() -> Path:
    return cache_folder() / "digests.json"


def _read_memory() -> dict[str, dict[str, Any]]:
    memory = _read_json(_memory_path())
    return {path: facts for path, facts in memory.items() if isinstance(facts, dict)}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # One that is missing or damaged only costs hashing or fetching again.
    return content if isinstance(content, dict) else {}


def _write_memory(memory: dict[str, Any]) -> None:
    try:
        _memory_path().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_memory_path(), json.dumps(memory, indent=1))
    except OSError:
        return  # A cache that cannot be written only costs hashing again.
