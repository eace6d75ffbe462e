"""Ask the targets in order until one gives copy: one retry loop, with a receipt of every try.

The semantics are those of docs/routing.md: at most three calls as long as they fail, a repeat of the same target
only where the failure, the budget of repeats and the time left allow it, and never a call that the budget does not cover.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from copykit.brief.brief import Brief
from copykit.routing.account import OWN, Account
from copykit.routing.asking import Answer, Asking, Given
from copykit.routing.balance import order
from copykit.routing.state import RoutingState
from copykit.settings import Group

__all__ = ["Router"]


class Router(RoutingState):
    """Finds out who is to be asked, and begins requests to them; made as `RoutingState` is."""

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
        account: Account = OWN,
    ) -> Asking:
        """Begin a request that may ask a target again for single texts, and the next one if that does not help.

        Args:
            given: the first target's answer, where a batch job brought it: it is judged like any other.
            account: on whose behalf, and at whose cost.
        """
        return Asking(self, brief, targets, deadline_at, given, account)

    def order(self, groups: Iterable[Group]) -> tuple[str, ...]:
        """Give the targets of *groups* in the order in which one request asks them."""
        balance = self.settings.routing.balance or "weighted"
        return order(groups, self.targets, balance=balance, chance=self.chance)
