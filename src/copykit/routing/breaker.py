"""Leave a target alone after it failed often, and find out with few calls when it is well again."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from sys import maxsize
from typing import Literal, NamedTuple

from .health import Latencies

__all__ = ["Breaker", "BreakerRules", "BreakerState", "Outcome", "Permit"]

Outcome = Literal["ok", "failure", "transport", "none"]
"""What a call says about its target's health: see the column ``breaker`` of ``data/failures.toml``."""
State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens, for how long, and what closes it.

    The window, the shares and the probes follow the settings that the common breaker libraries ship with
    (failure rate 50 %, a minimum of calls, slow calls apart); the times are chosen for calls that take seconds.
    """

    window_s: float = 30.0
    """How far back finished calls count."""
    min_calls: int = 20
    """Finished calls below which shares say nothing."""
    failure_share: float = 0.5
    slow_share: float = 0.8
    slow_factor: float = 2.0
    """A call is slow when it takes more than this times the usual 95th percentile,"""
    slow_floor_s: float = 10.0
    """and more than this: below it, slowness hurts nobody enough to leave a target that answers."""
    transport_row: int = 5
    """Transport failures in a row that open at once: nobody listens there."""
    open_s: float = 5.0
    """The first open time; doubled by each opening that follows."""
    open_max_s: float = 60.0
    jitter: float = 0.2
    """Share by which an open time is longer or shorter, so that processes do not probe together."""
    forget_s: float = 300.0
    """Time closed after which the next opening counts as the first."""
    probes: int = 3
    """Calls at a time while half open, and answers that close."""
    probe_lease_s: float = 300.0
    """After this a probe that never reported gives its place back: the longest deadline there is, a batch item's."""

    @classmethod
    def never(cls) -> BreakerRules:
        """Give rules under which a breaker only counts, and never opens."""
        return cls(min_calls=maxsize, transport_row=maxsize)


class Permit(NamedTuple):
    """Leave for one call; to be handed back to `Breaker.record` whatever became of the call."""

    era: int
    """State in which it was given: what a call says counts only there."""
    probe: int = 0
    """Number of the probe while half open, 0 for an ordinary call, -1 for the last resort's."""


@dataclass(frozen=True, slots=True)
class BreakerState:
    """One look at a breaker, for statistics."""

    state: State
    calls: int
    """Finished in the window, as the next two."""
    failures: int
    slow: int
    openings: int
    """In a row, without five closed minutes in between."""
    transitions: int
    """Changes of state since the breaker was made."""
    left_s: float
    """Until the open time ends; 0 unless open."""


@dataclass(slots=True)
class _Second:
    """The calls that finished within one slot of the window."""

    number: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass(slots=True)
class _Window:
    """Sums over the last seconds in thirty slots, whatever the number of calls."""

    length_s: float
    slots: int = 30
    seconds: deque[_Second] = field(default_factory=deque)
    calls: int = 0
    failures: int = 0
    slow: int = 0

    def trim(self, now: float) -> int:
        number = int(now * self.slots / self.length_s)
        while self.seconds and self.seconds[0].number <= number - self.slots:
            old = self.seconds.popleft()
            self.calls -= old.calls
            self.failures -= old.failures
            self.slow -= old.slow
        return number

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        number = self.trim(now)
        if not self.seconds or self.seconds[-1].number < number:
            self.seconds.append(_Second(number))
        second = self.seconds[-1]
        second.calls, self.calls = second.calls + 1, self.calls + 1
        second.failures, self.failures = second.failures + failed, self.failures + failed
        second.slow, self.slow = second.slow + slow, self.slow + slow

    def clear(self) -> None:
        self.seconds.clear()
        self.calls = self.failures = self.slow = 0


class Breaker:
    """The breaker of one target with one credential. Not thread-safe, never waits, reads no clock.

    ::

        permit = breaker.allow(now)
        if permit is None: ...                  # leave it alone; `opens_in` says for how long
        ...                                     # one call
        breaker.record(permit, "ok", now, latency_s)   # "none" if it was cancelled: a probe gives its place back

    *now* is monotonic seconds, in any order within one slot (a second); *chance* gives numbers in [0, 1).
    """

    def __init__(
        self, rules: BreakerRules | None = None, *, chance: Callable[[], float] = random.random
    ) -> None:
        self.rules = rules or BreakerRules()
        self.state: State = "closed"
        self._chance = chance
        self._window = _Window(self.rules.window_s)
        self._usual = Latencies()
        self._row = 0
        self._openings = 0
        self._until = 0.0
        self._closed_at: float | None = None
        """Since when closed again; None before the first opening, from which nothing has to be forgotten."""
        self._era = 0
        self._asked = 0
        self._probes: dict[int, float] = {}
        self._answers = 0
        self._resorted = False

    def allow(self, now: float) -> Permit | None:
        """Give leave for one call, None while the target is to be left alone."""
        if self.state == "closed":
            return Permit(self._era)
        if self.state == "open":
            if now < self._until:
                return None
            self._enter("half_open")
        return self._probe(now)

    def last_resort(self, now: float) -> Permit | None:
        """Give leave for one call per open time although the target is open: for when there is no other."""
        if self.state != "open" or now >= self._until:
            return self.allow(now)
        if self._resorted:
            return None
        self._resorted = True
        return Permit(self._era, -1)

    def honours(self, permit: Permit) -> bool:
        """Whether a call that *permit* allowed, and that was not sent yet, may still be: not once the breaker has opened."""
        return self.state == "closed" or permit.era == self._era

    def record(self, permit: Permit, outcome: Outcome, now: float, latency_s: float | None = None) -> None:
        """Take in what became of the call that *permit* allowed; *latency_s* if it ran to an answer.

        Calls that began before the state changed say nothing about the target now, and change nothing.
        """
        if permit.era != self._era or (permit.probe > 0 and self._probes.pop(permit.probe, None) is None):
            return
        if outcome == "none":
            if permit.probe < 0:
                self._resorted = False
            return
        failed = outcome != "ok"
        slow = not failed and latency_s is not None and self.is_slow(latency_s)
        if self.state == "closed":
            self._finished(outcome, failed, slow, now, latency_s)
        elif failed or slow:
            if (
                slow and latency_s is not None
            ):  # one that is slow for good is taken at its new pace, bit by bit
                self._usual.add(min(latency_s, self._slow_limit()))
            if permit.probe > 0:
                self._open(now)
        else:
            self._answered(permit, now)

    def is_slow(self, latency_s: float) -> bool:
        """Say whether a call of this length is slow for this target; never before it has a usual length."""
        return len(self._usual) >= self.rules.min_calls and latency_s > self._slow_limit()

    def opens_in(self, now: float) -> float:
        """Give the seconds until a call will be let through; 0 if one may be now."""
        if self.state == "open":
            return max(0.0, self._until - now)
        if self.state == "half_open" and len(self._live_probes(now)) >= self.rules.probes:
            return 1.0  # as soon as a probe comes back, which nobody can say
        return 0.0

    def look(self, now: float) -> BreakerState:
        """Give the figures of this moment."""
        self._window.trim(now)
        return BreakerState(
            self.state,
            self._window.calls,
            self._window.failures,
            self._window.slow,
            self._openings,
            self._era,
            max(0.0, self._until - now) if self.state == "open" else 0.0,
        )

    def _finished(
        self, outcome: Outcome, failed: bool, slow: bool, now: float, latency_s: float | None
    ) -> None:
        self._row = self._row + 1 if outcome == "transport" else 0
        self._window.add(now, failed=failed, slow=slow)
        if latency_s is not None and not failed and not slow:  # slow ones would make themselves usual
            self._usual.add(latency_s)
        seen, rules = self._window, self.rules
        enough = seen.calls >= rules.min_calls
        too_many = (
            seen.failures >= rules.failure_share * seen.calls or seen.slow >= rules.slow_share * seen.calls
        )
        if self._row >= rules.transport_row or (enough and too_many):
            self._open(now)

    def _answered(self, permit: Permit, now: float) -> None:
        if permit.probe < 0:  # the last resort's call found it well: go on probing at once
            self._enter("half_open")
        self._answers += 1
        if self._answers >= self.rules.probes:
            self._enter("closed")
            self._closed_at = now

    def _open(self, now: float) -> None:
        if self._closed_at is not None and now - self._closed_at >= self.rules.forget_s:
            self._openings = 0
        rules = self.rules
        length_s = min(rules.open_max_s, rules.open_s * 2.0 ** min(self._openings, 30))
        self._until = now + length_s * (1 - rules.jitter + 2 * rules.jitter * self._chance())
        self._openings += 1
        self._closed_at = None
        self._enter("open")

    def _enter(self, state: State) -> None:
        self.state = state
        self._era += 1
        self._window.clear()
        self._probes.clear()
        self._row = self._answers = 0
        self._resorted = False

    def _probe(self, now: float) -> Permit | None:
        if len(self._live_probes(now)) >= self.rules.probes:
            return None
        self._asked += 1
        self._probes[self._asked] = now
        return Permit(self._era, self._asked)

    def _live_probes(self, now: float) -> dict[int, float]:
        lease_s = self.rules.probe_lease_s
        for number in [n for n, began in self._probes.items() if now - began >= lease_s]:
            del self._probes[number]
        return self._probes

    def _slow_limit(self) -> float:
        return max(self.rules.slow_floor_s, self.rules.slow_factor * (self._usual.quantile(0.95) or 0.0))
