"""Ask the targets in order until one gives copy: one retry loop, with a receipt of every try.

The semantics are those of docs/routing.md: at most three calls as long as they fail, a repeat of the same target
only where the failure, the budget of repeats and the time left allow it, and never a call that the budget does not cover.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from copykit import events
from copykit.brief.brief import Brief
from copykit.brief.prompt import Prompt, RepairPrompt, Wanted, build_prompt, build_repair
from copykit.drafts.draft import Draft
from copykit.errors import (
    AllProvidersCooling,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContextTooLong,
    CopykitError,
    InvalidRequest,
    MalformedCompletion,
    NoProviderSucceeded,
    Overloaded,
    ProviderError,
    ProviderTimeout,
    TruncatedStream,
)
from copykit.models import Attempt, Usage
from copykit.providers.base import Closable, Completion, Priced, Provider, StreamingProvider, charge_of
from copykit.providers.registry import Source, make_provider, provider_source
from copykit.routing.breaker import Permit
from copykit.routing.budget import Ledger, Prices, Reservation
from copykit.routing.health import Rest, come_back_s
from copykit.routing.retry import Backoff, Retry, Treatment, classify
from copykit.routing.targets import Target, Targets
from copykit.settings import Settings

__all__ = ["Answer", "Asking", "Router"]

T = TypeVar("T")

MAX_ATTEMPTS = 3
"""Calls of one request over all targets, as long as they fail (DESIGN 13.6)."""
MAX_REPAIRS = 2
"""Calls to one target for single texts of its answer."""
MAX_CALLS = 4
"""Calls of one request in all."""
_NOT_ASKED = frozenset({"circuit_open", "cooling", "price_unknown", "budget_exceeded"})
"""Outcomes of targets that were passed over without a call."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target wrote, and the way to it."""

    drafts: tuple[Draft, ...]
    served_by: str
    target: str
    info: tuple[str, ...]
    by_model: bool
    """Whether a language model wrote it, which some platforms want labelled."""


class Router:
    """Holds the providers in use and what is known of their health.

    Providers are made at their first call, and made anew once their name is registered anew.

    Args:
        settings: where providers find their keys and addresses; caps and prices.
        emit: where events go.
        clock: monotonic seconds.
        sleep: waits so many seconds.
        chance: numbers in [0, 1), for jitter.
    """

    def __init__(
        self,
        settings: Settings,
        emit: Callable[[events.Event], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.sleep = sleep
        self.chance = chance
        self.targets = Targets(clock=clock, chance=chance)
        self.backoff = Backoff(chance=chance)
        self.prices = Prices(settings.routing.prices)
        self.ledger = Ledger(settings.routing.budget_usd, scope="budget")
        self._emit = emit
        self._providers: dict[str, tuple[Source, Provider]] = {}
        self._replaced: list[Provider] = []
        """Closed with the rest only: calls may still run on them."""

    async def ask(self, brief: Brief, targets: Sequence[str], *, deadline_at: float = float("inf")) -> Answer:
        """Give the first usable answer.

        Args:
            targets: ``name`` or ``name:model``, in the order in which they are asked.
            deadline_at: when the caller stops waiting, by this router's clock: nothing is begun that cannot end by then.

        Raises:
            NoProviderSucceeded: every target that was asked failed; carries the attempts.
            AllProvidersCooling: every target rests or is left alone; says when to come back.
            BudgetExceeded: no target fits into what the budget has left; nothing was sent.
            InvalidRequest: the target that the request names is unknown, or a target cannot serve this brief
                whatever is tried.
            ConfigurationError: a target that the settings name is unknown, or refuses its model.
        """
        return await self.begin(brief, targets, deadline_at=deadline_at).next()

    def begin(self, brief: Brief, targets: Sequence[str], *, deadline_at: float = float("inf")) -> Asking:
        """Begin a request that may ask a target again for single texts, and the next one if that does not help."""
        return Asking(self, brief, targets, deadline_at)

    def look(self) -> dict[str, Any]:
        """Give breakers, limits, rests and money as they are now."""
        ledger = self.ledger.look()
        return {
            **self.targets.look(),
            "money": {
                "cap_usd": ledger.cap_usd,
                "spent_usd": ledger.spent_usd,
                "reserved_usd": ledger.reserved_usd,
                "estimated_calls": ledger.estimated,
            },
        }

    def provider(self, name: str) -> Provider:
        """Give the provider called *name*, made now if it was not asked before."""
        source = provider_source(name)
        held = self._providers.get(name)
        if held is not None and held[0] is source:
            return held[1]
        provider = make_provider(source, self.settings)
        if held is not None:
            self._replaced.append(held[1])
        self._providers[name] = (source, provider)
        return provider

    async def aclose(self) -> None:
        """Close every provider that can be closed, also when one of them fails to; what failed last is raised."""
        providers = [*self._replaced, *(provider for _, provider in self._providers.values())]
        self._providers, self._replaced = {}, []
        async with AsyncExitStack() as stack:
            for provider in providers:
                if isinstance(provider, Closable):
                    stack.push_async_callback(provider.aclose)

    def tell(self, event: events.Event) -> None:
        """Send *event* to whoever watches."""
        self._emit(event)


class Asking:
    """One request on its way through the targets: made by `Router.begin`, used by one task."""

    def __init__(self, router: Router, brief: Brief, targets: Sequence[str], deadline_at: float) -> None:
        self._router = router
        self._brief = brief
        self._targets = targets
        self._deadline_at = deadline_at
        self._ledger = Ledger(
            router.settings.routing.request_budget_usd, scope="request budget", parent=router.ledger
        )
        self.attempts: list[Attempt] = []
        """Every try so far, targets that were passed over included."""
        self._spent: list[Usage] = []
        self._billed: Usage | None = None
        """What the call in progress was charged for, once it was."""
        self._place = 0
        self._tries = 0
        """Calls for a whole answer; embedded writers are not counted."""
        self._calls = 0
        """All calls, those for single texts included."""
        self._again = 0
        self._target: Target | None = None
        """The one that answered last."""
        self._last: CopykitError | None = None
        self._back_at: list[float] = []
        """When the targets passed over may be asked again."""
        self.on_text: Callable[[str], None] | None = None
        """Takes the answer's text as it comes, from providers that can give it so."""
        self.begun = False
        """Whether text was given: from then on no other call may go on with the answer."""

    @property
    def usage(self) -> Usage:
        """Tokens and money of all calls so far."""
        return _total(self._spent)

    async def next(self) -> Answer:
        """Give the answer of the next target that has one; raises as `Router.ask` does when none is left."""
        self._target = None
        self._again = 0
        while self._place < len(self._targets):
            name = self._targets[self._place]
            self._place += 1
            target = self._router.targets.of(name)
            if isinstance(self._last, ContextTooLong) and not self._is_larger(name):
                continue
            if self._is_spent() and not self._is_embedded(target):
                continue
            answer = await self._at(target, len(self._targets) - self._place)
            if answer is not None:
                self._target = target
                return answer
            if self._last is not None and not self._falls_back(classify(self._last)):
                break
        raise self._failure() from self._last

    def may_ask_again(self) -> bool:
        """Whether the target that answered last may be asked for single texts: twice, and four calls in all."""
        return self._target is not None and self._again < MAX_REPAIRS and self._calls < MAX_CALLS

    async def again(self, wanted: Sequence[Wanted]) -> dict[int, str]:
        """Ask the target that answered last for *wanted* alone; one call, never repeated.

        Gives texts by number from 1. What the target fails to give is missing, and so is everything if the call
        fails: the receipt says why.
        """
        if self._target is None or not self.may_ask_again():
            return {}
        self._again += 1
        leave = self._leave(self._target, 0)
        if leave is None:
            return {}
        nonce = os.urandom(8).hex()
        prompt = build_repair(self._brief, wanted, nonce=nonce, model=self._target.model or None)
        try:
            _, texts = await self._call(
                self._target, leave, prompt, lambda c: _texts(c, self._brief, len(wanted))
            )
        except (ProviderError, BudgetExceeded, Overloaded) as error:
            self._last = error
            return {}
        return texts

    def judged(self, *, accepted: bool, why: str = "") -> None:
        """Note what the copy of the target that answered last was worth, apart from the target's health."""
        if self._target is None:
            return
        if accepted:
            self._target.accepted += 1
            return
        self._target.rejected += 1
        for at in reversed(range(len(self.attempts))):
            if self.attempts[at].target == self._target.name:
                self.attempts[at] = self.attempts[at].model_copy(update={"reason": f"copy rejected: {why}"})
                break

    def _is_spent(self) -> bool:
        return self._tries >= MAX_ATTEMPTS or self._calls >= MAX_CALLS

    def _is_embedded(self, target: Target) -> bool:
        """Whether a target answers in this process for nothing: it is no burden to anybody, and always asked."""
        return bool(getattr(self._provider(target), "embedded", False))

    async def _at(self, target: Target, others: int) -> Answer | None:
        """Ask one target, again where that is worth it; None if the next is to be asked."""
        repeat: Retry | None = None
        repeats = 0
        try:
            while True:
                leave = self._leave(target, others)
                if leave is None:
                    return None
                prompt = build_prompt(self._brief, nonce=os.urandom(8).hex(), model=target.model or None)
                try:
                    completion, drafts = await self._call(target, leave, prompt, self._drafts)
                    return self._answer(target, completion, drafts)
                except (ProviderError, BudgetExceeded, Overloaded) as error:
                    if self.begun:
                        raise
                    self._last = error
                    treatment = classify(error)
                if repeat is not None:
                    repeat.close()
                    repeat = None
                spare = MAX_ATTEMPTS - self._tries - (1 if others else 0)
                # Nobody waits for a target that throttles, or where nobody listens, while another may be free.
                elsewhere = others > 0 and (treatment.wait == "throttled" or treatment.breaker == "transport")
                if repeats >= treatment.retries or spare < 1 or elsewhere:
                    return None
                wait_s = self._wait_s(target, treatment, repeats)
                repeat = target.repeats.take() if wait_s is not None else None
                if wait_s is None or repeat is None:
                    return None
                repeats += 1
                await self._router.sleep(wait_s)
        finally:
            if repeat is not None:
                repeat.close()

    def _leave(self, target: Target, others: int) -> Permit | None:
        now = self._router.clock()
        leave = self._router.targets.leave(target, now, last=not others)
        if isinstance(leave, Permit):
            return leave
        if isinstance(leave, Rest):
            self._back_at.append(leave.until)
            self._note(target, "cooling", f"{leave.kind} for {leave.until - now:.1f} s more: {leave.reason}")
        else:
            left_s = target.breaker.opens_in(now)
            self._back_at.append(now + left_s)
            self._note(target, "circuit_open", f"left alone for {left_s:.1f} s more")
        return None

    def _drafts(self, completion: Completion) -> tuple[Draft, ...]:
        return completion.drafts or _parsed(completion.text, self._brief)

    def _answer(self, target: Target, completion: Completion, drafts: tuple[Draft, ...]) -> Answer:
        return Answer(
            drafts,
            served_by=_served_by(target, completion),
            target=target.name,
            info=completion.info,
            by_model=not completion.drafts,
        )

    async def _call(
        self, target: Target, permit: Permit, prompt: Prompt, read: Callable[[Completion], T]
    ) -> tuple[Completion, T]:
        """Make one call, and say of it to everybody what became of it."""
        router = self._router
        outcome: Any = "none"
        asked_at = began = router.clock()
        self._billed = None
        completion: Completion | None = None
        try:
            provider = self._provider(target)
            async with target.slots.slot() as slot:
                began = router.clock()
                with self._reserved(target, provider, prompt) as money:
                    target.repeats.call_began()
                    if not getattr(provider, "embedded", False):
                        self._calls += 1
                        self._tries += not isinstance(prompt, RepairPrompt)
                    answered = False
                    try:
                        completion = await self._exchange(provider, prompt)
                        self._charge(target, money, completion.usage, completion.model)
                        answered = True
                        if prompt.is_told_by(completion.text):
                            raise MalformedCompletion("the answer repeats its instructions")
                        result = read(completion)
                    except ProviderError as error:
                        treatment = classify(error)
                        outcome = treatment.breaker
                        usage = completion.usage if completion is not None else charge_of(error)
                        if completion is None:
                            if usage is not None or treatment.may_bill:
                                self._charge(target, money, usage, target.model)
                            else:
                                money.release()
                        if treatment.slows:
                            slot.throttled()
                        self._rest(target, error, treatment)
                        self._record(target, completion, error, began, asked_at)
                        raise
                    except Overloaded as error:  # no connection was free: nothing was sent
                        money.release()
                        self._record(target, None, error, began, asked_at)
                        raise
                    finally:
                        target.repeats.call_ended(ok=answered)
                outcome = "ok"
                slot.succeeded()
        finally:
            now = router.clock()
            latency_s = now - began
            before = target.breaker.state
            target.breaker.record(permit, outcome, now, latency_s if outcome == "ok" else None)
            if target.breaker.state != before:
                router.tell(events.TargetMoved(target.name, target.breaker.state))
        target.usual.add(latency_s)
        self._record(target, completion, None, began, asked_at)
        return completion, result

    def _provider(self, target: Target) -> Provider:
        try:
            return self._router.provider(target.provider)
        except InvalidRequest as error:
            raise self._misnamed(error) from error

    async def _exchange(self, provider: Provider, prompt: Prompt) -> Completion:
        left_s = self._deadline_at - self._router.clock()
        bounds = _bounds(provider)
        own_s = bounds.timeout_s if bounds is not None else DEFAULT_TIMEOUT_S
        try:
            async with asyncio.timeout(min(left_s, own_s)) as limit:
                streams = self.on_text is not None and not isinstance(prompt, RepairPrompt)
                if streams and isinstance(provider, StreamingProvider):
                    return await self._streamed(provider, prompt)
                return await provider.complete(prompt)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ProviderTimeout(f"no answer within {own_s:g} s", after_s=own_s) from error
        except InvalidRequest as error:
            raise self._misnamed(error) from error

    async def _streamed(self, provider: StreamingProvider, prompt: Prompt) -> Completion:
        completion: Completion | None = None
        pieces = provider.stream(prompt)
        try:
            async for piece in pieces:
                if isinstance(piece, Completion):
                    completion = piece
                elif piece and self.on_text is not None:
                    self.begun = True
                    self.on_text(piece)
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

    def _reserved(self, target: Target, provider: Provider, prompt: Prompt) -> Reservation:
        """Promise the most that the call can cost; what has no price is not asked under a cap."""
        if not self._ledger.capped:
            return self._ledger.reserve(0.0)
        bounds = _bounds(provider)
        size, tokens = bounds.most(prompt) if bounds is not None else (0, 0)
        name = target.name
        if not target.model and bounds is not None:
            name = f"{target.provider}:{bounds.model_of(prompt)}"
        price = self._router.prices.price(name)
        if price is None or (price.source != "free" and bounds is None):
            left = self._ledger.left_usd or 0.0
            why = (
                f"a budget is set and nobody knows what {target.name} costs: set its price in routing.prices"
            )
            self._note(target, "price_unknown", why)
            raise BudgetExceeded(left, 0.0, 0.0, reason=why)
        try:
            return self._ledger.reserve(price.worst_usd(size, tokens))
        except BudgetExceeded as error:
            self._note(target, "budget_exceeded", error.message)
            raise

    def _charge(self, target: Target, money: Reservation, usage: Usage | None, model: str | None) -> None:
        """Settle what a call cost, and keep it for the receipt."""
        usage = usage or Usage()
        if usage.cost_usd is None and (usage.input_tokens or usage.output_tokens):
            named = f"{target.provider}:{model or target.model}"
            cost = self._router.prices.cost_usd(named, usage)
            if cost is None and target.model and named != target.name:
                cost = self._router.prices.cost_usd(target.name, usage)
            usage = usage.model_copy(update={"cost_usd": cost})
        charged = money.settle(usage.cost_usd)
        if (
            usage.cost_usd is None and charged
        ):  # the worst case, for want of a true figure: as the ledger has it
            usage = usage.model_copy(update={"cost_usd": charged})
        self._spent.append(usage)
        self._billed = usage

    def _wait_s(self, target: Target, treatment: Treatment, repeats: int) -> float | None:
        error, now = self._last, self._router.clock()
        wait_s = self._router.backoff.wait_s(
            repeats,
            treatment.wait,
            left_s=self._deadline_at - now,
            usual_s=target.usual.quantile(0.5) or 0.0,
            retry_after_s=getattr(error, "retry_after_s", None),
        )
        rest = self._router.targets.rests.resting(target.provider, now)
        # A wait that ends while the credential still rests is a wait for nothing.
        return None if rest is not None and wait_s is not None and rest.until > now + wait_s else wait_s

    def _rest(self, target: Target, error: ProviderError, treatment: Treatment) -> None:
        now, rests = self._router.clock(), self._router.targets.rests
        told_s = getattr(error, "retry_after_s", None)
        if treatment.rest == "quarantine":
            rest = rests.quarantine(target.provider, now, reason=error.code)
        elif treatment.rest in ("cooldown", "cooldown_if_told"):
            rest = rests.cool(target.provider, now, told_s, reason=error.code)
        else:
            return
        self._back_at.append(rest.until)
        self._router.tell(events.ProviderRested(target.provider, rest.kind, rest.reason, rest.until - now))

    def _falls_back(self, treatment: Treatment) -> bool:
        if treatment.fall_back == "if_allowed":
            return self._router.settings.routing.fall_back_on_refusal
        return treatment.fall_back != "none"

    def _is_larger(self, name: str) -> bool:
        """Whether a target may read more than the one that found the prompt too long; unknown sizes may."""
        from copykit.providers.facts import context_of  # only after a prompt that was too long

        failed = context_of(self.attempts[-1].target)
        other = context_of(name)
        return failed is None or other is None or other > failed

    def _note(self, target: Target, outcome: str, reason: str) -> None:
        self.attempts.append(Attempt(target=target.name, outcome=outcome, reason=reason))

    def _record(
        self,
        target: Target,
        completion: Completion | None,
        error: CopykitError | None,
        began: float,
        asked_at: float,
    ) -> None:
        outcome = error.code if error is not None else "ok"
        latency_s = self._router.clock() - began
        self._router.tell(events.AttemptFinished(target.name, outcome, latency_s))
        usage = self._billed or Usage()
        self.attempts.append(
            Attempt(
                target=target.name,
                model=completion.model if completion else None,
                outcome=outcome,
                # to 0.1 ms: smaller floats are spelled differently by JSON libraries, which takes the slow way
                latency_s=round(latency_s, 4),
                waited_s=round(began - asked_at, 4),
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cost_usd=usage.cost_usd,
                reason=error.message if error is not None else None,
            )
        )

    def _failure(self) -> CopykitError:
        """Say why no target answered: the plainest of the reasons there are."""
        outcomes = {attempt.outcome for attempt in self.attempts}
        if isinstance(self._last, BudgetExceeded) and outcomes <= _NOT_ASKED:
            return self._last
        if outcomes and outcomes <= {"circuit_open", "cooling", "rate_limited"}:
            now = self._router.clock()
            after_s = come_back_s(self._back_at, now, chance=self._router.chance)
            kind = (
                CircuitOpen
                if outcomes == {"circuit_open"} and len(self._targets) == 1
                else AllProvidersCooling
            )
            told = "; ".join(f"{a.target}: {a.reason}" for a in self.attempts)
            return kind(f"no target may be asked now ({told})", retry_after_s=after_s)
        return NoProviderSucceeded(self.attempts)


DEFAULT_TIMEOUT_S = 60.0
"""Bound of one call where the provider states none (DESIGN 13.29)."""


_BOUNDED: dict[type, bool] = {}


def _bounds(provider: Provider) -> Priced | None:
    """Give *provider* as one that states bounds, if it does; asked once a class, since asking takes 9 us."""
    kind = type(provider)
    bounded = _BOUNDED.get(kind)
    if bounded is None:
        bounded = _BOUNDED[kind] = isinstance(provider, Priced)
    return cast(Priced, provider) if bounded else None


def _parsed(text: str, brief: Brief) -> tuple[Draft, ...]:
    from copykit.drafts.parse import parse  # the phrase bank's answers need no parsing

    return tuple(parse(text, brief))


def _texts(completion: Completion, brief: Brief, count: int) -> dict[int, str]:
    from copykit.drafts.parse import parse_texts

    return parse_texts(completion.text, brief, count)


def _served_by(target: Target, completion: Completion) -> str:
    """Name who answered: the model that the provider says it was, else the one it was asked for."""
    return f"{target.provider}:{completion.model or target.model}".rstrip(":")


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
