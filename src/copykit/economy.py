"""A batch through its provider's batch jobs: half the price, and an answer within a day.

Requests go up in jobs, each noted before it is sent. When a job is over its answers are kept, and lines are made of
them in the order of the input: checked, mended by live calls and taken to the next target like any other answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from copykit.batch import Job, Keeper, run_batch
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, build_prompt
from copykit.engine import Engine
from copykit.errors import (
    BudgetExceeded,
    InvalidRequest,
    JobsStopped,
    MalformedCompletion,
    ProviderError,
    ProviderUnavailable,
    TruncatedStream,
)
from copykit.feeds.job_book import CANCEL_ASKED, BookedJob, Item, JobBook
from copykit.models import BatchLine, CopywritingInput, CopywritingOutput, Usage
from copykit.providers.base import (
    Batching,
    BatchJob,
    BatchJobs,
    Completion,
    Priced,
    Provider,
    charge,
    charge_of,
)
from copykit.providers.facts import full_name, provider_facts
from copykit.providers.registry import provider_names
from copykit.routing.asking import Given
from copykit.routing.budget import Reservation
from copykit.routing.router import Router

__all__ = ["Economy", "Progress", "jobs_of", "providers_with_jobs"]

_MOST_REQUESTS = 5_000
_MOST_BYTES = 16 * 2**20
"""Of one job, whatever the provider takes: as much is held in memory at a time."""
_SLICE = 500
"""Lines that are looked at together for the jobs they wait for."""
_AT_ONCE = 200
"""Answers that are kept in one transaction."""
_TRIES = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 60.0
_READS = ("on", "read")
_PICO = 10**12


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the jobs of a run are."""

    doing: str
    """``submitting``, ``waiting`` or ``collecting``."""
    jobs: int
    """Begun so far."""
    open: int
    """Of these, not over."""
    requests: int
    """In all of them."""
    answered: int | None
    """Of these, as far as the provider tells."""
    state: str = ""
    """Of the job that is waited for, in one word."""
    trouble: str = ""
    """Why the provider could not be asked just now."""


def providers_with_jobs() -> tuple[str, ...]:
    """Name the built-in providers that have batch jobs."""
    names = []
    for name in provider_names():
        try:
            if provider_facts(name).job_requests:
                names.append(name)
        except KeyError:  # not built in
            continue
    return tuple(names)


def jobs_of(provider: Provider, target: str) -> BatchJobs:
    """Give the batch jobs of *provider*, which answers for *target* (``name:model``).

    Raises:
        InvalidRequest: it has none; the message names those that have.
    """
    jobs = provider.batch_jobs() if isinstance(provider, Batching) else None
    if jobs is None:
        reason = f"has no batch jobs; {', '.join(providers_with_jobs())} have them"
        raise InvalidRequest("economy", target, reason)
    return jobs


@dataclass(frozen=True, slots=True)
class _Request:
    key: str
    body: bytes
    model: str
    worst_usd: float


class Economy:
    """One run through batch jobs; used by one task.

    Args:
        engine: whose first target the jobs ask, and whose ledger they are bounded by.
        book: what the run has begun so far.
        plan: gives the jobs of the run after the first so many, anew at each call.
        concurrency: lines that are checked and mended at a time.
        again: whether a job of which nobody knows if it was begun is begun again where several may be it.
        tell: told how far the jobs are.
        sleep: waits so many seconds.

    Raises:
        InvalidRequest: the target has no batch jobs, or a budget is set and nobody knows its price.
    """

    def __init__(
        self,
        engine: Engine,
        book: JobBook,
        plan: Callable[[int], Iterator[Job]],
        *,
        concurrency: int = 8,
        again: bool = False,
        tell: Callable[[Progress], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._book = book
        self._plan = plan
        self._concurrency = concurrency
        self._again = again
        self._tell = tell
        self._sleep = sleep
        self._target = book.target
        self._model = self._target.partition(":")[2] or None
        self._name = self._target.partition(":")[0]
        self._jobs = jobs_of(engine.router.provider(self._name), self._target)
        self._most_requests = min(self._jobs.most_requests, _MOST_REQUESTS)
        self._most_bytes = min(self._jobs.most_bytes, _MOST_BYTES)
        self._price = engine.router.prices.price(full_name(self._target), batch=True)
        if engine.router.ledger.capped and self._price is None:
            reason = f"nobody knows what {self._target} costs: set its price in routing.prices"
            raise InvalidRequest("budget", engine.router.ledger.left_usd, reason)
        self._held = _Held(engine.router, book)
        self._seen: dict[int, BatchJob] = {}
        self._fetched: Counter[int] = Counter()
        """How often the results of a job were asked for."""
        self._used: set[str] = set()
        """Keys whose answer a line has, or is about to; noted in the book a slice at a time."""
        self._writing: dict[str, asyncio.Event] = {}
        """Keys whose line is being made."""

    @property
    def jobs(self) -> list[BookedJob]:
        """The jobs of the run so far."""
        return self._book.jobs()

    async def submit(self, first: int = 0) -> int:
        """Begin jobs for the lines from place *first* on, as far as the budget goes; waits for none of them.

        Returns:
            The place up to which every line is provided for: by a job, by the cache, or by being asked live.

        Raises:
            ProviderError: the provider takes no job.
            InvalidRequest: nobody knows which of several jobs is one that was begun before.
        """
        await self._find_lost()
        await self._over(
            lambda: {job.number for job in self._book.jobs("submitted") if job.told == CANCEL_ASKED}
        )
        chunk: list[_Request] = []
        keys: set[str] = set()
        size = 0
        place = first
        try:
            for job in self._plan(first):
                request = await self._new(job, keys)
                if request is not None:
                    full = len(chunk) >= self._most_requests or size + len(request.body) > self._most_bytes
                    if chunk and full:
                        await self._begin(chunk)
                        chunk, keys, size = [], set(), 0
                    if not self._held.fits(request.worst_usd):
                        if chunk or (place > first and self._held.any):
                            break  # what is under way gives back what it does not spend
                        self._book.leave(request.key)
                    else:
                        chunk.append(request)
                        keys.add(request.key)
                        size += len(request.body) + 2
                place += 1
                if not place % _SLICE:
                    await asyncio.sleep(0)
            if chunk:
                await self._begin(chunk)
                chunk = []
        finally:
            self._held.drop()
        return place

    async def lines(self, first: int = 0, *, keeper: Keeper | None = None) -> AsyncGenerator[BatchLine, None]:
        """Give the lines from place *first* on, in order, once their jobs are over; begins the jobs itself.

        Raises:
            JobsStopped: a job failed or was cancelled; the lines before its own have been given.
            ProviderError: the provider cannot be asked any more, e.g. because it refuses the credential.
        """
        while True:
            end = await self.submit(first)
            source = islice(self._plan(first), end - first)
            at = first
            while jobs := list(islice(source, _SLICE)):
                keys = {self._key(job.request) for job in jobs if job.request is not None}
                await self._over(partial(self._book.open_jobs_of, keys))
                async for line in run_batch(
                    self, jobs, concurrency=self._concurrency, first=at, keeper=keeper
                ):
                    if line.output is not None:
                        self._used.add(line.output.receipt.key)
                    yield line
                at += len(jobs)
                self._book.use(self._used)
                self._used.clear()
            if next(self._plan(end), None) is None:
                return
            first = end

    def written(self, lines: Iterable[BatchLine]) -> None:
        """Take note of *lines* of an earlier part of the run: what they cost is paid, and theirs."""
        keys = (line.output.receipt.key for line in lines if line.output is not None)
        self._book.use(key for key in keys if key)
        self._held.renew()

    async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
        """Answer one request with what its job brought; live, where it was part of none."""
        key = self._key(request)
        item = self._book.item(key)
        if item is None or item.job is None:
            return await self._engine.generate(request, row=row)
        while key in self._writing:  # another line of the same words: it is written once
            await self._writing[key].wait()
        paid = item.used or key in self._used
        if paid and request.cache in _READS and await self._engine.results.look_up(key) is not None:
            return await self._engine.generate(request, row=row)
        self._used.add(key)
        done = self._writing[key] = asyncio.Event()
        try:
            answer = self._answer(request, key, item)
            if paid and isinstance(answer, Completion):
                usage = answer.usage or Usage()
                answer = replace(answer, usage=usage.model_copy(update={"cost_usd": 0.0}))
            with self._held.hand_over(item.job, 0.0 if paid else item.held_usd) as money:
                given = Given(self._target, answer, money)
                return await self._engine.generate(request, row=row, given=given)
        finally:
            done.set()
            del self._writing[key]

    # submitting

    def _key(self, request: CopywritingInput) -> str:
        return self._engine.plan(request).key

    def _prompt(self, request: CopywritingInput, key: str) -> Prompt:
        nonce = hmac.new(self._book.secret, key.encode(), hashlib.sha256).hexdigest()[:16]
        return build_prompt(compile_brief(request), nonce=nonce, model=self._model)

    async def _new(self, job: Job, keys: set[str]) -> _Request | None:
        """Give *job* as a request of a batch job; None if it is known already, or not to be asked for."""
        if job.request is None:
            return None
        key = self._key(job.request)
        if key in keys or self._book.item(key) is not None:
            return None
        if job.request.cache in _READS and await self._engine.results.look_up(key) is not None:
            return None
        try:
            prompt = self._prompt(job.request, key)
        except InvalidRequest:
            return None  # its line will say so
        provider = self._engine.router.provider(self._name)
        if not isinstance(provider, Priced):
            raise InvalidRequest("economy", self._target, "states no bounds of its calls")
        worst = 0.0 if self._price is None else self._price.worst_usd(*provider.most(prompt))
        return _Request(key, self._jobs.encode(key, prompt), provider.model_of(prompt), worst)

    async def _begin(self, chunk: list[_Request]) -> None:
        """Begin one job, and note it before and after."""
        booked = self._book.intend([(request.key, request.worst_usd) for request in chunk])
        self._held.promise(booked.number)
        self._told("submitting")
        bodies = [request.body for request in chunk]
        for attempt in range(_TRIES):
            try:
                job_id = await self._jobs.submit(bodies, model=chunk[0].model, label=booked.label)
            except ProviderError as error:
                arrived = error.status is None or error.status >= 500  # perhaps
                found = await self._may_be(booked) if arrived and error.retryable else []
                if len(found) == 1:
                    job_id = found[0]
                elif found or not error.retryable or attempt + 1 == _TRIES:
                    if not arrived:
                        self._book.withdraw(booked.number)
                        self._held.renew(booked.number)
                    raise
                else:
                    await self._sleep(_wait_s(attempt, error))
                    continue
            self._book.submitted(booked.number, job_id)
            self._told("submitting")
            return

    async def _may_be(self, booked: BookedJob) -> list[str]:
        known = {job.id for job in self._book.jobs()}
        found = await self._jobs.find(booked.label, requests=booked.requests, since=booked.begun)
        return [job_id for job_id in found if job_id not in known]

    async def _find_lost(self) -> None:
        """Look for the jobs of which nobody noted whether they were begun."""
        for booked in self._book.jobs("intended"):
            found = await self._may_be(booked)
            if len(found) == 1:
                self._book.submitted(booked.number, found[0])
            elif not found or self._again:
                self._book.withdraw(booked.number)
                self._held.renew(booked.number)
            else:
                since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(booked.begun))
                reason = (
                    f"a job of {booked.requests} requests was about to be begun at {since}, and any of "
                    f"{', '.join(found)} may be it; --yes begins it again, and pays twice if it is one of them"
                )
                raise InvalidRequest("resume", self._target, reason)

    # waiting

    async def _over(self, wanted: Callable[[], set[int]]) -> None:
        """Wait until the *wanted* jobs are over, and keep their answers; others are looked at meanwhile."""
        attempt = 0
        while needed := wanted():
            trouble = ""
            for booked in self._book.jobs("submitted"):
                try:
                    await self._look(booked)
                except ProviderError as error:
                    if not error.retryable:
                        raise
                    trouble = error.message
            if wanted() < needed:
                attempt = 0
                continue
            self._told("waiting", trouble)
            await self._sleep(_wait_s(attempt, None))
            attempt += 1

    async def _look(self, booked: BookedJob) -> None:
        job = self._seen[booked.number] = await self._jobs.job(booked.id or "")
        if not job.is_over:
            return
        self._told("collecting")
        if job.state != "failed":
            await self._fetch(booked, job)
        if job.state in ("failed", "cancelled"):
            self._book.over(booked.number, "failed" if job.state == "failed" else "cancelled", job.reason)
            self._held.renew(booked.number)
            if booked.told == CANCEL_ASKED:  # and then to go on
                return
            why = f": {job.reason}" if job.reason else ""
            message = f"batch job {job.id} at {self._target} {_WORDS[job.state]}{why}"
            raise JobsStopped(f"{message}; --resume begins another for what it has not answered")
        self._book.over(booked.number, "collected")
        self._held.renew(booked.number)

    async def _fetch(self, booked: BookedJob, job: BatchJob) -> None:
        """Keep what a job has answered; of a cancelled one not what only says that it was.

        Raises:
            ProviderError: not all came; what did is kept, and it is worth trying again.
        """
        self._fetched[booked.number] += 1
        answers: list[tuple[str, bytes, float | None]] = []
        before = self._book.job(booked.number).answered
        given = kept = 0
        try:
            async for key, answer in self._jobs.results(job.id):
                if job.state == "cancelled" and not self._is_charged(answer):
                    continue
                given += 1
                answers.append((key, answer, self._cost(answer)))
                if len(answers) >= _AT_ONCE:
                    kept += self._book.keep(booked.number, answers)
                    answers = []
        finally:
            kept += self._book.keep(booked.number, answers)
        if before + kept < (job.done or 0) and self._fetched[booked.number] < _TRIES:
            raise TruncatedStream(f"{before + kept} answers came of the {job.done} that there should be")
        self._book.had_strangers(booked.number, given - kept - before)

    def _is_charged(self, answer: bytes) -> bool:
        try:
            self._jobs.read(answer)
        except ProviderError as error:
            return charge_of(error) is not None
        return True

    def _cost(self, answer: bytes) -> float | None:
        """Say what an answer cost; None where nobody knows."""
        try:
            completion = self._jobs.read(answer)
        except ProviderError as error:
            usage = charge_of(error)
            return 0.0 if usage is None else self._usd(usage, None)
        return self._usd(completion.usage, completion.model)

    def _usd(self, usage: Usage | None, model: str | None) -> float | None:
        if usage is None:
            return None
        prices = self._engine.router.prices
        served = prices.cost_usd(f"{self._name}:{model}", usage, batch=True) if model else None
        return prices.cost_usd(full_name(self._target), usage, batch=True) if served is None else served

    # reading

    def _answer(self, request: CopywritingInput, key: str, item: Item) -> Completion | ProviderError:
        if item.answer is None:
            return ProviderUnavailable("the job did not answer this request", target=self._target)
        try:
            prompt = self._prompt(request, key)
            completion = self._jobs.check(self._jobs.read(item.answer), prompt)
        except ProviderError as error:
            return error
        if prompt.is_told_by(completion.text):
            return charge(MalformedCompletion("the answer repeats its instructions"), completion.usage)
        return completion

    def _told(self, doing: str, trouble: str = "") -> None:
        jobs = self._book.jobs()
        opened = [job for job in jobs if job.state in ("intended", "submitted")]
        done = [self._seen[job.number].done for job in opened if job.number in self._seen]
        answered = sum(job.answered for job in jobs if job.state not in ("intended", "submitted"))
        self._tell(
            Progress(
                doing,
                jobs=len(jobs),
                open=len(opened),
                requests=sum(job.requests for job in jobs),
                answered=None if None in done else answered + sum(filter(None, done)),
                state=self._seen[opened[0].number].state if opened and opened[0].number in self._seen else "",
                trouble=trouble,
            )
        )


_WORDS = {"failed": "failed", "cancelled": "was cancelled"}


def _wait_s(attempt: int, error: ProviderError | None) -> float:
    told = getattr(error, "retry_after_s", None)
    return float(min(told or 0.0, 900.0)) or min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 1.5**attempt)


class _Held:
    """What the jobs may still cost, promised in the engine's ledger: of each job what no line has yet."""

    def __init__(self, router: Router, book: JobBook) -> None:
        self._ledger = router.ledger
        self._book = book
        self._of: dict[int, tuple[Reservation, int]] = {}
        """Of each job the promise, and its amount in trillionths of a dollar."""
        self._next: list[Reservation] = []
        """Promised to requests that are part of no job yet."""
        self.renew()

    @property
    def any(self) -> bool:
        """Whether something is under way that may give money back."""
        return bool(self._of)

    def fits(self, usd: float) -> bool:
        """Promise *usd* to a request of the next job; False if the budget has less left."""
        try:
            self._next.append(self._ledger.reserve(usd))
        except BudgetExceeded:
            return False
        return True

    def promise(self, number: int) -> None:
        """Turn what was promised to its requests into the promise of a job."""
        self.drop()
        self.renew(number)

    def drop(self) -> None:
        """Give back what was promised to requests that became part of no job."""
        for reservation in self._next:
            reservation.release()
        self._next = []

    def hand_over(self, number: int, usd: float) -> Reservation:
        """Give the part of a job's promise that is one request's, to be settled by its call."""
        _, left = self._of.get(number, (None, 0))
        self._set(number, left - round(usd * _PICO))
        return self._reserve(usd)

    def renew(self, *numbers: int) -> None:
        """Promise anew what the book says of the jobs, of all unless some are named."""
        for number in numbers or (job.number for job in self._book.jobs()):
            self._set(number, round(self._book.held_usd(number) * _PICO))

    def _set(self, number: int, pico: int) -> None:
        held = self._of.pop(number, None)
        if held is not None:
            held[0].release()
        if pico > 0:
            self._of[number] = (self._reserve(pico / _PICO), pico)

    def _reserve(self, usd: float) -> Reservation:
        """Promise *usd*, which is spent or may be: where the budget was lowered since, all that it has left."""
        try:
            return self._ledger.reserve(usd)
        except BudgetExceeded:
            return self._ledger.reserve(self._ledger.left_usd or 0.0)
