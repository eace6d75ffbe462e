"""The service over HTTP: ``copykit.server.create_app()`` gives an ASGI application (extra ``server``)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from copykit.errors import MissingExtra

if TYPE_CHECKING:
    from copykit.server.app import create_app
    from copykit.server.config import ServerSettings

__all__ = ["ServerSettings", "create_app"]

_HOMES = {"create_app": "app", "ServerSettings": "config"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"copykit.server.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "copykit":
            raise
        raise MissingExtra("server", error.name or "starlette", "server") from error
