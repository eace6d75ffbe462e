"""The thirteen-field form of the first interface, and what each field does to the settings."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from copykit.errors import ConfigurationError
from copykit.settings import MOST_ENTRIES, MOST_WORKERS, RoutingSettings, Settings, within

__all__ = ["PerformanceConfig"]


@dataclass(frozen=True, slots=True)
class PerformanceConfig:
    """The thirteen-field form that older callers pass: it maps onto the settings groups.

    Only what the caller sets lies over the settings; a number left at None is the settings' own. `explain` says
    of each field what it does here, or why it is ignored.
    """

    max_workers: int | None = None
    """Provider calls in progress per process: `BatchSettings.concurrency`. Never operating-system processes."""
    batch_size: int = 10
    cache_size: int | None = None
    """Results kept in memory: `CacheSettings.max_entries`."""
    gpu_memory_fraction: float = 0.8
    auto_scaling: bool = False
    """True lets the calls in progress grow with what a target takes; False keeps them at ``max_workers``."""
    intelligent_caching: bool = True
    """False turns result caching off."""
    memory_optimization: bool = False
    gpu_memory_management: bool = False
    adaptive_batching: bool = False
    predictive_caching: bool = False
    load_balancing: bool = False
    """True takes the less loaded of two targets of a weighted deployment, where `RoutingSettings.balance` says nothing."""
    circuit_breaker: bool | None = None
    """False asks a target again and again however often it fails; None is the settings' own."""
    retry_mechanism: bool | None = None
    """False never asks a target again; None is the settings' own."""

    def __post_init__(self) -> None:
        if self.max_workers is not None:
            within("max_workers", self.max_workers, 1, MOST_WORKERS, whole=True)
        within("batch_size", self.batch_size, 1, MOST_WORKERS, whole=True)
        if self.cache_size is not None:
            within("cache_size", self.cache_size, 0, MOST_ENTRIES, whole=True)
        if not 0 <= self.gpu_memory_fraction <= 1:
            raise ConfigurationError(f"gpu_memory_fraction={self.gpu_memory_fraction}: must be 0 to 1")

    @classmethod
    def everything(cls) -> PerformanceConfig:
        """Give the preset of `CopywritingServiceV11`: every switch on."""
        switches = {f.name: True for f in fields(cls) if f.type == "bool"}
        return cls(**switches)

    def applied_to(self, settings: Settings) -> Settings:
        """Give *settings* with the fields that act, and were set, laid over them."""
        cache, batch, routing = settings.cache, settings.batch, settings.routing
        entries = self.cache_size if self.intelligent_caching else 0
        if entries is not None:
            cache = replace(cache, max_entries=entries)
        if self.max_workers is not None:
            batch = replace(batch, concurrency=self.max_workers)
        if self.load_balancing and routing.balance is None:
            routing = replace(routing, balance="least_loaded")
        if not self.auto_scaling:
            routing = replace(routing, most_calls=min(routing.most_calls, batch.concurrency))
        if self.circuit_breaker is not None:
            routing = replace(routing, breaker=self.circuit_breaker)
        if self.retry_mechanism is not None:
            repeats = (routing.repeats or RoutingSettings().repeats) if self.retry_mechanism else 0
            routing = replace(routing, repeats=repeats)
        return replace(settings, cache=cache, batch=batch, routing=routing)

    def filled_from(self, settings: Settings) -> PerformanceConfig:
        """Give the form with what *settings* say where nothing was set: what a service runs with."""
        own = {
            "max_workers": settings.batch.concurrency,
            "cache_size": settings.cache.max_entries,
            "circuit_breaker": settings.routing.breaker,
            "retry_mechanism": settings.routing.repeats > 0,
        }
        unset: dict[str, Any] = {name: value for name, value in own.items() if getattr(self, name) is None}
        return replace(self, **unset)

    def explain(self) -> dict[str, dict[str, Any]]:
        """Map each field to ``{"value", "acts", "effect"}``; *effect* says what it does or why it is ignored.

        A value of None stands for the settings' own.
        """
        return {
            f.name: {
                "value": getattr(self, f.name),
                "acts": f.name in _ACTING,
                "effect": _ACTING.get(f.name) or f"ignored: {_IDLE[f.name]}",
            }
            for f in fields(self)
        }


_ACTING = {
    "max_workers": "requests of a batch in progress at once, and calls that a target is trusted with at first",
    "cache_size": "results kept in memory",
    "intelligent_caching": "result caching on or off",
    "auto_scaling": "calls of a target in progress grow until it throttles, or stay at max_workers",
    "load_balancing": "of a weighted deployment the less loaded of two targets, or one drawn by weight",
    "circuit_breaker": "leaving a target alone that fails often, on or off",
    "retry_mechanism": "asking a target again after a passing failure, on or off",
}
_IDLE = {
    "batch_size": "no backend with grouped calls exists yet",
    "gpu_memory_fraction": "nothing here allocates GPU memory yet",
    "memory_optimization": "memory pressure is not watched yet",
    "gpu_memory_management": "nothing here allocates GPU memory yet",
    "adaptive_batching": "no backend with grouped calls exists yet",
    "predictive_caching": "the cache does not prefetch yet",
}
