"""A batch through batch jobs: in order, charged once and at half price, whole after any death, honest about the rest."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from copykit.batch import Job, cost_of
from copykit.economy import Economy, Progress, jobs_of, providers_with_jobs
from copykit.engine import Engine
from copykit.errors import AuthenticationFailed, InvalidRequest, JobsStopped
from copykit.feeds.job_book import JobBook, book_path
from copykit.models import BatchLine, CopywritingInput
from copykit.providers.registry import load_provider
from copykit.settings import ProvidersSettings, RoutingSettings, Secret, Settings
from copykit.testing.job_server import TOKENS, JobServer
from copykit.testing.servers import answer, reset

VENDORS = ("openai", "anthropic", "google")
KEY = "sk-canary-5f0c1d2e3b4a5968"
PRICE = {"input": 100.0, "output": 1_000.0}
COST = (TOKENS[0] * PRICE["input"] + TOKENS[1] * PRICE["output"]) / 1e6


def copy_for(body: dict[str, Any]) -> str:
    """Write what an obedient model would: the row's own words."""
    text = str(body).replace("\\\\", "\\")
    name = re.search(r'product_name\\*": \\*"([^"\\]+)', text)
    assert name is not None
    return copy_of(f"{name[1]}. A warm cap for cold days.")


def copy_of(text: str) -> str:
    """Give an obedient model's answer that holds *text*."""
    return json.dumps({"variants": [{"fields": {"text": text}, "parts": []}]})


def rows(count: int, **changes: Any) -> Callable[[int], Iterator[Job]]:
    """Give a plan of as many lines, all different."""

    def plan(first: int) -> Iterator[Job]:
        for row in range(first + 1, count + 1):
            fields: dict[str, Any] = {
                "product_description": "A warm cap for cold days.",
                "product_name": f"Cap {row}",
                "target_platform": "x.post",
                **changes,
            }
            yield Job(row, f"p{row}", "x.post", "en", CopywritingInput(**fields))

    return plan


class Waits:
    """Instead of time: remembers how long was waited for, and lets others act."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Wait for nothing."""
        self.waited.append(seconds)
        assert len(self.waited) < 500
        await asyncio.sleep(0)


class Run:
    """A run that can be begun again: a vendor, a book and what was written so far."""

    def __init__(self, vendor: JobServer, folder: Path, **routing: Any) -> None:
        self.vendor = vendor
        self.path = book_path(folder / "copy.jsonl")
        self.lines: list[BatchLine] = []
        self.told: list[Progress] = []
        self.waits = Waits()
        self.spent_usd = 0.0
        prices = routing.pop("prices", {vendor.vendor: PRICE})
        own: dict[str, Any] = {
            f"{vendor.vendor}_key": Secret(KEY),
            f"{vendor.vendor}_base_url": vendor.base_url,
        }
        self.settings = Settings(
            providers=ProvidersSettings(**own),
            routing=RoutingSettings(
                **{"providers": (vendor.vendor,), "prices": prices, "breaker": True} | routing
            ),
        )

    @asynccontextmanager
    async def economy(self, plan: Any, **options: Any) -> AsyncIterator[Economy]:
        """Give the run's economy, as a process of its own would have it."""
        engine = Engine(self.settings)
        book = JobBook(self.path, target=self.settings.routing.providers[0])
        try:
            options = {"tell": self.told.append, "sleep": self.waits, **options}
            economy = Economy(engine, book, plan, **options)
            economy.written(self.lines)
            yield economy
            self.spent_usd = engine.router.ledger.look().spent_usd
            self.reserved_usd = engine.router.ledger.look().reserved_usd
        finally:
            book.close()
            await engine.aclose()

    async def write(self, plan: Any, upto: int | None = None, **options: Any) -> list[BatchLine]:
        """Write the lines, or the next *upto* of them, and then die."""
        async with self.economy(plan, **options) as economy:
            lines = economy.lines(len(self.lines))
            try:
                async for line in lines:
                    self.lines.append(line)
                    if len(self.lines) == upto:
                        break
            finally:
                await lines.aclose()
        return self.lines


@asynccontextmanager
async def running(vendor: str, folder: Path, **routing: Any) -> AsyncIterator[tuple[JobServer, Run]]:
    """Give a vendor and a run against it."""
    async with JobServer(vendor, copy_for) as server:
        yield server, Run(server, folder, **routing)


def attempts(line: BatchLine) -> list[tuple[str, str | None]]:
    """Give outcome and reason of each try."""
    assert line.output is not None
    return [(attempt.outcome, attempt.reason) for attempt in line.output.receipt.attempts]


@pytest.mark.parametrize("vendor", VENDORS)
def test_lines_come_in_order_whatever_order_the_answers_have(vendor: str, tmp_path: Path) -> None:
    """Every line is the job's own answer for its row, and nobody is asked live."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            server.polls = 3
            lines = await run.write(rows(40))
            assert [line.row for line in lines] == list(range(1, 41))
            assert {line.status for line in lines} == {"ok"}
            for line in lines:
                assert line.output is not None
                assert line.output.text.startswith(f"Cap {line.row}.")
                assert attempts(line) == [("ok", "from a batch job")]
                assert line.output.usage.cost_usd == pytest.approx(COST)
            assert server.live == []
            assert len(server.jobs) == 1
            assert run.spent_usd == pytest.approx(40 * COST)
            assert run.reserved_usd == 0

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_half_the_price_by_the_table(vendor: str, tmp_path: Path) -> None:
    """Where no price is set, a line costs half of what the same call costs."""

    async def story() -> None:
        async with running(vendor, tmp_path, prices={}) as (_, run):
            (line,) = await run.write(rows(1))
            prices = Engine(run.settings).router.prices
            assert line.output is not None
            served = line.output.receipt.served_by
            live = prices.cost_usd(served, line.output.usage.model_copy(update={"cost_usd": None}))
            assert live is not None
            assert line.output.usage.cost_usd == pytest.approx(live / 2)

    asyncio.run(story())


def test_a_budget_is_promised_at_the_price_of_jobs(tmp_path: Path) -> None:
    """The worst case of each request is reserved before it is sent; what does not fit waits for what comes back."""

    async def story() -> None:
        async with running("openai", tmp_path) as (server, run):
            async with run.economy(rows(6)) as economy:
                worst = (await economy._new(next(rows(1)(0)), set())).worst_usd  # type: ignore[union-attr]
            budget = 2.5 * worst
            assert worst > 10 * COST
            run = Run(server, tmp_path, budget_usd=budget)
            lines = await run.write(rows(6))
            assert [line.status for line in lines] == ["ok"] * 6
            assert max(len(job.requests) for job in server.jobs) == 2
            assert server.live == []
            assert run.spent_usd == pytest.approx(6 * COST)
            assert run.spent_usd <= budget

    asyncio.run(story())


def test_what_no_budget_fits_is_a_line_that_says_so(tmp_path: Path) -> None:
    """A budget below one request begins no job."""

    async def story() -> None:
        async with running("openai", tmp_path, budget_usd=1e-6) as (server, run):
            lines = await run.write(rows(3))
            assert [(line.error or {}).get("code") for line in lines] == ["budget_exceeded"] * 3
            assert server.requests == []

    asyncio.run(story())


def test_a_price_that_nobody_knows_is_no_bound(tmp_path: Path) -> None:
    """Under a budget an unpriced target is refused at once."""

    async def story() -> None:
        async with running("openai", tmp_path, budget_usd=9.0, prices={}, providers=("openai:gpt-none",)) as (
            _,
            run,
        ):
            with pytest.raises(InvalidRequest, match=r"nobody knows what openai:gpt-none costs"):
                await run.write(rows(1))

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("fate", ["error", "expired", "missing"])
def test_what_the_job_did_not_answer_is_asked_live(vendor: str, fate: str, tmp_path: Path) -> None:
    """The line is served, its receipt names both tries, and only the second is charged."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            server.fates = lambda place, key: fate if place == 2 else "ok"
            lines = await run.write(rows(5))
            assert [line.status for line in lines] == ["ok"] * 5
            assert len(server.live) == 1
            (lost, told), (second, _) = attempts(lines[2])
            assert (lost, second) == ("provider_unavailable", "ok")
            assert told is not None
            assert told.startswith("from a batch job: ")
            assert run.spent_usd == pytest.approx(5 * COST)
            assert run.reserved_usd == 0
            assert sum(cost_of(line)[0] for line in lines) == pytest.approx(run.spent_usd)

    asyncio.run(story())


def test_copy_that_fails_is_mended_by_live_calls(tmp_path: Path) -> None:
    """A job's answer is judged like any other: what breaks a rule is asked for again, alone."""

    def write(body: dict[str, Any]) -> str:
        if "You mend" in str(body):
            return '{"texts": {"1": "Cap 1. A warm cap for cold days."}}'
        return copy_of("Cap 1 is warm. " * 40)

    async def story() -> None:
        async with JobServer("openai", write) as server:
            run = Run(server, tmp_path)
            (line,) = await run.write(rows(1))
            assert line.status == "repaired"
            assert line.output is not None
            assert line.output.receipt.repairs
            assert [outcome for outcome, _ in attempts(line)] == ["ok", "ok"]
            assert len(server.live) == 1

    asyncio.run(story())


def test_instructions_in_an_answer_are_no_copy(tmp_path: Path) -> None:
    """The mark of the data is the same after a restart, so that an answer that repeats it is known."""

    def write(body: dict[str, Any]) -> str:
        mark = re.search(r"between two lines <(\w+)>", str(body))
        assert mark is not None
        return copy_of("Cap 1. A warm cap." if told else f"As told by {mark[1]}.")

    told: list[int] = []

    async def story() -> None:
        async with JobServer("openai", write) as server:
            run = Run(server, tmp_path)
            async with run.economy(rows(1)) as economy:
                await economy.submit()
                await economy._over(lambda: {job.number for job in economy._book.jobs("submitted")})
            told.append(1)
            (line,) = await run.write(rows(1))
            assert attempts(line)[0] == (
                "output_invalid",
                "from a batch job: the answer repeats its instructions",
            )
            assert attempts(line)[1][0] == "ok"

    asyncio.run(story())


@pytest.mark.parametrize("cache", ["on", "off"])
def test_equal_rows_are_one_request(cache: str, tmp_path: Path) -> None:
    """Five lines of the same words are submitted and charged once."""

    async def story() -> None:
        async with running("openai", tmp_path) as (server, run):
            lines = await run.write(rows(5, product_name="Cap", cache=cache))
            assert [line.status for line in lines] == ["ok"] * 5
            assert len(server.jobs[0].requests) == 1
            assert run.spent_usd == pytest.approx(COST)
            costs = [cost_of(line) for line in lines]
            assert sorted(cost for cost, _ in costs) == pytest.approx([0, 0, 0, 0, COST])
            assert all(known for _, known in costs)

    asyncio.run(story())


def test_rows_that_cannot_be_asked_for_are_not(tmp_path: Path) -> None:
    """A refused row is a failed line and part of no job."""

    async def story() -> None:
        async with running("openai", tmp_path) as (server, run):
            good = rows(2)

            def plan(first: int) -> Iterator[Job]:
                bad = Job(
                    9, "p9", "x.post", "en", None, InvalidRequest("language", "", "the row names no language")
                )
                odd = CopywritingInput(product_description="A cap", target_platform="x.post", language="tlh")
                yield from islice([*good(0), bad, Job(10, "p10", "x.post", "tlh", odd)], first, None)

            lines = await run.write(plan)
            assert [line.status for line in lines] == ["ok", "ok", "failed", "failed"]
            assert len(server.jobs[0].requests) == 2

    asyncio.run(story())


def test_what_the_cache_has_is_not_submitted(tmp_path: Path) -> None:
    """A result that is there already costs nothing, in a job either."""

    async def story() -> None:
        async with running("openai", tmp_path) as (server, run), run.economy(rows(3)) as economy:
            request = next(rows(1)(0)).request
            assert request is not None
            await economy._engine.generate(request)
            lines = [line async for line in economy.lines()]
            assert [line.output.cached for line in lines if line.output] == [True, False, False]
            assert len(server.jobs[0].requests) == 2

    asyncio.run(story())


def test_jobs_are_filled_and_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many requests, and as many bytes, as one job takes."""
    monkeypatch.setattr("copykit.economy._MOST_REQUESTS", 4)

    async def story() -> None:
        async with running("openai", tmp_path) as (server, run):
            lines = await run.write(rows(10))
            assert [len(job.requests) for job in server.jobs] == [4, 4, 2]
            assert [line.row for line in lines] == list(range(1, 11))
        size = len(server.requests[0].body)
        monkeypatch.setattr("copykit.economy._MOST_BYTES", size * 3 // 4)
        async with running("openai", tmp_path / "second") as (server, run):
            await run.write(rows(8))
            assert [len(job.requests) for job in server.jobs] == [3, 3, 2]

    asyncio.run(story())


def test_a_budget_that_was_lowered_starves_the_rest_and_passes_nobody_over(tmp_path: Path) -> None:
    """Jobs of later lines hold all there is: the lines before them are told so, and none is missing."""

    async def story() -> None:
        async with running("openai", tmp_path, budget_usd=500.0) as (server, run):
            full = rows(6)
            async with run.economy(lambda first: islice(full(2), first, None)) as economy:
                await economy.submit()
            run = Run(server, tmp_path, budget_usd=1.0)
            lines = await run.write(full)
            assert [line.row for line in lines] == [1, 2, 3, 4, 5, 6]
            assert [line.status for line in lines] == ["failed"] * 2 + ["ok"] * 4
            assert len(server.jobs) == 1
            assert run.spent_usd == pytest.approx(4 * COST)

    asyncio.run(story())


# deaths


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_death_while_waiting_costs_nothing(vendor: str, tmp_path: Path) -> None:
    """Submitted, and gone: the next process waits for the same jobs."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            async with run.economy(rows(6)) as economy:
                assert await economy.submit() == 6
            lines = await run.write(rows(6))
            assert [line.status for line in lines] == ["ok"] * 6
            assert len(server.jobs) == 1
            assert run.spent_usd == pytest.approx(6 * COST)

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_death_between_the_submission_and_its_note(vendor: str, tmp_path: Path) -> None:
    """The job is found at the vendor, and not begun again."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            async with run.economy(rows(6)) as economy:
                await economy.submit()
                economy._book._base.execute("UPDATE jobs SET id = NULL, state = 'intended'")
            lines = await run.write(rows(6))
            assert [line.status for line in lines] == ["ok"] * 6
            assert len(server.jobs) == 1

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_death_before_the_submission(vendor: str, tmp_path: Path) -> None:
    """A job that was noted and never sent is not there, and is begun."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            async with run.economy(rows(6)) as economy:
                keys = [economy._key(job.request) for job in rows(6)(0)]  # type: ignore[arg-type]
                economy._book.intend([(key, 0.1) for key in keys])
            lines = await run.write(rows(6))
            assert [line.status for line in lines] == ["ok"] * 6
            assert len(server.jobs) == 1
            assert run.reserved_usd == 0

    asyncio.run(story())


def test_of_two_jobs_that_may_be_it_nobody_chooses_unasked(tmp_path: Path) -> None:
    """Anthropic's jobs have no label: where two are alike the user is asked, and may have it begun again."""

    async def story() -> None:
        async with running("anthropic", tmp_path) as (server, run):
            server.begins = 2
            async with run.economy(rows(3)) as economy:
                await economy.submit()
                economy._book._base.execute("UPDATE jobs SET id = NULL, state = 'intended'")
            with pytest.raises(
                InvalidRequest, match=r"msgbatch_2, msgbatch_1 may be it; --yes begins it again"
            ):
                await run.write(rows(3))
            server.begins = 1
            assert len(await run.write(rows(3), again=True)) == 3
            assert len(server.jobs) == 3

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_submission_whose_answer_is_lost_is_not_made_twice(vendor: str, tmp_path: Path) -> None:
    """The connection breaks after the job was begun: it is looked for before it is begun again."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            server.loses_answers = 1
            lines = await run.write(rows(4))
            assert [line.status for line in lines] == ["ok"] * 4
            assert len(server.jobs) == 1

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("step", [reset(), answer(503, json={}), answer(429, {"retry-after": "7"}, json={})])
def test_a_submission_that_fails_in_passing_is_repeated(vendor: str, step: Any, tmp_path: Path) -> None:
    """A break before anything was begun, an overload, a throttle: once more, after a wait."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            server.refusals = [step]
            lines = await run.write(rows(2))
            assert [line.status for line in lines] == ["ok"] * 2
            assert len(server.jobs) == 1

    asyncio.run(story())


def test_a_submission_that_is_refused_ends_the_run_and_holds_nothing(tmp_path: Path) -> None:
    """A credential that is not taken is told at once; the book knows of no job."""

    async def story() -> None:
        async with running("openai", tmp_path, budget_usd=100.0) as (server, run):
            server.refusals = [answer(401, json={"error": {"message": f"bad key {KEY}"}})]
            async with run.economy(rows(2)) as economy:
                with pytest.raises(AuthenticationFailed) as told:
                    await economy.submit()
                assert KEY not in str(told.value)
                assert economy.jobs == []
                assert economy._engine.router.ledger.look().reserved_usd == 0
            assert len(await run.write(rows(2))) == 2

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_death_in_the_middle_of_the_lines(vendor: str, tmp_path: Path) -> None:
    """What is written is not asked or charged again; what is not is made of the answers that are there."""

    async def story() -> None:
        async with running(vendor, tmp_path, budget_usd=500.0) as (server, run):
            await run.write(rows(20), upto=7)
            asked = len(server.requests)
            run.lines = run.lines[:5]  # two were not yet on the disk
            lines = await run.write(rows(20))
            assert [line.row for line in lines] == list(range(1, 21))
            assert len(server.requests) == asked
            assert sum(cost_of(line)[0] for line in lines) == pytest.approx(20 * COST)
            assert run.reserved_usd == 0

    asyncio.run(story())


def test_equal_rows_are_charged_once_over_a_death(tmp_path: Path) -> None:
    """The line that has the cost was written by a process that is gone."""

    async def story() -> None:
        async with running("openai", tmp_path) as (_, run):
            await run.write(rows(4, product_name="Cap"), upto=2)
            lines = await run.write(rows(4, product_name="Cap"))
            assert sum(cost_of(line)[0] for line in lines) == pytest.approx(COST)

    asyncio.run(story())


# results


@pytest.mark.parametrize("vendor", VENDORS)
def test_results_cut_in_the_middle_are_fetched_again(vendor: str, tmp_path: Path) -> None:
    """What came whole is kept, the rest comes with the next try."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            server.cuts = 2
            lines = await run.write(rows(12))
            assert [line.status for line in lines] == ["ok"] * 12
            assert server.live == []

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_strangers_and_repeats_among_the_results_are_left_aside(vendor: str, tmp_path: Path) -> None:
    """Keys that nobody asked for, and answers that come twice, change nothing; they are counted."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            server.strangers = ["nobody", "x" * 64]
            server.twice = True
            server.write = lambda body: copy_for(body) if body else "nothing"
            async with run.economy(rows(4)) as economy:
                lines = [line async for line in economy.lines()]
                assert [job.strangers for job in economy.jobs] == [4 + 2]
            assert [line.status for line in lines] == ["ok"] * 4

    asyncio.run(story())


@pytest.mark.parametrize("vendor", ["openai", "google"])
def test_a_job_that_fails_stops_the_run(vendor: str, tmp_path: Path) -> None:
    """Nothing was charged, so nothing is asked live at the full price unbidden; resuming begins another job."""

    async def story() -> None:
        async with running(vendor, tmp_path, budget_usd=50.0) as (server, run):
            async with run.economy(rows(3)) as economy:
                await economy.submit()
            server.fail(server.jobs[0], "too many tokens are queued")
            with pytest.raises(JobsStopped, match=r"failed: too many tokens are queued; --resume"):
                await run.write(rows(3))
            assert server.live == []
            lines = await run.write(rows(3))
            assert [line.status for line in lines] == ["ok"] * 3
            assert len(server.jobs) == 2

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_job_that_was_cancelled_keeps_what_it_answered(vendor: str, tmp_path: Path) -> None:
    """The run stops; resuming submits the rest alone."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            async with run.economy(rows(6)) as economy:
                await economy.submit()
            server.cancel(server.jobs[0])
            with pytest.raises(JobsStopped, match="was cancelled"):
                await run.write(rows(6))
            lines = await run.write(rows(6))
            assert [line.status for line in lines] == ["ok"] * 6
            assert [len(job.requests) for job in server.jobs] == [6, 3]
            assert run.spent_usd == pytest.approx(6 * COST)
            assert server.live == []

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_job_that_runs_out_of_time_is_finished_live(vendor: str, tmp_path: Path) -> None:
    """After a day the answers are wanted: the half that was not come to is asked for at once."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            async with run.economy(rows(6)) as economy:
                await economy.submit()
            server.expire(server.jobs[0])
            lines = await run.write(rows(6))
            assert [line.status for line in lines] == ["ok"] * 6
            assert len(server.live) == 3

    asyncio.run(story())


# waiting


@pytest.mark.parametrize("vendor", VENDORS)
def test_waiting_slows_down_and_survives_outages(vendor: str, tmp_path: Path) -> None:
    """A vendor that cannot be reached for a while is asked again, ever more rarely, and the run says why it waits."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            async with run.economy(rows(2)) as economy:
                await economy.submit()
            server.jobs[0].polls = 12
            server.refusals = [reset(), answer(503, json={}), answer(429, json={})]
            lines = await run.write(rows(2))
            assert [line.status for line in lines] == ["ok"] * 2
            assert run.waits.waited == sorted(run.waits.waited)
            assert run.waits.waited[-1] == 60.0
            troubles = [progress.trouble for progress in run.told if progress.trouble]
            # aiohttp sends anew what a reused connection lost before any answer, so the first is no trouble there
            assert troubles[-2:] == ["status 503", "status 429"]
            assert len(troubles) in (2, 3)
            assert KEY not in " ".join(troubles)
            last = [progress for progress in run.told if progress.doing == "waiting"][-1]
            assert (last.jobs, last.open, last.requests, last.state) == (1, 1, 2, "running")

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_credential_that_is_gone_ends_the_waiting(vendor: str, tmp_path: Path) -> None:
    """Asking on would be no use; the jobs stay in the book."""

    async def story() -> None:
        async with running(vendor, tmp_path) as (server, run):
            async with run.economy(rows(2)) as economy:
                await economy.submit()
            server.refusals = [
                answer(401, json={"error": {"message": "gone", "type": "authentication_error"}})
            ]
            with pytest.raises(AuthenticationFailed):
                await run.write(rows(2))
            assert len(await run.write(rows(2))) == 2

    asyncio.run(story())


def test_who_has_no_jobs_is_told_who_has(tmp_path: Path) -> None:
    """The message names the providers that take batch jobs."""
    with pytest.raises(
        InvalidRequest, match=r"phrasebank.*no batch jobs; openai, anthropic, google have them"
    ):
        jobs_of(load_provider("phrasebank"), "phrasebank")
    assert providers_with_jobs() == VENDORS


def test_the_key_stands_in_no_file(tmp_path: Path) -> None:
    """Neither in the book nor in a result."""

    async def story() -> None:
        async with running("openai", tmp_path) as (_, run):
            lines = await run.write(rows(3))
            assert all(KEY not in line.model_dump_json() for line in lines)
            assert KEY.encode() not in run.path.read_bytes()

    asyncio.run(story())


def test_results_that_cannot_be_had_are_waited_for(tmp_path: Path) -> None:
    """They are asked for ever more rarely, and the run says why it waits."""

    async def story() -> None:
        async with running("openai", tmp_path) as (server, run):
            server.cuts = 20
            assert len(await run.write(rows(9))) == 9
            assert server.live == []
            assert "the results end in the middle of a line" in {progress.trouble for progress in run.told}
            assert run.waits.waited[-1] == 60.0

    asyncio.run(story())
