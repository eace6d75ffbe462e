"""Facts whose value is in another language than the copy: a writer that cannot translate leaves them out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from copykit.brief.brief import Brief, Fact
from copykit.brief.catalog import Language
from copykit.brief.values import is_list
from copykit.data import load_toml
from copykit.drafts.language_match import language_match
from copykit.drafts.look import Look
from copykit.drafts.wording import wording_of
from copykit.lazy import lazy

__all__ = ["reads_as", "without_foreign_facts"]

_COMPOUNDING = frozenset({"de", "nl"})
_TELLING_END = 4
"""Letters of a word from which it tells its language as the end of a compound."""
_LEAST_HITS = 2
_LEAST_PHRASE = 6
"""Words from which a value is no name and no measure."""
_BRACKETED = lazy(r"\([^()]*\)|（[^（）]*）")
_MOSTLY = 0.5
"""Share of foreign letters from which a value is in another script, and does not just name something in it."""


def without_foreign_facts(brief: Brief) -> tuple[Brief, tuple[str, ...]]:
    """Give *brief* without the facts that are certainly in another language, and a remark for each.

    Short values are never certain: a material, a name or a measure is the same in many languages.
    """
    foreign = {fact.key: tag for fact in brief.facts if (tag := reads_as(fact, brief.language))}
    if not foreign:
        return brief, ()
    base = brief.language.tag.partition("-")[0]
    remarks = (f"facts.{key} reads as {tag!r}, not {base!r}, and is left out" for key, tag in foreign.items())
    return replace(brief, facts=tuple(f for f in brief.facts if f.key not in foreign)), tuple(remarks)


def reads_as(fact: Fact, language: Language) -> str | None:
    """Give the base tag (or script) that the value of *fact* is certainly in, None if it may be *language*'s."""
    listed = is_list(fact.key)
    if len(fact.value.split()) < (_LEAST_HITS if listed else _LEAST_PHRASE):
        return None
    told = _told(Look(fact.value), language.tag.partition("-")[0]) if listed else None
    if told is not None:
        return told
    look = Look(_BRACKETED.sub("", fact.value))  # a plant's or a fish's Latin name
    wrong = language_match(look, language, wording_of(language).foreign, frozenset(), "")
    measured = wrong.measured if wrong is not None else 0.0
    if isinstance(measured, str):
        return measured
    return "another script" if measured and measured > _MOSTLY else None


def _told(look: Look, base: str) -> str | None:
    """Tell another language by the words of ingredient lists: at least two, and twice as many as the own ones."""
    hits = {tag: sum(_holds(tag, word) for word in look.word_set) for tag in _words()}
    own = hits.pop(base, None)
    tag, most = max(hits.items(), key=lambda pair: pair[1])
    return tag if own is not None and most >= own + _LEAST_HITS and most >= 2 * own else None


def _holds(tag: str, word: str) -> bool:
    known = _words()[tag]
    if word in known or tag not in _COMPOUNDING:
        return word in known
    return any(word[at:] in known for at in range(1, len(word) - _TELLING_END + 1))


@cache
def _words() -> dict[str, frozenset[str]]:
    table: dict[str, str] = load_toml("values.toml")["words"]
    return {tag: frozenset(words.split()) for tag, words in table.items()}
