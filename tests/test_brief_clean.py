"""Cleaning: markup and invisible characters go, every word stays, controls are refused."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.clean import plain_text, refuse_controls, sentence_case
from copykit.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Oak desk</p><p>120x60 cm</p>", "Oak desk\n120x60 cm"),
        ("Oak<br>desk<br/>for two", "Oak\ndesk\nfor two"),
        ("<ul><li>One</li><li>Two</li></ul>", "One\nTwo"),
        ("An <b>oak</b> <a href='https://x.example/?a=1'>desk</a>", "An oak desk"),
        ("<STRONG CLASS=x>Oak</STRONG> desk", "Oak desk"),
        ("<shop-widget id=3>Oak</shop-widget> <o:p></o:p>desk", "Oak desk"),
        ("Oak <!-- do not print --> desk", "Oak desk"),
        ("Oak<script>alert('x')</script> desk<style>p{color:red}</style>", "Oak desk"),
        ("Salt &amp; pepper&nbsp;mill, 5 &lt; 10", "Salt & pepper mill, 5 < 10"),
        ("Caf&#233; &#xE9;", "Café é"),
        ("&lt;p&gt;Oak&lt;/p&gt;&amp;nbsp;desk", "Oak\n desk".replace("\n ", "\n")),
        ("Oak\u200b desk\u00ad\ufeff", "Oak desk"),
        ("Desk \u202egnp.exe", "Desk gnp.exe"),
        ("  Oak \t  desk \r\n\r\n  oiled ", "Oak desk\noiled"),
        ("Cafe\u0301", "Café"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_markup_entities_and_invisible_characters_go(text: str, plain: str) -> None:
    """Blocks become lines, other tags vanish, entities become characters; joiners that letters need stay."""
    assert plain_text(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "Dear <Name>, a desk",
        "1 < 2 and 3 > 2",
        "I <3 oak",
        "see https://x.example/?id=1&copy=2&section=3",
        "R&D at AT&T",
        "a <script that never ends",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    """Angle brackets around no known element and ampersands without a semicolon are words of the text."""
    assert plain_text(text) == text


# Tags are invisible whether assigned (Cf) or not (Cn).
_TAGS = "".join(map(chr, range(0xE0000, 0xE0080)))
_SEEN = st.characters(exclude_categories=("Cs", "Cc", "Cf"), exclude_characters=_TAGS)


@given(st.text(alphabet=_SEEN, max_size=200))
def test_text_without_markup_keeps_every_character_but_spaces(text: str) -> None:
    """Where no tag or entity stands, only white space and the normal form change."""
    if "<" in text or "&" in text:
        return
    kept = "".join(plain_text(text).split())
    assert kept == "".join(unicodedata.normalize("NFC", text).split())


@given(st.text(max_size=300))
def test_cleaning_leaves_no_invisible_override_and_no_outer_space(text: str) -> None:
    """Whatever comes in: no bidi override, no zero-width space, no doubled or outer space comes out."""
    clean = plain_text(text)
    assert not set(clean) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff")
    assert clean == clean.strip()
    assert "  " not in clean


@pytest.mark.parametrize(
    "unit", ["<", "<a ", "<!--", "<script>", "<style>", "&", "&#1;", "&amp;", "<p>", "</", "\n "]
)
def test_a_bomb_of_markup_takes_linear_time(unit: str) -> None:
    """200,000 characters of the same opening end: a quadratic reading would take minutes."""
    started = time.process_time()
    plain_text(unit * (200_000 // len(unit)))
    assert time.process_time() - started < 30


@pytest.mark.parametrize("bad", ["\x00", "\x07", "\x0b", "\x1b", "\x7f", "\x85", "\x9f", "\ud800"])
def test_controls_and_halves_of_pairs_are_refused_with_their_place(bad: str) -> None:
    """The error names the field and the position."""
    with pytest.raises(InvalidRequest, match="position 4") as caught:
        refuse_controls("product_name", f"Oak {bad} desk")
    assert caught.value.field == "product_name"


def test_tabs_line_breaks_and_joined_emoji_are_no_controls() -> None:
    """What people type passes."""
    refuse_controls("product_name", "Oak\tdesk\r\nfor two 👩‍🍳")


@pytest.mark.parametrize(
    ("text", "cased"),
    [
        ("OAK DESK", "Oak desk"),
        ("OAK DESK 120X60 CM", "Oak desk 120X60 cm"),
        ("FÖRHÖJA", "FÖRHÖJA"),
        ("USB LED", "USB LED"),
        ("Oak DESK", "Oak DESK"),
        ("БОЛЬШОЙ СТОЛ", "Большой стол"),
        ("オーク材 デスク 机です", "オーク材 デスク 机です"),
    ],
)
def test_shouted_text_of_two_words_is_calmed(text: str, cased: str) -> None:
    """One word, short words and scripts without capitals stay as they are."""
    assert sentence_case(text) == cased


def test_where_nouns_have_capitals_words_keep_theirs() -> None:
    """German: nobody can tell the nouns of a shouted line, so all words but the small ones keep a capital."""
    assert sentence_case("SCHREIBTISCH AUS EICHE", frozenset({"aus"})) == "Schreibtisch aus Eiche"


@given(st.text(max_size=60) | st.text("aeé\u0301 \u00a0<&-\u212b", max_size=20))
def test_texts_that_need_nothing_and_texts_that_do_come_out_alike(text: str) -> None:
    """A line break at the end takes the long way, and changes nothing."""
    assert plain_text(text + "\n") == plain_text(text)
