"""The ledger reads figures in any digits and separators, and tells what the brief does not hold."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.catalog import language
from copykit.brief.figures import Figures, readings
from copykit.brief.ledger import Ledger
from copykit.data import load_json

DIGITS = [
    "0123456789",
    "٠١٢٣٤٥٦٧٨٩",
    "۰۱۲۳۴۵۶۷۸۹",
    "०१२३४५६७८९",
    "০১২৩৪৫৬৭৮৯",
    "０１２３４５６７８９",
    "๐๑๒๓๔๕๖๗๘๙",
]


def ledger(*texts: str, tag: str = "en") -> Ledger:
    return Ledger.build(texts, language(tag))


def untraced(book: Ledger, text: str) -> list[tuple[str, str]]:
    return [(u.kind, u.text) for u in book.untraced(text)]


@pytest.mark.parametrize(
    "core, values",
    [
        ("1.234,50", {"1234.5"}),
        ("1,234.50", {"1234.5"}),
        ("1 234,50", {"1234.5"}),
        ("1'234", {"1234"}),
        ("12,34,567", {"1234567"}),
        ("1.234", {"1234", "1.234"}),
        ("0.500", {"0.5"}),
        ("1٬234٫5", {"1234.5"}),
        ("49.90", {"49.9"}),
        ("2.0.1", {"2.0.1"}),
    ],
)
def test_separators_are_read_both_ways_only_where_both_are_possible(core: str, values: set[str]) -> None:
    """One value, or two where the spelling is open."""
    wanted = {Decimal(v) if v.count(".") < 2 else v for v in values}
    assert readings(core.replace("٬", "'")) == wanted


@given(number=st.integers(0, 10**9), script=st.sampled_from(DIGITS))
def test_a_number_in_any_digits_traces(number: int, script: str) -> None:
    """Digits of another script make the same number, and another number is caught in them."""
    written = "".join(script[int(c)] for c in str(number))
    other = "".join(script[int(c)] for c in str(number + 1))
    book = ledger(f"It weighs {number} so far")
    assert untraced(book, f"x {written} y") == []
    assert untraced(book, f"x {other} y") != []


@pytest.mark.parametrize(
    "brief, copy, kind",
    [
        ("20 pieces", "20% off", "percent"),
        ("20% wool", "20 pieces", "number"),
        ("49 €", "$49", "price"),
        ("49.90", "€49.90", "price"),
        ("240 g", "240 kg", "number"),
        ("21 November 2026", "22 November", "date"),
        ("2026-11-21", "November 21, 2027", "date"),
        ("see example.com", "see example.org", "url"),
        ("see example.com", "see elsewhere.zip/c?d=1", "url"),
        ("see example.com", "see shop.elsewhere.top:8080/c", "url"),
        ("E471 free", "E472 free", "number"),
        ("10 million cups", "10 cups", "number"),
    ],
)
def test_another_kind_value_or_currency_does_not_trace(brief: str, copy: str, kind: str) -> None:
    """Each invention is reported with its kind."""
    assert [k for k, _ in untraced(ledger(brief), copy)] == [kind]


@pytest.mark.parametrize(
    "brief, copy",
    [
        ("Price 1.234,50 €", "€1,234.50"),
        ("265.0 in SAR", "SAR 265"),
        ("240 g", "240g"),
        ("iPhone 15 128 GB", "iPhone 15, 128GB"),
        ("51x51 cm", "51 cm"),
        ("2-in-1", "2 in 1"),
        ("WD-40", "WD-40"),
        ("https://www.example.com/p/1?utm=x", "example.com/p/1"),
        ("21/11/2026", "21 November 2026"),
        ("10:30", "10:30"),
        ("opens at 9", "9:00"),
        ("price 49 €", "from 49"),
        ("write to me@example.com", "me@example.com"),
        ("+49 30 1234567", "+49 (30) 1234567"),
        ("three colours", "3 colours"),
        ("see elsewhere.zip/c", "https://elsewhere.zip/c"),
        ("sizes", "s.m.l/xl and/or w/o approx./ca. lid"),
    ],
)
def test_another_spelling_traces(brief: str, copy: str) -> None:
    """The same fact in another dress is no invention."""
    book = ledger(brief)
    assert untraced(book, copy) == []


@pytest.mark.parametrize(
    "tag, copy",
    [
        ("de", "Zwei Farben"),
        ("es", "tres colores"),
        ("fr", "vingt-cinq couleurs"),
        ("pl", "pięć kolorów"),
        ("ar", "ثلاثة ألوان"),
        ("hi", "तीन रंग"),
        ("ja", "三つの色"),
        ("zh-Hans", "三款颜色"),
    ],
)
def test_number_words_are_reported_as_such(tag: str, copy: str) -> None:
    """A spelled-out number from two upward is marked as spelled."""
    found = ledger("nothing", tag=tag).untraced(copy)
    assert [u.spelled for u in found] == [True]


@pytest.mark.parametrize(
    "tag, copy",
    [
        ("en", "One of a kind, first of all."),
        ("es", "Una taza, un momento."),
        ("de", "Ein Stuhl, eine Liebe."),
        ("fr", "Un neuf matin."),
        ("it", "Tu sei a casa."),
        ("hi", "कर दो"),
        ("zh-Hans", "第一步，十分好，千万别错过，三明治"),
        ("ja", "一つの心で、一番に。"),
    ],
)
def test_articles_and_figures_of_speech_are_not_numbers(tag: str, copy: str) -> None:
    """Words that mostly mean something else raise nothing."""
    assert ledger("nothing", tag=tag).untraced(copy) == []


@pytest.mark.parametrize(
    "tag, text, kind, value",
    [
        ("zh-Hans", "1.5万人", "number", "15000"),
        ("zh-Hans", "二十五元", "price", "25"),
        ("zh-Hans", "八折", "percent", "20"),
        ("ja", "2割引", "percent", "20"),
        ("hi", "₹12,34,567", "price", "1234567"),
        ("tr", "%25 indirim", "percent", "25"),
        ("en", "two hundred ways", "number", "200"),
        ("pl", "1 234,50 zł", "price", "1234.5"),
    ],
)
def test_local_forms_have_their_value(tag: str, text: str, kind: str, value: str) -> None:
    """Scales, numerals and signs of each language."""
    figure = Figures.of(tag).read(text)[0]
    assert figure.kind == kind
    assert Decimal(value) in figure.values


@given(st.text(max_size=80))
def test_any_text_can_be_entered_and_then_traces(text: str) -> None:
    """Whatever a brief holds, the same words in copy are no invention."""
    assert ledger(text).untraced(text) == []


@pytest.mark.parametrize(
    "tag, copy, value",
    [
        ("de", "Für fünfundzwanzig Gäste", 25),
        ("nl", "Voor vijfentwintig gasten", 25),
        ("it", "Per ventitré ospiti", 23),
        ("es", "Para veintidós personas", 22),
        ("pl", "Dla pięćdziesięciu gości", 50),
        ("pt-BR", "Para dezesseis pessoas", 16),
        ("ar", "خمسين ضيفا", 50),
        ("hi", "पच्चीस मेहमान", 25),
        ("en", "For twenty-five guests", 25),
    ],
)
def test_compound_number_words_have_their_value(tag: str, copy: str, value: int) -> None:
    """A figure in the brief covers the word, and another does not."""
    assert untraced(ledger(str(value), tag=tag), copy) == []
    assert len(untraced(ledger(str(value + 1), tag=tag), copy)) == 1


def test_what_is_remembered_of_figures_is_bounded() -> None:
    """Readings of ever new figures do not pile up."""
    assert readings.cache_info().maxsize is not None


def test_what_is_remembered_of_texts_is_bounded_and_says_the_same() -> None:
    """A text that was entered before adds the same again, and ever new ones do not pile up."""
    from copykit.brief import ledger as room

    long = "A desk, 120 cm wide, for 249 EUR until 3 May 2027. " * 8
    texts = (
        "249 EUR",
        "120x60 cm",
        "25 % off",
        "see www.example.com",
        "me@example.com",
        "+34 911 234 567",
        long,
    )
    assert ledger(*texts) == ledger(*texts)
    assert room._entry_kept.cache_info().maxsize is not None


def test_texts_of_one_length_are_kept_in_one_order() -> None:
    """What copy repeats whole is looked for in an order that hangs on the texts alone."""
    assert ledger("30 km", "20 cm", "1 l").verbatim == ledger("1 l", "20 cm", "30 km").verbatim


def test_every_sign_and_code_of_a_currency_is_found_alone() -> None:
    """A quick look before the exact one overlooks none of them."""
    known = load_json("figures.json")["currencies"]
    alone = [sign for sign in known if sign != "codes" and not sign[-1].isalpha()]
    for written in (*alone, *known["codes"]):
        assert Figures.of("en").currencies_in(f"all prices in {written} only"), written


@pytest.mark.parametrize("bait", ["1 May ", "1.1.2020 ", "2020-01-02 ", "1:30 ", "1 ", "1-2 ", "1 二 "])
@pytest.mark.parametrize("tag", ["en", "zh-Hans"])
def test_the_time_of_reading_figures_grows_with_the_text_alone(tag: str, bait: str) -> None:
    """
    Thousands of dates and times are read in a fraction of a second: none is held against all those before it.
    """
    text = bait * (20_000 // len(bait))
    Figures.of(tag).read(bait)
    began = time.process_time()
    assert Figures.of(tag).read(text)
    assert time.process_time() - began < 1.0
