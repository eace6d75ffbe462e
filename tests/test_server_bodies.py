"""Requests' bodies: how slowly they may come, how much of them at once, and in which form."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

from starlette.requests import Request
from starlette.types import Message

from copykit.server.bodies import Bodies
from copykit.server.wire import Refused, problem_of
from server_crew import told

PATIENT_S = 60.0
MOST = 1_000_000


class Sender:
    """A client whose body comes in pieces, when it is told to send them."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        self._headers = [(b"content-type", b"application/json"), *headers]

    def send(self, piece: bytes, *, last: bool = False) -> None:
        """Send a piece of the body."""
        self._pieces.put_nowait({"type": "http.request", "body": piece, "more_body": not last})

    def leave(self) -> None:
        """Close the connection."""
        self._pieces.put_nowait({"type": "http.disconnect"})

    def read_by(self, bodies: Bodies, tenant: str = "") -> asyncio.Task[bytes]:
        """Have the body read."""
        request = Request({"type": "http", "headers": self._headers}, self._pieces.get)
        return asyncio.ensure_future(bodies.read(request, MOST, tenant))


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def refusal(reading: asyncio.Task[bytes]) -> tuple[int, str]:
    """Give status and code of a body that is refused."""
    with pytest.raises(Refused) as caught:
        await asyncio.wait_for(reading, PATIENT_S)
    return caught.value.status, caught.value.code


def test_what_came_quickly_buys_no_silence() -> None:
    """A body that brings a hundred thousand bytes at once and then nothing is given up as soon as one without a byte."""

    async def story() -> None:
        bodies, sender = Bodies(0.2, MOST), Sender()
        reading = sender.read_by(bodies)
        sender.send(b" " * 100_000)
        await settle()
        assert bodies.held == 100_000
        assert await refusal(reading) == (408, "request_timeout")

    told(story)


def test_bodies_that_arrive_have_one_bound_together() -> None:
    """
    Beyond it the one is put off that has held most for the longest, of the tenant that holds the most: 503, with a time.
    Another tenant's is read, however late it came, and so is the rest.
    """

    async def story() -> None:
        bodies = Bodies(PATIENT_S, 1000)
        first, second, other = Sender(), Sender(), Sender()
        readings = []
        for sender, tenant, size in ((first, "a", 500), (second, "a", 300), (other, "b", 700)):
            readings.append(sender.read_by(bodies, tenant))
            sender.send(b" " * size)
            await settle()
            await asyncio.sleep(0.01)  # the loop's clock may be as coarse as a millisecond
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(readings[0], PATIENT_S)
        problem = problem_of(caught.value)
        assert (problem.status, problem.code, problem.retryable) == (503, "overloaded", True)
        assert problem.headers == {"Retry-After": "1"}
        assert bodies.held == 1000
        for sender in (second, other):
            sender.send(b"", last=True)
        assert [len(await asyncio.wait_for(reading, PATIENT_S)) for reading in readings[1:]] == [300, 700]

    told(story)


@pytest.mark.parametrize("end", ["whole", "left", "late", "long", "cancelled"])
def test_whatever_ends_a_body_its_room_is_free_again(end: str) -> None:
    """Read, broken off, too slow, too long, or of a request that is cancelled."""

    async def story() -> None:
        bodies, sender = Bodies(0.05 if end == "late" else PATIENT_S, 2 * MOST), Sender()
        reading = sender.read_by(bodies)
        sender.send(b"{}")
        await settle()
        assert bodies.held == 2
        if end == "whole":
            sender.send(b"", last=True)
        elif end == "left":
            sender.leave()
        elif end == "long":
            sender.send(b" " * MOST)
        elif end == "cancelled":
            reading.cancel()
        await asyncio.wait([reading], timeout=PATIENT_S)
        assert reading.done()
        assert bodies.held == 0
        if end == "cancelled":
            assert reading.cancelled()
        elif (error := reading.exception()) is not None:
            assert isinstance(error, Refused)
            assert error.status == {"left": 499, "late": 408, "long": 413}[end]
        else:
            assert reading.result() == b"{}"

    told(story)


@pytest.mark.parametrize(
    ("codings", "status"),
    [((b"identity", b"gzip"), 415), ((b"gzip", b"identity"), 415), ((b"identity", b"identity"), 200)],
)
def test_each_line_says_how_a_body_is_coded(codings: tuple[Any, ...], status: int) -> None:
    """Two lines are one list: what a second one names counts too."""

    async def story() -> None:
        sender = Sender(*((b"content-encoding", coding) for coding in codings))
        sender.send(b"{}", last=True)
        reading = sender.read_by(Bodies(PATIENT_S, MOST))
        if status == 200:
            assert await reading == b"{}"
        else:
            assert await refusal(reading) == (status, "unsupported_encoding")

    told(story)
