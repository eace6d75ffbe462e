"""What the fuzzed readers are given: one exchange as bytes, and a client that hands it to a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from copykit.accel.http import Reply

__all__ = ["Wire", "exchange", "pieces", "run"]


def exchange(status: int, body: bytes | str, /, **headers: str) -> bytes:
    """Write down an answer: its status, its headers, an empty line, its body."""
    head = [str(status), *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\n".join(head).encode() + b"\n\n" + (body.encode() if isinstance(body, str) else body)


def _read(data: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    told = first.strip()[:3]
    status = int(told) if told.isdecimal() and told.isascii() else 200
    named = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, colon, value in named if colon}
    return status, headers, body


def pieces(body: bytes) -> Iterator[bytes]:
    """Cut *body* as its own bytes say: into long, short and single pieces."""
    at = 0
    while at < len(body):
        size = (1, 3, 17, 90, 600, 5_000)[body[at] % 6]
        yield body[at : at + size]
        at += size


class _Stream:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self._body = status, headers, body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in pieces(self._body):
            yield piece

    async def read(self) -> bytes:
        return self._body


class Wire:
    """Implements the port `copykit.accel.http.HttpClient` with one answer; nothing in it waits."""

    def __init__(self) -> None:
        self.data = b""

    async def request(self, method: str, url: str, **_: Any) -> Reply:
        """Give the answer."""
        return Reply(*_read(self.data))

    @asynccontextmanager
    async def stream(self, method: str, url: str, **_: Any) -> AsyncIterator[_Stream]:
        """Give the answer as a stream."""
        yield _Stream(*_read(self.data))

    async def aclose(self) -> None:
        """Nothing is open."""


def run(steps: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits, without an event loop: a loop a call would take most of the time."""
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")
