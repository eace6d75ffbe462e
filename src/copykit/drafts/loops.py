"""Sentences and phrases that one text says again: what a writer does that has lost its thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from copykit.drafts.look import WORD, Look, lowered, violation
from copykit.drafts.mechanics import sentences
from copykit.lazy import lazy
from copykit.models import Violation

__all__ = ["loops"]

_LONGEST = 12
"""Words of a phrase that is looked for right behind itself."""
_LEAST = {1: 4, 2: 3, 3: 3}
"""How often a phrase of so many words stands in a row until it is a loop; longer ones, twice."""
_PHRASE = 3
"""Words from which a sentence is no exclamation that may well come back."""
_GLYPHS = 6
"""The same in characters, where no spaces part words."""
_EXCLAIMED = 4
"""How often a shorter one may not stand."""
_SHARE = 0.2
"""Share of a text that repeats the rest of it, from which nobody would publish it."""
_READ = 20_000
"""Characters of a text without spaces that are searched: a loop shows early."""
# Runs of characters behind themselves; long ones twice, short ones oftener: Japanese doubles its sounds.
_RUN = lazy(r"(.{8,60})\1|(.{4,7})\2{2}|(.{2,3})\3{4}")


def loops(look: Look, *, spaced: bool, source: str) -> Violation | None:
    """Find a sentence that *look* says twice or oftener, or a phrase that follows upon itself within one.

    What *source*, the brief's own words, repeats as often is no fault. An error where it makes up a fifth of the
    text or comes a third time, else a warning: a long text may close with the call that it began with.
    """
    if spaced:
        if len(look.words) - len(look.word_set) < _PHRASE:
            return None
    elif _pairs_again("".join(look.words)) < _GLYPHS - 1:
        return None
    told = [WORD.findall(lowered(part)) for part in sentences(look.text)]
    again = _sentences(look, told, spaced, source)
    if again is not None:
        return again
    for words in told:
        run = _run(words) if spaced else _glyphs(words)
        if run and run not in _joined(source, spaced):
            return violation("M-29", look.label, f"{_shown(run)!r} goes round in a loop")
    return None


def _sentences(look: Look, told: Sequence[Sequence[str]], spaced: bool, source: str) -> Violation | None:
    if len(told) < 2:
        return None
    for said, count in Counter((" " if spaced else "").join(words) for words in told).most_common():
        if count < 2:
            return None
        size, whole = len(said), len("".join(look.words))
        if spaced:
            size, whole = len(said.split()), len(look.words)
        if not said or (count < _EXCLAIMED and size < (_PHRASE if spaced else _GLYPHS)):
            continue
        if _joined(source, spaced).count(said) >= count:
            continue
        loud = count > 2 or size * (count - 1) >= _SHARE * whole
        return violation(
            "M-29",
            look.label,
            f"{_shown(said)!r} stands {count} times",
            severity="error" if loud else "warning",
            measured=count,
            limit=1,
        )
    return None


def _run(words: Sequence[str]) -> str:
    """Give the words of the first phrase that stands in a row with itself, empty if none does."""
    if not any(map(_is_word, words)):
        return ""
    for size in range(1, min(_LONGEST, len(words) // 2) + 1):
        needed = size * (_LEAST.get(size, 2) - 1)
        same = 0
        for at in range(size, len(words)):
            same = same + 1 if words[at] == words[at - size] else 0
            if same == needed:
                run = words[at - needed - size + 1 : at + 1]
                if any(map(_is_word, run[:size])):  # no measures: 4 x 4 x 4
                    return " ".join(run)
    return ""


def _is_word(word: str) -> bool:
    return len(word) > 2 and word.isalpha()


def _glyphs(words: Sequence[str]) -> str:
    """The same in characters, for languages written without spaces."""
    text = "".join(words)[:_READ]
    if _pairs_again(text) < _GLYPHS:
        return ""
    found = _RUN.search(text)
    return found.group() if found is not None and any(c.isalpha() for c in found.group()) else ""


def _pairs_again(text: str) -> int:
    """Count pairs of neighbouring characters that stood before: fewer than a loop has means that there is none."""
    return max(0, len(text) - 1) - len(set(pairwise(text)))


def _joined(source: str, spaced: bool) -> str:
    return (" " if spaced else "").join(WORD.findall(lowered(source)))


def _shown(said: str) -> str:
    return said if len(said) <= 60 else f"{said[:59]}…"
