"""Catalogue cells as plain text: markup, entities and field codes undone, words untouched."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

__all__ = ["plain_text"]

_TAG = re.compile(r"<[/!a-zA-Z]")
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
_ALLERGEN = re.compile(r"(?<![\w_])_([^\W_](?:[^_\n]{0,60}[^\W_])?)_(?![\w_])")
_BLOCKS = frozenset(
    """address article aside blockquote br dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr
    li main nav ol p pre section table tbody td tfoot th thead tr ul""".split()
)
_BLOCK_TAG = re.compile(rf"</?(?:{'|'.join(sorted(_BLOCKS))})\b", re.I)
_SILENT = frozenset({"script", "style", "template", "title", "noscript", "svg"})


def plain_text(text: str) -> str:
    """Give *text* without markup: blocks and list items as lines, entities as characters.

    Also undoes the underscores that mark allergens in Open Food Facts (``_lait_``). Text without any of these
    comes back with only its outer and doubled spaces removed. Idempotent for text that holds no markup.
    """
    if "<" in text and _TAG.search(text):
        reader = _Reader()
        # line breaks of the source are spaces between blocks; with inline markup only, they are the text
        reader.feed(re.sub(r"[\r\n]+", " ", text) if _BLOCK_TAG.search(text) else text)
        reader.close()
        text = "".join(reader.parts)
    elif "&" in text:
        text = _unescape(text)
    if "_" in text:
        text = _ALLERGEN.sub(r"\1", text)
    if "\n" not in text and "\r" not in text:
        return " ".join(text.split()) if "  " in text or text != text.strip() or "\t" in text else text
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _unescape(text: str) -> str:
    # feeds are often escaped twice (&amp;nbsp;): once more if entities are still there
    once = html.unescape(text)
    return html.unescape(once) if _ENTITY.search(once) else once


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(_unescape(data))
