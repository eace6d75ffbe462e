"""Looks at a worker regularly: how late its loop is, what it and its machine have left."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from copykit.accel import system
from copykit.accel.report import Report, report
from copykit.reports.health import MachineInShort
from copykit.server.bounds import is_loopback
from copykit.server.config import data_folder
from copykit.server.holdings import Holdings
from copykit.server.kept.purse import LeasedLedger
from copykit.server.kept.spending import spendings
from copykit.server.kept.store import StoreUnavailable
from copykit.server.watch import machine
from copykit.server.watch.gpu import gpus
from copykit.server.watch.identity import version
from copykit.server.watch.metrics import Metrics

__all__ = ["Pulse"]

_BEAT_S = 0.5
_LAGS = 20
"""Beats whose delays are remembered: ten seconds."""
_QUICK_S, _SLOW_S = 5.0, 15.0
"""How old the figures of this process, and those that a thread has to find out, may be."""


class Pulse:
    """Keeps the figures that nobody's work changes; `beat` runs as long as the worker.

    Args:
        metrics: where they go.
        holdings: store, limits, places and keys; a bind that others reach with authentication off is a figure.
        draining: says whether the worker is about to end.
    """

    def __init__(self, metrics: Metrics, holdings: Holdings, draining: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._holdings = holdings
        self._draining = draining
        self._lags: deque[float] = deque(maxlen=_LAGS)
        self._quick_at = self._slow_at = float("-inf")
        self._watched: list[Callable[[], Awaitable[None]]] = []
        self._found: Report | None = None
        self.folder = data_folder(holdings.settings.data_dir)
        """Where the server keeps its data."""
        figures = metrics.figures
        figures.count("copykit_worker_starts")
        figures.set("copykit_workers", 1)
        figures.set("copykit_build_info", 1, version(), holdings.config)
        figures.set("copykit_start_time_seconds", time.time())

    @property
    def lag_s(self) -> float:
        """Longest time of the last ten seconds that the loop was late; 0.0 while nobody beats."""
        return max(self._lags, default=0.0)

    def times_late(self, least_s: float) -> int:
        """Give how many of the beats of the last ten seconds were later than that."""
        return sum(lag > least_s for lag in self._lags)

    async def beat(self) -> None:
        """Measure and look, until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_BEAT_S)
            self._lags.append(max(0.0, time.perf_counter() - before - _BEAT_S))
            if time.monotonic() - self._quick_at >= _QUICK_S:
                await self.look()

    async def look(self) -> None:
        """Bring all figures up to date; those of disk and GPU, which a thread finds out, if they are older than 15 s."""
        self._quick_at = now = time.monotonic()
        self._holdings.tell_repeats()
        self._metrics.refresh()
        self._quick()
        await self._spent()
        if now - self._slow_at >= _SLOW_S:
            self._slow_at = now
            await asyncio.to_thread(self._slow)
            for watched in self._watched:
                await watched()

    def watch(self, look: Callable[[], Awaitable[None]]) -> None:
        """Have *look* awaited as often as disk and GPU are looked at."""
        self._watched.append(look)

    def optimization(self) -> MachineInShort:
        """Give what was found of this machine's capabilities when it was last looked at."""
        found = self._found
        if found is None:
            return {}
        chosen = {one.name: one.chosen for one in found.capabilities}
        advised = [one.library for one in found.recommendations]
        return {
            "tier": found.tier,
            "score": found.score,
            "libraries": found.working,
            "recommended": advised,
            "capabilities": chosen,
        }

    async def _spent(self) -> None:
        """Tell a budget that all workers share, of which this one's ledger holds a part only."""
        ledger, store = self._metrics.ledger, self._holdings.store
        if store is None or not isinstance(ledger, LeasedLedger):
            return
        try:
            found = await spendings(store, {ledger.account: ledger.budget}, time.time())
        except StoreUnavailable:
            return
        self._metrics.figures.set("copykit_budget_usd", found[ledger.account].spent_usd, "spent")
        if ledger.budget is not None:
            self._metrics.figures.set("copykit_budget_usd", ledger.budget.usd, "cap")

    def _quick(self) -> None:
        figures, gate = self._metrics.figures, self._holdings.gate
        unsafe = self._holdings.keyring.open and not is_loopback(self._holdings.settings.host)
        figures.set("copykit_unsafe_start", float(unsafe))
        figures.set("copykit_places", gate.limit, "limit")
        figures.set("copykit_places", gate.taken, "taken")
        figures.set("copykit_places", gate.waiting, "waiting")
        figures.set("copykit_streams", gate.streams)
        figures.set("copykit_draining", float(self._draining()))
        figures.set("copykit_resident_memory_bytes", system.rss_bytes() or 0)
        figures.count_up_to("copykit_cpu_seconds", system.cpu_seconds())
        figures.set("copykit_event_loop_lag_seconds", self.lag_s)
        if (files := machine.file_descriptors()) is not None:
            figures.set("copykit_open_fds", files[0])
            figures.set("copykit_max_fds", files[1])

    def _slow(self) -> None:
        figures = self._metrics.figures
        if (limit := machine.memory_limit_bytes()) is not None:
            figures.set("copykit_memory_limit_bytes", limit)
        if (space := machine.disk(self.folder)) is not None:
            figures.set("copykit_disk_free_bytes", space[0])
            figures.set("copykit_disk_size_bytes", space[1])
        for gpu in gpus():
            if gpu.utilization is not None:
                figures.set("copykit_gpu_utilization_ratio", gpu.utilization, str(gpu.index))
            figures.set("copykit_gpu_memory_used_bytes", gpu.used_bytes, str(gpu.index))
            figures.set("copykit_gpu_memory_size_bytes", gpu.size_bytes, str(gpu.index))
        found = self._found = report(verify=False)
        figures.set("copykit_optimization_libraries", found.working)
        figures.set("copykit_optimization_score", found.score)
        figures.set("copykit_optimization_recommendations", len(found.recommendations))
