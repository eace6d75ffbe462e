"""Many briefs through one engine: bounded, in order, and never stopped by one that fails."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from copykit.accel import digest
from copykit.errors import BudgetExceeded, CopykitError, InternalError, InvalidRequest
from copykit.events import BatchItemFinished, emit
from copykit.models import BatchLine, CopywritingInput, CopywritingOutput

if TYPE_CHECKING:  # the service imports this module, and one brief needs no readers
    from copykit.feeds.mapping import ColumnMap
    from copykit.feeds.rows import BadRow, Row

__all__ = [
    "BadRecord",
    "BatchStats",
    "Generates",
    "Job",
    "Keeper",
    "gather",
    "gather_as",
    "plan",
    "run_batch",
]

T = TypeVar("T")

ITEM_DEADLINE_S = 300.0
"""Seconds one item may take; longer than an interactive request's 120, since nobody waits for the first
line."""

UNKNOWN_LANGUAGE = "und"
"""Language of a line whose row names none."""


class Generates(Protocol):
    """What a batch needs of an engine."""

    async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
        """Answer one request; *row* makes the answer's id its own."""
        ...


class Keeper(Protocol):
    """Keeps lines that are finished before an earlier one is, so that they outlive the process: a `Journal`."""

    def begin(self, place: int) -> BatchLine | None:
        """Note that the task that asks works on the line at *place* from now on; give that line if it is kept."""
        ...

    def keep(self, place: int, line: BatchLine) -> BatchLine:
        """Keep *line*, and give it as it will be written."""
        ...


class BadRecord(CopykitError):
    """An input record that could not be read, or holds nothing to write from."""

    code = "bad_record"

    def __init__(self, line: int, reason: str) -> None:
        self.line, self.reason = line, reason
        super().__init__(f"line {line}: {reason}")


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the result: a row, a placement, a language."""

    row: int
    """1-based number of the input record."""
    id: str
    placement: str
    language: str
    request: CopywritingInput | None
    """None if the row cannot be asked for."""
    error: CopykitError | None = None
    """Why there is no request."""
    notes: tuple[str, ...] = ()
    """What was decided about the row's cells; joins the remarks of its result."""


_REMEMBERED = 4096
_LEFT_BY_JOB = "from a batch job: "
"""How the receipt begins to say why a batch job gave no answer."""
_PICO = 10**12
"""Sums are kept in whole trillionths of a dollar, as the ledger's are, so that both agree."""


@dataclass(slots=True)
class BatchStats:
    """Counts of a run, kept while its lines pass by."""

    rows: int = 0
    """Distinct input records seen."""
    lines: int = 0
    status: Counter[str] = field(default_factory=Counter)
    """Lines per status: ok, repaired, rejected, failed."""
    placements: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why lines were rejected or failed, without the values that differ from row to row."""
    served_by: Counter[str] = field(default_factory=Counter)
    """Lines per writer, as the receipts name it."""
    remarks: Counter[str] = field(default_factory=Counter)
    """Lines per remark of their results, e.g. that a language's phrases are unreviewed."""
    repeated: int = 0
    """Lines whose copy is word for word that of one of the 4,096 lines before: rows that differ in nothing."""
    cost_unknown: int = 0
    """Lines with a call whose cost nobody knows."""
    left_by_job: int = 0
    """Lines to which their batch job gave no answer, so that they were asked for live."""
    started_s: float = field(default_factory=time.monotonic)
    _cost: int = 0
    _saved: int = 0
    _last_row: int = 0
    _seen: dict[int, None] = field(default_factory=dict)

    def add(self, line: BatchLine) -> None:
        """Count one line; lines come in order of their rows."""
        self.lines += 1
        self.status[line.status] += 1
        self.placements[line.placement] += 1
        if line.row != self._last_row:
            self.rows, self._last_row = self.rows + 1, line.row
        if line.status in ("rejected", "failed"):
            for reason in reasons(line):
                _count(self.reasons, reason)
        self._add_cost(line)
        self.left_by_job += _is_left_by_its_job(line)
        if line.output is not None:
            self._remember(line.output.text)
            _count(self.served_by, line.output.receipt.served_by)
            for remark in line.output.info:
                _count(self.remarks, remark)

    @property
    def cost_usd(self) -> float:
        """What the lines cost, as far as it is known, those that failed included; what a cache served is free."""
        return self._cost / _PICO

    @property
    def saved_usd(self) -> float:
        """What the lines that a cache served would have cost."""
        return self._saved / _PICO

    def _add_cost(self, line: BatchLine) -> None:
        if line.output is not None and line.output.cached:
            self._saved += round((line.output.receipt.saved_usd or 0.0) * _PICO)
            return
        cost, known = cost_of(line)
        self._cost += round(cost * _PICO)
        self.cost_unknown += not known

    def _remember(self, text: str) -> None:
        mark = digest.fingerprint(text.encode("utf-8", "surrogatepass"))
        self.repeated += mark in self._seen
        self._seen[mark] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def rate(self, now_s: float | None = None) -> float:
        """Give lines per second since the start."""
        return self.lines / max(1e-9, (time.monotonic() if now_s is None else now_s) - self.started_s)


def _count(counter: Counter[str], name: str) -> None:
    # a file full of different mistakes must not fill the memory
    counter[name if name in counter or len(counter) < 500 else "other"] += 1


def plan(
    rows: Iterable[Row | BadRow],
    mapping: ColumnMap,
    *,
    placements: Sequence[str],
    languages: Sequence[str],
    common: Mapping[str, Any] | None = None,
    final_url: tuple[str, frozenset[str]] | None = None,
    skip: int = 0,
) -> Iterator[Job]:
    """Give the jobs of *rows*: rows in order, then *placements*, then *languages* as given.

    Args:
        rows: As a reader gives them; a `BadRow` becomes jobs that carry its reason.
        mapping: Which column holds what.
        placements: Placement ids, already resolved.
        languages: Tags, already resolved; ``own`` stands for each row's language column.
        common: Arguments of `CopywritingInput` that are the same for all (tone, variants, seed ...).
        final_url: A template for the address of rows without a link, and the placements that hold one;
            others are not given it, since it would turn up in their text.
        skip: Jobs at the start that are already done; they are counted, not built.
    """
    shared = {"deadline_s": ITEM_DEADLINE_S, **(common or {})}
    per_row = len(placements) * len(languages)
    for row in rows:
        if skip >= per_row:
            skip -= per_row
            continue
        jobs = _jobs_of(row, mapping, placements, languages, shared, final_url)
        yield from jobs[skip:] if skip else jobs
        skip = 0


def _jobs_of(
    row: Row | BadRow,
    mapping: ColumnMap,
    placements: Sequence[str],
    languages: Sequence[str],
    shared: Mapping[str, Any],
    final_url: tuple[str, frozenset[str]] | None,
) -> list[Job]:
    from copykit.feeds.export import landing_page
    from copykit.feeds.mapping import brief_of, left_out
    from copykit.feeds.rows import BadRow, Row

    notes: tuple[str, ...] = ()
    brief: dict[str, Any] | None = None
    error: CopykitError | None = None
    identity, own = row.id or str(row.number), ""
    if isinstance(row, BadRow):
        error = BadRecord(row.line, row.reason)
    else:
        identity, own = _identity(row, mapping), _own_language(row, mapping)
        try:
            brief = brief_of(row, mapping)
            notes = (*row.notes, *left_out(row, mapping))
        except InvalidRequest as mistake:
            error = mistake
    jobs = []
    for placement in placements:
        for tag in languages:
            language = own if tag == "own" else tag
            request, problem = None, error
            if not language and problem is None:
                problem = InvalidRequest("language", "", "the row names no language")
            if brief is not None and problem is None:
                call = {**brief, **shared, "target_platform": placement, "language": language}
                if final_url and placement in final_url[1] and "url" not in brief and isinstance(row, Row):
                    call["url"] = landing_page(final_url[0], row, mapping, identity, language) or None
                try:
                    request = CopywritingInput(**call)
                except InvalidRequest as mistake:
                    problem = mistake
            spoken = language or UNKNOWN_LANGUAGE
            jobs.append(Job(row.number, identity, placement, spoken, request, problem, notes))
    return jobs


def _identity(row: Row, mapping: ColumnMap) -> str:
    use = mapping.use("id")
    value = row.fields.get(use.column) if use else None
    return str(value).strip() if isinstance(value, str | int) and str(value).strip() else row.id


def _own_language(row: Row, mapping: ColumnMap) -> str:
    use = mapping.use("language")
    if use is None:
        return ""
    value = use.column[1:] if use.column.startswith("=") else row.fields.get(use.column)
    return str(value or "").strip().replace("_", "-")


async def run_batch(
    engine: Generates,
    jobs: Iterable[Job],
    *,
    concurrency: int = 8,
    first: int = 0,
    keeper: Keeper | None = None,
) -> AsyncGenerator[BatchLine, None]:
    """Give one line per job, in the order of *jobs*, whatever order the answers come in.

    A request that does not fit into the budget while others are in progress is asked again when one of them ends,
    since what was promised to that one may not be spent.

    At most *concurrency* requests are with the engine, and at most four times as many answers wait for a
    slower one before them, so memory does not grow with the number of jobs. A job that fails gives a line
    that says why. Closing the iterator early cancels what is in flight.

    Args:
        first: place of the first job in the whole run, counted from 0.
        keeper: is given each line that is finished before an earlier one, and asked before each job whether it
            keeps its line already; such a job is not answered again.
    """
    if concurrency < 1:
        raise InvalidRequest("concurrency", concurrency, "at least 1")
    engine = _Frugal(engine)
    source = enumerate(jobs, first)
    done: dict[int, BatchLine] = {}
    front = first
    """The first place whose line is not finished."""
    window = asyncio.Semaphore(concurrency * 4)
    ready = asyncio.Event()
    broken: list[BaseException] = []

    async def work() -> None:
        """Take jobs until there are none.

        A worker asks for its next job when it is free, so an engine that answers without waiting costs no
        task switch per job: only the window makes it pause.
        """
        nonlocal front
        try:
            while True:
                await window.acquire()
                place, job = next(source, (-1, None))
                if job is None:
                    return
                line = keeper.begin(place) if keeper is not None else None
                if line is None:
                    line = await _answer(engine, job)
                    if keeper is not None and place != front and job.request is not None:
                        line = keeper.keep(place, line)
                done[place] = line
                while front in done:
                    front += 1
                ready.set()
        except BaseException as error:
            broken.append(error)
            raise
        finally:
            ready.set()

    workers = [asyncio.create_task(work()) for _ in range(concurrency)]
    place = first
    try:
        while True:
            while place in done:
                line = done.pop(place)
                place += 1
                window.release()
                emit(BatchItemFinished(line.row, line.status))
                yield line
            if broken:
                raise broken[0]
            if all(worker.done() for worker in workers):
                if place not in done:
                    return
                continue
            ready.clear()
            if place not in done and not all(worker.done() for worker in workers):
                await ready.wait()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def gather(
    engine: Generates, requests: Sequence[CopywritingInput | CopykitError], concurrency: int = 8
) -> list[CopywritingOutput | CopykitError]:
    """Answer *requests*, at most *concurrency* at a time; give outputs and errors in their order.

    No error is raised: each stands where its output would be, also those that already stand among the
    requests.
    """
    return await gather_as(engine, requests, lambda _, result: result, concurrency)


async def gather_as(
    engine: Generates,
    requests: Sequence[CopywritingInput | CopykitError],
    kept: Callable[[int, CopywritingOutput | CopykitError], T],
    concurrency: int = 8,
) -> list[T]:
    """Do as `gather` does, and keep of each answer only what *kept* makes of it.

    Ten thousand outputs are a million objects, and each look of Python's collector at them takes most of a second.

    Args:
        kept: is given the place in *requests*, from 0, and the output or error.
    """
    engine = _Frugal(engine)
    results: dict[int, T] = {}
    source = iter(enumerate(requests))

    async def work() -> None:
        """Answer requests until there are none; what needs no waiting, cached copy, lets others in now and then."""
        turn = time.monotonic()
        for place, request in source:
            if isinstance(request, CopykitError):
                results[place] = kept(place, request)
            else:
                results[place] = kept(place, await _attempt(engine, request, place + 1))
            if time.monotonic() - turn > _TURN_S:
                await asyncio.sleep(0)
                turn = time.monotonic()

    workers = [asyncio.create_task(work()) for _ in range(max(1, min(concurrency, len(requests))))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    return [results[place] for place in range(len(requests))]


_TURN_S = 0.005
"""Seconds that one worker of `gather` keeps the event loop to itself."""


class _Frugal:
    """Gives up on the budget only when no other request holds any of it: worst cases are promised, little is spent."""

    def __init__(self, engine: Generates) -> None:
        self._engine = engine
        self._asking = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
        """Answer as the engine does, but for a budget that others may still give something back to."""
        while True:
            self._asking += 1
            waits = False
            try:
                return await self._engine.generate(request, row=row)
            except BudgetExceeded as error:
                # what has no price, or exceeds a cap of its own, fits no better later
                waits = self._asking > 1 and error.scope == "budget" and error.estimate > 0
                if not waits:
                    raise
            finally:
                self._asking -= 1
                if not waits:
                    self._let_one_try()
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._let_one_try()  # its turn came with the cancellation: another's now
                raise

    def _let_one_try(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


async def _attempt(
    engine: Generates, request: CopywritingInput, row: int
) -> CopywritingOutput | CopykitError:
    try:
        return await engine.generate(request, row=row)
    except CopykitError as error:
        return error
    except Exception as error:  # the batch item is an edge: a defect in one must not lose the others
        told = InternalError(error)
        # taken away, not copied: requests that were answered together share the exception, and one of them pays
        vars(error).pop("attempts", None)
        return told


async def _answer(engine: Generates, job: Job) -> BatchLine:
    if job.request is None:
        return _failed(job, job.error or CopykitError("no request"))
    answer = await _attempt(engine, job.request, job.row)
    if isinstance(answer, CopykitError):
        return _failed(job, answer)
    if job.notes:
        answer = answer.model_copy(update={"info": [*answer.info, *job.notes]})
    best = answer.variants[0].status if answer.variants else "rejected"
    return BatchLine.model_construct(
        row=job.row,
        id=job.id,
        placement=job.placement,
        language=answer.language,
        status=best,
        error=None,
        output=answer,
    )


def _failed(job: Job, error: CopykitError) -> BatchLine:
    return BatchLine(
        row=job.row,
        id=job.id,
        placement=job.placement,
        language=job.language,
        status="failed",
        error=describe(error),
    )


def describe(error: CopykitError) -> dict[str, Any]:
    """Give *error* as the ``error`` object of a line: code, message and what the class adds."""
    shown: dict[str, Any] = {
        "code": "internal_error"
        if error.__cause__ is not None and type(error) is CopykitError
        else error.code,
        "message": error.message,
        "retryable": error.retryable,
    }
    if isinstance(error, InvalidRequest):
        shown |= {"field": error.field, "reason": error.reason, "nearest": list(error.nearest)}
    elif isinstance(error, BadRecord):
        shown |= {"line": error.line, "reason": error.reason}
    if error.attempts:
        shown["attempts"] = [attempt.model_dump(mode="json") for attempt in error.attempts]
    return shown


def cost_of(line: BatchLine) -> tuple[float, bool]:
    """Give what *line* cost by its receipt, and whether that is all: a call may have cost what nobody told."""
    if line.output is not None and line.output.cached:
        return 0.0, True
    if line.output is not None:
        usage, attempts = line.output.usage, line.output.receipt.attempts
        known = usage.cost_usd is not None and all(attempt.cost_usd is not None for attempt in attempts)
        return usage.cost_usd or 0.0, known
    failed = (line.error or {}).get("attempts", [])
    costs = [attempt.get("cost_usd") for attempt in failed]
    return sum(cost for cost in costs if cost is not None), None not in costs


def _is_left_by_its_job(line: BatchLine) -> bool:
    if line.output is not None:
        attempts = [] if line.output.cached else line.output.receipt.attempts[:1]
        return any((attempt.reason or "").startswith(_LEFT_BY_JOB) for attempt in attempts)
    first = (line.error or {}).get("attempts", [])[:1]
    return any((attempt.get("reason") or "").startswith(_LEFT_BY_JOB) for attempt in first)


def reasons(line: BatchLine) -> list[str]:
    """Say why *line* is not usable, in words that are the same for all rows with that problem."""
    if line.error is not None:
        parts = [str(line.error.get(name, "")) for name in ("code", "field", "reason")]
        text = ": ".join(part for part in parts if part)
        return [text if line.error.get("reason") else f"{text}: {line.error.get('message', '')}"]
    if line.output is None or not line.output.variants:
        return ["no variant"]
    broken = {
        f"{v.rule} in {v.field.partition('[')[0] or 'the whole'}"
        for v in line.output.variants[0].violations
        if v.severity == "error"
    }
    return sorted(broken) or ["rejected"]
