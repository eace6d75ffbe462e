"""Lists inside long texts: points under an opening line, questions with their answers."""

from __future__ import annotations

from collections.abc import Iterator

from copykit.providers.phrasebank.dice import Dice
from copykit.providers.phrasebank.material import Material, capitalised, finish

__all__ = ["item_list", "questions"]

_MOST_ITEMS = 7
_SIZES = ("size", "width", "height", "length", "depth", "diameter", "weight", "volume")


def item_list(material: Material, dice: Dice) -> str:
    """Give the brief's points and details, one a line, under an opening line; empty if there are fewer than two."""
    details = (f"{label}{material.colon}{value}" for label, value in (*material.details, *material.terms))
    items = [*material.said_points, *details][:_MOST_ITEMS]
    if len(items) < 2:
        return ""
    intros = material.bank.list_intro[material.brief.tone.address]
    lines = (f"– {capitalised(item)}" for item in items)
    return "\n".join((intros[dice.below(len(intros))], *lines))


def questions(material: Material) -> str:
    """Give the questions that the brief can answer, each with its answer on the next line."""
    asked: set[str] = set()
    pairs = []
    for entry in material.bank.faq:
        answer = next(_answers(material, entry["fact"]), "")
        has_slots = ("{name}" not in entry["q"] or material.brief.name) and (
            "{item}" not in entry["q"] or material.brief.item
        )
        if answer and has_slots and entry["fact"] not in asked:
            asked.add(entry["fact"])
            question = entry["q"].format(name=material.brief.name, item=material.brief.item)
            said = finish(capitalised(answer), material.stop)
            pairs.append(f"{capitalised(question)}\n{said}")
    return "\n\n".join(pairs)


def _answers(material: Material, fact: str) -> Iterator[str]:
    values = {one.key: one.value for one in material.brief.facts if material.may_say(one.value)}
    if fact == "item":
        yield from material.sentences[:1]
        if material.brief.name and material.brief.item:
            yield material.brief.item
    elif fact == "points":
        if material.said_points:
            yield material.list(material.said_points[:4])
    elif fact == "size":
        known = [f"{material.label_of(key)}{material.colon}{values[key]}" for key in _SIZES if key in values]
        if known:
            yield material.comma.join(known)
    elif fact in values:
        yield values[fact]
