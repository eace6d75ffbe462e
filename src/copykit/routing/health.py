"""What is remembered about a target between calls: how long it takes, and until when a credential rests."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from math import ceil
from typing import Literal

__all__ = ["Cooldowns", "Latencies", "Rest", "come_back_s"]


class Latencies:
    """The last calls' durations in seconds, for quantiles.

    Args:
        keep: how many; 200 is what a 95th percentile needs to rest on ten values.
    """

    def __init__(self, keep: int = 200) -> None:
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []
        self._keep = keep

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, seconds: float) -> None:
        """Remember one duration; the oldest gives way."""
        if len(self._recent) == self._keep:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(seconds)
        insort(self._sorted, seconds)

    def quantile(self, share: float) -> float | None:
        """Give the duration that *share* (0..1) of the calls do not exceed; None before the first."""
        if not self._sorted:
            return None
        return self._sorted[max(0, ceil(share * len(self._sorted)) - 1)]


@dataclass(frozen=True, slots=True)
class Rest:
    """Why and until when a credential is left alone."""

    kind: Literal["cooldown", "quarantine"]
    until: float
    """By the same monotonic clock as every *now*."""
    reason: str
    """Code of the error that led to it, e.g. ``rate_limited``."""


class Cooldowns:
    """Which credentials rest, and until when; of two ends the later one counts.

    A *key* is whatever is throttled or refused as one: usually ``(provider, credential label)``. Local to the
    process, bounded by the number of keys in use: ends that passed are forgotten.
    """

    DEFAULT_S = 5.0
    """After a throttle without a time of its own (LiteLLM's default cooldown is the same)."""
    LONGEST_S = 900.0
    """A provider's word is trusted for 15 minutes: ``Retry-After: 86400`` is a spent quota, asked again now and then."""
    QUARANTINE_S = 300.0
    """After 401, 402, 403 or a spent quota: people change keys and pay bills in minutes, not in seconds."""

    def __init__(self) -> None:
        self._rests: dict[Hashable, Rest] = {}

    def cool(self, key: Hashable, now: float, retry_after_s: float | None = None, *, reason: str) -> Rest:
        """Let *key* rest for *retry_after_s*, for 5 s where that is no usable time."""
        # also false for what is no number
        told_s = retry_after_s if retry_after_s is not None and retry_after_s > 0 else self.DEFAULT_S
        return self._later(key, Rest("cooldown", now + min(told_s, self.LONGEST_S), reason), now)

    def quarantine(self, key: Hashable, now: float, *, reason: str) -> Rest:
        """Let *key* rest for five minutes, since its provider refuses it whatever is asked."""
        return self._later(key, Rest("quarantine", now + self.QUARANTINE_S, reason), now)

    def resting(self, key: Hashable, now: float) -> Rest | None:
        """Give the rest that *key* is in; None if it may be used."""
        rest = self._rests.get(key)
        if rest is not None and rest.until <= now:
            del self._rests[key]
            return None
        return rest

    def all_resting(self, now: float) -> dict[Hashable, Rest]:
        """Give everything that rests now."""
        return {key: rest for key in tuple(self._rests) if (rest := self.resting(key, now)) is not None}

    def _later(self, key: Hashable, rest: Rest, now: float) -> Rest:
        held = self.resting(key, now)
        if held is not None and held.until >= rest.until:
            return held
        self._rests = {**self.all_resting(now), key: rest}
        return rest


def come_back_s(ends: Iterable[float], now: float, *, chance: Callable[[], float] = random.random) -> float:
    """Say when it is worth asking again if every target rests: the soonest of *ends*, in seconds from *now*.

    At least 1, at most 60, and up to a fifth more or less by *chance* (0..1), so that not all come back at once.
    """
    soonest = min(ends, default=now) - now
    return min(60.0, max(1.0, soonest * (0.8 + 0.4 * chance())))
