"""Places of requests in work: how many, whose turn it is, and who is told to come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

from copykit.errors import DeadlineExceeded, Overloaded
from copykit.server.doors.gate import Gate
from copykit.server.patience import Patience
from copykit.server.wire import Refused
from server_crew import BRIEF, crew, held_target, told


class Visits:
    """Requests that hold their place until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    def send(self, name: str) -> asyncio.Task[None]:
        """Send a request; the first letter of its name is its tenant."""
        self._ends[name] = asyncio.Event()
        return asyncio.ensure_future(self._visit(name))

    def let_go(self, name: str) -> None:
        """End a request."""
        self._ends[name].set()

    async def _visit(self, name: str) -> None:
        async with self.gate.place(name[0]):
            self.inside.append(name)
            await self._ends[name].wait()


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_while_there_is_room_one_tenant_may_hold_all_of_it() -> None:
    """A share binds only when another waits."""

    async def story() -> None:
        visits = Visits(Gate(3, 10.0, 20))
        tasks = [visits.send(f"a{n}") for n in range(3)]
        await settle()
        assert visits.inside == ["a0", "a1", "a2"]
        for n in range(3):
            visits.let_go(f"a{n}")
        await asyncio.gather(*tasks)
        assert (visits.gate.taken, visits.gate.waiting) == (0, 0)

    told(story)


def test_a_free_place_goes_to_the_tenant_that_holds_the_fewest() -> None:
    """Five of one tenant came first and wait; the other's request, which came last, is the next."""

    async def story() -> None:
        visits = Visits(Gate(2, 10.0, 20))
        tasks = [visits.send(name) for name in ("a0", "a1", "a2", "b0")]
        await settle()
        visits.let_go("a0")
        await settle()
        assert visits.inside == ["a0", "a1", "b0"]
        for name in ("a1", "b0", "a2"):
            visits.let_go(name)
        await asyncio.gather(*tasks)
        assert visits.inside[-1] == "a2"

    told(story)


def test_who_waits_too_long_and_who_finds_a_full_queue_is_refused_with_a_time() -> None:
    """As many may wait as may work; the time to come back is 1 to 5 seconds."""

    async def story() -> None:
        visits = Visits(Gate(1, 0.05, 20, chance=lambda: 0.5))
        first, second, third = visits.send("a0"), visits.send("a1"), visits.send("b0")
        for refused in (third, second):
            with pytest.raises(Overloaded) as caught:
                await refused
            assert caught.value.retry_after_s == 3.0
            assert (caught.value.queued, caught.value.limit) == (1, 1)
        visits.let_go("a0")
        await first
        assert (visits.gate.taken, visits.gate.waiting, visits.gate.refused) == (0, 0, 2)

    told(story)


def test_a_caller_that_leaves_the_queue_takes_no_place_with_it() -> None:
    """Cancelled while waiting, or in the very moment of its turn: the place is free again."""

    async def story() -> None:
        visits = Visits(Gate(1, 10.0, 20))
        first, second, third = visits.send("a0"), visits.send("a1"), visits.send("b0")
        await settle()
        second.cancel()
        await settle()
        visits.let_go("a0")
        await first
        third.cancel()  # its turn came, it has not run yet
        await asyncio.gather(second, third, return_exceptions=True)
        assert (visits.gate.taken, visits.gate.waiting) == (0, 0)

    told(story)


def test_streams_are_counted_by_key() -> None:
    """One key's do not hinder another's."""

    async def story() -> None:
        gate = Gate(9, 1.0, 1)
        async with gate.stream("a"), gate.stream("b"):
            with pytest.raises(Refused) as caught:
                async with gate.stream("a"):
                    pass
            assert caught.value.status == 429
        assert gate.streams == 0

    told(story)


def test_where_nobody_may_wait_the_refusal_says_so() -> None:
    """None waits where none may."""

    async def story() -> None:
        visits = Visits(Gate(1, 0.0, 20))
        first, second = visits.send("a0"), visits.send("a1")
        with pytest.raises(Overloaded) as caught:
            await second
        assert caught.value.message == "0 calls wait where 0 may"
        visits.let_go("a0")
        await first

    told(story)


def test_a_client_waits_for_its_place_no_longer_than_it_said(tmp_path: Path) -> None:
    """
    504 for a brief, a batch and a stream alike, though the queue would let each wait for a minute; none of them is left
    in it, and one that has the time gets the place.
    """
    pytest.importorskip("aiosqlite", reason="needs the extra server")

    async def story() -> None:
        async with crew(tmp_path, targets=("held",), in_flight=1, queue_s=60.0) as (_, (worker,)):
            first = asyncio.create_task(worker.ask("POST", "/v11/generate", BRIEF))
            begun = await gates.get()
            for path, body in (
                ("/v11/generate", BRIEF),
                ("/generate", BRIEF),
                ("/v11/generate/stream", BRIEF),
                ("/v11/batch-generate", [BRIEF]),
            ):
                answer = await worker.ask("POST", path, body, x_request_timeout_ms="50")
                assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
                assert answer.json()["after_s"] == 0.05
            last = asyncio.create_task(
                worker.ask("POST", "/v11/generate", {**BRIEF, "seed": 1}, x_request_timeout_ms="60000")
            )
            await settle()
            begun.set()
            (await asyncio.wait_for(gates.get(), 60)).set()
            assert [(await first).status_code, (await last).status_code] == [200, 200]

    with held_target() as gates:
        told(story)


def test_a_body_takes_of_the_time_that_its_client_waits(tmp_path: Path) -> None:
    """
    What does not come in that time is not waited for, though a body may take a minute; what is wrong with one that is
    here is told however little the time; the header twice is 400.
    """
    pytest.importorskip("aiosqlite", reason="needs the extra server")

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async def story() -> None:
        async with crew(tmp_path, body_s=60.0) as (_, (worker,)):
            kind = ("content-type", "application/json")
            for content, times, status in (
                (slowly, ["50"], 504),
                (b"", ["1"], 400),
                (b'{"product_description": 1, "target_platform": "x"}', ["1"], 422),
                (b"{}", ["10", "abc"], 400),
                (b"{}", ["10", "10"], 400),
            ):
                headers = [kind, *(("x-request-timeout-ms", time) for time in times)]
                for path in ("/v11/generate", "/v11/generate/stream"):
                    sent = content if isinstance(content, bytes) else content()
                    answer = await worker.client.post(path, content=sent, headers=headers)
                    assert answer.status_code == status

    told(story)


def test_a_grace_is_had_by_whoever_has_no_time_left() -> None:
    """Without one the block is not begun; with one it is, and broken off when that is over too."""

    async def story() -> None:
        late = Patience(0.001, time.monotonic() - 1.0)
        with pytest.raises(DeadlineExceeded):
            async with late.bound():
                pytest.fail("it was begun")
        async with late.bound(5.0):
            await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded):
            async with late.bound(0.01):
                await asyncio.sleep(60)

    told(story)
