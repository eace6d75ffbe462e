"""What every candidate of a capability must do, as test classes to inherit.

A candidate's test file inherits the class of its capability and defines a fixture ``implementation`` that
gives one; the ``test_`` methods do the rest. pytest is not needed to import this module::

    class TestMine(JsonContract):
        @pytest.fixture
        def implementation(self):
            return MyCodec()
"""

from __future__ import annotations

import asyncio
import re
import socket
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from enum import Enum
from random import Random
from typing import Any

from copykit.accel import compress as _compress
from copykit.accel.digest import Digest
from copykit.accel.fuzzy import Fuzzy
from copykit.accel.http import HttpClient, HttpMaker
from copykit.accel.json import JsonCodec, StdlibJson
from copykit.accel.loop import LoopMaker
from copykit.accel.registry import expect
from copykit.accel.similarity import Similarity
from copykit.accel.store import StoreMaker
from copykit.accel.system import System
from copykit.errors import (
    ConfigurationError,
    CopykitError,
    Overloaded,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderTLSError,
    ProviderUnavailable,
    TruncatedStream,
)
from copykit.testing.servers import Received, ScriptedServer, Step, answer, chunked, close, hang, raw, reset

__all__ = [
    "CompressContract",
    "DigestContract",
    "FuzzyContract",
    "HttpContract",
    "JsonContract",
    "LoopContract",
    "SimilarityContract",
    "StoreContract",
    "SystemContract",
    "json_values",
]


class _Colour(Enum):
    RED = "red"


class _Price(float):
    pass


def json_values(random: Random, count: int) -> list[Any]:
    """Give *count* values of JSON's own types, odd floats, integers and texts among them."""
    texts = [
        "",
        "a",
        "e-commerce",
        "1e-7",
        "0.0000",
        "ñandú",
        "مرحبا",
        "日本語",
        "👟",
        '"\\/',
        "\u2028\x7f\x00\x1f",
        "null",
    ]
    floats = [
        0.0,
        -0.0,
        0.1,
        1e-4,
        9.99e-5,
        1e-7,
        5e-324,
        1e15,
        1e16,
        1e21,
        1e22,
        1.7976931348623157e308,
        -2.5e-9,
    ]
    integers = [0, -1, 7, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30]

    def one(depth: int) -> Any:
        kind = random.randrange(9 if depth else 7)
        if kind < 2:
            return random.choice(texts) + random.choice(texts)
        if kind == 2:
            return random.choice([*integers, random.getrandbits(70)])
        if kind == 3:
            return random.choice([*floats, random.uniform(-1, 1) * 10.0 ** random.randint(-20, 25)])
        if kind < 7:
            return random.choice([None, True, False, 1, "x"])
        size = random.randrange(5)
        if kind == 7:
            return [one(depth - 1) for _ in range(size)]
        return {random.choice(texts) + str(n): one(depth - 1) for n in range(size)}

    return [one(4) for _ in range(count)]


class JsonContract:
    """Same bytes and same values as the standard library, for sound and for odd input."""

    def test_values_encode_to_the_same_bytes(self, implementation: JsonCodec) -> None:
        """Whatever is of JSON's own types encodes to the bytes of the standard library."""
        for value in json_values(Random(1), 400):  # noqa: S311
            _same(implementation.dumps(value), StdlibJson().dumps(value))

    def test_encoded_values_come_back(self, implementation: JsonCodec) -> None:
        """What was encoded decodes to an equal value of equal types, from bytes and from text."""
        for value in json_values(Random(2), 400):  # noqa: S311
            data = StdlibJson().dumps(value)
            _same(repr(implementation.loads(data)), repr(value))
            _same(repr(implementation.loads(data.decode())), repr(value))

    def test_other_types_encode_alike_or_are_refused_alike(self, implementation: JsonCodec) -> None:
        """Tuples, subclasses, odd keys, enumerations and UUIDs have one form; the rest is a TypeError."""
        odd: list[Any] = [
            (1, 2), {1: "a"}, {None: 1, True: 2, 1e-7: 3}, _Colour.RED, uuid.UUID(int=5), _Price(0.5),
            {"a": float("nan"), "b": [float("inf"), -float("inf")]}, [_Price("nan")], {"x": (_Colour.RED,)},
            {1, 2}, b"x", bytearray(b"x"), object(), date(2026, 1, 2), Decimal("1.5"), {"a": {1}}, 1j,
            {(1, 2): 3}, "\ud800", {"\ud800": 1},
        ]  # fmt: skip
        for value in odd:
            _same(_outcome(implementation.dumps, value), _outcome(StdlibJson().dumps, value))

    def test_a_value_that_holds_itself_is_refused(self, implementation: JsonCodec) -> None:
        """A list inside itself is a ValueError, as is nesting beyond what the interpreter can follow."""
        knot: list[Any] = [1]
        knot.append(knot)
        _same(_outcome(implementation.dumps, knot), "ValueError")

    def test_odd_documents_decode_alike_or_are_refused_alike(self, implementation: JsonCodec) -> None:
        """Duplicate keys, huge numbers, bad escapes and byte order marks have one outcome."""
        documents: list[bytes | str] = [
            b'{"a":1,"a":2}', b"12345678901234567890123", b"[18446744073709551616]",
            b"-9223372036854775809", b"-0", b"-0.0", b"1e400", b"NaN", b"[Infinity]", b"-Infinity",
            b'"\\ud800"', '"\ud800"', b"\xef\xbb\xbf1", "\ufeff1", b'"\x01"', b"1 2", b"", b" ", b"[1,]",
            b"01", b'"\xff"', b"'a'", b"{a:1}", b"[1", b"\x00", b'{"a":1}x', b"tru", b"1.", b".5", b"+1",
            b"0x1", b'"\\x41"', b" [1 , 2 ]\r\n\t", '"é"', b"1E5", b'"1234567890123456789012"',
            b"1.00000000000000000000000000001", '{"a":1}'.encode("utf-16"),
        ]  # fmt: skip
        for document in documents:
            _same(_outcome(implementation.loads, document), _outcome(StdlibJson().loads, document), document)

    def test_damaged_documents_decode_alike_or_are_refused_alike(self, implementation: JsonCodec) -> None:
        """A document with one byte changed has the standard library's outcome."""
        random = Random(3)  # noqa: S311
        for value in json_values(random, 300):
            data = bytearray(StdlibJson().dumps(value))
            data[random.randrange(len(data))] = random.choice(b'{}[]",:0eE-+. \\u\x80')
            _same(
                _outcome(implementation.loads, bytes(data)), _outcome(StdlibJson().loads, bytes(data)), data
            )

    def test_threads_may_share_it(self, implementation: JsonCodec) -> None:
        """Four threads encoding and decoding at once get their own answers."""
        values = json_values(Random(4), 200)  # noqa: S311
        with ThreadPoolExecutor(4) as pool:
            back = list(pool.map(lambda v: implementation.loads(implementation.dumps(v)), values * 4))
        _same([repr(v) for v in back], [repr(v) for v in values * 4])


class DigestContract:
    """Stable within the process and spread; never equal between candidates."""

    def test_equal_bytes_give_equal_numbers(self, implementation: Digest) -> None:
        """The number depends on nothing but the bytes, and is 64 bits wide."""
        for size in (0, 1, 63, 64, 65, 1000, 100_000):
            number = implementation.fingerprint(bytes(size))
            _same(number, implementation.fingerprint(bytes(size)))
            expect(0 <= number < 2**64, f"{number} is not of 64 bits")

    def test_numbers_are_spread(self, implementation: Digest) -> None:
        """20,000 near-equal texts give as many numbers, and every bit is set in about half of them."""
        numbers = [implementation.fingerprint(b"headline %d" % n) for n in range(20_000)]
        _same(len(set(numbers)), len(numbers))
        for bit in range(64):
            share = sum(number >> bit & 1 for number in numbers) / len(numbers)
            expect(0.45 < share < 0.55, f"bit {bit} is set in {share:.0%}")


class CompressContract:
    """What is packed comes back, through the module's own reader."""

    def test_what_is_packed_comes_back(self, implementation: _compress.Compressor) -> None:
        """Empty, short, repeated, random and long input survives."""
        random = Random(5)  # noqa: S311
        for data in (b"", b"a", bytes(70_000), random.randbytes(5000), b"Zapatos. " * 300):
            with_header = implementation.format + len(data).to_bytes(4, "big") + implementation.pack(data)
            if data:
                _same(_compress.decompress(with_header), data)

    def test_repeated_text_shrinks(self, implementation: _compress.Compressor) -> None:
        """A phrase repeated forty times takes less than half."""
        data = b"Comfort and style for every day. " * 40
        expect(len(implementation.pack(data)) < len(data) / 2, "hardly compresses")

    def test_damaged_data_is_an_error_or_another_length(self, implementation: _compress.Compressor) -> None:
        """Cut or lengthened data is a ValueError, never a wrong answer."""
        data = b"Comfort and style for every day. " * 40
        blob = implementation.format + len(data).to_bytes(4, "big") + implementation.pack(data)
        wrong_length = implementation.format + (len(data) - 1).to_bytes(4, "big") + implementation.pack(data)
        for damaged in (blob[:-3], blob[:5], wrong_length):
            _same(_outcome(_compress.decompress, damaged), "ValueError", damaged)

    def test_threads_may_share_it(self, implementation: _compress.Compressor) -> None:
        """Four threads packing at once get their own data back."""
        inputs = [f"Text {n}. ".encode() * 200 for n in range(60)]
        with ThreadPoolExecutor(4) as pool:
            packed = list(pool.map(implementation.pack, inputs))
        for data, body in zip(inputs, packed, strict=True):
            _same(_compress.decompress(implementation.format + len(data).to_bytes(4, "big") + body), data)


class StoreContract:
    """Bounds, ages and counts hold, whatever is forgotten first."""

    def test_what_fits_is_kept(self, implementation: StoreMaker) -> None:
        """Values come back as the same objects, the newest under each key."""
        store = implementation.new(10, 1000, lambda: 0.0)
        value = [1]
        store.set("a", [0], 10)
        store.set("a", value, 20)
        expect(store.get("a") is value, "gives another object")
        _same(store.get("b"), None)
        held = store.stats()
        _same((held.hits, held.misses, held.evictions, held.entries, held.size_bytes), (1, 1, 0, 1, 20))

    def test_bounds_hold_at_every_moment(self, implementation: StoreMaker) -> None:
        """Neither entries nor bytes exceed their bound after any of 2,000 insertions of changing size."""
        random = Random(6)  # noqa: S311
        store = implementation.new(20, 3000, lambda: 0.0)
        for n in range(2000):
            store.set(str(random.randrange(200)), n, random.randrange(1, 400))
            held = store.stats()
            expect(held.entries <= 20 and held.size_bytes <= 3000, f"holds {held}")
        expect(store.stats().evictions > 100, "counts no evictions")

    def test_a_value_larger_than_the_store_is_not_kept(self, implementation: StoreMaker) -> None:
        """It takes nothing else's place, and the old value under its key is gone."""
        store = implementation.new(10, 100, lambda: 0.0)
        store.set("a", 1, 50)
        store.set("b", 2, 10)
        store.set("a", 3, 101)
        _same((store.get("a"), store.get("b")), (None, 2))
        store.set("exact", 4, 90)
        expect(store.stats().size_bytes <= 100, "exceeds its bound")

    def test_entries_expire_by_the_given_clock(self, implementation: StoreMaker) -> None:
        """An entry lives shorter than its time and not a moment longer; without one it stays."""
        now = [100.0]
        store = implementation.new(10, 1000, lambda: now[0])
        store.set("short", 1, 1, 5.0)
        store.set("long", 2, 1, 50.0)
        store.set("ever", 3, 1)
        now[0] = 104.9
        _same((store.get("short"), store.get("long"), store.get("ever")), (1, 2, 3))
        now[0] = 105.0
        _same((store.get("short"), store.get("long"), store.get("ever")), (None, 2, 3))
        now[0] = 1e9
        _same((store.get("long"), store.get("ever")), (None, 3))
        held = store.stats()
        _same((held.entries, held.evictions), (1, 0))

    def test_deleting_and_clearing_forget(self, implementation: StoreMaker) -> None:
        """Deleting tells whether there was something; clearing leaves nothing and keeps the counts."""
        store = implementation.new(10, 1000, lambda: 0.0)
        for key in "abc":
            store.set(key, key, 10)
        _same((store.delete("a"), store.delete("a"), store.get("a")), (True, False, None))
        store.clear()
        held = store.stats()
        _same((store.get("b"), held.entries, held.size_bytes, held.evictions), (None, 0, 0, 0))

    def test_threads_may_share_it(self, implementation: StoreMaker) -> None:
        """Four threads writing and reading never see another key's value, and the bounds hold."""
        store = implementation.new(50, 5000, lambda: 0.0)

        def work(seed: int) -> None:
            random = Random(seed)  # noqa: S311
            for _ in range(500):
                key = str(random.randrange(100))
                store.set(key, key, random.randrange(1, 200))
                expect(store.get(key) in (None, key), "gives another key's value")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        held = store.stats()
        expect(0 <= held.entries <= 50 and 0 <= held.size_bytes <= 5000, f"holds {held}")


class SimilarityContract:
    """Exact products, small and large."""

    def test_products_are_exact(self, implementation: Similarity) -> None:
        """Random integers from tiny to the edge of 64 bits give what Python's integers give."""
        random = Random(7)  # noqa: S311
        for bits in (1, 8, 20, 26, 29):
            width = 8
            left = [[random.randrange(-(2**bits), 2**bits) for _ in range(width)] for _ in range(7)]
            right = [[random.randrange(-(2**bits), 2**bits) for _ in range(width)] for _ in range(5)]
            expected = [[sum(map(int.__mul__, a, b)) for b in right] for a in left]
            _same(_rows(implementation.product(left, right, width * 4**bits)), expected)
            square = [[sum(map(int.__mul__, a, b)) for b in left] for a in left]
            _same(_rows(implementation.product(left, left, width * 4**bits)), square)

    def test_results_are_plain_integers(self, implementation: Similarity) -> None:
        """What ``tolist`` gives holds Python integers."""
        rows = _rows(implementation.product([[1, 2]], [[3, 4], [5, 6]], 100))
        _same([[type(n) for n in row] for row in rows], [[int, int]])


class FuzzyContract:
    """Same distances as counting by hand."""

    def test_distances_equal_those_of_the_textbook(self, implementation: Fuzzy) -> None:
        """Random texts, longer than a machine word too, have the distance of the plain LCS table."""
        random = Random(8)  # noqa: S311
        for alphabet in ("ab", "abcdef ", "añ👟日"):
            for _ in range(60):
                a = "".join(random.choices(alphabet, k=random.randrange(0, 90)))
                b = "".join(random.choices(alphabet, k=random.randrange(0, 90)))
                _same(implementation.distance(a, b), _indel(a, b), (a, b))

    def test_distances_are_symmetric_and_zero_for_equals(self, implementation: Fuzzy) -> None:
        """Order does not matter, and only equal texts have no distance."""
        for a, b in (("", ""), ("Comodidad", "comodidad"), ("e\u0301", "é"), ("a\x00b", "ab")):
            _same(implementation.distance(a, b), implementation.distance(b, a))
            _same(implementation.distance(a, b) == 0, a == b)


class SystemContract:
    """Plausible figures of this process."""

    def test_figures_are_plausible(self, implementation: System) -> None:
        """Memory in use is between a megabyte and the whole; there is at least one CPU."""
        rss, total = implementation.rss_bytes(), implementation.total_memory_bytes()
        expect(rss is None or rss > 2**20, f"{rss} bytes in use")
        expect(total is None or total > 2**26, f"{total} bytes in all")
        expect(rss is None or total is None or rss < total, "more in use than there is")
        expect(implementation.cpu_count() >= 1, "no CPU")

    def test_cpu_time_grows_with_work(self, implementation: System) -> None:
        """Computing costs CPU time, and time never goes back."""
        before = implementation.cpu_seconds()
        while implementation.cpu_seconds() <= before:
            sum(range(10_000))

    def test_memory_in_use_grows_when_it_is_used(self, implementation: System) -> None:
        """Holding 64 MiB more shows as at least half of that; in a process of its own, where nobody else frees memory."""
        import subprocess
        import sys

        kind = type(implementation)
        code = (
            "from importlib import import_module\n"
            f"system = getattr(import_module({kind.__module__!r}), {kind.__qualname__!r})()\n"
            "before = system.rss_bytes()\n"
            "block = bytes([1]) * 2**26\n"
            "after = system.rss_bytes()\n"
            "seen = before is None or after is None or after - before > len(block) // 2\n"
            "raise SystemExit(not seen)"
        )
        ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)  # noqa: S603 -- our own code
        expect(ended.returncode == 0, "does not see new memory")


class LoopContract:
    """A loop that runs coroutines, tasks, timers and threads."""

    def test_a_new_loop_runs_coroutines(self, implementation: LoopMaker) -> None:
        """Tasks, timeouts and work in threads end with their results, on a loop that then closes."""
        with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
            _same(runner.run(_five()), [0, 1, 2, 3, 4])

    def test_every_loop_is_new(self, implementation: LoopMaker) -> None:
        """Two calls give two loops, neither of them running."""
        first, second = implementation.new_event_loop(), implementation.new_event_loop()
        try:
            expect(first is not second and not first.is_running(), "gives a loop in use")
        finally:
            first.close()
            second.close()


_KEY = "sk-canary-0123456789abcdef"
_Test = Callable[[HttpClient, ScriptedServer], Awaitable[None]]


class HttpContract:
    """One exchange, bounded, cancellable, and failing in the words of the error tree."""

    def test_a_request_arrives_as_it_was_given(self, implementation: HttpMaker) -> None:
        """Method, target, headers and body reach the server byte for byte; nothing but the few own headers is added."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            path = "/v1beta/models/a%2Fb:generate?alt=sse&x=%20y"
            given = {
                "Authorization": f"Bearer {_KEY}",
                "content-type": "application/json",
                "x-odd": 'a  b;c="d"',
            }
            reply = await client.request(
                "POST", server.url + path, headers=given, body=b"{}\r\n\x00\xff", timeout_s=30
            )
            _same((reply.status, reply.body), (200, b'{"a": 1}'))
            _same(reply.headers["x-two"], "Last")
            await client.request("GET", server.url, headers={"user-agent": "mine"}, timeout_s=30)
            first, second = server.requests
            _same((first.method, first.path, first.body), ("POST", path, b"{}\r\n\x00\xff"))
            own = {
                "host": f"127.0.0.1:{server.port}", "accept-encoding": "identity", "content-length": "6",
                "user-agent": "copykit",
            }  # fmt: skip
            _same(dict(first.headers), {k.lower(): v for k, v in given.items()} | own)
            _same((second.method, second.path, second.body), ("GET", "/", b""))
            _same(
                dict(second.headers),
                {k: own[k] for k in ("host", "accept-encoding")} | {"user-agent": "mine"},
            )

        head = b"HTTP/1.1 200 OK\r\nX-Two: first\r\nX-TWO: Last\r\nContent-Length: 8\r\n\r\n"
        _run(implementation, [raw(head + b'{"a": 1}', then="keep"), answer()], _act)

    def test_every_status_is_an_answer(self, implementation: HttpMaker) -> None:
        """Refusals come back with their body, redirects as they are: nobody goes where they point."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            async with ScriptedServer([answer()]) as other:
                statuses = (200, 204, 301, 302, 307, 308, 304, 400, 401, 404, 429, 500, 503, 529)
                for status in statuses:
                    server.then(
                        answer(
                            status, {"location": other.url + "/x"}, b"" if status in (204, 304) else b"why"
                        )
                    )
                for status in statuses:
                    reply = await client.request(
                        "POST", server.url, headers={"x-api-key": _KEY}, body=b"{}", timeout_s=30
                    )
                    _same((reply.status, reply.body), (status, b"" if status in (204, 304) else b"why"))
                _same((other.connections, len(server.requests)), (0, len(statuses)))

        _run(implementation, [], _act)

    def test_a_connection_serves_again(self, implementation: HttpMaker) -> None:
        """Answers of every framing leave the connection to the next request; one that said close does not."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            for body in (b"abc", b"", b"abcdef", b"last", b"new"):
                reply = await client.request("POST", server.url, headers={}, body=b"{}", timeout_s=30)
                _same(reply.body, body)
            _same([r.connection for r in server.requests], [1, 1, 1, 1, 2])

        steps = [
            answer(body=b"abc"), answer(204), chunked(b"abc", b"def"),
            answer(headers={"connection": "close"}, body=b"last"), answer(body=b"new"),
        ]  # fmt: skip
        _run(implementation, steps, _act)

    def test_no_more_connections_than_allowed(self, implementation: HttpMaker) -> None:
        """Twelve calls over three connections all get their own answers; nobody waits beyond his time."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            calls = [_echo(client, server, str(n)) for n in range(12)]
            await asyncio.gather(*calls)
            _same(server.connections, 3)
            server.then(hang())
            server.then(hang())
            held = [asyncio.create_task(_post(client, server, body=b"hold")) for _ in range(3)]
            await server.until(lambda: len(server.requests) == 15)
            await _fails(Overloaded, client.request("POST", server.url, headers={}, timeout_s=0.05))
            await _cancelled(held)
            await _echo(client, server, "after")
            _same(len(server.requests), 16)

        _run(implementation, _echoing, _act, connections=3)

    def test_cancelling_while_connecting_costs_no_capacity(self, implementation: HttpMaker) -> None:
        """Requests given up before the connection stood, in TCP and in TLS, leave the client whole."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            with _black_hole() as hole:
                for _ in range(3):
                    tasks = [
                        asyncio.create_task(
                            client.request("POST", hole, headers={}, timeout_s=30, connect_s=20)
                        )
                        for _ in range(2)
                    ]
                    await asyncio.sleep(0.02)
                    await _cancelled(tasks)
            async with ScriptedServer([Step((), "hang", early=True)]) as deaf:
                secure = deaf.url.replace("http:", "https:")
                for _ in range(3):
                    before = deaf.connections
                    tasks = [
                        asyncio.create_task(
                            client.request("POST", secure, headers={}, timeout_s=30, connect_s=20)
                        )
                        for _ in range(2)
                    ]
                    await deaf.until(lambda wanted=before + 2: deaf.connections == wanted)  # type: ignore[misc]
                    await _cancelled(tasks)
                await deaf.until(lambda: deaf.open == 0)
            await asyncio.gather(*(_echo(client, server, str(n)) for n in range(8)))

        _run(implementation, _echoing, _act, connections=2)

    def test_cancelling_while_reading_closes_the_socket(self, implementation: HttpMaker) -> None:
        """Waiting for the head or within the body: the server sees the connection end, and the client is whole."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            half = answer(body=b"x" * 100).acts[0]
            assert isinstance(half, bytes)
            async with ScriptedServer([hang(), hang(), Step((half[:-50],), "hang")]) as slow:
                for _ in range(4):
                    before = len(slow.requests)
                    tasks = [asyncio.create_task(_post(client, slow)) for _ in range(2)]
                    await slow.until(lambda wanted=before + 2: len(slow.requests) == wanted)  # type: ignore[misc]
                    await asyncio.sleep(0.01)
                    await _cancelled(tasks)
                    await slow.until(lambda: slow.open == 0)
            await asyncio.gather(*(_echo(client, server, str(n)) for n in range(8)))

        _run(implementation, _echoing, _act, connections=2)

    def test_cancelled_requests_never_leave_their_answers_to_others(self, implementation: HttpMaker) -> None:
        """Three hundred requests, every other cancelled at an arbitrary moment: the rest get their own answers."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            random = Random(9)  # noqa: S311

            async def _one(n: int) -> None:
                call = asyncio.create_task(_echo(client, server, str(n)))
                if n % 2:
                    await asyncio.sleep(random.uniform(0, 0.004))
                    await _cancelled([call])
                else:
                    await call

            for start in range(0, 300, 20):
                await asyncio.gather(*(_one(n) for n in range(start, start + 20)))

        def late(received: Received) -> Step:
            size = len(received.body)
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
            return Step((head, 0.001, received.body[: size // 2], 0.001, received.body[size // 2 :]))

        _run(implementation, late, _act, connections=4)

    def test_time_limits_hold(self, implementation: HttpMaker) -> None:
        """Whole time, connecting, first byte and gap: each ends the call and closes the socket."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            late = await _fails(ProviderTimeout, _post(client, server, timeout_s=0.1))
            _same(getattr(late, "after_s", None), 0.1)
            drip = await _fails(ProviderTimeout, _post(client, server, timeout_s=0.3))
            expect("not finished" in str(drip), str(drip))
            first = await _fails(ProviderTimeout, _stream(client, server, first_s=0.1))
            expect("not begun" in str(first), str(first))
            head = await _fails(ProviderTimeout, _stream(client, server, first_s=0.1))
            expect("not begun" in str(head), str(head))
            gap = await _fails(ProviderTimeout, _stream(client, server, gap_s=0.1))
            expect("added nothing" in str(gap), str(gap))
            await server.until(lambda: server.open == 0)
            _same(len(server.requests), 5)
            with _black_hole() as hole:
                slow = await _fails(
                    ProviderUnavailable,
                    client.request("POST", hole, headers={}, timeout_s=30, connect_s=0.1),
                )
            expect("no connection" in str(slow), str(slow))

        drops = [act for _ in range(3000) for act in (0.01, b"x")]
        steps = [
            hang(), chunked(*drops), hang(), chunked(end=False, then="hang"),
            chunked(b"a", end=False, then="hang"),
        ]  # fmt: skip
        _run(implementation, steps, _act)

    def test_a_consumer_may_take_its_time(self, implementation: HttpMaker) -> None:
        """The gap is measured while a piece is waited for, not while the last one is used."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            async with client.stream(
                "POST", server.url, headers={}, timeout_s=30, gap_s=0.2, first_s=30
            ) as stream:
                found = b""
                async for piece in stream:
                    found += piece
                    await asyncio.sleep(0.3)
            _same(found, b"ab")

        _run(implementation, [chunked(b"a", 0.05, b"b")], _act)

    def test_what_never_answered_is_unavailable(self, implementation: HttpMaker) -> None:
        """Refused, reset or closed before a head on a fresh connection: one try, no answer made up."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            for n in range(1, 4):
                await _fails(ProviderUnavailable, _post(client, server))
                _same(len(server.requests), n)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                nobody = f"http://127.0.0.1:{free.getsockname()[1]}/?key={_KEY}"
                refused = await _fails(
                    ProviderUnavailable, client.request("POST", nobody, headers={}, timeout_s=30)
                )
            expect("refused" in str(refused), str(refused))
            unknown = await _fails(
                ProviderUnavailable,
                client.request("POST", "http://nobody.invalid/", headers={}, timeout_s=30, connect_s=20),
            )
            expect("resolved" in str(unknown), str(unknown))

        half = raw(b"HTTP/1.1 200 OK\r\ncontent-le")
        _run(implementation, [close(), reset(), half], _act)

    def test_an_answer_cut_short_is_no_answer(self, implementation: HttpMaker) -> None:
        """Reset or closed within the body, of known length or in chunks: truncated, whatever had come."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            for n in range(1, 6):
                cut = await _fails(TruncatedStream, _post(client, server))
                _same((len(server.requests), getattr(cut, "status", 0)), (n, 200))
            pieces: list[bytes] = []
            await _fails(TruncatedStream, _stream(client, server, pieces=pieces))
            _same(b"".join(pieces), b"abc")
            await _echo(client, server, "after")

        def step(received: Received) -> Step:
            steps = [
                answer(headers={"content-length": "99"}, body=b"x" * 50, then="close"),
                reset(answer(body=b"x" * 100), after=120), chunked(b"abc", end=False, then="close"),
                raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc"),
                reset(chunked(b"x" * 100), after=150), chunked(b"a", 0.02, b"bc", end=False, then="close"),
            ]  # fmt: skip
            return _echoing(received) if received.body == b"after" else steps[len(server_count) - 1]

        server_count: list[int] = []

        def counted(received: Received) -> Step:
            server_count.append(1)
            return step(received)

        _run(implementation, counted, _act)

    def test_bodies_are_bounded(self, implementation: HttpMaker) -> None:
        """Too large by its own word or in fact: refused, and the socket closed; the limit itself passes."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            _same(len((await _post(client, server, limit=1000)).body), 1000)
            for _ in range(4):
                error = await _fails(ProviderProtocolError, _post(client, server, limit=1000))
                expect("more than 1000 bytes" in str(error), str(error))
            _same(len((await _post(client, server, limit=1000)).body), 1000)
            await server.until(lambda: server.open == 1)
            pieces: list[bytes] = []
            await _fails(ProviderProtocolError, _stream(client, server, limit=1000, pieces=pieces))
            expect(len(b"".join(pieces)) <= 1000, "gives more than the limit")

        endless = [b"y" * 65536] * 1000
        steps = [
            answer(body=b"x" * 1000), answer(body=b"x" * 1001),
            raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx", then="hang"),
            chunked(b"x" * 600, b"x" * 600), chunked(*endless), chunked(b"x" * 600, b"x" * 400),
            chunked(b"x" * 600, 0.02, b"x" * 600),
        ]  # fmt: skip
        _run(implementation, steps, _act)

    def test_what_is_no_http_is_refused(self, implementation: HttpMaker) -> None:
        """Garbage, broken chunks, endless heads and contradicting lengths are protocol errors, never an answer."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            for n in range(1, 10):
                await _fails(ProviderProtocolError, _post(client, server), note=f"garbage {n}")
            await _echo(client, server, "after")

        ok = b"HTTP/1.1 200 OK\r\n"
        garbage = [
            raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), raw(b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n"),
            raw(b"HTTP/1.1 abc OK\r\n\r\n"), raw(ok + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"),
            raw(ok + b"x: " + b"a" * 300_000 + b"\r\n\r\n"),
            raw(ok + b"".join(b"x-%d: %s\r\n" % (n, b"a" * 700) for n in range(110)) + b"content-length: 0\r\n\r\n"),
            raw(ok + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc"),
            raw(ok + b"content-length: -1\r\n\r\nabc"), raw(ok + b"no colon here\r\n\r\n"),
        ]  # fmt: skip
        _run(implementation, _first(garbage), _act)

    def test_encoded_bodies_are_refused_unread(self, implementation: HttpMaker) -> None:
        """What was asked for as it is and comes packed is a protocol error; `identity` said aloud is none."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            for _ in range(3):
                error = await _fails(ProviderProtocolError, _post(client, server))
                expect("encoded" in str(error), str(error))
            _same((await _post(client, server)).body, b"plain")

        steps = [
            answer(headers={"content-encoding": c}, body=b"\x1f\x8b\x08")
            for c in ("gzip", "br", "zstd, gzip")
        ]
        _run(implementation, [*steps, answer(headers={"content-encoding": "Identity"}, body=b"plain")], _act)

    def test_bytes_beyond_an_answer_are_nobodys(self, implementation: HttpMaker) -> None:
        """A server that sends more than it declared, even a second answer, does not get it to the next request."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            for _ in range(2):
                _same((await _post(client, server)).body, b"ok")
                await _echo(client, server, "mine")

        forged = answer(body=b"forged").acts[0]
        assert isinstance(forged, bytes)
        double = answer(headers={"content-length": "2"}, body=b"ok" + forged)
        tail = Step((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + forged,))

        def step(received: Received) -> Step:
            if received.body == b"mine":
                return _echoing(received)
            return pending.pop(0)

        pending = [double, tail]
        _run(implementation, step, _act)

    def test_a_connection_gone_stale_is_replaced_once(self, implementation: HttpMaker) -> None:
        """Closed while idle, or at the moment of use without a byte: the request is sent once more, on a fresh one."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            await _post(client, server)
            await server.until(lambda: server.open == 0)
            await _post(client, server)
            _same([r.connection for r in server.requests], [1, 2])
            _same((await _post(client, server)).body, b"again")
            _same([r.connection for r in server.requests], [1, 2, 2, 3])
            await _post(client, server)
            await _fails(ProviderUnavailable, _post(client, server))
            _same(len(server.requests), 7)

        steps = [
            answer(then="close"), answer(), close(), answer(body=b"again"), answer(), reset(), close(), answer(),
        ]  # fmt: skip
        _run(implementation, steps, _act)

    def test_an_answer_that_had_begun_is_not_asked_for_again(self, implementation: HttpMaker) -> None:
        """A reused connection that ends within the head has answered: no second request."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            await _post(client, server)
            await _fails(ProviderUnavailable, _post(client, server))
            _same(len(server.requests), 2)

        _run(implementation, [answer(), raw(b"HTTP/1.1 200 OK\r\nconte"), answer()], _act)

    def test_nothing_is_smuggled_into_a_request(self, implementation: HttpMaker) -> None:
        """Line breaks, control characters and framing headers are refused before anything is sent, values unsaid."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            bad_headers = [
                {"x-api-key": f"{_KEY}\r\nx-evil: 1"}, {"x-api-key": f"{_KEY}\n"}, {"x-api-key": f"{_KEY}\x00"},
                {"x-api-key": f"{_KEY}é"}, {f"x\r\nx-evil: {_KEY}": "1"}, {"x y": "1"}, {"": "1"}, {"x:": "1"},
                {"Content-Length": "0"}, {"transfer-encoding": "chunked"}, {"HOST": "other"}, {"accept-encoding": "gzip"},
                {"connection": "keep-alive"},
            ]  # fmt: skip
            for headers in bad_headers:
                await _fails(ConfigurationError, _post(client, server, headers=headers), note=repr(headers))
            bad_urls = [
                f"{server.url}/ x", f"{server.url}/\r\nx-evil: 1", f"{server.url}/é", "ftp://127.0.0.1/", "127.0.0.1/x",
                "http:///x", "http://127.0.0.1:99999/", f"http://user:{_KEY}@127.0.0.1/", "",
            ]  # fmt: skip
            for url in bad_urls:
                await _fails(
                    ConfigurationError, client.request("POST", url, headers={}, timeout_s=30), note=url
                )
            for method in ("GET /x HTTP/1.1\r\n", "", "P OST"):
                await _fails(ConfigurationError, client.request(method, server.url, headers={}, timeout_s=30))
            _same(server.connections, 0)

        _run(implementation, [answer()], _act)

    def test_a_stream_gives_pieces_as_they_come(self, implementation: HttpMaker) -> None:
        """Status and headers are there before the body, pieces before the end; `read` gives the rest."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            async with client.stream("POST", server.url, headers={}, body=b"{}", timeout_s=30) as stream:
                _same((stream.status, stream.headers["content-type"]), (200, "text/event-stream"))
                pieces = aiter(stream)
                _same(await anext(pieces), b"data: 1\n\n")
            await server.until(lambda: server.open == 0)
            async with client.stream("POST", server.url, headers={}, timeout_s=30) as stream:
                _same(await anext(aiter(stream)), b"one")
                _same((await stream.read(), await stream.read()), (b"twothree", b""))
            async with client.stream("POST", server.url, headers={}, timeout_s=30) as stream:
                _same((stream.status, await stream.read()), (429, b"slow down"))
            _same([r.connection for r in server.requests], [1, 2, 2])

        steps = [
            chunked(b"data: 1\n\n", end=False, then="hang"), chunked(b"one", 0.05, b"two", 0.01, b"three"),
            answer(429, body=b"slow down"),
        ]  # fmt: skip
        _run(implementation, steps, _act)

    def test_a_stream_that_failed_does_not_end_well_afterwards(self, implementation: HttpMaker) -> None:
        """Who reads on after a failure, or after leaving, is told again instead of seeing a whole answer."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            async def _twice(kind: type[CopykitError], **given: Any) -> None:
                call: dict[str, Any] = {"headers": {}, "timeout_s": 30.0, **given}
                async with client.stream("POST", server.url, **call) as stream:
                    first = await _fails(kind, stream.read())
                    second = await _fails(kind, stream.read())
                    expect(first is second, "tells something else the second time")

            await _twice(ProviderTimeout, gap_s=0.05)
            await _twice(TruncatedStream)
            await _twice(ProviderProtocolError, limit=5)
            async with client.stream("POST", server.url, headers={}, timeout_s=30) as stream:
                _same(await anext(aiter(stream)), b"abc")
            await _fails(TruncatedStream, stream.read())
            await server.until(lambda: server.open == 0)

        steps = [
            chunked(b"abc", end=False, then="hang"), chunked(b"abc", end=False, then="close"),
            chunked(b"abcdef", end=False, then="hang"), chunked(b"abc", end=False, then="hang"),
        ]  # fmt: skip
        _run(implementation, steps, _act)

    def test_leaving_a_stream_closes_its_connection(self, implementation: HttpMaker) -> None:
        """By a break, by an error of the caller or by cancelling: the server sees the end, and slots are free again."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            async def _leave(how: str) -> None:
                async with client.stream("POST", server.url, headers={}, timeout_s=30) as stream:
                    async for _ in stream:
                        if how == "error":
                            raise KeyError(how)
                        if how == "break":
                            break
                        await asyncio.sleep(30)

            for how in ("break", "error", "cancel", "break"):
                task = asyncio.create_task(_leave(how))
                if how == "cancel":
                    await server.until(lambda: server.open == 1)
                    await asyncio.sleep(0.02)
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await server.until(lambda: server.open == 0)
            _same(len(server.requests), 4)

        _run(implementation, [chunked(b"x", end=False, then="hang")], _act, connections=1)

    def test_tls_garbage_is_a_tls_error(self, implementation: HttpMaker) -> None:
        """A server that speaks something else where TLS was asked for is not talked to."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            secure = server.url.replace("http:", "https:")
            for _ in range(2):
                await _fails(ProviderTLSError, client.request("POST", secure, headers={}, timeout_s=30))
            _same(server.requests, [])

        _run(implementation, [raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", early=True)], _act)

    def test_another_event_loop_gets_connections_of_its_own(self, implementation: HttpMaker) -> None:
        """One client serves three loops, one after the other and one inside a thread; each closes what it opened."""
        client = implementation.new(connections=2, tls=None, proxies=False)

        async def _once(text: str) -> None:
            async with ScriptedServer(_echoing) as server:
                await _echo(client, server, text)

        asyncio.run(_once("a"))

        async def _nested() -> None:
            async with ScriptedServer(_echoing) as server:
                await _echo(client, server, "b")
                await asyncio.to_thread(lambda: asyncio.run(_once("c")))
                await _echo(client, server, "d")
                _same(server.connections, 1)

        asyncio.run(_nested())

    def test_a_closed_client_takes_no_more_calls(self, implementation: HttpMaker) -> None:
        """Its connections are gone, closing twice is nothing, and a call says that it is closed."""

        async def _act(client: HttpClient, server: ScriptedServer) -> None:
            await _echo(client, server, "a")
            await client.aclose()
            await server.until(lambda: server.open == 0)
            await client.aclose()
            try:
                await _echo(client, server, "b")
            except RuntimeError as error:
                expect("closed" in str(error), str(error))
            else:
                expect(False, "works on")

        _run(implementation, _echoing, _act)


def _echoing(received: Received) -> Step:
    return hang() if received.body == b"hold" else answer(body=received.body)


def _first(steps: list[Step]) -> Callable[[Received], Step]:
    left = list(steps)
    return lambda received: left.pop(0) if left else _echoing(received)


def _run(
    maker: HttpMaker,
    steps: list[Step] | Callable[[Received], Step],
    _act: _Test,
    *,
    connections: int = 4,
) -> None:
    async def main() -> None:
        client = maker.new(connections=connections, tls=None, proxies=False)
        async with asyncio.timeout(120), ScriptedServer(steps) as server:
            await _act(client, server)
            await client.aclose()

    asyncio.run(main())


def _post(client: HttpClient, server: ScriptedServer, **given: Any) -> Coroutine[Any, Any, Any]:
    call: dict[str, Any] = {"headers": {"x-api-key": _KEY}, "body": b"{}", "timeout_s": 30.0, **given}
    return client.request("POST", f"{server.url}/?key={_KEY}", **call)


async def _echo(client: HttpClient, server: ScriptedServer, text: str) -> None:
    _same((await _post(client, server, body=text.encode())).body, text.encode())


async def _stream(
    client: HttpClient, server: ScriptedServer, *, pieces: list[bytes] | None = None, **given: Any
) -> None:
    call: dict[str, Any] = {"headers": {"x-api-key": _KEY}, "timeout_s": 30.0, "first_s": 20.0, "gap_s": 20.0}
    async with client.stream("POST", server.url, **call | given) as stream:
        async for piece in stream:
            if pieces is not None:
                pieces.append(piece)


async def _fails(kind: type[CopykitError], call: Awaitable[object], note: str = "") -> CopykitError:
    try:
        got = await call
    except CopykitError as error:
        expect(isinstance(error, kind), f"{error!r} instead of {kind.__name__} {note}")
        seen: BaseException | None = error
        while seen is not None:
            expect(_KEY not in repr(seen) + str(seen), f"{type(seen).__name__} tells the key")
            expect(
                seen is error or re.fullmatch("builtins|ssl|socket", type(seen).__module__) is not None,
                f"carries {type(seen).__module__}.{type(seen).__name__}",
            )
            seen = seen.__cause__ or seen.__context__
        return error
    raise AssertionError(f"{got!r} instead of {kind.__name__} {note}")


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


@contextmanager
def _black_hole() -> Any:
    """Give a URL where connecting never ends: a listener whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            for filler in fillers:
                filler.close()


async def _five() -> list[int]:
    async def _one(n: int) -> int:
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: n)

    async with asyncio.timeout(30):
        return await asyncio.gather(*(_one(n) for n in range(5)))


def _same(found: object, expected: object, about: object = "") -> None:
    expect(found == expected, f"{found!r} instead of {expected!r} {about!r}")


def _outcome(_act: Any, argument: Any) -> str:
    try:
        return repr(_act(argument))
    except TypeError:
        return "TypeError"
    except ValueError:
        return "ValueError"


def _rows(result: Any) -> list[list[int]]:
    return result if isinstance(result, list) else list(result.tolist())


def _indel(a: str, b: str) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
    return len(a) + len(b) - 2 * row[-1]
