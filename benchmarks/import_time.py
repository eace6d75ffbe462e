"""What importing copykit costs: CPU time over a bare interpreter, beside httpx2 + pydantic, interleaved.

Every module is byte-compiled first, as pip leaves an installed package; an editable install is not, where the
environment forbids writing bytecode.

Usage: python benchmarks/import_time.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping

CASES = {
    "bare": "pass",
    "httpx2 + pydantic": "import httpx2, pydantic",
    "pydantic": "import pydantic",
    "copykit": "import copykit",
    "copykit + CopywritingInput": "import copykit; copykit.CopywritingInput",
    "copykit + first generate()": (
        "from copykit import CopywritingInput, CopywritingServiceV11\n"
        "import asyncio\n"
        "request = CopywritingInput(product_description='Oak desk, 120x60 cm', target_platform='x.post')\n"
        "asyncio.run(CopywritingServiceV11().generate(request))"
    ),
}
REFERENCE = "httpx2 + pydantic"
TARGETS = {"copykit": 0.6, "copykit + first generate()": 2.5}


def cpu_ms(code: str, environment: Mapping[str, str]) -> float:
    """Run *code* in a fresh interpreter; user and system milliseconds of that process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = compiled
        for code in CASES.values():
            cpu_ms(code, environment)
        for _ in range(rounds):
            for name, code in CASES.items():
                taken[name].append(cpu_ms(code, environment))
    bare = statistics.median(taken["bare"])
    reference = statistics.median(taken[REFERENCE]) - bare
    print(f"{'case':32} {'ms over bare':>12} {'ratio':>7}  target")
    for name, values in taken.items():
        over = statistics.median(values) - bare
        target = f"<= {TARGETS[name]}" if name in TARGETS else ""
        print(f"{name:32} {over:12.1f} {over / reference:7.2f}  {target}")


if __name__ == "__main__":
    main()
