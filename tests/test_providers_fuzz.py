"""Whatever a provider answers, it is copy or an error of our own tree: never a KeyError."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import test_providers_anthropic as anthropic
import test_providers_google as google
import test_providers_openai as openai
from copykit.errors import ProviderError
from copykit.providers.anthropic import Anthropic
from copykit.providers.base import Completion
from copykit.providers.google import Google
from copykit.providers.openai import OpenAI
from copykit.providers.openrouter import OpenRouter
from copykit.settings import Secret
from fake_http import KEY, FakeHttp, prompt

ASKED = prompt()
WRONG = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
VENDORS: list[tuple[Any, dict[str, Any], list[Any]]] = [
    (OpenAI, openai.answer(), [part for part in openai.WHOLE if isinstance(part, dict)]),
    (OpenRouter, openai.answer(), [part for part in openai.WHOLE if isinstance(part, dict)]),
    (Anthropic, anthropic.answer(), list(anthropic.WHOLE)),
    (Google, google.piece(), list(google.WHOLE)),
]


@st.composite
def damaged(draw: st.DrawFn, sound: Any) -> Any:
    """Give *sound* with one part of it replaced by anything, taken out, or joined by an error."""
    value = json.loads(json.dumps(sound))
    node = value
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or draw(st.booleans()):
            break
        node = node[key]
    what = draw(st.sampled_from(["replace", "remove", "error"]))
    if what == "replace":
        node[key] = draw(WRONG)
    elif what == "remove":
        del node[key]
    elif isinstance(node, dict):
        names = st.sampled_from(["code", "type", "message", "status", "details", "metadata"])
        node["error"] = draw(WRONG | st.dictionaries(names, WRONG))
    return value


@pytest.mark.parametrize(("provider", "whole", "parts"), VENDORS)
@given(data=st.data(), status=st.sampled_from([200, 200, 400, 402, 403, 404, 429, 500]))
@settings(max_examples=150, deadline=None)
def test_a_damaged_answer(provider: Any, whole: Any, parts: Any, data: st.DataObject, status: int) -> None:
    """A completion with text, or a provider's error whose message is short and holds no key."""
    http = FakeHttp().will_answer(data.draw(damaged(whole) | WRONG), status)
    told = ""
    try:
        completion = asyncio.run(provider(key=Secret(KEY), client=http).complete(ASKED))
    except ProviderError as error:
        told = error.message
    else:
        assert completion.text.strip()
        assert isinstance(completion.model, str)
    assert len(told) <= 500
    assert KEY not in told


@pytest.mark.parametrize(("provider", "whole", "parts"), VENDORS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_stream(provider: Any, whole: Any, parts: Any, data: st.DataObject) -> None:
    """The pieces are the completion's text, or it ends in a provider's error."""
    at = data.draw(st.integers(0, len(parts) - 1))
    told = [*parts[:at], data.draw(damaged(parts[at]) | WRONG), *parts[at + 1 :]]
    raw = "".join(f"data: {json.dumps(part)}\n\n" for part in told) + "data: [DONE]\n\n"
    http = FakeHttp().will_stream([raw.encode()])

    async def read() -> list[str | Completion]:
        return [part async for part in provider(key=Secret(KEY), client=http).stream(ASKED)]

    told_of = ""
    try:
        *texts, last = asyncio.run(read())
    except ProviderError as error:
        told_of = error.message
    else:
        assert isinstance(last, Completion)
        assert "".join(map(str, texts)) == last.text
    assert len(told_of) <= 500
