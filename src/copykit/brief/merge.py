"""Merge tokens of a brief: which are left unfilled, and which of the declared ones no copy carries.

Pure; the shapes are data (``data/merge_tokens.toml``), read only when a text holds a sign of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from copykit.brief.catalog import Placement
from copykit.data import load_toml
from copykit.errors import InvalidRequest
from copykit.models import CopyVariant

__all__ = ["refuse_unfilled", "unplaced"]

_SIGN = re.compile(r"[{\[%*<]")
"""Every shape begins with one of them; most briefs hold none."""


def refuse_unfilled(
    texts: Iterable[tuple[str, str]], placement: Placement, declared: Mapping[str, str]
) -> None:
    """Refuse the caller's words that hold a token which nobody will fill in.

    Args:
        texts: Field of the request, and its text.
        placement: Its platform fills in tokens of the shapes in ``token_syntax``.
        declared: The request's ``personalization``: the caller fills in what it names.

    Raises:
        InvalidRequest: names the field and the token; rule M-15.
    """
    names = {_bare(name) for name in declared}
    for field, text in texts:
        for token, shape in _tokens(text):
            if _bare(token) in names or any(shape.fullmatch(known) for known in placement.token_syntax):
                continue
            raise InvalidRequest(
                field,
                token,
                f"a placeholder that {placement.id} would show as it is (rule M-15): write what it stands for, "
                "or give its longest value in personalization",
            )


def unplaced(declared: Mapping[str, str], variants: Iterable[CopyVariant]) -> list[str]:
    """Give a remark for each declared token that no field carries; ``{{1}}`` may stand for any of them."""
    if not declared:
        return []
    values = (value for variant in variants for value in variant.fields.values())
    texts = (text for value in values for text in ([value] if isinstance(value, str) else value))
    carried = {_bare(token) for text in texts for token, _ in _tokens(text)}
    if any(name.isdigit() for name in carried):
        return []
    return [
        f"personalization {name!r} has no effect: no field carries that token"
        for name in declared
        if _bare(name) not in carried
    ]


def _tokens(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    if _SIGN.search(text):
        for shape in _shapes():
            for match in shape.finditer(text):
                yield match.group(), shape


def _bare(token: str) -> str:
    """Give the name in *token*, letters and digits alone: ``{{ First_Name | default: "x" }}`` is ``firstname``."""
    inner = re.split(r"[|:]", token.strip("{}[]<>%*|$ "))[0]
    return "".join(c for c in inner.casefold() if c.isalnum())


@cache
def _shapes() -> tuple[re.Pattern[str], ...]:
    raw = load_toml("merge_tokens.toml")
    names = "|".join(re.escape(name).replace(r"\ ", "[ _.-]?") for name in raw.pop("names"))
    return tuple(
        re.compile(row["pattern"].replace("NAMES", f"(?:{names})"), re.IGNORECASE) for row in raw.values()
    )
