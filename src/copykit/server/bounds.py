"""What each setting of a server may be, and what is said of one that may not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from math import log2
from typing import Any
from urllib.parse import urlsplit

from copykit.errors import excerpt_address, nearest_names
from copykit.settings import Secret, outside

__all__ = ["DRIVERS", "NUMBERS", "RATE", "is_loopback", "problems_of", "redis_problems", "store_problems"]

NUMBERS: dict[str, tuple[float, float]] = {
    "port": (0, 65_535),
    "workers": (1, 256),
    "in_flight": (1, 100_000),
    "queue_s": (0.0, 3600.0),
    "streams": (1, 100_000),
    "header_s": (0.001, 3600.0),
    "max_header_bytes": (1024, 2**20),
    "max_header_fields": (8, 1000),
    "keep_alive_s": (0.0, 86_400.0),
    "stalled_s": (0.001, 3600.0),
    "max_body": (1024, 2**30),
    "max_batch_body": (1024, 2**30),
    "max_batch_items": (1, 1_000_000),
    "body_s": (0.001, 3600.0),
    "deadline_s": (0.001, 86_400.0),
    "longest_s": (0.001, 86_400.0),
    "drain_delay_s": (0.0, 3600.0),
    "drain_s": (0.0, 86_400.0),
}
"""The least and the most of each; where both are whole, so is the setting."""
RATE = re.compile(r"([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)")
"""How bounds on requests are written: ``600/minute``."""
DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
"""Databases of a store by the scheme of its address, as SQLAlchemy names them with their drivers."""

_CHOICES = {
    "budget_per": ("start", "day", "month", "total"),
    "log_format": ("text", "json"),
    "log_level": ("critical", "error", "warning", "info", "debug"),
}
_RATES = ("rate", "ip_rate", "failure_rate")
_TEXTS = ("host", "store_url", "data_dir", "limits_url", *_RATES, *_CHOICES)
_SWITCHES = ("insecure", "keyed", "cors_credentials")
_LISTS = ("allowed_hosts", "cors_origins", "trusted_proxies")
_SECRETS = {"key": "API_KEY", "pepper": "COPYKIT_KEY_PEPPER"}
"""By field; told by the names of their variables, never by their values."""
_ADDRESSES = ("store_url", "limits_url")
"""Which may hold a password: their values are not told."""
_REDIS = ("redis", "rediss", "unix")
_SAMPLES = frozenset({"your-secure-api-key", "your-api-key", "changeme", "secret", "test"})
"""Keys that documents show: everybody knows them."""
_KEY_BITS = 128
_DISTINCT = 10
"""Different characters that a random key of this length has at least, but for one in many millions."""
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_BY = "copy.example.com"


def problems_of(told: Mapping[str, Any]) -> list[str]:
    """Say everything that is wrong with the settings *told*, the fields of `ServerSettings`.

    A value of the wrong kind is told as that, and by no other rule.
    """
    problems, wrong = _kind_problems(told)
    for name, (least, most) in NUMBERS.items():
        found = outside(f"server.{name}", told[name], least, most, whole=isinstance(least, int))
        if found:
            wrong.add(name)
        problems += found

    for rule, names in _RULES:
        if not wrong.intersection(names):
            problems += rule(*(told[name] for name in names))
    for name in _RATES:
        problems += [] if name in wrong else _rate_problems(name, told[name])
    for name, choices in _CHOICES.items():
        problems += [] if name in wrong else _choice_problems(name, told[name], choices)
    for name, variable in _SECRETS.items():
        problems += [] if name in wrong else _secret_problems(variable, told[name])
    return problems


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches *host*."""
    if host.casefold() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def store_problems(url: str | None) -> list[str]:
    """Say what is wrong with *url*, the address of a store, without looking at what is there."""
    if not url:
        return []
    scheme, colon, _ = url.partition("://")
    if not colon:
        return ["server.store_url: no address such as sqlite:////path/to/file"]
    if scheme in DRIVERS or scheme in DRIVERS.values():
        return []
    near = nearest_names(scheme, ("sqlite", "postgresql"), 1)
    hint = f"; nearest: {near[0]}" if near else ""
    return [
        f"server.store_url: {excerpt_address(scheme)} is not served; use sqlite:////path or postgresql://host/name{hint}"
    ]


def _kind_problems(told: Mapping[str, Any]) -> tuple[list[str], set[str]]:
    """Say which values are not of the kind that they have to be; and the names of those."""
    problems: dict[str, str] = {}
    for name in _TEXTS:
        if not isinstance(told[name], str) and not (name == "store_url" and told[name] is None):
            shown = "" if name in _ADDRESSES else f"={excerpt_address(told[name])}"
            problems[name] = f"server.{name}{shown}: must be text"
    if isinstance(told["host"], str) and (
        not told["host"] or not re.fullmatch(r"[\w.:%\[\]-]+", told["host"])
    ):
        problems["host"] = (
            f"server.host={excerpt_address(told['host'])}: must be an address or a name, e.g. 127.0.0.1"
        )
    for name in _SWITCHES:
        if not isinstance(told[name], bool):
            problems[name] = f"server.{name}={excerpt_address(told[name])}: must be true or false"
    for name in _LISTS:
        value = told[name]
        if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
            problems[name] = f"server.{name}={excerpt_address(value)}: must be a list of texts"
    for name, variable in _SECRETS.items():
        if not isinstance(told[name], Secret | None):
            problems[name] = f"{variable}: must be text"
    return list(problems.values()), set(problems)


def _rate_problems(name: str, text: str) -> list[str]:
    if not text or RATE.fullmatch(text.strip()):
        return []
    return [
        f"server.{name}={excerpt_address(text)}: write a number and a time, e.g. 600/minute; empty for no bound"
    ]


def _choice_problems(name: str, value: str, choices: tuple[str, ...]) -> list[str]:
    if value in choices:
        return []
    near = nearest_names(value, choices, 1)
    hint = f"nearest: {near[0]}" if near else "one of " + ", ".join(choices)
    return [f"server.{name}={excerpt_address(value)}: unknown; {hint}"]


def _hosts_problems(hosts: Iterable[str]) -> list[str]:
    return [problem for host in hosts for problem in _host_problems(host)]


def _host_problems(host: str) -> list[str]:
    if _NAME.fullmatch(host):
        return []
    if host.startswith("["):
        try:
            if host.endswith("]") and ip_address(host[1:-1]).version == 6:
                return []
        except ValueError:
            pass
    told = f"server.allowed_hosts: {excerpt_address(host)}"
    if host == "*":
        return [
            f"{told} names nobody; write the names that clients use, e.g. {_BY}; without any, every name is served where "
            "others reach the server"
        ]
    if host.startswith((".", "*.")):
        return [f"{told}: there is no form for many names; write each, e.g. {_BY}"]
    return [f"{told} is no host; write a name as browsers send it, e.g. {_BY}, without scheme, port or path"]


def _origin_problems(origins: Iterable[str], credentials: bool) -> list[str]:
    problems = []
    for origin in origins:
        if origin == "*":
            if credentials:
                problems.append(
                    "server.cors_origins='*' with cors_credentials: every page could act for its visitors; "
                    "name the origins"
                )
        elif not _is_origin(origin):
            problems.append(
                f"server.cors_origins: {excerpt_address(origin)} is no origin; write https://shop.example, without a path"
            )
    return problems


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        return False
    plain = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    return plain and f"{parts.scheme}://{parts.netloc}" == text == text.casefold()


def _proxy_problems(peers: Iterable[str]) -> list[str]:
    return [problem for peer in peers for problem in _network_problems(peer)]


def _network_problems(peer: str) -> list[str]:
    try:
        ip_network(peer, strict=False)
    except ValueError:
        return [f"server.trusted_proxies: {excerpt_address(peer)} is no address or network, e.g. 10.0.0.0/8"]
    return []


def redis_problems(url: str) -> list[str]:
    """Say what is wrong with *url*, the address of a Redis, without looking at what is there."""
    if not url:
        return []
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # as above
    except ValueError:
        return ["server.limits_url: no address such as redis://127.0.0.1:6379/0"]
    if parts.scheme in _REDIS:
        return []
    return ["server.limits_url: must begin with redis://, rediss:// or unix://"]


def _drain_problems(delay_s: float, drain_s: float) -> list[str]:
    if not delay_s or delay_s < drain_s:
        return []
    return [
        f"server.drain_delay_s={delay_s!r}: must be below server.drain_s={drain_s!r}, the seconds after SIGTERM in which "
        "that delay passes and requests in work end"
    ]


def _deadline_problems(deadline_s: float, longest_s: float) -> list[str]:
    if deadline_s <= longest_s:
        return []
    return [
        f"server.deadline_s={deadline_s!r}: must not be above server.longest_s={longest_s!r}, the most that any request "
        "may take"
    ]


def _secret_problems(variable: str, secret: Secret | None) -> list[str]:
    weak = "" if secret is None else _weakness(secret.reveal())
    if not weak:
        return []
    return [
        f"{variable}: {weak}; make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
    ]


def _weakness(key: str) -> str:
    """Say why *key* is no key, without telling it."""
    if key.casefold() in _SAMPLES:
        return "this is a sample from a document"
    pool = (
        16
        if re.fullmatch(r"[0-9a-fA-F]+", key)
        else sum(
            size
            for pattern, size in (("[a-z]", 26), ("[A-Z]", 26), ("[0-9]", 10), ("[^a-zA-Z0-9]", 2))
            if re.search(pattern, key)
        )
    )
    bits = len(key) * log2(max(2, pool))
    if bits < _KEY_BITS or len(set(key)) < _DISTINCT:
        return f"too easily guessed: at least {_KEY_BITS} bits of chance are wanted"
    return ""


def _door_problems(host: str, key: Secret | None, keyed: bool, insecure: bool) -> list[str]:
    if key is not None or keyed or insecure or is_loopback(host):
        return []
    return [
        f"server.host={host!r}: others reach it and no key is set: set API_KEY, make one with "
        "copykit keys create, or say --insecure"
    ]


_RULES: tuple[tuple[Callable[..., list[str]], tuple[str, ...]], ...] = (
    (_hosts_problems, ("allowed_hosts",)),
    (_origin_problems, ("cors_origins", "cors_credentials")),
    (_proxy_problems, ("trusted_proxies",)),
    (store_problems, ("store_url",)),
    (redis_problems, ("limits_url",)),
    (_drain_problems, ("drain_delay_s", "drain_s")),
    (_deadline_problems, ("deadline_s", "longest_s")),
    (_door_problems, ("host", "key", "keyed", "insecure")),
)
"""Each with the fields that it takes; none of them may be of the wrong kind."""
