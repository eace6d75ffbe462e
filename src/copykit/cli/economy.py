"""``copykit batch --economy`` and ``copykit batch-jobs``: what goes through providers' batch jobs, seen from a terminal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copykit.cli.complaint import complain
from copykit.errors import CopykitError, InvalidRequest, ProviderError, counted

if TYPE_CHECKING:
    from rich.console import Console

    from copykit.cli.batch_order import Work
    from copykit.economy import Economy, Progress
    from copykit.engine import Engine
    from copykit.feeds.job_book import BookedJob, JobBook
    from copykit.feeds.journal import Journal
    from copykit.models import BatchLine
    from copykit.providers.base import BatchJobs

__all__ = [
    "booked",
    "command",
    "economy_lines",
    "forget_jobs",
    "refuse_open_jobs",
    "show_jobs",
    "show_submitted",
    "show_waiting",
    "submit",
]

# what `copykit batch` does with them


def refuse_open_jobs(journal: Path) -> None:
    """Refuse to begin a run where another's batch jobs are not over: they are paid for.

    Raises:
        InvalidRequest: there are such jobs; the message says what may be done with them.
    """
    from copykit.feeds.job_book import CANCEL_ASKED, JobBook, book_path

    path = book_path(journal)
    if not path.exists():
        return
    book = JobBook(path)
    try:
        jobs = [job for job in book.jobs("intended", "submitted") if job.told != CANCEL_ASKED]
    finally:
        book.close()
    if jobs:
        reason = (
            f"holds a run whose batch jobs are not over ({len(jobs)}); --resume goes on with it, "
            f"copykit batch-jobs {journal} --cancel stops them"
        )
        raise InvalidRequest("out", str(journal), reason)


def forget_jobs(journal: Path) -> None:
    """Take the book of a run away that is finished, or begun anew."""
    from copykit.feeds.job_book import book_path

    book_path(journal).unlink(missing_ok=True)


@asynccontextmanager
async def economy_lines(
    work: Work, journal: Journal, engine: Engine, tell: Callable[[Progress], None]
) -> AsyncIterator[AsyncIterator[BatchLine]]:
    """Give the lines of the run that are not yet written, by batch jobs."""
    with _book(work) as book:
        economy = _economy(work, journal, engine, book, tell)
        async with aclosing(economy.lines(journal.done, keeper=journal)) as lines:
            yield lines


async def submit(work: Work, journal: Journal, engine: Engine) -> dict[str, Any]:
    """Begin the jobs of the run and wait for none of them; give the summary."""
    with _book(work) as book:
        upto = await _economy(work, journal, engine, book, lambda _: None).submit(journal.done)
        jobs = [booked(job) for job in book.jobs()]
    return {
        "input": work.order.source,
        "rows_in": work.rows_in,
        "lines": work.lines,
        "written": journal.done,
        "waiting_for_money": work.lines - upto,
        "target": work.targets[0],
        "jobs": jobs,
        "exit_code": 0,
    }


def show_submitted(summary: dict[str, Any], console: Console) -> None:
    """Print what was begun."""
    show_jobs(summary["jobs"], console, title=f"batch jobs at {summary['target']}")
    if summary["waiting_for_money"]:
        told = f"{summary['waiting_for_money']} lines wait until jobs give back what they do not spend"
        console.print(f"note: {told}", highlight=False)


def _economy(
    work: Work, journal: Journal, engine: Engine, book: JobBook, tell: Callable[[Progress], None]
) -> Economy:
    from copykit.economy import Economy
    from copykit.feeds.journal import read_lines

    economy = Economy(engine, book, work.jobs, concurrency=work.concurrency, again=work.order.yes, tell=tell)
    economy.written(islice(read_lines(journal.path), journal.done))
    return economy


@contextmanager
def _book(work: Work) -> Iterator[JobBook]:
    from copykit.feeds.job_book import JobBook, book_path

    book = JobBook(book_path(work.order.outputs.journal), target=work.targets[0])
    try:
        yield book
    finally:
        book.close()


@contextmanager
def show_waiting(
    console: Console, total: int, done: int
) -> Iterator[tuple[Callable[[int], None], Callable[[Progress], None]]]:
    """Show how far jobs and lines are; gives what to call with the number of lines, and with each `Progress`.

    Where nobody looks on, each change of a job is one line.
    """
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    shown: list[str] = []
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("writing", total=total, completed=done)
        last_s = 0.0

        def step(lines: int) -> None:
            nonlocal last_s
            now = time.monotonic()
            if now - last_s >= 0.1:
                last_s = now
                bar.update(task, description="writing", total=total, completed=lines)

        def tell(progress: Progress) -> None:
            told = _told(progress)
            bar.update(task, description=told, total=progress.requests, completed=progress.answered or 0)
            if not console.is_terminal and told not in shown[-1:]:
                shown.append(told)
                console.print(told, highlight=False, markup=False, soft_wrap=True)

        yield step, tell


def _told(progress: Progress) -> str:
    if progress.doing != "waiting":
        return f"{progress.doing} job {progress.jobs}, {counted(progress.requests, 'request')} so far"
    state = f" ({progress.state})" if progress.state else ""
    told = f"waiting for {progress.open} of {progress.jobs} jobs{state}"
    return f"{told}; trouble: {progress.trouble}" if progress.trouble else told


# copykit batch-jobs


def command(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The --out of a run with --economy.")],
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Stop the jobs that are not over; what is answered is kept.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the jobs as JSON.")] = False,
) -> None:
    """Show the batch jobs of a run, or stop them.

    Example: copykit batch-jobs copy.jsonl

    Exit status: 0 every job could be asked for, 3 some could not, 2 wrong usage, 78 wrong settings.
    """
    from rich.console import Console

    try:
        rows, target = _looked_at(out, cancel=cancel)
    except CopykitError as error:
        raise typer.Exit(complain(error)) from None
    failed = any(row["trouble"] for row in rows)
    if json_:
        import json

        typer.echo(json.dumps({"target": target, "jobs": rows}, ensure_ascii=False, indent=2))
    else:
        show_jobs(rows, Console(), title=f"batch jobs at {target}")
    raise typer.Exit(3 if failed else 0)


def _looked_at(out: str, *, cancel: bool) -> tuple[list[dict[str, Any]], str]:
    from copykit.accel import loop as loops
    from copykit.cli.batch_order import Outputs
    from copykit.feeds.job_book import JobBook, book_path
    from copykit.settings import Settings

    path = book_path(Outputs.of(out, []).journal)
    if not path.exists():
        raise InvalidRequest(
            "out", out, "no batch jobs are noted here: none was begun, or all lines are written"
        )
    settings = Settings.from_env()
    book = JobBook(path)
    try:
        return loops.run(_ask_for_all(book, settings, cancel=cancel)), book.target
    finally:
        book.close()


async def _ask_for_all(book: JobBook, settings: Any, *, cancel: bool) -> list[dict[str, Any]]:
    from copykit.economy import jobs_of
    from copykit.providers.base import Closable
    from copykit.providers.registry import load_provider

    provider = load_provider(book.target.partition(":")[0], settings)
    try:
        jobs = jobs_of(provider, book.target)
        return [await _asked(book, jobs, job, cancel=cancel) for job in book.jobs()]
    finally:
        if isinstance(provider, Closable):
            await provider.aclose()


async def _asked(book: JobBook, jobs: BatchJobs, job: BookedJob, *, cancel: bool) -> dict[str, Any]:
    from copykit.feeds.job_book import CANCEL_ASKED

    row = booked(job)
    if job.state != "submitted" or job.id is None:
        return row
    try:
        if cancel:
            await jobs.cancel(job.id)
            book.tell(job.number, CANCEL_ASKED)
        told = await jobs.job(job.id)
        row |= {"state": told.state, "done": told.done, "failed": told.failed}
        row["reason"] = told.reason or book.job(job.number).told
    except ProviderError as error:
        if cancel and error.status == 404:  # nothing to stop, and nothing to be had any more
            book.over(job.number, "cancelled", "the provider does not know it any more")
            return booked(book.job(job.number))
        row["trouble"] = error.message
    return row


def booked(job: BookedJob) -> dict[str, Any]:
    """Give a job as ``--json`` shows it, as far as the book knows."""
    return {
        "number": job.number,
        "id": job.id,
        "state": job.state,
        "requests": job.requests,
        "done": job.answered if job.state != "submitted" else None,
        "failed": None,
        "strangers": job.strangers,
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.begun)),
        "reason": job.told,
        "trouble": "",
    }


def show_jobs(rows: list[dict[str, Any]], console: Console, *, title: str) -> None:
    """Print jobs as a table."""
    from rich.markup import escape

    from copykit.cli.table import Table

    table = Table(title=title, title_justify="left")
    for head in ("job", "id", "state", "requests", "answered", "begun", "remark"):
        table.add_column(head)
    for row in rows:
        done = "" if row["done"] is None else str(row["done"])
        remark = row["trouble"] or row["reason"]
        cells = (row["number"], row["id"] or "not known", row["state"], row["requests"], done, row["begun"])
        table.add_row(*(escape(str(cell)) for cell in cells), escape(remark))
    table.show(console)
