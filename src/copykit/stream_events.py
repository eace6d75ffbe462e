"""What a stream of copy tells, in order: what was understood, texts as they come, and the whole result or a failure.

The same events come from a service in this process (`copykit.streaming`) and from one over HTTP (`copykit.client`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from copykit.errors import CopykitError
from copykit.models import CopywritingOutput, Violation

__all__ = [
    "FieldDelta",
    "FieldDone",
    "FieldMended",
    "StreamEvent",
    "StreamFailed",
    "StreamFinished",
    "StreamStarted",
    "as_mapping",
    "from_mapping",
]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Base of everything that `stream` gives."""


@dataclass(frozen=True, slots=True)
class StreamStarted(StreamEvent):
    """The brief was understood; what follows is for this placement and language."""

    placement: str
    language: str


@dataclass(frozen=True, slots=True)
class FieldDelta(StreamEvent):
    """More of a text, as the model writes it: not checked yet."""

    variant: int
    """Counted from 0 in the order of writing, as in all events."""
    field: str
    """``text``, or ``headlines[3]``."""
    text: str


@dataclass(frozen=True, slots=True)
class FieldDone(StreamEvent):
    """A text is whole; *violations* are those of this text alone."""

    variant: int
    field: str
    text: str
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldMended(StreamEvent):
    """A text was changed after it was whole: replaces what was shown."""

    variant: int
    field: str
    text: str
    """Empty for an item that was dropped."""
    rule: str
    """Of what was wrong; several, with commas between them, where one change mended them all."""
    how: str
    violations: tuple[Violation, ...] = ()
    """Those of the new text."""


@dataclass(frozen=True, slots=True)
class StreamFinished(StreamEvent):
    """The result as `generate` gives it, with its receipt. Its variants stand best first, which may be another order."""

    output: CopywritingOutput
    order: tuple[int, ...] = ()
    """For each variant of the result, which of those told it is; empty if none was told while it was written."""


@dataclass(frozen=True, slots=True)
class StreamFailed(StreamEvent):
    """Nothing more comes. What was shown until then is no result; no other model goes on with it.

    A provider's defect is an `InternalError`, with the defect as its ``__cause__``.
    """

    error: CopykitError


_NAMES: dict[type[StreamEvent], str] = {
    StreamStarted: "started",
    FieldDelta: "delta",
    FieldDone: "field",
    FieldMended: "mended",
    StreamFinished: "finished",
    StreamFailed: "failed",
}


def as_mapping(event: StreamEvent) -> dict[str, Any]:
    """Give *event* as JSON can hold it: its kind as ``event``, and its fields by their names.

    Kinds are ``started``, ``delta``, ``field``, ``mended``, ``finished`` and ``failed``. An error is its ``code``, its
    ``message`` and whether it is ``retryable``.
    """
    told: dict[str, Any] = {"event": _NAMES[type(event)]}
    for one in fields(event):
        value = getattr(event, one.name)
        if isinstance(value, CopywritingOutput):
            value = value.model_dump(mode="json")
        elif isinstance(value, CopykitError):
            value = {"code": value.code, "message": value.message, "retryable": value.retryable}
        elif one.name == "violations":
            value = [violation.model_dump(mode="json") for violation in value]
        told[one.name] = list(value) if isinstance(value, tuple) else value
    return told


_KINDS = {name: kind for kind, name in _NAMES.items()}


def from_mapping(told: Mapping[str, Any]) -> StreamEvent:
    """Give the event that *told* is, as `as_mapping` gives it; an error stays the `CopykitError` that stands there.

    Names that this version does not know are passed over, so that a newer writer can be read.

    Raises:
        ValueError: *told* is no event: of an unknown kind, without a field that it must have, or with a wrong one.
    """
    kind = _KINDS.get(str(told.get("event")))
    if kind is None:
        raise ValueError(f"no event of a stream: {str(told.get('event'))[:40]!r}")
    values: dict[str, Any] = {one.name: told[one.name] for one in fields(kind) if one.name in told}
    if "output" in values:
        values["output"] = CopywritingOutput.model_validate(values["output"], extra="ignore")
    if "violations" in values:
        values["violations"] = tuple(
            Violation.model_validate(one, extra="ignore") for one in values["violations"]
        )
    if "order" in values:
        values["order"] = tuple(values["order"])
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"an event of kind {told['event']!r} lacks a field") from error
