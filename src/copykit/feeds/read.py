"""The rows of a source, whatever its format."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from .read_csv import read_csv
from .read_jsonl import read_jsonl
from .read_merchant import read_merchant_xml
from .read_shopify import read_shopify
from .rows import BadRow, Row, Source

__all__ = ["count_rows", "read_rows"]

_READERS: dict[str, Callable[[Source], Iterator[Row | BadRow]]] = {
    "jsonl": read_jsonl,
    "shopify": read_shopify,
    "merchant-xml": read_merchant_xml,
}


def read_rows(source: Source) -> Iterator[Row | BadRow]:
    """Give the rows of *source* in order, numbered from 1, one in memory at a time."""
    rows = _READERS.get(source.format, read_csv)(source)
    return _noted(rows, source.odd_lines) if source.odd_lines else rows


def _noted(rows: Iterator[Row | BadRow], odd_lines: Sequence[int]) -> Iterator[Row | BadRow]:
    """Let the rows that hold one of *odd_lines* say so; a row holds all lines before the next row's."""
    waiting = next(rows, None)
    while waiting is not None:
        row, waiting = waiting, next(rows, None)
        place = bisect_left(odd_lines, row.line)
        held = place < len(odd_lines) and (waiting is None or odd_lines[place] < waiting.line)
        yield replace(row, notes=(*row.notes, _ODD)) if held and isinstance(row, Row) else row


_ODD = "the row is not UTF-8; it was read as Windows-1252"


def count_rows(source: Source) -> int:
    """Count the records of *source*, readable or not, by reading it once."""
    return sum(1 for _ in read_rows(source))
