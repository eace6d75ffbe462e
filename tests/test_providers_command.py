"""``copykit providers``: what the settings name, who answers, what it costs; and no key anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from copykit.cli.app import app
from copykit.cli.providers import Standing, survey
from copykit.errors import ProviderUnavailable
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider, unregister_provider
from copykit.providers.remote import ListedModel
from copykit.settings import ProvidersSettings, RoutingSettings, Secret, Settings
from copykit.testing import FakeProvider
from copykit.testing.servers import Received, ScriptedServer, Step, answer, hang

KEY = "sk-canary-5f0c1d2e3b4a5968"


class Listing(FakeProvider):
    """A fake that lists models, or fails to."""

    def __init__(self, name: str, *models: ListedModel, fails: Exception | None = None) -> None:
        super().__init__(name)
        self.listed, self.fails = models, fails
        self.meet: asyncio.Barrier | None = None
        self.closed = False

    async def models(self) -> tuple[ListedModel, ...]:
        """Give the list."""
        if self.meet is not None:
            await self.meet.wait()
        if self.fails is not None:
            raise self.fails
        return self.listed

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True


@pytest.fixture
def fakes() -> Iterator[dict[str, Listing]]:
    """Register ``one`` and ``two``."""
    made = {"one": Listing("one", ListedModel("one-1", 1_000, 100)), "two": Listing("two")}
    for name, fake in made.items():
        register_provider(name, lambda fake=fake: fake)
    yield made
    for name in made:
        unregister_provider(name)


def settings(*targets: str, prices: Any = None, **providers: Any) -> Settings:
    """Give settings with these targets."""
    routing = RoutingSettings(providers=targets, prices=prices or {})
    return Settings(routing=routing, providers=ProvidersSettings(**providers))


def looked(own: Settings, **options: Any) -> dict[str, Standing]:
    """Survey, by target."""
    return {one.target: one for one in asyncio.run(survey(own, **options))}


def copykit(*words: str, **environment: str) -> Result:
    """Run the command, without the keys of whoever tests."""
    names = ("OPENAI", "ANTHROPIC", "GOOGLE", "GEMINI", "OPENROUTER", "COPYKIT_LOCAL")
    unset = dict.fromkeys(("COPYKIT_LOCAL_BASE_URL", *(f"{name}_API_KEY" for name in names)))
    given: dict[str, str | None] = {
        "COLUMNS": "200",
        "COPYKIT_PROVIDERS": "phrasebank",
        **unset,
        **environment,
    }
    return CliRunner(env=given).invoke(app, ["providers", *words])


def vendors(request: Received) -> Step:
    """Answer as four vendors do: one good, one refusing and repeating the key, one silent, one broken."""
    if request.path.startswith("/openai"):
        return answer(json={"data": [{"id": "gpt-6-luna", "context_length": 9_000}, {"id": "gpt-5.4"}]})
    if request.path.startswith("/anthropic"):
        told = {"type": "authentication_error", "message": f"invalid key {KEY}"}
        return answer(401, json={"type": "error", "error": told})
    return hang() if request.path.startswith("/google") else answer(200, body=b"<html>")


def test_vendors_are_asked_for_their_models_and_no_key_is_shown() -> None:
    """One list call each, with the key in a header; what fails says how, and the key stands nowhere."""

    async def story() -> tuple[list[Standing], list[Received]]:
        async with ScriptedServer(vendors) as server:
            keys = {f"{name}_key": Secret(KEY) for name in ("openai", "anthropic", "google")}
            own = settings(
                "openai",
                "openai:gpt-5.4",
                "anthropic",
                "google",
                "local",
                openai_base_url=f"{server.url}/openai",
                anthropic_base_url=f"{server.url}/anthropic",
                google_base_url=f"{server.url}/google",
                local_base_url=f"{server.url}/local",
                **keys,
            )
            return await survey(own, within_s=1.0), server.requests

    standings, requests = asyncio.run(story())
    by_target = {one.target: one for one in standings}
    openai = by_target["openai"]
    assert (openai.place, openai.reachable, openai.model) == (1, True, "gpt-6-luna")
    assert (openai.context, openai.output) == (9_000, 32_000)
    assert [model["name"] for model in openai.models or ()] == ["gpt-6-luna", "gpt-5.4"]
    assert openai.price is not None
    assert openai.price["source"] == "genai-prices"
    assert by_target["openai:gpt-5.4"].model == "gpt-5.4"
    assert by_target["anthropic"].reach.startswith("provider_auth: ")
    assert by_target["google"].reach == "no answer within 1 s"
    assert by_target["local"].reachable is False
    assert by_target["local"].price is not None
    assert by_target["local"].price["source"] == "free"
    assert by_target["openrouter"].missing == "it needs a key: set OPENROUTER_API_KEY"
    assert all(request.method == "GET" for request in requests)
    assert len(requests) == 4
    assert KEY not in json.dumps([asdict(one) for one in standings])


def test_all_are_asked_at_once_and_closed(fakes: dict[str, Listing]) -> None:
    """Each list is given only when both were asked: one after the other would find nobody."""

    async def story() -> list[Standing]:
        meet = asyncio.Barrier(2)
        fakes["one"].meet = fakes["two"].meet = meet
        return await survey(settings("one:one-1", "two"))

    first, second = asyncio.run(story())[:2]
    assert (first.reachable, first.context, first.output) == (True, 1_000, 100)
    assert (second.reachable, second.models) == (True, [])
    assert all(fake.closed for fake in fakes.values())


def test_what_cannot_be_asked_is_not_called_unreachable() -> None:
    """A provider without a list of models, or embedded in this process, is in nobody's way."""
    embedded = FakeProvider("three")
    embedded.embedded = True  # type: ignore[attr-defined]
    register_provider("one", lambda: FakeProvider("one"))
    register_provider("three", lambda: embedded)
    try:
        found = looked(settings("one", "three"))
        assert (found["one"].reachable, found["three"].reachable) == (None, True)
        assert copykit(COPYKIT_PROVIDERS="one,three").exit_code == 0
    finally:
        unregister_provider("one")
        unregister_provider("three")


def test_a_model_that_its_provider_does_not_list_is_noted(fakes: dict[str, Listing]) -> None:
    """Names of dated versions count as theirs, so that an alias is no false alarm."""
    fakes["one"].listed = (ListedModel("one-1-2026"),)
    found = looked(settings("one:one-1", "one:elsewhere"))
    assert found["one:one-1"].notes == []
    assert found["one:elsewhere"].notes == ["elsewhere is not among the models that it lists"]


def test_prices_are_those_of_the_settings_and_unknown_is_said(fakes: dict[str, Listing]) -> None:
    """An override wins, per million tokens; a model without a price has none, which is not zero."""
    found = looked(settings("one", "two", prices={"one": {"input": 2, "output": 8}}))
    assert found["one"].price == {
        "input": 2.0, "output": 8.0, "input_most": 2.0, "output_most": 8.0, "source": "override",
    }  # fmt: skip
    assert found["two"].price is None
    assert "unknown" in copykit(COPYKIT_PROVIDERS="one,two").stdout


def test_the_words_of_a_stranger_are_not_printed(fakes: dict[str, Listing]) -> None:
    """What another's code raises may hold anything; its kind is told, its text is not."""

    def broken() -> Listing:
        raise ValueError(KEY)

    fakes["one"].fails = ValueError(KEY)
    register_provider("two", broken)
    told = copykit("--json", COPYKIT_PROVIDERS="one,two")
    report = {one["target"]: one for one in json.loads(told.stdout)["providers"]}
    assert told.exit_code == 3 == json.loads(told.stdout)["exit_code"]
    assert report["one"]["reach"] == "it does not list its models: ValueError"
    assert (report["two"]["configured"], report["two"]["missing"]) == (False, "it cannot be made: ValueError")
    assert KEY not in told.stdout


@pytest.mark.parametrize(
    ("targets", "words", "status", "part"),
    [
        ("phrasebank", (), 0, "1. phrasebank"),
        ("openai", (), 3, "openai: it needs a key: set OPENAI_API_KEY"),
        ("phrasebank,local", ("--no-reach",), 3, "local: it needs an address: set COPYKIT_LOCAL_BASE_URL"),
        ("phrasebnk", (), 3, "unknown provider"),
        ("one", (), 3, "one: provider_unavailable: nobody home"),
        ("one", ("--no-reach",), 0, "breakers are live only in a running server"),
    ],
)
def test_the_status_tells_whether_every_target_is_there(
    fakes: dict[str, Listing], targets: str, words: tuple[str, ...], status: int, part: str
) -> None:
    """What lacks something says which variable; what is no target changes nothing."""
    fakes["one"].fails = ProviderUnavailable("nobody home")
    told = copykit(*words, COPYKIT_PROVIDERS=targets)
    assert told.exit_code == status
    assert part in told.stdout


def test_a_silent_name_server_keeps_nobody() -> None:
    """The thread that asks it is left behind: here it never ends, and the command does."""
    program = (
        "import socket, sys, threading\n"
        "socket.getaddrinfo = lambda *_, **__: threading.Event().wait()\n"
        "from copykit.cli.app import app\n"
        "sys.argv = ['copykit', 'providers', '--json']\n"
        "app()\n"
    )
    given = {**os.environ, "COPYKIT_PROVIDERS": "openai", "OPENAI_API_KEY": KEY, "COPYKIT_LOOP": "asyncio"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3
    assert json.loads(done.stdout)["providers"][0]["reachable"] is False


def test_wrong_settings_are_wrong_settings() -> None:
    """They have their own status, as with every command."""
    assert copykit(MAX_WORKERS="many").exit_code == 78


def test_json_gives_every_field(fakes: dict[str, Listing]) -> None:
    """The shape that others build on; breakers are none of this process."""
    report = json.loads(copykit("--json", COPYKIT_PROVIDERS="one:one-1").stdout)
    first = report["providers"][0]
    assert set(first) == {
        "target", "place", "configured", "missing", "model", "reachable", "reach", "models", "context",
        "output", "price", "breaker", "in_progress", "limit", "median_s", "notes",
    }  # fmt: skip
    assert first["models"] == [{"name": "one-1", "context": 1_000, "output": 100, "retires": None}]
    assert first["breaker"] is None
    assert [one["target"] for one in report["providers"]].count("phrasebank") == 1


REPORT = {
    "status": "ok",
    "routing": {
        "targets": {
            "one": {"breaker": "open", "in_progress": 3, "limit": 8, "median_s": 1.25},
            "phrasebank": {"breaker": "closed", "in_progress": 0, "limit": 8, "median_s": None},
            "else:m": {"breaker": "half_open", "in_progress": 1, "limit": 2, "median_s": 0.5},
        },
        "resting": {"one": {"kind": "cooldown", "reason": "rate_limited", "left_s": 3.0}},
    },
}


def at_a_server(step: Step, *words: str, **environment: str) -> tuple[Result, list[Received]]:
    """Run the command with the address of a server that answers with *step*; gives what it was asked too."""

    async def story() -> tuple[Result, list[Received]]:
        async with ScriptedServer([step]) as server:
            told = await asyncio.to_thread(
                lambda: copykit(*words, "--no-reach", "--url", server.url, **environment)
            )
            return told, server.requests

    return asyncio.run(story())


def test_a_running_server_tells_its_live_state(fakes: dict[str, Listing]) -> None:
    """Breaker, calls in progress and median stand beside the configuration; an open breaker is status 3."""
    step = answer(json=REPORT)
    names = {"COPYKIT_PROVIDERS": "one,two,phrasebank", "API_KEY": KEY}
    told, asked = at_a_server(step, "--json", **names)
    assert (told.exit_code, asked[0].headers["x-api-key"]) == (3, KEY)
    found = {one["target"]: one for one in json.loads(told.stdout)["providers"]}
    live = ("breaker", "in_progress", "limit", "median_s")
    assert [found["one"][name] for name in live] == ["open", 3, 8, 1.25]
    assert [found["two"][name] for name in live] == [None] * 4
    assert found["one"]["notes"] == ["its credential rests in the server: rate_limited"]
    assert (found["else:m"]["place"], found["else:m"]["breaker"]) == (None, "half_open")
    shown, _ = at_a_server(step, **names)
    assert "1.25 s" in shown.stdout
    assert "not asked yet" in shown.stdout
    assert KEY not in shown.stdout + told.stdout
    assert at_a_server(step, COPYKIT_PROVIDERS="phrasebank")[0].exit_code == 0


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (answer(body=b"[]"), "no report of copykit"),
        (answer(body=b"hello"), "no report of copykit"),
        (answer(json={"routing": {"targets": {"one": 7}}}), "no report of its targets"),
        (answer(401, json={"detail": "this key is not known"}), "this key is not known"),
    ],
)
def test_a_server_that_tells_nothing_is_a_line_and_status_3(step: Step, part: str) -> None:
    """The configuration is shown all the same."""
    told, _ = at_a_server(step, COPYKIT_PROVIDERS="phrasebank")
    assert told.exit_code == 3
    assert part in told.stdout
    assert "1. phrasebank" in told.stdout
    assert copykit("--no-reach", "--url", "http://127.0.0.1:9").exit_code == 3


def test_a_deployment_is_shown_by_its_targets(fakes: dict[str, Listing]) -> None:
    """Its alias is no provider: what stands behind it is asked, each once, in its order."""
    routing = RoutingSettings(
        ("main", "two"), deployments={"main": {"one:one-1": 3, "two": 1}, "unused": ["three"]}
    )
    found = asyncio.run(survey(Settings(routing=routing)))
    placed = [(one.target, one.place, one.reachable) for one in found if one.place]
    assert placed == [("one:one-1", 1, True), ("two", 2, True)]


def test_completions_are_not_asked_for(fakes: dict[str, Listing]) -> None:
    """Looking costs nothing: no prompt is sent."""
    fakes["one"].will_say(Completion(text="never"))
    looked(settings("one"))
    assert fakes["one"].asked == []


def test_what_the_server_asks_is_not_called_unconfigured(fakes: dict[str, Listing]) -> None:
    """Its keys are its own: the table says whose environment it shows, and a note what the server has."""
    look = {"breaker": "closed", "in_progress": 0, "limit": 8, "median_s": 0.5}
    step = answer(json={"status": "ok", "routing": {"targets": {"openai": look}}})
    told, _ = at_a_server(step, COPYKIT_PROVIDERS="phrasebank", COLUMNS="180")
    assert "providers as this environment has them, not the server" in told.output
    assert "not set up here" in told.output
    assert "openai: the server has it set up; here " in told.output
    lost, _ = at_a_server(step, API_KEY_FILE="/nonexistent")
    assert (lost.exit_code, "API_KEY_FILE: " in lost.output) == (78, True)
