"""A term is found alone, in sentences and under every evasion of its script, never in a longer word."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest

from copykit.brief.terms import TermSet
from words_of_many_languages import WORDS

Dress = Callable[[str], str]

FRAMES = ("{}", "So — {} — now", "«{}»,", "one {}. two", "{}!")
LETTERED = ("LATIN", "CYRILLIC", "GREEK")
PARTED = (*LETTERED, "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI")
ALL: tuple[str, ...] = ()
TO_CYRILLIC = str.maketrans("aeopcyxABEKMHOPCTX", "аеорсухАВЕКМНОРСТХ")
TO_LATIN = str.maketrans("аеорсухАВЕКМНОРСТХ", "aeopcyxABEKMHOPCTX")
AROUND = {
    "LATIN": [("q", "x"), ("", "kw"), ("vr", "")],
    "CYRILLIC": [("ф", "ф"), ("", "кф"), ("жр", "")],
    "GREEK": [("ξ", "ξ"), ("", "κξ"), ("ζρ", "")],
    "ARABIC": [("غ", "غ"), ("", "قغ"), ("ضغ", "")],
    "HEBREW": [("צ", "צ"), ("", "קץ"), ("צד", "")],
    "DEVANAGARI": [("ग", "झ"), ("", "गढ"), ("घट", "")],
    "BENGALI": [("গ", "ঝ"), ("", "গঢ"), ("ঘট", "")],
}


def script(word: str) -> str:
    return unicodedata.name(next(c for c in word if c.isalpha())).split()[0]


def syllables(word: str) -> list[str]:
    parts: list[str] = []
    for char in word:
        if parts and unicodedata.category(char)[0] == "M":
            parts[-1] += char
        else:
            parts.append(char)
    return parts


def each(change: Dress) -> Dress:
    return lambda word: "".join(change(c) if c.isascii() and c.isalnum() else c for c in word)


def bold(char: str) -> str:
    if char.isdigit():
        return chr(0x1D7CE + int(char))
    return chr(0x1D400 + ord(char) - 65 if char.isupper() else 0x1D41A + ord(char) - 97)


def circled(char: str) -> str:
    if char.isdigit():
        return char
    return chr(0x24B6 + ord(char) - 65 if char.isupper() else 0x24D0 + ord(char) - 97)


def capital_i_for_small_l(word: str) -> str:
    def beside_small(at: int) -> bool:
        return word[at - 1 : at].islower() or word[at + 1 : at + 2].islower()

    return "".join("I" if c == "l" and beside_small(at) else c for at, c in enumerate(word))


EVASIONS: dict[str, tuple[tuple[str, ...], Dress]] = {
    "itself": (ALL, str),
    "upper case": (ALL, str.upper),
    "lower case": (ALL, str.lower),
    "title case": (ALL, str.title),
    "zero width space": (ALL, "\u200b".join),
    "soft hyphen": (ALL, "\u00ad".join),
    "word joiner": (ALL, "\u2060".join),
    "byte order mark": (ALL, "\ufeff".join),
    "variation selector": (ALL, "\ufe0f".join),
    "decomposed": (ALL, lambda word: unicodedata.normalize("NFD", word)),
    "full width": (("LATIN",), each(lambda c: chr(ord(c) + 0xFEE0))),
    "mathematical": (("LATIN",), each(bold)),
    "circled": (("LATIN",), each(circled)),
    "Cyrillic look-alikes": (("LATIN",), lambda word: word.translate(TO_CYRILLIC)),
    "Latin look-alikes": (("CYRILLIC",), lambda word: word.translate(TO_LATIN)),
    "capital I for small l": (("LATIN",), capital_i_for_small_l),
    "dotted": (LETTERED, lambda word: ".".join(syllables(word))),
    "spaced": (LETTERED, lambda word: " ".join(syllables(word))),
    "dashed": (PARTED, lambda word: "-".join(syllables(word))),
    "struck through": (LETTERED, lambda word: "".join(c + "\u0336" for c in word)),
}
NEEDS_PLAIN_WORDS = ("dotted", "spaced", "dashed")


def words(language: str) -> list[str]:
    """Those of three letters and more; two signs are a word where words are not parted."""
    return [
        w
        for w in WORDS[language].split()
        if sum(c.isalpha() for c in w) >= 3 or (w.isalpha() and script(w) not in PARTED)
    ]


def plain(word: str) -> bool:
    return all(c.isalnum() or unicodedata.category(c)[0] == "M" for c in word)


@pytest.mark.parametrize("how", EVASIONS)
def test_every_term_is_found_however_it_is_dressed(how: str) -> None:
    """Alone and in sentences, with the span of the whole dressed word."""
    scripts, dress = EVASIONS[how]
    seen = 0
    for language in WORDS:
        for term in words(language):
            if (scripts and script(term) not in scripts) or (how in NEEDS_PLAIN_WORDS and not plain(term)):
                continue
            terms, dressed = TermSet([term], language), dress(term)
            for frame in FRAMES:
                text = frame.format(dressed)
                assert dressed in [text[a:b] for _, a, b in terms.find(text)], (language, text)
                seen += 1
    assert seen >= 100


@pytest.mark.parametrize("language", [tag for tag in WORDS if script(WORDS[tag]) in AROUND])
@pytest.mark.parametrize("dress", [str, str.lower, "\u200b".join], ids=["plain", "lower", "zero width"])
def test_no_term_is_found_inside_a_longer_word(language: str, dress: Dress) -> None:
    """Letters before, after or around make it another word."""
    for term in words(language):
        for before, after in AROUND[script(term)]:
            for frame in FRAMES:
                text = frame.format(dress(before + term + after))
                assert TermSet([term], language).find(text) == [], text


def test_the_list_is_long() -> None:
    """Several hundred words in a dozen scripts."""
    listed = [word for tag in WORDS for word in words(tag)]
    assert len(listed) >= 300
    assert len({script(word) for word in listed}) >= 11
