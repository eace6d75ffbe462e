"""Kill ``copykit batch`` with SIGKILL at random moments, resume it, and compare with an uninterrupted run.

    python benchmarks/resume_kill.py DATA_FOLDER [--kills 5] [--limit N] [--seed 0]

Compared are whole lines after dropping what differs between two equal runs: ``created_at``, latencies and
waits, ``cached``, ``receipt.cache`` and ``saved_usd``. Exit code 1 if they differ.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

CATALOGUES = {
    "ikea_sa_en_dev.jsonl.gz": "en",
    "bagisto_demo_21lang_dev.jsonl.gz": "own",
    "shopify_apparel.csv": "en",
}
PLATFORMS = ["google_ads.rsa", "meta.feed_ad", "x.post"]
VOLATILE = {"created_at", "cached", "latency_s", "waited_s", "saved_usd"}


def stable(value: Any, path: str = "") -> Any:
    """Give *value* without its volatile parts."""
    if isinstance(value, dict):
        return {
            key: stable(part, f"{path}.{key}")
            for key, part in value.items()
            if key not in VOLATILE and f"{path}.{key}" != ".output.receipt.cache"
        }
    return [stable(part, path) for part in value] if isinstance(value, list) else value


def order(source: Path, language: str, out: Path, limit: int | None) -> list[str]:
    """Give the command line of one run, which is also the one that resumes it."""
    words = [sys.executable, "-m", "copykit", "batch", str(source), "--out", str(out), "--language", language]
    words += [word for name in PLATFORMS for word in ("--platform", name)]
    words += ["--resume", "--format", "csv", "--final-url", "https://shop.example/p/{id}"]
    return words + (["--limit", str(limit)] if limit else [])


def main() -> int:
    """Run each catalogue once whole and once with kills; print one line per catalogue."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    good = True
    print("| catalogue | lines | killed after n lines | torn lines | same lines | same CSV |")
    print("|---|---|---|---|---|---|")
    for name, language in CATALOGUES.items():
        with tempfile.TemporaryDirectory(prefix="copykit-kill-") as folder:
            good &= compare(options.data / name, language, Path(folder), options, dice)
    return 0 if good else 1


def compare(
    source: Path, language: str, folder: Path, options: argparse.Namespace, dice: random.Random
) -> bool:
    """Run *source* whole and with kills; print one line and say whether the results are the same."""
    whole, killed = folder / "whole.jsonl", folder / "killed.jsonl"
    calm = subprocess.run(order(source, language, whole, options.limit), capture_output=True, check=False)
    words = order(source, language, killed, options.limit)
    size, moments, torn = whole.stat().st_size, [], 0
    for point in sorted(dice.uniform(0.0, 0.97) for _ in range(options.kills)):
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted = max(point * size, killed.stat().st_size + 1 if killed.exists() else 0)
        while child.poll() is None and (not killed.exists() or killed.stat().st_size < wanted):
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.01))
        child.send_signal(signal.SIGKILL)
        child.wait()
        data = killed.read_bytes()
        torn += bool(data) and not data.endswith(b"\n")
        moments.append(str(data.count(b"\n")))
    last = subprocess.run(words, capture_output=True, text=True, check=False)
    if last.returncode != calm.returncode:
        print(f"exit codes differ: {calm.returncode}, {last.returncode}\n{last.stderr[-2000:]}")
    same, lines = True, 0
    with whole.open() as one, killed.open() as other:
        for a, b in zip_longest(one, other):
            lines += 1
            same &= a is not None and b is not None and stable(json.loads(a)) == stable(json.loads(b))
    tables = whole.with_suffix(".csv").read_bytes() == killed.with_suffix(".csv").read_bytes()
    print(f"| {source.name} | {lines} | {', '.join(moments)} | {torn} | {same} | {tables} |", flush=True)
    return same and tables and last.returncode == calm.returncode


if __name__ == "__main__":
    raise SystemExit(main())
