"""The router of the worker that answers: its targets, its credentials and its money."""

from __future__ import annotations

from typing import Literal, TypedDict, final

from copykit.reports.values import Breaker, Count, Usd

__all__ = ["MoneyLook", "RestLook", "RoutingLook", "TargetLook", "TargetsLook"]


@final
class TargetLook(TypedDict):
    """One target that was asked, as this worker sees it."""

    breaker: Breaker
    opens_in_s: float
    """Until it may be asked again; 0 unless its breaker keeps calls away."""
    openings: Count
    """Of the breaker in a row, without five closed minutes in between."""
    recent_calls: Count
    """Finished within the breaker's window, and"""
    recent_failures: Count
    """those of them that failed."""
    limit: Count
    """Calls at a time that it is trusted with now."""
    in_progress: Count
    waiting: Count
    """Calls that wait for one of those in progress to end."""
    median_s: float | None
    """Of its latest successful calls; null before there are any."""
    repeats_left: float
    """Calls of the same target that may be repeated after a failure, before successes earn more."""
    accepted: Count
    """Answers whose copy passed, and"""
    rejected: Count
    """those whose copy did not: quality, which says nothing of health."""


@final
class RestLook(TypedDict):
    """A credential that is left alone for a while."""

    kind: Literal["cooldown", "quarantine"]
    """After a throttle; or after a refused key or a spent quota."""
    reason: str
    """Code of the error that led to it, such as `rate_limited`."""
    left_s: float
    """Until it is asked again."""


@final
class MoneyLook(TypedDict):
    """What this worker's calls cost, and the budget that they and those of all other workers are held to."""

    cap_usd: Usd | None
    """The whole budget's, which workers over one store share; null where nothing is bounded."""
    spent_usd: Usd
    """By this worker alone, since it began; what all have spent of it is `copykit_budget_usd` of `/metrics`."""
    reserved_usd: Usd
    """Worst cases of this worker's calls in progress."""
    estimated_calls: Count
    """Calls whose charge is the worst case, because nobody said what they cost."""


class TargetsLook(TypedDict):
    """Targets and credentials."""

    targets: dict[str, TargetLook]
    """By `provider:model`: all that were asked since the worker began."""
    resting: dict[str, RestLook]
    """By provider: credentials that are not asked now."""


@final
class RoutingLook(TargetsLook):
    """The state of the router."""

    money: MoneyLook
