"""The application: every route of the table under both prefixes, behind one frame."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copykit.errors import CopykitError, InternalError
from copykit.providers.registry import check_targets
from copykit.server.again import FINAL, once
from copykit.server.answers import Answers, answer, tell_setup
from copykit.server.asked import patience_of
from copykit.server.bodies import LARGEST_AT_ONCE, Bodies
from copykit.server.bounds import is_loopback
from copykit.server.config import ServerSettings
from copykit.server.doors.auth import Doors, Visitor
from copykit.server.frame import Frame, Hosts
from copykit.server.front import Front
from copykit.server.holdings import Holdings
from copykit.server.process.drain import ShuttingDown
from copykit.server.routes import PREFIXES, ROUTES, RouteSpec
from copykit.server.watch.exchange import Exchanges
from copykit.server.watch.traces import Traces, traces_from_env
from copykit.server.wire import Problem, Refused, problem_of
from copykit.service import CopywritingServiceV11
from copykit.settings import Settings

__all__ = ["create_app"]

_log = logging.getLogger("copykit.server")
_PROVIDERS_S = 1.0
"""For the providers to close their connections: what the server holds has to be written down after it."""
_BODY_S = 0.1
"""For a body that is here or on its way, however little time its client gives: what is wrong with it is told as that."""
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
    bodies = Bodies(server.body_s, LARGEST_AT_ONCE * max(server.max_body, server.max_batch_body))

    routes = [
        Route(
            prefix + spec.path,
            _endpoint(spec, answers, doors, holdings, bodies),
            methods=[spec.method],
            name=spec.handler,
        )
        for prefix in PREFIXES
        for spec in ROUTES
    ]
    lifespan = partial(_lifespan, holdings=holdings, answers=answers, traces=traces)
    app = Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: partial(_refused, doors=doors)}
    )
    app.state.answers = answers
    app.state.holdings = holdings
    app.state.drain = answers.drain
    app.router.redirect_slashes = False
    _surround(app, server, holdings, doors, answers, traces)
    return app


@asynccontextmanager
async def _lifespan(
    app: Starlette, *, holdings: Holdings, answers: Answers, traces: Traces | None
) -> AsyncIterator[None]:
    """Open what is held, keep it in step, and close it when the server ends."""
    await holdings.open()
    if holdings.keyring.open:
        host = holdings.settings.host
        _log.warning("no key is set: authentication is off, only this machine should reach %s", host)
    running = [asyncio.create_task(answers.pulse.beat()), asyncio.create_task(holdings.serve())]
    yield
    answers.drain.end()
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    try:
        async with asyncio.timeout(_PROVIDERS_S):
            await answers.aclose()
    except TimeoutError:
        _log.warning("the providers did not close in time: what they hold ends with the process")
    await holdings.aclose()
    if traces is not None:
        await asyncio.to_thread(traces.close)


def _surround(
    app: Starlette,
    server: ServerSettings,
    holdings: Holdings,
    doors: Doors,
    answers: Answers,
    traces: Traces | None,
) -> None:
    """Put around *app* what every request passes, from the inside out."""
    if server.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=server.cors_origins,
            allow_credentials=server.cors_credentials,
            allow_methods=("GET", "POST"),
            allow_headers=_ASKED_HEADERS,
            expose_headers=_TOLD_HEADERS,
        )
    hosts = Hosts(server.allowed_hosts, local=is_loopback(server.host))
    figures = answers.metered.figures
    app.add_middleware(Frame, hosts=hosts)
    app.add_middleware(Exchanges, figures=figures, traces=traces)
    if traces is None:  # else every request is to be seen on its whole way
        app.add_middleware(Front, holdings=holdings, doors=doors, figures=figures, hosts=hosts)


def _endpoint(
    spec: RouteSpec, answers: Answers, doors: Doors, holdings: Holdings, bodies: Bodies
) -> Callable[[Request], Awaitable[Response]]:
    work: Callable[[Request], Awaitable[Response]] = getattr(answers, spec.handler)
    server = holdings.settings

    async def answered(request: Request) -> Response:
        """Do the work; what would be refused again for the same reason is an answer like any other."""
        try:
            return await work(request)
        except CopykitError as error:
            problem = problem_of(error)
            if problem.status not in FINAL:
                raise
            request.state.problem = problem.code
            return answer(problem, request.state.request_id)

    async def endpoint(request: Request) -> Response:
        came = time.monotonic()
        request.state.route = spec.path
        visitor: Visitor | None = None
        try:
            if spec.scope != "public":
                await holdings.open()
            visitor = request.state.visitor = await doors.check(request, spec)
            request.state.tenant, request.state.key_id = visitor.tenant or None, visitor.key.id or None
            if spec.takes is None:
                response = await work(request)
            else:
                most = server.max_batch_body if spec.takes == "Batch" else server.max_body
                # a wrong one is refused also where a kept answer is given again
                patience = request.state.patience = patience_of(request, came)
                async with patience.bound(_BODY_S):
                    body = request.state.body = await bodies.read(request, most, visitor.tenant)
                response = await once(
                    request, spec, visitor.tenant, body, holdings.remembered, lambda: answered(request)
                )
        except asyncio.CancelledError:
            if not answers.drain.over:
                raise
            request.state.problem = ShuttingDown.code
            response = answer(problem_of(ShuttingDown()), request.state.request_id)
        except Exception as error:  # the edge: whatever it is, the client gets an answer
            if not isinstance(error, CopykitError) or isinstance(error, InternalError):
                _log.exception("request %s failed", request.state.request_id)
            tell_setup(error, request.state.request_id)
            problem = problem_of(error)
            request.state.problem = problem.code
            response = answer(problem, request.state.request_id)
        window = None if visitor is None else visitor.window
        if window is not None:
            response.headers.update(window.headers())
        return response

    return endpoint


async def _refused(request: Request, error: Exception, *, doors: Doors) -> Response:
    """Say as a problem what the router refuses."""
    try:
        await doors.count_keyless(request)
    except Refused as too_many:
        request.state.problem = too_many.code
        return answer(problem_of(too_many), request.state.request_id)
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = (error.headers or {}) if isinstance(error, HTTPException) else {}
    code, detail = {
        404: ("not_found", "there is no such route; /docs shows all, /openapi.json lists them"),
        405: ("method_not_allowed", f"this route takes {headers.get('Allow', 'another method')}"),
    }.get(status, ("refused", "the request cannot be served"))
    request.state.problem = code
    return answer(Problem(status, code, detail, own_headers=dict(headers)), request.state.request_id)
