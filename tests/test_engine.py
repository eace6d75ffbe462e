"""The engine and both faces, with a provider that says what the test tells it to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from copykit import CopywritingInput, CopywritingService, CopywritingServiceV11, PerformanceConfig, Settings
from copykit.brief.prompt import REVISION
from copykit.caching.key import request_key
from copykit.errors import (
    ConfigurationError,
    DeadlineExceeded,
    InvalidRequest,
    NoProviderSucceeded,
    ProviderUnavailable,
)
from copykit.events import AttemptFinished, CacheFailed, CacheLooked, GenerationFailed, GenerationFinished
from copykit.models import Brand
from copykit.providers.base import Completion
from copykit.providers.registry import provider_names, register_provider, unregister_provider
from copykit.settings import BatchSettings, CacheSettings, RoutingSettings
from copykit.testing import FakeProvider, RecordingHook, no_network

GOOD = {"text": "Norr. Oak desk, 120x60 cm. Take a look at the details today."}


def request(**changes: Any) -> CopywritingInput:
    """Give a small brief for X."""
    fields: dict[str, Any] = {
        "product_description": "Oak desk, 120x60 cm, oiled surface",
        "product_name": "Norr",
        "target_platform": "x.post",
    }
    return CopywritingInput(**{**fields, **changes})


@pytest.fixture
def fake() -> Any:
    """A registered provider named fake."""
    provider = FakeProvider()
    register_provider("fake", lambda: provider)
    yield provider
    unregister_provider("fake")


@pytest.fixture
def other() -> Any:
    """A second registered provider, named other."""
    provider = FakeProvider("other", "other-1")
    register_provider("other", lambda: provider)
    yield provider
    unregister_provider("other")


def service(*targets: str, **options: Any) -> CopywritingServiceV11:
    """Give a service over *targets* that reads no environment."""
    return CopywritingServiceV11(Settings(routing=RoutingSettings(targets or ("fake",))), **options)


def run(work: Any) -> Any:
    """Run one coroutine."""
    return asyncio.run(work)


def test_without_key_or_server_it_writes_copy() -> None:
    """The embedded phrase bank answers with no network at all, and the receipt names it."""
    with no_network():
        result = run(service("phrasebank").generate(request(variants=3)))
    assert len(result.variants) == 3
    assert len({variant.text for variant in result.variants}) == 3
    assert result.text == result.variants[0].text
    assert result.receipt.served_by.startswith("phrasebank:")
    assert result.usage.cost_usd == 0.0
    assert [a.outcome for a in result.receipt.attempts] == ["ok"]


def test_equal_briefs_and_seeds_give_equal_copy() -> None:
    """Two services write the same; another seed writes something else."""
    first, second, other_seed = (
        run(service("phrasebank").generate(request(seed=seed, variants=2))) for seed in (1, 1, 2)
    )
    assert [v.text for v in first.variants] == [v.text for v in second.variants]
    assert first.id == second.id
    assert [v.text for v in first.variants] != [v.text for v in other_seed.variants]


def test_a_model_s_copy_is_checked_like_any_other(fake: FakeProvider) -> None:
    """A completion that invents a price comes back marked, with the rule, and is not cached."""
    fake.will_say({"text": "Norr, an oak desk. Now only 99 EUR."})
    desk = service()
    result = run(desk.generate(request()))
    assert result.variants[0].status == "rejected"
    assert any(v.rule == "C-03" and v.severity == "error" for v in result.variants[0].violations)
    again = run(desk.generate(request()))
    assert not again.cached
    assert len(fake.asked) == 4  # each time once more for the text that failed


def test_a_repeated_brief_is_served_from_memory(fake: FakeProvider) -> None:
    """The second call asks nobody, says so in the receipt, and holds the same copy."""
    fake.will_say(GOOD)
    hook = RecordingHook()

    async def story() -> tuple[Any, Any]:
        desk = service()
        desk.engine.add_hook(hook)
        return await desk.generate(request()), await desk.generate(request())

    first, second = run(story())
    assert (first.cached, second.cached, second.receipt.cache) == (False, True, "memory")
    assert first.variants == second.variants
    assert first.id == second.id
    assert len(fake.asked) == 1
    assert [e.hit for e in hook.of(CacheLooked)] == [False, True]


@pytest.mark.parametrize(
    ("mode", "asked"), [("on", 1), ("off", 3), ("refresh", 3), ("read", 3), ("write", 3)]
)
def test_cache_modes(fake: FakeProvider, mode: str, asked: int) -> None:
    """Only 'on' both reads and writes; the others ask every time when nothing else stored the answer."""
    fake.will_say(GOOD)

    async def story() -> None:
        desk = service()
        for _ in range(3):
            await desk.generate(request(cache=mode))

    run(story())
    assert len(fake.asked) == asked


def test_clearing_the_cache_forgets(fake: FakeProvider) -> None:
    """After clear_cache the provider is asked again."""
    fake.will_say(GOOD)

    async def story() -> None:
        desk = service()
        await desk.generate(request())
        await desk.clear_cache()
        await desk.generate(request())

    run(story())
    assert len(fake.asked) == 2


class BrokenCache:
    """Raises whatever is asked of it."""

    layer = "memory"

    async def get(self, key: str) -> bytes | None:
        """Raise."""
        raise OSError("gone")

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Raise."""
        raise OSError("gone")

    async def clear(self) -> None:
        """Do nothing."""

    def stats(self) -> dict[str, Any]:
        """Count nothing."""
        return {}

    async def aclose(self) -> None:
        """Do nothing."""


def test_a_failing_cache_is_a_miss_and_an_event(fake: FakeProvider) -> None:
    """The caller gets the copy; the failure is told by events, one for reading and one for writing."""
    fake.will_say(GOOD)
    hook = RecordingHook()
    desk = service(cache=BrokenCache())
    desk.engine.add_hook(hook)
    assert run(desk.generate(request())).variants[0].status in ("ok", "repaired")
    assert len(hook.of(CacheFailed)) == 2


def test_an_unreadable_entry_is_a_miss(fake: FakeProvider) -> None:
    """Garbage under the right key is not served and not raised."""

    class Garbage(BrokenCache):
        async def get(self, key: str) -> bytes | None:
            return b'{"half": '

    fake.will_say(GOOD)
    assert not run(service(cache=Garbage()).generate(request())).cached


def test_identical_calls_in_progress_share_one_answer(fake: FakeProvider) -> None:
    """Fifty equal calls ask once; each caller gets a result of its own to change."""
    fake.will_say(GOOD)

    async def story() -> list[Any]:
        desk = service()
        return await asyncio.gather(*(desk.generate(request()) for _ in range(50)))

    results = run(story())
    assert len(fake.asked) == 1
    results[0].variants[0].fields["text"] = "changed"
    assert results[1].variants[0].fields["text"] != "changed"


def test_what_the_first_caller_changes_at_once_reaches_no_other(fake: FakeProvider) -> None:
    """The first caller runs on before the others wake: its changes stay its own."""
    fake.will_say(GOOD)

    async def story() -> list[str]:
        desk = service()

        async def take() -> str:
            result = await desk.generate(request())
            found = result.text
            result.text = "changed"
            return found

        return await asyncio.gather(take(), take(), take())

    assert len(set(run(story()))) == 1


def test_callers_that_share_a_failure_have_errors_of_their_own(fake: FakeProvider) -> None:
    """Each error carries the number of its own request, also when one call failed for all."""
    fake.will_say(ProviderUnavailable("down", target="fake"))

    async def story() -> list[Any]:
        desk = service()
        return await asyncio.gather(*(desk.generate(request()) for _ in range(3)), return_exceptions=True)

    errors = run(story())
    assert len(fake.asked) == 3  # the attempts of one request
    assert all(isinstance(error, NoProviderSucceeded) for error in errors)
    assert [error.request_id for error in errors] == ["r1", "r2", "r3"]
    assert errors[0].__cause__ is not None
    assert errors[0].attempts == errors[2].attempts


def test_what_a_caller_does_to_its_usage_reaches_no_other() -> None:
    """The phrase bank spends nothing, each time in an object of its own."""

    async def story() -> Any:
        desk = service("phrasebank")
        (await desk.generate(request())).usage.cost_usd = 5.0
        return await desk.generate(request(seed=1))

    assert run(story()).usage.cost_usd == 0.0


def test_a_cancelled_caller_does_not_cancel_the_others(fake: FakeProvider) -> None:
    """Two callers share one provider call; cancelling the one that started it leaves the other its answer."""
    fake.will_say(GOOD)

    async def story() -> Any:
        fake.gate = asyncio.Event()
        desk = service()
        first = asyncio.create_task(desk.generate(request()))
        second = asyncio.create_task(desk.generate(request()))
        await fake.started.wait()
        first.cancel()
        fake.gate.set()
        return await second

    assert run(story()).variants[0].fields["text"].startswith("Norr")
    assert len(fake.asked) == 1


def test_the_next_target_is_asked_when_one_fails(fake: FakeProvider, other: FakeProvider) -> None:
    """The receipt lists each failed try with its reason; the answer is not stored under the first target's key."""
    fake.will_say(ProviderUnavailable("down", target="fake"))
    other.will_say(GOOD)
    hook = RecordingHook()

    async def story() -> Any:
        desk = service("fake", "other")
        desk.engine.add_hook(hook)
        await desk.generate(request())
        return await desk.generate(request())

    result = run(story())
    assert not result.cached
    assert result.receipt.served_by == "other:other-1"
    assert [(a.target, a.outcome) for a in result.receipt.attempts] == [
        ("fake", "provider_unavailable"),
        ("other", "ok"),
    ]
    assert [e.outcome for e in hook.of(AttemptFinished)][:2] == ["provider_unavailable", "ok"]


def test_when_every_target_fails_the_attempts_are_told(fake: FakeProvider, other: FakeProvider) -> None:
    """NoProviderSucceeded carries every attempt: nobody listened at the first, the second wrote no copy twice."""
    fake.will_say(ProviderUnavailable("down", target="fake"))
    other.will_say("")
    hook = RecordingHook()
    desk = service("fake", "other")
    desk.engine.add_hook(hook)
    with pytest.raises(NoProviderSucceeded) as caught:
        run(desk.generate(request()))
    assert [a.target for a in caught.value.attempts] == ["fake", "other", "other"]
    assert hook.of(GenerationFailed)[0].code == "provider_failed"


def test_the_phrase_bank_never_steps_in_unasked(fake: FakeProvider) -> None:
    """With a model configured and failing, template copy does not replace it unless it was named."""
    fake.will_say(ProviderUnavailable("down", target="fake"))
    with pytest.raises(NoProviderSucceeded):
        run(service("fake").generate(request()))
    assert run(service("fake", "phrasebank").generate(request())).receipt.served_by.startswith("phrasebank")


def test_a_deadline_ends_the_wait(fake: FakeProvider) -> None:
    """A provider that never answers costs the caller its deadline, not more."""

    async def story() -> None:
        fake.gate = asyncio.Event()
        await service().generate(request(deadline_s=0.05))

    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        run(story())


def test_a_cache_that_hangs_costs_the_deadline_only() -> None:
    """Looking up counts as waiting."""

    class Hanging(BrokenCache):
        async def get(self, key: str) -> bytes | None:
            await asyncio.Event().wait()
            return None

    with pytest.raises(DeadlineExceeded):
        run(service("phrasebank", cache=Hanging()).generate(request(deadline_s=0.05)))


def test_a_cache_that_hangs_does_not_cost_the_copy() -> None:
    """What was written is given when the deadline ends the wait for its storing."""

    class Hanging(BrokenCache):
        async def get(self, key: str) -> bytes | None:
            return None

        async def set(self, key: str, data: bytes, ttl_s: float) -> None:
            await asyncio.Event().wait()

    desk = service("phrasebank", cache=Hanging())
    assert run(desk.generate(request(deadline_s=0.5))).variants[0].status == "ok"


def test_a_provider_s_own_timeout_is_not_the_deadline(fake: FakeProvider) -> None:
    """What a provider fails to translate is told as it is, not as 120 seconds that never passed."""
    fake.will_say(TimeoutError("socket"))
    with pytest.raises(TimeoutError, match="socket"):
        run(service().generate(request()))


def test_completions_without_copy_are_paid_for_too(fake: FakeProvider, other: FakeProvider) -> None:
    """Their tokens stand in the attempt and in the usage; the receipt names the model that answered."""
    fake.will_say("")
    other.will_say(GOOD)
    result = run(service("fake", "other:any").generate(request()))
    assert [(a.outcome, a.model, a.output_tokens) for a in result.receipt.attempts] == [
        ("empty_output", "fake-1", 20),
        ("empty_output", "fake-1", 20),
        ("ok", "other-1", 20),
    ]
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.cost_usd) == (30, 60, None)
    assert result.receipt.served_by == "other:other-1"


@pytest.mark.parametrize("provider", [None, "fake:1"])
def test_a_model_that_nobody_would_be_asked_for_is_refused(fake: FakeProvider, provider: str | None) -> None:
    """A model without its provider, or beside another model, would be ignored."""
    with pytest.raises(InvalidRequest, match="model='fake-2'"):
        run(service().generate(request(provider=provider, model="fake-2")))
    fake.will_say(GOOD)
    run(service().generate(request(provider="fake", model="fake-2")))
    assert [prompt.model for prompt in fake.asked] == ["fake-2"]


def test_unknown_provider_names_the_nearest() -> None:
    """A misspelt provider is the caller's mistake, told with the right name."""
    with pytest.raises(InvalidRequest, match="phrasebank"):
        run(service("phrasebank").generate(request(provider="phrasebnk")))


CHANGES = {
    "product_description": "Pine desk",
    "product_name": "Sund",
    "target_platform": "email",
    "tone": "casual",
    "language": "es",
    "use_case": "newsletter",
    "target_audience": "students",
    "key_points": ["a"],
    "restrictions": ["no emoji"],
    "instructions": "short",
    "call_to_action": "Look",
    "url": "https://example.com",
    "facts": {"price": "9 EUR"},
    "keywords": ["desk"],
    "brand": {"name": "N"},
    "creativity_level": 0.1,
    "variants": 2,
    "fields": {"text": {"limit": 100}},
    "personalization": {"first_name": "Ana"},
    "seed": 5,
    "provider": "other",
    "model": "m",
}


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_every_shaping_field_changes_the_cache_key(field: str) -> None:
    """Two requests that differ in one field that shapes the answer never share an entry."""

    def key(asked: CopywritingInput) -> str:
        return request_key(asked, target="t", versions={"prompt": REVISION})

    assert key(request()) != key(request(**{field: CHANGES[field]}))


def test_every_field_is_either_shaping_or_known_not_to_be() -> None:
    """A field added to the request must be added here too."""
    assert set(CHANGES) | {"cache", "deadline_s"} == set(CopywritingInput.model_fields)


def test_the_receipt_names_the_revision_of_the_brand(fake: FakeProvider) -> None:
    """Equal brands have equal names, other content another one; without a brand there is none."""
    fake.will_say(GOOD)

    async def story() -> list[dict[str, str]]:
        desk = service()
        brands = [Brand(name="Norr"), Brand(name="Norr"), Brand(name="Norr", terms=["iPad"]), None]
        return [(await desk.generate(request(brand=brand))).receipt.versions for brand in brands]

    first, second, third, without = run(story())
    assert first["brand"] == second["brand"] != third["brand"]
    assert "brand" not in without


def test_the_key_depends_on_target_versions_and_tenant_but_not_on_the_deadline() -> None:
    """What writes and for whom is part of the key; how long it may take is not."""
    base = {"target": "a", "versions": {"p": "1"}}
    key = request_key(request(), **base)
    assert key == request_key(request(deadline_s=3, cache="refresh"), **base)
    others = [
        request_key(request(), target="b", versions={"p": "1"}),
        request_key(request(), target="a", versions={"p": "2"}),
        request_key(request(), tenant="t", **base),
    ]
    assert len({key, *others}) == 4


def test_the_order_of_facts_is_part_of_the_key() -> None:
    """Copy states facts in the caller's order, so another order is never answered from the cache."""
    facts = {"width": "120 cm", "height": "75 cm", "depth": "60 cm", "material": "oak"}

    async def story() -> tuple[Any, Any, Any]:
        desk = service("phrasebank")
        asked = {"target_platform": "email", "facts": dict(reversed(facts.items()))}
        await desk.generate(request(target_platform="email", facts=facts))
        return (
            await desk.generate(request(target_platform="email", facts=dict(facts))),
            await desk.generate(request(**asked)),
            await desk.generate(request(**asked, cache="off")),
        )

    same, turned, fresh = run(story())
    assert same.cached
    assert not turned.cached
    assert same.text != fresh.text == turned.text


def test_both_faces_agree() -> None:
    """The same briefs through both faces give the same substance; generate_v11 shares the engine."""

    async def story() -> tuple[Any, Any, Any]:
        async with CopywritingService(Settings()) as legacy, CopywritingServiceV11(Settings()) as v11:
            return (
                await legacy.generate(request(cache="off")),
                await v11.generate(request(cache="off")),
                await legacy.generate_v11(request(cache="off")),
            )

    legacy, v11, through = run(story())
    volatile = {"created_at": ..., "receipt": {"attempts"}}
    assert legacy.model_dump(exclude=volatile) == v11.model_dump(exclude=volatile)
    assert legacy.model_dump(exclude=volatile) == through.model_dump(exclude=volatile)


def test_a_face_that_shares_an_engine_leaves_it_open(fake: FakeProvider) -> None:
    """Closing the second face takes only its counting away; what the first has cached stays."""
    fake.will_say(GOOD)

    async def story() -> tuple[bool, int, int]:
        first = CopywritingService(Settings(routing=RoutingSettings(("fake",))))
        async with CopywritingServiceV11(engine=first.engine) as second:
            await second.generate(request())
        again = await first.generate(request())
        counted = (await second.get_performance_stats())["requests"]["total"]
        return again.cached, counted, (await first.get_performance_stats())["requests"]["total"]

    assert run(story()) == (True, 1, 2)


def test_an_engine_is_given_alone() -> None:
    """Settings beside an engine would be ignored, so they are refused."""
    first = service("phrasebank")
    for options in ({"settings": Settings()}, {"config": PerformanceConfig()}, {"cache": BrokenCache()}):
        with pytest.raises(ConfigurationError, match="alone"):
            CopywritingServiceV11(engine=first.engine, **options)


def test_a_mapping_is_accepted_and_anything_else_refused() -> None:
    """generate takes a request or a mapping of its fields."""
    desk = service("phrasebank")
    assert (
        run(desk.generate({"product_description": "Oak desk", "target_platform": "x"})).placement == "x.post"
    )
    with pytest.raises(InvalidRequest, match="request"):
        run(desk.generate("Oak desk"))


def test_a_batch_keeps_order_and_puts_errors_in_place() -> None:
    """A bad brief is an error in its place; the others come back."""
    results = run(
        service("phrasebank").batch_generate(
            [request(), request(tone="profesional"), {"product_description": "x"}, request(seed=3)]
        )
    )
    assert [type(r).__name__ for r in results] == [
        "CopywritingOutput",
        "InvalidRequest",
        "InvalidRequest",
        "CopywritingOutput",
    ]
    assert "professional" in str(results[1])


def test_the_events_of_a_generation_are_told_in_order(fake: FakeProvider) -> None:
    """Started, looked up, attempted, finished."""
    fake.will_say(GOOD)
    hook = RecordingHook()
    desk = service()
    desk.engine.add_hook(hook)
    run(desk.generate(request()))
    names = [type(e).__name__ for e in hook.events if type(e).__name__ != "CapabilitySelected"]
    assert [n for n in names if n != "FieldRepaired"] == [
        "GenerationStarted",
        "CacheLooked",
        "AttemptStarted",
        "AttemptFinished",
        "GenerationFinished",
    ]
    assert hook.of(GenerationFinished)[0].placement == "x.post"


def test_stats_count_what_happened() -> None:
    """Requests, cache hits and targets are counted; the config says what it does."""

    async def story() -> dict[str, Any]:
        desk = service("phrasebank")
        await desk.generate(request())
        await desk.generate(request())
        stats: dict[str, Any] = await desk.get_performance_stats()
        return stats

    stats = run(story())
    assert stats["requests"]["total"] == 2
    assert stats["requests"]["cached"] == 1
    assert stats["cache"]["hits"] == 1
    assert stats["targets"] == {"phrasebank": {"ok": 1}}
    assert stats["cache_tier"]["entries"] == 1
    assert stats["config"]["adaptive_batching"]["effect"].startswith("ignored:")


def test_an_engine_s_hook_that_raises_is_dropped(fake: FakeProvider) -> None:
    """As a process-wide one is: it hears one event, the others all, and the work goes on."""
    fake.will_say(GOOD)
    heard: list[object] = []
    hook = RecordingHook()

    def broken(event: object) -> None:
        heard.append(event)
        raise RuntimeError("no")

    desk = service()
    desk.engine.add_hook(broken)
    desk.engine.add_hook(hook)
    run(desk.generate(request()))
    assert len(heard) == 1
    assert len(hook.of(GenerationFinished)) == 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, "complete() gave None instead of a Completion"),
        ({"text": "sk-secret"}, "complete() gave a dict instead of a Completion"),
        (Completion(text=None), "complete() gave a Completion whose text is None"),  # type: ignore[arg-type]
        (Completion(text="x", usage=7), "complete() gave a Completion whose usage is a int"),  # type: ignore[arg-type]
    ],
)
def test_a_provider_that_gives_no_completion_has_failed(other: FakeProvider, said: Any, told: str) -> None:
    """Its target is counted as failing and asked once, the next one serves; what it gave is told by its type alone."""

    class Wrong(FakeProvider):
        async def complete(self, prompt: Any) -> Any:
            return said

    register_provider("wrong", lambda: Wrong("wrong"))
    other.will_say(GOOD)

    async def story() -> tuple[Any, dict[str, Any]]:
        desk = service("wrong", "other")
        return await desk.generate(request()), desk.engine.router.look()["targets"]["wrong"]

    try:
        output, look = run(story())
    finally:
        unregister_provider("wrong")
    assert [(a.target, a.outcome) for a in output.receipt.attempts] == [
        ("wrong", "provider_protocol"),
        ("other", "ok"),
    ]
    assert output.receipt.attempts[0].reason == f"wrong: {told}"
    assert (look["recent_calls"], look["recent_failures"]) == (1, 1)


def test_a_provider_whose_method_is_not_async_says_so() -> None:
    """A plain function is the mistake that is made first with a writer of one's own."""

    class Plain(FakeProvider):
        def complete(self, prompt: Any) -> Any:
            return Completion(text="x")

    register_provider("plain", lambda: Plain("plain"))
    try:
        with pytest.raises(
            NoProviderSucceeded, match="plain: complete\\(\\) gave a Completion that cannot be awaited"
        ):
            run(service("plain").generate(request()))
    finally:
        unregister_provider("plain")


def test_every_start_has_an_end_whatever_a_provider_raises(fake: FakeProvider) -> None:
    """A defect of a provider and a caller that leaves are failures with a code of their own."""
    fake.will_say(KeyError("choices"))
    hook = RecordingHook()

    async def story() -> None:
        desk = service()
        desk.engine.add_hook(hook)
        with pytest.raises(KeyError):
            await desk.generate(request())
        fake.gate = asyncio.Event()
        leaving = asyncio.create_task(desk.generate(request()))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (await desk.get_performance_stats())["errors"] == {"internal_error": 1, "cancelled": 1}

    run(story())
    assert [event.code for event in hook.of(GenerationFailed)] == ["internal_error", "cancelled"]
    # the kind alone: nobody knows what a defect's words hold, a header with its key for one
    assert hook.of(GenerationFailed)[0].reason == "KeyError"


class ClosingProvider(FakeProvider):
    """Counts how often it is closed; may fail to."""

    def __init__(self, name: str, fails: bool = False) -> None:
        super().__init__(name)
        self.closed = 0
        self.fails = fails
        self.will_say(GOOD)

    async def aclose(self) -> None:
        """Count, and raise if told to."""
        self.closed += 1
        if self.fails:
            raise OSError("stuck")


@pytest.fixture
def closing() -> Any:
    """Two registered providers that can be closed, named first and second; the first fails to."""
    providers = [ClosingProvider("first", fails=True), ClosingProvider("second")]
    register_provider("first", lambda: providers[0])
    register_provider("second", lambda: providers[1])
    yield providers
    unregister_provider("first")
    unregister_provider("second")


def test_closing_a_service_closes_the_providers_it_used(closing: list[ClosingProvider]) -> None:
    """Each once, also when one of them fails to and the service is closed twice; the failure is raised."""

    async def story() -> None:
        desk = service("first", "second")
        await desk.generate(request())
        await desk.generate(request(provider="second"))
        with pytest.raises(OSError, match="stuck"):
            await desk.aclose()
        await desk.aclose()

    run(story())
    assert [provider.closed for provider in closing] == [1, 1]


def test_only_the_face_that_made_the_engine_closes_its_providers(closing: list[ClosingProvider]) -> None:
    """A shared engine still has work to do, and a provider that nobody asked was never made."""

    async def story() -> tuple[int, int]:
        async with service("second", "first") as desk:
            async with CopywritingServiceV11(engine=desk.engine) as other:
                await other.generate(request())
            open_still = closing[1].closed
        return open_still, closing[1].closed

    assert run(story()) == (0, 1)
    assert closing[0].closed == 0


def test_a_provider_registered_anew_serves_the_next_call(fake: FakeProvider) -> None:
    """In engines that already asked the one before; both are closed in the end."""
    fake.will_say(GOOD)
    later = ClosingProvider("fake")

    async def story() -> list[int]:
        asked = []
        async with service() as desk:
            for seed in (1, 2, 3):
                await desk.generate(request(seed=seed))
                asked.append(len(later.asked))
                if seed == 1:
                    register_provider("fake", lambda: later)
            unregister_provider("fake")
            with pytest.raises(ConfigurationError, match=r"routing\.providers: provider='fake': unknown"):
                await desk.generate(request(seed=4))
        return [*asked, later.closed]

    assert run(story()) == [0, 1, 2, 1]


def test_what_the_caller_changes_after_asking_is_the_next_request_s(fake: FakeProvider) -> None:
    """A request, the lists in it and its brand are read once, by one call and by a batch."""
    fake.will_say(GOOD)

    async def story() -> list[Any]:
        fake.gate = asyncio.Event()
        desk = service(config=PerformanceConfig(max_workers=1))
        asked = [request(brand=Brand(name="Norr"), key_points=["Oiled"]) for _ in range(3)]
        single = asyncio.create_task(desk.generate(asked[0]))
        batch = asyncio.create_task(desk.batch_generate(asked[1:]))
        await asyncio.sleep(0)
        for one in asked:
            one.variants, one.language = 5, "es"
            one.key_points.append("Waxed")
            assert one.brand is not None
            one.brand.name = "Sund"
        fake.gate.set()
        return [await single, *await batch]

    results = run(story())
    assert [result.language for result in results] == ["en"] * 3
    assert {result.receipt.key for result in results} == {results[0].receipt.key}
    for prompt in fake.asked:
        assert (prompt.variants, prompt.brief.points, prompt.brief.brand.name) == (1, ("Oiled",), "Norr")


HERE = ", ".join(provider_names())
UNSERVED = [
    (
        ("phrasebnk",),
        rf"^routing\.providers='phrasebnk': unknown provider; this version has {HERE}; nearest: phrasebank$",
    ),
    (
        ("zzz", "phrasebank", "local"),
        rf"^routing\.providers='zzz': unknown provider; this version has {HERE}; routing\.providers='local': it needs an",
    ),
    (
        ("openai:gpt-6-luna", "phrasebank"),
        r"^routing\.providers='openai:gpt-6-luna': it needs a key: set OPENAI_API_KEY$",
    ),
]


@pytest.mark.parametrize(("targets", "told"), UNSERVED)
def test_targets_nobody_answers_to_are_wrong_settings(targets: tuple[str, ...], told: str) -> None:
    """They are told when the service is made, all at once: no request named them."""
    with pytest.raises(ConfigurationError, match=told):
        service(*targets)


def test_a_provider_registered_over_a_built_in_one_needs_no_key_of_its(fake: FakeProvider) -> None:
    """What it needs is its own matter."""
    fake.will_say(GOOD)
    register_provider("openai", lambda: fake)
    try:
        assert run(service("openai:gpt-6-luna").generate(request())).receipt.served_by == "openai:fake-1"
    finally:
        unregister_provider("openai")


def test_a_configured_model_that_its_provider_refuses_is_a_wrong_setting() -> None:
    """The caller named neither; named by the caller it is the caller's mistake."""
    with pytest.raises(ConfigurationError, match=r"routing\.providers: model='foo'"):
        run(service("phrasebank:foo").generate(request()))
    with pytest.raises(InvalidRequest, match="model='foo'"):
        run(service("phrasebank:foo").generate(request(provider="phrasebank:foo")))


@pytest.mark.parametrize("name", [{"provider": ""}, {"provider": "fake", "model": ""}])
def test_an_empty_name_is_no_name(fake: FakeProvider, name: dict[str, str]) -> None:
    """It is refused, not taken as nothing given."""
    with pytest.raises(InvalidRequest, match=list(name)[-1]):
        run(service().generate(request(**name)))


class TestPerformanceConfig:
    """Each of the thirteen fields acts or says that it does not."""

    def test_every_field_is_explained(self) -> None:
        """Thirteen fields, each acting or ignored with a reason."""
        told = PerformanceConfig.everything().explain()
        assert len(told) == 13
        assert {n for n, t in told.items() if t["acts"]} == {
            "max_workers",
            "cache_size",
            "intelligent_caching",
            "auto_scaling",
            "load_balancing",
            "circuit_breaker",
            "retry_mechanism",
        }
        assert all(t["acts"] or t["effect"].startswith("ignored: ") for t in told.values())

    def test_cache_size_bounds_the_results_kept(self, fake: FakeProvider) -> None:
        """With room for one result, the first of two is forgotten."""
        fake.will_say(GOOD)

        async def story() -> int:
            desk = service(config=PerformanceConfig(cache_size=1))
            for seed in (1, 2, 3, 4):
                await desk.generate(request(seed=seed))
            return desk.engine.results.stats()["entries"]

        assert run(story()) <= 1

    def test_intelligent_caching_off_keeps_nothing(self, fake: FakeProvider) -> None:
        """Without it every call asks."""
        fake.will_say(GOOD)

        async def story() -> None:
            desk = service(config=PerformanceConfig(intelligent_caching=False))
            await desk.generate(request())
            await desk.generate(request())

        run(story())
        assert len(fake.asked) == 2

    def test_max_workers_bounds_the_calls_in_progress(self, fake: FakeProvider) -> None:
        """Never more than max_workers provider calls of a batch run at once."""
        most = running = 0

        class Counting(FakeProvider):
            async def complete(self, prompt: Any) -> Any:
                nonlocal most, running
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                running -= 1
                return await super().complete(prompt)

        counting = Counting("counting").will_say(GOOD)
        register_provider("counting", lambda: counting)
        try:
            desk = service("counting", config=PerformanceConfig(max_workers=3))
            run(desk.batch_generate([request(seed=n) for n in range(12)]))
        finally:
            unregister_provider("counting")
        assert most == 3

    def test_only_what_was_set_lies_over_the_settings(self) -> None:
        """The settings' own numbers stay where the form names none, and the service tells those it runs with."""
        settings = Settings(cache=CacheSettings(max_entries=7), batch=BatchSettings(3))
        for config, expected in (
            (PerformanceConfig(), (7, 3)),
            (PerformanceConfig(cache_size=5), (5, 3)),
            (PerformanceConfig(max_workers=2), (7, 2)),
            (PerformanceConfig(intelligent_caching=False), (0, 3)),
            (PerformanceConfig.everything(), (7, 3)),
        ):
            applied = config.applied_to(settings)
            assert (applied.cache.max_entries, applied.batch.concurrency) == expected
        desk = CopywritingService(settings, config=PerformanceConfig(cache_size=5))
        told = desk.config.explain()
        assert (told["cache_size"]["value"], told["max_workers"]["value"]) == (5, 3)

    def test_what_a_given_cache_makes_idle_is_refused(self) -> None:
        """A cache of the caller's own keeps its bound and stays on; other fields still act."""
        for idle in ({"cache_size": 5}, {"intelligent_caching": False}):
            with pytest.raises(ConfigurationError, match=next(iter(idle))):
                service("phrasebank", cache=BrokenCache(), config=PerformanceConfig(**idle))
        assert service("phrasebank", cache=BrokenCache(), config=PerformanceConfig(max_workers=2))

    @pytest.mark.parametrize("change", [{"max_workers": 0}, {"cache_size": -1}, {"gpu_memory_fraction": 1.5}])
    def test_impossible_values_are_refused(self, change: dict[str, Any]) -> None:
        """The error names the field."""
        with pytest.raises(ConfigurationError, match=next(iter(change))):
            PerformanceConfig(**change)
