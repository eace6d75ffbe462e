"""Bounded memory for finished results: entries, bytes and age.

The two candidates forget differently, and that is all that differs: moka keeps what is asked for often
(W-TinyLFU, which may also decline a newcomer), cachetools what was asked for last (LRU). Neither starts a
thread. Time comes from the caller's clock in both.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from .registry import Candidate, Capability, choose, expect

__all__ = ["CAPABILITY", "Store", "StoreMaker", "StoreStats", "new_store"]

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counts since the store was made, and what it holds now."""

    hits: int
    misses: int
    """Expired entries count as misses."""
    evictions: int
    """Entries dropped or declined to keep the bounds; not those deleted, replaced, cleared or expired."""
    entries: int
    size_bytes: int
    """Sum of the sizes given to `Store.set`."""


class Store(Protocol):
    """A mapping that forgets; safe to share between threads."""

    def get(self, key: str) -> Any | None:
        """Give the value, or None if it was never set, has expired or was forgotten."""
        ...

    def set(self, key: str, value: Any, size_bytes: int, ttl_s: float | None = None) -> None:
        """Keep *value* for *ttl_s* seconds (None: no end); one larger than the store is not kept."""
        ...

    def delete(self, key: str) -> bool:
        """Forget *key*; tells whether it was there."""
        ...

    def clear(self) -> None:
        """Forget everything; the counts stay."""
        ...

    def stats(self) -> StoreStats:
        """Give the counts."""
        ...


class StoreMaker(Protocol):
    """Makes stores."""

    def new(self, max_entries: int, max_bytes: int, clock: Clock) -> Store:
        """Give an empty store within these bounds."""
        ...


def new_store(*, max_entries: int, max_bytes: int, clock: Clock = time.monotonic) -> Store:
    """Give an empty store that holds at most *max_entries* entries and *max_bytes* bytes.

    Args:
        max_entries: At least 1.
        max_bytes: At least 1; counts the sizes given to `Store.set`, not the overhead per entry.
        clock: Seconds that never go back.

    Raises:
        ValueError: a bound is below 1.
    """
    if max_entries < 1 or max_bytes < 1:
        raise ValueError(f"max_entries={max_entries} and max_bytes={max_bytes} must be at least 1")
    return cast(StoreMaker, choose("store").implementation).new(max_entries, max_bytes, clock)


@dataclass(slots=True)
class _Entry:
    value: Any
    size: int
    ends: float | None


class _Cachetools:
    def __init__(self) -> None:
        self._make: Any = import_module("cachetools").LRUCache

    def new(self, max_entries: int, max_bytes: int, clock: Clock) -> Store:
        return _LruStore(self._make, max_entries, max_bytes, clock)


class _LruStore:
    def __init__(self, lru: Any, max_entries: int, max_bytes: int, clock: Clock) -> None:
        self._cache: Any = lru(max_bytes, getsizeof=lambda entry: entry.size)
        self._max_entries, self._max_bytes, self._clock = max_entries, max_bytes, clock
        self._lock = threading.Lock()
        self._hits = self._misses = self._evictions = 0

    def get(self, key: str) -> Any | None:
        with self._lock:
            entry = self._cache.get(key)
            if entry is None or (entry.ends is not None and self._clock() >= entry.ends):
                self._misses += 1
                if entry is not None:
                    del self._cache[key]
                return None
            self._hits += 1
            return entry.value

    def set(self, key: str, value: Any, size_bytes: int, ttl_s: float | None = None) -> None:
        ends = None if ttl_s is None else self._clock() + ttl_s
        with self._lock:
            self._cache.pop(key, None)
            if size_bytes > self._max_bytes:
                self._evictions += 1
                return
            while self._cache and (
                len(self._cache) >= self._max_entries or self._cache.currsize + size_bytes > self._max_bytes
            ):
                self._cache.popitem()
                self._evictions += 1
            self._cache[key] = _Entry(value, size_bytes, ends)

    def delete(self, key: str) -> bool:
        with self._lock:
            return self._cache.pop(key, None) is not None

    def clear(self) -> None:
        with self._lock:
            self._cache.clear()

    def stats(self) -> StoreStats:
        with self._lock:
            size = int(self._cache.currsize)
            return StoreStats(self._hits, self._misses, self._evictions, len(self._cache), size)


class _Moka:
    def __init__(self) -> None:
        if "moka_py" not in sys.modules and threading.current_thread() is not threading.main_thread():
            # moka-py 0.5.0 crashes the process once the thread that imported it has ended
            raise RuntimeError(
                "it is first wanted in a thread that may end, and it does not outlive that thread"
            )
        moka_py: Any = import_module("moka_py")

        self._moka = moka_py.Moka
        # releases before 0.5 cannot weigh entries, so they cannot be bounded in bytes
        self._moka(1, weigher=lambda key, entry: 1)

    def new(self, max_entries: int, max_bytes: int, clock: Clock) -> Store:
        return _MokaStore(self._moka, max_entries, max_bytes, clock)


class _MokaStore:
    """One lock around every call, although moka has its own.

    It tells of evictions through a Python callback while it holds inner locks; a second thread that waits
    for one of those keeps the interpreter lock that the callback needs, and both wait for ever (moka-py
    0.5.0; the contract's test of threads shows it).
    """

    def __init__(self, moka: Any, max_entries: int, max_bytes: int, clock: Clock) -> None:
        # moka has one bound: an entry weighs at least its share of the bytes, which bounds the entries too
        self._share = -(-max_bytes // max_entries)
        self._max_bytes, self._clock = max_bytes, clock
        self._lock = threading.RLock()
        self._hits = self._misses = self._evictions = 0
        self._size = self._entries = 0
        self._cache: Any = moka(max_bytes, eviction_listener=self._forgotten, weigher=self._weigh)

    def get(self, key: str) -> Any | None:
        with self._lock:
            entry = self._cache.get(key)
            if entry is None or (entry.ends is not None and self._clock() >= entry.ends):
                self._misses += 1
                if entry is not None:
                    self._cache.remove(key)
                return None
            self._hits += 1
            return entry.value

    def set(self, key: str, value: Any, size_bytes: int, ttl_s: float | None = None) -> None:
        ends = None if ttl_s is None else self._clock() + ttl_s
        with self._lock:
            if size_bytes > self._max_bytes:
                self._cache.remove(key)
                self._evictions += 1
                return
            self._entries += 1
            self._size += size_bytes
            self._cache.set(key, _Entry(value, size_bytes, ends))
            self._cache.run_pending_tasks()  # else the bounds would hold only some time later

    def delete(self, key: str) -> bool:
        with self._lock:
            return self._cache.remove(key) is not None

    def clear(self) -> None:
        with self._lock:
            self._cache.clear()
            self._cache.run_pending_tasks()

    def stats(self) -> StoreStats:
        with self._lock:
            self._cache.run_pending_tasks()
            return StoreStats(self._hits, self._misses, self._evictions, self._entries, self._size)

    def _weigh(self, key: str, entry: _Entry) -> int:
        return max(entry.size, self._share)

    def _forgotten(self, key: str, entry: _Entry, cause: str) -> None:
        self._entries -= 1
        self._size -= entry.size
        self._evictions += cause == "size"


def _verify(maker: StoreMaker) -> None:
    now = [0.0]
    store = maker.new(4, 100, lambda: now[0])
    store.set("a", b"a", 10)
    store.set("b", b"b", 10, 5.0)
    store.set("large", b"", 101)
    expect(store.get("a") == b"a" and store.get("b") == b"b", "does not keep what fits")
    expect(store.get("large") is None, "keeps what does not fit")
    now[0] = 5.0
    expect(store.get("b") is None and store.get("a") == b"a", "does not follow the clock")
    for number in range(50):
        store.set(str(number), b"", 30)
    held = store.stats()
    expect(held.entries <= 4 and held.size_bytes <= 100, "does not hold its bounds")
    store.clear()
    expect(store.stats().entries == 0 and store.get("a") is None, "does not forget")


CAPABILITY = Capability(
    "store",
    "The in-memory cache of finished results.",
    (
        Candidate("moka", "moka_py", "copykit.accel.store:_Moka", "fast"),
        Candidate("cachetools", "cachetools", "copykit.accel.store:_Cachetools"),
    ),
    _verify,
)
