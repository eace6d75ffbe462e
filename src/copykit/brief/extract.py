"""Read a description: what is the thing called, what is it, which details and sentences can be reused.

Everything is taken from the text as it stands. What cannot be told apart safely stays empty, because a
wrong noun phrase in a headline is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from copykit.brief.clean import sentence_case
from copykit.data import load_toml

__all__ = ["Extract", "extract", "split_sentences"]

_MAX_ITEM_WORDS = 6
_MAX_ATTRIBUTE_WORDS = 5
_MAX_ATTRIBUTE_CHARS = 48
_MAX_WIDE_CHARS = 16
_MAX_PASSAGE = 240
_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[^\sa-zà-ÿ])|(?<=[。！？।؟])\s*|\n+")
_DASH = re.compile(r"\s+[-–—|]\s+|\s*[:：]\s+")
_COMMA = re.compile(r"\s*[,;，；、،؛]\s+|\s*[，；、]\s*")
_BULLET = re.compile(r"^\s*(?:[-*•·‣▪●–]|\d{1,2}[.)])\s+")
_FINAL = ".!?…。！？।؟"
_TRAILING_CODE = re.compile(r"\s*[\[(]?\b(?:SKU|REF|Ref\.?|Art\.?(?:-Nr\.?)?|No\.)\s?[:#]?\s?[\w-]+[\])]?$")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")


@dataclass(frozen=True, slots=True)
class Extract:
    """What a description says, in its own words."""

    name: str
    item: str
    attributes: tuple[str, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Words:
    articles: frozenset[str]
    anaphora: frozenset[str]
    openers: frozenset[str]
    cuts: frozenset[str]
    dangling: frozenset[str]


@cache
def _words(language: str) -> _Words:
    table = load_toml("extraction.toml")
    entry = table.get(language) or table.get(language.partition("-")[0]) or {}
    keys = ("articles", "anaphora", "openers", "cuts", "dangling")
    return _Words(*(frozenset(entry.get(key, "").split()) for key in keys))


def split_sentences(text: str) -> list[str]:
    """Split at sentence marks of any of the catalogue's scripts and at line breaks; marks stay on."""
    return [s.strip() for s in _SENTENCE.split(text) if s and s.strip()]


def extract(description: str, name: str, language: str) -> Extract:
    """Take *description* (plain text) apart; *name* is the product name if it is known.

    *language* is the base tag, for articles, pronouns and words that cannot open an item.
    """
    words = _words(language)
    units = [_BULLET.sub("", unit) for unit in split_sentences(description)]
    if not units:
        return Extract(name, "", (), ())
    first, rest = units[0], units[1:]
    found_name, lead = ("", first) if name else _leading_name(first)
    lead, remainder = _split_lead(lead, name or found_name)
    item = _item(lead, words, first)
    if _says_the_same(name or found_name, item):
        item = ""
    fragments = _fragments(remainder, words)
    attributes = [
        *fragments,
        *(line for line in (_attribute_line(unit, words) for unit in rest) if line),
    ]
    whole = rest if fragments and item else units  # the first unit is a list that was taken apart
    sentences = tuple(_passages(whole, words))
    return Extract(name or found_name, item, _distinct(attributes, item, name), sentences)


def _leading_name(text: str) -> tuple[str, str]:
    head, *tail = _DASH.split(text, maxsplit=1)
    head_words = head.split()
    if tail and 1 <= len(head_words) <= 4 and all(w[:1].isupper() or w[:1].isdigit() for w in head_words):
        return head.strip(), tail[0]
    first, _, rest = text.partition(" ")
    if rest and len(first) >= 3 and first.isalpha() and first.isupper() and not rest.split()[0].isupper():
        return first, rest
    return "", text


def _split_lead(text: str, name: str) -> tuple[str, str]:
    """Split off what stands before the first comma, dash or colon."""
    text = _TRAILING_CODE.sub("", text)
    if name and text.casefold().startswith(name.casefold()):
        rest = text[len(name) :].lstrip(" ,:–—-|")
        text = rest or text
    cut = min((m.start() for m in (_DASH.search(text), _COMMA.search(text)) if m), default=len(text))
    return text[:cut].strip(), text[cut:].strip(" ,;:–—-|，；、،؛：")


def _item(lead: str, words: _Words, first: str) -> str:
    lead = sentence_case(lead.rstrip(_FINAL).strip())
    tokens = lead.split()
    if tokens and tokens[0].casefold() in words.articles:
        tokens = tokens[1:]
    if not tokens or tokens[0].casefold() in words.openers or tokens[0].casefold() in words.anaphora:
        return ""
    for index, token in enumerate(tokens):
        if index and token.casefold() in words.cuts:
            tokens = tokens[:index]
            break
    if _WIDE.search(lead):
        return lead if len(lead) <= _MAX_WIDE_CHARS and first[-1] not in "。！？" else ""
    if len(tokens) > _MAX_ITEM_WORDS or tokens[-1].casefold() in words.dangling:
        return ""
    if first[-1] in _FINAL and len(first.split()) > _MAX_ITEM_WORDS + 2:
        return ""  # prose: its opening words are the start of a clause, not a name of the thing
    item = " ".join(tokens)
    return item[:1].upper() + item[1:]


def _fragments(text: str, words: _Words) -> list[str]:
    """Take the list behind the item apart; only when every piece is a short fragment."""
    if not text:
        return []
    pieces = [piece.strip().rstrip(".。") for piece in _COMMA.split(text)]
    if not all(_is_fragment(piece, words) for piece in pieces):
        return [p for p in pieces if _is_fragment(p, words) and any(c.isdigit() for c in p)]
    return pieces


def _is_fragment(piece: str, words: _Words) -> bool:
    tokens = piece.split()
    if not tokens or len(piece) > _MAX_ATTRIBUTE_CHARS or len(tokens) > _MAX_ATTRIBUTE_WORDS:
        return False
    if _WIDE.search(piece) and len(piece) > _MAX_WIDE_CHARS:
        return False
    if tokens[0].casefold() in words.dangling or tokens[-1].casefold() in words.dangling:
        return False
    return not any(mark in piece for mark in "!?！？؟") and piece.count("(") == piece.count(")")


def _attribute_line(unit: str, words: _Words) -> str:
    if unit[-1] in _FINAL:
        return ""
    return unit if _is_fragment(unit, words) else ""


def _passages(units: list[str], words: _Words) -> Iterator[str]:
    """Give what can be quoted: sentences that stand by themselves, with those behind them that point back."""
    passage = ""
    for unit in units:
        points_back = unit.split()[0].casefold().strip(",") in words.anaphora
        if points_back and passage and len(passage) + len(unit) < _MAX_PASSAGE and _complete(unit):
            passage = f"{passage}{'' if _WIDE.search(unit) else ' '}{unit}"
            continue
        if passage:
            yield passage
        passage = unit if _complete(unit) and not points_back and _readable(unit) else ""
    if passage:
        yield passage


def _complete(sentence: str) -> bool:
    return sentence[-1] in _FINAL and sentence.count("(") == sentence.count(")")


def _readable(sentence: str) -> bool:
    return 20 <= len(sentence) <= _MAX_PASSAGE or (bool(_WIDE.search(sentence)) and 8 <= len(sentence) <= 80)


def _says_the_same(name: str, item: str) -> bool:
    """Say whether a name of several words already says what the thing is: it shares a word with the item."""
    low_name, low_item = name.casefold(), item.casefold()
    if low_item == low_name:
        return True
    if _WIDE.search(item):
        return any(low_item[i : i + 2] in low_name for i in range(len(item) - 1)) and len(name) > 3
    shared = {w for w in low_name.split() if len(w) > 2} & {w for w in low_item.split() if len(w) > 2}
    return bool(shared) and len(low_name.split()) > 1


def _distinct(pieces: list[str], item: str, name: str) -> tuple[str, ...]:
    seen = {item.casefold(), name.casefold(), ""}
    result = []
    for piece in pieces:
        key = piece.casefold()
        if key not in seen:
            seen.add(key)
            result.append(sentence_case(piece))
    return tuple(result[:20])
