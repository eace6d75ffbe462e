"""What may be loaded by whom: a provider, a price table, an HTTP library or LangChain only by who uses it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

LIBRARIES = (
    *("aiohttp", "httpx", "httpx2", "httpcore", "httpcore2", "anyio", "ssl", "urllib.request", "http.client"),
    *("genai_prices", "langchain", "langchain_core", "langsmith", "llama_cpp", "xllamacpp"),
    *("openai", "anthropic", "google.genai", "openrouter", "litellm", "tenacity"),
)
"""Who speaks to a provider, or knows what it charges."""
OWN = (
    "openai",
    "anthropic",
    "google",
    "openrouter",
    "compatible",
    "langchain",
    "llamacpp",
    "remote",
    "events",
)
"""Modules of `copykit.providers` that a phrase-bank service has no use for."""
TRANSPORT = ("copykit.accel.http", "copykit.accel.http_client", "copykit.accel.http_wires")

IMPORT = "import copykit\ncopykit.CopywritingInput\n"
FACES = IMPORT + "copykit.CopywritingService, copykit.CopywritingServiceV11, copykit.Settings\n"
GENERATE = (
    "import asyncio, copykit\n"
    "request = copykit.CopywritingInput(product_description='Oak desk, oiled', target_platform='x.post')\n"
    "result = asyncio.run({face}().generate(request))\n"
    "assert result.receipt.served_by.startswith('phrasebank'), result.receipt.served_by\n"
)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(IMPORT, id="import"),
        pytest.param(FACES, id="faces"),
        pytest.param(GENERATE.format(face="copykit.CopywritingServiceV11"), id="v11"),
        pytest.param(GENERATE.format(face="copykit.CopywritingService"), id="legacy"),
    ],
)
def test_who_asks_no_provider_loads_none(code):
    """
    `import copykit`, its faces and a generation by the phrase bank load no provider's module, no HTTP library or
    TLS, no price table and nothing of LangChain, though all of them may be installed.
    """
    assert loaded_by(code) == []


@pytest.mark.parametrize(
    "module", ["copykit.routing.router", "copykit.engine", "copykit.providers.registry", "copykit.batch"]
)
def test_the_way_to_a_provider_loads_none(module):
    """
    The modules that every generation passes through import no provider, wire or price table themselves.
    """
    assert loaded_by(f"import {module}\n") == []


def test_the_guard_sees_what_it_guards_against():
    """
    A service with a key and a target does load its provider, so the lists above name what is really there.
    """
    code = (
        "from copykit.providers.registry import load_provider\n"
        "from copykit.settings import ProvidersSettings, Secret, Settings\n"
        "load_provider('openai', Settings(providers=ProvidersSettings(openai_key=Secret('sk-none'))))._client()\n"
    )
    assert {"copykit.providers.openai", "copykit.providers.remote", "copykit.accel.http"} <= set(
        loaded_by(code)
    )


def loaded_by(code: str) -> list[str]:
    """Run *code* in a new interpreter; give the guarded modules that it has loaded."""
    names = [*LIBRARIES, *(f"copykit.providers.{name}" for name in OWN), *TRANSPORT]
    # asyncio loads ssl itself where it is there
    before = "import asyncio, sys\nbefore = set(sys.modules)\n"
    after = f"print(sorted(set({names!r}) & (set(sys.modules) - before)))\n"
    done = subprocess.run(
        [sys.executable, "-c", before + code + after],
        capture_output=True,
        text=True,
        check=True,
        env={
            k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and not k.startswith("COPYKIT_")
        },
        timeout=120,
    )
    loaded: list[str] = ast.literal_eval(done.stdout)
    return loaded
