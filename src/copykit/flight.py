"""Single flight: identical calls in progress share one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

__all__ = ["Flight"]

T = TypeVar("T")


@dataclass(slots=True)
class _Run(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0
    shared: bool = False
    """Whether two callers ever waited at once."""


class Flight(Generic[T]):
    """Runs one task per key; later callers of the same key wait for it.

    The task is shielded: a cancelled caller leaves the others their answer, and only when the last
    caller has gone is the task cancelled. An error reaches every waiter and is not remembered.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run[T]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Run *work* once for all callers that ask for *key* at the same time.

        Returns:
            The result, the same object for all, and whether others may hold it too. Whoever means to change
            a shared one must copy it before anything else: the first caller runs on before the others wake.
        """
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = _Run(asyncio.ensure_future(_await(work)))
            run.task.add_done_callback(partial(self._forget, key, run))
        run.waiting += 1
        run.shared = run.shared or run.waiting > 1
        try:
            return await asyncio.shield(run.task), run.shared
        finally:
            run.waiting -= 1
            if not run.waiting and not run.task.done():
                # Out of the table first: who asks now must start anew, not join what is being cancelled.
                del self._runs[key]
                run.task.cancel()

    def _forget(self, key: str, run: _Run[T], task: asyncio.Task[T]) -> None:
        if self._runs.get(key) is run:
            del self._runs[key]
        if not task.cancelled():
            task.exception()  # read, so that a failure whose callers all left is not logged as lost


async def _await(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
