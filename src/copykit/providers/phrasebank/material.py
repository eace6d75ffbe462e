"""What a brief gives a writer to say, in the language's forms, before any frame is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from copykit.brief.brief import Brief, Fact
from copykit.brief.extract import opening_words
from copykit.brief.money import local_amount
from copykit.brief.subject import complement_of
from copykit.data import load_toml
from copykit.drafts.coverage import covers
from copykit.drafts.look import WORD, lowered
from copykit.drafts.repair import apply_marks
from copykit.drafts.wording import wording_of
from copykit.lazy import lazy
from copykit.providers.phrasebank.bank import Bank

__all__ = ["Material", "capitalised", "finish", "introduces"]

_OPENERS = '¿¡«“„("「'
_FINAL = ".!?…。！？।؟:："
_COLON = {"Hans": "：", "Hant": "：", "Jpan": "："}
_COMMA = {"Hans": "、", "Hant": "、", "Jpan": "、", "Arab": "، "}
_STOP = {"Hans": "。", "Hant": "。", "Jpan": "。", "Deva": "।", "Beng": "।"}
_JOIN = {"Hans": "", "Hant": "", "Jpan": ""}
_TERMS = frozenset(
    {"price", "old_price", "discount", "date", "deadline", "time", "place", "availability", "code"}
)
_SILENT = frozenset(
    {"variant", "category", "website", "postal_address", "sender", "unsubscribe", "id", "currency"}
)
"""Facts that identify or file the product and are no argument in copy."""
_PRESUMING = frozenset({"buy", "sign_up", "try", "demo", "book"})
"""Intents that suppose an offer (a sale, a trial, an account) which the brief says nothing of."""
_OF_AN_EVENT = frozenset({"place", "time", "venue", "speaker", "guest", "address"})
_LONG_FACT = 60
_ONE_LINE = 120
_KIND_OF_UNIT = {
    **dict.fromkeys(
        ("g", "gr", "kg", "lb", "oz", "mg", "г", "кг", "كغ", "غ", "किग्रा", "ग्राम", "克", "公斤"), "weight"
    ),
    **dict.fromkeys(("ml", "cl", "l", "dl", "мл", "л", "مل", "मिली", "लीटर", "毫升", "升"), "volume"),
}
_NUMBERS = lazy(r"\d+")
_ADDITIVE = lazy(r"\be\s?-?\d{3}")
_MEASURE = lazy(r"[\d\s.,x×/–-]+\s?[^\W\d_]{0,4}\.?")


@dataclass(frozen=True)
class Material:
    """The brief's words, sorted by what they can carry, with the language's joiners."""

    brief: Brief
    bank: Bank
    colon: str
    comma: str
    stop: str
    join: str
    """Between sentences: a space, or nothing in scripts without spaces."""

    @classmethod
    def of(cls, brief: Brief, bank: Bank) -> Material:
        """Prepare *brief* for a writer."""
        script = brief.language.script
        colon = _COLON.get(script, "\u00a0: " if brief.language.tag.startswith("fr") else ": ")
        return cls(
            brief, bank, colon, _COMMA.get(script, ", "), _STOP.get(script, "."), _JOIN.get(script, " ")
        )

    @cached_property
    def label(self) -> str:
        """The name, or the item where there is none."""
        return self.brief.name or self.brief.item

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Ways to say which thing it is: name, item, both."""
        name, item = self.brief.name, self.brief.item
        if not (name and item):
            return (self.label,)
        if item.casefold() in name.casefold() or _words(item) <= _words(name):
            return (name, item)
        if self.brief.language.tag == "ja":  # two nouns side by side read as one word
            return (name, item, f"{item}『{name}』")
        joiner = " – " if self.join else " "
        return (name, item, f"{name}{joiner}{self.lowered(item)}")

    @cached_property
    def named_labels(self) -> tuple[str, ...]:
        """Those of the labels that hold the name; all where there is none."""
        return tuple(label for label in self.labels if label and self.brief.name in label)

    @cached_property
    def full_label(self) -> str:
        """The fullest way to say which thing it is, without saying anything twice."""
        return max(self.labels, key=len)

    @cached_property
    def short_label(self) -> str:
        """The way to name the thing again: its item where the name is long and holds it."""
        name, item = self.brief.name, self.brief.item
        return item if item and item.casefold() in name.casefold() else self.label

    @cached_property
    def points(self) -> tuple[str, ...]:
        """Key points first, then attributes; what the restrictions forbid left out."""
        pieces = dict.fromkeys((*self.brief.points, *self.brief.attributes))
        marked = (apply_marks(piece.rstrip(" .。।"), self.brief.language) for piece in pieces)
        said = [self.brief.name.casefold(), *(point.casefold() for point in self.brief.points)]
        fresh = (p for p in marked if p in self.brief.points or not _repeats(p.casefold(), said))
        return tuple(piece for piece in fresh if self.may_say(piece))

    @cached_property
    def single_points(self) -> tuple[str, ...]:
        """Points that say something alone, behind a colon or between full stops: no lone word of the description.

        "Oiled" of "Oak desk, oiled" is an adjective as likely as a noun; it stands beside its noun or in a list.
        """
        return tuple(point for point in self.points if point not in self.loose)

    @cached_property
    def loose(self) -> tuple[str, ...]:
        """Single words that the description adds to its noun, and that are no figure and no key point."""
        if not self.join:
            return ()
        return tuple(
            point
            for point in self.points
            if point not in self.brief.points and " " not in point and not any(map(str.isdigit, point))
        )

    @cached_property
    def complement(self) -> str:
        """What the description binds to the noun by a preposition, or empty: "for companies with 10 employees"."""
        first = self.brief.source_text.split("\n", 1)[0]
        found = complement_of(self.brief.item, first, self.brief.language.tag.partition("-")[0])
        return found if found and self.may_say(found) else ""

    @cached_property
    def phrase(self) -> str:
        """The noun with what belongs to it ("Oak desk, oiled"), or empty where the description says no more."""
        item = self.brief.item
        if not item:
            return ""
        if self.complement:
            return f"{item} {self.complement}"
        return self.list((item, *self.loose[:2])) if self.loose else ""

    @cached_property
    def said_points(self) -> tuple[str, ...]:
        """Points as a sentence says them: a bare measure with its kind, and none that a fact states already."""
        said: list[str] = []
        kept = self.points if len(self.points) > 1 else self.single_points
        tag = self.brief.language.tag
        named = f"{self.brief.name} {self.brief.item}"
        stated = {number for _, value in (*self.details, *self.terms) for number in _NUMBERS.findall(value)}
        for point in kept:
            if covers(named, point, tag):
                continue  # the noun says it: "Waterproof" of "Waterproof boots"
            if not self.is_measure(point):
                said.append(point)
            elif point in self.brief.points or stated.isdisjoint(_NUMBERS.findall(point)):
                label = self.label_of(self.kind_of_measure(point))
                said.append(f"{self.lowered(label)} {point}" if self.join else f"{label}{point}")
        return tuple(said)

    def is_measure(self, point: str) -> bool:
        """Tell whether a point is a bare figure with its unit, which says nothing without the thing it measures."""
        return _is_measure(point)

    def kind_of_measure(self, point: str) -> str:
        """Give the kind of fact that a bare measure is, by its unit: weight, volume or size."""
        unit = point.rstrip(". ").casefold().lstrip("0123456789.,x×/–- ")
        return _KIND_OF_UNIT.get(unit, "size")

    @cached_property
    def statements(self) -> tuple[tuple[str, str], ...]:
        """Facts that can be a headline, as (label, value): one price, no lists, no sentences."""
        priced = any(fact.key == "price" for fact in self.brief.facts)
        kept = [f for f in self.brief.facts if not (priced and f.key in ("old_price", "discount"))]
        labels = {self.label_of(fact.key) for fact in kept}
        return tuple(
            (label, value)
            for label, value in (*self.details, *self.terms)
            if label in labels and not _is_list(value)
        )

    @cached_property
    def details(self) -> tuple[tuple[str, str], ...]:
        """Facts that describe, as (label, value)."""
        return self._labelled(lambda fact: fact.key not in _TERMS)

    @cached_property
    def terms(self) -> tuple[tuple[str, str], ...]:
        """Facts of the offer (price, date, place ...), as (label, value); none where the marketplace shows them."""
        if self.is_listed:
            return ()
        return self._labelled(lambda fact: fact.key in _TERMS)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Sentences of the description that may be quoted: none in another form of address than the tone's."""
        asked = (s for s in self.brief.sentences if s[-1] not in "?？؟" and s.rstrip(_FINAL) != self.phrase)
        fitting = (s for s in asked if self.says_more(s) and not self._addresses_otherwise(s))
        names = (self.brief.name,)
        quoted = [apply_marks(s, self.brief.language, names=names) for s in fitting if self.may_say(s)]
        return tuple(quoted) or self._description()

    def _description(self) -> tuple[str, ...]:
        """Give a description of one plain line as a sentence, where it says more than what was taken from it."""
        text = self.brief.request.product_description.strip()
        plain = 20 <= len(text) <= _ONE_LINE and not any(mark in text for mark in "\n<&.!?…。！？؟।|•")
        taken = self.brief.attributes or text.casefold() in (
            self.brief.item.casefold(),
            self.brief.name.casefold(),
            self.phrase.casefold(),
        )
        if not plain or taken or not self.may_say(text):
            return ()
        return (finish(capitalised(text), self.stop),)

    def _addresses_otherwise(self, sentence: str) -> bool:
        """Tell whether *sentence* addresses the reader in another form than the tone does."""
        wording = wording_of(self.brief.language)
        if self.brief.language.tag.startswith("zh"):
            return ("你" if self.brief.tone.address == "F" else "您") in sentence
        words = WORD.findall(lowered(sentence))
        if self.brief.tone.address == "F":
            return wording.familiar.found(words)
        inside = sentence.replace(",", " ").replace(".", " ").split()[1:]
        return not wording.formal.isdisjoint(words) or not wording.formal_exact.isdisjoint(inside)

    def says_more(self, sentence: str) -> bool:
        """Tell whether a sentence says more than which thing it is: it speaks of the thing and does not present it."""
        if introduces(sentence, self.brief.language.tag):
            return False
        rest = sentence.replace(self.brief.name, "") if self.brief.name else sentence
        return len(rest) >= (12 if self.join == "" else 25) and self._is_about_it(sentence)

    def _is_about_it(self, sentence: str) -> bool:
        """Tell whether a sentence speaks of the thing: by an article or demonstrative, or in the brief's words."""
        articles = opening_words(self.brief.language.tag.partition("-")[0])
        if not articles:
            return True
        if sentence.startswith(self.brief.sentences[:1]) or not self.label:
            return True  # the description's first is about what it describes
        own = _words(" ".join((self.brief.name, self.brief.item, *self.brief.points, *self.brief.attributes)))
        found = WORD.findall(lowered(sentence))
        return found[0] in articles or not {word for word in own if len(word) > 3}.isdisjoint(found)

    @cached_property
    def audience(self) -> str:
        """The audience line of the language, or empty."""
        audience = self.brief.audience
        if not audience or not self.may_say(audience):
            return ""
        if self.bank.audience:
            return self.bank.audience[0].replace("{audience}", self.lowered(audience))
        return f"{self.bank.labels['audience']}{self.colon}{audience}{self.stop}"

    @cached_property
    def calls(self) -> tuple[str, ...]:
        """Calls to action for the use case's first intent, in the tone's form of address; the caller's own comes alone."""
        if self.brief.cta:
            return (self.brief.cta.rstrip(".。।"),)
        return tuple(self.bank.cta[self.intent][self.brief.tone.address])

    @cached_property
    def spare_calls(self) -> tuple[str, ...]:
        """Calls for fields too small for `calls`: those that ask for nothing more than a look, shortest first."""
        address = self.brief.tone.address
        levels = dict.fromkeys((address, "N", "F", "C") if address != "F" else ("F", "N"))
        found = (
            c
            for level in levels
            for intent in ("learn", "visit", "contact")
            for c in self.bank.cta[intent][level]
        )
        return () if self.brief.cta else tuple(sorted(found, key=len))

    @cached_property
    def intent(self) -> str:
        """What the reader is asked to do.

        A use case that the caller named keeps its first intent. The placement's default one is only a guess,
        so it asks to book an event (a date with a place or time), to buy where the brief holds a price, and else
        for nothing that supposes an offer.
        """
        intents = [i for i in self.brief.use_case.cta_intents if i != "none"] or ["learn"]
        if self.brief.request.use_case:
            return intents[0]
        known = {fact.key for fact in self.brief.facts}
        if "date" in known and known & _OF_AN_EVENT:
            return "book"
        if "buy" in intents and "price" in known:
            return "buy"
        return intents[0] if intents[0] not in _PRESUMING else "learn"

    @cached_property
    def link(self) -> str:
        """The address, where the placement lets text carry one and has no field of its own for it."""
        brief = self.brief
        links = brief.placement.links
        closed = (
            links.hard_max == 0 or links.rec_max == 0 or brief.placement.platform == "push" or self.is_listed
        )
        has_field = any(spec.role == "url" for spec in brief.fields)
        return "" if closed or has_field or not brief.url or not self.may_say(brief.url) else brief.url

    @property
    def is_listed(self) -> bool:
        """Whether the copy stands in a marketplace, which shows price, link and button itself."""
        return self.brief.placement.kind == "marketplace"

    @cached_property
    def greeting(self) -> str:
        """A greeting by merge token, where the caller personalises; empty otherwise."""
        if "first_name" not in self.brief.request.personalization:
            return ""
        syntax = "".join(self.brief.placement.token_syntax)
        token = (
            "%FIRSTNAME%" if "%FIRSTNAME%" in syntax else "{{1}}" if "{{1}}" in syntax else "{{first_name}}"
        )
        return self.bank.greeting[self.brief.tone.address].replace("{first_name}", token)

    def may_say(self, text: str) -> bool:
        """Say whether no restriction of the brief forbids *text*."""
        return not any(restriction.find(text) for restriction in self.brief.restrictions)

    def lowered(self, text: str) -> str:
        """Give *text* for the middle of a sentence: first letter small where the language writes it so."""
        first = text.split(" ", 1)[0]
        if (
            self.brief.language.tag == "de"
            or not first[1:].islower()
            or text.startswith(self.brief.name or "\0")
        ):
            return text
        return text[:1].lower() + text[1:]

    def list(self, pieces: tuple[str, ...] | list[str]) -> str:
        """Join pieces by the language's comma; pieces after the first start small."""
        first, *rest = pieces
        return self.comma.join((first, *(self.lowered(piece) for piece in rest)))

    def _labelled(self, wanted: Callable[[Fact], bool]) -> tuple[tuple[str, str], ...]:
        result = []
        named = _words(f"{self.brief.name} {self.brief.item}")
        selling = self.brief.placement.kind in ("ad", "social", "message")
        for fact in self.brief.facts:
            if fact.key in _SILENT or not wanted(fact) or len(fact.value) > _LONG_FACT:
                continue
            if _words(fact.value) <= named or (selling and _lists_additives(fact)):
                continue  # it says no more than the name; it is true and no argument
            label = self.label_of(fact.key)
            value = apply_marks(local_amount(fact.value, self.brief.language), self.brief.language)
            if self.may_say(f"{label}{self.colon}{value}"):
                result.append((label, value))
        return tuple(result)

    def label_of(self, key: str) -> str:
        """Give the language's word for a kind of fact, or the caller's own key."""
        known = self.bank.labels.get(key.casefold().replace(" ", "_"))
        text = known or key.replace("_", " ").strip()
        return text[:1].upper() + text[1:]


@lru_cache(maxsize=1024)
def _is_measure(point: str) -> bool:
    return _MEASURE.fullmatch(point) is not None


@cache
def _additives() -> tuple[frozenset[str], tuple[str, ...]]:
    """Give the names of facts that list ingredients, and pieces of words that name additives."""
    table = load_toml("values.toml")
    return frozenset(table["lists"].split()), tuple(table["additives"].split())


def _lists_additives(fact: Fact) -> bool:
    lists, pieces = _additives()
    if fact.key.casefold() not in lists:
        return False
    low = fact.value.casefold()
    return _ADDITIVE.search(low) is not None or any(piece in low for piece in pieces)


def _words(text: str) -> set[str]:
    return set(WORD.findall(lowered(text)))


def _repeats(piece: str, said: list[str]) -> bool:
    """Tell whether *piece* holds, or is held by, something that is said anyway."""
    return any(text and (piece in text or text in piece) for text in said)


def _is_list(value: str) -> bool:
    return ". " in value or sum(value.count(mark) for mark in (", ", "、", "،", "，")) > 1


def finish(text: str, stop: str) -> str:
    """End *text* with the language's full stop unless it has a final mark."""
    return text if text[-1:] in _FINAL else text + stop


def capitalised(text: str) -> str:
    """Give *text* with its first letter large, past a mark that opens a question or a quotation."""
    at = 1 if text[:1] in _OPENERS else 0
    return f"{text[:at]}{text[at : at + 1].upper()}{text[at + 1 :]}"


@cache
def _introductions() -> dict[str, dict[str, list[str]]]:
    return load_toml("phrases/introductions.toml")


def introduces(sentence: str, tag: str) -> bool:
    """Tell whether *sentence* presents a thing, as a first sentence of a description does."""
    row = _introductions().get(tag.partition("-")[0], {})
    text = sentence.casefold().lstrip('¡¿"“«„ ')
    spaced = tag.partition("-")[0] not in ("ja", "zh")
    begins = any(
        text.startswith(phrase) and not (spaced and text[len(phrase) : len(phrase) + 1].isalpha())
        for phrase in row.get("begins", ())
    )
    return (
        begins
        or text.endswith(tuple(row.get("ends", ())))
        or any(phrase in text for phrase in row.get("holds", ()))
    )
