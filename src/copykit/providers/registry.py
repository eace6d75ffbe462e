"""Which providers there are: a table from name to ``module:Class``, open to others."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from copykit.errors import InvalidRequest, nearest_names
from copykit.providers.base import Provider

__all__ = ["ENTRY_POINTS", "load_provider", "provider_names", "register_provider", "unregister_provider"]

ENTRY_POINTS = "copykit.providers"
"""Entry-point group by which an installed package adds providers."""

_BUILT_IN: dict[str, str | Callable[[], Provider]] = {
    "phrasebank": "copykit.providers.phrasebank.provider:PhraseBank"
}
_registered: dict[str, str | Callable[[], Provider]] = {}


def register_provider(name: str, target: str | Callable[[], Provider]) -> None:
    """Add a provider under *name*: a factory, or ``"module:Class"`` imported at first use."""
    if not name.isidentifier():
        raise InvalidRequest("provider", name, "a provider name is letters, digits and underscores")
    _registered[name] = target


def unregister_provider(name: str) -> None:
    """Take a registered provider out again; unknown names are ignored."""
    _registered.pop(name, None)


def provider_names() -> tuple[str, ...]:
    """List all known names: built in, registered, and from entry points."""
    return tuple(dict.fromkeys((*_BUILT_IN, *_registered, *_entry_points())))


def load_provider(name: str) -> Provider:
    """Make the provider called *name*.

    Raises:
        InvalidRequest: nothing is registered under *name*; the message holds the nearest names.
    """
    target = _registered.get(name) or _BUILT_IN.get(name) or _entry_points().get(name)
    if target is None:
        known = provider_names()
        reason = f"unknown provider; there are {', '.join(known)}"
        raise InvalidRequest("provider", name, reason, nearest=nearest_names(name, known))
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        factory: Callable[[], Provider] = getattr(import_module(module), attribute)
        return factory()
    return target()


@cache
def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
