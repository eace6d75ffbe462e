"""The figures that a server tells of itself: named as Prometheus wants it, right with several workers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra server")
pytest.importorskip("sse_starlette", reason="needs the extra server")

from copykit import CopywritingServiceV11, Settings, events
from copykit.server import ServerSettings, create_app
from copykit.server.watch.figure_files import FOLDER_VARIABLE, figure_files
from copykit.server.watch.figures import FAMILIES, FIGURES, Figures
from copykit.server.watch.gpu import gpus
from copykit.server.watch.identity import config_digest
from copykit.server.watch.machine import disk, file_descriptors, memory_limit_bytes
from copykit.settings import RoutingSettings, Secret

KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
OFFLINE = Settings(routing=RoutingSettings(("phrasebank",)))


def app(**server: Any) -> Any:
    """Give an application over the phrase bank."""
    return create_app(server=ServerSettings(**server), service=CopywritingServiceV11(OFFLINE))


def value(figures: Figures, name: str, **labels: str) -> float | None:
    """Give one series' value; None if there is none."""
    family = next(figure.family for figure in FIGURES if figure.told_as == name)
    told = figures.data()[family][name]["values"]
    found = [one["value"] for one in told if one["labels"] == labels]
    return found[0] if found else None


async def scraped(application: Any, path: str = "/metrics/prometheus") -> str:
    """Ask *application* for its figures."""
    import httpx2

    transport = httpx2.ASGITransport(app=application)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        return (await client.get(path)).text


def test_the_table_keeps_to_the_conventions() -> None:
    """Names once and in base units, a sentence for each, no tenant and no text of a request among the labels."""
    names = [figure.name for figure in FIGURES]
    assert len(names) == len(set(names))
    assert {figure.family for figure in FIGURES} == set(FAMILIES)
    for figure in FIGURES:
        assert figure.name.startswith("copykit_")
        assert not figure.name.endswith(("_total", "_ms", "_mb", "_percent"))
        assert figure.help.endswith(".")
        assert not {"tenant", "key", "key_id", "path", "request_id"} & set(figure.labels)


def test_a_scrape_is_clean_by_promtool() -> None:
    """`promtool check metrics` finds nothing, also where every figure has a value."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's prometheus) is not installed")
    application = app()
    figures = application.state.answers.metered.figures
    for figure in FIGURES:
        labels = tuple("x" for _ in figure.labels)
        if figure.kind == "counter":
            figures.count(figure.name, *labels)
        elif figure.kind == "gauge":
            figures.set(figure.name, 1, *labels)
        else:
            figures.observe(figure.name, 1, *labels)
    text = asyncio.run(scraped(application))
    for figure in FIGURES:
        assert f"# TYPE {figure.told_as} {figure.kind}\n" in text
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_json_holds_the_same_figures() -> None:
    """By family, each with its kind, what it is, and its series."""
    application = app()

    async def story() -> tuple[str, dict[str, Any]]:
        return await scraped(application), json.loads(await scraped(application, "/metrics"))

    text, data = asyncio.run(story())
    assert list(data) == list(FAMILIES)
    told = {name for family in data.values() for name in family}
    assert told == {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    durations = data["requests"]["copykit_http_request_duration_seconds"]
    assert durations["kind"] == "histogram"
    (one,) = durations["values"]
    assert one["labels"] == {"route": "/metrics/prometheus"}
    assert (one["count"], one["at_most"]["+Inf"]) == (1.0, 1.0)
    assert "_created" not in text


def test_requests_that_reach_no_route_are_counted_too() -> None:
    """By closed lists of labels: no path, method or host of a client becomes a series."""
    application = app()

    async def story() -> None:
        import httpx2

        transport = httpx2.ASGITransport(app=application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            for number in range(3):
                await client.request(f"BREW{number}", f"/nope-{number}?key={KEY}")
            await client.get("/health", headers={"host": "evil.example"})

    asyncio.run(story())
    figures = application.state.answers.metered.figures
    assert value(figures, "copykit_http_requests_total", route="unknown", method="other", status="404") == 3
    assert value(figures, "copykit_http_requests_rejected_total", reason="unknown_host") == 1
    assert value(figures, "copykit_http_requests_in_flight") == 0
    assert b"nope" not in figures.text()


def test_the_engines_events_are_counted() -> None:
    """Results, failures, calls, tokens, money known and unknown, rests, the cache, repairs."""
    application = app()
    metered = application.state.answers.metered
    for event in (
        events.GenerationFinished("r1", "x.post", "en", "ok", False, 0.2),
        events.GenerationFailed("r2", "deadline_exceeded", "late", 60.0),
        events.AttemptFinished("a:m", "ok", 0.1, 1, 0.25, 10, 20),
        events.AttemptFinished("a:m", "provider_timeout", 9.0, 2, None),
        events.ProviderRested("a", "cooldown", "rate_limited", 5.0),
        events.CacheLooked("k", False, None),
        events.CacheFailed("memory", "OSError"),
        events.FieldRepaired("text", "R-01"),
    ):
        metered(event)
    figures = metered.figures
    assert value(figures, "copykit_generations_total", placement="x.post", language="en", status="ok") == 1
    assert value(figures, "copykit_generation_failures_total", code="deadline_exceeded") == 1
    assert value(figures, "copykit_provider_attempts_total", target="a:m", outcome="provider_timeout") == 1
    assert value(figures, "copykit_provider_tokens_total", target="a:m", kind="output") == 20
    assert value(figures, "copykit_provider_cost_usd_total", target="a:m") == 0.25
    assert value(figures, "copykit_provider_cost_unknown_total", target="a:m") == 1
    assert value(figures, "copykit_provider_rests_total", provider="a", kind="cooldown") == 1
    assert value(figures, "copykit_cache_lookups_total", result="miss") == 1
    assert value(figures, "copykit_cache_failures_total", layer="memory") == 1
    assert value(figures, "copykit_repairs_total", rule="R-01") == 1


def test_a_count_that_somebody_else_keeps_never_goes_down() -> None:
    """What was counted stays, and a count that began anew is added to it."""
    figures = Figures()
    for total in (3, 5, 5, 1):
        figures.count_up_to("copykit_cache_evictions", total)
    assert value(figures, "copykit_cache_evictions_total") == 6


def test_the_same_configuration_has_the_same_digest() -> None:
    """Another one has another (F11), and no secret can be guessed from it: two keys look alike."""
    plain = config_digest(OFFLINE, ServerSettings())
    assert plain == config_digest(OFFLINE, ServerSettings())
    assert plain != config_digest(OFFLINE, ServerSettings(in_flight=3))
    keyed = config_digest(OFFLINE, ServerSettings(key=Secret(KEY)))
    assert plain != keyed == config_digest(OFFLINE, ServerSettings(key=Secret(KEY[::-1])))


def test_an_unsafe_start_shows() -> None:
    """Authentication off where others reach it, which only --insecure allows, is a figure of its own (F05)."""
    safe, unsafe = app(), app(host="0.0.0.0", insecure=True)  # noqa: S104  # nothing listens
    for one in (safe, unsafe):
        asyncio.run(one.state.answers.pulse.look())
    told = [value(one.state.answers.metered.figures, "copykit_unsafe_start") for one in (safe, unsafe)]
    assert told == [0, 1]


@pytest.mark.parametrize("stored", [False, True])
def test_the_servers_budget_is_told_whole(stored: bool, tmp_path: Path) -> None:
    """Also where workers share it and this one holds a part only: the store knows what all of them spent."""
    pytest.importorskip("aiosqlite", reason="needs the extra server")
    settings = Settings(routing=RoutingSettings(("phrasebank",), budget_usd=5.0))
    url = f"sqlite:///{tmp_path / 'server.sqlite'}" if stored else None
    application = create_app(server=ServerSettings(store_url=url), service=CopywritingServiceV11(settings))

    async def story() -> None:
        async with application.router.lifespan_context(application):
            await application.state.answers.pulse.look()

    asyncio.run(story())
    figures = application.state.answers.metered.figures
    assert value(figures, "copykit_budget_usd", state="cap") == 5.0
    assert value(figures, "copykit_budget_usd", state="spent") == 0.0


def test_a_late_loop_is_seen() -> None:
    """Whatever blocks it, the lag of the last ten seconds tells."""
    application = app()
    pulse = application.state.answers.pulse

    async def story() -> None:
        beating = asyncio.create_task(pulse.beat())
        await asyncio.sleep(0.1)
        time.sleep(1.0)  # noqa: ASYNC251  # this is the fault
        await asyncio.sleep(0.2)
        beating.cancel()

    assert pulse.lag_s == 0.0
    asyncio.run(story())
    assert pulse.lag_s > 0.1
    assert pulse.times_late(0.1) == 1
    assert pulse.times_late(60.0) == 0


def test_the_containers_limit_is_the_memory_there_is(tmp_path: Path) -> None:
    """Of control groups version 2 or 1; without one it is the machine's."""
    whole = memory_limit_bytes(tmp_path)
    assert whole is None or whole > 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit_bytes(tmp_path) == whole
    (tmp_path / "memory.max").write_text("1048576\n")
    assert memory_limit_bytes(tmp_path) == 2**20
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory_limit_bytes(tmp_path) == whole
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("2097152\n")
    assert memory_limit_bytes(tmp_path) == 2**21


def test_the_machine_is_asked_for_what_is_left(tmp_path: Path) -> None:
    """Disk of a folder that is still to be made, file descriptors, and GPUs where a driver tells of any."""
    space = disk(tmp_path / "not" / "there")
    assert space is not None
    assert 0 < space[0] <= space[1]
    files = file_descriptors()
    assert files is None or 0 < files[0] <= files[1]
    for gpu in gpus():
        assert 0 <= gpu.used_bytes <= gpu.size_bytes
        assert gpu.utilization is None or 0 <= gpu.utilization <= 1


class _Driver:
    """NVIDIA's library of a machine with two GPUs, of which the second does not tell how busy it is."""

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        """Write the number of GPUs."""
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:
        """Write a handle, which is the index and a hundred."""
        device._obj.value = 100 + index.value
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:
        """Write what there is and what is used."""
        memory._obj.total, memory._obj.used = 80 * 2**30, device.value * 2**20
        return 0

    def nvmlDeviceGetUtilizationRates(self, device: Any, busy: Any) -> int:
        """Write a quarter, or fail as what is not supported does."""
        busy._obj.gpu = 25
        return 0 if device.value == 100 else 3


def test_gpus_are_told_as_their_driver_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use as a share of 1, memory in bytes; what one does not tell is left out, and what has no driver is nothing."""
    from copykit.server.watch import gpu

    monkeypatch.setattr(gpu, "_library", _Driver)
    first, second = gpus()
    assert (first.index, first.utilization, first.used_bytes) == (0, 0.25, 100 * 2**20)
    assert (second.index, second.utilization, second.size_bytes) == (1, None, 80 * 2**30)
    application = app()
    asyncio.run(application.state.answers.pulse.look())
    figures = application.state.answers.metered.figures
    assert value(figures, "copykit_gpu_utilization_ratio", gpu="0") == 0.25
    assert value(figures, "copykit_gpu_utilization_ratio", gpu="1") is None
    assert value(figures, "copykit_gpu_memory_used_bytes", gpu="1") == 101 * 2**20
    monkeypatch.setattr(gpu, "_library", lambda: None)
    assert gpus() == ()


WORKER = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from test_server_metrics import app, scraped
from copykit import events
application = app(in_flight=int(sys.argv[2]))
metered = application.state.answers.metered
for line in sys.stdin:
    if line.strip() == "count":
        metered(events.CacheLooked("k", True, "memory"))
        metered(events.GenerationFinished("r", "x.post", "en", "ok", True, 0.2))
        metered.figures.set("copykit_event_loop_lag_seconds", float(sys.argv[2]))
        print("counted", flush=True)
    else:
        asyncio.run(application.state.answers.pulse.look())
        metered.figures.set("copykit_event_loop_lag_seconds", float(sys.argv[2]))
        print(json.dumps(metered.figures.data()), flush=True)
"""


class Worker:
    """A process that counts into the folder."""

    def __init__(self, in_flight: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(Path(__file__).parent), str(in_flight)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )

    def do(self, what: str) -> str:
        """Have it do something, and give its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def told(self, family: str, name: str) -> list[tuple[dict[str, str], float]]:
        """Ask it for one figure of the service."""
        rows = json.loads(self.do("tell"))[family][name]["values"]
        return [(row["labels"], row.get("value", row.get("count"))) for row in rows]

    def end(self) -> None:
        """End it in order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_any_worker_tells_the_figures_of_all() -> None:
    """Counters and histograms add up and outlive their worker; gauges are those of workers that live (F11 shows)."""
    with figure_files() as folder:
        first, second = Worker(3), Worker(4)
        try:
            assert [worker.do("count") for worker in (first, first, second)] == ["counted\n"] * 3
            assert ({"result": "hit"}, 3.0) in first.told("cache", "copykit_cache_lookups_total")
            assert second.told("requests", "copykit_generation_duration_seconds") == [
                ({"cached": "true"}, 3.0)
            ]
            assert first.told("system", "copykit_workers") == [({}, 2.0)]
            assert second.told("system", "copykit_event_loop_lag_seconds") == [({}, 4.0)]
            digests = first.told("system", "copykit_build_info")
            assert len({labels["config"] for labels, _ in digests}) == 2
            second.end()
            assert first.told("system", "copykit_workers") == [({}, 1.0)]
            assert len(first.told("system", "copykit_build_info")) == 1
            assert ({"result": "hit"}, 3.0) in first.told("cache", "copykit_cache_lookups_total")
            assert first.told("system", "copykit_worker_starts_total") == [({}, 2.0)]
        finally:
            for worker in (first, second):
                if worker.process.poll() is None:
                    worker.end()
    assert not Path(folder).exists()
    assert FOLDER_VARIABLE not in os.environ


def test_a_folder_of_the_operators_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names one keeps it."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with figure_files() as folder:
        assert folder == str(tmp_path)
    assert tmp_path.exists()
    assert os.environ[FOLDER_VARIABLE] == str(tmp_path)


def test_what_alerts_watch_is_told_from_the_start() -> None:
    """As 0: Prometheus sees no increase where a series begins at 1, and the first failure would be nobody's."""
    figures = app().state.answers.metered.figures
    assert value(figures, "copykit_http_requests_rejected_total", reason="internal_error") == 0
    assert value(figures, "copykit_generation_failures_total", code="budget_exceeded") == 0
    assert (
        value(figures, "copykit_provider_attempts_total", target="phrasebank", outcome="provider_auth") == 0
    )
    assert value(figures, "copykit_provider_cost_unknown_total", target="phrasebank") == 0


def counted(url: str, family: str, name: str) -> dict[str, float]:
    """Ask a running server for one figure: the sum of its series by the first label's value."""
    import httpx2

    told = httpx2.get(f"{url}/metrics", headers={"x-api-key": KEY}, timeout=30).json()[family][name]["values"]
    return {next(iter(one["labels"].values()), ""): one["value"] for one in told}


def state(url: str) -> tuple[float, float, float]:
    """Ask for results, workers that live, and workers started."""
    results = counted(url, "requests", "copykit_generations_total")["x.post"]
    return (
        results,
        counted(url, "system", "copykit_workers")[""],
        counted(url, "system", "copykit_worker_starts_total")[""],
    )


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until *holds*, for a minute at most."""
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_server_of_two_workers_tells_of_both(tmp_path: Path) -> None:
    """promtool finds nothing in its scrape; what a worker that was killed had counted stays, its gauges go, and its
    successor is a restart.
    """
    for package in ("uvicorn", "aiosqlite", "limits", "structlog"):
        pytest.importorskip(package, reason="needs the extra server")
    if not Path("/proc").exists():
        pytest.skip("a worker's number is read from /proc")
    import httpx2

    from front import Served

    brief = {"product_name": "Norr", "product_description": "Oak desk", "target_platform": "x"}
    server = Served(tmp_path, API_KEY=KEY, COPYKIT_WORKERS="2", TMPDIR=str(tmp_path)).start()
    try:
        for _ in range(12):  # each over a connection of its own, so that both workers get some
            answer = httpx2.post(
                f"{server.url}/v11/generate", json=brief, headers={"x-api-key": KEY}, timeout=60
            )
            assert answer.status_code == 200
        eventually(lambda: state(server.url) == (12, 2, 2))  # repeated answers are told twice a second
        scrape = httpx2.get(
            f"{server.url}/metrics/prometheus", headers={"authorization": f"Bearer {KEY}"}, timeout=30
        )
        assert scrape.headers["content-type"].startswith("text/plain")
        if (promtool := shutil.which("promtool")) is not None:
            checked = subprocess.run(
                [promtool, "check", "metrics"], input=scrape.text, capture_output=True, text=True, timeout=60
            )
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        assert server.process is not None
        parent = server.process.pid
        child = int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
        os.kill(child, signal.SIGKILL)
        eventually(lambda: state(server.url) == (12, 2, 3))
    finally:
        server.stop()
    assert not list(tmp_path.glob("copykit-figures-*"))
