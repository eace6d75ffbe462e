"""Bodies that stand in the description of the routes as examples: of requests, of answers, of each kind of problem."""

from __future__ import annotations

from typing import Any

from copykit.data import load_json
from copykit.legacy import legacy_shape
from copykit.models import CopywritingOutput
from copykit.server.wire import Problem

__all__ = ["BODIES", "SHORT", "answer", "problem"]

BRIEF = {
    "product_name": "Norr",
    "product_description": "Standing desk, oiled oak, goes up and down at a touch",
    "target_platform": "instagram",
    "tone": "inspirational",
    "language": "en",
    "target_audience": "People who work at home",
    "key_points": ["120 x 60 cm", "Two motors"],
    "restrictions": ["no prices"],
    "variants": 2,
}
SHORT = {"product_description": "Lámpara de mesa, lino y roble", "target_platform": "x", "language": "es"}
BODIES: dict[str, dict[str, Any]] = {
    "Brief": {
        "full": {"summary": "A brief with most of its fields", "value": BRIEF},
        "short": {"summary": "The least, in Spanish", "value": SHORT},
    },
    "Batch": {
        "bare": {"summary": "A list", "value": [BRIEF, SHORT]},
        "wrapped": {"summary": "The same in an object", "value": {"requests": [BRIEF, SHORT]}},
    },
}
"""Bodies that the service takes as they stand."""
_LIKELY: dict[int, tuple[str, str, bool, dict[str, Any]]] = {
    400: ("malformed_request", "not JSON: Expecting value at line 1, column 9", False, {}),
    401: ("unauthorized", "this key is not known, or has ended", False, {}),
    403: ("forbidden", "this key has no scope admin", False, {}),
    408: ("request_timeout", "the body did not arrive within 10 s", True, {}),
    409: (
        "idempotency_in_progress",
        "the first request with this Idempotency-Key is still in work",
        True,
        {"retry_after_s": 1.0},
    ),
    413: ("payload_too_large", "at most 262144 bytes", False, {}),
    415: ("unsupported_media_type", "send application/json", False, {}),
    422: (
        "invalid_request",
        "target_platform='instagran': unknown platform or placement; nearest: instagram",
        False,
        {
            "field": "target_platform",
            "value": "'instagran'",
            "reason": "unknown platform or placement",
            "nearest": ["instagram"],
        },
    ),
    429: ("rate_limited", "this key sends more requests than it may", True, {"retry_after_s": 12.0}),
    502: (
        "provider_failed",
        "no provider gave an answer",
        True,
        {"attempts": [{"target": "openai:gpt-6-luna", "outcome": "provider_unavailable"}]},
    ),
    503: ("all_providers_cooling", "no provider may be asked now", True, {"retry_after_s": 4.5}),
    504: ("deadline_exceeded", "no answer within the deadline of 60 s", True, {"after_s": 60.0}),
}


def answer(schema: str) -> dict[str, Any] | None:
    """Give an answer of *schema* as the phrase bank wrote it to the short brief; None of one that is no copy.

    ``python tests/golden.py`` writes ``data/answer.json`` anew, which holds it.
    """
    told = load_json("answer.json")
    output: dict[str, Any] = told["output"]
    if schema == "Result":
        return output
    legacy = legacy_shape(CopywritingOutput.model_validate(output), told["took_s"])
    if schema == "LegacyResult":
        return legacy
    if schema not in ("BatchResult", "LegacyBatchResult"):
        return None
    item = {
        "index": 0,
        "status": "ok",
        "error": None,
        "output": output if schema == "BatchResult" else legacy,
    }
    return {"results": [item], "summary": {"total": 1, "succeeded": 1, "failed": 0}}


def problem(status: int) -> dict[str, Any]:
    """Give a likely body of a problem of *status*."""
    code, detail, retryable, more = _LIKELY[status]
    return Problem(status, code, detail, retryable, more=more).body("1f0c9a7be2d34c58")
