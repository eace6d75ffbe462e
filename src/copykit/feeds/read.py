"""The rows of a source, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    return _READERS.get(source.format, read_csv)(source)


def count_rows(source: Source) -> int:
    """Count the records of *source*, readable or not, by reading it once."""
    return sum(1 for _ in read_rows(source))
