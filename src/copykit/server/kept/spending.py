"""What keys, tenants and the whole server have spent, read out of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from copykit.server.doors.keys import Budget
from copykit.server.kept import store as table
from copykit.server.kept.periods import overlap, period_of
from copykit.server.kept.store import Store
from copykit.server.kept.whole import to_the_end

__all__ = ["Spending", "spendings"]

_PICO = 10**12
_FEW = 500
"""Accounts that are asked for by name; of more all rows are read, since statements have bounds."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Money of one account in its period; without a budget that is the month."""

    spent_usd: float = 0.0
    """Over all workers, up to half a second ago."""
    held_usd: float = 0.0
    """Taken out by workers for their next calls, and not spent yet: what they do not use they give back."""


@to_the_end
async def spendings(store: Store, budgets: Mapping[str, Budget | None], now: float) -> dict[str, Spending]:
    """Give what each account of *budgets* has spent in the period of its budget that *now* lies in.

    Args:
        budgets: by account: ``key:ID`` or ``tenant:NAME``.
        now: seconds of the epoch.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    money, leases = table.money.c, table.leases.c
    at = {account: period_of(budget, now) for account, budget in budgets.items()}
    spent = select(money.account, money.period, money.spent).where(money.period.in_(set(at.values())))
    lent = select(leases.account, leases.period, func.sum(leases.held)).group_by(
        leases.account, leases.period
    )
    if len(budgets) <= _FEW:
        spent, lent = spent.where(money.account.in_(budgets)), lent.where(leases.account.in_(budgets))
    async with store.reading() as connection:
        spent_of = {(account, of): int(pico) for account, of, pico in await connection.execute(spent)}
        held_of: dict[str, list[tuple[str, int]]] = {}
        for account, of, pico in await connection.execute(lent):
            held_of.setdefault(account, []).append((of, int(pico)))
    found = {}
    for account, period in at.items():
        held = sum(pico for of, pico in held_of.get(account, ()) if overlap(of, period))
        found[account] = Spending(spent_of.get((account, period), 0) / _PICO, held / _PICO)
    return found
