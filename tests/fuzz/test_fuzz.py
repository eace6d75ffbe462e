"""The fuzzed readers in the test run: seeds, all inputs that once broke something, and some damage of each seed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from . import readers
from .__main__ import NAMES
from .mutate import mutate
from .readers import KEY, MAX_BYTES, READERS, read
from .seeds import WORDS, seeds

FOUND = sorted(path for path in (Path(__file__).parent / "found").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_broke_something(path: Path) -> None:
    """It is read as anything else now, or refused with a declared error."""
    read(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("name", READERS)
def test_damage(name: str) -> None:
    """Seeds as they are, and a few hundred damaged ones; ``python -m tests.fuzz table`` reads a million each."""
    start, random, words = seeds(name), Random(name), tuple(WORDS)
    for data in start:
        read(name, data)
    for _ in range(300):
        read(name, mutate(random.choice(start), random, words, MAX_BYTES))


def test_all_readers_are_on_the_command_line() -> None:
    """The command names them without importing them: what it measures has to be imported later."""
    assert sorted(READERS) == sorted(NAMES)


@pytest.mark.parametrize("told", ["a\nb", "\x1b[31m", "\u202e", "\ud800", "x" * 501, KEY])
def test_words_that_must_not_be_told(told: str) -> None:
    """The readers' own looks notice what they look for."""
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        readers._check_words(told)


def test_an_undeclared_error_and_a_hang_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises what it does not declare fails; so does one that takes longer than is allowed."""

    def broken(data: bytes) -> None:
        {}["choices"]

    monkeypatch.setitem(READERS, "events", broken)
    with pytest.raises(KeyError):
        read("events", b"")
    monkeypatch.setitem(READERS, "events", lambda data: None)
    monkeypatch.setattr(readers, "LONGEST_S", -1.0)
    with pytest.raises(TimeoutError):
        read("events", b"")
