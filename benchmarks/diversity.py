"""How different the headlines of asset sets are: skeletons, i.e. copy with the brief's words blanked.

Reads a batch result (JSONL) and the catalogue it came from; counts the headlines of ``google_ads.rsa`` lines.

Usage: python benchmarks/diversity.py RESULT.jsonl CATALOGUE.jsonl.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

WORD = re.compile(r"[^\W_]+(?:['’x.,/-][^\W_]+)*")
LEAST_MEDIAN, MOST_SHARE = 10, 0.05


def words_of(row: dict[str, Any]) -> set[str]:
    """List every word and number the row holds."""
    texts = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)
        else:
            texts.append(str(value))

    walk({k: v for k, v in row.items() if k not in ("id", "lang")})
    words = {w.casefold() for text in texts for w in WORD.findall(text)}
    return words | {part for w in words for part in re.split(r"[x./,-]", w) if part}


def skeleton(headline: str, words: set[str]) -> tuple[str, bool]:
    """Blank the row's words: neighbours become one blank. Also tells whether any was blanked."""
    blanked = WORD.sub(
        lambda m: "_" if m.group().casefold() in words or any(c.isdigit() for c in m.group()) else m.group(),
        headline,
    )
    shape = re.sub(r"_(?:[\s,]+_)+", "_", blanked).casefold()
    return shape, "_" in shape


def main() -> int:
    """Print the figures; exit status 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("catalogue", type=Path)
    arguments = parser.parse_args()
    is_packed = arguments.catalogue.suffix == ".gz"
    with (gzip.open if is_packed else open)(arguments.catalogue, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    skeletons: Counter[str] = Counter()
    per_set, sizes, with_fact = [], [], 0
    with arguments.result.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["placement"] != "google_ads.rsa" or not line["output"]:
                continue
            headlines = line["output"]["variants"][0]["fields"].get("headlines", [])
            words = words_of(rows[line["row"] - 1])
            shapes = [skeleton(headline, words) for headline in headlines]
            skeletons.update(shape for shape, _ in shapes)
            with_fact += sum(has for _, has in shapes)
            per_set.append(len({shape for shape, _ in shapes}))
            sizes.append(len(headlines))
    total = sum(skeletons.values())
    median = statistics.median(per_set)
    top, count = skeletons.most_common(1)[0]
    print(f"{len(per_set)} sets, {total} headlines, median size {statistics.median(sizes)}")
    print(f"different skeletons in a set: median {median}, least {min(per_set)} (at least {LEAST_MEDIAN})")
    print(
        f"most frequent skeleton: {count / total:.1%} {top!r} (at most {MOST_SHARE:.0%}); {len(skeletons)} in all"
    )
    print("next: " + ", ".join(f"{c / total:.1%} {s!r}" for s, c in skeletons.most_common(8)[1:]))
    print(f"headlines that use a fact of the brief: {with_fact / total:.1%}")
    return int(median < LEAST_MEDIAN or count / total > MOST_SHARE)


if __name__ == "__main__":
    raise SystemExit(main())
