"""What ``batch`` costs over the bare engine, and whether its memory grows with the number of rows.

    python benchmarks/batch_overhead.py [DATA_FOLDER] [--rounds 5] [--long 150000]

Time: generating the same requests in a plain loop, and through reading, mapping, `run_batch` and the journal,
in interleaved rounds of one process; the ratio of the medians of CPU time is the figure (target: at most
1.3).
Memory: peak resident memory of whole runs in processes of their own, over 1,500 rows and over many more. The
long run uses an engine that answers at once, since only the batch's own memory is in question; ``--real``
uses the real one.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

PLATFORM = "x.post"


def rows(count: int) -> list[dict[str, Any]]:
    """Make a catalogue where none is given: furniture with measures and prices."""
    kinds = ("Bar table", "Desk lamp", "Wool rug", "Oak shelf", "Garden chair", "Wall clock", "Sofa bed")
    return [
        {
            "id": f"p{n}",
            "name": f"MODEL{n}",
            "description": f"{kinds[n % 7]}, in/outdoor, {40 + n % 90}x{30 + n % 50} cm",
            "price": float(20 + n % 900),
            "currency": "EUR",
            "dimensions_cm": {"height": str(40 + n % 90), "width": str(30 + n % 50)},
        }
        for n in range(count)
    ]


def write_catalogue(path: Path, count: int, sample: list[dict[str, Any]]) -> None:
    """Write *count* rows, repeating *sample* with other ids and prices, so that no cache can answer."""
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        for n in range(count):
            row = {**sample[n % len(sample)], "id": f"row-{n}", "price": float(100 + n)}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


async def bare(requests: list[Any]) -> float:
    """CPU seconds of the engine alone."""
    from copykit.engine import Engine
    from copykit.settings import CacheSettings, Settings

    engine = Engine(Settings(cache=CacheSettings(max_entries=0)))
    started = time.process_time()
    for number, request in enumerate(requests, 1):
        await engine.generate(request, row=number)
    return time.process_time() - started


async def batched(path: Path, out: Path) -> float:
    """CPU seconds from the file to the written lines."""
    from copykit.batch import BatchStats, plan, run_batch
    from copykit.engine import Engine
    from copykit.feeds.journal import Journal
    from copykit.feeds.mapping import guess
    from copykit.feeds.read import read_rows
    from copykit.feeds.rows import open_source
    from copykit.settings import CacheSettings, Settings

    engine = Engine(Settings(cache=CacheSettings(max_entries=0)))
    started = time.process_time()
    source = open_source(path)
    mapping = guess(islice(read_rows(source), 200))
    stats = BatchStats()
    with Journal(out, {}) as journal:
        journal.start(overwrite=True)
        jobs = plan(read_rows(source), mapping, placements=[PLATFORM], languages=["en"])
        async for line in run_batch(engine, jobs):
            journal.write(line)
            stats.add(line)
        journal.finish()
    return time.process_time() - started


def requests_of(path: Path) -> list[Any]:
    """Give the requests that the batch will make, made beforehand."""
    from copykit.batch import plan
    from copykit.feeds.mapping import guess
    from copykit.feeds.read import read_rows
    from copykit.feeds.rows import open_source

    source = open_source(path)
    mapping = guess(islice(read_rows(source), 200))
    jobs = plan(read_rows(source), mapping, placements=[PLATFORM], languages=["en"])
    return [job.request for job in jobs if job.request is not None]


CHILD = """
import resource, sys
from copykit.cli import batch
if sys.argv[3] == "quick":
    from contextlib import nullcontext
    from datetime import UTC, datetime
    from copykit.models import CopyVariant, CopywritingOutput, Receipt, Usage
    class Quick:
        async def generate(self, request, *, row=None):
            text = request.product_description
            variant = CopyVariant(fields={"text": text}, text=text, status="ok", field_status={})
            return CopywritingOutput(id=str(row), variants=[variant], text=text, placement="x.post",
                language="en", tone="plain", use_case="x", usage=Usage(), receipt=Receipt(served_by="quick"),
                created_at=datetime.now(UTC))
    batch._engine = lambda settings: nullcontext(Quick())
import typer
app = typer.Typer()
app.command()(batch.command)
words = [sys.argv[1], "--out", sys.argv[2], "--platform", "x.post", "--language", "en", "--overwrite",
    "--json", "--format", "csv"]
try:
    app(words, standalone_mode=False)
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def peak_mib(path: Path, out: Path, engine: str) -> float:
    """Peak resident MiB of one whole run in a process of its own."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(out), engine],
        capture_output=True,
        text=True,
        check=False,
    )
    if '"exit_code": 0' not in child.stdout and '"exit_code": 3' not in child.stdout:
        raise SystemExit(f"the run did not finish:\n{child.stderr[-2000:]}")
    unit = 2**20 if sys.platform == "darwin" else 1024
    return int(child.stderr.strip().splitlines()[-1]) / unit


def main() -> int:
    """Print both figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1492)
    parser.add_argument("--long", type=int, default=150_000)
    parser.add_argument("--real", action="store_true", help="memory with the real engine too (minutes)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="copykit-overhead-") as name:
        folder = Path(name)
        sample = rows(1492)
        if options.data:
            with gzip.open(options.data / "ikea_sa_en_dev.jsonl.gz", "rt", encoding="utf-8") as stream:
                sample = [json.loads(line) for line in stream]
        path, out = folder / "in.jsonl.gz", folder / "out.jsonl"
        write_catalogue(path, options.rows, sample)
        requests = requests_of(path)
        asyncio.run(bare(requests[:100]))
        alone, whole = [], []
        for _ in range(options.rounds):
            alone.append(asyncio.run(bare(requests)))
            whole.append(asyncio.run(batched(path, out)))
        ratio = statistics.median(whole) / statistics.median(alone)
        print(f"{len(requests)} rows, {PLATFORM}: engine {statistics.median(alone):.3f} s CPU, ", end="")
        print(f"batch {statistics.median(whole):.3f} s CPU, ratio {ratio:.3f} (target <= 1.3)")
        long = folder / "long.jsonl.gz"
        write_catalogue(long, options.long, sample)
        for engine in ("quick", "real") if options.real else ("quick",):
            short_peak = peak_mib(path, out, engine)
            long_peak = peak_mib(long, folder / "long.jsonl", engine)
            print(f"peak memory, {engine} engine: {short_peak:.1f} MiB for {options.rows} rows, ", end="")
            print(f"{long_peak:.1f} MiB for {options.long}, ratio {long_peak / short_peak:.3f}")
    return 0 if ratio <= 1.3 else 1


if __name__ == "__main__":
    raise SystemExit(main())
