"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .rows import DAMAGED, MAX_CELL, BadRow, Lines, Row, Source, open_bytes, own_id

__all__ = ["read_jsonl"]


def read_jsonl(source: Source) -> Iterator[Row | BadRow]:
    """Give one row per line that is not blank; a line that is not a JSON object becomes a `BadRow`."""
    number = 0
    with open_bytes(source) as stream:
        lines = Lines(stream, source.encoding)
        try:
            for line, text in lines:
                if text is not None and not text.strip():
                    continue
                number += 1
                yield _row(number, line, text, source.encoding)
        except DAMAGED as error:  # a torn gzip stream: what was read stands
            yield BadRow(number + 1, lines.number + 1, f"the file ends in the middle: {error}")


def _row(number: int, line: int, text: str | None, encoding: str) -> Row | BadRow:
    if text is None:
        return BadRow(number, line, f"not {encoding.upper()} text, or longer than a line may be")
    if "\0" in text:
        return BadRow(number, line, "holds a NUL byte")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        return BadRow(number, line, "nested too deep")
    except json.JSONDecodeError as error:
        # its own line number counts within the text it was given, which is one line
        end = error.pos >= len(text.rstrip())
        where = "the line ends too early" if end else f"column {error.pos + 1}"
        return BadRow(number, line, f"not JSON: {error.msg.removesuffix(' at')} ({where})")
    except ValueError as error:
        return BadRow(number, line, f"not JSON: {error}")
    if not isinstance(value, dict):
        return BadRow(number, line, f"a JSON {type(value).__name__}, not an object")
    if problem := _unfit(text, value):
        return BadRow(number, line, problem, own_id(value, number))
    return Row(number, line, own_id(value, number), value)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _unfit(text: str, value: dict[str, Any]) -> str | None:
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "holds half of a surrogate pair"
    if len(text) > MAX_CELL:
        for name, cell in value.items():
            if isinstance(cell, str) and len(cell) > MAX_CELL:
                return f"{name} is longer than {MAX_CELL} characters"
    return None
