"""How fast the phrase bank writes and checks on one core: finished variants or asset sets a second.

Usage: python benchmarks/generation_rate.py [--seconds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time

from copykit import CopywritingInput, CopywritingServiceV11, Settings

CASES = [
    ("x.post", 20, "variants", 2000),
    ("x.post", 1, "variants", None),
    ("google_ads.rsa", 1, "sets", 300),
    ("google_ads.rsa", 5, "sets", None),
    ("instagram.caption", 3, "variants", None),
    ("email", 1, "variants", None),
]


async def rate(placement: str, variants: int, seconds: float) -> tuple[float, float]:
    """Give variants a second of CPU time, and the mean number of texts in one."""
    service = CopywritingServiceV11(Settings())
    await service.generate(CopywritingInput(product_description="Desk, oak", target_platform=placement))
    gc.collect()
    gc.freeze()  # as `copykit batch` does: catalogue and phrases are loaded for good
    made = texts = number = 0
    started = time.process_time()
    while time.process_time() - started < seconds:
        number += 1
        result = await service.generate(
            CopywritingInput(
                product_description="Desk, oak, oiled, 120x60 cm",
                product_name="Norr",
                target_platform=placement,
                facts={"price": "249 EUR", "height": f"{60 + number % 40} cm", "designer": "Ida Holm"},
                key_points=["Cable tray", "Two drawers"],
                url="https://example.com/norr",
                variants=variants,
                seed=number,
                cache="off",
            )
        )
        made += len(result.variants)
        texts += sum(len(v) if isinstance(v, list) else 1 for v in result.variants[0].fields.values())
    return made / (time.process_time() - started), texts / number


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    print(f"{'placement':20} {'a call':>7} {'a second':>9} {'texts':>6}  target")
    for placement, variants, unit, target in CASES:
        per_second, texts = asyncio.run(rate(placement, variants, seconds))
        goal = f">= {target} {unit}/s" if target else ""
        print(f"{placement:20} {variants:7} {per_second:9.0f} {texts:6.1f}  {goal}")


if __name__ == "__main__":
    main()
