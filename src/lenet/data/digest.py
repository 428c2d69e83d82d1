"""SHA-256 of payloads, remembered by path, size and time of change."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import platformdirs

from lenet.data.idx import open_payload
from lenet.errors import FormatError
from lenet.files import write_whole

BLOCK = 1 << 20


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


def _memory_path() -> Path:
    return cache_folder() / "digests.json"


def _read_memory() -> dict[str, Any]:
    try:
        memory = json.loads(_memory_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # A memory that is missing or damaged only costs hashing again.
    return memory if isinstance(memory, dict) else {}


def _write_memory(memory: dict[str, Any]) -> None:
    try:
        _memory_path().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_memory_path(), json.dumps(memory, indent=1))
    except OSError:
        return  # A cache that cannot be written only costs hashing again.
