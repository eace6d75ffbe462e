"""Facts in another language than the copy: certain ones are left out by what cannot translate, and told."""

from __future__ import annotations

import asyncio

import pytest

import briefs as b
from copykit.brief.brief import Fact
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import build_prompt
from copykit.drafts.foreign_facts import reads_as, without_foreign_facts
from copykit.models import CopywritingInput
from copykit.providers.phrasebank.provider import PhraseBank

LISTS = {
    "en": "Water, sugar, wheat flour, salt",
    "es": "Agua, azúcar, harina de trigo, sal",
    "fr": "Eau, sucre, farine de blé, sel",
    "de": "Wasser, Rohrzucker, Roggenmehl, Speisesalz",
    "pt": "Água, açúcar, farinha de trigo, sal",
    "it": "Acqua, zucchero, farina di frumento, sale",
    "nl": "Water, rietsuiker, tarwemeel, zeezout",
    "pl": "Woda, cukier, mąka pszenna, sól",
}
TAGS = {
    "en": "en",
    "es": "es-ES",
    "fr": "fr-FR",
    "de": "de",
    "pt": "pt-BR",
    "it": "it",
    "nl": "nl",
    "pl": "pl",
}


@pytest.mark.parametrize("tag", TAGS)
def test_lists_tell_their_language(tag: str) -> None:
    """Each list is its own language's, and no other language's copy takes it for its own."""
    for copy, served in TAGS.items():
        told = reads_as(Fact("ingredients", LISTS[tag]), b.language(served))
        assert told is None if copy == tag else told == tag, (copy, told)


@pytest.mark.parametrize(
    ("tag", "key", "value", "told"),
    [
        ("ar", "ingredients", "Water, guava pulp, citric acid", "another script"),
        ("zh-Hans", "ingredients", "水、糖 (Camellia sinensis)、盐", None),
        ("en", "ingredients", "Seigle", None),
        ("en", "ingredients", "Erythritol, Sucralose", None),
        ("en", "designer", "Casa de la Miel", None),
        ("fr-FR", "material", "Leather, Metal", None),
        ("en", "care", "Nicht in der Maschine waschen und nicht bleichen", "de"),
    ],
)
def test_only_what_is_certain_is_foreign(tag: str, key: str, value: str, told: str | None) -> None:
    """Names, measures and words that many languages share are nobody's; whole phrases are."""
    assert reads_as(Fact(key, value), b.language(tag)) == told


def test_a_foreign_list_is_in_no_text_and_the_result_says_so() -> None:
    """The phrase bank cannot translate: it leaves the list out and names its language; other facts stay."""
    request = CopywritingInput(
        product_description="Dark bread with seeds",
        product_name="Tarn",
        target_platform="instagram",
        facts={"ingredients": LISTS["pt"], "price": "3.50 USD"},
    )
    brief = compile_brief(request)
    kept, remarks = without_foreign_facts(brief)
    assert [fact.key for fact in kept.facts] == ["price"]
    done = asyncio.run(PhraseBank().complete(build_prompt(brief, nonce="n")))
    assert set(remarks) <= set(done.info)
    assert "facts.ingredients reads as 'pt', not 'en', and is left out" in done.info
    assert not any("farinha" in text for draft in done.drafts for *_, text in draft.items())
