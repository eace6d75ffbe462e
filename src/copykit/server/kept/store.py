"""What the server remembers, in one database that all workers share: keys, money, answers, workers and epochs.

SQLite in a file of its own (write-ahead log, every commit on disk before it counts) or PostgreSQL, through SQLAlchemy.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    event,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from copykit.errors import ConfigurationError, CopykitError, MissingExtra
from copykit.server.bounds import DRIVERS, store_problems
from copykit.server.kept.periods import TOTAL, month_of
from copykit.server.kept.whole import to_the_end
from copykit.server.wire import StoreUnavailable

__all__ = ["Store", "StoreUnavailable", "alone", "put", "raise_counter"]

SCHEMA = 1
"""Counted up when tables change; a store of a later one is refused rather than misread."""
_LIBRARIES = ("sqlalchemy", "sqlite3", "aiosqlite", "asyncpg")
_SUMMED = "money counts in"
"""Name in `meta` that says that spending stands under all periods that it lies in, not under its budget's alone."""
_SQLITE = b"SQLite format 3\0"
"""How a file of SQLite begins (sqlite.org/fileformat.html, section 1.2); an empty one is a new database."""
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_TEXT = 255
_CLOSING_S = 2.0
"""For connections in use when all are closed: a transaction of the server takes milliseconds."""

tables = MetaData()
meta = Table("copykit_meta", tables, Column("name", String(64), primary_key=True), Column("value", Text))
counters = Table(
    "copykit_counters",
    tables,
    Column("name", String(_TEXT), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Counted up with each change, so that a worker sees by one small read that it must look anew."""
keys = Table(
    "copykit_keys",
    tables,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("name", String(_TEXT), nullable=False),
    Column("scopes", String(_TEXT), nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("rate", String(64), nullable=False),
    Column("budget_usd", Float),
    Column("budget_per", String(16), nullable=False),
)
secrets = Table(
    "copykit_secrets",
    tables,
    Column("key_id", String(16), nullable=False, index=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    PrimaryKeyConstraint("key_id", "digest"),
)
tenants = Table(
    "copykit_tenants",
    tables,
    Column("name", String(64), primary_key=True),
    Column("rate", String(64), nullable=False),
    Column("budget_usd", Float),
    Column("budget_per", String(16), nullable=False),
)
money = Table(
    "copykit_money",
    tables,
    Column("account", String(_TEXT), nullable=False),
    Column("period", String(64), nullable=False),
    Column("spent", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "period"),
)
"""In trillionths of a dollar, as `copykit.routing.budget` counts."""
leases = Table(
    "copykit_leases",
    tables,
    Column("worker", String(64), nullable=False),
    Column("account", String(_TEXT), nullable=False),
    Column("period", String(64), nullable=False),
    Column("held", BigInteger, nullable=False),
    PrimaryKeyConstraint("worker", "account", "period"),
)
workers = Table(
    "copykit_workers",
    tables,
    Column("id", String(64), primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("host", String(_TEXT), nullable=False),
    Column("started", Float, nullable=False),
    Column("beat", Float, nullable=False),
    Column("version", String(64), nullable=False),
    Column("config", String(64), nullable=False),
)
counts = Table(
    "copykit_counts",
    tables,
    Column("worker", String(64), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("told", Text, nullable=False),
    PrimaryKeyConstraint("worker", "tenant"),
)
streams = Table(
    "copykit_streams",
    tables,
    Column("worker", String(64), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("open", Integer, nullable=False),
    PrimaryKeyConstraint("worker", "key_id"),
)
answers = Table(
    "copykit_answers",
    tables,
    Column("tenant", String(64), nullable=False),
    Column("name", String(_TEXT), nullable=False),
    Column("asked", LargeBinary(32), nullable=False),
    Column("worker", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("status", Integer),
    Column("kind", String(_TEXT)),
    Column("body", LargeBinary),
    PrimaryKeyConstraint("tenant", "name"),
)
"""Of requests with an ``Idempotency-Key``; without a status while the first is in work."""


class Store:
    """The database behind one worker; used within one event loop.

    Args:
        url: as SQLAlchemy writes addresses, e.g. ``sqlite:////var/lib/copykit/server.sqlite`` or
            ``postgresql://user:password@host/name``; the driver is filled in.
        make: whether file and tables are made where there is no store; else that is a mistake.

    Raises:
        ConfigurationError: an address that names no database known here; a folder that cannot be written; no store there.
        MissingExtra: the driver is not installed.
    """

    def __init__(self, url: str, *, make: bool = True) -> None:
        if problems := store_problems(url):
            raise ConfigurationError(problems)
        try:
            self._url = make_url(url)
        except (ArgumentError, ValueError):
            raise ConfigurationError("server.store_url: no address such as sqlite:////path/to/file") from None
        driver = DRIVERS.get(self._url.drivername, self._url.drivername)
        self._url = self._url.set(drivername=driver)
        self.kind: Literal["sqlite", "postgresql"] = "sqlite" if driver.startswith("sqlite") else "postgresql"
        """``sqlite`` or ``postgresql``."""
        self._make = make
        self._in_use = 0
        self._unused: asyncio.Event | None = None
        self._closed = False
        self._file: tuple[int, int] | None = None
        if self.kind == "sqlite":
            self._look_at_file()
        self._engine = self._made()

    @property
    def shown(self) -> str:
        """Give the address without its password."""
        return self._url.set(drivername=self.kind).render_as_string(hide_password=True)

    @property
    def path(self) -> Path | None:
        """Give the file, of SQLite."""
        return Path(self._url.database) if self.kind == "sqlite" and self._url.database else None

    def trace(self) -> tuple[int, ...] | None:
        """Give what changes with every commit, whoever makes it, without asking the database; None if there is no such.

        Of SQLite the times and sizes of its files: a commit is written to the log or to the file itself.
        """
        if self.path is None:
            return None
        told: list[int] = []
        for name in (self.path, self.path.with_name(self.path.name + "-wal")):
            try:
                found = name.stat()
            except OSError:
                told += (0, 0)
            else:
                told += (found.st_mtime_ns, found.st_size)
        return tuple(told)

    @to_the_end
    async def open(self) -> None:
        """Make the tables that are not there; a store that was closed is open again.

        Raises:
            ConfigurationError: the store was made by a later version, or there is none and none is to be made.
            StoreUnavailable: it does not answer.
        """
        self._closed = False
        async with self.writing() as connection:
            await alone(connection, "tables")  # workers start together
            if not self._make and not await connection.run_sync(_has_store):
                raise ConfigurationError(self._absence())
            await connection.run_sync(tables.create_all)
            found = (await connection.execute(select(meta.c.value).where(meta.c.name == "schema"))).scalar()
            if found is None:
                await connection.execute(insert(meta).values(name="schema", value=str(SCHEMA)))
            elif int(found) > SCHEMA:
                raise ConfigurationError(
                    f"server.store_url: made by a later version (schema {found}, this one knows {SCHEMA})"
                )
            if (
                await connection.execute(select(meta.c.value).where(meta.c.name == _SUMMED))
            ).scalar() is None:
                await _sum_up(connection)
                await connection.execute(insert(meta).values(name=_SUMMED, value="day, month, total"))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection whose changes become true together at the end, or not at all.

        Raises:
            StoreUnavailable: it does not answer, or is locked for seconds.
        """
        with self._used(), _answering():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that changes nothing; raises as `writing` does."""
        with self._used(), _answering():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def aclose(self) -> None:
        """Close all connections, those in use when they are given back; nobody gets one after it."""
        self._closed = True
        if self._in_use:
            self._unused = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await self._unused.wait()
        await self._engine.dispose()

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Count who has a connection: one that is given back after the end would stay open."""
        if self._closed:
            raise StoreUnavailable("it is closed")
        self._check_file()
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1
            if self._unused is not None and not self._in_use:
                self._unused.set()

    def _check_file(self) -> None:
        """Refuse to go on with a file that is not at its place any more: others would read and write another one."""
        if self._file is None or self.path is None:
            return
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._file:
            raise StoreUnavailable(
                "its file is not at its place any more: put it back, or start the server anew with another"
            )

    def _look_at_file(self) -> None:
        """Make file and folder for their owner alone, before a database would make them for everybody."""
        path = self.path
        if path is None:
            raise ConfigurationError("server.store_url: workers share a file; memory is of one connection")
        try:
            if self._make:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | (os.O_CREAT if self._make else 0), 0o600)
            try:
                found = os.fstat(file)
                if found.st_mode & 0o077:
                    os.fchmod(file, 0o600)
                self._file = (found.st_dev, found.st_ino)
                begins = os.read(file, len(_SQLITE))
            finally:
                os.close(file)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ConfigurationError(_unusable(path, error) if self._make else self._absence()) from None
        except OSError as error:
            raise ConfigurationError(_unusable(path, error)) from None
        if not begins and not self._make:
            raise ConfigurationError(self._absence())
        if begins not in (b"", _SQLITE):
            raise ConfigurationError(f"server.store_url: {path}: the file is damaged or no SQLite database")

    def _absence(self) -> str:
        """Say that no store is at its place."""
        return (
            f"server.store_url: there is no store at {self.path or self.shown}: name the one of the server "
            "(COPYKIT_STORE_URL, COPYKIT_DATA_DIR); copykit run and copykit keys create make one"
        )

    def _made(self) -> AsyncEngine:
        try:
            if self.kind == "sqlite":
                engine = create_async_engine(self._url, connect_args={"timeout": 2.0}, pool_timeout=1.0)
                event.listen(engine.sync_engine, "connect", _prepare)
                event.listen(engine.sync_engine, "begin", _begin)
                return engine
            import_module("asyncpg")  # sqlalchemy loads it by the address
            bounds = {"statement_timeout": "5000", "lock_timeout": "1000"}
            return create_async_engine(
                self._url,
                pool_size=5,
                max_overflow=5,
                pool_timeout=1.0,
                pool_pre_ping=True,
                connect_args={
                    "timeout": 3.0,
                    "command_timeout": 6.0,
                    "server_settings": {**bounds, "idle_in_transaction_session_timeout": "10000"},
                },
            )
        except ModuleNotFoundError as error:
            raise MissingExtra("the store in PostgreSQL", error.name or "asyncpg", "postgres") from None


async def _sum_up(connection: AsyncConnection) -> None:
    """Write under month and total, too, what was counted under the one period of the budget of its time.

    No two rows of an account tell of the same money then. Of one start of a server nobody knows the month.
    """
    sums: dict[tuple[str, str], int] = {}
    for account, period, spent in await connection.execute(
        select(money.c.account, money.c.period, money.c.spent)
    ):
        for wider in {TOTAL, month_of(period) or TOTAL}:
            sums[account, wider] = sums.get((account, wider), 0) + spent
    for (account, period), spent in sums.items():
        await put(connection, money, {"account": account, "period": period}, {"spent": spent})


def _has_store(connection: Connection) -> bool:
    return inspect(connection).has_table(meta.name)


def _unusable(path: Path, error: OSError) -> str:
    """Say that the file of a store cannot be had, and what to do."""
    user = f"user {os.getuid()}" if hasattr(os, "getuid") else "this user"
    return (
        f"server.store_url: {path}: {user} cannot write there ({error.strerror}); name a folder that it owns in "
        "COPYKIT_DATA_DIR, in a container a volume, or set COPYKIT_STORE_URL"
    )


async def raise_counter(connection: AsyncConnection, name: str) -> None:
    """Count up what workers look at, in the same transaction as the change that they are to see."""
    await put(connection, counters, {"name": name}, {"value": counters.c.value + 1}, first={"value": 1})


async def alone(connection: AsyncConnection, what: str) -> None:
    """Let nobody else who calls this with *what* go on until this transaction ends.

    In SQLite one that writes is alone anyhow; in PostgreSQL two may look before either has written.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"copykit {what}"))))


async def put(
    connection: AsyncConnection,
    into: Table,
    at: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    first: Mapping[str, Any] | None = None,
) -> None:
    """Write *values* into the row of *into* whose columns hold what *at* says.

    Args:
        first: what a new row holds where there is none; the *values* themselves if not given.
    """
    # the other one is imported where it is used: it would take three megabytes of every server over a file
    kind = connection.dialect.name
    dialect = sqlite if kind == "sqlite" else import_module(f"sqlalchemy.dialects.{kind}")
    row = dialect.insert(into).values(**at, **(values if first is None else first))
    await connection.execute(row.on_conflict_do_update(index_elements=list(at), set_=dict(values)))


@contextmanager
def _answering() -> Iterator[None]:
    """Say of whatever a database or its driver raises that the store did not answer, and nothing of its words."""
    try:
        yield
    except CopykitError:
        raise
    except Exception as error:
        of_driver = type(error).__module__.partition(".")[0] in _LIBRARIES
        if not of_driver and not isinstance(error, SQLAlchemyError | OSError | TimeoutError):
            raise
        kind = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
        if kind.startswith(_DAMAGED):
            raise StoreUnavailable(
                "the store's file is damaged: stop all servers and restore a backup"
            ) from error
        raise StoreUnavailable(f"the store did not answer: {type(error).__name__}") from error


def _prepare(connection: Any, record: object) -> None:
    """Set up one SQLite connection: commits on disk, waits for others, and transactions begun by us."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=2000")
    cursor.close()


def _begin(connection: Any) -> None:
    """Take the writer's place at once: one that begins by reading could not get it later."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
