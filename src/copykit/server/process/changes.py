"""When the files were written that a developer edits beside a running server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["snapshot"]

_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages"})


def snapshot(environment: Mapping[str, str], folder: Path | None = None) -> dict[str, int]:
    """Give the time of the last change, in nanoseconds, of each Python file below *folder* and of the settings' file.

    Folders whose name begins with a dot, virtual environments and caches are left out.

    Args:
        environment: ``COPYKIT_CONFIG`` names the settings' file, else it is ``copykit.toml`` in *folder*.
        folder: None for the working folder.
    """
    folder = Path.cwd() if folder is None else folder
    found: dict[str, int] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _LEFT_OUT
            and not Path(place, name, "pyvenv.cfg").exists()
        ]
        paths = [Path(place, name) for name in files if name.endswith(".py")]
        _look(found, paths)
    _look(found, [folder / environment.get("COPYKIT_CONFIG", "copykit.toml")])
    return found


def _look(found: dict[str, int], paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):  # written anew, or gone, meanwhile
            found[str(path)] = path.stat().st_mtime_ns
