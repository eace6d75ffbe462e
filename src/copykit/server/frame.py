"""What surrounds every request: its number, its host, and the headers that every answer has."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copykit.errors import excerpt
from copykit.server.answers import answer
from copykit.server.bounds import is_loopback
from copykit.server.wire import Problem

__all__ = ["OWN_HEADERS", "REQUEST_ID", "Frame", "Hosts"]

REQUEST_ID = r"[A-Za-z0-9._-]{1,64}\Z"
"""Pattern of the numbers that a client may give its requests."""
_REQUEST_ID = re.compile(REQUEST_ID)
OWN_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every answer that does not say otherwise itself."""
_TOLD_EACH_S = 60.0
"""Between two lines on hosts that are not served."""
_log = logging.getLogger("copykit.server")
_MOST_HOSTS = 1000
"""Values of ``Host`` whose verdict is remembered."""


class Hosts:
    """Says which hosts are served here.

    Args:
        allowed: names; with none, every name, and on a loopback address only its own.
        local: whether only this machine reaches the server.
    """

    def __init__(self, allowed: Iterable[str], *, local: bool) -> None:
        self._allowed = frozenset(name.casefold() for name in allowed)
        self._local = local
        self._served: dict[tuple[bytes | None, str], bool] = {}

    def serve(self, told: bytes | None, scope: Scope) -> bool:
        """Say whether a request with this ``Host`` is served; the address it came to always is.

        Probes and scrapers name the address that they reached; no page of a browser can make a name resolve to a number.
        """
        at = (told, (scope.get("server") or ("",))[0])
        served = self._served.get(at)
        if served is None:
            if len(self._served) >= _MOST_HOSTS:
                self._served.clear()
            served = self._served[at] = self._judged((told or b"").decode("latin-1").casefold(), at[1])
        return served

    def _judged(self, host: str, reached: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        known = name in self._allowed if self._allowed else (not self._local or is_loopback(name))
        return known or name.strip("[]") == reached


class Frame:
    """Gives every request its number and every answer its headers; refuses hosts that are not served.

    Args:
        app: answers what passes.
        hosts: those that are served.
    """

    def __init__(self, app: ASGIApp, *, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts
        self._told_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = _header(scope, b"x-request-id")
        request_id = told if told is not None and _REQUEST_ID.match(told) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def framed(message: Message) -> None:
            """Add what every answer has."""
            if message["type"] == "http.response.start":
                headers = [(b"x-request-id", request_id.encode()), *message["headers"]]
                present = {name for name, _ in headers}
                message = {**message, "headers": [*headers, *(h for h in OWN_HEADERS if h[0] not in present)]}
            await send(message)

        problem = self._problem(scope, told)
        if problem is not None:
            scope["state"]["problem"] = problem.code
        app = self._app if problem is None else answer(problem, request_id)
        await app(scope, receive, framed)

    def _problem(self, scope: Scope, told: str | None) -> Problem | None:
        if told is not None and not _REQUEST_ID.match(told):
            return Problem(400, "malformed_request", "X-Request-Id: 1 to 64 letters, digits, dots, dashes")
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) <= 1 and self._hosts.serve(hosts[0] if hosts else None, scope):
            return None
        self._tell_host(hosts)
        return Problem(400, "unknown_host", "this host is not served here")

    def _tell_host(self, hosts: list[bytes]) -> None:
        """Say in the log which host it was, at most once a minute: anybody may send as many as they like."""
        now = time.monotonic()
        if now - self._told_at < _TOLD_EACH_S:
            return
        self._told_at = now
        name = excerpt(hosts[0].decode("latin-1")) if hosts else "none"
        _log.warning("Host %s is not in COPYKIT_ALLOWED_HOSTS", name)


def _header(scope: Scope, name: bytes) -> str | None:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else (None if not found else "\n")
