"""What an interrupted call has cost so far, and what of that nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from copykit.routing.budget import Prices

if TYPE_CHECKING:
    from copykit.models import CopywritingInput
    from copykit.service import CopywritingServiceV11

__all__ = ["Bill", "bill_of"]


@dataclass(frozen=True, slots=True)
class Bill:
    """Money spent by a service that is about to close."""

    usd: float
    """Dollars; with a cap in force the worst case of each call of unknown cost is among them."""
    unknown_calls: int
    """Calls whose cost nobody told: most of all those that were cut off."""
    capped: bool
    free: bool
    """Whether no target of the request costs anything."""

    def __str__(self) -> str:
        if self.free:
            return "nothing was billed: these targets are free"
        if not self.unknown_calls:
            return f"billed so far: {self.usd:.4g} USD"
        calls = "a call" if self.unknown_calls == 1 else f"{self.unknown_calls} calls"
        if self.capped:
            return (
                f"billed so far: at most {self.usd:.4g} USD, with {calls} of unknown cost at the worst case"
            )
        return f"billed so far: {self.usd:.4g} USD, and {calls} cut off, whose cost nobody told"


async def bill_of(service: CopywritingServiceV11, request: CopywritingInput) -> Bill:
    """Give what *service* has spent, which was made for *request* alone."""
    routing = service.engine.settings.routing
    money = (await service.get_performance_stats())["routing"]["money"]
    prices = Prices(routing.prices)
    targets = routing.targets_of((request.provider,) if request.provider else routing.providers)
    return Bill(
        usd=money["spent_usd"],
        unknown_calls=money["estimated_calls"],
        capped=routing.budget_usd is not None or routing.request_budget_usd is not None,
        free=all(
            (price := prices.price(target)) is not None and not price.worst_usd(1, 1) for target in targets
        ),
    )
