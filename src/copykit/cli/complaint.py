"""How every command says that it cannot: one line on standard error, and the exit status."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.text import Text

from copykit.errors import ConfigurationError, CopykitError

__all__ = ["CONFIGURATION", "INTERRUPTED", "USAGE", "complain", "complain_as_json"]

USAGE = 2
CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: what is wrong is the settings, not the call."""
INTERRUPTED = 130
"""As shells have it for a program that Ctrl-C ended."""


def complain(error: CopykitError | str) -> int:
    """Print *error* as one line, never wrapped, and give the exit status that fits it."""
    text = error if isinstance(error, str) else f"{error.code}: {error.message}"
    line = Text(" ".join(text.split()), style="red")
    Console(stderr=True).print(line, soft_wrap=True)
    return _status(error)


def complain_as_json(error: CopykitError) -> int:
    """Print *error* on standard output as who asked for JSON reads it, and give the exit status that fits it.

    It is ``{"ok": false, "code", "problems"}``, of which the last is a list of texts, as `copykit run --check` has it.
    """
    problems = error.problems if isinstance(error, ConfigurationError) else (error.message,)
    told = {"ok": False, "code": error.code, "problems": list(problems)}
    typer.echo(json.dumps(told, ensure_ascii=False))
    return _status(error)


def _status(error: CopykitError | str) -> int:
    return CONFIGURATION if isinstance(error, ConfigurationError) else USAGE
