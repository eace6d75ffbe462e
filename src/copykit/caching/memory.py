"""The memory tier: encoded results in this process, bounded in entries and bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from copykit.accel import compress, store

__all__ = ["MemoryCache"]

_COMPRESS_FROM = 4096
"""Bytes from which an entry is packed: a single social post stays as it is, an asset set shrinks."""
_PLAIN, _PACKED = b"\x00", b"\x01"


class MemoryCache:
    """Keeps results as bytes; large ones compressed by whatever this machine has.

    Args:
        max_entries: bound on the number of results.
        max_bytes: bound on their total size after packing.
        clock: monotonic seconds.
    """

    layer = "memory"

    def __init__(
        self, max_entries: int, max_bytes: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store.new_store(max_entries=max_entries, max_bytes=max_bytes, clock=clock)
        self._plain_bytes = self._stored_bytes = 0

    async def get(self, key: str) -> bytes | None:
        """Give the stored bytes; an entry whose codec is gone reads as a miss."""
        entry: bytes | None = self._store.get(key)
        if entry is None:
            return None
        if entry[:1] == _PLAIN:
            return entry[1:]
        try:
            return compress.decompress(entry[1:])
        except LookupError:
            self._store.delete(key)
            return None

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store *value* for *ttl_s* seconds."""
        packed = len(value) >= _COMPRESS_FROM
        entry = _PACKED + compress.compress(value) if packed else _PLAIN + value
        self._plain_bytes += len(value)
        self._stored_bytes += len(entry)
        self._store.set(key, entry, len(entry) + len(key), ttl_s)

    async def clear(self) -> None:
        """Forget everything."""
        self._store.clear()

    def stats(self) -> dict[str, Any]:
        """Count hits, misses, evictions, entries and bytes; bytes that were given to it, and what it made of them."""
        written = {"plain_bytes": self._plain_bytes, "stored_bytes": self._stored_bytes}
        return {**asdict(self._store.stats()), **written}

    async def aclose(self) -> None:
        """Forget everything; nothing else is held."""
        self._store.clear()
