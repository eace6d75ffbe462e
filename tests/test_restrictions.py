"""Restrictions in plain words become checks where code can know them, and say so."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.catalog import language, languages
from copykit.brief.compile import compile_brief
from copykit.brief.restrictions import Restriction, compile_restrictions, contradictions
from copykit.errors import InvalidRequest
from copykit.models import Brand, CopywritingInput

NO_PRICE_NO_EMOJI = {
    "en": ("No price", "No emoji"),
    "es": ("Sin precio", "Sin emojis"),
    "fr": ("Pas de prix", "Pas d'emoji"),
    "pt": ("Sem preço", "Sem emojis"),
    "de": ("Kein Preis", "Keine Emojis"),
    "it": ("Niente prezzo", "Niente emoji"),
    "nl": ("Geen prijs", "Geen emoji"),
    "ca": ("Sense preu", "Sense emojis"),
    "pl": ("Bez ceny", "Bez emoji"),
    "ru": ("Не упоминай цену", "Без эмодзи"),
    "uk": ("Не згадуй ціну", "Без емодзі"),
    "tr": ("Fiyattan bahsetme", "Emoji kullanma"),
    "ar": ("لا تذكر السعر", "بدون إيموجي"),
    "fa": ("قیمت را ذکر نکنید", "بدون ایموجی"),
    "he": ("בלי מחיר", "ללא אימוג'י"),
    "hi": ("कीमत न बताएँ", "इमोजी का उपयोग न करें"),
    "bn": ("দাম উল্লেখ করবেন না", "ইমোজি ব্যবহার করবেন না"),
    "ja": ("価格に触れない", "絵文字禁止"),
    "ko": ("가격을 언급하지 마세요", "이모지 금지"),
    "zh": ("不要提价格", "禁止使用表情符号"),
    "sv": ("Nämn inte priset", "Inga emojis"),
    "da": ("Nævn ikke prisen", "Ingen emojis"),
    "nb": ("Ikke nevn prisen", "Ingen emojier"),
    "fi": ("Älä mainitse hintaa", "Ei emojeita"),
    "cs": ("Neuvádějte cenu", "Bez emoji"),
    "sk": ("Neuvádzajte cenu", "Bez emoji"),
    "ro": ("Nu menționa prețul", "Fără emoji"),
    "el": ("Μην αναφέρεις την τιμή", "Χωρίς emoji"),
    "hu": ("Ne említsd az árat", "Ne használj emojit"),
    "bg": ("Не споменавай цената", "Без емоджита"),
    "hr": ("Ne spominji cijenu", "Bez emojija"),
    "id": ("Jangan sebutkan harga", "Tanpa emoji"),
    "ms": ("Jangan sebut harga", "Tanpa emoji"),
    "fil": ("Huwag banggitin ang presyo", "Walang emoji"),
    "vi": ("Không nhắc đến giá", "Không dùng biểu tượng cảm xúc"),
    "th": ("ห้ามระบุราคา", "ห้ามใช้อิโมจิ"),
}  # fmt: skip
DONT_SAY_CHEAP = {
    "en": "don't say cheap", "es": "no digas barato", "fr": "ne dis pas « bradé »", "pt": "não diga barato",
    "de": "nicht 'billig' sagen", "it": "non dire economico", "nl": "zeg niet goedkoop",
    "pl": "nie mów „tani”",
    "ar": "لا تقل رخيص", "hi": "'सस्ता' न कहें", "ja": "「激安」は使わない", "zh": "不要说便宜",
    "ru": "не говори дешёвый", "tr": "ucuz deme",
    "ko": "'저렴'이라는 말을 사용하지 마세요", "sv": "säg inte billig",
}  # fmt: skip


def one(text: str, tag: str = "en", brand: Brand | None = None) -> Restriction:
    rules = compile_restrictions([text], language=language(tag), brand=brand or Brand())
    assert len(rules) == 1, rules
    return rules[0]


@pytest.mark.parametrize("tag", [entry.tag for entry in languages()])
def test_every_language_understands_no_price_and_no_emoji(tag: str) -> None:
    """Both phrasings are checks that see a price and an emoji."""
    price, emoji = (one(text, tag) for text in NO_PRICE_NO_EMOJI[tag.split("-")[0]])
    assert (price.kind, price.enforced) == ("price", "check")
    assert (emoji.kind, emoji.enforced) == ("emoji", "check")
    assert price.find("– 49,90 € –")
    assert emoji.find("– 🔥 –") == [(2, 3)]
    assert price.find("–") == []
    assert emoji.find("– 49,90 € –") == []


@pytest.mark.parametrize("code", DONT_SAY_CHEAP)
def test_a_word_not_to_be_said_becomes_a_term(code: str) -> None:
    """The word is taken out of the sentence around it, and found."""
    tags = {"es": "es-ES", "fr": "fr-FR", "pt": "pt-BR", "zh": "zh-Hans"}
    rule = one(DONT_SAY_CHEAP[code], tags.get(code, code))
    assert (rule.kind, rule.enforced, len(rule.values)) == ("term", "check", 1)
    assert rule.values[0] in DONT_SAY_CHEAP[code]
    assert rule.find(f"– {rule.values[0].upper()} –")


@pytest.mark.parametrize(
    "text, kind, enforced, values",
    [
        ("Don't use ALL CAPS", "caps", "check", ()),
        ('No "cheap", no "budget"', "term", "check", ("cheap", "budget")),
        ("avoid words like cheap, budget and low-cost", "term", "check", ("cheap", "budget", "low-cost")),
        ("don't mention Nike or Adidas", "term", "check", ("Nike", "Adidas")),
        ("don't mention the word price", "term", "check", ("price",)),
        ("max 2 emoji", "emoji", "check", ("max 2",)),
        ("at most one exclamation mark", "punctuation", "check", ("max 1",)),
        ("avoid exclamation marks", "punctuation", "check", ("!",)),
        ("don't sound arrogant", "unknown", "guidance", ()),
        ("avoid politics", "unknown", "guidance", ()),
        ("don't use slang", "unknown", "guidance", ()),
        ("always mention the warranty", "unknown", "guidance", ()),
        ("use emoji", "emoji", "guidance", ()),
        ("no numbers in the headline", "number", "guidance", ()),
        ("don't mention price unless asked", "price", "guidance", ()),
        ("no competitor names", "competitor", "guidance", ()),
        ("blah", "unknown", "guidance", ()),
    ],
)
def test_what_becomes_of_a_phrasing(text: str, kind: str, enforced: str, values: tuple[str, ...]) -> None:
    """Kind, enforcement and values of typical phrasings."""
    rule = one(text)
    assert (rule.kind, rule.enforced, rule.values) == (kind, enforced, values)
    if enforced == "guidance":
        assert rule.find("cheap! 🔥 $5 #x THE BEST") == []


def test_one_text_may_forbid_several_things() -> None:
    """Each thing is reported on its own."""
    rules = compile_restrictions(["No emojis, hashtags or links"], language=language("en"), brand=Brand())
    assert {r.kind for r in rules} == {"emoji", "hashtag", "link"}


def test_the_restriction_may_be_in_another_language_than_the_copy() -> None:
    """A Spanish restriction on German copy finds German prices."""
    assert one("no mencionar precio", "de").find("Nur 49,90 Euro")
    assert one("no uses emoticonos", "en").kind == "emoji"


def test_counted_restrictions_permit_that_many() -> None:
    """Only what goes beyond the number is a breach."""
    rule = one("no more than 2 hashtags")
    assert rule.find("#one #two") == []
    assert rule.find("#one #two #three") == [(10, 16)]


def test_competitors_come_from_the_brand() -> None:
    """Known competitors make it a check."""
    rule = one("don't mention competitors", brand=Brand(competitors=["Acme"]))
    assert (rule.enforced, rule.values) == ("check", ("Acme",))
    assert rule.find("better than ACME")


def test_names_are_spared() -> None:
    """The brand's own name may hold digits and capitals."""
    rules = compile_restrictions(
        ["no numbers", "no all caps"], language=language("en"), brand=Brand(name="LUMEN 900"), name="FREKVENS"
    )
    assert [r.find("FREKVENS meets LUMEN 900") for r in rules] == [[], []]
    assert rules[0].find("LUMEN 901")


def test_the_product_name_of_a_request_is_spared() -> None:
    """Digits of the name do not break "no numbers", other digits do."""
    brief = compile_brief(
        CopywritingInput(
            product_description="Floor lamp with a linen shade",
            product_name="Lumen 900",
            target_platform="x.post",
            restrictions=["no numbers"],
        )
    )
    assert brief.restrictions[0].find("Meet Lumen 900") == []
    assert brief.restrictions[0].find("Meet Lumen 900 in 3 sizes") == [(18, 19)]


@pytest.mark.parametrize(
    "texts, others",
    [
        (["no emoji", "use emoji"], {}),
        (["don't say oak"], {"key_points": ["Solid oak"]}),
        (["don't say oak"], {"name": "Oak & Co"}),
        (["no exclamation marks"], {"call_to_action": "Buy now!"}),
        (["never say cheap", "always use the word 'cheap'"], {}),
    ],
)
def test_contradictions_name_both_sides(texts: list[str], others: dict[str, object]) -> None:
    """What cannot be kept is an InvalidRequest."""
    rules = compile_restrictions(texts, language=language("en"), brand=Brand())
    with pytest.raises(InvalidRequest, match="contradicts") as caught:
        contradictions(rules, **others)  # type: ignore[arg-type]
    assert caught.value.field == "restrictions"


def test_what_can_be_kept_is_not_refused() -> None:
    """Different things do not contradict."""
    rules = compile_restrictions(
        ["no emoji", "use hashtags", "max 2 emoji"], language=language("en"), brand=Brand()
    )
    contradictions(rules, key_points=["Solid oak"], name="Lumen", call_to_action="Buy now")


def test_the_table_of_restrictions_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """Recall, false alarms and readings over the case files stay within bounds."""
    script = Path(__file__).parent.parent / "benchmarks" / "restrictions_table.py"
    assert runpy.run_path(str(script))["main"]() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "tag, ask, breaks, fine",
    [
        ("en", "no superlatives", "Our dreamiest pillow", "A forest guest of the west"),
        ("de", "keine Superlative", "Die kuscheligste Decke", "Der zwanzigste Gast"),
        ("nl", "geen superlatieven", "De prettigste stoel", "De juiste stoel, voor de twintigste keer"),
        ("es", "sin superlativos", "Nuestra silla más vendida", "Cada vez más cerca"),
        ("it", "niente superlativi", "Le nostre lampade migliori", "Un giorno migliore"),
        ("ja", "最上級は使わない", "比類のない快適さ", "一番茶の香り"),
        ("zh-Hans", "不要使用最高级", "舒适度第一", "第一缕阳光"),
        ("ar", "تجنب كلمة رخيص", "سرير رخيـــص", "ترخيص"),
        ("fr", "pas le mot bradé", "Lampes b r a d é e s", "b r a v e s"),
        ("ja", "「激安」は使わない", "激・安セール", "感激・安心"),
        ("nl", "geen prijs", "De prijs valt mee", "We geven geen geheimen prijs"),
        ("pl", "bez ceny", "Od pięćdziesięciu złotych", "Od pięćdziesięciu lat"),
        ("de", "keine Preise", "Für fünfundzwanzig Euro", "Für fünfundzwanzig Gäste"),
    ],
)
def test_words_are_known_by_how_they_are_formed(tag: str, ask: str, breaks: str, fine: str) -> None:
    """Endings, stretched and spaced inflections, number words: not only listed forms."""
    rule = one(ask, tag)
    assert rule.find(breaks)
    assert rule.find(fine) == []


@pytest.mark.parametrize(
    "tag, text",
    [
        ("en", "don't forget to mention price"),
        ("en", "never avoid emojis"),
        ("en", "not only mention price"),
        ("es", "no olvides mencionar el precio"),
        ("fr", "n'oubliez pas de mentionner le prix"),
        ("de", "Lass den Preis nicht weg"),
        ("it", "non dimenticare il prezzo"),
        ("nl", "vergeet de prijs niet"),
        ("pt-BR", "não deixe de mencionar o preço"),
        ("pl", "nie zapomnij o cenie"),
        ("ar", "لا تنس ذكر السعر"),
        ("hi", "कीमत बताना न भूलें"),
        ("ja", "価格を忘れずに書く"),
        ("zh-Hans", "别忘了写价格"),
    ],
)
def test_two_negations_ask_for_what_they_name(tag: str, text: str) -> None:
    """They never forbid it."""
    rule = one(text, tag)
    assert (rule.enforced, rule.asks) == ("guidance", True)
    assert rule.kind in ("price", "emoji")


@pytest.mark.parametrize(
    "tag, text, banned, other",
    [
        ("en", "no price but mention the discount", {"price"}, {"discount"}),
        ("en", "no emojis, use hashtags", {"emoji"}, {"hashtag"}),
        ("en", "Use emojis, no hashtags", {"hashtag"}, {"emoji"}),
        ("en", "don't mention price, use emojis or add links", {"price", "emoji", "link"}, set()),
        ("en", "avoid price, avoid numbers, emojis welcome", {"price", "number"}, {"emoji"}),
        ("es", "emojis no, hashtags sí", {"emoji"}, {"hashtag"}),
        ("de", "Erwähne Preise, Rabatte und Zahlen nicht", {"price", "discount", "number"}, set()),
        ("ja", "絵文字は禁止、ハッシュタグはOK", {"emoji"}, {"hashtag"}),
        ("es", "Sin emojis. Don't say cheap", {"emoji", "term"}, set()),
        ("en", "no superlatives such as 'best'", {"superlative", "term"}, set()),
    ],
)
def test_parts_of_one_text_are_told_apart(tag: str, text: str, banned: set[str], other: set[str]) -> None:
    """What is forbidden, what is asked or permitted, and in which language."""
    rules = compile_restrictions([text], language=language(tag), brand=Brand())
    assert {r.kind for r in rules if r.enforced == "check"} == banned
    assert {r.kind for r in rules if r.enforced == "guidance"} == other


ODD = [
    "!!!", "???", "...", "—", '""', "''", "don't use \"\"", "don't use", "no", "no no no", "avoid the word",
    "never say never", "🚫💰", "don't use 🔥", "max -1 emoji", "max 99999 emojis", "no more than 0 emojis",
    "don't say " + "very " * 90 + "cheap", "no " + "x" * 497, "Don’t say ‘it’s cheap’", "don't say \"cheap",
    "no 'rock 'n' roll'", "no <b>price</b>", "no {{price}}", "%s %d {0}", "(((", "[a-z]+", "\\",
    "no \\d+ numbers", "no \u202eecirp", "a\u200bvoid e\u200bmojis", "ｎｏ ｅｍｏｊｉｓ", "не упоминай price",
    "価格NG 但し discount OK", "no price? no problem, mention it", "İSTANBUL deme", "ß" * 60, "\x00",
    "«»", "„“", "no 「」", "no „a“ “b” «c» ‹d› 'e'", "don't say ' ", ", , ,", "no, no, no", "or", "use",
]  # fmt: skip


@pytest.mark.parametrize("tag", ["en", "de", "ar", "hi", "ja"])
@pytest.mark.parametrize("text", ODD)
def test_odd_restrictions_are_read_without_failing(tag: str, text: str) -> None:
    """At least one result each, and each can look at any copy."""
    rules = compile_restrictions([text], language=language(tag), brand=Brand(competitors=["Acme"]))
    assert rules
    for rule in rules:
        for copy in ("", "Cheap lamps for $5! 🔥 #x THE best www.a.com", "ı İ ß \u0301"):
            assert all(0 <= start < end <= len(copy) for start, end in rule.find(copy))


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    """Arbitrary Unicode neither raises nor is dropped silently."""
    rules = compile_restrictions([text], language=language("en"), brand=Brand())
    assert bool(rules) == bool(text.strip())


@pytest.mark.parametrize(
    "restrictions, others",
    [
        (["no price. Always mention the price"], {}),
        (["sin emojis", "use emojis"], {}),
        (["no numbers"], {"key_points": ["5-year warranty"]}),
        (["no exclamation marks"], {"call_to_action": "Buy now!"}),
        (["never say oak"], {"product_name": "Oak bench"}),
        (["don't say 'cheap'", "don't forget to say 'cheap'"], {}),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(
    restrictions: list[str], others: dict[str, object]
) -> None:
    """InvalidRequest names the field."""
    request = CopywritingInput(
        product_description="A bench for the hall",
        target_platform="x.post",
        restrictions=restrictions,
        **others,
    )
    with pytest.raises(InvalidRequest, match="contradicts") as caught:
        compile_brief(request)
    assert caught.value.field == "restrictions"


@pytest.mark.parametrize(
    "tag, text, kind, enforced",
    [
        ("en", "keep it emoji-free", "emoji", "check"),
        ("de", "emojifrei", "emoji", "check"),
        ("en", "mention it's sugar-free", "unknown", "guidance"),
        ("de", "zuckerfrei erwähnen", "unknown", "guidance"),
        ("es", "menciona que es libre de gluten", "unknown", "guidance"),
    ],
)
def test_free_of_forbids_kinds_and_not_what_a_product_lacks(
    tag: str, text: str, kind: str, enforced: str
) -> None:
    """Emoji-free copy holds no emoji; sugar-free is something to say."""
    rule = one(text, tag)
    assert (rule.kind, rule.enforced) == (kind, enforced)
