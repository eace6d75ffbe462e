"""How a server's settings are read: every mistake at once and each once, both ends of every bound, what has no effect."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")
pytest.importorskip("sqlalchemy", reason="needs the extra server")

from copykit.errors import ConfigurationError
from copykit.server.bounds import NUMBERS
from copykit.server.config import ServerSettings, file_url
from copykit.server.reading import read_settings, without_effect
from copykit.settings import SERVER_VARIABLES, Secret, Settings
from running import Place

KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
DOCUMENT = Path(__file__).parents[1] / "docs" / "server.md"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a place to start servers in; those that still run are ended."""
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one's own, with room for a store."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mistakes(folder: Path, **environment: str) -> tuple[str, ...]:
    """Give what is wrong with a server of *environment*."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"COPYKIT_DATA_DIR": str(folder / "data"), **environment})
    return caught.value.problems


@pytest.mark.parametrize(
    ("environment", "begins"),
    [
        (
            {"COPYKIT_PROVIDERS": "opnai", "COPYKIT_DEADLINE_S": "-3"},
            ["routing.deadline_s=-3.0", "routing.providers='opnai'"],
        ),
        (
            {"API_KEY": KEY, "COPYKIT_STORE_URL": "mysql://x", "COPYKIT_RATE": "abc"},
            ["server.store_url: 'mysql' is not served", "server.rate='abc'"],
        ),
        (
            {"COPYKIT_STORE_URL": "sqlte:///x", "COPYKIT_RATE": "abc", "COPYKIT_HOST": "0.0.0.0"},  # noqa: S104
            ["server.store_url: 'sqlte'", "server.rate='abc'", "server.host='0.0.0.0': others reach it"],
        ),
        (
            {"COPYKIT_RATE": "abc", "CACHE_TTL": "x", "COPYKIT_PROT": "1"},
            ["server.rate='abc'", "CACHE_TTL='x': not a number", "COPYKIT_PROT: unknown variable"],
        ),
        (
            {"OPENAI_API_KEY": "a b", "COPYKIT_PROVIDERS": "openai,slwo", "COPYKIT_BALANCE": "fast"},
            ["OPENAI_API_KEY: a key holds a space", "routing.providers='slwo'", "routing.balance='fast'"],
        ),
        (
            {"COPYKIT_LOCAL_BASE_URL": "ftp://x", "COPYKIT_PROVIDERS": "local"},
            ["providers.local_base_url: must be an address"],
        ),
        (
            {"COPYKIT_CACHE_URL": "memmory://", "OTEL_TRACES_EXPORTER": "oltp", "COPYKIT_STREAMS": "0"},
            ["cache.url='memmory://'", "OTEL_TRACES_EXPORTER='oltp'", "server.streams=0"],
        ),
        (
            {"COPYKIT_LIMITS_URL": "redis://x:y", "COPYKIT_BUDGET_USD": "2e6", "TMPDIR": "/nowhere"},
            ["server.limits_url: no address", "routing.budget_usd=2000000.0", "TMPDIR=/nowhere"],
        ),
    ],
)
def test_mistakes_of_both_halves_are_in_one_list(
    folder: Path, environment: dict[str, str], begins: list[str]
) -> None:
    """Each once, whatever else is wrong, and nothing that only follows from another mistake."""
    told = mistakes(folder, **environment)
    assert len(told) == len(begins), told
    for begin in begins:
        assert sum(problem.startswith(begin) for problem in told) == 1, (begin, told)


def test_mistakes_of_the_file_are_in_it_too(folder: Path) -> None:
    """Unknown names with the nearest, wrong kinds, wrong values, an alias that cannot be known: of every table."""
    (folder / "copykit.toml").write_text(
        """
        cache = 5
        [server]
        max_bodi = 7
        insecure = "yes"
        allowed_hosts = "copy.example.com"
        host = 5
        key = 5
        streams = 0
        [routing]
        providers = ["main", "opnai"]
        breaker = 1
        deployments = { main = [] }
        prices = { openai = { input = -1, outptu = 3 } }
        [sever]
        port = 1
        """
    )
    told = mistakes(folder, COPYKIT_PORT="x", COPYKIT_RATE="often")
    for begin in (
        "copykit.toml: cache must be a table",
        "copykit.toml: server.max_bodi is unknown; nearest: server.max_body",
        "server.insecure='yes': must be true or false",
        "server.allowed_hosts='copy.example.com': must be a list",
        "server.host=5: must be text",
        "API_KEY: must be text",
        "server.streams=0: must be a whole number from 1 to 100000",
        "routing.providers='opnai': unknown provider",
        "routing.breaker=1: must be true or false",
        "routing.deployments.main=[]",
        "routing.prices.openai: input=-1",
        "routing.prices.openai: 'outptu' is no kind of token; nearest: output",
        "routing.prices.openai: output is missing",
        "copykit.toml: sever.port is unknown; nearest: server.port",
        "COPYKIT_PORT='x': not a whole number",
        "server.rate='often'",
    ):
        assert sum(problem.startswith(begin) for problem in told) == 1, (begin, told)
    assert len(told) == 16, told


def test_the_command_tells_options_variables_and_file_at_once(place: Place) -> None:
    """``run`` in one line and ``run --check`` in a line each, the same list, status 78; options by their own names."""
    (place.folder / "copykit.toml").write_text("[server]\nmax_bodi = 7\n")
    words = (
        "--server",
        "gunicorn",
        "--workers",
        "0",
        "--log-format",
        "x",
        "--drain-delay",
        "soon",
        "--port",
        "99999",
    )
    said = []
    for more in ((), ("--check",)):
        done = subprocess.run(
            [sys.executable, "-m", "copykit", "run", *words, *more],
            cwd=place.folder,
            env=place.environment(COPYKIT_PROVIDERS="slwo", CACHE_TTL="x"),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (78, "")
        said.append(done.stderr)
    one_line, lines = said[0].strip(), said[1].splitlines()
    assert one_line == "configuration_error: " + "; ".join(line.removeprefix("copykit: ") for line in lines)
    for begin in (
        "--server='gunicorn': unknown; nearest: uvicorn",
        "server.workers=0",
        "server.log_format='x'",
        "--drain-delay='soon': not a number",
        "server.port=99999",
        "copykit.toml: server.max_bodi is unknown; nearest: server.max_body",
        "routing.providers='slwo': unknown provider",
        "CACHE_TTL='x'",
    ):
        assert sum(line.startswith(f"copykit: {begin}") for line in lines) == 1, (begin, lines)
    assert len(lines) == 8


def test_a_look_accepts_what_the_server_accepts(folder: Path) -> None:
    """Keys of the store are keys: where others reach the server, they are enough."""
    import asyncio

    from copykit.server.doors.keybook import KeyBook
    from copykit.server.kept.store import Store

    async def make() -> None:
        store = Store(file_url(folder / "data"))
        await store.open()
        await KeyBook(store).create()
        await store.aclose()

    open_to_all = {"COPYKIT_HOST": "0.0.0.0"}  # noqa: S104  # nothing listens
    assert "no key is set" in mistakes(folder, **open_to_all)[0]
    asyncio.run(make())
    server, _ = read_settings({"COPYKIT_DATA_DIR": str(folder / "data"), **open_to_all})
    assert not server.open


def test_what_has_no_effect_is_said_once_at_the_start(place: Place) -> None:
    """A warning each, by the process that was started, not by every worker; the reason, and what does the same here."""
    given = {"REDIS_URL": "redis://127.0.0.1:9", "BATCH_SIZE": "10", "COPYKIT_DEADLINE_S": "30"}
    server = place.run("--workers", "2", "--log-format", "json", **given)
    lines = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
    told = [line["event"] for line in lines if "no effect" in line["event"]]
    assert {line["level"] for line in lines if line["event"] in told} == {"warning"}
    assert len(told) == 3, told
    for name, instead in (
        ("REDIS_URL", "COPYKIT_LIMITS_URL"),
        ("BATCH_SIZE", "MAX_WORKERS"),
        ("deadline_s", "server.deadline_s"),
    ):
        assert sum(name in line and instead in line for line in told) == 1, name


def test_what_granian_cannot_do_is_said() -> None:
    """Each bound that was set and that it does not have."""
    server = ServerSettings(keep_alive_s=5.0, drain_delay_s=3.0)
    told = without_effect(server, Settings(), "granian")
    assert [line.split()[0] for line in told] == ["server.keep_alive_s", "server.drain_delay_s"]
    assert without_effect(server, Settings(), "uvicorn") == ()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cors_credentials": True}, ["server.cors_credentials"]),
        ({"cors_credentials": True, "cors_origins": ("https://shop.example",)}, []),
        ({"insecure": True, "host": "0.0.0.0", "keyed": True}, ["server.insecure"]),  # noqa: S104  # nothing listens
        ({"insecure": True, "host": "0.0.0.0", "key": Secret(KEY)}, ["server.insecure"]),  # noqa: S104
        ({"insecure": True}, ["server.insecure"]),
        ({"insecure": True, "host": "0.0.0.0"}, []),  # noqa: S104
    ],
)
def test_a_setting_that_wants_another_is_said_to_do_nothing_without_it(
    given: dict[str, Any], told: list[str]
) -> None:
    """Cookies of no page, and a door that is open on a server with keys or where nobody else comes."""
    found = without_effect(ServerSettings(**given), Settings(), "uvicorn")
    assert [line.split()[0] for line in found] == told


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_two_ends(name: str) -> None:
    """They are taken, what is beyond is told with both; so is no number at all, and one too long to be written."""
    least, most = NUMBERS[name]
    step = 1 if isinstance(least, int) else 1e-4
    with_them: dict[str, Any] = {"drain_s": 86_400.0, "longest_s": 86_400.0, "deadline_s": 0.001}
    for value in (least, most):
        beside = {} if name == "drain_s" else with_them
        assert getattr(ServerSettings(**{**beside, name: value}), name) == value
    for value in (least - step, most + step, 10**5000, float("nan"), float("inf"), True, "1", None, [1]):
        with pytest.raises(ConfigurationError) as caught:
            ServerSettings(**{name: value})
        (told,) = [problem for problem in caught.value.problems if problem.startswith(f"server.{name}=")]
        assert re.search(rf"number from {least:.15g} to {most:.15g}$", told), told
        assert len(told) < 200


@pytest.mark.parametrize("name", [field.name for field in fields(ServerSettings)])
def test_whatever_a_file_holds_is_a_mistake_and_no_defect(name: str) -> None:
    """Values of every kind in the place of every setting are taken or told by its name."""
    variables = {key.removeprefix("server."): variable for variable, (key, _) in SERVER_VARIABLES.items()}
    for value in (
        5,
        -5,
        0.5,
        "",
        "x y",
        "http://[",
        "*",
        [],
        ["*"],
        [5],
        [[]],
        {},
        {"a": 1},
        True,
        False,
        None,
    ):
        try:
            ServerSettings(**{name: value})
        except ConfigurationError as error:
            for problem in error.problems:
                assert f"server.{name}" in problem or problem.startswith(f"{variables.get(name)}:"), problem


@pytest.mark.parametrize(
    "host",
    ["*", "http://a/b", "copy.example.com:443", ".example.com", "*.example.com", "a b", "", "[::1", "-a"],
)
def test_a_host_that_no_client_can_name_is_refused(host: str) -> None:
    """Named hosts would all be answered with 400, and nobody would know why; the rule comes with an example."""
    with pytest.raises(ConfigurationError, match=re.escape(repr(host)) + ".*e.g. copy.example.com") as caught:
        ServerSettings(allowed_hosts=("copy.example.com", host))
    assert len(caught.value.problems) == 1


def test_names_and_addresses_are_hosts() -> None:
    """As browsers, containers and probes send them."""
    ServerSettings(
        allowed_hosts=(
            "copy.example.com",
            "copywriting-service",
            "copy_1",
            "10.0.0.7",
            "[::1]",
            "xn--bcher-kva.example",
        )
    )


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example/",
        "shop.example",
        "https://Shop.example",
        "https://a@shop.example",
        "https://shop.example:x",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    """It would never match; the rule comes with an example, and who it names is not told."""
    told = repr(origin.replace("a@", "***@"))
    with pytest.raises(ConfigurationError, match=re.escape(told) + ".*https://shop.example"):
        ServerSettings(cors_origins=(origin,))


@pytest.mark.parametrize(
    "password", ["hunter2", "hunter2/x", "x#hunter2", "hun@hunter2", "hunter2ü", "hunter2]"]
)
def test_no_password_of_an_address_is_told(password: str) -> None:
    """Neither where an address stands in the place of another setting, nor by a store's that is right."""
    address = f"postgresql://copykit:{password}@db.example/copykit"
    with pytest.raises(ConfigurationError) as caught:
        ServerSettings(
            host=address,
            rate=address,
            log_level=address,
            allowed_hosts=(address,),
            cors_origins=(address,),
            trusted_proxies=(address,),
        )
    assert len(caught.value.problems) == 6
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(ServerSettings(store_url=address))


def test_times_that_contradict_each_other_are_refused() -> None:
    """A delay that outlasts the drain it is part of, a time of every request above the most of any: both are named."""
    with pytest.raises(ConfigurationError) as caught:
        ServerSettings(drain_delay_s=60.0, deadline_s=200.0)
    delay, deadline = caught.value.problems
    assert "server.drain_delay_s=60.0: must be below server.drain_s=25.0" in delay
    assert "server.deadline_s=200.0: must not be above server.longest_s=120.0" in deadline
    with pytest.raises(ConfigurationError):
        ServerSettings(drain_delay_s=25.0)
    ServerSettings(drain_delay_s=0.0, drain_s=0.0)


@pytest.mark.parametrize(("field", "variable"), [("key", "API_KEY"), ("pepper", "COPYKIT_KEY_PEPPER")])
def test_what_is_secret_is_hard_to_guess(field: str, variable: str) -> None:
    """128 bits of chance for the key and for what is mixed into stored ones; the value is not told."""
    for weak in ("a", "changeme", "0123456789abcdef0123", "a" * 64):
        with pytest.raises(ConfigurationError) as caught:
            ServerSettings(**{field: Secret(weak)})
        (told,) = caught.value.problems
        assert told.startswith(f"{variable}: ")
        assert "token_urlsafe(32)" in told
        assert len(weak) == 1 or weak not in told
    ServerSettings(**{field: Secret(KEY)})


def test_the_document_has_every_setting() -> None:
    """Name, variable, default and bounds of each field, as they are; and no other."""
    part = DOCUMENT.read_text(encoding="utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in part.splitlines()
        if line.startswith("| `")
    ]
    variables = {key.removeprefix("server."): variable for variable, (key, _) in SERVER_VARIABLES.items()}
    assert sorted(row[0].strip("`") for row in rows) == sorted(field.name for field in fields(ServerSettings))
    assert {row[1].strip("`") for row in rows} - {""} == set(SERVER_VARIABLES)
    for name, variable, default, unit, bounds, what in ([cell.strip("`") for cell in row] for row in rows):
        held = getattr(ServerSettings(), name)
        shown = "none" if held in (None, "", ()) else str(held).lower() if isinstance(held, bool) else held
        assert variable == variables.get(name, ""), name
        assert default == (f"{shown:.15g}" if isinstance(shown, int | float) else shown), name
        assert what, name
        assert bounds, name
        if name in NUMBERS:
            least, most = NUMBERS[name]
            assert bounds == f"{least:.15g} to {most:.15g}", name
            assert unit == "s" or not name.endswith("_s"), name
