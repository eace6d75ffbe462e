"""Which texts of judged drafts are asked for again, and how the answers are put in: nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from copykit.brief.brief import Brief
from copykit.brief.prompt import Wanted
from copykit.drafts.accept import Judged
from copykit.drafts.draft import Draft
from copykit.models import CopyVariant, Repair, Violation

__all__ = ["Fault", "draft_of", "faults", "mended"]

_MOST = 40
"""Texts asked for at once: an answer of more is better asked for anew."""
HOW = "asked again"
"""What `Repair.how` says of a text that its writer wrote anew."""


class Fault(NamedTuple):
    """One text that has to be written again."""

    draft: int
    """Which of the judged drafts, from 0."""
    wanted: Wanted
    rules: frozenset[str]
    """Ids of the rules it breaks as errors."""

    @property
    def signature(self) -> tuple[int, str, frozenset[str]]:
        """What makes it the same fault as one of an earlier round."""
        return self.draft, self.wanted.label, self.rules


def faults(judged: Sequence[Judged], brief: Brief) -> list[Fault]:
    """List the texts with errors, in their order, of all drafts that new texts can make whole."""
    found: list[Fault] = []
    for number, (variant, _) in enumerate(judged):
        errors = [v for v in variant.violations if v.severity == "error"]
        own: list[Fault] = []
        for label in dict.fromkeys(v.field for v in errors):
            broken = [v for v in errors if v.field == label]
            wanted = _wanted(variant, label, broken, brief)
            if not wanted:  # too many items, an error of the whole: another text does not mend it
                own = []
                break
            own += [Fault(number, one, frozenset(v.rule for v in broken)) for one in wanted]
        found += own
    return found[:_MOST]


def _wanted(variant: CopyVariant, label: str, errors: Sequence[Violation], brief: Brief) -> list[Wanted]:
    """Give what is asked for because of the *errors* of one label; more than one where a set lacks items."""
    name, _, index = label.partition("[")
    spec = next((spec for spec in brief.fields if spec.name == name), None)
    if spec is None:
        return []
    problems = tuple(_problem(error) for error in errors)
    value = variant.fields.get(name)
    if index:
        return [Wanted(label, spec, value[int(index[:-1])], problems)] if isinstance(value, list) else []
    if not spec.is_list:
        return [Wanted(label, spec, value if isinstance(value, str) else "", problems)]
    held = len(value) if isinstance(value, list) else 0
    lacking = max(spec.min_count, int(held == 0)) - held
    return [Wanted(f"{name}[{held + at}]", spec, "", problems) for at in range(lacking)]


def _problem(error: Violation) -> str:
    figures = f" (measured {error.measured}, limit {error.limit}{f' {error.unit}' if error.unit else ''})"
    return f"{error.rule}: {error.message}{figures if error.limit is not None else ''}"


def draft_of(variant: CopyVariant) -> Draft:
    """Give the draft that *variant* was judged as, mended as it is."""
    return Draft(variant.fields, tuple(variant.parts), variant.structure)


def mended(
    judged: Sequence[Judged], asked: Sequence[Fault], texts: Mapping[int, str]
) -> tuple[list[Draft], list[list[Repair]]]:
    """Put *texts* (by number from 1, as *asked*) in the place of what failed.

    Every other text stays byte for byte. Gives the drafts in their order, and the repairs behind each.
    """
    drafts = [draft_of(variant) for variant, _ in judged]
    repairs = [list(past) for _, past in judged]
    for number, fault in enumerate(asked, 1):
        text = texts.get(number)
        if text is None:
            continue
        drafts[fault.draft] = _with(drafts[fault.draft], fault.wanted, text)
        rules = ", ".join(sorted(fault.rules))
        repairs[fault.draft].append(
            Repair(variant=fault.draft, field=fault.wanted.label, rule=rules, how=HOW)
        )
    return drafts, repairs


def _with(draft: Draft, wanted: Wanted, text: str) -> Draft:
    name, _, index = wanted.label.partition("[")
    fields = dict(draft.fields)
    if index:
        held = list(fields.get(name, ()))
        at = int(index[:-1])
        held[at : at + 1] = [text]
        fields[name] = held
    else:
        fields[name] = text
    # A part that held the old text holds the new one; one that held only a stretch of it names what is gone.
    parts = []
    for part in draft.parts:
        if part.field != wanted.label:
            parts.append(part)
        elif part.text == wanted.text:
            parts.append(part.model_copy(update={"text": text}))
        elif part.text in text:
            parts.append(part)
    return Draft(fields, tuple(parts), draft.structure)
