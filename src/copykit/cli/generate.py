"""``copykit generate``: one brief from the shell."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console

from copykit.accel import loop as loops
from copykit.cli.complaint import INTERRUPTED, complain
from copykit.cli.copy_view import show_output
from copykit.errors import CopykitError, InvalidRequest, excerpt
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.service import CopywritingServiceV11

__all__ = ["command"]


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
    stream: Annotated[
        bool, typer.Option("--stream", help="Show copy as it is written; with --json an event a line.")
    ] = False,
) -> None:
    """Write copy for one brief.

    Example: copykit generate "Oak desk, oiled" --name Norr --platform google_ads.rsa --fact width="120 cm"

    Exit status: 0 fine, 1 the best variant was rejected, 2 the brief cannot be served, 78 wrong settings,
    130 interrupted: what was billed until then is told.
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
        if plain and (as_json or stream):
            other = "--json" if as_json else "--stream"
            raise InvalidRequest("plain", plain, f"{other} and --plain exclude each other")
        if description == "-":
            fields["product_description"] = _piped()
        fields["facts"] = _pairs(fact or [])
        request = CopywritingInput(**fields)
        if stream:
            from copykit.cli.generate_stream import follow  # only who streams pays for it

            output = loops.run(follow(request, as_json=as_json))
        else:
            output, took_s = loops.run(_generate(request))
    except CopykitError as error:
        raise typer.Exit(complain(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if stream:
        pass
    elif as_json:
        typer.echo(json.dumps(output.model_dump(mode="json"), ensure_ascii=False, indent=2))
    elif plain:
        typer.echo("\n\n".join(variant.text for variant in output.variants))
    else:
        show_output(Console(), output, took_s)
    raise typer.Exit(1 if output.variants[0].status == "rejected" else 0)


async def _generate(request: CopywritingInput) -> tuple[CopywritingOutput, float]:
    began = time.monotonic()
    async with CopywritingServiceV11() as service:
        try:
            return await service.generate(request), time.monotonic() - began
        except asyncio.CancelledError:
            from copykit.cli.bill import bill_of  # Ctrl-C

            complain(f"interrupted, the connection is closed; {await bill_of(service, request)}")
            raise


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
