"""Key points are found in any form of their words, in every script, and not where they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.data import load_toml, names
from copykit.drafts.coverage import covered, covers, stems, tokens

SAID = [
    ("en", "Comfort", "Comfortable shoes for a long day"),
    ("en", "Breathable mesh", "A mesh that breathes. Breathable, too."),
    ("en", "Free returns", "FREE RETURNS on everything"),
    ("en", "30-day returns", "Returns within 30 days"),
    ("en", "10,000 hours", "Runs for 10000 hours"),
    ("en", "no added sugar", "With no sugar added"),
    ("en", "organic cotton", "cotton that is organically grown"),
    ("en", "art", "Art for your wall"),
    ("es-ES", "Comodidad", "Zapatos cómodos para todo el día"),
    ("es-MX", "Estilo", "Con estilos para ti"),
    ("es-ES", "envíos rápidos", "Envío rápido a casa"),
    ("fr-FR", "Confort", "Des chaussures confortables"),
    ("fr-FR", "Qualité de l’eau", "une eau de grande qualité"),
    ("de", "Komfort", "Mit Sitzkomfort für lange Tage"),
    ("de", "Nachhaltigkeit", "nachhaltig gemacht"),
    ("de", "schnelle Lieferung", "Schnell: Lieferungen ab Lager"),
    ("pt-BR", "Conforto", "Sapatos confortáveis"),
    ("it", "Comodità", "Scarpe comode"),
    ("nl", "duurzaamheid", "duurzame stoelen"),
    ("pl", "wygoda", "wygodne buty"),
    ("pl", "Polska produkcja", "Produkcji polskiej"),
    ("ru", "Удобство", "Удобная обувь"),
    ("uk", "зручність", "зручне взуття"),
    ("tr", "rahatlık", "Rahat ayakkabılar"),
    ("tr", "İNDİRİM", "büyük indirimler"),
    ("fi", "mukavuus", "mukavat kengät"),
    ("hu", "kényelmes", "Üljön kényelmesen"),
    ("cs", "pohodlí", "pohodlné boty"),
    ("el", "άνεση", "ΑΝΕΣΗ κάθε μέρα"),
    ("ar", "راحة", "يوفر الراحة لك"),
    ("ar", "12 ساعة", "يدوم ١٢ ساعة"),
    ("fa", "۱۲ ساعت", "تا 12 ساعت"),
    ("he", "נוחות", "הנוחות שלך"),
    ("hi", "जूता", "जूतों में आराम"),
    ("hi", "आराम", "आरामदायक जूते"),
    ("bn", "জুতা", "জুতার আরাম"),
    ("ko", "방수", "방수가 되는 가방"),
    ("ko", "가벼운 무게", "무게가 가벼운"),
    ("ja", "防水", "完全防水のバッグ"),
    ("ja", "軽くて丈夫な素材", "丈夫な素材で、軽い。"),
    ("zh-Hans", "防水面料", "采用防水的面料"),
    ("zh-Hant", "輕量", "輕量設計"),
    ("th", "กันน้ำ", "กระเป๋ากันน้ำได้ดี"),
    ("vi", "chống nước", "Túi chống nước"),
    ("id", "kenyamanan", "sepatu yang nyaman"),
    ("en", "日本製", "Made in Japan 日本製"),
    ("en", "ＦＵＬＬ width", "full WIDTH"),
]

NOT_SAID = [
    ("en", "art", "start now, part of the party"),
    ("en", "Comfort", "Shoes for a long day"),
    ("en", "60 day returns", "30 day returns"),
    ("en", "no added sugar", "with added sugar"),
    ("en", "without parabens", "parabens inside"),
    ("en", "24 hours", "many hours"),
    ("en", "waterproof leather boots", "boots"),
    ("en", "2024", "since 2025"),
    ("es-ES", "sin gluten", "con gluten"),
    ("de", "ohne Zucker", "mit Zucker"),
    ("fr-FR", "sans sucre ajouté", "sucre ajouté"),
    ("ru", "без сахара и соли", "много сахара и соли"),
    ("tr", "rahatlık", "Hızlı teslimat"),
    ("ar", "راحة", "يوفر السرعة لك"),
    ("hi", "आराम", "तेज़ डिलीवरी"),
    ("ko", "방수", "가벼운 가방"),
    ("ja", "防水", "軽いバッグ"),
    ("ja", "12時間", "24時間"),
    ("zh-Hans", "防水", "轻便的包"),
    ("th", "กันน้ำ", "น้ำหนักเบา"),
    ("vi", "chống nước", "nước uống"),
]


@pytest.mark.parametrize(("language", "point", "text"), SAID)
def test_a_point_is_found_in_other_forms_of_its_words(language, point, text):
    """
    Endings, case, accents, width, digits and word order may differ.
    """
    assert covers(text, point, language)


@pytest.mark.parametrize(("language", "point", "text"), NOT_SAID)
def test_a_point_is_not_found_where_it_is_not_said(language, point, text):
    """
    Insides of other words, other numbers and a lost negation do not count.
    """
    assert not covers(text, point, language)


def test_each_point_is_judged_by_itself():
    """
    `covered` answers in the order of the points; without points there is nothing to cover.
    """
    points = ["Comfort", "Price", "Oak"]
    assert covered(points, "Comfortable oak chairs", "en") == [True, False, True]
    assert covered([], "anything", "en") == []
    assert covered(["", " . "], "anything", "en") == [True, True]


def test_tokens_are_comparable_words():
    """
    Words are folded, digits are Latin and ungrouped, vowel signs stay with their letters.
    """
    assert tokens("ÉTÉ 10,000 ١٢ naïve_x") == ["ete", "10000", "12", "naive", "x"]
    assert tokens("हिन्दी में") == ["हिन्दी", "में"]


def test_stems_leave_words_without_content_out():
    """
    Articles and prepositions do not take part in the comparison.
    """
    assert stems("the shoes of a runner", "en") == ["sho", "runn"]


def test_every_language_of_the_catalogue_has_its_rules():
    """
    No catalogue language falls back to the rules of none.
    """
    table = load_toml("stems/stems.toml")
    tags = [name.partition("-")[0] for name in names("languages", ".toml") if name != "index"]
    assert tags
    assert set(tags) <= set(table)


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.sampled_from(["en", "de", "ja", "ko", "ar", "th", "hi", "tr"]),
)
def test_a_text_covers_its_own_words(before, after, language):
    """
    Whatever surrounds it on lines of their own, a phrase that stands in the text is covered; nothing raises.
    """
    assert covers(f"{before}\nSolid oak\n{after}", "Solid oak", language)
    covers(before, after, language)
