"""On whose behalf a request is written: one engine may serve several tenants that never see each other."""

from __future__ import annotations

from dataclasses import dataclass

from copykit.routing.budget import Ledger

__all__ = ["OWN", "Account"]


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant's part of an engine: its room in the cache, and its money."""

    tenant: str = ""
    """Names it in events; empty for the engine's owner."""
    epoch: int = 0
    """Counted up, everything that was cached for the tenant before is not found any more."""
    ledger: Ledger | None = None
    """What its calls are charged to, above the request's own; None is the engine's. It should lie below that one."""

    @property
    def space(self) -> str:
        """Give what keeps its cached results apart from all others'."""
        return f"{self.tenant}:{self.epoch}" if self.tenant or self.epoch else ""


OWN = Account()
"""The owner's: as if there were no tenants."""
