"""Tables that lose nothing and tear no word: columns share the width by what they hold, or every row is a block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.styled import Styled
from rich.table import Table as _Table
from rich.text import Text

__all__ = ["Table"]

_ENDLESS = 100_000
"""Cells of a line that nothing bounds."""
_WORD = 40
"""Cells up to which a word is not torn: longer than ids, dates and names of models, shorter than most addresses."""
_FEW = 12
"""Cells that do for a column whose words may be torn: copy of languages without spaces is one long word."""


class Table(_Table):
    """A rich table whose words stay whole.

    Where the terminal is too narrow for all columns side by side, each takes what its longest word needs and a fair
    part of the rest. Where the words do not fit, the lines between columns go; where they do not fit even so, each row
    is a block of lines under its first cell. A table without headings has nothing to name what stands in such lines
    with: its words are torn then, and nothing is lost either.
    """

    def __init__(self, *headers: str, **options: Any) -> None:
        self._torn: set[int] = set()
        super().__init__(*headers, **options)

    def add_column(self, *args: Any, **options: Any) -> None:
        """Add a column, as rich does; the words of one that is given ``overflow="fold"`` may be torn."""
        if options.setdefault("overflow", None) == "fold":
            self._torn.add(len(self.columns))
        options["overflow"] = options["overflow"] or "fold"
        super().add_column(*args, **options)

    def show(self, console: Console) -> None:
        """Print it; where no terminal is, as wide as it is (or as ``COLUMNS`` says): what reads it reads lines."""
        if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
            self.width = Measurement.get(console, _endless(console.options), self).maximum
        console.print(self, crop=False)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row, as rich does; columns that it makes by itself fold as well, where rich would cut."""
        super().add_row(*cells, **options)
        for column in self.columns:
            column.overflow = "fold"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it within the width of *options*."""
        wants, needs = self._wants(console, _endless(options))
        rest = options.max_width - sum(needs)
        if self.width is not None or self._lines(console, options) + sum(wants) <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        before = self.box, self.padding, self.pad_edge, [column.width for column in self.columns]
        if self._lines(console, options) > rest:
            self.box, self.padding, self.pad_edge = None, (0, 1, 0, 0), False
        lines = self._lines(console, options)
        if lines > rest and self.show_header:
            drawn: RenderResult = self._blocks(console, options.max_width)
        else:
            if lines <= rest:
                for column, width in zip(
                    self.columns, _shared(wants, needs, options.max_width - lines), strict=True
                ):
                    column.width = width
            drawn = list(super().__rich_console__(console, options))
        self.box, self.padding, self.pad_edge, widths = before
        for column, old in zip(self.columns, widths, strict=True):
            column.width = old
        yield from drawn

    def _lines(self, console: Console, options: ConsoleOptions) -> int:
        """Give what lines and spaces between columns take."""
        wants, _ = self._wants(console, _endless(options))
        return Measurement.get(console, _endless(options), self).maximum - sum(wants)

    def _wants(self, console: Console, options: ConsoleOptions) -> tuple[list[int], list[int]]:
        """Give what each column takes as it is, and what its longest word takes."""
        wants, needs = [], []
        for at, column in enumerate(self.columns):
            cells = [*([column.header] if self.show_header else []), *column.cells]
            sizes = [Measurement.get(console, options, cell) for cell in cells] or [Measurement(1, 1)]
            want = max(size.maximum for size in sizes)
            need = min(max(size.minimum for size in sizes), _FEW if at in self._torn else _WORD)
            wants.append(want)
            needs.append(want if column.no_wrap else need)
        return wants, needs

    def _blocks(self, console: Console, width: int) -> Iterator[RenderableType]:
        """Give every row as a block: its first cell, and under it each other one that holds something, by its heading."""
        if self.title:
            yield _text(console, self.title, "table.title")
        heads = [_text(console, column.header).plain for column in self.columns]
        for row, *cells in zip(self.rows, *(column.cells for column in self.columns), strict=True):
            first, *others = (_text(console, cell) for cell in cells)
            lines = [Text()]
            for head, cell in zip(heads[1:], others, strict=True):
                if not cell.plain.strip():
                    continue
                if lines[-1] and lines[-1].cell_len + len(head) + cell.cell_len + 7 > width:
                    lines.append(Text())
                lines[-1].append("   " if lines[-1] else "").append(f"{head}: ", "dim").append_text(cell)
            first.stylize("bold")
            block = Group(*([first] if first.plain.strip() else []), Padding(Group(*lines), (0, 0, 0, 2)))
            yield Styled(block, row.style or "")
        if self.caption:
            yield _text(console, self.caption, "table.caption")


def _shared(wants: Sequence[int], needs: Sequence[int], room: int) -> list[int]:
    """Give each column its need, and of the rest as much as the others, or less where it wants less."""
    widths, rest = list(needs), room - sum(needs)
    short = sorted(range(len(wants)), key=lambda at: wants[at] - needs[at])
    for left, at in zip(range(len(short), 0, -1), short, strict=True):
        more = min(wants[at] - needs[at], rest // left)
        widths[at] += more
        rest -= more
    return widths


def _endless(options: ConsoleOptions) -> ConsoleOptions:
    return options.update(width=_ENDLESS)


def _text(console: Console, cell: RenderableType, style: str = "") -> Text:
    """Give *cell* as the text that it is: our tables hold texts, with markup or styled."""
    if isinstance(cell, Text):
        return Text(style=style).append_text(cell)
    return console.render_str(str(cell), style=style, highlight=False)
