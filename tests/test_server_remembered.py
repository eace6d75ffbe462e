"""Answers kept by Idempotency-Key: done once, the same for a day, and never another tenant's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from copykit import register_provider
from copykit.errors import ProviderUnavailable
from copykit.providers.registry import unregister_provider
from copykit.server.again import once
from copykit.server.config import file_url
from copykit.server.kept.crew import Crew
from copykit.server.kept.remembered import KEPT_S, LONGEST, Kept, Memory, Remembers, Shared
from copykit.server.kept.store import Store
from copykit.server.routes import ROUTES
from copykit.server.wire import Refused, StoreUnavailable
from copykit.testing import FakeClock, FakeProvider
from server_crew import BRIEF, SEEN_S, crew, told

ANSWER = Kept(200, "application/json", b"{}")
SPEC = next(spec for spec in ROUTES if spec.path == "/v11/generate")


@pytest.fixture(params=["memory", "store"])
def remembering(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], None]:
    """Runs a story over what remembers, in this process and in a store."""

    def run(story: Callable[[Remembers, FakeClock], Awaitable[None]]) -> None:
        async def over() -> None:
            clock = FakeClock(1_000_000.0)
            if request.param == "memory":
                await story(Memory(clock=clock), clock)
                return
            store = Store(file_url(tmp_path))
            await store.open()
            try:
                await Crew(store, "w1", "").beat(())
                await story(Shared(store, "w1", clock=clock), clock)
            finally:
                await store.aclose()

        told(over)

    return run


async def refusal(awaited: Awaitable[Any]) -> tuple[int, str]:
    """Give status and code of what is refused."""
    with pytest.raises(Refused) as caught:
        await awaited
    return caught.value.status, caught.value.code


def test_the_first_is_done_and_the_others_are_told_its_answer(remembering: Any) -> None:
    """In work 409, with another body 422, done the same answer; another tenant's name is another name."""

    async def story(remembered: Remembers, clock: FakeClock) -> None:
        assert await remembered.begin("a", "n", b"1" * 32) is None
        assert await refusal(remembered.begin("a", "n", b"1" * 32)) == (409, "idempotency_in_progress")
        assert await remembered.begin("b", "n", b"1" * 32) is None
        await remembered.end("a", "n", ANSWER)
        assert await remembered.begin("a", "n", b"1" * 32) == ANSWER
        assert await refusal(remembered.begin("a", "n", b"2" * 32)) == (422, "idempotency_mismatch")

    remembering(story)


def test_what_was_not_answered_for_good_may_be_done_again(remembering: Any) -> None:
    """An answer that is not kept leaves no trace."""

    async def story(remembered: Remembers, clock: FakeClock) -> None:
        await remembered.begin("a", "n", b"1" * 32)
        await remembered.end("a", "n", None)
        assert await remembered.begin("a", "n", b"2" * 32) is None

    remembering(story)


def test_answers_are_forgotten_after_a_day_and_work_never(remembering: Any) -> None:
    """However long the first takes, a second is not done beside it; what is very long is done again."""

    async def story(remembered: Remembers, clock: FakeClock) -> None:
        await remembered.begin("a", "done", b"1" * 32)
        await remembered.end("a", "done", ANSWER)
        await remembered.begin("a", "slow", b"1" * 32)
        await remembered.begin("a", "long", b"1" * 32)
        await remembered.end("a", "long", Kept(200, "application/json", b"x" * (LONGEST + 1)))
        assert await remembered.begin("a", "long", b"1" * 32) is None
        assert await remembered.begin("a", "done", b"1" * 32) == ANSWER
        clock.now += KEPT_S + 1
        assert await refusal(remembered.begin("a", "slow", b"1" * 32)) == (409, "idempotency_in_progress")
        await remembered.purge()
        assert await remembered.begin("a", "done", b"2" * 32) is None

    remembering(story)


class Failing(Store):
    """Fails at the end of one writing, when it is told to; says when one begins."""

    fails = False
    begins: asyncio.Event | None = None

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Do as a store does, or fail."""
        if self.begins is not None:
            self.begins.set()
        async with super().writing() as connection:
            yield connection
            if self.fails:
                self.fails = False
                raise StoreUnavailable("at the commit")


def over_failing(folder: Path, story: Callable[[Failing, Shared], Awaitable[None]]) -> None:
    """Run *story* over a store that fails, and what remembers in it."""

    async def run() -> None:
        store = Failing(file_url(folder))
        await store.open()
        try:
            await Crew(store, "w1", "").beat(())
            await story(store, Shared(store, "w1"))
        finally:
            await store.aclose()

    told(run)


@pytest.mark.parametrize("size", [2, LONGEST + 1])
def test_an_answer_that_the_store_did_not_take_is_kept_once_it_does(tmp_path: Path, size: int) -> None:
    """Until then a repeat waits; one too long to be kept is done again."""

    async def story(store: Failing, remembered: Shared) -> None:
        kept = Kept(200, "application/json", b"x" * size)
        assert await remembered.begin("a", "n", b"1" * 32) is None
        store.fails = True
        with pytest.raises(StoreUnavailable):
            await remembered.end("a", "n", kept)
        assert await refusal(remembered.begin("a", "n", b"1" * 32)) == (409, "idempotency_in_progress")
        await remembered.catch_up()
        assert await remembered.begin("a", "n", b"1" * 32) == (kept if size <= LONGEST else None)

    over_failing(tmp_path, story)


def test_who_leaves_before_the_work_begins_has_sent_nothing(tmp_path: Path) -> None:
    """Cut off while the name is written down, by a client that leaves: the same name may come again at once."""

    async def story(store: Failing, remembered: Shared) -> None:
        async def work() -> Response:
            worked.append(1)
            return Response("{}")

        def sent() -> asyncio.Task[Response]:
            headers = [(b"idempotency-key", b"n")]
            scope = {"type": "http", "method": "POST", "path": "/v11/generate", "headers": headers}
            return asyncio.ensure_future(once(Request(scope), SPEC, "a", b"{}", remembered, work))

        worked: list[int] = []
        for _ in range(5):
            store.begins = asyncio.Event()
            first = sent()
            await store.begins.wait()
            first.cancel()
            await asyncio.wait([first])
            assert first.cancelled()
            await asyncio.sleep(0.2)
        assert not worked
        assert (await sent()).status_code == 200
        assert (await sent()).headers["idempotent-replayed"] == "true"
        assert len(worked) == 1

    over_failing(tmp_path, story)


def test_over_http_a_repeat_costs_nothing_and_a_failure_is_tried_again(tmp_path: Path) -> None:
    """One call for two requests of one name; after 502 the same name is done anew; wrong names are 400."""
    fake = FakeProvider("counted").will_say(
        ProviderUnavailable("down", status=500), {"text": "Standing desk in oiled oak."}
    )
    register_provider("counted", lambda: fake)

    async def story() -> None:
        async with crew(tmp_path, targets=("counted",), routing={"repeats": 0}) as (book, (worker,)):
            _, key = await book.create()
            await asyncio.sleep(SEEN_S)
            body = {**BRIEF, "cache": "off"}

            async def ask(**headers: str) -> Any:
                return await worker.ask("POST", "/v11/generate", body, key=key, **headers)

            assert (await ask(idempotency_key="n")).status_code == 502
            first, again = await ask(idempotency_key="n"), await ask(idempotency_key="n")
            assert (first.status_code, again.content) == (200, first.content)
            assert again.headers["idempotent-replayed"] == "true"
            assert len(fake.asked) == 2
            other = await worker.ask("POST", "/v11/generate", BRIEF, key=key, idempotency_key="n")
            assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
            for wrong in ("x" * 256, ""):
                assert (await ask(idempotency_key=wrong)).status_code == 400
            streamed = await worker.ask("POST", "/v11/generate/stream", body, key=key, idempotency_key="s")
            assert streamed.status_code == 400

    try:
        told(story)
    finally:
        unregister_provider("counted")


def test_a_refusal_given_again_names_the_request_that_did_the_work(tmp_path: Path) -> None:
    """Byte for byte the first one, so that its `request_id` finds the log's lines on it; the header is the repeat's own."""

    async def story() -> None:
        async with crew(tmp_path) as (_, (worker,)):
            for path, body in (("/v11/generate", {}), ("/v11/batch-generate", [BRIEF, {}])):
                first, again = [
                    await worker.ask("POST", path, body, idempotency_key=path, x_request_id=name)
                    for name in ("first", "again")
                ]
                assert again.headers["idempotent-replayed"] == "true"
                assert again.content == first.content
                problem = first.json() if path == "/v11/generate" else first.json()["results"][1]["error"]
                assert (problem["code"], problem["request_id"]) == ("invalid_request", "first")
                assert again.headers["x-request-id"] == "again"

    told(story)


def test_two_at_once_are_done_once(tmp_path: Path) -> None:
    """Of two workers asked in the same moment one does it; the other says 409, or has the answer."""

    async def story() -> list[int]:
        async with crew(tmp_path, 2) as (book, workers):
            _, key = await book.create()
            await asyncio.sleep(SEEN_S)
            body = {**BRIEF, "cache": "off"}
            asked = [one.ask("POST", "/v11/generate", body, key=key, idempotency_key="n") for one in workers]
            answers = await asyncio.gather(*asked)
            return sorted(answer.status_code for answer in answers)

    assert told(story) in ([200, 200], [200, 409])


def test_what_a_dead_worker_had_begun_is_done_by_another(tmp_path: Path) -> None:
    """Its name is free once the crew has taken it out, and only one of two that ask at once gets it."""

    async def story() -> None:
        store = Store(file_url(tmp_path))
        await store.open()
        steady = FakeClock(0.0)
        for worker in ("dead", "w1", "w2"):
            await Crew(store, worker, "").beat(())
        await Shared(store, "dead").begin("a", "n", b"1" * 32)
        one, two = Shared(store, "w1"), Shared(store, "w2")
        assert (await refusal(one.begin("a", "n", b"1" * 32)))[0] == 409
        watching = Crew(store, "w1", "", steady=steady)
        await watching.beat(())
        steady.now += 31
        dead = await watching.beat(())
        assert sorted(dead) == ["dead", "w2"]
        for worker in dead:
            await watching.remove(worker)
        await Crew(store, "w2", "").beat(())
        asked = (shared.begin("a", "n", b"1" * 32) for shared in (one, two))
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(one).__name__ for one in told) == ["NoneType", "Refused"]
        await store.aclose()

    told(story)


def test_a_refusal_that_would_be_the_same_is_remembered_too(tmp_path: Path) -> None:
    """A brief that breaks a rule: told again, and its name is taken for other briefs."""

    async def story() -> None:
        async with crew(tmp_path) as (book, (worker,)):
            _, key = await book.create()
            await asyncio.sleep(SEEN_S)
            wrong = {**BRIEF, "tone": "shouting"}
            first, again = [
                await worker.ask("POST", "/v11/generate", wrong, key=key, idempotency_key="n")
                for _ in range(2)
            ]
            assert (first.status_code, again.content) == (422, first.content)
            assert again.headers["content-type"] == first.headers["content-type"]
            other = await worker.ask("POST", "/v11/generate", BRIEF, key=key, idempotency_key="n")
            assert other.json()["code"] == "idempotency_mismatch"

    told(story)


def test_an_answer_that_cannot_be_remembered_is_given(tmp_path: Path) -> None:
    """What was written and paid is worth more than its second copy."""

    class Forgetful(Memory):
        """Remembers nothing at the end."""

        async def end(self, tenant: str, name: str, kept: Kept | None) -> None:
            """Fail as a silent store does."""
            raise StoreUnavailable("the store did not answer: OperationalError")

    async def story() -> int:
        async with crew(tmp_path) as (book, (worker,)):
            _, key = await book.create()
            await asyncio.sleep(SEEN_S)
            worker.app.state.holdings.remembered = Forgetful()
            return (
                await worker.ask("POST", "/v11/generate", BRIEF, key=key, idempotency_key="n")
            ).status_code

    assert told(story) == 200


@pytest.mark.parametrize(("cache", "calls"), [("on", 3), ("off", 4)])
def test_a_batch_that_is_done_again_pays_only_for_what_no_cache_has(
    tmp_path: Path, cache: str, calls: int
) -> None:
    """Of two briefs one failed in passing: the repeat takes the other out of the cache, where that is not off."""
    said = {"text": "Standing desk in oiled oak."}
    served = FakeProvider("flaky").will_say(said, ProviderUnavailable("away"), said, said)
    register_provider("flaky", lambda: served)

    async def story() -> list[int]:
        async with crew(tmp_path, targets=("flaky",), routing={"repeats": 0}) as (_, (worker,)):
            briefs = [{**BRIEF, "seed": seed, "cache": cache} for seed in (1, 2)]
            failed = []
            for _ in range(2):
                answer = await worker.ask("POST", "/v11/batch-generate", briefs, idempotency_key="b")
                failed.append(answer.json()["summary"]["failed"])
            return failed

    try:
        assert told(story) == [1, 0]
    finally:
        unregister_provider("flaky")
    assert len(served.asked) == calls


def test_a_batch_with_what_may_succeed_later_is_done_again(tmp_path: Path) -> None:
    """One item failed at its provider: the repeat asks anew; when all is final the same answer is given again."""
    said = {"text": "Standing desk in oiled oak."}
    served = FakeProvider("flaky").will_say(ProviderUnavailable("away"), said)
    register_provider("flaky", lambda: served)

    async def story() -> list[tuple[int, str | None]]:
        routing = {"repeats": 0}
        async with crew(tmp_path, targets=("flaky",), routing=routing) as (_, (worker,)):
            seen = []
            for _ in range(3):
                answer = await worker.ask(
                    "POST", "/v11/batch-generate", [BRIEF], idempotency_key="b", x_request_id="mine"
                )
                failed = answer.json()["results"][0]["error"]
                assert failed is None or failed["request_id"] == "mine"
                seen.append((answer.json()["summary"]["failed"], answer.headers.get("idempotent-replayed")))
            return seen

    try:
        assert told(story) == [(1, None), (0, None), (0, "true")]
    finally:
        unregister_provider("flaky")
