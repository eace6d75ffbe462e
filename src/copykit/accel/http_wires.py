"""aiohttp, httpx2 and httpx as wires of the HTTP port; nothing of them is imported before a candidate is loaded."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib import import_module
from types import coroutine
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from .http import HttpClient
from .http_client import Answer, Call, Client, Failure, root_of
from .registry import is_present

__all__ = ["KEEP_ALIVE_S", "Aiohttp", "Httpcore", "httpx", "httpx2"]

KEEP_ALIVE_S = 30.0
"""How long an idle connection is kept."""


@cache
def _trust() -> ssl.SSLContext:
    """What this machine trusts; loading it takes some 20 ms, so once a process."""
    if sys.platform in ("win32", "darwin") and is_present("truststore"):
        truststore: Any = import_module("truststore")
        made = cast(ssl.SSLContext, truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    else:
        made = ssl.create_default_context()
    made.set_alpn_protocols(["http/1.1"])
    return made


class Aiohttp:
    """aiohttp's client, with everything that it does beyond one exchange switched off."""

    def __init__(self) -> None:
        self.lib: Any = import_module("aiohttp")
        self.url: Any = import_module("yarl").URL
        lib = self.lib
        self.timeout: Any = lru_cache(maxsize=16)(lib.ClientTimeout)
        self.tls = (lib.ClientConnectorCertificateError, lib.ClientSSLError)
        self.slow = (lib.ConnectionTimeoutError,)
        self.connect = (lib.ClientConnectorError, lib.ClientHttpProxyError)
        self.lost = (lib.ServerDisconnectedError, lib.ClientPayloadError, OSError)
        request = lib.ClientRequest
        self.request: Any = request if sys.version_info >= (3, 12) else _written_at_once(request)

    def new(self, *, connections: int, tls: ssl.SSLContext | None, proxies: bool) -> HttpClient:
        """Give a client, as `HttpMaker` says."""
        return Client(lambda: _AiohttpWire(self, tls or _trust()), connections, proxies)


class _AiohttpWire:
    """One session for ordinary calls and, when needed, one whose connections serve once."""

    def __init__(self, own: Aiohttp, tls: ssl.SSLContext) -> None:
        self._own, self._tls = own, tls
        self._kept = self._session(keepalive_timeout=KEEP_ALIVE_S)
        self._once: Any = None

    def _session(self, **connector: Any) -> Any:
        lib = self._own.lib
        # as with the other libraries, a name is looked up for each connection: an address that moved is found at once
        made = lib.TCPConnector(
            limit=0, ssl=self._tls, resolver=lib.ThreadedResolver(), use_dns_cache=False, **connector
        )
        made.connect = _noting(made.connect)
        return lib.ClientSession(
            connector=made,
            cookie_jar=lib.DummyCookieJar(),
            auto_decompress=False,
            timeout=lib.ClientTimeout(total=None),
            request_class=self._own.request,
            max_line_size=8190,
            max_field_size=2 * 8190,
            max_headers=128,
        )

    async def send(self, call: Call, *, fresh: bool) -> Answer:
        own = self._own
        session = self._kept
        if fresh:
            session = self._once = self._once or self._session(force_close=True)
        call.reused = False
        _CALL.set(call)
        try:
            response = await session.request(
                call.method,
                own.url(call.url, encoded=True),
                headers=call.headers,
                skip_auto_headers=_not_among(call.headers),
                data=call.body or None,
                allow_redirects=False,
                timeout=own.timeout(total=None, connect=call.connect_s),
                proxy=call.proxy,
            )
        except own.tls as error:
            raise Failure("tls", error) from None
        except own.slow as error:
            raise Failure("slow", error) from None
        except own.connect as error:
            raise Failure("connect", error) from None
        except own.lost as error:
            half = not isinstance(getattr(error, "message", ""), str)  # of a head that had begun
            raise Failure("lost", error, again=call.reused and not half) from None
        except Exception as error:
            raise Failure("garbled", error) from None
        return _AiohttpAnswer(own, response)

    async def close(self) -> None:
        await self._kept.close()
        if self._once is not None:
            await self._once.close()


def _written_at_once(base: Any) -> Any:
    """Give aiohttp's request *base* as it is from Python 3.12 on: written before anything else has its turn.

    Up to 3.11 aiohttp leaves the body to a task of its own. Where many calls begin together, the turn of that task
    comes when all of them have been made ready: they leave together, and their answers come together again.
    """

    class WrittenAtOnce(base):  # type: ignore[misc]  # known only when aiohttp is there
        """Its task is left what the socket does not take at once, mostly nothing."""

        def write_bytes(self, *given: Any) -> Awaitable[None]:
            """Write, and give what is left to do."""
            work: Coroutine[Any, None, None] = super().write_bytes(*given)
            try:
                return _rest(work, work.send(None))
            except StopIteration:
                return _nothing()

    return WrittenAtOnce


async def _nothing() -> None:
    pass


@coroutine
def _rest(work: Coroutine[Any, None, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with *work*, which is begun and waits."""
    try:
        yield waits_for
    except BaseException as error:
        work.throw(error)
        raise
    yield from work


_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


def _not_among(headers: list[tuple[str, str]]) -> list[str] | None:
    """Give the headers that aiohttp would add of its own; None if there are none, which spares it copies."""
    sent = {name.lower() for name, _ in headers}
    return [name for name in _ADDED if name.lower() not in sent] or None


_CALL: ContextVar[Call] = ContextVar("copykit_http_call")


def _noting(connect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Let *connect*, a connector's own, note in the call at hand whether its connection had served before.

    aiohttp's tracing tells it too, at a fifth of the price of a call.
    """

    async def noting(*given: Any, **named: Any) -> Any:
        connection = await connect(*given, **named)
        protocol = connection.protocol
        _CALL.get().reused = getattr(protocol, "copykit_served", False)
        protocol.copykit_served = True
        return connection

    return noting


class _AiohttpAnswer:
    def __init__(self, own: Aiohttp, response: Any) -> None:
        self._own, self._response = own, response
        self.status: int = response.status
        self.headers: list[tuple[str, str]] = list(response.headers.items())

    async def next(self) -> bytes:
        try:
            return cast(bytes, await self._response.content.readany())
        except self._own.lost as error:
            raise Failure("lost", error) from None
        except Exception as error:
            raise Failure("garbled", error) from None

    async def keep(self) -> None:
        self._response.release()

    async def drop(self) -> None:
        self._response.close()


def _without_headers(record: logging.LogRecord) -> bool:
    """Take an answer's headers out of the library's own DEBUG lines: cookies and tokens of a gateway stand in them."""
    if str(record.msg).startswith(_HEADERS_CAME):
        record.msg = f"{_HEADERS_CAME} (headers left out)"
    return True


_HEADERS_CAME = "receive_response_headers.complete"


class Httpcore:
    """httpx2's or httpx's connections without their client and pool.

    The client's layers (redirects, cookies, decoding) are what a call to a provider must not have, and the pool of
    httpx 0.28 keeps a connection for good whose request was cancelled while it connected.
    """

    def __init__(self, core: Any) -> None:
        self.core: Any = core
        logging.getLogger(f"{core.__name__}.http11").addFilter(_without_headers)
        self.network: Any = core.AnyIOBackend()
        self.connection: Any = core.AsyncHTTP11Connection

    def new(self, *, connections: int, tls: ssl.SSLContext | None, proxies: bool) -> HttpClient:
        """Give a client, as `HttpMaker` says."""
        return Client(lambda: _HttpcoreWire(self, connections, tls or _trust()), connections, proxies)


def httpx2() -> Httpcore:
    """Give the connections of httpx2."""
    import_module("httpx2")
    return Httpcore(import_module("httpcore2"))


def httpx() -> Httpcore:
    """Give the connections of httpx."""
    import_module("httpx")
    return Httpcore(import_module("httpcore"))


class Watched:
    """A network stream that knows where it goes and what came through it."""

    def __init__(self, stream: Any, proxy: str | None) -> None:
        self._stream = stream
        self.proxy = proxy
        self.silent = True
        """Whether nothing has come since this was last set."""
        self.ended = False
        """Whether the other side has closed or broken it."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- httpcore's
        """Give up to *max_bytes*, empty at the end."""
        try:
            data = cast(bytes, await self._stream.read(max_bytes, timeout))
        except Exception:
            self.ended = True
            raise
        if data:
            self.silent = False
        else:
            self.ended = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- the same
        """Send all of *buffer*."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the socket."""
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Tell what the stream below knows."""
        return self._stream.get_extra_info(info)


class _HttpcoreWire:
    """The connections to all origins, idle ones in the order in which they became so."""

    def __init__(self, own: Httpcore, connections: int, tls: ssl.SSLContext) -> None:
        self._own, self._most, self._tls = own, connections, tls
        self._idle: list[tuple[Any, Watched]] = []
        self._busy: set[Any] = set()
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def send(self, call: Call, *, fresh: bool) -> Answer:
        core, place = self._own.core, call.place
        origin = core.Origin(place.scheme.encode(), place.host.encode(), place.port)
        headers = [(name.encode(), value.encode()) for name, value in call.headers]
        target = place.target.encode()
        if call.proxy and place.scheme == "http":
            target = call.url.encode()
            headers += _for_proxy(call.proxy)
        line, stream = (None, None) if fresh else await self._take(origin, call.proxy)
        call.reused = line is not None
        if line is None or stream is None:
            stream = await self._connected(call)
            line = self._own.connection(origin, stream, KEEP_ALIVE_S)
        stream.silent = True
        self._busy.add(line)
        try:
            url = core.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target)
            request = core.Request(call.method.encode(), url, headers=headers, content=call.body)
            del (
                headers
            )  # credentials in them would stand in the traceback of a failure, where variables are shown
            response = await line.handle_async_request(request)
        except BaseException as error:  # cancellation too
            await self.discard(line)
            if not isinstance(error, Exception):
                raise
            kind = "lost" if stream.ended else "garbled"
            raise Failure(kind, error, again=call.reused and stream.ended and stream.silent) from None
        return _HttpcoreAnswer(self, line, stream, response)

    async def _connected(self, call: Call) -> Watched:
        own, place = self._own, call.place
        via = urlsplit(call.proxy) if call.proxy else None
        host, port = (via.hostname, via.port or 80) if via else (place.host, place.port)
        stream: Any = None
        try:
            async with asyncio.timeout(call.connect_s):
                stream = await own.network.connect_tcp(host, port)
                if call.proxy and place.scheme == "https":
                    stream = await self._tunnel(stream, call)
                if place.scheme == "https":
                    stream = await stream.start_tls(self._tls, place.host)
        except BaseException as error:
            if stream is not None:
                await stream.aclose()
            if not isinstance(error, Exception):
                raise
            failed: Exception = error
        else:
            return Watched(stream, call.proxy)
        if isinstance(failed, TimeoutError):
            raise Failure("slow", failed)
        raise Failure("tls" if isinstance(root_of(failed), ssl.SSLError) else "connect", failed)

    async def _tunnel(self, stream: Any, call: Call) -> Any:
        core = self._own.core
        there = f"{call.host}:{call.place.port}".encode()
        origin = core.Origin(b"http", b"proxy", 80)
        url = core.URL(scheme=b"http", host=b"proxy", port=80, target=there)
        headers = [(b"host", there), *_for_proxy(call.proxy or "")]
        response = await self._own.connection(origin, stream).handle_async_request(
            core.Request(b"CONNECT", url, headers=headers)
        )
        if not 200 <= response.status < 300:
            raise ConnectionError(f"the proxy answered with {response.status}")
        return response.extensions["network_stream"]

    async def _take(self, origin: Any, proxy: str | None) -> tuple[Any, Watched | None]:
        for n in range(len(self._idle) - 1, -1, -1):
            line, stream = self._idle[n]
            if line.can_handle_request(origin) and stream.proxy == proxy:
                del self._idle[n]
                if not line.has_expired():
                    return line, stream
                await line.aclose()
                return await self._take(origin, proxy)
        return None, None

    async def keep(self, line: Any, stream: Watched) -> None:
        """Put *line* among the idle ones if it can serve again."""
        left_over = getattr(line, "_h11_state", None)
        if self._closed or not line.is_idle() or (left_over is not None and left_over.trailing_data[0]):
            await self.discard(line)
            return
        self._busy.discard(line)
        self._idle.append((line, stream))
        await self._sweep()

    async def _sweep(self) -> None:
        """Close idle connections that are too many or too old, and look again when the next may be."""
        while self._idle and (len(self._idle) > self._most or self._idle[0][0].has_expired()):
            await self._idle.pop(0)[0].aclose()
        if self._idle and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(1.1 * KEEP_ALIVE_S, self._sweep_soon)

    def _sweep_soon(self) -> None:
        self._timer = None
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def discard(self, line: Any) -> None:
        """Close *line*."""
        self._busy.discard(line)
        await line.aclose()

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        lines = [*self._busy, *(line for line, _ in self._idle)]
        self._busy.clear()
        self._idle.clear()
        for line in lines:
            await line.aclose()


def _for_proxy(proxy: str) -> list[tuple[bytes, bytes]]:
    """Give the header with the credentials that *proxy* holds, if it does."""
    parts = urlsplit(proxy)
    if not parts.username:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return [(b"proxy-authorization", b"Basic " + base64.b64encode(pair))]


class _HttpcoreAnswer:
    def __init__(self, wire: _HttpcoreWire, line: Any, stream: Watched, response: Any) -> None:
        self._wire, self._line, self._stream, self._response = wire, line, stream, response
        self._pieces = aiter(response.stream)
        self.status: int = response.status
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]

    async def next(self) -> bytes:
        try:
            async for piece in self._pieces:
                if piece:
                    return cast(bytes, piece)
        except Exception as error:
            raise Failure("lost" if self._stream.ended else "garbled", error) from None
        return b""

    async def keep(self) -> None:
        await self._response.aclose()
        await self._wire.keep(self._line, self._stream)

    async def drop(self) -> None:
        await self._pieces.aclose()
        await self._response.aclose()
        await self._wire.discard(self._line)
