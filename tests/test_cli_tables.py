"""Tables of the command line: words stay whole at every width, and nothing is lost."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from copykit.cli.table import Table

ROWS = (
    ("89c3dd70", "acme", "the shop", "generate read", "active", "2026-11-22 10:04", "100/minute"),
    ("0a1b2c3d", "", "", "generate batch read", "revoked", "2026-01-02 03:04", ""),
)
HEADS = ("id", "tenant", "name", "scopes", "state", "made", "bounds")


def keys() -> Table:
    """Give a table as wide as that of keys."""
    table = Table(*HEADS, title="keys")
    for row in ROWS:
        table.add_row(*row)
    return table


def drawn(table: Table, width: int, *, terminal: bool = True) -> str:
    """Give what a terminal, or a file, of *width* would hold."""
    sink = io.StringIO()
    table.show(Console(file=sink, width=width, force_terminal=terminal, color_system=None))
    return sink.getvalue()


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 120, 200])
def test_every_word_is_whole_and_no_line_too_long(width: int) -> None:
    """Ids, dates, scopes and bounds of all rows are found as they are, on a terminal of any width."""
    shown = drawn(keys(), width)
    for row in ROWS:
        for cell in row:
            assert all(word in shown for word in cell.split())
    assert max(len(line) for line in shown.splitlines()) <= width


def test_with_less_room_the_lines_go_and_then_the_columns() -> None:
    """Wide enough: a drawn table; less: columns without lines; too narrow for its words: a block for each key."""
    assert "┃ id" in drawn(keys(), 120)
    bare = drawn(keys(), 72)
    assert "┃" not in bare
    assert re.search(r"^id +tenant +name", bare, re.MULTILINE)
    blocks = drawn(keys(), 50)
    assert re.search(r"^89c3dd70\n  tenant: acme   name: the shop", blocks, re.MULTILINE)
    assert "bounds: \n" not in blocks  # what is empty is not told


def test_what_no_terminal_reads_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe a row is a line, however long; where COLUMNS says a width, it is kept."""
    monkeypatch.delenv("COLUMNS", raising=False)
    table = keys()
    table.add_row("ffffffff", "acme", "long " * 40, "read", "active", "2026-11-22 10:04", "")
    lines = drawn(table, 80, terminal=False).splitlines()
    assert sum("long" in line for line in lines) == 1
    monkeypatch.setenv("COLUMNS", "80")
    assert max(len(line) for line in drawn(keys(), 80, terminal=False).splitlines()) <= 80


def test_a_table_is_drawn_alike_twice() -> None:
    """What was narrow once is as wide as ever on the next terminal."""
    table = keys()
    wide = drawn(table, 120)
    drawn(table, 80), drawn(table, 40)
    assert drawn(table, 120) == wide


def test_square_brackets_and_styles_are_kept_in_blocks() -> None:
    """A cell that is a Text is no markup; a row's own style is its block's."""
    table = Table("a", "b", "c")
    table.add_row(Text("[x]"), Text("[bold]" * 5), "y" * 30, style="red")
    shown = drawn(table, 40)
    assert "[x]\n" in shown
    assert "[bold]" * 5 in shown


def test_a_table_without_headings_folds() -> None:
    """It has nothing to name lines with; what it holds is all there."""
    table = Table(show_header=False)
    table.add_row("a" * 30, "b" * 30)
    shown = drawn(table, 40)
    assert (shown.count("a"), shown.count("b")) == (30, 30)
