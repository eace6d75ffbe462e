"""What ``copykit batch`` shows: the mapping before the run, the progress, the summary after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from copykit.cli.batch_money import usd
from copykit.cli.table import Table
from copykit.errors import counted

if TYPE_CHECKING:
    from copykit.cli.batch_order import Work

__all__ = ["show_estimate", "show_mapping", "show_progress", "show_summary"]

_UNUSED_SHOWN = 12
_STEP_S = 0.1
"""Seconds between two drawings: one costs more than a line of copy."""


def show_mapping(work: Work, console: Console) -> None:
    """Print which column is read as what, and the notes."""
    title = f"{work.source.format}, {work.source.encoding}: what is read from where"
    table = Table(title=title, title_justify="left")
    for head in ("field", "column", "why"):
        table.add_column(head)
    for use in work.mapping.uses:
        table.add_row(use.field, escape(use.column), use.why)
    unused = work.mapping.unused
    rest = [(f"{len(unused) - _UNUSED_SHOWN} more columns", "not used")]
    for column, why in (*unused[:_UNUSED_SHOWN], *(rest if len(unused) > _UNUSED_SHOWN else ())):
        table.add_row(*(f"[dim]{escape(text)}[/dim]" for text in ("-", column, why)))
    table.show(console)
    for note in work.notes:
        console.print(f"note: {escape(note)}", highlight=False)


@contextmanager
def show_progress(
    console: Console, total: int, done: int, *, doing: str = "writing"
) -> Iterator[Callable[[int], None]]:
    """Draw a bar with rate and ETA on a terminal; gives what to call with the number of lines done."""
    rate = TextColumn("{task.fields[rate]:.0f} lines/s")
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total, completed=done, rate=0.0)
        started = shown = time.monotonic()

        def step(lines: int) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= _STEP_S:
                shown = now
                bar.update(task, completed=lines, rate=(lines - done) / max(1e-9, now - started))

        yield step
        bar.update(task, completed=total)


def show_summary(summary: dict[str, Any], console: Console) -> None:
    """Print what came of the run."""
    table = Table(title="result", title_justify="left", show_header=False)
    table.add_row("rows in / out", f"{summary['rows_in']} / {summary['rows_out']}")
    status = ", ".join(f"{count} {name}" for name, count in summary["status"].items())
    table.add_row("lines", f"{summary['lines']}: {status}")
    if summary["served_by"]:
        table.add_row(
            "written by", ", ".join(f"{escape(who)} ({n})" for who, n in summary["served_by"].items())
        )
    table.add_row("cost", _cost(summary))
    if summary.get("left_by_job"):
        table.add_row("asked live", f"{summary['left_by_job']} lines that their batch job did not answer")
    if summary["lost"]["calls"]:
        table.add_row("lost", _lost(summary["lost"]))
    if summary["lines_per_s"]:
        table.add_row("speed", f"{summary['lines_per_s']} lines/s in {summary['seconds']} s")
    if summary["resumed_after"]:
        table.add_row("resumed after", f"{summary['resumed_after']} lines")
    for kind, label in (("reasons", "why not"), ("left_out", "left out of uploads")):
        for entry in summary[kind]:
            table.add_row(label, f"{entry['lines']} x {escape(entry['reason'])}")
    for entry in summary["remarks"]:
        table.add_row("remark", f"{entry['lines']} x {escape(entry['remark'])}")
    for path, count in summary["files"].items():
        table.add_row("file", f"{escape(path)} ({counted(count, 'row')})")
    table.show(console)


def _cost(summary: dict[str, Any]) -> str:
    parts = [f"{summary['cost_usd']:.4g} USD"]
    if summary["budget_usd"] is not None:
        parts[0] += f" of {summary['budget_usd']:.4g}"
    if summary["cost_unknown"]:
        parts.append(f"unknown for {summary['cost_unknown']} lines")
    if summary["saved_usd"]:
        parts.append(f"a cache saved {summary['saved_usd']:.4g} USD")
    return ", ".join(parts)


def _lost(lost: dict[str, Any]) -> str:
    """Say what was paid in vain because the run was killed."""
    told = f"{lost['calls']} calls whose lines were not written, {usd(lost['cost_usd'])}"
    if lost["estimated_calls"]:
        told += f", of which {usd(lost['estimated_usd'])} at worst for {lost['estimated_calls']} in the air"
    if lost["cost_unknown"]:
        told += f"; unknown for {lost['cost_unknown']}"
    return told


def show_estimate(found: dict[str, Any], console: Console) -> None:
    """Print what a run would cost, and on which assumptions."""
    table = Table(title="estimate, nothing was sent", title_justify="left", show_header=False)
    refused = f", {found['not_asked']} not to be asked for" if found["not_asked"] else ""
    table.add_row("lines", f"{found['lines']}{refused}")
    table.add_row("targets", escape(", ".join(found["targets"])))
    for kind, label in (("input_tokens", "tokens sent"), ("output_tokens", "tokens answered")):
        table.add_row(label, f"about {found[kind]['usual']:,}, at most {found[kind]['most']:,}")
    usual, worst = found["usual_usd"], found["worst_usd"]
    known = f"about {usd(usual)}, at most {usd(worst)}" if worst else usd(worst)
    table.add_row("cost", known)
    if found["budget_usd"] is not None:
        table.add_row("budget", usd(found["budget_usd"]))
    for target in found["unpriced"]:
        table.add_row("no price", f"{escape(target)}: nobody knows it; routing.prices may name it")
    for text in found["assumed"]:
        table.add_row("assumed", text)
    table.show(console)
