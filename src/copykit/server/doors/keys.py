"""What a key is: its text, its digest, its scopes and ends, and the bounds of it and of its tenant."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from copykit.settings import Secret

__all__ = [
    "MOST_USD",
    "PERIODS",
    "SCOPES",
    "Budget",
    "Key",
    "Tenant",
    "budget_row",
    "digest_of",
    "id_of",
    "keys_of",
    "tenants_of",
]

SCOPES = ("generate", "batch", "read", "admin")
MOST_USD = 1e6
"""Of a budget: what one 64-bit number holds in trillionths, many times over."""
PERIODS = ("day", "month", "total")
"""What a budget is for, by the calendar of UTC."""
_KEY = re.compile(r"ck_live_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Budget:
    """Dollars that may be spent in a period."""

    usd: float
    per: str = "month"
    """One of `PERIODS`."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whoever holds keys, with what bounds all of them together."""

    name: str
    rate: str = ""
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without its secrets."""

    id: str
    tenant: str
    """Empty for the operator's own."""
    name: str
    scopes: tuple[str, ...]
    created: float
    """Seconds of the epoch, as all times here."""
    expires: float | None = None
    revoked: float | None = None
    rate: str = ""
    """Its own bound on requests; empty for the server's."""
    budget: Budget | None = None
    secrets: tuple[tuple[bytes, float | None], ...] = field(default=(), repr=False)
    """Digests, each with its end."""

    def works(self, now: float) -> bool:
        """Say whether it opens anything."""
        ends = (self.revoked, self.expires)
        return all(end is None or now < end for end in ends)

    def state(self, now: float) -> str:
        """Give ``active``, ``rotating``, ``expired`` or ``revoked``."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        if not self.works(now):
            return "expired"
        live = [end for _, end in self.secrets if end is None or now < end]
        return "rotating" if len(live) > 1 else "active"


def keys_of(rows: Iterable[Any], secrets: Iterable[Any]) -> list[Key]:
    """Make keys of the rows of both tables."""
    own: dict[str, list[tuple[bytes, float | None]]] = {}
    for secret in secrets:
        own.setdefault(secret["key_id"], []).append((bytes(secret["digest"]), secret["expires"]))
    return [
        Key(
            id=row["id"],
            tenant=row["tenant"],
            name=row["name"],
            scopes=tuple(row["scopes"].split(",")),
            created=row["created"],
            expires=row["expires"],
            revoked=row["revoked"],
            rate=row["rate"],
            budget=_budget_of(row),
            secrets=tuple(own.get(row["id"], ())),
        )
        for row in rows
    ]


def tenants_of(rows: Iterable[Any]) -> list[Tenant]:
    """Make tenants of the rows of their table."""
    return [Tenant(row["name"], row["rate"], _budget_of(row)) for row in rows]


def digest_of(secret: str, pepper: Secret | None) -> bytes:
    """Give what is kept of *secret*; fast on purpose: 256 bits of chance are not guessed, however fast the guessing."""
    salt = b"" if pepper is None else pepper.reveal().encode()
    return hmac.new(salt, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def id_of(text: str) -> tuple[str, str] | None:
    """Split a key's text into its id and its secret; None if it is no key of ours."""
    found = _KEY.fullmatch(text)
    return (found[1], found[2]) if found else None


def budget_row(budget: Budget | None) -> dict[str, Any]:
    """Give the columns that hold *budget*."""
    if budget is None:
        return {"budget_usd": None, "budget_per": "month"}
    return {"budget_usd": budget.usd, "budget_per": budget.per}


def _budget_of(row: Any) -> Budget | None:
    return None if row["budget_usd"] is None else Budget(row["budget_usd"], row["budget_per"])
