"""Completions in the shapes that models give them become drafts, or one clear refusal."""

from __future__ import annotations

import json
import pickle
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brief_maker import make_brief
from copykit.drafts.draft import Draft
from copykit.drafts.parse import MAX_BYTES, EmptyCompletion, decode, encode, parse
from copykit.errors import MalformedCompletion, ProviderError
from copykit.models import Part

POST = make_brief("x.post", variants=3)
ADS = make_brief("google_ads.rsa", variants=3)
CAPTION = make_brief("instagram.caption", variants=3)
HEADS = ["Oak benches", "Made of oak", "Sit down"]
LINES = ["A bench of solid oak.", "Made to be sat on."]


def ads(text):
    """Read *text* as an answer for a search ad."""
    return [draft.fields for draft in parse(text, ADS)]


def post(text):
    """Read *text* as an answer for a post."""
    return [draft.fields["text"] for draft in parse(text, POST)]


WRAPPINGS = {
    "asked shape": '{"variants": [{"fields": {"headlines": %s, "descriptions": %s}}]}',
    "array of variants": '[{"fields": {"headlines": %s, "descriptions": %s}}]',
    "one variant": '{"fields": {"headlines": %s, "descriptions": %s}}',
    "bare fields": '{"headlines": %s, "descriptions": %s}',
    "array of bare fields": '[{"headlines": %s, "descriptions": %s}]',
    "fence": 'Sure!\n```json\n{"variants": [{"fields": {"headlines": %s, "descriptions": %s}}]}\n```\nBye',
    "fence without language": '```\n{"headlines": %s, "descriptions": %s}\n```',
    "prose around": 'Here you are: {"headlines": %s, "descriptions": %s}. Tell me if {this} is "fine".',
    "prose with quotes before": 'He said "here: {"headlines": %s, "descriptions": %s}',
    "trailing commas": '{"variants": [{"fields": {"headlines": %s, "descriptions": %s,},},],}',
    "named variants": '{"variant_1": {"fields": {"headlines": %s, "descriptions": %s}}}',
    "placement as key": '{"google_ads.rsa": {"headlines": %s, "descriptions": %s}}',
    "other wrapper": '{"results": [{"headlines": %s, "descriptions": %s}]}',
    "singular names": '{"headline": %s, "description": %s}',
    "names in capitals": '{"Headlines": %s, "DESCRIPTIONS": %s}',
    "thoughts first": '<think>{"headlines": ["no"]}</think>{"headlines": %s, "descriptions": %s}',
    "byte order mark": '\ufeff{"headlines": %s, "descriptions": %s}',
    "extra keys": '{"id": 1, "note": "x", "headlines": %s, "descriptions": %s}',
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_json_is_found_however_it_is_wrapped(name):
    """
    The same fields come out of every wrapping that models put around JSON.
    """
    text = WRAPPINGS[name] % (json.dumps(HEADS), json.dumps(LINES))
    assert ads(text) == [{"headlines": HEADS, "descriptions": LINES}]


def test_typographic_quotes_around_keys_and_texts_are_read_as_quotes():
    """
    Curly quotes as delimiters are repaired; those inside a text stay.
    """
    assert ads("{“headlines”: [“Oak benches”, “Made of oak”], “descriptions”: [“Sit down.”]}") == [
        {"headlines": ["Oak benches", "Made of oak"], "descriptions": ["Sit down."]}
    ]
    assert ads('{"headlines": ["The “good” bench", "Say ‘yes’, twice",]}') == [
        {"headlines": ["The “good” bench", "Say ‘yes’, twice"]}
    ]


def test_commas_inside_texts_are_not_trailing_commas():
    """
    Mending trailing commas leaves the texts alone.
    """
    assert ads('{"headlines": ["one, ]", "two,}", ],}') == [{"headlines": ["one, ]", "two,}"]}]


@pytest.mark.parametrize(
    "text",
    [
        "Headline 1: Oak benches\nHeadline 2: Made of oak\nDescription 1: Sit down.",
        "**Headline 1:** Oak benches\n**Headline 2:** Made of oak\n\n**Description 1:** Sit down.",
        "- Headline 1: Oak benches\n- Headline 2: Made of oak\n- Description: Sit down.",
        "Headlines:\n1. Oak benches\n2. Made of oak\n\nDescriptions:\n- Sit down.",
        "### Headlines:\n* “Oak benches”\n* “Made of oak”\n### Description:\nSit down.",
        'headlines: "Oak benches"\nheadlines: "Made of oak"\ndescriptions: "Sit down."',
        "Here are your ads!\n\nHeadline 1：Oak benches\nHeadline 2：Made of oak\nDescription 1：Sit down.",
    ],
)
def test_labelled_lines_are_fields(text):
    """
    ``Headline 1:`` before a text, or a heading over a list, names its field.
    """
    assert ads(text) == [{"headlines": ["Oak benches", "Made of oak"], "descriptions": ["Sit down."]}]


def test_variants_may_be_divided_by_headings():
    """
    Lines such as ``Variant 2`` divide labelled fields and bare texts into variants.
    """
    assert ads("Variant 1\nHeadline: A\n\n**Variant 2**\nHeadline: B") == [
        {"headlines": ["A"]},
        {"headlines": ["B"]},
    ]
    assert post("Option 1:\nOak bench.\n\nOption 2:\nSit down.\nNow.") == ["Oak bench.", "Sit down.\nNow."]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("Oak bench. Sit down.", ["Oak bench. Sit down."]),
        ("  Oak bench.\n\nSit down.\n", ["Oak bench.\n\nSit down."]),
        ('"Oak bench."', ["Oak bench."]),
        ("“Oak bench.”", ["Oak bench."]),
        ('"Oak" or "ash"', ['"Oak" or "ash"']),
        ("```\nOak bench.\n```", ["Oak bench."]),
        ('["Oak bench.", "Sit down."]', ["Oak bench.", "Sit down."]),
        ('{"text": "Oak bench."}', ["Oak bench."]),
        ('{"post": "Oak bench."}', ["Oak bench."]),
        ('{"variants": ["Oak bench.", "Sit down."]}', ["Oak bench.", "Sit down."]),
        ('{"variants": [{"text": "A"}, {"content": "B"}]}', ["A", "B"]),
        ("Save 10 [today] {now}", ["Save 10 [today] {now}"]),
        ("Text: Oak bench.", ["Oak bench."]),
        ("New: oak bench.", ["New: oak bench."]),
        ('{"fields": {"text": ["One.", "Two."]}}', ["One.\nTwo."]),
        ('{"fields": {"text": {"text": "One."}}}', ["One."]),
    ],
)
def test_a_placement_of_one_text_takes_bare_text(text, texts):
    """
    Where only one text is asked for, the answer itself may be it, with or without quotes, fence or label.
    """
    assert post(text) == texts


def test_bare_text_goes_to_the_text_and_not_to_the_hashtags():
    """
    A caption with a separate hashtag field still takes bare text.
    """
    assert [d.fields for d in parse("Oak. #bench", CAPTION)] == [{"text": "Oak. #bench"}]


def test_text_before_the_first_label_is_the_text():
    """
    A caption followed by ``Hashtags:`` keeps both; chatter before labelled fields is left out with a note.
    """
    assert [d.fields for d in parse("Oak.\n\nSit down.\n\nHashtags: #oak", CAPTION)] == [
        {"text": "Oak.\n\nSit down.", "hashtags": ["#oak"]}
    ]
    found = decode("Here you go!\nHeadline: A", ADS)
    assert [d.fields for d in found.drafts] == [{"headlines": ["A"]}]
    assert found.notes == ("text outside the fields left out",)


def test_numbered_keys_are_items_of_their_list():
    """
    ``headline_1`` and ``headline2`` are items of ``headlines``, in their order.
    """
    assert ads('{"headline_1": "A", "headline2": "B", "description 1": "C"}') == [
        {"headlines": ["A", "B"], "descriptions": ["C"]}
    ]


def test_numbers_keep_their_digits():
    """
    A number where a text belongs is the text as written, however long.
    """
    long = "9" * 6000
    assert ads(f'{{"headlines": [49.90, 1e3, {long}]}}') == [{"headlines": ["49.90", "1e3", long]}]


def test_list_items_may_be_objects():
    """
    An item may be an object that holds its text.
    """
    items = '[{"text": "A", "pin": 1}, {"value": "B"}, {"x": 1}]'
    assert ads(f'{{"headlines": {items}}}') == [{"headlines": ["A", "B"]}]


def test_what_is_left_out_is_told():
    """
    Unknown fields, surplus items and surplus variants are dropped, each with a note.
    """
    found = decode('{"fields": {"headlines": ["A"], "slogan": "B", "descriptions": [null, true, "C"]}}', ADS)
    assert [d.fields for d in found.drafts] == [{"headlines": ["A"], "descriptions": ["C"]}]
    assert found.notes == ("descriptions holds true, which is no text", 'unknown field "slogan" left out')
    many = decode(json.dumps({"headlines": [str(n) for n in range(18)]}), ADS)
    assert len(many.drafts[0].fields["headlines"]) == 15
    assert many.notes == ("headlines: 3 items more than fit left out",)
    five = decode(json.dumps([{"text": str(n)} for n in range(5)]), POST)
    assert len(five.drafts) == 3
    assert five.notes == ("2 variants more than asked for left out",)


def test_fewer_items_and_variants_than_asked_are_kept_as_they_are():
    """
    Too little is for the checks to report, not for the parser to refuse.
    """
    assert ads('{"variants": [{"fields": {"headlines": ["A"]}}]}') == [{"headlines": ["A"]}]


def test_parts_name_their_step():
    """
    The structure's parts come along where they name a field that has a text.
    """
    text = json.dumps(
        {
            "variants": [
                {
                    "fields": {"headlines": ["A", "B"]},
                    "structure": "AIDA",
                    "parts": [
                        {"step": "attention", "field": "headline[1]", "text": "B"},
                        {"step": "desire", "field": "nowhere", "text": "x"},
                        {"step": 3},
                        "junk",
                    ],
                }
            ]
        }
    )
    found = decode(text, ADS)
    assert found.drafts == (
        Draft({"headlines": ["A", "B"]}, (Part(step="attention", field="headlines[1]", text="B"),), "AIDA"),
    )
    assert found.notes == ('a part names the field "nowhere", which has no text',)


def test_control_characters_never_reach_a_draft():
    """
    Escape sequences and NUL are taken out; line breaks and tabs stay.
    """
    assert post('{"text": "A\\u001b[31mB\\u0000\\u009b\\r\\nC\\tD"}') == ["A[31mB\nC\tD"]
    assert post("A\x1b]0;title\x07B") == ["A]0;titleB"]


def test_halves_of_surrogate_pairs_are_joined_or_replaced():
    """
    A pair split over two escapes is one character; a lone half cannot be copy.
    """
    assert post('{"text": "A \\ud83d\\ude00 \\ud83d"}') == ["A 😀 \ufffd"]
    assert post("A \ud83d\ude00") == ["A 😀"]


@pytest.mark.parametrize(
    "text",
    ["", "  \n\t ", "\ufeff", "<think>hm</think>\n", "<think>cut off", "<think></think> <THINK>x</THINK>"],
)
def test_an_empty_answer_is_its_own_failure(text):
    """
    Nothing at all is ``empty_output``, which is worth another try elsewhere.
    """
    with pytest.raises(EmptyCompletion) as caught:
        parse(text, POST)
    assert caught.value.code == "empty_output"
    assert isinstance(caught.value, MalformedCompletion)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), EmptyCompletion)  # noqa: S301


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"text": "Oak ben', "broken JSON"),
        ('{"variants": [{"fields": {"text": "A"', "broken JSON"),
        ("{'text': 'Oak'}", "broken JSON"),
        ('```json\n{"text": \n```', "broken JSON"),
        ('Here is your post: {"text": "Oak ben', "no known field"),
        ('Here is your post: {"text": "Oak" "bench"}', "broken JSON"),
        ('{"text": NaN}', "NaN"),
        ('{"text": "A", "x": Infinity}', "Infinity"),
        ('{"text": "A", "x": [-Infinity,]}', "-Infinity"),
        ("[" * 50 + "]" * 50, "deeper than 20"),
        ('{"text": "A", "x": ' + "[" * 21 + "]" * 21 + "}", "deeper than 20"),
        ("[" * 100_000, "deeper than 20"),
        ('{"a":' * 30_000 + "1" + "}" * 30_000, "deeper than 20"),
        ("{}", "no known field"),
        ("[]", "no known field"),
        ('{"fields": {}}', "no known field"),
        ('{"variants": []}', "no known field"),
        ('{"text": null}', "no known field"),
        ('{"text": "  "}', "no known field"),
        ("x" * (MAX_BYTES + 1), "larger than 256 KiB"),
        ("é" * (MAX_BYTES // 2 + 1), "larger than 256 KiB"),
    ],
)
def test_what_holds_no_copy_is_refused_with_the_reason(text, reason):
    """
    Cut, broken, oversized, too deep or empty JSON is never taken for copy.
    """
    with pytest.raises(MalformedCompletion, match=reason) as caught:
        parse(text, POST)
    assert caught.value.code == "output_invalid"
    assert isinstance(caught.value, ProviderError)
    assert len(caught.value.excerpt) <= 500


def test_prose_for_a_placement_of_several_fields_is_refused():
    """
    Without labels nobody can know which field a sentence belongs to.
    """
    with pytest.raises(MalformedCompletion, match="no known field"):
        parse("A lovely bench. Buy it.", ADS)


def test_brackets_up_to_the_depth_limit_are_read():
    """
    Twenty levels are read, twenty-one are not; brackets inside texts do not count.
    """
    deep = '{"text": "A", "x": ' + "[" * 19 + "]" * 19 + "}"
    assert post(deep) == ["A"]
    assert post(json.dumps({"text": "[" * 60})) == ["[" * 60]


@pytest.mark.parametrize(
    "text",
    ['"' + '\\"' * 60_000, '{"' * 60_000, "[" + '"a",' * 50_000, "```\n" * 60_000,
    "Headline: \n" * 20_000, ("“" * 500 + "{") * 150,
     '{"text": "' + "\\" * 200_000, "<think>" * 30_000, "**" * 100_000 + ":",
     "- " * 100_000, '{"a":1}' * 30_000],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_hostile_answers_cost_no_more_than_their_length(text):
    """
    No answer within the size cap makes the parser backtrack for long.
    """
    for brief in (POST, ADS):
        with suppress(MalformedCompletion):
            assert parse(text, brief)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda t: t == t.strip() and t.strip("\ufeff \t\r\n")
)
PARTS = st.lists(
    st.builds(Part, step=TEXT, field=st.sampled_from(["headlines[0]", "descriptions"]), text=TEXT), max_size=3
)


@given(
    st.lists(
        st.builds(
            lambda heads, lines, parts, name: Draft(
                {"headlines": heads, "descriptions": lines}, tuple(parts), name or ("AIDA" if parts else None)
            ),
            st.lists(TEXT, min_size=1, max_size=5),
            st.lists(TEXT, min_size=1, max_size=4),
            PARTS,
            st.none() | TEXT,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_encode_is_the_inverse_of_parse(drafts):
    """
    What `encode` writes, `parse` reads back unchanged, any characters inside.
    """
    assert parse(encode(drafts), ADS) == drafts


JSONISH = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", '"', "“", "”", ",", ":", "\\", "\n", "```", "json", "variants", "fields",
        "text", "headlines",
         "Headline 1: ", "Variant 2", "NaN", "null", "1e999", "- ", "**", "<think>", "</think>", "a",
         "é", "\x00", "\ud83d", " "]
    ),
    max_size=60,
).map("".join)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["variants", "fields", "text", "headlines", "parts", "step", "field", "structure", "x", ""]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSONISH | st.text(max_size=200) | VALUES.map(json.dumps))
def test_anything_becomes_drafts_or_a_refusal(text):
    """
    Whatever a provider answers, the outcome is drafts of known fields with texts, or MalformedCompletion.
    """
    for brief in (POST, ADS, CAPTION):
        try:
            drafts = parse(text, brief)
        except MalformedCompletion:
            continue
        assert 1 <= len(drafts) <= 3
        names = {spec.name: spec for spec in brief.fields}
        for draft in drafts:
            assert draft.fields
            for name, value in draft.fields.items():
                assert isinstance(value, list) is names[name].is_list
                for one in value if isinstance(value, list) else [value]:
                    assert one
                    assert one == one.strip()
                    one.encode()


def test_the_parser_needs_no_deep_stack():
    """
    A nearly exhausted stack changes nothing, since depth is bounded before anything recurses.
    """
    text = '{"variants": [{"fields": {"text": "A"}}]}'
    limit = sys.getrecursionlimit()
    depth = 0
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 80)
    try:
        assert parse(text, POST)[0].fields == {"text": "A"}
    finally:
        sys.setrecursionlimit(limit)


def test_fences_are_found_however_their_lines_end() -> None:
    """A fence is closed by the next line that holds its mark alone; one that nobody closes hides no other."""
    inner = json.dumps({"headlines": HEADS, "descriptions": LINES})
    for text in (
        f"Sure!\r\n```json\r\n{inner}\r\n```\r\nBye",
        f"```\nnever closed\n~~~json\n{inner}\n~~~\nBye",
        f"````\n{inner}\n````",
    ):
        assert ads(text) == [{"headlines": HEADS, "descriptions": LINES}]
    assert post("```\nA bench of oak.\n~~~\nSit down.\n```") == ["A bench of oak.\n~~~\nSit down."]
