"""What the router knows of each target between calls, and of the credentials they share."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from copykit.routing.breaker import Breaker, BreakerRules, Permit
from copykit.routing.health import Cooldowns, Latencies, Rest
from copykit.routing.limits import AdaptiveLimit, Concurrency
from copykit.routing.retry import RetryBudget

if TYPE_CHECKING:
    from copykit.reports.routing import TargetLook, TargetsLook

__all__ = ["Target", "Targets"]


class Target:
    """Health, pace and repeats of one ``name:model``."""

    def __init__(
        self,
        name: str,
        *,
        limit: AdaptiveLimit,
        repeats: RetryBudget,
        rules: BreakerRules,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.name = name
        self.provider, _, self.model = name.partition(":")
        self.breaker = Breaker(rules, chance=chance)
        self.slots = Concurrency(limit, clock=clock)
        self.usual = Latencies()
        self.repeats = RetryBudget(repeats)
        self.accepted = 0
        """Answers whose copy passed, and"""
        self.rejected = 0
        """those whose copy did not: quality, which says nothing of health."""

    def look(self, now: float) -> TargetLook:
        """Give the figures of this moment, as `get_performance_stats` shows them."""
        breaker = self.breaker.look(now)
        return {
            "breaker": breaker.state,
            "opens_in_s": round(self.breaker.opens_in(now), 3),
            "openings": breaker.openings,
            "recent_calls": breaker.calls,
            "recent_failures": breaker.failures,
            "limit": self.slots.limit.limit,
            "in_progress": self.slots.in_progress,
            "waiting": self.slots.waiting,
            "median_s": self.usual.quantile(0.5),
            "repeats_left": self.repeats.left,
            "accepted": self.accepted,
            "rejected": self.rejected,
        }


class Targets:
    """All targets of one engine. A credential is its provider's: what one model is refused for, all are.

    Args:
        start: calls at a time that a target is trusted with at first.
        most: calls at a time, however many a target takes.
        configured: names that the settings hold; they are never forgotten, others only while there is room.
        rules: when a target is left alone.
        clock: monotonic seconds.
        chance: numbers in [0, 1), for jitter.
    """

    def __init__(
        self,
        *,
        start: int = 8,
        most: int = 256,
        configured: Iterable[str] = (),
        rules: BreakerRules | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.rests = Cooldowns()
        self._start, self._most = min(start, most), most
        self._rules = rules or BreakerRules()
        self._clock = clock
        self._chance = chance
        self._repeats = RetryBudget()
        self._configured = frozenset(configured)
        self._known: dict[str, Target] = {}

    def of(self, name: str) -> Target:
        """Give the state of *name*, new if it was never asked."""
        if name in self._configured:
            target = self._known.get(name)
            if target is None:
                target = self._known[name] = self._new(name)
            return target
        target = self._known.pop(name, None)
        if target is None:
            self._make_room()
            target = self._new(name)
        self._known[name] = target  # the last: it was used last
        return target

    def _new(self, name: str) -> Target:
        return Target(
            name,
            limit=AdaptiveLimit(self._start, most=self._most),
            repeats=self._repeats,
            rules=self._rules,
            clock=self._clock,
            chance=self._chance,
        )

    def _make_room(self) -> None:
        """Forget one target for another that only a request names; its calls in progress keep it, so none is forgotten then.

        Of those whose breaker is closed the one that was not used longest goes first: what is known of it is soon found
        out again.
        """
        if len(self._known) < _MOST + len(self._configured):
            return
        oldest: Target | None = None
        for name, target in self._known.items():
            if name in self._configured or target.slots.in_progress or target.slots.waiting:
                continue
            oldest = oldest or target
            if target.breaker.state == "closed":
                oldest = target
                break
        if oldest is not None:
            del self._known[oldest.name]

    def leave(self, target: Target, now: float, *, last: bool) -> Permit | Rest | None:
        """Give leave for a call; a `Rest` while the credential rests, None while the breaker is open.

        The *last* target to ask gets one call per open time all the same: somebody has to find out.
        """
        rest = self.rests.resting(target.provider, now)
        if rest is not None:
            return rest
        return target.breaker.last_resort(now) if last else target.breaker.allow(now)

    def stands(self, target: Target, permit: Permit, now: float) -> bool:
        """Whether the leave that *permit* gave is still worth something after a time of waiting."""
        return self.rests.resting(target.provider, now) is None and target.breaker.honours(permit)

    def look(self) -> TargetsLook:
        """Give the figures of all targets asked so far, and which credentials rest."""
        now = self._clock()
        return {
            "targets": {name: target.look(now) for name, target in self._known.items()},
            "resting": {
                str(key): {"kind": rest.kind, "reason": rest.reason, "left_s": round(rest.until - now, 3)}
                for key, rest in self.rests.all_resting(now).items()
            },
        }


_MOST = 1_000
"""Targets that only requests name: any text may stand behind the colon."""
