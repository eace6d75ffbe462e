"""The memory tier and what stands around it: bounds, age, codecs that are gone, caches that fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from copykit import CopywritingInput, CopywritingServiceV11, Settings
from copykit.accel import compress
from copykit.accel.compress import UnknownFormat
from copykit.caching.base import Cache
from copykit.caching.key import output_id, request_key
from copykit.caching.memory import MemoryCache
from copykit.caching.registry import cache_from, register_cache
from copykit.caching.results import Results
from copykit.cli.copy_view import receipt_line
from copykit.errors import ConfigurationError
from copykit.events import CacheFailed, CacheLooked
from copykit.models import CopywritingOutput
from copykit.settings import CacheSettings
from copykit.testing import FakeClock, RecordingHook
from copykit.testing.contracts import CacheContract


class TestMemoryCache(CacheContract):
    """The built-in tier keeps the contract of every tier."""

    def make(self) -> Cache:
        """Give room for a thousand entries."""
        return MemoryCache(1000, 10_000_000)


def run(work: Any) -> Any:
    """Run one coroutine."""
    return asyncio.run(work)


def test_an_entry_lives_as_long_as_it_was_given() -> None:
    """By the cache's own clock: there a moment before its time, gone at it."""
    clock = FakeClock()
    cache = MemoryCache(10, 10_000, clock=clock)

    async def story() -> tuple[bytes | None, bytes | None, bytes | None]:
        await cache.set("short", b"1", 10)
        await cache.set("long", b"2", 100)
        clock.advance(9.9)
        before = await cache.get("short")
        clock.advance(0.2)
        return before, await cache.get("short"), await cache.get("long")

    assert run(story()) == (b"1", None, b"2")


def test_entries_are_bounded() -> None:
    """A hundred sets into ten places leave at most ten, and the dropped ones are counted."""
    cache = MemoryCache(10, 1_000_000)

    async def story() -> dict[str, Any]:
        for number in range(100):
            await cache.set(str(number), b"x", 60)
        return cache.stats()

    counts = run(story())
    assert counts["entries"] <= 10
    assert counts["evictions"] == 100 - counts["entries"]


def test_bytes_are_bounded_and_a_giant_is_not_kept() -> None:
    """The sizes kept never exceed the bound; what alone exceeds it is not stored and throws nothing out."""
    cache = MemoryCache(1000, 5_000)

    async def story() -> tuple[bytes | None, bytes | None, int]:
        await cache.set("small", b"s" * 100, 60)
        await cache.set("giant", bytes(range(256)) * 4 * 10, 60)
        small = await cache.get("small")
        for number in range(100):
            await cache.set(f"k{number}", b"y" * 200, 60)
        return small, await cache.get("never"), cache.stats()["size_bytes"]

    small, never, size = run(story())
    assert small == b"s" * 100
    assert never is None
    assert size <= 5_000


def test_large_entries_are_packed_and_come_back_whole() -> None:
    """Ten thousand equal bytes take far less room than ten thousand, and the stats tell both."""
    cache = MemoryCache(10, 1_000_000)

    async def story() -> tuple[bytes | None, int]:
        await cache.set("a", b"a" * 10_000, 60)
        return await cache.get("a"), cache.stats()["size_bytes"]

    value, size = run(story())
    assert value == b"a" * 10_000
    assert size < 1_000
    written = cache.stats()
    assert written["plain_bytes"] == 10_000
    assert written["stored_bytes"] < 1_000


def test_an_entry_whose_codec_is_gone_is_a_miss_and_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the package that packed it was removed, the entry reads as never stored."""
    cache = MemoryCache(10, 1_000_000)

    def nothing_reads_it(blob: bytes) -> bytes:
        raise UnknownFormat("nothing installed here reads zstd")

    async def story() -> tuple[bytes | None, int]:
        await cache.set("a", b"a" * 10_000, 60)
        with monkeypatch.context() as patched:
            patched.setattr(compress, "decompress", nothing_reads_it)
            gone = await cache.get("a")
        return gone, cache.stats()["entries"]

    assert run(story()) == (None, 0)


def test_a_damaged_entry_is_a_miss_and_an_event() -> None:
    """Bytes that are no result never reach the caller: the request is answered anew."""

    class Damaged(MemoryCache):
        async def get(self, key: str) -> bytes | None:
            return b"\xff not a result"

    hook = RecordingHook()

    async def story() -> Any:
        async with CopywritingServiceV11(Settings(), cache=Damaged(10, 10_000)) as service:
            service.engine.add_hook(hook)
            return await service.generate({"product_description": "Oak bench", "target_platform": "x"})

    assert run(story()).cached is False
    assert [event.layer for event in hook.of(CacheFailed)] == ["memory"]
    assert [event.hit for event in hook.of(CacheLooked)] == [False]


def test_addresses_name_caches() -> None:
    """``memory://`` is built in, others can be registered, an unknown one is refused with the nearest."""
    assert isinstance(cache_from(CacheSettings()), MemoryCache)
    assert cache_from(CacheSettings(max_entries=0)) is None
    with pytest.raises(ConfigurationError, match="nearest: memory"):
        cache_from(CacheSettings(url="memry://"))
    mine = MemoryCache(1, 100)
    register_cache("mine", lambda settings: mine)
    assert cache_from(CacheSettings(url="mine://somewhere")) is mine


def test_the_key_is_what_shapes_the_answer() -> None:
    """Every field but the way of fetching changes the key."""

    def key(**changes: Any) -> str:
        fields = {"product_description": "Oak bench", "target_platform": "x", **changes}
        return request_key(CopywritingInput(**fields), target="phrasebank", versions={"prompt": "1"})

    base = key()
    assert key() == base
    assert key(cache="refresh", deadline_s=3) == base
    others = [
        key(seed=1), key(tone="warm"), key(language="es"), key(variants=2), key(creativity_level=0.1),
        key(brand={"name": "Tarn"}), key(fields={"text": {"limit": 100}}), key(facts={"a": 1}),
        key(facts={"a": "1"}), key(key_points=["a", "b"]), key(key_points=["b", "a"]),
        key(restrictions=["a"]), key(instructions="a"),
    ]  # fmt: skip
    assert len({base, *others}) == len(others) + 1


def test_the_key_depends_on_writer_revisions_and_tenant() -> None:
    """Another target, prompt revision or tenant never shares an entry."""
    request = CopywritingInput(product_description="Oak bench", target_platform="x")
    keys = {
        request_key(request, target=target, versions={"prompt": prompt}, tenant=tenant)
        for target in ("phrasebank", "other")
        for prompt in ("1", "2")
        for tenant in ("", "a")
    }
    assert len(keys) == 8


def test_ids_follow_key_and_row() -> None:
    """Equal keys give equal ids, rows of a batch differ."""
    assert output_id("k", None) == output_id("k", None)
    assert len({output_id("k", None), output_id("k", 1), output_id("k", 2), output_id("l", None)}) == 4


@pytest.mark.parametrize(
    ("cost", "told"), [(0.0125, "0 USD, saved 0.0125 USD"), (None, "0 USD, what it saved is unknown")]
)
def test_what_is_found_costs_nothing_and_says_what_it_saved(cost: float | None, told: str) -> None:
    """So that the costs of all results add up to the bill; the entry itself keeps what the writing cost."""

    async def story() -> list[CopywritingOutput]:
        asked = CopywritingInput(product_description="Oak desk", target_platform="x.post")
        async with CopywritingServiceV11(Settings()) as service:
            written = await service.generate(asked)
        written.usage.cost_usd = cost
        results = Results(MemoryCache(10, 100_000), 60.0, lambda event: None)
        await results.store("key", written)
        found = [await results.look_up("key") for _ in range(2)]
        return [output for output in found if output is not None]

    for found in run(story()):
        assert (found.cached, found.usage.cost_usd, found.receipt.saved_usd) == (True, 0.0, cost)
        assert told in receipt_line(found, 0.1)
