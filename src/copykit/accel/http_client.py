"""The rules of the HTTP port, the same over every library: checks, limits, slots, failures in the words of the tree.

A library comes in as a `Wire`, which knows connections and none of these rules.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from copykit.errors import (
    ConfigurationError,
    CopykitError,
    Overloaded,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderTLSError,
    ProviderUnavailable,
    TruncatedStream,
)

from .http import MAX_BYTES, MAX_HEAD_BYTES, Reply, ReplyStream

__all__ = ["Answer", "Call", "Client", "Failure", "Place", "Wire", "root_of"]

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """One request, checked."""

    method: str
    url: str
    place: Place
    headers: list[tuple[str, str]]
    body: bytes
    connect_s: float
    proxy: str | None = None
    """URL of the proxy to go through, credentials included."""
    reused: bool = False
    """Whether it went out on a connection that had served before."""

    @property
    def host(self) -> str:
        """Where it goes, for messages."""
        return self.place.host


class Failure(Exception):
    """What a wire tells of a failed exchange; never leaves this module."""

    def __init__(self, kind: str, cause: BaseException, *, again: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        """``connect``, ``slow`` (to connect), ``tls``, ``lost`` or ``garbled``."""
        self.cause = cause
        self.again = again
        """Whether an idle connection had gone stale, so that the request may be sent once more."""


class Answer(Protocol):
    """An answer on a wire, head read."""

    status: int
    headers: list[tuple[str, str]]

    async def next(self) -> bytes:
        """Give the next piece, empty at the end of the body; raises `Failure`."""
        ...

    async def keep(self) -> None:
        """Let the connection serve again."""
        ...

    async def drop(self) -> None:
        """Close the connection."""
        ...


class Wire(Protocol):
    """One library on one event loop: connections kept, none of the rules above."""

    async def send(self, call: Call, *, fresh: bool) -> Answer:
        """Send *call* and wait for the head; raises `Failure`. *fresh*: not on a connection used before."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(slots=True)
class _Home:
    """What a client has on one event loop."""

    wire: Wire
    slots: asyncio.Semaphore
    ending: AsyncGenerator[None, None]
    waiting: int = 0


class Client:
    """The rules of the port over the wires of one library."""

    def __init__(self, new_wire: Callable[[], Wire], connections: int, proxies: bool) -> None:
        if connections < 1:
            raise ConfigurationError(f"connections={connections}: must be at least 1")
        self._new_wire = new_wire
        self._connections = connections
        self._proxies = proxies
        self._homes: dict[asyncio.AbstractEventLoop, _Home] = {}
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        connect_s: float = 3.0,
        limit: int = MAX_BYTES,
    ) -> Reply:
        """Give the whole answer, as `HttpClient.request` says."""
        call = self._checked(method, url, headers, body, connect_s)
        home = await self._home()
        clock = _Clock(call.host, timeout_s, timeout_s, timeout_s)
        await self._slot(home, clock)
        try:
            return await clock.whole(_exchange(home.wire, call, limit))
        finally:
            home.slots.release()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        connect_s: float = 3.0,
        first_s: float = 15.0,
        gap_s: float = 15.0,
        limit: int = MAX_BYTES,
    ) -> AsyncIterator[ReplyStream]:
        """Give the answer while it comes, as `HttpClient.stream` says."""
        call = self._checked(method, url, headers, body, connect_s)
        home = await self._home()
        clock = _Clock(call.host, timeout_s, first_s, gap_s)
        await self._slot(home, clock)
        try:
            clock.start()
            stream = _Stream(await clock.first(_opened(home.wire, call)), call.host, limit, clock)
            try:
                stream.check()
                yield stream
            finally:
                await stream.leave()
        finally:
            home.slots.release()

    async def aclose(self) -> None:
        """Close what belongs to the running loop and take no more calls."""
        self._closed = True
        home = self._homes.pop(asyncio.get_running_loop(), None)
        if home is not None:
            await home.ending.aclose()

    def _checked(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, connect_s: float
    ) -> Call:
        call = _checked(method, url, headers, body, connect_s)
        if self._proxies:
            call.proxy = _proxy(call)
        return call

    async def _home(self) -> _Home:
        loop = asyncio.get_running_loop()
        home = self._homes.get(loop)
        if home is not None:
            return home
        if self._closed:
            raise RuntimeError("this HTTP client is closed")
        for other in [other for other in self._homes if other.is_closed()]:
            del self._homes[other]
        wire = self._new_wire()
        home = self._homes[loop] = _Home(wire, asyncio.Semaphore(self._connections), _until_the_end(wire))
        await anext(home.ending)
        return home

    async def _slot(self, home: _Home, clock: _Clock) -> None:
        if not home.slots.locked():
            await home.slots.acquire()
            return
        home.waiting += 1
        try:
            async with asyncio.timeout_at(clock.ends):
                await home.slots.acquire()
                return
        except TimeoutError:
            waiting = home.waiting
        finally:
            home.waiting -= 1
        raise Overloaded(waiting, self._connections)


async def _until_the_end(wire: Wire) -> AsyncGenerator[None, None]:
    """Close *wire* when closed itself: event loops close the generators begun on them before they end."""
    try:
        yield
    finally:
        await wire.close()


class _Clock:
    """The limits of one exchange, on the event loop's clock."""

    def __init__(self, host: str, timeout_s: float, first_s: float, gap_s: float) -> None:
        self._host, self._timeout_s, self._first_s, self._gap_s = host, timeout_s, first_s, gap_s
        self._now = asyncio.get_running_loop().time
        self.ends = self._now() + timeout_s
        self._first_by = self.ends

    def start(self) -> None:
        """Begin to wait for the first byte."""
        self._first_by = self._now() + self._first_s

    async def whole(self, act: Awaitable[T]) -> T:
        """Wait for everything."""
        return await self._until(self.ends, self._timeout_s, "", act)

    async def first(self, act: Awaitable[T]) -> T:
        """Wait for what comes before the first piece."""
        return await self._until(self._first_by, self._first_s, "has not begun its answer after", act)

    async def gap(self, act: Awaitable[T]) -> T:
        """Wait for a further piece."""
        return await self._until(
            self._now() + self._gap_s, self._gap_s, "added nothing to its answer for", act
        )

    async def _until(self, at: float, bound_s: float, what: str, act: Awaitable[T]) -> T:
        if at >= self.ends:
            at, bound_s, what = self.ends, self._timeout_s, "has not finished its answer after"
        try:
            async with asyncio.timeout_at(at) as scope:
                return await act
        except TimeoutError:
            if not scope.expired():
                raise
        raise ProviderTimeout(f"{self._host} {what} {bound_s:g} s", after_s=bound_s)


async def _exchange(wire: Wire, call: Call, limit: int) -> Reply:
    stream = _Stream(await _opened(wire, call), call.host, limit, None)
    try:
        stream.check()
        return Reply(stream.status, stream.headers, await stream.read())
    finally:
        await stream.leave()


async def _opened(wire: Wire, call: Call) -> Answer:
    failure: Failure | None = None
    for fresh in (False, True):
        try:
            return await wire.send(call, fresh=fresh)
        except Failure as error:
            failure = error
        if not failure.again:
            break
    assert failure is not None  # noqa: S101 -- for the type checker
    raise _told(failure, call.host, connect_s=call.connect_s)


class _Stream:
    """A `ReplyStream` within its limits; without a clock whoever made it sees to the time."""

    def __init__(self, answer: Answer, host: str, limit: int, clock: _Clock | None) -> None:
        self.status = answer.status
        # nobody here reads cookies, and what is not kept is not shown
        self.headers: Mapping[str, str] = {
            lower: value for name, value in answer.headers if (lower := name.lower()) != "set-cookie"
        }
        self._answer, self._host, self._limit, self._clock = answer, host, limit, clock
        self._size = 0
        self._whole = False
        self._failed: CopykitError | None = None

    def check(self) -> None:
        """Refuse what must not be read."""
        size = sum(len(name) + len(value) for name, value in self._answer.headers)
        if size > MAX_HEAD_BYTES:
            raise self._refusal(f"a head of {size} bytes")
        coding = self.headers.get("content-encoding", "")
        if coding.strip().lower() not in ("", "identity"):
            raise self._refusal("an encoded body although it was asked not to")
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:18]) > self._limit:
            raise self._refusal(f"more than {self._limit} bytes")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._next()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self) -> bytes:
        pieces = []
        while piece := await self._next():
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def leave(self) -> None:
        """Close the connection unless the body was read to its end."""
        if not self._whole and self._failed is None:
            await self._fail(TruncatedStream(f"the answer of {self._host} was left before its end"))

    async def _next(self) -> bytes:
        if self._failed is not None:  # what was cut once must not look whole at the next try
            raise self._failed
        if self._whole:
            return b""
        failed: CopykitError | Failure
        try:
            piece = await self._piece()
        except (Failure, CopykitError) as error:
            failed = error
        except BaseException:
            await self.leave()
            raise
        else:
            self._size += len(piece)
            if self._size <= self._limit:
                if not piece:
                    self._whole = True
                    await self._answer.keep()
                return piece
            failed = self._refusal(f"more than {self._limit} bytes")
        if isinstance(failed, Failure):
            failed = _told(failed, self._host, status=self.status)
        await self._fail(failed)
        raise failed

    async def _piece(self) -> bytes:
        if self._clock is None:
            return await self._answer.next()
        return await (self._clock.gap if self._size else self._clock.first)(self._answer.next())

    async def _fail(self, error: CopykitError) -> None:
        self._failed = error
        await self._answer.drop()

    def _refusal(self, what: str) -> ProviderProtocolError:
        return ProviderProtocolError(f"{self._host} sent {what}", status=self.status)


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_URL = re.compile(r"[\x21-\x7e]+")
_OURS = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "te",
    "upgrade",
    "trailer",
}


def _checked(method: str, url: str, headers: Mapping[str, str], body: bytes, connect_s: float) -> Call:
    """Refuse what would reach the wire as something else; messages hold no value, since it may be a key."""
    if not _TOKEN.fullmatch(method):
        raise ConfigurationError("the HTTP method holds characters that no method may hold")
    place = _place(url)
    sent = [("host", place.netloc), ("accept-encoding", "identity")]
    if body or method not in ("GET", "HEAD", "DELETE", "OPTIONS"):
        sent.append(("content-length", str(len(body))))
    own_agent = True
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ConfigurationError("the name of a header holds characters that none may hold")
        if (lower := name.lower()) in _OURS:
            raise ConfigurationError(f"the header {name!r} is not the caller's to set")
        if not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f"the value of the header {name!r} holds a line break or a character beyond ASCII"
            )
        own_agent = own_agent and lower != "user-agent"
        sent.append((name, value))
    if own_agent:
        sent.append(("user-agent", "copykit"))
    return Call(method, url, place, sent, body, connect_s)


class Place(NamedTuple):
    """Where a URL leads."""

    scheme: str
    netloc: str
    host: str
    port: int
    target: str
    """Path and query."""


@lru_cache(64)
def _place(url: str) -> Place:
    if not _URL.fullmatch(url):
        raise ConfigurationError("the URL holds a space, a control character or one beyond ASCII; quote it")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError("the URL is none of http or https with a host and a port up to 65535")
    if "@" in parts.netloc:
        raise ConfigurationError(f"the URL of {host} holds credentials; put them into a header")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = port if port is not None else (443 if parts.scheme == "https" else 80)
    return Place(parts.scheme, parts.netloc, host, port, target)


def _proxy(call: Call) -> str | None:
    """Give the proxy that the environment names for *call*."""
    from urllib.request import getproxies_environment, proxy_bypass

    named = getproxies_environment()
    if proxy_bypass(f"{call.host}:{call.place.port}"):
        return None
    proxy = named.get(call.place.scheme) or named.get("all")
    if not proxy:
        return None
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = parts.scheme == "http" and bool(parts.hostname) and (parts.port or 80) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            f"the proxy that the environment names for {call.place.scheme} is no http://host:port"
        )
    return parts.geturl()


def _told(failure: Failure, host: str, *, connect_s: float = 0.0, status: int | None = None) -> CopykitError:
    """Say in the words of the error tree what a wire met; *status* if a head had come."""
    root = root_of(failure.cause)
    error: CopykitError
    if failure.kind == "tls":
        error = ProviderTLSError(f"no trusted connection to {host}: {_why(root)}")
    elif failure.kind == "slow":
        # not `ProviderTimeout`: nothing was sent, so nothing can be billed and nobody is overtaxed
        error = ProviderUnavailable(f"no connection to {host} within {connect_s:g} s")
    elif failure.kind == "connect":
        error = ProviderUnavailable(
            f"{host} cannot be reached: {_why(root)}", retryable=not _unknown_host(root)
        )
    elif failure.kind == "garbled":
        error = ProviderProtocolError(f"{host} did not answer in HTTP", status=status)
    elif status is not None:
        error = TruncatedStream(f"{host} ended the connection within its answer", status=status)
    else:
        error = ProviderUnavailable(f"{host} ended the connection before it answered")
    # a library's own exceptions may hold headers; what the system said holds none
    error.__cause__ = root if isinstance(root, OSError) and type(root).__module__ in _SYSTEM else None
    return error


_SYSTEM = ("builtins", "ssl", "socket")


def root_of(error: BaseException) -> BaseException:
    """Give the system's own error below *error*, or the innermost there is."""
    seen = error
    for _ in range(20):
        if isinstance(seen, OSError) and type(seen).__module__ in _SYSTEM and seen.errno is not None:
            return seen
        if isinstance(seen, BaseExceptionGroup):
            below: BaseException | None = seen.exceptions[0]
        else:
            below = getattr(seen, "os_error", None) or seen.__cause__ or seen.__context__
        if below is None:
            break
        seen = below
    return seen


def _why(root: BaseException) -> str:
    if isinstance(root, ssl.SSLCertVerificationError):
        return root.verify_message
    if isinstance(root, ssl.SSLError):
        return (root.reason or "the handshake failed").replace("_", " ").lower()
    if isinstance(root, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(root, OSError) and root.errno is not None:
        return os.strerror(root.errno).lower()
    return "the connection failed"


def _unknown_host(root: BaseException) -> bool:
    return isinstance(root, socket.gaierror) and root.errno == socket.EAI_NONAME
