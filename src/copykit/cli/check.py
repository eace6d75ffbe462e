"""``copykit check``: what this machine offers, what is used of it, what is worth installing."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from copykit.accel.catalogue import NOT_USED, weights
from copykit.accel.report import Report, report
from copykit.cli.complaint import complain
from copykit.cli.table import Table
from copykit.errors import ConfigurationError

__all__ = ["command"]

_COLOURS = {"verified": "green", "present": "cyan", "absent": "dim", "unusable": "red"}
_VERDICTS = {"faster": "green", "slower": "red", "no gain": "dim"}


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time each candidate against its fallback.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at what is installed without trying it.")
    ] = False,
) -> None:
    """Show which libraries serve copykit here, and why those.

    Without --quick every installed library of the catalogue is imported in a process of its own, and every
    candidate has to give known answers. Ratios of --measure hold for this machine and this moment.

    Example: copykit check --measure
    """
    console = Console()
    try:
        with Console(stderr=True).status("looking at the libraries", spinner="dots"):
            found = report(measured=measure, verify=not quick)
    except ConfigurationError as error:
        raise typer.Exit(complain(error)) from None
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=2))
        return
    _show_capabilities(console, found)
    if measure:
        _show_gains(console, found)
    _show_libraries(console, found)
    _show_summary(console, found)


def _show_capabilities(console: Console, found: Report) -> None:
    table = Table("capability", "served by", "why", "candidates", title="Capabilities", title_justify="left")
    for owner in found.capabilities:
        states = Text(" ").join(Text(c.name, style=_COLOURS[c.state]) for c in owner.candidates)
        table.add_row(owner.name, Text(owner.chosen, style="bold"), Text(owner.reason), states)
    table.show(console)
    legend = Text("  ").join(Text(state, style=colour) for state, colour in _COLOURS.items())
    console.print(legend, Text("  force one: COPYKIT_JSON=msgspec copykit ...", style="dim"))


def _show_gains(console: Console, found: Report) -> None:
    table = Table(
        "capability", "work", "candidate", "µs", "fallback µs", "times faster (quartiles)", "verdict",
        title="Measured on this machine against the fallback", title_justify="left",
    )  # fmt: skip
    for owner in found.capabilities:
        for gain in owner.gains:
            table.add_row(
                owner.name, gain.workload, gain.candidate, f"{gain.took_us:,.2f}", f"{gain.fallback_us:,.2f}",
                f"{gain.ratio:.2f} ({gain.low:.2f} to {gain.high:.2f})",
                Text("no gain for our sizes" if gain.verdict == "no gain" else gain.verdict,
                     style=_VERDICTS[gain.verdict]),
            )  # fmt: skip
    table.show(console)


def _show_libraries(console: Console, found: Report) -> None:
    table = Table(
        "library", "version", "state", "points", "for", "copykit", title="Libraries", title_justify="left"
    )
    absent: dict[str, list[str]] = {}
    for library in found.libraries:
        if library.state == "absent":
            absent.setdefault("used" if library.use != NOT_USED else "not used", []).append(library.name)
            continue
        state = Text(library.state, style=_COLOURS[library.state])
        if library.state == "unusable":
            state.append(f": {library.reason}", style="red")
        use = Text(library.use, style="dim" if library.use == NOT_USED else "")
        points = str(weights()[library.importance]) if library.use != NOT_USED else ""
        table.add_row(library.name, library.version or "", state, points, library.capability, use)
    table.show(console)
    for kind, names in sorted(absent.items(), reverse=True):
        console.print(Text(f"absent, {kind} by copykit: {', '.join(names)}", style="dim"))


def _show_summary(console: Console, found: Report) -> None:
    counted = "work" if found.verified else "are installed (not tried)"
    gpu = "a usable GPU" if found.gpu else "no usable GPU"
    console.print(
        Text(
            f"{found.tier}: {found.working} of {len(found.libraries)} libraries {counted}, {gpu}; ",
            style="bold",
        )
        + Text(f"{found.python}, {found.machine}")
    )
    console.print(
        Text(
            f"copykit works with what is here; score {found.score} of 100 is the share, by weight, of the libraries "
            "that it could use"
        ),
        soft_wrap=True,
    )
    for failure in found.entry_point_failures:
        console.print(Text(f"entry point failed: {failure}", style="red"))
    if found.recommendations:
        console.print(Text("Worth installing here: ") + Text(found.install, style="bold"), soft_wrap=True)
        for advice in found.recommendations:
            console.print(Text(f"  {advice.reason}", style="dim"))
        console.print(
            Text("What each gains here: copykit check --measure, once it is installed.", style="dim")
        )
