"""From a brief to judged copy: ask, judge, ask again for what failed, and only then the next target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from copykit.brief.brief import Brief
from copykit.caching.key import output_id
from copykit.drafts.accept import Judged, arrange, judge_each
from copykit.drafts.again import faults, mended
from copykit.errors import CopykitError
from copykit.models import (
    Attempt,
    CopyVariant,
    CopywritingOutput,
    Receipt,
    Repair,
    RestrictionReport,
    Usage,
)
from copykit.routing.asking import Answer, Asking

if TYPE_CHECKING:
    from copykit.streaming import Watch

__all__ = ["Written", "output_of", "write"]


@dataclass(frozen=True, slots=True)
class Written:
    """Copy that was accepted, or the best there is, and the way to it."""

    variants: list[CopyVariant]
    """Best first."""
    repairs: list[Repair]
    answer: Answer
    attempts: tuple[Attempt, ...]
    usage: Usage
    """Over all attempts."""


async def write(asking: Asking, brief: Brief, *, watch: Watch | None = None) -> Written:
    """Write *brief*: the first target whose copy passes serves; if none does, the copy with the fewest errors.

    Copy of a model that fails is mended first: the texts that failed are asked for again, alone, at most twice a
    target. Copy that still fails sends the request on to the next target. A *watch* is told what each judging found.

    Raises:
        CopykitError: no target gave any copy; as `Router.ask`. It carries the attempts, and so does a provider's defect:
            they may have cost money.
    """
    try:
        return await _write(asking, brief, watch)
    except Exception as error:
        vars(error)["attempts"] = tuple(asking.attempts)
        raise


async def _write(asking: Asking, brief: Brief, watch: Watch | None) -> Written:
    best: tuple[int, list[CopyVariant], list[Repair], Answer] | None = None
    while True:
        try:
            answer = await asking.next()
        except CopykitError:
            if best is None:
                raise
            break
        judged = judge_each(answer.drafts, brief, written_by_model=answer.by_model)
        if watch is not None:
            watch.judged(judged)
        if answer.by_model:
            judged = await _asked_again(asking, brief, judged, watch)
        variants, repairs = arrange(judged)
        errors = [v.rule for v in variants[0].violations if v.severity == "error"]
        asking.judged(accepted=not errors, why=", ".join(sorted(set(errors))))
        if best is None or len(errors) < best[0]:
            best = (len(errors), variants, repairs, answer)
        if not errors or asking.begun:  # what was shown is not silently taken on by another model
            break
    _, variants, repairs, answer = best
    return Written(variants, repairs, answer, tuple(asking.attempts), asking.usage)


async def _asked_again(
    asking: Asking, brief: Brief, judged: Sequence[Judged], watch: Watch | None
) -> list[Judged]:
    """Ask for what failed until nothing fails, no more may be asked, or the same fault comes back."""
    judged = list(judged)
    seen: set[tuple[int, str, frozenset[str]]] = set()
    while asking.may_ask_again():
        asked = [fault for fault in faults(judged, brief) if fault.signature not in seen]
        if not asked:
            break
        seen.update(fault.signature for fault in asked)
        texts = await asking.again([fault.wanted for fault in asked])
        if not texts:
            break
        drafts, repairs = mended(judged, asked, texts)
        judged = judge_each(drafts, brief, written_by_model=True, carried=repairs)
        if watch is not None:
            watch.judged(judged)
    return judged


def output_of(written: Written, brief: Brief, *, key: str, versions: dict[str, str]) -> CopywritingOutput:
    """Give the result as callers see it, with its receipt."""
    return CopywritingOutput.model_construct(
        id=output_id(key, None),
        variants=written.variants,
        text=written.variants[0].text,
        placement=brief.placement.id,
        language=brief.language.tag,
        tone=brief.tone.id,
        use_case=brief.use_case.id,
        usage=written.usage,
        receipt=Receipt.model_construct(
            served_by=written.answer.served_by,
            cache=None,
            saved_usd=None,
            attempts=list(written.attempts),
            repairs=written.repairs,
            versions=versions,
            key=key,
        ),
        created_at=datetime.now(UTC),
        restrictions=[
            RestrictionReport(text=r.text, kind=r.kind, enforced=r.enforced, values=list(r.values))
            for r in brief.restrictions
        ],
        info=[*brief.info, *written.answer.info],
    )
