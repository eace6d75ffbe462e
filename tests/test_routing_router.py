"""The router over real state machines and hand-written providers: one retry loop, health, money, receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from copykit import CopywritingInput
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt
from copykit.errors import (
    AllProvidersCooling,
    AuthenticationFailed,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContentRefused,
    ContextTooLong,
    NoProviderSucceeded,
    Overloaded,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)
from copykit.events import ProviderRested, TargetMoved
from copykit.models import Attempt, Usage
from copykit.providers.base import Completion, charge
from copykit.providers.registry import register_provider, unregister_provider
from copykit.routing.router import Router
from copykit.settings import RoutingSettings, Settings
from copykit.testing import FakeClock, FakeProvider, RecordingHook

GOOD = {"text": "Norr, the oak desk. See it today."}
BRIEF = compile_brief(
    CopywritingInput(product_description="Oak desk", product_name="Norr", target_platform="x.post")
)


class Told(NamedTuple):
    """Who answered, and the way to it."""

    served_by: str
    attempts: list[Attempt]
    usage: Usage


class PricedFake(FakeProvider):
    """A fake whose calls have bounds: 1,000 bytes in, 100 tokens out."""

    timeout_s = 5.0

    def model_of(self, prompt: Prompt) -> str:
        """One model, whatever is asked."""
        return prompt.model or self.model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """The same bounds for every prompt."""
        return 1_000, 100


class World:
    """A router with a clock that only sleeping moves, two fakes, and all that was told."""

    def __init__(self, **routing: Any) -> None:
        self.clock = FakeClock()
        self.hook = RecordingHook()
        self.slept: list[float] = []
        self.router = Router(
            Settings(routing=RoutingSettings(providers=("one", "two"), **routing)),
            self.hook,
            self.clock,
            sleep=self.sleep,
            chance=lambda: 0.5,
        )
        self.one, self.two = PricedFake("one", "one-1"), PricedFake("two", "two-1")

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def ask(self, *targets: str, deadline_s: float = 60.0) -> Told:
        """Ask once."""
        asking = self.router.begin(BRIEF, targets, deadline_at=self.clock() + deadline_s)
        answer = asyncio.run(asking.next())
        return Told(answer.served_by, asking.attempts, asking.usage)


@pytest.fixture
def world() -> Iterator[World]:
    """Give a world whose fakes are registered as ``one`` and ``two``."""
    yield from _worlds()


def _worlds(**routing: Any) -> Iterator[World]:
    made = World(**routing)
    register_provider("one", lambda: made.one)
    register_provider("two", lambda: made.two)
    yield made
    unregister_provider("one")
    unregister_provider("two")


@pytest.fixture
def capped(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give a world with the caps and prices of the test's parameter."""
    yield from _worlds(**request.param)


def outcomes(attempts: Any) -> list[tuple[str, str]]:
    """Give target and outcome of each attempt."""
    return [(attempt.target, attempt.outcome) for attempt in attempts]


def test_a_passing_failure_is_repeated_once_before_the_next_target_is_asked(world: World) -> None:
    """Of three calls one is kept for the other target; the wait before the repeat is jittered and short."""
    world.one.will_say(ProviderUnavailable("down", status=503))
    world.two.will_say(GOOD)
    answer = world.ask("one", "two")
    assert outcomes(answer.attempts) == [
        ("one", "provider_unavailable"),
        ("one", "provider_unavailable"),
        ("two", "ok"),
    ]
    assert world.slept == [0.125]
    assert answer.served_by == "two:two-1"


def test_three_calls_are_all(world: World) -> None:
    """Over all targets, however many there are."""
    world.one.will_say(ProviderUnavailable("down", status=503))
    world.two.will_say(ProviderUnavailable("down", status=503))
    with pytest.raises(NoProviderSucceeded) as caught:
        world.ask("one", "two", "one:other", "two:other")
    assert len(caught.value.attempts) == 3
    assert len(world.one.asked) + len(world.two.asked) == 3


def test_a_refused_credential_rests_and_is_not_repeated(world: World) -> None:
    """The next target answers; five minutes pass before the first is asked again, under any model."""
    world.one.will_say(AuthenticationFailed("no", status=401))
    world.two.will_say(GOOD)
    world.ask("one:a", "two")
    assert len(world.one.asked) == 1
    answer = world.ask("one:b", "two")
    assert outcomes(answer.attempts) == [("one:b", "cooling"), ("two", "ok")]
    rested = world.hook.of(ProviderRested)[0]
    assert (rested.provider, rested.kind, rested.for_s) == ("one", "quarantine", 300.0)
    world.clock.advance(301)
    world.one.will_say(GOOD)
    assert world.ask("one:b", "two").served_by == "one:one-1"


def test_nobody_waits_for_a_throttle_while_another_target_is_free(world: World) -> None:
    """The other is asked at once, and the throttled credential left alone for the time that it told."""
    world.one.will_say(RateLimited("slow down", status=429, retry_after_s=20.0))
    world.two.will_say(GOOD)
    world.ask("one", "two")
    assert world.slept == []
    assert outcomes(world.ask("one", "two").attempts) == [("one", "cooling"), ("two", "ok")]


def test_a_throttled_target_alone_is_waited_for_or_says_when_to_come_back(world: World) -> None:
    """Within the deadline the told time is waited out; beyond it nobody waits."""
    world.one.will_say(RateLimited("slow down", status=429, retry_after_s=10.0), {**GOOD})
    assert outcomes(world.ask("one").attempts) == [("one", "rate_limited"), ("one", "ok")]
    assert world.slept[0] >= 10.0
    world.one.will_say(RateLimited("slow down", status=429, retry_after_s=100.0))
    with pytest.raises(AllProvidersCooling) as caught:
        world.ask("one", deadline_s=30.0)
    assert 30 < (caught.value.retry_after_s or 0) <= 120


def test_an_open_breaker_costs_no_call(world: World) -> None:
    """After five lost connections in a row a target is left alone; the last one gets a single probe a period."""
    world.one.will_say(ProviderUnavailable("refused"))
    for _ in range(3):
        with pytest.raises(NoProviderSucceeded):
            world.ask("one", deadline_s=600.0)
        if world.hook.of(TargetMoved):
            break
    assert world.hook.of(TargetMoved)[0].state == "open"
    asked = len(world.one.asked)
    for _ in range(50):
        with pytest.raises((CircuitOpen, NoProviderSucceeded)):
            world.ask("one")
    assert len(world.one.asked) <= asked + 1
    assert world.router.look()["targets"]["one"]["breaker"] == "open"


def test_a_prompt_too_long_goes_to_larger_models_only(world: World) -> None:
    """Targets whose size nobody knows may be larger; a repeat would meet the same bound."""
    world.one.will_say(ContextTooLong("too long", status=400))
    world.two.will_say(GOOD)
    assert outcomes(world.ask("one", "two").attempts) == [("one", "context_too_long"), ("two", "ok")]


@pytest.mark.parametrize("capped", [{}, {"fall_back_on_refusal": True}], indirect=True)
def test_a_refusal_is_taken_elsewhere_only_if_allowed(capped: World) -> None:
    """Another model is not asked to write what one declined, unless the settings say so."""
    capped.one.will_say(ContentRefused("no", category="harm"))
    capped.two.will_say(GOOD)
    if capped.router.settings.routing.fall_back_on_refusal:
        assert capped.ask("one", "two").served_by == "two:two-1"
    else:
        with pytest.raises(NoProviderSucceeded):
            capped.ask("one", "two")
        assert not capped.two.asked


PRICES = {"one": {"input": 1.0, "output": 10.0}, "two": {"input": 1.0, "output": 10.0}}


@pytest.mark.parametrize("capped", [{"budget_usd": 0.0045, "prices": PRICES}], indirect=True)
def test_the_budget_is_never_passed(capped: World) -> None:
    """The worst case (0.002 dollars) is reserved before each call, the true cost (0.00021) settled after it."""
    capped.one.will_say(GOOD)
    costs: list[float | None] = []

    def spend() -> None:
        while len(costs) < 100:
            costs.append(capped.ask("one").attempts[-1].cost_usd)

    with pytest.raises(BudgetExceeded) as caught:
        spend()
    assert caught.value.cap == 0.0045
    assert costs == [pytest.approx(0.00021)] * len(costs)
    answered = len(costs)
    money = capped.router.look()["money"]
    assert money["spent_usd"] == pytest.approx(0.00021 * answered)
    assert money["spent_usd"] + 0.002 > 0.0045 >= money["spent_usd"]
    assert money["reserved_usd"] == 0


@pytest.mark.parametrize("capped", [{"request_budget_usd": 0.0021, "prices": PRICES}], indirect=True)
def test_a_request_has_a_budget_of_its_own(capped: World) -> None:
    """A failure that may have been billed charges its worst case, which leaves nothing for the next target."""
    capped.one.will_say(ProviderError("odd", status=500, retryable=False))
    capped.two.will_say(GOOD)
    assert capped.ask("one", "two").served_by == "two:two-1"  # nothing was billed
    capped.one.will_say(charge(ContentRefused("no"), Usage(input_tokens=1000, output_tokens=90)))
    with pytest.raises(NoProviderSucceeded) as caught:
        capped.ask("one", "two")
    assert caught.value.attempts[0].cost_usd == pytest.approx(0.0019)


@pytest.mark.parametrize("capped", [{"budget_usd": 1.0, "prices": {"two": PRICES["two"]}}], indirect=True)
def test_under_a_cap_a_target_without_a_price_is_passed_over(capped: World) -> None:
    """The receipt says why; without another target the call fails before anything is sent."""
    capped.one.will_say(GOOD)
    capped.two.will_say(GOOD)
    assert outcomes(capped.ask("one", "two").attempts) == [("one", "price_unknown"), ("two", "ok")]
    with pytest.raises(BudgetExceeded, match="nobody knows what one costs"):
        capped.ask("one")
    assert not capped.one.asked


def test_a_cancelled_call_gives_everything_back(world: World) -> None:
    """Slot, probe and money are free again, and the breaker counts nothing."""

    async def story() -> None:
        world.one.gate = asyncio.Event()
        task = asyncio.create_task(world.router.ask(BRIEF, ["one"], deadline_at=1e9))
        await world.one.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    world.one.will_say(GOOD)
    asyncio.run(story())
    state = world.router.look()["targets"]["one"]
    assert (state["in_progress"], state["recent_calls"]) == (0, 0)
    assert world.router.look()["money"]["reserved_usd"] == 0


def test_no_free_connection_is_nobody_s_fault(world: World) -> None:
    """Nothing was sent: the next target is asked, and the first one's health is what it was."""
    world.one.will_say(Overloaded(3, 2))
    world.two.will_say(GOOD)
    assert outcomes(world.ask("one", "two").attempts) == [("one", "overloaded"), ("two", "ok")]
    assert world.router.look()["targets"]["one"]["recent_failures"] == 0


def test_what_is_slow_to_fail_is_not_repeated_past_the_deadline(world: World) -> None:
    """No repeat is begun that cannot end in the time left."""
    world.one.will_say(ProviderUnavailable("down", status=503))
    with pytest.raises(NoProviderSucceeded) as caught:
        world.ask("one", deadline_s=0.9)
    assert len(caught.value.attempts) == 1


def test_the_receipt_tells_what_an_answer_without_copy_cost(world: World) -> None:
    """Its tokens stand in its attempt and in the sum."""
    spent = Usage(input_tokens=7, output_tokens=3)
    world.one.will_say(Completion(text="", model="one-1", usage=spent))
    world.two.will_say(GOOD)
    answer = world.ask("one", "two")
    assert [a.input_tokens for a in answer.attempts] == [7, 7, 10]
    assert answer.usage.input_tokens == 24


@pytest.mark.parametrize("capped", [{"budget_usd": 1.0, "prices": PRICES}], indirect=True)
def test_receipts_add_up_to_the_ledger_also_where_nobody_said_what_was_used(capped: World) -> None:
    """A call whose usage is unknown is charged its worst case, and its attempt says so."""
    capped.one.will_say(charge(ContentRefused("no"), None))
    with pytest.raises(NoProviderSucceeded) as caught:
        capped.ask("one")
    spent = capped.router.look()["money"]["spent_usd"]
    assert spent == pytest.approx(0.002)
    assert caught.value.attempts[0].cost_usd == spent


def test_a_sum_that_would_leave_a_call_out_is_unknown(world: World) -> None:
    """One call told its cost, another did not: together nobody knows."""
    known = Usage(input_tokens=1, output_tokens=1, cost_usd=0.5)
    world.one.will_say(
        Completion(text="", model="one-1", usage=known), Completion(text="", model="one-1", usage=known)
    )
    world.two.will_say(GOOD)
    assert world.ask("one", "two").usage.cost_usd is None


def test_what_was_too_long_for_one_skips_only_what_is_no_larger(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another target was passed over or failed in between: its size is not the one that counts."""
    sizes = {"one:small": 128, "two:resting": 1_000, "one:middle": 400, "one:tiny": 64}
    monkeypatch.setattr("copykit.providers.facts.context_of", sizes.get)
    world.router.targets.rests.cool("two", world.clock(), 60.0, reason="rate_limited")
    world.one.will_say(ContextTooLong("too long", target="one:small"), GOOD)
    answer = world.ask("one:small", "two:resting", "one:tiny", "one:middle")
    assert outcomes(answer.attempts) == [
        ("one:small", "context_too_long"),
        ("two:resting", "cooling"),
        ("one:middle", "ok"),
    ]


def test_names_of_requests_push_no_configured_target_out(world: World) -> None:
    """What is known of the settings' targets stays, however many models are made up; the healthy and idle go first."""
    targets = world.router.targets
    for _ in range(5):
        world.one.will_say(ProviderUnavailable("down", status=None))
        with pytest.raises((NoProviderSucceeded, AllProvidersCooling, CircuitOpen)):
            world.ask("one")
    broken = targets.of("two:broken")
    broken.breaker = targets.of("one").breaker
    busy = targets.of("two:busy")

    async def story() -> None:
        async with busy.slots.slot():
            for number in range(3_000):
                targets.of(f"two:made-up-{number}")

    asyncio.run(story())
    known = world.router.look()["targets"]
    assert known["one"]["breaker"] == "open"
    assert (targets.of("two:busy"), targets.of("two:broken")) == (busy, broken)
    assert "two:made-up-2999" in known
    assert len(known) <= 1_000 + len(world.router.settings.routing.targets)


def test_the_name_that_was_not_used_longest_is_forgotten_first(world: World) -> None:
    """A model that requests go on naming is not pushed out by names that come once."""
    targets = world.router.targets
    used = targets.of("two:used")
    used.usual.add(2.0)
    once = targets.of("two:once")
    for number in range(10_000):
        targets.of(f"two:made-up-{number}")
        if not number % 500:
            assert targets.of("two:used") is used
    assert targets.of("two:used") is used
    assert targets.of("two:once") is not once
    assert len(world.router.look()["targets"]) <= 1_000 + len(world.router.settings.routing.targets)


def test_a_name_that_nobody_answers_to_leaves_no_trace(world: World) -> None:
    """It is refused before anything is remembered of it."""
    for number in range(3):
        with pytest.raises(ConfigurationError):
            world.ask(f"nobody-{number}:model")
    assert world.router.look()["targets"] == {}
