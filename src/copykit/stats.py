"""Counts and latencies of an engine, gathered from its events."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, repeat
from typing import Any

from copykit import events
from copykit.accel import system
from copykit.accel.registry import capability_names, chosen
from copykit.events import Event

__all__ = ["PerformanceTracker", "Stats", "added", "together"]

_WINDOW = 2048
"""Latest durations kept for the quantiles."""
_MOST_TARGETS = 1000
"""Counted by their names, which may come from requests; the rest counts as ``other``."""
_SAMPLE = 256
"""Of them those that are told to others."""


class Stats:
    """A hook that counts: give it to an engine, ask `snapshot`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._counts: Counter[str] = Counter()
        self._repairs: Counter[str] = Counter()
        self._placements: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._targets: dict[str, Counter[str]] = {}
        self._durations: deque[float] = deque(maxlen=_WINDOW)
        self._spent_usd = 0.0

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        match event:
            case events.GenerationFinished():
                self._counts["finished"] += 1
                self._counts[event.status] += 1
                self._counts["cached"] += event.cached
                self._placements[event.placement] += 1
                self._durations.append(event.duration_s)
            case events.CopyRepeated():
                for name in ("finished", "cached", "hits", event.status):
                    self._counts[name] += event.count
                self._placements[event.placement] += event.count
                self._durations.extend(repeat(event.duration_s / event.count, min(event.count, _WINDOW)))
            case events.GenerationFailed():
                self._counts["failed"] += 1
                self._errors[event.code] += 1
            case events.CacheLooked():
                self._counts["hits" if event.hit else "misses"] += 1
            case events.CacheFailed():
                self._counts["cache_failures"] += 1
            case events.AttemptFinished():
                known = event.target in self._targets or len(self._targets) < _MOST_TARGETS
                self._targets.setdefault(event.target if known else "other", Counter())[event.outcome] += 1
                self._spent_usd += event.cost_usd or 0.0
            case events.FieldRepaired():
                self._repairs[event.rule] += 1
            case _:
                pass

    def counted(self) -> dict[str, Any]:
        """Give counts and the latest durations, as `together` adds up; nothing of the machine."""
        counts = self._counts
        return {
            "uptime_s": round(self._clock() - self._started, 3),
            "requests": {
                "total": counts["finished"] + counts["failed"],
                **{name: counts[name] for name in ("ok", "repaired", "rejected", "failed", "cached")},
            },
            "durations_s": [round(duration, 6) for duration in islice(reversed(self._durations), _SAMPLE)],
            "cache": {name: counts[name] for name in ("hits", "misses", "cache_failures")},
            "targets": {target: dict(outcomes) for target, outcomes in self._targets.items()},
            "money": {"spent_usd": self._spent_usd},
            "placements": dict(self._placements),
            "repairs": dict(self._repairs),
            "errors": dict(self._errors),
        }

    def snapshot(self) -> dict[str, Any]:
        """Give counts since the start; latencies in seconds over the latest 2,048 requests."""
        counted = self.counted()
        del counted["durations_s"]
        return {
            **counted,
            "latency_s": _quantiles(sorted(self._durations)),
            "capabilities": {
                name: choice.candidate for name in capability_names() if (choice := chosen(name)) is not None
            },
            "system": {"rss_bytes": system.rss_bytes(), "cpu_seconds": round(system.cpu_seconds(), 3)},
        }


def together(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what several engines `Stats.counted`: counts are sums, quantiles those of all durations together."""
    summed = added(parts)
    durations = [duration for part in parts for duration in part.get("durations_s", ())]
    del summed["durations_s"]
    return {**summed, "latency_s": _quantiles(sorted(durations))}


def added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give one in place of several `Stats.counted`; of durations the first, as many as one tells."""
    summed = _sum(parts)
    summed["durations_s"] = summed.get("durations_s", [])[:_SAMPLE]
    summed["uptime_s"] = max((part["uptime_s"] for part in parts), default=0.0)
    return summed


def _sum(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    summed: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, Mapping):
                summed[name] = _sum([summed.get(name, {}), value])
            else:
                summed[name] = summed[name] + value if name in summed else value
    return summed


class PerformanceTracker:
    """Watches every engine of the process until closed, or one service when given it.

    Args:
        service: a service face; None watches the whole process.
    """

    def __init__(self, service: Any = None) -> None:
        self._stats = Stats()
        self._debug = False
        self._log: deque[str] = deque(maxlen=1000)
        self._unsubscribe = _watch(service, self._on_event)

    def __enter__(self) -> PerformanceTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def enable_debug_mode(self) -> None:
        """Keep the latest thousand events in words, in ``snapshot()["events"]``, and log each at DEBUG."""
        self._debug = True

    def snapshot(self) -> dict[str, Any]:
        """Give what was counted so far; still readable after `close`."""
        snapshot = self._stats.snapshot()
        if self._debug:
            snapshot["events"] = list(self._log)
        return snapshot

    def close(self) -> None:
        """Stop watching."""
        self._unsubscribe()

    def _on_event(self, event: Event) -> None:
        self._stats(event)
        if self._debug:
            import logging

            self._log.append(repr(event))
            logging.getLogger("copykit.tracker").debug("%r", event)


def _watch(service: Any, hook: events.Hook) -> Callable[[], None]:
    if service is None:
        events.subscribe(hook)
        return lambda: events.unsubscribe(hook)
    service.engine.add_hook(hook)
    return lambda: service.engine.remove_hook(hook)


def _quantiles(ordered: list[float]) -> dict[str, float | None]:
    def at(share: float) -> float | None:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 6) if ordered else None

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)}
