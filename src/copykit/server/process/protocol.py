"""The bounds of one connection: how long a head may take, how large it may be, how slowly a client may read.

An application is not asked before the head of a request is whole, so these bounds stand in the server: the two protocols
of uvicorn (over h11 and over httptools), each under the same reader of heads, one request at a time.
"""

from __future__ import annotations

import asyncio
import secrets
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from typing import Any, ClassVar

from starlette.types import Message, Scope, Send
from uvicorn.server import ServerState

from copykit.accel import json
from copykit.server.bodies import LEAST_RATE
from copykit.server.process.heads import CHUNKED, SPOILT, BadHead, Head, is_spoilt, read_head
from copykit.server.wire import GONE, WHOLE, Problem

__all__ = ["Bounds", "State", "protocol_of"]

_BUFFERED = 32 * 1024
"""Bytes of an answer kept here for a client that reads slowly; the kernel keeps as many again that were not sent yet."""
_RESUMED = 8 * 1024
_REPEATED = 1024
"""Bytes of a head that is kept until the next one."""
_CODES = {
    400: "malformed_request",
    408: "request_timeout",
    413: "payload_too_large",
    431: "headers_too_large",
    503: "overloaded",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take."""

    header_s: float = 5.0
    """Seconds from a connection's beginning, or from a head's first byte, to the end of that head."""
    header_bytes: int = 16 * 1024
    """Bytes of a head, the request line included,"""
    header_fields: int = 64
    """and its fields."""
    stalled_s: float = 30.0
    """Seconds in which a client has to take what waits for it, or `LEAST_RATE` of that and so on."""
    linger_s: float = 2.0
    """Seconds in which what a client still sends is thrown away after an early answer, so that it can read the answer."""


class State(ServerState):
    """What the connections of one server share."""

    draining = False
    """Whether the server is about to end: then every answer is the last one of its connection."""
    most = 0
    """Connections at once; one more is told so and closed. 0 for as many as come."""

    def __init__(self, refused: Callable[[int, str], None] | None = None) -> None:
        super().__init__()
        self.refused = refused or (lambda status, code: None)
        """Hears status and code of each request that no application saw."""


class _Bounded(asyncio.Protocol):
    """Stands before a protocol of uvicorn and passes it one whole head, then that request's body, then the next head."""

    bounds: ClassVar[Bounds] = Bounds()
    writes_whole: ClassVar[bool] = False
    """Whether an answer may be written past the parser: httptools reads only, h11 wants to hear of answers too."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    server_state: ServerState
    flow: Any
    cycle: Any
    _unset_keepalive_if_required: Callable[[], None]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._held = bytearray()
        """What came and was not passed on yet: an unfinished head, or requests behind the one being answered."""
        self._left = 0
        """Bytes of the body that are still to come, or `CHUNKED`."""
        self._over = False
        """Whether nothing more is read from this connection."""
        self._last = False
        """Whether the request being answered is the last: nobody here knows where a body in chunks ended."""
        self._former = (b"", Head(b"", 0))
        """The head before and what it says: clients that keep a connection mostly send the same one again."""
        self._made_at = time.monotonic()
        self._heading: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self._waited = 0
        """Bytes that waited for the client when it was looked at last."""
        self._lingering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(_BUFFERED, _RESUMED)
        _bound_kernel(transport.get_extra_info("socket"), self.bounds.stalled_s)
        if 0 < getattr(self.server_state, "most", 0) < len(self.server_state.connections):
            self.refuse(503, "too many connections")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was waited for."""
        self._over = True
        for timer in (self._heading, self._stalling, self._lingering):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        if self._over:
            return
        if not self._held:
            if self._left:
                if self._left == CHUNKED or self._left >= len(data):
                    self._pass(data)
                    return
            elif not self.is_busy() and self._took_whole(data):
                return
        self._held += data
        self._advance()

    def _took_whole(self, data: bytes) -> bool:
        """Take *data* if it is one head and no more than its body: the way of nearly all requests, so a short one."""
        end = data.find(b"\r\n\r\n", 0, self.bounds.header_bytes) + 4
        if end <= 4 or data[:1] == b"\r":
            return False
        told = data[:end]
        if told == self._former[0]:
            head = self._former[1]
        else:
            try:
                head = read_head(told, self.bounds.header_fields)
            except BadHead as refusal:
                self.refuse(refusal.status, refusal.detail)
                return True
            if end <= _REPEATED:
                self._former = (told, head)
        came = len(data) - end
        if came > head.body:  # a request behind it, or chunks
            return False
        self._take(head if came == 0 else Head(head.data + data[end:], head.body), came)
        return True

    def _pass(self, data: bytes) -> None:
        if self._left != CHUNKED:
            self._left -= len(data)
        super().data_received(data)

    def _advance(self) -> None:
        """Pass on what is whole, as long as no request is being answered."""
        while self._held and not self._over:
            if self._left:
                size = len(self._held) if self._left == CHUNKED else self._left
                piece = bytes(self._held[:size])
                del self._held[:size]
                self._pass(piece)
            elif self.is_busy():
                self.flow.pause_reading()
                return
            elif not self._begin():
                return

    def _begin(self) -> bool:
        """Pass on a head; False while it is not whole, or if it is refused."""
        held, bounds = self._held, self.bounds
        while held.startswith(b"\r\n"):  # before a request line it means nothing
            del held[:2]
        end = held.find(b"\r\n\r\n", 0, bounds.header_bytes)
        try:
            if end < 0 and is_spoilt(held):
                raise BadHead(400, SPOILT)
            if end < 0 and len(held) > bounds.header_bytes:
                raise BadHead(431, f"the head of a request takes at most {bounds.header_bytes} bytes")
            if end < 0:
                self._await_head()
                return False
            head = read_head(bytes(held[: end + 4]), bounds.header_fields)
        except BadHead as refusal:
            self.refuse(refusal.status, refusal.detail)
            return False
        del held[: end + 4]
        self._take(head, 0)
        return not self._over

    def _take(self, head: Head, came: int) -> None:
        """Pass on a head and *came* bytes of its body."""
        self._stop_heading()
        before = self.cycle
        super().data_received(head.data)
        cycle = self.cycle
        if self._over:
            return
        if cycle is before:
            self.refuse(400, "not a request of HTTP/1.1")
            return
        self._left, self._last = head.body - came if head.body > 0 else head.body, head.body == CHUNKED
        if self._last or getattr(self.server_state, "draining", False):
            self.part()
        cycle.scope["extensions"] = {GONE: self._is_gone}
        if self._left:
            cycle.send = _EarlyAnswer(self, cycle)
        elif self.writes_whole:
            cycle.scope["extensions"][WHOLE] = self._write_whole

    def _is_gone(self, scope: Scope) -> bool:
        """Say whether the client of the request that *scope* is left too early; with the next one begun it did not."""
        cycle = self.cycle
        return cycle.scope is scope and bool(cycle.disconnected)

    def _write_whole(self, head: bytes, body: bytes) -> bool:
        """Answer the present request with 200 at once; False where something about it wants the usual steps.

        Args:
            head: header lines, each with its end, that need no look at their letters any more.
            body: as long as they say.
        """
        cycle = self.cycle
        usual = cycle.keep_alive and not (cycle.response_started or cycle.disconnected or self._over)
        if not usual or self.flow.write_paused or self.transport.is_closing():
            return False
        cycle.response_started = cycle.response_complete = True
        own = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
        self.transport.write(b"HTTP/1.1 200 OK\r\n" + own + head + b"\r\n" + body)
        cycle.message_event.set()
        cycle.on_response()
        return True

    def part(self) -> None:
        """Let the answer to the present request be the last of this connection, and say so."""
        cycle = self.cycle
        if self.is_busy() and not cycle.response_started:
            cycle.keep_alive = False  # all that httptools' protocol needs
            cycle.scope["headers"].append(
                (b"connection", b"close")
            )  # h11's answers the wish with the same words

    def is_busy(self) -> bool:
        """Say whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def is_idle(self, for_s: float = 0.0) -> bool:
        """Say whether nothing was begun that deserves an answer, and the connection is at least *for_s* old.

        What connects sends its request next, so a new one is not idle yet.
        """
        return not self.is_busy() and not self._held and time.monotonic() - self._made_at >= for_s

    def has_unread(self) -> bool:
        """Say whether something came that this process did not read yet: to close then would reset the connection."""
        try:
            waiting = select.poll()
            waiting.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
            return bool(waiting.poll(0))
        except (
            AttributeError,
            OSError,
            ValueError,
        ):  # a system without poll, a connection that is closed already
            return False

    def on_message_begin(self) -> None:
        """Refuse what follows a body in chunks (httptools tells of it; h11 stops by itself)."""
        if self._left == CHUNKED:
            raise BadHead(400, "a request behind a body in chunks")
        super().on_message_begin()  # type: ignore[misc]  # of uvicorn's protocol

    def _await_head(self) -> None:
        self._unset_keepalive_if_required()
        if self._heading is None:
            self._heading = self.loop.call_later(self.bounds.header_s, self._head_is_late)

    def _stop_heading(self) -> None:
        if self._heading is not None:
            self._heading.cancel()
            self._heading = None

    def _head_is_late(self) -> None:
        self._heading = None
        if self._held:
            self.refuse(408, f"the head of a request did not arrive within {self.bounds.header_s:g} s")
        else:
            self.transport.close()

    def refuse(self, status: int, detail: str, code: str = "") -> None:
        """Answer for the application, which does not see this request or hears that its client is gone, and close."""
        if self._over:
            return
        busy = self.is_busy()
        if isinstance(self.server_state, State):
            self.server_state.refused(status, code or _CODES[status])
        if not busy or not self.cycle.response_started:
            self.transport.write(_answer(status, detail, code or _CODES[status]))
        if busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._close_slowly()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused."""
        if self._last and self.is_busy() and not self.cycle.more_body:
            self._over = (
                True  # what follows a body in chunks is not read; the answer to that request is on its way
            )
        else:
            self.refuse(400, "not a request of HTTP/1.1")

    def _close_slowly(self) -> None:
        """Say that nothing more is sent, and throw away for a moment what still comes: a reset would eat the answer."""
        self._over = True
        self._held.clear()
        self._stop_heading()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._lingering = self.loop.call_later(self.bounds.linger_s, self.transport.abort)

    def on_response_complete(self) -> None:
        """Go on with the next request, if its head is there already."""
        if self._over:
            return
        super().on_response_complete()  # type: ignore[misc]  # of uvicorn's protocol
        if (
            self.transport.is_closing()
        ):  # it was told that this was the last answer: what it sent behind is not read
            self._over = True
            self._held.clear()
            return
        if self.transport.get_write_buffer_size():
            self._await_reader()
        if self._held:
            self._advance()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Go on: the client read."""
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None
        super().resume_writing()

    def _await_reader(self) -> None:
        if self._stalling is None:
            self._waited = self.transport.get_write_buffer_size()
            self._stalling = self.loop.call_later(self.bounds.stalled_s, self._reader_is_late)

    def _reader_is_late(self) -> None:
        self._stalling = None
        waits = self.transport.get_write_buffer_size()
        # more than before: an answer behind the one that waited, while that is still short
        if waits > self._waited or 0 < waits <= self._waited - LEAST_RATE * self.bounds.stalled_s:
            self._await_reader()
        elif waits:
            self.transport.abort()


class _EarlyAnswer:
    """Sends an answer that may begin before the request's body is there: then it is the connection's last one.

    It stands for the cycle's transport as well, so that closing waits for the client to stop sending.
    """

    def __init__(self, protocol: _Bounded, cycle: Any) -> None:
        self._protocol, self._cycle = protocol, cycle
        self._send: Send = cycle.send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._cycle.more_body:
            self._cycle.transport = self
            self._protocol.part()
        await self._send(message)

    def close(self) -> None:
        """Close without cutting off what was written."""
        self._protocol._close_slowly()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol.transport, name)


def _bound_kernel(connection: Any, stalled_s: float) -> None:
    """Let the kernel keep little that was not sent, and give up a peer that takes nothing; where it can (Linux)."""
    for name, value in (("TCP_NOTSENT_LOWAT", _BUFFERED), ("TCP_USER_TIMEOUT", round(stalled_s * 1000))):
        with suppress(OSError, AttributeError):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _answer(status: int, detail: str, code: str) -> bytes:
    request_id = secrets.token_hex(8)
    problem = Problem(status, code, detail, status == 503, 1.0 if status == 503 else None)
    body = json.dumps(problem.body(request_id))
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        f"x-request-id: {request_id}",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "connection: close",
        *(f"{name.lower()}: {value}" for name, value in problem.headers.items()),
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def protocol_of(bounds: Bounds, parser: str = "auto") -> type[asyncio.Protocol]:
    """Give uvicorn's protocol under *bounds*.

    Args:
        parser: ``httptools``, ``h11``, or ``auto`` for httptools where it is installed.
    """
    base: type[asyncio.Protocol] | None = None
    if parser != "h11":
        try:
            import_module("httptools")  # by uvicorn too, which does not install it
            from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

            base = HttpToolsProtocol
        except ImportError:
            if parser != "auto":
                raise
    if base is None:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        base = H11Protocol
    own = {"bounds": bounds, "writes_whole": base.__name__ == "HttpToolsProtocol"}
    return type(f"Bounded{base.__name__}", (_Bounded, base), own)
