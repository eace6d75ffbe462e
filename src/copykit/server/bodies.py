"""A request's body, within bounds of size and time, and of the one kind that is read here."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from copykit.server.wire import Refused

__all__ = ["LEAST_RATE", "read_body"]

LEAST_RATE = 1000
"""Bytes a second, on average, of a body that takes longer than the time that any may take: a phone's worst line has more,
and whoever only holds a place has less."""


async def read_body(request: Request, most: int, within_s: float) -> bytes:
    """Give the body of *request*.

    Args:
        most: bytes; what is declared or sent beyond them is not read.
        within_s: seconds in which it has to arrive; a longer one at `LEAST_RATE` from the beginning.

    Raises:
        Refused: 413, 415 or 408, by what is wrong.
    """
    kinds = request.headers.getlist("content-type")
    kind, _, parameters = (kinds[0] if len(kinds) == 1 else "").partition(";")
    if kind.strip().casefold() != "application/json":
        raise Refused(415, "unsupported_media_type", "send application/json")
    charset = parameters.replace(" ", "").casefold()
    if charset and charset not in ("charset=utf-8", 'charset="utf-8"'):
        raise Refused(415, "unsupported_media_type", "JSON is UTF-8: leave the charset out")
    if request.headers.get("content-encoding", "identity").casefold() != "identity":
        raise Refused(415, "unsupported_encoding", "send the body without compression")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:16]) > most:
        raise _too_large(most)
    body = bytearray()
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(within_s) as patience:
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
                if len(body) > LEAST_RATE * within_s:
                    patience.reschedule(began + len(body) / LEAST_RATE)
    except TimeoutError:
        raise Refused(
            408, "request_timeout", f"the body came too slowly: {within_s:g} s, then {LEAST_RATE} bytes/s"
        ) from None
    except ClientDisconnect:
        raise Refused(499, "client_gone", "the client left") from None
    return bytes(body)


def _too_large(most: int) -> Refused:
    return Refused(413, "payload_too_large", f"at most {most} bytes")
