"""Where a fault is played: servers, an engine on a clock of its own, and what must hold after every fault."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import traceback
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Any

from copykit import CopywritingInput, Settings
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, build_prompt
from copykit.engine import Engine
from copykit.errors import CopykitError, DeadlineExceeded, NoProviderSucceeded
from copykit.events import AttemptFinished, Event, TargetMoved
from copykit.models import CopywritingOutput
from copykit.routing.router import Router
from copykit.settings import CacheSettings, ProvidersSettings, RoutingSettings
from copykit.stats import Stats
from copykit.streaming import FieldDelta, StreamEvent, StreamFailed, StreamFinished
from copykit.testing import RecordingHook
from copykit.testing.servers import Received, ScriptedServer, Step

from .idle_clock import IdleClockLoop
from .vendors import KEYS, PRICES, VENDORS, Billed, Vendor

__all__ = ["Asked", "NotHere", "Stage", "Streamed"]

NOT_ASKED = {"circuit_open", "cooling", "price_unknown", "budget_exceeded"}


class NotHere(Exception):
    """This machine cannot play the fault; the message says why."""


@dataclass
class Asked:
    """What became of one request."""

    output: CopywritingOutput | None
    error: CopykitError | None
    waited_s: float
    """Seconds that passed on the stage's clock: waits alone, whatever the machine."""

    @property
    def kind(self) -> str:
        """Name of the error's class: of the last attempt's where every target failed; empty for an answer."""
        error = self.error
        if isinstance(error, NoProviderSucceeded) and error.__cause__ is not None:
            return type(error.__cause__).__name__
        return type(error).__name__ if error is not None else ""

    @property
    def attempts(self) -> list[Any]:
        """The receipt's attempts."""
        if self.output is not None:
            return list(self.output.receipt.attempts)
        return list(getattr(self.error, "attempts", ()))

    @property
    def calls(self) -> list[Any]:
        """Those of the attempts that were calls: not targets passed over, nor what was said of the copy."""
        return [
            attempt
            for attempt in self.attempts
            if attempt.outcome not in NOT_ASKED and not (attempt.reason or "").startswith("copy rejected")
        ]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Target and outcome of each attempt."""
        return [(attempt.target, attempt.outcome) for attempt in self.attempts]


@dataclass
class Streamed(Asked):
    """What became of one request whose text was taken as it came."""

    said: tuple[str, ...] = ()
    """The pieces of text."""


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Stage:
    """One playing of one fault.

    Args:
        seed: decides on vendors, sizes, jitter.
        whole: play it at full length, not only as long as a test run has time for.
    """

    def __init__(self, seed: int, *, whole: bool = False) -> None:
        self.seed = seed
        self.whole = whole
        self.random = Random(seed)
        self.notes: list[str] = []
        self.heard = RecordingHook()
        self.asked: list[Asked] = []
        self.servers: list[ScriptedServer] = []
        self.engines: list[Engine] = []
        self.secrets = [*KEYS.values()]
        self.estimated: int | None = None
        """Calls charged by their worst case; None where the servers' own steps tell it."""
        self._records = _Records()
        self._leave = AsyncExitStack()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._files = 0
        self._stats: list[Stats] = []
        self._numbers = count(1)
        self.apart = 0
        """Calls made at a provider itself, past the engine and its books."""
        self.cancelled = 0
        """Calls whose end nobody waited for."""

    # what a fault is made of

    @property
    def loop(self) -> IdleClockLoop:
        """The loop that it runs on."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, IdleClockLoop)
        return loop

    def note(self, text: str) -> None:
        """Write down what happened, for who replays it."""
        self.notes.append(f"{self.loop.now - 1_000:10.3f} s  {text}")

    def pause(self, seconds: float) -> None:
        """Let time pass in which nobody does anything."""
        self.loop.now += seconds

    def vendor(self, *, besides: Vendor | None = None) -> Vendor:
        """Give the wire format of this seed, or another one."""
        names = [name for name in VENDORS if besides is None or name != besides.name]
        return VENDORS[names[self.seed % len(names)]]

    async def server(
        self, *steps: Step, choose: Callable[[Received], Step] | None = None, **options: Any
    ) -> ScriptedServer:
        """Start a server."""
        made = ScriptedServer(choose if choose is not None else steps, **options)
        self.servers.append(await self._leave.enter_async_context(made))
        return made

    def engine(
        self,
        *where: tuple[Vendor, ScriptedServer | str],
        targets: Iterable[str] | None = None,
        settings: dict[str, Any] | None = None,
        **routing: Any,
    ) -> Engine:
        """Make an engine whose vendors live at these servers, or at these addresses."""
        keys: dict[str, Any] = {}
        for vendor, at in where:
            keys |= vendor.settings(at if isinstance(at, str) else at.url)
        keys |= settings or {}
        names = tuple(targets) if targets is not None else tuple(vendor.name for vendor, _ in where)
        rates = {name.partition(":")[0]: PRICES for name in (*VENDORS, *names) if name != "phrasebank"}
        routing = {"budget_usd": 1000.0, "prices": rates, **routing}
        engine = Engine(
            Settings(
                cache=CacheSettings(),
                routing=RoutingSettings(providers=names, **routing),
                providers=ProvidersSettings(**keys),
            ),
            clock=self.loop.time,
        )
        engine.router = Router(
            engine.settings, engine.router.tell, self.loop.time, chance=Random(self.seed).random
        )
        engine.add_hook(self.heard)
        stats = Stats(self.loop.time)
        engine.add_hook(stats)
        self._stats.append(stats)
        self.engines.append(engine)
        return engine

    def _fields(self, changes: dict[str, Any]) -> dict[str, Any]:
        return {
            "product_description": "Oak desk, 120x60 cm, oiled surface",
            "product_name": "Norr",
            "target_platform": "x.post",
            "cache": "off",
            "seed": next(self._numbers),  # equal requests at a time would share one call
            **changes,
        }

    async def ask(self, engine: Engine, **changes: Any) -> Asked:
        """Make one request and take down what became of it."""
        fields = self._fields(changes)
        began = self.loop.now
        output = error = None
        try:
            output = await engine.generate(CopywritingInput(**fields))
        except CopykitError as failed:
            error = failed
        asked = Asked(output, error, self.loop.now - began)
        self.asked.append(asked)
        bound = min(fields.get("deadline_s") or engine.settings.routing.deadline_s, 300.0)
        assert asked.waited_s <= bound + 0.25, f"took {asked.waited_s} s where {bound} s were allowed"
        if len(self.asked) <= 40:
            last = f"{asked.kind}: {error}" if error else f"answered by {output and output.receipt.served_by}"
            self.note(f"after {asked.waited_s:.3f} s {last}"[:400])
            for attempt in asked.attempts:
                self.note(
                    f"    {attempt.target}: {attempt.outcome}, waited {attempt.waited_s} s, {attempt.reason}"[
                        :300
                    ]
                )
        return asked

    async def watch(self, engine: Engine, *, leave_at: int | None = None, **changes: Any) -> Streamed:
        """Take in one request's stream, to its end or until so many pieces of text came."""
        fields = self._fields(changes)
        began = self.loop.now
        said: list[str] = []
        last: StreamEvent | None = None
        async with aclosing(engine.stream(CopywritingInput(**fields))) as events:
            async for last in events:
                if isinstance(last, FieldDelta):
                    said.append(last.text)
                    if leave_at is not None and len(said) >= leave_at:
                        break
        output = last.output if isinstance(last, StreamFinished) else None
        error = last.error if isinstance(last, StreamFailed) else None
        seen = Streamed(output, error, self.loop.now - began, tuple(said))
        self.asked.append(seen)
        if len(self.asked) <= 40:
            self.note(f"after {seen.waited_s:.3f} s {len(said)} pieces, {seen.kind or last}"[:300])
        return seen

    # what is looked at afterwards

    @property
    def calls(self) -> int:
        """Requests that reached a server."""
        return sum(len(server.requests) for server in self.servers)

    def counted(self, outcome: str) -> int:
        """Give how many attempts the statistics have with this outcome."""
        whole = [stats.snapshot()["targets"].values() for stats in self._stats]
        return sum(outcomes.get(outcome, 0) for targets in whole for outcomes in targets)

    def moves(self, state: str) -> int:
        """Give how often a breaker went into *state*."""
        return sum(event.state == state for event in self.heard.of(TargetMoved))

    def of_target(self, engine: Engine, name: str) -> dict[str, Any]:
        """Give what the engine's statistics tell of one target."""
        found: dict[str, Any] = engine.router.look()["targets"][name]
        return found

    # the frame around every fault

    async def __aenter__(self) -> Stage:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self._records)
        root.setLevel(logging.DEBUG)
        self._tasks = asyncio.all_tasks()
        self._files = _open_files()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        root = logging.getLogger()
        try:
            for engine in self.engines:
                await engine.aclose()
            await asyncio.sleep(0.01)
            looks = [engine.router.look() for engine in self.engines]
            if kind is None:
                await self._check_nothing_is_open(looks)
        finally:
            root.removeHandler(self._records)
            root.setLevel(self._level)
            await self._leave.aclose()
            await asyncio.sleep(0.01)
        if kind is None:
            assert _open_files() <= self._files, "a file or socket is still open"
            self._check_bounds()
            self._check_money(looks)
            self._check_secrets(looks)

    async def _check_nothing_is_open(self, looks: list[dict[str, Any]]) -> None:
        for server in self.servers:
            await server.until(lambda server=server: server.open == 0, timeout_s=5.0)
        await asyncio.sleep(0.01)
        left = {task for task in asyncio.all_tasks() - self._tasks if not task.done()}
        assert not left, f"still at work: {left}"
        for look in looks:
            for name, target in look["targets"].items():
                assert (target["in_progress"], target["waiting"]) == (0, 0), f"{name} holds a place"
            assert look["money"]["reserved_usd"] == 0, "money is still reserved"

    def _check_bounds(self) -> None:
        repeats = 0
        for asked in self.asked:
            own = asked.calls
            assert len(own) <= 4, "more than four calls of one request"
            failed = [attempt for attempt in own if attempt.outcome != "ok"]
            assert len(failed) <= 3, "more than three failures of one request"
            repeats += sum(one.outcome != "ok" and one.target == two.target for one, two in pairwise(own))
        assert repeats <= 0.1 * len(self.asked) + 10 * len(self.engines), f"{repeats} repeats"
        late = sum(isinstance(asked.error, DeadlineExceeded) for asked in self.asked)
        known = len(self.heard.of(AttemptFinished)) + late + self.cancelled + self.apart
        assert self.calls <= known, f"{self.calls} calls, of which {known} were told"

    def _check_money(self, looks: list[dict[str, Any]]) -> None:
        """The ledger and the servers' own books say the same."""
        if self.apart:
            return
        taken = [step for server in self.servers for step in server.taken if isinstance(step, Billed)]
        bill = sum(step.usd for step in taken)
        untold = sum(step.untold for step in taken) if self.estimated is None else self.estimated
        spent = sum(look["money"]["spent_usd"] for look in looks)
        estimated = sum(look["money"]["estimated_calls"] for look in looks)
        self.note(
            f"the servers charged {bill:.6f} USD, the ledger has {spent:.6f}, {estimated} of them estimated"
        )
        assert estimated == untold, f"{estimated} calls are estimated, {untold} should be"
        assert round(spent, 12) >= round(bill, 12), f"spent {spent}, charged {bill}"
        assert untold or round(spent, 12) == round(bill, 12), f"spent {spent}, charged {bill}"

    def _check_secrets(self, looks: list[dict[str, Any]]) -> None:
        """No key in a log, an error, an event, a receipt or a figure."""
        told = [*self._records.lines, *map(repr, self.heard.events), repr(looks)]
        told += [repr(stats.snapshot()) for stats in self._stats]
        told += [repr(engine.settings) + repr(engine.router.__dict__) for engine in self.engines]
        for asked in self.asked:
            if asked.output is not None:
                told.append(asked.output.model_dump_json())
            if asked.error is not None:
                told += traceback.format_exception(asked.error)
                again = pickle.loads(pickle.dumps(asked.error))  # noqa: S301 -- made in the line itself
                told += [repr(asked.error), repr(asked.error.__dict__), repr(again.__dict__)]
        whole = "\n".join(told)
        for secret in self.secrets:
            assert secret not in whole, f"a secret is told: {_around(whole, secret)}"

    @property
    def logged(self) -> list[str]:
        """Lines of the log so far."""
        return self._records.lines

    def prompt(self, **changes: Any) -> Prompt:
        """Give the prompt of a small brief, for a provider itself."""
        fields = {"product_description": "Oak desk, 120x60 cm", "target_platform": "x.post", **changes}
        return build_prompt(compile_brief(CopywritingInput(**fields)), nonce="5f0c1d2e3b4a5968")

    def attempts_heard(self) -> list[AttemptFinished]:
        """Give the events of attempts."""
        return self.heard.of(AttemptFinished)

    def events(self) -> list[Event]:
        """Give all events."""
        return self.heard.events


def _around(text: str, part: str) -> str:
    at = text.index(part)
    return text[max(0, at - 80) : at + 20]


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208
