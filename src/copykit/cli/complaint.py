"""How every command says that it cannot: one line on standard error, and the exit status."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from copykit.errors import ConfigurationError, CopykitError

__all__ = ["CONFIGURATION", "INTERRUPTED", "USAGE", "complain"]

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
    return CONFIGURATION if isinstance(error, ConfigurationError) else USAGE
