"""Group M: clients that are broken or mean no good, at a real server on this machine."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import random
import resource
import selectors
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import product
from math import erfc, sqrt
from pathlib import Path
from typing import Any

from copykit.accel import system
from copykit.server.routes import PREFIXES, ROUTES

from .catalogue import fault
from .desk import BRIEF, CALL_USD, HEAD, Desk, fold, problem, serving, usual
from .over_http import SERVER_KEY
from .stage import NotHere, Stage

__all__: list[str] = []

Story = Callable[[Stage], None]


def client(name: str, title: str, *, lacks: str = "") -> Callable[[Story], Story]:
    """Enter a story that asks a real server, from a thread: the stage's clock stands still meanwhile."""

    def enter(story: Story) -> Story:
        async def played(stage: Stage) -> None:
            try:
                import aiosqlite  # noqa: F401
                import sse_starlette  # noqa: F401
            except ImportError:
                raise NotHere("needs the extra server") from None
            await asyncio.to_thread(story, stage)

        fault(name, title, lacks=lacks, again=False)(played)
        return story

    return enter


def post(*heads: str, body: bytes = b"", length: bool = True) -> bytes:
    """Give a request for a brief, as bytes."""
    lines = [*heads, "Content-Type: application/json"]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return HEAD + "\r\n".join(lines).encode() + b"\r\n\r\n" + body


SMALL = json.dumps(BRIEF).encode()
TIMER_S = 0.25
"""What the catalogue lets anything be late."""
LONG_S = 600.0
"""A time that no story lasts: what closes meanwhile was closed on purpose."""


@client(
    "M01",
    "silent connections and halves of heads",
    lacks="p99 of a healthy client <= 1.2x: timed by benchmarks/slow_clients.py, on 2 cores 1.65x with 2,000 slow ones",
)
def m01(stage: Stage) -> None:
    """
    Of 2,000 connections each is closed within the header time of 5 s: those that say nothing, and with 408 those whose
    head is not finished, also where it goes on field by field or is the second one of its connection. A healthy client
    is answered as usual while all of them are open. Usual is its median within slack: a p99 is no fact of one run on a
    shared machine. ``benchmarks/slow_clients.py`` measures that, and on 2 cores it was 1.65 times that of a client
    alone, above the 1.2 times that are asked for.
    """
    assert usual("header_s") <= 5.0
    bound_s, count = (5.0, min(2_000, _room())) if stage.whole else (0.5, 60)
    with serving(stage, header_s=bound_s, keep_alive_s=LONG_S) as desk, ExitStack() as held:
        desk.ask(body=BRIEF)
        alone = [fold(lambda: desk.ask("GET", "/health/live"))[1] for _ in range(50)]
        began = time.monotonic()
        slow = [_Slow(number, held.enter_context(desk.connect())) for number in range(count)]
        beside = [fold(lambda: desk.ask("GET", "/health/live"))[1] for _ in range(50)]
        measured_s = time.monotonic() - began
        _until_closed(slow, bound_s)
        took_s = [one.closed_at - one.began for one in slow]
        stage.note(f"{count} closed after {min(took_s):.2f} to {max(took_s):.2f} s")
        for one in slow:
            assert desk.heard(one.got) == ([] if one.kind == "silent" else [408]), (one.kind, one.got)
        assert max(took_s) <= stage.slack * bound_s + TIMER_S, max(took_s)
        assert min(took_s) >= bound_s / 2, min(took_s)
        alone_ms, beside_ms = (1000 * statistics.median(times) for times in (alone, beside))
        stage.note(
            f"a healthy client took {alone_ms:.2f} ms, beside them {beside_ms:.2f} ms (asked until {measured_s:.2f} s)"
        )
        assert beside_ms <= stage.slack * 1.2 * alone_ms + 5, (alone_ms, beside_ms)


class _Slow:
    """One client that does not come to the end of a head."""

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.kind = ("silent", "half a head", "field by field", "second head")[number % 4]
        self.connection = connection
        self.got = b""
        self.closed_at = 0.0
        if self.kind == "second head":
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            first = b""
            while not first.endswith(b"}"):
                first += connection.recv(65_536)
            assert first.startswith(b"HTTP/1.1 200 "), first
        self.began = time.monotonic()
        if self.kind != "silent":
            connection.sendall(HEAD)

    def go_on(self) -> None:
        """Send one more field, if this is one that does."""
        if self.kind == "field by field":
            with suppress(OSError):
                self.connection.sendall(b"A: b\r\n")


def _until_closed(slow: list[_Slow], bound_s: float) -> None:
    """Hear each of *slow* until the server closes it, while some send on, for at most some times *bound_s*."""
    until = time.monotonic() + 6 * bound_s + 5
    with selectors.DefaultSelector() as waiting:
        for one in slow:
            waiting.register(one.connection, selectors.EVENT_READ, one)
        sent_at = time.monotonic()
        while waiting.get_map():
            for event, _ in waiting.select(bound_s / 10):
                one = event.data
                try:
                    piece = one.connection.recv(65_536)
                except ConnectionError:
                    piece = b""
                one.got += piece
                if not piece:
                    one.closed_at = time.monotonic()
                    waiting.unregister(one.connection)
            now = time.monotonic()
            open_ones = [event.data.kind for event in waiting.get_map().values()]
            assert now < until, f"{len(open_ones)} are still open: {set(open_ones)}"
            if now - sent_at >= bound_s / 5:
                sent_at = now
                for event in waiting.get_map().values():
                    event.data.go_on()


def _room() -> int:
    """Give how many connections this process may have to itself: each is two files here, and others need some."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2_000 if most == resource.RLIM_INFINITY else max(60, (most - 500) // 2)


@client("M02", "a body that trickles")
def m02(stage: Stage) -> None:
    """
    408 when its 10 s are over, and the connection is closed. Beyond them 1,000 bytes of each second keep it: a body of
    any length that stalls after them, or comes more slowly, is 408 within a second more; one that comes faster is read.
    """
    assert usual("body_s") <= 10.0
    bound_s = usual("body_s") if stage.whole else 0.5
    most_s = stage.slack * (bound_s + 1.0) + TIMER_S
    with serving(stage, body_s=bound_s, keep_alive_s=LONG_S) as desk:
        for declared, at_once, piece in ((5_000, 0, 1), (250_000, 200_000, 0), (250_000, 200_000, 25)):
            got, took_s = _trickle(desk, declared, at_once, piece, most_s)
            stage.note(f"{at_once} bytes at once, then {20 * piece} a second: closed after {took_s:.2f} s")
            assert desk.heard(got) == [408], got
            assert b'"code":"request_timeout"' in got.replace(b" ", b""), got
            assert bound_s * 0.9 <= took_s <= most_s, took_s
        size = int(3_000 * (bound_s + 1.0))
        got, took_s = _trickle(desk, size + len(SMALL), 0, 150, LONG_S, tail=SMALL)
        assert desk.heard(got) == [200], got
        assert took_s > bound_s + 0.5, took_s


def _trickle(
    desk: Desk, declared: int, at_once: int, piece: int, within_s: float, tail: bytes = b""
) -> tuple[bytes, float]:
    """Send a body of spaces and then *tail*, *piece* bytes each 50 ms; gives what came until it closed, and when."""
    with desk.connect() as one:
        heads = [f"Content-Length: {declared}", *(["Connection: close"] if tail else [])]
        one.sendall(post(*heads, length=False) + b" " * at_once)
        left = declared - at_once - len(tail)
        one.settimeout(0.05)
        began, got = time.monotonic(), b""
        while True:
            with suppress(TimeoutError):
                try:
                    found = one.recv(65_536)
                except ConnectionError:
                    found = b""
                if not found:
                    return got, time.monotonic() - began
                got += found
            if not got and left > 0:
                one.sendall(b" " * min(piece, left))
                left -= piece
                if left <= 0:
                    one.sendall(tail)
            assert time.monotonic() - began < within_s, (got, "is still open")


@client("M03", "heads that are too large")
def m03(stage: Stage) -> None:
    """431 above 16 KiB or 64 fields, and the connection is closed; up to there they are served, and it stays open."""
    own = post(body=SMALL).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    fields, room = own.count(b"\r\n") - 2, 16 * 1024 - len(own) - len("A: \r\n")
    with serving(stage, keep_alive_s=LONG_S, header_s=LONG_S) as desk:
        for heads, status in (
            (["A: " + "b" * room], 200),
            ([f"A{number}: b" for number in range(64 - fields)], 200),
            (["A: " + "b" * (room + 1)], 431),
            (["A: " + "b" * 100_000], 431),
            ([f"A{number}: b" for number in range(65 - fields)], 431),
            ([f"A{number}: b" for number in range(1_000)], 431),
        ):
            wait_s = 1.0 if status == 200 else 10.0
            statuses, _, closed = desk.say(post(*heads, body=SMALL), wait_s=wait_s)
            assert (statuses, closed) == ([status], status == 431), (len(heads), statuses, closed)


@client("M04", "bodies that are too large, declared, lying, in chunks")
def m04(stage: Stage) -> None:
    """413 before more than the limit and 64 KiB are read; the memory does not grow with what is sent."""
    with serving(stage) as desk:
        small = 16 * 1024
        desk.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, small)  # connections inherit it
        for path, most in (("/v11/generate", 256 * 1024), ("/v11/batch-generate", 4 * 2**20)):
            problem(desk.ask(path=path, raw=b" " * most), 400, "malformed_request")
            problem(desk.ask(path=path, raw=b" " * (most + 1)), 413, "payload_too_large")
            size = (300 if stage.whole else 30) * 2**20
            with _peak() as peak, desk.connect() as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, small)
                held = sum(
                    end.getsockopt(socket.SOL_SOCKET, option)
                    for end, option in ((one, socket.SO_SNDBUF), (desk.listening, socket.SO_RCVBUF))
                )
                sent, got = _pour(one, path, size)
            assert desk.heard(got) == [413], got
            stage.note(
                f"of {size} bytes in chunks {sent} left, of which sockets hold {held}; memory +{peak[0]} bytes"
            )
            assert sent <= most + 64 * 1024 + held, sent
            assert peak[0] <= stage.slack * 5 * 2**20 + most, peak
        assert desk.say(post(f"Content-Length: {300 * 2**20}", length=False))[0] == [413]
        assert desk.say(post("Content-Length: 9" + "9" * 14, length=False))[0] == [413]
        assert desk.say(post("Content-Length: 9" + "9" * 17, length=False))[0] == [413]
        # a length that is too small: what follows is another request, which nothing here is
        statuses, _, closed = desk.say(
            post("Content-Length: 10", length=False, body=b" " * 1_000 + b"\r\n\r\n")
        )
        assert (statuses, closed) == ([400, 400], True)


def _pour(one: socket.socket, path: str, size: int) -> tuple[int, bytes]:
    """Send *size* bytes in chunks until an answer comes; gives how many left, and all that came."""
    one.sendall(
        post("Transfer-Encoding: chunked", length=False).replace(b"/v11/generate ", path.encode() + b" ")
    )
    piece = b"1000\r\n" + b" " * 4_096 + b"\r\n"
    sent, got = 0, b""
    one.settimeout(30)
    with suppress(ConnectionError), selectors.DefaultSelector() as waiting:
        waiting.register(one, selectors.EVENT_READ)
        while sent < size and not waiting.select(0):
            one.sendall(piece)
            sent += 4_096
        if sent >= size:
            one.sendall(b"0\r\n\r\n")
        while found := one.recv(65_536):
            got += found
    return sent, got


@contextmanager
def _peak() -> Iterator[list[int]]:
    """Give by how many bytes the memory grew in the block at its highest; 0 where the system does not tell."""
    status, forget = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    grown = [0]

    def highest() -> int:
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])

    if not forget.exists():
        yield grown
        return
    forget.write_text("5")
    before = highest()
    yield grown
    grown[0] = highest() - before


BOMBS: dict[str, tuple[bytes, set[int]]] = {
    "depth": (b"[" * 100_000, {400}),
    "depth of objects": (b'{"a":' * 50_000, {400}),
    "1e400": (b'{"product_description": "x", "target_platform": "x", "creativity_level": 1e400}', {400}),
    "a million digits": (b'[{"seed": ' + b"1" * 1_000_000 + b"}]", {400}),
    "NaN": (b'{"product_description": "x", "target_platform": "x", "creativity_level": NaN}', {400}),
    "Infinity": (b'{"product_description": "x", "target_platform": "x", "deadline_s": -Infinity}', {400}),
    "one name twice": (
        b'{"product_description": "x", "target_platform": "x", "target_platform": "y"}',
        {400},
    ),
    "half a pair": (b'{"product_description": "\\ud800", "target_platform": "x"}', {400}),
    "raw half a pair": (b'{"product_description": "\xed\xa0\x80", "target_platform": "x"}', {400}),
    "a NUL": (b'{"product_description": "a\\u0000b", "target_platform": "x"}', {422}),
    "escapes": (b'"' + b"\\u0061" * 40_000, {400}),
    "a text without an end": (b'{"a": "' + b"x" * 200_000, {400}),
    "brackets in a text": (
        b'{"product_description": "' + b"[" * 15_000 + b'", "target_platform": "x"}',
        {422},
    ),
    "numbers": (b"[" + b"0," * 100_000 + b"0]", {422}),
    "quotes in a text without an end": (b"[" * 40 + b'"' + b'\\"[' * 60_000, {400}),
    "nothing": (b"", {400}),
    "spaces": (b" " * 200_000, {400}),
}


@client("M05", "JSON that stalls or breaks readers")
def m05(stage: Stage) -> None:
    """400 or 422 within 50 ms each, whatever it is."""
    with serving(stage) as desk:
        desk.ask(body=BRIEF)
        for name, (raw, statuses) in BOMBS.items():
            path = "/v11/batch-generate" if name == "a million digits" else "/v11/generate"
            for last in (
                False,
                True,
            ):  # a pause of the whole process is no stall of the reader: once more then
                answer, took_s = fold(lambda raw=raw, path=path: desk.ask(path=path, raw=raw))
                assert answer.status_code in statuses, (name, answer.text[:200])
                if took_s <= stage.slack * 0.05:
                    break
                assert not last, (name, took_s)


@client("M06", "compressed bodies")
def m06(stage: Stage) -> None:
    """415 of any size, and nothing is unpacked: what would be 200 MB takes no memory."""
    bomb = gzip.compress(bytes(200 * 10**6))
    with serving(stage) as desk:
        for coding in ("gzip", "br", "deflate", "zstd", "compress", "x-gzip", "gzip, gzip", "identity, gzip"):
            for raw in (gzip.compress(SMALL), bomb, b""):
                with _peak() as peak:
                    answer = desk.ask(raw=raw, headers={"content-encoding": coding})
                problem(answer, 415, "unsupported_encoding")
                assert peak[0] < 50 * 10**6, (coding, peak)


FRAMES = (
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"Content-Length: +3\r\n\r\nabc",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    b"A: b\0c\r\nContent-Length: 0\r\n\r\n",
    b"A: b\rc\r\nContent-Length: 0\r\n\r\n",
    b"A: b\nContent-Length: 0\r\n\r\n",
    b"Content-Length : 0\r\n\r\n",
    b": b\r\nContent-Length: 0\r\n\r\n",
)


@client("M07", "requests that two readers frame in two ways")
def m07(stage: Stage) -> None:
    """400, exactly one answer, and the connection is closed: nothing behind it is read as a second request."""
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with serving(stage, keep_alive_s=LONG_S, header_s=LONG_S) as desk:
        for frame in FRAMES:
            head = HEAD if b"Content-Type" in frame else HEAD + b"Content-Type: application/json\r\n"
            statuses, got, closed = desk.say(head + frame + smuggled)
            assert closed, frame
            assert len(statuses) == 1, (frame, got)
            assert statuses == [400], (frame, got)


@client("M08", "line ends in what is written down")
def m08(stage: Stage) -> None:
    """Refused in a number or a name; no line of the log and no head of an answer is made by a client."""
    forged = 'x\r\nHTTP/1.1 200 OK\r\nx-forged: 1\n{"event": "forged"}'
    with _lines_of_the_log() as as_json, serving(stage) as desk:
        for name in ("X-Request-Id", "Idempotency-Key"):
            for value in ("a%0d%0ab", "a\tb", "a\x0bb", "é", "a b\x85c"):
                if name == "Idempotency-Key" and value == "a%0d%0ab":
                    continue  # printable, and nothing is unquoted
                statuses, got, _ = desk.say(post(f"{name}: {value}", "Connection: close", body=SMALL))
                assert statuses == [400], (name, value, got)
        for body in ({**BRIEF, "tone": forged}, {**BRIEF, forged: 1}, {**BRIEF, "target_platform": forged}):
            answer = desk.ask(body=body)
            assert answer.status_code == 422
            assert "x-forged" not in answer.headers
        assert desk.ask("GET", "/x%0d%0ax-forged:%201").status_code == 404
        # a host that is not served is the one word of a client that is written down
        host = b"forged.example\x85{} \xe2\x80\xa8{}"
        statuses, _, _ = desk.say(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        assert statuses == [400]
    lines = as_json.getvalue().splitlines()
    assert all(set(json.loads(line)) >= {"timestamp", "level", "logger", "event"} for line in lines), lines
    assert any("forged.example" in json.loads(line)["event"] for line in lines), lines


@contextmanager
def _lines_of_the_log() -> Iterator[io.StringIO]:
    """Write what is logged while the block runs as the server writes it for collectors; gives where."""
    from copykit.server.watch.logs import _Formatter
    from copykit.server.watch.redaction import Redactor

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(_Formatter("json", Redactor(())))
    logging.getLogger().addHandler(handler)
    try:
        yield written
    finally:
        logging.getLogger().removeHandler(handler)


@client("M09", "tricks of paths")
def m09(stage: Stage) -> None:
    """404, or 400 for what is no path, 431 for one of 20 KB; no file is ever served."""
    paths = (
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs/../../../etc/passwd", "/docs/%2e%2e/%2e%2e/pyproject.toml",
        "/docs/..%2f..%2fapp.py", "//health/live", "/health//live", "/health/live/", "/./health/live", "/health/live%00",
        "/health/live%00.json", "/HEALTH/live", "/health/live;x=1", "/v11/../config", "/copywriting/copywriting/health",
        "/docs/swagger-ui.css/..", "/%c0%ae%c0%ae/etc/passwd", "/\\..\\..\\etc\\passwd", "/v11/generate%2f", "/a" * 4_000,
    )  # fmt: skip
    none = {"/\\..\\..\\etc\\passwd"}  # a server may take a backslash for what it is, a letter
    with serving(stage) as desk:
        for path in paths:
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
            statuses, got, _ = desk.say(head)
            stage.note(f"{path[:40]} {statuses}")
            assert statuses == [404] or (path in none and statuses == [400]), (path, got[:200])
        assert desk.say(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")[0] == [431]
        assert desk.say(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")[0] == [
            200
        ]


@client("M10", "keys that are guessed by force")
def m10(stage: Stage) -> None:
    """
    After ten wrong keys a minute of an address and a prefix 429; right keys still open, and a guess costs no time.
    """
    guess = f"ck_live_0123abcd_{'A' * 43}"
    peers = ("127.0.0.1",)
    with serving(stage, failure_rate=usual("failure_rate"), trusted_proxies=peers) as desk:
        answers = [desk.ask("GET", "/v11/health", key=guess) for _ in range(15)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 5
        told = problem(answers[-1], 429, "rate_limited")
        assert told["retryable"]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        problem(desk.ask("GET", "/v11/health", key="another" * 8), 401, "unauthorized")
        elsewhere = {"x-forwarded-for": "203.0.113.9"}
        problem(desk.ask("GET", "/v11/health", key=guess, headers=elsewhere), 401, "unauthorized")
        assert desk.ask("GET", "/v11/health").status_code == 200
        assert desk.ask("GET", "/v11/health", key="ann").status_code == 200
        keyring = desk._serving.config.app.state.answers._holdings.keyring
        _, took_s = fold(lambda: [keyring.find(guess) for _ in range(1_000)])
        stage.note(f"a wrong key costs {took_s * 1000:.1f} us")
        assert took_s <= stage.slack * 1.0


def differ(one: list[float], other: list[float]) -> float:
    """Give the probability of so great a difference by chance (Mann and Whitney, for large samples)."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(place for place, (_, whose) in enumerate(ranked, 1) if whose == 0)
    n, m = len(one), len(other)
    expected, spread = n * (n + m + 1) / 2, sqrt(n * m * (n + m + 1) / 12)
    return erfc(abs(ranks - expected) / spread / sqrt(2))


@client("M11", "keys that are guessed by the clock")
def m11(stage: Stage) -> None:
    """A key wrong in its first letter and one wrong in its last take equally long; an unknown one within a tenth."""
    tries = 20_000 if stage.whole else 3_000
    with serving(stage) as desk:
        right = desk.keys["ann"]
        secret = right.rpartition("_")[2]
        head = right[: -len(secret)]
        wrong = {
            "first": head + ("A" if secret[0] != "A" else "B") + secret[1:],
            "last": right[:-1] + ("A" if secret[-1] != "A" else "B"),
            "unknown": "ck_live_ffffffff_" + secret,
        }
        keyring = desk._serving.config.app.state.answers._holdings.keyring
        for attempt in range(2):  # what chance decides is tried once more
            times: dict[str, list[float]] = {name: [] for name in wrong}
            order = random.Random(stage.seed + attempt)
            for _ in range(tries):
                for name in order.sample(list(wrong), len(wrong)):
                    text = bytes(
                        wrong[name], "ascii"
                    ).decode()  # one object each: what it remembers is not measured
                    began = time.perf_counter_ns()
                    found = keyring.find(text)
                    times[name].append(time.perf_counter_ns() - began)
                    assert found is None
            chance = {name: differ(times["first"], times[name]) for name in ("last", "unknown")}
            stage.note(
                f"by chance alone: {chance}; medians {[statistics.median(t) for t in times.values()]} ns"
            )
            known_ns, unknown_ns = (statistics.median(times[name]) for name in ("last", "unknown"))
            assert abs(known_ns - unknown_ns) <= 0.1 * known_ns, (known_ns, unknown_ns)
            if chance["last"] > 0.01:
                return
        raise AssertionError(f"the time taken tells: {chance}")


@client("M12", "what belongs to another tenant", lacks="jobs, which have ids and are not built yet")
def m12(stage: Stage) -> None:
    """No cached result, kept answer, count or money of one tenant reaches another; no route takes the id of a thing."""
    assert not any("{" in spec.path for spec in ROUTES)
    with serving(stage, "metered") as desk:
        named = {"idempotency-key": "order-1"}
        first = desk.ask(body=BRIEF, key="ann", headers=named).json()
        assert not first["cached"]
        for _ in range(3):  # from the second on the same bytes are given again, before all else
            assert desk.ask(body=BRIEF, key="ann").json()["cached"]
        assert not desk.ask("GET", "/v11/performance-stats", key="bob").json()["requests"]["total"]
        assert not desk.ask(body=BRIEF, key="bob").json()["cached"]
        other = desk.ask(body=BRIEF, key="bob", headers=named)
        assert "idempotent-replayed" not in other.headers
        assert desk.model.calls == 2
        for path in ("/v11/performance-stats", "/v11/cache/stats", "/health"):
            told = {name: desk.ask("GET", path, key=name).text for name in ("ann", "bob")}
            assert "ann" not in told["bob"]
            assert "bob" not in told["ann"]
        assert desk.ask("GET", "/v11/performance-stats", key="bob").json()["requests"]["total"] == 2
        desk.ask(body={**BRIEF, "seed": 2}, key="ann")

        def calls(name: str) -> list[float]:
            money = desk.ask("GET", "/v11/performance-stats", key=name).json()["budgets"]
            return [round(money[whose]["spent_usd"] / CALL_USD, 6) for whose in ("key", "tenant")]

        _until(lambda: calls("ann") == [2, 2])  # what has no cap is written down now and then
        _until(lambda: calls("bob") == [1, 1])
        assert desk.model.calls == 3
        desk.ask(path="/v11/cache/clear", key="bob")
        assert desk.ask(body=BRIEF, key="ann").json()["cached"]
        assert not desk.ask(body=BRIEF, key="bob").json()["cached"]


@client("M13", "a key without the scope")
def m13(stage: Stage) -> None:
    """
    403 at every route of another scope under each prefix, also where the answer is at hand and costs nothing;
    tests/test_auth_matrix.py holds all keys against all routes.
    """
    with serving(stage) as desk:
        for path in (prefix + spec.path for prefix in PREFIXES for spec in ROUTES if spec.takes == "Brief"):
            for _ in range(3):
                assert desk.ask(path=path, body=BRIEF).status_code == 200
        for prefix in PREFIXES:
            for spec in ROUTES:
                for scope in ("generate", "batch", "read", "admin"):
                    if spec.scope not in ("public", scope):
                        body = None if spec.takes is None else BRIEF
                        answer = desk.ask(spec.method, prefix + spec.path, body, key=scope)
                        assert spec.scope in problem(answer, 403, "forbidden")["detail"]


@client("M14", "fields that nobody asked for")
def m14(stage: Stage) -> None:
    """422 with the field, in a brief, in its parts, and in the place of a brief of a batch."""
    of_briefs, of_batches = (
        sorted({spec.path for spec in ROUTES if spec.takes == kind}) for kind in ("Brief", "Batch")
    )
    with serving(stage) as desk:
        for field in ("tenant_id", "tenant", "cost", "role", "max_tokens", "__class__", "system", "api_key"):
            for path in of_briefs:
                told = problem(desk.ask(path=path, body={**BRIEF, field: 10**9}), 422, "invalid_request")
                assert told["field"] == field
            for path in of_batches:
                batch = desk.ask(path=path, body=[{**BRIEF, field: 1}, BRIEF]).json()
                assert [one["status"] for one in batch["results"]] == ["failed", "ok"]
                assert batch["results"][0]["error"]["field"] == field
        for part in ({"brand": {"tenant": "x"}}, {"fields": {"text": {"cost": 1}}}):
            problem(desk.ask(body={**BRIEF, **part}), 422, "invalid_request")
        for path in of_batches:
            problem(desk.ask(path=path, body={"requests": [BRIEF], "tenant": "x"}), 422, "invalid_request")


@client("M15", "somebody else's address, another host")
def m15(stage: Stage) -> None:
    """X-Forwarded-For counts from listed proxies alone; a host that is not served is 400."""
    with serving(stage, ip_rate="5/minute") as desk:
        asked = [
            desk.ask("GET", "/catalog", headers={"x-forwarded-for": f"203.0.113.{number}"})
            for number in range(8)
        ]
        assert [answer.status_code for answer in asked] == [200] * 5 + [429] * 3
    with serving(stage) as desk:
        for _ in range(3):  # the answer is at hand: it is not given to whoever asks for another host
            assert desk.ask(body=BRIEF).status_code == 200
        for name in (
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "169.254.169.254",
        ):
            problem(desk.ask("GET", "/health/live", headers={"host": name}), 400, "unknown_host")
            problem(desk.ask(body=BRIEF, headers={"host": name}), 400, "unknown_host")
        twice = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
        assert desk.say(twice)[0] == [400]
    with serving(stage, ip_rate="5/minute", trusted_proxies=("127.0.0.1",)) as desk:
        for number in range(8):
            hops = f"10.9.9.9, 203.0.113.{number}"
            assert desk.ask("GET", "/catalog", headers={"x-forwarded-for": hops}).status_code == 200
        spoofed = [
            desk.ask("GET", "/catalog", headers={"x-forwarded-for": f"10.0.0.{number}, 198.51.100.7"})
            for number in range(8)
        ]
        assert [answer.status_code for answer in spoofed] == [200] * 5 + [429] * 3


@client("M16", "names of work that are used wrongly")
def m16(stage: Stage) -> None:
    """Another body 422, in work 409 with Retry-After, 256 characters 400; each tenant has names of its own."""
    with serving(stage, "metered") as desk:
        named = {"idempotency-key": "order-7"}
        first = desk.ask(body=BRIEF, key="ann", headers=named)
        again = desk.ask(body=BRIEF, key="ann", headers=named)
        assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
        other = {**BRIEF, "seed": 9}
        problem(desk.ask(body=other, key="ann", headers=named), 422, "idempotency_mismatch")
        assert desk.ask(body=other, key="bob", headers=named).status_code == 200
        for wrong in ("x" * 256, "", "a\tb"):
            problem(desk.ask(body=BRIEF, headers={"idempotency-key": wrong}), 400, "malformed_request")
        assert desk.ask(body=BRIEF, headers={"idempotency-key": "x" * 255}).status_code == 200
        problem(desk.ask(path="/v11/generate/stream", body=BRIEF, headers=named), 400, "malformed_request")
        desk.model.hold.clear()
        before = desk.model.calls
        with ThreadPoolExecutor(1) as threads:
            begun = {"idempotency-key": "order-8"}
            slow = threads.submit(desk.ask, "POST", "/v11/generate", {**BRIEF, "seed": 8}, headers=begun)
            _until(lambda: desk.model.calls > before)
            answer = desk.ask(body={**BRIEF, "seed": 8}, headers=begun)
            assert problem(answer, 409, "idempotency_in_progress")["retryable"]
            assert int(answer.headers["retry-after"]) >= 1
            desk.model.hold.set()
            assert slow.result(30).status_code == 200
        assert desk.model.calls == before + 1


@client("M17", "pages of other origins")
def m17(stage: Stage) -> None:
    """No Access-Control-Allow-Origin for an origin that is not listed, null, or one that only looks like it."""
    origins = (
        "https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example",
        "https://shop.example:8443", "https://xshop.example", "https://shop.example/",
    )  # fmt: skip
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    for listed in ((), ("https://shop.example",)):
        with serving(stage, cors_origins=listed) as desk:
            for origin in (*origins, "https://shop.example"):
                preflight = desk.ask("OPTIONS", key=None, headers={"origin": origin, **asked})
                simple = desk.ask("GET", "/health/live", headers={"origin": origin})
                allowed = [
                    answer.headers.get("access-control-allow-origin") for answer in (preflight, simple)
                ]
                assert allowed == ([origin, origin] if origin in listed else [None, None]), (origin, allowed)


def _until(done: Callable[[], bool], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.005)


@client("M18", "many at once against a nearly empty budget, by every way in")
def m18(stage: Stage) -> None:
    """One ledger: what all ways together spend is never above the cap, and what is refused says so as 429."""
    from copykit.server.doors.keys import Budget

    calls = 7
    tries = 200 if stage.whole else 40
    with serving(stage, "metered") as desk:
        cap_usd = calls * CALL_USD + CALL_USD / 2
        scopes = ("generate", "batch", "read")
        key = asyncio.run(desk.key(tenant="ann", budget=Budget(cap_usd), scopes=scopes))

        def one(number: int) -> list[int]:
            brief = {**BRIEF, "seed": number + 1, "cache": "off"}
            path = (
                "/v11/generate",
                "/generate",
                "/v11/generate/stream",
                "/v11/batch-generate",
                "/generate/batch",
            )
            where = path[number % len(path)]
            answer = desk.ask(path=where, body=[brief] if "batch" in where else brief, key=key)
            if "batch" in where and answer.status_code == 200:
                errors = [item["error"] for item in answer.json()["results"]]
                return [error["status"] if error else 200 for error in errors]
            if "event: error" in answer.text:
                told = answer.text.replace("\r\n", "\n").partition("event: error\ndata: ")[2]
                return [json.loads(told.partition("\n")[0])["status"]]
            return [answer.status_code]

        with ThreadPoolExecutor(20) as threads:
            statuses = [status for found in threads.map(one, range(tries)) for status in found]
        assert set(statuses) == {200, 429}, statuses
        assert statuses.count(200) == desk.model.calls == calls, (statuses.count(200), desk.model.calls)
        money = desk.ask("GET", "/v11/performance-stats", key=key).json()["budgets"]["key"]
        stage.note(f"spent {money}")
        assert (money["cap_usd"], round(money["spent_usd"], 6)) == (cap_usd, round(calls * CALL_USD, 6))


@client("M19", "more than anybody needs")
def m19(stage: Stage) -> None:
    """422 for 10,001 briefs, 1,000 variants, unknown fields; a batch that its budget cannot pay for is refused whole."""
    from copykit.server.doors.keys import Budget

    with serving(stage, "metered") as desk:
        tiny = {"product_description": "x", "target_platform": "x"}
        assert usual("max_batch_items") <= 10_000
        key = asyncio.run(desk.key(budget=Budget(5 * CALL_USD)))
        for path in sorted({spec.path for spec in ROUTES if spec.takes == "Batch"}):
            problem(desk.ask(path=path, body=[tiny] * 10_001), 422, "invalid_request")
            seeded = [{**BRIEF, "seed": number} for number in range(50)]
            problem(desk.ask(path=path, body=seeded, key=key), 429, "budget_exceeded")
        for path in sorted({spec.path for spec in ROUTES if spec.takes == "Brief"}):
            for wrong in ({"variants": 1_000}, {"variants": 0}, {"max_tokens": 10**9}):
                told = problem(desk.ask(path=path, body={**BRIEF, **wrong}), 422, "invalid_request")
                assert told["field"] in wrong
            problem(desk.ask(path=path, body={**BRIEF, "seed": 2**70}), 400, "malformed_request")
        assert desk.model.calls == 0


BAIT = {
    "letters": "a" * 19_000,
    "brackets": "<" * 9_000 + "a" * 9_000,
    "tags": "<a" * 9_000,
    "entities": "&amp" * 4_500,
    "braces": "{{" * 9_000,
    "stars": "*|" * 9_000,
    "spaces": "a" + " " * 18_000 + "b",
    "lines": "\n" * 18_000 + "x",
    "comments": "<!--" * 4_500,
    "scripts": "<script " * 2_000,
    "addresses": "http://a." * 2_000,
    "mails": "a@" * 9_000,
    "digits": "1" * 18_000,
    "prices": "1.000," * 3_000,
    "backslashes": "\\" * 18_000,
    "accents": "a" + "\u0301" * 18_000,
    "percents": "%%" * 9_000,
    "dots": "a." * 9_900,
    "more dots": "q." * 9_900,
    "versions": "v1." * 6_600,
    "dashes": "q-" * 9_900,
    "lines under": "a_" * 9_900,
    "endings": "x_b.com." * 2_400,
    "parentheses": "b.co/" + "(a)" * 6_000 + "\u65e5",
    "labels": "".join(map(chr, range(0x4E00, 0x4E00 + 19_000))) + ".com",
    "days": "1 May " * 3_300,
    "times": "1:30 " * 4_000,
    "flags": "\U0001f1e9" * 18_000,
    "joined": "\U0001f469\u200d" * 9_000,
}
PLACES = ("x", "amazon.listing", "google_ads.rsa", "sms", "email", "video.script_30", "youtube.video")
SHORT = ("product_name", "target_audience", "call_to_action")
MANY = ("key_points", "restrictions", "keywords")


def beside(desk: Desk, body: dict[str, Any]) -> tuple[Any, float, float]:
    """Ask for copy; gives the answer, its seconds, and those of the longest look at the server's life meanwhile."""
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(desk.ask, body=body)
        longest = 0.0
        while not asking.done():
            longest = max(longest, fold(lambda: desk.ask("GET", "/health/live", key=None))[1])
            time.sleep(0.002)
        return asking.result(), time.perf_counter() - began, longest


@client("M20", "bait for patterns, in every text")
def m20(stage: Stage) -> None:
    """Any text of any field is read within 50 ms, whatever it repeats; writing of it keeps nobody else waiting.

    Over HTTP, with the phrase bank and its checks, on placements that measure and forbid different things. Beside it
    ``/health/live`` is asked all the time: its longest answer is the longest step that held the worker. That bound is not
    the reading's: a step also writes and checks every text of the copy.
    """
    import threading as threads

    from copykit import CopywritingInput
    from copykit.brief.compile import compile_brief
    from copykit.errors import InvalidRequest

    base = {"product_description": "Oak desk", "target_platform": "x"}
    slow: list[tuple[str, str, float]] = []
    step_s, whole_s = 0.2, 0.4
    before = threads.active_count()
    with serving(stage) as desk:
        problem(desk.ask(body={**BRIEF, "product_description": "a" * 50_000}), 422, "invalid_request")
        places = PLACES if stage.whole else PLACES[:3]
        for place in places:  # patterns are compiled at first use
            assert desk.ask(body={**BRIEF, "target_platform": place}).status_code == 200
        asked = done = 0
        longest: tuple[float, str, str] = (0.0, "", "")
        for place in places:
            for name, text in BAIT.items():
                bodies: list[dict[str, Any]] = [{"product_description": text}]
                if place == "x":
                    bodies += [
                        {"fields": {"text": {"text": text}}},
                        {"facts": {"material": text}},
                        {"instructions": text},
                    ]
                for body in bodies:
                    answer, took_s, waited_s = beside(desk, {**BRIEF, "target_platform": place, **body})
                    assert answer.status_code in (200, 422), answer.text
                    asked, done = asked + 1, done + (answer.status_code == 200)
                    longest = max(longest, (waited_s, name, place))
                    if waited_s > stage.slack * step_s or took_s > stage.slack * whole_s:
                        slow.append((f"{name} on {place}", next(iter(body)), round(took_s, 3)))
        held_ms, name, place = longest[0] * 1000, *longest[1:]
        stage.note(
            f"{asked} texts, {done} of them written of; /health/live took {held_ms:.0f} ms at most ({name}, {place})"
        )
        assert done > asked / 2, (asked, done)
    assert not slow, slow
    assert threads.active_count() <= before

    def compiled(**fields: Any) -> None:
        with suppress(InvalidRequest):
            compile_brief(CopywritingInput(**{**base, **fields}))

    compiled()
    for name, text in BAIT.items():
        for field in (
            "product_description",
            "instructions",
            *SHORT,
            *MANY,
            "url",
            "facts",
            "language",
            "tone",
        ):
            short = text[:500]
            value: Any = text if field in ("product_description", "instructions", "url") else short
            value = [value] * 50 if field in MANY else {"price": text} if field == "facts" else value
            took_s = min(fold(lambda f=field, v=value: compiled(**{f: v}))[1] for _ in range(2))
            if took_s > stage.slack * 0.05:
                slow.append((name, field, round(took_s, 3)))
    assert not slow, slow


@client("M21", "streams that are hoarded")
def m21(stage: Stage) -> None:
    """Twenty of one key at a time; one more is 429, and a place gets free when one ends."""
    most = usual("streams")
    assert most == 20
    with serving(stage, "metered", streams=most) as desk, ExitStack() as held:
        desk.model.hold.clear()
        open_ones = []
        for number in range(most):
            body = json.dumps({**BRIEF, "seed": number + 1}).encode()
            one = held.enter_context(desk.connect())
            one.sendall(post(body=body).replace(b"/v11/generate ", b"/v11/generate/stream "))
            open_ones.append(one)
        gate = desk._serving.config.app.state.answers._holdings.gate
        _until(lambda: gate.streams >= most)
        answer = desk.ask(path="/v11/generate/stream", body=BRIEF)
        assert problem(answer, 429, "too_many_streams")["retryable"]
        assert int(answer.headers["retry-after"]) >= 1
        body = json.dumps(BRIEF).encode()
        other = held.enter_context(desk.connect())
        own = desk.keys["ann"].encode()
        other.sendall(
            post(body=body)
            .replace(b"/v11/generate ", b"/v11/generate/stream ")
            .replace(SERVER_KEY.encode(), own)
        )
        _until(lambda: gate.streams == most + 1)  # another key has places of its own meanwhile
        desk.model.hold.set()
        assert other.recv(65_536).startswith(b"HTTP/1.1 200 ")
        for one in open_ones:
            one.shutdown(socket.SHUT_RDWR)
        _until(lambda: desk.ask(path="/v11/generate/stream", body=BRIEF).status_code == 200)


@client("M22", "what only an operator may see, asked without its scope")
def m22(stage: Stage) -> None:
    """401 without a key, 403 with another's; every route that answers stands in the description, and none else does."""
    with serving(stage) as desk:
        described = desk.ask("GET", "/openapi.json", key=None).json()["paths"]
        app = desk._serving.config.app
        live = {(route.path, method) for route in app.routes for method in route.methods - {"HEAD"}}
        assert {(path, method.upper()) for path, way in described.items() for method in way} == live
        for prefix, spec in product(PREFIXES, ROUTES):
            if spec.scope == "public":
                continue
            path, body = prefix + spec.path, None if spec.takes is None else BRIEF
            problem(desk.ask(spec.method, path, body, key=None), 401, "unauthorized")
            if spec.scope == "admin" or spec.operator:
                problem(desk.ask(spec.method, path, body, key="generate"), 403, "forbidden")
            if spec.operator:
                problem(desk.ask(spec.method, path, body, key="ann"), 403, "forbidden")
        for path in ("/debug", "/console", "/admin", "/.env", "/server-status", "/redoc"):
            problem(desk.ask("GET", path), 404, "not_found")


@client("S10", "clients that read nothing of their streams")
def s10(stage: Stage) -> None:
    """The provider is not read on, little is held for each, and after its time (30 s) the connection is cut."""
    count, bound_s = (500, 5.0) if stage.whole else (20, 1.0)
    with (
        serving(stage, "pouring", stalled_s=bound_s, streams=count, in_flight=count) as desk,
        ExitStack() as held,
    ):
        desk.ask(path="/v11/generate/stream", body=BRIEF)
        before = system.rss_bytes() or 0
        poured = desk.pouring.poured
        gate = desk._serving.config.app.state.answers._holdings.gate
        for number in range(count):
            one = held.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            one.connect(("127.0.0.1", desk.port))
            body = json.dumps({**BRIEF, "seed": number + 1}).encode()
            one.sendall(post(body=body).replace(b"/v11/generate ", b"/v11/generate/stream "))
        began = time.monotonic()
        _until(lambda: desk.pouring.begun > count)
        time.sleep(bound_s / 2)
        each = (desk.pouring.poured - poured) / count
        grown = (system.rss_bytes() or 0) - before
        stage.note(
            f"of {desk.pouring.most} characters {each:.0f} were read for each; memory grew by {grown / 2**20:.1f} MiB"
        )
        assert each <= desk.pouring.most / 4, each
        assert grown <= stage.slack * 100 * 2**20 * count / 500
        _until(lambda: gate.streams == 0, stage.slack * (bound_s + 2))
        stage.note(f"cut after {time.monotonic() - began:.1f} s")
