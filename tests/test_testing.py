"""The public fakes do what their docstrings say: other people's tests stand on them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from copykit import CopywritingServiceV11, Settings
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, build_prompt
from copykit.errors import ProviderTimeout
from copykit.events import AttemptFinished, CacheLooked, GenerationFinished
from copykit.models import CopywritingInput
from copykit.providers.base import Completion, Provider
from copykit.providers.phrasebank.provider import PhraseBank
from copykit.providers.registry import register_provider, unregister_provider
from copykit.settings import RoutingSettings
from copykit.testing import FakeClock, FakeProvider, RecordingHook, no_network
from copykit.testing.contracts import ProviderContract


class TestPhraseBank(ProviderContract):
    """The embedded writer keeps the contract of every provider."""

    def make(self) -> Provider:
        """Give the bank."""
        return PhraseBank()


class TestFakeProvider(ProviderContract):
    """So does the fake, once it has something to say."""

    def make(self) -> Provider:
        """Give a fake with one answer."""
        return FakeProvider().will_say({"text": "Tarn. An oak desk."})


def prompt() -> Prompt:
    """Give a small prompt."""
    request = CopywritingInput(product_description="Oak bench", target_platform="x.post")
    return build_prompt(compile_brief(request), nonce="0123456789abcdef")


def run(work: Any) -> Any:
    """Run one coroutine."""
    return asyncio.run(work)


def test_answers_come_in_order_and_the_last_repeats() -> None:
    """Texts, fields, completions and errors are queued; an empty queue says the last thing again."""
    provider = FakeProvider("mine", "mine-2").will_say(
        "plain",
        {"text": "field"},
        Completion(text="whole", model="other"),
        ProviderTimeout("late", after_s=3),
    )

    async def story() -> list[Completion]:
        return [await provider.complete(prompt()) for _ in range(3)]

    first, second, third = run(story())
    assert (first.text, first.model) == ("plain", "mine-2")
    assert '"text": "field"' in second.text
    assert (third.text, third.model) == ("whole", "other")
    for _ in range(2):
        with pytest.raises(ProviderTimeout, match="late"):
            run(provider.complete(prompt()))
    assert len(provider.asked) == 5
    assert provider.asked[0].brief.placement.id == "x.post"


def test_a_fake_with_nothing_to_say_fails_the_test() -> None:
    """It raises an AssertionError that says what to do."""
    with pytest.raises(AssertionError, match="will_say"):
        run(FakeProvider().complete(prompt()))


def test_the_gate_holds_every_answer() -> None:
    """Until the event is set nobody gets one; ``started`` tells that the provider was asked."""
    provider = FakeProvider().will_say("text")

    async def story() -> tuple[bool, bool, str]:
        provider.gate = asyncio.Event()
        asked = asyncio.create_task(provider.complete(prompt()))
        await provider.started.wait()
        await asyncio.sleep(0)
        waiting = asked.done()
        provider.gate.set()
        return waiting, asked.done(), (await asked).text

    assert run(story()) == (False, False, "text")


def test_the_clock_moves_only_when_told() -> None:
    """Asked twice it says the same; `advance` adds seconds."""
    clock = FakeClock(5)
    assert (clock(), clock()) == (5, 5)
    clock.advance(2.5)
    assert clock() == 7.5


@pytest.fixture
def recorded() -> Iterator[RecordingHook]:
    """The events of one generation by a fake."""
    hook = RecordingHook()
    register_provider("fake", lambda: FakeProvider().will_say({"text": "Tarn. An oak desk."}))

    async def story() -> None:
        async with CopywritingServiceV11(Settings(routing=RoutingSettings(("fake",)))) as service:
            service.engine.add_hook(hook)
            await service.generate({"product_description": "Oak desk", "target_platform": "x.post"})

    run(story())
    yield hook
    unregister_provider("fake")


def test_the_hook_keeps_events_in_order_and_by_kind(recorded: RecordingHook) -> None:
    """The look-up stands before the attempt, the attempt before the end, and `of` filters."""
    kinds = [type(event) for event in recorded.events]
    assert kinds.index(CacheLooked) < kinds.index(AttemptFinished) < kinds.index(GenerationFinished)
    assert [event.target for event in recorded.of(AttemptFinished)] == ["fake"]
    assert recorded.of(GenerationFinished)[0].placement == "x.post"


def test_inside_no_network_every_connection_is_an_error() -> None:
    """Connecting, also to this machine, and looking up names; afterwards all is as before."""
    before = socket.socket.connect
    with no_network():
        with socket.socket() as plug, pytest.raises(AssertionError, match="network use"):
            plug.connect(("127.0.0.1", 9))
        with socket.socket() as plug, pytest.raises(AssertionError, match="network use"):
            plug.connect_ex(("127.0.0.1", 9))
        with pytest.raises(AssertionError, match="network use"):
            socket.getaddrinfo("shop.example", 443)
    assert socket.socket.connect is before
