"""What makes two requests the same: one fixed algorithm, one canonical form, on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from copykit.models import CopywritingInput

__all__ = ["output_id", "request_key", "revision_of"]

_NOT_SHAPING = ("cache", "deadline_s")
"""Fields that change how an answer is fetched, never what it is."""


def request_key(request: CopywritingInput, *, target: str, versions: dict[str, str], tenant: str = "") -> str:
    """Digest everything that shapes the answer: all fields, the target that writes, revisions, tenant.

    SHA-256 over compact JSON, both from the standard library, so that machines with different accelerators
    share entries. Facts and other mappings keep the caller's order: copy states them in it.
    """
    fields = [(name, value) for name, value in sorted(request.__dict__.items()) if name not in _NOT_SHAPING]
    form = json.dumps(
        [fields, target, versions, tenant],
        ensure_ascii=False,
        separators=(",", ":"),
        default=_plain,
    )
    return hashlib.sha256(form.encode("utf-8", "surrogatepass")).hexdigest()


def revision_of(part: BaseModel) -> str:
    """Name the content of one part of a request, e.g. its brand: equal contents have equal names on every machine."""
    form = json.dumps(sorted(part.__dict__.items()), ensure_ascii=False, default=_plain)
    return hashlib.sha256(form.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def output_id(key: str, row: int | None) -> str:
    """Name a result after its key and, in a batch, its row: repeated runs give equal ids."""
    seed = key if row is None else f"{key}:{row}"
    return "ck_" + hashlib.sha256(seed.encode()).hexdigest()[:24]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.__dict__
    raise TypeError(f"{type(value).__name__} has no canonical form")
