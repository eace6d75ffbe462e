"""Punctuation as each language writes it (facts 2.5): one table of marks that both finds and mends."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import chain, repeat
from typing import NamedTuple

from copykit.brief.catalog import Language, Placement
from copykit.drafts.look import URL, Look, violation
from copykit.lazy import lazy
from copykit.models import Violation

__all__ = [
    "Mark",
    "apply_marks",
    "locale_marks",
    "marked_characters",
    "marks_of",
    "open_marks",
    "outside_links",
    "plain_typing",
    "substituted",
]

_AR = r"\u0621-\u065f\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f"
_KANA_KANJI = r"\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff々"
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
_THAI = r"\u0e01-\u0e4e"
_NNBSP, _NBSP = "\u202f", "\u00a0"

_TO_FULL = {"!": "！", "?": "？", ",": "、", ".": "。"}
_TO_FULL_ZH = {",": "，", ".": "。", "!": "！", "?": "？", ":": "：", ";": "；", "(": "（", ")": "）"}
_TO_HALF_KO = {"，": ",", "。": ".", "！": "!", "？": "?"}
_TO_ARABIC = {",": "،", ";": "؛", "?": "؟"}


class Mark(NamedTuple):
    """One punctuation rule of a language."""

    rule: str
    trigger: frozenset[str]
    """Characters of which at least one must occur for the rule to be looked at."""
    find: re.Pattern[str]
    fix: Callable[[re.Match[str]], str] | str


def _mark(rule: str, trigger: str, find: str, fix: Callable[[re.Match[str]], str] | str) -> Mark:
    return Mark(rule, frozenset(trigger), lazy(find), fix)


def _table(table: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda found: "".join(table.get(c, c) for c in found.group())


def _full_width(found: re.Match[str]) -> str:
    text = found.group()
    return f"（{text[1:-1]}）" if len(text) > 1 else _TO_FULL_ZH.get(text, text)


def _half(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found.group())


# Straight pairs around words; a mark after a digit is an inch sign and stays.
_STRAIGHT = r'(?<![\w"])"(?=\S)([^"\n]*?[^\s\d"])"(?!\w)'
_ENGLISH = r"“([^“”„\n]+)”"


def _quotes(rule: str, opening: str, closing: str) -> list[Mark]:
    fixed = rf"{opening}\1{closing}"
    marks = [_mark(rule, '"', _STRAIGHT, fixed)]
    if (opening, closing) != ("“", "”"):
        marks.append(_mark(rule, "“", r"(?<!„)" + _ENGLISH if opening == "„" else _ENGLISH, fixed))
    return marks


_FRENCH_FRANCE = [
    _mark("P-FR-3", ";!?", r"(?<=\S)(?<![;!?\u00a0\u202f]) +(?=[;!?](?!\w))", _NNBSP),
    _mark("P-FR-3", ":", r"(?<=\S) +(?=:(?:[\s»]|$))", _NBSP),
    _mark("P-FR-3", "»", r"(?<=\S) +(?=»)", _NBSP),
    _mark("P-FR-3", "«", r"« +(?=\S)", "«" + _NBSP),
    _mark("P-FR-1", ";!?", r"(?<=[^\s\u00a0\u202f;!?¿¡(&])(?=[;!?](?:[\s\u00a0\u202f»)\"”;!?]|$))", _NNBSP),
    _mark("P-FR-2", ":", r"(?<=[^\s\u00a0\u202f:])(?=:(?:[\s»]|$))", _NBSP),
    _mark("P-FR-2", "«", r"«(?=[^\s\u00a0\u202f])", "«" + _NBSP),
    _mark("P-FR-2", "»", r"(?<=[^\s\u00a0\u202f])(?=»)", _NBSP),
]
_FRENCH_CANADA = [
    _mark("P-FR-3", ":", r"(?<=\S) +(?=:(?:[\s»]|$))", _NBSP),
    _mark("P-FR-3", "»", r"(?<=\S) +(?=»)", _NBSP),
    _mark("P-FR-3", "«", r"« +(?=\S)", "«" + _NBSP),
    _mark("P-FR-3", ";!?", r"(?<=\S)[ \u00a0\u202f]+(?=[;!?](?:\s|$))", ""),
    _mark("P-FR-2", ":", r"(?<=[^\s\u00a0\u202f:])(?=:(?:[\s»]|$))", _NBSP),
    _mark("P-FR-2", "«", r"«(?=[^\s\u00a0\u202f])", "«" + _NBSP),
    _mark("P-FR-2", "»", r"(?<=[^\s\u00a0\u202f])(?=»)", _NBSP),
]
_ARABIC = [
    _mark("P-AR-1", ",;?", rf"(?<=[{_AR}»)])[,;?]|[,;?](?=\s*[{_AR}])(?<![\w,;?].)", _table(_TO_ARABIC))
]
_JAPANESE = [
    _mark("P-JA-1", " ", rf"(?<=[{_KANA_KANJI}]) +(?=[{_KANA_KANJI}])", ""),
    _mark("P-JA-1", " ", r"(?<=\S) +(?=[、。，！？）」』】])|(?<=[、，（「『【]) +(?=[^\s#@])", ""),
    _mark("P-JA-2", "!?,.", rf"(?<=[{_KANA_KANJI}])[!?,.]+(?![A-Za-z0-9.])", _table(_TO_FULL)),
    Mark("P-JA-2", frozenset(chr(c) for c in range(0xFF61, 0xFFA0)), lazy(r"[\uff61-\uff9f]+"), _half),
]
_CHINESE = [
    _mark("P-ZH-3", "！？", r"([！？])\1+", r"\1"),
    # Both brackets of a pair or none: what stands inside may be Latin at either end.
    _mark(
        "P-ZH-1",
        ",.!?:;()",
        rf"\([^()（）\n]*[{_HAN}][^()（）\n]*\)|(?<=[{_HAN}])\([^()（）\n]*\)|\([^()（）\n]*\)(?=[{_HAN}])"
        rf"|(?<=[{_HAN}）」》])[,!?;]|(?<=[{_HAN}])[()]|(?<=[{_HAN}])\.(?![\w.])|(?<=[{_HAN}]):(?!\d|//)"
        rf"|[!?()](?=[{_HAN}])|[,;](?= ?[{_HAN}])",
        _full_width,
    ),
    _mark("P-ZH-4", " ", r"(?<=\S) +(?=[、。，！？；：）」》】])|(?<=[、。，；：（「《【]) +(?=[^\s#@])", ""),
    Mark(
        "P-ZH-2",
        frozenset(chr(c) for c in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))),
        lazy(r"[０-９Ａ-Ｚａ-ｚ]+"),
        _half,
    ),
]
_KOREAN = [_mark("P-KO-1", "，。！？", r"[，。！？]", _table(_TO_HALF_KO))]
_THAI_MARKS = [_mark("P-TH-1", ".", rf"(?<=[{_THAI}]{{4}})\.(?=\s|$)", "")]
_ROMANIAN = [_mark("P-RO-1", "şţŞŢ", r"[şţŞŢ]", _table({"ş": "ș", "ţ": "ț", "Ş": "Ș", "Ţ": "Ț"}))]
_HEBREW = [_mark("P-HE-1", '"', r'(?<=[א-ת])"(?=[א-ת])', "״")]
_GREEK = [
    _mark("P-EL-1", "?", r"\?", ";"),
    _mark("P-EL-2", "σ", r"(?<=\w)σ(?!\w)", "ς"),
]

_BY_TAG: dict[str, list[Mark]] = {
    "fr-CA": _FRENCH_CANADA,
    "fr": _FRENCH_FRANCE,
    "ar": _ARABIC,
    "fa": _ARABIC,
    "ja": _JAPANESE,
    "zh": _CHINESE,
    "ko": _KOREAN,
    "th": _THAI_MARKS,
    "ro": [*_ROMANIAN, *_quotes("P-PL-1", "„", "”")],
    "pl": _quotes("P-PL-1", "„", "”"),
    "hu": _quotes("P-PL-1", "„", "”"),
    "de": _quotes("P-DE-1", "„", "“"),
    "cs": _quotes("P-DE-1", "„", "“"),
    "sk": _quotes("P-DE-1", "„", "“"),
    "bg": _quotes("P-DE-1", "„", "“"),
    "hr": _quotes("P-DE-1", "„", "“"),
    "he": _HEBREW,
    "el": _GREEK,
}

# Begun where a clause begins, so that one that asks nothing is read once.
_ASKING = lazy(r"(?<![^.!?…\n])(?<!\.(?=\w))[^.!?…\n]*+(?:\.(?=\w)[^.!?…\n]*+)*+[?!]+")
_OPENERS = {"?": "¿", "!": "¡"}


# Rules that ask for characters outside GSM-7 where plain ones would do: one halves what a message holds.
_TYPOGRAPHIC = ("P-FR-", "P-DE-", "P-PL-")


@cache
def marks_of(tag: str, plain: bool = False) -> tuple[Mark, ...]:
    """Give the punctuation rules of the language *tag*, none where it has no rules of its own.

    With *plain*, only those that a text message can follow: no curly quotes, no no-break spaces.
    """
    marks = _BY_TAG.get(tag) or _BY_TAG.get(tag.partition("-")[0]) or ()
    return tuple(mark for mark in marks if not (plain and mark.rule.startswith(_TYPOGRAPHIC)))


@cache
def marked_characters(tag: str, plain: bool) -> frozenset[str]:
    """Give the characters of which one must stand in a text for `locale_marks` to find anything."""
    asking = "?!" if tag.partition("-")[0] == "es" else ""
    return _PAIRED.union(asking, *(mark.trigger for mark in marks_of(tag, plain)))


def plain_typing(placement: Placement) -> bool:
    """Tell whether texts of *placement* are typed in plain characters (rule ``sms-plain-characters``)."""
    return any("sms-plain-characters" in spec.rules for spec in placement.fields)


def open_marks(text: str) -> list[tuple[int, int, str]]:
    """Find Spanish questions and exclamations that nobody opened.

    Returns:
        (start of the clause, offset of its closing mark, opener that is missing) of each.
    """
    missing = []
    for found in _ASKING.finditer(text):
        clause = found.group()
        closing = clause.rstrip("?!")
        marks = clause[len(closing) :]
        if not closing.strip(" \"'«“(—–-*"):
            continue
        opened = "¿" in clause or "¡" in clause
        if opened:
            continue
        lead = len(clause) - len(clause.lstrip(" \t\"'«“(—–-*,;:)»”"))
        missing.append((found.start() + lead, found.start() + len(closing), _OPENERS[marks[-1]]))
    return missing


def locale_marks(look: Look, language: Language, *, plain: bool = False) -> list[Violation]:
    """Check one text against the punctuation of its language; *plain* as in `marks_of`."""
    found: list[Violation] = []
    base = language.tag.partition("-")[0]
    chars = look.chars
    if base == "es":
        if "?" in chars or "!" in chars:
            for _, end, opener in open_marks(look.masked):
                found.append(violation("P-ES-1", look.label, f"{opener} is missing", span=(end, end + 1)))
    else:
        for mark in marks_of(language.tag, plain):
            if not mark.trigger.isdisjoint(chars):
                hit = mark.find.search(look.masked)
                if hit is not None:
                    what = f"near {look.text[max(0, hit.start() - 8) : hit.end() + 4]!r}"
                    found.append(violation(mark.rule, look.label, what, span=hit.span()))
    if not chars.isdisjoint(_PAIRED):
        unbalanced = _unbalanced(look.masked, base)
        if unbalanced is not None:
            found.append(
                violation(
                    "P-ALL-2",
                    look.label,
                    f"{look.text[unbalanced]!r} has no partner",
                    span=(unbalanced, unbalanced + 1),
                )
            )
    return found


_PAIRS = {"(": ")", "[": "]", "{": "}", "（": "）", "「": "」", "『": "』", "《": "》", "【": "】"}
_CLOSERS = {closer: opener for opener, closer in _PAIRS.items()}
_PAIRED = frozenset("()[]{}（）「」『』《》【】«»")
_LIST_MARK = lazy(r"(?:^|\n|\s)(?:\w{1,2})\)|[:;]-?[)(]")


def _unbalanced(text: str, base: str) -> int | None:
    ignored = {m.end() - 1 for m in _LIST_MARK.finditer(text)}
    stack: list[tuple[str, int]] = []
    guillemets = 0
    for at, c in enumerate(text):
        if at in ignored:
            continue
        if c in _PAIRS:
            stack.append((c, at))
        elif c in _CLOSERS:
            if not stack or stack[-1][0] != _CLOSERS[c]:
                return at
            stack.pop()
        elif c == "«":
            guillemets += 1
        elif c == "»":
            guillemets -= 1
    if stack:
        return stack[-1][1]
    if guillemets and base not in (
        "da",
        "hu",
        "de",
        "hr",
    ):  # these turn the marks round, or use them unpaired
        at = text.rfind("«" if guillemets > 0 else "»")
        return at
    return None


def apply_marks(text: str, language: Language, *, plain: bool = False, names: Sequence[str] = ()) -> str:
    """Write the punctuation of *text* as *language* does: spaces, opening marks, full-width forms, quotes.

    With *plain*, only what a text message can carry in plain characters.

    Meaning, words and order stay. Links, addresses and *names* (as they are written) are left as they are.
    Idempotent.
    """
    if language.tag.partition("-")[0] == "es":
        if "?" not in text and "!" not in text:
            return text
        return outside_links(text, lambda stretch: _open_spanish(stretch, names))
    marks = marks_of(language.tag, plain)
    if not marks:
        return text
    chars = set(text)
    if all(mark.trigger.isdisjoint(chars) for mark in marks):
        return text
    odd = tuple(name for name in names if name and _is_odd(name, marks))
    return outside_links(text, lambda stretch: _mend(stretch, marks, odd))


_ROUNDS = 8
"""Marks in a row, as in ``;:!``, wait for each other: a space set for one is what the next one needs."""


def _mend(text: str, marks: tuple[Mark, ...], names: Sequence[str] = ()) -> str:
    for _ in range(_ROUNDS):
        before = text
        for mark in marks:
            if not mark.trigger.isdisjoint(text):
                text = substituted(mark.find, mark.fix, text, names)
        if text == before:
            break
    return text


@lru_cache(maxsize=256)
def _is_odd(name: str, marks: tuple[Mark, ...]) -> bool:
    return _mend(name, marks) != name


def substituted(
    find: re.Pattern[str],
    fix: Callable[[re.Match[str]], str] | str,
    text: str,
    names: Sequence[str],
) -> str:
    """Give *text* with what *find* matches written as *fix*, except inside *names*: those stay as they are."""
    held = [
        (at, at + len(name))
        for name in names
        for at in range(len(text) - len(name) + 1)
        if text.startswith(name, at)
    ]
    if not held:
        return find.sub(fix, text)

    def outside(found: re.Match[str]) -> str:
        start, end = found.span()
        # an empty match at a name's edge sets a mark beside the name, not in it
        inside = any(a <= start and end <= b and not (start == end and start in (a, b)) for a, b in held)
        return found.group() if inside else fix(found) if callable(fix) else found.expand(fix)

    return find.sub(outside, text)


def _open_spanish(text: str, names: Sequence[str]) -> str:
    masked = text
    for name in names:
        if "?" in name or "!" in name:
            masked = masked.replace(name, "x" * len(name))
    for start, _, opener in reversed(open_marks(masked)):
        text = text[:start] + opener + text[start:]
    return text


def outside_links(text: str, mend: Callable[[str], str]) -> str:
    """Apply *mend* to *text* with links and addresses held out: each is one private-use character meanwhile."""
    if "://" not in text and "@" not in text and "www." not in text:
        return mend(text)
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        link = found.group()
        kept = link.rstrip(".,;:!?")
        held.append(kept)
        return "\ue000" + link[len(kept) :]

    first, *rest = mend(URL.sub(hold, text)).split("\ue000")
    links = chain(held, repeat("\ue000"))
    return "".join((first, *(one for pair in zip(links, rest, strict=False) for one in pair)))
