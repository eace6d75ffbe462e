"""Schemas of what the service tells of itself, made of the types in `copykit.reports`.

Own work because pydantic reads ``typing.TypedDict`` from Python 3.12 on only; it makes the schemas of the values in them.
"""

from __future__ import annotations

from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import TypeAdapter

from copykit import reports
from copykit.accel import measure, report
from copykit.reports import cache, catalog, configuration, counts, figures, health, machine, routing
from copykit.server.config import ServerSettings
from copykit.server.described.field_words import describe, describe_as
from copykit.settings import BatchSettings, CacheSettings, ProvidersSettings, RoutingSettings

__all__ = ["report_schemas"]

_ELSEWHERE = {
    "ServerConfig": ServerSettings,
    "CacheConfig": CacheSettings,
    "RoutingConfig": RoutingSettings,
    "BatchConfig": BatchSettings,
    "ProvidersConfig": ProvidersSettings,
    "OptimizationReport": report.Report,
    "CapabilityLook": report.CapabilityState,
    "CandidateLook": report.CandidateState,
    "GainLook": measure.Gain,
    "LibraryLook": report.LibraryState,
    "AdvisedLibrary": report.Recommendation,
}
"""Types whose fields are explained at the class that they show."""


def report_schemas(ref: str) -> dict[str, Any]:
    """Give the schemas of all answers of `copykit.reports`, and of their parts, by name.

    Every object is closed: a field that its type does not know breaks its schema.

    Args:
        ref: what references begin with.
    """
    found: dict[str, Any] = {}
    for name in reports.__all__:
        kind = getattr(reports, name)
        schema = _schema(kind, found, ref)
        if not is_typeddict(kind):
            found[name] = schema
    describe(found, cache, catalog, configuration, counts, figures, health, machine, routing)
    for name, source in _ELSEWHERE.items():
        describe_as(found[name], source)
    return found


def _schema(kind: Any, found: dict[str, Any], ref: str) -> dict[str, Any]:
    """Give the schema of *kind*; those of objects go into *found*, and are referred to."""
    if is_typeddict(kind):
        if kind.__name__ not in found:
            found[kind.__name__] = {}  # its place, before those of its parts
            found[kind.__name__] = _object(kind, found, ref)
        return {"$ref": ref + kind.__name__}
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(part, found, ref) for part in parts]}
    if origin is list:
        return {"type": "array", "items": _schema(parts[0], found, ref)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(parts[1], found, ref)}
    return TypeAdapter(kind).json_schema(mode="serialization")


def _object(kind: Any, found: dict[str, Any], ref: str) -> dict[str, Any]:
    # the class itself takes all fields for required, because its annotations are text
    hints = get_type_hints(kind, include_extras=True)
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    told: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: _schema(get_args(hint)[0] if name in optional else hint, found, ref)
            for name, hint in hints.items()
        },
        "additionalProperties": False,
    }
    if required := [name for name in hints if name not in optional]:
        told["required"] = required
    return told
