"""Which of the two ways of writing Chinese a text is in, told by the characters only one of them has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from copykit.data import load_toml

__all__ = ["is_traditional", "names_both_scripts"]

_BOTH_CHINESE = frozenset({"zh", "chinese", "中文"})


def is_traditional(texts: Iterable[str]) -> bool:
    """Tell whether more characters of *texts* are Traditional alone than Simplified alone.

    Most characters are the same in both; texts that hold none of either are not called Traditional.
    """
    traditional, simplified = _alone()
    told = [c for text in texts for c in text]
    return sum(map(traditional.__contains__, told)) > sum(map(simplified.__contains__, told))


@cache
def _alone() -> tuple[frozenset[str], frozenset[str]]:
    table = load_toml("han.toml")
    return frozenset(table["traditional"]) - {"\n"}, frozenset(table["simplified"]) - {"\n"}


def names_both_scripts(language: str) -> bool:
    """Tell whether *language* names Chinese without a way of writing: the caller's own words then decide."""
    return language.strip().casefold() in _BOTH_CHINESE
