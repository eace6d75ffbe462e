"""How alike two texts are, by insertions and deletions (Indel), exactly alike from every candidate.

``1 - (len(a) + len(b) - 2 * LCS) / (len(a) + len(b))`` with the longest common subsequence LCS; 1.0 for two
empty texts. Compared code point by code point: fold case and normalise first if that shall not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from .registry import Candidate, Capability, choose, expect

__all__ = ["CAPABILITY", "Fuzzy", "closest", "similarity"]


class Fuzzy(Protocol):
    """Measures edit distances; safe to share between threads."""

    def distance(self, a: str, b: str) -> int:
        """Give the least number of insertions and deletions that turn *a* into *b*."""
        ...


def similarity(a: str, b: str) -> float:
    """Give 0.0 (nothing in common) to 1.0 (equal) for two texts; symmetric."""
    return _ratio(cast(Fuzzy, choose("fuzzy").implementation), a, b)


def closest(word: str, choices: Sequence[str], *, limit: int = 3, cutoff: float = 0.6) -> list[str]:
    """List up to *limit* of *choices* at least *cutoff* alike to *word*, best first.

    Equally alike ones keep their order; a repeated choice counts once.
    """
    fuzzy = cast(Fuzzy, choose("fuzzy").implementation)
    rated = [(_ratio(fuzzy, word, choice), choice) for choice in dict.fromkeys(choices)]
    rated.sort(key=lambda pair: -pair[0])
    return [choice for ratio, choice in rated[:limit] if ratio >= cutoff]


def _ratio(fuzzy: Fuzzy, a: str, b: str) -> float:
    total = len(a) + len(b)
    return 1.0 - fuzzy.distance(a, b) / total if total else 1.0


class _Rapidfuzz:
    def __init__(self) -> None:
        self.distance = import_module("rapidfuzz.distance").Indel.distance


class _Python:
    def distance(self, a: str, b: str) -> int:
        """Count bit-parallel over one big integer (Hyyrö 2004): a step per character of *b*."""
        where: dict[str, int] = {}
        bit = 1
        for character in a:
            where[character] = where.get(character, 0) | bit
            bit <<= 1
        everything = bit - 1
        row = everything
        for character in b:
            matches = row & where.get(character, 0)
            row = ((row + matches) | (row - matches)) & everything
        common = len(a) - row.bit_count()
        return len(a) + len(b) - 2 * common


def _verify(fuzzy: Fuzzy) -> None:
    known = (
        ("", "", 0), ("abc", "", 3), ("kitten", "sitting", 5), ("zapatos", "zapato", 1), ("👟é", "é👟", 2),
        ("ab" * 50, "ba" * 50, 2), ("x" * 70, "y" * 70, 140),
    )  # fmt: skip
    for a, b, distance in known:
        expect(fuzzy.distance(a, b) == distance, f"is wrong for {a[:10]!r} and {b[:10]!r}")


CAPABILITY = Capability(
    "fuzzy",
    "Near-duplicate headlines and nearest names.",
    (
        Candidate("rapidfuzz", "rapidfuzz", "copykit.accel.fuzzy:_Rapidfuzz", "accel"),
        Candidate("python", None, "copykit.accel.fuzzy:_Python"),
    ),
    _verify,
)
