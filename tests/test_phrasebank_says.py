"""What the phrase bank says of a brief: each thing once, beside its noun, where a reader can act on it."""

from __future__ import annotations

import re

import pytest

from copykit import CopywritingInput, sync
from copykit.brief import catalog
from copykit.brief.compile import compile_brief
from copykit.drafts.brief_language import reads_otherwise
from copykit.models import CopyVariant
from copykit.providers.phrasebank.bank import bank_for, spoken
from copykit.providers.phrasebank.choose import Chooser
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material


def written(**brief: object) -> CopyVariant:
    """Write one variant of a brief."""
    return sync.generate(brief).variants[0]


def material(description: str, language: str = "en", **more: object) -> Material:
    """Prepare a brief for a post."""
    asked = {"product_description": description, "target_platform": "instagram", "language": language, **more}
    brief = compile_brief(CopywritingInput(**asked))
    bank = bank_for(brief.language)
    assert bank is not None
    return Material.of(brief, bank)


def test_a_lone_adjective_stands_beside_its_noun() -> None:
    """ "Oiled" of "Oak desk, oiled" follows no colon; of two words either may stand in a list, and a key point anywhere."""
    for seed in range(12):
        variant = written(product_description="Oak desk, oiled", target_platform="google_ads.rsa", seed=seed)
        texts = [*variant.fields["headlines"], *variant.fields["descriptions"]]
        assert all("oiled" not in text.lower() or "Oak desk, oiled" in text for text in texts), texts
    assert material("Oak desk, oiled").single_points == ()
    assert material("Oak desk, oiled, two drawers").said_points == ("oiled", "two drawers")
    assert material("Oak desk", key_points=["Oiled"]).single_points == ("Oiled",)


@pytest.mark.parametrize(
    ("description", "name", "language", "platform"),
    [
        ("B2B payroll software for companies with 10 to 200 employees", "Payo", "en", "linkedin"),
        ("B2B payroll software for companies with 10 to 200 employees", "Payo", "en", "facebook"),
        ("Wasserdichte Wanderschuhe mit Vibram-Sohle", "Alpin", "de", "facebook"),
        ("Cafetera italiana de aluminio para 6 tazas", "", "es", "instagram"),
        ("Lampe de bureau en laiton pour la lecture", "", "fr", "instagram"),
    ],
)
def test_what_a_preposition_binds_is_said_once_with_its_noun(
    description: str, name: str, language: str, platform: str
) -> None:
    """The description's phrase stands whole or in two pieces, and its noun is not said again to finish it."""
    for seed in range(8):
        variant = written(
            product_description=description,
            product_name=name or None,
            language=language,
            target_platform=platform,
            seed=seed,
        )
        noun = compile_brief(
            CopywritingInput(product_description=description, language=language, target_platform=platform)
        ).item
        complement = description[len(noun) :].strip()
        text = re.sub(r"[#]\w+", "", str(variant.fields["text"])).casefold()
        assert text.count(complement.casefold()) == 1, text
        if name:
            assert text.count(noun.casefold()) <= 1, text


def test_a_key_point_that_the_noun_says_is_not_said_again() -> None:
    """ "Waterproof" beside "Waterproof hiking boots" is no second thing to say, in any form of the word."""
    assert material("Waterproof hiking boots", key_points=["Waterproof", "Vibram sole"]).said_points == (
        "Vibram sole",
    )
    assert material("Wasserdichte Wanderschuhe", "de", key_points=["Wasserdicht", "Leicht"]).said_points == (
        "Leicht",
    )


@pytest.mark.parametrize("tag", spoken())
def test_phrases_of_feeds_stand_in_no_search_ad(tag: str) -> None:
    """Nobody can send, share or scroll past a search ad, a listing, an e-mail: such phrases are for posts."""
    asked = {
        "product_description": "x",
        "product_name": "Norr",
        "language": tag,
        "tone": "playful",
        "key_points": ["A", "B"],
    }
    feed = set()
    for platform in ("google_ads.rsa", "email", "web.page", "instagram"):
        brief = compile_brief(CopywritingInput(**asked, target_platform=platform, creativity_level=1.0))
        bank = bank_for(brief.language)
        assert bank is not None
        chooser = Chooser(Material.of(brief, bank), Dice.from_text("x"))
        frames = {
            f.text
            for function in ("attention", "problem", "desire", "action")
            for f in chooser.offers(function, short=False)
        }
        if platform == "instagram":
            assert frames > feed
        else:
            feed |= frames


@pytest.mark.parametrize("tag", spoken())
def test_an_impersonal_call_stands_in_its_own_tones_alone(tag: str) -> None:
    """ "To compare, to choose" is no call beside "your day": the action of other tones borrows nothing."""
    brief = compile_brief(
        CopywritingInput(
            product_description="x",
            product_name="Norr",
            language=tag,
            tone="inspirational",
            target_platform="instagram",
            creativity_level=1.0,
        )
    )
    bank = bank_for(brief.language)
    assert bank is not None
    for short in (True, False):
        offered = Chooser(Material.of(brief, bank), Dice.from_text("x")).offers("action", short=short)
        assert not any(frame.borrowed for frame in offered)
    assert catalog.tone("inspirational").family != "plain"


@pytest.mark.parametrize("tag", [tag for tag in spoken() if tag not in ("ar", "hi", "ja", "zh-Hans")])
def test_few_phrases_ask_with_this_and_a_colon(tag: str) -> None:
    """ "Does this belong there: X?" is nobody's question: at most a handful of frames ends in a colon, a name and "?"."""
    from copykit.brief.catalog import language

    bank = bank_for(language(tag))
    assert bank is not None
    stilted = [
        f.text
        for cell in bank.cells.values()
        for f in cell
        if re.search(r":\s*\{\w+\}[\s\u00a0\u202f]*\?", f.text)
    ]
    assert len(stilted) <= 12, stilted


@pytest.mark.parametrize(
    ("language", "description", "told"),
    [
        ("de", "Waterproof hiking boots with Vibram sole", "en"),
        ("es", "Oak desk with cable tray", "en"),
        ("en", "Cafetera italiana de aluminio para 6 tazas", "es"),
        ("ja", "Waterproof hiking boots with Vibram sole", "another script"),
        (
            "zh",
            "Arctic Cozy Knit Unisex Beanie是您在寒冷的月份保持温暖的帽子。采用柔软耐用的针织混纺材料制成。",
            "",
        ),
        ("hi", "Tiramisu restorante", ""),
        ("de", "Sneaker Canvas Low Top White", ""),
        ("de", "Smart Home Hub with Alexa", ""),
        ("de", "T-Shirt Run for Fun, Baumwolle", ""),
        ("es", "Set de regalo The Body Shop", ""),
        ("it", "Smartphone Galaxy S24 Ultra 256GB", ""),
        ("en", "Café de Flore espresso beans", ""),
        ("en", "Oak desk, oiled", ""),
    ],
)
def test_a_brief_in_another_language_is_told(language: str, description: str, told: str) -> None:
    """The phrase bank cannot translate: it warns (B-02) that copy will mix two languages; names alarm nobody."""
    asked = CopywritingInput(product_description=description, language=language, target_platform="instagram")
    assert reads_otherwise(compile_brief(asked)) == told
    found = [v for v in sync.generate(asked).variants[0].violations if v.rule == "B-02"]
    assert [v.severity for v in found] == (["warning"] if told else [])


def test_copy_that_says_nothing_of_the_brief_is_rejected() -> None:
    """Phrases alone, however pleasant, are an error (C-26) for a brief that holds a name or a fact."""
    from copykit.drafts.check import Checker
    from copykit.drafts.draft import Draft

    brief = compile_brief(
        CopywritingInput(
            product_description="Our new espresso machine makes coffee.", target_platform="facebook"
        )
    )
    bare = Checker(brief).draft(Draft({"text": "Take in the detail.\nLinger a moment.\nDiscover more."}))
    assert "C-26" in {v.rule for v in bare if v.severity == "error"}
    told = Checker(brief).draft(Draft({"text": "Espresso machine. Simply that."}))
    assert "C-26" not in {v.rule for v in told}
