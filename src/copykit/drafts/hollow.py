"""Whether a text says anything: beyond the name of the thing, beyond the brief's own words, and about the thing at all.

What a language model wrote is asked all of this. The authored phrases always say something, and quote the brief on
purpose; of them is asked only whether they name the product or any fact of the brief.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from copykit.brief.brief import Brief
from copykit.brief.catalog import FieldSpec
from copykit.brief.extract import split_sentences
from copykit.drafts.coverage import covered
from copykit.drafts.language_match import language_match
from copykit.drafts.look import WORD, Look, lowered, violation
from copykit.drafts.mechanics import HASHTAG
from copykit.drafts.wording import Wording
from copykit.lazy import lazy
from copykit.models import Violation

__all__ = ["Subject", "told_sentences"]

_TELLING = frozenset({"body", "description", "script"})
"""Roles that have to say something by themselves; a headline or a name may be the name."""
_UNREAD = frozenset({"cta", "cta_choice", "hashtags", "keywords", "url", "path", "identifier", "info"})
"""Roles that a reader of the text does not read as part of it."""
_SENTENCE = 40.0
"""Characters of a short sentence that names a thing."""
_LEAST_TOLD = 8
_ROOM = 60.0
"""Characters that a field has to hold before its text has to say more than a name."""
_FEWEST = 3
"""Words beside names, labels and figures of a text that says something; where no spaces part them, twice as many
characters. In a list a figure is enough: its other texts say the rest."""
_ENDS = frozenset(".!?…。！？؟।")
_CLOSERS = "\"'”’»)」』）"
_STEM = 5
"""Letters by which two words of a language are held for the same."""
_SPOKEN = 8
"""Words of a brief from which its language can be told."""
_MARKS = lazy(r"[\W_]+")


class Subject:
    """What one brief is about, as far as a text can be held against it; worked out at the first question."""

    def __init__(self, brief: Brief, wording: Wording) -> None:
        self._brief = brief
        self._wording = wording

    def faults(self, spec: FieldSpec, look: Look) -> list[Violation]:
        """Give what keeps *look*, a model's text for *spec*, from saying anything: at most one error."""
        if spec.role not in _TELLING or not _holds(spec, _ROOM):
            return []
        said = HASHTAG.sub(" ", look.text) if "#" in look.chars or "＃" in look.chars else look.text
        words = WORD.findall(lowered(said))
        hollow = self._idle.issuperset(words) if spec.is_list else self._is_hollow(words)
        if hollow:
            return [violation("C-24", look.label, f"{_shown(look.text)!r} says no more than a name")]
        if self._is_echo(said, words) and not (spec.is_list and "".join(words) in self._points):
            return [
                violation(
                    "C-25", look.label, f"{_shown(look.text)!r} is a piece of the brief, and no sentence"
                )
            ]
        return []

    def strays(self, looks: Sequence[tuple[FieldSpec, Look]]) -> Violation | None:
        """Tell whether a model's whole draft is about something else: no text of it holds a word of the brief."""
        telling = [look for spec, look in looks if spec.role in _TELLING]
        if not telling or not self._is_tellable:
            return None
        known = self._known
        for _, look in looks:
            if any(word in known or (len(word) >= _STEM and word[:_STEM] in known) for word in look.words):
                return None
        return violation("C-26", telling[0].label, "no word of the brief is said")

    def is_missing(self, looks: Sequence[tuple[FieldSpec, Look]]) -> Violation | None:
        """Tell whether a draft of the phrase bank, which says the brief's words as they are, says none of them.

        A field that cannot hold a short sentence need not; and what the caller wrote for a field is the caller's.
        """
        asked = self._brief.request.fields
        roomy = [look for spec, look in looks if spec.role not in _UNREAD and _holds(spec, _SENTENCE)]
        if not roomy or any(asked[name].text for name in asked):
            return None
        said = "\n".join(look.text for spec, look in looks if spec.role not in _UNREAD)
        if any(covered(self._pieces, said, self._brief.language.tag)):
            return None
        if self._wording.spaced:
            known = self._known
            shared = {
                word for _, look in looks for word in look.words if len(word) >= _STEM and word in known
            }
            if len(shared) >= _FEWEST - 1:
                return None
        return violation("C-26", roomy[0].label, "neither the product nor any fact of the brief is said")

    @cached_property
    def _pieces(self) -> tuple[str, ...]:
        """What the brief holds to say: names, the noun, points, details, facts, sentences."""
        brief = self._brief
        pieces = [brief.name, brief.brand.name, brief.item, *brief.points, *brief.attributes, *brief.keywords]
        pieces += [*(fact.value for fact in brief.facts), *told_sentences(brief)]
        return tuple(piece for piece in pieces if piece)

    def _is_hollow(self, words: list[str]) -> bool:
        if not self._wording.spaced:
            left = "".join(words)
            for name in self._given:
                left = left.replace(name, "")
            return len(left) < 2 * _FEWEST
        said = sum(
            len(word) > 1
            and not any(map(str.isdigit, word))
            and word not in self._idle
            and word.upper() not in self._wording.acronyms
            for word in words
        )
        return said < _FEWEST

    def _is_echo(self, said: str, words: list[str]) -> bool:
        """Whether the text is a piece of the brief, with or without a name before it, that no mark closes."""
        if said.rstrip().rstrip(_CLOSERS)[-1:] in _ENDS:
            return False
        for name in self._names:
            own = name.split() if self._wording.spaced else [name]
            if len(words) > len(own) and words[: len(own)] == own:
                words = words[len(own) :]
                break
        text = "".join(words)
        return any(text in line for line in self._lines)

    @cached_property
    def _given(self) -> tuple[str, ...]:
        """Names, each as the words it is made of, the longest first."""
        return self._worded(self._brief.name, self._brief.brand.name)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Names, and what the thing is called by its kind."""
        return self._worded(self._brief.name, self._brief.brand.name, self._brief.item)

    def _worded(self, *names: str) -> tuple[str, ...]:
        joiner = " " if self._wording.spaced else ""
        told = {joiner.join(WORD.findall(lowered(name))) for name in names if name}
        return tuple(sorted(told - {""}, key=len, reverse=True))

    @cached_property
    def _idle(self) -> frozenset[str]:
        """Words that say nothing by themselves: names, labels of fields."""
        names = {word for name in self._given for word in name.split()}
        labels = {word for label in self._wording.labels for word in label.split()}
        return frozenset({*names, *labels, "product", "name", "item", "price"})

    @cached_property
    def _lines(self) -> tuple[str, ...]:
        """The brief's texts, letters and figures alone: a space more or less makes no new text."""
        return tuple("".join(WORD.findall(lowered(line))) for line in self._brief.source_text.splitlines())

    @cached_property
    def _points(self) -> frozenset[str]:
        """The caller's key points in the form of `_lines`: one of several texts may be one of them as it is."""
        return frozenset("".join(WORD.findall(lowered(point))) for point in self._brief.points)

    @cached_property
    def _known(self) -> frozenset[str]:
        """Words of the brief that are no grammar, and what each begins with."""
        words = {
            word
            for word in WORD.findall(lowered(self._brief.source_text))
            if len(word) > 2 and word not in self._wording.function_words
        }
        return frozenset({*words, *(word[:_STEM] for word in words if len(word) >= _STEM)})

    @cached_property
    def _is_tellable(self) -> bool:
        """Whether brief and copy are surely in one language, or the brief has a name that none translates."""
        brief, wording = self._brief, self._wording
        if not wording.spaced or not self._known:
            return False
        if brief.brand.name or any(
            len(word) > 3 and word.isalpha() and word.isupper() and word not in wording.acronyms
            for word in brief.name.split()
        ):
            return True
        look = Look(brief.source_text)
        grammar = sum(word in wording.function_words for word in look.word_set)
        if grammar < _FEWEST or len(look.words) < _SPOKEN:
            return False
        return language_match(look, brief.language, wording.foreign, frozenset(), "") is None


def told_sentences(brief: Brief) -> tuple[str, ...]:
    """Give the sentences of the description, each by itself, long enough to be known again."""
    text = brief.source_text.partition("\n")[0] if not brief.sentences else " ".join(brief.sentences)
    parts = split_sentences(text, brief.language.tag.partition("-")[0], brief.name)
    return tuple(part for part in (*parts, brief.request.product_description) if len(part) >= _LEAST_TOLD)


def _holds(spec: FieldSpec, characters: float) -> bool:
    return all(
        limit.hard is None or limit.hard >= characters or limit.unit in ("w", "s", "sms")
        for limit in spec.limits
    )


def _shown(text: str) -> str:
    text = _MARKS.sub(" ", text).strip() or text
    return text if len(text) <= 60 else f"{text[:59]}…"
