"""``copykit keys``: make, list, replace and end the keys of a server."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from copykit.cli.complaint import complain
from copykit.cli.table import Table
from copykit.errors import CopykitError, InvalidRequest, MissingExtra

if TYPE_CHECKING:
    from copykit.server.doors.keys import Budget, Key, KeyBook

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(
    help="Make, list, replace and end the keys of a server.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_STORE_SILENT = 75
"""EX_TEMPFAIL of sysexits.h: it may be tried again."""
_TIME = re.compile(r"([0-9]{1,6})\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*/\s*([a-z]+)")
_COLOURS = {"active": "green", "rotating": "yellow", "expired": "red", "revoked": "red"}

_Store = Annotated[
    str | None,
    typer.Option(
        "--store", help="Address of the store; else COPYKIT_STORE_URL, else the file in COPYKIT_DATA_DIR."
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Rate = Annotated[
    str, typer.Option(help="Requests in a time, e.g. 600/minute; empty for no bound of its own.")
]
_Budget = Annotated[str, typer.Option(help="Dollars in a period: 50/month, 5/day or 100/total.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for, in your words.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose key it is; empty for your own.")] = "",
    scopes: Annotated[
        str, typer.Option(help="Some of generate, batch, read and admin.")
    ] = "generate,batch,read",
    expires: Annotated[str, typer.Option(help="When it ends: 90d, 12h, 30m; empty for never.")] = "",
    rate: _Rate = "",
    budget: _Budget = "",
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Make a key. Its text is shown now and never again: only a digest of it is kept.

    A running server takes it within a second.

    Example: copykit keys create "the shop" --tenant acme --scopes generate,read --expires 90d --budget 50/month

    Exit status: 0 made, 2 a value that there cannot be, 75 the store does not answer, 78 wrong settings.
    """
    made, text = _done(
        store,
        lambda book: book.create(
            name=name,
            tenant=tenant,
            scopes=[scope.strip() for scope in scopes.split(",") if scope.strip()],
            expires_in_s=_seconds("expires", expires) if expires else None,
            rate=rate.strip(),
            budget=_budget(budget),
        ),
    )
    if as_json:
        typer.echo(json.dumps({**_told(made), "key": text}, ensure_ascii=False))
        return
    typer.echo(text)
    _say(f"{made.id}: {made.tenant or 'your own'}, {', '.join(made.scopes)}, ends {_when(made.expires)}.")
    _say("Keep it now: it is not shown again. It is sent as X-API-Key or Authorization: Bearer.")


@app.command("list")
def show(store: _Store = None, as_json: _Json = False) -> None:
    """List all keys, those that have ended too; secrets are not kept and so not shown.

    Example: copykit keys list --json
    """
    found = _done(
        store,
        lambda book: book.every(),
    )
    if as_json:
        typer.echo(json.dumps([_told(key) for key in found], ensure_ascii=False, indent=2))
        return
    if not found:
        _say("no keys: make one with copykit keys create")
        return
    table, now = Table(), time.time()
    for column in ("id", "tenant", "name", "scopes", "state", "made", "ends", "bounds"):
        table.add_column(column, no_wrap=column in ("id", "state"))
    for key in found:
        state = key.state(now)
        scopes, made, ends = " ".join(key.scopes), _when(key.created), _when(key.revoked or key.expires)
        bounds = " ".join(filter(None, (key.rate, _bounded(key.budget))))
        coloured = Text(state, style=_COLOURS[state])
        table.add_row(key.id, key.tenant, key.name, scopes, coloured, made, ends, bounds)
    table.show(Console())


@app.command("rotate")
def rotate(
    key: Annotated[str, typer.Argument(help="Its id, as list shows it.")],
    overlap: Annotated[str, typer.Option(help="How long the secret before goes on working.")] = "1d",
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Give a key a new secret; the one before works for a while more, so that nobody is locked out meanwhile.

    Example: copykit keys rotate 89c3dd70 --overlap 12h
    """
    made, text = _done(
        store,
        lambda book: book.rotate(key, overlap_s=_seconds("overlap", overlap)),
    )
    if as_json:
        typer.echo(json.dumps({**_told(made), "key": text}, ensure_ascii=False))
        return
    typer.echo(text)
    _say(f"{made.id}: the secret before works {overlap} more. Keep this one: it is not shown again.")


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, as list shows it.")],
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """End a key for good; every worker refuses it within a second.

    Example: copykit keys revoke 89c3dd70
    """
    ended = _done(
        store,
        lambda book: book.revoke(key),
    )
    if as_json:
        typer.echo(json.dumps(_told(ended), ensure_ascii=False))
        return
    _say(f"{ended.id} ({ended.name or 'without a name'}) has ended.")


@app.command("tenant")
def tenant(
    name: Annotated[str, typer.Argument(help="Its name.")],
    rate: _Rate = "",
    budget: _Budget = "",
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Set what bounds all keys of a tenant together; what is not named is not bounded.

    Example: copykit keys tenant acme --rate 2000/minute --budget 200/month
    """
    bound = _done(
        store,
        lambda book: book.bound(name, rate=rate.strip(), budget=_budget(budget)),
    )
    if as_json:
        told = {"tenant": bound.name, "rate": bound.rate or None, "budget": _bounded(bound.budget) or None}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    _say(f"{bound.name}: {bound.rate or 'any rate'}, {_bounded(bound.budget) or 'any cost'}")


def _done(url: str | None, work: Callable[[KeyBook], Awaitable[T]]) -> T:
    """Do *work* over the store, or say in one line why it cannot be done."""
    try:
        return asyncio.run(_with_book(url, work))
    except CopykitError as error:
        status = complain(error)
        raise typer.Exit(_STORE_SILENT if error.code == "store_unavailable" else status) from None


async def _with_book(url: str | None, work: Callable[[KeyBook], Awaitable[T]]) -> T:
    try:
        import_module("sqlalchemy.ext.asyncio")
        import_module("aiosqlite")
    except ModuleNotFoundError as error:
        raise MissingExtra("keys", error.name or "sqlalchemy", "server") from None
    from copykit.server.config import ServerSettings, data_folder, file_url
    from copykit.server.doors.keys import KeyBook
    from copykit.server.kept.store import Store

    settings = ServerSettings.from_env(host="127.0.0.1", keyed=True)
    store = Store(url or settings.store_url or file_url(data_folder(settings.data_dir)))
    try:
        await store.open()
        return await work(KeyBook(store, settings.pepper))
    finally:
        await store.aclose()


def _seconds(name: str, text: str) -> float:
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise InvalidRequest(name, text, "write a number and s, m, h, d or w, e.g. 90d")
    return float(int(found[1]) * _SECONDS[found[2]])


def _budget(text: str) -> Budget | None:
    from copykit.server.doors.keys import Budget

    if not text.strip():
        return None
    found = _BUDGET.fullmatch(text.strip())
    if not found:
        raise InvalidRequest("budget", text, "write dollars and a period, e.g. 50/month")
    return Budget(float(found[1]), found[2])


def _bounded(budget: Budget | None) -> str:
    return "" if budget is None else f"{budget.usd:g}/{budget.per}"


def _told(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": list(key.scopes),
        "state": key.state(time.time()),
        "created": _iso(key.created),
        "expires": _iso(key.expires),
        "revoked": _iso(key.revoked),
        "rate": key.rate or None,
        "budget": _bounded(key.budget) or None,
    }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _when(moment: float | None) -> str:
    return "never" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def _say(line: str) -> None:
    typer.echo(line, err=True)
