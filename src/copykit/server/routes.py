"""The table of all routes: what each is called, who may call it, and what answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PREFIXES", "ROUTES", "RouteSpec", "Scope"]

Scope = Literal["public", "read", "generate", "batch", "admin"]

PREFIXES = ("", "/copywriting")
"""Every route stands under each of them."""


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One route."""

    method: Literal["GET", "POST"]
    path: str
    handler: str
    """Name of the method of `copykit.server.answers.Answers`."""
    scope: Scope
    summary: str
    gives: str
    """Name of the answer's schema: of a type in `copykit.reports`, or one of `copykit.server.described.openapi`."""
    legacy: bool = False
    """Whether it is of the first interface, kept as it was; ``docs/migrate.md`` lists these."""
    takes: str | None = None
    """Name of the body's schema in `copykit.server.described.openapi`; None for no body."""
    operator: bool = False
    """Whether it tells of the whole server, which is for keys of no tenant."""
    probe: bool = False
    """Whether it is for load balancers and the like: answered whatever else is away, and never counted."""


ROUTES: tuple[RouteSpec, ...] = (
    RouteSpec(
        "POST",
        "/generate",
        "generate_legacy",
        "generate",
        "Write one brief",
        legacy=True,
        takes="Brief",
        gives="LegacyResult",
    ),
    RouteSpec(
        "POST",
        "/generate/batch",
        "batch_legacy",
        "batch",
        "Write many briefs",
        legacy=True,
        takes="Batch",
        gives="LegacyBatchResult",
    ),
    RouteSpec(
        "POST",
        "/batch-generate",
        "batch_legacy",
        "batch",
        "Write many briefs",
        legacy=True,
        takes="Batch",
        gives="LegacyBatchResult",
    ),
    RouteSpec(
        "POST",
        "/generate/stream",
        "stream",
        "generate",
        "Write one brief and watch",
        legacy=True,
        takes="Brief",
        gives="Events",
    ),
    RouteSpec(
        "POST", "/v11/generate", "generate", "generate", "Write one brief", takes="Brief", gives="Result"
    ),
    RouteSpec(
        "POST",
        "/v11/batch-generate",
        "batch",
        "batch",
        "Write many briefs",
        takes="Batch",
        gives="BatchResult",
    ),
    RouteSpec(
        "POST",
        "/v11/generate/stream",
        "stream",
        "generate",
        "Write one brief and watch",
        takes="Brief",
        gives="Events",
    ),
    RouteSpec("GET", "/health", "health", "read", "Full report", gives="HealthReport", legacy=True),
    RouteSpec(
        "GET", "/health/live", "live", "public", "Whether the process runs", gives="Liveness", probe=True
    ),
    RouteSpec(
        "GET",
        "/health/ready",
        "ready",
        "public",
        "Whether requests are answered",
        gives="Readiness",
        probe=True,
    ),
    RouteSpec("GET", "/v11/health", "health", "read", "Full report", gives="HealthReport"),
    RouteSpec(
        "GET",
        "/v11/performance-stats",
        "stats",
        "read",
        "Counts, latencies, targets, money",
        gives="PerformanceStats",
    ),
    RouteSpec(
        "GET",
        "/metrics",
        "metrics",
        "read",
        "Figures as JSON, or for Prometheus by Accept",
        gives="FigureReport",
        legacy=True,
        operator=True,
    ),
    RouteSpec(
        "GET",
        "/metrics/prometheus",
        "prometheus",
        "read",
        "Figures for Prometheus",
        gives="Exposition",
        operator=True,
    ),
    RouteSpec(
        "GET",
        "/config",
        "config",
        "admin",
        "Settings, secrets masked",
        gives="ConfigReport",
        legacy=True,
        operator=True,
    ),
    RouteSpec(
        "POST",
        "/cache/clear",
        "clear_cache",
        "admin",
        "Forget what is cached for you",
        gives="CacheCleared",
        legacy=True,
    ),
    RouteSpec(
        "POST",
        "/v11/cache/clear",
        "clear_cache",
        "admin",
        "Forget what is cached for you",
        gives="CacheCleared",
    ),
    RouteSpec("GET", "/v11/cache/stats", "cache_stats", "read", "State of the cache", gives="CacheStats"),
    RouteSpec(
        "GET",
        "/optimization/report",
        "optimization",
        "admin",
        "Capabilities of this machine",
        gives="OptimizationReport",
        legacy=True,
        operator=True,
    ),
    RouteSpec(
        "GET",
        "/catalog",
        "catalog",
        "read",
        "Platforms, languages, tones and use cases",
        gives="CatalogNames",
    ),
    RouteSpec(
        "GET", "/openapi.json", "openapi", "public", "This description of all routes", gives="ApiDescription"
    ),
    RouteSpec("GET", "/docs", "docs", "public", "This description as a page", gives="Page"),
    *(
        RouteSpec("GET", f"/docs/{name}", "docs", "public", "A file of that page", gives=kind)
        for name, kind in (
            ("docs.css", "Style"),
            ("docs.js", "Script"),
            ("swagger-ui.css", "Style"),
            ("swagger-ui-bundle.js", "Script"),
        )
    ),
)
