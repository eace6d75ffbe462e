"""The parent of workers: what dies, cannot begin or hangs at the wrong moment."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("uvicorn", reason="needs the extra server")
pytest.importorskip("fcntl", reason="files of POSIX")

import fcntl

import httpx2

from copykit.__main__ import main
from copykit.server.config import ServerSettings
from copykit.server.process import workers
from copykit.server.process.workers import Workers
from running import Place

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]


class Process:
    """What is asked of a worker's process."""

    pid = 0


class Life:
    """A worker of no process."""

    def __init__(self) -> None:
        self.process, self.began = Process(), 0.0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def leave(self, number: int, within_s: float) -> int:
        """End."""
        if not self.ended.done():
            self.ended.set_result(-number)
        return await self.ended


class Parent(Workers):
    """One whose workers are of no process: *begins* gives each, or fails."""

    def __init__(self, begins: Callable[[], Any], listening: socket.socket) -> None:
        super().__init__(ServerSettings(), listening, {})
        self._begins = begins

    async def _begin(self) -> Any:
        await asyncio.sleep(0)
        return self._begins()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Give a socket for workers."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield door


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a place to start servers in; those that still run are ended."""
    made = Place(tmp_path)
    yield made
    made.close()


def open_files() -> int:
    """Count those of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("when", ["in the pause", "while another begins"])
async def test_a_successor_that_came_meanwhile_stays(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A worker that died is not replaced any more then, and one begun already for that ends: none serves unseen."""
    monkeypatch.setattr(workers, "_FIRST_PAUSE_S", 0.01)
    dead, successor, needless = Life(), Life(), Life()
    begun = asyncio.Event()

    def begin() -> Life:
        parent._serving[0] = successor  # type: ignore[call-overload]
        begun.set()
        return needless

    parent = Parent(begin, listening)
    parent._serving = [dead]  # type: ignore[list-item]
    keeping = asyncio.ensure_future(parent._keep(0))
    dead.ended.set_result(-9)
    await asyncio.sleep(0)
    if when == "in the pause":
        parent._serving[0] = successor  # type: ignore[call-overload]
        await asyncio.sleep(0.1)
        assert not begun.is_set()
    else:
        await asyncio.wait_for(needless.ended, 30)
    assert parent._serving == [successor]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.parametrize("how", ["_keep", "_roll"])
async def test_a_worker_that_cannot_begin_now_begins_later(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """No file, no memory or no process is free for a moment: it is tried again until one is."""
    monkeypatch.setattr(workers, "_FIRST_PAUSE_S", 0.01)
    former, successor = Life(), Life()
    begun = asyncio.Event()
    found: list[Any] = [OSError(errno.EMFILE, "x"), OSError(errno.EAGAIN, "x"), RuntimeError("x"), successor]

    def begin() -> Life:
        if isinstance(found[0], Exception):
            raise found.pop(0)
        begun.set()
        return successor

    parent = Parent(begin, listening)
    parent._serving = [former]  # type: ignore[list-item]
    if how == "_keep":
        former.ended.set_result(-9)
        keeping = asyncio.ensure_future(parent._keep(0))
        await asyncio.wait_for(begun.wait(), 30)
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    else:
        successor.ready = asyncio.get_running_loop().create_future()  # type: ignore[attr-defined]
        successor.ready.set_result(True)  # type: ignore[attr-defined]
        await asyncio.wait_for(parent._roll(), 30)
    assert parent._serving == [successor]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux to count files")
async def test_what_cannot_begin_keeps_no_file(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the files that are missing would be fewer with each try."""

    async def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, "x")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    before = open_files()
    with pytest.raises(OSError, match="x"):
        await Workers(ServerSettings(), listening, {})._begin()
    assert open_files() == before


async def test_a_terminal_does_not_reach_a_worker_that_only_begins(
    place: Place, listening: socket.socket
) -> None:
    """Ctrl-C goes to all processes at once; the worker hears of it from its parent alone, from its first step on."""
    worker = await Workers(ServerSettings(), listening, place.environment())._begin()
    worker.send(signal.SIGINT)
    assert await asyncio.wait_for(worker.ready, 60)
    assert await worker.leave(signal.SIGTERM, 30) == 0
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_interrupt_amid_the_imports_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends with the status of one that was interrupted."""

    class Interrupted(ModuleType):
        @property
        def app(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "copykit.cli.app", Interrupted("copykit.cli.app"))
    with pytest.raises((SystemExit, KeyboardInterrupt)) as caught:
        main()
    assert caught.type is SystemExit
    assert caught.value.args == (130,)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs a pipe that is soon full")
@pytest.mark.parametrize("count", ["1", "2"])
def test_a_log_that_nobody_reads_does_not_keep_a_server(place: Place, count: str) -> None:
    """A second signal ends all of its processes, though each may be held up in a line."""
    full, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    command = place.command("--workers", count)
    server = subprocess.Popen(
        command,
        cwd=place.folder,
        env=place.environment(),
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with suppress(httpx2.TimeoutException), httpx2.Client(timeout=2) as client:
            while True:
                client.get(f"{url}/catalog")
        server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(1)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 143
        server.stdout.read()  # to its end: no process is left that could write there
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        os.close(full)
        os.close(log)
        if server.stdout is not None:
            server.stdout.close()
