"""Facts about local repair: it mends marks and residue, never words, and never twice."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import briefs as b
from copykit.drafts.accept import judge_each
from copykit.drafts.check import Checker
from copykit.drafts.draft import Draft
from copykit.drafts.repair import apply_marks, repair
from copykit.models import Part


def mended(text: str, tag: str = "en", **more: object) -> str:
    brief = b.brief(tag, **more)  # type: ignore[arg-type]
    draft = Draft({"text": text})
    result, _ = repair(draft, Checker(brief).draft(draft), brief)
    value = result.fields["text"]
    assert isinstance(value, str)
    return value


CASES = [
    ("en", "A lamp  for the desk , here", "A lamp for the desk, here"),
    ("en", " A lamp", "A lamp"),
    ("en", "Look here!!", "Look here!"),
    ("en", "Look! Here! Now!", "Look! Here. Now."),
    ("en", "Look here...", "Look here…"),
    ("en", "Look here..", "Look here."),
    ("en", "**A lamp** for the desk", "A lamp for the desk"),
    ("en", "```\nA lamp\n```", "A lamp"),
    ("en", "Headline 1: A lamp", "A lamp"),
    ("en", "“A lamp for the desk”", "A lamp for the desk"),
    ("en", "A cafe\u0301 lamp", "A café lamp"),
    ("en", "A la\u200bmp\ufeff", "A lamp"),
    ("en", "A 𝐥𝐚𝐦𝐩 here", "A lamp here"),
    ("es-ES", "Buscas una mesa? Mírala!", "¿Buscas una mesa? ¡Mírala!"),
    ("es-ES", "Dime, ¿la ves? Es así!", "Dime, ¿la ves? ¡Es así!"),
    ("fr-FR", "Une table? En bref: oui !", "Une table\u202f? En bref\u00a0: oui\u202f!"),
    ("fr-FR", "« Lumo » arrive ?", "«\u00a0Lumo\u00a0» arrive\u202f?"),
    ("fr-CA", "Une table ? En bref: oui", "Une table? En bref\u00a0: oui"),
    ("de", 'Der Tisch "Lumo" ist da', "Der Tisch „Lumo“ ist da"),
    ("pl", 'Stół "Lumo" już jest', "Stół „Lumo” już jest"),
    ("ar", "هل تبحث عن طاولة? نعم, هنا", "هل تبحث عن طاولة؟ نعم، هنا"),
    ("ja", "小さな 机です.見てください!", "小さな机です。見てください！"),
    ("zh-Hans", "看看这张桌子,很小!!", "看看这张桌子，很小！"),
    ("ja", "小麦 、食塩 。", "小麦、食塩。"),
    ("zh-Hans", "麦芽糖， 蔗糖(E471), 盐 。", "麦芽糖，蔗糖（E471），盐。"),
    ("zh-Hans", "香料(柠檬, AK 糖)。 #糖", "香料（柠檬，AK 糖）。 #糖"),
    ("ko", "책상을 보세요。", "책상을 보세요."),
    ("el", "Θέλετε τραπέζι?", "Θέλετε τραπέζι;"),
    ("ro", "Masa aceasta şi ţesătura", "Masa aceasta și țesătura"),
]


@pytest.mark.parametrize(("tag", "bad", "good"), CASES)
def test_marks_are_mended(tag: str, bad: str, good: str) -> None:
    """Each fault of the surface is mended as the language writes it."""
    assert mended(bad, tag) == good


@pytest.mark.parametrize(
    ("tag", "name", "text"),
    [
        ("ja", "日清ラ王 たれたっぷり 冷し中華", "{} です.どうぞ"),
        ("ja", "どん兵衛 鬼かき揚げ", "どん兵衛 鬼かき揚げ!!"),
        ("zh-Hans", "ＡＢ洗发水", "看看{},很好"),
        ("en", "Wow!! Bar", "Wow!! Bar, here.."),
        ("es-ES", "¿Y tú? Café", "Mira ¿Y tú? Café!"),
        ("es-ES", "Ringo Goal!", "Ringo Goal! es así?"),
        ("fr-FR", "Hey coco! Bar", "Hey coco! Bar: ici !"),
        ("ja", "う！まい棒", "う！まい棒！どうぞ！"),
    ],
)
def test_the_briefs_own_name_is_never_mended(tag: str, name: str, text: str) -> None:
    """Spaces, marks and forms inside a name stay as the caller writes them; what stands beside it is mended."""
    text = text.format(name)
    after = mended(text, tag, name=name)
    assert name in after
    assert after != text
    assert mended(after, tag, name=name) == after


@pytest.mark.parametrize(
    "text", ["A lamp for the desk.", "Look here!", "See https://a.example/b?c=d", "Open 9:30"]
)
def test_good_text_stays_byte_for_byte(text: str) -> None:
    """A text without a finding is not touched, and no repair is reported."""
    brief = b.brief(source="https://a.example/b?c=d 9:30")
    draft = Draft({"text": text})
    result, repairs = repair(draft, Checker(brief).draft(draft), brief)
    assert result is draft
    assert repairs == []


def test_links_survive_every_mend() -> None:
    """Question marks, colons and dots of an address are none of the sentence."""
    text = "Mira https://a.example/x?y=1!! Te gusta?"
    assert (
        mended(text, "es-ES", source="https://a.example/x?y=1") == "¡Mira https://a.example/x?y=1! ¿Te gusta?"
    )
    assert mended("Voir https://a.example/x?y=1: ici ?", "fr-FR").startswith("Voir https://a.example/x?y=1")


def test_too_long_text_stays_whole() -> None:
    """A text over its limit is mended in its marks only, and stays reported as too long."""
    place = b.place(b.field("text", "body", b.limit(10)))
    brief = b.brief(placement=place)
    draft = Draft({"text": "A lamp  for the desk"})
    result, _ = repair(draft, Checker(brief).draft(draft), brief)
    assert result.fields["text"] == "A lamp for the desk"
    assert "M-01" in {v.rule for v in Checker(brief).draft(result)}


def test_mend_never_pushes_a_text_over_its_limit() -> None:
    """A no-break space that would not fit is left out."""
    place = b.place(b.field("text", "body", b.limit(10)))
    assert mended("Une table?", "fr-FR", placement=place) == "Une table?"


def test_surplus_hashtags_go_whole_and_are_reported() -> None:
    """The last tags of the closing block go, tags inside a sentence stay."""
    brief = b.brief(placement=b.place(hashtags=b.policy(2)))
    draft = Draft({"text": "A #lamp for you. #oak #linen #desk"})
    result, repairs = repair(draft, Checker(brief).draft(draft), brief)
    assert result.fields["text"] == "A #lamp for you. #oak"
    assert [r.how for r in repairs] == ["dropped #desk", "dropped #linen"]
    assert {r.rule for r in repairs} == {"M-22"}


def test_repeated_items_go_while_the_field_keeps_its_minimum() -> None:
    """An equal item is dropped and reported; never below the least number of items."""
    place = b.place(b.field("lines", "headline", count=(2, 5)))
    brief = b.brief(placement=place)
    draft = Draft({"lines": ["See it", "See it.", "See it"]})
    result, repairs = repair(draft, Checker(brief).draft(draft), brief)
    assert result.fields["lines"] == ["See it", "See it"]
    assert [r.rule for r in repairs] == ["M-12"]


def test_a_status_is_given_of_fields_that_are_there_or_have_to_be() -> None:
    """An optional field that was not filled is neither ok nor anything else; a missing one is rejected."""
    needed, link, label = b.field(), b.field("link", "url", count=(0, 1)), b.field("label", count=(0, 1))
    desk = b.brief(placement=b.place(needed, link, label), source="An oak desk.")
    drafts = [Draft({"text": "An oak desk.", "label": "Oak."}), Draft({})]
    full, empty = (judged.variant for judged in judge_each(drafts, desk))
    assert set(full.field_status) == {"text", "label"}
    assert empty.field_status == {"text": "rejected"}


def test_parts_follow_their_field() -> None:
    """A part that is its whole field reads as the mended field does."""
    brief = b.brief()
    draft = Draft({"text": "See it.."}, parts=(Part(step="action", field="text", text="See it.."),))
    result, _ = repair(draft, Checker(brief).draft(draft), brief)
    assert result.parts[0].text == result.fields["text"] == "See it."


def test_text_messages_keep_plain_quotes() -> None:
    """Typographic characters would halve what fits into a message: none is brought in, those there go."""
    place = b.place(b.field(rules=("sms-plain-characters",)), id="sms", kind="message")
    assert mended('Der Tisch "Lumo" ist da', "de", placement=place) == 'Der Tisch "Lumo" ist da'
    assert mended("Der Tisch „Lumo“ – da…", "de", placement=place) == 'Der Tisch "Lumo" - da...'
    assert mended("C’est «\u00a0Lumo\u00a0»\u202f!", "fr-FR", placement=place) == 'C\'est "Lumo" !'
    assert mended("Look....  here", placement=place) == "Look... here"


def test_text_message_keeps_a_name_as_it_is_written() -> None:
    """A brand's own apostrophe is its spelling, in a message too."""
    place = b.place(b.field(rules=("sms-plain-characters",)), id="sms", kind="message")
    assert mended("Meet L’Orme – here", name="L’Orme", placement=place) == "Meet L’Orme – here"


def test_names_keep_their_own_marks() -> None:
    """A name that ends in an exclamation mark is not calmed."""
    assert mended("Meet Yahoo! See it! Take it!", name="Yahoo!").startswith("Meet Yahoo!")


_TEXT = st.text(
    st.sampled_from("aB éßñ机桌かナ를ا ب,.;:!?¿¡…«»\"“”„'()#*_-\n\u00a0\u202f\u200b،؟。，！？12@/xş𝐚\u0301"),
    max_size=40,
)


@settings(max_examples=120, deadline=None)
@given(
    text=_TEXT,
    tag=st.sampled_from(
        ["en", "es-ES", "fr-FR", "fr-CA", "de", "pl", "ar", "ja", "zh-Hans", "el", "ro", "hi"]
    ),
)
def test_repair_is_idempotent_and_keeps_letters(text: str, tag: str) -> None:
    """Mending twice is mending once, and no letter or digit is lost except repeated list marks and labels."""
    once = mended(text, tag) if text.strip() else text
    assert (mended(once, tag) if once.strip() else once) == once
    if ":" not in text and "#" not in text and "：" not in text:

        def letters(value: str) -> str:
            import unicodedata

            plain = unicodedata.normalize("NFKC", value).translate({0x15F: 0x219, 0x163: 0x21B})
            return re.sub(r"[\W_]", "", plain)

        assert letters(once) == letters(text)


@settings(max_examples=120, deadline=None)
@example(text="1;:", tag="fr-FR")
@given(
    text=_TEXT,
    tag=st.sampled_from(["en", "es-ES", "fr-FR", "fr-CA", "de", "pl", "ar", "ja", "zh-Hans", "ko", "el"]),
)
def test_marks_are_applied_once(text: str, tag: str) -> None:
    """Writing the marks of a language a second time changes nothing."""
    language = b.language(tag)
    once = apply_marks(text, language)
    assert apply_marks(once, language) == once


def test_a_quoted_sentence_keeps_the_name_it_holds() -> None:
    """Marks are written as the language does around a name, never in it."""
    japanese = b.language("ja")
    assert apply_marks("ラ王 たれ は 濃い", japanese, names=("ラ王 たれ",)) == "ラ王 たれは濃い"
    assert apply_marks("ラ王 たれ は 濃い", japanese) == "ラ王たれは濃い"
