"""Anthropic's wire format: what is sent, how answers, failures and streams are read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from copykit.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ContentRefused,
    ContextTooLong,
    MalformedCompletion,
    ModelNotFound,
    ProviderError,
    ProviderProtocolError,
    ProviderQuotaError,
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
)
from copykit.models import Usage
from copykit.providers.anthropic import Anthropic
from copykit.providers.base import Completion, Provider, StreamingProvider, charge_of
from copykit.providers.remote import Repeats
from copykit.settings import ProvidersSettings, Secret, Settings
from copykit.testing import FakeClock
from fake_http import COPY, KEY, FakeHttp, prompt

USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 100,
    "output_tokens": 90,
    "output_tokens_details": {"thinking_tokens": 40},
}
READ = Usage(
    input_tokens=130, output_tokens=90, cached_tokens=100, cache_write_tokens=20, reasoning_tokens=40
)


def answer(text: str = COPY, stop: str | None = "end_turn", **changes: Any) -> dict[str, Any]:
    """Give a message as the interface writes it."""
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "text", "text": text[:20]},
        {"type": "text", "text": text[20:]},
    ]
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5-20260901",
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": USAGE,
    }
    return {**body, **changes}


def failed(status: int, kind: str, message: str = "", details: Any = None, **headers: str) -> FakeHttp:
    """Give a client whose answer is a failure."""
    error = {"type": kind, "message": message or f"About {KEY}", "details": details}
    return FakeHttp().will_answer({"type": "error", "error": error, "request_id": "req"}, status, **headers)


def provider(http: FakeHttp, **options: Any) -> Anthropic:
    """Give the provider over *http*."""
    return Anthropic(key=Secret(KEY), client=http, **options)


def complete(http: FakeHttp, model: str | None = None, **changes: Any) -> Completion:
    """Make one exchange."""
    return asyncio.run(provider(http).complete(prompt(model, **changes)))


def test_one_exchange() -> None:
    """Thoughts are left out of the text; the input counts what the cache held and took."""
    http = FakeHttp().will_answer(answer(), request_id="req_7")
    made = provider(http)
    completion = asyncio.run(made.complete(prompt()))
    (sent,) = http.sent
    assert (sent.method, sent.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["anthropic-version"] == "2026-10-21"
    assert "x-api-key" not in sent.headers
    assert KEY not in sent.url + sent.raw.decode()
    assert completion == Completion(
        text=COPY, model="claude-haiku-5-5-20260901", usage=READ, stop="stop", request_id="req_7"
    )
    body = sent.body
    assert body["model"] == "claude-haiku-5-5"
    assert body["max_tokens"] >= prompt().max_output_tokens
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert "temperature" not in body
    assert body["messages"] == [{"role": "user", "content": prompt().user}]
    assert isinstance(made, Provider)
    assert isinstance(made, StreamingProvider)


def test_a_gateway_with_an_older_version_gets_the_older_header() -> None:
    """The version decides how the key travels."""
    http = FakeHttp().will_answer(answer())
    own = ProvidersSettings(
        anthropic_key=Secret(KEY), anthropic_base_url="http://gateway/", anthropic_version="2023-06-01"
    )
    made = Anthropic.from_settings(Settings(providers=own))
    asyncio.run(
        Anthropic(key=Secret(KEY), version="2023-06-01", base_url=made.base_url, client=http).complete(
            prompt()
        )
    )
    (sent,) = http.sent
    assert sent.url == "http://gateway/v1/messages"
    assert sent.headers["x-api-key"] == KEY
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in sent.headers


def test_an_older_model_takes_a_temperature() -> None:
    """Of 0 to 1; the newer ones take none and are told in words."""
    http = FakeHttp().will_answer(answer()).will_answer(answer())
    complete(http, "claude-haiku-4-5", creativity_level=0.5)
    complete(http, "claude-opus-4-8", creativity_level=1.0)
    old, new = (sent.body for sent in http.sent)
    assert old["temperature"] == 0.5
    assert "temperature" not in new
    assert "unexpected" in new["system"][0]["text"]


def test_only_a_beginning_that_comes_again_is_written_to_the_cache() -> None:
    """Writing costs more than reading plainly: one request alone pays nothing for it, nor does a short beginning."""
    clock = FakeClock()
    http = FakeHttp()
    made = provider(http, repeats=Repeats(300.0, clock))
    long = {"target_platform": "google_ads.pmax"}
    marks = []
    for seconds, changes in ((0, long), (10, long), (10, long), (400, long), (0, {}), (0, {})):
        clock.advance(seconds)
        http.will_answer(answer())
        asked = prompt(**changes)
        if changes:
            asked.__dict__["rules"] = asked.rules + "\n" + "x" * 5_000
        asyncio.run(made.complete(asked))
        system = http.sent[-1].body["system"]
        assert system[1] == {"type": "text", "text": asked.fence}
        marks.append("cache_control" in system[0])
    assert marks == [False, True, True, False, False, False]


def test_the_beginnings_remembered_are_bounded() -> None:
    """The oldest is forgotten first."""
    repeats = Repeats(300.0, FakeClock())
    for number in range(300):
        repeats.again("m", str(number))
    assert not repeats.again("m", "0")
    assert repeats.again("m", "299")


@pytest.mark.parametrize(
    ("http", "kind", "retryable"),
    [
        (failed(400, "invalid_request_error"), ProviderError, False),
        (failed(400, "invalid_request_error", "prompt is too long: 9 > 8"), ContextTooLong, False),
        (failed(400, "invalid_request_error", "Your credit balance is too low"), ProviderQuotaError, False),
        (failed(401, "authentication_error"), AuthenticationFailed, False),
        (failed(402, "billing_error"), ProviderQuotaError, False),
        (failed(403, "permission_error"), AuthenticationFailed, False),
        (failed(404, "not_found_error"), ModelNotFound, False),
        (failed(413, "request_too_large"), ProviderError, False),
        (failed(429, "rate_limit_error", retry_after="3"), RateLimited, True),
        (
            failed(429, "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
            ProviderQuotaError,
            False,
        ),
        (failed(500, "api_error"), ProviderUnavailable, True),
        (failed(504, "timeout_error"), ProviderUnavailable, True),
        (failed(529, "overloaded_error"), ProviderUnavailable, True),
        (FakeHttp().will_answer(b"<html>", 404), ProviderError, False),
        (FakeHttp().will_answer(b"<html>", 503), ProviderUnavailable, True),
        (FakeHttp().will_answer({"error": 5}, 500), ProviderUnavailable, True),
    ],
)
def test_each_failure_has_its_class(http: FakeHttp, kind: type[ProviderError], retryable: bool) -> None:
    """By its name and details where they say more than the status; never with the key."""
    with pytest.raises(ProviderError) as caught:
        complete(http)
    error = caught.value
    assert (type(error), error.retryable, error.target) == (kind, retryable, "anthropic:claude-haiku-5-5")
    assert KEY not in f"{error} {vars(error)}"
    if isinstance(error, RateLimited):
        assert error.retry_after_s == 3.0


@pytest.mark.parametrize(
    "body", [b"", b"<html>", {}, {"content": None}, {"content": [5]}, {"content": "x"}, [], b"NaN"]
)
def test_what_is_not_the_protocol_is_told_as_that(body: Any) -> None:
    """One class, and no error of Python's own."""
    with pytest.raises(ProviderProtocolError):
        complete(FakeHttp().will_answer(body))


@pytest.mark.parametrize(
    "told", [None, 5, {"input_tokens": -1}, {"input_tokens": "9", "output_tokens": 1e18}]
)
def test_usage_that_cannot_be_is_unknown(told: Any) -> None:
    """None, never a number to count with."""
    usage = complete(FakeHttp().will_answer(answer(usage=told))).usage
    assert usage is None or usage == Usage()


def test_a_refusal_is_no_copy_and_is_billed() -> None:
    """Its category is the vendor's own word, where there is one."""
    for details, category in (({"type": "refusal", "category": "bio"}, "bio"), (None, "refusal")):
        with pytest.raises(ContentRefused) as caught:
            complete(FakeHttp().will_answer(answer("No.", "refusal", stop_details=details)))
        assert caught.value.category == category
        assert charge_of(caught.value) == READ


def test_other_ends() -> None:
    """Cut by length, full context, nothing at all."""
    assert complete(FakeHttp().will_answer(answer(COPY, "max_tokens"))).stop == "length"
    with pytest.raises(MalformedCompletion, match="cut at"):
        complete(FakeHttp().will_answer(answer(COPY[:-9], "max_tokens")))
    with pytest.raises(ContextTooLong):
        complete(FakeHttp().will_answer(answer(COPY, "model_context_window_exceeded")))
    with pytest.raises(MalformedCompletion) as caught:
        complete(FakeHttp().will_answer(answer(content=[])))
    assert (caught.value.code, charge_of(caught.value)) == ("empty_output", READ)


def test_a_key_is_needed() -> None:
    """Nothing is sent without."""
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        Anthropic.from_settings(Settings())


def test_models_are_listed_with_what_they_hold() -> None:
    """A call without cost, by which address and key can be tried."""
    row = {"id": "claude-x", "max_input_tokens": 9, "max_tokens": 8, "retires_at": "2027-01-01T00:00:00Z"}
    http = FakeHttp().will_answer({"data": [row, None]})
    (listed,) = asyncio.run(provider(http).models())
    assert listed == ("claude-x", 9, 8, "2027-01-01T00:00:00Z")
    assert http.sent[0].url == "https://api.anthropic.com/v1/models?limit=1000"
    with pytest.raises(AuthenticationFailed) as caught:
        asyncio.run(provider(failed(401, "authentication_error")).models())
    assert caught.value.target == "anthropic"


# --- streams ------------------------------------------------------------------------------------------


def events(*parts: dict[str, Any] | str) -> bytes:
    """Write an event stream."""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        else:
            texts.append(f"event: {part['type']}\ndata: {json.dumps(part)}\n\n")
    return "".join(texts).encode()


def delta(text: str) -> dict[str, Any]:
    """Give a piece of text."""
    return {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text}}


def end(reason: str = "end_turn", **details: Any) -> dict[str, Any]:
    """Give the message's end, with counts that are totals."""
    usage = {"output_tokens": 90, "output_tokens_details": {"thinking_tokens": 40}, "input_tokens": None}
    told = {"stop_reason": reason, "stop_sequence": None, **details}
    return {"type": "message_delta", "delta": told, "usage": usage}


START = {"type": "message_start", "message": answer(content=[], usage={**USAGE, "output_tokens": 1})}
WHOLE = (
    START,
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_stop", "index": 0},
    delta(COPY[:30]),
    {"type": "something_new"},
    delta(COPY[30:]),
    {"type": "content_block_stop", "index": 1},
    end(),
    {"type": "message_stop"},
)


async def streamed(http: FakeHttp) -> list[str | Completion]:
    """Give all that a stream gives."""
    return [part async for part in provider(http).stream(prompt())]


def test_a_stream_gives_its_text_and_then_the_whole() -> None:
    """Thoughts and pings are passed over; the counts of the start stay where the end leaves them out."""
    http = FakeHttp().will_stream([events(*WHOLE, delta("late"))], request_id="req_8")
    *texts, last = asyncio.run(streamed(http))
    assert texts == [COPY[:30], COPY[30:]]
    assert last == Completion(
        text=COPY, model="claude-haiku-5-5-20260901", usage=READ, stop="stop", request_id="req_8"
    )
    assert http.sent[0].body["stream"] is True


@pytest.mark.parametrize("length", [0, 1, 6, 9, 10])
def test_a_stream_without_its_end_signal_is_no_answer(length: int) -> None:
    """``message_stop`` it is; what was told of the cost stays known."""
    with pytest.raises(TruncatedStream) as caught:
        asyncio.run(streamed(FakeHttp().will_stream([events(*WHOLE[:length])])))
    assert (charge_of(caught.value) is not None) == (length > 0)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (({"type": "error", "error": {"type": "overloaded_error", "message": "x"}},), ProviderUnavailable),
        (({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}},), RateLimited),
        (({"type": "error", "error": {"type": "billing_error", "message": "x"}},), ProviderQuotaError),
        (({"type": "error"},), ProviderUnavailable),
        ((end("refusal", stop_details={"category": "cyber"}), WHOLE[-1]), ContentRefused),
        (("data: {broken\n\n",), ProviderProtocolError),
        (("data: [DONE]\n\n",), ProviderProtocolError),
        (("data: 5\n\n",), ProviderProtocolError),
        (({"type": "content_block_delta", "delta": 5},), ProviderProtocolError),
    ],
)
def test_a_failure_inside_a_stream(parts: tuple[Any, ...], kind: type[ProviderError]) -> None:
    """It has the class that it would have had as an answer of its own."""
    with pytest.raises(ProviderError) as caught:
        asyncio.run(streamed(FakeHttp().will_stream([events(*WHOLE[:6], *parts)])))
    assert type(caught.value) is kind
    assert charge_of(caught.value) is not None
