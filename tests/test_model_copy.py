"""Facts about what a language model hands in instead of copy, and about copy that only looks like it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import briefs as b
from copykit.brief.brief import Brief
from copykit.drafts.accept import judge_each
from copykit.drafts.check import Checker
from copykit.drafts.draft import Draft
from copykit.models import Brand

SOURCE = "Oak desk with an oiled surface and a drawer for cables, 120x60 cm"
BRIEF = b.brief(name="Norr", item="Oak desk", source=SOURCE, facts={"language": "none"})
GOOD = "Norr is the oak desk with a drawer for your cables. Take a look."


def errors(text: str, brief: Brief = BRIEF, *, by_model: bool = True) -> set[str]:
    checker = Checker(brief, written_by_model=by_model)
    found = checker.draft(Draft({brief.fields[0].name: [text] if brief.fields[0].is_list else text}))
    return {one.rule for one in found if one.severity == "error"}


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        ("M-14", "Norr is an oak desk. See https://", "Norr is an oak desk over https, not just for you"),
        ("M-14", "Norr is an oak desk. Read more at www.", "Norr is an oak desk for the www and you."),
        ("M-14", ", a desk of oak for your cables.", "…a desk of oak for your cables."),
        ("M-14", "The oak desk for your cables:", "The oak desk for your cables: Norr."),
        ("M-14", "Norr, a desk. It has a drawer that is", "A desk of oak, as good as it is"),
        ("M-14", "Take Norr, the desk with an oiled surf", "Take Norr, the desk with an oiled surface"),
        ("M-15", "Meet the [Your product] made of oak today.", "Meet the desk (made of oak) today."),
        ("M-15", "Meet Norr, a desk by @yourbrand for you.", "Meet Norr, a desk by @norr for you."),
        ("M-15", "Meet Norr, a desk for you. (insert link)", "Meet Norr, a desk for you. (Link in bio)"),
        ("M-15", "Description", "The description of a desk is easy: oak."),
        ("M-16", "<p class='x'>Norr is a desk of oak</section>", "A desk < 2 m and > 1 m, with <3 of oak"),
        ("M-16", "Norr is an oak desk &nbsp; for you", "Oak & oil; a desk for you"),
        ("M-16", "Norr is a desk.<|im_end|> See it", "Norr | a desk of oak | for you"),
        ("M-16", 'The desk: {"text": "of oak"', "The desk: “of oak”, for you"),
        ("M-16", "Norr has product_name and key_points for you", "Norr is a desk of #solid_oak by @norr_shop"),
        ("M-16", "Norr is a desk. Assistant: shall I go on?", "Norr is a desk. One more thing: it is oiled."),
        ("M-16", "Attention: Norr is a desk of oak.", "Pay attention to the desk of oak: Norr."),
        ("M-16", "Sure! Norr is a desk of oak.", "Sure, Norr is a desk of oak."),
        ("M-16", "This tweet presents Norr, a desk of oak.", "Norr, a desk of oak, needs no tweet."),
        ("M-16", "AIDA - Norr is a desk of oak.", "Aida chose Norr, a desk of oak."),
        ("M-16", "Norr says no more than a name: say it all.", "Norr is no more than a name for it."),
        ("M-16", "Norr: remove it or add the fact to the brief", "Norr: add it to the room or remove it"),
        ("P-ALL-2", "Norr is an oak desk (with a drawer", "Norr is an oak desk (with a drawer) :)"),
        ("C-24", "Norr", GOOD),
        ("C-24", "Product: Norr.", "Norr is made of oak."),
        ("C-24", "#Norr #OakDesk #Oiled", "Made of oak, with love. #Norr"),
        ("C-24", "🪑 🪑", "🪑 Sit down for a while"),
        ("C-24", "Norr 120x60 cm", "Norr is 120x60 cm of oak"),
        ("C-25", SOURCE, SOURCE + "."),
        ("C-25", "Oak desk with an oiled", "Oak desk with an oiled surface."),
        ("C-25", "Norr: oak desk with an oiled surface", "Norr: an oiled surface on an oak desk"),
        ("C-25", "oak desk, oiled, 120 x 60cm", "oak desk, oiled, of 120x60 cm"),
    ],
)  # fmt: skip
def test_what_a_model_leaves_is_an_error_and_what_looks_like_it_is_none(
    rule: str, bad: str, good: str
) -> None:
    """Each of these was seen in answers of models, or is what such a check must leave alone."""
    brief = replace(BRIEF, source_text=BRIEF.source_text + "\nOak desk, oiled, 120x60 cm wide")
    assert rule in errors(bad, brief)
    assert rule not in errors(good, brief)


@pytest.mark.parametrize("text", ["Norr", SOURCE, "Attention: Norr is a desk of oak."])
def test_authored_phrases_are_not_asked_to_say_something(text: str) -> None:
    """The same text of the phrase bank is a headline, a quotation or a call."""
    assert not errors(text, by_model=False)


def test_a_text_about_something_else_is_told_where_the_brief_can_tell() -> None:
    """No word in common is an error where brief and copy are surely in one language, or the name is a mark."""
    stray = "Sustainability goes far beyond what any business does alone."
    told = b.brief(name="Norr", source="The desk is made of oak and it has a drawer for your cables.")
    assert "C-26" in errors(stray, told)
    assert "C-26" not in errors("A drawer keeps what you need at hand.", told)
    assert "C-26" not in errors(stray, b.brief(name="Oak desk", source="Oak desk"))
    spanish = "El escritorio es de roble y tiene un cajón para los cables de la mesa."
    assert "C-26" not in errors(stray, b.brief(source=spanish))
    assert "C-26" in errors(stray, b.brief(name="KALLAX", source="Shelf"))
    assert "C-26" in errors(stray, b.brief(brand=Brand(name="Norr"), source="Shelf"))


def test_one_telling_text_is_enough_for_a_draft_about_its_thing() -> None:
    """A second text may speak of the reader alone."""
    place = b.place(b.field("title", "headline"), b.field("text", "body"))
    brief = b.brief(placement=place, name="KALLAX", source="Shelf")
    checker = Checker(brief, written_by_model=True)
    found = checker.draft(Draft({"title": "KALLAX", "text": "Take your time and look at what you need."}))
    assert not [one.rule for one in found if one.severity == "error"]


def test_fields_for_a_name_may_be_the_name() -> None:
    """Headlines, names and short lines are not bodies; in a list the other texts say the rest."""
    for role, limit in (("headline", 200), ("name", 200), ("description", 30)):
        brief = b.brief(placement=b.place(b.field("text", role, b.limit(limit))), name="Norr", source=SOURCE)
        assert not errors("Norr", brief)
    several = b.brief(
        placement=b.place(b.field("text", "description", b.limit(90), count=(1, 4))),
        name="Norr",
        source="9 EUR",
    )
    assert not errors("Price: 9 EUR", several)
    assert errors("Norr", several) == {"C-24"}
    pointed = replace(several, points=("Returns all year long",), source_text="Returns all year long, 9 EUR")
    assert "C-25" not in errors("Returns all year long", pointed)
    assert "C-25" in errors("Returns all year", pointed)


def test_directions_belong_into_a_script() -> None:
    """A picture in brackets is a place left open in a post, and a direction in a script."""
    text = "(Image: a room) Norr is the oak desk with a drawer for your cables."
    assert errors(text) == {"M-15"}
    script = b.brief(placement=b.place(b.field("text", "script")), name="Norr", source=SOURCE)
    assert not errors(text, script)


def test_what_the_brief_writes_itself_is_no_residue() -> None:
    """Labels that are facts, names of programs and markup in the caller's own words may stand in copy."""
    brief = b.brief(
        name="Norr",
        source="The attr_map of <b> tags, [beta] and the hook: see.",
        facts={"image": "https", "language": "es"},
    )
    for text in (
        "Norr reads the attr_map of your page.",
        "Norr knows <b> and more of it.",
        "Norr [beta] is here for you.",
        "Hook: Norr, for all of you.",
        "Language: es. Norr, for all of you.",
    ):
        assert not errors(text, brief)


@pytest.mark.parametrize(
    ("tag", "name", "hollow", "good"),
    [
        ("ja", "ノール", "ノール机", "ノールはオーク材の机です。"),
        ("zh-Hans", "诺尔", "诺尔桌子", "诺尔是一张橡木桌子。"),
        ("hi", "नॉर", "नॉर मेज़", "नॉर ओक की एक मेज़ है।"),
        ("ar", "نور", "نور طاولة", "نور طاولة من خشب البلوط."),
        ("es-ES", "Norr", "Norr, escritorio", "Norr es un escritorio de roble."),
    ],
)
def test_hollow_copy_is_told_in_any_script(tag: str, name: str, hollow: str, good: str) -> None:
    """Words are counted where spaces part them, else characters beside the name."""
    brief = b.brief(tag, name=name, source="x")
    assert "C-24" in errors(hollow, brief)
    assert "C-24" not in errors(good, brief)


def test_markup_that_only_gives_a_text_its_form_is_taken_off() -> None:
    """Paragraphs, breaks, entities and escapes become plain text; scripts and the like stay and are refused."""
    (judged,) = judge_each(
        [Draft({"text": "<p>Norr is an oak <b>desk</b> &amp; more.</p><p>Take a look.\\nNow.</p>"})],
        BRIEF,
        written_by_model=True,
    )
    assert judged.variant.text == "Norr is an oak desk & more.\nTake a look.\nNow."
    assert judged.variant.status == "repaired"
    (judged,) = judge_each(
        [Draft({"text": "Norr is an oak desk.<script>x</script>"})], BRIEF, written_by_model=True
    )
    assert judged.variant.status == "rejected"
    assert "<script>" in judged.variant.text


def test_a_fault_of_a_model_is_its_fields() -> None:
    """Whatever is found names a field, so that this text alone is asked for again."""
    for text in ("Norr", SOURCE, "Description", "KALLAX {"):
        checker = Checker(BRIEF, written_by_model=True)
        assert {one.field for one in checker.draft(Draft({"text": text})) if one.severity == "error"} == {
            "text"
        }
