"""The readers that are fuzzed: each takes one input and may raise only what its own documentation names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from math import isfinite
from typing import Any

from copykit.brief.compile import compile_brief
from copykit.brief.prompt import build_prompt
from copykit.client import AsyncClient, BatchAnswer
from copykit.drafts.parse import parse, parse_texts
from copykit.errors import (
    CopykitError,
    MalformedCompletion,
    ProviderError,
    ProviderProtocolError,
    TruncatedStream,
)
from copykit.legacy import LegacyResult
from copykit.models import CopywritingInput, CopywritingOutput, Usage
from copykit.providers.anthropic import Anthropic
from copykit.providers.base import Completion, Embedder, Embeddings, charge_of
from copykit.providers.events import Event, EventStream
from copykit.providers.google import Google
from copykit.providers.openai import OpenAI
from copykit.providers.openrouter import OpenRouter
from copykit.settings import Secret
from copykit.stream_events import StreamEvent, StreamFailed, StreamFinished
from copykit.streaming import FieldReader

from .wires import Wire, pieces, run

__all__ = ["KEY", "MAX_BYTES", "READERS", "read"]

KEY = "sk-canary-5f0c1d2e3b4a5968"
MAX_BYTES = 2**11
"""Largest input that is made."""
LONGEST_S = 0.5
"""Processor time that one input may take: a hundredfold of what the largest takes."""

BRIEFS = [
    compile_brief(
        CopywritingInput(product_description="Oak desk, 120x60 cm", target_platform=place, variants=2)
    )
    for place in ("x.post", "google_ads.rsa")
]
_PROMPT = build_prompt(BRIEFS[0], nonce="5f0c1d2e3b4a5968")
_WIRE = Wire()


def _provider(kind: Any) -> Any:
    """Make a provider that words its request once: to do so takes longer than to read most answers."""
    provider = kind(key=Secret(KEY), client=_WIRE)
    asked = run(provider._call(_PROMPT, streamed=False))._replace(body={})

    async def call(*_: object, **__: object) -> Any:
        return asked

    provider._call = call
    return provider


_VENDORS = {kind.name: _provider(kind) for kind in (OpenAI, Anthropic, Google, OpenRouter)}


def read(name: str, data: bytes) -> None:
    """Give *data* to one reader; raises whatever is wrong with it."""
    began = time.process_time()
    READERS[name](data)
    took_s = time.process_time() - began
    if took_s > LONGEST_S:
        raise TimeoutError(f"{took_s:.2f} s for {len(data)} bytes")


def _events(data: bytes) -> None:
    """Read an event stream: the same events however it is cut, or an error that its documentation names."""
    assert _parsed([data]) == _parsed(list(pieces(data)))


def _parsed(chunks: list[bytes]) -> tuple[list[Event], str]:
    stream, found = EventStream(200), []
    try:
        for chunk in chunks:
            found += stream.feed(chunk)
        stream.end()
    except (ProviderProtocolError, TruncatedStream) as error:
        # a whole chunk is refused at once, so what stands before the event that is too large may be missing
        return ([] if type(error) is ProviderProtocolError else found), type(error).__name__
    return found, ""


def _answer(vendor: str) -> Callable[[bytes], None]:
    provider = _VENDORS[vendor]
    calls = [lambda: provider.complete(_PROMPT), provider.models]
    if isinstance(provider, Embedder):
        calls.append(lambda: provider.embed(["a", "b"]))

    def read_one(data: bytes) -> None:
        """Read the same bytes as an answer, as a list of models and as vectors."""
        _WIRE.data = data
        for call in (
            calls if len(data) % 4 == 0 else calls[:1]
        ):  # most of the time goes to what copy comes from
            try:
                result = run(call())
            except ProviderError as error:
                _check_error(error)
            else:
                if isinstance(result, Completion):
                    _check_completion(result)
                elif isinstance(result, Embeddings):
                    _check_words(result.model)
                    _check_usage(result.usage)
                    assert all(isfinite(number) for row in result.vectors for number in row)
                else:
                    for row in result:
                        _check_words(row.name)
                        _check_words(row.retires or "")

    return read_one


def _stream(vendor: str) -> Callable[[bytes], None]:
    provider = _VENDORS[vendor]

    async def whole() -> list[str | Completion]:
        return [piece async for piece in provider.stream(_PROMPT)]

    def read_one(data: bytes) -> None:
        """Read a streamed answer: its pieces are its text."""
        _WIRE.data = data
        try:
            *texts, last = run(whole())
        except ProviderError as error:
            _check_error(error)
        else:
            assert isinstance(last, Completion)
            assert "".join(map(str, texts)) == last.text
            for piece in texts:
                str(piece).encode()
            _check_completion(last)

    return read_one


def _check_error(error: ProviderError) -> None:
    """Short, one line, without the key, fit to be written anywhere, whole after pickling."""
    kind, (made, message, state) = error.__reduce__()
    assert (made, message, state) == (type(error), error.message, error.__dict__), kind
    for told in (error.message, error.code, error.target, getattr(error, "category", None) or ""):
        _check_words(told)
    getattr(error, "excerpt", "").encode()
    after_s = getattr(error, "retry_after_s", None)
    assert after_s is None or 0 <= after_s < float("inf")
    _check_usage(charge_of(error))


def _check_completion(completion: Completion) -> None:
    """Text, and facts about it that can be shown and added up."""
    assert completion.text.strip()
    completion.text.encode()
    assert KEY not in completion.text
    assert isinstance(completion.model, str)
    for told in (completion.model, completion.stop or "", completion.request_id or "", *completion.info):
        _check_words(told)
    _check_usage(completion.usage)


def _check_words(told: str) -> None:
    told.encode()
    assert len(told) <= 500, f"{len(told)} characters are told"
    assert told.isprintable(), f"{told[:80]!r} is told"
    assert KEY not in told


def _check_usage(usage: Usage | None) -> None:
    if usage is None:
        return
    for value in usage.model_dump().values():
        assert value is None or (isinstance(value, int | float) and 0 <= value <= 1e9)
    json.loads(usage.model_dump_json())


def _drafts(data: bytes) -> None:
    """Read copy out of an answer, for a placement with one text and for one with lists."""
    text = _text(data)
    for brief in BRIEFS:
        try:
            drafts = parse(text, brief)
        except MalformedCompletion as error:
            _check_error(error)
            continue
        names = {spec.name for spec in brief.fields}
        assert 1 <= len(drafts) <= brief.request.variants
        for draft in drafts:
            assert draft.fields.keys() <= names
            for value in draft.fields.values():
                for one in value if isinstance(value, list) else [value]:
                    assert one.strip()
                    one.encode()


def _texts(data: bytes) -> None:
    """Read the answer to a request for single texts."""
    text = _text(data)
    for count in (1, 3):
        try:
            texts = parse_texts(text, BRIEFS[0], count)
        except MalformedCompletion:
            continue
        assert texts
        assert texts.keys() <= set(range(1, count + 1))
        for one in texts.values():
            assert one.strip()
            one.encode()


def _fields(data: bytes) -> None:
    """Read the fields of an answer while it comes: the same texts however it is cut, each the sum of its pieces."""
    text = data.decode(errors="replace")
    whole = _shown([text])
    assert whole == _shown([text[at : at + 1 + at % 7] for at in _starts(len(text))])


def _starts(length: int) -> list[int]:
    starts, at = [], 0
    while at < length:
        starts.append(at)
        at += 1 + at % 7
    return starts


def _shown(chunks: list[str]) -> list[tuple[int, str, str]]:
    reader = FieldReader(frozenset({"text", "headlines", "descriptions"}))
    ended, pieces = [], []
    for chunk in chunks:
        for variant, label, said, is_whole in reader.feed(chunk):
            said.encode()
            if not is_whole:
                pieces.append(said)
                continue
            assert said == "".join(pieces)
            ended.append((variant, label, said))
            pieces = []
    return ended


def _text(data: bytes) -> str:
    """Give what a model may have said; behind a backslash what is no UTF-8 stands for what UTF-8 cannot hold."""
    if data[:1] == b"\\":
        return data[1:].decode(errors="surrogateescape")
    return data.decode(errors="replace")


_CLIENT = AsyncClient("http://127.0.0.1:8000", key=KEY, http=_WIRE)


def _client_answer(data: bytes) -> None:
    """Read the same bytes as each kind of answer of a service: what is asked for, or a declared error."""
    _WIRE.data = data
    brief = {"product_description": "Oak desk", "target_platform": "x"}
    for call, kind in (
        (lambda: _CLIENT.generate(brief), CopywritingOutput),
        (lambda: _CLIENT.generate_legacy(brief), LegacyResult),
        (lambda: _CLIENT.batch([brief]), BatchAnswer),
        (lambda: _CLIENT.batch_legacy([brief]), BatchAnswer),
        (lambda: _CLIENT.health(), dict),
        (lambda: _CLIENT.ready(), bool),
        (lambda: _CLIENT.prometheus(), str),
    ):
        try:
            answer = run(call())
        except CopykitError as error:
            _check_told(error)
            continue
        assert isinstance(answer, kind)
        for item in answer if isinstance(answer, BatchAnswer) else ():
            assert item.error is None or isinstance(item.error, CopykitError)


def _client_stream(data: bytes) -> None:
    """Read a stream of a service: one end, and it is the last event."""
    _WIRE.data = data

    async def whole() -> list[StreamEvent]:
        events = _CLIENT.stream({"product_description": "Oak desk", "target_platform": "x"})
        return [event async for event in events]

    *told, last = run(whole())
    assert isinstance(last, StreamFinished | StreamFailed)
    assert not any(isinstance(event, StreamFinished | StreamFailed) for event in told)
    if isinstance(last, StreamFailed):
        _check_told(last.error)


def _check_told(error: CopykitError) -> None:
    """One line, whoever sent it, and whole after pickling."""
    assert error.message.isprintable()
    assert len(error.message) <= 1_000
    kind, (made, message, _) = error.__reduce__()
    assert (made, message) == (type(error), error.message), kind
    error.code.encode()
    after_s = getattr(error, "retry_after_s", None)
    assert after_s is None or 0 <= after_s < float("inf")


READERS: dict[str, Callable[[bytes], None]] = {
    "events": _events,
    **{f"{vendor}-answer": _answer(vendor) for vendor in _VENDORS},
    **{f"{vendor}-stream": _stream(vendor) for vendor in _VENDORS},
    "drafts": _drafts,
    "texts": _texts,
    "fields": _fields,
    "client-answer": _client_answer,
    "client-stream": _client_stream,
}
