"""Spans and client metrics for OpenTelemetry: what they hold, and that they hold no words of anybody."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("prometheus_client", reason="needs the extra server")

from copykit import CopywritingServiceV11, Settings, register_provider
from copykit.data import load_toml
from copykit.errors import ConfigurationError, MissingExtra, ProviderUnavailable
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.watch.traces import Traces, traces_from_env
from copykit.settings import RoutingSettings
from copykit.testing import FakeProvider

BRIEF = {
    "product_name": "Norr",
    "product_description": "Oak desk, oiled by hand, secret-words-of-the-brief",
    "target_platform": "x",
}
ANSWER = "Norr. Oak desk, oiled by hand. words-of-the-model"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """Give a provider that says what it is told to."""
    provider = FakeProvider()
    register_provider("fake", lambda: provider)
    yield provider
    unregister_provider("fake")


class Watched:
    """An application whose spans and metrics stay in memory."""

    def __init__(self) -> None:
        pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.traces = Traces(provider, MeterProvider([self._reader]))
        service = CopywritingServiceV11(Settings(routing=RoutingSettings(("fake:small-model",))))
        self.app = create_app(server=ServerSettings(), service=service, traces=self.traces)

    def ask(self, *bodies: Any, path: str = "/v11/generate", **headers: str) -> list[Any]:
        """Send requests one after another."""

        async def story() -> list[Any]:
            import httpx2

            transport = httpx2.ASGITransport(app=self.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                return [
                    await client.post(path + "?q=secret-query", json=body, headers=headers) for body in bodies
                ]

        return asyncio.run(story())

    def spans(self) -> dict[str, Any]:
        """Give the spans by name, each once."""
        found = self._spans.get_finished_spans()
        assert len({span.name for span in found}) == len(found)
        return {span.name: span for span in found}

    def points(self) -> dict[tuple[str, str], Any]:
        """Give the metrics' points by name and token type."""
        data = self._reader.get_metrics_data()
        return {
            (metric.name, point.attributes.get("gen_ai.token.type", "")): point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    def written(self) -> str:
        """Give all that would be sent."""
        return json.dumps([json.loads(span.to_json()) for span in self._spans.get_finished_spans()])


def test_a_request_its_brief_and_its_calls_are_one_trace(fake: FakeProvider) -> None:
    """Each is the child of the one before; the call has the names of the conventions, its time and its tokens."""
    fake.will_say({"text": ANSWER})
    watched = Watched()
    (answer,) = watched.ask(BRIEF)
    assert answer.status_code == 200
    spans = watched.spans()
    assert list(spans) == ["chat small-model", "generate", "POST /v11/generate"]
    request, brief, call = spans["POST /v11/generate"], spans["generate"], spans["chat small-model"]
    assert brief.parent.span_id == request.context.span_id
    assert call.parent.span_id == brief.context.span_id
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v11/generate",
    }
    assert dict(brief.attributes) == {
        "copykit.placement": "x.post",
        "copykit.language": "en",
        "copykit.status": "ok",
        "copykit.cached": False,
    }
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.provider.name"] == "fake"
    assert call.attributes["gen_ai.request.model"] == "small-model"
    assert call.attributes["gen_ai.usage.output_tokens"] == 20
    assert brief.start_time <= call.start_time <= call.end_time <= brief.end_time
    points = watched.points()
    assert points["gen_ai.client.token.usage", "output"].sum == 20
    assert points["gen_ai.client.operation.duration", ""].count == 1


def test_a_failure_says_its_code_and_nothing_else(fake: FakeProvider) -> None:
    """On all three spans, with no word of the provider."""
    fake.will_say(ProviderUnavailable("secret-of-the-upstream", status=400, target="fake", retryable=False))
    watched = Watched()
    (answer,) = watched.ask(BRIEF)
    assert answer.status_code == 502
    spans = watched.spans()
    assert spans["chat small-model"].attributes["error.type"] == "provider_unavailable"
    assert spans["generate"].attributes["error.type"]
    assert spans["POST /v11/generate"].attributes["error.type"] == "provider_failed"
    assert {span.status.status_code.name for span in spans.values()} == {"ERROR"}
    assert {span.status.description for span in spans.values()} == {None}
    assert not any(span.events for span in spans.values())
    assert "secret" not in watched.written()


def test_spans_hold_nobodys_words(fake: FakeProvider) -> None:
    """Neither the brief's nor the model's, nor a query, a key or the client's name."""
    fake.will_say({"text": ANSWER})
    watched = Watched()
    (answer,) = watched.ask(BRIEF, **{"x-api-key": "secret-key", "user-agent": "secret-agent"})
    assert "words-of-the-model" in answer.text
    assert "secret" not in watched.written()
    assert "words-of-the-model" not in watched.written()


def test_a_trace_that_the_client_began_goes_on(fake: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
    """By W3C's `traceparent`."""
    fake.will_say({"text": ANSWER})
    watched = Watched()
    number = "0af7651916cd43dd8448eb211c80319c"
    watched.ask(BRIEF, traceparent=f"00-{number}-b7ad6b7169203331-01")
    assert {f"{span.context.trace_id:032x}" for span in watched.spans().values()} == {number}


def test_briefs_of_a_batch_have_their_own_spans(fake: FakeProvider) -> None:
    """Calls made at once are told apart by whom they were made for."""
    for _ in range(3):
        fake.will_say({"text": ANSWER})
    watched = Watched()
    batch = [{**BRIEF, "product_name": f"Norr {number}"} for number in range(3)]
    assert watched.ask(batch, path="/v11/batch-generate")[0].status_code == 200
    found = watched._spans.get_finished_spans()
    briefs = {span.context.span_id for span in found if span.name == "generate"}
    calls = [span.parent.span_id for span in found if span.name.startswith("chat")]
    assert len(briefs) == 3
    assert set(calls) == briefs


def test_the_conventions_names_are_those_of_opentelemetry() -> None:
    """Held against the package that still has them."""
    module = "opentelemetry.semconv._incubating"
    names = pytest.importorskip(f"{module}.attributes.gen_ai_attributes", reason="needs the extra otel")
    metrics = pytest.importorskip(f"{module}.metrics.gen_ai_metrics", reason="needs the extra otel")
    table = load_toml("telemetry.toml")
    known = {value for name, value in vars(names).items() if name.startswith("GEN_AI_")} | {"error.type"}
    assert set(table["attributes"].values()) <= known
    assert {of["name"] for of in table["instruments"].values()} <= {
        v for v in vars(metrics).values() if isinstance(v, str)
    }
    providers = {one.value for one in names.GenAiProviderNameValues}
    assert set(table["providers"].values()) <= providers
    operations = {one.value for one in names.GenAiOperationNameValues}
    assert {"chat", *table["operations"].values()} <= operations


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
        },
    ],
)
def test_nothing_is_sent_unless_asked_for(environment: dict[str, str]) -> None:
    """And then OpenTelemetry is not even imported."""
    assert traces_from_env(environment) is None


def test_what_cannot_be_sent_is_refused_at_the_start() -> None:
    """All mistakes at once, with the nearest name."""
    wrong = {
        "OTEL_TRACES_EXPORTER": "olpt",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(ConfigurationError) as caught:
        traces_from_env(wrong)
    assert "nearest: otlp" in str(caught.value)
    assert "http/protobuf" in str(caught.value)


def test_asking_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the extra's name."""
    for name in list(sys.modules):
        if name.startswith("opentelemetry"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtra, match=r"copykit\[otel\]"):
        traces_from_env({"OTEL_TRACES_EXPORTER": "otlp"})


def test_a_collector_that_does_not_answer_stops_nobody(tmp_path: Path) -> None:
    """Work goes on, and the end waits a second for it, not longer."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")
    story = """
import time
from copykit import events
from copykit.server.watch.traces import traces_from_env
import os
traces = traces_from_env(os.environ)
traces(events.GenerationStarted("r1"))
traces(events.GenerationFinished("r1", "x.post", "en", "ok", False, 0.1))
began = time.monotonic()
traces.close()
print(time.monotonic() - began)
"""
    done = subprocess.run(
        [sys.executable, "-c", story],
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 5


class Collector:
    """Takes what is sent to it over HTTP, as a collector does."""

    def __init__(self) -> None:
        taken: list[tuple[str, bytes, dict[str, str]]] = []
        self.taken = taken

        class Handler(BaseHTTPRequestHandler):
            """Keeps each body."""

            def do_POST(self) -> None:
                """Take one."""
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                taken.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_what_the_variables_ask_for_reaches_a_collector(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans and metrics over OTLP, with the service's name, its version and the headers that were set."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    fake.will_say({"text": ANSWER})
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector")
        service = CopywritingServiceV11(Settings(routing=RoutingSettings(("fake:small-model",))))
        app = create_app(server=ServerSettings(), service=service)

        async def story() -> None:
            import httpx2

            transport = httpx2.ASGITransport(app=app)
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
            ):
                assert (await client.post("/v11/generate", json=BRIEF)).status_code == 200

        asyncio.run(story())  # whose end sends what is left
    sent = {path: (body, headers) for path, body, headers in collector.taken}
    assert sent.keys() == {"/v1/traces", "/v1/metrics"}
    assert {headers["authorization"] for _, headers in sent.values()} == {"Bearer of-the-collector"}
    traces = ExportTraceServiceRequest.FromString(sent["/v1/traces"][0])
    (resource,) = traces.resource_spans
    about = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert about["service.name"] == "copykit"
    assert about["service.version"]
    names = {span.name for scope in resource.scope_spans for span in scope.spans}
    assert names == {"POST /v11/generate", "generate", "chat small-model"}
    metrics = ExportMetricsServiceRequest.FromString(sent["/v1/metrics"][0])
    told = {
        one.name for of in metrics.resource_metrics for scope in of.scope_metrics for one in scope.metrics
    }
    assert told == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
    for body, _ in sent.values():
        assert b"secret" not in body
        assert b"words-of-the-model" not in body


def test_the_console_is_an_exporter_too(tmp_path: Path) -> None:
    """For who wants to see spans without a collector."""
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")
    story = """
import os
from copykit import events
from copykit.server.watch.traces import traces_from_env
traces = traces_from_env(os.environ)
traces(events.GenerationStarted("r1"))
traces(events.GenerationFinished("r1", "x.post", "en", "ok", True, 0.1))
traces.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", story],
        env={"OTEL_TRACES_EXPORTER": "console", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["attributes"]["copykit.placement"] == "x.post"
