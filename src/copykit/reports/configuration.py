"""``/config``: the settings that a server runs with; what is secret is stars.

What each field means stands where it is set, at the classes of `copykit.settings` and `copykit.server.config`.
"""

from __future__ import annotations

from typing import Literal, TypedDict, final

from copykit.reports.values import Bytes, Count, Masked, Share, Usd

__all__ = [
    "BatchConfig",
    "CacheConfig",
    "ConfigReport",
    "ProvidersConfig",
    "RoutingConfig",
    "ServerConfig",
]


@final
class ServerConfig(TypedDict):
    """Bounds and doors of the server: `copykit.server.ServerSettings`."""

    host: str
    port: Count
    key: Masked | None
    insecure: bool
    keyed: bool
    allowed_hosts: list[str]
    cors_origins: list[str]
    cors_credentials: bool
    trusted_proxies: list[str]
    store_url: str | None
    data_dir: str
    pepper: Masked | None
    workers: Count
    budget_per: Literal["start", "day", "month", "total"]
    rate: str
    ip_rate: str
    failure_rate: str
    limits_url: str
    in_flight: Count
    queue_s: float
    streams: Count
    header_s: float
    max_header_bytes: Bytes
    max_header_fields: Count
    keep_alive_s: float
    stalled_s: float
    max_body: Bytes
    max_batch_body: Bytes
    max_batch_items: Count
    body_s: float
    deadline_s: float
    longest_s: float
    drain_delay_s: float
    drain_s: float
    log_format: Literal["text", "json"]
    log_level: Literal["critical", "error", "warning", "info", "debug"]


@final
class CacheConfig(TypedDict):
    """Where finished results are kept: `copykit.settings.CacheSettings`."""

    url: str
    max_entries: Count
    max_bytes: Bytes
    ttl_s: float


@final
class RoutingConfig(TypedDict):
    """Who writes, in which order, for how long and for how much: `copykit.settings.RoutingSettings`."""

    providers: list[str]
    deployments: dict[str, list[str] | dict[str, float]]
    balance: Literal["weighted", "least_loaded", "fastest"] | None
    deadline_s: float
    budget_usd: Usd | None
    request_budget_usd: Usd | None
    repeats: Count
    breaker: bool
    most_calls: Count
    hedge_share: Share
    fall_back_on_refusal: bool
    prices: dict[str, dict[str, float]]


@final
class BatchConfig(TypedDict):
    """How batches run: `copykit.settings.BatchSettings`."""

    concurrency: Count
    confirm_usd: Usd


@final
class ProvidersConfig(TypedDict):
    """Keys and addresses of the providers: `copykit.settings.ProvidersSettings`."""

    openai_key: Masked | None
    openai_base_url: str | None
    openai_organization: str | None
    openai_project: str | None
    anthropic_key: Masked | None
    anthropic_base_url: str | None
    anthropic_version: str | None
    google_key: Masked | None
    google_base_url: str | None
    google_version: str | None
    openrouter_key: Masked | None
    openrouter_base_url: str | None
    openrouter_referer: str | None
    openrouter_title: str | None
    local_base_url: str | None
    local_key: Masked | None
    llamacpp_model: str | None


@final
class ConfigReport(TypedDict):
    """``GET /config``: the settings of the worker that answers."""

    server: ServerConfig
    cache: CacheConfig
    routing: RoutingConfig
    batch: BatchConfig
    providers: ProvidersConfig
    ignored: list[str]
    """One sentence for each setting that was given and cannot act here."""
