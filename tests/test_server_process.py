"""The server as a process: signals, what is in work when it ends, its workers, asked over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("uvicorn", reason="needs the extra server")

import httpx2

from running import BRIEF, SLACK, Place, Running, ask_many, wrong

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a place to start servers in; those that still run are ended."""
    made = Place(tmp_path)
    yield made
    made.close()


def children(server: Running) -> list[int]:
    """Give the numbers of its workers, where they can be known."""
    if not Path("/proc/self/task").exists():
        pytest.skip("needs Linux to know a process's children")
    return server.children()


def test_workers_are_replaced_one_by_one(place: Place) -> None:
    """
    SIGHUP reads the file anew: no request fails meanwhile, each worker is another process, and a file that is wrong
    leaves those that run as they are.
    """
    settings = place.folder / "copykit.toml"
    settings.write_text("[server]\nmax_batch_items = 10\n", encoding="utf-8")
    server = place.run("--workers", "2", slow=True, SLOW_S="0.05")
    before = children(server)
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
    after = children(server)
    assert len(after) == 2
    assert not set(before) & set(after)
    assert most_items() == 20

    settings.write_text("[server]\nmax_batch_items = -1\nmax_bacth_body = 3\n", encoding="utf-8")
    server.send(signal.SIGHUP)
    asyncio.run(until(lambda: "the old ones go on" in server.said()))
    why = next(
        line for line in server.said().splitlines() if "cannot start | code=configuration_error" in line
    )
    assert "max_batch_items" in why
    assert "max_bacth_body" in why
    assert server.said().count("signal received | pid=") == 2
    assert "signal=SIGHUP workers=2" in server.said()
    assert children(server) == after
    assert most_items() == 20
    assert not failed
    server.send(signal.SIGTERM)
    assert server.end(30) == 0


def test_a_worker_that_dies_is_replaced_and_none_outlives_its_parent(place: Place) -> None:
    """The other one serves meanwhile; without a parent both end by themselves, also the one that is still starting."""
    server = place.run("--workers", "2")
    first, second = children(server)
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(children(server)) < 2 or first in children(server):
        assert server.status("/health/live") == 200
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert second in children(server)
    orphans = children(server)
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
    before = children(server)
    (place.folder / "mine.py").write_text("x = 1\n", encoding="utf-8")
    deadline = time.monotonic() + 60
    while "all workers are replaced" not in server.said():
        assert time.monotonic() < deadline, server.said()
        time.sleep(0.1)
    assert not set(before) & set(children(server))
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


def test_bodies_that_only_hold_memory_make_room(place: Place) -> None:
    """There is room for sixteen of the largest: of more that lack their end one is put off, and others are answered."""
    (place.folder / "copykit.toml").write_text(
        "[server]\nmax_body = 1024\nmax_batch_body = 1024\n", encoding="utf-8"
    )
    server = place.run()
    begun = (
        b"POST /v11/batch-generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1024\r\n\r\n" + b" " * 1000
    )
    with ExitStack() as held:
        clients = []
        for _ in range(17):
            client = held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            client.sendall(begun)
            clients.append(client)
        answered, _, _ = select.select(clients, [], [], 8)  # within the 10 s that each may be silent
        (refused,) = answered
        told = b""
        while piece := refused.recv(4096):
            told += piece
        assert told.startswith(b"HTTP/1.1 503"), told
        assert b'"code":"overloaded"' in told
        assert b"retry-after: 1\r\n" in told.lower()
        assert httpx2.post(f"{server.url}/v11/generate", json=BRIEF, timeout=30).status_code == 200
    server.send(signal.SIGTERM)
    assert server.end(30) == 0


def test_a_client_that_leaves_is_not_told_as_answered(place: Place) -> None:
    """
    499 and no byte of a brief or a batch whose client did not wait for it; of a stream that was left in the middle the
    bytes that went out, and that they are not the whole. Counted so, too.
    """
    server = place.run("--log-format", "json", slow=True, SLOW_S="1")
    asked = (
        ("/v11/generate", BRIEF, b""),
        ("/v11/batch-generate", [BRIEF], b""),
        ("/v11/generate/stream", BRIEF, b"event: started"),
        ("/generate", BRIEF, b'"variants"'),
    )
    for number, (path, fields, until) in enumerate(asked):
        body = json.dumps(fields if isinstance(fields, list) else {**fields, "seed": number}).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            got = b""
            while until not in got:
                got += client.recv(65_536)
            if not until:
                time.sleep(0.2)  # for the request to be in work
    deadline = time.monotonic() + 60
    told: list[dict[str, Any]] = []
    while len(told) < len(asked):
        assert time.monotonic() < deadline, server.said()
        time.sleep(0.1)
        lines = [json.loads(line) for line in server.said().splitlines() if line.endswith("}")]
        told = [line for line in lines if line["logger"] == "copykit.access"]
    seen = {line["route"]: (line["status"], line["whole"], line["bytes"] > 0) for line in told}
    assert seen == {
        "/v11/generate": (499, False, False),
        "/v11/batch-generate": (499, False, False),
        "/v11/generate/stream": (200, False, True),
        "/generate": (200, True, True),
    }
    figures = httpx2.get(f"{server.url}/metrics/prometheus", timeout=30).text
    for route in ("/v11/generate", "/v11/batch-generate"):
        counted = [
            line for line in figures.splitlines() if f'requests_total{{method="POST",route="{route}"' in line
        ]
        assert counted == [f'copykit_http_requests_total{{method="POST",route="{route}",status="499"}} 1.0']
    server.send(signal.SIGTERM)
    assert server.end(30) == 0


def test_what_is_refused_before_the_application_is_counted_too(place: Place) -> None:
    """By status and code, as what the application refuses."""
    server = place.run()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    figures = httpx2.get(f"{server.url}/metrics/prometheus", timeout=30).text
    assert 'copykit_http_requests_rejected_total{reason="malformed_request"} 1.0' in figures
    assert 'copykit_http_requests_total{method="other",route="unknown",status="400"} 1.0' in figures
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


@pytest.mark.parametrize("how", ["option", "variable", "file"])
def test_where_lines_are_json_wrong_settings_are_one_too(place: Place, how: str) -> None:
    """However JSON was asked for: a collector that reads lines only would miss the one that matters."""
    pytest.importorskip("structlog", reason="needs the extra server")
    wrongs = {"COPYKIT_DRAIN_S": "-1", "COPYKIT_WORKRS": "2"}
    if how == "variable":
        wrongs["COPYKIT_LOG_FORMAT"] = "json"
    if how == "file":
        (place.folder / "copykit.toml").write_text('[server]\nlog_format = "json"\n', encoding="utf-8")
    done = subprocess.run(
        place.command(*(["--log-format", "json"] if how == "option" else [])),
        cwd=place.folder,
        env=place.environment(**wrongs),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (78, "", 1)
    line = json.loads(done.stderr)
    told = (line["level"], line["event"], line["code"])
    assert told == ("critical", "cannot start", "configuration_error")
    assert len(line["problems"]) == 2
    assert "nearest: COPYKIT_WORKERS" in " ".join(line["problems"])


def test_a_signal_is_told_when_it_comes(place: Place) -> None:
    """Not after the delay in which new requests are still taken; figures of the way out are fields."""
    pytest.importorskip("structlog", reason="needs the extra server")
    server = place.run("--drain-delay", "60", "--log-format", "json", COPYKIT_DRAIN_S="90")

    def lines(event: str) -> list[dict[str, Any]]:
        told = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
        return [line for line in told if line["event"] == event]

    server.send(signal.SIGTERM)
    deadline = time.monotonic() + 30
    while not lines("signal received"):
        assert time.monotonic() < deadline, server.said()
        time.sleep(0.05)
    first = lines("signal received")[0]
    assert (first["signal"], first["pid"], first["requests"]) == ("SIGTERM", server.process.pid, 0)
    assert 0 < first["takes_requests_s"] <= 60
    assert not lines("draining")
    server.send(signal.SIGINT)
    server.end(30)
    assert [line["signal"] for line in lines("signal received")] == ["SIGTERM", "SIGINT"]
    assert lines("draining")[0].keys() >= {"pid", "connections", "requests"}
    assert [line["pid"] for line in (*lines("serving"), *lines("ended"))] == [server.process.pid] * 2


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
    assert "COPYKIT_DATA_DIR: " in done.stderr
    assert "file/data" in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_damaged_store_is_one_line(place: Place, workers: str) -> None:
    """Also with a key in the environment, when nobody looks into the store before the server begins."""
    pytest.importorskip("aiosqlite", reason="needs the extra server")
    folder = place.folder / "data"
    folder.mkdir(mode=0o700)
    (folder / "server.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    done = subprocess.run(
        place.command("--workers", workers),
        env=place.environment(API_KEY="k7Hq2Vw9Zx4Tn8Rb3Ym6Pd1Sf5Gj0LcA"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "damaged" in done.stderr
    assert workers == "2" or len(done.stderr.splitlines()) == 1, done.stderr


def test_granian_serves_the_same_application(place: Place) -> None:
    """It answers with copykit's copy, names itself nowhere, and ends at SIGTERM."""
    pytest.importorskip("granian", reason="needs the extra fast")
    server = place.run("--server", "granian")
    deadline = time.monotonic() + 60
    while server.status("/health/ready") != 200:  # its own workers begin after its line
        assert time.monotonic() < deadline, server.said()
        time.sleep(0.1)
    answer = httpx2.post(f"{server.url}/v11/generate", json=BRIEF, timeout=30)
    assert answer.json()["variants"][0]["status"] == "ok"
    missing = httpx2.get(f"{server.url}/nope", timeout=30)
    assert [told.headers.get_list("server") for told in (answer, missing)] == [["copykit"]] * 2
    server.send(signal.SIGTERM)
    assert server.end(30) == 0


def test_a_worker_whose_parent_went_while_it_started_ends_in_order(place: Place) -> None:
    """Nobody hears that it serves: it ends as if the parent had gone later."""
    heard, tell = os.pipe()
    hold, life = os.pipe()
    os.close(heard)
    errors = place.folder / "worker"
    with socket.create_server(("127.0.0.1", 0)) as listening, errors.open("w", encoding="utf-8") as stream:
        passed = (listening.fileno(), tell, hold)
        worker = subprocess.Popen(
            [sys.executable, "-m", "copykit.server.process.worker", *map(str, passed)],
            cwd=place.folder,
            env=place.environment(),
            pass_fds=passed,
            stderr=stream,
        )
        deadline = time.monotonic() + 60
        while " serving | " not in errors.read_text(encoding="utf-8") and worker.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for file in (tell, hold, life):
            os.close(file)
        status = worker.wait(30)
    said = errors.read_text(encoding="utf-8")
    assert (status, "Traceback" in said) == (0, False), said
    assert "ended | pid=" in said


def test_a_provider_that_does_not_close_is_not_waited_for(place: Place) -> None:
    """The server ends in order all the same, with what it holds written down, and says so in one line."""
    server = place.run(
        slow=True,
        SLOW_S="0.05",
        SLOW_CLOSE_S="30",
        COPYKIT_STORE_URL=f"sqlite:///{place.folder / 'kept.sqlite'}",
    )
    assert not wrong(asyncio.run(ask_many(server.url, 2)))
    server.send(signal.SIGTERM)
    assert server.end(30) == 0
    said = server.said()
    assert said.count("providers did not close in time") == 1
    assert "ended | pid=" in said
    with closing(sqlite3.connect(place.folder / "kept.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM copykit_workers").fetchone() == (0,)
