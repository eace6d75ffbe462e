"""A hand-written HTTP client for provider tests: answers from a queue, remembers what it was sent."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copykit.accel.http import Reply
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, build_prompt
from copykit.models import CopywritingInput

KEY = "sk-canary-5f0c1d2e3b4a5968"
COPY = '{"variants": [{"fields": {"text": "Oak desk, 120x60 cm."}, "parts": []}]}'
FIXTURES = Path(__file__).parent / "fixtures"


@dataclass
class Sent:
    """One request as it was sent."""

    method: str
    url: str
    headers: dict[str, str]
    raw: bytes
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """Give the decoded JSON body."""
        decoded: dict[str, Any] = json.loads(self.raw)
        return decoded


class _Stream:
    def __init__(self, status: int, headers: Mapping[str, str], chunks: Sequence[bytes | Exception]) -> None:
        self.status, self.headers = status, headers
        self._chunks = iter(chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])


class FakeHttp:
    """Implements the port `copykit.accel.http.HttpClient`."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.closed = False
        self.left = 0
        """Streams whose block was left."""
        self._queue: deque[Any] = deque()

    def will_answer(self, body: Any, status: int = 200, **headers: str) -> FakeHttp:
        """Queue a whole answer: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._queue.append((status, {"content-type": "application/json", **named}, [raw]))
        return self

    def will_stream(self, chunks: Sequence[bytes | Exception], **headers: str) -> FakeHttp:
        """Queue an event stream that comes in these pieces."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._queue.append((200, {"content-type": "text/event-stream", **named}, list(chunks)))
        return self

    def will_fail(self, error: Exception) -> FakeHttp:
        """Queue a failure of the transport."""
        self._queue.append(error)
        return self

    def _take(self, sent: Sent) -> Any:
        self.sent.append(sent)
        answer = self._queue.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        connect_s: float = 3.0,
        limit: int = 4 * 2**20,
    ) -> Reply:
        """Give the next answer."""
        options = {"timeout_s": timeout_s, "connect_s": connect_s, "limit": limit}
        status, named, chunks = self._take(Sent(method, url, dict(headers), body, options))
        return Reply(status, named, b"".join(chunks))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        connect_s: float = 3.0,
        first_s: float = 15.0,
        gap_s: float = 15.0,
        limit: int = 4 * 2**20,
    ) -> AsyncIterator[_Stream]:
        """Give the next answer as a stream."""
        options = {"timeout_s": timeout_s, "first_s": first_s, "gap_s": gap_s}
        answer = self._take(Sent(method, url, dict(headers), body, options))
        try:
            yield _Stream(*answer)
        finally:
            self.left += 1

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True


def prompt(model: str | None = None, **changes: Any) -> Prompt:
    """Give the prompt of a small brief for X."""
    fields = {"product_description": "Oak desk, 120x60 cm", "target_platform": "x.post", **changes}
    return build_prompt(compile_brief(CopywritingInput(**fields)), nonce="5f0c1d2e3b4a5968", model=model)
