"""How X counts a post: code point weights, 23 for every link, 2 for every emoji.

A port of the rules of the npm package ``twitter-text`` 3.1.0 (configuration v3) from UTF-16 units to
code points; tests/test_measure.py compares the two on generated text. Emoji sequences younger than that
package's emoji data (Emoji 11) count by their parts, as they do there, which is never too low.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import chain
from typing import Any, NamedTuple

from copykit import data
from copykit.lazy import lazy

__all__ = ["urls", "weighted_length"]

# Needs nothing but its length: every character weighs 1.
_HEAVY = lazy(r"[^\x00-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")
# A link needs a dot before the first letter of its top-level name.
# (What is not ASCII but for its letters is written as what it is not: a wide range takes long to compile.)
_DOTTED = lazy(r"\.[^\x00-@\[-`{-\x7f]")
_ASTRAL = lazy(r"[\U00010000-\U0010ffff]")
# An emoji matters only where it joins several characters; alone it weighs 2 like any heavy character.
_JOINER = lazy(r"[\ufe0f\u20e3\u200d\U0001f3fb-\U0001f3ff\U0001f1e6-\U0001f1ff\U000e0020-\U000e007f]")

_INVALID = r"\ufffe\ufeff\uffff"
_DIRECTION = r"\u202a-\u202e\u061c\u200e\u200f\u2066-\u2069"
_SPACES = r"\t-\r\x20\x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PUNCTUATION = r"!'#%&()*+,\\\-./:;<=>?@\[\]\^_{|}~$"
_DOMAIN = rf"[^{_PUNCTUATION}{_SPACES}{_INVALID}{_DIRECTION}]"
_LONGEST_POST = 25_000  # of a paying account; links further on count by their characters
_QUERY = r"[A-Za-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]*[A-Za-z0-9\-_&=#/]"
_LONGEST_URL, _LONGEST_LABEL, _LONGEST_SLUG = 4096, 63, 40
_LONGEST_HEAD = len(" https://")


def _trie(words: list[str]) -> str:
    """Give one expression that matches exactly *words*, the longest first, without trying each in turn."""
    by_first: dict[str, list[str]] = {}
    for word in words:
        by_first.setdefault(word[:1], []).append(word[1:])
    ends = by_first.pop("", None) is not None
    branches = [re.escape(first) + _trie(rest) for first, rest in sorted(by_first.items())]
    if not branches:
        return ""
    body = branches[0] if len(branches) == 1 and not ends else f"(?:{'|'.join(branches)})"
    return f"{body}?" if ends else body


class _Patterns:
    """The expressions, compiled at first use."""

    def __init__(self) -> None:
        facts: dict[str, Any] = data.load_json("units/x.json")
        names: list[str] = facts["tlds"].split()
        latin = _trie([name for name in names if name.isascii()])
        other = _trie([name for name in names if not name.isascii()])
        # Only ASCII letters fold among the Latin names: JavaScript does not take dotless i for i.
        top = rf"(?:(?:(?i:{other})|(?ai:{latin}))(?=[^0-9a-zA-Z@+-]|\Z)|(?ai:xn--[-0-9a-z]+))"
        general = rf"[A-Za-z{facts['path_letters']}0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&]"
        parens = rf"\((?:{general}++|{general}*+\({general}++\){general}*+)\)"
        between = r"[!*';:,.$%\[\]\u2013~@|&]"
        ending = rf"[+\-A-Za-z{facts['path_letters']}0-9=_#/]"
        # As far as the last of *ending* that is in no parentheses, then parentheses alone; each character is read once.
        path = rf"/(?:{between}*+(?:{parens}{between}*+)*+{ending})*+(?:{parens})*+"
        label = rf"[-A-Za-z0-9{facts['accented_letters']}]++"
        part = rf"{_DOMAIN}++(?:[_-]++{_DOMAIN}++)*+"
        self.top = re.compile(rf"\.{top}")
        self.chain = re.compile(rf"{part}(?:\.{part})*+")
        self.head = re.compile(
            rf"([^A-Za-z0-9@\uff20$#\uff03{_INVALID}]|[{_DIRECTION}]|\A)((?ai:https?://))?(?={_DOMAIN})"
        )
        self.tail = re.compile(rf"(?::[0-9]+)?({path})?(?:\?{_QUERY})?")
        # The second branch passes over names that end in no top-level name: each is tried once, not from every letter.
        self.ascii_domain = re.compile(rf"((?:{label}\.)+{top})|{label}(?:\.{label})*+")
        self.short = re.compile(rf"(?ai:https?://t\.co/([a-z0-9]+))(?:\?{_QUERY})?")
        self.emoji = re.compile(facts["emoji"])
        self.url_weight: int = facts["url_weight"]


_patterns = cache(_Patterns)


class _Link(NamedTuple):
    """What has the form of a link, wherever it stands."""

    before: str
    """The character before it, if there is one."""
    protocol: str
    start: int
    """Where it begins, with its protocol."""
    domain: str
    path: str | None
    end: int


def _plausible(link: _Link) -> bool:
    if len(link.protocol or "https://") + link.end - link.start > _LONGEST_URL:
        return False
    domain = link.domain
    if domain[:4] == "xn--" and not domain.isascii() and not any(_patterns().ascii_domain.findall(domain)):
        return False
    for label in domain.split("."):
        if not label.isascii():
            if (
                len(_characters(label)) > _LONGEST_LABEL
            ):  # encoded it is longer yet, and encoding takes its time
                return False
            parts = re.split("[.\u3002\uff0e\uff61]", label)
            label = ".".join(
                p if p.isascii() else "xn--" + _characters(p).encode("punycode").decode() for p in parts
            )
        if not 1 <= len(label) <= _LONGEST_LABEL:
            return False
    return True


def _units(text: str) -> str:
    """Give *text* with a character for every UTF-16 unit: each half of a pair is a domain character to X."""
    coded = text.encode("utf-16-le", "surrogatepass")
    return "".join(map(chr, struct.unpack(f"<{len(coded) // 2}H", coded)))


def _characters(units: str) -> str:
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _positions(units: str, offsets: Iterable[int]) -> Iterator[int]:
    """Give the code point offset of each of the rising UTF-16 *offsets*: a character's start where it lies inside one."""
    at = passed = 0
    for offset in offsets:
        inside = 0 < offset < len(units) and "\ud800" <= units[offset - 1] <= "\udbff"
        passed += len(_characters(units[at : offset - inside]))
        at = offset - inside
        yield passed


def urls(text: str) -> list[tuple[int, int]]:
    """Give the spans ``[start, end)`` of what X takes for links, in order.

    Those are addresses with ``http://`` or ``https://`` and bare domains that end in a known top-level name.
    """
    if not _DOTTED.search(text):
        return []
    if not _ASTRAL.search(text):
        return _urls(text)
    units = _units(text)
    positions = _positions(units, chain.from_iterable(_urls(units)))
    return list(zip(positions, positions, strict=True))


def _links(text: str) -> Iterator[_Link]:
    """Give what has the form of a link, from left to right, none inside another, in time that grows with the text.

    It is what one expression would find: a character that may stand before a link, a protocol perhaps, names with dots,
    the last of them a top-level name, port, path and query. But such an expression tries the same names from every place
    again. Here each chain of names is looked at once: all its places lead to the same last top-level name.
    """
    patterns = _patterns()
    tops = [top for top in patterns.top.finditer(text) if top.start() < _LONGEST_POST]
    tops.reverse()  # the next one last
    free = 0
    for names in patterns.chain.finditer(text) if tops else ():
        while tops and tops[-1].start() < names.start():
            tops.pop()
        if not tops:
            return
        own: list[re.Match[str]] = []
        while tops and tops[-1].start() < names.end():
            own.append(tops.pop())
        for lowest, top in _stretches(text, names.start(), own):
            link = _link(text, max(free, lowest - _LONGEST_HEAD), lowest, top)
            if link:
                yield link
                free = link.end


def _stretches(text: str, start: int, tops: list[re.Match[str]]) -> Iterator[tuple[int, re.Match[str]]]:
    """Give the *tops* of the chain from *start* that end a domain, with the first place from which it may begin.

    The label before a top-level name holds no ``_``: a domain begins behind it. Those before may: from all places before
    the last top-level name that has no ``_`` in its label, this one is reached.
    """
    last = 0  # of the tops up to which one domain reaches
    behind: list[int] = []
    at = start
    for number, top in enumerate(tops):
        dot = top.start()
        at = max(at, text.rfind(".", at, dot) + 1)
        line = text.rfind("_", at, dot) + 1
        behind.append(line)
        if not line:
            last = number + 1
    if last:
        yield start, tops[last - 1]
    yield from zip(behind[last:], tops[last:], strict=True)


def _link(text: str, first: int, lowest: int, top: re.Match[str]) -> _Link | None:
    """Give the link to *top* with the leftmost beginning at *first* or later and a domain at *lowest* or later."""
    patterns = _patterns()
    head = patterns.head.search(text, first)
    while head and head.end() < lowest:
        head = patterns.head.search(text, head.start() + 1)
    if not head or head.end() >= top.start():
        return None
    tail = patterns.tail.match(text, top.end())
    assert tail is not None  # noqa: S101  # it may be empty
    start = head.end() - len(head[2] or "")
    return _Link(head[1], head[2] or "", start, text[head.end() : top.end()], tail[1], tail.end())


def _urls(text: str) -> list[tuple[int, int]]:
    patterns = _patterns()
    found: list[tuple[int, int]] = []
    for link in _links(text):
        if not _plausible(link):
            continue
        if link.protocol:
            end = link.end
            short = patterns.short.match(text, link.start, link.end)
            if short:
                if len(short[1]) > _LONGEST_SLUG:
                    continue
                end = short.end()
            found.append((link.start, end))
        elif link.before not in {"-", "_", ".", "/"}:
            inside: list[tuple[int, int]] = []
            after = 0
            for name in filter(None, patterns.ascii_domain.findall(link.domain)):
                # The original looks each name up again, and may so find an earlier equal stretch.
                first = link.domain.index(name, after)
                after = first + len(name)
                inside.append((link.start + first, link.start + after))
            if inside and link.path:
                inside[-1] = (inside[-1][0], inside[-1][1] + link.end - link.start - len(link.domain))
            found.extend(inside)
    return found


# A post is measured while it is written and again when it is checked.
@lru_cache(maxsize=512)
def weighted_length(text: str) -> int:
    """Give the weighted length of *text* as X counts it, whole characters of 280."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        heavy = len(_HEAVY.findall(text))
    else:
        heavy = 0
    length = len(text) + heavy
    links = urls(text) if "." in text else []
    joined = heavy and _JOINER.search(text)
    if not links and not joined:
        return length
    patterns = _patterns()
    starts: dict[int, tuple[int, int]] = {}
    if joined:
        starts = {m.start(): (m.end(), 2) for m in patterns.emoji.finditer(text)}
    starts.update({start: (end, patterns.url_weight) for start, end in links})
    at = 0
    for start in sorted(starts):
        if start < at:
            continue
        at, weight = starts[start]
        piece = text[start:at]
        length += weight - len(piece) - len(_HEAVY.findall(piece))
    return length
