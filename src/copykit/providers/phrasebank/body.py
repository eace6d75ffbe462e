"""Long texts: the structure's steps in order, each with what the brief gives it, sized to the field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from copykit.brief.catalog import FieldSpec, Structure
from copykit.brief.extract import split_sentences
from copykit.drafts.coverage import covers
from copykit.models import Part
from copykit.providers.phrasebank.bank import Frame
from copykit.providers.phrasebank.choose import Chooser
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.lists import item_list, questions
from copykit.providers.phrasebank.material import Material, capitalised, finish
from copykit.providers.phrasebank.room import Room, Rooms

__all__ = ["Body", "BodyWriter"]

_TRIES = 10
_HEADLINES = frozenset({"headline", "long_headline", "subject", "name", "title", "overlay"})
_LINE_KINDS = frozenset({"social", "message"})
_PARAGRAPH_KINDS = frozenset({"email", "web", "press"})
_NAMING = frozenset({"label"})
"""Slots that can carry name and item together: the first time a text names the thing, it says both."""
_NAMING_STEPS = frozenset({"attention", "interest", "solution"})
_POINTING = frozenset({"point", "points"})
_CALLING = frozenset({"label", "name", "item"})
_LONG_NAME = 20
_MOST_QUOTED = 0.6
"""Share of the advised length that one quoted passage may take."""
_MOST_TOLD = 0.75
"""Share of the advised length that the one fact of a short text may take."""
_ENDS = ".!…。！।?؟？"
_ASKS = "?؟？"
_COMFORT_PER_STEP = 55.0
"""Aimed characters a step from which long frames read better than short ones."""
_SHORT_TEXT, _LONG_TEXT = 240.0, 900.0
_LEAST_FOR_LINK = 140.0
_PLAIN_TYPE = str.maketrans(
    {"\u00a0": " ", "\u202f": " ", "’": "'", "“": '"', "”": '"', "–": "-", "…": "..."}
)
_FILLERS = 2
"""Phrases added at most for length alone: what the brief does not say cannot be made up by more of them."""


@lru_cache(maxsize=1024)
def _plain(words: str) -> str:
    return words.casefold().rstrip(".。। ")


@dataclass(slots=True)
class _Step:
    name: str
    function: str
    lines: list[str] = field(default_factory=list)
    closed: bool = False
    """Whether the step is a list, which no sentence may follow."""


@dataclass(slots=True)
class _Page:
    """A text in the making: steps of lines, joined by the language's and the placement's separators."""

    room: Room
    steps: list[_Step]
    joiner: str
    glue: str
    tail: str
    careful: bool = False
    """Whether every line is checked before it is added."""
    typed: bool = False
    """Whether the text goes out in plain characters, and is measured in them."""
    call: str = ""
    greeting: str = ""
    _low: str | None = None
    _total: tuple[float, ...] | None = None

    def text(self) -> str:
        text = f"{self.greeting}\n" if self.greeting else ""
        text += self.glue.join(self.joiner.join(step.lines) for step in self.steps)
        if not self.tail:
            return text
        return f"{text}{self.glue if self.glue.strip(' ') else ' '}{self.tail}"

    def says(self, words: str) -> bool:
        """Tell whether the lines hold *words*, in any case."""
        if self._low is None:
            self._low = "\n".join(line for step in self.steps for line in step.lines).casefold()
        return _plain(words) in self._low

    def changed(self) -> None:
        """Forget what was derived from the lines."""
        self._low = self._total = None

    def state(self) -> tuple[bool, bool]:
        """Tell whether the text fits, and fits comfortably."""
        return self.room.judge(self.sizes())

    def sizes(self) -> tuple[float, ...]:
        """Give what the text measures, in the unit aimed at and in that of each hard bound."""
        if self._total is None:
            pieces = [line for step in self.steps for line in step.lines]
            if self.typed:
                pieces = [piece.translate(_PLAIN_TYPE) for piece in pieces]
            gap = sum(len(step.lines) - 1 for step in self.steps) * len(self.joiner)
            gap += (len(self.steps) - 1) * len(self.glue)
            for piece in filter(None, (self.tail, self.greeting)):
                pieces.append(piece)
                gap += max(1, len(self.glue))
            self._total = self.room.total(pieces, gap)
        return self._total

    def add(self, home: _Step, line: str, *, must: bool = False, leads: bool = False) -> None:
        """Add *line* to *home* if the text then still fits: the platform's bound if it *must*, else the advised one.

        It goes last, but before the call to action; first if it *leads*.
        """
        if not line or (self.careful and not self.room.allows(line)):
            return
        at = 0 if leads else len(home.lines) - (home.lines[-1] == self.call)
        before = self.sizes()
        home.lines.insert(at, line)
        if self.room.adds_up:
            after = self.room.grown(before, line, len(self.joiner))
        else:
            self._total = None
            after = self.sizes()
        fits, comfortable = self.room.judge(after)
        if fits if must else comfortable:
            self._total, self._low = after, None
        else:
            del home.lines[at]
            self._total = before

    def home(self, *functions: str) -> _Step:
        """Give the first step that has one of *functions*, in that order of preference."""
        for function in functions:
            for step in self.steps:
                if step.function == function and not step.closed:
                    return step
        return next((step for step in reversed(self.steps[:-1]) if not step.closed), self.steps[-1])


class Body(NamedTuple):
    """A finished long text with the steps it carries."""

    text: str
    parts: tuple[Part, ...]


class BodyWriter:
    """Writes the long field of one variant."""

    def __init__(self, material: Material, chooser: Chooser, rooms: Rooms, dice: Dice) -> None:
        self._material = material
        self._chooser = chooser
        self._rooms = rooms
        self._dice = dice
        self._named = False
        self._proved = 0
        self._called = ""
        self._just_named = False
        self._careful = False
        brief = material.brief
        self._alone = not any(spec.role in _HEADLINES and spec.default_count for spec in brief.fields)
        # Where the fullest label is the name alone, a frame that holds the name says it all.
        whole = {"name": brief.name, "item": brief.item}
        self._naming = _NAMING.union(slot for slot, said in whole.items() if said == material.full_label)

    def write(self, spec: FieldSpec, structure: Structure, tail: str = "") -> Body | None:
        """Write *spec* along *structure*; *tail* (hashtags, opt-out) ends the text and counts.

        Authored frames are taken on trust and the whole text is checked; only if that fails is it written
        again with every line checked. Returns None when not even then the text can be used.
        """
        for self._careful in (False, True):
            body = self._write(spec, structure, tail)
            if body is not None:
                return body
        return None

    def _write(self, spec: FieldSpec, structure: Structure, tail: str) -> Body | None:
        room = self._rooms.of(spec)
        self._named, self._proved, self._called, self._just_named = False, 0, "", False
        material = self._material
        page = _Page(room, [], self._material.join, self._glue(room), tail, self._careful)
        page.typed = material.brief.placement.platform == "sms"
        long = room.chars / len(structure.steps) >= _COMFORT_PER_STEP
        for at, (name, function) in enumerate(zip(structure.steps, structure.functions, strict=True)):
            later = _NAMING_STEPS.intersection(structure.functions[at + 1 :])
            block = self._listed_block(structure, function)
            # Where no headline names the thing, one of the first two lines does (rule C-08).
            must_name = not later or (at > 0 and self._alone)
            line = block or self._opening(room, function, long, must_name=must_name)
            if line and not any(line in step.lines for step in page.steps):
                page.steps.append(_Step(name, function, [line], closed=bool(block)))
                names_here = function in _NAMING_STEPS and not later
                if names_here and not self._named and not page.says(material.label):
                    page.changed()
                    page.add(page.steps[-1], finish(self._identity(), material.stop), must=True)
                    self._named = True
                page.changed()
        if not page.steps:
            return None
        page.call = self._called
        self._must(page)
        if not page.state()[1]:
            self._shorter_frames(page)
            self._must(page)
        if room.is_tight and room.adds_up:
            self._fewer_steps(page)
        elif room.own_chars < _SHORT_TEXT:
            self._fewer_phrases(page)
        self._wishes(page)
        return self._settled(page)

    def _listed_block(self, structure: Structure, function: str) -> str:
        """Give the list that a listicle is made for; empty elsewhere, and when there is nothing to list."""
        if structure.id != "listicle" or function != "proof":
            return ""
        if self._material.brief.use_case.id == "faq":
            return questions(self._material)
        return item_list(self._material, self._dice)

    def _opening(self, room: Room, function: str, long: bool, *, must_name: bool = False) -> str:
        """Give the line that carries a step: a frame, the call to action, or the terms.

        With *must_name*, no later step can name the thing as well as this one.
        """
        material = self._material
        if function == "action" and (material.link or material.brief.cta):
            self._called = self._call(room)
            return self._called
        if function == "offer" and material.terms:
            return material.join.join(self._fact_line(*term) for term in material.terms[:3])
        if function == "proof" and (self._proved or not material.said_points):
            facts = (*material.details, *material.terms)
            more = [self._fact_line(*fact) for fact in facts] + list(self._quotable(room))
            if len(more) > self._proved:
                self._proved += 1
                return more[self._proved - 1]
        can_name = function in _NAMING_STEPS and not self._named
        naming = self._naming if can_name and (must_name or self._dice.below(2)) else None
        for slots in (naming, None) if naming else (None,):
            for spare in (False, True):
                for short in (not long, long):
                    line = self._frame_line(room, function, short=short, slots=slots, spare=spare)
                    if line:
                        return line
        if function == "proof":  # nothing to prove with: quote, or at least invite a look
            return next(self._quotable(room), "") or self._opening(room, "interest", long)
        return ""

    def _frame_line(
        self,
        room: Room,
        function: str,
        *,
        short: bool,
        slots: frozenset[str] | None = None,
        nameless: bool = False,
        spare: bool = True,
    ) -> str:
        """Fill the first drawn frame that suits; with *spare*, if there is no other, one that says too much or little."""
        last: Frame | None = None
        tried = 0
        for frame in self._chooser.offers(function, short=short, slots=slots):
            if tried >= _TRIES:
                break
            if frame.slots & _POINTING and not self._pointed_at(frame):
                continue
            if "points" in frame.slots and len(self._material.said_points) < 2:
                last = last or frame  # it speaks of several
                continue
            if nameless and frame.slots:
                continue
            if frame.is_bare:
                last = last or frame
                continue
            if slots is None and frame.slots & _CALLING and self._is_said(room, frame):
                last = last or frame
                continue
            text = finish(self._filled(frame), self._material.stop)
            if not self._careful or room.allows(text):
                self._chooser.take(frame)
                self._named = self._named or bool(frame.slots & self._naming)
                self._just_named = bool(frame.slots & _CALLING)
                self._proved += function == "proof"
                return capitalised(text)
            tried += 1
        if last is None or self._careful or not spare:
            return ""
        self._chooser.take(last)
        text = finish(self._filled(last), self._material.stop)
        self._named = self._named or bool(last.slots & self._naming)
        self._just_named = bool(last.slots & _CALLING)
        return capitalised(text)

    def _pointed_at(self, frame: Frame) -> tuple[str, ...]:
        """Give the points that *frame* may hold."""
        said = self._material.said_points
        return said if "points" in frame.slots else tuple(p for p in said if p not in self._material.loose)

    def _is_said(self, room: Room, frame: Frame) -> bool:
        """Whether *frame* would name the thing once too often: beside another line, or again in a short text."""
        if self._just_named:
            return True
        if not self._named:  # half a label now would have it said twice
            return not frame.slots & self._naming
        return room.own_chars < _SHORT_TEXT or len(self._material.short_label) > _LONG_NAME

    def _filled(self, frame: Frame) -> str:
        points = self._material.said_points
        point = ""
        if "point" in frame.slots:
            told = self._pointed_at(frame)
            single = [p for p in told if p in self._material.points] or told
            point = single[self._dice.below(len(single))]
        listed = self._material.list(self._few(points, frame)) if points and "points" in frame.slots else ""
        label = self._material.short_label if self._named else self._material.full_label
        return self._chooser.fill(frame, label=label, point=point, points=listed)

    def _few(self, points: tuple[str, ...], frame: Frame) -> tuple[str, ...]:
        """Keep up to four points, fewer where the tone asks for short sentences; the first always."""
        room = self._material.brief.tone.max_sentence_words - frame.words
        kept = 1
        while kept < min(4, len(points)) and sum(len(p.split()) for p in points[: kept + 1]) <= room:
            kept += 1
        return points[:kept]

    def _call(self, room: Room) -> str:
        material = self._material
        calls = material.calls
        start = self._dice.below(len(calls))
        turned = calls[start:] + calls[:start]
        call = next((one for one in turned if not self._chooser.echoes(one)), turned[0])
        self._chooser.say(call)
        link = material.link if room.most_chars >= _LEAST_FOR_LINK else ""
        if room.is_spoken and material.join:  # without spaces a bare host cannot be told from the text
            link = link.partition("://")[2].rstrip("/")
        return f"{call}{material.colon}{link}" if link else finish(call, material.stop)

    def _fact_line(self, label: str, value: str) -> str:
        return finish(f"{label}{self._material.colon}{value}", self._material.stop)

    def _listed(self, pieces: list[str]) -> str:
        return capitalised(finish(self._material.list(pieces), self._material.stop))

    def _must(self, page: _Page) -> None:
        """Add what copy may not lack: which thing it is about, every key point, the call."""
        material = self._material
        brief = material.brief
        self._full_name(page)
        if any(word and not page.says(word) for word in (brief.name, brief.item)):
            leads = page.steps[0].function in ("proof", "interest", "offer")
            titled = any(spec.role == "title" for spec in brief.fields)
            home = page.steps[1] if titled and leads and len(page.steps) > 1 else page.steps[0]
            page.add(home, finish(self._identity(), material.stop), must=True, leads=leads)
        if material.greeting and brief.placement.kind in ("email", "message"):
            page.greeting = material.greeting
            page.changed()
            if not page.state()[0]:
                page.greeting = ""
                page.changed()
        self._complete(page)
        named = f"{brief.name} {brief.item}"
        tag = brief.language.tag
        missing = [
            p for p in brief.points if not page.says(p) and material.may_say(p) and not covers(named, p, tag)
        ]
        if missing:
            self._tell(page, self._listed(missing))
        elif not self._tells_a_fact(page):
            self._tell(page, self._fact(page))
        wants_call = not material.is_listed and any(intent != "none" for intent in brief.use_case.cta_intents)
        if wants_call and not page.call and all(step.function != "action" for step in page.steps):
            call = self._call(page.room)
            page.add(page.steps[-1], call, must=bool(material.link))
            page.call = call

    def _complete(self, page: _Page) -> None:
        """Let the line that names the thing say what belongs to its noun, where the noun ends the line."""
        material = self._material
        phrase, item = material.phrase, material.brief.item
        if (
            not phrase
            or page.says(phrase)
            or (not material.complement and any(map(page.says, material.loose)))
        ):
            return
        for step in page.steps:
            for at, line in enumerate(step.lines):
                said = line.rstrip(_ENDS)
                if line == page.call or step.closed or not said.casefold().endswith(item.casefold()):
                    continue
                if self._is_quoted(line) or line[len(said) :][:1] in _ASKS:
                    continue
                step.lines[at] = f"{said}{phrase[len(item) :]}{line[len(said) :]}"
                page.changed()
                if page.state()[0] and page.room.allows(step.lines[at]):
                    self._drop(page, finish(capitalised(material.complement), material.stop))
                    return
                step.lines[at] = line
                page.changed()

    def _drop(self, page: _Page, line: str) -> None:
        for step in page.steps:
            if line in step.lines and len(step.lines) > 1:
                step.lines.remove(line)
        page.steps[:] = [step for step in page.steps if step.lines != [line]]
        page.changed()

    def _tells_a_fact(self, page: _Page) -> bool:
        """Whether a line says more of the thing than its name and noun."""
        material = self._material
        facts = (
            *filter(None, (material.phrase, material.complement)),
            *material.said_points,
            *(value for _, value in (*material.details, *material.terms)),
        )
        return any(map(page.says, facts)) or any(
            self._is_quoted(line) for step in page.steps for line in step.lines if line != page.call
        )

    def _fact(self, page: _Page) -> str:
        """Give what the brief says of the thing and fits best: a sentence, else details; empty if it says nothing."""
        material, room = self._material, page.room
        told = [finish(capitalised(material.complement), material.stop)] if material.complement else []
        told += [s for passage in material.sentences for s in (passage, *self._apart(passage))]
        told += [self._listed(list(material.said_points[:count])) for count in (3, 1) if material.said_points]
        told += [self._fact_line(*fact) for fact in (*material.details, *material.terms)]
        fitting = [line for line in told if room.fits(line) and room.allows(line)]
        most = room.high * _MOST_TOLD
        return next((line for line in fitting if room.size(line) <= most), min(fitting, key=len, default=""))

    def _apart(self, passage: str) -> list[str]:
        brief = self._material.brief
        return split_sentences(passage, brief.language.tag, brief.name)

    def _tell(self, page: _Page, line: str) -> None:
        """Add a line that says something of the brief, in the place of a phrase where there is no room for both."""
        if line and not self._makes_room(page, line):
            page.add(page.home("proof", "desire", "solution"), line, must=True)

    def _makes_room(self, page: _Page, line: str) -> bool:
        """Put *line* in the place of a phrase if the text has no comfortable room for both."""
        for function in ("proof", "interest", "desire", "problem", "attention"):
            for step in page.steps:
                if page.room.judge(page.room.grown(page.sizes(), line, len(page.joiner)))[1]:
                    return False
                phrase = step.lines[0]
                names = self._material.label.casefold() in phrase.casefold() or phrase == page.call
                told = any(point.casefold() in phrase.casefold() for point in self._material.said_points)
                if step.function != function or step.closed or names or told or self._is_quoted(phrase):
                    continue
                step.lines[0] = line
                page.changed()
                if page.state()[0]:
                    return True
                step.lines[0] = phrase
                page.changed()
        return False

    def _full_name(self, page: _Page) -> None:
        """Put the whole name where the text so far has only its noun."""
        brief = self._material.brief
        if not brief.name or page.says(brief.name) or brief.item.casefold() not in brief.name.casefold():
            return
        for step in page.steps:
            for at, line in enumerate(step.lines):
                # A sentence of the brief stands as its author wrote it.
                if brief.item and brief.item in line and not self._is_quoted(line):
                    step.lines[at] = line.replace(brief.item, brief.name, 1)
                    page.changed()
                    return

    def _is_quoted(self, line: str) -> bool:
        said = line.rstrip(" .。।")
        return any(said in passage for passage in self._material.sentences)

    def _identity(self) -> str:
        brief = self._material.brief
        if brief.name and brief.item and brief.item.casefold() not in brief.name.casefold():
            return f"{brief.name}{self._material.colon}{self._material.lowered(brief.item)}"
        return capitalised(self._material.label)

    def _wishes(self, page: _Page) -> None:
        """Add what there is room for: terms, audience, details, quoted sentences, another phrase."""
        for home, line in self._extras(page):
            if line and not page.says(line):
                page.add(home, line)
        if page.room.low and not self._material.is_listed:
            for step in [s for s in page.steps if s.function in ("interest", "desire")][:_FILLERS]:
                if page.room.size(page.text()) < page.room.low:
                    page.add(step, self._frame_line(page.room, step.function, short=False, nameless=True))

    def _extras(self, page: _Page) -> Iterator[tuple[_Step, str]]:
        material = self._material
        proof = page.home("proof", "desire", "solution")
        # In a short text the facts stand together: apart they read like strays between the phrases.
        short = page.room.own_chars < _SHORT_TEXT
        for label, value in material.terms:
            home = proof if short else page.home("offer", "desire", "proof", "solution")
            yield home, self._fact_line(label, value)
        yield page.home("interest", "solution", "attention"), material.audience
        unsaid = [p for p in material.said_points if not page.says(p)]
        if unsaid and not (short and self._makes_room(page, self._listed(unsaid[:4]))):
            yield proof, self._listed(unsaid[:4])
        quotes = list(self._quotable(page.room))
        yield page.home("interest", "solution", "proof"), next(iter(quotes), "")
        for label, value in material.details[:4]:
            if not page.says(value):
                yield proof, self._fact_line(label, value)
        for sentence in quotes[1:4]:
            if not any(
                point.casefold() in sentence.casefold() and page.says(point) for point in material.points
            ):
                yield proof, sentence

    def _quotable(self, room: Room) -> Iterator[str]:
        """Give the brief's passages that the rules let into the field, of a long one its first sentence.

        The rules are asked because the brief's own words may break them too.
        """
        most = room.high * _MOST_QUOTED
        for passage in self._material.sentences:
            if room.size(passage) > most:
                passage = next(filter(self._material.says_more, self._apart(passage)), "")
            if passage and room.size(passage) <= most and room.allows(passage):
                yield passage

    def _settled(self, page: _Page) -> Body | None:
        """Shorten until the text fits: shorter frames first, then fewer lines, then fewer steps."""
        for shorten in (None, self._shorter_frames, self._fewer_steps):
            if shorten is not None:
                shorten(page)
            text = self._typed(page.text())
            if page.room.fits(text) and page.room.allows(text):
                parts = tuple(
                    Part(step=s.name, field=page.room.spec.name, text=page.joiner.join(s.lines))
                    for s in page.steps
                )
                return Body(text, parts)
        return None

    def _typed(self, text: str) -> str:
        """Write an SMS in characters that do not halve its room."""
        return text.translate(_PLAIN_TYPE) if self._material.brief.placement.platform == "sms" else text

    def _shorter_frames(self, page: _Page) -> None:
        for step in sorted(page.steps, key=lambda s: -len(s.lines[0])):
            if page.state()[1]:
                return
            if step.function == "action" and (self._material.link or self._material.brief.cta):
                continue
            # It holds points or a sentence, which another frame would say again or lose.
            if step.function == "proof" or self._is_quoted(step.lines[0]):
                continue
            names = self._material.full_label in step.lines[0]
            self._named = self._named and not names
            naming = self._naming if names else None
            line = self._frame_line(page.room, step.function, short=True, slots=naming)
            if line and len(line) < len(step.lines[0]):
                step.lines[0] = line
                page.changed()

    def _fewer_phrases(self, page: _Page) -> None:
        """Leave phrases out of a short text that says something of the brief and is longer than advised."""
        for step in list(page.steps):
            if page.state()[1] or len(page.steps) < 3 or not self._tells_a_fact(page):
                return
            if step.function not in ("action", "offer") and not step.closed and self._is_phrase(page, step):
                page.steps.remove(step)
                page.changed()

    def _is_phrase(self, page: _Page, step: _Step) -> bool:
        """Whether a step holds authored words alone."""
        material, low = self._material, "\n".join(step.lines).casefold()
        labelled = (value for _, value in (*material.details, *material.terms))
        told = (*material.said_points, material.complement, material.audience, page.call, *labelled)
        if any(piece.casefold() in low for piece in told if piece) or any(map(self._is_quoted, step.lines)):
            return False
        return not any(map(self._tells, step.lines)) or self._is_named_in_quote(page, low)

    def _is_named_in_quote(self, page: _Page, said: str) -> bool:
        """Whether *said* names no more than the noun, and a sentence of the brief in the text has it."""
        brief = self._material.brief
        if brief.name or not brief.item or any(point.casefold() in said for point in brief.points):
            return False
        lines = (line.casefold() for step in page.steps for line in step.lines if self._is_quoted(line))
        return any(brief.item.casefold() in line for line in lines)

    def _fewer_steps(self, page: _Page) -> None:
        # Where little more than a headline is shown, what is advised is what is seen.
        tight = page.room.is_tight and page.room.adds_up
        fits = page.room.comfortable if tight else page.room.fits
        while len(page.steps) > 1 and not fits(page.text()):
            longest = max(page.steps, key=lambda s: len(s.lines))
            if len(longest.lines) > 1:
                longest.lines.pop()
            else:
                middle = [s for s in page.steps if s.function not in ("action", "solution")] or page.steps
                phrases = [s for s in page.steps if not self._tells(s.lines[0]) and s.lines[0] != page.call]
                page.steps.remove(max(phrases or middle, key=lambda s: len(s.lines[0])))
        page.changed()

    def _tells(self, line: str) -> bool:
        """Whether a line says which thing it is, or a key point."""
        brief, low = self._material.brief, line.casefold()
        return any(said.casefold() in low for said in (brief.name, brief.item, *brief.points) if said)

    def _glue(self, room: Room) -> str:
        kind = self._material.brief.placement.kind
        if room.chars < _SHORT_TEXT:
            return "\n" if kind == "social" else self._material.join
        if kind in _PARAGRAPH_KINDS or room.chars > _LONG_TEXT:
            return "\n\n"
        return "\n" if kind in _LINE_KINDS else self._material.join
