"""What a batch has begun and not yet written: calls to providers, and lines whose turn has not come.

A file beside the result takes in each call when it begins and when it ends, and each line that is finished before an
earlier one is. So a run that was killed loses no finished line, and knows what the calls cost whose line was lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copykit.events import AttemptFinished, AttemptStarted, Event
from copykit.models import BatchLine

__all__ = ["Losses", "Underway", "Worst"]

Worst = Callable[[int, str], float | None]
"""Gives the most that one call to a target (``name:model``) for the line at a place may cost, in US dollars."""

_PICO = 10**12
"""Sums are kept in whole trillionths of a dollar, as the ledger's are, so that both agree."""
_SMALL = 1 << 20
"""Bytes up to which the file is not worth being written anew."""
_GROWN = 4
"""The file is written anew when it is so many times as large as what it still has to tell."""

_place: ContextVar[int | None] = ContextVar("copykit_batch_place", default=None)


@dataclass(frozen=True, slots=True)
class Losses:
    """Calls whose line was never written, because the run was killed: paid for and in no receipt."""

    calls: int = 0
    estimated_calls: int = 0
    """Of these: were in the air, so that nobody saw what they cost, or whether they arrived at all."""
    cost_unknown: int = 0
    """Of these: cost what nobody knows."""
    pico_usd: int = 0
    estimated_pico_usd: int = 0

    @property
    def cost_usd(self) -> float:
        """What all of them cost, as far as it is known; those in the air at their worst."""
        return self.pico_usd / _PICO

    @property
    def estimated_usd(self) -> float:
        """The part of it that is such a worst case."""
        return self.estimated_pico_usd / _PICO

    def and_call(self, cost_usd: float | None, *, seen: bool) -> Losses:
        """Give these and one call more; *seen* says whether its end was."""
        pico = round((cost_usd or 0.0) * _PICO)
        return Losses(
            self.calls + 1,
            self.estimated_calls + (not seen),
            self.cost_unknown + (cost_usd is None),
            self.pico_usd + pico,
            self.estimated_pico_usd + (0 if seen else pico),
        )

    def as_dict(self) -> dict[str, Any]:
        """Give them as files and summaries hold them."""
        return {
            "calls": self.calls,
            "cost_usd": self.cost_usd,
            "estimated_calls": self.estimated_calls,
            "estimated_usd": self.estimated_usd,
            "cost_unknown": self.cost_unknown,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Losses:
        """Read what `as_dict` gave."""
        return cls(
            int(told.get("calls", 0)),
            int(told.get("estimated_calls", 0)),
            int(told.get("cost_unknown", 0)),
            round(float(told.get("cost_usd", 0.0)) * _PICO),
            round(float(told.get("estimated_usd", 0.0)) * _PICO),
        )


@dataclass(slots=True)
class _Call:
    place: int
    target: str
    worst_usd: float | None
    ended: bool = False
    cost_usd: float | None = None


@dataclass(slots=True)
class _State:
    """What the file tells: only what the result itself does not."""

    done: int
    """Lines in the result."""
    lost: Losses = field(default_factory=Losses)
    calls: dict[int, _Call] = field(default_factory=dict)
    """Those that run, and those that ended and whose line is written nowhere; by number."""
    ahead: dict[int, bytes] = field(default_factory=dict)
    """Finished lines by place, as they will stand in the result, without the line's end."""
    _of: dict[int, list[int]] = field(default_factory=dict)

    def take(self, raw: bytes) -> None:
        """Take in one entry of the file; what cannot be read was half written, and says nothing."""
        try:
            entry = json.loads(raw)
            if "begun" in entry:
                self.began(entry["begun"], _Call(entry["place"], entry["target"], entry["worst_usd"]))
            elif "ended" in entry:
                self.ended(entry["ended"], entry["cost_usd"])
            elif "ahead" in entry:
                self.finished(entry["ahead"], raw[raw.index(_LINE) + len(_LINE) : raw.rindex(b"}")])
            elif "lost" in entry:
                self.lost = Losses.of(entry["lost"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def began(self, number: int, call: _Call) -> None:
        self.calls[number] = call
        if not self._is_kept(call.place):
            self._of.setdefault(call.place, []).append(number)

    def ended(self, number: int, cost_usd: float | None) -> bool:
        call = self.calls.get(number)
        if call is None:
            return False
        call.ended, call.cost_usd = True, cost_usd
        if self._is_kept(call.place):
            del self.calls[number]
        return True

    def finished(self, place: int, text: bytes) -> None:
        if place >= self.done:
            self.ahead[place] = text
        self._forget(place)

    def written(self) -> None:
        """Note that the next line stands in the result."""
        self.ahead.pop(self.done, None)
        self.done += 1
        self._forget(self.done - 1)

    def close(self, worst: Worst) -> None:
        """Count as lost every call whose line stands nowhere, and those in the air."""
        lost = self.lost
        for call in self.calls.values():
            if call.ended and self._is_kept(call.place):
                continue
            cost = call.cost_usd if call.ended else call.worst_usd
            if cost is None and not call.ended:
                cost = worst(call.place, call.target)
            lost = lost.and_call(cost, seen=call.ended)
        self.lost, self.calls, self._of = lost, {}, {}

    def entries(self) -> Iterator[bytes]:
        """Give the shortest file that tells the same."""
        if self.lost.calls:
            yield _entry(lost=self.lost.as_dict())
        for number, call in self.calls.items():
            yield _begun(number, call)
            if call.ended:
                yield _entry(ended=number, cost_usd=call.cost_usd)
        for place, text in self.ahead.items():
            yield _ahead(place, text)

    def _is_kept(self, place: int) -> bool:
        return place < self.done or place in self.ahead

    def _forget(self, place: int) -> None:
        """Forget the calls of a line that is kept: its receipt tells them."""
        for number in self._of.pop(place, ()):
            if number in self.calls and self.calls[number].ended:
                del self.calls[number]


_LINE = b',"line":'


def _entry(**cells: Any) -> bytes:
    return json.dumps(cells, separators=(",", ":")).encode() + b"\n"


def _begun(number: int, call: _Call) -> bytes:
    return _entry(begun=number, place=call.place, target=call.target, worst_usd=call.worst_usd)


def _ahead(place: int, text: bytes) -> bytes:
    return b'{"ahead":%d%s%s}\n' % (place, _LINE, text)


class Underway:
    """The file of what is under way; as an event hook it takes in the calls of the process.

    Entries are appended one a write, so that killing the process tears the last one at most. The file is written anew
    when most of it is told by the result; it stays within some times the size of the lines that wait.

    Args:
        path: where it lies; there is no file before something is to be told, and none after `remove`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = _State(0)
        self._stream: Any = None
        self._size = 0
        self._limit = _SMALL
        self._failed: OSError | None = None

    @property
    def lost(self) -> Losses:
        """What earlier parts of the run paid for in vain."""
        return self._state.lost

    @property
    def ahead(self) -> Mapping[int, bytes]:
        """The lines that wait for their turn, by place counted from 0, in JSON."""
        return self._state.ahead

    def lines(self) -> Iterator[BatchLine]:
        """Give the lines that wait for their turn."""
        return map(BatchLine.model_validate_json, self._state.ahead.values())

    def read(self, done: int, worst: Worst, lost: Losses | None = None) -> None:
        """Take in what a run that ended has left; writes nothing.

        Args:
            done: lines in the result.
            worst: asked for calls in the air to which nothing was promised.
            lost: what the result's note tells, where there is no file any more.
        """
        self._state = _State(done, lost or Losses())
        if self.path.exists():
            with self.path.open("rb") as stream:
                for raw in stream:
                    self._state.take(raw)
            self._state.close(worst)

    def open(self) -> None:
        """Begin to write, with what `read` found still to be told."""
        self._rewrite()

    def begin(self, place: int) -> BatchLine | None:
        """Note that the task that asks works on the line at *place* from now on; give that line if it is finished."""
        _place.set(place)
        text = self._state.ahead.get(place)
        return None if text is None else BatchLine.model_validate_json(text)

    def keep(self, place: int, text: bytes) -> None:
        """Keep a line that is finished before its turn; once this returns, killing the process does not lose it."""
        self._state.finished(place, text)
        self._append(_ahead(place, text))

    def written(self) -> None:
        """Note that the next line stands in the result.

        Raises:
            OSError: a call could not be noted since the last one, e.g. because the disk is full.
        """
        if self._failed is not None:
            raise self._failed
        self._state.written()

    def __call__(self, event: Event) -> None:
        """Take in an event: the begin or the end of a call."""
        try:
            if isinstance(event, AttemptStarted):
                place = _place.get()
                if place is None:  # of no line of this run
                    return
                call = _Call(place, event.target, event.worst_usd)
                self._state.began(event.call, call)
                self._append(_begun(event.call, call))
            elif isinstance(event, AttemptFinished) and self._state.ended(event.call, event.cost_usd):
                self._append(_entry(ended=event.call, cost_usd=event.cost_usd))
        except OSError as error:  # whoever tells events must not fail by it; the next line does
            self._failed = error

    def close(self) -> None:
        """Stop writing; the file stays."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def remove(self) -> None:
        """Forget everything but the losses: the result is complete, or begun anew."""
        self.close()
        self._state = _State(0, self._state.lost)
        self.path.unlink(missing_ok=True)

    def _append(self, entry: bytes) -> None:
        if self._stream is None:
            return
        rest = memoryview(entry)
        while rest:
            rest = rest[self._stream.write(rest) :]
        self._size += len(entry)
        if self._size > self._limit:
            self._rewrite()

    def _rewrite(self) -> None:
        entries = list(self._state.entries())
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as stream:
            stream.writelines(entries)
        self.close()
        part.replace(self.path)
        self._stream = self.path.open("ab", buffering=0)
        self._size = sum(map(len, entries))
        self._limit = max(_SMALL, _GROWN * self._size)
