"""Restrictions in plain words, turned into checks where code can know them.

A restriction is read with the words of its language (``data/restrictions``): a marker of avoidance, and
what it is about, in any order. What is forbidden becomes a *check* if it can be seen in a text: prices,
numbers, terms, emoji, hashtags, links, punctuation, superlatives and so on. What is asked for, what depends
on a condition or on one field, and what only a reader can judge stays *guidance*. The result says which is
which.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Literal

from copykit.brief.catalog import Language
from copykit.brief.figures import Figures
from copykit.brief.links import find_links, find_mails
from copykit.brief.terms import TermSet
from copykit.data import load_toml, names
from copykit.errors import InvalidRequest
from copykit.lazy import lazy
from copykit.models import Brand

__all__ = ["Restriction", "compile_restrictions", "contradictions"]

Span = tuple[int, int]
Finder = Callable[[str], list[Span]]

_MARKS = (
    "exclamation",
    "question",
    "ellipsis",
    "dash",
    "semicolon",
    "colon",
    "parenthesis",
    "asterisk",
    "ampersand",
)
_COUNTABLE = frozenset(("emoji", "hashtag", "link", "number", "superlative", *_MARKS))
_QUOTED = lazy(
    r"“([^“”„]+)[”“]|„([^“”„]+)[“”\"]|”([^”]+)”|«\s*([^«»]+?)\s*»|»([^«»]+)«|「([^「」]+)」|『([^『』]+)』"
    r"|\"([^\"]+)\"|‘([^‘’]+(?:’\w[^‘’]*)*)’(?!\w)|‚([^‚‘]+)‘|《([^《》]+)》|(?<![^\s(:,/])'([^']+(?:'\w[^']*)?)'(?![^\W_])|`([^`]+)`"
)
_PHONE = lazy(r"(?<![\w.,])\+?\(?\d[\d ().\-/]{6,}\d(?!\w)")
_HASHTAG = lazy(r"(?<![\w&/])[#＃][\w\u0900-\u0dff]*[^\W\d_][\w\u0900-\u0dff]*")
_CAPITALS = lazy(r"[^\W\d_]{2,}(?:[-'’&][^\W\d_]+)*")
# Letters and the vowel signs of Indic scripts, which `\w` leaves out; the danda between them ends a word.
_LETTER = r"[\w\u0900-\u0963\u0966-\u09e3\u09e6-\u0dff\u0300-\u036f\u064b-\u0652]"
_LONG_TERM = 5
# Full-width letters and digits as plain ones; what is invisible goes.
_TYPED: dict[int, int | None] = {
    code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B))
}
_TYPED |= {code: code - 0xFEE0 for code in range(0xFF41, 0xFF5B)} | {ord("＃"): ord("#")}
_TYPED |= dict.fromkeys((0x200B, 0x2060, 0xFEFF, 0x00AD, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E))
_LONG_SHOUT = 4


@dataclass(frozen=True, slots=True)
class Restriction:
    """What one restriction of the brief came to; a text that forbids two things gives two of these."""

    text: str
    """The caller's words."""
    kind: str
    """price, number, percent, discount, term, competitor, emoji, hashtag, link, punctuation, superlative,
    caps, date, contact; ``unknown`` if not understood."""
    enforced: Literal["check", "guidance"]
    """check: `find` sees it. guidance: only a reader or a model can follow it."""
    values: tuple[str, ...] = ()
    """The terms or marks concerned; for a counted restriction its maximum, as in ``max 2``."""
    max_count: int | None = None
    """How many a text may hold; None means none at all."""
    asks: bool = False
    """Whether it asks for the thing instead of forbidding it."""
    _finder: Finder | None = field(default=None, repr=False, compare=False)

    def find(self, text: str) -> list[Span]:
        """Give the spans of *text* that break it, in reading order; none for guidance.

        Of a counted restriction, the spans beyond the permitted number.
        """
        if self._finder is None or self.enforced != "check":
            return []
        spans = self._finder(text)
        return spans if self.max_count is None else spans[self.max_count :]


def compile_restrictions(
    texts: Sequence[str], *, language: Language, brand: Brand, name: str = ""
) -> tuple[Restriction, ...]:
    """Read a brief's restrictions, in the copy's language, in English, or in the one they turn out to be.

    Args:
        texts: The caller's words, one restriction a text; a text may forbid several things.
        language: Language of the copy: how prices, superlatives and words look in it.
        brand: Its competitors are what "no competitor names" means; its name and terms are never a breach of
            restrictions on numbers, capitals or punctuation.
        name: The product's name, treated like the brand's.

    Returns:
        At least one `Restriction` for each text that is not blank, in order. Deterministic.
    """
    known = tuple(n for n in (name, brand.name, *brand.terms) if n)
    found: list[Restriction] = []
    for text in texts:
        if text.strip():
            found.extend(_compiled(text.strip(), language, brand, known))
    return tuple(found)


def contradictions(
    restrictions: Sequence[Restriction],
    *,
    key_points: Sequence[str] = (),
    name: str = "",
    call_to_action: str = "",
) -> None:
    """Refuse restrictions that cannot be kept together, or not with the words the copy must carry.

    Raises:
        InvalidRequest: field ``restrictions``; the reason names both sides.
    """
    checks = [r for r in restrictions if r.enforced == "check" and r.max_count is None]
    for banned in checks:
        for asked in restrictions:
            if not asked.asks:
                continue
            same = asked.kind == banned.kind and (
                banned.kind not in ("term", "punctuation") or not set(asked.values).isdisjoint(banned.values)
            )
            quotes = banned.kind == "term" and asked.text != banned.text and banned.find(asked.text)
            if same or quotes:
                raise InvalidRequest(
                    "restrictions", banned.text, f"contradicts the restriction {asked.text!r}"
                )
        for point in key_points:
            if banned.find(point):
                raise InvalidRequest("restrictions", banned.text, f"contradicts the key point {point!r}")
        if banned.kind in ("term", "competitor") and name and banned.find(name):
            raise InvalidRequest("restrictions", banned.text, f"contradicts the name {name!r}")
        if call_to_action and banned.find(call_to_action):
            raise InvalidRequest(
                "restrictions", banned.text, f"contradicts the call to action {call_to_action!r}"
            )


def _compiled(text: str, language: Language, brand: Brand, known: tuple[str, ...]) -> list[Restriction]:
    found = [
        _restriction(text, reading, language, brand, known)
        for sentence in _sentences(unicodedata.normalize("NFC", text).translate(_TYPED))
        for reading in _read(sentence, language.tag.split("-")[0])
    ]
    return found or [Restriction(text, "unknown", "guidance")]


# A clause is read in many languages, one after the other.
@lru_cache(maxsize=64)
def _veiled(text: str) -> str:
    """Put a mark in the place of each character in quotes."""
    return _QUOTED.sub(lambda m: "\x01" * len(m.group()), text)


@lru_cache(maxsize=64)
def _unquoted(text: str) -> str:
    return _QUOTED.sub(" \x01 ", text)


def _sentences(text: str) -> Iterator[str]:
    """Part *text* where one instruction ends; what stands in quotes stays whole."""
    hidden = _veiled(text)
    cuts = [m.end() for m in re.finditer(r"[.;。；।\n]+(?=\s|$)|[。；।]|[.!！]$", hidden)]
    for start, end in pairwise(sorted({0, *cuts, len(text)})):
        if text[start:end].strip(" .;。；।\n"):
            yield text[start:end].strip()


def _read(sentence: str, base: str) -> list[_Reading]:
    """Read a sentence with the words of the language that understands most of it."""
    best: list[_Reading] = []
    for code in dict.fromkeys((base, "en", *names("restrictions", ".toml"))):
        readings = _Words.of(code).read(sentence)
        if _worth(readings) > _worth(best):
            best = readings
        # A kind that was understood settles the language; a term may be a word of another language.
        if best and all(r.worth >= _SURE and r.kind not in ("term", "unknown") for r in best):
            break
        if code == "en" and _worth(best) >= _SURE and not best[0].doubtful:
            break
    return best


_SURE = 3.0


def _worth(readings: list[_Reading]) -> float:
    """How much was understood: 0 nothing, from 3 up a check; what several clauses say adds up."""
    clauses: dict[int, float] = {}
    for reading in readings:
        clauses[reading.clause] = max(clauses.get(reading.clause, 0.0), reading.worth)
    return sum(clauses.values())


def _restriction(
    text: str, reading: _Reading, language: Language, brand: Brand, known: tuple[str, ...]
) -> Restriction:
    kind, values = reading.kind, reading.values
    if kind == "competitor":
        values = tuple(dict.fromkeys((*brand.competitors, *values)))
    shown = "punctuation" if kind in _MARKS else kind
    marks = values if kind not in _MARKS else (_marks()[kind][0],)
    if reading.verdict != "ban" or kind == "unknown" or (kind == "competitor" and not values):
        return Restriction(text, shown, "guidance", marks, asks=reading.verdict == "ask")
    finder = _finder(kind, values, language, reading.code)
    if kind in ("number", "caps", "exclamation", "question", "price", "superlative", *_MARKS) and known:
        finder = _sparing(finder, known)
    if reading.max_count is not None:
        marks = (f"max {reading.max_count}",)
    return Restriction(text, shown, "check", marks, reading.max_count, _finder=finder)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one clause says, in the words of one language."""

    code: str
    kind: str
    verdict: Literal["ban", "ask", "hint"]
    values: tuple[str, ...] = ()
    max_count: int | None = None
    worth: float = 0.0
    doubtful: bool = False
    clause: int = 0


class _Words:
    """The words of one language that restrictions are made of."""

    def __init__(self, code: str) -> None:
        raw = load_toml(f"restrictions/{code}.toml")
        self.code = code
        self.apart = raw.get("apart", True)
        self.prefix: str = raw.get("prefix", "")
        self.word_after: bool = raw.get("word_after", False)
        signs = load_toml("marks.toml")["signs"]
        self._lists = {key: self._shape([*raw.get(key, ()), *signs.get(key, ())]) for key in _LISTS}
        self._kinds = {
            kind: self._shape([*words, *signs.get(kind, ())]) for kind, words in raw["kinds"].items()
        }
        self._counts: dict[str, int] = {k.lower(): v for k, v in raw.get("counts", {}).items()}
        self._count = self._shape([*self._counts]) if self._counts else None
        tells = [word for key in _TELLING for word in (*raw.get(key, ()), *signs.get(key, ()))]
        tells += [word for kind, words in raw["kinds"].items() for word in (*words, *signs.get(kind, ()))]
        self._telling = self._shape(tells)
        self._join = self._shape(raw["join"])
        self._or = self._shape(raw["join"][:1])
        self.finds: dict[str, Any] = raw["find"]

    @staticmethod
    @cache
    def of(code: str) -> _Words:
        return _Words(code)

    def _shape(self, words: Iterable[str]) -> re.Pattern[str] | None:
        """Compile words of restrictions, which callers also type without their accents."""
        return _alternation(
            [typed for word in words for typed in _as_typed(word)], apart=self.apart, prefix=self.prefix
        )

    def find_shape(self, key: str) -> re.Pattern[str] | None:
        """Give the pattern of a word list of copy (price words, superlatives ...)."""
        return _alternation(self.finds.get(key, ()), apart=self.apart, prefix=self.prefix)

    def read(self, text: str) -> list[_Reading]:
        """Give what each clause of a sentence says; empty if no word of it is known."""
        return [
            replace(reading, clause=at)
            for at, clause in enumerate(self._clauses(text))
            for reading in self._clause(clause)
        ]

    def _clauses(self, text: str) -> Iterator[str]:
        hidden = _veiled(text)
        but = self._lists["but"]
        cuts = [m.start() for m in but.finditer(hidden.lower())] if but else []
        for start, end in pairwise(sorted({0, *cuts, len(text)})):
            if clause := text[start:end].strip():
                yield from self._parts(clause)

    def _parts(self, clause: str) -> Iterator[str]:
        """Give *clause* without the parts between commas that permit, and each of those ("no X, use Y")."""
        hidden = _veiled(clause).lower()
        cuts = [0, *(m.end() for m in re.finditer("[,،、，]", hidden)), len(clause)]
        parts = [(clause[a:b].strip(" ,،、，"), hidden[a:b].strip(" ,،、，")) for a, b in pairwise(cuts)]
        refuses = [any(shape and shape.search(low) for shape in self._refusals) for _, low in parts]
        if len(parts) == 1 or all(refuses) or not any(refuses):
            yield clause
            return
        permits = []
        for at, (_, low) in enumerate(parts):
            asks = self._starts(self._lists["say"], low)
            follows = any(refuses[:at]) or self._starts_refusing(parts[at + 1 : at + 2])
            joined = any(self._joins_verbs(later) for _, later in parts[at:])
            said = asks or bool(self._lists["fine"] and self._lists["fine"].search(low))
            permits.append(said and follows and not joined and not refuses[at])
        rest = ", ".join(part for (part, _), permit in zip(parts, permits, strict=True) if not permit)
        yield rest if any(permits) else clause
        yield from (part for (part, _), permit in zip(parts, permits, strict=True) if permit)

    def _joins_verbs(self, text: str) -> bool:
        """Whether "or" leads the part, or another verb in it: one refusal for a list of verbs."""
        if self._or is None:
            return False
        return any(
            not match.start() or self._starts(self._lists["say"], text[match.end() :].lstrip())
            for match in self._or.finditer(text)
        )

    @property
    def _refusals(self) -> tuple[re.Pattern[str] | None, ...]:
        return self._lists["avoid"], self._lists["dont"], self._lists["lacking"]

    def _starts_refusing(self, parts: Sequence[tuple[str, str]]) -> bool:
        return any(self._starts(shape, low) for _, low in parts for shape in self._refusals)

    def _starts(self, shape: re.Pattern[str] | None, text: str) -> bool:
        if filler := self._lists["filler"]:
            while (match := filler.match(text)) and match.end():
                text = text[match.end() :].lstrip()
        return shape is not None and shape.match(text) is not None

    def _clause(self, clause: str) -> list[_Reading]:
        # Most languages hold no word of it: that shows in one look instead of thirty.
        if self._telling and not _Rest(_unquoted(clause)).has(self._telling):
            return []
        said = self._said(clause)
        if said.count is not None:
            return self._counted(said, said.count)
        if said.anyway:
            # Two negations ask for what they name: "don't forget the price".
            said = replace(said, avoid=False, says=True, base=said.base + _SURE)
        if not said.avoid:
            return self._asked(said)
        if said.quoted:
            return self._quotes_banned(said)
        return self._banned(said)

    def _said(self, clause: str) -> _Said:
        """Take the markers and kinds out of *clause*; the order settles which of them a word is read as."""
        quoted = [next(g for g in m.groups() if g is not None).strip() for m in _QUOTED.finditer(clause)]
        rest = _Rest(_unquoted(clause))
        anyway = rest.has(self._lists["anyway"])
        below = rest.take(self._lists["under"])
        limited = rest.take(self._lists["limit"]) or below
        count = self._number(rest) if limited else None
        if count and below:
            count -= 1
        # Before the markers go: some conditions hold one ("sparingly" in Japanese).
        unless = rest.has(self._lists["unless"]) or rest.has(self._lists["scope"])
        dont = rest.take(self._lists["dont"])
        avoid = rest.take(self._lists["avoid"]) or dont
        style = rest.has(self._lists["style"])
        example = rest.has(self._lists["example"])
        with_nouns = rest.copy()
        # "Emoji-free" forbids; "sugar-free" is a word of the trade.
        bare = rest.copy()
        if bare.take(self._lists["lacking"]) and any(bare.has(shape) for shape in self._kinds.values()):
            rest, avoid = bare, True
        kinds = [kind for kind, shape in self._kinds.items() if rest.take(shape)]
        narrow = rest.has(self._lists["narrow"])
        says = bool(rest.take(self._lists["say"])) or dont
        return _Said(
            quoted=quoted,
            kinds=kinds,
            rest=rest,
            with_nouns=with_nouns,
            count=count,
            avoid=avoid,
            says=says,
            anyway=anyway,
            unless=unless,
            style=style,
            example=example,
            narrow=narrow,
            known=rest.known,
            base=1.0 + rest.known / 1000,
        )

    def _counted(self, said: _Said, most: int) -> list[_Reading]:
        verdict: Literal["ban", "hint"] = "hint" if said.unless else "ban"
        counted = [
            _Reading(self.code, kind, verdict, (), most, 4 + said.base)
            for kind in said.kinds
            if kind in _COUNTABLE
        ]
        named = said.kinds[0] if said.kinds else "unknown"
        return counted or [_Reading(self.code, named, "hint", worth=said.base)]

    def _asked(self, said: _Said) -> list[_Reading]:
        if said.quoted and said.says:
            return [_Reading(self.code, "term", "ask", tuple(said.quoted), worth=said.base)]
        verdict: Literal["ask", "hint"] = "ask" if said.says else "hint"
        if said.kinds:
            return [_Reading(self.code, kind, verdict, worth=said.base + 0.5) for kind in said.kinds]
        return [_Reading(self.code, "unknown", verdict, worth=said.known / 1000)] if said.known else []

    def _quotes_banned(self, said: _Said) -> list[_Reading]:
        """Read a ban of what stands in quotes, which may also be examples of a kind."""
        quoted = self._quoted(said.quoted, said.base, said.doubtful, said.kinds)
        if said.kinds and "competitor" not in said.kinds and said.example and not said.unless:
            return [*(_Reading(self.code, kind, "ban", worth=4 + said.base) for kind in said.kinds), quoted]
        return [quoted]

    def _banned(self, said: _Said) -> list[_Reading]:
        # "Price words" is about prices, "the word price" about a word: the marker stands apart from the noun.
        after_word = self._term_after_word(said.with_nouns)
        worded = said.says and said.rest.has(self._lists["word"]) and bool(after_word)
        if said.kinds and not worded:
            return self._kinds_banned(said)
        if said.unless or said.style:
            return [_Reading(self.code, "unknown", "hint", worth=said.base)]
        terms = after_word or (self._terms(said.rest) if said.says else tuple(self._capitalised(said.rest)))
        if terms and all(len(term.split()) <= _LONG_TERM for term in terms):
            worth = _SURE + said.base / 10
            return [_Reading(self.code, "term", "ban", terms, worth=worth, doubtful=said.doubtful)]
        return [_Reading(self.code, "unknown", "hint", worth=said.base / 2)]

    def _kinds_banned(self, said: _Said) -> list[_Reading]:
        if said.unless or said.narrow:
            return [_Reading(self.code, kind, "hint", worth=_SURE + said.base) for kind in said.kinds]
        found = []
        for kind in said.kinds:
            values = tuple(self._capitalised(said.rest, any_noun=True)) if kind == "competitor" else ()
            found.append(_Reading(self.code, kind, "ban", values, worth=4 + said.base))
        return found

    def _quoted(self, quoted: list[str], base: float, doubtful: bool, kinds: list[str]) -> _Reading:
        for kind, marks in _marks().items():
            if all(q.strip() and set(q.strip()) <= set(marks) for q in quoted):
                return _Reading(self.code, kind, "ban", worth=4 + base)
        if "#" in quoted and len(quoted) == 1:
            return _Reading(self.code, "hashtag", "ban", worth=4 + base)
        kind = "competitor" if "competitor" in kinds else "term"
        values = tuple(v for q in quoted for v in (q.strip(" ,.;、。，"),) if v)
        return _Reading(self.code, kind, "ban", values, worth=3.5 + base, doubtful=doubtful)

    def _number(self, rest: _Rest) -> int | None:
        plain = "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in rest.text)
        if match := re.search(r"\d{1,6}", plain):
            rest.blank(*match.span())
            return int(match.group())
        if self._count and (match := self._count.search(rest.text.lower())):
            word = match.group().strip()
            # A dual ("two hashtags" in one word) is also what is counted.
            if not any(shape and shape.fullmatch(word) for shape in self._kinds.values()):
                rest.blank(*match.span())
            return self._counts.get(word)
        return None

    def _term_after_word(self, rest: _Rest) -> tuple[str, ...]:
        """Give the terms that follow "the word" (or come before it, where the language says it so)."""
        shape = self._lists["word"]
        match = shape.search(rest.text.lower()) if shape else None
        if match is None:
            return ()
        part = rest.text[: match.start()] if self.word_after else rest.text[match.end() :]
        trimmed = _Rest(part)
        trimmed.take(self._lists["say"])
        return self._terms(trimmed)

    def _terms(self, rest: _Rest) -> tuple[str, ...]:
        text = rest.text
        # Without spaces, what was taken out parts the words; particles at the edges are no part of the term.
        pieces = re.split(r"[,،、，/:：]|\x00+(?=\S)" if not self.apart else r"[,،、，/:：]|\x00+", text)
        if self._join:
            pieces = [part for piece in pieces for part in _split(self._join, piece)]
        found = []
        for piece in pieces:
            left = _Rest(piece)
            left.take(self._lists["word"])
            term = _trimmed(left.text, self._lists["filler"], self.apart)
            if term and any(c.isalnum() or unicodedata.category(c) == "So" for c in term):
                found.append(term)
        return tuple(dict.fromkeys(found))

    def _capitalised(self, rest: _Rest, *, any_noun: bool = False) -> Iterator[str]:
        """Give what looks like names: capitals inside the sentence, where nouns are not written so anyway."""
        if self.code == "de" and not any_noun:
            shape = r"\b(?:[A-Z]{2,}[\w&-]*|\w+[A-Z]\w*|\w+(?:-[A-Z]\w+)+)"
        else:
            shape = r"(?<![.!?]\s)\b[^\W\d_a-z]\w+(?:[ &-]+[^\W\d_a-z]\w*)*"
        for match in re.finditer(shape, rest.text.replace("\x00", " ")):
            if match.group()[0].isupper() and not (
                self._lists["filler"] and self._lists["filler"].fullmatch(match.group().lower())
            ):
                yield match.group()


_LISTS = (
    "avoid",
    "dont",
    "say",
    "word",
    "filler",
    "but",
    "anyway",
    "lacking",
    "fine",
    "limit",
    "under",
    "unless",
    "example",
    "narrow",
    "style",
    "scope",
)

_TELLING = ("avoid", "dont", "lacking", "anyway", "under", "limit", "say")
"""With the kinds, the words without any of which a clause says nothing."""


class _Rest:
    """A clause from which understood words are taken away."""

    def __init__(self, text: str, known: int = 0) -> None:
        self.text, self.known = text, known

    def copy(self) -> _Rest:
        return _Rest(self.text, self.known)

    def has(self, shape: re.Pattern[str] | None) -> bool:
        return shape is not None and shape.search(self._lower()) is not None

    def take(self, shape: re.Pattern[str] | None) -> bool:
        if shape is None:
            return False
        spans = [m.span() for m in shape.finditer(self._lower())]
        for start, end in spans:
            self.known += sum(1 for c in self.text[start:end] if not c.isspace())
            self.blank(start, end)
        return bool(spans)

    def blank(self, start: int, end: int) -> None:
        self.text = self.text[:start] + "\x00" * (end - start) + self.text[end:]

    def _lower(self) -> str:
        lower = self.text.lower().replace("’", "'")
        return lower if len(lower) == len(self.text) else self.text.replace("İ", "i").lower()


@dataclass(frozen=True, slots=True)
class _Said:
    """The markers of one clause, before anything follows from them."""

    quoted: list[str]
    kinds: list[str]
    """What it is about: price, emoji ..."""
    rest: _Rest
    """What no marker and no kind accounts for."""
    with_nouns: _Rest
    """The same with the words for kinds still in it."""
    count: int | None
    """The maximum that it permits."""
    avoid: bool
    says: bool
    anyway: bool
    unless: bool
    """Whether it depends on a condition, or on one field."""
    style: bool
    example: bool
    narrow: bool
    known: int
    """Letters of the words understood."""
    base: float

    @property
    def doubtful(self) -> bool:
        """Whether little more than one short marker was understood."""
        return self.known <= 5


def _split(shape: re.Pattern[str], text: str) -> list[str]:
    parts, last = [], 0
    for match in shape.finditer(text.lower()):
        parts.append(text[last : match.start()])
        last = match.end()
    return [*parts, text[last:]]


def _trimmed(text: str, filler: re.Pattern[str] | None, apart: bool) -> str:
    """Take markers and fillers off both ends; what stood inside the term stays."""
    text = text.strip(" \x00\x01\t.!?:;,-–—…。！？・\"'()（）")
    while filler is not None:
        lower = text.lower().replace("’", "'")
        if len(lower) != len(text):
            break
        head = filler.match(lower)
        tails = [m for m in filler.finditer(lower) if m.end() == len(lower)]
        if head and head.end():
            text = text[head.end() :]
        elif tails and (len(tails[0].group()) < len(text) or not apart):
            text = text[: tails[0].start()]
        else:
            break
        text = text.strip(" \x00\x01\t.!?:;,-–—…。！？・\"'()（）")
    return re.sub(r"\s*[\x00\x01]+\s*", " ", text).strip()


_UNDECOMPOSED = str.maketrans("łøđßæœıŁØĐ", "lodsaoiLOD")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def _as_typed(word: str) -> tuple[str, ...]:
    """Give a word as it is spelled and as it is typed in a hurry: no accents, or ``ue`` for ``ü``."""
    if word.startswith("re:") or word.isascii() or len(word) < 3:
        return (word,)
    bare = "".join(
        c
        for c in unicodedata.normalize("NFD", word)
        if unicodedata.category(c) != "Mn" or ("\u0900" <= c <= "\u0dff" and c != "\u093c") or c > "\u0dff"
    )
    bare = unicodedata.normalize("NFC", bare).translate(_UNDECOMPOSED)
    return tuple(dict.fromkeys((word, bare, word.translate(_UMLAUTS))))


def _alternation(words: Iterable[str], *, apart: bool, prefix: str = "") -> re.Pattern[str] | None:
    """Compile words into one pattern; a closing star stands for any ending, ``re:`` starts a pattern."""
    listed = sorted({w.lower() for w in words if not w.startswith("re:")}, key=len, reverse=True)
    shapes = []
    for word in listed:
        stem = word.rstrip("*")
        shape = re.escape(unicodedata.normalize("NFC", stem)).replace(r"\ ", r"[\s\u00a0-]+")
        if not apart and stem.isascii() and stem.isalpha():
            shape = f"(?<![a-z]){shape}(?![a-z])"
        shapes.append(shape + (f"{_LETTER}*" if word.endswith("*") and apart else ""))
    patterns = [w[3:] for w in words if w.startswith("re:")]
    whole = []
    if shapes:
        body = "(?:" + "|".join(shapes) + ")"
        whole.append(f"(?<!{_LETTER})(?<!{_LETTER}-){prefix}{body}(?!{_LETTER})" if apart else body)
    whole.extend(patterns)
    return re.compile("|".join(f"(?:{w})" for w in whole)) if whole else None


@cache
def _marks() -> dict[str, str]:
    marks: dict[str, str] = load_toml("marks.toml")["punctuation"]
    return marks


def _finder(kind: str, values: tuple[str, ...], language: Language, code: str) -> Finder:
    """Give the function that finds what *kind* forbids in copy of *language*."""
    tag = language.tag
    if kind in ("term", "competitor"):
        own = code if kind == "term" else tag
        terms = TermSet(values, own, inflect=kind == "term")
        return lambda text: [(start, end) for _, start, end in terms.find(text)]
    if kind in _MARKS:
        return _mark_finder(kind, tag)
    return _KINDS[kind](tag)


def _mark_finder(kind: str, tag: str) -> Finder:
    marks = _marks()[kind]
    if kind == "question" and not tag.startswith("el"):
        marks = marks.replace(";", "")
    signs = frozenset(marks)
    extra = {"ellipsis": r"|\.{3,}", "dash": r"|(?<=\s)-(?=\s)|--"}.get(kind, "")
    shape = re.compile(f"[{re.escape(marks)}]{extra}")
    if kind == "colon":
        shape = re.compile(rf"(?<!\d)[{re.escape(marks)}]|[{re.escape(marks)}](?![\d/])")
    if extra:
        return lambda text: [m.span() for m in shape.finditer(text)]
    return lambda text: [] if signs.isdisjoint(text) else [m.span() for m in shape.finditer(text)]


@cache
def _price(tag: str) -> Finder:
    figures = Figures.of(tag)
    words = _copy_shape(tag, "price_words")
    innocent = _copy_shape(tag, "innocent")
    cues = _copy_shape(tag, "price_cues")

    def find(text: str) -> list[Span]:
        found: list[Span] = []
        lower = _lower(text)
        if words is not None:
            spared = [m.span() for m in innocent.finditer(lower)] if innocent else []
            found += [m.span() for m in words.finditer(lower) if not _inside(m.span(), spared)]
        if figures.may_hold(text):
            for figure in figures.read(text):
                if figure.kind == "price" or (
                    figure.kind == "number"
                    and not figure.unit
                    and _like_price(text, lower, figure.digits, cues)
                ):
                    found.append((figure.start, figure.end))
        return sorted(set(found))

    return find


_CENTS = lazy(r"\d[.,٫]\d{2}")
_ENDS = lazy(r"\s*(?:[.,!?;:)…।。！]|$)")


def _like_price(text: str, lower: str, digits: Span, cues: re.Pattern[str] | None) -> bool:
    """A number with cents, or one that follows "from", "only" and ends its phrase."""
    start, end = digits
    if text[start - 1 : start] in ("-", "#", ".") or text[end : end + 1] in (":", "°", '"', "″"):
        return False
    if _CENTS.fullmatch(text[max(start, end - 4) : end]) and not re.match(
        r"[ -]?[^\W\d_]", text[end : end + 2]
    ):
        return True
    if cues is None or not _ENDS.match(text, end):
        return False
    return any(m.end() == len(lower[:start].rstrip()) for m in cues.finditer(lower[:start].rstrip()))


@cache
def _number(tag: str) -> Finder:
    figures = Figures.of(tag)
    han = tag.split("-")[0] in ("ja", "zh")

    def find(text: str) -> list[Span]:
        if not figures.may_hold(text):
            return []
        return [f.digits for f in figures.read(text) if han or not f.spelled]

    return find


def _of_kind(tag: str, kind: str) -> Finder:
    figures = Figures.of(tag)

    def find(text: str) -> list[Span]:
        if not figures.may_hold(text):
            return []
        return [(f.start, f.end) for f in figures.read(text) if f.kind == kind]

    return find


@cache
def _percent(tag: str) -> Finder:
    return _of_kind(tag, "percent")


@cache
def _date(tag: str) -> Finder:
    return _of_kind(tag, "date")


@cache
def _discount(tag: str) -> Finder:
    percent, words = _percent(tag), _copy_shape(tag, "discount_words")

    def find(text: str) -> list[Span]:
        said = [m.span() for m in words.finditer(_lower(text))] if words is not None else []
        return sorted({*percent(text), *said})

    return find


@cache
def _emoji(tag: str) -> Finder:
    raw = load_toml("marks.toml")
    one = rf"(?:[{raw['emoji']}]|\S\ufe0f)[\ufe0f\U0001F3FB-\U0001F3FF\U000E0020-\U000E007F]*\u20e3?"
    shape = re.compile(
        rf"[0-9#*]\ufe0f?\u20e3|[\U0001F1E6-\U0001F1FF]{{2}}|{one}(?:\u200d{one})*|{raw['emoticons']}"
    )

    def find(text: str) -> list[Span]:
        return [m.span() for m in shape.finditer(text)]

    return find


@cache
def _hashtag(tag: str) -> Finder:
    return lambda text: [m.span() for m in _HASHTAG.finditer(text)] if "#" in text or "＃" in text else []


@cache
def _link(tag: str) -> Finder:
    return find_links


@cache
def _contact(tag: str) -> Finder:
    return lambda text: sorted({*find_mails(text), *(m.span() for m in _PHONE.finditer(text))})


@cache
def _superlative(tag: str) -> Finder:
    words, innocent = _copy_shape(tag, "superlatives"), _copy_shape(tag, "innocent")
    if words is None:
        return lambda text: []

    def find(text: str) -> list[Span]:
        lower = _lower(text)
        found = [m.span() for m in words.finditer(lower)]
        if found and innocent is not None:
            spared = [m.span() for m in innocent.finditer(lower)]
            found = [span for span in found if not _inside(span, spared)]
        return found

    return find


@cache
def _caps(tag: str) -> Finder:
    acronyms = frozenset(load_toml("marks.toml")["acronyms"])

    def find(text: str) -> list[Span]:
        found: list[Span] = []
        run: list[Span] = []
        shout = 0

        def close() -> None:
            if run and ((len(run) > 1 and shout) or (any(b - a >= _LONG_SHOUT for a, b in run) and shout)):
                found.append((run[0][0], run[-1][1]))

        for match in _CAPITALS.finditer(text):
            word = match.group()
            if word.isupper() and word != word.lower():
                run.append(match.span())
                shout += word not in acronyms
            else:
                close()
                run, shout = [], 0
        close()
        return found

    return find


_KINDS: dict[str, Callable[[str], Finder]] = {
    "price": _price,
    "number": _number,
    "percent": _percent,
    "discount": _discount,
    "emoji": _emoji,
    "hashtag": _hashtag,
    "link": _link,
    "superlative": _superlative,
    "caps": _caps,
    "date": _date,
    "contact": _contact,
}


@cache
def _copy_shape(tag: str, key: str) -> re.Pattern[str] | None:
    return _Words.of(tag.split("-")[0]).find_shape(key)


def _lower(text: str) -> str:
    lower = text.lower().replace("’", "'")
    return lower if len(lower) == len(text) else text.replace("İ", "i").lower()


def _inside(span: Span, others: Iterable[Span]) -> bool:
    return any(a <= span[0] and span[1] <= b for a, b in others)


def _sparing(finder: Finder, known: tuple[str, ...]) -> Finder:
    """Leave out what is part of a name that the copy has to carry."""

    def find(text: str) -> list[Span]:
        found = finder(text)
        if not found:
            return found
        held = [m.span() for name in known if name in text for m in re.finditer(re.escape(name), text)]
        return [span for span in found if not _inside(span, held)]

    return find
