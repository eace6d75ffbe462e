"""The budget of a whole server: for each start of it, or for a period of all servers over one store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from copykit import CopywritingServiceV11, Settings
from copykit.errors import ConfigurationError
from copykit.server import ServerSettings, create_app
from copykit.settings import RoutingSettings
from server_crew import BRIEF, SEEN_S, WorkerAtHand, crew, priced_target, told


@pytest.fixture
def twice() -> Iterator[dict[str, Any]]:
    """Have a target ``priced``, and give routing with a budget that two of its calls fit in."""
    with priced_target() as routing:
        yield {**routing, "budget_usd": 0.00115}


async def asked(worker: WorkerAtHand, times: int) -> list[int]:
    """Have *times* briefs written that are in no cache; the statuses."""
    body = {**BRIEF, "cache": "off"}
    return [(await worker.ask("POST", "/v11/generate", body)).status_code for _ in range(times)]


@pytest.mark.parametrize("per", ["day", "month", "total"])
def test_servers_over_one_store_and_their_later_starts_have_one_budget_together(
    tmp_path: Path, twice: Any, per: str
) -> None:
    """What one spent is spent for the one beside it, and for one that begins when both have ended."""

    async def story() -> list[list[int]]:
        server = {"targets": ("priced",), "routing": twice, "budget_per": per}
        async with crew(tmp_path, **server) as (_, (one,)), crew(tmp_path, **server) as (_, (other,)):
            seen = [await asked(one, 1)]
            await asyncio.sleep(SEEN_S)
            seen += [await asked(other, 1)]
            await asyncio.sleep(SEEN_S)
            seen += [await asked(one, 1), await asked(other, 1)]
        async with crew(tmp_path, **server) as (_, (later,)):
            return [*seen, await asked(later, 1)]

    assert told(story) == [[200], [200], [429], [429], [429]]


def test_by_itself_a_budget_is_for_one_start_of_one_server(tmp_path: Path, twice: Any) -> None:
    """Servers that were started one by one each have the whole of it, and so has a later start."""

    async def story() -> list[list[int]]:
        server = {"targets": ("priced",), "routing": twice}
        async with crew(tmp_path, **server) as (_, (one,)), crew(tmp_path, **server) as (_, (other,)):
            seen = [await asked(one, 3), await asked(other, 3)]
        async with crew(tmp_path, **server) as (_, (later,)):
            return [*seen, await asked(later, 3)]

    assert told(story) == [[200, 200, 429]] * 3


def test_reports_tell_the_whole_budget_and_what_this_worker_spent(tmp_path: Path, twice: Any) -> None:
    """The part that one worker holds of it changes twice a second, and bounds nothing."""

    async def money(worker: WorkerAtHand) -> list[tuple[float, float]]:
        health = (await worker.ask("GET", "/v11/health")).json()
        stats = (await worker.ask("GET", "/v11/performance-stats")).json()
        looks = [told["routing"]["money"] for told in (health, stats)]
        return [(look["cap_usd"], look["spent_usd"]) for look in looks]

    async def story() -> None:
        server = {"targets": ("priced",), "routing": twice, "budget_per": "day"}
        async with crew(tmp_path, 2, **server) as (_, (one, other)):
            assert await money(one) == [(0.00115, 0.0)] * 2
            assert await asked(one, 1) == [200]
            (at_once, *_) = await money(one)
            assert at_once == (0.00115, pytest.approx(0.00003))
            await asyncio.sleep(SEEN_S)
            assert await money(one) == [at_once] * 2
            assert await money(other) == [(0.00115, 0.0)] * 2

    told(story)


def test_a_budget_that_is_to_outlast_the_process_wants_a_store() -> None:
    """Without one nothing would remember what was spent: refused, and what to set is said."""
    service = CopywritingServiceV11(Settings(routing=RoutingSettings(("phrasebank",), budget_usd=5.0)))
    with pytest.raises(ConfigurationError, match=r"server\.budget_per='month': .* set COPYKIT_STORE_URL"):
        create_app(server=ServerSettings(budget_per="month"), service=service)
    create_app(server=ServerSettings(), service=service)
