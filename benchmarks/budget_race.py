"""Thousands of tries at once against a nearly empty budget, by every way into the library, over a real socket.

    python benchmarks/budget_race.py [--tries 10000] [--budget 40] [--seed 0]

One engine, one budget, one server that keeps its own books (`copykit.testing.books`). The tries come at once through
``generate``, the V11 face, ``stream``, ``batch_generate``, `run_batch` and from threads through `copykit.sync`; some
briefs are the same. Two rounds:

told    every answer tells its tokens, some are wrong, some are no copy, some calls fail: what the ledger has, the sum of all
        receipts (results and errors) and the server's books are the same, to the trillionth of a dollar.
untold  besides, some answers do not tell their tokens, some break off, some callers leave in the middle or have no time:
        what nobody told is charged at its worst case, so the ledger is never below the books, and the receipts still add
        up to the ledger.

Never is more spent than the budget. Exit code 1 if any of that does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from copykit import CopywritingInput, CopywritingService, CopywritingServiceV11, Settings, sync
from copykit.batch import Job, cost_of, run_batch
from copykit.errors import CopykitError
from copykit.events import AttemptFinished, Event
from copykit.models import CopywritingOutput
from copykit.settings import ProvidersSettings, RoutingSettings
from copykit.streaming import FieldDelta, StreamFailed, StreamFinished
from copykit.testing.books import Books
from copykit.testing.servers import ScriptedServer

PICO = 10**12
PRICES = {"local": {"input": 100.0, "output": 400.0}}
TOLD = {"well": 0.8, "wrong": 0.08, "babble": 0.07, "fails": 0.05}
UNTOLD = {**TOLD, "silent": 0.05, "cut": 0.05}
THREADS = 64
GROUP = 50
"""Requests of one `batch_generate` or `run_batch`."""

_try: ContextVar[int] = ContextVar("try")


@dataclass
class Receipts:
    """What callers were told, and what became of their tries."""

    pico_usd: int = 0
    by_events: int = 0
    """The part of callers that left, and so got no receipt: as the events tell it."""
    untold: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    charged: Counter[int] = field(default_factory=Counter)
    """Trillionths of a dollar by try, as the events tell them."""

    def heard(self, event: Event) -> None:
        """Take in the end of a call, in the context of the try that made it."""
        if isinstance(event, AttemptFinished) and event.cost_usd:
            self.charged[_try.get(-1)] += round(event.cost_usd * PICO)

    def result(self, output: CopywritingOutput) -> None:
        """Take in a result."""
        self._add(0.0 if output.cached else output.usage.cost_usd)
        self.ended["cached" if output.cached else output.variants[0].status] += 1

    def error(self, error: CopykitError) -> None:
        """Take in an error."""
        for attempt in error.attempts:
            self._add(attempt.cost_usd or 0.0)
        self.ended[error.code] += 1

    def line(self, line: Any) -> None:
        """Take in a line of a batch."""
        self._add(cost_of(line)[0])
        self.ended[line.status if line.error is None else line.error["code"]] += 1

    def left(self, number: int) -> None:
        """Take in that a caller left."""
        self.by_events += self.charged[number]
        self.pico_usd += self.charged[number]
        self.ended["left"] += 1

    def _add(self, cost_usd: float | None) -> None:
        self.untold += cost_usd is None
        self.pico_usd += round((cost_usd or 0.0) * PICO)


def brief(number: int, tries: int, *, hurried: bool) -> CopywritingInput:
    """Give the brief of one try; one in five is that of another. Where some are *hurried*, one in ten has little time."""
    return CopywritingInput(
        product_description=f"Oak desk, 120x60 cm, lot {number % max(1, tries * 4 // 5)}",
        product_name="Norr",
        target_platform="x.post",
        deadline_s=0.5 if hurried and number % 10 == 9 else 600.0,
    )


class Race:
    """All tries of one round; runs on the loop of `copykit.sync`."""

    def __init__(self, service: CopywritingService, tries: int, *, untold: bool) -> None:
        self.service, self.tries, self.untold = service, tries, untold
        self.v11 = CopywritingServiceV11(engine=service.engine)
        self.receipts = Receipts()
        self._threads = ThreadPoolExecutor(THREADS)

    async def run(self) -> Receipts:
        """Begin all tries at once and wait for their ends."""
        self.service.engine.add_hook(self.receipts.heard)
        single: list[Callable[[int], Awaitable[None]]] = [
            self.generate,
            self.generate_v11,
            self.face,
            self.stream,
            self.from_thread,
        ]
        ways = len(single) + 2
        work: list[Awaitable[None]] = []
        groups: dict[int, list[int]] = {}
        for number in range(self.tries):
            way = number % ways
            if way < len(single):
                work.append(single[way](number))
            else:
                group = groups.setdefault(way, [])
                group.append(number)
                if len(group) == GROUP or number + ways >= self.tries:
                    work.append((self.batch_generate if way == ways - 1 else self.run_batch)(group))
                    groups[way] = []
        await asyncio.gather(*(asyncio.ensure_future(one) for one in work))
        self._threads.shutdown()
        return self.receipts

    async def generate(self, number: int) -> None:
        """Try by ``generate``."""
        await self._noted(number, lambda: self.service.generate(self._brief(number)))

    async def generate_v11(self, number: int) -> None:
        """Try by the legacy face's way to the other."""
        await self._noted(number, lambda: self.service.generate_v11(self._brief(number)))

    async def face(self, number: int) -> None:
        """Try by the V11 face."""
        await self._noted(number, lambda: self.v11.generate(self._brief(number)))

    async def from_thread(self, number: int) -> None:
        """Try from a thread without a loop."""

        def call() -> CopywritingOutput:
            return sync.run(self.service.generate(self._brief(number)))

        loop = asyncio.get_running_loop()
        await self._noted(number, lambda: loop.run_in_executor(self._threads, call))

    async def stream(self, number: int) -> None:
        """Try by ``stream``; one in four leaves at the first word, where the round has that."""
        _try.set(number)
        async with aclosing(self.service.stream(self._brief(number))) as told:  # type: ignore[type-var]
            async for event in told:
                if isinstance(event, FieldDelta) and self.untold and number % 4 == 0:
                    break
                if isinstance(event, StreamFinished):
                    self.receipts.result(event.output)
                    return
                if isinstance(event, StreamFailed):
                    self.receipts.error(event.error)
                    return
        self.receipts.left(number)

    async def batch_generate(self, group: Sequence[int]) -> None:
        """Try by ``batch_generate``."""
        for answer in await self.service.batch_generate(map(self._brief, group)):
            if isinstance(answer, CopykitError):
                self.receipts.error(answer)
            else:
                self.receipts.result(answer)

    async def run_batch(self, group: Sequence[int]) -> None:
        """Try by what ``copykit batch`` runs on."""
        jobs = [Job(number + 1, str(number), "x.post", "en", self._brief(number)) for number in group]
        async for line in run_batch(self.service.engine, jobs, concurrency=len(jobs)):
            self.receipts.line(line)

    def _brief(self, number: int) -> CopywritingInput:
        return brief(number, self.tries, hurried=self.untold)

    async def _noted(self, number: int, call: Callable[[], Awaitable[CopywritingOutput]]) -> None:
        _try.set(number)
        try:
            self.receipts.result(await call())
        except CopykitError as error:
            self.receipts.error(error)


@dataclass
class Result:
    """The figures of one round, in US dollars."""

    cap: float
    spent: float
    receipts: float
    events: float
    books: float
    estimated: int
    calls: int
    ended: Counter[str]
    left_usd: float
    reserved: float
    seconds: float

    def problems(self, *, told: bool) -> list[str]:
        """Say what does not hold."""
        found = []
        if self.spent > self.cap:
            found.append("more was spent than the budget")
        if self.reserved:
            found.append("money is still promised")
        if round(self.receipts * PICO) != round(self.spent * PICO):
            found.append("the receipts do not add up to the ledger")
        if round(self.events * PICO) != round(self.spent * PICO):
            found.append("the events do not add up to the ledger")
        if self.books > self.spent:
            found.append("the ledger is below the server's books")
        if told and round(self.books * PICO) != round(self.spent * PICO):
            found.append("the ledger is not the server's books")
        if told and self.estimated:
            found.append("calls are estimated although all were told")
        return found


async def race(tries: int, budget_usd: float, *, told: bool, seed: int = 0) -> Result:
    """Run one round of *tries* against *budget_usd*; on the loop of `copykit.sync`."""
    books = Books(TOLD if told else UNTOLD, late_s=(0.0, 0.05), seed=seed)
    async with ScriptedServer(books) as server:
        settings = Settings(
            routing=RoutingSettings(
                ("local:books-1",),
                prices=PRICES,
                budget_usd=budget_usd,
                breaker=False,  # a loop that is busy with thousands of briefs finds every answer slow
            ),
            providers=ProvidersSettings(local_base_url=f"{server.url}/v1"),
        )
        async with CopywritingService(settings) as service:
            began = time.perf_counter()
            receipts = await Race(service, tries, untold=not told).run()
            seconds = time.perf_counter() - began
            money = service.engine.router.look()["money"]
    return Result(
        cap=budget_usd,
        spent=money["spent_usd"],
        receipts=receipts.pico_usd / PICO,
        events=sum(receipts.charged.values()) / PICO,
        books=books.usd,
        estimated=money["estimated_calls"],
        calls=books.calls,
        ended=receipts.ended,
        left_usd=receipts.by_events / PICO,
        reserved=money["reserved_usd"],
        seconds=seconds,
    )


def main() -> int:
    """Run both rounds and print their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--budget", type=float, default=40.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    good = True
    for told in (True, False):
        found = sync.run(race(options.tries, options.budget, told=told, seed=options.seed))
        print(
            f"{'told' if told else 'untold'}: {options.tries} tries in {found.seconds:.0f} s, {found.calls} calls arrived"
        )
        print(
            f"  USD: cap {found.cap:.6f}, spent {found.spent:.6f} ({found.estimated} calls at their worst case), "
            f"receipts {found.receipts:.6f} (callers that left: {found.left_usd:.6f}), the server's books {found.books:.6f}"
        )
        print(f"  ended: {dict(found.ended.most_common())}")
        for problem in found.problems(told=told):
            print(f"  WRONG: {problem}")
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
