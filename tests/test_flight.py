"""Single flight: identical calls in progress share one answer, and nobody's leaving harms the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from copykit.flight import Flight


class Work:
    """Counts its runs, answers when told to, and takes a while to be cancelled."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> list[int]:
        self.runs += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await settle()  # closing a connection takes its time
            raise
        if self.error:
            raise self.error
        return [self.runs]


def run(story: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run one story on a loop of its own."""
    return asyncio.run(story())


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_callers_of_one_key_share_one_run() -> None:
    """Ten callers, one run, the same object for all, and each is told that others hold it."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        callers = [asyncio.create_task(flight.run("k", work)) for _ in range(10)]
        await settle()
        assert len(flight) == 1
        work.gate.set()
        answers = await asyncio.gather(*callers)
        assert work.runs == 1
        assert all(result is answers[0][0] for result, _ in answers)
        assert all(shared for _, shared in answers)
        await settle()
        assert len(flight) == 0

    run(story)


def test_other_keys_and_later_calls_run_anew() -> None:
    """Nothing is remembered once the answer is out."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        work.gate.set()
        assert await flight.run("a", work) == ([1], False)
        assert await flight.run("b", work) == ([2], False)
        assert await flight.run("a", work) == ([3], False)

    run(story)


def test_one_caller_s_cancellation_leaves_the_others_their_answer() -> None:
    """Even the one that started it may go."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        first = asyncio.create_task(flight.run("k", work))
        await settle()
        second = asyncio.create_task(flight.run("k", work))
        await settle()
        first.cancel()
        await settle()
        assert work.cancelled == 0
        work.gate.set()
        assert await second == ([1], True)
        with pytest.raises(asyncio.CancelledError):
            await first

    run(story)


def test_when_the_last_caller_leaves_the_work_is_cancelled() -> None:
    """Nobody waits, so nobody pays."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        callers = [asyncio.create_task(flight.run("k", work)) for _ in range(2)]
        await settle()
        for caller in callers:
            caller.cancel()
        await settle()
        assert work.cancelled == 1
        assert len(flight) == 0

    run(story)


def test_a_caller_that_comes_while_the_work_is_being_cancelled_starts_anew() -> None:
    """It must not inherit the cancellation of those who left."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        gone = asyncio.create_task(flight.run("k", work))
        await settle()

        async def leave_and_come_back() -> tuple[list[int], bool]:
            gone.cancel()
            await asyncio.wait([gone])
            return await flight.run("k", work)

        back = asyncio.create_task(leave_and_come_back())
        await settle()
        work.gate.set()
        assert await back == ([2], False)

    run(story)


def test_an_error_reaches_every_waiter_and_is_not_remembered() -> None:
    """All callers get it; the next call runs again."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        work.error = ValueError("broken")
        callers = [asyncio.create_task(flight.run("k", work)) for _ in range(3)]
        await settle()
        work.gate.set()
        answers = await asyncio.gather(*callers, return_exceptions=True)
        assert [str(answer) for answer in answers] == ["broken"] * 3
        work.error = None
        assert await flight.run("k", work) == ([2], False)

    run(story)


def test_the_first_of_those_that_wait_to_the_end_pays() -> None:
    """Whoever began it, if it stayed; the next one where it left."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        seats = [flight.seat("k", work) for _ in range(3)]
        waits = [asyncio.create_task(seat.landing()) for seat in seats]
        await settle()
        waits[0].cancel()
        await settle()
        work.gate.set()
        await asyncio.gather(*waits, return_exceptions=True)
        assert [seat.pays for seat in seats] == [False, True, False]

    run(story)


def test_who_leaves_last_finds_the_work_over() -> None:
    """Its call is closed, and its cost in the books, before the cancellation goes on."""

    async def story() -> None:
        flight, work = Flight[list[int]](), Work()
        seat = flight.seat("k", work)
        caller = asyncio.create_task(seat.landing())
        await settle()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert work.cancelled == 1
        assert seat._run.task.done()

    run(story)
