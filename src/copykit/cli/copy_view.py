"""How copy looks on a terminal: fields with their lengths, what was found in them, and the receipt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from copykit.brief.catalog import FieldSpec, Limit, placement
from copykit.cli.table import Table
from copykit.drafts.measure import measure
from copykit.models import CopyVariant, CopywritingOutput, Violation

__all__ = [
    "COLOURS",
    "MARKS",
    "field_table",
    "label_of",
    "length_of",
    "readable",
    "receipt_line",
    "remark_table",
    "show_notes",
    "show_output",
    "specs_of",
]

COLOURS = {
    "ok": "green",
    "repaired": "yellow",
    "rejected": "red",
    "error": "red",
    "warning": "yellow",
    "info": "dim",
    "written": "dim",
}
"""Of a status or a severity."""
MARKS = {"error": "✗", "warning": "!", "info": "·", "ok": "✓", "repaired": "~", "written": "›"}
"""Of a severity, of what has none, and of a text that is still being written."""
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TURNS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def readable(text: str) -> str:
    """Give *text* without what a terminal would obey: control characters as their numbers, no turns of direction."""
    return _TURNS.sub("", _COMMANDS.sub(lambda found: f"\\x{ord(found.group()):02x}", text))


def show_output(console: Console, output: CopywritingOutput, took_s: float) -> None:
    """Print every variant, best first, then what there is to know, and the receipt."""
    specs = specs_of(output.placement)
    for number, variant in enumerate(output.variants, 1):
        _head(console, f"{number} of {len(output.variants)}", output, variant)
        field_table(_rows(variant), specs, output.language, header=True).show(console)
        if variant.violations:
            remark_table(variant.violations).show(console)
    show_notes(console, output, took_s)


def _head(console: Console, number: str, output: CopywritingOutput, variant: CopyVariant) -> None:
    told = f" {output.placement} · {output.language} · {output.tone} · {variant.structure or ''} "
    title = Text.assemble((number, "bold"), told, (variant.status, COLOURS[variant.status]))
    if title.cell_len + 4 > console.width:  # a rule would cut its end, which is the status
        console.print(title)
    else:
        console.rule(title, align="left")


def show_notes(console: Console, output: CopywritingOutput, took_s: float) -> None:
    """Print what became of the restrictions, the remarks, and the receipt as one line."""
    for report in output.restrictions:
        how = "checked in every text" if report.enforced == "check" else "guidance for a model, not checked"
        console.print(Text(f" restriction “{report.text}”: {how} ({report.kind})", style="dim"))
    for line in output.info:
        console.print(Text(f" {line}", style="dim"))
    console.print(Text(receipt_line(output, took_s), style="cyan"), soft_wrap=True)


def receipt_line(output: CopywritingOutput, took_s: float) -> str:
    """Say who served, what it cost, how often it was mended and how long it took."""
    receipt, usage = output.receipt, output.usage
    cost = "cost unknown" if usage.cost_usd is None else f"{usage.cost_usd:.4g} USD"
    saved = receipt.saved_usd
    if output.cached or saved is not None:
        cost += ", what it saved is unknown" if saved is None else f", saved {saved:.4g} USD"
    served = f"cache {receipt.cache}" if receipt.cache else _counted(len(receipt.attempts), "attempt")
    repairs = _counted(len(receipt.repairs), "repair")
    return f" receipt: {' · '.join((receipt.served_by, served, cost, repairs, f'{took_s:.1f} s', output.id))}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def remark_table(violations: Iterable[Violation], *, fields: bool = True) -> Table:
    """Give mark, rule and message of each; with *fields* also where it was found."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    for is_narrow in (True, True, False):
        table.add_column(no_wrap=is_narrow)
    for violation in violations:
        where = f"{violation.field}: " if violation.field and fields else ""
        words = (" " + MARKS[violation.severity], violation.rule, readable(where + violation.message))
        table.add_row(*(Text(word, style=COLOURS[violation.severity]) for word in words))
    return table


def specs_of(placement_id: str) -> dict[str, FieldSpec]:
    """Give the fields of a placement by their names."""
    return {spec.name: spec for spec in placement(placement_id).fields}


def label_of(field: str) -> str:
    """Write ``headlines[3]`` as people count: ``headlines 4``."""
    name, _, index = field.partition("[")
    return f"{name} {int(index[:-1]) + 1}" if index else name


Row = tuple[str, str, str]
"""A field as events name it (``headlines[3]``), its text, and its status or severity."""


def _rows(variant: CopyVariant) -> list[Row]:
    rows: list[Row] = []
    for name, value in variant.fields.items():
        status = variant.field_status.get(name, "ok")
        texts = {name: value} if isinstance(value, str) else {f"{name}[{i}]": t for i, t in enumerate(value)}
        rows += [(field, text, status) for field, text in texts.items()]
    return rows


def field_table(
    rows: Iterable[Row],
    specs: Mapping[str, FieldSpec],
    language: str,
    *,
    header: bool = False,
    marked: bool = False,
) -> Table:
    """Give a line a text: its name, its length against its limit, and the text, folded where it is wide.

    With *marked* the name is led by a mark, since colours alone do not reach everybody.
    """
    table = Table(box=None, pad_edge=False, show_header=header, header_style="dim")
    table.add_column("field", no_wrap=True)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("copy", overflow="fold")
    for field, text, state in rows:
        length = length_of(text, specs.get(field.partition("[")[0]), language)
        label = f"{MARKS[state]} {label_of(field)}" if marked else label_of(field)
        table.add_row(Text(label, style=COLOURS[state]), length, Text(readable(text)))
    return table


def length_of(text: str, spec: FieldSpec | None, language: str) -> Text:
    """Show the measured length against the bound that is nearest to being reached."""
    if spec is None or not spec.limits:
        return Text(str(len(text)), style="dim")
    limit = max(spec.limits, key=lambda one: _share(text, one, language))
    size = measure(text, limit.unit, language=language, emoji_double=limit.emoji_double)
    bound = limit.hard if limit.hard is not None else limit.rec_max
    over = limit.hard is not None and size > limit.hard
    shown = f"{size:g}/{bound:g} {limit.unit}" if bound is not None else f"{size:g} {limit.unit}"
    return Text(shown, style="red" if over else "dim")


def _share(text: str, limit: Limit, language: str) -> float:
    bound = limit.hard or limit.rec_max or float("inf")
    return measure(text, limit.unit, language=language, emoji_double=limit.emoji_double) / bound
