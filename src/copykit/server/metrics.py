"""Figures of one process for Prometheus: requests, providers and money, cache, system, optimisation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from copykit import events
from copykit.accel import system
from copykit.accel.registry import capability_names, chosen
from copykit.engine import Engine

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_MOST_NAMES = 100
"""Values of a label that come from requests; what is beyond them counts as ``other``: each is a series for ever."""
_STATES = ("closed", "half_open", "open")


class Metrics:
    """A hook over one engine's events, and what is asked of it at each scrape.

    Labels are bounded: routes come from the route table, statuses and codes from closed lists, targets, placements and
    languages are at most a hundred each.
    """

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._names: dict[str, dict[str, None]] = {}
        made: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter(
            "copykit_http_requests",
            "Requests answered, by route and status.",
            ["route", "method", "status"],
            **made,
        )
        self._request_s = Histogram(
            "copykit_http_request_seconds", "Time to the whole answer.", ["route"], buckets=_SECONDS, **made
        )
        self._generations = Counter(
            "copykit_generations",
            "Results, by placement, language and status.",
            ["placement", "language", "status"],
            **made,
        )
        self._failures = Counter(
            "copykit_generation_failures", "Requests without a result, by code.", ["code"], **made
        )
        self._generation_s = Histogram(
            "copykit_generation_seconds", "Time of a generation.", ["cached"], buckets=_SECONDS, **made
        )
        self._attempts = Counter(
            "copykit_provider_attempts", "Calls of a target, by outcome.", ["target", "outcome"], **made
        )
        self._attempt_s = Histogram(
            "copykit_provider_attempt_seconds", "Time of a call.", ["target"], buckets=_SECONDS, **made
        )
        self._tokens = Counter(
            "copykit_provider_tokens", "Tokens that were told.", ["target", "kind"], **made
        )
        self._cost = Counter(
            "copykit_provider_cost_usd", "Dollars charged, as receipts have them.", ["target"], **made
        )
        self._unknown = Counter(
            "copykit_provider_cost_unknown", "Calls whose cost nobody knows.", ["target"], **made
        )
        self._rests = Counter(
            "copykit_provider_rests", "Times a credential was left alone.", ["provider", "kind"], **made
        )
        self._cache = Counter("copykit_cache_lookups", "Looks into the cache.", ["result"], **made)
        self._cache_failures = Counter("copykit_cache_failures", "Failures of the cache.", ["layer"], **made)
        self._repairs = Counter("copykit_repairs", "Texts mended, by rule.", ["rule"], **made)
        self._registry.register(_Moment(engine))
        engine.add_hook(self)

    def __call__(self, event: events.Event) -> None:
        """Count *event*."""
        match event:
            case events.GenerationFinished():
                placement, language = (
                    self._name("placement", event.placement),
                    self._name("language", event.language),
                )
                self._generations.labels(placement, language, event.status).inc()
                self._generation_s.labels(str(event.cached).lower()).observe(event.duration_s)
            case events.GenerationFailed():
                self._failures.labels(event.code).inc()
            case events.AttemptFinished():
                self._attempt(event)
            case events.ProviderRested():
                self._rests.labels(self._name("provider", event.provider), event.kind).inc()
            case events.CacheLooked():
                self._cache.labels("hit" if event.hit else "miss").inc()
            case events.CacheFailed():
                self._cache_failures.labels(event.layer).inc()
            case events.FieldRepaired():
                self._repairs.labels(self._name("rule", event.rule)).inc()
            case _:
                pass

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer to a client."""
        self._requests.labels(route, method, str(status)).inc()
        self._request_s.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Give everything in Prometheus' text form."""
        return generate_latest(self._registry)

    def _attempt(self, event: events.AttemptFinished) -> None:
        target = self._name("target", event.target)
        self._attempts.labels(target, event.outcome).inc()
        self._attempt_s.labels(target).observe(event.latency_s)
        for kind, tokens in (("input", event.input_tokens), ("output", event.output_tokens)):
            if tokens:
                self._tokens.labels(target, kind).inc(tokens)
        if event.cost_usd is None:
            self._unknown.labels(target).inc()
        else:
            self._cost.labels(target).inc(event.cost_usd)

    def _name(self, kind: str, name: str) -> str:
        known = self._names.setdefault(kind, {})
        if name not in known and len(known) >= _MOST_NAMES:
            return "other"
        known[name] = None
        return name


class _Moment(Collector):
    """What is asked at each scrape: the state of targets, money, cache, process and capabilities."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._started = time.time()

    def collect(self) -> Iterator[Any]:
        """Give the figures of this moment."""
        routing = self._engine.router.look()
        yield from _targets(routing["targets"])
        money = routing["money"]
        spent = GaugeMetricFamily("copykit_budget_usd", "Money of this process.", labels=["state"])
        for state in ("cap", "spent", "reserved"):
            if money[f"{state}_usd"] is not None:
                spent.add_metric([state], money[f"{state}_usd"])
        yield spent
        cache = self._engine.results.stats()
        sizes = GaugeMetricFamily("copykit_cache_size", "What the cache holds.", labels=["unit"])
        for unit, name in (("entries", "entries"), ("bytes", "size_bytes")):
            if isinstance(cache.get(name), int | float):
                sizes.add_metric([unit], cache[name])
        yield sizes
        yield from self._process()
        used = InfoMetricFamily(
            "copykit_capability", "What serves each capability here.", labels=["capability"]
        )
        for name in capability_names():
            if (choice := chosen(name)) is not None:
                used.add_metric([name], {"candidate": choice.candidate})
        yield used

    def _process(self) -> Iterator[Any]:
        yield _gauge("copykit_process_resident_bytes", "Memory in use.", system.rss_bytes() or 0)
        yield _gauge("copykit_process_cpu_seconds", "Processor time of this process.", system.cpu_seconds())
        yield _gauge("copykit_process_start_time_seconds", "When it was started.", self._started)


def _targets(targets: dict[str, dict[str, Any]]) -> Iterator[Any]:
    breaker = GaugeMetricFamily(
        "copykit_target_breaker", "1 for the state that it is in.", labels=["target", "state"]
    )
    slots = GaugeMetricFamily(
        "copykit_target_calls", "Calls by state, and how many may be.", labels=["target", "state"]
    )
    quality = GaugeMetricFamily(
        "copykit_target_answers", "Answers whose copy passed or not.", labels=["target", "copy"]
    )
    for name in sorted(targets)[:_MOST_NAMES]:
        look = targets[name]
        for state in _STATES:
            breaker.add_metric([name, state], float(look["breaker"] == state))
        for state in ("in_progress", "waiting", "limit"):
            slots.add_metric([name, state], look[state])
        for copy in ("accepted", "rejected"):
            quality.add_metric([name, copy], look[copy])
    yield from (breaker, slots, quality)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
