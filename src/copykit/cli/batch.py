"""``copykit batch``: a catalogue file in, checked copy and upload files out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copykit.cli.complaint import complain
from copykit.errors import ConfigurationError, InvalidRequest

if TYPE_CHECKING:
    from rich.console import Console

    from copykit.batch import BatchStats, Generates
    from copykit.feeds.export import Destination, Exported
    from copykit.feeds.journal import Journal
    from copykit.feeds.mapping import ColumnMap
    from copykit.feeds.rows import BadRow, Row, Source
    from copykit.settings import Settings

__all__ = ["EXIT_SOME_FAILED", "command"]

EXIT_SOME_FAILED = 3
"""The run is complete, but lines are rejected or failed, or an upload file holds no row; the result says which and why."""
EXIT_INTERRUPTED = 130

_CACHE_ENTRIES = 500
_WARM = 200
"""Lines after which what a run loads once is loaded."""
_SAMPLE = 200
"""Rows the mapping is guessed from."""


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="CSV, JSONL, Shopify export or Merchant feed; also .gz; - is stdin."
        ),
    ],
    out: Annotated[str, typer.Option("--out", help="FILE.jsonl, FILE.csv (each also .gz) or a folder.")],
    platform: Annotated[list[str], typer.Option("--platform", help="Platform or placement; repeatable.")],
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Language tag, or own: the row's own; repeatable.")
    ] = None,
    tone: Annotated[str | None, typer.Option("--tone", help="See 'copykit catalog tones'.")] = None,
    use_case: Annotated[
        str | None, typer.Option("--use-case", help="See 'copykit catalog use-cases'.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=COLUMN, FIELD= for none, FIELD==TEXT; repeatable."),
    ] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="name or name:model.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Requests at a time; else as configured.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N rows.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another number, other choices.")] = 0,
    variants: Annotated[int, typer.Option("--variants", min=1, max=20, help="How many for each line.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Drop an unfinished run found at --out.")
    ] = False,
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="jsonl, csv, google-ads-editor, microsoft-ads, google-merchant, shopify; repeatable.",
        ),
    ] = None,
    input_format: Annotated[
        str | None, typer.Option("--input-format", help="csv, jsonl, shopify, merchant-tsv or merchant-xml.")
    ] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="For ad uploads; may hold {id}, {name}, {language}.")
    ] = None,
    ad_group: Annotated[
        str | None, typer.Option("--ad-group", help="For ad uploads; a template like --campaign.")
    ] = None,
    final_url: Annotated[
        str | None, typer.Option("--final-url", help="For ad uploads: https://shop/{handle} or {id}.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write copy for every row of a catalogue.

    Every row comes back, in order, once per platform and language: ok, repaired, rejected or failed with its
    reason.

    Example: copykit batch products.csv --out copy.jsonl --platform google_ads.rsa --language en

    Exit status: 0 all lines are ok or repaired, 3 the run is complete and some lines are not, 2 wrong usage
    or input, 78 wrong settings, 130 interrupted (--resume goes on).
    """
    from rich.console import Console

    console = Console(stderr=True)
    common = {"tone": tone, "use_case": use_case, "provider": provider}
    options: dict[str, Any] = {name: value for name, value in common.items() if value is not None}
    options |= {"seed": seed, "variants": variants}
    try:
        with _spooled(source) as path:
            from copykit.feeds.export import Destination

            order = _Order(
                name=source,
                path=path,
                input_format=input_format,
                outputs=Outputs.of(out, format or []),
                platforms=tuple(platform),
                languages=tuple(language or ()),
                maps=tuple(map_ or ()),
                options=options,
                concurrency=concurrency,
                limit=limit,
                resume=resume,
                overwrite=overwrite,
                destination=Destination(campaign, ad_group, final_url),
            )
            summary = _run(order, console)
    except (InvalidRequest, ConfigurationError) as error:
        raise typer.Exit(complain(error)) from None
    except KeyboardInterrupt:
        again = " ".join(_quoted(word) for word in sys.argv[1:] if word not in ("--resume", "--overwrite"))
        console.print("\ninterrupted; what is done is kept. Go on with:", highlight=False)
        console.print(f"  copykit {_escape(again)} --resume", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if json_:
        import json

        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        _show(summary, console)
    raise typer.Exit(summary["exit_code"])


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a run writes."""

    base: Path
    """Common start of all names."""
    journal: Path
    """The JSONL while it grows, and its final name unless packed."""
    packed: Path | None
    """The .jsonl.gz asked for, if it was."""
    people: Path | None
    uploads: tuple[str, ...]

    @classmethod
    def of(cls, out: str, formats: Sequence[str]) -> Outputs:
        """Read --out and --format.

        Raises:
            InvalidRequest: an unknown ending or format.
        """
        from difflib import get_close_matches

        from copykit.feeds.export import EXPORTS

        known = ("jsonl", "csv", *EXPORTS)
        wanted = [name.strip().lower().replace("_", "-") for name in formats]
        for name in wanted:
            if name not in known:
                raise InvalidRequest(
                    "format", name, f"not one of {', '.join(known)}", nearest=get_close_matches(name, known)
                )
        path = Path(out)
        name = path.name.removesuffix(".gz")
        gz = ".gz" if path.name.endswith(".gz") else ""
        if path.is_dir() or out.endswith("/") or (not path.suffix and not gz):
            base, ending = path / "copy", ""
        elif name.endswith((".jsonl", ".csv")):
            base, ending = path.with_name(name.rpartition(".")[0]), name.rpartition(".")[2]
        else:
            raise InvalidRequest("out", out, "ends in .jsonl, .jsonl.gz, .csv or .csv.gz, or is a folder")
        journal = base.with_name(base.name + ".jsonl")
        packed = path if ending == "jsonl" and gz else None
        people = path if ending == "csv" else base.with_name(base.name + ".csv") if "csv" in wanted else None
        return cls(
            base, journal, packed, people, tuple(dict.fromkeys(name for name in wanted if name in EXPORTS))
        )


@dataclass(frozen=True, slots=True)
class _Order:
    """A whole command line, read."""

    name: str
    path: Path
    input_format: str | None
    outputs: Outputs
    platforms: tuple[str, ...]
    languages: tuple[str, ...]
    maps: tuple[str, ...]
    options: dict[str, Any]
    concurrency: int | None
    limit: int | None
    resume: bool
    overwrite: bool
    destination: Destination


def _run(order: _Order, console: Console) -> dict[str, Any]:
    from copykit.accel import system
    from copykit.batch import BatchStats, plan, reasons
    from copykit.feeds.export import check_template
    from copykit.feeds.journal import Journal
    from copykit.feeds.mapping import guess, override
    from copykit.feeds.read import count_rows, read_rows
    from copykit.feeds.rows import BadRow, Row, open_source
    from copykit.settings import Settings

    settings = Settings.from_env()
    for field, template in (
        ("campaign", order.destination.campaign),
        ("ad-group", order.destination.ad_group),
        ("final-url", order.destination.final_url),
    ):
        check_template(field, template)
    source = open_source(order.path, order.input_format)
    first = list(islice(read_rows(source), _SAMPLE))
    sample = [row for row in first if isinstance(row, Row)]
    if not sample:
        damaged = next((row.reason for row in first if isinstance(row, BadRow)), "")
        raise InvalidRequest("input", str(order.path), damaged or "it holds no row; is it only a header?")
    mapping = override(guess(sample), order.maps)
    mapping.check()
    placements, languages = _placements(order.platforms), _languages(order.languages, mapping)
    _validate(order.options)
    notes = [*source.notes, *_notes(mapping, sample, order, languages)]
    _show_mapping(mapping, source, notes, console)

    total = count_rows(source)
    total = min(total, order.limit) if order.limit else total
    per_row = len(placements) * len(languages)
    parameters = _parameters(order, source, mapping, placements, languages, settings)
    _keep_input(order)
    engine = _engine(settings)

    def rows() -> Iterator[Row | BadRow]:
        return islice(read_rows(source), order.limit)

    stats = BatchStats()
    with Journal(order.outputs.journal, parameters) as journal:
        if order.resume:
            _unpack(order.outputs)
            finished = journal.resume()
            _replay(journal, stats)
        else:
            journal.start(overwrite=order.overwrite)
            finished = False
        resumed = journal.done
        _check_place(
            journal,
            plan(rows(), mapping, placements=placements, languages=languages, skip=max(0, resumed - 1)),
        )
        seconds = 0.0
        if not finished:
            jobs = plan(
                rows(),
                mapping,
                placements=placements,
                languages=languages,
                common=order.options,
                final_url=_final_url(order, placements),
                skip=resumed,
            )
            concurrency = order.concurrency or settings.batch.concurrency
            seconds = _generate(engine, jobs, journal, stats, concurrency, total * per_row, console)
            journal.finish()
    exported = _export(order, mapping, placements, languages, rows, reasons)
    files = {str(order.outputs.packed or order.outputs.journal): journal.done, **exported.files}
    _pack(order.outputs)
    lines = dict(stats.status)
    failed = lines.get("rejected", 0) + lines.get("failed", 0)
    for name, needed in exported.without_lines.items():
        notes.append(f"{name}: the run has no line for its placement; add --platform {needed}")
    return {
        "input": order.name,
        "rows_in": total,
        "rows_out": stats.rows,
        "lines": stats.lines,
        "status": {name: lines.get(name, 0) for name in ("ok", "repaired", "rejected", "failed")},
        "reasons": [{"reason": reason, "lines": count} for reason, count in stats.reasons.most_common(10)],
        "served_by": dict(stats.served_by.most_common(10)),
        "repeated": stats.repeated,
        "rss_bytes": system.rss_bytes(),
        "remarks": [{"remark": text, "lines": count} for text, count in stats.remarks.most_common(10)],
        "seconds": round(seconds, 3),
        "lines_per_s": round((stats.lines - resumed) / seconds, 1) if seconds else None,
        "resumed_after": resumed,
        "mapping": mapping.as_dict(),
        "files": files,
        "left_out": [{"reason": reason, "lines": count} for reason, count in exported.skipped.most_common(5)],
        "notes": notes,
        "exit_code": EXIT_SOME_FAILED if failed or (stats.lines and 0 in exported.files.values()) else 0,
    }


def _generate(
    engine: Generates,
    jobs: Iterable[Any],
    journal: Journal,
    stats: BatchStats,
    concurrency: int,
    total: int,
    console: Console,
) -> float:
    import gc
    import time

    from copykit.accel import loop as loops
    from copykit.batch import run_batch

    async def drive(step: Callable[[int], None]) -> None:
        async with aclosing(run_batch(engine, jobs, concurrency=concurrency)) as lines:
            async for line in lines:
                stats.add(journal.write(line))
                step(stats.lines)
                if stats.lines == _WARM:
                    gc.freeze()  # catalogue and phrases are loaded for good: no use in walking them again

    started = time.monotonic()
    with _progress(console, total, journal.done) as step:
        loops.run(drive(step))
    return time.monotonic() - started


@contextmanager
def _progress(console: Console, total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]:.0f} lines/s")
    columns = (TextColumn("writing"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        import time

        task = bar.add_task("writing", total=total, completed=done, rate=0.0)
        started = shown = time.monotonic()

        def step(lines: int) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= 0.1:  # drawing costs more than a line of copy
                shown = now
                bar.update(task, completed=lines, rate=(lines - done) / max(1e-9, now - started))

        yield step
        bar.update(task, completed=total)


def _engine(settings: Settings) -> Generates:
    """Give the engine of one run.

    Its cache is kept small: rows of a catalogue repeat rarely and close together, and a cache that fills for
    ten thousand rows would make the memory grow with the file.
    """
    from dataclasses import replace

    from copykit.engine import Engine

    entries = min(settings.cache.max_entries, _CACHE_ENTRIES)
    return Engine(replace(settings, cache=replace(settings.cache, max_entries=entries)))


def _placements(names: Sequence[str]) -> tuple[str, ...]:
    from copykit.brief.catalog import placement

    return tuple(dict.fromkeys(placement(name).id for name in names))


def _languages(names: Sequence[str], mapping: ColumnMap) -> tuple[str, ...]:
    from copykit.brief.catalog import language

    if not names:
        names = ("own",) if mapping.use("language") else ("en",)
    if "own" in names and mapping.use("language") is None:
        raise InvalidRequest(
            "language", "own", "no column holds the rows' language; --map language=COLUMN names it"
        )
    return tuple(dict.fromkeys(name if name == "own" else language(name).tag for name in names))


def _validate(options: dict[str, Any]) -> None:
    """Refuse a wrong tone, use case or provider once, before the run, not in every line."""
    from copykit.brief import catalog
    from copykit.models import CopywritingInput

    CopywritingInput(product_description="x", target_platform="x", **options)
    if "tone" in options:
        catalog.tone(options["tone"])
    if "use_case" in options:
        catalog.use_case(options["use_case"])
    if "provider" in options:
        from copykit.providers.registry import load_provider

        load_provider(options["provider"].partition(":")[0])


def _notes(
    mapping: ColumnMap, sample: Sequence[Row], order: _Order, languages: Sequence[str]
) -> Iterator[str]:
    if mapping.use("price") and not mapping.use("currency") and not any(map(_priced(mapping), sample)):
        yield "prices without a currency are left out of the copy; --map currency==EUR names one for all rows"
    if not order.languages:
        yield f"language: {languages[0]} (no --language given)"
    ads = [name for name in order.outputs.uploads if name in ("google-ads-editor", "microsoft-ads")]
    if ads and not (order.destination.campaign and order.destination.ad_group):
        yield f"{', '.join(ads)}: without --campaign and --ad-group every row is listed as left out"


def _priced(mapping: ColumnMap) -> Callable[[Row], bool]:
    from copykit.feeds.mapping import brief_of

    def priced(row: Row) -> bool:
        try:
            return "price" in brief_of(row, mapping)["facts"]
        except InvalidRequest:
            return False

    return priced


def _parameters(
    order: _Order,
    source: Source,
    mapping: ColumnMap,
    placements: Sequence[str],
    languages: Sequence[str],
    settings: Settings,
) -> dict[str, Any]:
    """Everything that shapes the lines; two runs with the same values write the same lines."""
    from importlib.metadata import version

    from copykit.brief.catalog import platforms_version

    return {
        "input bytes": source.size_bytes,
        "input sha256": source.sha256,
        "input format": source.format,
        "mapping": mapping.as_dict(),
        "platforms": list(placements),
        "languages": list(languages),
        "limit": order.limit,
        "copykit": version("copykit"),
        "platform data": platforms_version(),
        "configured providers": list(settings.routing.providers),
        "final url": order.destination.final_url if _final_url(order, placements) else None,
        **order.options,
    }


def _final_url(order: _Order, placements: Sequence[str]) -> tuple[str, frozenset[str]] | None:
    """The address template, and the placements whose copy holds an address of its own."""
    from copykit.brief.catalog import placement

    template = order.destination.final_url
    linked = frozenset(
        name for name in placements if any(f.name == "final_url" for f in placement(name).fields)
    )
    return (template, linked) if template and linked else None


def _keep_input(order: _Order) -> None:
    outputs = order.outputs
    for path in (outputs.journal, outputs.packed, outputs.people):
        if path is not None and path.exists() and path.samefile(order.path):
            raise InvalidRequest("out", str(path), "is the input itself")


def _replay(journal: Journal, stats: BatchStats) -> None:
    from copykit.feeds.journal import read_lines

    for line in islice(read_lines(journal.path), journal.done):
        stats.add(line)


def _check_place(journal: Journal, jobs: Iterator[Any]) -> None:
    """Make sure that the last line kept is the one that the plan has there."""
    last = journal.last()
    if last is None:
        return
    job = next(jobs, None)
    if job is None or (job.row, job.id, job.placement) != (last.row, last.id, last.placement):
        raise InvalidRequest("resume", f"row {last.row}", "the lines in the file are not those of this run")


def _export(
    order: _Order,
    mapping: ColumnMap,
    placements: Sequence[str],
    languages: Sequence[str],
    rows: Callable[[], Iterator[Row | BadRow]],
    reasons: Callable[[Any], list[str]],
) -> Exported:
    from copykit.brief.catalog import placement
    from copykit.feeds.export import Exported, export
    from copykit.feeds.journal import read_lines

    outputs = order.outputs
    if not outputs.uploads and outputs.people is None:
        return Exported()
    most: dict[str, int] = {}
    for name in placements:
        for spec in placement(name).fields:
            most[spec.name] = max(most.get(spec.name, 1), spec.max_count)
    return export(
        read_lines(outputs.journal),
        rows(),
        mapping,
        base=outputs.base,
        formats=outputs.uploads,
        destination=order.destination,
        per_language=len(languages) > 1 or "own" in languages,
        people=(outputs.people, tuple(most.items())) if outputs.people else None,
        reasons=reasons,
    )


def _pack(outputs: Outputs) -> None:
    """Turn the finished journal into the .gz that was asked for."""
    if outputs.packed is None:
        return
    import shutil

    from copykit.feeds.journal import replace_file

    with replace_file(outputs.packed) as packed, outputs.journal.open("rb") as plain:
        shutil.copyfileobj(plain, packed, 1 << 20)
    outputs.journal.unlink()


def _unpack(outputs: Outputs) -> None:
    """Bring a packed result back as a journal, so that a finished run can be exported again."""
    if outputs.packed is None or outputs.journal.exists() or not outputs.packed.exists():
        return
    import gzip
    import shutil

    from copykit.feeds.journal import replace_file

    with replace_file(outputs.journal) as plain, gzip.open(outputs.packed, "rb") as packed:
        shutil.copyfileobj(packed, plain, 1 << 20)


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


def _show_mapping(mapping: ColumnMap, source: Source, notes: Sequence[str], console: Console) -> None:
    from copykit.cli.table import Table

    table = Table(title=f"{source.format}, {source.encoding}: what is read from where", title_justify="left")
    for head in ("field", "column", "why"):
        table.add_column(head)
    for use in mapping.uses:
        table.add_row(use.field, _escape(use.column), use.why)
    for column, why in mapping.unused[:12]:
        table.add_row("[dim]-[/dim]", f"[dim]{_escape(column)}[/dim]", f"[dim]{_escape(why)}[/dim]")
    if len(mapping.unused) > 12:
        table.add_row(
            "[dim]-[/dim]", f"[dim]{len(mapping.unused) - 12} more columns[/dim]", "[dim]not used[/dim]"
        )
    console.print(table)
    for note in notes:
        console.print(f"note: {_escape(note)}", highlight=False)


def _show(summary: dict[str, Any], console: Console) -> None:
    from copykit.cli.table import Table

    table = Table(title="result", title_justify="left", show_header=False)
    table.add_row("rows in / out", f"{summary['rows_in']} / {summary['rows_out']}")
    status = ", ".join(f"{count} {name}" for name, count in summary["status"].items())
    table.add_row("lines", f"{summary['lines']}: {status}")
    if summary["served_by"]:
        table.add_row(
            "written by", ", ".join(f"{_escape(who)} ({n})" for who, n in summary["served_by"].items())
        )
    if summary["lines_per_s"]:
        table.add_row("speed", f"{summary['lines_per_s']} lines/s in {summary['seconds']} s")
    if summary["resumed_after"]:
        table.add_row("resumed after", f"{summary['resumed_after']} lines")
    for kind, label in (("reasons", "why not"), ("left_out", "left out of uploads")):
        for entry in summary[kind]:
            table.add_row(label, f"{entry['lines']} x {_escape(entry['reason'])}")
    for entry in summary["remarks"]:
        table.add_row("remark", f"{entry['lines']} x {_escape(entry['remark'])}")
    for path, count in summary["files"].items():
        table.add_row("file", f"{_escape(path)} ({count} rows)")
    console.print(table)
    for note in summary["notes"][-3:]:
        if "no line for its placement" in note:
            console.print(f"note: {_escape(note)}", highlight=False)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)
