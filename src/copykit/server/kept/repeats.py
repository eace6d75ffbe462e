"""Answers that are given again as the bytes they were: the very same request, found in the cache before.

What the engine would find in its cache is written once more in the same letters each time; here those are kept by the
bytes of the request, until the engine stores another result in its place. Whoever asks is checked and counted as ever,
and what is told to hooks is told together.
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
_OWN_TIER = "memory"
"""The tier that no other process writes to."""
_SHARED_S = 1.0
"""Of a result from any other tier: another worker may have stored a newer one there, which nobody tells of here."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """One answer."""

    body: bytes
    key: str
    """Of the result in the engine's cache."""
    ends: float
    """Seconds of the epoch: when the cache would not have it any more, or has to be asked whether it has a newer one."""
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
        self._places: dict[str, set[tuple[str, bytes]]] = {}
        """Where answers stand that hold the result of a key."""
        self.stores = 0
        """How many results the engine has stored; what was looked up before the latest of a key is not kept."""
        self._latest: OrderedDict[str, int] = OrderedDict()
        """By key, which of those stores was its latest; of as many keys as answers are kept."""
        self._forgotten = 0
        """The latest store of which it is not known any more whose it was."""
        self._told: dict[tuple[str, str, str, str], list[float]] = {}

    def keep(self, space: str, asked: bytes, output: CopywritingOutput, body: bytes, *, stores: int) -> None:
        """Keep *body* if it answers out of the cache, is not long, and no result was stored in its place meanwhile.

        Args:
            space: of the account; another tenant's, or another epoch's, never finds it.
            asked: the request's body.
            stores: what `stores` was before *output* was looked up.
        """
        if not output.cached or len(asked) > LONGEST_REQUEST or len(body) > _LONGEST_ANSWER:
            return
        key = output.receipt.key
        if self._latest.get(key, self._forgotten) > stores:
            return
        ends = output.created_at.timestamp() + self._ttl_s
        if output.receipt.cache != _OWN_TIER:
            ends = min(ends, self._clock() + _SHARED_S)
        made = Repeat(body, key, ends, output.placement, output.language, output.variants[0].status)
        self._drop((space, asked))
        self._kept[space, asked] = made
        self._places.setdefault(key, set()).add((space, asked))
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

    def stored(self, key: str) -> None:
        """Forget the answers that hold the result of *key*: the engine has stored one in its place."""
        self.stores += 1
        self._latest[key] = self.stores
        self._latest.move_to_end(key)
        if len(self._latest) > _MOST:
            _, self._forgotten = self._latest.popitem(last=False)
        for at in tuple(self._places.get(key, ())):
            self._drop(at)

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
        self._places.clear()
        self._bytes = 0

    def _drop(self, at: tuple[str, bytes]) -> None:
        dropped = self._kept.pop(at, None)
        if dropped is None:
            return
        self._bytes -= len(at[1]) + len(dropped.body)
        beside = self._places[dropped.key]
        beside.discard(at)
        if not beside:
            del self._places[dropped.key]
