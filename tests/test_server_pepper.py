"""The pepper of keys: who makes one under another than the server's is told at once, and nobody is locked out."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from sqlalchemy import delete, select
from typer.testing import CliRunner

from copykit.cli.app import app
from copykit.errors import ConfigurationError
from copykit.server import ServerSettings
from copykit.server.config import file_url
from copykit.server.doors.pepper import fingerprint
from copykit.server.kept import store as table
from copykit.server.kept.store import Store
from copykit.settings import Secret
from server_crew import SEEN_S, crew, told

OURS = Secret("a-pepper-of-thirty-letters-or-so")
OTHER = Secret("another-pepper-than-the-first")


def run(folder: Path, *words: str, pepper: Secret | None = None) -> Any:
    """Run ``copykit keys`` over the store in *folder*, with *pepper* in the environment."""
    env = {"COPYKIT_KEY_PEPPER": pepper.reveal() if pepper else None, "COLUMNS": "200"}
    return CliRunner(env=env).invoke(app, ["keys", *words, "--store", file_url(folder)])


def start(folder: Path, pepper: Secret | None, **more: str) -> ServerSettings:
    """Read the settings of a server over the store in *folder*, as ``copykit run`` does."""
    given = {"COPYKIT_KEY_PEPPER": pepper.reveal()} if pepper else {}
    return ServerSettings.from_env({"COPYKIT_STORE_URL": file_url(folder), **given, **more})


def over(folder: Path, work: Callable[[Store], Awaitable[Any]]) -> Any:
    """Do *work* over the store in *folder*."""

    async def story() -> Any:
        store = Store(file_url(folder))
        await store.open()
        try:
            return await work(store)
        finally:
            await store.aclose()

    return told(story)


async def kept(store: Store) -> str | None:
    """Give the fingerprint that the store keeps."""
    async with store.reading() as connection:
        asked = select(table.meta.c.value).where(table.meta.c.name == "pepper")
        return (await connection.execute(asked)).scalar()


async def forget(store: Store) -> None:
    """Leave the store as versions before fingerprints left it."""
    async with store.writing() as connection:
        await connection.execute(delete(table.meta).where(table.meta.c.name == "pepper"))


@pytest.mark.parametrize(("first", "second"), [(OURS, None), (None, OURS), (OURS, OTHER)])
def test_a_key_under_another_pepper_is_refused_and_so_is_a_server(
    tmp_path: Path, first: Secret | None, second: Secret | None
) -> None:
    """Status 78 by create and rotate, and no start; the message names the variable and how to go on."""
    made = json.loads(run(tmp_path, "create", "--json", pepper=first).stdout)
    for words in (["create"], ["rotate", made["id"]]):
        refused = run(tmp_path, *words, pepper=second)
        assert refused.exit_code == 78
        assert "COPYKIT_KEY_PEPPER or COPYKIT_KEY_PEPPER_FILE" in refused.output
        assert "copykit keys create --new-pepper" in refused.output
    with pytest.raises(ConfigurationError, match="COPYKIT_KEY_PEPPER"):
        start(tmp_path, second)
    with pytest.raises(ConfigurationError, match="COPYKIT_KEY_PEPPER"):
        start(tmp_path, second, API_KEY=secrets.token_urlsafe(32))
    assert start(tmp_path, first).keyed
    assert run(tmp_path, "rotate", made["id"], pepper=first).exit_code == 0
    for verb in (["list"], ["set", made["id"], "--rate", "5/day"], ["revoke", made["id"]]):
        assert run(tmp_path, *verb, pepper=second).exit_code == 0  # none of them reads or makes a secret


def test_a_new_pepper_ends_the_keys_of_the_old_one_and_no_other(tmp_path: Path) -> None:
    """They would open nothing any more, so they are shown as revoked; under the same pepper nothing ends."""
    old = json.loads(run(tmp_path, "create", "--json", pepper=OURS).stdout)
    new = json.loads(run(tmp_path, "create", "--new-pepper", "--json", pepper=OTHER).stdout)
    assert (new["ended"], new["first"]) == ([old["id"]], False)
    states = {key["id"]: key["state"] for key in json.loads(run(tmp_path, "list", "--json").stdout)["keys"]}
    assert states == {old["id"]: "revoked", new["id"]: "active"}
    assert start(tmp_path, OTHER).keyed
    again = json.loads(run(tmp_path, "create", "--new-pepper", "--json", pepper=OTHER).stdout)
    assert again["ended"] == []


def test_where_no_key_works_any_pepper_may_begin(tmp_path: Path) -> None:
    """Nothing can be lost: a server starts with it, and the next key is made under it."""
    made = json.loads(run(tmp_path, "create", "--json", pepper=OURS).stdout)
    run(tmp_path, "revoke", made["id"])
    assert start(tmp_path, OTHER).keyed
    assert run(tmp_path, "create", pepper=OTHER).exit_code == 0
    with pytest.raises(ConfigurationError):
        start(tmp_path, OURS)


def test_a_key_that_ended_before_the_pepper_changed_is_not_brought_back(tmp_path: Path) -> None:
    """It would be shown as active and open nothing: it has ended for good with the old pepper."""
    old = json.loads(run(tmp_path, "create", "--expires", "1s", "--json", pepper=OURS).stdout)
    time.sleep(1.1)
    assert run(tmp_path, "create", pepper=OTHER).exit_code == 0
    refused = run(tmp_path, "set", old["id"], "--expires", "30d", pepper=OTHER)
    assert refused.exit_code != 0
    assert "revoked" in refused.output


def test_the_first_key_is_held_to_the_pepper_of_the_server_that_runs(tmp_path: Path) -> None:
    """What a newcomer does: the server has a pepper, the shell beside it has none; once it ended, both may begin anew."""

    async def story() -> None:
        async with crew(tmp_path, pepper=OURS) as (_, (worker,)):
            refused = await asyncio.to_thread(run, tmp_path, "create")
            assert refused.exit_code == 78
            assert (
                "a server over this store was started with a pepper, and none is set here" in refused.output
            )
            made = await asyncio.to_thread(run, tmp_path, "create", "--scopes", "read", pepper=OURS)
            await asyncio.sleep(SEEN_S)
            answer = await worker.ask("GET", "/catalog", key=made.stdout.strip())
            assert answer.status_code == 200

    told(story)


def test_a_server_that_ended_holds_nobody_to_its_pepper(tmp_path: Path) -> None:
    """It kept its fingerprint, but no key was made: the next shell or server says which it is."""

    async def story() -> None:
        async with crew(tmp_path, pepper=OURS):
            pass

    told(story)
    assert over(tmp_path, kept) == fingerprint(OURS)
    assert run(tmp_path, "create").exit_code == 0
    assert over(tmp_path, kept) == fingerprint(None)


def test_a_store_from_before_goes_on_and_learns_its_pepper_from_a_key_that_opens(tmp_path: Path) -> None:
    """Nothing is guessed: shells and servers with any pepper go on, until a server has opened to one of its keys."""
    text = run(tmp_path, "create", "--scopes", "read", pepper=OURS).stdout.strip()
    over(tmp_path, forget)
    assert run(tmp_path, "create", pepper=OTHER).exit_code == 0
    assert start(tmp_path, OTHER).keyed
    assert over(tmp_path, kept) is None

    async def story() -> None:
        async with crew(tmp_path, pepper=OURS) as (_, (worker,)):
            assert (
                await worker.ask("GET", "/catalog", key="ck_live_00000000_" + "a" * 43)
            ).status_code == 401
            await asyncio.sleep(SEEN_S)
            assert over_kept() is None
            assert (await worker.ask("GET", "/catalog", key=text)).status_code == 200
            await asyncio.sleep(SEEN_S)

    def over_kept() -> str | None:
        import sqlite3

        with sqlite3.connect(tmp_path / "server.sqlite") as database:
            found = database.execute("SELECT value FROM copykit_meta WHERE name = 'pepper'").fetchone()
        database.close()
        return None if found is None else found[0]

    told(story)
    assert over(tmp_path, kept) == fingerprint(OURS)
    with pytest.raises(ConfigurationError):
        start(tmp_path, OTHER)


def test_the_fingerprint_tells_nothing_but_whether_two_are_the_same(tmp_path: Path) -> None:
    """It is no part of the pepper, nor of a digest of a key made under it."""
    run(tmp_path, "create", pepper=OURS)
    assert fingerprint(OURS) != fingerprint(OTHER)
    assert len(fingerprint(OURS)) == 16
    assert OURS.reveal().encode() not in (tmp_path / "server.sqlite").read_bytes()


def test_the_first_key_says_that_it_closes_an_open_server_and_the_server_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever used it without a key would else find no reason for the 401 that all get within a second."""

    async def story() -> None:
        async with crew(tmp_path) as (_, (worker,)):
            assert (await worker.ask("GET", "/catalog")).status_code == 200
            first = await asyncio.to_thread(run, tmp_path, "create")
            assert "the first of this store: a server without API_KEY asks everybody" in first.stderr
            second = await asyncio.to_thread(run, tmp_path, "create", "--json")
            assert json.loads(second.stdout)["first"] is False
            await asyncio.sleep(SEEN_S)
            assert (await worker.ask("GET", "/catalog")).status_code == 401
            await asyncio.to_thread(run, tmp_path, "create")
            await asyncio.sleep(SEEN_S)
            assert (await worker.ask("GET", "/catalog")).status_code == 401

    with caplog.at_level(logging.WARNING, "copykit.server"):
        told(story)
    assert sum("the store holds its first key" in record.message for record in caplog.records) == 1
    caplog.clear()

    async def again() -> None:
        async with crew(tmp_path, keyed=True):
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, "copykit.server"):
        told(again)
    assert not [record for record in caplog.records if "first key" in record.message]
