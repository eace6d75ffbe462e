"""Whether all that make and read the keys of one store mix in the same pepper: its fingerprint is kept beside them.

A key made under another pepper than the server's opens nothing, for ever, and nothing would say why. The fingerprint
tells only whether two peppers are the same one.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from copykit.errors import ConfigurationError
from copykit.server.kept import store as table
from copykit.server.kept.crew import DEAD_S
from copykit.server.kept.store import Store, raise_counter
from copykit.server.kept.whole import to_the_end
from copykit.settings import Secret

__all__ = ["agree", "ask", "begin", "change", "check", "fingerprint", "prove"]

_NAME = "pepper"
"""Of its row in the table of what is told of the store itself."""
_NONE = "none"
_MARK = b"copykit: which pepper this is"
_LETTERS = 16
"""Of the fingerprint: 64 bits tell a mistake, and are too few to keep all of anything."""


def fingerprint(pepper: Secret | None) -> str:
    """Give what is kept of *pepper*."""
    if pepper is None:
        return _NONE
    return hmac.new(pepper.reveal().encode(), _MARK, hashlib.sha256).hexdigest()[:_LETTERS]


@to_the_end
async def ask(url: str, pepper: Secret | None) -> bool:
    """Say whether the store at *url* has ever held a key: then authentication is on, also when all have ended.

    Raises:
        ConfigurationError: its keys were made under another pepper.
        MissingExtra, StoreUnavailable: as `Store` and `Store.open` do.
    """
    store = Store(url)
    try:
        await store.open()
        async with store.reading() as connection:
            await check(connection, pepper, time.time())
            return (await connection.execute(select(table.keys.c.id).limit(1))).first() is not None
    finally:
        await store.aclose()


async def check(connection: AsyncConnection, pepper: Secret | None, now: float) -> None:
    """Let a server with *pepper* read the keys of this store.

    Nothing is said against it while none of them works, nor where nobody knows which pepper they were made under.

    Raises:
        ConfigurationError: they were made under another one.
    """
    kept = await _kept(connection)
    if kept not in (None, fingerprint(pepper)) and await _live(connection, now):
        raise ConfigurationError(_difference("the keys of this store were made", kept, pepper))


async def begin(connection: AsyncConnection, pepper: Secret | None, now: float) -> None:
    """Do as `check`, and keep that a server reads keys with *pepper*: whoever makes the first one is held to it."""
    await table.alone(connection, "pepper")
    await check(connection, pepper, now)
    if await _kept(connection) != fingerprint(pepper) and not await _live(connection, now):
        await _go_over(connection, pepper, now)


async def agree(connection: AsyncConnection, pepper: Secret | None, now: float) -> None:
    """Let a key be made under *pepper*, and keep its fingerprint where no key works and no server runs.

    Keys made before fingerprints were kept say nothing of theirs: it is kept once a server has opened to one of them.

    Raises:
        ConfigurationError: the keys of this store were made under another one, or its server runs with another.
    """
    await table.alone(connection, "pepper")
    await check(connection, pepper, now)
    kept = await _kept(connection)
    if kept == fingerprint(pepper):
        return
    beating = select(func.count()).select_from(table.workers).where(table.workers.c.beat > now - DEAD_S)
    if kept is not None and (await connection.execute(beating)).scalar():
        raise ConfigurationError(_difference("a server over this store was started", kept, pepper))
    if not await _live(connection, now):
        await _go_over(connection, pepper, now)


async def change(connection: AsyncConnection, pepper: Secret | None, now: float) -> None:
    """Go over to *pepper*: keys made under another one open nothing any more, so they end."""
    await table.alone(connection, "pepper")
    if await _kept(connection) != fingerprint(pepper):
        await _go_over(connection, pepper, now, all_of_them=True)


@to_the_end
async def prove(store: Store, pepper: Secret | None) -> None:
    """Keep that *pepper* has opened to a key of *store*, if nobody knows yet which one its keys were made under.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    async with store.writing() as connection:
        await table.alone(connection, "pepper")
        if await _kept(connection) is None:
            await _keep(connection, pepper)


async def _go_over(
    connection: AsyncConnection, pepper: Secret | None, now: float, *, all_of_them: bool = False
) -> None:
    """Keep the fingerprint of *pepper* instead of another's, whose keys end for good: prolonged, they would open nothing.

    Args:
        all_of_them: also those of which nobody knows the pepper.
    """
    if all_of_them or await _kept(connection) is not None:
        working = table.keys.c.revoked.is_(None)
        await connection.execute(update(table.keys).where(working).values(revoked=now))
        await raise_counter(connection, "keys")
    await _keep(connection, pepper)


async def _kept(connection: AsyncConnection) -> str | None:
    found = await connection.execute(select(table.meta.c.value).where(table.meta.c.name == _NAME))
    value: str | None = found.scalar()
    return value


async def _live(connection: AsyncConnection, now: float) -> bool:
    """Whether a key works."""
    ends = table.keys.c.expires
    works = table.keys.c.revoked.is_(None) & (ends.is_(None) | (ends > now))
    return (await connection.execute(select(table.keys.c.id).where(works).limit(1))).first() is not None


async def _keep(connection: AsyncConnection, pepper: Secret | None) -> None:
    await table.put(connection, table.meta, {"name": _NAME}, {"value": fingerprint(pepper)})


def _difference(what: str, kept: str | None, pepper: Secret | None) -> str:
    """Say which of two peppers is missing or another, and how to go on."""
    variables = "COPYKIT_KEY_PEPPER or COPYKIT_KEY_PEPPER_FILE"
    if pepper is None:
        told = f"{what} with a pepper, and none is set here: set {variables} to it"
    elif kept == _NONE:
        told = f"{what} without a pepper, and one is set here: unset {variables}"
    else:
        told = f"{what} with another pepper than the one set here: set {variables} to that one"
    return (
        f"server.pepper: {told}; or go on with what is set here, for which all keys end and servers start anew: "
        "copykit keys create --new-pepper"
    )
