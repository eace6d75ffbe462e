"""Editorial rules of platforms, read from ``data/rules/editorial.toml`` and compiled once each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from copykit.brief.brief import Brief
from copykit.data import load_toml
from copykit.drafts.draft import Draft
from copykit.drafts.lexicon import Lexicon
from copykit.drafts.look import Look
from copykit.errors import counted
from copykit.lazy import lazy
from copykit.models import Severity, Violation

__all__ = [
    "CODED",
    "EditorialRule",
    "editorial",
    "editorial_draft",
    "editorial_field",
    "editorial_text",
    "split",
]

_Spans = list[tuple[int, int]]


class EditorialRule(NamedTuple):
    """One rule of a platform or of a single field."""

    id: str
    description: str
    severity: Severity
    scope: str
    """text, field or draft: what is looked at together."""
    kind: str
    """pattern, characters, phrases, total, code or guidance."""
    gate: frozenset[str] | None
    """Characters of which at least one must occur for a break to be possible; None if any text may break it."""
    pattern: Any
    """Compiled by the third-party `regex`, or None."""
    phrases: tuple[Lexicon[str], ...]
    """Phrases as whole words, and those of scripts without word edges anywhere."""
    characters: str
    maximum: int
    unit: str
    exempt: str
    allow: frozenset[str]
    same_as: str
    source: str


# What a text must hold before a costly pattern is tried. A rule that is not named here is always tried;
# tests/test_check.py tries every pattern with and without its gate.
_DIGITS = "0123456789"
_GATES: dict[str, str] = {
    "google-punctuation": "!?！？,:;*#~.",
    "google-symbols": "•●○◦‣▪■□◆◇★☆✓✔✗✘✦✧♥♡►▶◀→←↑↓⇒⇨➔➜➤*"
    + "".join(map(chr, (*range(0x1D2C, 0x1D6B), *range(0x1D9B, 0x1DC0)))),
    "google-half-width-kana": "".join(map(chr, range(0xFF61, 0xFFA0))),
    "google-no-phone": _DIGITS,
    "google-tokens": "{",
    "microsoft-punctuation": "!?！？,:;*#~",
    "whatsapp-one-variable": "{",
    "whatsapp-variables": "{",
    "whatsapp-no-variables": "{*~`",
    "whatsapp-folded-lines": "\n",
    "hashtag-not-digits": "#",
    "linkedin-affiliation": "iI",
    "linkedin-three-links": "/",
    "linkedin-link-text": "<",
    "spark-four-lines": "\n",
    "youtube-chapters": ":",
    "pinterest-no-links": "/.",
    "tiktok-title-no-tags": "#",
    "amazon-title-decoration": "~#<>*",
    "amazon-highlights-fragments": ".!?。！？",
    "amazon-bullet-end": ".!?;:,。！？；：，、।",
    "amazon-no-html": "<&",
    "amazon-description-html": "<",
    "amazon-bullet-numbers": "123456789",
    "email-subject-punctuation": "!?.,;:…！？。，、；：·¡¿|-–—*#",
    "email-fake-reply": ":：",
    "sms-plain-characters": "“”„«»‘’‚–—…\u00a0\u202fç",
    "one-link": "/",
    "threads-one-topic": "#",
    "instagram-mentions": "@",
    "google-one-exclamation": "!！",
}
# Emoji patterns: only a text with a character above U+2000 can break them.
_PICTURES = frozenset(
    {
        "google-no-emoji",
        "tiktok-no-emoji",
        "snapchat-no-emoji",
        "amazon-bullet-emoji",
        "email-subject-emoji",
    }
)
# Letters spaced or dotted out, or mixed with digits: what a text must show before the long pattern runs.
_SPACED_OUT = lazy(r"(?<!\w)\w[.\-_* ]\w[.\-_* ]\w|[a-zß-ÿ][01345@$][a-zß-ÿ]")

_FOR_LETTERS = frozenset("01345@$")
# Rules that only a mark which stands twice can break.
_PAIRS = frozenset({"google-punctuation", "microsoft-punctuation"})

# Rules whose common twin is always checked; the platform's rule only makes it stricter.
_COMMON = frozenset({"M-03", "M-04", "M-14", "M-17", "M-22", "C-06", "C-19", "C-23", "L-02", "L-21"})


_UNSPACED = lazy(r"[\u0e01-\u0e4e\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


@cache
def editorial(name: str) -> EditorialRule:
    """Give the rule called *name*, compiled; KeyError if the data has none."""
    row = _rows()[name]
    kind: str = row["kind"]
    pattern = None
    if kind == "pattern":
        regex = import_module("regex")  # its property classes are what the rules are written in

        pattern = regex.compile(row["pattern"], regex.IGNORECASE if row.get("ignore_case") else 0)
    phrases: tuple[Lexicon[str], ...] = ()
    if kind == "phrases":
        listed = [phrase.lower() for phrase in row["phrases"]]
        unspaced = [phrase for phrase in listed if _UNSPACED.search(phrase)]
        worded = [phrase for phrase in listed if not _UNSPACED.search(phrase)]
        phrases = tuple(
            Lexicon(dict.fromkeys(some, name), spaced=spaced)
            for some, spaced in ((worded, True), (unspaced, False))
            if some
        )
    gate = row["characters"] if kind == "characters" else _GATES.get(name)
    return EditorialRule(
        id=name,
        description=row["description"],
        severity=row["severity"],
        scope=row["scope"],
        kind=kind,
        gate=frozenset(gate) if gate is not None else None,
        pattern=pattern,
        phrases=phrases,
        characters=row.get("characters", ""),
        maximum=row.get("max", 0),
        unit=row.get("unit", ""),
        exempt=row.get("exempt", ""),
        allow=frozenset(row.get("allow", ())),
        same_as=row.get("same_as", ""),
        source=row.get("source", ""),
    )


@cache
def _rows() -> dict[str, Any]:
    return load_toml("rules/editorial.toml")


def split(names: Sequence[str]) -> tuple[tuple[EditorialRule, ...], dict[str, Severity]]:
    """Part rule ids into those to run and the common rules that they only make stricter.

    Guidance is for the writer and is left out. An id that the data does not know raises KeyError.
    """
    run: list[EditorialRule] = []
    stricter: dict[str, Severity] = {}
    for name in names:
        rule = editorial(name)
        if rule.same_as in _COMMON:
            if rule.severity == "error":
                stricter[rule.same_as] = "error"
        elif rule.kind != "guidance":
            run.append(rule)
    return tuple(run), stricter


def _violation(rule: EditorialRule, label: str, what: str, **more: Any) -> Violation:
    return Violation.model_construct(
        rule=rule.id,
        field=label,
        severity=rule.severity,
        message=f"{what}: {rule.description[0].lower()}{rule.description[1:].rstrip('.')}",
        measured=more.get("measured"),
        limit=more.get("limit"),
        unit=more.get("unit"),
        span=more.get("span"),
        source=rule.source or None,
    )


def editorial_text(rule: EditorialRule, look: Look, brief: Brief) -> Violation | None:
    """Check one text against *rule*."""
    if rule.gate is not None and rule.gate.isdisjoint(look.chars):
        return None
    if rule.id in _PICTURES and (look.ascii or max(look.chars) < "\u2000"):
        return None
    if rule.id == "google-lookalike-letters" and not (
        (look.gappy or not look.chars.isdisjoint(_FOR_LETTERS)) and _SPACED_OUT.search(look.text)
    ):
        return None
    if rule.id in _PAIRS and rule.gate is not None:
        text = look.text
        if not any(text.count(mark) > 1 for mark in look.chars & rule.gate):
            return None
    spans = _spans(rule, look, brief)
    if len(spans) <= rule.maximum:
        return None
    start, end = spans[rule.maximum]
    said = look.text[start:end]
    return _violation(
        rule,
        look.label,
        repr(said) if said else "the text",
        measured=len(spans) if rule.maximum else None,
        limit=rule.maximum or None,
        span=(start, end),
    )


def _spans(rule: EditorialRule, look: Look, brief: Brief) -> _Spans:
    text = look.text
    if rule.pattern is not None:
        spans = [found.span() for found in rule.pattern.finditer(text)]
    elif rule.phrases:
        spans = [(start, end) for some in rule.phrases for _, _, start, end in some.find(look.lower)]
    elif rule.kind == "characters":
        if look.chars.isdisjoint(rule.characters):
            return []
        if rule.maximum:
            return next(
                (
                    [(i, i + 1) for i, c in enumerate(text) if c == mark]
                    for mark in rule.characters
                    if text.count(mark) > rule.maximum
                ),
                [],
            )
        spans = [(i, i + 1) for i, c in enumerate(text) if c in rule.characters]
    elif rule.kind == "code":
        check = _TEXT_RULES.get(rule.id)
        return check(look, brief) if check is not None else []
    else:
        return []
    if spans and (rule.allow or rule.exempt == "brief"):
        spans = [span for span in spans if not _excused(rule, text, span, brief)]
    return spans


def _excused(rule: EditorialRule, text: str, span: tuple[int, int], brief: Brief) -> bool:
    said = text[span[0] : span[1]].strip()
    if said in rule.allow:
        return True
    if rule.exempt != "brief" or not said:
        return False
    for own in (brief.name, brief.brand.name, *brief.brand.terms):
        # only where it holds the whole span
        if own and own in text[max(0, span[1] - len(own)) : span[0] + len(own)]:
            return True
    return False


def _business_name(look: Look, brief: Brief) -> _Spans:
    own = {name.casefold() for name in (brief.brand.name, brief.name) if name}
    return [] if not own or look.text.casefold() in own else [(0, len(look.text))]


def _brand_first(look: Look, brief: Brief) -> _Spans:
    own = brief.brand.name or brief.name
    return [] if not own or look.lower.startswith(own.lower()) else [(0, 0)]


def _repeats_app(look: Look, brief: Brief) -> _Spans:
    own = brief.brand.name.lower()
    at = look.lower.find(own) if own else -1
    return [(at, at + len(own))] if at >= 0 else []


def _title_repetition(look: Look, brief: Brief) -> _Spans:
    from copykit.drafts.wording import wording_of

    small = wording_of(brief.language).function_words
    counts: dict[str, int] = {}
    for word in look.words:
        if word not in small and not word.isdigit():
            counts[word] = counts.get(word, 0) + 1
            if counts[word] > 2:
                at = look.lower.rfind(word)
                return [(at, at + len(word))] * 3
    return []


_TESTIMONIAL = lazy(r"[“«„\"「]([^”»“\"」]{12,})[”»“\"」](?!\s*(?:[-–—(]|by |von |de |par |di ))")


def _testimonial(look: Look, brief: Brief) -> _Spans:
    return [
        found.span() for found in _TESTIMONIAL.finditer(look.text) if found.group(1) not in brief.source_text
    ]


# The coarse words only: a list for the twelve languages of the phrase bank. Own list (house), 2026-11.
_PROFANITY = Lexicon(
    dict.fromkeys(
        [
            "fuck*",
            "shit*",
            "bullshit",
            "asshole*",
            "bitch*",
            "cunt*",
            "motherfuck*",
            "dickhead*",
            "mierda",
            "joder*",
            "coño",
            "gilipollas",
            "puta*",
            "cabrón",
            "cabron",
            "merde",
            "putain",
            "connard*",
            "salope*",
            "enculé*",
            "scheiße",
            "scheiss*",
            "arschloch*",
            "fotze",
            "wichser*",
            "caralho*",
            "porra",
            "merda*",
            "foda*",
            "puta",
            "cazzo*",
            "vaffanculo",
            "stronz*",
            "coglion*",
            "kut",
            "klootzak*",
            "kanker*",
            "kurwa*",
            "chuj*",
            "pierdol*",
            "jebać",
        ],
        "profanity",
    )
)


def _profanity(look: Look, brief: Brief) -> _Spans:
    own = f"{brief.name} {brief.brand.name}".lower()
    return [(s, e) for _, _, s, e in _PROFANITY.find(look.lower) if look.lower[s:e] not in own]


_TEXT_RULES: dict[str, Callable[[Look, Brief], _Spans]] = {
    "google-business-name": _business_name,
    "meta-no-profanity": _profanity,
    "amazon-title-repetition": _title_repetition,
    "google-play-testimonial": _testimonial,
    "sms-brand-first": _brand_first,
    "push-app-name": _repeats_app,
}


def editorial_field(rule: EditorialRule, name: str, texts: Sequence[str], brief: Brief) -> Violation | None:
    """Check all items of one field together against *rule*."""
    from copykit.drafts.measure import measure

    if not texts:
        return None
    tag = brief.language.tag
    if rule.kind == "total":
        size = measure(" ".join(texts), rule.unit, language=tag)
        if size > rule.maximum:
            return _violation(
                rule, name, f"{size:g} together", measured=size, limit=rule.maximum, unit=rule.unit
            )
    elif rule.id in _SHORTEST:
        if any(len(text) <= rule.maximum and text.isascii() for text in texts):
            return None  # an ASCII text is as wide as it is long
        shortest = min(measure(text, rule.unit, language=tag) for text in texts)
        if shortest > rule.maximum:
            return _violation(
                rule,
                name,
                f"the shortest takes {shortest:g}",
                measured=shortest,
                limit=rule.maximum,
                unit=rule.unit,
            )
    return None


def editorial_draft(
    rule: EditorialRule, draft: Draft, fields: frozenset[str], brief: Brief
) -> Violation | None:
    """Check the texts of *fields*, those that carry *rule*, together."""
    check = _DRAFT_RULES.get(rule.id)
    if check is not None:
        return check(rule, draft, brief)
    if rule.kind == "total":
        return _total(rule, draft, fields, brief)
    if rule.pattern is None:
        return None
    count = 0
    last = ""
    for label, name, _, text in draft.items():
        if name in fields and (rule.gate is None or not rule.gate.isdisjoint(text)):
            hits = len(rule.pattern.findall(text))
            count += hits
            last = label if hits else last
    if count <= rule.maximum:
        return None
    return _violation(rule, last, f"{count} in all", measured=count, limit=rule.maximum)


def _total(rule: EditorialRule, draft: Draft, fields: frozenset[str], brief: Brief) -> Violation | None:
    """Measure the texts of *fields* as the post holds them: one after the other, a space between."""
    from copykit.drafts.measure import measure

    tags = {spec.name for spec in brief.fields if spec.role == "hashtags"}
    texts = [
        f"#{text}" if name in tags and not text.startswith(("#", "＃")) else text
        for _, name, _, text in draft.items()
        if name in fields
    ]
    # No unit gives a code point more than two: a short post needs no measuring.
    if 2 * sum(len(text) + 1 for text in texts) <= rule.maximum:
        return None
    size = measure(" ".join(texts), rule.unit, language=brief.language.tag)
    if size <= rule.maximum:
        return None
    return _violation(rule, "", f"{size:g} together", measured=size, limit=rule.maximum, unit=rule.unit)


def _first(draft: Draft, name: str) -> str:
    value = draft.fields.get(name, "")
    return value if isinstance(value, str) else next(iter(value), "")


def _path_order(rule: EditorialRule, draft: Draft, brief: Brief) -> Violation | None:
    return (
        _violation(rule, "path2", "path1 is empty")
        if _first(draft, "path2") and not _first(draft, "path1")
        else None
    )


def _distinct_links(rule: EditorialRule, draft: Draft, brief: Brief) -> Violation | None:
    from copykit.drafts.look import URL

    links = {
        found.group().rstrip(".,;:!?") for _, _, _, text in draft.items() for found in URL.finditer(text)
    }
    if len(links) <= rule.maximum:
        return None
    return _violation(rule, "text", counted(len(links), "link"), measured=len(links), limit=rule.maximum)


def _domain(url: str) -> str:
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", url.strip().lower()).split("/")[0].split("?")[0]


def _same_domain(rule: EditorialRule, draft: Draft, brief: Brief) -> Violation | None:
    shown, real = _domain(_first(draft, "display_url")), _domain(_first(draft, "destination_url"))
    if shown and real and shown != real:
        return _violation(rule, "display_url", f"{shown!r} is not {real!r}")
    return None


def _search_terms(rule: EditorialRule, draft: Draft, brief: Brief) -> Violation | None:
    value = draft.fields.get("search_terms", "")
    terms = value if isinstance(value, str) else " ".join(value)
    title = set(_first(draft, "title").lower().split())
    brands = {w.lower() for w in (brief.brand.name, *brief.brand.terms) if w}
    if terms != terms.lower():
        return _violation(rule, "search_terms", "capitals")
    if re.search(r"[,;.!?:]", terms):
        return _violation(rule, "search_terms", "punctuation")
    repeated = sorted((title | brands) & set(terms.split()))
    return _violation(rule, "search_terms", f"{repeated[0]!r} is said elsewhere") if repeated else None


def _keywords_repeat(rule: EditorialRule, draft: Draft, brief: Brief) -> Violation | None:
    value = draft.fields.get("keywords", "")
    keywords = {w.strip().lower() for w in (value if isinstance(value, str) else ",".join(value)).split(",")}
    shown = set(f"{_first(draft, 'name')} {_first(draft, 'subtitle')}".lower().replace(":", " ").split())
    repeated = sorted(keywords & shown)
    return _violation(rule, "keywords", f"{repeated[0]!r} is said elsewhere") if repeated else None


_DRAFT_RULES: dict[str, Callable[[EditorialRule, Draft, Brief], Violation | None]] = {
    "google-path-order": _path_order,
    "threads-links": _distinct_links,
    "reddit-same-domain": _same_domain,
    "amazon-search-terms": _search_terms,
    "app-store-keywords-repeat": _keywords_repeat,
}
_SHORTEST = frozenset({"google-short-headline", "google-short-description"})

CODED = frozenset({*_TEXT_RULES, *_DRAFT_RULES, *_SHORTEST})
"""Ids of the rules that are written out here, beside those that the data alone describes."""
