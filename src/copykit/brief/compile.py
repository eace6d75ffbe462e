"""Resolve a request against the catalogue: request in, complete `Brief` out, or InvalidRequest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from copykit.brief import catalog
from copykit.brief.brief import Brief, Fact
from copykit.brief.catalog import FieldSpec, Language, Limit, Placement
from copykit.brief.clean import plain_text, refuse_controls
from copykit.brief.extract import extract
from copykit.brief.han import is_traditional, names_both_scripts
from copykit.brief.ledger import Ledger
from copykit.brief.merge import refuse_unfilled
from copykit.brief.money import local_amount
from copykit.brief.naming import head_of, without_variant
from copykit.brief.subject import subject_of
from copykit.brief.values import plain_name, plain_value, unescaped
from copykit.errors import InvalidRequest, counted, nearest_names
from copykit.models import Brand, CopywritingInput, FieldOverride

if TYPE_CHECKING:
    from copykit.brief.restrictions import Restriction

__all__ = ["MAX_DESCRIPTION", "MAX_ITEMS", "MAX_SHORT", "MAX_TERMS", "MAX_URL", "compile_brief"]

MAX_DESCRIPTION = 20_000
"""Code points of a description (DESIGN 13.23)."""

MAX_SHORT = 500
MAX_ITEMS = 50
MAX_URL = 2_000
MAX_TERMS = 10_000
"""Entries of one list of the brand: a shop's whole list of competitors fits."""
_AT_LEAST_CODE_POINTS = ("cp", "u16", "dw", "xw")
"""Units by which a text without links never counts less than its code points."""
_ADDRESS = re.compile(r"https?://[^\s/?#.]+(?:\.[^\s/?#.]+)*(?::\d+)?(?:[/?#]\S*)?", re.IGNORECASE)
_NO_BRAND = Brand()
_FILLED_IN = ("url", "personalization")
"""Fields of the request in which a placeholder is no mistake: a tracking template, what is filled in elsewhere."""


def compile_brief(request: CopywritingInput) -> Brief:
    """Resolve names, clean the caller's words, take the description apart and compile the restrictions.

    Pure and deterministic. The language need not be one the phrase bank speaks.

    Raises:
        InvalidRequest: an unknown platform, tone, language, use case or field (with the nearest valid
            name), an empty or oversized text, control characters, a placeholder that nobody will fill in, or
            restrictions that contradict the brief.
    """
    placement = catalog.placement(request.target_platform)
    language = _language(request)
    tone = catalog.tone(request.tone)
    use_case = catalog.use_case(placement.use_case if request.use_case is None else request.use_case)
    region = catalog.region_of(request.language) or catalog.region_of(language.tag)
    fields = _fields(placement, request.fields, region)
    base = language.tag.partition("-")[0]
    words = _words(request, base)
    _fits_somewhere("call_to_action", words.cta, placement.id, fields)
    stated = words.stated()
    refuse_unfilled(
        (pair for pair in stated if pair[0] not in _FILLED_IN), placement, request.personalization
    )
    found = extract(words.description, words.name or words.brand.name, base)
    source = tuple(text for _, text in stated)
    amounts = (local_amount(fact.value, language) for fact in words.facts)
    return Brief(
        request=request,
        placement=placement,
        fields=fields,
        language=language,
        tone=tone,
        use_case=use_case,
        structure=catalog.structure(use_case.structures[0]),
        name=found.name,
        item=found.item
        or head_of(found.name, base)
        or _category(words.facts, found.name)
        or _subject(words.description, found.name, base),
        attributes=found.attributes,
        points=words.points,
        sentences=found.sentences,
        facts=(*words.facts, Fact("variant", words.variant)) if words.variant else words.facts,
        audience=words.audience,
        cta=words.cta,
        url=words.url,
        keywords=words.keywords,
        brand=words.brand,
        restrictions=_restrictions(words, language, found.name),
        ledger=Ledger.build((*source, *found.attributes, *amounts), language),
        source_text="\n".join(source),
        info=tuple(_remarks(request, words, language)),
    )


class _Words(NamedTuple):
    """The caller's words, cleaned and within their bounds."""

    description: str
    name: str
    variant: str
    """What the name says of this one of several: ``oak`` of ``Norr - oak``."""
    points: tuple[str, ...]
    facts: tuple[Fact, ...]
    brand: Brand
    audience: str
    cta: str
    url: str
    keywords: tuple[str, ...]
    restrictions: tuple[str, ...]
    tokens: tuple[str, ...]
    """Longest values of merge tokens."""
    overrides: tuple[tuple[str, str], ...]
    """Texts that the caller gives for fields of the placement, each with its name."""

    def stated(self) -> tuple[tuple[str, str], ...]:
        """Give what copy may state: field of the request and text, those that are not empty."""
        pairs = (
            ("product_description", self.description),
            ("product_name", f"{self.name}-{self.variant}" if self.variant else self.name),
            ("brand.name", self.brand.name),
            *(("key_points", point) for point in self.points),
            *((f"facts.{fact.key}", fact.value) for fact in self.facts),
            ("target_audience", self.audience),
            ("call_to_action", self.cta),
            ("url", self.url),
            *(("keywords", keyword) for keyword in self.keywords),
            *(("personalization", value) for value in self.tokens),
            *((f"fields.{name}.text", text) for name, text in self.overrides),
        )
        return tuple(pair for pair in pairs if pair[1])


def _language(request: CopywritingInput) -> Language:
    """Give the language asked for; plain ``zh`` names both ways of writing, so the caller's own words decide."""
    if names_both_scripts(request.language):
        stated = (request.product_name or "", *request.key_points, *map(str, request.facts.values()))
        if is_traditional((request.product_description[:MAX_DESCRIPTION], *stated)):
            return catalog.language("zh-Hant")
    return catalog.language(request.language)


def _words(request: CopywritingInput, base: str) -> _Words:
    _checked("instructions", request.instructions or "", MAX_DESCRIPTION)
    _personalization(request.personalization)
    brand = _brand(request.brand)
    given = _short("product_name", request.product_name)
    whole = plain_name(given, base, (brand.name, *brand.terms))
    name, variant = without_variant(whole)
    description = unescaped(_required("product_description", request.product_description), base)
    calmed = unescaped(given, base)
    if description == calmed or (whole != calmed and whole.casefold() == calmed.casefold()):
        description = description.replace(calmed, whole)
    return _Words(
        description=description,
        name=name,
        variant=variant,
        points=tuple(unescaped(point, base) for point in _many("key_points", request.key_points)),
        facts=_facts(request.facts, base),
        brand=brand,
        audience=_short("target_audience", request.target_audience),
        cta=_short("call_to_action", request.call_to_action),
        url=_url(request.url),
        keywords=_many("keywords", request.keywords),
        restrictions=_many("restrictions", request.restrictions),
        tokens=tuple(request.personalization.values()),
        overrides=tuple((name, override.text or "") for name, override in request.fields.items()),
    )


def _restrictions(words: _Words, language: Language, name: str) -> tuple[Restriction, ...]:
    brand = words.brand
    if not (words.restrictions or brand.competitors or brand.banned_terms):
        return ()
    from copykit.brief.restrictions import compile_restrictions, contradictions  # most briefs have none

    restrictions = compile_restrictions(words.restrictions, language=language, brand=brand, name=name)
    contradictions(restrictions, key_points=words.points, name=name, call_to_action=words.cta)
    return restrictions


def _remarks(request: CopywritingInput, words: _Words, language: Language) -> Iterator[str]:
    """Say what was understood otherwise than it was written, or has no effect."""
    asked = request.language.strip()
    if names_both_scripts(asked) and language.tag == "zh-Hant":
        yield f"{asked} is served as {language.tag}: the product's own words are in Traditional characters"
    elif not catalog.is_the_same(asked, language):
        yield f"{asked} is served as {language.tag}"
    if len(words.facts) < len(request.facts):
        for name, value in request.facts.items():
            if not plain_text(str(value)):
                yield f"facts.{name} is empty and has no effect"
            elif all(fact.key != " ".join(plain_text(name).split()) for fact in words.facts):
                yield f"facts.{name} is no more than a note and has no effect"
    given = request.product_name or ""
    if words.name not in given and words.name.casefold() in given.casefold():
        yield "product_name is in capitals throughout and was calmed; brand.terms keeps a spelling"
    for field, entries, kept in (
        ("key_points", request.key_points, words.points),
        ("keywords", request.keywords, words.keywords),
        ("restrictions", request.restrictions, words.restrictions),
    ):
        if len(kept) < len(entries) and not all(map(plain_text, entries)):
            yield f"{field} holds an empty entry, which has no effect"


def _checked(field: str, text: str, longest: int) -> None:
    """Refuse *text* that is too long or holds control characters."""
    if len(text) > longest:
        raise InvalidRequest(field, text[:60], f"{counted(len(text), 'character')}, at most {longest:,}")
    refuse_controls(field, text)


def _required(field: str, text: str) -> str:
    _checked(field, text, MAX_DESCRIPTION)
    clean = plain_text(text)
    if not any(c.isalnum() for c in clean):
        raise InvalidRequest(field, text, "must say what is sold; it holds no letter or digit")
    return clean


def _short(field: str, text: str | None, longest: int = MAX_SHORT) -> str:
    if not text:
        return ""
    _checked(field, text, longest)
    return " ".join(plain_text(text).split())


def _many(field: str, texts: Iterable[str]) -> tuple[str, ...]:
    result = tuple(dict.fromkeys(filter(None, (_short(field, text) for text in texts))))
    if len(result) > MAX_ITEMS:
        raise InvalidRequest(field, f"{len(result)} entries", f"at most {MAX_ITEMS}")
    return result


def _facts(facts: dict[str, str | int | float], base: str) -> tuple[Fact, ...]:
    if len(facts) > MAX_ITEMS:
        raise InvalidRequest("facts", f"{len(facts)} entries", f"at most {MAX_ITEMS}")
    result = []
    for name, value in facts.items():
        key = _short("facts", name)
        if not key:
            raise InvalidRequest("facts", name, "a fact needs a name, e.g. price")
        _checked(f"facts.{key[:60]}", str(value), MAX_DESCRIPTION)
        text = plain_value(key, " ".join(plain_text(str(value)).split()), base)
        if text:
            result.append(Fact(key, text))
    return tuple(result)


def _brand(brand: Brand | None) -> Brand:
    if brand is None:
        return _NO_BRAND
    _checked("brand.name", brand.name, MAX_SHORT)
    for field in ("terms", "banned_terms", "competitors"):
        terms: list[str] = getattr(brand, field)
        if len(terms) > MAX_TERMS:
            raise InvalidRequest(f"brand.{field}", f"{len(terms)} entries", f"at most {MAX_TERMS:,}")
        for term in terms:
            _checked(f"brand.{field}", term, MAX_SHORT)
    return brand


def _personalization(tokens: dict[str, str]) -> None:
    if len(tokens) > MAX_ITEMS:
        raise InvalidRequest("personalization", f"{len(tokens)} entries", f"at most {MAX_ITEMS}")
    for key, value in tokens.items():
        _checked("personalization", key, MAX_SHORT)
        if not key.strip():
            raise InvalidRequest("personalization", key, "a token needs a name, e.g. first_name")
        _checked(f"personalization.{key[:60]}", value, MAX_SHORT)


def _fits_somewhere(field: str, text: str, where: str, fields: tuple[FieldSpec, ...]) -> None:
    """Refuse *text* that is longer than any field takes: used as it is, it would never appear."""
    if not text or "://" in text:
        return
    bounds = [
        min(
            (limit.hard for limit in spec.limits if limit.hard and limit.unit in _AT_LEAST_CODE_POINTS),
            default=None,
        )
        for spec in fields
        if spec.role not in ("path", "url", "identifier", "info")
    ]
    longest = max((bound for bound in bounds if bound is not None), default=None)
    if None not in bounds and longest is not None and len(text) > longest:
        raise InvalidRequest(
            field, text, f"{len(text)} characters; no field of {where} takes more than {longest:g}"
        )


def _url(url: str | None) -> str:
    text = _short("url", url, MAX_URL)
    if text and not _ADDRESS.fullmatch(text):
        raise InvalidRequest("url", text, "must be one http(s) address with a host and without spaces")
    return text


def _subject(description: str, name: str, base: str) -> str:
    """Take what the sentences of the description speak of, unless the name has said it."""
    item = subject_of(description, base)
    low = name.casefold()
    return "" if item.casefold() in low or (low and low in item.casefold()) else item


def _category(facts: tuple[Fact, ...], name: str) -> str:
    """Take the catalogue's category for the item when neither description nor name says what it is."""
    found = next((f.value for f in facts if f.key == "category"), "")
    return found if len(name.split()) <= 1 and len(found.split()) <= 6 else ""


def _fields(
    placement: Placement, overrides: dict[str, FieldOverride], region: str | None
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
