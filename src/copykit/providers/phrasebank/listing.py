"""Fields made of the brief's words alone: titles, names, bullets, keywords, hashtags, paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from copykit.brief.catalog import FieldSpec
from copykit.brief.naming import HEAD_FIRST
from copykit.lazy import lazy
from copykit.providers.phrasebank.material import Material
from copykit.providers.phrasebank.room import Room, Rooms

__all__ = ["Listing"]

_MARKS = (
    r"\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0900-\u0903\u093a-\u094f\u0981-\u0983\u09bc-\u09cd"
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
)
"""Combining letters that belong to a word but are no letters by themselves."""
_WORD = lazy(rf"(?:[^\W_]|[{_MARKS}])+(?:['’\-](?:[^\W_]|[{_MARKS}])+)*")
_FULL_STOPS = ".。।"
_LONGEST_TAG = 20
_NO_TAG = frozenset("'\"()[]{}/!?&+%:;")
_MOST_TAG_WORDS = 3


class Listing:
    """Arranges the brief's own words into the fields that take no phrases."""

    def __init__(self, material: Material, rooms: Rooms) -> None:
        self._material = material
        self._rooms = rooms

    def title(self, spec: FieldSpec) -> str:
        """Name, item and attributes, as many as the advised length takes."""
        brief, room = self._material.brief, self._rooms.of(spec)
        title = self._first_fitting(spec, self._heads(brief.name, brief.item))
        joiner = " " if brief.language.tag.startswith("zh") else self._material.comma
        variant = next((fact.value for fact in brief.facts if fact.key == "variant"), "")
        for piece in filter(None, (*self._material.points, variant)):
            longer = f"{title}{joiner}{piece}" if title else piece
            if piece.casefold() not in title.casefold() and _is_good(room, longer):
                title = longer
        return title

    def name(self, spec: FieldSpec) -> str:
        """The brand's or the product's name; empty if none is known or none fits."""
        brief = self._material.brief
        return self._first_fitting(spec, (brief.brand.name, brief.name))

    def bullets(self, spec: FieldSpec) -> list[str]:
        """One line a point, a fact, a sentence: what the brief says, in its order."""
        return self._many(spec, self._lines(), spec.max_count)

    def keywords(self, spec: FieldSpec, count: int) -> list[str]:
        """Search words: the caller's own, then item, points and single words of them."""
        return self._many(spec, self._terms(), count)

    def joined_keywords(self, spec: FieldSpec, said: str) -> str:
        """The same as one text: phrases between commas, or single words where the platform counts bytes.

        Words of *said* (title, name, subtitle) are left out of the latter: those platforms index them anyway.
        """
        room = self._rooms.of(spec)
        by_word = any(limit.unit == "u8" for limit in spec.limits)
        comma = "comma" in spec.note or any("comma" in rule for rule in spec.rules)
        joiner = "," if comma else " "
        terms = (w.casefold() for t in self._terms() for w in _WORD.findall(t)) if by_word else self._terms()
        taken = {word.casefold() for word in _WORD.findall(said)} if by_word else set()
        text = ""
        for term in terms:
            longer = f"{text}{joiner}{term}" if text else term
            if by_word and (len(term) < 2 or any(c.isdigit() for c in term)):
                continue
            if term.casefold() not in taken and room.fits(longer) and room.allows(longer):
                text = longer
                taken.add(term.casefold())
        return text

    def hashtags(self, spec: FieldSpec | None, count: int) -> list[str]:
        """Tags of the caller's keywords, points and item: letters and digits, words joined by capitals."""
        tags: list[str] = []
        for term in self._terms():
            odd = any(c.isdigit() or c in _NO_TAG for c in term)
            if odd and term not in self._material.brief.keywords:
                continue
            tag = _hashtag(term)
            is_new = bool(tag) and tag.casefold() not in {t.casefold() for t in tags}
            if is_new and (spec is None or _is_good(self._rooms.of(spec), tag)):
                tags.append(tag)
            if len(tags) >= count:
                break
        return tags

    def path(self, spec: FieldSpec, number: int) -> str:
        """A word or two for the display path: the item first, then the category, lower case with hyphens."""
        brief, room = self._material.brief, self._rooms.of(spec)
        category = next((f.value for f in brief.facts if f.key == "category"), "")
        sources = [t for t in (brief.item, category, brief.name) if t]
        chosen: list[str] = []
        taken: set[str] = set()
        for text in sources:
            slug = "-".join(_WORD.findall(text.casefold()))
            # Whole or not at all: a part of it may name another thing ("butter" of a butter biscuit).
            if slug and room.fits(slug) and room.allows(slug) and taken.isdisjoint(slug.split("-")):
                chosen.append(slug)
                taken.update(slug.split("-"))
        return chosen[number] if number < len(chosen) else ""

    def identifier(self) -> str:
        """A template name of a-z, 0-9 and underscores."""
        words = re.findall(
            r"[a-z0-9]+", f"{self._material.label} {self._material.brief.use_case.id}".casefold()
        )
        return "_".join(words)[:60] or "copy"

    def _heads(self, name: str, item: str) -> Iterator[str]:
        if name and item and item.casefold() not in name.casefold():
            space = " " if self._material.join else ""
            yield f"{name}{space}{item[:1].upper()}{item[1:]}"
        yield from (text for text in (name, item) if text)

    def _lines(self) -> Iterator[str]:
        material = self._material
        yield from (point.rstrip(_FULL_STOPS) for point in material.points)
        yield from (
            f"{label}{material.colon}{value}" for label, value in (*material.details, *material.terms)
        )
        yield from (sentence.rstrip(_FULL_STOPS) for sentence in material.sentences)
        category = next((fact.value for fact in material.brief.facts if fact.key == "category"), "")
        if category and "/" not in category:
            yield f"{material.label_of('category')}{material.colon}{category}"

    def _terms(self) -> Iterator[str]:
        brief = self._material.brief
        phrases = [*brief.keywords, brief.item, *(p for p in self._material.points if len(p.split()) <= 3)]
        category = [f.value for f in brief.facts if f.key in ("category", "material", "color", "brand")]
        for phrase in (*phrases, *category, brief.name):
            if phrase and self._material.may_say(phrase):
                yield phrase
        words = [word for word in _WORD.findall(brief.item) if len(word) > 3]
        if len(words) > _MOST_TAG_WORDS:  # too long for one tag: the noun alone
            yield words[0] if brief.language.tag.partition("-")[0] in HEAD_FIRST else words[-1]

    def _many(self, spec: FieldSpec, lines: Iterable[str], count: int) -> list[str]:
        room, result, seen = self._rooms.of(spec), [], set()
        for line in lines:
            key = line.casefold()
            if key not in seen and _is_good(room, line):
                seen.add(key)
                result.append(line[:1].upper() + line[1:] if spec.role in ("bullets", "highlights") else line)
            if len(result) >= count:
                break
        return result

    def _first_fitting(self, spec: FieldSpec, options: Iterable[str]) -> str:
        room = self._rooms.of(spec)
        return next((t for t in options if t and room.fits(t) and room.allows(t)), "")


def _is_good(room: Room, text: str) -> bool:
    return room.comfortable(text) and room.allows(text)


def _hashtag(term: str) -> str:
    words = _WORD.findall(term.replace("-", " ").replace("’", "").replace("'", ""))
    if not 1 <= len(words) <= _MOST_TAG_WORDS:
        return ""
    cased = any(c.isupper() or c.islower() for c in term)
    body = "".join(w[:1].upper() + w[1:] for w in words) if cased else "_".join(words)
    return f"#{body}" if len(body) <= _LONGEST_TAG and not body.isdigit() else ""
