"""``copykit run --check``: all that `run` looks at before it listens, and nothing served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from copykit.cli.complaint import CONFIGURATION
from copykit.errors import ConfigurationError, CopykitError

if TYPE_CHECKING:
    from copykit.server.config import ServerSettings
    from copykit.settings import Settings

__all__ = ["check"]

_CANNOT = 1


def check(read: Callable[[], tuple[ServerSettings, Settings]], by: str, as_json: bool) -> int:
    """Say what would be served, or all that is wrong, a line each; the exit status that `run` would have.

    Args:
        read: gives both halves of the settings.
        by: the program that would serve.
        as_json: say it as one object on standard output, ``ok`` with ``problems`` or what would be served.

    Raises:
        ModuleNotFoundError: the extra ``server`` is not installed.
    """
    told: dict[str, Any] = {}
    problems: tuple[str, ...] = ()
    status = 0
    try:
        settings, engine = read()
        told = _served(settings, engine, by)
    except ConfigurationError as error:
        problems, status = tuple(error.problems), CONFIGURATION
    except (CopykitError, OSError) as error:
        problems, status = (str(error),), _CANNOT
    if as_json:
        typer.echo(json.dumps({"ok": not problems, "problems": problems, **told}, ensure_ascii=False))
        return status
    for line in (*problems, *told.get("without_effect", ())):
        typer.echo(f"copykit: {line}", err=True)
    if not problems:
        keys = "on" if told["authentication"] else "off: whoever reaches this address may use it"
        typer.echo(
            f"nothing is wrong; copykit run would listen on {told['host']}:{told['port']}\n"
            f"  workers {told['workers']}, authentication {keys}\n"
            f"  store {told['store']}\n"
            f"  writes with {', '.join(told['targets'])}\n"
            f"  answers to the names {', '.join(told['allowed_hosts']) or 'of its own address'}"
        )
    return status


def _served(settings: ServerSettings, engine: Settings, by: str) -> dict[str, Any]:
    """Make the application, open the store it names, close both again, and give what would be served.

    Raises:
        ConfigurationError: a setting of any part, or a store made by a later version.
        StoreUnavailable: the store does not answer or is damaged.
    """
    from copykit.server.app import create_app
    from copykit.server.kept.store import Store
    from copykit.server.reading import without_effect

    async def opened() -> None:
        """Open and close."""
        app = create_app(engine, server=settings)
        try:
            if settings.store_url:
                store = Store(settings.store_url)
                try:
                    await store.open()
                finally:
                    await store.aclose()
        finally:
            await app.state.answers.aclose()
            await app.state.holdings.aclose()

    asyncio.run(opened())
    report = settings.report()
    return {
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "authentication": not settings.open,
        "store": report["store_url"] or "in memory",
        "targets": list(engine.routing.targets),
        "allowed_hosts": list(settings.allowed_hosts),
        "without_effect": list(without_effect(settings, engine, by)),
    }
