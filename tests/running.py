"""``copykit run`` as a process on a free port, with a provider that takes its time; what it says is kept."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2

__all__ = ["BRIEF", "SLACK", "Place", "Running", "ask_many", "wrong"]

SLACK = 5
"""Fold of what is promised that a busy machine may take."""
BRIEF = {"product_name": "Norr", "product_description": "Standing desk, oiled oak", "target_platform": "x"}
SLOW = '''
import asyncio, os, time
from copykit.providers.base import Completion

COPY = '{"variants": [{"fields": {"text": "Norr: a standing desk in oiled oak."}, "parts": []}]}'

class Slow:
    """Takes its time, as its environment says."""

    name = "slow"
    timeout_s = 60.0

    def model_of(self, prompt):
        return "one"

    def most(self, prompt):
        return 1000, 100

    async def complete(self, prompt):
        delay = 0.8 if "quick" in repr(prompt) else float(os.environ.get("SLOW_S", "0.5"))
        kind = os.environ.get("SLOW_KIND", "")
        if kind == "blocks":
            time.sleep(delay)
        until = time.monotonic() + delay
        while (left := until - time.monotonic()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if kind != "stubborn":
                    raise
        return Completion(text=COPY, model="one")

    async def stream(self, prompt):
        yield COPY[:40]
        yield await self.complete(prompt)

    async def aclose(self):
        await asyncio.sleep(float(os.environ.get("SLOW_CLOSE_S", "0")))
'''


class Running:
    """One ``copykit run`` and what it says."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process, self._errors = process, errors
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, self.said()
        self.told: dict[str, Any] = json.loads(line)
        self.url: str = self.told["url"]
        self.port = int(self.url.rpartition(":")[2])

    def said(self) -> str:
        """Give what it wrote to standard error."""
        return self._errors.read_text(encoding="utf-8")

    def send(self, number: int) -> float:
        """Send a signal; the time of it."""
        self.process.send_signal(number)
        return time.monotonic()

    def end(self, within_s: float) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(within_s)

    def children(self) -> list[int]:
        """Give the numbers of its workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not path.exists():
            return []
        return [int(number) for number in path.read_text(encoding="utf-8").split()]

    def status(self, path: str) -> int:
        """Ask for *path*; the status, 0 if there was no answer."""
        try:
            return httpx2.get(self.url + path, timeout=10).status_code
        except httpx2.HTTPError:
            return 0


class Place:
    """A folder with a provider that takes its time, in which servers are started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Running] = []
        package = folder / "site" / "slowcopy-1.0.dist-info"
        package.mkdir(parents=True)
        (package / "METADATA").write_text("Metadata-Version: 2.1\nName: slowcopy\nVersion: 1.0\n")
        (package / "entry_points.txt").write_text("[copykit.providers]\nslow = slowcopy:Slow\n")
        (folder / "site" / "slowcopy.py").write_text(SLOW)

    def environment(self, **more: str) -> dict[str, str]:
        """Give the environment of a server."""
        path = os.pathsep.join([str(self.folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {
            "PYTHONPATH": path,
            "TMPDIR": str(self.folder),
            "COPYKIT_DATA_DIR": str(self.folder / "data"),
            "MAX_WORKERS": "64",
        }
        return {**os.environ, **own, **more}

    def command(self, *options: str) -> list[str]:
        """Give the command line of a server."""
        return [sys.executable, "-m", "copykit", "run", "--port", "0", "--json", *options]

    def run(self, *options: str, slow: bool = False, **more: str) -> Running:
        """Start a server and wait until it serves."""
        if slow:
            more = {"COPYKIT_PROVIDERS": "slow", **more}
        errors = self.folder / f"errors-{len(self.started)}"
        with errors.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                self.command(*options),
                cwd=self.folder,
                env=self.environment(**more),
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        try:
            running = Running(process, errors)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self.started.append(running)
        return running

    def close(self) -> None:
        """End what still runs; nothing of it told a traceback."""
        for running in self.started:
            if running.process.poll() is None:
                running.send(
                    signal.SIGSTOP
                )  # or it would begin another worker for each that is killed before it
                for child in (*running.children(), running.process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                running.process.wait()
            assert running.process.stdout is not None
            running.process.stdout.close()
            said = running.said()
            assert "Traceback" not in said, said


async def ask_many(url: str, count: int, first: int = 0, key: str = "") -> list[httpx2.Response | Exception]:
    """Send *count* different requests at once, each on a connection of its own."""
    limits = httpx2.Limits(max_connections=count, max_keepalive_connections=0)
    headers = {"X-API-Key": key} if key else {}
    async with httpx2.AsyncClient(timeout=30, limits=limits, headers=headers) as client:
        asked = [
            client.post(f"{url}/v11/generate", json={**BRIEF, "seed": first + number})
            for number in range(count)
        ]
        return list(await asyncio.gather(*asked, return_exceptions=True))  # type: ignore[arg-type]


def wrong(answers: Sequence[httpx2.Response | Exception]) -> list[Any]:
    """Give what is not a 200."""
    return [
        answer if isinstance(answer, Exception) else answer.text
        for answer in answers
        if isinstance(answer, Exception) or answer.status_code != 200
    ]
