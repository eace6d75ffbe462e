"""How long a text is, in the unit of the place where it will appear."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import ceil
from typing import TYPE_CHECKING, Any

from copykit import data
from copykit.errors import InvalidRequest, nearest_names
from copykit.lazy import lazy

from .speech import spoken_seconds
from .x_length import weighted_length

if TYPE_CHECKING:
    from copykit.brief.catalog import Limit

__all__ = [
    "Pixels",
    "Sms",
    "emoji_spans",
    "exceeds",
    "measure",
    "measure_px",
    "px_size",
    "sms",
    "units",
]

_SIMPLE = lazy(
    # Characters that are one grapheme each whatever stands beside them; CR LF is counted apart.
    r"[\x00-\xac\xae-\u02ff\u0370-\u0482\u048a-\u0590\u05be\u05d0-\u05f4\u1e00-\u1fff\u2000-\u200a"
    r"\u2010-\u2027\u202f-\u205f\u2070-\u20cf\u2100-\u2cee\u2e00-\u2e7f\u3000-\u3029\u3031-\u3098"
    r"\u309b-\ua66e\uac00-\ud7a3\uf900-\ufaff\uff01-\uff9d\U00020000-\U0003fffd]*"
)
_WIDE_RANGE = lazy(r"[\u1100-\u115f\u231a-\U0010ffff]")
# Every emoji holds one of these: pictographs, or a mark that turns a plain character into one.
_MAYBE_EMOJI = lazy(
    r"[\u20e3\ufe0f\u231a-\u2b55\u3030\u303d\u3297\u3299\U0001f004-\U0001faff\U000e0020-\U000e007f]"
)
_EMOJI_UNIT = (
    r"(?:\p{Emoji_Presentation}(?!\uFE0E)|(?![#*0-9])\p{Emoji}(?=[\uFE0F\U0001F3FB-\U0001F3FF]))"
    r"(?:[\U0001F3FB-\U0001F3FF]\uFE0F?|\uFE0F\u20E3?)?(?:[\U000E0020-\U000E007E]+\U000E007F)?"
)
_EMOJI = (
    r"\p{Regional_Indicator}{2}|[#*0-9]\uFE0F?\u20E3|"
    rf"(?:{_EMOJI_UNIT}|(?![#*0-9])\p{{Emoji}}(?=\u200D\p{{Emoji}}))"
    r"(?:\u200D(?![#*0-9])\p{Emoji}(?:[\U0001F3FB-\U0001F3FF]\uFE0F?|\uFE0F)?)*"
)


# Flags side by side, all but the last: `regex` would count their letters anew from the first at each.
_FLAGS = lazy(r"[\U0001f1e6-\U0001f1ff]{2}(?=[\U0001f1e6-\U0001f1ff])")


@dataclass(frozen=True, slots=True)
class Sms:
    """What a text is as a text message."""

    encoding: str
    """``gsm7`` or ``ucs2``; one character outside the GSM alphabet turns the whole message to ``ucs2``."""
    units: int
    """Septets (an extension character is two) or UTF-16 units."""
    segments: int
    """Messages it is sent as; 0 for an empty text."""
    per_segment: tuple[int, ...]
    """Units in each segment. A character of two units is never divided, so one may stay unused."""
    capacity: int
    """Units that one segment of this message may hold: 160 or 70 alone, 153 or 67 in a series."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A rendered width."""

    width: float
    """CSS pixels."""
    estimated: bool
    """Whether a character had no advance width in the font and an average stood in for it."""


# --- characters ---------------------------------------------------------------------------------------


def _code_points(text: str) -> int:
    return len(text) if text.isascii() else len(unicodedata.normalize("NFC", text))


def _utf16(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _regex() -> Any:
    # The only source of Unicode's segmentation and emoji properties; loading it costs more than most
    # measuring, so only text that needs it pays.
    return import_module("regex")


@cache
def _cluster() -> Callable[[str], list[str]]:
    find: Callable[[str], list[str]] = _regex().compile(r"\X").findall
    return find


def _graphemes(text: str) -> int:
    if text.isascii() or _SIMPLE.fullmatch(text):
        return len(text) - text.count("\r\n") if "\r" in text else len(text)
    return len(_cluster()(_FLAGS.sub("x", text)))


@cache
def _emoji_pattern() -> Any:
    return _regex().compile(_EMOJI)


def emoji_spans(text: str) -> list[tuple[int, int]]:
    """Give the spans ``[start, end)`` of every emoji of *text*, a whole sequence being one.

    Sequences are flags, keycaps, skin tones, families and everything else held together by joiners. A
    character that is text unless a variation selector follows (``©``, ``™``, ``❤``) counts only with it.
    """
    if text.isascii() or not _MAYBE_EMOJI.search(text):
        return []
    return [match.span() for match in _emoji_pattern().finditer(text)]


class _Widths(dict[str, int]):
    """Display width of each character met so far."""

    def __missing__(self, character: str) -> int:
        wide = unicodedata.east_asian_width(character) in "WF"
        width = self[character] = 2 if wide else 1
        return width


_widths = _Widths()


def _display_width(text: str) -> int:
    if text.isascii() or not _WIDE_RANGE.search(text):
        return len(text)
    return sum(map(_widths.__getitem__, text))


def _display_width_emoji(text: str) -> int:
    width = _display_width(text)
    for start, end in emoji_spans(text):
        width += 2 - _display_width(text[start:end])
    return width


def _threads(text: str) -> int:
    return len(text) + sum(_utf8(text[a:b]) - (b - a) for a, b in emoji_spans(text))


# --- text messages ------------------------------------------------------------------------------------


@cache
def _sms_tables() -> tuple[frozenset[str], frozenset[str], dict[str, tuple[int, int]]]:
    facts = data.load_toml("units/sms.toml")
    sizes = {name: (int(facts[name]["single"]), int(facts[name]["part"])) for name in ("gsm7", "ucs2")}
    return frozenset(facts["basic"]), frozenset(facts["extension"]), sizes


def sms(text: str) -> Sms:
    """Count *text* as a text message, segment by segment.

    Characters outside the GSM 7-bit alphabet and its extension make the whole message UCS-2. No national
    shift tables: carriers support them unevenly. Text is counted as it is, without normalising.
    """
    basic, extension, sizes = _sms_tables()
    used = set(text)
    if used <= basic:
        encoding, double = "gsm7", frozenset[str]()
    elif used <= basic | extension:
        encoding, double = "gsm7", extension
    else:
        encoding, double = "ucs2", frozenset(c for c in used if c > "\uffff")
    single, part = sizes[encoding]
    total = len(text) + (sum(map(text.count, used & double)) if double else 0)
    if total <= single:
        return Sms(encoding, total, 1 if total else 0, (total,) if total else (), single)
    if not double or double.isdisjoint(used):
        full, rest = divmod(total, part)
        filled = (part,) * full + ((rest,) if rest else ())
        return Sms(encoding, total, len(filled), filled, part)
    counts, held = [], 0
    for character in text:
        size = 2 if character in double else 1
        if held + size > part:
            counts.append(held)
            held = 0
        held += size
    counts.append(held)
    return Sms(encoding, total, len(counts), tuple(counts), part)


def _segments(text: str) -> int:
    return sms(text).segments


# --- pixels -------------------------------------------------------------------------------------------


class _Advances(dict[str, int]):
    """Advance width of each character in font units, and which of them are guesses."""

    def __init__(self) -> None:
        font = data.load_json("units/liberation_sans.json")
        self.em: int = font["units_per_em"]
        super().__init__(
            {chr(first + i): width for first, row in font["runs"] for i, width in enumerate(row)}
        )
        self.facts = data.load_toml("units/pixels.toml")
        self.guessed: set[str] = set()

    def __missing__(self, character: str) -> int:
        assumed = self.facts["assumed"]
        kind, guess = unicodedata.category(character), True
        east = unicodedata.east_asian_width(character)
        base = unicodedata.normalize("NFD", character)[0]
        if kind in {"Mn", "Me", "Cf", "Cc"}:
            em, guess = 0.0, False
        elif base != character and base in self:
            em, guess = self[base] / self.em, base in self.guessed
        elif east in "WF":
            em, guess = 1.0, False
        elif east == "H":
            em = float(assumed["half_width"])
        else:
            em = float(assumed["spacing_mark" if kind == "Mc" else "letter"])
        if guess:
            self.guessed.add(character)
        width = self[character] = round(em * self.em)
        return width


_advances = cache(_Advances)


def px_size(field: str) -> float:
    """Give the type size, CSS pixels, in which a search result shows *field*: snippet 14, title 20."""
    facts = _advances().facts
    name = field.partition("[")[0]
    return float(facts["snippet" if name in facts["snippet_fields"] else "title"])


def measure_px(text: str, size_px: float = 20.0) -> Pixels:
    """Give the width of *text* on one line, set in Arial at *size_px* CSS pixels, without kerning.

    Widths are those of Liberation Sans, which agrees with Arial, for Latin, Greek and Cyrillic; full-width
    characters count one em; anything else, emoji included, is an average, and the result says so.
    """
    table = _advances()
    total, guessed = 0, False
    spans = emoji_spans(text)
    if spans:
        total = round(len(spans) * float(table.facts["assumed"]["emoji"]) * table.em)
        guessed, cursor, rest = True, 0, []
        for start, end in spans:
            rest.append(text[cursor:start])
            cursor = end
        text = "".join([*rest, text[cursor:]])
    total += sum(map(table.__getitem__, text))
    guessed = guessed or not table.guessed.isdisjoint(text)
    return Pixels(total * size_px / table.em, guessed)


# --- words and time -----------------------------------------------------------------------------------

_UNSPACED = lazy(
    r"[\u0e01-\u0e3a\u0e40-\u0e4e]+|"
    r"[\u3005-\u3007\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\uff66-\uff9f\U00020000-\U0003fffd]+"
)
_EAST_MARK = lazy(r"[\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]")
_KANA = lazy(r"[\u3041-\u309f\u30a1-\u30ff\uff66-\uff9f]")


@cache
def _per_word() -> dict[str, float]:
    ratios: dict[str, float] = data.load_toml("units/words.toml")["characters_per_word"]
    return ratios


def _words(text: str, language: str) -> int:
    if text.isascii() or not _UNSPACED.search(text):
        return len(text.split())
    thai = han = 0
    for run in _UNSPACED.findall(text):
        if run[0] < "\u3000":
            thai += len(run)
        else:
            han += len(run)
    ratios = _per_word()
    japanese = language.startswith("ja") or _KANA.search(text) is not None
    others = len(_EAST_MARK.sub(" ", _UNSPACED.sub(" ", text)).split())
    return others + ceil(thai / ratios["th"]) + ceil(han / ratios["ja" if japanese else "zh"])


# --- all together -------------------------------------------------------------------------------------

_PLAIN: dict[str, Callable[[str], int]] = {
    "cp": _code_points,
    "u16": _utf16,
    "u8": _utf8,
    "gr": _graphemes,
    "dw": _display_width,
    "xw": weighted_length,
    "threads": _threads,
    "sms": _segments,
}
_OTHER = ("px", "w", "s")


def units() -> tuple[str, ...]:
    """Give the ids of all counting units."""
    return (*_PLAIN, *_OTHER)


def measure(
    text: str, unit: str, *, language: str = "en", emoji_double: bool = False, size_px: float = 20.0
) -> float:
    """Count *text* in *unit*; whole numbers except for ``px`` and ``s``.

    Args:
        text: Any text, also empty.
        unit: ``cp`` NFC code points, ``u16`` UTF-16 units, ``u8`` UTF-8 bytes, ``gr`` grapheme clusters,
            ``dw`` display width, ``xw`` X's weights, ``threads``, ``sms`` **segments** (see `sms` for the
            units inside them), ``px`` pixels, ``w`` words, ``s`` spoken seconds. docs/measuring.md has all.
        language: Catalogue tag; matters for ``s``, and for ``w`` in Han text.
        emoji_double: For ``dw``: every emoji counts two, as Microsoft Advertising does.
        size_px: For ``px``: type size, see `px_size`.

    Raises:
        InvalidRequest: the unit does not exist; the message names the nearest.
    """
    count = _PLAIN.get(unit)
    if count is not None:
        if emoji_double and unit == "dw":
            return _display_width_emoji(text)
        return count(text)
    if unit == "w":
        return _words(text, language)
    if unit == "s":
        return spoken_seconds(text, language)
    if unit == "px":
        return measure_px(text, size_px).width
    reason = f"unknown counting unit; there are {', '.join(units())}"
    raise InvalidRequest("unit", unit, reason, nearest=nearest_names(unit, units()))


def exceeds(text: str, limit: Limit, language: str = "en", *, field: str = "") -> float | None:
    """Give the measured length of *text* if it is above *limit*'s hard bound, else None.

    *field* is the field's name and matters for pixels only, see `px_size`. A limit without a hard bound is
    never exceeded.
    """
    hard = limit.hard
    # No unit counts more than four per code point, links on X apart, which have a dot.
    if hard is None or (len(text) * 4 <= hard and limit.unit in _SHORT):
        return None
    size = px_size(field) if limit.unit == "px" else 20.0
    measured = measure(text, limit.unit, language=language, emoji_double=limit.emoji_double, size_px=size)
    return measured if measured > hard else None


_SHORT = frozenset({"cp", "u16", "u8", "gr", "dw", "threads"})
