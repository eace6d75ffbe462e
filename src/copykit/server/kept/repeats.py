"""Answers that are given again as the bytes they were: the very same request, found in the cache before.

What the engine would find in its cache is written once more in the same letters each time; here those are kept by the
bytes of the request. Whoever asks is checked and counted as ever, and what is told to hooks is told together.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from copykit import events
from copykit.models import CopywritingOutput

__all__ = ["LONGEST_REQUEST", "Repeat", "Repeats"]

_MOST = 4096
_MOST_BYTES = 32 * 2**20
LONGEST_REQUEST = 16 * 1024
_LONGEST_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Repeat:
    """One answer."""

    body: bytes
    ends: float
    """Seconds of the epoch: when the cache would not have it any more."""
    placement: str
    language: str
    status: str


class Repeats:
    """Keeps answers by whose they are and the bytes they answer; the one that was not used longest goes first.

    Args:
        ttl_s: how long the cache keeps a result.
        clock: seconds of the epoch.
    """

    def __init__(self, ttl_s: float, *, clock: Callable[[], float] = time.time) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: OrderedDict[tuple[str, bytes], Repeat] = OrderedDict()
        self._bytes = 0
        self._told: dict[tuple[str, str, str, str], list[float]] = {}

    def keep(self, space: str, asked: bytes, output: CopywritingOutput, body: bytes) -> None:
        """Keep *body* if it answers out of the cache, and is not long.

        Args:
            space: of the account; another tenant's, or another epoch's, never finds it.
            asked: the request's body.
        """
        if not output.cached or len(asked) > LONGEST_REQUEST or len(body) > _LONGEST_ANSWER:
            return
        ends = output.created_at.timestamp() + self._ttl_s
        made = Repeat(body, ends, output.placement, output.language, output.variants[0].status)
        self._drop((space, asked))
        self._kept[space, asked] = made
        self._bytes += len(asked) + len(body)
        while len(self._kept) > _MOST or self._bytes > _MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def find(self, space: str, asked: bytes) -> Repeat | None:
        """Give the answer to *asked*, if there is one that holds still."""
        at = (space, asked)
        found = self._kept.get(at)
        if found is None:
            return None
        if self._clock() >= found.ends:
            self._drop(at)
            return None
        self._kept.move_to_end(at)
        return found

    def note(self, tenant: str, repeat: Repeat, took_s: float) -> None:
        """Count one answer given again."""
        at = (tenant, repeat.placement, repeat.language, repeat.status)
        told = self._told.get(at)
        if told is None:
            self._told[at] = [1, took_s]
        else:
            told[0] += 1
            told[1] += took_s

    def tell(self, emit: Callable[[events.Event], None]) -> None:
        """Tell what was counted since the last time."""
        told, self._told = self._told, {}
        for (tenant, placement, language, status), (count, took_s) in told.items():
            emit(events.CopyRepeated(placement, language, status, int(count), took_s, tenant))

    def clear(self) -> None:
        """Forget all answers."""
        self._kept.clear()
        self._bytes = 0

    def _drop(self, at: tuple[str, bytes]) -> None:
        dropped = self._kept.pop(at, None)
        if dropped is not None:
            self._bytes -= len(at[1]) + len(dropped.body)
