"""Answers given again as the bytes they were: the same to whoever may have them, and to nobody else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from copykit import CopywritingServiceV11, Settings, register_provider
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.kept.repeats import Repeats
from copykit.server.wire import GONE
from copykit.settings import CacheSettings
from copykit.testing import FakeClock, FakeProvider
from server_crew import BRIEF, SEEN_S, WorkerAtHand, crew, told

PATH = "/v11/generate"


class Watched:
    """A worker, and whether the engine was asked for the request at hand."""

    def __init__(self, worker: WorkerAtHand) -> None:
        self.worker = worker
        self.asked = 0
        worker.app.state.answers._engine.add_hook(self)

    def __call__(self, event: Any) -> None:
        """Count what the engine begins."""
        self.asked += type(event).__name__ == "GenerationStarted"

    async def ask(self, body: Any = BRIEF, **told: str) -> tuple[Any, bool]:
        """Send one request; give the answer and whether the engine was asked."""
        before = self.asked
        answer = await self.worker.ask("POST", PATH, body, **told)
        return answer, self.asked > before


def test_the_same_request_gets_the_same_bytes_without_the_engine(tmp_path: Path) -> None:
    """The first is written, the second found in the cache, the third and all after it are the second's bytes."""

    async def story() -> None:
        async with crew(tmp_path, rate="1000/minute") as (book, (worker,)):
            _, key = await book.create(scopes=["generate", "read"])
            await asyncio.sleep(SEEN_S)
            watched = Watched(worker)
            answers = [await watched.ask(key=key) for _ in range(4)]
            assert [engine for _, engine in answers] == [True, True, False, False]
            assert [answer.json()["cached"] for answer, _ in answers] == [False, True, True, True]
            second, third = answers[1][0], answers[2][0]
            assert third.content == second.content
            varying = ("x-request-id", "ratelimit-remaining", "ratelimit-reset")
            headers = [{n: v for n, v in a.headers.items() if n not in varying} for a in (second, third)]
            assert headers[0] == headers[1]
            assert int(third.headers["ratelimit-remaining"]) == int(second.headers["ratelimit-remaining"]) - 1
            stats = (await worker.ask("GET", "/v11/performance-stats", key=key)).json()
            assert (stats["requests"]["total"], stats["requests"]["cached"], stats["cache"]["hits"]) == (
                4,
                3,
                3,
            )

    told(story)


def test_who_may_not_have_it_does_not_get_it(tmp_path: Path) -> None:
    """No key, a wrong one, one without the scope, another tenant's, one that has ended, and one request too many."""

    async def story() -> None:
        async with crew(tmp_path) as (book, (worker,)):
            own, key = await book.create(tenant="acme", rate="8/hour")
            _, reader = await book.create(tenant="acme", scopes=["read"])
            _, other = await book.create(tenant="bolt")
            await asyncio.sleep(SEEN_S)
            watched = Watched(worker)
            for _ in range(3):
                answer, _ = await watched.ask(key=key)
            assert not (await watched.ask(key=key))[1]
            assert (await watched.ask())[0].status_code == 401
            assert (await watched.ask(key=key[:-1] + "x"))[0].status_code == 401
            assert (await watched.ask(key=reader))[0].status_code == 403
            theirs, engine = await watched.ask(key=other)
            assert engine
            assert theirs.json()["cached"] is False
            assert (await watched.ask(key=key, host="evil.example"))[0].status_code == 400
            statuses = [(await watched.ask(key=key))[0].status_code for _ in range(5)]
            assert statuses == [200] * 4 + [429]
            await book.revoke(own.id)
            await asyncio.sleep(SEEN_S)
            assert (await watched.ask(key=key))[0].status_code == 401
            assert answer.status_code == 200

    told(story)


@pytest.mark.parametrize(
    "unusual",
    [
        {"idempotency_key": "n"},
        {"x_request_timeout_ms": "5000"},
        {"content_encoding": "identity"},
        {"origin": "https://shop.example"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"content_type": "application/json; charset=utf-8"},
    ],
)
def test_whatever_is_unusual_goes_the_whole_way(tmp_path: Path, unusual: dict[str, str]) -> None:
    """Its answer is the engine's, or a refusal, as if there were no short way."""

    async def story() -> None:
        async with crew(tmp_path) as (_, (worker,)):
            watched = Watched(worker)
            for _ in range(3):
                await watched.ask()
            answer, engine = await watched.ask(**unusual)
            assert engine or answer.status_code in (403, 415)

    told(story)


def test_a_cleared_cache_is_cleared_here_too(tmp_path: Path) -> None:
    """By its tenant, and by the operator for all."""

    async def story() -> None:
        async with crew(tmp_path) as (book, (worker,)):
            _, key = await book.create(tenant="acme", scopes=["generate", "admin"])
            _, operator = await book.create(scopes=["admin"])
            await asyncio.sleep(SEEN_S)
            watched = Watched(worker)
            for clears in (key, operator):
                for _ in range(3):
                    answer, engine = await watched.ask(key=key)
                assert not engine
                assert (await worker.ask("POST", "/v11/cache/clear", key=clears)).status_code == 200
                answer, engine = await watched.ask(key=key)
                assert engine
                assert answer.json()["cached"] is False

    told(story)


def test_answers_end_when_the_caches_would() -> None:
    """A second before its time an answer is given, a second after it is not; rejected or fresh ones never are."""
    service = CopywritingServiceV11(Settings(cache=CacheSettings(ttl_s=100.0)))

    async def story() -> None:
        for _ in range(2):
            output = await service.generate(BRIEF)
        clock = FakeClock(output.created_at.timestamp() + 99)
        repeats = Repeats(100.0, clock=clock)
        repeats.keep(":0", b"asked", output.model_copy(update={"cached": False}), b"answer", stores=0)
        assert repeats.find(":0", b"asked") is None
        repeats.keep(":0", b"asked", output, b"answer", stores=0)
        found = repeats.find(":0", b"asked")
        assert found is not None
        assert found.body == b"answer"
        assert repeats.find("acme:0", b"asked") is None
        clock.now += 2
        assert repeats.find(":0", b"asked") is None
        await service.aclose()

    told(story)


class Places(FakeProvider):
    """A model that writes another text at each call."""

    def __init__(self) -> None:
        super().__init__("places")
        for place in ("meadow", "harbour", "orchard", "island"):
            self.will_say({"text": f"Standing desk for your {place}, oiled oak, 120 x 60 cm."})


@pytest.mark.parametrize("how", ["refresh", "write"])
@pytest.mark.parametrize("path", [PATH, "/generate", "/v11/generate/stream"])
def test_copy_that_is_written_anew_is_given_from_then_on(tmp_path: Path, how: str, path: str) -> None:
    """An answer is never older than the engine's cache, whichever route the new copy was written on."""
    provider = Places()
    register_provider("places", lambda: provider)

    async def story() -> None:
        async with crew(tmp_path, targets=("places",)) as (_, (worker,)):
            watched = Watched(worker)
            answers = [await watched.ask() for _ in range(3)]
            assert ["meadow" in answer.json()["text"] for answer, _ in answers] == [True] * 3
            assert not answers[2][1]
            await worker.ask("POST", path, {**BRIEF, "cache": how})
            answers = [await watched.ask() for _ in range(3)]
            assert ["harbour" in answer.json()["text"] for answer, _ in answers] == [True] * 3
            assert [engine for _, engine in answers] == [True, False, False]
            assert len(provider.asked) == 2

    try:
        told(story)
    finally:
        unregister_provider("places")


def test_an_answer_that_was_looked_up_before_a_newer_one_was_stored_is_not_kept() -> None:
    """Which of the two requests ends first makes no difference, also where many results were stored since."""
    service = CopywritingServiceV11(Settings())

    async def story() -> None:
        for _ in range(2):
            output = await service.generate(BRIEF)
        repeats = Repeats(1000.0)
        before = repeats.stores
        repeats.stored(output.receipt.key)
        repeats.keep("", b"asked", output, b"older", stores=before)
        assert repeats.find("", b"asked") is None
        repeats.keep("", b"asked", output, b"answer", stores=repeats.stores)
        assert repeats.find("", b"asked") is not None
        for n in range(5000):
            repeats.stored(f"{n}")
        repeats.keep("", b"asked anew", output, b"older", stores=before)
        assert repeats.find("", b"asked anew") is None
        assert repeats.find("", b"asked") is not None
        await service.aclose()

    told(story)


def test_a_result_of_a_tier_that_others_write_to_is_looked_up_again_after_a_second() -> None:
    """What another worker stored there nobody tells of here."""
    service = CopywritingServiceV11(Settings(cache=CacheSettings(ttl_s=100.0)))

    async def story() -> None:
        for _ in range(2):
            output = await service.generate(BRIEF)
        clock = FakeClock(output.created_at.timestamp())
        repeats = Repeats(100.0, clock=clock)
        output.receipt.cache = "redis"
        repeats.keep("", b"asked", output, b"answer", stores=0)
        clock.now += 0.9
        assert repeats.find("", b"asked") is not None
        clock.now += 0.2
        assert repeats.find("", b"asked") is None
        await service.aclose()

    told(story)


def test_many_answers_stay_within_their_bounds() -> None:
    """Long requests and answers are not kept, and of many the oldest go."""
    service = CopywritingServiceV11(Settings())

    async def story() -> None:
        for _ in range(2):
            output = await service.generate(BRIEF)
        repeats = Repeats(1000.0)
        repeats.keep("", b"x" * 20_000, output, b"answer", stores=0)
        repeats.keep("", b"asked", output, b"x" * 70_000, stores=0)
        assert repeats.find("", b"x" * 20_000) is repeats.find("", b"asked") is None
        for n in range(5000):
            repeats.keep("", b"%d" % n, output, b"answer", stores=0)
        assert repeats.find("", b"0") is None
        assert repeats.find("", b"4999") is not None
        assert len(repeats._kept) <= 4096
        for n in range(5000):
            repeats.stored(f"{n}")
        assert len(repeats._latest) <= 4096
        repeats.stored(output.receipt.key)
        assert not repeats._kept
        assert not repeats._places
        assert repeats._bytes == 0
        await service.aclose()

    told(story)


@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize("late", [False, True])
def test_bodies_in_pieces_and_late_ones_arrive_whole(pieces: int, late: bool) -> None:
    """However the body comes, the answer is right: what was read to look for the short way is not lost."""
    app = create_app(server=ServerSettings(), service=CopywritingServiceV11(Settings()))
    body = json.dumps(BRIEF).encode()
    size = -(-len(body) // pieces)

    async def ask() -> tuple[int, Any]:
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        sent: list[Any] = []

        async def receive() -> Any:
            if late:
                await asyncio.sleep(0.001)
            piece = parts.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8000),
        }
        await app(scope, receive, send)
        told = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], json.loads(told)

    async def story() -> list[tuple[int, bool]]:
        answers = [await ask() for _ in range(4)]
        assert len({answer["text"] for _, answer in answers}) == 1
        return [(status, answer["cached"]) for status, answer in answers]

    assert told(story) == [(200, False)] + [(200, True)] * 3


def test_a_caller_that_leaves_while_its_body_is_late_leaves_nothing_behind() -> None:
    """The wait that was begun before all rooms of the house is ended with the request."""
    app = create_app(server=ServerSettings(), service=CopywritingServiceV11(Settings()))
    ended: list[str] = []

    async def story() -> None:
        async def receive() -> Any:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append("receive")

        async def send(message: Any) -> None:
            """Take nothing in."""

        scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8000),
        }
        asked = asyncio.ensure_future(app(scope, receive, send))
        await asyncio.sleep(0.05)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    told(story)
    assert ended == ["receive"]


def test_a_request_that_is_refused_is_counted_once(tmp_path: Path) -> None:
    """What the short way counts the long way does not count again: five of a key pass, and twenty of its address."""

    async def story() -> list[int]:
        async with crew(tmp_path, rate="5/hour", ip_rate="20/hour") as (book, (worker,)):
            _, one = await book.create()
            _, other = await book.create(rate="100/hour")
            await asyncio.sleep(SEEN_S)
            first = [(await worker.ask("POST", PATH, BRIEF, key=one)).status_code for _ in range(12)]
            return first + [(await worker.ask("POST", PATH, BRIEF, key=other)).status_code for _ in range(9)]

    assert told(story) == [200] * 5 + [429] * 7 + [200] * 8 + [429]


def test_a_client_that_left_is_not_told_as_answered(tmp_path: Path) -> None:
    """Its request goes the whole way, which says so; it is counted against its key once, and the engine is not asked."""

    async def story() -> None:
        async with crew(tmp_path, rate="100/hour") as (book, (worker,)):
            _, key = await book.create()
            await asyncio.sleep(SEEN_S)
            watched = Watched(worker)
            before = [await watched.ask(key=key) for _ in range(4)]

            async def left(scope: Any, receive: Any, send: Any) -> None:
                await worker.app({**scope, "extensions": {GONE: lambda scope: True}}, receive, send)

            transport = httpx2.ASGITransport(app=left)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                answer = await WorkerAtHand(left, client).ask("POST", PATH, BRIEF, key=key)
            assert (answer.status_code, answer.json()["code"]) == (499, "client_gone")
            after, engine = await watched.ask(key=key)
            assert not engine
            assert watched.asked == 2
            counts = [int(answer.headers["ratelimit-remaining"]) for answer in (before[-1][0], after)]
            assert counts[0] - counts[1] == 2
            figures = (await worker.ask("GET", "/metrics/prometheus", key=key)).text
            answered = f'copykit_http_requests_total{{method="POST",route="{PATH}",status='
            assert f'{answered}"200"}} 5.0' in figures
            assert f'{answered}"499"}} 1.0' in figures

    told(story)
