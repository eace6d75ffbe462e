"""What must not stand in a log line, taken out of it: a second line of defence behind code that logs none of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from urllib.parse import unquote_plus, urlsplit

__all__ = ["Redactor", "secrets_of"]

STARS = "***"
_SHORTEST = 8
"""Characters of the shortest secret that is looked for as it is: a shorter one would take words apart."""
_SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?:api[_-]?key|key|secret|token|password|passwd|pwd|authorization|cookie|credentials?|dsn)$",
    re.I,
)
"""Names of fields and variables whose whole value is a secret; ``max_tokens`` and ``key_id`` are none."""
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user, password and query of an address, whatever its scheme: database, broker, provider
    (
        re.compile(r"\b([a-z][a-z0-9+.-]{1,30}://)(?:[^\s/?#\"'<>]*@)([^\s?#\"'<>]*)", re.I),
        rf"\1{STARS}@\2",
    ),
    (re.compile(r"\b([a-z][a-z0-9+.-]{1,30}://[^\s?#\"'<>]*)[?#][^\s\"'<>]+", re.I), rf"\1?{STARS}"),
    (re.compile(r"\b(bearer|basic|apikey)\s+[^\s\"',;]{4,}", re.I), rf"\1 {STARS}"),
    (
        re.compile(
            r"((?<![a-z])(?:api[_-]?key|authorization|password|passwd|pwd|secret|token|cookie|key|signature)[\"']?"
            r"\s{0,3}[:=]\s{0,3}[\"']?)(?!\s|bearer|basic|\*)[^\s\"',;&]{4,}",
            re.I,
        ),
        rf"\1{STARS}",
    ),
    # the shapes in which vendors issue keys and tokens
    (
        re.compile(
            r"\b(?:(?:sk|gsk|pk|rk)[-_][\w-]{8,}|AIza[\w-]{8,}|ya29\.[\w-]{8,}|gh[pousr]_\w{8,}|github_pat_\w{8,}"
            r"|glpat-[\w-]{8,}|xox[a-z]-[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|hf_\w{8,}|eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]+)?)"
        ),
        STARS,
    ),
    (re.compile(r"[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), f"{STARS}@{STARS}"),
    (re.compile(r"(?<![\w.])\+\d[\d ().-]{7,18}\d"), STARS),
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_SECRET_PARAMETER = re.compile(r"(?:key|secret|token|passw(?:or)?d)$", re.I)
_LONG = re.compile(r"[\w-]{32,}", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9a-f-]{,64}")
_SHORT = 64
"""Characters up to which a text is remembered with what became of it: routes, loggers and events come again and again."""
_REMEMBERED = 512
_MOST, _MOST_OF_AN_END = 2_000, 8_000
_MARGIN = 1_000
"""Characters at a cut that are left out: more than any secret has."""
_FEWEST = 3
"""Capitals, small letters and digits that each stand in a random token of 32 letters, and in no name or digest."""


class Redactor:
    """Gives texts without keys, bearer tokens, passwords and queries of addresses, e-mails and telephone numbers.

    Random tokens are known by their shape, *secrets* also by their letters. A digest in hexadecimal, a UUID and
    a trace's number stay.

    Args:
        secrets: values that are known; those of fewer than 8 characters are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self._short = lru_cache(_REMEMBERED)(self._looked_through)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({STARS})"

    def text(self, text: str) -> str:
        """Give *text*, its first 2,000 characters if it is longer, with stars in place of what it must not hold."""
        if len(text) <= _SHORT:
            return self._short(text) if len(text) >= _SHORTEST else text
        if len(text) <= _MOST:
            return self._looked_through(text)
        # what the cut goes through is not known for a secret any more: it is left out with what stands around it
        return self._looked_through(text[: _MOST + 2 * _MARGIN])[:-_MARGIN][:_MOST] + "…"

    def end(self, text: str) -> str:
        """Give *text* as `text` does, its last 8,000 characters if it is longer: a traceback's end says what happened."""
        if len(text) <= _MOST_OF_AN_END:
            return self._looked_through(text)
        cut = self._looked_through(text[-_MOST_OF_AN_END - 2 * _MARGIN :])
        return "…" + cut[_MARGIN:][-_MOST_OF_AN_END:]

    def _looked_through(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(STARS, text)
        if _HEXADECIMAL.fullmatch(text):
            return text
        for pattern, stars in _RULES:
            text = pattern.sub(stars, text)
        return _LONG.sub(_without_token, text)

    def field(self, name: str, value: object) -> object:
        """Give the value of the field *name*: stars where the name says that it is a secret; texts as `text` does.

        Numbers and truth values stay; anything else is written out first.
        """
        if value is None or isinstance(value, bool | int | float):
            return value
        if _SECRET_NAME.search(name):
            return STARS
        if isinstance(value, Mapping):
            return {str(inner): self.field(str(inner), part) for inner, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.field("", part) for part in value]
        return self.text(value if isinstance(value, str) else repr(value))


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Give the values of variables whose names say that they are secrets, and what is secret in others' addresses."""
    named = [value.strip() for name, value in environment.items() if value and _SECRET_NAME.search(name)]
    return (*named, *(secret for value in environment.values() for secret in _secrets_of_address(value)))


def _secrets_of_address(value: str) -> Iterator[str]:
    """Give password and secret parameters of an address, as they stand in it and as they are meant."""
    if not _ADDRESS.match(value):
        return
    with suppress(ValueError):  # no address after all
        parts = urlsplit(value)
        parameters = (part.partition("=") for part in parts.query.split("&"))
        found = [
            parts.password or "",
            *(told for name, _, told in parameters if _SECRET_PARAMETER.search(name)),
        ]
        yield from (secret for told in found if told for secret in (told, unquote_plus(told)))


def _without_token(found: re.Match[str]) -> str:
    token = found[0]
    fewest = min(sum(map(str.isupper, token)), sum(map(str.islower, token)), sum(map(str.isdigit, token)))
    return STARS if fewest >= _FEWEST else token
