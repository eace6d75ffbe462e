"""Settings: where they come from, and how mistakes are told."""

from __future__ import annotations

import json
import pickle
from copy import copy, deepcopy
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from copykit.errors import ConfigurationError
from copykit.providers.registry import check_targets
from copykit.settings import ProvidersSettings, RoutingSettings, Secret, Settings, read_values

SECRET = "sk-canary-5f0c1d2e3b4a5968"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A variable lays over copykit.toml, which lays over the defaults."""
    file = tmp_path / "copykit.toml"
    file.write_text('[cache]\nttl_s = 5\nmax_entries = 7\n[routing]\nproviders = ["phrasebank"]\n')
    settings = Settings.from_env({"CACHE_TTL": "60"}, file=file)
    assert (settings.cache.ttl_s, settings.cache.max_entries) == (60.0, 7)
    assert settings.batch.concurrency == Settings().batch.concurrency


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Misspelt names come with the nearest right one, bad numbers with what is wanted."""
    file = tmp_path / "c.toml"
    file.write_text("[cache]\nttl = 5\n")
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({"COPYKIT_PROVIDER": "x", "MAX_WORKERS": "many", "CACHE_TTL": "-1"}, file=file)
    told = str(caught.value)
    assert "COPYKIT_PROVIDER: unknown variable; nearest: COPYKIT_PROVIDERS" in told
    assert "MAX_WORKERS='many': not a whole number" in told
    assert "cache.ttl is unknown; nearest: cache.ttl_s" in told


def test_targets_are_checked_with_the_rest() -> None:
    """Whoever knows the providers says what is wrong, and it is told with the other mistakes."""
    environment = {"COPYKIT_PROVIDERS": "phrasebnk, openai:gpt-6-luna,phrasebank", "MAX_WORKERS": "many"}
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environment, check_targets=check_targets)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "MAX_WORKERS='many'",
        "routing.providers='phrasebnk'",
        "routing.providers='openai",
    ]


def test_an_impossible_number_names_its_setting() -> None:
    """Zero workers cannot work."""
    with pytest.raises(ConfigurationError, match=r"batch\.concurrency=0"):
        Settings.from_env({"MAX_WORKERS": "0"})


def test_what_cannot_act_yet_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable whose machinery is not built yet is reported."""
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env({"REDIS_URL": "redis://127.0.0.1", "COPYKIT_JSON": "json"})
    assert any("REDIS_URL" in line for line in settings.ignored)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without a configuration file."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("environment", "targets"),
    [
        ({}, ("phrasebank",)),
        ({"OPENAI_API_KEY": ""}, ("phrasebank",)),
        ({"OPENAI_API_KEY": SECRET}, ("openai",)),
        ({"GEMINI_API_KEY": SECRET}, ("google",)),
        (
            {f"{name}_API_KEY": SECRET for name in ("OPENROUTER", "GOOGLE", "ANTHROPIC", "OPENAI")},
            ("openai", "anthropic", "google", "openrouter"),
        ),
        ({"OPENAI_API_KEY": SECRET, "COPYKIT_PROVIDERS": "phrasebank"}, ("phrasebank",)),
    ],
)
def test_targets_follow_from_the_keys(environment: dict[str, str], targets: tuple[str, ...]) -> None:
    """Where none are named: the providers whose keys are set, in one order; the phrase bank only without any."""
    assert Settings.from_env(environment).routing.providers == targets


def test_keys_given_in_code_count_too() -> None:
    """As those of the environment do."""
    own = ProvidersSettings(anthropic_key=Secret(SECRET))
    assert Settings(providers=own).routing.providers == ("anthropic",)
    assert Settings(providers=own, routing=RoutingSettings(("phrasebank",))).routing.providers == (
        "phrasebank",
    )


@pytest.mark.usefixtures("alone")
def test_of_two_names_for_a_key_the_first_counts() -> None:
    """In whatever order the environment has them, as in the vendor's own client."""
    for names in (("GOOGLE_API_KEY", "GEMINI_API_KEY"), ("GEMINI_API_KEY", "GOOGLE_API_KEY")):
        settings = Settings.from_env({name: name for name in names})
        assert settings.providers.google_key == Secret("GOOGLE_API_KEY")


def test_a_key_shows_itself_only_when_asked(tmp_path: Path) -> None:
    """Not in any text of it or of what holds it, not copied into a pickle; it can come from a file."""
    file = tmp_path / "c.toml"
    file.write_text(f'[providers]\nopenai_key = " {SECRET}\\n"\n')
    settings = Settings.from_env({}, file=file)
    key = settings.providers.openai_key
    assert key is not None
    assert key.reveal() == SECRET
    told = [
        repr(settings),
        str(settings),
        f"{key}",
        f"{key!r}",
        repr(asdict(settings)),
        str(vars_of(settings)),
    ]
    assert not any(SECRET in text for text in told)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(settings)
    assert key == Secret(SECRET) != Secret("other")
    assert len({key, Secret(SECRET)}) == 1
    assert deepcopy(key) == copy(key) == key


def vars_of(settings: Settings) -> dict[str, object]:
    """Give all that the providers' group holds."""
    return {f.name: getattr(settings.providers, f.name) for f in fields(settings.providers)}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("text", ["two words" + SECRET, "line\n" + SECRET, "ümlaut" + SECRET, " "])
def test_a_key_that_no_header_can_carry_is_refused_unseen(tmp_path: Path, text: str) -> None:
    """By the environment and by a file, with the name and without the value."""
    file = tmp_path / "c.toml"
    file.write_text(f"[providers]\nopenai_key = {json.dumps(text)}\nlocal_key = 5\n")
    for settings in ({"OPENAI_API_KEY": text}, {"COPYKIT_CONFIG": str(file)}):
        with pytest.raises(ConfigurationError, match=r"OPENAI_API_KEY|openai_key") as caught:
            Settings.from_env(settings)
        assert SECRET not in str(caught.value)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "address",
    [
        "api.openai.com/v1",
        "ftp://host/v1",
        "http://",
        "http://host:port/v1",
        "https://user:hunter2@host/v1",
        "https://host/v1?key=hunter2",
        "https://[::1/v1",
        "https://hüst/v1",
        "https://user:hunter2ü@host/v1",
        "https://user:hün/hunter2@host/v1",
    ],
)
def test_an_address_that_cannot_work_is_told_without_what_may_be_secret_in_it(address: str) -> None:
    """A scheme, a host, and neither user nor query."""
    with pytest.raises(ConfigurationError, match=r"providers\.openai_base_url") as caught:
        Settings.from_env({"OPENAI_BASE_URL": address})
    assert "hunter2" not in str(caught.value)


@pytest.mark.usefixtures("alone")
def test_a_target_without_its_key_names_the_variable() -> None:
    """Of those built in; with the other mistakes, and never a key."""
    environment = {"COPYKIT_PROVIDERS": "openai:gpt-6-luna,phrasebank", "MAX_WORKERS": "many"}
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environment, check_targets=check_targets)
    assert any("set OPENAI_API_KEY" in problem for problem in caught.value.problems)
    complete = {"COPYKIT_PROVIDERS": "openai:gpt-6-luna", "OPENAI_API_KEY": SECRET}
    assert Settings.from_env(complete, check_targets=check_targets).providers.openai_key == Secret(SECRET)


@pytest.mark.usefixtures("alone")
def test_a_list_of_targets_without_a_target_is_a_mistake(tmp_path: Path) -> None:
    """It was meant to name some."""
    file = tmp_path / "c.toml"
    file.write_text("[routing]\nproviders = []\n")
    for settings in ({"COPYKIT_PROVIDERS": " , "}, {"COPYKIT_CONFIG": str(file)}):
        with pytest.raises(ConfigurationError, match="at least one target"):
            Settings.from_env(settings)


def test_a_missing_named_file_is_a_mistake(tmp_path: Path) -> None:
    """Only the default file may be absent."""
    with pytest.raises(ConfigurationError, match="no such configuration file"):
        Settings.from_env({}, file=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[routing]\nproviders = "phrasebank"', "routing.providers='phrasebank': must be a list"),
        ("[routing]\nproviders = [1]", "routing.providers="),
        ('[routing]\nproviders = [" "]', "routing.providers="),
        ("[cache]\nurl = 5", "cache.url=5"),
        ("[cache]\nmax_entries = 1.5", "cache.max_entries=1.5: must be a whole number"),
        ("[batch]\nconcurrency = 2.5", "batch.concurrency=2.5: must be a whole number"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_setting(tmp_path: Path, text: str, told: str) -> None:
    """A file may hold anything: it is told here, not where the value is used."""
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({}, file=file)
    assert told in str(caught.value)


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    """Deploy files set what they do not know to nothing; where nothing means something, it does."""
    file = tmp_path / "copykit.toml"
    file.write_text("[batch]\nconfirm_usd = 5\n")
    empty = dict.fromkeys(("COPYKIT_PROVIDERS", "COPYKIT_CONFIRM_USD", "MAX_WORKERS", "OPENAI_API_KEY"), "")
    settings = Settings.from_env({**empty, "COPYKIT_CACHE_URL": ""}, file=file)
    assert settings.batch.confirm_usd == 5
    assert settings.routing.providers == ("phrasebank",)
    assert settings.cache.url == ""


def test_the_sum_that_is_asked_about_is_a_setting() -> None:
    """A negative one is a mistake."""
    assert Settings.from_env({"COPYKIT_CONFIRM_USD": "2.5"}).batch.confirm_usd == 2.5
    with pytest.raises(ConfigurationError, match="confirm_usd"):
        Settings.from_env({"COPYKIT_CONFIRM_USD": "-1"})


def test_addresses_with_passwords_stand_in_files_too(tmp_path: Path) -> None:
    """As keys do: the name with ``_FILE`` is known, its line break dropped, and a file open to everybody refused."""
    file = tmp_path / "store"
    file.write_text("postgresql://copykit:canary@db.example/copykit\n")
    file.chmod(0o640)
    environment = {"COPYKIT_STORE_URL_FILE": str(file), "COPYKIT_PROVIDERS": "phrasebank"}
    assert Settings.from_env(environment).routing.providers == ("phrasebank",)
    values, problems = read_values(environment, group="server")
    assert (values["server.store_url"], problems) == (file.read_text().strip(), [])
    file.chmod(0o644)
    _, (problem,) = read_values(environment, group="server")
    assert "chmod o=" in problem
    assert "canary" not in problem


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "COPYKIT_MAX_BATCH_ITEMS",
            "no variable sets max_batch_items: write it under [server] in copykit.toml",
        ),
        ("COPYKIT_MOST_CALLS", "no variable sets most_calls: write it under [routing] in copykit.toml"),
        ("COPYKIT_MAX_BATCH_ITMS", "no variable sets max_batch_items"),
    ],
)
def test_a_variable_for_what_only_the_file_sets_is_told_where_it_stands(name: str, told: str) -> None:
    """The name was right, the place was not."""
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({name: "5"})
    assert f"{name}: unknown variable; {told}" in str(caught.value)


def test_a_keys_file_that_cannot_be_read_is_blamed_by_its_own_variable(tmp_path: Path) -> None:
    """Not the key's, which is not set."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY_FILE: "):
        Settings.from_env({"OPENAI_API_KEY_FILE": str(tmp_path / "none")})
