"""Terms in copy, found however they are dressed up.

A term is looked for twice. First in the *squeezed* text: letters and digits only, look-alikes merged,
everything else dropped; one pass, no false negatives, and it ends the search for nearly every text. Only if a
term's own squeezed form is in there, the text is read again letter by letter, with the position of each, and
the match has to stand as a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from copykit.data import load_json, load_toml
from copykit.lazy import lazy

__all__ = ["TermSet", "squeeze"]

_SPREAD = r"[\s._*·•~\-‐‑‒–—|/\\,'’+]"
_SEPARATOR = _SPREAD + "{1,3}"
_JOINT = r"[._*·•~\-‐‑‒–—|/\\]{0,2}"
_GAP = r"[\W_]{0,3}"
# Stands for a capital I beside a small letter, or a small L among capitals: may be meant as either. What is
# ordinary spelling stays itself: the l of "Black" and "Al", the I of "AIR". It is a letter, as those are.
_EITHER = "ǀ"
_EITHER_SHAPE = lazy("[a-z]I|I[a-z]|[A-Z][A-Z]l(?![a-z])|[A-Z]l[A-Z]|(?<![a-z])l[A-Z][A-Z]")
_STRETCH = "ـ"  # lengthens an Arabic word, and is no letter of it
_ALWAYS_LETTERS = frozenset("йїў")
_ONE_LETTER_WORDS = frozenset("aàáâeéèêioóòôuúywzvksåöæøаиоувскяії")
_INVISIBLE_ODD = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")


class TermSet:
    """Terms to look for in copy of one language, in any spelling that a reader would take for them.

    Found are: any case, full-width and other compatibility forms, zero-width and soft-hyphen insertions,
    look-alikes of other alphabets, digits and signs for letters (``ch3ap``), stray accents, letters spaced or
    dotted apart. Not found is a term inside a longer word (``art`` in ``smart``), except in scripts that
    do not separate words.

    Args:
        terms: The terms; blank ones are ignored.
        language: Tag of the copy's language: which accented letters are letters of their own, which
            particles attach to words.
        inflect: Whether the language's usual endings also count (``barato`` finds ``baratas``). Names are
            not inflected, words of a restriction are.

    Thread-safe after construction; results are deterministic.
    """

    __slots__ = ("_ascii", "_entries", "_literal", "_other", "_words", "terms")

    def __init__(self, terms: Iterable[str], language: str = "en", *, inflect: bool = False) -> None:
        self.terms: tuple[str, ...] = tuple(dict.fromkeys(t.strip() for t in terms if t and t.strip()))
        self._words = _words_of(language)
        self._entries: list[_Entry] = []
        self._literal: list[str] = []
        for term in self.terms:
            if squeeze(term):
                self._entries.extend(_entries(term, self._words, inflect))
            else:
                self._literal.append(term)
        self._ascii = [(e.key.encode(), e) for e in self._entries if e.key.isascii()]
        self._other = [(e.key, e) for e in self._entries]

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __repr__(self) -> str:
        return f"TermSet({list(self.terms)!r})"

    def find(self, text: str) -> list[tuple[str, int, int]]:
        """Give every occurrence as ``(term, start, end)``, in code points of *text*, in reading order."""
        if text.isascii():
            squeezed = text.encode().translate(_ascii_table(), _ascii_dropped())
            hits = [entry for key, entry in self._ascii if key in squeezed]
        else:
            folded = squeeze(text)
            hits = [entry for key, entry in self._other if key in folded]
        if not hits and not self._literal:
            return []
        found: set[tuple[int, int, str]] = set()
        for sign in self._literal:
            at = text.find(sign)
            while at >= 0:
                found.add((at, at + len(sign), sign))
                at = text.find(sign, at + len(sign))
        if hits:
            reading = _Reading.of(text, self._words)
            for entry in hits:
                for start, end in entry.occurrences(reading):
                    found.add((start, end, entry.term))
        return [(term, start, end) for start, end, term in sorted(found)]


@lru_cache(maxsize=256)
def squeeze(text: str) -> str:
    """Fold *text* to its bare letters: lower case, look-alikes merged, everything else dropped.

    Two spellings that a reader would take for the same word squeeze to the same string; the reverse does
    not hold (``mail`` and ``mall`` squeeze alike).
    """
    return text.translate(_coarse())


class _Coarse(dict[int, "str | None"]):
    """Squeezed form of each character, worked out when first seen."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        pieces = []
        for piece in unicodedata.normalize("NFKD", _unenclosed(char)).casefold():
            merged = _merged().get(piece)
            if merged is None and unicodedata.category(piece)[0] in "LN" and piece != _STRETCH:
                digit = unicodedata.digit(piece, None)
                merged = piece if digit is None else _merged().get(str(digit), str(digit))
            if merged is not None:
                pieces.append(merged)
        self[code] = value = "".join(pieces) or None
        return value


@cache
def _coarse() -> _Coarse:
    return _Coarse()


@cache
def _ascii_table() -> bytes:
    table = _coarse()
    return bytes(ord(table[c] or "\0") for c in range(128)) + bytes(range(128, 256))


@cache
def _ascii_dropped() -> bytes:
    table = _coarse()
    return bytes(c for c in range(128) if table[c] is None)


@cache
def _groups() -> dict[str, str]:
    groups: dict[str, str] = load_json("confusables.json")["groups"]
    return groups


@cache
def _merged() -> dict[str, str]:
    """Map each character that resembles another to one representative of all that resemble it in turn."""
    parent: dict[str, str] = {}

    def root(char: str) -> str:
        while parent.setdefault(char, char) != char:
            char = parent[char]
        return char

    for letter, others in _groups().items():
        for other in others:
            a, b = sorted((root(letter), root(other)), key=lambda c: (not c.isascii(), not c.isalpha(), c))
            parent[b] = a
    return {char: root(char) for char in list(parent)}


@lru_cache(maxsize=4096)
def _like(char: str) -> frozenset[str]:
    """Every character that may stand for *char*, itself included."""
    found = {char}
    for letter, others in _groups().items():
        if char == letter or char in others:
            found.add(letter)
            found.update(others)
    if char in "il" or char in _groups()["i"] or char in _groups()["l"]:
        found.add(_EITHER)
    return frozenset(found)


@cache
def _enclosed_starts() -> tuple[int, ...]:
    return tuple(ord(first) for first in load_json("confusables.json")["enclosed"])


def _unenclosed(char: str) -> str:
    code = ord(char)
    if code >= 0x1F130:
        for first in _enclosed_starts():
            if first <= code < first + 26:
                return chr(ord("a") + code - first)
    return char


def _is_invisible(char: str) -> bool:
    code = ord(char)
    return (
        unicodedata.category(char) == "Cf"
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0000 <= code <= 0xE0FFF
        or char in _INVISIBLE_ODD
    )


def _takes_accents(code: int) -> bool:
    """Whether marks on this letter are decoration or accents, not vowels or other letters."""
    return (
        code < 0x0700
        or 0x1D00 <= code <= 0x1FFF
        or 0x2C60 <= code <= 0x2DFF
        or 0xA640 <= code <= 0xA7FF
        or 0xAB30 <= code <= 0xAB6F
        or 0xFB00 <= code <= 0xFDFF
        or 0xFE70 <= code <= 0xFEFC
    )


def _word_class(char: str) -> int:
    """Which characters make one word together: 0 none, 1 alphabets and digits, 2 Hangul, 3 other scripts."""
    code = ord(char)
    if code < 128:
        return 1 if char.isalnum() else 0
    if 0x0E00 <= code <= 0x0EFF or 0x1000 <= code <= 0x109F or 0x1780 <= code <= 0x17FF:
        return 0
    if 0x2E80 <= code <= 0x30FF or 0x31F0 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000:
        return 0
    if 0x1100 <= code <= 0x11FF or 0x3130 <= code <= 0x318F or 0xAC00 <= code <= 0xD7FF:
        return 2
    if char.isdigit():
        return 1
    category = unicodedata.category(char)[0]
    if category not in "LM":
        return 0
    return 1 if _takes_accents(code) and not 0x0590 <= code < 0x0700 else 3


@dataclass(frozen=True, slots=True)
class _Words:
    """How words are built in one language, as far as finding terms needs it."""

    letters: frozenset[str]
    prefixes: frozenset[str]
    particles: frozenset[str]
    rules: tuple[tuple[str, tuple[str, ...]], ...]
    longer: tuple[str, ...]
    spellings: tuple[tuple[str, str], ...]
    irregular: dict[str, tuple[str, ...]]


@cache
def _words_of(language: str) -> _Words:
    tables = load_toml("inflections.toml")
    raw: dict[str, Any] = tables.get(language) or tables.get(language.split("-")[0]) or {}
    letters = _ALWAYS_LETTERS | frozenset(raw.get("letters", ""))
    return _Words(
        letters=letters,
        prefixes=frozenset(squeeze(p) for p in raw.get("prefixes", ())),
        particles=frozenset(squeeze(p) for p in raw.get("particles", ())),
        rules=tuple((_fold(ending, letters), tuple(forms)) for ending, forms in raw.get("rules", ())),
        longer=tuple(raw.get("longer", ())),
        spellings=tuple((a, b) for a, b in raw.get("spellings", ())),
        irregular={k: tuple(v) for k, v in raw.get("irregular", {}).items()},
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text letter by letter: folded characters and where each came from."""

    text: str
    folded: str
    starts: Sequence[int]
    ends: Sequence[int]
    longer: list[tuple[int, int]]

    @classmethod
    def of(cls, text: str, words: _Words) -> _Reading:
        longer = [
            (m.start(), m.end())
            for word in words.longer
            if word in text
            for m in re.finditer(re.escape(word), text)
        ]
        if text.isascii() and not _EITHER_SHAPE.search(text):
            return cls(text, text.lower(), range(len(text)), range(1, len(text) + 1), longer)
        chars: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for at, char in enumerate(text):
            if char in "Il" and _may_be_either(text, at):
                char = _EITHER
            folded = _fold_char(char, chars, words.letters)
            for piece in folded:
                chars.append(piece)
                starts.append(at)
                ends.append(at + 1)
            if not folded and ends and unicodedata.category(char)[0] in "ML":
                ends[-1] = at + 1
        return cls(text, "".join(chars), starts, ends, longer)

    def is_capital(self, at: int) -> bool:
        """Whether the letter at *at* of the folded text is a capital in the original."""
        return at < len(self.starts) and self.text[self.starts[at]].isupper()


def _may_be_either(text: str, at: int) -> bool:
    """Whether the I or l at *at* may pose as the other: it stands among letters of the other case."""
    if text[at] == "I":
        first = last = at
        while first and text[first - 1] == "I":
            first -= 1
        while text[last : last + 1] == "I":
            last += 1
        return text[first - 1 : first].islower() or text[last : last + 1].islower()
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if before.islower() or after.islower():
        return False
    around = text[max(0, at - 2) : at], text[at + 1 : at + 3]
    return (before.isupper() and after.isupper()) or any(len(a) == 2 and a.isupper() for a in around)


def _fold_char(char: str, done: list[str], letters: frozenset[str]) -> str:
    """Give the folded form of one character; a mark that makes another letter changes the last of *done*."""
    if char.isascii():
        return char.lower()
    if _is_invisible(char):
        return ""
    category = unicodedata.category(char)
    if category[0] == "M":
        if category == "Me" or (not done and _takes_accents(ord(char))):
            return ""
        if not done:
            return char
        whole = unicodedata.normalize("NFC", done[-1] + char)
        accent = _takes_accents(ord(done[-1]))
        if whole in letters or (not accent and len(whole) == 1):
            done[-1] = whole
            return ""
        return "" if accent else char
    if done and 0x1160 <= ord(char) <= 0x11FF:
        whole = unicodedata.normalize("NFC", done[-1] + char)
        if len(whole) == 1:
            done[-1] = whole
            return ""
    folded = []
    for piece in unicodedata.normalize("NFKC", _unenclosed(char)).casefold():
        if piece in letters or not _takes_accents(ord(piece)):
            digit = unicodedata.digit(piece, None)
            folded.append(piece if digit is None else str(digit))
        elif unicodedata.category(piece)[0] != "M" and piece != _STRETCH:
            digit = unicodedata.digit(piece, None)
            folded.append(unicodedata.normalize("NFKD", piece)[0] if digit is None else str(digit))
    return "".join(folded)


def _fold(term: str, letters: frozenset[str]) -> str:
    """Fold a term, whose letters are meant as they are written."""
    done: list[str] = []
    for char in term:
        done.extend(_fold_char(char, done, letters))
    return "".join(done)


@dataclass(slots=True)
class _Entry:
    """One spelling of one term: what to look for and what may follow it."""

    term: str
    key: str
    stem: str
    tails: frozenset[str]
    words: _Words
    _patterns: tuple[re.Pattern[str], ...] | None = None

    def occurrences(self, reading: _Reading) -> list[tuple[int, int]]:
        if self._patterns is None:
            self._patterns = _patterns(self.stem)
        found: list[tuple[int, int]] = []
        for apart, pattern in enumerate(self._patterns):
            for match in pattern.finditer(reading.folded):
                if span := self._stands(reading, match, bool(apart)):
                    found.append(span)
        return found

    def _stands(self, reading: _Reading, match: re.Match[str], apart: bool) -> tuple[int, int] | None:
        start, end = match.span()
        if _mostly_signs(match.group(), self.stem):
            return None
        folded = reading.folded
        if apart:
            end = _spelled_ending(folded, end, self.tails)
            if _spelled_on(folded, start, end):
                return None
        else:
            if not _dots_belong(folded, match):
                return None
            tail_end = end
            kind = _word_class(folded[end - 1])
            while kind and tail_end < len(folded) and _word_class(folded[tail_end]) == kind:
                tail_end += 1
            tail = squeeze(folded[end:tail_end])
            if tail not in self.tails and kind != 2:
                if not (_in_hashtag(reading, start) and reading.is_capital(end)):
                    return None
            else:
                end = tail_end
            head_start = start
            kind = _word_class(folded[start])
            while kind and head_start and _word_class(folded[head_start - 1]) == kind:
                head_start -= 1
            head = squeeze(folded[head_start:start])
            if (
                head
                and head not in self.words.prefixes
                and not (_in_hashtag(reading, start) and reading.is_capital(start))
            ):
                return None
        first, last = reading.starts[start], reading.ends[end - 1]
        if any(a <= first and last <= b and (a, b) != (first, last) for a, b in reading.longer):
            return None
        return first, last


def _dots_belong(folded: str, match: re.Match[str]) -> bool:
    """Whether Japanese middle dots in the match part its signs, and not two words of a list."""
    if "・" not in match.group() and "･" not in match.group():
        return True
    start, end = match.span()
    return not any(_is_han(c) for c in (folded[start - 1 : start], folded[end : end + 1]))


def _is_han(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff"


def _in_hashtag(reading: _Reading, start: int) -> bool:
    at = start - 1
    while at >= 0 and (_word_class(reading.folded[at]) or reading.folded[at] == "_"):
        at -= 1
    return at >= 0 and reading.folded[at] in "#＃@"


def _mostly_signs(matched: str, stem: str) -> bool:
    if not any(c.isalpha() for c in stem):
        return False
    signs = sum(1 for c in matched if c in "0123456789!@$§€¢¥†×" and c not in stem)
    return signs * 2 > sum(1 for c in stem if c.isalnum())


def _spelled_ending(folded: str, end: int, tails: frozenset[str]) -> int:
    """Give where a term in single letters ends, its inflection in single letters included."""
    last = end
    tail = ""
    for match in re.finditer(rf"{_SEPARATOR}(\w)(?!\w)", folded[end : end + 24]):
        if end + match.start() != last:
            break
        last, tail = end + match.end(), tail + match.group(1)
    return last if tail and squeeze(tail) in tails else end


def _spelled_on(folded: str, start: int, end: int) -> bool:
    """Whether single letters go on before or after, so that the match is part of a longer spaced word."""
    before = re.search(rf"(?<!\w)(?:\w{_SEPARATOR})+$", folded[max(0, start - 24) : start])
    if before:
        singles = [c for c in before.group() if c.isalnum()]
        if len(singles) > 1 or singles[0] not in _ONE_LETTER_WORDS:
            return True
    after = re.match(rf"(?:{_SEPARATOR}\w(?!\w))+", folded[end : end + 24])
    if after:
        singles = [c for c in after.group() if c.isalnum()]
        return len(singles) > 1 or singles[0] not in _ONE_LETTER_WORDS
    return end < len(folded) and folded[end].isalnum()


def _patterns(stem: str) -> tuple[re.Pattern[str], ...]:
    letters = sum(1 for c in stem if c.isalnum() or unicodedata.category(c)[0] == "M")
    digits_only = not any(c.isalpha() for c in stem)
    words = [w for w in re.split(r"[\s\-‐‑–_]+", stem) if w]

    def spelled(word: str, joint: str) -> str:
        parts = []
        for at, char in enumerate(word):
            if at:
                # A vowel sign stays with its letter, and "ss" may be one letter.
                together = unicodedata.category(char)[0] == "M" or word[at - 1 : at + 1] == "ss"
                parts.append(f"(?:{joint})?" if together and joint else joint)
            parts.append(re.escape(char) if digits_only or not char.isalnum() else _class(_like(char)))
        return "".join(parts)

    if all(not _word_class(c) and unicodedata.category(c)[0] == "L" for c in stem):
        # Scripts without spaces: any gap inside the term was put there on purpose.
        return (re.compile(spelled(stem, _SPREAD[:-1] + "・･]{0,3}")),)
    together = _GAP.join(spelled(word, _JOINT if letters >= 4 and not digits_only else "") for word in words)
    if letters < 3 or digits_only or not all(_word_class(c) or c.isspace() for c in stem):
        return (re.compile(together),)
    apart = (_SPREAD + "{1,5}").join(spelled(word, _SEPARATOR) for word in words)
    return re.compile(together), re.compile(r"(?<!\w)" + apart)


def _class(chars: frozenset[str]) -> str:
    if len(chars) == 1:
        return re.escape(next(iter(chars)))
    return "[" + "".join(re.escape(c) for c in sorted(chars)) + "]"


def _entries(term: str, words: _Words, inflect: bool) -> list[_Entry]:
    whole = _fold(term, words.letters)
    stems: dict[str, set[str]] = {whole: {"", *words.particles}}
    if inflect and _word_class(whole[-1]):
        for ending, forms in words.rules:
            stem = whole.removesuffix(ending)
            if not whole.endswith(ending) or len(stem) < 2 or (not ending and len(whole) < 3):
                continue
            tails = stems.setdefault(stem, set())
            tails.update(squeeze(form) for form in forms)
            tails.add(squeeze(ending))
            if ending:
                break
        for form in words.irregular.get(whole, ()):
            stems.setdefault(_fold(form, words.letters), {""})
    for spelling, other in words.spellings:
        if spelling in whole:
            stems.setdefault(whole.replace(spelling, other), {"", *stems[whole]})
    bare = (
        "".join(
            c
            for c in unicodedata.normalize("NFKD", whole)
            if unicodedata.category(c) != "Mn" or not _takes_accents(ord(c))
        )
        if _takes_accents(ord(whole[0]))
        else whole
    )
    # Six letters: shorter words without their accents are too often other words (schon, schön).
    if bare != whole and len(whole) >= 6:
        for stem in [s for s in stems if s != bare]:
            stems.setdefault(_fold(stem, frozenset("й")), stems[stem])
    return [
        _Entry(term, squeeze(stem), stem, frozenset(tails), words)
        for stem, tails in stems.items()
        if squeeze(stem)
    ]
