"""``copykit keys``: make, list, change, replace and end the keys of a server, and bound its tenants."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from copykit.cli.complaint import complain, complain_as_json
from copykit.cli.key_view import show_keys, show_tenants, spent, tell_key, tell_tenant, when
from copykit.errors import CopykitError, InvalidRequest, MissingExtra

if TYPE_CHECKING:
    from copykit.server.doors.keybook import AsIs, KeyBook
    from copykit.server.doors.keys import Budget, Key, Tenant
    from copykit.server.kept.spending import Spending

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(
    help="Make, list, change, replace and end the keys of a server, and bound its tenants.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_STORE_SILENT = 75
"""EX_TEMPFAIL of sysexits.h: it may be tried again."""
_TIME = re.compile(r"([0-9]{1,6})\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*/\s*([a-z]+)")

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
_NewRate = Annotated[
    str | None, typer.Option("--rate", help="Requests in a time, e.g. 600/minute; '' takes it away.")
]
_NewBudget = Annotated[
    str | None,
    typer.Option("--budget", help="Dollars in a period: 50/month, 5/day or 100/total; '' takes it away."),
]
_Id = Annotated[str, typer.Argument(help="Its id, as list shows it.")]


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
    new_pepper: Annotated[
        bool,
        typer.Option(
            "--new-pepper", help="Go over to this COPYKIT_KEY_PEPPER; keys made under another one end."
        ),
    ] = False,
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Make a key. Its text is shown now and never again: only a digest of it is kept.

    A running server takes it within a second; with the first key of its store one without API_KEY begins to ask everybody
    for a key. The pepper of the server has to be set here too. Without --tenant the key is the operator's own and sees
    the figures of everybody.

    Example: copykit keys create "the shop" --tenant acme --scopes generate,read --expires 90d --budget 50/month

    Exit status: 0 made, 2 a value that there cannot be, 75 the store does not answer, 78 wrong settings.
    """

    async def work(book: KeyBook) -> tuple[Key, str, list[Key], list[Key]]:
        """Make it; give it, its text, and all keys before and after."""
        before = await book.every()
        made, text = await book.create(
            name=name,
            tenant=tenant,
            scopes=_scopes(scopes),
            expires_in_s=_seconds("expires", expires) if expires else None,
            rate=rate.strip(),
            budget=_budget(budget),
            new_pepper=new_pepper,
        )
        return made, text, before, await book.every()

    made, text, before, after = _done(store, work, as_json, make=True)
    still = {key.id for key in after if key.works(time.time())}
    ended = [key.id for key in before if key.works(time.time()) and key.id not in still]
    if as_json:
        told = {**tell_key(made), "first": not before, "ended": ended, "key": text}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo(text)
    _say(f"{made.id}: {made.tenant or 'your own'}, {', '.join(made.scopes)}, ends {when(made.expires)}.")
    _say("Keep it now: it is not shown again. It is sent as X-API-Key or Authorization: Bearer.")
    if not made.tenant:
        _say(
            "It is the operator's own: it sees everybody's figures and shares your cache; --tenant makes a client's."
        )
    if not before:
        _say("It is the first of this store: a server without API_KEY asks everybody for a key from now on.")
    if ended:
        _say(f"Ended, made under another pepper: {', '.join(ended)}.")
    if new_pepper:
        _say("Start the servers anew with this pepper.")


@app.command("list")
def show(store: _Store = None, as_json: _Json = False) -> None:
    """List all keys, those that have ended too, and tenants: with their bounds, and what they have spent of them.

    Secrets are not kept and so not shown. What is held is taken out by workers for their next calls: what they do not
    use they give back.

    Example: copykit keys list --json
    """
    keys, tenants, money = _done(store, _all, as_json)
    if as_json:
        told = {
            "keys": [tell_key(key, money[f"key:{key.id}"]) for key in keys],
            "tenants": [
                tell_tenant(one, _count(keys, one.name), money[f"tenant:{one.name}"]) for one in tenants
            ],
        }
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    if keys:
        show_keys(keys, money, Console())
    else:
        _say("no keys: make one with copykit keys create")
    if tenants:
        show_tenants(tenants, keys, money, Console())


@app.command("set")
def change(
    key: _Id,
    name: Annotated[str | None, typer.Option(help="What it is for, in your words.")] = None,
    scopes: Annotated[
        str | None, typer.Option(help="All that it is to have of generate, batch, read and admin.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends, from now: 90d, 12h, 30m; '' for never.")
    ] = None,
    rate: _NewRate = None,
    budget: _NewBudget = None,
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Change of a key what is named, and nothing else; without an option, show it. A running server takes it in a second.

    What it has spent in a period stays spent: raise the budget, and it goes on.

    Example: copykit keys set 89c3dd70 --budget 80/month

    Exit status: 0 done, 2 no such key or a value that there cannot be, 75 the store does not answer, 78 wrong settings.
    """

    async def work(book: KeyBook) -> tuple[Key, Spending]:
        """Change it; give it, and what it has spent."""
        from copykit.server.doors.keybook import AS_IS

        changed = await book.change(
            key,
            name=AS_IS if name is None else name,
            scopes=AS_IS if scopes is None else _scopes(scopes),
            expires_in_s=AS_IS
            if expires is None
            else _seconds("expires", expires)
            if expires.strip()
            else None,
            rate=AS_IS if rate is None else rate.strip(),
            budget=_new_budget(budget),
        )
        account = f"key:{changed.id}"
        return changed, (await _spent(book, {account: changed.budget}))[account]

    changed, money = _done(store, work, as_json)
    if as_json:
        typer.echo(json.dumps(tell_key(changed, money), ensure_ascii=False))
        return
    _say(
        f"{changed.id} ({changed.name or 'without a name'}): {changed.tenant or 'your own'}, "
        f"{', '.join(changed.scopes)}, {changed.state(time.time())}, ends {when(changed.revoked or changed.expires)}, "
        f"{changed.rate or 'the rate of the server'}, {_cost(changed.budget, money)}"
    )


@app.command("rotate")
def rotate(
    key: _Id,
    overlap: Annotated[str, typer.Option(help="How long the secret before goes on working.")] = "1d",
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Give a key a new secret; the one before works for a while more, so that nobody is locked out meanwhile.

    Example: copykit keys rotate 89c3dd70 --overlap 12h
    """
    made, text = _done(store, lambda book: book.rotate(key, overlap_s=_seconds("overlap", overlap)), as_json)
    if as_json:
        typer.echo(json.dumps({**tell_key(made), "key": text}, ensure_ascii=False))
        return
    typer.echo(text)
    _say(f"{made.id}: the secret before works {overlap} more. Keep this one: it is not shown again.")


@app.command("revoke")
def revoke(
    key: _Id,
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """End a key for good; every worker refuses it within a second.

    Example: copykit keys revoke 89c3dd70
    """
    ended = _done(store, lambda book: book.revoke(key), as_json)
    if as_json:
        typer.echo(json.dumps(tell_key(ended), ensure_ascii=False))
        return
    _say(f"{ended.id} ({ended.name or 'without a name'}) has ended.")


@app.command("tenant")
def tenant(
    name: Annotated[str, typer.Argument(help="Its name.")],
    rate: _NewRate = None,
    budget: _NewBudget = None,
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Show what bounds all keys of a tenant together and what they have spent; an option changes what it names.

    A tenant may be bounded before it has a key.

    Example: copykit keys tenant acme --rate 2000/minute --budget 200/month

    Exit status: 0 done, 2 no such tenant or a value that there cannot be, 75 the store does not answer, 78 wrong
    settings.
    """

    async def work(book: KeyBook) -> tuple[Tenant, int, Spending]:
        """Bound it; give it, how many keys it has, and what they have spent."""
        from copykit.server.doors.keybook import AS_IS

        bound = await book.bound(
            name, rate=AS_IS if rate is None else rate.strip(), budget=_new_budget(budget)
        )
        account = f"tenant:{bound.name}"
        money = await _spent(book, {account: bound.budget})
        return bound, _count(await book.every(), bound.name), money[account]

    bound, keys, money = _done(store, work, as_json, make=bool(rate or budget))
    if as_json:
        typer.echo(json.dumps(tell_tenant(bound, keys, money), ensure_ascii=False))
        return
    counted = "no key yet" if not keys else "1 key" if keys == 1 else f"{keys} keys"
    _say(f"{bound.name} ({counted}): {bound.rate or 'any rate'}, {_cost(bound.budget, money)}")


async def _all(book: KeyBook) -> tuple[list[Key], list[Tenant], dict[str, Spending]]:
    """Give all keys, all tenants, and what they have spent by account."""
    keys, tenants = await book.every(), await book.tenants()
    budgets = {f"key:{key.id}": key.budget for key in keys}
    return keys, tenants, await _spent(book, budgets | {f"tenant:{one.name}": one.budget for one in tenants})


def _count(keys: list[Key], tenant: str) -> int:
    return sum(key.tenant == tenant for key in keys)


async def _spent(book: KeyBook, budgets: dict[str, Budget | None]) -> dict[str, Spending]:
    from copykit.server.kept.spending import spendings

    return await spendings(book.store, budgets, time.time())


def _cost(budget: Budget | None, money: Spending) -> str:
    """Say what something may cost, and has cost."""
    return ("" if budget else "any cost, ") + f"USD spent: {spent(budget, money)}"


def _done(
    url: str | None, work: Callable[[KeyBook], Awaitable[T]], as_json: bool, *, make: bool = False
) -> T:
    """Do *work* over the store, or say why it cannot be done, in one line or as JSON.

    Args:
        make: whether a store is made where there is none: what only looks or changes would find nothing in a new one, and
            whoever mistyped its address would take that for the truth.
    """
    try:
        return asyncio.run(_with_book(url, work, make))
    except CopykitError as error:
        status = complain_as_json(error) if as_json else complain(error)
        raise typer.Exit(_STORE_SILENT if error.code == "store_unavailable" else status) from None


async def _with_book(url: str | None, work: Callable[[KeyBook], Awaitable[T]], make: bool) -> T:
    try:
        import_module("sqlalchemy.ext.asyncio")
        import_module("aiosqlite")
    except ModuleNotFoundError as error:
        raise MissingExtra("keys", error.name or "sqlalchemy", "server") from None
    from copykit.server.config import ServerSettings, data_folder, file_url
    from copykit.server.doors.keybook import KeyBook
    from copykit.server.kept.store import Store

    settings = ServerSettings.from_env(host="127.0.0.1", keyed=True)
    store = Store(url or settings.store_url or file_url(data_folder(settings.data_dir)), make=make)
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


def _new_budget(text: str | None) -> Budget | AsIs | None:
    """Give the budget that *text* is, None where it takes it away, and what changes nothing where it is not given."""
    from copykit.server.doors.keybook import AS_IS

    return AS_IS if text is None else _budget(text)


def _scopes(text: str) -> list[str]:
    return [scope.strip() for scope in text.split(",") if scope.strip()]


def _say(line: str) -> None:
    typer.echo(line, err=True)
