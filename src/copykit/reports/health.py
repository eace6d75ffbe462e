"""``/health`` and its probes: whether a worker lives, whether requests should come to it, and how it is."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict, final

from copykit.reports.cache import HealthOfCache
from copykit.reports.routing import RestLook, RoutingLook
from copykit.reports.values import Breaker, Bytes, Count

__all__ = [
    "DatabaseHealth",
    "DiskSpace",
    "HealthReport",
    "LastFailure",
    "Liveness",
    "MachineInShort",
    "MemoryUse",
    "Places",
    "Readiness",
    "RedisHealth",
    "ServerHealth",
    "TargetHealth",
    "TenantHealth",
    "Unready",
    "WorkerHealth",
    "WorkersHealth",
]


@final
class Liveness(TypedDict):
    """``GET /health/live``: the process runs."""

    status: Literal["ok"]


Unready = Literal["draining", "store", "providers"]
"""The worker is about to end, its store does not answer, no target may be asked for a while."""


@final
class Readiness(TypedDict):
    """``GET /health/ready``: whether requests should come here; with status 503 if not."""

    status: Literal["ok", "unavailable"]
    reasons: list[Unready]
    """Why not: the worker is about to end, its store does not answer, no target may be asked for a while."""


@final
class LastFailure(TypedDict):
    """What a target failed with last."""

    code: str
    """Of the error, such as `rate_limited`."""
    ago_s: float


@final
class TargetHealth(TypedDict):
    """One target of the settings."""

    status: Literal["ok", "unknown", "resting", "open", "half_open"]
    unknown: bool
    """Whether nobody knows a provider of this name."""
    breaker: Breaker
    rest: RestLook | None
    """Of its credential; null while that may be asked."""
    comes_back_in_s: float
    """Until it may be asked again; 0 if it may be now."""
    last_failure: LastFailure | None
    """Null where none happened since the worker began."""
    median_s: float | None
    """Of its latest successful calls; null before there are any."""


@final
class DatabaseHealth(TypedDict):
    """The store of keys, money and kept answers; where none is configured the rest is absent."""

    configured: bool
    kind: NotRequired[Literal["sqlite", "postgresql"]]
    reachable: NotRequired[bool]
    latency_s: NotRequired[float | None]
    """Of a query that reads nothing; null where there was no answer."""
    size_bytes: NotRequired[Bytes | None]
    """On disk; null where it cannot be told."""


@final
class RedisHealth(TypedDict):
    """What counts requests for all workers together; where none is configured the rest is absent."""

    configured: bool
    limits_counted_by: Literal["redis", "each worker its share", "this worker"]
    reachable: NotRequired[bool]
    latency_s: NotRequired[float | None]
    """Of a ping; null where there was no answer."""


@final
class MemoryUse(TypedDict):
    """Memory of the worker that answers."""

    resident_bytes: Bytes | None
    """In RAM; null where the system does not tell."""
    limit_bytes: Bytes | None
    """Of the container, or of the machine; null where the system does not tell."""
    share: float | None
    """What this worker and as many others as are configured take of that limit, as a part of one, if all are as large."""


@final
class DiskSpace(TypedDict):
    """The disk of the data folder."""

    free_bytes: Bytes
    size_bytes: Bytes


@final
class MachineInShort(TypedDict):
    """This machine's capabilities; empty until they were looked at once."""

    tier: NotRequired[str]
    score: NotRequired[Count]
    """0 to 100."""
    libraries: NotRequired[Count]
    """Of the catalogue that are installed."""
    recommended: NotRequired[list[str]]
    """Libraries worth installing."""
    capabilities: NotRequired[dict[str, str]]
    """By capability, what serves it."""


@final
class WorkerHealth(TypedDict):
    """One worker that gave a sign of life within half a minute."""

    pid: Count
    host: str
    """Name of its machine."""
    uptime_s: float
    version: str
    """Of copykit."""
    config: str
    """Digest of its settings: workers that differ in it were started with different ones."""


@final
class WorkersHealth(TypedDict):
    """The workers; without a store, or while it does not answer, only how many were asked for is known."""

    configured: Count
    living: NotRequired[Count]
    all: NotRequired[list[WorkerHealth]]


@final
class Places(TypedDict):
    """Requests of this worker that write copy."""

    in_work: Count
    limit: Count
    """Of those in work at once."""
    waiting: Count
    """For a place."""
    streams: Count
    """That are open."""
    refused: Count
    """For want of a place, since the worker began."""


@final
class ServerHealth(TypedDict):
    """The full report, as the operator sees it: the status, its reasons, and what they rest on."""

    status: Literal["ok", "degraded", "unavailable"]
    """Degraded: requests are answered, and something should be looked at."""
    reasons: list[str]
    """In words; empty where all is well."""
    version: str
    """Of copykit."""
    config: str
    """Digest of the settings."""
    uptime_s: float
    """Since the worker began."""
    draining: bool
    """Whether the worker is about to end."""
    authentication: Literal["on", "off"]
    providers: dict[str, TargetHealth]
    """By target, in the order of the settings."""
    database: DatabaseHealth
    redis: RedisHealth
    memory: MemoryUse
    disk: DiskSpace | None
    """Null where it cannot be asked."""
    cache: HealthOfCache | None
    """Null where caching is off."""
    optimization: MachineInShort
    workers: WorkersHealth
    requests: Places
    event_loop_lag_s: float
    """Longest time of the last ten seconds that the worker's loop was late."""
    event_loop_late: Count
    """How often in these ten seconds it was late by more than 0.2 s."""
    routing: RoutingLook


@final
class TenantHealth(TypedDict):
    """The report as a tenant sees it."""

    status: Literal["ok", "degraded", "unavailable"]
    providers: list[str]
    """Names of the targets."""


HealthReport = ServerHealth | TenantHealth
"""``GET /health`` and ``GET /v11/health``: the whole to the operator, status and targets to a tenant."""
