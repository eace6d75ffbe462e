"""Long descriptive product names: what of them names the thing, what the variant."""

from __future__ import annotations

import re
from functools import cache

from copykit.data import load_toml
from copykit.lazy import lazy

__all__ = ["AND", "HEAD_FIRST", "head_of", "loose_words", "without_variant"]

_SHORT_NAME = 22
"""Characters up to which a name stands in a headline as it is."""
_HEAD_COLUMNS = 26
HEAD_FIRST = frozenset({"es", "fr", "pt", "it", "ar", "pl", "ca", "ro", "vi", "id", "ms", "he", "fa", "th"})
"""Languages whose noun phrases begin with the noun; in the others it comes last."""
_OTHER_SCRIPT = frozenset({"ar", "he", "fa", "hi", "bn", "th", "ru", "uk", "bg", "el", "ko"})
"""Languages in whose names Latin words are brands and models, no part of the noun phrase."""
_VARIANT = lazy(r"((?:\s?[-–]\s?[^\s\d–-]{2,}){1,2}\s?[-–]\s?(?:XXS|XS|S|M|L|XL|XXL|XXXL))$")
_PART = lazy(r"\s+[-–|]\s+")
AND = frozenset(
    {"&", "+", "and", "y", "e", "et", "und", "en", "i", "oraz", "och", "og", "و", "और", "with", "mit", "met"}
)
_POLISH_ADJECTIVE = ("na", "wa", "ska", "cka", "ny", "wy", "ski", "cki", "ne", "we")
_CONTENT_FIRST, _CONTENT_LAST = 2, 3
"""Content words taken, counted from the noun: more would reach into a brand name beside it."""


def without_variant(name: str) -> tuple[str, str]:
    """Part a name from a colour-and-size tail: ``("Hooded Jacket", "Blue-Green-M")``; no tail gives an empty one."""
    found = _VARIANT.search(name)
    if found is None or found.start() == 0:
        return name, ""
    return name[: found.start()].rstrip(), found.group(1).strip(" -–")


def head_of(name: str, language: str) -> str:
    """Give what a long name says the thing is, or empty: whole words of the name, none loose at either end.

    "OmniHeat Men's Hooded Puffer Jacket" is a "Hooded Puffer Jacket", "Bufanda de Invierno Elegante Arctic
    Bliss" a "Bufanda de Invierno"; of "Zwiebelringe - Marke - 100 g" the first part counts. A name that joins
    two things by "and" is not taken apart. *language* is the base tag. Short names need no such help.
    """
    if len(name) <= _SHORT_NAME:
        return ""
    parts = _PART.split(name)
    if len(parts) > 1:
        first = parts[0].strip()
        return first if 3 <= len(first) <= _HEAD_COLUMNS and any(c.isalpha() for c in first) else ""
    tokens = re.split(r",|:|\s\(", name)[0].split()
    if len(tokens) < 3 or any(token.casefold() in AND for token in tokens):
        return ""
    first_noun = language in HEAD_FIRST
    tokens = _own_script(tokens, first_noun) if language in _OTHER_SCRIPT else tokens
    loose = loose_words(language)
    if not first_noun:  # what follows a preposition describes the noun before it
        tokens = tokens[: next((at for at, t in enumerate(tokens) if at and t.casefold() in loose), None)]
    elif language == "pl" and tokens and tokens[0].casefold().endswith(_POLISH_ADJECTIVE):
        return ""
    least = len(tokens) - 1 if language == "ar" else 0  # a construct chain means nothing when it is broken
    for size in range(min(len(tokens), 4), least, -1):
        part = tokens[:size] if first_noun else tokens[-size:]
        content = [token for token in part if token.casefold() not in loose]
        phrase = " ".join(part).strip(" ,–-")
        if (
            len(content) <= (_CONTENT_FIRST if first_noun else _CONTENT_LAST)
            and 3 <= len(phrase) <= _HEAD_COLUMNS
            and not {part[0].casefold(), part[-1].casefold()} & loose
            and not any(c.isdigit() for c in phrase)
            and phrase[0].isalpha()
            and len(part[0]) > 1
        ):
            return phrase
    return ""


def _own_script(tokens: list[str], first_noun: bool) -> list[str]:
    """Keep the run of words from the noun on that are not written in Latin letters."""
    run = tokens if first_noun else tokens[::-1]
    kept = run[: next((at for at, token in enumerate(run) if token.isascii()), len(run))]
    return kept if first_noun else kept[::-1]


@cache
def loose_words(language: str) -> frozenset[str]:
    """Give the words that no phrase of *language* may begin or end with: articles, prepositions, "and"."""
    return frozenset(load_toml("extraction.toml").get(language, {}).get("dangling", "").split())
