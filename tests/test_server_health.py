"""How a server says that it is well: probes that an orchestrator asks, and the report that a person reads."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("prometheus_client", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

import httpx2
import typer
from typer.testing import CliRunner

from copykit import CopywritingServiceV11, Settings, register_provider
from copykit.cli import health as command
from copykit.errors import ProviderUnavailable, RateLimited
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.config import file_url
from copykit.server.kept.store import StoreUnavailable
from copykit.settings import RoutingSettings, Secret
from copykit.testing import FakeProvider
from serving import serving

KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
BRIEF = {"product_name": "Norr", "product_description": "Oak desk, oiled by hand", "target_platform": "x"}
Ask = Callable[[str], Awaitable[httpx2.Response]]


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """Give a provider that says what it is told to."""
    provider = FakeProvider()
    register_provider("fake", lambda: provider)
    yield provider
    unregister_provider("fake")


def told(story: Callable[[Any, Ask], Awaitable[None]], *targets: str, **server: Any) -> None:
    """Run *story* against one application, with what asks it."""

    async def run() -> None:
        service = CopywritingServiceV11(Settings(routing=RoutingSettings(targets or ("phrasebank",))))
        application = create_app(server=ServerSettings(**server), service=service)
        transport = httpx2.ASGITransport(app=application)
        async with (
            application.router.lifespan_context(application),
            httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
        ):

            async def ask(path: str) -> httpx2.Response:
                if path == "generate":
                    return await client.post("/v11/generate", json=BRIEF)
                return await client.get(path)

            await story(application, ask)

    asyncio.run(run())


def test_a_server_that_is_well_says_what_it_rests_on(tmp_path: Path) -> None:
    """Targets, store, Redis, memory, disk, cache, capabilities, workers, places, version and configuration."""

    async def story(application: Any, ask: Ask) -> None:
        await ask("generate")
        await ask("generate")
        report = (await ask("/health")).json()
        assert (report["status"], report["reasons"]) == ("ok", [])
        assert report["providers"]["phrasebank"]["status"] == "ok"
        database = report["database"]
        assert (database["kind"], database["reachable"], database["configured"]) == ("sqlite", True, True)
        assert database["size_bytes"] > 0
        assert database["latency_s"] > 0
        assert report["redis"] == {"configured": False, "limits_counted_by": "this worker"}
        assert 0 < report["memory"]["share"] < 1
        assert report["disk"]["free_bytes"] > 0
        assert report["cache"]["hit_ratio"] == 0.5
        assert report["optimization"]["tier"]
        assert report["optimization"]["capabilities"]["json"]
        assert report["requests"]["limit"] == 64
        assert report["uptime_s"] > 0
        assert report["authentication"] == "off"
        assert report["version"]
        assert report["config"] == application.state.answers._holdings.config
        assert (await ask("/v11/health")).json().keys() == report.keys()

    told(story, store_url=file_url(tmp_path))


def test_a_target_that_rests_is_a_worry_and_all_of_them_an_end(fake: FakeProvider) -> None:
    """With another to ask the server is degraded and ready; with none it is neither, but for a rest of seconds."""
    fake.will_say(RateLimited("slow down", target="fake", retry_after_s=200.0))
    fake.will_say(RateLimited("slow down", target="fake", retry_after_s=200.0))

    async def with_another(application: Any, ask: Ask) -> None:
        assert (await ask("generate")).status_code == 200
        report = (await ask("/health")).json()
        assert (report["status"], report["reasons"]) == ("degraded", ["fake: resting"])
        target = report["providers"]["fake"]
        assert target["last_failure"]["code"] == "rate_limited"
        assert target["rest"]["reason"] == "rate_limited"
        assert 0 < target["comes_back_in_s"] <= 200
        assert (await ask("/health/ready")).status_code == 200

    async def alone(application: Any, ask: Ask) -> None:
        assert (await ask("/health/ready")).status_code == 200
        assert (await ask("generate")).status_code == 503
        report = (await ask("/health")).json()
        assert report["status"] == "unavailable"
        assert "no target may be asked now" in report["reasons"]
        ready = await ask("/health/ready")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["providers"])
        assert (await ask("/health/live")).status_code == 200

    async def for_a_moment(application: Any, ask: Ask) -> None:
        assert (await ask("generate")).status_code == 503
        report = (await ask("/health")).json()
        assert (report["status"], report["reasons"][0]) == ("unavailable", "no target may be asked now")
        assert (await ask("/health/ready")).status_code == 200

    told(with_another, "fake", "phrasebank")
    told(alone, "fake")
    fake.will_say(RateLimited("slow down", target="fake", retry_after_s=5.0))
    told(for_a_moment, "fake")


def test_a_providers_words_are_not_in_the_report(fake: FakeProvider) -> None:
    """Its failure's code is."""
    fake.will_say(ProviderUnavailable("secret upstream body", status=503, target="fake"))

    async def story(application: Any, ask: Ask) -> None:
        await ask("generate")
        answer = await ask("/health")
        assert "secret" not in answer.text
        assert answer.json()["providers"]["fake"]["last_failure"]["code"] == "provider_unavailable"

    told(story, "fake", "phrasebank")


def test_without_its_store_a_server_is_not_ready_and_lives(tmp_path: Path) -> None:
    """So that it is not started again for what starting it cannot mend."""

    async def story(application: Any, ask: Ask) -> None:
        assert (await ask("/health/ready")).status_code == 200
        holdings = application.state.answers._holdings

        def away() -> Any:
            raise StoreUnavailable("the store did not answer: OSError")

        holdings.store.reading = holdings.store.writing = away
        health = application.state.answers._health
        health._asked.clear()
        ready = await ask("/health/ready")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["store"])
        assert (await ask("/health/live")).json() == {"status": "ok"}
        report = await health.report()
        assert report["status"] == "unavailable"
        assert report["database"]["reachable"] is False
        figures = application.state.answers.metered.figures
        await health._look()
        assert b'copykit_dependency_up{dependency="store"} 0.0' in figures.text()

    told(story, store_url=file_url(tmp_path))


def test_a_server_that_ends_is_not_ready() -> None:
    """At once, and it still answers."""

    async def story(application: Any, ask: Ask) -> None:
        application.state.drain.begin()
        ready = await ask("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "reasons": ["draining"]})
        assert (await ask("/health/live")).status_code == 200
        report = (await ask("/health")).json()
        assert report["reasons"] == ["the worker is about to end"]
        assert b"copykit_draining 1.0" in application.state.answers.metered.figures.text()

    told(story)


def test_a_redis_that_does_not_answer_is_a_worry() -> None:
    """Found out within a quarter of a second; each worker counts alone meanwhile."""
    pytest.importorskip("redis", reason="needs the extra redis")
    with socket.socket() as silent:  # it takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"

        async def story(application: Any, ask: Ask) -> None:
            report = (await ask("/health")).json()
            assert report["status"] == "degraded"
            assert report["redis"]["configured"]
            assert not report["redis"]["reachable"]
            assert any("Redis" in reason for reason in report["reasons"])
            assert (await ask("/health/ready")).status_code == 200
            assert "127.0.0.1" not in json.dumps(report["redis"])

        told(story, limits_url=address)


def test_probes_ask_the_store_once_a_second(tmp_path: Path) -> None:
    """However many come, so that nobody can make a load of them."""

    async def story(application: Any, ask: Ask) -> None:
        store, asked = application.state.answers._holdings.store, 0
        reading = store.reading

        def counted() -> Any:
            nonlocal asked
            asked += 1
            return reading()

        application.state.answers._health._asked.clear()
        keyring = application.state.answers._holdings.keyring
        keyring._store = None  # which looks at it by itself
        store.reading = counted
        await asyncio.gather(*(ask("/health/ready") for _ in range(50)))
        assert 1 <= asked <= 10  # fifty of them take a second or two on a busy machine

    told(story, store_url=file_url(tmp_path))


def test_the_command_shows_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tables with every part; status 1 with the reasons where it is not well."""
    reports: list[dict[str, Any]] = []

    async def story(application: Any, ask: Ask) -> None:
        await ask("generate")
        reports.append((await ask("/health")).json())
        application.state.drain.begin()
        reports.append((await ask("/health")).json())

    told(story, store_url=file_url(tmp_path))
    monkeypatch.setenv("COLUMNS", "140")
    app = typer.Typer()
    app.command()(command.command)
    monkeypatch.setattr(command, "server_report", lambda url, timeout: (200, reports[0]))
    well = CliRunner().invoke(app, ["--url", "http://127.0.0.1:8000"])
    assert well.exit_code == 0
    for part in (
        "phrasebank",
        "database",
        "Redis",
        "memory",
        "disk",
        "cache",
        "optimization",
        "workers",
        "version",
    ):
        assert part in well.output
    assert "of the worker that answered" not in well.output
    reports[0]["workers"]["configured"] = 2
    several = CliRunner().invoke(app, [])
    assert "one of 2 workers answered" in several.output
    marked = [line for line in several.output.splitlines() if "(of the worker that answered)" in line]
    assert [line.split()[1] for line in marked] == ["memory", "cache", "requests", "version"]
    reports[0]["optimization"] |= {"score": 15, "recommended": ["orjson", "numpy"]}
    fresh = CliRunner().invoke(app, [])
    assert "works as it is, could also use orjson, numpy" in fresh.output
    monkeypatch.setattr(command, "server_report", lambda url, timeout: (200, reports[1]))
    ends = CliRunner().invoke(app, [])
    assert (ends.exit_code, "about to end" in ends.output) == (1, True)


def test_the_command_asks_the_server_and_with_the_key_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the client does: COPYKIT_URL, and API_KEY or its file; --url wins, and a file that cannot be read is told."""
    held = tmp_path / "key"
    held.write_text(KEY + "\n", encoding="utf-8")
    held.chmod(0o600)
    app = typer.Typer()
    app.command()(command.command)
    with serving(create_app(server=ServerSettings(key=Secret(KEY)))) as url:
        for name, value in {"COPYKIT_URL": url, "API_KEY_FILE": str(held), "API_KEY": ""}.items():
            monkeypatch.setenv(name, value)
        assert f"{url}: ok" in CliRunner().invoke(app, []).output
        elsewhere = CliRunner().invoke(app, ["--url", "http://127.0.0.1:9", "--timeout", "1"])
        assert (elsewhere.exit_code, "unreachable" in elsewhere.output) == (1, True)
        monkeypatch.setenv("API_KEY", "\u00fc" * 40)
        assert "API_KEY: a key holds" in CliRunner().invoke(app, []).output
        monkeypatch.setenv("API_KEY", "")
        monkeypatch.setenv("API_KEY_FILE", str(tmp_path / "none"))
        lost = CliRunner().invoke(app, [])
        assert (lost.exit_code, "API_KEY_FILE: " in lost.stderr) == (78, True)
