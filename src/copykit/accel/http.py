"""HTTP to model providers: one small port, three libraries behind it.

What a call to a provider must be, whichever library makes it:

- one exchange over HTTP/1.1, kept-alive connections, no redirects, no cookies, no decoding: ``Accept-Encoding:
  identity`` is sent and an encoded body refused unread;
- bounded: the whole exchange by one wall-clock limit, connecting, the first byte and every gap of a stream by their
  own, the body by *limit* raw bytes, the head by 64 KiB;
- cancellable at every moment: the socket is closed at once and costs the client no capacity;
- honest: what goes wrong is a class of `copykit.errors` with an empty ``target``. Messages name the host and nothing
  else of the request, so no key in a header or a query gets into them.

Failures: `ProviderUnavailable` when no connection came about or it ended before any head; `ProviderTLSError`;
`ProviderTimeout`; `TruncatedStream` when the connection ended inside the answer; `ProviderProtocolError` for what is
no HTTP, too large or encoded; `Overloaded` when no connection of this client became free in time, so that nothing
was sent; `ConfigurationError` for a URL or header that must not be sent.

A connection that the server closed while it was idle is replaced once, silently, if no byte of an answer had come.

A client may be used from several event loops: each has connections of its own, made on first use and closed when
the loop ends (`asyncio.run` does that) or by `aclose` on that loop. The bound on connections holds for each loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from .registry import Candidate, Capability, choose, expect

if TYPE_CHECKING:
    import ssl

__all__ = [
    "CAPABILITY",
    "MAX_BYTES",
    "MAX_HEAD_BYTES",
    "MOST_CONNECTIONS",
    "HttpClient",
    "HttpMaker",
    "Reply",
    "ReplyStream",
    "open_client",
]

MAX_BYTES = 4 * 2**20
"""Largest body read unless a call says otherwise."""

MAX_HEAD_BYTES = 64 * 2**10
"""Largest head, names and values together."""


MOST_CONNECTIONS = 256
"""Most exchanges at a time unless a client is made with another bound.

As many as the router ever lets a target have in progress (`routing.limits`): what bounds calls is the limit that
learns from their answers, and none of them waits for a connection while its own time runs.
"""


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of repeated ones the last."""
    body: bytes


class ReplyStream(Protocol):
    """An answer whose head has come and whose body is coming."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of repeated ones the last."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give raw pieces as they come."""
        ...

    async def read(self) -> bytes:
        """Give what has not been read yet, within the call's limit."""
        ...


class HttpClient(Protocol):
    """Makes exchanges over pooled connections; safe to share between tasks, and between event loops."""

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
        """Send a request and give the whole answer, whatever its status.

        Args:
            method: ``POST`` and the like.
            url: ``http`` or ``https``, ASCII, already quoted; it is sent as it stands.
            headers: Sent as they are, beside ``Host``, ``Content-Length``, ``Accept-Encoding`` and ``User-Agent``.
            body: Sent whole.
            timeout_s: For everything, waiting for a connection included.
            connect_s: For name resolution, connecting and TLS.
            limit: Largest body in bytes.

        Raises:
            CopykitError: as the module says.
        """
        ...

    def stream(
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
    ) -> AbstractAsyncContextManager[ReplyStream]:
        """Send a request and give the answer while it comes; leaving the block early closes its connection.

        Args:
            method: As in `request`, like all that is not named here.
            url: As in `request`.
            headers: As in `request`.
            body: As in `request`.
            timeout_s: For everything until the last byte.
            connect_s: As in `request`.
            first_s: From sending to the first byte of the body.
            gap_s: Between two pieces of the body, measured while one is waited for.
            limit: Largest body in bytes, all pieces together.

        Raises:
            CopykitError: as the module says, on entering or while the body is read.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections of the running loop; the client is of no more use."""
        ...


def open_client(
    *, connections: int = MOST_CONNECTIONS, tls: ssl.SSLContext | None = None, proxies: bool = False
) -> HttpClient:
    """Give a client of the chosen library; nothing is connected yet.

    Args:
        connections: Most exchanges at a time, per event loop; further ones wait their turn.
        tls: What to trust instead of this machine's own certificates.
        proxies: Go through the proxies that ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` name.

    Raises:
        ConfigurationError: *connections* is below 1, or the forced candidate's name is unknown.
    """
    maker = cast(HttpMaker, choose("http").implementation)
    return maker.new(connections=connections, tls=tls, proxies=proxies)


class HttpMaker(Protocol):
    """What a candidate gives: clients of its library."""

    def new(self, *, connections: int, tls: ssl.SSLContext | None, proxies: bool) -> HttpClient:
        """Give a client; the arguments are those of `open_client`."""
        ...


def _verify(maker: HttpMaker) -> None:
    client = maker.new(connections=1, tls=None, proxies=False)
    for name in ("request", "stream", "aclose"):
        expect(callable(getattr(client, name, None)), f"gives a client without {name}")


CAPABILITY = Capability(
    "http",
    "Calls to model providers over pooled connections.",
    (
        Candidate("aiohttp", "aiohttp", "copykit.accel.http_wires:Aiohttp", "fast"),
        # no longer maintained, and no better than the core dependency
        Candidate("httpx", "httpx", "copykit.accel.http_wires:httpx", "httpx", by_default=False),
        Candidate("httpx2", "httpx2", "copykit.accel.http_wires:httpx2"),
    ),
    _verify,
)
