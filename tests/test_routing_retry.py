"""What failures mean, how long is waited, how often may be repeated, and how long credentials rest."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from copykit import data, errors
from copykit.routing.health import Cooldowns, Latencies, come_back_s
from copykit.routing.retry import Backoff, Retry, RetryBudget, Treatment, classify

TIMES = st.floats(allow_nan=True, allow_infinity=True) | st.none()


# -- what a failure means


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (errors.ProviderTimeout("late"), {"breaker": "transport", "slows": True, "may_bill": True}),
        (errors.ProviderTimeout("late", status=408), {"breaker": "failure", "slows": True, "retries": 2}),
        (errors.ProviderUnavailable("refused"), {"breaker": "transport", "retries": 2, "rest": "none"}),
        (errors.ProviderUnavailable("500", status=500), {"breaker": "failure", "slows": False}),
        (
            errors.ProviderUnavailable("busy", status=529),
            {"breaker": "failure", "slows": True, "wait": "throttled"},
        ),
        (
            errors.ProviderUnavailable("later", status=503, retry_after_s=2.0),
            {"rest": "cooldown_if_told", "breaker": "failure"},
        ),
        (errors.ProviderUnavailable("never", status=500, retryable=False), {"retries": 0}),
        (errors.ProviderTLSError("expired"), {"breaker": "transport", "retries": 0, "fall_back": "any"}),
        (errors.ProviderProtocolError("html"), {"breaker": "failure", "retries": 1}),
        (errors.TruncatedStream("cut"), {"breaker": "failure", "retries": 1, "may_bill": True}),
        (
            errors.RateLimited("slow", status=429),
            {"breaker": "none", "rest": "cooldown", "wait": "throttled", "slows": True},
        ),
        (
            errors.ProviderQuotaError("spent", status=402),
            {"retries": 0, "rest": "quarantine", "breaker": "none"},
        ),
        (errors.AuthenticationFailed("no", status=401), {"retries": 0, "rest": "quarantine"}),
        (errors.ModelNotFound("gone", status=404), {"retries": 0, "fall_back": "any"}),
        (errors.ContextTooLong("long", status=400), {"retries": 0, "fall_back": "larger", "breaker": "ok"}),
        (errors.ContentRefused("no"), {"retries": 0, "fall_back": "if_allowed", "breaker": "ok"}),
        (errors.MalformedCompletion("prose"), {"retries": 1, "breaker": "ok"}),
        (errors.ProviderError("bad", status=400, retryable=False), {"retries": 0, "breaker": "ok"}),
        (errors.ProviderError("bad", status=400, retryable=True), {"retries": 2, "breaker": "ok"}),
        (errors.ProviderUnavailable("conflict", status=409), {"retries": 2, "breaker": "ok", "slows": False}),
        (errors.ProviderUnavailable("late", status=408), {"retries": 2, "breaker": "failure", "slows": True}),
        (errors.CircuitOpen("open"), {"fall_back": "any", "breaker": "none", "retries": 0}),
        (errors.AllProvidersCooling("all"), {"fall_back": "any"}),
        (errors.BudgetExceeded(1, 1, 1), {"fall_back": "any", "retries": 0}),
        (errors.DeadlineExceeded(1), {"fall_back": "none", "retries": 0}),
        (errors.InvalidRequest("tone", "x", "unknown"), {"fall_back": "none", "retries": 0}),
    ],
    ids=lambda value: f"{type(value).__name__}-{value.status or ''}" if hasattr(value, "status") else None,
)
def test_what_a_failure_means(error: errors.CopykitError, wanted: dict[str, object]) -> None:
    """One row for each class, changed by the status that came and by the error's own word."""
    assert asdict(classify(error)) | wanted == asdict(classify(error))


def test_the_table_names_only_what_there_is() -> None:
    """Rows are classes of the error tree, cells are columns, and each value is one that the code knows."""
    table = data.load_toml("failures.toml")
    classes = {name for name, kind in inspect.getmembers(errors, inspect.isclass)}
    assert table.keys() <= classes
    hints = {
        "breaker": {"ok", "failure", "transport", "none"},
        "rest": {"none", "cooldown", "cooldown_if_told", "quarantine"},
        "fall_back": {"any", "larger", "if_allowed", "none"},
        "wait": {"transient", "throttled"},
    }
    columns = set(Treatment.__dataclass_fields__)
    for row in table.values():
        for cells in (row, *(v for v in row.values() if isinstance(v, dict))):
            flat = {k: v for k, v in cells.items() if not isinstance(v, dict)}
            assert flat.keys() <= columns
            assert all(flat[name] in known for name, known in hints.items() if name in flat)


def test_a_provider_that_insists_on_another_try_gets_it() -> None:
    """``x-should-retry: true`` goes before the class; a refused credential is left alone all the same."""
    gone, refused = errors.ModelNotFound("moving", status=404), errors.AuthenticationFailed("no", status=401)
    gone.retryable = refused.retryable = True
    assert (classify(gone).retries, classify(refused).retries) == (2, 0)


def test_an_error_of_ones_own_is_treated_as_its_parent() -> None:
    """A custom provider may subclass; the nearest row counts."""

    class Busy(errors.RateLimited):
        pass

    assert classify(Busy("busy")) == classify(errors.RateLimited("busy"))


# -- how long is waited


@pytest.mark.parametrize(("wait", "base"), [("transient", 0.25), ("throttled", 1.0)])
def test_the_bound_doubles_up_to_eight_seconds(wait: Any, base: float) -> None:
    """With the chance at its highest the waits are the bounds themselves; at its lowest they are nothing."""
    bounds = [Backoff(chance=lambda: 1.0).wait_s(n, wait, left_s=1000.0) for n in range(8)]
    assert bounds == [min(8.0, base * 2**n) for n in range(8)]
    assert Backoff(chance=lambda: 0.0).wait_s(5, wait, left_s=1000.0) == 0.0
    assert Backoff(chance=lambda: 1.0).wait_s(10**9, wait, left_s=1000.0) == 8.0


def test_a_told_time_is_kept_and_overstayed_a_little() -> None:
    """``Retry-After: 2`` waits two seconds and up to a fifth of one more, never less."""
    assert Backoff(chance=lambda: 0.0).wait_s(0, "throttled", left_s=60.0, retry_after_s=2.0) == 2.0
    assert Backoff(chance=lambda: 1.0).wait_s(
        0, "throttled", left_s=60.0, retry_after_s=2.0
    ) == pytest.approx(2.2)


@pytest.mark.parametrize("told", [121.0, 86400.0, float("inf")])
def test_too_long_a_time_is_not_waited_for(told: float) -> None:
    """Beyond two minutes the credential rests and somebody else is asked."""
    assert Backoff().wait_s(0, "throttled", left_s=1e6, retry_after_s=told) is None


def test_no_wait_that_leaves_no_time_for_the_call() -> None:
    """Neither a told time nor a backoff may use up what the call itself usually takes."""
    backoff = Backoff(chance=lambda: 1.0)
    assert backoff.wait_s(0, "throttled", left_s=10.0, usual_s=9.0, retry_after_s=2.0) is None
    assert backoff.wait_s(0, "throttled", left_s=10.0, usual_s=9.5) is None
    assert backoff.wait_s(0, "throttled", left_s=11.0, usual_s=9.5) == 1.0
    assert backoff.wait_s(0, "transient", left_s=1.2) is None


@given(
    st.integers(0, 50), st.sampled_from(["transient", "throttled"]), st.floats(0, 300), TIMES, st.floats(0, 1)
)
def test_a_wait_is_always_finite_and_leaves_time(
    retry: int, wait: Any, left: float, told: float | None, chance: float
) -> None:
    """Whatever a provider tells, the wait is a number from 0 to 132 that fits in the deadline, or None."""
    seconds = Backoff(chance=lambda: chance).wait_s(retry, wait, left_s=left, retry_after_s=told)
    assert seconds is None or (0 <= seconds <= 132 and seconds + 1 <= left + 1e-9)


# -- how often may be repeated


def test_a_total_outage_is_not_multiplied() -> None:
    """Ten thousand requests that all fail and would all repeat twice: ten repeats."""
    budget, repeats = RetryBudget(), 0
    for _ in range(10_000):
        budget.call_began()
        budget.call_ended(ok=False)
        for _ in range(2):
            if (retry := budget.take()) is not None:
                with retry:
                    repeats += 1
    assert repeats == 10


def test_successes_earn_repeats_slowly() -> None:
    """Ten successes are one repeat, and no more than ten can be saved."""
    budget = RetryBudget()
    for _ in range(10):
        retry = budget.take()
        assert retry
        retry.close()
    assert budget.take() is None
    for count in range(1, 12):
        budget.call_began()
        budget.call_ended(ok=True)
        assert (budget.left >= 1) == (count >= 10)
    for _ in range(1000):
        budget.call_began()
        budget.call_ended(ok=True)
    assert budget.left == 10


def test_repeats_in_progress_are_a_fifth_of_the_calls() -> None:
    """Three at a time with few calls; five with twenty-five."""
    budget = RetryBudget()
    held = [budget.take() for _ in range(4)]
    assert [r is not None for r in held] == [True, True, True, False]
    for _ in range(25):
        budget.call_began()
    held = [budget.take() for _ in range(3)]
    assert [r is not None for r in held] == [True, True, False]


def test_closing_twice_counts_once() -> None:
    """A repeat that ended twice gives one place back."""
    budget = RetryBudget()
    retry = budget.take()
    assert retry
    retry.close()
    retry.close()
    assert budget._repeats == 0


class BudgetStory(RuleBasedStateMachine):
    """Two targets under one budget of the process; calls and repeats in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = RetryBudget()
        self.targets = [RetryBudget(self.whole), RetryBudget(self.whole)]
        self.calls = [0, 0]
        self.ok = [0, 0]
        self.taken = [0, 0]
        self.held: list[tuple[int, Retry]] = []

    @rule(which=st.integers(0, 1))
    def begin(self, which: int) -> None:
        self.targets[which].call_began()
        self.calls[which] += 1

    @precondition(lambda self: any(self.calls))
    @rule(which=st.integers(0, 1), ok=st.booleans())
    def end(self, which: int, ok: bool) -> None:
        which = which if self.calls[which] else 1 - which
        self.targets[which].call_ended(ok=ok)
        self.calls[which] -= 1
        self.ok[which] += ok

    @rule(which=st.integers(0, 1), wanted=st.integers(1, 12))
    def repeat(self, which: int, wanted: int) -> None:
        for _ in range(wanted):
            before = self.targets[which].left, self.whole.left
            retry = self.targets[which].take()
            if retry is None:
                assert (self.targets[which].left, self.whole.left) == before
                return
            self.taken[which] += 1
            self.held.append((which, retry))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))[1].close()

    @invariant()
    def within_the_bound(self) -> None:
        for which in (0, 1):
            assert self.taken[which] <= 10 + 0.1 * self.ok[which] + 1e-9
        assert sum(self.taken) <= 10 + 0.1 * sum(self.ok) + 1e-9
        assert 0 <= self.whole.left <= 10
        assert self.whole._repeats == len(self.held)


TestBudgetStory = BudgetStory.TestCase


# -- how long credentials rest


def test_of_two_ends_the_later_counts() -> None:
    """A second, shorter throttle does not shorten the first; a longer one prolongs it."""
    rests = Cooldowns()
    rests.cool("a", 0.0, 60.0, reason="rate_limited")
    rests.cool("a", 10.0, 2.0, reason="rate_limited")
    assert rests.resting("a", 59.9)
    assert rests.resting("a", 60.0) is None
    rests.cool("a", 60.0, 2.0, reason="rate_limited")
    rests.quarantine("a", 60.0, reason="provider_auth")
    rest = rests.cool("a", 61.0, 5.0, reason="rate_limited")
    assert (rest.kind, rest.until, rest.reason) == ("quarantine", 360.0, "provider_auth")


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(None, 5), (0.0, 5), (-1.0, 5), (float("nan"), 5), (2.0, 2), (86400.0, 900), (float("inf"), 900)],
)
def test_what_a_told_time_comes_to(told: float | None, seconds: float) -> None:
    """What is no positive number is five seconds; nothing is longer than a quarter of an hour."""
    rests = Cooldowns()
    assert rests.cool("a", 100.0, told, reason="rate_limited").until == 100.0 + seconds


def test_one_credential_resting_leaves_the_others_alone() -> None:
    """Keys are separate, and what passed is forgotten."""
    rests = Cooldowns()
    rests.quarantine(("openai", "first"), 0.0, reason="provider_auth")
    assert rests.resting(("openai", "second"), 0.0) is None
    assert set(rests.all_resting(1.0)) == {("openai", "first")}
    assert rests.all_resting(300.0) == {}
    for i in range(10_000):
        rests.cool(i, float(i * 10), reason="rate_limited")
    assert len(rests._rests) <= 1


@given(st.lists(st.tuples(st.floats(0, 100), TIMES, st.booleans()), max_size=20))
def test_a_rest_never_gets_shorter(throttles: list[tuple[float, float | None, bool]]) -> None:
    """Whatever comes in whatever order: the end only moves later, and never beyond fifteen minutes from now."""
    rests, now, end = Cooldowns(), 0.0, 0.0
    for step, told, dead in throttles:
        now += step
        rest = rests.quarantine("k", now, reason="x") if dead else rests.cool("k", now, told, reason="x")
        assert rest.until >= end
        assert now <= rest.until <= max(end, now + 900)
        end = rest.until


@pytest.mark.parametrize(
    ("ends", "chance", "seconds"),
    [
        ([], 0.5, 1.0),
        ([110.0, 105.0], 0.5, 5.0),
        ([110.0], 0.0, 8.0),
        ([1e6], 1.0, 60.0),
        ([100.1], 0.5, 1.0),
    ],
)
def test_when_to_come_back(ends: list[float], chance: float, seconds: float) -> None:
    """The soonest end, a fifth more or less, between one second and a minute."""
    assert come_back_s(ends, 100.0, chance=lambda: chance) == pytest.approx(seconds)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400), st.floats(0, 1))
def test_quantiles_are_those_of_the_last_two_hundred(values: list[float], share: float) -> None:
    """The running order equals sorting the last two hundred anew."""
    seen = Latencies()
    assert seen.quantile(0.5) is None
    for value in values:
        seen.add(value)
    last = sorted(values[-200:])
    assert len(seen) == len(last)
    found = seen.quantile(share)
    assert found in last
    assert sum(v <= found for v in last if found is not None) >= share * len(last) - 1e-9
