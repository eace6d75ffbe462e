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
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from enum import Enum
from random import Random
from typing import Any

from copykit.accel import compress as _compress
from copykit.accel.digest import Digest
from copykit.accel.fuzzy import Fuzzy
from copykit.accel.json import JsonCodec, StdlibJson
from copykit.accel.loop import LoopMaker
from copykit.accel.registry import expect
from copykit.accel.similarity import Similarity
from copykit.accel.store import StoreMaker
from copykit.accel.system import System

__all__ = [
    "CompressContract",
    "DigestContract",
    "FuzzyContract",
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
        """Holding 64 MiB more shows as at least half of that."""
        before = implementation.rss_bytes()
        block = b"\x01" * 2**26
        after = implementation.rss_bytes()
        expect(before is None or after is None or after - before > len(block) // 2, "does not see new memory")


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


async def _five() -> list[int]:
    async def one(n: int) -> int:
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: n)

    async with asyncio.timeout(30):
        return await asyncio.gather(*(one(n) for n in range(5)))


def _same(found: object, expected: object, about: object = "") -> None:
    expect(found == expected, f"{found!r} instead of {expected!r} {about!r}")


def _outcome(act: Any, argument: Any) -> str:
    try:
        return repr(act(argument))
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
