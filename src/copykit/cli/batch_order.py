"""What ``copykit batch`` was asked for, and what that means for its input: settled before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from copykit.batch import Job, plan
from copykit.brief import catalog
from copykit.brief.han import names_both_scripts
from copykit.errors import InvalidRequest, nearest_names
from copykit.feeds.export import EXPORTS, Destination, check_formats, check_template, upload_files
from copykit.feeds.journal import Journal, replace_file
from copykit.feeds.mapping import ColumnMap, brief_of, guess, override
from copykit.feeds.read import count_rows, read_rows
from copykit.feeds.rows import BadRow, Row, Source, open_source
from copykit.providers.registry import check_targets
from copykit.settings import Settings

__all__ = ["Order", "Outputs", "Work", "prepare"]

_SAMPLE = 200
"""Rows the mapping is guessed from."""
_AD_FORMATS = ("google-ads-editor", "microsoft-ads")


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
        known = ("jsonl", "csv", *EXPORTS)
        wanted = [name.strip().lower().replace("_", "-") for name in formats]
        for name in wanted:
            if name not in known:
                near = nearest_names(name, known)
                raise InvalidRequest("format", name, f"not one of {', '.join(known)}", nearest=near)
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
        uploads = tuple(dict.fromkeys(name for name in wanted if name in EXPORTS))
        return cls(base, journal, packed, people, uploads)

    def keep(self, source: Path, *, resume: bool, overwrite: bool) -> None:
        """Make sure that nothing is lost by writing here.

        Raises:
            InvalidRequest: the input itself would be written over, or what an earlier run left, unless
                *overwrite* asks for that or *resume* finds its run.
        """
        results = [path for path in (self.journal, self.packed, self.people) if path and path.exists()]
        for path in results:
            if path.samefile(source):
                raise InvalidRequest("out", str(path), "is the input itself")
        journal = Journal(self.journal, {})
        if overwrite or (resume and (self.journal.exists() or journal.sidecar.exists())):
            return
        for path in (*results, *(path for name in self.uploads for path in upload_files(self.base, name))):
            if path.stat().st_size:
                raise journal.refusal(path)

    def pack(self) -> None:
        """Turn the finished journal into the .gz that was asked for."""
        if self.packed is None:
            return
        import shutil

        with replace_file(self.packed) as packed, self.journal.open("rb") as plain:
            shutil.copyfileobj(plain, packed, 1 << 20)
        self.journal.unlink()

    def unpack(self) -> None:
        """Bring a packed result back as a journal, so that a finished run can be exported again."""
        if self.packed is None or self.journal.exists() or not self.packed.exists():
            return
        import gzip
        import shutil

        with replace_file(self.journal) as plain, gzip.open(self.packed, "rb") as packed:
            shutil.copyfileobj(packed, plain, 1 << 20)


@dataclass(frozen=True, slots=True)
class Order:
    """A whole command line, read."""

    source: str
    """The input as it was named; ``-`` is standard input."""
    input_format: str | None
    outputs: Outputs
    platforms: tuple[str, ...]
    languages: tuple[str, ...]
    maps: tuple[str, ...]
    options: dict[str, Any]
    """Arguments of `CopywritingInput` that are the same for all lines."""
    concurrency: int | None
    limit: int | None
    resume: bool
    overwrite: bool
    destination: Destination
    budget_usd: float | None = None
    """Dollars that the run may cost, its earlier parts included."""
    yes: bool = False
    """Whether a dear run is begun without asking."""
    estimate: bool = False
    """Whether only the cost is told."""
    economy: bool = False
    """Whether lines are written by batch jobs of the first target."""
    waits: bool = True
    """Whether the end of these is waited for."""


@dataclass(frozen=True, slots=True)
class Work:
    """An order together with its input: which rows, read how, for which placements and languages."""

    order: Order
    settings: Settings
    source: Source
    mapping: ColumnMap
    placements: tuple[str, ...]
    languages: tuple[str, ...]
    rows_in: int
    notes: tuple[str, ...]
    """What the user should know before the run."""

    @property
    def lines(self) -> int:
        """How many lines the whole run writes."""
        return self.rows_in * len(self.placements) * len(self.languages)

    @property
    def targets(self) -> tuple[str, ...]:
        """Who is asked, in order."""
        named = self.order.options.get("provider")
        routing = self.settings.routing
        return routing.targets if named is None else routing.targets_of((named,))

    @property
    def concurrency(self) -> int:
        """Requests in progress at a time."""
        return self.order.concurrency or self.settings.batch.concurrency

    def rows(self) -> Iterator[Row | BadRow]:
        """Read the rows of the run anew."""
        return islice(read_rows(self.source), self.order.limit)

    def jobs(self, skip: int = 0) -> Iterator[Job]:
        """Give the jobs of the run but for the first *skip*."""
        return plan(
            self.rows(),
            self.mapping,
            placements=self.placements,
            languages=self.languages,
            common=self.order.options,
            final_url=self.final_url(),
            skip=skip,
        )

    def final_url(self) -> tuple[str, frozenset[str]] | None:
        """Give the address template, and the placements whose copy holds an address of its own."""
        template = self.order.destination.final_url
        linked = frozenset(
            name
            for name in self.placements
            if any(spec.name == "final_url" for spec in catalog.placement(name).fields)
        )
        return (template, linked) if template and linked else None

    def parameters(self) -> dict[str, Any]:
        """Give everything that shapes the lines; two runs with the same values write the same lines."""
        from importlib.metadata import version

        return {
            "input bytes": self.source.size_bytes,
            "input sha256": self.source.sha256,
            "input format": self.source.format,
            "mapping": self.mapping.as_dict(),
            "platforms": list(self.placements),
            "languages": list(self.languages),
            "limit": self.order.limit,
            "copykit": version("copykit"),
            "platform data": catalog.platforms_version(),
            "configured providers": list(self.settings.routing.targets),
            "final url": self.order.destination.final_url if self.final_url() else None,
            **self.order.options,
            **({"economy": True} if self.order.economy else {}),
        }


def prepare(order: Order, path: Path) -> Work:
    """Read the settings and the input at *path*, and check the whole order against them.

    Raises:
        InvalidRequest: an option cannot be served, or the input holds nothing to write from.
        ConfigurationError: the settings cannot work.
    """
    settings = Settings.from_env(check_targets=check_targets)
    check_template("campaign", order.destination.campaign)
    check_template("ad-group", order.destination.ad_group)
    check_template("final-url", order.destination.final_url)
    source = open_source(path, order.input_format)
    if not order.estimate:
        order.outputs.keep(path, resume=order.resume, overwrite=order.overwrite)
    sample = _sample(source)
    mapping = override(guess(sample), order.maps)
    mapping.check()
    placements = tuple(dict.fromkeys(catalog.placement(name).id for name in order.platforms))
    check_formats(order.outputs.uploads, placements)
    languages = _languages(order.languages, mapping)
    _check_options(order.options)
    rows = count_rows(source)
    work = Work(
        order=order,
        settings=settings,
        source=source,
        mapping=mapping,
        placements=placements,
        languages=languages,
        rows_in=min(rows, order.limit) if order.limit else rows,
        notes=(*source.notes, *_notes(mapping, sample, order, languages)),
    )
    if order.economy:
        _check_economy(work)
    return work


def _sample(source: Source) -> list[Row]:
    first = list(islice(read_rows(source), _SAMPLE))
    sample = [row for row in first if isinstance(row, Row)]
    if not sample:
        damaged = next((row.reason for row in first if isinstance(row, BadRow)), "")
        reason = damaged or "it holds no row; is it only a header?"
        raise InvalidRequest("input", str(source.path), reason)
    return sample


def _languages(names: Sequence[str], mapping: ColumnMap) -> tuple[str, ...]:
    if not names:
        names = ("own",) if mapping.use("language") else ("en",)
    if "own" in names and mapping.use("language") is None:
        raise InvalidRequest(
            "language", "own", "no column holds the rows' language; --map language=COLUMN names it"
        )
    return tuple(dict.fromkeys(name if name == "own" else _tag(name) for name in names))


def _tag(name: str) -> str:
    """Give the catalogue's tag, but what was asked where its results have something to tell: a relative that serves,
    a language of two ways of writing that the row's own words choose from.
    """
    language = catalog.language(name)
    told = not catalog.is_the_same(name, language) or names_both_scripts(name)
    return name.strip() if told else language.tag


def _check_options(options: dict[str, Any]) -> None:
    """Refuse a wrong tone, use case or provider once, before the run, not in every line."""
    from copykit.models import CopywritingInput

    CopywritingInput(product_description="x", target_platform="x", **options)
    if "tone" in options:
        catalog.tone(options["tone"])
    if "use_case" in options:
        catalog.use_case(options["use_case"])
    if "provider" in options:
        from copykit.providers.registry import provider_source

        provider_source(options["provider"].partition(":")[0])


def _check_economy(work: Work) -> None:
    """Refuse a first target without batch jobs."""
    from copykit.economy import jobs_of
    from copykit.providers.registry import load_provider

    target = work.targets[0]
    jobs_of(load_provider(target.partition(":")[0], work.settings), target)


def _notes(
    mapping: ColumnMap, sample: Sequence[Row], order: Order, languages: Sequence[str]
) -> Iterator[str]:
    if (
        mapping.use("price")
        and not mapping.use("currency")
        and not any(_priced(row, mapping) for row in sample)
    ):
        yield "prices without a currency are left out of the copy; --map currency==EUR names one for all rows"
    if not order.languages:
        yield f"language: {languages[0]} (no --language given)"
    ads = [name for name in order.outputs.uploads if name in _AD_FORMATS]
    if ads and not (order.destination.campaign and order.destination.ad_group):
        yield f"{', '.join(ads)}: without --campaign and --ad-group every row is listed as left out"


def _priced(row: Row, mapping: ColumnMap) -> bool:
    try:
        return "price" in brief_of(row, mapping)["facts"]
    except InvalidRequest:
        return False
