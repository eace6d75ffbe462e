"""What all requests of one engine share on their way to the targets: health, pace, money, and the providers in use."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from copykit import events
from copykit.providers.base import Closable, Provider
from copykit.providers.registry import Source, make_provider, provider_source
from copykit.routing.balance import Hedges
from copykit.routing.breaker import BreakerRules
from copykit.routing.budget import Ledger, Prices
from copykit.routing.retry import Backoff
from copykit.routing.targets import Targets
from copykit.settings import Settings

if TYPE_CHECKING:
    from copykit.reports.routing import RoutingLook

__all__ = ["RoutingState"]


class RoutingState:
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
            configured=routing.targets_of((*routing.providers, *routing.deployments)),
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

    def look(self) -> RoutingLook:
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
