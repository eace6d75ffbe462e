"""Responsive search ads for Google Ads Editor and for Microsoft Advertising's bulk upload."""

from __future__ import annotations

import json
from typing import IO

from copykit.errors import counted
from copykit.models import CopyVariant

from .write_table import TableWriter

__all__ = ["GOOGLE_HEADER", "MICROSOFT_HEADER", "GoogleAdsEditor", "MicrosoftAds"]

_HEADLINES, _DESCRIPTIONS = 15, 4
_MIN_HEADLINES, _MIN_DESCRIPTIONS = 3, 2

GOOGLE_HEADER = (
    "Campaign", "Ad Group", "Ad type", "Status", "Final URL", "Path 1", "Path 2",
    *(f"Headline {n}" for n in range(1, _HEADLINES + 1)),
    *(f"Description {n}" for n in range(1, _DESCRIPTIONS + 1)),
)  # fmt: skip
"""Columns of a responsive search ad in Google Ads Editor."""

MICROSOFT_HEADER = (
    "Type", "Status", "Campaign", "Ad Group", "Final Url", "Path 1", "Path 2", "Headline", "Description",
)  # fmt: skip
"""Columns of the bulk record ``Responsive Search Ad``."""


class GoogleAdsEditor:
    """CSV with a byte order mark (for spreadsheet users); every ad starts paused, so nothing goes live
    unread."""

    placement = "google_ads.rsa"
    needs = ("campaign", "ad_group", "final_url")

    def __init__(self, stream: IO[bytes]) -> None:
        self._table = TableWriter(stream, GOOGLE_HEADER, bom=True)

    def add(self, variant: CopyVariant, targets: dict[str, str]) -> str:
        """Write one ad; gives the reason if it cannot be one."""
        headlines, descriptions = _items(variant, "headlines"), _items(variant, "descriptions")
        if problem := _too_few(headlines, descriptions):
            return problem
        cells = {
            "Campaign": targets["campaign"],
            "Ad Group": targets["ad_group"],
            "Ad type": "Responsive search ad",
            "Status": "Paused",
            "Final URL": targets["final_url"],
            **_paths(variant),
        }
        cells |= {f"Headline {n}": text for n, text in enumerate(headlines, 1)}
        cells |= {f"Description {n}": text for n, text in enumerate(descriptions, 1)}
        self._table.row(cells)
        return ""


class MicrosoftAds:
    """Bulk CSV; headlines and descriptions are JSON lists of text assets in one cell each."""

    placement = "microsoft_ads.rsa"
    needs = ("campaign", "ad_group", "final_url")

    def __init__(self, stream: IO[bytes]) -> None:
        self._table = TableWriter(stream, MICROSOFT_HEADER, bom=True)

    def add(self, variant: CopyVariant, targets: dict[str, str]) -> str:
        """Write one ad; gives the reason if it cannot be one."""
        headlines, descriptions = _items(variant, "headlines"), _items(variant, "descriptions")
        if problem := _too_few(headlines, descriptions):
            return problem
        self._table.row(
            {
                "Type": "Responsive Search Ad",
                "Status": "Paused",
                "Campaign": targets["campaign"],
                "Ad Group": targets["ad_group"],
                "Final Url": targets["final_url"],
                **_paths(variant),
                "Headline": _assets(headlines),
                "Description": _assets(descriptions),
            }
        )
        return ""


def _items(variant: CopyVariant, name: str) -> list[str]:
    value = variant.fields.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def _too_few(headlines: list[str], descriptions: list[str]) -> str:
    if len(headlines) < _MIN_HEADLINES or len(descriptions) < _MIN_DESCRIPTIONS:
        return (
            f"{counted(len(headlines), 'headline')} and {counted(len(descriptions), 'description')};"
            f" an ad needs {_MIN_HEADLINES} and {_MIN_DESCRIPTIONS}"
        )
    if len(headlines) > _HEADLINES or len(descriptions) > _DESCRIPTIONS:
        return f"more than {_HEADLINES} headlines or {_DESCRIPTIONS} descriptions"
    return ""


def _paths(variant: CopyVariant) -> dict[str, str]:
    first, second = variant.fields.get("path1", ""), variant.fields.get("path2", "")
    if not isinstance(first, str) or not isinstance(second, str) or not first:
        return {}
    return {"Path 1": first, "Path 2": second}


def _assets(texts: list[str]) -> str:
    return json.dumps([{"text": text} for text in texts], ensure_ascii=False)
