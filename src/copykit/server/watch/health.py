"""How a worker is: whether it lives, whether requests should come to it, and a full report with reasons."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

from copykit import events
from copykit.accel import system
from copykit.engine import Engine
from copykit.providers.registry import check_targets
from copykit.reports import ServerHealth
from copykit.reports.health import (
    DatabaseHealth,
    DiskSpace,
    MemoryUse,
    Places,
    RedisHealth,
    TargetHealth,
    Unready,
    WorkerHealth,
    WorkersHealth,
)
from copykit.server.holdings import Holdings
from copykit.server.kept.store import Store, StoreUnavailable
from copykit.server.kept.whole import to_the_end
from copykit.server.watch import machine
from copykit.server.watch.figures import Figures
from copykit.server.watch.identity import version
from copykit.server.watch.pulse import Pulse

__all__ = ["Health"]

_DATABASE_S, _REDIS_S = 1.0, 0.25
"""After which they count as not answering."""
_FRESH_S = 1.0
"""How old an answer of theirs may be: probes come from everywhere, and must not become a load."""
_MEMORY, _DISK = 0.85, 0.05
"""Share of the memory in use from which on, and of the disk left below which, something is about to go wrong."""
_LAG_S = 0.2
_SOON_S = 10.0
"""A throttle's usual rest is shorter: it is answered with 503 and ``Retry-After``, and what is cached as ever, which is
more than a server that nothing is sent to can do."""
_MOST_TARGETS = 1000


class Health:
    """Finds out how a worker is; a hook that remembers what each target failed with last.

    Args:
        engine: whose targets are told.
        figures: where dependencies are told of.
        holdings: store, limits and places.
        pulse: what it measured.
        draining: whether the worker is about to end.
    """

    def __init__(
        self,
        engine: Engine,
        figures: Figures,
        holdings: Holdings,
        pulse: Pulse,
        draining: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._figures = figures
        self._holdings = holdings
        self._pulse = pulse
        self._draining = draining
        self._started = time.time()
        self._failed: dict[str, tuple[str, float]] = {}
        self._asked: dict[str, tuple[float, float | None]] = {}
        self._asking: dict[str, asyncio.Lock] = {"database": asyncio.Lock(), "redis": asyncio.Lock()}
        engine.add_hook(self)
        pulse.watch(self._look)

    def __call__(self, event: events.Event) -> None:
        """Remember the last failure of each target."""
        if isinstance(event, events.AttemptFinished) and event.outcome not in ("ok", "cancelled"):
            self._failed.pop(event.target, None)
            self._failed[event.target] = (event.outcome, time.time())
            if len(self._failed) > _MOST_TARGETS:
                del self._failed[next(iter(self._failed))]

    async def unready(self) -> tuple[Unready, ...]:
        """Say why no request should come to this worker now; nothing if they should."""
        told: list[Unready] = []
        if self._draining():
            told.append("draining")
        if self._holdings.store is not None and await self._database_s(self._holdings.store) is None:
            told.append("store")
        if all(
            target["unknown"] or target["comes_back_in_s"] > _SOON_S for target in self._targets().values()
        ):
            told.append("providers")
        return tuple(told)

    async def report(self) -> ServerHealth:
        """Give the full report: ``status`` with its ``reasons``, and what they rest on."""
        await self._pulse.look()
        unready = await self.unready()
        stats = self._engine.results.stats()
        told: ServerHealth = {
            "status": "ok",
            "reasons": [],
            "version": version(),
            "config": self._holdings.config,
            "uptime_s": round(time.time() - self._started, 3),
            "draining": self._draining(),
            "authentication": "off" if self._holdings.keyring.open else "on",
            "providers": self._targets(),
            "database": await self._database(),
            "redis": await self._redis(),
            "memory": self._memory(),
            "disk": self._disk(),
            "cache": {**stats, "hit_ratio": _ratio(stats.get("hits", 0), stats.get("misses", 0))}
            if stats
            else None,
            "optimization": self._pulse.optimization(),
            "workers": await self._workers(),
            "requests": self._requests(),
            "event_loop_lag_s": round(self._pulse.lag_s, 3),
            "event_loop_late": self._pulse.times_late(_LAG_S),
            "routing": self._engine.router.look(),
        }
        reasons = [_UNREADY[why] for why in unready] + _worries(told)
        if all(one["unknown"] or one["comes_back_in_s"] > 0 for one in told["providers"].values()):
            reasons.insert(0, _NOBODY)
        unavailable = bool(unready) or _NOBODY in reasons
        told["status"] = "unavailable" if unavailable else "degraded" if reasons else "ok"
        told["reasons"] = list(dict.fromkeys(reasons))
        return told

    async def _look(self) -> None:
        """Keep a figure of what the server was told to use."""
        if self._holdings.store is not None:
            up = await self._database_s(self._holdings.store) is not None
            self._figures.set("copykit_dependency_up", float(up), "store")
        if self._holdings.settings.limits_url:
            up = await self._fresh("redis", _REDIS_S, self._holdings.limits.ping) is not None
            self._figures.set("copykit_dependency_up", float(up), "redis")

    def _targets(self) -> dict[str, TargetHealth]:
        routing = self._engine.router.look()
        told: dict[str, TargetHealth] = {}
        for name in self._engine.settings.routing.targets:
            look: Mapping[str, Any] = routing["targets"].get(name, {})
            rest = routing["resting"].get(name.partition(":")[0])
            breaker = look.get("breaker", "closed")
            unknown = bool(check_targets((name,)))
            waits_s = max(look.get("opens_in_s", 0.0), 0.0 if rest is None else rest["left_s"])
            failed = self._failed.get(name)
            told[name] = {
                "status": "unknown" if unknown else "resting" if rest else _SAID.get(breaker, breaker),
                "unknown": unknown,
                "breaker": breaker,
                "rest": rest,
                "comes_back_in_s": waits_s,
                "last_failure": None
                if failed is None
                else {"code": failed[0], "ago_s": round(time.time() - failed[1], 3)},
                "median_s": look.get("median_s"),
            }
        return told

    async def _database(self) -> DatabaseHealth:
        store = self._holdings.store
        if store is None:
            return {"configured": False}
        took_s = await self._database_s(store)
        return {
            "configured": True,
            "kind": store.kind,
            "reachable": took_s is not None,
            "latency_s": took_s,
            "size_bytes": await _size(store) if took_s is not None else None,
        }

    async def _redis(self) -> RedisHealth:
        limits = self._holdings.limits
        if not self._holdings.settings.limits_url:
            return {"configured": False, "limits_counted_by": limits.counted_by}
        took_s = await self._fresh("redis", _REDIS_S, limits.ping)
        return {
            "configured": True,
            "reachable": took_s is not None,
            "latency_s": took_s,
            "limits_counted_by": limits.counted_by,
        }

    def _memory(self) -> MemoryUse:
        resident, limit = system.rss_bytes(), machine.memory_limit_bytes()
        share = None
        if resident is not None and limit:
            # the others of the same limit take about as much
            share = round(resident * self._holdings.settings.workers / limit, 4)
        return {"resident_bytes": resident, "limit_bytes": limit, "share": share}

    def _disk(self) -> DiskSpace | None:
        space = machine.disk(self._pulse.folder)
        return None if space is None else {"free_bytes": space[0], "size_bytes": space[1]}

    async def _workers(self) -> WorkersHealth:
        told: WorkersHealth = {"configured": self._holdings.settings.workers}
        if self._holdings.crew is None:
            return told
        try:
            crew = await self._holdings.crew.all()
        except StoreUnavailable:
            return told
        now = time.time()
        living: list[WorkerHealth] = [
            {
                "pid": one.pid,
                "host": one.host,
                "uptime_s": round(now - one.started, 3),
                "version": one.version,
                "config": one.config,
            }
            for one in crew
        ]
        return {**told, "living": len(living), "all": living}

    def _requests(self) -> Places:
        gate = self._holdings.gate
        return {
            "in_work": gate.taken,
            "limit": gate.limit,
            "waiting": gate.waiting,
            "streams": gate.streams,
            "refused": gate.refused,
        }

    async def _database_s(self, store: Store) -> float | None:
        return await self._fresh("database", _DATABASE_S, partial(_ask, store))

    async def _fresh(self, name: str, within_s: float, ask: Callable[[], Awaitable[None]]) -> float | None:
        """Give the seconds that *ask* took, at most a second ago; None if it did not answer in time."""
        async with self._asking[name]:  # of many that want to know at once, one asks
            at, took_s = self._asked.get(name, (float("-inf"), None))
            now = time.monotonic()
            if now - at < _FRESH_S:
                return took_s
            try:
                async with asyncio.timeout(within_s):
                    await ask()
                took_s = round(time.monotonic() - now, 6)
            except Exception:  # whatever it fails with, it cannot be used
                took_s = None
            self._asked[name] = (time.monotonic(), took_s)
            return took_s


_NOBODY = "no target may be asked now"
_SAID = {"closed": "ok"}
_UNREADY = {
    "draining": "the worker is about to end",
    "store": "the store does not answer",
    "providers": _NOBODY,
}


def _worries(told: ServerHealth) -> list[str]:
    """Say what is not as it should be and does not keep requests from being answered."""
    found = [
        f"{name}: {look['status']}" for name, look in told["providers"].items() if look["status"] != "ok"
    ]
    if told["redis"]["configured"] and not told["redis"]["reachable"]:
        found.append("Redis does not answer: each worker counts limits alone")
    share = told["memory"]["share"]
    if share is not None and share > _MEMORY:
        found.append(f"memory: {share:.0%} of the limit is in use")
    disk = told["disk"]
    if disk and disk["free_bytes"] < _DISK * disk["size_bytes"]:
        found.append("disk: less than a twentieth is free")
    if told["event_loop_late"] > 1:  # once is a data file that was read for the first time
        found.append(f"the event loop was {told['event_loop_lag_s']:.1f} s late")
    workers = told["workers"]
    here = [one for one in workers.get("all", ()) if one["host"] == socket.gethostname()]
    if len({one["config"] for one in here}) > 1:
        found.append("workers run with different configurations")
    return found


@to_the_end
async def _ask(store: Store) -> None:
    """Ask for nothing, to see that there is an answer."""
    async with store.reading() as connection:
        await connection.execute(text("SELECT 1"))


@to_the_end
async def _size(store: Store) -> int | None:
    """Give the bytes that a store takes; None where it does not tell."""
    if (path := store.path) is not None:
        return await asyncio.to_thread(_file_size, path)
    try:
        async with asyncio.timeout(_DATABASE_S), store.reading() as connection:
            return int(
                (await connection.execute(text("SELECT pg_database_size(current_database())"))).scalar_one()
            )
    except (StoreUnavailable, TimeoutError):
        return None


def _file_size(path: Path) -> int:
    """Give the bytes of a database's file and of its log."""
    parts = (path, path.with_name(path.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def _ratio(hits: int, misses: int) -> float | None:
    return round(hits / (hits + misses), 4) if hits + misses else None
