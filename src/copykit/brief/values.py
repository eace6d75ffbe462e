"""Names and values as catalogues hand them over, made fit to stand in a sentence; no word is changed."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache, lru_cache
from typing import Any

from copykit.brief.clean import acronyms, sentence_case
from copykit.brief.naming import loose_words
from copykit.data import load_toml
from copykit.lazy import lazy

__all__ = ["is_list", "plain_name", "plain_value", "unescaped"]

_ESCAPE = lazy(r"(?<!\\)\\++(?=[\"'’])")
_LOST_APOSTROPHE = lazy(r"(?<!\w)([cdjlmnst]|qu)\\+(?=[^\W\d_])", re.IGNORECASE)
_ELIDING = frozenset({"fr", "it", "ca"})
_TAIL = lazy(r"[\s,;:，；：、–—-]+$")
_ENDS_IN_DOTS = ("..", "…")
_UNIT = lazy(r"(?<=\d )[^\W\d_]{1,2}(?!\w)")
_CONSONANTS = lazy(r"[BCDFGHJKLMNPQRSTVWXZ]+")
_LEAST_SHOUT = 6
"""Letters in capitals from which a name is shouted: two short words may be initials."""
_PLACEHOLDER = frozenset("[]{}<>%_")
"""Marks of a slot that nobody filled in; it is refused later, and known by its capitals."""
_ELISION = 2
_INSIDE = lazy(r"(?<=[(\[（])\s+|\s+(?=[)\]）])|\s+(?=[、。，；：])|(?<=[、。，；：])\s+")
_STARS = lazy(r"[*†‡¹²³]+")
_NOTE_OF_STARS = lazy(r"(?:^|(?<=[\s.;)*†‡¹²³]))[*†‡¹²³]+\s*[=:]?\s*(?=[^\W\d_])[^,;*†‡¹²³\d]*$")
_TIGHT_COMMA = lazy(r"(?<=[^\W\d_])[,;:](?=[^\W\d_])|(?<=[%)\]])[,;](?=[^\W\d_])")
_LOOSE_COMMA = lazy(r"\s+(?=[,;])")
_COMMAS = lazy(r"([,;])(?:\s*[,;])+")
_STOP = lazy(r"(\w+|[%)\]])\s*\.\s+([^\W\d_]+)")
_NO_NOTE = lazy(r"[\d:%•)\]}]")
_VITAMIN = lazy(r"(?<!\w)[bcdk](?!\w)")
_EDGES = " •·|.,;:，；：、。*'’-–—"
_QUOTES = ('"', "“”„", "«»")
_BRACKETS = {")": "(", "]": "[", "）": "（"}
_OPENING = frozenset(_BRACKETS.values())
_BRACKET_MARKS = _OPENING | frozenset(_BRACKETS)
_CURLY = str.maketrans("{}", "()")


@cache
def _data() -> dict[str, Any]:
    return load_toml("values.toml")


@cache
def _set(key: str) -> frozenset[str]:
    return frozenset(_data()[key].split())


def unescaped(text: str, language: str) -> str:
    """Undo what dumps of data bases leave: backslashes before quotes, ``¬`` for a hyphen that broke a word.

    In languages that elide, a backslash that took the apostrophe's place becomes one. *language* is the base
    tag.
    """
    if "\\" in text:
        text = _ESCAPE.sub("", text)
        if language in _ELIDING:
            text = _LOST_APOSTROPHE.sub(r"\1'", text)
    return text.replace("¬", "") if "¬" in text else text


def plain_name(name: str, language: str, keep: Collection[str] = ()) -> str:
    """Give *name* as it can stand in a sentence: without loose marks or a price at its end, and not shouted.

    A final stop that belongs to an abbreviation (``D.O.P.``, ``Co.``) stays. A name of several words all in
    capitals gets capitals at the starts of its words, small words of the *language* none; the words of *keep*
    (the brand's own) and acronyms stay as they are, and so does a name of one word.
    """
    plain = unescaped(name, language)
    plain = _without_stop(_TAIL.sub("", _without_price(plain)))
    return _calmed(plain, language, frozenset(word for text in keep for word in text.split())) or name


@cache
def _price() -> re.Pattern[str]:
    signs = "|".join(sorted(map(re.escape, _set("currencies")), key=len, reverse=True))
    amount = r"\d{1,5}[.,]\s?\d{2}"
    return re.compile(rf"\s+[/|–-]\s*(?:{amount}\s?(?:{signs})|(?:{signs})\s?{amount})\.?\s*$", re.IGNORECASE)


def _without_price(name: str) -> str:
    return _price().sub("", name) if any(map(str.isdigit, name[-12:])) else name


def _without_stop(name: str) -> str:
    if not name.endswith(".") or name.endswith(_ENDS_IN_DOTS):
        return name
    last = name.split()[-1][:-1].lstrip("(")
    if "." in last or last.casefold() in _set("abbreviations"):
        return name
    # "i. Tr." and "S. A." are written apart
    before = name.split()[-2:-1]
    return name if before and before[0].endswith(".") and len(before[0]) <= 3 else _TAIL.sub("", name[:-1])


def _calmed(name: str, language: str, keep: frozenset[str]) -> str:
    words = name.split(" ")
    loud = [
        word for word in words if word not in ("/", "|", "+", "&", "-", "–") and any(map(str.isalpha, word))
    ]
    letters = [c for c in name if c.isupper()]
    if any(c.islower() or c in _PLACEHOLDER for c in name) or len(letters) < _LEAST_SHOUT:
        return name
    if len(loud) < 2 or any(not c.isupper() for word in loud for c in word if c.isalpha()):
        return name
    if all(len(part.split()) == 1 for part in re.split(r"\s[/|]\s", name)):
        return name
    small = loose_words(language)
    calm = [
        word if word in keep else _capitalised(word, language, small if place else frozenset())
        for place, word in enumerate(words)
    ]
    return _UNIT.sub(lambda unit: _unit(unit.group()), " ".join(calm))


def _unit(word: str) -> str:
    return word.lower() if word.lower() in _set("units") else word


def _capitalised(word: str, language: str, small: frozenset[str]) -> str:
    bare = word.strip(".,;:()[]\"'")
    if any(map(str.isdigit, word)) or bare in acronyms() or (len(bare) > 1 and _CONSONANTS.fullmatch(bare)):
        return word
    lower = word.replace("I", "ı").replace("İ", "i").lower() if language == "tr" else word.lower()
    if lower in small:
        return lower
    head, mark, rest = lower.partition("'" if "'" in lower else "’")
    if mark and len(head) <= _ELISION < len(rest):
        return (head.upper() if head == "o" else head) + mark + _titled(rest)
    return _titled(lower)


def _titled(word: str) -> str:
    return re.sub(r"(?:^|(?<=[-/(&.\"]))[^\W\d_]", lambda first: first.group().upper(), word)


def is_list(key: str) -> bool:
    """Tell whether the fact *key* holds a list of ingredients, by the names catalogues give it."""
    return key.casefold().replace("_", " ") in _set("lists")


def plain_value(key: str, value: str, language: str) -> str:
    """Give the value of the fact *key* as it can stand after a label; empty when nothing of it can.

    Brackets and full-width marks lose the spaces inside. A list of ingredients keeps what follows its own label,
    up to the same list in another language; notes on allergens at its end and footnotes go, and so do allergen
    underscores and quotes and brackets without a partner. Its sentences are joined by commas, never cut: what a
    list leaves out, copy would deny. Capitals throughout become sentence case.
    """
    value = _INSIDE.sub("", unescaped(value, language))
    return _list(value, language) if is_list(key) else value


@lru_cache(maxsize=64)
def _list(value: str, language: str) -> str:
    value = _own_section(value.replace("_", "").translate(_CURLY), language)
    value = _without_note(_notes_label().sub("", _without_footnotes(value)))
    value = _STOP.sub(lambda stop: _joined(stop, language), _paired(value))
    value = _COMMAS.sub(r"\1", _LOOSE_COMMA.sub("", value))
    value = _TIGHT_COMMA.sub(lambda comma: comma.group() + " ", value)
    value = _INSIDE.sub("", " ".join(value.split())).strip(_EDGES)
    letters = [c for c in value if c.isalpha()]
    if len(letters) < _LEAST_LIST or not all(map(str.isupper, letters)):
        return value if len(letters) >= _LEAST_LIST else ""
    calm = sentence_case(value, loose_words("de") if language == "de" else None)
    return value if calm == value else _VITAMIN.sub(lambda letter: letter.group().upper(), calm)


_LEAST_LIST = 2
"""Letters below which nothing is said."""


def _joined(stop: re.Match[str], language: str) -> str:
    before, after = stop.groups()
    if (len(before) == 1 and before.isalpha() and before not in "IVX") or before.casefold() in _set(
        "shortened"
    ):
        return stop.group()
    small = language != "de" and after[1:].islower()
    return f"{before}, {after[:1].lower() + after[1:] if small else after}"


def _without_footnotes(value: str) -> str:
    while (note := _NOTE_OF_STARS.search(value)) and _STARS.search(value[: note.start()]):
        value = value[: note.start()]
    return _STARS.sub("", value)


@cache
def _label(language: str) -> re.Pattern[str]:
    """Find the labels of *language*, of all when it is empty: at the start, before a colon or in capitals."""
    table: dict[str, list[str]] = _data()["labels"]
    rows = [table.get(language, [])] if language else list(table.values())
    names = sorted({name for row in rows for name in row}, key=len, reverse=True) or ["\0"]
    listed = "|".join(map(re.escape, names))
    loud = "|".join(re.escape(name.upper()) for name in names)
    return re.compile(
        rf"^\W*(?i:{listed})(?!\w)[\s:：.;'’]*|(?<!\w)(?i:{listed})\s?[:：]\s*|(?<=[^\W\d_][\s.,;]\s)(?:{loud})\s+"
        if "\0" not in names
        else r"(?!)"
    )


def _own_section(value: str, language: str) -> str:
    """Give what follows the list's own label, else a foreign one it begins with, up to the next; the longest."""
    every = list(_label("").finditer(value))
    own = list(_label(language).finditer(value)) or [found for found in every if found.start() == 0]
    if not own:
        return value
    starts = [found.start() for found in every]
    sections = [
        value[found.end() : next((at for at in starts if at >= found.end()), len(value))] for found in own
    ]
    return max(sections, key=len)


@cache
def _notes_label() -> re.Pattern[str]:
    return re.compile(rf"^\W*(?:{_notes().pattern})\s?[:：]\s*", re.IGNORECASE)


@cache
def _notes() -> re.Pattern[str]:
    phrases = sorted({p for row in _data()["notes"].values() for p in row}, key=len, reverse=True)
    spaced = "|".join(re.escape(p) for p in phrases if not _UNSPACED.search(p))
    rest = "|".join(re.escape(p) for p in phrases if _UNSPACED.search(p))
    return re.compile(rf"(?<!\w)(?:{spaced})(?!\w)|(?:{rest})", re.IGNORECASE)


_UNSPACED = lazy(r"[\u3040-\u9fff]")


def _without_note(value: str) -> str:
    """Cut a note on allergens at the end, where it holds nothing that may be an ingredient with its share."""
    for found in _notes().finditer(value):
        before, note = value[: found.start()], value[found.start() :]
        if not _NO_NOTE.search(note) and all(
            before.count(opening) <= before.count(closing) for closing, opening in _BRACKETS.items()
        ):
            return before
    return value


def _paired(value: str) -> str:
    """Drop quotes and brackets without a partner."""
    for marks in _QUOTES:
        if sum(map(value.count, marks)) % 2:
            value = value.translate(dict.fromkeys(map(ord, marks)))
    if _BRACKET_MARKS.isdisjoint(value):
        return value
    opened: list[int] = []
    alone: set[int] = set()
    for at, c in enumerate(value):
        if c in _OPENING:
            opened.append(at)
        elif c in _BRACKETS:
            if opened and value[opened[-1]] == _BRACKETS[c]:
                opened.pop()
            else:
                alone.add(at)
    alone.update(opened)
    return "".join(c for at, c in enumerate(value) if at not in alone) if alone else value
