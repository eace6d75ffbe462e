"""Reading descriptions: rows as shops write them, in the twelve languages; what is unsure stays empty."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copykit.brief.clean import plain_text
from copykit.brief.extract import Extract, extract, split_sentences

LANGUAGES = ("en", "es", "fr", "de", "pt", "it", "nl", "pl", "ar", "hi", "ja", "zh")


def read(language: str, text: str, name: str = "") -> Extract:
    """Clean and take apart, as the compiler does."""
    return extract(plain_text(text), name, language)


@pytest.mark.parametrize(
    ("language", "text", "name", "item", "attributes"),
    [
        # a shouted range name before the thing
        ("en", "VALMA Plant stand, bamboo, 40x75 cm", "VALMA", "Plant stand", ("bamboo", "40x75 cm")),
        ("de", "HILMA Heckenschere HS 45, 60 cm", "HILMA", "Heckenschere HS 45", ("60 cm",)),
        # a figure counts the thing and does not name it, unless it is part of a word
        ("en", "VALMA 1 section, white", "VALMA", "", ("1 section", "white")),
        ("en", "VALMA 2-seat sofa, grey", "VALMA", "2-seat sofa", ("grey",)),
        ("en", "100% cotton shirt, white", "", "Cotton shirt", ("white",)),
        # an acronym is no name
        ("en", "LED bulb E27, 806 lm, 2700 K", "", "LED bulb E27", ("806 lm", "2700 K")),
        # names with digits and capitals of their own
        ("en", "Vertex Trail 4 - lightweight tent", "Vertex Trail 4", "Lightweight tent", ()),
        ("en", "eBook reader 7 Pro, 16 GB", "", "eBook reader 7 Pro", ("16 GB",)),
        ("en", "Dr. Lindt soap, sea salt, 90 g", "", "Dr. Lindt soap", ("sea salt", "90 g")),
        # shouted
        ("en", "STAINLESS STEEL WATER BOTTLE 750ML", "", "Stainless steel water bottle", ("750ML",)),
        ("es", "SILLA DE OFICINA CON REPOSABRAZOS", "", "Silla de oficina", ()),
        ("de", "TISCHLAMPE AUS MESSING, DIMMBAR", "", "Tischlampe", ("DIMMBAR",)),
        ("fr", "CAFÉ EN GRAINS, 1 KG, TORRÉFACTION LENTE", "", "Café", ("1 KG", "Torréfaction lente")),
        # markup and entities
        ("en", "<div>Fern &amp; Co mug<br>350&nbsp;ml</div>", "", "Fern & Co mug", ("350 ml",)),
        ("it", "<p>Lampada da tavolo</p><ul><li>Ottone</li></ul>", "", "Lampada da tavolo", ("Ottone",)),
        # bullets of several kinds: details, never the thing
        (
            "en",
            "- Waterproof\n- 20 hours of light\n- USB-C",
            "",
            "",
            ("Waterproof", "20 hours of light", "USB-C"),
        ),
        ("ja", "・防水\n・軽量", "", "", ("防水", "軽量")),
        ("en", "1. Oiled oak\n2. Two drawers", "", "", ("Oiled oak", "Two drawers")),
        ("en", "Rain jacket\n• Taped seams\n• 320 g", "", "Rain jacket", ("Taped seams", "320 g")),
        # lists by commas, dashes and bars
        ("en", "Desk lamp | brass | dimmable", "", "Desk lamp", ("brass", "dimmable")),
        ("en", "Shelf, 80 - 120 cm, white", "", "Shelf", ("80 - 120 cm", "white")),
        ("en", "Mug (white, handmade), 350 ml", "", "Mug", ("350 ml",)),
        ("en", "Desk,oak,120 cm", "", "Desk", ("oak", "120 cm")),
        ("de", "Bio-Vollmilch, 3,8 % Fett, 1 l", "", "Bio-Vollmilch", ("3,8 % Fett", "1 l")),
        # labels are no names
        ("en", "Color: red; Size: M", "", "", ("Color: red", "Size: M")),
        ("zh", "材质：纯棉，颜色：白色", "", "", ("材质：纯棉", "颜色：白色")),
        # codes
        ("en", "Ceramic mug, 350 ml (SKU 2231)", "", "Ceramic mug", ("350 ml",)),
        ("de", "Regal, Eiche massiv, Art.-Nr. 4711", "", "Regal", ("Eiche massiv",)),
        ("en", "Ink refill", "", "Ink refill", ()),
        ("en", "Framed wall art print", "", "Framed wall art print", ()),
        # measures behind the thing
        ("es", "Aceite de oliva virgen 500 ml, suave", "", "Aceite de oliva virgen", ("500 ml", "suave")),
        ("pt", "Café torrado em grãos 1kg", "", "Café torrado", ("1kg",)),
        ("ar", "قهوة عربية محمصة 250 غرام", "", "قهوة عربية محمصة", ("250 غرام",)),
        ("ja", "コーヒー豆 200g ブラジル産", "", "コーヒー豆", ("200g", "ブラジル産")),
        ("zh", "不锈钢保温杯 500毫升", "", "不锈钢保温杯", ("500毫升",)),
        # articles, elided too; what belongs behind the noun is left off
        ("fr", "L'huile d'olive vierge, 75 cl", "", "Huile d'olive vierge", ("75 cl",)),
        ("it", "L’olio d’oliva, 500 ml", "", "Olio d’oliva", ("500 ml",)),
        ("en", "A soy candle with notes of cedar", "", "Soy candle", ()),
        ("nl", "Waterdichte regenjas met capuchon", "", "Waterdichte regenjas", ()),
        ("pl", "Kubek ceramiczny z uchem, 350 ml", "", "Kubek ceramiczny", ("350 ml",)),
        # badges
        ("ja", "【送料無料】ステンレスボトル 500ml", "", "ステンレスボトル", ("500ml",)),
        ("en", "[NEW] Oak bench, 140 cm", "", "Oak bench", ("140 cm",)),
        # right to left, no-space scripts
        ("ar", "حذاء رياضي خفيف، مقاس 42، أسود", "", "حذاء رياضي خفيف", ("مقاس 42", "أسود")),
        ("hi", "स्टील की बोतल, 750 मि.ली.", "", "स्टील की बोतल", ("750 मि.ली.",)),
        ("ja", "オーク材のデスク、幅120cm", "", "オーク材のデスク", ("幅120cm",)),
        ("zh", "橡木书桌，120×60厘米，环保漆", "", "橡木书桌", ("120×60厘米", "环保漆")),
    ],
)
def test_a_row_gives_its_name_thing_and_details(
    language: str, text: str, name: str, item: str, attributes: tuple[str, ...]
) -> None:
    """One real-looking row a case, as feeds of that language write it."""
    found = read(language, text)
    assert (found.name, found.item, found.attributes) == (name, item, attributes)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Our desk is made to last."),
        ("en", "Shop now and save! Best price ever!"),
        ("en", "https://shop.example/desk"),
        ("en", "hello@shop.example"),
        ("en", "42"),
        ("en", "5% off"),
        ("en", "Perfect for gifts, weddings, birthdays"),
        ("en", "Whether you run or walk, these shoes fit."),
        ("en", "This one wakes you up."),
        ("en", "Coffee wakes you up."),
        ("es", "¡Descubre nuestras zapatillas!"),
        ("es", "Esta lámpara ilumina."),
        ("fr", "Découvrez notre gamme de soins."),
        ("de", "Unsere Seife wird von Hand gerührt."),
        ("pt", "Aproveite o verão com estilo."),
        ("it", "Scopri la nostra collezione!"),
        ("nl", "Onze kaas rijpt 12 maanden."),
        ("pl", "Nasza kawa jest palona ręcznie."),
        ("ar", "اكتشف مجموعتنا الجديدة."),
        ("hi", "यह बोतल स्टील से बनी है।"),
        ("ja", "軽量なランニングシューズです。"),
        ("ja", "毎日の練習に最適です"),
        ("zh", "这款跑鞋轻便透气"),
        ("zh", "我们的咖啡很香。"),
        ("en", "💥🔥✨"),
    ],
)
def test_what_cannot_be_told_stays_empty(language: str, text: str) -> None:
    """Clauses, calls, addresses and bare numbers name no thing and give no name."""
    found = read(language, text)
    assert (found.name, found.item) == ("", "")


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        (
            "en",
            "The Vertex is a tent for two. It weighs 1.9 kg. Sets up in five minutes.",
            ("The Vertex is a tent for two. It weighs 1.9 kg.", "Sets up in five minutes."),
        ),
        ("en", "It is light. A tent for two people.", ("A tent for two people.",)),
        ("en", "Made for Dr. Berg in 1921 by hand.", ("Made for Dr. Berg in 1921 by hand.",)),
        (
            "de",
            "Passt u.a. zu Eiche, z.B. Regalen. Er wiegt 3 kg.",
            ("Passt u.a. zu Eiche, z.B. Regalen. Er wiegt 3 kg.",),
        ),
        ("es", "La silla es de roble. Además, es ligera.", ("La silla es de roble. Además, es ligera.",)),
        (
            "ja",
            "軽量なランニングシューズです。それは丈夫です。",
            ("軽量なランニングシューズです。それは丈夫です。",),
        ),
        ("en", "Ingredients: oats, honey, nuts and salt.", ()),
        ("en", "Half a sentence (that never ends. And so on", ()),
    ],
)
def test_sentences_are_quoted_whole_and_with_what_points_back(
    language: str, text: str, sentences: tuple[str, ...]
) -> None:
    """A sentence that opens with a pronoun is quoted behind the one it points to, or not at all."""
    assert read(language, text).sentences == sentences


@pytest.mark.parametrize(
    ("text", "language", "parts"),
    [
        ("One. Two! Three?", "", ["One.", "Two!", "Three?"]),
        ("Approx. 3 m. Two pieces.", "en", ["Approx. 3 m.", "Two pieces."]),
        ("Nr. 5 z.B. Eiche. Neu.", "de", ["Nr. 5 z.B. Eiche.", "Neu."]),
        ("一。二！三", "zh", ["一。", "二！", "三"]),
        ("「一。」二。", "ja", ["「一。」二。"]),
        ("एक। दो।", "hi", ["एक।", "दो।"]),
        ("واحد؟ اثنان.", "ar", ["واحد؟", "اثنان."]),
        ("a\n\nb", "", ["a", "b"]),
        ("3.5 kg, v2.0", "en", ["3.5 kg, v2.0"]),
        ("It is filled in. The lid is oak.", "en", ["It is filled in.", "The lid is oak."]),
        ("Frutta Secca GR. 300 Cameo", "it", ["Frutta Secca GR. 300 Cameo"]),
        ("Pesa 5 kg. Incluye tapa.", "es", ["Pesa 5 kg.", "Incluye tapa."]),
        ("", "", []),
    ],
)
def test_sentences_end_at_their_own_marks(text: str, language: str, parts: list[str]) -> None:
    """Marks of all scripts count; decimals, abbreviations and quoted sentences do not end one."""
    assert split_sentences(text, language) == parts


def test_a_figure_behind_the_given_name_is_a_detail() -> None:
    """How many of the thing there are does not say what it is."""
    found = read("en", "1 section, white, 92x51 cm", "VALMA")
    assert (found.item, found.attributes) == ("", ("1 section", "white", "92x51 cm"))


def test_a_name_is_never_split() -> None:
    """A mark inside the name of the thing ends no sentence; the one behind it does."""
    text = "Buy your Pop! Candy Duo. It pops. Pop! Candy Duo is new."
    assert split_sentences(text, "en", "Pop! Candy Duo") == [
        "Buy your Pop! Candy Duo.",
        "It pops.",
        "Pop! Candy Duo is new.",
    ]
    assert extract(text, "Pop! Candy Duo", "en").sentences == (
        "Buy your Pop! Candy Duo. It pops.",
        "Pop! Candy Duo is new.",
    )


@pytest.mark.parametrize(
    ("language", "name", "text", "item"),
    [
        ("zh", "北岭针织无边帽子", "这款帽子采用羊毛制成。柔软保暖，适合冬天。", "帽子"),
        ("zh", "北岭针织无边帽子", "这款配饰采用羊毛制成。", ""),
        ("ja", "ノールニットユニセックスビーニー", "ウール製です。このビーニーは暖かいです。", "ビーニー"),
        ("ja", "ノール Wool Beanie", "このビーニーは暖かいです。", ""),
    ],
)
def test_without_spaces_the_thing_is_what_the_text_points_at(
    language: str, name: str, text: str, item: str
) -> None:
    """ "This beanie" names the last noun of a name in which no space shows where that noun begins."""
    assert extract(text, name, language).item == item


def test_praise_in_chinese_is_no_detail() -> None:
    """A piece that ends in "solution" or "choice" says nothing of the thing."""
    assert extract("帽子，羊毛，舒适的解决方案，冬季必备", "", "zh").attributes == ("羊毛",)


def test_an_item_is_not_cut_inside_quotation_marks() -> None:
    """What opens or closes a quotation takes both marks along, or there is no item."""
    assert extract("Sopa 'Luna Clara, 200 g", "", "es").item == ""
    assert extract("Sopa 'Luna Clara', 200 g", "", "es").item == "Sopa 'Luna Clara'"


@pytest.mark.parametrize(
    ("name", "text", "item"),
    [
        ("Norr", "Norr: oak desk, 120x60 cm", "Oak desk"),
        ("Norr", "Norr, oak desk, 120x60 cm", "Oak desk"),
        ("Oak desk", "Oak desk, oiled, 120x60 cm", ""),
        ("Norr", "Bookcase, white", "Bookcase"),
        ("Norr oak desk", "Desk, oiled", ""),
        ("Norr", "Norr has two drawers.", ""),
    ],
)
def test_a_known_name_is_not_taken_for_the_thing(name: str, text: str, item: str) -> None:
    """The name is kept as given; the thing is what stands beside it, unless the name says it already."""
    found = read("en", text, name)
    assert (found.name, found.item) == (name, item)


_WORDS = st.sampled_from(
    [
        *"oak Desk THE the is It our 120x60 cm 5% (new) l'huile “quoted” Dr. z.B. SKU-22 SKU: 4711".split(),
        *"، 、 。 । オーク材 デスク 书桌， حذاء बोतल • - – | : ； ! ? … 🔥 <b>x</b> &amp; NORR usb".split(),
        *"https://x.example a, b; ¡Hola ß İstanbul ǆ ﬁne".split(),
        "\n",
    ]
)


@given(
    text=st.one_of(st.lists(_WORDS, max_size=25).map(" ".join), st.text(max_size=120)),
    language=st.sampled_from(LANGUAGES),
)
def test_nothing_is_said_that_the_text_does_not_hold(text: str, language: str) -> None:
    """Name, item, attributes and sentences are stretches of the cleaned text, up to case and spaces."""
    clean = plain_text(text)
    held = "".join(clean.split()).casefold()
    found = extract(clean, "", language)
    for piece in (found.name, found.item, *found.attributes):
        # capitalising may change a letter's length (ß, İ, ligatures): folding undoes it on both sides
        assert "".join(piece.lower().split()).casefold() in "".join(held.lower().split()).casefold()
    for sentence in found.sentences:
        for part in split_sentences(sentence, language):
            assert "".join(part.split()).casefold() in held


@given(text=st.lists(_WORDS, max_size=25).map(" ".join), language=st.sampled_from(LANGUAGES))
def test_an_item_is_fit_for_a_headline(text: str, language: str) -> None:
    """An item holds a letter, no address, no open bracket, no sentence mark that calls, at most six words."""
    item = extract(plain_text(text), "", language).item
    if item:
        assert any(c.isalpha() for c in item)
        assert "://" not in item
        assert not set(item) & set("([{!?！？\n")
        assert len(item.split()) <= 6


@pytest.mark.parametrize(
    "unit", ["a", "a ", "a, ", "(a, ", "a. ", "9 x ", "SKU 1 ", "a - ", "[", "• ", "「。", "ab:", "材质："]
)
def test_bait_takes_linear_time(unit: str) -> None:
    """50,000 characters of one pattern end: a quadratic reading would take minutes."""
    started = time.process_time()
    extract(unit * (50_000 // len(unit)), "", "en")
    assert time.process_time() - started < 30


def test_what_is_remembered_of_descriptions_is_bounded() -> None:
    """Ever new products do not pile up."""
    assert extract.cache_info().maxsize == 64
