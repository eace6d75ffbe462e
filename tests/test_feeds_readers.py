"""Catalogue files as rows: formats, traps, and damage that must stay local."""

import gzip
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copykit.errors import InvalidRequest
from copykit.feeds.read import count_rows, read_rows
from copykit.feeds.rows import MAX_CELL, BadRow, Row, open_source

CATALOG = Path(__file__).resolve().parents[2] / "shared" / "data" / "catalog"
needs_catalog = pytest.mark.skipif(
    not CATALOG.is_dir(), reason="the catalogue samples are not beside the project"
)


def rows_of(path, data, format=None):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(read_rows(open_source(path, format)))


def test_json_lines_count_records_and_lines_apart(tmp_path):
    """Blank lines are no records, so a record's number and its physical line differ."""
    rows = rows_of(tmp_path / "a.jsonl", '{"id": "a"}\n\n{"id": 7}\n')
    assert [(r.number, r.line, r.id) for r in rows] == [(1, 1, "a"), (2, 3, "7")]


@pytest.mark.parametrize(
    "line, reason",
    [
        ('{"a": ', "not JSON"),
        ("[1]", "not an object"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": "x\x00"}', "NUL"),
        ("[" * 100_000, "deep"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_a_broken_json_line_is_reported_and_its_neighbours_stand(tmp_path, line, reason):
    """Each kind of damage costs one row, with its line number."""
    good, bad, after = rows_of(tmp_path / "a.jsonl", f'{{"id": "x"}}\n{line}\n{{"id": "y"}}\n', "jsonl")
    assert (good.id, after.id, after.number) == ("x", "y", 3)
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert reason in bad.reason


def test_a_cell_of_a_megabyte_is_read_and_a_larger_one_refused(tmp_path):
    """The bound is on one value, in JSON and in tables."""
    fits, big = "x" * MAX_CELL, "x" * (MAX_CELL + 1)
    rows = rows_of(tmp_path / "a.jsonl", "\n".join(json.dumps({"d": d}) for d in (fits, big, "z")))
    assert [type(r) for r in rows] == [Row, BadRow, Row]
    rows = rows_of(tmp_path / "a.csv", f'id,d\n1,"{fits}"\n2,"{big}"\n3,z\n')
    assert [type(r) for r in rows] == [Row, BadRow, Row]
    assert len(rows[0].fields["d"]) == MAX_CELL


def test_tables_keep_quotes_commas_and_line_breaks_in_cells(tmp_path):
    """RFC 4180 quoting, and every delimiter that spreadsheets write."""
    for mark in ",;\t|":
        text = f'id{mark}name{mark}text\r\n1{mark}"a ""b"""{mark}"two{mark}\r\nlines"\r\n2{mark}x{mark}\r\n'
        first, second = rows_of(tmp_path / "a.csv", text)
        assert first.fields == {"id": "1", "name": 'a "b"', "text": f"two{mark}\r\nlines"}
        assert (second.number, second.line, second.fields["text"]) == (2, 4, "")


def test_a_quote_inside_an_unquoted_cell_is_text(tmp_path):
    """Inches (5" pipe) need no quoting."""
    assert rows_of(tmp_path / "a.csv", 'id,name\n1,5" pipe\n2,b\n')[0].fields["name"] == '5" pipe'


@pytest.mark.parametrize(
    "broken",
    ['2,"never closed', '2,"closed" too early', "2", "2,b,c", '2,"a\x00"'],
)
def test_a_broken_record_does_not_swallow_the_ones_below(tmp_path, broken):
    """One damaged record is one `BadRow`; those before and after come out whole."""
    text = f'id,name\n1,"a"\n{broken}\n3,"c"\n4,d\n'
    rows = rows_of(tmp_path / "a.csv", text)
    assert [r.id for r in rows if isinstance(r, Row)] == ["1", "3", "4"]
    (bad,) = [r for r in rows if isinstance(r, BadRow)]
    assert (bad.number, bad.line) == (2, 3)


def test_a_quote_left_open_on_the_last_line_is_reported(tmp_path):
    """The end of the file closes nothing silently."""
    rows = rows_of(tmp_path / "a.csv", 'id,name\n1,a\n2,"b\n')
    assert [type(r) for r in rows] == [Row, BadRow]


def test_equal_headers_get_numbers_and_empty_ones_a_place(tmp_path):
    """No column is lost to another of the same name."""
    (row,) = rows_of(tmp_path / "a.csv", "id,a,a,\n1,2,3,4\n")
    assert row.fields == {"id": "1", "a": "2", "a (2)": "3", "column 4": "4"}


@pytest.mark.parametrize(
    "encode",
    [
        lambda t: t.encode(),
        lambda t: t.encode("utf-8-sig"),
        lambda t: t.encode("utf-16"),
        lambda t: b"\xfe\xff" + t.encode("utf-16-be"),
        lambda t: t.encode("cp1252"),
        lambda t: gzip.compress(t.encode()),
        lambda t: t.replace("\n", "\r").encode(),
        lambda t: t.replace("\n", "\r\n").encode(),
    ],
)
def test_encodings_and_line_ends_do_not_matter(tmp_path, encode):
    """UTF-8 with and without mark, UTF-16, Windows-1252, gzip, and all three line ends give the same rows."""
    text = "id,name\n1,Größe „x“\n2,café\n"
    rows = rows_of(tmp_path / "a.csv", encode(text))
    assert [r.fields["name"] for r in rows] == ["Größe „x“", "café"]


def test_one_line_in_another_encoding_is_one_bad_row(tmp_path):
    """A UTF-8 file with one Latin-1 line stays UTF-8."""
    data = "id,n\n1,é\n2,ü\n".encode() + b"3,\xe9\n" + "4,ö\n".encode()
    rows = rows_of(tmp_path / "a.csv", data)
    assert [type(r) for r in rows] == [Row, Row, BadRow, Row]
    assert rows[2].line == 4


def test_a_guessed_encoding_is_said(tmp_path):
    """Windows-1252 is a decision the user should see."""
    path = tmp_path / "a.csv"
    path.write_bytes("id,n\n1,é\n2,ü\n3,ö\n".encode("cp1252"))
    assert "Windows-1252" in open_source(path).notes[0]


def ascii_table(rows=40):
    return [b"id,n\n", *(b"%d,a table lamp\n" % n for n in range(1, rows + 1))]


@pytest.mark.parametrize("byte", [b"\xff", b"\x81", b"\x9d"])
def test_a_stray_byte_costs_its_line_whatever_the_rest_is(tmp_path, byte):
    """A byte that no encoding has there does not make the file Windows-1252, nor goes into the copy of one that is."""
    lines = ascii_table()
    lines[6] = b"6,a table " + byte + b" lamp\n"
    for word in (b"", "é".encode(), "é".encode("cp1252")):
        lines[7:10] = [b"%d,caf%b\n" % (n, word) for n in (7, 8, 9)]
        rows = rows_of(tmp_path / "a.csv", b"".join(lines))
        assert [(row.line, type(row)) for row in rows if isinstance(row, BadRow)] == [(7, BadRow)]
        assert rows[7].fields["n"] == "caf" + ("é" if word else "")


@pytest.mark.parametrize("byte", [b"\xe9", b"\x80", b"\x96"])
def test_one_line_beyond_ascii_is_read_and_its_row_says_how(tmp_path, byte):
    """It may be right or damage; nothing in the file can tell, so the row's result has to."""
    lines = ascii_table()
    lines[6] = b'6,"a table\n'
    lines[7] = b"lamp " + byte + b' here"\n'
    path = tmp_path / "a.csv"
    rows = rows_of(path, b"".join(lines))
    noted = [row for row in rows if row.notes]
    assert [(row.line, row.fields["n"]) for row in noted] == [
        (7, f"a table\nlamp {byte.decode('cp1252')} here")
    ]
    assert "1 of 41 lines (8)" in open_source(path).notes[0]


def test_a_file_with_many_such_lines_is_simply_older(tmp_path):
    """Nothing needs to be said of each row then, and lines that are UTF-8 all the same are read as such."""
    lines = ascii_table()
    lines[3:9] = [b"%d,caf\xe9\n" % n for n in range(3, 9)]
    lines[9] = "9,Größe\n".encode()
    rows = rows_of(tmp_path / "a.csv", b"".join(lines))
    assert not any(row.notes for row in rows)
    assert [row.fields["n"] for row in rows[2:9]] == ["café"] * 6 + ["Größe"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.xml"])
@pytest.mark.parametrize("count", [3, 200, 3000])
def test_a_torn_gzip_gives_every_row_before_the_tear(tmp_path, name, count):
    """Small or large, and the damage is reported with the line in which it stands."""
    import random

    noise = random.Random(2)
    texts = [f"a lamp of {noise.random()} cm" for _ in range(count)]
    data = {
        "a.jsonl": "".join(json.dumps({"id": str(n), "d": text}) + "\n" for n, text in enumerate(texts)),
        "a.csv": "id,d\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)),
        "a.xml": "<rss>\n" + "".join(f"<item><d>{text}</d></item>\n" for text in texts) + "</rss>",
    }[name]
    packed = gzip.compress(data.encode())
    for keep in (len(packed) - 8, len(packed) * 2 // 3):
        torn = packed[:keep]
        held = zlib.decompressobj(31).decompress(torn).decode()
        rows = rows_of(tmp_path / f"{name}.gz", torn)
        whole = held.count("</item>") if name == "a.xml" else held.count("\n") - (name == "a.csv")
        assert [row.fields["d"] for row in rows[:-1]] == texts[:whole]
        assert isinstance(rows[-1], BadRow)
        assert rows[-1].line == held.count("\n") + 1


def test_json_that_breaks_names_one_place(tmp_path):
    """The line is the file's, the column the line's."""
    good, early, wrong = rows_of(tmp_path / "a.jsonl", '{"a": 1}\n{"a": \n{"a": 1,, "b": 2}\n')
    assert (good.line, early.line, wrong.line) == (1, 2, 3)
    assert early.reason == "not JSON: Expecting value (the line ends too early)"
    assert wrong.reason.endswith("(column 9)")
    assert "line 1" not in wrong.reason


def test_a_torn_gzip_gives_what_it_holds(tmp_path):
    """Half a download is reported, its whole rows are read."""
    import random

    noise = random.Random(1)
    text = "".join(json.dumps({"id": str(n), "t": str(noise.random())}) + "\n" for n in range(20_000))
    packed = gzip.compress(text.encode())
    rows = rows_of(tmp_path / "a.jsonl.gz", packed[: len(packed) // 2])
    assert "damaged" in open_source(tmp_path / "a.jsonl.gz").notes[0]
    assert isinstance(rows[-1], BadRow)
    assert "middle" in rows[-1].reason
    assert len(rows) > 1000


@pytest.mark.parametrize(
    "data, word",
    [
        (b"", "no rows"),
        (b" \n\n", "no rows"),
        (b"[1, 2]", "JSON array"),
        (b"PK\x03\x04" + bytes(60), "spreadsheet"),
        (bytes(64), "binary"),
        ("id,name".encode("utf-16-le"), "byte order mark"),
    ],
)
def test_what_is_no_catalogue_is_refused_with_the_reason(tmp_path, data, word):
    """Empty files, arrays and spreadsheets are usage errors, not rows."""
    with pytest.raises(InvalidRequest, match=word):
        rows_of(tmp_path / "a.csv", data)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        open_source(tmp_path / "missing.csv")


def test_an_unknown_input_format_names_the_nearest(tmp_path):
    """A typing mistake is answered with what was meant."""
    with pytest.raises(InvalidRequest) as caught:
        open_source(tmp_path / "a", "shopfy")
    assert "shopify" in caught.value.nearest


SHOPIFY = """Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant Price,Variant Compare At Price
cap,Wool Cap,<p>Warm.</p>,Color,Blue,20,25
cap,,,,Red,20,25
cap,,,,,,
lamp,Desk Lamp,Small lamp.,Size,S,30,
lamp,,,,L,40.50,
stray,,,,x,1,
"broken
mug,Mug,A mug.,Title,Default Title,9,
"""


def test_a_shopify_product_over_several_lines_is_one_row(tmp_path):
    """Variants and images share the handle; options are gathered; a price stands only if all variants
    agree."""
    rows = rows_of(tmp_path / "a.csv", SHOPIFY)
    cap, lamp, stray, broken, mug = rows
    assert [r.number for r in rows] == [1, 2, 3, 4, 5]
    assert [r.line for r in rows] == [2, 5, 7, 8, 9]
    assert (cap.id, cap.fields["Variant Price"], cap.fields["Option Color"]) == ("cap", "20", "Blue, Red")
    assert (lamp.fields["Variant Price"], lamp.fields["price_min"], lamp.fields["price_max"]) == (
        "",
        "30",
        "40.50",
    )
    assert "Title" in stray.reason
    assert "quote" in broken.reason
    assert "Option Title" not in mug.fields


RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>1</g:id><title>A &amp; B</title><description><![CDATA[<p>Soft</p>]]></description>
<link>https://shop.example/1</link><g:price>15.00 USD</g:price>
<g:product_highlight>One</g:product_highlight><g:product_highlight>Two</g:product_highlight>
<g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping></item>
<item><g:id>2</g:id><title>C</title></item>
</channel></rss>
"""


def test_a_merchant_feed_is_read_as_rss_and_as_atom(tmp_path):
    """Namespaces go, repeated elements are lists, nested ones do not shadow the product's own."""
    first, second = rows_of(tmp_path / "a.xml", RSS)
    assert first.fields["title"] == "A & B"
    assert first.fields["price"] == "15.00 USD"
    assert first.fields["product_highlight"] == ["One", "Two"]
    assert (first.line, second.number, second.id) == (3, 2, "2")
    atom = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><entry><g:id>9</g:id>'
        '<title>T</title><link rel="self" href="https://x/s"/><link href="https://x/9"/><summary>S</summary></entry></feed>'
    )
    (entry,) = rows_of(tmp_path / "b.xml", atom)
    assert (entry.id, entry.fields["link"], entry.fields["summary"]) == ("9", "https://x/9", "S")


def test_xml_in_another_encoding_is_read_by_its_declaration(tmp_path):
    """The file's own declaration decides, as XML says."""
    text = RSS.replace("UTF-8", "ISO-8859-1").replace("A &amp; B", "Größe")
    assert rows_of(tmp_path / "a.xml", text.encode("latin-1"))[0].fields["title"] == "Größe"


def test_document_types_are_refused_so_entities_cannot_expand(tmp_path):
    """A feed that declares entities (billion laughs, external files) gives one reported row and no
    product."""
    bomb = (
        '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/hostname">]>'
        "<rss><channel><item><title>&b;&f;</title></item></channel></rss>"
    )
    (bad,) = rows_of(tmp_path / "a.xml", bomb)
    assert isinstance(bad, BadRow)
    assert "DOCTYPE" in bad.reason


def test_xml_that_breaks_gives_what_stood_before(tmp_path):
    """A feed cut in the middle loses its tail only, with the line where it broke."""
    rows = rows_of(tmp_path / "a.xml", RSS[: RSS.index("<title>C")])
    assert [type(r) for r in rows] == [Row, BadRow]
    assert rows[1].line == 7


def test_a_merchant_table_may_hold_quotes_without_quoting(tmp_path):
    """Tab separated feeds are written by hand: a leading quote in a title is the title's own."""
    text = 'id\ttitle\tdescription\n1\t"Best" mug\tRound.\n2\tPlain\t"Quoted ""text"""\n'
    path = tmp_path / "feed.txt"
    first, second = rows_of(path, text)
    assert open_source(path).format == "merchant-tsv"
    assert first.fields["title"] == '"Best" mug'
    assert second.fields["description"] == 'Quoted "text"'


@given(
    base=st.sampled_from(["csv", "shopify", "jsonl", "xml", "tsv"]),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), max_size=6),
    pack=st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_makes_a_reader_fail(tmp_path, base, cuts, pack):
    """Whatever bytes are changed, rows stay numbered one by one with growing lines, and nothing is raised."""
    data = {
        "csv": b'id,name,text\n1,"a ""b""","two\nlines"\n2,x,y\n3,"c",\n',
        "shopify": SHOPIFY.encode(),
        "jsonl": '{"id": "1", "name": "é"}\n{"id": "2"}\n'.encode(),
        "xml": RSS.encode(),
        "tsv": 'id\ttitle\n1\t"a"\n2\tb\n'.encode("utf-16"),
    }[base]
    if pack:
        data = gzip.compress(data)
    for place, noise in cuts:
        place %= len(data)
        data = data[:place] + noise + data[place + len(noise) // 2 :]
    path = tmp_path / "any"
    path.write_bytes(data)
    try:
        source = open_source(path)
    except InvalidRequest:
        return
    rows = list(read_rows(source))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert [row.line for row in rows] == sorted(row.line for row in rows)


@needs_catalog
@pytest.mark.parametrize(
    "name, format, rows",
    [
        ("ikea_sa_en_dev.jsonl.gz", "jsonl", 1492),
        ("bagisto_demo_21lang_dev.jsonl.gz", "jsonl", 167),
        ("openfoodfacts_multilang_dev.jsonl.gz", "jsonl", 3815),
        ("magento_sample_en_dev.jsonl.gz", "jsonl", 123),
        ("thelia_demo_en_fr_dev.jsonl.gz", "jsonl", 40),
        ("shopify_apparel.csv", "shopify", 20),
        ("shopify_jewelery.csv", "shopify", 20),
    ],
)
def test_the_sample_catalogues_are_read_whole(name, format, rows):
    """Every record of the samples is a row, none is bad."""
    source = open_source(CATALOG / name)
    assert source.format == format
    assert count_rows(source) == rows
    assert all(isinstance(row, Row) for row in read_rows(source))
