"""Long texts: the structure's steps in order, each with what the brief gives it, sized to the field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from copykit.brief.catalog import FieldSpec, Structure
from copykit.drafts.check import Checker
from copykit.models import Part
from copykit.providers.phrasebank.bank import Frame
from copykit.providers.phrasebank.choose import Chooser
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material, finish
from copykit.providers.phrasebank.room import Room

__all__ = ["Body", "BodyWriter"]

_TRIES = 10
_LINE_KINDS = frozenset({"social", "message"})
_PARAGRAPH_ROLES = frozenset({"email", "web", "press"})
_NAMING = frozenset({"label"})
"""Slots that can carry name and item together: the first time a text names the thing, it says both."""
_COMFORT_PER_STEP = 55.0
"""Aimed characters a step from which long frames read better than short ones."""


@dataclass(slots=True)
class _Step:
    name: str
    function: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Body:
    """A finished long text with the steps it carries."""

    text: str
    parts: tuple[Part, ...]


class BodyWriter:
    """Writes the long field of one variant."""

    def __init__(self, material: Material, chooser: Chooser, checker: Checker, dice: Dice) -> None:
        self._material = material
        self._chooser = chooser
        self._checker = checker
        self._dice = dice
        self._named = False

    def write(self, spec: FieldSpec, structure: Structure, tail: str = "") -> Body | None:
        """Write *spec* along *structure*; *tail* (hashtags, opt-out) ends the text and counts.

        Returns None when not even the shortest form keeps the field's hard bounds.
        """
        room = Room.of(spec, self._material.brief.language.tag)
        self._named = False
        steps = [_Step(n, f) for n, f in zip(structure.steps, structure.functions, strict=True)]
        long = room.high * _chars_per(room) / len(steps) >= _COMFORT_PER_STEP
        for step in steps:
            line = self._opening(spec, step, long)
            if line:
                step.lines.append(line)
        steps = [step for step in steps if step.lines]
        glue = self._glue(room)
        self._must(spec, room, steps, tail, glue)
        if not room.comfortable(self._joined(steps, tail, glue)):
            self._shorter_frames(spec, room, steps, tail, glue)
        self._wishes(spec, room, steps, tail, glue)
        return self._settled(spec, room, steps, tail, glue)

    def _opening(self, spec: FieldSpec, step: _Step, long: bool) -> str:
        """Give the line that carries *step*: a frame, the caller's call to action, or the terms."""
        material = self._material
        if step.function == "action" and (material.link or material.brief.cta):
            return self._call()
        if step.function == "offer" and material.terms:
            return self._terms_line()
        if step.function == "proof" and not material.points:
            fact = next(iter(material.details or material.terms), None)
            if fact is not None:
                return self._fact_line(*fact)
        naming = _NAMING if step.function in ("attention", "solution") and not self._named else None
        for slots in (naming, None) if naming else (None,):
            for short in (not long, long):
                line = self._frame_line(spec, step.function, short=short, slots=slots)
                if line:
                    return line
        return ""

    def _frame_line(
        self, spec: FieldSpec, function: str, *, short: bool, slots: frozenset[str] | None = None
    ) -> str:
        for tried, frame in enumerate(self._chooser.offers(function, short=short, slots=slots)):
            if tried >= _TRIES:
                break
            text = finish(self._filled(frame), self._material.stop)
            if self._checker.allows(spec, text):
                self._chooser.take(frame)
                self._named = self._named or bool(frame.slots & _NAMING)
                return text[:1].upper() + text[1:]
        return ""

    def _filled(self, frame: Frame) -> str:
        points = self._material.points
        point = points[self._dice.below(len(points))] if points and "point" in frame.slots else ""
        listed = self._material.list(points[:4]) if points and "points" in frame.slots else ""
        label = self._material.labels[0 if self._named else -1]
        return self._chooser.fill(frame, label=label, point=point, points=listed)

    def _call(self) -> str:
        material = self._material
        calls = material.calls
        call = calls[self._dice.below(len(calls))]
        url = material.link
        return f"{call}{material.colon}{url}" if url else finish(call, material.stop)

    def _terms_line(self) -> str:
        return self._material.join.join(self._fact_line(*term) for term in self._material.terms[:3])

    def _fact_line(self, label: str, value: str) -> str:
        return finish(f"{label}{self._material.colon}{value}", self._material.stop)

    def _must(self, spec: FieldSpec, room: Room, steps: list[_Step], tail: str, glue: str) -> None:
        """Add what copy may not lack: which thing it is about, every key point, the call."""
        material = self._material
        text = self._joined(steps, "", glue).casefold()
        known = (material.brief.name, material.brief.item)
        if any(word and word.casefold() not in text for word in known):
            line = finish(self._identity(), material.stop)
            self._insert(spec, room, steps, steps[0], line, tail, glue, hard=True)
        text = self._joined(steps, "", glue).casefold()
        missing = [p for p in material.brief.points if p.casefold() not in text and material.may_say(p)]
        if missing:
            home = self._home(steps, "proof", "desire", "solution")
            self._insert(spec, room, steps, home, self._listed(missing), tail, glue, hard=True)
        if all(step.function != "action" for step in steps) and self._wants_call():
            self._insert(spec, room, steps, steps[-1], self._call(), tail, glue, hard=bool(material.link))

    def _wants_call(self) -> bool:
        return any(intent != "none" for intent in self._material.brief.use_case.cta_intents)

    def _listed(self, pieces: list[str]) -> str:
        line = finish(self._material.list(pieces), self._material.stop)
        return line[:1].upper() + line[1:]

    def _identity(self) -> str:
        brief = self._material.brief
        if brief.name and brief.item and brief.item.casefold() not in brief.name.casefold():
            return f"{brief.name}{self._material.colon}{self._material.lowered(brief.item)}"
        return self._material.label

    def _wishes(self, spec: FieldSpec, room: Room, steps: list[_Step], tail: str, glue: str) -> None:
        """Add what there is room for: terms, audience, details, quoted sentences, another phrase."""
        for home, line in self._extras(steps, glue):
            if line and line.casefold() not in self._joined(steps, tail, glue).casefold():
                self._insert(spec, room, steps, home, line, tail, glue, hard=False)
        if room.low:
            for step in steps:
                if room.size(self._joined(steps, tail, glue)) >= room.low:
                    break
                if step.function not in ("action", "offer"):
                    line = self._frame_line(spec, step.function, short=False)
                    self._insert(spec, room, steps, step, line, tail, glue, hard=False)

    def _extras(self, steps: list[_Step], glue: str) -> Iterator[tuple[_Step, str]]:
        material = self._material
        proof = self._home(steps, "proof", "desire", "solution")
        offer = self._home(steps, "offer", "desire", "proof")
        for label, value in material.terms:
            yield offer, self._fact_line(label, value)
        yield self._home(steps, "interest", "solution", "attention"), material.audience
        text = self._joined(steps, "", glue).casefold()
        unsaid = [p for p in material.points if p.casefold() not in text]
        if unsaid:
            yield proof, self._listed(unsaid[:4])
        yield self._home(steps, "interest", "solution", "proof"), next(iter(material.sentences), "")
        for label, value in material.details[:4]:
            if value.casefold() not in self._joined(steps, "", glue).casefold():
                yield proof, self._fact_line(label, value)
        for sentence in material.sentences[1:4]:
            yield proof, sentence

    def _home(self, steps: list[_Step], *functions: str) -> _Step:
        for function in functions:
            for step in steps:
                if step.function == function:
                    return step
        return steps[-2] if len(steps) > 1 else steps[0]

    def _insert(
        self,
        spec: FieldSpec,
        room: Room,
        steps: list[_Step],
        home: _Step,
        line: str,
        tail: str,
        glue: str,
        *,
        hard: bool,
    ) -> None:
        """Add *line* to *home* if the text then still fits (*hard*: the platform's bound, else the advised one)."""
        if not line or not self._checker.allows(spec, line):
            return
        home.lines.append(line)
        text = self._joined(steps, tail, glue)
        if not (room.fits(text) if hard else room.comfortable(text)):
            home.lines.pop()

    def _settled(
        self, spec: FieldSpec, room: Room, steps: list[_Step], tail: str, glue: str
    ) -> Body | None:
        """Shorten until the text fits: shorter frames first, then fewer lines, then fewer steps."""
        for shorten in (None, self._shorter_frames, self._fewer_steps):
            if shorten is not None:
                shorten(spec, room, steps, tail, glue)
            text = self._joined(steps, tail, glue)
            if room.fits(text) and self._checker.allows(spec, text):
                joiner = self._material.join
                parts = tuple(Part(step=s.name, field=spec.name, text=joiner.join(s.lines)) for s in steps)
                return Body(text, parts)
        return None

    def _shorter_frames(self, spec: FieldSpec, room: Room, steps: list[_Step], tail: str, glue: str) -> None:
        for step in sorted(steps, key=lambda s: -len(s.lines[0])):
            if room.comfortable(self._joined(steps, tail, glue)):
                return
            if step.function == "action" and (self._material.link or self._material.brief.cta):
                continue
            line = self._frame_line(spec, step.function, short=True)
            if line and len(line) < len(step.lines[0]):
                step.lines[0] = line

    def _fewer_steps(self, spec: FieldSpec, room: Room, steps: list[_Step], tail: str, glue: str) -> None:
        while len(steps) > 1 and not room.fits(self._joined(steps, tail, glue)):
            longest = max(steps, key=lambda s: len(s.lines))
            if len(longest.lines) > 1:
                longest.lines.pop()
            else:
                middle = [s for s in steps if s.function not in ("action", "solution")] or steps
                steps.remove(max(middle, key=lambda s: len(s.lines[0])))

    def _glue(self, room: Room) -> str:
        kind = self._material.brief.placement.kind
        if room.high * _chars_per(room) < 240:
            return "\n" if kind == "social" else self._material.join
        if kind in _PARAGRAPH_ROLES or room.high * _chars_per(room) > 900:
            return "\n\n"
        return "\n" if kind in _LINE_KINDS else self._material.join

    def _joined(self, steps: list[_Step], tail: str, glue: str) -> str:
        joiner = self._material.join
        text = glue.join(joiner.join(step.lines) for step in steps)
        if not tail:
            return text
        return f"{text}{glue if glue.strip(' ') else ' '}{tail}"


def _chars_per(room: Room) -> float:
    """Give the characters that one unit of the field stands for, roughly, to judge room by."""
    unit = room.aim.unit if room.aim else "cp"
    return {"w": 6.0, "s": 14.0}.get(unit, 0.5 if room.language[:2] in ("ja", "zh") else 1.0)
