"""Requests' bodies, each within bounds of size and time, all that come at once within one of memory, and of the one
kind that is read here."""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.requests import ClientDisconnect, Request

from copykit.server.wire import Refused

__all__ = ["LARGEST_AT_ONCE", "LEAST_RATE", "Bodies"]

LEAST_RATE = 1000
"""Bytes a second of a body that takes longer than the time that any may take: a phone's worst line has more, and
whoever only holds a place has less."""
LARGEST_AT_ONCE = 16
"""Bodies of the largest size for which there is room while they arrive: many more come at once where each is small."""
_CROWDED_S = 1
"""After which a body that was put off may be sent again."""


class Bodies:
    """Reads the bodies of requests.

    A body is in memory before anybody knows whether it is of use, so all that are arriving have one bound together. When
    they go beyond it, the one is put off that has held the most bytes for the longest, of the tenant that holds the
    most: who sends quickly is done before, and nobody pays for another tenant that does not.

    Args:
        within_s: seconds in which any body may arrive; a longer one has to bring `LEAST_RATE` times as many bytes each
            time that these seconds pass.
        room: bytes that all which are arriving may hold.
    """

    def __init__(self, within_s: float, room: int) -> None:
        self._within_s = within_s
        self._room = room
        self._step = max(1, round(LEAST_RATE * within_s))
        self._arriving: set[_Arriving] = set()
        self.held = 0
        """Bytes of bodies that are arriving."""

    async def read(self, request: Request, most: int, tenant: str) -> bytes:
        """Give the body of *request*.

        Args:
            most: bytes; what is declared or sent beyond them is not read.
            tenant: of whoever sends it.

        Raises:
            Refused: 413, 415, 408 or 503, by what is wrong.
        """
        _refuse_kind(request)
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared[:16]) > most:
            raise _too_large(most)
        clock = asyncio.get_running_loop().time
        body, wanted = bytearray(), self._step
        try:
            async with asyncio.timeout(self._within_s) as patience:
                own = _Arriving(tenant, body, clock(), patience)
                self._arriving.add(own)
                try:
                    async for chunk in request.stream():
                        if own.crowded:  # what came before it was told so
                            continue
                        body += chunk
                        self.held += len(chunk)
                        if len(body) > most:
                            raise _too_large(most)
                        self._make_room(clock())
                        if len(body) >= wanted and not own.crowded:
                            # from now on, not from the beginning: what came quickly buys no silence
                            wanted = len(body) + self._step
                            patience.reschedule(clock() + self._within_s)
                finally:
                    self._let_go(own)
        except TimeoutError:
            if own.crowded:
                raise Refused(
                    503,
                    "overloaded",
                    "more is being sent here at once than there is room for",
                    headers={"Retry-After": str(_CROWDED_S)},
                ) from None
            raise Refused(
                408,
                "request_timeout",
                f"the body came too slowly: {self._within_s:g} s, then {LEAST_RATE} bytes/s",
            ) from None
        except ClientDisconnect:
            raise Refused(499, "client_gone", "the client left") from None
        return bytes(body)

    def _make_room(self, now: float) -> None:
        while self.held > self._room:
            holds: Counter[str] = Counter()
            for one in self._arriving:
                holds[one.tenant] += len(one.body)
            (tenant, _), *_ = holds.most_common(1)
            worst = max(
                (one for one in self._arriving if one.tenant == tenant), key=lambda one: one.burden(now)
            )
            self._let_go(worst)
            if not worst.patience.expired():
                worst.crowded = True
                worst.patience.reschedule(now)

    def _let_go(self, one: _Arriving) -> None:
        if one in self._arriving:
            self._arriving.remove(one)
            self.held -= len(one.body)


class _Arriving:
    """One body that is being read."""

    def __init__(self, tenant: str, body: bytearray, began: float, patience: asyncio.Timeout) -> None:
        self.tenant, self.body, self.began, self.patience = tenant, body, began, patience
        self.crowded = False
        """Whether it was put off for others' sake."""

    def burden(self, now: float) -> float:
        """Give its bytes times the seconds that it is arriving."""
        return len(self.body) * (now - self.began)


def _refuse_kind(request: Request) -> None:
    """Raise `Refused` (415) unless the body is to be JSON, as it is."""
    kinds = request.headers.getlist("content-type")
    kind, _, parameters = (kinds[0] if len(kinds) == 1 else "").partition(";")
    if kind.strip().casefold() != "application/json":
        raise Refused(415, "unsupported_media_type", "send application/json")
    charset = parameters.replace(" ", "").casefold()
    if charset and charset not in ("charset=utf-8", 'charset="utf-8"'):
        raise Refused(415, "unsupported_media_type", "JSON is UTF-8: leave the charset out")
    if any(coding.casefold() != "identity" for coding in request.headers.getlist("content-encoding")):
        raise Refused(415, "unsupported_encoding", "send the body without compression")


def _too_large(most: int) -> Refused:
    return Refused(413, "payload_too_large", f"at most {most} bytes")
