"""What a running server tells of itself: its health report, asked for by a command, and the state of its targets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Live", "live_targets", "server_report"]


@dataclass(frozen=True, slots=True)
class Live:
    """One target as the process that was asked knows it."""

    breaker: str
    """``closed``, ``half_open`` or ``open``."""
    in_progress: int
    limit: int
    """Calls at a time."""
    median_s: float | None
    """None before the first answer."""
    rest: str | None = None
    """Why its credential rests, e.g. ``rate_limited``; None if it does not."""


def server_report(url: str, timeout_s: float) -> tuple[int, dict[str, Any]]:
    """Ask the server at *url* for its full report, with the key of ``API_KEY`` or ``API_KEY_FILE`` if there is one.

    Gives the answer's status and the report; what cannot be asked has status 0, and ``detail`` says why.

    Raises:
        ConfigurationError: the key's file cannot be read, or everybody can read it.
    """
    import httpx2

    from copykit.client.place import key_of

    held = key_of(os.environ)
    key = "" if held is None else held.reveal().strip()
    address = url.rstrip("/") + "/health"
    try:
        answer = httpx2.get(address, headers={"X-API-Key": key} if key else {}, timeout=timeout_s)
        told = answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return 0, {"status": "unreachable", "detail": f"{type(error).__name__}: {error}"}
    except ValueError:
        return answer.status_code, {"status": "unknown", "detail": "the answer is no report of copykit"}
    if not isinstance(told, dict):
        return answer.status_code, {"status": "unknown", "detail": "the answer is no report of copykit"}
    return answer.status_code, told


def live_targets(report: Mapping[str, Any]) -> dict[str, Live] | None:
    """Give the targets of a health report by name, those asked since the server began; None if it tells of none."""
    routing = report.get("routing")
    targets = routing.get("targets") if isinstance(routing, Mapping) else None
    if not isinstance(targets, Mapping):
        return None
    resting = routing.get("resting") if isinstance(routing, Mapping) else None
    reasons = resting if isinstance(resting, Mapping) else {}
    found: dict[str, Live] = {}
    for name, look in targets.items():
        try:
            median_s = look["median_s"]
            rest = reasons.get(name.partition(":")[0])
            found[name] = Live(
                breaker=str(look["breaker"]),
                in_progress=int(look["in_progress"]),
                limit=int(look["limit"]),
                median_s=None if median_s is None else float(median_s),
                rest=None if rest is None else str(rest["reason"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
    return found
