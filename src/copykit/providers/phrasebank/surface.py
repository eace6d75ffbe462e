"""What the tone adds to a finished text: an exclamation mark, an emoji, hashtags, a legal line."""

from __future__ import annotations

from functools import cache

from copykit.brief.catalog import FieldSpec
from copykit.brief.extract import split_sentences
from copykit.data import load_toml
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.listing import Listing
from copykit.providers.phrasebank.material import Material
from copykit.providers.phrasebank.room import Rooms

__all__ = ["Surface"]

_EMOJI_FROM = 0.3
"""Creativity below which no emoji is used."""
_OPENING_MARK = {"es": ("¡", "!")}
_ASKING = ("か", "かな", "でしょう", "吗", "呢", "吧")
"""Endings that ask without a question mark: an exclamation mark would contradict them."""
_WIDE_MARK = {"ja": "！", "zh": "！"}


class Surface:
    """Applies a tone's surface settings, within what the placement allows."""

    def __init__(self, material: Material, rooms: Rooms, dice: Dice) -> None:
        self._material = material
        self._rooms = rooms
        self._dice = dice

    def tail(self, spec: FieldSpec) -> str:
        """Give what ends the text: hashtags where they belong inside it, the opt-out line of a message."""
        brief = self._material.brief
        if brief.placement.platform == "sms" and brief.use_case.id == "sms_campaign":
            return self._material.bank.opt_out["sms"]
        has_field = any(f.role == "hashtags" for f in brief.fields)
        room = brief.placement.hashtags.rec_max or 0
        if brief.placement.kind != "social" or has_field or not room:
            return ""
        field = self._rooms.of(spec)
        if field.tags is None:
            tags = Listing(self._material, self._rooms).hashtags(None, min(room, 3))
            field.tags = " ".join(tag for tag in tags if field.allows(tag))
        return field.tags

    def dress(self, spec: FieldSpec, text: str, *, exclaims: bool) -> str:
        """Add the tone's exclamation (if the opening line *exclaims*) and emoji, where the result is allowed."""
        for change in (self._exclaim, self._with_emoji) if exclaims else (self._with_emoji,):
            changed = change(text)
            if changed != text and self._rooms.of(spec).allows(changed):
                text = changed
        return text

    def _exclaim(self, text: str) -> str:
        tone = self._material.brief.tone
        if not tone.exclamations_per_field or tone.axes[3] < 1 or self._dice.below(2):
            return text
        tag = self._material.brief.language.tag
        stop = self._material.stop
        # of the first sentence alone: an opening mark must not stand before two of them
        first = next(iter(split_sentences(text.partition("\n")[0], tag, self._material.brief.name)), "")
        said = first.removesuffix(stop)
        is_whole = first == text and bool(self._material.join)
        if said == first or is_whole or len(said) < 3 or not text.startswith(first):
            return text
        # "Price: 5 EUR!" shouts a fact; "Look: Norr!" presents the thing.
        labels = any(mark in said for mark in ":：") and self._material.label not in said
        if said.endswith(_ASKING) or labels or any(mark in said for mark in "?？؟"):
            return text
        base = tag.partition("-")[0]
        opening, mark = _OPENING_MARK.get(base, ("", _WIDE_MARK.get(base, "!")))
        if base == "fr":
            mark = "\u202f!" if tag != "fr-CA" else "!"
        return f"{opening}{said}{mark}{text[len(first) :]}"

    def _with_emoji(self, text: str) -> str:
        brief = self._material.brief
        most = brief.placement.emoji.hard_max
        allowed = min(brief.tone.max_emoji, 99 if most is None else most, brief.placement.emoji.rec_max or 0)
        if allowed < 1 or brief.request.creativity_level < _EMOJI_FROM:
            return text
        signs = _emoji().get(brief.tone.family, [])
        if not signs:
            return text
        sign = signs[self._dice.below(len(signs))]
        head, line, rest = text.partition("\n")
        return f"{head} {sign}{line}{rest}"


@cache
def _emoji() -> dict[str, list[str]]:
    table: dict[str, list[str]] = load_toml("phrases/emoji.toml")["families"]
    return table
