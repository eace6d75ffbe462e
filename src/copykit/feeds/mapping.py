"""Which column holds what: guessed from headers and values, shown, overridable, and applied row by row."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from copykit.data import load_toml
from copykit.errors import InvalidRequest, nearest_names

from .rows import BadRow, Row
from .text import plain_text

__all__ = ["FIELDS", "ColumnMap", "Use", "brief_of", "guess", "left_out", "override", "text_of"]

FIELDS = (
    "id", "handle", "name", "tagline", "description", "short_description", "ingredients", "sale_price",
    "old_price", "price", "currency", "category", "brand", "url", "language", "key_points",
    "audience", "keywords",
)  # fmt: skip
"""What a column may be mapped to, besides ``facts.<key>``."""

_TEXTS = ("description", "short_description", "tagline", "ingredients")
_MAX_FACT = 120
_MAX_INGREDIENTS = 500
"""Characters; longer lists are left out: exports cut them (Open Food Facts: 600), and no copy holds them."""


@dataclass(frozen=True, slots=True)
class Use:
    """One field of the brief and the column it is read from."""

    field: str
    """One of `FIELDS`, or ``facts.<key>``."""
    column: str
    """Header of the column; a leading ``=`` makes it a constant for every row (``=EUR``)."""
    why: str
    """How it was found: ``header``, ``header + unit cm``, ``longest text``, ``--map``."""
    unit: str = ""
    """Unit of the column's bare numbers, by its header."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """All uses, and why the other columns are not used."""

    uses: tuple[Use, ...]
    unused: tuple[tuple[str, str], ...]
    """(column, reason) pairs."""
    columns: tuple[str, ...]
    """Every column seen, in the order of the file."""

    def use(self, field: str) -> Use | None:
        """Give the first use of *field*, None if no column serves it."""
        for use in self.uses:
            if use.field == field:
                return use
        return None

    def check(self) -> None:
        """Make sure that there is something to write from.

        Raises:
            InvalidRequest: no column gives a description; names the columns to choose from.
        """
        if any(self.use(field) for field in _TEXTS):
            return
        candidates = [column for column, _ in self.unused] + [
            use.column for use in self.uses if use.field == "name"
        ]
        shown = ", ".join(candidates or self.columns) or "none"
        reason = (
            f"no column looks like a description; choose one with --map description=COLUMN (columns: {shown})"
        )
        raise InvalidRequest("map", "description", reason)

    def as_dict(self) -> dict[str, str]:
        """Give field -> column, e.g. to compare two runs."""
        return {use.field: use.column for use in self.uses}


def guess(sample: Iterable[Row | BadRow]) -> ColumnMap:
    """Guess the mapping from the headers and values of *sample*, usually the first 200 rows.

    A header decides first (by the lists of ``data/feeds/columns.toml``, in the catalogue's larger languages),
    and the values must fit it: a price holds amounts, a language a tag. Where no header names a description,
    the column with the longest texts is taken.
    """
    rows = [row.fields for row in sample if isinstance(row, Row)]
    columns = list(dict.fromkeys(column for fields in rows for column in fields))
    values = {
        column: [fields[column] for fields in rows if fields.get(column) not in (None, "", [], {})]
        for column in columns
    }
    claims: dict[str, list[tuple[bool, int, str, str, str]]] = {}
    unused: dict[str, str] = {}
    for column in columns:
        claim = _claim(column)
        if isinstance(claim, str):
            unused[column] = claim
            continue
        found = False
        for field, rank, why, unit in claim:
            if problem := _misfit(field, values[column]):
                unused.setdefault(column, f"named like {field}, but {problem}")
            else:
                claims.setdefault(field, []).append((not values[column], rank, column, why, unit))
                found = True
        if found:
            unused.pop(column, None)
        else:
            unused.setdefault(column, "not known; --map FIELD=" + column)
    uses: list[Use] = []
    for field in (*FIELDS, *sorted(name for name in claims if name.startswith("facts."))):
        ranked = sorted(claims.get(field, ()))
        for place, (_, _, column, why, unit) in enumerate(ranked):
            if place == 0:
                uses.append(Use(field, column, why, unit))
            elif not any(column == use.column for use in uses):
                unused[column] = f"{field} is taken from {ranked[0][2]}"
    _guess_texts(uses, unused, values)
    used = {use.column for use in uses}
    return ColumnMap(
        tuple(uses), tuple((c, unused.get(c, "not used")) for c in columns if c not in used), tuple(columns)
    )


def override(mapping: ColumnMap, pairs: Sequence[str]) -> ColumnMap:
    """Apply ``FIELD=COLUMN`` pairs; ``FIELD=`` drops a field, ``FIELD==TEXT`` is a constant.

    Raises:
        InvalidRequest: an unknown field or column, with the nearest ones.
    """
    uses = list(mapping.uses)
    for pair in pairs:
        field, equals, wanted = pair.partition("=")
        field = field.strip()
        if not equals:
            raise InvalidRequest("map", pair, "write FIELD=COLUMN, e.g. name=title")
        _check_field(field, pair)
        if not wanted.strip():
            uses = [use for use in uses if use.field != field]
            continue
        column = wanted if wanted.startswith("=") else _column(mapping, wanted.strip(), pair)
        unit = _unit_of(_normal(column))[1]
        keep_shared = field in ("id", "handle")
        uses = [
            use
            for use in uses
            if use.field != field and (keep_shared or use.column != column or use.field in ("id", "handle"))
        ]
        uses.append(Use(field, column, "--map", unit))
    order = {name: place for place, name in enumerate(FIELDS)}
    uses.sort(key=lambda use: (order.get(use.field, len(FIELDS)), use.field))
    used = {use.column for use in uses}
    reasons = dict(mapping.unused)
    left = tuple((c, reasons.get(c, "dropped by --map")) for c in mapping.columns if c not in used)
    return ColumnMap(tuple(uses), left, mapping.columns)


def brief_of(row: Row, mapping: ColumnMap) -> dict[str, Any]:
    """Give what *row* holds as arguments of a `CopywritingInput`: description, name, facts, points, url.

    Only what the row says: a price without a currency, an "old" price that is not higher, a size without a
    unit or a cell that means "none" is left out.

    Raises:
        InvalidRequest: the row has no text to write from.
    """
    cells = {use.field: _cell(row, use) for use in mapping.uses if not use.field.startswith("facts.")}
    text = {field: text_of(value) for field, value in cells.items() if field not in _RAW}
    name = " ".join(text.get("name", "").split())
    description = text.get("description") or text.get("short_description") or ""
    if tagline := text.get("tagline"):
        description = f"{description}\n{tagline}" if description else tagline
    if not (description or name):
        raise InvalidRequest("product_description", "", f"the row has no description (line {row.line})")
    facts = _facts(row, mapping, cells, text)
    brief: dict[str, Any] = {"product_description": description or name, "facts": facts}
    if name:
        brief["product_name"] = name
    if points := _points(cells.get("key_points")):
        brief["key_points"] = points
    if keywords := _points(cells.get("keywords"), commas=True):
        brief["keywords"] = keywords
    if audience := text.get("audience"):
        brief["target_audience"] = audience
    url = str(cells.get("url") or "").strip()
    if url.lower().startswith(("http://", "https://")):
        brief["url"] = url
    return brief


def left_out(row: Row, mapping: ColumnMap) -> tuple[str, ...]:
    """Say which prices of *row* its brief does not state, and why; in words that are the same for all rows."""
    cells = {field: _cell(row, use) for field in _PRICES if (use := mapping.use(field)) is not None}
    currency = mapping.use("currency")
    return _prices(cells, text_of(_cell(row, currency)) if currency else "")[1] if cells else ()


def text_of(value: Any) -> str:
    """Give a cell as plain text; lists joined by commas, nothing for objects and for words that mean
    "none"."""
    if isinstance(value, str):
        text = plain_text(value)
        return "" if len(text) < 20 and text.lower() in _no_value() else text
    if isinstance(value, bool) or value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return ", ".join(text for text in map(text_of, value) if text)
    return str(value)


# -- guessing ------------------------------------------------------------------------------------------------

_PRICES = ("price", "sale_price", "old_price")
_RAW = frozenset({"key_points", "keywords", *_PRICES, "url", "category"})
_AMOUNT = re.compile(r"[^\d]{0,6}\d[\d.,\s'’]*[^\d]{0,6}")
_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


@cache
def _data() -> dict[str, Any]:
    return load_toml("feeds/columns.toml")


@cache
def _no_value() -> frozenset[str]:
    return frozenset(_data()["no_value"]["words"])


@cache
def _headers() -> dict[str, list[tuple[str, int]]]:
    """Header in normal form -> the fields that may claim it, with the header's rank there."""
    data, found = _data(), {}  # type: ignore[var-annotated]
    tables = ((name, names) for name, names in data["fields"].items())
    facts = ((f"facts.{name}", names) for name, names in data["facts"].items())
    for field, names in (*tables, *facts):
        for rank, name in enumerate(names):
            found.setdefault(_normal(name), []).append((field, rank))
    return found


def _normal(header: str) -> str:
    text = unicodedata.normalize("NFKC", header).lower().strip("\ufeff ")
    text = text.removeprefix("g:").removeprefix("variant ")
    return " ".join(re.sub(r"[_\-.:/()\[\]]+", " ", text).split())


def _unit_of(normal: str) -> tuple[str, str]:
    stem, _, last = normal.rpartition(" ")
    return (stem, last) if stem and last in _data()["units"]["known"] else (normal, "")


def _claim(column: str) -> list[tuple[str, int, str, str]] | str:
    """What a header may be, as (field, rank, why, unit); or the reason why the column is not for use."""
    normal = _normal(column)
    skipped: Mapping[str, str] = _data()["skipped"]
    if normal in skipped:
        return skipped[normal]
    if normal in _headers():
        # one column may be id and handle at once; otherwise the first claim holds
        claims = _headers()[normal]
        keys = [claim for claim in claims if claim[0] in ("id", "handle")]
        return [(field, rank, "header", "") for field, rank in (keys or claims[:1])]
    stem, unit = _unit_of(normal)
    if unit and stem in _headers():
        return [(field, rank, f"header, unit {unit}", unit) for field, rank in _headers()[stem][:1]]
    return []


def _misfit(field: str, values: list[Any]) -> str:
    """Say why *values* cannot be *field*; empty if they can, or if there are none to tell."""
    if not values:
        return ""
    if field in ("price", "sale_price"):
        fitting = sum(isinstance(v, int | float) or bool(_AMOUNT.fullmatch(str(v).strip())) for v in values)
        return "" if fitting * 2 >= len(values) else "its values are not amounts"
    if field == "language":
        fitting = sum(isinstance(v, str) and bool(_TAG.fullmatch(v.strip())) for v in values)
        return "" if fitting * 2 >= len(values) else "its values are not language tags"
    if field == "url":
        fitting = sum(
            isinstance(v, str) and v.strip().lower().startswith(("http://", "https://")) for v in values
        )
        return "" if fitting * 2 >= len(values) else "its values are not web addresses"
    if field in ("name", *_TEXTS, "brand"):
        fitting = sum(isinstance(v, str | int | float) for v in values)
        return "" if fitting * 2 >= len(values) else "its values are not text"
    return ""


def _guess_texts(uses: list[Use], unused: dict[str, str], values: Mapping[str, list[Any]]) -> None:
    taken = {use.column for use in uses}
    texts: dict[str, float] = {}
    for column, cells in values.items():
        words = [cell for cell in cells if isinstance(cell, str) and not cell.lower().startswith("http")]
        if column not in taken and column not in _skipped(unused) and len(words) * 2 > len(cells):
            texts[column] = sum(map(len, words)) / len(words)
    if not any(use.field in _TEXTS for use in uses):
        long = [
            column
            for column, mean in texts.items()
            if mean >= 25 and any(" " in str(v) for v in values[column])
        ]
        if long:
            best = max(long, key=lambda column: texts[column])
            uses.append(Use("description", best, "longest text"))
            texts.pop(best)


def _skipped(unused: Mapping[str, str]) -> set[str]:
    known = set(_data()["skipped"].values())
    return {column for column, reason in unused.items() if reason in known}


def _check_field(field: str, pair: str) -> None:
    if field in FIELDS or (field.startswith("facts.") and len(field) > 6):
        return
    near = nearest_names(field, FIELDS)
    raise InvalidRequest(
        "map", pair, f"{field!r} is not a field; fields: {', '.join(FIELDS)}, facts.KEY", nearest=near
    )


def _column(mapping: ColumnMap, wanted: str, pair: str) -> str:
    if wanted in mapping.columns:
        return wanted
    for column in mapping.columns:
        if _normal(column) == _normal(wanted):
            return column
    shown = ", ".join(mapping.columns[:12]) + (", …" if len(mapping.columns) > 12 else "")
    near = nearest_names(wanted, mapping.columns)
    raise InvalidRequest("map", pair, f"the file has no column {wanted!r} (columns: {shown})", nearest=near)


# -- applying ------------------------------------------------------------------------------------------------

_SPLIT = re.compile(r"\s*(?:\r?\n|[|;•·])\s*")
_SPLIT_COMMAS = re.compile(r"\s*(?:\r?\n|[|;,、，])\s*")
_PAIRS = re.compile(r"(\w+)=((?:(?!,\w+=).)*)", re.S)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)+")


def _cell(row: Row, use: Use) -> Any:
    return use.column[1:] if use.column.startswith("=") else row.fields.get(use.column)


def _points(value: Any, *, commas: bool = False) -> list[str]:
    if isinstance(value, str):
        value = (_SPLIT_COMMAS if commas else _SPLIT).split(plain_text(value))
    if not isinstance(value, list):
        return []
    return list(dict.fromkeys(text for text in map(text_of, value) if text))


def _facts(row: Row, mapping: ColumnMap, cells: Mapping[str, Any], text: Mapping[str, str]) -> dict[str, str]:
    facts, _ = _prices(cells, text.get("currency", ""))
    if category := _category(cells.get("category")):
        facts["category"] = category
    # a slug (partners-demo) is the shop system's name for the vendor, not the one readers know
    if (brand := text.get("brand", "")) and len(brand) <= _MAX_FACT and not _SLUG.fullmatch(brand):
        facts["brand"] = brand
    ingredients = _list_label().sub("", text.get("ingredients", "").replace("\n", " ")).rstrip(" .;,")
    if ingredients and len(ingredients) <= _MAX_INGREDIENTS:
        facts["ingredients"] = ingredients
    for use in mapping.uses:
        if use.field.startswith("facts."):
            for key, value in _fact(use.field[6:], _cell(row, use), use.unit):
                facts.setdefault(key, value)
    return facts


@cache
def _list_label() -> re.Pattern[str]:
    """The word "ingredients" and its colon, which many cells repeat; the copy has a label of its own."""
    names = sorted(map(re.escape, _data()["fields"]["ingredients"]), key=len, reverse=True)
    return re.compile(rf"^\W*(?:{'|'.join(names)})\s*[:：]\s*", re.IGNORECASE)


def _fact(key: str, value: Any, unit: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        known = _data()["attributes"]["known"]
        return [pair for name, cell in value.items() if name in known for pair in _fact(name, cell, unit)]
    if key == "attributes":
        known, pairs = _data()["attributes"]["known"], _PAIRS.findall(str(value or ""))
        return [pair for name, cell in pairs if name in known for pair in _fact(name, cell, "")]
    text = text_of(value).rstrip(" .;,")
    if ";" in text or "|" in text:
        text = ", ".join(part.strip() for part in re.split("[;|]", text) if part.strip())
    if not text or len(text) > _MAX_FACT or "\n" in text:
        return []
    if _NUMBER.fullmatch(text):
        # a bare number says nothing: 12 what?
        if not unit and key in ("weight", "width", "height", "depth", "length", "dimensions", "size"):
            return []
        text = f"{_plain(text)} {unit}".strip()
    elif key == "designer" and any(mark.isdigit() for mark in text):
        return []  # seen in listings: an article number and its text slipped into this column
    return [(key, text)]


def _plain(number: str) -> str:
    return number.removesuffix(".0")


def _category(value: Any) -> str:
    """The last step of the first path: ``Men/Tops/Hoodies,Sale/Tops`` gives Hoodies."""
    if isinstance(value, list):
        value = value[0] if value else ""
    text = text_of(value)
    if "/" in text:
        text = text.split(",")[0]
    leaf = re.split(r"[/>\n|]", text)[-1].strip()
    return leaf if leaf and not leaf.isdigit() and len(leaf) <= _MAX_FACT else ""


class _NoPrice(Exception):
    """A cell that holds something, but no price that may be stated; the text says why."""


def _prices(cells: Mapping[str, Any], currency: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give the facts that the price cells support, and what is wrong with those that support none."""
    found: dict[str, _Money | None] = {}
    problems = []
    for field in _PRICES:
        try:
            found[field] = _money(cells.get(field), currency)
        except _NoPrice as problem:
            found[field] = None
            # "No old price" is how exports fill that column: only what looks like one is missed
            if field != "old_price" or any(mark.isdecimal() for mark in str(cells[field])):
                problems.append(f"{field.replace('_', ' ')} is left out: {problem}")
    price, sale, old = (found[field] for field in _PRICES)
    if sale and price and sale[0] < price[0] and sale[2] == price[2]:
        price, old = sale, price
    price = price or sale
    facts = {"price": price[1]} if price else {}
    if price and old and old[0] > price[0] and old[2] == price[2]:
        facts["old_price"] = old[1]
    return facts, tuple(problems)


_Money = tuple[Decimal, str, str]


def _money(value: Any, currency: str) -> _Money | None:
    """Give (amount, how to write it, currency) of a cell, None of an empty one.

    Raises:
        _NoPrice: the cell names no amount above zero, or no currency.
    """
    if isinstance(value, bool) or text_of(value) == "":
        return None
    text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in str(value)).strip()
    match = re.search(r"\d(?:[\d.,'’\s]*\d)?", text)
    amount = _amount(match[0], exact=isinstance(value, int | float)) if match else None
    if match is None or amount is None:
        raise _NoPrice("it names no amount")
    beside = " ".join((text[: match.start()] + " " + text[match.end() :]).split())
    if amount <= 0 or text[: match.start()].rstrip().endswith(("-", "−")):
        raise _NoPrice("it is not above zero")
    code = currency.strip() if not beside else _data()["currency_marks"].get(beside, beside)
    if (not beside and code) or re.fullmatch(r"[A-Z]{3}", code):
        return amount, f"{_written(amount)} {code}", code
    if any(unicodedata.category(mark) == "Sc" for mark in beside) and len(beside) <= 3:
        return amount, text, currency or beside  # an ambiguous sign such as $ stays as the row has it
    if currency and len(beside) <= 3 and beside.isalpha():
        return amount, f"{_written(amount)} {currency}", currency  # kr beside SEK
    raise _NoPrice(
        "what stands beside the amount is not a currency alone" if beside else "it names no currency"
    )


def _amount(digits: str, *, exact: bool) -> Decimal | None:
    text = re.sub(r"[\s'’]", "", digits)
    if not exact:
        last = max(text.rfind("."), text.rfind(","))
        if last >= 0:
            tail = text[last + 1 :]
            single = len(re.findall(r"[.,]", text)) == 1
            groups = len(tail) == 3 and not (single and text.startswith("0"))
            whole = re.sub(r"[.,]", "", text if groups else text[:last])
            text = whole if groups else f"{whole}.{tail}"
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _written(amount: Decimal) -> str:
    if amount == amount.to_integral_value():
        return str(int(amount))
    return str(amount.quantize(Decimal("0.01"))) if -amount.as_tuple().exponent <= 2 else str(amount)  # type: ignore[operator]
