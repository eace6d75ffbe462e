"""Compiling: a request becomes a complete brief, resolved against the catalogue, in the caller's words."""

from __future__ import annotations

from typing import Any

import pytest

from copykit.brief.brief import Brief
from copykit.brief.compile import MAX_DESCRIPTION, compile_brief
from copykit.errors import InvalidRequest
from copykit.models import CopywritingInput


def brief(**changes: Any) -> Brief:
    """Compile a small brief with *changes*."""
    fields = {"product_description": "Oak bench, 140x40 cm, oiled", "target_platform": "x.post", **changes}
    return compile_brief(CopywritingInput(**fields))


def test_names_are_resolved_however_they_are_written() -> None:
    """Platform, language, tone and use case accept any case, spaces and aliases; the brief holds the ids."""
    made = brief(
        target_platform=" Google  Ads ", language="PT", tone="Inspirational", use_case="Product Launch"
    )
    assert made.placement.id == "google_ads.rsa"
    assert made.language.tag == "pt-BR"
    assert made.tone.id == "inspirational"
    assert made.use_case.id == "product_launch"
    assert made.structure.id == made.use_case.structures[0]


def test_without_a_use_case_the_placement_gives_its_own() -> None:
    """An empty text is no name and is refused, as an empty tone is."""
    assert brief().use_case.id == brief().placement.use_case
    with pytest.raises(InvalidRequest, match="use_case=''"):
        brief(use_case="")


def test_the_same_request_compiles_to_the_same_brief() -> None:
    """Pure: nothing of the clock, the machine or an earlier call."""
    first, second = brief(restrictions=["no prices"]), brief(restrictions=["no prices"])
    assert (first.item, first.attributes, first.sentences) == (
        second.item,
        second.attributes,
        second.sentences,
    )
    assert first.source_text == second.source_text
    assert first.restrictions == second.restrictions


def test_texts_are_cleaned_and_lists_lose_doubles_and_blanks() -> None:
    """Markup and invisible characters go; order stays."""
    made = brief(
        product_description="<p>Oak&nbsp;bench</p><p>Oiled</p>",
        product_name=" Tarn\u200b ",
        key_points=["Solid <b>oak</b>", " ", "Solid oak", "By hand"],
        keywords=["bench", "bench"],
        target_audience="people\n\nwith gardens",
    )
    assert (made.name, made.item, made.attributes) == ("Tarn", "Oak bench", ("Oiled",))
    assert made.points == ("Solid oak", "By hand")
    assert made.keywords == ("bench",)
    assert made.audience == "people with gardens"


def test_numbers_given_as_facts_are_facts() -> None:
    """Text or number, key stripped, empty values left out."""
    made = brief(facts={" legs ": 4, "weight": "8 kg", "note": "  "})
    assert [(fact.key, fact.value) for fact in made.facts] == [("legs", "4"), ("weight", "8 kg")]


def test_everything_of_the_caller_may_be_stated_and_nothing_else() -> None:
    """The ledger traces numbers of every field; one that stands nowhere is found."""
    made = brief(
        facts={"price": "249 EUR"},
        key_points=["10 years of service"],
        target_audience="people over 60",
        personalization={"first_name": "Maximilian"},
        fields={"text": {"text": "Only 3 left of 12."}},
    )
    for known in ("140x40 cm", "249 EUR", "10 years", "over 60", "3 left"):
        assert made.ledger.untraced(known) == []
    assert [found.text for found in made.ledger.untraced("Only 99 EUR")]
    assert "Maximilian" in made.source_text


def test_the_brand_s_name_stands_in_for_a_missing_one() -> None:
    """A product name wins over it."""
    assert brief(brand={"name": "Tarn"}).name == "Tarn"
    assert brief(brand={"name": "Tarn"}, product_name="Fell").name == "Fell"


def test_a_category_tells_the_thing_where_the_description_does_not() -> None:
    """Taken as the item only then."""
    silent = {"product_description": "You will love how it feels after a long day."}
    assert brief(**silent, facts={"category": "Garden bench"}).item == "Garden bench"
    assert brief(facts={"category": "Furniture"}).item == "Oak bench"


def test_a_caller_s_limit_may_only_be_stricter() -> None:
    """A tighter one replaces the platform's hard figure, a looser one changes nothing."""
    tight = brief(fields={"text": {"limit": 100}}).fields[0].limits
    loose = brief(fields={"text": {"limit": 10_000}}).fields[0].limits
    own = brief().fields[0].limits
    assert {limit.hard for limit in tight} == {100}
    assert [limit.hard for limit in loose] == [limit.hard for limit in own]
    assert all((limit.rec_max or 0) <= 100 for limit in tight)


def test_a_count_moves_within_what_the_platform_takes() -> None:
    """Fifteen headlines at most, three at least; outside is refused with both bounds."""
    made = brief(target_platform="google_ads.rsa", fields={"headlines": {"count": 5}})
    assert next(spec for spec in made.fields if spec.name == "headlines").default_count == 5
    with pytest.raises(InvalidRequest, match="the platform takes 3 to 15"):
        brief(target_platform="google_ads.rsa", fields={"headlines": {"count": 16}})


def test_descriptions_up_to_the_bound_are_read() -> None:
    """Exactly 20,000 characters pass, one more does not."""
    text = ("Oak bench. " * 2_000)[:MAX_DESCRIPTION]
    assert brief(product_description=text)
    with pytest.raises(InvalidRequest, match="20,001 characters, at most 20,000"):
        brief(product_description=text + "x")


def test_a_language_the_bank_does_not_speak_compiles_all_the_same() -> None:
    """Models may speak it."""
    assert brief(language="fi").language.tag.startswith("fi")


def test_a_call_to_action_fits_some_field_or_is_refused() -> None:
    """It is used as it is, so one that no field can hold would silently vanish."""
    assert brief(call_to_action="Order yours today").cta == "Order yours today"
    with pytest.raises(InvalidRequest, match=r"no field of google_ads\.rsa takes more than 90"):
        brief(target_platform="google_ads.rsa", call_to_action="order " * 20)


@pytest.mark.parametrize(
    "address",
    [
        "https://tarn.example",
        "http://tarn.example:8080/b?x=1&y=2#z",
        "HTTPS://Tarn.Example/ä",
        "https://" + "a" * 1_900,
    ],
)
def test_addresses_that_browsers_take_are_taken(address: str) -> None:
    """Any http(s) address with a host, up to 2,000 characters."""
    assert brief(url=address).url == address


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("de-AT", ("de-AT is served as de",)),
        ("en_AU", ("en_AU is served as en-GB",)),
        ("es-419", ("es-419 is served as es-MX",)),
        ("zh-HK", ("zh-HK is served as zh-Hant",)),
        ("nn", ("nn is served as nb",)),
        ("de-1996", ("de-1996 is served as de",)),
        ("de", ()),
        ("DE_de", ()),
        ("en-Latn-US", ()),
        ("zh-TW", ()),
        ("pt", ()),
        ("ar-EG", ()),
        ("Spanish", ()),
    ],
)
def test_a_relative_that_serves_is_told_once(asked: str, told: tuple[str, ...]) -> None:
    """Another country's, script's or variant's copy is no silent choice; a bare language is one by its likely country."""
    assert brief(language=asked).info == told


@pytest.mark.parametrize(
    ("asked", "fields", "served"),
    [
        ("zh", {"product_description": "特上檸檬茶"}, "zh-Hant"),
        ("zh", {"product_description": "美人茶", "facts": {"ingredients": "水, 蔗糖, 茶葉"}}, "zh-Hant"),
        ("Chinese", {"product_description": "美人茶", "product_name": "東方美人茶"}, "zh-Hant"),
        ("zh", {"product_description": "维他柠檬茶"}, "zh-Hans"),
        ("zh", {"product_description": "东方美人茶，品牌：東"}, "zh-Hans"),
        ("zh", {"product_description": "水, 米"}, "zh-Hans"),
        ("zh-CN", {"product_description": "特上檸檬茶"}, "zh-Hans"),
        ("ja", {"product_description": "醬油 國"}, "ja"),
    ],
)
def test_plain_chinese_is_written_as_the_product_s_own_words_are(
    asked: str, fields: dict[str, Any], served: str
) -> None:
    """``zh`` names no way of writing: Traditional words are not served Simplified, and a remark says so."""
    made = brief(language=asked, **fields)
    assert made.language.tag == served
    assert any("Traditional" in remark for remark in made.info) is (served == "zh-Hant")


def test_the_country_asked_for_settles_limits_by_country() -> None:
    """Amazon's shorter title does not hold in its Saudi store, whose Arabic is the catalogue's Arabic."""
    title = {
        tag: {limit.hard for limit in spec.limits}
        for tag in ("ar", "ar-SA")
        for spec in brief(target_platform="amazon", language=tag).fields
        if spec.name == "title"
    }
    assert title["ar"] - title["ar-SA"] == {75}


def test_what_is_empty_is_told() -> None:
    """Empty entries say nothing, and the result says that they said nothing; doubles are no loss."""
    made = brief(
        facts={"width": "140 cm", "wood": " ", "note": "<p></p>"},
        key_points=["Oiled", ""],
        keywords=["bench", "bench"],
        restrictions=["  "],
    )
    assert made.info == (
        "facts.wood is empty and has no effect",
        "facts.note is empty and has no effect",
        "key_points holds an empty entry, which has no effect",
        "restrictions holds an empty entry, which has no effect",
    )
    assert brief(facts={"width": 0}, keywords=["bench", "bench"]).info == ()


def test_a_merge_token_has_a_name() -> None:
    """A blank one could never be found in any text."""
    with pytest.raises(InvalidRequest, match="personalization=' '"):
        brief(personalization={" ": "Ana"})
