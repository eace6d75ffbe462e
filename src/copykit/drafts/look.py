"""What is known of one text, computed once and shared by every rule."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from copykit.data import load_toml
from copykit.lazy import lazy
from copykit.models import Severity, Violation

__all__ = ["EMOJI", "URL", "WORD", "Look", "Rule", "emoji_count", "lowered", "rules", "violation"]

# The standard library's \w leaves out combining vowel signs, so Indic, Thai and pointed words would fall apart.
_MARKS = r"\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u200c\u200d"
WORD_CLASS = rf"\w{_MARKS}"
_COMBINING = frozenset(
    chr(code)
    for first, last in (
        (0x300, 0x36F), (0x483, 0x487), (0x591, 0x5C7), (0x64B, 0x65F), (0x670, 0x670), (0x900, 0x963),
        (0x966, 0xDFF), (0xE31, 0xE4E), (0x200C, 0x200D),
    )
    for code in range(first, last + 1)
)  # fmt: skip
# The same words where no combining sign stands in the text; several times faster.
_BARE = lazy(r"\w+(?:'\w+)*")
WORD = lazy(rf"[{WORD_CLASS}]+(?:['’][{WORD_CLASS}]+)*")
"""One word of any script; an apostrophe inside it belongs to it."""

URL = lazy(r"(?:https?://|www\.)[^\s<>\"'，。）)]+|\b[\w.+-]{1,64}+@[\w-]+\.[\w.-]+", re.IGNORECASE)
_TOKEN = lazy(r"\{\{[^{}]*\}\}|\{[^{}]*\}|%[A-Z_]+%")

_PICTURES = "\U0001f000-\U0001faff\u2600-\u27bf\u2300-\u23ff\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299"
# Arrows, check marks and dingbats that fonts show as text unless U+FE0F follows: not emoji by themselves.
_TEXTUAL = frozenset("✓✔✗✘★☆♥♦♣♠•⌘⌃⌥⏎☎✆✉✎✏✂✈❝❞❶❷❸❹❺➜➔➤➢✦✧✱✳✴❖☐☑☒⌀⌂")
EMOJI = lazy(
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3|"
    rf"[{_PICTURES}](?:\ufe0f|[\U0001f3fb-\U0001f3ff])*(?:\u200d[{_PICTURES}](?:\ufe0f|[\U0001f3fb-\U0001f3ff])*)*"
)


class Rule(NamedTuple):
    """One rule of the catalogue as ``data/rules/rules.toml`` gives it."""

    id: str
    title: str
    severity: Severity
    fix: str
    """What to do about it, as a clause."""
    source: str
    date: str
    confidence: str
    labels: frozenset[str]
    """Keys of facts that turn a claim word before a colon into their label: ``Discount: 20 %``."""


@cache
def rules() -> dict[str, Rule]:
    """Give every rule by id, in the order of the data file."""
    return {
        name: Rule(
            id=name,
            title=row["title"],
            severity=row["severity"],
            fix=row.get("fix", ""),
            source=row.get("source", ""),
            date=row.get("date", ""),
            confidence=row.get("confidence", "U"),
            labels=frozenset(row.get("labels", ())),
        )
        for name, row in load_toml("rules/rules.toml").items()
    }


def violation(
    rule: str,
    field: str,
    what: str,
    *,
    severity: Severity | None = None,
    measured: float | int | str | None = None,
    limit: float | int | str | None = None,
    unit: str | None = None,
    span: tuple[int, int] | None = None,
    source: str | None = None,
) -> Violation:
    """Build the violation of *rule*; severity, advice and source come from the rule data unless given."""
    data = rules()[rule]
    # Every value is built here from checked data: validating it again would triple the cost of a finding.
    return Violation.model_construct(
        rule=rule,
        field=field,
        severity=severity or data.severity,
        message=f"{what}: {data.fix}" if data.fix else what,
        measured=measured,
        limit=limit,
        unit=unit,
        span=span,
        source=source if source is not None else data.source or None,
    )


def lowered(text: str) -> str:
    """Give *text* in lower case with every offset kept, typographic apostrophes and no-break spaces made plain."""
    if text.isascii():
        return text.lower()
    low = text.lower()
    if len(low) != len(text):  # only U+0130 grows when lowered
        low = text.replace("İ", "i").lower()
    for mark, plain in _PLAIN:  # four searches cost a tenth of one `translate`
        if mark in low:
            low = low.replace(mark, plain)
    return low


_PLAIN = (("’", "'"), ("\u00a0", " "), ("\u202f", " "), ("\u2011", "-"))


def emoji_count(text: str) -> int:
    """Count emoji, a joined sequence or a flag as one; characters that fonts show as text are left out."""
    if text.isascii():
        return 0
    return sum(1 for found in EMOJI.finditer(text) if found.group() not in _TEXTUAL)


_GAPS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}


class Look:
    """One text with what the rules ask of it: its characters, words, and a copy without links and tokens."""

    __slots__ = (
        "_gappy",
        "_links",
        "_masked",
        "ascii",
        "chars",
        "label",
        "lower",
        "names",
        "plain",
        "sizes",
        "text",
        "word_set",
        "words",
    )

    def __init__(self, text: str, label: str = "", names: tuple[str, ...] = ()) -> None:
        self.text = text
        self.label = label
        self.names = names
        self.ascii = self.plain = text.isascii()
        """`plain`: whether every letter is ASCII, whatever the marks."""
        self.chars = set(text)
        self.words: list[str]
        """The words in lower case, in order; `word_set` holds each once."""
        if self.ascii:
            self.lower = text.lower()
            if "'" in self.chars:
                self.words = WORD.findall(self.lower)
            else:
                self.words = self.lower.translate(_GAPS).split()
        else:
            self.lower = plain = lowered(text)
            for mark in self.chars:  # a few replacements cost a fraction of finding the words among them
                if mark > "\x7f" and not mark.isalnum() and mark not in _COMBINING:
                    plain = plain.replace(mark, " ")
            self.plain = plain.isascii()
            if self.plain and "'" not in plain:
                self.words = plain.translate(_GAPS).split()
            else:
                self.words = (_BARE if _COMBINING.isdisjoint(self.chars) else WORD).findall(self.lower)
        self.word_set = set(self.words)
        self.sizes: dict[tuple[str, bool], float] = {}
        """What it measures, by unit and by whether an emoji counts double, as far as anyone asked."""
        self._masked: str | None = None
        self._links: list[tuple[int, int]] | None = None
        self._gappy: bool | None = None

    def labelled(self, label: str) -> Look:
        """Give the same text under another label, without reading it again."""
        copy = Look.__new__(Look)
        for slot in Look.__slots__:
            setattr(copy, slot, getattr(self, slot))
        copy.label = label
        return copy

    @property
    def links(self) -> list[tuple[int, int]]:
        """Spans of links and mail addresses, closing marks included."""
        if self._links is None:
            self._links = _links_of(self)
        return self._links

    @property
    def gappy(self) -> bool:
        """Whether single letters stand apart somewhere: what every word that is spaced out shows."""
        if self._gappy is None:
            self._gappy = "_" in self.chars or any(len(word) == 1 for word in self.word_set)
        return self._gappy

    @property
    def masked(self) -> str:
        """The text with links, addresses, merge tokens and given names replaced by letters of equal length."""
        if self._masked is None:
            text = self.text
            for start, end in self.links:
                end = start + len(text[start:end].rstrip(".,;:!?"))  # a mark after a link closes the sentence
                text = text[:start] + "x" * (end - start) + text[end:]
            if "{" in self.chars or "%" in self.chars:
                text = _TOKEN.sub(_blank, text)
            for name in self.names:
                if name in text:
                    text = text.replace(name, "x" * len(name))
            self._masked = text
        return self._masked


_SCHEME = lazy(r"https?://|www\.")


def _links_of(look: Look) -> list[tuple[int, int]]:
    text = look.text
    if "@" in look.chars:
        return [found.span() for found in URL.finditer(text)]
    if "://" not in text and "www." not in look.lower:
        return []
    # Without a mail address every match of `URL` begins with a scheme, which is found much faster.
    spans: list[tuple[int, int]] = []
    for found in _SCHEME.finditer(look.lower):
        if not spans or found.start() >= spans[-1][1]:
            whole = URL.match(text, found.start())
            if whole is not None:
                spans.append(whole.span())
    return spans


def _blank(found: re.Match[str]) -> str:
    return "x" * len(found.group())
