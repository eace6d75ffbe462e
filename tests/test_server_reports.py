"""What a server tells of itself against the schemas it publishes: every route, whatever changes an answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("prometheus_client", reason="needs the extra server")
pytest.importorskip("aiosqlite", reason="needs the extra server")
pytest.importorskip("jsonschema", reason="an independent validator")

import httpx2

from copykit import CopywritingServiceV11, Settings, register_provider, reports
from copykit.caching import registry
from copykit.caching.memory import MemoryCache
from copykit.caching.registry import register_cache
from copykit.errors import ProviderUnavailable, RateLimited
from copykit.providers.registry import unregister_provider
from copykit.server import ServerSettings, create_app
from copykit.server.config import file_url
from copykit.server.described.openapi import document
from copykit.server.doors.keys import Budget
from copykit.server.kept.store import StoreUnavailable
from copykit.server.routes import PREFIXES, ROUTES, RouteSpec
from copykit.settings import BatchSettings, CacheSettings, ProvidersSettings, RoutingSettings, Secret
from copykit.testing import FakeProvider
from server_crew import BRIEF, SEEN_S, crew
from server_crew import told as run

KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
REPORTS = [spec for spec in ROUTES if spec.gives in reports.__all__]
BODIES = {"Brief": BRIEF, "Batch": [BRIEF, 7]}
Send = Callable[[str, str, Any], Awaitable[httpx2.Response]]


@cache
def validator(schema: str) -> Any:
    """Give what holds a value against the published schema called *schema*."""
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": document()["components"]}
    )


def breaks(value: Any, schema: str) -> list[str]:
    """Say where *value* breaks that schema."""
    return [f"{error.json_path}: {error.message[:300]}" for error in validator(schema).iter_errors(value)]


def check(answer: httpx2.Response, spec: RouteSpec, prefix: str = "") -> Any:
    """Hold *answer* to what the description says of its route: status, kind, value; gives the value of a report."""
    responses = document()["paths"][prefix + spec.path][spec.method.lower()]["responses"]
    where = (spec.method, prefix + spec.path, answer.status_code)
    assert str(answer.status_code) in responses, where
    told = responses[str(answer.status_code)]
    if "$ref" in told:
        told = document()["components"]["responses"][told["$ref"].rpartition("/")[2]]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in told["content"], (where, kind)
    if kind.endswith("json"):
        name = told["content"][kind]["schema"]["$ref"].rpartition("/")[2]
        assert not breaks(answer.json(), name), where
        return answer.json()
    return None


async def check_all(send: Send, prefix: str = "", only: list[RouteSpec] | None = None) -> dict[str, Any]:
    """Ask every route of the table, or *only* some, and check each; gives the values by path."""
    told = {}
    for spec in only or ROUTES:
        path = prefix + spec.path
        answer = await send(spec.method, path, BODIES.get(spec.takes or ""))
        told[spec.path] = check(answer, spec, prefix)
        if spec.handler == "metrics" and prefix:
            assert told[spec.path] is None
    return told


def alone(
    story: Callable[[Any, Send], Awaitable[None]], settings: Settings | None = None, **server: Any
) -> None:
    """Run *story* with one application and what asks it, with the operator's key if there is one."""

    async def play() -> None:
        chosen = settings or Settings(routing=RoutingSettings(("phrasebank",)))
        app = create_app(
            server=ServerSettings(**{"rate": "", "ip_rate": "", **server}),
            service=CopywritingServiceV11(chosen),
        )
        headers = {"x-api-key": KEY} if "key" in server else {}
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8000", headers=headers
            ) as client,
        ):

            async def send(method: str, path: str, body: Any = None) -> httpx2.Response:
                return (
                    await client.request(method, path, json=body)
                    if body
                    else await client.request(method, path)
                )

            await story(app, send)

    asyncio.run(play())


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """Give a provider that says what it is told to."""
    provider = FakeProvider()
    register_provider("fake", lambda: provider)
    yield provider
    unregister_provider("fake")


@pytest.fixture
def kept_elsewhere() -> Iterator[None]:
    """Give caches of an address ``elsewhere://``, which tell what nobody here knows."""

    class Elsewhere(MemoryCache):
        """A cache of somebody else's."""

        layer = "redis"

        def stats(self) -> dict[str, Any]:
            """Give more than others do."""
            return {**super().stats(), "servers": ["a", "b"]}

    register_cache("elsewhere", lambda settings: Elsewhere(settings.max_entries, settings.max_bytes))
    yield
    del registry._makers["elsewhere"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_answer_of_a_server_alone_is_as_described(prefix: str) -> None:
    """Before and after work, without a store and with authentication off: status, kind and JSON of each route."""

    async def story(app: Any, send: Send) -> None:
        before = await check_all(send, prefix, REPORTS)
        assert before["/v11/performance-stats"]["requests"]["total"] == 0
        for _ in range(2):
            told = await check_all(send, prefix)
        assert told["/v11/generate"]["cached"]
        assert [one["status"] for one in told["/v11/batch-generate"]["results"]] == ["ok", "failed"]
        assert told["/v11/health"]["cache"]["hit_ratio"] > 0
        refused = await send("POST", f"{prefix}/v11/generate", {"product_description": 7})
        assert refused.status_code == 422
        check(refused, next(spec for spec in ROUTES if spec.path == "/v11/generate"), prefix)

    alone(story)


def test_targets_that_fail_rest_or_are_unknown_are_as_described(fake: FakeProvider) -> None:
    """A credential that rests, a target that failed, one that nobody knows, results that were mended or are lost."""
    fake.will_say(ProviderUnavailable("down", status=503, target="fake"))
    fake.will_say(RateLimited("slow down", target="fake", retry_after_s=200.0))
    routing = RoutingSettings(("fake", "phrasebank"))

    async def story(app: Any, send: Send) -> None:
        await send("POST", "/v11/generate", BRIEF)
        told = await check_all(send)
        look = told["/v11/health"]["providers"]["fake"]
        assert (look["status"], look["rest"]["reason"]) == ("resting", "rate_limited")
        assert look["last_failure"]["code"] == "rate_limited"
        assert told["/v11/performance-stats"]["routing"]["resting"]
        assert told["/v11/performance-stats"]["targets"]["fake"]
        unregister_provider("fake")
        told = await check_all(send, only=REPORTS)
        assert told["/v11/health"]["providers"]["fake"]["unknown"]
        register_provider("fake", lambda: fake)

    alone(story, Settings(routing=routing))


def test_without_a_cache_and_with_a_foreign_one_answers_are_as_described(kept_elsewhere: None) -> None:
    """Off, the cache tells nothing; one that was registered tells what it likes under its layer's name."""

    async def off(app: Any, send: Send) -> None:
        told = await check_all(send)
        assert told["/v11/cache/stats"] == {}
        assert told["/v11/health"]["cache"] is None

    async def foreign(app: Any, send: Send) -> None:
        told = await check_all(send)
        assert told["/v11/cache/stats"]["servers"] == ["a", "b"]

    alone(off, Settings(cache=CacheSettings(max_entries=0)))
    alone(foreign, Settings(cache=CacheSettings(url="elsewhere://")))
    assert breaks({"layer": "memory", "servers": []}, "CacheStats")


def test_every_setting_is_as_described_and_every_secret_is_stars(tmp_path: Path) -> None:
    """Keys, pepper, passwords within addresses, deployments of both kinds, prices, lists."""
    settings = Settings(
        cache=CacheSettings(ttl_s=60),
        routing=RoutingSettings(
            ("shared", "inorder"),
            deployments={"shared": {"openai": 3, "phrasebank": 1.5}, "inorder": ["phrasebank", "anthropic"]},
            balance="fastest",
            budget_usd=10,
            request_budget_usd=0.5,
            prices={"local": {"input": 0.1, "output": 0.2}},
        ),
        batch=BatchSettings(concurrency=2),
        providers=ProvidersSettings(openai_key=Secret("sk-none"), anthropic_key=Secret("sk-no")),
        ignored=("NOTHING is set; it does nothing",),
    )

    async def story(app: Any, send: Send) -> None:
        told = await check_all(send, only=REPORTS)
        config = told["/config"]
        assert config["server"]["key"] == config["server"]["pepper"] == "***"
        assert config["providers"]["openai_key"] == "***"
        assert config["routing"]["deployments"]["shared"] == {"openai": 3, "phrasebank": 1.5}
        assert breaks(
            {**config, "providers": {**config["providers"], "openai_key": "sk-none"}}, "ConfigReport"
        )

    alone(
        story,
        settings,
        key=Secret(KEY),
        pepper=Secret(KEY),
        store_url=file_url(tmp_path),
        cors_origins=("https://shop.example",),
        trusted_proxies=("10.0.0.0/8",),
    )


def test_with_redis_silent_answers_are_as_described() -> None:
    """It is configured, and does not answer."""
    pytest.importorskip("redis", reason="needs the extra redis")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        async def story(app: Any, send: Send) -> None:
            told = await check_all(send, only=REPORTS)
            assert told["/health"]["redis"]["reachable"] is False

        alone(story, limits_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")


def test_without_its_store_and_at_its_end_a_servers_probes_are_as_described(tmp_path: Path) -> None:
    """503 with reasons from the probe, and the report says why."""

    async def story(app: Any, send: Send) -> None:
        answers = app.state.answers

        def away() -> Any:
            raise StoreUnavailable("the store did not answer: OSError")

        answers._holdings.store.reading = answers._holdings.store.writing = away
        answers._health._asked.clear()
        app.state.drain.begin()
        told = await check_all(send, only=[spec for spec in REPORTS if spec.scope == "public"])
        assert told["/health/ready"]["reasons"] == ["draining", "store"]
        report = await answers._health.report()
        assert not breaks(report, "HealthReport")
        assert "living" not in report["workers"]

    alone(story, store_url=file_url(tmp_path))


def test_answers_of_workers_over_one_store_are_as_described_to_each_who_asks(tmp_path: Path) -> None:
    """
    Two workers, the operator's key and keys of the operator's and of another tenant with budgets: each gets its own view,
    a refusal where a route is not for it, and both are as described.
    """

    async def story() -> None:
        async with crew(tmp_path, 2, key=Secret(KEY)) as (book, workers):
            scopes = ("generate", "batch", "read", "admin")
            bounded = Budget(1.0, "total")
            keys = {
                "": KEY,
                "operator's own": (await book.create(scopes=scopes, budget=bounded))[1],
                "acme": (await book.create(tenant="acme", scopes=scopes, budget=bounded))[1],
                "free": (await book.create(tenant="free", scopes=scopes))[1],
                "none": "",
            }
            await book.bound("acme", budget=Budget(5.0, "day"))
            await asyncio.sleep(SEEN_S)
            told: dict[str, Mapping[str, Any]] = {}
            for worker in workers:
                for whose, key in keys.items():

                    async def send(method: str, path: str, body: Any = None) -> httpx2.Response:
                        return await worker.ask(method, path, body, key=key)  # noqa: B023

                    told[whose] = await check_all(send)
        assert len(told[""]["/health"]["workers"]["all"]) == 2
        assert told[""]["/v11/cache/stats"].keys() == told["operator's own"]["/v11/cache/stats"].keys()
        assert told["acme"]["/v11/health"] == {"status": "ok", "providers": ["phrasebank"]}
        budgets = told["acme"]["/v11/performance-stats"]["budgets"]
        assert (budgets["tenant"]["per"], budgets["key"]["per"]) == ("day", "total")
        assert told["free"]["/v11/performance-stats"]["budgets"]["key"]["cap_usd"] is None
        assert told["acme"]["/v11/cache/stats"].keys() == {"hits", "misses", "cache_failures"}
        assert told["acme"]["/config"]["status"] == 403
        assert told["none"]["/v11/health"]["status"] == 401

    run(story)


def test_a_field_that_no_type_knows_breaks_the_schema() -> None:
    """In every object of every report, but for maps of data and what is a registered cache's or the description's own."""

    async def story(app: Any, send: Send) -> None:
        await send("POST", "/v11/generate", BRIEF)
        told = await check_all(send, only=REPORTS)
        for spec in REPORTS:
            assert breaks({**told[spec.path], "unheard_of": 1}, spec.gives), spec.path
            some = next(iter(told[spec.path]))
            assert breaks(
                {name: told[spec.path][name] for name in told[spec.path] if name != some}, spec.gives
            )

    alone(story)
    schemas = document()["components"]["schemas"]
    left_open = {name for name, where in objects(schemas) if where.get("additionalProperties", True) is True}
    known = {"Events", "Problem", "ProblemAttempt"}  # of which a client must bear more than it knows
    caches = {"CacheStats", "ServerHealth", "ServerStats"}  # with one of somebody else's, perhaps
    assert left_open == known | caches


def objects(schemas: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give all schemas of objects within *schemas*, with the name of the one that holds them."""
    waiting = list(schemas.items())
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, Mapping):
            if part.get("type") == "object":
                yield name, part
            waiting += [(name, inner) for inner in part.values()]
        elif isinstance(part, list):
            waiting += [(name, inner) for inner in part]


def test_every_route_gives_what_has_a_schema() -> None:
    """And every type of `copykit.reports` but the parts of unions is the answer of one."""
    schemas = document()["components"]["schemas"]
    assert {spec.gives for spec in ROUTES} <= schemas.keys()
    parts = {"CacheCounts", "MemoryCacheState", "ServerHealth", "ServerStats", "TenantHealth", "TenantStats"}
    assert {spec.gives for spec in REPORTS} | parts == set(reports.__all__)
    for name in reports.__all__:
        assert "description" in schemas[name] or "anyOf" in schemas[name], name
