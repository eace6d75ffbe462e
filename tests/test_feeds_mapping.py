"""Which column becomes what, and what a row may say."""

from pathlib import Path

import pytest

from copykit.errors import InvalidRequest
from copykit.feeds.mapping import brief_of, guess, left_out, override, text_of
from copykit.feeds.read import read_rows
from copykit.feeds.rows import Row, open_source
from copykit.feeds.text import plain_text

CATALOG = Path(__file__).resolve().parents[2] / "shared" / "data" / "catalog"
needs_catalog = pytest.mark.skipif(
    not CATALOG.is_dir(), reason="the catalogue samples are not beside the project"
)


def row(**fields):
    return Row(1, 1, str(fields.get("id", "1")), fields)


def brief(maps=(), **fields):
    return brief_of(row(**fields), override(guess([row(**fields)]), maps))


@pytest.mark.parametrize(
    "headers, fields",
    [
        (("Product Name", "Long Description", "Price"), ("name", "description", "price")),
        (("Nombre", "Descripción", "Precio"), ("name", "description", "price")),
        (("Bezeichnung", "Beschreibung", "Preis"), ("name", "description", "price")),
        (("Nom du produit", "Description courte", "Prix"), ("name", "short_description", "price")),
        (("nazwa", "opis", "cena"), ("name", "description", "price")),
        (("الاسم", "الوصف", "السعر"), ("name", "description", "price")),
        (("商品名", "商品説明", "価格"), ("name", "description", "price")),
        (("title", "g:description", "g:price"), ("name", "description", "price")),
    ],
)
def test_headers_are_known_in_many_languages(headers, fields):
    """Name, text and price are found by their headers, whatever the shop's language."""
    mapping = guess([row(**dict(zip(headers, ("Wool Cap", "A warm cap for cold days.", "20"), strict=True)))])
    assert {use.field: use.column for use in mapping.uses} == dict(zip(fields, headers, strict=True))


def test_values_must_fit_the_header():
    """A column called price that holds words is not the price, and the table says why."""
    mapping = guess([row(name="Cap", description="A warm cap.", price="ask us", lang="see below, please")])
    assert mapping.use("price") is None
    assert mapping.use("language") is None
    assert dict(mapping.unused)["price"] == "named like price, but its values are not amounts"


def test_without_a_known_header_the_longest_texts_are_the_description():
    """A file with headers of its own still works, and says how the guess was made."""
    mapping = guess(
        [row(k="A17", blurb="A long and friendly text about a warm cap."), row(k="B", blurb="Short one.")]
    )
    assert (mapping.use("description").column, mapping.use("description").why) == ("blurb", "longest text")


def test_no_description_is_an_error_that_names_the_columns():
    """The user learns what to map."""
    with pytest.raises(InvalidRequest, match=r"--map description=COLUMN.*code.*name"):
        guess([row(code="A17", name="Cap")]).check()


def test_the_user_overrides_drops_and_fixes_values():
    """--map takes a column from any guess, empties a field, or gives all rows one value."""
    fields = {"title": "Cap", "model": "W-20", "description": "A cap.", "price": "20", "vendor": "North"}
    assert brief(**fields)["product_name"] == "Cap"
    changed = brief(["name=model", "brand=", "currency==EUR", "facts.series=Title"], **fields)
    assert changed["product_name"] == "W-20"
    assert changed["facts"] == {"price": "20 EUR", "series": "Cap"}


@pytest.mark.parametrize(
    "pair, word, near",
    [
        ("nam=title", "not a field", "name"),
        ("name=titel", "no column", "title"),
        ("name", "FIELD=COLUMN", None),
    ],
)
def test_a_wrong_override_names_the_nearest(pair, word, near):
    """Fields and columns are both checked before anything runs."""
    with pytest.raises(InvalidRequest, match=word) as caught:
        override(guess([row(title="Cap", description="A cap.")]), [pair])
    assert near is None or near in caught.value.nearest


@pytest.mark.parametrize(
    "cells, facts",
    [
        ({"price": 265.0, "currency": "SAR"}, {"price": "265 SAR"}),
        ({"price": 32.5, "currency": "USD"}, {"price": "32.50 USD"}),
        ({"price": "1.299,00", "currency": "EUR"}, {"price": "1299 EUR"}),
        ({"price": "15.00 USD"}, {"price": "15 USD"}),
        ({"price": "€ 49,90"}, {"price": "49.90 EUR"}),
        ({"price": "$19.99"}, {"price": "$19.99"}),
        ({"price": "٢٦٥", "currency": "SAR"}, {"price": "265 SAR"}),
        ({"price": "20"}, {}),
        ({"price": 0, "currency": "EUR"}, {}),
        ({"price": -3, "currency": "EUR"}, {}),
        ({"price": True, "currency": "EUR"}, {}),
        (
            {"price": 223.0, "sale_price": 199.0, "currency": "EUR"},
            {"price": "199 EUR", "old_price": "223 EUR"},
        ),
        ({"price": 223.0, "sale_price": 250.0, "currency": "EUR"}, {"price": "223 EUR"}),
        (
            {"price": 2176.0, "old_price": "SR 2,375", "currency": "SAR"},
            {"price": "2176 SAR", "old_price": "2375 SAR"},
        ),
        ({"price": 69.0, "old_price": "No old price", "currency": "SAR"}, {"price": "69 SAR"}),
        ({"price": 69.0, "old_price": "SR 50", "currency": "SAR"}, {"price": "69 SAR"}),
        ({"price": 69.0, "old_price": "SR 95/4 pack", "currency": "SAR"}, {"price": "69 SAR"}),
        ({"price": 69.0, "old_price": "99 USD", "currency": "SAR"}, {"price": "69 SAR"}),
    ],
)
def test_a_price_is_stated_only_when_the_row_supports_it(cells, facts):
    """No price without its currency, no old price that is not higher, in the same currency, and an amount."""
    assert brief(id="1", name="Cap", description="A warm cap.", **cells)["facts"] == facts


@pytest.mark.parametrize(
    "cells, notes",
    [
        ({"price": "15 EUR", "old_price": "No old price"}, ()),
        ({"price": "n/a"}, ()),
        ({"price": ""}, ()),
        ({"price": "abc"}, ("price is left out: it names no amount",)),
        ({"price": "-5 EUR"}, ("price is left out: it is not above zero",)),
        ({"price": "EUR −5"}, ("price is left out: it is not above zero",)),
        ({"price": 0, "currency": "EUR"}, ("price is left out: it is not above zero",)),
        ({"price": "20"}, ("price is left out: it names no currency",)),
        (
            {"price": "20-30 EUR"},
            ("price is left out: what stands beside the amount is not a currency alone",),
        ),
        (
            {"price": "20 EUR", "sale_price": "soon", "old_price": "30 EUR/2 pack"},
            (
                "sale price is left out: it names no amount",
                "old price is left out: what stands beside the amount is not a currency alone",
            ),
        ),
    ],
)
def test_a_price_that_cannot_be_stated_is_told(cells, notes):
    """An empty cell, or a word for none, is no mistake; anything else that gives no price is noted."""
    rows = [row(id="1", name="Cap", description="A warm cap.", **cells)]
    fillers = [row(id="2", name="C", description="A cap.", **dict.fromkeys(cells, "9 EUR"))] * 3
    mapping = guess([*rows, *fillers])
    assert left_out(rows[0], mapping) == notes


def test_the_description_leads_and_the_tagline_follows():
    """What the product is comes before what is sung of it."""
    text = brief(name="Cap", description="A warm cap of wool.", tagline="Winter? What winter?")
    assert text["product_description"] == "A warm cap of wool.\nWinter? What winter?"


def test_measures_carry_the_unit_of_their_header():
    """Nested or flat, a bare number gets the unit that the header names; without one it says nothing."""
    base = {"name": "Desk", "description": "A desk."}
    assert brief(**base, dimensions_cm={"height": "99", "width": "51", "sku": "7"})["facts"] == {
        "height": "99 cm",
        "width": "51 cm",
    }
    assert brief(**base, **{"Weight (kg)": 12.0})["facts"] == {"weight": "12 kg"}
    assert brief(**base, weight=12)["facts"] == {}
    assert brief(**base, weight="12 kg")["facts"] == {"weight": "12 kg"}


def test_attribute_lists_give_their_known_keys():
    """``a=b,c=d`` cells hold facts and switches of the shop; only the facts are used."""
    cell = "has_options=1,material=Wool|Nylon,pattern=Solid,new=Yes,sale=No"
    assert brief(name="Top", description="A top.", attributes=cell)["facts"] == {
        "material": "Wool, Nylon",
        "pattern": "Solid",
    }


def test_a_category_path_gives_its_last_step():
    """Readers see a category, not a path or a number."""
    for cell, shown in (
        ("Default Category/Men/Tops,Default Category/Sale", "Tops"),
        ("Apparel > Shirts", "Shirts"),
        ("Gear\nBags", "Bags"),
        ("Sideboards, buffets & tables", "Sideboards, buffets & tables"),
        ("1604", None),
    ):
        assert brief(name="X", description="A thing.", category=cell)["facts"].get("category") == shown


def test_a_slipped_designer_cell_is_left_out():
    """Listings carry article numbers and whole texts in that column; a designer has no digits."""
    assert (
        "designer"
        not in brief(name="X", description="A thing.", designer="504.689.53 Small and easy")["facts"]
    )
    assert brief(name="X", description="A thing.", designer="Sarah Fager")["facts"] == {
        "designer": "Sarah Fager"
    }


def test_a_vendor_slug_is_not_a_brand():
    """Readers know brands by name; ``partners-demo`` is a key of the shop system."""
    assert brief(name="X", description="A thing.", vendor="partners-demo")["facts"] == {}
    assert brief(name="X", description="A thing.", vendor="Company 123")["facts"] == {"brand": "Company 123"}


def test_food_rows_are_described_by_their_name():
    """Ingredients are a fact; the product is its name, and an empty list does not fail the row."""
    full = row(
        id="1", lang="fr", name="Yaourt", ingredients="_lait_ entier, ferments", nutrition_100g={"fat_g": 3.0}
    )
    empty = row(id="2", lang="fr", name="Miel &amp; thym", ingredients="", nutrition_100g={})
    mapping = guess([full, empty])
    mapping.check()
    assert brief_of(full, mapping) == {
        "product_description": "Yaourt",
        "product_name": "Yaourt",
        "facts": {"ingredients": "lait entier, ferments"},
    }
    assert brief_of(empty, mapping)["product_description"] == "Miel & thym"
    assert "health claims" in dict(mapping.unused)["nutrition_100g"]


def test_an_ingredient_list_loses_its_label_and_its_full_stop():
    """The copy sets the label; a list that its export may have cut is not stated at all."""
    base = {"id": "1", "lang": "es", "name": "Pan"}
    assert brief(**base, ingredients="Ingredientes: harina, agua.")["facts"] == {
        "ingredients": "harina, agua"
    }
    assert brief(**base, ingredients="agua, " * 100)["facts"] == {}


def test_a_row_without_any_text_says_so():
    """The line number is in the reason."""
    mapping = guess([row(name="A", description="A thing to see.")])
    with pytest.raises(InvalidRequest, match="line 9"):
        brief_of(Row(3, 9, "3", {"name": " ", "description": "n/a"}), mapping)


def test_key_points_come_from_lists_and_from_lines():
    """Bullets of any shape are separate points."""
    base = {"name": "X", "description": "A thing."}
    assert brief(**base, features=["Soft", "Light", "Soft"])["key_points"] == ["Soft", "Light"]
    assert brief(**base, bullets="<ul><li>Soft</li><li>Light</li></ul>")["key_points"] == ["Soft", "Light"]
    assert brief(**base, bullets="Soft | Light")["key_points"] == ["Soft", "Light"]


def test_only_web_addresses_are_links():
    """A link is passed on as it is; anything else is not one."""
    base = {"name": "X", "description": "A thing."}
    assert brief(**base, link="https://shop.example/x")["url"] == "https://shop.example/x"
    assert "url" not in brief(**base, link="javascript:alert(1)")


@pytest.mark.parametrize(
    "html, text",
    [
        ("<p>One.</p>\n<p>&bull; A.<br />&bull; B.</p>", "One.\n• A.\n• B."),
        ("<ul><li>A</li><li>B</li></ul>", "A\nB"),
        ("a\n<b>bold</b>\nword", "a\nbold\nword"),
        ("<p>a\n<b>bold</b>\nword</p>", "a bold word"),
        ("5 < 6 & 7 > 2", "5 < 6 & 7 > 2"),
        ("Tom &amp;amp; Jo", "Tom & Jo"),
        ("<style>p{}</style><script>x()</script>Hi", "Hi"),
        ("_lait_, _farine de blé_, snake_case", "lait, farine de blé, snake_case"),
        ("  two   spaces ", "two spaces"),
        ("<p>broken <b>markup", "broken markup"),
        ("", ""),
    ],
)
def test_bodies_become_plain_text(html, text):
    """Markup and entities go, words and line structure stay."""
    assert plain_text(html) == text


def test_words_for_nothing_are_nothing():
    """Cells that say "none" hold no fact."""
    assert [text_of(v) for v in ("N/A", " - ", None, True, {}, "none", 3, ["a", "n/a"])] == [
        "", "", "", "", "", "", "3", "a",
    ]  # fmt: skip


@needs_catalog
def test_the_furniture_sample_states_what_its_rows_say():
    """Every price and measure of the briefs is in its row."""
    source = open_source(CATALOG / "ikea_sa_en_dev.jsonl.gz")
    rows = list(read_rows(source))
    mapping = guess(rows[:200])
    mapping.check()
    first = brief_of(rows[0], mapping)
    assert first["product_name"] == "FREKVENS"
    assert first["facts"] == {
        "price": "265 SAR",
        "category": "Bar furniture",
        "designer": "Nicholai Wiig Hansen",
        "height": "99 cm",
        "width": "51 cm",
    }
    for item in rows:
        facts = brief_of(item, mapping)["facts"]
        assert float(facts["price"].split()[0]) == item.fields["price"]
        assert ("old_price" in facts) <= (item.fields["old_price"] != "No old price")
