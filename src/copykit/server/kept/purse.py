"""Money of keys, tenants and the whole server, kept in the store and spent by several workers without a call to it.

A worker takes some room out of an account before it needs it, and spends that through a `Ledger` of its own: what was
spent and what all workers hold is never above the cap. Twice a second it writes down what it spent and gives back what
it does not use. What a worker held that died counts as spent: nobody knows what its last calls cost. What is spent is
written down for its day, its month and all time at once, whatever the budget is for: so it stays spent when that changes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from copykit.errors import BudgetExceeded
from copykit.routing.budget import Ledger, LedgerState
from copykit.server.doors.keys import Budget
from copykit.server.kept import store as table
from copykit.server.kept.periods import counted_in, overlap, period_of
from copykit.server.kept.store import Store, StoreUnavailable
from copykit.server.kept.whole import to_the_end

__all__ = ["LeasedLedger", "Purse"]

_PICO = 10**12
_SHARE = 100
"""Of the cap, what a worker takes at a time, if the call at hand does not need more: small enough that what one
holds is no reason to refuse another."""
_LONGEST_S = 3600.0
"""That a request may go on after its budget was changed."""
_PAUSES_S = (0.3, 0.4, 0.5)
"""Between looks at an account whose money others hold: together longer than two steps, after which they give it back."""
_REST_S = 0.5
"""That the store is left alone after it was silent."""
_DAYS = 40
"""After which a day's sum is forgotten: no budget is for a day that is over, and months and totals stay."""
_log = logging.getLogger("copykit.server")


class LeasedLedger(Ledger):
    """This worker's part of one account; made by `Purse.ledger`."""

    def __init__(
        self, purse: Purse, account: str, budget: Budget | None, scope: str, parent: Ledger | None
    ) -> None:
        super().__init__(None if budget is None else 0.0, scope=scope, parent=parent)
        self.account = account
        self.budget = budget
        self.period = period_of(budget, purse.now())
        self.written = 0
        """Of what was spent here, what the store knows; in trillionths."""
        self.busy = False
        """Whether money moved since the last `Purse.tick`: then room is kept for the next call."""
        self.committed, self.lent = 0, 0
        """What all workers together had spent or held when this one was refused more, and what of it was held, in
        trillionths."""
        self._purse = purse
        self.parent = parent
        self.moving = asyncio.Lock()
        """Held while money moves between this part and the account."""

    def refusal(self, worst_usd: float) -> BudgetExceeded:
        """Give what is raised: of the whole account, not of the part that this worker holds."""
        cap_usd = 0.0 if self.budget is None else self.budget.usd
        committed_usd, held_usd = min(cap_usd, self.committed / _PICO), self.lent / _PICO
        return BudgetExceeded(cap_usd, committed_usd, worst_usd, scope=self._scope, held=held_usd)

    async def fetch(self, worst_usd: float) -> bool:
        """Take room out of the account until *worst_usd* fits; False if it has not so much left.

        What other workers hold and do not use comes back within a second: so long it is waited for.
        """
        if self.budget is None:
            return True
        for pause_s in (*_PAUSES_S, None):
            fits = await self._fetch(round(worst_usd * _PICO))
            if fits or pause_s is None or not self.refusal(worst_usd).retryable:
                return fits
            await asyncio.sleep(pause_s)
        return False

    @to_the_end
    async def _fetch(self, amount: int) -> bool:
        """Take room for *amount*; whoever is cancelled meanwhile leaves it here for others."""
        async with self.moving:
            return await self._purse.fetch(self, amount)

    @to_the_end
    async def all_left_usd(self) -> float | None:
        """Give what the account has left over all workers, what this one holds included; None without a budget."""
        if self.budget is None:
            return None
        async with self.moving:
            return await self._purse.left_usd(self)

    def look(self) -> LedgerState:
        """Give this worker's sums of this moment, under the cap of the whole account: the part held here is no bound."""
        return replace(super().look(), cap_usd=None if self.budget is None else self.budget.usd)

    def unwritten(self) -> int:
        """Give what was spent and not written down yet."""
        with self._lock:
            return self._spent - self.written

    def room(self) -> int:
        """Give what is held for calls that were not made yet."""
        with self._lock:
            return 0 if self._cap is None else max(0, self._room())

    def promised(self) -> int:
        """Give what calls in progress may cost."""
        with self._lock:
            return 0 if self._cap is None else self._reserved

    def take(self, amount: int) -> int:
        """Take at most *amount* of the room back out of the ledger; gives what it was."""
        with self._lock:
            taken = 0 if self._cap is None else min(amount, max(0, self._room()))
            if self._cap is not None:
                self._cap -= taken
            return taken

    def put(self, amount: int) -> None:
        """Add *amount* to the room."""
        with self._lock:
            if self._cap is not None:
                self._cap += amount


class Purse:
    """The accounts of one worker.

    Args:
        store: opened already.
        worker: its id, unique among all that ever held money.
        clock: seconds of the epoch, for periods.
        steady: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        worker: str,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._worker = worker
        self.now = clock
        self._steady = steady
        self._ledgers: dict[str, LeasedLedger] = {}
        self._replaced: list[tuple[LeasedLedger, float]] = []
        """Ledgers whose budget was changed, and since when: requests that began before are charged to them."""
        self._silent_at = float("-inf")

    def ledger(
        self, account: str, budget: Budget | None, *, scope: str, parent: Ledger | None = None
    ) -> LeasedLedger:
        """Give this worker's part of *account*, the same for the same account and budget.

        Args:
            account: names it in the store.
            budget: None counts without a bound.
            scope: what an error calls it.
            parent: the ledger that holds for this one too.
        """
        held = self._ledgers.get(account)
        if held is not None and held.budget == budget and held.parent is parent:
            return held
        if held is not None:  # its budget was changed, or the one above it: requests in work still use it
            self._replaced.append((held, self._steady()))
        made = self._ledgers[account] = LeasedLedger(self, account, budget, scope, parent)
        return made

    async def fetch(self, ledger: LeasedLedger, amount: int) -> bool:
        """Take room for *amount* out of the account of *ledger*; say whether it fits then.

        Raises:
            StoreUnavailable: the store did not answer, now or half a second ago.
        """
        if self._steady() - self._silent_at < _REST_S:  # one waited for it; those behind it are told at once
            raise StoreUnavailable("the store does not answer: nobody knows what is left")
        try:
            return await self._fetch(ledger, amount)
        except StoreUnavailable:
            self._silent_at = self._steady()
            raise

    async def _fetch(self, ledger: LeasedLedger, amount: int) -> bool:
        await self._turn(ledger)
        need = amount - ledger.room()
        if need <= 0:
            return True
        assert ledger.budget is not None  # noqa: S101  # `LeasedLedger.fetch` asks for no other
        cap = round(ledger.budget.usd * _PICO)
        async with self._store.writing() as connection:
            spent, lent = await self._committed(connection, ledger)
            ledger.committed = spent + lent
            # of its own only what calls in progress may cost: the rest is spent, or free for the call at hand
            ledger.lent = max(0, lent - ledger.unwritten() - ledger.room())
            free = cap - ledger.committed
            if free < need:
                return False
            granted = min(free, max(need, cap // _SHARE))
            await self._hold(connection, ledger, granted)
        ledger.put(granted)
        ledger.busy = True
        return True

    @to_the_end
    async def tick(self) -> None:
        """Write down what was spent since the last time, and give back what was not used meanwhile.

        Raises:
            StoreUnavailable: the store did not answer; nothing is lost, the next tick does it.
        """
        for ledger in self._all():
            async with ledger.moving:
                await self._turn(ledger)
                await self._settle(ledger)
        longest = self._steady() - _LONGEST_S
        self._replaced = [(ledger, since) for ledger, since in self._replaced if since > longest]

    @to_the_end
    async def aclose(self) -> None:
        """Write everything down and give all room back."""
        for ledger in self._all():
            async with ledger.moving:
                ledger.busy = False
                await self._settle(ledger, all_of_it=True)
        await self.bury(self._worker)  # calls that were cut off: nobody will tell what they cost

    async def left_usd(self, ledger: LeasedLedger) -> float:
        """Give what the account of *ledger* has left, what this worker holds of it included."""
        await self._turn(ledger)
        assert ledger.budget is not None  # noqa: S101  # `LeasedLedger.all_left_usd` asks for no other
        async with self._store.reading() as connection:
            committed = sum(await self._committed(connection, ledger))
        cap = round(ledger.budget.usd * _PICO)
        return (cap - committed + ledger.room()) / _PICO

    def _all(self) -> list[LeasedLedger]:
        return [*self._ledgers.values(), *(ledger for ledger, _ in self._replaced)]

    @to_the_end
    async def bury(self, worker: str) -> None:
        """Count as spent what *worker* held, which is dead."""
        held = table.leases.c.worker == worker
        of_worker = select(table.leases).where(held).order_by(table.leases.c.account)
        async with self._store.writing() as connection:
            for row in (await connection.execute(of_worker.with_for_update())).mappings().all():
                await self._add_spent(connection, row["account"], row["period"], row["held"])
            await connection.execute(delete(table.leases).where(held))

    @to_the_end
    async def purge(self) -> None:
        """Forget the sums of days that are long over."""
        oldest = period_of(Budget(0.0, "day"), self.now() - _DAYS * 86_400)
        period = table.money.c.period
        async with self._store.writing() as connection:
            await connection.execute(delete(table.money).where(period.like("____-__-__") & (period < oldest)))

    async def _turn(self, ledger: LeasedLedger) -> None:
        """Go on to the period of this moment, if another has begun."""
        period = period_of(ledger.budget, self.now())
        if period != ledger.period:
            ledger.busy = False
            await self._settle(ledger, all_of_it=True)
            promised = ledger.promised()
            if promised:  # calls that go on: what they may cost belongs to the new period
                async with self._store.writing() as connection:
                    await self._hold(connection, ledger, -promised)
                    await self._hold(connection, ledger, promised, period)
            ledger.period = (
                period  # not before it is true: what is spent from now on is taken out of that lease
            )

    async def _settle(self, ledger: LeasedLedger, *, all_of_it: bool = False) -> None:
        """Write down and give back, *all_of_it* also where calls were made just now."""
        spent = ledger.unwritten()
        back = 0 if ledger.busy or (spent and not all_of_it) else ledger.take(ledger.room())
        ledger.busy = False
        if not spent and not back:
            return
        try:
            async with self._store.writing() as connection:
                if ledger.budget is None or await self._hold(connection, ledger, -(spent + back)):
                    await self._add_spent(connection, ledger.account, ledger.period, spent)
                # else the lease is gone: this worker was taken for dead, and all it held is counted already
        except StoreUnavailable:
            ledger.put(back)
            raise
        ledger.written += spent

    async def _committed(self, connection: AsyncConnection, ledger: LeasedLedger) -> tuple[int, int]:
        """Give what was spent and what all workers hold."""
        await table.alone(connection, ledger.account)
        of_account = (table.money.c.account == ledger.account) & (table.money.c.period == ledger.period)
        spent = (await connection.execute(select(table.money.c.spent).where(of_account))).scalar() or 0
        leases = table.leases.c
        lent = await connection.execute(
            select(leases.period, leases.held).where(leases.account == ledger.account)
        )
        # also what is held under another period than this one, by calls that began before the budget was changed
        return int(spent), sum(int(held) for period, held in lent if overlap(period, ledger.period))

    async def _hold(
        self, connection: AsyncConnection, ledger: LeasedLedger, more: int, period: str | None = None
    ) -> bool:
        """Change what this worker holds, in *period* or the ledger's own; False if it holds nothing that could shrink."""
        period = period or ledger.period
        own = {"worker": self._worker, "account": ledger.account, "period": period}
        leases = table.leases.c
        changed: Any = await connection.execute(
            update(table.leases)
            .where(
                (leases.worker == self._worker)
                & (leases.account == ledger.account)
                & (leases.period == period)
            )
            .values(held=leases.held + more)
        )
        if changed.rowcount:
            return True
        if more > 0:
            await connection.execute(insert(table.leases).values(**own, held=more))
        return more > 0

    async def _add_spent(self, connection: AsyncConnection, account: str, period: str, amount: int) -> None:
        """Count *amount* in all periods that it lies in."""
        if not amount:
            return
        more = table.money.c.spent + amount
        for one in counted_in(period, self.now()):
            at = {"account": account, "period": one}
            await table.put(connection, table.money, at, {"spent": more}, first={"spent": amount})
