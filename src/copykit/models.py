"""The request, the result and their parts, as other programs see them.

Field names and JSON shapes are fixed: `model_dump(mode="json")` is what every ``--json`` prints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import to_json

from copykit.errors import InvalidRequest, counted, nearest_names

__all__ = [
    "Attempt",
    "BatchLine",
    "Brand",
    "CopyVariant",
    "CopywritingInput",
    "CopywritingOutput",
    "FieldOverride",
    "Part",
    "Receipt",
    "Repair",
    "RestrictionReport",
    "Score",
    "Usage",
    "Violation",
]

Severity = Literal["error", "warning", "info"]
Status = Literal["ok", "repaired", "rejected"]
_MAX_DIGITS = 100
"""Of a whole number given as a fact: Python refuses to write much longer ones."""
_MAX_NAME = 200
"""Characters of a provider's or a model's name: what is known of targets is kept by their names."""
_CONTROL = r"\u0000-\u001f\u007f-\u009f"
CacheMode = Literal["on", "off", "read", "write", "refresh"]


class _Model(BaseModel):
    # Built at first use: most requests never validate most of these, and building all costs as much as pydantic.
    model_config = ConfigDict(extra="forbid", defer_build=True)


class Brand(_Model):
    """What must hold for one brand's copy, whatever the brief."""

    name: str = ""
    """Brand name, kept exactly as written here."""
    terms: list[str] = Field(default_factory=list)
    """Terms with one correct spelling, e.g. ``iPhone``; other spellings are an error (rule C-07)."""
    banned_terms: list[str] = Field(default_factory=list)
    """Terms that must not appear in any spelling (rule C-02)."""
    competitors: list[str] = Field(default_factory=list)
    """Names of others that must not appear (rule C-09)."""


def _whole(value: Any) -> Any:
    """Give 6 for 6.0, which is the same number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
TargetName = Annotated[str, Field(max_length=_MAX_NAME, pattern=f"^[^{_CONTROL}]*$")]


class FieldOverride(_Model):
    """What the caller wants differently for one field of the placement."""

    text: str | None = None
    """Use exactly this text; it is checked like any other."""
    count: Whole | None = Field(default=None, ge=0, le=50)
    """Number of items of a list field; the platform's own maximum still holds."""
    limit: Whole | None = Field(default=None, ge=1)
    """A stricter length limit in the field's own unit."""


class CopywritingInput(_Model):
    """A brief: what is sold, to whom, where, and in which voice and language.

    Raises:
        InvalidRequest: an unknown field, which is told before all else, with the nearest valid name; a required
            field that is missing, a wrong type or a value outside its range.
    """

    product_description: str
    """What is sold, 1 to 20,000 characters of plain text or simple HTML."""
    target_platform: str
    """A platform (``Instagram``) or a placement id (``google_ads.rsa``), any case."""
    product_name: str | None = None
    """Product or brand name; never inflected, never translated."""
    tone: str = "professional"
    language: str = "en"
    """BCP-47 tag; bare languages resolve by likely subtags (``pt`` is ``pt-BR``)."""
    use_case: str | None = None
    """None takes the placement's own."""
    target_audience: str | None = None
    key_points: list[str] = Field(default_factory=list)
    restrictions: list[str] = Field(default_factory=list)
    """Plain words in any catalogue language, e.g. ``no mencionar precio``; what became of each is told in
    `CopywritingOutput.restrictions`."""
    instructions: str | None = None
    """Guidance for a model's prompt; the embedded phrase bank cannot follow it and says so."""
    call_to_action: str | None = None
    url: str | None = None
    facts: dict[str, str | int | float] = Field(default_factory=dict)
    """Facts that may be stated, e.g. ``{"price": "49.90 EUR", "material": "oak"}``."""
    keywords: list[str] = Field(default_factory=list)
    brand: Brand | None = None
    creativity_level: float = Field(default=0.7, ge=0.0, le=1.0)
    """0..1: sampling temperature of a model, width of the frame pool of the phrase bank."""
    variants: Whole = Field(default=1, ge=1, le=20)
    fields: dict[str, FieldOverride] = Field(default_factory=dict)
    personalization: dict[str, str] = Field(default_factory=dict)
    """Merge tokens that copy may carry, mapped to their longest value: ``{"first_name": "Maximilian"}``."""
    seed: Whole = Field(default=0, ge=-(2**63), lt=2**63)
    cache: CacheMode = "on"
    deadline_s: float | None = Field(default=None, gt=0)
    """Seconds this request may take; None means 120."""
    provider: TargetName | None = None
    """``name`` or ``name:model``, at most 200 characters; None means the configured order."""
    model: TargetName | None = None
    """Model of the *provider* named without one, at most 200 characters."""

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise _invalid_request(error, type(self)) from None

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read *fields* as JSON held them, strictly: no text stands for a number, and no 1 for true.

        Raises as the class does.
        """
        own = cls.__new__(cls)
        try:
            # over JSON, since strictly nothing but a Brand is a Brand for Python's own objects
            cls.__pydantic_validator__.validate_json(to_json(fields), strict=True, self_instance=own)
        except ValidationError as error:
            raise _invalid_request(error, cls) from None
        return own

    def snapshot(self) -> CopywritingInput:
        """Give an equal request that later changes to this one, and to what it holds, do not reach."""
        own = self.model_copy()
        for name, value in own.__dict__.items():
            if value and isinstance(value, list | dict | BaseModel):
                own.__dict__[name] = deepcopy(value)
        return own

    @field_validator("facts")
    @classmethod
    def _writable(cls, value: dict[str, str | int | float]) -> dict[str, str | int | float]:
        for key, fact in value.items():
            if isinstance(fact, float) and not isfinite(fact):
                raise ValueError(f"{key[:60]!r} must be a finite number or text")
            if isinstance(fact, int) and abs(fact) >= 10**_MAX_DIGITS:
                raise ValueError(f"{key[:60]!r} has more than {_MAX_DIGITS} digits")
        return value

    @field_validator("key_points", "restrictions", "keywords", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


def _invalid_request(error: ValidationError, model: type[BaseModel]) -> InvalidRequest:
    told = error.errors(include_url=False, include_context=False)
    # a field that is missing has often been misspelt: the name that stands there instead says more
    first = next((one for one in told if one["type"] == "extra_forbidden"), told[0])
    location, found = first["loc"], first.get("input")
    where = ".".join(str(part)[:60] for part in location)
    if first["type"] == "extra_forbidden":
        near = nearest_names(str(location[-1]), _fields_at(location, model))
        lacking = [str(one["loc"][0]) for one in told if one["type"] == "missing" and len(one["loc"]) == 1]
        also = f", while {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing"
        return InvalidRequest(where, found, "unknown field" + (also if lacking else ""), nearest=near)
    if first["type"] == "missing":
        return InvalidRequest(where, None, "required field is missing")
    if location[0] == "facts" and len(location) > 2:
        return InvalidRequest(f"facts.{location[1]}"[:66], found, "must be text or a number")
    if first["type"] == "string_too_long":
        return InvalidRequest(where, found, f"{counted(len(found), 'character')}, at most {_MAX_NAME:,}")
    if first["type"] == "string_pattern_mismatch":
        at = next(at for at, char in enumerate(found) if re.match(f"[{_CONTROL}]", char))
        shown = found[max(0, at - 10) : at + 10]
        return InvalidRequest(where, shown, f"control character U+{ord(found[at]):04X} at position {at}")
    reason = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(where, "a number" if reason.endswith(" digits") else found, reason)


def _fields_at(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """List the fields that may stand where *location* ends: of the request, a brand or an override."""
    inner: dict[int | str, type[BaseModel]] = {"brand": Brand, "fields": FieldOverride}
    return list((inner.get(location[0], model) if len(location) > 1 else model).model_fields)


class Violation(_Model):
    """One broken rule, or one remark."""

    rule: str
    """Rule id as in the docs, e.g. ``M-01``."""
    field: str
    """Field of the placement, with its index for a list: ``headlines[3]``; empty for the whole variant."""
    severity: Severity
    message: str
    measured: float | int | str | None = None
    limit: float | int | str | None = None
    unit: str | None = None
    span: tuple[int, int] | None = None
    """Code-point offsets ``[start, end)`` in the field's text."""
    source: str | None = None
    """Where the rule comes from: an id of ``data/SOURCES.md`` or ``brief``."""


class Score(_Model):
    """One aspect of a variant, 0..1, with what it was made of."""

    value: float
    reasons: list[str] = Field(default_factory=list)


class Part(_Model):
    """A stretch of copy and the structure step it carries."""

    step: str
    field: str
    text: str


class CopyVariant(_Model):
    """One complete set of fields."""

    fields: dict[str, str | list[str]]
    text: str
    """The fields joined in reading order, ready to paste."""
    status: Status
    field_status: dict[str, Status]
    """Of each field that is there or has to be."""
    violations: list[Violation] = Field(default_factory=list)
    scores: dict[str, Score] = Field(default_factory=dict)
    structure: str | None = None
    """Id of the copy structure used, e.g. ``AIDA``."""
    parts: list[Part] = Field(default_factory=list)
    """The structure's steps in order, each with the text that carries it."""


class Usage(_Model):
    """Tokens and money over all attempts; None where unknown."""

    input_tokens: int | None = None
    """All tokens of the prompts, those read from a provider's cache or written to it included."""
    output_tokens: int | None = None
    """All tokens written, reasoning included."""
    cached_tokens: int | None = None
    """Of the input: read from the provider's cache, at a fraction of the price."""
    cache_write_tokens: int | None = None
    """Of the input: written to the provider's cache, where that is charged apart."""
    reasoning_tokens: int | None = None
    """Of the output."""
    cost_usd: float | None = None


class Attempt(_Model):
    """One call of one target."""

    target: str
    model: str | None = None
    outcome: str
    latency_s: float = 0.0
    waited_s: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """0 where nothing is charged; None where it may have cost what nobody told."""
    reason: str | None = None


class Repair(_Model):
    """One field that was changed after it was written."""

    variant: int
    field: str
    rule: str
    how: str


class Receipt(_Model):
    """Who answered, what was tried, what it cost, what was changed."""

    served_by: str
    """``provider:model``."""
    cache: Literal["memory", "compressed", "redis", "sqlite"] | None = None
    saved_usd: float | None = None
    attempts: list[Attempt] = Field(default_factory=list)
    repairs: list[Repair] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    """Revisions of ``prompt`` and ``platforms`` that shaped the copy, and of the request's ``brand`` where it has one."""
    key: str = ""


class RestrictionReport(_Model):
    """What became of one restriction of the brief."""

    text: str
    kind: str
    """What it forbids or asks, e.g. ``price``, ``term``, ``punctuation``; ``unknown`` if not understood."""
    enforced: Literal["check", "guidance"]
    """``check``: verified in every variant by code. ``guidance``: passed to the model, not verified."""
    values: list[str] = Field(default_factory=list)
    """The terms or marks concerned, e.g. ``["cheap"]``."""


class CopywritingOutput(_Model):
    """The answer to one brief."""

    id: str
    variants: list[CopyVariant]
    text: str
    """The best variant's text."""
    placement: str
    language: str
    tone: str
    use_case: str
    usage: Usage
    receipt: Receipt
    cached: bool = False
    created_at: datetime
    restrictions: list[RestrictionReport] = Field(default_factory=list)
    info: list[str] = Field(default_factory=list)
    """What a reader should know and no rule covers, e.g. that a language's phrases are unreviewed."""


class BatchLine(_Model):
    """One line of a batch result file."""

    row: int
    """1-based number of the input record."""
    id: str
    placement: str
    language: str
    status: Literal["ok", "repaired", "rejected", "failed"]
    error: dict[str, Any] | None = None
    output: CopywritingOutput | None = None
