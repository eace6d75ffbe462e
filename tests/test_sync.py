"""The face without ``await``: inside a running loop, from several threads, and where it must refuse."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from copykit import CopywritingInput, InvalidRequest, sync
from copykit.models import CopywritingOutput

BRIEF = {"product_description": "Oak bench, 140 cm", "target_platform": "x.post"}


def test_it_answers_fields_mappings_and_requests_alike() -> None:
    """The three ways to ask give the same copy."""
    texts = {
        sync.generate(**BRIEF).text,
        sync.generate(BRIEF).text,
        sync.generate(CopywritingInput(**BRIEF)).text,
    }
    assert len(texts) == 1


def test_it_works_inside_a_running_loop() -> None:
    """A notebook's or a view's own loop keeps running."""

    async def view() -> str:
        return sync.generate(**BRIEF).text

    assert asyncio.run(view()) == sync.generate(**BRIEF).text


def test_threads_share_one_background_loop() -> None:
    """Forty calls of eight threads: all answered, one thread of copykit's own."""
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda seed: sync.generate(**BRIEF, seed=seed), range(40)))
    assert len({output.id for output in outputs}) == 40
    assert sum(thread.name == "copykit-sync" for thread in threading.enumerate()) == 1


def test_a_batch_gives_errors_in_their_place() -> None:
    """Good briefs come out, a bad one stands as its error."""
    good, bad = sync.batch_generate([BRIEF, {**BRIEF, "tone": "happyy"}])
    assert isinstance(good, CopywritingOutput)
    assert isinstance(bad, InvalidRequest)


def test_errors_come_through_as_they_are() -> None:
    """InvalidRequest keeps its field; giving nothing or both forms is refused."""
    with pytest.raises(InvalidRequest, match="nearest: instagram"):
        sync.generate(product_description="Oak bench", target_platform="instagrm")
    with pytest.raises(InvalidRequest, match="either a request or its fields"):
        sync.generate()
    with pytest.raises(InvalidRequest, match="either a request or its fields"):
        sync.generate(BRIEF, seed=1)


def test_stats_health_and_clearing_speak_of_the_shared_service() -> None:
    """What one call cached the next one finds, until it is cleared."""
    sync.clear_cache()
    assert not sync.generate(**BRIEF, seed=4711).cached
    assert sync.generate(**BRIEF, seed=4711).cached
    sync.clear_cache()
    assert not sync.generate(**BRIEF, seed=4711).cached
    assert sync.get_performance_stats()["requests"]["cached"] >= 1
    assert sync.health()["status"] == "ok"


def test_a_timeout_cancels_the_work() -> None:
    """`run` gives up after the time given and leaves nothing running."""
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        sync.run(forever(), timeout_s=0.01)
    assert ended.wait(10)


def test_called_on_its_own_loop_it_refuses_instead_of_waiting_for_itself() -> None:
    """A provider or hook that used it would otherwise hang for ever."""

    async def inside() -> str:
        return sync.generate(**BRIEF).text

    with pytest.raises(RuntimeError, match="own loop: await it there"):
        sync.run(inside())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    """A server that forks after the first call: the child answers, its parent's thread is not waited for."""
    code = (
        "import os\n"
        "from copykit import sync\n"
        f"brief = {BRIEF!r}\n"
        "first = sync.generate(brief).text\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if sync.generate(brief).text == first else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "0"
