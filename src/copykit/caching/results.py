"""Finished results in and out of a cache tier; a cache that fails is a miss and an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from copykit import events
from copykit.accel import json
from copykit.caching.base import Cache
from copykit.models import CopywritingOutput

__all__ = ["Results"]


class Results:
    """Encodes results for *cache*; with None it stores nothing and finds nothing."""

    def __init__(self, cache: Cache | None, ttl_s: float, emit: Callable[[events.Event], None]) -> None:
        self._cache = cache
        self._ttl_s = ttl_s
        self._emit = emit
        self._watchers: tuple[Callable[[str], None], ...] = ()

    def watch(self, stored: Callable[[str], None]) -> None:
        """Call *stored* with the key of each result from when it is in the cache; it must not raise."""
        self._watchers = (*self._watchers, stored)

    def unwatch(self, stored: Callable[[str], None]) -> None:
        """Stop calling *stored*."""
        self._watchers = tuple(watcher for watcher in self._watchers if watcher != stored)

    async def look_up(self, key: str, tenant: str = "") -> CopywritingOutput | None:
        """Give the stored result, marked as cached; None for a miss, an unreadable entry or a failing cache.

        It costs nothing and says what it saved; tokens and attempts stay those of the writing. *tenant* stands in the
        event; the key holds it already.
        """
        if self._cache is None:
            return None
        try:
            data = await self._cache.get(key)
            output = None if data is None else CopywritingOutput.model_validate(json.loads(data))
        except Exception as error:  # whatever a cache does, the request goes on
            self._emit(events.CacheFailed(self._cache.layer, type(error).__name__))
            output = None
        self._emit(events.CacheLooked(key, output is not None, self._cache.layer if output else None, tenant))
        if output is not None:
            output.cached = True
            output.receipt.cache = self._cache.layer  # type: ignore[assignment]  # a tier names a known layer
            output.receipt.saved_usd, output.usage.cost_usd = output.usage.cost_usd, 0.0
        return output

    async def store(self, key: str, output: CopywritingOutput) -> None:
        """Keep *output*; failing to is an event."""
        if self._cache is None:
            return
        try:
            data = json.dumps(output.model_dump(mode="json"))
            await self._cache.set(key, data, self._ttl_s)
        except Exception as error:  # whatever a cache does, the request goes on
            self._emit(events.CacheFailed(self._cache.layer, type(error).__name__))
        finally:  # a cache that failed, or was not waited for, may have it all the same
            for stored in self._watchers:
                stored(key)

    async def clear(self) -> None:
        """Forget everything."""
        if self._cache is not None:
            await self._cache.clear()

    def stats(self) -> dict[str, Any]:
        """Give the tier's counts; empty when caching is off."""
        return {} if self._cache is None else {"layer": self._cache.layer, **self._cache.stats()}

    async def aclose(self) -> None:
        """Close the tier."""
        if self._cache is not None:
            await self._cache.aclose()
