"""Pick frames and fill them: varied within a set, used ones only when no others are left, always by the dice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache

from copykit.brief.catalog import language
from copykit.data import load_toml
from copykit.drafts.coverage import stems
from copykit.drafts.wording import wording_of
from copykit.lazy import lazy
from copykit.providers.phrasebank.bank import Frame
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material

__all__ = ["Chooser"]

_START = lazy(r"(?<=[.?!…] )[¿¡]?[a-zà-öø-ÿ](?=[a-zà-öø-ÿ]+\b)")
"""A small letter where a sentence starts: a slot that stands there."""
_NARROWEST = 0.4
"""Share of a cell's frames that is used at creativity 0."""
_BORROWS_FROM = 0.5
_SLOT = lazy(r"\{\w+\}")
_IDEOGRAPHS = lazy(r"[\u4e00-\u9fff]{2,}")
_MANY = 40
"""Stems said from which repeating one cannot be helped: a set of many short texts."""
_SHORTEST, _STEM = 4, 6
"""Letters from which a stem is a content word, and of which it is told: ``consider`` and ``consideration`` are one."""


class Chooser:
    """Offers the frames of a function in a drawn order, and fills them; remembers what one request has used.

    One chooser serves all variants and fields of a request, so that no frame is repeated while others are left.
    """

    def __init__(self, material: Material, dice: Dice) -> None:
        self._material = material
        self._dice = dice
        self._used: set[str] = set()
        self._said: set[str] = set()
        """Stems of the authored words that this variant holds so far."""
        self._pools: dict[tuple[str, bool], tuple[list[Frame], list[Frame]]] = {}
        self._round = 0
        brief = material.brief
        self._tag = brief.language.tag
        self._have = frozenset(
            slot
            for slot, value in (
                ("name", brief.name),
                ("item", brief.item),
                ("label", material.label),
                ("point", material.single_points or material.details),
                ("points", material.said_points),
            )
            if value
        )

    def offers(self, function: str, *, short: bool, slots: frozenset[str] | None = None) -> Iterator[Frame]:
        """Give unused frames of the tone's family, then unused impersonal ones, then used ones.

        Those that would say a word of this variant again ("the details ... see the details") come behind those
        that do not. With *slots*, only frames that carry one of them.
        """
        own, borrowed = self._pool(function, short)
        self._round += 1
        dice = self._dice.fork(self._round)
        order = dice.shuffled(own)
        used = self._used
        echoing: list[Frame] = []
        is_set = len(self._said) > _MANY
        for cell in (order, borrowed):
            for frame in cell if cell is order else dice.shuffled(cell):
                if frame.id in used or not (slots is None or frame.slots & slots):
                    continue
                if not is_set and self.echoes(frame.text):
                    echoing.append(frame)
                else:
                    yield frame
        yield from echoing
        for frame in order:
            if frame.id in used and (slots is None or frame.slots & slots):
                yield frame

    def take(self, frame: Frame) -> None:
        """Remember that *frame* was used."""
        self._used.add(frame.id)
        self.say(frame.text)

    def say(self, text: str) -> None:
        """Remember the words of an authored *text* that this variant holds."""
        self._said.update(_stems(text, self._tag))

    def echoes(self, text: str) -> bool:
        """Say whether *text* repeats a content word of what this variant's authored texts said."""
        return not self._said.isdisjoint(_stems(text, self._tag))

    def leans(self, frame: Frame) -> bool:
        """Say whether *frame* begins as if something stood before it, which no asset of a set may (rule M-13)."""
        return _leans(frame.text, self._tag)

    def is_fresh(self, frame: Frame) -> bool:
        """Say whether *frame* was not used yet."""
        return frame.id not in self._used

    def new_variant(self, number: int) -> None:
        """Start another variant: its own stream of choices."""
        self._round = (number + 1) * 1000
        self._said.clear()

    def fill(self, frame: Frame, *, label: str = "", point: str = "", points: str = "") -> str:
        """Put the brief's words into *frame*; *label* is the name unless given."""
        if not frame.slots:
            return frame.text
        brief = self._material.brief
        text = frame.text.format(
            name=brief.name,
            item=brief.item,
            label=label or self._material.label,
            point=point,
            points=points,
        )
        if ".." in text and "..." not in text:  # the name ends in a full stop of its own
            text = text.replace("..", ".")
        return _START.sub(lambda found: found.group().upper(), text) if frame.opens_late else text

    def _pool(self, function: str, short: bool) -> tuple[list[Frame], list[Frame]]:
        pool = self._pools.get((function, short))
        if pool is None:
            bank, tone = self._material.bank, self._material.brief.tone
            # An impersonal call ("to compare, to choose") is none beside "your day".
            wide = function != "action" and self._material.brief.request.creativity_level >= _BORROWS_FROM
            pool = self._pools[function, short] = (
                self._usable(bank.own(function, tone.family, short)),
                self._usable(bank.borrowed(function, tone.family, short)) if wide else [],
            )
        return pool

    def _usable(self, frames: tuple[Frame, ...]) -> list[Frame]:
        """Keep the frames whose slots can be filled and whose sentences suit the tone, as many as asked for."""
        brief = self._material.brief
        fillable = [f for f in frames if f.slots <= self._have]
        if brief.placement.kind != "social":  # nobody can send or scroll past a search ad
            feed = _feed_words(brief.language.tag.partition("-")[0])
            fillable = [f for f in fillable if not any(word in f.text.lower() for word in feed)] or fillable
        usable = [f for f in fillable if f.words <= brief.tone.max_sentence_words] or fillable
        share = _NARROWEST + (1 - _NARROWEST) * brief.request.creativity_level
        return _front(usable, share)


@cache
def _feed_words(language: str) -> tuple[str, ...]:
    """Give the pieces of words by which a phrase is one for social media (``data/phrases/feeds.toml``)."""
    return tuple(load_toml("phrases/feeds.toml").get(language, ()))


@lru_cache(maxsize=16384)
def _leans(text: str, tag: str) -> bool:
    return wording_of(language(tag)).leaning.opens(text.lower()) is not None


@lru_cache(maxsize=16384)
def _stems(text: str, tag: str) -> frozenset[str]:
    """Give the stems of an authored text's content words; pairs of ideographs where words are not spaced."""
    bare = _SLOT.sub(" ", text)
    if tag[:2] in ("ja", "zh"):
        return frozenset(run[at : at + 2] for run in _IDEOGRAPHS.findall(bare) for at in range(len(run) - 1))
    return frozenset(stem[:_STEM] for stem in stems(bare, tag) if len(stem) >= _SHORTEST)


def _front(frames: list[Frame], share: float) -> list[Frame]:
    """Keep the first *share* of a cell, at least three: authors put the plainest first."""
    return frames[: max(3, round(len(frames) * share))]
