"""The real engine over real sockets against a mock of three vendors, with nothing but environment variables."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from copykit import CopywritingInput, CopywritingServiceV11, Settings
from copykit.errors import (
    AuthenticationFailed,
    ContextTooLong,
    ModelNotFound,
    NoProviderSucceeded,
    ProviderError,
    ProviderProtocolError,
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
)
from copykit.providers.base import Completion
from copykit.providers.registry import load_provider
from copykit.providers.remote import Remote
from fake_http import prompt

pytest.importorskip("llmock", reason='llmock is not installed: pip install "copykit[test]"')

TEXT = "Norr. Oak desk, 120x60 cm. Take a look at the details today."
COPY = json.dumps({"variants": [{"fields": {"text": TEXT}, "parts": []}]})
NAMES = ("openai", "anthropic", "google")


@pytest.fixture
def vendors(llmock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """All three, answering with copy; the environment names them, and one speaks an older version only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "beta")
    return llmock


def generate(**changes: Any) -> Any:
    """Run one brief through a service that is told nothing in code."""
    fields: dict[str, Any] = {
        "product_description": "Oak desk, 120x60 cm, oiled surface",
        "product_name": "Norr",
        "target_platform": "x.post",
        "cache": "off",
        **changes,
    }

    async def story() -> Any:
        async with CopywritingServiceV11() as service:
            return await service.generate(CopywritingInput(**fields))

    return asyncio.run(story())


def test_one_brief_through_three_vendors(vendors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same copy from each, with who served it and what it took."""
    vendors.reply(COPY, times=None)
    for name in NAMES:
        monkeypatch.setenv("COPYKIT_PROVIDERS", name)
        output = generate()
        assert output.text == TEXT
        assert output.receipt.served_by.startswith(f"{name}:")
        assert output.usage.input_tokens > 0
        assert output.usage.output_tokens > 0
        assert [attempt.outcome for attempt in output.receipt.attempts] == ["ok"]


def test_the_order_follows_from_the_keys(vendors: Any) -> None:
    """With no targets named the first vendor with a key is asked, and the next where it is down."""
    vendors.reply(COPY, times=None)
    assert generate().receipt.served_by.startswith("openai:")
    vendors.outage(provider="openai")
    output = generate()
    assert output.receipt.served_by.startswith("anthropic:")
    *before, last = output.receipt.attempts
    assert {(attempt.target, attempt.outcome) for attempt in before} == {("openai", "provider_unavailable")}
    assert last.outcome == "ok"


def test_the_phrase_bank_does_not_step_in_unasked(vendors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not named a total outage is an error; where it is, the receipt says who wrote."""
    vendors.outage()
    with pytest.raises(NoProviderSucceeded):
        generate()
    monkeypatch.setenv("COPYKIT_PROVIDERS", "openai,phrasebank")
    assert generate().receipt.served_by.startswith("phrasebank:")


async def _with(name: str, what: Any) -> Any:
    made = load_provider(name, Settings.from_env())
    assert isinstance(made, Remote)
    try:
        return await what(made)
    finally:
        await made.aclose()


async def _streamed(made: Remote) -> list[str | Completion]:
    return [part async for part in made.stream(prompt())]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ProviderError),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, ModelNotFound),
        (429, RateLimited),
        (500, ProviderUnavailable),
        (503, ProviderUnavailable),
        (529, ProviderUnavailable),
    ],
)
def test_failures_in_each_vendors_own_words(
    vendors: Any, name: str, status: int, kind: type[ProviderError]
) -> None:
    """As the mock writes them; one request each, nothing repeated here."""
    vendors.fail(status, retry_after=7 if status == 429 else None)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(_with(name, lambda made: made.complete(prompt())))
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.target.partition(":")[0]) == (status, name)
    if isinstance(error, RateLimited):
        assert error.retry_after_s == 7.0
    assert len(vendors.requests) == 1


def test_a_prompt_that_is_too_long(vendors: Any) -> None:
    """By the name that the failure has."""
    vendors.context_overflow()
    with pytest.raises(ContextTooLong):
        asyncio.run(_with("openai", lambda made: made.complete(prompt())))


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_of_each_vendor(vendors: Any, name: str) -> None:
    """Its pieces are the whole; ended early, cut off or broken it is no answer."""
    vendors.reply(COPY, times=None)
    *texts, last = asyncio.run(_with(name, _streamed))
    assert isinstance(last, Completion)
    assert "".join(map(str, texts)) == last.text == COPY
    assert last.stop == "stop"
    assert last.usage is not None
    assert last.usage.output_tokens
    for fault, kind in (
        (vendors.truncate, TruncatedStream),
        (vendors.disconnect, TruncatedStream),
        (vendors.corrupt, ProviderProtocolError),
    ):
        fault(after_chunks=2)
        with pytest.raises(kind):
            asyncio.run(_with(name, _streamed))


@pytest.mark.parametrize("name", NAMES)
def test_models_of_each_vendor(vendors: Any, name: str) -> None:
    """The list is a call without cost."""
    listed = asyncio.run(_with(name, lambda made: made.models()))
    assert all(model.name for model in listed)
    assert listed
