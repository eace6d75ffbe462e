"""The page at ``/docs``: complete, offline, under a strict policy, and in the wheel."""

from __future__ import annotations

import asyncio
import re
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

import httpx2
from starlette.applications import Starlette

from copykit import CopywritingInput, CopywritingServiceV11, Settings
from copykit.data import load_bytes, load_toml, names
from copykit.problems import ProblemBody
from copykit.server import ServerSettings, create_app
from copykit.server.described.openapi import document
from copykit.server.routes import PREFIXES, ROUTES
from copykit.settings import RoutingSettings, Secret

ROOT = Path(__file__).parent.parent
PAGES = [spec.path for spec in ROUTES if spec.handler == "docs"]


@pytest.fixture(scope="module")
def app() -> Starlette:
    """Give a service with a key, which the page does not need."""
    service = CopywritingServiceV11(Settings(routing=RoutingSettings(("phrasebank",))))
    return create_app(
        server=ServerSettings(key=Secret("Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w")), service=service
    )


def get(app: Starlette, path: str) -> httpx2.Response:
    """Ask for *path* as it stands, without tidying it."""

    async def story() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            url = httpx2.URL("http://127.0.0.1:8000").copy_with(raw_path=path.encode())
            return await client.send(client.build_request("GET", url))

    return asyncio.run(story())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_page_and_all_it_loads_are_the_services_own(app: Starlette, prefix: str) -> None:
    """
    Every address in the page is a path beside it that is served, of the right kind; nothing stands inline, and the
    policy lets nothing else run, load or be asked.
    """
    page = get(app, f"{prefix}/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 6
    for link in loaded:
        if link == "data:,":  # no icon is asked for
            continue
        part = get(app, f"{prefix}/{link}")
        assert part.status_code == 200
        kind = {"js": "text/javascript", "css": "text/css", "json": "application/json"}[
            link.rpartition(".")[2]
        ]
        assert part.headers["content-type"].startswith(kind)
        assert part.headers["x-content-type-options"] == "nosniff"
    assert "//" not in page.text
    assert not re.search(r"<script(?![^>]* src=)|<style|style=|\son[a-z]+=", page.text)
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert "unsafe" not in page.headers["content-security-policy"]


def test_our_own_files_name_no_other_host() -> None:
    """Neither the page nor its script or style."""
    for name in ("docs.html", "docs.js", "docs.css"):
        assert b"://" not in load_bytes(f"docs_page/{name}")


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/docs.html",
        "/docs/source.toml",
        "/docs/swagger-ui-LICENSE.txt",
        "/docs/%2e%2e/%2e%2e/settings.py",
        "/docs/..%2f..%2fsettings.py",
        "//docs/docs.js",
        "/docs//docs.js",
        "/docs/docs.js%00.css",
        "/docs/" + "a" * 5000,
        "/docs/docs.js/",
    ],
)
def test_only_the_pages_own_files_are_served(app: Starlette, path: str) -> None:
    """Whatever a path tries, it is 404 and a problem."""
    answer = get(app, path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_the_vendored_files_are_what_was_taken() -> None:
    """As the refresh script wrote down, licences beside them."""
    source = load_toml("docs_page/source.toml")
    assert source["license"] == "Apache-2.0"
    for name, digest in source["sha256"].items():
        assert sha256(load_bytes(f"docs_page/{name}")).hexdigest() == digest
    assert {"swagger-ui-LICENSE", "swagger-ui-NOTICE", "swagger-ui-bundle-LICENSES"} <= set(
        names("docs_page", ".txt")
    )
    assert "swagger-ui-dist" in (ROOT / "THIRD-PARTY.md").read_text(encoding="utf-8")


def test_the_wheel_holds_them(tmp_path: Path) -> None:
    """With the typing mark, the page's files and the notice on files of others."""
    builder = pytest.importorskip("hatchling.builders.wheel", reason="builds the wheel")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("not in the source tree")
    (wheel,) = builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with ZipFile(wheel) as opened:
        held = set(opened.namelist())
    folder = ROOT / "src" / "copykit" / "data" / "docs_page"
    assert {f"copykit/data/docs_page/{path.name}" for path in folder.iterdir()} <= held
    assert "copykit/py.typed" in held
    assert any(name.endswith("licenses/THIRD-PARTY.md") for name in held)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_examples_of_the_description_are_taken_as_they_stand(prefix: str) -> None:
    """Each body that the page offers is a brief, or a list of them, that can be written."""
    told: dict[str, Any] = document()["paths"]
    for spec in ROUTES:
        if spec.takes is None:
            continue
        content = told[prefix + spec.path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            value = example["value"]
            briefs = value if isinstance(value, list) else value.get("requests", [value])
            assert all(CopywritingInput(**brief).target_platform for brief in briefs)


def test_the_description_says_what_the_models_say() -> None:
    """Each field with the words that stand below it in the source, on one line, and each problem with an example."""
    components = document()["components"]
    brief = components["schemas"]["CopywritingInput"]
    assert brief["description"].startswith("A brief:")
    assert brief["properties"]["variants"].get("description") is None
    assert "never inflected" in brief["properties"]["product_name"]["description"]
    platform = brief["properties"]["target_platform"]["description"]
    assert platform.startswith("A platform (`Instagram`) or a placement id")
    assert "Any case" in platform
    assert "provider:model" in components["schemas"]["Receipt"]["properties"]["served_by"]["description"]
    for name, told in components["responses"].items():
        example = told["content"]["application/problem+json"]["example"]
        assert f"Problem{example['status']}" == name
        assert ProblemBody.model_validate(example, extra="forbid").code == example["code"]


def test_where_no_key_is_wanted_none_is_asked_for(app: Starlette) -> None:
    """The description of such a server has no lock on any route; that of another on all but the public ones."""
    free = create_app(server=ServerSettings(), service=CopywritingServiceV11(Settings()))
    open_paths = get(free, "/openapi.json").json()["paths"]
    assert not any(one["security"] for way in open_paths.values() for one in way.values())
    for way in get(app, "/openapi.json").json()["paths"].values():
        for one in way.values():
            assert bool(one["security"]) == (one["x-scope"] != "public")
