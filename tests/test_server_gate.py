"""Places of requests in work: how many, whose turn it is, and who is told to come back."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

from copykit.errors import Overloaded
from copykit.server.doors.gate import Gate
from copykit.server.wire import Refused
from server_crew import told


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
