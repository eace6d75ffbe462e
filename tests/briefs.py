"""Briefs for tests of checks and repairs: small, by hand, with nothing read but the language's own row."""

from __future__ import annotations

from typing import Any

from copykit.brief.brief import Brief, Fact
from copykit.brief.catalog import FieldSpec, Language, Limit, Placement, Policy, Structure, Tone, UseCase
from copykit.brief.ledger import Ledger
from copykit.data import load_toml
from copykit.models import Brand, CopywritingInput

__all__ = ["brief", "field", "language", "limit", "place", "tone"]


def language(tag: str = "en") -> Language:
    """Give the catalogue row of *tag*."""
    row = load_toml(f"languages/{tag}.toml")
    numbers = row["numbers"]
    return Language(
        tag=row["tag"],
        name=row["name"],
        native_name=row["native_name"],
        script=row["script"],
        direction=row["direction"],
        quotes=tuple(row["quotes"]),
        headline_casing=row["headline_casing"],
        spaces_between_words=row["spaces_between_words"],
        formality={level: row["formality"][level] for level in "FNC"},
        decimal=numbers["decimal"],
        group=numbers["group"],
        digits=numbers["digits"],
        percent=numbers["percent"],
        currency=numbers["currency"],
        currency_code=numbers["currency_code"],
        label_expansion=None,
        cautions=(),
        reviewed=False,
    )


def limit(hard: float | None, unit: str = "cp", **more: Any) -> Limit:
    """Give a limit of verified confidence unless *more* says otherwise."""
    values: dict[str, Any] = {
        "unit": unit,
        "hard": hard,
        "rec_min": None,
        "rec_max": None,
        "confidence": "A",
        "source": "S00",
        "source_date": "2026",
        "on_exceed": "reject",
        "valid_from": None,
        "regions": (),
        "exempt_regions": (),
        "note": "",
        **more,
    }
    return Limit(**values)


def field(
    name: str = "text", role: str = "body", *limits: Limit, count: tuple[int, int] = (1, 1), **more: Any
) -> FieldSpec:
    """Give a field; *count* is the least and the most number of items."""
    values: dict[str, Any] = {
        "name": name,
        "role": role,
        "min_count": count[0],
        "max_count": count[1],
        "default_count": count[1],
        "rec_min_count": None,
        "rec_max_count": None,
        "required": count[0] > 0,
        "limits": limits,
        "choices": (),
        "rules": (),
        "note": "",
        **more,
    }
    return FieldSpec(**values)


def policy(hard: int | None = None, advised: int | None = None, confidence: str = "B") -> Policy:
    """Give a policy; no figures mean that nothing is forbidden."""
    return Policy(hard, advised, confidence, "S00")


def place(*fields: FieldSpec, kind: str = "social", **more: Any) -> Placement:
    """Give a placement of *fields*, one body of 500 code points if there are none."""
    values: dict[str, Any] = {
        "id": f"test.{kind}",
        "platform": "Test",
        "name": "Test",
        "kind": kind,
        "use_case": "social_media_post",
        "fields": fields or (field("text", "body", limit(500)),),
        "independent": False,
        "emoji": policy(),
        "hashtags": policy(),
        "links": policy(),
        "casing": "sentence",
        "rules": (),
        "token_syntax": (),
        "note": "",
        **more,
    }
    return Placement(**values)


def tone(**more: Any) -> Tone:
    """Give a friendly tone that allows one exclamation mark and two emoji."""
    values: dict[str, Any] = {
        "id": "friendly",
        "definition": "",
        "axes": (0, 0, 0, 0),
        "mean_sentence_words": 14,
        "max_sentence_words": 22,
        "contractions": "either",
        "exclamations_per_field": 1,
        "exclamations_per_100_words": 2,
        "person": "you",
        "address": "N",
        "max_emoji": 2,
        "signals": "",
        "avoid": "",
        "family": "warm",
        **more,
    }
    return Tone(**values)


def brief(
    tag: str = "en",
    placement: Placement | None = None,
    *,
    name: str = "",
    item: str = "",
    points: tuple[str, ...] = (),
    facts: dict[str, str] | None = None,
    source: str = "",
    brand: Brand | None = None,
    restrictions: tuple[Any, ...] = (),
    personalization: dict[str, str] | None = None,
    use_case: UseCase | None = None,
    **more: Any,
) -> Brief:
    """Give a brief in the language *tag*; its source text is all that the arguments say."""
    spoken = language(tag)
    placement = placement or place()
    brand = brand or Brand()
    held = tuple(Fact(key, value) for key, value in (facts or {}).items())
    texts = [source, name, item, *points, *(fact.value for fact in held), brand.name]
    values: dict[str, Any] = {
        "request": CopywritingInput(
            product_description=source or item or "A thing",
            target_platform=placement.id,
            personalization=personalization or {},
        ),
        "placement": placement,
        "fields": placement.fields,
        "language": spoken,
        "tone": tone(),
        "use_case": use_case or UseCase("social_media_post", ("aida",), (), ("none",), ""),
        "structure": Structure(
            "aida", "AIDA", ("attention", "action"), ("attention", "action"), True, "", ""
        ),
        "name": name,
        "item": item,
        "attributes": (),
        "points": points,
        "sentences": (),
        "facts": held,
        "audience": "",
        "cta": "",
        "url": "",
        "keywords": (),
        "brand": brand,
        "restrictions": restrictions,
        "ledger": Ledger.build(filter(None, texts), spoken),
        "source_text": "\n".join(filter(None, texts)),
        **more,
    }
    return Brief(**values)
