"""The machines of routing put together on a virtual clock: outages, flapping, throttles, and what reaches the providers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from copykit.errors import (
    AuthenticationFailed,
    CopykitError,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from copykit.routing.breaker import Breaker
from copykit.routing.health import Cooldowns, Latencies
from copykit.routing.retry import Backoff, RetryBudget, classify


class Target:
    """One target with its machines; *says* gives an error for a moment, or None for an answer."""

    def __init__(
        self, whole: RetryBudget, chance: Callable[[], float], says: Callable[[float], object]
    ) -> None:
        self.breaker = Breaker(chance=chance)
        self.budget = RetryBudget(whole)
        self.latencies = Latencies()
        self.says = says
        self.calls = 0


class World:
    """Requests one after another, a hundred a second, each with at most three attempts."""

    def __init__(self, seed: int, *says: Callable[[float], object]) -> None:
        self.random = Random(seed)
        chance = self.random.random
        self.whole = RetryBudget()
        self.targets = [Target(self.whole, chance, one) for one in says]
        self.cooldowns = Cooldowns()
        self.backoff = Backoff(chance=chance)
        self.now = 0.0
        self.waits: list[float] = []

    def request(self) -> bool:
        """Whether one request got an answer."""
        self.now += 0.01
        now, left = self.now, 3
        for number, target in enumerate(self.targets):
            last = number == len(self.targets) - 1
            for retry in range(left):
                if self.cooldowns.resting(number, now):
                    break
                allow = target.breaker.last_resort if last else target.breaker.allow
                permit = allow(now)
                if permit is None:
                    break
                left -= 1
                target.calls += 1
                target.budget.call_began()
                error = target.says(now)
                target.budget.call_ended(ok=error is None)
                if error is None:
                    target.breaker.record(permit, "ok", now, 0.1)
                    return True
                assert isinstance(error, CopykitError)
                what = classify(error)
                target.breaker.record(permit, what.breaker, now)
                told = getattr(error, "retry_after_s", None)
                if what.rest == "quarantine":
                    self.cooldowns.quarantine(number, now, reason=error.code)
                elif what.rest != "none":
                    self.cooldowns.cool(number, now, told, reason=error.code)
                if what.rest != "none" and not last:  # somebody else is free now: nobody waits for a throttle
                    break
                wait = self.backoff.wait_s(retry, what.wait, left_s=60.0, retry_after_s=told)
                if not left or retry >= what.retries or wait is None:
                    break
                repeat = target.budget.take()
                if repeat is None:
                    break
                repeat.close()
                self.waits.append(wait)
                now += wait
        return False

    def run(self, requests: int) -> int:
        """How many of so many requests got an answer."""
        return sum(self.request() for _ in range(requests))


def always(error: ProviderError | None) -> Callable[[float], object]:
    """The same answer at any time."""
    return lambda now: error


SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


@SEEDS
def test_total_outage(seed: int) -> None:
    """Ten thousand requests against a provider that answers 500 for ever: opened by the fortieth call, and a few
    probes in a hundred seconds after that."""
    world = World(seed, always(ProviderUnavailable("500", status=500)))
    assert world.run(10) == 0
    assert world.run(30) == 0
    assert world.targets[0].breaker.state != "closed"
    assert 20 <= world.targets[0].calls <= 40
    assert world.run(9960) == 0
    assert world.targets[0].calls <= 60


@SEEDS
def test_one_half_dead_and_one_dead_provider_beside_a_good_one(seed: int) -> None:
    """Twenty thousand requests over a provider failing half of its calls, a dead one and a good one: 99.9 % answered,
    within 1.1 calls a request and ten for each target."""
    flaky = Random(seed + 100)

    def half(now: float) -> object:
        return ProviderUnavailable("500", status=500) if flaky.random() < 0.5 else None

    world = World(seed, half, always(ProviderUnavailable("refused")), always(None))
    assert world.run(20_000) >= 19_980
    assert sum(target.calls for target in world.targets) <= 1.1 * 20_000 + 30


@SEEDS
def test_a_single_provider_that_fails_a_tenth_of_the_time(seed: int) -> None:
    """Without anybody else, repeats answer nearly all, and stay within a tenth of the requests and ten."""
    flaky = Random(seed)

    def late(now: float) -> object:
        return ProviderTimeout("late") if flaky.random() < 0.1 else None

    world = World(seed, late)
    answered = world.run(10_000)
    assert answered >= 9_800
    assert world.targets[0].calls <= 1.1 * 10_000 + 10


def test_a_throttled_credential_is_left_alone_as_long_as_told() -> None:
    """``Retry-After: 2`` and a second target: one call in the two seconds, all requests answered."""
    world = World(1, lambda now: RateLimited("slow", status=429, retry_after_s=2.0), always(None))
    assert world.run(195) == 195
    assert world.targets[0].calls == 1


def test_a_revoked_key_is_asked_once_in_five_minutes() -> None:
    """No retry, no breaker, no waiting: quarantine, and the next target."""
    world = World(1, always(AuthenticationFailed("revoked", status=401)), always(None))
    assert world.run(29_000) == 29_000
    assert world.targets[0].calls == 1
    assert world.targets[0].breaker.state == "closed"
    assert not world.waits


@SEEDS
def test_an_outage_that_ends_is_noticed(seed: int) -> None:
    """Two minutes of refused connections: a minute and a quarter later at most, all requests are answered."""
    world = World(seed, lambda now: ProviderUnavailable("refused") if now < 120 else None)
    assert world.run(12_000 - 1) == 0
    world.run(7_500)
    assert world.run(1000) == 1000


@SEEDS
def test_one_error_costs_one_repeat(seed: int) -> None:
    """A single 500, then answers: two calls, and a wait of at most a quarter of a second."""
    errors: list[object] = [ProviderUnavailable("500", status=500)]
    world = World(seed, lambda now: errors.pop() if errors else None)
    assert world.request()
    assert world.targets[0].calls == 2
    assert 0 <= world.waits[0] <= 0.25
