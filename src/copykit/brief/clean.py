"""Turn what a caller or a catalogue hands over into plain text, without losing a word."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from copykit.data import load_toml
from copykit.errors import InvalidRequest
from copykit.lazy import lazy

__all__ = ["acronyms", "plain_text", "refuse_controls", "sentence_case"]

_BLOCKS = (
    "address|article|aside|blockquote|br|caption|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|"
    "header|hr|li|main|nav|ol|option|p|pre|section|summary|table|tbody|td|tfoot|th|thead|tr|ul"
)
_INLINE = (
    "a|abbr|acronym|area|audio|b|base|basefont|bdi|bdo|big|body|button|canvas|center|cite|code|col|colgroup|data|"
    "datalist|del|dfn|dialog|em|embed|font|frame|frameset|head|html|i|iframe|img|input|ins|kbd|label|legend|link|map|"
    "mark|menu|meta|meter|object|optgroup|output|param|picture|progress|q|rp|rt|ruby|s|samp|script|select|slot|small|"
    "source|span|strike|strong|style|sub|sup|svg|template|textarea|time|title|track|tt|u|var|video|wbr|"
    r"[a-z][a-z0-9]*[-:][a-z0-9:-]+"
)
# Known elements only: "<Name>" and "x <y> z" are words of the text, not markup.
_TAG = lazy(rf"</?(?:{_BLOCKS}|{_INLINE})(?:[\s/][^<>]{{0,2000}})?>", re.IGNORECASE)
_BLOCK = lazy(rf"</?(?:{_BLOCKS})(?:[\s/][^<>]{{0,2000}})?>", re.IGNORECASE)
_UNSEEN = tuple(
    (re.compile(begin, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for begin, end in (
        ("<!--", "-->"),
        (r"<script\b[^<>]{0,2000}>", r"</script\s*>"),
        (r"<style\b[^<>]{0,2000}>", r"</style\s*>"),
    )
)
# With the semicolon only: "?id=1&copy=2" is an address, whatever HTML 5 makes of "&copy".
_ENTITY = lazy(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_INVISIBLE = lazy(r"[\u200b\u2060\ufeff\u00ad\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_SPACES = lazy(r"[^\S\n]+")
_LINES = lazy(r"\s*\n\s*")
_CONTROL = lazy(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def refuse_controls(field: str, text: str) -> None:
    """Raise InvalidRequest if *text* holds control characters or half of a surrogate pair."""
    found = _CONTROL.search(text)
    if found:
        raise InvalidRequest(
            field,
            text[max(0, found.start() - 10) : found.end() + 10],
            f"control character U+{ord(found.group()):04X} at position {found.start()}",
        )
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                field, text[:20], f"half of a surrogate pair at position {error.start}"
            ) from None


def plain_text(text: str) -> str:
    """Undo HTML and entities, drop invisible characters, settle spaces; line breaks stay. NFC.

    Only elements that HTML knows, and names with a hyphen or colon, are markup; scripts, styles and comments
    go with what they hold. Text that a feed escaped twice is undone twice.
    """
    if text.isprintable() and "<" not in text and "&" not in text and "  " not in text:
        return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()
    text = _without_markup(text)
    for _ in range(2):
        if "&" not in text:
            break
        text = _without_markup(_ENTITY.sub(_character, text))
    if not text.isascii():
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    return _LINES.sub("\n", _SPACES.sub(" ", text.replace("\r", "\n"))).strip()


def _character(entity: re.Match[str]) -> str:
    import html  # its table of entities is large, and few texts hold one

    found = html.unescape(entity.group())
    return " " if _CONTROL.match(found) else found


def _without_markup(text: str) -> str:
    if "<" not in text:
        return text
    for begin, end in _UNSEEN:
        text = _without(begin, end, text)
    return _TAG.sub("", _BLOCK.sub("\n", text))


def _without(begin: re.Pattern[str], end: re.Pattern[str], text: str) -> str:
    """Drop every stretch from *begin* to *end*; one that never ends stays. Linear, unlike ``begin.*?end``."""
    kept, position = [], 0
    while opened := begin.search(text, position):
        closed = end.search(text, opened.end())
        if closed is None:
            break
        kept.append(text[position : opened.start()])
        position = closed.end()
    return "".join((*kept, text[position:])) if position else text


@cache
def acronyms() -> frozenset[str]:
    """Give the words of three letters or more that keep their capitals in any text (``data/marks.toml``)."""
    return frozenset(word for word in load_toml("marks.toml")["acronyms"] if len(word) > 2)


def sentence_case(text: str, small_words: frozenset[str] | None = None) -> str:
    """Give shouted text of two words or more in sentence case; one word may be a name and stays.

    *small_words* says that the language writes nouns with a capital (German): then every word keeps one but
    these, since nobody can tell the nouns. Words with a digit and acronyms stay as they are.
    """
    letters = [c for c in text if c.isalpha()]
    if len(text.split()) < 2 or len(letters) < 6 or any(c.islower() for c in letters):
        return text
    if not any(c.isupper() for c in letters):
        return text
    words = [w if w in acronyms() or any(c.isdigit() for c in w) else w.lower() for w in text.split(" ")]
    if small_words is not None:
        words = [w if w in small_words else w[:1].upper() + w[1:] for w in words]
    result = " ".join(words)
    return result[:1].upper() + result[1:]
