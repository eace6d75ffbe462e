"""What a batch costs: told before it, asked about, bounded, and added up after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from copykit.batch import BatchStats, gather
from copykit.brief.prompt import Prompt
from copykit.cli import batch_money
from copykit.cli.app import app
from copykit.errors import BudgetExceeded, CopykitError, ProviderTimeout, RateLimited
from copykit.feeds.journal import read_lines
from copykit.models import Attempt, BatchLine, CopywritingInput, Usage
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider, unregister_provider
from copykit.routing.asking import MAX_CALLS
from copykit.settings import RoutingSettings, Settings
from copykit.testing import FakeProvider

PRICES = {"one": {"input": 1_000.0, "output": 10_000.0}, "two": {"input": 2_000.0, "output": 20_000.0}}
USAGE = Usage(input_tokens=10, output_tokens=20)
WORST = 2.0
"""Dollars of one call at most, by these prices: 1,000 bytes and 100 tokens."""
COST = 0.21
"""Dollars of one call: 10 tokens in, 20 out."""
Call = Callable[..., Result]


class Echo(FakeProvider):
    """Writes the row's own words; a call has bounds, 1,000 bytes in and 100 tokens out."""

    timeout_s = 5.0

    def model_of(self, prompt: Prompt) -> str:
        """One model, whatever is asked."""
        return prompt.model or self.model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """The same bounds for every prompt."""
        return 1_000, 100

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer after others had the chance to ask."""
        await asyncio.sleep(0)
        request = prompt.brief.request
        self.will_say({"text": f"{request.product_name}: {request.product_description}. Take a look."})
        return await super().complete(prompt)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """Register ``one`` and a dearer ``two``; give the first."""
    made = Echo("one", "one-1")
    register_provider("one", lambda: made)
    register_provider("two", lambda: Echo("two", "two-1"))
    yield made
    unregister_provider("one")
    unregister_provider("two")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Give what runs ``copykit batch in.csv --platform x`` in an empty folder, three good rows and a broken one."""
    monkeypatch.chdir(tmp_path)
    catalogue(tmp_path / "in.csv", 3)

    def run(*words: object, routing: Any = None, batch: Any = None, answer: str = "") -> Result:
        own = Settings(
            routing=RoutingSettings(**({"providers": ("one",), "prices": PRICES} | (routing or {})))
        )
        own = replace(own, batch=replace(own.batch, **(batch or {})))
        monkeypatch.setattr(Settings, "from_env", lambda **_: own)
        told = ["batch", "in.csv", "--platform", "x", "--language", "en", *map(str, words)]
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, told, input=answer)

    return run


def catalogue(path: Path, count: int, last: str = "broken\n") -> None:
    """Write rows that differ, and a last line."""
    rows = [f'p{n},Cap {n},"A warm cap, no. {n}."\n' for n in range(1, count + 1)]
    path.write_text("id,title,description\n" + "".join(rows) + last)


def lines(path: str = "out.jsonl") -> list[BatchLine]:
    """Give the result's lines."""
    return list(read_lines(Path(path)))


def failures(path: str = "out.jsonl") -> list[str]:
    """Give the codes of the lines that failed."""
    return [line.error["code"] for line in lines(path) if line.error]


def test_an_estimate_is_a_range_and_sends_nothing(echo: Echo, call: Call, tmp_path: Path) -> None:
    """Lines, tokens and dollars: the worst by the calls' own bounds, the usual by an assumption that is told."""
    told = call("--estimate", "--json")
    found = json.loads(told.stdout)
    assert told.exit_code == 0
    assert (found["lines"], found["asked"], found["not_asked"]) == (4, 3, 1)
    assert found["worst_usd"] == pytest.approx(3 * MAX_CALLS * WORST)
    assert found["input_tokens"]["most"] == 3 * MAX_CALLS * 1_000
    assert found["output_tokens"] == {"usual": 3 * 25, "most": 3 * MAX_CALLS * 100}
    spent = found["input_tokens"]["usual"] * 1_000 + 75 * 10_000
    assert found["usual_usd"] == pytest.approx(spent / 1e6)
    assert any("a token for 4 bytes" in text for text in found["assumed"])
    assert echo.asked == []
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    assert "24 USD" in call("--estimate").stderr


@pytest.mark.parametrize(
    ("words", "routing", "usual", "worst"),
    [
        ((), {"providers": ("phrasebank",)}, 0.0, 0.0),
        (("--provider", "phrasebank"), {}, 0.0, 0.0),
        ((), {"providers": ("one", "two", "phrasebank")}, "known", 3 * MAX_CALLS * 2 * WORST),
        ((), {"providers": ("phrasebank", "one")}, 0.0, 3 * MAX_CALLS * WORST),
        ((), {"request_budget_usd": 3.0}, "known", 9.0),
        (("--budget", "0.5"), {}, 0.5, 0.5),
        ((), {"budget_usd": 0.25}, 0.25, 0.25),
        (("--budget", "1"), {"budget_usd": 0.25}, 0.25, 0.25),
        ((), {"prices": {}}, None, None),
        ((), {"providers": ("two", "one"), "prices": {"two": PRICES["two"]}}, "known", None),
        (("--budget", "9"), {"prices": {}}, 0.0, 0.0),
    ],
)
def test_an_estimate_knows_targets_prices_and_budgets(
    echo: Echo, call: Call, words: tuple[str, ...], routing: Any, usual: Any, worst: float | None
) -> None:
    """The dearest target counts at worst, the first as usual; what has no price is unknown, or passed over under a cap."""
    found = json.loads(call("--estimate", "--json", *words, routing=routing).stdout)
    assert found["worst_usd"] == (worst if worst is None else pytest.approx(worst))
    if usual == "known":
        assert found["usual_usd"] > 0
    else:
        assert found["usual_usd"] == usual
    assert found["unpriced"] == (["one"] if "one" not in routing.get("prices", PRICES) else [])


def test_an_estimate_of_a_resumed_run_is_that_of_its_rest(echo: Echo, call: Call) -> None:
    """What is done counts as spent, half a line does not."""
    call("--out", "out.jsonl", "--yes")
    journal = Path("out.jsonl")
    first = journal.read_bytes().splitlines(keepends=True)[0]
    journal.write_bytes(first + b'{"row": 2, "id"')
    words = ("--out", "out.jsonl", "--resume", "--estimate", "--json", "--budget", "2")
    found = json.loads(call(*words).stdout)
    assert (found["asked"], found["not_asked"]) == (2, 1)
    assert found["worst_usd"] == pytest.approx(2 - COST)


@pytest.mark.parametrize(
    ("words", "options", "sent"),
    [
        ((), {}, False),
        ((), {"batch": {"confirm_usd": 23.9}}, False),
        ((), {"batch": {"confirm_usd": 24.1}}, True),
        (("--yes",), {}, True),
        (("--budget", "0.9"), {}, True),
        (("--budget", "30"), {}, False),
        ((), {"routing": {"prices": {}}}, False),
        (("--provider", "phrasebank"), {}, True),
    ],
)
def test_a_dear_run_is_not_begun_unasked(
    echo: Echo, call: Call, words: tuple[str, ...], options: Any, sent: bool
) -> None:
    """Where nobody can be asked it is refused, and the refusal names what begins it; nothing lies at --out then."""
    done = call("--out", "out.jsonl", *words, **options)
    assert Path("out.jsonl").exists() is sent
    if not sent:
        assert done.exit_code == 2
        assert "--yes" in done.stderr
        assert echo.asked == []


@pytest.mark.parametrize(
    ("answer", "status", "asked"), [("y\n", 3, 3), ("n\n", 2, 0), ("\n", 2, 0), ("", 2, 0)]
)
def test_who_sits_at_a_terminal_is_asked(
    echo: Echo, call: Call, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, asked: int
) -> None:
    """The question holds the usual and the worst; anything but yes leaves everything as it was."""
    monkeypatch.setattr(batch_money, "_can_ask", lambda source: True)
    Path("out.jsonl").write_text("kept\n")
    done = call("--out", "out.jsonl", "--overwrite", answer=answer)
    assert (done.exit_code, len(echo.asked)) == (status, asked)
    assert "24 USD at worst. Begin?" in done.stderr
    assert (Path("out.jsonl").read_text() == "kept\n") is (not asked)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_is_never_passed_and_used_as_far_as_it_goes(
    echo: Echo, call: Call, tmp_path: Path, concurrency: int
) -> None:
    """Rows that do not fit fail alone; a promise to a row in progress costs no other row its place."""
    catalogue(tmp_path / "in.csv", 20, last="")
    done = call(
        "--out", "out.jsonl", "--budget", "2.5", "--yes", "--json", "--concurrency", concurrency
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (summary["status"]["failed"], len(echo.asked)) == (17, 3)
    assert set(failures()) == {"budget_exceeded"}
    assert summary["cost_usd"] == pytest.approx(3 * COST)
    assert summary["budget_usd"] == 2.5
    assert [reason["lines"] for reason in summary["reasons"]] == [17]


def test_a_resumed_run_has_what_its_earlier_parts_left(echo: Echo, call: Call) -> None:
    """The receipts in the file count, whatever was configured when they were written."""
    call("--out", "out.jsonl", "--yes")
    journal, note = Path("out.jsonl"), Path("out.jsonl.run.json")
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:1]))
    note.write_text(note.read_text().replace("true", "false"))
    echo.asked.clear()
    done = call("--out", "out.jsonl", "--resume", "--budget", WORST + 1.5 * COST, "--yes", "--json")
    summary = json.loads(done.stdout)
    assert len(echo.asked) == 1
    assert failures() == ["budget_exceeded", "bad_record"]
    assert summary["cost_usd"] == pytest.approx(2 * COST)


@pytest.mark.parametrize("promised", [WORST, None])
def test_what_a_killed_run_paid_in_vain_counts_as_spent(
    echo: Echo, call: Call, promised: float | None
) -> None:
    """
    A call that ended counts its cost, one in the air its worst case, also where none was promised: in the estimate, in the
    budget and in the summary; a line that was finished before its turn is neither lost nor asked for again.
    """
    call("--out", "out.jsonl", "--yes")
    journal, note = Path("out.jsonl"), Path("out.jsonl.run.json")
    first, _, third, _ = journal.read_bytes().splitlines()
    journal.write_bytes(first + b"\n")
    note.write_text(note.read_text().replace("true", "false"))
    begun = [
        {"begun": n, "place": p, "target": "one", "worst_usd": promised}
        for n, p in enumerate((0, 1, 1, 2), 1)
    ]
    ended = [{"ended": n, "cost_usd": cost} for n, cost in ((1, COST), (2, 0.5), (4, COST))]
    entries = "".join(json.dumps(entry) + "\n" for entry in (*begun, *ended))
    entries += '{"ahead":2,"line":' + third.decode() + "}\n"
    Path("out.jsonl.underway.jsonl").write_text(entries)
    echo.asked.clear()
    spent = 2 * COST + 0.5 + WORST
    words = ("--out", "out.jsonl", "--resume", "--json")
    found = json.loads(call(*words, "--estimate", "--budget", spent + 1).stdout)
    assert (found["asked"], found["not_asked"]) == (1, 1)
    assert found["worst_usd"] == pytest.approx(1)
    assert Path("out.jsonl.underway.jsonl").read_text() == entries
    summary = json.loads(call(*words, "--budget", spent + WORST - 0.01, "--yes").stdout)
    assert (echo.asked, failures()) == ([], ["budget_exceeded", "bad_record"])
    assert summary["cost_usd"] == pytest.approx(2 * COST)
    assert summary["lost"] == {
        "calls": 2,
        "cost_usd": 0.5 + WORST,
        "estimated_calls": 1,
        "estimated_usd": WORST,
        "cost_unknown": 0,
    }
    shown = call("--out", "out.jsonl", "--resume", "--budget", spent + WORST - 0.01).stderr
    assert "2 calls whose lines were not written, 2.5 USD, of which 2 USD at worst for 1 in the air" in shown


def test_the_summary_adds_up_what_was_paid_and_saved(echo: Echo, call: Call, tmp_path: Path) -> None:
    """A row that a cache serves costs nothing and says what it saved; so the receipts add up to the bill."""
    catalogue(tmp_path / "in.csv", 2, last='p9,Cap 2,"A warm cap, no. 2."\n')
    words = ("--out", "out.jsonl", "--yes", "--concurrency", "1")
    summary = json.loads(call(*words, "--json").stdout)
    assert (summary["cost_usd"], summary["saved_usd"], summary["cost_unknown"]) == (2 * COST, COST, 0)
    outputs = [line.output for line in lines() if line.output]
    assert [output.usage.cost_usd for output in outputs] == [COST, COST, 0.0]
    assert [output.receipt.saved_usd for output in outputs] == [None, None, COST]
    assert "0.42 USD, a cache saved 0.21 USD" in call(*words, "--overwrite").stderr
    unpriced = json.loads(call(*words, "--overwrite", "--json", routing={"prices": {}}).stdout)
    assert (unpriced["cost_usd"], unpriced["cost_unknown"]) == (0.0, 2)


def test_what_a_failed_line_cost_counts() -> None:
    """Its attempts stand in its error; one that may have been charged, nobody knows what, is unknown."""
    paid = Attempt(target="one", outcome="output_invalid", input_tokens=9, output_tokens=9, cost_usd=0.5)
    free = Attempt(target="two", outcome="rate_limited", cost_usd=0.0)
    unknown = Attempt(target="three", outcome="provider_timeout")
    stats = BatchStats()
    for attempts in ((paid, free), (free,), (paid, unknown)):
        error = {"code": "x", "message": "", "attempts": [one.model_dump(mode="json") for one in attempts]}
        stats.add(BatchLine(row=1, id="1", placement="x", language="en", status="failed", error=error))
    assert (stats.cost_usd, stats.cost_unknown) == (1.0, 1)


def test_a_failed_line_tells_its_attempts(echo: Echo, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a row cost is told also where nothing came of it."""

    async def babble(prompt: Prompt) -> Completion:
        echo.asked.append(prompt)
        return Completion(text="", usage=echo._completion("x").usage)  # type: ignore[union-attr]

    monkeypatch.setattr(echo, "complete", babble)
    summary = json.loads(call("--out", "out.jsonl", "--yes", "--limit", "1", "--json").stdout)
    (line,) = lines()
    assert line.error is not None
    assert [one["cost_usd"] for one in line.error["attempts"]] == [COST] * len(echo.asked)
    assert summary["cost_usd"] == pytest.approx(COST * len(echo.asked))


def test_a_provider_s_defect_tells_what_it_may_have_cost(
    echo: Echo, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    The ledger charges the worst case of a call that broke off by a mistake in the provider's code, and so does the line;
    of two rows that were answered together one tells it.
    """
    catalogue(tmp_path / "in.csv", 1, last='p9,Cap 1,"A warm cap, no. 1."\n')

    async def broken(prompt: Prompt) -> Completion:
        await asyncio.sleep(0)
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(echo, "complete", broken)
    summary = json.loads(call("--out", "out.jsonl", "--yes", "--budget", "9", "--json").stdout)
    assert failures() == ["internal_error"] * 2
    assert sorted(len(line.error.get("attempts", [])) for line in lines() if line.error) == [0, 1]
    assert summary["cost_usd"] == pytest.approx(WORST)


class Bank:
    """An engine with one promise at a time: whoever asks meanwhile does not fit."""

    def __init__(self, error: BudgetExceeded) -> None:
        self.error = error
        self.held = False
        self.refused = 0

    async def generate(self, request: CopywritingInput, *, row: int | None = None) -> Any:
        """Hold the promise for a turn of the loop, or refuse."""
        if self.held or row == 3:
            self.refused += 1
            raise self.error
        self.held = True
        await asyncio.sleep(0.001)
        self.held = False
        return row


@pytest.mark.parametrize(
    ("error", "served"),
    [
        (BudgetExceeded(1, 0, 1), [1, 2, "budget_exceeded", 4]),
        (BudgetExceeded(1, 0, 1, scope="request budget"), [1] + ["budget_exceeded"] * 3),
        (BudgetExceeded(1, 0, 0, reason="no price"), [1] + ["budget_exceeded"] * 3),
    ],
)
def test_only_a_promise_of_others_is_waited_for(error: BudgetExceeded, served: list[Any]) -> None:
    """Who does not fit even alone fails, and so does who would fit no better later; nobody asks in circles."""
    bank = Bank(error)
    asked = [CopywritingInput(product_description="A cap", target_platform="x")] * 4
    answers = asyncio.run(gather(bank, asked, concurrency=4))
    assert [one.code if isinstance(one, CopykitError) else one for one in answers] == served
    assert bank.refused < 12


def test_who_leaves_while_waiting_gives_the_turn_on() -> None:
    """A batch that is cancelled ends at once, with requests waiting for the budget."""

    async def story() -> None:
        asked = [CopywritingInput(product_description="A cap", target_platform="x")] * 4
        task = asyncio.create_task(gather(Bank(BudgetExceeded(1, 0, 1)), asked, concurrency=4))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())


def test_without_a_place_for_the_result_only_an_estimate_is_made(echo: Echo, call: Call) -> None:
    """--out may be left out where nothing is written."""
    refused = call("--yes")
    assert refused.exit_code == 2
    assert "--out" in refused.stderr


@pytest.mark.parametrize(
    ("error", "unknown"), [(ProviderTimeout("late"), 1), (RateLimited("slow down"), 0), (None, 0)]
)
def test_a_call_that_may_have_cost_what_nobody_told_is_unknown(
    echo: Echo, call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception | None, unknown: int
) -> None:
    """Without a budget nothing was promised: a timed-out call's cost is unknown then, and that of a refused one is 0."""

    async def end(prompt: Prompt) -> Completion:
        if error is not None:
            raise error
        return Completion(
            text='{"variants": [{"fields": {"text": "Cap 1: A warm cap, no. 1."}}]}', usage=USAGE
        )

    monkeypatch.setattr(echo, "complete", end)
    summary = json.loads(call("--out", "out.jsonl", "--yes", "--limit", "1", "--json").stdout)
    assert summary["cost_unknown"] == unknown
