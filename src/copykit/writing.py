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
from copykit.drafts.draft import Draft
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

__all__ = ["Writing", "Written", "output_of"]


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


class Writing:
    """One brief on its way to judged copy: the first target whose copy passes serves.

    Copy of a model that fails is mended first: the texts that failed are asked for again, alone, at most twice a
    target. Copy that still fails sends the request on to the next target. What was judged is kept: if no copy passes,
    or an error, a defect or the deadline ends the way before, the copy with the fewest errors is the result.

    Args:
        watch: is told what each judging found.
    """

    def __init__(self, asking: Asking, brief: Brief, *, watch: Watch | None = None) -> None:
        self._asking = asking
        self._brief = brief
        self._watch = watch
        self._best: tuple[int, list[CopyVariant], list[Repair], Answer] | None = None
        self._open: tuple[Answer, list[Judged]] | None = None
        """What was judged and is still being mended."""

    async def finish(self) -> Written:
        """Write until copy passes or nobody is left to ask.

        Raises:
            CopykitError: no target gave any copy; as `Router.ask`. It carries the attempts, and so does a provider's
                defect: they may have cost money.
        """
        try:
            while True:
                written = await self._served()
                if written is not None:
                    return written
        except Exception as error:
            vars(error)["attempts"] = tuple(self._asking.attempts)
            raise

    def best(self) -> Written | None:
        """Give the best copy until now, where something ended the way before its time; None if there is none."""
        if self._open is not None:
            self._weigh(*self._open)
        if self._best is None:
            return None
        _, variants, repairs, answer = self._best
        return Written(variants, repairs, answer, tuple(self._asking.attempts), self._asking.usage)

    async def _served(self) -> Written | None:
        """Take the next target's copy; gives the result if that is the last."""
        try:
            answer = await self._asking.next()
        except Exception:  # also a defect: the attempts tell of it, and the copy that is there was paid for
            best = self.best()
            if best is None:
                raise
            return best
        judged = self._judge(answer, answer.drafts)
        if answer.by_model:
            judged = await self._asked_again(answer, judged)
        passes = self._weigh(answer, judged)
        # what was shown is not silently taken on by another model
        return self.best() if passes or self._asking.begun else None

    def _judge(
        self, answer: Answer, drafts: Sequence[Draft], carried: Sequence[Sequence[Repair]] = ()
    ) -> list[Judged]:
        judged = judge_each(drafts, self._brief, written_by_model=answer.by_model, carried=carried)
        self._open = answer, judged
        if self._watch is not None:
            self._watch.judged(judged)
        return judged

    async def _asked_again(self, answer: Answer, judged: list[Judged]) -> list[Judged]:
        """Ask for what failed until nothing fails, no more may be asked, or the same fault comes back."""
        seen: set[tuple[int, str, frozenset[str]]] = set()
        while self._asking.may_ask_again():
            asked = [fault for fault in faults(judged, self._brief) if fault.signature not in seen]
            if not asked:
                break
            seen.update(fault.signature for fault in asked)
            try:
                texts = await self._asking.again([fault.wanted for fault in asked])
            except Exception:  # as in `_served`
                break
            if not texts:
                break
            judged = self._judge(answer, *mended(judged, asked, texts))
        return judged

    def _weigh(self, answer: Answer, judged: Sequence[Judged]) -> bool:
        """Hold copy that is mended as far as it goes against the best; says whether it passes."""
        self._open = None
        variants, repairs = arrange(judged)
        errors = [v.rule for v in variants[0].violations if v.severity == "error"]
        self._asking.judged(accepted=not errors, why=", ".join(sorted(set(errors))))
        if self._best is None or len(errors) < self._best[0]:
            self._best = (len(errors), variants, repairs, answer)
        return not errors


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
