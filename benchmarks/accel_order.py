"""Is the order of the candidates right? Times all on copykit's sizes, beside the order declared.

    python benchmarks/accel_order.py [CAPABILITY ...]

Candidates take turns in one run; a rank counts the geometric mean of the ratios to the fallback over the
workloads of a capability. Wants `pip install "copykit[fast,accel]"`; what is absent is left out and named.
Also prints how small each compressor makes a result, and where dot products become faster in numpy than in
Python (`similarity.TINY_WORK`, `SMALL_WORK`).
"""

from __future__ import annotations

import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from random import Random
from statistics import geometric_mean

from copykit.accel import registry
from copykit.accel.catalogue import libraries
from copykit.accel.measure import _result, measure
from copykit.errors import ConfigurationError

VERSIONS = {library.module: library.distribution for library in libraries()}


def main(names: list[str]) -> None:
    """Print the measured rank of each candidate beside the declared one."""
    print(f"{platform.python_version()}, {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}")
    for name in names or registry.capability_names():
        owner = registry.capability(name)
        gains = measure(name, rounds=31)
        means = {owner.candidates[-1].name: 1.0}
        for gain in gains:
            print(
                f"  {name:10} {gain.candidate:10} {gain.workload:42} {gain.took_us:10.2f} us"
                f"  {gain.ratio:7.2f}x ({gain.low:.2f} to {gain.high:.2f})  {gain.verdict}"
            )
            means[gain.candidate] = geometric_mean([g.ratio for g in gains if g.candidate == gain.candidate])
        measured = sorted(means, key=lambda candidate: -means[candidate])
        print(f"{name}: measured " + ", ".join(f"{c} {means[c]:.2f}x" for c in measured))
        print(f"{name}: declared " + ", ".join(_described(c) for c in owner.candidates) + "\n")
    if not names or "compress" in names:
        shrinkage()
    if not names or "similarity" in names:
        crossover()


def shrinkage() -> None:
    """Print how many times smaller each compressor makes the result that is timed."""
    data = registry.load("json", "json").dumps(_result())
    for name in registry.candidate_names("compress"):
        try:
            print(
                f"{name:10} {len(data) / len(registry.load('compress', name).pack(data)):.2f} times smaller"
            )
        except ConfigurationError as error:
            print(error)
    print()


def crossover() -> None:
    """Print how long a product of n vectors takes in Python and in numpy, by number of multiplications."""
    try:
        array = registry.load("similarity", "numpy")
    except ConfigurationError as error:
        print(f"no crossover: {error}")
        return
    plain, random = registry.load("similarity", "python"), Random(1)
    for count, width in ((2, 16), (2, 64), (3, 64), (4, 64), (8, 64), (15, 128)):
        vectors = [[random.randrange(6) for _ in range(width)] for _ in range(count)]
        times = {"python": [], "numpy": []}
        for _ in range(200):
            for kind, made in (("python", plain), ("numpy", array)):
                start = time.perf_counter()
                made.product(vectors, vectors, 25 * width)
                times[kind].append(time.perf_counter() - start)
        middle = {kind: 1e6 * sorted(taken)[len(taken) // 2] for kind, taken in times.items()}
        took = f"python {middle['python']:8.1f} us, numpy {middle['numpy']:6.1f} us"
        print(f"{count * count * width:7} multiplications: {took}")


def _described(candidate: registry.Candidate) -> str:
    present = candidate.module is None or registry.is_present(candidate.module)
    told = (
        version(VERSIONS[candidate.module]) if candidate.module and present else "" if present else "absent"
    )
    return " ".join(
        part for part in (candidate.name, told, "" if candidate.by_default else "(when forced)") if part
    )


if __name__ == "__main__":
    main(sys.argv[1:])
