"""Which providers there are: a table from name to ``module:Class``, open to others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from copykit.errors import InvalidRequest, nearest_names
from copykit.providers.base import Provider

__all__ = [
    "ENTRY_POINTS",
    "Source",
    "check_targets",
    "load_provider",
    "make_provider",
    "provider_names",
    "provider_source",
    "register_provider",
    "unregister_provider",
]

Source = str | Callable[[], Provider]
"""Where a provider comes from: ``module:Class``, or what makes one."""

ENTRY_POINTS = "copykit.providers"
"""Entry-point group by which an installed package adds providers."""

_BUILT_IN: dict[str, Source] = {"phrasebank": "copykit.providers.phrasebank.provider:PhraseBank"}
_NOT_YET = ("openai", "anthropic", "google", "openrouter", "llamacpp", "langchain")
"""Names kept for providers of later versions; what is registered under one of them is used all the same."""
_registered: dict[str, Source] = {}


def register_provider(name: str, target: Source) -> None:
    """Add a provider under *name*: a factory, or ``"module:Class"`` imported at first use.

    Each engine makes one at its first call and closes it with itself, if it has ``aclose``. Registering a
    name again replaces the provider in running engines too, from their next call on.
    """
    if not name.isidentifier():
        raise InvalidRequest("provider", name, "a provider name is letters, digits and underscores")
    _registered[name] = target


def unregister_provider(name: str) -> None:
    """Take a registered provider out again; unknown names are ignored."""
    _registered.pop(name, None)


def provider_names() -> tuple[str, ...]:
    """List all known names: built in, registered, and from entry points."""
    return tuple(dict.fromkeys((*_BUILT_IN, *_registered, *_entry_points())))


def provider_source(name: str) -> Source:
    """Give what is registered under *name*; the same object until it is registered anew.

    Raises:
        InvalidRequest: nothing is; the message says what there is, and what is near.
    """
    source = _registered.get(name) or _BUILT_IN.get(name) or _entry_points().get(name)
    if source is None:
        raise InvalidRequest("provider", name, _why_not(name), nearest=nearest_names(name, provider_names()))
    return source


def make_provider(source: Source) -> Provider:
    """Make a provider from where it comes from."""
    if isinstance(source, str):
        module, _, attribute = source.partition(":")
        source = getattr(import_module(module), attribute)
    factory: Callable[[], Provider] = source  # type: ignore[assignment]  # the module's own promise
    return factory()


def load_provider(name: str) -> Provider:
    """Make the provider called *name*.

    Raises:
        InvalidRequest: nothing is registered under *name*; the message holds the nearest names.
    """
    return make_provider(provider_source(name))


def check_targets(targets: Iterable[str]) -> list[str]:
    """Say of each configured target that no provider answers to what is wrong with it, and what is near."""
    problems = []
    for target in targets:
        try:
            provider_source(target.partition(":")[0])
        except InvalidRequest as error:
            near = f"; nearest: {', '.join(error.nearest)}" if error.nearest else ""
            problems.append(f"routing.providers={target!r}: {error.reason}{near}")
    return problems


def _why_not(name: str) -> str:
    known = ", ".join(provider_names())
    if name in _NOT_YET:
        return f"known, but not available in this version, which has {known}"
    return f"unknown provider; this version has {known}"


@cache
def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
