"""Our bodies and readings held against the vendors' own clients and the price table's reading of usage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

import test_providers_anthropic as ours_anthropic
import test_providers_google as ours_google
import test_providers_openai as ours_openai
from copykit.models import Usage
from copykit.providers.anthropic import Anthropic
from copykit.providers.google import Google
from copykit.providers.openai import OpenAI
from copykit.providers.openrouter import OpenRouter
from copykit.providers.remote import Remote
from copykit.settings import Secret
from copykit.testing.servers import Received, ScriptedServer, answer
from fake_http import KEY, FakeHttp, prompt

WHY = 'the vendors\' own clients are not installed: pip install "copykit[peers]"'
PLACEMENTS = ("x.post", "google_ads.rsa", "meta.feed_ad", "x.ad_card", "email")


def sent(provider: type[Remote], reply: Any, model: str | None = None, **changes: Any) -> dict[str, Any]:
    """Give the body that *provider* sends."""
    http = FakeHttp().will_answer(reply)
    made: Any = provider(key=Secret(KEY), client=http)  # each takes these
    asyncio.run(made.complete(prompt(model, **changes)))
    return http.sent[0].body


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("model", [None, "gpt-4o-mini", "gpt-3.5-turbo"])
def test_openai_body(placement: str, model: str | None) -> None:
    """Their typed request takes it and has every key of it."""
    pytest.importorskip("openai", reason=WHY)
    from openai.types.chat import completion_create_params as params
    from pydantic import TypeAdapter

    body = sent(OpenAI, ours_openai.answer(), model, target_platform=placement, seed=7)
    TypeAdapter(params.CompletionCreateParamsNonStreaming).validate_python(body)
    assert set(body) <= set(params.CompletionCreateParamsNonStreaming.__annotations__) | set(
        params.CompletionCreateParamsBase.__annotations__
    )


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_anthropic_body(placement: str) -> None:
    """Their typed request takes it and has every key of it; the schema is what theirs would be rewritten to."""
    pytest.importorskip("anthropic", reason=WHY)
    from anthropic.lib._parse._transform import transform_schema
    from anthropic.types import message_create_params as params
    from pydantic import TypeAdapter

    body = sent(Anthropic, ours_anthropic.answer(), target_platform=placement)
    TypeAdapter(params.MessageCreateParamsNonStreaming).validate_python(body)
    known = {
        name
        for kind in (params.MessageCreateParamsNonStreaming, *params.MessageCreateParamsNonStreaming.__mro__)
        for name in getattr(kind, "__annotations__", {})
    } | set(params.MessageCreateParamsBase.__annotations__)
    assert set(body) <= known
    mine = body["output_config"]["format"]["schema"]
    theirs = transform_schema(prompt(target_platform=placement).schema)
    assert _plain(theirs) == mine == _plain(transform_schema(mine))


def _plain(schema: Any) -> Any:
    """Leave out what theirs says in words of what it takes away, and the one count that it keeps."""
    if isinstance(schema, Mapping):
        words = {key for key in ("description", "minItems") if not isinstance(schema.get(key), Mapping)}
        return {key: _plain(part) for key, part in schema.items() if key not in words}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("model", [None, "gemini-2.5-flash"])
def test_google_body(placement: str, model: str | None) -> None:
    """Their typed configuration, which refuses keys that it does not know, takes ours."""
    pytest.importorskip("google.genai", reason=WHY)
    from google.genai import types

    body = sent(Google, ours_google.piece(), model, target_platform=placement, seed=7)
    types.GenerateContentConfig.model_validate(body["generationConfig"])
    types.Content.model_validate(body["systemInstruction"])
    for content in body["contents"]:
        types.Content.model_validate(content)
    assert set(body) == {"systemInstruction", "contents", "generationConfig"}


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_openrouter_body(placement: str) -> None:
    """Their request takes it and has every key of it."""
    pytest.importorskip("openrouter", reason=WHY)
    from openrouter.components import ChatRequest

    body = sent(OpenRouter, ours_openai.answer(), target_platform=placement)
    ChatRequest.model_validate(body)
    known = {field.alias or name for name, field in ChatRequest.model_fields.items()}
    assert set(body) <= known


def test_our_answers_are_theirs() -> None:
    """What the other test files answer with is what the vendors' own clients would read."""
    pytest.importorskip("openai", reason=WHY)
    pytest.importorskip("anthropic", reason=WHY)
    pytest.importorskip("google.genai", reason=WHY)
    from anthropic.types import Message
    from google.genai.types import GenerateContentResponse
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    ChatCompletion.model_validate(ours_openai.answer())
    for chunk in ours_openai.WHOLE:
        if isinstance(chunk, dict):
            common = {"object": "chat.completion.chunk", "created": 1, "model": "m"}
            ChatCompletionChunk.model_validate({**common, **chunk})
    Message.model_validate(ours_anthropic.answer())
    GenerateContentResponse.model_validate(ours_google.piece())


async def _exchange(call: Any, reply: Any) -> Received:
    async with ScriptedServer([answer(json=reply)]) as server:
        await call(server.url)
        return server.requests[0]


def _alike(mine: Received, theirs: Received, *headers: str) -> None:
    assert (mine.method, mine.path) == (theirs.method, theirs.path)
    assert {name: mine.headers.get(name) for name in headers} == {
        name: theirs.headers.get(name) for name in headers
    }
    assert mine.json() == theirs.json()


async def _complete(made: Remote) -> None:
    try:
        await made.complete(prompt())
    finally:
        await made.aclose()


def test_openai_on_the_wire() -> None:
    """Their client, given our body, sends what we send."""
    openai = pytest.importorskip("openai", reason=WHY)
    body = sent(OpenAI, ours_openai.answer())

    async def theirs(url: str) -> None:
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client:
            await client.chat.completions.create(**body)

    async def mine(url: str) -> None:
        await _complete(OpenAI(key=Secret(KEY), base_url=f"{url}/v1"))

    first, second = (asyncio.run(_exchange(call, ours_openai.answer())) for call in (mine, theirs))
    _alike(first, second, "authorization", "content-type")


def test_anthropic_on_the_wire() -> None:
    """The same of Anthropic, its version among the headers."""
    anthropic = pytest.importorskip("anthropic", reason=WHY)
    body = sent(Anthropic, ours_anthropic.answer())

    async def theirs(url: str) -> None:
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client:
            await client.messages.create(**body)

    async def mine(url: str) -> None:
        await _complete(Anthropic(key=Secret(KEY), base_url=url))

    first, second = (asyncio.run(_exchange(call, ours_anthropic.answer())) for call in (mine, theirs))
    _alike(first, second, "authorization", "x-api-key", "anthropic-version", "content-type")


# where aiohttp is installed their client derives from its session, of which aiohttp warns: nothing of ours
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_google_on_the_wire() -> None:
    """The same of Google; its client names a role of the system's content, which says nothing."""
    genai = pytest.importorskip("google.genai", reason=WHY)
    body = sent(Google, ours_google.piece())

    async def theirs(url: str) -> None:
        client = genai.Client(api_key=KEY, http_options={"base_url": url})
        config = {**body["generationConfig"], "systemInstruction": body["systemInstruction"]}
        await client.aio.models.generate_content(
            model="gemini-3.8-flash", contents=body["contents"], config=config
        )
        await client.aio.aclose()
        client.close()

    async def mine(url: str) -> None:
        await _complete(Google(key=Secret(KEY), base_url=url))

    first, second = (asyncio.run(_exchange(call, ours_google.piece())) for call in (mine, theirs))
    assert first.path == second.path
    assert first.headers["x-goog-api-key"] == second.headers["x-goog-api-key"]
    told = second.json()
    told["systemInstruction"].pop("role", None)
    # given as a mapping theirs leaves as it was spelt inside; both spellings are the interface's
    thinking = told["generationConfig"]["thinkingConfig"]
    thinking["thinkingLevel"] = thinking.pop("thinking_level", thinking.get("thinkingLevel"))
    assert first.json() == told


@pytest.mark.parametrize(
    ("vendor", "flavor", "reply", "read"),
    [
        ("openai", "chat", ours_openai.answer(), ours_openai.USAGE),
        ("anthropic", "default", ours_anthropic.answer(), ours_anthropic.USAGE),
        ("google", "default", ours_google.piece(), ours_google.USAGE),
    ],
)
def test_usage_is_read_as_the_price_table_reads_it(vendor: str, flavor: str, reply: Any, read: Any) -> None:
    """Totals, cache and output alike, so that a price is a price of what was billed."""
    genai_prices = pytest.importorskip("genai_prices", reason="a core dependency")
    from copykit.providers import anthropic, google, openai

    readers = {"openai": openai.usage_of, "anthropic": anthropic.usage_of, "google": google.usage_of}
    mine = readers[vendor](read)
    assert isinstance(mine, Usage)
    theirs = genai_prices.extract_usage(reply, provider_id=vendor, api_flavor=flavor).usage
    assert mine.input_tokens == theirs.input_tokens
    assert mine.output_tokens == theirs.output_tokens
    assert (mine.cached_tokens or 0) == (theirs.cache_read_tokens or 0)
    assert (mine.cache_write_tokens or 0) == (theirs.cache_write_tokens or 0)
