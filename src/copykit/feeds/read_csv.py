"""Tables: comma, semicolon, tab or bar separated, quoted as in RFC 4180.

Records are cut here, not by the csv module, because one unclosed quote would otherwise swallow the rest of
the file: a record that does not close, or closes wrongly, is reported and reading goes on at its second line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from .rows import DAMAGED, MAX_CELL, BadRow, Lines, Row, Source, open_bytes, own_id

__all__ = ["read_csv", "read_records"]

_MAX_RECORD = 4 * MAX_CELL
"""Characters an open quote may run on before it counts as never closed."""


def read_csv(source: Source) -> Iterator[Row | BadRow]:
    """Give one row per record under the header; cells by column name, empty cells as empty text."""
    for number, (line, record) in enumerate(read_records(source), 1):
        if isinstance(record, str):
            yield BadRow(number, line, record)
        else:
            yield Row(number, line, own_id(record, number), record)


def read_records(source: Source) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Give (line, cells by column name) per record, or (line, what is wrong with it)."""
    with open_bytes(source) as stream:
        lines = Lines(stream, source.encoding)
        cutter = _Cutter(lines, source.delimiter)
        header: list[str] | None = None
        try:
            for line, cells in cutter:
                if header is None:
                    if isinstance(cells, str):
                        yield line, f"the header: {cells}"
                        return
                    if len(cells) == 1 and cells[0].lower().startswith("sep="):
                        continue
                    header = _header(cells)
                    cutter.width = len(header)
                elif isinstance(cells, str):
                    yield line, cells
                elif len(cells) == len(header):
                    yield line, _record(header, cells)
                else:
                    yield line, f"{len(cells)} cells where the header has {len(header)}"
        except DAMAGED as error:  # a torn gzip stream: what was read stands
            yield lines.number + 1, f"the file ends in the middle: {error}"


def _header(cells: list[str]) -> list[str]:
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"column {place}"
        again = sum(1 for other in names if other == name or other.startswith(f"{name} ("))
        names.append(f"{name} ({again + 1})" if again and name in names else name)
    return names


def _record(header: list[str], cells: list[str]) -> dict[str, Any] | str:
    for name, cell in zip(header, cells, strict=True):
        if len(cell) > MAX_CELL:
            return f"{name} is longer than {MAX_CELL} characters"
    return dict(zip(header, cells, strict=True))


class _Cutter:
    """Physical lines in, parsed records out, with a way back when a quote was never closed."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self.width = 0
        """Cells of the header; 0 until it is known."""
        self._fresh = iter(lines)
        self._again: deque[tuple[int, str | None]] = deque()
        self._delimiter = delimiter

    def _next(self) -> tuple[int, str | None] | None:
        return self._again.popleft() if self._again else next(self._fresh, None)

    def __iter__(self) -> Iterator[tuple[int, list[str] | str]]:
        while (got := self._next()) is not None:
            line, text = got
            if text is None:
                yield line, "text in another encoding than the rest of the file, or longer than a line may be"
            elif "\0" in text:
                yield line, "holds a NUL byte"
            elif text.strip("\r\n \ufeff") == "":
                continue
            elif '"' not in text:
                yield line, text.rstrip("\r\n").split(self._delimiter)
            else:
                yield line, self._quoted(line, text)

    def _quoted(self, line: int, text: str) -> list[str] | str:
        taken: list[tuple[int, str | None]] = []
        parts, size = [text], len(text)
        state = _scan(text, self._delimiter, False)
        while state is True:
            got = self._next()
            if got is None or got[1] is None or "\0" in got[1] or size > _MAX_RECORD:
                if got is not None:
                    taken.append(got)
                return self._back(text, taken, "a quote opens here and never closes")
            taken.append(got)
            parts.append(got[1])
            size += len(got[1])
            state = _scan(got[1], self._delimiter, True)
        if state is None:
            return self._back(text, taken, "a quoted cell goes on after its closing quote")
        cells = _cells("".join(parts).rstrip("\r\n"), self._delimiter)
        if self.width and len(cells) != self.width and any(self._whole(other) for _, other in taken):
            return self._back(text, taken, "a quote opens here and swallows the rows below")
        return cells

    def _back(self, text: str, taken: list[tuple[int, str | None]], reason: str) -> list[str] | str:
        self._again.extendleft(reversed(taken))
        # tab separated feeds are often written without any quoting: then the quotes are the copy's own
        plain = text.rstrip("\r\n").split(self._delimiter)
        if self._delimiter == "\t" and len(plain) == self.width:
            return plain
        return reason

    def _whole(self, text: str | None) -> bool:
        if text is None or _scan(text, self._delimiter, False) is not False:
            return False
        return len(_cells(text.rstrip("\r\n"), self._delimiter)) == self.width


def _scan(text: str, delimiter: str, inside: bool) -> bool | None:
    """Walk one line: True if it ends inside quotes, False if outside, None if a closing quote is
    misplaced."""
    text = text.rstrip("\r\n")
    place, end = 0, len(text)
    while True:
        if inside:
            close = text.find('"', place)
            if close < 0:
                return True
            place = close + 1
            if place < end and text[place] == '"':
                place += 1
                continue
            if place < end and text[place] != delimiter:
                return None
            inside = False
        elif place < end and text[place] == '"' and (place == 0 or text[place - 1] == delimiter):
            inside, place = True, place + 1
        else:
            cut = text.find(delimiter, place)
            if cut < 0:
                return False
            place = cut + 1


def _cells(text: str, delimiter: str) -> list[str]:
    """Cut a record that `_scan` found well formed; the csv module would stop at its global field size
    limit."""
    cells: list[str] = []
    place = 0
    while True:
        if text.startswith('"', place):
            close = place + 1
            while (close := text.find('"', close)) >= 0 and text.startswith('""', close):
                close += 2
            cells.append(text[place + 1 : close].replace('""', '"'))
            place = close + 1
        else:
            cut = text.find(delimiter, place)
            cells.append(text[place:] if cut < 0 else text[place:cut])
            place += len(cells[-1])
        if place >= len(text):
            return cells
        place += 1  # the delimiter; a trailing one opens a last, empty cell
