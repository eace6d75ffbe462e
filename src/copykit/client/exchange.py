"""One request of a client and its answer: headers, time, repeats where the service asks for them, and its errors."""

from __future__ import annotations

import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from copykit.accel import json
from copykit.accel.http import HttpClient, Reply, ReplyStream, open_client
from copykit.errors import (
    ConfigurationError,
    CopykitError,
    DeadlineExceeded,
    ProviderError,
    ProviderTimeout,
    excerpt,
    excerpt_address,
)
from copykit.problems import ProblemBody, ServiceError, ServiceUnreachable, error_of
from copykit.settings import Secret

__all__ = ["GRACE_S", "LARGEST_ANSWER", "Ask", "Exchange", "refusal"]

LARGEST_ANSWER = 256 * 2**20
"""Bytes: 10,000 results of a batch are about a tenth of it."""
GRACE_S = 2.0
"""How much longer than the service the client waits: the service's own word on what was tried is worth it."""
_GAP_S = 35.0
"""Of silence in a stream: the service sends a sign of life every 10 s."""
_NOT_BEGUN = frozenset({409, 429, 503})
"""Statuses of requests that the service did not begin; with ``Retry-After`` it says when it would."""
_MOST_MS = 86_400_000
_KIND = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of a client."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    accept: str = "application/json"


class Exchange:
    """Asks one service over pooled connections.

    Args:
        base_url: where the service is, without a prefix.
        prefix: put before every path.
        key: sent as ``X-API-Key``.
        timeout_s: of a request that has no time of its own.
        retries: repeats of a request that the service did not begin and of which it said when to come back.
        http: used instead of a client of its own; it stays open.

    Raises:
        ConfigurationError: an address that is none, or a key that no header can carry.
    """

    def __init__(
        self,
        base_url: str,
        *,
        prefix: str = "",
        key: Secret | str | None = None,
        timeout_s: float = 60.0,
        retries: int = 0,
        http: HttpClient | None = None,
    ) -> None:
        self.base_url = _address(base_url)
        self.prefix = _prefix(prefix)
        self.key = Secret(key) if isinstance(key, str) else key
        if not timeout_s > 0:
            raise ConfigurationError(f"timeout_s={timeout_s!r}: must be above 0")
        if retries < 0:
            raise ConfigurationError(f"retries={retries!r}: must be at least 0")
        self.timeout_s, self.retries = timeout_s, retries
        self._own = http is None
        self._http = http or open_client()

    async def aclose(self) -> None:
        """Close the connections, if they are its own."""
        if self._own:
            await self._http.aclose()

    async def ask(self, ask: Ask, *, timeout_s: float | None = None) -> Reply:
        """Give the answer to *ask*, whatever its status.

        Args:
            timeout_s: for everything, repeats included; None takes the client's own. What is left is told to the service.

        Raises:
            DeadlineExceeded: no answer in time.
            ServiceUnreachable: no answer came.
        """
        clock = _Clock(timeout_s or self.timeout_s)

        async def act() -> Reply:
            """Ask once."""
            return await self._http.request(
                ask.method,
                self._url(ask),
                headers=self._headers(ask, clock.left_s),
                body=ask.body,
                timeout_s=clock.left_s + GRACE_S,
                limit=LARGEST_ANSWER,
            )

        try:
            return await self._patiently(act, clock)
        except ProviderError as error:
            raise _unanswered(error, clock) from error.__cause__

    async def answered(self, ask: Ask, *, timeout_s: float | None = None) -> bytes:
        """Give the body of the answer to *ask* if it is a success.

        Raises:
            CopykitError: what the service told, or that it told nothing.
        """
        reply = await self.ask(ask, timeout_s=timeout_s)
        if reply.status != 200:
            raise refusal(reply)
        return reply.body

    async def pieces(self, ask: Ask, *, timeout_s: float | None = None) -> AsyncGenerator[bytes, None]:
        """Give the body of the answer to *ask* while it comes; leaving the iteration closes the connection.

        Raises:
            CopykitError: as `answered`, at the first piece or at any.
        """
        clock = _Clock(timeout_s or self.timeout_s)

        async def act() -> _Coming:
            """Ask once, and leave open what is a stream."""
            async with AsyncExitStack() as stack:
                coming = await stack.enter_async_context(self._stream(ask, clock.left_s))
                if coming.status == 200 and _kind(coming.headers) == ask.accept:
                    return _Coming(coming.status, coming.headers, b"", aiter(coming), stack.pop_all())
                body = await coming.read()
            return _Coming(coming.status, coming.headers, body)

        try:
            begun = await self._patiently(act, clock)
            async with begun.stack:
                if begun.pieces is None:
                    raise refusal(begun)
                async for piece in begun.pieces:
                    yield piece
        except ProviderError as error:
            raise _unanswered(error, clock) from error.__cause__

    def _stream(self, ask: Ask, left_s: float) -> AbstractAsyncContextManager[ReplyStream]:
        return self._http.stream(
            ask.method,
            self._url(ask),
            headers=self._headers(ask, left_s),
            body=ask.body,
            timeout_s=left_s + GRACE_S,
            first_s=left_s + GRACE_S,
            gap_s=_GAP_S,
            limit=LARGEST_ANSWER,
        )

    def _url(self, ask: Ask) -> str:
        return f"{self.base_url}{self.prefix}{ask.path}"

    def _headers(self, ask: Ask, left_s: float) -> dict[str, str]:
        sent = {"Accept": ask.accept, **ask.headers}
        if self.key is not None:
            sent["X-API-Key"] = self.key.reveal()
        if ask.body:
            sent["Content-Type"] = "application/json"
            sent["X-Request-Timeout-Ms"] = str(min(max(1, int(left_s * 1000)), _MOST_MS))
        return sent

    async def _patiently(self, act: Callable[[], Awaitable[R]], clock: _Clock) -> R:
        """Do *act* until the service began it, as often as may be and while there is time."""
        if not self.retries:
            return await act()
        from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, stop_before_delay

        return await AsyncRetrying(
            stop=stop_after_attempt(1 + self.retries) | stop_before_delay(clock.left_s),
            wait=lambda state: _pause(state.outcome.result()) if state.outcome else 0.0,
            retry=retry_if_result(lambda reply: _comes_back_after(reply) is not None),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )(act)


class _Answered(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


R = TypeVar("R", bound=_Answered)


class _Coming(NamedTuple):
    """An answer that comes in pieces, or, as a refusal does, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    pieces: AsyncIterator[bytes] | None = None
    stack: AsyncExitStack = AsyncExitStack()
    """Closes the connection."""


class _Clock:
    """The time of one request."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._ends = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds until its end, a moment at least."""
        return max(0.001, self._ends - time.monotonic())


def refusal(reply: _Answered) -> CopykitError:
    """Give the error that an answer without success stands for."""
    try:
        problem = ProblemBody.model_validate(json.loads(reply.body))
        if problem.retry_after_s is None:
            problem.retry_after_s = _told_wait(reply)
        return error_of(problem)
    except ValueError:
        where = f", to {excerpt(reply.headers['location'])}" if "location" in reply.headers else ""
        kind = _kind(reply.headers)
        what = kind if _KIND.fullmatch(kind) else excerpt(kind)
        return ServiceError(
            f"status {reply.status} with {what if kind else 'no body'}{where}: no answer of copykit's",
            status=reply.status,
            retry_after_s=_told_wait(reply),
        )


def _unanswered(error: ProviderError, clock: _Clock) -> CopykitError:
    """Say in a client's words what became of an exchange."""
    if isinstance(error, ProviderTimeout):
        return DeadlineExceeded(clock.timeout_s)
    return ServiceUnreachable(error.message, retryable=error.retryable)


def _comes_back_after(reply: _Answered) -> float | None:
    """Give the seconds after which a request that was not begun may be sent again; None for any other."""
    return _told_wait(reply) if reply.status in _NOT_BEGUN else None


def _told_wait(reply: _Answered) -> float | None:
    from copykit.providers.remote import retry_after  # only on the failing path

    return retry_after(reply.headers)


def _pause(reply: _Answered) -> float:
    """Give what the service asked for and up to a tenth more: those it sent away together should not return so."""
    return (_comes_back_after(reply) or 0.0) * (1 + random.random() / 10)  # noqa: S311 -- no secret


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().casefold()


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"base_url={excerpt_address(url)}: must be http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ConfigurationError(f"base_url: the address of {parts.hostname} holds credentials; give a key")
    return url.rstrip("/")


def _prefix(path: str) -> str:
    if path and not path.startswith("/"):
        raise ConfigurationError(f"prefix={excerpt(path)}: must begin with a slash")
    return path.rstrip("/")
