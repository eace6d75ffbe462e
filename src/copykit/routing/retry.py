"""What a failure means, how long to wait before the same target is asked again, and how often that may be done."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal

from copykit import data
from copykit.errors import CopykitError

from .breaker import Outcome

__all__ = ["Backoff", "Retry", "RetryBudget", "Treatment", "classify"]


@dataclass(frozen=True, slots=True)
class Treatment:
    """What follows from one failure; a row of ``data/failures.toml``, where each column is explained."""

    breaker: Outcome
    retries: int
    """Further calls of the same target at most, within the attempts of the request."""
    rest: Literal["none", "cooldown", "cooldown_if_told", "quarantine"]
    fall_back: Literal["any", "larger", "if_allowed", "none"]
    wait: Literal["transient", "throttled"]
    slows: bool
    may_bill: bool


def classify(error: CopykitError) -> Treatment:
    """Say what *error* means for the breaker, the credential, the retry loop, the limit and the bill.

    Goes by class and HTTP status, never by the words of a message. What the error itself says of trying again (a
    provider's ``x-should-retry``) goes before its class, and one that tells no time causes no ``cooldown_if_told``.
    """
    status = getattr(error, "status", None)
    told = getattr(error, "retry_after_s", None) is not None
    kinds = tuple(kind.__name__ for kind in reversed(type(error).__mro__))
    insists = error.retryable and not type(error).retryable
    return _treatment(kinds, status, error.retryable, insists, told)


@lru_cache(maxsize=512)  # classes x statuses: statuses come from outside
def _treatment(
    kinds: tuple[str, ...], status: int | None, retryable: bool, insists: bool, told: bool
) -> Treatment:
    row: dict[str, Any] = {}
    for kind in kinds:
        row |= _table().get(kind, {})
    special = {name: row.pop(name) for name in tuple(row) if isinstance(row[name], dict)}
    if status is not None:
        row |= special.get(str(status), special.get("answered", {}))
    if not retryable:
        row["retries"] = 0
    elif insists and row["rest"] != "quarantine":
        row["retries"] = _table()["ProviderError"]["retries"]
    if row["rest"] == "cooldown_if_told" and not told:
        row["rest"] = "none"
    return Treatment(**row)


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, Any]]:
    return data.load_toml("failures.toml")


class Backoff:
    """How long to wait before the same target is asked again; None where waiting is no use.

    Full jitter (any time between nothing and the bound) spreads callers that failed together best, as AWS
    measured; the bound doubles with each retry. The SDKs' own base is 0.5 s and their bound 8 s.
    """

    BASE_S = 0.25
    """Bound of the first wait after a passing failure."""
    THROTTLED_BASE_S = 1.0
    """The same after a throttle: coming back at once is what was complained about."""
    LONGEST_S = 8.0
    LONGEST_TOLD_S = 120.0
    """Longest ``Retry-After`` that is waited for, as in OpenAI's SDK; beyond it the credential rests instead."""
    SPREAD = 0.1
    """Share by which a told time is overstayed at most, so that not all come back in the same instant."""
    LEAST_CALL_S = 1.0
    """Time that must be left for the call itself, whatever the target usually takes."""

    def __init__(self, *, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance

    def wait_s(
        self,
        retry: int,
        wait: Literal["transient", "throttled"],
        *,
        left_s: float,
        usual_s: float = 0.0,
        retry_after_s: float | None = None,
    ) -> float | None:
        """Give the seconds to wait before retry number *retry* (0 is the first), None if it is not worth it.

        Args:
            wait: the failure's `Treatment.wait`.
            left_s: seconds until the request's deadline.
            usual_s: what the target's calls usually take (their median): no call is begun that will not end.
            retry_after_s: the time that the provider told; what is no positive number counts as not told.
        """
        call_s = max(self.LEAST_CALL_S, usual_s)
        if retry_after_s is not None and retry_after_s > 0:
            if retry_after_s > min(self.LONGEST_TOLD_S, left_s - call_s):
                return None
            return min(retry_after_s * (1 + self.SPREAD * self._chance()), left_s - call_s)
        base_s = self.THROTTLED_BASE_S if wait == "throttled" else self.BASE_S
        seconds = min(self.LONGEST_S, base_s * 2.0 ** min(retry, 30)) * self._chance()
        return seconds if left_s >= seconds + call_s else None


class RetryBudget:
    """How many repeats the successes of late have earned, so that an outage is not multiplied by retrying.

    Ten repeats at the start and at most; each success earns a tenth of one. Over any time
    ``calls <= 1.1 * requests + 10`` (gRPC throttles retries by the same account). No more than a fifth of the calls
    in progress are repeats (Envoy's default), but three always may be. A budget with a *parent* (one for each target,
    one for the process) takes from both or from none.
    """

    MOST = 100
    """In tenths of a repeat, as the next two: whole numbers add up exactly."""
    EARNED = 1
    PRICE = 10
    SHARE = 0.2
    ALWAYS = 3

    def __init__(self, parent: RetryBudget | None = None) -> None:
        self._above: tuple[RetryBudget, ...] = () if parent is None else (parent, *parent._above)
        self._tenths = self.MOST
        self._calls = 0
        self._repeats = 0

    @property
    def left(self) -> float:
        """Repeats left here, leaving the parent's aside."""
        return self._tenths / self.PRICE

    def call_began(self) -> None:
        """Count one call in progress, first or repeated."""
        for budget in (self, *self._above):
            budget._calls += 1

    def call_ended(self, *, ok: bool) -> None:
        """Count it off; a success earns a tenth of a repeat."""
        for budget in (self, *self._above):
            budget._calls -= 1
            if ok:
                budget._tenths = min(budget.MOST, budget._tenths + budget.EARNED)

    def take(self) -> Retry | None:
        """Take one repeat (or hedge) out; None if none may be made, and the failure is to be passed on.

        ::

            with budget.take() as retry: ...       # from the decision to the end of the repeated call
        """
        budgets = (self, *self._above)
        if not all(budget._may() for budget in budgets):
            return None
        for budget in budgets:
            budget._tenths -= budget.PRICE
            budget._repeats += 1
        return Retry(budgets)

    def _may(self) -> bool:
        return self._tenths >= self.PRICE and self._repeats < max(self.ALWAYS, self.SHARE * self._calls)


class Retry:
    """One repeat in progress, from its decision to its end; a context manager, or close it by hand."""

    def __init__(self, budgets: tuple[RetryBudget, ...]) -> None:
        self._budgets = budgets

    def close(self) -> None:
        """Count the repeat as over; a second time does nothing."""
        for budget in self._budgets:
            budget._repeats -= 1
        self._budgets = ()

    def __enter__(self) -> Retry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
