"""What a description in whole sentences speaks of: found by grammar in eleven languages, empty where unsure."""

from __future__ import annotations

import pytest

from copykit import CopywritingInput, sync
from copykit.brief.compile import compile_brief
from copykit.brief.subject import complement_of, subject_of


@pytest.mark.parametrize(
    ("language", "text", "thing"),
    [
        (
            "en",
            "Our new espresso machine makes coffee in 20 seconds. It was designed in Milan.",
            "Espresso machine",
        ),
        ("en", "Tired of bad coffee? Our espresso machine brews it fresh.", "Espresso machine"),
        ("en", "We sell handmade candles in Lyon.", "Handmade candles"),
        ("en", "Discover our hand-knitted wool sweater, made in Scotland.", "Hand-knitted wool sweater"),
        ("de", "Unsere neue Espressomaschine macht Kaffee in 20 Sekunden.", "Espressomaschine"),
        ("de", "Entdecken Sie unseren neuen ledernen Rucksack mit drei Fächern.", "Rucksack"),
        ("de", "Unsere neue Kaffeemühle mahlt leise.", "Kaffeemühle"),
        ("es", "Nuestra nueva cafetera italiana hace café en 20 segundos.", "Cafetera italiana"),
        ("fr", "Notre nouvelle machine à café prépare un espresso en 20 secondes.", "Machine à café"),
        ("fr", "Découvrez notre savon artisanal à la lavande.", "Savon artisanal"),
        ("it", "La nostra nuova macchina da caffè prepara un espresso in 20 secondi.", "Macchina da caffè"),
        ("pt", "Nossa nova cafeteira faz café em 20 segundos.", "Cafeteira"),
        ("nl", "Onze nieuwe espressomachine zet koffie in 20 seconden.", "Espressomachine"),
        ("pl", "Nasz nowy ekspres do kawy parzy kawę w 20 sekund.", "Ekspres do kawy"),
        ("hi", "हमारी नई एस्प्रेसो मशीन 20 सेकंड में कॉफी बनाती है।", "एस्प्रेसो मशीन"),
        ("ja", "当社の新しいエスプレッソマシンは20秒でコーヒーを淹れます。", "エスプレッソマシン"),
        ("zh", "我们的新款咖啡机可以在20秒内做好咖啡。", "咖啡机"),
    ],
)
def test_the_subject_of_a_sentence_is_the_thing(language: str, text: str, thing: str) -> None:
    """Behind a determiner or a presenting phrase and before the verb stands what is sold, without "new"."""
    assert subject_of(text, language) == thing


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Learn Spanish with native teachers online."),
        ("en", "We clean offices in Berlin."),
        ("en", "You will love it."),
        ("en", "Our team cooks for you."),
        ("en", "Our bakery makes bread every morning. The flour comes from Kent."),
        ("en", "Our app helps you find recipes."),
        ("es", "Nuestro taller repara relojes antiguos en 48 horas."),
        ("en", "Is our desk made of oak?"),
        ("en", "Our team of experts can repair your roof within 24 hours."),
        ("de", "Wir backen jeden Morgen Brot."),
        ("ar", "آلة القهوة الجديدة لدينا تصنع القهوة في 20 ثانية."),
        ("sw", "Mashine yetu mpya inatengeneza kahawa."),
    ],
)
def test_an_unsure_subject_stays_empty(language: str, text: str) -> None:
    """No determiner, a pronoun, a question, two nouns, a language without a list: a wrong noun is worse than none."""
    assert subject_of(text, language) == ""


def test_the_compiler_takes_the_subject_where_nothing_else_tells_the_thing() -> None:
    """A list's first phrase and the name's noun come first, and what the name says is not said again."""
    said = "Our new espresso machine makes coffee in 20 seconds."
    assert (
        compile_brief(CopywritingInput(product_description=said, target_platform="x")).item
        == "Espresso machine"
    )
    named = CopywritingInput(
        product_description=said, product_name="Bravo Espresso Machine", target_platform="x"
    )
    assert "espresso machine" not in compile_brief(named).item


def test_a_complement_belongs_to_its_noun() -> None:
    """A preposition behind the noun binds what follows, up to the next mark; a sentence is none."""
    text = "B2B payroll software for companies with 10 to 200 employees, hosted in Europe"
    assert complement_of("B2B payroll software", text, "en") == "for companies with 10 to 200 employees"
    assert complement_of("Wanderschuhe", "Wanderschuhe mit Vibram-Sohle", "de") == "mit Vibram-Sohle"
    assert complement_of("Cat litter", "Cat litter made of tofu, 6 l", "en") == "made of tofu"
    assert complement_of("Desk", "Desk that folds flat", "en") == ""
    assert complement_of("Desk", "Desk with drawers is new.", "en") == ""
    assert complement_of("Desk", "Desk, oiled", "en") == ""


@pytest.mark.parametrize(
    "platform", ["facebook", "instagram", "linkedin", "x", "email", "google_ads.rsa", "web.page"]
)
@pytest.mark.parametrize(
    "text",
    ["Learn Spanish with native teachers online.", "Our new lamp leads the way. It was made in Milan."],
)
def test_copy_of_sentences_says_something_of_them(platform: str, text: str) -> None:
    """A brief with no noun phrase gives copy with a fact of it: copy that says none is an error (C-26)."""
    variant = sync.generate(product_description=text, target_platform=platform, tone="luxury").variants[0]
    assert "C-26" not in {one.rule for one in variant.violations}
    assert "Spanish" in variant.text or "lamp" in variant.text
    assert variant.status != "rejected"
