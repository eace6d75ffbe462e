"""Keys, tenants and several workers over one store: what one may, what the others see, and what nobody sees."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from sqlalchemy.ext.asyncio import AsyncConnection

from copykit.errors import ConfigurationError, InvalidRequest
from copykit.server import ServerSettings
from copykit.server.config import file_url
from copykit.server.doors.keybook import KeyBook
from copykit.server.doors.keyring import Keyring
from copykit.server.doors.keys import Budget
from copykit.server.kept.outage import Outage
from copykit.server.kept.store import Store, StoreUnavailable
from copykit.server.kept.streams import OpenStreams
from copykit.server.routes import ROUTES
from copykit.testing import FakeClock
from server_crew import BRIEF, SEEN_S, WorkerAtHand, crew, held_target, priced_target, told


@pytest.fixture
def priced() -> Iterator[Any]:
    """Have a target ``priced``."""
    with priced_target() as routing:
        yield routing


def test_a_key_opens_what_its_scopes_name_and_nothing_else(tmp_path: Path) -> None:
    """Every route with every scope: its own passes, another is 403, none at all 401."""

    async def story() -> None:
        async with crew(tmp_path) as (book, (worker,)):
            keys = {
                scope: (await book.create(scopes=[scope]))[1]
                for scope in ("generate", "batch", "read", "admin")
            }
            await asyncio.sleep(SEEN_S)
            for spec in ROUTES:
                body = BRIEF if spec.takes == "Brief" else [BRIEF] if spec.takes else None
                if spec.scope == "public":
                    assert (await worker.ask(spec.method, spec.path)).status_code == 200
                    continue
                assert (await worker.ask(spec.method, spec.path, body)).status_code == 401
                for scope, key in keys.items():
                    answer = await worker.ask(spec.method, spec.path, body, key=key)
                    assert answer.status_code == (200 if scope == spec.scope else 403), (spec.path, scope)

    told(story)


def test_a_key_that_ends_opens_nothing(tmp_path: Path) -> None:
    """Revoked, expired and unknown keys get the very same answer but for its number."""

    async def story() -> list[Any]:
        async with crew(tmp_path) as (book, (worker,)):
            ended, text = await book.create()
            _, short = await book.create(expires_in_s=0.01)
            await book.revoke(ended.id)
            await asyncio.sleep(SEEN_S)
            told = []
            for key in (
                text,
                short,
                text[:-1] + "x",
                "ck_live_00000000_" + "a" * 43,
                "nonsense",
                "x" * 10_000,
            ):
                answer = await worker.ask("GET", "/health", key=key)
                problem = answer.json()
                del problem["request_id"]
                told.append((answer.status_code, problem))
            return told

    answers = told(story)
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)


def test_two_secrets_work_while_one_replaces_the_other(tmp_path: Path) -> None:
    """Both until the overlap ends; a further rotation ends the first at once."""

    async def story() -> list[list[int]]:
        async with crew(tmp_path) as (book, (worker,)):
            key, first = await book.create(scopes=["read"])
            _, second = await book.rotate(key.id, overlap_s=60)
            await asyncio.sleep(SEEN_S)
            both = [(await worker.ask("GET", "/health", key=text)).status_code for text in (first, second)]
            _, third = await book.rotate(key.id, overlap_s=60)
            await asyncio.sleep(SEEN_S)
            texts = (first, second, third)
            return [both, [(await worker.ask("GET", "/health", key=text)).status_code for text in texts]]

    assert told(story) == [[200, 200], [401, 200, 200]]


def test_what_one_worker_changes_the_other_sees_within_a_second(tmp_path: Path, priced: Any) -> None:
    """A revoked key, a cleared cache and a budget that is spent: refused, missed, refused."""

    async def story() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        async with crew(tmp_path, 2, targets=("priced",), routing=priced) as (book, (one, two)):
            gone, gone_text = await book.create(tenant="acme")
            _, admin = await book.create(tenant="acme", scopes=["admin", "generate"])
            _, poor = await book.create(tenant="poor", budget=Budget(0.00115, "total"))
            await asyncio.sleep(SEEN_S)
            first = await two.ask("POST", "/v11/generate", BRIEF, key=gone_text)
            again = await two.ask("POST", "/v11/generate", BRIEF, key=gone_text)
            seen["cached"] = [first.json()["cached"], again.json()["cached"]]
            spent = [
                (await one.ask("POST", "/v11/generate", {**BRIEF, "seed": seed}, key=poor)).status_code
                for seed in range(4)
            ]
            seen["spent on one"] = spent
            await book.revoke(gone.id)
            assert (await one.ask("POST", "/v11/cache/clear", key=admin)).status_code == 200
            await asyncio.sleep(SEEN_S)
            seen["revoked"] = (await two.ask("POST", "/v11/generate", BRIEF, key=gone_text)).status_code
            seen["cleared"] = (await two.ask("POST", "/v11/generate", BRIEF, key=admin)).json()["cached"]
            refused = await two.ask("POST", "/v11/generate", {**BRIEF, "seed": 99}, key=poor)
            seen["refused"] = (refused.status_code, refused.json()["code"], refused.json()["scope"])
        return seen

    seen = told(story)
    assert seen["cached"] == [False, True]
    assert seen["spent on one"] == [200, 200, 429, 429]
    assert seen["revoked"] == 401
    assert seen["cleared"] is False
    assert seen["refused"] == (429, "budget_exceeded", "key's budget")


def test_tenants_share_nothing_and_see_nothing_of_each_other(tmp_path: Path) -> None:
    """Neither cached results nor counts nor remembered answers nor a report of the whole server."""

    async def story() -> None:
        async with crew(tmp_path) as (book, (worker,)):
            keys = {}
            for tenant in ("acme", "bolt"):
                _, keys[tenant] = await book.create(tenant=tenant, scopes=["generate", "read", "admin"])
            _, own = await book.create(scopes=["read", "admin"])
            await asyncio.sleep(SEEN_S)
            for _ in range(3):
                answer = await worker.ask(
                    "POST", "/v11/generate", BRIEF, key=keys["acme"], idempotency_key="order-7"
                )
            other = await worker.ask(
                "POST", "/v11/generate", BRIEF, key=keys["bolt"], idempotency_key="order-7"
            )
            assert answer.headers["idempotent-replayed"] == "true"
            assert "idempotent-replayed" not in other.headers
            assert other.json()["cached"] is False
            stats = {
                t: (await worker.ask("GET", "/v11/performance-stats", key=k)).json() for t, k in keys.items()
            }
            assert stats["acme"]["requests"]["total"] == stats["bolt"]["requests"]["total"] == 1
            assert "routing" not in stats["acme"]
            assert "acme" not in json.dumps(stats["bolt"])
            everybody = (await worker.ask("GET", "/v11/performance-stats", key=own)).json()
            assert everybody["requests"]["total"] == 2
            for spec in ROUTES:
                if spec.operator:
                    assert (await worker.ask(spec.method, spec.path, key=keys["acme"])).status_code == 403
                    assert (await worker.ask(spec.method, spec.path, key=own)).status_code == 200

    told(story)


def test_counts_are_those_of_all_workers(tmp_path: Path) -> None:
    """Whichever worker is asked, a tenant sees a moment later all that it asked of any of them."""

    async def story() -> list[int]:
        async with crew(tmp_path, 2) as (book, workers):
            _, key = await book.create(tenant="acme")
            await asyncio.sleep(2 * SEEN_S)  # then they know of each other
            for seed in range(6):
                await workers[seed % 2].ask("POST", "/v11/generate", {**BRIEF, "seed": seed}, key=key)
            await asyncio.sleep(SEEN_S)
            stats = [(await one.ask("GET", "/v11/performance-stats", key=key)).json() for one in workers]
            return [one["requests"]["total"] for one in stats]

    assert told(story) == [6, 6]


def test_a_server_that_ever_held_a_key_never_opens_again(tmp_path: Path) -> None:
    """Without one it is open on loopback; from the first key on, and when that has ended, it is not."""

    async def story() -> list[int]:
        async with crew(tmp_path) as (book, (worker,)):
            seen = [(await worker.ask("GET", "/health")).status_code]
            key, _ = await book.create()
            await asyncio.sleep(SEEN_S)
            seen.append((await worker.ask("GET", "/health")).status_code)
            await book.revoke(key.id)
            await asyncio.sleep(SEEN_S)
            return [*seen, (await worker.ask("GET", "/health")).status_code]

    assert told(story) == [200, 401, 401]
    others = ServerSettings.from_env({"COPYKIT_STORE_URL": file_url(tmp_path), "COPYKIT_HOST": "0.0.0.0"})  # noqa: S104
    assert not others.open
    with pytest.raises(ConfigurationError, match="no key is set"):
        ServerSettings.from_env({"COPYKIT_STORE_URL": file_url(tmp_path / "new"), "COPYKIT_HOST": "0.0.0.0"})  # noqa: S104


def test_no_secret_is_kept(tmp_path: Path) -> None:
    """What the store holds of a key does not contain it, and its files are their owner's alone."""

    async def story() -> str:
        store = Store(file_url(tmp_path / "kept"))
        await store.open()
        _, text = await KeyBook(store).create(name="shop")
        await store.aclose()
        return text

    secret = told(story)[17:]
    files = list((tmp_path / "kept").iterdir())
    assert files
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    for file in files:
        assert secret.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"scopes": ["generat"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"tenant": "Acme & Co"}, "tenant"),
        ({"tenant": "*"}, "tenant"),
        ({"rate": "many"}, "rate"),
        ({"budget": Budget(-1)}, "budget"),
        ({"budget": Budget(5, "weak")}, "budget"),
        ({"expires_in_s": -1.0}, "expires"),
        ({"name": "a\nb"}, "name"),
    ],
)
def test_a_key_that_there_cannot_be_is_refused_by_field(
    tmp_path: Path, wrong: dict[str, Any], field: str
) -> None:
    """The error names the field, and nothing is made."""

    async def story() -> int:
        store = Store(file_url(tmp_path))
        await store.open()
        try:
            with pytest.raises(InvalidRequest) as caught:
                await KeyBook(store).create(**wrong)
            assert caught.value.field == field
            return len(await KeyBook(store).every())
        finally:
            await store.aclose()

    assert told(story) == 0


def test_a_key_is_held_to_its_rate_and_told_what_is_left(tmp_path: Path) -> None:
    """Three of three pass with what is left in the headers, the fourth is 429 with a time to wait; others go on."""

    async def story() -> None:
        async with crew(tmp_path, rate="1000/minute") as (book, (worker,)):
            _, narrow = await book.create(scopes=["read"], rate="3/hour")
            _, wide = await book.create(scopes=["read"])
            await asyncio.sleep(SEEN_S)
            answers = [await worker.ask("GET", "/catalog", key=narrow) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
            assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
            assert answers[3].json()["code"] == "rate_limited"
            assert int(answers[3].headers["retry-after"]) >= 1
            assert (await worker.ask("GET", "/catalog", key=wide)).headers["ratelimit-limit"] == "1000"

    told(story)


def test_a_tenants_keys_are_held_to_one_rate_together(tmp_path: Path) -> None:
    """Two keys of a tenant share what it may send."""

    async def story() -> list[int]:
        async with crew(tmp_path) as (book, (worker,)):
            keys = [(await book.create(tenant="acme", scopes=["read"]))[1] for _ in range(2)]
            await book.bound("acme", rate="3/hour")
            await asyncio.sleep(SEEN_S)
            return [(await worker.ask("GET", "/catalog", key=keys[at % 2])).status_code for at in range(4)]

    assert told(story) == [200, 200, 200, 429]


def test_wrong_keys_are_counted_and_right_ones_let_in_all_the_same(tmp_path: Path) -> None:
    """Ten wrong keys of an address, then 429; a right key from there still opens."""

    async def story() -> list[int]:
        async with crew(tmp_path, failure_rate="10/minute") as (book, (worker,)):
            _, right = await book.create(scopes=["read"])
            await asyncio.sleep(SEEN_S)
            wrong = [(await worker.ask("GET", "/catalog", key=f"wrong{n}")).status_code for n in range(12)]
            return [*wrong, (await worker.ask("GET", "/catalog", key=right)).status_code]

    assert told(story) == [401] * 10 + [429] * 2 + [200]


def test_streams_of_one_key_are_bounded(tmp_path: Path) -> None:
    """One more than it may is 429; when one ends there is room again."""

    async def story() -> tuple[int, int, int]:
        async with crew(tmp_path, targets=("held",), streams=2) as (book, (worker,)):
            _, key = await book.create()
            await asyncio.sleep(SEEN_S)

            def stream(seed: int) -> asyncio.Task[Any]:
                body = {**BRIEF, "seed": seed, "cache": "off"}
                return asyncio.ensure_future(worker.ask("POST", "/v11/generate/stream", body, key=key))

            first, second = stream(1), stream(2)
            open_now = [await gates.get(), await gates.get()]
            refused = await stream(3)
            for gate in open_now:
                gate.set()
            assert (await first).status_code == (await second).status_code == 200
            last = stream(4)
            (await gates.get()).set()
            gate = worker.app.state.holdings.gate
            after = await last
            return refused.status_code, after.status_code, gate.streams + gate.taken

    with held_target() as gates:
        assert told(story) == (429, 200, 0)


def test_ends_of_keys_are_by_the_clock(tmp_path: Path) -> None:
    """A key works until its last second and not after; list says which have ended and how."""

    async def story() -> list[str]:
        now = time.time()
        store = Store(file_url(tmp_path))
        await store.open()
        book = KeyBook(store, clock=lambda: now)
        key, _ = await book.create(expires_in_s=100)
        other, _ = await book.create()
        await book.revoke(other.id)
        states = [key.state(now + 99), key.state(now + 101)]
        states += [one.state(now + 1) for one in await book.every()]
        await store.aclose()
        return states

    assert told(story) == ["active", "expired", "active", "revoked"]


def test_a_batch_that_the_budget_cannot_pay_for_is_refused_whole(tmp_path: Path, priced: Any) -> None:
    """Nothing of it is sent; one that fits is written, and what it did not need is there for the next."""

    async def story() -> list[tuple[int, str]]:
        async with crew(tmp_path, targets=("priced",), routing=priced) as (book, (worker,)):
            _, key = await book.create(budget=Budget(0.005, "total"))
            await asyncio.sleep(SEEN_S)
            told = []
            for size in (5, 4, 4):
                batch = [{**BRIEF, "seed": seed, "cache": "off"} for seed in range(size)]
                answer = await worker.ask("POST", "/v11/batch-generate", batch, key=key)
                told.append((answer.status_code, answer.json().get("code", "")))
            return told

    assert told(story) == [(429, "budget_exceeded"), (200, ""), (200, "")]


def test_random_histories_of_two_tenants_cross_nowhere(tmp_path: Path) -> None:
    """Forty of them here; ``python -m tests.two_tenants`` plays a thousand."""
    from two_tenants import histories

    seen = asyncio.run(histories(40, 7, tmp_path))
    assert not seen.crossed
    assert seen.cached > 50
    assert seen.replayed > 5


def test_while_the_store_is_silent_keys_work_five_seconds_and_then_all_are_told_at_once(
    tmp_path: Path,
) -> None:
    """No request waits for a database that does not answer once that is known; when it is back, so are the keys."""
    from copykit.server.doors.keyring import STALE_S
    from copykit.server.kept.store import StoreUnavailable

    class Silent(Store):
        """A store that can be made to fail, and counts how often it was asked."""

        asked = 0
        silent = False

        def reading(self) -> Any:
            """Give a connection, or none."""
            type(self).asked += 1
            if self.silent:
                raise StoreUnavailable("the store did not answer: OperationalError")
            return super().reading()

        def trace(self) -> None:
            """Tell nothing, as a database on another machine."""

    async def story() -> None:
        store = Silent(file_url(tmp_path))
        await store.open()
        clock = FakeClock(0.0)
        ring = Keyring(store, steady=clock)
        _, text = await KeyBook(store).create()
        await ring.look()
        store.silent = True
        clock.now = STALE_S - 0.1
        await ring.look()
        assert ring.find(text) is not None
        clock.now = STALE_S + 0.6
        before = Silent.asked
        told = await asyncio.gather(*(ring.look() for _ in range(50)), return_exceptions=True)
        assert all(isinstance(one, StoreUnavailable) for one in told)
        assert Silent.asked == before + 1
        store.silent = False
        clock.now += 1
        assert await ring.look() is False
        assert ring.find(text) is not None
        await store.aclose()

    told(story)


def test_two_keys_in_one_request_are_none(tmp_path: Path) -> None:
    """Two readers could mean different ones."""

    async def story() -> int:
        async with crew(tmp_path) as (book, (worker,)):
            _, key = await book.create(scopes=["read"])
            await asyncio.sleep(SEEN_S)
            headers = [("x-api-key", key), ("x-api-key", key)]
            return (await worker.client.get("/catalog", headers=headers)).status_code

    assert told(story) == 401


def test_what_the_whole_server_spent_is_told_to_no_tenant(tmp_path: Path, priced: Any) -> None:
    """Whoever meets the server's own cap learns that it is met, and no figure of it."""

    async def story() -> dict[str, Any]:
        routing = {**priced, "budget_usd": 0.0005}
        async with crew(tmp_path, targets=("priced",), routing=routing) as (book, (worker,)):
            _, key = await book.create(tenant="acme")
            await asyncio.sleep(SEEN_S)
            answer = await worker.ask("POST", "/v11/generate", BRIEF, key=key)
            assert answer.status_code == 429
            told: dict[str, Any] = answer.json()
            return told

    problem = told(story)
    assert problem["scope"] == "budget"
    assert not {"cap", "spent"} & problem.keys()
    assert "0.0005" not in json.dumps(problem)


def test_a_store_that_is_emptied_opens_nothing(tmp_path: Path) -> None:
    """What a key had closed stays closed, although no key is left."""
    from sqlalchemy import delete

    from copykit.server.kept import store as table

    async def story() -> list[int]:
        async with crew(tmp_path) as (book, (worker,)):
            await book.create()
            await asyncio.sleep(SEEN_S)
            before = (await worker.ask("GET", "/health")).status_code
            store = Store(file_url(tmp_path))
            async with store.writing() as connection:
                for gone in (table.keys, table.secrets, table.counters):
                    await connection.execute(delete(gone))
            await store.aclose()
            await asyncio.sleep(2 * SEEN_S)
            return [before, (await worker.ask("GET", "/health")).status_code]

    assert told(story) == [401, 401]


def move_away(folder: Path) -> None:
    """Take a store's files away from under whoever uses them."""
    for file in folder.glob("server.sqlite*"):
        file.rename(file.with_name("elsewhere-" + file.name))


def put_back(folder: Path) -> None:
    """Undo `move_away`."""
    for file in folder.glob("elsewhere-*"):
        file.rename(file.with_name(file.name.removeprefix("elsewhere-")))


def test_a_silent_store_is_503_and_says_when_to_come_back(tmp_path: Path) -> None:
    """Its file was taken away: keys end five seconds later, with a problem that may be repeated."""

    async def story() -> Any:
        async with crew(tmp_path) as (book, (worker,)):
            _, key = await book.create(scopes=["read"])
            await asyncio.sleep(SEEN_S)
            assert (await worker.ask("GET", "/catalog", key=key)).status_code == 200
            move_away(tmp_path)
            await asyncio.sleep(5.5)
            return await worker.ask("GET", "/catalog", key=key)

    answer = told(story)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.json()["retryable"] is True
    assert int(answer.headers["retry-after"]) >= 1


def test_an_outage_is_told_when_it_begins_and_when_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line each, however often a worker tries; the store that is put back is used without a new start."""

    async def story() -> int:
        async with crew(tmp_path) as (book, (worker,)):
            _, key = await book.create(scopes=["read"])
            await asyncio.sleep(SEEN_S)
            caplog.clear()
            caplog.set_level("INFO", logger="copykit.server")
            move_away(tmp_path)
            await asyncio.sleep(6)
            put_back(tmp_path)
            deadline = asyncio.get_running_loop().time() + 30
            while (  # noqa: ASYNC110 -- the log is what is waited for
                "answers again" not in caplog.text and asyncio.get_running_loop().time() < deadline
            ):
                await asyncio.sleep(0.1)
            return (await worker.ask("GET", "/catalog", key=key)).status_code

    assert told(story) == 200
    lines = [record for record in caplog.records if "the store" in record.message]
    assert [record.levelname for record in lines] == ["WARNING", "INFO"]
    assert "put it back" in lines[0].why  # type: ignore[attr-defined]
    assert lines[1].after_s > 0  # type: ignore[attr-defined]


def test_an_outage_that_lasts_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """By a clock that is moved by hand."""
    now = 0.0
    outage = Outage(lambda: now)
    outage.is_over()
    for second in range(150):
        now = float(second)
        outage.goes_on("gone")
    assert [record.for_s for record in caplog.records] == [0.0, 60.0, 120.0]  # type: ignore[attr-defined]


def test_a_key_beyond_its_own_bound_costs_its_tenant_nothing(tmp_path: Path) -> None:
    """What a key may not send is not counted against the others."""

    async def story() -> list[int]:
        async with crew(tmp_path) as (book, (worker,)):
            _, narrow = await book.create(tenant="acme", scopes=["read"], rate="2/hour")
            _, other = await book.create(tenant="acme", scopes=["read"])
            await book.bound("acme", rate="6/hour")
            await asyncio.sleep(SEEN_S)
            keys = [narrow] * 8 + [other] * 5
            return [(await worker.ask("GET", "/catalog", key=key)).status_code for key in keys]

    assert told(story) == [200, 200] + [429] * 6 + [200] * 4 + [429]


@pytest.mark.parametrize("verb", ["revoke", "rotate"])
def test_a_whole_key_names_itself_and_is_not_repeated(tmp_path: Path, verb: str) -> None:
    """Who holds nothing else may name it by its text, and no message tells it."""
    from typer.testing import CliRunner

    from copykit.cli.app import app

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["keys", *words, "--store", file_url(tmp_path)])

    text = run("create", "shop").stdout.strip()
    strange = text[:8] + "00000000" + text[16:]
    assert text[17:] not in run(verb, strange).output
    assert text[17:] not in run(verb, text[17:]).output
    assert run(verb, text).exit_code == 0


def test_a_file_for_all_eyes_is_made_its_owners_before_it_is_used(tmp_path: Path) -> None:
    """A store that somebody made readable for everybody is so no longer once it was opened."""
    store = Store(file_url(tmp_path))
    path = store.path
    assert path is not None
    path.chmod(0o644)
    Store(file_url(tmp_path))
    assert path.stat().st_mode & 0o077 == 0


def test_a_store_that_is_no_database_is_told_by_its_path(tmp_path: Path) -> None:
    """Before anything is started, and nothing of the file is changed."""
    store = Store(file_url(tmp_path))
    path = store.path
    assert path is not None
    path.write_bytes(b"these are no tables, but somebody's notes")
    with pytest.raises(ConfigurationError, match="damaged or no SQLite database") as caught:
        Store(file_url(tmp_path))
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"these are no tables, but somebody's notes"


def test_a_damaged_store_is_told_as_damaged(tmp_path: Path) -> None:
    """Pages that hold no tables any more: not "did not answer", which would pass by itself."""

    async def story() -> None:
        store = Store(file_url(tmp_path))
        await store.open()
        await store.aclose()
        path = store.path
        assert path is not None
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
        broken = Store(file_url(tmp_path))
        try:
            with pytest.raises(StoreUnavailable, match="damaged"):
                await broken.open()
        finally:
            await broken.aclose()

    told(story)
    gc.collect()  # a connection that was left open would warn


def test_streams_of_a_key_are_bounded_over_all_workers(tmp_path: Path) -> None:
    """One worker may hold all of them; then the other has none for it, and has again when they end."""

    async def story() -> list[int]:
        async with crew(tmp_path, 2, targets=("held",), streams=4) as (book, (one, two)):
            _, key = await book.create()
            await asyncio.sleep(2 * SEEN_S)

            def stream(worker: WorkerAtHand, seed: int) -> asyncio.Task[Any]:
                body = {**BRIEF, "seed": seed, "cache": "off"}
                return asyncio.ensure_future(worker.ask("POST", "/v11/generate/stream", body, key=key))

            open_now = [stream(one, seed) for seed in range(3)]
            held = [await gates.get() for _ in open_now]
            open_now.append(stream(two, 3))
            held.append(await gates.get())
            await asyncio.sleep(SEEN_S)
            more = ((one, 4), (two, 5), (two, 6))
            refused = await asyncio.gather(*(stream(worker, seed) for worker, seed in more))
            for gate in held:
                gate.set()
            ended = await asyncio.gather(*open_now)
            await asyncio.sleep(SEEN_S)
            last = [stream(one, seed) for seed in range(8, 12)]
            for _ in last:
                (await gates.get()).set()
            return [answer.status_code for answer in (*ended, *(await asyncio.gather(*last)), *refused)]

    async def bounded() -> list[int]:
        async with asyncio.timeout(30):
            return await story()

    with held_target() as gates:
        assert told(bounded) == [200] * 8 + [429] * 3


def test_what_a_worker_counted_is_counted_when_it_is_gone(tmp_path: Path) -> None:
    """Replaced while others serve, it leaves its counts; a server that begins anew begins with none."""

    async def story() -> list[int]:
        seen = []
        async with crew(tmp_path) as (book, (one,)):
            _, key = await book.create(tenant="acme")
            await asyncio.sleep(SEEN_S)
            async with crew(tmp_path) as (_, (two,)):
                for seed in range(3):
                    await two.ask("POST", "/v11/generate", {**BRIEF, "seed": seed}, key=key)
            await one.ask("POST", "/v11/generate", {**BRIEF, "seed": 9}, key=key)
            seen.append((await one.ask("GET", "/v11/performance-stats", key=key)).json()["requests"]["total"])
        async with crew(tmp_path) as (_, (one,)):
            seen.append((await one.ask("GET", "/v11/performance-stats", key=key)).json()["requests"]["total"])
        return seen

    assert told(story) == [4, 0]


def test_money_that_another_worker_holds_and_does_not_use_is_waited_for(tmp_path: Path, priced: Any) -> None:
    """A budget of two calls at worst: asked of two workers in turns, each is served; spent, it is refused as spent."""

    async def story() -> tuple[list[int], dict[str, Any]]:
        async with crew(tmp_path, 2, targets=("priced",), routing=priced) as (book, workers):
            _, key = await book.create(budget=Budget(0.0015, "total"))
            await asyncio.sleep(SEEN_S)
            statuses = []
            for seed in range(6):
                answer = await workers[seed % 2].ask(
                    "POST", "/v11/generate", {**BRIEF, "seed": seed}, key=key
                )
                statuses.append(answer.status_code)
            for seed in range(6, 30):
                answer = await workers[0].ask("POST", "/v11/generate", {**BRIEF, "seed": seed}, key=key)
                if answer.status_code != 200:
                    break
            return statuses, answer.json()

    statuses, refused = told(story)
    assert statuses == [200] * 6
    assert (refused["status"], refused["retryable"], refused["held"]) == (429, False, 0.0)
    assert refused["spent"] + refused["estimate"] > refused["cap"]
    assert f"{refused['cap'] - refused['spent']:.6g} left" in refused["detail"]


def test_pages_of_other_origins_change_nothing_on_an_open_server(tmp_path: Path) -> None:
    """A browser sends a form without asking first; its own page, a named one and whoever is no browser may."""

    async def story() -> list[int]:
        async with crew(tmp_path, cors_origins=("https://shop.example",)) as (_, (worker,)):
            origins = ("https://evil.example", "null", "https://shop.example", "http://127.0.0.1:8000")
            asked = [await worker.ask("POST", "/v11/cache/clear", origin=origin) for origin in origins]
            return [answer.status_code for answer in (*asked, await worker.ask("POST", "/v11/cache/clear"))]

    assert told(story) == [403, 403, 200, 200, 200]


def test_a_store_that_is_closed_gives_no_connection(tmp_path: Path) -> None:
    """One in use is given back first, and whoever comes later is refused rather than given one that stays open."""

    async def story() -> list[str]:
        seen = []
        store = Store(file_url(tmp_path))
        await store.open()
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def use() -> None:
            async with store.writing():
                inside.set()
                await go_on.wait()
            seen.append("given back")

        using = asyncio.ensure_future(use())
        await inside.wait()
        closing = asyncio.ensure_future(store.aclose())
        await asyncio.sleep(0.05)
        with pytest.raises(StoreUnavailable, match="closed"):
            async with store.reading():
                seen.append("a connection after the end")
        go_on.set()
        await closing
        seen.append("closed")
        await using
        await store.open()
        await store.aclose()
        return seen

    assert told(story) == ["given back", "closed"]
    gc.collect()  # a connection that was left open would warn


def test_whoever_changed_something_sees_it_although_a_look_is_under_way(tmp_path: Path) -> None:
    """That look may have read before the change: another is made after it."""

    class Slow(Store):
        """Takes its time after it has read."""

        @asynccontextmanager
        async def reading(self) -> AsyncIterator[AsyncConnection]:
            async with super().reading() as connection:
                yield connection
                await asyncio.sleep(0.1)

    async def story() -> list[bool]:
        store = Slow(file_url(tmp_path))
        await store.open()
        ring, seen = Keyring(store), []
        for _ in range(3):
            looking = asyncio.ensure_future(ring.look_now())
            await asyncio.sleep(0.05)
            _, text = await KeyBook(store).create()
            await ring.look_now()
            seen.append(ring.find(text) is not None)
            await looking
        await store.aclose()
        return seen

    assert told(story) == [True] * 3


def test_streams_are_written_in_the_order_of_their_counts(tmp_path: Path) -> None:
    """However many ask at once: the count that stays is the last one, and whoever waits is answered by one writing."""

    class Slow(Store):
        """Makes the first writing wait until others have asked."""

        written = 0

        @asynccontextmanager
        async def writing(self) -> AsyncIterator[AsyncConnection]:
            self.written += 1
            await asyncio.sleep(0.05 if self.written == 2 else 0)
            async with super().writing() as connection:
                yield connection

    async def story() -> tuple[list[int], int, int]:
        store = Slow(file_url(tmp_path))
        await store.open()
        own, changed = Counter[str](), set[str]()
        one = OpenStreams(store, "one", lambda key: own[key], changed)
        other = OpenStreams(store, "other", lambda _: 0, set())
        store.written = 1

        async def another() -> int:
            own["k"] += 1
            changed.add("k")
            return await one.elsewhere("k")

        asking = [asyncio.ensure_future(another()) for _ in range(5)]
        await asyncio.sleep(0.01)
        asking += [asyncio.ensure_future(another()) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()  # who began the first writing leaves in the midst of it
        found = await asyncio.gather(*asking, return_exceptions=True)
        written = store.written - 1
        seen = await other.elsewhere("k")
        await store.aclose()
        return [answer for answer in found if isinstance(answer, int)], seen, written

    answers, seen, written = told(story)
    assert (answers, seen) == ([0] * 9, 10)
    assert written <= 3


def test_an_address_is_counted_whatever_it_asks_for(tmp_path: Path) -> None:
    """
    Public routes, unknown ones, wrong methods and routes that want a key, with one and without, each once; probes never,
    also behind the bound.
    """

    async def story() -> None:
        asked = (
            ("GET", "/openapi.json", 200),
            ("GET", "/docs", 200),
            ("GET", "/nope", 404),
            ("GET", "/v11/generate", 405),
            ("GET", "/catalog", 401),
            *[("POST", "/v11/generate", 200)] * 4,  # the last two of them are answered the short way
        )
        async with crew(tmp_path, ip_rate=f"{len(asked)}/hour") as (book, (worker,)):
            _, key = await book.create(scopes=["generate"])
            await asyncio.sleep(SEEN_S)
            for method, path, status in asked:
                posted = method == "POST"
                answer = await worker.ask(method, path, BRIEF if posted else None, key=key if posted else "")
                assert answer.status_code == status
                assert (await worker.ask("GET", "/health/live")).status_code == 200
            for method, path, _ in asked:
                answer = await worker.ask(method, path, BRIEF if method == "POST" else None, key=key)
                assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
                assert int(answer.headers["retry-after"]) >= 1
            for probe in ("/health/live", "/health/ready"):
                assert (await worker.ask("GET", probe)).status_code == 200

    told(story)
