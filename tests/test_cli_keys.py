"""``copykit keys``: what it changes, what it only shows, and what running workers make of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from typer.testing import CliRunner

from copykit.cli.app import app
from copykit.server.config import file_url
from server_crew import BRIEF, SEEN_S, crew, priced_target, told


class Desk:
    """The command line of whoever keeps the keys of one store."""

    def __init__(self, folder: Path) -> None:
        self.url = file_url(folder)

    def run(self, *words: str, env: dict[str, str] | None = None) -> Any:
        """Run ``copykit keys`` with *words*."""
        return CliRunner(env={"COLUMNS": "200", **(env or {})}).invoke(
            app, ["keys", *words, "--store", self.url]
        )

    def tell(self, *words: str) -> Any:
        """Run it with ``--json``; what it tells."""
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give one over a new store."""
    return Desk(tmp_path)


def test_a_tenant_is_shown_and_only_what_is_named_changes(desk: Desk) -> None:
    """Asking costs no bound; one option leaves the other as it was; an empty one takes it away."""
    desk.tell("create", "--tenant", "acme")
    desk.tell("tenant", "acme", "--rate", "100/minute", "--budget", "5/month")
    shown = desk.tell("tenant", "acme")
    assert (shown["rate"], shown["budget"], shown["keys"]) == ("100/minute", "5/month", 1)
    assert "acme (1 key): 100/minute, USD spent: 0 of 5/month" in desk.run("tenant", "acme").output
    assert desk.tell("tenant", "acme", "--budget", "7/day")["rate"] == "100/minute"
    assert desk.tell("tenant", "acme", "--rate", "")["budget"] == "7/day"
    gone = desk.tell("tenant", "acme", "--budget", "")
    assert (gone["rate"], gone["budget"]) == (None, None)
    assert "any rate, any cost" in desk.run("tenant", "acme").output


def test_a_tenant_is_bounded_before_its_first_key_and_told_to_have_none(desk: Desk) -> None:
    """A misspelt name is seen by that; asking for one that is not there makes none."""
    desk.tell("create", "--tenant", "acme")
    told = desk.run("tenant", "acne", "--budget", "5/month")
    assert told.exit_code == 0
    assert "acne (no key yet): any rate, USD spent: 0 of 5/month" in told.output
    assert desk.tell("create", "--tenant", "acne")["tenant"] == "acne"
    assert desk.tell("tenant", "acne")["budget"] == "5/month"
    for words in (["tenant", "acma"], ["tenant", "acma", "--budget", ""]):
        done = desk.run(*words)
        assert done.exit_code == 2
        assert "tenant='acma': there is none of this name; nearest: acme" in done.output
    assert [one["tenant"] for one in desk.tell("list")["tenants"]] == ["acme", "acne"]


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["tenant", "Acme & Co", "--budget", "5/month"], "tenant"),
        (["tenant", "acme", "--rate", "many"], "rate"),
        (["tenant", "acme", "--budget", "5/weak"], "budget"),
        (["set", "ID", "--scopes", "reed"], "scopes"),
        (["set", "ID", "--scopes", ""], "scopes"),
        (["set", "ID", "--rate", "many"], "rate"),
        (["set", "ID", "--budget", "much"], "budget"),
        (["set", "ID", "--expires", "soon"], "expires"),
        (["set", "ID", "--name", "a\nb"], "name"),
    ],
)
def test_what_there_cannot_be_is_told_by_field_and_changes_nothing(
    desk: Desk, words: list[str], field: str
) -> None:
    """Status 2, one line, and all keys and tenants are as before."""
    made = desk.tell("create", "shop", "--tenant", "acme", "--budget", "5/month")
    before = desk.tell("list")
    done = desk.run(*[made["id"] if word == "ID" else word for word in words])
    assert done.exit_code == 2
    assert f"{field}=" in done.output
    assert desk.tell("list") == before


def test_of_a_key_only_what_is_named_changes(desk: Desk) -> None:
    """Each of its five words by itself, empty ones take away, and without any it is shown."""
    made = desk.tell("create", "shop", "--rate", "5/hour", "--budget", "5/month", "--expires", "1d")
    key = {name: value for name, value in made.items() if name not in ("key", "first", "ended")}
    key |= {"spent_usd": 0.0, "held_usd": 0.0}
    assert desk.tell("set", key["id"]) == key
    for option, value, change in (
        ("--budget", "80/month", {"budget": "80/month"}),
        ("--rate", "9/minute", {"rate": "9/minute"}),
        ("--scopes", "read, generate", {"scopes": ["read", "generate"]}),
        ("--name", "the shop", {"name": "the shop"}),
        ("--expires", "", {"expires": None}),
        ("--budget", "", {"budget": None}),
        ("--rate", "", {"rate": None}),
        ("--name", "", {"name": ""}),
    ):
        key |= change
        assert desk.tell("set", key["id"], option, value) == key
    assert desk.tell("set", key["id"], "--expires", "90d")["expires"] > made["expires"]
    assert "your own, read, generate, active" in desk.run("set", key["id"]).output
    desk.run("revoke", key["id"])
    refused = desk.run("set", key["id"], "--budget", "1/day")
    assert refused.exit_code == 2
    assert "it is revoked for good" in refused.output


@pytest.mark.parametrize("verb", ["set", "rotate", "revoke"])
def test_an_id_that_there_is_not_is_told_with_the_nearest(desk: Desk, verb: str) -> None:
    """What was typed is shown, unless it may be a secret; a key's name leads to its id."""
    made = desk.tell("create", "the shop")
    near = made["id"][:-1] + ("0" if made["id"][-1] != "0" else "1")
    for typed, shown in ((near, f"key='{near}'"), ("the shop", "key='the shop'")):
        done = desk.run(verb, typed)
        assert done.exit_code == 2
        assert shown in done.output
        assert f"nearest: {made['id']}" in done.output
    assert "key='nope'" in desk.run(verb, "nope").output
    secret = made["key"][16:]  # with the dash below before it: some begin with one that would be an option's
    assert secret[1:] not in desk.run(verb, secret).output
    assert "key='***'" in desk.run(verb, secret).output


@pytest.fixture
def priced() -> Iterator[Any]:
    """Have a target ``priced``."""
    with priced_target() as routing:
        yield routing


def test_running_workers_take_what_was_set_within_a_second(desk: Desk, tmp_path: Path, priced: Any) -> None:
    """A budget raised and lowered, a rate, scopes and an end: both workers hold the same key to them."""

    async def story() -> None:
        async with crew(tmp_path, 2, targets=("priced",), routing=priced) as (_, workers):
            made = await asyncio.to_thread(
                desk.tell, "create", "--budget", "0.0005/total", "--tenant", "acme"
            )

            async def after(*words: str) -> list[int]:
                if words:
                    await asyncio.to_thread(desk.tell, "set", made["id"], *words)
                await asyncio.sleep(SEEN_S)
                body = {**BRIEF, "cache": "off"}
                answers = [
                    await worker.ask("POST", "/v11/generate", body, key=made["key"]) for worker in workers
                ]
                return [answer.status_code for answer in answers]

            assert await after() == [429, 429]
            assert await after("--budget", "1/total") == [200, 200]
            await asyncio.sleep(SEEN_S)
            told = await asyncio.to_thread(desk.tell, "list")
            spent = told["keys"][0]["spent_usd"]
            assert 0 < spent < 0.0011
            assert told["tenants"][0]["spent_usd"] == spent
            shown = (await asyncio.to_thread(desk.run, "list")).stdout
            assert shown.count(f"{spent:.6f}".rstrip("0")) == 2
            assert "of 1/total" in shown
            assert await after("--budget", "0.00001/total") == [429, 429]
            assert await after("--budget", "") == [200, 200]
            assert await after("--rate", "1/day") == [200, 200]
            assert await after() == [429, 429]
            assert await after("--rate", "", "--scopes", "read") == [403, 403]
            assert await after("--scopes", "generate", "--expires", "1s") == [401, 401]
            assert await after("--expires", "") == [200, 200]

    told(story)


def test_what_workers_hold_is_told_as_held(desk: Desk, tmp_path: Path) -> None:
    """Money taken out for calls in the air is neither spent nor left."""
    from copykit.server.doors.keys import Budget
    from copykit.server.kept.purse import Purse
    from copykit.server.kept.store import Store

    made = desk.tell("create", "--budget", "5/month")

    async def story() -> None:
        store = Store(desk.url)
        await store.open()
        ledger = Purse(store, "w1").ledger(f"key:{made['id']}", Budget(5.0), scope="key's budget")
        assert await ledger.fetch(0.25)
        await store.aclose()

    told(story)
    assert desk.tell("list")["keys"][0]["held_usd"] == 0.25
    assert "0 of 5/month, 0.25 held" in desk.run("list").output


def test_what_a_key_has_spent_is_told_when_its_budget_is_gone_or_for_another_time(desk: Desk) -> None:
    """Spent under a day's budget it is part of the month and of all time."""
    from copykit.server.doors.keys import Budget
    from copykit.server.kept.purse import Purse
    from copykit.server.kept.store import Store

    made = desk.tell("create", "--budget", "5/day")

    async def story() -> None:
        store = Store(desk.url)
        await store.open()
        purse = Purse(store, "w1")
        ledger = purse.ledger(f"key:{made['id']}", Budget(5.0, "day"), scope="key's budget")
        assert await ledger.more(0.01)
        with ledger.reserve(0.01) as money:
            money.settle(0.000175)
        await purse.aclose()
        await store.aclose()

    told(story)
    for budget, says in (
        ("", "0.000175 this month"),
        ("0.0031/month", "0.000175 of 0.0031/month"),
        ("9/total", "0.000175 of 9/total"),
    ):
        assert says in desk.run("set", made["id"], "--budget", budget).output


def test_a_key_of_no_tenant_is_said_to_be_the_operators_own(desk: Desk) -> None:
    """Whoever forgot ``--tenant`` for a client sees it at once; standard output holds the key alone, in both cases."""
    own, clients = desk.run("create", "prometheus"), desk.run("create", "the shop", "--tenant", "acme")
    (said,) = [line for line in own.stderr.splitlines() if "operator's own" in line]
    assert "sees everybody's figures" in said
    assert "--tenant" in said
    assert "operator" not in clients.stderr
    for done in (own, clients):
        (line,) = done.stdout.splitlines()
        assert line.startswith("ck_live_")


NOT_THERE = ["list", "set ID", "rotate ID", "revoke ID", "tenant acme", "tenant acme --rate="]


@pytest.mark.parametrize("words", NOT_THERE)
def test_only_what_makes_the_first_thing_makes_a_store(tmp_path: Path, words: str) -> None:
    """A mistyped store is told as that, status 78: a new one in its place would look like a store without keys."""
    desk = Desk(tmp_path / "none")
    done = desk.run(*words.split())
    assert done.exit_code == 78
    assert f"server.store_url: there is no store at {tmp_path}/none/server.sqlite" in done.stderr
    assert not done.stdout
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "words", ["create shop", "tenant acme --rate 5/minute", "tenant acme --budget 5/month"]
)
def test_the_first_key_or_bound_makes_the_store(tmp_path: Path, words: str) -> None:
    """From then on all verbs find it."""
    desk = Desk(tmp_path / "new")
    assert desk.run(*words.split()).exit_code == 0
    assert desk.run("list").exit_code == 0


def test_a_database_without_our_tables_is_no_store_and_stays_as_it_is(tmp_path: Path) -> None:
    """Neither an empty file nor somebody else's database is taken for a store without keys."""
    desk = Desk(tmp_path)
    file = tmp_path / "server.sqlite"
    file.touch()
    assert desk.run("list").exit_code == 78
    assert file.stat().st_size == 0
    with closing(sqlite3.connect(file)) as others:
        others.execute("CREATE TABLE theirs (x)")
        others.commit()
        assert desk.run("list").exit_code == 78
        found = others.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert found == [("theirs",)]


@pytest.mark.parametrize(
    ("words", "status", "code", "says"),
    [
        (["set", "nope"], 2, "invalid_request", "key='nope': there is none with this id"),
        (["create", "--scopes", "reed"], 2, "invalid_request", "scopes='reed'"),
        (["tenant", "acme", "--budget", "5/weak"], 2, "invalid_request", "budget='weak'"),
        (
            ["list", "--store", "mysql://x/y"],
            78,
            "configuration_error",
            "server.store_url: 'mysql' is not served",
        ),
    ],
)
def test_who_asked_for_json_gets_errors_as_json(
    desk: Desk, words: list[str], status: int, code: str, says: str
) -> None:
    """One object on standard output, of the shape that ``run --check --json`` has, and nothing for people beside it."""
    desk.tell("create")
    done = CliRunner().invoke(
        app, ["keys", *words, *(() if "--store" in words else ("--store", desk.url)), "--json"]
    )
    assert (done.exit_code, done.stderr) == (status, "")
    told = json.loads(done.stdout)
    assert (told["ok"], told["code"]) == (False, code)
    (problem,) = told["problems"]
    assert says in problem
