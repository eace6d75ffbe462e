"""Counts what happens in one worker: requests, results, calls, tokens, money, the cache."""

from __future__ import annotations

from typing import Literal

from copykit import events
from copykit.accel.registry import capability_names, chosen
from copykit.engine import Engine
from copykit.routing.budget import Ledger
from copykit.server.kept.purse import LeasedLedger
from copykit.server.watch.figures import CONTENT_TYPE, Figures

__all__ = ["CONTENT_TYPE", "Metrics"]

_STATES = ("closed", "half_open", "open")
_WATCHED = {
    "copykit_http_requests_rejected": ("internal_error", "overloaded", "rate_limited", "unauthorized"),
    "copykit_generation_failures": (
        "all_providers_cooling",
        "budget_exceeded",
        "circuit_open",
        "provider_failed",
    ),
    "copykit_cache_lookups": ("hit", "miss"),
}
"""What is told as 0 from the start: Prometheus sees no increase where a series begins at 1."""
_WATCHED_OUTCOMES = ("ok", "model_not_found", "provider_auth", "provider_quota")
_CALLS: tuple[Literal["in_progress", "waiting", "limit"], ...] = ("in_progress", "waiting", "limit")


class Metrics:
    """A hook over one engine's events; what has a state rather than events is looked at by `refresh`."""

    def __init__(self, engine: Engine) -> None:
        self.figures = Figures()
        self._engine = engine
        self._resting: set[str] = set()
        self._begin()
        engine.add_hook(self)

    def __call__(self, event: events.Event) -> None:
        """Count *event*."""
        count, observe = self.figures.count, self.figures.observe
        match event:
            case events.GenerationFinished():
                count("copykit_generations", event.placement, event.language, event.status)
                observe("copykit_generation_duration_seconds", event.duration_s, str(event.cached).lower())
            case events.CopyRepeated():
                count("copykit_generations", event.placement, event.language, event.status, by=event.count)
                count("copykit_cache_lookups", "hit", by=event.count)
                for _ in range(event.count):
                    observe("copykit_generation_duration_seconds", event.duration_s / event.count, "true")
            case events.GenerationFailed():
                count("copykit_generation_failures", event.code)
            case events.AttemptFinished():
                self._attempt(event)
            case events.ProviderRested():
                count("copykit_provider_rests", event.provider, event.kind)
            case events.CacheLooked():
                count("copykit_cache_lookups", "hit" if event.hit else "miss")
            case events.CacheFailed():
                count("copykit_cache_failures", event.layer)
            case events.FieldRepaired():
                count("copykit_repairs", event.rule)
            case _:
                pass

    @property
    def ledger(self) -> Ledger:
        """Give the engine's budget."""
        return self._engine.router.ledger

    def refresh(self) -> None:
        """Look at what has a state: targets, money, cache, capabilities; takes well under a millisecond."""
        set_ = self.figures.set
        routing = self._engine.router.look()
        for name in sorted(routing["targets"]):
            look = routing["targets"][name]
            for state in _STATES:
                set_("copykit_target_breaker", float(look["breaker"] == state), name, state)
            for state in _CALLS:
                set_("copykit_target_calls", look[state], name, state)
            for copy in ("accepted", "rejected"):
                self.figures.count_up_to("copykit_target_answers", look[copy], name, copy)
        self._resting |= set(routing["resting"])
        for provider in self._resting:
            set_("copykit_provider_resting", float(provider in routing["resting"]), provider)
        money = routing["money"]
        set_("copykit_budget_usd", money["reserved_usd"], "reserved")
        if not isinstance(
            self.ledger, LeasedLedger
        ):  # of all workers: the store knows, which is asked elsewhere
            set_("copykit_budget_usd", money["spent_usd"], "spent")
            if money["cap_usd"] is not None:
                set_("copykit_budget_usd", money["cap_usd"], "cap")
        self.figures.count_up_to("copykit_hedges", self._engine.router.hedges.made)
        cache = self._engine.results.stats()
        set_("copykit_cache_entries", cache.get("entries", 0))
        set_("copykit_cache_size_bytes", cache.get("size_bytes", 0))
        self.figures.count_up_to("copykit_cache_evictions", cache.get("evictions", 0))
        for form in ("plain", "stored"):
            self.figures.count_up_to("copykit_cache_written_bytes", cache.get(f"{form}_bytes", 0), form)
        for name in capability_names():
            if (choice := chosen(name)) is not None:
                set_("copykit_capability_info", 1, name, choice.candidate)

    def _begin(self) -> None:
        count = self.figures.count
        for name, values in _WATCHED.items():
            for value in values:
                count(name, value, by=0)
        for target in self._engine.settings.routing.targets:
            for outcome in _WATCHED_OUTCOMES:
                count("copykit_provider_attempts", target, outcome, by=0)
            count("copykit_provider_cost_unknown", target, by=0)

    def _attempt(self, event: events.AttemptFinished) -> None:
        count = self.figures.count
        count("copykit_provider_attempts", event.target, event.outcome)
        self.figures.observe("copykit_provider_attempt_duration_seconds", event.latency_s, event.target)
        for kind, tokens in (("input", event.input_tokens), ("output", event.output_tokens)):
            if tokens:
                count("copykit_provider_tokens", event.target, kind, by=tokens)
        if event.cost_usd is None:
            count("copykit_provider_cost_unknown", event.target)
        else:
            count("copykit_provider_cost_usd", event.target, by=event.cost_usd)
