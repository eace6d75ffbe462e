"""The keys that a worker knows: read from the store when they have changed, found by their id in constant time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Callable

from sqlalchemy import select

from copykit.server.doors.keys import SCOPES, Key, Tenant, digest_of, id_of, keys_of, tenants_of
from copykit.server.kept import store as table
from copykit.server.kept.store import Store, StoreUnavailable
from copykit.server.kept.whole import to_the_end
from copykit.settings import Secret

__all__ = ["LOOK_S", "OPERATOR", "Keyring"]

LOOK_S = 0.5
"""Between looks at the store: what is revoked or cleared elsewhere counts here after that."""
FRESH_S = 2 * LOOK_S
"""As long as a look may take under load, what was known before it counts."""
SURE_S = 2.0
"""After which the store is asked although its files seem unchanged: their clock is coarse."""
STALE_S = 5.0
"""After which keys that could not be looked up again open nothing: one of them may be revoked."""
OPERATOR = "operator"
"""Id of the key that ``API_KEY`` holds; no key of the store has one of this form."""
_MOST_FOUND = 10_000
"""Right keys that are found without comparing."""
_log = logging.getLogger("copykit.server")


class Keyring:
    """What a worker knows of keys, tenants and epochs of their caches.

    Args:
        store: None knows the operator's key alone.
        master: that key, with every scope; None for none.
        pepper: as `KeyBook` has it.
        may_open: whether authentication may be off at all.
        clock: seconds of the epoch, for ends of keys.
        steady: monotonic seconds, for looks at the store.
    """

    def __init__(
        self,
        store: Store | None,
        master: Secret | None = None,
        pepper: Secret | None = None,
        *,
        may_open: bool = True,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._may_open = may_open
        self._clock = clock
        self._steady = steady
        self._master = None if master is None else digest_of(master.reveal(), pepper)
        self._none = digest_of("", pepper)
        self._keys: dict[str, Key] = {}
        self.tenants: dict[str, Tenant] = {}
        """By name, those that the store knows."""
        self.has_opened = False
        """Whether a key of the store was found right: then the pepper is the one that it was made under."""
        self._counters: dict[str, int] = {}
        self._found: dict[bytes, tuple[Key, float | None]] = {}
        self._looked = float("-inf")
        self._asked = self._failed = float("-inf")
        self.trouble = ""
        """Why the last look failed; empty if it did not."""
        self._trace: tuple[int, ...] | None = None
        self._looking = asyncio.Lock()

    @property
    def open(self) -> bool:
        """Whether authentication is off: there is no key, and there never was one."""
        return self._may_open and self._master is None and not self._keys

    @property
    def is_fresh(self) -> bool:
        """Whether what is known needs no look at the store now."""
        return self._store is None or self._steady() - self._looked < FRESH_S

    def epoch(self, tenant: str) -> int:
        """Give how often the cache of *tenant* was cleared."""
        return self._counters.get(f"cache:{tenant}", 0)

    def find(self, text: str) -> Key | None:
        """Give the key whose text this is, if it works now.

        An unknown id takes the same way as a wrong secret, so that the time taken tells nothing.
        """
        now = self._clock()
        seen_as = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        known = self._found.get(seen_as)
        if known is not None and (known[1] is None or now < known[1]) and known[0].works(now):
            return known[0]
        master = hmac.compare_digest(digest_of(text, self._pepper), self._master or self._none)
        if master and self._master is not None:
            return self._remember(seen_as, _MASTER, None)
        key_id, secret = id_of(text) or ("", text)
        given = digest_of(secret, self._pepper)
        key = self._keys.get(key_id)
        right, ends = False, None
        for digest, end in key.secrets if key is not None else ((self._none, None),):
            if hmac.compare_digest(given, digest) and (end is None or now < end):
                right, ends = True, end
        if not right or key is None or not key.works(now):
            return None
        self.has_opened = True
        return self._remember(seen_as, key, ends)

    def _remember(self, seen_as: bytes, key: Key, ends: float | None) -> Key:
        """Keep that a text is *key*'s, by its digest, until keys change: a right key is found at once the next time."""
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
        self._found[seen_as] = (key, ends)
        return key

    async def look(self) -> bool:
        """Look at the store again if the last look is half a second old; say whether keys or tenants have changed.

        Raises:
            StoreUnavailable: it has not answered for five seconds.
        """
        if self._store is None or self._steady() - self._looked < LOOK_S:
            return False
        if self._is_unchanged(self._store):
            return False
        if self._looking.locked() and self._steady() - self._looked < STALE_S:
            return False  # another is looking; what is known is fresh enough
        return await self._look(self._store)

    @to_the_end
    async def _look(self, store: Store, *, at_once: bool = False) -> bool:
        """Look at the store, unless another has just done so."""
        async with self._looking:
            if self._steady() - self._looked < LOOK_S and not at_once:
                return False
            if self._steady() - self._failed >= LOOK_S:
                try:
                    return await self._read(store)
                except StoreUnavailable as error:
                    self._failed, self.trouble = self._steady(), error.message
            if (
                self._steady() - self._looked > STALE_S
            ):  # all that wait here are told at once, not one after another
                raise StoreUnavailable("the store does not answer: nobody knows which keys there are")
            return False

    async def look_now(self) -> None:
        """Look at once: something was changed here, perhaps after a look under way has read it."""
        if self._store is not None:
            await self._look(self._store, at_once=True)

    def _is_unchanged(self, store: Store) -> bool:
        """Whether nobody wrote into the store since it was read; then that reading is as good as one of now."""
        now = self._steady()
        if self._trace is None or now - self._asked >= SURE_S or store.trace() != self._trace:
            return False
        self._looked = now
        return True

    async def _read(self, store: Store) -> bool:
        began, trace = self._steady(), store.trace()
        async with store.reading() as connection:
            found = await connection.execute(select(table.counters.c.name, table.counters.c.value))
            counters = {name: int(value) for name, value in found}
            changed = counters.get("keys") != self._counters.get("keys") or self._looked == float("-inf")
            was_open = self.open and self._looked != float("-inf")
            if changed:
                keys = (await connection.execute(select(table.keys))).mappings().all()
                secrets = (await connection.execute(select(table.secrets))).mappings().all()
                tenants = (await connection.execute(select(table.tenants))).mappings().all()
                self._found.clear()
                # a store that is emptied, or another one in its place, must not open what a key had closed
                self._may_open = self._may_open and not keys
                self._keys = {key.id: key for key in keys_of(keys, secrets)}
                self.tenants = {tenant.name: tenant for tenant in tenants_of(tenants)}
        if was_open and not self.open:
            _log.warning("the store holds its first key; whoever sends none is answered 401 from now on")
        self._counters, self._trace = counters, trace
        self._looked = self._asked = began
        self.trouble = ""
        return changed


_MASTER = Key(OPERATOR, "", "API_KEY", SCOPES, 0.0)
