"""The port of every cache tier."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Cache"]


class Cache(Protocol):
    """Keeps bytes under a key for a time.

    A cache may forget at any moment and may raise; the engine then goes on as if it had missed.
    """

    layer: str
    """Name in receipts: memory, compressed, redis or sqlite."""

    async def get(self, key: str) -> bytes | None:
        """Give what is stored under *key*, or None."""
        ...

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store *value* for *ttl_s* seconds; a value too large for the tier is not stored."""
        ...

    async def clear(self) -> None:
        """Forget everything."""
        ...

    def stats(self) -> dict[str, Any]:
        """Count entries, bytes, hits, misses and evictions."""
        ...

    async def aclose(self) -> None:
        """Give back what is held."""
        ...
