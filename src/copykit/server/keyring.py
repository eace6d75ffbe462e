"""The keys that a worker knows: read from the store when they have changed, found by their id in constant time."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable

from sqlalchemy import select

from copykit.server import store as table
from copykit.server.keys import Key, Tenant, digest_of, id_of, keys_of, tenants_of
from copykit.server.store import Store, StoreUnavailable
from copykit.settings import Secret

__all__ = ["LOOK_S", "OPERATOR", "Keyring"]

LOOK_S = 0.5
"""Between looks at the store: what is revoked or cleared elsewhere counts here after that."""
STALE_S = 5.0
"""After which keys that could not be looked up again open nothing: one of them may be revoked."""
OPERATOR = "operator"
"""Id of the key that ``API_KEY`` holds; no key of the store has one of this form."""
_SCOPES = ("generate", "batch", "read", "admin")
_log = logging.getLogger("copykit.server")


class Keyring:
    """What a worker knows of keys, tenants and epochs of their caches.

    Args:
        store: None knows the operator's key alone.
        master: that key, with every scope; None for none.
        pepper: as `KeyBook` has it.
        clock: seconds of the epoch, for ends of keys.
        steady: monotonic seconds, for looks at the store.
    """

    def __init__(
        self,
        store: Store | None,
        master: Secret | None = None,
        pepper: Secret | None = None,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._steady = steady
        self._master = None if master is None else digest_of(master.reveal(), pepper)
        self._none = digest_of("", pepper)
        self._keys: dict[str, Key] = {}
        self.tenants: dict[str, Tenant] = {}
        """By name, those that the store knows."""
        self._counters: dict[str, int] = {}
        self._looked = float("-inf")
        self._looking = asyncio.Lock()

    @property
    def open(self) -> bool:
        """Whether authentication is off: there is no key, and there never was one."""
        return self._master is None and not self._keys

    def epoch(self, tenant: str) -> int:
        """Give how often the cache of *tenant* was cleared."""
        return self._counters.get(f"cache:{tenant}", 0)

    def find(self, text: str) -> Key | None:
        """Give the key whose text this is, if it works now.

        An unknown id takes the same way as a wrong secret, so that the time taken tells nothing.
        """
        master = hmac.compare_digest(digest_of(text, self._pepper), self._master or self._none)
        if master and self._master is not None:
            return _MASTER
        key_id, secret = id_of(text) or ("", text)
        given, now = digest_of(secret, self._pepper), self._clock()
        key = self._keys.get(key_id)
        right = False
        for digest, end in key.secrets if key is not None else ((self._none, None),):
            right |= hmac.compare_digest(given, digest) and (end is None or now < end)
        return key if right and key is not None and key.works(now) else None

    async def look(self) -> bool:
        """Look at the store again if the last look is half a second old; say whether keys or tenants have changed.

        Raises:
            StoreUnavailable: it has not answered for five seconds.
        """
        if self._store is None or self._steady() - self._looked < LOOK_S:
            return False
        if self._looking.locked() and self._steady() - self._looked < STALE_S:
            return False  # another is looking; what is known is fresh enough
        async with self._looking:
            if self._steady() - self._looked < LOOK_S:
                return False
            try:
                return await self._read(self._store)
            except StoreUnavailable:
                if self._steady() - self._looked > STALE_S:
                    raise
                _log.warning("the store did not answer; keys are those of %.1f s ago", STALE_S)
                return False

    async def look_now(self) -> None:
        """Look at once: something was changed here."""
        self._looked = min(self._looked, self._steady() - LOOK_S)
        await self.look()

    async def _read(self, store: Store) -> bool:
        began = self._steady()
        async with store.reading() as connection:
            found = await connection.execute(select(table.counters.c.name, table.counters.c.value))
            counters = {name: int(value) for name, value in found}
            changed = counters.get("keys") != self._counters.get("keys") or self._looked == float("-inf")
            if changed:
                keys = (await connection.execute(select(table.keys))).mappings().all()
                secrets = (await connection.execute(select(table.secrets))).mappings().all()
                tenants = (await connection.execute(select(table.tenants))).mappings().all()
                self._keys = {key.id: key for key in keys_of(keys, secrets)}
                self.tenants = {tenant.name: tenant for tenant in tenants_of(tenants)}
        self._counters, self._looked = counters, began
        return changed


_MASTER = Key(OPERATOR, "", "API_KEY", _SCOPES, 0.0)
