"""Time the checks: one text, a whole asset set, a new Checker; microseconds, the best of several rounds.

    python benchmarks/checks_speed.py [--json]

The bare loop over the same texts (a word split each) runs in between as the floor of this machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

from copykit.brief.compile import compile_brief
from copykit.drafts.check import Checker
from copykit.drafts.draft import Draft
from copykit.models import CopywritingInput

HEADLINE = "Meet Lumo, an oak desk lamp."
POST = (
    "Meet Lumo. A desk lamp with an oak base, for mornings with coffee and evenings with friends. Take a closer look "
    "at how it stands, where it fits and what it brings to a small room. See the details, choose the place, and decide "
    "in your own time. Solid oak base, linen shade."
)
HEADLINES = [
    "Meet Lumo", "Solid oak base", "Linen shade", "A desk lamp to look at", "See the details", "Choose your place for it",
    "One look is enough", "Still comparing?", "Lumo: desk lamp", "Take a closer look", "What would you change?",
    "Picture it at your desk", "Oak, linen, light", "Read on and decide", "Your evening, your light",
]  # fmt: skip


def best(run: Callable[[], object], rounds: int = 9, times: int = 200) -> float:
    """Give the microseconds of one call in the best round."""
    shortest = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(times):
            run()
        shortest = min(shortest, (time.perf_counter() - started) / times)
    return shortest * 1e6


def main() -> None:
    """Print the table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    def brief(platform: str, language: str = "en") -> Checker:
        return Checker(
            compile_brief(
                CopywritingInput(
                    product_description="Desk lamp with an oak base and a linen shade.",
                    product_name="Lumo", target_platform=platform, language=language,
                    key_points=["Solid oak base", "Linen shade"], tone="friendly",
                )
            )
        )  # fmt: skip

    ads, post = brief("google_ads.rsa"), brief("x.post")
    headline, text = ads.brief.placement.field("headlines"), post.brief.placement.field("text")
    asset_set = Draft(
        {"headlines": HEADLINES, "descriptions": [POST[:80] + ".", "See Lumo.", "Linen shade.", "Oak base."]}
    )
    figures = {
        "split only, 280 characters (floor)": best(lambda: POST.split()),
        "text(), headline of 28": best(lambda: ads.text(headline, HEADLINE, "headlines[0]")),
        "allows(), headline of 28": best(lambda: ads.allows(headline, HEADLINE)),
        f"text(), post of {len(POST)}": best(lambda: post.text(text, POST, "text")),
        "draft(), 15 headlines and 4 descriptions": best(lambda: ads.draft(asset_set), times=20),
        "Checker(brief)": best(lambda: Checker(ads.brief)),
    }
    if options.json:
        print(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=1))
        return
    for name, value in figures.items():
        print(f"{value:9.2f} us  {name}")


if __name__ == "__main__":
    main()
