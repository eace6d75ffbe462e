"""The extras of copykit and what each brings here, as its installed metadata says."""

from __future__ import annotations

import platform
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, version

__all__ = ["extras", "is_installed"]

_NAME = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?")
_CONDITION = re.compile(r"(\w+)\s*(==|!=)\s*['\"]([^'\"]*)['\"]")


@cache
def extras() -> dict[str, tuple[str, ...]]:
    """Give the distributions that each extra installs on this platform.

    An extra that is made of others (``all``) gives all of theirs.
    """
    about = metadata("copykit")
    direct: dict[str, list[str]] = {name: [] for name in about.get_all("Provides-Extra") or []}
    made_of: dict[str, list[str]] = {name: [] for name in direct}
    for line in about.get_all("Requires-Dist") or []:
        requirement, _, marker = line.partition(";")
        name, inner = _named(requirement)
        extra, here = _applies(marker)
        if extra not in direct or not here:
            continue
        if name == "copykit":
            made_of[extra] += inner
        else:
            direct[extra].append(name)
    return {name: tuple(dict.fromkeys(_unfold(name, direct, made_of))) for name in direct}


def is_installed(distribution: str) -> bool:
    """Say whether *distribution* is installed, by its metadata; nothing is imported."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _unfold(name: str, direct: dict[str, list[str]], made_of: dict[str, list[str]]) -> list[str]:
    found = list(direct[name])
    for inner in made_of[name]:
        found += _unfold(inner, direct, made_of)
    return found


def _named(requirement: str) -> tuple[str, list[str]]:
    match = _NAME.match(requirement)
    if match is None:
        return "", []
    inner = [part.strip() for part in (match[2] or "").split(",") if part.strip()]
    return re.sub(r"[-_.]+", "-", match[1]).lower(), inner


def _applies(marker: str) -> tuple[str, bool]:
    """Give the extra a marker names, and whether its other conditions hold here.

    Only what this project's file uses is understood: comparisons for equality, all of which must hold.
    """
    known = {
        "sys_platform": sys.platform,
        "platform_system": platform.system(),
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
    }
    extra, here = "", True
    for name, operator, value in _CONDITION.findall(marker):
        if name == "extra":
            extra = value
        elif name in known:
            here = here and (known[name] == value) is (operator == "==")
    return extra, here
