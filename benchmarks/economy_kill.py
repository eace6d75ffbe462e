"""Kill ``copykit batch --economy`` at five moments, resume it, and hold receipts against the vendor's own books.

    python benchmarks/economy_kill.py [--vendor openai] [--items 2000]

A server on loopback takes batch jobs and single calls of one vendor; one request in fifty fails in its job, so that it is
asked for live. The run is killed (SIGKILL) when its job was begun, while it collects, and three times while it writes. Exit
code 1 if a line is missing or doubled, a request was submitted twice, or the money does not add up: what stands in the
books must lie between the receipts and the receipts with what the run tells as ``lost``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from copykit.batch import cost_of
from copykit.feeds.journal import read_lines
from copykit.models import Usage
from copykit.routing.budget import Prices
from copykit.testing.job_server import TOKENS, JobServer

MODELS = {"openai": "gpt-6-luna", "anthropic": "claude-haiku-5-5", "google": "gemini-3.8-flash"}


def write(body: dict[str, Any]) -> str:
    """Write the row's own words, as an obedient model would."""
    name = re.search(r'product_name\\*": \\*"([^"\\]+)', str(body).replace("\\\\", "\\"))
    text = f"{name[1] if name else 'Cap'}. A warm cap for cold days."
    return json.dumps({"variants": [{"fields": {"text": text}, "parts": []}]})


def written(path: Path) -> int:
    """Count the lines of the result."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


async def run(vendor: str, items: int, folder: Path) -> bool:
    """Run the whole story in *folder*; True if everything holds."""
    out = folder / "copy.jsonl"
    rows = "".join(f"p{n},Cap {n},A warm cap for cold days.\n" for n in range(1, items + 1))
    (folder / "in.csv").write_text("id,title,description\n" + rows)
    words = ["batch", "in.csv", "--out", "copy.jsonl", "--platform", "x", "--language", "en", "--economy"]
    command = [sys.executable, "-m", "copykit", *words, "--yes", "--json"]
    async with JobServer(vendor, write) as server:
        server.fates = lambda place, key: "error" if place % 50 == 7 else "ok"
        address = {"google": "GOOGLE_GEMINI"}.get(vendor, vendor.upper())
        env = {"COPYKIT_PROVIDERS": vendor, f"{vendor.upper()}_API_KEY": "sk-none"}
        env = {**os.environ, **env, f"{address}_BASE_URL": server.base_url}

        async def start(*more: str) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                *command, *more, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )

        def past(share: float) -> Callable[[], bool]:
            return lambda: written(out) > items * share

        moments: list[Callable[[], bool]] = [
            lambda: bool(server.jobs),
            lambda: bool(server.jobs) and server.jobs[0].polls < 0,
            *(past(share) for share in (0.02, 0.35, 0.7)),
        ]
        for number, moment in enumerate(moments):
            process = await start(*(["--resume"] if number else []))
            while not moment() and process.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # a file tells nobody that it grew
            if process.returncode is None:
                process.kill()
            await process.communicate()
            print(f"killed: {written(out)} lines, {len(server.jobs)} jobs, {len(server.live)} live calls")
        told, _ = await (await start("--resume")).communicate()
    summary = json.loads(told)
    target, usage = f"{vendor}:{MODELS[vendor]}", Usage(input_tokens=TOKENS[0], output_tokens=TOKENS[1])
    of_job, of_call = (Prices().cost_usd(target, usage, batch=batch) or 0.0 for batch in (True, False))
    answered = sum(job.fates[key] == "ok" for job in server.jobs for key in job.requests)
    books = answered * of_job + len(server.live) * of_call
    lines = list(read_lines(out))
    receipts = sum(cost_of(line)[0] for line in lines)
    lost = summary["lost"]["cost_usd"]
    submitted = sum(len(job.requests) for job in server.jobs)
    print(f"lines {len(lines)}, status {summary['status']}, asked live {summary['left_by_job']}")
    print(f"jobs {len(server.jobs)}, requests {submitted}, live calls {len(server.live)}")
    print(f"books {books:.7f} USD, receipts {receipts:.7f} USD, lost at worst {lost:.7f} USD")
    return (
        [line.row for line in lines] == list(range(1, items + 1))
        and submitted == items
        and receipts - 1e-9 <= books <= receipts + lost + 1e-9
    )


def main() -> None:
    """Read the arguments, run, and say by the exit code whether everything holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--vendor", choices=MODELS, default="openai")
    parser.add_argument("--items", type=int, default=2_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        holds = asyncio.run(run(given.vendor, given.items, Path(folder)))
    print("holds" if holds else "DOES NOT HOLD")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
