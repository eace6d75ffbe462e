"""Who is calling, and whether they may."""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import Request

from copykit.server.config import ServerSettings
from copykit.server.routes import Scope
from copykit.server.wire import Refused

__all__ = ["Doors"]

_NO_KEY = "a key is wanted: send it as X-API-Key, or as Authorization: Bearer"
_WRONG = "this key is not known"
_CHALLENGE = {"WWW-Authenticate": 'ApiKey realm="copykit"'}


class Doors:
    """Lets a request through to a route, or says why not.

    Keys are compared by their digests in constant time, so that neither length nor letters can be guessed by the clock.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.open = settings.key is None
        """Whether authentication is off."""
        key = settings.key
        self._digest = b"" if key is None else _digest(key.reveal())

    def check(self, request: Request, scope: Scope) -> None:
        """Let *request* pass to a route of *scope*.

        Raises:
            Refused: 401 without a key or with a wrong one.
        """
        if self.open or scope == "public":
            return
        given = _given(request)
        if not given:
            raise Refused(401, "unauthorized", _NO_KEY, headers=_CHALLENGE)
        if not hmac.compare_digest(_digest(given), self._digest):
            raise Refused(401, "unauthorized", _WRONG, headers=_CHALLENGE)


def _given(request: Request) -> str:
    key = request.headers.get("x-api-key")
    if key is not None:
        return key.strip()
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.casefold() == "bearer" else ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
