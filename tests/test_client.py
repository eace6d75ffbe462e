"""The typed client against a real server: every route under both prefixes, streams, errors, repeats, connections."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from copykit import CopywritingInput, CopywritingServiceV11, Settings, register_provider
from copykit.accel import registry
from copykit.accel.http import HttpMaker
from copykit.client import AsyncClient, BatchAnswer, Client, ServiceError, ServiceUnreachable
from copykit.errors import (
    ConfigurationError,
    CopykitError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    MissingExtra,
    NoProviderSucceeded,
    ProviderError,
    RateLimited,
    TruncatedStream,
)
from copykit.legacy import LegacyResult
from copykit.models import CopywritingOutput, Usage
from copykit.problems import ProblemBody, error_of
from copykit.providers.base import Completion
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.routes import PREFIXES, ROUTES, RouteSpec
from copykit.server.wire import problem_of
from copykit.settings import RoutingSettings, Secret
from copykit.stream_events import FieldDone, StreamEvent, StreamFailed, StreamFinished
from golden import DESK, TEXT, Writer
from serving import serving
from test_errors import ERRORS

KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
BRIEF = {"product_description": "Zapatos deportivos de alta gama", "target_platform": "x", "language": "es"}

CALLS: dict[str, Callable[[Client], Any]] = {
    "POST /v11/generate": lambda client: client.generate(BRIEF),
    "POST /generate": lambda client: client.generate_legacy(BRIEF),
    "POST /v11/batch-generate": lambda client: client.batch([BRIEF]),
    "POST /generate/batch": lambda client: client.batch_legacy([BRIEF]),
    "POST /v11/generate/stream": lambda client: list(client.stream(BRIEF))[-1],
    "GET /v11/health": lambda client: client.health(),
    "GET /health/live": lambda client: client.live(),
    "GET /health/ready": lambda client: client.ready(),
    "GET /v11/performance-stats": lambda client: client.performance_stats(),
    "GET /metrics": lambda client: client.metrics(),
    "GET /metrics/prometheus": lambda client: client.prometheus(),
    "GET /config": lambda client: client.config(),
    "POST /v11/cache/clear": lambda client: client.clear_cache(),
    "GET /v11/cache/stats": lambda client: client.cache_stats(),
    "GET /optimization/report": lambda client: client.optimization_report(),
    "GET /catalog": lambda client: client.catalog(),
    "GET /openapi.json": lambda client: client.openapi(),
}
"""What asks each route; a route that is another's older or younger name needs none of its own."""
NO_DATA = {"docs"}
"""Handlers whose answers are pages for people."""


@pytest.fixture(scope="module")
def app() -> Any:
    """Give the service with a key, over the phrase bank."""
    service = CopywritingServiceV11(Settings(routing=RoutingSettings(("phrasebank",))))
    return create_app(server=ServerSettings(key=Secret(KEY)), service=service)


@pytest.fixture(scope="module")
def address(app: Any) -> Iterator[str]:
    """Serve it."""
    with serving(app) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """Give a client of it."""
    with Client(address, key=KEY) as client:
        yield client


def same(output: CopywritingOutput) -> dict[str, Any]:
    """Give *output* without what differs between two runs: when, how long, and from which cache."""
    told = output.model_dump(mode="json", exclude={"created_at", "cached"})
    for name in ("cache", "saved_usd"):
        del told["receipt"][name]
    for attempt in told["receipt"]["attempts"]:
        del attempt["latency_s"], attempt["waited_s"]
    return told


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: f"{spec.method} {spec.path}")
def test_every_route_is_asked_by_a_method(address: str, prefix: str, spec: RouteSpec) -> None:
    """
    Under both prefixes each route answers the client's method for it; a route that is another name of one that has
    a method answers `request` with the same shape, and a new route without either fails here.
    """
    if spec.handler in NO_DATA:
        pytest.skip("a page for people")
    with Client(address, key=KEY, prefix=prefix) as client:
        call = CALLS.get(f"{spec.method} {spec.path}")
        if call is not None:
            assert call(client) is not False
            return
        named = [one for one in ROUTES if one.handler == spec.handler and f"{one.method} {one.path}" in CALLS]
        assert named, "no method of the client asks this route"
        body = {"Brief": BRIEF, "Batch": [BRIEF]}.get(spec.takes or "")
        assert client.request(spec.method, spec.path, body)


def test_the_methods_give_what_they_say(client: Client) -> None:
    """Results are the package's own models, reports are mappings, the exposition is text."""
    whole, legacy = client.generate(BRIEF), client.generate_legacy(CopywritingInput(**BRIEF))
    assert isinstance(whole, CopywritingOutput)
    assert isinstance(legacy, LegacyResult)
    assert (legacy.content, legacy.platform) == (whole.text, "x.post")
    assert "phrasebank" in client.health()["providers"]
    assert client.prometheus().startswith("# HELP")
    assert "x.post" in client.catalog()["platforms"]
    assert client.config()["server"]["key"] == "***"
    assert client.cache_stats()["hits"] >= 1
    client.clear_cache()
    assert not client.generate(BRIEF).cached


def test_a_batch_keeps_its_order_and_its_errors(client: Client) -> None:
    """An item that failed has the error that the service met, the others their outputs, in both shapes."""
    briefs = [BRIEF, {**BRIEF, "target_platform": "Facebok"}, CopywritingInput(**{**BRIEF, "language": "en"})]
    answers: list[BatchAnswer[Any]] = [client.batch(briefs), client.batch_legacy(briefs)]
    for answer, kind in zip(answers, (CopywritingOutput, LegacyResult), strict=True):
        assert [one.status for one in answer] == ["ok", "failed", "ok"]
        assert [type(one.output) for one in answer] == [kind, type(None), kind]
        assert (len(answer), answer.succeeded, answer.failed) == (3, 2, 1)
        error = answer.results[1].error
        assert isinstance(error, InvalidRequest)
        assert (error.field, "facebook" in error.nearest) == ("target_platform", True)


def test_a_streamed_result_is_the_unstreamed_one(client: Client) -> None:
    """Typed events, the last with the whole result; only times and the cache's part differ."""
    *told, last = client.stream(BRIEF)
    assert isinstance(last, StreamFinished)
    assert same(last.output) == same(client.generate(BRIEF))
    texts = [event.text for event in told if isinstance(event, FieldDone)]
    assert last.output.variants[0].fields["text"] in texts


@pytest.mark.parametrize("text", [TEXT, ""], ids=["mended", "broken off"])
def test_a_streams_events_are_those_of_the_service_itself(text: str) -> None:
    """Pieces, whole texts with their checks, what was mended, the end: equal to those of the face in this process."""
    register_provider("fake", lambda: Writer(text))
    settings = Settings(routing=RoutingSettings(("fake",)))

    async def here() -> list[StreamEvent]:
        async with CopywritingServiceV11(settings) as face, aclosing(face.stream(DESK)) as events:
            return [event async for event in events]

    def plain(event: StreamEvent) -> Any:
        match event:
            case StreamFinished():
                return {**same(event.output), "order": event.order}
            case StreamFailed():
                return event.error.code
        return event

    try:
        with serving(create_app(server=ServerSettings(), service=CopywritingServiceV11(settings))) as address:
            told = list(Client(address).stream(DESK))
        assert [plain(event) for event in told] == [plain(event) for event in asyncio.run(here())]
    finally:
        unregister_provider("fake")
    kinds = {type(event).__name__ for event in told}
    assert kinds == {"StreamStarted", "FieldDelta"} | (
        {"FieldDone", "FieldMended", "StreamFinished"} if text else {"StreamFailed"}
    )


def test_cached_copy_streams_as_copy_does_that_is_written(client: Client) -> None:
    """Of the server and here: it begins with what was understood, and ends with the result."""
    written, cached = (list(client.stream({**BRIEF, "product_name": "Norr Twice"})) for _ in range(2))
    kinds = [type(event).__name__ for event in cached]
    assert kinds == [type(event).__name__ for event in written]
    assert (kinds[0], kinds[-1]) == ("StreamStarted", "StreamFinished")
    assert cached[:-1] == written[:-1]
    ends = [events[-1] for events in (written, cached)]
    assert [isinstance(end, StreamFinished) and end.output.cached for end in ends] == [False, True]


def test_what_goes_wrong_is_the_error_that_the_service_met(client: Client) -> None:
    """With field, value, nearest names and the request's number; a stream ends with it, as the faces' streams do."""
    for bad in ({**BRIEF, "target_platform": "Facebok"}, {**BRIEF, "languag": "es"}):
        with pytest.raises(InvalidRequest) as told:
            client.generate(bad, request_id="order-7")
        with pytest.raises(InvalidRequest) as here:
            asyncio.run(CopywritingServiceV11(Settings()).generate(bad))
        for name in ("field", "value", "reason", "nearest", "message", "code", "retryable"):
            assert getattr(told.value, name) == getattr(here.value, name)
        assert told.value.request_id == "order-7"
    (failed,) = client.stream({**BRIEF, "target_platform": "Facebok"})
    assert isinstance(failed, StreamFailed)
    assert isinstance(failed.error, InvalidRequest)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_comes_back_as_its_own_class(error: CopykitError) -> None:
    """
    From the service's error over the problem to the client's. Three come back as their kin, since a client must not
    learn more: a missing extra as wrong settings, a bare provider's error as none that succeeded, a defect as status 500.
    """
    problem = problem_of(error)
    back = error_of(ProblemBody.model_validate(problem.body("r-1")))
    kin = {
        MissingExtra: ConfigurationError,
        ProviderError: NoProviderSucceeded,
        InternalError: ServiceError,
    }
    assert type(back) is kin.get(type(error), type(error))
    assert (back.code, back.retryable, back.request_id) == (
        error.code if not isinstance(error, MissingExtra) else "configuration_error",
        error.retryable,
        "r-1",
    )
    assert str(back) == problem.detail
    assert [(one.target, one.outcome) for one in back.attempts] == [
        (one.target, one.outcome) for one in error.attempts
    ]
    for name in (
        "field",
        "value",
        "reason",
        "nearest",
        "cap",
        "spent",
        "estimate",
        "scope",
        "queued",
        "limit",
    ):
        assert getattr(back, name, None) == getattr(error, name, None)
    for name in ("category", "violations"):
        assert getattr(back, name, None) == getattr(error, name, None)
    if problem.status == 503 and hasattr(error, "retry_after_s"):
        assert getattr(back, "retry_after_s") == error.retry_after_s  # noqa: B009 -- of several classes


def test_an_unknown_code_keeps_status_and_number(address: str) -> None:
    """What no class stands for is a `ServiceError`: a wrong key, a route that is none, an answer of something else."""
    with Client(address, key="wrong") as stranger, pytest.raises(ServiceError) as refused:
        stranger.generate(BRIEF, request_id="r-9")
    assert (refused.value.status, refused.value.code, refused.value.request_id) == (
        401,
        "unauthorized",
        "r-9",
    )
    with Client(address, key=KEY) as client:
        with pytest.raises(ServiceError) as lost:
            client.request("GET", "/nope")
        assert (lost.value.status, lost.value.code) == (404, "not_found")
        with pytest.raises(ServiceError, match="X-Request-Id") as wrong:
            client.generate(BRIEF, request_id="a b")
        assert wrong.value.status == 400


def test_a_client_reads_the_environment_only_when_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`from_env` takes COPYKIT_URL and API_KEY, and no key shows."""
    held = tmp_path / "key"
    held.write_text(KEY + "\n", encoding="utf-8")
    held.chmod(0o600)
    assert AsyncClient.from_env({"API_KEY_FILE": str(held)})._exchange.key == Secret(KEY)
    held.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"API_KEY_FILE: .*read by everybody"):
        AsyncClient.from_env({"API_KEY_FILE": str(held)})
    monkeypatch.setenv("COPYKIT_URL", "https://copy.example.com/")
    monkeypatch.setenv("API_KEY", KEY)
    assert repr(Client()) == "Client('http://127.0.0.1:8000')"
    client = Client.from_env(prefix="/copywriting")
    assert repr(client) == "Client('https://copy.example.com/copywriting')"
    assert client.awaited._exchange.key == Secret(KEY)
    assert KEY not in repr(vars(client.awaited._exchange))
    assert Settings.from_env({"COPYKIT_URL": "https://copy.example.com"}) == Settings.from_env({})
    assert repr(AsyncClient.from_env({})) == "AsyncClient('http://127.0.0.1:8000')"


def test_a_wrong_call_names_the_client_that_was_called() -> None:
    """Nobody who uses the blocking one has heard of the other."""
    with Client() as client, pytest.raises(TypeError, match=r"^Client\.generate\(\)"):
        client.generate()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base_url": "copy.example.com"}, "http://"),
        ({"base_url": "https://me:word@copy.example.com"}, "credentials"),
        ({"base_url": "htps://me:word@copy.example.com"}, "http://"),
        ({"prefix": "copywriting"}, "slash"),
        ({"timeout_s": 0}, "above 0"),
        ({"retries": -1}, "at least 0"),
        ({"key": "two words"}, "a key holds"),
    ],
)
def test_a_client_that_cannot_work_is_refused_when_made(wrong: dict[str, Any], told: str) -> None:
    """One line, without the secret in it."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        Client(**wrong)
    assert "word" not in str(caught.value)


def test_what_has_no_json_form_is_refused_before_it_is_sent() -> None:
    """Nothing listens there: the request never left."""
    with Client("http://127.0.0.1:9") as client:
        for wrong in ({"facts": object()}, {"product_description": "\ud800"}):
            with pytest.raises(InvalidRequest, match="JSON"):
                client.generate(wrong)
        with pytest.raises(InvalidRequest, match="mapping"):
            client.stream("text")  # type: ignore[arg-type]


def test_a_service_that_is_not_there_says_so() -> None:
    """`ServiceUnreachable`, retryable; neither live nor ready; a stream's only event."""
    with Client("http://127.0.0.1:9") as client:
        with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1") as told:
            client.health()
        assert (told.value.retryable, told.value.status) == (True, None)
        assert (client.live(), client.ready()) == (False, False)
        (failed,) = client.stream(BRIEF)
        assert isinstance(failed, StreamFailed)
        assert isinstance(failed.error, ServiceUnreachable)


def test_both_clients_have_the_same_methods() -> None:
    """With the same words to say about them; one closes with `close`, the other with `aclose`."""
    ahead = {name for name in vars(AsyncClient) if not name.startswith("_")} - {"aclose"}
    assert {name for name in vars(Client) if not name.startswith("_")} - {"close"} == ahead
    assert Client.generate.__doc__ == AsyncClient.generate.__doc__
    assert Client().generate.__doc__ == AsyncClient.generate.__doc__
    assert "idempotency_key" in inspect.signature(Client().generate).parameters


class Odd:
    """A server that answers as it was told, and remembers what it was sent."""

    def __init__(self, *answers: Callable[[], Response]) -> None:
        self.answers = list(answers)
        self.seen: list[Request] = []

    async def answer(self, request: Request) -> Response:
        """Give the next answer; the last repeats."""
        self.seen.append(request)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()

    def app(self) -> Starlette:
        """Give it as an application."""
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])


def busy(status: int = 503, after: str | None = "0") -> Callable[[], Response]:
    """Give an answer that sends away until later."""
    body = {"status": status, "code": "overloaded", "detail": "busy", "retryable": True, "request_id": "r"}
    return lambda: JSONResponse(body, status, headers={"Retry-After": after} if after is not None else {})


@pytest.mark.parametrize("status", [409, 429, 503])
def test_a_request_that_was_not_begun_is_repeated_when_asked(status: int) -> None:
    """As often as `retries` says and when ``Retry-After`` says; without either the answer is the error at once."""
    done = lambda: JSONResponse({"hits": 1})  # noqa: E731
    for retries, after, asked in ((2, "0", 3), (1, "0", 2), (0, "0", 1), (2, None, 1), (2, "3600", 1)):
        odd = Odd(busy(status, after), busy(status, after), done)
        with serving(odd.app()) as address, Client(address, retries=retries) as client:
            if asked == 3:
                assert client.cache_stats() == {"hits": 1}
            else:
                with pytest.raises(CopykitError, match="busy"):
                    client.cache_stats()
        assert len(odd.seen) == asked


def test_a_stream_is_repeated_only_before_it_began() -> None:
    """A refusal as any other; what broke off is not asked for again."""
    broken = lambda: StreamingResponse(iter([b"event: started\n"]), media_type="text/event-stream")  # noqa: E731
    odd = Odd(busy(), broken)
    with serving(odd.app()) as address, Client(address, retries=3) as client:
        (failed,) = client.stream(BRIEF)
    assert isinstance(failed, StreamFailed)
    assert isinstance(failed.error, TruncatedStream)
    assert len(odd.seen) == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            lambda: PlainTextResponse("<html>Bad gateway", 502, media_type="text/html"),
            "status 502 with text/html",
        ),
        (lambda: Response(status_code=307, headers={"location": "https://elsewhere.example/"}), "elsewhere"),
        (lambda: PlainTextResponse("hello"), "not what copykit gives"),
        (lambda: JSONResponse([]), "not what copykit gives"),
        (lambda: JSONResponse({"id": 7}), "not what copykit gives"),
    ],
)
def test_an_answer_of_something_else_is_no_result(answer: Callable[[], Response], told: str) -> None:
    """A proxy's page, a way to elsewhere (which is not followed), JSON of another kind: `ServiceError` says what came."""
    odd = Odd(answer)
    with serving(odd.app()) as address, Client(address, key=KEY) as client:
        for ask in (client.generate, client.generate_legacy, lambda brief: client.batch([brief])):
            with pytest.raises(ServiceError, match=told):
                ask(BRIEF)
        (failed,) = client.stream(BRIEF)
    assert isinstance(failed, StreamFailed)
    assert isinstance(failed.error, ServiceError)


def test_headers_say_who_asks_and_how_long() -> None:
    """Key, number, idempotency key and the time left; what was not given is not sent."""
    odd = Odd(lambda: JSONResponse({"hits": 1}))
    with serving(odd.app()) as address, Client(address, key=KEY, timeout_s=5) as client:
        client.cache_stats()
        for call in (client.generate, client.generate_legacy):
            with pytest.raises(ServiceError):
                call(BRIEF, request_id="r-1", idempotency_key="once")
        with pytest.raises(ServiceError):
            client.batch([BRIEF], idempotency_key="once")
        with pytest.raises(ServiceError):
            client.batch_legacy([BRIEF], timeout_s=9)
    report, *writing, batch, bounded = [request.headers for request in odd.seen]
    assert (report["x-api-key"], report["accept"]) == (KEY, "application/json")
    assert not {"idempotency-key", "x-request-id", "x-request-timeout-ms", "content-type"} & set(report)
    assert [one.get("idempotency-key") for one in (*writing, batch, bounded)] == [*["once"] * 3, None]
    assert [one.get("x-request-id") for one in (*writing, batch)] == ["r-1", "r-1", None]
    assert all(1 <= int(one["x-request-timeout-ms"]) <= 5000 for one in writing)
    assert 5000 < int(batch["x-request-timeout-ms"]) <= 600_000  # of the whole batch, not of one brief
    assert 5000 < int(bounded["x-request-timeout-ms"]) <= 9000


def test_a_repeat_under_one_idempotency_key_is_done_once(client: Client) -> None:
    """The second answer is the first one; the key with another brief is refused."""
    client.clear_cache()
    first = client.generate(BRIEF, idempotency_key="order-7")
    assert client.generate(BRIEF, idempotency_key="order-7") == first
    with pytest.raises(ServiceError) as other:
        client.generate({**BRIEF, "seed": 1}, idempotency_key="order-7")
    assert (other.value.status, other.value.code) == (422, "idempotency_mismatch")


def test_a_key_that_sends_too_much_is_told_when_to_come_back() -> None:
    """`RateLimited` with its time; nothing is repeated beyond the time there is."""
    service = CopywritingServiceV11(Settings(routing=RoutingSettings(("phrasebank",))))
    server = ServerSettings(key=Secret(KEY), rate="2/minute")
    with (
        serving(create_app(server=server, service=service)) as address,
        Client(address, key=KEY, retries=3, timeout_s=0.5) as client,
    ):
        assert client.catalog()
        assert client.catalog()
        with pytest.raises(RateLimited) as told:
            client.catalog()
    assert told.value.retry_after_s is not None
    assert 1 <= told.value.retry_after_s <= 120
    assert told.value.retryable


def test_an_answer_that_does_not_come_is_late() -> None:
    """`DeadlineExceeded` with the time that was given, a moment after the service itself would have said so."""
    held = threading.Event()

    async def never(request: Request) -> Response:
        await asyncio.to_thread(held.wait, 60)
        return JSONResponse({})

    silent = Starlette(routes=[Route("/{path:path}", never, methods=["GET", "POST"])])
    with serving(silent) as address, Client(address, timeout_s=0.05) as client:
        with pytest.raises(DeadlineExceeded) as late:
            client.generate(BRIEF)
        held.set()
    assert late.value.after_s == 0.05


def test_a_newer_service_is_understood(client: Client) -> None:
    """Names that this version does not know are passed over, in results, events and problems."""
    told = client.request("POST", "/v11/generate", BRIEF)
    told["mood"], told["variants"][0]["mood"] = "bright", "brighter"
    lines = [
        'event: weather\ndata: {"mood": 1}\n\n',
        'event: delta\ndata: {"variant": 0, "field": "text", "text": "Hi", "mood": 1}\n\n',
        'event: error\ndata: {"status": 418, "code": "teapot", "detail": "short", "mood": 1}\n\n',
    ]
    odd = Odd(
        lambda: JSONResponse(told),
        lambda: StreamingResponse(iter(line.encode() for line in lines), media_type="text/event-stream"),
    )
    with serving(odd.app()) as address, Client(address) as newer:
        assert newer.generate(BRIEF).id == told["id"]
        delta, failed = newer.stream(BRIEF)
    assert delta.text == "Hi"  # type: ignore[attr-defined]
    assert isinstance(failed, StreamFailed)
    assert failed.error.code == "teapot"


class Endless:
    """Writes for ever, and knows whether anybody still listens."""

    name = "endless"

    def __init__(self) -> None:
        self.left = threading.Event()

    async def stream(self, prompt: Any) -> AsyncIterator[str | Completion]:
        """Begin, and go on until left."""
        try:
            yield '{"variants": [{"fields": {"text": "Oak'
            while True:
                await asyncio.sleep(0.01)
                yield " desk"
        finally:
            self.left.set()

    async def complete(self, prompt: Any) -> Completion:
        """Give nothing of use."""
        return Completion(text="", model="endless", usage=Usage())


@pytest.fixture
def endless() -> Iterator[tuple[Endless, str]]:
    """Serve a model that never ends."""
    writer = Endless()
    register_provider("endless", lambda: writer)
    service = CopywritingServiceV11(Settings(routing=RoutingSettings(("endless",))))
    with serving(create_app(server=ServerSettings(), service=service)) as address:
        yield writer, address
    unregister_provider("endless")


@pytest.fixture(params=["aiohttp", "httpx2"])
def maker(request: pytest.FixtureRequest) -> HttpMaker:
    """Give a library for the connections, skipped where absent."""
    try:
        return registry.load("http", request.param)  # type: ignore[no-any-return]
    except ConfigurationError as error:
        pytest.skip(str(error))


def test_leaving_a_stream_closes_its_connection(endless: tuple[Endless, str], maker: HttpMaker) -> None:
    """Whichever library holds it, and from both clients: the service notices and leaves the model."""
    writer, address = endless

    async def leave() -> None:
        http = maker.new(connections=4, tls=None, proxies=False)
        async with AsyncClient(address, http=http) as client, aclosing(client.stream(BRIEF)) as events:
            async for _ in events:
                break
        await http.aclose()

    asyncio.run(leave())
    assert writer.left.wait(30)
    writer.left.clear()
    http = maker.new(connections=4, tls=None, proxies=False)
    with Client(address, http=http) as client:
        for _ in client.stream(BRIEF):
            break
    assert writer.left.wait(30)


def test_many_threads_share_one_client(client: Client) -> None:
    """Forty calls of eight threads, each with its own answer."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda seed: client.generate({**BRIEF, "seed": seed}), range(40)))
    assert len({output.id for output in outputs}) == 40


def test_it_works_inside_a_running_loop(client: Client) -> None:
    """A notebook's loop keeps running; tasks share an `AsyncClient`."""

    async def cell(address: str) -> None:
        assert client.generate(BRIEF).text
        async with AsyncClient(address, key=KEY) as ahead:
            told = await asyncio.gather(*(ahead.generate({**BRIEF, "seed": seed}) for seed in range(8)))
        assert len({output.id for output in told}) == 8

    asyncio.run(cell(client.awaited._exchange.base_url))
