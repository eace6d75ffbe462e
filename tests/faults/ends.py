"""Faults of a server's end (X06 to X09): what a signal does, over ``copykit run`` itself with one worker or two."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from .catalogue import fault
from .stage import NotHere, Stage
from .vendors import KEYS

SERVER_KEY = "Vt5xH8rNq2YwKz7pLmB4cJ9dFgSe3aUo_X"
PLANTED = {
    "OPENAI_API_KEY": KEYS["openai"],
    "ANTHROPIC_API_KEY": KEYS["anthropic"],
    "GOOGLE_API_KEY": KEYS["google"],
    "OPENROUTER_API_KEY": KEYS["openrouter"],
}


class Ending:
    """One server that is about to end."""

    def __init__(self, stage: Stage, place: Any, workers: int, options: tuple[str, ...], **more: str) -> None:
        self.stage = stage
        self.began = time.monotonic()
        given = {**PLANTED, "API_KEY": SERVER_KEY, "COPYKIT_LOG_LEVEL": "debug", **more}
        self.server = place.run("--workers", str(workers), *options, slow=True, **given)
        self.url: str = self.server.url
        self.headers = {"X-API-Key": SERVER_KEY}

    def note(self, text: str) -> None:
        """Write down what happened and when, by the real clock: the stage's own stands still meanwhile."""
        self.stage.notes.append(f"{time.monotonic() - self.began:10.3f} s  {text}")

    def send(self, number: int = signal.SIGTERM) -> float:
        """Send a signal; the time of it."""
        self.note(f"{signal.Signals(number).name} to {self.server.told}")
        sent: float = self.server.send(number)
        return sent

    def end(self, since: float, bound_s: float) -> int:
        """Wait for its end, which comes within *bound_s* of *since*; the exit status."""
        status: int = self.server.end(60)
        took_s = time.monotonic() - since
        self.note(f"status {status} after {took_s:.3f} s")
        assert took_s < bound_s * self.stage.slack, f"ended after {took_s} s"
        return status

    async def ask(self, count: int, first: int = 0) -> list[Any]:
        """Send so many requests at once."""
        from ..running import ask_many

        return await ask_many(self.url, count, first, key=SERVER_KEY)


@contextmanager
def ending(stage: Stage, workers: int, *options: str, **more: str) -> Iterator[Ending]:
    """Give a server under *stage*, which looks afterwards at all that it told.

    Raises:
        NotHere: this machine cannot run one.
    """
    if sys.platform == "win32":
        raise NotHere("signals of POSIX")
    try:
        import sse_starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise NotHere("needs the extra server") from None
    from ..running import Place

    stage.secrets["key of the server"] = SERVER_KEY
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        try:
            yield Ending(stage, place, workers, options, **more)
        finally:
            place.close()
            stage.told["logs of the server"] = [running.said() for running in place.started]
            stage.told["its first line"] = [json.dumps(running.told) for running in place.started]
            stage.told["its files"] = [
                path.read_bytes().decode("latin-1") for path in Path(folder).rglob("*") if path.is_file()
            ]


async def _apart(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *story* on a loop whose clock is the real one."""
    await asyncio.to_thread(asyncio.run, story())


@fault("X06", "SIGTERM, idle", again=False)
async def x06(stage: Stage) -> None:
    """Status 0 within 1 s, also where a client keeps an unused connection; the address is free again."""
    with ending(stage, 1 + stage.seed % 2) as it, httpx2.Client() as client:
        assert client.get(f"{it.url}/health/ready").status_code == 200
        assert it.end(it.send(), 1.0) == 0
        try:
            socket.create_connection(("127.0.0.1", it.server.port), timeout=5).close()
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("somebody still listens")


@fault("X07", "SIGTERM with 50 in flight", again=False)
async def x07(stage: Stage) -> None:
    """
    Readiness 503 within 100 ms, the listener open up to the end of the delay of 5 s, which is asked for, all 50 answered,
    no reset, status 0 within 30 s.
    """
    from ..running import wrong

    delay_s = 5.0 if stage.whole else 1.5
    with ending(stage, 1 + stage.seed % 2, "--drain-delay", str(delay_s), SLOW_S="1.5") as it:

        async def story() -> None:
            async with httpx2.AsyncClient(timeout=30) as client:
                assert (await client.get(f"{it.url}/health/ready")).status_code == 200
                working = asyncio.ensure_future(it.ask(50))
                await asyncio.sleep(0.7)
                sent = it.send()
                statuses = []
                while not statuses or (statuses[-1] == 200 and time.monotonic() - sent < 0.1 * stage.slack):
                    statuses.append((await client.get(f"{it.url}/health/ready")).status_code)
                assert statuses[-1] == 503
                assert (await client.get(f"{it.url}/health/live")).status_code == 200
                late = []
                for number, share in enumerate((0.2, 0.45, 0.7)):  # each over a connection of its own
                    await asyncio.sleep(sent + share * delay_s - time.monotonic())
                    brief = {**_brief(), "seed": 100 + number}
                    asked = client.post(f"{it.url}/v11/generate", json=brief, headers=it.headers)
                    late.append(asyncio.ensure_future(asked))
                answered = await asyncio.gather(*late, return_exceptions=True)
                assert not wrong(answered), wrong(answered)
                assert {answer.headers["connection"] for answer in answered} == {"close"}
                answers = await working
                assert not wrong(answers), wrong(answers)
            assert await asyncio.to_thread(it.end, sent, 30.0) == 0

        await _apart(story)


@fault("X08", "SIGTERM with open streams", again=False)
async def x08(stage: Stage) -> None:
    """One that ends before the limit has its result; the others end there with an error event, code `shutting_down`."""
    limit_s, options = _limit(stage, 1.5)
    with ending(stage, 1 + stage.seed % 2, SLOW_S="100", **options) as it:

        async def watch(client: httpx2.AsyncClient, at: int, seen: asyncio.Event) -> list[str]:
            brief = {**_brief(), "seed": at, "target_audience": "long" if at else "quick"}
            path = f"{it.url}/v11/generate/stream"
            async with client.stream("POST", path, json=brief, headers=it.headers) as answer:
                assert answer.status_code == 200
                lines = []
                async for line in answer.aiter_lines():
                    lines.append(line)
                    seen.set()
                return [line for line in lines if line]

        async def story() -> None:
            async with httpx2.AsyncClient(timeout=60) as client:
                begun = [asyncio.Event() for _ in range(3)]
                watching = [asyncio.ensure_future(watch(client, *each)) for each in enumerate(begun)]
                await asyncio.wait_for(asyncio.gather(*(seen.wait() for seen in begun)), 30)
                sent = it.send()
                short, *long = await asyncio.gather(*watching)
                assert short[-2] == "event: done", short
                for lines in long:
                    assert lines[-2] == "event: error", lines
                    assert json.loads(lines[-1].removeprefix("data: "))["code"] == "shutting_down"
                assert time.monotonic() - sent > limit_s - 0.1
            assert await asyncio.to_thread(it.end, sent, limit_s + 5.0) == 0

        await _apart(story)


@fault(
    "X09",
    "SIGTERM with a stuck handler; a second one; SIGINT",
    again=False,
    lacks="leases, which come with durable jobs",
)
async def x09(stage: Stage) -> None:
    """At the limit 503 `shutting_down` and status 0, within 5 s more whatever hangs; a second signal ends it at once."""
    kind = ("", "blocks", "stubborn")[stage.seed % 3]
    workers = 2 if stage.seed == 1 else 1
    limit_s, options = _limit(stage, 1.5)
    with ending(stage, workers, SLOW_S="120", SLOW_KIND=kind, **options) as it:

        async def limit() -> None:
            working = asyncio.ensure_future(it.ask(3))
            await asyncio.sleep(0.7)
            sent = it.send(signal.SIGINT)
            answers = await working
            assert time.monotonic() - sent > limit_s - 0.1, "work is broken off before the limit"
            assert await asyncio.to_thread(it.end, sent, limit_s + 5.0) == 0
            for answer in answers:
                if kind == "blocks":  # the loop itself hangs: nobody is left who could answer
                    assert isinstance(answer, httpx2.HTTPError)
                else:
                    assert (answer.status_code, answer.json()["code"]) == (503, "shutting_down")
                    assert answer.headers["retry-after"]

        await _apart(limit)
    with ending(stage, workers, SLOW_S="120", SLOW_KIND=kind) as it:

        async def second() -> None:
            working = asyncio.ensure_future(it.ask(2))
            await asyncio.sleep(0.7)
            it.send()
            await asyncio.sleep(0.3)
            assert await asyncio.to_thread(it.end, it.send(), 1.5) == 128 + signal.SIGTERM
            await working

        await _apart(second)


def _limit(stage: Stage, short_s: float) -> tuple[float, dict[str, str]]:
    """Give the seconds up to which work may go on, and what sets them: the usual 25 s at full length."""
    from .desk import usual

    assert usual("drain_s") == 25.0
    return (25.0, {}) if stage.whole else (short_s, {"COPYKIT_DRAIN_S": str(short_s)})


def _brief() -> dict[str, Any]:
    from ..running import BRIEF

    return dict(BRIEF)
