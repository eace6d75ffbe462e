"""What one worker holds while it serves, and how it keeps step with the others."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any

from copykit.errors import ConfigurationError
from copykit.routing.account import Account
from copykit.routing.budget import Ledger
from copykit.server.config import ServerSettings
from copykit.server.doors import pepper
from copykit.server.doors.auth import Visitor
from copykit.server.doors.gate import Gate
from copykit.server.doors.keyring import OPERATOR, Keyring
from copykit.server.doors.keys import MOST_USD, Budget
from copykit.server.doors.limits import Limits
from copykit.server.forecast import Forecast
from copykit.server.kept.crew import Crew, TenantStats, worker_id
from copykit.server.kept.outage import Outage
from copykit.server.kept.purse import Purse
from copykit.server.kept.remembered import Memory, Remembers, Shared
from copykit.server.kept.repeats import Repeats
from copykit.server.kept.spending import Spending, spendings
from copykit.server.kept.store import Store, StoreUnavailable, raise_counter
from copykit.server.kept.streams import OpenStreams
from copykit.server.kept.whole import to_the_end
from copykit.server.watch.identity import config_digest
from copykit.service import CopywritingServiceV11
from copykit.stats import Stats, together

__all__ = ["Holdings"]

STEP_S = 0.5
"""Between two notes of money spent: how late one worker's spending is seen by the others."""
_BEATS = 4
"""Steps between two signs of life."""
_FEW = 20
"""Tenants whose counts are written down at every step, while others may ask for them; those of more wait for the beat."""
_PURGES = 1200
"""Steps between two purges of old answers: ten minutes."""
_log = logging.getLogger("copykit.server")


class Holdings:
    """Keys, limits, places, money, remembered answers and counts of one worker.

    With a store they are shared by all workers, and outlive them; without one they are this process's own, and the
    operator's key is the only one.

    Args:
        settings: of the server.
        service: whose engine serves all tenants.
    """

    def __init__(self, settings: ServerSettings, service: CopywritingServiceV11) -> None:
        self.settings = settings
        self.worker = worker_id()
        self.config = config_digest(service.engine.settings, settings)
        self.store = None if settings.store_url is None else Store(settings.store_url)
        self.keyring = Keyring(self.store, settings.key, settings.pepper, may_open=settings.open)
        self.limits = Limits(settings)
        self.gate = Gate(
            settings.in_flight,
            settings.queue_s,
            settings.streams,
            elsewhere=self._streams_elsewhere,
        )
        self.tenants = TenantStats()
        self.everybody = Stats()
        self.remembered: Remembers = Memory()
        self.repeats = Repeats(service.engine.settings.cache.ttl_s)
        self.forecast = Forecast(service.engine)
        self.crew: Crew | None = None
        self.purse: Purse | None = None
        self.streams: OpenStreams | None = None
        self._service = service
        self._epochs: dict[str, int] = {}
        self._proven = False
        """Whether the store knows that this pepper is the one of its keys."""
        self._opening: asyncio.Task[None] | None = None
        self._outage = Outage()
        service.engine.add_hook(self.tenants)
        service.engine.add_hook(self.everybody)
        service.engine.results.watch(self.repeats.stored)
        if self.store is not None:
            self.remembered = Shared(self.store, self.worker)
            self.crew = Crew(self.store, self.worker, self.config)
            self.purse = Purse(self.store, self.worker)
            self.streams = OpenStreams(
                self.store, self.worker, self.gate.streams_of, self.gate.streams_changed
            )
        self._share_budget()

    async def open(self) -> None:
        """Open the store and read its keys; done once, also where an application is used without its lifespan.

        Raises:
            ConfigurationError: the store is of a later version, or its keys were made under another pepper.
            StoreUnavailable: it does not answer.
        """
        if self.store is None:
            return
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.ensure_future(self._open(self.store))
        await asyncio.shield(self._opening)

    async def serve(self) -> None:
        """Keep step with the other workers until cancelled."""
        step = 0
        while True:
            stepping = asyncio.ensure_future(self._try_step(step))
            try:
                await asyncio.shield(stepping)
            except asyncio.CancelledError:
                await asyncio.wait(
                    [stepping]
                )  # or a sign of life could be written after this worker has left
                raise
            step += 1
            await asyncio.sleep(STEP_S)

    async def aclose(self) -> None:
        """Write down what was spent, leave the crew, and close what is open."""
        self.tell_repeats()
        self._service.engine.remove_hook(self.tenants)
        self._service.engine.remove_hook(self.everybody)
        self._service.engine.results.unwatch(self.repeats.stored)
        await self.forecast.aclose()
        if self.store is None:
            await self.limits.aclose()
            return
        opened = self._opening is not None and self._opening.done() and self._opening.exception() is None
        try:
            if opened and self.purse is not None:
                await self.purse.aclose()
            if opened:
                await self.remembered.catch_up()
            if opened and self.crew is not None:
                await self.crew.leave((t, self.tenants.of(t).counted()) for t in self.tenants.changed)
        except StoreUnavailable as error:
            _log.warning("%s; what was spent last counts as what was held", error.message)
        finally:
            await self.limits.aclose()
            await self.store.aclose()

    def account(self, visitor: Visitor) -> Account:
        """Give on whose behalf the engine is to work for *visitor*."""
        tenant, key = visitor.tenant, visitor.key
        ledger: Ledger | None = None
        if self.purse is not None and key.id and key.id != OPERATOR:
            above: Ledger = self._service.engine.router.ledger
            if tenant:
                bounds = self.keyring.tenants.get(tenant)
                budget = None if bounds is None else bounds.budget
                above = self.purse.ledger(f"tenant:{tenant}", budget, scope="tenant's budget", parent=above)
            ledger = self.purse.ledger(f"key:{key.id}", key.budget, scope="key's budget", parent=above)
        return Account(tenant, self._epoch(tenant), ledger)

    def space(self, tenant: str) -> str:
        """Give what keeps the cached answers of *tenant* apart from all others'."""
        return f"{tenant}:{self._epoch(tenant)}"

    def _epoch(self, tenant: str) -> int:
        return self.keyring.epoch(tenant) + self._epochs.get(tenant, 0)

    @to_the_end
    async def clear(self, tenant: str) -> None:
        """Let nothing that was cached for *tenant* be found any more, by any worker."""
        if self.store is None:
            self._epochs[tenant] = self._epochs.get(tenant, 0) + 1
        else:
            async with self.store.writing() as connection:
                await raise_counter(connection, f"cache:{tenant}")
            await self.keyring.look_now()
        if not tenant:  # the operator's: gives the memory back at once, also where it held others' results
            self.repeats.clear()
            await self._service.clear_cache()

    async def counted(self, tenant: str | None) -> dict[str, Any]:
        """Give what all workers counted for *tenant*; with None for all of them together."""
        self.tell_repeats()
        own = (self.everybody if tenant is None else self.tenants.of(tenant)).counted()
        if self.crew is None:
            return together([own])
        return await self.crew.counted(tenant, own)

    def tell_repeats(self) -> None:
        """Let whoever counts know of answers that were given again without the engine."""
        self.repeats.tell(self._service.engine.emit)

    async def money(self, visitor: Visitor) -> dict[str, Any]:
        """Give what the visitor's key and tenant have spent in their periods."""
        if self.store is None or self.purse is None or not visitor.key.id or visitor.key.id == OPERATOR:
            return {}
        budgets = {"key": visitor.key.budget}
        if visitor.tenant:
            bounds = self.keyring.tenants.get(visitor.tenant)
            budgets["tenant"] = None if bounds is None else bounds.budget
        names = {"key": f"key:{visitor.key.id}", "tenant": f"tenant:{visitor.tenant}"}
        asked = {names[whose]: budget for whose, budget in budgets.items()}
        found = await spendings(self.store, asked, self.purse.now())
        return {whose: _told(found[names[whose]], budget) for whose, budget in budgets.items()}

    @to_the_end
    async def _open(self, store: Store) -> None:
        await store.open()
        async with store.writing() as connection:
            await pepper.begin(connection, self.settings.pepper, time.time())
        await self.keyring.look_now()
        if self.crew is not None:
            await self.crew.beat(())

    async def _try_step(self, step: int) -> None:
        try:
            await self._step(step)
            self._outage.is_over()
        except StoreUnavailable as error:
            self._outage.goes_on(self.keyring.trouble or error.message)
        except Exception:  # a defect must not end what keeps money and workers in step
            _log.exception("a step failed; tried again in %g s", STEP_S)

    async def _step(self, step: int) -> None:
        self.tell_repeats()
        await self.keyring.look()
        if self.keyring.trouble:  # also while what was known still counts
            raise StoreUnavailable(self.keyring.trouble)
        if self.store is not None and self.keyring.has_opened and not self._proven:
            await pepper.prove(self.store, self.settings.pepper)
            self._proven = True
        if self.purse is None or self.crew is None or self.streams is None:
            return
        await self.purse.tick()
        await self.remembered.catch_up()
        if self.gate.streams_changed and self.crew.has_others:
            await self.streams.tell()
        soon = self.crew.has_others and 0 < len(self.tenants.changed) <= _FEW
        if soon or step % _BEATS == 0:
            changed, self.tenants.changed = self.tenants.changed, set()
            try:
                found_dead = await self.crew.beat((t, self.tenants.of(t).counted()) for t in changed)
            except StoreUnavailable:
                self.tenants.changed |= changed
                raise
            for dead in found_dead:
                await self.purse.bury(dead)
                await self.crew.remove(dead)
        if step % _PURGES == 0:
            await self.remembered.purge()
            await self.purse.purge()

    async def _streams_elsewhere(self, key: str) -> int:
        if self.streams is None or self.crew is None or not self.crew.has_others:
            return 0
        try:
            return await self.streams.elsewhere(key)
        except StoreUnavailable:  # nobody knows: then each worker allows its share
            return self.settings.streams - max(1, self.settings.streams // self.settings.workers)

    def _share_budget(self) -> None:
        """Let the budget of the settings hold for all workers that were started together, or all over the store."""
        budget_usd, per = self._service.engine.settings.routing.budget_usd, self.settings.budget_per
        if budget_usd is None:
            return
        if self.purse is None:
            if per != "start":  # nothing here outlives the process: each start would spend it again
                raise ConfigurationError(
                    f"server.budget_per={per!r}: without a store each start has its own budget; set COPYKIT_STORE_URL, or "
                    "leave it at 'start'"
                )
            return
        if budget_usd > MOST_USD:
            raise ConfigurationError(
                f"routing.budget_usd={budget_usd!r}: with a store at most {MOST_USD:.0f}"
            )
        if per == "start":
            per = f"run {os.environ.get('COPYKIT_RUN_ID') or self.worker}"
        self._service.engine.router.ledger = self.purse.ledger(
            "server", Budget(budget_usd, per), scope="budget"
        )


def _told(spending: Spending, budget: Budget | None) -> dict[str, Any]:
    cap_usd, per = (None, "month") if budget is None else (budget.usd, budget.per)
    return {"spent_usd": spending.spent_usd, "cap_usd": cap_usd, "per": per}
