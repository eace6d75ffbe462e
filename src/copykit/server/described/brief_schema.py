"""What the published schema of a brief says beyond the model's types: the bounds that compiling holds every brief to.

What hangs together with other fields no schema tells: whether a field belongs to the placement, a provider is set up, a
call to action fits, or two wishes contradict each other. Such a brief is answered 422 with the field and the reason.
"""

from __future__ import annotations

from typing import Any

from copykit.brief import catalog
from copykit.brief.compile import MAX_DESCRIPTION, MAX_ITEMS, MAX_SHORT, MAX_TERMS, MAX_URL

__all__ = ["bound"]

_PLAIN = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"
"""No control characters but line ends and tabs."""
_SAYS = r"[^\x00-/:-@\[-`{-\xa9\u2000-\u206f]"
"""About a letter or a digit, in any script, as every reader of patterns understands it: beyond ASCII's and general
punctuation; the brief's own rule is exact."""
_NAMED = r"\S"
_ADDRESS = r"^([Hh][Tt][Tt][Pp][Ss]?://[^\s/?#.]+(\.[^\s/?#.]+)*(:[0-9]+)?([/?#]\S*)?)?$"
_LARGEST = 10**18
"""A whole number that every reader of JSON keeps exactly is smaller; larger ones are read up to 20 digits."""
_LISTS = ("key_points", "restrictions", "keywords")
_ANY_SPELLING = "Any case, spaces or hyphens are understood, and more names than stand here."


def bound(schemas: dict[str, Any]) -> None:
    """Add the bounds to the schemas of a brief and its parts, which pydantic made of the models."""
    brief, brand, override = (
        schemas[name]["properties"] for name in ("CopywritingInput", "Brand", "FieldOverride")
    )
    brief["product_description"] |= {"minLength": 1, **_text(MAX_DESCRIPTION), "allOf": [{"pattern": _SAYS}]}
    _name(brief["target_platform"], _placements())
    _name(brief["tone"], [tone.id for tone in catalog.tones()])
    _name(brief["language"], _languages())
    _name(brief["use_case"]["anyOf"][0], [use_case.id for use_case in catalog.use_cases()])
    for name in ("product_name", "target_audience", "call_to_action"):
        brief[name]["anyOf"][0] |= _text(MAX_SHORT)
    brief["instructions"]["anyOf"][0] |= _text(MAX_DESCRIPTION)
    brief["url"]["anyOf"][0] |= {**_text(MAX_URL), "allOf": [{"pattern": _ADDRESS}]}
    one = {"type": "string", **_text(MAX_SHORT)}
    for name in _LISTS:
        own = brief[name]
        listed = {"type": own.pop("type"), "items": own.pop("items") | one, "maxItems": MAX_ITEMS}
        own["anyOf"] = [listed, {**one, "description": "A single one."}]
    numbers = {"minimum": -_LARGEST, "maximum": _LARGEST}
    texts, *kinds = brief["facts"]["additionalProperties"]["anyOf"]
    brief["facts"] |= {
        "maxProperties": MAX_ITEMS,
        "propertyNames": _key(),
        "additionalProperties": {
            "anyOf": [texts | _text(MAX_DESCRIPTION), *(kind | numbers for kind in kinds)]
        },
    }
    brief["personalization"] |= {"maxProperties": MAX_ITEMS, "propertyNames": _key()}
    brief["personalization"]["additionalProperties"] |= _text(MAX_SHORT)
    brief["fields"]["propertyNames"] = {"enum": _fields()}
    brand["name"] |= _text(MAX_SHORT)
    for name in ("terms", "banned_terms", "competitors"):
        brand[name] |= {"items": one, "maxItems": MAX_TERMS}
    override["text"]["anyOf"][0] |= _text(MAX_DESCRIPTION)


def _text(longest: int) -> dict[str, Any]:
    return {"maxLength": longest, "pattern": _PLAIN}


def _key() -> dict[str, Any]:
    return {**_text(MAX_SHORT), "allOf": [{"pattern": _NAMED}]}


def _name(schema: dict[str, Any], known: list[str]) -> None:
    schema |= {"enum": known, "description": _ANY_SPELLING}


def _placements() -> list[str]:
    """List the ids of all placements, and the platforms by id and name, which stand for one of them."""
    found = [(placement.platform, placement.name.partition(":")[0]) for placement in catalog.placements()]
    platforms = dict.fromkeys(name for both in found for name in both)
    return [*catalog.placement_ids(), *(name for name in platforms if _is_placement(name))]


def _is_placement(name: str) -> bool:
    try:
        catalog.placement(name)
    except ValueError:
        return False
    return True


def _languages() -> list[str]:
    """List the tags of all languages, and those that stand for them without script and region."""
    tags = [language.tag for language in catalog.languages()]
    return list(dict.fromkeys((*tags, *(tag.partition("-")[0] for tag in tags))))


def _fields() -> list[str]:
    return sorted({spec.name for placement in catalog.placements() for spec in placement.fields})
