"""Which version runs with which configuration: what tells two workers of one service apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version as installed

from copykit.server.config import ServerSettings
from copykit.settings import Settings

__all__ = ["config_digest", "version"]

_DIGITS = 12


def version() -> str:
    """Give the installed version of copykit."""
    return installed("copykit")


def config_digest(settings: Settings, server: ServerSettings) -> str:
    """Give twelve hexadecimal digits that are the same wherever the same is configured.

    A secret enters as set or not set: the digest stands in figures and reports, and two keys look alike in it.
    """
    told = {
        "engine": asdict(settings),
        "server": {**server.report(), "port": None},
    }  # 0 is another one for each
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=repr).encode()).hexdigest()[:_DIGITS]
