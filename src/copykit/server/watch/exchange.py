"""One request and its answer, watched from the outside: counted, timed, and told in one line of the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copykit.server.routes import ROUTES
from copykit.server.watch import logs
from copykit.server.watch.figures import Figures
from copykit.server.watch.traces import Traces
from copykit.server.wire import GONE

__all__ = ["Alike", "Exchanges"]

_log = logging.getLogger("copykit.access")
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
_PROBES = frozenset(spec.path for spec in ROUTES if spec.probe)
_TRACE = frozenset({b"traceparent", b"tracestate"})
_LEFT = 499
"""As nginx has it: the client was gone before an answer began."""
_FAILED = 500


class Exchanges:
    """Surrounds the whole application, so that what its outermost parts refuse is counted too.

    Who serves the request says in its state what it was: ``route`` (as the route table has it), ``problem`` (the code
    of what went wrong), ``tenant`` and ``key_id``. No path, query, header, body or address of a client is written down.
    Probes are told at DEBUG only, and failures of the server at WARNING.
    """

    def __init__(self, app: ASGIApp, *, figures: Figures, traces: Traces | None = None) -> None:
        self._app = app
        self._figures = figures
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope["state"] = dict(scope.get("state") or {})
        seen = _Seen(scope, send)
        began, token = time.perf_counter(), logs.current.set(state)
        self._figures.add("copykit_http_requests_in_flight", 1)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        try:
            with (
                nullcontext() if self._traces is None else self._traces.request(method, _begun(scope), state)
            ):
                try:
                    await self._app(scope, receive, seen)
                except Exception:
                    seen.status = seen.status or _FAILED
                    raise
                finally:
                    state["status"] = seen.status or _LEFT
        finally:
            self._figures.add("copykit_http_requests_in_flight", -1)
            self._tell(method, state, seen, time.perf_counter() - began)
            logs.current.reset(token)

    def _tell(self, method: str, state: dict[str, Any], seen: _Seen, took_s: float) -> None:
        route, status = state.get("route", "unknown"), state["status"]
        problem = state.get("problem")
        count = self._figures.count
        count("copykit_http_requests", route, method, str(status))
        count("copykit_http_response_bytes", route, by=seen.size)
        self._figures.observe("copykit_http_request_duration_seconds", took_s, route)
        if problem is not None:
            count("copykit_http_requests_rejected", problem)
        level = logging.WARNING if status >= _FAILED else logging.DEBUG if route in _PROBES else logging.INFO
        if not _log.isEnabledFor(level):
            return
        fields = {"method": method, "route": route, "status": status, "duration_s": round(took_s, 6)}
        fields |= {"bytes": seen.size, "whole": seen.whole}
        fields |= {
            name: state[name] for name in ("tenant", "key_id", "problem") if state.get(name) is not None
        }
        logs.tell(_log, "request", fields, level)


class Alike:
    """Tells of answers that are all of one kind, as `Exchanges` tells of any, at a fraction of its price.

    Args:
        figures: where they are counted.
        method: of the requests,
        route: and theirs, as the route table has it.
    """

    def __init__(self, figures: Figures, method: str, route: str) -> None:
        self._figures = figures
        self._method = method
        self._route = route
        self._series: tuple[Any, Any, Any] | None = None
        self._made_for: logs.Writer | None = None
        self._forms: dict[tuple[bool, ...], str] = {}

    def tell(self, request_id: str, own: bool, tenant: str, key_id: str, size: int, took_s: float) -> None:
        """Count and log one that was answered with 200.

        Args:
            own: whether the request's number is the server's own, not a client's words.
            size: bytes of the body.
        """
        if self._series is None:  # with the first: what never happened is not told as 0
            one, route = self._figures.one, self._route
            answered = one("copykit_http_requests", route, self._method, "200")
            sent, took = "copykit_http_response_bytes", "copykit_http_request_duration_seconds"
            self._series = (answered, one(sent, route), one(took, route))
        answered, size_of, time_of = self._series
        answered.inc()
        size_of.inc(size)
        time_of.observe(took_s)
        if not _log.isEnabledFor(logging.INFO):
            return
        writer = logs.writer(_log, logging.INFO) if own else None
        if writer is not None:
            # each value is the server's own: hexadecimal digits, numbers, names of keys and tenants
            whose = [name for name in (tenant, key_id) if name]
            form = self._form(writer, tenant != "", key_id != "")
            writer.write(form % (request_id, took_s, size, *whose))
            return
        fields = {"request_id": request_id, "method": self._method, "route": self._route, "status": 200}
        fields |= {"duration_s": round(took_s, 6), "bytes": size, "whole": True}
        fields |= {name: value for name, value in (("tenant", tenant), ("key_id", key_id)) if value}
        logs.tell(_log, "request", fields)

    def _form(self, writer: logs.Writer, *whose: bool) -> str:
        """Give the line, with tenant, key, both or none of them."""
        if writer is not self._made_for:
            self._made_for = writer
            self._forms.clear()
        form = self._forms.get(whose)
        if form is None:
            same: dict[str, str | int | bool] = {
                "method": self._method,
                "route": self._route,
                "status": 200,
                "whole": True,
            }
            named = {name: "%s" for name, known in zip(("tenant", "key_id"), whose, strict=True) if known}
            told = {"request_id": "%s", "duration_s": "%.6f", "bytes": "%d", **named}
            form = self._forms[whose] = writer.form("request", same, **told)
        return form


def _begun(scope: Scope) -> dict[str, str]:
    """Give the headers of a trace that the client began."""
    return {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _TRACE}


class _Seen:
    """What went out: status, bytes of the body, and whether its end did; what a server threw away did not."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._gone: Callable[[Scope], bool] = (scope.get("extensions") or {}).get(GONE) or _unknown
        self.status: int | None = None
        self.size = 0
        self.whole = False

    async def __call__(self, message: Message) -> None:
        await self._send(message)
        if self._gone(self._scope):
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)


def _unknown(scope: Scope) -> bool:
    """Take every client for one that is there, where the server in front does not say."""
    return False
