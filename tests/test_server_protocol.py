"""The bounds of one connection, asked by raw sockets over both parsers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra server")
pytest.importorskip("starlette", reason="needs the extra server")

import uvicorn

from copykit.server.process.heads import CHUNKED, BadHead, read_head
from copykit.server.process.protocol import Bounds, State, protocol_of
from copykit.server.wire import GONE, WHOLE

BOUNDS = Bounds(header_s=0.4, linger_s=0.4, stalled_s=0.5)
BIG = 3 * 2**20
PARSERS = ("h11", "httptools")

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n"

SERVED: dict[str, tuple[bytes, list[int]]] = {
    "one": (GET, [200]),
    "after an empty line": (b"\r\n" + GET, [200]),
    "a body": (POST + b"Content-Length: 3\r\n\r\nabc", [200]),
    "a body in chunks": (CHUNKS + b"3\r\nabc\r\n0\r\n\r\n", [200]),
    "three at once": (GET * 3, [200, 200, 200]),
    "one behind a body": (POST + b"Content-Length: 3\r\n\r\nabc" + GET, [200, 200]),
    "a wish for another protocol": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc" + GET,
        [200, 200],
    ),
    "one behind chunks, which is not read": (CHUNKS + b"0\r\n\r\n" + GET, [200]),
    "an address of this host": (GET.replace(b"/a", b"http://X/a"), [200]),
    "64 fields": (b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 63 + b"\r\n", [200]),
}

REFUSED: dict[str, tuple[bytes, int]] = {
    "length and chunks": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
        400,
    ),
    "chunks and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + GET,
        400,
    ),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "one length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "a negative length": (POST + b"Content-Length: -3\r\n\r\nabc", 400),
    "a length with a sign": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "a length in hexadecimal": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "a length of 400 digits": (POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nabc", 413),
    "a space before the colon": (POST + b"Content-Length : 3\r\n\r\nabc", 400),
    "a space before chunks' colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "another coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "two codings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks twice": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a coding behind a vertical tab": (POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "chunks in HTTP/1.0": (
        b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a chunk's size that is no number": (CHUNKS + b"zz\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk longer than it says": (CHUNKS + b"3\r\nabcd\r\n0\r\n\r\n", 400),
    "a folded line": (b"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    "a folded line by tab": (b"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", 400),
    "NUL in a value": (b"GET /a HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 400),
    "NUL in the path": (b"GET /a\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "lines by LF": (b"GET /a HTTP/1.1\nHost: x\n\n", 400),
    "lines by CR": (b"GET /a HTTP/1.1\rHost: x\r\r", 400),
    "one line by LF": (b"GET /a HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    "CR in a value": (b"GET /a HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
    "no host": (b"GET /a HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "an address of another host": (GET.replace(b"/a", b"http://y/a"), 400),
    "an address that begins as this host's": (GET.replace(b"/a", b"http://x@y/a"), 400),
    "a target that is no path": (GET.replace(b"/a", b"a"), 400),
    "no version": (b"GET /a\r\n\r\n", 400),
    "the next version": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a way through": (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a method of signs": (b"G@T /a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a line without a colon": (b"GET /a HTTP/1.1\r\nHost: x\r\nfoo\r\n\r\n", 400),
    "a field without a name": (b"GET /a HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", 400),
    "a path beyond ASCII": ("GET /ä HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
    "a handshake of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a head of 17 KB": (b"GET /a HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 17_000 + b"\r\n\r\n", 431),
    "a head of 17 KB that goes on": (b"GET /" + b"b" * 17_000, 431),
    "65 fields": (b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 64 + b"\r\n", 431),
    "half a head": (b"GET /a HTTP/1.1\r\nHos", 408),
}


class Echo:
    """Answers with the body, early for `/early`, without end for `/pour`, or with more than fits for `/big`."""

    def __init__(self) -> None:
        self.asked = 0
        self.refused: list[tuple[int, str]] = []
        self.left = 0
        self.poured = 0
        self.whole: list[bool] = []
        """Whether each answer that was to be sent at once was so."""
        self.gone: list[bool] = []
        """Whether each client is told to have left before it had its answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        self.asked += 1
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                self.gone.append(scope["extensions"][GONE](scope))
                return
            body, more = body + message["body"], message["more_body"]
        if scope["path"] == "/pour":
            await self._pour(receive, send)
            return
        if scope["path"] == "/big":
            body = bytes(BIG)
        headers = [(b"content-length", str(len(body)).encode())]
        whole = scope.get("extensions", {}).get(WHOLE)
        if scope["path"] == "/whole" and whole is not None:
            lines = b"content-length: %d\r\n" % len(body)
            self.whole.append(whole(lines, body))
            if self.whole[-1]:
                return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.gone.append(scope["extensions"][GONE](scope))

    async def _pour(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def pour() -> None:
            while True:
                await send({"type": "http.response.body", "body": bytes(4096), "more_body": True})
                self.poured += 4096
                await asyncio.sleep(0)

        pouring = asyncio.ensure_future(pour())
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left += 1
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)


class Place:
    """A server that runs, and where."""

    def __init__(self, app: Echo, server: uvicorn.Server, port: int) -> None:
        self.app, self.server, self.port = app, server, port

    async def say(self, data: bytes, quiet_s: float = 5.0) -> tuple[list[int], bytes, bool]:
        """Send *data*; the statuses of what came until all was quiet, all of it, and whether the server closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        got = b""
        closed = False
        with contextlib.suppress(TimeoutError):
            while piece := await asyncio.wait_for(reader.read(65_536), quiet_s if got else 5 + quiet_s):
                got += piece
            closed = True
        writer.close()
        return [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]], got, closed


@contextlib.asynccontextmanager
async def serving(parser: str, bounds: Bounds = BOUNDS) -> AsyncIterator[Place]:
    """Run a server of one loop over a free port."""
    if parser == "httptools":
        pytest.importorskip("httptools", reason="needs the extra server")
    app = Echo()
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=protocol_of(bounds, parser), lifespan="off", ws="none", log_config=None, loop="asyncio"
    )
    server = uvicorn.Server(config)
    server.server_state = State(lambda status, code: app.refused.append((status, code)))
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    try:
        yield Place(app, server, listening.getsockname()[1])
    finally:
        await server.shutdown(sockets=[listening])


def test_what_two_readers_understand_alike_is_served() -> None:
    """Requests with and without bodies, several on one connection, each answered once and in order."""

    async def story(parser: str) -> None:
        async with serving(parser) as place:
            for name, (data, want) in SERVED.items():
                got = await place.say(data, 0.1)
                assert got[0] == want, (parser, name, got)

    for parser in PARSERS:
        asyncio.run(story(parser))


@pytest.mark.parametrize("parser", PARSERS)
def test_what_could_be_framed_in_two_ways_is_refused_and_the_connection_closed(parser: str) -> None:
    """Over both parsers the same answer, exactly one, as a problem with its number; and nothing was asked twice."""

    async def story() -> None:
        async with serving(parser) as place:
            for name, (data, want) in REFUSED.items():
                statuses, got, closed = await place.say(data)
                assert (statuses, closed) == ([want], True), (name, got)
                assert b"application/problem+json" in got, name
                assert b"connection: close" in got, name
                assert b'"request_id"' in got, name
            assert [status for status, _ in place.app.refused] == [status for _, status in REFUSED.values()]
            assert not place.server.server_state.tasks

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("cut", [1, 7])
def test_how_a_request_is_cut_into_packets_changes_nothing(parser: str, cut: int) -> None:
    """Byte by byte it is answered or refused as in one piece."""
    names = ("one behind a body", "a body in chunks", "length and chunks", "one line by LF")

    async def story() -> None:
        async with serving(parser, Bounds(header_s=5, linger_s=0.4)) as place:
            for name in names:
                data, want = (SERVED | REFUSED)[name]  # type: ignore[operator]
                reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
                for at in range(0, len(data), cut):
                    writer.write(data[at : at + cut])
                    await asyncio.sleep(0)
                got = b""
                with contextlib.suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(0.5):
                        while piece := await reader.read(65_536):
                            got += piece
                writer.close()
                statuses = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
                assert statuses == (want if isinstance(want, list) else [want]), name

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_connection_that_says_nothing_is_closed(parser: str) -> None:
    """Without a word, and after the header time; many of them do not keep another client waiting."""

    async def story() -> None:
        async with serving(parser) as place:
            began = time.monotonic()
            silent = [place.say(b"", 10) for _ in range(100)]
            waiting = asyncio.gather(*silent)
            assert (await place.say(GET, 0.2))[0] == [200]
            assert await waiting == [([], b"", True)] * 100
            assert time.monotonic() - began < 5 * BOUNDS.header_s
            assert not place.server.server_state.connections

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_head_that_trickles_is_not_waited_for(parser: str) -> None:
    """Each byte does not begin the time anew; on a connection that was used already it runs from the first byte."""

    async def story() -> None:
        async with serving(parser) as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(GET)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(2 * BOUNDS.header_s)  # idle between requests is not the header time's concern
            began = time.monotonic()
            got = b""
            for byte in b"GET /a HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(BOUNDS.header_s / 20)
                if reader.at_eof():
                    break
                if reader._buffer:  # type: ignore[attr-defined]
                    got += await reader.read(65_536)
            assert b"HTTP/1.1 408" in got
            assert time.monotonic() - began < 5 * BOUNDS.header_s
            writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_an_early_answer_reaches_a_client_that_still_sends(parser: str) -> None:
    """It is told that the connection closes, reads the answer, and no second request is taken from what follows."""
    declared = POST.replace(b"/a", b"/early") + b"Content-Length: 300000\r\n\r\n"

    async def story() -> None:
        async with serving(parser) as place:
            statuses, got, closed = await place.say(declared + b"a" * 200_000 + GET)
            assert (statuses, closed) == ([200], True)
            assert b"connection: close" in got
            assert place.app.asked == 1

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_client_that_reads_nothing_is_cut_and_the_application_hears_it(parser: str) -> None:
    """What is kept for it stays below 64 KiB here; then its connection is aborted."""

    async def story() -> None:
        async with serving(parser) as place:
            clients = []
            for _ in range(20):
                client = socket.socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", place.port))
                client.sendall(GET.replace(b"/a", b"/pour"))
                clients.append(client)
            most = 0
            deadline = time.monotonic() + 10
            while place.app.left < len(clients) and time.monotonic() < deadline:
                for connection in list(place.server.server_state.connections):
                    most = max(most, connection.transport.get_write_buffer_size())
                await asyncio.sleep(0.02)
            assert place.app.left == len(clients)
            assert 0 < most <= 64 * 1024
            for client in clients:
                client.close()

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_the_application_can_ask_whether_its_client_left(parser: str) -> None:
    """It did in the middle of its body; whoever had an answer did not, also where the next request is there already."""

    async def story() -> None:
        async with serving(parser) as place:
            await place.say(GET * 3, 0.1)
            assert place.app.gone == [False] * 3
            _, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(POST + b"Content-Length: 3\r\n\r\na")
            await writer.drain()
            writer.close()
            deadline = time.monotonic() + 10
            while not place.app.left:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            assert place.app.gone == [False] * 3 + [True]

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_an_answer_that_nobody_fetches_is_thrown_away(parser: str) -> None:
    """It was handed over in one piece, so nothing waits for the client but its connection: that is aborted too."""

    async def story() -> None:
        async with serving(parser) as place:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", place.port))
            client.sendall(GET.replace(b"/a", b"/big"))
            deadline = time.monotonic() + 10
            while not place.app.asked or place.server.server_state.connections:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            client.close()

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_an_answer_that_is_fetched_slowly_arrives_whole(parser: str) -> None:
    """Whoever reads all the time is not cut, though it takes longer than one who does not read is given."""

    async def story() -> None:
        async with serving(parser, Bounds(stalled_s=1)) as place:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                client.connect(("127.0.0.1", place.port))
                client.settimeout(30)
                client.sendall(GET.replace(b"/a", b"/big"))
                got = 0
                while got < BIG:
                    piece = await asyncio.to_thread(client.recv, 65_536)
                    assert piece, got
                    got += len(piece)
                    await asyncio.sleep(len(piece) / 1_000_000)

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_one_connection_too_many_is_told_so(parser: str) -> None:
    """With 503 and when to come again, before the process runs out of files; the next one finds a place again."""

    async def story() -> None:
        async with serving(parser) as place:
            place.server.server_state.most = 3  # type: ignore[attr-defined]
            held = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(3)]
            statuses, got, closed = await place.say(GET)
            assert (statuses, closed) == ([503], True)
            assert b"retry-after: 1" in got
            for _, writer in held:
                writer.close()
            await asyncio.sleep(0.1)
            assert (await place.say(GET, 0.1))[0] == [200]

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_while_the_server_drains_each_answer_is_the_last_of_its_connection(parser: str) -> None:
    """So that the client begins its next request elsewhere instead of meeting a closed door."""

    async def story() -> None:
        async with serving(parser) as place:
            place.server.server_state.draining = True  # type: ignore[attr-defined]
            statuses, got, closed = await place.say(GET + GET)
            assert (statuses, closed) == ([200], True)
            assert b"connection: close" in got

    asyncio.run(story())


def test_an_answer_sent_at_once_is_the_one_that_messages_send() -> None:
    """
    Byte for byte, several on one connection, whether the head was seen before or not; the last one of a connection,
    one whose body is not there yet, and all over h11 go by messages.
    """
    post = b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    asked = {
        "one": (post, [True]),
        "another length": (post.replace(b": 3", b": 4") + b"d", [True]),
        "three at once": (post * 3, []),
        "the last": (post.replace(b"Host", b"Connection: close\r\nHost"), [False]),
        "of HTTP/1.0": (post.replace(b"1.1", b"1.0"), [False]),
    }

    async def story() -> None:
        async with serving("httptools") as place:
            for name, (data, want) in asked.items():
                place.app.whole.clear()
                whole = await place.say(data, 0.1)
                assert place.app.whole == want, name
                plain = await place.say(data.replace(b"/whole", b"/plain"), 0.1)
                assert [_undated(whole[1]), *whole[::2]] == [_undated(plain[1]), *plain[::2]], name
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            place.app.whole.clear()
            for body in (b"abc", b"abc", b"abd", b"abc"):
                writer.write(post[:-3] + body)
                assert (await reader.readuntil(body)).count(b"HTTP/1.1 200 OK") == 1
            assert place.app.whole == [True] * 4
            writer.close()
        async with serving("h11") as place:
            assert (await place.say(post, 0.1))[0] == [200]
            assert not place.app.whole

    asyncio.run(story())


def _undated(answer: bytes) -> list[bytes]:
    """Give the lines without the time."""
    return [line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:")]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("draining", [False, True])
def test_nothing_is_read_behind_the_last_answer(parser: str, draining: bool) -> None:
    """A client that said it is done, or was told so, gets one answer, however slowly it takes that."""

    async def story() -> None:
        async with serving(parser, Bounds(header_s=5, stalled_s=5)) as place:
            place.server.server_state.draining = draining  # type: ignore[attr-defined]
            last = GET if draining else GET.replace(b"Host", b"Connection: close\r\nHost")
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", place.port))
            client.sendall(last.replace(b"/a", b"/big") + GET)
            await asyncio.sleep(0.3)
            client.settimeout(5)
            got = b""
            while piece := await asyncio.to_thread(client.recv, 65_536):
                got += piece
            client.close()
            assert got.count(b"HTTP/1.1 ") == 1
            assert len(got) > BIG
            assert place.app.asked == 1

    asyncio.run(story())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_new_connection_is_not_idle_yet(parser: str) -> None:
    """What connects sends its request next: a server that ends closes only what has been silent for a while."""

    async def story() -> None:
        async with serving(parser) as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            (made,) = place.server.server_state.connections
            while made.is_busy():  # type: ignore[union-attr]  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0)
            assert made.is_idle()  # type: ignore[union-attr]
            assert not made.is_idle(60.0)  # type: ignore[union-attr]
            assert not made.has_unread()  # type: ignore[union-attr]
            writer.write(GET)  # goes out at once; the server reads at its next turn
            assert made.has_unread()  # type: ignore[union-attr]
            writer.close()

    asyncio.run(story())


def test_a_head_says_how_long_its_body_is() -> None:
    """0 without a word about it, a number, or until the last chunk."""
    assert read_head(GET, 64).body == 0
    assert read_head(POST + b"content-LENGTH:  12 \r\n\r\n", 64).body == 12
    assert read_head(CHUNKS, 64).body == CHUNKED
    assert read_head(b"GET / HTTP/1.0\r\n\r\n", 64).body == 0
    with pytest.raises(BadHead) as caught:
        read_head(CHUNKS, 1)
    assert caught.value.status == 431
