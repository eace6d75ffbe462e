"""The number of calls at a time: how it grows and shrinks, and that no slot is ever lost or given out twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from copykit.errors import ConfigurationError
from copykit.routing.limits import AdaptiveLimit, Concurrency
from copykit.testing.fakes import FakeClock


def run(story: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run one story on a loop of its own."""
    return asyncio.run(story())


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


def round_trip(limit: AdaptiveLimit) -> None:
    """As many answers as the limit allows calls."""
    for _ in range(limit.limit):
        limit.succeeded(limit.limit)


# -- the number itself


def test_it_doubles_until_the_first_throttle_then_adds_one() -> None:
    """8, 16, 32, 64; cut to 44; then one more each round trip."""
    limit, seen = AdaptiveLimit(), [8]
    for _ in range(3):
        round_trip(limit)
        seen.append(limit.limit)
    assert seen == [8, 16, 32, 64]
    limit.throttled(0.0, 1.0)
    assert limit.limit == 44
    for more in (45, 46, 47):
        round_trip(limit)
        assert limit.limit == pytest.approx(more, abs=1)


def test_it_is_cut_once_a_round_trip() -> None:
    """Sixty-four throttles of calls that were out together cut once; one of a later call cuts again."""
    limit = AdaptiveLimit(100)
    for _ in range(64):
        limit.throttled(began=10.0, now=11.0)
    assert limit.limit == 70
    limit.throttled(began=10.9, now=11.5)
    assert limit.limit == 70
    limit.throttled(began=11.0, now=12.0)
    assert limit.limit == 49


def test_it_keeps_within_its_bounds() -> None:
    """Never below one, or the target could not recover; never above 256."""
    limit = AdaptiveLimit()
    for now in range(100):
        limit.throttled(float(now), float(now))
    assert limit.limit == 1
    limit = AdaptiveLimit()
    for _ in range(20):
        round_trip(limit)
    assert limit.limit == 256


def test_what_is_not_used_does_not_grow() -> None:
    """Three calls at a time under a limit of eight say nothing about nine; four do."""
    limit = AdaptiveLimit()
    for _ in range(100):
        limit.succeeded(3)
    assert limit.limit == 8
    limit.succeeded(4)
    assert limit.limit == 9


@pytest.mark.parametrize("numbers", [(0, 1, 8), (8, 9, 10), (9, 1, 8)])
def test_bounds_that_cannot_be_are_refused(numbers: tuple[int, int, int]) -> None:
    """The start lies between the bounds, and at least one call is allowed."""
    with pytest.raises(ConfigurationError, match="ascend"):
        AdaptiveLimit(numbers[0], least=numbers[1], most=numbers[2])


class LimitStory(RuleBasedStateMachine):
    """Answers and throttles in any order on a virtual clock."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = AdaptiveLimit(most=64)
        self.now = 0.0
        self.cuts = 0
        self.trips = 0.0

    @rule(share=st.floats(0, 1))
    def answer(self, share: float) -> None:
        before = self.limit.limit
        self.limit.succeeded(max(1, int(share * before)))
        assert before <= self.limit.limit <= before + 1

    @rule(age=st.floats(0, 5))
    def throttle(self, age: float) -> None:
        before = self.limit._exact
        self.limit.throttled(self.now - age, self.now)
        assert self.limit._exact in (before, max(1.0, before * 0.7))

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def within(self) -> None:
        assert 1 <= self.limit.limit <= 64


TestLimitStory = LimitStory.TestCase


def test_it_settles_near_what_the_provider_takes() -> None:
    """A provider of 40 calls at a time that throttles above: between 25 and 42 after the first throttle."""
    limit, now, seen = AdaptiveLimit(), 0.0, []
    for _ in range(300):
        now += 1.0
        for i in range(limit.limit):
            if i < 40:
                limit.succeeded(limit.limit)
            else:
                limit.throttled(now - 1.0, now)
        seen.append(limit.limit)
    assert all(25 <= n <= 42 for n in seen[10:])


# -- the slots


def test_slots_are_given_in_order_and_nobody_jumps_the_queue() -> None:
    """With one slot, ten callers get it in the order they came, a newcomer after them."""

    async def story() -> None:
        gate = Concurrency(AdaptiveLimit(1, most=1))
        order: list[int] = []

        async def call(number: int) -> None:
            async with gate.slot():
                order.append(number)
                await asyncio.sleep(0)

        first = [asyncio.create_task(call(n)) for n in range(10)]
        await asyncio.sleep(0)
        assert (gate.in_progress, gate.waiting) == (1, 9)
        late = asyncio.create_task(call(10))
        await asyncio.gather(*first, late)
        assert order == list(range(11))
        assert (gate.in_progress, gate.waiting) == (0, 0)

    run(story)


def test_a_waiter_cancelled_as_its_turn_comes_passes_the_slot_on() -> None:
    """The slot was granted, its taker cancelled before it ran: the next one gets it."""

    async def story() -> None:
        gate = Concurrency(AdaptiveLimit(1, most=1))
        held = gate.slot()
        await held.__aenter__()

        async def call() -> str:
            async with gate.slot():
                return "served"

        first, second = asyncio.create_task(call()), asyncio.create_task(call())
        await settle()
        await held.__aexit__(None, None, None)
        first.cancel()
        assert await second == "served"
        assert first.cancelled() or first.cancelling()
        await settle()
        assert (gate.in_progress, gate.waiting) == (0, 0)

    run(story)


def test_a_cancelled_waiter_leaves_no_trace() -> None:
    """A thousand waiters time out behind a stuck call: the queue is empty, and the next is served."""

    async def story() -> None:
        gate = Concurrency(AdaptiveLimit(1, most=1))
        async with gate.slot():
            waiters = [asyncio.create_task(gate.slot().__aenter__()) for _ in range(1000)]
            await settle()
            for waiter in waiters:
                waiter.cancel()
            await settle()
            assert gate.waiting == 0
        async with gate.slot():
            assert gate.in_progress == 1

    run(story)


def test_a_larger_limit_lets_waiters_in_at_once() -> None:
    """An answer that raises the limit serves the queue before its own slot is given back."""

    async def story() -> None:
        gate = Concurrency(AdaptiveLimit(1))
        async with gate.slot() as slot:
            waiter = asyncio.create_task(gate.slot().__aenter__())
            await settle()
            assert gate.waiting == 1
            slot.succeeded()
            await waiter
            assert gate.in_progress == 2

    run(story)


def test_a_throttle_holds_back_until_enough_calls_ended() -> None:
    """Cut from ten to seven with ten out: the fourth to end lets one in, not the first."""

    async def story() -> None:
        clock = FakeClock(5.0)
        gate = Concurrency(AdaptiveLimit(10), clock=clock)
        slots = [gate.slot() for _ in range(10)]
        for slot in slots:
            await slot.__aenter__()
        waiter = asyncio.create_task(gate.slot().__aenter__())
        await settle()
        clock.advance(1.0)
        for slot in slots:
            slot.throttled()
        assert gate.limit.limit == 7
        for slot in slots[:3]:
            await slot.__aexit__(None, None, None)
        await settle()
        assert (gate.in_progress, waiter.done()) == (7, False)
        await slots[3].__aexit__(None, None, None)
        await waiter
        assert gate.in_progress == 7

    run(story)


def test_it_outlives_an_event_loop() -> None:
    """Waiters of a loop that ended hold nothing back on the next."""
    gate = Concurrency(AdaptiveLimit(1, most=1))

    async def waiter() -> None:
        async with gate.slot():
            await asyncio.Event().wait()

    async def abandoned() -> None:
        async with gate.slot():
            waiters = [asyncio.create_task(waiter()) for _ in range(3)]
            await settle()
            assert gate.waiting == len(waiters)

    async def story() -> None:
        async with asyncio.timeout(5), gate.slot():
            assert (gate.in_progress, gate.waiting) == (1, 0)

    run(abandoned)
    run(story)


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_no_slot_is_lost_or_given_twice(seed: int, size: int) -> None:
    """Sixty callers that come, end, are throttled and cancelled at random moments: never more than the limit, in
    the end none taken, and everyone who was not cancelled was served."""
    random = Random(seed)

    async def story() -> None:
        gate = Concurrency(AdaptiveLimit(size, most=size))
        inside, most, served = 0, 0, set()

        async def call(number: int) -> None:
            nonlocal inside, most
            async with gate.slot() as slot:
                inside += 1
                most = max(most, inside)
                try:
                    for _ in range(random.randrange(4)):
                        await asyncio.sleep(0)
                    random.choice([slot.succeeded, slot.throttled, lambda: None])()
                    served.add(number)
                finally:
                    inside -= 1

        tasks = []
        for number in range(60):
            tasks.append(asyncio.create_task(call(number)))
            if random.random() < 0.3:
                await asyncio.sleep(0)
            if random.random() < 0.4:
                random.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most <= size
        assert (gate.in_progress, gate.waiting, inside) == (0, 0, 0)
        assert served >= {number for number, task in enumerate(tasks) if not task.cancelled()}

    run(story)


class SlotStory(RuleBasedStateMachine):
    """The queue step by step against a plain list, on one loop that only moves between steps."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.gate = Concurrency(AdaptiveLimit(3, most=8), clock=FakeClock())
        self.inside: list[tuple[int, Any]] = []
        self.queue: list[tuple[int, Any, asyncio.Task[Any]]] = []
        self.number = 0

    def teardown(self) -> None:
        for _, _, task in self.queue:
            task.cancel()
        self.loop.run_until_complete(settle())
        self.loop.close()

    def move(self) -> None:
        self.loop.run_until_complete(settle())
        while self.queue and self.queue[0][2].done():
            number, slot, _ = self.queue.pop(0)
            self.inside.append((number, slot))
        assert not any(task.done() for _, _, task in self.queue), "somebody was served out of turn"

    @rule()
    def come(self) -> None:
        slot = self.gate.slot()
        self.number += 1
        self.queue.append((self.number, slot, self.loop.create_task(slot.__aenter__())))
        self.move()

    @precondition(lambda self: self.inside)
    @rule(data=st.data(), word=st.sampled_from(["", "succeeded", "throttled"]))
    def go(self, data: Any, word: str) -> None:
        _, slot = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        if word:
            getattr(slot, word)()
        self.loop.run_until_complete(slot.__aexit__(None, None, None))
        self.move()

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), race=st.booleans())
    def give_up(self, data: Any, race: bool) -> None:
        place = 0 if race else data.draw(st.integers(0, len(self.queue) - 1))
        _, _, task = self.queue.pop(place)
        if race and self.inside:  # the slot is granted first, then its taker is cancelled
            _, slot = self.inside.pop()
            slot._owner._release()
        task.cancel()
        self.move()

    @invariant()
    def books_agree(self) -> None:
        assert self.gate.in_progress == len(self.inside)
        assert self.gate.waiting == len(self.queue)
        if self.queue:
            assert self.gate.in_progress >= self.gate.limit.limit


TestSlotStory = SlotStory.TestCase
