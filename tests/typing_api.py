"""What a type checker sees of the public face. Never run: `mypy` reads it, strictly."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Literal, assert_type

import copykit
from copykit import (
    Brand,
    CopykitError,
    CopyVariant,
    CopywritingInput,
    CopywritingOutput,
    CopywritingService,
    CopywritingServiceV11,
    FieldOverride,
    InvalidRequest,
    MissingExtra,
    PerformanceConfig,
    PerformanceTracker,
    Settings,
    errors,
    register_candidate,
    register_provider,
    sync,
)
from copykit.accel.registry import Candidate
from copykit.caching.base import Cache
from copykit.caching.memory import MemoryCache
from copykit.client import AsyncClient, BatchAnswer, Client
from copykit.events import CacheLooked, Event
from copykit.legacy import LegacyResult
from copykit.models import Receipt, RestrictionReport, Score, Usage, Violation
from copykit.providers.base import Completion, Provider
from copykit.reports import HealthReport, PerformanceStats, ServerHealth
from copykit.settings import CacheSettings, RoutingSettings
from copykit.stream_events import StreamEvent
from copykit.testing import FakeClock, FakeProvider, RecordingHook, no_network
from copykit.testing.contracts import CacheContract, ProviderContract

request = CopywritingInput(
    product_description="Oak bench, 140x40 cm",
    target_platform="x.post",
    product_name="Tarn",
    tone="warm",
    language="en",
    key_points=["By hand"],
    restrictions=["no prices"],
    facts={"legs": 4, "weight": "8 kg"},
    brand=Brand(name="Tarn", banned_terms=["cheap"]),
    fields={"text": FieldOverride(limit=200)},
    creativity_level=0.5,
    variants=2,
    cache="refresh",
)


async def the_service() -> None:
    """Both faces, from the brief to the receipt."""
    async with CopywritingServiceV11() as service:
        output = await service.generate(request)
        assert_type(output, CopywritingOutput)
        assert_type(output.variants, list[CopyVariant])
        assert_type(output.variants[0].fields, dict[str, str | list[str]])
        assert_type(output.variants[0].violations, list[Violation])
        assert_type(output.variants[0].scores, dict[str, Score])
        assert_type(output.variants[0].status, Literal["ok", "repaired", "rejected"])
        assert_type(output.text, str)
        assert_type(output.usage, Usage)
        assert_type(output.receipt, Receipt)
        assert_type(output.restrictions, list[RestrictionReport])
        assert_type(output.created_at, datetime)
        assert_type(
            await service.batch_generate([request, {"product_description": "x"}]),
            list[CopywritingOutput | CopykitError],
        )
        assert_type(await service.get_performance_stats(), dict[str, Any])
        assert_type(await service.health(), dict[str, Any])
        await service.clear_cache()
    first = CopywritingService(
        Settings(cache=CacheSettings(max_entries=10), routing=RoutingSettings(("phrasebank",))),
        config=PerformanceConfig(max_workers=2),
        cache=MemoryCache(10, 1_000),
    )
    assert_type(
        await first.generate_v11({"product_description": "x", "target_platform": "x"}), CopywritingOutput
    )
    await first.aclose()
    assert_type(await CopywritingService(engine=first.engine).generate(request), CopywritingOutput)


def without_await() -> None:
    """The same verbs for scripts."""
    assert_type(sync.generate(request), CopywritingOutput)
    assert_type(sync.generate(product_description="Oak bench", target_platform="x"), CopywritingOutput)
    assert_type(sync.batch_generate([request]), list[CopywritingOutput | CopykitError])
    assert_type(sync.get_performance_stats(), dict[str, Any])
    assert_type(sync.health(), dict[str, Any])
    assert_type(sync.run(asyncio.sleep(0, "done")), str)
    sync.clear_cache()


def what_goes_wrong() -> None:
    """Errors carry what a program needs to decide."""
    try:
        sync.generate(request)
    except InvalidRequest as error:
        assert_type(error.field, str)
        assert_type(error.reason, str)
        assert_type(error.nearest, tuple[str, ...])
    except MissingExtra as error:
        assert_type(error.extra, str)
    except errors.NoProviderSucceeded as error:
        assert_type(error.attempts, tuple[Any, ...])
    except errors.DeadlineExceeded as error:
        assert_type(error.after_s, float)
    except errors.ConfigurationError as error:
        assert_type(error.problems, tuple[str, ...])
    except CopykitError as error:
        assert_type(error.code, str)
        assert_type(error.retryable, bool)
        assert_type(error.message, str)
        assert_type(error.request_id, str | None)


def configuration() -> None:
    """Settings and the thirteen-field form."""
    assert_type(Settings.from_env(), Settings)
    assert_type(PerformanceConfig.everything(), PerformanceConfig)
    assert_type(PerformanceConfig().applied_to(Settings()), Settings)
    assert_type(copykit.PerformanceConfig(cache_size=0), PerformanceConfig)


def watching() -> None:
    """Trackers and hooks."""
    with PerformanceTracker() as tracker:
        assert_type(tracker, PerformanceTracker)
        tracker.enable_debug_mode()
        assert_type(tracker.snapshot(), dict[str, Any])
    hook = RecordingHook()
    copykit.CopywritingServiceV11().engine.add_hook(hook)
    assert_type(hook.events, list[Event])
    assert_type(hook.of(CacheLooked), list[CacheLooked])


def extending() -> None:
    """A provider, a candidate and a cache of one's own fit the ports."""
    fake: Provider = FakeProvider().will_say({"text": "Hello."}, "text", Completion(text="x"))
    register_provider("fake", lambda: fake)
    register_provider("lazy", "package.module:Class")
    register_candidate("json", Candidate("mine", "mine", "mine.json:Json"), before="json")
    cache: Cache = MemoryCache(10, 1_000, clock=FakeClock())
    CopywritingServiceV11(cache=cache)
    with no_network():
        pass


class TestMine(CacheContract, ProviderContract):
    """Contract classes are inherited and given what they ask for."""

    def make(self) -> Any:
        """Give the thing under test."""
        return MemoryCache(10, 1_000)


async def the_clients() -> None:
    """Both clients give the same types, one of them without ``await``."""
    with Client("http://127.0.0.1:8000", key="k", retries=2) as client:
        assert_type(client.generate(request, idempotency_key="once"), CopywritingOutput)
        assert_type(client.generate_legacy({"product_description": "Oak"}), LegacyResult)
        assert_type(client.batch([request]), BatchAnswer[CopywritingOutput])
        assert_type(client.batch_legacy([request]).results[0].output, LegacyResult | None)
        assert_type(client.ready(), bool)
        assert_type(client.prometheus(), str)
        assert_type(client.catalog()["languages"], list[str])
        assert_type(client.config()["server"]["key"], Literal["***"] | None)
        assert_type(client.performance_stats()["requests"]["total"], int)
        assert_type(client.optimization_report()["libraries"][0]["version"], str | None)
        assert_type(client.metrics()["requests"]["copykit_places"]["help"], str)
        report = client.health()
        assert_type(report, HealthReport)
        assert_type(report["status"], Literal["ok", "degraded", "unavailable"])
        if "reasons" in report:
            assert_type(report, ServerHealth)
            assert_type(report["providers"]["phrasebank"]["comes_back_in_s"], float)
        else:
            assert_type(report["providers"], list[str])
        for event in client.stream(request):
            assert_type(event, StreamEvent)
    async with AsyncClient.from_env() as ahead:
        assert_type(await ahead.generate(request), CopywritingOutput)
        assert_type(await ahead.batch([request]), BatchAnswer[CopywritingOutput])
        assert_type(await ahead.performance_stats(), PerformanceStats)
        async for event in ahead.stream(request):
            assert_type(event, StreamEvent)
