"""From a finished result file to the files that other tools upload, in one streaming pass."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from copykit.errors import InvalidRequest
from copykit.models import BatchLine, CopyVariant

from .journal import replace_file
from .mapping import ColumnMap, text_of
from .rows import BadRow, Row
from .write_people import PeopleCsv
from .write_table import TableWriter

__all__ = [
    "EXPORTS",
    "Destination",
    "Exported",
    "check_formats",
    "check_template",
    "export",
    "landing_page",
    "upload_files",
]

EXPORTS: dict[str, tuple[str, str]] = {
    "google-ads-editor": ("write_ads:GoogleAdsEditor", ".google-ads-editor.csv"),
    "microsoft-ads": ("write_ads:MicrosoftAds", ".microsoft-ads.csv"),
    "google-merchant": ("write_products:GoogleMerchant", ".google-merchant.tsv"),
    "shopify": ("write_products:Shopify", ".shopify.csv"),
}
"""Upload formats: where their writer stands, and the end of their file's name."""

_ONE_PER_PRODUCT = {"google-merchant", "shopify"}


class UploadWriter(Protocol):
    """What an upload format does."""

    placement: str
    """The placement whose copy it carries."""
    needs: tuple[str, ...]
    """Targets without which a row cannot be written."""

    def add(self, variant: CopyVariant, targets: dict[str, str]) -> str:
        """Write one variant; gives the reason if it was left out."""
        ...


@dataclass(frozen=True, slots=True)
class Destination:
    """What uploads need besides the copy; each a template with ``{id}``, ``{handle}``, ``{name}``,
    ``{language}``."""

    campaign: str | None = None
    ad_group: str | None = None
    final_url: str | None = None
    """None takes the row's own link."""


@dataclass(slots=True)
class Exported:
    """What the pass wrote."""

    files: dict[str, int] = field(default_factory=dict)
    """Path -> rows in it."""
    skipped: Counter[str] = field(default_factory=Counter)
    """``format: reason`` -> rows left out, all of them listed in the skipped file."""


def export(
    lines: Iterable[BatchLine],
    rows: Iterable[Row | BadRow],
    mapping: ColumnMap,
    *,
    base: Path,
    formats: Sequence[str],
    destination: Destination,
    per_language: bool,
    people: tuple[Path, Sequence[tuple[str, int]]] | None,
    reasons: Callable[[BatchLine], list[str]],
) -> Exported:
    """Write *formats* beside *base* from *lines* and the *rows* they came from, both read once, in step.

    Only accepted variants are written. What an upload needs and a row lacks puts the row into
    ``BASE.skipped.csv`` with its reason instead. No file appears under its name before it is complete.

    Args:
        per_language: One product file per language, since a product can stand only once in a file.
        people: Path and columns of the CSV for people, None for none.
        reasons: Gives the words for a line that has no accepted copy.
    """
    result = Exported()
    with ExitStack() as stack:
        uploads = [_Upload(name, base, destination, per_language, stack, result) for name in formats]
        skipped = _Skipped(base, stack, result)
        table = None
        if people is not None:
            path, columns = people
            table = PeopleCsv(stack.enter_context(replace_file(path)), columns)
            result.files[str(path)] = 0
        for row, line in _together(lines, rows):
            if table is not None:
                written = table.line(line, reasons(line))
                result.files[str(people[0] if people else "")] += max(1, written)
            for upload in uploads:
                if line.placement == upload.placement:
                    for reason in upload.take(line, row, mapping, reasons):
                        skipped.add(upload.name, line, reason)
    return result


def landing_page(template: str, row: Row, mapping: ColumnMap, identity: str, language: str) -> str:
    """Fill an address *template* for one row, values percent-encoded; empty if the row lacks one of them."""
    values = _values(row, mapping, identity, language)
    return _fill(template, {name: quote(value, safe="-._~") for name, value in values.items()})


def check_template(field: str, template: str | None) -> None:
    """Make sure that *template* names only what rows have.

    Raises:
        InvalidRequest: an unknown or broken placeholder.
    """
    for name in re.findall(r"\{([^{}]*)\}", template or ""):
        if name not in _PLACEHOLDERS:
            raise InvalidRequest(field, template, f"{{{name}}} is not one of {', '.join(_PLACEHOLDERS)}")


_PLACEHOLDERS = ("id", "handle", "name", "language")


def check_formats(formats: Sequence[str], placements: Sequence[str]) -> None:
    """Make sure that a run over *placements* writes the copy that each of *formats* carries.

    Raises:
        InvalidRequest: it does not; the message names the placement to add.
    """
    for name in formats:
        needed = _writer_class(name).placement
        if needed not in placements:
            reason = f"carries {needed}, which the run does not write; add --platform {needed}"
            raise InvalidRequest("format", name, reason)


def upload_files(base: Path, name: str) -> list[Path]:
    """List the files of the format *name* that lie beside *base*, in one language or in several."""
    stem, dot, end = EXPORTS[name][1].rpartition(".")
    return sorted(base.parent.glob(f"{escape(base.name + stem)}*{dot}{end}"))


def _writer_class(name: str) -> Any:
    from importlib import import_module

    module, _, attribute = EXPORTS[name][0].partition(":")
    return getattr(import_module(f"{__package__}.{module}"), attribute)


class _Upload:
    """One format of one run: its open files and what it counted."""

    def __init__(
        self,
        name: str,
        base: Path,
        destination: Destination,
        per_language: bool,
        stack: ExitStack,
        result: Exported,
    ) -> None:
        self._suffix = EXPORTS[name][1]
        self._writer_class = _writer_class(name)
        self.name, self.placement = name, self._writer_class.placement
        self._base, self._destination, self._stack, self._result = base, destination, stack, result
        self._per_language = per_language and name in _ONE_PER_PRODUCT
        self._writers: dict[str, tuple[UploadWriter, str]] = {}
        if not self._per_language:
            self._writer("")

    def _writer(self, language: str) -> tuple[UploadWriter, str]:
        if language not in self._writers:
            stem, dot, end = self._suffix.rpartition(".")
            safe = re.sub(r"[^A-Za-z0-9-]", "", language)
            suffix = f"{stem}.{safe}{dot}{end}" if safe else self._suffix
            path = self._base.with_name(self._base.name + suffix)
            stream = self._stack.enter_context(replace_file(path))
            self._writers[language] = self._writer_class(stream), str(path)
            self._result.files[str(path)] = 0
        return self._writers[language]

    def take(
        self,
        line: BatchLine,
        row: Row | BadRow,
        mapping: ColumnMap,
        reasons: Callable[[BatchLine], list[str]],
    ) -> Iterator[str]:
        """Write the accepted variants of *line*; gives the reasons for what is left out."""
        accepted = [] if line.output is None else [v for v in line.output.variants if v.status != "rejected"]
        if line.output is None or not accepted or isinstance(row, BadRow):
            yield "; ".join(reasons(line)) or line.status
            return
        targets, missing = _targets(line, row, mapping, self._destination)
        if lacking := [missing[need] for need in self._writer_class.needs if not targets[need]]:
            yield "; ".join(lacking)
            return
        writer, path = self._writer(line.language if self._per_language else "")
        for variant in accepted[:1] if self.name in _ONE_PER_PRODUCT else accepted:
            if reason := writer.add(variant, targets):
                yield reason
            else:
                self._result.files[path] += 1


class _Skipped:
    """The list of what was left out, for people; no file if nothing was."""

    def __init__(self, base: Path, stack: ExitStack, result: Exported) -> None:
        self._path = base.with_name(base.name + ".skipped.csv")
        self._path.unlink(missing_ok=True)
        self._stack, self._result = stack, result
        self._table: TableWriter | None = None

    def add(self, format: str, line: BatchLine, reason: str) -> None:
        """Note one line."""
        from .write_people import escape_formula

        if self._table is None:
            stream = self._stack.enter_context(replace_file(self._path))
            self._table = TableWriter(
                stream, ("format", "row", "id", "placement", "language", "reason"), bom=True
            )
            self._result.files[str(self._path)] = 0
        cells = {"format": format, "row": str(line.row), "id": line.id, "placement": line.placement}
        cells |= {"language": line.language, "reason": reason}
        self._table.row({name: escape_formula(cell) for name, cell in cells.items()})
        self._result.files[str(self._path)] += 1
        known = f"{format}: {reason}" in self._result.skipped or len(self._result.skipped) < 200
        self._result.skipped[f"{format}: {reason}" if known else f"{format}: other"] += 1


def _together(
    lines: Iterable[BatchLine], rows: Iterable[Row | BadRow]
) -> Iterator[tuple[Row | BadRow, BatchLine]]:
    """Pair each line with its row; both come in the order of row numbers."""
    source = iter(rows)
    row: Row | BadRow | None = None
    for line in lines:
        while row is None or row.number < line.row:
            row = next(source, None)
            if row is None:
                raise InvalidRequest(
                    "in", line.row, "the input has fewer rows than the result: it was changed"
                )
        yield row, line


def _targets(
    line: BatchLine, row: Row, mapping: ColumnMap, destination: Destination
) -> tuple[dict[str, str], dict[str, str]]:
    """Fill the templates for one line; beside them, what to say if one stays empty."""
    values = _values(row, mapping, line.id, line.language)
    own = _cell(row, mapping, "url")
    targets = {
        "id": line.id,
        "handle": values["handle"],
        "campaign": _fill(destination.campaign, values),
        "ad_group": _fill(destination.ad_group, values),
        "final_url": landing_page(destination.final_url, row, mapping, line.id, line.language)
        if destination.final_url
        else (own if own.lower().startswith(("http://", "https://")) else ""),
        "written_by": line.output.receipt.served_by.partition(":")[0] if line.output else "",
        "seo_title": str(row.fields.get("SEO Title") or ""),
        "seo_description": str(row.fields.get("SEO Description") or ""),
    }
    missing = {
        "id": "the row has no id",
        "handle": "the row has no handle (--map handle=COLUMN)",
        "campaign": _lack("campaign", destination.campaign, values),
        "ad_group": _lack("ad-group", destination.ad_group, values),
        "final_url": _lack("final-url", destination.final_url, values),
    }
    return targets, missing


def _values(row: Row, mapping: ColumnMap, identity: str, language: str) -> dict[str, str]:
    name = " ".join(text_of(_cell(row, mapping, "name")).split())
    return {"id": identity, "handle": _cell(row, mapping, "handle"), "name": name, "language": language}


def _cell(row: Row, mapping: ColumnMap, field: str) -> str:
    use = mapping.use(field)
    if use is None:
        return ""
    value = use.column[1:] if use.column.startswith("=") else row.fields.get(use.column)
    return str(value).strip() if isinstance(value, str | int) else ""


def _fill(template: str | None, values: dict[str, str]) -> str:
    """Replace the placeholders; empty if there is no template or one of its values is missing."""
    if not template or any(f"{{{name}}}" in template and not value for name, value in values.items()):
        return ""
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template)


def _lack(flag: str, template: str | None, values: dict[str, str]) -> str:
    if not template:
        return f"no --{flag}" + (" and no link in the row" if flag == "final-url" else "")
    empty = [name for name, value in values.items() if f"{{{name}}}" in template and not value]
    return f"--{flag} needs the row's {', '.join(empty)}"
