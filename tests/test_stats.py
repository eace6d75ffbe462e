"""Counting: one service, the whole process, and the debug log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from copykit import CopywritingServiceV11, InvalidRequest, PerformanceTracker, Settings
from copykit.events import CacheLooked, GenerationFinished, emit
from copykit.providers.registry import register_provider, unregister_provider
from copykit.settings import RoutingSettings
from copykit.stats import Stats
from copykit.testing import FakeClock, FakeProvider

BRIEF = {"product_description": "Oak desk, 120x60 cm", "product_name": "Tarn", "target_platform": "x.post"}


@pytest.fixture(autouse=True)
def fake() -> Iterator[FakeProvider]:
    """A writer that always says the same."""
    provider = FakeProvider().will_say({"text": "Tarn. An oak desk, 120x60 cm."})
    register_provider("fake", lambda: provider)
    yield provider
    unregister_provider("fake")


def service() -> CopywritingServiceV11:
    """Give a service over the fake."""
    return CopywritingServiceV11(Settings(routing=RoutingSettings(("fake",))))


def ask(desk: CopywritingServiceV11, **changes: Any) -> None:
    """Generate once."""
    asyncio.run(desk.generate({**BRIEF, **changes}))


def test_a_tracker_counts_every_engine_of_the_process_until_closed() -> None:
    """Two services, one tracker; after `close` it counts nothing more and can still be read."""
    tracker = PerformanceTracker()
    first, second = service(), service()
    ask(first)
    ask(first)
    ask(second)
    with pytest.raises(InvalidRequest):
        ask(second, tone="happyy")
    tracker.close()
    ask(second, seed=7)
    told = tracker.snapshot()
    assert told["requests"]["total"] == 4
    assert told["requests"]["cached"] == 1
    assert told["requests"]["failed"] == 1
    assert told["errors"] == {"invalid_request": 1}
    assert told["cache"]["hits"] == 1
    assert told["placements"] == {"x.post": 3}
    assert told["targets"]["fake"]["ok"] == 2


def test_a_tracker_of_one_service_hears_no_other() -> None:
    """Only the service it was given counts, whichever face shares its engine."""
    mine, other = service(), service()
    with PerformanceTracker(mine) as tracker:
        ask(mine)
        ask(other)
        assert tracker.snapshot()["requests"]["total"] == 1
    ask(mine, seed=3)
    assert tracker.snapshot()["requests"]["total"] == 1


def test_debug_mode_keeps_events_in_words_and_logs_them(caplog: pytest.LogCaptureFixture) -> None:
    """Without it no events are kept; with it each is in the snapshot and in the log, newest last."""
    desk = service()
    with PerformanceTracker(desk) as tracker:
        ask(desk)
        assert "events" not in tracker.snapshot()
        tracker.enable_debug_mode()
        with caplog.at_level(logging.DEBUG, logger="copykit.tracker"):
            ask(desk, seed=2)
    events = tracker.snapshot()["events"]
    assert events[0].startswith("GenerationStarted")
    assert events[-1].startswith("GenerationFinished")
    assert [record.getMessage() for record in caplog.records if record.name == "copykit.tracker"] == events


def test_the_service_s_own_stats_agree() -> None:
    """`get_performance_stats` counts the same and adds cache, configuration and targets."""

    async def story() -> dict[str, Any]:
        async with service() as desk:
            await desk.generate(BRIEF)
            await desk.generate(BRIEF)
            return await desk.get_performance_stats()

    told = asyncio.run(story())
    assert told["requests"]["total"] == 2
    assert told["requests"]["cached"] == 1
    assert told["cache_tier"]["hits"] == 1
    assert told["providers"] == ["fake"]
    assert told["config"]["max_workers"]["acts"]


def finished(seconds: float) -> GenerationFinished:
    """Give the event of a request that took *seconds*."""
    return GenerationFinished(
        request_id="r", placement="x.post", language="en", status="ok", cached=False, duration_s=seconds
    )


def test_latencies_are_quantiles_of_what_was_seen() -> None:
    """Of a hundred requests of 1 to 100 s: the median stands at 51, the largest at 100; of none: None."""
    clock = FakeClock()
    stats = Stats(clock)
    assert stats.snapshot()["latency_s"] == {"p50": None, "p95": None, "p99": None, "max": None}
    for seconds in range(1, 101):
        stats(finished(seconds))
    clock.advance(12.5)
    told = stats.snapshot()
    assert told["latency_s"] == {"p50": 51, "p95": 96, "p99": 100, "max": 100}
    assert told["uptime_s"] == 12.5
    assert told["system"]["rss_bytes"] is None or told["system"]["rss_bytes"] > 0


def test_only_the_latest_durations_are_kept() -> None:
    """After 2,048 quick requests a slow first one is forgotten."""
    stats = Stats(FakeClock())
    stats(finished(1000))
    for _ in range(2048):
        stats(finished(1))
    assert stats.snapshot()["latency_s"]["max"] == 1
    assert stats.snapshot()["requests"]["total"] == 2049


def test_a_watcher_that_fails_never_harms_the_work() -> None:
    """A hook of the process that raises is logged and dropped; others still hear the event."""
    from copykit import events

    heard: list[events.Event] = []

    def broken(event: events.Event) -> None:
        raise RuntimeError("no")

    events.subscribe(broken)
    events.subscribe(heard.append)
    try:
        emit(CacheLooked("k", True, "memory"))
        emit(CacheLooked("l", True, "memory"))
    finally:
        events.unsubscribe(heard.append)
        events.unsubscribe(broken)
    assert len(heard) == 2
