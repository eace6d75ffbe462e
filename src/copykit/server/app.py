"""The application: every route of the table under both prefixes, behind one frame."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copykit.errors import CopykitError, InternalError
from copykit.providers.registry import check_targets
from copykit.server.again import once
from copykit.server.answers import Answers, answer
from copykit.server.asked import told_s
from copykit.server.auth import Doors
from copykit.server.bodies import read_body
from copykit.server.config import ServerSettings, is_loopback
from copykit.server.drain import ShuttingDown
from copykit.server.exchange import Exchanges
from copykit.server.holdings import Holdings
from copykit.server.routes import PREFIXES, ROUTES, RouteSpec
from copykit.server.traces import Traces, traces_from_env
from copykit.server.wire import Problem, problem_of
from copykit.service import CopywritingServiceV11
from copykit.settings import Settings

__all__ = ["create_app"]

_log = logging.getLogger("copykit.server")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_ASKED_HEADERS = (
    "authorization",
    "content-type",
    "idempotency-key",
    "x-api-key",
    "x-request-id",
    "x-request-timeout-ms",
)
_TOLD_HEADERS = (
    "idempotent-replayed",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "x-request-id",
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


def create_app(
    settings: Settings | None = None,
    *,
    server: ServerSettings | None = None,
    service: CopywritingServiceV11 | None = None,
    traces: Traces | None = None,
) -> Starlette:
    """Give the application; any ASGI server runs it.

    Args:
        settings: None reads the environment and ``copykit.toml``, now.
        server: doors and bounds; None reads the environment too.
        service: used instead of one made of *settings*; the application closes it.
        traces: used instead of what OpenTelemetry's variables ask for; closed too.

    Raises:
        ConfigurationError: settings that cannot work, all mistakes at once.
        MissingExtra: traces are asked for without the extra ``otel``.
    """
    server = server or ServerSettings.from_env()
    if service is None:
        service = CopywritingServiceV11(settings or Settings.from_env(check_targets=check_targets))
    if traces is None:
        traces = traces_from_env(os.environ)
    if traces is not None:
        service.engine.add_hook(traces)
    holdings = Holdings(server, service)
    doors = Doors(server, holdings.keyring, holdings.limits)
    answers = Answers(holdings, service)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        """Close the faces when the server ends."""
        await holdings.open()
        if holdings.keyring.open:
            _log.warning(
                "no key is set: authentication is off, only this machine should reach %s", server.host
            )
        running = [asyncio.create_task(answers.pulse.beat()), asyncio.create_task(holdings.serve())]
        yield
        answers.drain.end()
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await answers.aclose()
        await holdings.aclose()
        if traces is not None:
            await asyncio.to_thread(traces.close)

    routes = [
        Route(
            prefix + spec.path,
            _endpoint(spec, answers, doors, holdings),
            methods=[spec.method],
            name=spec.handler,
        )
        for prefix in PREFIXES
        for spec in ROUTES
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _refused})
    app.state.answers = answers
    app.state.holdings = holdings
    app.state.drain = answers.drain
    app.router.redirect_slashes = False
    if server.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=server.cors_origins,
            allow_credentials=server.cors_credentials,
            allow_methods=("GET", "POST"),
            allow_headers=_ASKED_HEADERS,
            expose_headers=_TOLD_HEADERS,
        )
    app.add_middleware(Frame, hosts=server.allowed_hosts, local=is_loopback(server.host))
    app.add_middleware(Exchanges, figures=answers.metered.figures, traces=traces)
    return app


def _endpoint(
    spec: RouteSpec, answers: Answers, doors: Doors, holdings: Holdings
) -> Callable[[Request], Awaitable[Response]]:
    work: Callable[[Request], Awaitable[Response]] = getattr(answers, spec.handler)
    server = holdings.settings

    async def endpoint(request: Request) -> Response:
        request.state.route = spec.path
        try:
            if spec.scope != "public":
                await holdings.open()
            visitor = request.state.visitor = await doors.check(request, spec)
            request.state.tenant, request.state.key_id = visitor.tenant or None, visitor.key.id or None
            if spec.takes is None:
                response = await work(request)
            else:
                most = server.max_batch_body if spec.takes == "Batch" else server.max_body
                body = request.state.body = await read_body(request, most, server.body_s)
                told_s(request)  # a wrong one is refused also where a kept answer is given again
                response = await once(
                    request, spec, visitor.tenant, body, holdings.remembered, lambda: work(request)
                )
            if visitor.window is not None:
                response.headers.update(visitor.window.headers())
        except asyncio.CancelledError:
            if not answers.drain.over:
                raise
            request.state.problem = ShuttingDown.code
            response = answer(problem_of(ShuttingDown()), request.state.request_id)
        except Exception as error:  # the edge: whatever it is, the client gets an answer
            if not isinstance(error, CopykitError) or isinstance(error, InternalError):
                _log.exception("request %s failed", request.state.request_id)
            problem = problem_of(error)
            request.state.problem = problem.code
            response = answer(problem, request.state.request_id)
        return response

    return endpoint


async def _refused(request: Request, error: Exception) -> Response:
    """Say as a problem what the router refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code, detail = {
        404: ("not_found", "there is no such route; /openapi.json lists all"),
        405: ("method_not_allowed", "this route takes another method"),
    }.get(status, ("refused", "the request cannot be served"))
    headers = (error.headers or {}) if isinstance(error, HTTPException) else {}
    request.state.problem = code
    return answer(Problem(status, code, detail, own_headers=dict(headers)), request.state.request_id)


class Frame:
    """What surrounds every request: its number, its host, and the headers that every answer has."""

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...], local: bool) -> None:
        self._app = app
        self._hosts = frozenset(name.casefold() for name in hosts)
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = _header(scope, b"x-request-id")
        request_id = told if told is not None and _REQUEST_ID.match(told) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(b"x-request-id", request_id.encode()), *message["headers"]]
                present = {name for name, _ in headers}
                message = {**message, "headers": [*headers, *(h for h in _HEADERS if h[0] not in present)]}
            await send(message)

        problem = self._problem(scope, told)
        if problem is not None:
            scope["state"]["problem"] = problem.code
        app = self._app if problem is None else answer(problem, request_id)
        await app(scope, receive, framed)

    def _problem(self, scope: Scope, told: str | None) -> Problem | None:
        if told is not None and not _REQUEST_ID.match(told):
            return Problem(400, "malformed_request", "X-Request-Id: 1 to 64 letters, digits, dots, dashes")
        host = (_header(scope, b"host") or "").casefold()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        allowed = name in self._hosts if self._hosts else (not self._local or is_loopback(name))
        # probes and scrapers name the address that they reached; no page of a browser can make a name resolve to a number
        allowed = allowed or name.strip("[]") == (scope.get("server") or ("",))[0]
        return None if allowed else Problem(400, "unknown_host", "this host is not served here")


def _header(scope: Scope, name: bytes) -> str | None:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else (None if not found else "\n")
