"""The end of a process at the last moment that it was given, whatever hangs."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from contextlib import suppress

__all__ = ["LastMoment"]

_FLUSHING_S = 0.5
"""For handlers of the log: whoever hangs may hold the lock of one, in a write that nobody reads."""


class LastMoment:
    """Ends this process from a thread: what hangs may be the loop itself, or a line of the log."""

    def __init__(self) -> None:
        self.status = 0
        """Exit status, if it comes to that."""
        self._at = math.inf
        self._set, self._over = threading.Event(), threading.Event()

    def watch(self) -> None:
        """Begin to look at the clock, once a moment is set."""
        threading.Thread(target=self._wait, name="last-moment", daemon=True).start()

    def not_after(self, moment: float) -> None:
        """Set the moment, by the monotonic clock; of several the first counts. May be called by a signal's handler."""
        first = self._at == math.inf
        self._at = min(self._at, moment)
        if first:  # another signal amid this would wait for the event's lock for ever
            self._set.set()

    def pass_over(self) -> None:
        """Let the process end by itself."""
        self._over.set()
        self._set.set()

    def _wait(self) -> None:
        self._set.wait()
        while (left := self._at - time.monotonic()) > 0:
            if self._over.wait(min(left, 0.1)):
                return
        flushing = threading.Thread(target=logging.shutdown, name="flushing", daemon=True)
        with suppress(RuntimeError):  # no thread more
            flushing.start()
            flushing.join(_FLUSHING_S)
        os._exit(self.status)
