"""Contract classes: inherit one in a test module, provide what it asks for, and run pytest."""

from __future__ import annotations

import asyncio
from typing import Any

from copykit.brief.compile import compile_brief
from copykit.brief.prompt import build_prompt
from copykit.caching.base import Cache
from copykit.drafts.parse import parse
from copykit.models import CopywritingInput
from copykit.providers.base import Completion, Provider

__all__ = ["CacheContract", "ProviderContract"]


class CacheContract:
    """What every cache tier keeps. Override `make`; `make_small` bounds it to a few entries."""

    def make(self) -> Cache:
        """Give an empty cache with room for a thousand small entries."""
        raise AssertionError("override make()")

    def test_what_was_set_is_given_back_byte_for_byte(self) -> None:
        """Bytes come back as they went in, whatever they hold and however long they are."""
        values = {"a": b"", "b": b"\x00\xff" * 10, "c": "ñ中文".encode() * 3000}

        async def story() -> dict[str, bytes | None]:
            """Set all, then get all."""
            cache = self.make()
            for key, value in values.items():
                await cache.set(key, value, 60)
            found = {key: await cache.get(key) for key in values}
            await cache.aclose()
            return found

        assert asyncio.run(story()) == values

    def test_an_unknown_key_is_a_miss(self) -> None:
        """Asking for what was never set gives None."""
        assert asyncio.run(self.make().get("never")) is None

    def test_clear_forgets_everything(self) -> None:
        """After clear nothing is found."""

        async def story() -> bytes | None:
            """Set, clear, get."""
            cache = self.make()
            await cache.set("a", b"1", 60)
            await cache.clear()
            return await cache.get("a")

        assert asyncio.run(story()) is None

    def test_a_later_value_replaces_the_earlier_one(self) -> None:
        """Setting a key again keeps only the new value."""

        async def story() -> bytes | None:
            """Set twice, then get."""
            cache = self.make()
            await cache.set("a", b"1", 60)
            await cache.set("a", b"2", 60)
            return await cache.get("a")

        assert asyncio.run(story()) == b"2"

    def test_the_counts_tell_hits_from_misses(self) -> None:
        """One hit and one miss are counted as such."""

        async def story() -> dict[str, Any]:
            """Get a known key and an unknown one."""
            cache = self.make()
            await cache.set("a", b"1", 60)
            await cache.get("a")
            await cache.get("b")
            return cache.stats()

        counts = asyncio.run(story())
        assert (counts["hits"], counts["misses"]) == (1, 1)


class ProviderContract:
    """What every provider keeps. Override `make`."""

    request = CopywritingInput(
        product_description="Oak desk, 120x60 cm, oiled surface", target_platform="x.post", variants=2
    )

    def make(self) -> Provider:
        """Give a provider that can answer `request`."""
        raise AssertionError("override make()")

    def complete(self) -> Completion:
        """Ask for `request` once."""
        prompt = build_prompt(compile_brief(self.request), nonce="0123456789abcdef")
        return asyncio.run(self.make().complete(prompt))

    def test_it_has_a_short_name(self) -> None:
        """The name is the first half of ``name:model`` and holds no colon."""
        assert self.make().name.isidentifier()

    def test_its_answer_holds_drafts(self) -> None:
        """The completion carries drafts, or text that parses into drafts, with the placement's fields."""
        completion = self.complete()
        drafts = completion.drafts or parse(completion.text, compile_brief(self.request))
        assert drafts
        assert all("text" in draft.fields for draft in drafts)

    def test_it_says_which_model_answered_and_what_was_spent(self) -> None:
        """Model and usage are given; unknown numbers are None, never negative."""
        completion = self.complete()
        assert completion.model
        assert completion.usage is not None
        assert (completion.usage.input_tokens or 0) >= 0
