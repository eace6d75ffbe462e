"""What ``copykit batch`` knows of money: the estimate, the question before a dear run, the cap of the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import typer

from copykit.accel import loop as loops
from copykit.errors import InvalidRequest
from copykit.routing.estimate import ASSUMED, ASSUMED_OF_JOBS, Estimate, Estimator

if TYPE_CHECKING:
    from copykit.cli.batch_order import Work
    from copykit.feeds.underway import Worst
    from copykit.settings import Settings

__all__ = ["capped", "confirm", "estimate", "report", "usd", "worst_of"]


def estimate(
    work: Work,
    *,
    skip: int = 0,
    kept: Container[int] = (),
    spent_usd: float = 0.0,
    step: Callable[[int], None] = lambda _: None,
    stop_above: float | None = None,
) -> Estimate:
    """Say what the lines of *work* after the first *skip* may cost, within the budgets that hold.

    Args:
        kept: places, counted from 0, of further lines that are done.
        spent_usd: what the done ones cost, and what was paid in vain.
        step: told the number of each line looked at.
        stop_above: dollars from which on the worst case need not be known better.
    """
    cap = capped(work, spent_usd).routing.budget_usd
    estimator = Estimator(work.settings, work.targets, capped=cap is not None, jobs=work.order.economy)
    try:
        if estimator.free and stop_above is not None:
            return estimator.look()
        for number, job in enumerate(work.jobs(skip=skip), skip + 1):
            if number - 1 in kept:
                continue
            if job.request is None:
                estimator.refused()
            else:
                estimator.add(job.request)
            step(number)
            if stop_above is not None and not _is_within(_bounded(estimator.look(), cap), stop_above):
                break
        return _bounded(estimator.look(), cap)
    finally:
        loops.run(estimator.aclose())


def _bounded(found: Estimate, cap: float | None) -> Estimate:
    if cap is None:
        return found
    usual, worst = (None if usd is None else min(usd, cap) for usd in (found.usual_usd, found.worst_usd))
    return replace(found, usual_usd=usual, worst_usd=worst)


def _is_within(found: Estimate, usd: float) -> bool:
    return found.worst_usd is not None and found.worst_usd <= usd


def capped(work: Work, spent_usd: float) -> Settings:
    """Give the settings of the run: with their own budget, or with what --budget has left where that is less."""
    settings, budget = work.settings, work.order.budget_usd
    if budget is None:
        return settings
    left, own = max(0.0, budget - spent_usd), settings.routing.budget_usd
    least = left if own is None else min(own, left)
    return replace(settings, routing=replace(settings.routing, budget_usd=least))


def worst_of(work: Work) -> Worst:
    """Give what says how much a call to a target may cost at most for the line at a place; None if nobody knows."""

    def worst(place: int, target: str) -> float | None:
        job = next(work.jobs(skip=place), None)
        if job is None or job.request is None:
            return None
        estimator = Estimator(work.settings, (target,))
        try:
            return estimator.worst_call_usd(job.request)
        finally:
            loops.run(estimator.aclose())

    return worst


def confirm(
    work: Work, *, skip: int, kept: Container[int], spent_usd: float, step: Callable[[int], None]
) -> None:
    """Ask whether a run that may cost more than ``batch.confirm_usd`` is meant; --yes has said so.

    Raises:
        InvalidRequest: it is not, or nobody is there to be asked.
    """
    if work.order.yes:
        return
    limit, asks = work.settings.batch.confirm_usd, _can_ask(work.order.source)
    # where nobody can be asked, how far above does not matter
    stop_above = float("inf") if asks else limit
    found = estimate(work, skip=skip, kept=kept, spent_usd=spent_usd, step=step, stop_above=stop_above)
    if _is_within(found, limit):
        return
    if found.worst_usd is None:
        told = f"what this run costs is unknown: nobody knows the price of {', '.join(found.unpriced)}"
    elif asks:
        told = f"this run costs about {usd(found.usual_usd)}, and {usd(found.worst_usd)} at worst"
    else:
        told = f"this run may cost more than {usd(limit)}"
    if not asks:
        reason = f"{told}: --yes begins it all the same, --budget bounds it, --estimate tells more"
        raise InvalidRequest("yes", work.order.yes, reason)
    try:
        confirmed = typer.confirm(f"{told}. Begin?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        confirmed = False
    if not confirmed:
        raise InvalidRequest("yes", work.order.yes, f"{told}; it was not confirmed, and nothing was sent")


def _can_ask(source: str) -> bool:
    return source != "-" and sys.stdin.isatty()


def usd(amount: float | None) -> str:
    """Write an amount of dollars, which may be unknown."""
    return "an unknown sum" if amount is None else f"{amount:.4g} USD"


def report(work: Work, found: Estimate) -> dict[str, Any]:
    """Give the estimate as ``--json`` prints it."""
    return {
        "input": work.order.source,
        "rows_in": work.rows_in,
        "lines": found.asked + found.not_asked,
        "targets": list(work.targets),
        **asdict(found),
        "budget_usd": work.order.budget_usd,
        "assumed": list(ASSUMED_OF_JOBS if work.order.economy else ASSUMED),
        "exit_code": 0,
    }
