"""``/v11/performance-stats``: what was written, how fast, by whom and for how much."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict, final

from copykit.reports.cache import CacheCounts, MemoryCacheState, NoCache, OtherCacheState
from copykit.reports.routing import RoutingLook
from copykit.reports.values import Bytes, Count, Usd

__all__ = [
    "BudgetSpent",
    "Budgets",
    "Effect",
    "FormEffects",
    "Latencies",
    "PerformanceStats",
    "ProcessUse",
    "RequestCounts",
    "ServerStats",
    "SpentMoney",
    "TenantStats",
]


@final
class RequestCounts(TypedDict):
    """Briefs by what became of them."""

    total: Count
    ok: Count
    repaired: Count
    """With texts that had to be mended."""
    rejected: Count
    """Given with their reasons: no text passed."""
    failed: Count
    """Without a result."""
    cached: Count
    """Of all with a result, those that came from the cache."""


@final
class Latencies(TypedDict):
    """Quantiles of the time of a brief, in seconds, over the latest ones; null before the first."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@final
class SpentMoney(TypedDict):
    """What calls cost."""

    spent_usd: Usd


@final
class ProcessUse(TypedDict):
    """What the process of the worker that answers takes."""

    rss_bytes: Bytes | None
    """In RAM; null where the system does not tell."""
    cpu_seconds: float
    """User and system, all threads, since it began."""


@final
class Effect(TypedDict):
    """What one field of the thirteen-field form does here."""

    value: int | float | bool | None
    """What it is set to; null stands for the settings' own."""
    acts: bool
    effect: str
    """What it does, or why it is ignored."""


@final
class FormEffects(TypedDict):
    """The thirteen-field form (`PerformanceConfig`), and what each field does."""

    max_workers: Effect
    batch_size: Effect
    cache_size: Effect
    gpu_memory_fraction: Effect
    auto_scaling: Effect
    intelligent_caching: Effect
    memory_optimization: Effect
    gpu_memory_management: Effect
    adaptive_batching: Effect
    predictive_caching: Effect
    load_balancing: Effect
    circuit_breaker: Effect
    retry_mechanism: Effect


class Counted(TypedDict):
    """What all workers counted together since they began."""

    uptime_s: float
    """Of the worker that has been there longest."""
    requests: RequestCounts
    latency_s: Latencies
    cache: CacheCounts
    targets: dict[str, dict[str, Count]]
    """By target, its calls by outcome: `ok`, `cancelled` or an error's code."""
    money: SpentMoney
    placements: dict[str, Count]
    """Results by placement."""
    repairs: dict[str, Count]
    """Texts mended without asking a model again, by rule."""
    errors: dict[str, Count]
    """Briefs without a result, by the error's code."""


@final
class ServerStats(Counted):
    """Counts of all, as the operator sees them, and the state of the worker that answers."""

    capabilities: dict[str, str]
    """By capability that was used, what serves it."""
    system: ProcessUse
    cache_tier: MemoryCacheState | OtherCacheState | NoCache
    config: FormEffects
    providers: list[str]
    """Targets of the settings, in the order in which they are asked."""
    routing: RoutingLook
    ignored_settings: list[str]
    """One sentence for each setting that was given and cannot act here."""


@final
class BudgetSpent(TypedDict):
    """What an account has spent in its period, over all workers."""

    spent_usd: Usd
    cap_usd: Usd | None
    """Null where nothing is bounded."""
    per: Literal["day", "month", "total"]
    """By the calendar of UTC."""


@final
class Budgets(TypedDict):
    """Money of the caller; empty where no store keeps it."""

    key: NotRequired[BudgetSpent]
    tenant: NotRequired[BudgetSpent]
    """Of all its keys together."""


@final
class TenantStats(Counted):
    """Counts of the caller's tenant, and its money."""

    budgets: Budgets


PerformanceStats = ServerStats | TenantStats
"""``GET /v11/performance-stats``: of all to the operator, to a tenant its own."""
