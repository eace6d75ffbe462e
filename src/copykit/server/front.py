"""Before all else: a request that was answered out of the cache before gets the same bytes again.

Nothing is left out for speed but the work of finding them: host, key, scope and bounds are those of any request, and it
is counted and logged like one. Whatever is unusual about a request goes the whole way.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Awaitable, Coroutine, Generator, MutableMapping
from types import CoroutineType, coroutine
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copykit.server.doors.auth import ANYBODY, REFUSED, Doors, Visitor
from copykit.server.frame import OWN_HEADERS, REQUEST_ID, Hosts
from copykit.server.holdings import Holdings
from copykit.server.kept.repeats import LONGEST_REQUEST
from copykit.server.routes import PREFIXES, ROUTES
from copykit.server.watch.exchange import Alike
from copykit.server.watch.figures import Figures
from copykit.server.wire import GONE, WHOLE, Refused

__all__ = ["Front"]

_SPEC = next(spec for spec in ROUTES if spec.path == "/v11/generate")
_PATHS = frozenset(prefix + _SPEC.path for prefix in PREFIXES)
_REQUEST_ID = re.compile(REQUEST_ID.encode())
_USUAL = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"connection",
        b"content-length",
        b"content-type",
        b"host",
        b"user-agent",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-api-key",
        b"x-request-id",
    }
)
"""Headers of a request that may be answered here; with any other it goes the whole way."""

_SAME = ((b"content-type", b"application/json"), *OWN_HEADERS)
"""Headers that every answer given here has."""
_SAME_LINES = b"".join([b"%b: %b\r\n" % one for one in _SAME])


class Front:
    """Stands before an application and answers what it can.

    Args:
        app: answers everything else.
        holdings: answers, limits and keys.
        doors: count whoever comes.
        figures: where requests are counted.
        hosts: those that are answered.
    """

    def __init__(
        self, app: ASGIApp, *, holdings: Holdings, doors: Doors, figures: Figures, hosts: Hosts
    ) -> None:
        self._app = app
        self._holdings = holdings
        self._doors = doors
        self._alike = Alike(figures, "POST", _SPEC.path)
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in _PATHS or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        head = self._head(scope)
        visitor = None if head is None else self._visitor(head, scope)
        if head is None or visitor is None:
            await self._app(scope, receive, send)
            return
        asked, receive = _body(receive)
        if asked is None:
            await self._app(scope, receive, send)
            return
        tenant = visitor.tenant
        repeat = self._holdings.repeats.find(self._holdings.space(tenant), asked)
        if repeat is None:
            await self._app(scope, receive, send)
            return
        given_id = head.get(b"x-request-id")
        request_id = given_id or os.urandom(8).hex().encode()
        headers = [(b"x-request-id", request_id)]
        if visitor is not ANYBODY:
            try:
                peer = self._doors.peers.of_scope(scope)
                if self._holdings.limits.is_here:
                    window = self._doors.counted(visitor.key, peer)
                else:
                    window = await self._doors.count(visitor.key, peer)
            except Refused as refusal:  # which the whole way says in full, without counting once more
                scope["state"] = {**(scope.get("state") or {}), REFUSED: refusal}
                await self._app(scope, receive, send)
                return
            if window is not None:
                headers += window.raw()
        body = repeat.body
        headers.append((b"content-length", b"%d" % len(body)))
        known = scope.get("extensions") or {}
        gone, whole = known.get(GONE), known.get(WHOLE)
        if gone is not None and gone(scope):  # which the whole way tells
            left = Refused(499, "client_gone", "the client left")
            scope["state"] = {**(scope.get("state") or {}), REFUSED: left}
            await self._app(scope, receive, send)
            return
        if whole is None or not whole(b"".join([b"%b: %b\r\n" % one for one in headers]) + _SAME_LINES, body):
            await send({"type": "http.response.start", "status": 200, "headers": [*headers, *_SAME]})
            await send({"type": "http.response.body", "body": body})
        took_s = time.perf_counter() - began
        self._holdings.repeats.note(tenant, repeat, took_s)
        self._alike.tell(request_id.decode(), given_id is None, tenant, visitor.key.id, len(body), took_s)

    def _head(self, scope: Scope) -> dict[bytes, bytes] | None:
        """Give the headers of a usual request; None of any other."""
        raw = scope["headers"]
        head = dict(raw)
        if len(head) != len(raw) or not head.keys() <= _USUAL or scope["query_string"]:
            return None
        if head.get(b"content-type") != b"application/json" or not self._hosts.serve(
            head.get(b"host"), scope
        ):
            return None
        told = head.get(b"x-request-id")
        return head if told is None or _REQUEST_ID.match(told) else None

    def _visitor(self, head: dict[bytes, bytes], scope: Scope) -> Visitor | None:
        """Give who asks, if that is known without a look at the store."""
        keyring = self._holdings.keyring
        if not keyring.is_fresh:
            return None
        if keyring.open:
            return ANYBODY if self._doors.is_free(self._doors.peers.of_scope(scope)) else None
        given = head.get(b"x-api-key")
        key = None if given is None else keyring.find(given.decode("latin-1").strip())
        return Visitor(key) if key is not None and _SPEC.scope in key.scopes else None


def _body(receive: Receive) -> tuple[bytes | None, Receive]:
    """Give the body if all of it is there already, and what gives all messages, those looked at included.

    What is not there is not waited for here: whoever reads the body holds it to its time.
    """
    seen: list[Awaitable[Message] | Message] = []
    body = b""
    while True:
        coming = receive()
        if not isinstance(coming, CoroutineType):
            return None, _again([*seen, coming], receive)
        try:
            waits_for = coming.send(None)
        except StopIteration as done:
            message: Message = done.value
        else:
            return None, _again([*seen, _resumed(coming, waits_for)], receive)
        seen.append(message)
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > LONGEST_REQUEST:
            return None, _again(seen, receive)
        if not message.get("more_body", False):
            return body, _again(seen, receive)


def _again(seen: list[Awaitable[Message] | Message], rest: Receive) -> Receive:
    """Give messages: those that were *seen*, and after them the *rest*."""
    waiting = deque(seen)

    async def receive() -> Message:
        """Give the next one."""
        if not waiting:
            return await rest()
        first = waiting.popleft()
        return first if isinstance(first, MutableMapping) else await first

    return receive


@coroutine
def _resumed(begun: Coroutine[Any, Any, Message], waits_for: Any) -> Generator[Any, Any, Message]:
    """Wait on where *begun* was left: it was run until it had to wait."""
    try:
        yield waits_for
    except BaseException:
        begun.close()
        raise
    return (yield from begun.__await__())
