"""The noun phrase inside a long descriptive product name."""

from __future__ import annotations

import re
from functools import cache

from copykit.data import load_toml

__all__ = ["HEAD_FIRST", "head_of"]

_SHORT_NAME = 22
"""Characters up to which a name stands in a headline as it is."""
_HEAD_COLUMNS = 26
HEAD_FIRST = frozenset({"es", "fr", "pt", "it", "ar", "pl", "ca", "ro", "vi", "id", "ms", "he", "fa", "th"})
"""Languages whose noun phrases begin with the noun; in the others it comes last."""
_OTHER_SCRIPT = frozenset({"ar", "he", "fa", "hi", "bn", "th", "ru", "uk", "bg", "el", "ko"})
"""Languages in whose names Latin words are brands and models, no part of the noun phrase."""
_VARIANT = re.compile(r"(?:\s?[-–/]\s?\w+){0,2}\s?[-–/]\s?(?:XXS|XS|S|M|L|XL|XXL|XXXL)$")
_CONTENT_FIRST, _CONTENT_LAST = 2, 3
"""Content words taken, counted from the noun: more would reach into a brand name beside it."""


def head_of(name: str, language: str) -> str:
    """Give what a long name says the thing is, or empty: whole words of the name, none loose at either end.

    "OmniHeat Men's Hooded Puffer Jacket" is a "Hooded Puffer Jacket", "Bufanda de Invierno Elegante Arctic
    Bliss" a "Bufanda de Invierno". *language* is the base tag. Short names need no such help and give none.
    """
    tokens = _VARIANT.sub("", name).replace(" - ", " ").split()
    if len(name) <= _SHORT_NAME or len(tokens) < 3:
        return ""
    first = language in HEAD_FIRST
    tokens = _own_script(tokens, first) if language in _OTHER_SCRIPT else tokens
    loose = _loose(language)
    for size in range(min(len(tokens), 4), 0, -1):
        part = tokens[:size] if first else tokens[-size:]
        content = [token for token in part if token.casefold() not in loose]
        phrase = " ".join(part).strip(" ,–-")
        if (
            len(content) <= (_CONTENT_FIRST if first else _CONTENT_LAST)
            and 3 <= len(phrase) <= _HEAD_COLUMNS
            and not {part[0].casefold(), part[-1].casefold()} & loose
            and any(c.isalpha() for c in part[-1])
        ):
            return phrase
    return ""


def _own_script(tokens: list[str], first: bool) -> list[str]:
    """Keep the run of words from the noun on that are not written in Latin letters."""
    run = tokens if first else tokens[::-1]
    kept = run[: next((at for at, token in enumerate(run) if token.isascii()), len(run))]
    return kept if first else kept[::-1]


@cache
def _loose(language: str) -> frozenset[str]:
    return frozenset(load_toml("extraction.toml").get(language, {}).get("dangling", "").split())
