"""Single flight: identical calls in progress share one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["Flight"]

T = TypeVar("T")


class Flight(Generic[T]):
    """Runs one task per key; later callers of the same key wait for it.

    The task is shielded: a cancelled caller leaves the others their answer, and only when the last
    caller has gone is the task cancelled. An error reaches every waiter and is not remembered.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._waiting: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Run *work* once for all callers that ask for *key* at the same time.

        Returns:
            The result, the same object for all, and whether this caller was the one that started it.
        """
        task = self._tasks.get(key)
        leads = task is None
        if task is None:
            task = asyncio.ensure_future(_await(work))
            self._tasks[key] = task
            self._waiting[key] = 0
            task.add_done_callback(lambda done: self._forget(key, done))
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task), leads
        finally:
            if key in self._waiting and self._tasks.get(key) is task:
                self._waiting[key] -= 1
                if not self._waiting[key] and not task.done():
                    # Out of the table first: who asks now must start anew, not join what is being cancelled.
                    del self._tasks[key], self._waiting[key]
                    task.cancel()

    def _forget(self, key: str, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key], self._waiting[key]
        if not task.cancelled():
            task.exception()  # read, so that a failure whose callers all left is not logged as lost


async def _await(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
