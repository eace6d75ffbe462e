"""What is begun with the store goes on to its end, also when whoever asked for it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

__all__ = ["go_on", "to_the_end"]

P = ParamSpec("P")
T = TypeVar("T")

_going: set[asyncio.Task[Any]] = set()
"""The loop itself holds tasks only weakly."""


def go_on(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Let *work* run by itself, whether or not anybody waits for it."""
    task = asyncio.ensure_future(work)
    _going.add(task)
    task.add_done_callback(_going.discard)
    return task


def to_the_end(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let *work* go on when its caller is cancelled, who is not kept waiting for it.

    A client that leaves and a deadline cancel at any ``await``. A transaction that is cut off there may be true or not
    without anybody knowing, and SQLAlchemy drops its connection amid the statement: SQLite's thread then holds the
    file's lock until the garbage is collected. So every function that uses the store stands behind this, together with
    what it changes in memory after the commit; `Store.aclose` waits for those that are still at it.
    """

    @wraps(work)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for it, as long as that is wanted."""
        return await asyncio.shield(go_on(work(*args, **kwargs)))

    return run
