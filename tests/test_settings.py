"""Settings: where they come from, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from copykit.errors import ConfigurationError
from copykit.providers.registry import check_targets
from copykit.settings import Settings


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
    """A provider key without its provider is reported, and its value is nowhere."""
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env({"OPENAI_API_KEY": "sk-secret", "COPYKIT_JSON": "json"})
    assert any("OPENAI_API_KEY" in line for line in settings.ignored)
    assert "sk-secret" not in repr(settings)


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
