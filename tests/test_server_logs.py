"""Log lines of the server: one a line, with the request's number, and without what nobody should read."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from copykit.errors import ConfigurationError, MissingExtra
from copykit.server.watch.redaction import Redactor, secrets_of

pytest.importorskip("structlog", reason="needs the extra server")

from copykit.server.watch import logs

PLANTED = {
    "API_KEY": "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w",
    "OPENAI_API_KEY": "sk-proj-0123456789abcdef",
    "ANTHROPIC_API_KEY": "sk-ant-api03-canary-0000",
    "GOOGLE_API_KEY": "AIzaSyCanaryCanaryCanary",
    "COPYKIT_CACHE_SECRET": "just four plain words",
    "COPYKIT_STORE_URL": "postgresql://copykit:pw-of-the-store@db.internal/copykit?sslpassword=other-secret",
    "REDIS_URL": "rediss://:pw-of-redis@cache.internal:6379/0",
    "WEBHOOK_TOKEN": "ghp_canarycanarycanary",
}
"""Eight secrets as an environment holds them."""
SECRETS = (
    *(value for name, value in PLANTED.items() if not name.endswith("URL")),
    "pw-of-the-store",
    "other-secret",
    "pw-of-redis",
)


class Log:
    """What was written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def lines(self) -> list[str]:
        """Give the lines, each by what any reader takes for its end."""
        return self.stream.getvalue().splitlines()

    def told(self) -> list[dict[str, Any]]:
        """Give the lines as objects."""
        return [json.loads(line) for line in self.lines()]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logging as it was found."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    quiet = {name: logging.getLogger(name).level for name in (*logs._QUIET, *logs._OWN)}
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(False)
    for name, was in quiet.items():
        logging.getLogger(name).setLevel(was)


def configured(format: str, level: str = "debug") -> Log:
    """Send everything to a log in memory."""
    log = Log()
    logging.getLogger().handlers[:] = []  # pytest's own would raise where a record cannot be written
    logs.configure(format, level, stream=log.stream, environment=PLANTED)
    return log


FORGED = [
    'ok\n{"level":"info","event":"forged"}',
    "a\rb",
    "a\u2028b\u2029c\x85d",
    "\x1b[31mred\x1b]0;title\x07",
    "\x00\x7f\x9b",
    "\u202eevil",
    "half \ud800",
    "a" * 100_000,
]


@pytest.mark.parametrize("format", logs.FORMATS)
@pytest.mark.parametrize("text", FORGED, ids=lambda text: ascii(text[:12]))
def test_whatever_a_value_holds_an_event_is_one_line(format: str, text: str) -> None:
    """Line breaks, escapes of terminals and turns of direction arrive escaped, in the event and in fields (G05, M08)."""
    log = configured(format)
    logging.getLogger("any.library").warning("said %s", text, extra={"field": text, "inner": {"x": [text]}})
    (line,) = log.lines()
    assert line.isprintable()
    assert len(line) < 20_000
    if format == "json":
        assert log.told()[0]["level"] == "warning"


@pytest.mark.parametrize("format", logs.FORMATS)
def test_an_error_is_one_line_with_its_traceback(format: str) -> None:
    """It stands in the field `exception`, its end where it is long."""
    log = configured(format)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("copykit.server").exception("request failed")
    (line,) = log.lines()
    assert "ValueError: first" in line
    assert "request failed" in line


@pytest.mark.parametrize("format", logs.FORMATS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_planted_secret_is_in_no_line(format: str, secret: str) -> None:
    """Eight secrets, as words, arguments, fields, names, addresses, headers and in a traceback: 0 of them are written."""
    log = configured(format)
    library = logging.getLogger("any.library")
    library.warning("it is %s, or '%s' or (%s)", secret, secret, secret)
    library.warning("headers", extra={"headers": {"Authorization": f"Bearer {secret}", "x": ["a", secret]}})
    library.warning("Basic %s; https://user:%s@host/path?token=%s#%s", secret, secret, secret, secret)
    library.warning("asked %r", {"api_key": secret, "bytes": secret.encode()})
    library.warning("%d", secret)
    for _ in range(2):  # also when the same words come again
        library.warning("key=%s", secret)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(secret, stacklevel=1)
    try:
        raise ValueError(secret)
    except ValueError:
        library.exception("failed")
    assert len(log.lines()) == 9
    assert secret not in log.stream.getvalue()
    assert secret not in repr(Redactor([secret]))


@pytest.mark.parametrize("before", [1_900, 1_990, 2_500, 3_990, 4_005])
def test_a_cut_shows_no_part_of_a_secret(before: int) -> None:
    """Long values are cut at 2,000 characters, tracebacks to their last 8,000; what the cut goes through is left out."""
    secret = PLANTED["COPYKIT_CACHE_SECRET"]
    redactor = Redactor(secrets_of(PLANTED))
    for text in ("x " * (before // 2) + secret + " y" * 9_000, ("x " * (before // 2) + secret) * 40):
        assert len(redactor.text(text)) < 2_100
        assert len(redactor.end(text)) < 8_100
        assert "plain" not in redactor.text(text) + redactor.end(text)
        assert "just four" not in redactor.text(text) + redactor.end(text)
        assert redactor.end(text).endswith(text[-4:] if text.endswith(" y") else "***")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ana@example.com now", "write to ***@*** now"),
        ("call +49 170 1234567 now", "call *** now"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("password=hunter22, user=ana", "password=***, user=ana"),
        ("https://host/path?q=shoes and more", "https://host/path?*** and more"),
        ("redis://:pw@host:6379/0", "redis://***@host:6379/0"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "***"),
    ],
)
def test_what_is_private_becomes_stars(text: str, left: str) -> None:
    """Also where nobody named it before."""
    assert Redactor().text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "d41d8cd98f00b204e9800998ecf8427e",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "POST /v11/generate/stream 200",
        "copykit.providers.openai.OpenAIProvider_of_the_second_kind",
        "openai:gpt-6-luna gave 4000 max_tokens: 12 key points",
        "2026-11-22T06:17:40.499958Z",
        "127.0.0.1:8000",
    ],
)
def test_what_is_harmless_stays(text: str) -> None:
    """Digests, numbers of requests, names and figures are what logs are for."""
    assert Redactor(secrets_of(PLANTED)).text(text) == text


def test_a_request_stands_on_each_of_its_lines() -> None:
    """Those of any library, too; a number that is a key in disguise does not."""
    log = configured("json")
    access = logging.getLogger("copykit.access")
    token = logs.current.set({"request_id": "order-7"})
    try:
        logging.getLogger("any.library").info("inside")
        logs.tell(access, "request", {"status": 200})
    finally:
        logs.current.reset(token)
    logging.getLogger("any.library").info("outside")
    token = logs.current.set({"request_id": PLANTED["API_KEY"]})
    try:
        logs.tell(access, "request", {"status": 200})
    finally:
        logs.current.reset(token)
    assert [line.get("request_id") for line in log.told()] == ["order-7", "order-7", None, "***"]
    assert log.told()[1].keys() >= {"timestamp", "level", "logger", "event", "status"}


def test_libraries_lines_come_once_and_in_this_form() -> None:
    """uvicorn's own handlers are gone, and clients that would print headers are quiet."""
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(sys.stderr))
    log = configured("json")
    logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[1mStarted"})
    logging.getLogger("httpcore.http11").debug("send_request_headers %s", "Authorization")
    assert [line["event"] for line in log.told()] == ["Started"]
    assert "color_message" not in log.told()[0]


def test_only_copykits_own_debug_lines_are_written() -> None:
    """Libraries write answers, headers and statements into theirs."""
    log = configured("json", "debug")
    for name in ("sse_starlette.sse", "any.library", "copykit.server", "uvicorn.error"):
        logging.getLogger(name).debug("chunk: words of somebody")
    assert [line["logger"] for line in log.told()] == ["copykit.server", "uvicorn.error"]


def test_levels_hold_and_the_last_setting_wins() -> None:
    """What is below the level is not written; configuring twice writes each line once."""
    configured("json")
    log = configured("text", "warning")
    logging.getLogger("any.library").info("quiet")
    logs.tell(logging.getLogger("copykit.access"), "quiet", {})
    logging.getLogger("any.library").warning("loud", extra={"words": 'two "words"', "n": 1.5})
    (line,) = log.lines()
    assert line.endswith(r'any.library loud | n=1.5 words="two \"words\""')


def test_wrong_settings_are_told_together() -> None:
    """With the nearest name of each."""
    with pytest.raises(ConfigurationError) as caught:
        logs.configure("jsn", "warn")
    assert "nearest: json" in str(caught.value)
    assert "nearest: warning" in str(caught.value)


def test_without_structlog_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And logging stays as it was."""
    monkeypatch.setitem(sys.modules, "structlog", None)
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(MissingExtra, match="server"):
        logs.configure()
    assert logging.getLogger().handlers == handlers


def test_a_closed_stream_stops_nobody() -> None:
    """A log that cannot be written must not fail the work it tells of."""
    log = configured("json")
    log.stream.close()
    logging.getLogger("any.library").warning("into the void")


def served(
    asked: list[tuple[str, str, dict[str, Any]]], level: str, *, provider: Any = None
) -> list[dict[str, Any]]:
    """Send requests (method, address, further options) to an application, and give the lines written meanwhile."""
    import asyncio

    import httpx2

    from copykit import CopywritingServiceV11, Settings, register_provider
    from copykit.providers.registry import unregister_provider
    from copykit.server import ServerSettings, create_app
    from copykit.settings import RoutingSettings, Secret

    key = Secret(PLANTED["API_KEY"])
    if provider is not None:
        register_provider("fake", lambda: provider)
    targets = ("phrasebank",) if provider is None else ("fake",)

    async def story() -> None:
        service = CopywritingServiceV11(Settings(routing=RoutingSettings(targets)))
        transport = httpx2.ASGITransport(app=create_app(server=ServerSettings(key=key), service=service))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            for method, address, options in asked:
                await client.request(method, address, **options)

    log = configured("json", level)
    try:
        asyncio.run(story())
    finally:
        if provider is not None:
            unregister_provider("fake")
    for line in log.lines():
        assert PLANTED["API_KEY"] not in line
    return [line for line in log.told() if line["logger"].startswith("copykit.")]


def test_each_request_ends_in_one_line() -> None:
    """With its number, route, status, time, size, key and code; without path, query, header or body of the client."""
    pytest.importorskip("sse_starlette", reason="needs the extra server")
    brief = {"product_name": "words-of-a-client", "product_description": "words", "target_platform": "x"}
    key = {"x-api-key": PLANTED["API_KEY"], "user-agent": "words-of-a-client", "x-request-id": "order-7"}
    told = served(
        [
            ("POST", "/copywriting/v11/generate?words-of-a-client", {"json": brief, "headers": key}),
            ("POST", "/v11/generate", {"json": {}, "headers": key}),
            ("GET", "/words-of-a-client", {}),
            ("GET", "/v11/health", {"headers": {"x-api-key": "words-of-a-client"}}),
            ("BREW", "/v11/health", {}),
        ],
        "info",
    )
    assert "words-of-a-client" not in json.dumps(told)
    assert [(line["method"], line["route"], line["status"], line.get("problem")) for line in told] == [
        ("POST", "/v11/generate", 200, None),
        ("POST", "/v11/generate", 422, "invalid_request"),
        ("GET", "unknown", 404, "not_found"),
        ("GET", "/v11/health", 401, "unauthorized"),
        ("other", "unknown", 405, "method_not_allowed"),
    ]
    first = told[0]
    assert (first["request_id"], first["key_id"], first["whole"], first["level"]) == (
        "order-7",
        "operator",
        True,
        "info",
    )
    assert first["bytes"] > 500
    assert first["duration_s"] > 0
    assert all(line["event"] == "request" and line["logger"] == "copykit.access" for line in told)


def test_finished_lines_of_one_turn_go_out_in_one_call_and_in_their_order() -> None:
    """A record between them comes between them; without a loop each is written at once."""

    class Counting(io.StringIO):
        calls = 0

        def write(self, text: str) -> int:
            self.calls += 1
            return super().write(text)

    stream = Counting()
    logging.getLogger().handlers[:] = []  # pytest's own would hear of the lines too
    logs.configure("json", "info", stream=stream, environment={})
    logger = logging.getLogger("copykit.access")
    writer = logs.writer(logger, logging.INFO)
    assert writer is not None
    form = writer.form("request", {"status": 200, "whole": True}, tenant="%s", bytes="%d")

    async def turn() -> list[int]:
        for number in range(3):
            writer.write(form % ("acme", number))
        held = len(stream.getvalue())
        await asyncio.sleep(0)
        calls = stream.calls
        writer.write(form % ("acme", 3))
        logger.info("between")
        writer.write(form % ("acme", 4))
        return [held, calls]

    assert asyncio.run(turn()) == [0, 1]
    writer.write(form % ("acme", 5))
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("bytes", line["event"]) for line in told] == [0, 1, 2, 3, "between", 4, 5]
    assert {"event": "request", "status": 200, "whole": True, "tenant": "acme"}.items() <= told[0].items()
    assert sorted(line["timestamp"] for line in told) == [line["timestamp"] for line in told]


def test_a_repeated_request_is_told_as_the_first() -> None:
    """Although it is answered before all else; a number that is a key in disguise is stars on its line too."""
    pytest.importorskip("sse_starlette", reason="needs the extra server")
    brief = {"product_name": "Norr", "product_description": "Oak desk", "target_platform": "x"}
    key = {"x-api-key": PLANTED["API_KEY"], "x-request-id": PLANTED["API_KEY"]}
    told = served([("POST", "/v11/generate", {"json": brief, "headers": key})] * 4, "info")
    assert [line["request_id"] for line in told] == ["***"] * 4
    assert len({frozenset(line) for line in told}) == 1
    assert {(line["route"], line["status"], line["key_id"]) for line in told} == {
        ("/v11/generate", 200, "operator")
    }


def test_probes_are_told_to_who_debugs() -> None:
    """They come every other second, and say the same."""
    pytest.importorskip("sse_starlette", reason="needs the extra server")
    probe = [("GET", "/health/live", {})]
    assert served(probe, "info") == []  # type: ignore[arg-type]
    assert [line["route"] for line in served(probe, "debug")] == ["/health/live"]  # type: ignore[arg-type]


def test_a_defects_traceback_holds_no_secret() -> None:
    """It stands on a line of its own, of the same request; the request's line is a warning."""
    pytest.importorskip("sse_starlette", reason="needs the extra server")
    from copykit.testing import FakeProvider

    provider = FakeProvider()
    provider.will_say(ZeroDivisionError(f"forged\n{PLANTED['API_KEY']} just four plain words"))
    brief = {"product_name": "Norr", "product_description": "Oak desk", "target_platform": "x"}
    key = {"x-api-key": PLANTED["API_KEY"]}
    told = served([("POST", "/v11/generate", {"json": brief, "headers": key})], "info", provider=provider)
    assert "just four plain words" not in json.dumps(told)
    defect, request = told[-2:]
    assert (request["status"], request["level"], request["problem"]) == (500, "warning", "internal_error")
    assert defect["request_id"] == request["request_id"]
    assert "ZeroDivisionError" in defect["exception"]
