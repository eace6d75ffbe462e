"""Phrase lists as one fast pattern: which authored phrase stands where in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from copykit.drafts.look import WORD_CLASS, lowered
from copykit.lazy import lazy

__all__ = ["Lexicon"]

_T = TypeVar("_T")
_Node = dict[str, "_Node"]


class Lexicon(Generic[_T]):
    """Phrases, each with a meaning, searched together.

    A phrase is written in lower case; a trailing ``*`` on a word allows any ending, a space any run of
    spaces or hyphens. Phrases match whole words, except in languages written without spaces. Of several
    phrases that start at one place the longest wins.
    """

    __slots__ = ("_compiled", "_meaning", "_plain", "_spaced", "phrases")

    def __init__(self, phrases: Mapping[str, _T], *, spaced: bool = True) -> None:
        self.phrases: tuple[str, ...] = tuple(lowered(phrase) for phrase in phrases)
        self._plain: dict[str, tuple[str, _T]] = {}
        stems: list[tuple[str, str, _T]] = []
        for phrase, meaning in phrases.items():
            folded = lowered(phrase)
            if "*" in folded:
                stems.append((folded, phrase, meaning))
            self._plain.setdefault(folded, (phrase, meaning))
        self._meaning = [(lazy(_loose(folded)), phrase, meaning) for folded, phrase, meaning in stems]
        self._spaced = spaced
        self._compiled: re.Pattern[str] | None = None

    @property
    def _pattern(self) -> re.Pattern[str] | None:
        """All phrases as one pattern, compiled when a text is first searched: most lists never are."""
        if self._compiled is None and self.phrases:
            self._compiled = re.compile(_trie(self.phrases, self._spaced))
        return self._compiled

    def __bool__(self) -> bool:
        return bool(self.phrases)

    def hits(self, lower: str) -> bool:
        """Tell whether any phrase stands in *lower*, a text as `lowered` gives it."""
        pattern = self._pattern
        return pattern is not None and pattern.search(lower) is not None

    def opens(self, lower: str) -> tuple[str, int] | None:
        """Give the phrase that *lower* begins with, as listed, and where it ends."""
        pattern = self._pattern
        found = pattern.match(lower) if pattern is not None else None
        if found is None:
            return None
        phrase, _ = self._which(" ".join(found.group().replace("-", " ").split()), found.group())
        return phrase, found.end()

    def find(self, lower: str) -> Iterable[tuple[str, _T, int, int]]:
        """Give (phrase as listed, meaning, start, end) of every occurrence, left to right, not overlapping."""
        pattern = self._pattern
        if pattern is None:
            return
        for found in pattern.finditer(lower):
            phrase, meaning = self._which(" ".join(found.group().replace("-", " ").split()), found.group())
            yield phrase, meaning, found.start(), found.end()

    def _which(self, plain: str, exact: str) -> tuple[str, _T]:
        known = self._plain.get(plain) or self._plain.get(exact)
        if known is not None:
            return known
        best: tuple[int, str, _T] | None = None
        for pattern, phrase, meaning in self._meaning:
            if pattern.fullmatch(plain) and (best is None or len(phrase) > best[0]):
                best = (len(phrase), phrase, meaning)
        if best is None:  # a listed phrase that itself holds a hyphen or double space
            loose = {key.replace("-", " "): value for key, value in self._plain.items()}
            return loose[plain]
        return best[1], best[2]


def _loose(phrase: str) -> str:
    return re.escape(phrase).replace(r"\*", rf"[{WORD_CLASS}']*").replace(r"\-", r"[\s-]")


def _trie(phrases: Iterable[str], spaced: bool) -> str:
    root: _Node = {}
    for phrase in phrases:
        node = root
        for character in re.sub(r"\s+", " ", phrase):
            node = node.setdefault(character, {})
        node[""] = {}
    body = _write(root)
    if not spaced:
        return body
    # \b is faster than a look-behind over the long class and right for the first letter of every script.
    return rf"(?<![{WORD_CLASS}]){body}(?![{WORD_CLASS}])"


def _write(node: _Node) -> str:
    branches = []
    for character, rest in node.items():
        if character == "":
            continue
        if character == "*":
            piece = rf"[{WORD_CLASS}']*"
        elif character in " -":
            piece = r"[\s-]+"
        else:
            piece = re.escape(character)
        branches.append(piece + _write(rest))
    if not branches:
        return ""
    body = branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
    if "" in node:
        body = f"(?:{body})?"
    return body
