"""Turn what a caller or a catalogue hands over into plain text, without losing a word."""

from __future__ import annotations

import html
import re
import unicodedata

from copykit.errors import InvalidRequest

__all__ = ["plain_text", "refuse_controls", "sentence_case"]

_TAG = re.compile(r"<(?:/?[a-zA-Z][^<>]{0,2000}|!--.{0,2000}?--)>", re.DOTALL)
_BLOCK = re.compile(r"</?(?:p|div|br|li|ul|ol|tr|h[1-6]|table|section)\b[^<>]{0,500}>", re.IGNORECASE)
_INVISIBLE = re.compile(r"[\u200b\u2060\ufeff\u00ad\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


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
    """Undo HTML and entities, drop invisible characters, settle spaces; line breaks stay. NFC."""
    if "<" in text:
        text = _TAG.sub("", _BLOCK.sub("\n", text))
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()


def sentence_case(text: str) -> str:
    """Give shouted text of two words or more in sentence case; one word may be a name and stays."""
    letters = [c for c in text if c.isalpha()]
    if len(text.split()) < 2 or len(letters) < 6 or any(c.islower() for c in letters):
        return text
    if not any(c.isupper() for c in letters):
        return text
    words = [w if any(c.isdigit() for c in w) else w.lower() for w in text.split(" ")]
    result = " ".join(words)
    return result[:1].upper() + result[1:]
