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

from copykit.errors import InvalidRequest, counted, nearest_names

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
_MARK, _MARKS_16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_LEGACY = "cp1252"
_STRAY = re.compile(rb"[\x81\x8d\x8f\x90\x9d]|(?<![A-Za-z\xc0-\xfe])\xff(?![A-Za-z\xc0-\xfe])")
"""Bytes that no Windows-1252 text holds; 0xFF alone is damage, in a word it may be a French name's."""


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
    notes: tuple[str, ...] = ()
    """What had to be decided to read it, for the row's results."""


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
    odd_lines: tuple[int, ...] = field(default=())
    """The few physical lines whose bytes are not in the encoding of all others, and were read as Windows-1252."""


class Lines:
    """Physical lines of a byte stream with their numbers; text is None where the bytes are not in the
    encoding."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self.number = 0
        self._stream = _Reencoded(stream, encoding) if encoding.startswith("utf-16") else stream
        self._legacy = encoding == _LEGACY

    def __iter__(self) -> Iterator[tuple[int, str | None]]:
        for raw in self.raw():
            yield self.number, None if raw is None else self._decoded(raw)

    def _decoded(self, raw: bytes) -> str | None:
        try:
            return raw.decode()  # also where the file is older: what is UTF-8 is hardly ever anything else
        except UnicodeDecodeError:
            return raw.decode(_LEGACY) if self._legacy and not _STRAY.search(raw) else None

    def raw(self) -> Iterator[bytes | None]:
        """Give the bytes of each line, None for one that is too long; `number` is the line's."""
        for raw in self._cut():
            self.number += 1
            yield raw.removeprefix(_MARK) if raw and self.number == 1 else raw

    def _cut(self) -> Iterator[bytes | None]:
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
        head = _head(path, compressed)
        text = _text(path, compressed, head)
    except DAMAGED as error:
        raise InvalidRequest("in", str(path), f"cannot be read: {error}") from error
    start = head.removeprefix(_MARK).decode(text.encoding, "replace")
    if not start.strip("\ufeff \t\r\n"):
        raise InvalidRequest("in", str(path), "the file holds no rows")
    found, delimiter = _format(start, format, str(path))
    decided = () if found == "merchant-xml" else text.notes  # XML declares its own encoding
    odd = () if found == "merchant-xml" else text.odd_lines
    notes = (*text.damage, *decided)
    return Source(path, found, text.encoding, compressed, delimiter, size, digest, notes, odd)


def open_bytes(source: Source) -> io.BufferedReader:
    """Open *source* for reading, unpacked; a damaged file gives all that can be read before it raises."""
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


def _open(path: Path, compressed: bool) -> io.BufferedReader:
    if compressed:
        return io.BufferedReader(_Unpacked(path), 1 << 18)
    return path.open("rb")


class _Unpacked(io.RawIOBase):
    """A gzip file in small pieces: what was unpacked before the damage is handed over, then the error raised.

    `gzip.GzipFile` itself drops up to a whole buffer when it comes to the damage while filling one.
    """

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed with this object

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._file.read1(min(len(buffer), 1 << 13))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _digest(path: Path) -> tuple[int, str, bool]:
    import hashlib

    digest, size, magic = hashlib.sha256(), 0, b""
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            magic = magic or block[:2]
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest(), magic == b"\x1f\x8b"


def _head(path: Path, compressed: bool) -> bytes:
    """Give the first bytes, as many as there are before the end or the damage."""
    head = b""
    with _open(path, compressed) as stream:
        while len(head) < _SNIFF:
            try:
                block = stream.read1(_SNIFF - len(head))
            except DAMAGED:
                if head:
                    break
                raise
            if not block:
                break
            head += block
    if head.startswith(b"PK\x03\x04"):
        raise InvalidRequest("in", str(path), "a spreadsheet or an archive; export it as CSV first")
    if not head.startswith(_MARKS_16) and head.count(b"\0") * 4 > len(head):
        raise InvalidRequest("in", str(path), "binary data, or UTF-16 without a byte order mark")
    return head


@dataclass(frozen=True, slots=True)
class _Text:
    """What one walk over all lines found."""

    encoding: str
    notes: tuple[str, ...] = ()
    odd_lines: tuple[int, ...] = ()
    damage: tuple[str, ...] = ()


def _text(path: Path, compressed: bool, head: bytes) -> _Text:
    """Find the encoding: a byte order mark decides; else UTF-8 unless most lines beyond ASCII are not.

    A file that is ASCII but for a few lines (one, or one in a hundred) may be either: those lines are read as
    Windows-1252 and named, so that their results can say so.
    """
    if head.startswith(_MARKS_16):
        return _Text("utf-16", ("encoding: UTF-16, by its byte order mark",))
    good, legacy = 0, 0
    damage: tuple[str, ...] = ()
    odd: list[int] = []
    with _open(path, compressed) as stream:
        lines = Lines(stream, "utf-8")
        try:
            for raw in lines.raw():
                if raw is None or raw.isascii():
                    continue
                if _is_utf8(raw):
                    good += 1
                elif not _STRAY.search(raw):
                    legacy += 1
                    if legacy <= _MOST_ODD:
                        odd.append(lines.number)
        except DAMAGED as error:
            damage = (
                f"the file is damaged in line {lines.number + 1}: {error}; what stands before it is read",
            )
    if legacy <= good + 1 and (good or not legacy):
        return _Text("utf-8", damage=damage)
    if legacy > max(1, min(lines.number // 100, _MOST_ODD)):
        return _Text(_LEGACY, ("encoding: not UTF-8; read as Windows-1252",), damage=damage)
    shown = ", ".join(map(str, odd[:5])) + (", …" if legacy > 5 else "")
    note = f"encoding: not UTF-8 in {legacy} of {counted(lines.number, 'line')} ({shown}), read there as Windows-1252"
    return _Text(_LEGACY, (note,), tuple(odd), damage)


_MOST_ODD = 1000
"""Lines that are remembered one by one."""


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
