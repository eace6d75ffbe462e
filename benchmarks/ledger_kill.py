"""Kill ``copykit batch`` while it calls a provider over a real socket, resume it, and hold the money against the books.

    python benchmarks/ledger_kill.py [--items 2000] [--kills 5] [--concurrency 16] [--mixed] [--seed 0]

A server in a process of its own answers in OpenAI's format and keeps its own books (`copykit.testing.books`). One
process runs the batch and is killed (SIGKILL) at random moments; another, this one, goes on all the while with
``generate`` and ``stream``. At the end the books are compared with what copykit tells:

- calls and dollars of ``generate`` and ``stream``: the receipts;
- calls and dollars of the batch: the receipts of its lines and what the run tells as ``lost``. For a call in the air when
  the process died nobody knows whether it arrived: it counts at its worst case, so the books lie between the sum without
  those and the sum with them.

Without ``--mixed`` every call is answered with copy that passes, so an item takes one call, and each kill may cost an item
that was in progress one more. With it some answers are wrong, are no copy or fail. Exit code 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PICO = 10**12
PRICES = {"input": 100.0, "output": 400.0}
FATES = {"well": 1.0}
MIXED = {"well": 0.85, "wrong": 0.05, "babble": 0.05, "fails": 0.05}
OTHERS = 1_000_000
"""Lots from here on are those of ``generate`` and ``stream``."""


# the server


def serve(fates: dict[str, float], late_s: tuple[float, float], seed: int) -> None:
    """Answer on a free port, which is printed; a GET of ``/books`` tells the books."""
    from copykit.testing.books import Books
    from copykit.testing.servers import Received, ScriptedServer, Step, answer

    books = Books(fates, input_usd=PRICES["input"], output_usd=PRICES["output"], late_s=late_s, seed=seed)

    def choose(received: Received) -> Step:
        if received.path == "/books":
            return answer(json=[[entry.lot, entry.pico_usd] for entry in books.entries], then="close")
        return books(received)

    async def main() -> None:
        async with ScriptedServer(choose) as server:
            print(server.port, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())


@contextlib.contextmanager
def server(options: argparse.Namespace) -> Iterator[str]:
    """Run the server in a process of its own; gives its address."""
    order = [sys.executable, __file__, "--serve", "--seed", str(options.seed)]
    order += ["--mixed"] if options.mixed else []
    child = subprocess.Popen(order, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.terminate()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def books_of(address: str) -> list[tuple[int, int]]:
    """Ask the server for its books: lot and trillionths of a dollar of each call."""
    with urllib.request.urlopen(f"{address}/books", timeout=30) as told:  # noqa: S310 -- on loopback
        return [(lot, pico) for lot, pico in json.load(told)]


# generate and stream, meanwhile


@dataclass
class Meanwhile:
    """What ``generate`` and ``stream`` told of their calls."""

    calls: int = 0
    pico_usd: int = 0
    generated: int = 0
    streamed: int = 0

    async def go_on(self, address: str, stop: asyncio.Event) -> None:
        """Generate and stream in turn until *stop*."""
        from copykit import CopywritingInput, CopywritingServiceV11, Settings
        from copykit.errors import CopykitError
        from copykit.settings import ProvidersSettings, RoutingSettings
        from copykit.streaming import StreamFailed, StreamFinished

        routing = RoutingSettings(("local:books-1",), prices={"local": PRICES}, budget_usd=10_000.0)
        own = Settings(routing=routing, providers=ProvidersSettings(local_base_url=f"{address}/v1"))
        async with CopywritingServiceV11(own) as service:
            lot = OTHERS
            while not stop.is_set():
                request = CopywritingInput(
                    product_description=f"Oak desk, 120x60 cm, lot {lot}",
                    product_name="Norr",
                    target_platform="x.post",
                )
                try:
                    if lot % 2:
                        self.generated += 1
                        output = await service.generate(request)
                    else:
                        self.streamed += 1
                        async for event in service.stream(request):
                            if isinstance(event, StreamFailed):
                                raise event.error
                            if isinstance(event, StreamFinished):
                                output = event.output
                    self._add(output.receipt.attempts)
                except CopykitError as error:
                    self._add(error.attempts)
                lot += 1

    def _add(self, attempts: Any) -> None:
        for attempt in attempts:
            if attempt.outcome not in ("circuit_open", "cooling"):
                self.calls += 1
                self.pico_usd += round((attempt.cost_usd or 0.0) * PICO)


# the batch


def order(options: argparse.Namespace) -> list[str]:
    """Give the command line of the batch, which is also the one that resumes it."""
    words = ["batch", "in.csv", "--out", "out.jsonl", "--platform", "x.post", "--language", "en", "--yes"]
    words += ["--resume", "--json", "--budget", str(options.items), "--concurrency", str(options.concurrency)]
    return [sys.executable, "-m", "copykit", *words]


def prepare(folder: Path, address: str, items: int) -> None:
    """Write catalogue and settings into *folder*."""
    with (folder / "in.csv").open("w", encoding="utf-8") as stream:
        stream.write("id,title,description\n")
        for lot in range(items):
            stream.write(f'p{lot},Norr,"Oak desk, 120x60 cm, lot {lot}"\n')
    prices = "\n".join(f"{name} = {value}" for name, value in PRICES.items())
    (folder / "copykit.toml").write_text(
        f'[routing]\nproviders = ["local:books-1"]\n[routing.prices.local]\n{prices}\n'
        f'[providers]\nlocal_base_url = "{address}/v1"\n'
    )


def environment() -> dict[str, str]:
    """Give the environment of the other processes: this one's, without settings of copykit."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COPYKIT_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}


def killed_and_resumed(folder: Path, options: argparse.Namespace, moments: list[str]) -> dict[str, Any]:
    """Run the batch to its end, killed on its way; gives its summary."""
    dice = random.Random(options.seed)
    words, path = order(options), folder / "out.jsonl"
    for point in sorted(dice.uniform(0.02, 0.95) for _ in range(options.kills)):
        child = subprocess.Popen(
            words, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wanted = max(int(point * options.items), _lines(path) + 1)
        while child.poll() is None and _lines(path) < wanted:
            time.sleep(0.005)
        time.sleep(dice.uniform(0.0, 0.1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        moments.append(str(_lines(path)))
    last = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if last.returncode not in (0, 3):
        raise SystemExit(f"the last part ended with {last.returncode}\n{last.stderr[-2000:]}")
    summary: dict[str, Any] = json.loads(last.stdout)
    return summary


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


# what came of it


def compare(folder: Path, summary: dict[str, Any], books: list[tuple[int, int]], others: Meanwhile) -> bool:
    """Print receipts and losses beside the books; say whether they agree."""
    receipts, calls, of_lots = 0, 0, Counter[int]()
    lines = [json.loads(raw) for raw in (folder / "out.jsonl").read_bytes().splitlines()]
    for line in lines:
        told = line["output"]["receipt"]["attempts"] if line["output"] else line["error"].get("attempts", [])
        made = [one for one in told if one["outcome"] not in ("circuit_open", "cooling", "budget_exceeded")]
        receipts += sum(round((one["cost_usd"] or 0.0) * PICO) for one in made)
        calls += len(made)
        of_lots[line["row"] - 1] += len(made)
    lost = summary["lost"]
    own = [(lot, pico) for lot, pico in books if lot < OTHERS]
    arrived, charged = len(own), sum(pico for _, pico in own)
    most, least = calls + lost["calls"], calls + lost["calls"] - lost["estimated_calls"]
    most_usd = receipts + round(lost["cost_usd"] * PICO)
    least_usd = most_usd - round(lost["estimated_usd"] * PICO)
    extra = Counter(lot for lot, _ in own)
    extra.subtract(of_lots)
    again = [count for count in extra.values() if count]
    foreign = [pico for lot, pico in books if lot >= OTHERS]

    print(f"lines: {len(lines)}, {summary['status']}")
    print(
        f"batch, calls: {calls} in receipts + {lost['calls']} lost (of which {lost['estimated_calls']} in the air)"
    )
    print(f"    = {least} to {most}; the server's books: {arrived}")
    print(
        f"batch, USD: {receipts / PICO:.6f} in receipts + {lost['cost_usd']:.6f} lost (of which "
        f"{lost['estimated_usd']:.6f} at worst)\n    = {least_usd / PICO:.6f} to {most_usd / PICO:.6f}; "
        f"the server's books: {charged / PICO:.6f}"
    )
    print(f"items asked for again: {len(again)}, extra calls of one item: at most {max(again, default=0)}")
    print(
        f"generate ({others.generated}) and stream ({others.streamed}): receipts {others.calls} calls, "
        f"{others.pico_usd / PICO:.6f} USD; the server's books: {len(foreign)} calls, {sum(foreign) / PICO:.6f} USD"
    )
    holds = {
        "the summary's cost is that of the lines": round(summary["cost_usd"] * PICO) == receipts,
        "the books lie within receipts and losses, in calls": least <= arrived <= most,
        "the books lie within receipts and losses, in USD": least_usd <= charged <= most_usd,
        "generate and stream agree with the books": (others.calls, others.pico_usd)
        == (len(foreign), sum(foreign)),
        "no line is missing or doubled": [line["row"] for line in lines] == list(range(1, len(lines) + 1)),
        "nothing of the run is left beside the result": not list(folder.glob("*.underway.*")),
    }
    for what, true in holds.items():
        if not true:
            print(f"WRONG: not so: {what}")
    return all(holds.values())


async def story(options: argparse.Namespace) -> bool:
    """Run everything; say whether it holds."""
    with server(options) as address, tempfile.TemporaryDirectory(prefix="copykit-kill-") as name:
        folder, moments, stop, others = Path(name), [], asyncio.Event(), Meanwhile()
        prepare(folder, address, options.items)
        began = time.perf_counter()
        task = asyncio.create_task(others.go_on(address, stop))
        try:
            summary = await asyncio.to_thread(killed_and_resumed, folder, options, moments)
        finally:
            stop.set()
            await task
        print(
            f"killed after {', '.join(moments)} of {options.items} lines; {time.perf_counter() - began:.0f} s"
        )
        return compare(folder, summary, books_of(address), others)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(MIXED if options.mixed else FATES, (0.02, 0.2), options.seed)
        return 0
    return 0 if asyncio.run(story(options)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
