"""Single flight: identical calls in progress share one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

__all__ = ["Flight", "Seat"]

T = TypeVar("T")

_LAST_WORDS_S = 1.0
"""Seconds that a run which was cancelled is given to close what it holds."""


@dataclass(slots=True, eq=False)
class _Run(Generic[T]):
    task: asyncio.Task[T]
    seats: dict[Seat[T], None] = field(default_factory=dict)
    """Callers that wait, in the order of coming."""
    shared: bool = False
    """Whether two callers ever waited at once."""
    payer: Seat[T] | None = None


class Seat(Generic[T]):
    """One caller's part in a run: made by `Flight.seat`, waited for once."""

    def __init__(self, flight: Flight[T], key: str, run: _Run[T]) -> None:
        self._flight, self._key, self._run = flight, key, run
        self.began = not run.seats
        """Whether the run is this caller's own; it has the caller's deadline then."""
        run.shared = run.shared or bool(run.seats)
        run.seats[self] = None

    @property
    def shared(self) -> bool:
        """Whether others may hold the result too.

        Whoever means to change a shared one must copy it before anything else: the first caller runs on before the
        others wake.
        """
        return self._run.shared

    @property
    def pays(self) -> bool:
        """Whether what the run cost is this caller's: the first's of those that waited to its end."""
        return self._run.payer is self

    async def landing(self) -> T:
        """Give the result, the same object for all, or raise what the run raised."""
        run = self._run
        try:
            return await asyncio.shield(run.task)
        finally:
            if not run.task.done():
                del run.seats[self]
                if not run.seats:
                    self._flight._abandon(self._key, run)
                    # so that who left finds what it cost in the books, and no call goes on behind its back
                    await asyncio.wait((run.task,), timeout=_LAST_WORDS_S)


class Flight(Generic[T]):
    """Runs one task per key; later callers of the same key wait for it.

    The task is shielded: a cancelled caller leaves the others their answer, and only when the last
    caller has gone is the task cancelled. An error reaches every waiter and is not remembered.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run[T]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def seat(self, key: str, work: Callable[[], Awaitable[T]]) -> Seat[T]:
        """Take part in the run of *key*, which is begun with *work* where there is none; await its `landing`."""
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = _Run(asyncio.ensure_future(_await(work)))
            run.task.add_done_callback(partial(self._ended, key, run))
        return Seat(self, key, run)

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Run *work* once for all callers that ask for *key* at the same time.

        Returns:
            The result, and whether others may hold it too: `Seat.shared`.
        """
        seat = self.seat(key, work)
        return await seat.landing(), seat.shared

    def _abandon(self, key: str, run: _Run[T]) -> None:
        # Out of the table first: who asks now must start anew, not join what is being cancelled.
        self._runs.pop(key, None)
        run.task.cancel()

    def _ended(self, key: str, run: _Run[T], task: asyncio.Task[T]) -> None:
        run.payer = next(iter(run.seats), None)
        if self._runs.get(key) is run:
            del self._runs[key]
        if not task.cancelled():
            task.exception()  # read, so that a failure whose callers all left is not logged as lost


async def _await(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
