"""What happens inside, as small frozen values, and who listens.

A hook is any callable that takes one `Event`. Hooks run inline and must return quickly; a hook that raises,
of the process or of one engine, is dropped with a log record, so that watching never breaks work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = [
    "AttemptFinished",
    "AttemptStarted",
    "BatchItemFinished",
    "CacheFailed",
    "CacheLooked",
    "CapabilitySelected",
    "CopyRepeated",
    "Event",
    "FieldRepaired",
    "GenerationFailed",
    "GenerationFinished",
    "GenerationStarted",
    "Hook",
    "emit",
    "subscribe",
    "unsubscribe",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class GenerationStarted(Event):
    """A request was accepted by an engine."""

    request_id: str
    """Unique in this process."""
    tenant: str = ""
    """On whose behalf; empty for the engine's owner, as in the others."""


@dataclass(frozen=True, slots=True)
class CacheLooked(Event):
    """The cache was asked for a key."""

    key: str
    hit: bool
    layer: str | None
    """The layer that answered, e.g. ``memory``; None for a miss."""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class CacheFailed(Event):
    """A cache raised; the request goes on as if it had missed."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptStarted(Event):
    """A call is about to be sent to a provider; one that writes in this process for nothing sends none.

    Whoever keeps these and `AttemptFinished` on a disk knows after a crash which calls were in the air.
    """

    call: int
    """Unique in this process, from 1."""
    target: str
    worst_usd: float | None
    """What was promised to it: the most it can cost. None where no budget holds, so that nothing was promised."""


@dataclass(frozen=True, slots=True)
class AttemptFinished(Event):
    """One provider call ended, well or not, or was cancelled."""

    target: str
    outcome: str
    """``ok``, ``cancelled`` or an error's code."""
    latency_s: float
    call: int = 0
    """The number it was started with; 0 where nothing was sent."""
    cost_usd: float | None = 0.0
    """What was charged, as the receipt has it: a worst case where nobody told the cost; None if that is unknown."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    """As the provider told them; None where it did not."""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class ProviderRested(Event):
    """A provider's credential is left alone for a while: it throttles (``cooldown``) or refuses (``quarantine``)."""

    provider: str
    kind: str
    reason: str
    for_s: float


@dataclass(frozen=True, slots=True)
class TargetMoved(Event):
    """A target's breaker went to another state: ``closed``, ``open`` or ``half_open``."""

    target: str
    state: str


@dataclass(frozen=True, slots=True)
class FieldRepaired(Event):
    """A field was mended locally, without asking a model again."""

    field: str
    rule: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class GenerationFinished(Event):
    """A result is ready."""

    request_id: str
    placement: str
    language: str
    status: str
    """Status of the best variant: ``ok``, ``repaired`` or ``rejected``."""
    cached: bool
    duration_s: float
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class GenerationFailed(Event):
    """A request ended with an error."""

    request_id: str
    code: str
    reason: str
    duration_s: float
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class CopyRepeated(Event):
    """A server gave cached results again as the bytes they were, without the engine; told together, twice a second."""

    placement: str
    language: str
    status: str
    count: int
    """Answers."""
    duration_s: float
    """Of all of them together."""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class BatchItemFinished(Event):
    """One line of a batch is done."""

    row: int
    status: str


@dataclass(frozen=True, slots=True)
class CapabilitySelected(Event):
    """A capability of this machine was used for the first time, through the candidate named."""

    capability: str
    candidate: str
    reason: str
    """Why this one: ``preferred``, ``forced by COPYKIT_JSON`` or what was wrong with those before it."""


Hook = Callable[[Event], None]
"""Takes one event, returns nothing, must not block."""

_process_hooks: tuple[Hook, ...] = ()
_log = logging.getLogger("copykit.events")


def subscribe(hook: Hook) -> None:
    """Send every event of every engine in this process to *hook* until `unsubscribe`."""
    global _process_hooks
    _process_hooks = (*_process_hooks, hook)


def unsubscribe(hook: Hook) -> None:
    """Stop sending events to *hook*; unknown hooks are ignored."""
    global _process_hooks
    _process_hooks = tuple(h for h in _process_hooks if h != hook)  # bound methods are equal, not same


def emit(event: Event, hooks: Iterable[Hook] = ()) -> tuple[Hook, ...]:
    """Give *event* to *hooks* and to the process-wide ones.

    Returns:
        Those of *hooks* that raised, for their owner to drop; process-wide ones are dropped here.
    """
    failed: tuple[Hook, ...] = ()
    for hook in (*hooks, *_process_hooks) if hooks else _process_hooks:
        try:
            hook(event)
        except Exception:  # a watcher's mistake must not fail the work it watches
            _log.exception("event hook %r failed on %r", hook, event)
            unsubscribe(hook)
            failed = (*failed, hook)
    return failed
