"""What a batch may cost, held against the budget before the first of its briefs is sent."""

from __future__ import annotations

from collections.abc import Sequence

from copykit.engine import Engine
from copykit.errors import BudgetExceeded, CopykitError
from copykit.models import CopywritingInput
from copykit.routing.account import Account
from copykit.routing.budget import Ledger
from copykit.routing.estimate import Estimator
from copykit.server.kept.purse import LeasedLedger

__all__ = ["Forecast"]


class Forecast:
    """Refuses batches that their budget cannot pay for, instead of writing half of one.

    One call a brief is counted, each as dear as that of the longest brief with the most variants, to the dearest of
    the targets that the settings name: the room for its answer filled. Calls of a brief that names another target are
    bounded one by one, as all are.

    Args:
        engine: whose targets and prices count.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._estimator: Estimator | None = None

    async def check(self, briefs: Sequence[CopywritingInput | CopykitError], account: Account) -> None:
        """Let a batch pass whose worst case fits into what *account* has left.

        Raises:
            BudgetExceeded: it does not; nothing was sent.
        """
        ledger = account.ledger or self._engine.router.ledger
        asked = [brief for brief in briefs if isinstance(brief, CopywritingInput)]
        if not ledger.capped or not asked:
            return
        if self._estimator is None:
            settings = self._engine.settings
            self._estimator = Estimator(settings, settings.routing.targets, capped=True)
        if self._estimator.free:
            return
        longest = max(asked, key=lambda brief: (brief.variants, len(brief.product_description)))
        each_usd = self._estimator.worst_call_usd(longest)
        if not each_usd:  # free, or without a price: then single calls are refused
            return
        estimate_usd = each_usd * len(asked)
        left_usd = await _left_usd(ledger)
        if left_usd < estimate_usd:
            reason = (
                f"{len(asked)} briefs may cost {estimate_usd:.6g} USD, and the budget has less left; "
                "nothing was sent: ask for fewer at a time"
            )
            raise BudgetExceeded(left_usd, 0.0, estimate_usd, scope="batch", reason=reason)

    async def aclose(self) -> None:
        """Close what was made for prices."""
        if self._estimator is not None:
            await self._estimator.aclose()


async def _left_usd(ledger: Ledger) -> float:
    """Give what is left over all workers, here and in every ledger above: nothing is taken out for it."""
    rooms: list[float] = []
    above: Ledger | None = ledger
    while isinstance(above, LeasedLedger):
        if (left := await above.all_left_usd()) is not None:
            rooms.append(left)
        above = above.parent
    if above is not None and (left := above.left_usd) is not None:
        rooms.append(left)
    return min(rooms, default=float("inf"))
