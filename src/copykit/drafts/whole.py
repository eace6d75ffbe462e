"""Rules that need the whole draft: counts, repetition between texts, coverage, call to action, structure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

from copykit.accel import fuzzy
from copykit.brief.brief import Brief
from copykit.brief.catalog import FieldSpec, Placement
from copykit.drafts.brief_language import reads_otherwise
from copykit.drafts.coverage import covered
from copykit.drafts.draft import Draft
from copykit.drafts.editorial import EditorialRule, editorial_draft, editorial_field, split
from copykit.drafts.hollow import told_sentences
from copykit.drafts.look import Look, violation
from copykit.drafts.mechanics import HASHTAG, sentences
from copykit.drafts.wording import Wording
from copykit.errors import counted
from copykit.models import Severity, Violation

__all__ = ["similarity", "whole_draft"]

_SIMILAR = 0.80
_SMALL = 4
"""Tokens up to which only equal sets share more than `_SIMILAR`: four of five is exactly that."""
_LONG_WORDS = 60
_VERIFIED = frozenset("ABM")
_OPENING = frozenset({"headline", "long_headline", "subject", "name", "title", "overlay"})
_TELLING = frozenset({"body", "description"})
_CALLING = frozenset({"cta", "cta_choice"})
_FIXED = frozenset({"cta_choice", "url", "path", "identifier", "info"})
_LIGHT = frozenset({"humorous", "playful", "witty", "irreverent", "edgy"})
_GRAVE = frozenset({"crisis_statement"})


def whole_draft(
    draft: Draft,
    brief: Brief,
    looks: Sequence[tuple[FieldSpec, Look]],
    wording: Wording,
    *,
    missing: Sequence[str],
    written_by_model: bool,
) -> list[Violation]:
    """Check *draft* as a whole; *looks* are its texts with their fields, *missing* the facts the brief lacks."""
    found: list[Violation] = []
    texts: dict[str, list[Look]] = {}
    for spec, look in looks:
        texts.setdefault(spec.name, []).append(look)
    for spec in brief.fields:
        _count(spec, texts.get(spec.name, []), found)
    for spec in brief.fields:
        if spec.is_list and spec.role not in _FIXED and len(texts.get(spec.name, ())) > 1:
            _similar(texts[spec.name], wording.spaced, found)
    _between(brief, texts, wording, found)
    _tags(brief, looks, found)
    _coverage(brief, looks, found)
    _called(brief, looks, wording, found)
    _named(brief, looks, found)
    _structure(draft, brief, looks, found)
    if missing:
        found.append(
            violation(
                "B-01",
                "",
                f"for {brief.use_case.id} the brief lacks {', '.join(missing)}",
                measured=len(missing),
                source="brief",
            )
        )
    spoken = "" if written_by_model else reads_otherwise(brief)
    if spoken:
        base = brief.language.tag.partition("-")[0]
        found.append(
            violation(
                "B-02",
                "",
                f"the description reads as {spoken!r}, the copy is {base!r}",
                measured=spoken,
                limit=base,
            )
        )
    if brief.tone.id in _LIGHT and brief.use_case.id in _GRAVE:
        found.append(violation("T-02", "", f"the tone {brief.tone.id!r} does not suit {brief.use_case.id}"))
    _editorial(draft, brief, texts, found)
    if written_by_model and "merchant-ai-source" in _all_rules(brief):
        found.append(violation("C-23", "", "a model wrote this text"))
    return found


def _all_rules(brief: Brief) -> set[str]:
    return {*brief.placement.rules, *(rule for spec in brief.fields for rule in spec.rules)}


def _count(spec: FieldSpec, given: Sequence[Look], found: list[Violation]) -> None:
    count = len(given)
    if count == 0:
        if spec.required:
            found.append(violation("F-01", spec.name, "the field is missing"))
        return
    if count < spec.min_count:
        found.append(
            violation(
                "M-02",
                spec.name,
                f"{counted(count, 'item')}, at least {spec.min_count} needed: say more different things",
                measured=count,
                limit=spec.min_count,
            )
        )
    elif count > spec.max_count:
        found.append(
            violation(
                "M-02",
                spec.name,
                f"{counted(count, 'item')}, at most {spec.max_count} taken: drop some",
                measured=count,
                limit=spec.max_count,
            )
        )
    elif spec.rec_min_count is not None and count < spec.rec_min_count:
        found.append(
            violation(
                "M-02",
                spec.name,
                f"{counted(count, 'item')}, {spec.rec_min_count} advised: the brief may hold more to say",
                severity="info",
                measured=count,
                limit=spec.rec_min_count,
            )
        )
    elif spec.rec_max_count is not None and count > spec.rec_max_count:
        found.append(
            violation(
                "M-02",
                spec.name,
                f"{counted(count, 'item')}, {spec.rec_max_count} advised",
                severity="info",
                measured=count,
                limit=spec.rec_max_count,
            )
        )


def _tokens(look: Look, spaced: bool) -> frozenset[str]:
    if spaced:
        return frozenset(look.words)
    plain = "".join(look.words)
    return frozenset(plain[i : i + 2] for i in range(len(plain) - 1)) or frozenset(plain)


def similarity(a: frozenset[str], b: frozenset[str]) -> float:
    """Give the share of tokens that two texts have in common, 0..1 (Jaccard)."""
    return len(a & b) / len(a | b) if a and b else 0.0


def _alike(a: Look, b: Look, spaced: bool) -> float:
    """Give how far two texts say the same: the share of common words, or of common letters in their order."""
    return max(similarity(_tokens(a, spaced), _tokens(b, spaced)), fuzzy.similarity(a.lower, b.lower))


def _similar(given: Sequence[Look], spaced: bool, found: list[Violation]) -> None:
    """Report items that repeat an earlier item of the same list; each item at most once."""
    sets = [_tokens(look, spaced) for look in given]
    pairs: list[tuple[int, int, float]] = []
    first: dict[frozenset[str], int] = {}
    large = []
    for at, tokens in enumerate(sets):
        if len(tokens) > _SMALL:
            large.append(at)
        elif tokens and first.setdefault(tokens, at) != at:
            pairs.append((first[tokens], at, 1.0))
    for i, j in combinations(large, 2):
        # The share cannot pass the threshold when the sizes differ more: most pairs end here.
        a, b = len(sets[i]), len(sets[j])
        if min(a, b) > _SIMILAR * max(a, b):
            common = len(sets[i] & sets[j])
            if common > _SIMILAR * (a + b - common):
                pairs.append((i, j, common / (a + b - common)))
    told: set[int] = set()
    for i, j, share in sorted(pairs):
        if j in told:
            continue
        told.add(j)
        same = given[i].lower.strip(" .!?…。！？") == given[j].lower.strip(" .!?…。！？")
        severity: Severity = "error" if same else "warning"
        found.append(
            violation(
                "M-12",
                given[j].label,
                f"{'the same as' if same else 'nearly'} {given[i].label}",
                severity=severity,
                measured=round(share, 2),
                limit=_SIMILAR,
            )
        )


def _between(brief: Brief, texts: dict[str, list[Look]], wording: Wording, found: list[Violation]) -> None:
    subject, preheader = texts.get("subject"), texts.get("preheader")
    if subject and preheader:
        share = _alike(subject[0], preheader[0], wording.spaced)
        if share > 0.8:
            found.append(
                violation(
                    "C-19",
                    preheader[0].label,
                    "the preheader repeats the subject",
                    measured=round(share, 2),
                    limit=0.8,
                )
            )
    if brief.placement.independent:
        return
    opening = next((texts[s.name][0] for s in brief.fields if s.role in _OPENING and s.name in texts), None)
    body = next((texts[s.name][0] for s in brief.fields if s.role == "body" and s.name in texts), None)
    if opening is not None and body is not None and len(opening.words) > 1:
        first = next(iter(sentences(body.text)), "")
        share = _alike(opening, Look(first), wording.spaced)
        if share > 0.85:
            found.append(
                violation(
                    "C-18",
                    body.label,
                    f"the body begins with the words of {opening.label}",
                    measured=round(share, 2),
                    limit=0.85,
                )
            )


def _tags(brief: Brief, looks: Sequence[tuple[FieldSpec, Look]], found: list[Violation]) -> None:
    """Count hashtags over all texts, where more than one carries any: the platform counts the post."""
    policy = brief.placement.hashtags
    counts = [
        1 if spec.role == "hashtags" else len(HASHTAG.findall(look.text))
        for spec, look in looks
        if spec.role == "hashtags" or "#" in look.chars
    ]
    total = sum(counts)
    if len(counts) < 2 or policy.hard_max is None or total <= policy.hard_max:
        return
    severity: Severity = "error" if policy.confidence in _VERIFIED else "warning"
    found.append(
        violation(
            "M-22",
            "",
            f"{counted(total, 'hashtag')} in all",
            severity=severity,
            measured=total,
            limit=policy.hard_max,
            source=policy.source,
        )
    )


def _coverage(brief: Brief, looks: Sequence[tuple[FieldSpec, Look]], found: list[Violation]) -> None:
    if not brief.points:
        return
    # A hashtag only files the post under a word: it does not say the point.
    text = "\n".join(
        HASHTAG.sub(" ", look.text) if "#" in look.chars else look.text
        for spec, look in looks
        if spec.role not in _FIXED and spec.role != "hashtags"
    )
    said = covered(brief.points, text, brief.language.tag)
    if all(said):
        return
    words = sum(len(look.words) for _, look in looks)
    long = brief.placement.kind != "ad" and words >= _LONG_WORDS
    share = sum(said) / len(said)
    enough = share >= 0.8 if long else any(said)
    for point, told in zip(brief.points, said, strict=True):
        if not told:
            found.append(
                violation(
                    "C-01",
                    "",
                    f"the key point {point!r} is not covered",
                    severity="info" if enough else "warning",
                    measured=round(share, 2),
                    source="brief",
                )
            )


def _called(
    brief: Brief, looks: Sequence[tuple[FieldSpec, Look]], wording: Wording, found: list[Violation]
) -> None:
    intents = brief.use_case.cta_intents
    if not intents or intents[0] == "none":
        return
    if any(spec.role in _CALLING for spec, _ in looks) or not _may_call(brief.placement):
        return
    telling = [look for spec, look in looks if spec.role in _TELLING]
    if not telling:
        return
    own = brief.cta.lower()
    if own and any(own in look.lower for _, look in looks):
        return
    # A language whose list of calls nobody has written is not judged.
    if any(wording.call.hits(look.lower) for _, look in looks) or not wording.call:
        return
    found.append(violation("C-04", telling[-1].label, "the text asks for nothing"))


def _may_call(placement: Placement) -> bool:
    """Tell whether the placement takes a call: marketplaces and some stores forbid them in any text."""
    return placement.kind != "marketplace" and not any(
        "google-play-promotion" in spec.rules for spec in placement.fields
    )


def _named(brief: Brief, looks: Sequence[tuple[FieldSpec, Look]], found: list[Violation]) -> None:
    names = [name.lower() for name in (brief.name, brief.brand.name) if name]
    if not looks:
        return
    if not names:
        _identified(brief, looks, found)
        return
    shortest = min(map(len, names))
    room = False
    for spec, look in looks:
        if spec.role in _FIXED:
            continue
        hard = min((limit.hard for limit in spec.limits if limit.hard is not None), default=None)
        room = room or hard is None or hard >= shortest
        shown = look.lower
        if spec.role in _TELLING:
            shown = " ".join(sentences(look.lower)[:2])
        if any(name in shown for name in names):
            return
    if room:
        found.append(violation("C-08", "", f"{brief.name or brief.brand.name!r} is not named"))


def _identified(brief: Brief, looks: Sequence[tuple[FieldSpec, Look]], found: list[Violation]) -> None:
    """Without a name, the noun must tell what is sold."""
    said = "\n".join(look.text for spec, look in looks if spec.role not in _FIXED)
    if any(covered(told_sentences(brief), said, brief.language.tag)):
        return  # a sentence of the description stands there
    if not brief.item:
        reason = "the brief gives no name, and its description no noun to call it by"
    elif not covered([brief.item], said, brief.language.tag)[0]:
        reason = f"{brief.item!r} is not said, and the brief gives no name"
    else:
        return
    found.append(violation("C-08", "", f"nothing tells what is sold: {reason}"))


def _structure(
    draft: Draft, brief: Brief, looks: Sequence[tuple[FieldSpec, Look]], found: list[Violation]
) -> None:
    structure = brief.structure
    if not draft.parts or draft.structure != structure.id or brief.placement.independent:
        return
    written = [part.step for part in draft.parts]
    missing = [step for step in structure.steps if step not in written]
    long = sum(len(look.words) for _, look in looks) >= _LONG_WORDS
    if missing:
        found.append(
            violation(
                "S-01",
                "",
                f"{structure.id} lacks {', '.join(missing)}",
                severity="warning" if long else "info",
                measured=len(missing),
            )
        )
    if structure.ordered:
        order = [structure.steps.index(step) for step in dict.fromkeys(written) if step in structure.steps]
        if order != sorted(order):
            found.append(violation("S-01", "", f"the steps of {structure.id} are out of order"))


def _editorial(draft: Draft, brief: Brief, texts: dict[str, list[Look]], found: list[Violation]) -> None:
    """Run the rules that look at a field or the draft: each once, over the fields that carry it."""
    for rule, carriers in _carried(brief.placement.rules, tuple((s.name, s.rules) for s in brief.fields)):
        if rule.scope == "draft":
            broken = editorial_draft(rule, draft, carriers or frozenset(texts), brief)
            if broken is not None:
                found.append(broken)
        else:
            for name in sorted(carriers or texts):
                broken = editorial_field(rule, name, [look.text for look in texts.get(name, [])], brief)
                if broken is not None:
                    found.append(broken)


@lru_cache(maxsize=512)
def _carried(
    common: tuple[str, ...], own: tuple[tuple[str, tuple[str, ...]], ...]
) -> tuple[tuple[EditorialRule, frozenset[str]], ...]:
    """Give the rules beyond single texts, each with the fields that carry it; none named means all."""
    rules = {rule.id: rule for rule in split(common)[0] if rule.scope != "text"}
    carriers: dict[str, set[str]] = {}
    for name, names in own:
        for rule in split(names)[0] if names else ():
            if rule.scope != "text" and (rule.id not in rules or rule.id in carriers):
                rules[rule.id] = rule
                carriers.setdefault(rule.id, set()).add(name)
    return tuple((rule, frozenset(carriers.get(rule.id, ()))) for rule in rules.values())
