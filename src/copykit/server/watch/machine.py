"""What this process and its machine have left: memory up to the container's limit, files, disk."""

from __future__ import annotations

import shutil
import sys
from math import inf
from pathlib import Path

from copykit.accel import system

__all__ = ["disk", "file_descriptors", "memory_limit_bytes"]

_NO_LIMIT = 1 << 60
"""Control groups of version 1 write a number near 2**63 for none."""


def memory_limit_bytes(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Give the bytes that this process may use: its control group's limit, or the machine's memory; None if unknown."""
    limits = [system.total_memory_bytes()]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # version 2, version 1
        try:
            told = (root / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        limits.append(int(told) if told.isdigit() and int(told) < _NO_LIMIT else None)
    return min((limit for limit in limits if limit is not None), default=None)


def file_descriptors() -> tuple[int, float] | None:
    """Give how many this process has open and how many it may have; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    try:
        used = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # the listing itself holds one
    except OSError:
        return None
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return used, inf if most == resource.RLIM_INFINITY else most


def disk(folder: Path) -> tuple[int, int] | None:
    """Give free and all bytes of the disk that *folder* is, or will be, on; None where it cannot be asked."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free, usage.total
