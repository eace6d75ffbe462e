"""A time in which the store does not answer, as the log has it: its beginning, a line a minute, its end."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

__all__ = ["AGAIN_S", "Outage"]

AGAIN_S = 60.0
"""Between two lines of one that lasts."""
_log = logging.getLogger("copykit.server")


class Outage:
    """Tells of the store of one worker.

    Args:
        steady: monotonic seconds.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._began: float | None = None
        self._told = 0.0

    def goes_on(self, why: str) -> None:
        """Say that the store does not answer: at the first time, and at most once a minute after it."""
        now = self._steady()
        if self._began is None:
            self._began = now
        elif now - self._told < AGAIN_S:
            return
        self._told = now
        told = {"pid": os.getpid(), "why": why, "for_s": round(now - self._began, 1)}
        _log.warning(
            "the store does not answer; after 5 s of it requests that need it are refused", extra=told
        )

    def is_over(self) -> None:
        """Say that it answers again, if it did not."""
        if self._began is None:
            return
        after_s = round(self._steady() - self._began, 1)
        self._began = None
        _log.info("the store answers again", extra={"pid": os.getpid(), "after_s": after_s})
