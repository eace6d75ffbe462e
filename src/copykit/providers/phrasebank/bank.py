"""A language's authored phrases, read once and indexed by function and family."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from copykit.brief.catalog import Language
from copykit.data import load_json, names
from copykit.drafts.repair import apply_marks
from copykit.lazy import lazy

__all__ = ["Bank", "Frame", "bank_for", "spoken"]

_BARE = frozenset({"{label}", "{name}", "{item}"})
_SLOT = lazy(r"\{(\w+)\}")
_WORDS = lazy(r"[^\W_]\S*")
_NEIGHBOUR = "plain"
"""Its frames are impersonal, so they may stand beside any form of address."""


class Frame(NamedTuple):
    """One authored phrase."""

    id: str
    function: str
    text: str
    """With ``{slot}`` marks; spacing and marks of the language applied."""
    slots: frozenset[str]
    short: bool
    words: int
    """Words of its longest sentence, slots counted as two."""
    borrowed: bool
    """Whether it belongs to the impersonal family, which others fall back on."""
    opens_late: bool
    """Whether a slot starts a sentence that is not the first, and so needs a capital."""

    @property
    def is_bare(self) -> bool:
        """Whether it is a slot and nothing else: a headline, but no sentence of a text."""
        return self.text.rstrip(".。।") in _BARE


class Bank(NamedTuple):
    """Everything authored for one language."""

    language: str
    reviewed: bool
    cells: dict[tuple[str, str, bool], tuple[Frame, ...]]
    cta: dict[str, dict[str, list[str]]]
    labels: dict[str, str]
    audience: tuple[str, ...]
    greeting: dict[str, str]
    list_intro: dict[str, list[str]]
    faq: tuple[dict[str, str], ...]
    opt_out: dict[str, str]

    def own(self, function: str, family: str, short: bool) -> tuple[Frame, ...]:
        """Give the frames of a cell in one length class."""
        return self.cells[function, family, short]

    def borrowed(self, function: str, family: str, short: bool) -> tuple[Frame, ...]:
        """Give the impersonal frames that any family may fall back on; none for that family itself."""
        return () if family == _NEIGHBOUR else self.cells[function, _NEIGHBOUR, short]


@cache
def spoken() -> tuple[str, ...]:
    """List the base tags that have a bank, sorted."""
    return tuple(names("phrases", ".json"))


def bank_for(language: Language) -> Bank | None:
    """Give the bank that serves *language*, or None: ``es-MX`` is served by ``es``, ``pt-PT`` by none."""
    tags = spoken()
    tag = language.tag
    base = tag.partition("-")[0]
    if tag in tags:
        return _load(tag, tag)
    return _load(base, tag) if base in tags else None


@cache
def _load(file: str, tag: str) -> Bank:
    from copykit.brief.catalog import language as find

    data: dict[str, Any] = load_json(f"phrases/{file}.json")
    language = find(tag)
    cells = {
        (function, family, size == "s"): tuple(
            _frame(f"{function}.{family}.{size}{number}", function, size == "s", text, language)
            for number, text in enumerate(texts)
        )
        for function, families in data["frames"].items()
        for family, classes in families.items()
        for size, texts in classes.items()
    }

    def marked(text: str) -> str:
        return apply_marks(text, language)

    return Bank(
        language=file,
        reviewed=bool(data.get("reviewed")),
        cells=cells,
        cta={
            intent: {level: [marked(call) for call in calls] for level, calls in levels.items()}
            for intent, levels in data["cta"].items()
        },
        labels=data["labels"],
        audience=tuple(marked(text) for text in data["audience"]),
        greeting={level: marked(text) for level, text in data["greeting"].items()},
        list_intro={level: [marked(text) for text in texts] for level, texts in data["list_intro"].items()},
        faq=tuple({**entry, "q": marked(entry["q"])} for entry in data["faq"]),
        opt_out={channel: marked(text) for channel, text in data["opt_out"].items()},
    )


def _frame(identity: str, function: str, short: bool, text: str, language: Language) -> Frame:
    slots = frozenset(_SLOT.findall(text))
    marked = apply_marks(text, language)
    counted = _SLOT.sub("x x", text)
    words = max(len(_WORDS.findall(part)) for part in re.split(r"[.?!…。？؟।]", counted))
    opens_late = re.search(r"[.?!…]\s\{", marked) is not None
    borrowed = f".{_NEIGHBOUR}." in identity
    return Frame(identity, function, marked, slots, short, words, borrowed, opens_late)
