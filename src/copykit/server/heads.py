"""The head of a request as it stands on the wire: what two readers could frame in two ways is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["CHUNKED", "SPOILT", "BadHead", "Head", "is_spoilt", "read_head"]

CHUNKED = -1
"""Length of a body that says itself where it ends."""

SPOILT = "a line ends by CR or LF alone, or holds a control character"

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TARGET = re.compile(rb"[\x21-\x7e]+\Z")
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")
_LONGEST = 15
"""Digits of a length: more than any disk holds."""


class BadHead(Exception):
    """A head that is not read further; its text is what the client is told."""

    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Head:
    """A head that every reader understands alike."""

    data: bytes
    """What the parser is given: the bytes as they came, without a wish for another protocol."""
    body: int
    """Bytes that follow, or `CHUNKED`."""


def is_spoilt(data: bytes | bytearray) -> bool:
    """Say whether *data*, the beginning of a head, holds a control character or a CR or LF without the other."""
    both = data.count(b"\r\n")
    torn = data.count(b"\n") != both or data.count(b"\r") - data.endswith(b"\r") != both
    return torn or _CONTROL.search(data) is not None


def read_head(data: bytes, most_fields: int) -> Head:
    r"""Read what frames a message out of *data*, which ends with the first empty line.

    Stricter than the parsers behind it, and the same for each of them: one ``Host``, one ``Content-Length`` or one
    ``Transfer-Encoding: chunked`` and never both, no folded lines, no control characters, no lone CR or LF
    (RFC 9112 sections 2.2, 3.2, 5.2, 6.1 and 6.3, each taken at its strictest).

    Args:
        data: a whole head; its size is the caller's concern.
        most_fields: header lines.

    Raises:
        BadHead: 400 or, for too many fields, 431.
    """
    if is_spoilt(data):
        raise BadHead(400, SPOILT)
    if data.count(b"\n") - 2 > most_fields:
        raise BadHead(431, f"at most {most_fields} header fields")
    if b"\r\n " in data or b"\r\n\t" in data:
        raise BadHead(400, "a folded header line")
    first = data[: data.index(b"\r\n")].split(b" ")
    if len(first) != 3 or first[2] not in _VERSIONS or not _TARGET.match(first[1]) or first[0] == b"CONNECT":
        raise BadHead(400, "not a request of HTTP/1.1")
    lower = data.lower()
    hosts = lower.count(b"\r\nhost:")
    if hosts > 1 or (hosts == 0 and first[2] == b"HTTP/1.1"):
        raise BadHead(400, "exactly one Host is wanted")
    body = _body(lower, chunks=first[2] == b"HTTP/1.1")
    if b"\r\nupgrade:" in lower:  # there is no other protocol here, and parsers stop reading at such a wish
        kept = [line for line in data.split(b"\r\n") if not line.lower().startswith(b"upgrade:")]
        data = b"\r\n".join(kept)
    return Head(data, body)


def _body(lower: bytes, *, chunks: bool) -> int:
    lengths, codings = lower.count(b"\r\ncontent-length:"), lower.count(b"\r\ntransfer-encoding:")
    if lengths + codings > 1:
        raise BadHead(400, "the length of the body is said twice")
    if codings:
        if not chunks or _value(lower, b"transfer-encoding") != b"chunked":
            raise BadHead(400, "Transfer-Encoding: chunked, in HTTP/1.1, is the only one read here")
        return CHUNKED
    if not lengths:
        return 0
    length = _value(lower, b"content-length")
    if not length.isdigit() or len(length) > _LONGEST:
        raise BadHead(400, "Content-Length is no whole number")
    return int(length)


def _value(lower: bytes, name: bytes) -> bytes:
    begin = lower.index(b"\r\n" + name + b":") + len(name) + 3
    return lower[begin : lower.index(b"\r\n", begin)].strip(b" \t")
