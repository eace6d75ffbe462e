"""``copykit generate --stream``: copy as it is written, on a terminal, as lines, or as one event a line."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import typer
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from copykit import events
from copykit.brief.catalog import FieldSpec
from copykit.cli.bill import Bill, bill_of
from copykit.cli.copy_view import (
    COLOURS,
    MARKS,
    field_table,
    label_of,
    length_of,
    readable,
    remark_table,
    show_notes,
    show_output,
    specs_of,
)
from copykit.models import CopywritingInput, CopywritingOutput, Violation
from copykit.service import CopywritingServiceV11
from copykit.streaming import (
    FieldDelta,
    FieldDone,
    FieldMended,
    StreamEvent,
    StreamFailed,
    StreamFinished,
    StreamStarted,
    as_mapping,
)

__all__ = ["follow"]

_FRAMES_A_S = 8
_BELOW = 2
"""Lines of the terminal left free: the cursor's, and one for what a user types."""


async def follow(request: CopywritingInput, *, as_json: bool) -> CopywritingOutput:
    """Write *request*, show it meanwhile, and give the result.

    When the task is cancelled (Ctrl-C) the connection to the provider is closed at once, and what was billed until
    then is told.

    Raises:
        CopykitError: the stream ended with it.
    """
    view = _view(request.variants, as_json=as_json)
    last: StreamEvent | None = None
    async with CopywritingServiceV11() as service:
        loop = asyncio.get_running_loop()

        def hear(event: events.Event) -> None:
            """Pass on what the engine tells."""
            loop.call_soon(
                view.heard, event
            )  # a turn later: what the stream has told by then is shown before

        service.engine.add_hook(hear)
        stream = service.stream(request)
        try:
            with view:
                async for event in stream:
                    last = event
                    view.take(event)
        except asyncio.CancelledError:
            view.interrupted(await bill_of(service, request))
            raise
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
    if isinstance(last, StreamFailed):
        raise last.error
    return cast(StreamFinished, last).output


class _View(Protocol):
    """Shows the events of one stream inside of a ``with`` block."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def heard(self, event: events.Event) -> None: ...

    def take(self, event: StreamEvent) -> None: ...

    def interrupted(self, bill: Bill) -> None: ...


def _view(variants: int, *, as_json: bool) -> _View:
    if as_json:
        return _Json()
    console = Console()
    return _Board(console, variants) if console.is_interactive else _Lines(console, variants)


class _Json:
    """One event a line, as JSON."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def heard(self, event: events.Event) -> None:
        pass

    def take(self, event: StreamEvent) -> None:
        typer.echo(json.dumps(as_mapping(event), ensure_ascii=False))

    def interrupted(self, bill: Bill) -> None:
        told = {"event": "interrupted", "billed_usd": bill.usd, "calls_of_unknown_cost": bill.unknown_calls}
        typer.echo(json.dumps(told))


class _OnConsole:
    """What every way to show a stream to a reader knows: the console, how many variants come, and the brief's fields."""

    def __init__(self, console: Console, variants: int) -> None:
        self._console = console
        self._variants = variants
        self._began = time.monotonic()
        self._specs: dict[str, FieldSpec] = {}
        self._language = ""
        self._title = ""

    def _starts(self, event: StreamStarted) -> None:
        self._specs, self._language = specs_of(event.placement), event.language
        self._title = f"{event.placement} · {event.language}"

    def _passed_s(self) -> float:
        return time.monotonic() - self._began


class _Lines(_OnConsole):
    """A line for each text when it is whole, with what was found in it; nothing is ever taken back."""

    def __init__(self, console: Console, variants: int) -> None:
        super().__init__(console, variants)
        self._shown: int | None = None
        self._has_copy = False
        self._told: set[tuple[int, str, str, str]] = set()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def heard(self, event: events.Event) -> None:
        if (trouble := _trouble(event)) is not None:
            self._print(Text(f" {trouble}", style="dim"))

    def take(self, event: StreamEvent) -> None:
        match event:
            case StreamStarted():
                self._starts(event)
                self._print(Text(self._title, style="bold"))
            case FieldDone():
                self._line(event, "")
                self._remarks(event.variant, event.violations)
            case FieldMended():
                self._line(event, _mended(event.rule, event.how))
                self._remarks(event.variant, event.violations)
            case StreamFinished():
                self._end(event)
            case StreamFailed() if self._has_copy:
                self._print(Text(" what was shown is no result", style="bold"))

    def interrupted(self, bill: Bill) -> None:
        self._print(_interrupted(bill))

    def _line(self, event: FieldDone | FieldMended, note: str) -> None:
        self._heading(event.variant)
        self._has_copy = True
        state = _state(event.violations, note)
        line = Text.assemble((f"{MARKS[state]} {label_of(event.field)}", COLOURS[state]), "  ")
        if event.text:
            spec = self._specs.get(event.field.partition("[")[0])
            text = readable(event.text)
            line.append_text(length_of(event.text, spec, self._language))
            line.append("\n  " + text.replace("\n", "\n  ") if "\n" in text else "  " + text)
        self._print(line.append(f"  ({note})", "yellow") if note else line)

    def _heading(self, variant: int) -> None:
        if self._variants > 1 and variant != self._shown:
            self._print(Text(f"variant {variant + 1}", style="bold"))
            self._shown = variant

    def _remarks(self, variant: int, found: Iterable[Violation]) -> None:
        for violation in found:
            key = (variant, violation.field, violation.rule, violation.message)
            if violation.severity != "info" and key not in self._told:
                self._told.add(key)
                self._heading(variant)
                words = f" {MARKS[violation.severity]} {violation.rule} {readable(violation.message)}"
                self._print(Text(words, style=COLOURS[violation.severity]))

    def _end(self, event: StreamFinished) -> None:
        output = event.output
        order = event.order or range(len(output.variants))
        for number, variant in zip(order, output.variants, strict=False):
            self._remarks(number, variant.violations)
        ranked = zip(order, output.variants, strict=False)
        told = ", ".join(f"variant {number + 1} {variant.status}" for number, variant in ranked)
        words = f"best first: {told}" if self._variants > 1 else output.variants[0].status
        self._print(Text(f" {words}", style=COLOURS[output.variants[0].status]))
        show_notes(self._console, output, self._passed_s())

    def _print(self, what: RenderableType) -> None:
        self._console.print(what, soft_wrap=True)


@dataclass(slots=True)
class _Piece:
    """One text as far as it has come."""

    text: str = ""
    whole: bool = False
    note: str = ""
    violations: tuple[Violation, ...] = ()

    @property
    def state(self) -> str:
        return _state(self.violations, self.note) if self.whole else "written"


class _Board(_OnConsole):
    """All texts as they grow, in place, the last ones if there are more than lines; at the end the result as ever."""

    def __init__(self, console: Console, variants: int) -> None:
        super().__init__(console, variants)
        self._doing = "asking"
        self._troubles: list[str] = []
        self._pieces: dict[tuple[int, str], _Piece] = {}
        self._live = Live(
            get_renderable=lambda: self,
            console=console,
            refresh_per_second=_FRAMES_A_S,
            transient=True,
            vertical_overflow="visible",
        )

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def heard(self, event: events.Event) -> None:
        if (trouble := _trouble(event)) is not None:
            self._troubles.append(trouble)
        elif isinstance(event, events.AttemptStarted):
            self._doing = f"asking {event.target}"
        elif isinstance(event, events.AttemptFinished):
            self._doing = "checking"

    def take(self, event: StreamEvent) -> None:
        match event:
            case StreamStarted():
                self._starts(event)
            case FieldDelta():
                self._doing = "writing"
                piece = self._piece(event)
                is_new, piece.text = not piece.text, piece.text + event.text
                if is_new:
                    self._live.refresh()
            case FieldDone():
                piece = self._piece(event)
                piece.text, piece.whole, piece.violations = event.text, True, event.violations
                self._live.refresh()  # however fast the model is, each text is seen when it is whole
            case FieldMended(text=""):
                self._pieces.pop((event.variant, event.field), None)
            case FieldMended():
                piece = self._piece(event)
                piece.text, piece.violations = event.text, event.violations
                piece.note = _mended(event.rule, event.how)
                self._live.refresh()
            case StreamFinished():
                self._live.stop()
                show_output(self._console, event.output, self._passed_s())
            case StreamFailed():
                self._leave()

    def interrupted(self, bill: Bill) -> None:
        self._leave()
        self._console.print(_interrupted(bill), soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        head = f"{self._title or 'reading the brief'} · {self._doing} · {self._passed_s():.1f} s"
        yield Text(head, style="dim", overflow="ellipsis", no_wrap=True)
        room = max(1, console.height - _BELOW - 1)
        body = Group(*self._rows(room))
        lines = console.render_lines(body, options.update(height=None), pad=False)[-room:]
        for line in lines:
            yield from line
            yield Segment.line()

    def _rows(self, most: int) -> Iterable[RenderableType]:
        """Give what went wrong and the last *most* texts, each with its remarks: more have no room."""
        yield from (Text(f" {trouble}", style="dim") for trouble in self._troubles)
        shown: int | None = None
        for (variant, field), piece in list(self._pieces.items())[-most:]:
            if self._variants > 1 and variant != shown:
                shown = variant
                yield Text(f"variant {variant + 1} of {self._variants}", style="bold")
            row = (field, piece.text, piece.state)
            yield field_table([row], self._specs, self._language, marked=True)
            if piece.note:
                yield Text(f" {piece.note}", style="yellow")
            if remarks := [v for v in piece.violations if v.severity != "info"]:
                yield remark_table(remarks, fields=False)

    def _piece(self, event: FieldDelta | FieldDone | FieldMended) -> _Piece:
        return self._pieces.setdefault((event.variant, event.field), _Piece())

    def _leave(self) -> None:
        """Leave on the screen what had come."""
        self._live.stop()
        rows = list(self._rows(len(self._pieces)))
        if rows:
            self._console.print(Text("what had come, which is no result:", style="bold"), *rows, sep="\n")


def _state(violations: Iterable[Violation], note: str) -> str:
    severities = {violation.severity for violation in violations}
    worst = next((name for name in ("error", "warning") if name in severities), "ok")
    return "repaired" if note and worst == "ok" else worst


def _trouble(event: events.Event) -> str | None:
    if isinstance(event, events.AttemptFinished) and event.outcome not in ("ok", "cancelled"):
        return f"{event.target}: {event.outcome} after {event.latency_s:.1f} s"
    return None


def _mended(rule: str, how: str) -> str:
    return f"mended{f', {rule}' if rule else ''}: {how}"


def _interrupted(bill: Bill) -> Text:
    return Text(f"interrupted, the connection is closed; {bill}", style="yellow")
