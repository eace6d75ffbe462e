"""Merge tokens: none is published as it was left in a brief, and one that no field carries is told."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from copykit import CopywritingServiceV11, Settings
from copykit.brief.compile import compile_brief
from copykit.brief.merge import unplaced
from copykit.data import load_toml
from copykit.errors import InvalidRequest
from copykit.models import CopyVariant, CopywritingInput

SHAPES = {name: row for name, row in load_toml("merge_tokens.toml").items() if name != "names"}
BRIEF: dict[str, Any] = {"product_description": "Oak bench, 140x40 cm, oiled", "target_platform": "x.post"}


def variant(**fields: Any) -> CopyVariant:
    """Give a variant of *fields*."""
    return CopyVariant(fields=fields, text="", status="ok", field_status={})


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_whole(name: str) -> None:
    """Pattern, an example that it matches, and a source of the list."""
    row = SHAPES[name]
    assert set(row) == {"pattern", "example", "source"}
    with pytest.raises(InvalidRequest, match=re.escape(row["example"][:20])):
        compile_brief(CopywritingInput(**{**BRIEF, "product_description": f"Oak bench {row['example']}"}))


@pytest.mark.parametrize(
    ("changes", "field", "token"),
    [
        ({"product_description": "{{first_name}} bench"}, "product_description", "{{first_name}}"),
        ({"product_description": "{KeyWord:bench} of oak"}, "product_description", "{KeyWord:bench}"),
        ({"product_name": "[PRODUCT NAME]"}, "product_name", "[PRODUCT NAME]"),
        ({"brand": {"name": "<<Brand>>"}}, "brand.name", "<<Brand>>"),
        ({"key_points": ["Oiled", "From {city_name}"]}, "key_points", "{city_name}"),
        ({"facts": {"wood": "%%wood%%"}}, "facts.wood", "%%wood%%"),
        ({"target_audience": "{% if vip %}guests{% endif %}"}, "target_audience", "{% if vip %}"),
        ({"call_to_action": "Come in, %FIRSTNAME%"}, "call_to_action", "%FIRSTNAME%"),
        ({"keywords": ["${colour}"]}, "keywords", "${colour}"),
        ({"fields": {"text": {"text": "Hi *|FNAME|*, sit down"}}}, "fields.text.text", "*|FNAME|*"),
    ],
)
def test_what_nobody_fills_in_is_refused(changes: dict[str, Any], field: str, token: str) -> None:
    """The message names the field, the token and the rule."""
    with pytest.raises(InvalidRequest, match="rule M-15") as caught:
        compile_brief(CopywritingInput(**{**BRIEF, **changes}))
    assert caught.value.field == field
    assert caught.value.value == repr(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"product_description": "Bench {140x40 cm}, sets of {1, 2}, [SALE] [XL], <Norr>, f(x) = {x}"},
        {"product_description": "100%cotton, 50%wool%, 50 %OFF% now, cut by 50%%-60%%, 5 * 3 | 2 * 4"},
        {"product_description": "Bench [new 2026], $40 {oak}, a template [email protected]"},
        {"url": "https://norr.example/{{id}}?q={keyword}"},
        {"instructions": "Greet with {{first_name}}", "restrictions": ["don't write {{first_name}}"]},
        {
            "product_description": "{{ First_Name | default: 'Friend' }}, a bench",
            "personalization": {"first name": "Ana"},
        },
        {"product_description": "{KeyWord:bench} of oak", "target_platform": "google_ads.rsa"},
        {"call_to_action": "Hi %FIRSTNAME%", "target_platform": "linkedin.message_ad"},
    ],
)
def test_other_braces_and_tokens_that_are_filled_in_stay(changes: dict[str, Any]) -> None:
    """By the platform, by the caller's personalization, or outside the copy; and signs that mean nothing of the kind."""
    assert compile_brief(CopywritingInput(**{**BRIEF, **changes}))


def test_a_declared_token_that_no_field_carries_is_told() -> None:
    """Whatever the mailing tool's way to write it; a position may stand for any of them."""
    declared = {"first_name": "Maximilian", "city": "Oslo"}
    told = ["personalization 'city' has no effect: no field carries that token"]
    assert unplaced(declared, [variant(subject="Hi %FIRSTNAME%", lines=["A city", "bench"])]) == told
    assert unplaced(declared, [variant(subject="Hi"), variant(lines=["{{ First-Name }}"])]) == told
    assert unplaced(declared, [variant(text="Hi {{1}}")]) == []
    assert unplaced({}, [variant(text="Hi {{name}}")]) == []


def test_the_result_tells_what_had_no_effect() -> None:
    """Once, beside the language that served; the language written is the result's."""

    async def story() -> Any:
        async with CopywritingServiceV11(Settings()) as service:
            return await service.generate(
                {**BRIEF, "language": "de-AT", "variants": 3, "personalization": {"x": "y"}}
            )

    result = asyncio.run(story())
    assert result.language == "de"
    assert result.info.count("de-AT is served as de") == 1
    assert result.info.count("personalization 'x' has no effect: no field carries that token") == 1
