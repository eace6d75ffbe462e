"""Copy as it is written: typed events from a running generation, in order, ending in the whole result or a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from copykit.brief.brief import Brief
from copykit.drafts.accept import Judged
from copykit.drafts.again import HOW
from copykit.drafts.check import Checker
from copykit.drafts.parse import MAX_DEPTH
from copykit.errors import CopykitError, InternalError
from copykit.models import CopywritingOutput, Repair, Violation
from copykit.stream_events import (
    FieldDelta,
    FieldDone,
    FieldMended,
    StreamEvent,
    StreamFailed,
    StreamFinished,
    StreamStarted,
    as_mapping,
)

__all__ = [
    "FieldDelta",
    "FieldDone",
    "FieldMended",
    "FieldReader",
    "StreamEvent",
    "StreamFailed",
    "StreamFinished",
    "StreamStarted",
    "Watch",
    "as_mapping",
    "relay",
]


class FieldReader:
    """Reads a model's JSON answer while it comes, and gives the texts of its fields piece by piece.

    It takes the shape that is asked for, with prose or a fence around it; of any other shape nothing is shown until
    the answer is whole.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._path: list[str | int] = []
        """Where the reader is: keys and indices from the outermost bracket."""
        self._kinds: list[str] = []
        self._string: list[str] | None = None
        """The string being read, None outside of one."""
        self._held = ""
        """An escape that is not whole yet."""
        self._is_key = False
        self._place: tuple[int, str] | None = None
        self._over = False

    def feed(self, piece: str) -> Iterator[tuple[int, str, str, bool]]:
        """Give ``(variant, field, text, whole)`` for what *piece* adds; *text* is all of it when *whole*."""
        fresh: list[str] = []
        for char in piece:
            if self._string is None:
                self._outside(char)
                continue
            if self._held or char == "\\":
                self._held += char
                decoded = _escape(self._held)
                if decoded is None:
                    continue
                self._held = ""
                char = decoded
            elif char == '"':
                if fresh and self._place is not None:
                    yield (*self._place, "".join(fresh), False)
                fresh = []
                said = "".join(self._string)
                self._string = None
                if self._is_key:
                    self._path[-1] = said
                elif self._place is not None:
                    yield (*self._place, said, True)
                    self._place = None
                continue
            self._string.append(char)
            if self._place is not None:
                fresh.append(char)
        if fresh and self._place is not None:
            yield (*self._place, "".join(fresh), False)

    def _outside(self, char: str) -> None:
        if self._over or (not self._kinds and char not in "{["):
            return  # prose before the answer, or behind it
        if char in "{[" and len(self._kinds) == MAX_DEPTH:
            self._over = True  # such an answer is refused when it is whole
        elif char in "{[":
            self._kinds.append(char)
            self._path.append("" if char == "{" else 0)
            self._is_key = char == "{"
        elif char in "}]":
            self._kinds.pop()
            self._path.pop()
            self._over = not self._kinds
        elif char == ",":
            last = self._path[-1]
            self._path[-1] = last + 1 if isinstance(last, int) else ""
            self._is_key = self._kinds[-1] == "{"
        elif char == ":":
            self._is_key = False
        elif char == '"':
            self._string = []
            self._place = None if self._is_key else self._found()

    def _found(self) -> tuple[int, str] | None:
        """Give variant and label of the value that begins here, if it is a field's."""
        path = self._path
        if "fields" not in path[:-1]:
            return None
        at = path.index("fields")
        name = path[at + 1] if at + 1 < len(path) else ""
        if not isinstance(name, str) or name not in self._names:
            return None
        variant = next((part for part in reversed(path[:at]) if isinstance(part, int)), 0)
        rest = path[at + 2 :]
        if not rest:
            return variant, name
        return (variant, f"{name}[{rest[0]}]") if len(rest) == 1 and isinstance(rest[0], int) else None


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}


def _escape(held: str) -> str | None:
    """Give the character that an escape stands for, None while it is not whole; a broken one stands for nothing."""
    if len(held) == 1:
        return None
    if held[1] != "u":
        return _ESCAPES.get(held[1], "")
    if len(held) < 6:
        return None
    try:
        first = int(held[2:6], 16)
        if not 0xD800 <= first < 0xDC00:
            return "" if 0xDC00 <= first < 0xE000 else chr(first)
        if len(held) < 12:
            return None if "\\u".startswith(held[6:8]) or held[6:8] == "\\u" else ""
        second = int(held[8:12], 16)
    except ValueError:
        return ""
    return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)) if 0xDC00 <= second < 0xE000 else ""


MOST_HELD = 32 * 1024
"""Characters that wait for a reader before its provider is not read on: a stream of copy is far smaller."""


@dataclass(slots=True)
class Watch:
    """What a generation tells while it runs; made by `relay`."""

    events: asyncio.Queue[StreamEvent | None] = field(default_factory=asyncio.Queue)
    _reader: FieldReader | None = None
    _checker: Checker | None = None
    _lists: frozenset[str] = frozenset()
    """Fields that hold several texts: a model that gives a single one gives the first."""
    _held: int = 0
    """Characters of deltas that nobody took yet."""
    _freed: asyncio.Event = field(default_factory=asyncio.Event)
    _told: dict[tuple[int, str], str] = field(default_factory=dict)
    """Texts that were told whole, as they stand after what was told since."""
    _judged: Sequence[Judged] = ()

    def began(self, brief: Brief) -> None:
        """Take in the brief that is being written."""
        self._reader = FieldReader(frozenset(spec.name for spec in brief.fields))
        self._lists = frozenset(spec.name for spec in brief.fields if spec.max_count > 1)
        self._checker = Checker(brief, written_by_model=True)
        self.events.put_nowait(StreamStarted(brief.placement.id, brief.language.tag))

    def text(self, piece: str) -> None:
        """Take in more of the answer."""
        if self._reader is None:
            return
        for variant, label, said, whole in self._reader.feed(piece):
            label = f"{label}[0]" if label in self._lists else label
            if whole:
                self._told[variant, label] = said
                self.events.put_nowait(FieldDone(variant, label, said, self._violations(label, said)))
            else:
                self._held += len(said)
                self.events.put_nowait(FieldDelta(variant, label, said))

    async def room(self) -> None:
        """Wait until the reader has taken most of what was told: nothing is read from a provider for a pile."""
        while self._held > MOST_HELD:
            self._freed.clear()
            await self._freed.wait()

    def taken(self, event: StreamEvent) -> None:
        """Note that the reader asks for more than *event*."""
        if isinstance(event, FieldDelta):
            self._held -= len(event.text)
            self._freed.set()

    def judged(self, judged: Sequence[Judged]) -> None:
        """Take in what became of the answer's texts, in their order: once checked, and after each repair."""
        if not self._told:  # nothing was shown, and what comes of this answer is not known yet
            return
        self._judged = judged
        for number, (variant, repairs) in enumerate(judged):
            now = dict(_all(variant.fields))
            for label in [label for at, label in self._told if at == number]:
                text = now.get(label, "")
                if text != self._told[number, label]:
                    self._told[number, label] = text
                    found = tuple(v for v in variant.violations if v.field == label)
                    rule, how = _why(label, repairs)
                    self.events.put_nowait(FieldMended(number, label, text, rule, how, found))

    def finished(self, output: CopywritingOutput) -> None:
        """Tell what was not told piece by piece, and the result; also of one that nobody wrote now."""
        if self._reader is None:
            self.events.put_nowait(StreamStarted(output.placement, output.language))
        if not self._told:
            for number, variant in enumerate(output.variants):
                for label, text in _all(variant.fields):
                    found = tuple(v for v in variant.violations if v.field == label)
                    self.events.put_nowait(FieldDone(number, label, text, found))
            for repair in output.receipt.repairs:
                variant = output.variants[repair.variant]
                text = dict(_all(variant.fields)).get(repair.field, "")
                if repair.how == HOW and text:
                    found = tuple(v for v in variant.violations if v.field == repair.field)
                    event = FieldMended(repair.variant, repair.field, text, repair.rule, repair.how, found)
                    self.events.put_nowait(event)
        shown = [id(variant) for variant, _ in self._judged]
        order = tuple(shown.index(id(variant)) for variant in output.variants if id(variant) in shown)
        self.events.put_nowait(StreamFinished(output, order))

    def _violations(self, label: str, text: str) -> tuple[Violation, ...]:
        checker = self._checker
        if checker is None:
            return ()
        spec = next(s for s in checker.brief.fields if s.name == label.partition("[")[0])
        return tuple(checker.text(spec, text, label))


def _why(label: str, repairs: Sequence[Repair]) -> tuple[str, str]:
    """Give rule and means of what changed *label*; of an item that moved up, those of the one that was dropped."""
    name = label.partition("[")[0]
    own = [repair for repair in repairs if repair.field == label]
    kin = [repair for repair in repairs if repair.field.partition("[")[0] == name]
    last = (own or kin)[-1:]
    return (last[0].rule, last[0].how) if last else ("", "as the whole answer has it")


def _labelled(name: str, value: str | list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    else:
        yield from ((f"{name}[{at}]", text) for at, text in enumerate(value))


def _all(fields: dict[str, str | list[str]]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        yield from _labelled(name, value)


async def relay(generate: Callable[[Watch], Awaitable[CopywritingOutput]]) -> AsyncIterator[StreamEvent]:
    """Give the events of one generation while it runs.

    Leaving the iteration (``aclose``, or the loop's task cancelled) cancels the generation at once: the connection
    to the provider is closed, and what came until then is charged.
    """
    watch = Watch()
    task = asyncio.ensure_future(generate(watch))
    task.add_done_callback(lambda _: watch.events.put_nowait(None))
    try:
        while (event := await watch.events.get()) is not None:
            yield event
            watch.taken(event)
        try:
            watch.finished(task.result())
        except CopykitError as error:
            yield StreamFailed(error)
            return
        except Exception as defect:  # its reader waits for an end, whatever it is
            yield StreamFailed(InternalError(defect))
            return
        while not watch.events.empty():
            late = watch.events.get_nowait()
            if late is not None:
                yield late
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
