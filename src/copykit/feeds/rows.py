"""A catalogue file as a stream of rows, whatever its format, encoding or compression.

Readers hold one record at a time, so a file of a million products needs no more memory than one of ten.
A record that cannot be read becomes a `BadRow` with its line number; it never stops the reading.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from copykit.errors import InvalidRequest, nearest_names

__all__ = ["FORMATS", "BadRow", "Lines", "Row", "Source", "open_bytes", "open_source", "own_id"]

FORMATS = ("csv", "jsonl", "shopify", "merchant-tsv", "merchant-xml")
"""Input formats that a reader exists for."""

MAX_CELL = 1 << 20
"""Characters one value may have; a longer one makes its record a `BadRow`."""
MAX_LINE = 8 * MAX_CELL
"""Bytes one physical line may have before it is skipped."""

DAMAGED = (OSError, EOFError, zlib.error)
"""What reading raises in the middle of a torn or broken file."""

_SNIFF = 1 << 16


@dataclass(frozen=True, slots=True)
class Row:
    """One product of the input."""

    number: int
    """1-based number of the input record; a product over several lines counts once."""
    line: int
    """Physical line (1-based) on which the record starts."""
    id: str
    """The record's own id, or its number where it has none."""
    fields: dict[str, Any]
    """Values by column name: text, or what JSON gives."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be read."""

    number: int
    line: int
    reason: str
    """What is wrong, in words for the person who owns the file."""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of an input file before its rows are read."""

    path: Path
    format: str
    encoding: str
    """Codec of the text, found by its byte order mark or its bytes; XML names its own."""
    compressed: bool
    delimiter: str
    """Cell separator of a table, else empty."""
    size_bytes: int
    sha256: str
    """Of the file's bytes as they lie on the disk."""
    notes: tuple[str, ...] = field(default=())
    """What the reader had to decide and the user should know."""


class Lines:
    """Physical lines of a byte stream with their numbers; text is None where the bytes are not in the
    encoding."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self.number = 0
        self._stream = _Reencoded(stream, encoding) if encoding.startswith("utf-16") else stream
        self._encoding = "utf-8" if encoding.startswith("utf-16") else encoding
        self._carriage = False
        self._pieces: list[bytes] = []

    def __iter__(self) -> Iterator[tuple[int, str | None]]:
        first = True
        for raw in self._raw():
            self.number += 1
            if raw is None:
                yield self.number, None
                continue
            if first:
                raw, first = raw.removeprefix(b"\xef\xbb\xbf"), False
            try:
                yield self.number, raw.decode(self._encoding)
            except UnicodeDecodeError:
                yield self.number, None

    def _raw(self) -> Iterator[bytes | None]:
        while True:
            raw = self._stream.readline(MAX_LINE)
            if not raw:
                return
            if len(raw) >= MAX_LINE and not raw.endswith(b"\n"):
                while raw and not raw.endswith(b"\n"):  # drop the rest without keeping it
                    raw = self._stream.readline(MAX_LINE)
                yield None
            elif b"\r" in raw and raw.find(b"\r") < len(raw.rstrip(b"\r\n")):
                # a bare CR inside: old Macintosh files end lines so, and a cell may hold one
                yield from raw.splitlines(keepends=True)
            else:
                yield raw


class _Reencoded(io.RawIOBase):
    """UTF-16 bytes as UTF-8 lines, so that one line reader serves both."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-16", errors="replace", newline="")

    def readline(self, size: int | None = -1, /) -> bytes:
        line = self._text.readline(size if size is not None else -1)
        # halves of characters cannot be decoded: such a line is handed on as bytes that are not UTF-8 either
        return line.encode() if "\ufffd" not in line else b"\xff\n"


def open_source(path: str | Path, format: str | None = None) -> Source:
    """Look at *path* once: its format, encoding, size and digest.

    Reads the whole file in blocks (for the digest and the encoding) and keeps none of it.

    Raises:
        InvalidRequest: the file is missing, empty, damaged, or of no known format.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise InvalidRequest(
            "input-format",
            format,
            f"not one of {', '.join(FORMATS)}",
            nearest=nearest_names(format, FORMATS),
        )
    try:
        size, digest, compressed = _digest(path)
        head, encoding, notes = _encoding(path, compressed)
    except DAMAGED as error:
        raise InvalidRequest("in", str(path), f"cannot be read: {error}") from error
    if not head.strip():
        raise InvalidRequest("in", str(path), "the file holds no rows")
    found, delimiter = _format(head, format, str(path))
    return Source(path, found, encoding, compressed, delimiter, size, digest, tuple(notes))


def open_bytes(source: Source) -> IO[bytes]:
    """Open *source* for reading, unpacked."""
    return _open(source.path, source.compressed)


def own_id(fields: dict[str, Any], number: int) -> str:
    """Give the record's id by the usual names of such a column, else its number."""
    for name, value in fields.items():
        if (
            name.strip().lower().lstrip("\ufeff") in _ID_NAMES
            and isinstance(value, str | int)
            and value != ""
        ):
            return str(value).strip()
    return str(number)


_ID_NAMES = frozenset(
    {"id", "sku", "handle", "product_id", "productid", "product id", "item id", "item_id", "g:id"}
)


def _open(path: Path, compressed: bool) -> IO[bytes]:
    if compressed:
        return io.BufferedReader(gzip.open(path, "rb"), 1 << 18)
    return path.open("rb")


def _digest(path: Path) -> tuple[int, str, bool]:
    import hashlib

    digest, size, magic = hashlib.sha256(), 0, b""
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            magic = magic or block[:2]
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest(), magic == b"\x1f\x8b"


def _encoding(path: Path, compressed: bool) -> tuple[str, str, list[str]]:
    """Find the encoding: a byte order mark decides; else UTF-8 unless most lines beyond ASCII are not."""
    with _open(path, compressed) as stream:
        head = stream.read(_SNIFF)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return head.decode("utf-16", "replace"), "utf-16", ["encoding: UTF-16, by its byte order mark"]
        if head.startswith(b"PK\x03\x04"):
            raise InvalidRequest("in", str(path), "a spreadsheet or an archive; export it as CSV first")
        if head.count(b"\0") * 4 > len(head):
            raise InvalidRequest("in", str(path), "binary data, or UTF-16 without a byte order mark")
        good = bad = 0
        notes: list[str] = []
        rest = head
        while rest:
            if not rest.isascii():
                for line in rest.splitlines():
                    if not line.isascii():
                        if _is_utf8(line):
                            good += 1
                        else:
                            bad += 1
            try:
                rest = stream.read(1 << 18)
            except DAMAGED as error:
                notes.append(f"the file is damaged: {error}; what can be read before that is read")
                break
    # a block's edge can cut a character: at most one line in a quarter of a megabyte is misjudged
    if bad > good + 1 or (bad and not good):
        notes.append("encoding: not UTF-8; read as Windows-1252")
        return head.decode("cp1252", "replace"), "cp1252", notes
    return head.decode("utf-8-sig", "replace"), "utf-8", notes


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _format(head: str, asked: str | None, path: str) -> tuple[str, str]:
    text = head.lstrip("\ufeff \t\r\n")
    first = re.split(r"\r\n|\n|\r", text, maxsplit=1)[0]
    if asked in ("jsonl", "merchant-xml"):
        return asked, ""
    if asked is None and text.startswith("<"):
        return "merchant-xml", ""
    if asked is None and text.startswith("{"):
        return "jsonl", ""
    if asked is None and text.startswith("["):
        raise InvalidRequest("in", path, "a JSON array; write one JSON object per line (JSON Lines) instead")
    delimiter = _delimiter(first, path)
    names = {name.strip().strip('"').lower() for name in first.split(delimiter)}
    if asked is None:
        if "handle" in names and names & {"title", "body (html)"}:
            asked = "shopify"
        elif delimiter == "\t" and "id" in names and names & {"title", "structured_title"}:
            asked = "merchant-tsv"
    return asked or "csv", delimiter


def _delimiter(header: str, path: str) -> str:
    if match := re.fullmatch(r'"?sep=(.)"?', header.strip()):
        return match[1]
    outside = re.sub(r'"[^"]*"', "", header)
    counts = {mark: outside.count(mark) for mark in (",", ";", "\t", "|")}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ("\t" if path.endswith((".tsv", ".tsv.gz")) else ",")
