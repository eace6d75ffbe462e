"""LangChain's models behind copykit, and copykit inside of LangChain, with LangChain's own fakes."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from copykit import CopywritingService, Settings, register_provider
from copykit.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ContentRefused,
    ContextTooLong,
    MalformedCompletion,
    MissingExtra,
    ModelNotFound,
    ProviderError,
    ProviderQuotaError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from copykit.langchain import LangChainProvider, as_runnable, prompt_template
from copykit.providers.base import Completion, Provider, charge_of
from copykit.providers.langchain import failure
from copykit.providers.registry import unregister_provider
from copykit.settings import RoutingSettings
from copykit.testing.contracts import ProviderContract
from copykit.testing.servers import ScriptedServer, answer
from fake_http import COPY, KEY, prompt

HERE = find_spec("langchain_core") is not None
needs_langchain = pytest.mark.skipif(
    not HERE, reason='needs langchain-core: pip install "copykit[langchain]"'
)
REQUEST = {"product_description": "Oak desk, 120x60 cm", "target_platform": "x.post"}
USAGE = {
    "input_tokens": 30,
    "output_tokens": 12,
    "total_tokens": 42,
    "input_token_details": {"cache_read": 20, "cache_creation": 5},
    "output_token_details": {"reasoning": 4},
}


def run(work: Any) -> Any:
    """Run one coroutine."""
    return asyncio.run(work)


def says(*texts: str) -> Any:
    """Give LangChain's fake that answers from a list."""
    from langchain_core.language_models import FakeListChatModel  # type: ignore[import-not-found,unused-ignore]

    return FakeListChatModel(responses=list(texts))


def message(content: Any = COPY, **more: Any) -> Any:
    """Give one answer as LangChain has it."""
    from langchain_core.messages import AIMessage  # type: ignore[import-not-found,unused-ignore]

    return AIMessage(content=content, **more)


def gives(*messages: Any) -> Any:
    """Give LangChain's fake that answers with whole messages."""
    from langchain_core.language_models import GenericFakeChatModel

    return GenericFakeChatModel(messages=iter(messages))


def raising(error: Exception) -> Any:
    """Give a model that raises what an integration would."""
    from langchain_core.language_models import FakeListChatModel

    class Raising(FakeListChatModel):
        """Always fails."""

        def _call(self, *args: Any, **kwargs: Any) -> str:
            raise error

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            raise error
            yield

    return Raising(responses=["never"])


@needs_langchain
class TestLangChain(ProviderContract):
    """Any chat model keeps the contract of every provider."""

    def make(self) -> Provider:
        """Give the provider over a fake that answers in prose around the JSON."""
        return LangChainProvider(says(f"Here it is:\n```json\n{COPY}\n```"))


@needs_langchain
def test_text_usage_model_and_end_are_read_from_a_message() -> None:
    """Content may be a list of blocks; totals include what the cache held."""
    blocks = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": COPY}]
    told = {"model_name": "m-2", "stop_reason": "end_turn"}
    model = gives(message(blocks, usage_metadata=USAGE, response_metadata=told))
    completion = run(LangChainProvider(model).complete(prompt()))
    assert (completion.text, completion.model, completion.stop) == (COPY, "m-2", "stop")
    usage = completion.usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (30, 12, 4)
    assert (usage.cached_tokens, usage.cache_write_tokens) == (20, 5)


@needs_langchain
def test_a_stream_gives_pieces_and_last_the_whole() -> None:
    """The pieces add up to the answer."""

    async def story() -> list[Any]:
        """Take all."""
        return [piece async for piece in LangChainProvider(gives(message())).stream(prompt())]

    *texts, last = run(story())
    assert len(texts) > 1
    assert "".join(texts) == COPY
    assert isinstance(last, Completion)
    assert last.text == COPY


@needs_langchain
@pytest.mark.parametrize(
    ("content", "told", "kind"),
    [
        ("", {}, MalformedCompletion),
        (COPY[:30], {"finish_reason": "length"}, MalformedCompletion),
        ("no", {"finish_reason": "content_filter"}, ContentRefused),
        ("no", {"stop_reason": "refusal"}, ContentRefused),
    ],
)
def test_an_answer_that_is_none_keeps_what_it_cost(
    content: str, told: Any, kind: type[ProviderError]
) -> None:
    """Refused, empty and cut answers are failures that were billed."""
    model = gives(message(content, usage_metadata=USAGE, response_metadata=told))
    with pytest.raises(kind) as caught:
        run(LangChainProvider(model).complete(prompt()))
    usage = charge_of(caught.value)
    assert usage is not None
    assert usage.output_tokens == 12
    assert caught.value.target.startswith("langchain:")


@needs_langchain
def test_a_model_that_has_schemas_is_held_to_one() -> None:
    """The parsed answer serves; where it could not be parsed the text does, with the tolerant decoder."""
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.runnables import RunnableLambda  # type: ignore[import-not-found,unused-ignore]

    asked: list[Any] = []

    class Structured(FakeListChatModel):
        """Answers with what `parsed` holds beside the raw message."""

        parsed: Any = None

        def with_structured_output(self, schema: Any, **options: Any) -> Any:
            """Note the schema."""
            asked.append((schema, options))
            raw = message("```\n" + COPY + "\n```", usage_metadata=USAGE)
            return RunnableLambda(lambda _: {"raw": raw, "parsed": self.parsed, "parsing_error": None})

    for parsed in (json.loads(COPY), None):
        provider = LangChainProvider(Structured(responses=[""], parsed=parsed))
        completion = run(provider.complete(prompt()))
        assert json.loads(completion.text.strip("`\n")) == json.loads(COPY)
        assert completion.usage.input_tokens == 30
    schema, options = asked[0]
    assert options == {"include_raw": True}
    assert (schema["title"], schema["type"]) == ("copy", "object")


def kinds() -> list[tuple[str, type[ProviderError], bool]]:
    """List LangChain's classes, ours, and whether another try may help."""
    return [
        ("ModelAuthenticationError", AuthenticationFailed, False),
        ("ModelPermissionDeniedError", AuthenticationFailed, False),
        ("ModelNotFoundError", ModelNotFound, False),
        ("ModelRateLimitError", RateLimited, True),
        ("ModelTimeoutError", ProviderTimeout, True),
        ("ModelConnectionError", ProviderUnavailable, True),
        ("ModelAPIError", ProviderUnavailable, True),
        ("ContextOverflowError", ContextTooLong, False),
        ("ModelInvalidRequestError", ProviderError, False),
        ("OutputParserException", MalformedCompletion, True),
    ]


@needs_langchain
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("name", "kind", "again"), kinds())
def test_each_of_langchains_errors_has_its_class(
    name: str, kind: type[ProviderError], again: bool, streamed: bool
) -> None:
    """Integrations raise subclasses that are their vendor's errors as well."""
    from langchain_core import exceptions  # type: ignore[import-not-found,unused-ignore]

    own = type("VendorError", (getattr(exceptions, name),), {})
    provider = LangChainProvider(raising(own(f"it said {KEY}")))

    async def story() -> None:
        """Ask in one piece or as a stream."""
        if not streamed:
            await provider.complete(prompt())
        async for _ in provider.stream(prompt()):
            pass

    with pytest.raises(kind) as caught:
        run(story())
    assert type(caught.value) is kind
    assert caught.value.retryable is again
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is not None


@needs_langchain
def test_a_stream_that_breaks_was_billed_for_what_came() -> None:
    """Nobody told how much, so the amount is unknown, which is not nothing."""
    from langchain_core.language_models import FakeListChatModel

    model = FakeListChatModel(responses=[COPY], error_on_chunk_number=5)

    async def story() -> list[Any]:
        """Take what comes."""
        taken: list[Any] = []
        try:
            async for piece in LangChainProvider(model).stream(prompt()):
                taken.append(piece)
        except ProviderError as error:
            return [*taken, error]
        return taken

    *texts, error = run(story())
    assert "".join(texts) == COPY[:5]
    assert charge_of(error) is not None


class _Sdk(Exception):
    """What a vendor's client raises, as far as it is looked at."""

    def __init__(self, status_code: Any = None, code: str = "", **headers: str) -> None:
        self.status_code, self.code = status_code, code
        self.response = type("Response", (), {"headers": {"Retry-After": "7", **headers}})()
        super().__init__("the vendor said no")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_Sdk(429), RateLimited),
        (_Sdk(429, "insufficient_quota"), ProviderQuotaError),
        (_Sdk(402), ProviderQuotaError),
        (_Sdk(401), AuthenticationFailed),
        (_Sdk(503), ProviderUnavailable),
        (_Sdk("no status"), ProviderError),
        (TimeoutError("late"), ProviderTimeout),
        (ConnectionResetError("gone"), ProviderUnavailable),
        (KeyError("choices"), ProviderError),
    ],
)
def test_what_has_no_class_of_langchains_has_a_status_or_is_plain(
    error: Exception, kind: type[ProviderError]
) -> None:
    """Older integrations raise their vendor's own errors, and defects raise anything."""
    found = failure(error)
    assert type(found) is kind
    if isinstance(found, RateLimited):
        assert found.retry_after_s == 7.0


@needs_langchain
def test_a_template_of_the_callers_is_filled() -> None:
    """It may put its own words around copykit's; the brief stays fenced data."""
    from langchain_core.prompts import ChatPromptTemplate  # type: ignore[import-not-found,unused-ignore]

    sent: list[Any] = []
    from langchain_core.language_models import FakeListChatModel

    class Noting(FakeListChatModel):
        """Notes what it was asked."""

        def _call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
            sent.extend(messages)
            return COPY

    template = ChatPromptTemplate.from_messages(
        [("system", "Write as our founder does, in {language}.\n{rules}\n{fence}"), ("human", "{brief}")]
    )
    asked = prompt(product_description="Oak desk {rules} {nonsense}")
    run(LangChainProvider(Noting(responses=[""]), template=template).complete(asked))
    system, human = (str(each.content) for each in sent)
    assert system.startswith("Write as our founder does, in English.\n")
    assert asked.rules in system
    assert asked.nonce in system
    assert human == asked.user
    assert "{nonsense}" in human


@needs_langchain
def test_a_template_that_cannot_be_filled_is_refused_when_it_is_given() -> None:
    """All mistakes at once: unknown names with the nearest, a brief that is missing, or that nobody calls data."""
    from langchain_core.prompts import ChatPromptTemplate

    with pytest.raises(ConfigurationError) as caught:
        LangChainProvider(says(COPY), template=ChatPromptTemplate.from_messages([("human", "{breif}")]))
    told = str(caught.value)
    assert "{breif} is unknown" in told
    assert "nearest: brief" in told
    assert "has to hold {brief}" in told
    assert "{fence} or {system}" in told


@needs_langchain
def test_prompts_are_exported_as_templates() -> None:
    """Filled for a request, or as a frame that a provider takes back."""
    filled = prompt_template(REQUEST).invoke({}).to_messages()
    assert [each.type for each in filled] == ["system", "human"]
    assert "Oak desk, 120x60 cm" in filled[1].content
    assert "limits that code enforces" in filled[0].content
    frame = prompt_template()
    assert sorted(frame.input_variables) == ["brief", "system"]
    completion = run(LangChainProvider(says(COPY), template=frame).complete(prompt()))
    assert completion.text == COPY


@needs_langchain
def test_a_service_is_a_runnable() -> None:
    """It stands in a chain, with and without ``await``, and keeps its checks and its receipt."""
    service = CopywritingService(Settings())
    chain = as_runnable(service) | (lambda output: (output.text, output.receipt.served_by))
    text, served_by = chain.invoke(REQUEST)
    assert text
    assert served_by.startswith("phrasebank")
    assert as_runnable(service).get_name() == "copykit"

    async def story() -> list[Any]:
        """Run several on this loop."""
        async with CopywritingService(Settings()) as own:
            return await as_runnable(own).abatch([REQUEST, {**REQUEST, "target_platform": "email"}])

    first, second = run(story())
    assert first.text == text
    assert second.placement == "email"


@needs_langchain
def test_a_model_writes_through_the_engine() -> None:
    """Registered under a name of one's own, it is a target like any other."""
    register_provider("mine", lambda: LangChainProvider(says(COPY)))
    try:
        settings = Settings(routing=RoutingSettings(providers=("mine",)))

        async def story() -> Any:
            """Ask once."""
            async with CopywritingService(settings) as service:
                return await service.generate(REQUEST)

        output = run(story())
    finally:
        unregister_provider("mine")
    assert output.text == "Oak desk, 120x60 cm."
    assert output.receipt.served_by == "mine:FakeListChatModel"


def test_without_the_package_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the runnable, the template and a target that needs it."""
    for name in ("langchain_core", "langchain_core.runnables", "langchain_core.prompts"):
        monkeypatch.setitem(sys.modules, name, None)
    line = r'pip install "copykit\[langchain\]"'
    with pytest.raises(MissingExtra, match=line):
        as_runnable(CopywritingService(Settings()))
    with pytest.raises(MissingExtra, match=line):
        prompt_template(REQUEST)
    with pytest.raises(ConfigurationError, match=line):
        CopywritingService(Settings(routing=RoutingSettings(providers=("langchain:openai/gpt-6-luna",))))


def test_a_target_without_a_model_is_told() -> None:
    """It has none of its own; nor has the provider another than the one it was given."""
    with pytest.raises(ConfigurationError, match="langchain needs a model"):
        run(LangChainProvider().complete(prompt()))
    with pytest.raises(ConfigurationError, match="name vendor and model"):
        run(LangChainProvider().complete(prompt(model="gpt-6-luna")))
    with pytest.raises(ConfigurationError, match="this provider's model is"):
        run(LangChainProvider(object()).complete(prompt(model="other")))


@pytest.mark.skipif(
    not (HERE and find_spec("langchain") and find_spec("langchain_openai")),
    reason="needs LangChain's own packages: pip install langchain langchain-openai",
)
def test_a_real_integration_speaks_to_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """``openai/model`` by LangChain's own client: one request, held to the schema, its failures mapped."""
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-6-luna-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": COPY}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
    }
    failed = {"error": {"message": f"no {KEY}", "code": "insufficient_quota", "type": "insufficient_quota"}}

    async def story() -> tuple[Completion, ProviderError, Any]:
        """Ask twice."""
        async with ScriptedServer([answer(json=body), answer(429, json=failed)]) as server:
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
            monkeypatch.setenv("LANGSMITH_TRACING", "false")
            provider = LangChainProvider()
            completion = await provider.complete(prompt(model="openai/gpt-6-luna"))
            with pytest.raises(ProviderError) as caught:
                await provider.complete(prompt(model="openai/gpt-6-luna"))
            return completion, caught.value, server.requests

    completion, error, requests = run(story())
    assert json.loads(completion.text) == json.loads(COPY)
    assert completion.model == "gpt-6-luna-1"
    assert completion.usage is not None
    assert completion.usage.input_tokens == 9
    assert isinstance(error, ProviderQuotaError)
    assert KEY not in str(error)
    assert len(requests) == 2  # nothing was repeated inside
    assert requests[0].json()["response_format"]["type"] == "json_schema"
