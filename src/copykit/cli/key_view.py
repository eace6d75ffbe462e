"""How keys and tenants are shown: with their bounds, and what they have spent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from copykit.cli.table import Table

if TYPE_CHECKING:
    from copykit.server.doors.keys import Budget, Key, Tenant
    from copykit.server.kept.spending import Spending

__all__ = ["show_keys", "show_tenants", "spent", "tell_key", "tell_tenant", "when"]

_COLOURS = {"active": "green", "rotating": "yellow", "expired": "red", "revoked": "red"}


def show_keys(keys: Sequence[Key], money: Mapping[str, Spending], console: Console) -> None:
    """Print a table of *keys*; *money* is by account, as `copykit.server.kept.spending.spendings` gives it."""
    table, now = Table(), time.time()
    for column in ("id", "tenant", "name", "scopes", "state", "made", "ends", "rate", "USD spent"):
        table.add_column(column, no_wrap=column in ("id", "state"))
    for key in keys:
        state = key.state(now)
        table.add_row(
            key.id,
            Text(key.tenant),
            Text(key.name),
            " ".join(key.scopes),
            Text(state, style=_COLOURS[state]),
            when(key.created),
            when(key.revoked or key.expires),
            key.rate,
            spent(key.budget, money[f"key:{key.id}"]),
        )
    table.show(console)


def show_tenants(
    tenants: Sequence[Tenant], keys: Sequence[Key], money: Mapping[str, Spending], console: Console
) -> None:
    """Print a table of what bounds *tenants* and what they have spent; *keys* are all keys, to be counted."""
    table = Table("tenant", "keys", "rate", "USD spent")
    for tenant in tenants:
        count = sum(key.tenant == tenant.name for key in keys)
        table.add_row(
            tenant.name, str(count), tenant.rate, spent(tenant.budget, money[f"tenant:{tenant.name}"])
        )
    table.show(console)


def tell_key(key: Key, money: Spending | None = None) -> dict[str, Any]:
    """Give *key* as ``--json`` prints it, with what it has spent where that is asked for."""
    told = {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": list(key.scopes),
        "state": key.state(time.time()),
        "created": _iso(key.created),
        "expires": _iso(key.expires),
        "revoked": _iso(key.revoked),
        "rate": key.rate or None,
        "budget": _bounded(key.budget) or None,
    }
    return told if money is None else {**told, **_told(money)}


def tell_tenant(tenant: Tenant, keys: int, money: Spending) -> dict[str, Any]:
    """Give *tenant* as ``--json`` prints it."""
    budget = _bounded(tenant.budget) or None
    return {
        "tenant": tenant.name,
        "rate": tenant.rate or None,
        "budget": budget,
        "keys": keys,
        **_told(money),
    }


def spent(budget: Budget | None, money: Spending) -> str:
    """Say what was spent of *budget*, or in this month where there is none; and what workers hold of it."""
    of = f"of {_bounded(budget)}" if budget else "this month"
    held = f", {_dollars(money.held_usd)} held" if money.held_usd else ""
    return f"{_dollars(money.spent_usd)} {of}{held}"


def when(moment: float | None) -> str:
    """Write a moment, in UTC."""
    return "never" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def _bounded(budget: Budget | None) -> str:
    """Write a budget as it is given: ``50/month``; empty for none."""
    return "" if budget is None else f"{budget.usd:g}/{budget.per}"


def _told(money: Spending) -> dict[str, float]:
    return {"spent_usd": money.spent_usd, "held_usd": money.held_usd}


def _dollars(usd: float) -> str:
    """Write cents, and of less than ten of them what there is."""
    if usd >= 0.1:
        return f"{usd:.2f}"
    return f"{usd:.6f}".rstrip("0").rstrip(".") if usd >= 1e-6 or not usd else "<0.000001"


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
