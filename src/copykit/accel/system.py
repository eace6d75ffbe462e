"""What this process uses and what the machine has."""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from .registry import Candidate, Capability, choose, expect

__all__ = ["CAPABILITY", "System", "cpu_count", "cpu_seconds", "rss_bytes", "total_memory_bytes"]


class System(Protocol):
    """Reads figures from the operating system; None where it does not tell."""

    def rss_bytes(self) -> int | None:
        """Memory of this process that is in RAM, in bytes."""
        ...

    def cpu_seconds(self) -> float:
        """CPU time of this process, user and system, all threads."""
        ...

    def cpu_count(self) -> int:
        """CPUs that this process may run on."""
        ...

    def total_memory_bytes(self) -> int | None:
        """RAM of the machine, in bytes."""
        ...


def rss_bytes() -> int | None:
    """Give the memory of this process that is in RAM, in bytes; None where the system does not tell."""
    return _chosen().rss_bytes()


def cpu_seconds() -> float:
    """Give the CPU time of this process so far, user and system, in seconds."""
    return _chosen().cpu_seconds()


def cpu_count() -> int:
    """Give the number of CPUs that this process may run on, at least 1."""
    return _chosen().cpu_count()


def total_memory_bytes() -> int | None:
    """Give the RAM of the machine in bytes; a container's own limit is not taken into account."""
    return _chosen().total_memory_bytes()


def _chosen() -> System:
    return cast(System, choose("system").implementation)


class _Stdlib:
    def rss_bytes(self) -> int | None:
        try:
            resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
            return int(resident) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, AttributeError, ValueError):
            return None

    def cpu_seconds(self) -> float:
        return time.process_time()

    def cpu_count(self) -> int:
        affinity: Any = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity is not None else os.cpu_count() or 1

    def total_memory_bytes(self) -> int | None:
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, AttributeError, ValueError):
            return None


class _Psutil:
    def __init__(self) -> None:
        psutil: Any = import_module("psutil")

        self._psutil = psutil

    def rss_bytes(self) -> int | None:
        # asked anew each time: a forked child must not read its parent's figures
        return int(self._psutil.Process().memory_info().rss)

    def cpu_seconds(self) -> float:
        times = self._psutil.Process().cpu_times()
        return float(times.user + times.system)

    def cpu_count(self) -> int:
        process = self._psutil.Process()
        if hasattr(process, "cpu_affinity"):
            return len(process.cpu_affinity())
        return self._psutil.cpu_count() or 1

    def total_memory_bytes(self) -> int | None:
        return int(self._psutil.virtual_memory().total)


def _verify(system: System) -> None:
    rss, total = system.rss_bytes(), system.total_memory_bytes()
    expect(rss is None or rss > 0, "gives no memory in use")
    expect(rss is None or total is None or rss < total, "uses more memory than there is")
    expect(system.cpu_count() >= 1, "finds no CPU")
    expect(system.cpu_seconds() >= 0, "gives negative CPU time")


CAPABILITY = Capability(
    "system",
    "Memory and CPU figures of the process, for stats and benchmarks.",
    (
        # reading /proc directly is faster and gives the same figures
        Candidate(
            "psutil", "psutil", "copykit.accel.system:_Psutil", "accel", by_default=sys.platform != "linux"
        ),
        Candidate("stdlib", None, "copykit.accel.system:_Stdlib"),
    ),
    _verify,
)
