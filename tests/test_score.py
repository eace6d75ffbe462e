"""Scores are separate numbers with reasons; what cannot be computed is absent."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brief_maker import make_brief
from copykit.data import load_toml
from copykit.drafts.draft import Draft
from copykit.drafts.score import diversity, rank, readability, score
from copykit.models import Brand, CopyVariant, CopywritingOutput, Receipt, Score, Usage, Violation

PLAIN = "The cat sat on the mat. It was a good day. We had tea and cake in the sun."
HEAVY = (
    "Organisational transformation necessitates comprehensive interdepartmental communication, "
    "notwithstanding considerable administrative complications."
)


def post(text, *, violations=(), **brief):
    """Score one post."""
    return score(Draft({"text": text}), list(violations), make_brief("x.post", **brief))


def broken(rule, severity="error", field="text"):
    """Give a violation of *rule*."""
    return Violation(rule=rule, field=field, severity=severity, message="m")


def variant(name, *, coverage=None, performance=None, severity=None):
    """Give a variant with these scores and at most one violation."""
    scores = {
        key: Score(value=value)
        for key, value in (("coverage", coverage), ("performance", performance))
        if value is not None
    }
    found = [broken("M-01", severity)] if severity else []
    return CopyVariant(
        fields={"text": name}, text=name, status="ok", field_status={}, violations=found, scores=scores
    )


def test_scores_that_cannot_be_computed_are_absent():
    """
    Without key points, figures, facts, brand or enough words only compliance is left.
    """
    assert set(post("Sit down.")) == {"compliance"}
    assert set(post(PLAIN)) == {"compliance", "readability", "clarity"}
    full = post(PLAIN + " 12 cakes.", points=("tea",), brand=Brand(name="Tea"), facts={"cakes": "12"})
    assert set(full) == {"compliance", "coverage", "grounding", "readability", "clarity", "brand"}


def test_compliance_falls_with_each_violation():
    """
    Errors weigh more than warnings, remarks nothing; the reasons name the rules.
    """
    assert post("x")["compliance"] == Score(value=1.0, reasons=["no error, no warning"])
    found = post("x", violations=[broken("M-01"), broken("M-06", "warning"), broken("M-08", "info")])
    assert found["compliance"] == Score(value=0.65, reasons=["1 error: M-01", "1 warning: M-06"])
    assert post("x", violations=[broken("M-01")] * 9)["compliance"].value == 0


def test_coverage_is_the_share_of_points_said():
    """
    The reasons count the points and name those that are missing.
    """
    found = post("Comfortable oak", points=("Comfort", "Oak", "Fast delivery"))["coverage"]
    assert found == Score(value=0.6667, reasons=["2 of 3 key points", "not said: Fast delivery"])


def test_coverage_includes_the_facts_that_the_use_case_needs():
    """
    A price matters to a renewal reminder and not to a tagline; facts that the brief lacks do not count.
    """
    facts = {"price": "49 EUR", "colour": "red"}
    found = post("Renew today for 49 EUR.", facts=facts, use_case="renewal_reminder")["coverage"]
    assert found == Score(value=1.0, reasons=["1 of 1 fact that the use case needs"])
    missing = post("Renew today.", facts=facts, use_case="renewal_reminder")["coverage"]
    assert missing.value == 0
    assert "coverage" not in post("Renew today.", facts=facts, use_case="tagline_slogan")


def test_grounding_is_the_share_of_figures_that_trace():
    """
    Figures that the checks could not trace lower it; facts without figures count when they are used.
    """
    facts = {"price": "49 EUR", "material": "solid oak"}
    found = post("Solid oak for 49 EUR.", facts=facts)["grounding"]
    assert found == Score(
        value=1.0, reasons=["1 of 1 figure traced to the brief", "2 of 2 facts of the brief used"]
    )
    invented = post("Only 3 left at 49 EUR.", facts=facts, violations=[broken("C-03")])["grounding"]
    assert invented.value == 0.5
    assert invented.reasons[0] == "1 of 2 figures traced to the brief"
    assert "grounding" not in post("Sit down.", facts=facts)


def test_brand_is_scored_where_there_is_one():
    """
    Each wrong spelling, banned term or competitor costs a third.
    """
    brand = Brand(name="Oakley & Ash")
    assert post("Hi", brand=brand)["brand"].value == 1
    found = post("Hi", brand=brand, violations=[broken("C-07"), broken("C-02"), broken("M-01")])["brand"]
    assert found.value == 0.32
    assert found.reasons == ["1 x banned term (C-02)", "1 x spelling of a brand term (C-07)"]


@pytest.mark.parametrize(
    ("language", "easy", "hard"),
    [
        ("en", PLAIN, HEAVY),
        ("de", "Das ist gut. Wir sind da. Komm zu uns her.",
         "Umweltverträglichkeitsprüfungen berücksichtigen Wechselwirkungen zwischen Lebensgrundlagen."),
        ("es-ES", "El sol es luz. Hoy es un buen día para ti.",
         "Las organizaciones internacionales necesitan responsabilidades administrativas adicionales."),
        ("fr-FR", "Il fait beau. On va à la mer. Tu viens aussi.",
         "Les organisations internationales nécessitent des responsabilités administratives utiles."),
        ("it", "Il sole è alto. Oggi si va al mare con te.",
         "Le organizzazioni internazionali necessitano responsabilità amministrative supplementari."),
        ("nl", "De zon is er. Wij gaan naar zee. Kom je mee.",
         "Internationale organisaties vereisen aanvullende administratieve verantwoordelijkheden."),
        ("pt-BR", "O sol é bom. Hoje é um dia de mar.",
         "As organizações internacionais necessitam responsabilidades administrativas adicionais."),
        ("ru", "Дом стоит тут. Мы ждём вас. Тут свет.",
         "Международные организации предусматривают дополнительные административные обязанности."),
        ("hu", "A nap süt. Jó nap ez. Jöjj el te is.",
         "A nemzetközi szervezetek kiegészítő adminisztratív felelősségvállalást igényelnek."),
        ("tr", "Gün güzel. Biz de var. Sen de gel.",
         "Uluslararası organizasyonların sorumluluklarındaki yükümlülükleri değerlendirilmektedir."),
        ("sv", "Sol i dag. Vi ses på ön. Ta en fika.",
         "Internationella organisationer förutsätter kompletterande administrativa ansvarsområden."),
    ],
)  # fmt: skip
def test_reading_ease_tells_plain_from_heavy(language, easy, hard):
    """
    In every language with a formula, short words in short sentences read easier than long ones.
    """
    plain, heavy = readability(easy, language), readability(hard, language)
    assert plain.ease > heavy.ease + 30


def test_flesch_by_hand():
    """
    Six one-syllable words in one sentence: 206.835 - 1.015 x 6 - 84.6 x 1.
    """
    found = readability("The cat sat on the mat.", "en")
    assert found.ease == pytest.approx(206.835 - 6.09 - 84.6)
    assert (found.formula, found.words, found.sentences, found.longest) == ("Flesch Reading Ease", 6, 1, 6)


def test_lix_by_hand():
    """
    Five words, one of them long, one sentence: LIX 25, so an ease of 120 - 1.5 x 25.
    """
    found = readability("Vi ses på den sommarstugan.", "sv")
    assert found.ease == pytest.approx(120 - 1.5 * 25)
    assert found.formula == "LIX"


def test_languages_without_a_formula_are_judged_by_sentence_length():
    """
    No figure is invented where no formula is agreed: the reason says what stood in for it.
    """
    assert readability("これは木でできたベンチです。座ってください。", "ja").ease is None
    found = post("これは木でできたベンチです。座ってください。", language="ja")["readability"]
    assert found.value == 1
    assert found.reasons[0].startswith("no formula: mean sentence 10.0 characters")
    long = post("これは" * 60 + "。", language="ja")["readability"]
    assert long.value == pytest.approx(60 / 180, abs=0.001)
    assert readability("กระเป๋ากันน้ำได้ดีมาก", "th") is None
    arabic = post("هذا مقعد من خشب البلوط.", language="ar")["readability"]
    assert arabic.value == 1


def test_short_texts_are_marked():
    """
    Under a hundred words the score is indicative only, and says so.
    """
    assert "short text: indicative only" in post(PLAIN)["readability"].reasons
    long = score(Draft({"text": PLAIN * 8}), [], make_brief("x.long_post"))["readability"]
    assert "short text: indicative only" not in long.reasons


def test_the_aim_depends_on_the_place():
    """
    Readers at work are given more than readers of an ad.
    """
    draft, brief = Draft({"text": HEAVY}), make_brief("linkedin.post")
    assert "aim 45-65" in score(draft, [], brief)["readability"].reasons[0]
    ad = score(Draft({"headlines": [HEAVY]}), [], make_brief("google_ads.rsa"))["readability"]
    assert "aim 70-90" in ad.reasons[0]


def test_clarity_follows_the_tone():
    """
    The same sentence suits a formal tone and is too long for a minimalist one; clichés cost as well.
    """
    text = "We make benches of solid oak that stand in gardens and parks and last through rain and snow"
    formal, minimal = post(text, tone="formal")["clarity"], post(text, tone="minimalist")["clarity"]
    assert formal.value == 1
    assert minimal.value < 0.6
    assert minimal.reasons == ["mean sentence 18.0 words (tone allows 7.5)", "longest 18 (at most 10)"]
    tired = post(text, tone="formal", violations=[broken("C-10", "warning")])["clarity"]
    assert tired.value == 0.9
    assert tired.reasons[-1] == "1 cliché"


def test_links_and_hashtags_are_not_read_as_prose():
    """
    Fields that hold no sentences do not count as reading matter; decimal points end no sentence.
    """
    brief = make_brief("google_ads.rsa")
    ad = Draft({"headlines": [PLAIN], "final_url": "https://example.com/a-b-c-d-e-f-g-h"})
    assert (
        score(ad, [], brief)["readability"] == score(Draft({"headlines": [PLAIN]}), [], brief)["readability"]
    )
    assert readability("It weighs 2.5 kg and costs 9.90 EUR at example.com today.", "en").sentences == 1


def test_readability_data_is_complete():
    """
    Every formula has the vowels it needs, and every kind of placement a target.
    """
    facts = load_toml("readability.toml")
    assert set(facts["formulas"]) == set(facts["syllables"])
    kinds = {"ad", "social", "marketplace", "app", "email", "message", "web", "press", "audio", "video"}
    assert kinds == set(facts["targets"])


def test_variants_are_ranked_by_error_then_coverage_then_performance_then_order():
    """
    No score outweighs an error; scores are never added up.
    """
    a = variant("a", coverage=1.0, performance=1.0, severity="error")
    b = variant("b", coverage=0.5, performance=0.9)
    c = variant("c", coverage=0.5, performance=0.9, severity="warning")
    d = variant("d", coverage=0.9, performance=0.1)
    e = variant("e", coverage=0.5)
    assert [v.text for v in rank([a, e, b, c, d])] == ["d", "b", "c", "e", "a"]
    assert [v.text for v in rank([variant("x"), variant("y")])] == ["x", "y"]
    assert rank([]) == []


def test_equal_variants_have_no_diversity_and_strangers_all():
    """
    The same words give 0, nothing in common 1 or nearly; a single variant differs from nothing.
    """
    same = Draft({"text": "Solid oak benches."})
    other = Draft({"text": "Буфет из дуба"})
    near = Draft({"text": "Solid oak bench, now."})
    assert diversity([same]) == [1.0]
    assert diversity([]) == []
    assert diversity([same, same]) == [0.0, 0.0]
    assert diversity([same, Draft({"text": "SOLID  oak—benches!"})]) == [0.0, 0.0]
    first, second, third = diversity([same, other, near])
    assert second > 0.7
    assert first == third
    assert 0.2 < first < 0.7


def test_diversity_does_not_depend_on_the_order():
    """
    Each variant keeps its figure when the others change places.
    """
    drafts = [
        Draft({"text": t}) for t in ("Solid oak benches.", "Oak, and time to sit.", "A bench for rain.")
    ]
    assert diversity(drafts[::-1]) == diversity(drafts)[::-1]


def test_scores_fit_the_result_model():
    """
    What `score` gives is what a result carries and prints.
    """
    one = variant("a").model_copy(update={"scores": post(PLAIN, points=("tea",))})
    output = CopywritingOutput(
        id="1", variants=[one], text="a", placement="x.post", language="en", tone="neutral", use_case="x",
        usage=Usage(), receipt=Receipt(served_by="fake"), created_at=datetime(2026, 1, 1),
    )  # fmt: skip
    assert output.model_dump(mode="json")["variants"][0]["scores"]["coverage"]["value"] == 1.0


@given(
    st.text(max_size=200),
    st.sampled_from(["en", "de", "ja", "th", "ar", "zh-Hans", "tr", "sv"]),
    st.lists(st.sampled_from(["M-01", "C-03", "C-07", "C-10"]), max_size=8),
)
def test_scores_stay_between_zero_and_one(text, language, rules):
    """
    Any text and any violations give numbers from 0 to 1 with at least one reason each.
    """
    found = post(
        text, language=language, points=("oak",), brand=Brand(name="B"), violations=[broken(r) for r in rules]
    )
    for value in found.values():
        assert 0 <= value.value <= 1
        assert value.reasons
    assert all(0 <= value <= 1 for value in diversity([Draft({"text": text}), Draft({"text": "oak"})]))
