"""The first interface's shape of a result: the documented subset of the whole one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from copykit.models import CopywritingOutput

__all__ = ["LegacyResult", "LegacyVariant", "legacy_shape"]


class LegacyVariant(BaseModel):
    """One variant in the first interface's shape."""

    fields: dict[str, str | list[str]]
    content: str


class LegacyResult(BaseModel):
    """A result in the first interface's shape: a subset of the whole one."""

    id: str
    content: str
    """The best variant's text, ready to paste."""
    variants: list[LegacyVariant]
    language: str
    tone: str
    platform: str
    use_case: str
    model: str | None
    provider: str
    tokens_used: int | None
    """Input and output together; null where nobody told."""
    cost_usd: float | None
    cached: bool
    processing_time_ms: float
    created_at: datetime


def legacy_shape(output: CopywritingOutput, took_s: float) -> dict[str, Any]:
    """Give *output* as the first interface has it: its documented subset."""
    provider, _, model = output.receipt.served_by.partition(":")
    used = [count for count in (output.usage.input_tokens, output.usage.output_tokens) if count is not None]
    return {
        "id": output.id,
        "content": output.text,
        "variants": [{"fields": variant.fields, "content": variant.text} for variant in output.variants],
        "language": output.language,
        "tone": output.tone,
        "platform": output.placement,
        "use_case": output.use_case,
        "model": model or None,
        "provider": provider,
        "tokens_used": sum(used) if used else None,
        "cost_usd": output.usage.cost_usd,
        "cached": output.cached,
        "processing_time_ms": round(took_s * 1000, 3),
        "created_at": output.created_at.isoformat().replace("+00:00", "Z"),
    }
