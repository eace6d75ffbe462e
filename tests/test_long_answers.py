"""A model may answer with anything, as long as it likes: eight times the length takes no more than some times the time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from brief_maker import make_brief
from copykit.brief.links import find_links, find_mails
from copykit.drafts.accept import judge_each
from copykit.drafts.check import Checker
from copykit.drafts.draft import Draft
from copykit.drafts.parse import decode, parse_texts
from copykit.drafts.repair import repair
from copykit.errors import MalformedCompletion, TruncatedStream
from copykit.models import Violation
from copykit.providers.events import EventStream
from copykit.streaming import FieldReader

POST = make_brief("x.post")
SPANISH = make_brief("x.post", language="es")
ADS = make_brief("google_ads.rsa")
GROWTH = 8
SLACK = 3.5
"""Eight times the text in more than this many times eightfold time is no linear reader: a quadratic one takes 64."""


def _parsed(text: str) -> None:
    for brief in (POST, ADS):
        with suppress(MalformedCompletion):
            decode(text, brief)
    with suppress(MalformedCompletion):
        parse_texts(text, POST, 1)


def _streamed(text: str) -> None:
    reader = FieldReader(frozenset({"text"}))
    for at in range(0, len(text), 7):
        list(reader.feed(text[at : at + 7]))


def _events(text: str) -> None:
    stream, data = EventStream(), text.encode()
    with suppress(TruncatedStream):
        for at in range(0, len(data), 64):
            stream.feed(data[at : at + 64])
        stream.end()


def _checked(text: str) -> None:
    for brief in (POST, SPANISH, ADS):
        spec = brief.fields[0]
        Checker(brief, written_by_model=True).text(spec, text, spec.name)


def _mended(text: str) -> None:
    wrong = Violation(rule="M-16", severity="error", field="text", message="markup")
    for brief in (POST, SPANISH):
        repair(Draft({"text": text}), [wrong], brief)


def _judged(text: str) -> None:
    judge_each([Draft({"text": text})], POST, written_by_model=True)


def _addresses(text: str) -> None:
    find_links(text)
    find_mails(text)


CASES: dict[str, tuple[Callable[[str], object], Callable[[int], str]]] = {
    "fences that nobody closes": (_parsed, lambda n: "```json\n{\n" * (n // 10)),
    "fences within fences": (_parsed, lambda n: "```\n~~~\nx\n" * (n // 10)),
    "a word and spaces": (_parsed, lambda n: "Headline" + " " * n + "x"),
    "a name and tabs": (_parsed, lambda n: "Variant" + "\t" * n + "x"),
    "a name and low lines": (_parsed, lambda n: "a" + "_" * n + '"'),
    "brackets and quotes": (_parsed, lambda n: '["' * (n // 2)),
    "keys": (_parsed, lambda n: '{"a":' * (n // 5)),
    "commas": (_parsed, lambda n: "{" + ", " * (n // 2)),
    "nested brackets, streamed": (_streamed, lambda n: '["' * (n // 2)),
    "nested objects, streamed": (_streamed, lambda n: '{"fields":' * (n // 10)),
    "a long text, streamed": (_streamed, lambda n: '{"variants":[{"fields":{"text":"' + "a" * n),
    "a long line of events": (_events, lambda n: "data: " + "a" * n),
    "many lines of events": (_events, lambda n: "data:\n" * (n // 6)),
    "marks without an end": (_checked, lambda n: "a " + "?" * n + "x"),
    "dots without an end": (_checked, lambda n: "a " + "…" * n + "x"),
    "a clause that asks nothing": (_checked, lambda n: "Ya! " + "“{}" * (n // 3)),
    "stars": (_checked, lambda n: "**" * (n // 2)),
    "open brackets": (_checked, lambda n: "[" * n + "**"),
    "open placeholders": (_checked, lambda n: "[name " * (n // 6)),
    "a letter run behind a percent sign": (_checked, lambda n: "%" + "a" * n),
    "empty lines before a label": (_checked, lambda n: "x" + "\n" * n + ": a"),
    "a claim again and again": (_checked, lambda n: "#1 " * (n // 3)),
    "spaces inside": (_mended, lambda n: "a" + " " * n + "b"),
    "empty lines inside": (_mended, lambda n: "a" + "\n" * n + "b"),
    "exclamations": (_mended, lambda n: "a" + "!" * n + "b"),
    "addresses": (_mended, lambda n: "http://a.b " * (n // 11)),
    "one word": (_judged, lambda n: "1" * n),
    "accents": (_judged, lambda n: "a\u0301" * (n // 2)),
    "addresses and figures": (_judged, lambda n: "http://a.b 7 " * (n // 13)),
    "a word and a sign": (_addresses, lambda n: "a" * n + " @"),
    "hyphens and a sign": (_addresses, lambda n: "a-" * (n // 2) + " @."),
}


def _took_s(read: Callable[[str], object], text: str) -> float:
    best = 60.0
    for _ in range(3):
        began = time.process_time()
        read(text)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("name", CASES)
def test_time_grows_with_the_length(name: str) -> None:
    """
    Nothing a model repeats makes a reader slower than its length does: no answer holds up all others.
    """
    read, made = CASES[name]
    read(made(64))  # compiles what is compiled at first use
    size, text = 256, made(256)
    while _took_s(read, text) < 0.002 and size < 2**13:
        size, text = size * 2, made(size * 2)
    gc.collect()
    ratio = _took_s(read, made(size * GROWTH)) / max(_took_s(read, text), 0.001)
    assert ratio < GROWTH * SLACK
