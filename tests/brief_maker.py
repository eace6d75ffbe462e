"""Briefs for tests of the rooms below the compiler, straight from the catalogue."""

from __future__ import annotations

from dataclasses import replace

from copykit.brief import catalog
from copykit.brief.brief import Brief, Fact
from copykit.brief.ledger import Ledger
from copykit.models import Brand, CopywritingInput


def make_brief(
    platform: str = "x.post",
    language: str = "en",
    *,
    points: tuple[str, ...] = (),
    facts: dict[str, str] | None = None,
    tone: str = "neutral",
    use_case: str | None = None,
    variants: int = 1,
    brand: Brand | None = None,
) -> Brief:
    """Give a brief with these parts and nothing else."""
    request = CopywritingInput(
        product_description="An oak bench.", target_platform=platform, language=language, variants=variants
    )
    placement, tag = catalog.placement(platform), catalog.language(language)
    use = catalog.use_case(use_case or placement.use_case)
    stated = tuple(Fact(key, value) for key, value in (facts or {}).items())
    texts = ["An oak bench.", *points, *(fact.value for fact in stated)]
    return Brief(
        request=request,
        placement=placement,
        fields=placement.fields,
        language=tag,
        tone=catalog.tone(tone),
        use_case=replace(use),
        structure=catalog.structure(use.structures[0]),
        name="",
        item="",
        attributes=(),
        points=points,
        sentences=(),
        facts=stated,
        audience="",
        cta="",
        url="",
        keywords=(),
        brand=brand or Brand(),
        restrictions=(),
        ledger=Ledger.build(texts, tag),
        source_text="\n".join(texts),
    )
