"""How long a client waits for its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

from copykit.errors import DeadlineExceeded

__all__ = ["Patience"]


class Patience:
    """What a client said of its time, counted from when its request came: its body and its turn take of it too.

    Args:
        told_s: seconds; infinite where the client says nothing.
        came: when its request did, in monotonic seconds.
    """

    def __init__(self, told_s: float, came: float) -> None:
        self.told_s = told_s
        self._end = came + told_s

    def left_s(self, least_s: float = 0.0) -> float:
        """Give the seconds that are left, more than none; infinite where the client says nothing.

        Args:
            least_s: given where fewer are left.

        Raises:
            DeadlineExceeded: there is none.
        """
        left_s = max(least_s, self._end - time.monotonic())
        if left_s <= 0:
            raise DeadlineExceeded(self.told_s)
        return left_s

    @asynccontextmanager
    async def bound(self, least_s: float = 0.0) -> AsyncIterator[None]:
        """Break the block off when the client waits no longer.

        Args:
            least_s: that the block has all the same.

        Raises:
            DeadlineExceeded: it was.
        """
        left_s = self.left_s(least_s)
        over = asyncio.timeout(None if left_s == inf else left_s)
        try:
            async with over:
                yield
        except TimeoutError:
            if over.expired():
                raise DeadlineExceeded(self.told_s) from None
            raise
