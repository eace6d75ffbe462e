"""The client for programs with an event loop: one method for each thing that the service does."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Self, TypeVar, cast

from pydantic import BaseModel

from copykit.accel import json
from copykit.accel.http import HttpClient
from copykit.client.batches import BatchAnswer, answer_of
from copykit.client.exchange import LARGEST_ANSWER, Ask, Exchange, refusal
from copykit.client.place import HERE, key_of, url_of
from copykit.errors import CopykitError, DeadlineExceeded, InvalidRequest, TruncatedStream
from copykit.legacy import LegacyResult
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.problems import ProblemBody, ServiceError, ServiceUnreachable, error_of
from copykit.providers.events import Event, EventStream
from copykit.reports import (
    ApiDescription,
    CacheStats,
    CatalogNames,
    ConfigReport,
    FigureReport,
    HealthReport,
    OptimizationReport,
    PerformanceStats,
)
from copykit.settings import Secret
from copykit.stream_events import StreamEvent, StreamFailed, StreamFinished, from_mapping

__all__ = ["AsyncClient", "Request"]

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)
Request = CopywritingInput | Mapping[str, Any]
"""A `CopywritingInput`, of which the fields that were set are sent, or a mapping of fields, sent as it stands."""
_BATCH_S = 600.0
_TOLD = frozenset({"started", "delta", "field", "mended", "finished"})


class AsyncClient:
    """A client of one running service; safe to share between tasks.

    ::

        async with AsyncClient("https://copy.example.com", key="...") as client:
            result = await client.generate({"product_description": "Oak desk", "target_platform": "x"})

    What goes wrong is raised as the error of `copykit.errors` that the service met, with what it told of it:
    `InvalidRequest` with its field and the nearest valid names, `BudgetExceeded`, `AllProvidersCooling` with its
    time, and so on. Under any other code it is a `ServiceError` (401, 403, 404, 413 and the like); without an answer
    a `ServiceUnreachable`, or `DeadlineExceeded` once the time is over.

    Args:
        base_url: where the service is.
        key: sent as ``X-API-Key``; None sends none.
        prefix: ``/copywriting`` for the routes under it.
        timeout_s: seconds of a request, repeats included; told to the service too (``X-Request-Timeout-Ms``), whose
            own word that they are over is waited for two seconds longer.
        retries: how often a request is sent again that the service did not begin (409, 429, 503) and for which it
            said when it would (``Retry-After``), while there is time; 0 leaves that to the caller.
        http: connections to use instead of its own, e.g. with certificates or a proxy
            (`copykit.accel.http.open_client`); they stay open.

    Raises:
        ConfigurationError: an address that is none, or a key that no header can carry.
    """

    def __init__(
        self,
        base_url: str = HERE,
        *,
        key: Secret | str | None = None,
        prefix: str = "",
        timeout_s: float = 60.0,
        retries: int = 0,
        http: HttpClient | None = None,
    ) -> None:
        self._exchange = Exchange(
            base_url, key=key, prefix=prefix, timeout_s=timeout_s, retries=retries, http=http
        )

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Give a client of the service at ``COPYKIT_URL`` with the key in ``API_KEY``; what is *given* wins.

        Args:
            environment: read instead of the process's own. ``API_KEY_FILE`` names a file that holds the key.
            given: arguments of the class.

        Raises:
            ConfigurationError: as the class does, or the key's file cannot be read.
        """
        environment = os.environ if environment is None else environment
        told: dict[str, Any] = {"base_url": url_of(environment)}
        if "key" not in given:
            told["key"] = key_of(environment)
        return cls(**{**told, **given})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._exchange.base_url + self._exchange.prefix!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the client is of no more use."""
        await self._exchange.aclose()

    async def generate(
        self,
        request: Request,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> CopywritingOutput:
        """Write one brief.

        Args:
            request: the brief.
            timeout_s: instead of the client's own.
            request_id: names the request in the service's log and in errors: 1 to 64 letters, digits, dots, dashes.
            idempotency_key: a second request with the same key and brief gets the first one's answer.
        """
        ask = _post("/v11/generate", _fields(request), request_id, idempotency_key)
        return _read(await self._exchange.answered(ask, timeout_s=timeout_s), _output)

    async def generate_legacy(
        self,
        request: Request,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> LegacyResult:
        """Write one brief; the first interface's shape. Arguments as of `generate`."""
        ask = _post("/generate", _fields(request), request_id, idempotency_key)
        return _read(await self._exchange.answered(ask, timeout_s=timeout_s), _legacy)

    async def batch(
        self,
        requests: Iterable[Request],
        *,
        timeout_s: float = _BATCH_S,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> BatchAnswer[CopywritingOutput]:
        """Write many briefs: results in their order, an error in the place of a failure.

        Args:
            requests: the briefs; the service takes 10,000 unless it was told otherwise.
            timeout_s: for all of them; the service gives each of them 300 s of it at most.
            request_id: as of `generate`.
            idempotency_key: as of `generate`.
        """
        return await self._batch(
            "/v11/batch-generate", CopywritingOutput, requests, timeout_s, request_id, idempotency_key
        )

    async def batch_legacy(
        self,
        requests: Iterable[Request],
        *,
        timeout_s: float = _BATCH_S,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> BatchAnswer[LegacyResult]:
        """Write many briefs; outputs in the first interface's shape. Arguments as of `batch`."""
        return await self._batch(
            "/generate/batch", LegacyResult, requests, timeout_s, request_id, idempotency_key
        )

    async def _batch(
        self,
        path: str,
        kind: type[B],
        requests: Iterable[Request],
        timeout_s: float,
        request_id: str | None,
        idempotency_key: str | None,
    ) -> BatchAnswer[B]:
        ask = _post(path, [_fields(request) for request in requests], request_id, idempotency_key)
        body = await self._exchange.answered(ask, timeout_s=timeout_s)
        return _read(body, lambda told: answer_of(told, kind))

    def stream(
        self,
        request: Request,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Write one brief and give what happens meanwhile, as the service faces' `stream` does.

        ::

            async with aclosing(client.stream(request)) as events:
                async for event in events: ...

        The last event is a `StreamFinished` with the output or a `StreamFailed` with the error, a refusal of the
        service or a broken connection included. Leaving the iteration closes the connection, upon which the service
        leaves the model's. Arguments as of `generate`.

        Raises:
            InvalidRequest: at once, if *request* has no form in JSON.
        """
        ask = _post("/v11/generate/stream", _fields(request), request_id, None, accept="text/event-stream")
        return self._streamed(ask, timeout_s)

    async def _streamed(self, ask: Ask, timeout_s: float | None) -> AsyncGenerator[StreamEvent, None]:
        reader = EventStream(LARGEST_ANSWER)
        try:
            async with aclosing(self._exchange.pieces(ask, timeout_s=timeout_s)) as pieces:
                async for piece in pieces:
                    for event in filter(None, map(_event, reader.feed(piece))):
                        yield event
                        if isinstance(event, StreamFinished | StreamFailed):
                            return
            raise TruncatedStream("the stream ended before its result")
        except CopykitError as error:
            yield StreamFailed(error)

    async def health(self) -> HealthReport:
        """Give the service's full report; to a tenant the status and the targets' names."""
        return cast(HealthReport, await self._report("/v11/health"))

    async def live(self) -> bool:
        """Say whether the process runs; needs no key. Where nothing answers it does not."""
        return await self._says_yes("/health/live")

    async def ready(self) -> bool:
        """Say whether requests are answered now; needs no key. A server that drains is not ready."""
        return await self._says_yes("/health/ready")

    async def _says_yes(self, path: str) -> bool:
        try:
            reply = await self._exchange.ask(Ask("GET", path))
        except (ServiceUnreachable, DeadlineExceeded):
            return False
        if reply.status not in (200, 503):
            raise refusal(reply)
        return reply.status == 200

    async def performance_stats(self) -> PerformanceStats:
        """Give counts, latencies, targets and money: of all to the operator, to a tenant its own."""
        return cast(PerformanceStats, await self._report("/v11/performance-stats"))

    async def metrics(self) -> FigureReport:
        """Give the figures as data."""
        return cast(FigureReport, await self._report("/metrics"))

    async def prometheus(self) -> str:
        """Give the figures in Prometheus' text form."""
        ask = Ask("GET", "/metrics/prometheus", accept="text/plain")
        return (await self._exchange.answered(ask)).decode(errors="replace")

    async def config(self) -> ConfigReport:
        """Give the service's settings, secrets masked."""
        return cast(ConfigReport, await self._report("/config"))

    async def clear_cache(self) -> None:
        """Forget every cached result."""
        await self._exchange.answered(Ask("POST", "/v11/cache/clear"))

    async def cache_stats(self) -> CacheStats:
        """Give the state of the cache; to a tenant what it found there."""
        return cast(CacheStats, await self._report("/v11/cache/stats"))

    async def optimization_report(self) -> OptimizationReport:
        """Give what is known of the capabilities of the service's machine."""
        return cast(OptimizationReport, await self._report("/optimization/report"))

    async def catalog(self) -> CatalogNames:
        """Give the names that a brief may use: ``platforms``, ``languages``, ``tones`` and ``use_cases``."""
        return cast(CatalogNames, await self._report("/catalog"))

    async def openapi(self) -> ApiDescription:
        """Give the description of all routes; needs no key."""
        return cast(ApiDescription, await self._report("/openapi.json"))

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """Ask any route by its path, for what no method names; gives the JSON value, or the text of what is no JSON.

        Args:
            method: ``GET`` or ``POST``.
            path: below the prefix, e.g. ``/health``.
            body: sent as JSON; None sends none.
        """
        ask = Ask(method, path, b"" if body is None else _encoded(body))
        text = await self._exchange.answered(ask)
        try:
            return json.loads(text)
        except ValueError:
            return text.decode(errors="replace")

    async def _report(self, path: str) -> Any:
        return _read(await self._exchange.answered(Ask("GET", path)), _mapping)


def _fields(request: Request) -> Any:
    if isinstance(request, CopywritingInput):
        return request.model_dump(mode="json", exclude_unset=True)
    if isinstance(request, Mapping):
        return dict(request)
    raise InvalidRequest("request", request, "must be a CopywritingInput or a mapping of its fields")


def _encoded(value: Any) -> bytes:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise InvalidRequest("request", type(value).__name__, f"has no form in JSON: {error}") from None


def _post(
    path: str,
    body: Any,
    request_id: str | None,
    idempotency_key: str | None,
    *,
    accept: str = "application/json",
) -> Ask:
    named = {"X-Request-Id": request_id, "Idempotency-Key": idempotency_key}
    headers = {name: text for name, text in named.items() if text is not None}
    return Ask("POST", path, _encoded(body), headers, accept)


def _read(body: bytes, read: Callable[[Any], T]) -> T:
    """Read an answer; one that is not what was asked for is a `ServiceError`."""
    try:
        return read(json.loads(body))
    except (ValueError, KeyError, TypeError):
        raise ServiceError("the answer is not what copykit gives there", status=200) from None


def _output(told: Any) -> CopywritingOutput:
    return CopywritingOutput.model_validate(told, extra="ignore")


def _legacy(told: Any) -> LegacyResult:
    return LegacyResult.model_validate(told)


def _mapping(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise TypeError("no object")
    return told


def _event(event: Event) -> StreamEvent | None:
    """Give what *event* of the wire tells; None for a kind that this version does not know."""
    if event.name == "error":
        return StreamFailed(
            _read(event.data.encode(), lambda told: error_of(ProblemBody.model_validate(told)))
        )
    name = {"done": "finished"}.get(event.name, event.name)
    if name not in _TOLD:
        return None
    return _read(event.data.encode(), lambda told: from_mapping({**_mapping(told), "event": name}))
