"""The end of a server as its application sees it: first not ready any more, at last nothing may go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from copykit.errors import CopykitError

__all__ = ["Drain", "ShuttingDown"]

T = TypeVar("T")


class ShuttingDown(CopykitError):
    """What was in work when the server had to end; another one, or this one begun again, can do it."""

    code = "shutting_down"
    retryable = True

    def __init__(self) -> None:
        super().__init__("the server ends; ask again")


class Drain:
    """Where a server is on its way out; whoever runs it moves it on, the application only looks.

    Under `copykit run` the process does so at SIGTERM. Under another server it moves at the application's shutdown only,
    which is after that server's own waiting.
    """

    def __init__(self) -> None:
        self.begun = False
        """Whether the server is about to end: it is not ready, and still answers."""
        self.over = False
        """Whether what is in work has to end now."""
        self._steps: set[asyncio.Future[Any]] = set()

    def begin(self) -> None:
        """Say that the server is about to end. May be called by a signal's handler."""
        self.begun = True

    def end(self) -> None:
        """Break off every step that is being waited for; called on the loop."""
        self.begun = self.over = True
        for step in tuple(self._steps):
            step.cancel()

    async def step(self, awaited: Awaitable[T]) -> T:
        """Wait for one step of something long.

        Raises:
            ShuttingDown: the end came first; *awaited* was cancelled.
        """
        step = asyncio.ensure_future(awaited)
        if self.over:
            step.cancel()
        self._steps.add(step)
        try:
            return await step
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.over or (task is not None and task.cancelling()):
                raise
            raise ShuttingDown from None
        finally:
            self._steps.discard(step)
