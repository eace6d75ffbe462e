"""How many calls a target takes at a time: found out by asking for more until it throttles."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType

from copykit.errors import ConfigurationError

__all__ = ["AdaptiveLimit", "Concurrency", "Slot"]


class AdaptiveLimit:
    """Calls at a time: doubles each round trip until the first throttle, then grows by one; cut by 0.3 at a throttle.

    Additive increase and multiplicative decrease as in TCP, with the milder cut of CUBIC: a provider's quota is not
    shared fairly anyway. Latency is no signal here, because a longer answer takes longer. Reads no clock of its own.

    Args:
        start: the configured concurrency; 8 is what most accounts take from the first second.
        most: growth ends here, whatever the provider takes.
    """

    CUT = 0.7

    def __init__(self, start: int = 8, *, least: int = 1, most: int = 256) -> None:
        if not 1 <= least <= start <= most:
            raise ConfigurationError(
                f"concurrency: least {least}, start {start} and most {most} must ascend from 1"
            )
        self._least, self._most = least, most
        self._exact = float(start)
        self._cut_at = float("-inf")
        self._doubling = True

    @property
    def limit(self) -> int:
        """Calls that may be in progress now."""
        return int(self._exact)

    def cut_since(self, moment: float) -> bool:
        """Say whether the limit was cut after *moment*: the target is taking less."""
        return self._cut_at > moment

    def succeeded(self, in_progress: int) -> None:
        """Take in one answer that came while *in_progress* calls were out, itself included.

        Where less than half of the limit is used, its size was not what made the call succeed, and it stays.
        """
        if 2 * in_progress >= self.limit:
            step = 1.0 if self._doubling else 1.0 / self._exact
            self._exact = min(float(self._most), self._exact + step)

    def throttled(self, began: float, now: float) -> None:
        """Take in one throttle (429, 529) or timeout of a call that *began* then.

        Calls that were out when the limit was cut complain about the size it had before: so it is cut once per
        round trip at most, however many of them are throttled.
        """
        if began >= self._cut_at:
            self._exact = max(float(self._least), self._exact * self.CUT)
            self._cut_at = now
            self._doubling = False


class Concurrency:
    """Slots of one target and credential under an `AdaptiveLimit`, given out in the order they were asked for.

    ::

        async with concurrency.slot() as slot:
            ...                        # the call
            slot.succeeded()           # or slot.throttled(); neither for a failure of another kind

    Cancelling a waiter at any moment loses no slot. One event loop at a time; when none waits, another may use it.
    """

    def __init__(
        self, limit: AdaptiveLimit | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit or AdaptiveLimit()
        self._clock = clock
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._taken = 0

    @property
    def in_progress(self) -> int:
        """Slots given out."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Callers in the queue."""
        return len(self._queue)

    @property
    def load(self) -> float:
        """Calls in progress and waiting, the next one included, as a share of the limit: above 1 where it would wait."""
        return (self._taken + len(self._queue) + 1) / self.limit.limit

    def slot(self) -> Slot:
        """Give a slot to wait for with ``async with``; how long is the caller's own deadline."""
        return Slot(self)

    async def _acquire(self) -> float:
        if self._taken < self.limit.limit and not self._queue:
            self._taken += 1
            return self._clock()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[turn] = None
        self._hand_out()
        try:
            await turn
        except BaseException:  # cancelled, or its loop is closing
            self._queue.pop(turn, None)
            if turn.done() and not turn.cancelled():  # the slot came in the very moment: on to the next
                self._release()
            raise
        return self._clock()

    def _release(self) -> None:
        self._taken -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._queue and self._taken < self.limit.limit:
            turn, _ = self._queue.popitem(last=False)
            if not turn.done():  # else cancelled, and not told yet
                self._taken += 1
                turn.set_result(None)


class Slot:
    """One call's place; what became of the call is said once, before the block ends."""

    def __init__(self, owner: Concurrency) -> None:
        self._owner = owner
        self._began = 0.0

    def succeeded(self) -> None:
        """Say that the target answered: it may take more at a time."""
        self._owner.limit.succeeded(self._owner.in_progress)
        self._owner._hand_out()

    def throttled(self) -> None:
        """Say that the target complained about the number of calls, or timed out under it."""
        self._owner.limit.throttled(self._began, self._owner._clock())

    async def __aenter__(self) -> Slot:
        self._began = await self._owner._acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner._release()
