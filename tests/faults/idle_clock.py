"""An event loop whose seconds pass only while nothing else happens: real sockets, and waits that take no time."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["IdleClockLoop", "run"]

_GRACE_S = 0.002
"""Loopback delivers at once, but not always in the same call."""
_STUCK_S = 20.0


class IdleClockLoop(asyncio.SelectorEventLoop):
    """Its `time` stands still while there is work or data, and jumps to the next timer when there is none."""

    def __init__(self, grace_s: float = _GRACE_S) -> None:
        self.now = 1_000.0
        self.grace_s = grace_s
        """Real time given to the kernel before a wait is skipped; nothing is needed where no socket is."""
        self.threads = 0
        """Calls in other threads that are awaited; no wait is skipped meanwhile."""
        self.names: dict[str, Callable[[], Iterable[str]]] = {}
        """Host names made up by a test, with what resolves them."""
        super().__init__(_Skipping(self))

    def time(self) -> float:
        """Give this loop's seconds."""
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Run *func* in another thread, and hold the clock until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: object) -> None:
        self.threads -= 1

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Resolve a made-up name by its own rule, and any other as usual."""
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.names:
            return await super().getaddrinfo(host, port, **options)
        found = self.names[name]()
        addresses = await found if asyncio.iscoroutine(found) else found
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, socket.IPPROTO_TCP, "", (one, port)) for one in addresses]


class _Skipping:
    """A selector that skips waits in which nothing happens."""

    def __init__(self, loop: IdleClockLoop) -> None:
        self._loop = loop
        self._inner = selectors.DefaultSelector()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def select(self, timeout: float | None = None) -> Any:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.threads:
            return self._inner.select(0.01)
        if timeout is None:
            ready = self._inner.select(_STUCK_S)
            if not ready:
                raise RuntimeError("nothing can happen any more: a task waits for what nobody will give")
            return ready
        ready = self._inner.select(self._loop.grace_s)
        if not ready:
            self._loop.now += timeout
        return ready


def run(story: Any) -> Any:
    """Run a coroutine to its end on a loop of this kind."""
    with asyncio.Runner(loop_factory=IdleClockLoop) as runner:
        return runner.run(story)
