"""Web addresses and mail addresses in running text, with or without a scheme."""

from __future__ import annotations

import re
from functools import cache

from copykit.data import load_json
from copykit.lazy import lazy

__all__ = ["canonical_link", "find_links", "find_mails", "looks_linked"]

# The dot first: a pattern that starts with a literal is searched many times faster.
_DOTTED = lazy(r"\.(?<=[^\W_]\.)(?:[a-z]{2}|[A-Z]{2})")
# At most 64 characters stand before the sign (RFC 5321, section 4.5.3.1.1).
_MAIL = lazy(r"[\w.+-]{1,64}+@[\w-]+(?:\.[\w-]+)+")


@cache
def _link() -> re.Pattern[str]:
    tlds = sorted(load_json("figures.json")["tlds"], key=len, reverse=True)
    domain = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+"
    tld = "(?:" + "|".join(tlds) + ")"
    return re.compile(
        r"(?<![\w@.-])(?:"
        r"https?://[^\s<>\"'»”）」\u3000-\u303f\uff00-\uffef]+"
        r"|www\.[\w-]+(?:\.[\w-]+)+(?:[/?#][^\s<>\"'»”]*)?"
        # A bare domain is all small letters or all capitals; "nice.It" is a missing space.
        rf"|(?:(?-i:{domain}{tld})|(?-i:(?:[A-Z0-9-]{{2,}}\.)+{tld.upper()}))(?![\w@-])(?!\.\w)"
        r"(?:/[^\s<>\"'»”\u3000-\u303f\uff00-\uffef]*)?"
        # Whatever its ending, a dotted name with a path behind it is an address.
        r"|(?-i:(?:[a-z0-9][a-z0-9-]+\.)+[a-z]{2,24})(?::\d+)?/[a-zA-Z0-9?#][^\s<>\"'»”\u3000-\u303f\uff00-\uffef]*)",
        re.ASCII | re.IGNORECASE,
    )


def looks_linked(text: str) -> bool:
    """Tell cheaply whether *text* may hold an address; False is certain."""
    return "://" in text or "@" in text or ("." in text and _DOTTED.search(text) is not None)


def find_links(text: str) -> list[tuple[int, int]]:
    """Give the spans of web addresses, bare domains included, without the sentence's own punctuation."""
    if not looks_linked(text):
        return []
    found = []
    for match in _link().finditer(text):
        address = match.group().rstrip(".,;:!?)]}…'*")
        # One letter before the dot is an abbreviation (z.B, p.ex), not a domain.
        if len(address.split(".")[0]) > 1:
            found.append((match.start(), match.start() + len(address)))
    return found


def find_mails(text: str) -> list[tuple[int, int]]:
    """Give the spans of mail addresses."""
    return [m.span() for m in _MAIL.finditer(text)] if "@" in text else []


def canonical_link(address: str) -> tuple[str, str]:
    """Give host and path of a web address, as two addresses of the same page share them.

    Scheme, ``www.``, query, fragment and a closing slash do not count.
    """
    rest = re.sub(r"^https?://", "", address.strip(), flags=re.IGNORECASE)
    host, _, path = rest.partition("/")
    host = host.split("?")[0].split("#")[0].split(":")[0].lower().removeprefix("www.")
    return host, re.split(r"[?#]", path)[0].rstrip("/")
