"""Google's wire format: what is sent, how answers, failures and streams are read."""

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
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
)
from copykit.models import Usage
from copykit.providers.base import Completion, Provider, StreamingProvider, charge_of
from copykit.providers.google import Google
from copykit.settings import ProvidersSettings, Secret, Settings
from fake_http import COPY, KEY, FakeHttp, prompt

HOST = "https://generativelanguage.googleapis.com"
USAGE = {
    "promptTokenCount": 700,
    "toolUsePromptTokenCount": 5,
    "cachedContentTokenCount": 512,
    "candidatesTokenCount": 50,
    "thoughtsTokenCount": 40,
    "totalTokenCount": 795,
}
READ = Usage(input_tokens=705, output_tokens=90, cached_tokens=512, reasoning_tokens=40)


def piece(text: str | None = COPY, reason: str | None = "STOP", **changes: Any) -> dict[str, Any]:
    """Give an answer, or a piece of one, as the interface writes it."""
    parts = [{"text": "hm", "thought": True}, {"text": text}] if text is not None else []
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    body = {
        "candidates": [candidate],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-3.8-flash-001",
        "responseId": "r7",
    }
    return {**body, **changes}


def failed(status: int, name: str, message: str = "", *details: Any, listed: bool = False) -> FakeHttp:
    """Give a client whose answer is a failure."""
    told = {
        "error": {
            "code": status,
            "message": message or f"About {KEY}",
            "status": name,
            "details": list(details),
        }
    }
    return FakeHttp().will_answer([told] if listed else told, status)


def provider(http: FakeHttp, **options: Any) -> Google:
    """Give the provider over *http*."""
    return Google(key=Secret(KEY), client=http, **options)


def complete(http: FakeHttp, model: str | None = None, **changes: Any) -> Completion:
    """Make one exchange."""
    return asyncio.run(provider(http).complete(prompt(model, **changes)))


def test_one_exchange() -> None:
    """The key travels in a header, never in the address; thoughts count as output and are no text."""
    http = FakeHttp().will_answer(piece())
    made = provider(http)
    completion = asyncio.run(made.complete(prompt()))
    (sent,) = http.sent
    assert (sent.method, sent.url) == ("POST", f"{HOST}/v1/models/gemini-3.8-flash:generateContent")
    assert sent.headers["x-goog-api-key"] == KEY
    assert KEY not in sent.url + sent.raw.decode()
    assert completion == Completion(
        text=COPY, model="gemini-3.8-flash-001", usage=READ, stop="stop", request_id="r7"
    )
    config = sent.body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["type"] == "object"
    assert config["thinkingConfig"] == {"thinkingLevel": "LOW"}
    assert config["maxOutputTokens"] > prompt().max_output_tokens
    assert "temperature" not in config
    assert sent.body["systemInstruction"]["parts"][0]["text"].startswith(prompt().rules)
    assert isinstance(made, Provider)
    assert isinstance(made, StreamingProvider)


@pytest.mark.parametrize(("version", "part"), [("v1beta", "v1beta"), ("beta", "v1beta"), (None, "v1")])
def test_the_version_is_a_setting(version: str | None, part: str) -> None:
    """Gateways and mocks may know no other; the vendor's own short spelling is understood."""
    own = ProvidersSettings(
        google_key=Secret(KEY), google_base_url="http://127.0.0.1:9/", google_version=version
    )
    assert Google.from_settings(Settings(providers=own)).base_url == f"http://127.0.0.1:9/{part}"


@pytest.mark.parametrize("version", ["../v1", "v1/../v2", "v1?x=1", "1", "v", "v0", "latest", "V1", " v1"])
def test_what_is_no_version_is_refused(version: str) -> None:
    """It stands in the path of every call: the settings say which forms there are."""
    with pytest.raises(
        ConfigurationError, match=r"providers\.google_version=.*must be a version such as v1, v1beta"
    ):
        ProvidersSettings(google_version=version)
    with pytest.raises(ConfigurationError, match="google_version"):
        Settings.from_env({"GOOGLE_GENAI_API_VERSION": version, "GOOGLE_API_KEY": KEY})


def test_an_older_model_takes_a_temperature_and_a_seed() -> None:
    """The seed is cut to what the interface holds; names go into the address quoted."""
    http = FakeHttp().will_answer(piece()).will_answer(piece())
    complete(http, "gemini-2.5-flash", creativity_level=0.5, seed=2**40 + 7)
    complete(http, "models/a b?c/../d")
    config = http.sent[0].body["generationConfig"]
    assert (config["temperature"], config["seed"]) == (0.7, 7)
    assert "thinkingConfig" not in config
    assert http.sent[1].url == f"{HOST}/v1/models/a%20b%3Fc%2F..%2Fd:generateContent"


@pytest.mark.parametrize(
    ("http", "kind", "retryable"),
    [
        (failed(400, "INVALID_ARGUMENT"), ProviderError, False),
        (failed(400, "FAILED_PRECONDITION"), ProviderError, False),
        (failed(400, "INVALID_ARGUMENT", "The input token count (9) exceeds"), ContextTooLong, False),
        (
            failed(400, "INVALID_ARGUMENT", "x", {"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}),
            AuthenticationFailed,
            False,
        ),
        (failed(401, "UNAUTHENTICATED"), AuthenticationFailed, False),
        (failed(403, "PERMISSION_DENIED"), AuthenticationFailed, False),
        (failed(404, "NOT_FOUND"), ModelNotFound, False),
        (failed(429, "RESOURCE_EXHAUSTED"), RateLimited, True),
        (failed(429, "RESOURCE_EXHAUSTED", listed=True), RateLimited, True),
        (failed(500, "INTERNAL"), ProviderUnavailable, True),
        (failed(503, "UNAVAILABLE"), ProviderUnavailable, True),
        (failed(504, "DEADLINE_EXCEEDED"), ProviderUnavailable, True),
        (FakeHttp().will_answer(b"<html>", 404), ProviderError, False),
        (FakeHttp().will_answer({"error": {"details": 5}}, 500), ProviderUnavailable, True),
    ],
)
def test_each_failure_has_its_class(http: FakeHttp, kind: type[ProviderError], retryable: bool) -> None:
    """By its details where they say more than the status; never with the key."""
    with pytest.raises(ProviderError) as caught:
        complete(http)
    error = caught.value
    assert (type(error), error.retryable, error.target) == (kind, retryable, "google:gemini-3.8-flash")
    assert KEY not in f"{error} {vars(error)}"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("12s", 12.0),
        ("0.5s", 0.5),
        ("-3s", None),
        ("nan", None),
        (7, None),
        ("9" * 99 + "s", ...),
        ("", None),
    ],
)
def test_when_to_come_back_stands_in_the_details(told: Any, seconds: Any) -> None:
    """Whatever stands there, reading it never fails."""
    row = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": told}
    with pytest.raises(RateLimited) as caught:
        complete(failed(429, "RESOURCE_EXHAUSTED", "slow", 5, row))
    assert seconds is ... or caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, RateLimited),
        ({"status": "UNAVAILABLE"}, ProviderUnavailable),
        ({"code": "x"}, ProviderUnavailable),
        ("overloaded", ProviderUnavailable),
    ],
)
def test_a_failure_inside_a_200(error: Any, kind: type[ProviderError]) -> None:
    """It has the class that it would have had."""
    with pytest.raises(ProviderError) as caught:
        complete(FakeHttp().will_answer({"error": error}))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        {},
        {"candidates": None},
        {"candidates": []},
        {"candidates": "x"},
        {"candidates": [5]},
        {"candidates": [{"content": "x"}]},
        {"candidates": [{"content": {"parts": 5}}]},
        {"candidates": [{"content": {"parts": [5]}}]},
    ],
)
def test_what_is_not_the_protocol_is_told_as_that(body: Any) -> None:
    """One class, and no error of Python's own."""
    with pytest.raises(ProviderProtocolError):
        complete(FakeHttp().will_answer(body))


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"])
def test_a_refused_answer_is_no_copy_and_is_billed(reason: str) -> None:
    """Whatever text came with it."""
    with pytest.raises(ContentRefused) as caught:
        complete(FakeHttp().will_answer(piece("half", reason)))
    assert (caught.value.category, charge_of(caught.value)) == (reason, READ)


def test_a_refused_prompt_has_no_answer_at_all() -> None:
    """Its reason stands beside the candidates that are not there."""
    body = {"promptFeedback": {"blockReason": "BLOCKLIST"}, "usageMetadata": {"promptTokenCount": 9}}
    with pytest.raises(ContentRefused) as caught:
        complete(FakeHttp().will_answer(body))
    assert caught.value.category == "BLOCKLIST"
    assert charge_of(caught.value) == Usage(input_tokens=9)


def test_other_ends() -> None:
    """Cut by length, nothing at all, a reason of its own."""
    assert complete(FakeHttp().will_answer(piece(COPY, "MAX_TOKENS"))).stop == "length"
    with pytest.raises(MalformedCompletion, match="cut at"):
        complete(FakeHttp().will_answer(piece(COPY[:-9], "MAX_TOKENS")))
    with pytest.raises(MalformedCompletion, match="reasoning took all"):
        complete(FakeHttp().will_answer(piece(None, "MAX_TOKENS")))
    with pytest.raises(MalformedCompletion):
        complete(FakeHttp().will_answer(piece(None, "MALFORMED_RESPONSE")))
    assert complete(FakeHttp().will_answer(piece(COPY, "OTHER"))).stop == "OTHER"


def test_a_model_that_is_going_says_so() -> None:
    """As the answer itself tells."""
    status = {"modelStage": "LEGACY", "retirementTime": "2027-02-01T00:00:00Z"}
    info = complete(FakeHttp().will_answer(piece(modelStatus=status))).info
    assert info == ("google:gemini-3.8-flash-001 is announced to end on 2027-02-01",)


def test_an_answer_that_names_no_model_was_served_by_the_one_asked() -> None:
    """So that a receipt and a price have one."""
    assert complete(FakeHttp().will_answer(piece(modelVersion=None))).model == "gemini-3.8-flash"


def test_a_key_is_needed() -> None:
    """Either of its variables will do."""
    with pytest.raises(ConfigurationError, match="GOOGLE_API_KEY or GEMINI_API_KEY"):
        Google.from_settings(Settings())


def test_models_are_listed_with_what_they_hold() -> None:
    """A call without cost."""
    rows = [{"name": "models/gemini-x", "inputTokenLimit": 9, "outputTokenLimit": 8}]
    http = FakeHttp().will_answer({"models": rows})
    assert asyncio.run(provider(http).models()) == (("gemini-x", 9, 8, None),)
    assert http.sent[0].url == f"{HOST}/v1/models"


# --- streams ------------------------------------------------------------------------------------------


def events(*parts: Any) -> bytes:
    """Write an event stream."""
    return "".join(f"data: {json.dumps(part)}\r\n\r\n" for part in parts).encode()


WHOLE = (
    piece(COPY[:30], None, usageMetadata={"promptTokenCount": 700}),
    piece(COPY[30:], None),
    piece(None, "STOP"),
)


async def streamed(http: FakeHttp) -> list[str | Completion]:
    """Give all that a stream gives."""
    return [part async for part in provider(http).stream(prompt())]


def test_a_stream_gives_its_text_and_then_the_whole() -> None:
    """The last piece has the finish reason and the final counts."""
    http = FakeHttp().will_stream([events(*WHOLE, piece("late"))])
    *texts, last = asyncio.run(streamed(http))
    assert texts == [COPY[:30], COPY[30:]]
    assert last == Completion(
        text=COPY, model="gemini-3.8-flash-001", usage=READ, stop="stop", request_id="r7"
    )
    assert http.sent[0].url.endswith(":streamGenerateContent?alt=sse")


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_stream_without_a_finish_reason_is_no_answer(length: int) -> None:
    """There is no other end mark; what was told of the cost stays known."""
    with pytest.raises(TruncatedStream) as caught:
        asyncio.run(streamed(FakeHttp().will_stream([events(*WHOLE[:length])])))
    assert (charge_of(caught.value) is not None) == (length > 0)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}, ProviderUnavailable),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, ContentRefused),
        (piece("x", "SAFETY"), ContentRefused),
        ([], ProviderProtocolError),
        ({"candidates": 5}, ProviderProtocolError),
    ],
)
def test_a_failure_inside_a_stream(part: Any, kind: type[ProviderError]) -> None:
    """It has the class that it would have had as an answer of its own."""
    with pytest.raises(ProviderError) as caught:
        asyncio.run(streamed(FakeHttp().will_stream([events(WHOLE[0], part)])))
    assert type(caught.value) is kind
    assert charge_of(caught.value) is not None
