"""What the resilience around a call costs when nothing fails: breaker, limit, repeats, rests, money, receipt.

The figure is `Router.ask` with a provider that answers at once, less wording a prompt, that provider's own call and the
parsing of its answer, in interleaved rounds of one process, in CPU time (target: at most 50 us). Below it stand the
parts alone, which add up to less than the whole: the rest is what holds them together.

Usage: python benchmarks/routing_overhead.py [--rounds 15] [--calls 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable

from copykit import CopywritingInput, Settings
from copykit.brief.brief import Brief
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, build_prompt
from copykit.drafts.parse import parse
from copykit.models import Usage
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider
from copykit.routing.breaker import Breaker
from copykit.routing.budget import Ledger, Prices
from copykit.routing.health import Latencies
from copykit.routing.limits import Concurrency
from copykit.routing.retry import RetryBudget
from copykit.routing.router import Router
from copykit.settings import RoutingSettings
from copykit.testing import FakeProvider

Step = Callable[[], Awaitable[object]]


class Wording(FakeProvider):
    """One that reads its prompt, as every real one does."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Give the answer at once."""
        assert prompt.system
        return await super().complete(prompt)


class Priced(Wording):
    """One that says how long and how dear a call may be, as real ones do."""

    timeout_s = 60.0
    keeps_time = True

    def model_of(self, prompt: Prompt) -> str:
        """Give the model's name."""
        return self.model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """Give bounds of size and tokens."""
        return 6_000, 1_024


def steps(brief: Brief) -> dict[str, tuple[FakeProvider, Step, Step]]:
    """Give each case's provider, its call through the router, and its bare call."""
    cases: dict[str, tuple[FakeProvider, Step, Step]] = {}
    prices = {"second": {"input": 0.1, "output": 0.4}}
    for name, provider, routing in (
        ("no budget", Wording("first"), RoutingSettings()),
        ("a budget and prices", Priced("second"), RoutingSettings(budget_usd=1e6, prices=prices)),
    ):
        text = '{"variants": [{"fields": {"text": "Norr is an oiled oak desk with a cable tray."}, "parts": []}]}'
        usage = Usage(input_tokens=420, output_tokens=60)
        provider.will_say(Completion(text=text, model="fake-1", usage=usage))
        register_provider(provider.name, lambda provider=provider: provider)
        router = Router(Settings(routing=routing), lambda _: None)

        async def asked(router: Router = router, target: str = f"{provider.name}:fake-1") -> object:
            return await router.ask(brief, (target,))

        async def bare(provider: FakeProvider = provider) -> object:
            prompt = build_prompt(brief, nonce="0123456789abcdef", model="fake-1")
            return parse((await provider.complete(prompt)).text, brief)

        cases[name] = (provider, asked, bare)
    return cases


def parts() -> dict[str, Step]:
    """Give each machine's share of one call, alone."""
    breaker, slots, usual = Breaker(), Concurrency(), Latencies()
    repeats, whole = RetryBudget(RetryBudget()), Ledger(1e6)
    prices = Prices({"second": {"input": 0.1, "output": 0.4}})
    usage = Usage(input_tokens=420, output_tokens=60)
    now = time.monotonic

    async def health() -> None:
        permit = breaker.allow(now())
        assert permit is not None
        breaker.record(permit, "ok", now(), 0.8)

    async def limit() -> None:
        async with slots.slot() as slot:
            slot.succeeded()

    async def earned() -> None:
        repeats.call_began()
        repeats.call_ended(ok=True)

    async def money() -> None:
        with Ledger(None, scope="request budget", parent=whole).reserve(0.001) as reserved:
            reserved.settle(prices.cost_usd("second:fake-1", usage))

    async def pace() -> None:
        usual.add(now() % 1.0)

    async def nothing() -> None:
        pass

    async def bounded() -> None:
        async with asyncio.timeout(60.0):
            await nothing()

    return {
        "breaker": health,
        "limit of calls at a time": limit,
        "budget of repeats": earned,
        "ledger and price": money,
        "usual latency": pace,
        "asyncio.timeout": bounded,
    }


async def cpu_us(step: Step, calls: int) -> float:
    """CPU microseconds of one *step*."""
    gc.collect()
    started = time.process_time()
    for _ in range(calls):
        await step()
    return 1e6 * (time.process_time() - started) / calls


async def main() -> None:
    """Print both figures and the parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    brief = compile_brief(
        CopywritingInput(product_description="Desk, oak, oiled, 120x60 cm", target_platform="x.post")
    )
    cases, machines = steps(brief), parts()
    asked: dict[str, list[float]] = {name: [] for name in cases}
    over: dict[str, list[float]] = {name: [] for name in cases}
    alone: dict[str, list[float]] = {name: [] for name in machines}
    for number in range(options.rounds + 1):
        for name, (provider, step, bare) in cases.items():
            whole = await cpu_us(step, options.calls)
            provider.asked.clear()
            less = await cpu_us(bare, options.calls)
            provider.asked.clear()
            if number:  # the first round fills tables
                asked[name].append(whole)
                over[name].append(whole - less)
        for name, step in machines.items():
            alone[name].append(await cpu_us(step, options.calls))
    for name in cases:
        values = over[name]
        print(
            f"{name}: the wrapper {statistics.median(values):.1f} us, least {min(values):.1f}, of "
            f"{statistics.median(asked[name]):.1f} (target <= 50)"
        )
    for name, values in alone.items():
        print(f"  {name:26} {statistics.median(values):6.1f} us, least {min(values):.1f}")


if __name__ == "__main__":
    asyncio.run(main())
