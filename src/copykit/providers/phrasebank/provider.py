"""The phrase bank as a provider: offline, deterministic by seed, and honest about what it is."""

from __future__ import annotations

from copykit.brief import catalog
from copykit.brief.brief import Brief
from copykit.brief.prompt import Prompt
from copykit.drafts.check import checker_for
from copykit.drafts.draft import Draft
from copykit.drafts.foreign_facts import without_foreign_facts
from copykit.drafts.needed import unsaid
from copykit.errors import InvalidRequest
from copykit.models import Usage
from copykit.providers.base import Completion
from copykit.providers.phrasebank.bank import Bank, bank_for, spoken
from copykit.providers.phrasebank.choose import Chooser
from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material
from copykit.providers.phrasebank.room import Rooms
from copykit.providers.phrasebank.writer import VariantWriter

__all__ = ["REVISION", "PhraseBank", "write_drafts"]

REVISION = "2026-11-22"
"""Date of the authored phrases and of the rules that choose among them."""

_NOTHING_SPENT = Usage(
    input_tokens=0, output_tokens=0, cached_tokens=0, cache_write_tokens=0, reasoning_tokens=0, cost_usd=0.0
)


class PhraseBank:
    """Writes from authored phrases and the brief's own words.

    It is the baseline and the fallback, not a model: it cannot follow free instructions, and says so.
    """

    name = "phrasebank"
    model = REVISION
    embedded = True
    """It runs here and costs nothing: the router asks it whatever was tried before."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Write the prompt's variants.

        Raises:
            InvalidRequest: the phrase bank does not speak the brief's language yet, or a model is named.
        """
        brief, left_out = without_foreign_facts(prompt.brief)
        if prompt.model not in (None, REVISION):
            raise InvalidRequest(
                "model", prompt.model, "the phrase bank is no model and has none", nearest=[REVISION]
            )
        bank = bank_for(brief.language)
        if bank is None:
            raise InvalidRequest(
                "language",
                brief.language.tag,
                f"the phrase bank does not speak {brief.language.name} yet; it speaks {', '.join(spoken())}. "
                "A model provider can",
                nearest=_near(brief),
            )
        drafts = write_drafts(brief, bank, prompt.variants)
        return Completion(
            drafts=drafts,
            model=REVISION,
            usage=_NOTHING_SPENT,
            info=(*_remarks(brief, bank), *left_out, *unsaid(brief, drafts)),
        )


def write_drafts(brief: Brief, bank: Bank, variants: int) -> tuple[Draft, ...]:
    """Write *variants* drafts of *brief*; equal briefs and seeds give equal drafts on every machine."""
    material = Material.of(brief, bank)
    rooms = Rooms(brief.language.tag, checker_for(brief))
    dice = Dice.from_text(_identity(brief))
    chooser = Chooser(material, dice.fork(0))
    structures = [catalog.structure(name) for name in brief.use_case.structures]
    drafts = []
    for number in range(variants):
        chooser.new_variant(number)
        own = dice.fork(number + 1)
        structure = structures[number % len(structures)]
        drafts.append(VariantWriter(material, chooser, rooms, own, structure).write())
    return tuple(drafts)


def _identity(brief: Brief) -> str:
    ids = (brief.placement.id, brief.language.tag, brief.tone.id, brief.use_case.id)
    return "\x1f".join((*ids, str(brief.request.seed), brief.source_text))


def _remarks(brief: Brief, bank: Bank) -> list[str]:
    remarks = []
    if not bank.reviewed:
        remarks.append(f"unreviewed: no native speaker has read the {brief.language.name} phrases yet")
    if brief.request.instructions:
        remarks.append("instructions were not followed: the phrase bank cannot read them")
    return remarks


def _near(brief: Brief) -> list[str]:
    base = brief.language.tag.partition("-")[0]
    return [tag for tag in spoken() if tag.partition("-")[0] == base]
