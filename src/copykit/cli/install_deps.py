"""``copykit install-deps``: the pip line for what is missing, and with ``--yes`` its run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console

from copykit.accel.catalogue import IMPORTANCE, Library, libraries
from copykit.accel.registry import is_present
from copykit.cli.complaint import complain
from copykit.cli.table import Table

__all__ = ["command"]

_DEFAULT = ("fast", "accel")
"""Extras looked at when none is named; the others serve one purpose each."""


def command(
    extra: Annotated[
        list[str] | None, typer.Option(help="Look at this extra, all of it; repeatable.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run the pip line instead of printing it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is missing as JSON.")] = False,
) -> None:
    """Print the pip line that installs what copykit could use here and does not find.

    Exit status: 0 fine, 2 unknown extra or no pip here, else what pip said.

    Example: copykit install-deps --yes
    """
    known = sorted({lib.extra for lib in libraries() if lib.extra not in ("", "core")})
    unknown = [name for name in extra or () if name not in known]
    if unknown:
        _complain(f"unknown extra {unknown[0]!r}; there are: {', '.join(known)}")
    missing = _missing(extra)
    command_line = _pip(missing)
    if as_json:
        rows = [
            {"library": lib.name, "importance": lib.importance, "extra": lib.extra, "use": lib.use}
            for lib in missing
        ]
        typer.echo(json.dumps({"missing": rows, "command": " ".join(_quoted(command_line))}, indent=2))
    elif not missing:
        typer.echo("Nothing is missing.", err=True)
    else:
        _show(missing)
        typer.echo(" ".join(_quoted(command_line)))
    if yes and missing:
        raise typer.Exit(_run(command_line, quiet=as_json))


def _missing(extras: Sequence[str] | None) -> list[Library]:
    """List what is absent: of the default extras only what copykit uses, of those asked for everything."""
    wanted = extras or _DEFAULT
    found = [
        lib
        for lib in libraries()
        if lib.extra in wanted and (lib.used or extras) and lib.module and not is_present(lib.module)
    ]
    return sorted(found, key=lambda lib: IMPORTANCE.index(lib.importance))


def _pip(missing: Sequence[Library]) -> list[str]:
    if not missing:
        return []
    return ["pip", "install", f"copykit[{','.join(sorted({lib.extra for lib in missing}))}]"]


def _quoted(words: Sequence[str]) -> list[str]:
    return [f'"{word}"' if "[" in word else word for word in words]


def _show(missing: Sequence[Library]) -> None:
    table = Table("missing", "importance", "extra", "what copykit would use it for")
    for lib in missing:
        table.add_row(lib.name, lib.importance, lib.extra, lib.use)
    Console(stderr=True).print(table)


def _run(command_line: Sequence[str], *, quiet: bool) -> int:
    if find_spec("pip") is None:
        _complain(
            f"this environment has no pip; run the line with its own installer: {' '.join(command_line)}"
        )
    output = sys.stderr if quiet else None
    return subprocess.run([sys.executable, "-m", *command_line], stdout=output, check=False).returncode  # noqa: S603


def _complain(text: str) -> None:
    raise typer.Exit(complain(text))
