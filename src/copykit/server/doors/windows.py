"""Sliding windows in this process: how many requests there were, without a thread and without a pass over all of them.

The rule is that of the library `limits`, whose store in memory starts a thread every hundredth of a second and takes some
fifteen times as long (`benchmarks/http_cached.py` shows what a request then costs); a test holds one against the other.
What several workers count together is counted by the library itself, in Redis.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import nsmallest

__all__ = ["Windows"]

_MOST = 100_000
"""Names that are counted; beyond them those are forgotten that came least often."""


class Windows:
    """Counts by name in windows of fixed length, of which the one before counts by the part that still overlaps.

    Args:
        clock: seconds that never go back: windows begin where it is divisible by their length. A clock that is set may
            stand ahead for a moment, and whoever came then would be refused until it is there again.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted: dict[tuple[str, str, int], list[int]] = {}

    def count(self, kind: str, name: str, most: int, length_s: int) -> tuple[bool, int, float]:
        """Count one more of *name*, if there were fewer than *most*.

        Returns:
            Whether it fits, how many more do, and the seconds until that changes.
        """
        now = self._clock()
        window, into = divmod(now, length_s)
        counted = self._of(kind, name, length_s, int(window))
        overlap = 1.0 - into / length_s
        fits = int(counted[2] * overlap + counted[1]) < most
        if fits:
            counted[1] += 1
        before, current = counted[2], counted[1]
        left = most - int(before * overlap + current)
        wait_s = length_s - into if current else 0.0
        if before:
            eased_s = (overlap * length_s) % (length_s / before)
            wait_s = min(wait_s, eased_s) if current else eased_s
        return fits, left if left > 0 else 0, wait_s

    def _of(self, kind: str, name: str, length_s: int, window: int) -> list[int]:
        """Give number of the window, count in it and count in the one before."""
        at = (kind, name, length_s)
        counted = self._counted.get(at)
        if counted is None:
            if len(self._counted) >= _MOST:
                self._forget()
            counted = self._counted[at] = [window, 0, 0]
        elif counted[0] < window:  # a clock that was set back begins no window anew
            counted[1:] = (0, counted[1]) if counted[0] == window - 1 else (0, 0)
            counted[0] = window
        return counted

    def _forget(self) -> None:
        """Forget what counts no longer; if that is nothing, the tenth that came least often: no bound is near for them."""
        now = self._clock()
        gone = [at for at, counted in self._counted.items() if (counted[0] + 2) * at[2] <= now]
        for at in gone or nsmallest(_MOST // 10, self._counted, key=lambda at: self._counted[at][1]):
            del self._counted[at]
