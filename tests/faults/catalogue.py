"""Which faults there are, how each is played, and which cannot be yet."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from .idle_clock import run
from .stage import NotHere, Stage

__all__ = ["FAULTS", "Fault", "Result", "fault", "not_built", "play"]

Story = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One row of the catalogue."""

    id: str
    title: str
    story: Story | None
    """None where what it tests is not built."""
    reason: str = ""
    """Why it is not built, or what is wrong where it is known to fail."""
    lacks: str = ""
    """What of the row is not played."""
    broken: bool = False
    """Whether it is known to fail."""
    again: bool = True
    """Whether it asks an engine, and so can be played over HTTP as well."""


@dataclass(frozen=True)
class Result:
    """What became of one playing."""

    state: str
    """``ok``, ``failed``, ``skipped`` or ``not built``."""
    reason: str
    notes: tuple[str, ...]
    took_s: float
    error: BaseException | None = None
    looked: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How often each planted secret was found, by secret and place; empty where none was looked for."""


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, title: str, *, lacks: str = "", broken: str = "", again: bool = True
) -> Callable[[Story], Story]:
    """Enter a story as the fault *name*; not *again* over HTTP where it has a server of its own."""

    def enter(story: Story) -> Story:
        FAULTS[name] = Fault(name, title, story, broken, lacks, bool(broken), again)
        return story

    return enter


def not_built(name: str, title: str, reason: str) -> None:
    """Enter a fault whose machinery is not there yet."""
    FAULTS[name] = Fault(name, title, None, reason=reason)


def play(name: str, seed: int, *, whole: bool = False, http: bool = False, strict: bool = False) -> Result:
    """Play one fault once, over the server's application if *http*, with no slack if *strict*."""
    row = FAULTS[name]
    if row.story is None:
        return Result("not built", row.reason, (), 0.0)
    stage = Stage(seed, whole=whole, http=http, strict=strict)

    async def played() -> None:
        async with stage:
            assert row.story is not None
            await row.story(stage)

    began = time.perf_counter()
    try:
        run(played())
    except NotHere as reason:
        return Result("skipped", str(reason), tuple(stage.notes), time.perf_counter() - began)
    except Exception as error:
        took_s = time.perf_counter() - began
        told = f"{type(error).__name__}: {error}"
        return Result("failed", told, tuple(stage.notes), took_s, error, dict(stage.found))
    return Result("ok", "", tuple(stage.notes), time.perf_counter() - began, looked=dict(stage.found))
