"""Deployments: which of their targets is asked first, a second one beside a late one, and what a job brought."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from copykit import CopywritingInput, CopywritingService, CopywritingServiceV11
from copykit.brief.compile import compile_brief
from copykit.cli.providers import survey
from copykit.errors import (
    ConfigurationError,
    ContentRefused,
    InvalidRequest,
    NoProviderSucceeded,
    ProviderUnavailable,
)
from copykit.models import Usage
from copykit.performance import PerformanceConfig
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider, unregister_provider
from copykit.routing.asking import Given
from copykit.routing.balance import Hedges, order
from copykit.routing.router import Router
from copykit.routing.targets import Targets
from copykit.settings import RoutingSettings, Settings
from copykit.testing import FakeClock, FakeProvider, RecordingHook

TEXT = "Norr, the oak desk. See it today."
REQUEST = CopywritingInput(product_description="Oak desk", product_name="Norr", target_platform="x.post")
WEIGHTED = (("one", 3.0), ("two", 1.0))


def settings_of(**routing: Any) -> Settings:
    """Give settings over the fakes."""
    return Settings(routing=RoutingSettings(**routing))


class Hedged:
    """A router that hedges, over two fakes that answered often; sleeping is the only time that passes."""

    def __init__(self, *, share: float = 1.0) -> None:
        self.clock = FakeClock()
        self.one, self.two = FakeProvider("one"), FakeProvider("two")
        self.one.will_say({"text": TEXT})
        self.two.will_say({"text": TEXT})
        self.router = Router(
            settings_of(providers=("one", "two"), hedge_share=share),
            RecordingHook(),
            self.clock,
            sleep=self.sleep,
        )
        for name in ("one", "two"):
            for _ in range(20):
                self.router.targets.of(name).usual.add(2.0)

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and whoever can go on do so."""
        self.clock.advance(seconds)
        for _ in range(5):
            await asyncio.sleep(0)

    def begin(self, request: CopywritingInput = REQUEST) -> Any:
        """Begin a request to both."""
        return self.router.begin(compile_brief(request), ("one", "two"), deadline_at=self.clock() + 60)


async def turns() -> None:
    """Let whoever can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def hedged() -> Iterator[Hedged]:
    """Give a world that hedges."""
    world = Hedged()
    register_provider("one", lambda: world.one)
    register_provider("two", lambda: world.two)
    yield world
    unregister_provider("one")
    unregister_provider("two")


def test_a_deployment_opens_in_its_place() -> None:
    """A list is asked in its order, a mapping's targets share one place; what is no alias is a target."""
    routing = RoutingSettings(
        ("main", "phrasebank"), deployments={"main": ["one:a", "two"], "shared": {"one": 3, "two": 1}}
    )
    assert routing.groups(routing.providers) == (
        (("one:a", 1.0),),
        (("two", 1.0),),
        (("phrasebank", 1.0),),
    )
    assert routing.groups(("shared",)) == (WEIGHTED,)
    assert routing.targets == ("one:a", "two", "phrasebank")


def test_a_file_names_deployments(tmp_path: Path) -> None:
    """As tables of copykit.toml, beside how they are balanced."""
    file = tmp_path / "copykit.toml"
    file.write_text(
        '[routing]\nproviders = ["main"]\nbalance = "fastest"\nhedge_share = 0.05\n'
        '[routing.deployments]\nmain = { "openai:gpt-6-luna" = 3, phrasebank = 1 }\nplain = ["phrasebank"]\n'
    )
    routing = Settings.from_env({}, file=file).routing
    assert routing.targets == ("openai:gpt-6-luna", "phrasebank")
    assert (routing.balance, routing.hedge_share) == ("fastest", 0.05)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"deployments": {"a:b": ["one"]}}, "an alias is a name without a colon"),
        ({"deployments": {"main": []}}, "must be a list of targets, or targets with weights"),
        (
            {"deployments": {"main": {"one": 0}}},
            r"routing\.deployments\.main\.one=0: a weight is a number above 0",
        ),
        ({"deployments": {"main": ["other"], "other": ["one"]}}, "'other' is a deployment itself"),
        ({"deployments": {"main": [3]}}, "3 is no target"),
        ({"deployments": ["one"]}, "must map an alias to its targets"),
        ({"balance": "least-loaded"}, "nearest: least_loaded"),
        ({"hedge_share": 2}, "must be a number from 0 to 1"),
        ({"repeats": 1.5}, "must be a whole number"),
        ({"breaker": "yes"}, "must be true or false"),
    ],
)
def test_a_wrong_deployment_is_told(wrong: dict[str, Any], told: str) -> None:
    """With its name, and what is wanted."""
    with pytest.raises(ConfigurationError, match=told):
        RoutingSettings(**wrong)


def test_an_alias_whose_target_is_unknown_is_told_at_the_start() -> None:
    """Like a target that the settings name themselves."""
    with pytest.raises(ConfigurationError, match=r"'phrasebnk'.*nearest: phrasebank"):
        CopywritingService(settings_of(providers=("main",), deployments={"main": ["phrasebnk"]}))


def test_weights_say_how_often_a_target_is_first() -> None:
    """Over many requests; the other one always follows, for the case that the first fails."""
    targets, chance = Targets(), Random(7).random
    drawn = [order([WEIGHTED, (("three", 1.0),)], targets, chance=chance) for _ in range(4_000)]
    assert {names[2] for names in drawn} == {"three"}
    share = Counter(names[0] for names in drawn)["one"] / len(drawn)
    assert 0.72 < share < 0.78


def test_of_two_the_less_loaded_is_asked() -> None:
    """Whatever the weights drew: four calls in progress of eight against none."""
    targets = Targets()
    group = (("one", 1.0), ("two", 1.0))

    async def story() -> set[str]:
        slots = [targets.of("one").slots.slot() for _ in range(4)]
        for slot in slots:
            await slot.__aenter__()
        return {order([group], targets, balance="least_loaded")[0] for _ in range(50)}

    assert asyncio.run(story()) == {"two"}


def test_the_fastest_is_asked_but_the_others_are_tried_now_and_then() -> None:
    """By the usual time of their answers; one in twenty requests goes where the weights say."""
    targets, chance = Targets(), Random(3).random
    targets.of("one").usual.add(2.0)
    targets.of("two").usual.add(0.5)
    group = (("one", 1.0), ("two", 1.0))
    first = Counter(order([group], targets, balance="fastest", chance=chance)[0] for _ in range(2_000))
    assert 20 < first["one"] < 90


def test_a_request_may_name_an_alias_and_its_copy_is_kept_whoever_wrote_it(
    hedged: Hedged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The targets of a weighted deployment share a cache key: the second request is a hit."""
    monkeypatch.chdir(tmp_path)
    hedged.one.will_say(ProviderUnavailable("down", status=503))
    settings = settings_of(
        providers=("phrasebank",), deployments={"shared": {"one": 1e6, "two": 1e-6}}, repeats=0
    )

    async def story() -> tuple[Any, Any]:
        async with CopywritingServiceV11(settings) as desk:
            request = REQUEST.model_copy(update={"provider": "shared"})
            hedged.one._queue.popleft()
            return await desk.generate(request), await desk.generate(request)

    first, second = asyncio.run(story())
    assert [(a.target, a.outcome) for a in first.receipt.attempts] == [
        ("one", "provider_unavailable"),
        ("two", "ok"),
    ]
    assert second.cached


def test_an_alias_takes_no_model() -> None:
    """Its targets name theirs."""
    desk = CopywritingService(settings_of(providers=("phrasebank",), deployments={"main": ["phrasebank"]}))
    request = REQUEST.model_copy(update={"provider": "main", "model": "gpt-6-luna"})
    with pytest.raises(InvalidRequest, match="names a model, beside a provider"):
        asyncio.run(desk.generate(request))


def test_a_late_target_gets_a_second_one_beside_it(hedged: Hedged) -> None:
    """After its usual 95th percentile the next target is asked; the slower call is cancelled and stands in the receipt."""
    hedged.one.gate = asyncio.Event()
    asking = hedged.begin()
    answer = asyncio.run(asking.next())
    assert answer.target == "two"
    told = [(a.target, a.outcome, a.reason) for a in asking.attempts]
    assert sorted(told) == [("one", "cancelled", None), ("two", "ok", "one was late")]
    assert hedged.router.targets.of("one").slots.in_progress == 0


def test_what_is_in_time_is_not_hedged(hedged: Hedged) -> None:
    """The first answer is taken, and nobody else was asked."""
    assert asyncio.run(hedged.begin().next()).target == "one"
    assert hedged.two.asked == []


def test_a_hedge_that_fails_leaves_the_first_its_time(hedged: Hedged) -> None:
    """The late target's answer still counts."""
    hedged.one.gate = asyncio.Event()
    hedged.two = FakeProvider("two").will_say(ProviderUnavailable("down", status=503))
    asking = hedged.begin()

    async def story() -> Any:
        task = asyncio.ensure_future(asking.next())
        await hedged.two.started.wait()
        await turns()
        assert hedged.one.gate is not None
        hedged.one.gate.set()
        return await task

    assert asyncio.run(story()).target == "one"
    assert [(a.target, a.outcome) for a in asking.attempts] == [
        ("two", "provider_unavailable"),
        ("one", "ok"),
    ]


def test_if_both_fail_the_request_fails_with_both_told(hedged: Hedged) -> None:
    """Neither is asked a third time: a hedge is a call of the request's three."""
    hedged.one = FakeProvider("one").will_say(ContentRefused("no", target="one"))
    hedged.two = FakeProvider("two").will_say(ProviderUnavailable("down", status=503))
    hedged.one.gate = asyncio.Event()
    asking = hedged.begin()

    async def story() -> None:
        task = asyncio.ensure_future(asking.next())
        await hedged.two.started.wait()
        await turns()
        assert hedged.one.gate is not None
        hedged.one.gate.set()
        await task

    with pytest.raises(NoProviderSucceeded):
        asyncio.run(story())
    assert [a.target for a in asking.attempts] == ["two", "one"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.router.targets.of("two").slots.limit.throttled(0.0, w.clock()),
        lambda w: w.router.targets.of("one").slots.limit.throttled(0.0, w.clock()),
        lambda w: [w.router.targets.of("two").repeats.take() for _ in range(3)],
        lambda w: setattr(w.router, "hedges", Hedges(0.0)),
        lambda w: (
            w.router.targets.of("one").usual._sorted.clear()
            or w.router.targets.of("one").usual._recent.clear()
        ),
    ],
    ids=["other throttled", "itself throttled", "no repeats left", "off", "too little known"],
)
def test_nobody_is_hedged_in_bad_times(hedged: Hedged, spoil: Any) -> None:
    """Not where a limit was just cut, no repeats are left, or nobody knows what is late."""
    spoil(hedged)
    hedged.one.gate = asyncio.Event()
    asking = hedged.begin()

    async def story() -> Any:
        task = asyncio.ensure_future(asking.next())
        await turns()
        assert hedged.one.gate is not None
        hedged.one.gate.set()
        return await task

    assert asyncio.run(story()).target == "one"
    assert hedged.two.asked == []


def test_copy_that_is_not_kept_is_not_hedged(hedged: Hedged) -> None:
    """With the cache off nothing says that the same request may be asked twice."""
    asking = hedged.begin(REQUEST.model_copy(update={"cache": "off"}))
    assert asking._hedges is False


def test_no_more_hedges_than_the_share_of_a_minute() -> None:
    """Five of a hundred requests, and none once the minute with the requests is over."""
    hedges = Hedges(0.05)
    for at in range(100):
        hedges.began(at * 0.1)
    assert [hedges.take(11.0) for _ in range(7)] == [True] * 5 + [False] * 2
    hedges.began(80.0)
    assert not hedges.take(80.0)


def test_what_a_job_brought_is_judged_and_charged_at_its_rate(hedged: Hedged) -> None:
    """No call is made; the receipt says where the answer is from, and what it cost at half the price."""
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    completion = Completion(text=json.dumps({"variants": [{"fields": {"text": TEXT}}]}), usage=usage)
    router = hedged.router
    money = router.ledger.reserve(5.0)
    given = Given("openai:gpt-6-luna", completion, money)
    asking = router.begin(compile_brief(REQUEST), ("openai:gpt-6-luna", "two"), given=given)
    answer = asyncio.run(asking.next())
    assert answer.target == "openai:gpt-6-luna"
    full = router.prices.cost_usd("openai:gpt-6-luna", usage)
    assert full is not None
    assert asking.usage.cost_usd == pytest.approx(full / 2)
    assert asking.attempts[0].reason == "from a batch job"
    assert asking._caller.calls == 1  # of the four that a request may make
    look = router.ledger.look()
    assert (look.spent_usd, look.reserved_usd) == (pytest.approx(full / 2), 0.0)
    assert hedged.one.asked == hedged.two.asked == []


def test_what_a_job_failed_to_write_is_asked_for_at_once(hedged: Hedged) -> None:
    """The targets are asked in their order, the job's failure stands first in the receipt, and it cost nothing."""
    given = Given("one", ProviderUnavailable("expired", target="one"), hedged.router.ledger.reserve(1.0))
    asking = hedged.router.begin(compile_brief(REQUEST), ("one", "two"), given=given)
    assert asyncio.run(asking.next()).target == "one"
    assert [(a.outcome, a.reason) for a in asking.attempts] == [
        ("provider_unavailable", "from a batch job: expired"),
        ("ok", None),
    ]
    assert hedged.router.ledger.look().reserved_usd == 0.0


def test_a_job_whose_answer_holds_no_copy_is_paid_and_asked_again(hedged: Hedged) -> None:
    """As a call's would be."""
    given = Given("one", Completion(text='{"variants": []}'), None)
    asking = hedged.router.begin(compile_brief(REQUEST), ("one", "two"), given=given)
    assert asyncio.run(asking.next()).target == "one"
    assert len(hedged.one.asked) == 1


def test_a_refusal_of_a_job_ends_the_request_as_a_calls_does(hedged: Hedged) -> None:
    """Unless the settings allow another target to be asked."""
    given = Given("one", ContentRefused("no", target="one"), None)
    asking = hedged.router.begin(compile_brief(REQUEST), ("one", "two"), given=given)
    with pytest.raises(NoProviderSucceeded):
        asyncio.run(asking.next())
    assert hedged.one.asked == []


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        (PerformanceConfig(load_balancing=True), "balance", "least_loaded"),
        (PerformanceConfig(), "balance", None),
        (PerformanceConfig(auto_scaling=True), "most_calls", 256),
        (PerformanceConfig(max_workers=5), "most_calls", 5),
        (PerformanceConfig(circuit_breaker=False), "breaker", False),
        (PerformanceConfig(retry_mechanism=False), "repeats", 0),
        (PerformanceConfig(), "repeats", 2),
    ],
)
def test_the_form_of_thirteen_fields_sets_pace_and_health(
    config: PerformanceConfig, name: str, expected: Any
) -> None:
    """Each switch stands for a setting with a meaning."""
    assert getattr(config.applied_to(settings_of(providers=("phrasebank",))).routing, name) == expected


def test_the_form_says_what_the_settings_have() -> None:
    """Where it leaves a switch to them."""
    filled = PerformanceConfig().filled_from(settings_of(providers=("phrasebank",), breaker=False, repeats=0))
    assert (filled.circuit_breaker, filled.retry_mechanism) == (False, False)


def test_without_a_breaker_a_target_is_asked_however_often_it_fails(hedged: Hedged) -> None:
    """Six requests to a target that nobody answers at: with a breaker five are enough to leave it alone."""
    hedged.one = FakeProvider("one").will_say(ProviderUnavailable("down"))

    def asked(**routing: Any) -> int:
        hedged.one.asked.clear()
        router = Router(settings_of(providers=("one",), repeats=0, **routing), RecordingHook(), hedged.clock)

        async def story() -> None:
            for _ in range(8):
                asking = router.begin(compile_brief(REQUEST), ("one", "two"), deadline_at=hedged.clock() + 60)
                await asking.next()

        asyncio.run(story())
        return len(hedged.one.asked)

    assert (asked(), asked(breaker=False)) == (5, 8)


def test_calls_of_a_target_stay_at_the_workers_unless_they_may_grow(hedged: Hedged) -> None:
    """Twenty requests at once: three at a time in the one, more and more in the other."""

    def most(**routing: Any) -> int:
        settings = settings_of(providers=("one",), **routing)
        router = Router(
            PerformanceConfig(max_workers=3, **form).applied_to(settings), RecordingHook(), hedged.clock
        )

        async def story() -> None:
            hedged.one.gate = asyncio.Event()
            requests = [router.begin(compile_brief(REQUEST), ("one",), deadline_at=1e9) for _ in range(20)]
            answers = asyncio.gather(*(asking.next() for asking in requests))
            await turns()
            hedged.one.gate.set()
            await answers

        asyncio.run(story())
        return router.targets.of("one").slots.limit.limit

    form: dict[str, Any] = {}
    assert most() == 3
    form = {"auto_scaling": True}
    assert most() > 6


def test_whoever_lists_targets_lists_those_of_deployments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health and `copykit providers` see what an alias stands for, not the alias."""
    monkeypatch.chdir(tmp_path)
    settings = settings_of(providers=("main",), deployments={"main": {"phrasebank": 1}})

    async def story() -> dict[str, Any]:
        async with CopywritingService(settings) as desk:
            told: dict[str, Any] = await desk.health()
            return told

    told = asyncio.run(story())
    assert (told["status"], told["providers"]) == ("ok", ["phrasebank"])
    standing = asyncio.run(survey(settings, reach=False))
    assert [one.target for one in standing if one.place == 1] == ["phrasebank"]
