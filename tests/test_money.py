"""Amounts as each language writes them."""

from __future__ import annotations

import pytest

from copykit.brief import catalog
from copykit.brief.ledger import Ledger
from copykit.brief.money import local_amount

CASES = [
    ("en", "249 EUR", "€249"),
    ("en", "1235 SAR", "SAR\u00a01,235"),
    ("en", "52.5 USD", "$52.50"),
    ("de", "1234.50 EUR", "1.234,50\u00a0€"),
    ("fr-FR", "690 EUR", "690\u00a0€"),
    ("es-ES", "1234.5 EUR", "1234,50\u00a0€"),
    ("es-ES", "12345 EUR", "12.345\u00a0€"),
    ("nl", "249 EUR", "€\u00a0249"),
    ("pl", "249.99 PLN", "249,99\u00a0zł"),
    ("pt-BR", "1234.5 BRL", "R$\u00a01.234,50"),
    ("hi", "1234567 INR", "₹12,34,567"),
    ("ja", "2980 JPY", "￥2,980"),
    ("de", "49 USD", "49\u00a0USD"),
    ("de", "11.4 kg", "11,4 kg"),
    ("en", "11.4 kg", "11.4 kg"),
    ("de", "v1.2.3", "v1.2.3"),
    ("fr-FR", "EUR 5 EUR", "EUR 5 EUR"),
]


@pytest.mark.parametrize(("tag", "value", "written"), CASES)
def test_an_amount_is_written_as_the_language_does(tag: str, value: str, written: str) -> None:
    """Sign or code, its place, decimals and groups are the language's; anything else is left alone."""
    assert local_amount(value, catalog.language(tag)) == written


@pytest.mark.parametrize(("tag", "value", "written"), CASES)
def test_what_is_written_traces_to_the_brief(tag: str, value: str, written: str) -> None:
    """The ledger knows the local form as the same amount."""
    assert Ledger.build([value], catalog.language(tag)).untraced(f"{written}.") == []
