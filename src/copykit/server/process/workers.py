"""Several serving processes on one listening socket, and the parent that keeps them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from copykit.server.config import ServerSettings
from copykit.server.process.last_moment import LastMoment

__all__ = ["Workers"]

_log = logging.getLogger("copykit.server")

_STARTING_S = 60.0
"""For a worker to be ready: importing everything takes a second or two, a cold disk more."""
_LEAVING_S = 6.0
"""Beyond its drain, after which a worker is killed."""
_FORCED_S = 1.5
"""After a second signal."""
_MERCY_S = 2.0
"""From when the last worker is killed to the end of the parent, whatever hangs."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
"""Before a worker that died is replaced: twice as long each time, from the beginning again once one lived"""
_LIVED_S = 60.0
"""so long."""
_LOOK_S = 0.5
"""Between two looks at the files of someone who edits them."""


class _Worker:
    """One process and what its parent knows of it."""

    def __init__(self, process: asyncio.subprocess.Process, told: int, life: int) -> None:
        self.process = process
        self.began = time.monotonic()
        self.ended = asyncio.ensure_future(process.wait())
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether it serves: False if it ended before."""
        self._told, self._life = told, life
        asyncio.get_running_loop().add_reader(told, self._hear)
        self.ended.add_done_callback(lambda _: os.close(self._life))

    def _hear(self) -> None:
        heard = os.read(self._told, 1)
        asyncio.get_running_loop().remove_reader(self._told)
        os.close(self._told)
        if not self.ready.done():
            self.ready.set_result(bool(heard))

    def send(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(
                    self.process.pid, number
                )  # `send_signal` asks for the status first, and keeps it to itself

    async def leave(self, number: int, within_s: float) -> int:
        """Ask it to end by signal *number*, and kill it if it does not; its exit status."""
        self.send(number)
        try:
            return await asyncio.wait_for(asyncio.shield(self.ended), within_s)
        except TimeoutError:
            self.send(signal.SIGKILL)
            _log.error("a worker did not end in time and is killed", extra={"worker": self.process.pid})
            return await self.ended


class Workers:
    """Keeps ``settings.workers`` processes that serve *listening* together, each reading its settings by itself.

    SIGTERM and SIGINT drain all of them; again: they end at once. SIGHUP replaces one after another, each new one ready
    before the old one drains, with the settings as they stand in the files then; if a new one cannot start, the old ones
    stay. One that dies is replaced, after a pause that grows. The parent ends too, whatever hangs: nobody may be reading
    its log.

    Args:
        environment: of the workers.
        started: called once, when all of them serve.
        watched: what it gives is looked at twice a second, and a change is as SIGHUP.
    """

    def __init__(
        self,
        settings: ServerSettings,
        listening: socket.socket,
        environment: Mapping[str, str],
        started: Callable[[], None] | None = None,
        watched: Callable[[], object] | None = None,
    ) -> None:
        self._settings = settings
        self._listening = listening
        self._environment = dict(environment)
        self._started = started
        self._watched = watched
        self._serving: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._last_signal = 0
        self._ending = asyncio.Event()
        self._forced = asyncio.Event()
        self._rolling: asyncio.Task[None] | None = None
        self._again = False
        self._last_moment = LastMoment()

    async def run(self) -> int:
        """Serve until a signal; the exit status, which is that of a worker that could not start at all.

        Raises:
            OSError: the first workers cannot begin.
        """
        with self._signals():
            self._last_moment.watch()
            try:
                return await self._run()
            finally:
                self._last_moment.pass_over()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Listen to signals."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)  # with which the loop wakes up at every signal

        def leave(number: int, _: FrameType | None) -> None:
            """Tell the workers, whatever the loop does: it may be held up in a line of the log."""
            self._send_all(number)
            loop.call_soon_threadsafe(self._leave, number)

        before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _run(self) -> int:
        seen = None if self._watched is None else await asyncio.to_thread(self._watched)
        self._serving = [await self._begin() for _ in range(self._settings.workers)]
        ready = await asyncio.gather(*(self._is_ready(worker) for worker in self._serving))
        if not all(ready) and not self._ending.is_set():
            failed = self._serving[ready.index(False)]
            await self._end(signal.SIGTERM)
            return failed.process.returncode or 1
        if self._started is not None and all(ready):
            self._started()
        keeping = [asyncio.ensure_future(self._keep(slot)) for slot in range(len(self._serving))]
        if self._watched is not None:
            keeping.append(asyncio.ensure_future(self._watch(self._watched, seen)))
        await self._ending.wait()
        for task in (*keeping, *([self._rolling] if self._rolling else [])):
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        return await self._end(signal.SIGTERM)

    async def _begin(self) -> _Worker:
        listening = self._listening.fileno()
        told, tell = os.pipe()
        try:
            hold, life = os.pipe()
        except OSError:
            os.close(told)
            os.close(tell)
            raise
        command = [
            sys.executable,
            *_flags(),
            "-m",
            "copykit.server.process.worker",
            str(listening),
            str(tell),
            str(hold),
        ]
        try:
            with _without_interrupts():
                process = await asyncio.create_subprocess_exec(
                    *command, pass_fds=(listening, tell, hold), env=self._environment
                )
        except BaseException:
            os.close(told)
            os.close(life)  # should it have begun all the same, it ends by this
            raise
        finally:
            os.close(tell)
            os.close(hold)
        worker = _Worker(process, told, life)
        self._all.add(worker)
        worker.ended.add_done_callback(lambda _: self._all.discard(worker))
        return worker

    async def _is_ready(self, worker: _Worker) -> bool:
        with suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(worker.ready), _STARTING_S)
        return False

    async def _begin_in_time(self) -> _Worker:
        """Begin a worker as soon as that can be done: it takes files, memory and a place among the processes."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self._begin()
            except (OSError, RuntimeError) as error:  # the latter: no thread more, to wait for its end
                _log.error("no worker can begin now", extra={"reason": str(error), "again_in_s": pause_s})
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _keep(self, slot: int) -> None:
        """Replace the worker of *slot* whenever it dies."""
        pause_s = _FIRST_PAUSE_S
        while True:
            worker = self._serving[slot]
            status = await asyncio.shield(worker.ended)
            if self._serving[slot] is not worker:  # it has a successor already
                continue
            if time.monotonic() - worker.began > _LIVED_S:
                pause_s = _FIRST_PAUSE_S
            told = {"worker": worker.process.pid, "status": status, "again_in_s": pause_s}
            _log.error("a worker ended by itself; another begins", extra=told)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            if self._serving[slot] is not worker:  # SIGHUP put one there meanwhile
                continue
            successor = await self._begin_in_time()
            if self._serving[slot] is worker:
                self._serving[slot] = successor
            else:
                await successor.leave(signal.SIGQUIT, _FORCED_S)

    async def _watch(self, look: Callable[[], object], seen: object) -> None:
        """Replace the workers whenever *look*, which may take its time, gives something else than *seen*."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if (now := await asyncio.to_thread(look)) != seen:
                seen = now
                _log.info("files changed")
                self.roll()

    def roll(self) -> None:
        """Replace all workers, one after another; asked meanwhile, it is done once more."""
        if self._ending.is_set():
            return
        if self._rolling is not None and not self._rolling.done():
            self._again = True
            return
        self._rolling = asyncio.ensure_future(self._roll())

    async def _roll(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            for slot in range(len(self._serving)):
                successor = await self._begin_in_time()
                if not await self._is_ready(successor):
                    _log.error(
                        "a worker with the settings as they stand now cannot start: the old ones go on"
                    )
                    await successor.leave(signal.SIGQUIT, _FORCED_S)
                    break
                worker, self._serving[slot] = self._serving[slot], successor
                await worker.leave(signal.SIGHUP, self._settings.drain_s + _LEAVING_S)
            else:
                _log.info("all workers are replaced")

    def _hang_up(self) -> None:
        self._tell(signal.SIGHUP)
        self.roll()

    def _tell(self, number: int) -> None:
        told = {"pid": os.getpid(), "signal": signal.Signals(number).name, "workers": len(self._all)}
        _log.info("signal received", extra=told)

    def _send_all(self, number: int) -> None:
        """Pass a signal on at once: readiness has to change before anything is waited for."""
        again, self._last_signal = bool(self._last_signal), number
        for worker in tuple(self._all):
            worker.send(signal.SIGQUIT if again else signal.SIGTERM)
        if again:
            self._last_moment.status = 128 + number
        within_s = _FORCED_S if again else self._limit_s()
        self._last_moment.not_after(time.monotonic() + within_s + _MERCY_S)

    def _leave(self, number: int) -> None:
        if self._ending.is_set():
            self._forced.set()
        self._ending.set()
        self._tell(number)

    def _limit_s(self) -> float:
        """Give the seconds after which workers that were told to end are killed."""
        return max(self._settings.drain_s, self._settings.drain_delay_s) + _LEAVING_S

    async def _end(self, number: int) -> int:
        """Wait for all to end; the highest status."""
        self._listening.close()  # the last worker that closes it serves who still waits at it
        limit_s = self._limit_s()
        everyone = asyncio.gather(*(worker.leave(number, limit_s) for worker in tuple(self._all)))
        forced = asyncio.ensure_future(self._forced.wait())
        either: set[asyncio.Future[Any]] = {everyone, forced}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not everyone.done():
            await asyncio.wait(either - {forced}, timeout=_FORCED_S)
            for worker in tuple(self._all):
                worker.send(signal.SIGKILL)
        forced.cancel()
        statuses = await everyone
        if self._forced.is_set():
            return 128 + self._last_signal
        # one that was still starting dies of the signal itself: that is in order
        statuses = [0 if status == -number else status for status in statuses]
        return max((128 - status if status < 0 else status for status in statuses), default=0)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold SIGINT back, also from a process that begins meanwhile, until that has said that it wants none.

    A terminal sends it to all, and a worker that only just imports would answer it with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if signal.SIGINT not in before:  # else whoever held it back first lets it through
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _flags() -> list[str]:
    """Give the interpreter's flag that keeps the working folder off the path, unless it is on this process's too."""
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
