"""Facts about the checks: every rule has a text that breaks it and one that only looks like it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import briefs as b
from copykit.brief import catalog
from copykit.brief.catalog import UseCase
from copykit.data import load_json, load_toml, names
from copykit.drafts import claims
from copykit.drafts.check import Checker
from copykit.drafts.draft import Draft
from copykit.drafts.editorial import CODED, editorial, split
from copykit.drafts.lexicon import Lexicon
from copykit.drafts.look import Look, lowered, rules
from copykit.drafts.needed import SOURCES, missing_facts
from copykit.drafts.wording import wording_of
from copykit.models import Brand, Part, Violation

AD = b.place(
    b.field("text", "description", b.limit(200, "dw")), kind="ad", emoji=b.policy(0), hashtags=b.policy(0), links=b.policy(0)
)  # fmt: skip
MAIL = b.place(
    b.field("subject", "subject"), b.field("preheader", "description"), b.field("body", "body"), kind="email"
)


def found(text: str, tag: str = "en", **more: object) -> list[Violation]:
    checker = Checker(b.brief(tag, **more))  # type: ignore[arg-type]
    return checker.text(checker.brief.fields[0], text, "text")


def ids(text: str, tag: str = "en", **more: object) -> set[str]:
    return {violation.rule for violation in found(text, tag, **more)}


MECHANICAL = [
    ("M-03", "This is VERY nice for you", "The USB lamp and the LUMO lamp", {"placement": AD, "source": "LUMO lamp"}),
    ("M-04", "See our SoFtWaRe", "See it on YouTube and the iPhone", {"placement": AD}),
    ("M-04", "#KapturZDaszkiem and SoFtWaRe", "See #KapturZDaszkiem by @oneTwoThREE", {}),
    ("M-05", "Look here!!", "Look here!", {}),
    ("M-05", "Really?!", "Really?", {"placement": AD}),
    ("M-06", "Look! And look!", "Look here! And look.", {}),
    ("M-07", "Look here,, please", "Look here, please", {}),
    ("M-07", "Look here..", "Look here…", {}),
    ("M-08", "Look here...", "Look here…", {}),
    ("M-09", "Look at the the lamp", "We know that that lamp is small", {}),
    ("M-10", "The lantern stands here. " * 6, "The lantern stands here. A chair stands there. " * 2, {}),
    ("M-14", "A lamp for the desk and", "What is it for?", {}),
    ("M-14", "A lamp, a desk,", "A lamp, a desk", {}),
    ("M-15", "Meet [PRODUCT NAME] today", "Meet the lamp (today)", {}),
    ("M-15", "Meet the TBD today", "Meet the tbd band", {}),
    ("M-15", "Hello {{first_name}}, look", "Hello {{first_name}}, look", {"_good": {"personalization": {"first_name": "Ana"}}}),  # noqa: E501
    ("M-16", "Sure, here is a line for you", "Sure, you can look", {}),
    ("M-16", "A **lamp** for the desk", "A lamp for the desk", {}),
    ("M-16", "Headline 1: A lamp", "Note: a lamp", {}),
    ("M-16", "“A lamp for the desk”", "A lamp called “Lumo”", {}),
    ("M-19", "A la\u200bmp for you", "A lamp for you 👩‍💻", {}),
    ("M-19", "A 𝐥𝐚𝐦𝐩 for you", "A lamp for you", {}),
    ("M-20", "A cafe\u0301 lamp", "A café lamp", {}),
    ("M-21", "A lamp 💡", "A lamp ™", {"placement": AD}),
    ("M-21", "A 💡💡💡", "A 💡💡", {}),
    ("M-22", "A lamp #2024", "A lamp #Lumo2024", {"source": "2024"}),
    ("M-22", "A lamp #lumo", "A lamp, no. # there", {"placement": AD}),
    ("M-23", "See http://lumo.example/a", "See https://lumo.example/a", {"source": "lumo.example/a"}),
    ("M-26", "See https://lumo.example/a", "See lumo", {"placement": AD, "source": "https://lumo.example/a"}),
    ("M-26", "Write to hi@lumo.example", "Write to us at once", {"placement": AD, "source": "hi@lumo.example"}),
    ("M-27", " A lamp", "A lamp", {}),
    ("M-29", "A lamp. Take a look. Take a look.", "A lamp. Take a look. Then take another look.", {}),
    ("M-29", "Look here. Go. Go. Go. Go.", "Look here. Go. Go. Go.", {}),
    ("M-29", "A lamp and a desk lamp and a desk lamp and a desk", "A lamp of 40 x 40 x 40 x 40 cm", {"source": "40 x 40"}),
    ("M-29", "A small lamp for the desk a small lamp for the desk", "Lumo for the desk. Lumo for the desk is here.", {}),
    ("M-29", "Hello there. " * 4, "Hello there. " * 4, {"_good": {"source": "Hello there. " * 4}}),
    ("M-28", 'A "lamp" and a “desk” here', "A “lamp” and a “desk” here", {}),
    ("P-ALL-1", "A lamp  for the desk", "A lamp for the desk", {}),
    ("P-ALL-2", "A lamp (for the desk", "A lamp (for the desk) :)", {}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "bad", "good", "more"), MECHANICAL)
def test_mechanical_rule_fires_on_its_fault_only(
    rule: str, bad: str, good: str, more: dict[str, object]
) -> None:
    """Each mechanical rule names the faulty text and leaves the innocent one."""
    settings = {key: value for key, value in more.items() if key != "_good"}
    innocent: dict[str, object] = {**settings, **more.get("_good", {})}  # type: ignore[dict-item]
    assert rule in ids(bad, **settings)
    assert rule not in ids(good, **innocent)


@pytest.mark.parametrize(
    ("tag", "bad", "good"),
    [
        ("ja", "この机は小さいです。この机は小さいです。", "この机は小さいです。この机は白いです。"),
        ("ja", "小さな机と椅子と小さな机と椅子と小さな机と椅子と", "ドキドキワクワク、小さな机。"),
        ("zh-Hans", "看看这张小桌子吧看看这张小桌子吧", "看看这张小桌子，看看那张小椅子。"),
        ("hi", "यह छोटी मेज़ है। यह छोटी मेज़ है।", "यह छोटी मेज़ है। यह बड़ी मेज़ है।"),
    ],
)
def test_a_loop_is_found_in_scripts_without_capitals_or_spaces(tag: str, bad: str, good: str) -> None:
    """Where no spaces part words, runs of characters take the place of phrases."""
    assert "M-29" in ids(bad, tag)
    assert "M-29" not in ids(good, tag)


def test_a_call_that_comes_back_at_the_end_of_a_long_text_is_a_warning() -> None:
    """A short sentence said twice in a long text is told, and does not hold the text back."""
    lines = [f"The {word} desk stands beside the window." for word in "small large white black round".split()]
    text = " ".join(["See the details here.", *lines, "See the details here."])
    assert [v.severity for v in found(text) if v.rule == "M-29"] == ["warning"]
    assert [v.severity for v in found(text + " See the details here.") if v.rule == "M-29"] == ["error"]


LOCALE = [
    ("P-ES-1", "es-ES", "Buscas una mesa?", "¿Buscas una mesa? ¡Mírala!"),
    ("P-ES-1", "es-MX", "Mira esta mesa!", "Mira esta mesa."),
    ("P-FR-1", "fr-FR", "Vous cherchez une table?", "Vous cherchez une table\u202f?"),
    ("P-FR-2", "fr-FR", "En bref: une table", "En bref\u00a0: rendez-vous à 12:30"),
    ("P-FR-3", "fr-FR", "Vous cherchez une table ?", "Vous cherchez une table\u202f?"),
    ("P-FR-3", "fr-CA", "Vous cherchez une table ?", "Vous cherchez une table?"),
    ("P-DE-1", "de", 'Der Tisch "Lumo" ist da', 'Der Tisch „Lumo“ ist 24" breit'),
    ("P-PL-1", "pl", 'Stół "Lumo" już jest', "Stół „Lumo” już jest"),
    ("P-AR-1", "ar", "هل تبحث عن طاولة?", "هل تبحث عن طاولة؟"),
    ("P-AR-1", "ar", "طاولة, وكرسي", "طاولة، وكرسي"),
    ("P-HE-1", "he", 'צה"ל', "צה״ל"),
    ("P-EL-1", "el", "Θέλετε τραπέζι?", "Θέλετε τραπέζι;"),
    ("P-EL-2", "el", "Ο πίνακασ εδώ", "Ο πίνακας εδώ"),
    ("P-JA-1", "ja", "小さな 机です。", "小さな机です。Lumo の机。"),
    ("P-JA-2", "ja", "机です!", "机です！"),
    ("P-JA-2", "ja", "ﾃｰﾌﾞﾙです。", "テーブルです。"),
    ("P-ZH-1", "zh-Hans", "看看这张桌子,很小", "看看这张桌子，很小，宽 12.5 厘米"),
    ("P-ZH-2", "zh-Hans", "看看Ｌｕｍｏ桌子", "看看Lumo桌子"),
    ("P-ZH-3", "zh-Hans", "看看吧！！", "看看吧！"),
    ("P-JA-1", "ja", "小麦 、食塩", "小麦、食塩。 #机"),
    ("P-ZH-1", "zh-Hans", "香料（柠檬）,糖", "香料（柠檬），糖"),
    ("P-ZH-1", "zh-Hans", "Lumo, 看看桌子", "Lumo，看看桌子"),
    ("P-ZH-4", "zh-Hans", "麦芽糖， 蔗糖", "麦芽糖，蔗糖。 #桌子"),
    ("P-KO-1", "ko", "책상을 보세요。", "책상을 보세요."),
    ("P-TH-1", "th", "ดูโต๊ะตัวนี้.", "ดูโต๊ะตัวนี้"),
    ("P-RO-1", "ro", "Masa aceasta şi scaunul", "Masa aceasta și scaunul"),
    ("P-VI-1", "vi", "Ba\u0300n ghế cho bạn", "Bàn ghế cho bạn"),
    ("P-ALL-3", "hi", "Look at this lovely small table", "यह छोटी मेज़ देखें"),
    ("P-ALL-3", "en", "Look at this маленький столик здесь", "Look at the café table"),
]


@pytest.mark.parametrize(("rule", "tag", "bad", "good"), LOCALE)
def test_locale_punctuation_rule(rule: str, tag: str, bad: str, good: str) -> None:
    """Each language's own marks are asked for, and accepted where they stand."""
    more = {"source": "24 12:30 12.5"}
    assert rule in ids(bad, tag, **more)
    assert not {name for name in ids(good, tag, **more) if name.startswith("P-")}


@pytest.mark.parametrize(
    ("tag", "name", "text"),
    [
        ("ja", "レーズン＆かりんとう", "レーズン＆かりんとうについて。どうぞ #レーズン"),
        ("ja", "日清ラ王 たれたっぷり 冷し中華", "日清ラ王 たれたっぷり 冷し中華をどうぞ。"),
        ("zh-Hans", "Rock&Roll! 24", "看看Rock&Roll! 24吧 #好吃"),
        ("ar", "«الفجر» 12", "و«الفجر» 12 لكم #طعام"),
        ("hi", "Müsli & Co.", "Müsli & Co.देखें #मूसली"),
    ],
)
def test_a_name_with_marks_glued_to_its_sentence_is_no_fault(tag: str, name: str, text: str) -> None:
    """The name's own spaces and marks are not judged, and the next word without a space is in its language."""
    assert not {rule for rule in ids(text, tag, name=name, source="24 12") if rule.startswith("P-")}


CLAIMS = [
    ("L-02", "en", "The best lamp in town", "A lamp, best before noon"),
    ("L-02", "es-ES", "La mejor lámpara", "Mejorar la luz es posible"),
    ("L-02", "fr-FR", "La meilleure lampe", "Une lampe pour lire"),
    ("L-02", "de", "Die beste Lampe", "Eine Lampe zum Lesen"),
    ("L-02", "pl", "Najlepsza lampa", "Lampa do czytania"),
    ("L-02", "hi", "सर्वश्रेष्ठ लैंप", "पढ़ने के लिए लैंप"),
    ("L-03", "en", "Clinically proven light", "A clinic in town"),
    ("L-04", "pt-BR", "Resultado garantido", "Veja como fica"),
    ("L-11", "en", "Get a free lamp", "Feel free to look, and it is sugar-free"),
    ("L-11", "it", "Lampada gratis", "Guarda la lampada"),
    ("L-13", "nl", "Alleen vandaag bij ons", "Vandaag is een goede dag"),
    ("L-13", "ja", "本日限りです。", "今日はどんな日？"),
    ("L-15", "de", "Eine nachhaltige Lampe", "Nachher ist auch Zeit"),
    ("L-16", "en", "This lamp cures headaches", "A secure lamp"),
    ("L-17", "fr-FR", "Perdre du poids", "Prendre son temps"),
    ("L-19", "en", "Your way to financial freedom", "Your way to the desk"),
    ("L-29", "ar", "مصباح معتمد", "مصباح للقراءة"),
    ("L-32", "en", "Approved by Google", "Seen on a desk"),
    ("L-33", "zh-Hans", "这是最佳桌子", "看看这张桌子"),
    ("L-33", "ja", "日本一の机", "机を見る"),
]


@pytest.mark.parametrize(("rule", "tag", "bad", "good"), CLAIMS)
def test_invented_claim_is_an_error_and_the_briefs_own_a_warning(
    rule: str, tag: str, bad: str, good: str
) -> None:
    """A claim nobody made is an error; the brief's own claim is left to a human."""
    assert [v.severity for v in found(bad, tag) if v.rule == rule] == ["error"]
    assert {v.severity for v in found(bad, tag, source=bad) if v.rule == rule} == {"warning"}
    assert not {name for name in ids(good, tag) if name.startswith("L-")}


def test_personal_attributes_matter_to_meta_only() -> None:
    """Rule L-21 follows Meta's policy and fires where the placement carries it."""
    meta = b.place(kind="ad", rules=("meta-personal-attributes",))
    assert "L-21" in ids("Are you diabetic? Look here.", placement=meta)
    assert "L-21" not in ids("Are you diabetic? Look here.")
    assert "L-21" not in ids("Are you looking for a lamp?", placement=meta)


LANGUAGES = {
    "en": "Take a look at the details and choose what you like",
    "es-ES": "Mira los detalles y elige lo que más te gusta",
    "fr-FR": "Découvrez les détails et choisissez ce que vous aimez",
    "de": "Schauen Sie sich die Details an und wählen Sie in Ruhe",
    "pt-BR": "Veja os detalhes e escolha o que você mais gosta",
    "it": "Guarda i dettagli e scegli quello che ti piace di più",
    "nl": "Bekijk de details en kies wat je het mooist vindt",
    "pl": "Zobacz szczegóły i wybierz to, co podoba ci się najbardziej",
    "ru": "Посмотрите детали и выберите то, что вам нравится",
    "uk": "Подивіться деталі та оберіть те, що вам подобається",
    "tr": "Ayrıntılara bakın ve size uygun olanı seçin, her gün için",
    "ar": "شاهدوا التفاصيل واختاروا ما يناسبكم من هذه المجموعة",
    "fa": "جزئیات را ببینید و آن را که دوست دارید انتخاب کنید",
    "hi": "विवरण देखें और जो आपको पसंद हो वह चुनें",
    "ja": "こまかいところを見て、好きなものを選びましょう。",
    "zh-Hans": "看看这些细节，选择你们喜欢的样子。",
    "zh-Hant": "看看這些細節，選擇你們喜歡的樣子。",
    "ko": "자세히 보고 마음에 드는 것을 고르세요.",
    "sv": "Titta på detaljerna och välj det som du gillar",
    "fi": "Katso tarkemmin ja valitse se, joka on sinun",
    "cs": "Podívejte se na detaily a vyberte si to, co se vám líbí",
    "hu": "Nézze meg a részleteket, és válassza ki, ami önnek tetszik",
    "ro": "Vezi detaliile și alege ce îți place cel mai mult din toate",
    "el": "Δείτε τις λεπτομέρειες και επιλέξτε αυτό που σας αρέσει",
    "vi": "Hãy xem các chi tiết và chọn những gì bạn thích",
    "id": "Lihat detailnya dan pilih yang Anda suka untuk hari ini",
    "th": "ดูรายละเอียดแล้วเลือกแบบที่คุณชอบ",
}


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_text_in_its_own_language_passes_and_in_another_does_not(tag: str) -> None:
    """A sentence is accepted as its own language and as no other of the list."""
    caught = []
    for other, text in LANGUAGES.items():
        rules_found = ids(text, tag) & {"M-17", "P-ALL-3"}
        if other == tag:
            assert not rules_found
        elif not rules_found:
            caught.append(other)
    assert caught == []


def test_headline_of_names_alarms_in_no_language() -> None:
    """Names, models and the brief's own words are no foreign language."""
    more = {"name": "The North Face Base Camp", "points": ("Made for you and your family",)}
    for tag in ("es-ES", "de", "ja", "ar"):
        for text in ("The North Face Base Camp", "Base Camp – Made for you and your family"):
            assert not ids(text, tag, **more) & {"M-17", "P-ALL-3"}


GOOD = {
    "en": ["Meet Lumo.", "A lamp for the desk. See the details.", "One look is enough to decide.",
           "Still comparing? Here is what is inside: oak, linen, two switches."],
    "es-ES": ["Conoce Lumo.", "¿Cómo la imaginas en casa? Mira los detalles.", "Así es: roble, lino, dos interruptores.",
              "Hoy es un buen día para empezar. Descúbrela."],
    "fr-FR": ["Voici Lumo.", "Et chez vous\u202f? Regardez de plus près.", "En bref\u00a0: chêne, lin, deux interrupteurs.",
              "Prenez le temps de choisir."],
    "de": ["Das ist Lumo.", "Wie sieht sie bei Ihnen aus? Sehen Sie selbst.", "Kurz gesagt: Eiche, Leinen, zwei Schalter.",
           "Nehmen Sie sich Zeit und entscheiden Sie in Ruhe."],
    "pt-BR": ["Conheça Lumo.", "Como ela fica na sua casa? Veja os detalhes.", "Em resumo: carvalho, linho, dois interruptores.",  # noqa: E501
              "Escolha com calma."],
    "it": ["Ecco Lumo.", "Come la immagini a casa tua? Guarda i dettagli.", "In breve: rovere, lino, due interruttori.",
           "Scegli con calma."],
    "nl": ["Maak kennis met Lumo.", "Hoe staat hij bij jou thuis? Bekijk de details.", "Kort gezegd: eiken, linnen, twee schakelaars.",  # noqa: E501
           "Kies op je gemak."],
    "pl": ["Poznaj Lumo.", "Jak wygląda u ciebie? Zobacz szczegóły.", "W skrócie: dąb, len, dwa przełączniki.",
           "Wybierz w swoim tempie."],
    "ar": ["تعرفوا على Lumo.", "كيف ستبدو في بيتكم؟ شاهدوا التفاصيل.", "باختصار: خشب، كتان، مفتاحان.", "اختاروا على مهل."],
    "hi": ["Lumo से मिलिए।", "आपके घर में यह कैसा लगेगा? विवरण देखें।", "संक्षेप में: लकड़ी, लिनन, दो स्विच।", "आराम से चुनिए।"],
    "ja": ["Lumoのご紹介です。", "お部屋に置くとどうでしょう？くわしくご覧ください。", "まとめると、木、麻、スイッチ二つ。", "ゆっくりお選びください。"],  # noqa: E501
    "zh-Hans": ["认识一下 Lumo。", "放在家里会是什么样？看看细节。", "简单来说：橡木、亚麻、两个开关。", "慢慢挑选。"],
}  # fmt: skip


@pytest.mark.parametrize(("tag", "text"), [(tag, text) for tag, texts in GOOD.items() for text in texts])
def test_good_copy_raises_no_alarm(tag: str, text: str) -> None:
    """Copy as a careful writer would write it breaks nothing."""
    source = "two, dos, deux, zwei, dois, due, twee, dwa, दो, 二つ, 两个 Lumo"
    assert [(v.rule, v.message) for v in found(text, tag, name="Lumo", source=source)] == []


def test_length_is_judged_by_confidence() -> None:
    """A verified figure rejects, an unsourced one warns, an advised one informs; each says size and unit."""
    for confidence, severity in (("A", "error"), ("C", "warning")):
        place = b.place(b.field("text", "body", b.limit(5, "dw", confidence=confidence)))
        (broken,) = [v for v in found("東京都", "ja", placement=place) if v.rule == "M-01"]
        assert (broken.severity, broken.measured, broken.limit, broken.unit) == (severity, 6, 5, "dw")
    place = b.place(b.field("text", "body", b.limit(None, rec_max=3)))
    assert [v.severity for v in found("Look", placement=place) if v.rule == "M-01"] == ["info"]


def test_hard_figure_of_any_confidence_is_not_allowed() -> None:
    """What a writer may choose never exceeds a hard figure, sourced or not; advised figures do not bind."""
    place = b.place(b.field("text", "body", b.limit(5, confidence="U", rec_max=2)))
    checker = Checker(b.brief(placement=place))
    assert checker.allows(place.fields[0], "Look.")
    assert not checker.allows(place.fields[0], "Look at")
    assert not Checker(b.brief()).allows(b.place().fields[0], "The best!!")


def test_tokens_are_measured_by_what_they_show() -> None:
    """An insertion token counts as its default, a merge field as its longest value."""
    place = b.place(b.field("text", "headline", b.limit(12)))
    assert "M-01" not in ids("Buy {KeyWord:Lamps}", placement=place)
    assert "M-01" in ids("Buy {KeyWord:Lamps and more}", placement=place)
    assert "M-01" not in ids("Hi {{first_name}}", placement=place, personalization={"first_name": "Maximil"})
    assert "M-01" in ids("Hi {{first_name}}", placement=place, personalization={"first_name": "Maximilian"})


def test_brand_terms_keep_their_spelling() -> None:
    """Another spelling of a brand term is an error, unless it is a link or a hashtag."""
    brand = Brand(name="LumoTec", terms=["iFrame"])
    assert "C-07" in ids("Meet Lumotec today", brand=brand)
    assert "C-07" in ids("Meet the iframe lamp", brand=brand)
    assert "C-07" not in ids("Meet LumoTec and iFrame #lumotec", brand=brand)


def test_banned_terms_and_rivals_are_found_in_disguise() -> None:
    """Look-alikes and zero-width letters do not hide a banned term; longer words are left alone."""
    brand = Brand(banned_terms=["cheap"], competitors=["Acme"])
    assert "C-02" in ids("A сheаp lamp", brand=brand)
    assert "C-02" in ids("A ch\u200beap lamp", brand=brand)
    assert "C-09" in ids("Like ACME, only here", brand=brand)
    assert not ids("A lamp at the academy", brand=brand) & {"C-02", "C-09"}


def test_numbers_must_come_from_the_brief() -> None:
    """A figure the brief does not hold is an error, in any digits; the brief's own is fine."""
    assert [v.severity for v in found("Now 49.90 EUR", source="Lamp") if v.rule == "C-03"] == ["error"]
    assert "C-03" in ids("السعر ٤٩ ريال", "ar", source="مصباح")
    assert "C-03" not in ids("Now 49.90 EUR", source="Lamp, 49.90 EUR")


@pytest.mark.parametrize(
    "text, said, severity",
    [
        ("A lamp in three colours", "three", "warning"),
        ("Twenty-five ways to sit", "Twenty-five", "warning"),
        ("Save fifty percent today", "fifty percent", "error"),
        ("Yours for twenty dollars", "twenty dollars", "error"),
    ],
)
def test_numbers_in_plain_words_are_seen(text: str, said: str, severity: str) -> None:
    """ASCII text without a digit may state a number: a warning, and an error as a price or a share."""
    raised = [v for v in found(text, source="Lamp") if v.rule == "C-03"]
    assert [(v.measured, v.severity) for v in raised] == [(said, severity)]
    assert "C-03" not in ids(text, source=f"Lamp. {text}.")


def test_forms_of_address_do_not_mix() -> None:
    """Formal and informal address in one text is an error; either alone is not."""
    assert "C-21" in ids("Sehen Sie, was Ihnen gefällt, und nimm dir Zeit.", "de")
    assert "C-21" not in ids("Sie sehen selbst. Nehmen Sie sich Zeit.", "de")
    assert "C-21" in ids("Descubra su mesa y cuéntanos tu idea.", "es-ES")
    assert "C-21" not in ids("Cuéntanos tu idea. Te escuchamos.", "es-ES")
    assert "C-21" in ids("आप देखिए और तुम चुनो।", "hi")


def test_cliches_and_weak_calls_are_told() -> None:
    """Worn phrases warn; a call that fits any ad informs, and is an error where the platform says so."""
    assert "C-10" in ids("A game-changer for your desk")
    assert "C-10" in ids("Une lampe incontournable", "fr-FR")
    assert "C-10" not in ids("A change of light for your desk")
    assert [v.severity for v in found("Click here") if v.rule == "C-06"] == ["info"]
    google = b.place(kind="ad", rules=("google-generic-call",))
    assert [v.severity for v in found("Click here", placement=google) if v.rule == "C-06"] == ["error"]


def test_sentence_length_follows_the_tone() -> None:
    """A sentence beyond the tone's maximum warns with its size; Japanese is counted in characters."""
    short = b.tone(max_sentence_words=6, mean_sentence_words=5)
    (broken,) = [
        v for v in found("This one sentence has far too many words.", tone=short) if v.rule == "C-15"
    ]
    assert (broken.measured, broken.limit) == (8, 6)
    assert "C-15" not in ids("This one fits well. So does this.", tone=short)
    assert "C-15" in ids("机" * 61 + "です。", "ja")


def test_spam_signals_add_up_in_mail_only() -> None:
    """Three signals of mail filters warn in a mail, two do not, and a post is not judged."""
    loud = "FREE: for only today, guaranteed! Save up to half!"
    assert "SP" in ids(
        "FREE for only you, save up to half, as seen. Now! Yes! No! So?", placement=MAIL
    ) or "SP" in ids(loud, placement=MAIL)
    assert "SP" not in ids("A note about your lamp", placement=MAIL)
    assert "SP" not in ids(loud)


def whole(fields: dict[str, str | list[str]], brief: object, **more: object) -> dict[str, list[Violation]]:
    grouped: dict[str, list[Violation]] = {}
    for violation in Checker(brief).draft(Draft(fields, **more)):  # type: ignore[arg-type]
        grouped.setdefault(violation.rule, []).append(violation)
    return grouped


SET = b.place(
    b.field("headlines", "headline", b.limit(30, "dw"), count=(3, 15), rec_min_count=8),
    b.field("descriptions", "description", b.limit(90, "dw"), count=(2, 4)),
    kind="ad", independent=True,
)  # fmt: skip


def test_items_are_counted() -> None:
    """Too few or too many items are errors, fewer than advised informs, a missing required field is an error."""
    brief = b.brief(placement=SET)
    result = whole({"headlines": ["Meet it", "See it"]}, brief)
    assert [v.severity for v in result["M-02"]] == ["error"]
    assert [v.field for v in result["F-01"]] == ["descriptions"]
    result = whole(
        {"headlines": ["Meet it", "See it", "Choose it"], "descriptions": ["See the lamp", "Look at a desk"]},
        brief,
    )
    assert [v.severity for v in result["M-02"]] == ["info"]
    result = whole(
        {"headlines": [f"Word{chr(65 + n)} light" for n in range(16)], "descriptions": ["A", "B"]}, brief
    )
    assert "error" in {v.severity for v in result["M-02"]}
    assert "F-03" in whole({"title": "A lamp"}, brief)


def test_repeated_assets_are_reported_once_each() -> None:
    """An equal headline is an error, a nearly equal one a warning, a different one is nothing."""
    lines = [
        "Meet the small oak lamp today",
        "Meet the small oak lamp today.",
        "Meet the small oak lamp today now",
        "See the desk",
    ]
    result = whole(
        {"headlines": lines, "descriptions": ["See the lamp", "Look at a desk"]}, b.brief(placement=SET)
    )
    assert [(v.field, v.severity) for v in result["M-12"]] == [
        ("headlines[1]", "error"),
        ("headlines[2]", "warning"),
    ]


def test_assets_stand_alone() -> None:
    """In independent assets an opening that needs a predecessor warns; in a post it does not."""
    lines = ["That's why it fits", "Meet it here", "See it there"]
    result = whole(
        {"headlines": lines, "descriptions": ["See the lamp", "Look at a desk"]}, b.brief(placement=SET)
    )
    assert [v.field for v in result["M-13"]] == ["headlines[0]"]
    assert "M-13" not in ids("That's why it fits")


def test_uncovered_key_points_are_never_silent() -> None:
    """No point covered warns, one of two covered informs about the other, both covered says nothing."""
    brief = b.brief(points=("Solid oak", "Linen shade"))
    assert [v.severity for v in whole({"text": "See the lamp."}, brief)["C-01"]] == ["warning", "warning"]
    (told,) = whole({"text": "Solid oak. See the lamp."}, brief)["C-01"]
    assert told.severity == "info"
    assert "Linen shade" in told.message
    assert "C-01" not in whole({"text": "Solid oak, linen shade. See the lamp."}, brief)


def test_copy_asks_for_something_where_the_use_case_wants_it() -> None:
    """A body without a call warns if the use case has an intent; a call or a button field answers it."""
    buy = UseCase("product_page", ("aida",), (), ("buy",), "")
    assert "C-04" in whole({"text": "The lamp stands on the desk."}, b.brief(use_case=buy))
    assert "C-04" not in whole(
        {"text": "The lamp stands on the desk. Order it today."}, b.brief(use_case=buy)
    )
    assert "C-04" not in whole({"text": "The lamp stands on the desk."}, b.brief())


def test_shops_that_forbid_calls_are_not_asked_for_one() -> None:
    """A marketplace's rules forbid calls, so their absence is no fault; a filled button is a call."""
    buy = UseCase("product_page", ("aida",), (), ("buy",), "")
    silent = {"text": "The lamp stands on the desk."}
    assert "C-04" not in whole(silent, b.brief(use_case=buy, placement=b.place(kind="marketplace")))
    store = b.place(b.field(rules=("google-play-promotion",)), kind="app")
    assert "C-04" not in whole(silent, b.brief(use_case=buy, placement=store))
    button = b.place(b.field(), b.field("cta", "cta", count=(0, 1)))
    assert "C-04" not in whole({**silent, "cta": "Buy online"}, b.brief(use_case=buy, placement=button))
    assert "C-04" in whole(silent, b.brief(use_case=buy, placement=button))


@pytest.mark.parametrize("tag", names("phrases", ".json"))
def test_every_call_of_a_bank_counts_as_one(tag: str) -> None:
    """The word lists know every call that the language's bank writes, and do not take labels for calls."""
    calls = wording_of(catalog.language(tag)).call
    bank = load_json(f"phrases/{tag}.json")
    texts = [text for forms in bank["cta"].values() for listed in forms.values() for text in listed]
    assert [text for text in texts if not calls.hits(lowered(text))] == []
    labels = list(bank["labels"].values())
    assert sum(calls.hits(lowered(label)) for label in labels) < len(labels) / 4


@pytest.mark.parametrize("tag", names("phrases", ".json"))
def test_label_of_a_fact_is_no_claim(tag: str) -> None:
    """Before a colon the bank's label of a fact that the brief holds is no claim, whatever the word."""
    placement, full = b.place(kind="ad"), catalog.language(tag).tag
    for key, label in load_json(f"phrases/{tag}.json")["labels"].items():
        for colon in (":", " :", "\u00a0:", "："):
            broken = found(f"{label}{colon} oak", full, facts={key: "oak"}, placement=placement)
            assert [v for v in broken if v.rule[:2] in ("L-", "C-") and v.rule != "C-21"] == [], (key, label)


LABELS = [
    ("L-13", "fr-FR", "Soldes : 20 %", "discount"),
    ("L-13", "en", "On sale: 20 EUR", "old_price"),
    ("L-04", "en", "Guarantee: two years", "warranty"),
    ("L-11", "en", "Free delivery: from 20 EUR", "delivery"),
    ("L-29", "en", "Certified: oak", "certificate"),
    ("L-15", "en", "Biodegradable: cotton", "material"),
    ("L-02", "en", "Top rated: 4.8", "rating"),
]


@pytest.mark.parametrize(("rule", "tag", "text", "key"), LABELS)
def test_claim_before_a_colon_is_a_label_only_with_its_fact(rule: str, tag: str, text: str, key: str) -> None:
    """The same words are a claim where the brief holds no such fact, or no colon follows."""
    assert rule not in ids(text, tag, facts={key: "two"}), found(text, tag, facts={key: "two"})
    assert rule in ids(text, tag, facts={"color": "two"})
    assert rule in ids(text.replace(" :", "").replace(":", ""), tag, facts={key: "two"})


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("fr-FR", "Vraiment ? Oui : voici « Lumo » !"),
        ("de", 'Der Tisch "Lumo" steht da'),
        ("pl", 'Lampa "Lumo" stoi'),
        ("en", "Look here..."),
    ],
)
def test_text_messages_are_typed_plainly(tag: str, text: str) -> None:
    """What GSM-7 cannot hold is not asked for in a message, and is asked for elsewhere."""
    plain = b.place(b.field(rules=("sms-plain-characters",)), id="sms", kind="message")
    assert not {rule for rule in ids(text, tag, placement=plain) if rule.startswith(("P-", "M-08"))}
    assert {rule for rule in ids(text, tag) if rule.startswith(("P-", "M-08"))}


@pytest.mark.parametrize(
    ("tag", "quoted", "own"),
    [
        ("es-ES", "Usted decide.", "Mira tu mesa."),
        ("hi", "आपके घर के लिए।", "तुम देखो।"),
        ("de", "Wir helfen Ihnen gern.", "Schau mal, was du brauchst."),
        ("fr-FR", "Pour vous.", "Regarde ta table."),
    ],
)
def test_address_of_a_quoted_sentence_is_no_error(tag: str, quoted: str, own: str) -> None:
    """A mix that the caller's own words bring is a warning; one the copy makes alone is an error."""
    for first, second in ((quoted, own), (own, quoted)):
        (told,) = [v for v in found(f"{own} {quoted}", tag, source=first) if v.rule == "C-21"]
        assert told.severity == "warning"
        assert second
    (told,) = [v for v in found(f"{own} {quoted}", tag, source="Lumo") if v.rule == "C-21"]
    assert told.severity == "error"


def test_totals_count_the_whole_post() -> None:
    """Caption and hashtags, or text and content warning, are measured together, tags with their sign."""
    place = b.place(
        b.field(), b.field("hashtags", "hashtags", count=(0, 30)), rules=("instagram-caption-total",)
    )
    full = {"text": "a" * 2190, "hashtags": ["oak", "desk"]}  # 2190 + 5 + 6 = 2201
    (told,) = [
        v for v in Checker(b.brief(placement=place)).draft(Draft(full)) if v.rule == "instagram-caption-total"
    ]
    assert (told.severity, told.measured, told.limit) == ("error", 2201, 2200)
    fits = Draft({**full, "text": "a" * 2189})
    assert "instagram-caption-total" not in {v.rule for v in Checker(b.brief(placement=place)).draft(fits)}
    toot = b.place(b.field(), b.field("content_warning", "label", count=(0, 1)), rules=("mastodon-total",))
    texts = {"text": "é" * 480, "content_warning": "x" * 20}
    assert "mastodon-total" in whole(texts, b.brief(placement=toot))
    assert "mastodon-total" not in whole({**texts, "content_warning": "x" * 19}, b.brief(placement=toot))


def test_bullets_count_together() -> None:
    """All items of one field are measured as one text."""
    place = b.place(b.field("bullets", "label", count=(1, 5), rules=("amazon-bullets-total",)))
    assert "amazon-bullets-total" in whole({"bullets": ["a" * 499, "b" * 500]}, b.brief(placement=place))
    assert "amazon-bullets-total" not in whole({"bullets": ["a" * 499, "b" * 499]}, b.brief(placement=place))


def test_every_testable_editorial_rule_is_tested() -> None:
    """A rule that is not guidance has code for its kind and scope, or a common rule that tests the same."""
    ways = {
        "text": {"pattern", "characters", "phrases"},
        "field": {"total"},
        "draft": {"pattern", "total"},
    }
    for name in load_toml("rules/editorial.toml"):
        rule = editorial(name)
        if rule.kind == "guidance" or not split((name,))[0]:
            continue
        assert rule.kind in ways[rule.scope] or name in CODED, name
    assert {name for name in CODED if editorial(name).kind != "code"} == set()


def test_name_is_said_early() -> None:
    """The name must stand in a headline or the first two sentences, where a field can hold it."""
    brief = b.brief(name="Lumo")
    assert "C-08" in whole({"text": "See it. Touch it. Take Lumo."}, brief)
    assert "C-08" not in whole({"text": "See Lumo. Touch it."}, brief)
    tiny = b.place(b.field("text", "body", b.limit(3)))
    assert "C-08" not in whole({"text": "See"}, b.brief(name="Lumo", placement=tiny))


def test_mail_parts_do_not_repeat_each_other() -> None:
    """A preheader that repeats the subject and a body that opens with it are told."""
    brief = b.brief(placement=MAIL)
    result = whole(
        {
            "subject": "A lamp for your desk",
            "preheader": "A lamp for your desk",
            "body": "A lamp for your desk. See it.",
        },
        brief,
    )
    assert {"C-18", "C-19"} <= result.keys()
    result = whole(
        {"subject": "A lamp for your desk", "preheader": "Oak and linen", "body": "Good morning. See it."},
        brief,
    )
    assert not {"C-18", "C-19"} & result.keys()


def test_missing_facts_are_named() -> None:
    """One warning names the facts the brief lacks, and is silent about those it has."""
    sale = UseCase("seasonal_sale", ("aida",), ("price", "dates", "link", "exclusions"), ("none",), "")
    brief = b.brief(use_case=sale, facts={"price": "10 EUR"})
    (told,) = whole({"text": "See it."}, brief)["B-01"]
    assert told.severity == "warning"
    assert "lacks dates, link, exclusions:" in told.message
    full = b.brief(
        use_case=sale,
        facts={"sale_price": "10 EUR", "Valid until": "May 3", "terms": "online"},
        url="https://a.example",
    )
    assert "B-01" not in whole({"text": "See it."}, full)


ELSEWHERE = [
    ("landing_page", {"url": "https://lumo.example"}),
    ("cart_link", {"url": "https://lumo.example"}),
    ("phone_or_url", {"source": "Call +44 20 7946 0018"}),
    ("usp", {"points": ("Solid oak",)}),
    ("takeaways", {"points": ("Solid oak",)}),
    ("attributes", {"facts": {"material": "oak"}}),
    ("offer", {"facts": {"old_price": "30 EUR"}}),
    ("offer", {"source": "20 % off"}),
    ("segment", {"audience": "night owls"}),
    ("sender", {"name": "Lumo"}),
    ("item", {"name": "Lumo"}),
    ("deadline", {"facts": {"date": "2026-12-24"}}),
    ("launch_date", {"source": "From 24 December 2026"}),
    ("query", {"keywords": ("desk lamp",)}),
    ("stop_line", {}),
    ("sizes", {"source": "40 cm high"}),
    ("quote", {"source": "“It lights the whole desk,” says Ana."}),
    ("time_zone", {"source": "18:00 CET"}),
    ("warranty", {"source": "With a warranty of two years"}),
]  # fmt: skip


@pytest.mark.parametrize(("fact", "given"), ELSEWHERE)
def test_required_fact_may_stand_in_another_field(fact: str, given: dict[str, object]) -> None:
    """A fact given in its own field of the request, or as a figure in the caller's words, is not missing."""
    case = UseCase("some", ("aida",), (fact, "mandatory_line"), ("none",), "")
    brief = b.brief(use_case=case, **given)  # type: ignore[arg-type]
    assert missing_facts(brief) == ("mandatory_line",)


@pytest.mark.parametrize("fact", sorted({fact for fact, given in ELSEWHERE if given}))
def test_required_fact_is_missing_from_an_empty_brief(fact: str) -> None:
    """The same facts are missed where the brief says nothing of the kind."""
    case = UseCase("some", ("aida",), (fact,), ("none",), "")
    assert missing_facts(b.brief(use_case=case, name="", source="A thing")) == (fact,)


def test_every_required_fact_says_where_it_may_stand() -> None:
    """Each fact of the 48 use cases has its row, and no row looks at a part that no brief has."""
    rows = load_toml("rules/required_facts.toml")
    wanted = {fact for row in load_toml("use_cases.toml").values() for fact in row["required_facts"]}
    assert rows.keys() == wanted
    assert {part for row in rows.values() for part in row.get("from", ())} <= SOURCES.keys()


def test_structure_steps_stay_in_order() -> None:
    """Parts in another order than the structure's are told; missing steps too."""
    brief = b.brief()
    parts = (
        Part(step="action", field="text", text="See it."),
        Part(step="attention", field="text", text="Hello."),
    )
    assert "S-01" in whole({"text": "See it. Hello."}, brief, parts=parts, structure="aida")
    assert "S-01" in whole({"text": "See it."}, brief, parts=parts[:1], structure="aida")
    assert "S-01" not in whole({"text": "Hello. See it."}, brief, parts=parts[::-1], structure="aida")


def test_restrictions_report_their_own_words() -> None:
    """A restriction that code can check is an error with the caller's words in the message."""
    restrictions = pytest.importorskip("copykit.brief.restrictions")
    compiled = restrictions.compile_restrictions(
        ["don't mention the price"], language=b.language("en"), brand=Brand()
    )
    (broken, *_) = [
        v for v in found("Price: 10 EUR", restrictions=compiled, source="10 EUR") if v.rule == "C-02"
    ]
    assert "don't mention the price" in broken.message


EDITORIAL = [
    ("google-punctuation", "Look, , here", "Look, here"),
    ("google-lookalike-letters", "Get f1owers here", "Get flowers at 4"),
    ("google-lookalike-letters", "Get F.L.O.W.E.R.S here", "Get flowers in the U.S."),
    ("google-symbols", "A lamp → a desk", "A lamp - a desk"),
    ("google-no-phone", "Call 030 1234 5678", "Open 9-17 in 2026"),
    ("google-no-exclamation-headline", "Look here!", "Look here."),
    ("google-path", "lamps/oak", "lamps-oak"),
    ("google-tokens", "Buy {Thing}", "Buy {KeyWord:Lamps}"),
    ("press-no-exclamation", "A new lamp!", "A new lamp"),
    ("push-one-line", "A lamp\nand a desk", "A lamp and a desk"),
    ("email-fake-reply", "Re: your lamp", "Regarding your lamp"),
    ("etsy-title-once", "A: B: C", "A: B"),
    ("amazon-title-repetition", "Lamp lamp lamp oak", "Lamp oak lamp"),
    ("meta-no-profanity", "This is bullshit", "This is a shiitake lamp"),
]


@pytest.mark.parametrize(("rule", "bad", "good"), EDITORIAL)
def test_editorial_rule(rule: str, bad: str, good: str) -> None:
    """A platform's rule fires where the placement carries it, on its fault only."""
    place = b.place(rules=(rule,))
    more = {"placement": place, "source": "9-17 in 2026 4"}
    assert rule in ids(bad, **more)
    assert rule not in ids(good, **more)
    assert rule not in ids(bad, source="9-17 in 2026 4")


def test_every_editorial_rule_compiles() -> None:
    """All rules of the data file can be read, and a pattern's gate holds a character of some match."""
    for name in load_toml("rules/editorial.toml"):
        rule = editorial(name)
        assert rule.description
        assert rule.severity in ("error", "warning", "info")


@pytest.mark.parametrize(
    "bait",
    ["_", "1", "a.", "A", "é", "+1 (", "\n", " ", "<b", "<a>", "&a", "{", "a, ", "#", ": ", "👩\u200d"],
)
def test_the_time_of_an_editorial_rule_grows_with_the_text_alone(bait: str) -> None:
    """
    No pattern of a rule looks through the rest of a text again from every place of it.
    """
    text = ("a" + bait * 20_000)[:20_000] + "x"
    slow = []
    for name, row in load_toml("rules/editorial.toml").items():
        pattern = editorial(name).pattern if row["kind"] == "pattern" else None
        if pattern is not None:
            began = time.process_time()
            pattern.search(text)
            took_s = time.process_time() - began
            if took_s > 0.5:
                slow.append((name, took_s))
    assert slow == []


def test_gates_let_every_fault_through() -> None:
    """A gate never hides a match: no pattern matches a text that its gate turns away."""
    samples = [bad for _, bad, _ in EDITORIAL] + [good for _, _, good in EDITORIAL]
    samples += [text for texts in GOOD.values() for text in texts]
    samples += [
        "#a #1",
        "a@b.example",
        "https://a.example",
        "a  b",
        "• a",
        "x<b>y</b>",
        "Fwd: a",
        "“a”",
        "a\nb\nc\nd\ne\nf",
    ]
    for name in load_toml("rules/editorial.toml"):
        rule = editorial(name)
        if rule.pattern is not None and rule.gate is not None:
            for text in samples:
                if rule.pattern.search(text):
                    assert not rule.gate.isdisjoint(text), (name, text)


def test_message_says_what_to_do() -> None:
    """Every violation explains the fault and the remedy, and names its source."""
    (broken,) = [v for v in found("Look here!!") if v.rule == "M-05"]
    assert broken.message == "'!!' repeats the mark: keep one mark"
    assert broken.source == "S10, S91"
    assert "Look here!!"[slice(*broken.span)] == "!!"


def test_every_rule_of_the_code_is_in_the_data() -> None:
    """The rules named in the code are exactly those that the data and so the docs describe."""
    import re
    from importlib.resources import files

    modules = [entry for entry in files("copykit.drafts").iterdir() if entry.name.endswith(".py")]
    code = "".join(entry.read_text(encoding="utf-8") for entry in modules)
    claimed = {rule for tag in GOOD for rule in load_toml(f"rules/claims/{tag.partition('-')[0]}.toml")} - {
        "OK"
    }
    named = set(re.findall(r'"((?:[MCLTBFS]-\d\d|P-[A-Z]{2,3}-\d|SP))"', code)) | claimed
    assert named == set(rules())


def test_lexicon_takes_the_longest_phrase_and_whole_words() -> None:
    """Stems, hyphens and longest matches work; a phrase inside a longer word does not count."""
    lexicon = Lexicon({"free": 1, "free of charge": 2, "nachhalt*": 3, "eco friendly": 4})
    assert [(p, m) for p, m, _, _ in lexicon.find("free of charge, free")] == [
        ("free of charge", 2),
        ("free", 1),
    ]
    assert [m for _, m, _, _ in lexicon.find("nachhaltige eco-friendly freedom carefree")] == [3, 4]


def test_checker_is_not_changed_by_texts() -> None:
    """The same text gets the same answer whatever was checked before."""
    checker = Checker(b.brief(name="Lumo"))
    spec = checker.brief.fields[0]
    before = checker.text(spec, "The best lamp!!", "a")
    for text in ("Free lamp", "Sure, here it is", "Meet Lumo."):
        checker.text(spec, text, "b")
    assert checker.text(spec, "The best lamp!!", "a") == before


def test_texts_read_before_are_judged_alike_in_a_draft() -> None:
    """What `allows` has read is not read again, and the draft says the same as a checker that starts afresh."""
    place = b.place(b.field("headlines", "headline", b.limit(20), count=(1, 5)))
    brief = b.brief(placement=place, name="Lumo", points=("Oak",))
    draft = Draft({"headlines": ["Lumo, a game changer", "Lumo is here", "Look, the the lamp", "x" * 30]})
    reader = Checker(brief)
    spec = brief.fields[0]
    taken = [reader.allows(spec, text) for text in draft.fields["headlines"]]
    assert taken == [True, True, False, False]
    assert reader.draft(draft) == Checker(brief).draft(draft)


def test_mail_signals_are_found_by_their_words() -> None:
    """Every signal of a mail body is one that a text without its telling words cannot give."""
    examples = {
        "SP-07": "It is 100% guaranteed", "SP-08": "Dear friend", "SP-09": "Ten million dollars",
        "SP-10": "A money-back guarantee", "SP-11": "A one-time offer", "SP-12": "Act Now",
        "SP-13": "An urgent business reply", "SP-14": "Join the millions",
        "SP-15": "Low prices, lowest price",
        "SP-16": "Financial freedom, investment advice, a strong buy, a stock alert",
        "SP-17": "Burn fat without dieting",
        "SP-18": "Bad credit, refinance now, no medical exam", "SP-19": "You are receiving this mail because",
        "SP-20": "A free instant online quote",
    }  # fmt: skip
    assert examples.keys() == {name for name, _ in claims._BODY}
    patterns = dict(claims._BODY)
    for name, text in examples.items():
        assert patterns[name].search(text), name
        for part in text.split(", "):
            telling = not claims._BODY_WORDS.isdisjoint(Look(part).word_set)
            assert telling or not patterns[name].search(part), part


def test_look_keeps_offsets() -> None:
    """Lower-casing and masking keep every offset, Turkish dotted I included."""
    look = Look("İstanbul’da https://a.example/b? Bak!", "t")
    assert len(look.lower) == len(look.text) == len(look.masked)
    assert look.masked.endswith("? Bak!")


def test_caller_limit_is_an_error() -> None:
    """A limit the caller set rejects, with the brief as its source."""
    spec = replace(b.field("text", "body"), limits=(b.limit(4, source="brief"),))
    (broken,) = [v for v in found("Look here", placement=b.place(spec)) if v.rule == "M-01"]
    assert (broken.severity, broken.source) == ("error", "brief")


def test_rules_page_is_current() -> None:
    """docs/rules.md says what the rule data says."""
    import runpy
    from pathlib import Path

    script = Path(__file__).parent.parent / "docs" / "generate_rules.py"
    if not script.exists():
        pytest.skip("the documentation is not part of this checkout")
    page = runpy.run_path(str(script))["page"]()
    assert script.with_name("rules.md").read_text(encoding="utf-8") == page


MORE = [
    ("M-24", "de", "Breite 1,234.50 hier", "Breite 1.234,50 hier", ""),
    ("M-24", "en", "Width 1.234,50 here", "Width 1,234.50 here", ""),
    ("M-25", "en", "The price: 45 for now", "The price: 45 EUR for now", "45 EUR"),
    ("M-25", "es-ES", "Precio: 45 hoy", "Precio: 45 € hoy, 3 pasos", "45 € 3"),
    ("C-09", "en", "It is better than others", "It is better to look", ""),
    ("C-09", "fr-FR", "Mieux que les autres", "Tant mieux", ""),
    ("C-09", "de", "Sie ist anderen überlegen", "Überlegen Sie in Ruhe", ""),
    ("L-18", "en", "Double your money", "Double the light", ""),
    ("M-14", "fr-FR", "Une lampe pour", "Une lampe pour quoi", ""),
    ("C-10", "ja", "ワンランク上の机", "机の上のランプ", ""),
    ("T-01", "en", "It's a lamp", "This is a lamp", ""),
]


@pytest.mark.parametrize(("rule", "tag", "bad", "good", "source"), MORE)
def test_rule_of_one_language(rule: str, tag: str, bad: str, good: str, source: str) -> None:
    """Rules that depend on the language's lists fire on their fault only."""
    formal = b.tone(contractions="no")
    assert rule in ids(bad, tag, source=source, tone=formal)
    assert rule not in ids(good, tag, source=source, tone=formal)


def test_grave_use_case_and_light_tone_clash() -> None:
    """A playful crisis statement warns, a neutral one does not."""
    crisis = UseCase("crisis_statement", ("acca",), (), ("none",), "")
    assert "T-02" in whole({"text": "See it."}, b.brief(use_case=crisis, tone=b.tone(id="playful")))
    assert "T-02" not in whole({"text": "See it."}, b.brief(use_case=crisis))


def test_choices_are_chosen_not_written() -> None:
    """A button field takes one of the platform's values and nothing else."""
    place = b.place(b.field("cta", "cta_choice", choices=("Shop now", "Learn more")))
    assert "F-02" in ids("Buy it today", placement=place)
    assert not ids("shop now", placement=place)


def test_model_written_label_is_asked_for_models_only() -> None:
    """The AI label of a product feed concerns what a model wrote."""
    brief = b.brief(placement=b.place(rules=("merchant-ai-source",)))
    draft = Draft({"text": "See it."})
    assert "C-23" in {v.rule for v in Checker(brief, written_by_model=True).draft(draft)}
    assert "C-23" not in {v.rule for v in Checker(brief).draft(draft)}
