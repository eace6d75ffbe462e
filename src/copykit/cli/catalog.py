"""``copykit catalog``: the placements, languages, tones, use cases and structures that copykit knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from copykit.brief import catalog
from copykit.cli.complaint import complain
from copykit.cli.table import Table
from copykit.errors import InvalidRequest

__all__ = ["app"]

app = typer.Typer(
    help="Show what copykit knows: platforms, languages, tones, use cases, structures.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_UNITS = {
    "cp": "characters",
    "u16": "UTF-16 units",
    "u8": "bytes",
    "gr": "graphemes",
    "dw": "display width",
    "xw": "X weight",
    "threads": "Threads characters",
    "sms": "SMS segments",
    "px": "pixels",
    "w": "words",
    "s": "seconds",
}
_LETTERS = {"A": "green", "B": "green", "M": "green", "C": "yellow", "U": "dim"}
_LEGEND = "A, B, M: verified, a text beyond it is an error; C, U: secondary or unsourced, a warning."

_Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show this one in full.")]
_Json = Annotated[bool, typer.Option("--json", help="Print data instead of tables.")]
_Entry = TypeVar(
    "_Entry", catalog.Placement, catalog.Language, catalog.Tone, catalog.UseCase, catalog.Structure
)


@app.command("platforms")
def platforms(name: _Name = None, as_json: _Json = False) -> None:
    """Show the placements with their fields and limits.

    A platform's name shows its default placement and names the others.

    Example: copykit catalog platforms google_ads.rsa
    """
    _answer(name, as_json, catalog.placement, catalog.placements, _placement_table, _show_placement)


@app.command("languages")
def languages(name: _Name = None, as_json: _Json = False) -> None:
    """Show the languages with their punctuation, forms of address and numbers.

    Example: copykit catalog languages es-MX
    """
    _answer(name, as_json, catalog.language, catalog.languages, _language_table, _show_language)


@app.command("tones")
def tones(name: _Name = None, as_json: _Json = False) -> None:
    """Show the tones of voice with their markers.

    Example: copykit catalog tones playful
    """
    _answer(name, as_json, catalog.tone, catalog.tones, _tone_table, _show_tone)


@app.command("use-cases")
def use_cases(name: _Name = None, as_json: _Json = False) -> None:
    """Show what copy can be for: structures, facts it needs, calls to action.

    Example: copykit catalog use-cases product_launch
    """
    _answer(name, as_json, catalog.use_case, catalog.use_cases, _use_case_table, _show_use_case)


@app.command("structures")
def structures(name: _Name = None, as_json: _Json = False) -> None:
    """Show the copy structures with their steps.

    Example: copykit catalog structures aida
    """
    _answer(name, as_json, catalog.structure, catalog.structures, _structure_table, _show_structure)


def _answer(
    name: str | None,
    as_json: bool,
    find: Callable[[str], _Entry],
    every: Callable[[], Sequence[_Entry]],
    table: Callable[[Sequence[_Entry]], Table],
    show: Callable[[Console, _Entry], None],
) -> None:
    console = Console()
    if name is None:
        entries = every()
        if as_json:
            _print_json([asdict(entry) for entry in entries])
        else:
            table(entries).show(console)
        return
    try:
        found = find(name)
    except InvalidRequest as error:
        raise typer.Exit(complain(error)) from None
    if as_json:
        _print_json(asdict(found))
    else:
        show(console, found)


def _print_json(value: object) -> None:
    # Dates are the only values of the catalogue that JSON has no form for.
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def _row(table: Table, *cells: object) -> None:
    # Data may hold square brackets; as Text they are never read as markup.
    table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))


def _facts(console: Console, heading: str, rows: Iterable[tuple[str, object]]) -> None:
    console.print(Text(heading, style="bold"))
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        if value not in ("", None, ()):
            _row(table, label, ", ".join(value) if isinstance(value, tuple) else value)
    table.show(console)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _range(least: float | None, most: float | None) -> str:
    if least is None or most is None:
        return (
            f"≤ {_number(most)}" if most is not None else f"≥ {_number(least)}" if least is not None else ""
        )
    return _number(least) if least == most else f"{_number(least)}-{_number(most)}"


def _letter(confidence: str) -> Text:
    return Text(confidence, style=_LETTERS.get(confidence, ""))


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:+.0%}"


def _field_in_short(spec: catalog.FieldSpec) -> str:
    count = f"{_range(spec.min_count, spec.max_count)} × " if spec.is_list else ""
    bounds = [f"{_number(limit.hard)} {limit.unit}" for limit in spec.limits if limit.hard is not None]
    advised = [
        f"{_range(limit.rec_min, limit.rec_max)} {limit.unit} advised"
        for limit in spec.limits
        if limit.rec_min is not None or limit.rec_max is not None
    ]
    size = " and ".join(bounds) or (advised[0] if advised else "")
    return f"{spec.name} {count}{size}".rstrip(" ×")


def _placement_table(entries: Sequence[catalog.Placement]) -> Table:
    table = Table(title=f"{len(entries)} placements", title_justify="left", caption_justify="left")
    table.caption = "Units: " + ", ".join(f"{unit} {words}" for unit, words in _UNITS.items())
    table.add_column("placement", style="bold", no_wrap=True)
    table.add_column("kind")
    table.add_column("fields and hard limits")
    platform = ""
    for entry in entries:
        if platform not in ("", entry.platform):
            table.add_section()
        platform = entry.platform
        _row(table, entry.id, entry.kind, "; ".join(_field_in_short(spec) for spec in entry.fields))
    return table


def _policy(policy: catalog.Policy) -> str:
    parts = []
    if policy.hard_max is not None:
        parts.append("forbidden" if policy.hard_max == 0 else f"at most {policy.hard_max}")
    if policy.rec_max is not None and policy.rec_max != policy.hard_max:
        parts.append("better none" if policy.rec_max == 0 else f"{policy.rec_max} advised at most")
    origin = f" ({policy.confidence}, {policy.source})" if policy.source != "-" else f" ({policy.confidence})"
    return ", ".join(parts) + origin if parts else ""


def _show_placement(console: Console, entry: catalog.Placement) -> None:
    _facts(
        console,
        f"{entry.id} - {entry.name}",
        (
            ("kind", entry.kind),
            ("use case", entry.use_case),
            ("items", "shown in any order, each on its own" if entry.independent else ""),
            ("emoji", _policy(entry.emoji)),
            ("hashtags", _policy(entry.hashtags)),
            ("links", _policy(entry.links)),
            ("casing", entry.casing),
            ("tokens", entry.token_syntax),
            ("rules", entry.rules),
            ("note", entry.note),
        ),
    )
    table = Table(caption=_LEGEND, caption_justify="left")
    for column in ("field", "items", "unit", "hard", "advised", "conf", "source", "beyond it"):
        table.add_column(column, justify="right" if column in ("hard", "advised") else "left")
    for spec in entry.fields:
        items = _range(spec.min_count, spec.max_count)
        if spec.default_count != spec.max_count:
            items += f", {spec.default_count} filled"
        label = Text.assemble((spec.name, "bold"), (f"\n{spec.role}", "dim"))
        rows: list[tuple[Any, ...]] = [
            (
                limit.unit,
                _number(limit.hard),
                _range(limit.rec_min, limit.rec_max),
                _letter(limit.confidence),
                " ".join(part for part in (limit.source, limit.source_date) if part != "-"),
                limit.on_exceed if limit.hard is not None else "",
            )
            for limit in spec.limits
        ]
        blank = ("", "", "", _letter(spec.confidence), spec.source.strip("-"), "")
        for index, cells in enumerate(rows or [blank]):
            _row(table, label if index == 0 else "", items if index == 0 else "", *cells)
        table.add_section()
    table.show(console)
    for spec in entry.fields:
        notes = [spec.note, *(_limit_note(limit) for limit in spec.limits)]
        if spec.choices:
            notes.append(f"choose from: {', '.join(spec.choices)}")
        if spec.rules:
            notes.append(f"rules: {', '.join(spec.rules)}")
        for note in filter(None, notes):
            console.print(Text.assemble((f"{spec.name}: ", "bold"), note))
    siblings = [i for i in catalog.placement_ids() if i.partition(".")[0] == entry.platform and i != entry.id]
    if siblings:
        console.print(Text(f"Other placements: {', '.join(siblings)}", style="dim"))


def _limit_note(limit: catalog.Limit) -> str:
    parts = [limit.note]
    if limit.valid_from:
        parts.append(f"from {limit.valid_from.isoformat()}")
    if limit.regions:
        parts.append(f"only in {', '.join(limit.regions)}")
    if limit.exempt_regions:
        parts.append(f"not in {', '.join(limit.exempt_regions)}")
    text = "; ".join(part.rstrip(".") for part in parts if part)
    size = f"{_number(limit.hard)} {limit.unit}" if limit.hard is not None else limit.unit
    return f"{size}: {text}" if text else ""


def _language_table(entries: Sequence[catalog.Language]) -> Table:
    table = Table(title=f"{len(entries)} language tags", title_justify="left")
    for column in (
        "tag",
        "name",
        "native name",
        "script",
        "dir",
        "quotes",
        "neutral address",
        "labels vs en",
    ):
        table.add_column(column, no_wrap=column == "tag", style="bold" if column == "tag" else "")
    for entry in entries:
        _row(
            table, entry.tag, entry.name, entry.native_name, entry.script, entry.direction,
            "{}{} {}{}".format(*entry.quotes), entry.formality["N"], _ratio(entry.label_expansion),
        )  # fmt: skip
    return table


def _show_language(console: Console, entry: catalog.Language) -> None:
    price = entry.currency.format(n=f"1{entry.group}234", symbol=entry.currency_symbol)
    speech = f"{entry.speech_rate:g} {entry.speech_unit} a second" if entry.speech_rate else ""
    _facts(
        console,
        f"{entry.tag} - {entry.name} ({entry.native_name})",
        (
            ("script", f"{entry.script}, {entry.direction}"),
            ("quotes", "{} {} then {} {}".format(*entry.quotes)),
            ("punctuation", entry.punctuation),
            ("headlines", f"{entry.headline_casing} case" if entry.headline_casing != "none" else "no case"),
            ("spaces", "" if entry.spaces_between_words else "none between words"),
            ("formal", entry.formality["F"]),
            ("neutral", entry.formality["N"]),
            ("casual", entry.formality["C"]),
            ("", entry.formality_note),
            ("numbers", f"1{entry.group}234{entry.decimal}5, {entry.percent.format(n=25)}, {price}"),
            ("digits", entry.digits),
            (
                "length",
                f"labels {_ratio(entry.label_expansion)}, sentences {_ratio(entry.sentence_expansion)}",
            ),
            ("speech", speech),
            ("cautions", "; ".join(entry.cautions)),
            ("phrases", "read by a native speaker" if entry.reviewed else "not yet read by a native speaker"),
        ),
    )


def _tone_table(entries: Sequence[catalog.Tone]) -> Table:
    table = Table(title=f"{len(entries)} tones", title_justify="left")
    table.add_column("tone", style="bold", no_wrap=True)
    for column in ("definition", "family", "words a sentence", "!", "address", "emoji"):
        table.add_column(column)
    for entry in entries:
        _row(
            table, entry.id, entry.definition, entry.family,
            f"{entry.mean_sentence_words} (≤ {entry.max_sentence_words})",
            entry.exclamations_per_field, entry.address, entry.max_emoji,
        )  # fmt: skip
    return table


def _show_tone(console: Console, entry: catalog.Tone) -> None:
    axes = zip(("formal", "serious", "respectful", "enthusiastic"), entry.axes, strict=True)
    conflicts = tuple(
        ", ".join([*(t for t in c.tones if t != entry.id), *c.use_cases, *c.subjects]) + f": {c.reason}"
        for c in catalog.tone_conflicts()
        if entry.id in c.tones
    )
    _facts(
        console,
        f"{entry.id} - {entry.definition}",
        (
            ("family", entry.family),
            ("also called", entry.aliases),
            ("axes -2..+2", ", ".join(f"{name} {value:+d}" for name, value in axes)),
            (
                "sentences",
                f"{entry.mean_sentence_words} words on average, {entry.max_sentence_words} at most",
            ),
            ("contractions", entry.contractions),
            ("!", f"{entry.exclamations_per_field} a field, {entry.exclamations_per_100_words} in 100 words"),
            ("person", entry.person),
            ("address", {"F": "formal", "N": "neutral", "C": "casual"}[entry.address]),
            ("emoji", f"at most {entry.max_emoji} a post" if entry.max_emoji else "none"),
            ("signals", entry.signals),
            ("avoid", entry.avoid),
            ("clashes with", "; ".join(conflicts)),
        ),
    )


def _use_case_table(entries: Sequence[catalog.UseCase]) -> Table:
    table = Table(title=f"{len(entries)} use cases", title_justify="left")
    table.add_column("use case", style="bold", no_wrap=True)
    for column in ("structures", "facts it needs", "calls to action", "notes"):
        table.add_column(column)
    for entry in entries:
        _row(
            table, entry.id, ", ".join(entry.structures), ", ".join(entry.required_facts),
            ", ".join(entry.cta_intents), entry.notes,
        )  # fmt: skip
    return table


def _show_use_case(console: Console, entry: catalog.UseCase) -> None:
    _facts(
        console,
        entry.id,
        (
            ("also called", entry.aliases),
            ("structures", entry.structures),
            ("facts", entry.required_facts),
            ("call to action", entry.cta_intents),
            ("at most", f"{entry.max_words} words" if entry.max_words else ""),
            ("notes", entry.notes),
            ("placements", tuple(p.id for p in catalog.placements() if p.use_case == entry.id)),
        ),
    )


def _structure_table(entries: Sequence[catalog.Structure]) -> Table:
    table = Table(title=f"{len(entries)} structures", title_justify="left")
    table.add_column("structure", style="bold", no_wrap=True)
    for column in ("steps", "best for", "conf", "source"):
        table.add_column(column)
    for entry in entries:
        steps = " → ".join(entry.steps)
        if not entry.ordered:
            steps = f"{', '.join(entry.filter)} (a filter over {steps})"
        _row(table, entry.id, steps, entry.best_for, _letter(entry.confidence), entry.source.strip("-"))
    return table


def _show_structure(console: Console, entry: catalog.Structure) -> None:
    steps = zip(entry.steps, entry.functions, strict=True)
    _facts(
        console,
        f"{entry.id} - {entry.name}",
        (
            ("steps", " → ".join(f"{step} ({function})" for step, function in steps)),
            ("filter", entry.filter),
            ("best for", entry.best_for),
            ("source", f"{entry.source.strip('-') or 'none'} ({entry.confidence})"),
            ("note", entry.note),
            ("use cases", tuple(u.id for u in catalog.use_cases() if entry.id in u.structures)),
        ),
    )
