"""Why a process cannot serve, told as a log line: a collector of lines reads nothing else."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from copykit.errors import ConfigurationError, CopykitError
from copykit.server.watch.logs import configure
from copykit.settings import read_values

__all__ = ["log_failure", "tell_failure", "wants_json"]

_log = logging.getLogger("copykit.server")


def wants_json(environment: Mapping[str, str]) -> bool:
    """Say whether log lines are to be JSON, by what can be read of settings that are wrong elsewhere."""
    values, _ = read_values(environment, group="server")
    return values.get("server.log_format") == "json"


def log_failure(error: CopykitError | OSError, environment: Mapping[str, str]) -> None:
    """Write *error* as one line of level critical with its ``code`` and ``problems``, in the form that was asked for.

    Raises:
        MissingExtra: structlog is not installed.
    """
    configure("json" if wants_json(environment) else "text", environment=environment)
    tell_failure(error)


def tell_failure(error: CopykitError | OSError) -> None:
    """Write what `log_failure` does where lines have their form already."""
    told: dict[str, object] = {"pid": os.getpid(), "problems": [str(error)]}
    if isinstance(error, CopykitError):
        problems = error.problems if isinstance(error, ConfigurationError) else (error.message,)
        told |= {"code": error.code, "problems": list(problems)}
    _log.critical("cannot start", extra=told)
