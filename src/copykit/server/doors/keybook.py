"""The book of keys: made once and shown once, changed, replaced with both secrets working for a while, ended."""

from __future__ import annotations

import re
import secrets as chance
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from copykit.errors import InvalidRequest, nearest_names
from copykit.server.bounds import RATE
from copykit.server.doors.keys import (
    MOST_USD,
    PERIODS,
    SCOPES,
    Budget,
    Key,
    Tenant,
    budget_row,
    digest_of,
    keys_of,
    tenants_of,
)
from copykit.server.doors.pepper import agree, change
from copykit.server.kept import store as table
from copykit.server.kept.store import Store, raise_counter
from copykit.server.kept.whole import to_the_end
from copykit.settings import Secret

__all__ = ["AS_IS", "OVERLAP_S", "AsIs", "KeyBook"]

OVERLAP_S = 86_400.0
"""Seconds that a replaced secret goes on working, unless told otherwise: a day to bring the new one everywhere."""
_TENANT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{0,100}")
_SHOWN = 16
"""Letters of what somebody typed for an id that a message repeats: no secret that opens anything is so short."""


class AsIs(Enum):
    """Type of `AS_IS`."""

    AS_IS = "as it is"


AS_IS: Final = AsIs.AS_IS
"""For what is not to be changed, where None takes a bound away."""


class KeyBook:
    """Makes, lists, replaces and ends keys in a store; every worker sees it within a second.

    Args:
        store: opened already.
        pepper: mixed into every digest; the same for all workers.
        clock: seconds of the epoch.
    """

    def __init__(
        self, store: Store, pepper: Secret | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self._pepper = pepper
        self._clock = clock

    @to_the_end
    async def create(
        self,
        *,
        name: str = "",
        tenant: str = "",
        scopes: Iterable[str] = ("generate", "batch", "read"),
        expires_in_s: float | None = None,
        rate: str = "",
        budget: Budget | None = None,
        new_pepper: bool = False,
    ) -> tuple[Key, str]:
        """Make a key; gives it and its text, which is told this once.

        Args:
            new_pepper: end all keys that were made under another pepper than this one, instead of refusing.

        Raises:
            ConfigurationError: the store's other keys, or its server, have another pepper.
            InvalidRequest: a scope, tenant, rate or budget that there cannot be.
        """
        wanted = _scopes(scopes)
        _check_tenant(tenant)
        _check_rate(rate)
        _check_budget(budget)
        _check_name(name)
        now = self._clock()
        expires = _end(expires_in_s, now)
        made = Key(chance.token_hex(4), tenant, name, wanted, now, expires, None, rate, budget)
        secret = chance.token_urlsafe(32)
        async with self.store.writing() as connection:
            await (change if new_pepper else agree)(connection, self._pepper, now)
            if tenant and await _tenant_in(connection, tenant) is None:
                await connection.execute(
                    insert(table.tenants).values(name=tenant, rate="", **budget_row(None))
                )
            row: dict[str, Any] = {
                "id": made.id,
                "tenant": tenant,
                "name": name,
                "scopes": ",".join(wanted),
                "created": now,
                "expires": expires,
                "revoked": None,
                "rate": rate,
            }
            await connection.execute(insert(table.keys).values(**row, **budget_row(budget)))
            await self._add_secret(connection, made.id, secret, now)
            await raise_counter(connection, "keys")
        return made, f"ck_live_{made.id}_{secret}"

    @to_the_end
    async def every(self) -> list[Key]:
        """Give all keys, ended ones too, oldest first."""
        async with self.store.reading() as connection:
            rows = (
                (await connection.execute(select(table.keys).order_by(table.keys.c.created))).mappings().all()
            )
            secrets = (await connection.execute(select(table.secrets))).mappings().all()
        return keys_of(rows, secrets)

    @to_the_end
    async def tenants(self) -> list[Tenant]:
        """Give all tenants by name."""
        async with self.store.reading() as connection:
            rows = await connection.execute(select(table.tenants).order_by(table.tenants.c.name))
            return tenants_of(rows.mappings())

    @to_the_end
    async def rotate(self, key_id: str, *, overlap_s: float = OVERLAP_S) -> tuple[Key, str]:
        """Give a key a new secret; the one before works *overlap_s* seconds more, any earlier one no longer.

        Raises:
            ConfigurationError: the store's keys, or its server, have another pepper.
            InvalidRequest: no such key, or one that has ended.
        """
        if not 0 <= overlap_s < 1e10:
            raise InvalidRequest("overlap", overlap_s, "must be 0 seconds or more")
        now = self._clock()
        found = await self._known(_id_in(key_id))
        key_id = found.id
        if not found.works(now):
            raise InvalidRequest("key", key_id, f"it is {found.state(now)}; make a new one")
        secret = chance.token_urlsafe(32)
        async with self.store.writing() as connection:
            await agree(connection, self._pepper, now)
            of_key = table.secrets.c.key_id == key_id
            never_ends = of_key & table.secrets.c.expires.is_(None)
            ends_later = of_key & table.secrets.c.expires.is_not(None)
            await connection.execute(update(table.secrets).where(ends_later).values(expires=now))
            await connection.execute(update(table.secrets).where(never_ends).values(expires=now + overlap_s))
            await self._add_secret(connection, key_id, secret, now)
            await raise_counter(connection, "keys")
        return await self._known(key_id), f"ck_live_{key_id}_{secret}"

    @to_the_end
    async def revoke(self, key_id: str) -> Key:
        """End a key for good, now; one that has ended stays so.

        Raises:
            InvalidRequest: no such key.
        """
        key_id = (await self._known(_id_in(key_id))).id
        async with self.store.writing() as connection:
            live = (table.keys.c.id == key_id) & table.keys.c.revoked.is_(None)
            await connection.execute(update(table.keys).where(live).values(revoked=self._clock()))
            await raise_counter(connection, "keys")
        return await self._known(key_id)

    @to_the_end
    async def change(
        self,
        key_id: str,
        *,
        name: str | AsIs = AS_IS,
        scopes: Iterable[str] | AsIs = AS_IS,
        expires_in_s: float | AsIs | None = AS_IS,
        rate: str | AsIs = AS_IS,
        budget: Budget | AsIs | None = AS_IS,
    ) -> Key:
        """Change what is named of a key, and nothing else; its secrets stay, and what it has spent counts on.

        Args:
            expires_in_s: from now; None for no end. One that has expired works again with it.
            rate: empty for the server's.
            budget: None for none.

        Raises:
            InvalidRequest: no such key, one that was revoked, or a value that there cannot be.
        """
        found = await self._known(_id_in(key_id))
        changes: dict[str, Any] = {}
        if name is not AS_IS:
            _check_name(name)
            changes["name"] = name
        if scopes is not AS_IS:
            changes["scopes"] = ",".join(_scopes(scopes))
        if expires_in_s is not AS_IS:
            changes["expires"] = _end(expires_in_s, self._clock())
        changes |= _bounds_row(rate, budget)
        if changes and found.revoked is not None:
            raise InvalidRequest("key", found.id, "it is revoked for good; make a new one")
        if not changes:
            return found
        async with self.store.writing() as connection:
            await connection.execute(update(table.keys).where(table.keys.c.id == found.id).values(**changes))
            await raise_counter(connection, "keys")
        return await self._known(found.id)

    @to_the_end
    async def bound(
        self, tenant: str, *, rate: str | AsIs = AS_IS, budget: Budget | AsIs | None = AS_IS
    ) -> Tenant:
        """Change what is named of what bounds all keys of *tenant* together, and nothing else; give all of it.

        A tenant that has no key yet is made with its first bound, so that its first key is bounded already.

        Args:
            rate: empty for none.
            budget: None for none.

        Raises:
            InvalidRequest: bounds or a name that there cannot be; no such tenant, and nothing to bound it with.
        """
        changes = _bounds_row(rate, budget)
        async with self.store.writing() as connection:
            known = await _tenant_in(connection, tenant)
            if known is None:
                if not (rate is not AS_IS and rate) and (budget is AS_IS or budget is None):
                    near = nearest_names(tenant, [t.name for t in await self.tenants()])
                    raise InvalidRequest("tenant", tenant, "there is none of this name", nearest=near)
                _check_tenant(tenant)
                row = {"rate": "", **budget_row(None), **changes}
                await connection.execute(insert(table.tenants).values(name=tenant, **row))
            elif changes:
                of_name = table.tenants.c.name == tenant
                await connection.execute(update(table.tenants).where(of_name).values(**changes))
            if changes:
                await raise_counter(connection, "keys")
            bound = await _tenant_in(connection, tenant)
        assert bound is not None  # noqa: S101  # just written
        return bound

    async def _known(self, key_id: str) -> Key:
        found = {key.id: key for key in await self.every()}
        if key_id not in found:
            named = [key.id for key in found.values() if key.name == key_id]
            shown = key_id if len(key_id) <= _SHOWN and not key_id.startswith("ck_") else "***"
            near = named[:3] or (nearest_names(key_id, found) if shown == key_id else ())
            raise InvalidRequest("key", shown, "there is none with this id; list shows them", nearest=near)
        return found[key_id]

    async def _add_secret(self, connection: Any, key_id: str, secret: str, now: float) -> None:
        digest = digest_of(secret, self._pepper)
        row = {"key_id": key_id, "digest": digest, "created": now, "expires": None}
        await connection.execute(insert(table.secrets).values(**row))


def _id_in(text: str) -> str:
    """Give the id in *text*, which may be a whole key: who holds one has no other name for it."""
    return text.split("_")[2] if text.startswith("ck_live_") and text.count("_") >= 3 else text


def _scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(scopes))
    for scope in wanted:
        if scope not in SCOPES:
            near = nearest_names(scope, SCOPES, 1)
            raise InvalidRequest("scopes", scope, "must be " + ", ".join(SCOPES), nearest=near)
    if not wanted:
        raise InvalidRequest("scopes", "", "at least one of " + ", ".join(SCOPES))
    return wanted


def _check_tenant(tenant: str) -> None:
    if tenant and not _TENANT.fullmatch(tenant):
        raise InvalidRequest(
            "tenant", tenant, "1 to 64 small letters, digits, dots, dashes; the first a letter or digit"
        )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequest("name", name, "at most 100 characters, none of them a control character")


def _end(expires_in_s: float | None, now: float) -> float | None:
    if expires_in_s is None:
        return None
    if not 0 < expires_in_s < 1e10:
        raise InvalidRequest("expires", expires_in_s, "must lie in the future")
    return now + expires_in_s


def _check_rate(rate: str) -> None:
    if rate and not RATE.fullmatch(rate):
        raise InvalidRequest("rate", rate, "write a number and a time, e.g. 600/minute")


def _check_budget(budget: Budget | None) -> None:
    if budget is None:
        return
    if not 0 <= budget.usd <= MOST_USD:
        raise InvalidRequest("budget", budget.usd, "must be dollars, 0 to a million")
    if budget.per not in PERIODS:
        near = nearest_names(budget.per, PERIODS, 1)
        raise InvalidRequest("budget", budget.per, "must be per " + ", ".join(PERIODS), nearest=near)


def _bounds_row(rate: str | AsIs, budget: Budget | AsIs | None) -> dict[str, Any]:
    """Give the columns of what is named."""
    row: dict[str, Any] = {}
    if rate is not AS_IS:
        _check_rate(rate)
        row["rate"] = rate
    if budget is not AS_IS:
        _check_budget(budget)
        row |= budget_row(budget)
    return row


async def _tenant_in(connection: AsyncConnection, name: str) -> Tenant | None:
    found = await connection.execute(select(table.tenants).where(table.tenants.c.name == name))
    return next(iter(tenants_of(found.mappings())), None)
