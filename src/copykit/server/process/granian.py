"""The same application under granian: quicker, with fewer of the bounds that `copykit.server.process.protocol` has."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copykit.errors import MissingExtra
from copykit.server.app import create_app
from copykit.server.config import ServerSettings
from copykit.server.watch.logs import configure

__all__ = ["application", "serve"]

_LEAST_BUFFER = 8192
"""Bytes: granian takes no smaller one."""


def application() -> Starlette:
    """Give the application of one worker, with its log lines in copykit's form."""
    settings = ServerSettings.from_env(keep=True)
    configure(settings.log_format, settings.log_level)
    app = create_app(server=settings)
    app.add_middleware(_Unnamed)
    return app


class _Unnamed:
    """Names copykit as the server: granian, which cannot be told not to, names itself where an answer names nobody.

    Args:
        app: answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def named(message: Message) -> None:
            """Add the name."""
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"server", b"copykit")]}
            await send(message)

        await self._app(scope, receive, named)


def serve(settings: ServerSettings, port: int, started: Callable[[], None]) -> int:
    """Serve `application` until a signal; the exit status.

    Its workers read the environment. It bounds the time and the size of a head, and not a client that does not read. At
    the signal it takes no connection more, so there is no delay in which readiness could tell; what is in work, streams
    too, goes on for ``drain_s`` and is cut then.

    Raises:
        MissingExtra: granian is not installed.
    """
    try:
        granian: Any = import_module("granian")
        http: Any = import_module("granian.http")
        constants: Any = import_module("granian.constants")
    except ModuleNotFoundError as error:
        raise MissingExtra("--server granian", error.name or "granian", "fast") from None
    server = granian.Granian(
        "copykit.server.process.granian:application",
        factory=True,
        interface=constants.Interfaces.ASGI,
        address=settings.host,
        port=port,
        workers=settings.workers,
        http=constants.HTTPModes.http1,
        websockets=False,
        http1_settings=http.HTTP1Settings(
            header_read_timeout=round(settings.header_s * 1000),
            max_buffer_size=max(_LEAST_BUFFER, settings.max_header_bytes),
        ),
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, round(settings.drain_s)),
    )
    started()
    server.serve()
    return 0
