"""``copykit providers``: who can be asked, whether they answer, what they hold and what they cost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import typer
from rich.console import Console
from rich.markup import escape

from copykit.accel import loop as loops
from copykit.cli.complaint import complain
from copykit.cli.server_report import live_targets, server_report
from copykit.cli.table import Table
from copykit.errors import CopykitError, ProviderError
from copykit.settings import Settings

if TYPE_CHECKING:
    from copykit.brief.prompt import Prompt
    from copykit.providers.base import Provider
    from copykit.providers.remote import ListedModel
    from copykit.routing.budget import Prices

__all__ = ["EXIT_UNREACHABLE", "REACH_S", "Standing", "command", "survey"]

EXIT_UNREACHABLE = 3
REACH_S = 4.0
"""Seconds that a provider has for its list of models; all are asked at once."""
BREAKER = "breakers are live only in a running server or service: see get_performance_stats()"
_LONG_PROMPT = 10**9
"""Tokens of a prompt beyond every step of a price."""


@runtime_checkable
class _Lists(Protocol):
    async def models(self) -> Sequence[ListedModel]: ...


@dataclass(slots=True)
class Standing:
    """What is known of one target, or of a provider that is none."""

    target: str
    """``name`` or ``name:model``."""
    place: int | None
    """When it is asked, counted from 1; None for a provider that no target names."""
    configured: bool = True
    missing: str | None = None
    """What it lacks: which variable, never a value."""
    model: str | None = None
    """Asked where the request names none."""
    reachable: bool | None = None
    """None where nothing was asked."""
    reach: str = "not asked"
    models: list[dict[str, Any]] | None = None
    """Name, most tokens read (context) and written (output), and end of each; what it does not tell is None."""
    context: int | None = None
    """Most tokens that the *model* reads, by its provider's word, else by ``data/models.toml``."""
    output: int | None = None
    price: dict[str, Any] | None = None
    """Dollars per million tokens; None where nobody knows. The highest counts for long prompts."""
    breaker: str | None = None
    """``closed``, ``half_open`` or ``open``, as the server that was asked has it; None without one."""
    in_progress: int | None = None
    """Calls at the moment, and"""
    limit: int | None = None
    """how many may be."""
    median_s: float | None = None
    """Of the last answers; None before the first."""
    notes: list[str] = field(default_factory=list)


def command(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, lists of models included.")
    ] = False,
    no_reach: Annotated[
        bool, typer.Option("--no-reach", help="Ask nobody: only what the settings say.")
    ] = False,
    url: Annotated[
        str, typer.Option(help="Address of a running server: show also what it knows of its targets.")
    ] = "",
) -> None:
    """Show every provider and configured target: configured, reachable, models, limits, prices.

    Each provider with its key is asked for its list of models, which costs nothing; keys are never shown. With --url
    a running server tells its breakers, calls in progress and medians; its key is read from API_KEY or API_KEY_FILE.

    Example: copykit providers --url http://127.0.0.1:8000

    Exit status: 0 every configured target can be reached (with --no-reach: is configured) and no breaker is open, 3 one
    cannot, or the server cannot be asked, 78 wrong settings.
    """
    try:
        settings = Settings.from_env()
        standings = loops.run(_looked(settings, reach=not no_reach))
        complaints = _add_live(standings, url) if url else []
    except CopykitError as error:
        raise typer.Exit(complain(error)) from None
    status = EXIT_UNREACHABLE if complaints or any(map(_is_amiss, standings)) else 0
    notes = [*(complaints if url else [BREAKER]), *settings.ignored]
    if as_json:
        report = {"providers": [asdict(one) for one in standings], "notes": notes, "exit_code": status}
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _show(standings, notes, Console(), url)
    raise typer.Exit(status)


class _Threads(ThreadPoolExecutor):
    """Threads that nobody waits for: a name server that keeps silent would otherwise keep the command for long."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run *fn* in a thread of its own."""
        future: Future[Any] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # whoever waits for the future is told
                    future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future


async def _looked(settings: Settings, *, reach: bool) -> list[Standing]:
    asyncio.get_running_loop().set_default_executor(_Threads())
    return await survey(settings, reach=reach)


async def survey(settings: Settings, *, reach: bool = True, within_s: float = REACH_S) -> list[Standing]:
    """Look at the targets of *settings* in their order, then at all other known providers.

    Args:
        reach: whether providers are asked for their models.
        within_s: seconds each has for that; all are asked at once.

    Raises:
        ConfigurationError: a price of the settings is no price.
    """
    from copykit.providers.registry import provider_names
    from copykit.routing.budget import Prices

    targets = list(settings.routing.targets)
    taken = {_name(target) for target in targets}
    others = [name for name in provider_names() if name not in taken]
    prices = Prices(settings.routing.prices)
    made = {target: _made(target, settings) for target in (*targets, *others)}
    providers = {_name(target): one for target, one in made.items() if not isinstance(one, str)}
    try:
        listings = await _listings(providers, within_s) if reach else {}
    finally:
        await _close(one for one in made.values() if not isinstance(one, str))
    return [
        _standing(target, place, made[target], listings.get(_name(target)), prices)
        for place, target in (*enumerate(targets, 1), *((None, name) for name in others))
    ]


def _name(target: str) -> str:
    return target.partition(":")[0]


def _made(target: str, settings: Settings) -> Provider | str:
    """Make the provider of *target*, or say what it lacks."""
    from copykit.providers.registry import check_targets, make_provider, provider_source

    if problems := check_targets((target,), settings.providers):
        return problems[0].removeprefix(f"routing.providers={target!r}: ")
    try:
        return make_provider(provider_source(_name(target)), settings)
    except CopykitError as error:
        return error.message
    except Exception as error:  # a provider of somebody else's, whose words may hold anything
        return f"it cannot be made: {type(error).__name__}"


_Listing = tuple["ListedModel", ...] | str


async def _listings(providers: Mapping[str, Provider], within_s: float) -> dict[str, _Listing]:
    """Ask all at once; gives each one's models, or why there are none."""

    async def listing(provider: _Lists) -> _Listing:
        try:
            async with asyncio.timeout(within_s):
                return tuple(await provider.models())
        except TimeoutError:
            return f"no answer within {within_s:g} s"
        except ProviderError as error:
            return f"{error.code}: {error.message}"
        except Exception as error:  # as in `_made`
            return f"it does not list its models: {type(error).__name__}"

    asked = {name: provider for name, provider in providers.items() if isinstance(provider, _Lists)}
    return dict(zip(asked, await asyncio.gather(*map(listing, asked.values())), strict=True))


async def _close(providers: Iterable[Provider]) -> None:
    from copykit.providers.base import Closable

    closable = [provider.aclose() for provider in providers if isinstance(provider, Closable)]
    await asyncio.gather(*closable, return_exceptions=True)  # what was learned stands whatever closing does


def _standing(
    target: str, place: int | None, provider: Provider | str, listing: _Listing | None, prices: Prices
) -> Standing:
    name, _, model = target.partition(":")
    standing = Standing(target, place, model=model or _default_model(name, provider) or None)
    if isinstance(provider, str):
        standing.configured, standing.missing, standing.reach = False, provider, "not configured"
    elif isinstance(listing, str):
        standing.reachable, standing.reach = False, listing
    elif listing is not None:
        standing.reachable, standing.reach = True, "answered"
        standing.models = [one._asdict() for one in listing]
        if standing.model is None and listing:
            standing.model = listing[0].name
    elif not isinstance(provider, _Lists):
        embedded = getattr(provider, "embedded", False)
        standing.reachable = True if embedded else None
        standing.reach = "in this process" if embedded else "it has no list of models to ask for"
    price = prices.price(f"{name}:{standing.model or ''}")
    if price is not None:
        standing.price = {
            "input": price.input.base / 1e6,
            "output": price.output.base / 1e6,
            "input_most": price.input.most(_LONG_PROMPT) / 1e6,
            "output_most": price.output.most(_LONG_PROMPT) / 1e6,
            "source": price.source,
        }
    _add_limits(standing, getattr(provider, "facts_name", name), listing)
    return standing


def _default_model(name: str, provider: Provider | str) -> str:
    from copykit.providers.base import Priced
    from copykit.providers.facts import provider_facts

    if isinstance(provider, Priced):
        return provider.model_of(_smallest_prompt())
    try:
        return provider_facts(name).model
    except KeyError:
        return ""


def _smallest_prompt() -> Prompt:
    from copykit.brief.compile import compile_brief
    from copykit.brief.prompt import build_prompt
    from copykit.models import CopywritingInput

    brief = compile_brief(CopywritingInput(product_description="a desk", target_platform="x"))
    return build_prompt(brief, nonce="0")


def _add_limits(standing: Standing, facts_name: str, listing: _Listing | None) -> None:
    """Say what the model holds and when it ends, by its provider's own word first."""
    from copykit.providers.facts import model_facts
    from copykit.providers.remote import retirement

    model = standing.model
    if model is None:
        return
    if isinstance(listing, tuple):
        own = next((one for one in listing if one.name == model), None)
        if own is not None:
            standing.context, standing.output = own.context, own.output
        elif not any(one.name.startswith(f"{model}-") for one in listing):  # the dated name of an alias
            standing.notes.append(f"{model} is not among the models that it lists")
    try:
        facts = model_facts(facts_name, model)
    except KeyError:
        return
    standing.context = standing.context or facts.context
    standing.output = standing.output or facts.output
    standing.notes += retirement(facts_name, model, date.today())


def _add_live(standings: list[Standing], url: str) -> list[str]:
    """Add what the server at *url* knows; gives why it tells nothing, if it does not."""
    status, report = server_report(url, REACH_S)
    live = live_targets(report) if status == 200 else None
    if live is None:
        why = report.get("detail") or f"status {status}, and no report of its targets"
        return [f"{url}: no live state: {why}"]
    own = {one.target: one for one in standings}
    for target, look in live.items():
        standing = own.get(target)
        if standing is None:
            standing = Standing(target, None, reach="asked by the server, not named in these settings")
            standings.append(standing)
        standing.breaker, standing.median_s = look.breaker, look.median_s
        standing.in_progress, standing.limit = look.in_progress, look.limit
        if look.rest is not None:
            standing.notes.append(f"its credential rests in the server: {look.rest}")
    return []


def _is_amiss(standing: Standing) -> bool:
    lacks = not standing.configured or standing.reachable is False or standing.breaker == "open"
    return standing.place is not None and lacks


def _show(standings: Sequence[Standing], notes: Sequence[str], console: Console, url: str) -> None:
    # the server's keys are its own: what is not set up here may be asked there
    whose = "providers as this environment has them, not the server" if url else "providers"
    table = Table(title=f"{whose}, configured targets first in their order", title_justify="left")
    heads = ("target", "state", "model", "models", "tokens in / out", "USD per M in / out")
    for head in heads:
        table.add_column(head)
    for one in standings:
        table.add_row(
            *_cells(one, " here" if url else ""),
            style="red" if _is_amiss(one) else "" if one.configured else "dim",
        )
    table.show(console)
    if any(one.breaker is not None for one in standings):
        _show_live(standings, console, url)
    told = [f"{one.target}: {note}" for one in standings for note in _remarks(one)]
    for note in (*told, *notes):
        console.print(escape(note), highlight=False, soft_wrap=True)


def _remarks(one: Standing) -> list[str]:
    if not one.configured and one.breaker is not None:
        return [f"the server has it set up; here {one.missing}", *one.notes]
    if not one.configured:
        return [one.missing or ""]
    return [*([one.reach] if one.reachable is False else []), *one.notes]


def _cells(one: Standing, here: str) -> tuple[str, ...]:
    target = f"{one.place}. {one.target}" if one.place else one.target
    limits = f"{_count(one.context)} / {_count(one.output)}" if one.context or one.output else "-"
    models = "-" if one.models is None else str(len(one.models))
    return (
        escape(target),
        _state(one) + ("" if one.configured else here),
        escape(one.model or "-"),
        models,
        limits,
        _price(one.price),
    )


def _show_live(standings: Sequence[Standing], console: Console, url: str) -> None:
    heads = ("target", "breaker", "in progress", "median")
    table = Table(*heads, title=escape(f"in the server at {url}"), title_justify="left")
    for one in standings:
        if one.breaker is not None:
            median = "-" if one.median_s is None else f"{one.median_s:.3g} s"
            calls = f"{one.in_progress}/{one.limit}"
            row = (escape(one.target), escape(one.breaker), calls, median)
            table.add_row(*row, style="red" if one.breaker == "open" else "")
        elif one.place is not None:
            table.add_row(escape(one.target), "not asked yet", "-", "-", style="dim")
    table.show(console)


def _state(one: Standing) -> str:
    if not one.configured:
        return "not set up"
    return {True: "reachable", False: "unreachable", None: "configured"}[one.reachable]


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens / 1000:g}k"


def _price(price: Mapping[str, Any] | None) -> str:
    if price is None:
        return "unknown"
    if price["source"] == "free":
        return "free"

    def span(kind: str) -> str:
        low, high = price[kind], price[f"{kind}_most"]
        return f"{low:g}" if low == high else f"{low:g}-{high:g}"

    return f"{span('input')} / {span('output')}"
