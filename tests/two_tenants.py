"""Random histories of two tenants on two workers: does anything that one was told ever reach the other?

What the target writes tells for whom it was asked, so that copy which went to the wrong tenant, by cache, shared call,
remembered answer or stream, shows itself; so do counts and spendings that are not one's own.

Usage: python -m tests.two_tenants [--histories 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from contextvars import ContextVar
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from copykit import register_provider
from copykit.brief.prompt import Prompt
from copykit.providers.base import Completion
from copykit.providers.registry import unregister_provider
from copykit.testing import FakeProvider
from server_crew import SEEN_S, WorkerAtHand, crew

TENANTS = ("acme", "bolt")
WORDS = {"acme": "Standing desk in oiled oak, 120 x 60 cm.", "bolt": "Oiled oak standing desk, 120 x 60 cm."}
"""What each is written, and the other never."""
OFTEN = {
    "generate": 8,
    "legacy": 3,
    "batch": 3,
    "stream": 3,
    "stats": 2,
    "clear": 1,
    "cache": 1,
    "health": 1,
}
for_whom: ContextVar[str] = ContextVar("for_whom")


class Telling(FakeProvider):
    """Writes each tenant its own words: a request is served in the context that it was sent in."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Give the words of whoever asks."""
        tenant = for_whom.get()
        await asyncio.sleep(0)
        self.will_say({"text": WORDS[tenant]})
        return self._completion({"text": WORDS[tenant]})  # type: ignore[return-value]  # no error is queued


class Seen:
    """What was asked and what came back wrong."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.cached = 0
        self.replayed = 0
        self.crossed: list[str] = []


async def step(chance: random.Random, workers: list[WorkerAtHand], keys: dict[str, str], seen: Seen) -> None:
    """Do one random thing for a random tenant at a random worker, and look at the answer."""
    tenant = chance.choice(TENANTS)
    other = TENANTS[tenant == TENANTS[0]]
    for_whom.set(tenant)
    worker, key = chance.choice(workers), keys[tenant]
    brief = {
        "product_description": "Standing desk, oiled oak, 120 x 60 cm",
        "target_platform": "x",
        "seed": chance.randrange(4),
        "cache": chance.choice(["on", "on", "on", "refresh"]),
    }
    name = (
        {"idempotency_key": f"{brief['seed']}-{chance.randrange(6)}-{brief['cache']}"}
        if chance.random() < 0.3
        else {}
    )
    what = chance.choices(
        ["generate", "legacy", "batch", "stream", "clear", "stats", "cache", "health"],
        [8, 3, 3, 3, 1, 2, 1, 1],
    )[0]
    match what:
        case "generate" | "legacy":
            path = "/v11/generate" if what == "generate" else "/generate"
            answer = await worker.ask("POST", path, brief, key=key, **name)
        case "batch":
            answer = await worker.ask("POST", "/v11/batch-generate", [brief, brief], key=key, **name)
        case "stream":
            answer = await worker.ask("POST", "/v11/generate/stream", brief, key=key)
        case "clear":
            answer = await worker.ask("POST", "/v11/cache/clear", key=key)
        case "stats":
            answer = await worker.ask("GET", "/v11/performance-stats", key=key)
        case "cache":
            answer = await worker.ask("GET", "/v11/cache/stats", key=key)
        case _:
            answer = await worker.ask("GET", "/health", key=key)
    seen.asked[what] += 1
    seen.replayed += "idempotent-replayed" in answer.headers
    seen.cached += '"cached":true' in answer.text.replace(" ", "")
    if answer.status_code not in (200, 409, 422):
        seen.crossed.append(f"{what}: status {answer.status_code} {answer.text[:200]}")
    for mark in (WORDS[other], other):
        if mark in answer.text:
            seen.crossed.append(f"{what} of {tenant} told {mark!r}")


async def histories(count: int, seed: int, folder: Path) -> Seen:
    """Play *count* histories of two to five things at once, six rounds each."""
    seen, chance = Seen(), random.Random(seed)
    register_provider("telling", lambda: Telling("telling"))
    try:
        async with crew(folder, 2, targets=("telling",), in_flight=1000) as (book, workers):
            scopes = ["generate", "batch", "read", "admin"]
            keys = {tenant: (await book.create(tenant=tenant, scopes=scopes))[1] for tenant in TENANTS}
            await asyncio.sleep(SEEN_S)
            for _ in range(count):
                for _ in range(6):
                    steps = [step(chance, workers, keys, seen) for _ in range(chance.randint(2, 5))]
                    await asyncio.gather(*(asyncio.ensure_future(one) for one in steps))
    finally:
        unregister_provider("telling")
    return seen


def main() -> int:
    """Play, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(histories(options.histories, options.seed, Path(folder)))
    told: dict[str, Any] = {
        "histories": options.histories,
        "seed": options.seed,
        "requests": seen.asked.total(),
    }
    told |= {"cached": seen.cached, "replayed": seen.replayed, "cross reads": len(seen.crossed)}
    print(json.dumps({**told, "seconds": round(time.monotonic() - began, 1)}))
    for one in seen.crossed[:20]:
        print(one)
    return 1 if seen.crossed else 0


if __name__ == "__main__":
    raise SystemExit(main())
