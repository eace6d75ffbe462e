"""Requests that are sent again: done once, and answered as often as they come."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from copykit.server.asked import name_of
from copykit.server.kept.remembered import Kept, Remembers
from copykit.server.kept.store import StoreUnavailable
from copykit.server.kept.whole import go_on
from copykit.server.routes import RouteSpec
from copykit.server.wire import BadBody

__all__ = ["FINAL", "once"]

_log = logging.getLogger("copykit.server")
FINAL = frozenset({200, 422})
"""Answers that would be the same again; of all others a repeat may get a better one."""


async def once(
    request: Request,
    spec: RouteSpec,
    tenant: str,
    body: bytes,
    remembered: Remembers,
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """Do *work* unless a request with the same ``Idempotency-Key`` was done before, whose answer is given then.

    Raises:
        BadBody: a key that is none, or one where answers are not kept.
        Refused: 409 while the first is in work, 422 if it asked for something else.
    """
    name = name_of(request)
    if name is None:
        return await work()
    if spec.gives == "Events":
        raise BadBody("Idempotency-Key: a stream is not kept; ask without it")
    asked = hashlib.sha256(spec.path.encode() + b"\0" + body).digest()
    kept = await _begun(tenant, name, asked, remembered)
    if kept is not None:
        return Response(kept.body, kept.status, media_type=kept.kind, headers={"Idempotent-Replayed": "true"})
    final: Kept | None = None
    try:
        response = await work()
        if response.status_code in FINAL and not getattr(request.state, "passing", False):
            final = Kept(response.status_code, response.media_type or "", bytes(response.body))
    finally:
        await _end(tenant, name, remembered, final)
    return response


async def _begun(tenant: str, name: str, asked: bytes, remembered: Remembers) -> Kept | None:
    """Note that a request is in work, or give the answer that it had; if it is left meanwhile, it was never sent."""
    beginning = go_on(remembered.begin(tenant, name, asked))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        go_on(_undo(tenant, name, remembered, beginning))
        raise


async def _undo(tenant: str, name: str, remembered: Remembers, beginning: asyncio.Task[Kept | None]) -> None:
    await asyncio.wait([beginning])
    if not beginning.cancelled() and beginning.exception() is None and beginning.result() is None:
        await _end(tenant, name, remembered, None)


async def _end(tenant: str, name: str, remembered: Remembers, kept: Kept | None) -> None:
    """Keep the answer, if that can be: the work is done or has failed, and its answer is worth more than a second one."""
    try:
        await remembered.end(tenant, name, kept)
    except StoreUnavailable:
        _log.warning(
            "an answer cannot be remembered yet: until the store answers, its repeat is told to wait"
        )
