"""``copykit run``: the service over HTTP."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from copykit.cli.complaint import CONFIGURATION, complain
from copykit.cli.run_check import check as looked_at
from copykit.errors import ConfigurationError, CopykitError, MissingExtra, excerpt, nearest_names
from copykit.settings import Settings

if TYPE_CHECKING:
    from copykit.server.config import ServerSettings

__all__ = ["command"]

_BACKLOG = 2048
_CANNOT = 1
_SERVERS = ("uvicorn", "granian")
_OPTIONS = {
    "COPYKIT_HOST": "--host",
    "COPYKIT_PORT": "--port",
    "COPYKIT_WORKERS": "--workers",
    "COPYKIT_INSECURE": "--insecure",
    "COPYKIT_DRAIN_DELAY_S": "--drain-delay",
    "COPYKIT_LOG_FORMAT": "--log-format",
    "COPYKIT_LOG_LEVEL": "--log-level",
}
"""Options by the variables that they go before."""


def command(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; one that others reach wants API_KEY.  [127.0.0.1]"),
    ] = None,
    port: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Port; 0 takes a free one.  [8000]")
    ] = None,
    workers: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Processes that serve together.  [1]")
    ] = None,
    server: Annotated[str, typer.Option(help="uvicorn, or granian (extra fast).")] = "uvicorn",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen where others reach it although no key is set.")
    ] = False,
    drain_delay: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT", help="Seconds after SIGTERM in which new requests are still taken.  [0]"
        ),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.  [text]")] = None,
    log_level: Annotated[
        str | None, typer.Option(help="critical, error, warning, info or debug.  [info]")
    ] = None,
    reload: Annotated[
        bool,
        typer.Option("--reload", help="Replace the workers when Python files here or copykit.toml change."),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Look at all settings and the store, say what would be served, and end."
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Say on standard output as JSON that it serves, or what --check found."),
    ] = False,
) -> None:
    """Serve copy over HTTP until Ctrl-C or SIGTERM, then answer what is in work and end.

    Options go before the environment (COPYKIT_HOST ...) and copykit.toml's table [server], which are read once, now.
    With --workers 2 or more SIGHUP replaces one worker after another, reading the files anew.

    Example: API_KEY=... copykit run --host 0.0.0.0 --workers 2

    Exit status: 0 ended, or --check found nothing wrong; 1 it cannot serve there; 78 wrong settings; 143 or 130 a second
    signal ended it at once.
    """
    said = (host, port, workers, "true" if insecure else None, drain_delay, log_format, log_level)
    given = {name: value for name, value in zip(_OPTIONS, said, strict=True) if value is not None}
    environment = {**os.environ, **given}
    if reload and "COPYKIT_DRAIN_DELAY_S" not in environment and "COPYKIT_DRAIN_S" not in environment:
        # whoever edits does not wait for old work
        environment |= {"COPYKIT_DRAIN_S": "1", "COPYKIT_DRAIN_DELAY_S": "0"}
    try:
        if check:
            status = looked_at(lambda: _settings(environment, given, server, reload), server, as_json)
        else:
            status = _served(
                *_settings(environment, given, server, reload), environment, server, reload, as_json
            )
    except ModuleNotFoundError as error:
        name = (error.name or "uvicorn").partition(".")[0]
        if name == "copykit":
            raise
        status = _refused(MissingExtra("the server", name, "server"), environment)
    except (CopykitError, OSError) as error:  # also a store that does not answer, a port that is taken
        status = _refused(error, environment)
    raise typer.Exit(status)


def _refused(error: CopykitError | OSError, environment: Mapping[str, str]) -> int:
    """Say why it does not serve, to a person or, where lines are JSON, to who collects them; the exit status."""
    wrong = isinstance(error, ConfigurationError)
    try:
        from copykit.server.process.failure import log_failure, wants_json

        if wants_json(environment):
            log_failure(error, environment)
            return CONFIGURATION if wrong else _CANNOT
    except (ModuleNotFoundError, MissingExtra):  # then nothing writes log lines
        pass
    complain(error if isinstance(error, ConfigurationError) else str(error))
    return CONFIGURATION if wrong else _CANNOT


def _served(
    settings: ServerSettings,
    engine: Settings,
    environment: dict[str, str],
    server: str,
    reload: bool,
    as_json: bool,
) -> int:
    """Serve, by one process or several; the exit status."""
    from copykit.server.reading import without_effect
    from copykit.server.watch.logs import configure

    configure(settings.log_format, settings.log_level, environment=environment)
    for line in without_effect(settings, engine, server):
        logging.getLogger("copykit.server").warning("%s", line)
    listening = _listening(settings.host, settings.port)
    bound = listening.getsockname()[1]

    def started() -> None:
        _tell(settings, bound, server, as_json)

    if server == "uvicorn" and settings.workers == 1 and not reload:
        from copykit.server.app import create_app
        from copykit.server.process.serving import Serving

        serving = Serving(create_app(engine, server=settings), settings, started=started)
        serving.run(sockets=[listening])
        gc.freeze()  # the process ends: to look through all that it holds once more takes most of a second
        return serving.status
    from copykit.server.watch.figure_files import FOLDER_VARIABLE, figure_files

    # the budget of the settings is one for all workers that begin under this parent
    environment.setdefault("COPYKIT_RUN_ID", secrets.token_hex(8))
    with figure_files() as folder:
        environment[FOLDER_VARIABLE] = folder
        if server == "granian":
            from copykit.server.process.granian import serve

            listening.close()  # it binds by itself
            os.environ.update(environment)
            return serve(settings, bound, started)
        from copykit.server.process.changes import snapshot
        from copykit.server.process.workers import Workers

        watched = (lambda: snapshot(environment)) if reload else None
        return asyncio.run(Workers(settings, listening, environment, started, watched).run())


def _settings(
    environment: Mapping[str, str], given: Iterable[str], server: str, reload: bool
) -> tuple[ServerSettings, Settings]:
    """Read both halves of the settings, and tell the mistakes of both and of the options at once.

    Args:
        given: variables in whose place an option stands: what cannot be read is told by the name that was used.
    """
    from copykit.server.reading import read_settings

    wrong: list[str] = []
    if server not in _SERVERS:
        near = nearest_names(server, _SERVERS, 1)
        hint = f"nearest: {near[0]}" if near else "one of " + ", ".join(_SERVERS)
        wrong.append(f"--server={excerpt(server)}: unknown; {hint}")
    if server == "granian" and reload:
        wrong.append("--reload: with --server uvicorn only")
    if server == "granian" and find_spec("granian") is None:
        wrong.append(MissingExtra("--server granian", "granian", "fast").message)
    try:
        settings, engine = read_settings(environment, wrong=wrong)
    except ConfigurationError as error:
        raise ConfigurationError([_by_option(problem, given) for problem in error.problems]) from None
    if os.name == "nt" and server == "uvicorn" and (settings.workers > 1 or reload):
        raise ConfigurationError(
            "--workers, --reload: need signals that Windows does not have; use --server granian"
        )
    return settings, engine


def _by_option(problem: str, given: Iterable[str]) -> str:
    """Give *problem* with the option's name where it begins with a variable that an option stands for."""
    for variable in given:
        if problem.startswith(f"{variable}="):
            return _OPTIONS[variable] + problem.removeprefix(variable)
    return problem


def _listening(host: str, port: int) -> socket.socket:
    """Bind before anything is started, so that a taken port is one line and not a traceback.

    Raises:
        OSError: it cannot; the message names the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(f"cannot listen on {_shown(host)}:{port}: {error.strerror}") from None
    return listening


def _tell(settings: ServerSettings, port: int, server: str, as_json: bool) -> None:
    """Say where it serves, and what an operator should not have to guess."""
    url = f"http://{_shown(settings.host)}:{port}"
    store = settings.report()["store_url"] or "in memory"
    told = {
        "url": url,
        "pid": os.getpid(),
        "workers": settings.workers,
        "server": server,
        "authentication": not settings.open,
        "store": store,
    }
    if as_json:
        typer.echo(json.dumps({"event": "started", **told}))
        sys.stdout.flush()
    if settings.log_format == "json":  # whoever reads the log reads nothing else
        from copykit.server.watch.logs import tell

        tell(logging.getLogger("copykit.server"), "listening", told)
        return
    keys = "off: whoever reaches this address may use it" if settings.open else "on"
    typer.echo(
        f"copykit listens on {url} (Ctrl-C ends it)\n"
        f"  workers {settings.workers}, server {server}, authentication {keys}, store {store}",
        err=True,
    )


def _shown(host: str) -> str:
    return f"[{host.strip('[]')}]" if ":" in host else host
