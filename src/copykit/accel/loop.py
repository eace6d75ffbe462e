"""Event loops for the programs that own one: the command line and the server.

A library must not change its caller's loop, so nothing else in copykit uses this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast

from .registry import Candidate, Capability, choose, expect

__all__ = ["CAPABILITY", "LoopMaker", "new_event_loop", "run"]

T = TypeVar("T")


class LoopMaker(Protocol):
    """Makes event loops."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Give a new loop, not yet running and not set as current."""
        ...


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Give a new event loop of the chosen kind; the caller closes it."""
    return cast(LoopMaker, choose("loop").implementation).new_event_loop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end on a new loop of the chosen kind, as `asyncio.run` does.

    Raises:
        RuntimeError: a loop is already running in this thread.
        ConfigurationError: the forced kind of loop is unknown.
    """
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(main)
    finally:
        main.close()  # without a loop it never starts, and would warn that nobody awaited it


class _Uvloop:
    def __init__(self) -> None:
        uvloop: Any = import_module("uvloop")

        self.new_event_loop = uvloop.new_event_loop


class _Asyncio:
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()


def _verify(maker: LoopMaker) -> None:
    loop = maker.new_event_loop()
    try:
        expect(isinstance(loop, asyncio.AbstractEventLoop), "does not give an event loop")
        # no coroutine is run: `choose` may be called while another loop runs in this thread
        expect(not loop.is_running() and not loop.is_closed(), "gives a loop that is already in use")
    finally:
        loop.close()


CAPABILITY = Capability(
    "loop",
    "Event loop of the command line and the server; a caller's own loop is never replaced.",
    (
        Candidate("uvloop", "uvloop", "copykit.accel.loop:_Uvloop", "fast"),
        Candidate("asyncio", None, "copykit.accel.loop:_Asyncio"),
    ),
    _verify,
)
