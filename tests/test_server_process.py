"""The server as a process: signals, what is in work when it ends, its workers, asked over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("uvicorn", reason="needs the extra server")

import httpx2

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

SLACK = 5
"""Fold of what is promised that a busy machine may take."""
BRIEF = {"product_name": "Norr", "product_description": "Standing desk, oiled oak", "target_platform": "x"}
SLOW = '''
import asyncio, os, time
from copykit.providers.base import Completion

COPY = '{"variants": [{"fields": {"text": "Norr: a standing desk in oiled oak."}, "parts": []}]}'

class Slow:
    """Takes its time, as its environment says."""

    name = "slow"

    async def complete(self, prompt):
        delay = float(os.environ.get("SLOW_S", "0.5"))
        kind = os.environ.get("SLOW_KIND", "")
        if kind == "blocks":
            time.sleep(delay)
        until = time.monotonic() + delay
        while (left := until - time.monotonic()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if kind != "stubborn":
                    raise
        return Completion(text=COPY, model="one")

    async def stream(self, prompt):
        yield COPY[:40]
        yield await self.complete(prompt)
'''


class Running:
    """One ``copykit run`` and what it says."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process, self._errors = process, errors
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, self.said()
        self.told: dict[str, Any] = json.loads(line)
        self.url: str = self.told["url"]
        self.port = int(self.url.rpartition(":")[2])

    def said(self) -> str:
        """Give what it wrote to standard error."""
        return self._errors.read_text(encoding="utf-8")

    def send(self, number: int) -> float:
        """Send a signal; the time of it."""
        self.process.send_signal(number)
        return time.monotonic()

    def end(self, within_s: float) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(within_s)

    def children(self) -> list[int]:
        """Give the numbers of its workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not path.exists():
            pytest.skip("needs Linux to know a process's children")
        return [int(number) for number in path.read_text(encoding="utf-8").split()]

    def status(self, path: str) -> int:
        """Ask for *path*; the status, 0 if there was no answer."""
        try:
            return httpx2.get(self.url + path, timeout=10).status_code
        except httpx2.HTTPError:
            return 0


class Place:
    """A folder with a provider that takes its time, in which servers are started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Running] = []
        package = folder / "site" / "slowcopy-1.0.dist-info"
        package.mkdir(parents=True)
        (package / "METADATA").write_text("Metadata-Version: 2.1\nName: slowcopy\nVersion: 1.0\n")
        (package / "entry_points.txt").write_text("[copykit.providers]\nslow = slowcopy:Slow\n")
        (folder / "site" / "slowcopy.py").write_text(SLOW)

    def environment(self, **more: str) -> dict[str, str]:
        """Give the environment of a server."""
        path = os.pathsep.join([str(self.folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {"PYTHONPATH": path, "COPYKIT_DATA_DIR": str(self.folder / "data"), "MAX_WORKERS": "64"}
        return {**os.environ, **own, **more}

    def command(self, *options: str) -> list[str]:
        """Give the command line of a server."""
        return [sys.executable, "-m", "copykit", "run", "--port", "0", "--json", *options]

    def run(self, *options: str, slow: bool = False, **more: str) -> Running:
        """Start a server and wait until it serves."""
        if slow:
            more = {"COPYKIT_PROVIDERS": "slow", **more}
        errors = self.folder / f"errors-{len(self.started)}"
        with errors.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                self.command(*options),
                cwd=self.folder,
                env=self.environment(**more),
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        try:
            running = Running(process, errors)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self.started.append(running)
        return running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a place to start servers in; those that still run are ended."""
    made = Place(tmp_path)
    yield made
    for running in made.started:
        if running.process.poll() is None:
            for child in (*running.children(), running.process.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()
        assert "Traceback" not in running.said()


async def ask_many(url: str, count: int, first: int = 0) -> list[httpx2.Response | Exception]:
    """Send *count* different requests at once, each on a connection of its own."""
    limits = httpx2.Limits(max_connections=count, max_keepalive_connections=0)
    async with httpx2.AsyncClient(timeout=30, limits=limits) as client:
        asked = [
            client.post(f"{url}/v11/generate", json={**BRIEF, "seed": first + number})
            for number in range(count)
        ]
        return list(await asyncio.gather(*asked, return_exceptions=True))  # type: ignore[arg-type]


def wrong(answers: Sequence[httpx2.Response | Exception]) -> list[Any]:
    """Give what is not a 200."""
    return [
        answer if isinstance(answer, Exception) else answer.text
        for answer in answers
        if isinstance(answer, Exception) or answer.status_code != 200
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_idle_server_ends_at_once(place: Place, workers: int) -> None:
    """With status 0 within a second of SIGTERM, also while a client keeps an unused connection open."""
    server = place.run("--workers", str(workers))
    assert (server.told["workers"], server.told["authentication"]) == (workers, False)
    with httpx2.Client() as client:
        assert client.get(f"{server.url}/health/ready").status_code == 200
        sent = server.send(signal.SIGTERM)
        assert server.end(30) == 0
        assert time.monotonic() - sent < 1 * SLACK
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


@pytest.mark.parametrize("workers", [1, 2])
def test_fifty_requests_in_work_are_answered(place: Place, workers: int) -> None:
    """
    At SIGTERM readiness is 503 at once, new requests are still taken for the delay, all that is in work is answered,
    no connection is reset, and the status is 0.
    """
    server = place.run("--workers", str(workers), "--drain-delay", "1.5", slow=True, SLOW_S="1.5")

    async def story() -> None:
        async with httpx2.AsyncClient(timeout=30) as client:
            assert (await client.get(f"{server.url}/health/ready")).status_code == 200
            working = asyncio.ensure_future(ask_many(server.url, 50))
            await asyncio.sleep(0.7)
            sent = server.send(signal.SIGTERM)
            statuses = []
            while not statuses or (statuses[-1] == 200 and time.monotonic() - sent < 0.1 * SLACK):
                statuses.append((await client.get(f"{server.url}/health/ready")).status_code)
            assert statuses[-1] == 503
            assert (await client.get(f"{server.url}/health/live")).status_code == 200
            late = await ask_many(server.url, 4, first=100)
            assert not wrong(late)
            assert all(isinstance(a, httpx2.Response) and a.headers["connection"] == "close" for a in late)
            assert not wrong(await working)

    asyncio.run(story())
    assert server.end(30) == 0


def test_a_stream_goes_on_to_the_limit_and_says_that_it_ends(place: Place) -> None:
    """The last event is an error with code shutting_down; the connection is closed in order."""
    server = place.run("--workers", "2", slow=True, SLOW_S="60", COPYKIT_DRAIN_S="1")

    async def story() -> None:
        async with (
            httpx2.AsyncClient(timeout=30) as client,
            client.stream("POST", f"{server.url}/v11/generate/stream", json=BRIEF) as answer,
        ):
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: started"
            sent = server.send(signal.SIGTERM)
            rest = [line async for line in lines if line]
            assert 0.9 < time.monotonic() - sent < 1 * SLACK
            assert rest[-2] == "event: error"
            assert json.loads(rest[-1].removeprefix("data: "))["code"] == "shutting_down"

    asyncio.run(story())
    assert server.end(30) == 0


def test_a_stream_that_ends_in_time_is_whole(place: Place) -> None:
    """It is not cut by the signal: its last event is the result."""
    server = place.run(slow=True, SLOW_S="1.5")

    async def story() -> None:
        async with (
            httpx2.AsyncClient(timeout=30) as client,
            client.stream("POST", f"{server.url}/v11/generate/stream", json=BRIEF) as answer,
        ):
            lines = answer.aiter_lines()
            await anext(lines)
            server.send(signal.SIGTERM)
            rest = [line async for line in lines if line.startswith("event: ")]
            assert rest[-1] == "event: done"

    asyncio.run(story())
    assert server.end(30) == 0


def test_what_does_not_end_is_broken_off_and_answered(place: Place) -> None:
    """At the limit: 503 with code shutting_down, and the status of the process is 0."""
    server = place.run(slow=True, SLOW_S="60", COPYKIT_DRAIN_S="0.5")

    async def story() -> None:
        working = asyncio.ensure_future(ask_many(server.url, 3))
        await asyncio.sleep(0.5)
        server.send(signal.SIGINT)
        for answer in await working:
            assert isinstance(answer, httpx2.Response), answer
            assert (answer.status_code, answer.json()["code"]) == (503, "shutting_down")
            assert answer.headers["retry-after"]

    asyncio.run(story())
    assert server.end(30) == 0


@pytest.mark.parametrize("kind", ["blocks", "stubborn"])
def test_what_cannot_be_broken_off_does_not_keep_the_process(place: Place, kind: str) -> None:
    """A loop that is blocked, or work that takes no cancellation: five seconds after the limit it ends all the same."""
    server = place.run(slow=True, SLOW_S="120", SLOW_KIND=kind, COPYKIT_DRAIN_S="0.2")

    async def story() -> None:
        working = asyncio.ensure_future(ask_many(server.url, 1))
        await asyncio.sleep(0.7)
        sent = server.send(signal.SIGTERM)
        await working
        assert time.monotonic() - sent < 5.2 * SLACK

    asyncio.run(story())
    assert server.end(30) == 0


@pytest.mark.parametrize(("workers", "kind"), [(1, "blocks"), (2, "")])
def test_a_second_signal_ends_it_now(place: Place, workers: int, kind: str) -> None:
    """Whatever is in work, within a second; the status says that it was cut."""
    server = place.run("--workers", str(workers), slow=True, SLOW_S="120", SLOW_KIND=kind)

    async def story() -> None:
        working = asyncio.ensure_future(ask_many(server.url, 2))
        await asyncio.sleep(0.7)
        server.send(signal.SIGTERM)
        await asyncio.sleep(0.3)
        sent = server.send(signal.SIGTERM)
        await working
        assert await asyncio.to_thread(server.end, 30) == 128 + signal.SIGTERM
        assert time.monotonic() - sent < 1.5 * SLACK

    asyncio.run(story())


def test_workers_are_replaced_one_by_one(place: Place) -> None:
    """
    SIGHUP reads the file anew: no request fails meanwhile, each worker is another process, and a file that is wrong
    leaves those that run as they are.
    """
    settings = place.folder / "copykit.toml"
    settings.write_text("[server]\nmax_batch_items = 10\n", encoding="utf-8")
    server = place.run("--workers", "2", slow=True, SLOW_S="0.05")
    before = server.children()
    failed: list[Any] = []

    async def until(condition: Any) -> None:
        deadline = time.monotonic() + 60
        number = 1000
        while not condition():
            assert time.monotonic() < deadline, server.said()
            failed.extend(wrong(await ask_many(server.url, 4, first=number)))
            number += 4

    def most_items() -> int:
        told: int = httpx2.get(f"{server.url}/config", timeout=10).json()["server"]["max_batch_items"]
        return told

    settings.write_text("[server]\nmax_batch_items = 20\n", encoding="utf-8")
    server.send(signal.SIGHUP)
    asyncio.run(until(lambda: "all workers are replaced" in server.said()))
    after = server.children()
    assert len(after) == 2
    assert not set(before) & set(after)
    assert most_items() == 20

    settings.write_text("[server]\nmax_batch_items = -1\nmax_bacth_body = 3\n", encoding="utf-8")
    server.send(signal.SIGHUP)
    asyncio.run(until(lambda: "cannot start" in server.said()))
    assert "max_batch_items" in server.said()
    assert "max_bacth_body" in server.said()
    assert server.children() == after
    assert most_items() == 20
    assert not failed
    server.send(signal.SIGTERM)
    assert server.end(30) == 0


def test_a_worker_that_dies_is_replaced_and_none_outlives_its_parent(place: Place) -> None:
    """The other one serves meanwhile; without a parent both end by themselves."""
    server = place.run("--workers", "2")
    first, second = server.children()
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(server.children()) < 2 or first in server.children():
        assert server.status("/health/live") == 200
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert second in server.children()
    orphans = server.children()
    time.sleep(1)  # the new one begins to watch its parent
    server.send(signal.SIGKILL)
    server.end(30)
    while any(Path(f"/proc/{number}").exists() and not _is_over(number) for number in orphans):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_over(number: int) -> bool:
    """Say whether a process only waits to be reaped."""
    with suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    return True


def test_whoever_edits_gets_new_workers(place: Place) -> None:
    """With --reload a changed file has the effect of SIGHUP."""
    server = place.run("--reload")
    before = server.children()
    (place.folder / "mine.py").write_text("x = 1\n", encoding="utf-8")
    deadline = time.monotonic() + 60
    while "all workers are replaced" not in server.said():
        assert time.monotonic() < deadline, server.said()
        time.sleep(0.1)
    assert not set(before) & set(server.children())
    server.send(signal.SIGTERM)
    assert server.end(30) == 0


def test_a_body_that_trickles_is_not_waited_for(place: Place) -> None:
    """408 after the time that any body has, and the connection is closed; a body that keeps the least rate is read."""
    (place.folder / "copykit.toml").write_text("[server]\nbody_s = 0.3\n", encoding="utf-8")
    server = place.run()
    body = json.dumps({**BRIEF, "instructions": "a" * 3000}).encode()
    head = (
        "POST /v11/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    for pieces, wanted in ((1, b"HTTP/1.1 408"), (400, b"HTTP/1.1 200")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(head)
            with suppress(OSError):
                for at in range(0, len(body) if pieces > 1 else 10, pieces):
                    client.sendall(body[at : at + pieces])
                    time.sleep(0.08)
            got = b""
            while b"\r\n\r\n" not in got and (piece := client.recv(65_536)):
                got += piece
            assert got.startswith(wanted), got
            if pieces == 1:
                assert b"connection: close" in got
                while client.recv(65_536):
                    pass
    server.send(signal.SIGTERM)
    assert server.end(30) == 0


def test_wrong_settings_are_told_all_at_once(place: Place) -> None:
    """Those of the server and of the engine, with the nearest name, status 78; of the options too."""
    wrongs = {
        "COPYKIT_DRAIN_S": "-1",
        "COPYKIT_PROVIDERS": "slwo",
        "COPYKIT_LOG_FORMAT": "jsn",
        "CACHE_TTL": "x",
    }
    done = subprocess.run(
        place.command("--workers", "0"),
        cwd=place.folder,
        env=place.environment(**wrongs),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (78, "")
    for name in ("drain_s", "slow", "log_format", "json", "workers", "CACHE_TTL"):
        assert name in done.stderr, name


def test_a_folder_that_cannot_be_written_is_one_line(place: Place) -> None:
    """Which folder and why, within two seconds, and the status is that of wrong settings."""
    (place.folder / "file").write_text("", encoding="utf-8")
    began = time.monotonic()
    done = subprocess.run(
        place.command(),
        cwd=place.folder,
        env=place.environment(COPYKIT_DATA_DIR=str(place.folder / "file" / "data")),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert time.monotonic() - began < 2 * SLACK
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (78, "", 1)
    assert "file/data" in done.stderr


def test_granian_serves_the_same_application(place: Place) -> None:
    """It answers with copykit's copy and ends at SIGTERM."""
    pytest.importorskip("granian", reason="needs the extra fast")
    server = place.run("--server", "granian")
    deadline = time.monotonic() + 60
    while server.status("/health/ready") != 200:  # its own workers begin after its line
        assert time.monotonic() < deadline, server.said()
        time.sleep(0.1)
    answer = httpx2.post(f"{server.url}/v11/generate", json=BRIEF, timeout=30)
    assert answer.json()["variants"][0]["status"] == "ok"
    server.send(signal.SIGTERM)
    assert server.end(30) == 0
