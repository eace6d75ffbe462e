"""``python -m tests.faults run P10 --seed 7`` plays one, ``table`` all, ``secrets`` all and says what was told where."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Mapping

from . import stories  # noqa: F401 -- enters the faults
from .catalogue import FAULTS, play
from .vendors import SECRETS


def main() -> int:
    """Play what the command line names; 1 if something unexpected happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run", help="play one fault and print what happened")
    one.add_argument("fault", choices=sorted(FAULTS))
    one.add_argument("--seed", type=int, default=1)
    table = verbs.add_parser("table", help="play all and print what became of each")
    secrets = verbs.add_parser("secrets", help="play all and count each planted secret in each place")
    for verb in (table, secrets):
        verb.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
        verb.add_argument("--groups", default="", help="letters, e.g. PJ; all if not given")
    for verb in (one, table, secrets):
        verb.add_argument("--http", action="store_true", help="through the server's application")
        verb.add_argument("--quick", action="store_true", help="as short as in the test run")
        verb.add_argument(
            "--strict", action="store_true", help="no slack for bounds of time: for an idle machine"
        )
    given = parser.parse_args()
    how = {"whole": not given.quick, "http": given.http, "strict": given.strict}
    if given.verb == "run":
        return _run(given.fault, given.seed, how)
    tell = _table if given.verb == "table" else _secrets
    return tell(given.seeds, given.groups, how)


def _run(name: str, seed: int, how: Mapping[str, bool]) -> int:
    row, result = FAULTS[name], play(name, seed, **how)
    print(f"{name} {row.title} (seed {seed})")
    for note in result.notes:
        print(note)
    if row.lacks:
        print(f"not played: {row.lacks}")
    print(f"{result.state}{f': {result.reason}' if result.reason else ''} ({result.took_s:.2f} s)")
    if result.error is not None:
        traceback.print_exception(result.error)
    return 1 if result.state == "failed" and not row.broken else 0


def _table(seeds: list[int], groups: str, how: Mapping[str, bool]) -> int:
    unexpected = 0
    states: Counter[str] = Counter()
    for name, row in sorted(FAULTS.items()):
        if (groups and name[0] not in groups) or (how["http"] and not row.again):
            continue
        results = [play(name, seed, **how) for seed in seeds]
        states.update(result.state for result in results)
        bad = next((result for result in results if result.state == "failed"), None)
        if bad is not None:
            state = f"known defect: {row.reason}" if row.broken else f"FAILED: {bad.reason}"
            unexpected += not row.broken
        elif row.broken:
            state, unexpected = f"FAILED: passes although marked as a defect ({row.reason})", unexpected + 1
        else:
            last = results[-1]
            state = last.state + (f": {last.reason}" if last.reason else "")
        state = " ".join(state.split())[:200]
        lacks = f" [not played: {row.lacks}]" if row.lacks else ""
        print(
            f"{name}  {row.title:44.44}  {state}{lacks}  {sum(r.took_s for r in results):.2f} s", flush=True
        )
    counted = ", ".join(f"{count} {state}" for state, count in states.most_common())
    print(f"{states.total()} playings, {len(seeds)} a fault: {counted}; {unexpected} unexpected")
    return 1 if unexpected else 0


def _secrets(seeds: list[int], groups: str, how: Mapping[str, bool]) -> int:
    found: Counter[tuple[str, str]] = Counter()
    playings = 0
    for name in sorted(FAULTS):
        if not groups or name[0] in groups:
            for seed in seeds:
                looked = play(name, seed, **how).looked
                found.update(looked)
                playings += bool(looked)
    places = list(dict.fromkeys(place for _, place in found))
    for number, place in enumerate(places, 1):
        print(f"{number:3} = {place}")
    print(" " * 26 + "".join(f"{number:5}" for number in range(1, len(places) + 1)))
    for secret in SECRETS:
        print(f"{secret:26}" + "".join(f"{found[secret, place]:5}" for place in places))
    told = sum(found.values())
    print(f"{playings} playings looked through, {told} found")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
