"""Settings: small frozen groups, each usable alone; one table of the environment's names.

Precedence: code, environment, ``copykit.toml``. Nothing is read at import. Written over dataclasses rather
than pydantic-settings because that package alone would cost more than the rest of ``import copykit``
(`benchmarks/import_time.py`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from copykit.accel import registry
from copykit.errors import ConfigurationError, nearest_names

__all__ = [
    "BatchSettings",
    "CacheSettings",
    "PerformanceConfig",
    "RoutingSettings",
    "Settings",
]


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Where finished results are kept, and how many."""

    url: str = "memory://"
    """``memory://``, or an address whose scheme was registered; empty turns caching off."""
    max_entries: int = 10_000
    """Results kept; 0 turns caching off."""
    max_bytes: int = 64 * 2**20
    """Bytes of all entries together."""
    ttl_s: float = 3600.0
    """Seconds after which an entry is written anew."""

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):
            raise ConfigurationError(f"cache.url={self.url!r}: must be text, e.g. memory://")
        _at_least("cache.max_entries", self.max_entries, 0, whole=True)
        _at_least("cache.max_bytes", self.max_bytes, 0, whole=True)
        _at_least("cache.ttl_s", self.ttl_s, 0.001)


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """Who writes, in which order, and for how long."""

    providers: tuple[str, ...] = ("phrasebank",)
    """Ordered targets, ``name`` or ``name:model``; the next is asked when one fails."""
    deadline_s: float = 120.0
    """Seconds one request may take when it names no deadline of its own."""

    def __post_init__(self) -> None:
        names: object = self.providers  # as `_at_least` has it
        if not isinstance(names, tuple | list) or not all(isinstance(n, str) and n.strip() for n in names):
            raise ConfigurationError(f"routing.providers={names!r}: must be a list of names")
        if not names:
            raise ConfigurationError("routing.providers: at least one target is needed, e.g. phrasebank")
        _at_least("routing.deadline_s", self.deadline_s, 0.001)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How many requests of a batch are in progress at once."""

    concurrency: int = 8

    def __post_init__(self) -> None:
        _at_least("batch.concurrency", self.concurrency, 1, whole=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, and what was asked for but has no effect in this version."""

    cache: CacheSettings = field(default_factory=CacheSettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    ignored: tuple[str, ...] = ()
    """One sentence for each setting that was given and cannot act here."""

    @classmethod
    def from_env(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        file: Path | None = None,
        check_targets: Callable[[Iterable[str]], Iterable[str]] | None = None,
    ) -> Settings:
        """Read the environment over ``copykit.toml`` (in *file*, else ``$COPYKIT_CONFIG``, else the working folder).

        Args:
            check_targets: says what is wrong with the targets named, so that it is told with the rest; the table
                of providers lies a layer above. An engine checks its targets in any case.

        Raises:
            ConfigurationError: every mistake at once, misspelt names with the nearest right one.
        """
        environment = os.environ if environment is None else environment
        values, problems = _read_file(file or environment.get("COPYKIT_CONFIG"))
        ignored = []
        forcing = {registry.variable(name): name for name in registry.capability_names()}
        for name, text in environment.items():
            known = _VARIABLES.get(name)
            if known is not None and text:
                try:
                    values[known[0]] = known[1](text)
                except ValueError:
                    problems.append(f"{name}={text!r}: not {_WANTED[known[1]]}")
            elif name in _NOT_YET and text:
                ignored.append(f"{name} is set; {_NOT_YET[name]}")
            elif name in forcing:
                problems.extend(registry.refusals(forcing[name], text))
            elif name.startswith("COPYKIT_") and name not in _OTHER and not name.startswith("COPYKIT_TEST_"):
                problems.append(f"{name}: unknown variable{_hint(name, [*_VARIABLES, *_OTHER, *forcing])}")
        return _assembled(cls, values, problems, tuple(ignored), check_targets)


@dataclass(frozen=True, slots=True)
class PerformanceConfig:
    """The thirteen-field form that older callers pass: it maps onto the settings groups.

    Only what the caller sets lies over the settings; a number left at None is the settings' own. `explain` says
    of each field what it does here, or why it is ignored.
    """

    max_workers: int | None = None
    """Provider calls in progress per process: `BatchSettings.concurrency`. Never operating-system processes."""
    batch_size: int = 10
    cache_size: int | None = None
    """Results kept in memory: `CacheSettings.max_entries`."""
    gpu_memory_fraction: float = 0.8
    auto_scaling: bool = False
    intelligent_caching: bool = True
    """False turns result caching off."""
    memory_optimization: bool = False
    gpu_memory_management: bool = False
    adaptive_batching: bool = False
    predictive_caching: bool = False
    load_balancing: bool = False
    circuit_breaker: bool = False
    retry_mechanism: bool = False

    def __post_init__(self) -> None:
        if self.max_workers is not None:
            _at_least("max_workers", self.max_workers, 1, whole=True)
        _at_least("batch_size", self.batch_size, 1, whole=True)
        if self.cache_size is not None:
            _at_least("cache_size", self.cache_size, 0, whole=True)
        if not 0 <= self.gpu_memory_fraction <= 1:
            raise ConfigurationError(f"gpu_memory_fraction={self.gpu_memory_fraction}: must be 0 to 1")

    @classmethod
    def everything(cls) -> PerformanceConfig:
        """Give the preset of `CopywritingServiceV11`: every switch on."""
        switches = {f.name: True for f in fields(cls) if f.type == "bool"}
        return cls(**switches)

    def applied_to(self, settings: Settings) -> Settings:
        """Give *settings* with the fields that act, and were set, laid over them."""
        cache, batch = settings.cache, settings.batch
        entries = self.cache_size if self.intelligent_caching else 0
        if entries is not None:
            cache = replace(cache, max_entries=entries)
        if self.max_workers is not None:
            batch = replace(batch, concurrency=self.max_workers)
        return replace(settings, cache=cache, batch=batch)

    def filled_from(self, settings: Settings) -> PerformanceConfig:
        """Give the form with the numbers of *settings* where none was set: what a service runs with."""
        workers, entries = self.max_workers, self.cache_size
        return replace(
            self,
            max_workers=settings.batch.concurrency if workers is None else workers,
            cache_size=settings.cache.max_entries if entries is None else entries,
        )

    def explain(self) -> dict[str, dict[str, Any]]:
        """Map each field to ``{"value", "acts", "effect"}``; *effect* says what it does or why it is ignored.

        A value of None stands for the settings' own.
        """
        return {
            f.name: {
                "value": getattr(self, f.name),
                "acts": f.name in _ACTING,
                "effect": _ACTING.get(f.name) or f"ignored: {_IDLE[f.name]}",
            }
            for f in fields(self)
        }


_ACTING = {
    "max_workers": "requests of a batch in progress at once",
    "cache_size": "results kept in memory",
    "intelligent_caching": "result caching on or off",
}
_IDLE = {
    "batch_size": "no backend with grouped calls exists yet",
    "gpu_memory_fraction": "nothing here allocates GPU memory yet",
    "auto_scaling": "concurrency is fixed until providers report throttling",
    "memory_optimization": "memory pressure is not watched yet",
    "gpu_memory_management": "nothing here allocates GPU memory yet",
    "adaptive_batching": "no backend with grouped calls exists yet",
    "predictive_caching": "the cache does not prefetch yet",
    "load_balancing": "targets are asked in order; there are no weights yet",
    "circuit_breaker": "no network provider exists yet that a breaker could guard",
    "retry_mechanism": "no network provider exists yet whose calls could be repeated",
}


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_WANTED: dict[Callable[[str], Any], str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    _names: "a list",
}
_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "COPYKIT_PROVIDERS": ("routing.providers", _names),
    "COPYKIT_DEADLINE_S": ("routing.deadline_s", float),
    "COPYKIT_CACHE_URL": ("cache.url", str),
    "COPYKIT_CACHE_ENTRIES": ("cache.max_entries", int),
    "COPYKIT_CACHE_BYTES": ("cache.max_bytes", int),
    "CACHE_TTL": ("cache.ttl_s", float),
    "MAX_WORKERS": ("batch.concurrency", int),
}
_PROVIDER_KEYS = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "OPENROUTER_API_KEY",
)
_NOT_YET = {
    "REDIS_URL": "the shared cache is not built yet",
    "API_KEY": "the server is not built yet",
    "BATCH_SIZE": "no backend with grouped calls exists yet",
    **dict.fromkeys(_PROVIDER_KEYS, "its provider is not built yet, the phrase bank writes"),
}
_OTHER = ("COPYKIT_CONFIG",)


def _read_file(path: Path | str | None) -> tuple[dict[str, Any], list[str]]:
    explicit = path is not None
    found = Path(path) if path is not None else Path("copykit.toml")
    if not found.is_file():
        return {}, [f"{found}: no such configuration file"] if explicit else []
    try:
        table = tomllib.loads(found.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        return {}, [f"{found}: {error}"]
    values: dict[str, Any] = {}
    problems: list[str] = []
    keys = [key for key, _ in _VARIABLES.values()]
    for group, entries in table.items():
        for name, value in entries.items() if isinstance(entries, dict) else [("", entries)]:
            key = f"{group}.{name}".rstrip(".")
            if key in keys:
                values[key] = tuple(value) if isinstance(value, list) else value
            else:
                problems.append(f"{found}: {key} is unknown{_hint(key, keys)}")
    return values, problems


def _hint(name: str, known: Iterable[str]) -> str:
    # what all names begin with says nothing of which was meant
    own = {known_name.removeprefix("COPYKIT_"): known_name for known_name in known}
    near = nearest_names(name.removeprefix("COPYKIT_"), own, 1, meaning=own)
    return f"; nearest: {near[0]}" if near else ""


def _assembled(
    kind: type[Settings],
    values: dict[str, Any],
    problems: list[str],
    ignored: tuple[str, ...],
    check_targets: Callable[[Iterable[str]], Iterable[str]] | None,
) -> Settings:
    groups: dict[str, Any] = {}
    for name, group in (("cache", CacheSettings), ("routing", RoutingSettings), ("batch", BatchSettings)):
        own = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
        try:
            groups[name] = group(**own)
        except ConfigurationError as error:
            problems.extend(error.problems)
        except TypeError as error:
            problems.append(f"{name}: {error}")
    if check_targets and "routing" in groups:
        problems.extend(check_targets(groups["routing"].providers))
    if problems:
        raise ConfigurationError(problems)
    return kind(**groups, ignored=ignored)


def _at_least(name: str, value: object, bound: float, *, whole: bool = False) -> None:
    # a form filled from a file or by a caller without a type checker may hold anything
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not bound <= value < 1e15:
        wanted = "a whole number" if whole else "a number"
        raise ConfigurationError(f"{name}={value!r}: must be {wanted} of at least {bound:g}")
