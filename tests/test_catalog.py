"""The catalogue: whole data files, names as people write them, figures as they were published."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict
from datetime import date
from typing import Any

import pytest
import regex
from typer.testing import CliRunner

from copykit import data
from copykit.brief import catalog
from copykit.cli.catalog import app
from copykit.errors import InvalidRequest

PLATFORMS = [name for name in data.names("platforms", ".toml") if name != "index"]
LETTERS = set("ABMCU")
ON_EXCEED = {"reject", "truncate", "fold", "ignored"}
FAMILIES = {"formal", "plain", "refined", "warm", "lively", "sharp", "uplift", "direct", "story"}

HEADER_KEYS = {"name", "kind", "casing", "emoji", "hashtags", "links", "rules", "token_syntax", "note"}
PLACEMENT_KEYS = HEADER_KEYS | {"use_case", "independent", "rules_more", "fields"}
FIELD_KEYS = {
    "name", "role", "count", "rec_count", "required", "limits", "choices", "rules", "note",
    "conf", "source", "date", "on_exceed",
}  # fmt: skip
LIMIT_KEYS = {
    "unit", "hard", "rec_min", "rec_max", "conf", "src", "date", "on_exceed", "from", "regions", "exempt",
    "note", "emoji_double", "link_length",
}  # fmt: skip
POLICY_KEYS = {"hard", "rec", "conf", "src", "note"}


def source_ids() -> set[str]:
    text = data.load_text("SOURCES.md")
    return set(re.findall(r"^\| (S\d+[a-f]?) \|", text, flags=re.MULTILINE))


def split(ids: str) -> list[str]:
    return [] if ids == "-" else [part.strip() for part in ids.split(",")]


def rules() -> dict[str, dict[str, Any]]:
    return data.load_toml("rules/editorial.toml")


def tables(path: str) -> dict[str, dict[str, Any]]:
    return {key: value for key, value in data.load_toml(path).items() if isinstance(value, dict)}


def local_tables(platform: str) -> dict[str, dict[str, Any]]:
    return {key: row for key, row in tables(f"platforms/{platform}.toml").items() if "fields" in row}


# --- the data files -------------------------------------------------------------------------------


def test_the_shelves_hold_what_is_promised() -> None:
    """33 platforms, 90 placements, 41 tags, 28 tones, 48 use cases, 18 structures and three more."""
    assert len(PLATFORMS) == 33
    assert len(catalog.placements()) == len(catalog.placement_ids()) == 90
    assert len(catalog.languages()) == 41
    assert len(catalog.tones()) == 28
    assert len(catalog.use_cases()) == 48
    assert len(catalog.structures()) == 21


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_file_has_no_unknown_key(platform: str) -> None:
    """A misspelt key would be dropped in silence, so every key must be one that the loader reads."""
    whole = data.load_toml(f"platforms/{platform}.toml")
    found = local_tables(platform)
    header = {key: value for key, value in whole.items() if key not in found}
    assert header.keys() <= HEADER_KEYS
    for row in (header, *found.values()):
        assert row.keys() <= PLACEMENT_KEYS
        for key in ("emoji", "hashtags", "links"):
            assert row.get(key, {}).keys() <= POLICY_KEYS
        for spec in row.get("fields", ()):
            assert spec.keys() <= FIELD_KEYS, spec["name"]
            for limit in spec.get("limits", ()):
                assert limit.keys() <= LIMIT_KEYS, spec["name"]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_index_lists_what_the_platform_file_holds(platform: str) -> None:
    """Every placement of a file is in the index, in order; the default is one of them."""
    index = data.load_toml("platforms/index.toml")[platform]
    ids = [key if key == platform else f"{platform}.{key}" for key in local_tables(platform)]
    assert index["placements"] == ids
    assert index["default"] in ids


def test_the_index_knows_no_other_platform() -> None:
    """Entries of the index and files of the folder are the same set."""
    index = data.load_toml("platforms/index.toml")
    assert set(index) - {"placement_aliases"} == set(PLATFORMS)
    assert set(index["placement_aliases"].values()) <= set(catalog.placement_ids())


def test_no_alias_means_two_things() -> None:
    """Each platform alias stands once and hides no other platform's name."""
    index = data.load_toml("platforms/index.toml")
    said = [
        catalog._plain(a) for key, row in index.items() if key != "placement_aliases" for a in row["aliases"]
    ]
    said += [catalog._plain(alias) for alias in index["placement_aliases"]]
    said += [catalog._plain(platform) for platform in PLATFORMS]
    twice = {name for name in said if said.count(name) > 1}
    # An alias may repeat its own platform's name in another spelling.
    assert all(catalog.placement(name).platform == name.replace(" ", "_") for name in twice)


@pytest.mark.parametrize("entry", catalog.placements(), ids=lambda entry: entry.id)
def test_a_placement_is_whole(entry: catalog.Placement) -> None:
    """Kind, use case, rules, policies, fields and limits are of the known kinds, with sources that exist."""
    sources = source_ids()
    assert entry.kind in catalog.KINDS
    assert entry.casing in {"sentence", "title", "none"}
    assert catalog.use_case(entry.use_case).id == entry.use_case
    assert set(entry.rules) <= rules().keys()
    for policy in (entry.emoji, entry.hashtags, entry.links):
        assert policy.confidence in LETTERS
        assert set(split(policy.source)) <= sources
        if policy.hard_max is not None and policy.rec_max is not None:
            assert policy.rec_max <= policy.hard_max
    assert entry.fields
    names = [spec.name for spec in entry.fields]
    assert len(names) == len(set(names))
    assert any(spec.default_count for spec in entry.fields)
    for spec in entry.fields:
        assert entry.field(spec.name) is spec
        assert spec.role in catalog.ROLES
        assert 0 <= spec.min_count <= spec.default_count <= spec.max_count or spec.min_count == 0
        assert spec.default_count <= spec.max_count
        # An address is needed at upload; copy is whole without it, and only the brief can give one.
        assert spec.required == (spec.min_count > 0 and spec.role != "url")
        assert spec.role != "info" or spec.default_count == 0
        assert set(spec.rules) <= rules().keys()
        assert spec.confidence in LETTERS
        assert spec.on_exceed in ON_EXCEED
        assert set(split(spec.source)) <= sources
        assert not spec.choices or spec.role == "cta_choice"
        for limit in spec.limits:
            assert limit.unit in catalog.UNITS
            assert limit.confidence in LETTERS
            assert limit.on_exceed in ON_EXCEED
            assert set(split(limit.source)) <= sources
            assert limit.source != "-" or limit.confidence == "U"
            assert limit.source_date
            bounds = [b for b in (limit.rec_min, limit.rec_max, limit.hard) if b is not None]
            assert bounds, "a limit says something"
            assert bounds == sorted(bounds)


def test_fixed_lists_serve_every_intent() -> None:
    """Each call-to-action intent leads to a value of the list."""
    for name, row in tables("cta_choices.toml").items():
        assert set(row["intents"]) == set(catalog.CTA_INTENTS), name
        assert set(row["intents"].values()) <= set(row["values"]), name
    cta = catalog.placement("meta.feed_ad").field("cta")
    assert cta.choice_intents["donate"] == "Donate now"
    assert len(cta.choices) == 21


@pytest.mark.parametrize(("rule", "row"), rules().items())
def test_an_editorial_rule_is_whole(rule: str, row: dict[str, Any]) -> None:
    """Every rule has description, severity, scope, source and what its kind needs; patterns compile."""
    needs = {
        "pattern": "pattern", "characters": "characters", "phrases": "phrases", "total": "max",
        "code": "needs", "guidance": "description",
    }  # fmt: skip
    assert row["description"].endswith((".", ")"))
    assert row["severity"] in {"error", "warning", "info"}
    assert row["scope"] in {"text", "field", "draft"}
    assert row[needs[row["kind"]]]
    assert row["confidence"] in LETTERS
    assert set(split(row["source"])) <= source_ids()
    assert row["source"] != "-" or row["confidence"] == "U"
    if row["kind"] == "pattern":
        regex.compile(row["pattern"], regex.IGNORECASE if row.get("ignore_case") else 0)
    if row["kind"] == "total":
        assert row["unit"] in catalog.UNITS
    assert re.fullmatch(r"[a-z0-9-]+", rule)


def test_every_editorial_rule_is_used() -> None:
    """A rule holds for some placement or field, or is the emoji policy's under another name."""
    used = {rule for entry in catalog.placements() for rule in entry.rules}
    used |= {rule for entry in catalog.placements() for spec in entry.fields for rule in spec.rules}
    unused = rules().keys() - used
    assert {rules()[rule].get("same_as") for rule in unused} <= {"M-21"}


RULE_CASES = [
    ("google-punctuation", "Wow!! Now", "Wow! Now… a: b"),
    ("google-lookalike-letters", "Buy F.L.O.W.E.R.S", "U.S.A. made"),
    ("google-symbols", "Go → now", "A 5* hotel"),
    ("google-capitals", "BIG sale", "USB-C lamp"),
    ("google-mixed-case", "SoFtWaRe", "YouTube and DeLonghi"),
    ("google-no-phone", "Call 555-123-4567", "Rp1.234.567, 21.11.2026, 120 x 200 cm"),
    ("google-no-phone", "+34 612 345 678", "1 234 567 Ft"),
    ("google-tokens", "Buy {shoes}", "Buy {KeyWord:Shoes}"),
    ("whatsapp-variables", "Hi {{1 }}", "Hi {{1}} and {{first_name}}"),
    ("whatsapp-name", "Summer-Sale", "summer_sale_2"),
    ("amazon-title-decoration", "Lamp ~ oak ~", "Pack #4"),
    ("amazon-bullet-end", "Oak legs.", "Oak legs"),
    ("amazon-no-contact", "See B0ABCDEFGH", "Bowl of 10"),
    ("etsy-title-characters", "Mug 😀", "Mug, 50% oak & tin"),
    ("etsy-tag-characters", "mug!", "dad's mug-set"),
    ("email-fake-reply", "Re: your order", "Research: what we learned"),
    ("hashtag-not-digits", "#2026", "#autumn2026"),
    ("merchant-promotion-specific", "Spring sale", "Spring sale: 20% off from 3 items"),
    ("app-store-keywords-spaces", "run, walk", "run,walk"),
    ("google-play-title-shape", "Fun!! run", "Run: the map"),
    ("press-dateline", "MADRID, May", "MADRID, May 3, 2026"),
    ("linkedin-url-prefix", "example.com", "https://example.com"),
]


@pytest.mark.parametrize(("rule", "bad", "good"), RULE_CASES)
def test_a_pattern_tells_bad_from_good(rule: str, bad: str, good: str) -> None:
    """The pattern matches the text that breaks the rule and leaves the other alone."""
    row = rules()[rule]
    pattern = regex.compile(row["pattern"], regex.IGNORECASE if row.get("ignore_case") else 0)
    allowed = set(row.get("allow", ()))
    assert [m for m in pattern.finditer(bad) if m.group() not in allowed]
    assert not [m for m in pattern.finditer(good) if m.group() not in allowed]


@pytest.mark.parametrize("entry", catalog.languages(), ids=lambda entry: entry.tag)
def test_a_language_is_whole(entry: catalog.Language) -> None:
    """Script, direction, quotes, address, number forms and cautions are all there."""
    assert entry.direction == ("rtl" if entry.script in {"Arab", "Hebr"} else "ltr")
    assert all(len(mark) == 1 for mark in entry.quotes)
    assert len(entry.quotes) == 4
    assert entry.headline_casing in {"sentence", "title", "none"}
    assert (entry.headline_casing == "none") == (entry.script not in {"Latn", "Cyrl", "Grek"})
    assert entry.spaces_between_words == (entry.tag not in {"ja", "zh-Hans", "zh-Hant", "th"})
    assert set(entry.formality) == set("FNC")
    assert all(entry.formality.values())
    assert entry.decimal != entry.group
    assert entry.grouping in {"3", "3;2"}
    assert "{n}" in entry.percent
    assert "{n}" in entry.currency
    assert "{symbol}" in entry.currency
    assert re.fullmatch(r"[A-Z]{3}", entry.currency_code)
    assert entry.currency_digits in {0, 2}
    assert len(entry.digits) in {0, 10}
    assert not entry.digits or [int(digit) for digit in entry.digits] == list(range(10))
    assert entry.label_expansion is not None
    assert -0.7 < entry.label_expansion < 0.4
    assert entry.cautions
    assert entry.reviewed is False


def test_tones_are_whole() -> None:
    """Axes, sentence lengths, families and addresses are in their ranges; all families are taken."""
    for entry in catalog.tones():
        assert all(-2 <= axis <= 2 for axis in entry.axes), entry.id
        assert entry.mean_sentence_words < entry.max_sentence_words, entry.id
        assert entry.contractions in {"yes", "no", "either"}, entry.id
        assert entry.address in set("FNC"), entry.id
        assert 0 <= entry.max_emoji <= 3, entry.id
        assert entry.signals, entry.id
        assert entry.avoid, entry.id
    assert {entry.family for entry in catalog.tones()} == FAMILIES
    for conflict in catalog.tone_conflicts():
        assert all(catalog.tone(name).id == name for name in conflict.tones)
        assert all(catalog.use_case(name).id == name for name in conflict.use_cases)


def test_structures_are_whole() -> None:
    """Every step has a function the phrase bank speaks; only the two filters are unordered."""
    for entry in catalog.structures():
        assert len(entry.steps) == len(entry.functions) >= 3, entry.id
        assert set(entry.functions) <= set(catalog.FUNCTIONS), entry.id
        assert entry.confidence in LETTERS, entry.id
        assert set(split(entry.source)) <= source_ids(), entry.id
    unordered = {entry.id for entry in catalog.structures() if not entry.ordered}
    assert unordered == {"4us", "4cs"} == {entry.id for entry in catalog.structures() if entry.filter}


def test_use_cases_are_whole() -> None:
    """Structures and intents exist; the two stated word bounds are there."""
    for entry in catalog.use_cases():
        assert entry.structures, entry.id
        assert all(catalog.structure(name).id == name for name in entry.structures), entry.id
        assert entry.cta_intents, entry.id
        assert set(entry.cta_intents) <= set(catalog.CTA_INTENTS), entry.id
        assert all(re.fullmatch(r"[a-z0-9_]+", fact) for fact in entry.required_facts), entry.id
    assert {e.id: e.max_words for e in catalog.use_cases() if e.max_words} == {
        "cold_outreach_email": 120,
        "tagline_slogan": 7,
    }


@pytest.mark.parametrize("path", ["tones.toml", "structures.toml", "use_cases.toml", "cta_choices.toml"])
def test_a_slice_of_a_file_reads_like_the_whole(path: str) -> None:
    """Reading one table alone gives what parsing the whole file gives."""
    text = data.load_text(path)
    assert {key: catalog._table(text, key) for key in tables(path)} == tables(path)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_slice_of_a_platform_reads_like_the_whole(platform: str) -> None:
    """Reading one placement alone gives what parsing the whole platform file gives."""
    text = data.load_text(f"platforms/{platform}.toml")
    found = local_tables(platform)
    assert {key: catalog._table(text, key) for key in found} == found


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("instagram", "instagram.caption"),
        ("  INSTAGRAM ", "instagram.caption"),
        ("Facebook", "facebook.post"),
        ("x", "x.post"),
        ("Twitter", "x.post"),
        ("LinkedIn", "linkedin.post"),
        ("Google Ads", "google_ads.rsa"),
        ("google-ads", "google_ads.rsa"),
        ("Microsoft Ads", "microsoft_ads.rsa"),
        ("email", "email"),
        ("E-mail", "email"),
        ("TikTok", "tiktok.caption"),
        ("web", "web.hero"),
        ("sms", "sms"),
        ("Push", "push.android"),
        ("YouTube", "youtube.video"),
        ("pinterest", "pinterest.pin"),
        ("meta", "meta.feed_ad"),
        ("amazon", "amazon.listing"),
        ("Google Shopping", "google_merchant.product"),
        ("App Store", "app_store.listing"),
        ("X.POST", "x.post"),
        ("Google Ads.RSA", "google_ads.rsa"),
        ("instagram reel", "instagram.reel"),
        ("Performance Max", "google_ads.pmax"),
        ("audio.radio_60", "audio.radio_60"),
    ],
)
def test_a_placement_is_found_as_people_write_it(name: str, expected: str) -> None:
    """Platforms mean their default placement; case, spaces and hyphens do not matter."""
    assert catalog.placement(name).id == expected
    assert catalog.placement(name) is catalog.placement(expected)


def test_every_id_finds_itself() -> None:
    """What the catalogue calls an entry is a name it answers to."""
    assert [catalog.placement(i).id for i in catalog.placement_ids()] == list(catalog.placement_ids())
    assert all(catalog.language(entry.tag) is entry for entry in catalog.languages())
    assert all(catalog.language(entry.name.lower()) is entry for entry in catalog.languages())
    assert all(catalog.language(entry.native_name) is entry for entry in catalog.languages())
    assert all(catalog.tone(entry.id.upper()) is entry for entry in catalog.tones())
    assert all(catalog.use_case(entry.id.replace("_", " ")) is entry for entry in catalog.use_cases())
    assert all(catalog.structure(entry.name) is entry for entry in catalog.structures())


def test_every_alias_finds_its_owner() -> None:
    """No alias of a tone or use case is taken by another."""
    for tone in catalog.tones():
        assert all(catalog.tone(alias) is tone for alias in tone.aliases)
    for use_case in catalog.use_cases():
        assert all(catalog.use_case(alias) is use_case for alias in use_case.aliases)


@pytest.mark.parametrize(
    ("tag", "expected", "region"),
    [
        ("en", "en", None),
        ("EN_us", "en", "US"),
        ("en-AU", "en-GB", "AU"),
        ("es", "es-ES", None),
        ("es-AR", "es-MX", "AR"),
        ("es_419", "es-MX", None),
        ("fr", "fr-FR", None),
        ("fr-BE", "fr-FR", "BE"),
        ("fr-ca", "fr-CA", "CA"),
        ("pt", "pt-BR", None),
        ("pt-AO", "pt-PT", "AO"),
        ("zh", "zh-Hans", None),
        ("zh-CN", "zh-Hans", "CN"),
        ("zh-TW", "zh-Hant", "TW"),
        ("zh-HK", "zh-Hant", "HK"),
        ("zh-hant-hk", "zh-Hant", "HK"),
        ("zh-Hans-HK", "zh-Hans", "HK"),
        ("no", "nb", None),
        ("tl", "fil", None),
        ("iw", "he", None),
        ("in", "id", None),
        ("de-AT", "de", "AT"),
        ("ar-SA", "ar", "SA"),
        ("Spanish", "es-ES", None),
        ("ESPAÑOL", "es-ES", None),
        ("Brazilian  Portuguese", "pt-BR", None),
        ("日本語", "ja", None),
        ("中文（简体）", "zh-Hans", None),
    ],
)
def test_a_language_is_found_by_its_likely_relative(tag: str, expected: str, region: str | None) -> None:
    """Bare, regional and odd tags and names lead to a tag of the catalogue; the asked region is kept."""
    assert catalog.language(tag).tag == expected
    assert catalog.region_of(tag) == region


@pytest.mark.parametrize(
    ("find", "name", "field", "nearest"),
    [
        (catalog.placement, "instagrm", "target_platform", "instagram"),
        (catalog.placement, "x.psot", "target_platform", "x.post"),
        (catalog.language, "spansh", "language", "spanish"),
        (catalog.tone, "inspirationl", "tone", "inspirational"),
        (catalog.tone, "plaful", "tone", "playful"),
        (catalog.tone, "chaty", "tone", "conversational"),
        (catalog.use_case, "product lanch", "use_case", "product_launch"),
        (catalog.structure, "aidaa", "structure", "aida"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(find: Any, name: str, field: str, nearest: str) -> None:
    """The error names the field, the value and a valid name; that name then works."""
    with pytest.raises(InvalidRequest) as caught:
        find(name)
    assert caught.value.field == field
    assert repr(name) in str(caught.value)
    assert caught.value.nearest[0] == nearest
    find(caught.value.nearest[0])


@pytest.mark.parametrize(
    "find", [catalog.placement, catalog.language, catalog.tone, catalog.use_case, catalog.structure]
)
@pytest.mark.parametrize(
    "name", ["", "   ", "\x00", "placement_aliases", "index", "../index", "[x]", "q" * 100_000]
)
def test_nonsense_is_refused(find: Any, name: str) -> None:
    """Empty, hostile and endless names are unknown names, nothing else."""
    with pytest.raises(InvalidRequest):
        find(name)


# --- figures --------------------------------------------------------------------------------------

# placement, field, unit, hard, confidence: each read off the collected facts by hand.
FIGURES: list[tuple[str, str, str, float | None, str]] = [
    ("google_ads.rsa", "headlines", "dw", 30, "A"),
    ("google_ads.rsa", "descriptions", "dw", 90, "A"),
    ("google_ads.rsa", "path1", "dw", 15, "B"),
    ("google_ads.rsa", "final_url", "cp", 2048, "C"),
    ("google_ads.pmax", "long_headlines", "dw", 90, "A"),
    ("google_ads.pmax", "business_name", "dw", 25, "A"),
    ("google_ads.demand_gen_image", "headlines", "dw", 30, "A"),
    ("google_ads.demand_gen_carousel", "headline", "dw", 40, "A"),
    ("google_ads.responsive_display", "call_to_action_text", "dw", 30, "A"),
    ("google_ads.video_non_skippable", "headline", "dw", 15, "A"),
    ("google_ads.video_instream", "call_to_action", "dw", 10, "A"),
    ("google_ads.video_infeed", "description1", "dw", 35, "A"),
    ("google_ads.callout", "text", "dw", 25, "U"),
    ("microsoft_ads.audience", "business_name", "dw", 25, "C"),
    ("apple_ads.search_results", "subtitle", "cp", 30, "A"),
    ("meta.feed_ad", "primary_text", "u16", 2200, "C"),
    ("meta.feed_ad", "headline", "u16", 40, "C"),
    ("meta.carousel_ad", "card_descriptions", "u16", 20, "C"),
    ("facebook.post", "text", "u16", 63206, "C"),
    ("instagram.caption", "text", "u16", 2200, "B"),
    ("instagram.bio", "bio", "u16", 150, "B"),
    ("threads.post", "text", "threads", 500, "A"),
    ("threads.post", "text_attachment", "threads", 10000, "A"),
    ("whatsapp.template", "body", "cp", 1024, "A"),
    ("whatsapp.template", "header_text", "cp", 60, "A"),
    ("whatsapp.template", "name", "cp", 512, "C"),
    ("x.post", "text", "xw", 280, "A"),
    ("x.long_post", "text", "cp", 25000, "B"),
    ("x.ad_conversation", "headline", "u16", 23, "C"),
    ("bluesky.post", "text", "gr", 300, "A"),
    ("bluesky.post", "text", "u8", 3000, "A"),
    ("mastodon.post", "text", "gr", 500, "A"),
    ("telegram.channel_post", "text", "u16", 4096, "B"),
    ("telegram.media_caption", "caption", "u16", 1024, "B"),
    ("reddit.ad", "headline", "cp", 300, "B"),
    ("linkedin.single_image_ad", "introductory_text", "u16", 3000, "B"),
    ("linkedin.message_ad", "body", "u16", 1500, "B"),
    ("linkedin.conversation_ad", "intro_message", "u16", 8000, "B"),
    ("linkedin.post", "text", "u16", 3000, "B"),
    ("tiktok.in_feed_ad", "ad_text", "dw", 100, "A"),
    ("tiktok.caption", "text", "u16", 2200, "A"),
    ("youtube.video", "title", "cp", 100, "A"),
    ("youtube.video", "description", "u8", 5000, "A"),
    ("pinterest.pin", "description", "cp", 800, "B"),
    ("snapchat.ad", "headline", "u16", 34, "A"),
    ("snapchat.story_tile", "headline", "u16", 55, "C"),
    ("amazon.listing", "item_highlights", "cp", 125, "C"),
    ("amazon.listing", "bullet_points", "cp", 255, "C"),
    ("amazon.listing", "search_terms", "u8", 249, "C"),
    ("amazon.listing", "description", "u8", 2000, "C"),
    ("etsy.listing", "title", "cp", 140, "A"),
    ("etsy.listing", "tags", "cp", 20, "A"),
    ("ebay.listing", "title", "cp", 80, "A"),
    ("google_merchant.product", "title", "cp", 150, "A"),
    ("google_merchant.product", "description", "cp", 5000, "B"),
    ("google_merchant.promotion", "long_title", "cp", 60, "A"),
    ("shopify.product", "meta_description", "cp", 320, "B"),
    ("app_store.listing", "keywords", "u8", 100, "B"),
    ("app_store.listing", "promotional_text", "cp", 170, "B"),
    ("app_store.iap", "name", "cp", 35, "B"),
    ("app_store.in_app_event", "long_description", "cp", 120, "B"),
    ("google_play.listing", "title", "cp", 30, "B"),
    ("google_play.listing", "short_description", "cp", 80, "B"),
    ("sms", "body", "cp", 1600, "A"),
    ("email", "subject", "u8", 998, "B"),
    ("push.android", "title", "u8", 4096, "B"),
    ("push.huawei", "text", "cp", 1024, "A"),
    ("push.vivo", "title", "dw", 40, "A"),
    ("web.page", "title_tag", "px", None, "C"),
    ("web.hero", "headline", "w", None, "U"),
    ("press.release", "headline", "cp", 125, "C"),
    ("audio.radio_30", "script", "s", 30, "C"),
    ("video.script_15", "voice_over", "s", 15, "U"),
]


@pytest.mark.parametrize(("name", "field", "unit", "hard", "confidence"), FIGURES)
def test_a_figure_is_the_published_one(
    name: str, field: str, unit: str, hard: float | None, confidence: str
) -> None:
    """Unit, hard bound and confidence of a field, as collected."""
    limits = catalog.placement(name).field(field).limits
    assert (unit, hard, confidence) in {(limit.unit, limit.hard, limit.confidence) for limit in limits}


# placement, field, unit, advised range
ADVICE: list[tuple[str, str, str, float | None, float | None]] = [
    ("x.post", "text", "xw", 71, 240),
    ("meta.feed_ad", "primary_text", "u16", 50, 125),
    ("meta.reels_ad", "headline", "u16", None, 10),
    ("reddit.post", "title", "cp", 60, 120),
    ("ebay.listing", "title", "cp", 65, 80),
    ("google_merchant.product", "short_title", "cp", 5, 65),
    ("email", "preheader", "cp", 40, 90),
    ("email", "body_html", "w", 50, 200),
    ("sms", "body", "sms", None, 1),
    ("push.android", "text", "cp", None, 240),
    ("push.ios", "body", "cp", None, 178),
    ("web.hero", "headline", "w", 6, 12),
    ("web.page", "meta_description", "cp", 120, 160),
    ("press.release", "lead", "w", None, 35),
    ("audio.radio_60", "script", "w", 120, 170),
    ("audio.podcast_ad_30", "script", "w", 70, 80),
    ("display.static_banner", "cta", "w", None, 3),
]


@pytest.mark.parametrize(("name", "field", "unit", "least", "most"), ADVICE)
def test_advice_is_the_published_one(
    name: str, field: str, unit: str, least: float | None, most: float | None
) -> None:
    """Unit and advised range of a field, as collected."""
    limits = catalog.placement(name).field(field).limits
    assert (unit, least, most) in {(limit.unit, limit.rec_min, limit.rec_max) for limit in limits}


@pytest.mark.parametrize(
    ("name", "field", "counts"),
    [
        ("google_ads.rsa", "headlines", (3, 15, 15)),
        ("google_ads.rsa", "descriptions", (2, 4, 4)),
        ("google_ads.pmax", "long_headlines", (1, 5, 2)),
        ("instagram.caption", "hashtags", (0, 5, 3)),
        ("youtube.video", "hashtags", (0, 60, 3)),
        ("etsy.listing", "tags", (0, 13, 13)),
        ("google_merchant.product", "product_highlight", (2, 100, 4)),
        ("amazon.listing", "bullet_points", (3, 5, 5)),
        ("mastodon.poll", "options", (2, 4, 2)),
        ("bluesky.post", "tags", (0, 8, 0)),
    ],
)
def test_counts_are_the_published_ones(name: str, field: str, counts: tuple[int, int, int]) -> None:
    """Least, most and filled items of a field."""
    spec = catalog.placement(name).field(field)
    assert (spec.min_count, spec.max_count, spec.default_count) == counts
    assert spec.is_list


def test_the_amazon_title_depends_on_store_and_day() -> None:
    """75 characters since 2026-07-27, 200 before and in the exempt stores."""
    title = catalog.placement("amazon").field("title")
    new_day, old_day = date(2026, 7, 27), date(2026, 7, 26)

    def bound(region: str | None, on: date | None) -> float:
        return min(limit.hard for limit in title.limits_in(region, on) if limit.hard is not None)

    assert bound("US", new_day) == bound(None, None) == bound("DE", None) == 75
    assert bound("US", old_day) == 200
    assert [bound(store, new_day) for store in ("SA", "EG", "TR", "AE")] == [200] * 4


def test_a_limit_for_some_regions_holds_only_there() -> None:
    """Listed regions are the only ones; with no region given the limit holds."""
    row = {"unit": "cp", "hard": 9, "conf": "A", "src": "S01", "date": "n.d.", "regions": ["JP"]}
    limit = catalog._limit(row)
    assert limit.holds("JP")
    assert limit.holds(None)
    assert not limit.holds("FR")


def test_special_counting_is_marked() -> None:
    """Microsoft counts emoji double, Mastodon every link as 23; nobody else does."""
    double = {p.id for p in catalog.placements() if any(x.emoji_double for f in p.fields for x in f.limits)}
    links = {p.id for p in catalog.placements() if any(x.link_length for f in p.fields for x in f.limits)}
    assert double == {"microsoft_ads.rsa", "microsoft_ads.audience"}
    assert links == {"mastodon.post", "mastodon.poll"}


def test_policies_are_the_published_ones() -> None:
    """Emoji, hashtag and link policies of the groups that have a hard one."""
    assert catalog.placement("google_ads.rsa").emoji.hard_max == 0
    assert catalog.placement("microsoft_ads.rsa").emoji.hard_max is None
    assert catalog.placement("tiktok.in_feed_ad").links.hard_max == 0
    assert catalog.placement("linkedin.single_image_ad").emoji.hard_max == 10
    assert catalog.placement("instagram.reel").hashtags.hard_max == 5
    assert catalog.placement("threads.post").hashtags.hard_max == 1
    assert catalog.placement("threads.post").links.hard_max == 5
    assert catalog.placement("amazon.listing").emoji.hard_max == 0
    assert "google-no-exclamation-headline" in catalog.placement("google_ads.rsa").field("headlines").rules


def test_asset_sets_are_independent() -> None:
    """The placements that show items in any order say so."""
    independent = {entry.id for entry in catalog.placements() if entry.independent}
    assert {
        "google_ads.rsa",
        "google_ads.pmax",
        "google_ads.responsive_display",
        "microsoft_ads.rsa",
    } < independent
    assert "meta.carousel_ad" not in independent


@pytest.mark.parametrize(
    ("tag", "number", "percent", "price"),
    [
        ("en", "1,234.5", "25%", "$9"),
        ("es-ES", "1.234,5", "25\u00a0%", "9\u00a0€"),
        ("fr-FR", "1\u202f234,5", "25\u00a0%", "9\u00a0€"),
        ("tr", "1.234,5", "%25", "₺9"),
        ("nl", "1.234,5", "25%", "€\u00a09"),
        ("hi", "1,234.5", "25%", "₹9"),
        ("pl", "1\u00a0234,5", "25%", "9\u00a0zł"),
        ("ja", "1,234.5", "25%", "￥9"),
    ],
)
def test_number_forms_are_those_of_the_language(tag: str, number: str, percent: str, price: str) -> None:
    """Separators, percent and currency patterns, with the right kind of space."""
    entry = catalog.language(tag)
    assert f"1{entry.group}234{entry.decimal}5" == number
    assert entry.percent.format(n=25) == percent
    assert entry.currency.format(n=9, symbol=entry.currency_symbol) == price


def test_the_version_is_the_digest_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal data give an equal version; one changed digit in one platform file gives another."""
    version = catalog.platforms_version.__wrapped__()
    assert re.fullmatch(r"[0-9a-f]{12}", version)
    assert catalog.platforms_version.__wrapped__() == version
    read = catalog.load_text
    monkeypatch.setattr(
        catalog,
        "load_text",
        lambda path: read(path).replace("280", "281") if path == "platforms/x.toml" else read(path),
    )
    assert catalog.platforms_version.__wrapped__() != version


def test_one_placement_reads_one_platform() -> None:
    """Looking up a placement opens the index and its own file, no other platform's."""
    probe = (
        "import copykit.brief.catalog as c\n"
        "read = c.load_text\n"
        "seen = []\n"
        "c.load_text = lambda path: (seen.append(path), read(path))[1]\n"
        "c.placement('google_ads.rsa'); c.language('es'); c.tone('playful'); c.use_case('faq')\n"
        "print(' '.join(sorted(seen)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "languages/es-ES.toml",
        "languages/index.toml",
        "platforms/google_ads.toml",
        "platforms/index.toml",
        "tones.toml",
        "use_cases.toml",
    ]


# --- the command ----------------------------------------------------------------------------------

COMMANDS = [
    ("platforms", "google_ads.rsa", catalog.placements),
    ("languages", "es-MX", catalog.languages),
    ("tones", "playful", catalog.tones),
    ("use-cases", "product_launch", catalog.use_cases),
    ("structures", "aida", catalog.structures),
]


@pytest.mark.parametrize(("command", "name", "every"), COMMANDS)
def test_the_command_prints_tables_and_data(command: str, name: str, every: Any) -> None:
    """Without a name all entries, with one that one; --json gives the same as data."""
    run = CliRunner()
    table = run.invoke(app, [command])
    assert table.exit_code == 0, table.output
    listed = json.loads(run.invoke(app, [command, "--json"]).stdout)
    assert len(listed) == len(every())
    one = json.loads(run.invoke(app, [command, name, "--json"]).stdout)
    assert one in listed
    shown = run.invoke(app, [command, name])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith(name)


@pytest.mark.parametrize(("command", "name", "every"), COMMANDS)
def test_every_entry_can_be_shown(command: str, name: str, every: Any) -> None:
    """No entry of the catalogue trips the command that shows it."""
    run = CliRunner()
    for entry in every():
        done = run.invoke(app, [command, getattr(entry, "tag", None) or entry.id])
        assert done.exit_code == 0, done.output


def test_the_command_shows_limits_with_their_origin() -> None:
    """A limit's row holds unit, hard figure, confidence and source."""
    done = CliRunner().invoke(app, ["platforms", "linkedin.message_ad"], env={"COLUMNS": "140"})
    row = next(line for line in done.stdout.splitlines() if "subject" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:8] == ["subject", "1", "u16", "60", "", "B", "S37 n.d.", "reject"]


def test_the_command_refuses_an_unknown_name_in_one_line() -> None:
    """Exit code 2, the nearest name on standard error, no traceback."""
    done = CliRunner().invoke(app, ["platforms", "instagrm"])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "nearest: instagram" in done.stderr


def test_entries_are_plain_values() -> None:
    """What the command prints as data is every field of the entry."""
    entry = catalog.placement("amazon")
    printed = json.loads(CliRunner().invoke(app, ["platforms", "amazon", "--json"]).stdout)
    assert printed.keys() == asdict(entry).keys()
    assert printed["fields"][0]["limits"][0]["valid_from"] == "2026-07-27"
