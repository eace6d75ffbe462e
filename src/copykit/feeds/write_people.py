"""The CSV for people: every line of the run, one row a variant, safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

from copykit.models import BatchLine, CopyVariant

from .write_table import TableWriter

__all__ = ["PeopleCsv", "escape_formula"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_HEAD = ("row", "id", "placement", "language", "status", "variant", "reason", "text")


def escape_formula(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would calculate."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


class PeopleCsv:
    """Writes accepted copy with its fields in columns; rejected and failed lines with their reason and no
    copy."""

    def __init__(self, stream: IO[bytes], columns: Sequence[tuple[str, int]]) -> None:
        """*columns*: (field name, most items) of the placements asked for; 1 item is one plain column."""
        self._columns = {
            name: [name] if most <= 1 else [f"{name} {n}" for n in range(1, most + 1)]
            for name, most in columns
        }
        header = [*_HEAD, *(label for labels in self._columns.values() for label in labels)]
        # the header's own names are fixed; a placement's field called "text" shares the column
        self._table = TableWriter(stream, list(dict.fromkeys(header)), bom=True)

    def line(self, line: BatchLine, reasons: Sequence[str]) -> int:
        """Write one line of the run; gives the number of variants written."""
        base = {"row": str(line.row), "id": line.id, "placement": line.placement, "language": line.language}
        accepted = [] if line.output is None else [v for v in line.output.variants if v.status != "rejected"]
        if not accepted:
            self._write({**base, "status": line.status, "reason": "; ".join(reasons)})
        for number, variant in enumerate(accepted, 1):
            cells = {**base, "status": variant.status, "variant": str(number), "text": variant.text}
            cells.update(self._cells(variant))
            self._write(cells)
        return len(accepted)

    def _cells(self, variant: CopyVariant) -> Iterator[tuple[str, str]]:
        for name, value in variant.fields.items():
            labels = self._columns.get(name, [])
            texts: list[Any] = [value] if isinstance(value, str) else value
            if len(texts) > len(labels):  # more than the catalogue allows: an override's field, kept together
                texts = ["\n".join(texts)] if labels else []
            yield from zip(labels, texts, strict=False)

    def _write(self, cells: dict[str, str]) -> None:
        self._table.row({name: escape_formula(cell) for name, cell in cells.items()})
