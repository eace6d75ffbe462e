"""``/catalog`` and ``/openapi.json``: the names that a brief may use, and the routes."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, final

__all__ = ["ApiDescription", "ApiInfo", "ApiParts", "ApiTag", "CatalogNames"]


@final
class CatalogNames(TypedDict):
    """``GET /catalog``: the names that a brief may use."""

    platforms: list[str]
    """Ids of placements, such as `google_ads.rsa`."""
    languages: list[str]
    """Tags, such as `pt-BR`."""
    tones: list[str]
    use_cases: list[str]


@final
class ApiInfo(TypedDict):
    """What is described."""

    title: str
    version: str
    """Of copykit."""
    description: str


@final
class ApiTag(TypedDict):
    """A group of routes."""

    name: str
    description: str


@final
class ApiParts(TypedDict):
    """What the descriptions of routes refer to, by name."""

    schemas: dict[str, dict[str, Any]]
    headers: dict[str, dict[str, Any]]
    responses: dict[str, dict[str, Any]]
    securitySchemes: dict[str, dict[str, Any]]


@final
class ApiDescription(TypedDict):
    """``GET /openapi.json``: all routes in OpenAPI 3.1."""

    openapi: Literal["3.1.0"]
    info: ApiInfo
    tags: list[ApiTag]
    paths: dict[str, dict[str, dict[str, Any]]]
    """By path and method in lower case."""
    components: ApiParts
