"""Money kept in the store and spent by several workers: never above the cap, whoever spends, and nothing lost."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

pytest.importorskip("aiosqlite", reason="needs the extra server")

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from copykit.errors import BudgetExceeded
from copykit.server.config import file_url
from copykit.server.doors.keys import Budget
from copykit.server.kept import store as table
from copykit.server.kept.crew import Crew
from copykit.server.kept.purse import LeasedLedger, Purse
from copykit.server.kept.spending import spendings
from copykit.server.kept.store import Store, StoreUnavailable
from copykit.testing import FakeClock
from server_crew import told

NOW = 1_795_000_000.0
"""In the middle of a month: 2026-11-18."""
PERIODS = ("day", "month", "total")
DAY_S = 86_400.0


class Bank:
    """One store, several workers' purses, and one clock."""

    def __init__(self, store: Store, workers: int) -> None:
        self.store = store
        self.clock = FakeClock(NOW)
        self.purses = [Purse(store, f"w{n}", clock=self.clock) for n in range(workers)]

    def ledgers(self, budget: Budget | None) -> list[LeasedLedger]:
        """Give each worker's part of one account."""
        return [purse.ledger("key:1", budget, scope="key's budget") for purse in self.purses]

    async def tick(self) -> None:
        """Let every worker write down what it spent, twice: the second gives back what the first kept ready."""
        for _ in range(2):
            for purse in self.purses:
                await purse.tick()

    async def spent_usd(self, account: str, budget: Budget | None) -> float:
        """Give what *account* has spent in its period."""
        return (await spendings(self.store, {account: budget}, self.clock()))[account].spent_usd

    async def held_usd(self) -> float:
        """Give what all workers hold."""
        async with self.store.reading() as connection:
            held = (await connection.execute(select(func.sum(table.leases.c.held)))).scalar()
        return float(held or 0) / 1e12


def over_bank(
    folder: Path, workers: int, story: Callable[[Bank], Awaitable[None]], kind: type[Store] = Store
) -> None:
    """Run *story* over a new bank."""

    async def run() -> None:
        store = kind(file_url(folder))
        await store.open()
        try:
            await story(Bank(store, workers))
        finally:
            await store.aclose()

    told(run)


async def spend(ledger: LeasedLedger, worst_usd: float, cost_usd: float | None) -> bool:
    """Make one call as the router does; say whether it was let through."""
    try:
        money = ledger.reserve(worst_usd)
    except BudgetExceeded:
        if not await ledger.more(worst_usd):
            return False
        try:
            money = ledger.reserve(worst_usd)
        except BudgetExceeded:
            return False
    await asyncio.sleep(0)
    with money:
        money.settle(cost_usd)
    return True


@pytest.mark.parametrize("seed", range(5))
def test_whoever_spends_the_sum_never_exceeds_the_cap_and_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    """Three workers, calls of random cost at once: what the store says is what was spent, at most the cap."""

    async def story(bank: Bank) -> None:
        chance = random.Random(seed)
        ledgers = bank.ledgers(Budget(1.0))
        spent = [0.0]

        async def caller(ledger: LeasedLedger) -> None:
            for _ in range(8):
                worst = chance.uniform(0.001, 0.09)
                cost = worst * chance.random()
                if await spend(ledger, worst, cost):
                    spent[0] += cost
                if chance.random() < 0.2:
                    await bank.purses[0].tick()

        await asyncio.gather(*(caller(ledger) for ledger in ledgers for _ in range(4)))
        await bank.tick()
        known_usd = await bank.spent_usd("key:1", Budget(1.0))
        assert known_usd == pytest.approx(spent[0], abs=1e-9)
        assert known_usd <= 1.0
        assert await bank.held_usd() == 0

    over_bank(tmp_path, 3, story)


def test_what_one_worker_does_not_use_the_others_have_soon(tmp_path: Path) -> None:
    """Room that was taken and not used is given back by the second tick, and spent elsewhere to the cap."""

    async def story(bank: Bank) -> None:
        one, two = bank.ledgers(Budget(1.0, "total"))
        assert await spend(one, 0.5, 0.1)
        assert not await spend(two, 0.6, 0.6)
        await bank.tick()
        assert await spend(two, 0.6, 0.6)
        await bank.tick()
        assert not await spend(one, 0.31, 0.31)
        assert await spend(one, 0.3, 0.3)

    over_bank(tmp_path, 2, story)


def test_what_a_dead_worker_held_counts_as_spent(tmp_path: Path) -> None:
    """Nobody knows what its last calls cost; if it comes back to life its spending is not counted twice."""

    async def story(bank: Bank) -> None:
        one, two = bank.ledgers(Budget(1.0, "total"))
        assert await one.more(0.5)
        with one.reserve(0.5) as money:
            await bank.purses[1].bury("w0")
            assert await bank.spent_usd("key:1", two.budget) == 0.5
            money.settle(0.2)
        await bank.tick()
        assert await bank.spent_usd("key:1", two.budget) == 0.5
        assert await spend(two, 0.5, 0.5)
        assert not await spend(one, 0.01, 0.01)

    over_bank(tmp_path, 2, story)


def test_a_new_period_begins_with_the_whole_budget_and_calls_go_over(tmp_path: Path) -> None:
    """A day's budget is whole again the next day; a call begun before midnight is charged to the day of its end."""

    async def story(bank: Bank) -> None:
        (ledger,) = bank.ledgers(Budget(1.0, "day"))
        assert await spend(ledger, 0.8, 0.8)
        assert await ledger.more(0.2)
        money = ledger.reserve(0.2)
        assert not await spend(ledger, 0.5, 0.5)
        bank.clock.now += DAY_S
        assert await spend(ledger, 0.5, 0.5)
        money.settle(0.15)
        await bank.tick()
        assert await bank.spent_usd("key:1", ledger.budget) == pytest.approx(0.65)
        bank.clock.now -= DAY_S
        assert await bank.spent_usd("key:1", ledger.budget) == pytest.approx(0.8)
        bank.clock.now += DAY_S
        assert await bank.held_usd() == 0

    over_bank(tmp_path, 1, story)


def test_a_budget_that_is_changed_holds_from_then_on(tmp_path: Path) -> None:
    """What was spent stays; a higher cap lets more through, a lower one nothing."""

    async def story(bank: Bank) -> None:
        purse = bank.purses[0]
        assert await spend(purse.ledger("k", Budget(0.5, "total"), scope="s"), 0.5, 0.5)
        assert not await spend(purse.ledger("k", Budget(0.5, "total"), scope="s"), 0.1, 0.1)
        await bank.tick()
        assert await spend(purse.ledger("k", Budget(1.0, "total"), scope="s"), 0.1, 0.1)
        await bank.tick()
        assert not await spend(purse.ledger("k", Budget(0.2, "total"), scope="s"), 0.1, 0.1)
        assert await bank.spent_usd("k", Budget(0.2, "total")) == pytest.approx(0.6)

    over_bank(tmp_path, 1, story)


def test_an_account_without_a_budget_is_counted(tmp_path: Path) -> None:
    """So that it can be told what it spent."""

    async def story(bank: Bank) -> None:
        one, two = bank.ledgers(None)
        assert await spend(one, 5.0, 4.0)
        assert await spend(two, 5.0, None)
        await bank.tick()
        assert await bank.spent_usd("key:1", None) == 9.0

    over_bank(tmp_path, 2, story)


@pytest.mark.parametrize("seed", range(4))
def test_whoever_leaves_amid_a_fetch_costs_nothing_and_locks_nothing(tmp_path: Path, seed: int) -> None:
    """A deadline may cut it off anywhere: what was taken out is there for the next call, and the file is free."""

    async def story(bank: Bank) -> None:
        (ledger,) = bank.ledgers(Budget(1.0, "total"))
        other = sqlite3.connect(str(bank.store.path), timeout=0, isolation_level=None)
        chance = random.Random(seed)
        with closing(other):
            for _ in range(15):
                fetching = asyncio.ensure_future(ledger.more(0.001))
                await asyncio.sleep(chance.random() * 0.006)
                fetching.cancel()
                await asyncio.wait([fetching])
                await bank.tick()
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
            await bank.purses[0].aclose()
            assert await bank.spent_usd("key:1", ledger.budget) == 0
            assert await bank.held_usd() == 0

    over_bank(tmp_path, 1, story)


def test_a_period_that_turns_while_the_store_fails_loses_no_call(tmp_path: Path) -> None:
    """What is in progress then is moved to the new period at the next try, and its cost is counted there."""

    class Failing(Store):
        """Fails at the end of one writing, when it is told to."""

        fails = False

        @asynccontextmanager
        async def writing(self) -> AsyncIterator[AsyncConnection]:
            async with super().writing() as connection:
                yield connection
                if self.fails:
                    self.fails = False
                    raise StoreUnavailable("at the commit")

    async def story(bank: Bank) -> None:
        (ledger,) = bank.ledgers(Budget(1.0, "day"))
        assert await ledger.more(0.6)
        with ledger.reserve(0.6) as call:
            bank.clock.now += DAY_S
            bank.store.fails = True  # type: ignore[attr-defined]  # of the class above
            with pytest.raises(StoreUnavailable):
                await bank.purses[0].tick()
            await bank.purses[0].tick()
            call.settle(0.6)
        await bank.tick()
        assert await bank.spent_usd("key:1", ledger.budget) == pytest.approx(0.6)

    over_bank(tmp_path, 1, story, Failing)


def test_a_refusal_tells_of_the_account_and_not_of_a_workers_part(tmp_path: Path) -> None:
    """Cap and what is spent are those of all workers."""

    async def story(bank: Bank) -> None:
        one, two = bank.ledgers(Budget(1.0, "total"))
        assert await spend(one, 0.8, 0.8)
        await bank.tick()
        assert not await spend(two, 0.5, 0.5)
        with pytest.raises(BudgetExceeded) as caught:
            two.reserve(0.5)
        assert (caught.value.cap, caught.value.spent) == (1.0, pytest.approx(0.8))
        assert caught.value.scope == "key's budget"

    over_bank(tmp_path, 2, story)


def test_a_budget_changed_above_holds_for_the_keys_below(tmp_path: Path) -> None:
    """A tenant's new cap bounds keys that spent before, and what goes on on the old one is written down all the same."""

    async def story(bank: Bank) -> None:
        purse = bank.purses[0]

        def key(tenant_usd: float) -> LeasedLedger:
            tenant = purse.ledger("tenant:a", Budget(tenant_usd, "total"), scope="tenant's budget")
            return purse.ledger("key:1", Budget(100.0, "total"), scope="key's budget", parent=tenant)

        before = key(1000.0)
        assert await spend(before, 5.0, 5.0)
        assert not await spend(key(2.0), 1.0, 1.0)
        assert await spend(before, 1.0, 1.0)
        await bank.tick()
        await bank.tick()
        assert await spend(before, 1.0, 1.0)
        await bank.tick()
        assert await bank.spent_usd("tenant:a", Budget(2.0, "total")) == pytest.approx(7.0)
        assert await spend(key(50.0), 10.0, 10.0)

    over_bank(tmp_path, 1, story)


def test_many_at_once_under_two_budgets_are_all_let_through_if_they_fit(tmp_path: Path) -> None:
    """Nobody is refused because another used the room that was fetched for him."""

    async def story(bank: Bank) -> None:
        engine_side = bank.purses[0]
        tenant = engine_side.ledger("tenant:a", Budget(30.0), scope="tenant's budget")
        key = engine_side.ledger("key:1", Budget(100.0), scope="key's budget", parent=tenant)

        async def call() -> bool:
            for _ in range(50):
                try:
                    money = key.reserve(0.82)
                except BudgetExceeded:
                    if not await key.more(0.82):
                        return False
                    continue
                await asyncio.sleep(0.01)
                money.settle(0.3)
                return True
            return False

        assert all(await asyncio.gather(*(call() for _ in range(30))))

    over_bank(tmp_path, 1, story)


def test_an_account_without_a_budget_turns_its_month_too(tmp_path: Path) -> None:
    """What is spent in December is December's."""

    async def story(bank: Bank) -> None:
        (ledger,) = bank.ledgers(None)
        assert await spend(ledger, 5.0, 4.0)
        await bank.tick()
        bank.clock.now += 31 * DAY_S
        await bank.tick()
        assert await spend(ledger, 5.0, 1.0)
        await bank.tick()
        assert await bank.spent_usd("key:1", None) == 1.0

    over_bank(tmp_path, 1, story)


def test_a_clock_that_is_set_does_not_kill_workers(tmp_path: Path) -> None:
    """A worker is dead when it gives no sign for half a minute, whatever its wall clock says."""

    async def story(bank: Bank) -> None:
        steady = FakeClock(0.0)
        one = Crew(bank.store, "w0", "", clock=bank.clock, steady=steady)
        two = Crew(bank.store, "w1", "", clock=bank.clock, steady=steady)
        await one.beat(())
        await two.beat(())
        bank.clock.now += 1000
        steady.now += 2
        assert await two.beat(()) == []
        steady.now += 29
        assert await two.beat(()) == ["w0"]

    over_bank(tmp_path, 2, story)


def test_a_worker_that_ends_holds_nothing_any_more(tmp_path: Path) -> None:
    """What it did not spend is free for the others, and what it had promised when it was cut off is spent."""

    async def story(bank: Bank) -> None:
        one, two = bank.ledgers(Budget(1.0, "total"))
        assert await spend(one, 0.3, 0.1)
        assert await one.more(0.2)
        one.reserve(0.2)
        await bank.purses[0].aclose()
        async with bank.store.reading() as connection:
            assert (await connection.execute(select(table.leases))).all() == []
        assert await bank.spent_usd("key:1", two.budget) == pytest.approx(0.3)
        assert await spend(two, 0.7, 0.7)

    over_bank(tmp_path, 2, story)


async def spent_in_all(bank: Bank, account: str = "key:1") -> list[float]:
    """Give what *account* has spent in the day, the month and all time of this moment."""
    return [await bank.spent_usd(account, Budget(1.0, per)) for per in PERIODS]


@pytest.mark.parametrize("before", PERIODS)
@pytest.mark.parametrize("after", PERIODS)
def test_what_was_spent_stays_spent_when_the_budget_is_for_another_period(
    tmp_path: Path, before: str, after: str
) -> None:
    """Spending counts in all periods that it lies in, so the new budget finds it, and none is told as the month's."""

    async def story(bank: Bank) -> None:
        purse = bank.purses[0]
        assert await spend(purse.ledger("key:1", Budget(5.0, before), scope="key's budget"), 0.4, 0.3)
        await bank.tick()
        assert await spent_in_all(bank) == [0.3, 0.3, 0.3]
        assert await bank.spent_usd("key:1", None) == 0.3
        changed = purse.ledger("key:1", Budget(0.5, after), scope="key's budget")
        assert not await spend(changed, 0.3, 0.3)
        assert await spend(changed, 0.2, 0.2)
        await bank.tick()
        assert await spent_in_all(bank) == [0.5, 0.5, 0.5]

    over_bank(tmp_path, 1, story)


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_do_not_know_yet_for_which_period_a_budget_is_share_its_cap(
    tmp_path: Path, seed: int
) -> None:
    """While some still spend by the day and others by the month already, the sum never exceeds the cap of both."""

    async def story(bank: Bank) -> None:
        chance = random.Random(seed)
        spent = [0.0]

        async def caller(purse: Purse) -> None:
            for _ in range(8):
                budget = Budget(1.0, chance.choice(PERIODS))
                worst = chance.uniform(0.001, 0.09)
                cost = worst * chance.random()
                if await spend(purse.ledger("key:1", budget, scope="key's budget"), worst, cost):
                    spent[0] += cost
                if chance.random() < 0.2:
                    await purse.tick()

        await asyncio.gather(*(caller(purse) for purse in bank.purses for _ in range(3)))
        await bank.tick()
        known_usd = await spent_in_all(bank)
        assert known_usd == pytest.approx([spent[0]] * 3, abs=1e-9)
        assert max(known_usd) <= 1.0
        assert await bank.held_usd() == 0

    over_bank(tmp_path, 3, story)


def test_what_calls_in_progress_may_cost_counts_under_a_budget_of_another_period(tmp_path: Path) -> None:
    """A call begun under a day's budget is part of the month, before it is spent and when its worker dies with it."""

    async def story(bank: Bank) -> None:
        one, two = bank.purses
        before = one.ledger("key:1", Budget(1.0, "day"), scope="key's budget")
        assert await before.more(0.5)
        before.reserve(0.5)
        held = await spendings(bank.store, {"key:1": Budget(1.0, "month")}, bank.clock())
        assert held["key:1"].held_usd == 0.5
        after = two.ledger("key:1", Budget(0.6, "month"), scope="key's budget")
        assert not await spend(after, 0.2, 0.2)
        await two.bury("w0")
        assert await spent_in_all(bank) == [0.5, 0.5, 0.5]
        assert not await spend(after, 0.2, 0.2)
        assert await spend(after, 0.1, 0.1)

    over_bank(tmp_path, 2, story)


def test_a_day_that_ended_counts_in_its_month_and_a_month_in_all_time(tmp_path: Path) -> None:
    """What is written down after midnight, or by who buries a worker of last month, lies where it was spent."""

    async def story(bank: Bank) -> None:
        one, two = bank.purses
        ledger = one.ledger("key:1", Budget(1.0, "day"), scope="key's budget")
        assert await spend(ledger, 0.25, 0.25)
        bank.clock.now += DAY_S
        await bank.tick()
        assert await spent_in_all(bank) == [0.0, 0.25, 0.25]
        monthly = one.ledger("key:2", Budget(1.0, "month"), scope="key's budget")
        assert await monthly.more(0.5)
        monthly.reserve(0.5)
        bank.clock.now += 31 * DAY_S
        await two.bury("w0")
        assert await spent_in_all(bank, "key:2") == [0.0, 0.0, 0.5]
        bank.clock.now -= 31 * DAY_S
        assert await spent_in_all(bank, "key:2") == [0.0, 0.5, 0.5]

    over_bank(tmp_path, 2, story)


def test_days_long_over_are_forgotten_and_nothing_else(tmp_path: Path) -> None:
    """After forty days; the months they were part of, all time and starts of servers stay."""

    async def story(bank: Bank) -> None:
        (purse,) = bank.purses
        for account, budget in (("key:1", Budget(1.0, "day")), ("server", Budget(1.0, "run 7"))):
            assert await spend(purse.ledger(account, budget, scope="budget"), 0.25, 0.25)
        await bank.tick()
        bank.clock.now += 40 * DAY_S
        await purse.purge()
        async with bank.store.reading() as connection:
            assert (await connection.execute(select(func.count()).select_from(table.money))).scalar() == 7
        bank.clock.now += DAY_S
        await purse.purge()
        async with bank.store.reading() as connection:
            kept = (await connection.execute(select(table.money.c.account, table.money.c.period))).all()
        assert sorted(map(tuple, kept)) == [
            ("key:1", "2026-11"),
            ("key:1", "total"),
            ("server", "2026-11"),
            ("server", "run 7"),
            ("server", "total"),
        ]

    over_bank(tmp_path, 1, story)


def test_a_store_from_before_is_summed_up_once(tmp_path: Path) -> None:
    """There spending stood under the period of its budget alone: months get their days, and all time gets everything."""

    async def story(bank: Bank) -> None:
        rows = {
            "2026-11-17": 1,
            "2026-11-18": 2,
            "2026-11": 4,
            "2026-10-02": 8,
            "2026-09": 16,
            "total": 32,
            "run 7": 64,
        }
        async with bank.store.writing() as connection:
            await connection.execute(delete(table.meta).where(table.meta.c.name != "schema"))
            await connection.execute(
                insert(table.money),
                [
                    {"account": "key:1", "period": period, "spent": usd * 10**12}
                    for period, usd in rows.items()
                ],
            )
        for _ in range(2):
            await bank.store.open()
            assert await spent_in_all(bank) == [2.0, 7.0, 127.0]
        bank.clock.now -= 31 * DAY_S
        assert await bank.spent_usd("key:1", None) == 8.0

    over_bank(tmp_path, 1, story)
