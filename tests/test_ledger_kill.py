"""A batch that is killed while it pays: what its receipts and its losses tell is what the provider charged."""

from __future__ import annotations

import asyncio
import runpy
import signal
from argparse import Namespace
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_receipts_and_losses_of_a_killed_batch_hold_against_the_books(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed twice amid calls, while others generate and stream: no line is lost, and no call is told twice or never."""
    script = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "ledger_kill.py"))
    options = Namespace(items=40, kills=2, concurrency=8, mixed=True, seed=3)
    assert asyncio.run(script["story"](options)), capsys.readouterr().out
    told = capsys.readouterr().out
    assert "lost (of which" in told
    assert " 0 lost" not in told
