"""Choices that are the same on every machine for the same brief and seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Dice"]

T = TypeVar("T")
_MASK = (1 << 64) - 1


class Dice:
    """A splitmix64 stream started from a digest; `fork` gives an independent stream by name.

    The standard ``random.Random`` would do, but costs ten times as much to seed, and one is seeded per field.
    """

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK
        self._state = self._seed

    @classmethod
    def from_text(cls, text: str) -> Dice:
        """Seed from *text* by BLAKE2b."""
        return cls(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))

    def fork(self, number: int) -> Dice:
        """Start a stream that depends on this one's seed and *number*, not on what was drawn so far."""
        return Dice(_mix(self._seed ^ _mix(number + 0x9E3779B97F4A7C15)))

    def below(self, bound: int) -> int:
        """Draw an integer in ``[0, bound)``; *bound* is small, so the modulo's bias does not matter."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        return _mix(self._state) % bound

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Give the items in a drawn order."""
        result = list(items)
        for i in range(len(result) - 1, 0, -1):
            j = self.below(i + 1)
            result[i], result[j] = result[j], result[i]
        return result


def _mix(z: int) -> int:
    z &= _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
