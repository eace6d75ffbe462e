"""Where a fault is played: servers, an engine on a clock of its own, and what must hold after every fault."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import pickle
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import (
    AsyncExitStack,
    ExitStack,
    aclosing,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Any

from copykit import CopywritingInput, Settings, errors
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, build_prompt
from copykit.engine import Engine
from copykit.errors import ConfigurationError, CopykitError, DeadlineExceeded, NoProviderSucceeded
from copykit.events import AttemptFinished, Event, TargetMoved
from copykit.models import CopywritingOutput
from copykit.routing.router import Router
from copykit.settings import CacheSettings, ProvidersSettings, RoutingSettings, Secret
from copykit.stats import Stats
from copykit.streaming import FieldDelta, StreamEvent, StreamFailed, StreamFinished
from copykit.testing import RecordingHook
from copykit.testing.servers import Received, ScriptedServer, Step

from .idle_clock import IdleClockLoop
from .vendors import COOKIE, KEYS, PRICES, SECRETS, VENDORS, Billed, Vendor

__all__ = ["SLACK", "Asked", "NotHere", "Stage", "Streamed"]

SLACK = 5.0
"""How many times longer than its bound something may take where others share the processor."""
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
        http: let every request go through the server's application.
        strict: take every bound of the real clock at its word, on a machine with nothing else to do.
    """

    def __init__(self, seed: int, *, whole: bool = False, http: bool = False, strict: bool = False) -> None:
        self.seed = seed
        self.whole = whole
        self.slack = 1.0 if strict else SLACK
        """How many times longer than its bound something may take by the real clock."""
        self.random = Random(seed)
        self.notes: list[str] = []
        self.heard = RecordingHook()
        self.asked: list[Asked] = []
        self.servers: list[ScriptedServer] = []
        self.engines: list[Engine] = []
        self.secrets = dict(SECRETS)
        """What must not be told anywhere, by what it is."""
        self.found: Counter[tuple[str, str]] = Counter()
        """How often each was found, by secret and place; with zeros where it was looked for in vain."""
        self.estimated: int | None = None
        """Calls charged by their worst case; None where the servers' own steps tell it."""
        self._records = _Records()
        self._printed = io.StringIO()
        self._around = ExitStack()
        self._refused: list[BaseException] = []
        self._leave = AsyncExitStack()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._files = 0
        self._stats: list[Stats] = []
        self._numbers = count(1)
        self.http = http
        self.doors: dict[int, Any] = {}
        """The applications over the engines, by the engine's place among them."""
        self.told: dict[str, list[str]] = {}
        """What else was told, by where: what a story's own servers wrote."""
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
        try:
            passed_s = self.loop.now - 1_000
        except RuntimeError:  # from the thread of a real server, where the stage's clock stands still
            passed_s = 0.0
        self.notes.append(f"{passed_s:10.3f} s  {text}")

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
        script: Any = list(map(_with_cookie, steps))
        if choose is not None:

            def script(received: Received) -> Step:
                return _with_cookie(choose(received))

        made = ScriptedServer(script, **options)
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
        keys: dict[str, Any] = {"local_key": Secret(KEYS["local"])}
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
        if self.http:
            output, error, _ = await self.door(engine).ask(fields)
        else:
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

    def door(self, engine: Engine) -> Any:
        """Give the application over *engine*, made at the first request."""
        from .over_http import Door

        if id(engine) not in self.doors:
            self.doors[id(engine)] = Door(engine)
        return self.doors[id(engine)]

    async def watch(self, engine: Engine, *, leave_at: int | None = None, **changes: Any) -> Streamed:
        """Take in one request's stream, to its end or until so many pieces of text came."""
        fields = self._fields(changes)
        began = self.loop.now
        said: list[str] = []
        last: StreamEvent | None = None
        if self.http:
            return await self._watch_over_http(engine, fields, leave_at)
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

    async def _watch_over_http(
        self, engine: Engine, fields: dict[str, Any], leave_at: int | None
    ) -> Streamed:
        began = self.loop.now
        said: list[str] = []
        name, told, made = "", {}, None
        door = self.door(engine)
        async with aclosing(door.watch(fields)) as events:
            async for name, told, made in events:  # noqa: B007 -- the last ones are looked at
                if name == "delta":
                    said.append(told["text"])
                    if leave_at is not None and len(said) >= leave_at:
                        break
        output = made.output if name == "done" else None
        error = made.error if name in ("error", "problem") else None
        if name == "done":
            assert told["output"] == output.model_dump(mode="json")
        elif error is not None:
            door.check(told, error)
        else:
            assert leave_at is not None, f"the stream ended without an end: {name}"
        seen = Streamed(output, error, self.loop.now - began, tuple(said))
        self.asked.append(seen)
        if len(self.asked) <= 40:
            self.note(f"after {seen.waited_s:.3f} s {len(said)} pieces, {seen.kind or name}"[:300])
        return seen

    # what is looked at afterwards

    def files_are_all_open(self) -> None:
        """Count anew what is open: what a library opens once in a process stays so."""
        self._files = _open_files()

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
        self._around.enter_context(redirect_stdout(self._printed))
        self._around.enter_context(redirect_stderr(self._printed))
        self._warned = self._around.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        proxy = f"http://somebody:{SECRETS['password of a proxy']}@127.0.0.1:9"
        self._around.enter_context(_environment(HTTPS_PROXY=proxy, NO_PROXY="127.0.0.1,localhost"))
        self._refuse_an_address()
        self._tasks = asyncio.all_tasks()
        self._files = _open_files()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        root = logging.getLogger()
        try:
            for door in self.doors.values():
                await door.look()
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
            self._around.close()
        if kind is None:
            for _ in range(20):  # the catalogue gives them 5 s; a database closes in a thread of its own
                if _open_files() <= self._files:
                    break
                await asyncio.to_thread(time.sleep, 0.1)
            assert _open_files() <= self._files, f"a file or socket is still open: {_names_of_files()}"
            assert not self._warned, f"a warning: {self._warned[0].message}"
            self._check_bounds()
            self._check_money(looks)
            self._check_secrets(looks)

    def _refuse_an_address(self) -> None:
        """A password does not belong into an address: it is refused, and not told."""
        address = f"https://somebody:{SECRETS['password in an address']}@api.example.org/v1"
        for refuse in (
            lambda: ProvidersSettings(openai_base_url=address),
            lambda: Settings.from_env({"OPENAI_BASE_URL": address}),
        ):
            try:
                refuse()
            except ConfigurationError as error:
                self._refused.append(error)
            else:
                raise AssertionError("an address with a password is taken")

    async def _check_nothing_is_open(self, looks: list[dict[str, Any]]) -> None:
        for server in self.servers:
            await server.until(lambda server=server: server.open == 0, timeout_s=5.0)
        await asyncio.sleep(0.01)
        left = {
            task for task in asyncio.all_tasks() - self._tasks if not task.done() and not _is_of_loop(task)
        }
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
        """No secret in a log, an error, an event, a receipt, a figure or anything else that is kept or shown."""
        for place, texts in self._places(looks).items():
            whole = "\n".join(texts)
            planted = (
                SECRETS if place == "tracebacks with locals" else self.secrets
            )  # a prompt is a variable too
            for name, secret in planted.items():
                self.found[name, place] += whole.count(secret)
                if self.found[name, place]:
                    self.note(f"{name} in {place}: {_around(whole, secret)!r}")
        told = {where: count for where, count in self.found.items() if count}
        assert not told, f"a secret is told: {told}"

    def _places(self, looks: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Give all that was told, by where it was told."""
        errors: list[BaseException] = [*self._refused]
        for asked in self.asked:
            if asked.error is not None:
                errors += [asked.error, *_causes(asked.error)]
        doors = self.doors.values()
        return {
            "answers of the server": [
                piece.decode("utf-8", "replace") for door in doors for piece in door.told
            ],
            "spans": [span for door in doors for span in door.traced()],
            **self.told,
            "logs": self._records.lines,
            "stdout and stderr": [self._printed.getvalue()],
            "errors": [f"{error} {error!r} {error.__dict__}" for error in errors],
            "tracebacks": [line for error in errors for line in traceback.format_exception(error)],
            "tracebacks with locals": [line for error in errors for line in _with_locals(error)],
            "pickles": [repr(_pickled(error)) for error in errors if isinstance(error, CopykitError)],
            "events": [*map(repr, self.heard.events)],
            "statistics": [repr(looks), *(repr(stats.snapshot()) for stats in self._stats)],
            "settings and objects": [
                repr(engine.settings) + repr(engine.router.__dict__) for engine in self.engines
            ],
            "results and receipts": [
                asked.output.model_dump_json() + repr(asked.output)
                for asked in self.asked
                if asked.output is not None
            ],
        }

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


def _is_of_loop(task: asyncio.Task[Any]) -> bool:
    """Whether a task is the one that the library of event streams keeps for each loop, as long as that lives."""
    return getattr(task.get_coro(), "__qualname__", "") == "_shutdown_watcher"


def _around(text: str, part: str) -> str:
    at = text.index(part)
    return text[max(0, at - 80) : at + 20]


def _with_cookie(step: Step) -> Step:
    """Let a whole answer set a cookie: servers send secrets back too."""
    acts = list(step.acts)
    for at, act in enumerate(acts):
        if isinstance(act, bytes) and act.startswith(b"HTTP/1.1 ") and act.count(b"\r\n\r\n"):
            first, rest = act.split(b"\r\n", 1)
            acts[at] = b"%s\r\nset-cookie: session=%s\r\n%s" % (first, COOKIE.encode(), rest)
    return replace(step, acts=tuple(acts))


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _causes(error: BaseException) -> list[BaseException]:
    """Give what led to *error*, down to the libraries' own."""
    found: list[BaseException] = []
    last: BaseException | None = error
    while last is not None and (last := last.__cause__ or last.__context__) is not None:
        found.append(last)
    return found


def _pickled(error: CopykitError) -> dict[str, Any]:
    again: dict[str, Any] = pickle.loads(pickle.dumps(error)).__dict__  # noqa: S301 -- made in the line itself
    return again


_PACKAGE = Path(errors.__file__).parent
"""Where copykit itself lies; a checkout may be called copykit too."""


def _with_locals(error: BaseException) -> list[str]:
    """Give what a tool shows of *error* that prints the variables of each of copykit's frames."""
    lines: list[str] = []
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    for frame in told.stack:
        if Path(frame.filename).is_relative_to(_PACKAGE):
            lines += [f"{frame.name} {name} = {value}" for name, value in (frame.locals or {}).items()]
    return lines


def _names_of_files() -> list[str]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(path.readlink()))
    return found


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208
