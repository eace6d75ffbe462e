"""``/v11/cache/stats`` and ``/cache/clear``: what is kept, and what was found there."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict, final

from pydantic import Field

from copykit.reports.values import Bytes, Count, Share

__all__ = [
    "CacheCleared",
    "CacheCounts",
    "CacheStats",
    "HealthOfCache",
    "MemoryCacheHealth",
    "MemoryCacheState",
    "NoCache",
    "OtherCacheState",
]


class MemoryCacheState(TypedDict):
    """The cache in memory of the worker that answers: counts since it began, and what it holds now."""

    layer: Literal["memory"]
    hits: Count
    misses: Count
    """Expired entries count as misses."""
    evictions: Count
    """Entries dropped or declined to keep the bounds; not those deleted, replaced, cleared or expired."""
    entries: Count
    size_bytes: Bytes
    """Of what is held, as it counts for the bound."""
    plain_bytes: Bytes
    """All that was given to it since it began,"""
    stored_bytes: Bytes
    """and what it made of that."""


@final
class MemoryCacheHealth(MemoryCacheState):
    """The cache in memory, and how often it had what was looked for."""

    hit_ratio: Share | None
    """Of all looks; null before the first."""


OtherCacheState = Annotated[
    dict[str, Any],
    Field(
        description="A cache that was registered from outside: `layer` names it, the rest is its own to tell.",
        json_schema_extra={
            "required": ["layer"],
            "properties": {"layer": {"type": "string", "not": {"const": "memory"}}},
        },
    ),
]
"""A cache of `register_cache`: ``layer`` names it, the rest is its own to tell."""


@final
class NoCache(TypedDict):
    """Nothing: caching is off."""


@final
class CacheCounts(TypedDict):
    """What came of looks into the cache."""

    hits: Count
    misses: Count
    cache_failures: Count
    """Looks and writes at which the cache itself failed; the brief was written all the same."""


CacheStats = MemoryCacheState | OtherCacheState | NoCache | CacheCounts
"""``GET /v11/cache/stats``: to the operator the cache of the worker that answers, to a tenant its own `CacheCounts`."""

HealthOfCache = MemoryCacheHealth | OtherCacheState
"""The cache as the health report has it."""


@final
class CacheCleared(TypedDict):
    """``POST /cache/clear``: nothing that was cached for the caller's tenant is found any more."""

    cleared: Literal[True]
