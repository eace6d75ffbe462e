"""One variant: every field of the placement by its role, with one set of choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from copykit.brief.catalog import FieldSpec, Structure
from copykit.drafts.draft import Draft
from copykit.models import Part
from copykit.providers.phrasebank.assets import Assets
from copykit.providers.phrasebank.body import BodyWriter
from copykit.providers.phrasebank.choose import Chooser
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.listing import Listing
from copykit.providers.phrasebank.material import Material
from copykit.providers.phrasebank.room import Rooms
from copykit.providers.phrasebank.surface import Surface

__all__ = ["VariantWriter"]

_FUNCTIONS_OF_ROLE = {
    "long_headline": ("solution", "desire", "interest"),
    "description": ("proof", "desire", "action", "interest"),
    "preheader": ("proof", "interest"),
    "label": ("proof", "action", "solution"),
}
"""What a short field says when the structure's steps stand elsewhere."""
_OPENING = ("attention", "solution", "interest", "desire")
_BODY_ROLES = frozenset({"body", "script"})
_SHORT_ROLES = frozenset(
    {"headline", "long_headline", "description", "subject", "preheader", "overlay", "label"}
)
Value = str | list[str]


class VariantWriter:
    """Writes one draft; *dice* and *structure* are the variant's own."""

    def __init__(
        self, material: Material, chooser: Chooser, rooms: Rooms, dice: Dice, structure: Structure
    ) -> None:
        self._material = material
        self._rooms = rooms
        self._dice = dice
        self._structure = structure
        self._assets = Assets(material, chooser, rooms, dice)
        self._body = BodyWriter(material, chooser, rooms, dice)
        self._listing = Listing(material, rooms)
        self._surface = Surface(material, rooms, dice)
        self._pieces: list[tuple[str, Part]] = []
        self._open_steps: list[str] = []
        self._pointed: FieldSpec | None = None
        self._calling: FieldSpec | None = None

    def write(self) -> Draft:
        """Fill every field that the brief has something to say in."""
        brief = self._material.brief
        has_body = any(spec.role in _BODY_ROLES and spec.default_count for spec in brief.fields)
        fields: dict[str, Value] = {}
        self._open_steps = [] if has_body else list(self._structure.functions)
        self._pointed = None if has_body else self._roomiest(brief.fields)
        self._calling = None if has_body else self._last_telling(brief.fields)
        for spec in sorted(brief.fields, key=lambda one: one.role == "keywords"):
            override = brief.request.fields.get(spec.name)
            if override is not None and override.text is not None:
                fields[spec.name] = [override.text] if spec.is_list else override.text
                continue
            if not spec.default_count and not spec.required:
                continue
            value = self._keywords(spec, fields) if spec.role == "keywords" else self._field(spec, has_body)
            if value:
                fields[spec.name] = value
        ordered = {spec.name: fields[spec.name] for spec in brief.fields if spec.name in fields}
        return Draft(ordered, tuple(self._ordered_parts()), self._structure.id)

    def _field(self, spec: FieldSpec, has_body: bool) -> Value | None:
        if spec.role in _BODY_ROLES:
            return self._long(spec)
        if spec.role in _SHORT_ROLES:
            return self._short(spec, has_body)
        writer = self._table().get(spec.role)
        return writer(spec) if writer is not None else None

    def _table(self) -> dict[str, Callable[[FieldSpec], Value | None]]:
        listing = self._listing
        return {
            "title": lambda spec: _shape(spec, [listing.title(spec)]),
            "name": lambda spec: _shape(spec, [listing.name(spec)]),
            "cta": self._calls,
            "cta_choice": self._choice,
            "hashtags": lambda spec: listing.hashtags(spec, spec.default_count),
            "path": lambda spec: _shape(spec, [listing.path(spec, 1 if spec.name.endswith("2") else 0)]),
            "url": lambda spec: _shape(spec, [self._material.brief.url]),
            "bullets": self._bullets,
            "highlights": self._highlights,
            "identifier": lambda spec: listing.identifier(),
        }

    def _long(self, spec: FieldSpec) -> Value | None:
        texts: list[str] = []
        for _ in range(max(1, spec.default_count)):
            body = self._body.write(spec, self._structure, self._surface.tail(spec))
            if body is None or body.text in texts:
                continue
            exclaims = self._structure.functions[0] in ("attention", "solution")
            texts.append(self._surface.dress(spec, body.text, exclaims=exclaims))
            if len(texts) == 1:
                self._pieces.extend((part.step, part) for part in body.parts)
        return _shape(spec, texts)

    def _short(self, spec: FieldSpec, has_body: bool) -> Value | None:
        """Write a short field: the structure's open steps where no long field carries them, else by role."""
        if has_body:
            functions = _FUNCTIONS_OF_ROLE.get(spec.role) or self._turn(_OPENING)
        elif spec.is_list:
            functions = self._structure.functions
        else:
            functions = (*self._open_steps, *self._turn(_FUNCTIONS_OF_ROLE.get(spec.role, _OPENING)))
        named = self._assets.named
        assets = self._assets.write(spec, max(1, spec.default_count), functions)
        if spec is self._pointed:
            lead = assets[0].text if assets and self._dice.below(2) else ""
            pointed = self._assets.pointed(spec, lead, named=named)
            assets = [pointed] if pointed is not None else assets
        if assets and spec is self._calling:
            assets = [self._assets.called(spec, assets[0])]
        if not has_body:
            self._name_steps(spec, [(a.function, a.text) for a in assets])
        return _shape(spec, [a.text for a in assets])

    def _roomiest(self, specs: Sequence[FieldSpec]) -> FieldSpec | None:
        """Give the short field with the most room, where no longer text and no set carries the caller's key points."""
        short = [s for s in specs if s.role in _SHORT_ROLES and s.default_count]
        if not self._material.brief.points or any(s.is_list for s in short):
            return None
        return max(short, key=lambda s: self._rooms.of(s).own_chars, default=None)

    def _last_telling(self, specs: Sequence[FieldSpec]) -> FieldSpec | None:
        """Give the description that should end in the call, where no field is made for it."""
        intents = self._material.brief.use_case.cta_intents
        written = [s for s in specs if s.default_count]
        if not intents or intents[0] == "none" or any(s.role in ("cta", "cta_choice") for s in written):
            return None
        telling = [s for s in written if s.role == "description"]
        return (
            None
            if self._material.is_listed or any(s.is_list for s in telling)
            else next(reversed(telling), None)
        )

    def _turn(self, functions: tuple[str, ...]) -> tuple[str, ...]:
        """Start the functions at a drawn one, so that variants open differently."""
        start = self._dice.below(len(functions))
        return functions[start:] + functions[:start]

    def _name_steps(self, spec: FieldSpec, texts: list[tuple[str, str]]) -> None:
        for function, text in texts:
            for step, wanted in zip(self._structure.steps, self._structure.functions, strict=True):
                if wanted == function and all(named != step for named, _ in self._pieces):
                    self._pieces.append((step, Part(step=step, field=spec.name, text=text)))
                    if wanted in self._open_steps:
                        self._open_steps.remove(wanted)
                    break

    def _ordered_parts(self) -> list[Part]:
        order = {step: index for index, step in enumerate(self._structure.steps)}
        return [part for _, part in sorted(self._pieces, key=lambda piece: order[piece[0]])]

    def _calls(self, spec: FieldSpec) -> Value | None:
        room = self._rooms.of(spec)
        count = max(1, spec.default_count)
        options = (*self._dice.shuffled(self._material.calls), *self._material.spare_calls)
        fitting = (call for call in options if room.fits(call) and room.allows(call))
        calls = [call for call, _ in zip(fitting, range(count), strict=False)]
        self._name_steps(spec, [("action", call) for call in calls[:1]])
        return _shape(spec, calls)

    def _choice(self, spec: FieldSpec) -> Value | None:
        """Choose from the platform's own list by the use case's intent."""
        for intent in (self._material.intent, *self._material.brief.use_case.cta_intents):
            choice = spec.choice_intents.get(intent)
            if choice:
                return _shape(spec, [choice])
        return _shape(spec, [spec.choices[0]]) if spec.choices and spec.required else None

    def _bullets(self, spec: FieldSpec) -> Value | None:
        lines = self._listing.bullets(spec)[: max(spec.default_count, spec.rec_max_count or 0, 1)]
        own = (self._material.brief.item, self._material.brief.name)
        lines += [text for text in own if text and text not in lines][: max(0, spec.min_count - len(lines))]
        if len(lines) < spec.min_count:
            extra = self._assets.write(spec, spec.min_count - len(lines), ("interest", "desire", "solution"))
            lines += [asset.text.rstrip(".。।") for asset in extra]
        return _shape(spec, lines)

    def _highlights(self, spec: FieldSpec) -> Value | None:
        lines = self._listing.bullets(spec)
        if spec.is_list:
            return lines[: spec.rec_max_count or spec.default_count]
        text = ""
        for line in lines:
            longer = f"{text}{self._material.comma}{line}" if text else line
            if self._rooms.of(spec).allows(longer) and "." not in line:
                text = longer
        return text

    def _keywords(self, spec: FieldSpec, written: dict[str, Value]) -> Value | None:
        if spec.is_list:
            return self._listing.keywords(spec, max(spec.default_count, 1))
        indexed = (v for n, v in written.items() if n in ("title", "name", "subtitle") and isinstance(v, str))
        fresh = self._listing.joined_keywords(spec, " ".join(indexed))
        return fresh or (self._listing.joined_keywords(spec, "") if spec.required else "")


def _shape(spec: FieldSpec, texts: list[str]) -> Value | None:
    texts = [text for text in texts if text]
    if not texts:
        return None
    return texts if spec.is_list else texts[0]
