"""Facts as files: read lazily, never at import."""

from __future__ import annotations

import json
import tomllib
from pkgutil import get_data
from typing import Any

__all__ = ["load_bytes", "load_json", "load_text", "load_toml", "names"]


def load_bytes(path: str) -> bytes:
    """Read the file at *path* below ``copykit/data``; FileNotFoundError if there is none."""
    # Not importlib.resources: it loads half of the archive modules, which a first call would wait for.
    content = get_data(__name__, path)
    if content is None:  # a loader without files
        raise FileNotFoundError(path)
    return content


def load_text(path: str) -> str:
    """Read the text file at *path* below ``copykit/data``; FileNotFoundError if there is none."""
    return load_bytes(path).decode()


def load_toml(path: str) -> dict[str, Any]:
    """Read the TOML file at *path* below ``copykit/data``; FileNotFoundError if there is none."""
    return tomllib.loads(load_text(path))


def load_json(path: str) -> Any:
    """Read the JSON file at *path* below ``copykit/data``; FileNotFoundError if there is none."""
    return json.loads(load_bytes(path))


def names(folder: str, suffix: str) -> list[str]:
    """List the stems of the files with *suffix* in *folder*, sorted."""
    from importlib.resources import files

    found = (entry.name for entry in files(__name__).joinpath(*folder.split("/")).iterdir())
    return sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix))
