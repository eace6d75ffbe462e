"""Every candidate of every capability keeps its contract; absent ones are skipped with the reason."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from copykit.accel import compress, digest, fuzzy, json, loop, registry, similarity, store, system
from copykit.errors import ConfigurationError
from copykit.testing.accel import (
    CompressContract,
    DigestContract,
    FuzzyContract,
    JsonContract,
    LoopContract,
    SimilarityContract,
    StoreContract,
    SystemContract,
    json_values,
)


def candidates(capability):
    """Give a fixture over the built-in candidates of *capability*."""

    @pytest.fixture(params=registry.candidate_names(capability))
    def implementation(self, request):
        """One verified candidate."""
        try:
            return registry.load(capability, request.param)
        except ConfigurationError as error:
            pytest.skip(str(error))

    return implementation


class TestJson(JsonContract):
    """json: orjson, msgspec, pysimdjson and the standard library."""

    implementation = candidates("json")

    def test_tiny_and_huge_numbers_are_spelled_alike(self, implementation):
        """Also beside texts that look like them, which stay as they are."""
        definition = json.StdlibJson()
        for number in (6.6e-5, -1e-7, 0.00001234, 5e-324, 1e16, -1.5e300, 0.0001, 123456789012345680.0):
            for text in (
                "plain",
                "0.00001,",
                ":1e-5,",
                "[6.6e-5]",
                'a "quoted, 1e-5", end',
                "\\\\",
                'x\\",1e-5,',
            ):
                value = {text: number, "list": [number, text, number, {"in": number}], "pair": (text, number)}
                assert implementation.dumps(value) == definition.dumps(value)


class TestDigest(DigestContract):
    """digest: xxhash, blake3 and hashlib."""

    implementation = candidates("digest")


class TestCompress(CompressContract):
    """compress: zstandard, cramjam, lz4, blosc2 and zlib."""

    implementation = candidates("compress")


class TestStore(StoreContract):
    """store: moka and cachetools."""

    implementation = candidates("store")


class TestSimilarity(SimilarityContract):
    """similarity: numpy, numba, cupy and Python."""

    implementation = candidates("similarity")


class TestFuzzy(FuzzyContract):
    """fuzzy: rapidfuzz and Python."""

    implementation = candidates("fuzzy")


class TestSystem(SystemContract):
    """system: psutil and the standard library."""

    implementation = candidates("system")


class TestLoop(LoopContract):
    """loop: uvloop and asyncio."""

    implementation = candidates("loop")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    for name in registry.capability_names():
        monkeypatch.delenv(registry.variable(name), raising=False)
    registry.reset()
    yield
    registry.reset()


def usable(capability):
    """List the candidates of *capability* that work here."""
    names = []
    for name in registry.candidate_names(capability):
        try:
            registry.load(capability, name)
        except ConfigurationError:
            continue
        names.append(name)
    return names


def under_each(capability, act):
    """Run *act* under each usable candidate and give the results by name."""
    results = {}
    for name in usable(capability):
        with registry.override(capability, name):
            results[name] = act()
    assert results
    return results


def all_equal(results):
    """Tell whether every candidate gave the same."""
    values = list(results.values())
    return all(value == values[0] for value in values)


def test_json_functions_give_the_same_under_every_candidate():
    """
    `dumps` and `loads` answer alike whichever library is forced.
    """
    values = json_values(Random(11), 50)
    assert all_equal(under_each("json", lambda: [json.dumps(v) for v in values]))
    assert all_equal(under_each("json", lambda: [repr(json.loads(json.dumps(v))) for v in values]))


def test_fuzzy_functions_give_the_same_floats_and_order_under_every_candidate():
    """
    `similarity` gives identical floats and `closest` the same order, ties by position.
    """
    words = ["instagram", "facebook", "linkedin", "instagramm", "instagran", "x"]
    assert all_equal(under_each("fuzzy", lambda: [fuzzy.similarity(a, b) for a in words for b in words]))
    for result in under_each("fuzzy", lambda: fuzzy.closest("instagrm", words + words)).values():
        assert result == ["instagram", "instagramm", "instagran"]
    assert fuzzy.closest("zzz", words) == []
    assert fuzzy.similarity("", "") == 1.0


def test_similarity_functions_give_the_same_under_every_candidate():
    """
    `dots` and `nearest` are exact under every candidate, small or large, ties by row.
    """
    random = Random(12)
    vectors = [[random.randrange(5) for _ in range(40)] for _ in range(60)]
    assert all_equal(under_each("similarity", lambda: similarity.dots(vectors)))
    nearest = under_each("similarity", lambda: similarity.nearest(vectors[3], vectors, 5))
    assert all_equal(nearest)
    row = [sum(a * b for a, b in zip(vectors[3], v, strict=True)) for v in vectors]
    expected = sorted(enumerate(row), key=lambda pair: (-pair[1], pair[0]))[:5]
    assert next(iter(nearest.values())) == expected


def test_products_beyond_64_bits_stay_exact():
    """
    Sums that no machine integer holds are computed by Python under every candidate.
    """
    huge = [[2**40, 2**70], [-(2**70), 3]]
    expected = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in huge] for x in huge]
    assert set(map(str, under_each("similarity", lambda: similarity.dots(huge)).values())) == {str(expected)}


def test_odd_shapes_are_answered_or_refused():
    """
    No vectors and empty vectors have answers; unequal lengths are refused.
    """
    for result in under_each("similarity", lambda: (similarity.dots([]), similarity.dots([[], []]))).values():
        assert result == ([], [[0, 0], [0, 0]])
    assert similarity.nearest([1], [], 3) == []
    assert similarity.nearest([1], [[1]], 0) == []
    with pytest.raises(ValueError, match="equally long"):
        similarity.dots([[1, 2], [1]])


def test_small_products_choose_nothing_unless_forced():
    """
    Tiny inputs are computed in Python without choosing or loading a candidate.
    """
    assert similarity.dots([[1, 2], [3, 4]]) == [[5, 11], [11, 25]]
    assert {p.state for p in registry.probe("similarity")} <= {"absent", "present"}


def test_a_candidate_that_fails_at_work_is_replaced_and_the_call_goes_on():
    """
    A library that breaks after its self-test costs nothing but a note in the next choice.
    """

    class Broken(similarity._Numpy if "numpy" in usable("similarity") else similarity._Python):
        def product(self, left, right, largest):
            if len(left) > 10:
                raise MemoryError("device is full")
            return super().product(left, right, largest)

    similarity._broken_for_test = Broken
    try:
        broken = registry.Candidate("broken", None, "copykit.accel.similarity:_broken_for_test")
        registry.register_candidate("similarity", broken)
        assert registry.choose("similarity").candidate == "broken"
        vectors = [[n % 7, n % 5, 1] * 10 for n in range(60)]
        assert similarity.dots(vectors)[1][2] == 10 * (1 * 2 + 1 * 2 + 1)
        choice = registry.choose("similarity")
        assert choice.candidate != "broken"
        assert "device is full" in choice.reason
    finally:
        del similarity._broken_for_test


def test_compressed_bytes_are_read_under_any_other_candidate():
    """
    The header names the format, so what one candidate wrote every other reads.
    """
    data = "Comodidad y estilo para cada día. ".encode() * 30
    blobs = under_each("compress", lambda: compress.compress(data))
    for blob in blobs.values():
        assert len(blob) < len(data)
        assert all_equal(under_each("compress", lambda blob=blob: compress.decompress(blob)))
        assert compress.decompress(blob) == data


def test_what_does_not_shrink_is_stored_as_it_is():
    """
    Random and empty bytes come back, five bytes longer at most.
    """
    for data in (b"", b"a", Random(1).randbytes(500)):
        for blob in under_each("compress", lambda data=data: compress.compress(data)).values():
            assert len(blob) <= len(data) + 5
            assert compress.decompress(blob) == data


def test_a_reader_without_the_library_sees_a_miss(monkeypatch):
    """
    Formats whose library is absent, and unknown ones, raise a LookupError.
    """
    for module in ("zstandard", "cramjam", "lz4", "blosc2"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    for kind in (b"\x02", b"\x03", b"\x04", b"\xfe"):
        with pytest.raises(compress.UnknownFormat):
            compress.decompress(kind + bytes(9))


def test_damaged_and_oversized_blobs_are_refused_before_anything_is_allocated():
    """
    Cut, foreign or too large data is a ValueError.
    """
    blob = compress.compress(b"a" * 1000)
    for damaged in (b"", b"abc", blob[:-2], b"\x01" + bytes(20)):
        with pytest.raises(ValueError, match=r"damaged|short"):
            compress.decompress(damaged)
    with pytest.raises(ValueError, match="more than 999"):
        compress.decompress(blob, max_bytes=999)


def test_the_digest_of_the_module_is_that_of_the_choice():
    """
    `fingerprint` gives what the chosen candidate gives.
    """
    for name, number in under_each("digest", lambda: digest.fingerprint(b"abc")).items():
        assert number == registry.load("digest", name).fingerprint(b"abc")


def test_system_figures_agree_between_candidates():
    """
    Candidates read the same CPU count and total memory, and nearly the same memory in use.
    """
    assert all_equal(under_each("system", lambda: (system.cpu_count(), system.total_memory_bytes())))
    sizes = [size for size in under_each("system", system.rss_bytes).values() if size is not None]
    assert not sizes or max(sizes) < 1.2 * min(sizes)
    assert system.cpu_seconds() > 0


def test_run_uses_the_chosen_loop():
    """
    `loop.run` runs a coroutine on a loop of the forced kind and gives its result.
    """

    async def kind():
        import asyncio

        return type(asyncio.get_running_loop()).__module__.partition(".")[0]

    for name, module in under_each("loop", lambda: loop.run(kind())).items():
        assert module == name


def test_stores_refuse_senseless_bounds():
    """
    A bound below 1 is the caller's mistake.
    """
    for entries, size in ((0, 1), (1, 0), (-1, 5)):
        with pytest.raises(ValueError, match="at least 1"):
            store.new_store(max_entries=entries, max_bytes=size)


def test_services_of_threads_that_end_do_not_break_the_process() -> None:
    """A cache that is first wanted in a thread is one that outlives it: moka-py would crash a later thread."""
    program = (
        "import asyncio, threading\n"
        "from copykit import CopywritingServiceV11, Settings\n"
        "from copykit.accel.registry import chosen\n"
        "from copykit.settings import RoutingSettings\n"
        "async def story():\n"
        "    async with CopywritingServiceV11(Settings(routing=RoutingSettings(('phrasebank',)))) as service:\n"
        "        await service.generate({'product_description': 'Oak desk', 'target_platform': 'x'})\n"
        "        await service.get_performance_stats()\n"
        "for _ in range(12):\n"
        "    thread = threading.Thread(target=lambda: asyncio.run(story()))\n"
        "    thread.start(); thread.join()\n"
        "print(chosen('store').candidate)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "cachetools"), done.stderr[-500:]
