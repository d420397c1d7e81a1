"""Which shard a deployment belongs to: jump consistent hash (Lamping and Veach, 2014)."""

from __future__ import annotations

import hashlib

_LCG = 2862933555777941757  # the paper's 64-bit linear congruential generator
_MASK = 2**64 - 1


def belongs(key: str, index: int, total: int) -> bool:
    """Whether shard `index` of `total` has this key. From n to n+1 shards, 1/(n+1) of the keys move."""
    return total == 1 or shard_of(key, total) == index


def shard_of(key: str, total: int) -> int:
    """Shard from 0 to total-1; stable across machines and releases."""
    state = int.from_bytes(hashlib.blake2b(key.encode(errors="replace"), digest_size=8).digest(), "big")
    chosen, candidate = -1, 0
    while candidate < total:
        chosen = candidate
        state = (state * _LCG + 1) & _MASK
        candidate = int((chosen + 1) * (2**31 / ((state >> 33) + 1)))
    return chosen
