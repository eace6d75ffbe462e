"""What callers and providers see of an outage, through the whole engine with writers that answer or fail at once.

1. One target fails half of its calls, one is dead, one is well: at least 99.9 % of the callers are served.
2. Every target is dead: calls made upstream, how long a caller waits for its error once the breakers are open, and how many
   are served once the phrase bank is named last.

Usage: python benchmarks/outage.py [--requests 20000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable

from copykit import CopywritingInput, CopywritingServiceV11, Settings
from copykit.brief.prompt import Prompt
from copykit.errors import CopykitError, ProviderUnavailable
from copykit.models import Usage
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider
from copykit.settings import CacheSettings, RoutingSettings

COPY = json.dumps({"variants": [{"fields": {"text": "Norr, the oak desk. See it today."}}]})
AT_ONCE = 64


class Writer:
    """Answers, but for a share of its calls, which find nobody."""

    def __init__(self, name: str, fails: float) -> None:
        self.name, self.fails, self.calls = name, fails, 0
        self.random = random.Random(name)

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer or fail."""
        self.calls += 1
        await asyncio.sleep(0)
        if self.random.random() < self.fails:
            raise ProviderUnavailable("status 503", status=503)
        return Completion(text=COPY, model=self.name, usage=Usage(input_tokens=1, output_tokens=1))


async def story(
    targets: tuple[str, ...], requests: int, one_by_one: int = 0
) -> tuple[Counter[str], list[float]]:
    """Send *requests*, 64 at a time, then some *one_by_one*; give how all ended, and how long each of the latter took."""
    service = CopywritingServiceV11(
        Settings(routing=RoutingSettings(targets), cache=CacheSettings(max_entries=0))
    )
    ended: Counter[str] = Counter()
    failures: list[float] = []
    numbers = iter(range(requests))

    async def caller(numbers: Iterable[int]) -> None:
        for number in numbers:
            began = time.perf_counter()
            try:
                result = await service.generate(
                    CopywritingInput(
                        product_description="Oak desk",
                        product_name="Norr",
                        target_platform="x.post",
                        seed=number,
                    )
                )
                ended[result.receipt.served_by.partition(":")[0]] += 1
            except CopykitError as error:
                ended[error.code] += 1
                failures.append(time.perf_counter() - began)

    await asyncio.gather(*(caller(numbers) for _ in range(AT_ONCE)))
    failures.clear()
    await caller(range(requests, requests + one_by_one))
    return ended, failures


def register(**fails: float) -> dict[str, Writer]:
    """Register a writer for each name."""
    writers = {name: Writer(name, share) for name, share in fails.items()}
    for name, writer in writers.items():
        register_provider(name, lambda writer=writer: writer)  # type: ignore[misc]
    return writers


def main() -> None:
    """Print the figures beside their bounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    requests = parser.parse_args().requests
    writers = register(half=0.5, dead=1.0, well=0.0)
    ended, _ = asyncio.run(story(("half", "dead", "well"), requests))
    served = sum(ended[name] for name in writers)
    calls = {name: writer.calls for name, writer in writers.items()}
    print(
        f"1. half dead, dead, well: served {served / requests:.2%} (at least 99.9 %), calls {calls}, {dict(ended)}"
    )

    writers = register(one=1.0, two=1.0)
    ended, failures = asyncio.run(story(("one", "two"), requests // 2, one_by_one=1_000))
    made = sum(writer.calls for writer in writers.values())
    fast = sorted(failures)[int(0.99 * len(failures))]
    bound = 1.1 * requests / 2 + 10
    print(f"2. all dead: {made} calls for {requests // 2} requests (at most {bound:.0f}), {dict(ended)}")
    print(
        f"   breakers open, one caller after the other: 99 of 100 errors within {1000 * fast:.2f} ms (at most 10 ms)"
    )
    ended, _ = asyncio.run(story(("one", "two", "phrasebank"), requests // 10))
    print(f"   phrase bank last: {ended['phrasebank'] / (requests // 10):.2%} served by it (100 %)")


if __name__ == "__main__":
    main()
