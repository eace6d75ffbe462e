"""Which target of a weighted deployment is asked first."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from math import log

from copykit.routing.targets import Target, Targets
from copykit.settings import Group

__all__ = ["Hedges", "order"]

_EXPLORED = 0.05
"""Share of requests that are sent as the weights say although another target is faster: so that one which has become
fast is found out."""


def order(
    groups: Iterable[Group],
    targets: Targets,
    *,
    balance: str = "weighted",
    chance: Callable[[], float] = random.random,
) -> tuple[str, ...]:
    """Give all targets of *groups* in the order in which one request asks them, each once.

    The targets of a group are drawn by weight, so that each is the first as often as its weight says; those not
    chosen follow, since each stands in for the others.

    Args:
        balance: as `RoutingSettings.balance`. Two draws are enough to keep loads even, and do not send every request
            of a moment to the same target, as looking for the least loaded of all would.
        chance: numbers in [0, 1).
    """
    names: dict[str, None] = {}
    for group in groups:
        drawn = [group[0][0]] if len(group) == 1 else _drawn(group, chance)
        if len(drawn) > 1 and balance == "least_loaded":
            first = min(drawn[:2], key=lambda name: targets.of(name).slots.load)
        elif len(drawn) > 1 and balance == "fastest" and chance() >= _EXPLORED:
            first = min(drawn, key=lambda name: _expected_s(targets.of(name)))
        else:
            first = drawn[0]
        names.update(dict.fromkeys((first, *drawn)))
    return tuple(names)


def _drawn(group: Group, chance: Callable[[], float]) -> list[str]:
    """Draw all of *group*, one after the other, by weight (Efraimidis and Spirakis: the keys are exponential times)."""
    times = {name: -log(1.0 - chance()) / weight for name, weight in group}
    return sorted(times, key=times.__getitem__)


def _expected_s(target: Target) -> float:
    """Say when an answer may be expected: what the target usually takes, and longer where calls queue for it.

    One that never answered is expected at once: it is asked, and then there is a figure.
    """
    return (target.usual.quantile(0.5) or 0.0) * max(1.0, target.slots.load)


class Hedges:
    """How many second calls beside late ones the requests of the last minute allow.

    Args:
        share: hedges per request, 0 to 1; over any minute no more are made.
    """

    WINDOW_S = 60
    """A minute in seconds, as in the tail-tolerant systems this follows: a slow spell does not double the load."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._seconds: deque[list[int]] = deque()
        """``[second, requests, hedges]`` of the last minute."""
        self._requests = self._hedges = 0
        self.made = 0
        """Second calls since the start, as whoever makes them counts."""

    def began(self, now: float) -> None:
        """Count a request that might be hedged."""
        self._at(now)[1] += 1
        self._requests += 1

    def take(self, now: float) -> bool:
        """Take one hedge out, if one is left."""
        second = self._at(now)
        if self._hedges + 1 > self.share * self._requests:
            return False
        second[2] += 1
        self._hedges += 1
        return True

    def _at(self, now: float) -> list[int]:
        second = int(now)
        while self._seconds and self._seconds[0][0] <= second - self.WINDOW_S:
            _, requests, hedges = self._seconds.popleft()
            self._requests -= requests
            self._hedges -= hedges
        if not self._seconds or self._seconds[-1][0] < second:
            self._seconds.append([second, 0, 0])
        return self._seconds[-1]
