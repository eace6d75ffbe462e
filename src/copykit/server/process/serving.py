"""One serving process: uvicorn under bounded connections, and its way out."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from copykit.errors import ConfigurationError, CopykitError
from copykit.server.config import ServerSettings
from copykit.server.holdings import Holdings
from copykit.server.process.drain import Drain, ShuttingDown
from copykit.server.process.failure import tell_failure
from copykit.server.process.last_moment import LastMoment
from copykit.server.process.protocol import Bounds, State, protocol_of
from copykit.server.watch.figures import Figures

__all__ = ["Serving"]

_log = logging.getLogger("copykit.server")

_QUIET_S = 0.3
"""After the signal, and after it was made, an unused connection is kept so long: a request may be on its way, and gets an
answer that closes it."""
_FAREWELL_S = 0.5
"""For streams to say that they end, and for what was broken off to answer."""
_FORCED_S = 1.0
"""From a second signal to the end of the process, whatever hangs."""
_CLOSING_S = 3.0
"""For the application to close its files and connections."""
_MERCY_S = 4.5
"""From the limit of the drain to the end of the process, whatever hangs."""
_TICK_S = 0.02
_FILES = 65_536
"""Open files are enough for one process; some systems allow a thousand million, and tables of that size."""
_CANNOT, _WRONG_SETTINGS = 1, 78
"""Exit statuses of a server that did not begin."""
_OWN_FILES = 256
"""Of them are not connections of clients."""


class Serving(uvicorn.Server):
    """A server that leaves in order.

    After SIGTERM or SIGINT it is not ready at once, and takes new requests for ``drain_delay_s`` more. Then it accepts no
    connection, answers what is in work, and closes each connection with the answer. ``drain_s`` after the signal streams
    are told that they end, what still runs is cancelled and answered with 503, and the process ends with status 0; if
    something cannot be cancelled, `_MERCY_S` later all the same. A second signal does the last part now, and the status
    is 128 and its number.

    A worker of several obeys its parent alone, since a terminal or an init system may send a signal to all processes at
    once: SIGTERM drains (again: nothing), SIGHUP drains for a successor, so without the delay and without being not
    ready, SIGQUIT ends now, SIGINT is ignored.
    """

    def __init__(
        self,
        app: Starlette,
        settings: ServerSettings,
        *,
        worker: bool = False,
        started: Callable[[], None] | None = None,
    ) -> None:
        bounds = Bounds(
            settings.header_s, settings.max_header_bytes, settings.max_header_fields, settings.stalled_s
        )
        config = uvicorn.Config(
            app,
            http=protocol_of(bounds),
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # a timer takes parts of a second
        )
        super().__init__(config)
        for name in (
            "uvicorn.error",
            "uvicorn.asgi",
        ):  # what they tell at INFO this class tells in fewer lines
            logging.getLogger(name).setLevel(logging.WARNING)
        self._figures: Figures = app.state.answers.metered.figures
        self.server_state = self._state = State(self._refused)
        self.status = 0
        """Exit status, once it has run."""
        self._drain: Drain = app.state.drain
        self._holdings: Holdings = app.state.holdings
        self._settings = settings
        self._worker = worker
        self._told_started = started
        self._left_at: float | None = None
        """When the way out began, by the monotonic clock."""
        self._accept_until = 0.0
        self._parted = False
        """Whether connections were told that their next answer is the last."""
        self._forced = False
        self._last_moment = LastMoment()
        self._heard: deque[str] = deque()
        """Signals that came and were not told yet: a handler may run amid the writing of another line."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal, and leave."""
        self._state.most = _most_connections()
        try:
            super().run(sockets)
        finally:
            self._last_moment.pass_over()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to signals as long as the server runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = {signal.SIGTERM, signal.SIGINT}
        if hasattr(signal, "SIGHUP"):
            numbers |= {signal.SIGHUP, signal.SIGQUIT}
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the way out, or shorten it; runs between two steps of whatever the process does."""
        name = signal.Signals(sig).name
        if self._worker and (name == "SIGINT" or (self._left_at is not None and name != "SIGQUIT")):
            return
        self._heard.append(name)
        if name == "SIGQUIT" or (self._left_at is not None and not self._worker):
            self._force(sig)
        elif self._left_at is None:
            self.leave(for_successor=self._worker and name == "SIGHUP")

    def leave(self, *, for_successor: bool = False) -> None:
        """Begin the way out.

        Args:
            for_successor: another process serves already, so nobody needs to be told.
        """
        now = time.monotonic()
        self._left_at = now
        self._state.draining = True
        if not for_successor:
            self._drain.begin()
        self._accept_until = now + (0.0 if for_successor else self._settings.drain_delay_s)
        self._last_moment.not_after(self._limit() + _MERCY_S)

    def _force(self, sig: int) -> None:
        if self._left_at is None:
            self.leave()
        self._forced = True
        self.status = self._last_moment.status = 128 + sig
        self._accept_until = 0.0
        self._last_moment.not_after(time.monotonic() + _FORCED_S)

    def _limit(self) -> float:
        """Give the moment up to which work may go on."""
        return max((self._left_at or 0.0) + self._settings.drain_s, self._accept_until)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application and the listener."""
        own = (
            threading.current_thread() is threading.main_thread()
        )  # in another one the process is not this server's
        if own:
            self._last_moment.watch()
        try:
            await self._holdings.open()
        except CopykitError as error:  # in one line, which the lifespan's failure would not be
            wrong = isinstance(error, ConfigurationError)
            self.status = _WRONG_SETTINGS if wrong else _CANNOT
            tell_failure(error)
            await self._holdings.aclose()
            self.should_exit = True
            return
        await super().startup(sockets)
        if own:
            gc.collect()
            gc.freeze()  # what is loaded stays: each look through it would keep requests waiting for a tenth of a second
        _log.info("serving", extra={"pid": os.getpid()})
        if self._told_started is not None:
            self._told_started()

    async def on_tick(self, counter: int) -> bool:
        """Say whether nobody new is to be let in."""
        await super().on_tick(counter)
        self._tell_signals()
        if self._left_at is not None and not self._parted:
            self._parted = True
            for connection in list(self._state.connections):
                connection.part()  # type: ignore[union-attr]  # ours
        return self._left_at is not None and time.monotonic() >= self._accept_until

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let in who waits at the door, close it, and wait for what is in work."""
        self._tell_signals()
        _log.info("draining", extra=self._in_work())
        await self._close_door(sockets or [])
        await self._settle(self._limit(), patient=True)
        if self._state.tasks:
            _log.warning("requests did not end in time and are broken off", extra=self._in_work())
        self._drain.end()
        await self._settle(time.monotonic() + self._farewell_s())
        for task in list(self._state.tasks):
            task.cancel()
        await self._settle(time.monotonic() + self._farewell_s())
        for connection in list(self._state.connections):
            if not connection.is_idle():  # type: ignore[union-attr]  # ours: its work takes no cancellation
                end = ShuttingDown()
                connection.refuse(503, end.message, end.code)  # type: ignore[union-attr]
        await asyncio.sleep(_TICK_S)
        for connection in list(self._state.connections):
            connection.transport.abort()
        try:
            async with asyncio.timeout(_CLOSING_S):
                await self.lifespan.shutdown()
        except TimeoutError:
            _log.warning("the store did not close in time; what was spent last counts as what was held")
            self.lifespan.shutdown_failed = True  # told already: its cancellation is no traceback of its own
        self._last_moment.not_after(time.monotonic() + 1.0)  # threads are not waited for
        self._tell_signals()
        _log.info("ended", extra={"pid": os.getpid()})

    async def _close_door(self, sockets: list[socket.socket]) -> None:
        """Stop listening; connections that the kernel took in already are served, or a reset would meet them."""
        doors = [] if self._is_succeeded() else [door.dup() for door in sockets]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for door in doors:
            door.setblocking(False)
            with suppress(OSError):
                while True:
                    connection, _ = door.accept()
                    await loop.connect_accepted_socket(self._protocol, connection)
            door.close()
        for socket_ in sockets:
            socket_.close()

    def _refused(self, status: int, code: str) -> None:
        """Count what was refused before the application, as the application counts what it refuses."""
        self._figures.count("copykit_http_requests", "unknown", "other", str(status))
        self._figures.count("copykit_http_requests_rejected", code)

    def _is_succeeded(self) -> bool:
        return not self._drain.begun

    def _protocol(self) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = made(
            config=self.config, server_state=self._state, app_state=self.lifespan.state
        )
        return protocol

    async def _settle(self, moment: float, *, patient: bool = False) -> None:
        """Wait until nothing is in work, closing connections that are not used; at most to *moment*.

        Args:
            patient: not when the end is wanted now.
        """
        quiet_at = (self._left_at or 0.0) + _QUIET_S
        while self._state.connections or self._state.tasks:
            now = time.monotonic()
            if now >= moment or (patient and self._forced):
                return
            if now >= quiet_at:
                for connection in list(self._state.connections):
                    if connection.is_idle(_QUIET_S) and not connection.has_unread():  # type: ignore[union-attr]  # ours
                        connection.shutdown()
            await asyncio.sleep(_TICK_S)
            self._tell_signals()

    def _tell_signals(self) -> None:
        """Say which signals came, and how long new requests are still taken after the first."""
        while self._heard:
            left_s = max(0.0, self._accept_until - time.monotonic())
            told = {"signal": self._heard.popleft(), "takes_requests_s": round(left_s, 1), **self._in_work()}
            _log.info("signal received", extra=told)

    def _in_work(self) -> dict[str, int]:
        connections, requests = len(self._state.connections), len(self._state.tasks)
        return {"pid": os.getpid(), "connections": connections, "requests": requests}

    def _farewell_s(self) -> float:
        return _FAREWELL_S / 5 if self._forced else _FAREWELL_S


def _most_connections() -> int:
    """Let this process open as many files as it may, and say how many connections that allows; 0 without a bound.

    Some files are left for providers, the store and logs: without a free one the loop itself would reset whoever comes.
    """
    try:
        import resource
    except ImportError:  # no such limit here
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard):
        return _FILES
    files = max(soft, min(hard, _FILES))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        soft = files
    return soft - min(_OWN_FILES, soft // 2)
