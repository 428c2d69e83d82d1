"""Random numbers that are the same bytes on every machine and every NumPy.

NumPy promises the raw stream of a bit generator for ever, but not what `Generator` makes of it
(NEP 19), so permutations and uniforms are made here from the raw 64-bit words of Philox
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").  A stream is named by a key,
such as (seed, "order", epoch): whoever knows the key can make the stream again, so a run that is
resumed in the middle of an epoch needs no hidden state.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Key = int | str


def _words(count: int, key: tuple[Key, ...]) -> NDArray[np.uint64]:
    """`count` raw 64-bit words of the stream named `key`."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    philox_key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    return np.random.Philox(key=philox_key).random_raw(count)


def permutation(count: int, *key: Key) -> NDArray[np.int64]:
    """A uniform order of 0 .. count - 1, int64 (count,)."""
    return np.argsort(_words(count, key), kind="stable").astype(np.int64)


def uniform(shape: tuple[int, ...], bound: float, *key: Key) -> NDArray[np.float32]:
    """Uniform in [-bound, bound), float32 of `shape`, with 53 random bits before rounding."""
    words = _words(int(np.prod(shape)), key)
    unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return ((2.0 * unit - 1.0) * bound).astype(np.float32).reshape(shape)
