"""The breaker on a virtual clock: what opens it, for how long, and what closes it again."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from copykit.routing.breaker import Breaker, BreakerRules, Outcome, Permit


def breaker(chance: float = 0.5) -> Breaker:
    """A breaker whose open times are exact."""
    return Breaker(chance=lambda: chance)


def call(it: Breaker, outcome: Outcome, now: float, latency_s: float | None = 1.0) -> None:
    """One allowed call that ends at once."""
    permit = it.allow(now)
    assert permit is not None
    it.record(permit, outcome, now, latency_s)


def opened(now: float = 0.0, chance: float = 0.5) -> Breaker:
    """A breaker that five dead connections opened."""
    it = breaker(chance)
    for _ in range(5):
        call(it, "transport", now)
    return it


def test_five_dead_connections_in_a_row_open() -> None:
    """Four are not enough, an answer in between starts the row anew, the fifth opens."""
    it = breaker()
    for outcome in ("transport",) * 4 + ("ok",) + ("transport",) * 4:
        call(it, outcome, 0.0)
    assert it.state == "closed"
    call(it, "transport", 0.0)
    assert it.state == "open"
    assert it.allow(0.0) is None


def test_half_of_twenty_calls_failing_opens() -> None:
    """Nineteen calls say nothing; ten failures of twenty open, whatever their order."""
    it = breaker()
    for i in range(19):
        call(it, "ok" if i % 2 else "failure", 0.0)
    assert it.state == "closed"
    call(it, "ok", 0.0)
    assert it.state == "open"


def test_a_provider_that_always_fails_is_left_alone_at_the_twentieth_call() -> None:
    """Answers of 500 are no dead connection: the share decides, at twenty calls."""
    it, calls = breaker(), 0
    while (permit := it.allow(0.0)) is not None:
        it.record(permit, "failure", 0.0)
        calls += 1
    assert calls == 20


def test_calls_older_than_the_window_do_not_count() -> None:
    """Nineteen failures half a minute ago and one now are one failure."""
    it = breaker()
    for _ in range(19):
        call(it, "failure", 0.0)
    call(it, "failure", 31.0)
    assert it.state == "closed"
    assert (it.look(31.0).calls, it.look(31.0).failures) == (1, 1)
    assert it.look(100.0).calls == 0


def test_refusals_throttles_and_cancellations_say_nothing() -> None:
    """A thousand calls without a word on health neither open nor count."""
    it = breaker()
    for _ in range(1000):
        call(it, "none", 0.0)
    assert it.look(0.0).calls == 0
    assert it.state == "closed"


def test_open_times_double_up_to_a_minute() -> None:
    """5, 10, 20, 40, 60, 60 seconds while every probe fails."""
    it, now, lengths = opened(), 0.0, []
    for _ in range(6):
        left = it.opens_in(now)
        lengths.append(left)
        assert it.allow(now + left - 0.001) is None
        now += left
        call(it, "failure", now)
    assert lengths == pytest.approx([5, 10, 20, 40, 60, 60])


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 4.0), (0.5, 5.0), (0.999999, 6.0)])
def test_open_times_are_spread(chance: float, seconds: float) -> None:
    """Up to a fifth shorter or longer."""
    assert opened(chance=chance).opens_in(0.0) == pytest.approx(seconds, rel=1e-5)


def test_five_quiet_minutes_forget_earlier_openings() -> None:
    """An opening soon after closing lasts longer; after five closed minutes it is a first one again."""
    for quiet, length in ((299.0, 10.0), (300.0, 5.0)):
        it = opened()
        for _ in range(3):
            call(it, "ok", 5.0)
        assert it.state == "closed"
        for _ in range(5):
            call(it, "transport", 5.0 + quiet)
        assert it.opens_in(5.0 + quiet) == pytest.approx(length)


def test_three_probes_at_a_time_and_three_answers_close() -> None:
    """A fourth is refused while three are out; one that was cancelled gives its place to another."""
    it = opened()
    permits = [it.allow(5.0) for _ in range(4)]
    assert [p is not None for p in permits] == [True, True, True, False]
    assert it.opens_in(5.0) > 0
    first, second, third = permits[:3]
    assert first is not None
    assert second is not None
    assert third is not None
    it.record(first, "none", 6.0)
    fourth = it.allow(6.0)
    assert fourth is not None
    for permit in (second, third):
        it.record(permit, "ok", 6.0, 1.0)
    assert it.state == "half_open"
    it.record(fourth, "ok", 6.0, 1.0)
    assert it.state == "closed"
    assert it.look(6.0).calls == 0


def test_one_failed_probe_opens_again() -> None:
    """Two answers and a failure are not well; late answers of the same round change nothing."""
    it = opened()
    first, second, third = (it.allow(5.0) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    it.record(first, "ok", 5.0)
    it.record(second, "failure", 5.0)
    assert it.state == "open"
    it.record(third, "ok", 5.0)
    assert it.state == "open"
    assert it.opens_in(5.0) == pytest.approx(10.0)


def test_a_probe_that_never_reports_loses_its_place() -> None:
    """Three probes lost for good do not keep the target out for ever."""
    it = opened()
    lost = [it.allow(5.0) for _ in range(3)]
    assert it.allow(304.0) is None
    assert it.allow(305.0) is not None
    assert lost[0]
    it.record(lost[0], "failure", 306.0)
    assert it.state == "half_open"


def test_calls_that_began_before_the_opening_do_not_touch_what_came_after() -> None:
    """Hundred calls in progress when it opened: their ends neither close it nor open it longer."""
    it = breaker()
    early = [it.allow(0.0) for _ in range(100)]
    for permit in early[:5]:
        assert permit
        it.record(permit, "transport", 1.0)
    assert it.state == "open"
    for permit in early[5:]:
        assert permit
        it.record(permit, "ok", 7.0)
    assert (it.state, it.look(1.0).openings) == ("open", 1)


def test_the_last_target_gets_one_call_per_open_time() -> None:
    """One is let through; its failure changes nothing, its answer begins the probing at once."""
    it = opened()
    permit = it.last_resort(1.0)
    assert permit is not None
    assert it.last_resort(1.0) is None
    it.record(permit, "failure", 1.0)
    assert it.last_resort(2.0) is None
    assert it.opens_in(2.0) == pytest.approx(3.0)
    call(it, "failure", 5.0)
    permit = it.last_resort(6.0)
    assert permit is not None
    it.record(permit, "ok", 6.0, 1.0)
    assert it.state == "half_open"
    for _ in range(2):
        call(it, "ok", 6.0)
    assert it.state == "closed"


def test_a_last_call_that_was_cancelled_may_be_made_again() -> None:
    """It told nothing about the target: the next caller has the open time's one call."""
    it = opened()
    permit = it.last_resort(1.0)
    assert permit is not None
    it.record(permit, "none", 1.0)
    assert it.last_resort(1.0) is not None
    assert it.last_resort(1.0) is None


def test_a_target_ten_times_slower_is_left_alone() -> None:
    """Calls that used to take 2 s take 20: nobody failed, and it opens at four fifths of twenty."""
    it = breaker()
    for second in range(60):
        call(it, "ok", float(second), 2.0)
    now, calls = 200.0, 0
    while (permit := it.allow(now)) is not None:
        it.record(permit, "ok", now, 20.0)
        calls += 1
    assert calls == 20
    call(it, "ok", now + 5.0, 20.0)
    assert it.state == "open"


def test_below_ten_seconds_nothing_is_slow() -> None:
    """From 0.1 s to 9 s is ninety times slower and still served."""
    it = breaker()
    for _ in range(60):
        call(it, "ok", 0.0, 0.1)
    for _ in range(200):
        call(it, "ok", 100.0, 9.0)
    assert it.state == "closed"


def test_a_pace_that_stays_becomes_usual() -> None:
    """A model that is slower for good is served again after enough probes, without a restart."""
    it, now = breaker(), 0.0
    for _ in range(200):
        call(it, "ok", now, 6.0)
    for _ in range(2000):
        now += 1.0
        permit = it.allow(now)
        if permit is not None:
            it.record(permit, "ok", now, 20.0)
    assert it.state == "closed"
    assert not it.is_slow(20.0)


def test_flapping_does_not_make_it_flap() -> None:
    """Ten minutes of every second call failing at random: at most one change of state per five seconds."""
    for seed in range(5):
        random = Random(seed)
        it = Breaker(chance=random.random)
        for tick in range(6000):
            now = tick / 10
            if (permit := it.allow(now)) is not None:
                it.record(permit, "ok" if random.random() < 0.5 else "failure", now, 0.3)
        assert it.look(600.0).transitions <= 120


def test_memory_does_not_grow_with_traffic() -> None:
    """A hundred thousand calls in a minute leave thirty slots and two hundred durations."""
    it = breaker()
    for i in range(100_000):
        call(it, "ok", i * 0.0006, 1.0)
    assert len(it._window.seconds) <= 31
    assert len(it._usual) == 200


class BreakerStory(RuleBasedStateMachine):
    """Calls of every kind, ending in any order and late, while the clock moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.it = breaker()
        self.out: list[tuple[Permit, float]] = []

    @rule(last=st.booleans(), count=st.integers(1, 8))
    def ask(self, last: bool, count: int) -> None:
        for _ in range(count):
            was, left = self.it.state, self.it.opens_in(self.now)
            permit = self.it.last_resort(self.now) if last else self.it.allow(self.now)
            if was == "closed":
                assert permit is not None
            if was == "open" and left > 0 and not last:
                assert permit is None
            if permit is not None:
                self.out.append((permit, self.now))

    @precondition(lambda self: self.out)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["ok", "failure", "transport", "none"]),
        latency=st.sampled_from([None, 0.5, 5.0, 50.0]),
    )
    def end(self, data: Any, outcome: Outcome, latency: float | None) -> None:
        permit, _ = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        was = self.it.state
        self.it.record(permit, outcome, self.now, latency)
        if outcome == "none":
            assert self.it.state == was
        if was == "open" and self.it.state != "open":
            assert permit.probe == -1
            assert outcome == "ok"
        if was == "half_open" and self.it.state == "closed":
            assert outcome == "ok"

    @rule(count=st.integers(1, 30), outcome=st.sampled_from(["ok", "failure", "transport"]))
    def burst(self, count: int, outcome: Outcome) -> None:
        for _ in range(count):
            if (permit := self.it.allow(self.now)) is not None:
                self.it.record(permit, outcome, self.now, 0.5)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 29.0, 31.0, 61.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def sums_hold(self) -> None:
        look = self.it.look(self.now)
        assert 0 <= look.failures <= look.calls
        assert 0 <= look.slow <= look.calls
        assert look.slow + look.failures <= look.calls
        assert 0 <= look.left_s <= 60
        assert (look.left_s == 0) or look.state == "open"
        window = self.it._window
        assert sum(s.calls for s in window.seconds) == look.calls
        assert len(self.it._probes) <= 3
        if look.state == "closed":
            assert look.calls < 20 or (look.failures < look.calls / 2 and look.slow < 0.8 * look.calls)

    @invariant()
    def never_stuck(self) -> None:
        """Whatever happened, a probe gets through within a minute, or once lost ones gave their places back."""
        assert self.it.opens_in(self.now) <= 60


TestBreakerStory = BreakerStory.TestCase


def test_rules_can_be_changed() -> None:
    """A breaker of the user's own figures keeps to them."""
    it = Breaker(BreakerRules(transport_row=1, open_s=1.0, probes=1), chance=lambda: 0.5)
    call(it, "transport", 0.0)
    assert it.opens_in(0.0) == pytest.approx(1.0)
    call(it, "ok", 1.0)
    assert it.state == "closed"
