"""Bad input through three doors (Python, `generate`, `batch`): refused in a sentence or served, never cut."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from copykit import CopywritingInput, CopywritingServiceV11, InvalidRequest, Settings
from copykit.cli.app import app
from copykit.models import CopywritingOutput

GOOD: dict[str, Any] = {
    "product_description": "Oak bench, 140x40 cm, oiled",
    "product_name": "Tarn",
    "target_platform": "x.post",
}
MEGABYTE = "oak " * 250_000
TOO_MANY = [f"point number {n}" for n in range(51)]


def serve(**changes: Any) -> CopywritingOutput:
    """Ask a fresh service that reads no environment."""

    async def story() -> CopywritingOutput:
        async with CopywritingServiceV11(Settings()) as service:
            return await service.generate(CopywritingInput(**{**GOOD, **changes}))

    return asyncio.run(story())


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    # unknown names, with the nearest valid one
    ({"tonee": "warm"}, "tonee", "nearest: tone"),
    ({"brand": {"nmae": "Tarn"}}, "brand.nmae", "nearest: name"),
    ({"fields": {"text": {"limits": 3}}}, "fields.text.limits", "nearest: limit"),
    ({"target_platform": "instagrm"}, "target_platform", "nearest: instagram"),
    ({"target_platform": "google_ads.rsaa"}, "target_platform", "google_ads.rsa"),
    ({"tone": "inspirationl"}, "tone", "nearest: inspirational"),
    ({"language": "englsh"}, "language", "nearest: english"),
    ({"use_case": "prodct launch"}, "use_case", "nearest: product_launch"),
    ({"provider": "phrasebnk"}, "provider", "nearest: phrasebank"),
    ({"cache": "onn"}, "cache", "'refresh'"),
    ({"fields": {"headlin": {"text": "x"}}}, "fields.headlin", "no such field; it has text"),
    (
        {"target_platform": "google_ads.rsa", "fields": {"headlin": {}}},
        "fields.headlin",
        "nearest: headlines",
    ),
    # wrong shapes
    ({"product_description": None}, "product_description", "string"),
    ({"product_description": ["Oak"]}, "product_description", "string"),
    ({"facts": {"sizes": [1, 2]}}, "facts.sizes", "text or a number"),
    # descriptions
    ({"product_description": ""}, "product_description", "must say what is sold"),
    ({"product_description": " \n\t "}, "product_description", "must say what is sold"),
    ({"product_description": "🔥💥✨"}, "product_description", "must say what is sold"),
    ({"product_description": "<div>" * 4_000}, "product_description", "must say what is sold"),
    ({"product_description": MEGABYTE}, "product_description", "1,000,000 characters, at most 20,000"),
    ({"product_description": "a" * 50_000}, "product_description", "at most 20,000"),
    # control characters and halves of pairs, wherever text is taken
    ({"product_description": "Oak\x00bench"}, "product_description", "U+0000 at position 3"),
    ({"product_description": "Oak \ud800"}, "product_description", "half of a surrogate pair at position 4"),
    ({"product_name": "Tarn\x1b[31m"}, "product_name", "U+001B"),
    ({"target_audience": "a\x08"}, "target_audience", "U+0008"),
    ({"key_points": ["\ud800"]}, "key_points", "surrogate"),
    ({"restrictions": ["no \x07"]}, "restrictions", "U+0007"),
    ({"instructions": "a\ud800"}, "instructions", "surrogate"),
    ({"keywords": ["a\x00"]}, "keywords", "U+0000"),
    ({"call_to_action": "Buy\x00"}, "call_to_action", "U+0000"),
    ({"url": "https://x.example/\x00"}, "url", "U+0000"),
    ({"facts": {"wood": "oak\x00"}}, "facts.wood", "U+0000"),
    ({"facts": {"wo\ud800od": "oak"}}, "facts", "surrogate"),
    ({"personalization": {"first_name": "\ud800"}}, "personalization.first_name", "surrogate"),
    ({"fields": {"text": {"text": "a\ud800"}}}, "fields.text.text", "surrogate"),
    ({"brand": {"name": "a\ud800"}}, "brand.name", "surrogate"),
    ({"brand": {"banned_terms": ["a\x00"]}}, "brand.banned_terms", "U+0000"),
    ({"provider": "phrasebank\n"}, "provider", "U+000A at position 10"),
    ({"provider": "local", "model": "a\x9fb"}, "model", "U+009F at position 1"),
    # contradictions
    ({"key_points": ["cheap"], "restrictions": ["don't say cheap"]}, "restrictions", "contradicts"),
    ({"restrictions": ["don't mention Tarn"]}, "restrictions", "contradicts the name 'Tarn'"),
    ({"restrictions": ["use emoji", "no emoji"]}, "restrictions", "contradicts the restriction"),
    # ranges
    ({"variants": 0}, "variants", "greater than or equal to 1"),
    ({"variants": 21}, "variants", "less than or equal to 20"),
    ({"variants": "three"}, "variants", "integer"),
    ({"creativity_level": 1.01}, "creativity_level", "less than or equal to 1"),
    ({"creativity_level": -0.01}, "creativity_level", "greater than or equal to 0"),
    ({"creativity_level": float("nan")}, "creativity_level", "equal to"),
    ({"creativity_level": float("inf")}, "creativity_level", "equal to"),
    ({"deadline_s": 0}, "deadline_s", "greater than 0"),
    ({"deadline_s": float("nan")}, "deadline_s", "greater than 0"),
    ({"seed": 10**5000}, "seed", "less than"),
    # sizes
    ({"product_name": "N" * 501}, "product_name", "501 characters, at most 500"),
    ({"provider": "p" * 50_000}, "provider", "50,000 characters, at most 200"),
    ({"provider": "local:" + "m" * 195}, "provider", "201 characters, at most 200"),
    ({"provider": "local", "model": "m" * 201}, "model", "201 characters, at most 200"),
    ({"key_points": TOO_MANY}, "key_points", "at most 50"),
    ({"restrictions": TOO_MANY}, "restrictions", "at most 50"),
    ({"keywords": TOO_MANY}, "keywords", "at most 50"),
    ({"facts": {f"fact {n}": "x" for n in range(51)}}, "facts", "at most 50"),
    ({"facts": {"price": "9" * 50_000}}, "facts.price", "at most 20,000"),
    ({"facts": {"price": 10**5000}}, "facts", "digits"),
    ({"facts": {"price": float("nan")}}, "facts", "finite"),
    ({"facts": {"k" * 100_000: "v"}}, "facts", "at most 500"),
    ({"facts": {" ": "v"}}, "facts", "needs a name"),
    ({"instructions": MEGABYTE}, "instructions", "at most 20,000"),
    ({"brand": {"name": MEGABYTE}}, "brand.name", "at most 500"),
    ({"brand": {"banned_terms": ["x"] * 10_001}}, "brand.banned_terms", "at most 10,000"),
    ({"personalization": {"first_name": MEGABYTE}}, "personalization.first_name", "at most 500"),
    ({"fields": {"text": {"text": MEGABYTE}}}, "fields.text.text", "at most 20,000"),
    ({"call_to_action": "Buy now " * 40}, "call_to_action", "no field of x.post takes more than 280"),
    # addresses
    ({"url": "https://x.example/a b"}, "url", "without spaces"),
    ({"url": "x.example"}, "url", "http(s)"),
    ({"url": "javascript:alert(1)"}, "url", "http(s)"),
    ({"url": "https://"}, "url", "host"),
    # impossible counts
    ({"fields": {"text": {"count": 30}}}, "fields.text.count", "the platform takes 1 to 1"),
    ({"fields": {"text": {"count": 51}}}, "fields.text.count", "less than or equal to 50"),
    ({"fields": {"text": {"limit": 0}}}, "fields.text.limit", "greater than or equal to 1"),
    # very long names do not make very long messages
    ({"x" * 100_000: 1}, "x" * 60, "unknown field"),
    ({"tone": "a" * 100_000}, "tone", "unknown tone"),
    ({"target_platform": "instagram " * 10_000}, "target_platform", "unknown platform"),
    ({"language": "en-" * 30_000}, "language", "unknown language"),
    ({"use_case": "x " * 30_000}, "use_case", "unknown use case"),
]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    REFUSED,
    ids=[f"{n}-{field[:30]}" for n, (_, field, _) in enumerate(REFUSED)],
)
def test_python_refuses_in_a_sentence(changes: dict[str, Any], field: str, words: str) -> None:
    """The error names the field and says what is wrong, on one line of fewer than 400 characters."""
    with pytest.raises(InvalidRequest) as caught:
        serve(**changes)
    assert caught.value.field == field
    assert words in caught.value.message
    assert len(caught.value.message) < 400
    assert "\n" not in caught.value.message


SERVED: list[tuple[str, dict[str, Any]]] = [
    ("right-to-left override", {"product_description": "Oak bench \u202egnp.exe\u202c, 140 cm"}),
    ("override in the name", {"product_name": "\u202eTarn"}),
    ("an address alone", {"product_description": "https://shop.example/bench", "product_name": None}),
    ("numbers alone", {"product_description": "12345 678", "product_name": None}),
    ("one number", {"product_description": "42", "product_name": None}),
    ("a mile of a", {"product_description": "a" * 20_000, "product_name": None}),
    ("nested brackets", {"product_description": "(" * 9_999 + "a" + ")" * 9_999}),
    ("nested markup", {"product_description": "<div>" * 2_000 + "bench" + "</div>" * 1_000}),
    ("escaped markup", {"product_description": "&lt;" * 4_000 + " bench"}),
    ("stacked accents", {"product_description": "o" + "\u0301" * 5_000 + " bench"}),
    ("addresses in a row", {"product_description": "http://a." * 2_000}),
    ("figures in a row", {"product_description": "1," * 9_999}),
    ("baited restriction", {"restrictions": ["a" * 500, "no " * 160, "(" * 500, "don't say " * 50]}),
    ("baited key point", {"key_points": ["(" * 499]}),
    ("a long name", {"product_name": "N" * 300}),
    ("a long override", {"fields": {"text": {"text": "oak " * 4_999}}}),
    ("a limit of one", {"fields": {"text": {"limit": 1}}}),
    ("ten thousand banned terms", {"brand": {"banned_terms": [f"word{n}" for n in range(10_000)]}}),
]


@pytest.mark.parametrize("changes", [c for _, c in SERVED], ids=[name for name, _ in SERVED])
def test_odd_input_is_served_or_rejected_with_reasons(changes: dict[str, Any]) -> None:
    """An answer within ten seconds of processor time; what is rejected says why, no override stays."""
    started = time.process_time()
    output = serve(**changes)
    assert time.process_time() - started < 10
    best = output.variants[0]
    errors = [v for v in best.violations if v.severity == "error"]
    assert bool(errors) == (best.status == "rejected")
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(best.text)
    own = changes.get("fields", {}).get("text", {}).get("text")
    assert own is None or best.fields["text"] == own.strip()  # the caller's text is never cut to fit


def test_a_name_longer_than_a_field_is_left_out_of_it_whole() -> None:
    """No headline holds a piece of it that is not a word of it, and none exceeds its limit."""
    name = "Tarnhelm Extraordinary Benches of the Outer Isles"
    output = serve(product_name=name, target_platform="google_ads.rsa")
    headlines = output.variants[0].fields["headlines"]
    words = set(name.split())
    for headline in headlines:
        assert len(headline) <= 30
        assert not any(
            w.startswith(piece) and w != piece
            for piece in headline.replace(",", "").split()
            if len(piece) > 4 and piece[0].isupper()
            for w in words
        )


# -- the second door ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Oak bench", "--platform", "instagrm"], "nearest: instagram"),
        (["Oak bench", "--tone", "inspirationl"], "nearest: inspirational"),
        (["Oak bench", "--language", "englsh"], "nearest: english"),
        (["Oak bench", "--use-case", "prodct launch"], "nearest: product_launch"),
        (["Oak bench", "--provider", "phrasebnk"], "nearest: phrasebank"),
        ([""], "must say what is sold"),
        (["  \n "], "must say what is sold"),
        (["🔥"], "must say what is sold"),
        (["Oak \x07 bench"], "U+0007"),
        (["Oak bench", "--name", "a\x1bb"], "U+001B"),
        (["a" * 50_000], "at most 20,000"),
        (["Oak bench", "--key-point", "cheap", "--restriction", "don't say cheap"], "contradicts"),
        (["Oak bench", "--variants", "0"], "variants=0"),
        (["Oak bench", "--variants", "21"], "variants=21"),
        (["Oak bench", "--creativity", "1.5"], "creativity_level=1.5"),
        (["Oak bench", "--creativity", "nan"], "creativity_level=nan"),
        (["Oak bench", "--name", "N" * 501], "at most 500"),
        (["Oak bench", "--url", "https://x.example/a b"], "without spaces"),
        (["Oak bench", "--fact", "price"], "KEY=VALUE"),
        (["Oak bench", "--fact", "=49"], "KEY=VALUE"),
        (["Oak bench", "--fact", "a=1", "--fact", " a =2"], "fact=' a =2': 'a' is already '1'"),
        (["Oak bench", "--json", "--plain"], "--json and --plain exclude each other"),
        (["Oak bench", "--fact", "price=" + "9" * 50_000], "at most 20,000"),
        (["Oak bench", *(word for point in TOO_MANY for word in ("--key-point", point))], "at most 50"),
        (["<div>" * 4_000], "must say what is sold"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
def test_generate_refuses_on_one_line_with_status_two(arguments: list[str], words: str) -> None:
    """Nothing on standard output, one line on standard error, status 2."""
    result = CliRunner().invoke(app, ["generate", *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("arguments", "piped", "words"),
    [
        ([b"Oak bench", b"--tone", b"plaful"], b"", "nearest: playful"),
        ([b"Oak \xff bench"], b"", "surrogate"),
        ([b"-"], b"Oak \xff bench", "standard input is not UTF-8 (byte 4)"),
        ([b"-"], MEGABYTE.encode(), "1,000,000 characters"),
        ([b"-"], b"", "must say what is sold"),
        ([b"-"], b"Oak\0bench", "U+0000"),
        ([b"Oak bench", b"--variants", b"three"], b"", "variants"),
        ([b"Oak bench", b"--colour", b"red"], b"", "No such option"),
        ([], b"", "Missing argument"),
    ],
)
def test_the_command_itself_never_ends_in_a_traceback(
    arguments: list[bytes], piped: bytes, words: str
) -> None:
    """Through a real process: status 2, standard output empty, the reason on standard error."""
    command = [sys.executable.encode(), b"-m", b"copykit", b"generate", *arguments]
    done = subprocess.run(command, input=piped, capture_output=True, check=False)
    error = done.stderr.decode("utf-8", "backslashreplace")
    assert done.returncode == 2
    assert done.stdout == b""
    assert words in error
    assert "Traceback" not in error


# -- the third door -----------------------------------------------------------------------------------------

ROWS: list[tuple[dict[str, Any] | str, str]] = [
    ({"description": "", "title": ""}, "no description"),
    ({"description": " \n ", "title": " "}, "no description"),
    ({"description": None, "title": None}, "no description"),
    ({"description": "🔥💥", "title": ""}, "must say what is sold"),
    ({"description": "<div>" * 5_000, "title": ""}, "no description"),
    ({"description": MEGABYTE}, "at most 20,000"),
    ({"title": MEGABYTE}, "at most 500"),
    ({"description": "a" * 50_000, "title": ""}, "at most 20,000"),
    ({"description": "Oak\x00bench"}, "U+0000"),
    ({"description": "Oak \ud800 bench"}, "surrogate"),
    ({"language": "englsh"}, "nearest: english"),
    ({"link": "https://x.example/a b"}, "without spaces"),
    ({"highlights": TOO_MANY}, "at most 50"),
    ("{broken", "not JSON"),
    ("[1, 2]", "not an object"),
    ('"text"', "not an object"),
    ('{"description": "Oak", "price": ' + "9" * 6_000 + "}", "not JSON"),
    ('{"a":' * 5_000 + "1" + "}" * 5_000, "nested too deep"),
]
FINE: list[dict[str, Any]] = [
    {"description": "Oak \u202ebench\u202c, 140 cm"},
    {"title": "N" * 300},
    {"material": "x" * 100_000},
    {"price": "9" * 50_000},
]
SAYING_NOTHING: list[dict[str, Any]] = [
    {"description": "42", "title": ""},
    {"description": "https://shop.example/bench", "title": ""},
]
"""Rows that can be read and name nothing that is sold: no copy of them could be published."""


def test_a_bad_row_fails_with_its_reason_and_stops_nothing(tmp_path: Path) -> None:
    """
    Every bad row comes back failed with the reason, every odd and every good one with copy, in order; one that names
    nothing is rejected, and says so.
    """
    base = {"title": "Tarn", "description": "Oak bench, 140x40 cm, oiled", "language": "en"}
    lines, expected = (
        [json.dumps({**base, "id": "first", "link": "", "highlights": []})],
        ["" for _ in range(1)],
    )
    for number, (row, reason) in enumerate(ROWS):
        lines.append(row if isinstance(row, str) else json.dumps({**base, "id": f"bad {number}", **row}))
        lines.append(json.dumps({**base, "id": f"good {number}"}))
        expected += [reason, ""]
    for number, row in enumerate(FINE):
        lines.append(json.dumps({**base, "id": f"odd {number}", **row}))
        expected.append("")
    for number, row in enumerate(SAYING_NOTHING):
        lines.append(json.dumps({**base, "id": f"empty {number}", **row}))
        expected.append("C-26")
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "copykit",
        "batch",
        str(source),
        "--out",
        str(out),
        "--platform",
        "x.post",
    ]
    done = subprocess.run(
        [*command, "--map", "key_points=highlights"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    results = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [result["row"] for result in results] == list(range(1, len(expected) + 1))
    for result, reason in zip(results, expected, strict=True):
        if reason == "C-26":
            rules = [found["rule"] for found in result["output"]["variants"][0]["violations"]]
            assert (result["status"], reason in rules) == ("rejected", True), result["id"]
        elif reason:
            assert result["status"] == "failed", result["id"]
            assert reason in result["error"]["message"], result["id"]
            assert len(result["error"]["message"]) < 400
        else:
            assert result["status"] in ("ok", "repaired"), (result["id"], result["error"])
            assert "\u202e" not in result["output"]["text"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--platform", "instagrm"], "nearest: instagram"),
        (["--platform", "x", "--language", "englsh"], "nearest: english"),
        (["--platform", "x", "--tone", "inspirationl"], "nearest: inspirational"),
        (["--platform", "x", "--use-case", "prodct launch"], "nearest: product_launch"),
        (["--platform", "x", "--provider", "phrasebnk"], "nearest: phrasebank"),
        (["--platform", "x", "--map", "nmae=title"], "nearest: name"),
        (["--platform", "x", "--map", "name=titel"], "nearest: title"),
        (["--platform", "x", "--format", "google_adds"], "nearest: google-ads"),
    ],
)
def test_a_wrong_flag_stops_a_batch_before_it_starts(flags: list[str], words: str, tmp_path: Path) -> None:
    """Status 2, one line that names the nearest valid choice, and no result file."""
    source, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("id,title,description\n1,Tarn,Oak bench\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["batch", str(source), "--out", str(out), "--language", "en", *flags])
    assert result.exit_code == 2, result.stderr
    assert words in result.stderr
    assert not out.exists()
