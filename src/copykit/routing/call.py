"""One call of one target: its place, its money, its end, and what the receipt says of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from copykit import events
from copykit.brief.brief import Brief
from copykit.brief.prompt import Prompt, RepairPrompt
from copykit.errors import (
    BudgetExceeded,
    ConfigurationError,
    CopykitError,
    InvalidRequest,
    MalformedCompletion,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    TruncatedStream,
)
from copykit.models import Attempt, Usage
from copykit.providers.base import Completion, Priced, Provider, StreamingProvider, charge_of
from copykit.routing.account import OWN, Account
from copykit.routing.breaker import Outcome, Permit
from copykit.routing.budget import Ledger, Reservation
from copykit.routing.retry import Treatment, classify
from copykit.routing.state import RoutingState
from copykit.routing.targets import Target

__all__ = ["DEFAULT_TIMEOUT_S", "GRACE_S", "Caller", "PassedOver"]

T = TypeVar("T")

_NUMBERS = itertools.count(1)
"""Of calls, in this process."""

DEFAULT_TIMEOUT_S = 60.0
"""Bound of one call where the provider states none (DESIGN 13.29)."""
GRACE_S = 0.05
"""Seconds that whoever waits for a request gives it beyond its deadline, to say how far it came."""


class PassedOver(Exception):  # no error: nothing was asked, and nothing failed
    """Nothing was sent: while the call waited for its place the target began to rest, or its breaker opened."""


class _Ending(NamedTuple):
    """What became of a call."""

    outcome: str
    reason: str | None
    completion: Completion | None
    billed: Usage | None
    """None if it is not charged at all."""


_FETCHES = 50
"""Times that money is fetched for one call while others use it up: more at once than a worker has places for."""


class Caller:
    """Makes the calls of one request, and keeps account of them. Calls may run side by side."""

    def __init__(self, state: RoutingState, brief: Brief, deadline_at: float, account: Account = OWN) -> None:
        self.attempts: list[Attempt] = []
        """Every try so far, targets that were passed over included."""
        self.tries = 0
        """Calls for a whole answer; embedded writers are not counted."""
        self.calls = 0
        """All calls, those for single texts included."""
        self.back_at: list[float] = []
        """When the targets passed over may be asked again."""
        self.on_text: Callable[[str], None] | None = None
        """Takes the answer's text as it comes, from providers that can give it so."""
        self.on_room: Callable[[], Awaitable[None]] | None = None
        """Waits until whoever takes the text has room for more."""
        self.begun = False
        """Whether text was given: from then on no other call may go on with the answer."""
        self.deadline_at = deadline_at
        self._state = state
        self._brief = brief
        self._spent: list[Usage] = []
        self._tenant = account.tenant
        self._ledger = Ledger(
            state.settings.routing.request_budget_usd,
            scope="request budget",
            parent=account.ledger or state.ledger,
        )

    @property
    def usage(self) -> Usage:
        """Tokens and money of all calls so far."""
        return _total(self._spent)

    def provider(self, name: str) -> Provider:
        """Give what answers for the target *name*; what cannot be had is told in the attempts.

        Raises as `RoutingState.provider`, with the settings' mistakes told as such.
        """
        try:
            return self._state.provider(name.partition(":")[0])
        except Exception as error:
            outcome, reason = _said_by(error)
            self._note(name, outcome, reason)
            if isinstance(error, InvalidRequest):
                raise self._misnamed(error) from error
            raise

    async def call(
        self,
        target: Target,
        permit: Permit,
        prompt: Prompt,
        read: Callable[[Completion], T],
        why: str | None = None,
    ) -> tuple[Completion, T]:
        """Make one call, and say of it to everybody what became of it.

        Args:
            permit: the breaker's leave, used up whatever happens.
            read: finds in the answer what was asked for; raises if it is not there.
            why: stands in the receipt beside a call that needs an explanation although it went well.

        Raises:
            PassedOver: the leave is worth nothing any more; a new one is to be asked for.
            ProviderError: the call failed.
            BudgetExceeded: it has no room in the budgets.
        """
        state = self._state
        outcome: Outcome = "none"
        asked_at = began = state.clock()
        completion: Completion | None = None
        billed: Usage | None = None
        number = 0
        try:
            provider = self.provider(target.name)
            async with target.slots.slot() as slot:
                began = state.clock()
                if began > asked_at and not state.targets.stands(target, permit, began):
                    raise PassedOver
                with await self._reserved(target, provider, prompt) as money:
                    target.repeats.call_began()
                    if not getattr(provider, "embedded", False):
                        self.calls += 1
                        self.tries += not isinstance(prompt, RepairPrompt)
                        number = next(_NUMBERS)
                        worst_usd = money.worst_usd if self._ledger.capped else None
                        state.tell(events.AttemptStarted(number, target.name, worst_usd))
                    answered = False
                    try:
                        completion = await self._exchange(provider, prompt)
                        billed = self._charge(target, money, completion.usage, completion.model)
                        answered = True
                        if prompt.is_told_by(completion.text):
                            raise MalformedCompletion("the answer repeats its instructions")
                        result = read(completion)
                    except BaseException as error:
                        treatment = classify(error) if isinstance(error, ProviderError) else None
                        if treatment is not None and isinstance(error, ProviderError):
                            outcome = treatment.breaker
                            if treatment.slows:
                                slot.throttled()
                            self._rest(target, error, treatment)
                        if completion is None:
                            billed = self._bill_failure(target, money, error, treatment)
                        end = _Ending(*_said_by(error), completion, billed)
                        self._record(target, end, number, began, asked_at)
                        raise
                    finally:
                        target.repeats.call_ended(ok=answered)
                outcome = "ok"
                slot.succeeded()
        finally:
            now = state.clock()
            latency_s = now - began
            before = target.breaker.state
            target.breaker.record(permit, outcome, now, latency_s if outcome == "ok" else None)
            if target.breaker.state != before:
                state.tell(events.TargetMoved(target.name, target.breaker.state))
        target.usual.add(latency_s)
        self._record(target, _Ending("ok", why, completion, billed), number, began, asked_at)
        return completion, result

    def given(self, target: Target, money: Reservation, answer: Completion | ProviderError) -> None:
        """Account for an *answer* that a batch job brought: charged at that rate, and no matter of health."""
        if isinstance(answer, Completion):
            self.calls += 1
            billed = self._charge(target, money, answer.usage, answer.model, batch=True)
            self._note(target.name, "ok", "from a batch job", answer.model, billed)
            return
        usage = charge_of(answer)
        if usage is None:  # what a job fails to write is not charged
            money.release()
        else:
            self.calls += 1
            usage = self._charge(target, money, usage, target.model, batch=True)
        self._note(target.name, answer.code, f"from a batch job: {answer.message}", None, usage)

    def pass_over(self, target: Target, outcome: str, reason: str) -> None:
        """Note that *target* was not asked, and why."""
        self._note(target.name, outcome, reason)

    def reserve(self, worst_usd: float) -> Reservation:
        """Promise *worst_usd* within this request's budget and the process's."""
        return self._ledger.reserve(worst_usd)

    async def _exchange(self, provider: Provider, prompt: Prompt) -> Completion:
        left_s = self.deadline_at - self._state.clock()
        bounds = _bounds(provider)
        own_s = bounds.timeout_s if bounds is not None else DEFAULT_TIMEOUT_S
        limit: asyncio.Timeout | None = None
        try:
            if own_s <= left_s and getattr(provider, "keeps_time", False):
                return await self._asked(provider, prompt)
            # the request's own end comes first where it is the nearer one, and says so
            async with asyncio.timeout(min(left_s + GRACE_S, own_s)) as limit:
                return await self._asked(provider, prompt)
        except TimeoutError as error:
            if limit is None or not limit.expired():
                raise
            raise ProviderTimeout(f"no answer within {own_s:g} s", after_s=own_s) from error
        except InvalidRequest as error:
            raise self._misnamed(error) from error

    async def _asked(self, provider: Provider, prompt: Prompt) -> Completion:
        streams = self.on_text is not None and not isinstance(prompt, RepairPrompt)
        if streams and isinstance(provider, StreamingProvider):
            return _checked(await self._streamed(provider, prompt), provider, "stream()")
        answer = provider.complete(prompt)
        if not isinstance(answer, Awaitable):
            raise _misbehaved(provider, f"complete() gave {_kind(answer)} that cannot be awaited")
        return _checked(await answer, provider, "complete()")

    async def _streamed(self, provider: StreamingProvider, prompt: Prompt) -> Completion:
        completion: Completion | None = None
        pieces = provider.stream(prompt)
        try:
            async for piece in pieces:
                if isinstance(piece, Completion):
                    completion = piece
                elif not isinstance(piece, str):
                    raise _misbehaved(
                        provider, f"stream() gave {_kind(piece)} instead of text or a Completion"
                    )
                elif piece and self.on_text is not None:
                    self.begun = True
                    self.on_text(piece)
                    if self.on_room is not None:
                        await self.on_room()
        finally:  # a caller that leaves closes the connection at once
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        if completion is None:
            raise TruncatedStream("the stream ended without its answer")
        return completion

    def _misnamed(self, error: InvalidRequest) -> CopykitError:
        """A target that the settings name is the settings' mistake, not the caller's."""
        if self._brief.request.provider is None and error.field in ("provider", "model"):
            return ConfigurationError(f"routing.providers: {error.message}")
        return error

    async def _reserved(self, target: Target, provider: Provider, prompt: Prompt) -> Reservation:
        """Promise the most that the call can cost; what has no price is not asked under a cap."""
        if not self._ledger.capped:
            return self._ledger.reserve(0.0)
        bounds = _bounds(provider)
        size, tokens = bounds.most(prompt) if bounds is not None else (0, 0)
        name = target.name
        if not target.model and bounds is not None:
            name = f"{target.provider}:{bounds.model_of(prompt)}"
        price = self._state.prices.price(name)
        if price is None or (price.source != "free" and bounds is None):
            left = self._ledger.left_usd or 0.0
            why = (
                f"a budget is set and nobody knows what {target.name} costs: set its price in routing.prices"
            )
            self._note(target.name, "price_unknown", why)
            raise BudgetExceeded(left, 0.0, 0.0, reason=why)
        worst_usd = price.worst_usd(size, tokens)
        try:
            for _ in range(_FETCHES):
                try:
                    return self._ledger.reserve(worst_usd)
                except BudgetExceeded:
                    if not await self._ledger.more(worst_usd):
                        return self._ledger.reserve(worst_usd)  # whose refusal tells what was found
            return self._ledger.reserve(worst_usd)
        except BudgetExceeded as error:
            self._note(target.name, "budget_exceeded", error.message)
            raise

    def _charge(
        self,
        target: Target,
        money: Reservation,
        usage: Usage | None,
        model: str | None,
        *,
        batch: bool = False,
    ) -> Usage:
        """Settle what a call cost, and keep it for the receipt; gives it with the cost filled in."""
        usage = usage or Usage()
        if usage.cost_usd is None and (usage.input_tokens or usage.output_tokens):
            named = f"{target.provider}:{model or target.model}"
            cost = self._state.prices.cost_usd(named, usage, batch=batch)
            if cost is None and target.model and named != target.name:
                cost = self._state.prices.cost_usd(target.name, usage, batch=batch)
            usage = Usage.model_construct(**{**usage.__dict__, "cost_usd": cost})
        charged = money.settle(usage.cost_usd)
        if usage.cost_usd is None and charged:
            # the worst case, for want of a true figure: as the ledger has it
            usage = usage.model_copy(update={"cost_usd": charged})
        self._spent.append(usage)
        return usage

    def _bill_failure(
        self, target: Target, money: Reservation, error: BaseException, treatment: Treatment | None
    ) -> Usage | None:
        """Charge a call that gave no answer, if it may be billed; give the money back if not.

        One that was cut off, by its caller or by a defect, may be: its worst case is charged.
        """
        usage = charge_of(error) if isinstance(error, ProviderError) else None
        may_bill = treatment.may_bill if treatment is not None else not isinstance(error, CopykitError)
        if usage is None and not may_bill:
            money.release()
            return None
        return self._charge(target, money, usage, target.model)

    def _rest(self, target: Target, error: ProviderError, treatment: Treatment) -> None:
        now, rests = self._state.clock(), self._state.targets.rests
        told_s = getattr(error, "retry_after_s", None)
        if treatment.rest == "quarantine":
            rest = rests.quarantine(target.provider, now, reason=error.code)
        elif treatment.rest in ("cooldown", "cooldown_if_told"):
            rest = rests.cool(target.provider, now, told_s, reason=error.code)
        else:
            return
        self.back_at.append(rest.until)
        self._state.tell(events.ProviderRested(target.provider, rest.kind, rest.reason, rest.until - now))

    def _record(self, target: Target, end: _Ending, number: int, began: float, asked_at: float) -> None:
        latency_s = self._state.clock() - began
        billed = end.billed or _NOTHING
        told = events.AttemptFinished(
            target.name,
            end.outcome,
            latency_s,
            number,
            billed.cost_usd,
            billed.input_tokens,
            billed.output_tokens,
            self._tenant,
        )
        self._state.tell(told)
        self._note(
            target.name,
            end.outcome,
            end.reason,
            end.completion.model if end.completion else None,
            end.billed,
            # to 0.1 ms: smaller floats are spelled differently by JSON libraries, which takes the slow way
            latency_s=round(latency_s, 4),
            waited_s=round(began - asked_at, 4),
        )

    def _note(
        self,
        name: str,
        outcome: str,
        reason: str | None,
        model: str | None = None,
        billed: Usage | None = None,
        **times: Any,
    ) -> None:
        billed = billed or _NOTHING
        self.attempts.append(
            Attempt.model_construct(  # of values that are right already: checking them takes longer than all the rest
                target=name,
                model=model,
                outcome=outcome,
                input_tokens=billed.input_tokens,
                output_tokens=billed.output_tokens,
                cost_usd=billed.cost_usd,
                reason=reason,
                **times,
            )
        )


_NOTHING = Usage(cost_usd=0.0)
"""Of a call that is not charged."""


def _checked(answer: object, provider: Provider, method: str) -> Completion:
    """Give *answer* if it is what a provider gives; its type alone is told, since nobody knows what it holds."""
    if not isinstance(answer, Completion):
        raise _misbehaved(provider, f"{method} gave {_kind(answer)} instead of a Completion")
    if not isinstance(answer.text, str):
        raise _misbehaved(provider, f"{method} gave a Completion whose text is {_kind(answer.text)}")
    if answer.usage is not None and not isinstance(answer.usage, Usage):
        raise _misbehaved(provider, f"{method} gave a Completion whose usage is {_kind(answer.usage)}")
    return answer


def _misbehaved(provider: Provider, how: str) -> ProviderProtocolError:
    """Say that *provider* breaks its contract, which it would do again."""
    name = getattr(provider, "name", None) or type(provider).__name__
    return ProviderProtocolError(f"{name}: {how}", target=str(name), retryable=False)


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _said_by(error: BaseException) -> tuple[str, str | None]:
    """Give outcome and reason; of a defect only its kind, since nobody knows what its words hold."""
    if isinstance(error, CopykitError):
        return error.code, error.message
    if isinstance(error, asyncio.CancelledError):
        return "cancelled", None
    return "internal_error", type(error).__name__


_BOUNDED: dict[type, bool] = {}


def _bounds(provider: Provider) -> Priced | None:
    """Give *provider* as one that states bounds, if it does; asked once a class, since asking takes 9 us."""
    kind = type(provider)
    bounded = _BOUNDED.get(kind)
    if bounded is None:
        bounded = _BOUNDED[kind] = isinstance(provider, Priced)
    return cast(Priced, provider) if bounded else None


def _total(spent: Sequence[Usage]) -> Usage:
    """Add up all completions, also those that held no copy; a new object, since providers may share theirs."""
    if len(spent) == 1:
        return spent[0].model_copy()
    totals: dict[str, Any] = {}
    for name in Usage.model_fields:
        known = [value for usage in spent if (value := getattr(usage, name)) is not None]
        totals[name] = sum(known) if known else None
    if any(usage.cost_usd is None and (usage.input_tokens or usage.output_tokens) for usage in spent):
        totals["cost_usd"] = None  # a sum that leaves a call out would look like the whole
    return Usage.model_construct(**totals)
