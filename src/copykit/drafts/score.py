"""Scores of a draft: separate numbers from 0 to 1, each with what it was made of, never merged.

A score that cannot be computed is left out: no key points, no coverage; no brand, no brand score. All are
pure functions of the draft, the violations found in it and the brief. docs/scores.md describes each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from math import sqrt
from typing import Any, NamedTuple

from copykit import data
from copykit.accel.similarity import shared
from copykit.brief.brief import Brief
from copykit.brief.money import local_amount
from copykit.errors import counted
from copykit.lazy import lazy
from copykit.models import CopyVariant, Score, Violation

from .coverage import covered
from .draft import Draft
from .mechanics import HASHTAG

__all__ = ["Readability", "diversity", "rank", "readability", "score"]

_NOT_PROSE = frozenset({"url", "path", "identifier", "info", "cta_choice", "keywords", "hashtags"})
_FILING = frozenset({"cta_choice", "url", "path", "identifier", "info", "hashtags"})
_UNTRACED, _CLICHE = "C-03", "C-10"
_BRAND_RULES = {"C-02": "banned term", "C-07": "spelling of a brand term", "C-09": "name of a competitor"}
_FEWEST_WORDS = 5

_SENTENCE = lazy(r"[.!?…؟।。！？\n]+(?:(?<=[。！？\n])|[\"'”’»)\]]*(?=\s|\Z))")
_FIGURE = lazy(r"\d+(?:[.,\u00a0\u202f'’٫٬]\d+)*")
_LETTERS = lazy(r"[^\W\d_]+")
_MARKS = lazy(r"[\W_]+")
_GAPS = {code: " " for code in range(128) if not chr(code).isalnum()}


def score(draft: Draft, violations: Sequence[Violation], brief: Brief) -> dict[str, Score]:
    """Score *draft*: ``compliance``, ``coverage``, ``grounding``, ``readability``, ``clarity``, ``brand``.

    *violations* are those that the checks found in this very draft. Deterministic. ``diversity`` needs the
    other variants (see `diversity`), ``performance`` a scorer that has seen results.
    """
    roles = {spec.name: spec.role for spec in brief.fields}
    whole: list[str] = []
    prose: list[str] = []
    for _, name, _, text in draft.items():
        role = roles.get(name)
        if role not in _FILING:
            # A hashtag only files the post under a word: it says no point and states no fact.
            whole.append(HASHTAG.sub(" ", text) if "#" in text else text)
        if role not in _NOT_PROSE:
            prose.append(text)
    text, read = "\n".join(whole), "\n".join(prose)
    rules = [violation.rule for violation in violations]
    reading = _reading(read, brief)
    scores = {
        "compliance": _compliance(violations),
        "coverage": _coverage(text, brief),
        "grounding": _grounding(text, rules, brief),
        "readability": _readability_score(reading, brief),
        "clarity": _clarity(reading, rules, brief),
        "brand": _brand(rules, brief),
    }
    return {name: value for name, value in scores.items() if value is not None}


def rank(variants: Sequence[CopyVariant]) -> list[CopyVariant]:
    """Order *variants*: without an error first, then by coverage, by performance where given, by index."""

    def key(item: tuple[int, CopyVariant]) -> tuple[bool, float, float, int]:
        index, variant = item
        broken = any(violation.severity == "error" for violation in variant.violations)
        return broken, -_value(variant, "coverage"), -_value(variant, "performance"), index

    return [variant for _, variant in sorted(enumerate(variants), key=key)]


def _value(variant: CopyVariant, name: str) -> float:
    found = variant.scores.get(name)
    return found.value if found else 0.0


def _made(value: float, reasons: list[str]) -> Score:
    return Score(value=round(min(1.0, max(0.0, value)), 4), reasons=reasons)


# --- what the checks say ------------------------------------------------------------------------------


def _compliance(violations: Sequence[Violation]) -> Score:
    errors = [v.rule for v in violations if v.severity == "error"]
    warnings = [v.rule for v in violations if v.severity == "warning"]
    reasons = [
        f"{len(found)} {name}{'s' if len(found) > 1 else ''}: {', '.join(sorted(set(found)))}"
        for name, found in (("error", errors), ("warning", warnings))
        if found
    ]
    return _made(1.0 - 0.3 * len(errors) - 0.05 * len(warnings), reasons or ["no error, no warning"])


def _coverage(text: str, brief: Brief) -> Score | None:
    needed = brief.use_case.required_facts
    facts = [fact for fact in brief.facts if fact.key in needed] if needed else []
    wanted = [*brief.points, *(fact.value for fact in facts)]
    if not wanted:
        return None
    found = covered(wanted, text, brief.language.tag)
    points = len(brief.points)
    reasons = [f"{sum(found[:points])} of {points} key points"] if points else []
    if facts:
        reasons.append(f"{sum(found[points:])} of {counted(len(facts), 'fact')} that the use case needs")
    missing = [name for name, said in zip(wanted, found, strict=True) if not said]
    if missing:
        reasons.append(f"not said: {'; '.join(missing)}")
    return _made(sum(found) / len(wanted), reasons)


def _grounding(text: str, rules: Sequence[str], brief: Brief) -> Score | None:
    values = [local_amount(fact.value, brief.language) for fact in brief.facts]
    used = covered(values, text, brief.language.tag)
    wordy = sum(
        said and not any(c.isdigit() for c in fact.value)
        for fact, said in zip(brief.facts, used, strict=True)
    )
    untraced = rules.count(_UNTRACED)
    figures = max(len(_FIGURE.findall(text)), untraced)
    stated = figures + wordy
    if not stated:
        return None
    reasons = [f"{figures - untraced} of {counted(figures, 'figure')} traced to the brief"] if figures else []
    if used:
        reasons.append(f"{sum(used)} of {counted(len(used), 'fact')} of the brief used")
    return _made((stated - untraced) / stated, reasons)


def _brand(rules: Sequence[str], brief: Brief) -> Score | None:
    brand = brief.brand
    if not (brand.name or brand.terms or brand.banned_terms or brand.competitors):
        return None
    broken = [rule for rule in rules if rule in _BRAND_RULES]
    reasons = [f"{broken.count(rule)} x {_BRAND_RULES[rule]} ({rule})" for rule in sorted(set(broken))]
    return _made(1.0 - 0.34 * len(broken), reasons or ["brand terms as they must be"])


# --- reading ------------------------------------------------------------------------------------------


class Readability(NamedTuple):
    """How hard a text is to read."""

    ease: float | None
    """Reading ease by the language's formula, about 0 to 100; None where there is no formula."""
    formula: str
    """Name of the formula, or empty."""
    words: int
    sentences: int
    longest: int
    """Words (characters for Japanese and Chinese) of the longest sentence."""

    @property
    def mean_sentence(self) -> float:
        """Words, or characters, of a mean sentence."""
        return self.words / self.sentences


@cache
def _facts() -> dict[str, Any]:
    return data.load_toml("readability.toml")


class _Language(NamedTuple):
    """How one language is read, compiled."""

    kind: str
    """formula, lix, length, characters or none."""
    name: str
    base: float
    per_sentence: float
    per_word: float
    vowels: re.Pattern[str] | None
    silent: re.Pattern[str] | None
    limit: int


@lru_cache(maxsize=128)
def _language(tag: str) -> _Language:
    facts, base = _facts(), tag.partition("-")[0].lower()
    row = facts["formulas"].get(base)
    if row:
        syllables = facts["syllables"][base]
        once = "" if syllables.get("each") else "+"
        silent = syllables.get("silent")
        return _Language(
            "formula",
            row["name"],
            row["base"],
            row["a"],
            row["b"],
            re.compile(f"[{syllables['vowels']}]{once}"),
            re.compile(silent) if silent else None,
            0,
        )
    if base in facts["lix"]["languages"]:
        return _Language("lix", "LIX", 0.0, 0.0, 0.0, None, None, facts["lix"]["long_word_letters"])
    if base in facts["characters"]:
        return _Language("characters", "", 0.0, 0.0, 0.0, None, None, facts["characters"][base])
    kind = "none" if base == "th" else "length"
    return _Language(kind, "", 0.0, 0.0, 0.0, None, None, 0)


def readability(text: str, language: str) -> Readability | None:
    """Measure how hard *text* is to read in *language* (a catalogue tag).

    Formulas and constants stand in data/readability.toml. Syllables are groups of vowels: an approximation.
    Japanese and Chinese are counted in characters. None for Thai, which marks no sentences, and for texts
    of fewer than five words.
    """
    how = _language(language)
    if how.kind == "none":
        return None
    sentences = [piece for piece in _SENTENCE.split(text) if piece]
    if how.kind == "characters":
        lengths = [len(_MARKS.sub("", piece)) for piece in sentences]
    else:
        lengths = [len(piece.split()) for piece in sentences]
    lengths = [length for length in lengths if length]
    words = sum(lengths)
    if words < _FEWEST_WORDS:
        return None
    ease: float | None = None
    if how.kind == "formula" and how.vowels is not None:
        lower = text.lower()
        syllables = len(how.vowels.findall(lower))
        if how.silent is not None:
            syllables -= len(how.silent.findall(lower))
        ease = (
            how.base - how.per_sentence * words / len(lengths) - how.per_word * max(syllables, words) / words
        )
    elif how.kind == "lix":
        long = sum(len(word) > how.limit for word in _LETTERS.findall(text))
        lix = words / len(lengths) + 100.0 * long / words
        ease = _facts()["lix"]["ease_base"] - _facts()["lix"]["ease_per_lix"] * lix
    return Readability(ease, how.name, words, len(lengths), max(lengths))


def _reading(text: str, brief: Brief) -> Readability | None:
    return readability(text, brief.language.tag) if text else None


@lru_cache(maxsize=256)
def _target(kind: str, platform: str) -> tuple[float, float, float]:
    facts = _facts()
    if platform in facts["at_work"]["platforms"]:
        row = facts["at_work"]["target"]
    else:
        row = facts["targets"].get(kind, facts["targets"]["web"])
    return float(row["ease"][0]), float(row["ease"][1]), float(row["mean_sentence"])


@cache
def _bands() -> tuple[tuple[float, str], ...]:
    rows: dict[str, float] = _facts()["bands"]
    return tuple(sorted(((bound, name.replace("_", " ")) for name, bound in rows.items()), reverse=True))


def _readability_score(reading: Readability | None, brief: Brief) -> Score | None:
    if reading is None:
        return None
    how = _language(brief.language.tag)
    low, high, mean = _target(brief.placement.kind, brief.placement.platform)
    if reading.ease is not None:
        # prose of one endless sentence falls below the lowest bound
        band = next((name for bound, name in _bands() if reading.ease >= bound), _bands()[-1][1])
        # Short copy is easier than any prose, so only what is far above the aim costs anything.
        value = 1.0 - max((low - reading.ease) / 40.0, (reading.ease - high - 20.0) / 80.0, 0.0)
        reasons = [
            f"{reading.formula} {reading.ease:.0f} ({band}), aim {low:g}-{high:g}; syllables estimated"
        ]
    else:
        bound = float(how.limit) if how.kind == "characters" else mean
        value = min(1.0, bound / reading.mean_sentence)
        unit = "characters" if how.kind == "characters" else "words"
        reasons = [f"no formula: mean sentence {reading.mean_sentence:.1f} {unit}, aim at most {bound:g}"]
    if reading.words < _facts()["short"]["words"]:
        reasons.append("short text: indicative only")
    return _made(value, reasons)


def _clarity(reading: Readability | None, rules: Sequence[str], brief: Brief) -> Score | None:
    if reading is None:
        return None
    how, tone = _language(brief.language.tag), brief.tone
    if how.kind == "characters":
        allowed, longest = how.limit / 2.0, how.limit
        unit = "characters"
    else:
        allowed, longest = tone.mean_sentence_words * 1.25, tone.max_sentence_words
        unit = "words"
    mean = reading.mean_sentence
    cliches = rules.count(_CLICHE)
    value = 0.5 * min(1.0, allowed / mean) + 0.5 * min(1.0, longest / reading.longest) - 0.1 * cliches
    reasons = [
        f"mean sentence {mean:.1f} {unit} (tone allows {allowed:g})",
        f"longest {reading.longest} (at most {longest})",
    ]
    if cliches:
        reasons.append(f"{cliches} cliché{'s' if cliches > 1 else ''}")
    return _made(value, reasons)


# --- diversity ----------------------------------------------------------------------------------------


def _terms(draft: Draft) -> frozenset[str]:
    """Give the words and word pairs of *draft*; characters and their pairs of a text of one word."""
    terms: set[str] = set()
    for _, _, _, text in draft.items():
        lower = text.lower()
        words = (lower.translate(_GAPS) if lower.isascii() else _MARKS.sub(" ", lower)).split()
        if len(words) < 2:
            words = [text[at : at + 2] for at in range(len(text) - 1)]
        terms.update(words)
        terms.update(map(" ".join, pairwise(words)))
    return frozenset(terms)


def diversity(drafts: Sequence[Draft]) -> list[float]:
    """Give each draft's distance from the one most like it: 1 nothing in common, 0 the same words.

    One minus the cosine of the sets of words and word pairs: those in common over the geometric mean of both
    counts. Counted exactly, so every similarity backend gives the same figure. A single draft differs from
    nothing: 1.0.
    """
    common = shared([_terms(draft) for draft in drafts])
    lengths = [sqrt(row[i]) for i, row in enumerate(common)]
    result = []
    for i, row in enumerate(common):
        likeness = [
            row[j] / (lengths[i] * lengths[j]) if lengths[i] and lengths[j] else float(row[i] == row[j])
            for j in range(len(row))
            if j != i
        ]
        result.append(round(min(1.0, max(0.0, 1.0 - max(likeness, default=0.0))), 4))
    return result
