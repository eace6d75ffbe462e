"""``copykit install-deps``: the pip line for what is missing, and with ``--yes`` its run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console

from copykit.accel.catalogue import IMPORTANCE, Library, libraries, weights
from copykit.accel.extras import extras, is_installed
from copykit.accel.registry import capability, capability_names, is_present
from copykit.cli.complaint import complain
from copykit.cli.table import Table
from copykit.errors import InvalidRequest, nearest_names

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
    known = sorted(extras())
    for name in extra or ():
        if name not in known:
            reason = f"no such extra; there are {', '.join(known)}"
            refused = InvalidRequest("extra", name, reason, nearest=nearest_names(name, known))
            raise typer.Exit(complain(refused))
    missing = _missing(extra) if extra else _worth_having()
    command_line = _pip(missing)
    if as_json:
        rows = [asdict(row) for row in missing]
        typer.echo(json.dumps({"missing": rows, "command": " ".join(_quoted(command_line))}, indent=2))
    elif not missing:
        typer.echo("Nothing is missing.", err=True)
    else:
        _show(missing)
        typer.echo(" ".join(_quoted(command_line)))
    if yes and missing:
        raise typer.Exit(_run(command_line, quiet=as_json))


@dataclass(frozen=True, slots=True)
class _Missing:
    """A library that is not here."""

    library: str
    importance: str
    """Empty for one that the catalogue does not weigh."""
    extra: str
    use: str


def _worth_having() -> list[_Missing]:
    """List what copykit would use by itself, of the default extras; not what it uses only when told to."""
    idle = {
        candidate.module
        for name in capability_names()
        for candidate in capability(name).candidates
        if not candidate.by_default
    }
    wanted = (lib for lib in libraries() if lib.extra in _DEFAULT and lib.used and lib.module not in idle)
    return _sorted(_row(lib, lib.extra) for lib in wanted if not _is_here(lib))


def _missing(asked: Sequence[str]) -> list[_Missing]:
    """List all that is absent of the extras *asked* for, in the catalogue or not."""
    catalogue = {lib.distribution.lower(): lib for lib in libraries() if lib.distribution}
    found: dict[str, _Missing] = {}
    for extra in asked:
        own = [lib.distribution.lower() for lib in libraries() if lib.extra == extra and lib.distribution]
        for name in (*extras()[extra], *own):
            lib = catalogue.get(name)
            if not (_is_here(lib) if lib else is_installed(name)):
                row = _row(lib, extra) if lib else _Missing(name, "", extra, "")
                found.setdefault(row.library, row)
    return _sorted(found.values())


def _row(lib: Library, extra: str) -> _Missing:
    return _Missing(lib.name, lib.importance, extra, lib.use)


def _is_here(lib: Library) -> bool:
    return is_present(lib.module) if lib.module else is_installed(lib.distribution)


def _sorted(rows: Iterable[_Missing]) -> list[_Missing]:
    order = (*IMPORTANCE, "")
    return sorted(rows, key=lambda row: order.index(row.importance))


def _pip(missing: Sequence[_Missing]) -> list[str]:
    if not missing:
        return []
    return ["pip", "install", f"copykit[{','.join(sorted({row.extra for row in missing}))}]"]


def _quoted(words: Sequence[str]) -> list[str]:
    return [f'"{word}"' if "[" in word else word for word in words]


def _show(missing: Sequence[_Missing]) -> None:
    table = Table("missing", "points", "extra", "what copykit would use it for")
    for row in missing:
        points = str(weights()[row.importance]) if row.importance else ""
        table.add_row(row.library, points, row.extra, row.use)
    table.show(Console(stderr=True))


def _run(command_line: Sequence[str], *, quiet: bool) -> int:
    if find_spec("pip") is None:
        line = " ".join(_quoted(command_line))
        return complain(f"this environment has no pip; run the line with its own installer: {line}")
    output = sys.stderr if quiet else None
    return subprocess.run([sys.executable, "-m", *command_line], stdout=output, check=False).returncode  # noqa: S603
