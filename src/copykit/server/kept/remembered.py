"""Answers kept by ``Idempotency-Key``: a request that is sent again is answered again, and not done again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from copykit.server.kept import store as table
from copykit.server.kept.store import Store, StoreUnavailable
from copykit.server.kept.whole import to_the_end
from copykit.server.wire import Refused

__all__ = ["KEPT_S", "LONGEST", "MAX_NAME", "Kept", "Memory", "Remembers", "Shared"]

KEPT_S = 86_400.0
"""Seconds that an answer is kept."""
MAX_NAME = 255
"""Characters of an ``Idempotency-Key``."""
LONGEST = 16 * 2**20
"""Bytes of an answer that is kept; a longer one is done again."""
_OF_TENANT = 128 * 2**20
"""Bytes of one tenant's answers; the oldest go first."""
_MOST = 10_000
_LARGE = 256 * 1024
"""Bytes of an answer from which on the room of its tenant is looked at when it is kept, not only now and then."""
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was sent."""

    status: int
    kind: str
    """Its media type."""
    body: bytes


class Remembers(Protocol):
    """Keeps answers by tenant and name."""

    async def begin(self, tenant: str, name: str, asked: bytes) -> Kept | None:
        """Note that a request is in work, or give the answer that it had.

        Args:
            asked: digest of what is asked for.

        Raises:
            Refused: 409 while the first is in work, 422 if it asked for something else.
        """
        ...

    async def end(self, tenant: str, name: str, kept: Kept | None) -> None:
        """Keep the answer; with None the request counts as never sent.

        Raises:
            StoreUnavailable: it is kept at the next `catch_up`.
        """
        ...

    async def catch_up(self) -> None:
        """Keep what could not be kept when it ended.

        Raises:
            StoreUnavailable: it still cannot be.
        """
        ...

    async def purge(self) -> None:
        """Forget what is a day old."""
        ...


class Memory:
    """Keeps answers in this process, at most ten thousand and 64 MiB; the oldest go first."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, bytes, Kept | None]] = OrderedDict()
        self._bytes = 0

    async def begin(self, tenant: str, name: str, asked: bytes) -> Kept | None:
        """Do as `Remembers` has it."""
        now, at = self._clock(), (tenant, name)
        if at in self._kept:
            created, before, kept = self._kept[at]
            if kept is None or now - created < KEPT_S:
                return _judged(before, asked, kept)
            self._drop(at)
        self._kept[at] = (now, asked, None)
        return None

    async def end(self, tenant: str, name: str, kept: Kept | None) -> None:
        """Do as `Remembers` has it."""
        at = (tenant, name)
        if at not in self._kept:
            return
        created, asked, _ = self._kept[at]
        if kept is None or len(kept.body) > LONGEST:
            self._drop(at)
            return
        self._kept[at] = (created, asked, kept)
        self._bytes += len(kept.body)
        while len(self._kept) > _MOST or self._bytes > _MOST_BYTES:
            self._drop(next(iter(self._kept)))

    async def catch_up(self) -> None:
        """Do as `Remembers` has it: nothing ever waits here."""

    async def purge(self) -> None:
        """Do as `Remembers` has it."""
        since = self._clock() - KEPT_S
        for at in [at for at, (created, _, kept) in self._kept.items() if kept and created < since]:
            self._drop(at)

    def _drop(self, at: tuple[str, str]) -> None:
        _, _, kept = self._kept.pop(at)
        self._bytes -= len(kept.body) if kept is not None else 0


class Shared:
    """Keeps answers in the store, for all workers.

    Args:
        store: opened already.
        worker: this worker's id.
        clock: seconds of the epoch.
    """

    def __init__(self, store: Store, worker: str, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._waiting: dict[tuple[str, str], Kept | None] = {}
        """What the store did not take; without it a repeat would be told to wait for as long as this worker lives."""

    @to_the_end
    async def begin(self, tenant: str, name: str, asked: bytes) -> Kept | None:
        """Do as `Remembers` has it."""
        now, of_name = self._clock(), _of(tenant, name)
        row = {"tenant": tenant, "name": name, "asked": asked, "worker": self._worker, "created": now}
        async with self._store.writing() as connection:
            found = (await connection.execute(select(table.answers).where(of_name))).mappings().first()
            if found is None:
                try:
                    await connection.execute(insert(table.answers).values(**row))
                except IntegrityError:  # another worker was first, in this very moment
                    raise _in_work() from None
                return None
            done = found["status"] is not None
            is_over = (
                now - found["created"] >= KEPT_S if done else not await _lives(connection, found["worker"])
            )
            if is_over:
                fresh = {**row, "status": None, "kind": None, "body": None}
                as_found = of_name & (table.answers.c.worker == found["worker"])
                as_found &= table.answers.c.created == found["created"]
                taken = await connection.execute(update(table.answers).where(as_found).values(**fresh))
                if not taken.rowcount:  # another worker took it over in this very moment
                    raise _in_work()
                return None
        kept = Kept(found["status"], found["kind"], bytes(found["body"])) if done else None
        return _judged(bytes(found["asked"]), asked, kept)

    @to_the_end
    async def end(self, tenant: str, name: str, kept: Kept | None) -> None:
        """Do as `Remembers` has it."""
        try:
            await self._write(tenant, name, kept)
        except StoreUnavailable:
            held = sum(len(waiting.body) for waiting in self._waiting.values() if waiting is not None)
            fits = kept is not None and held + len(kept.body) <= _MOST_BYTES
            self._waiting[tenant, name] = kept if fits else None
            raise

    @to_the_end
    async def catch_up(self) -> None:
        """Do as `Remembers` has it."""
        for at, kept in tuple(self._waiting.items()):
            await self._write(*at, kept)
            del self._waiting[at]

    async def _write(self, tenant: str, name: str, kept: Kept | None) -> None:
        mine = _of(tenant, name) & (table.answers.c.worker == self._worker) & table.answers.c.status.is_(None)
        async with self._store.writing() as connection:
            if kept is None or len(kept.body) > LONGEST:
                await connection.execute(delete(table.answers).where(mine))
                return
            values = {"status": kept.status, "kind": kept.kind, "body": kept.body}
            await connection.execute(update(table.answers).where(mine).values(**values))
            if len(kept.body) > _LARGE:
                await _make_room(connection, tenant)

    @to_the_end
    async def purge(self) -> None:
        """Do as `Remembers` has it."""
        old = (table.answers.c.created < self._clock() - KEPT_S) & table.answers.c.status.is_not(None)
        async with self._store.writing() as connection:
            await connection.execute(delete(table.answers).where(old))
            for tenant in (
                (await connection.execute(select(table.answers.c.tenant).distinct())).scalars().all()
            ):
                await _make_room(connection, tenant)


async def _lives(connection: AsyncConnection, worker: str) -> bool:
    """Say whether *worker* is still there: the crew takes those out that give no sign of life."""
    asked = select(table.workers.c.id).where(table.workers.c.id == worker)
    return (await connection.execute(asked)).first() is not None


async def _make_room(connection: AsyncConnection, tenant: str) -> None:
    """Forget the oldest answers of *tenant* until the rest is within its bounds."""
    of_tenant = (table.answers.c.tenant == tenant) & table.answers.c.status.is_not(None)
    size = func.length(table.answers.c.body)
    asked = select(table.answers.c.created, size).where(of_tenant).order_by(table.answers.c.created.desc())
    total = 0
    for count, (created, length) in enumerate((await connection.execute(asked)).all(), start=1):
        total += length
        if total > _OF_TENANT or count > _MOST:
            oldest = of_tenant & (table.answers.c.created <= created)
            await connection.execute(delete(table.answers).where(oldest))
            return


def _of(tenant: str, name: str) -> ColumnElement[bool]:
    return (table.answers.c.tenant == tenant) & (table.answers.c.name == name)


def _judged(before: bytes, asked: bytes, kept: Kept | None) -> Kept:
    if before != asked:
        raise Refused(
            422,
            "idempotency_mismatch",
            "this Idempotency-Key came with another request before; take a new one",
        )
    if kept is None:
        raise _in_work()
    return kept


def _in_work() -> Refused:
    return Refused(
        409,
        "idempotency_in_progress",
        "the first request with this Idempotency-Key is still in work",
        headers={"Retry-After": "1"},
    )
