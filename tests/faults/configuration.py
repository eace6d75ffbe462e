"""Group F: wrong and unsafe configurations, over the command itself; nothing of a key's value is ever said."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import httpx2

from copykit.caching.key import request_key
from copykit.errors import ConfigurationError
from copykit.models import CopywritingInput

from .catalogue import fault
from .desk import BRIEF, Process
from .over_http import SERVER_KEY
from .stage import NotHere, Stage, _with_locals
from .vendors import KEYS

__all__: list[str] = []

Story = Callable[[Stage], None]
WRONG = 78
START_S = 2.0


def configured(name: str, title: str, *, lacks: str = "") -> Callable[[Story], Story]:
    """Enter a story that runs commands, from a thread: the stage's clock stands still meanwhile."""

    def enter(story: Story) -> Story:
        async def played(stage: Stage) -> None:
            try:
                import sse_starlette  # noqa: F401
            except ImportError:
                raise NotHere("needs the extra server") from None
            await asyncio.to_thread(story, stage)

        fault(name, title, lacks=lacks, again=False)(played)
        return story

    return enter


def refused(
    stage: Stage, *parts: str, words: tuple[str, ...] = ("run", "--port", "0"), **options: Any
) -> str:
    """Run a command that refuses to start; gives what it said: one line, status 78."""
    status, said, _ = Process(stage, *words, **options).end()
    assert status == WRONG, (status, said)
    assert len(said.strip().splitlines()) == 1, said
    for part in parts:
        assert part in said, (part, said)
    return said


@configured("F01", "no key of a provider")
def f01(stage: Stage) -> None:
    """78, naming the variables; the values of those that are set stay unsaid."""
    for provider, variable in (
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("google", "GOOGLE_API_KEY"),
        ("openrouter", "OPENROUTER_API_KEY"),
    ):
        other = "anthropic" if provider == "openai" else "openai"
        given = {"COPYKIT_PROVIDERS": provider, f"{other.upper()}_API_KEY": KEYS[other]}
        refused(stage, f"set {variable}", environment=given)
    both = {"COPYKIT_PROVIDERS": "openai,anthropic", "GOOGLE_API_KEY": KEYS["google"]}
    refused(stage, "set OPENAI_API_KEY", "set ANTHROPIC_API_KEY", environment=both)


@configured("F02", "names that nobody knows")
def f02(stage: Stage) -> None:
    """78 with the nearest name, in the environment and in the file."""
    for name, near in (
        ("COPYKIT_PORTT", "COPYKIT_PORT"),
        ("COPYKIT_PROVIDER", "COPYKIT_PROVIDERS"),
        ("COPYKIT_CACHE_ENTRYS", "COPYKIT_CACHE_ENTRIES"),
        ("COPYKIT_DRAIN", "COPYKIT_DRAIN_S"),
    ):
        said = refused(stage, f" {name}: unknown variable", environment={name: "1"})
        assert re.search(rf"nearest: {near}\b", said), said
    for toml, name, near in (
        ("[server]\nmax_bodi = 7\n", "server.max_bodi", "server.max_body"),
        ("[sever]\nport = 7\n", "sever.port", "server.port"),
    ):
        said = refused(stage, f"copykit.toml: {name} is unknown", toml=toml)
        assert re.search(rf"nearest: {re.escape(near)}\b", said), said


@configured("F03", "numbers and addresses that cannot be")
def f03(stage: Stage) -> None:
    """78, all of them at once, each by its name."""
    wrong = {
        "COPYKIT_PORT": "70000",
        "COPYKIT_WORKERS": "0",
        "COPYKIT_IN_FLIGHT": "-1",
        "COPYKIT_DRAIN_S": "nan",
        "COPYKIT_DEADLINE_S": "0",
        "COPYKIT_CACHE_BYTES": "-5",
        "MAX_WORKERS": "many",
        "CACHE_TTL": "1e999",
        "COPYKIT_BUDGET_USD": "-1",
        "OPENAI_BASE_URL": "ftp://nowhere",
        "COPYKIT_LOG_LEVEL": "loud",
    }
    said = refused(stage, words=("run",), environment=wrong)
    told = said.partition("configuration_error: ")[2].strip().split("; ")
    for begin in (
        "server.port=70000:", "server.workers=0:", "server.in_flight=-1:", "server.drain_s=nan:", "routing.deadline_s=0.0:",
        "cache.max_bytes=-5:", "MAX_WORKERS='many':", "cache.ttl_s=inf:", "routing.budget_usd=-1.0:",
        "providers.openai_base_url:", "server.log_level='loud':",
    ):  # fmt: skip
        assert sum(one.startswith(begin) for one in told) == 1, (begin, told)


@configured("F04", "every page may act for its visitors")
def f04(stage: Stage) -> None:
    """Refused at the start."""
    toml = '[server]\ncors_origins = ["*"]\ncors_credentials = true\n'
    refused(stage, "cors_origins", toml=toml, environment={"API_KEY": SERVER_KEY})


@configured("F05", "no authentication where others reach it")
def f05(stage: Stage) -> None:
    """Refused unless it is said; then a warning at the start, and a figure that an alert may watch."""
    from copykit import CopywritingServiceV11, Settings
    from copykit.server import ServerSettings, create_app

    refused(stage, "API_KEY", "--insecure", words=("run", "--host", "0.0.0.0", "--port", "0"))  # noqa: S104
    refused(stage, "API_KEY", environment={"COPYKIT_HOST": "::"})

    async def asked() -> str:
        app = create_app(
            server=ServerSettings(host="0.0.0.0", insecure=True),  # noqa: S104 -- nothing listens
            service=CopywritingServiceV11(Settings()),
        )
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return (await client.get("/metrics/prometheus")).text

    told = asyncio.run(asked())
    assert "\ncopykit_unsafe_start 1.0" in told
    assert any("authentication is off" in line for line in stage.logged)


@configured("F06", "keys that documents show, keys that are guessed")
def f06(stage: Stage) -> None:
    """Refused, and the key is not repeated."""
    for weak in ("your-secure-api-key", "changeme", "a" * 64, "0123456789abcdef0123", "correct horse"):
        said = refused(stage, "API_KEY", environment={"API_KEY": weak})
        assert weak not in said, said


@configured("F07", "a port that is taken, a folder that cannot be written")
def f07(stage: Stage) -> None:
    """Another status than 0 within 2 s, with one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said, took_s = Process(stage, "run", "--port", port).end()
        assert status not in (0, WRONG), said
        assert port in said
        assert len(said.strip().splitlines()) == 1, said
        assert took_s <= stage.slack * START_S
    for folder in ("/dev/null/copykit", "/proc/copykit"):
        process = Process(stage, "run", "--port", "0", environment={"COPYKIT_DATA_DIR": folder})
        status, said, took_s = process.end()
        assert status != 0, said
        assert len(said.strip().splitlines()) == 1, said
        assert took_s <= stage.slack * START_S, took_s


@configured("F08", "everything that shows settings")
def f08(stage: Stage) -> None:
    """Stars in the place of each secret: printed, copied, pickled, in tracebacks with variables, in /config."""
    from copykit import Settings
    from copykit.server import ServerSettings
    from copykit.settings import Secret

    environment = {
        "API_KEY": SERVER_KEY,
        **{f"{name.upper()}_API_KEY": KEYS[name] for name in ("openai", "anthropic", "google", "openrouter")},
        "COPYKIT_LOCAL_API_KEY": KEYS["local"],
        "COPYKIT_LOCAL_BASE_URL": "http://127.0.0.1:9/v1",
        "COPYKIT_STORE_URL": f"postgresql+asyncpg://user:{KEYS['local']}@127.0.0.1:9/db",
        "COPYKIT_KEY_PEPPER": f"{SERVER_KEY}-pepper",
    }
    stage.secrets["key of the server"] = SERVER_KEY
    shown: list[str] = []
    for made in (Settings.from_env(environment), ServerSettings.from_env(environment, keep=True)):
        shown += [repr(made), str(made), f"{made}", repr(copy.copy(made))]
        with suppress(TypeError):
            shown.append(repr(pickle.dumps(made)))
    shown.append(repr(ServerSettings.from_env(environment, keep=True).report()))
    try:
        ServerSettings.from_env({**environment, "COPYKIT_PORT": "nowhere"}, keep=True)
    except ConfigurationError as error:
        shown += _with_locals(error)
    assert any("***" in text for text in shown)
    assert Secret(SERVER_KEY) == Secret(SERVER_KEY)
    stage.told["settings shown"] = shown
    process = Process(
        stage, "run", "--port", "0", "--log-level", "debug", environment={"API_KEY": SERVER_KEY}
    )
    with process.serve() as url:
        answer = httpx2.get(f"{url}/config", headers={"x-api-key": SERVER_KEY}, timeout=30)
        assert answer.json()["server"]["key"] == "***"
        stage.told["answers of the server"] = [answer.text]


BROKEN = {
    "raises": ("raise RuntimeError('broken on purpose')", "import failed: RuntimeError: 'broken on purpose'"),
    "answers wrongly": (
        "def dumps(*a, **k): return b'7'\ndef loads(*a, **k): return 7\ndef __getattr__(name): return 0\n",
        "self-test failed: ",
    ),
    "lacks everything": ("", "import failed: AttributeError"),
}
"""What is put in the place of orjson, and how the reason begins that the report gives."""


@configured("F09", "an optional library that is missing or broken", lacks="a library that aborts the process")
def f09(stage: Stage) -> None:
    """The next candidate serves, the answer is right, and the report says which and why."""
    for kind, (source, reason) in BROKEN.items():
        process = Process(stage, "run", "--port", "0", environment={"API_KEY": SERVER_KEY})
        (process.folder / "orjson.py").write_text(source)
        process.environment["PYTHONPATH"] = f"{process.folder}:{process.environment.get('PYTHONPATH', '')}"
        with process.serve() as url, httpx2.Client(base_url=url, headers={"x-api-key": SERVER_KEY}) as client:
            answer = client.post("/v11/generate", json=BRIEF, timeout=30)
            assert answer.status_code == 200, (kind, answer.text)
            assert answer.json()["variants"][0]["status"] == "ok"
            report = client.get("/optimization/report", timeout=30).json()
        json = next(one for one in report["capabilities"] if one["name"] == "json")
        stage.note(f"{kind}: {json['chosen']} serves; {json['reason']}")
        orjson = next(one for one in json["candidates"] if one["name"] == "orjson")
        assert orjson["state"] == "unusable", (kind, orjson)
        assert orjson["reason"].startswith(reason), (kind, orjson)
        assert f"orjson {reason}" in json["reason"], (kind, json)
        assert json["chosen"] in [one["name"] for one in json["candidates"] if one["state"] == "verified"], (
            json
        )
        assert json["chosen"] != "orjson"


@configured("F11", "two workers with different configurations")
def f11(stage: Stage) -> None:
    """
    Both serve over one store at once. Each tells the digest of its own as a figure, the report of each names both and
    says that they differ, and a result's key holds the versions that it was made with, so that no other's is found.
    """
    headers = {"x-api-key": SERVER_KEY}
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        given = {"API_KEY": SERVER_KEY, "COPYKIT_DATA_DIR": folder}
        urls = []
        for streams in (5, 6):
            toml = f'[server]\nstreams = {streams}\nrate = ""\nip_rate = ""\n'
            process = Process(stage, "run", "--port", "0", toml=toml, environment=given)
            urls.append(held.enter_context(process.serve()))
        receipts = []
        for url in urls:
            told = httpx2.get(f"{url}/metrics/prometheus", headers=headers, timeout=30).text
            found = re.findall(r'^copykit_build_info\{config="([0-9a-f]+)"', told, re.MULTILINE)
            assert len(found) == 1, "no figure tells the configuration"
            digests[url] = found[0]
            answer = httpx2.post(f"{url}/v11/generate", json=BRIEF, headers=headers, timeout=30)
            assert answer.status_code == 200, answer.text
            receipts.append(answer.json()["receipt"])
        assert len(set(digests.values())) == 2, digests
        for url in urls:
            until = time.monotonic() + 30
            while True:  # until each has told the store of itself
                report = httpx2.get(f"{url}/health", headers=headers, timeout=30).json()
                if {one["config"] for one in report["workers"]["all"]} == set(digests.values()):
                    break
                assert time.monotonic() < until, report["workers"]
                time.sleep(0.2)
            assert "workers run with different configurations" in report["reasons"], report["reasons"]
    versions = receipts[0]["versions"]
    assert versions == receipts[1]["versions"]
    assert set(versions) >= {"prompt", "platforms"}
    brief = CopywritingInput(**BRIEF)
    keys = [
        request_key(brief, target="phrasebank", versions={**versions, **other})
        for other in ({}, {"prompt": "another"}, {"platforms": "another"})
    ]
    assert len(set(keys)) == 3, "another version would be given this one's result"


@configured("F10", "a reload with a file that is wrong")
def f10(stage: Stage) -> None:
    """The same workers go on with what they have, all mistakes are told, and no request fails meanwhile."""
    if not hasattr(signal, "SIGHUP"):
        raise NotHere("signals of POSIX")
    words = ("run", "--port", "0", "--workers", "2")
    free = 'rate = ""\nip_rate = ""\n'
    process = Process(
        stage, *words, toml=f"[server]\n{free}streams = 11\n", environment={"API_KEY": SERVER_KEY}
    )
    with process.serve() as url, httpx2.Client(base_url=url, headers={"x-api-key": SERVER_KEY}) as client:

        def streams() -> int:
            told: int = client.get("/config", timeout=30).json()["server"]["streams"]
            return told

        def workers() -> set[int]:
            told = client.get("/health", timeout=30).json()["workers"]["all"]
            return {worker["pid"] for worker in told}

        assert streams() == 11
        before = workers()
        (process.folder / "copykit.toml").write_text(f"[server]\n{free}streams = -1\nmax_bacth_body = 3\n")
        process.process.send_signal(signal.SIGHUP)
        until, statuses = time.monotonic() + 60, []
        while "the old ones go on" not in (process.folder / "said").read_text():
            statuses.append(client.post("/v11/generate", json=BRIEF, timeout=30).status_code)
            assert time.monotonic() < until, "the mistake is not told"
            time.sleep(0.02)  # or the worker that is to begin has no processor
        assert set(statuses) == {200}, statuses
        said = (process.folder / "said").read_text()
        for part in ("server.streams=-1:", "server.max_bacth_body is unknown"):
            assert part in said, said
        assert {streams() for _ in range(10)} == {11}
        assert workers() == before
