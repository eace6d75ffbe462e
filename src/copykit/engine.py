"""The engine: one way from a request to checked copy, whoever writes it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING

from copykit import events
from copykit.brief.compile import compile_brief
from copykit.brief.merge import unplaced
from copykit.caching.base import Cache
from copykit.caching.key import output_id
from copykit.caching.registry import cache_from
from copykit.caching.results import Results
from copykit.errors import ConfigurationError, CopykitError, DeadlineExceeded
from copykit.flight import Flight
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.providers.registry import check_targets
from copykit.routing.account import OWN, Account
from copykit.routing.asking import Given
from copykit.routing.call import GRACE_S
from copykit.routing.router import Router
from copykit.settings import Settings
from copykit.sharing import answered_with_another, paid_by_another
from copykit.work import Work, in_time, plan_work
from copykit.writing import Writing, output_of

if TYPE_CHECKING:
    from copykit.streaming import StreamEvent, Watch

__all__ = ["Engine"]

_READS, _WRITES = ("on", "read"), ("on", "write", "refresh")


class Engine:
    """Look up, share, brief, ask, judge, store: the steps of one generation.

    Args:
        settings: targets, cache and deadline.
        cache: used instead of the one the settings name.
        clock: monotonic seconds, for latencies.

    Raises:
        ConfigurationError: targets that no provider answers to, all at once.
    """

    def __init__(
        self, settings: Settings, *, cache: Cache | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if problems := check_targets(settings.routing.targets, settings.providers):
            raise ConfigurationError(problems)
        self.settings = settings
        self.results = Results(
            cache if cache is not None else cache_from(settings.cache), settings.cache.ttl_s, self.emit
        )
        self.router = Router(settings, self.emit, clock)
        self._flight: Flight[CopywritingOutput] = Flight()
        self._hooks: tuple[events.Hook, ...] = ()
        self._numbers = itertools.count(1)
        self._clock = clock

    def stream(self, request: CopywritingInput, *, account: Account = OWN) -> AsyncIterator[StreamEvent]:
        """Give *request*'s copy as it is written; the last event is `StreamFinished` or `StreamFailed`."""
        from copykit.streaming import relay  # only who streams pays for it

        return relay(lambda watch: self.generate(request, watch=watch, account=account))

    async def generate(
        self,
        request: CopywritingInput,
        *,
        row: int | None = None,
        watch: Watch | None = None,
        given: Given | None = None,
        account: Account = OWN,
    ) -> CopywritingOutput:
        """Give checked copy for *request*; *row* enters only the result's id, so that rows of a batch differ.

        A *watch* is told what is written meanwhile, and *given* is what a batch job wrote for the request: such calls
        are made for themselves alone. *account* says on whose behalf: its cache and its money.

        Raises:
            InvalidRequest: the request cannot be served, with field and nearest valid value.
            NoProviderSucceeded: every target failed.
            DeadlineExceeded: no answer in time.
        """
        started, number = self._clock(), f"r{next(self._numbers)}"
        self.emit(events.GenerationStarted(number, account.tenant))
        try:
            output = await self._answer(self.plan(request, account), watch, given)
        except CopykitError as error:
            own = copy(error)  # callers that shared the work share its error, and each has its own number
            own.request_id = number
            self._failed(number, own.code, own.message, started, account)
            raise own.with_traceback(error.__traceback__) from error.__cause__
        except BaseException as error:  # a caller that leaves, a defect: each start has an end
            code = "cancelled" if isinstance(error, asyncio.CancelledError) else "internal_error"
            self._failed(number, code, type(error).__name__, started, account)
            raise
        output.id = output_id(output.receipt.key, row)
        status, took_s = output.variants[0].status, self._clock() - started
        what = (number, output.placement, output.language, status, output.cached, took_s, account.tenant)
        self.emit(events.GenerationFinished(*what))
        return output

    def _failed(self, number: str, code: str, reason: str, started: float, account: Account) -> None:
        took_s = self._clock() - started
        self.emit(events.GenerationFailed(number, code, reason, took_s, account.tenant))

    async def _answer(self, work: Work, watch: Watch | None, given: Given | None) -> CopywritingOutput:
        if work.request.cache in _READS and given is None:
            looked = self.results.look_up(work.key, work.account.tenant)
            found = await in_time(work, work.deadline_s, looked)
            if found is not None:
                return found
        if watch is not None or given is not None:
            return await self._write(work, watch=watch, given=given)
        return await self._shared(work)

    async def _shared(self, work: Work) -> CopywritingOutput:
        """Write, or wait for an identical request in progress; one of those that wait to the end pays for it."""
        while True:
            seat = self._flight.seat(f"{work.request.cache}:{work.key}", lambda: self._write(work))
            try:
                # Who began it waits for its end, which has this very deadline: a loop that is late would otherwise end the
                # wait in the turn in which it ends the call, and nobody would tell what the call has cost.
                left_s = work.deadline_at - self._clock() + GRACE_S
                output = await (seat.landing() if seat.began else in_time(work, left_s, seat.landing()))
            except CopykitError as error:
                if seat.pays:
                    raise
                if isinstance(error, DeadlineExceeded) and self._clock() < work.deadline_at:
                    continue  # whoever began it had less time
                raise paid_by_another(error) from error.__cause__
            if not seat.pays:
                return answered_with_another(output)
            return output.model_copy(deep=True) if seat.shared else output

    def plan(self, request: CopywritingInput, account: Account = OWN) -> Work:
        """Say who is to write *request*, under which key, and by when."""
        return plan_work(request, self.router, now=self._clock(), account=account)

    async def _write(
        self, work: Work, *, watch: Watch | None = None, given: Given | None = None
    ) -> CopywritingOutput:
        request = work.request
        brief = compile_brief(request)
        asking = self.router.begin(
            brief, work.targets, deadline_at=work.deadline_at, given=given, account=work.account
        )
        if watch is not None:
            watch.began(brief)
            asking.listen(watch.text, watch.room)
        writing = Writing(asking, brief, watch=watch)
        try:
            written = await in_time(work, work.deadline_at - self._clock(), writing.finish(), asking.attempts)
        except DeadlineExceeded:
            best = writing.best()
            if best is None:
                raise
            written = best
        for repair in written.repairs:
            self.emit(events.FieldRepaired(repair.field, repair.rule, work.account.tenant))
        output = output_of(written, brief, key=work.key, versions=work.versions)
        output.info += unplaced(request.personalization, written.variants)
        output.info += self.settings.ignored
        accepted = written.variants[0].status != "rejected"
        if accepted and request.cache in _WRITES and written.answer.target in work.first:
            with suppress(DeadlineExceeded):  # a cache that hangs costs the storing, not the copy
                await in_time(work, work.deadline_at - self._clock(), self.results.store(work.key, output))
        return output

    def add_hook(self, hook: events.Hook) -> None:
        """Send this engine's events to *hook*; one that raises is dropped, as process-wide ones are."""
        self._hooks = (*self._hooks, hook)

    def remove_hook(self, hook: events.Hook) -> None:
        """Stop sending events to *hook*."""
        self._hooks = tuple(h for h in self._hooks if h != hook)

    async def aclose(self) -> None:
        """Give back what the cache and the providers hold; the engine must not be used afterwards."""
        try:
            await self.router.aclose()
        finally:
            await self.results.aclose()

    def emit(self, event: events.Event) -> None:
        """Send *event* to this engine's hooks and to the process-wide ones."""
        for failed in events.emit(event, self._hooks):
            self.remove_hook(failed)
