"""The same verbs without ``await``: for scripts, notebooks and views, also where a loop is already running.

One background thread runs one event loop for the whole process, started by the first call.

>>> from copykit import sync
>>> sync.generate(product_description="Oak desk, 120x60 cm", target_platform="x").variants[0].status
'ok'
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from copykit.accel import loop as loops
from copykit.errors import CopykitError, InvalidRequest
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.service import CopywritingServiceV11

__all__ = ["batch_generate", "clear_cache", "generate", "get_performance_stats", "health", "run"]

T = TypeVar("T")
_lock = threading.Lock()
_process = os.getpid()
_thread: threading.Thread | None = None
_loop: asyncio.AbstractEventLoop | None = None
_service: CopywritingServiceV11 | None = None


def run(work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """Run *work* on the background loop and wait for its result; works inside a running loop's thread too.

    Raises:
        TimeoutError: no result after *timeout_s* seconds; *work* is cancelled.
        RuntimeError: called on the background loop (by a provider or a hook), which would wait for itself.
    """
    loop = _background()
    if threading.current_thread() is _thread:
        work.close()
        raise RuntimeError("copykit.sync called from its own loop: await the service there")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result(timeout_s)
    except TimeoutError:
        future.cancel()
        raise


def generate(request: CopywritingInput | Mapping[str, Any] | None = None, **fields: Any) -> CopywritingOutput:
    """Write one brief, given as a request or as its fields; see `CopywritingService.generate`."""
    if (request is None) == (not fields):
        raise InvalidRequest("request", request, "give either a request or its fields")
    return run(_default().generate(request if request is not None else fields))


def batch_generate(
    requests: Iterable[CopywritingInput | Mapping[str, Any]],
) -> list[CopywritingOutput | CopykitError]:
    """Write many briefs; see `CopywritingService.batch_generate`."""
    return run(_default().batch_generate(requests))


def get_performance_stats() -> dict[str, Any]:
    """Give the shared service's counts; see `CopywritingService.get_performance_stats`."""
    return run(_default().get_performance_stats())


def health() -> dict[str, Any]:
    """Tell whether the shared service can answer."""
    return run(_default().health())


def clear_cache() -> None:
    """Forget the shared service's cached results."""
    run(_default().clear_cache())


def _default() -> CopywritingServiceV11:
    global _service
    _after_fork()
    with _lock:
        if _service is None:
            _service = CopywritingServiceV11()
        return _service


def _background() -> asyncio.AbstractEventLoop:
    global _loop, _thread
    _after_fork()
    with _lock:
        if _loop is None:
            _loop = loops.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="copykit-sync", daemon=True)
            _thread.start()
        return _loop


def _after_fork() -> None:
    """Start anew in a forked child: the parent's thread does not run there, its loop would never answer."""
    global _lock, _loop, _service, _process
    if _process != os.getpid():
        _lock, _loop, _service, _process = threading.Lock(), None, None, os.getpid()
