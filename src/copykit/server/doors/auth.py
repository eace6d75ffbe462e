"""Who is calling, whether they may, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from copykit.server.bounds import is_loopback
from copykit.server.config import ServerSettings
from copykit.server.doors.keyring import Keyring
from copykit.server.doors.keys import SCOPES, Key, id_of
from copykit.server.doors.limits import Limits, Window
from copykit.server.doors.peers import Peers
from copykit.server.routes import RouteSpec
from copykit.server.wire import Refused

__all__ = ["ANYBODY", "REFUSED", "Doors", "Visitor"]

REFUSED = "refused"
"""In a request's state: what it was refused with where it was counted before."""

_NO_KEY = "a key is wanted: send it as X-API-Key, or as Authorization: Bearer"
_WRONG = "this key is not known, or has ended"
_FOREIGN = "pages of other origins may change nothing on a server without keys; COPYKIT_CORS_ORIGINS names those that may"
_CHALLENGE = {"WWW-Authenticate": 'ApiKey realm="copykit"'}
_MOST_PEERS = 1000
"""Addresses of which is remembered whether they are this machine's own."""
_MOST_LETTERS = 512
"""Of a key: longer ones are wrong without being looked at."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever sent a request, as far as doors know."""

    key: Key
    window: Window | None = None
    """What is left of the narrowest bound that it was counted against."""

    @property
    def tenant(self) -> str:
        """Give its tenant; empty for the operator's own."""
        return self.key.tenant


ANYBODY = Visitor(Key("", "", "", SCOPES, 0.0))
"""Of a server without authentication, and of routes that are public."""


class Doors:
    """Lets a request through to a route, or says why not.

    An address is counted before its key is looked at. Wrong keys are counted apart, so that whoever tries many is told
    to stop; a right key is let in all the same: others may share the address.
    """

    def __init__(self, settings: ServerSettings, keyring: Keyring, limits: Limits) -> None:
        self._settings = settings
        self._keyring = keyring
        self._limits = limits
        self.peers = Peers(settings.trusted_proxies)
        self._free: dict[str, bool] = {}

    async def check(self, request: Request, spec: RouteSpec) -> Visitor:
        """Let *request* pass to the route of *spec*.

        Raises:
            Refused: 401 without a key or with a wrong one, 403 without its scope, 429 too many requests.
            StoreUnavailable: nobody knows which keys there are.
        """
        if (
            spec.scope == "public"
        ):  # also where the store is away: whether the process lives is for no store to say
            if not spec.probe:
                await self.count_keyless(request)
            return ANYBODY
        refusal = request.scope.get("state", {}).get(REFUSED)
        if refusal is not None:
            raise refusal
        await self._keyring.look()
        peer = self.peers.of(request)
        if self._keyring.open and spec.method == "POST" and self._is_foreign(request):
            raise Refused(403, "forbidden", _FOREIGN)
        if self.is_free(peer):
            return ANYBODY
        await self._count_peer(peer)
        if self._keyring.open:
            return ANYBODY
        key = await self._key(request, peer)
        if spec.scope not in key.scopes:
            raise Refused(403, "forbidden", f"this key has no scope {spec.scope}")
        if spec.operator and key.tenant:
            raise Refused(
                403, "forbidden", "this route tells of the whole server: a key of its operator is wanted"
            )
        return Visitor(key, await self._count_key(key))

    async def count_keyless(self, request: Request) -> None:
        """Count a request that no key is asked for, as one of a public route or of none, against its address.

        Raises:
            Refused: 429, too many requests.
        """
        peer = self.peers.of(request)
        if not self.is_free(peer):
            await self._count_peer(peer)

    def _is_foreign(self, request: Request) -> bool:
        """Say whether a page of another origin sends this: a browser lets some requests out without asking first."""
        origin = request.headers.get("origin")
        if origin is None or origin in self._settings.cors_origins or "*" in self._settings.cors_origins:
            return False
        return origin.partition("://")[2] != request.headers.get("host")

    def is_free(self, peer: str) -> bool:
        """Say whether *peer* is neither asked for a key nor counted: a server without keys, asked from its own machine."""
        if not self._keyring.open:
            return False
        free = self._free.get(peer)
        if free is None:
            if len(self._free) >= _MOST_PEERS:
                self._free.clear()
            free = self._free[peer] = is_loopback(peer)
        return free

    def counted(self, key: Key, peer: str) -> Window | None:
        """Count one request of *key* from *peer* where `Limits.is_here`; give the narrowest window.

        Raises:
            Refused: 429, too many requests.
        """
        count = self._limits.count_here
        windows = [count(*bound) for bound in (self._of_peer(peer), *self._of_key(key))]
        return _narrowest(windows[1:])

    async def count(self, key: Key, peer: str) -> Window | None:
        """Do as `counted`, wherever requests are counted."""
        await self._count_peer(peer)
        return await self._count_key(key)

    async def _count_peer(self, peer: str) -> None:
        await self._limits.count(*self._of_peer(peer))

    def _of_peer(self, peer: str) -> tuple[str, str, str, str]:
        return (
            self._settings.ip_rate,
            "ip",
            Peers.line_of(peer),
            "this address sends more requests than it may",
        )

    def _of_key(self, key: Key) -> list[tuple[str, str, str, str]]:
        """Give what bounds *key*: its tenant's rate, where it has one, and its own or the server's."""
        own = (key.rate or self._settings.rate, "key", key.id, "this key sends more requests than it may")
        tenant = self._keyring.tenants.get(key.tenant)
        if tenant is None:
            return [own]
        told = "your keys together send more requests than they may"
        return [own, (tenant.rate, "tenant", tenant.name, told)]

    async def _key(self, request: Request, peer: str) -> Key:
        given = _given(request)
        if not given:
            raise Refused(401, "unauthorized", _NO_KEY, headers=_CHALLENGE)
        key = self._keyring.find(given) if len(given) <= _MOST_LETTERS else None
        if key is None:
            tried = f"{Peers.line_of(peer)} {(id_of(given) or ('', ''))[0]}"
            told = "too many wrong keys of this kind from this address"
            await self._limits.count(self._settings.failure_rate, "failure", tried, told)
            raise Refused(401, "unauthorized", _WRONG, headers=_CHALLENGE)
        return key

    async def _count_key(self, key: Key) -> Window | None:
        """Count one request of *key* and of its tenant; give the narrower window."""
        return _narrowest([await self._limits.count(*bound) for bound in self._of_key(key)])


def _narrowest(windows: list[Window | None]) -> Window | None:
    known = [window for window in windows if window is not None]
    return known[0] if len(known) == 1 else min(known, key=lambda window: window.remaining, default=None)


def _given(request: Request) -> str:
    keys = request.headers.getlist("x-api-key")
    if keys:  # two of them are none: who reads the first and who reads the last would differ
        return keys[0].strip() if len(keys) == 1 else " "
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.casefold() == "bearer" else ""
