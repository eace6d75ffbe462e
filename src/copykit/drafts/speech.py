"""How long a text takes to say, from the number of its words, syllables or characters."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from copykit import data
from copykit.lazy import lazy

from .x_length import urls

__all__ = ["spoken_seconds", "spoken_units"]

_NUMBER = lazy(r"\d+(?:[.,\u00a0\u202f'’]\d{3}(?!\d))*(?:[.,]\d+)?")
_LATIN_VOWELS = lazy(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøœùúûüýÿ]+", re.IGNORECASE)
_EAST = lazy(r"[\u3041-\u309f\u30a1-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々〆]")
_HANGUL = lazy(r"[\uac00-\ud7a3]")
_THAI = lazy(r"[\u0e01-\u0e3a\u0e40-\u0e46]")
_PIECE = lazy(r"[^\W_]")

_LONGEST_NUMBER = 30
"""Digits of a number that has a name; longer ones are read figure by figure, however they are grouped."""


@cache
def _rates() -> dict[str, Any]:
    return data.load_toml("units/speech.toml")


def _rate(language: str) -> tuple[float, str]:
    table = _rates()["languages"]
    row = table.get(language.split("-")[0].lower(), table["en"])
    return float(row["rate"]), str(row["unit"])


def _words_of_number(digits: int) -> int:
    """Count the words of a whole number, as English says it: 1,250 is one thousand two hundred fifty."""
    if digits == 0:
        return 1
    words, scale = 0, 0
    while digits:
        digits, group = divmod(digits, 1000)
        hundreds, rest = divmod(group, 100)
        words += 2 if hundreds else 0
        words += 0 if not rest else 2 if rest > 20 and rest % 10 else 1
        words += 1 if group and scale else 0
        scale += 1
    return words


def _characters_of_number(digits: int) -> int:
    """Count the characters of a whole number in the East Asian way: 1,250 is 千二百五十."""
    if digits == 0:
        return 1
    count, place = 0, 0
    while digits:
        digits, group = divmod(digits, 10_000)
        for power in range(4):
            figure = group // 10**power % 10
            if figure:
                count += 1 if power == 0 or figure == 1 else 2
        count += 1 if group and place else 0
        place += 1
    return count


# Texts repeat their numbers.
@lru_cache(maxsize=1024)
def _spoken_number(text: str, language: str, unit: str) -> int:
    body, mark, tail = text, "", ""
    match = re.search(r"[.,](\d{1,2}|\d{4,})$", text)
    if match:
        body, mark, tail = text[: match.start()], text[match.start()], match[1]
    digits = re.sub(r"\D", "", body)
    plain = body == digits and (len(digits) > 7 or (len(digits) > 1 and digits[0] == "0"))
    if plain or len(digits) > _LONGEST_NUMBER:
        count = len(digits)  # codes and telephone numbers are read figure by figure
    elif unit != "words" or language.startswith("vi"):
        count = _characters_of_number(int(digits))
    elif language.startswith("en") and body == digits and len(digits) == 4 and 1100 <= int(digits) <= 2099:
        first, last = divmod(int(digits), 100)  # years are read in pairs
        if 2000 <= int(digits) < 2010 or last == 0:
            count = _words_of_number(int(digits)) if first == 20 else _words_of_number(first) + 1
        else:
            count = _words_of_number(first) + (2 if last < 10 else _words_of_number(last))
    else:
        count = _words_of_number(int(digits))
    return count + (1 if mark else 0) + len(tail)


def _spoken_url(url: str, language: str, unit: str) -> int:
    """Count the words of an address read out: ``example.com/sale`` is example dot com slash sale."""
    address = re.sub(r"^(?:https?://)?(?:www\.)?", "", url, flags=re.IGNORECASE).rstrip("/")
    count = len(re.findall(r"[./?=&#:_~%-]", address))
    for part in re.findall(r"[^\W\d_]+|\d+", address):
        count += _spoken_number(part, language, unit) if part.isdecimal() else _syllables(part, unit)
    return count


def _syllables(word: str, unit: str) -> int:
    """Count a Latin word: one where words are counted, else its vowel groups, capitals letter by letter."""
    if unit == "words":
        return 1
    if word.isupper() and len(word) <= 5:
        return len(word)
    return max(1, len(_LATIN_VOWELS.findall(word)))


# A script is measured while it is written and again when it is checked.
@lru_cache(maxsize=128)
def spoken_units(text: str, language: str = "en") -> float:
    """Count what *language*'s speaking rate counts: words, syllables or characters, with numbers spoken out.

    Numbers, links and the marks ``% & + @ = €`` count as the words they are read as; figures follow the
    English pattern in languages that count words, the East Asian one elsewhere. An approximation: nobody
    counted a recording.
    """
    unit = _rate(language)[1]
    total = 0.0
    rest, cursor = [], 0
    for start, end in urls(text):
        rest.append(text[cursor:start])
        total += _spoken_url(text[start:end], language, unit)
        cursor = end
    plain = " ".join([*rest, text[cursor:]])

    def say(match: re.Match[str]) -> str:
        nonlocal total
        total += _spoken_number(match[0], language, unit)
        return " "

    plain = _NUMBER.sub(say, plain)
    marks: dict[str, int] = _rates()["marks"]
    total += sum(marks[c] for c in plain if c in marks)
    if unit == "words":
        return total + sum(1 for word in plain.split() if _PIECE.search(word))
    total += len(_EAST.findall(plain)) + len(_HANGUL.findall(plain))
    total += len(_THAI.findall(plain)) / float(_rates()["thai"]["letters_per_syllable"])
    others = re.findall(r"[^\W\d_]+", _THAI.sub(" ", _HANGUL.sub(" ", _EAST.sub(" ", plain))))
    return total + sum(_syllables(word, unit) for word in others)


def spoken_seconds(text: str, language: str = "en") -> float:
    """Give the seconds a speaker of *language* needs for *text*, without pauses; see `spoken_units`."""
    return spoken_units(text, language) / _rate(language)[0]
