"""A server on loopback that does what a script says, down to the single byte: for tests of what speaks HTTP.

::

    async with ScriptedServer([answer(200, body=b"{}"), hang(), reset(after=10)]) as server:
        await client.request("POST", server.url + "/v1/x", headers={}, body=b"{}", timeout_s=5)
    assert server.requests[0].path == "/v1/x"
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Received",
    "ScriptedServer",
    "Step",
    "answer",
    "chunked",
    "close",
    "hang",
    "raw",
    "reset",
]

_LARGEST = 2**26


@dataclass(frozen=True, slots=True)
class Received:
    """One request as the server read it."""

    method: str
    path: str
    """The target of the request line, query included."""
    headers: Mapping[str, str]
    """Names in lower case; of repeated ones the last."""
    body: bytes
    connection: int
    """Which connection it came on, counted from 1."""

    def json(self) -> Any:
        """Give the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Step:
    """What the server does with one request: acts in order, then how the connection goes on."""

    acts: Sequence[bytes | float] = ()
    """Bytes are sent, numbers are seconds to wait."""
    then: str = "keep"
    """``keep`` the connection, ``close`` it, ``reset`` it, or ``hang`` until the client closes it."""
    early: bool = False
    """Act as soon as the connection is there, without reading a request."""


def answer(
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    json: Any = None,
    then: str = "keep",
) -> Step:
    """Answer with *body*, or with *json* as JSON; a ``content-length`` among *headers* replaces the true one."""
    given = {name.lower(): value for name, value in (headers or {}).items()}
    if json is not None:
        body = _dumps(json)
        given.setdefault("content-type", "application/json")
    given.setdefault("content-length", str(len(body)))
    return Step((_head(status, given) + body,), then)


def chunked(
    *pieces: bytes | float,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    end: bool = True,
    then: str = "keep",
) -> Step:
    """Answer in chunks, one a piece; numbers among *pieces* are seconds to wait. Without *end* the last is missing."""
    given = {"content-type": "text/event-stream", **(headers or {}), "transfer-encoding": "chunked"}
    acts: list[bytes | float] = [_head(status, given)]
    acts += [b"%x\r\n%s\r\n" % (len(p), p) if isinstance(p, bytes) else p for p in pieces]
    return Step((*acts, b"0\r\n\r\n") if end else acts, then)


def raw(*acts: bytes | float, then: str = "close", early: bool = False) -> Step:
    """Send these bytes as they are."""
    return Step(acts, then, early)


def hang() -> Step:
    """Read the request and never answer."""
    return Step((), "hang")


def close() -> Step:
    """Read the request and close the connection without a word."""
    return Step((), "close")


def reset(step: Step | None = None, *, after: int = 0) -> Step:
    """Do as *step* for *after* bytes, then break the connection so that the client sees a reset."""
    acts: list[bytes | float] = []
    for act in step.acts if step else ():
        if isinstance(act, bytes):
            act, after = act[:after], after - len(act)
        acts.append(act)
        if after <= 0:
            break
    return Step(acts, "reset")


@dataclass(eq=False, slots=True)
class _Line:
    number: int
    task: asyncio.Task[None] | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedServer:
    """Answers each request on loopback with the next step; the last one is repeated.

    Args:
        steps: The steps in order, or a function from the request to its step.
        tls: Speak TLS with this context.
        host: Address to listen on.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        steps: Iterable[Step] | Callable[[Received], Step] = (),
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._choose = steps if callable(steps) else None
        self._steps = [] if callable(steps) else list(steps)
        self._tls = tls
        self._lines: list[_Line] = []
        self._news = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._host = host
        self.requests: list[Received] = []
        self.taken: list[Step] = []
        """The steps that were answered with, in order."""
        self.port = port

    @property
    def url(self) -> str:
        """The server's own address, without a slash at the end."""
        return f"http{'s' if self._tls else ''}://{self._host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        return len(self._lines)

    @property
    def open(self) -> int:
        """How many of them are still open, as far as the server knows."""
        return sum(not line.closed.is_set() for line in self._lines)

    def then(self, *steps: Step) -> ScriptedServer:
        """Add *steps*; gives the server itself."""
        self._steps += steps
        return self

    async def until(self, holds: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
        """Wait until *holds*, looked at whenever a connection or a request comes or a connection ends.

        Raises:
            TimeoutError: it did not within *timeout_s*.
        """
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [line.task for line in self._lines if line.task is not None and not line.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(len(self._lines) + 1, asyncio.current_task())
        self._lines.append(line)
        self._news.set()
        try:
            while await self._turn(line, reader, writer):
                pass
        except (OSError, EOFError, ValueError):  # the client left, or sent no HTTP
            pass
        except asyncio.CancelledError:  # the server is closing; asyncio would report the task otherwise
            pass
        finally:
            writer.transport.abort()
            line.closed.set()
            self._news.set()

    async def _turn(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        step = self._steps[0] if self._steps and self._steps[0].early else None
        if step is None:
            received = await _receive(reader, line.number)
            if received is None:
                return False
            self.requests.append(received)
            self._news.set()
            step = self._choose(received) if self._choose else self._next()
        else:
            self._next()
        self.taken.append(step)
        watch = asyncio.create_task(_gone(reader))
        try:
            for act in step.acts:
                if isinstance(act, bytes):
                    writer.write(act)
                    await writer.drain()
                else:
                    await asyncio.wait({watch}, timeout=act)
                if watch.done():
                    return False
            if step.then == "hang":
                await watch
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        if step.then == "close":
            writer.close()
            await writer.wait_closed()
        elif step.then == "reset":
            _break(writer)
        return step.then == "keep"

    def _next(self) -> Step:
        if not self._steps:
            raise AssertionError("ScriptedServer was asked but has no step: give it one")
        return self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]


async def _receive(reader: asyncio.StreamReader, connection: int) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for entry in lines:
        name, colon, value = entry.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(min(int(headers.get("content-length", "0")), _LARGEST))
    return Received(method, path, headers, body, connection)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Return when the client has closed its side; a client that sends more meanwhile is at fault."""
    while await reader.read(2**16):
        pass


def _break(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _dumps(value: Any) -> bytes:
    return json.dumps(value).encode()
