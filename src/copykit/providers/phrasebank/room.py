"""How much room a field gives: measured in its own unit, hard bounds kept, advised ones aimed at."""

from __future__ import annotations

from operator import le

from copykit.brief.catalog import FieldSpec, Limit
from copykit.drafts.check import Checker
from copykit.drafts.measure import measure

__all__ = ["Room", "Rooms"]

_OPEN_ENDED = {"w": 160.0, "s": 60.0}
_OPEN_CHARS = 700.0
"""Where a platform advises nothing, copy stays readable rather than filling the space."""
_LEAST_CHARS = 60.0
_CHARS_PER = {"w": 6.0, "s": 14.0}
"""Characters that one word or one spoken second stands for, roughly, to judge room by."""
_ADDITIVE = frozenset({"cp", "u16", "u8", "gr", "dw", "xw", "threads", "w", "s"})
_ONE_A_CHAR = frozenset({"cp", "u16", "u8", "gr", "dw", "threads"})
"""Units in which ASCII text measures its number of characters."""


class Room:
    """The bounds of one field, and which texts the rules let into it; remembers what it has judged."""

    def __init__(self, spec: FieldSpec, language: str, checker: Checker) -> None:
        self.spec = spec
        aim = next((limit for limit in spec.limits if limit.rec_max is not None), None)
        aim = aim or (spec.limits[0] if spec.limits else None)
        unit = aim.unit if aim else "cp"
        default = _OPEN_ENDED.get(unit, _OPEN_CHARS)
        hard = aim.hard if aim and aim.hard is not None else default
        self.low = (aim.rec_min or 0.0) if aim else 0.0
        """Advised minimum in the unit aimed at; 0 if none."""
        self.high = float(aim.rec_max if aim and aim.rec_max is not None else min(hard, default))
        """What to aim below: the advised maximum, never above the hard bound."""
        self.wide = language[:2] in ("ja", "zh")
        self.tags: str | None = None
        """The hashtags that end the field's texts, once they are known."""
        self._checker = checker
        self._language = language
        self._hard = [limit for limit in spec.limits if limit.hard is not None]
        self._bounds = [limit.hard for limit in spec.limits if limit.hard is not None]
        self._aim = aim
        self._units = {limit.unit for limit in spec.limits}
        self.adds_up = all(limit.unit in _ADDITIVE for limit in spec.limits)
        """Whether the size of a text is the sum of its lines'."""
        self._gap_counts = tuple(
            float(limit is None or limit.unit not in ("w", "s")) for limit in (aim, *self._hard)
        )
        # Limits in one unit share one measuring: aim and bound mostly are the same limit.
        bounds = (aim, *self._hard)
        kinds = {(limit.unit, limit.emoji_double) if limit else None: limit for limit in bounds}
        self._kinds = tuple(kinds.values())
        places = {kind: at for at, kind in enumerate(kinds)}
        self._place_of = tuple(
            places[(limit.unit, limit.emoji_double) if limit else None] for limit in bounds
        )
        self._sizes: dict[str, tuple[float, ...]] = {}
        self._allowed: dict[str, bool] = {}

    @property
    def chars(self) -> float:
        """The characters of English text that say as much as the advised maximum, roughly."""
        unit = self._aim.unit if self._aim else "cp"
        doubled = 2.0 if self.wide and unit not in ("dw", "xw") else 1.0
        return self.own_chars * doubled

    @property
    def own_chars(self) -> float:
        """The characters that the advised maximum holds, roughly."""
        return self.high * _CHARS_PER.get(self._aim.unit if self._aim else "cp", 1.0)

    @property
    def most_chars(self) -> float:
        """The characters of English text that the hard bound holds, roughly; infinite without one."""
        bounds = (
            limit.hard * _CHARS_PER.get(limit.unit, 1.0) for limit in self._hard if limit.hard is not None
        )
        return min(bounds, default=float("inf")) if "sms" not in self._units else float("inf")

    @property
    def is_spoken(self) -> bool:
        """Whether the text is read aloud."""
        return "s" in self._units

    @property
    def is_tight(self) -> bool:
        """Whether only short phrases have room: about a headline."""
        return self.chars < _LEAST_CHARS

    def size(self, text: str) -> float:
        """Measure *text* in the unit aimed at."""
        return self._measured(text)[0]

    def fits(self, text: str) -> bool:
        """Say whether *text* keeps every hard bound."""
        return self._keeps(self._measured(text))

    def comfortable(self, text: str) -> bool:
        """Say whether *text* keeps the hard bounds and the advised maximum."""
        sizes = self._measured(text)
        return sizes[0] <= self.high and self._keeps(sizes)

    def allows(self, text: str) -> bool:
        """Say whether the rules let *text* into the field."""
        known = self._allowed.get(text)
        if known is None:
            known = self._allowed[text] = self._checker.allows(self.spec, text)
        return known

    def total(self, pieces: list[str], gap: int) -> tuple[float, ...]:
        """Add up the sizes of *pieces* with *gap* characters of separators in all.

        Sizes add up in every unit but SMS segments and pixels; there the pieces are measured as one text.
        """
        if not self.adds_up:
            return self._measured(" ".join(pieces))
        sizes = [sum(column) for column in zip(*map(self._measured, pieces), strict=True)]
        return tuple([size + gap * counts for size, counts in zip(sizes, self._gap_counts, strict=True)])

    def grown(self, total: tuple[float, ...], piece: str, gap: int) -> tuple[float, ...]:
        """Give *total* with one more piece and *gap* more characters of separators; only where sizes add up."""
        more = self._measured(piece)
        return tuple([t + m + gap * c for t, m, c in zip(total, more, self._gap_counts, strict=True)])

    def judge(self, total: tuple[float, ...]) -> tuple[bool, bool]:
        """Tell whether a text of these sizes fits, and fits comfortably."""
        fits = self._keeps(total)
        return fits, fits and total[0] <= self.high

    def _keeps(self, sizes: tuple[float, ...]) -> bool:
        return all(map(le, sizes[1:], self._bounds))

    def _measured(self, text: str) -> tuple[float, ...]:
        """Give the size in the unit aimed at, then in the unit of each hard bound."""
        sizes = self._sizes.get(text)
        if sizes is None:
            measured = [self._one(text, limit) for limit in self._kinds]
            sizes = self._sizes[text] = tuple([measured[at] for at in self._place_of])
        return sizes

    def _one(self, text: str, limit: Limit | None) -> float:
        if limit is None or (limit.unit in _ONE_A_CHAR and text.isascii()):
            return len(text)
        return measure(text, limit.unit, language=self._language, emoji_double=limit.emoji_double)


class Rooms:
    """The rooms of one request, made once and shared by its variants."""

    def __init__(self, language: str, checker: Checker) -> None:
        self.checker = checker
        self._language = language
        self._rooms: dict[str, Room] = {}

    def of(self, spec: FieldSpec) -> Room:
        """Give the room of *spec*."""
        room = self._rooms.get(spec.name)
        if room is None:
            room = self._rooms[spec.name] = Room(spec, self._language, self.checker)
        return room
