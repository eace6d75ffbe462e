"""What a caller gets that joined another's request in progress: the same answer, at no cost of its own."""

from __future__ import annotations

from copy import copy

from copykit.errors import CopykitError
from copykit.models import Attempt, CopywritingOutput

__all__ = ["answered_with_another", "paid_by_another"]

_TOLD = "Answered together with an identical request in progress, which pays for it."


def answered_with_another(output: CopywritingOutput) -> CopywritingOutput:
    """Give a copy of *output* that costs nothing and says what that saved.

    Tokens and attempts stay those of the writing, as in a cached result.
    """
    own = output.model_copy(deep=True)
    own.receipt.saved_usd, own.usage.cost_usd = own.usage.cost_usd, 0.0
    own.info.append(_TOLD)
    return own


def paid_by_another(error: CopykitError) -> CopykitError:
    """Give a copy of *error* whose attempts, if it holds any, cost nothing: they stand in the other's with their cost."""
    if not error.attempts:
        return error
    own = copy(error)
    own.attempts = tuple(map(_unpaid, error.attempts))
    return own


def _unpaid(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"cost_usd": 0.0})
