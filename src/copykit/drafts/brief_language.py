"""Whether a description is in another language than the copy: a writer that cannot translate then mixes the two."""

from __future__ import annotations

from copykit.brief.brief import Brief
from copykit.brief.naming import shop_words
from copykit.drafts.language_match import language_match
from copykit.drafts.look import WORD, Look, lowered
from copykit.drafts.wording import Wording, wording_of

__all__ = ["reads_otherwise"]

_MOSTLY = 0.5
"""Share of foreign letters up to which a description only names something in another script."""
_CONTENT = 4
"""Letters of a small word that may be a noun."""
_LEAST = 2
"""Words of another language, one of them of grammar, from which a short description is told to be in it."""
_FEWEST, _MANY = 4, 8
"""Words below which a description may be all names; and from which a noun that many languages share says nothing."""


def reads_otherwise(brief: Brief) -> str:
    """Give the base tag of the language that the description is in, where it is surely not the copy's; else empty.

    Told by script, by frequent words, and in a short description by a word of grammar beside words of the shelves
    ("boots with"), where none is of the copy's language. Names, brands and what the caller wrote as such say nothing.
    """
    language = brief.language
    base = language.tag.partition("-")[0]
    names = frozenset(WORD.findall(lowered(" ".join((brief.name, brief.brand.name, *brief.brand.terms)))))
    look = Look(brief.source_text.partition("\n")[0])
    wording = wording_of(language)
    wrong = language_match(look, language, wording.foreign, names, "")
    words = [word for word in look.words if word not in names]
    own = shop_words(base)
    small = {word for word in WORD.findall(look.text) if word.islower()}  # a capital may begin a name
    likely = "" if language.script != "Latn" else _by_shelf(words, small, wording, own)
    if wrong is None or not (len(words) >= _MANY or own.isdisjoint(words)):
        return likely
    if not isinstance(wrong.measured, str):
        return "another script" if (wrong.measured or 0.0) > _MOSTLY and len(words) >= _FEWEST else ""
    named = all(len(word) < _CONTENT or word in wording.foreign.words for word in small.intersection(words))
    return "" if named and len(words) < _MANY else likely or wrong.measured


def _by_shelf(words: list[str], small: set[str], wording: Wording, own: frozenset[str]) -> str:
    """Tell the language of a short description by a word of grammar beside words of the shelves; none of the own."""
    foreign = wording.foreign
    if any(word in foreign.own or word in own or word in wording.function_words for word in words):
        return ""
    grammar = {tag: 0 for word in words if len(word) > 1 for tag in foreign.words.get(word, ())}
    for word in set(words):
        for tag in foreign.words.get(word, ()) if len(word) > 1 else ():
            grammar[tag] += 1
    shelf = {tag: sum(word in shop_words(tag) for word in small.intersection(words)) for tag in grammar}
    likely = max(sorted(grammar), key=lambda tag: (grammar[tag] + shelf[tag], shelf[tag]), default="")
    enough = likely and shelf[likely] and grammar[likely] + shelf[likely] >= _LEAST and len(words) >= _FEWEST
    return likely if enough else ""
