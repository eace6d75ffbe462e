"""How much room a field gives: measured in its own unit, hard bounds kept, advised ones aimed at."""

from __future__ import annotations

from dataclasses import dataclass

from copykit.brief.catalog import FieldSpec, Limit
from copykit.drafts.measure import measure

__all__ = ["Room"]

_OPEN_ENDED = {"w": 160.0, "s": 60.0}
_OPEN_CHARS = 700.0
"""Where a platform advises nothing, copy stays readable rather than filling the space."""
_LEAST_CHARS = 60.0


@dataclass(frozen=True, slots=True)
class Room:
    """The bounds of one field."""

    limits: tuple[Limit, ...]
    language: str
    low: float
    """Advised minimum in the unit of the first limit that gives one; 0 if none."""
    high: float
    """What to aim below: the advised maximum, never above the hard bound."""
    aim: Limit | None
    """The limit that *low* and *high* belong to; None counts code points."""

    @classmethod
    def of(cls, spec: FieldSpec, language: str) -> Room:
        """Read the bounds of *spec*."""
        aim = next((limit for limit in spec.limits if limit.rec_max is not None), None)
        aim = aim or (spec.limits[0] if spec.limits else None)
        if aim is None:
            return cls((), language, 0.0, _OPEN_CHARS, None)
        default = _OPEN_ENDED.get(aim.unit, _OPEN_CHARS)
        high = aim.rec_max if aim.rec_max is not None else min(aim.hard or default, default)
        return cls(spec.limits, language, aim.rec_min or 0.0, float(high), aim)

    def size(self, text: str) -> float:
        """Measure *text* in the unit aimed at."""
        if self.aim is None:
            return len(text)
        return measure(text, self.aim.unit, language=self.language, emoji_double=self.aim.emoji_double)

    def fits(self, text: str) -> bool:
        """Say whether *text* keeps every hard bound."""
        for limit in self.limits:
            if limit.hard is not None:
                size = measure(text, limit.unit, language=self.language, emoji_double=limit.emoji_double)
                if size > limit.hard:
                    return False
        return True

    def comfortable(self, text: str) -> bool:
        """Say whether *text* keeps the hard bounds and the advised maximum."""
        return self.size(text) <= self.high and self.fits(text)

    @property
    def is_tight(self) -> bool:
        """Whether only short phrases have room: about a headline."""
        chars = {"w": 6.0, "s": 15.0}.get(self.aim.unit if self.aim else "cp", 1.0)
        wide = 2.0 if self.aim and self.aim.unit in ("dw", "xw") and self.language[:2] in ("ja", "zh") else 1.0
        return self.high * chars < _LEAST_CHARS * wide
