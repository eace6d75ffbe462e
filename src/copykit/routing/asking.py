"""One request on its way through the targets: who is asked next, how often, and when that is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from copykit import events
from copykit.brief.brief import Brief
from copykit.brief.prompt import Wanted, build_prompt, build_repair
from copykit.drafts.draft import Draft
from copykit.errors import (
    AllProvidersCooling,
    BudgetExceeded,
    CircuitOpen,
    ContextTooLong,
    CopykitError,
    MalformedCompletion,
    NoProviderSucceeded,
    Overloaded,
    ProviderError,
)
from copykit.models import Attempt, Usage
from copykit.providers.base import Completion
from copykit.routing.account import OWN, Account
from copykit.routing.breaker import Permit
from copykit.routing.budget import Reservation
from copykit.routing.call import Caller, PassedOver
from copykit.routing.health import Rest, come_back_s
from copykit.routing.retry import Retry, Treatment, classify
from copykit.routing.state import RoutingState
from copykit.routing.targets import Target

__all__ = ["MAX_CALLS", "Answer", "Asking", "Given"]

MAX_ATTEMPTS = 3
"""Calls of one request over all targets, as long as they fail (DESIGN 13.6)."""
MAX_REPAIRS = 2
"""Calls to one target for single texts of its answer."""
MAX_CALLS = 4
"""Calls of one request in all."""
_NOT_ASKED = frozenset({"circuit_open", "cooling", "price_unknown", "budget_exceeded"})
"""Outcomes of targets that were passed over without a call."""
_HEDGE_LEAST_S = 1.0
"""No answer is late before this, however fast its target usually is."""
_HEDGE_KNOWN = 20
"""Calls a target must have answered before anything is late for it: fewer have no 95th percentile."""
_HEDGE_CALM_S = 30.0
"""Time since the last throttle before a target is hedged: one that takes less is not given more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target wrote, and the way to it."""

    drafts: tuple[Draft, ...]
    served_by: str
    target: str
    info: tuple[str, ...]
    by_model: bool
    """Whether a language model wrote it, which some platforms want labelled."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a batch job brought for a request: the answer of its first target, or why there is none."""

    target: str
    answer: Completion | ProviderError
    """Held against its prompt already, which only the job's own side knows."""
    money: Reservation | None = None
    """What was promised for it when it was submitted."""


class Asking:
    """One request on its way through the targets: made by `Router.begin`, used by one task."""

    def __init__(
        self,
        state: RoutingState,
        brief: Brief,
        targets: Sequence[str],
        deadline_at: float,
        given: Given | None = None,
        account: Account = OWN,
    ) -> None:
        self._state = state
        self._brief = brief
        self._targets = list(targets)
        self._given = given
        self._caller = Caller(state, brief, deadline_at, account)
        self._place = 0
        self._again = 0
        self._target: Target | None = None
        """The one that answered last."""
        self._last: CopykitError | None = None
        self._hedges = self._may_be_hedged()

    @property
    def attempts(self) -> list[Attempt]:
        """Every try so far, targets that were passed over included."""
        return self._caller.attempts

    @property
    def usage(self) -> Usage:
        """Tokens and money of all calls so far."""
        return self._caller.usage

    @property
    def begun(self) -> bool:
        """Whether text was given to the listener: from then on no other call may go on with the answer."""
        return self._caller.begun

    def listen(
        self, on_text: Callable[[str], None], room: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Give *on_text* the answer's text as it comes, from providers that can give it so, as long as there is *room*."""
        self._caller.on_text, self._caller.on_room = on_text, room
        self._hedges = False

    async def next(self) -> Answer:
        """Give the answer of the next target that has one; raises as `Router.ask` does when none is left."""
        self._target = None
        self._again = 0
        if self._given is not None:
            answer = self._taken(self._given)
            self._given = None
            if answer is not None:
                return answer
            if not self._goes_on():
                raise self._failure() from self._last
        while self._place < len(self._targets):
            name = self._targets[self._place]
            self._place += 1
            if not self._is_larger(name):
                continue
            if not self._is_embedded(name) and self._is_spent():  # raises for a name without a trace of it
                continue
            answer = await self._at(self._state.targets.of(name))
            if answer is not None:
                self._target = self._state.targets.of(answer.target)
                return answer
            if not self._goes_on():
                break
        raise self._failure() from self._last

    def may_ask_again(self) -> bool:
        """Whether the target that answered last may be asked for single texts: twice, and four calls in all."""
        return self._target is not None and self._again < MAX_REPAIRS and self._caller.calls < MAX_CALLS

    async def again(self, wanted: Sequence[Wanted]) -> dict[int, str]:
        """Ask the target that answered last for *wanted* alone; one call, never repeated.

        Gives texts by number from 1. What the target fails to give is missing, and so is everything if the call
        fails: the receipt says why.
        """
        if self._target is None or not self.may_ask_again():
            return {}
        self._again += 1
        leave = self._leave(self._target, last=True)
        if leave is None:
            return {}
        nonce = os.urandom(8).hex()
        prompt = build_repair(self._brief, wanted, nonce=nonce, model=self._target.model or None)
        try:
            _, texts = await self._caller.call(
                self._target, leave, prompt, lambda c: _texts(c, self._brief, len(wanted))
            )
        except PassedOver:
            self._leave(self._target, last=True)  # says why in the receipt
            return {}
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
            if (self.attempts[at].target, self.attempts[at].outcome) == (self._target.name, "ok"):
                self.attempts[at] = self.attempts[at].model_copy(update={"reason": f"copy rejected: {why}"})
                break

    def _taken(self, given: Given) -> Answer | None:
        """Give what a batch job brought as an answer like any other; None if the targets are to be asked."""
        target = self._state.targets.of(given.target)
        money = given.money or self._caller.reserve(0.0)
        answer = given.answer
        self._caller.given(target, money, answer)
        if isinstance(answer, Completion):
            try:
                taken = self._answer(target, answer, self._drafts(answer))
            except MalformedCompletion as error:
                self._last = error
                return None
            self._target = target
            if target.name in self._targets:  # it has written: what follows is for the others
                self._place = self._targets.index(target.name) + 1
            return taken
        self._last = answer
        return None

    def _goes_on(self) -> bool:
        """Whether what failed last leaves another target to be asked."""
        return self._last is None or self._falls_back(classify(self._last))

    def _is_spent(self) -> bool:
        return self._caller.tries >= MAX_ATTEMPTS or self._caller.calls >= MAX_CALLS

    def _is_embedded(self, name: str) -> bool:
        """Whether a target answers in this process for nothing: it is no burden to anybody, and always asked."""
        return bool(getattr(self._caller.provider(name), "embedded", False))

    async def _at(self, target: Target) -> Answer | None:
        """Ask one target, again where that is worth it; None if the next is to be asked."""
        repeat: Retry | None = None
        repeats = 0
        try:
            while True:
                others = len(self._targets) - self._place
                leave = self._leave(target, last=not others)
                if leave is None:
                    return None
                try:
                    return await self._asked(target, leave)
                except PassedOver:
                    continue
                except (ProviderError, BudgetExceeded, Overloaded) as error:
                    if self.begun:
                        raise
                    self._last = error
                    treatment = classify(error)
                if repeat is not None:
                    repeat.close()
                    repeat = None
                others = len(self._targets) - self._place  # one may have been asked beside this
                left = min(MAX_ATTEMPTS - self._caller.tries, MAX_CALLS - self._caller.calls)
                spare = left - (1 if others else 0)
                # Nobody waits for a target that throttles, or where nobody listens, while another may be free.
                elsewhere = others > 0 and (treatment.wait == "throttled" or treatment.breaker == "transport")
                most = min(treatment.retries, self._state.settings.routing.repeats)
                if repeats >= most or spare < 1 or elsewhere:
                    return None
                wait_s = self._wait_s(target, treatment, repeats)
                repeat = target.repeats.take() if wait_s is not None else None
                if wait_s is None or repeat is None:
                    return None
                repeats += 1
                await self._state.sleep(wait_s)
        finally:
            if repeat is not None:
                repeat.close()

    async def _asked(self, target: Target, leave: Permit) -> Answer:
        """Ask *target* once; if it is late and hedging is on, another one beside it, and take what comes first."""
        late_s = self._late_s(target)
        if late_s is None:
            return await self._call(target, leave)
        first = asyncio.ensure_future(self._call(target, leave))
        timer = asyncio.ensure_future(self._state.sleep(late_s))
        running: set[asyncio.Future[Answer]] = {first}
        repeat: Retry | None = None
        try:
            await asyncio.wait({first, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not first.done() and (rival := self._rival(target)) is not None:
                other, permit, repeat = rival
                running.add(asyncio.ensure_future(self._call(other, permit, f"{target.name} was late")))
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task.exception() is None:
                        return task.result()
            return first.result()
        finally:
            timer.cancel()
            for task in running:
                task.cancel()
            await asyncio.gather(timer, *running, return_exceptions=True)
            if repeat is not None:
                repeat.close()

    async def _call(self, target: Target, leave: Permit, why: str | None = None) -> Answer:
        prompt = build_prompt(self._brief, nonce=os.urandom(8).hex(), model=target.model or None)
        completion, drafts = await self._caller.call(target, leave, prompt, self._drafts, why)
        return self._answer(target, completion, drafts)

    def _may_be_hedged(self) -> bool:
        """Whether the request is one that a second target may be asked for: its answer would be kept."""
        if not self._state.hedges.share or self._brief.request.cache in ("off", "read"):
            return False
        self._state.hedges.began(self._state.clock())
        return True

    def _late_s(self, target: Target) -> float | None:
        """Give the seconds after which *target*'s answer is late; None if nobody else is asked for that."""
        if not self._hedges or len(target.usual) < _HEDGE_KNOWN or not self._is_calm(target):
            return None
        return max(_HEDGE_LEAST_S, target.usual.quantile(0.95) or 0.0)

    def _is_calm(self, target: Target) -> bool:
        now = self._state.clock()
        return target.breaker.state == "closed" and not target.slots.limit.cut_since(now - _HEDGE_CALM_S)

    def _rival(self, target: Target) -> tuple[Target, Permit, Retry] | None:
        """Give the next target with another credential, if it may be asked beside *target*; it is then not asked later."""
        now = self._state.clock()
        for at in range(self._place, len(self._targets)):
            other = self._state.targets.of(self._targets[at])
            if other.provider == target.provider or self._is_embedded(other.name) or not self._is_calm(other):
                continue
            if self._is_spent() or not self._state.hedges.take(now):
                return None
            repeat = other.repeats.take()
            permit = None if repeat is None else self._state.targets.leave(other, now, last=False)
            if repeat is None or not isinstance(permit, Permit):
                if repeat is not None:
                    repeat.close()
                return None
            self._hedges = False
            self._state.hedges.made += 1
            del self._targets[at]
            return other, permit, repeat
        return None

    def _leave(self, target: Target, *, last: bool) -> Permit | None:
        now, caller = self._state.clock(), self._caller
        before = target.breaker.state
        leave = self._state.targets.leave(target, now, last=last)
        if target.breaker.state != before:
            self._state.tell(events.TargetMoved(target.name, target.breaker.state))
        if isinstance(leave, Permit):
            return leave
        if isinstance(leave, Rest):
            caller.back_at.append(leave.until)
            why = f"{leave.kind} for {leave.until - now:.1f} s more: {leave.reason}"
            caller.pass_over(target, "cooling", why)
        else:
            left_s = target.breaker.opens_in(now)
            caller.back_at.append(now + left_s)
            caller.pass_over(target, "circuit_open", f"left alone for {left_s:.1f} s more")
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

    def _wait_s(self, target: Target, treatment: Treatment, repeats: int) -> float | None:
        error, now = self._last, self._state.clock()
        wait_s = self._state.backoff.wait_s(
            repeats,
            treatment.wait,
            left_s=self._caller.deadline_at - now,
            usual_s=target.usual.quantile(0.5) or 0.0,
            retry_after_s=getattr(error, "retry_after_s", None),
        )
        rest = self._state.targets.rests.resting(target.provider, now)
        # A wait that ends while the credential still rests is a wait for nothing.
        return None if rest is not None and wait_s is not None and rest.until > now + wait_s else wait_s

    def _falls_back(self, treatment: Treatment) -> bool:
        if treatment.fall_back == "if_allowed":
            return self._state.settings.routing.fall_back_on_refusal
        return treatment.fall_back != "none"

    def _is_larger(self, name: str) -> bool:
        """Whether a target may read more than those that found the prompt too long; unknown sizes may."""
        if not any(attempt.outcome == ContextTooLong.code for attempt in self.attempts):
            return True
        from copykit.providers.facts import context_of  # only after a prompt that was too long

        too_small = (a.target for a in self.attempts if a.outcome == ContextTooLong.code)
        failed = max((size for target in too_small if (size := context_of(target)) is not None), default=None)
        other = context_of(name)
        return failed is None or other is None or other > failed

    def _failure(self) -> CopykitError:
        """Say why no target answered: the plainest of the reasons there are."""
        outcomes = {attempt.outcome for attempt in self.attempts}
        if isinstance(self._last, BudgetExceeded) and outcomes <= _NOT_ASKED:
            return self._last
        if outcomes and outcomes <= {"circuit_open", "cooling", "rate_limited"}:
            now = self._state.clock()
            after_s = come_back_s(self._caller.back_at, now, chance=self._state.chance)
            kind = (
                CircuitOpen
                if outcomes == {"circuit_open"} and len(self._targets) == 1
                else AllProvidersCooling
            )
            told = "; ".join(f"{a.target}: {a.reason}" for a in self.attempts)
            return kind(f"no target may be asked now ({told})", retry_after_s=after_s)
        return NoProviderSucceeded(self.attempts)


def _parsed(text: str, brief: Brief) -> tuple[Draft, ...]:
    from copykit.drafts.parse import parse  # the phrase bank's answers need no parsing

    return tuple(parse(text, brief))


def _texts(completion: Completion, brief: Brief, count: int) -> dict[int, str]:
    from copykit.drafts.parse import parse_texts

    return parse_texts(completion.text, brief, count)


def _served_by(target: Target, completion: Completion) -> str:
    """Name who answered: the model that the provider says it was, else the one it was asked for."""
    return f"{target.provider}:{completion.model or target.model}".rstrip(":")
