"""The rules of publishable copy, prepared once per brief and applied to texts and whole drafts."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from copykit.brief.brief import Brief
from copykit.brief.catalog import FieldSpec, Limit, Placement, Tone
from copykit.brief.links import looks_linked
from copykit.drafts import whole
from copykit.drafts.claims import Evidence, address_mix, claims, cliches, spam
from copykit.drafts.draft import Draft
from copykit.drafts.editorial import EditorialRule, editorial_text, split
from copykit.drafts.hollow import Subject
from copykit.drafts.language_match import language_match
from copykit.drafts.locale_marks import apply_marks, locale_marks, marked_characters, plain_typing
from copykit.drafts.look import WORD, WORD_CLASS, Look, lowered, violation
from copykit.drafts.loops import loops
from copykit.drafts.measure import measure, px_size
from copykit.drafts.mechanics import HASHTAG, Surface, emoji_over, sentences, surface
from copykit.drafts.needed import missing_facts
from copykit.drafts.residue import residue
from copykit.drafts.wording import Wording, wording_of
from copykit.errors import counted
from copykit.lazy import lazy
from copykit.models import Severity, Violation

if TYPE_CHECKING:
    from copykit.brief.terms import TermSet

__all__ = ["Checker", "checker_for", "forget"]

_VERIFIED = frozenset("ABM")
_NOT_PROSE = frozenset({"url", "path", "identifier", "info", "cta_choice", "keywords", "hashtags"})
# Units in which a text of ASCII characters alone measures its number of characters.
_PLAIN_UNITS = frozenset({"cp", "gr", "u16", "u8", "dw", "threads"})
# The most that one code point can measure, so that a short text needs no measuring against a hard limit.
_MOST = {"cp": 1, "gr": 1, "u16": 2, "u8": 4, "dw": 2, "threads": 4}
_INSERTED = lazy(
    r"\{(?i:keyword):([^{}]*)\}|\{(?i:customizer)\.[^{}:]+:([^{}]*)\}|\{(?i:location)\([^{}()]*\):([^{}]*)\}"
    r"|\{(?i:(?:global_)?countdown)\(([^{}]*)\)\}"
)
_MERGE_FIELD = lazy(r"\{\{[^{}]*\}\}")
_COUNTDOWN = "00 hours"  # the longest form a countdown shows in English; the platform localises it
_CONTRACTED = lazy(r"\b(?:\w+n't|\w+'(?:re|ve|ll|m)|(?:it|that|there|here|what|who|let|she|he)'s)\b")
_CONTRACTIBLE = lazy(
    r"\b(?:(?:it|that|there|here|what|he|she) is|(?:you|we|they) (?:are|have|will)|i (?:am|have|will)"
    r"|(?:do|does|did|is|are|was|were|has|have|will|would|should|could) not|cannot|let us)\b"
)
_DIGITS = frozenset("0123456789")
_REMEMBERED = 4096
_LONGEST_WEAK = 40
_SECOND = frozenset("is are have will am has not cannot us".split())
_MAX_CHARS = {"ja": 60, "zh": 40}
_STRICTER_IN_ADS = frozenset({"ad", "marketplace", "app"})


class _Field(NamedTuple):
    """One field of a placement, with its rules compiled."""

    spec: FieldSpec
    limits: tuple[Limit, ...]
    bound: float
    """Code points up to which no hard limit can be exceeded, whatever the characters."""
    rules: tuple[EditorialRule, ...]
    gate: frozenset[str]
    """Characters of which one must stand in a text for a rule that has a gate to be looked at."""
    by_marks: dict[frozenset[str], tuple[EditorialRule, ...]]
    """Rules that a text may break, by which of these characters it holds; filled in as texts come."""
    stricter: dict[str, Severity]
    prose: bool
    leaning: bool
    choices: frozenset[str]

    def breakable(self, chars: set[str]) -> tuple[EditorialRule, ...]:
        """Give the rules that a text of these characters may break."""
        marks = self.gate & chars
        rules = self.by_marks.get(marks)
        if rules is None:
            if len(self.by_marks) > _REMEMBERED:
                self.by_marks.clear()
            rules = self.by_marks[marks] = tuple(
                rule for rule in self.rules if rule.gate is None or not rule.gate.isdisjoint(marks)
            )
        return rules


class _Place:
    """One placement, compiled: its fields are filled in as they come."""

    __slots__ = ("ads", "fields", "mail", "meta", "placement", "sms")

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.ads = placement.kind in _STRICTER_IN_ADS
        self.meta = "meta-personal-attributes" in placement.rules
        self.mail = placement.kind == "email" or placement.id.startswith(("email", "sms"))
        self.sms = placement.id.startswith("sms")
        self.fields: dict[int, tuple[FieldSpec, _Field]] = {}

    def field(self, spec: FieldSpec) -> _Field:
        known = self.fields.get(id(spec))
        if known is None:
            if len(self.fields) > 256:  # overridden fields come and go with their briefs
                self.fields.clear()
            known = self.fields[id(spec)] = (spec, _compile(spec, self.placement))
        return known[1]


# Placements are catalogue constants, so identity is the cheap key; tests bring their own.
_places: dict[int, _Place] = {}


def _place_of(placement: Placement) -> _Place:
    place = _places.get(id(placement))
    if place is None:
        if len(_places) > 512:
            _places.clear()
        place = _places[id(placement)] = _Place(placement)
    return place


def _compile(spec: FieldSpec, placement: Placement) -> _Field:
    rules, stricter = split(tuple(dict.fromkeys((*placement.rules, *spec.rules))))
    bound = float("inf")
    for limit in spec.limits:
        if limit.hard is not None:
            bound = min(bound, limit.hard / _MOST.get(limit.unit, float("inf")))
    rules = tuple(rule for rule in rules if rule.scope == "text")
    return _Field(
        spec=spec,
        limits=spec.limits,
        bound=bound,
        rules=rules,
        gate=frozenset().union(*(rule.gate for rule in rules if rule.gate is not None)),
        by_marks={},
        stricter=stricter,
        prose=spec.role not in _NOT_PROSE,
        leaning=placement.independent and spec.is_list,
        choices=frozenset(choice.casefold() for choice in spec.choices),
    )


@lru_cache(maxsize=256)
def _terms(terms: tuple[str, ...], language: str) -> TermSet:
    from copykit.brief.terms import TermSet  # most briefs name no brand terms

    return TermSet(terms, language)


class Checker:
    """All rules for one brief.

    Cheap to make (what depends on language and placement alone is compiled once a process). What it remembers
    of the texts it has read changes no answer, only the time it takes: safe to share between threads.

    Args:
        brief: The brief that copy is judged against.
        written_by_model: Whether a language model wrote the copy; only then do the rules apply that ask whether it
            says anything (C-24 and C-25), what else it left in its answer, and whether it must be labelled (C-23).
    """

    def __init__(self, brief: Brief, *, written_by_model: bool = False) -> None:
        self.brief = brief
        self.written_by_model = written_by_model
        language, tone = brief.language, brief.tone
        self._tag = language.tag
        self._wording: Wording = wording_of(language)
        self._place = _place_of(brief.placement)
        self._specs = {spec.name: spec for spec in brief.fields}
        brand = brief.brand
        own = [brief.name, brief.item, brand.name, brief.cta, *brand.terms, *brief.points, *brief.attributes]
        own += [*brief.keywords, *(fact.value for fact in brief.facts)]
        self._own = frozenset(WORD.findall(lowered("\n".join(filter(None, own)))))
        # An address that is read aloud has no scheme to be known by.
        self._foreign = self._own.union(WORD.findall(lowered(brief.url)))
        self._names = tuple(
            name
            for name in (brief.name, brand.name, *brand.terms)
            if name and not (_PLAIN_NAME.fullmatch(name) and apply_marks(name, language) == name)
        )
        self._evidence = Evidence(brief.source_text, self._wording, (fact.key for fact in brief.facts))
        self._exact = _terms((brand.name, *brand.terms), self._tag) if brand.name or brand.terms else None
        self._banned = _terms(tuple(brand.banned_terms), self._tag) if brand.banned_terms else None
        self._rivals = _terms(tuple(brand.competitors), self._tag) if brand.competitors else None
        self._restrictions = tuple(r for r in brief.restrictions if r.enforced == "check")
        self._latin = language.script == "Latn"
        self._numerals = brief.ledger.figures.words.keys()
        self._tokens = {key.lower(): value for key, value in brief.request.personalization.items()}
        links = brief.placement.links
        self._surface = Surface(
            ads=self._place.ads,
            exclamations=tone.exclamations_per_field,
            per_hundred=tone.exclamations_per_100_words,
            links_max=links.hard_max if links.hard_max is not None else links.rec_max,
            link_error=links.hard_max is not None and links.confidence in _VERIFIED,
            script=language.script,
            language=self._tag,
            wording=self._wording,
            source=brief.source_text,
            exempt=self._own,
            tokens=frozenset(
                (*self._tokens, *(t.strip("{}[]<>%* |").lower() for t in brief.placement.token_syntax))
            ),
            markdown=False,
            plain=plain_typing(brief.placement),
        )

        self._stages = (*_STAGES, Checker._model_rules) if written_by_model else _STAGES
        self._subject = Subject(brief, self._wording)
        self._marked = marked_characters(self._tag, self._surface.plain)
        self._missing: tuple[str, ...] | None = None
        self._read: dict[tuple[str, str], tuple[Look, list[Violation]]] = {}
        """What `allows` found no error in, by field and text: `draft` need only measure it."""

    def text(self, spec: FieldSpec, text: str, label: str) -> list[Violation]:
        """Give every rule that *text* breaks as a text of the field *spec*; *label* names it in the results."""
        return self._look(self._place.field(spec), Look(text, label, self._names), False)

    def allows(self, spec: FieldSpec, text: str) -> bool:
        """Tell whether *text* may be used in the field: no error, and no hard figure exceeded.

        Stricter than `text` on one point: a hard figure of any confidence counts, because generated copy
        never exceeds one (DESIGN 13.22). Stops at the first fault.
        """
        field = self._place.field(spec)
        look = Look(text, spec.name, self._names)
        for limit in field.limits:
            if (
                limit.hard is not None
                and len(text) > field.bound
                and self._measured(field.spec.name, look, limit) > limit.hard
            ):
                return False
        found = self._look(field, look, True)
        if found and any(one.severity == "error" for one in found):
            return False
        if len(self._read) > _REMEMBERED:
            self._read = {}
        self._read[spec.name, text] = look, found
        return True

    def draft(self, draft: Draft) -> list[Violation]:
        """Give every rule that *draft* breaks: each text, counts, repetition between fields, coverage."""
        found: list[Violation] = []
        looks: list[tuple[FieldSpec, Look]] = []
        for label, name, _, text in draft.items():
            spec = self._specs.get(name)
            if spec is None:
                found.append(violation("F-03", label, f"{self.brief.placement.id} has no field {name!r}"))
                continue
            read = self._read.get((name, text))
            if read is None:
                look = Look(text, label, self._names)
                found.extend(self._look(self._place.field(spec), look, False))
            else:
                look = read[0].labelled(label)
                self._lengths(self._place.field(spec), look, found)
                found.extend(one.model_copy(update={"field": label}) for one in read[1])
            looks.append((spec, look))
        found.extend(
            whole.whole_draft(
                draft,
                self.brief,
                looks,
                self._wording,
                missing=self._missing_facts(),
                written_by_model=self.written_by_model,
            )
        )
        stray = self._subject.strays(looks) if self.written_by_model else self._subject.is_missing(looks)
        if stray is not None and not any(v.severity == "error" and v.field == stray.field for v in found):
            found.append(stray)
        return found

    def _missing_facts(self) -> tuple[str, ...]:
        if self._missing is None:
            self._missing = missing_facts(self.brief)
        return self._missing

    def _look(self, field: _Field, look: Look, first: bool) -> list[Violation]:
        """Run the rules over one text, cheap ones first; with *first*, stop after a stage that found an error."""
        found: list[Violation] = []
        if not look.text.strip():
            return [violation("F-01", look.label, "the text is empty")]
        if not first:
            self._lengths(field, look, found)
        if field.choices and look.text.casefold() not in field.choices:
            found.append(
                violation(
                    "F-02",
                    look.label,
                    f"{look.text!r} is not offered; the first are {', '.join(field.spec.choices[:5])}",
                )
            )
        if field.spec.role == "hashtags" and not _TAG.fullmatch(look.text):
            found.append(violation("M-22", look.label, f"{look.text!r} is not one hashtag"))
        for stage in self._stages if field.prose else _SHORT_STAGES:
            stage(self, field, look, found)
            if first and found and any(v.severity == "error" for v in found):
                return found
        if field.stricter:
            for one in found:
                wanted = field.stricter.get(one.rule)
                # A claim that the brief makes itself stays a matter for review.
                if wanted is not None and not one.rule.startswith("L-"):
                    one.severity = wanted
        return found

    def _measured(self, name: str, look: Look, limit: Limit) -> float:
        text = look.text
        if "{" in look.chars or "%" in look.chars:
            text = self._expanded(text)
        if text.isascii() and limit.unit in _PLAIN_UNITS and "\r" not in look.chars:
            return len(text)
        size = look.sizes.get((limit.unit, limit.emoji_double))
        if size is None:
            size = look.sizes[limit.unit, limit.emoji_double] = measure(
                text,
                limit.unit,
                language=self._tag,
                emoji_double=limit.emoji_double,
                size_px=px_size(name) if limit.unit == "px" else 20.0,
            )
        return size

    def _expanded(self, text: str) -> str:
        """Give *text* as the platform counts it: tokens by their default, merge fields by their longest value."""

        def default(found: re.Match[str]) -> str:
            return next((part for part in found.groups()[:3] if part is not None), _COUNTDOWN)

        text = _INSERTED.sub(default, text)
        for key, value in self._tokens.items():
            name = re.escape(key)
            longest = value.replace("\\", r"\\")
            text = re.sub(
                rf"\{{\{{\s*{name}\s*\}}\}}|\{{{name}\}}|%{name}%", longest, text, flags=re.IGNORECASE
            )
        return text

    def _lengths(self, field: _Field, look: Look, found: list[Violation]) -> None:
        for limit in field.limits:
            if limit.hard is None and limit.rec_min is None and limit.rec_max is None:
                continue
            if (
                limit.rec_min is None
                and limit.rec_max is None
                and len(look.text) <= field.bound
                and "{" not in look.chars
                and "%" not in look.chars
            ):
                continue
            size = self._measured(field.spec.name, look, limit)
            if limit.hard is not None and size > limit.hard:
                sure = limit.confidence in _VERIFIED
                found.append(
                    violation(
                        "M-01",
                        look.label,
                        f"{size:g} {limit.unit}, at most {limit.hard:g} fit",
                        severity="error" if sure else "warning",
                        measured=size,
                        limit=limit.hard,
                        unit=limit.unit,
                        source=limit.source,
                    )
                )
            elif limit.rec_max is not None and size > limit.rec_max:
                found.append(
                    violation(
                        "M-01",
                        look.label,
                        f"{size:g} {limit.unit}, {limit.rec_max:g} are advised",
                        severity="info",
                        measured=size,
                        limit=limit.rec_max,
                        unit=limit.unit,
                        source=limit.source,
                    )
                )
            elif limit.rec_min is not None and size < limit.rec_min:
                found.append(
                    Violation.model_construct(
                        rule="M-01",
                        field=look.label,
                        severity="info",
                        message=f"{size:g} {limit.unit}, at least {limit.rec_min:g} are advised: say more",
                        measured=size,
                        limit=limit.rec_min,
                        unit=limit.unit,
                        source=limit.source,
                    )
                )

    def _brief_rules(self, field: _Field, look: Look, found: list[Violation]) -> None:
        """Restrictions, banned terms, rivals, brand spelling, facts."""
        text, label = look.text, look.label
        for restriction in self._restrictions:
            for start, end in restriction.find(text):
                found.append(
                    violation(
                        "C-02",
                        label,
                        f"{text[start:end]!r} breaks the restriction {restriction.text!r}",
                        span=(start, end),
                    )
                )
        if self._banned is not None:
            for term, start, end in self._banned.find(text):
                if not any(v.rule == "C-02" and v.span == (start, end) for v in found):
                    found.append(
                        violation(
                            "C-02",
                            label,
                            f"{text[start:end]!r} is the banned term {term!r}",
                            span=(start, end),
                        )
                    )
        if self._rivals is not None:
            for term, start, end in self._rivals.find(text):
                found.append(
                    violation(
                        "C-09",
                        label,
                        f"{text[start:end]!r} names the competitor {term!r}",
                        severity="error",
                        span=(start, end),
                        source="brief",
                    )
                )
        if self._exact is not None:
            for term, start, end in self._exact.find(text):
                said = text[start:end]
                if said != term and said not in self._exact.terms and not _in_link(text, start):
                    found.append(
                        violation("C-07", label, f"{said!r} must be written {term!r}", span=(start, end))
                    )
        # The number of a merge field ("{{1}}") states nothing.
        stated = _MERGE_FIELD.sub(lambda found: " " * len(found.group()), text) if "{" in look.chars else text
        for one in self.brief.ledger.untraced(stated) if self._may_state(look) else ():
            found.append(
                violation(
                    "C-03",
                    label,
                    f"the {one.kind} {one.text!r} is not in the brief",
                    measured=one.text,
                    # A number in words is more often a figure of speech ("two birds") than a claim.
                    severity="warning" if one.spelled and one.kind == "number" else None,
                    span=(one.start, one.end),
                )
            )

    def _may_state(self, look: Look) -> bool:
        """Tell cheaply whether a text may hold a figure or an address; False is certain."""
        if not look.ascii or "'" in look.chars or not _DIGITS.isdisjoint(look.chars):
            return True
        return not self._numerals.isdisjoint(look.word_set) or looks_linked(look.text)

    def _surface_rules(self, field: _Field, look: Look, found: list[Violation]) -> None:
        found.extend(surface(look, self._surface))
        again = loops(look, spaced=self._wording.spaced, source=self._surface.source)
        if again is not None:
            found.append(again)
        if not self._marked.isdisjoint(look.chars):
            found.extend(locale_marks(look, self.brief.language, plain=self._surface.plain))
        policy, tone = self.brief.placement.emoji, self.brief.tone
        if not look.ascii:
            over = emoji_over(look, policy, tone.max_emoji)
            if over is not None:
                found.append(over)
        if "#" in look.chars or "＃" in look.chars:
            _hashtags(look, self.brief.placement, found)

    def _word_rules(self, field: _Field, look: Look, found: list[Violation]) -> None:
        wording, brief = self._wording, self.brief
        # Plain letters and no word that another language is told by: most texts are so.
        if not (look.plain and self._latin and wording.foreign.words.keys().isdisjoint(look.word_set)):
            wrong = language_match(look, brief.language, wording.foreign, self._foreign, brief.source_text)
            if wrong is not None:
                found.append(wrong)
        if not wording.informal.isdisjoint(look.word_set):
            mixed = address_mix(look, wording, self._evidence)
            if mixed is not None:
                found.append(mixed)
        if len(look.text) <= _LONGEST_WEAK and look.lower.strip(" .!?…。") in wording.weak:
            found.append(violation("C-06", look.label, f"{look.text!r} would fit any ad"))
        if field.leaning:
            opening = wording.leaning.opens(look.lower)
            if opening is not None:
                found.append(
                    violation(
                        "M-13", look.label, f"the text starts with {opening[0]!r}", span=(0, opening[1])
                    )
                )
        lists = wording.starts.of(look.word_set)
        if lists:
            self._phrase_rules(field, look, lists, found)

    def _phrase_rules(
        self, field: _Field, look: Look, lists: Collection[str], found: list[Violation]
    ) -> None:
        wording, brief = self._wording, self.brief
        if "claims" in lists:
            found.extend(claims(look, wording, self._evidence, self._place.meta))
        if "cliches" in lists:
            found.extend(cliches(look, wording))
        if "residue" in lists:
            for _, _, start, end in wording.residue.find(look.lower):
                if look.lower[start:end] not in lowered(brief.source_text):
                    found.append(
                        violation("M-16", look.label, f"{look.text[start:end]!r}", span=(start, end))
                    )
        if "weak_phrases" in lists and not any(v.rule == "C-06" for v in found):
            for _, _, start, end in wording.weak_phrases.find(look.lower):
                found.append(violation("C-06", look.label, f"{look.text[start:end]!r}", span=(start, end)))
        if "comparisons" in lists:
            for _, _, start, end in wording.comparisons.find(look.lower):
                if look.lower[start:end] not in lowered(brief.source_text):
                    found.append(
                        violation("C-09", look.label, f"{look.text[start:end]!r} compares", span=(start, end))
                    )

    def _tone_rules(self, field: _Field, look: Look, found: list[Violation]) -> None:
        tone, wording = self.brief.tone, self._wording
        longest = _MAX_CHARS.get(wording.base)
        if longest is not None:
            if len(look.text) > longest:
                size = max(map(len, sentences(look.text)), default=0)
                if size > longest:
                    found.append(_too_long(look, size, longest, "cp"))
        elif len(look.words) > tone.max_sentence_words and wording.spaced:
            _sentence_length(look, tone.max_sentence_words, 1.25 * tone.mean_sentence_words, tone, found)
        if wording.base == "en":
            _contractions(look, tone.contractions, found)
        if self._place.mail:
            found.extend(spam(look, field.spec.role, self._place.sms))

    def _editorial_rules(self, field: _Field, look: Look, found: list[Violation]) -> None:
        for rule in field.breakable(look.chars):
            broken = editorial_text(rule, look, self.brief)
            if broken is not None:
                found.append(broken)

    def _model_rules(self, field: _Field, look: Look, found: list[Violation]) -> None:
        for one in found:
            if one.rule == "P-ALL-2":  # a model closes what it opens, unless it broke off
                one.severity = "error"
        told = {one.rule for one in found}
        for one in residue(look, field.spec, self.brief, self._wording, self._surface.tokens):
            if one.rule not in told:
                told.add(one.rule)
                found.append(one)
        if not any(one.severity == "error" for one in found):
            found.extend(self._subject.faults(field.spec, look))


_STAGES = (
    Checker._surface_rules,
    Checker._brief_rules,
    Checker._editorial_rules,
    Checker._word_rules,
    Checker._tone_rules,
)
_SHORT_STAGES = (Checker._brief_rules, Checker._editorial_rules)

_TAG = lazy(rf"[#＃]?[{WORD_CLASS}]+")
_PLAIN_NAME = lazy(r"[\w\s'’&-]*")


def _in_link(text: str, at: int) -> bool:
    """Whether the word at *at* is part of a link, address, handle or hashtag, which have a case of their own."""
    start = max(text.rfind(" ", 0, at), text.rfind("\n", 0, at)) + 1
    head = text[start:at]
    return head.endswith(("#", "@", ".", "/")) or "://" in head or "@" in head


def _sentence_length(look: Look, longest: int, mean: float, tone: Tone, found: list[Violation]) -> None:
    parts = sentences(look.text)
    sizes = [len(part.split()) for part in parts]
    size = max(sizes, default=0)
    if size > longest:  # dashes stand between spaces too: count the words themselves
        sizes = [
            words if words <= longest else len(WORD.findall(part))
            for words, part in zip(sizes, parts, strict=True)
        ]
        size = max(sizes)
    if size > longest:
        found.append(_too_long(look, size, longest, "w"))
    elif len(sizes) > 1 and sum(sizes) / len(sizes) > mean:
        found.append(_too_long(look, round(sum(sizes) / len(sizes), 1), tone.mean_sentence_words, "w"))


def _too_long(look: Look, size: float, limit: int, unit: str) -> Violation:
    what = "the longest sentence takes" if isinstance(size, int) else "the mean sentence takes"
    return violation(
        "C-15",
        look.label,
        f"{what} {size:g} {unit}, at most {limit} suit",
        measured=size,
        limit=limit,
        unit=unit,
    )


def _contractions(look: Look, wanted: str, found: list[Violation]) -> None:
    if wanted == "no":
        if "'" in look.chars or "’" in look.chars:
            hit = _CONTRACTED.search(look.lower)
            if hit:
                found.append(
                    violation(
                        "T-01",
                        look.label,
                        f"{look.text[slice(*hit.span())]!r} is contracted",
                        span=hit.span(),
                    )
                )
    elif wanted == "yes" and len(look.words) > 8 and sum(map(_SECOND.__contains__, look.words)) >= 3:
        full = len(_CONTRACTIBLE.findall(look.lower))
        if full >= 3:
            short = len(_CONTRACTED.findall(look.lower))
            if short / (short + full) < 0.6:
                found.append(violation("T-01", look.label, f"{full} pairs are written out", measured=full))


def _hashtags(look: Look, placement: Placement, found: list[Violation]) -> None:
    policy = placement.hashtags
    tags = HASHTAG.findall(look.text)
    if policy.hard_max is not None and len(tags) > policy.hard_max:
        severity: Severity = "error" if policy.confidence in _VERIFIED else "warning"
        what = "the placement forbids hashtags" if policy.hard_max == 0 else counted(len(tags), "hashtag")
        found.append(
            violation(
                "M-22",
                look.label,
                what,
                severity=severity,
                measured=len(tags),
                limit=policy.hard_max,
                source=policy.source,
            )
        )
    elif policy.rec_max is not None and len(tags) > policy.rec_max:
        found.append(
            violation(
                "M-22",
                look.label,
                counted(len(tags), "hashtag"),
                severity="info",
                measured=len(tags),
                limit=policy.rec_max,
            )
        )
    for tag in tags:
        if tag.isdigit():
            found.append(violation("M-22", look.label, f"#{tag} is digits only"))


_recent: tuple[Brief, Checker] | None = None


def checker_for(brief: Brief, *, written_by_model: bool = False) -> Checker:
    """Give a checker of *brief*, the one made last if it was for the same object.

    Writing and judging follow each other on one brief, and share what was found on the way.
    """
    global _recent
    recent = _recent
    if recent is not None and recent[0] is brief and recent[1].written_by_model == written_by_model:
        return recent[1]
    checker = Checker(brief, written_by_model=written_by_model)
    _recent = (brief, checker)
    return checker


def forget(checker: Checker) -> None:
    """Let go of *checker*, and of the brief that it holds, once the brief's copy is judged."""
    global _recent
    if _recent is not None and _recent[1] is checker:
        _recent = None
