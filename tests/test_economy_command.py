"""``copykit batch --economy`` and ``copykit batch-jobs`` from the command line, against a vendor on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from copykit.cli.app import app
from copykit.feeds.job_book import JobBook, book_path
from copykit.feeds.journal import read_lines
from copykit.models import BatchLine, Usage
from copykit.routing.budget import Prices
from copykit.testing.job_server import TOKENS, JobServer

KEY = "sk-canary-5f0c1d2e3b4a5968"
Call = Callable[..., Result]


def write(body: dict[str, Any]) -> str:
    """Write the row's own words, as an obedient model would."""
    name = re.search(r'product_name\\*": \\*"([^"\\]+)', str(body).replace("\\\\", "\\"))
    text = f"{name[1] if name else 'Cap'}. A warm cap for cold days."
    return json.dumps({"variants": [{"fields": {"text": text}, "parts": []}]})


class Threaded:
    """A server in a thread of its own, since the command has the main one."""

    def __init__(self, vendor: str) -> None:
        self.server = JobServer(vendor, write)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with self.server:
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> JobServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self.server

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


@pytest.fixture
def vendor() -> Iterator[JobServer]:
    """Give OpenAI's jobs on loopback."""
    with Threaded("openai") as server:
        yield server


@pytest.fixture
def call(vendor: JobServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Give what runs ``copykit`` in an empty folder with a catalogue, and waits for nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("copykit.economy._FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("copykit.economy._LONGEST_WAIT_S", 0.001)
    catalogue(tmp_path / "in.csv", 6)
    env = environment(vendor)

    def run(*words: object) -> Result:
        return CliRunner(env={**env, "COLUMNS": "220"}).invoke(app, list(map(str, words)))

    return run


def environment(vendor: JobServer) -> dict[str, str]:
    """Give the variables that lead to *vendor*."""
    name = vendor.vendor.upper()
    address = {"GOOGLE": "GOOGLE_GEMINI"}.get(name, name)
    return {
        "COPYKIT_PROVIDERS": vendor.vendor,
        f"{name}_API_KEY": KEY,
        f"{address}_BASE_URL": vendor.base_url,
    }


def catalogue(path: Path, count: int) -> None:
    """Write rows that differ."""
    rows = [f"p{n},Cap {n},A warm cap for cold days.\n" for n in range(1, count + 1)]
    path.write_text("id,title,description\n" + "".join(rows))


BATCH = ("batch", "in.csv", "--out", "copy.jsonl", "--platform", "x", "--language", "en", "--economy")


def lines() -> list[BatchLine]:
    """Give the result's lines."""
    return list(read_lines(Path("copy.jsonl")))


def test_a_catalogue_through_batch_jobs(call: Call, vendor: JobServer) -> None:
    """The same lines and summary as ever, at half the price; no book stays when all lines are written."""
    done = call(*BATCH, "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["status"] == {"ok": 6, "repaired": 0, "rejected": 0, "failed": 0}
    assert [line.row for line in lines()] == [1, 2, 3, 4, 5, 6]
    live = Prices().cost_usd("openai:gpt-6-luna", Usage(input_tokens=TOKENS[0], output_tokens=TOKENS[1]))
    assert live is not None
    assert summary["cost_usd"] == pytest.approx(6 * live / 2)
    assert vendor.live == []
    assert sorted(path.name for path in Path().iterdir()) == ["copy.jsonl", "copy.jsonl.run.json", "in.csv"]
    assert KEY not in done.output
    assert "waiting for 1 of 1 jobs (running)" in done.stderr


def test_jobs_are_begun_looked_at_and_collected_later(call: Call, vendor: JobServer) -> None:
    """--no-wait stops after the submission, batch-jobs shows the jobs, --resume brings the lines."""
    vendor.polls = 2
    begun = call(*BATCH, "--no-wait", "--json")
    assert begun.exit_code == 0, begun.output
    (job,) = json.loads(begun.stdout)["jobs"]
    assert (job["id"], job["state"], job["requests"]) == ("batch_1", "submitted", 6)
    assert lines() == []
    looked = json.loads(call("batch-jobs", "copy.jsonl", "--json").stdout)
    assert looked["target"] == "openai"
    assert (looked["jobs"][0]["state"], looked["jobs"][0]["done"]) == ("running", 0)
    assert "batch_1" in call("batch-jobs", "copy.jsonl").stdout
    again = call(*BATCH, "--no-wait", "--resume", "--json")
    assert len(json.loads(again.stdout)["jobs"]) == 1
    done = call(*BATCH, "--resume")
    assert done.exit_code == 0, done.output
    assert len(lines()) == 6
    assert len(vendor.jobs) == 1
    gone = call("batch-jobs", "copy.jsonl")
    assert gone.exit_code == 2
    assert "all lines are written" in gone.stderr


def test_open_jobs_are_not_written_over(call: Call, vendor: JobServer) -> None:
    """Whoever begins anew where jobs are under way is told of them, and may stop them first."""
    vendor.polls = 99
    call(*BATCH, "--no-wait")
    for words in (("--overwrite",), ("--overwrite", "--estimate")):
        refused = call(*BATCH, *words)
        if "--estimate" not in words:
            assert refused.exit_code == 2
            assert "holds a run whose batch jobs are not over (1)" in refused.stderr
    other = call("batch", "in.csv", "--out", "copy.jsonl", "--platform", "x", "--overwrite", "--yes")
    assert other.exit_code == 2
    stopped = json.loads(call("batch-jobs", "copy.jsonl", "--cancel", "--json").stdout)
    assert stopped["jobs"][0]["state"] == "cancelled"
    vendor.polls = 1
    assert call(*BATCH, "--overwrite").exit_code == 0
    assert len(vendor.jobs) == 2


def test_what_was_cancelled_on_request_goes_on_with_the_rest(call: Call, vendor: JobServer) -> None:
    """Resuming is the wish for the rest: what was answered is kept, and another job is begun for it."""
    vendor.polls = 99
    call(*BATCH, "--no-wait")
    call("batch-jobs", "copy.jsonl", "--cancel")
    vendor.polls = 1
    done = call(*BATCH, "--resume")
    assert done.exit_code == 0, done.output
    assert [len(job.requests) for job in vendor.jobs] == [6, 3]
    assert vendor.live == []


def test_a_job_that_fails_ends_the_run_with_a_way_on(call: Call, vendor: JobServer) -> None:
    """Exit status 75 and the reason; the next run begins another."""
    vendor.polls = 99
    begun = call(*BATCH, "--no-wait")
    assert "Go on with:" in begun.stderr
    vendor.fail(vendor.jobs[0], "too many tokens are queued")
    stopped = call(*BATCH, "--resume")
    assert stopped.exit_code == 75
    assert "failed: too many tokens are queued; --resume begins another" in stopped.stderr
    assert "Go on with:" in stopped.stderr
    vendor.polls = 1
    assert call(*BATCH, "--resume").exit_code == 0
    assert [len(job.requests) for job in vendor.jobs] == [6, 6]


def test_the_summary_says_what_was_asked_live(call: Call, vendor: JobServer) -> None:
    """At the full price, so it is told."""
    vendor.fates = lambda place, key: "error" if place in (1, 4) else "ok"
    done = call(*BATCH)
    assert done.exit_code == 0, done.output
    assert "2 lines that their batch job did not answer" in done.stderr
    assert json.loads(call(*BATCH, "--resume", "--json").stdout)["left_by_job"] == 2


def test_the_estimate_knows_the_price_of_jobs(call: Call) -> None:
    """Half of the usual cost, and on which assumptions."""
    usual = json.loads(call(*BATCH[:-1], "--estimate", "--json").stdout)
    cheap = json.loads(call(*BATCH, "--estimate", "--json").stdout)
    assert cheap["usual_usd"] == pytest.approx(usual["usual_usd"] / 2)
    assert "batch job" in cheap["assumed"][0]
    assert "batch job" in cheap["assumed"][1] or "such a job" in cheap["assumed"][1]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--provider", "phrasebank"), "phrasebank"),
        (("--provider", "local:x"), "openai, anthropic, google have them"),
    ],
)
def test_who_has_no_batch_jobs_is_refused_at_once(
    call: Call, words: tuple[str, ...], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names those that have; nothing is written."""
    monkeypatch.setenv("COPYKIT_LOCAL_BASE_URL", "http://127.0.0.1:9/v1")
    done = call(*BATCH, *words)
    assert done.exit_code == 2
    assert part in done.stderr
    assert not Path("copy.jsonl").exists()


def test_no_wait_is_about_jobs(call: Call) -> None:
    """Without --economy there is nothing to come back for."""
    done = call(*BATCH[:-1], "--no-wait")
    assert done.exit_code == 2
    assert "--economy" in done.stderr


def test_a_run_by_jobs_is_not_resumed_without_them(call: Call, vendor: JobServer) -> None:
    """The same run is the same way of writing it."""
    call(*BATCH, "--no-wait")
    done = call(*BATCH[:-1], "--resume")
    assert done.exit_code == 2
    assert "economy was true" in done.stderr


def test_a_damaged_book_is_told(call: Call) -> None:
    """What is no book is not written into."""
    call(*BATCH, "--no-wait")
    book_path(Path("copy.jsonl")).write_bytes(b"no database" * 100)
    done = call(*BATCH, "--resume")
    assert done.exit_code == 2
    assert "no book of batch jobs" in done.stderr


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_with_its_jobs(call: Call, vendor: JobServer, blow: signal.Signals) -> None:
    """A process that waits is stopped from outside; the next one collects the very jobs that it began."""
    vendor.polls = 10**6
    command = [sys.executable, "-m", "copykit", *BATCH]
    env = {**os.environ, **environment(vendor)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    until(lambda: any(asked.path == "/v1/batches/batch_1" for asked in vendor.requests))
    process.send_signal(blow)
    _, told = process.communicate(timeout=30)
    if blow is signal.SIGINT:
        assert process.returncode == 130
        assert "batch jobs go on at the provider" in told
        assert "--economy --resume" in told
    assert KEY not in told
    book = JobBook(book_path(Path("copy.jsonl")))
    assert [job.state for job in book.jobs()] == ["submitted"]
    book.close()
    vendor.jobs[0].polls = 1
    assert call(*BATCH, "--resume").exit_code == 0
    assert len(lines()) == 6
    assert len(vendor.jobs) == 1
    assert vendor.live == []


def test_a_run_killed_while_it_writes_pays_for_no_answer_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The lines and what was lost add up to the vendor's books; every line is there once, in order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("copykit.economy._FIRST_WAIT_S", 0.001)
    catalogue(tmp_path / "in.csv", 200)
    command = [sys.executable, "-m", "copykit", *BATCH, "--yes"]
    with Threaded("google") as server:
        server.polls = 0
        server.fates = lambda place, key: "error" if place % 40 == 7 else "ok"
        env = {**os.environ, **environment(server)}
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(lambda: Path("copy.jsonl").exists() and Path("copy.jsonl").stat().st_size > 20_000)
        process.kill()
        process.wait()
        told = CliRunner(env=environment(server)).invoke(app, [*BATCH, "--yes", "--resume", "--json"])
        assert told.exit_code == 0, told.output
        summary = json.loads(told.stdout)
        assert [line.row for line in lines()] == list(range(1, 201))
        assert len(server.jobs) == 1
        target = next(iter(summary["served_by"]))
        usage = Usage(input_tokens=TOKENS[0], output_tokens=TOKENS[1])
        of_call, of_job = (Prices().cost_usd(target, usage, batch=batch) for batch in (False, True))
        assert of_call is not None
        assert of_job is not None
        books = 195 * of_job + len(server.live) * of_call
        lost = len(server.live) - 5
        assert 0 <= lost <= summary["lost"]["calls"]
        assert summary["cost_usd"] == pytest.approx(books - lost * of_call)
        assert summary["left_by_job"] == 5


def until(holds: Callable[[], bool]) -> None:
    """Wait until *holds*, half a minute at most."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
