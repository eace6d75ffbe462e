"""Workers of one server for tests: applications over one store, on one loop, asked as clients would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from copykit import CopywritingServiceV11, Settings, register_provider
from copykit.brief.prompt import Prompt
from copykit.providers.base import Completion
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.config import file_url
from copykit.server.doors.keybook import KeyBook
from copykit.server.kept.store import Store
from copykit.settings import RoutingSettings
from copykit.testing import FakeProvider

T = TypeVar("T")

BRIEF = {"product_description": "Standing desk, oiled oak, 120 x 60 cm", "target_platform": "x"}
SEEN_S = 1.2
"""After which every worker has looked at the store: twice its half second."""


class Priced(FakeProvider):
    """A model whose calls have bounds: 1,000 bytes in, 100 tokens out."""

    timeout_s = 5.0

    def model_of(self, prompt: Prompt) -> str:
        """One model, whatever is asked."""
        return prompt.model or self.model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """The same bounds for every prompt."""
        return 1_000, 100


@contextmanager
def priced_target() -> Iterator[dict[str, Any]]:
    """Have a target ``priced`` whose calls cost 0.0011 USD at worst, and 0.00003 as they are; gives routing's prices."""
    said = {"text": "Standing desk in oiled oak, 120 x 60 cm."}
    register_provider("priced", lambda: Priced("priced").will_say(said))
    try:
        yield {"prices": {"priced": {"input": 1.0, "output": 1.0}}}
    finally:
        unregister_provider("priced")


@contextmanager
def held_target() -> Iterator[asyncio.Queue[asyncio.Event]]:
    """Have a target ``held`` whose calls wait, each for its own event; gives those in the order of the calls."""
    gates: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    class Held(FakeProvider):
        async def complete(self, prompt: Prompt) -> Completion:
            gate = asyncio.Event()
            gates.put_nowait(gate)
            await gate.wait()
            return await super().complete(prompt)

    register_provider("held", lambda: Held("held").will_say({"text": "Standing desk in oiled oak."}))
    try:
        yield gates
    finally:
        unregister_provider("held")


class WorkerAtHand:
    """One application, and a client of its own."""

    def __init__(self, app: Any, client: httpx2.AsyncClient) -> None:
        self.app = app
        self.client = client

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str
    ) -> httpx2.Response:
        """Send one request; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["x-api-key"] = key
        if body is not None:
            sent.setdefault("content-type", "application/json")
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return await self.client.request(method, path, content=content, headers=sent)


@asynccontextmanager
async def crew(
    folder: Path,
    count: int = 1,
    *,
    targets: tuple[str, ...] = ("phrasebank",),
    routing: dict[str, Any] | None = None,
    url: str | None = None,
    **server: Any,
) -> AsyncIterator[tuple[KeyBook, list[WorkerAtHand]]]:
    """Give the keys of a store in *folder* and *count* workers over it, begun and ended in order."""
    url = url or file_url(folder)
    async with AsyncExitStack() as held:
        store = Store(url)
        await store.open()
        held.push_async_callback(store.aclose)
        workers = []
        for _ in range(count):
            app = create_app(
                server=ServerSettings(
                    store_url=url, workers=count, **{"ip_rate": "", "failure_rate": "", "rate": "", **server}
                ),
                service=CopywritingServiceV11(Settings(routing=RoutingSettings(targets, **(routing or {})))),
            )
            await held.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app=app)
            client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", timeout=60.0)
            await held.enter_async_context(client)
            workers.append(WorkerAtHand(app, client))
        yield KeyBook(store), workers


def told(story: Callable[[], Awaitable[T]]) -> T:
    """Run a story to its end."""

    async def run() -> T:
        return await story()

    return asyncio.run(run())
