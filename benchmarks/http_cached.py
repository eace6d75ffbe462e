"""What a cached ``POST /v11/generate`` costs over HTTP, beside a bare Starlette handler on the same server in the same run.

The bare handler parses the body, makes a digest of it and answers the stored bytes: the least that a keyed cache behind
HTTP can do. Every server is one process; rounds of all of them are interleaved. CPU is the server process's own, from
/proc, so that other load on the machine moves it less than requests a second. Memory is that of the started server before
its first request, and after all of them.

Usage: python benchmarks/http_cached.py [--rounds 5] [--seconds 3] [--litellm PATH_OF_ITS_BIN_FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

BRIEF = {
    "product_name": "Norr",
    "product_description": "Standing desk, oiled oak, 120 x 60 cm, motor lift from 62 to 128 cm",
    "target_platform": "x",
    "key_points": ["Oiled oak", "Motor lift"],
}
KEY = "k7Hq2Vw9Zx4Tn8Rb3Ym6Pd1Sf5Gj0LcA"
MANY = "100000000/hour"
"""A bound that is counted and never met."""
FLOOR = """
import hashlib
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
{parser}
STORED = {{}}
async def generate(request):
    body = await request.body()
    fields = loads(body)
    key = hashlib.sha256(repr(sorted(fields.items())).encode()).digest()
    return Response(STORED.setdefault(key, ANSWER), media_type="application/json")
ANSWER = open({answer!r}, "rb").read()
app = Starlette(routes=[Route("/v11/generate", generate, methods=["POST"])])
"""
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Give the processor time of a process and its children, in seconds."""
    own = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    total = (int(own[11]) + int(own[12])) / _TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return total + sum(cpu_s(int(child)) for child in children)


def rss_mib(pid: int) -> float:
    """Give the resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]  # every process has it


class Asker(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, raw: bytes, until: float, took: list[float], ended: asyncio.Future[None]) -> None:
        self.raw, self.until, self.took, self.ended = raw, until, took, ended
        self.buffer, self.left = b"", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self.transport: Any = transport
        self.ask()

    def ask(self) -> None:
        """Send the request."""
        self.began = time.perf_counter()
        self.transport.write(self.raw)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a connection that ends before its time is a failure of the run."""
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Take in an answer, and ask again."""
        self.buffer += data
        while True:
            if self.left < 0:
                head, found, rest = self.buffer.partition(b"\r\n\r\n")
                if not found:
                    return
                if not head.startswith(b"HTTP/1.1 200"):
                    self.ended.set_exception(ConnectionError(head.decode("latin-1")))
                    self.transport.abort()
                    return
                self.left = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
                self.buffer = rest
            if len(self.buffer) < self.left:
                return
            self.buffer, self.left = self.buffer[self.left :], -1
            now = time.perf_counter()
            self.took.append(now - self.began)
            if now >= self.until:
                self.transport.close()
                if not self.ended.done():
                    self.ended.set_result(None)
                return
            self.ask()


async def load(
    port: int, path: str, body: bytes, count: int, seconds: float, headers: dict[str, str]
) -> list[float]:
    """Ask over *count* connections for so many seconds; give the time of each answer."""
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{told}"
    raw = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    loop, took = asyncio.get_running_loop(), list[float]()
    until = time.perf_counter() + seconds
    ends = []
    for _ in range(count):
        ended = loop.create_future()
        ends.append(ended)
        await loop.create_connection(lambda ended=ended: Asker(raw, until, took, ended), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return took


def ask(port: int, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Ask once; give the body of the answer."""
    import httpx2

    answer = httpx2.post(
        f"http://127.0.0.1:{port}{path}",
        content=body,
        headers={"content-type": "application/json", **headers},
        timeout=60.0,
    )
    answer.raise_for_status()
    return answer.content


@contextmanager
def server(name: str, command: list[str], port: int, environment: dict[str, str], log: Path) -> Iterator[int]:
    """Run a server and wait until it listens; give its pid."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=out)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise SystemExit(f"{name} did not start: {log.read_text(encoding='utf-8')[-500:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main() -> None:
    """Start the servers, load them in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument(
        "--litellm", type=Path, help="folder with the litellm command, of an environment of its own"
    )
    options = parser.parse_args()
    body = json.dumps(BRIEF).encode()
    off = {"COPYKIT_RATE": "", "COPYKIT_IP_RATE": "", "COPYKIT_LOG_LEVEL": "critical"}
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        ports = {name: free_port() for name in ("all off", "all on", "floor", "litellm")}
        servers: dict[str, tuple[int, str, bytes, dict[str, str]]] = {}
        pids: dict[str, int] = {}
        at_rest: dict[str, float] = {}
        for name, environment, headers in (
            ("all off", off, {}),
            ("all on", {"API_KEY": KEY, "COPYKIT_RATE": MANY, "COPYKIT_IP_RATE": MANY}, {"X-API-Key": KEY}),
        ):
            command = [sys.executable, "-m", "copykit", "run", "--port", str(ports[name])]
            environment = {**environment, "COPYKIT_DATA_DIR": str(folder / name.replace(" ", "-"))}
            log = folder / f"{name}.log"
            pids[name] = held.enter_context(server(name, command, ports[name], environment, log))
            servers[f"copykit, {name}"] = (ports[name], "/v11/generate", body, headers)
            pids[f"copykit, {name}"] = pids.pop(name)
            time.sleep(1.5)  # what it does at its beginning is done
            at_rest[f"copykit, {name}"] = rss_mib(pids[f"copykit, {name}"])
            for _ in range(3):
                answer = ask(ports[name], "/v11/generate", body, headers)
        (folder / "answer.json").write_bytes(answer)
        json_parser = "from orjson import loads" if _has("orjson") else "from json import loads"
        (folder / "floor.py").write_text(
            FLOOR.format(parser=json_parser, answer=str(folder / "answer.json")), encoding="utf-8"
        )
        command = [sys.executable, "-m", "uvicorn", "floor:app", "--port", str(ports["floor"])]
        command += ["--log-level", "critical", "--no-access-log"]
        pids["Starlette floor"] = held.enter_context(
            server("floor", command, ports["floor"], {"PYTHONPATH": str(folder)}, folder / "floor.log")
        )
        servers["Starlette floor"] = (ports["floor"], "/v11/generate", body, {})
        at_rest["Starlette floor"] = rss_mib(pids["Starlette floor"])
        if options.litellm:
            _add_litellm(options.litellm, folder, ports["litellm"], held, servers, pids)
            at_rest["LiteLLM proxy"] = rss_mib(pids["LiteLLM proxy"])
        table: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
        for _ in range(options.rounds):
            for name, (port, path, sent, headers) in servers.items():
                for count in (16, 64):
                    before = cpu_s(pids[name])
                    took = asyncio.run(load(port, path, sent, count, options.seconds, headers))
                    spent = cpu_s(pids[name]) - before
                    took.sort()
                    row = (
                        len(took) / options.seconds,
                        1e6 * spent / len(took),
                        1e3 * took[int(0.99 * len(took))],
                    )
                    table.setdefault((name, count), []).append(row)
        _show(table, at_rest, {name: rss_mib(pid) for name, pid in pids.items()})


def _add_litellm(
    folder_of_bin: Path,
    folder: Path,
    port: int,
    held: ExitStack,
    servers: dict[str, tuple[int, str, bytes, dict[str, str]]],
    pids: dict[str, int],
) -> None:
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/m\n      api_key: none\n"
        "      mock_response: Standing desk in oiled oak, 120 x 60 cm.\n"
        "litellm_settings:\n  cache: true\n  cache_params:\n    type: local\n",
        encoding="utf-8",
    )
    command = [
        str(folder_of_bin / "litellm"),
        "--config",
        str(config),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    pids["LiteLLM proxy"] = held.enter_context(
        server("litellm", command, port, environment, folder / "litellm.log")
    )
    asked = json.dumps({"model": "m", "messages": [{"role": "user", "content": json.dumps(BRIEF)}]}).encode()
    for attempt in range(60):
        try:
            ask(port, "/v1/chat/completions", asked, {})
            break
        except Exception:
            if attempt == 59:
                raise
            time.sleep(1)
    servers["LiteLLM proxy"] = (port, "/v1/chat/completions", asked, {})


def _show(
    table: dict[tuple[str, int], list[tuple[float, float, float]]],
    at_rest: dict[str, float],
    after: dict[str, float],
) -> None:
    middle = {
        key: tuple(statistics.median(row[at] for row in rows) for at in range(3))
        for key, rows in table.items()
    }
    print(
        f"{'server':20} {'c':>3} {'req/s':>8} {'of floor':>8} {'CPU us':>8} {'of floor':>8} {'p99 ms':>7} {'of floor':>8} "
        f"{'MiB':>6} {'after':>6}"
    )
    for (name, count), (rate, cpu, p99) in middle.items():
        floor_rate, floor_cpu, floor_p99 = middle["Starlette floor", count]
        print(
            f"{name:20} {count:3} {rate:8.0f} {rate / floor_rate:8.2f} {cpu:8.1f} {floor_cpu / cpu:8.2f} "
            f"{p99:7.2f} {p99 / floor_p99:8.2f} {at_rest[name]:6.1f} {after[name]:6.1f}"
        )


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


if __name__ == "__main__":
    main()
