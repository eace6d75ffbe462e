"""How X counts a post: code point weights, 23 for every link, 2 for every emoji.

A port of the rules of the npm package ``twitter-text`` 3.1.0 (configuration v3) from UTF-16 units to
code points; tests/test_measure.py compares the two on generated text. Emoji sequences younger than that
package's emoji data (Emoji 11) count by their parts, as they do there, which is never too low.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

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
# What neither a domain name nor its separators hold: going back to one of these finds where a name may start.
_BREAKS = frozenset(
    "!'#%&()*+,\\/:;<=>?@[]^{|}~$\t\n\v\f\r \x85\xa0\u1680\u180e\u2028\u2029\u202f\u205f\u3000"
    "\ufffe\ufeff\uffff\u061c\u200e\u200f"
).union(map(chr, (*range(0x2000, 0x200B), *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
_LONGEST_DOMAIN = 320
_LONGEST_POST = 25_000  # of a paying account; links further on count by their characters
_QUERY = r"[A-Za-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]*[A-Za-z0-9\-_&=#/]"
_LONGEST_URL, _LONGEST_LABEL, _LONGEST_SLUG = 4096, 63, 40


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
        label = rf"{_DOMAIN}++(?:-++{_DOMAIN}++)*+"
        part = rf"{_DOMAIN}{{1,600}}+(?:[_-]{{1,600}}+{_DOMAIN}{{1,600}}+)*+"
        general = rf"[A-Za-z{facts['path_letters']}0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&]"
        parens = rf"\((?:{general}+|(?:{general}*\({general}+\){general}*))\)"
        ending = rf"[+\-A-Za-z{facts['path_letters']}0-9=_#/]"
        path = rf"(?:{general}*(?:{parens}{general}*)*{ending}|{parens}|@{general}+/)"
        self.url = re.compile(
            rf"([^A-Za-z0-9@\uff20$#\uff03{_INVALID}]|[{_DIRECTION}]|\A)"
            rf"(((?ai:https?://))?((?:{part}\.){{0,126}}{label}\.{top})(?::[0-9]+)?(/{path}*)?(?:\?{_QUERY})?)"
        )
        self.ascii_domain = re.compile(rf"(?:[-A-Za-z0-9{facts['accented_letters']}]+\.)+{top}")
        self.short = re.compile(rf"(?ai:https?://t\.co/([a-z0-9]+))(?:\?{_QUERY})?")
        self.emoji = re.compile(facts["emoji"])
        self.url_weight: int = facts["url_weight"]


_patterns = cache(_Patterns)


def _plausible(url: str, protocol: str, domain: str) -> bool:
    if domain[:4] == "xn--" and not domain.isascii() and not _patterns().ascii_domain.search(domain):
        return False
    for label in domain.split("."):
        if not label.isascii():
            parts = re.split("[.\u3002\uff0e\uff61]", label)
            label = ".".join(
                p if p.isascii() else "xn--" + _characters(p).encode("punycode").decode() for p in parts
            )
        if not 1 <= len(label) <= _LONGEST_LABEL:
            return False
    return len(protocol or "https://") + len(url) <= _LONGEST_URL


def _units(text: str) -> str:
    """Give *text* with a character for every UTF-16 unit: each half of a pair is a domain character to X."""
    coded = text.encode("utf-16-le", "surrogatepass")
    return "".join(map(chr, struct.unpack(f"<{len(coded) // 2}H", coded)))


def _characters(units: str) -> str:
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _position(units: str, at: int) -> int:
    """Give the code point offset of UTF-16 offset *at*, the character's start if it lies inside a pair."""
    inside = 0 < at < len(units) and "\ud800" <= units[at - 1] <= "\udbff"
    return len(_characters(units[: at - inside]))


def urls(text: str) -> list[tuple[int, int]]:
    """Give the spans ``[start, end)`` of what X takes for links, in order.

    Those are addresses with ``http://`` or ``https://`` and bare domains that end in a known top-level name.
    """
    if not _DOTTED.search(text):
        return []
    if not _ASTRAL.search(text):
        return _urls(text)
    units = _units(text)
    return [(_position(units, start), _position(units, end)) for start, end in _urls(units)]


def _matches(text: str, url: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Give what ``url.finditer(text)`` gives, but look only around dots, and never twice from one place."""
    free = 0
    for dot in _DOTTED.finditer(text, 0, _LONGEST_POST):
        at = dot.start()
        if at < free:
            continue
        first, lowest = at, max(free, at - _LONGEST_DOMAIN)
        while first > lowest and text[first - 1] not in _BREAKS:
            first -= 1
        # Room for the scheme and the character before it.
        for start in range(max(free, first - 9), at):
            match = url.match(text, start)
            if match:
                yield match
                free = match.end()
                break
        else:
            free = at


def _urls(text: str) -> list[tuple[int, int]]:
    patterns = _patterns()
    found: list[tuple[int, int]] = []
    for match in _matches(text, patterns.url):
        before, url, protocol, domain, path = match.groups()
        start = match.start(2)
        if not _plausible(url, protocol or "", domain):
            continue
        if protocol:
            end = match.end(2)
            short = patterns.short.match(url)
            if short:
                if len(short[1]) > _LONGEST_SLUG:
                    continue
                end = start + short.end()
            found.append((start, end))
        elif before not in {"-", "_", ".", "/"}:
            inside: list[tuple[int, int]] = []
            after = 0
            for name in patterns.ascii_domain.findall(domain):
                # The original looks each name up again, and may so find an earlier equal stretch.
                first = domain.index(name, after)
                after = first + len(name)
                inside.append((start + first, start + after))
            if inside and path:
                inside[-1] = (inside[-1][0], inside[-1][1] + len(url) - len(domain))
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
