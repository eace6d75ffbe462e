"""Amounts and numbers as a language writes them."""

from __future__ import annotations

from functools import lru_cache

from copykit.brief.catalog import Language
from copykit.lazy import lazy

__all__ = ["local_amount"]

_AMOUNT = lazy(r"(?:(?P<before>[A-Z]{3})\s?)?(?P<number>\d+(?:\.\d{1,2})?)(?:\s?(?P<after>[A-Z]{3}))?")
_PLAIN_DECIMAL = lazy(r"(?<![\d.,])(\d+)\.(\d{1,2})(?![\d.,])")
_SIGNS = {"EUR": "€", "GBP": "£", "INR": "₹", "PLN": "zł", "BRL": "R$"}
"""Signs that stand for one currency wherever they are read; a dollar sign does not."""
_UNGROUPED_BELOW = {"es": 10_000, "pl": 10_000, "pt": 1_000, "it": 1_000}


@lru_cache(maxsize=1024)
def local_amount(value: str, language: Language) -> str:
    """Write ``"1234.50 EUR"`` as *language* does: ``€1,234.50``, ``1.234,50 €``, ``1 234,50 €``.

    Only a bare number with an ISO 4217 code is rewritten; in any other text no more than decimal points change
    to decimal commas. Foreign currencies keep their code unless their sign is unmistakable.
    """
    found = _AMOUNT.fullmatch(value.strip())
    code = (found["before"] or found["after"]) if found else None
    if found is None or not code or (found["before"] and found["after"]):
        return _PLAIN_DECIMAL.sub(r"\1,\2", value) if language.decimal == "," else value
    own = code == language.currency_code
    symbol = language.currency_symbol if own else _SIGNS.get(code, code)
    pattern = language.currency
    if symbol == code:
        pattern = pattern.replace("{symbol}{n}", "{symbol}\u00a0{n}")
    return pattern.format(n=_number(found["number"], language), symbol=symbol)


def _number(text: str, language: Language) -> str:
    whole, _, cents = text.partition(".")
    if int(whole) >= _UNGROUPED_BELOW.get(language.tag.partition("-")[0], 1_000):
        whole = _grouped(whole, language)
    if not cents or not int(cents):
        return whole
    return f"{whole}{language.decimal}{cents:0<2}"


def _grouped(digits: str, language: Language) -> str:
    """Group from the right: by three, or by three and then two (``3;2``)."""
    first, _, then = language.grouping.partition(";")
    groups = [digits[-int(first) :]]
    rest, size = digits[: -int(first)], int(then or first)
    while rest:
        groups.insert(0, rest[-size:])
        rest = rest[:-size]
    return language.group.join(groups)
