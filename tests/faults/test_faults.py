"""Every fault of the catalogue, three times: `python -m tests.faults run P10 --seed 7` replays one at full length."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from copykit.testing.servers import reset

from . import stories  # noqa: F401 -- enters the faults
from .catalogue import FAULTS, Fault, Story, play
from .idle_clock import run
from .stage import Stage
from .vendors import KEYS, billed

SEEDS = (1, 2, 3)
ONCE = "FM"
"""Groups in which nothing hangs on the seed."""


def _cases() -> list[object]:
    return [
        pytest.param(
            name,
            seed,
            id=f"{name}-{seed}",
            marks=[pytest.mark.xfail(reason=row.reason, strict=True)] if row.broken else [],
        )
        for name, row in sorted(FAULTS.items())
        for seed in SEEDS
        if seed == SEEDS[0] or (row.story is not None and name[0] not in ONCE)
    ]


@pytest.mark.parametrize(("name", "seed"), _cases())
def test_fault(name: str, seed: int) -> None:
    """What the catalogue says of it holds, and so does what it says of all of them."""
    result = play(name, seed)
    if result.error is not None:
        raise result.error
    if result.state != "ok":
        pytest.skip(f"{result.state}: {result.reason}")


@pytest.mark.parametrize(
    "name", [name for name, row in sorted(FAULTS.items()) if row.story is not None and row.again]
)
def test_fault_again_over_http(name: str) -> None:
    """A client of the server meets the same, with the status of the catalogue's map and no word of an upstream."""
    pytest.importorskip("sse_starlette", reason="needs the extra server")
    result = play(name, SEEDS[0], http=True)
    if result.error is not None:
        raise result.error
    if result.state != "ok":
        pytest.skip(f"{result.state}: {result.reason}")


async def _a_call(stage: Stage, **step: object) -> None:
    vendor = stage.vendor()
    server = await stage.server(billed(vendor.says(), **step))
    await stage.ask(stage.engine((vendor, server)))


async def _a_key_in_the_log(stage: Stage) -> None:
    logging.getLogger("anywhere").debug("sent %s", KEYS["openai"])


async def _a_key_printed(stage: Stage) -> None:
    print(KEYS["google"])


async def _a_key_in_a_variable(stage: Stage) -> None:
    vendor = stage.vendor()
    engine = stage.engine((vendor, await stage.server(reset())))
    engine.router.provider(vendor.name)._headers = lambda: {"authorization": f"Bearer {vendor.key}"}
    await stage.ask(engine)


async def _a_call_nobody_counts(stage: Stage) -> None:
    await _a_call(stage, tokens=(100, 50))
    provider = stage.engines[0].router.provider(stage.vendor().name)
    await provider.complete(stage.prompt())


async def _another_bill(stage: Stage) -> None:
    await _a_call(stage, tokens=(100, 51))


async def _a_task_left(stage: Stage) -> None:
    stage.left = asyncio.create_task(asyncio.sleep(1_000))


async def _a_connection_left(stage: Stage) -> None:
    await _a_call(stage, tokens=(100, 50))
    stage.engines.pop()


@pytest.mark.parametrize(
    ("story", "told"),
    [
        (_a_key_in_the_log, "('openai key', 'logs'): 1"),
        (_a_key_printed, "('google key', 'stdout and stderr'): 1"),
        (_a_key_in_a_variable, "'tracebacks with locals')"),
        (_a_call_nobody_counts, "calls, of which"),
        (_another_bill, "charged"),
        (_a_task_left, "still at work"),
        (_a_connection_left, ""),
    ],
)
def test_the_frame_notices(story: Story, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must hold after every fault is looked at: a story that breaks it fails, whatever it says itself."""
    monkeypatch.setitem(FAULTS, "X00", Fault("X00", "broken on purpose", story))
    result = play("X00", 1)
    assert result.state == "failed"
    assert told in result.reason


def test_waits_take_no_time() -> None:
    """A day passes at once where nothing happens, and not at all while another thread is at work."""

    async def day() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(86_400)
        slept = loop.time() - began
        await asyncio.wait_for(asyncio.to_thread(time.sleep, 0.02), 0.001)
        return slept, loop.time() - began

    assert run(day()) == (86_400.0, 86_400.0)


def test_the_catalogue_is_whole() -> None:
    """Each group with all its rows: played, or said why not."""
    counts = {"P": 25, "J": 10, "C": 9, "G": 9, "S": 11, "F": 11, "M": 22}
    wanted = {f"{group}{number:02}" for group, most in counts.items() for number in range(1, most + 1)}
    wanted |= {"X06", "X07", "X08", "X09"}  # the others of X wait for durable jobs
    assert set(FAULTS) == wanted
    assert all(row.story is not None or row.reason for row in FAULTS.values())
