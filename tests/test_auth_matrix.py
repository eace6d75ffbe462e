"""Every route with every kind of key: made of the route table, so that a route that is added is held to it too."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")

from copykit.server.doors.keys import SCOPES
from copykit.server.routes import PREFIXES, ROUTES, RouteSpec
from copykit.settings import Secret
from server_crew import BRIEF, SEEN_S, crew

OPERATOR = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
WAYS = ("X-API-Key", "Bearer")
ENDED = ("none", "empty", "wrong", "altered", "expired", "revoked", "another scheme", "in the query")


def body_of(spec: RouteSpec) -> Any:
    """Give a body that the route takes."""
    return BRIEF if spec.takes == "Brief" else [BRIEF] if spec.takes else None


def wanted(spec: RouteSpec, kind: str, scope: str) -> set[int]:
    """Say what a key of this kind and scope may get at a route."""
    if spec.scope == "public":
        return {200, 503} if spec.path == "/health/ready" else {200}
    if kind in ENDED:
        return {401}
    if scope not in (spec.scope, "every"):
        return {403}
    return {403} if spec.operator and kind == "tenant" else {200}


def test_every_route_with_every_key(tmp_path: Path) -> None:
    """
    Routes under both prefixes x scopes x {none, wrong, altered, expired, revoked, of a tenant, right}, in both headers:
    401 for what is no key, 403 for another scope and for an operator's route, 200 for the right one, and no gap.
    """
    tried: Counter[str] = Counter()
    gaps: list[str] = []

    async def story() -> None:
        async with crew(tmp_path, key=Secret(OPERATOR)) as (book, (worker,)):
            keys: dict[tuple[str, str], str] = {("right", "every"): OPERATOR}
            revoked = []
            for scope in SCOPES:
                keys["right", scope] = (await book.create(scopes=[scope]))[1]
                keys["tenant", scope] = (await book.create(scopes=[scope], tenant="ann"))[1]
                keys["expired", scope] = (await book.create(scopes=[scope], expires_in_s=0.01))[1]
                made, keys["revoked", scope] = await book.create(scopes=[scope])
                revoked.append(made.id)
                text = keys["right", scope]
                keys["altered", scope] = text[:-1] + ("A" if text[-1] != "A" else "B")
            for key_id in revoked:
                await book.revoke(key_id)
            keys |= {(kind, ""): "" for kind in ("none", "empty", "another scheme", "in the query")}
            keys["wrong", ""] = "ck_live_0123abcd_" + "x" * 43
            await asyncio.sleep(SEEN_S)
            for prefix in PREFIXES:
                for spec in ROUTES:
                    for (kind, scope), text in keys.items():
                        for way in WAYS:
                            path, headers = prefix + spec.path, {}
                            if kind == "in the query":
                                path += f"?api_key={OPERATOR}&key={OPERATOR}"
                            elif kind == "another scheme":
                                headers["authorization"] = f"Basic {OPERATOR}"
                            elif kind != "none":
                                headers = (
                                    {"authorization": f"Bearer {text}"}
                                    if way == "Bearer"
                                    else {"x_api_key": text}
                                )
                            answer = await worker.ask(spec.method, path, body_of(spec), **headers)
                            tried[kind] += 1
                            if answer.status_code not in wanted(spec, kind, scope):
                                gaps.append(
                                    f"{spec.method} {path} {kind} {scope} {way}: {answer.status_code}"
                                )
                            if answer.status_code in (401, 403):
                                assert answer.json()["code"] in ("unauthorized", "forbidden")
                                assert not any(key and key in answer.text for key in keys.values())

    asyncio.run(story())
    assert not gaps, gaps[:20]
    assert tried.total() == len(PREFIXES) * len(ROUTES) * len(WAYS) * (5 * len(SCOPES) + 6)


def test_every_route_has_a_scope_of_the_table() -> None:
    """Deny by default: what is public is a short list, and each other route wants one of the four scopes."""
    public = {spec.path for spec in ROUTES if spec.scope == "public"}
    assert {path for path in public if not path.startswith("/docs")} == {
        "/health/live", "/health/ready", "/openapi.json",
    }  # fmt: skip
    assert {spec.scope for spec in ROUTES} - {"public"} == set(SCOPES)
