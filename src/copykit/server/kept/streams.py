"""The streams that each key has open at all workers of one store: each worker writes down its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from sqlalchemy import delete, func, select

from copykit.server.kept import store as table
from copykit.server.kept.store import Store, StoreUnavailable
from copykit.server.kept.whole import to_the_end

__all__ = ["OpenStreams"]


class OpenStreams:
    """Writes down how many streams keys have open here, and reads those of the other workers.

    One transaction at a time, and the counts are taken when it begins: two that overlapped could end in the other
    order, and what was counted first would stay. Whoever asks while one runs is answered by the next, all of them by the
    same.

    Args:
        store: opened already.
        worker: this one's id.
        own: gives how many streams a key has open here.
        changed: keys whose number is another one since it was written; emptied here.
    """

    def __init__(self, store: Store, worker: str, own: Callable[[str], int], changed: set[str]) -> None:
        self._store = store
        self._worker = worker
        self._own = own
        self._changed = changed
        self._asked: set[str] = set()
        self._turn = asyncio.Lock()
        self._begun = 0
        self._found: Mapping[str, int] | StoreUnavailable = {}

    async def elsewhere(self, key: str) -> int:
        """Give the streams that *key* has open at other workers, after its own were written.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        return (await self._told(key)).get(key, 0)

    async def tell(self) -> None:
        """Write down what changed.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        await self._told()

    @to_the_end
    async def _told(self, *keys: str) -> Mapping[str, int]:
        begun = self._begun
        self._asked.update(keys)
        async with self._turn:
            if self._begun == begun:
                self._begun += 1
                try:
                    self._found = await self._exchange()
                except StoreUnavailable as error:
                    self._found = error
            if isinstance(self._found, StoreUnavailable):
                raise StoreUnavailable(self._found.message)
            return self._found

    async def _exchange(self) -> Mapping[str, int]:
        changed, asked = set(self._changed), set(self._asked)
        self._changed -= changed
        self._asked -= asked
        try:
            return await self._transaction({key: self._own(key) for key in changed}, asked)
        except StoreUnavailable:
            self._changed |= changed
            raise

    async def _transaction(self, own: Mapping[str, int], asked: set[str]) -> Mapping[str, int]:
        rows = table.streams.c
        async with self._store.writing() as connection:
            await table.alone(connection, "streams")
            for key, count in own.items():
                if count:
                    at = {"worker": self._worker, "key_id": key}
                    await table.put(connection, table.streams, at, {"open": count})
                else:
                    mine = (rows.worker == self._worker) & (rows.key_id == key)
                    await connection.execute(delete(table.streams).where(mine))
            others = (rows.worker != self._worker) & rows.key_id.in_(asked)
            found = await connection.execute(
                select(rows.key_id, func.sum(rows.open)).where(others).group_by(rows.key_id)
            )
            return {key: int(count) for key, count in found.all()}
