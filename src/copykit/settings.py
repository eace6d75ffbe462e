"""Settings: small frozen groups, each usable alone; one table of the environment's names.

Precedence: code, environment, ``copykit.toml``. Nothing is read at import. Written over dataclasses rather
than pydantic-settings because that package alone would cost more than the rest of ``import copykit``
(`benchmarks/import_time.py`).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from copykit.accel import registry
from copykit.errors import ConfigurationError, excerpt, excerpt_address, nearest_names, without_password

__all__ = [
    "BALANCES",
    "SERVER_VARIABLES",
    "BatchSettings",
    "CacheSettings",
    "Group",
    "ProvidersSettings",
    "RoutingSettings",
    "Secret",
    "Settings",
    "outside",
    "read_values",
    "secret_text",
    "within",
]

MOST_S = 315_360_000
"""Ten years: what is kept longer is not kept for a time."""
MOST_USD = 1e9
MOST_WORKERS = 10_000
"""Requests of a batch in progress at once."""
MOST_ENTRIES = 100_000_000
"""Results kept in memory."""
_DAY_S = 86_400


class Secret:
    """A key that shows itself only when asked by `reveal`: not in repr, text, logs or tracebacks.

    It refuses to be pickled, and white space around it is dropped.

    Raises:
        ConfigurationError: it is empty, or holds what no header can carry; the value is not told.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.strip()
        if not self._value:
            raise ConfigurationError("a key is empty")
        if not (self._value.isascii() and self._value.isprintable()) or " " in self._value:
            raise ConfigurationError("a key holds a space, a line break or a character beyond ASCII")

    def reveal(self) -> str:
        """Give the key itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a key does not leave its process: it cannot be pickled")


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
        url: object = self.url  # as `outside` has it
        problems = [
            *(
                []
                if isinstance(url, str)
                else [f"cache.url={excerpt_address(url)}: must be text, e.g. memory://"]
            ),
            *outside("cache.max_entries", self.max_entries, 0, MOST_ENTRIES, whole=True),
            *outside("cache.max_bytes", self.max_bytes, 0, 2**40, whole=True),
            *outside("cache.ttl_s", self.ttl_s, 0.001, MOST_S),
        ]
        if problems:
            raise ConfigurationError(problems)


Group = tuple[tuple[str, float], ...]
"""Targets of which any may be asked first, each with its weight; a single one is asked in its place."""

BALANCES = ("weighted", "least_loaded", "fastest")
PRICED = ("input", "output", "cached", "cache_write", "reasoning")
"""Kinds of tokens that have a price; the first two always."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """Who writes, in which order, for how long and for how much."""

    providers: tuple[str, ...] = ()
    """Ordered targets, ``name``, ``name:model`` or a deployment's alias; the next is asked when one fails. Empty
    stands for the providers whose keys are set, as `Settings` fills it in, and for the phrase bank where there are
    none."""
    deployments: Mapping[str, Sequence[str] | Mapping[str, float]] = field(default_factory=dict)
    """Targets by alias. A list is asked in its order: ``{"main": ["openai:gpt-6-luna", "anthropic"]}``; a mapping
    gives each target a weight, and any of them may be asked first: ``{"shared": {"openai": 3, "google": 1}}``."""
    balance: str | None = None
    """How one of a weighted deployment's targets is chosen: ``weighted`` draws by weight; ``least_loaded`` draws two
    so, and takes the one with more room; ``fastest`` takes the one that is expected to answer first. None is
    ``weighted``."""
    deadline_s: float = 120.0
    """Seconds one request may take when it names no deadline of its own."""
    budget_usd: float | None = None
    """Dollars that all calls of this process may cost together; None for no bound."""
    request_budget_usd: float | None = None
    """Dollars that one request may cost, its repeats and other targets included; None for no bound."""
    repeats: int = 2
    """Calls of the same target after a passing failure, within the three of a request; 0 never asks it again."""
    breaker: bool = True
    """Whether a target that fails often is left alone for a while."""
    most_calls: int = 256
    """Calls of one target in progress at a time, however many it takes."""
    hedge_share: float = 0.0
    """Share of the requests of a minute (0 to 1) for which a second target may be asked beside one that is late;
    0.05 is a good one, 0 never does. The slower call is cancelled and paid for."""
    fall_back_on_refusal: bool = False
    """Whether another target is asked when a model declines to write."""
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Dollars per million tokens by ``name:model`` or ``name``, over the price tables:
    ``{"local": {"input": 0.1, "output": 0.2}}``."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name in ("budget_usd", "request_budget_usd"):
            if getattr(self, name) is not None:
                problems += outside(f"routing.{name}", getattr(self, name), 0, MOST_USD)
        names: object = self.providers  # as `outside` has it
        if not isinstance(names, tuple | list) or not all(isinstance(n, str) and n.strip() for n in names):
            problems.append(f"routing.providers={excerpt(names)}: must be a list of names")
        problems += outside("routing.deadline_s", self.deadline_s, 0.001, _DAY_S)
        problems += outside("routing.repeats", self.repeats, 0, 100, whole=True)
        problems += outside("routing.most_calls", self.most_calls, 1, 100_000, whole=True)
        problems += outside("routing.hedge_share", self.hedge_share, 0, 1)
        problems += [*_deployment_problems(self.deployments), *self._balance_problems()]
        problems += price_problems(self.prices, "routing.prices")
        for name in ("breaker", "fall_back_on_refusal"):
            if not isinstance(getattr(self, name), bool):
                problems.append(f"routing.{name}={excerpt(getattr(self, name))}: must be true or false")
        if problems:
            raise ConfigurationError(problems)

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets that *providers* stand for, in order, each once."""
        return self.targets_of(self.providers)

    def targets_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Give all targets that *names* stand for, in order, each once."""
        return tuple(dict.fromkeys(name for group in self.groups(names) for name, _ in group))

    def groups(self, names: Iterable[str]) -> tuple[Group, ...]:
        """Give *names* with their deployments opened, in the order in which they are asked."""
        return tuple(group for name in names for group in self._opened(name))

    def _opened(self, name: str) -> tuple[Group, ...]:
        members = self.deployments.get(name)
        if members is None:
            return (((name, 1.0),),)
        if isinstance(members, Mapping):
            return (tuple((target, float(weight)) for target, weight in members.items()),)
        return tuple(((target, 1.0),) for target in members)

    def _balance_problems(self) -> list[str]:
        if self.balance is None or self.balance in BALANCES:
            return []
        near = nearest_names(str(self.balance), BALANCES, 1)
        hint = f"nearest: {near[0]}" if near else "one of " + ", ".join(BALANCES)
        return [f"routing.balance={excerpt(self.balance)}: unknown; {hint}"]


def _deployment_problems(deployments: object) -> list[str]:
    """Say what is wrong with *deployments*, which a file may have filled with anything."""
    if not isinstance(deployments, Mapping):
        return [f"routing.deployments={deployments!r}: must map an alias to its targets"]
    problems = []
    for alias, members in deployments.items():
        name = f"routing.deployments.{alias}"
        if not isinstance(alias, str) or not alias or ":" in alias or alias != alias.strip():
            problems.append(f"{name}: an alias is a name without a colon, unlike name:model")
        if not isinstance(members, Mapping | list | tuple) or not members:
            problems.append(f"{name}={members!r}: must be a list of targets, or targets with weights")
            continue
        for target in members:
            if not isinstance(target, str) or not target.strip():
                problems.append(f"{name}: {target!r} is no target")
            elif target in deployments:
                problems.append(f"{name}: {target!r} is a deployment itself; name its targets")
        if isinstance(members, Mapping):
            problems += [
                f"{name}.{target}={weight!r}: a weight is a number above 0"
                for target, weight in members.items()
                if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9
            ]
    return problems


def price_problems(prices: object, name: str = "prices") -> list[str]:
    """Say what is wrong with *prices*, dollars per million tokens by kind of token, by target (`RoutingSettings.prices`)."""
    if not isinstance(prices, Mapping):
        return [f"{name}={excerpt(prices)}: must be a table of targets"]
    problems = []
    for target, cells in prices.items():
        if not isinstance(cells, Mapping):
            problems.append(
                f"{name}.{target}={excerpt(cells)}: must be a table, e.g. {{input = 2.0, output = 8.0}}"
            )
            continue
        for kind, value in cells.items():
            if kind not in PRICED:
                near = nearest_names(str(kind), PRICED, 1)
                hint = f"nearest: {near[0]}" if near else ", ".join(PRICED)
                problems.append(f"{name}.{target}: {excerpt(kind)} is no kind of token; {hint}")
            elif outside(kind, value, 0, MOST_USD):
                problems.append(
                    f"{name}.{target}: {kind}={excerpt(value)} must be dollars per million tokens, 0 to {MOST_USD:.15g}"
                )
        problems += [f"{name}.{target}: {kind} is missing" for kind in PRICED[:2] if kind not in cells]
    return problems


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How many requests of a batch are in progress at once, and what it may cost unasked."""

    concurrency: int = 8
    confirm_usd: float = 1.0
    """Dollars that a run may cost at worst before ``copykit batch`` asks whether it is meant."""

    def __post_init__(self) -> None:
        problems = outside("batch.concurrency", self.concurrency, 1, MOST_WORKERS, whole=True)
        problems += outside("batch.confirm_usd", self.confirm_usd, 0, MOST_USD)
        if problems:
            raise ConfigurationError(problems)


@dataclass(frozen=True, slots=True, repr=False)
class ProvidersSettings:
    """Keys and addresses of the providers; None takes the provider's own default (``data/models.toml``).

    An address is the one that the provider's own client takes, so that one variable serves both.
    """

    openai_key: Secret | None = None
    openai_base_url: str | None = None
    openai_organization: str | None = None
    openai_project: str | None = None
    anthropic_key: Secret | None = None
    anthropic_base_url: str | None = None
    anthropic_version: str | None = None
    """Dated version of the interface; with one before 2026-10-21 the key travels as ``x-api-key``."""
    google_key: Secret | None = None
    google_base_url: str | None = None
    google_version: str | None = None
    """``v1``, or ``v1beta`` for gateways and mocks that know no other."""
    openrouter_key: Secret | None = None
    openrouter_base_url: str | None = None
    openrouter_referer: str | None = None
    openrouter_title: str | None = None
    local_base_url: str | None = None
    """Of any server that speaks OpenAI's protocol: ``http://127.0.0.1:11434/v1``."""
    local_key: Secret | None = None
    llamacpp_model: str | None = None
    """A GGUF file, for `llamacpp` targets that name none."""

    def __post_init__(self) -> None:
        if problems := self._problems():
            raise ConfigurationError(problems)

    def __repr__(self) -> str:
        """Show what is set; an address that holds a password, which is refused, shows stars in its place."""
        held = ((f.name, getattr(self, f.name)) for f in fields(self))
        told = (
            f"{name}={without_password(value) if isinstance(value, str) else value!r}"
            for name, value in held
            if value is not None
        )
        return f"{type(self).__name__}({', '.join(told)})"

    def _problems(self) -> list[str]:
        problems = []
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if value is None:
                continue
            if name.endswith("_key"):
                if not isinstance(value, Secret):  # whose value is not told
                    problems.append(f"providers.{name}: must be a Secret")
            elif name == "llamacpp_model":  # a path may hold any letters
                if not isinstance(value, str) or not value.strip():
                    problems.append(f"providers.{name}={value!r}: must be the path of a model file")
            elif not isinstance(value, str) or not value.isascii() or not value.isprintable():
                shown = "" if name.endswith("_base_url") else f"={excerpt(value)}"  # it may hold a password
                problems.append(f"providers.{name}{shown}: must be printable ASCII text")
            elif name == "google_version" and not _GOOGLE_VERSION.fullmatch(value):
                problems.append(
                    f"providers.{name}={value!r}: must be a version such as v1, v1beta or v1alpha"
                )
            elif name.endswith("_base_url"):
                problems.extend(_address_problems(f"providers.{name}", value))
        return problems

    def with_keys(self) -> tuple[str, ...]:
        """List the providers whose key is set, in the order in which they are asked when no order is given."""
        return tuple(name for name in _IN_ORDER if getattr(self, f"{name}_key") is not None)


_GOOGLE_VERSION = re.compile(r"v[1-9][0-9]?((alpha|beta)[1-9]?)?|beta")
"""It stands in the path of an address: what is no version may lead elsewhere on that host."""
_IN_ORDER = ("openai", "anthropic", "google", "openrouter")


def _address_problems(name: str, value: str) -> list[str]:
    from urllib.parse import urlsplit  # only who sets an address pays for it

    try:
        parts = urlsplit(value)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        complete = False
    if not complete:
        return [f"{name}: must be an address such as https://host/v1"]  # which may hold a password
    if parts.username is not None or parts.query or parts.fragment:
        return [f"{name}: must hold no user, query or fragment"]
    return []


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, and what was asked for but has no effect in this version.

    Where *routing* names no targets they are filled in: the providers whose keys are set, in the order openai,
    anthropic, google, openrouter; the phrase bank if there are none, and only then.
    """

    cache: CacheSettings = field(default_factory=CacheSettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    providers: ProvidersSettings = field(default_factory=ProvidersSettings)
    ignored: tuple[str, ...] = ()
    """One sentence for each setting that was given and cannot act here."""

    def __post_init__(self) -> None:
        if not self.routing.providers:
            found = self.providers.with_keys() or ("phrasebank",)
            object.__setattr__(self, "routing", replace(self.routing, providers=found))

    @classmethod
    def from_env(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        file: Path | None = None,
        check_targets: Callable[[Iterable[str], ProvidersSettings], Iterable[str]] | None = None,
    ) -> Settings:
        """Read the environment over ``copykit.toml`` (in *file*, else ``$COPYKIT_CONFIG``, else the working folder).

        Args:
            check_targets: says what is wrong with the targets named, given the keys, so that it is told with the
                rest; the table of providers lies a layer above. An engine checks its targets in any case.

        Raises:
            ConfigurationError: every mistake at once, misspelt names with the nearest right one.
        """
        found = cls._read(os.environ if environment is None else environment, file, check_targets)
        if isinstance(found, Settings):
            return found
        del environment  # keys and addresses would stand in the traceback, where variables are shown
        raise ConfigurationError(found)

    @classmethod
    def _read(
        cls,
        environment: Mapping[str, str],
        file: Path | None,
        check_targets: Callable[[Iterable[str], ProvidersSettings], Iterable[str]] | None,
    ) -> Settings | list[str]:
        """Give the settings, or all that is wrong with them: what raises must not hold what was read."""
        values, problems, unread = _read_values(environment, file, None)
        ignored = []
        forcing = {registry.variable(name): name for name in registry.capability_names()}
        known = {*_VARIABLES, *SERVER_VARIABLES, *_OTHER}
        known |= {name + _FILE for name in _ALL if _may_stand_in_a_file(name)}
        for name, text in environment.items():
            if name in known:
                continue
            if name in _WITHOUT_EFFECT and text:
                ignored.append(f"{name} has no effect: {_WITHOUT_EFFECT[name]}")
            elif name in forcing:
                problems.extend(registry.refusals(forcing[name], text))
            elif name.startswith("COPYKIT_") and not name.startswith("COPYKIT_TEST_"):
                problems.append(f"{name}: unknown variable{_variable_hint(name, [*known, *forcing])}")
        return _assembled(cls, values, unread, problems, tuple(ignored), check_targets)


def read_values(
    environment: Mapping[str, str], file: Path | None = None, *, group: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Read the environment over the configuration file, without making settings of what is found.

    Args:
        file: else ``$COPYKIT_CONFIG``, else ``copykit.toml`` in the working folder if there is one.
        group: ``server`` reads the server's own names; None reads all others.

    Returns:
        Values by ``group.name``, and what is wrong with those that cannot be read.
    """
    values, problems, _ = _read_values(environment, file, group)
    return values, problems


def _read_values(
    environment: Mapping[str, str], file: Path | None, group: str | None
) -> tuple[dict[str, Any], list[str], set[str]]:
    """Do as `read_values`; tells also the names of what was given and cannot be read."""
    variables = SERVER_VARIABLES if group == "server" else _VARIABLES
    values, problems, unread = _read_file(file or environment.get("COPYKIT_CONFIG"), group)
    for name, (key, kind) in variables.items():
        text, named = environment.get(name), name
        try:
            if _may_stand_in_a_file(name) and (path := environment.get(name + _FILE)):
                if text:
                    raise ConfigurationError(f"set it or {name}{_FILE}, not both")
                named = name + _FILE
                text = secret_text(Path(path))
            if text is None or (not text and name not in _EMPTY_SAYS):
                continue
            if environment.get(_FIRST_NAMES.get(name, "")):
                continue
            values[key] = kind(text)
        except ConfigurationError as error:
            problems.extend(f"{named}: {problem}" for problem in error.problems)
            unread.add(key)
        except ValueError:
            problems.append(f"{name}={excerpt_address(text)}: not {_WANTED[kind]}")
            unread.add(key)
    return values, problems, unread


def secret_text(path: Path) -> str:
    """Read a key from its file, which nobody but its owner and group may read.

    Raises:
        ConfigurationError: it cannot be read, or everybody can.
    """
    try:
        if path.stat().st_mode & 0o007:
            raise ConfigurationError(f"{path} can be read by everybody: chmod o= {path}")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{path}: {reason}") from None


def _may_stand_in_a_file(variable: str) -> bool:
    return _ALL[variable][1] is Secret or variable in _WITH_PASSWORDS


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise ConfigurationError("at least one target is needed, e.g. phrasebank")
    return names


def _as_it_is(value: Any) -> Any:
    return value


def _switch(text: str) -> bool:
    if text.strip().casefold() not in _ON + _OFF:
        raise ValueError(text)
    return text.strip().casefold() in _ON


_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_WANTED: dict[Callable[[str], Any], str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    _names: "a list",
    _listed: "a list",
    _switch: "true or false",
}
_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "COPYKIT_PROVIDERS": ("routing.providers", _names),
    "COPYKIT_DEADLINE_S": ("routing.deadline_s", float),
    "COPYKIT_BUDGET_USD": ("routing.budget_usd", float),
    "COPYKIT_REQUEST_BUDGET_USD": ("routing.request_budget_usd", float),
    "COPYKIT_FALL_BACK_ON_REFUSAL": ("routing.fall_back_on_refusal", _switch),
    "COPYKIT_BALANCE": ("routing.balance", str),
    "COPYKIT_HEDGE_SHARE": ("routing.hedge_share", float),
    "COPYKIT_CACHE_URL": ("cache.url", str),
    "COPYKIT_CACHE_ENTRIES": ("cache.max_entries", int),
    "COPYKIT_CACHE_BYTES": ("cache.max_bytes", int),
    "CACHE_TTL": ("cache.ttl_s", float),
    "MAX_WORKERS": ("batch.concurrency", int),
    "COPYKIT_CONFIRM_USD": ("batch.confirm_usd", float),
    "OPENAI_API_KEY": ("providers.openai_key", Secret),
    "OPENAI_BASE_URL": ("providers.openai_base_url", str),
    "OPENAI_ORG_ID": ("providers.openai_organization", str),
    "OPENAI_PROJECT_ID": ("providers.openai_project", str),
    "ANTHROPIC_API_KEY": ("providers.anthropic_key", Secret),
    "ANTHROPIC_BASE_URL": ("providers.anthropic_base_url", str),
    "ANTHROPIC_VERSION": ("providers.anthropic_version", str),
    "GOOGLE_API_KEY": ("providers.google_key", Secret),
    "GEMINI_API_KEY": ("providers.google_key", Secret),
    "GOOGLE_GEMINI_BASE_URL": ("providers.google_base_url", str),
    "GOOGLE_GENAI_API_VERSION": ("providers.google_version", str),
    "OPENROUTER_API_KEY": ("providers.openrouter_key", Secret),
    "OPENROUTER_BASE_URL": ("providers.openrouter_base_url", str),
    "OPENROUTER_HTTP_REFERER": ("providers.openrouter_referer", str),
    "OPENROUTER_X_OPEN_ROUTER_TITLE": ("providers.openrouter_title", str),
    "COPYKIT_LOCAL_BASE_URL": ("providers.local_base_url", str),
    "COPYKIT_LOCAL_API_KEY": ("providers.local_key", Secret),
    "COPYKIT_LLAMACPP_MODEL": ("providers.llamacpp_model", str),
}
_FIRST_NAMES = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}
"""A variable, and the one that is taken instead where both are set, as the provider's own client does."""
_EMPTY_SAYS = ("COPYKIT_CACHE_URL", "COPYKIT_RATE", "COPYKIT_IP_RATE", "COPYKIT_FAILURE_RATE")
"""Variables that mean something when empty; any other is then as good as not set."""
_WITHOUT_EFFECT = {
    "REDIS_URL": "each process keeps its own results (COPYKIT_CACHE_URL); COPYKIT_LIMITS_URL names a Redis that counts "
    "requests for all workers of a server",
    "BATCH_SIZE": "no backend takes calls in groups; MAX_WORKERS is how many requests of a batch are in progress at once",
}
"""Variables of the first interface that nothing here answers to, and what does."""
_OTHER = ("COPYKIT_CONFIG", "COPYKIT_RUN_ID", "COPYKIT_URL")
"""Variables that are read elsewhere."""
_FILE = "_FILE"
"""Added to the name of a key's variable it names a file that holds the key."""
_WITH_PASSWORDS = ("COPYKIT_STORE_URL", "COPYKIT_LIMITS_URL")
"""Addresses that may hold a password: a file may hold them too."""
SERVER_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "API_KEY": ("server.key", Secret),
    "COPYKIT_HOST": ("server.host", str),
    "COPYKIT_PORT": ("server.port", int),
    "COPYKIT_INSECURE": ("server.insecure", _switch),
    "COPYKIT_ALLOWED_HOSTS": ("server.allowed_hosts", _listed),
    "COPYKIT_CORS_ORIGINS": ("server.cors_origins", _listed),
    "COPYKIT_CORS_CREDENTIALS": ("server.cors_credentials", _switch),
    "COPYKIT_TRUSTED_PROXIES": ("server.trusted_proxies", _listed),
    "COPYKIT_STORE_URL": ("server.store_url", str),
    "COPYKIT_DATA_DIR": ("server.data_dir", str),
    "COPYKIT_KEY_PEPPER": ("server.pepper", Secret),
    "COPYKIT_WORKERS": ("server.workers", int),
    "COPYKIT_BUDGET_PER": ("server.budget_per", str),
    "COPYKIT_RATE": ("server.rate", str),
    "COPYKIT_IP_RATE": ("server.ip_rate", str),
    "COPYKIT_FAILURE_RATE": ("server.failure_rate", str),
    "COPYKIT_LIMITS_URL": ("server.limits_url", str),
    "COPYKIT_IN_FLIGHT": ("server.in_flight", int),
    "COPYKIT_QUEUE_S": ("server.queue_s", float),
    "COPYKIT_STREAMS": ("server.streams", int),
    "COPYKIT_HEADER_S": ("server.header_s", float),
    "COPYKIT_KEEP_ALIVE_S": ("server.keep_alive_s", float),
    "COPYKIT_DRAIN_DELAY_S": ("server.drain_delay_s", float),
    "COPYKIT_DRAIN_S": ("server.drain_s", float),
    "COPYKIT_LOG_FORMAT": ("server.log_format", str),
    "COPYKIT_LOG_LEVEL": ("server.log_level", str),
}
"""What only a server reads, in `copykit.server.config`; listed here so that no name is unknown to `Settings`."""
_SERVER_FILE_ONLY = (
    "server.max_header_bytes",
    "server.max_header_fields",
    "server.max_body",
    "server.max_batch_body",
    "server.max_batch_items",
    "server.body_s",
    "server.stalled_s",
    "server.deadline_s",
    "server.longest_s",
)
_ALL = {**_VARIABLES, **SERVER_VARIABLES}
_FILE_ONLY = (
    "routing.prices",
    "routing.deployments",
    "routing.repeats",
    "routing.breaker",
    "routing.most_calls",
)
"""Settings that code and ``copykit.toml`` name, and no variable does."""


def _read_file(path: Path | str | None, wanted: str | None) -> tuple[dict[str, Any], list[str], set[str]]:
    explicit = path is not None
    found = Path(path) if path is not None else Path("copykit.toml")
    if not found.is_file():
        return {}, [f"{found}: no such configuration file"] if explicit else [], set()
    try:
        table = tomllib.loads(found.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, [f"{found}: {error.strerror}"], set()
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of thousands of digits
        return {}, [f"{found}: {error}"], set()
    values: dict[str, Any] = {}
    problems: list[str] = []
    unread: set[str] = set()
    names = (*_FILE_ONLY, *_SERVER_FILE_ONLY)
    kinds: dict[str, Callable[[str], Any]] = {**dict(_ALL.values()), **dict.fromkeys(names, _as_it_is)}
    for group, entries in table.items():
        if (group == "server") != (wanted == "server"):
            continue
        if group in (*_GROUPS, "server") and not isinstance(entries, dict):
            problems.append(f"{found}: {group} must be a table, [{group}]")
            continue
        for name, value in entries.items() if isinstance(entries, dict) else [("", entries)]:
            key = f"{group}.{name}".rstrip(".")
            if key not in kinds:
                problems.append(f"{found}: {key} is unknown{_hint(key, kinds)}")
                continue
            try:
                values[key] = _from_file(kinds[key], value)
            except ConfigurationError as error:
                problems.extend(f"{found}: {key}: {problem}" for problem in error.problems)
                unread.add(key)
    return values, problems, unread


def _from_file(kind: Callable[[str], Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is _names and value == []:
        return _names("")
    return tuple(value) if isinstance(value, list) else value


def _hint(name: str, known: Iterable[str]) -> str:
    # what all names begin with says nothing of which was meant
    own = {known_name.removeprefix("COPYKIT_"): known_name for known_name in known}
    near = nearest_names(name.removeprefix("COPYKIT_"), own, 1, meaning=own)
    return f"; nearest: {near[0]}" if near else ""


def _variable_hint(name: str, known: Iterable[str]) -> str:
    """Say what was meant: another variable, or what the file alone sets."""
    wanted = name.removeprefix("COPYKIT_").casefold()
    of_file = {key.partition(".")[2]: key for key in (*_SERVER_FILE_ONLY, *_FILE_ONLY)}
    hint = "" if wanted in of_file else _hint(name, known)
    near = () if hint else nearest_names(wanted, of_file, 1)
    if not near:
        return hint
    group, _, entry = of_file[near[0]].partition(".")
    return f"; no variable sets {entry}: write it under [{group}] in copykit.toml"


_GROUPS: dict[str, Callable[..., Any]] = {
    "cache": CacheSettings,
    "routing": RoutingSettings,
    "batch": BatchSettings,
    "providers": ProvidersSettings,
}


def _assembled(
    kind: type[Settings],
    values: dict[str, Any],
    unread: set[str],
    problems: list[str],
    ignored: tuple[str, ...],
    check_targets: Callable[[Iterable[str], ProvidersSettings], Iterable[str]] | None,
) -> Settings | list[str]:
    groups: dict[str, Any] = {}
    given = {name: _of_group(values, name) for name in _GROUPS}
    for name, group in _GROUPS.items():
        try:
            groups[name] = group(**given[name])
        except ConfigurationError as error:
            problems.extend(error.problems)
        except TypeError as error:
            problems.append(f"{name}: {error}")
    if check_targets:
        targets = _sound_targets(given["routing"])
        unsure = dict.fromkeys(_of_group(dict.fromkeys(unread), "providers"), "")
        problems.extend(check_targets(targets, _unchecked({**given["providers"], **unsure})))
    return problems or kind(**groups, ignored=ignored)


def _of_group(values: Mapping[str, Any], group: str) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{group}.")}


def _sound_targets(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the targets that *given*, fields of `RoutingSettings`, names, by what of it is right."""
    sound: dict[str, Any] = {}
    for name in ("providers", "deployments"):
        with suppress(KeyError, ConfigurationError):
            RoutingSettings(**{name: given[name]})
            sound[name] = given[name]
    wrong = given.get("deployments") if "deployments" not in sound else None
    aliases = wrong if isinstance(wrong, Mapping) else {}
    return tuple(name for name in RoutingSettings(**sound).targets if name not in aliases)


def _unchecked(given: Mapping[str, Any]) -> ProvidersSettings:
    """Give what tells which of the providers' keys and addresses are there, whatever is wrong with them."""
    made = ProvidersSettings()
    for name, value in given.items():
        object.__setattr__(made, name, value)
    return made


def within(name: str, value: object, least: float, most: float, *, whole: bool = False) -> None:
    """Refuse *value* for the setting *name* unless it is a number from *least* to *most*."""
    if problems := outside(name, value, least, most, whole=whole):
        raise ConfigurationError(problems)


def outside(name: str, value: object, least: float, most: float, *, whole: bool = False) -> list[str]:
    """Say what is wrong with *value* for the setting *name*, which has to be a number from *least* to *most*."""
    # a form filled from a file or by a caller without a type checker may hold anything
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        wanted = "a whole number" if whole else "a number"
        return [f"{name}={excerpt(value)}: must be {wanted} from {least:.15g} to {most:.15g}"]
    return []
