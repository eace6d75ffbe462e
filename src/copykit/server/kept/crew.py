"""The workers of one server: who is there, whose life has ended, and what all of them together have counted."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from copykit import events
from copykit.server.kept import store as table
from copykit.server.kept.store import Store
from copykit.server.kept.whole import to_the_end
from copykit.stats import Stats, added, together

__all__ = ["DEAD_S", "Crew", "TenantStats", "Worker", "worker_id"]

DEAD_S = 30.0
"""Without a sign of life after which a worker is gone: the loop of one that lives is never blocked so long."""
_MOST_TENANTS = 1000
_GONE = ""
"""Stands for all workers that left while others served: what they counted still counts."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that serves."""

    id: str
    pid: int
    host: str
    started: float
    """Seconds of the epoch."""
    beat: float
    version: str
    """Of copykit."""
    config: str
    """Digest of its settings: workers that differ in it were started with different ones."""


class TenantStats:
    """A hook that counts for each tenant apart; for the thousand that were seen last."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Stats] = OrderedDict()
        self.changed: set[str] = set()
        """Tenants that something happened for since this was emptied."""

    def __call__(self, event: events.Event) -> None:
        """Count *event* for the tenant that it names."""
        tenant: str | None = getattr(event, "tenant", None)
        if tenant is None:
            return
        stats = self._of.get(tenant)
        if stats is None:
            stats = self._of[tenant] = Stats()
            if len(self._of) > _MOST_TENANTS:
                self._of.popitem(last=False)
        self._of.move_to_end(tenant)
        self.changed.add(tenant)
        stats(event)

    def of(self, tenant: str) -> Stats:
        """Give what was counted for *tenant*."""
        return self._of.get(tenant) or Stats()


class Crew:
    """This worker among the others, by their signs of life in the store.

    Args:
        store: opened already.
        worker: this one's id.
        config: digest of its settings.
        clock: seconds of the epoch.
        steady: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        worker: str,
        config: str,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._steady = steady
        self._seen: dict[str, tuple[float, float]] = {}
        """Of each worker the beat that was seen last, and since when it is that."""
        self._clock = clock
        now = clock()
        self.me = Worker(worker, os.getpid(), socket.gethostname(), now, now, version("copykit"), config)

    @property
    def has_others(self) -> bool:
        """Whether there were other workers at the last sign of life."""
        return len(self._seen) > 1

    @to_the_end
    async def beat(self, told: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
        """Give a sign of life, and what was counted by tenant; gives the ids of workers found dead, to be taken out.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        now, me = self._clock(), self.me
        async with self._store.writing() as connection:
            own = table.workers.c.id == me.id
            changed = await connection.execute(update(table.workers).where(own).values(beat=now))
            if not changed.rowcount:
                row = {name: getattr(me, name) for name in Worker.__slots__}
                await _begin(connection, me.id, now - DEAD_S)
                await connection.execute(insert(table.workers).values(**{**row, "beat": now}))
            for tenant, counted in told:
                await _write(connection, me.id, tenant, counted)
            beats = (await connection.execute(select(table.workers.c.id, table.workers.c.beat))).all()
        return self._silent({row.id: row.beat for row in beats})

    def _silent(self, beats: dict[str, float]) -> list[str]:
        """Give the workers whose beat has been the same for too long, by this worker's own steady clock.

        What their beats say is by their wall clocks, which may be set at any time.
        """
        now = self._steady()
        self._seen = {
            worker: seen if (seen := self._seen.get(worker)) and seen[0] == beat else (beat, now)
            for worker, beat in beats.items()
        }
        return [
            worker
            for worker, (_, since) in self._seen.items()
            if now - since >= DEAD_S and worker != self.me.id
        ]

    @to_the_end
    async def all(self) -> list[Worker]:
        """Give all workers that live, by their start."""
        async with self._store.reading() as connection:
            asked = select(table.workers).order_by(table.workers.c.started)
            rows = (await connection.execute(asked)).mappings().all()
        now = self._clock()
        return [Worker(**row) for row in rows if now - row["beat"] < DEAD_S]

    @to_the_end
    async def counted(self, tenant: str | None, own: dict[str, Any]) -> dict[str, Any]:
        """Add up what all workers counted for *tenant*, with None for all; of this one, *own*."""
        others = table.counts.c.worker != self.me.id
        if tenant is not None:
            others &= table.counts.c.tenant == tenant
        async with self._store.reading() as connection:
            found = (await connection.execute(select(table.counts.c.told).where(others))).scalars().all()
        return together([own, *map(json.loads, found)])

    async def leave(self, told: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Take this worker out, with what it counted last."""
        await self.beat(told)
        await self.remove(self.me.id)

    @to_the_end
    async def remove(self, worker: str) -> None:
        """Take *worker* out; the money it held is counted before, or nobody would do it any more."""
        async with self._store.writing() as connection:
            await _leave(connection, worker)


def worker_id() -> str:
    """Give an id that no worker ever had."""
    return f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(6)}"


async def _begin(connection: AsyncConnection, worker: str, alive_since: float) -> None:
    """Forget what was counted before, if *worker* is the first of a server that begins."""
    others = (table.workers.c.id != worker) & (table.workers.c.beat >= alive_since)
    if (await connection.execute(select(table.workers.c.id).where(others).limit(1))).first() is None:
        await connection.execute(delete(table.counts))
        await connection.execute(delete(table.streams))


async def _leave(connection: AsyncConnection, worker: str) -> None:
    """Take *worker* out; its counts go to those of all that left."""
    await table.alone(connection, "leaving")
    await connection.execute(delete(table.workers).where(table.workers.c.id == worker))
    await connection.execute(delete(table.streams).where(table.streams.c.worker == worker))
    rows = {}
    for name in (_GONE, worker):
        found = await connection.execute(select(table.counts).where(table.counts.c.worker == name))
        rows[name] = {row.tenant: json.loads(row.told) for row in found}
    for tenant, counted in rows[worker].items():
        before = rows[_GONE].get(tenant)
        await _write(connection, _GONE, tenant, counted if before is None else added([counted, before]))
    await connection.execute(delete(table.counts).where(table.counts.c.worker == worker))


async def _write(connection: AsyncConnection, worker: str, tenant: str, counted: dict[str, Any]) -> None:
    at = {"worker": worker, "tenant": tenant}
    await table.put(connection, table.counts, at, {"told": json.dumps(counted)})
