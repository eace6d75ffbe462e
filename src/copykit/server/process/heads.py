"""The head of a request as it stands on the wire: what two readers could frame in two ways is refused."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CHUNKED", "SPOILT", "BadHead", "Head", "is_spoilt", "read_head"]

CHUNKED = -1
"""Length of a body that says itself where it ends."""

SPOILT = "a line ends by CR or LF alone, or holds a control character"

_CONTROL = bytes({*range(32), 127} - {*b"\t\r\n"})
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_HEAD = re.compile(
    rb"(%b) ([!-~]++) HTTP/1\.([01])\r\n(?:%b:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n" % (_TOKEN, _TOKEN)
)
_FRAMING = re.compile(rb"\r\n(host|content-length|transfer-encoding|upgrade):[ \t]*+([^\r]*)", re.IGNORECASE)
_LONGEST = 15
"""Digits of a length: more than any disk holds."""


class BadHead(Exception):
    """A head that is not read further; its text is what the client is told."""

    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail
        super().__init__(detail)


class Head(NamedTuple):
    """A head that every reader understands alike."""

    data: bytes
    """What the parser is given: the bytes as they came, without a wish for another protocol."""
    body: int
    """Bytes that follow, or `CHUNKED`."""


def is_spoilt(data: bytes | bytearray) -> bool:
    """Say whether *data*, the beginning of a head, holds a control character or a CR or LF without the other."""
    both = data.count(b"\r\n")
    torn = data.count(b"\n") != both or data.count(b"\r") - data.endswith(b"\r") != both
    return torn or len(data.translate(None, _CONTROL)) != len(data)


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
    whole = _HEAD.fullmatch(data)
    if whole is None or whole[1] == b"CONNECT":
        raise BadHead(400, SPOILT if is_spoilt(data) else "not a request of HTTP/1.1")
    if data.count(b"\n") - 2 > most_fields:
        raise BadHead(431, f"at most {most_fields} header fields")
    newest = whole[3] == b"1"
    hosts, host, upgrades, lengths, codings = 0, b"", 0, [], []
    for name, value in _FRAMING.findall(data):
        size = len(name)  # each of the four has another one
        if size == 4:
            hosts += 1
            host = value
        elif size == 14:
            lengths.append(value)
        elif size == 17:
            codings.append(value)
        else:
            upgrades += 1
    if hosts > 1 or (hosts == 0 and newest):
        raise BadHead(400, "exactly one Host is wanted")
    if whole[2][:1] != b"/" and whole[2] != b"*" and not _is_of(whole[2], host):
        raise BadHead(400, "a path, or an address of this host, is wanted")
    if upgrades:  # there is no other protocol here, and parsers stop reading at such a wish
        kept = [line for line in data.split(b"\r\n") if not line.lower().startswith(b"upgrade:")]
        data = b"\r\n".join(kept)
    return Head(data, _body(lengths, codings, chunks=newest) if lengths or codings else 0)


def _is_of(target: bytes, host: bytes) -> bool:
    """Say whether *target*, an address, is of *host*: readers behind go by the one or by the other."""
    scheme, found, rest = target.partition(b"://")
    authority = re.split(rb"[/?#]", rest, maxsplit=1)[0].lower()
    return bool(found) and scheme.lower() in (b"http", b"https") and authority == host.strip(b" \t").lower()


def _body(lengths: list[bytes], codings: list[bytes], *, chunks: bool) -> int:
    if len(lengths) + len(codings) > 1:
        raise BadHead(400, "the length of the body is said twice")
    if codings:
        if not chunks or codings[0].rstrip(b" \t").lower() != b"chunked":
            raise BadHead(400, "Transfer-Encoding: chunked, in HTTP/1.1, is the only one read here")
        return CHUNKED
    length = lengths[0].rstrip(b" \t")
    if length.isdigit() and len(length) > _LONGEST:
        raise BadHead(413, "a body of this length is not read")
    if not length.isdigit():
        raise BadHead(400, "Content-Length is no whole number")
    return int(length)
