"""Upload files, re-read by the rules of the tools that take them."""

import csv
import html
import json
import re
from datetime import UTC, datetime

import pytest

from copykit.batch import reasons
from copykit.errors import InvalidRequest
from copykit.feeds.export import Destination, check_formats, check_template, export
from copykit.feeds.mapping import guess
from copykit.feeds.rows import BadRow, Row
from copykit.feeds.write_people import escape_formula
from copykit.feeds.write_products import body_html, structured
from copykit.models import BatchLine, CopyVariant, CopywritingOutput, Receipt, Usage, Violation

NASTY = (
    "=SUM(A1)", "+49 first", "-5 and more", "@home", 'say "hi"', "two\nlines", "a, b; c\td", "שלום world",
    "قبعة صوف",
    "plain", "\tindented", "quote at end\"", "'tis", "=1+1", "trailing ",
)  # fmt: skip
DESCRIPTIONS = ('=First, quoted "text"', "- second\nwith a break", "ثالث", "@ fourth")


def variant(fields, status="ok", violations=()):
    text = "\n".join(v if isinstance(v, str) else "\n".join(v) for v in fields.values())
    return CopyVariant(fields=fields, text=text, status=status, field_status={}, violations=list(violations))


def line(row, placement, *variants, language="en", served_by="phrasebank:"):
    status = variants[0].status if variants else "failed"
    output = None
    if variants:
        output = CopywritingOutput(
            id=f"o{row}", variants=list(variants), text=variants[0].text,
            placement=placement,
            language=language, tone="professional", use_case="x", usage=Usage(),
            receipt=Receipt(served_by=served_by),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
    error = None if variants else {"code": "invalid_request", "field": "language", "reason": "not spoken"}
    return BatchLine(
        row=row,
        id=f"p{row}",
        placement=placement,
        language=language,
        status=status,
        error=error,
        output=output,
    )


def product_row(number, **more):
    fields = {
        "id": f"p{number}",
        "handle": f"cap-{number}",
        "title": "Cap",
        "description": "A warm cap.",
        **more,
    }
    return Row(number, number + 1, f"p{number}", fields)


FULL = Destination("Caps {language}", "{id}", "https://shop.example/{handle}?id={id}")


def write(tmp_path, lines, rows, formats, destination=FULL, *, per_language=False, people=None):
    return export(
        lines,
        rows,
        guess(rows),
        base=tmp_path / "out",
        formats=formats,
        destination=destination,
        per_language=per_language,
        people=(tmp_path / "out.csv", people) if people else None,
        reasons=reasons,
    )


def read(path, delimiter=",", encoding="utf-8"):
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter, strict=True))


def ad(**more):
    return {
        "headlines": list(NASTY),
        "descriptions": list(DESCRIPTIONS),
        "path1": "Caps",
        "path2": "Wool",
        **more,
    }


def test_google_ads_editor_gets_paused_ads_with_the_copy_itself(tmp_path):
    """A byte order mark, English headers, `Paused`, one column per asset, nothing escaped."""
    result = write(
        tmp_path, [line(1, "google_ads.rsa", variant(ad()))], [product_row(1)], ["google-ads-editor"]
    )
    path = tmp_path / "out.google-ads-editor.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    (row,) = read(path, encoding="utf-8-sig")
    assert [row[f"Headline {n}"] for n in range(1, 16)] == list(NASTY)
    assert [row[f"Description {n}"] for n in range(1, 5)] == list(DESCRIPTIONS)
    assert (row["Ad type"], row["Status"], row["Campaign"], row["Ad Group"]) == (
        "Responsive search ad", "Paused", "Caps en", "p1",
    )  # fmt: skip
    assert (row["Final URL"], row["Path 1"], row["Path 2"]) == (
        "https://shop.example/cap-1?id=p1",
        "Caps",
        "Wool",
    )
    assert result.files == {str(path): 1}


def test_fewer_assets_leave_empty_cells_and_too_few_no_ad(tmp_path):
    """Empty means no change, so unused columns stay empty; an ad below the minimum is listed instead."""
    some = variant(ad(headlines=["a", "b", "c"], descriptions=["d", "e"], path1="", path2="x"))
    few = variant(ad(headlines=["a", "b"]))
    lines = [line(1, "google_ads.rsa", some), line(2, "google_ads.rsa", few)]
    write(tmp_path, lines, [product_row(1), product_row(2)], ["google-ads-editor"])
    (row,) = read(tmp_path / "out.google-ads-editor.csv", encoding="utf-8-sig")
    assert (row["Headline 4"], row["Description 3"], row["Path 1"], row["Path 2"]) == ("", "", "", "")
    (left,) = read(tmp_path / "out.skipped.csv", encoding="utf-8-sig")
    assert (left["id"], left["reason"]) == ("p2", "2 headlines and 4 descriptions; an ad needs 3 and 2")


def test_microsoft_gets_lists_of_text_assets_as_json(tmp_path):
    """One record per ad, its headlines and descriptions as JSON lists in one cell each."""
    write(tmp_path, [line(1, "microsoft_ads.rsa", variant(ad()))], [product_row(1)], ["microsoft-ads"])
    (row,) = read(tmp_path / "out.microsoft-ads.csv", encoding="utf-8-sig")
    assert (row["Type"], row["Status"]) == ("Responsive Search Ad", "Paused")
    assert [asset["text"] for asset in json.loads(row["Headline"])] == list(NASTY)
    assert [asset["text"] for asset in json.loads(row["Description"])] == list(DESCRIPTIONS)
    assert row["Final Url"] == "https://shop.example/cap-1?id=p1"


@pytest.mark.parametrize("text", [*NASTY, *DESCRIPTIONS, 'back\\slash and \\"'])
def test_merchant_titles_say_who_wrote_them(tmp_path, text):
    """Phrase-bank text is a plain title; a model's is structured and declares its source; both come back
    whole."""
    copy = variant({"title": text, "description": text})
    lines = [
        line(1, "google_merchant.product", copy),
        line(2, "google_merchant.product", copy, served_by="openai:gpt-x"),
    ]
    write(tmp_path, lines, [product_row(1), product_row(2)], ["google-merchant"])
    plain, declared = read(tmp_path / "out.google-merchant.tsv", delimiter="\t")
    assert (plain["id"], plain["title"], plain["description"]) == ("p1", text, text)
    assert (plain["structured_title"], declared["title"], declared["description"]) == ("", "", "")
    for cell in (declared["structured_title"], declared["structured_description"]):
        match = re.fullmatch(r'trained_algorithmic_media:"(.*)"', cell, re.S)
        assert match
        assert re.sub(r"\\(.)", r"\1", match[1]) == text
        assert cell == structured(text)


@pytest.mark.parametrize("text", [*NASTY, "<b>5 < 6 & 7</b>", "para one\n\npara two\nline"])
def test_shopify_bodies_are_html_and_nothing_else_is(tmp_path, text):
    """The body is escaped markup; title and search texts are the copy itself."""
    copy = variant({"title": text, "description": text, "seo_title": text, "meta_description": text})
    write(tmp_path, [line(1, "shopify.product", copy)], [product_row(1)], ["shopify"])
    (row,) = read(tmp_path / "out.shopify.csv")
    assert (row["Handle"], row["Title"], row["SEO Title"], row["SEO Description"]) == (
        "cap-1",
        text,
        text,
        text,
    )
    body = row["Body (HTML)"]
    assert set(re.findall(r"<[^>]*>", body)) <= {"<p>", "</p>", "<br>"}
    words = html.unescape(re.sub(r"<[^>]*>", " ", body)).split()
    assert words == text.split()
    assert body == body_html(text)


def test_shopify_keeps_search_texts_that_were_not_written(tmp_path):
    """An empty cell would empty the shop's field, so the row's own text stands."""
    rows = [product_row(1, **{"SEO Title": "Own title", "SEO Description": ""})]
    write(
        tmp_path, [line(1, "shopify.product", variant({"title": "T", "description": "D"}))], rows, ["shopify"]
    )
    (row,) = read(tmp_path / "out.shopify.csv")
    assert (row["SEO Title"], row["SEO Description"]) == ("Own title", "")


def test_only_accepted_copy_is_exported(tmp_path):
    """Rejected variants and failed rows reach no file; each is listed with its reason."""
    wrong = Violation(rule="M-01", field="headlines[0]", severity="error", message="too long")
    bad = variant(ad(), "rejected", [wrong])
    lines = [
        line(1, "google_ads.rsa", variant(ad()), bad),
        line(2, "google_ads.rsa", bad),
        line(3, "google_ads.rsa"),
        line(4, "google_ads.rsa"),
    ]
    rows = [product_row(1), product_row(2), product_row(3), BadRow(4, 9, "not JSON")]
    result = write(tmp_path, lines, rows, ["google-ads-editor"], people=[("headlines", 15)])
    assert len(read(tmp_path / "out.google-ads-editor.csv", encoding="utf-8-sig")) == 1
    assert [r["reason"] for r in read(tmp_path / "out.skipped.csv", encoding="utf-8-sig")] == [
        "M-01 in headlines",
        "invalid_request: language: not spoken",
        "invalid_request: language: not spoken",
    ]
    people = read(tmp_path / "out.csv", encoding="utf-8-sig")
    assert [(r["row"], r["status"], bool(r["text"])) for r in people] == [
        ("1", "ok", True), ("2", "rejected", False), ("3", "failed", False), ("4", "failed", False),
    ]  # fmt: skip
    assert sum(result.skipped.values()) == 3


def test_the_csv_for_people_cannot_calculate(tmp_path):
    """Every cell that a spreadsheet would take for a formula starts with an apostrophe; the others are
    unchanged."""
    lines = [line(1, "google_ads.rsa", variant(ad()))]
    write(
        tmp_path, lines, [product_row(1)], [], people=[("headlines", 15), ("descriptions", 4), ("path1", 1)]
    )
    (row,) = read(tmp_path / "out.csv", encoding="utf-8-sig")
    shown = [row[f"headlines {n}"] for n in range(1, 16)]
    assert shown == [escape_formula(text) for text in NASTY]
    assert not [cell for cell in row.values() if cell[:1] in tuple("=+-@\t\r")]
    assert [text.removeprefix("'") for text in shown if text != "'tis"] == [t for t in NASTY if t != "'tis"]


def test_a_row_without_what_the_upload_needs_is_listed_not_written(tmp_path):
    """No campaign, no ad group, no link: the reason names the flag."""
    lines = [line(1, "google_ads.rsa", variant(ad())), line(2, "google_ads.rsa", variant(ad()))]
    rows = [product_row(1, link="https://shop.example/own"), product_row(2, link="", handle="")]
    write(tmp_path, lines, rows, ["google-ads-editor"], Destination("C", "G", None))
    (row,) = read(tmp_path / "out.google-ads-editor.csv", encoding="utf-8-sig")
    assert row["Final URL"] == "https://shop.example/own"
    (left,) = read(tmp_path / "out.skipped.csv", encoding="utf-8-sig")
    assert left["reason"] == "no --final-url and no link in the row"

    write(tmp_path, lines, rows, ["google-ads-editor"], Destination(None, "G", "https://x/{handle}"))
    lefts = read(tmp_path / "out.skipped.csv", encoding="utf-8-sig")
    assert [r["reason"] for r in lefts] == [
        "no --campaign",
        "no --campaign; --final-url needs the row's handle",
    ]


def test_addresses_are_quoted_and_templates_checked(tmp_path):
    """An id cannot break out of the address; an unknown placeholder is refused before the run."""
    rows = [Row(1, 2, "a/b c?", {"id": "a/b c?", "title": "x", "description": "A thing to see."})]
    odd = line(1, "google_ads.rsa", variant(ad())).model_copy(update={"id": "a/b c?"})
    write(tmp_path, [odd], rows, ["google-ads-editor"], Destination("{name}", "{id}", "https://s/{id}"))
    (row,) = read(tmp_path / "out.google-ads-editor.csv", encoding="utf-8-sig")
    assert (row["Final URL"], row["Ad Group"], row["Campaign"]) == ("https://s/a%2Fb%20c%3F", "a/b c?", "x")
    with pytest.raises(InvalidRequest, match="sku"):
        check_template("final-url", "https://s/{sku}")


def test_products_in_several_languages_get_a_file_each(tmp_path):
    """A product stands once in a feed, so each language has its own."""
    copy = variant({"title": "T", "description": "D"})
    lines = [line(1, "shopify.product", copy, language=tag) for tag in ("en", "pt-BR")]
    result = write(tmp_path, lines, [product_row(1)], ["shopify"], per_language=True)
    assert sorted(p.rpartition("/")[2] for p in result.files) == [
        "out.shopify.en.csv",
        "out.shopify.pt-BR.csv",
    ]


def test_a_format_whose_placement_is_not_written_is_refused():
    """The user learns which platform the format needs."""
    check_formats(["shopify"], ["x.post", "shopify.product"])
    with pytest.raises(InvalidRequest, match=r"--platform shopify\.product"):
        check_formats(["shopify"], ["x.post", "shopify.collection"])


def test_no_half_written_file_is_left(tmp_path):
    """A defect in the middle leaves the old file as it was and no new one."""
    old = tmp_path / "out.shopify.csv"
    old.write_text("old")

    def broken():
        yield line(1, "shopify.product", variant({"title": "T", "description": "D"}))
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        write(tmp_path, broken(), [product_row(1)], ["shopify"])
    assert [path.name for path in tmp_path.iterdir()] == ["out.shopify.csv"]
    assert old.read_text() == "old"


def test_a_shorter_input_than_the_result_is_noticed(tmp_path):
    """Exports read the input again; a changed file must not pair copy with the wrong product."""
    lines = [line(2, "shopify.product", variant({"title": "T", "description": "D"}))]
    with pytest.raises(InvalidRequest, match="changed"):
        write(tmp_path, lines, [product_row(1)], ["shopify"])
