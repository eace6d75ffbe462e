"""Facts that a use case needs, and whether the brief gives them: under that name, or in another field."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from copykit.brief.brief import Brief
from copykit.data import load_toml

__all__ = ["SOURCES", "missing_facts"]

_QUOTATION = re.compile(r"[“«„「『][^“”«»「」『』\n]{12,}[”»“」』]|\"[^\"\n]{12,}\"")
_TIME_ZONE = re.compile(
    r"\b(?:UTC|GMT|BST|WEST?|CES?T|EES?T|MSK|IST|JST|KST|[ECMP][SD]?T|AE[SD]T|BRT|ART|HKT|SGT|AST)\b(?:[+-]\d{1,2})?"
)


def _counts_length(brief: Brief) -> bool:
    return any(limit.unit in ("s", "w") for spec in brief.fields for limit in spec.limits)


SOURCES: dict[str, Callable[[Brief], object]] = {
    "name": lambda brief: brief.name or brief.brand.name,
    "item": lambda brief: brief.item,
    "audience": lambda brief: brief.audience,
    "cta": lambda brief: brief.cta,
    "url": lambda brief: brief.url,
    "keywords": lambda brief: brief.keywords,
    "points": lambda brief: brief.points,
    "attributes": lambda brief: brief.attributes,
    "sentences": lambda brief: brief.sentences,
    "facts": lambda brief: brief.facts,
    "personalization": lambda brief: brief.request.personalization,
    "prices": lambda brief: brief.ledger.prices,
    "percents": lambda brief: brief.ledger.percents,
    "dates": lambda brief: brief.ledger.dates,
    "measures": lambda brief: any(units - {"", "date"} for units in brief.ledger.numbers.values()),
    "phones": lambda brief: brief.ledger.phones,
    "mails": lambda brief: brief.ledger.mails,
    "length": _counts_length,
    "quotation": lambda brief: _QUOTATION.search(brief.source_text),
    "time_zone": lambda brief: _TIME_ZONE.search(brief.source_text),
    "written": lambda brief: True,
}
"""What each word of ``from`` in ``data/rules/required_facts.toml`` looks at."""


@cache
def _rows() -> dict[str, dict[str, Any]]:
    return load_toml("rules/required_facts.toml")


def _key(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


def missing_facts(brief: Brief) -> tuple[str, ...]:
    """Give the facts that the use case needs and the brief does not hold (DESIGN 13.23), in the use case's order.

    A fact counts as given when one of the brief's facts has its key or one that means the same, when another
    field of the request says it (``landing_page`` is the URL, ``usp`` a key point), when a figure of its kind
    stands in the caller's words (a price, a date), or when those words name it.
    """
    required = brief.use_case.required_facts
    if not required:
        return ()
    held = {_key(fact.key) for fact in brief.facts}
    held |= {key.removesuffix("s") for key in held}
    source = ""
    missing = []
    for name in required:
        row = _rows().get(name, {})
        if any(key.removesuffix("s") in held for key in (name, *row.get("keys", ()))):
            continue
        if any(SOURCES[part](brief) for part in row.get("from", ())):
            continue
        source = source or brief.source_text.lower()
        if re.search(rf"(?<!\w){re.escape(name.replace('_', ' '))}(?!\w)", source):
            continue
        missing.append(name)
    return tuple(missing)
