"""What a cached ``await generate()`` costs in process, beside the floor: encode, digest, dict, one await.

Usage: python benchmarks/cached_hit.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import time

from copykit import CopywritingInput, CopywritingServiceV11, Settings

CALLS = 2000
REQUEST = CopywritingInput(product_description="Desk, oak, oiled, 120x60 cm", target_platform="x.post")


async def floor() -> float:
    """CPU microseconds a call of the least a keyed cache can do."""
    form = REQUEST.model_dump(mode="json")
    store = {hashlib.sha256(json.dumps(form).encode()).digest(): b"x" * 2000}

    async def get() -> bytes:
        return store[hashlib.sha256(json.dumps(form).encode()).digest()]

    started = time.process_time()
    for _ in range(CALLS):
        await get()
    return 1e6 * (time.process_time() - started) / CALLS


async def cached() -> float:
    """CPU microseconds a cached generate()."""
    service = CopywritingServiceV11(Settings())
    assert not (await service.generate(REQUEST)).cached
    started = time.process_time()
    for _ in range(CALLS):
        await service.generate(REQUEST)
    return 1e6 * (time.process_time() - started) / CALLS


def main() -> None:
    """Print medians of interleaved rounds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    pairs = [(asyncio.run(floor()), asyncio.run(cached())) for _ in range(parser.parse_args().rounds)]
    low = statistics.median(pair[0] for pair in pairs)
    hit = statistics.median(pair[1] for pair in pairs)
    print(
        f"floor {low:.1f} us, cached generate() {hit:.1f} us, ratio {hit / low:.1f} (target with the caching issue: <= 8)"
    )


if __name__ == "__main__":
    main()
