"""Google Merchant feeds as XML: RSS 2.0 and Atom with the ``g:`` namespace. (As TSV they are tables.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from .rows import DAMAGED, MAX_CELL, BadRow, Row, Source, open_bytes, own_id

__all__ = ["read_merchant_xml"]

_BLOCK = 1 << 16
_ITEM = {"item", "entry"}
_MAX_FIELDS = 1000


class _DoctypeRefused(Exception):
    """A document type declaration: the only way to define entities, and no feed needs one."""


def read_merchant_xml(source: Source) -> Iterator[Row | BadRow]:
    """Give one row per ``item`` (RSS) or ``entry`` (Atom); repeated elements become lists.

    Names lose their namespace (``g:price`` is ``price``). A document type declaration is refused, so entity
    expansion cannot happen. XML that breaks ends the reading there: what stood before it is given.
    """
    collector = _Collector()
    number = 0
    with open_bytes(source) as stream:
        problem: str | None = None
        while problem is None:
            try:
                block = stream.read1(_BLOCK)
                collector.parser.Parse(block, not block)
            except _DoctypeRefused:
                problem = "a document type declaration (<!DOCTYPE ...>) is not accepted in a feed"
            except expat.ExpatError as error:
                what = f"{expat.ErrorString(error.code)} (column {error.offset + 1})"
                problem = f"the XML breaks here, the rest is not read: {what}"
            except (
                *DAMAGED,
                ValueError,
                LookupError,
            ) as error:  # LookupError: the declared encoding is unknown
                problem = f"the rest cannot be read: {error}"
            for line, fields, reason in collector.take():
                number += 1
                given = own_id(fields, number)
                yield BadRow(number, line, reason, given) if reason else Row(number, line, given, fields)
            if problem is None and not block:
                return
    yield BadRow(number + 1, max(1, collector.parser.CurrentLineNumber), problem)


class _Collector:
    """Element events in, finished items out; holds one item and the text of one element."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._done: list[tuple[int, dict[str, Any], str]] = []
        self._fields: dict[str, Any] | None = None
        self._line = 0
        self._depth = 0
        self._parts: list[str] = []
        self._size = 0
        self._reason = ""

    def take(self) -> list[tuple[int, dict[str, Any], str]]:
        """Hand over the items finished since the last call."""
        done, self._done = self._done, []
        return done

    def _doctype(self, *_: object) -> None:
        raise _DoctypeRefused

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if self._fields is None:
            if local in _ITEM:
                self._fields, self._depth, self._reason = {}, 0, ""
                self._line = self.parser.CurrentLineNumber
            return
        self._depth += 1
        if self._depth == 1:
            self._parts, self._size = [], 0
            if (
                local == "link"
                and attributes.get("href")
                and attributes.get("rel", "alternate") == "alternate"
            ):
                self._parts = [attributes["href"]]

    def _text(self, text: str) -> None:
        if self._fields is None or self._depth == 0:
            return
        self._size += len(text)
        if self._size <= MAX_CELL:
            self._parts.append(text)
        else:
            self._parts = []
            self._reason = self._reason or f"a value is longer than {MAX_CELL} characters"

    def _end(self, name: str) -> None:
        if self._fields is None:
            return
        local = name.rpartition(" ")[2]
        if self._depth == 0:
            self._done.append((self._line, self._fields, self._reason))
            self._fields = None
            return
        if self._depth == 1:
            self._keep(local, "".join(self._parts).strip())
        else:
            self._parts.append(" ")  # parts of a nested element (shipping: country, price) stay apart
        self._depth -= 1

    def _keep(self, name: str, value: str) -> None:
        assert self._fields is not None  # noqa: S101 - only called inside an item
        if not value:
            return
        if name not in self._fields:
            if len(self._fields) >= _MAX_FIELDS:
                self._reason = self._reason or f"more than {_MAX_FIELDS} elements in one item"
            else:
                self._fields[name] = value
        elif isinstance(self._fields[name], list):
            if len(self._fields[name]) < _MAX_FIELDS:
                self._fields[name].append(value)
        else:
            self._fields[name] = [self._fields[name], value]
