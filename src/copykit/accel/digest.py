"""Fingerprints of bytes inside one process: fast, spread, never stored and never part of a key.

Candidates give different numbers for the same bytes, so a fingerprint must not leave the process:
cache keys use one fixed algorithm of the standard library on every machine.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from typing import Any, Protocol, cast

from .registry import Candidate, Capability, choose, expect

__all__ = ["CAPABILITY", "Digest", "fingerprint"]


class Digest(Protocol):
    """Maps bytes to 64 bits; safe to share between threads."""

    def fingerprint(self, data: bytes) -> int:
        """Give 0 <= n < 2**64, the same for the same bytes as long as the process lives."""
        ...


def fingerprint(data: bytes) -> int:
    """Give a 64-bit number that stands for *data* in this process, e.g. to find repeated copy.

    Not for keys, files or other processes: the number depends on what is installed. Two different
    inputs collide with probability 2**-64 unless someone builds them to collide.
    """
    return cast(int, choose("digest").implementation.fingerprint(data))


class _Xxhash:
    def __init__(self) -> None:
        xxhash: Any = import_module("xxhash")

        self.fingerprint = xxhash.xxh3_64_intdigest


class _Blake3:
    def __init__(self) -> None:
        blake3: Any = import_module("blake3")

        self._hash = blake3.blake3

    def fingerprint(self, data: bytes) -> int:
        return int.from_bytes(self._hash(data).digest(length=8), "big")


class _Blake2b:
    def fingerprint(self, data: bytes) -> int:
        return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _verify(digest: Digest) -> None:
    samples = [b"", b"a", b"b", b"ab", b"ba", bytes(1000), bytes(1001)]
    values = [digest.fingerprint(sample) for sample in samples]
    expect(values == [digest.fingerprint(sample) for sample in samples], "is not stable")
    expect(all(type(v) is int and 0 <= v < 2**64 for v in values), "does not give 64-bit numbers")
    expect(len(set(values)) == len(samples), "maps different bytes to one number")


CAPABILITY = Capability(
    "digest",
    "In-process fingerprints, to find repeated texts.",
    (
        Candidate("xxhash", "xxhash", "copykit.accel.digest:_Xxhash", "accel"),
        # no faster than hashlib below some kilobytes
        Candidate("blake3", "blake3", "copykit.accel.digest:_Blake3", "fast", by_default=False),
        Candidate("hashlib", None, "copykit.accel.digest:_Blake2b"),
    ),
    _verify,
)
