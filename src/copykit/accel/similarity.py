"""Exact dot products of integer vectors, and how many terms texts share: the same product of zeros and ones.

Integers, because then every candidate gives the same answer: floating-point sums depend on their order.
Inputs whose products could leave 64 bits are computed by Python's own integers.

Small inputs are always computed in Python unless a candidate is forced: loading and converting costs more
than it saves (`SMALL_WORK`, measured by ``benchmarks/accel_order.py``).
"""

from __future__ import annotations

import heapq
import math
import operator
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from .registry import Candidate, Capability, choose, chosen, demote, expect, forced

__all__ = ["CAPABILITY", "FEW_SETS", "SMALL_WORK", "TINY_WORK", "Similarity", "dots", "nearest", "shared"]

Vector = Sequence[int]

SMALL_WORK = 20_000
"""Multiplications up to which nothing is loaded: Python needs less than a millisecond, loading a hundred."""

TINY_WORK = 500
"""Multiplications up to which Python is used even when a candidate is loaded: converting costs as much."""

FEW_SETS = 100
"""Sets up to which their intersections are taken as sets: a microsecond each, less than building a matrix."""


class Similarity(Protocol):
    """Multiplies matrices of integers exactly; safe to share between threads."""

    def product(self, left: Sequence[Vector], right: Sequence[Vector], largest: int) -> Any:
        """Give rows of dot products, ``result[i][j] = left[i] · right[j]``, all equally long.

        Anything with ``tolist()`` or a list of lists will do. *largest* bounds the size of every sum.
        """
        ...


def dots(vectors: Sequence[Vector]) -> list[list[int]]:
    """Give the dot product of every pair of *vectors*, exactly.

    Raises:
        ValueError: the vectors differ in length.
    """
    return _product(vectors, vectors)


def nearest(query: Vector, matrix: Sequence[Vector], k: int) -> list[tuple[int, int]]:
    """List the *k* rows of *matrix* with the largest dot product with *query*, as (row, product).

    Largest first; equal products keep the order of the rows. Fewer than *k* where the matrix has fewer rows.

    Raises:
        ValueError: the vectors differ in length.
    """
    if k < 1:
        return []
    row = _product([query], matrix)[0]
    return heapq.nsmallest(k, enumerate(row), key=lambda pair: (-pair[1], pair[0]))


def shared(sets: Sequence[frozenset[str]]) -> list[list[int]]:
    """Give how many terms every pair of *sets* has in common; on the diagonal, the size of each set."""
    if len(sets) <= FEW_SETS and forced("similarity") is None:
        rows = [[0] * len(sets) for _ in sets]
        for i, one in enumerate(sets):
            rows[i][i] = len(one)
            for j in range(i):
                rows[i][j] = rows[j][i] = len(one & sets[j])
        return rows
    places = {term: at for at, term in enumerate(sorted(frozenset().union(*sets)))}
    vectors = []
    for one in sets:
        vector = [0] * len(places)
        for term in one:
            vector[places[term]] = 1
        vectors.append(vector)
    return _product(vectors, vectors)


def _product(left: Sequence[Vector], right: Sequence[Vector]) -> list[list[int]]:
    same = right is left
    left = _lists(left)
    right = left if same else _lists(right)
    if not left or not right:
        return [[] for _ in left]
    width = len(left[0])
    if any(len(v) != width for rows in (left, right) for v in rows):
        raise ValueError("vectors must be equally long")
    work = len(left) * len(right) * width
    small = TINY_WORK if chosen("similarity") else SMALL_WORK
    if not width or (work <= small and forced("similarity") is None):
        return _FALLBACK.product(left, right, 0)
    largest = width * _size(left) * (_size(right) if right is not left else _size(left))
    if largest >= 2**63:
        return _FALLBACK.product(left, right, largest)
    choice = choose("similarity")
    while choice.implementation is not _FALLBACK:
        try:
            result = cast(Similarity, choice.implementation).product(left, right, largest)
            return result if isinstance(result, list) else cast(list[list[int]], result.tolist())
        except Exception as error:  # e.g. no memory left on the device: the call goes on without it
            demote("similarity", choice.candidate, f"failed at work: {type(error).__name__}: {error}"[:200])
            choice = choose("similarity")
            if isinstance(choice.implementation, _Python):
                break
    return _FALLBACK.product(left, right, largest)


def _lists(rows: Sequence[Vector]) -> Sequence[Vector]:
    """Give rows of Python integers, since those of an array would overflow silently."""
    return cast(Sequence[Vector], rows.tolist()) if hasattr(rows, "tolist") else rows


def _size(rows: Sequence[Vector]) -> int:
    return max(max(max(row), -min(row)) for row in rows)


def _dot(a: Vector, b: Vector) -> int:
    return sum(map(operator.mul, a, b))


class _Python:
    def __init__(self) -> None:
        self._dot: Callable[[Vector, Vector], int] = getattr(math, "sumprod", _dot)  # since Python 3.12

    def product(self, left: Sequence[Vector], right: Sequence[Vector], largest: int) -> list[list[int]]:
        if left is right:
            rows: list[list[int]] = [[0] * len(left) for _ in left]
            for i, a in enumerate(left):
                # Counts of hashed words are mostly zero: multiply only where the row has something.
                places = [at for at, value in enumerate(a) if value]
                if len(places) > 1 and len(places) * 3 < len(a):
                    held = operator.itemgetter(*places)
                    values = held(a)
                    for j in range(i, len(left)):
                        rows[i][j] = rows[j][i] = sum(map(operator.mul, values, held(left[j])))
                    continue
                for j in range(i, len(left)):
                    rows[i][j] = rows[j][i] = self._dot(a, left[j])
            return rows
        return [[self._dot(a, b) for b in right] for a in left]


_FALLBACK = _Python()


class _Numpy:
    """Also the shape of CuPy, which has the same functions for arrays on the device."""

    def __init__(self) -> None:
        numpy: Any = import_module("numpy")

        self._arrays: Any = numpy

    def product(self, left: Sequence[Vector], right: Sequence[Vector], largest: int) -> Any:
        arrays = self._arrays
        # below 2**53 every partial sum is an exact float, and floats use the fast matrix product
        kind = arrays.float64 if largest < 2**53 else arrays.int64
        a = arrays.asarray(left, dtype=kind)
        b = a if right is left else arrays.asarray(right, dtype=kind)
        return (a @ b.T).astype(arrays.int64)


class _Cupy(_Numpy):
    def __init__(self) -> None:
        cupy: Any = import_module("cupy")

        if not cupy.cuda.runtime.getDeviceCount():  # it imports without a driver and fails at the first array
            raise RuntimeError("no CUDA device")
        self._arrays = cupy


class _Numba:
    def __init__(self) -> None:
        numba: Any = import_module("numba")
        numpy: Any = import_module("numpy")

        self._arrays = numpy

        def product(a: Any, b: Any) -> Any:
            out = numpy.zeros((a.shape[0], b.shape[0]), dtype=numpy.int64)
            for i in range(a.shape[0]):
                for j in range(b.shape[0]):
                    total = 0
                    for k in range(a.shape[1]):
                        total += a[i, k] * b[j, k]
                    out[i, j] = total
            return out

        self._compiled = numba.njit("int64[:,::1](int64[:,::1], int64[:,::1])", nogil=True)(product)

    def product(self, left: Sequence[Vector], right: Sequence[Vector], largest: int) -> Any:
        a = self._arrays.ascontiguousarray(left, dtype=self._arrays.int64)
        b = a if right is left else self._arrays.ascontiguousarray(right, dtype=self._arrays.int64)
        return self._compiled(a, b)


def _verify(similarity: Similarity) -> None:
    for largest, factor in ((2**10, 1), (2**62, 2**29)):
        left, right = [[factor, 2, -3], [0, 0, 1]], [[factor, -1, 1], [5, 6, 7]]
        expected = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in right] for a in left]
        result: Any = similarity.product(left, right, largest)
        rows = result if isinstance(result, list) else result.tolist()
        expect(rows == expected, "gives wrong products")
        expect(all(type(n) is int for row in rows for n in row), "does not give integers")


CAPABILITY = Capability(
    "similarity",
    "Diversity of variants and near-duplicate copy, from the terms they share.",
    (
        Candidate("numpy", "numpy", "copykit.accel.similarity:_Numpy", "fast"),
        Candidate("numba", "numba", "copykit.accel.similarity:_Numba", "fast"),
        # transfers to the device are worth it only beyond our sizes, and were not measured on one
        Candidate("cupy", "cupy", "copykit.accel.similarity:_Cupy", "gpu", by_default=False),
        Candidate("python", None, "copykit.accel.similarity:_Python"),
    ),
    _verify,
)
