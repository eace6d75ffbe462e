"""``copykit run``: the service over HTTP."""

from __future__ import annotations

import signal
import socket
from importlib import import_module
from typing import Annotated, Any

import typer

from copykit.cli.complaint import complain
from copykit.errors import ConfigurationError, MissingExtra

__all__ = ["command"]

_BACKLOG = 2048
_PORT_TAKEN = 1


def command(
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that others reach wants API_KEY.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen where others reach it although no key is set.")
    ] = False,
    log_level: Annotated[str, typer.Option(help="critical, error, warning, info or debug.")] = "info",
) -> None:
    """Serve copy over HTTP until Ctrl-C or SIGTERM, then answer what is in flight and end.

    Settings are read from the environment and copykit.toml once, now.

    Example: API_KEY=... copykit run --host 0.0.0.0

    Exit status: 0 ended, 1 the port is taken, 78 wrong settings.
    """
    try:
        uvicorn = _uvicorn()
        from copykit.server import ServerSettings, create_app

        app = create_app(server=ServerSettings.from_env(host=host, port=port, insecure=insecure))
        listening = _listening(host, port)
    except ConfigurationError as error:
        raise typer.Exit(complain(error)) from None
    except OSError as error:
        complain(f"cannot listen on {host}:{port}: {error.strerror}")
        raise typer.Exit(_PORT_TAKEN) from None
    bound = listening.getsockname()[1]
    typer.echo(f"copykit listens on http://{_shown(host)}:{bound} (Ctrl-C ends it)", err=True)
    config = uvicorn.Config(
        app, log_level=log_level, server_header=False, proxy_headers=False, timeout_graceful_shutdown=25
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again once it has ended in order
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])


def _uvicorn() -> Any:
    try:
        return import_module("uvicorn")
    except ModuleNotFoundError as error:
        raise MissingExtra("the server", error.name or "uvicorn", "server") from None


def _listening(host: str, port: int) -> socket.socket:
    """Bind before anything is started, so that a taken port is one line and not a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
