"""How upload files write their cells: exactly what they are given."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import IO

__all__ = ["TableWriter"]


class TableWriter:
    """Rows of text to UTF-8 bytes, quoted as in RFC 4180.

    A cell with the delimiter, a quote or a line break is quoted, any other is written as it is: nothing is
    escaped, shortened or trimmed, so reading the file back with the csv module gives the same texts.
    """

    def __init__(
        self, stream: IO[bytes], header: Sequence[str], *, delimiter: str = ",", bom: bool = False
    ) -> None:
        self._stream = stream
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer, delimiter=delimiter, lineterminator="\r\n")
        if bom:
            stream.write(b"\xef\xbb\xbf")
        self.header = tuple(header)
        self._send(self.header)

    def row(self, cells: dict[str, str]) -> None:
        """Write one row; columns without a cell stay empty, which uploads read as "no change"."""
        if unknown := cells.keys() - set(self.header):
            raise KeyError(f"no such column: {', '.join(sorted(unknown))}")
        self._send([cells.get(name, "") for name in self.header])

    def _send(self, cells: Sequence[str]) -> None:
        self._writer.writerow(cells)
        self._stream.write(self._buffer.getvalue().encode())
        self._buffer.seek(0)
        self._buffer.truncate()
