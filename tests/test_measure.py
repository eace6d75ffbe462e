"""Every counting unit counts as its platform does: known cases, properties, and X against its own library."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.catalog import Limit
from copykit.drafts.measure import emoji_spans, exceeds, measure, measure_px, px_size, sms, units
from copykit.drafts.speech import spoken_units
from copykit.drafts.x_length import urls, weighted_length
from copykit.errors import InvalidRequest

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
FLAG = "🇩🇪"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
CODER = "👩🏽\u200d💻"

KNOWN = {
    "cp": [
        ("", 0), ("abc", 3), ("café", 4), ("cafe\u0301", 4), ("日本語", 3), ("😀", 1), (FAMILY, 7),
        (FLAG, 2),
        ("a\nb", 3), ("ﬁ", 1), ("한국", 2), ("\u1112\u1161\u11ab", 1), ("e\u0323\u0302", 1), ("क्ष", 3),
        ("\u212b", 1),
    ],
    "u16": [
        ("", 0), ("abc", 3), ("café", 4), ("cafe\u0301", 5), ("日本語", 3), ("😀", 2), (FAMILY, 11),
        (FLAG, 4),
        ("𠮷", 2), ("❤\ufe0f", 2), ("1\ufe0f\u20e3", 3), ("👍🏽", 4), ("€", 1), ("a😀b", 4),
    ],
    "u8": [
        ("", 0), ("abc", 3), ("café", 5), ("cafe\u0301", 6), ("日本語", 9), ("😀", 4), (FAMILY, 25),
        (FLAG, 8),
        ("€", 3), ("Ж", 2), ("א", 2), ("ไทย", 9), ("…", 3), ("\u00a0", 2),
    ],
    "gr": [
        ("", 0), ("abc", 3), ("café", 4), ("cafe\u0301", 4), ("日本語", 3), ("😀", 1), (FAMILY, 1),
        (FLAG, 1),
        (FLAG + "🇫🇷", 2), (CODER, 1), (ENGLAND, 1), ("1\ufe0f\u20e3", 1), ("\r\n", 1), ("a\r\nb", 3),
        ("नि", 1),
        ("กำ", 1), ("\u1112\u1161\u11ab", 1), ("e\u0323\u0302", 1), ("❤\ufe0f❤", 2), ("“ok” — да…", 10),
    ],
    "dw": [
        ("", 0), ("abc", 3), ("café", 4), ("日本語", 6), ("한국", 4), ("中文，", 6), ("ｱ", 1), ("Ａ", 2),
        ("😀", 2),
        ("“a”", 3), ("…", 1), ("€", 1), ("ไทย", 3), ("Ж", 1), ("\u3000", 2), ("❤\ufe0f", 2), ("a日b", 4),
    ],
    "xw": [
        ("", 0), ("abc", 3), ("café", 4), ("cafe\u0301", 4), ("日本語", 6), ("😀", 2), (FAMILY, 2),
        (FLAG, 2), (CODER, 2),
        ("€", 2), ("₹", 2), ("™", 2), ("…", 2), ("•", 2), ("→", 2), ("\u202f", 2), ("\u00a0", 1),
        ("–—", 2),
        ("‘’“”", 4), ("Việt", 5), ("đường", 6), ("ไทย", 3), ("हिन्दी", 6), ("العربية", 7), ("Жизнь", 5),
        ("https://example.com/" + "a" * 200, 23), ("example.com", 23), ("see example.com.", 28),
        ("e.g. this", 9),
        ("me@example.com", 14), ("v2.foobarx", 10), ("日本語example.com", 29),
        ("http://a.de, http://b.de", 48),
        ("1\ufe0f\u20e3", 2), ("©", 1), ("©\ufe0f", 2), ("https://t.co/abcdefghij/x", 25),
    ],
    "threads": [
        ("", 0), ("abc", 3), ("café", 4), ("日本語", 3), ("😀", 4), (FAMILY, 25), (FLAG, 8),
        ("❤\ufe0f", 6), ("❤", 1),
        ("©", 1), ("1", 1), ("1\ufe0f\u20e3", 7), ("👍🏽", 8), ("Hi 😀!", 8), (ENGLAND, 28),
        ("😀\ufe0e", 2),
    ],
    "sms": [
        ("", 0), ("a", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3),
        ("é" * 160, 1),
        ("á" + "a" * 69, 1), ("á" + "a" * 70, 2), ("€" * 80, 1), ("€" * 81, 2), ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("á" * 134, 2), ("á" * 135, 3), ("a" * 69 + "’", 1), ("a" * 70 + "’", 2), ("ç" * 71, 2),
        ("Ç" * 160, 1),
    ],
    "w": [
        ("", 0), ("one", 1), ("one two", 2), ("  one   two ", 2), ("one\ntwo", 2), ("don't stop", 2),
        ("a-b c", 2),
        ("l’offerta è qui", 3), ("Жизнь идёт", 2), ("한국 음식", 2), ("العربية هنا", 2), ("हिन्दी में", 2),
        ("日本語", 2), ("中文文案", 3), ("iPhone を買う", 3), ("ภาษาไทย", 2),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "text", "expected"), [(u, t, n) for u, rows in KNOWN.items() for t, n in rows]
)
def test_known_cases(unit, text, expected):
    """
    Each unit gives these figures; the traps of every platform's own documentation are among them.
    """
    assert measure(text, unit) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("", "en", 0), ("hello world", "en", 2), ("9", "en", 1), ("15", "en", 1), ("21", "en", 2),
        ("1,250", "en", 5),
        ("2.5", "en", 3), ("2024", "en", 3), ("2005", "en", 3), ("1999", "en", 3), ("50%", "en", 2),
        ("$9", "en", 2),
        ("0800123456", "en", 10), ("example.com/sale", "en", 5), ("https://www.example.com", "en", 3),
        ("Hallo – Welt", "de", 2), ("東京", "ja", 2), ("5,000円", "ja", 3), ("你好", "zh-Hans", 2), ("안녕",
        "ko", 2),
        ("xin chào", "vi", 2), ("0", "en", 1), ("Rock & roll", "en", 3), ("٢١", "ar", 2),
    ],
)  # fmt: skip
def test_what_is_spoken(text, language, expected):
    """
    Numbers, addresses and marks count as the words they are read as.
    """
    assert spoken_units(text, language) == expected


@pytest.mark.parametrize(
    ("language", "words", "seconds"),
    [("en", 75, 30), ("es", 26, 10), ("fr", 25, 10), ("pt-BR", 25, 10), ("de", 21, 10), ("fi", 17, 10),
     ("tr", 17, 10), ("ar", 20, 10), ("hi", 22, 10), ("id", 22, 10), ("vi", 30, 10), ("ru", 21, 10)],
)  # fmt: skip
def test_speaking_rates(language, words, seconds):
    """
    Thirty seconds of English hold 75 words; other languages have rates of their own.
    """
    assert measure("so " * words, "s", language=language) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "language", "seconds"),
    [("あ" * 55, "ja", 10), ("中" * 85, "zh-Hans", 20), ("가" * 95, "ko", 20), ("ก" * 90, "th", 10)],
)
def test_speaking_rates_of_characters(text, language, seconds):
    """
    Japanese and Chinese are timed by characters, Korean and Thai by syllables.
    """
    assert measure(text, "s", language=language) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size", "width", "estimated"),
    [
        ("", 20, 0, False), ("A", 20, 1366 * 20 / 2048, False), ("A", 14, 1366 * 14 / 2048, False),
        ("i", 20, 455 * 20 / 2048, False), ("0123456789", 20, 1139 * 200 / 2048, False),
        ("é", 20, 1139 * 20 / 2048, False),
        ("e\u0301", 20, 1139 * 20 / 2048, False), ("Ж", 20, 1891 * 20 / 2048, False),
        ("Ω", 20, 1531 * 20 / 2048, False),
        ("日本", 20, 40, False), ("한", 14, 14, False), ("Ａ", 20, 20, False), ("\u200b", 20, 0, False),
        ("ế", 20, 1139 * 20 / 2048, False), ("نص", 20, 22, True), ("हि", 20, 17, True),
        ("😀", 20, 25, True),
    ],
)  # fmt: skip
def test_pixel_widths(text, size, width, estimated):
    """
    Latin, Greek and Cyrillic have the font's own widths, full-width characters one em, the rest estimates.
    """
    found = measure_px(text, size)
    assert found.width == pytest.approx(width, abs=0.03)
    assert found.estimated is estimated


def test_pixels_of_a_field_depend_on_its_type_size():
    """
    A snippet is set smaller than a title, so the same words are narrower there.
    """
    assert (px_size("title_tag"), px_size("meta_description")) == (20, 14)
    assert measure("Oak bench", "px", size_px=14) == pytest.approx(measure("Oak bench", "px") * 0.7)


@pytest.mark.parametrize(
    ("text", "encoding", "units_used", "per_segment"),
    [
        ("a" * 152 + "€" + "b" * 8, "gsm7", 162, (152, 10)),
        ("€" * 153, "gsm7", 306, (152, 152, 2)),
        ("á" * 66 + "😀" + "á" * 10, "ucs2", 78, (66, 12)),
        ("^{}[]~|\\", "gsm7", 16, (16,)),
        ("line\nbreak\f", "gsm7", 12, (12,)),
        ("a" * 153 * 2 + "a", "gsm7", 307, (153, 153, 1)),
        ("“curly”", "ucs2", 7, (7,)),
        ("", "gsm7", 0, ()),
    ],
)
def test_text_messages_in_segments(text, encoding, units_used, per_segment):
    """
    An escape pair or a surrogate pair never straddles two segments, so a segment may stay one unit short.
    """
    found = sms(text)
    assert (found.encoding, found.units, found.per_segment) == (encoding, units_used, per_segment)
    assert found.segments == len(per_segment)


@pytest.mark.parametrize(
    "text", ["á à ã ç", "ğ ı ş", "ł ą", "привет", "ελλάδα", "日本", "שלום", "…", "\u00a0", "–", "’"]
)
def test_letters_that_halve_a_text_message(text):
    """
    One accent, curly quote or dash outside the GSM alphabet turns the whole message into UCS-2.
    """
    assert sms("Sale today. " + text).encoding == "ucs2"


@pytest.mark.parametrize("text", ["Grüße aus Köln ß", "Ærø på", "é è ù ì ò ñ ü à", "£ ¥ $ @ §", "ΔΦΓΛΩΠΨΣΘΞ"])
def test_letters_that_stay_in_the_gsm_alphabet(text):
    """
    German, Danish and the letters of the GSM alphabet leave 160 characters to a message.
    """
    assert sms(text).encoding == "gsm7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("😀", 2), ("❤\ufe0f", 2), (FAMILY, 2), (FLAG, 2), ("a😀日", 5), ("☀\ufe0f x", 4), ("plain", 5)],
)
def test_microsoft_counts_every_emoji_twice(text, expected):
    """
    With `emoji_double` a whole emoji sequence is two wide, whatever its parts.
    """
    assert measure(text, "dw", emoji_double=True) == expected


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", []), ("a1#*", []), ("© ™ ❤ ↔", []), ("©\ufe0f", [(0, 2)]), ("x😀y😀", [(1, 2), (3, 4)]),
        (FAMILY + "!", [(0, 7)]), (FLAG + "🇫🇷", [(0, 2), (2, 4)]), ("1\ufe0f\u20e3", [(0, 3)]),
        ("❤\u200d🔥", [(0, 3)]),
        ("🏳\ufe0f\u200d🌈", [(0, 4)]), ("😀\ufe0e", []), (CODER, [(0, 4)]), ("日本", []),
    ],
)  # fmt: skip
def test_where_emoji_are(text, spans):
    """
    A sequence is one emoji; a character that is text by default needs the selector to be one.
    """
    assert emoji_spans(text) == spans


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://example.com/a?b=1.", ["https://example.com/a?b=1"]),
        ("example.com/a(b)", ["example.com/a(b)"]),
        ("a.b", []), ("file.txt", []), ("me@example.com", []), ("#example.com", []),
        ("$example.com", []),
        ("пример.рф", []), ("https://пример.рф/путь", ["https://пример.рф/путь"]),
        ("x.example.co.uk", ["x.example.co.uk"]),
        ("x.a_b.com", []), ("x.a_b.com.de", ["b.com.de"]),
        ("a." * 200 + "com b.de", ["a." * 200 + "com", "b.de"]),
        ("a.co/(b)(c)!", ["a.co/(b)(c)"]), ("a.co/(b)!(c)d!", ["a.co/(b)!(c)d"]), ("a.co/b(c(d)e).", ["a.co/b(c(d)e)"]),
        ("q" * 400 + ".com/a http://b.de", ["http://b.de"]), ("a.de 😀 b.de", ["a.de", "b.de"]),
        ("example.comx", []), ("EXAMPLE.COM", ["EXAMPLE.COM"]), ("-example.com", []),
        ("😀example.com", ["example.com"]),
        ("http://localhost", []), ("example.com:8080/a b", ["example.com:8080/a"]),
        ("a.com, b.org", ["a.com", "b.org"]),
    ],
)  # fmt: skip
def test_what_x_takes_for_a_link(text, links):
    """
    Bare domains with a known ending are links to X, addresses, tags and file names are not.
    """
    assert [text[a:b] for a, b in urls(text)] == links


def test_unknown_units_are_refused_with_the_nearest():
    """
    The message of an unknown unit names the unit that was probably meant.
    """
    with pytest.raises(InvalidRequest, match=r"u61.*nearest: u16"):
        measure("a", "u61")


def test_there_are_eleven_units():
    """
    The units of the catalogue are exactly these.
    """
    assert set(units()) == {"cp", "u16", "u8", "gr", "dw", "xw", "threads", "sms", "px", "w", "s"}


def limit(unit, hard, *, emoji_double=False):
    """Give a limit with this bound and nothing else."""
    return Limit(unit, hard, None, None, "A", "S0", "2026", "reject", None, (), (), "", emoji_double)


@pytest.mark.parametrize("unit", ["cp", "u16", "u8", "gr", "dw", "xw", "threads", "w"])
def test_a_limit_is_inclusive(unit):
    """
    A text of exactly the limit fits; one more is reported with its measure.
    """
    word = "a " * 10 if unit == "w" else "a" * 10
    assert exceeds(word, limit(unit, 10)) is None
    assert exceeds(word + "b", limit(unit, 10)) == 11
    assert exceeds(word * 100, limit(unit, None)) is None


def test_limits_use_what_they_name():
    """
    The emoji rule, the language and the type size of a limit's field change what exceeds it.
    """
    heart = "☀\ufe0f" + "a" * 28
    assert exceeds(FAMILY + "a" * 28, limit("dw", 30, emoji_double=True)) is None
    assert exceeds(FAMILY + "a" * 28, limit("dw", 30)) == 39
    assert exceeds(heart, limit("dw", 29)) == 30
    assert exceeds("so " * 30, limit("s", 12), "en") is None
    assert exceeds("so " * 30, limit("s", 12), "fi") == pytest.approx(30 / 1.7)
    wide = "W" * 60
    assert exceeds(wide, limit("px", 960), field="title_tag") is not None
    assert exceeds(wide, limit("px", 960), field="meta_description") is None


# --- properties ---------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["a", "Hello ", "é", "e\u0301", "日", "한", "\u1112\u1161", "ไ", "ो", "क",
    "😀", FAMILY, FLAG, CODER, ENGLAND, "❤\ufe0f",
     "1\ufe0f\u20e3", "€", "…", "\u202f", "ế", "\r", "\n", " ", "\u200d", "\ufe0f", "^", "Ａ", "ｱ",
     "\U0002a6d6", "."]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40)


@given(TEXTS, TEXTS)
def test_code_units_add_up(first, second):
    """
    UTF-16, UTF-8 and display width of two texts are the sum of each.
    """
    for unit in ("u16", "u8", "dw"):
        assert measure(first + second, unit) == measure(first, unit) + measure(second, unit)


@given(TEXTS, TEXTS)
def test_words_add_up_over_a_line_break(first, second):
    """
    Space-delimited words of two lines are the sum of both.
    """
    if not any("\u0e00" <= c <= "\u0e7f" or c > "\u2fff" for c in first + second):
        assert measure(f"{first}\n{second}", "w") == measure(first, "w") + measure(second, "w")


@given(TEXTS, st.sampled_from(["a", " b", "日", "é"]))
def test_more_text_is_never_shorter(text, more):
    """
    Appending a letter never lowers any count of characters, bytes or segments.
    """
    for unit in ("cp", "u16", "u8", "gr", "dw", "threads", "sms", "w"):
        assert measure(text + more, unit) >= measure(text, unit)


@given(TEXTS)
def test_units_that_normalise_ignore_the_form(text):
    """
    Code points and X's weights are the same for composed and decomposed text.
    """
    for unit in ("cp", "xw"):
        assert measure(text, unit) == measure(unicodedata.normalize("NFC", text), unit)
        assert measure(unicodedata.normalize("NFD", text), unit) == measure(text, unit)


@given(TEXTS)
def test_bounds_between_units(text):
    """
    Graphemes never exceed code points, widths twice their number, UTF-8 bytes four times it.
    """
    points = len(text)
    assert measure(text, "gr") <= points <= measure(text, "u16") <= 2 * points
    assert points <= measure(text, "dw") <= 2 * points
    assert points <= measure(text, "threads") <= measure(text, "u8") <= 4 * points


@given(TEXTS)
def test_graphemes_agree_with_the_segmentation_without_shortcut(text):
    """
    The shortcut for plain text gives what the full algorithm gives.
    """
    import regex

    assert measure(text, "gr") == len(regex.findall(r"\X", text))


@given(TEXTS)
def test_display_width_is_the_sum_over_characters(text):
    """
    The shortcut for narrow text gives what the character table gives.
    """
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    assert measure(text, "dw") == len(text) + wide


GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)


def slow_segments(text):
    """Fill segments one character at a time, straight from the rule."""
    pairs = set("^{}\\[~]|€\f")
    if all(c in GSM or c in pairs for c in text):
        sizes, single, part = [2 if c in pairs else 1 for c in text], 160, 153
    else:
        sizes, single, part = [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67
    if sum(sizes) <= single:
        return [sum(sizes)] if sizes else []
    segments = [[]]
    for size in sizes:
        if sum(segments[-1]) + size > part:
            segments.append([])
        segments[-1].append(size)
    return [sum(segment) for segment in segments]


@given(
    st.text(st.sampled_from(GSM + "^€[😀á"), max_size=400) | st.text(st.sampled_from("ab€{"), max_size=500)
)
def test_segments_agree_with_filling_them_by_hand(text):
    """
    Segment by segment, the count is what an independent slow filling gives.
    """
    assert list(sms(text).per_segment) == slow_segments(text)


@given(st.text(st.characters(max_codepoint=0x4FF), max_size=60))
def test_pixels_add_up(text):
    """
    Without kerning a line is as wide as its characters, whatever their order.
    """
    composed = unicodedata.normalize("NFC", text)
    total = sum(measure_px(c).width for c in composed)
    assert measure_px(composed).width == pytest.approx(total)
    assert measure_px(composed[::-1]).width == pytest.approx(total)


@given(st.text(max_size=80))
def test_any_text_can_be_measured(text):
    """
    No unit refuses any text, and no length is negative.
    """
    for unit in units():
        for language in ("en", "ja", "ko", "th"):
            assert measure(text, unit, language=language) >= 0


@pytest.mark.parametrize(
    "text", ["a-" * 50_000 + ".com", "a." * 50_000, "日本" * 50_000 + ".com", "x.co/" + "(" * 90_000]
)
@pytest.mark.timeout(30)
def test_hostile_texts_are_measured_too(text):
    """
    No text makes the search for links backtrack without bound.
    """
    assert measure(text, "xw") > 25_000


HOSTILE = [
    "a.", "q.", "v1.", ".", "a..", "com.", ".com", "a.com", "x_b.com.", "a-.com", "q-" * 50 + ".", "@a.com", "日.", "日.com",
    "a." * 63 + "com ", ("a" * 30 + ".") * 100 + "日.com ", "xn--" + ("a" * 30 + ".") * 100 + "日.com ", "http://", "http://a.",
    "a.co ", "a.co/(", "a.co?!", "a.co/@", "a.co 😀 ", "🇩", "👩\u200d", "e\u0301", "\u0301", "1.000,", "(a)", "(", " ", "\n",
    "".join(map(chr, range(0x4E00, 0x4E32))) + ".com ", "".join(map(chr, range(0x4E00, 0x5E00))) + ".com ",
]  # fmt: skip


@pytest.mark.parametrize("unit", sorted(units()))
def test_the_time_of_a_measuring_grows_with_the_text_alone(unit):
    """
    Twenty thousand characters take a fraction of a second in each unit, whatever they repeat and whatever stands around it.
    """
    texts = [(head + bait * (20_000 // len(bait)))[:20_000] + tail
             for bait in HOSTILE for head, tail in (("", ""), ("a.", ".com"), ("b.co/", "日"), ("1", "1"))]  # fmt: skip
    measure("".join(HOSTILE), unit)
    slow = []
    for text in texts:
        weighted_length.cache_clear()
        began = time.process_time()
        measure(text, unit)
        took_s = time.process_time() - began
        if took_s > 1.0:
            slow.append((text[:20], text[-5:], took_s))
    assert slow == []


def test_a_row_of_flags_is_counted_in_pairs():
    """
    Two regional letters are one cluster, an odd one at the end is another, and what stands before does not shift the pairs.
    """
    assert [measure(text, "gr") for text in ("🇩🇪" * 9_000, "🇩" * 7, "a" + "🇩" * 4, "\u200d" + "🇩" * 5)] == [
        9_000,
        4,
        3,
        4,
    ]


def test_numbers_beyond_all_names_are_spoken_figure_by_figure():
    """
    A number of thousands of digits is counted like a code, in groups or not, in every language.
    """
    for language in ("en", "de", "vi", "ja"):
        assert spoken_units("1" + ".000" * 2_000, language) >= 2_400


def test_links_keep_their_weight_whatever_their_length():
    """
    A path of thousands of characters still weighs 23.
    """
    assert measure("https://example.com/" + "a" * 3000, "xw") == 23
    assert measure("example.com/" + "a" * 3000 + " b", "xw") == 25


def test_half_of_a_surrogate_pair_is_measured_too():
    """
    A lone surrogate, as broken JSON brings it, is counted and not refused.
    """
    for unit in units():
        assert measure("a\ud83d.com b", unit) > 0


# --- X's own library ----------------------------------------------------------------------------------

_PIECES = [
    "hello ", "World", "café", "cafe\u0301", " ", "\n", "日本語", "テスト。", "한국어 ", "ไทย", "العربية",
    "עברית ", "हिन्दी",
    "বাংলা", "Việt Nam ", "đường ", "ế", "Ünïcode", "русский ", "ελληνικά", "https://example.com",
    "example.com",
    "http://example.com/path?x=1&y=2#a", "www.example.co.uk/a(b)c", "shop.de", "e.g.", "U.S.A", "3.5",
    "a_b.com",
    "a-b.com", "-x.com", "日本.jp", "日本語example.com", "https://日本語.jp/パス", "http://t.co/abc123",
    "https://t.co/abc/def",
    "https://t.co/" + "a" * 45, "http://localhost:8000", "https://example.com:8080/a",
    "ftp://example.com", "@user.com",
    "me@example.com", "#tag.com", "$AAPL.com", "＠user.net", "пример.рф", "https://пример.рф/путь",
    "ПРИМЕР.РФ",
    "xn--80ak6aa92e.com", "example.COM", "Example.Com/ÜBER", "bücher.de", "straße.de/ß", "例え.テスト",
    "a.भारतम्", "a.भारत",
    "ınfo.ınfo", "a.ınfo", "s.com/ι", "http://example.com/(a)", "http://example.com/a.",
    "http://example.com/a,b!",
    "http://example.com/@user/", "example.com?q=1",
    "http://ex.com/a_(b_(c))", '"quoted.com"', "(site.com)", "[site.org]",
    "site.com,other.net", "site.com日本other.net/path", "a.com@b", "b.com+c", "x.com-", "😀.com",
    "😀example.com", "a😀b.com",
    "https://😀.la", "😀", FAMILY, FLAG, "🇩", "1\ufe0f\u20e3", "❤\ufe0f", "❤", "❤\ufe0e", "©", "®", "™",
    "™\ufe0f", "👍🏽",
    CODER, "🧑\u200d💻", ENGLAND, "🏳\ufe0f\u200d🌈", "🏴\u200d☠\ufe0f", "🫠", "\u200d", "\ufe0f", "\u20e3",
    "\u200b", "\u202f",
    "\xa0", "—", "–", "‘", "’", "“", "”", "…", "•", "→", "€", "₹", "£", "‼\ufe0f", "〰\ufe0f",
    "\u212b", "\u1e9b\u0323",
    "\ufeff", "\u202a", "़", "𝒳", "𠮷", "a\u0345", "ﬁ", "!", "?", ".", ",", "-", "_", "/", ":", "//",
    "@", "#", "&", "'",
    '"', "(", ")", ":8000",
]  # fmt: skip
_ORACLE = """
const {parseTweet} = require(process.argv[1]);
const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(texts.map(text => parseTweet(text).weightedLength)));
"""


def twitter_text():
    """Find node and the library; skip with the reason where one is missing."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    roots = [os.environ.get("COPYKIT_TEST_TWITTER_TEXT"), str(Path(__file__).parents[1])]
    npm = shutil.which("npm")
    if npm is not None and not roots[0]:
        found = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False)
        roots.append(str(Path(found.stdout.strip()).parent) if found.returncode == 0 else None)
    for root in filter(None, roots):
        for package in (Path(root, "node_modules", "twitter-text"), Path(root, "twitter-text")):
            if (package / "package.json").is_file():
                version = json.loads((package / "package.json").read_text())["version"]
                if version != "3.1.0":
                    pytest.skip(f"twitter-text {version} is installed, 3.1.0 is the reference")
                return node, str(package)
    pytest.skip(
        "npm package twitter-text@3.1.0 is not installed; COPYKIT_TEST_TWITTER_TEXT may name its folder"
    )


@pytest.mark.parametrize("seed", range(3))
def test_x_weights_of_hostile_texts_agree_with_its_own_library(seed):
    """
    Chains of labels, half links and brackets without end weigh what twitter-text 3.1.0 says, too.
    """
    rnd = random.Random(seed)
    parts = [
        "a", "é", "日", "😀", "-", "_", ".", "..", "com", ".com", ".de", "-.com", "_.com", "x_b.com", "http://", "/", "(",
        ")", "?", "@", "#", " ", "xn--", "。", "рф", ":80", "!", "t.co/ab", "\u202a", "\ufeff", "日.com", "a_b", "a." * 90,
    ]  # fmt: skip
    texts = ["".join(rnd.choices(parts, k=rnd.choice([3, 6, 12, 40]))) for _ in range(1_500)]
    texts += ["".join(rnd.choices(parts, k=2)) * rnd.randrange(10, 40) for _ in range(60)]
    agree_with_its_own_library(texts)


@pytest.mark.parametrize("seed", range(3))
def test_x_weights_agree_with_its_own_library(seed):
    """
    Three thousand texts a seed, of all scripts, emoji, links and marks, weigh what twitter-text 3.1.0 says.
    """
    rnd = random.Random(seed)

    def piece():
        if rnd.random() < 0.93:
            return rnd.choice(_PIECES)
        low, high = rnd.choice(
            [(32, 0x250), (0x250, 0x3100), (0x3100, 0xD7FF), (0xE000, 0xFFFF), (0x1F300, 0x1FAFF)]
        )
        return chr(rnd.randrange(low, high))

    texts = ["".join(piece() for _ in range(rnd.choice([1, 2, 3, 4, 6, 8, 12]))) for _ in range(3000)]
    agree_with_its_own_library(texts)


def agree_with_its_own_library(texts):
    """Fail with the texts that weigh otherwise than twitter-text says; skip where it is not installed."""
    node, package = twitter_text()
    answer = subprocess.run(
        [node, "-e", _ORACLE, package], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    expected = json.loads(answer.stdout)
    wrong = [(t, measure(t, "xw"), n) for t, n in zip(texts, expected, strict=True) if measure(t, "xw") != n]
    assert wrong == []
