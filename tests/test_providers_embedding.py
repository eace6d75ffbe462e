"""Texts as vectors over real sockets: each wire format, what is billed, and answers that are none."""

from __future__ import annotations

import asyncio
import struct
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from copykit.errors import InvalidRequest, ProviderError, ProviderProtocolError, RateLimited
from copykit.providers.anthropic import Anthropic
from copykit.providers.base import Embedder, Embeddings, charge_of
from copykit.providers.compatible import Compatible
from copykit.providers.embedding import EmbeddingRemote
from copykit.providers.google import Google
from copykit.providers.openai import OpenAI
from copykit.providers.openrouter import OpenRouter
from copykit.settings import Secret
from copykit.testing.servers import Received, ScriptedServer, Step, answer
from fake_http import KEY, FakeHttp

TEXTS = ["oak desk", "walnut desk", "green tea"]
VECTORS = [[0.5, -1.0], [0.25, 2.0], [1.0, 0.0]]


def run(work: Any) -> Any:
    """Run one coroutine."""
    return asyncio.run(work)


def openai_like(url: str, kind: type[OpenAI]) -> EmbeddingRemote:
    """Give a provider of OpenAI's format at *url*."""
    if kind is Compatible:
        return Compatible(base_url=url)
    return kind(key=Secret(KEY), base_url=url)


def rows(vectors: list[Any], **more: Any) -> dict[str, Any]:
    """Give an answer of OpenAI's format, its rows in no order."""
    data = [{"object": "embedding", "index": at, "embedding": v} for at, v in enumerate(vectors)]
    return {"object": "list", "data": data[::-1], "usage": {"prompt_tokens": 7, "total_tokens": 7}, **more}


def ask(make: Callable[[str], EmbeddingRemote], *steps: Step, **options: Any) -> tuple[Any, list[Received]]:
    """Embed `TEXTS` at a server that does *steps*; give the vectors or the error, and what was asked."""

    async def story() -> tuple[Any, list[Received]]:
        """Ask once."""
        async with ScriptedServer(steps) as server:
            provider = make(server.url)
            try:
                return await provider.embed(TEXTS, **options), server.requests
            except ProviderError as error:
                return error, server.requests
            finally:
                await provider.aclose()

    found: tuple[Any, list[Received]] = run(story())
    return found


@pytest.mark.parametrize(
    ("kind", "model", "packed"),
    [
        (OpenAI, "text-embedding-3-small", True),
        (OpenRouter, "openai/text-embedding-3-small", False),
    ],
)
def test_openai_and_its_kin(kind: type[OpenAI], model: str, packed: bool) -> None:
    """Vectors come in the order of the texts, whatever the answer's; usage and the served model are told."""
    sent: list[Any] = [b64encode(struct.pack("<2f", *v)).decode() if packed else v for v in VECTORS]
    found, (asked,) = ask(lambda url: openai_like(url, kind), answer(json=rows(sent, model="served-1")))
    assert found.vectors == VECTORS
    assert (found.model, found.usage.input_tokens) == ("served-1", 7)
    assert asked.path == "/embeddings"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    body = asked.json()
    assert (body["model"], body["input"]) == (model, TEXTS)
    assert ("encoding_format" in body) is packed


def test_a_local_server_is_asked_for_the_model_it_lists() -> None:
    """It has no default; the first of its list serves, and one that is named goes unasked."""
    listing = answer(json={"data": [{"id": "nomic"}]})
    found, asked = ask(lambda url: openai_like(url, Compatible), listing, answer(json=rows(VECTORS)))
    assert [each.path for each in asked] == ["/models", "/embeddings"]
    assert (found.vectors, found.model) == (VECTORS, "nomic")
    found, asked = ask(lambda url: openai_like(url, Compatible), answer(json=rows(VECTORS)), model="bge")
    assert [each.json()["model"] for each in asked] == ["bge"]


def test_google_asks_for_all_in_one_batch() -> None:
    """Each text is a request of its own within it; tokens are told where the answer tells them."""
    body = {"embeddings": [{"values": v} for v in VECTORS], "usageMetadata": {"promptTokenCount": 6}}
    found, (asked,) = ask(lambda url: Google(key=Secret(KEY), base_url=url), answer(json=body))
    assert found == Embeddings(VECTORS, "gemini-embedding-001", found.usage)
    assert found.usage.input_tokens == 6
    assert asked.path == "/v1/models/gemini-embedding-001:batchEmbedContents"
    assert asked.headers["x-goog-api-key"] == KEY
    first = asked.json()["requests"][0]
    assert first == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "oak desk"}]},
    }


class Two(OpenAI):
    """Sends two texts at a time."""

    texts_at_once = 2


def test_many_texts_go_in_several_exchanges() -> None:
    """Vectors stay in order, tokens add up."""
    made = lambda url: openai_like(url, Two)  # noqa: E731
    steps = (answer(json=rows(VECTORS[:2])), answer(json=rows(VECTORS[2:])))
    found, asked = ask(made, *steps)
    assert found.vectors == VECTORS
    assert found.usage.input_tokens == 14
    assert [each.json()["input"] for each in asked] == [TEXTS[:2], TEXTS[2:]]


def test_what_was_billed_before_a_failure_is_told() -> None:
    """The first exchange cost something though the second failed, which keeps its class and its time."""
    limited = answer(429, {"retry-after": "3"}, json={"error": {"message": f"slow, {KEY}"}})
    error, _ = ask(lambda url: openai_like(url, Two), answer(json=rows(VECTORS[:2])), limited)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 3.0
    assert error.target == "openai:text-embedding-3-small"
    assert KEY not in str(error)
    usage = charge_of(error)
    assert usage is not None
    assert usage.input_tokens == 7


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": 3},
        rows(VECTORS[:2]),
        rows([*VECTORS[:2], [1.0]]),
        rows([*VECTORS[:2], []]),
        rows([*VECTORS[:2], [True, 1.0]]),
        rows([*VECTORS[:2], "no base64!"]),
        rows([*VECTORS[:2], "AAA="]),
        {"data": [{"index": 0, "embedding": v} for v in VECTORS]},
        {"data": [{"index": "x", "embedding": v} for v in VECTORS]},
        {"data": [None, None, None]},
    ],
)
def test_an_answer_that_is_no_list_of_vectors_is_refused(body: Any) -> None:
    """Missing, doubled, of different lengths, not numbers: nothing of it is used."""
    provider = OpenAI(key=Secret(KEY), client=FakeHttp().will_answer(body))
    with pytest.raises(ProviderProtocolError):
        run(provider.embed(TEXTS))


def test_nothing_is_sent_for_no_texts_or_bad_ones() -> None:
    """No texts have no vectors; an empty text, or one text in the place of a list, is the caller's mistake."""
    http = FakeHttp()
    provider = OpenAI(key=Secret(KEY), client=http)
    assert run(provider.embed([])).vectors == []
    for texts in ("oak", ["oak", " "]):
        with pytest.raises(InvalidRequest, match="texts"):
            run(provider.embed(texts))
    assert not http.sent


def test_who_has_vectors_is_an_embedder() -> None:
    """Anthropic has none."""
    key = Secret(KEY)
    for provider in (OpenAI(key=key), OpenRouter(key=key), Google(key=key), Compatible(base_url="http://h")):
        assert isinstance(provider, Embedder)
    assert not isinstance(Anthropic(key=key), Embedder)
