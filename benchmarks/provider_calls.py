"""What a call to a provider costs: copykit's whole engine beside bare HTTP clients, OpenAI's own and LiteLLM.

    python benchmarks/provider_calls.py calls [--rounds 7] [--calls 200]
    python benchmarks/provider_calls.py batch [--rounds 3] [--items 2048] [--concurrency 64] [--latency 0.2]
    python benchmarks/provider_calls.py ramp [--items 2048] [--concurrency 64] [--latency 0.2]
    python benchmarks/provider_calls.py profile [--client "copykit, aiohttp"] [--calls 2000]

Every client sits in a process of its own and makes the same exchange with one loopback server in another: a brief for
`x.post` with one variant, never the same twice, answered in OpenAI's format. The rounds go through the clients in turn,
so that what else the machine does falls on all of them; shown are medians, minima in brackets, and ratios of medians.
CPU is the client's process alone. A bare client sends bytes made beforehand and gives bytes back.

`batch` compares with the ideal, items / concurrency x latency, and a client's share of it with that of the bare
client of the same library. `ramp` starts `copykit batch`'s machinery cold and shows how its limit grows.

LiteLLM asks for another major version of OpenAI's client than the `peers` extra, so it lives in an environment of its
own: ``--litellm PYTHON`` names its interpreter (1.106.2; 1.107.0 is reported as compromised). What is not installed is
left out, and said. What `calls` tells of brief/ and drafts/ is measured in a row, with warm caches; in their place they
cost up to a third more: `profile` shows the shares there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

MODEL = "gpt-6-luna"
TEXT = "Norr is an oiled oak desk with a cable tray and two drawers. See it in our shop today."
KEY = "sk-benchmark"
Call = Callable[[int], Awaitable[Any]]
"""Makes exchange number so-and-so."""


class Client(NamedTuple):
    """One way to make the exchange."""

    libraries: str
    """What has to be importable."""
    against: str = ""
    """The bare client that it is held against."""


CLIENTS = {
    "bare aiohttp": Client("aiohttp"),
    "bare httpx2": Client("httpx2"),
    "bare httpx": Client("httpx"),
    "copykit, aiohttp": Client("copykit aiohttp", "bare aiohttp"),
    "copykit, httpx2": Client("copykit httpx2", "bare httpx2"),
    "openai": Client("openai", "bare httpx2"),
    "litellm": Client("litellm", "bare httpx"),
}


# the server


def serve() -> None:
    """Answer every POST on a free port, which is printed, after as many seconds as its path ends with."""
    reply = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "logprobs": None,
                    "message": {
                        "role": "assistant",
                        "content": json.dumps({"variants": [{"fields": {"text": TEXT}, "parts": []}]}),
                        "refusal": None,
                    },
                }
            ],
            "usage": {"prompt_tokens": 420, "completion_tokens": 60, "total_tokens": 480},
        }
    ).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\ncontent-length: %d\r\n\r\n"
    answer = head % len(reply) + reply

    class Line(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.got = b""

        def data_received(self, data: bytes) -> None:
            self.got += data
            while (end := self.got.find(b"\r\n\r\n")) >= 0:
                first, *lines = self.got[:end].lower().split(b"\r\n")
                size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                if len(self.got) < end + 4 + size:
                    return
                self.got = self.got[end + 4 + size :]
                latency_s = float(first.split(b"/late-")[1].split(b"/")[0])
                if latency_s:
                    asyncio.get_running_loop().call_later(latency_s, self.transport.write, answer)
                else:
                    self.transport.write(answer)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Line, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(main())


# the clients


def request(number: int) -> Any:
    """Give brief *number*; no two are alike, so neither the cache nor what is kept of a brief can help."""
    from copykit import CopywritingInput

    return CopywritingInput(
        product_description=f"Desk, oak, oiled, 120x{60 + number % 40} cm, number {number}",
        product_name="Norr",
        target_platform="x.post",
        facts={"price": f"{200 + number} EUR"},
        key_points=["Cable tray", "Two drawers"],
        call_to_action="See it in our shop",
    )


def engine(url: str) -> Any:
    """Give an engine that has OpenAI's models at *url* as its only target."""
    from copykit.engine import Engine
    from copykit.settings import ProvidersSettings, RoutingSettings, Secret, Settings

    own = ProvidersSettings(openai_key=Secret(KEY), openai_base_url=url)
    return Engine(Settings(routing=RoutingSettings(providers=(f"openai:{MODEL}",)), providers=own))


def allow(made: Any, calls: int) -> None:
    """Fix how many calls the engine's target takes at a time."""
    from copykit.routing.limits import AdaptiveLimit

    target = made.router.targets.of(f"openai:{MODEL}")
    target.slots.limit = AdaptiveLimit(calls, least=calls, most=calls)


async def sent(url: str) -> dict[str, Any]:
    """Give the body that copykit sends, taken from its own exchange."""
    from copykit.brief.compile import compile_brief
    from copykit.brief.prompt import build_prompt
    from copykit.providers.openai import OpenAI
    from copykit.settings import Secret

    prompt = build_prompt(compile_brief(request(1)), nonce="0123456789abcdef", model=MODEL)
    return (await OpenAI(key=Secret(KEY), base_url=url)._call(prompt, streamed=False)).body


class Opened(NamedTuple):
    """A client ready to make exchanges."""

    call: Call
    close: Callable[[], Awaitable[None]]
    engine: Any = None
    """Copykit's, if it is that."""


async def open_client(case: str, url: str, connections: int, body: dict[str, Any]) -> Opened:
    """Open the client that *case* names; *body* is what the others send as well."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    raw, address = json.dumps(body).encode(), f"{url}/chat/completions"
    if case == "bare aiohttp":
        import aiohttp

        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections))

        async def by_aiohttp(_: int) -> None:
            async with session.post(address, headers=headers, data=raw) as answer:
                assert TEXT.encode() in await answer.read()

        return Opened(by_aiohttp, session.close)
    if case in ("bare httpx2", "bare httpx"):
        library: Any = __import__(case.removeprefix("bare "))
        limits = library.Limits(max_connections=connections, max_keepalive_connections=connections)
        client = library.AsyncClient(limits=limits, timeout=60)

        async def by_httpx(_: int) -> None:
            assert TEXT.encode() in (await client.post(address, headers=headers, content=raw)).content

        return Opened(by_httpx, client.aclose)
    if case == "openai":
        import openai

        sdk = openai.AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0)

        async def by_sdk(_: int) -> None:
            made = await sdk.chat.completions.create(**body)
            assert TEXT in made.choices[0].message.content

        return Opened(by_sdk, sdk.close)
    if case == "litellm":
        import litellm

        async def by_litellm(_: int) -> None:
            own = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY, "num_retries": 0}
            made = await litellm.acompletion(**{**body, **own})
            assert TEXT in made.choices[0].message.content

        async def nothing() -> None:
            pass

        return Opened(by_litellm, nothing)
    made = engine(url)
    allow(made, connections)

    async def by_copykit(number: int) -> None:
        output = await made.generate(request(number))
        assert output.variants[0].status == "ok", output.variants[0].violations
        assert len(output.receipt.attempts) == 1
        assert not output.cached

    return Opened(by_copykit, made.aclose, made)


class Worker:
    """One client in a process of its own, doing what it is told on its standard input."""

    def __init__(self, case: str, url: str, body: dict[str, Any]) -> None:
        self.case, self.url, self.body = case, url, body
        self.numbers = itertools.count(1)

    async def run(self) -> None:
        """Obey until the input ends."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            name, *numbers = json.loads(line)
            print(json.dumps(await getattr(self, name)(*numbers)), flush=True)

    async def calls(self, calls: int, concurrency: int, latency_s: float) -> dict[str, float]:
        """Make *calls*, *concurrency* at a time; give CPU and wall seconds."""
        opened = await self._open(concurrency, latency_s)
        left = iter(range(calls))

        async def work() -> None:
            for _ in left:
                await opened.call(next(self.numbers))

        await asyncio.gather(*(opened.call(next(self.numbers)) for _ in range(concurrency)))  # to connect
        with timed() as taken:
            await asyncio.gather(*(work() for _ in range(concurrency)))
        await opened.close()
        return taken

    async def batch(self, items: int, concurrency: int, latency_s: float) -> dict[str, float]:
        """Do *items* as a batch: copykit by its own machinery, others by as many workers as may call."""
        if not self.case.startswith("copykit"):
            return await self.calls(items, concurrency, latency_s)
        opened = await self._open(concurrency, latency_s)
        await asyncio.gather(*(opened.call(next(self.numbers)) for _ in range(concurrency)))
        with timed() as taken:
            await self._batch(opened.engine, items, concurrency)
        await opened.close()
        return taken

    async def ramp(self, items: int, concurrency: int, latency_s: float) -> dict[str, Any]:
        """Do a batch with an engine that was never asked; give its limit as it grew, besides."""
        cold = engine(f"{self.url}/late-{latency_s}/v1")
        slots = cold.router.targets.of(f"openai:{MODEL}").slots
        seen = [(0.0, slots.limit.limit)]

        async def watch() -> None:
            while True:
                await asyncio.sleep(latency_s / 20)
                if slots.limit.limit != seen[-1][1]:
                    seen.append((time.perf_counter() - began, slots.limit.limit))

        watching = asyncio.create_task(watch())
        with timed() as taken:
            began = time.perf_counter()
            await self._batch(cold, items, concurrency)
        watching.cancel()
        await cold.aclose()
        return {**taken, "limits": seen}

    async def parts(self, calls: int) -> dict[str, float]:
        """Give CPU seconds of *calls* passes through the rooms before and after the exchange."""
        from copykit.brief.compile import compile_brief
        from copykit.drafts.accept import arrange, judge_each
        from copykit.drafts.parse import parse

        asked = [request(next(self.numbers)) for _ in range(calls)]
        with timed() as brief:
            briefs = [compile_brief(one) for one in asked]
        text = json.dumps({"variants": [{"fields": {"text": TEXT}, "parts": []}]})
        with timed() as drafts:
            for one in briefs:
                arrange(judge_each(parse(text, one), one, written_by_model=True))
        return {"brief": brief["cpu"], "drafts": drafts["cpu"]}

    async def profile(self, calls: int) -> list[tuple[str, float]]:
        """Give each module's share of the CPU time of *calls*, one after another, from samples of the stack."""
        opened = await self._open(1, 0.0)
        for _ in range(50):
            await opened.call(next(self.numbers))
        shares: Counter[str] = Counter()

        def look(_: int, frame: FrameType | None) -> None:
            shares[room(frame)] += 1

        signal.signal(signal.SIGPROF, look)
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
        for _ in range(calls):
            await opened.call(next(self.numbers))
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        await opened.close()
        return [(name, share / shares.total()) for name, share in shares.most_common()]

    async def _open(self, connections: int, latency_s: float) -> Opened:
        return await open_client(self.case, f"{self.url}/late-{latency_s}/v1", connections, self.body)

    async def _batch(self, made: Any, items: int, concurrency: int) -> None:
        from copykit.batch import Job, run_batch

        jobs = (Job(n, str(n), "x.post", "en", request(next(self.numbers))) for n in range(1, items + 1))
        async for line in run_batch(made, jobs, concurrency=concurrency):
            assert line.status == "ok", line.error


def room(frame: FrameType | None) -> str:
    """Name the innermost module of copykit on the stack, which pays for the libraries it calls."""
    while frame is not None:
        _, own, inner = frame.f_code.co_filename.rpartition("/copykit/")
        if own:
            return inner.removesuffix(".py")
        frame = frame.f_back
    return "the event loop and the client's own tasks"


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Give CPU seconds of this process and wall seconds of the block, once it has ended."""
    taken: dict[str, float] = {}
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    yield taken
    taken["cpu"], taken["wall"] = time.process_time() - cpu, time.perf_counter() - wall


# the rounds


class Child:
    """A worker as its parent sees it."""

    def __init__(self, case: str, url: str, body: str, python: str) -> None:
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
        if case.startswith("copykit"):
            environment["COPYKIT_HTTP"] = case.partition(", ")[2]
        self._process = subprocess.Popen(
            [python, __file__, "worker", case, url, body],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def do(self, name: str, *numbers: float) -> Any:
        """Let it do *name*, and wait for what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([name, *numbers]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a worker died")
        return json.loads(line)

    def end(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def children(cases: list[str], litellm: str) -> Iterator[dict[str, Child]]:
    """Start the server and a worker for each of *cases* that is installed."""
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    body = json.dumps(asyncio.run(sent(url)))
    made: dict[str, Child] = {}
    try:
        for case in cases:
            python = litellm if case == "litellm" else sys.executable
            test = f"import {', '.join(CLIENTS[case].libraries.split())}"
            if subprocess.run([python, "-c", test], capture_output=True, check=False).returncode:
                print(f"left out: {case}, which is not installed")
            else:
                made[case] = Child(case, url, body, python)
        yield made
    finally:
        for child in made.values():
            child.end()
        server.terminate()
        server.wait()


Figures = dict[str, list[float]]


def shown(figures: Figures, case: str, scale: float) -> str:
    """Give the median and the minimum of *case*."""
    values = [value * scale for value in figures[case]]
    return f"{statistics.median(values):8.0f} [{min(values):6.0f}]"


def ratio(figures: Figures, case: str, other: str) -> str:
    """Give the ratio of the medians of two cases, or a dash where one of them is missing."""
    if not figures.get(case) or not figures.get(other):
        return "     -"
    return f"{statistics.median(figures[case]) / statistics.median(figures[other]):6.2f}"


def calls(options: argparse.Namespace) -> None:
    """Print what one call costs, one at a time and many at once."""
    for concurrency, count in ((1, options.calls), (64, options.calls * 2)):
        cpu: Figures = {case: [] for case in CLIENTS}
        wall: Figures = {case: [] for case in CLIENTS}
        parts: dict[str, list[float]] = {"brief": [], "drafts": []}
        with children(list(CLIENTS), options.litellm) as made:
            for child in made.values():
                child.do("calls", concurrency * 2, concurrency, 0.0)
            for _ in range(options.rounds):
                for case, child in made.items():
                    taken = child.do("calls", count, concurrency, 0.0)
                    cpu[case].append(taken["cpu"] / count)
                    wall[case].append(taken["wall"] / count)
                    if case == "copykit, httpx2":
                        for name, seconds in child.do("parts", count).items():
                            parts[name].append(seconds / count)
        print(
            f"\n{concurrency} at a time, us a call (median [minimum] of {options.rounds} rounds of {count})"
        )
        print(f"{'client':18} {'CPU':>17} {'wall':>17} {'to httpx':>9} {'to its own':>11} {'to litellm':>11}")
        for case in made:
            own = CLIENTS[case].against
            print(
                f"{case:18} {shown(cpu, case, 1e6)} {shown(wall, case, 1e6)} {ratio(cpu, case, 'bare httpx'):>9} "
                f"{ratio(cpu, case, own):>11} {ratio(cpu, case, 'litellm'):>11}"
            )
        print(
            f"of a copykit call, each in a row: brief/ {shown(parts, 'brief', 1e6)}, drafts/ {shown(parts, 'drafts', 1e6)}"
        )
        for case in ("copykit, aiohttp", "copykit, httpx2"):
            if cpu[case] and cpu[CLIENTS[case].against]:
                figure = statistics.median
                over = figure(cpu[case]) - figure(cpu[CLIENTS[case].against]) - figure(parts["drafts"])
                rest = over - figure(parts["brief"])
                print(
                    f"{case}: own share without drafts/ {over * 1e6:.0f} us over {CLIENTS[case].against} "
                    f"(target <= 100), without brief/ too {rest * 1e6:.0f}"
                )


def batch(options: argparse.Namespace) -> None:
    """Print how near to the ideal a batch comes."""
    ideal = options.items / options.concurrency * options.latency
    wall: Figures = {case: [] for case in CLIENTS}
    cpu: Figures = {case: [] for case in CLIENTS}
    with children(list(CLIENTS), options.litellm) as made:
        for child in made.values():
            child.do("batch", options.concurrency, options.concurrency, 0.0)
        for _ in range(options.rounds):
            for case, child in made.items():
                taken = child.do("batch", options.items, options.concurrency, options.latency)
                wall[case].append(taken["wall"])
                cpu[case].append(taken["cpu"] / options.items)
    print(
        f"{options.items} items at {options.concurrency}, {options.latency} s each: ideal {ideal:.2f} s; median and best of "
        f"{options.rounds} rounds"
    )
    print(
        f"{'client':18} {'s':>7} {'share':>6} {'best':>6} {'of its own':>11} {'best':>6} {'CPU us an item':>17}"
    )
    for case in made:
        own = CLIENTS[case].against
        median, best = ideal / statistics.median(wall[case]), ideal / min(wall[case])
        of_own = (
            f"{statistics.median(wall[own]) / statistics.median(wall[case]):11.3f} {min(wall[own]) / min(wall[case]):6.3f}"
            if wall.get(own)
            else f"{'-':>11} {'-':>6}"
        )
        print(
            f"{case:18} {statistics.median(wall[case]):7.2f} {median:6.3f} {best:6.3f} {of_own} {shown(cpu, case, 1e6)}"
        )
    print("target: copykit's share >= 0.97 of its own bare client's")


def ramp(options: argparse.Namespace) -> None:
    """Print how the limit of a target grows that was never asked."""
    with children(["copykit, aiohttp", "copykit, httpx2"], options.litellm) as made:
        for case, child in made.items():
            fixed = child.do("batch", options.items, options.concurrency, options.latency)["wall"]
            cold = child.do("ramp", options.items, options.concurrency, options.latency)
            print(f"{case}: cold {cold['wall']:.2f} s, with the limit fixed {fixed:.2f} s")
            print("  " + ", ".join(f"{at:.2f} s: {limit}" for at, limit in cold["limits"]))


def profile(options: argparse.Namespace) -> None:
    """Print where the time of one call goes."""
    with children([options.client], options.litellm) as made:
        shares = made[options.client].do("profile", options.calls)
    print(f"{options.client}: share of the CPU time by module of copykit, libraries counted to their caller")
    rooms: Counter[str] = Counter()
    for name, share in shares:
        rooms[name.partition("/")[0] + "/" * ("/" in name)] += share
    for heading, rows in (("by room", rooms.most_common(8)), ("by module", shares[:24])):
        print(heading)
        for name, share in rows:
            print(f"  {share:6.1%}  {name}")


def main() -> None:
    """Do what the command line asks for."""
    if sys.argv[1:2] == ["serve"]:
        return serve()
    if sys.argv[1:2] == ["worker"]:
        case, url, body = sys.argv[2:]
        return asyncio.run(Worker(case, url, json.loads(body)).run())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = {"calls": calls, "batch": batch, "ramp": ramp, "profile": profile}
    parser.add_argument("mode", choices=modes)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--items", type=int, default=2048)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--client", choices=CLIENTS, default="copykit, aiohttp")
    parser.add_argument("--litellm", default=sys.executable, metavar="PYTHON")
    options = parser.parse_args()
    modes[options.mode](options)


if __name__ == "__main__":
    main()
