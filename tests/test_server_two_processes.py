"""Two processes over one store: what is changed through the one holds for the other within a second."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("uvicorn", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

import httpx2

from running import BRIEF, SLACK, Place, Running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

WITHIN_S = 1.0
MASTER = "k7Hq2Vw9Zx4Tn8Rb3Ym6Pd1Sf5Gj0LcA"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a place to start servers in, whose provider costs 0.0011 USD a call at worst."""
    made = Place(tmp_path)
    (tmp_path / "copykit.toml").write_text(
        '[routing]\nproviders = ["slow"]\n[routing.prices.slow]\ninput = 1.0\noutput = 1.0\n',
        encoding="utf-8",
    )
    yield made
    made.close()


def keys(place: Place, *words: str) -> dict[str, Any]:
    """Run ``copykit keys`` beside the servers; what it tells."""
    command = [sys.executable, "-m", "copykit", "keys", *words, "--json"]
    done = subprocess.run(
        command,
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def ask(server: Running, key: str, path: str = "/v11/generate", **more: Any) -> httpx2.Response:
    """Send one request."""
    body = {**BRIEF, **more} if path.endswith("generate") else None
    return httpx2.post(server.url + path, json=body, headers={"X-API-Key": key}, timeout=30)


def opens(server: Running, key: str) -> bool:
    """Say whether *key* is known there; costs nothing of its budget."""
    return httpx2.get(f"{server.url}/catalog", headers={"X-API-Key": key}, timeout=30).status_code == 200


def seconds_until(happened: Callable[[], bool]) -> float:
    """Wait until it has happened; give the seconds since the call."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < SLACK * WITHIN_S, "it did not happen"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_key_a_cache_and_a_budget_are_those_of_both(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A key made beside them opens both; revoked beside them it is refused by both; a cache that one clears is empty on
    the other; a budget spent on one is refused by the other.
    """
    one, two = (place.run(slow=True, SLOW_S="0.01", API_KEY=MASTER) for _ in range(2))
    gone = keys(place, "create", "gone", "--tenant", "acme")
    admin = keys(place, "create", "admin", "--tenant", "acme", "--scopes", "admin,generate")
    poor = keys(place, "create", "poor", "--tenant", "poor", "--budget", "0.00115/total")
    seconds_until(lambda: all(opens(server, poor["key"]) for server in (one, two)))
    seconds_until(lambda: all(ask(server, gone["key"]).status_code == 200 for server in (one, two)))

    assert ask(two, admin["key"]).json()["cached"] is True
    assert ask(one, admin["key"], "/v11/cache/clear").status_code == 200
    cleared_s = seconds_until(lambda: ask(two, admin["key"]).json()["cached"] is False)

    spent = [ask(one, poor["key"], seed=seed).status_code for seed in range(4)]
    assert spent[0] == 200
    assert spent[-1] == 429
    began = time.monotonic()
    refused = ask(two, poor["key"], seed=99)
    spent_s = time.monotonic() - began
    assert (refused.status_code, refused.json()["code"]) == (429, "budget_exceeded")

    assert ask(two, gone["key"]).status_code == 200
    keys(place, "revoke", gone["id"])
    revoked_s = seconds_until(lambda: ask(two, gone["key"]).status_code == 401)
    seconds_until(lambda: ask(one, gone["key"]).status_code == 401)
    with capsys.disabled():
        print(f"[cleared {cleared_s:.2f} s, spent {spent_s:.2f} s, revoked {revoked_s:.2f} s]", end=" ")
