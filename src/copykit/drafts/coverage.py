"""Whether copy says a key point, by words in any form rather than by the exact phrase."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from copykit import data
from copykit.lazy import lazy

__all__ = ["covered", "covers", "stems", "tokens"]

_ENOUGH = 0.6  # share of a point's content words, rule C-01
_EDGES = " \t\n.,;:!?…。、，；：！？"

# `\w` leaves out vowel signs, tone marks and niqqud, which are parts of words.
_LOOSE = "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670"
_MARKS = _LOOSE + "\u0900-\u0963\u0981-\u09e3\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
_WORD = lazy(rf"[\w{_MARKS}]+")
_GROUPED = lazy(r"(\d)[.,'’\s\u00a0\u202f](?=\d{3}(?!\d))")
_DIGIT = lazy(r"\d")
_DROPPED = lazy(rf"[{_LOOSE}\u200b-\u200d\u2060\ufeff\u00ad\u0640]+")
_ALIKE = {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ى": "ي", "ک": "ك", "ی": "ي"}
_ALIKE_TABLE = str.maketrans(_ALIKE)
_KANA = lazy(r"[\u3041-\u309f]")


class _Rules(NamedTuple):
    """How words of one language are compared."""

    suffixes: tuple[str, ...]
    prefixes: tuple[str, ...]
    stop: frozenset[str]
    negation: frozenset[str]
    stem: int
    tail: int
    compound: bool
    unspaced: bool


class _Point(NamedTuple):
    """One key point, prepared once."""

    folded: str
    stems: tuple[str, ...]
    numbers: frozenset[str]
    negated: bool
    pairs: frozenset[str]


@cache
def _table() -> dict[str, dict[str, str | int | bool]]:
    loaded: dict[str, dict[str, str | int | bool]] = data.load_toml("stems/stems.toml")
    return loaded


@cache
def _rules(language: str) -> _Rules:
    defaults, own = _table()["defaults"], _table().get(language.split("-")[0].lower(), {})

    def words(key: str) -> set[str]:
        return {_fold(word) for word in str(own.get(key, "")).split()}

    return _Rules(
        suffixes=tuple(sorted(words("suffixes"), key=lambda s: (-len(s), s))),
        prefixes=tuple(sorted(words("prefixes"), key=lambda s: (-len(s), s))),
        stop=frozenset(words("stop")),
        negation=frozenset(words("negation")),
        stem=int(own.get("stem", defaults["stem"])),
        tail=int(own.get("tail", defaults["tail"])),
        compound=bool(own.get("compound", False)),
        unspaced=bool(own.get("unspaced", False)),
    )


_GAPS = {code: " " for code in range(128) if not chr(code).isalnum()}
_OTHER_DIGIT = lazy(r"[^\D0-9]")


def _fold(text: str) -> str:
    """Take case, accents, width and invisible characters away; vowel signs of Indic scripts and Thai stay."""
    if text.isascii():
        return text.lower()
    text = _DROPPED.sub("", unicodedata.normalize("NFKD", text.casefold()))
    if not text.isascii():
        # Decomposed Hangul and kana are put together again, so that a syllable is one character.
        text = unicodedata.normalize("NFC", text)
        if not _ALIKE.keys().isdisjoint(text):
            text = text.translate(_ALIKE_TABLE)
    return text


def _words(folded: str) -> list[str]:
    if _DIGIT.search(folded):
        if not folded.isascii() and _OTHER_DIGIT.search(folded):
            folded = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in folded)
        folded = _GROUPED.sub(r"\1", folded)
    if folded.isascii():
        return folded.translate(_GAPS).split()
    return _WORD.findall(folded.replace("_", " "))


def tokens(text: str) -> list[str]:
    """Give the words and numbers of *text*: case, accents and width folded, Latin digits, no separators."""
    return _words(_fold(text))


@lru_cache(maxsize=16384)
def _stem(word: str, language: str) -> str:
    rules = _rules(language)
    for prefix in rules.prefixes:
        if word.startswith(prefix) and len(word) - len(prefix) >= rules.stem:
            word = word[len(prefix) :]
            break
    for suffix in rules.suffixes:
        if word.endswith(suffix) and len(word) - len(suffix) >= rules.stem:
            return word[: -len(suffix)]
    return word


def stems(text: str, language: str) -> list[str]:
    """Give the stems of *text*'s content words, in order, words without content left out."""
    stop = _rules(language).stop
    return [_stem(word, language) for word in tokens(text) if word not in stop]


@lru_cache(maxsize=4096)
def _point(point: str, language: str) -> _Point:
    rules = _rules(language)
    words = tokens(point)
    numbers = frozenset(word for word in words if word[0].isdigit())
    if rules.unspaced:
        return _Point(
            _fold(point).strip(_EDGES), (), numbers, False, _pairs(w for w in words if w not in numbers)
        )
    content = [w for w in words if w not in rules.stop and w not in numbers] or [
        w for w in words if w not in numbers
    ]
    return _Point(
        folded=_fold(point).strip(_EDGES),
        stems=tuple(_stem(word, language) for word in content),
        numbers=numbers,
        negated=any(word in rules.negation for word in words),
        pairs=frozenset(),
    )


def _pairs(words: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for word in words:
        found.update([word] if len(word) == 1 else [word[i : i + 2] for i in range(len(word) - 1)])
    # Hiragana is mostly particles and endings: it counts only where there is nothing else.
    return frozenset(pair for pair in found if not _KANA.search(pair)) or frozenset(found)


def _stands_alone(phrase: str, text: str, unspaced: bool) -> bool:
    """Whether *phrase* occurs in *text* and is not the inside of longer words."""
    at = text.find(phrase)
    if unspaced and not phrase.isascii():
        return at >= 0
    while at >= 0:
        end = at + len(phrase)
        before = at > 0 and text[at - 1].isalnum() and phrase[0].isalnum()
        after = end < len(text) and text[end].isalnum() and phrase[-1].isalnum()
        if not (before or after):
            return True
        at = text.find(phrase, at + 1)
    return False


class _Text:
    """One text, with what its points need computed when first needed."""

    __slots__ = ("_joined", "_known", "_pairs", "_words", "folded", "language", "rules")

    def __init__(self, text: str, language: str) -> None:
        self.language, self.rules, self.folded = language, _rules(language), _fold(text)
        self._words: frozenset[str] | None = None
        self._known: frozenset[str] | None = None
        self._pairs: frozenset[str] | None = None
        self._joined = ""

    def words(self) -> frozenset[str]:
        if self._words is None:
            self._words = frozenset(_words(self.folded))
        return self._words

    def says(self, point: _Point) -> bool:
        if not point.folded or _stands_alone(point.folded, self.folded, self.rules.unspaced):
            return True
        if not point.numbers <= self.words():
            return False
        if self.rules.unspaced:
            if self._pairs is None:
                self._pairs = _pairs(self.words())
            return len(point.pairs & self._pairs) >= _ENOUGH * max(1, len(point.pairs))
        if point.negated and self.rules.negation.isdisjoint(self.words()):
            return False
        if not point.stems:
            return bool(point.numbers)
        if self._known is None:
            self._known = frozenset([_stem(word, self.language) for word in self.words()])
        known = self._known
        found = sum([stem in known or self._resembles(stem, known) for stem in point.stems])
        return found >= _ENOUGH * len(point.stems)

    def _resembles(self, stem: str, known: frozenset[str]) -> bool:
        """Whether a word of the text begins with *stem* or the reverse, or contains it (compounds)."""
        tail, size = self.rules.tail, len(stem)
        shortest = 2 if "가" <= stem[0] <= "힣" else 4
        if not tail or size < shortest:
            return False
        if any(stem[:cut] in known for cut in range(max(shortest, size - tail), size)):
            return True
        if not self._joined:
            self._joined = f" {' '.join(known)} "
        joined = self._joined
        if self.rules.compound and size >= 5 and stem in joined:
            return True
        at = joined.find(" " + stem)
        while at >= 0:
            if joined.index(" ", at + 1) - at - 1 - size <= tail:
                return True
            at = joined.find(" " + stem, at + 1)
        return False


@lru_cache(maxsize=64)
def _text(text: str, language: str) -> _Text:
    # Checks, scores and the phrase bank ask about the same text one after the other.
    return _Text(text, language)


def covers(text: str, point: str, language: str) -> bool:
    """Tell whether *text* says *point*: the phrase itself, or at least 0.6 of its content words in some form.

    Numbers of the point must all occur, in any digits, and a negated point (``without sugar``) needs a
    negation in the text. Japanese, Chinese and Thai are compared by pairs of characters. An empty point is
    covered by anything. The stemming is light (data/stems/stems.toml): it drops endings, it knows no grammar.
    """
    return _text(text, language).says(_point(point, language))


def covered(points: Sequence[str], text: str, language: str) -> list[bool]:
    """Tell for each of *points* whether *text* says it; see `covers`. *language* is a catalogue tag."""
    if not points:
        return []
    prepared = _text(text, language)
    return [prepared.says(_point(point, language)) for point in points]
