"""Ask the targets in order until one gives copy: one retry loop, with a receipt of every try.

The semantics are those of docs/routing.md: at most three calls as long as they fail, a repeat of the same target
only where the failure, the budget of repeats and the time left allow it, and never a call that the budget does not cover.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from copykit import events
from copykit.brief.brief import Brief
from copykit.providers.base import Closable, Provider
from copykit.providers.registry import Source, make_provider, provider_source
from copykit.routing.asking import Answer, Asking, Given
from copykit.routing.balance import Hedges, order
from copykit.routing.breaker import BreakerRules
from copykit.routing.budget import Ledger, Prices
from copykit.routing.retry import Backoff
from copykit.routing.targets import Targets
from copykit.settings import Group, Settings

__all__ = ["Router"]


class Router:
    """Holds the providers in use and what is known of their health.

    Providers are made at their first call, and made anew once their name is registered anew.

    Args:
        settings: where providers find their keys and addresses; caps, prices and pace.
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
        routing = settings.routing
        self.targets = Targets(
            start=settings.batch.concurrency,
            most=routing.most_calls,
            rules=None if routing.breaker else BreakerRules.never(),
            clock=clock,
            chance=chance,
        )
        self.backoff = Backoff(chance=chance)
        self.hedges = Hedges(routing.hedge_share)
        self.groups = routing.groups(routing.providers)
        """Who is asked where a request names nobody."""
        self.prices = Prices(routing.prices)
        self.ledger = Ledger(routing.budget_usd, scope="budget")
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

    def begin(
        self,
        brief: Brief,
        targets: Sequence[str],
        *,
        deadline_at: float = float("inf"),
        given: Given | None = None,
    ) -> Asking:
        """Begin a request that may ask a target again for single texts, and the next one if that does not help.

        Args:
            given: the first target's answer, where a batch job brought it: it is judged like any other.
        """
        return Asking(self, brief, targets, deadline_at, given)

    def order(self, groups: Iterable[Group]) -> tuple[str, ...]:
        """Give the targets of *groups* in the order in which one request asks them."""
        balance = self.settings.routing.balance or "weighted"
        return order(groups, self.targets, balance=balance, chance=self.chance)

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
