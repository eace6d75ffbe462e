"""The fact ledger: every figure, date and address of the brief, and what in a copy is not among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple
from unicodedata import category

from copykit.brief.catalog import Language
from copykit.brief.figures import Figure, Figures, Value
from copykit.brief.links import canonical_link, find_links, find_mails, looks_linked
from copykit.lazy import lazy

__all__ = ["Ledger", "Untraced"]

_PHONE = lazy(r"(?<![\w.,])\+?\(?\d[\d ().\-/]{5,}\d(?![\w])")
_PHONE_DIGITS = range(7, 16)


class Untraced(NamedTuple):
    """Something a copy states and the brief does not."""

    kind: Literal["number", "price", "percent", "date", "url"]
    text: str
    start: int
    end: int
    spelled: bool = False
    """Written in words ("three colours"): more often a figure of speech than a claim."""


class Ledger(NamedTuple):
    """What copy may state in figures. Build it once per brief; reading is thread-safe.

    Amounts are compared by value, not by spelling: ``1.234,50``, ``1,234.50`` and ``١٢٣٤٫٥`` are one. Where a
    spelling has two readings (``1.234``), either will do. Kinds are kept apart: 20 does not make 20 %, and
    20 € does not make 20 $; but a figure may lose its currency or its unit, and a bare one may gain a unit.
    """

    figures: Figures
    numbers: dict[Value, frozenset[str]] = field(default_factory=dict)
    """Each number with the units it stands with; the empty unit means bare."""
    percents: frozenset[Value] = frozenset()
    prices: dict[Value, frozenset[str]] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()
    dates: frozenset[tuple[int | None, int, int]] = frozenset()
    links: frozenset[tuple[str, str]] = frozenset()
    mails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    verbatim: tuple[str, ...] = ()
    """Short texts of the brief that hold a figure, and its links: where copy repeats one whole, it traces."""

    @classmethod
    def build(cls, texts: Iterable[str], language: Language) -> Ledger:
        """Enter every figure of *texts*, which are in *language* or in English."""
        texts = tuple(dict.fromkeys(texts))
        figures = Figures.of(language.tag)
        numbers: dict[Value, set[str]] = {}
        prices: dict[Value, set[str]] = {}
        percents: set[Value] = set()
        currencies: set[str] = set()
        dates: set[tuple[int | None, int, int]] = set()
        links: set[tuple[str, str]] = set()
        mails: set[str] = set()
        phones: set[str] = set()
        verbatim: set[str] = set()
        for text in texts:
            entry = (_entry_kept if len(text) <= _MAX_KEPT else _entry_recent)(text, figures)
            if entry is _NO_ENTRY:
                continue
            currencies |= entry.currencies
            percents |= entry.percents
            dates |= entry.dates
            links |= entry.links
            mails |= entry.mails
            phones |= entry.phones
            verbatim |= entry.verbatim
            for value, unit in entry.numbers:
                numbers.setdefault(value, set()).add(unit)
            for value, codes in entry.prices:
                prices.setdefault(value, set()).update(codes)
        return cls(
            figures,
            {k: frozenset(v) for k, v in numbers.items()},
            frozenset(percents),
            {k: frozenset(v) for k, v in prices.items()},
            frozenset(currencies),
            frozenset(dates),
            frozenset(links),
            frozenset(mails),
            frozenset(phones),
            tuple(sorted(verbatim, key=lambda text: (-len(text), text))),
        )

    def untraced(self, text: str) -> list[Untraced]:
        """Give what *text* states in figures, dates or addresses and the brief does not, in reading order."""
        text = _without(self.verbatim, text)
        linked = looks_linked(text)
        if not linked and not self.figures.may_hold(text):
            return []
        found: list[Untraced] = []
        taken = bytearray(len(text))  # 1 for each character that belongs to an address or a telephone number

        def take(start: int, end: int) -> None:
            taken[start:end] = b"\1" * (end - start)

        if linked:
            for start, end in find_mails(text):
                take(start, end)
                if text[start:end].lower() not in self.mails:
                    found.append(Untraced("url", text[start:end], start, end))
            for start, end in find_links(text):
                if taken[start]:
                    continue
                take(start, end)
                host, path = canonical_link(text[start:end])
                if (host, path) not in self.links and (path or all(h != host for h, _ in self.links)):
                    found.append(Untraced("url", text[start:end], start, end))
        for match in _PHONE.finditer(text) if self.phones else ():
            if _bare(match.group()) in self.phones:
                take(*match.span())
        for figure in self.figures.read(text):
            if taken[figure.start] or self._holds(figure):
                continue
            written = text[figure.start : figure.end]
            found.append(Untraced(figure.kind, written, figure.start, figure.end, figure.spelled))
        return sorted(found, key=lambda u: u.start)

    def _holds(self, figure: Figure) -> bool:
        if figure.kind == "date":
            return any(self._holds_date(v) for v in figure.values if isinstance(v, tuple))
        if figure.kind == "percent":
            return not self.percents.isdisjoint(figure.values)
        if figure.kind == "price":
            return any(self._holds_price(v, figure.currencies) for v in figure.values)
        if any(self._holds_number(v, figure.unit) for v in figure.values):
            return True
        return bool(figure.parts) and all(self._holds_number(p, figure.unit) for p in figure.parts)

    def _holds_number(self, value: Value, unit: str) -> bool:
        units = self.numbers.get(value)
        return units is not None and (not unit or unit in units or "" in units)

    def _holds_price(self, value: Value, currencies: frozenset[str]) -> bool:
        known = self.prices.get(value)
        if known is not None and not known.isdisjoint(currencies):
            return True
        # The amount in one field of the brief and its currency in another.
        return (
            "" in self.numbers.get(value, ()) and known is None and not self.currencies.isdisjoint(currencies)
        )

    def _holds_date(self, date: tuple[int | None, int, int]) -> bool:
        year, month, day = date
        for other_year, other_month, other_day in self.dates:
            if (month, day) != (other_month, other_day):
                continue
            if year is None or year == other_year:
                return True
            if other_year is None and Decimal(year) in self.numbers:
                return True
        return False


class _Entry(NamedTuple):
    """What one text adds to a ledger."""

    numbers: tuple[tuple[Value, str], ...] = ()
    percents: frozenset[Value] = frozenset()
    prices: tuple[tuple[Value, frozenset[str]], ...] = ()
    currencies: frozenset[str] = frozenset()
    dates: frozenset[tuple[int | None, int, int]] = frozenset()
    links: frozenset[tuple[str, str]] = frozenset()
    mails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    verbatim: frozenset[str] = frozenset()


_NO_ENTRY = _Entry()
_MAX_KEPT = 200
"""Characters of a text that may come again at any time, as values, points and names do; longer ones come again soon,
with the same product for another placement."""


@lru_cache(maxsize=1024)
def _entry_kept(text: str, figures: Figures) -> _Entry:
    return _entry(text, figures)


@lru_cache(maxsize=64)
def _entry_recent(text: str, figures: Figures) -> _Entry:
    return _entry(text, figures)


def _entry(text: str, figures: Figures) -> _Entry:
    numbers: list[tuple[Value, str]] = []
    prices: list[tuple[Value, frozenset[str]]] = []
    percents: set[Value] = set()
    currencies = set(figures.currencies_in(text))
    dates: set[tuple[int | None, int, int]] = set()
    for figure in figures.read(text):
        if figure.kind == "percent":
            percents |= figure.values
        elif figure.kind == "price":
            prices += [(value, figure.currencies) for value in figure.values]
            numbers += [(value, "") for value in figure.values]
            currencies |= figure.currencies
        elif figure.kind == "date":
            for date in figure.values:
                if isinstance(date, tuple):
                    dates.add(date)
                    numbers += [(Decimal(count), "date") for count in date if count is not None]
        else:
            numbers += [(value, figure.unit) for value in figure.values]
        numbers += [(part, figure.unit) for part in figure.parts]
    entry = _Entry(
        tuple(numbers),
        frozenset(percents),
        tuple(prices),
        frozenset(currencies),
        frozenset(dates),
        frozenset(canonical_link(text[a:b]) for a, b in find_links(text)),
        frozenset(text[a:b].lower() for a, b in find_mails(text)),
        frozenset(_bare(m.group()) for m in _PHONE.finditer(text) if _is_phone(m.group())),
        frozenset((_folded(text),)) if _is_verbatim(text, figures) else frozenset(),
    )
    return entry if any(entry) else _NO_ENTRY


def _bare(phone: str) -> str:
    return "".join(str(int(c)) for c in phone if c.isdigit()).lstrip("0")


def _is_phone(written: str) -> bool:
    return sum(c.isdigit() for c in written) in _PHONE_DIGITS


_MAX_VERBATIM = 60


def _is_verbatim(text: str, figures: Figures) -> bool:
    """Tell whether *text* is short and holds a figure together with a letter or sign: never a bare number."""
    if not text.startswith("http") and not (3 <= len(text) <= _MAX_VERBATIM and figures.may_hold(text)):
        return False
    return any(c.isalpha() or category(c) == "Sc" for c in text)


# Patterns that hold for every brief: one with the brief's own texts takes half a millisecond to compile.
_BEGINS = lazy(r"(?<![\w.,+/-])")
_ENDS = lazy(r"(?![\w%‰°²³/?&=#-])(?![.,]\d)(?!\s*[%€$£¥₹])")


def _without(pieces: tuple[str, ...], text: str) -> str:
    """Blank what stands in *pieces* out of *text*, the longest first where two begin alike."""
    folded = _folded(text)
    found = []
    for piece in pieces:
        start = folded.find(piece)
        while start >= 0:
            end = start + len(piece)
            if _BEGINS.match(text, start) and _ENDS.match(text, end):
                found.append((start, -end))
            start = folded.find(piece, start + 1)
    done = 0
    for start, end in sorted(found):
        if start >= done:
            done = -end
            text = text[:start] + " " * (done - start) + text[done:]
    return text


# Letters of which Unicode has two small forms, as `re.IGNORECASE` knows them.
_ALIKE = str.maketrans(
    "\u0131\u017f\u03bc\u03b9\u1fbe\u1fd3\u1fe3\u03d0\u03f5\u03d1\u03f0\u03d6\u03f1\u03c3\u03d5\u1c80\u1c81\u1c82\u1c83\u1c84\u1c85\u1c86\u1c87\ua64b\u1e9b\ufb06",
    "\u0069\u0073\u00b5\u0345\u0345\u0390\u03b0\u03b2\u03b5\u03b8\u03ba\u03c0\u03c1\u03c2\u03c6\u0432\u0434\u043e\u0441\u0442\u0442\u044a\u0463\u1c88\u1e61\ufb05",
)
_ALIKE_LETTER = lazy(f"[{''.join(map(chr, _ALIKE))}]")


def _folded(text: str) -> str:
    """Give *text* in lower case, letter by letter: as long as it was."""
    if text.isascii():
        return text.lower()
    lower = text.replace("İ", "i").lower()
    return lower.translate(_ALIKE) if _ALIKE_LETTER.search(lower) else lower
