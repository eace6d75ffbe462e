"""The same verbs without ``await``: for scripts, notebooks and views, also where a loop is already running.

One background thread runs one event loop for the whole process, started by the first call.

>>> from copykit import sync
>>> sync.generate(product_description="Oak desk, 120x60 cm", target_platform="x").variants[0].status
'ok'
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from copykit.background import run
from copykit.errors import CopykitError, InvalidRequest
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.service import CopywritingServiceV11

__all__ = ["batch_generate", "clear_cache", "generate", "get_performance_stats", "health", "run"]

_lock = threading.Lock()
_process = os.getpid()
_service: CopywritingServiceV11 | None = None


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
    global _service, _lock, _process
    if (
        _process != os.getpid()
    ):  # a forked child: the parent's service has its connections on the parent's loop
        _lock, _service, _process = threading.Lock(), None, os.getpid()
    with _lock:
        if _service is None:
            _service = CopywritingServiceV11()
        return _service
