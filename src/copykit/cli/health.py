"""``copykit health``: whether a running server answers, and how it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from copykit.cli.complaint import complain
from copykit.cli.server_report import server_report
from copykit.cli.table import Table
from copykit.errors import ConfigurationError

__all__ = ["command"]

_UNWELL = 1
_COLOURS = {"ok": "green", "degraded": "yellow", "resting": "yellow", "half_open": "yellow", "open": "red"}


def command(
    url: Annotated[
        str | None, typer.Option(help="Address of the server.  [COPYKIT_URL, else http://127.0.0.1:8000]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for it.", min=0.1)] = 5.0,
) -> None:
    """Ask a running server how it is; the key is read from API_KEY, or from the file that API_KEY_FILE names.

    Example: copykit health --url https://copy.example.com

    Exit status: 0 it is well, 1 it is not, or cannot be asked, 78 the key's file cannot be read.
    """
    from copykit.client.place import url_of  # which loads all of the client

    url = url or url_of(os.environ)
    try:
        status, told = server_report(url, timeout)
    except ConfigurationError as error:
        raise typer.Exit(complain(error)) from None
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
    for reason in told.get("reasons", ()):
        console.print(Text(f"  {reason}"), soft_wrap=True)
    providers = told.get("providers")
    if not isinstance(providers, dict):  # another server's report, or what a tenant may know
        return
    several = told["workers"]["configured"] > 1
    if several:
        console.print(
            Text(f"  one of {told['workers']['configured']} workers answered: targets are as it knows them"),
            soft_wrap=True,
        )
    table = Table("target", "status", "last failure", "in progress", "median", "accepted", "rejected")
    asked = told.get("routing", {}).get("targets", {})
    for name, look in providers.items():
        live, failure, median = asked.get(name, {}), look.get("last_failure"), look.get("median_s")
        table.add_row(
            name,
            Text(look["status"], style=_COLOURS.get(look["status"], "red")),
            "" if failure is None else f"{failure['code']}, {failure['ago_s']:.0f} s ago",
            f"{live['in_progress']}/{live['limit']}" if live else "",
            "" if median is None else f"{median:.3g} s",
            str(live.get("accepted", "")),
            str(live.get("rejected", "")),
        )
    table.show(console)
    rest = Table("part", "state")
    for name, state in _parts(told, " (of the worker that answered)" if several else ""):
        rest.add_row(name, state)
    rest.show(console)


def _parts(told: dict[str, Any], alone: str) -> Iterator[tuple[str, str]]:
    """Give one line for each other part of the report.

    Args:
        alone: put behind what one of several workers tells of itself.
    """
    database, redis = told["database"], told["redis"]
    yield (
        "database",
        _answers(database) + (f", {_size(database['size_bytes'])}" if database.get("size_bytes") else ""),
    )
    yield "Redis", _answers(redis) + f"; limits counted by {redis['limits_counted_by']}"
    memory = told["memory"]
    share = ""
    if memory["share"] is not None:
        share = f", {'all workers about ' if alone else ''}{memory['share']:.0%} of {_size(memory['limit_bytes'])}"
    yield "memory", _size(memory["resident_bytes"]) + alone + share
    if told["disk"] is not None:
        yield "disk", f"{_size(told['disk']['free_bytes'])} free of {_size(told['disk']['size_bytes'])}"
    cache = told["cache"]
    ratio = "" if not cache or cache["hit_ratio"] is None else f", {cache['hit_ratio']:.0%} found"
    held = "off" if not cache else f"{cache['entries']} results, {_size(cache['size_bytes'])}{ratio}{alone}"
    yield "cache", held
    machine = told["optimization"]
    advised = machine.get("recommended")
    more = f"works as it is, could also use {', '.join(advised)}" if advised else "nothing to add here"
    yield (
        "optimization",
        f"{more}: copykit check (tier {machine.get('tier')}, score {machine.get('score')} of 100)",
    )
    workers = told["workers"]
    yield "workers", f"{workers.get('living', workers['configured'])} of {workers['configured']}"
    places = told["requests"]
    yield "requests", f"{places['in_work']} of {places['limit']} in work, {places['waiting']} waiting{alone}"
    yield "authentication", told["authentication"]
    yield "version", f"{told['version']}, configuration {told['config']}, up {told['uptime_s']:.0f} s{alone}"


def _answers(part: dict[str, Any]) -> str:
    if not part["configured"]:
        return "not used"
    return f"answers in {1000 * part['latency_s']:.1f} ms" if part["reachable"] else "does not answer"


def _size(count: int | None) -> str:
    if count is None:
        return "unknown"
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
