"""Pick frames and fill them: varied within a set, never the same twice, always by the dice."""

from __future__ import annotations

from collections.abc import Iterator

from copykit.providers.phrasebank.bank import Frame
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material

__all__ = ["Chooser"]

_NARROWEST = 0.4


class Chooser:
    """Offers filled frames of a function in a drawn order; remembers what one request has used.

    One chooser serves all variants and fields of a request, so that no frame is repeated while others are left.
    """

    def __init__(self, material: Material, dice: Dice) -> None:
        self._material = material
        self._dice = dice
        self._used: set[str] = set()
        self._pools: dict[str, list[Frame]] = {}
        self._round = 0
        brief = material.brief
        self._have = frozenset(
            slot
            for slot, value in (
                ("name", brief.name),
                ("item", brief.item),
                ("label", material.label),
                ("point", material.points or material.details),
                ("points", material.points),
            )
            if value
        )

    def offers(self, function: str, *, short: bool, slots: frozenset[str] | None = None) -> Iterator[Frame]:
        """Give unused frames first, then used ones; with *slots*, only frames that carry one of them."""
        pool = self._pool(function)
        self._round += 1
        order = self._dice.fork(self._round).shuffled(pool)
        fitting = [f for f in order if f.short == short and (slots is None or f.slots & slots)]
        yield from (f for f in fitting if f.id not in self._used)
        yield from (f for f in fitting if f.id in self._used)

    def take(self, frame: Frame) -> None:
        """Remember that *frame* was used."""
        self._used.add(frame.id)

    def is_fresh(self, frame: Frame) -> bool:
        """Say whether *frame* was not used yet."""
        return frame.id not in self._used

    def new_variant(self, number: int) -> None:
        """Start another variant: its own stream of choices."""
        self._round = (number + 1) * 1000

    def fill(self, frame: Frame, *, point: str = "", points: str = "") -> str:
        """Put the brief's words into *frame*."""
        if not frame.slots:
            return frame.text
        brief = self._material.brief
        return frame.text.format(
            name=brief.name, item=brief.item, label=self._material.label, point=point, points=points
        )

    def _pool(self, function: str) -> list[Frame]:
        pool = self._pools.get(function)
        if pool is None:
            pool = self._pools[function] = self._make_pool(function)
        return pool

    def _make_pool(self, function: str) -> list[Frame]:
        brief = self._material.brief
        creativity = brief.request.creativity_level
        frames = self._material.bank.frames(function, brief.tone.family, wide=creativity >= 0.5)
        usable = [f for f in frames if f.slots <= self._have and f.words <= brief.tone.max_sentence_words]
        usable = usable or [f for f in frames if f.slots <= self._have]
        share = _NARROWEST + (1 - _NARROWEST) * creativity
        return [
            frame
            for short in (True, False)
            for frame in _front([f for f in usable if f.short == short], share)
        ]


def _front(frames: list[Frame], share: float) -> list[Frame]:
    """Keep the first *share* of a cell, at least three: authors put the plainest first."""
    return frames[: max(3, round(len(frames) * share))]
