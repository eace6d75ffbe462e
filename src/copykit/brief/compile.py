"""Resolve a request against the catalogue: request in, complete `Brief` out, or InvalidRequest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from copykit.brief import catalog
from copykit.brief.brief import Brief, Fact
from copykit.brief.catalog import FieldSpec, Language, Limit, Placement
from copykit.brief.clean import plain_text, refuse_controls
from copykit.brief.extract import extract
from copykit.brief.ledger import Ledger
from copykit.brief.money import local_amount
from copykit.brief.naming import head_of, without_variant
from copykit.errors import InvalidRequest, nearest_names
from copykit.models import Brand, CopywritingInput, FieldOverride

if TYPE_CHECKING:
    from copykit.brief.restrictions import Restriction

__all__ = ["MAX_DESCRIPTION", "compile_brief"]

MAX_DESCRIPTION = 20_000
"""Code points of a description (DESIGN 13.23)."""

_MAX_SHORT = 500
_MAX_ITEMS = 50
_MAX_URL = 2_000
_MAX_TERMS = 10_000
"""Entries of one list of the brand: a shop's whole list of competitors fits."""
_AT_LEAST_CODE_POINTS = ("cp", "u16", "dw", "xw")
"""Units by which a text without links never counts less than its code points."""
_ADDRESS = re.compile(r"https?://[^\s/?#.]+(?:\.[^\s/?#.]+)*(?::\d+)?(?:[/?#]\S*)?", re.IGNORECASE)
_NO_BRAND = Brand()


def compile_brief(request: CopywritingInput) -> Brief:
    """Resolve names, clean the caller's words, take the description apart and compile the restrictions.

    Pure and deterministic. The language need not be one the phrase bank speaks.

    Raises:
        InvalidRequest: an unknown platform, tone, language, use case or field (with the nearest valid
            name), an empty or oversized text, control characters, or restrictions that contradict the brief.
    """
    placement = catalog.placement(request.target_platform)
    language = catalog.language(request.language)
    tone = catalog.tone(request.tone)
    use_case = catalog.use_case(request.use_case or placement.use_case)
    description = _required("product_description", request.product_description)
    name = _short("product_name", request.product_name)
    points = _many("key_points", request.key_points)
    facts = _facts(request.facts)
    brand = _brand(request.brand)
    audience = _short("target_audience", request.target_audience)
    fields = _fields(placement, request.fields, language)
    cta = _short("call_to_action", request.call_to_action)
    _fits_somewhere("call_to_action", cta, placement.id, fields)
    url = _url(request.url)
    keywords = _many("keywords", request.keywords)
    _checked("instructions", request.instructions or "", MAX_DESCRIPTION)
    _personalization(request.personalization)
    base = language.tag.partition("-")[0]
    name, variant = without_variant(name)
    found = extract(description, name or brand.name, base)
    source = [
        description,
        f"{name}-{variant}" if variant else name,
        brand.name,
        *points,
        *(f.value for f in facts),
        audience,
        cta,
        url,
        *keywords,
    ]
    source += [*request.personalization.values(), *(f.text for f in request.fields.values() if f.text)]
    texts = tuple(text for text in source if text)
    asked = _many("restrictions", request.restrictions)
    restrictions: tuple[Restriction, ...] = ()
    if asked or brand.competitors or brand.banned_terms:
        from copykit.brief.restrictions import compile_restrictions, contradictions  # most briefs have none

        restrictions = compile_restrictions(asked, language=language, brand=brand, name=found.name)
        contradictions(restrictions, key_points=points, name=found.name, call_to_action=cta)
    return Brief(
        request=request,
        placement=placement,
        fields=fields,
        language=language,
        tone=tone,
        use_case=use_case,
        structure=catalog.structure(use_case.structures[0]),
        name=found.name,
        item=found.item or head_of(found.name, base) or _category(facts, found.name),
        attributes=found.attributes,
        points=points,
        sentences=found.sentences,
        facts=(*facts, Fact("variant", variant)) if variant else facts,
        audience=audience,
        cta=cta,
        url=url,
        keywords=keywords,
        brand=brand,
        restrictions=restrictions,
        ledger=Ledger.build(
            (*texts, *found.attributes, *(local_amount(f.value, language) for f in facts)), language
        ),
        source_text="\n".join(texts),
    )


def _checked(field: str, text: str, longest: int) -> None:
    """Refuse *text* that is too long or holds control characters."""
    if len(text) > longest:
        raise InvalidRequest(field, text[:60], f"{len(text):,} characters, at most {longest:,}")
    refuse_controls(field, text)


def _required(field: str, text: str) -> str:
    _checked(field, text, MAX_DESCRIPTION)
    clean = plain_text(text)
    if not any(c.isalnum() for c in clean):
        raise InvalidRequest(field, text, "must say what is sold; it holds no letter or digit")
    return clean


def _short(field: str, text: str | None, longest: int = _MAX_SHORT) -> str:
    if not text:
        return ""
    _checked(field, text, longest)
    return " ".join(plain_text(text).split())


def _many(field: str, texts: Iterable[str]) -> tuple[str, ...]:
    result = tuple(dict.fromkeys(filter(None, (_short(field, text) for text in texts))))
    if len(result) > _MAX_ITEMS:
        raise InvalidRequest(field, f"{len(result)} entries", f"at most {_MAX_ITEMS}")
    return result


def _facts(facts: dict[str, str | int | float]) -> tuple[Fact, ...]:
    if len(facts) > _MAX_ITEMS:
        raise InvalidRequest("facts", f"{len(facts)} entries", f"at most {_MAX_ITEMS}")
    result = []
    for name, value in facts.items():
        key = _short("facts", name)
        if not key:
            raise InvalidRequest("facts", name, "a fact needs a name, e.g. price")
        _checked(f"facts.{key[:60]}", str(value), MAX_DESCRIPTION)
        text = " ".join(plain_text(str(value)).split())
        if text:
            result.append(Fact(key, text))
    return tuple(result)


def _brand(brand: Brand | None) -> Brand:
    if brand is None:
        return _NO_BRAND
    _checked("brand.name", brand.name, _MAX_SHORT)
    for field in ("terms", "banned_terms", "competitors"):
        terms: list[str] = getattr(brand, field)
        if len(terms) > _MAX_TERMS:
            raise InvalidRequest(f"brand.{field}", f"{len(terms)} entries", f"at most {_MAX_TERMS:,}")
        for term in terms:
            _checked(f"brand.{field}", term, _MAX_SHORT)
    return brand


def _personalization(tokens: dict[str, str]) -> None:
    if len(tokens) > _MAX_ITEMS:
        raise InvalidRequest("personalization", f"{len(tokens)} entries", f"at most {_MAX_ITEMS}")
    for key, value in tokens.items():
        _checked("personalization", key, _MAX_SHORT)
        _checked(f"personalization.{key[:60]}", value, _MAX_SHORT)


def _fits_somewhere(field: str, text: str, where: str, fields: tuple[FieldSpec, ...]) -> None:
    """Refuse *text* that is longer than any field takes: used as it is, it would never appear."""
    bounds = [
        min(
            (limit.hard for limit in spec.limits if limit.hard and limit.unit in _AT_LEAST_CODE_POINTS),
            default=None,
        )
        for spec in fields
        if spec.role not in ("path", "url", "identifier", "info")
    ]
    longest = max((bound for bound in bounds if bound is not None), default=None)
    if None not in bounds and longest is not None and len(text) > longest and "://" not in text:
        raise InvalidRequest(
            field, text, f"{len(text)} characters; no field of {where} takes more than {longest:g}"
        )


def _url(url: str | None) -> str:
    text = _short("url", url, _MAX_URL)
    if text and not _ADDRESS.fullmatch(text):
        raise InvalidRequest("url", text, "must be one http(s) address with a host and without spaces")
    return text


def _category(facts: tuple[Fact, ...], name: str) -> str:
    """Take the catalogue's category for the item when neither description nor name says what it is."""
    found = next((f.value for f in facts if f.key == "category"), "")
    return found if len(name.split()) <= 1 and len(found.split()) <= 6 else ""


def _fields(
    placement: Placement, overrides: dict[str, FieldOverride], language: Language
) -> tuple[FieldSpec, ...]:
    for name, override in overrides.items():
        if all(spec.name != name for spec in placement.fields):
            known = [spec.name for spec in placement.fields]
            raise InvalidRequest(
                f"fields.{name}",
                name,
                f"{placement.id} has no such field; it has {', '.join(known)}",
                nearest=nearest_names(name, known),
            )
        _checked(f"fields.{name}.text", override.text or "", MAX_DESCRIPTION)
    region = catalog.region_of(language.tag)
    return tuple(_field(spec, overrides.get(spec.name), region) for spec in placement.fields)


def _field(spec: FieldSpec, override: FieldOverride | None, region: str | None) -> FieldSpec:
    limits = tuple(limit for limit in spec.limits if _holds_in(limit, region))
    if override is None:
        return spec if len(limits) == len(spec.limits) else replace(spec, limits=limits)
    if override.limit is not None:
        limits = tuple(_tighter(limit, override.limit) for limit in limits) or (_callers(override.limit),)
    if override.count is None:
        return replace(spec, limits=limits)
    if not spec.min_count <= override.count <= spec.max_count:
        raise InvalidRequest(
            f"fields.{spec.name}.count",
            override.count,
            f"the platform takes {spec.min_count} to {spec.max_count}",
        )
    return replace(spec, limits=limits, default_count=override.count)


def _holds_in(limit: Limit, region: str | None) -> bool:
    if limit.regions:
        return region in limit.regions
    return region is None or region not in limit.exempt_regions


def _tighter(limit: Limit, bound: int) -> Limit:
    hard = bound if limit.hard is None else min(limit.hard, bound)
    best = None if limit.rec_max is None else min(limit.rec_max, hard)
    low = None if limit.rec_min is None or limit.rec_min > hard else limit.rec_min
    return replace(limit, hard=hard, rec_max=best, rec_min=low, confidence="A", source="brief")


def _callers(bound: int) -> Limit:
    return Limit(
        unit="cp",
        hard=bound,
        rec_min=None,
        rec_max=None,
        confidence="A",
        source="brief",
        source_date="",
        on_exceed="reject",
        valid_from=None,
        regions=(),
        exempt_regions=(),
        note="",
    )
