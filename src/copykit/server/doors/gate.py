"""How many requests are in work at once: a bound, a short queue, and turns by tenant when it is full."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from copykit.errors import Overloaded
from copykit.server.wire import Refused

__all__ = ["Gate"]


class Gate:
    """Lets requests in, at most *limit* at once; those that wait longer than *queue_s* are refused.

    While there is room everybody gets in, however much one tenant holds. When a place gets free and several wait, it
    goes to the tenant that holds the fewest, and within a tenant to who came first. As many may wait as may work.

    Args:
        limit: requests in work at once.
        queue_s: seconds that one may wait.
        streams: of one key at once, over all workers.
        chance: in [0, 1): spreads the clients that are to come back.
        elsewhere: gives the streams that a key has open at other workers.
    """

    def __init__(
        self,
        limit: int,
        queue_s: float,
        streams: int,
        *,
        chance: Callable[[], float] = random.random,
        elsewhere: Callable[[str], Awaitable[int]] | None = None,
    ) -> None:
        self.limit = limit
        self._queue_s = queue_s
        self._most_streams = streams
        self._elsewhere = elsewhere or _nowhere
        self.streams_changed: set[str] = set()
        """Keys whose number of streams is another one since whoever shares this set emptied it."""
        self._chance = chance
        self.in_work: Counter[str] = Counter()
        """By tenant."""
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._streams: Counter[str] = Counter()
        self.refused = 0

    @property
    def taken(self) -> int:
        """Requests in work."""
        return self.in_work.total()

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return self._streams.total()

    def streams_of(self, key: str) -> int:
        """Give the streams that *key* has open here."""
        return self._streams.get(key, 0)

    @asynccontextmanager
    async def place(self, tenant: str) -> AsyncIterator[None]:
        """Hold a place while the block runs.

        Raises:
            Overloaded: too many wait already, or the turn did not come in time.
        """
        await self._enter(tenant)
        try:
            yield
        finally:
            self._leave(tenant)

    @asynccontextmanager
    async def stream(self, key: str) -> AsyncIterator[None]:
        """Count one stream of *key* while the block runs.

        Raises:
            Refused: 429, it has as many as it may.
        """
        self._streams[key] += 1
        self.streams_changed.add(key)
        try:
            own = self._streams[key]
            if own > self._most_streams or own + await self._elsewhere(key) > self._most_streams:
                raise Refused(
                    429,
                    "too_many_streams",
                    f"this key has {self._most_streams} streams open, which is the most",
                    headers={"Retry-After": "5"},
                )
            yield
        finally:
            self.streams_changed.add(key)
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]

    async def _enter(self, tenant: str) -> None:
        if self.taken < self.limit and not self._waiting:
            self.in_work[tenant] += 1
            return
        if self.waiting >= self.limit or self._queue_s <= 0:
            raise self._overloaded(self.waiting)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        try:
            async with asyncio.timeout(self._queue_s):
                await turn
        except BaseException as error:
            late, waiting = isinstance(error, TimeoutError), self.waiting
            if turn.done() and not turn.cancelled():  # it came in the very moment
                if late:
                    return
                self._leave(tenant)
            else:
                self._forget(tenant, turn)
            if late:
                raise self._overloaded(waiting) from None  # this one counted: it was still waiting
            raise

    def _leave(self, tenant: str) -> None:
        self.in_work[tenant] -= 1
        if not self.in_work[tenant]:
            del self.in_work[tenant]
        while self._waiting and self.taken < self.limit:
            nearest = min(self._waiting, key=lambda name: self.in_work[name])
            turn = self._waiting[nearest][0]
            self._forget(nearest, turn)
            if not turn.done():
                self.in_work[nearest] += 1
                turn.set_result(None)

    def _forget(self, tenant: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(tenant)
        if queue is None or turn not in queue:
            return
        queue.remove(turn)
        if not queue:
            del self._waiting[tenant]

    def _overloaded(self, waiting: int) -> Overloaded:
        self.refused += 1
        may = self.limit if self._queue_s > 0 else 0
        return Overloaded(waiting, may, retry_after_s=1.0 + 4.0 * self._chance())


async def _nowhere(key: str) -> int:
    return 0
