"""Terms are found in any spelling a reader would take for them, and not inside longer words."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.terms import TermSet, squeeze

CYRILLIC = str.maketrans("aeopcyxi", "аеорсухі")
LEET = str.maketrans("aeos", "@305")


def full_width(word: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) for c in word)


def mathematical(word: str) -> str:
    return "".join(chr(0x1D41A + ord(c) - ord("a")) for c in word)


EVASIONS = {
    "capitals": str.upper,
    "full width": full_width,
    "mathematical": mathematical,
    "zero width space": "\u200b".join,
    "soft hyphen": "\u00ad".join,
    "word joiner": "\u2060".join,
    "variation selector": "\ufe0f".join,
    "Cyrillic": lambda w: w.translate(CYRILLIC),
    "leet": lambda w: w[:2] + w[2:].translate(LEET),
    "dotted": ".".join,
    "spaced": " ".join,
    "combining": lambda w: "".join(c + "\u0336" for c in w),
    "accented": lambda w: unicodedata.normalize("NFC", w.replace("a", "a\u0301").replace("e", "e\u0300")),
    "circled": lambda w: "".join(chr(0x24D0 + ord(c) - ord("a")) for c in w),
}


@pytest.mark.parametrize("how", EVASIONS)
@pytest.mark.parametrize("term", ["cheap", "bargain", "nokia", "peace"])
def test_each_evasion_is_found_where_it_stands(how: str, term: str) -> None:
    """Whatever dresses the word up, its span in the original text comes back."""
    dressed = EVASIONS[how](term)
    text = f"Buy this — {dressed} — now"
    assert TermSet([term, "unrelated"]).find(text) == [
        (term, 11, 11 + len(dressed.rstrip("\ufe0f\u0336")))
    ] or [text[a:b] for _, a, b in TermSet([term]).find(text)] == [dressed]


@given(
    term=st.text("bcdfghkmnpqrtuvwxz", min_size=4, max_size=9),
    hidden=st.lists(st.sampled_from(["", "\u200b", "\u00ad", "\u2060", "\ufeff"]), min_size=9, max_size=9),
    upper=st.lists(st.booleans(), min_size=9, max_size=9),
)
def test_invisible_characters_and_case_never_hide_a_term(
    term: str, hidden: list[str], upper: list[bool]
) -> None:
    """Any mixture of case and invisible characters leaves the term in sight."""
    dressed = "".join((c.upper() if up else c) + h for c, h, up in zip(term, hidden, upper, strict=False))
    assert [t for t, _, _ in TermSet([term]).find(f"so {dressed}, yes")] == [term]


@given(st.text(max_size=60), st.text(max_size=12))
def test_any_text_is_read_without_failing_and_spans_lie_inside(text: str, term: str) -> None:
    """Arbitrary Unicode neither raises nor gives a span outside the text."""
    for _, start, end in TermSet([term]).find(text):
        assert 0 <= start < end <= len(text)


@pytest.mark.parametrize(
    "term, text",
    [
        ("art", "A smart party, p a r t of it, s m a r t"),
        ("cheap", "The cheapskate and the cheapish"),
        ("mail", "fall at the mall"),
        ("hell", "he'll see a shell"),
        ("therapist", "the rapist"),
        ("schon", "schön"),
        ("bio", "810 km"),
        ("500", "soo"),
        ("mp", "mp3 player"),
    ],
)
def test_longer_or_other_words_are_left_alone(term: str, text: str) -> None:
    """A term inside a longer word, or a word that merely resembles it, is no occurrence."""
    language = "de" if term == "schon" else "en"
    assert TermSet([term], language).find(text) == []


@pytest.mark.parametrize(
    "language, term, forms",
    [
        ("es", "barato", "baratas baratos baratísimo"),
        ("de", "günstig", "günstiger guenstig gunstig günstigste"),
        ("pl", "tani", "tania tanio najtańszy"),
        ("ru", "дешёвый", "дешевые дешёвая"),
        ("ar", "رخيص", "الرخيصة رخيصة"),
        ("hi", "सस्ता", "सस्ते सस्ती"),
        ("tr", "ucuz", "ucuza UCUZ ucuzluk"),
        ("el", "φθηνό", "ΦΘΗΝΑ φθηνότερα"),
        ("en", "cheap", "cheaper cheapest cheaply"),
    ],
)
def test_words_of_a_restriction_are_found_in_their_inflections(language: str, term: str, forms: str) -> None:
    """Usual endings count when asked for, and only then."""
    inflected = TermSet([term], language, inflect=True)
    for form in forms.split():
        assert inflected.find(f"– {form} –"), form
    assert len(TermSet([term], language).find(forms)) < len(forms.split())


@pytest.mark.parametrize(
    "language, term, text",
    [
        ("ja", "激安", "本日激安セール"),
        ("ja", "激安", "街の激 安"),
        ("zh", "便宜", "又便宜又好"),
        ("th", "ถูก", "ราคาถูกมาก"),
        ("ko", "저렴", "저렴한"),
    ],
)
def test_scripts_without_spaces_are_searched_inside_runs(language: str, term: str, text: str) -> None:
    """Where words are not parted, the term is found within the run."""
    assert TermSet([term], language).find(text)


def test_words_that_contain_the_term_by_chance_are_spared() -> None:
    """Thai "correct" contains "cheap"."""
    assert TermSet(["ถูก"], "th").find("ถูกต้อง") == []


def test_names_with_signs_and_several_words() -> None:
    """Signs of a name count, its spaces and hyphens do not."""
    names = TermSet(["AT&T", "Coca-Cola", "Best Price"])
    assert [t for t, _, _ in names.find("AT&T, coca cola, BestPrice")] == ["AT&T", "Coca-Cola", "Best Price"]
    assert names.find("an attic") == []
    assert TermSet(["%"]).find("20 %") == [("%", 3, 4)]


def test_hashtags_are_read_word_by_word() -> None:
    """Capitals part the words of a tag."""
    terms = TermSet(["cheap"])
    assert terms.find("#CheapDeals")
    assert terms.find("#cheap_deals")
    assert not terms.find("#cheapskates")


def test_squeeze_merges_what_looks_alike() -> None:
    """Look-alikes fold to one string."""
    assert squeeze("Ｃh\u200be-a\u0301р") == squeeze("cheap")


@pytest.mark.parametrize("term", ["Black", "Clean", "Glow", "iGlow", "McLaren", "Illy", "AIR"])
def test_a_capital_before_an_l_is_ordinary_spelling(term: str) -> None:
    """Names are found as they are written, in capitals, and with a capital I for the l."""
    terms = TermSet([term])
    for dressed in (term, term.upper(), term.replace("l", "I")):
        assert terms.find(f"Meet the {dressed} lamp") == [(term, 9, 9 + len(term))]


def test_i_and_l_stay_themselves_where_nothing_poses() -> None:
    """Pasta al dente holds no AI, and no lowa lies in Iowa's name."""
    assert TermSet(["AI"]).find("Al dente, AL, all") == []
    assert TermSet(["mail"]).find("Mall, MALL, Mali") == []
    assert TermSet(["MAIL"]).find("MAlL it")
