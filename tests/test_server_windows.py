"""Sliding windows counted here do what the library does that counts them for several workers."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("limits", reason="needs the extra server")
pytest.importorskip("sse_starlette", reason="needs the extra server")

import limits
from hypothesis import given
from hypothesis import strategies as st
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from copykit.server.doors import windows
from copykit.server.doors.windows import Windows
from copykit.testing import FakeClock


class Library:
    """The same counts by the library, on a clock of ours; its thread is never started."""

    def __init__(self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
        import limits.storage.memory
        import limits.strategies

        for module in (limits.storage.memory, limits.strategies):
            monkeypatch.setattr(module, "time", _Time(clock))
        monkeypatch.setattr(MemoryStorage, "_MemoryStorage__schedule_expiry", lambda self: None)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, name: str, most: int, length_s: int) -> tuple[bool, int]:
        """Give whether one more fits, and how many then still do."""
        item = limits.RateLimitItemPerSecond(most, length_s)
        fits = self._limiter.hit(item, name)
        return fits, self._limiter.get_window_stats(item, name).remaining


class _Time:
    def __init__(self, clock: FakeClock) -> None:
        self.time = clock


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.floats(0, 20, allow_nan=False), st.integers(1, 12)), max_size=60
)


@given(most=st.integers(1, 8), length_s=st.integers(1, 10), steps=STEPS)
def test_the_library_is_of_the_same_opinion(most: int, length_s: int, steps: list[Any]) -> None:
    """Over any times: the same requests fit, and as many are left."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = FakeClock(1_000_000.25)
        library, own = Library(clock, monkeypatch), Windows(clock=clock)
        for name, passed_s, times in steps:
            clock.now += passed_s
            for _ in range(times):
                fits, left, reset_s = own.count("key", name, most, length_s)
                assert (fits, left) == library.count(name, most, length_s)
                assert 0 <= reset_s <= length_s


def test_names_that_count_no_longer_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come, memory is bounded, and whoever is counted now stays so."""
    monkeypatch.setattr(windows, "_MOST", 100)
    clock = FakeClock(1000.0)
    own = Windows(clock=clock)
    for n in range(1000):
        clock.now += 0.1
        own.count("ip", str(n), 1, 1)
        assert len(own._counted) <= 100
    assert own.count("ip", "999", 1, 1)[0] is False


def test_a_clock_that_is_set_changes_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour back or a day ahead and back again: who came before and who comes then have what is theirs, no less."""
    monkeypatch.setattr(time, "time", (wall := FakeClock(1_800_000_000.0)))
    own = Windows()
    counted = []
    for ahead_s in (0, 86_400, -3600, 0):
        wall.now = 1_800_000_000.0 + ahead_s
        fits, left, reset_s = own.count("key", "k", 60, 86_400)
        assert fits
        assert 0 <= reset_s <= 86_400
        counted.append(left)
    assert counted == [59, 58, 57, 56]
    assert own._clock is time.monotonic  # which no test can set


def test_kinds_and_lengths_are_counted_apart() -> None:
    """A key's name and an address that reads the same are two; so are a minute's and an hour's bound."""
    own = Windows(clock=FakeClock(1000.0))
    assert own.count("ip", "x", 1, 60)[0]
    assert own.count("key", "x", 1, 60)[0]
    assert own.count("key", "x", 1, 3600)[0]
    assert not own.count("key", "x", 1, 60)[0]


def test_a_name_at_its_bound_is_not_forgotten_for_many_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that came once go first; a clock that is set back gives nobody a new window."""
    monkeypatch.setattr(windows, "_MOST", 100)
    clock = FakeClock(1000.0)
    own = Windows(clock=clock)
    for _ in range(5):
        own.count("key", "busy", 5, 3600)
    for n in range(1000):
        own.count("ip", str(n), 5, 3600)
    clock.now -= 60
    assert own.count("key", "busy", 5, 3600)[0] is False
