"""OpenRouter and servers of OpenAI's protocol: where they differ from OpenAI; all providers by the registry."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from copykit.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ContentRefused,
    MalformedCompletion,
    ProviderError,
    ProviderQuotaError,
    ProviderUnavailable,
    RateLimited,
)
from copykit.providers.anthropic import Anthropic
from copykit.providers.base import Completion, charge_of
from copykit.providers.compatible import Compatible
from copykit.providers.facts import model_facts, provider_facts
from copykit.providers.google import Google
from copykit.providers.openai import OpenAI
from copykit.providers.openrouter import OpenRouter
from copykit.providers.registry import check_targets, load_provider
from copykit.providers.remote import Remote, Repeats
from copykit.settings import ProvidersSettings, Secret, Settings
from copykit.testing import FakeClock
from fake_http import COPY, KEY, FakeHttp, prompt

NAMES = ("openai", "anthropic", "google", "openrouter")


def answer(**changes: Any) -> dict[str, Any]:
    """Give an answer of this format."""
    choice = {"index": 0, "message": {"role": "assistant", "content": COPY}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 8, "cost": 0.00042, "is_byok": False}
    return {"id": "gen-1", "model": "openai/gpt-6-luna", "choices": [choice], "usage": usage, **changes}


def router(http: FakeHttp, **options: Any) -> OpenRouter:
    """Give OpenRouter over *http*."""
    return OpenRouter(key=Secret(KEY), client=http, **options)


def test_openrouter_tells_what_a_call_costs() -> None:
    """Its credits are dollars; the application is named where it is set; nothing goes that it does not know."""
    http = FakeHttp().will_answer(answer())
    made = router(http, referer="https://shop.example", title="Shop")
    completion = asyncio.run(made.complete(prompt(creativity_level=0.5)))
    (sent,) = http.sent
    assert sent.url == "https://openrouter.ai/api/v1/chat/completions"
    assert sent.headers["http-referer"] == "https://shop.example"
    assert sent.headers["x-openrouter-title"] == "Shop"
    assert sent.body["reasoning"] == {"effort": "low"}
    assert sent.body["temperature"] == 0.5
    assert "reasoning_effort" not in sent.body
    assert completion.usage is not None
    assert completion.usage.cost_usd == 0.00042
    assert completion.request_id == "gen-1"


@pytest.mark.parametrize(
    ("status", "error", "headers", "kind"),
    [
        (402, {"code": 402, "message": "no credits"}, {}, ProviderQuotaError),
        (402, {"code": 402, "message": "in flight"}, {"retry_after": "2"}, RateLimited),
        (403, {"code": 403, "message": "no"}, {}, AuthenticationFailed),
        (
            403,
            {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"]}},
            {},
            ContentRefused,
        ),
        (200, {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"]}}, {}, ContentRefused),
        (200, {"code": 402, "message": "no credits"}, {}, ProviderQuotaError),
        (200, {"code": 502, "message": "upstream"}, {}, ProviderUnavailable),
        (
            200,
            {"code": 400, "message": "x", "metadata": {"error_type": "content_policy_violation"}},
            {},
            ContentRefused,
        ),
        (200, {"message": "x", "metadata": {"error_type": "provider_overloaded"}}, {}, ProviderUnavailable),
        (503, {"code": 503, "message": "no provider"}, {"retry_after": "4"}, ProviderUnavailable),
    ],
)
def test_openrouter_failures(status: int, error: Any, headers: dict[str, str], kind: type) -> None:
    """Inside a 200 as outside; a 402 that says when to come back is a throttle."""
    with pytest.raises(ProviderError) as caught:
        asyncio.run(router(FakeHttp().will_answer({"error": error}, status, **headers)).complete(prompt()))
    assert type(caught.value) is kind
    if "retry_after" in headers:
        assert getattr(caught.value, "retry_after_s", None) == float(headers["retry_after"])


def test_openrouter_marks_what_anthropic_caches() -> None:
    """From the second request that begins alike, and for no other vendor."""
    http = FakeHttp()
    made = router(http, repeats=Repeats(300.0, FakeClock()))
    for model in ("anthropic/claude-haiku-5.5", "anthropic/claude-haiku-5.5", "openai/gpt-6-luna"):
        http.will_answer(answer())
        asked = prompt(model)
        asked.__dict__["rules"] = "x" * 5_000
        asyncio.run(made.complete(asked))
    first, second, third = (sent.body["messages"][0]["content"] for sent in http.sent)
    assert isinstance(first, str)
    assert isinstance(third, str)
    assert second[0]["cache_control"] == {"type": "ephemeral"}
    assert "\n".join(part["text"] for part in second) == first


def test_a_local_server_is_asked_for_what_all_of_them_know() -> None:
    """The older name of the maximum, no key, counts in the schema, fields that may be left out."""
    http = FakeHttp().will_answer(answer())
    made = Compatible(base_url="http://127.0.0.1:8080/v1/", model="smollm2", client=http)
    asyncio.run(made.complete(prompt()))
    (sent,) = http.sent
    assert sent.url == "http://127.0.0.1:8080/v1/chat/completions"
    assert "authorization" not in sent.headers
    assert sent.options["timeout_s"] == 120.0
    body = sent.body
    assert set(body) == {"model", "messages", "temperature", "max_tokens", "response_format"}
    assert body["response_format"]["json_schema"]["schema"]["properties"]["variants"]["maxItems"] == 1


@pytest.mark.parametrize("model", ["smollm2:135m", "llama3.1:70b"])
def test_a_small_model_of_a_local_server_is_asked_plainly(model: str) -> None:
    """By examples and a schema with the lengths of its text; two variants, and larger models, are asked as ever."""
    http = FakeHttp()
    made = Compatible(base_url="http://127.0.0.1:8080/v1", model=model, client=http)
    for variants in (1, 2):
        http.will_answer(answer())
        asyncio.run(made.complete(prompt(product_name="Oak desk", variants=variants)))
    one, two = (sent.body for sent in http.sent)
    assert [turn["role"] for turn in two["messages"]] == ["system", "user"]
    if model == "llama3.1:70b":
        assert one["messages"][1]["content"] == prompt(product_name="Oak desk").user
        return
    assert len(one["messages"]) > 8
    assert json.loads(one["messages"][2]["content"])["variants"][0]["fields"]["text"]
    schema = one["response_format"]["json_schema"]["schema"]
    text = schema["properties"]["variants"]["items"]["properties"]["fields"]["properties"]["text"]
    assert (text["minLength"], text["maxLength"]) == (40, 240)
    assert one["max_tokens"] < two["max_tokens"]


def test_a_local_server_without_a_model_named_is_asked_for_its_first() -> None:
    """Once; a server that lists none is told so."""
    http = FakeHttp().will_answer({"data": [{"id": "a.gguf"}, {"id": "b"}]})
    made = Compatible(base_url="http://127.0.0.1:8080/v1", client=http)
    for _ in range(2):
        http.will_answer(answer())
        asyncio.run(made.complete(prompt()))
    assert [sent.method for sent in http.sent] == ["GET", "POST", "POST"]
    assert {sent.body["model"] for sent in http.sent[1:]} == {"a.gguf"}
    empty = Compatible(base_url="http://127.0.0.1:8080/v1", client=FakeHttp().will_answer({"data": []}))
    with pytest.raises(ConfigurationError, match="lists no models"):
        asyncio.run(empty.complete(prompt()))


def test_a_server_of_any_name() -> None:
    """Its failures and results go by the name it was given."""
    http = FakeHttp().will_answer({"error": {"message": "down"}}, 503)
    made = Compatible(name="nearby", base_url="http://x/v1", key=Secret(KEY), model="m", client=http)
    with pytest.raises(ProviderUnavailable) as caught:
        asyncio.run(made.complete(prompt()))
    assert caught.value.target == "nearby:m"
    assert http.sent[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", NAMES)
def test_every_provider_is_made_from_its_settings(name: str) -> None:
    """With a key; the check of the targets and the making of one without say what is missing."""
    settings = Settings(providers=ProvidersSettings(**{f"{name}_key": Secret(KEY)}))  # type: ignore[arg-type]
    made = load_provider(name, settings)
    assert isinstance(made, Remote)
    assert made.name == name
    assert not check_targets([name], settings.providers)
    (problem,) = check_targets([f"{name}:some-model"], ProvidersSettings())
    assert all(variable in problem for variable in provider_facts(name).keys)
    with pytest.raises(ConfigurationError, match=f"{name} needs a key"):
        load_provider(name)


def test_a_local_server_needs_an_address() -> None:
    """And nothing else."""
    (problem,) = check_targets(["local:smollm2"], ProvidersSettings())
    assert "COPYKIT_LOCAL_BASE_URL" in problem
    with pytest.raises(ConfigurationError, match="COPYKIT_LOCAL_BASE_URL"):
        load_provider("local")
    own = ProvidersSettings(local_base_url="http://127.0.0.1:1/v1")
    assert not check_targets(["local"], own)
    assert load_provider("local", Settings(providers=own)).name == "local"


@pytest.mark.parametrize("name", [*NAMES, "local"])
def test_facts_of_models_hold_together(name: str) -> None:
    """A default that is not going, room for an answer beside reasoning, a range of temperatures that rises."""
    default = provider_facts(name).model
    facts = model_facts(name, default)
    assert facts.retires is None
    assert (default == "") == (name == "local")
    for model in (default, "gpt-4o-mini", "claude-3-opus", "gemini-2.5-pro", "zzz"):
        facts = model_facts(name, model)
        assert facts.output > facts.room
        assert facts.temperature is None or 0 <= facts.temperature[0] < facts.temperature[1] <= 2
        assert facts.at(1.0) == (facts.temperature and facts.temperature[1])


def test_what_a_provider_opened_it_closes() -> None:
    """Once, at its end; a call after that opens anew."""
    made = Compatible(base_url="http://127.0.0.1:9/v1", model="m")
    with pytest.raises(ProviderError):
        asyncio.run(_call_and_close(made))
    asyncio.run(made.aclose())


async def _call_and_close(made: Compatible) -> Completion:
    try:
        return await made.complete(prompt())
    finally:
        await made.aclose()


def test_an_empty_answer_keeps_its_cost() -> None:
    """Of every kind of server."""
    choice = {"message": {"content": ""}, "finish_reason": "stop"}
    with pytest.raises(MalformedCompletion) as caught:
        asyncio.run(router(FakeHttp().will_answer(answer(choices=[choice]))).complete(prompt()))
    usage = charge_of(caught.value)
    assert usage is not None
    assert usage.cost_usd == 0.00042


@pytest.mark.parametrize("kind", [OpenAI, Anthropic, Google, OpenRouter])
def test_headers_do_not_show_the_key(kind: Any) -> None:
    """Tools that print the variables of a failing call print them; what is sent is the key itself."""
    headers = kind(key=Secret("sk-canary-1"))._headers()
    assert "canary" not in repr(headers)
    assert any(value.endswith("sk-canary-1") for value in headers.values())
