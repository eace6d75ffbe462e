"""The brief: a request resolved against the catalogue, with everything that may be said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from copykit.brief.catalog import FieldSpec, Language, Placement, Structure, Tone, UseCase
from copykit.models import Brand, CopywritingInput

if TYPE_CHECKING:
    from copykit.brief.ledger import Ledger
    from copykit.brief.restrictions import Restriction

__all__ = ["Brief", "Fact"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that may be stated: ``price`` = ``265 SAR``."""

    key: str
    """A key the phrase bank has a label for (``price``, ``width`` ...), or the caller's own."""
    value: str


@dataclass(frozen=True, slots=True)
class Brief:
    """A request, complete: nothing in it is empty because it was forgotten, only because it is unknown."""

    request: CopywritingInput
    placement: Placement
    fields: tuple[FieldSpec, ...]
    """The placement's fields with the caller's overrides applied."""
    language: Language
    tone: Tone
    use_case: UseCase
    structure: Structure
    name: str
    """Product or brand name; may be empty."""
    item: str
    """What it is, the first noun phrase of the description; may be empty."""
    attributes: tuple[str, ...]
    """Short fragments of the description: measures, materials, colours."""
    points: tuple[str, ...]
    """The caller's key points, as given."""
    sentences: tuple[str, ...]
    """Whole sentences of the description that can be quoted."""
    facts: tuple[Fact, ...]
    audience: str
    cta: str
    url: str
    keywords: tuple[str, ...]
    brand: Brand
    restrictions: tuple[Restriction, ...]
    ledger: Ledger
    """Every number, date, price and link that copy may state."""
    source_text: str
    """All of the caller's words, cleaned, one part a line: what claims and names are checked against."""
    info: tuple[str, ...] = field(default=())
