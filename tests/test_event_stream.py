"""Server-sent events: the standard's rules, the same however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.errors import ProviderProtocolError, TruncatedStream
from copykit.providers.events import Event, EventStream


def parse(*chunks, max_event=262_144):
    """Feed *chunks* and give all events."""
    stream = EventStream(max_event)
    return [event for chunk in chunks for event in stream.feed(chunk)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data: a\r\n\r\n", [("message", "a")]),
        (b"data: a\r\r", [("message", "a")]),
        (b"data: a\r\n\ndata: b\n\r\n", [("message", "a"), ("message", "b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", "a")]),
        (b"event: delta\ndata: a\ndata:b\ndata\n\n", [("delta", "a\nb\n")]),
        (b"data:\n\n", [("message", "")]),
        (b"event: ping\n\ndata: a\n\n", [("message", "a")]),
        (b"event: a\nevent:b\ndata: 1\n\n", [("b", "1")]),
        (b"event\ndata: 1\n\n", [("message", "1")]),
        (b": comment\n:\n\n: ping\r\n\r\ndata: a\n\n", [("message", "a")]),
        (b"id: 7\nretry: 10\nodd: x\nDATA: y\n data: z\ndata: a\n\n", [("message", "a")]),
        (b"data:  two spaces\ndata:\ttab\n\n", [("message", " two spaces\n\ttab")]),
        (b"data: a:b: c\n\n", [("message", "a:b: c")]),
        ("data: ñ 日本 👟\u2028\u0085x\n\n".encode(), [("message", "ñ 日本 👟\u2028\u0085x")]),
        (b"data: \xff\xc3\n\n", [("message", "\ufffd\ufffd")]),
        (b"data: a\x00b\x0b\x0c\n\n", [("message", "a\x00b\x0b\x0c")]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"", []),
    ],
)
def test_the_rules_of_the_standard(text, events):
    """Line ends, byte order mark, comments, fields and joining, whole and byte by byte."""
    expected = [Event(*event) for event in events]
    assert parse(text) == expected
    assert parse(*(bytes([byte]) for byte in text)) == expected
    assert parse(b"", *(part for byte in text for part in (bytes([byte]), b""))) == expected


PIECES = st.sampled_from(
    [b"data: ", b"data:", b"event: x", b"event:", b":", b"id: 1", b"\n", b"\r", b"\r\n", b"\n\n", b" ", b"a",
     "ñ日👟".encode(), b"\xff", b"\xef\xbb\xbf", b"{}", b"data"]
)  # fmt: skip
STREAMS = st.one_of(st.lists(PIECES, max_size=40).map(b"".join), st.binary(max_size=200))


@given(STREAMS, st.lists(st.integers(0, 400), max_size=20))
def test_cutting_changes_nothing(data, cuts):
    """The events of a stream do not depend on where its chunks end."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(places)]
    assert parse(*chunks) == parse(data)


@given(STREAMS, st.lists(st.integers(0, 400), max_size=10))
def test_agreement_with_httpx2(data, cuts):
    """
    httpx2's decoder gives the same events; it also tells of events without data and ends one at the end of the
    bytes, which the standard does not.
    """
    httpx2 = pytest.importorskip("httpx2._sse", reason="needs httpx2 with its decoder")
    parser = httpx2._SSEParser()
    text = data.decode(errors="replace").removeprefix("\ufeff")
    theirs = [(e.event, e.data) for e in parser.decode(text)]
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    ours = parse(*(data[a:b] for a, b in pairwise(places)))
    if text.endswith("\r"):  # httpx2 waits for what follows a carriage return
        theirs += [(e.event, e.data) for e in parser.decode("x")]
    assert [tuple(e) for e in ours if e.data] == [pair for pair in theirs if pair[1]]


def test_an_event_is_bounded():
    """One long line, many lines or a line that never ends: refused at the bound; comments between events cost nothing."""
    fits = b"data: " + b"x" * 93
    assert len(parse(fits + b"\n\n", fits + b"\n\n", max_event=100)) == 2
    for chunks in ([fits + b"x" * 2], [b"data: x\n"] * 60, [b"x"] * 101, [b"data:\n"] * 200):
        with pytest.raises(ProviderProtocolError, match="larger than 100 bytes"):
            parse(*chunks, max_event=100)
    assert parse(*[b": ping\n"] * 1000, b"data: a\n\n", max_event=100) == [Event("message", "a")]


def test_a_megabyte_in_single_bytes_is_read_in_linear_time():
    """A stream cut into single bytes costs as many steps, not their square."""
    stream = EventStream(2**20)
    for _ in range(2**18):
        stream.feed(b"x")
    with pytest.raises(TruncatedStream):
        stream.end()


def test_the_end_tells_whether_something_was_left():
    """Between events the bytes may end; within one they are truncated."""
    stream = EventStream()
    stream.end()
    stream.feed(b"data: a\n\n: comment\n")
    stream.end()
    for rest in (b"data: b", b"\n", b"da"):
        stream.feed(rest)
        with pytest.raises(TruncatedStream):
            stream.end()
