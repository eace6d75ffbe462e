"""Run ``copykit batch`` over real catalogues and recount its copy independently.

    python benchmarks/catalog_runs.py DATA_FOLDER [--out FOLDER] [--limit N] [--sample 40]

Counting, figures and duplicates are implemented here again, on the result files alone: nothing is imported
from copykit, so a mistake there is not repeated. Exit code 1 if anything is found. ``--sample`` prints random
results of every language, for reading.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

RUNS = [
    ("ikea_sa_en_dev.jsonl.gz", "en"),
    ("bagisto_demo_21lang_dev.jsonl.gz", "own"),
    ("openfoodfacts_multilang_dev.jsonl.gz", "own"),
    ("shopify_apparel.csv", "en"),
]
PLATFORMS = ["google_ads.rsa", "meta.feed_ad", "x.post"]

# Hard limits of the three placements: (unit, most). Typed from the platforms' pages, not read from copykit's
# data.
LIMITS: dict[str, dict[str, tuple[str, int]]] = {
    "google_ads.rsa": {
        "headlines": ("width", 30),
        "descriptions": ("width", 90),
        "path1": ("width", 15),
        "path2": ("width", 15),
        "final_url": ("characters", 2048),
    },
    "meta.feed_ad": {
        "primary_text": ("utf16", 2200),
        "headline": ("utf16", 40),
        "description": ("utf16", 30),
    },
    "x.post": {"text": ("x", 280)},
}
COUNTS = {"google_ads.rsa": {"headlines": (3, 15), "descriptions": (2, 4)}}

_URL = re.compile(r"https?://\S+|\b(?:[a-z0-9-]+\.)+(?:com|org|net|example|shop|io|de|fr|es)\b\S*", re.I)
_EMOJI = re.compile("[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf]\ufe0f?")
_SKIN_AND_JOINERS = re.compile("[\u200d\ufe0f\U0001f3fb-\U0001f3ff]")
_FIGURE = re.compile(r"\d+(?:[.,٫٬]\d+|['’\u202f\u00a0 ]\d{3}(?!\d))*")


def measure(text: str, unit: str) -> int:
    """Count *text* the way the platform does."""
    text = unicodedata.normalize("NFC", text)
    if unit == "width":
        return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    if unit == "utf16":
        return len(text.encode("utf-16-le")) // 2
    if unit == "x":
        # every address weighs 23, every emoji 2; four ranges of light characters weigh 1, all others 2
        total = 23 * len(_URL.findall(text))
        text = _URL.sub("", text)
        total += 2 * len(_EMOJI.findall(text))
        text = _SKIN_AND_JOINERS.sub("", _EMOJI.sub("", text))
        light = ((0, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
        return total + sum(1 if any(a <= ord(c) <= b for a, b in light) else 2 for c in text)
    return len(text)


def figures(text: str) -> list[set[float]]:
    """Give each figure of *text* as the set of values it may stand for (1.234 is 1.234 or 1234)."""
    latin = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    found = []
    for match in _FIGURE.findall(latin):
        plain = re.sub(r"['’\u202f\u00a0 ]", "", match)
        groups = re.split("[.,٫٬]", plain)
        values = {float(plain)} if len(groups) == 1 else set()
        if len(groups) > 1 and all(len(group) == 3 for group in groups[1:]):
            values.add(float("".join(groups)))
        if len(groups) > 1:
            values.add(float(f"{''.join(groups[:-1])}.{groups[-1]}"))
        if len(groups) > 2:  # a date or a list
            values.update(map(float, groups))
        found.append(values)
    return found


def words_of(value: Any) -> str:
    """Give everything a row says as one text, one value a line."""
    if isinstance(value, dict):
        return "\n".join(words_of(v) for v in value.values())
    if isinstance(value, list):
        return "\n".join(map(words_of, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def read_input(path: Path) -> list[Any]:
    """Read the catalogue without copykit: one entry per product."""
    if path.suffix == ".csv":
        groups: dict[str, list[Any]] = {}
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for line in csv.DictReader(stream):
                groups.setdefault(line["Handle"], []).append(line)
        return list(groups.values())
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def inspect(line: dict[str, Any], source: str, found: dict[str, list[str]]) -> None:
    """Recount one line of a result file into *found*."""
    known = set().union(*figures(source)) if source else set()
    for variant in line["output"]["variants"]:
        if variant["status"] == "rejected":
            continue
        where = f"row {line['row']} {line['placement']} {line['language']}"
        for field, (unit, most) in LIMITS[line["placement"]].items():
            value = variant["fields"].get(field, [])
            texts = [value] if isinstance(value, str) else value
            low, high = COUNTS.get(line["placement"], {}).get(field, (0, 99))
            if not low <= len(texts) <= high:
                found["item counts"].append(f"{where}: {len(texts)} {field}")
            for text in texts:
                if measure(text, unit) > most:
                    found["over a hard limit"].append(
                        f"{where} {field}: {measure(text, unit)} > {most}: {text}"
                    )
                if field != "final_url":
                    for values in figures(text):
                        if not values & known:
                            found["figures not in the row"].append(f"{where} {field}: {text!r}")
        heads = [_folded(t) for t in variant["fields"].get("headlines", []) if isinstance(t, str)]
        for text, count in Counter(heads).items():
            if count > 1:
                found["duplicate headlines"].append(f"{where}: {text!r} x {count}")


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def run(path: Path, language: str, out: Path, limit: int | None) -> tuple[dict[str, Any], float]:
    """Run the command on one catalogue; give its summary and the seconds it took."""
    order = [sys.executable, "-m", "copykit", "batch", str(path), "--out", str(out), "--language", language]
    order += [word for name in PLATFORMS for word in ("--platform", name)]
    order += ["--overwrite", "--json", "--final-url", "https://shop.example/p/{id}"]
    order += ["--limit", str(limit)] if limit else []
    started = time.monotonic()
    done = subprocess.run(order, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"copykit batch failed with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout), time.monotonic() - started


def main() -> int:
    """Run all catalogues and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="copykit-runs-"))
    folder.mkdir(parents=True, exist_ok=True)
    bad = 0
    samples: dict[str, list[str]] = defaultdict(list)
    print("| catalogue | rows in | rows out | lines | ok | repaired | rejected | failed | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    reports = []
    for name, language in RUNS:
        products = read_input(options.data / name)[: options.limit]
        result = folder / f"{name.partition('.')[0]}.jsonl"
        summary, seconds = run(options.data / name, language, result, options.limit)
        status: Counter[str] = Counter()
        rows_out, place = set(), (0, 0)
        found: dict[str, list[str]] = defaultdict(list)
        served: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        with result.open(encoding="utf-8") as stream:
            for raw in stream:
                line = json.loads(raw)
                status[line["status"]] += 1
                rows_out.add(line["row"])
                now = (line["row"], PLATFORMS.index(line["placement"]))
                if now <= place:
                    found["lines out of order"].append(f"row {line['row']}")
                place = now
                if line["status"] == "failed":
                    refused[str(line["error"].get("reason") or line["error"]["message"])] += 1
                if line["output"] is None:
                    continue
                served[line["language"]] += 1
                inspect(line, words_of(products[line["row"] - 1]), found)
                if line["status"] != "rejected":
                    samples[line["language"]].append(show(line))
        counts = [status[key] for key in ("ok", "repaired", "rejected", "failed")]
        print(f"| {name} | {len(products)} | {len(rows_out)} | {sum(counts)} | ", end="")
        print(" | ".join(map(str, counts)), f"| {seconds:.1f} |")
        if len(products) != len(rows_out) or sum(counts) != len(products) * len(PLATFORMS):
            found["rows lost"].append(f"{len(products)} in, {len(rows_out)} out")
        if dict(status) != {key: n for key, n in summary["status"].items() if n}:
            found["summary differs"].append(str(summary["status"]))
        bad += sum(map(len, found.values()))
        reports.append((name, found, served, refused, summary["reasons"]))
    for name, found, served, refused, why in reports:
        tags = ", ".join(f"{tag} {count}" for tag, count in served.most_common())
        print(f"\n{name}: languages served: {tags or 'none'}")
        kinds = ("over a hard limit", "figures not in the row", "duplicate headlines", "item counts")
        for kind in dict.fromkeys((*kinds, *found)):
            print(f"  {kind}: {len(found[kind])}")
            for text in found[kind][:5]:
                print(f"    {text}")
        for reason in why:
            if not reason["reason"].startswith("invalid_request"):
                print(f"  rejected: {reason['lines']} x {reason['reason']}")
        for text, count in refused.most_common(30):
            print(f"  failed: {count} x {text}")
    dice = random.Random(options.seed)
    for tag in sorted(samples):
        chosen = dice.sample(samples[tag], min(options.sample, len(samples[tag])))
        if chosen:
            print(f"\n===== {tag}: {len(chosen)} of {len(samples[tag])}")
            print("\n".join(chosen))
    print(f"\nfound in all: {bad}; results in {folder}")
    return 1 if bad else 0


def show(line: dict[str, Any]) -> str:
    """Give one result for reading."""
    fields = line["output"]["variants"][0]["fields"]
    texts = (f"  {name}: {' | '.join(v) if isinstance(v, list) else v}" for name, v in fields.items())
    return f"[{line['id']} {line['placement']}]\n" + "\n".join(texts)


if __name__ == "__main__":
    raise SystemExit(main())
