"""Requests and the answers they have: both shapes on the wire, kept as files in ``golden/``.

``python tests/golden.py`` writes the files anew; look at what changed before it is committed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

import copykit
from copykit import CopywritingServiceV11, Settings, register_provider
from copykit.errors import ContentRefused, ProviderUnavailable, RateLimited
from copykit.models import CopywritingOutput, Usage
from copykit.providers.base import Completion
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.described.samples import SHORT
from copykit.settings import RoutingSettings, Secret
from copykit.testing import FakeProvider

FOLDER = Path(__file__).parent / "golden"
SAMPLE = Path(copykit.__file__).parent / "data" / "answer.json"
KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
SHOES: dict[str, Any] = {
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
PAIR: list[dict[str, Any]] = [
    {
        "product_description": "Zapatos deportivos de alta gama",
        "target_platform": "Instagram",
        "tone": "inspirational",
        "language": "es",
    },
    {
        "product_description": "Laptop gaming profesional",
        "target_platform": "Facebook",
        "tone": "professional",
        "language": "es",
    },
]
LEAST = {
    "product_description": "Test product",
    "target_platform": "Instagram",
    "tone": "casual",
    "language": "es",
}
DESK = {
    "product_name": "Norr",
    "product_description": "Standing desk, oiled oak, goes up and down at a touch",
    "target_platform": "x",
}
TEXT = "Norr, the standing desk in oiled oak, goes up and down at a touch. Take a look!!"
VOLATILE = {
    "cached",
    "cache",
    "created_at",
    "latency_s",
    "processing_time_ms",
    "request_id",
    "saved_usd",
    "waited_s",
}
"""Names whose values differ between two runs of one request."""
REVISED = {"id", "key", "platforms", "prompt", "retry_after_s"}
"""Names of texts and numbers that follow a revision of data, or a clock: of them only that they are there."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and what its provider does."""

    method: str
    path: str
    body: Any = None
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fails: Exception | None = None
    """What the provider raises; None leaves the phrase bank to write."""
    silent: bool = False
    """Whether the provider never answers."""
    writes: str | None = None
    """What a model writes in pieces, first and again; empty breaks off amid its text."""
    server: Mapping[str, Any] = field(default_factory=dict)
    times: int = 1
    """How often it is sent; the last answer is kept."""


CASES: dict[str, Case] = {
    "v11-generate": Case("POST", "/copywriting/v11/generate", SHOES),
    "v11-generate-least": Case("POST", "/copywriting/v11/generate", LEAST),
    "v11-batch": Case("POST", "/copywriting/v11/batch-generate", PAIR),
    "v11-batch-wrapped": Case(
        "POST", "/v11/batch-generate", {"requests": [LEAST, {**LEAST, "target_platform": "Instagran"}]}
    ),
    "v11-stream": Case("POST", "/copywriting/v11/generate/stream", SHOES),
    "v11-stream-model": Case("POST", "/v11/generate/stream", DESK, writes=TEXT),
    "v11-stream-broken": Case("POST", "/v11/generate/stream", DESK, writes=""),
    "legacy-generate": Case("POST", "/copywriting/generate", SHOES),
    "legacy-batch": Case("POST", "/generate/batch", PAIR),
    "legacy-batch-wrapped": Case(
        "POST", "/batch-generate", {"requests": [LEAST, {**LEAST, "target_platform": "Instagran"}]}
    ),
    "legacy-stream": Case("POST", "/generate/stream", LEAST),
    "catalog": Case("GET", "/catalog"),
    "live": Case("GET", "/health/live"),
    "ready": Case("GET", "/health/ready"),
    "cache-clear": Case("POST", "/copywriting/v11/cache/clear"),
    "problem-400-json": Case("POST", "/v11/generate", raw=b'{"product_description": NaN}'),
    "problem-400-request-id": Case("GET", "/health/live", headers={"x-request-id": "a b"}),
    "problem-400-host": Case("GET", "/health/live", headers={"host": "elsewhere.example"}),
    "problem-401-none": Case("POST", "/v11/generate", LEAST, headers={"x-api-key": ""}),
    "problem-401-wrong": Case("GET", "/config", headers={"x-api-key": "wrong"}),
    "problem-404": Case("GET", "/v12/generate"),
    "problem-405": Case("GET", "/v11/generate"),
    "problem-413": Case("POST", "/v11/generate", raw=b" " * 300_000),
    "problem-415": Case("POST", "/v11/generate", raw=b"{}", headers={"content-type": "text/plain"}),
    "problem-422-unknown-field": Case("POST", "/v11/generate", {**LEAST, "languag": "es"}),
    "problem-422-platform": Case("POST", "/generate", {**LEAST, "target_platform": "Instagran"}),
    "problem-422-refused": Case(
        "POST", "/v11/generate", LEAST, fails=ContentRefused("no", target="fake", category="SAFETY")
    ),
    "problem-400-idempotency-key": Case(
        "POST", "/v11/generate", LEAST, headers={"idempotency-key": "k" * 256}
    ),
    "problem-429-rate": Case("GET", "/catalog", server={"rate": "1/minute"}, times=2),
    "problem-502": Case("POST", "/generate", LEAST, fails=ProviderUnavailable("down", target="fake")),
    "problem-503": Case(
        "POST", "/v11/generate", LEAST, fails=RateLimited("slow", target="fake", retry_after_s=900.0)
    ),
    "problem-504": Case("POST", "/v11/generate", LEAST, headers={"x-request-timeout-ms": "200"}, silent=True),
}


class Writer:
    """A model that writes in pieces of twelve letters."""

    name = "fake"

    def __init__(self, text: str) -> None:
        self._answer = json.dumps({"variants": [{"fields": {"text": text or TEXT}}]})
        self._breaks_off = not text

    async def stream(self, prompt: Any) -> AsyncIterator[str | Completion]:
        """Give the answer in pieces, and last the whole."""
        for at in range(0, len(self._answer), 12):
            if self._breaks_off and at > 60:
                raise ProviderUnavailable("gone", target="fake")
            yield self._answer[at : at + 12]
        yield Completion(text=self._answer, model="fake-1", usage=Usage(input_tokens=300, output_tokens=40))

    async def complete(self, prompt: Any) -> Completion:
        """Give the whole answer."""
        return Completion(text=self._answer, model="fake-1", usage=Usage(input_tokens=300, output_tokens=40))


@contextmanager
def _provider(case: Case) -> Iterator[str]:
    """Give the target that *case* is written by."""
    if case.fails is None and case.writes is None and not case.silent:
        yield "phrasebank"
        return
    provider: Any = FakeProvider().will_say(case.fails or "")
    if case.silent:
        provider.gate = asyncio.Event()
    if case.writes is not None:
        provider = Writer(case.writes)
    register_provider("fake", lambda: provider)
    try:
        yield "fake"
    finally:
        unregister_provider("fake")


def told(case: Case) -> dict[str, Any]:
    """Give the request of *case* and its answer, as the file holds them."""
    with _provider(case) as target:
        app = create_app(
            server=ServerSettings(key=Secret(KEY), **case.server),
            service=CopywritingServiceV11(Settings(routing=RoutingSettings((target,)))),
        )
        for _ in range(case.times):
            answer = asyncio.run(_asked(app, case))
    request: dict[str, Any] = {"method": case.method, "path": case.path}
    if case.headers:
        request["headers"] = dict(case.headers)
    if case.body is not None:
        request["body"] = case.body
    if case.raw is not None:
        request["bytes"] = len(case.raw) if len(case.raw) > 1000 else case.raw.decode()
    kind = answer.headers["content-type"].partition(";")[0]
    body = _events(answer.text) if kind == "text/event-stream" else answer.json()
    return {
        "request": request,
        "response": {"status": answer.status_code, "type": kind, "body": _steady(body)},
    }


async def _asked(app: Any, case: Case) -> httpx2.Response:
    content = (
        case.raw if case.raw is not None else None if case.body is None else json.dumps(case.body).encode()
    )
    sent = {"content-type": "application/json"} if content is not None else {}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        headers = {"x-api-key": KEY, **sent, **case.headers}
        return await client.request(case.method, case.path, content=content, headers=headers)


def _events(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.replace("\r\n", "\n").strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append({"event": lines["event"], "data": json.loads(lines["data"])})
    return found


def _steady(value: Any) -> Any:
    """Leave out what differs between two runs, and the values of what says nothing of the shape."""
    if isinstance(value, list):
        return [_steady(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: "..." if name in REVISED and not isinstance(part, list) else _steady(part)
        for name, part in value.items()
        if name not in VOLATILE
    }


def written(case: Case) -> str:
    """Give the file's text."""
    return json.dumps(told(case), ensure_ascii=False, indent=2) + "\n"


def sample() -> str:
    """Give the text of ``data/answer.json``: what the phrase bank writes to the short brief of the description."""

    async def story() -> tuple[CopywritingOutput, float]:
        async with CopywritingServiceV11(Settings(routing=RoutingSettings(("phrasebank",)))) as service:
            await service.generate({**SHORT, "seed": 1})  # data files are read by the first
            began = time.perf_counter()
            return await service.generate(dict(SHORT)), time.perf_counter() - began

    output, took_s = asyncio.run(story())
    about = "Written by tests/golden.py with copykit's phrase bank; created_at says when."
    told = {"about": about, "took_s": round(took_s, 6), "output": output.model_dump(mode="json")}
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    SAMPLE.write_text(sample(), encoding="utf-8")
    for name, case in CASES.items():
        (FOLDER / f"{name}.json").write_text(written(case), encoding="utf-8")
    for path in FOLDER.glob("*.json"):
        if path.stem not in CASES:
            path.unlink()
