"""Force each candidate of each capability in turn and show that generate and batch use it, with one result.

Every run is a process of its own with ``COPYKIT_<CAPABILITY>`` set: it writes an e-mail (20 variants, so that the
result is large enough to be packed in the cache), asks again for the cached one, and runs a small batch.

Usage: python benchmarks/capability_use.py
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from copykit.accel import registry

CAPABILITIES = ("json", "digest", "compress", "store", "similarity", "fuzzy", "system", "loop")


def work(folder: str) -> None:
    """Generate twice and run a batch; print the events and what came out."""
    from typer.testing import CliRunner

    from copykit import CopywritingInput, CopywritingServiceV11, Settings, events
    from copykit.accel import loop
    from copykit.cli.app import app

    chosen: dict[str, tuple[str, str]] = {}

    def hook(event: events.Event) -> None:
        if isinstance(event, events.CapabilitySelected):
            chosen[event.capability] = (event.candidate, event.reason)

    events.subscribe(hook)
    request = CopywritingInput(
        product_name="Norr",
        product_description="Desk, oak, oiled, 120x60 cm",
        target_platform="email",
        facts={"price": "249 EUR"},
        variants=20,
    )

    async def story() -> list[str]:
        async with CopywritingServiceV11(Settings()) as service:
            first = await service.generate(request)
            second = await service.generate(request)
            await service.get_performance_stats()
            assert second.cached
            return [v.model_dump_json() for v in (*first.variants, *second.variants)]

    texts = loop.run(story())
    rows = Path(folder, "rows.csv")
    rows.write_text(
        "id,title,description,price\n1,STIG,Bar stool,69 EUR\n2,LUNA,Table lamp,35 EUR\n", encoding="utf-8"
    )
    out = Path(folder, "out.jsonl")
    arguments = [
        "batch",
        str(rows),
        "--out",
        str(out),
        "--platform",
        "x.post",
        "--platform",
        "email",
        "--json",
    ]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    for line in out.read_text(encoding="utf-8").splitlines():
        output = json.loads(line)["output"]
        texts.append(json.dumps(output["variants"], sort_keys=True))
    print(
        json.dumps({"chosen": chosen, "result": hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]})
    )


def main() -> int:
    """Print one row a candidate; exit status 1 if a result differs or a present candidate was not used."""
    wrong = 0
    expected = ""
    print(f"{'capability':11} {'forced':12} {'used':12} {'result':17} why")
    for capability in CAPABILITIES:
        for candidate in registry.probe(capability):
            name = candidate.candidate
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run(
                    [sys.executable, __file__, "--work", folder],
                    capture_output=True,
                    text=True,
                    env={**os.environ, f"COPYKIT_{capability.upper()}": name},
                )
            if done.returncode:
                print(f"{capability:11} {name:12} failed: {done.stderr[-300:]}")
                wrong += 1
                continue
            told = json.loads(done.stdout.splitlines()[-1])
            used, why = told["chosen"].get(capability, ("not used", ""))
            expected = expected or told["result"]
            wrong += told["result"] != expected or used == "not used"
            same = "same" if told["result"] == expected else "DIFFERENT"
            print(f"{capability:11} {name:12} {used:12} {same:17} {why[:70]}")
    return int(wrong > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2])
    else:
        raise SystemExit(main())
