"""Caches by address: ``memory://``, and what others register."""

from __future__ import annotations

from collections.abc import Callable

from copykit.caching.base import Cache
from copykit.caching.memory import MemoryCache
from copykit.errors import ConfigurationError, nearest_names
from copykit.settings import CacheSettings

__all__ = ["cache_from", "register_cache"]

_makers: dict[str, Callable[[CacheSettings], Cache]] = {
    "memory": lambda settings: MemoryCache(settings.max_entries, settings.max_bytes)
}


def register_cache(scheme: str, maker: Callable[[CacheSettings], Cache]) -> None:
    """Let addresses that start with *scheme* make their cache with *maker*."""
    _makers[scheme] = maker


def cache_from(settings: CacheSettings) -> Cache | None:
    """Make the cache of *settings*; None when caching is off.

    Raises:
        ConfigurationError: no cache is registered for the address's scheme.
    """
    if not settings.url or not settings.max_entries:
        return None
    scheme = settings.url.partition(":")[0]
    maker = _makers.get(scheme)
    if maker is None:
        near = nearest_names(scheme, _makers, 1)
        known = ", ".join(f"{name}://" for name in _makers)
        raise ConfigurationError(
            f"cache.url={settings.url!r}: unknown cache; known: {known}"
            + (f"; nearest: {near[0]}" if near else "")
        )
    return maker(settings)
