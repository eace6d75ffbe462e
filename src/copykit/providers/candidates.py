"""Several texts of one model for one prompt, and which of them are given on.

A small model writes sense and nonsense in turn, and no check of copy tells them apart. It is itself the better judge: what
it found likely word by word reads well, and what a grammar forced on it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from copykit.brief.plain import PlainPrompt
from copykit.drafts.accept import Judged, judge_each
from copykit.drafts.draft import Draft

__all__ = ["Candidate", "chosen", "likelihood"]


_LENT = 0.15
"""What a word that an example lent takes from a text's likelihood: about as much as an unexpected word does."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One text."""

    text: str
    likelihood: float
    """Mean natural logarithm of its tokens' probabilities; the nearer to 0, the more expected."""


def likelihood(logs: Sequence[float]) -> float:
    """Give the mean of the second half of *logs*, a token each; 0.0 of none.

    The first half of a plain text is its name and its figures, which stand there whatever the model expected.
    """
    told = logs[len(logs) // 2 :]
    return sum(told) / len(told) if told else 0.0


def chosen(candidates: Sequence[Candidate], plain: PlainPrompt) -> list[str]:
    """Give as many texts as *plain* wants, fewer if there are no more: those that pass all checks first, and
    among them those that say most of the key points, then the likeliest.

    One that repeats the instructions or an example is left out, and so is the second of two that are alike.
    """
    brief, name = plain.prompt.brief, plain.spec.name
    texts: dict[str, float] = {}
    for one in candidates:
        text = one.text.strip()
        if text and not plain.is_told_by(text):
            texts.setdefault(text, one.likelihood - _LENT * plain.borrowed(text))
    judged = judge_each([Draft({name: text}) for text in texts], brief, written_by_model=True)
    ranked = sorted(
        zip(texts, judged, strict=True),
        key=lambda pair: (
            sum(violation.severity == "error" for violation in pair[1].variant.violations),
            -_covered(pair[1]),
            -texts[pair[0]],
        ),
    )
    return [text for text, _ in ranked[: plain.count]]


def _covered(judged: Judged) -> float:
    """Give the share of the brief's key points that a text says; 0.0 where there are none."""
    found = judged.variant.scores.get("coverage")
    return found.value if found is not None else 0.0
