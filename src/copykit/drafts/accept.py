"""Judge a draft: check, mend, check again, score; every field leaves with a status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from copykit.brief.brief import Brief
from copykit.brief.catalog import FieldSpec
from copykit.drafts.check import Checker, checker_for, forget
from copykit.drafts.draft import Draft
from copykit.drafts.repair import repair
from copykit.drafts.score import diversity, rank, score
from copykit.errors import counted
from copykit.models import CopyVariant, Repair, Score, Status, Violation

__all__ = ["Judged", "arrange", "judge_each"]

_NOT_PASTED = frozenset({"url", "path", "identifier", "info"})


class Judged(NamedTuple):
    """One draft as a variant, and what was changed on the way."""

    variant: CopyVariant
    repairs: list[Repair]


def judge_each(
    drafts: Sequence[Draft],
    brief: Brief,
    *,
    written_by_model: bool = False,
    carried: Sequence[Sequence[Repair]] = (),
) -> list[Judged]:
    """Turn *drafts* into variants, one by one and in their order; *carried* are the repairs that each has behind it.

    A draft that already passes is kept byte for byte. A field with an error-severity violation after repair is
    rejected, and so is its variant: returned, marked, never stored or exported. Copy that is *written_by_model* has
    to meet rules of its own; see `Checker`.
    """
    checker = checker_for(brief, written_by_model=written_by_model)
    before = carried or [()] * len(drafts)
    judged = [_judge_one(draft, checker, brief, past) for draft, past in zip(drafts, before, strict=True)]
    forget(checker)
    return judged


def arrange(judged: Sequence[Judged]) -> tuple[list[CopyVariant], list[Repair]]:
    """Put variants that were judged in their order, best first, and number their repairs by it."""
    if len(judged) > 1:
        distances = diversity([Draft(variant.fields) for variant, _ in judged])
        for (variant, _), value in zip(judged, distances, strict=True):
            variant.scores["diversity"] = Score(
                value=value, reasons=[f"against {counted(len(judged) - 1, 'other')}"]
            )
    ranked = rank([variant for variant, _ in judged])
    repairs_of = {id(variant): repairs for variant, repairs in judged}
    repairs = [
        repair.model_copy(update={"variant": index})
        for index, variant in enumerate(ranked)
        for repair in repairs_of[id(variant)]
    ]
    return ranked, repairs


def _judge_one(draft: Draft, checker: Checker, brief: Brief, past: Sequence[Repair]) -> Judged:
    violations = checker.draft(draft)
    repairs: list[Repair] = []
    if any(v.severity != "info" for v in violations):
        mended, repairs = repair(draft, violations, brief)
        if repairs:
            draft, violations = mended, checker.draft(mended)
    repairs = [*past, *repairs]
    field_status = _field_status(brief.fields, draft, violations, repairs)
    return Judged(
        CopyVariant.model_construct(
            fields=draft.fields,
            text=_text(draft, brief.fields),
            status=_worst(field_status, violations, repairs),
            field_status=field_status,
            violations=violations,
            scores=score(draft, violations, brief),
            structure=draft.structure,
            parts=list(draft.parts),
        ),
        repairs,
    )


def _field_status(
    specs: Sequence[FieldSpec], draft: Draft, violations: Sequence[Violation], repairs: Sequence[Repair]
) -> dict[str, Status]:
    """Give the status of each field that is there, was touched or has to be there."""
    rejected = {_base(v.field) for v in violations if v.severity == "error"}
    repaired = {_base(r.field) for r in repairs}
    return {
        spec.name: "rejected" if spec.name in rejected else "repaired" if spec.name in repaired else "ok"
        for spec in specs
        if draft.fields.get(spec.name) or spec.required or spec.name in rejected | repaired
    }


def _worst(
    field_status: dict[str, Status], violations: Sequence[Violation], repairs: Sequence[Repair]
) -> Status:
    if any(v.severity == "error" for v in violations):
        return "rejected"
    return "repaired" if repairs or "repaired" in field_status.values() else "ok"


def _base(label: str) -> str:
    return label.partition("[")[0]


def _text(draft: Draft, specs: Sequence[FieldSpec]) -> str:
    """Join the fields a person would paste, in the placement's order; all of them if there are no others."""
    lines = []
    for spec in specs:
        value = draft.fields.get(spec.name)
        if value and spec.role not in _NOT_PASTED:
            joiner = " " if spec.role == "hashtags" else "\n"
            lines.append(value if isinstance(value, str) else joiner.join(value))
    if lines:
        return "\n".join(lines)
    return "\n".join(v if isinstance(v, str) else "\n".join(v) for v in draft.fields.values())
