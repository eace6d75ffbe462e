"""Short texts: headlines, descriptions, subjects, bullets. Each says something else about the thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from copykit.brief.catalog import FieldSpec
from copykit.providers.phrasebank.bank import Frame
from copykit.providers.phrasebank.choose import Chooser
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material, capitalised, finish
from copykit.providers.phrasebank.room import Room, Rooms

__all__ = ["Asset", "Assets"]

_LABELLED = frozenset({"name", "item", "label"})
_POINTED = frozenset({"point", "points"})
_FULL_STOPS = ".。।"
_TRIES = 14
_PER_KEYWORD = 4
"""Headlines of a set to one of the caller's keywords: the words searched for, and room to say something."""
_MOST_FACTS = 3
"""Facts drawn for one set: all of them in every set would make the sets of a catalogue alike."""
_SHORT_VALUE = 14
"""Characters up to which a figure stands in a list of points with its label."""
_LEAST_FOR_LONG = 28.0
"""Advised characters from which a headline takes a long frame."""
_LABEL_USES = 3
"""Headlines of one set that may name the thing in the same way: more would differ in nothing but the phrase."""
_SHOUTS = frozenset("!！¡")
"""A name with an exclamation mark stands once in an ad: platforms allow one."""
_FULL_ENOUGH = 0.5
"""Share of the advised length from which a longer text is no better."""
_ALIKE = 0.8
"""Token overlap from which two assets say the same (rule M-12)."""
_SPOKEN = ("attention", "solution", "interest", "desire", "action", "offer", "problem")
_CLOSED = frozenset({"headline", "subject", "overlay", "label", "title"})
"""Roles whose texts carry no full stop."""


class _Thing(NamedTuple):
    """Something the brief says: a point for the frames, or a fact that is a text by itself."""

    point: str = ""
    """What a frame may hold; empty for a fact that is better alone."""
    alone: tuple[str, ...] = ()
    """Whole texts, any of which says it."""


_NOTHING = _Thing()


class Asset(NamedTuple):
    """One short text and what it does."""

    text: str
    function: str


class Assets:
    """Writes the short fields of one variant; keeps them different from each other."""

    def __init__(self, material: Material, chooser: Chooser, rooms: Rooms, dice: Dice) -> None:
        self._material = material
        self._chooser = chooser
        self._rooms = rooms
        self._dice = dice
        self._said: list[frozenset[str]] = []
        self._labels_left: dict[str, int] = {}
        self._naming = ""
        self._named = False
        self._must_name = False
        self._whole: set[str] = set()
        """Things of the brief that stood as whole texts, with and without their full stop."""

    def write(self, spec: FieldSpec, count: int, functions: Sequence[str]) -> list[Asset]:
        """Write up to *count* texts for *spec*, those of *functions* first and in that order.

        Fewer come back when the brief has fewer things to say; never two that say the same.
        """
        room = self._rooms.of(spec)
        assets: list[Asset] = []
        said_before = len(self._said)
        if spec.role == "headline" and spec.is_list and count >= _PER_KEYWORD:
            assets.extend(self._callers(room, count))
        if spec.role == "description":
            alone = not self._material.brief.points
            assets.extend(self._quoted(room, max(count // 2, int(alone))))
        # A search ad of phrases alone says nothing: two of its assets may be one.
        is_named = self._material.brief.placement.independent and self._material.label
        generic = max(1, min(2, count // 5)) if is_named else max(1, count // 5, spec.min_count)
        # One text that stands alone says which thing it is; in a set, some do.
        self._must_name = count == 1 and not self._named
        for label in self._material.labels:
            if not _SHOUTS.intersection(label) or label not in self._labels_left:
                self._labels_left[label] = 1 if _SHOUTS.intersection(label) else _LABEL_USES
        for function, thing in self._angles(functions, count):
            if len(assets) >= count:
                break
            asset, has_slot = self._one(spec, room, function, thing, count, allow_bare=generic > 0)
            if asset is not None:
                assets.append(asset)
                generic -= 0 if has_slot else 1
        if not spec.is_list:
            del self._said[said_before:]
        return assets

    @property
    def named(self) -> bool:
        """Whether a text so far says which thing it is."""
        return self._named

    def pointed(self, spec: FieldSpec, lead: str, *, named: bool) -> Asset | None:
        """Write one text for *spec* with as many of the caller's key points as fit, after *lead* or after the name.

        The name may be left out where another text of the variant has it (*named*).
        """
        material, room = self._material, self._rooms.of(spec)
        points = [p for p in material.brief.points if p in material.points]
        points = self._dice.shuffled([p for p in points if p.casefold() not in lead.casefold()])
        closed = room.is_tight or spec.role in _CLOSED
        for kept in range(len(points), 0, -1) if lead else ():
            said = capitalised(material.list(points[:kept]))
            text = f"{finish(lead, material.stop)}{material.join}{said if closed else finish(said, material.stop)}"
            if room.comfortable(text) and room.allows(text):
                return self._say(text, "proof")
        labels = material.named_labels
        for kept in range(len(points), 0, -1):
            listed = material.list(points[:kept])
            for label in self._dice.shuffled(labels) or ([""] if named else []):
                begin = "" if named else f"{label}{material.colon}"
                said = material.lowered(listed) if begin and material.join else listed
                text = capitalised(f"{begin}{said}")
                text = text if closed else finish(text, material.stop)
                if room.comfortable(text) and self._is_new(text) and room.allows(text):
                    return self._say(text, "proof")
        return None

    def called(self, spec: FieldSpec, asset: Asset) -> Asset:
        """Give *asset* with a call to action behind it where there is room for one."""
        material, room = self._material, self._rooms.of(spec)
        for call in (*self._dice.shuffled(material.calls), *material.spare_calls):
            text = f"{finish(asset.text, material.stop)}{material.join}{finish(call, material.stop)}"
            if room.comfortable(text) and room.allows(text):
                return Asset(text, asset.function)
        return asset

    def _callers(self, room: Room, count: int) -> Iterator[Asset]:
        """Give the caller's own call to action and keywords as headlines of a set: nothing else there carries them."""
        brief = self._material.brief
        asked = [(brief.cta, "action")] if brief.cta else []
        asked += [(keyword, "attention") for keyword in brief.keywords[: count // _PER_KEYWORD]]
        for words, function in asked:
            text = capitalised(words.rstrip(_FULL_STOPS))
            if room.fits(text) and self._is_new(text) and room.allows(text):
                yield self._say(text, function)

    def _quoted(self, room: Room, most: int) -> list[Asset]:
        """Quote sentences of the brief that fit: what it says itself beats any phrase."""
        fresh = (s for s in self._material.sentences if s not in self._whole)
        fitting = [s for s in fresh if room.comfortable(s) and room.allows(s)][:most]
        self._whole.update(fitting)
        return [self._say(sentence, "proof") for sentence in fitting if self._is_new(sentence)]

    def _angles(self, functions: Sequence[str], count: int) -> Iterator[tuple[str, _Thing]]:
        """Give (function, thing) in turn: each function of the structure, each thing the brief says, the rest."""
        points = self._dice.fork(len(self._said) + 1).shuffled(self._things())
        points.sort(key=lambda thing: thing.point not in self._material.brief.points)
        first = [f for f in functions if f != "proof"]
        if points and ("proof" in functions or (self._material.brief.points and count <= len(first))):
            at = functions.index("proof") if "proof" in functions else 1
            first.insert(min(at, len(first)), "proof")
        rest = self._dice.fork(7).shuffled([f for f in _SPOKEN if f not in first])
        for function in first:
            yield function, points.pop(0) if function == "proof" and points else _NOTHING
        for turn in range(max(len(points), len(rest))):
            if turn < len(points):
                yield "proof", points[turn]
            if turn < len(rest):
                yield rest[turn], _NOTHING
        for _ in range(2 if count > 5 else 1):
            for function in self._dice.fork(11).shuffled(_SPOKEN):
                yield function, _NOTHING

    def _things(self) -> list[_Thing]:
        material = self._material
        facts = []
        for label, value in material.statements:
            said = f"{material.lowered(label)} {value}" if material.join else f"{label}{value}"
            forms = [f"{label}{material.colon}{value}"]
            forms += [
                f"{name}{material.colon}{said}" for name in (material.brief.item, material.brief.name) if name
            ]
            short = len(value) <= _SHORT_VALUE and any(c.isdigit() for c in value) and bool(material.join)
            facts.append(_Thing(said if short else "", tuple(forms)))
        facts = self._dice.fork(23).shuffled(facts)[:_MOST_FACTS]
        names = [name for name in (material.brief.item, material.brief.name) if name]
        stated = " ".join(value for _, value in material.statements)
        points = []
        for point in material.single_points:
            if not material.is_measure(point):
                points.append(_Thing(point))
            elif names and point not in stated:
                label = material.label_of(material.kind_of_measure(point))
                said = f"{material.lowered(label)} {point}" if material.join else f"{label}{point}"
                whole = (
                    f"{label}{material.colon}{point}",
                    *(f"{name}{material.colon}{said}" for name in names),
                )
                points.append(_Thing("", whole))
        phrase = material.phrase
        if phrase:
            named = f"{material.brief.name} – {material.lowered(phrase)}" if material.brief.name else phrase
            points.append(_Thing("", tuple(dict.fromkeys((phrase, named)))))
        return [*points, *facts]

    def _one(
        self, spec: FieldSpec, room: Room, function: str, thing: _Thing, count: int, *, allow_bare: bool
    ) -> tuple[Asset | None, bool]:
        closed = room.is_tight or spec.role in _CLOSED
        if count == 1 and closed:
            # Below a line that holds the name, a phrase without it says more than the name again.
            slots = None if self._named else _LABELLED
            roomy = room.low * room.chars / room.high > _LEAST_FOR_LONG
            if roomy:
                asset, has_slot = self._long(spec, room, function, thing, slots=slots)
                if asset is not None:
                    return asset, has_slot
            asset, has_slot = self._short(spec, room, function, thing, slots=slots, alone=True)
            if asset is not None or self._named:
                return asset, has_slot
            labels = self._material.named_labels if self._must_name else ()
            asset = self._alone(spec, room, function, _Thing("", labels or self._material.labels))
            if asset is not None:
                return asset, True
        if closed:
            slots = None if allow_bare else _LABELLED
            return self._short(spec, room, function, thing, slots=slots)
        asset, has_slot = self._long(spec, room, function, thing)
        if asset is None:  # a short phrase of no words of the brief's says nothing in the place of a sentence
            return self._short(spec, room, function, thing, slots=_LABELLED)
        return asset, has_slot

    def _short(
        self,
        spec: FieldSpec,
        room: Room,
        function: str,
        thing: _Thing,
        *,
        slots: frozenset[str] | None = None,
        alone: bool = False,
    ) -> tuple[Asset | None, bool]:
        if thing.alone or (thing.point and self._material.colon in thing.point):
            return self._alone(spec, room, function, thing), True
        point = thing.point
        slots = frozenset({"point"}) if point else slots
        spare: tuple[str, Frame, str] | None = None
        for tries, frame in enumerate(self._chooser.offers(function, short=True, slots=slots)):
            if tries >= _TRIES:
                break
            if not point and frame.slots & _POINTED:
                continue
            if spec.is_list and self._material.brief.placement.independent and self._chooser.leans(frame):
                continue
            if alone and self._named and frame.is_bare:
                continue  # the name alone, below a line that holds it
            text = self._filled(spec, room, frame, point)
            if not text:
                continue
            spare = spare or (text, frame, self._naming)
            if self._chooser.is_fresh(frame) and room.comfortable(text):
                spare = (text, frame, self._naming)
                break
        if spare is not None:
            self._chooser.take(spare[1])
            if spare[2] in self._labels_left:
                self._labels_left[spare[2]] -= 1
            return self._say(spare[0], function), bool(spare[1].slots)
        return (self._alone(spec, room, function, thing), True) if point else (None, False)

    def _alone(self, spec: FieldSpec, room: Room, function: str, thing: _Thing) -> Asset | None:
        """Say a thing by itself, in the first drawn form that fits."""
        forms = thing.alone or (thing.point,)
        start = self._dice.below(len(forms))
        for form in forms[start:] + forms[:start]:
            text = capitalised(form)
            if spec.role == "description" and text.casefold().endswith(
                self._material.phrase.casefold() or "\0"
            ):
                text = finish(text, self._material.stop)
            if text in self._whole or not (room.fits(text) and self._is_new(text) and room.allows(text)):
                continue
            self._whole.add(text)
            self._whole.add(text.rstrip(_FULL_STOPS))
            return self._say(text, function)
        return None

    def _filled(self, spec: FieldSpec, room: Room, frame: Frame, point: str) -> str:
        """Fill *frame* with the first way of naming the thing that makes a new, fitting, allowed text."""
        labels = self._labels(frame)
        if not labels:
            return ""
        start = self._dice.below(len(labels))
        for label in labels[start:] + labels[:start]:
            text = self._close(spec, self._chooser.fill(frame, label=label, point=point))
            if room.fits(text) and self._is_new(text) and room.allows(text):
                self._naming = label
                return text
        return ""

    def _labels(self, frame: Frame) -> tuple[str, ...]:
        """Give the ways of naming the thing that *frame* can take and this set has not used up."""
        if not frame.slots & _LABELLED:
            return ("",)
        every = self._material.labels
        if "name" in frame.slots:
            every = (self._material.brief.name,)
        elif "item" in frame.slots:
            every = (self._material.brief.item,)
        named = self._material.named_labels
        if self._must_name and named:
            every = tuple(label for label in every if label in named)
        return tuple(label for label in every if self._labels_left.get(label, 1) > 0)

    def _long(
        self,
        spec: FieldSpec,
        room: Room,
        function: str,
        thing: _Thing,
        *,
        slots: frozenset[str] | None = None,
    ) -> tuple[Asset | None, bool]:
        """Take the first drawn frame that fills at least half the room, else the fullest; fresh ones first."""
        point = thing.point
        if thing.alone and not point:
            return self._stated(room, function), True
        found: list[tuple[bool, bool, bool, float, int, str, Frame, str]] = []
        for tries, frame in enumerate(self._chooser.offers(function, short=False, slots=slots)):
            if tries >= _TRIES // 2:
                break
            if "point" in frame.slots and (not point or self._material.colon in point):
                continue
            if spec.is_list and self._material.brief.placement.independent and self._chooser.leans(frame):
                continue
            for points in self._point_lists(frame.slots, point):
                fillings = (
                    (
                        self._close(spec, self._chooser.fill(frame, label=label, point=point, points=points)),
                        label,
                    )
                    for label in sorted(self._labels(frame), key=len, reverse=True)
                )
                text, label = next((one for one in fillings if room.comfortable(one[0])), ("", ""))
                if text:
                    filled = min(room.size(text) / room.high, _FULL_ENOUGH)
                    again = self._chooser.echoes(frame.text)
                    rank = (not self._chooser.is_fresh(frame), again, frame.borrowed, -filled, tries)
                    found.append((*rank, text, frame, label))
                    break
        for *_, text, frame, label in sorted(found, key=lambda one: one[:5]):
            if self._is_new(text) and room.allows(text):
                self._chooser.take(frame)
                if label in self._labels_left:
                    self._labels_left[label] -= 1
                return self._say(text, function), bool(frame.slots)
        return None, False

    def _stated(self, room: Room, function: str) -> Asset | None:
        """Say which thing it is and its facts, label by label, as many as fit."""
        material = self._material
        text = finish(material.full_label, material.stop)
        if not room.comfortable(text):
            text = finish(material.short_label, material.stop)
        plain = text
        for label, value in self._dice.shuffled(material.statements):
            longer = f"{text}{material.join}{finish(f'{label}{material.colon}{value}', material.stop)}"
            if room.comfortable(longer):
                text = longer
        if text == plain or not self._is_new(text) or not room.allows(text):
            return None
        return self._say(capitalised(text), function)

    def _point_lists(self, slots: frozenset[str], point: str) -> Iterator[str]:
        if "points" not in slots:
            yield ""
            return
        points = [p for p in self._material.said_points if p != point]
        if point and self._material.colon not in point:
            points.insert(0, point)
        for count in range(min(3, len(points)), 0, -1):
            yield self._material.list(points[:count])

    def _close(self, spec: FieldSpec, text: str) -> str:
        text = capitalised(text)
        return text.rstrip(_FULL_STOPS) if spec.role in _CLOSED else text

    def _is_new(self, text: str) -> bool:
        tokens = _tokens(text)
        return all(
            len(tokens & other) / len(tokens | other) <= _ALIKE for other in self._said if tokens or other
        )

    def _say(self, text: str, function: str) -> Asset:
        self._said.append(_tokens(text))
        name = self._material.label
        self._named = self._named or (bool(name) and name.casefold() in text.casefold())
        return Asset(text, function)


def _tokens(text: str) -> frozenset[str]:
    words = text.casefold().split()
    return frozenset(words) if len(words) > 1 else frozenset(text.casefold())
