"""A draft: field texts before they are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from copykit.models import Part

__all__ = ["Draft"]


@dataclass(frozen=True, slots=True)
class Draft:
    """One variant as written, not yet checked."""

    fields: dict[str, str | list[str]]
    """Keyed by field name; a list field holds a list even for one item."""

    parts: tuple[Part, ...] = ()
    """The structure's steps in order and the text that carries each; empty if the writer names none."""

    structure: str | None = None

    def items(self) -> Iterator[tuple[str, str, int | None, str]]:
        """Give (label, field, index, text) of every text: label ``headlines[3]``, index None for single fields."""
        for name, value in self.fields.items():
            if isinstance(value, str):
                yield name, name, None, value
            else:
                for index, text in enumerate(value):
                    yield f"{name}[{index}]", name, index, text
