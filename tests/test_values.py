"""Names and values as they come in: what dumps and shops leave in them goes, no word does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.brief import Brief
from copykit.brief.compile import compile_brief
from copykit.brief.values import is_list, plain_name, plain_value, unescaped
from copykit.models import Brand, CopywritingInput


def brief(**changes: Any) -> Brief:
    """Compile a small brief with *changes*."""
    fields = {"product_description": "Oak bench, oiled", "target_platform": "x.post", **changes}
    return compile_brief(CopywritingInput(**fields))


@pytest.mark.parametrize(
    ("tag", "raw", "plain"),
    [
        ("en", r"Aunt Ann\\\'s Riz", "Aunt Ann's Riz"),
        ("en", r"The \"Long\" Bench", 'The "Long" Bench'),
        ("fr", r"Foulard d\hiver", "Foulard d'hiver"),
        ("en", r"Cable A\B", r"Cable A\B"),
        ("nl", "Noten¬reep", "Notenreep"),
        ("es", "Filete empanizado,.", "Filete empanizado"),
        ("pl", "Margaryna 40%.", "Margaryna 40%"),
        ("de", "Bank :", "Bank"),
        ("ja", "だし醤油、", "だし醤油"),
        ("es", "Aceite de Oliva D.O.P.", "Aceite de Oliva D.O.P."),
        ("es", "Conservas Sol, S.A.", "Conservas Sol, S.A."),
        ("de", "Quark 40% Fett i. Tr.", "Quark 40% Fett i. Tr."),
        ("en", "Oak & Co.", "Oak & Co."),
        ("en", "Wait for it...", "Wait for it..."),
        ("nl", "Kaas 48+", "Kaas 48+"),
        ("pl", "Piwo jasne / 2, 89 zł", "Piwo jasne"),
        ("en", "Bench - £12.50", "Bench"),
        ("en", "Screw 3/4 - 2.50", "Screw 3/4 - 2.50"),
        ("es", "PURE DE TOMATE", "Pure de Tomate"),
        ("nl", "MARSEPEIN PÂTE D'AMANDES", "Marsepein Pâte d'Amandes"),
        ("en", "O'NEILL BOARD-SHORTS", "O'Neill Board-Shorts"),
        ("tr", "PATATES CİPSİ BIÇAK", "Patates Cipsi Bıçak"),
        ("es", "SALSA BBQ CHIPOTLE 500 G", "Salsa BBQ Chipotle 500 g"),
        ("en", "LUNDA", "LUNDA"),
        ("en", "LUNDA / TARN", "LUNDA / TARN"),
        ("en", "AB CD", "AB CD"),
        ("zh", "華元 MIX 綜合脆片", "華元 MIX 綜合脆片"),
        ("en", "Bench of OAK", "Bench of OAK"),
    ],
)
def test_names_lose_what_is_no_part_of_them(tag: str, raw: str, plain: str) -> None:
    """Escapes, loose marks, prices and shouting go; abbreviations, brands and the signs of a name stay."""
    assert plain_name(raw, tag) == plain


@given(st.text(max_size=60), st.sampled_from(["en", "fr", "de", "tr", "zh", "pl"]))
def test_a_name_is_settled_at_once(name: str, tag: str) -> None:
    """Never empty where a name was given, and a second reading changes nothing but the marks it laid bare."""
    once = plain_name(name, tag)
    assert bool(once) is bool(name)
    assert plain_name(once, tag).casefold() in once.casefold()


def test_the_brand_s_own_capitals_stay() -> None:
    """A shouted name is calmed but for the words that the brand writes so, and a remark tells it."""
    made = brief(product_name="PAN INTEGRAL TARN", language="es", brand=Brand(name="TARN"))
    assert made.name == "Pan Integral TARN"
    assert any("calmed" in remark for remark in made.info)
    assert not any("calmed" in remark for remark in brief(product_name="Pan TARN", language="es").info)


def test_a_description_that_says_the_name_says_it_as_the_name_is_written() -> None:
    """Neither the description alone nor a sentence of it goes on shouting; a sentence keeps its full stop."""
    alone = brief(product_name="PURE DE TOMATE", product_description="PURE DE TOMATE", language="es")
    assert alone.source_text == "Pure de Tomate\nPure de Tomate"
    inside = brief(product_name="Tarn.", product_description="Meet Tarn. It is oak.")
    assert inside.source_text.startswith("Meet Tarn. It")


@pytest.mark.parametrize(
    ("tag", "raw", "plain"),
    [
        ("it", "Piselli fini Ingredienti: piselli, acqua", "piselli, acqua"),
        ("it", "Ingredienti: Piselli Ingredienti: piselli, acqua, sale", "piselli, acqua, sale"),
        ("pt", "Ingrédients.' Seigle, eau", "Seigle, eau"),
        ("de", "Zutaten: Weißkohl, Salz. Ingredients: cabbage, salt", "Weißkohl, Salz"),
        ("it", "Zutaten: Weißkohl. Ingredienti: Cavolo, sale", "Cavolo, sale"),
        ("pl", "Składniki: Zawiera: siarczyny, mleko.", "siarczyny, mleko"),
        ("it", "Panna ( latte ), sale", "Panna (latte), sale"),
        ("it", "Mosto cotto*, aceto di vino*. *biologico", "Mosto cotto, aceto di vino"),
        ("de", "Dinkelmehl * * aus kontrolliert biologischem Anbau", "Dinkelmehl"),
        ("es", "Harina,*Azúcar (22%), *quinoa, sal", "Harina, Azúcar (22%), quinoa, sal"),
        ("nl", "_gerste_mout, water", "gerstemout, water"),
        ("nl", 'noten*. "Van biologische teelt', "noten, van biologische teelt"),
        ("es", "Patata,bacalao 17%,huevo", "Patata, bacalao 17%, huevo"),
        ("es", "Sal, agua (5%}", "Sal, agua (5%)"),
        ("es", "Pimientos, sal. Acidulante:ácido cítrico.", "Pimientos, sal, acidulante: ácido cítrico"),
        ("de", "Erbsen. Salz.", "Erbsen, Salz"),
        ("nl", "haver Kan sporen van tarwe bevatten.", "haver"),
        ("nl", "yoghurt (bevat melk), zout", "yoghurt (bevat melk), zout"),
        (
            "en",
            "turkey, water, contains less than 2% of: salt",
            "turkey, water, contains less than 2% of: salt",
        ),
        ("en", "LEITE INTEGRAL, AÇÚCAR", "Leite integral, açúcar"),
        ("de", "REINE BUTTER MIT SALZ", "Reine Butter mit Salz"),
        ("en", "WATER, VITAMIN C", "Water, vitamin C"),
        ("zh", "水、糖、维生素 C", "水、糖、维生素 C"),
        ("ja", "小麦 、食塩 。", "小麦、食塩"),
        ("zh", "麦芽糖， 蔗糖", "麦芽糖，蔗糖"),
        ("en", "* _ ( .", ""),
    ],
)
def test_a_list_of_ingredients_is_what_follows_its_label(tag: str, raw: str, plain: str) -> None:
    """Labels, notes on traces, footnotes and crumbs go; what may be an ingredient is never cut off."""
    assert plain_value("ingredients", raw, tag) == plain


@pytest.mark.parametrize("key", ["Ingredients", "zutaten", "原材料", "Ingredienti"])
def test_lists_are_known_by_what_callers_call_them(key: str) -> None:
    """The fact's key says that its value is a list."""
    assert is_list(key)
    assert not is_list("material")


def test_other_facts_keep_their_stops_and_capitals() -> None:
    """A model, a code or a measure is no list; only spaces inside brackets go."""
    assert plain_value("model", "A_1,B ( X ). C*", "en") == "A_1,B (X). C*"
    assert unescaped("a plain text", "fr") == "a plain text"


def test_a_fact_that_is_only_a_note_is_told() -> None:
    """What nothing is left of has no effect, and the result's remarks say so."""
    made = brief(facts={"ingredients": "Contains milk.", "price": "12 EUR"})
    assert [fact.key for fact in made.facts] == ["price"]
    assert "facts.ingredients is no more than a note and has no effect" in made.info


@given(
    st.text(alphabet="aB,.;:()[]{}*_\"'“” é1%-Zutaten: ", max_size=80),
    st.sampled_from(["de", "en", "fr", "ja"]),
)
def test_values_are_settled_and_paired(value: str, tag: str) -> None:
    """Whatever comes in: brackets and quotes stand in pairs, and no letter is lost but labels and notes."""
    made = plain_value("ingredients", value, tag)
    assert made.count("(") == made.count(")")
    assert made.count("[") == made.count("]")
    assert (made.count("“") + made.count("”")) % 2 == 0
    assert made.count('"') % 2 == 0
    assert "_" not in made
    assert "*" not in made
