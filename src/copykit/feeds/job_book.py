"""Which batch jobs a run has begun, and what came back: a file beside the result, whole after any kind of death.

Answers come in any order and lines are written in that of the input, so they are kept by key in one SQLite file rather
than in memory. A job is noted before it is sent and its id after it, so that a death in between is seen.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from copykit.errors import InvalidRequest

__all__ = ["CANCEL_ASKED", "BookedJob", "Item", "JobBook", "book_path"]

CANCEL_ASKED = "its owner asked to cancel it"
"""Remark on an open job that is known to end so."""

_VERSION = "1"
_PICO = 10**12
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY, label TEXT NOT NULL, id TEXT, state TEXT NOT NULL, requests INTEGER NOT NULL,
  begun REAL NOT NULL, told TEXT NOT NULL DEFAULT '', answered INTEGER NOT NULL DEFAULT 0,
  strangers INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE items (
  key TEXT PRIMARY KEY, job INTEGER, held INTEGER NOT NULL DEFAULT 0, answer BLOB, used INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX items_of_a_job ON items (job, used, held);
"""

State = Literal["intended", "submitted", "collected", "failed", "cancelled"]


def book_path(journal: Path) -> Path:
    """Give where the book of the result at *journal* lies."""
    return journal.with_name(journal.name + ".jobs")


@dataclass(frozen=True, slots=True)
class BookedJob:
    """One job of the run."""

    number: int
    """Counted from 1."""
    label: str
    id: str | None
    """The provider's; None where nobody noted it."""
    state: State
    """``intended``: perhaps sent; ``submitted``: open; the others are over."""
    requests: int
    begun: float
    """Seconds of the epoch."""
    told: str
    """A remark: the provider's reason, of one that failed."""
    answered: int
    """Requests whose answer is here."""
    strangers: int
    """Answers to nothing that was asked, or asked again; they were left aside."""


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a job."""

    job: int | None
    """None if it is not to be part of any."""
    held_usd: float
    """What it cost, or may have cost at most."""
    answer: bytes | None
    used: bool
    """Whether a line has its answer and its cost."""


class JobBook:
    """The jobs of one run, in one file.

    Args:
        path: made when it is not there.
        target: ``name:model`` that all jobs ask.

    Raises:
        InvalidRequest: what lies at *path* is another run's, or no such file.
    """

    def __init__(self, path: Path, *, target: str = "") -> None:
        self.path = path
        fresh = not path.exists() or path.stat().st_size == 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        try:
            self._base.execute("PRAGMA synchronous = FULL")
            if fresh:
                with self._together():
                    for statement in filter(str.strip, _TABLES.split(";")):
                        self._base.execute(statement)
                    rows = {"version": _VERSION, "target": target, "run": os.urandom(8).hex()}
                    rows["secret"] = os.urandom(32).hex()
                    self._base.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
            self._meta = dict(self._base.execute("SELECT name, value FROM meta"))
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise InvalidRequest("out", str(path), f"no book of batch jobs: {error}") from None
        if self._meta.get("version") != _VERSION:
            self._base.close()
            raise InvalidRequest("out", str(path), "a book of batch jobs of another version")
        if target and target != self.target:
            self._base.close()
            raise InvalidRequest("out", str(path), f"its batch jobs were for {self.target}, not for {target}")

    @property
    def target(self) -> str:
        """Who is asked by the jobs: ``name:model``."""
        return str(self._meta["target"])

    @property
    def secret(self) -> bytes:
        """Random, for delimiters that nobody can guess and that are the same after a restart."""
        return bytes.fromhex(self._meta["secret"])

    # jobs

    def intend(self, items: Sequence[tuple[str, float]]) -> BookedJob:
        """Note a job that is about to be sent: key and worst cost in dollars of each request."""
        with self._together():
            (before,) = self._base.execute("SELECT coalesce(max(number), 0) FROM jobs").fetchone()
            number = before + 1
            label = f"copykit-{self._meta['run']}-{number}"
            self._base.execute(
                "INSERT INTO jobs (number, label, state, requests, begun) VALUES (?, ?, 'intended', ?, ?)",
                (number, label, len(items), time.time()),
            )
            self._base.executemany(
                "INSERT INTO items (key, job, held) VALUES (?, ?, ?)",
                ((key, number, round(usd * _PICO)) for key, usd in items),
            )
        return self.job(number)

    def submitted(self, number: int, job_id: str) -> None:
        """Note under which id a job was begun."""
        self._base.execute("UPDATE jobs SET id = ?, state = 'submitted' WHERE number = ?", (job_id, number))

    def withdraw(self, number: int) -> None:
        """Forget a job that never came about; its requests may be part of another."""
        with self._together():
            self._base.execute("DELETE FROM items WHERE job = ?", (number,))
            self._base.execute("DELETE FROM jobs WHERE number = ?", (number,))

    def over(self, number: int, state: State, told: str = "") -> None:
        """Note that nothing more will come of a job.

        Of one that failed or was cancelled, the requests without an answer may be part of another.
        """
        with self._together():
            self._base.execute(
                "UPDATE jobs SET state = ?, told = ? WHERE number = ?", (state, told[:400], number)
            )
            if state != "collected":
                self._base.execute("DELETE FROM items WHERE job = ? AND answer IS NULL", (number,))

    def tell(self, number: int, told: str) -> None:
        """Note a remark on a job."""
        self._base.execute("UPDATE jobs SET told = ? WHERE number = ?", (told[:400], number))

    def job(self, number: int) -> BookedJob:
        """Give one job."""
        return next(job for job in self.jobs() if job.number == number)

    def jobs(self, *states: State) -> list[BookedJob]:
        """Give the jobs in the order in which they were begun, all or those in one of *states*."""
        rows = self._base.execute(
            "SELECT number, label, id, state, requests, begun, told, answered, strangers FROM jobs ORDER BY number"
        )
        jobs = [BookedJob(*row) for row in rows]
        return [job for job in jobs if not states or job.state in states]

    # requests and answers

    def item(self, key: str) -> Item | None:
        """Give the request with *key*; None if it is not known."""
        row = self._base.execute("SELECT job, held, answer, used FROM items WHERE key = ?", (key,)).fetchone()
        return None if row is None else Item(row[0], row[1] / _PICO, row[2], bool(row[3]))

    def leave(self, key: str) -> None:
        """Note that a request is not to be part of a job."""
        self._base.execute("INSERT OR IGNORE INTO items (key) VALUES (?)", (key,))

    def open_jobs_of(self, keys: Iterable[str]) -> set[int]:
        """Give the numbers of the open jobs that hold one of *keys*."""
        open_jobs = {job.number for job in self.jobs("submitted")}
        if not open_jobs:
            return set()
        look = "SELECT job FROM items WHERE key = ?"
        found = (self._base.execute(look, (key,)).fetchone() for key in keys)
        return open_jobs & {row[0] for row in found if row is not None}

    def keep(self, number: int, answers: Sequence[tuple[str, bytes, float | None]]) -> int:
        """Keep answers of a job, with what each cost if that is known; the first of a key counts.

        Returns:
            How many were new and asked for.
        """
        kept = 0
        with self._together():
            for key, answer, usd in answers:
                changed = self._base.execute(
                    "UPDATE items SET answer = ?, held = coalesce(?, held) "
                    "WHERE key = ? AND job = ? AND answer IS NULL",
                    (answer, None if usd is None else round(usd * _PICO), key, number),
                )
                kept += changed.rowcount
            self._base.execute("UPDATE jobs SET answered = answered + ? WHERE number = ?", (kept, number))
        return kept

    def had_strangers(self, number: int, count: int) -> None:
        """Note how many answers of a job were to nothing that was asked, or came twice."""
        self._base.execute("UPDATE jobs SET strangers = ? WHERE number = ?", (count, number))

    def use(self, keys: Iterable[str]) -> None:
        """Note that lines have the answers of *keys*, and their cost."""
        with self._together():
            self._base.executemany("UPDATE items SET used = 1 WHERE key = ?", ((key,) for key in keys))

    def held_usd(self, number: int) -> float:
        """Give what the requests of a job cost, or may cost at most, that no line has yet."""
        (held,) = self._base.execute(
            "SELECT coalesce(sum(held), 0) FROM items WHERE job = ? AND used = 0", (number,)
        ).fetchone()
        return float(held) / _PICO

    # the file

    def close(self) -> None:
        """Close the file; what was noted stays."""
        self._base.close()

    def remove(self) -> None:
        """Close the file and take it away: every line is written."""
        self.close()
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _together(self) -> Iterator[None]:
        with closing(self._base.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
