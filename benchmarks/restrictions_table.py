"""Print how well restrictions in plain words are understood and kept: recall and false alarms.

Every language of the phrase bank x eight kinds x three phrasings, each phrasing with three breaking and three
innocent texts of its own, all in ``benchmarks/cases/restrictions``. A phrasing that became guidance finds
nothing and counts so. A second table reads what callers type besides (``benchmarks/cases/phrasings.toml``:
formal, terse, chatty, without accents) and counts those read as a person would: the kinds, check or guidance.

Exits with 1 if recall is below 0.98, if more than 0.02 of the innocent texts raise an alarm, or if less than
0.95 of the phrasings are read rightly.

Run: ``python benchmarks/restrictions_table.py [--verbose]``
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from copykit.brief.catalog import language
from copykit.brief.restrictions import compile_restrictions
from copykit.models import Brand

CASES = Path(__file__).parent / "cases" / "restrictions"
PHRASINGS = Path(__file__).parent / "cases" / "phrasings.toml"
RECALL, FALSE_ALARMS, READ = 0.98, 0.02, 0.95


def main() -> int:
    """Run all cases, print the table and what went wrong."""
    verbose = "--verbose" in sys.argv
    caught = missed = quiet = alarmed = checks = guidance = 0
    wrong: list[str] = []
    print(f"{'language':9} {'kind':12} {'phrasings':26} {'recall':>7} {'false alarms':>13}")
    for path in sorted(CASES.glob("*.toml")):
        tag = path.stem
        for kind, cases in tomllib.loads(path.read_text(encoding="utf-8")).items():
            hits = alarms = breaking = innocent = 0
            became = []
            for case in cases:
                ask = case["ask"]
                rules = compile_restrictions([ask], language=language(tag), brand=Brand())
                enforced = "check" if all(r.enforced == "check" for r in rules) else "guidance"
                became.append(enforced)
                if [r.kind for r in rules] != [kind]:
                    wrong.append(f"{tag} {kind}: {ask!r} read as {[(r.kind, r.values) for r in rules]}")
                for text in case["breaks"]:
                    if any(r.find(text) for r in rules):
                        hits += 1
                    else:
                        wrong.append(f"{tag} {kind}: {ask!r} missed {text!r}")
                for text in case["fine"]:
                    if found := [text[a:b] for r in rules for a, b in r.find(text)]:
                        alarms += 1
                        wrong.append(f"{tag} {kind}: {ask!r} alarmed by {found} in {text!r}")
                breaking, innocent = breaking + len(case["breaks"]), innocent + len(case["fine"])
            caught, missed = caught + hits, missed + breaking - hits
            alarmed, quiet = alarmed + alarms, quiet + innocent - alarms
            checks, guidance = checks + became.count("check"), guidance + became.count("guidance")
            shown = " ".join(became)
            print(f"{tag:9} {kind:12} {shown:26} {hits / breaking:7.2f} {alarms / innocent:13.2f}")
    recall, rate = caught / (caught + missed), alarmed / (alarmed + quiet)
    print(f"\n{checks} phrasings became checks, {guidance} guidance")
    print(f"recall {recall:.4f} of {caught + missed} (at least {RECALL})")
    print(f"false alarms {rate:.4f} of {alarmed + quiet} (at most {FALSE_ALARMS})")
    read = _phrasings(wrong)
    failed = recall < RECALL or rate > FALSE_ALARMS or read < READ
    if wrong and (verbose or failed):
        print("\n" + "\n".join(wrong))
    return int(failed)


def _phrasings(wrong: list[str]) -> float:
    """Print per language how many phrasings are read rightly; give the share of all."""
    right = total = 0
    print(f"\n{'language':9} {'read as check':>14} {'as guidance':>12} {'rightly':>9}")
    for tag, cases in tomllib.loads(PHRASINGS.read_text(encoding="utf-8")).items():
        became = {"check": 0, "guidance": 0}
        hits = 0
        for ask, (*kinds, enforced) in cases.items():
            rules = compile_restrictions([ask], language=language(tag), brand=Brand())
            became["check" if all(r.enforced == "check" for r in rules) else "guidance"] += 1
            if [(r.kind, r.enforced) for r in rules] == [(kind, enforced) for kind in kinds]:
                hits += 1
            else:
                wrong.append(f"{tag}: {ask!r} read as {[(r.kind, r.enforced, r.values) for r in rules]}")
        print(f"{tag:9} {became['check']:14} {became['guidance']:12} {hits:5} of {len(cases)}")
        right, total = right + hits, total + len(cases)
    print(f"\nread rightly {right / total:.4f} of {total} (at least {READ})")
    return right / total


if __name__ == "__main__":
    sys.exit(main())
