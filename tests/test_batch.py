"""Many briefs through one engine: order, bounds, failures."""

import asyncio
import random
import tracemalloc
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice

import pytest

from copykit.batch import BatchStats, gather, gather_as, plan, reasons, run_batch
from copykit.engine import Engine
from copykit.errors import CopykitError, InvalidRequest, NoProviderSucceeded
from copykit.feeds.mapping import guess
from copykit.feeds.rows import BadRow, Row
from copykit.models import CopyVariant, CopywritingInput, CopywritingOutput, Receipt, Usage, Violation
from copykit.settings import Settings


def answer(request, row, status="ok", violations=()):
    text = f"{request.product_name}: {request.product_description}"
    variant = CopyVariant(
        fields={"text": text},
        text=text,
        status=status,
        field_status={"text": status},
        violations=list(violations),
    )
    return CopywritingOutput(
        id=f"{request.target_platform}-{request.language}-{row}",
        variants=[variant],
        text=text,
        placement=request.target_platform,
        language=request.language,
        tone=request.tone,
        use_case="social_post",
        usage=Usage(),
        receipt=Receipt(served_by="fake:1"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class FakeEngine:
    """Answers after a random wait; fails or breaks where the description says so; counts what is in
    flight."""

    def __init__(self, wait_s=0.0):
        self.wait_s, self.flying, self.most, self.asked = wait_s, 0, 0, []
        self.dice = random.Random(3)

    async def generate(self, request, *, row=None):
        self.asked.append(row)
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            if self.wait_s:
                await asyncio.sleep(self.dice.random() * self.wait_s)
            if "refuse" in request.product_description:
                raise InvalidRequest("language", request.language, "not spoken yet", nearest=["en"])
            if "offline" in request.product_description:
                raise NoProviderSucceeded([])
            if "defect" in request.product_description:
                raise ZeroDivisionError("oh")
            if "reject" in request.product_description:
                broken = Violation(rule="M-01", field="headlines[2]", severity="error", message="too long")
                return answer(request, row, "rejected", [broken])
            return answer(request, row)
        finally:
            self.flying -= 1


def rows(count, describe=lambda n: "A warm cap."):
    for n in range(1, count + 1):
        yield Row(
            n, n, f"p{n}", {"id": f"p{n}", "name": f"Cap {n}", "description": describe(n), "lang": "en"}
        )


def jobs(source, **more):
    mapping = guess(rows(3))
    return plan(source, mapping, **{"placements": ["x.post"], "languages": ["en"], **more})


async def lines_of(engine, source, **more):
    return [line async for line in run_batch(engine, source, **more)]


def run(engine, source, **more):
    return asyncio.run(lines_of(engine, source, **more))


def test_lines_come_in_order_whoever_answers_first():
    """Rows in order, then platforms, then languages as given, while answers arrive in any order."""
    lines = run(
        FakeEngine(0.004),
        jobs(rows(20), placements=["x.post", "email"], languages=["es", "en"]),
        concurrency=7,
    )
    expected = [(n, p, tag) for n in range(1, 21) for p in ("x.post", "email") for tag in ("es", "en")]
    assert [(line.row, line.placement, line.language) for line in lines] == expected


def test_no_more_requests_are_in_flight_than_asked_for():
    """The bound holds, and is used."""
    engine = FakeEngine(0.002)
    run(engine, jobs(rows(60)), concurrency=5)
    assert engine.most == 5


def test_a_slow_answer_does_not_let_the_others_run_away():
    """Answers behind a slow one wait in a window, so rows are not read far ahead of what is written."""
    read = []

    def watched():
        for row in rows(1000):
            read.append(row.number)
            yield row

    class OneSlow(FakeEngine):
        async def generate(self, request, *, row=None):
            if row == 1:
                await asyncio.sleep(0.05)
            return await super().generate(request, row=row)

    async def first():
        async with aclosing(run_batch(OneSlow(), jobs(watched()), concurrency=4)) as lines:
            line = await anext(lines)
            return line.row, len(read)

    assert asyncio.run(first()) == (1, 16)


def test_every_failure_is_a_line_with_its_reason():
    """Refused, failed, broken and unreadable rows stand in their place; the rest is written."""
    words = {2: "refuse this", 3: "offline now", 4: "a defect here", 5: "reject me"}
    source = list(rows(6, lambda n: words.get(n, "A warm cap.")))
    source.append(BadRow(7, 12, "3 cells where the header has 4"))
    source.append(Row(8, 13, "p8", {"id": "p8", "name": "", "description": ""}))
    lines = run(FakeEngine(), jobs(source), concurrency=3)
    assert [line.status for line in lines] == [
        "ok", "failed", "failed", "failed", "rejected", "ok", "failed", "failed",
    ]  # fmt: skip
    errors = {line.row: line.error for line in lines if line.error}
    assert {row: error["code"] for row, error in errors.items()} == {
        2: "invalid_request",
        3: "provider_failed",
        4: "internal_error",
        7: "bad_record",
        8: "invalid_request",
    }
    assert (errors[2]["field"], errors[2]["nearest"]) == ("language", ["en"])
    assert errors[7]["line"] == 12
    assert "ZeroDivisionError" in errors[4]["message"]
    assert lines[4].output is not None


def test_own_language_is_each_rows_own():
    """`own` takes the row's column; a row that names none fails alone."""
    source = [
        Row(1, 1, "a", {"id": "a", "name": "A", "description": "x y", "lang": "fr"}),
        Row(2, 2, "b", {"id": "b", "name": "B", "description": "x y", "lang": ""}),
        Row(3, 3, "c", {"id": "c", "name": "C", "description": "x y", "lang": "pt_BR"}),
    ]
    lines = run(FakeEngine(), jobs(source, languages=["own"]))
    assert [(line.language, line.status) for line in lines] == [
        ("fr", "ok"),
        ("und", "failed"),
        ("pt-BR", "ok"),
    ]


def test_what_was_decided_about_a_row_stands_in_its_results():
    """A price that cannot be stated and an odd encoding are remarks of that row's lines, and of no other."""
    cells = {"name": "Cap", "description": "A warm cap."}
    given = [
        Row(1, 2, "1", {**cells, "price": "15 EUR"}),
        Row(2, 3, "2", {**cells, "price": "abc"}, ("read otherwise",)),
        Row(3, 4, "3", {**cells, "price": "9 EUR"}),
    ]
    plain, noted, after = run(
        FakeEngine(), plan(given, guess(given), placements=["x.post"], languages=["en"])
    )
    assert noted.output.info == ["read otherwise", "price is left out: it names no amount"]
    assert plain.output.info == after.output.info == []


def test_only_placements_with_an_address_get_the_template():
    """--final-url fills an ad's own field; elsewhere it would turn up in the text."""
    template = ("https://shop.example/{id}", frozenset({"google_ads.rsa"}))
    planned = jobs(rows(1), placements=["google_ads.rsa", "x.post"], final_url=template)
    assert [job.request.url for job in planned] == ["https://shop.example/p1", None]


def test_done_jobs_are_skipped_exactly():
    """A resumed plan is the tail of the whole plan, wherever it is cut."""
    settings = {"placements": ["x.post", "email"], "languages": ["en", "es", "fr"]}
    whole = [(j.row, j.placement, j.language) for j in jobs(rows(4), **settings)]
    for cut in range(len(whole) + 2):
        assert [(j.row, j.placement, j.language) for j in jobs(rows(4), **settings, skip=cut)] == whole[cut:]


def test_leaving_early_cancels_what_is_in_flight():
    """A consumer that stops leaves no task behind."""

    async def leave():
        engine = FakeEngine(0.01)
        async with aclosing(run_batch(engine, jobs(rows(100)), concurrency=4)) as lines:
            await anext(lines)
        return engine.flying, len(asyncio.all_tasks())

    assert asyncio.run(leave()) == (0, 1)


def test_a_broken_source_ends_the_run_with_its_error():
    """A defect in reading is not taken for the end of the file."""

    def broken():
        yield from jobs(rows(3))
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        run(FakeEngine(), broken())


def test_memory_does_not_grow_with_the_number_of_rows():
    """The peak of a long run is that of a short one."""

    async def count(total):
        tracemalloc.start()
        seen = 0
        async for _ in run_batch(FakeEngine(), jobs(rows(total)), concurrency=8):
            seen += 1
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen == total
        return peak

    class Quiet(FakeEngine):
        pass

    asyncio.run(count(100))
    short, long = asyncio.run(count(200)), asyncio.run(count(4000))
    assert long < short * 1.5 + 100_000


def test_stats_count_lines_and_name_reasons():
    """The summary's figures come from the lines that passed."""
    words = {2: "refuse this", 3: "refuse that", 5: "reject me"}
    stats = BatchStats()
    for line in run(FakeEngine(), jobs(rows(6, lambda n: words.get(n, "Cap.")), languages=["en", "es"])):
        stats.add(line)
    assert (stats.rows, stats.lines) == (6, 12)
    assert stats.status == {"ok": 6, "failed": 4, "rejected": 2}
    assert stats.reasons == {"invalid_request: language: not spoken yet": 4, "M-01 in headlines": 2}


def test_gather_gives_outputs_and_errors_in_order():
    """A list in, a list out; nothing is raised, errors that already stand in the list stay."""
    requests = [
        CopywritingInput(product_description=text, target_platform="x.post")
        for text in ("fine", "refuse", "defect", "fine")
    ]
    mistake = InvalidRequest("tone", "happy", "unknown")
    results = asyncio.run(gather(FakeEngine(0.002), [*requests, mistake], 2))
    assert [type(r).__name__ for r in results] == [
        "CopywritingOutput", "InvalidRequest", "InternalError", "CopywritingOutput", "InvalidRequest",
    ]  # fmt: skip
    assert results[4] is mistake
    assert isinstance(results[2].__cause__, ZeroDivisionError)
    assert asyncio.run(gather(FakeEngine(), [])) == []


def test_concurrency_below_one_is_refused():
    """There is no batch without a request in flight."""
    with pytest.raises(InvalidRequest, match="concurrency"):
        run(FakeEngine(), islice(jobs(rows(1)), 1), concurrency=0)
    assert issubclass(InvalidRequest, CopykitError)


def test_a_row_in_traditional_characters_fails_with_its_reason():
    """A row's language ``zh`` says nothing of the script; the phrase bank writes Simplified Chinese only."""
    source = [
        Row(n, n, f"p{n}", {"id": f"p{n}", "name": name, "description": name, "lang": "zh"})
        for n, name in enumerate(("維他檸檬茶，無糖飲料", "维他柠檬茶，无糖饮料"), 1)
    ]

    async def answered():
        async with aclosing(Engine(Settings())) as engine:
            return await lines_of(engine, jobs(source, languages=["own"]))

    refused, served = asyncio.run(answered())
    assert refused.status == "failed"
    assert "does not speak Chinese (Traditional)" in reasons(refused)[0]
    assert served.status != "failed"


def test_answers_that_need_no_waiting_let_others_in() -> None:
    """While twenty thousand are given out of memory, a task beside them is never kept waiting for long."""
    request = CopywritingInput(product_description="fine", target_platform="x.post")

    async def story() -> tuple[int, int]:
        turns = 0

        async def beside() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        other = asyncio.create_task(beside())
        results = await gather(FakeEngine(), [request] * 20_000, 1)
        other.cancel()
        return turns, len(results)

    turns, count = asyncio.run(story())
    assert count == 20_000
    assert turns > 5


def test_of_each_answer_is_kept_what_was_asked_for() -> None:
    """In the order of the requests, errors included, with the place of each."""
    request = CopywritingInput(product_description="fine", target_platform="x.post")
    mistake = InvalidRequest("tone", "happy", "unknown")
    told = asyncio.run(
        gather_as(FakeEngine(), [request, mistake], lambda at, result: (at, isinstance(result, CopykitError)))
    )
    assert told == [(0, False), (1, True)]
