"""The service over HTTP, asked as a client would, over the application itself."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

import httpx2

from copykit import CopywritingServiceV11, Settings, register_provider
from copykit.brief import catalog
from copykit.errors import (
    ConfigurationError,
    ContentRefused,
    MissingExtra,
    ProviderUnavailable,
    RateLimited,
)
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.routes import PREFIXES, ROUTES
from copykit.settings import RoutingSettings, Secret
from copykit.testing import FakeProvider

KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
BRIEF = {
    "product_description": "Zapatos deportivos de alta gama",
    "target_platform": "Instagram",
    "tone": "inspirational",
    "target_audience": "Jóvenes activos",
    "key_points": ["Comodidad", "Estilo", "Durabilidad"],
    "instructions": "Enfatiza la innovación.",
    "restrictions": ["no mencionar precio"],
    "creativity_level": 0.8,
    "language": "es",
}
LEGACY = (
    "id, content, variants, language, tone, platform, use_case, model, provider, tokens_used, cost_usd, cached, "
    "processing_time_ms, created_at"
).split(", ")


class Desk:
    """One application, and what it answers."""

    def __init__(self, *targets: str, key: str | None = KEY, **server: Any) -> None:
        settings = Settings(routing=RoutingSettings(targets or ("phrasebank",)))
        self.key = key
        secret = None if key is None else Secret(key)
        unbounded = {"rate": "", "ip_rate": "", "failure_rate": ""}
        self.app = create_app(
            server=ServerSettings(key=secret, **{**unbounded, **server}),
            service=CopywritingServiceV11(settings),
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        key: bool = True,
    ) -> httpx2.Response:
        """Send one request."""
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json"} if content is not None else {}
        if key and self.key is not None:
            sent["x-api-key"] = self.key

        async def story() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                return await client.request(
                    method, path, content=content, headers={**sent, **(headers or {})}
                )

        return asyncio.run(story())


@pytest.fixture(scope="module")
def desk() -> Desk:
    """Give a server with a key over the phrase bank."""
    return Desk()


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """Give a provider that says what it is told to."""
    provider = FakeProvider()
    register_provider("fake", lambda: provider)
    yield provider
    unregister_provider("fake")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_specifications_requests_are_answered(desk: Desk, prefix: str) -> None:
    """As they stand, under both prefixes: v11 gives the whole result, the legacy route its documented subset."""
    whole = desk.ask("POST", f"{prefix}/v11/generate", BRIEF)
    assert whole.status_code == 200
    assert whole.json()["variants"][0]["status"] == "ok"
    legacy = desk.ask("POST", f"{prefix}/generate", BRIEF).json()
    assert list(legacy) == LEGACY
    assert legacy["content"] == whole.json()["text"]
    assert (legacy["provider"], legacy["platform"]) == ("phrasebank", "instagram.caption")


@pytest.mark.parametrize("path", ["/v11/batch-generate", "/generate/batch", "/batch-generate"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_batch_has_a_result_for_each_brief_in_order(desk: Desk, path: str, wrapped: bool) -> None:
    """A brief that cannot be served has its own problem, and the others their copy."""
    briefs = [BRIEF, {**BRIEF, "target_platform": "Facebok"}, 7, {**BRIEF, "language": "en"}]
    told = desk.ask("POST", path, {"requests": briefs} if wrapped else briefs).json()
    assert [one["index"] for one in told["results"]] == [0, 1, 2, 3]
    assert [one["status"] for one in told["results"]] == ["ok", "failed", "failed", "ok"]
    assert told["results"][1]["error"]["field"] == "target_platform"
    assert "facebook" in told["results"][1]["error"]["nearest"]
    assert told["summary"] == {"total": 4, "succeeded": 2, "failed": 2}
    assert ("content" in told["results"][0]["output"]) == ("v11" not in path)


def test_a_stream_ends_with_the_result(desk: Desk) -> None:
    """Each field with its checks, and last the whole as `/v11/generate` gives it."""
    answer = desk.ask("POST", "/v11/generate/stream", BRIEF)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [
        dict(line.split(": ", 1) for line in block.splitlines())
        for block in answer.text.replace("\r\n", "\n").strip().split("\n\n")
    ]
    names = [event["event"] for event in events]
    assert names[0] in ("started", "field")
    assert names[-1] == "done"
    assert (
        json.loads(events[-1]["data"])["output"]["text"]
        == desk.ask("POST", "/v11/generate", BRIEF).json()["text"]
    )


def test_a_stream_that_cannot_begin_is_an_ordinary_problem(desk: Desk) -> None:
    """Nothing was sent yet, so the status says it."""
    assert desk.ask("POST", "/v11/generate/stream", {**BRIEF, "language": "tlh"}).status_code == 422


@pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: f"{spec.method} {spec.path}")
def test_every_route_but_the_public_ones_wants_the_key(desk: Desk, spec: Any) -> None:
    """None, a wrong one and one that is too long are refused alike; with the key no route answers 401 or 500."""
    body = BRIEF if spec.method == "POST" and "cache" not in spec.path else None
    for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer " + "x" * 5000}):
        refused = desk.ask(spec.method, spec.path, body, headers=headers, key=False)
        assert refused.status_code == (200 if spec.scope == "public" else 401)
        assert KEY not in refused.text
    assert desk.ask(spec.method, spec.path, body).status_code in (200, 422)


def test_a_bearer_token_is_as_good_as_the_header(desk: Desk) -> None:
    """So that a scraper can send it."""
    told = desk.ask("GET", "/v11/health", headers={"authorization": f"Bearer {KEY}"}, key=False)
    assert told.status_code == 200


@pytest.mark.parametrize(
    ("raw", "status", "told"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "line 1"),
        (b"\xff", 400, "UTF-8"),
        (b"\xef\xbb\xbf{}", 400, "byte order mark"),
        (b'{"a": 1, "a": 2}', 400, "twice"),
        (b'{"a": NaN}', 400, "NaN"),
        (b'{"a": 1e400}', 400, "too large"),
        (b'{"a": ' + b"1" * 100_000 + b"}", 400, "100000 digits"),
        (b"[" * 100_000, 400, "brackets"),
        (b'{"product_description": "\\ud800"}', 400, "surrogate"),
        (b'"text"', 422, "must be an object"),
        (b'{"product_description": "x", "target_platform": "x", "tenant_id": 1}', 422, "unknown field"),
        (b'{"product_description": 7}', 422, "product_description"),
        (b'{"product_descripton": "x", "target_platform": "x"}', 422, "nearest: product_description"),
        (b'{"product_description": "x", "platform": "x"}', 422, "platform='x': unknown field"),
        (b" " * 300_000, 413, "at most 262144 bytes"),
    ],
)
def test_a_bad_body_has_its_status(desk: Desk, raw: bytes, status: int, told: str) -> None:
    """And one line that says what is wrong with it."""
    answer = desk.ask("POST", "/v11/generate", raw=raw)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json; charset=UTF-8"}, 200),
        ({"content-encoding": "gzip"}, 415),
        ({"x-request-timeout-ms": "soon"}, 422),
        ({"x-request-timeout-ms": "0" * 11 + "1" + "9" * 5000}, 422),
        ({"x-request-timeout-ms": "9" * 400}, 422),
        ({"x-request-timeout-ms": "5000"}, 200),
        ({"x-request-id": "a b"}, 400),
        ({"x-request-id": "order-7"}, 200),
        ({"host": "example.com"}, 400),
        ({"host": "localhost:8000"}, 200),
    ],
)
def test_headers_are_held_to_their_rules(desk: Desk, headers: dict[str, str], status: int) -> None:
    """Kind, encoding, time, number and host of a request."""
    answer = desk.ask("POST", "/v11/generate", BRIEF, headers=headers)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_no_route_is_a_problem_too(desk: Desk) -> None:
    """404 for an unknown path, 405 with the right method for a wrong one."""
    assert desk.ask("GET", "/nope").json()["code"] == "not_found"
    wrong = desk.ask("GET", "/v11/generate")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_the_description_holds_every_route_and_is_valid(desk: Desk) -> None:
    """OpenAPI 3.1: each route of the table under each prefix, legacy ones marked so, every reference resolved."""
    told = desk.ask("GET", "/openapi.json", key=False).json()
    live = {(route.path, method) for route in desk.app.routes for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    assert {(path, method.upper()) for path, way in told["paths"].items() for method in way} == live
    assert told["paths"]["/generate"]["post"]["summary"].endswith("(legacy endpoint)")
    names = [one["operationId"] for way in told["paths"].values() for one in way.values()]
    assert len(names) == len(set(names))
    validator = pytest.importorskip("openapi_spec_validator", reason="an independent validator")
    validator.validate(told)


def test_what_is_marked_as_legacy_is_what_the_guide_calls_the_first_interface(desk: Desk) -> None:
    """The description marks by tag and summary what docs/migrate.md lists, and nothing else."""
    guide = (Path(__file__).parents[1] / "docs" / "migrate.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (`[A-Z]+ .*?) \|", guide.partition("\n## Routes\n")[2].partition("\n## ")[0])
    listed = {tuple(route.split()) for row in rows for route in re.findall(r"`([A-Z]+ [^`]+)`", row)}
    paths = desk.ask("GET", "/openapi.json", key=False).json()["paths"]
    ways = [(method.upper(), path, one) for path, way in paths.items() for method, one in way.items()]
    for marked in (
        {(method, path) for method, path, one in ways if one["tags"] == ["legacy"]},
        {(method, path) for method, path, one in ways if one["summary"].endswith("(legacy endpoint)")},
    ):
        assert {(method, path.removeprefix("/copywriting")) for method, path in marked} == listed


def test_figures_come_for_prometheus_and_as_data(fake: FakeProvider) -> None:
    """All families; answers, calls, tokens and money are counted, and labels hold no more names than a hundred."""
    fake.will_say({"text": "Norr. Oak desk, oiled by hand."})
    desk = Desk("fake")
    brief = {"product_name": "Norr", "product_description": "Oak desk, oiled by hand", "target_platform": "x"}
    assert desk.ask("POST", "/v11/generate", brief).status_code == 200
    assert desk.ask("POST", "/v11/generate", brief).json()["cached"]
    assert desk.ask("POST", "/v11/generate", {}).status_code == 422
    text = desk.ask("GET", "/metrics/prometheus").text
    for line in (
        'copykit_http_requests_total{method="POST",route="/v11/generate",status="200"} 2.0',
        'copykit_http_requests_total{method="POST",route="/v11/generate",status="422"} 1.0',
        'copykit_provider_attempts_total{outcome="ok",target="fake"} 1.0',
        'copykit_provider_tokens_total{kind="output",target="fake"} 20.0',
        'copykit_cache_lookups_total{result="hit"} 1.0',
        'copykit_target_breaker{state="closed",target="fake"} 1.0',
        'copykit_http_requests_rejected_total{reason="invalid_request"} 1.0',
    ):
        assert line in text
    for name in ("copykit_resident_memory_bytes", "copykit_capability_info", "copykit_cache_size_bytes"):
        assert f"# TYPE {name}" in text
    requests = desk.ask("GET", "/metrics").json()["requests"]["copykit_http_requests_total"]["values"]
    answered = {(one["labels"]["route"], one["labels"]["status"]): one["value"] for one in requests}
    assert (answered["/v11/generate", "200"], answered["/v11/generate", "422"]) == (2.0, 1.0)
    for accept, path, text in (
        ("text/plain", "/metrics", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.2", "/metrics", True),
        ("application/json, text/plain, */*", "/metrics", False),
        ("application/json;q=1, text/plain;q=0.1", "/metrics", False),
        ("text/plain;q=0, application/json", "/metrics", False),
        ("*/*", "/metrics", False),
        ("*/*", "/copywriting/metrics", True),
        ("application/json", "/copywriting/metrics", False),
    ):
        told = desk.ask("GET", path, headers={"accept": accept}).text
        assert told.startswith("# HELP") is text, (accept, path)
    assert desk.ask("GET", "/copywriting/metrics").text.startswith("# HELP")
    figures = desk.app.state.answers.metered.figures
    for number in range(300):
        figures.count("copykit_repairs", f"R-{number}")
    rules = {
        one["labels"]["rule"]: one["value"]
        for one in figures.data()["optimization"]["copykit_repairs_total"]["values"]
    }
    assert (len(rules), rules["other"]) == (101, 200.0)


def test_an_upstreams_words_stay_inside(fake: FakeProvider) -> None:
    """A client learns that the provider failed, not what it said."""
    fake.will_say(ProviderUnavailable("secret upstream body", status=503, target="fake"))
    answer = Desk("fake").ask("POST", "/v11/generate", BRIEF)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_failed")
    assert "secret" not in answer.text
    assert {one["outcome"] for one in answer.json()["attempts"]} == {"provider_unavailable"}


def test_a_defects_words_stay_inside_and_its_stream_has_an_end(
    fake: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """An error event ends the stream and a batch holds it in its place: `internal_error`, and the log has the defect."""
    fake.will_say(KeyError("words of a defect"))
    desk = Desk("fake")
    streamed = desk.ask("POST", "/v11/generate/stream", BRIEF)
    whole = desk.ask("POST", "/v11/generate", BRIEF)
    batch = desk.ask("POST", "/v11/batch-generate", [BRIEF])
    events = streamed.text.replace("\r\n", "\n").strip().split("\n\n")
    assert events[-1].startswith("event: error\n")
    told = json.loads(events[-1].partition("data: ")[2])
    for problem in (told, whole.json(), batch.json()["results"][0]["error"]):
        assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert not any("words" in answer.text for answer in (streamed, whole, batch))
    assert f"request {streamed.headers['x-request-id']} failed" in caplog.text
    assert "words of a defect" in caplog.text


def test_a_refusal_is_the_requests_own_fault(fake: FakeProvider) -> None:
    """422, as for a brief that breaks a rule."""
    fake.will_say(ContentRefused("I will not", target="fake"))
    answer = Desk("fake").ask("POST", "/v11/generate", BRIEF)
    assert (answer.status_code, answer.json()["code"]) == (422, "content_refused")


def test_a_throttle_says_when_to_come_back(fake: FakeProvider) -> None:
    """503 with Retry-After, since it is not the client that was too fast."""
    fake.will_say(RateLimited("slow down", target="fake", retry_after_s=200.0))
    answer = Desk("fake").ask("POST", "/v11/generate", BRIEF)
    assert (answer.status_code, answer.json()["code"]) == (503, "all_providers_cooling")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ConfigurationError("prices.toml: no price for 'fake'"),
            "configuration_error: prices.toml: no price",
        ),
        (
            MissingExtra("thinking", "thinker", "brain"),
            'missing_extra: thinking needs thinker: pip install "copykit',
        ),
    ],
)
def test_what_is_not_set_up_is_named_in_the_log_alone(
    fake: FakeProvider, caplog: pytest.LogCaptureFixture, error: ConfigurationError, told: str
) -> None:
    """
    503 that is not worth another try, without a time for one, by every way; the log has the setting or the package, once
    a request whatever it asks for.
    """
    desk = Desk("fake")
    for path, body in (
        ("/v11/generate", BRIEF),
        ("/v11/generate/stream", BRIEF),
        ("/v11/batch-generate", [{**BRIEF, "product_name": f"Norr {number}"} for number in range(3)]),
    ):
        for _ in range(3):
            fake.will_say(error)
        caplog.clear()
        answer = desk.ask("POST", path, body)
        if path.endswith("stream") and answer.status_code == 200:
            problem = json.loads(answer.text.replace("\r", "").strip().rpartition("data: ")[2])
        else:
            problem = answer.json()["results"][2]["error"] if "batch" in path else answer.json()
        assert (problem["status"], problem["code"], problem["retryable"]) == (503, error.code, False)
        assert "retry_after_s" not in problem
        assert "retry-after" not in answer.headers
        assert error.message not in answer.text
        lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert len(lines) == 1, lines
        assert f"request {answer.headers['x-request-id']}: {told}" in lines[0]


def test_the_configuration_shows_no_secret(desk: Desk) -> None:
    """Stars stand for it."""
    told = desk.ask("GET", "/config")
    assert told.json()["server"]["key"] == "***"
    assert KEY not in told.text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"host": "0.0.0.0"}, "no key is set: set API_KEY"),  # noqa: S104  # it is refused
        ({"key": Secret("your-secure-api-key")}, "sample from a document"),
        ({"key": Secret("a" * 64)}, "too easily guessed"),
        ({"key": Secret("0123456789abcdef0123")}, "128 bits"),
        ({"port": 70_000}, "a whole number from 0 to 65535"),
        ({"max_body": 1, "body_s": 0}, "server.body_s"),
    ],
)
def test_an_unsafe_setup_does_not_start(wrong: dict[str, Any], told: str) -> None:
    """Every mistake at once, and no key in any message."""
    with pytest.raises(ConfigurationError) as caught:
        ServerSettings(**wrong)
    assert told in str(caught.value)
    assert "a" * 64 not in str(caught.value)


def test_without_a_key_only_this_machine_is_served() -> None:
    """Authentication is off on a loopback address; another name in Host is refused there, whatever it resolves to."""
    free = Desk(key=None)
    assert free.ask("GET", "/v11/health").status_code == 200
    assert free.ask("GET", "/v11/health", headers={"host": "rebound.example"}).status_code == 400


def test_named_hosts_are_served_and_the_address_itself() -> None:
    """What COPYKIT_ALLOWED_HOSTS names, and what probes and scrapers name: the very address that they reached."""
    named = Desk(allowed_hosts=("copy.example.com",))
    for host, status in (
        ("copy.example.com", 200),
        ("COPY.example.com:443", 200),
        ("127.0.0.1:8000", 200),
        ("127.0.0.2", 400),
        ("localhost", 400),
        ("copy.example.com.evil.example", 400),
    ):
        assert named.ask("GET", "/health/live", headers={"host": host}).status_code == status, host


def test_the_command_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    """It says where it listens, answers, and ends with 0 at SIGTERM; a taken port is one line and status 1."""
    command = [sys.executable, "-m", "copykit", "run", "--port"]
    env = {**os.environ, "COPYKIT_DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "0"], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
    ) as served:
        try:
            assert served.stderr is not None
            address = next(line for line in served.stderr if "listens on" in line).split()[3]
            port = address.rpartition(":")[2]
            answer = httpx2.post(f"{address}/v11/generate", json=BRIEF, timeout=30)
            assert answer.status_code == 200
            assert "server" not in answer.headers
            asked = [sys.executable, "-m", "copykit", "health", "--url", address, "--json"]
            for _ in range(20):  # where others share the processor its loop may be late, which it reports
                health = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=60)
                if "late" not in health.stdout:
                    break
            assert health.returncode == 0, health.stdout
            assert json.loads(health.stdout)["routing"]["targets"]["phrasebank"]["accepted"] == 1
            taken = subprocess.run(
                [*command, port], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
            )
            assert (taken.returncode, len(taken.stderr.splitlines())) == (1, 1)
            served.send_signal(signal.SIGTERM)
            served.communicate(timeout=30)
        finally:
            served.kill()
    assert served.returncode == 0


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        ({"API_KEY": KEY, "COPYKIT_ALLOWED_HOSTS": "copy.example.com"}, 0, []),
        ({"COPYKIT_HOST": "0.0.0.0"}, 78, ["no key is set"]),  # noqa: S104  # it is refused
        (
            {"COPYKIT_DRAIN_S": "-1", "COPYKIT_PROVIDES": "openai", "COPYKIT_DATA_DIR": "/dev/null/x"},
            78,
            ["server.drain_s", "nearest: COPYKIT_PROVIDERS", "COPYKIT_DATA_DIR: "],
        ),
        ({"COPYKIT_DATA_DIR": "damaged"}, 78, ["the file is damaged or no SQLite database"]),
        ({"COPYKIT_DATA_DIR": "torn"}, 1, ["the store's file is damaged"]),
    ],
)
def test_a_look_says_what_would_be_served(
    given: dict[str, str], status: int, told: list[str], tmp_path: Path
) -> None:
    """`run --check` listens nowhere: what would be served and 0, or each mistake as a line and the status of `run`."""
    for name, text in (("damaged", b"no database"), ("torn", b"SQLite format 3\0" + b"\xff" * 8000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "server.sqlite").write_bytes(text)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COPYKIT_")}
    env = {**kept, "COPYKIT_DATA_DIR": "fresh", "COPYKIT_PROVIDERS": "phrasebank", **given}

    def looked(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "copykit", "run", "--check", *options]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)

    plain, data = looked(), looked("--json")
    assert plain.returncode == data.returncode == status
    assert data.stderr == ""
    found = json.loads(data.stdout)
    assert found["ok"] == (status == 0)
    assert len(found["problems"]) == len(told)
    for text in told:
        assert sum(text in line for line in found["problems"]) == 1
    assert plain.stderr.splitlines() == [f"copykit: {line}" for line in found["problems"]]
    assert KEY not in plain.stdout + data.stdout + plain.stderr
    if status == 0:
        assert plain.stdout.startswith("nothing is wrong; copykit run would listen on 127.0.0.1:8000\n")
        assert (found["authentication"], found["targets"]) == (True, ["phrasebank"])
        assert found["allowed_hosts"] == ["copy.example.com"]
        assert found["store"].endswith("/fresh/server.sqlite")


@pytest.mark.parametrize(
    ("url", "told"),
    [("http://127.0.0.1:9", "unreachable"), ("nowhere", "unreachable"), ("http://", "unreachable")],
)
def test_a_server_that_cannot_be_asked_is_not_well(url: str, told: str, tmp_path: Path) -> None:
    """One line that says why, and status 1; as data with --json."""
    asked = [sys.executable, "-m", "copykit", "health", "--url", url]
    plain = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (plain.returncode, told in plain.stdout, plain.stderr) == (1, True, "")
    data = subprocess.run([*asked, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert json.loads(data.stdout)["status"] == told


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"variants": "3"}, "variants"),
        ({"variants": True}, "variants"),
        ({"creativity_level": "0.5"}, "creativity_level"),
        ({"seed": 1.5}, "seed"),
        ({"brand": {"name": 7}}, "brand.name"),
        ({"fields": {"text": {"limit": "9"}}}, "fields.text.limit"),
    ],
)
def test_a_brief_is_read_strictly(desk: Desk, fields: dict[str, Any], field: str) -> None:
    """What the published schema forbids is refused, and 3.0 is the whole number that JSON says it is."""
    refused = desk.ask("POST", "/v11/generate", {**BRIEF, **fields})
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert desk.ask("POST", "/v11/generate", {**BRIEF, "variants": 3.0}).status_code == 200


def test_the_published_bounds_are_those_that_hold(desk: Desk) -> None:
    """The longest text, the most entries and every name of the schema are served; one more of each is not."""
    schemas = desk.ask("GET", "/openapi.json").json()["components"]["schemas"]
    told = schemas["CopywritingInput"]["properties"]
    longest, most = told["product_description"]["maxLength"], told["key_points"]["anyOf"][0]["maxItems"]
    for changes, status in (
        ({"product_description": "oak " * (longest // 4)}, 200),
        ({"product_description": "oak " * (longest // 4) + "x"}, 422),
        ({"key_points": [f"point {number}" for number in range(most)]}, 200),
        ({"key_points": [f"point {number}" for number in range(most + 1)]}, 422),
    ):
        brief = {"product_description": "Oak desk", "target_platform": "x", **changes}
        assert desk.ask("POST", "/v11/generate", brief).status_code == status, list(changes)
    for name in told["target_platform"]["enum"]:
        catalog.placement(name)
    for tag in told["language"]["enum"]:
        catalog.language(tag)
    for name in told["tone"]["enum"]:
        catalog.tone(name)
    for name in told["use_case"]["anyOf"][0]["enum"]:
        catalog.use_case(name)


def test_a_host_that_is_not_served_is_named_in_the_log_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the variable that would serve it, escaped and cut; the client learns nothing of it."""
    desk = Desk()
    first = desk.ask("GET", "/health/live", headers={"host": "shop.example" + "x" * 200}, key=False)
    assert first.status_code == 400
    assert "COPYKIT" not in first.text
    desk.ask("GET", "/health/live", headers={"host": "another.example"}, key=False)
    told = [record.message for record in caplog.records if "COPYKIT_ALLOWED_HOSTS" in record.message]
    assert len(told) == 1
    assert told[0].startswith("Host 'shop.example")
    assert len(told[0]) < 120
