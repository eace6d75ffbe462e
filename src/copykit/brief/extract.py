"""Read a description: what is the thing called, what is it, which details and sentences can be reused.

Everything is taken from the text as it stands. What cannot be told apart safely stays empty, because a
wrong noun phrase in a headline is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from copykit.brief.clean import acronyms, sentence_case
from copykit.brief.naming import AND, phrase_words
from copykit.data import load_json
from copykit.lazy import lazy

__all__ = ["Extract", "extract", "opening_words", "split_sentences"]

_MAX_ITEM_WORDS = 6
_MAX_SENTENCE_ITEM_WORDS = 5
"""A noun phrase with a full stop behind it; longer ones are read as clauses."""
_MAX_ATTRIBUTE_WORDS = 5
_MAX_ATTRIBUTE_CHARS = 48
_MAX_WIDE_CHARS = 16
_MAX_PASSAGE = 240
_SENTENCE = lazy(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’»)]))\s+(?=[^\sa-zà-öø-ÿąćęłńóśźż])|(?<=[。！？।؟])(?![」』）”])\s*"
)
_DASH = lazy(r"\s+[-–—|]\s+|\s*:\s+|\s*：\s*")
_COMMA = lazy(r"\s*[,;،؛]\s+|\s*[，；、]\s*|(?<=[^\W\d]),(?=\w)|(?<=[^\W\d]);(?=\w)")
_PART = lazy(rf"{_COMMA.pattern}|(?<!\d)\s+[-–—|]\s+|\s+[-–—|]\s+(?!\d)")
"""Between the entries of a list; a dash between figures is a range."""
_BULLET = lazy(r"^\s*(?:[-*–—]\s+|[•・·‣▪●◦■◆★☆✓✔➤►]\s*)")
_INLINE_BULLET = lazy(r"(?<=\s)[•▪●◦■◆►➤✓✔]\s+")
_NUMBERED = lazy(r"^\s*\d{1,2}[.)]\s+")
_COUNT = lazy(r"[\d.,/×-]*\d[\d.,/×x-]*%?", re.IGNORECASE)
"""A figure by itself: a phrase that begins with one counts, and does not say what the thing is."""
_BADGE = lazy(r"^(?:\[[^\[\]]{1,24}\]|\([^()]{1,24}\)|【[^【】]{1,24}】|（[^（）]{1,24}）)\s*(?=\S)")
_BRACKET = lazy(r"[\[(（【]")
_BRACKET_OR_END = lazy(r"[(\[{（【)\]}）】]")
_FINAL = ".!?…。！？।؟"
_STOPS = (".", "。", "।", "…")
_CALLS = frozenset("!?！？؟")
_OPENING_MARKS = "¡¿\"'«“„‘「『"
_CODE_END = lazy(r"\d[\w-]*[\])]?$")
_TRAILING_CODE = lazy(
    r"[\s,;]*[\[(]?\b(?:SKU|EAN|GTIN|UPC|MPN|ASIN|REF|ART|ITEM|ARTICLE|ARTIKEL|RÉF|CÓD|COD)"
    r"\b\.?[\s-]?(?:(?:NO|NR|N[°º])\b\.?)?\s?[:#]?\s?(?=[\w-]*\d)[\w-]{2,40}[\])]?$",
    re.IGNORECASE,
)
_WIDE = lazy(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
_ADDRESS = lazy(r"https?://|www\.|\S@\S|^[\w-]+(?:\.[\w-]+)+/", re.IGNORECASE)
_DOTTED = lazy(r"(?:[^\s.\d]{1,4}\.){2,}")
_UNIT_STOPS = frozenset(("gr.", "g.", "kg.", "cl.", "ml.", "lt.", "l.", "pz.", "pcs."))
"""Units written with a stop: before a figure ("GR. 300") they end no sentence, elsewhere they may."""
_QUOTES = lazy(r"(?<!\w)['’\"“”„«»‹›‘]|['’\"“”„«»‹›‘](?!\w)")
_LEAST_POINTED_AT, _MOST_POINTED_AT = 2, 12
"""Characters of a noun that a description points at and its name ends with."""
_FIGURE = r"\d[\d.,/]*(?:\s?[x×]\s?\d[\d.,/]*){0,2}"
_LENGTHS = (
    "g",
    "kg",
    "mg",
    "lb",
    "oz",
    "ml",
    "cl",
    "dl",
    "l",
    "mm",
    "cm",
    "m",
    "inch",
    "ft",
    "w",
    "v",
    "mah",
    "gb",
    "tb",
)


def _wide(text: str) -> bool:
    """Tell whether *text* holds a character of a script that puts no spaces between words."""
    return not text.isascii() and _WIDE.search(text) is not None


class Extract(NamedTuple):
    """What a description says, in its own words."""

    name: str
    item: str
    attributes: tuple[str, ...]
    sentences: tuple[str, ...]


class _Words(NamedTuple):
    articles: frozenset[str]
    anaphora: frozenset[str]
    openers: frozenset[str]
    cuts: frozenset[str]
    dangling: frozenset[str]
    clause: frozenset[str]
    labels: frozenset[str]
    short: frozenset[str]
    endings: tuple[str, ...]
    praise: tuple[str, ...]
    pointers: tuple[str, ...]
    nouns_have_capitals: bool

    def opens_badly(self, text: str) -> bool:
        """Whether *text* starts like a clause, or points back to what stood before it."""
        if _wide(text[:1]):
            return text.startswith((*self.anaphora, *self.openers))
        first = text.split(maxsplit=1)[0].casefold().strip(",")
        return first in self.openers or first in self.anaphora

    def points_back(self, text: str) -> bool:
        """Whether *text* starts with a word for something that stood before it."""
        if _wide(text[:1]):
            return text.startswith(tuple(self.anaphora))
        return text.split(maxsplit=1)[0].casefold().strip(",") in self.anaphora

    def cased(self, text: str) -> str:
        """Give shouted text in the language's sentence case."""
        return sentence_case(text, self.dangling | self.articles if self.nouns_have_capitals else None)


@cache
def _words(language: str) -> _Words:
    table = phrase_words()
    entry = table.get(language) or table.get(language.partition("-")[0]) or {}
    keys = ("articles", "anaphora", "openers", "cuts", "dangling", "clause", "labels", "short")
    sets = {key: frozenset(entry.get(key, "").split()) for key in keys}
    sets["short"] |= frozenset(table["common"]["short"].split())
    return _Words(
        **sets,
        endings=tuple(entry.get("endings", "").split()),
        praise=tuple(entry.get("praise", "").split()),
        pointers=tuple(entry.get("pointers", "").split()),
        nouns_have_capitals=language[:2] == "de",
    )


@cache
def opening_words(language: str) -> frozenset[str]:
    """Give the articles and demonstratives that open a sentence about a thing named before; empty if unknown."""
    words = _words(language)
    return words.articles | words.anaphora if words.articles else frozenset()


@cache
def _measure() -> re.Pattern[str]:
    """Match a measure at the end of a text, or at its start where another word follows without a comma."""
    table = load_json("figures.json")["units"]
    units = sorted((re.escape(u) for key in _LENGTHS for u in table[key]), key=len, reverse=True)
    return re.compile(rf"(?<![\w.,])(?P<measure>{_FIGURE}\s?(?:{'|'.join(units)}))$", re.IGNORECASE)


def split_sentences(text: str, language: str = "", name: str = "") -> list[str]:
    """Split at sentence marks of any of the catalogue's scripts and at line breaks; marks stay on.

    A full stop behind an abbreviation ("Dr.", "z.B.", and the language's own) ends nothing, nor does a mark
    inside *name*, the name of what the text is about.
    """
    short = _words(language).short
    return [part for line in text.split("\n") for part in _sentences(line, short, name)]


def _sentences(line: str, short: frozenset[str], name: str) -> Iterator[str]:
    start = 0
    for mark in _SENTENCE.finditer(line):
        if line[mark.start() - 1] == "." and _is_short(line[start : mark.start()], line[mark.end() :], short):
            continue
        if _is_inside(name, line, mark):
            continue
        if part := line[start : mark.start()].strip():
            yield part
        start = mark.end()
    if part := line[start:].strip():
        yield part


def _is_short(text: str, behind: str, short: frozenset[str]) -> bool:
    last = text[-24:].rsplit(None, 1)[-1].lstrip("([\"'„“").casefold()
    if last in _UNIT_STOPS and behind[:1].isdigit():
        return True
    return last in short or _DOTTED.fullmatch(last) is not None


def _is_inside(name: str, line: str, mark: re.Match[str]) -> bool:
    """Tell whether a sentence mark of *line* stands inside *name*."""
    if not any(c in _FINAL for c in name[:-1]):
        return False
    first = max(0, mark.start() - len(name))
    at = line.find(name, first, mark.end() + len(name))
    while 0 <= at < mark.start():
        if mark.end() < at + len(name):
            return True
        at = line.find(name, at + 1, mark.end() + len(name))
    return False


@lru_cache(maxsize=64)
def extract(description: str, name: str, language: str) -> Extract:
    """Take *description* (plain text) apart; *name* is the product name if it is known.

    *language* is the base tag, for articles, pronouns and words that cannot open an item. The last 64 are kept, for
    briefs of one product for several placements.
    """
    words = _words(language)
    lines, is_list = _lines(description)
    found = (_BULLET.sub("", unit) for line in lines for unit in _sentences(line, words.short, name))
    units = [unit for unit in found if any(c.isalnum() for c in unit)]
    if not units:
        return Extract(name, "", (), ())
    first, rest = units[0], units[1:]
    if is_list:  # all are details: none of them says what the thing is
        return Extract(
            name, "", _distinct(_attribute_lines(units, words), "", name, words), _quotable(units, words)
        )
    found_name, lead = ("", first) if name else _leading_name(first, words)
    item, fragments = _lead(lead, name or found_name, first, words)
    if _says_the_same(name or found_name, item):
        item = ""
    if not item and words.pointers:
        item = _pointed_at(description, name or found_name, words.pointers)
    attributes = _distinct([*fragments, *_attribute_lines(rest, words)], item, name or found_name, words)
    whole = rest if fragments and item else units  # the first unit is a list that was taken apart
    return Extract(name or found_name, item, attributes, _quotable(whole, words))


def _lines(description: str) -> tuple[list[str], bool]:
    """Give the lines without bullets, and whether the first one had one."""
    lines = [part for line in description.split("\n") for part in _INLINE_BULLET.split(line) if part.strip()]
    numbered = sum(_NUMBERED.match(line) is not None for line in lines) > 1
    marks = (_BULLET, _NUMBERED) if numbered else (_BULLET,)
    plain = []
    for line in lines:
        for mark in marks:
            line = mark.sub("", line)
        plain.append(line)
    return [line for line in plain if line.strip()], bool(lines) and plain[0] != lines[0]


def _leading_name(text: str, words: _Words) -> tuple[str, str]:
    head, *tail = _DASH.split(text, maxsplit=1)
    head_words = head.split()
    is_pair = (
        bool(tail)
        and not _DASH.search(tail[0])
        and not _COMMA.search(head)
        and head.casefold() not in words.labels
    )
    if is_pair and 1 <= len(head_words) <= 4 and all(w[:1].isupper() or w[:1].isdigit() for w in head_words):
        return head.strip(), tail[0]
    first, _, rest = text.partition(" ")
    is_shouted = len(first) >= 3 and first.isalpha() and first.isupper() and first not in acronyms()
    if rest and is_shouted and not rest.split()[0].isupper():
        return first, rest
    return "", text


def _lead(text: str, name: str, first: str, words: _Words) -> tuple[str, list[str]]:
    """Read the first unit: what stands before the first comma, dash or colon, and the list behind it."""
    text = _BADGE.sub("", _without_code(text)) or text
    is_named = False
    if name and text.casefold().startswith(name.casefold()):
        behind = text[len(name) :]
        rest = behind.lstrip(" ,:–—-|，、：")
        is_named = behind.lstrip()[:1] in {",", "，", "、"}
        text = rest or text
    head, remainder = _split(text)
    if is_named and not _wide(head) and len(head.split()) < 2:
        return "", _fragments(text, words)  # "Kitchen trolley, birch": the name said it, "birch" is a detail
    if head.casefold() in words.labels:
        return "", [piece for piece in _pieces(text) if _is_fragment(piece, words)]
    head = head.removeprefix("100% ")  # "100% cotton shirt": all of it is cotton without the figure
    if name and not _wide(head) and _COUNT.fullmatch(head.partition(" ")[0]):
        return "", _fragments(text, words)  # "ELVARLI 1 section": how many of it is a detail
    head, measures = _without_measure(head)
    item = _item(head, words, first)
    if not item and not name:
        return "", [*measures, *(p for p in _fragments(remainder, words) if any(c.isdigit() for c in p))]
    joined = not AND.isdisjoint(remainder.casefold().split())
    if joined and any(token.casefold() in words.cuts for token in head.split()[1:]):
        return item, measures  # "Concert with piano, bass and drums": the comma stands inside the phrase
    return item, [*measures, *_fragments(remainder, words)]


def _without_code(text: str) -> str:
    return _TRAILING_CODE.sub("", text) if _CODE_END.search(text) else text


def _split(text: str) -> tuple[str, str]:
    if _BRACKET_OR_END.search(text):
        marks = [*_DASH.finditer(text), *_COMMA.finditer(text)]
    else:
        marks = [mark for mark in (_DASH.search(text), _COMMA.search(text)) if mark]
    for mark in sorted(marks, key=re.Match.start):
        if _depth(text[: mark.start()]) == 0:
            return text[: mark.start()].strip(), text[mark.end() :].strip(" ,;:–—-|，；、،؛：")
    return text.strip(), ""


def _depth(text: str) -> int:
    if not _BRACKET_OR_END.search(text):
        return 0
    return sum(map(text.count, "([{（【")) - sum(map(text.count, ")]}）】"))


def _without_measure(text: str) -> tuple[str, list[str]]:
    """Split "Olive oil 500 ml" into the thing and its measure; without spaces between words, at any space."""
    pieces = text.split() if _wide(text) else []
    if len(pieces) > 1 and all(_wide(p) or p[0].isdigit() for p in pieces):
        return pieces[0], pieces[1:]
    found = _measure().search(text.rstrip(_FINAL)) if text[-1:] and any(c.isdigit() for c in text) else None
    if found is None or not text[: found.start()].strip():
        return text, []
    return text[: found.start()].strip(), [found.group("measure")]


def _item(lead: str, words: _Words, first: str) -> str:
    lead = _BRACKET.split(lead, maxsplit=1)[0].strip()
    if lead[:1] in _OPENING_MARKS or first[-1] in _CALLS or not _CALLS.isdisjoint(lead):
        return ""
    if _holds_address(lead) or _depth(lead):
        return ""
    lead = words.cased(lead.rstrip(_FINAL).strip())
    tokens = lead.split()
    if tokens and tokens[0].casefold() in words.articles:
        tokens = tokens[1:]
    if not tokens or words.opens_badly(" ".join(tokens)) or _COUNT.fullmatch(tokens[0]):
        return ""
    tokens[0] = _without_elided_article(tokens[0], words)
    for index, token in enumerate(tokens):
        if index and token.casefold() in words.cuts:
            tokens = tokens[:index]
            break
    if _wide(lead):
        is_clause = lead.endswith(words.endings) or first[-1] in "。！？"
        return lead if len(lead) <= _MAX_WIDE_CHARS and not is_clause and _has_letter(lead) else ""
    longest = (
        _MAX_SENTENCE_ITEM_WORDS
        if first[-1] in _FINAL and len(tokens) == len(first.split())
        else _MAX_ITEM_WORDS
    )
    if (
        len(tokens) > longest
        or tokens[-1].casefold() in words.dangling
        or tokens[0].casefold() in words.dangling
    ):
        return ""
    if first[-1] in _FINAL and len(first.split()) > _MAX_ITEM_WORDS + 2:
        return ""  # prose: its opening words are the start of a clause, not a name of the thing
    if any(token.casefold() in words.clause for token in tokens) or not _has_letter(" ".join(tokens)):
        return ""
    if len(_QUOTES.findall(" ".join(tokens))) % 2:  # it would begin or end inside a quotation
        return ""
    return _capital(" ".join(tokens))


def _has_letter(text: str) -> bool:
    return any(c.isalpha() for c in text)


def _without_elided_article(token: str, words: _Words) -> str:
    """Give "huile" for "l'huile"."""
    for article in words.articles:
        if article[-1] in "'’" and token.casefold().startswith(article) and len(token) > len(article):
            return token[len(article) :]
    return token


def _capital(text: str) -> str:
    """Give *text* with a capital, unless its first word has capitals of its own (iPhone)."""
    return (
        text[:1].upper() + text[1:]
        if text.split(" ", 1)[0][1:].islower() or text[1:2] in {"", " ", "-"}
        else text
    )


def _pieces(text: str) -> list[str]:
    """Take a list apart outside its brackets."""
    pieces, start = [], 0
    for mark in _PART.finditer(text):
        if _depth(text[start : mark.start()]) == 0:
            pieces.append(text[start : mark.start()])
            start = mark.end()
    pieces.append(text[start:])
    return [_without_stop(piece) for piece in pieces]


def _without_stop(piece: str) -> str:
    piece = piece.strip()
    if not piece.endswith(_STOPS) or _DOTTED.fullmatch(piece.rsplit(None, 1)[-1]):
        return piece
    return piece.rstrip("".join(_STOPS)).rstrip()


def _fragments(text: str, words: _Words) -> list[str]:
    """Take the list behind the item apart: all of it, or its figures alone where a piece is no fragment."""
    pieces = _pieces(text) if text else []
    fragments = [piece for piece in pieces if _is_fragment(piece, words)]
    if len(fragments) == len(pieces):
        return pieces
    return [p for p in fragments if any(c.isdigit() for c in p)]


def _is_fragment(piece: str, words: _Words) -> bool:
    tokens = piece.split()
    if not tokens or len(piece) > _MAX_ATTRIBUTE_CHARS or len(tokens) > _MAX_ATTRIBUTE_WORDS:
        return False
    if _wide(piece) and len(piece) > _MAX_WIDE_CHARS:
        return False
    if tokens[0].casefold() in words.dangling or tokens[-1].casefold() in words.dangling:
        return False
    if (
        piece[0] in "([（【"
        or words.points_back(piece)
        or _holds_address(piece)
        or not any(c.isalnum() for c in piece)
    ):
        return False
    return _CALLS.isdisjoint(piece) and _depth(piece) == 0


def _holds_address(text: str) -> bool:
    return ("." in text or "@" in text or "://" in text) and _ADDRESS.search(text) is not None


def _attribute_lines(units: list[str], words: _Words) -> list[str]:
    return [
        unit
        for unit in map(_without_code, units)
        if unit and unit[-1] not in _FINAL and _is_fragment(unit, words)
    ]


def _quotable(units: list[str], words: _Words) -> tuple[str, ...]:
    return tuple(_passages(units, words))


def _passages(units: list[str], words: _Words) -> Iterator[str]:
    """Give what can be quoted: sentences that stand by themselves, with those behind them that point back."""
    passage = ""
    for unit in units:
        points_back = words.points_back(unit)
        if points_back and passage and len(passage) + len(unit) < _MAX_PASSAGE and _complete(unit):
            passage = f"{passage}{'' if _wide(unit) else ' '}{unit}"
            continue
        if passage:
            yield passage
        passage = unit if _complete(unit) and not points_back and _readable(unit, words) else ""
    if passage:
        yield passage


def _complete(sentence: str) -> bool:
    return sentence[-1] in _FINAL and _depth(sentence) == 0


def _readable(sentence: str, words: _Words) -> bool:
    label, colon, _ = sentence.partition(":" if ":" in sentence else "：")
    if colon and label.strip().casefold() in words.labels:
        return False
    return 20 <= len(sentence) <= _MAX_PASSAGE or (_wide(sentence) and 8 <= len(sentence) <= 80)


def _pointed_at(description: str, name: str, pointers: tuple[str, ...]) -> str:
    """Give the noun that *description* points at and *name* ends with: "帽子" of "…针织帽子" and "这款帽子".

    In scripts without spaces nothing else shows where the last noun of a name begins.
    """
    if not _wide(name[-1:]):
        return ""
    for size in range(min(_MOST_POINTED_AT, len(name) - 1), _LEAST_POINTED_AT - 1, -1):
        if any(pointer + name[-size:] in description for pointer in pointers):
            return name[-size:]
    return ""


def _says_the_same(name: str, item: str) -> bool:
    """Say whether a name of several words already says what the thing is: it shares a word with the item."""
    low_name, low_item = name.casefold(), item.casefold()
    if low_item == low_name:
        return True
    if _wide(item):
        return any(low_item[i : i + 2] in low_name for i in range(len(item) - 1)) and len(name) > 3
    shared = {w for w in low_name.split() if len(w) > 2} & {w for w in low_item.split() if len(w) > 2}
    return bool(shared) and len(low_name.split()) > 1


def _distinct(pieces: list[str], item: str, name: str, words: _Words) -> tuple[str, ...]:
    seen = {item.casefold(), name.casefold(), ""}
    result = []
    for piece in pieces:
        key = piece.casefold()
        if key not in seen and not piece.endswith(words.praise):
            seen.add(key)
            result.append(words.cased(piece))
    return tuple(result[:20])
