"""``copykit benchmark``: how fast this machine does copykit's work, with versions and date."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console

from copykit.accel import loop, registry, system
from copykit.accel.measure import measure
from copykit.cli.table import Table

__all__ = ["command"]

_PLACEMENTS = ("x.post", "google_ads.rsa")
_BRIEF: dict[str, Any] = {
    "product_description": "A folding garden bench of oiled acacia for two people, 120 cm wide, stored flat",
    "product_name": "Lunda",
    "key_points": ["folds flat", "oiled acacia"],
}


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="Time for each generation figure.")] = 2.0,
) -> None:
    """Time the capabilities and the offline writer on this machine.

    Generation runs in one thread with the phrase bank and all checks: every call with another seed and no
    cache, then one call again and again from the cache.

    Example: copykit benchmark --seconds 5
    """
    figures: dict[str, Any] = {
        "copykit": version("copykit"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {system.cpu_count()} CPUs",
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "generation": loop.run(_generation(seconds)),
    }
    figures["capabilities"] = [
        {
            "capability": gain.capability, "work": gain.workload, "candidate": gain.candidate,
            "version": _version(gain.capability, gain.candidate), "took_us": gain.took_us,
            "fallback_us": gain.fallback_us, "ratio": gain.ratio, "low": gain.low, "high": gain.high,
        }
        for name in registry.capability_names()
        for gain in measure(name)
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps(figures, ensure_ascii=False, indent=2))
    else:
        _show(figures)


async def _generation(seconds: float) -> list[dict[str, Any]]:
    from copykit.models import CopywritingInput
    from copykit.service import CopywritingServiceV11
    from copykit.settings import RoutingSettings, Settings

    rows = []
    async with CopywritingServiceV11(Settings(routing=RoutingSettings(providers=("phrasebank",)))) as service:
        for name in _PLACEMENTS:
            for variants in (1, 20):
                brief = {**_BRIEF, "target_platform": name, "variants": variants, "cache": "off"}
                fresh = [CopywritingInput(**brief, seed=seed) for seed in range(500)]

                async def write(n: int, fresh: list[CopywritingInput] = fresh) -> object:
                    return await service.generate(fresh[n % len(fresh)])

                work = f"{name}, {variants} written and checked a call"
                rows.append({"work": work, **await _rate(write, seconds, variants)})
        kept = CopywritingInput(**_BRIEF, target_platform=_PLACEMENTS[0])

        async def again(_: int) -> object:
            return await service.generate(kept)

        rows.append({"work": "x.post, answered from the cache", **await _rate(again, seconds)})
    return rows


async def _rate(
    work: Callable[[int], Awaitable[object]], seconds: float, variants: int = 1
) -> dict[str, float]:
    """Give variants a second and the median time of a call, after one call to warm up."""
    await work(0)
    times: list[float] = []
    start = now = time.perf_counter()
    while now - start < seconds:
        await work(len(times) + 1)
        before, now = now, time.perf_counter()
        times.append(now - before)
    return {
        "per_second": variants * len(times) / (now - start),
        "median_us": median(times) * 1e6,
        "calls": len(times),
    }


def _version(capability: str, candidate: str) -> str | None:
    from copykit.accel.catalogue import libraries

    modules = {c.name: c.module for c in registry.capability(capability).candidates}
    for library in libraries():
        if library.module and library.module == modules[candidate]:
            return version(library.distribution)
    return None


def _show(figures: dict[str, Any]) -> None:
    console = Console()
    console.print("copykit {copykit}, {python}, {machine}, {taken_at}".format(**figures), highlight=False)
    table = Table("generation, one thread", "variants a second", "median µs a call", title_justify="left")
    for row in figures["generation"]:
        table.add_row(row["work"], f"{row['per_second']:,.0f}", f"{row['median_us']:,.1f}")
    table.show(console)
    table = Table(
        "capability", "work", "candidate", "version", "µs", "fallback µs", "times faster (quartiles)"
    )
    for row in figures["capabilities"]:
        table.add_row(
            row["capability"], row["work"], row["candidate"], row["version"] or "", f"{row['took_us']:,.2f}",
            f"{row['fallback_us']:,.2f}", f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})",
        )  # fmt: skip
    table.show(console)
