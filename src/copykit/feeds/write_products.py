"""Product texts for Google Merchant Center (supplemental feed) and for Shopify's product import."""

from __future__ import annotations

import html
import re
from typing import IO

from copykit.models import CopyVariant

from .write_table import TableWriter

__all__ = ["MERCHANT_HEADER", "SHOPIFY_HEADER", "GoogleMerchant", "Shopify", "body_html", "structured"]

MERCHANT_HEADER = ("id", "title", "description", "structured_title", "structured_description")
"""Columns of the supplemental feed; of each pair only one is filled."""

SHOPIFY_HEADER = ("Handle", "Title", "Body (HTML)", "SEO Title", "SEO Description")
"""Columns that update copy; one line a product is enough when only these are sent."""


def structured(text: str) -> str:
    """Give *text* as a structured attribute that declares it as model-written.

    Inner quotes and backslashes get a backslash, so that the text ends where it ends.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'trained_algorithmic_media:"{escaped}"'


def body_html(text: str) -> str:
    """Give plain *text* as HTML: blocks between empty lines are paragraphs, single breaks stay breaks."""
    blocks = (block.strip() for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")))
    return "".join(
        f"<p>{html.escape(block, quote=False).replace(chr(10), '<br>')}</p>" for block in blocks if block
    )


class GoogleMerchant:
    """Supplemental feed as TSV: phrase-bank text in ``title``, model-written text in ``structured_title``."""

    placement = "google_merchant.product"
    needs = ("id",)

    def __init__(self, stream: IO[bytes]) -> None:
        self._table = TableWriter(stream, MERCHANT_HEADER, delimiter="\t")

    def add(self, variant: CopyVariant, targets: dict[str, str]) -> str:
        """Write one product; gives the reason if it cannot be one."""
        title, description = _text(variant, "title"), _text(variant, "description")
        if not title or not description:
            return "no title or no description"
        if targets["written_by"] == "phrasebank":
            cells = {"title": title, "description": description}
        else:
            cells = {"structured_title": structured(title), "structured_description": structured(description)}
        self._table.row({"id": targets["id"], **cells})
        return ""


class Shopify:
    """Product CSV that updates title, body and search texts of existing products."""

    placement = "shopify.product"
    needs = ("handle",)

    def __init__(self, stream: IO[bytes]) -> None:
        self._table = TableWriter(stream, SHOPIFY_HEADER)

    def add(self, variant: CopyVariant, targets: dict[str, str]) -> str:
        """Write one product; gives the reason if it cannot be one.

        An empty cell would empty the shop's field: search texts that were not written keep the row's own.
        """
        title, description = _text(variant, "title"), _text(variant, "description")
        if not title or not description:
            return "no title or no description"
        self._table.row(
            {
                "Handle": targets["handle"],
                "Title": title,
                "Body (HTML)": body_html(description),
                "SEO Title": _text(variant, "seo_title") or targets.get("seo_title", ""),
                "SEO Description": _text(variant, "meta_description") or targets.get("seo_description", ""),
            }
        )
        return ""


def _text(variant: CopyVariant, name: str) -> str:
    value = variant.fields.get(name, "")
    return value if isinstance(value, str) else "\n".join(value)
