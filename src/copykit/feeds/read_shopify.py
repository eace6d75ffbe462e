"""Shopify product exports: one product over several lines that share its handle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .read_csv import read_records
from .rows import BadRow, Row, Source

__all__ = ["read_shopify"]

_PRICE, _COMPARE = "Variant Price", "Variant Compare At Price"


def read_shopify(source: Source) -> Iterator[Row | BadRow]:
    """Give one row per product; its id is the handle.

    Later lines of a product carry no title: they add variants and images. Option values are gathered
    (``Color``: ``Blue, Black``). The price stays only where all variants agree on it; where they differ,
    nothing may be said of it, and ``price_min`` and ``price_max`` hold the range.
    """
    product: _Product | None = None
    waiting: list[tuple[int, str]] = []
    number = 0
    for line, record in read_records(source):
        if isinstance(record, str):
            waiting.append((line, record))
            continue
        cells = {_canonical(name): value for name, value in record.items()}
        handle = str(cells.get("Handle", "")).strip()
        if product is not None and handle == product.handle:
            product.add(cells)
            continue
        for done in _flush(product, waiting, number):
            number = done.number
            yield done
        product, waiting = None, []
        if not handle:
            waiting.append((line, "no Handle"))
        elif not str(cells.get("Title", "")).strip():
            waiting.append((line, f"a line of {handle!r} without a Title, apart from its product"))
        else:
            product = _Product(handle, line, cells)
    yield from _flush(product, waiting, number)


def _flush(product: _Product | None, waiting: list[tuple[int, str]], number: int) -> Iterator[Row | BadRow]:
    if product is not None:
        number += 1
        yield Row(number, product.line, product.handle, product.fields())
    for line, reason in waiting:
        number += 1
        yield BadRow(number, line, reason)


_NAMES = {
    name.lower(): name
    for name in (
        "Handle",
        "Title",
        _PRICE,
        _COMPARE,
        *(f"Option{n} {part}" for n in (1, 2, 3) for part in ("Name", "Value")),
    )
}


def _canonical(name: str) -> str:
    return _NAMES.get(name.lower(), name)


class _Product:
    """The lines of one handle, reduced to what a brief can use."""

    def __init__(self, handle: str, line: int, cells: dict[str, Any]) -> None:
        self.handle, self.line, self._cells = handle, line, cells
        self._options: dict[str, dict[str, None]] = {}
        self._prices: set[str] = set()
        self._compares: set[str] = set()
        self._names = [str(cells.get(f"Option{n} Name", "")).strip() for n in (1, 2, 3)]
        self.add(cells)

    def add(self, cells: dict[str, Any]) -> None:
        """Take the variant of one line."""
        for place, name in enumerate(self._names, 1):
            value = str(cells.get(f"Option{place} Value", "")).strip()
            if name and value and value.lower() != "default title":
                self._options.setdefault(name, {})[value] = None
        if price := str(cells.get(_PRICE, "")).strip():
            self._prices.add(price)
            self._compares.add(str(cells.get(_COMPARE, "")).strip())

    def fields(self) -> dict[str, Any]:
        """Give the product's cells, its options gathered and its price only where it is one."""
        fields = {name: value for name, value in self._cells.items() if not name.startswith("Option")}
        for name, values in self._options.items():
            fields[f"Option {name}"] = ", ".join(values)
        if len(self._prices) > 1:
            fields[_PRICE] = fields[_COMPARE] = ""
            try:
                amounts = sorted(self._prices, key=float)
            except ValueError:
                return fields
            fields["price_min"], fields["price_max"] = amounts[0], amounts[-1]
        elif len(self._compares) > 1:
            fields[_COMPARE] = ""
        return fields
