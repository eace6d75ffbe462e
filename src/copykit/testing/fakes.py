"""Hand-written stand-ins: a provider that says what it was told to, a clock that moves when told to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from copykit.brief.prompt import Prompt
from copykit.events import Event
from copykit.models import Usage
from copykit.providers.base import Completion

__all__ = ["FakeClock", "FakeProvider", "RecordingHook", "no_network"]

E = TypeVar("E", bound=Event)


class FakeProvider:
    """Answers from a queue and remembers what it was asked.

    Queue texts, mappings of fields (one variant), `Completion`s or exceptions with `will_say`; an empty
    queue repeats the last answer. Set `gate` to an `asyncio.Event` to hold every answer until it is set.

    >>> provider = FakeProvider().will_say({"text": "Hello."})
    """

    def __init__(self, name: str = "fake", model: str = "fake-1") -> None:
        self.name = name
        self.model = model
        self.asked: list[Prompt] = []
        self.gate: asyncio.Event | None = None
        self.started = asyncio.Event()
        self._queue: deque[Completion | Exception] = deque()
        self._last: Completion | Exception | None = None

    def will_say(self, *answers: str | Mapping[str, Any] | Completion | Exception) -> FakeProvider:
        """Queue answers; gives the provider itself."""
        self._queue.extend(self._completion(answer) for answer in answers)
        return self

    async def complete(self, prompt: Prompt) -> Completion:
        """Give the next answer."""
        self.asked.append(prompt)
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        if self._queue:
            self._last = self._queue.popleft()
        if self._last is None:
            raise AssertionError("FakeProvider was asked but has nothing to say: call will_say() first")
        if isinstance(self._last, Exception):
            raise self._last
        return self._last

    def _completion(self, answer: str | Mapping[str, Any] | Completion | Exception) -> Completion | Exception:
        if isinstance(answer, Completion | Exception):
            return answer
        text = answer if isinstance(answer, str) else json.dumps({"variants": [{"fields": dict(answer)}]})
        usage = Usage(input_tokens=10, output_tokens=20)
        return Completion(text=text, model=self.model, usage=usage)


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds


class RecordingHook:
    """Keeps every event it is given, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Give the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


@contextmanager
def no_network() -> Iterator[None]:
    """Make every outgoing connection an error while the block runs; loopback too."""

    def refuse(*args: object, **_: object) -> None:
        raise AssertionError(f"network use: connect{args[1:]!r}")

    with (
        patch.object(socket.socket, "connect", refuse),
        patch.object(socket.socket, "connect_ex", refuse),
        patch.object(socket, "getaddrinfo", refuse),
    ):
        yield
