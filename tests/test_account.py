"""Several tenants on one engine: each with its own cache, its own money and its name on what happens."""

from __future__ import annotations

import asyncio

import pytest

from copykit import CopywritingInput, register_provider
from copykit.brief.prompt import Prompt
from copykit.engine import Engine
from copykit.errors import BudgetExceeded
from copykit.events import Event
from copykit.providers.registry import unregister_provider
from copykit.routing.account import Account
from copykit.routing.budget import Ledger
from copykit.settings import RoutingSettings, Settings
from copykit.testing import FakeProvider

BRIEF = CopywritingInput(product_description="Standing desk, oiled oak, 120 x 60 cm", target_platform="x")


def test_tenants_never_find_each_others_results() -> None:
    """The same brief is written once for each tenant, and again once its epoch is counted up."""
    engine = Engine(Settings())

    async def story() -> list[bool]:
        accounts = [Account(), Account("a"), Account("a"), Account("b"), Account("a", epoch=1), Account()]
        return [(await engine.generate(BRIEF, account=account)).cached for account in accounts]

    assert asyncio.run(story()) == [False, False, True, False, False, True]


def test_what_happens_says_on_whose_behalf() -> None:
    """Every event of a tenant's request bears its name."""
    engine = Engine(Settings())
    seen: list[Event] = []
    engine.add_hook(seen.append)
    asyncio.run(engine.generate(BRIEF, account=Account("a")))
    told = [getattr(event, "tenant", None) for event in seen if hasattr(event, "tenant")]
    assert len(told) >= 3
    assert set(told) == {"a"}


class _Leased(Ledger):
    """A ledger that holds a part of a larger sum, as a server's worker does."""

    def __init__(self, larger_usd: float, parent: Ledger) -> None:
        super().__init__(0.0, scope="key budget", parent=parent)
        self.larger_usd = larger_usd
        self.fetched: list[float] = []

    async def fetch(self, worst_usd: float) -> bool:
        """Take what is wanted while the larger sum has it."""
        await asyncio.sleep(0)
        self.fetched.append(worst_usd)
        if worst_usd > self.larger_usd:
            return False
        self.larger_usd -= worst_usd
        self.enlarge(worst_usd)
        return True


class _Priced(FakeProvider):
    """A fake whose calls have bounds: 1,000 bytes in, 100 tokens out."""

    timeout_s = 5.0

    def model_of(self, prompt: Prompt) -> str:
        """One model, whatever is asked."""
        return prompt.model or self.model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """The same bounds for every prompt."""
        return 1_000, 100


@pytest.mark.parametrize(("larger_usd", "served"), [(0.0, False), (1000.0, True)])
def test_a_ledger_fetches_from_its_larger_sum_before_it_refuses(larger_usd: float, served: bool) -> None:
    """What a call may cost is fetched when it does not fit; what the larger sum has not is refused by its name."""
    said = {"text": "Standing desk in oiled oak, 120 x 60 cm."}
    register_provider("leased_fake", lambda: _Priced("leased_fake").will_say(said))
    try:
        prices = {"leased_fake": {"input": 1.0, "output": 1.0}}
        engine = Engine(Settings(routing=RoutingSettings(("leased_fake",), prices=prices, budget_usd=2000.0)))
        ledger = _Leased(larger_usd, engine.router.ledger)
        asked = engine.generate(BRIEF, account=Account("a", ledger=ledger))
        if served:
            asyncio.run(asked)
            assert ledger.look().spent_usd == engine.router.ledger.look().spent_usd > 0
        else:
            with pytest.raises(BudgetExceeded) as caught:
                asyncio.run(asked)
            assert caught.value.scope == "key budget"
            assert ledger.look().spent_usd == 0
        assert ledger.fetched
    finally:
        unregister_provider("leased_fake")
