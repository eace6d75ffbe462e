"""The same requests as a client of the server makes them: the whole application over the stage's engines, on its clock.

What the engine gave or raised is told to the story as ever; what the client got is held against it here: the status of
the catalogue's map, a problem of the right form, and no word of an upstream.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from copykit import CopywritingInput, CopywritingServiceV11
from copykit.engine import Engine
from copykit.errors import CopykitError, NoProviderSucceeded
from copykit.models import CopywritingOutput
from copykit.settings import Secret

__all__ = ["SERVER_KEY", "STATUS", "Answered", "Door", "body_of"]

SERVER_KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
UPSTREAM = "it failed"
"""Words of every failure that a scripted server tells, unless its story says otherwise."""
STATUS = {
    "invalid_request": 422,
    "content_refused": 422,
    "context_too_long": 422,
    "budget_exceeded": 429,
    "internal_error": 500,
    "provider_failed": 502,
    "truncated_stream": 502,
    "provider_protocol": 502,
    "provider_unavailable": 502,
    "output_invalid": 502,
    "empty_output": 502,
    "configuration_error": 503,
    "circuit_open": 503,
    "all_providers_cooling": 503,
    "overloaded": 503,
    "deadline_exceeded": 504,
    "provider_timeout": 504,
}
"""The catalogue's map of codes to statuses; 500 is never planned, a defect on purpose has it."""
ALWAYS = {"type", "title", "status", "detail", "code", "retryable", "request_id"}


@dataclass
class Answered:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body of a problem, whose form is checked."""
        assert self.headers["content-type"] == "application/problem+json", self.headers
        told: dict[str, Any] = json.loads(self.body)
        assert set(told) >= ALWAYS, told
        assert (told["status"], told["request_id"]) == (self.status, self.headers["x-request-id"]), told
        return told

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """The server-sent events: name and data of each."""
        blocks = self.body.decode().replace("\r\n", "\n").split("\n\n")
        found = []
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                found.append((fields["event"], json.loads(fields["data"])))
        return found


@dataclass
class _Seen:
    """What the engine made of one request."""

    output: CopywritingOutput | None = None
    error: BaseException | None = None


_seen: ContextVar[_Seen | None] = ContextVar("seen", default=None)


@dataclass
class Door:
    """One application over one engine."""

    engine: Engine
    spans: Any = None
    """Where spans are kept, if OpenTelemetry is here."""
    told: list[bytes] = field(default_factory=list)
    """Everything that clients were told, heads included."""

    def __post_init__(self) -> None:
        from copykit.server import ServerSettings, create_app

        server = ServerSettings(
            key=Secret(SERVER_KEY),
            rate="",
            ip_rate="",
            failure_rate="",
            in_flight=100_000,
            streams=100_000,
            deadline_s=self.engine.settings.routing.deadline_s,
            longest_s=86_400.0,
        )
        self.app = create_app(
            server=server, service=CopywritingServiceV11(engine=self.engine), traces=self._traces()
        )
        generate = self.engine.generate

        async def watched(*args: Any, **named: Any) -> CopywritingOutput:
            seen = _seen.get() or _Seen()
            try:
                seen.output = await generate(*args, **named)
            except BaseException as error:
                seen.error = error
                raise
            return seen.output

        self.engine.generate = watched  # type: ignore[method-assign]

    def _traces(self) -> Any:
        try:
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import SimpleSpanProcessor
            from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        except ImportError:
            return None
        from copykit.server.watch.traces import Traces

        self.spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        return Traces(provider)

    async def ask(
        self, fields: dict[str, Any]
    ) -> tuple[CopywritingOutput | None, CopykitError | None, Answered]:
        """Ask for one brief; gives what the engine made of it, and what the client got, which fits it."""
        seen = _Seen()
        token = _seen.set(seen)
        try:
            answered = await self.request("POST", "/v11/generate", body_of(fields))
        finally:
            _seen.reset(token)
        if seen.error is not None and not isinstance(seen.error, CopykitError):
            raise seen.error
        if isinstance(seen.error, CopykitError):
            self.check(answered.problem, seen.error)
            retry = answered.headers.get("retry-after")
            assert (retry is not None) == (answered.status == 503), answered.headers
            assert retry is None or 1 <= int(retry) <= 60, retry
            return None, seen.error, answered
        assert answered.status == 200, answered
        assert seen.output is not None
        told = json.loads(answered.body)
        assert told == seen.output.model_dump(mode="json")
        return seen.output, None, answered

    def check(self, problem: dict[str, Any], error: CopykitError) -> None:
        """Hold what a client was told of *error* against it."""
        inner = error.__cause__ if isinstance(error, NoProviderSucceeded) else None
        code = (
            inner.code
            if getattr(inner, "code", "") in ("content_refused", "context_too_long")
            else error.code
        )
        assert problem["code"] == code, (problem, error)
        assert problem["status"] == STATUS[code], problem
        assert UPSTREAM not in json.dumps(problem), problem
        assert "Traceback" not in json.dumps(problem)
        asked = [attempt.target for attempt in error.attempts]
        assert [one["target"] for one in problem.get("attempts", [])] == asked

    async def watch(self, fields: dict[str, Any]) -> AsyncIterator[tuple[str, dict[str, Any], Any]]:
        """Give the events of one brief's stream as they come, the last with what the engine made of it."""
        seen = _Seen()
        token = _seen.set(seen)
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        heads: list[Answered] = []
        leaving = asyncio.Event()
        call = asyncio.ensure_future(
            self._call("POST", "/v11/generate/stream", body_of(fields), {}, heads, pieces.put_nowait, leaving)
        )
        _seen.reset(token)
        call.add_done_callback(lambda _: pieces.put_nowait(None))
        held = b""
        try:
            while (piece := await pieces.get()) is not None:
                held += piece.replace(b"\r\n", b"\n")
                *blocks, held = held.split(b"\n\n")
                for name, told in Answered(200, {}, b"\n\n".join(blocks)).events():
                    yield name, told, seen
            if heads[0].status != 200:
                yield "problem", heads[0].problem, seen
        finally:
            leaving.set()
            await call

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answered:
        """Send one request, and give the whole answer."""
        heads: list[Answered] = []
        await self._call(method, path, body, headers or {}, heads, lambda _: None, asyncio.Event())
        return heads[0]

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, str],
        heads: list[Answered],
        take: Callable[[bytes], None],
        leaving: asyncio.Event,
    ) -> None:
        sent = {
            "host": "127.0.0.1",
            "x-api-key": SERVER_KEY,
            "content-type": "application/json",
            "content-length": str(len(body)),
            **headers,
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 40_000),
            "server": ("127.0.0.1", 8000),
        }
        given = False

        async def receive() -> dict[str, Any]:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            await leaving.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if leaving.is_set():
                raise OSError("the client left")
            if message["type"] == "http.response.start":
                pairs = {name.decode(): value.decode() for name, value in message["headers"]}
                heads.append(Answered(message["status"], pairs, b""))
                self.told.append(repr(pairs).encode())
            elif message.get("body"):
                heads[0].body += message["body"]
                self.told.append(message["body"])
                take(message["body"])

        serving: Awaitable[None] = self.app(scope, receive, send)  # type: ignore[arg-type]
        await serving

    async def look(self) -> None:
        """Ask for everything that tells of the server: it stands in *told* like every answer."""
        for method, path in (
            ("GET", "/metrics"), ("GET", "/metrics/prometheus"), ("GET", "/health"), ("GET", "/config"),
            ("GET", "/v11/performance-stats"), ("GET", "/v11/cache/stats"), ("GET", "/openapi.json"),
        ):  # fmt: skip
            assert (await self.request(method, path)).status == 200, path

    def traced(self) -> list[str]:
        """Give all spans as text."""
        return [] if self.spans is None else [span.to_json() for span in self.spans.get_finished_spans()]


def body_of(fields: dict[str, Any]) -> bytes:
    """Give *fields* as a client sends them."""
    return CopywritingInput(**fields).model_dump_json().encode()
