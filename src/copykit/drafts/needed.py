"""Facts that a use case needs and the brief lacks; what the caller asked to say and no field says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from copykit.brief.brief import Brief
from copykit.data import load_toml
from copykit.drafts.draft import Draft
from copykit.errors import excerpt

__all__ = ["SOURCES", "missing_facts", "unsaid"]

_STOPS = ".。।"
_MARKS = re.compile(r"[\W_]+")
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


def unsaid(brief: Brief, drafts: Sequence[Draft]) -> list[str]:
    """Give a remark for each thing the caller asked for that *drafts* do not give.

    Looked for are the name, the call to action, the keywords (spaces apart, as hashtags join them) and the audience, each
    in any field of any draft, and that no two drafts are the same.
    """
    written = " ".join([text for draft in drafts for _, _, _, text in draft.items()])
    said = ""
    asked = [("product_name", brief.name), ("call_to_action", brief.cta.rstrip(_STOPS))]
    asked.append(("target_audience", brief.audience))
    asked += [("keywords", keyword) for keyword in brief.keywords]
    remarks = []
    for field, words in asked:
        if words and words not in written:
            said = said or _joined(written)
            if _joined(words) not in said:
                remarks.append(f"{field} {excerpt(words)} stands in no field of {brief.placement.id}")
    different = len({tuple(text for *_, text in draft.items()) for draft in drafts})
    if different < len(drafts):
        remarks.append(f"{_differing(different, len(drafts))}: {brief.placement.id} leaves room for no more")
    return remarks


def _differing(different: int, variants: int) -> str:
    return (
        f"all {variants} variants are the same"
        if different == 1
        else f"{different} of {variants} variants differ"
    )


def _joined(text: str) -> str:
    return _MARKS.sub("", text.casefold())


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
