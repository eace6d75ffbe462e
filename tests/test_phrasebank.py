"""The phrase bank: sound banks, whole sentences around any noun, structures in order, every placement."""

from __future__ import annotations

import asyncio
import json
import random
import re
import unicodedata
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import copykit
from copykit import CopywritingInput, sync
from copykit.brief import catalog
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import build_prompt
from copykit.drafts.check import Checker
from copykit.drafts.draft import Draft
from copykit.errors import InvalidRequest
from copykit.providers.base import Completion
from copykit.providers.phrasebank.bank import bank_for, spoken
from copykit.providers.phrasebank.choose import Chooser
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material, introduces
from copykit.providers.phrasebank.provider import PhraseBank, write_drafts
from copykit.testing.contracts import ProviderContract
from copykit.testing.phrases import FAMILIES, FUNCTIONS, frames, lint

PHRASES = Path(copykit.__file__).parent / "data" / "phrases"
TWELVE = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "nl", "pl", "pt-BR", "zh-Hans")
BRIEFS = {
    "ar": ("مكتب من خشب البلوط، سطح مزيت", "مجرى للأسلاك"),
    "de": ("Schreibtisch aus Eiche, geölt, 120x60 cm", "Kabelkanal"),
    "en": ("Oak desk, oiled, 120x60 cm", "Cable tray"),
    "es": ("Escritorio de roble, aceitado, 120x60 cm", "Bandeja para cables"),
    "fr": ("Bureau en chêne, huilé, 120x60 cm", "Passe-câbles"),
    "hi": ("ओक की मेज़, तेल की परत", "तार की ट्रे"),
    "it": ("Scrivania in rovere, oliata, 120x60 cm", "Passacavi"),
    "ja": ("オーク材のデスク、オイル仕上げ", "ケーブルトレー"),
    "nl": ("Bureau van eikenhout, geolied, 120x60 cm", "Kabelgoot"),
    "pl": ("Biurko dębowe, olejowane, 120x60 cm", "Kanał na kable"),
    "pt-BR": ("Escrivaninha de carvalho, 120x60 cm", "Bandeja para cabos"),
    "zh-Hans": ("橡木书桌，涂油表面", "走线槽"),
}


def request(language: str = "en", **changes: Any) -> CopywritingInput:
    """Give a small brief in *language*."""
    description, point = BRIEFS[language]
    fields: dict[str, Any] = {
        "product_description": description,
        "product_name": "Norr",
        "target_platform": "x.post",
        "language": language,
        "key_points": [point],
        "facts": {"price": "249 EUR", "height": "73 cm"},
        "url": "https://example.com/norr",
    }
    return CopywritingInput(**{**fields, **changes})


def write(asked: CopywritingInput) -> tuple[Draft, ...]:
    """Write the drafts of a request."""
    prompt = build_prompt(compile_brief(asked), nonce="n")
    completion: Completion = asyncio.run(PhraseBank().complete(prompt))
    return completion.drafts


@cache
def bank_file(tag: str) -> dict[str, Any]:
    """Read one bank."""
    data: dict[str, Any] = json.loads((PHRASES / f"{tag}.json").read_text(encoding="utf-8"))
    return data


class TestPhraseBankAsProvider(ProviderContract):
    """It keeps the contract of every provider."""

    def make(self) -> PhraseBank:
        """Give the provider."""
        return PhraseBank()


def test_twelve_languages_are_spoken() -> None:
    """The bank speaks at least the twelve languages of the docs."""
    assert set(TWELVE) <= set(spoken())


@pytest.mark.parametrize("tag", TWELVE)
def test_every_bank_keeps_the_authors_contract(tag: str) -> None:
    """Cells are full, slots stand where they may, nothing is typed wrong: the lint finds nothing."""
    assert lint(bank_file(tag)) == []


def test_the_lint_finds_faults() -> None:
    """A short cell, a strange slot, an exclamation mark, a digit and a repeated frame are all told."""
    bank = json.loads(json.dumps(bank_file("en")))
    cell = bank["frames"]["attention"]["formal"]
    cell["s"][:] = ["Look here!", "Model {size}.", "Number 7.", "Number 7."]
    told = "\n".join(lint(bank))
    for fault in ("4 short frames", "no contract", "exclamation mark", "digit", "stands in"):
        assert fault in told


@pytest.mark.parametrize("tag", TWELVE)
def test_authored_words_claim_nothing(tag: str) -> None:
    """No frame and no call, with its slots filled by plain names, breaks a claim rule of its language."""
    brief = compile_brief(request(tag, target_platform="facebook.post"))
    checker = Checker(brief)
    spec = brief.fields[0]
    wrong = []
    texts = [text for _, _, _, text in frames(bank_file(tag))]
    texts += [
        call for levels in bank_file(tag)["cta"].values() for calls in levels.values() for call in calls
    ]
    for text in texts:
        filled = re.sub(r"\{\w+\}", "Norr", text)
        for violation in checker.text(spec, filled, spec.name):
            if violation.rule.startswith("L-") or violation.rule in ("C-03", "C-10", "M-15", "M-16"):
                wrong.append(f"{violation.rule}: {text} ({violation.message})")
    assert not wrong, "\n".join(wrong)


NASTY = [
    "iPhone 15 Pro Max", "WD-40", "Äpfel", "l’eau de toilette", "Hüte & Schals", "50 % Baumwolle", "E471", "7UP",
    "Los Ángeles", "a", "École", "ñu", "שולחן", "مكتب خشبي", "デスク", "书桌", "मेज़", "Straße", "pants", "scissors",
    "An hour of yoga for absolute beginners at home", "Kit: three brushes", "Mañana, siempre", "1/4-inch screws",
    "O’Neill", "d’Artagnan", "Žluťoučký kůň", "Œuvre", "Ångström", "Øl", "Łódź", "İstanbul", "ßeta", "Ça va", "œufs frais",
]  # fmt: skip


@pytest.mark.parametrize("tag", TWELVE)
def test_any_noun_stands_unchanged_in_every_frame(tag: str) -> None:
    """
    Plural, any gender, vowel starts, digits, other scripts, right-to-left inside left-to-right, one to eight
    words: the noun comes out as it went in, the frame around it stays whole, NFC, without doubled marks or spaces.
    """
    bank = bank_for(catalog.language(tag))
    assert bank is not None
    dice = random.Random(7)
    for cell in bank.cells.values():
        for frame in cell:
            noun = dice.choice(NASTY)
            text = frame.text.format(name=noun, item=noun, label=noun, point=noun, points=f"{noun}, {noun}")
            assert unicodedata.is_normalized("NFC", text)
            assert "  " not in text
            assert text == text.strip()
            assert not re.search(r"[.?!:,;。？：、]{2}", text), text
            if frame.slots:
                assert noun in text
            assert "{" not in text.replace(noun, "")


@pytest.mark.parametrize("structure", [s.id for s in catalog.structures()])
def test_structures_give_their_steps_in_order(structure: str) -> None:
    """With room, a long text carries every step of its structure, each named, in order, each in the text."""
    found = catalog.structure(structure)
    brief = compile_brief(request(target_platform="linkedin.post"))
    brief = replace(brief, use_case=replace(brief.use_case, structures=(structure,)))
    bank = bank_for(brief.language)
    assert bank is not None
    (draft,) = write_drafts(brief, bank, 1)
    assert draft.structure == structure
    assert [part.step for part in draft.parts] == list(found.steps)
    text = draft.fields["text"]
    assert isinstance(text, str)
    positions = [text.find(part.text.split("\n")[0][:25]) for part in draft.parts]
    assert -1 not in positions
    assert positions == sorted(positions)


@pytest.mark.parametrize("tag", TWELVE)
def test_every_placement_is_filled_without_an_error(tag: str) -> None:
    """All placements of the catalogue, in this language: no error-severity violation, no hard limit exceeded."""
    wrong = []
    for placement in catalog.placements():
        if all(spec.role == "info" for spec in placement.fields):
            continue
        asked = request(tag, target_platform=placement.id)
        brief = compile_brief(asked)
        checker = Checker(brief)
        for draft in write(asked):
            wrong += [
                f"{placement.id} {v.field}: {v.rule} {v.message}"
                for v in checker.draft(draft)
                if v.severity == "error"
            ]
            if not draft.fields:
                wrong.append(f"{placement.id}: nothing written")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("tone", [t.id for t in catalog.tones()])
def test_every_tone_writes_and_sounds_its_own(tone: str) -> None:
    """Each tone draws from its own family: its draft passes, and no error is found."""
    asked = request(tone=tone, target_platform="instagram", variants=2)
    brief = compile_brief(asked)
    drafts = write(asked)
    assert drafts[0].fields["text"] != drafts[1].fields["text"]
    assert not [v for draft in drafts for v in Checker(brief).draft(draft) if v.severity == "error"]


def test_tones_of_different_families_share_no_opening() -> None:
    """The first lines of nine tones, one of each family, are nine different lines."""
    by_family = {tone.family: tone.id for tone in catalog.tones()}
    assert set(by_family) == set(FAMILIES)
    openings = {
        str(write(request(tone=tone, target_platform="linkedin.post"))[0].fields["text"]).split("\n")[0]
        for tone in by_family.values()
    }
    assert len(openings) == len(FAMILIES)


@pytest.mark.parametrize("tag", TWELVE)
def test_headlines_of_a_set_say_different_things(tag: str) -> None:
    """Fifteen headlines are asked for; what comes is without repeats and within thirty display columns."""
    from copykit.drafts.measure import measure

    headlines = write(request(tag, target_platform="google_ads.rsa"))[0].fields["headlines"]
    assert isinstance(headlines, list)
    assert len(headlines) >= 8
    assert len({h.casefold() for h in headlines}) == len(headlines)
    assert all(measure(h, "dw") <= 30 for h in headlines)
    assert not any(h.endswith((".", "。", "!")) for h in headlines)


def test_a_set_holds_only_as_much_as_the_brief_says() -> None:
    """A brief of one word gives fewer headlines than one with many facts, and never the same twice."""
    poor = write(
        CopywritingInput(product_description="Soap", target_platform="google_ads.rsa", creativity_level=0)
    )[0]
    rich = write(request(target_platform="google_ads.rsa"))[0]
    assert 3 <= len(poor.fields["headlines"]) <= len(rich.fields["headlines"])
    assert len(set(poor.fields["headlines"])) == len(poor.fields["headlines"])


def test_key_points_and_the_name_are_always_in_a_long_text() -> None:
    """Nothing the caller insists on is dropped for the sake of a phrase."""
    for seed in range(20):
        text = write(request(target_platform="facebook.post", seed=seed))[0].fields["text"]
        assert isinstance(text, str)
        assert "Norr" in text
        assert "cable tray" in text.casefold()
        assert "https://example.com/norr" in text


def test_what_a_restriction_forbids_is_not_written() -> None:
    """With 'no prices' no variant holds the price, with 'no emoji' none an emoji, with a banned word not the word."""
    asked = request(
        target_platform="instagram",
        tone="playful",
        restrictions=["no prices", "no emoji", "don't say desk"],
        product_description="Work table, oiled oak desk alternative",
        variants=6,
    )
    for draft in write(asked):
        text = json.dumps(draft.fields, ensure_ascii=False)
        assert "249" not in text
        assert not re.search(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]", text)
        assert "desk" not in text.casefold()


def test_variants_turn_the_structure_and_the_words() -> None:
    """Ten variants are ten different texts, over all structures of the use case."""
    drafts = write(request(target_platform="linkedin.post", variants=10))
    assert len({str(d.fields["text"]) for d in drafts}) == 10
    case = catalog.use_case(catalog.placement("linkedin.post").use_case)
    assert {d.structure for d in drafts} == set(case.structures)


def test_nothing_is_cut() -> None:
    """Under ever tighter limits every text still ends where a phrase ends, or the field is left out."""
    for limit in range(20, 281, 10):
        text = write(request(fields={"text": {"limit": limit}}))[0].fields.get("text")
        if text is not None:
            assert isinstance(text, str)
            assert len(text) <= limit + 23
            assert re.search(r"(?:[.?!:…]|https://example\.com/norr|#\w+)$", text), text


def test_a_name_longer_than_a_field_is_left_out_of_it() -> None:
    """An overlong product name never breaks a headline; the other headlines come without it."""
    name = "The Incomparably Verbose Manufactory of Northern Writing Furniture"
    headlines = write(request(product_name=name, target_platform="google_ads.rsa"))[0].fields["headlines"]
    assert len(headlines) >= 3
    assert all(name not in headline for headline in headlines)


@pytest.mark.parametrize("tag", ["sv", "ru", "pt-PT", "zh-Hant", "th"])
def test_other_languages_are_refused_in_a_sentence(tag: str) -> None:
    """The error says that the phrase bank does not speak the language yet and what it speaks."""
    with pytest.raises(InvalidRequest, match=r"does not speak .* yet; it speaks"):
        write(CopywritingInput(product_description="Oak desk", target_platform="x", language=tag))


@pytest.mark.parametrize(("regional", "base"), [("es-MX", "es"), ("en-GB", "en"), ("fr-CA", "fr")])
def test_regional_tags_use_their_language_s_bank(regional: str, base: str) -> None:
    """A region's tag is served by the language's bank."""
    assert bank_for(catalog.language(regional)).language == base  # type: ignore[union-attr]


def test_a_greeting_carries_the_merge_token() -> None:
    """With a first name to personalise, an e-mail opens with a greeting that holds the token."""
    body = write(request(target_platform="email", personalization={"first_name": "Maximilian"}))[0].fields
    assert str(body["body_html"]).startswith("Dear {{first_name}},")


def test_an_exclamation_is_one_sentence() -> None:
    """The tone's mark ends the first sentence of a text; in Spanish the opening one stands before it alone."""
    found = [
        text
        for seed in range(20)
        for draft in write(
            request("es", target_platform="facebook.post", tone="enthusiastic", seed=seed, variants=3)
        )
        if "!" in (text := str(draft.fields["text"]))
    ]
    assert len(found) > 5
    for text in found:
        assert re.match(r"¡[^.!\n]+!\s", text), text
        assert text.count("!") == 1


def test_the_dice_are_the_same_everywhere() -> None:
    """Known draws of a known seed, so that copy does not depend on the machine."""
    dice = Dice.from_text("copykit")
    assert [dice.below(1000) for _ in range(5)] == DRAWS
    assert dice.fork(1).below(10**9) == Dice.from_text("copykit").fork(1).below(10**9)


DRAWS = [417, 424, 846, 56, 639]


def test_functions_and_families_of_the_catalogue_are_those_of_the_bank() -> None:
    """Structures map to the bank's functions and tones to its families, nothing else."""
    assert {f for s in catalog.structures() for f in s.functions} <= set(FUNCTIONS)
    assert {t.family for t in catalog.tones()} == set(FAMILIES)


def test_headline_sets_hold_the_call_and_the_keywords() -> None:
    """The caller's call to action and keywords are headlines of an ad set; what found no place is named."""
    output = sync.generate(
        request(
            target_platform="google_ads.rsa",
            call_to_action="Grab yours",
            keywords=["standing desk"],
            target_audience="home office workers and everyone who likes to write at length",
        )
    )
    headlines = output.variants[0].fields["headlines"]
    assert {"Grab yours", "Standing desk"} <= set(headlines)
    left = [note for note in output.info if "no field of google_ads.rsa" in note]
    assert len(left) == 1
    assert left[0].startswith("target_audience 'home office workers")


def test_a_model_of_the_phrase_bank_is_refused() -> None:
    """`phrasebank:foo` names nothing that exists."""
    with pytest.raises(InvalidRequest, match="has none"):
        sync.generate(request(provider="phrasebank:foo"))


def test_what_is_left_unsaid_is_reported() -> None:
    """A name no field can hold, no noun at all, and drafts that are the same: each is told."""
    long = sync.generate(product_description="Oak desk", product_name="N" * 300, target_platform="x.post")
    assert any(note.startswith("product_name 'NNN") and "no field" in note for note in long.info)
    bare = sync.generate(product_description="123", target_platform="x.post")
    assert any(v.rule == "C-08" and "no noun" in v.message for v in bare.variants[0].violations)
    small = sync.generate(
        product_description="Oak desk", target_platform="google_ads.video_bumper", variants=20
    )
    assert any("20 variants" in note for note in small.info)


def test_a_spoken_address_does_not_spoil_an_arabic_script() -> None:
    """A host without its scheme is the caller's own word, not a foreign language."""
    output = sync.generate(
        product_description=BRIEFS["ar"][0],
        target_platform="audio.radio_30",
        language="ar",
        url="https://norr.example/d",
    )
    assert output.variants[0].status == "ok"
    assert "norr.example/d" in output.text


def test_pinterest_s_link_field_holds_the_link() -> None:
    """The rule against links is for the texts, not for the field that is made for one."""
    output = sync.generate(request(target_platform="pinterest.pin", url="https://norr.example/d"))
    assert output.variants[0].fields["link"] == "https://norr.example/d"
    assert not [v for v in output.variants[0].violations if v.rule == "pinterest-no-links"]


ONE_LINE = [
    "google_ads.demand_gen_carousel", "reddit.ad", "reddit.carousel_ad", "instagram.story", "facebook.reel",
    "snapchat.ad", "microsoft_ads.audience", "tiktok.in_feed_ad", "google_merchant.promotion", "display.static_banner",
]  # fmt: skip


@pytest.mark.parametrize("placement", ONE_LINE)
def test_short_placements_say_a_key_point_and_the_name(placement: str) -> None:
    """Where no body carries them, the roomiest short field says key points, and one field the name."""
    brief = request(target_platform=placement, key_points=["Cable tray", "Easy to assemble"], variants=6)
    for variant in sync.generate(brief).variants:
        found = {v.rule for v in variant.violations if v.severity != "info"}
        assert not found & {"C-01", "C-08"}, variant.fields


@pytest.mark.parametrize("language", TWELVE)
def test_a_post_names_the_thing_once(language: str) -> None:
    """A name that says all is not said in two neighbouring lines, nor alone in mid-text."""
    brief = CopywritingInput(
        product_description="Norr",
        product_name="Norr",
        target_platform="meta.feed_ad",
        language=language,
        variants=6,
    )
    for variant in sync.generate(brief).variants:
        text = "".join(variant.fields["primary_text"])
        sentences = [s for s in re.split(r"(?<=[.?!。？！।؟])\s*", text) if s]
        named = ["Norr" in s for s in sentences]
        assert not any(a and b for a, b in pairwise(named)), text
        assert not any(s.strip(".。। ") == "Norr" for s in sentences), text


@pytest.mark.parametrize(
    ("sentence", "tag", "presents"),
    [
        ("Introducing the Norr desk, made for small rooms.", "en", True),
        ("Meet the Norr desk.", "en", True),
        ("The desk is made of oak.", "en", False),
        ("Presentamos el escritorio Norr.", "es", True),
        ("Apresentamos a escrivaninha.", "pt-BR", True),
        ("Przedstawiamy biurko Norr.", "pl", True),
        ("Oto biurko.", "pl", True),
        ("Otomana jest miękka.", "pl", False),
        ("ノルをご紹介します。", "ja", True),
        ("オーク材で作られています。", "ja", False),
        ("介绍诺尔书桌。", "zh-Hans", True),
        ("नोर का परिचय, छोटे कमरों के लिए।", "hi", True),
    ],
)
def test_introductions_are_known(sentence: str, tag: str, presents: bool) -> None:
    """A sentence that only presents the thing is not quoted behind a line that named it."""
    assert introduces(sentence, tag) is presents


def test_a_bare_measure_says_what_it_measures() -> None:
    """A figure with its unit stands in no list without its kind, and not beside the fact that states it."""
    bare = CopywritingInput(
        product_description="Oak desk, 120x60 cm, oiled",
        product_name="Norr",
        target_platform="linkedin",
        variants=9,
    )
    texts = [v.text for v in sync.generate(bare).variants]
    assert any("size 120x60 cm" in text.lower() for text in texts)
    assert not any(re.search(r"(?<!size )(?<!size: )120x60", text.lower()) for text in texts), texts


def test_a_name_s_own_full_stop_is_not_doubled() -> None:
    """A name that ends in a full stop closes the sentence that it ends."""
    brief = request(product_name="Norr Co.", target_platform="email", variants=6)
    for variant in sync.generate(brief).variants:
        assert ".." not in variant.text.replace("...", "")


def test_a_template_s_variable_is_no_invented_number() -> None:
    """WhatsApp's {{1}} in the greeting neither counts as a placeholder nor as a figure."""
    brief = request(target_platform="whatsapp.template", personalization={"first_name": "Ana"})
    variant = sync.generate(brief).variants[0]
    assert variant.status != "rejected"
    assert "{{1}}" in variant.fields["body"]


def test_braces_in_a_description_are_not_taken_apart() -> None:
    """What stands between braces is one piece, as between brackets: half of it would be refused everywhere."""
    brief = CopywritingInput(product_description="a set {1, 2} of desks (90%)", target_platform="x.post")
    assert sync.generate(brief).variants[0].status == "ok"


def test_additives_are_no_argument_in_a_post() -> None:
    """A list with additives stands in a listing, not in a post; one that repeats the name stands nowhere."""
    facts = {"ingredients": "water, sugar, colour (E153)"}
    brief = CopywritingInput(
        product_description="Lemonade", product_name="Sol", target_platform="x.post", facts=facts, variants=6
    )
    assert all("E153" not in v.text for v in sync.generate(brief).variants)
    listed = brief.model_copy(update={"target_platform": "shopify.product"})
    assert any("E153" in v.text for v in sync.generate(listed).variants)
    same = brief.model_copy(update={"product_name": "Lentils", "facts": {"ingredients": "lentils"}})
    assert all("ngredients" not in v.text for v in sync.generate(same).variants)


@pytest.mark.parametrize("language", TWELVE)
def test_phrases_that_repeat_a_word_come_last(language: str) -> None:
    """Of a cell's unused frames, those that hold a content word of what the variant said stand behind the others."""
    brief = compile_brief(request(language))
    bank = bank_for(brief.language)
    assert bank is not None
    chooser = Chooser(Material.of(brief, bank), Dice(7))
    chooser.new_variant(0)
    mixed = 0
    for function in ("attention", "interest", "solution", "action"):
        for frame in list(chooser.offers(function, short=True))[:3]:
            chooser.take(frame)
        offered = list(chooser.offers(function, short=True))
        fresh = [chooser.echoes(frame.text) for frame in offered if chooser.is_fresh(frame)]
        assert fresh == sorted(fresh)
        mixed += len(set(fresh)) == 2
    assert mixed  # both kinds were there to be told apart
    chooser.new_variant(1)
    assert not any(chooser.echoes(frame.text) for frame in chooser.offers("attention", short=True))


@pytest.mark.parametrize("language", ["en", "de", "it"])
def test_no_asset_of_a_set_leans_on_another(language: str) -> None:
    """The platform shows assets in any order: none begins with "then", "that is why" or their like (rule M-13)."""
    for tone in ("storytelling", "professional"):
        brief = request(language, target_platform="google_ads.rsa", tone=tone, variants=6)
        found = [
            v for variant in sync.generate(brief).variants for v in variant.violations if v.rule == "M-13"
        ]
        assert not found
