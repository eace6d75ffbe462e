"""What a batch has begun and not yet written survives the death of its process, whenever that comes."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, contextmanager
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from copykit import events
from copykit.batch import Job, run_batch
from copykit.errors import CopykitError
from copykit.events import AttemptFinished, AttemptStarted
from copykit.feeds.journal import Journal
from copykit.feeds.underway import Losses, Underway
from copykit.models import BatchLine, CopyVariant, CopywritingInput, CopywritingOutput, Receipt, Usage

COST = 0.25
WORST = 2.0


def job(place: int) -> Job:
    """Give the job of one place."""
    request = CopywritingInput(product_description=f"Cap {place}", target_platform="x")
    return Job(place + 1, f"p{place + 1}", "x.post", "en", request)


def answer(request: CopywritingInput) -> CopywritingOutput:
    """Give a result whose text is the request's own."""
    text = request.product_description
    variant = CopyVariant(fields={"text": text}, text=text, status="ok", field_status={})
    return CopywritingOutput(
        id=text,
        variants=[variant],
        text=text,
        placement="x.post",
        language="en",
        tone="plain",
        use_case="x",
        usage=Usage(cost_usd=COST),
        receipt=Receipt(served_by="one:1"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Desk:
    """Makes one call a request, and tells it; the requests named in *slow* are never answered."""

    def __init__(self, *slow: int, promised: float | None = WORST) -> None:
        self.slow, self.promised = slow, promised
        self.asked: list[int] = []
        self.dead = False

    async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
        """Answer, or wait for ever."""
        assert row is not None
        if self.dead:
            await asyncio.Event().wait()
        self.asked.append(row - 1)
        number = len(self.asked)
        events.emit(AttemptStarted(number, "one:1", self.promised))
        await asyncio.sleep(0)
        if row - 1 in self.slow:
            await asyncio.Event().wait()
        events.emit(AttemptFinished("one:1", "ok", 0.0, number, COST))
        return answer(request)


@contextmanager
def heard(journal: Journal) -> Any:
    """Let *journal* take in the calls of the process."""
    events.subscribe(journal.underway)
    try:
        yield
    finally:
        events.unsubscribe(journal.underway)


def part(
    path: Path,
    desk: Desk,
    count: int,
    *,
    killed: Callable[[Journal], bool] = lambda journal: False,
    worst: Callable[[int, str], float | None] = lambda place, target: None,
) -> Journal:
    """Write *count* lines as a process does, until *killed* says that it is: then nothing more is written."""

    async def drive(journal: Journal) -> None:
        async with aclosing(
            run_batch(
                desk,
                map(job, range(journal.done, count)),
                concurrency=4,
                first=journal.done,
                keeper=journal,
            )
        ) as lines:
            async for line in lines:
                journal.write(line)
        journal.finish()

    async def until_killed(journal: Journal) -> None:
        task = asyncio.create_task(drive(journal))
        while not task.done() and not killed(journal):  # noqa: ASYNC110 -- who kills a process asks it nothing
            await asyncio.sleep(0)
        journal.close()  # whatever the tasks do from here on reaches no file, and nobody is asked
        desk.dead = True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    with Journal(path, {"seed": 1}) as journal:
        journal.resume(worst)
        with heard(journal):
            asyncio.run(until_killed(journal))
    return journal


def waits(count: int) -> Callable[[Journal], bool]:
    """Say that a process is killed when *count* lines wait for an earlier one, or some more."""
    return lambda journal: len(journal.underway.ahead) >= count


def lost(path: Path) -> Losses:
    """Give what the run at *path* would count as lost now."""
    journal = Journal(path, {})
    journal.look(len(path.read_bytes().splitlines()), lambda place, target: None)
    return journal.underway.lost


def test_finished_lines_outlive_a_kill_though_an_earlier_one_is_missing(tmp_path: Path) -> None:
    """The calls of lines that wait for a slow one are not made again, and the file is that of a calm run."""
    path, calm = tmp_path / "killed.jsonl", tmp_path / "calm.jsonl"
    part(calm, Desk(), 20)
    first = Desk(3)
    part(path, first, 20, killed=waits(10))
    assert len(path.read_bytes().splitlines()) == 3
    second = Desk()
    part(path, second, 20)
    assert path.read_bytes() == calm.read_bytes()
    kept = set(first.asked) & set(second.asked)
    assert 3 in kept
    assert len(kept) <= 4, "only what was in the air is asked again"
    assert [found.name for found in tmp_path.glob("*.underway.*")] == []


def test_calls_whose_line_is_missing_are_told_as_lost(tmp_path: Path) -> None:
    """In the air: at their worst; ended: at their cost; those of lines that are kept are no loss."""
    path = tmp_path / "out.jsonl"
    desk = Desk(3)
    killed = part(path, desk, 20, killed=waits(10))
    found = lost(path)
    in_the_air = len(desk.asked) - 3 - len(killed.underway.ahead)
    assert 1 <= in_the_air <= 4
    assert (found.calls, found.estimated_calls) == (in_the_air, in_the_air)
    assert (found.cost_usd, found.estimated_usd) == (in_the_air * WORST, in_the_air * WORST)


def test_losses_add_up_over_kills_and_stand_in_the_note(tmp_path: Path) -> None:
    """Each part of a run adds its own; the finished run tells their sum, also when it is looked at again."""
    path = tmp_path / "out.jsonl"
    part(path, Desk(3), 20, killed=waits(10))
    first = lost(path)
    part(path, Desk(20), 30, killed=lambda journal: journal.done == 20 and len(journal.underway.ahead) > 4)
    second = lost(path)
    assert second.calls > first.calls
    done = part(path, Desk(), 30)
    assert done.underway.lost == second
    note = json.loads((tmp_path / "out.jsonl.run.json").read_text())
    assert Losses.of(note["lost"]) == second
    with Journal(path, {"seed": 1}) as again:
        assert again.resume() is True
        assert again.underway.lost == second


@pytest.mark.parametrize("seed", range(8))
def test_every_call_is_told_once_however_often_a_run_is_killed(tmp_path: Path, seed: int) -> None:
    """Calls of all parts are the receipts' and the lost ones; each kill asks at most once more for what was in progress."""
    dice = random.Random(seed)
    path, calm = tmp_path / "killed.jsonl", tmp_path / "calm.jsonl"
    part(calm, Desk(), 60)

    class Uneven(Desk):
        async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
            """Answer after any time."""
            for _ in range(dice.randrange(12)):
                await asyncio.sleep(0)
            return await super().generate(request, row=row)

    asked: list[int] = []
    kills = 5
    for _ in range(kills):
        desk, turns = Uneven(), iter(range(dice.randrange(1, 60)))
        part(path, desk, 60, killed=lambda journal, turns=turns: next(turns, None) is None)  # type: ignore[misc]
        asked += desk.asked
    last = Uneven()
    found = part(path, last, 60).underway.lost
    asked += last.asked
    assert path.read_bytes() == calm.read_bytes()
    assert len(asked) == 60 + found.calls
    assert max(Counter(asked).values()) <= 1 + kills
    assert len(asked) - 60 <= 4 * kills
    ended = found.calls - found.estimated_calls
    assert round(found.cost_usd, 9) == round(ended * COST + found.estimated_calls * WORST, 9)


def test_what_was_never_promised_is_asked_for(tmp_path: Path) -> None:
    """Without a budget the worst case is reckoned when the run is resumed; where nobody knows it, that is said."""
    path = tmp_path / "out.jsonl"
    part(path, Desk(0, promised=None), 4, killed=waits(3))
    assert (lost(path).calls, lost(path).cost_unknown, lost(path).cost_usd) == (1, 1, 0.0)
    asked: list[tuple[int, str]] = []

    def worst(place: int, target: str) -> float:
        asked.append((place, target))
        return 1.5

    done = part(path, Desk(), 4, worst=worst)
    assert asked == [(0, "one:1")]
    assert done.underway.lost == Losses(1, 1, 0, 15 * 10**11, 15 * 10**11)


def test_wherever_the_file_is_cut_it_is_read_up_to_there(tmp_path: Path) -> None:
    """A half-written entry says nothing; a line is kept whole or not at all, and every paid call is told once."""
    path = tmp_path / "out.jsonl"
    part(path, Desk(0), 6, killed=waits(4))
    beside = tmp_path / "out.jsonl.underway.jsonl"
    whole = beside.read_bytes()
    cut_file = tmp_path / "cut.jsonl"
    for cut in range(0, len(whole), 61):
        cut_file.write_bytes(whole[:cut])
        underway = Underway(cut_file)
        underway.read(0, lambda place, target: None)
        kept = list(underway.lines())
        assert all(line.status == "ok" for line in kept)
        begun = whole[:cut].count(b'"worst_usd":2.0}\n')
        assert len(kept) + underway.lost.calls == begun


def test_the_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written anew when most of it is told by the result, and what is still to be told stays in it."""
    monkeypatch.setattr("copykit.feeds.underway._SMALL", 8_000)
    path = tmp_path / "out.jsonl"
    beside = tmp_path / "out.jsonl.underway.jsonl"
    sizes: list[int] = []

    class Uneven(Desk):
        async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
            """Answer late where the place can be divided by four."""
            for _ in range(40 if row is not None and row % 4 == 1 else 1):
                await asyncio.sleep(0)
            return await super().generate(request, row=row)

    def looked(journal: Journal) -> bool:
        sizes.append(beside.stat().st_size)
        return journal.done > 390

    part(path, Uneven(), 400, killed=looked)
    assert path.stat().st_size > 100_000
    assert max(sizes) < 60_000
    assert lost(path).calls <= 4
    part(path, Uneven(), 400)
    assert len(path.read_bytes().splitlines()) == 400


def test_a_disk_that_is_full_ends_the_run_at_the_next_line(tmp_path: Path) -> None:
    """A call that could not be noted is not passed over in silence; hooks themselves raise nothing."""

    class Full:
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    with Journal(tmp_path / "out.jsonl", {}) as journal:
        journal.start()
        journal.underway._stream.close()
        journal.underway._stream = Full()
        started = AttemptStarted(1, "one:1", None)

        def call() -> tuple[events.Hook, ...]:
            journal.begin(0)
            return events.emit(started, (journal.underway,))

        assert copy_context().run(call) == ()
        line = BatchLine(
            row=1, id="1", placement="x.post", language="en", status="failed", error={"code": "x"}
        )
        with pytest.raises(OSError, match="No space"):
            journal.write(line)


def test_calls_of_no_line_are_not_the_run_s(tmp_path: Path) -> None:
    """What else the process calls, before any line was begun, is nobody's loss."""
    underway = Underway(tmp_path / "u.jsonl")
    underway.open()

    async def call() -> None:
        underway(AttemptStarted(1, "one:1", WORST))
        underway(AttemptFinished("one:1", "ok", 0.0, 1, COST))

    asyncio.run(call())
    underway.close()
    assert (tmp_path / "u.jsonl").read_bytes() == b""


def test_a_line_that_failed_at_once_is_not_kept(tmp_path: Path) -> None:
    """A row that nobody could be asked for costs nothing: it is read again."""

    class Kept:
        def __init__(self) -> None:
            self.places: list[int] = []

        def begin(self, place: int) -> BatchLine | None:
            """Keep nothing from before."""
            return None

        def keep(self, place: int, line: BatchLine) -> BatchLine:
            """Note the place."""
            self.places.append(place)
            return line

    broken = Job(2, "p2", "x.post", "en", None, CopykitError("no"))

    class Late(Desk):
        async def generate(self, request: CopywritingInput, *, row: int | None = None) -> CopywritingOutput:
            """Answer the first last."""
            for _ in range(9 if row == 1 else 1):
                await asyncio.sleep(0)
            return answer(request)

    kept = Kept()

    async def drive() -> list[BatchLine]:
        jobs = [job(0), broken, job(2)]
        return [line async for line in run_batch(Late(), jobs, concurrency=3, keeper=kept)]

    assert [line.status for line in asyncio.run(drive())] == ["ok", "failed", "ok"]
    assert kept.places == [2]
