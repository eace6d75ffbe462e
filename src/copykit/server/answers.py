"""What answers each route: one method a route, the same under every prefix."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict
from math import inf
from typing import Any, TypeVar

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from copykit.accel import json
from copykit.batch import ITEM_DEADLINE_S, gather_as
from copykit.engine import Engine
from copykit.errors import ConfigurationError, CopykitError, DeadlineExceeded, InternalError
from copykit.legacy import legacy_shape
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.reports import CacheCleared, CatalogNames, HealthReport, Liveness, Readiness
from copykit.routing.account import Account
from copykit.server.again import FINAL
from copykit.server.asked import brief_of, items_of, json_of, preferred
from copykit.server.described.pages import page
from copykit.server.doors.auth import Visitor
from copykit.server.holdings import Holdings
from copykit.server.patience import Patience
from copykit.server.process.drain import Drain, ShuttingDown
from copykit.server.watch.health import Health
from copykit.server.watch.metrics import CONTENT_TYPE, Metrics
from copykit.server.watch.pulse import Pulse
from copykit.server.wire import Problem, problem_of
from copykit.service import CopywritingServiceV11
from copykit.streaming import StreamEvent, StreamFailed, StreamFinished, as_mapping

__all__ = ["Answers", "JsonResponse", "answer", "tell_setup"]

T = TypeVar("T")

_log = logging.getLogger("copykit.server")
_TOLD_CHARS = 500
"""Of an error's own words in a log line."""
HEARTBEAT_S = 10
"""Between comment lines of a silent stream: proxies close what says nothing for some tens of seconds."""


class JsonResponse(Response):
    """JSON by the fastest encoder of this machine."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode *content*."""
        return json.dumps(content)


def answer(problem: Problem, request_id: str) -> Response:
    """Give *problem* as a response."""
    return JsonResponse(
        problem.body(request_id), problem.status, problem.headers, media_type="application/problem+json"
    )


def tell_setup(error: BaseException, request_id: str) -> None:
    """Log what *error* says is not set up: a client is told only that something is."""
    if isinstance(error, ConfigurationError):
        _log.error("request %s: %s: %s", request_id, error.code, error.message[:_TOLD_CHARS])


class Answers:
    """One face behind HTTP; the legacy routes differ in the shape of what they answer.

    Args:
        holdings: keys, limits, places and money.
        v11: the face that writes for all routes.
    """

    def __init__(self, holdings: Holdings, v11: CopywritingServiceV11) -> None:
        self._holdings = holdings
        self._settings = holdings.settings
        self._v11 = v11
        self._engine = v11.engine
        self.metered = Metrics(v11.engine)
        self.drain = Drain()
        self.pulse = Pulse(self.metered, holdings, lambda: self.drain.begun)
        self._health = Health(
            v11.engine, self.metered.figures, holdings, self.pulse, lambda: self.drain.begun
        )

    async def aclose(self) -> None:
        """Close the face."""
        await self._v11.aclose()

    async def generate(self, request: Request) -> Response:
        """Write one brief; the whole result."""
        repeats = self._holdings.repeats
        # both of now: a cache cleared meanwhile stays so, and a result stored meanwhile is newer than what is found
        space, stores = self._holdings.space(request.state.visitor.tenant), repeats.stores
        output, _ = await self._written(request)
        response = JsonResponse(output.model_dump(mode="json"))
        repeats.keep(space, request.state.body, output, bytes(response.body), stores=stores)
        return response

    async def generate_legacy(self, request: Request) -> Response:
        """Write one brief; the first interface's shape."""
        output, took_s = await self._written(request)
        return JsonResponse(legacy_shape(output, took_s))

    async def batch(self, request: Request) -> Response:
        """Write many briefs; results in order, an error in the place of a failure."""
        return await self._batch(request, legacy=False)

    async def batch_legacy(self, request: Request) -> Response:
        """Write many briefs; outputs in the first interface's shape."""
        return await self._batch(request, legacy=True)

    async def stream(self, request: Request) -> Response:
        """Write one brief and send what happens meanwhile as server-sent events."""
        visitor: Visitor = request.state.visitor
        brief = brief_of(await json_of(request.state.body), self._allowed_s(request))
        held = AsyncExitStack()
        try:
            patience: Patience = request.state.patience
            async with patience.bound(_GRACE_S):
                await held.enter_async_context(self._holdings.gate.stream(visitor.key.id))
                await held.enter_async_context(self._holdings.gate.place(visitor.tenant))
            with _within(patience, brief, _LEAST_S) as bounded:
                events = self._engine.stream(bounded, account=self._holdings.account(visitor))
                first = await self.drain.step(anext(aiter(events)))
                if isinstance(first, StreamFailed):  # nothing was sent yet: an answer like any other
                    raise first.error
        except BaseException:
            await held.aclose()
            raise
        return EventSourceResponse(
            self._sent(first, events, request.state.request_id, held),
            ping=HEARTBEAT_S,
            shutdown_grace_period=inf,  # `Drain` ends streams, with an event; the library would cut them off at once
            background=BackgroundTask(held.aclose),  # also where the client left before anything was sent
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _sent(
        self, first: StreamEvent, events: AsyncIterator[StreamEvent], request_id: str, held: AsyncExitStack
    ) -> AsyncIterator[ServerSentEvent]:
        """Give the events of a stream for the wire; closing this closes the call to the provider."""
        async with held, aclosing(events) as rest:  # type: ignore[type-var]  # an async generator, as `relay` gives it
            event: StreamEvent | None = first
            try:
                while event is not None:
                    yield _event(event, request_id)
                    event = await self.drain.step(anext(rest, None))
            except ShuttingDown as error:
                yield _event(StreamFailed(error), request_id)

    async def live(self, request: Request) -> Response:
        """Say that the process runs."""
        told: Liveness = {"status": "ok"}
        return JsonResponse(told)

    async def ready(self, request: Request) -> Response:
        """Say whether requests should come here: not while it drains, its store is away or no target may be asked."""
        unready = await self._health.unready()
        told: Readiness = {"status": "unavailable" if unready else "ok", "reasons": list(unready)}
        return JsonResponse(told, 503 if unready else 200)

    async def health(self, request: Request) -> Response:
        """Give the full report; to a tenant the status and the targets' names."""
        report = await self._health.report()
        told: HealthReport = report
        if request.state.visitor.tenant:
            told = {"status": report["status"], "providers": list(report["providers"])}
        return JsonResponse(_plain(told))

    async def stats(self, request: Request) -> Response:
        """Give counts, latencies, targets and money: of all to the operator, to a tenant its own."""
        visitor: Visitor = request.state.visitor
        if visitor.tenant:
            counted = await self._holdings.counted(visitor.tenant)
            return JsonResponse({**counted, "budgets": await self._holdings.money(visitor)})
        own = await self._v11.get_performance_stats()
        return JsonResponse({**own, **await self._holdings.counted(None)})

    async def metrics(self, request: Request) -> Response:
        """Give the figures as JSON, or for Prometheus where the client asks for text."""
        kinds = ("application/json", "text/plain", "application/openmetrics-text")
        by_path = kinds if not request.url.path.startswith("/copywriting") else (*kinds[1:], kinds[0])
        if preferred(request.headers.get("accept", ""), by_path) != kinds[0]:
            return await self.prometheus(request)
        await self.pulse.look()
        return JsonResponse(await asyncio.to_thread(self.metered.figures.data))

    async def prometheus(self, request: Request) -> Response:
        """Give the figures for Prometheus."""
        await self.pulse.look()
        return Response(await asyncio.to_thread(self.metered.figures.text), media_type=CONTENT_TYPE)

    async def config(self, request: Request) -> Response:
        """Give the settings; what is secret is stars."""
        return JsonResponse(
            {"server": _plain(self._settings.report()), **_plain(asdict(self._engine.settings))}
        )

    async def clear_cache(self, request: Request) -> Response:
        """Let nothing that is cached for the visitor's tenant be found any more."""
        await self._holdings.clear(request.state.visitor.tenant)
        told: CacheCleared = {"cleared": True}
        return JsonResponse(told)

    async def cache_stats(self, request: Request) -> Response:
        """Give the state of the cache; to a tenant what it found there."""
        tenant: str = request.state.visitor.tenant
        if tenant:
            return JsonResponse((await self._holdings.counted(tenant)).get("cache", {}))
        return JsonResponse(self._engine.results.stats())

    async def optimization(self, request: Request) -> Response:
        """Give what is known of this machine's capabilities; nothing is measured or loaded for it."""
        from copykit.accel.report import report

        found = await asyncio.to_thread(report, verify=False)
        return JsonResponse(_plain(asdict(found)))

    async def catalog(self, request: Request) -> Response:
        """Give the names that a brief may use."""
        from copykit.brief import catalog

        told: CatalogNames = {
            "platforms": list(catalog.placement_ids()),
            "languages": [language.tag for language in catalog.languages()],
            "tones": [tone.id for tone in catalog.tones()],
            "use_cases": [use_case.id for use_case in catalog.use_cases()],
        }
        return JsonResponse(told)

    async def openapi(self, request: Request) -> Response:
        """Give the description of all routes."""
        from copykit.server.described.openapi import document

        keyed = not self._holdings.keyring.open
        return JsonResponse(await asyncio.to_thread(document, keyed=keyed))  # half a second, the first time

    async def docs(self, request: Request) -> Response:
        """Give the page for people, or a file of it."""
        return await asyncio.to_thread(page, request.url.path.rpartition("/")[2])

    async def _written(self, request: Request) -> tuple[CopywritingOutput, float]:
        visitor: Visitor = request.state.visitor
        brief = brief_of(await json_of(request.state.body), self._allowed_s(request))
        async with self._place(request):
            began = time.perf_counter()
            with _within(request.state.patience, brief, _LEAST_S) as bounded:
                output = await self._engine.generate(bounded, account=self._holdings.account(visitor))
            return output, time.perf_counter() - began

    async def _batch(self, request: Request, *, legacy: bool) -> Response:
        visitor: Visitor = request.state.visitor
        asked = items_of(await json_of(request.state.body), self._settings.max_batch_items)
        self.metered.figures.observe("copykit_batch_briefs", len(asked))
        patience: Patience = request.state.patience
        allowed_s = min(patience.told_s, ITEM_DEADLINE_S)
        briefs = [one async for one in _at_times(_brief_or_error(item, allowed_s) for item in asked)]
        account = self._holdings.account(visitor)
        async with self._place(request):
            await self._holdings.forecast.check(briefs, account)
            written_by = _OnBehalf(self._engine, account, patience)
            items = _Items(legacy, request.state.request_id, written_by.took)
            told = await gather_as(written_by, briefs, items.item, self._engine.settings.batch.concurrency)
        request.state.passing = items.passing
        summary = {"total": len(told), "succeeded": len(told) - items.failed, "failed": items.failed}
        body = b'{"results":[%b],"summary":%b}' % (b",".join(told), json.dumps(summary))
        return Response(body, media_type="application/json")

    @asynccontextmanager
    async def _place(self, request: Request) -> AsyncIterator[None]:
        """Hold a place while the block runs, and wait for it no longer than the client does."""
        patience: Patience = request.state.patience
        async with AsyncExitStack() as held:
            async with patience.bound(_GRACE_S):
                await held.enter_async_context(self._holdings.gate.place(request.state.visitor.tenant))
            yield

    def _allowed_s(self, request: Request) -> float:
        """Give the seconds of a brief, from when its work begins."""
        told_s: float = request.state.patience.told_s
        return min(self._settings.deadline_s if told_s == inf else told_s, self._settings.longest_s)


_GRACE_S, _LEAST_S = 0.05, 0.001
"""For the place and for the work of one brief whose client gives it hardly any time: a wrong one is told as wrong."""
_MANY = 50
"""Briefs after which the loop is given back to others for a moment."""


async def _at_times(things: Iterable[T]) -> AsyncIterator[T]:
    """Give *things*, and now and then the loop to others: making ten thousand takes a second."""
    for at, thing in enumerate(things):
        if at % _MANY == _MANY - 1:
            await asyncio.sleep(0)
        yield thing


class _OnBehalf:
    """An engine that writes for one account, and begins nothing that the client waits for no longer."""

    def __init__(self, engine: Engine, account: Account, patience: Patience) -> None:
        self._engine = engine
        self._account = account
        self._patience = patience
        self.took: dict[int, float] = {}
        """Seconds of each brief that was written, by its place from 1."""

    async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
        """Answer one request of a batch."""
        began = time.perf_counter()
        with _within(self._patience, request) as bounded:
            output = await self._engine.generate(bounded, row=row, account=self._account)
        self.took[row or 0] = time.perf_counter() - began
        return output


@contextmanager
def _within(patience: Patience, brief: CopywritingInput, least_s: float = 0.0) -> Iterator[CopywritingInput]:
    """Give *brief* with no more time than its client still has, or *least_s*.

    Raises:
        DeadlineExceeded: it has none, or that was not enough: told as the client said it.
    """
    left_s = patience.left_s(least_s)
    if left_s >= (brief.deadline_s or inf):
        yield brief
        return
    try:
        yield brief.model_copy(update={"deadline_s": left_s})
    except DeadlineExceeded as error:
        raise DeadlineExceeded(patience.told_s, error.attempts) from error


def _brief_or_error(fields: Any, allowed_s: float) -> CopywritingInput | CopykitError:
    try:
        return brief_of(fields, allowed_s)
    except CopykitError as error:
        return error


class _Items:
    """Answers of one batch as they go out, each encoded as soon as it is there: all together would keep others out.

    Args:
        legacy: whether outputs have the first interface's shape.
        request_id: of the batch.
        took: seconds of each brief, by its place from 1.
    """

    def __init__(self, legacy: bool, request_id: str, took: Mapping[int, float]) -> None:
        self._legacy = legacy
        self._request_id = request_id
        self._took = took
        self._logged: set[str] = set()
        self.failed = 0
        self.passing = False
        """Whether one failed that may succeed when it is asked for again."""

    def item(self, at: int, result: CopywritingOutput | CopykitError) -> bytes:
        """Encode the answer at one place, counted from 0."""
        told: dict[str, Any] = {"index": at, "status": "failed", "error": None, "output": None}
        if isinstance(result, CopykitError):
            self.failed += 1
            if isinstance(result, ConfigurationError) and result.message not in self._logged:
                self._logged.add(result.message)  # once, however many briefs of the batch met it
                tell_setup(result, self._request_id)
            problem = problem_of(result)
            self.passing = self.passing or problem.status not in FINAL
            told["error"] = problem.body(self._request_id)
        else:
            told["status"] = result.variants[0].status
            told["output"] = (
                legacy_shape(result, self._took[at + 1]) if self._legacy else result.model_dump(mode="json")
            )
        return json.dumps(told)


def _event(event: StreamEvent, request_id: str) -> ServerSentEvent:
    if isinstance(event, StreamFailed):
        if isinstance(event.error, InternalError):
            _log.error("request %s failed", request_id, exc_info=event.error)
        tell_setup(event.error, request_id)
        return ServerSentEvent(json.dumps(problem_of(event.error).body(request_id)).decode(), event="error")
    told = as_mapping(event)
    name = told.pop("event")
    if isinstance(event, StreamFinished):
        name = "done"
    return ServerSentEvent(json.dumps(told).decode(), event=name)


def _plain(value: Any) -> Any:
    """Give *value* as JSON can hold it; what is neither text nor number is written as it shows itself."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)
