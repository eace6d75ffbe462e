"""Which providers there are: a table from name to ``module:Class``, open to others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from copykit.errors import InvalidRequest, nearest_names
from copykit.providers.base import Provider
from copykit.settings import ProvidersSettings, Settings

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

_BUILT_IN: dict[str, Source] = {
    "phrasebank": "copykit.providers.phrasebank.provider:PhraseBank",
    "openai": "copykit.providers.openai:OpenAI",
    "anthropic": "copykit.providers.anthropic:Anthropic",
    "google": "copykit.providers.google:Google",
    "openrouter": "copykit.providers.openrouter:OpenRouter",
    "local": "copykit.providers.compatible:Compatible",
    "llamacpp": "copykit.providers.llamacpp:LlamaCpp",
    "langchain": "copykit.providers.langchain:LangChainProvider",
}
_PACKAGES = {"llamacpp": "xllamacpp", "langchain": "langchain_core"}
"""Built-in providers that need an extra of their own name, and the package that it brings."""
_registered: dict[str, Source] = {}


@runtime_checkable
class _Configurable(Protocol):
    def from_settings(self, settings: Settings) -> Provider: ...


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
        known = ", ".join(provider_names())
        reason = f"unknown provider; this version has {known}"
        raise InvalidRequest("provider", name, reason, nearest=nearest_names(name, provider_names()))
    return source


def make_provider(source: Source, settings: Settings) -> Provider:
    """Make a provider from where it comes from.

    A class with a ``from_settings`` is made by it, and finds its key and address there.

    Raises:
        ConfigurationError: it needs a key or an address that *settings* do not hold.
    """
    factory: object = source
    if isinstance(source, str):
        module, _, attribute = source.partition(":")
        factory = getattr(import_module(module), attribute)
    if isinstance(factory, _Configurable):
        return factory.from_settings(settings)
    return cast("Callable[[], Provider]", factory)()


def load_provider(name: str, settings: Settings | None = None) -> Provider:
    """Make the provider called *name*; without *settings* only one that needs no key can be made.

    Raises:
        InvalidRequest: nothing is registered under *name*; the message holds the nearest names.
        ConfigurationError: as `make_provider`.
    """
    return make_provider(provider_source(name), settings or Settings())


def check_targets(targets: Iterable[str], providers: ProvidersSettings | None = None) -> list[str]:
    """Say of each configured target that cannot answer what is wrong with it.

    No provider of that name, with what is near; or, where *providers* are given, one that lacks its key.
    """
    problems = []
    for target in targets:
        name = target.partition(":")[0]
        try:
            source = provider_source(name)
        except InvalidRequest as error:
            near = f"; nearest: {', '.join(error.nearest)}" if error.nearest else ""
            problems.append(f"routing.providers={target!r}: {error.reason}{near}")
            continue
        if providers is not None and source is _BUILT_IN.get(name) and (lack := _lack(target, providers)):
            problems.append(f"routing.providers={target!r}: {lack}")
    return problems


def _lack(target: str, providers: ProvidersSettings) -> str:
    """Say what the built-in provider of *target* needs and neither *providers* nor this machine have."""
    name, _, model = target.partition(":")
    if name in _PACKAGES and find_spec(_PACKAGES[name]) is None:
        return f'it needs {_PACKAGES[name]}: pip install "copykit[{name}]"'
    if name == "llamacpp":
        return _lacks_file(model or providers.llamacpp_model or "")
    if name == "langchain" and not model:
        return "it needs a model: langchain:vendor/model, or one of yours by register_provider"
    if name == "local" and providers.local_base_url is None:
        return "it needs an address: set COPYKIT_LOCAL_BASE_URL"
    if getattr(providers, f"{name}_key", "") is not None:
        return ""
    from copykit.providers.facts import provider_facts  # only where something is amiss

    names = provider_facts(name).keys
    return f"it needs a key: set {' or '.join(names)}" if names else ""


def _lacks_file(path: str) -> str:
    if not path:
        return "it needs a model file: llamacpp:/path/model.gguf, or set COPYKIT_LLAMACPP_MODEL"
    return "" if Path(path).expanduser().is_file() else f"no such model file: {path}"


@cache
def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
