"""The description of all routes in OpenAPI 3.1, made of the route table and of the models themselves."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from copykit.legacy import LegacyResult
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.problems import ProblemBody
from copykit.server.routes import PREFIXES, ROUTES, RouteSpec

__all__ = ["document"]

_REF = "#/components/schemas/"
_PROBLEMS = {
    400: "The body is not the JSON that is read here, or a header breaks its rule.",
    401: "No key, or one that is not known.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is no JSON, or it is compressed.",
    422: "The brief breaks a rule, or the model declined to write it.",
    429: "The budget is spent.",
    499: "The client left.",
    502: "No provider gave an answer.",
    503: "No provider may be asked now; Retry-After says when.",
    504: "No answer in time.",
}
_ALWAYS = ("type", "title", "status", "detail", "code", "retryable", "request_id")
"""Members that every problem has."""
_TAGS = {
    "v11": "The second interface: whole results.",
    "service": "How the service is, and what it knows.",
    "legacy": "The first interface, kept as it was: its documented subset of a result.",
}
_BRIEF = {
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
_SHORT = {"product_description": "Lámpara de mesa, lino y roble", "target_platform": "x", "language": "es"}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "Brief": {
        "full": {"summary": "A brief with most of its fields", "value": _BRIEF},
        "short": {"summary": "The least, in Spanish", "value": _SHORT},
    },
    "Batch": {
        "bare": {"summary": "A list", "value": [_BRIEF, _SHORT]},
        "wrapped": {"summary": "The same in an object", "value": {"requests": [_BRIEF, _SHORT]}},
    },
}
"""Bodies that the service takes as they stand."""
_KINDS = {
    "Events": "text/event-stream",
    "Exposition": "text/plain",
    "Page": "text/html",
    "Script": "text/javascript",
    "Style": "text/css",
}
"""Of answers that are no JSON."""
_OF_BODIES = (400, 408, 413, 415, 422, 429, 502, 503, 504)
_HEADERS = (
    (
        "X-Request-Id",
        "Names the request: 1 to 64 letters, digits, dots, dashes; every answer has one.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
    (
        "X-Request-Timeout-Ms",
        "How long the client waits, in milliseconds.",
        {"type": "integer", "minimum": 1, "maximum": 86_400_000},
    ),
)


@cache
def document() -> dict[str, Any]:
    """Give the whole description; made once."""
    paths: dict[str, dict[str, Any]] = {}
    for prefix in PREFIXES:
        for spec in ROUTES:
            paths.setdefault(prefix + spec.path, {})[spec.method.lower()] = _operation(spec, prefix)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "copykit",
            "version": version("copykit"),
            "description": "Briefs in, publishable marketing copy out.",
        },
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(spec: RouteSpec, prefix: str) -> dict[str, Any]:
    statuses = ([] if spec.scope == "public" else [401]) + (list(_OF_BODIES) if spec.takes else [])
    told: dict[str, Any] = {
        "operationId": "_".join(
            part for part in (prefix + spec.path).replace(".", "/").replace("-", "/").split("/") if part
        )
        + f"_{spec.method.lower()}",
        "summary": spec.summary + (" (legacy endpoint)" if spec.legacy else ""),
        "tags": ["legacy" if spec.legacy else "v11" if spec.path.startswith("/v11") else "service"],
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": schema}
            for name, text, schema in (_HEADERS if spec.takes else _HEADERS[:1])
        ],
        "security": [] if spec.scope == "public" else [{"key": []}, {"bearer": []}],
        "responses": {
            "200": {"description": "The answer.", "content": _content(spec.gives)},
            **{str(status): _problem(status) for status in sorted(statuses)},
        },
        "x-scope": spec.scope,
    }
    if spec.path == "/health/ready":
        told["responses"]["503"] = {"description": "Not now.", "content": _content(spec.gives)}
    if spec.takes:
        content = _content(spec.takes)
        content["application/json"]["examples"] = _EXAMPLES[spec.takes]
        told["requestBody"] = {"required": True, "content": content}
    return told


def _content(schema: str) -> dict[str, Any]:
    kind = _KINDS.get(schema, "application/json")
    return {kind: {"schema": {"$ref": _REF + schema}}}


def _problem(status: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": _REF + "Problem"}}}
    told: dict[str, Any] = {"description": _PROBLEMS[status], "content": content}
    if status == 503:
        told["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
    return told


def _schemas() -> dict[str, Any]:
    _, told = models_json_schema(
        [
            (CopywritingInput, "validation"),
            (CopywritingOutput, "serialization"),
            (LegacyResult, "serialization"),
            (ProblemBody, "serialization"),
        ],
        ref_template=_REF + "{model}",
    )
    schemas: dict[str, Any] = told["$defs"]
    schemas["Brief"] = {"$ref": _REF + "CopywritingInput"}
    schemas["Result"] = {"$ref": _REF + "CopywritingOutput"}
    listed = {"type": "array", "items": {"$ref": _REF + "Brief"}, "maxItems": 10_000}
    wrapped = {
        "type": "object",
        "properties": {"requests": listed},
        "required": ["requests"],
        "additionalProperties": False,
    }
    schemas["Batch"] = {"oneOf": [listed, wrapped]}
    schemas["BatchResult"] = _batch_of("Result")
    schemas["LegacyBatchResult"] = _batch_of("LegacyResult")
    schemas["Events"] = {
        "type": "string",
        "description": "Server-sent events: started, delta, field, mended; last done with the result, or error.",
    }
    schemas["Report"] = {"type": "object"}
    schemas["Exposition"] = {"type": "string", "description": "Prometheus' text form."}
    schemas.update({name: {"type": "string"} for name in ("Page", "Script", "Style")})
    schemas["Problem"] = {**schemas.pop("ProblemBody"), "title": "Problem", "required": list(_ALWAYS)}
    return schemas


def _batch_of(result: str) -> dict[str, Any]:
    item = {
        "type": "object",
        "required": ["index", "status", "error", "output"],
        "properties": {
            "index": {"type": "integer", "minimum": 0},
            "status": {"enum": ["ok", "repaired", "rejected", "failed"]},
            "error": {"oneOf": [{"$ref": _REF + "Problem"}, {"type": "null"}]},
            "output": {"oneOf": [{"$ref": _REF + result}, {"type": "null"}]},
        },
    }
    counts = {name: {"type": "integer", "minimum": 0} for name in ("total", "succeeded", "failed")}
    summary = {"type": "object", "required": list(counts), "properties": counts}
    return {
        "type": "object",
        "required": ["results", "summary"],
        "properties": {"results": {"type": "array", "items": item}, "summary": summary},
    }
