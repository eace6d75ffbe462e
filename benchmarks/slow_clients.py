"""What two thousand slow clients do to a healthy one: p99 beside them over p99 alone, and when they are cut off.

Half of the slow ones say nothing, half send the head of a request byte by byte. Whoever is cut off comes back at once,
so their number holds. A healthy client asks 100 times a second over four connections. Three
kinds of rounds alternate: alone, beside slow clients of another server on the same machine (which shows what they cost
the machine, not the server), and beside slow clients of the same server. The slow ones are a process of their own.

Usage: python benchmarks/slow_clients.py [--slow 2000] [--rounds 5] [--seconds 6]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from http_cached import BRIEF, free_port, server

PER_SECOND = 100
SPREAD_S = 5.0
"""In which the slow ones arrive, so that they are not all cut off in the same moment."""
HEAD = b"POST /v11/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


async def slow(port: int, count: int) -> None:
    """Keep *count* connections that hardly say anything, until this process is ended; tell how long each was borne."""
    borne: list[float] = []

    async def one(number: int) -> None:
        silent = number % 2 == 0
        await asyncio.sleep(SPREAD_S * number / count)
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            began = time.monotonic()
            left = asyncio.ensure_future(reader.read())
            with suppress(OSError):
                for letter in b"" if silent else HEAD:
                    writer.write(bytes([letter]))
                    if (await asyncio.wait([left], timeout=0.5))[0]:
                        break
                await left
            borne.append(time.monotonic() - began)
            writer.close()

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    print("there", flush=True)
    await ended.wait()
    for task in tasks:
        task.cancel()
    borne.sort()
    print(f"{len(borne)} {borne[0]:.2f} {borne[-1]:.2f}" if borne else "0 0 0", flush=True)


async def healthy(port: int, seconds: float) -> list[float]:
    """Ask at a steady pace over four connections; the seconds that each answer took, waiting for a turn included."""
    import json

    body = json.dumps(BRIEF).encode()
    asked = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    took: list[float] = []
    began = time.perf_counter()

    async def one(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, int(seconds * PER_SECOND), 4):
            due = began + number / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.perf_counter() - due)
        writer.close()

    await asyncio.gather(*(one(first) for first in range(4)))
    return sorted(took)


def main() -> None:
    """Start the server, alternate the rounds, print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--as-slow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.as_slow:
        asyncio.run(slow(options.as_slow, options.slow))
        return
    ports = {name: free_port() for name in ("asked", "other")}
    rounds: dict[str, list[list[float]]] = {"alone": [], "slow ones elsewhere": [], "slow ones here": []}
    told = ""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        for name, port in ports.items():
            environment = {"COPYKIT_DATA_DIR": str(folder / name), "COPYKIT_LOG_LEVEL": "critical"}
            command = [sys.executable, "-m", "copykit", "run", "--port", str(port)]
            held.enter_context(server(name, command, port, environment, folder / f"{name}.log"))
        asyncio.run(healthy(ports["asked"], 1.0))
        for _ in range(options.rounds):
            rounds["alone"].append(asyncio.run(healthy(ports["asked"], options.seconds)))
            for name, at in (("slow ones elsewhere", "other"), ("slow ones here", "asked")):
                with _crowd(ports[at], options.slow) as crowd:
                    rounds[name].append(asyncio.run(healthy(ports["asked"], options.seconds)))
                told = crowd.communicate(timeout=30)[0].split()
                time.sleep(1.0)
    print(f"{'a healthy client, ms':22} {'median':>7} {'p99':>7} {'p99 of alone':>13}")
    middle = {
        name: [statistics.median(took[int(at * len(took))] for took in ran) for at in (0.5, 0.99)]
        for name, ran in rounds.items()
    }
    for name, (half, most) in middle.items():
        print(f"{name:22} {1e3 * half:7.2f} {1e3 * most:7.2f} {most / middle['alone'][1]:13.2f}")
    count, least, longest = told[-3:]
    print(
        f"{count} of {options.slow} slow connections were cut off in the last round, after {least} to {longest} s"
    )


@contextmanager
def _crowd(port: int, count: int) -> Iterator[subprocess.Popen[str]]:
    """Run slow clients; they are all there, and the first are cut off, when it begins."""
    crowd = subprocess.Popen(
        [sys.executable, __file__, "--as-slow", str(port), "--slow", str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert crowd.stdout is not None
    crowd.stdout.readline()
    time.sleep(SPREAD_S + 2.0)
    try:
        yield crowd
    finally:
        crowd.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
