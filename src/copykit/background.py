"""One background thread with one event loop for the whole process, started by the first call that needs it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from copykit.accel import loop as loops

__all__ = ["run"]

T = TypeVar("T")
_lock = threading.Lock()
_process = os.getpid()
_thread: threading.Thread | None = None
_loop: asyncio.AbstractEventLoop | None = None


def run(work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """Run *work* on the background loop and wait for its result; works inside a running loop's thread too.

    Raises:
        TimeoutError: no result after *timeout_s* seconds; *work* is cancelled.
        RuntimeError: called on the background loop (by a provider or a hook), which would wait for itself.
    """
    loop = _background()
    if threading.current_thread() is _thread:
        work.close()
        raise RuntimeError("called without await from copykit's own loop: await it there")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result(timeout_s)
    except (TimeoutError, KeyboardInterrupt):  # who no longer waits wants nothing done
        future.cancel()
        raise


def _background() -> asyncio.AbstractEventLoop:
    global _loop, _thread, _lock, _process
    if (
        _process != os.getpid()
    ):  # a forked child: the parent's thread does not run there, its loop never answers
        _lock, _loop, _process = threading.Lock(), None, os.getpid()
    with _lock:
        if _loop is None:
            _loop = loops.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="copykit-sync", daemon=True)
            _thread.start()
        return _loop
