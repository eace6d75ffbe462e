"""The whole way of a request as one machine on a virtual clock, beside a plain model of what providers saw and charged.

``COPYKIT_MACHINE_EXAMPLES=2000 pytest tests/test_routing_machine.py`` tries more than a test run has time for.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from copykit import CopywritingInput, CopywritingOutput, Settings
from copykit.brief.prompt import Prompt, RepairPrompt
from copykit.engine import Engine
from copykit.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    CircuitOpen,
    ContentRefused,
    ContextTooLong,
    CopykitError,
    DeadlineExceeded,
    MalformedCompletion,
    ModelNotFound,
    NoProviderSucceeded,
    Overloaded,
    ProviderError,
    ProviderProtocolError,
    ProviderQuotaError,
    ProviderTimeout,
    ProviderTLSError,
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
)
from copykit.events import AttemptFinished, AttemptStarted
from copykit.models import Usage
from copykit.providers.base import Completion, charge
from copykit.providers.registry import register_provider, unregister_provider
from copykit.routing.health import Cooldowns
from copykit.routing.router import Router
from copykit.settings import CacheSettings, RoutingSettings
from copykit.testing import RecordingHook
from faults.idle_clock import IdleClockLoop

EXAMPLES = int(os.environ.get("COPYKIT_MACHINE_EXAMPLES", "30"))
TARGETS = ("one:a", "one:b", "two", "three")
PRICES = {"input": 1.0, "output": 2.0}
BOUNDS = 1_000, 100
"""Bytes sent and tokens answered at most."""
WORST = 1_200
"""The same in millionths of a dollar, as all money here."""
TIMEOUT_S = 5.0
GOOD = json.dumps({"variants": [{"fields": {"text": "Norr, the oak desk. See it today."}}]})
BAD = GOOD.replace("today", "for 99 EUR")


@dataclass(frozen=True)
class Failure:
    """One way in which a provider fails, and what a plain reading of the documents makes of it."""

    make: Callable[[], Exception]
    rests_s: float = 0.0
    """How long its credential is left alone."""
    billed: bool = False
    """Whether it may be charged although nobody says how much."""


FAILURES = {
    "refused": Failure(lambda: ProviderUnavailable("refused")),
    "500": Failure(lambda: ProviderUnavailable("no", status=500)),
    "503 for 7 s": Failure(lambda: ProviderUnavailable("no", status=503, retry_after_s=7.0), rests_s=7.0),
    "529": Failure(lambda: ProviderUnavailable("no", status=529)),
    "409": Failure(lambda: ProviderUnavailable("no", status=409)),
    "late": Failure(lambda: ProviderTimeout("late"), billed=True),
    "429": Failure(lambda: RateLimited("slow", status=429), rests_s=5.0),
    "429 for 2 s": Failure(lambda: RateLimited("slow", status=429, retry_after_s=2.0), rests_s=2.0),
    "429 for a day": Failure(lambda: RateLimited("slow", status=429, retry_after_s=86_400.0), rests_s=900.0),
    "quota": Failure(lambda: ProviderQuotaError("no money", status=402), rests_s=300.0),
    "401": Failure(lambda: AuthenticationFailed("no", status=401), rests_s=300.0),
    "404": Failure(lambda: ModelNotFound("no", status=404)),
    "400": Failure(lambda: ProviderError("bad", status=400, retryable=False)),
    "too long": Failure(lambda: ContextTooLong("long", status=400)),
    "declined": Failure(lambda: ContentRefused("no", category="x"), billed=True),
    "declined with a status": Failure(lambda: ContentRefused("no", status=403)),
    "no HTTP": Failure(lambda: ProviderProtocolError("what"), billed=True),
    "cut": Failure(lambda: TruncatedStream("cut"), billed=True),
    "no trust": Failure(lambda: ProviderTLSError("foreign")),
    "no copy": Failure(lambda: MalformedCompletion("nothing", empty=True), billed=True),
    "no connection free": Failure(lambda: Overloaded(9, 8)),
    "a defect": Failure(lambda: RuntimeError("a defect"), billed=True),
}
WAYS = st.sampled_from([*["good"] * 5, "bad", "untold", "broken", *FAILURES])


@dataclass
class Call:
    """One call as its provider saw it."""

    request: int
    target: str
    repair: bool
    began: float
    probe: bool
    """Whether it began while its breaker was half open."""
    charged: int = 0
    ended: float | None = None


class Scripted:
    """A provider that behaves as it was told last, and keeps books of its own."""

    timeout_s = TIMEOUT_S

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self._world = world

    def model_of(self, prompt: Prompt) -> str:
        """Whatever is asked."""
        return prompt.model or "own"

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """The same for every prompt."""
        return BOUNDS

    async def complete(self, prompt: Prompt) -> Completion:
        """Do as told."""
        world = self._world
        target = f"{self.name}:{prompt.model}" if prompt.model else self.name
        call = world.call_began(target, prompt)
        way, delay_s = world.ways[target]
        try:
            call.charged = WORST  # of one that does not end, nobody knows the cost
            if delay_s:
                await asyncio.sleep(delay_s)
            call.charged = 0
            return self._answered(call, way, prompt)
        finally:
            call.ended = world.loop.now

    def _answered(self, call: Call, way: str, prompt: Prompt) -> Completion:
        usage = Usage(input_tokens=100 + call.request % 7, output_tokens=50)
        cost = 100 + call.request % 7 + 2 * 50
        if way in FAILURES:
            failure, error = FAILURES[way], FAILURES[way].make()
            call.charged = WORST if failure.billed else 0
            if failure.billed and isinstance(error, ProviderError) and call.request % 2:
                charge(error, usage)
                call.charged = cost
            if failure.rests_s:
                self._world.rests(self.name, failure.rests_s)
            raise error
        if way == "untold":
            call.charged = WORST
            return Completion(text=GOOD, model="own")
        call.charged = cost
        if way == "broken":
            return Completion(text='{"variants": [', model="own", usage=usage)
        text = BAD if way == "bad" else GOOD
        if isinstance(prompt, RepairPrompt):
            said = json.loads(text)["variants"][0]["fields"]["text"]
            text = json.dumps({"texts": {str(number + 1): said for number in range(len(prompt.wanted))}})
        return Completion(text=text, model="own", usage=usage)


@dataclass
class World:
    """What the providers saw, and what follows from it by the documents' own words."""

    loop: IdleClockLoop
    ways: dict[str, tuple[str, float]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What must not happen and did, while nobody could raise."""
    resting: dict[str, float] = field(default_factory=dict)
    engine: Engine | None = None
    cap: int = 0

    def rests(self, provider: str, seconds: float) -> None:
        """Note that a credential is left alone from now on."""
        assert self.engine is not None
        self.resting[provider] = max(self.resting.get(provider, 0.0), self.loop.now + seconds)

    def call_began(self, target: str, prompt: Prompt) -> Call:
        """Write a call down, and look at what holds in this moment."""
        assert self.engine is not None
        now, name = self.loop.now, target.partition(":")[0]
        if now < self.resting.get(name, 0.0):
            self.wrong.append(f"{target} was asked at {now} and rests until {self.resting[name]}")
        state = self.engine.router.targets.of(target).breaker.state
        probing = [c for c in self.calls if c.target == target and c.probe and c.ended is None]
        if state == "half_open" and len(probing) >= 3:
            self.wrong.append(f"{target} is probed by {len(probing) + 1} calls")
        if state == "closed":  # what began before is no probe of the next time
            for one in probing:
                one.probe = False
        self._look_at_money()
        call = Call(
            prompt.brief.request.seed or 0,
            target,
            isinstance(prompt, RepairPrompt),
            now,
            state == "half_open",
        )
        self.calls.append(call)
        return call

    def _look_at_money(self) -> None:
        assert self.engine is not None
        money = self.engine.router.look()["money"]
        if round((money["spent_usd"] + money["reserved_usd"]) * 1e6) > self.cap:
            self.wrong.append(f"{money} above the cap of {self.cap}")


def opened(loop: IdleClockLoop, cap: int, own: int | None) -> Engine:
    """Give an engine over all targets, under a cap in millionths of a dollar and one for each request."""
    routing = RoutingSettings(
        providers=TARGETS,
        budget_usd=cap / 1e6,
        request_budget_usd=None if own is None else own / 1e6,
        prices=dict.fromkeys(("one", "two", "three"), PRICES),
    )
    engine = Engine(Settings(cache=CacheSettings(), routing=routing), clock=loop.time)
    engine.router = Router(engine.settings, engine.router.tell, loop.time, chance=Random(1).random)
    return engine


def request(number: int, only: str | None, deadline_s: float | None = None) -> CopywritingInput:
    """Give a request that no other one equals."""
    return CopywritingInput(
        product_description="Oak desk",
        product_name="Norr",
        target_platform="x.post",
        cache="off",
        seed=number,
        provider=only,
        deadline_s=deadline_s,
    )


class RequestStory(RuleBasedStateMachine):
    """Requests of all kinds, several at a time, while providers fail in every way and the clock moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = IdleClockLoop(grace_s=0.0)
        self.world = World(self.loop, dict.fromkeys(TARGETS, ("good", 0.0)))
        self.running: dict[int, asyncio.Task[CopywritingOutput]] = {}
        self.ended: dict[int, CopywritingOutput | BaseException] = {}
        self.asked = 0

    @initialize(cap=st.sampled_from([0, WORST, 5 * WORST, 10**9]), own=st.sampled_from([None, 2 * WORST]))
    def start(self, cap: int, own: int | None) -> None:
        """Open the engine under a cap in millionths of a dollar, and one for each request."""
        self.world.cap = cap
        self.hook = RecordingHook()
        for name in ("one", "two", "three"):
            provider = Scripted(name, self.world)
            register_provider(name, lambda provider=provider: provider)
        self.engine = opened(self.loop, cap, own)
        self.engine.add_hook(self.hook)
        self.world.engine = self.engine

    @rule(which=st.sampled_from(TARGETS), way=WAYS, delay_s=st.sampled_from([0.0, 0.0, 0.2, 3.0, 40.0]))
    def behave(self, which: str, way: str, delay_s: float) -> None:
        """A target answers in another way from now on."""
        self.world.ways[which] = way, delay_s

    @rule(ways=st.tuples(WAYS, WAYS, WAYS, WAYS), delay_s=st.sampled_from([0.0, 0.2]))
    def behave_each(self, ways: tuple[str, ...], delay_s: float) -> None:
        """All answer in another way from now on."""
        self.world.ways = {target: (way, delay_s) for target, way in zip(TARGETS, ways, strict=True)}

    @rule(
        way=st.sampled_from(list(FAILURES)),
        then=st.sampled_from(["good", *FAILURES]),
        count=st.sampled_from([3, 30]),
        seconds=st.sampled_from([1.0, 6.5, 250.0]),
    )
    def outage(self, way: str, then: str, count: int, seconds: float) -> None:
        """All fail for many requests in one way; after a pause, ten at a time find out how one of them is."""
        self.world.ways = dict.fromkeys(TARGETS, (way, 0.0))
        for _ in range(count // 3):
            self.ask(3, None, None)
            self.wait_for_all()
        self.pass_time(seconds)
        self.world.ways = dict.fromkeys(TARGETS, (then, 0.2))
        self.ask(10, "two", None)
        self.wait_for_all()

    @rule(
        count=st.sampled_from([1, 1, 3, 12]),
        only=st.none() | st.sampled_from(TARGETS),
        deadline_s=st.sampled_from([None, 0.1, 2.0, 100.0]),
    )
    def ask(self, count: int, only: str | None, deadline_s: float | None) -> None:
        """So many callers at once, of all targets or of one."""
        for _ in range(count):
            self.asked += 1
            work = self.engine.generate(request(self.asked, only, deadline_s))
            self.running[self.asked] = self.loop.create_task(work)
        self.pass_time(0.0)

    @rule(seconds=st.sampled_from([0.01, 0.3, 2.0, 6.0, 31.0, 301.0]))
    def pass_time(self, seconds: float) -> None:
        """Let the clock move on."""
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self._collect()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        """One caller leaves."""
        self.running[data.draw(st.sampled_from(sorted(self.running)))].cancel()
        self.pass_time(0.0)

    @precondition(lambda self: self.running)
    @rule()
    def wait_for_all(self) -> None:
        """All callers get their answer."""
        if self.running:
            self.loop.run_until_complete(asyncio.wait(self.running.values()))
        self._collect()

    def _collect(self) -> None:
        for number, task in list(self.running.items()):
            if task.done():
                del self.running[number]
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                self.ended[number] = error if error is not None else task.result()

    @invariant()
    def nothing_went_wrong_meanwhile(self) -> None:
        """No call to a resting credential, no fourth probe, nothing above the cap, only declared errors."""
        assert not self.world.wrong
        declared = (CopykitError, asyncio.CancelledError)
        for error in self.ended.values():
            if isinstance(error, BaseException):
                assert isinstance(error, declared) or str(error) == "a defect", repr(error)

    @invariant()
    def requests_are_bounded(self) -> None:
        """Four calls a request, three that fail, and repeats within what successes earned."""
        by_request: dict[int, list[Call]] = {}
        for call in self.world.calls:
            by_request.setdefault(call.request, []).append(call)
        repeats = 0
        for calls in by_request.values():
            assert len(calls) <= 4
            whole = [call for call in calls if not call.repair]
            assert len(whole) <= 3
            repeats += sum(one.target == two.target for one, two in pairwise(whole))
        assert repeats <= 0.1 * self.asked + 10

    @invariant()
    def books_agree(self) -> None:
        """With nobody at work nothing is held, and ledger, events, receipts and providers have the same sums."""
        if self.running or self.world.engine is None:
            return
        look = self.engine.router.look()
        for target in look["targets"].values():
            assert (target["in_progress"], target["waiting"]) == (0, 0)
            assert 0.0 <= target["repeats_left"] <= 10.0
        assert look["money"]["reserved_usd"] == 0
        charged = sum(call.charged for call in self.world.calls)
        assert round(look["money"]["spent_usd"] * 1e6) == charged
        started = [event.call for event in self.hook.of(AttemptStarted)]
        ended = [event for event in self.hook.of(AttemptFinished) if event.call]
        assert sorted(event.call for event in ended) == started == sorted(set(started))
        assert len(started) == len(self.world.calls)
        assert round(sum(event.cost_usd or 0.0 for event in ended) * 1e6) == charged
        for number, result in self.ended.items():
            self._check_receipt(number, result)

    def _check_receipt(self, number: int, result: CopywritingOutput | BaseException) -> None:
        charged = sum(call.charged for call in self.world.calls if call.request == number)
        if isinstance(result, CopywritingOutput):
            usage = result.usage
            told = [value for value in usage.model_dump().values() if value is not None]
            assert all(value >= 0 for value in told)
            assert round((usage.cost_usd or 0.0) * 1e6) == charged
            attempts = result.receipt.attempts
        elif isinstance(result, NoProviderSucceeded):
            attempts = list(result.attempts)
        elif isinstance(result, CircuitOpen | BudgetExceeded | DeadlineExceeded | asyncio.CancelledError):
            return
        else:
            return
        assert round(sum(attempt.cost_usd or 0.0 for attempt in attempts) * 1e6) == charged

    def teardown(self) -> None:
        """Let go of everything."""
        for task in self.running.values():
            task.cancel()
        if self.running:
            self.loop.run_until_complete(asyncio.wait(self.running.values()))
        for name in ("one", "two", "three"):
            unregister_provider(name)
        self.loop.close()


TestRequestStory = RequestStory.TestCase
TestRequestStory.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class RestStory(RuleBasedStateMachine):
    """Throttles and refusals of two credentials in any order, beside two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.rests = Cooldowns()
        self.ends = {"one": 0.0, "two": 0.0}

    @rule(
        key=st.sampled_from(["one", "two"]),
        told=st.sampled_from([None, float("nan"), -1.0, 0.0, 2.0, 700.0, 86_400.0, float("inf")]),
    )
    def throttle(self, key: str, told: float | None) -> None:
        """For the time told, 5 s where that is none, a quarter of an hour at most; never shorter than before."""
        usable = told is not None and told > 0
        self.ends[key] = max(self.ends[key], self.now + (min(told or 0.0, 900.0) if usable else 5.0))
        assert self.rests.cool(key, self.now, told, reason="x").until == self.ends[key]

    @rule(key=st.sampled_from(["one", "two"]))
    def refuse(self, key: str) -> None:
        """For five minutes, unless it rests longer already."""
        self.ends[key] = max(self.ends[key], self.now + 300.0)
        assert self.rests.quarantine(key, self.now, reason="x").until == self.ends[key]

    @rule(seconds=st.sampled_from([0.5, 5.0, 299.0, 900.0]))
    def wait(self, seconds: float) -> None:
        """Let the clock move on."""
        self.now += seconds

    @invariant()
    def who_rests_is_known(self) -> None:
        """Each until its own end, and nobody longer."""
        resting = {key: end for key, end in self.ends.items() if end > self.now}
        assert {key: rest.until for key, rest in self.rests.all_resting(self.now).items()} == resting
        for key in self.ends:
            assert (self.rests.resting(key, self.now) is not None) == (key in resting)


TestRestStory = RestStory.TestCase


def test_a_queue_before_a_credential_that_rests() -> None:
    """Twelve callers where eight may be at work: after the first throttle the four that waited send nothing."""
    loop = IdleClockLoop(grace_s=0.0)
    world = World(loop, {"one:a": ("429", 0.2)}, cap=10**9)
    names = tuple(target.partition(":")[0] for target in TARGETS)
    for name in names:
        register_provider(name, partial(Scripted, name, world))
    try:
        world.engine = engine = opened(loop, 10**9, None)

        async def story() -> None:
            callers = (engine.generate(request(n, "one:a")) for n in range(12))
            await asyncio.gather(*callers, return_exceptions=True)

        loop.run_until_complete(story())
        assert len(world.calls) == 8
    finally:
        for name in names:
            unregister_provider(name)
        loop.close()
