"""What a request asks for: its briefs, how long it may take, and by what name it is remembered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from starlette.requests import Request

from copykit.errors import InvalidRequest
from copykit.models import CopywritingInput
from copykit.server.kept.remembered import MAX_NAME
from copykit.server.patience import Patience
from copykit.server.wire import BadBody, read_json

__all__ = ["brief_of", "items_of", "json_of", "name_of", "patience_of", "preferred"]

_LEAST_MS, _MOST_MS = 1, 86_400_000
_WEIGHT = re.compile(r"[01](?:\.[0-9]{0,3})?")
_LARGE = 64 * 1024
"""Bytes from which on a body is read in a thread: the loop has others to answer."""


async def json_of(body: bytes) -> Any:
    """Read *body*; raises as `read_json` does."""
    return await asyncio.to_thread(read_json, body) if len(body) > _LARGE else read_json(body)


def patience_of(request: Request, came: float) -> Patience:
    """Give how long the client waits, by ``X-Request-Timeout-Ms``.

    Args:
        came: when the request did, in monotonic seconds.

    Raises:
        BadBody: the header stands there twice.
        InvalidRequest: it is no number of milliseconds.
    """
    found = request.headers.getlist("x-request-timeout-ms")
    if not found:
        return Patience(inf, came)
    if len(found) > 1:
        raise BadBody("X-Request-Timeout-Ms: one, not several")
    text = found[0]
    if len(text) > 12 or not (text.isascii() and text.isdigit()) or not _LEAST_MS <= int(text) <= _MOST_MS:
        raise InvalidRequest("X-Request-Timeout-Ms", text, "milliseconds, a whole number from 1 to 86400000")
    return Patience(int(text) / 1000, came)


def preferred(accept: str, kinds: Sequence[str]) -> str:
    """Give that of *kinds* which a client would rather have (RFC 9110, section 12.5.1); the first one if all are alike."""
    told: dict[str, float] = {}
    for one in accept.split(","):
        kind, *parameters = (part.strip().casefold() for part in one.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        told[kind] = float(weight) if _WEIGHT.fullmatch(weight) else 0.0

    def weight_of(kind: str) -> float:
        general = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        return next((told[name] for name in general if name in told), 0.0)

    return max(kinds, key=weight_of)


def name_of(request: Request) -> str | None:
    """Give what ``Idempotency-Key`` holds; None without one.

    Raises:
        BadBody: it is empty, longer than 255 characters, stands there twice, or holds what is not printable.
    """
    found = request.headers.getlist("idempotency-key")
    if not found:
        return None
    name = found[0]
    if len(found) > 1 or not 0 < len(name) <= MAX_NAME or not (name.isascii() and name.isprintable()):
        raise BadBody(f"Idempotency-Key: one, of 1 to {MAX_NAME} printable ASCII characters")
    return name


def brief_of(fields: Any, allowed_s: float) -> CopywritingInput:
    """Read a brief, and bound its time.

    Raises:
        InvalidRequest: it is no brief; the message names field, value and nearest choice.
    """
    if not isinstance(fields, Mapping):
        raise InvalidRequest("body", type(fields).__name__, "must be an object with the fields of a brief")
    brief = CopywritingInput.of_json(fields)
    return brief.model_copy(update={"deadline_s": min(brief.deadline_s or allowed_s, allowed_s)})


def items_of(body: Any, most: int) -> list[Any]:
    """Give the briefs of a batch as they were sent, in order.

    Raises:
        InvalidRequest: it is neither a list nor an object with one, or holds more than *most*.
    """
    if isinstance(body, Mapping):
        unknown = [name for name in body if name != "requests"]
        if unknown:
            reason = "unknown; a batch holds requests"
            raise InvalidRequest(unknown[0], body[unknown[0]], reason, nearest=["requests"])
        body = body.get("requests")
    if not isinstance(body, list):
        raise InvalidRequest("requests", body, "must be a list of briefs")
    if len(body) > most:
        raise InvalidRequest("requests", len(body), f"at most {most} briefs")
    return body
