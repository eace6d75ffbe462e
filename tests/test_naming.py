"""Long names: the words of a name that say what the thing is, or none where no words surely do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.naming import head_of, loose_words, without_variant
from copykit.data import load_toml


@pytest.mark.parametrize(
    ("language", "name", "head"),
    [
        # the noun ends the phrase, and a preposition ends the noun's reach
        ("en", "Norlin Men's Hooded Puffer Jacket", "Hooded Puffer Jacket"),
        ("en", "Peeled Tomatoes in tomato juice", "Peeled Tomatoes"),
        ("de", "Forelle mit Zwiebeln und Kräutern", "Forelle"),
        ("de", "Grüne Oliven mit Paprikapaste", "Grüne Oliven"),
        ("de", "Klöße nach schlesischer Art", "Klöße"),
        ("nl", "Speculaas met kaneel gezoet", "Speculaas"),
        # what denies is no head
        ("de", "Studentenfutter ohne Rosinen", "Studentenfutter"),
        # a figure ends it; what follows one is no head unless the noun is there
        ("de", "Kräuter-Quark 40% Fett i. Tr.", "Kräuter-Quark"),
        ("de", "Buttergemüse mit 6% Butter", "Buttergemüse"),
        ("nl", "Melkhof Magere Yoghurt 0% Vet", "Melkhof Magere Yoghurt"),
        ("en", "Norlin Bakery 7 Grain Gluten-free Bread", "Gluten-free Bread"),
        # neither brand nor list is cut: one noun, a compound counts as one
        ("de", "Erdbeer Limette Fruchtaufstrich", "Fruchtaufstrich"),
        ("nl", "Bakkerij Norlin Echte Slagroom", "Echte Slagroom"),
        ("en", "Gluten Free Christmas Pudding", "Christmas Pudding"),
        # adjectives first, up to the noun
        ("pl", "Gazowany napój z tauryną i kofeiną", "Gazowany napój"),
        ("pl", "Kruchy wafelek z kremem kakaowym", "Kruchy wafelek"),
        # the complement goes with its preposition
        ("pl", "Lody o smaku deseru z musem malinowym", "Lody"),
        ("pl", "Herbata polecana dla alergików", "Herbata"),
        ("pl", "Fasola Piękny Jaś karłowy", "Fasola"),
        ("es", "Mayonesa con jugo de limones", "Mayonesa"),
        ("es", "Calcetines de Mezcla de Lana Norlin", "Calcetines"),
        ("es", "Salchichas sin fécula Pollo Pavo", "Salchichas"),
        ("es", "Harina para preparar pastel amarillo", "Harina"),
        ("es", "Mantecadas sabor Vainilla", "Mantecadas"),
        ("es", "Bufanda de Invierno Elegante Norlin", "Bufanda de Invierno"),
        ("fr", "Noix st jacques sans corail", "Noix"),
        ("fr", "Limonade à l'eau de source", "Limonade"),
        ("fr", "Chaussettes en mélange de laine", "Chaussettes"),
        ("fr", "Sirop de pêche pur sucre", "Sirop de pêche"),
        ("it", "Mousse alla Frutta alla fragola", "Mousse"),
        ("it", "Prosciutto cotto di alta qualità", "Prosciutto cotto"),
        ("it", "5 barrette di cereali, Nocciole e cioccolato", "barrette di cereali"),
        ("pt", "Leite Meio Gordo Polegar", "Leite"),
        # a brand in front is left off, whichever side of a sign it stands on
        ("es", "Santa Norlin Yogurt Durazno", "Yogurt"),
        ("fr", "Spring roll sauce _ sauce pour les nems", "sauce"),
        ("en", "Uncle Norlin - Mexican Style Rice", "Mexican Style Rice"),
        # shouting is not the noun's own
        ("es", "MERMELADA DE CHABACANO GREAT VALUE", "Mermelada de chabacano"),
        # words of grade and size stay together, or are left off together
        ("es", "Aceite de Oliva Virgen Extra", "Aceite de Oliva"),
        ("es", "Arroz extra largo Norlin blanco", "Arroz extra largo"),
        ("pt", "Arroz carolino extra longo", "Arroz carolino"),
        ("it", "Olio extra vergine di oliva Norlin", "Olio extra vergine"),
        ("fr", "Haricots verts extra fins cueillis", "Haricots verts extra fins"),
        # an adjective of another gender belongs to the next noun; one of no gender may stay
        ("es", "Yogurt cremosa mezcla de frutas", "Yogurt"),
        ("it", "Yogurt cremosa vaniglia e miele", "Yogurt"),
        ("es", "Aceite de oliva ecológico Norlin", "Aceite de oliva ecológico"),
        ("es", "Vestido rosa Norlin para invierno", "Vestido rosa"),
        # scripts without spaces: what stands behind the last one
        ("ja", "冷凍 北森のどん兵衛 鬼かき揚げ太うどん", "鬼かき揚げ太うどん"),
        ("ar", "جوارب مزيج الصوف Norlin Warmth", "جوارب"),
        ("hi", "नॉरलिन स्टाइलिश विंटर स्कार्फ लंबा", "विंटर स्कार्फ लंबा"),
    ],
)
def test_a_long_name_has_a_short_one(language: str, name: str, head: str) -> None:
    """The head is a true name for the thing that stands by itself and fits a headline."""
    assert head_of(name, language) == head


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("en", "Oak desk"),  # short enough
        ("en", "Garden of Norlin Organic Blend"),  # a brand before "of"
        ("en", "Chopped pork and ham, cooked"),  # two things
        ("de", "Erbsen und bunte Karotten, fein"),
        ("de", "Fix für Spaghetti Napoli, mild"),  # "mix for" names no thing
        ("nl", "Mix voor Bahmi extra speciaal"),
        ("nl", "condimento bianco di Modena"),  # a name of another language
        ("en", "Almohadillas rellenas de chocolate"),
        ("de", "Paste di Mandorla Assortite"),
        ("es", "PASTA SAUCE FOUR CHEESE ALFREDO"),
        ("es", "NESTALIA MELOCOTÓN BLANCO"),  # brand and flavour
        ("pt", "Cucuruchos / Cones para gelado"),
        ("fr", "Crack-ups! Popping Candy, mixed"),
        ("it", "Il Norlin di Verona e dintorni"),
        ("zh", "Préparation pour Soupe 'Qing Bu Liang' （清補凉）"),
        ("ja", "コーヒー豆 200g ブラジル産の深煎り"),  # a detail, and figures
        ("sw", "Jina refu sana la bidhaa hii"),
        ("en", ""),
    ],
)
def test_a_name_that_shows_no_noun_has_no_head(language: str, name: str) -> None:
    """No head is better than a wrong one."""
    assert head_of(name, language) == ""


_LANGUAGES = ("en", "es", "fr", "de", "pt", "it", "nl", "pl", "ar", "hi", "ja", "zh", "sv")
_TOKENS = st.sampled_from(
    "the de di mit z and & , - _ / ( ) \" ' 500 g 40% Norlin JACKET jacket Jacke käse Käse-Mix jas mermelada "
    "fritas d'olive all'uovo sauce de napój gazowany i o ス 帽子 قبعة स्कार्फ free style ! : … café".split()
)


@given(name=st.lists(_TOKENS, max_size=9).map(" ".join), language=st.sampled_from(_LANGUAGES))
def test_a_head_is_whole_words_of_its_name(name: str, language: str) -> None:
    """It fits 26 columns, begins with a letter, holds no figure and is loose at neither end."""
    head = head_of(name, language)
    if head:
        whole = [
            token for token in name.split() if token not in ("'", '"')
        ]  # a quotation mark alone parts nothing
        assert head.casefold() in " ".join(whole).casefold()
        assert len(head) <= 26
        assert head[0].isalpha()
        assert not any(c.isdigit() for c in head)
        words = head.casefold().split()
        assert not {words[0], words[-1]} & loose_words(language)
        assert head != name


def test_no_noun_stands_in_two_lists() -> None:
    """A word either decides by itself or only where no other noun is near."""
    for language, lists in load_toml("nouns.toml").items():
        both = set(lists["things"].split()) & set(lists["stuff"].split())
        assert not both, (language, sorted(both))


def test_the_variant_is_parted_from_the_name() -> None:
    """Colours and size behind a name say which of several things it is."""
    assert without_variant("Norlin Jacket-Blue-Green-M") == ("Norlin Jacket", "Blue-Green-M")
    assert without_variant("Norlin Jacket") == ("Norlin Jacket", "")
