"""Periods that money is counted in: a day, a month, all time, or one start of a server.

What is spent counts in every period that it lies in, whatever the budget of the moment is for: a budget that is changed
finds it there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from copykit.server.doors.keys import Budget

__all__ = ["TOTAL", "counted_in", "is_day", "month_of", "overlap", "period_of"]

TOTAL = "total"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MONTH = re.compile(r"\d{4}-\d\d")


def period_of(budget: Budget | None, now: float) -> str:
    """Name the period of *budget* that *now* lies in, by the calendar of UTC; without a budget that is the month.

    Args:
        now: seconds of the epoch.
    """
    moment = datetime.fromtimestamp(now, UTC)
    per = "month" if budget is None else budget.per
    return {"day": f"{moment:%Y-%m-%d}", "month": f"{moment:%Y-%m}"}.get(per, per)


def counted_in(period: str, now: float) -> tuple[str, ...]:
    """Name all periods in which money counts that is spent in *period* and written down *now*.

    They are in one order for all who write, so that none waits for another that waits for it.
    """
    day = period if is_day(period) else period_of(Budget(0.0, "day"), now)
    if _MONTH.fullmatch(period) and not day.startswith(
        period
    ):  # it is over, and nobody knows on which of its days
        return period, TOTAL
    return tuple(sorted({day, day[:7], TOTAL, period}))


def overlap(held: str, period: str) -> bool:
    """Say whether money that is held in the period *held* may yet be spent in *period*."""
    if held == period:
        return True
    dated = [bool(month_of(one)) for one in (held, period)]
    if all(dated):
        return held.startswith(period) or period.startswith(held)
    return dated[1] or period == TOTAL  # in a start of a server nothing counts but its own


def is_day(period: str) -> bool:
    """Say whether *period* is one day."""
    return _DAY.fullmatch(period) is not None


def month_of(period: str) -> str:
    """Give the month of a day or of a month itself; empty for any other period."""
    return period[:7] if is_day(period) or _MONTH.fullmatch(period) else ""
