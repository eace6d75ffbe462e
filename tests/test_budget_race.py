"""What thousands of tries at once spend, by every way into the library: never more than the budget, and all of it told."""

from __future__ import annotations

import asyncio
import runpy
import time
from pathlib import Path

import pytest

from copykit import CopywritingInput, CopywritingServiceV11, Settings, sync
from copykit.brief.prompt import Prompt
from copykit.errors import CopykitError, DeadlineExceeded
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider, unregister_provider
from copykit.settings import ProvidersSettings, RoutingSettings
from copykit.testing.books import FATES, Books
from copykit.testing.servers import ScriptedServer

PRICES = {"local": {"input": 100.0, "output": 400.0}}


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_the_receipts_of_all_tries_add_up_to_the_ledger_and_the_books(told: bool) -> None:
    """
    Seven ways in, some briefs alike, a budget for a tenth of the tries: where every answer tells its tokens, ledger,
    receipts and the server's own books are one sum; what nobody told is never charged below the books.
    """
    script = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "budget_race.py"))
    found = sync.run(script["race"](280, 5.0, told=told, seed=1))
    assert found.problems(told=told) == []
    assert sum(found.ended.values()) == 280
    assert found.ended["budget_exceeded"] > 100
    assert found.calls > 10
    assert (found.estimated > 0) is not told


@pytest.mark.parametrize("fate", FATES)
def test_what_each_fate_costs_stands_in_the_receipt_and_in_the_books(fate: str) -> None:
    """Results and errors tell the same sum as the server; what it did not tell is charged at the worst case."""

    async def story() -> None:
        books = Books({fate: 1.0})
        async with ScriptedServer(books) as server:
            settings = Settings(
                routing=RoutingSettings(("local:books-1",), prices=PRICES, budget_usd=50.0),
                providers=ProvidersSettings(local_base_url=f"{server.url}/v1"),
            )
            async with CopywritingServiceV11(settings) as service:
                request = CopywritingInput(
                    product_description="Oak desk, 120x60 cm, lot 7",
                    product_name="Norr",
                    target_platform="x.post",
                )
                try:
                    output = await service.generate(request)
                    told = output.usage.cost_usd or 0.0
                    assert output.variants[0].status == ("rejected" if fate == "wrong" else "ok")
                except CopykitError as error:
                    told = sum(attempt.cost_usd or 0.0 for attempt in error.attempts)
                    assert fate in ("babble", "fails", "cut")
                spent = service.engine.router.look()["money"]["spent_usd"]
        assert round(told, 12) == round(spent, 12)
        assert {entry.lot for entry in books.entries} == {7}
        assert all(entry.told for entry in books.entries) is (fate not in ("silent", "cut"))
        if fate in ("silent", "cut"):
            assert spent > books.usd > 0
        else:
            assert round(spent, 12) == round(books.usd, 12)
        assert (books.usd == 0) is (fate == "fails")

    asyncio.run(story())


def test_a_deadline_that_passes_tells_what_the_call_may_have_cost() -> None:
    """The call that it cut off stands among the error's attempts, at the worst case that the ledger has too."""

    async def story() -> None:
        async with ScriptedServer(Books(late_s=(60.0, 60.0))) as server:
            settings = Settings(
                routing=RoutingSettings(("local:books-1",), prices=PRICES, budget_usd=50.0),
                providers=ProvidersSettings(local_base_url=f"{server.url}/v1"),
            )
            async with CopywritingServiceV11(settings) as service:
                with pytest.raises(DeadlineExceeded) as failed:
                    await service.generate(
                        CopywritingInput(
                            product_description="Oak desk", target_platform="x.post", deadline_s=0.5
                        )
                    )
                money = service.engine.router.look()["money"]
        told = sum(attempt.cost_usd or 0.0 for attempt in failed.value.attempts)
        assert money["spent_usd"] > 0
        assert round(told, 12) == round(money["spent_usd"], 12)

    asyncio.run(story())


def test_a_loop_that_is_late_loses_no_attempt() -> None:
    """The deadline passes while something else holds the loop: the error tells the call that it cut off all the same."""

    class Held:
        """Waits for ever, and holds the loop until every deadline has passed."""

        name, timeout_s = "held", 60.0

        def model_of(self, prompt: Prompt) -> str:
            """One model."""
            return "held-1"

        def most(self, prompt: Prompt) -> tuple[int, int]:
            """The same bounds for every prompt."""
            return 1_000, 100

        async def complete(self, prompt: Prompt) -> Completion:
            """Never answer."""
            asyncio.get_running_loop().call_soon(time.sleep, 0.3)
            await asyncio.Event().wait()
            raise AssertionError

    register_provider("held", Held)
    try:

        async def story() -> None:
            prices = {"held": {"input": 1000.0, "output": 1000.0}}
            own = Settings(routing=RoutingSettings(("held",), prices=prices, budget_usd=50.0))
            async with CopywritingServiceV11(own) as service:
                request = CopywritingInput(
                    product_description="Oak desk", target_platform="x", deadline_s=0.1
                )
                with pytest.raises(DeadlineExceeded) as failed:
                    await service.generate(request)
                assert [attempt.cost_usd for attempt in failed.value.attempts] == [1.1]
                assert service.engine.router.look()["money"]["spent_usd"] == 1.1

        asyncio.run(story())
    finally:
        unregister_provider("held")
