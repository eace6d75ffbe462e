"""Caches by address: ``memory://``, and what others register."""

from __future__ import annotations

from collections.abc import Callable

from copykit.caching.base import Cache
from copykit.caching.memory import MemoryCache
from copykit.errors import ConfigurationError, excerpt_address, nearest_names
from copykit.settings import CacheSettings

__all__ = ["cache_from", "cache_problems", "register_cache"]

_makers: dict[str, Callable[[CacheSettings], Cache]] = {
    "memory": lambda settings: MemoryCache(settings.max_entries, settings.max_bytes)
}


def register_cache(scheme: str, maker: Callable[[CacheSettings], Cache]) -> None:
    """Let addresses that start with *scheme* make their cache with *maker*."""
    _makers[scheme] = maker


def cache_problems(url: str) -> list[str]:
    """Say what is wrong with the address *url* of a cache: a scheme for which none is registered."""
    scheme = url.partition(":")[0]
    if not url or scheme in _makers:
        return []
    near = nearest_names(scheme, _makers, 1)
    known = ", ".join(f"{name}://" for name in _makers)
    hint = f"; nearest: {near[0]}" if near else ""
    return [f"cache.url={excerpt_address(url, 200)}: unknown cache; known: {known}{hint}"]


def cache_from(settings: CacheSettings) -> Cache | None:
    """Make the cache of *settings*; None when caching is off.

    Raises:
        ConfigurationError: no cache is registered for the address's scheme.
    """
    if not settings.url or not settings.max_entries:
        return None
    if problems := cache_problems(settings.url):
        raise ConfigurationError(problems)
    return _makers[settings.url.partition(":")[0]](settings)
