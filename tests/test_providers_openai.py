"""OpenAI's wire format: what is sent, how answers and failures are read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from copykit.brief.prompt import Wanted, build_repair
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
from copykit.providers.base import Completion, Provider, StreamingProvider, charge_of
from copykit.providers.openai import OpenAI, strict
from copykit.settings import ProvidersSettings, Secret, Settings
from fake_http import COPY, KEY, FakeHttp, prompt

USAGE = {
    "prompt_tokens": 700,
    "completion_tokens": 90,
    "total_tokens": 790,
    "prompt_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 40},
}


def answer(content: Any = COPY, reason: str | None = "stop", **changes: Any) -> dict[str, Any]:
    """Give an answer as the interface writes it."""
    message = {"role": "assistant", "content": content, "refusal": None, **changes.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-6-luna-2026-09-01",
        "choices": [choice],
        "usage": USAGE,
    }
    return {**body, **changes}


def failed(status: int, code: str | None = None, kind: str | None = None, **headers: str) -> FakeHttp:
    """Give a client whose answer is a failure."""
    error = {"message": f"Something about {KEY}", "type": kind, "param": None, "code": code}
    return FakeHttp().will_answer({"error": error}, status, **headers)


def provider(http: FakeHttp, **options: Any) -> OpenAI:
    """Give the provider over *http*."""
    return OpenAI(key=Secret(KEY), client=http, **options)


def complete(http: FakeHttp, model: str | None = None, **changes: Any) -> Completion:
    """Make one exchange."""
    return asyncio.run(provider(http).complete(prompt(model, **changes)))


def test_one_exchange() -> None:
    """One POST with the key in a header and nowhere else; text, served model, usage and request id come back."""
    http = FakeHttp().will_answer(answer(), x_request_id="req_7")
    made = provider(http, organization="org-1", project="proj-1")
    completion = asyncio.run(made.complete(prompt()))
    (sent,) = http.sent
    assert (sent.method, sent.url) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert (sent.headers["openai-organization"], sent.headers["openai-project"]) == ("org-1", "proj-1")
    assert KEY not in sent.url + sent.raw.decode()
    assert completion == Completion(
        text=COPY,
        model="gpt-6-luna-2026-09-01",
        usage=Usage(
            input_tokens=700,
            output_tokens=90,
            cached_tokens=512,
            cache_write_tokens=64,
            reasoning_tokens=40,
        ),
        stop="stop",
        request_id="req_7",
    )
    assert isinstance(made, Provider)
    assert isinstance(made, StreamingProvider)


def test_the_constant_part_of_a_prompt_comes_first() -> None:
    """Two requests for one placement differ only after the rules, and ask for the same cached beginning."""
    http = FakeHttp().will_answer(answer()).will_answer(answer())
    first, second = prompt(), prompt(product_description="Pine shelf, 80 cm")
    made = provider(http)
    asyncio.run(made.complete(first))
    asyncio.run(made.complete(second))
    bodies = [sent.body for sent in http.sent]
    assert all(body["messages"][0]["content"].startswith(first.rules) for body in bodies)
    assert bodies[0]["prompt_cache_key"] == bodies[1]["prompt_cache_key"]
    assert bodies[0]["messages"][1]["content"] == first.user


def test_a_reasoning_model_is_sent_no_temperature_but_words_for_it() -> None:
    """Creativity is told in the system text; effort is bounded, and reasoning has room beside the answer."""
    http = FakeHttp().will_answer(answer()).will_answer(answer())
    complete(http, creativity_level=1.0)
    complete(http, creativity_level=0.0)
    bold, plain = (sent.body for sent in http.sent)
    assert "temperature" not in bold
    assert bold["reasoning_effort"] == "low"
    assert bold["max_completion_tokens"] > prompt().max_output_tokens
    assert "unexpected" in bold["messages"][0]["content"]
    assert "plain, expected" in plain["messages"][0]["content"]


def test_an_older_model_takes_a_temperature() -> None:
    """Creativity is spread over the range that its facts name; there is no reasoning to bound."""
    http = FakeHttp().will_answer(answer())
    complete(http, "gpt-4.1-mini", creativity_level=0.5, seed=7)
    body = http.sent[0].body
    assert (body["model"], body["temperature"], body["seed"]) == ("gpt-4.1-mini", 0.6, 7)
    assert "reasoning_effort" not in body


def test_a_model_without_schemas_is_asked_in_words_only() -> None:
    """What the interface would refuse is not sent."""
    http = FakeHttp().will_answer(answer())
    complete(http, "gpt-4-turbo")
    assert "response_format" not in http.sent[0].body


def test_the_strict_schema_requires_every_property() -> None:
    """Optional fields become nullable, counts go, nothing else is allowed; the prompt's own schema stays."""
    made = prompt(target_platform="x.ad_card")
    before = json.dumps(made.schema)
    schema = strict(made.schema)

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            assert not {"minItems", "maxItems", "maxLength"} & set(part)
            if part.get("type") == "object":
                assert part["required"] == list(part["properties"])
                assert part["additionalProperties"] is False
            for inner in part.values():
                walk(inner)

    walk(schema)
    fields = schema["properties"]["variants"]["items"]["properties"]["fields"]["properties"]
    assert fields["app_cta"]["type"] == ["string", "null"]
    assert fields["app_cta"]["enum"][-1] is None
    assert json.dumps(made.schema) == before


@pytest.mark.parametrize(
    ("http", "kind", "retryable"),
    [
        (failed(400, None, "invalid_request_error"), ProviderError, False),
        (failed(400, "context_length_exceeded", "invalid_request_error"), ContextTooLong, False),
        (failed(400, None, "exceed_context_size_error"), ContextTooLong, False),
        (failed(400, "content_policy_violation"), ContentRefused, False),
        (failed(401, "invalid_api_key"), AuthenticationFailed, False),
        (failed(402), ProviderQuotaError, False),
        (failed(403), AuthenticationFailed, False),
        (failed(404, "model_not_found"), ModelNotFound, False),
        (failed(408), ProviderUnavailable, True),
        (failed(409), ProviderUnavailable, True),
        (failed(413), ProviderError, False),
        (failed(422), ProviderError, False),
        (failed(429), RateLimited, True),
        (failed(429, "insufficient_quota", "insufficient_quota"), ProviderQuotaError, False),
        (failed(500), ProviderUnavailable, True),
        (failed(501), ProviderError, False),
        (failed(503), ProviderUnavailable, True),
        (failed(529), ProviderUnavailable, True),
        (failed(400, x_should_retry="true"), ProviderError, True),
        (failed(500, x_should_retry="false"), ProviderUnavailable, False),
        (FakeHttp().will_answer(b"<html>Bad gateway", 502), ProviderUnavailable, True),
        (FakeHttp().will_answer(b"<html>Not found", 404), ProviderError, False),
        (FakeHttp().will_answer(b"", 301, location="http://169.254.169.254"), ProviderProtocolError, True),
        (FakeHttp().will_answer(b"", 204), ProviderProtocolError, True),
        (FakeHttp().will_answer([], 500), ProviderUnavailable, True),
        (FakeHttp().will_answer({"error": "overloaded"}, 500), ProviderUnavailable, True),
    ],
)
def test_each_failure_has_its_class(http: FakeHttp, kind: type[ProviderError], retryable: bool) -> None:
    """By its name where it has one, else by its status; with target and status, never with the key."""
    with pytest.raises(ProviderError) as caught:
        complete(http)
    error = caught.value
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.target == "openai:gpt-6-luna"
    assert error.status is not None
    assert KEY not in f"{error} {error!r} {vars(error)} {error.args}"
    assert len(http.sent) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after_ms": "nan", "retry_after": "9"}, 9.0),
        ({"retry_after": "86400"}, 86400.0),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "Sat, 21 Nov 2026 12:00:30 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, 30.0),
        ({"retry_after": "Sat, 21 Nov 2026 11:00:00 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, None),
        ({"retry_after": "Sat, 21 Nov 2026 12:00:30 GMT", "date": "never"}, ...),
        ({"retry_after": "x" * 10_000}, None),
        ({"retry_after": "Sat, 99 Nov 99999 12:00:30 GMT"}, None),
        ({}, None),
    ],
)
def test_reading_when_to_come_back_never_fails(headers: dict[str, str], seconds: Any) -> None:
    """Milliseconds, seconds or a date held against the answer's own clock; nothing for what is no time to come."""
    with pytest.raises(RateLimited) as caught:
        complete(failed(429, **headers))
    assert seconds is ... or caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "slow"}, RateLimited),
        ({"code": "429", "message": "slow"}, RateLimited),
        ({"code": 402, "message": "credits"}, ProviderQuotaError),
        ({"code": 502, "message": "upstream"}, ProviderUnavailable),
        ({"code": None, "type": "rate_limit_exceeded"}, RateLimited),
        ({"type": "server_error"}, ProviderUnavailable),
        ({"code": "context_length_exceeded"}, ContextTooLong),
        ({"code": 10**40}, ProviderUnavailable),
        ("overloaded", ProviderUnavailable),
        ({}, None),
    ],
)
def test_a_failure_inside_a_200_has_the_class_it_would_have_had(error: Any, kind: Any) -> None:
    """At the top of the answer or in its choice; an empty one is none."""
    top = FakeHttp().will_answer(answer(error=error))
    choice = {**answer()["choices"][0], "error": error}
    inner = FakeHttp().will_answer(answer(choices=[choice]))
    for http in (top, inner):
        if kind is None:
            assert complete(http).text == COPY
            continue
        with pytest.raises(ProviderError) as caught:
            complete(http)
        assert type(caught.value) is kind
        assert charge_of(caught.value) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hello</html>",
        b'{"choices": [',
        b'{"choices": NaN}',
        b"[]",
        b"null",
        b"5",
        {"choices": None},
        {"choices": "x"},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "x"}]},
        {"ok": True},
        b"[" * 100_000,
        b'{"choices": "\xff"}',
    ],
)
def test_what_is_not_the_protocol_is_told_as_that(body: Any) -> None:
    """HTML, nothing, half a document, wrong kinds: one class, and no error of Python's own."""
    with pytest.raises(ProviderProtocolError):
        complete(FakeHttp().will_answer(body))


@pytest.mark.parametrize(
    "told",
    [None, "x", [], {"prompt_tokens": -1, "completion_tokens": 10**18}, {"prompt_tokens": "7"}, {"cost": -1}],
)
def test_usage_that_cannot_be_is_unknown(told: Any) -> None:
    """A missing, negative, textual or absurd number is None, never a number to count with."""
    usage = complete(FakeHttp().will_answer(answer(usage=told))).usage
    assert usage is None or usage == Usage()


def test_a_refusal_is_no_copy_and_is_billed() -> None:
    """Both kinds come with status 200; what they cost stays known."""
    said = answer(None, message={"refusal": "I cannot."})
    for body, category in ((said, "refusal"), (answer("half", "content_filter"), "content_filter")):
        with pytest.raises(ContentRefused) as caught:
            complete(FakeHttp().will_answer(body))
        assert caught.value.category == category
        assert "I cannot" not in str(caught.value)
        usage = charge_of(caught.value)
        assert usage is not None
        assert usage.output_tokens == 90


@pytest.mark.parametrize("content", [None, "", " \n", [], 5])
def test_an_empty_answer_is_told(content: Any) -> None:
    """Whatever emptiness looks like."""
    with pytest.raises(MalformedCompletion) as caught:
        complete(FakeHttp().will_answer(answer(content)))
    assert caught.value.code == "empty_output"


def test_an_answer_cut_by_its_length() -> None:
    """It counts where its JSON is complete; a half one, and prose that only looks whole, does not."""
    assert complete(FakeHttp().will_answer(answer(COPY, "length"))).stop == "length"
    for text in (COPY[:-20], "Oak desk, 120x60 cm, made for"):
        with pytest.raises(MalformedCompletion, match="cut at"):
            complete(FakeHttp().will_answer(answer(text, "length")))
    with pytest.raises(MalformedCompletion, match="reasoning took all"):
        complete(FakeHttp().will_answer(answer("", "length")))


def test_texts_asked_for_again_count_where_they_are_whole() -> None:
    """An answer cut by its length keeps them in the shape that was asked for; a half one is refused."""
    first = prompt()
    spec = first.brief.fields[0]
    again = build_repair(first.brief, [Wanted("text", spec, "99 EUR", ("C-03: a price",))], nonce="n0nce")
    whole = '{"texts": {"1": "Oak desk, 120x60 cm."}}'
    kept = asyncio.run(provider(FakeHttp().will_answer(answer(whole, "length"))).complete(again))
    assert kept.text == whole
    for half in (whole[:-12], "Oak desk, 120x60 cm, made for"):
        with pytest.raises(MalformedCompletion, match="cut at"):
            asyncio.run(provider(FakeHttp().will_answer(answer(half, "length"))).complete(again))


def test_parts_of_content_are_joined() -> None:
    """Some servers of this format send a list."""
    parts = [{"type": "text", "text": COPY[:9]}, {"type": "text", "text": COPY[9:]}, None]
    assert complete(FakeHttp().will_answer(answer(parts))).text == COPY


@pytest.mark.parametrize("before", [0, 380, 390, 398, 3990])
def test_no_part_of_a_key_stays_in_a_message(before: int) -> None:
    """Whatever form it has, and wherever a long message is cut."""
    key = "0f5c1d2e3b4a5968canary"
    http = FakeHttp().will_answer({"error": {"message": "y" * before + key + " was refused"}}, 401)
    with pytest.raises(AuthenticationFailed) as caught:
        asyncio.run(OpenAI(key=Secret(key), client=http).complete(prompt()))
    assert "0f5c" not in str(caught.value)
    assert len(str(caught.value)) <= 400


def test_a_failure_of_the_transport_names_its_target() -> None:
    """The client knows no target; the provider adds it."""
    with pytest.raises(ProviderUnavailable) as caught:
        complete(FakeHttp().will_fail(ProviderUnavailable("no connection")), "gpt-x")
    assert caught.value.target == "openai:gpt-x"


def test_a_model_that_is_going_says_so() -> None:
    """From 90 days before the announced day; a model without one says nothing."""
    from datetime import date

    from copykit.providers.remote import retirement

    assert "2026-12-11" in retirement("openai", "gpt-5-mini", date(2026, 11, 21))[0]
    assert not retirement("openai", "gpt-5.1", date(2026, 11, 21))
    assert not retirement("openai", "gpt-6-luna", date(2026, 11, 21))
    assert complete(FakeHttp().will_answer(answer()), "gpt-5-mini").info


def test_a_key_is_needed_and_told_by_its_variable() -> None:
    """Nothing is sent without."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OpenAI.from_settings(Settings())
    own = ProvidersSettings(openai_key=Secret(KEY), openai_base_url="http://127.0.0.1:9/v1/")
    made = OpenAI.from_settings(Settings(providers=own))
    assert made.base_url == "http://127.0.0.1:9/v1"
    assert KEY not in repr(made)


def test_a_client_of_the_callers_own_stays_open() -> None:
    """It is shared; the provider closes only what it opened."""
    http = FakeHttp()
    asyncio.run(provider(http).aclose())
    assert not http.closed


# --- streams ------------------------------------------------------------------------------------------


def chunk(content: str | None = None, reason: str | None = None, **changes: Any) -> dict[str, Any]:
    """Give one chunk."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c1", "model": "gpt-6-luna-x", "choices": [choice], **changes}


def events(*parts: dict[str, Any] | str) -> bytes:
    """Write an event stream."""
    texts = (part if isinstance(part, str) else json.dumps(part) for part in parts)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


WHOLE = (
    chunk(""),
    chunk(COPY[:30]),
    chunk(COPY[30:]),
    chunk(None, "stop"),
    {"id": "c1", "choices": [], "usage": USAGE},
    "[DONE]",
)


async def streamed(http: FakeHttp) -> list[str | Completion]:
    """Give all that a stream gives."""
    return [part async for part in provider(http).stream(prompt())]


def test_a_stream_gives_its_text_and_then_the_whole() -> None:
    """Usage is asked for and comes in the last chunk."""
    http = FakeHttp().will_stream([events(*WHOLE)], x_request_id="req_8")
    *texts, last = asyncio.run(streamed(http))
    assert texts == [COPY[:30], COPY[30:]]
    assert isinstance(last, Completion)
    assert (last.text, last.model, last.stop, last.request_id) == (COPY, "gpt-6-luna-x", "stop", "req_8")
    assert last.usage is not None
    assert last.usage.cached_tokens == 512
    body = http.sent[0].body
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert http.left == 1


@pytest.mark.parametrize(
    "parts",
    [WHOLE[:2], WHOLE[:4], WHOLE[:5], (*WHOLE[:3], "[DONE]"), ()],
)
def test_a_stream_without_its_end_signal_is_no_answer(parts: tuple[Any, ...]) -> None:
    """Neither without the finish reason nor without the end mark."""
    with pytest.raises(TruncatedStream) as caught:
        asyncio.run(streamed(FakeHttp().will_stream([events(*parts)])))
    assert caught.value.target == "openai:gpt-6-luna"


def test_what_follows_the_end_is_ignored() -> None:
    """A second finish, more text, even broken data."""
    late = chunk("more", "stop")
    parts = [events(*WHOLE[:4], late, *WHOLE[4:], late, "{broken")]
    *texts, last = asyncio.run(streamed(FakeHttp().will_stream(parts)))
    assert isinstance(last, Completion)
    assert last.text == "".join(map(str, texts)) == COPY


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"error": {"code": 429, "message": "slow"}}, RateLimited),
        ({"choices": [], "error": {"code": "server_error", "type": "server_error"}}, ProviderUnavailable),
        (chunk(None, "content_filter"), ContentRefused),
        (chunk(None, "error"), ProviderUnavailable),
        ("{broken", ProviderProtocolError),
        ("[]", ProviderProtocolError),
        ({"choices": 7}, ProviderProtocolError),
    ],
)
def test_a_failure_inside_a_stream(part: Any, kind: type[ProviderError]) -> None:
    """It has the class that it would have had as an answer of its own."""
    http = FakeHttp().will_stream([events(WHOLE[0], WHOLE[1], {**WHOLE[4]}, part, "[DONE]")])
    with pytest.raises(ProviderError) as caught:
        asyncio.run(streamed(http))
    assert type(caught.value) is kind
    assert charge_of(caught.value) is not None


def test_a_stream_that_never_ends_is_stopped() -> None:
    """Beyond sixteen bytes for each token asked for it is no answer to the question."""
    flood = events(chunk("x" * 10_000))
    with pytest.raises(ProviderProtocolError, match="longer than"):
        asyncio.run(streamed(FakeHttp().will_stream([flood] * 1_000)))


def test_a_server_that_does_not_stream_answers_all_the_same() -> None:
    """Its JSON is read as a whole answer, or as the failure it tells."""
    *texts, last = asyncio.run(streamed(FakeHttp().will_answer(answer())))
    assert texts == [COPY]
    assert isinstance(last, Completion)
    assert last.text == COPY
    with pytest.raises(RateLimited):
        asyncio.run(streamed(FakeHttp().will_answer({"error": {"code": 429, "message": ""}})))
    with pytest.raises(AuthenticationFailed):
        asyncio.run(streamed(failed(401)))


def test_a_reader_that_leaves_leaves_the_stream() -> None:
    """Closing the iteration ends the exchange at once."""
    http = FakeHttp().will_stream([events(WHOLE[1]), AssertionError("read on")])

    async def leave() -> None:
        parts = provider(http).stream(prompt())
        assert await anext(parts) == COPY[:30]
        await parts.aclose()  # type: ignore[attr-defined]  # an async generator, told as what it gives

    asyncio.run(leave())
    assert http.left == 1


@pytest.mark.parametrize("piece", [1, 3, 7, 200])
def test_a_stream_never_shows_the_key_it_was_asked_with(piece: int) -> None:
    """However it is cut: what may be its beginning waits, and once it is whole the stream ends as no answer."""
    text = f"Norr. {KEY} Oak."
    pieces = [chunk(text[at : at + piece]) for at in range(0, len(text), piece)]
    shown: list[str] = []

    async def story() -> None:
        http = FakeHttp().will_stream([events(*pieces, *WHOLE[-3:])])
        async for part in provider(http).stream(prompt()):
            if isinstance(part, str):
                shown.append(part)

    with pytest.raises(ProviderProtocolError, match="holds the credential"):
        asyncio.run(story())
    assert KEY[:4] not in "".join(shown)


@pytest.mark.parametrize(
    "spelt", [lambda key: "".join(f"\\u{ord(c):04x}" for c in key), lambda key: "\\/" + key]
)
def test_a_key_in_escapes_is_found(spelt: Any) -> None:
    """As whoever reads the JSON would see it."""
    with pytest.raises(ProviderProtocolError, match="holds the credential"):
        complete(FakeHttp().will_answer(answer('{"variants": [{"fields": {"text": "%s"}}]}' % spelt(KEY))))  # noqa: UP031


def test_a_dummy_for_a_key_is_a_word_like_any_other() -> None:
    """Servers that want none are given `none` or `x`: no answer is lost for holding it."""
    http = FakeHttp().will_answer(answer())
    told = asyncio.run(OpenAI(key=Secret("x"), client=http).complete(prompt()))
    assert told.text == COPY
