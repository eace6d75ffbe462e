"""``copykit generate``: one brief from the shell."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from copykit.accel import loop as loops
from copykit.brief.catalog import FieldSpec, Limit, placement
from copykit.cli.complaint import complain
from copykit.cli.table import Table
from copykit.drafts.measure import measure
from copykit.errors import CopykitError, InvalidRequest, excerpt
from copykit.models import CopyVariant, CopywritingInput, CopywritingOutput, Violation
from copykit.service import CopywritingServiceV11

__all__ = ["command"]

_COLOURS = {
    "ok": "green",
    "repaired": "yellow",
    "rejected": "red",
    "error": "red",
    "warning": "yellow",
    "info": "dim",
}
_MARKS = {"error": "✗", "warning": "!", "info": "·"}


def command(
    description: Annotated[str, typer.Argument(help="What is sold; '-' reads it from standard input.")],
    name: Annotated[str | None, typer.Option(help="Product or brand name.")] = None,
    platform: Annotated[
        str, typer.Option(help="Platform or placement, see 'copykit catalog platforms'.")
    ] = "x",
    use_case: Annotated[str | None, typer.Option(help="What for, see 'copykit catalog use-cases'.")] = None,
    tone: Annotated[str, typer.Option(help="See 'copykit catalog tones'.")] = "professional",
    language: Annotated[str, typer.Option(help="BCP-47 tag or name.")] = "en",
    audience: Annotated[str | None, typer.Option(help="Who reads it.")] = None,
    key_point: Annotated[list[str] | None, typer.Option(help="A point to make; repeatable.")] = None,
    restriction: Annotated[
        list[str] | None, typer.Option(help="What to avoid, in plain words; repeatable.")
    ] = None,
    instructions: Annotated[str | None, typer.Option(help="Guidance for a model.")] = None,
    fact: Annotated[
        list[str] | None, typer.Option(help="A fact as KEY=VALUE, each key once; repeatable.")
    ] = None,
    cta: Annotated[str | None, typer.Option(help="Call to action, used as it is.")] = None,
    url: Annotated[str | None, typer.Option(help="Address that copy may carry.")] = None,
    keyword: Annotated[list[str] | None, typer.Option(help="Search word or hashtag; repeatable.")] = None,
    variants: Annotated[int, typer.Option(help="How many, 1 to 20.")] = 1,
    creativity: Annotated[float, typer.Option(help="0 to 1.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Another number, other choices.")] = 0,
    provider: Annotated[str | None, typer.Option(help="NAME or NAME:MODEL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print the copy alone.")] = False,
) -> None:
    """Write copy for one brief.

    Example: copykit generate "Oak desk, oiled" --name Norr --platform google_ads.rsa --fact width="120 cm"

    Exit status: 0 fine, 1 the best variant was rejected, 2 the brief cannot be served, 78 wrong settings.
    """
    fields: dict[str, Any] = {
        "product_description": description,
        "product_name": name,
        "target_platform": platform,
        "use_case": use_case,
        "tone": tone,
        "language": language,
        "target_audience": audience,
        "key_points": key_point or [],
        "restrictions": restriction or [],
        "instructions": instructions,
        "facts": {},
        "call_to_action": cta,
        "url": url,
        "keywords": keyword or [],
        "variants": variants,
        "creativity_level": creativity,
        "seed": seed,
        "provider": provider,
    }
    try:
        if as_json and plain:
            raise InvalidRequest("plain", plain, "--json and --plain exclude each other")
        if description == "-":
            fields["product_description"] = _piped()
        fields["facts"] = _pairs(fact or [])
        output = loops.run(_generate(fields))
    except CopykitError as error:
        raise typer.Exit(complain(error)) from None
    if as_json:
        typer.echo(json.dumps(output.model_dump(mode="json"), ensure_ascii=False, indent=2))
    elif plain:
        typer.echo("\n\n".join(variant.text for variant in output.variants))
    else:
        _show(output)
    raise typer.Exit(1 if output.variants[0].status == "rejected" else 0)


async def _generate(fields: dict[str, Any]) -> CopywritingOutput:
    async with CopywritingServiceV11() as service:
        return await service.generate(CopywritingInput(**fields))


def _piped() -> str:
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "description", "-", f"standard input is not UTF-8 (byte {error.start})"
        ) from None


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InvalidRequest("fact", text, "must be KEY=VALUE, e.g. price='49 EUR'")
        key = key.strip()
        if key in pairs:
            raise InvalidRequest("fact", text, f"{excerpt(key)} is already {excerpt(pairs[key])}")
        pairs[key] = value
    return pairs


def _show(output: CopywritingOutput) -> None:
    console = Console()
    specs = {spec.name: spec for spec in placement(output.placement).fields}
    for number, variant in enumerate(output.variants, 1):
        colour = _COLOURS[variant.status]
        console.rule(
            f"[bold]{number} of {len(output.variants)}[/] {output.placement} · {output.language}"
            f" · {output.tone} · {variant.structure or ''} [{colour}]{variant.status}[/]",
            align="left",
        )
        console.print(_table(variant, specs, output.language))
        if variant.violations:
            console.print(_remarks(variant.violations))
    for report in output.restrictions:
        how = "checked in every text" if report.enforced == "check" else "guidance for a model, not checked"
        console.print(Text(f" restriction “{report.text}”: {how} ({report.kind})", style="dim"))
    for line in output.info:
        console.print(Text(f" {line}", style="dim"))
    console.print(Text(_receipt(output), style="cyan"), soft_wrap=True)


def _receipt(output: CopywritingOutput) -> str:
    receipt, usage = output.receipt, output.usage
    cost = "cost unknown" if usage.cost_usd is None else f"{usage.cost_usd:.4g} USD"
    if output.cached:
        saved = receipt.saved_usd
        cost += ", what it saved is unknown" if saved is None else f", saved {saved:.4g} USD"
    served = f"cache {receipt.cache}" if receipt.cache else _counted(len(receipt.attempts), "attempt")
    parts = (receipt.served_by, served, cost, _counted(len(receipt.repairs), "repair"), output.id)
    return f" receipt: {' · '.join(parts)}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _remarks(violations: list[Violation]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    for is_narrow in (True, True, False):
        table.add_column(no_wrap=is_narrow)
    for violation in violations:
        where = f"{violation.field}: " if violation.field else ""
        words = (" " + _MARKS[violation.severity], violation.rule, where + violation.message)
        table.add_row(*(Text(word, style=_COLOURS[violation.severity]) for word in words))
    return table


def _table(variant: CopyVariant, specs: dict[str, FieldSpec], language: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    table.add_column("field", no_wrap=True)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("copy", overflow="fold")
    for name, value in variant.fields.items():
        texts = [value] if isinstance(value, str) else value
        status = variant.field_status.get(name, "ok")
        for index, text in enumerate(texts):
            label = name if isinstance(value, str) else f"{name} {index + 1}"
            table.add_row(
                Text(label, style=_COLOURS[status]), _length(text, specs.get(name), language), Text(text)
            )
    return table


def _length(text: str, spec: FieldSpec | None, language: str) -> Text:
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
