"""Money: the cap holds whoever spends at once, the books add up exactly, and prices are those of the tables."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random
from typing import Any

import genai_prices.data_snapshot
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from copykit.errors import BudgetExceeded, ConfigurationError
from copykit.models import Usage
from copykit.providers.facts import model_facts
from copykit.routing.budget import Ledger, Prices, Rate, Reservation

AT = 1_795_000_000.0
"""A moment of November 2026."""
USD = st.integers(0, 10**13).map(lambda picos: picos / 1e12)


def prices(**overrides: Mapping[str, float]) -> Prices:
    """Prices of a fixed moment."""
    return Prices(overrides, clock=lambda: AT)


# -- the ledger


def test_nothing_is_promised_beyond_the_cap() -> None:
    """Of 1 dollar, 0.7 is promised: 0.4 more is refused and says why, 0.3 is granted."""
    ledger = Ledger(1.0, scope="request budget")
    ledger.reserve(0.7)
    with pytest.raises(
        BudgetExceeded, match=r"request budget of 1 USD has 0.3 left.* may cost 0.4"
    ) as caught:
        ledger.reserve(0.4)
    assert (caught.value.cap, caught.value.spent, caught.value.estimate) == (1.0, 0.7, 0.4)
    ledger.reserve(0.3)
    assert ledger.left_usd == 0.0
    with pytest.raises(BudgetExceeded):
        ledger.reserve(1e-12)


def test_what_was_not_used_comes_back() -> None:
    """Settled below its worst case, or released: the rest may be promised again."""
    ledger = Ledger(1.0)
    assert ledger.reserve(0.9).settle(0.1) == 0.1
    ledger.reserve(0.9).release()
    assert ledger.look().spent_usd == 0.1
    assert ledger.left_usd == 0.9


@pytest.mark.parametrize("cost", [None, -1.0, float("nan"), float("inf")])
def test_an_unknown_cost_is_the_worst_case(cost: float | None) -> None:
    """What nobody said, or what is no amount of money, is charged as reserved and marked."""
    ledger = Ledger(1.0)
    money = ledger.reserve(0.25)
    assert money.settle(cost) == 0.25
    assert money.estimated
    assert (ledger.look().spent_usd, ledger.look().estimated) == (0.25, 1)


def test_a_call_whose_end_nobody_saw_is_charged() -> None:
    """Leaving the block by an exception settles the worst case; not where something was said before."""
    ledger = Ledger(1.0)
    with pytest.raises(KeyError), ledger.reserve(0.2):
        raise KeyError
    assert ledger.look().spent_usd == 0.2
    with ledger.reserve(0.2) as money:
        money.release()
    assert ledger.look().spent_usd == 0.2


def test_a_reservation_ends_once() -> None:
    """A second word is a mistake of the program, and charges nothing."""
    ledger = Ledger(1.0)
    money = ledger.reserve(0.5)
    money.settle(0.1)
    for again in (money.release, lambda: money.settle(0.1)):
        with pytest.raises(RuntimeError, match="already"):
            again()
    assert (ledger.look().spent_usd, ledger.look().reserved_usd) == (0.1, 0.0)


def test_both_caps_hold_and_neither_books_alone() -> None:
    """A request of 1 dollar in a process of 1.5: what one of them refuses, the other does not count."""
    whole = Ledger(1.5, scope="budget")
    first, second = (Ledger(1.0, scope="request budget", parent=whole) for _ in range(2))
    first.reserve(0.9).settle(0.9)
    with pytest.raises(BudgetExceeded, match=r"^the budget of"):
        second.reserve(0.7)
    assert second.look().reserved_usd == 0.0
    with pytest.raises(BudgetExceeded, match="request budget"):
        first.reserve(0.2)
    assert (whole.look().spent_usd, whole.look().reserved_usd) == (0.9, 0.0)
    assert second.left_usd == 0.6
    assert second.capped


def test_without_a_cap_it_only_counts() -> None:
    """Anything is granted, nothing bounds it, and the sum is there."""
    ledger = Ledger()
    ledger.reserve(1e6).settle(5.0)
    assert (ledger.capped, ledger.left_usd, ledger.look().spent_usd) == (False, None, 5.0)


def test_what_is_free_is_granted_from_an_empty_budget() -> None:
    """A local target costs nothing and may be asked when all is spent."""
    ledger = Ledger(0.0)
    ledger.reserve(0.0).settle(0.0)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(1e-9)


def test_a_cost_above_its_worst_case_is_not_hidden() -> None:
    """The truth is booked, and the overrun says that a price is wrong."""
    ledger = Ledger(1.0)
    ledger.reserve(0.5).settle(2.0)
    assert (ledger.look().spent_usd, ledger.look().overrun_usd) == (2.0, 1.5)
    assert ledger.left_usd == 0.0


@pytest.mark.parametrize("amount", [-0.1, float("nan"), float("inf")])
def test_an_estimate_that_is_no_money_is_refused(amount: float) -> None:
    """Neither a cap nor a reservation may be negative or endless."""
    with pytest.raises(ValueError, match="finite number of dollars"):
        Ledger(1.0).reserve(amount)
    with pytest.raises(ValueError, match="finite number of dollars"):
        Ledger(amount)


def test_ten_thousand_tries_at_once_stay_below_the_cap() -> None:
    """Tasks that reserve, wait, and settle, release or die: spent plus promised is never above, the sums are equal."""
    whole = Ledger(1.0)
    random = Random(7)
    receipts: list[float] = []
    refused = 0

    async def one() -> None:
        nonlocal refused
        request = Ledger(0.01, parent=whole)
        try:
            with request.reserve(random.uniform(0.001, 0.009)) as money:
                for _ in range(random.randrange(3)):
                    await asyncio.sleep(0)
                look = whole.look()
                assert look.spent_usd + look.reserved_usd <= 1.0
                if random.random() < 0.3:
                    money.release()
                else:
                    receipts.append(money.settle(random.uniform(0, 0.001)))
        except BudgetExceeded:
            refused += 1

    async def story() -> None:
        await asyncio.gather(*(one() for _ in range(10_000)))

    asyncio.run(story())
    assert refused
    assert whole.look().reserved_usd == 0.0
    assert sum(map(Decimal, map(str, receipts))) == Decimal(str(whole.look().spent_usd))
    assert whole.look().spent_usd <= 1.0


def test_threads_share_a_ledger() -> None:
    """Eight threads that spend as fast as they can: exactly a hundred of four hundred get their cent."""
    whole = Ledger(1.0)

    def spend(_: int) -> float:
        try:
            return Ledger(parent=whole).reserve(0.01).settle(0.01)
        except BudgetExceeded:
            return 0.0

    with ThreadPoolExecutor(8) as pool:
        charged = list(pool.map(spend, range(400)))
    assert charged.count(0.01) == 100
    assert whole.look().spent_usd == 1.0


class LedgerStory(RuleBasedStateMachine):
    """Two requests within one process's budget, against sums of decimals."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = Ledger(20.0)
        self.requests = [Ledger(15.0, parent=self.whole), Ledger(15.0, parent=self.whole)]
        self.open: list[tuple[int, Decimal, Reservation]] = []
        self.spent = [Decimal(0), Decimal(0)]

    @rule(which=st.integers(0, 1), usd=USD)
    def reserve(self, which: int, usd: float) -> None:
        amount = Decimal(str(usd))
        promised = [sum((a for w, a, _ in self.open if w == n), self.spent[n]) for n in (0, 1)]
        fits = promised[which] + amount <= 15 and sum(promised) + amount <= 20
        try:
            self.open.append((which, amount, self.requests[which].reserve(usd)))
        except BudgetExceeded:
            assert not fits
        else:
            assert fits or not amount

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.sampled_from([0.0, 0.3, 1.0, None]))
    def settle(self, data: Any, share: float | None) -> None:
        which, amount, money = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        charged = money.settle(None if share is None else float(amount) * share)
        self.spent[which] += Decimal(str(charged))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))[2].release()

    @invariant()
    def books_agree(self) -> None:
        for which, ledger in enumerate(self.requests):
            look = ledger.look()
            assert Decimal(str(look.spent_usd)) == self.spent[which]
            assert Decimal(str(look.reserved_usd)) == sum(a for w, a, _ in self.open if w == which)
        look = self.whole.look()
        assert Decimal(str(look.spent_usd)) == sum(self.spent)
        assert look.spent_usd + look.reserved_usd <= 20.0 + 1e-9
        assert look.overrun_usd == 0


TestLedgerStory = LedgerStory.TestCase


# -- prices

TARGETS = (
    "openai:gpt-6-luna",
    "anthropic:claude-haiku-5-5",
    "anthropic:claude-opus-5-5",
    "google:gemini-3.1-pro-preview",
    "google:gemini-3.5-flash-lite",
    "openrouter:openai/gpt-6-luna",
)


@given(
    st.sampled_from(TARGETS),
    st.booleans(),
    st.integers(0, 2_000_000),
    st.integers(0, 200_000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_costs_are_those_of_the_tables(
    target: str, batch: bool, tokens_in: int, tokens_out: int, cached: float, written: float
) -> None:
    """Rates read once give what the library computes call by call, long contexts and batch rates included."""
    read = int(cached * tokens_in)
    write = int(written * (tokens_in - read))
    price = prices().price(target, batch=batch)
    assert price is not None
    usage = Usage(
        input_tokens=tokens_in, output_tokens=tokens_out, cached_tokens=read, cache_write_tokens=write
    )
    name, _, model = target.partition(":")
    true = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cache_read_tokens=read,
            cache_write_tokens=write,
        ),
        model,
        provider_id=name,
        price_context={"processing": "batch"} if batch else None,
    ).total_price
    cost = price.cost_usd(usage)
    assert cost is not None
    assert cost == pytest.approx(float(true), abs=1e-9)
    assert cost <= price.worst_usd(tokens_in, tokens_out)


def test_a_batch_job_costs_half() -> None:
    """Where the provider has such a rate; the two are remembered apart."""
    table, usage = prices(), Usage(input_tokens=1000, output_tokens=1000)
    now, later = (
        table.price("anthropic:claude-opus-5-5"),
        table.price("anthropic:claude-opus-5-5", batch=True),
    )
    assert now is not None
    assert later is not None
    assert now.cost_usd(usage) == pytest.approx(0.024)
    assert later.cost_usd(usage) == pytest.approx(0.012)
    assert table.price("anthropic:claude-opus-5-5") is now


@pytest.mark.parametrize(
    "target", ["openai:gpt-6.2-astra", "nosuch:model", "openai:", "openai", "fake:fake-1"]
)
def test_an_unknown_price_is_not_free(target: str) -> None:
    """A model that no table has costs nobody knows what."""
    assert prices().price(target) is None


def test_what_runs_here_is_free_by_its_provider() -> None:
    """The phrase bank, in-process models and local servers cost nothing, whatever their tokens."""
    for target in ("phrasebank", "llamacpp:smollm2", "local:qwen"):
        price = prices().price(target)
        assert price is not None
        assert price.worst_usd(10**6, 10**6) == 0.0
        for usage in (Usage(), Usage(input_tokens=5, output_tokens=5, cost_usd=3.0)):
            assert price.cost_usd(usage) == 0.0


def test_what_the_caller_says_wins() -> None:
    """Over the tables, over what a provider reports; of two the model's own over its provider's."""
    table = Prices(
        {
            "openai:gpt-6-luna": {"input": 1, "output": 2, "cached": 0.5},
            "compatible": {"input": 0, "output": 0},
            "openrouter": {"input": 3.0, "output": 3.0},
        }
    )
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000, cached_tokens=200_000, cost_usd=9.0)
    costs = [
        price.cost_usd(usage)
        for t in ("openai:gpt-6-luna", "compatible:x", "openrouter:y")
        if (price := table.price(t))
    ]
    assert costs == pytest.approx([0.8 + 0.1 + 1.0, 0.0, 4.5])


def test_what_a_provider_reports_is_believed() -> None:
    """OpenRouter says what it charged; an amount that is none leaves the tokens to count."""
    price = prices().price("openrouter:openai/gpt-6-luna")
    assert price is not None
    assert price.cost_usd(Usage(input_tokens=10, output_tokens=10, cost_usd=0.0123)) == 0.0123
    by_tokens = price.cost_usd(Usage(input_tokens=10, output_tokens=10))
    for wrong in (-1.0, float("nan"), float("inf")):
        usage = Usage.model_construct(input_tokens=10, output_tokens=10, cost_usd=wrong)
        assert price.cost_usd(usage) == by_tokens


def test_without_a_price_the_report_is_all_there_is() -> None:
    """A model that no table has: what its provider says it charged, else unknown."""
    table = prices()
    assert table.cost_usd("openrouter:new/model", Usage(cost_usd=0.5)) == 0.5
    assert table.cost_usd("openrouter:new/model", Usage(input_tokens=5, output_tokens=5)) is None
    told = Usage.model_construct(cost_usd=-0.5)
    assert table.cost_usd("openrouter:new/model", told) is None
    usage = Usage(input_tokens=1000, output_tokens=1000)
    assert table.cost_usd("anthropic:claude-opus-5-5", usage) == pytest.approx(0.024)
    assert table.cost_usd("anthropic:claude-opus-5-5", usage, batch=True) == pytest.approx(0.012)


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"input_tokens": 5},
        {"output_tokens": 5},
        {"input_tokens": -5, "output_tokens": 5},
        {"input_tokens": 10**18, "output_tokens": 5},
        {"input_tokens": 5, "output_tokens": 5, "cached_tokens": 6},
        {"input_tokens": 5, "output_tokens": 5, "reasoning_tokens": 6},
        {"input_tokens": 5, "output_tokens": 5, "cached_tokens": -1},
    ],
)
def test_a_usage_that_cannot_be_true_has_no_cost(counts: dict[str, int]) -> None:
    """Then the reservation is charged: a budget never grows by a negative number."""
    price = prices().price("openai:gpt-6-luna")
    assert price is not None
    assert price.cost_usd(Usage(**counts)) is None


def test_the_worst_case_covers_steps_that_grow_and_shrink() -> None:
    """The highest rate up to that size counts, not the last."""
    rate = Rate(5, ((100, 9), (200, 2)))
    assert [rate.at(n) for n in (100, 101, 200, 201)] == [5, 9, 9, 2]
    assert [rate.most(n) for n in (100, 101, 1000)] == [5, 9, 9]


def test_all_mistakes_of_overrides_are_told_at_once() -> None:
    """A misspelt kind with the nearest, a negative price, a missing half, a text."""
    wrong: dict[str, Any] = {
        "a:b": {"input": 1, "output": 1, "cashed": 1},
        "c:d": {"input": -1},
        "e:f": {"input": "x", "output": True},
    }
    with pytest.raises(ConfigurationError) as caught:
        Prices(wrong)
    assert caught.value.problems == (
        "prices.a:b: 'cashed' is no kind of token; nearest: cached",
        "prices.c:d: input=-1 must be dollars per million tokens, 0 to 1000000000",
        "prices.c:d: output is missing",
        "prices.e:f: input='x' must be dollars per million tokens, 0 to 1000000000",
        "prices.e:f: output=True must be dollars per million tokens, 0 to 1000000000",
    )


def test_prices_are_read_again_every_half_hour_and_names_are_bounded() -> None:
    """What holds by the time of day changes; names that requests bring do not pile up."""
    now = [AT]
    table = Prices(clock=lambda: now[0])
    first = table.price("openai:gpt-6-luna")
    assert table.price("openai:gpt-6-luna") is first
    now[0] += 1800
    assert table.price("openai:gpt-6-luna") is not first
    for i in range(2500):
        assert table.price(f"nosuch:{i}") is None
    assert len(table._known) <= 1000


def test_no_name_that_was_asked_for_is_kept_without_end() -> None:
    """Names come from requests: neither the price tables nor what is known of models grow with them."""
    prices = Prices()
    tables = genai_prices.data_snapshot.get_snapshot()
    kept = (tables._lookup_cache, tables._provider_cache, tables._provider_misses)
    before = [len(names) for names in kept]
    for number in range(2_000):
        assert prices.price(f"openai:made-up-{number}") is None
        model_facts("openai", f"made-up-{number}")
    assert [len(names) for names in kept] == before
    assert len(prices._known) <= 1000
    assert model_facts.cache_info().currsize <= 1024


def test_the_tables_are_loaded_by_the_first_price_only() -> None:
    """Importing the ledger and asking for a free or overridden price loads no price table."""
    code = (
        "import sys\n"
        "from copykit.routing.budget import Ledger, Prices\n"
        "p = Prices({'a:b': {'input': 1, 'output': 1}})\n"
        "p.price('a:b'), p.price('phrasebank')\n"
        "assert 'genai_prices' not in sys.modules\n"
        "assert p.price('openai:gpt-6-luna')\n"
        "assert 'genai_prices' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
