"""The description of all routes in OpenAPI 3.1, made of the route table and of the models themselves."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from copykit import legacy, models, problems
from copykit.legacy import LegacyResult
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.problems import ProblemBody
from copykit.server.described.brief_schema import bound
from copykit.server.described.field_words import describe
from copykit.server.described.report_schemas import report_schemas
from copykit.server.described.samples import BODIES, answer, problem
from copykit.server.routes import PREFIXES, ROUTES, RouteSpec

__all__ = ["document"]

_REF = "#/components/schemas/"
_PROBLEMS = {
    400: "The body is not the JSON that is read here, or a header breaks its rule.",
    401: "No key, or one that is not known.",
    403: "The key has not the scope of this route.",
    408: "The body did not arrive in time.",
    409: "A request with the same Idempotency-Key is in work; Retry-After says when to ask again.",
    413: "The body is too large.",
    415: "The body is no JSON, or it is compressed.",
    422: "The brief breaks a rule, the model declined to write it, or the Idempotency-Key was used for another request.",
    429: "Too many requests of this key or address (Retry-After says when), or the budget is spent.",
    502: "No provider gave an answer.",
    503: "No provider may be asked now, too much is in work, or the store is away; Retry-After says when.",
    504: "No answer in time.",
}
_ALWAYS = ("type", "title", "status", "detail", "code", "retryable", "request_id")
"""Members that every problem has."""
_TAGS = {
    "v11": "The second interface: whole results.",
    "service": "How the service is, and what it knows.",
    "legacy": "The first interface, kept as it was: of a result its documented subset.",
}
_KINDS = {
    "Events": "text/event-stream",
    "Exposition": "text/plain",
    "Page": "text/html",
    "Script": "text/javascript",
    "Style": "text/css",
}
"""Of answers that are no JSON."""
_OF_KEYS = (401, 403, 429, 503)
_OF_ADDRESSES = 429
_OF_BODIES = (408, 413, 415, 422, 502, 504)
_HEADERS = (
    (
        "X-Request-Id",
        "Names the request: 1 to 64 letters, digits, dots, dashes; every answer has one.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
    (
        "X-Request-Timeout-Ms",
        "How long the client waits, in milliseconds, from when its request came. One brief gets no more than the server's "
        "own bound (120 s unless it is set otherwise); a batch as a whole as long as is named here, each of its briefs at "
        "most 300 s.",
        {"type": "integer", "minimum": 1, "maximum": 86_400_000},
    ),
    (
        "Idempotency-Key",
        "Names the work: a request with the same one and the same body is done once, and its answer given again for a day.",
        {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    ),
)
_ONCE = 409
_TOLD = {
    "X-Request-Id": {"description": "Names the request.", "schema": {"type": "string"}},
    "RateLimit-Limit": {"description": "Requests of the narrowest bound.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "What is left of them.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until all are there again.", "schema": {"type": "integer"}},
    "Retry-After": {
        "description": "Seconds after which to ask again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotent-Replayed": {
        "description": "Where a kept answer is given again.",
        "schema": {"const": "true"},
    },
}
_LATER = (409, 429, 503)
_OF_WINDOWS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


@cache
def document(*, keyed: bool = True) -> dict[str, Any]:
    """Give the whole description; made once.

    Args:
        keyed: whether a key is wanted; where authentication is off, one is of no use.
    """
    paths: dict[str, dict[str, Any]] = {}
    for prefix in PREFIXES:
        for spec in ROUTES:
            paths.setdefault(prefix + spec.path, {})[spec.method.lower()] = _operation(spec, prefix, keyed)
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
            "headers": _TOLD,
            "responses": {f"Problem{status}": _problem(status) for status in _PROBLEMS},
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(spec: RouteSpec, prefix: str, keyed: bool) -> dict[str, Any]:
    repeats = spec.takes is not None and spec.gives != "Events"
    headers = _HEADERS if repeats else _HEADERS[:2] if spec.takes else _HEADERS[:1]
    doors = _OF_KEYS if spec.scope != "public" else () if spec.probe else (_OF_ADDRESSES,)
    statuses = {400, *doors, *(_OF_BODIES if spec.takes else ())}
    statuses |= {_ONCE} if repeats else set()
    told_with_it = ["X-Request-Id", *(() if spec.scope == "public" else _OF_WINDOWS)]
    told_with_it += ["Idempotent-Replayed"] if repeats else []
    told: dict[str, Any] = {
        "operationId": "_".join(
            part for part in (prefix + spec.path).replace(".", "/").replace("-", "/").split("/") if part
        )
        + f"_{spec.method.lower()}",
        "summary": spec.summary + (" (legacy endpoint)" if spec.legacy else ""),
        "tags": ["legacy" if spec.legacy else "v11" if spec.path.startswith("/v11") else "service"],
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": schema}
            for name, text, schema in headers
        ],
        "security": [{"key": []}, {"bearer": []}] if keyed and spec.scope != "public" else [],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": _headers(*told_with_it),
                "content": _content(*_GIVEN.get(spec.handler, (spec.gives,))),
            },
            **{str(at): {"$ref": f"#/components/responses/Problem{at}"} for at in sorted(statuses)},
        },
        "x-scope": spec.scope,
    }
    if (example := answer(spec.gives)) is not None:
        told["responses"]["200"]["content"]["application/json"]["example"] = example
    if spec.path == "/health/ready":
        told["responses"]["503"] = {"description": "Not now.", "content": _content(spec.gives)}
    if spec.takes:
        content = _content(spec.takes)
        content["application/json"]["examples"] = BODIES[spec.takes]
        told["requestBody"] = {"required": True, "content": content}
    return told


_GIVEN = {"metrics": ("FigureReport", "Exposition")}
"""What those handlers give that answer in several forms."""


def _content(*schemas: str) -> dict[str, Any]:
    return {_KINDS.get(schema, "application/json"): {"schema": {"$ref": _REF + schema}} for schema in schemas}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problem(status: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": _REF + "Problem"}, "example": problem(status)}}
    headers = _headers("X-Request-Id", *(("Retry-After",) if status in _LATER else ()))
    return {"description": _PROBLEMS[status], "headers": headers, "content": content}


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
    bound(schemas)
    describe(schemas, models, legacy, problems)
    for name in ("LegacyResult", "LegacyVariant"):
        schemas[name]["additionalProperties"] = False
    schemas["Brief"] = {"$ref": _REF + "CopywritingInput"}
    schemas["Result"] = {"$ref": _REF + "CopywritingOutput"}
    item = {
        "description": "A brief; anything else has its problem in its place.",
        "anyOf": [{"$ref": _REF + "Brief"}, {}],
    }
    listed = {"type": "array", "items": item, "maxItems": 10_000}
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
        "type": "object",
        "description": "One of the server-sent events; the last is done with the result, or error with a problem.",
        "required": ["event", "data"],
        "properties": {
            "event": {"enum": ["started", "delta", "field", "mended", "done", "error"]},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
    }
    schemas |= report_schemas(_REF)
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
        "additionalProperties": False,
    }
    counts = {name: {"type": "integer", "minimum": 0} for name in ("total", "succeeded", "failed")}
    summary = {
        "type": "object",
        "required": list(counts),
        "properties": counts,
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "required": ["results", "summary"],
        "properties": {"results": {"type": "array", "items": item}, "summary": summary},
        "additionalProperties": False,
    }
