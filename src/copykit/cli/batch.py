"""``copykit batch``: a catalogue file in, checked copy and upload files out."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Container, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copykit.cli.complaint import complain
from copykit.errors import ConfigurationError, InvalidRequest, JobsStopped, ProviderError

if TYPE_CHECKING:  # what only a batch needs is imported when one runs: `copykit generate` starts without it
    from rich.console import Console

    from copykit.batch import BatchStats
    from copykit.cli.batch_order import Order, Work
    from copykit.economy import Progress
    from copykit.engine import Engine
    from copykit.feeds.export import Exported
    from copykit.feeds.journal import Journal
    from copykit.feeds.underway import Underway
    from copykit.models import BatchLine
    from copykit.settings import Settings

__all__ = ["EXIT_SOME_FAILED", "command"]

EXIT_SOME_FAILED = 3
"""The run is complete, but lines are rejected or failed, or an upload file holds no row; the result says which and why."""
EXIT_STOPPED = 75
"""EX_TEMPFAIL of sysexits.h: the provider of batch jobs cannot go on now; the run can, later."""
EXIT_INTERRUPTED = 130

_CACHE_ENTRIES = 500
_WARM = 200
"""Lines after which what a run loads once is loaded."""

_In = Annotated[
    str,
    typer.Argument(metavar="IN", help="CSV, JSONL, Shopify export or Merchant feed; also .gz; - is stdin."),
]
_Out = Annotated[
    str | None,
    typer.Option("--out", help="FILE.jsonl, FILE.csv (each also .gz) or a folder; not with --estimate."),
]
_Platform = Annotated[list[str], typer.Option("--platform", help="Platform or placement; repeatable.")]
_Language = Annotated[
    list[str] | None, typer.Option("--language", help="Language tag, or own: the row's own; repeatable.")
]
_Tone = Annotated[str | None, typer.Option("--tone", help="See 'copykit catalog tones'.")]
_UseCase = Annotated[str | None, typer.Option("--use-case", help="See 'copykit catalog use-cases'.")]
_Map = Annotated[
    list[str] | None,
    typer.Option("--map", help="FIELD=COLUMN, FIELD= for none, FIELD==TEXT; repeatable."),
]
_Provider = Annotated[str | None, typer.Option("--provider", help="name or name:model.")]
_Concurrency = Annotated[
    int | None, typer.Option("--concurrency", min=1, help="Requests at a time; else as configured.")
]
_Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N rows.")]
_Seed = Annotated[int, typer.Option("--seed", help="Another number, other choices.")]
_Variants = Annotated[int, typer.Option("--variants", min=1, max=20, help="How many for each line.")]
_Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run at --out; export it again if it is finished.")
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write anew over the run found at --out.")]
_Format = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        help="jsonl, csv, google-ads-editor, microsoft-ads, google-merchant, shopify; repeatable.",
    ),
]
_InputFormat = Annotated[
    str | None, typer.Option("--input-format", help="csv, jsonl, shopify, merchant-tsv or merchant-xml.")
]
_Campaign = Annotated[
    str | None, typer.Option("--campaign", help="For ad uploads; may hold {id}, {name}, {language}.")
]
_AdGroup = Annotated[
    str | None, typer.Option("--ad-group", help="For ad uploads; a template like --campaign.")
]
_FinalUrl = Annotated[
    str | None, typer.Option("--final-url", help="For ad uploads: https://shop/{handle} or {id}.")
]
_Budget = Annotated[
    float | None,
    typer.Option("--budget", min=0, metavar="USD", help="The run never costs more; what does not fit fails."),
]
_Estimate = Annotated[
    bool, typer.Option("--estimate", help="Tell what the run would cost, and send and write nothing.")
]
_Yes = Annotated[
    bool, typer.Option("--yes", help="Begin without asking, whatever it may cost (COPYKIT_CONFIRM_USD).")
]
_Economy = Annotated[
    bool,
    typer.Option("--economy", help="By batch jobs of the first target: half the price, within a day."),
]
_NoWait = Annotated[
    bool, typer.Option("--no-wait", help="With --economy: begin the jobs and stop; --resume collects them.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def command(
    source: _In,
    platform: _Platform,
    out: _Out = None,
    language: _Language = None,
    tone: _Tone = None,
    use_case: _UseCase = None,
    map_: _Map = None,
    provider: _Provider = None,
    concurrency: _Concurrency = None,
    limit: _Limit = None,
    seed: _Seed = 0,
    variants: _Variants = 1,
    resume: _Resume = False,
    overwrite: _Overwrite = False,
    format: _Format = None,
    input_format: _InputFormat = None,
    campaign: _Campaign = None,
    ad_group: _AdGroup = None,
    final_url: _FinalUrl = None,
    budget: _Budget = None,
    estimate: _Estimate = False,
    yes: _Yes = False,
    economy: _Economy = False,
    no_wait: _NoWait = False,
    json_: _Json = False,
) -> None:
    """Write copy for every row of a catalogue.

    Every row comes back, in order, once per platform and language: ok, repaired, rejected or failed with its
    reason.

    Example: copykit batch products.csv --out copy.jsonl --platform google_ads.rsa --language en

    Exit status: 0 all lines are ok or repaired, 3 the run is complete and some lines are not, 2 wrong usage
    or input, 75 the provider of batch jobs cannot go on now and 130 interrupted (--resume goes on), 78 wrong
    settings.
    """
    from rich.console import Console

    from copykit.cli.batch_order import Order, Outputs
    from copykit.feeds.export import Destination

    console = Console(stderr=True)
    named = {"tone": tone, "use_case": use_case, "provider": provider}
    with _told(console):
        order = Order(
            source=source,
            input_format=input_format,
            outputs=Outputs.of(_named(out, estimate), format or []),
            platforms=tuple(platform),
            languages=tuple(language or ()),
            maps=tuple(map_ or ()),
            options={k: v for k, v in named.items() if v is not None} | {"seed": seed, "variants": variants},
            concurrency=concurrency,
            limit=limit,
            resume=resume,
            overwrite=overwrite,
            destination=Destination(campaign, ad_group, final_url),
            budget_usd=budget,
            yes=yes,
            estimate=estimate,
            economy=_wanted(economy, no_wait),
            waits=not no_wait,
        )
        with _spooled(source) as path:
            summary = (_estimate if estimate else _run)(order, path, console)
    _show(summary, console, as_json=json_)
    if "jobs" in summary:
        _show_how_to_go_on(console)
    raise typer.Exit(summary["exit_code"])


def _named(out: str | None, estimate: bool) -> str:
    if out is None and not estimate:
        raise InvalidRequest("out", None, "--out names where the result goes")
    return out or "copy.jsonl"


def _wanted(economy: bool, no_wait: bool) -> bool:
    if no_wait and not economy:
        raise InvalidRequest("no-wait", no_wait, "is about batch jobs, which --economy asks for")
    return economy


@contextmanager
def _told(console: Console) -> Iterator[None]:
    """Turn what ends a run early into its message and exit status."""
    try:
        yield
    except (InvalidRequest, ConfigurationError) as error:
        raise typer.Exit(complain(error)) from None
    except (ProviderError, JobsStopped) as error:  # only batch jobs end a run so: a single call's is a line
        complain(error)
        _show_how_to_go_on(console)
        raise typer.Exit(EXIT_STOPPED) from None
    except KeyboardInterrupt:
        told = "; batch jobs go on at the provider" if "--economy" in sys.argv else ""
        console.print(f"\ninterrupted; what is done is kept{told}.", highlight=False)
        _show_how_to_go_on(console)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _show_how_to_go_on(console: Console) -> None:
    import shlex

    again = shlex.join(word for word in sys.argv[1:] if word not in ("--resume", "--overwrite", "--no-wait"))
    console.print("Go on with:", highlight=False)
    console.print(f"  copykit {again} --resume", highlight=False, markup=False, soft_wrap=True)


def _run(order: Order, path: Path, console: Console) -> dict[str, Any]:
    from copykit.batch import BatchStats
    from copykit.cli.batch_order import prepare
    from copykit.cli.batch_view import show_mapping
    from copykit.cli.economy import forget_jobs, refuse_open_jobs
    from copykit.feeds.journal import Journal

    work = prepare(order, path)
    if not order.resume:
        refuse_open_jobs(order.outputs.journal)
    show_mapping(work, console)
    stats = BatchStats()
    with Journal(order.outputs.journal, work.parameters()) as journal:
        if not order.resume:
            _confirm(work, stats, console)  # before anything is written over
        finished = _begin(work, journal, stats)
        spent_usd = _spent(journal.underway, stats)
        if order.resume and not finished:
            _confirm(work, stats, console, spent_usd, journal.underway.ahead)
        resumed = journal.done
        if not finished and not order.waits:
            return _submit(work, journal, spent_usd)
        seconds = 0.0 if finished else _generate(work, journal, stats, console, spent_usd)
        forget_jobs(order.outputs.journal)
    exported = _export(work)
    files = {str(order.outputs.packed or order.outputs.journal): journal.done, **exported.files}
    order.outputs.pack()
    return {
        "input": order.source,
        "rows_in": work.rows_in,
        **_counts(stats),
        **({"left_by_job": stats.left_by_job} if order.economy else {}),
        "lost": journal.underway.lost.as_dict(),
        "budget_usd": order.budget_usd,
        "seconds": round(seconds, 3),
        "lines_per_s": round((stats.lines - resumed) / seconds, 1) if seconds else None,
        "resumed_after": resumed,
        "mapping": work.mapping.as_dict(),
        "files": files,
        "left_out": [{"reason": reason, "lines": count} for reason, count in exported.skipped.most_common(5)],
        "notes": list(work.notes),
        "exit_code": EXIT_SOME_FAILED if _unserved(stats, exported) else 0,
    }


def _estimate(order: Order, path: Path, console: Console) -> dict[str, Any]:
    """Tell what the run, or with --resume the rest of it, would cost."""
    from copykit.batch import BatchStats
    from copykit.cli.batch_money import estimate, report, worst_of
    from copykit.cli.batch_order import prepare
    from copykit.cli.batch_view import show_mapping, show_progress
    from copykit.feeds.journal import Journal, whole_lines

    work = prepare(order, path)
    show_mapping(work, console)
    done = BatchStats()
    journal = Journal(order.outputs.journal, {})
    if order.resume:
        for line in whole_lines(order.outputs.journal):
            done.add(line)
        journal.look(done.lines, worst_of(work))
    spent_usd, kept = _spent(journal.underway, done), journal.underway.ahead
    with show_progress(console, work.lines, done.lines, doing="reading") as step:
        found = estimate(work, skip=done.lines, kept=kept, spent_usd=spent_usd, step=step)
    return report(work, found)


def _spent(underway: Underway, stats: BatchStats) -> float:
    """Give what earlier parts of the run cost: its lines, those that wait for their turn, and what was lost."""
    from copykit.batch import cost_of

    waiting = sum(cost_of(line)[0] for line in underway.lines())
    return stats.cost_usd + waiting + underway.lost.cost_usd


def _confirm(
    work: Work,
    stats: BatchStats,
    console: Console,
    spent_usd: float = 0.0,
    kept: Container[int] = (),
) -> None:
    from copykit.cli.batch_money import confirm
    from copykit.cli.batch_view import show_progress

    with show_progress(console, work.lines, stats.lines, doing="estimating") as step:
        confirm(work, skip=stats.lines, kept=kept, spent_usd=spent_usd, step=step)


def _begin(work: Work, journal: Journal, stats: BatchStats) -> bool:
    """Open the journal, anew or where it was left; True if nothing is left to write."""
    from copykit.cli.batch_money import worst_of
    from copykit.cli.economy import forget_jobs
    from copykit.feeds.journal import read_lines

    if not work.order.resume:
        journal.start(overwrite=work.order.overwrite)
        forget_jobs(journal.path)
        return False
    work.order.outputs.unpack()
    finished = journal.resume(worst_of(work))
    for line in islice(read_lines(journal.path), journal.done):
        stats.add(line)
    if last := journal.last():
        job = next(work.jobs(skip=journal.done - 1), None)
        if job is None or (job.row, job.id, job.placement) != (last.row, last.id, last.placement):
            reason = "the lines in the file are not those of this run"
            raise InvalidRequest("resume", f"row {last.row}", reason)
    return finished


def _submit(work: Work, journal: Journal, spent_usd: float) -> dict[str, Any]:
    """Begin the batch jobs of the run, and wait for none of them."""
    from copykit.accel import loop as loops
    from copykit.cli.batch_money import capped
    from copykit.cli.economy import submit

    async def drive() -> dict[str, Any]:
        async with _engine(capped(work, spent_usd)) as engine:
            return await submit(work, journal, engine)

    return loops.run(drive())


def _generate(work: Work, journal: Journal, stats: BatchStats, console: Console, spent_usd: float) -> float:
    """Write the lines that are not yet there; gives the seconds it took."""
    import gc
    import time

    from copykit import events
    from copykit.accel import loop as loops
    from copykit.cli.batch_money import capped
    from copykit.cli.batch_view import show_progress
    from copykit.cli.economy import economy_lines, show_waiting

    settings = capped(work, spent_usd)

    async def drive(step: Callable[[int], None], tell: Callable[[Progress], None]) -> None:
        lines_of = economy_lines if work.order.economy else _live_lines
        async with _engine(settings) as engine, lines_of(work, journal, engine, tell) as lines:
            async for line in lines:
                stats.add(journal.write(line))
                step(stats.lines)
                if stats.lines == _WARM:
                    gc.freeze()  # catalogue and phrases are loaded for good: no use in walking them again

    started = time.monotonic()
    events.subscribe(journal.underway)
    try:
        if work.order.economy:
            with show_waiting(console, work.lines, journal.done) as (step, tell):
                loops.run(drive(step, tell))
        else:
            with show_progress(console, work.lines, journal.done) as step:
                loops.run(drive(step, lambda _: None))
    finally:
        events.unsubscribe(journal.underway)
    seconds = time.monotonic() - started
    journal.finish()
    return seconds


@asynccontextmanager
async def _live_lines(
    work: Work, journal: Journal, engine: Engine, _: Callable[[Progress], None]
) -> AsyncIterator[AsyncIterator[BatchLine]]:
    """Give the lines of the run that are not yet written, by a call each."""
    from copykit.batch import run_batch

    first = journal.done
    jobs = work.jobs(skip=first)
    async with aclosing(
        run_batch(engine, jobs, concurrency=work.concurrency, first=first, keeper=journal)
    ) as lines:
        yield lines


@asynccontextmanager
async def _engine(settings: Settings) -> AsyncIterator[Engine]:
    """Give the engine of one run, and close its cache after it.

    The cache is kept small: rows of a catalogue repeat rarely and close together, and a cache that fills for
    ten thousand rows would make the memory grow with the file.
    """
    from dataclasses import replace

    from copykit.engine import Engine

    entries = min(settings.cache.max_entries, _CACHE_ENTRIES)
    engine = Engine(replace(settings, cache=replace(settings.cache, max_entries=entries)))
    try:
        yield engine
    finally:
        await engine.aclose()


def _counts(stats: BatchStats) -> dict[str, Any]:
    from copykit.accel import system

    return {
        "rows_out": stats.rows,
        "lines": stats.lines,
        "status": {name: stats.status[name] for name in ("ok", "repaired", "rejected", "failed")},
        "reasons": [{"reason": reason, "lines": count} for reason, count in stats.reasons.most_common(10)],
        "served_by": dict(stats.served_by.most_common(10)),
        "repeated": stats.repeated,
        "cost_usd": stats.cost_usd,
        "cost_unknown": stats.cost_unknown,
        "saved_usd": stats.saved_usd,
        "rss_bytes": system.rss_bytes(),
        "remarks": [{"remark": text, "lines": count} for text, count in stats.remarks.most_common(10)],
    }


def _unserved(stats: BatchStats, exported: Exported) -> bool:
    failed = stats.status["rejected"] + stats.status["failed"]
    return bool(failed or (stats.lines and 0 in exported.files.values()))


def _export(work: Work) -> Exported:
    from copykit.batch import reasons
    from copykit.brief.catalog import placement
    from copykit.feeds.export import Exported, export
    from copykit.feeds.journal import read_lines

    outputs = work.order.outputs
    if not outputs.uploads and outputs.people is None:
        return Exported()
    most: dict[str, int] = {}
    for name in work.placements:
        for spec in placement(name).fields:
            most[spec.name] = max(most.get(spec.name, 1), spec.max_count)
    return export(
        read_lines(outputs.journal),
        work.rows(),
        work.mapping,
        base=outputs.base,
        formats=outputs.uploads,
        destination=work.order.destination,
        per_language=len(work.languages) > 1 or "own" in work.languages,
        people=(outputs.people, tuple(most.items())) if outputs.people else None,
        reasons=reasons,
    )


@contextmanager
def _spooled(source: str) -> Iterator[Path]:
    """Give a file to read; a pipe is kept on the disk first, since it is looked at more than once."""
    if source != "-":
        yield Path(source)
        return
    import shutil
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="copykit-") as spool:
        shutil.copyfileobj(sys.stdin.buffer, spool, 1 << 20)
        spool.flush()
        yield Path(spool.name)


def _show(summary: dict[str, Any], console: Console, *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
        return
    from copykit.cli.batch_view import show_estimate, show_summary
    from copykit.cli.economy import show_submitted

    if "worst_usd" in summary:
        show_estimate(summary, console)
    elif "jobs" in summary:
        show_submitted(summary, console)
    else:
        show_summary(summary, console)
