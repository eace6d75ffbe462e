"""``python -m tests.fuzz run READER --runs 1000000``, ``table`` for all, ``replay READER FILE`` for one input."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
NAMES = (
    "events openai-answer anthropic-answer google-answer openrouter-answer openai-stream anthropic-stream "
    "google-stream openrouter-stream drafts texts fields client-answer client-stream"
).split()


def main() -> int:
    """Do what the command line says; 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run", help="feed one reader")
    table = verbs.add_parser("table", help="feed all, each in a process of its own")
    again = verbs.add_parser("replay", help="read one input again")
    for verb in (one, again):
        verb.add_argument("reader", choices=NAMES)
    again.add_argument("file", type=Path)
    table.add_argument("readers", nargs="*", metavar="READER", help="all if none is named")
    for verb in (one, table):
        verb.add_argument("--runs", type=int, default=1_000_000)
        verb.add_argument("--seed", type=int, default=1)
        verb.add_argument(
            "--unguided", action="store_true", help="mutate blindly, also where atheris is installed"
        )
    given = parser.parse_args()
    if given.verb == "replay":
        from .readers import read

        read(given.reader, given.file.read_bytes())
        return 0
    if given.verb == "table":
        return _table(given)
    if not given.unguided and _has_atheris():
        return _guided(given.reader, given.runs, given.seed)
    return _unguided(given.reader, given.runs, given.seed)


def _has_atheris() -> bool:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


def _guided(name: str, runs: int, seed: int) -> int:
    """Let atheris choose: inputs that reach new code are kept and damaged further."""
    import atheris

    with atheris.instrument_imports(include=["copykit"]):
        from .readers import MAX_BYTES, read
    from .mutate import mutate
    from .seeds import WORDS, seeds

    random, words = Random(seed), tuple(WORDS)

    def damage(data: bytes, most: int, number: int) -> bytes:
        random.seed(number)
        if random.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return mutate(data, random, words, most)

    with tempfile.TemporaryDirectory() as folder:
        for at, one in enumerate(seeds(name)):
            (Path(folder) / f"{at:03}").write_bytes(one)
        found = HERE / "found" / name
        found.mkdir(parents=True, exist_ok=True)
        options = [
            f"-runs={runs}",
            f"-seed={seed}",
            f"-max_len={MAX_BYTES}",
            "-len_control=20",
            "-timeout=20",
        ]
        options += [f"-artifact_prefix={found}/", "-print_final_stats=1", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *options, folder], lambda data: read(name, data), custom_mutator=damage)
        atheris.Fuzz()  # ends the process
    return 0


def _unguided(name: str, runs: int, seed: int) -> int:
    """Damage the seeds blindly."""
    from .mutate import mutate
    from .readers import MAX_BYTES, read
    from .seeds import WORDS, seeds

    random, words, start = Random(seed), tuple(WORDS), seeds(name)
    for number in range(runs):
        data = mutate(random.choice(start), random, words, MAX_BYTES)
        try:
            read(name, data)
        except Exception:
            path = HERE / "found" / name / f"unguided-{seed}-{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"{name}: kept in {path}")
            raise
    print(f"Done {runs} runs")
    return 0


def _table(given: Any) -> int:
    broken = 0
    for name in given.readers or NAMES:
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            "run",
            name,
            "--runs",
            str(given.runs),
            "--seed",
            str(given.seed),
        ]
        began = time.monotonic()
        done = subprocess.run(
            [*command, *(["--unguided"] if given.unguided else [])],
            capture_output=True,
            text=True,
            check=False,
        )
        took_s = time.monotonic() - began
        broken += done.returncode != 0
        lines = (done.stdout + done.stderr).splitlines()
        last = [line for line in lines if " cov: " in line]
        reached = last[-1].partition(" cov: ")[2].split()[0] if last else "-"
        told = "ok" if done.returncode == 0 else "BROKEN\n" + "\n".join(lines[-40:])
        print(f"{name:20} {given.runs:9} runs  {took_s:6.0f} s  {reached:>5} edges  {told}", flush=True)
    print(f"{broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
