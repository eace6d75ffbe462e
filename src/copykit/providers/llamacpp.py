"""Models of this machine, read into this process by llama.cpp: no server, no key, no price.

The engine inside is llama.cpp's own server, which is called directly; what it answers is OpenAI's format.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self

from copykit.brief.plain import PlainPrompt, plain_of
from copykit.brief.prompt import Prompt
from copykit.errors import (
    ConfigurationError,
    CopykitError,
    MalformedCompletion,
    MissingExtra,
    ModelNotFound,
    ProviderError,
    TruncatedStream,
)
from copykit.models import Usage
from copykit.providers.base import Completion, charge, charge_of
from copykit.providers.candidates import Candidate, chosen, likelihood
from copykit.providers.facts import ModelFacts, model_facts, provider_facts
from copykit.providers.openai import ChatReader, chat_body, failure, response_format
from copykit.providers.remote import refuse_unfinished, without_keys
from copykit.settings import Settings

__all__ = ["LlamaCpp", "Loaded", "load_model"]

_MOST_LOADED = 2
"""Models held at a time; the one that was not asked for longest is given back."""
_REPEAT_PENALTY = 1.1
"""Small models fall into loops without it; it is llama.cpp's own default of its first years."""

_HERE = "\ue000"
"""Where a text goes in what stands around it: a character that no text has."""


class Loaded(Protocol):
    """A model that was read into memory."""

    def handle_chat_completions(self, body: dict[str, Any], take: Callable[[dict[str, Any]], bool]) -> object:
        """Answer *body* piece by piece through *take*, until that says True; blocks the thread meanwhile."""
        ...


Load = Callable[[Path, int, int | None], Loaded]
"""Reads a model: its file, the most tokens of prompt and answer, and threads (None: llama.cpp's own choice)."""


def load_model(path: Path, context: int, threads: int | None) -> Loaded:
    """Read a GGUF file.

    Raises:
        MissingExtra: xllamacpp is not installed.
        ProviderError: llama.cpp cannot read the file.
    """
    try:
        xllamacpp: Any = import_module("xllamacpp")
    except ImportError as error:
        raise MissingExtra("a model in this process", "xllamacpp", "llamacpp") from error
    own = xllamacpp.CommonParams()
    own.model.path = str(path)
    own.n_ctx = context
    own.n_parallel = 1
    own.verbosity = -1
    own.ui = own.endpoint_slots = False
    # it opens a port on loopback, which nobody is meant to use
    own.api_keys = [os.urandom(16).hex()]
    if threads is not None:
        own.cpuparams.n_threads = own.cpuparams_batch.n_threads = threads
    try:
        loaded: Loaded = xllamacpp.Server(own)
    except RuntimeError as error:
        raise ProviderError(f"llama.cpp cannot read {path.name}: {error}", retryable=False) from error
    return loaded


class LlamaCpp:
    """GGUF models in this process.

    A model is read at the first prompt for it and kept until the provider is closed. One call runs at a time, on
    a thread of its own; a caller that leaves stops its call at the next token, while the prompt is still being
    read only after that.

    Args:
        model: the file asked when a prompt names none.
        context: most tokens of prompt and answer; a model trained for fewer takes its own.
        threads: that compute; llama.cpp's own choice if not given.
        load: reads a model.
    """

    name = "llamacpp"

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        context: int | None = None,
        threads: int | None = None,
        load: Load = load_model,
    ) -> None:
        self._model = str(model or "")
        self._context = context or model_facts(self.name, self._model).context or 0
        self._threads = threads
        self._load = load
        self._loaded: dict[Path, Loaded] = {}
        self._worker = ThreadPoolExecutor(1, "copykit-llamacpp")  # whose thread starts with the first call
        self.timeout_s = provider_facts(self.name).timeout_s

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make one for the model of *settings*, which a target may name instead."""
        return cls(model=settings.providers.llamacpp_model)

    def model_of(self, prompt: Prompt) -> str:
        """Give the file that will be asked for *prompt*."""
        return prompt.model or self._model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """Give bounds of a call: the bytes of the prompt and the tokens of the answer."""
        if (plain := self._plain(prompt)) is not None:
            times = self._facts(Path(self.model_of(prompt))).tries * plain.count
            sent = sum(len(turn["content"].encode()) for turn in plain.messages())
            return times * sent, times * plain.max_output_tokens
        return len((prompt.system + prompt.user).encode()), self._max_tokens(prompt)

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer *prompt*.

        A model too small for the usual prompt is asked plainly, several times (`tries` of ``data/models.toml``), and
        the best of its texts are the answer; see `copykit.providers.candidates`.

        Raises as `stream` does.
        """
        if (plain := self._plain(prompt)) is not None:
            return await self._best(plain)
        async with aclosing(self.stream(prompt)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Completion):
                    return piece
        raise TruncatedStream("the answer has no end")  # which `stream` has raised before

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion, None]:
        """Give the answer's text as it comes, and last the `Completion`.

        What is shown cannot be chosen from, so a small model writes each text once.

        Raises:
            ModelNotFound: there is no such file.
            ConfigurationError: no model is named; `MissingExtra` without the package.
            ProviderError: as any provider.
        """
        path = self._path(prompt)
        plain = self._plain(prompt)
        if plain is None:
            async with aclosing(self._exchange(path, prompt, self._body(prompt, path))) as pieces:
                async for piece in pieces:
                    yield piece
            return
        *before, after = plain.wrap([_HERE] * plain.count).split(_HERE)
        done: list[Completion] = []
        for number, opening in enumerate(before):
            yield opening
            async with aclosing(
                self._exchange(path, prompt, self._plain_body(plain, path, number))
            ) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Completion):
                        done.append(piece)
                    else:
                        yield _escaped(piece)
        yield after
        yield replace(done[-1], text=plain.wrap([one.text for one in done]), usage=_sum(done))

    async def _best(self, plain: PlainPrompt) -> Completion:
        """Write candidates for *plain* and give the best; one that was cut is none."""
        path = self._path(plain.prompt)
        written: list[Candidate] = []
        done: list[Completion] = []
        failed: MalformedCompletion | None = None
        for number in range(self._facts(path).tries * plain.count):
            logs: list[float] = []
            body = self._plain_body(plain, path, number)
            try:
                async with aclosing(self._exchange(path, plain.prompt, body, logs)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Completion):
                            done.append(piece)
                            written.append(Candidate(piece.text, likelihood(logs)))
            except MalformedCompletion as error:
                failed = error
        texts = chosen(written, plain)
        if not texts:
            unfit = failed or MalformedCompletion("all texts repeat what the model was shown")
            unfit.target = f"{self.name}:{path.stem}"
            raise charge(unfit, _sum(done) or charge_of(unfit))
        return replace(done[-1], text=plain.wrap(texts), usage=_sum(done))

    async def _exchange(
        self, path: Path, prompt: Prompt, body: dict[str, Any], logs: list[float] | None = None
    ) -> AsyncGenerator[str | Completion, None]:
        """Have *body* answered: give its pieces and last the whole; *logs* takes what each token's probability was."""
        reader = ChatReader({}, failure)
        pieces: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        left = threading.Event()
        loop = asyncio.get_running_loop()

        def tell(piece: dict[str, Any] | None) -> bool:
            """Hand a piece over; say whether nobody wants more."""
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except RuntimeError:  # the loop has ended, and with it whoever asked
                left.set()
            return left.is_set()

        def work() -> None:
            """Compute the answer; called on the worker's thread."""
            if not left.is_set():
                self._model_at(path).handle_chat_completions(body, tell)

        running = self._worker.submit(work)
        running.add_done_callback(lambda _: tell(None))
        try:
            while (piece := await pieces.get()) is not None:
                if text := reader.add(piece):
                    yield text
                if logs is not None:
                    logs += _logs(piece)
            _raise_failure(running)
            completion = reader.completion()
            if completion.stop is None:
                raise TruncatedStream("the answer has no end")
            refuse_unfinished(completion, prompt, body["max_tokens"])
            yield replace(completion, model=path.stem)
        except ProviderError as error:
            error.target = error.target or f"{self.name}:{path.stem}"
            if charge_of(error) is None:
                charge(error, reader.usage())
            raise
        finally:
            left.set()

    async def aclose(self) -> None:
        """Let the call in progress end, and give the models back."""
        await asyncio.to_thread(self._worker.shutdown, cancel_futures=True)
        self._loaded.clear()

    def _path(self, prompt: Prompt) -> Path:
        named = self.model_of(prompt)
        if not named:
            raise ConfigurationError(
                "llamacpp needs a model file: name one, llamacpp:/path/model.gguf, or set COPYKIT_LLAMACPP_MODEL"
            )
        return Path(named).expanduser()

    def _model_at(self, path: Path) -> Loaded:
        """Give the model of *path*, read at its first use; called on the worker's thread alone."""
        loaded = self._loaded.pop(path, None)
        if loaded is None:
            if not _is_file(path):
                raise ModelNotFound(f"no such model file: {path.name}")
            while len(self._loaded) >= _MOST_LOADED:
                del self._loaded[next(iter(self._loaded))]
            loaded = self._load(path, self._context, self._threads)
        self._loaded[path] = loaded
        return loaded

    def _facts(self, path: Path) -> ModelFacts:
        return model_facts(self.name, path.name)  # a folder's name says nothing of the model

    def _plain(self, prompt: Prompt) -> PlainPrompt | None:
        """Give *prompt* plainly, if its model needs that and what is asked can be said so."""
        if self._facts(Path(self.model_of(prompt))).prompt != "plain":
            return None
        plain = plain_of(prompt)
        return plain if plain is not None and plain.grammar else None

    def _max_tokens(self, prompt: Prompt) -> int:
        return min(prompt.max_output_tokens, self._facts(Path(self.model_of(prompt))).output)

    def _body(self, prompt: Prompt, path: Path) -> dict[str, Any]:
        body = chat_body(prompt, path.stem, self._facts(path), streamed=True)
        schema = _bounded(prompt.schema, len(prompt.brief.structure.steps))
        return {
            **body,
            "max_tokens": self._max_tokens(prompt),
            "repeat_penalty": _REPEAT_PENALTY,
            "response_format": response_format(schema),
        }

    def _plain_body(self, plain: PlainPrompt, path: Path, number: int) -> dict[str, Any]:
        """Put *plain* for its text of that *number*, from 0: each has a seed of its own, and all of them always the same."""
        body = chat_body(plain.prompt, path.stem, self._facts(path), streamed=True)
        return {
            **body,
            "messages": plain.messages(),
            "max_tokens": plain.max_output_tokens,
            "seed": plain.seed + number,
            "logprobs": True,
            "grammar": plain.grammar,
        }


def _logs(piece: dict[str, Any]) -> list[float]:
    """Give the logarithms of probabilities that a piece tells, a token each."""
    told = (choice.get("logprobs") or {} for choice in piece.get("choices") or ())
    return [float(token["logprob"]) for one in told for token in one.get("content") or ()]


def _sum(done: Sequence[Completion]) -> Usage | None:
    """Add up what the texts took."""
    known = [one.usage for one in done if one.usage is not None]
    if not known:
        return None
    return Usage(
        input_tokens=sum(one.input_tokens or 0 for one in known),
        output_tokens=sum(one.output_tokens or 0 for one in known),
        cached_tokens=sum(one.cached_tokens or 0 for one in known),
    )


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _bounded(schema: dict[str, Any], most: int) -> dict[str, Any]:
    """Give *schema* with a bound on lists that have none: a small model may go on with one for ever."""
    bounded = dict(schema)
    if "items" in schema:
        bounded["items"] = _bounded(schema["items"], most)
        bounded.setdefault("maxItems", most)
    if "properties" in schema:
        bounded["properties"] = {name: _bounded(part, most) for name, part in schema["properties"].items()}
    return bounded


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that the system refuses, such as one of more than 255 bytes
        return False


def _raise_failure(ended: Future[None]) -> None:
    """Raise what went wrong on the worker's thread, as an error of our tree."""
    try:
        ended.result()
    except CancelledError:
        raise ProviderError("the provider was closed before the call began", retryable=False) from None
    except CopykitError:
        raise
    except (ValueError, RuntimeError, MemoryError) as error:  # what the binding makes of all that went wrong
        raise ProviderError(without_keys(f"llama.cpp: {error}"), retryable=False) from error
