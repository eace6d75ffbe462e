"""The reader of heads against two parsers: what it lets through, each of them frames in the same way."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis", reason="needs the extra test")
pytest.importorskip("h11", reason="needs the extra server")
pytest.importorskip("httptools", reason="needs the extra server")

import h11
import httptools
from hypothesis import given, settings
from hypothesis import strategies as some

from copykit.server.process.heads import CHUNKED, BadHead, read_head

LINES = (
    b"Host: x",
    b"host:y",
    b"Content-Length: 3",
    b"content-length:0003",
    b"Content-Length: 3, 3",
    b"Content-Length : 3",
    b"Content_Length: 4",
    b"Content-Length:\t5\t",
    b"Transfer-Encoding: chunked",
    b"TRANSFER-ENCODING:Chunked ",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"X-Transfer-Encoding: chunked",
    b" folded: line",
    b"Connection: close",
    b"Connection: Upgrade",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"A: \xe4\xf6",
    b"A:",
    b": b",
    b"A b: c",
)
FIRST = (
    b"POST /a HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET http://x/a HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"POST  /a HTTP/1.1",
    b"POST /a\tHTTP/1.1",
    b"post /a HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1",
    b"POST /a HTTP/1.2",
    b"POST /a HTTP/2",
    b"POST /a",
)
ENDS = some.sampled_from((b"\r\n",) * 30 + (b"\n", b"\r", b"\r\r\n", b"\n\r\n"))


@some.composite
def heads(draw: some.DrawFn) -> bytes:
    """Give a head of likely and unlikely lines, with one byte changed now and then."""
    lines = [
        draw(some.sampled_from(FIRST)),
        b"Host: x",
        *draw(some.lists(some.sampled_from(LINES), max_size=6)),
    ]
    head = b"".join(line + draw(ENDS) for line in lines) + b"\r\n"
    if draw(some.booleans()):
        at = draw(some.integers(0, len(head) - 5))
        head = head[:at] + bytes([draw(some.integers(0, 255))]) + head[at + draw(some.integers(0, 1)) :]
    return head[: head.index(b"\r\n\r\n") + 4] if b"\r\n\r\n" in head else head + b"\r\n\r\n"


class Seen:
    """What httptools tells of the messages it reads."""

    def __init__(self) -> None:
        self.begun = self.whole = 0
        self.bodies: list[bytes] = []

    def on_message_begin(self) -> None:
        """Count it."""
        self.begun += 1

    def on_body(self, body: bytes) -> None:
        """Keep it."""
        self.bodies.append(body)

    def on_message_complete(self) -> None:
        """Count it."""
        self.whole += 1


def by_httptools(data: bytes) -> bytes | None:
    """Give the body of the one message in *data*; None if it is refused."""
    seen = Seen()
    try:
        httptools.HttpRequestParser(seen).feed_data(data)
    except httptools.HttpParserError:
        return None
    assert (seen.begun, seen.whole) == (1, 1), data
    return b"".join(seen.bodies)


def by_h11(data: bytes) -> bytes | None:
    """Give the body of the one message in *data*; None if it is refused."""
    connection, body = h11.Connection(h11.SERVER), b""
    connection.receive_data(data)
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, data
            if isinstance(event, h11.Data):
                body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    assert connection.trailing_data[0] == b"", data
    return body


@settings(max_examples=1500, deadline=None)
@given(heads())
def test_what_is_let_through_has_one_meaning(head: bytes) -> None:
    """Head and the body that it announces are one whole message for either parser, or a refused one; never two."""
    try:
        read = read_head(head, 64)
    except BadHead:
        return
    body = b"abcdefghi"[: read.body] if read.body != CHUNKED else b"abc"
    if len(body) < read.body:
        return
    sent = read.data + (b"3\r\nabc\r\n0\r\n\r\n" if read.body == CHUNKED else body)
    for parsed in (by_httptools(sent), by_h11(sent)):
        assert parsed in (body, None), head


def test_an_ordinary_head_is_let_through_and_read_by_both() -> None:
    """So that the test above does not hold for want of heads."""
    for line, body in (
        (b"Content-Length: 3", b"abc"),
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
    ):
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" + line + b"\r\n\r\n"
        sent = read_head(head, 64).data + body
        assert (by_httptools(sent), by_h11(sent)) == (b"abc", b"abc")
