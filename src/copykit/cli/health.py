"""``copykit health``: whether a running server answers, and how it is."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from copykit.cli.server_report import server_report
from copykit.cli.table import Table

__all__ = ["command"]

_UNWELL = 1
_COLOURS = {"ok": "green", "degraded": "yellow", "closed": "green", "half_open": "yellow", "open": "red"}


def command(
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for it.", min=0.1)] = 5.0,
) -> None:
    """Ask a running server how it is; the key is read from API_KEY.

    Example: copykit health --url https://copy.example.com

    Exit status: 0 it is well, 1 it is not, or cannot be asked.
    """
    status, told = server_report(url, timeout)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _show(Console(), url, told)
    if status != 200 or told.get("status") != "ok":
        raise typer.Exit(_UNWELL)


def _show(console: Console, url: str, told: dict[str, Any]) -> None:
    status = str(told.get("status"))
    line = Text(f"{url}: ").append(status, style=_COLOURS.get(status, "red"))
    console.print(line if "detail" not in told else line.append(f" ({told['detail']})"), soft_wrap=True)
    targets = told.get("routing", {}).get("targets", {})
    if not targets:
        return
    table = Table("target", "breaker", "in progress", "median", "accepted", "rejected")
    for name, look in targets.items():
        median = look["median_s"]
        table.add_row(
            name,
            Text(look["breaker"], style=_COLOURS.get(look["breaker"], "red")),
            f"{look['in_progress']}/{look['limit']}",
            "" if median is None else f"{median:.3g} s",
            str(look["accepted"]),
            str(look["rejected"]),
        )
    console.print(table)
