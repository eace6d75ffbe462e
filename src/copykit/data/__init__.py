"""Facts as files: read lazily, never at import."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from typing import Any

__all__ = ["load_json", "load_toml", "names"]

_root = files(__name__)


def load_toml(path: str) -> dict[str, Any]:
    """Read the TOML file at *path* below ``copykit/data``; FileNotFoundError if there is none."""
    return tomllib.loads(_root.joinpath(*path.split("/")).read_text(encoding="utf-8"))


def load_json(path: str) -> Any:
    """Read the JSON file at *path* below ``copykit/data``; FileNotFoundError if there is none."""
    return json.loads(_root.joinpath(*path.split("/")).read_bytes())


def names(folder: str, suffix: str) -> list[str]:
    """List the stems of the files with *suffix* in *folder*, sorted."""
    found = (entry.name for entry in _root.joinpath(*folder.split("/")).iterdir())
    return sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix))
