"""What the processes of one service write to each other: JSON, its length before it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

HEAD = struct.Struct("!I")

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """As it goes over the socket; names of files with lone surrogates may be in it."""
    content = json.dumps(message).encode()
    return HEAD.pack(len(content)) + content


async def read(stream: asyncio.StreamReader) -> Message | None:
    """The next one; None where the other side is gone."""
    try:
        (length,) = HEAD.unpack(await stream.readexactly(HEAD.size))
        return _decode(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None


def wait_for(channel: socket.socket) -> Message | None:
    """The next one, without an event loop; None where the other side is gone."""
    head = channel.recv(HEAD.size, socket.MSG_WAITALL)
    if len(head) < HEAD.size:
        return None
    (length,) = HEAD.unpack(head)
    content = channel.recv(length, socket.MSG_WAITALL)
    return _decode(content) if len(content) == length else None


def _decode(content: bytes) -> Message:
    found: Message = json.loads(content)
    return found
