"""What a service tells of itself over HTTP, as types: one for each answer in JSON that is no copy.

They are ``TypedDict``s: what `copykit.client` gives is the JSON as it came, and a type checker knows its names. Answers
that differ with who asks, an operator or a tenant, are unions; a name that only one of them has tells them apart::

    report = client.health()
    if "reasons" in report:  # a `ServerHealth`
        print(report["memory"]["resident_bytes"])

The schemas of these answers in ``/openapi.json`` are made of these types. Times are in seconds, sizes in bytes, money
in US dollars. Fields of `NotRequired` are absent where their class says so; everything else is always there.
"""

from __future__ import annotations

from copykit.reports.cache import CacheCleared, CacheCounts, CacheStats, MemoryCacheState
from copykit.reports.catalog import ApiDescription, CatalogNames
from copykit.reports.configuration import ConfigReport
from copykit.reports.counts import PerformanceStats, ServerStats, TenantStats
from copykit.reports.figures import FigureReport
from copykit.reports.health import HealthReport, Liveness, Readiness, ServerHealth, TenantHealth
from copykit.reports.machine import OptimizationReport

__all__ = [
    "ApiDescription",
    "CacheCleared",
    "CacheCounts",
    "CacheStats",
    "CatalogNames",
    "ConfigReport",
    "FigureReport",
    "HealthReport",
    "Liveness",
    "MemoryCacheState",
    "OptimizationReport",
    "PerformanceStats",
    "Readiness",
    "ServerHealth",
    "ServerStats",
    "TenantHealth",
    "TenantStats",
]
