"""How the server is set up: where it listens, who may call it, and the bounds of a request."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from ipaddress import ip_address, ip_network
from math import log2
from pathlib import Path
from urllib.parse import urlsplit

from copykit.errors import ConfigurationError, CopykitError, nearest_names
from copykit.settings import Secret, at_least, read_values

__all__ = ["LOG_FORMATS", "LOG_LEVELS", "RATE", "ServerSettings", "data_folder", "file_url", "is_loopback"]

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")

_SAMPLES = frozenset({"your-secure-api-key", "your-api-key", "changeme", "secret", "test"})
"""Keys that documents show: everybody knows them."""
_KEY_BITS = 128
_DISTINCT = 10
"""Different characters that a random key of this length has at least, but for one in many millions."""
RATE = re.compile(r"([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)")
"""How bounds on requests are written: ``600/minute``."""
_BOUNDS: tuple[tuple[str, float], ...] = (
    ("port", 0),
    ("max_body", 1024),
    ("max_batch_body", 1024),
    ("max_batch_items", 1),
    ("max_header_bytes", 1024),
    ("max_header_fields", 8),
    ("workers", 1),
    ("in_flight", 1),
    ("streams", 1),
    ("body_s", 0.001),
    ("header_s", 0.001),
    ("deadline_s", 0.001),
    ("longest_s", 0.001),
    ("queue_s", 0.0),
    ("keep_alive_s", 0.0),
    ("stalled_s", 0.001),
    ("drain_delay_s", 0.0),
    ("drain_s", 0.0),
)
"""The least of each; a whole one is of a setting that is whole."""
_MOST = (("port", 65_535), ("workers", 256))
_RATES = ("rate", "ip_rate", "failure_rate")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Bounds and doors of one server.

    Raises:
        ConfigurationError: every mistake at once; among them a bind that others reach with no key set.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    key: Secret | None = None
    """One key with every scope, of the operator's tenant. None, and no key in the store, turns authentication off,
    which only a loopback address may."""
    insecure: bool = False
    """Whether a server without a key may listen where others reach it."""
    keyed: bool = False
    """Whether the store holds keys: then authentication is on without *key* too."""
    allowed_hosts: tuple[str, ...] = ()
    """Values of ``Host`` that are answered; empty for every one, and on a loopback address for its own names alone."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may read answers, exactly as browsers name them: ``https://shop.example``; none by default."""
    cors_credentials: bool = False
    """Whether those pages may send cookies along; nothing here reads one, some gateways in front do."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose ``X-Forwarded-For`` is believed; of no other peer."""
    store_url: str | None = None
    """Where keys, money and remembered answers are kept, as SQLAlchemy writes addresses; None keeps them in this
    process alone. ``copykit run`` fills in a file in *data_dir*."""
    data_dir: str = ""
    """Folder of that file; empty for copykit's own in the user's state folder."""
    pepper: Secret | None = None
    """Mixed into what is stored of keys, so that a stolen store alone is of no use."""
    workers: int = 1
    """Processes that serve together."""
    rate: str = "600/minute"
    """Requests of one key, a batch being one; empty for no bound. A key may have its own."""
    ip_rate: str = "1200/minute"
    """Requests of one address, counted before any key is read; empty for no bound."""
    failure_rate: str = "10/minute"
    """Wrong keys of one address; empty for no bound."""
    limits_url: str = ""
    """``redis://...`` counts for all workers and machines together; empty counts in each worker, which then
    allows its share."""
    in_flight: int = 64
    """Requests in work at once, of this process."""
    queue_s: float = 1.0
    """Seconds that one more may wait for its turn before it is refused."""
    streams: int = 20
    """Streams of one key at once; each worker allows its share."""
    header_s: float = 5.0
    """Seconds in which a request's head has to arrive,"""
    max_header_bytes: int = 16 * 1024
    """its bytes"""
    max_header_fields: int = 64
    """and its fields, all three where the server in front of the application can bound them."""
    keep_alive_s: float = 75.0
    """Seconds between two requests of one connection: more than a proxy in front keeps one (nginx 60 s), or its
    next request meets a closed door."""
    stalled_s: float = 30.0
    """Seconds in which a client has to take what waits for it."""
    max_body: int = 256 * 1024
    """Bytes of a request's body,"""
    max_batch_body: int = 4 * 2**20
    """of a batch's body,"""
    max_batch_items: int = 10_000
    """and briefs of a batch."""
    body_s: float = 10.0
    """Seconds in which a body has to arrive; a longer one at 1 kB/s at least."""
    deadline_s: float = 60.0
    """Seconds of a brief whose request names none in ``X-Request-Timeout-Ms``, and"""
    longest_s: float = 120.0
    """the most that one gets, whatever is named; a batch as a whole has as long as is named, each of its briefs at most
    `ITEM_DEADLINE_S`."""
    drain_delay_s: float = 0.0
    """Seconds after SIGTERM in which new requests are still taken: a load balancer needs some to notice."""
    drain_s: float = 25.0
    """Seconds after SIGTERM, that delay among them, in which requests in work have to end."""
    log_format: str = "text"
    log_level: str = "info"

    def __post_init__(self) -> None:
        if problems := self._problems():
            raise ConfigurationError(problems)

    def __repr__(self) -> str:
        """Show everything, with stars for what is secret: an address may hold a password."""
        told = ", ".join(f"{name}={value!r}" for name, value in self.report().items())
        return f"{type(self).__name__}({told})"

    @property
    def open(self) -> bool:
        """Whether authentication is off: no key is set and the store holds none."""
        return self.key is None and not self.keyed

    def _problems(self) -> list[str]:
        problems: list[str] = []
        for name, least in _BOUNDS:
            try:
                at_least(f"server.{name}", getattr(self, name), least, whole=isinstance(least, int))
            except ConfigurationError as error:
                problems += error.problems
        for name, most in _MOST:
            value: object = getattr(self, name)  # as `at_least` has it
            if isinstance(value, int) and value > most:
                problems.append(f"server.{name}={value!r}: at most {most}")
        for name in _RATES:
            problems += _rate_problems(name, getattr(self, name))
        problems += _choice_problems("log_format", self.log_format, LOG_FORMATS)
        problems += _choice_problems("log_level", self.log_level, LOG_LEVELS)
        problems += self._origin_problems()
        problems += [p for peer in self.trusted_proxies for p in _network_problems(peer)]
        if self.limits_url and urlsplit(self.limits_url).scheme not in ("redis", "rediss", "unix"):
            problems.append("server.limits_url: must begin with redis://, rediss:// or unix://")
        return problems + self._door_problems()

    def _origin_problems(self) -> list[str]:
        problems = []
        for origin in self.cors_origins:
            if origin == "*":
                if self.cors_credentials:
                    problems.append(
                        "server.cors_origins='*' with cors_credentials: every page could act for its visitors; "
                        "name the origins"
                    )
                continue
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                problems.append(
                    f"server.cors_origins: {origin!r} is no origin; write https://shop.example, without a path"
                )
        return problems

    def _door_problems(self) -> list[str]:
        problems = []
        if self.key is not None and (weak := _weakness(self.key.reveal())):
            problems.append(
                f"API_KEY: {weak}; make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        if self.open and not self.insecure and not is_loopback(self.host):
            problems.append(
                f"server.host={self.host!r}: others reach it and no key is set: set API_KEY, make one with "
                "copykit keys create, or say --insecure"
            )
        return problems

    @classmethod
    def from_env(
        cls, environment: Mapping[str, str] | None = None, *, keep: bool = False, **given: object
    ) -> ServerSettings:
        """Read the environment over the table ``server`` of ``copykit.toml``; what is *given* wins.

        Where a store is named, it is asked whether it holds keys, and whether they were made under this pepper.

        Args:
            keep: fill in a store in the data folder where none is named, as ``copykit run`` does.

        Raises:
            ConfigurationError: as the class does, and for values that cannot be read or a store that cannot be used.
            StoreUnavailable: the store does not answer.
        """
        values, problems = read_values(os.environ if environment is None else environment, group="server")
        del environment  # a key would stand in the traceback, where variables are shown
        own = {name.removeprefix("server."): value for name, value in values.items()}
        own |= given
        if keep and own.get("store_url") is None:
            own["store_url"] = file_url(data_folder(str(own.get("data_dir", ""))))
        try:
            if own.get("store_url") and "keyed" not in own:
                own["keyed"] = True  # unless the store says otherwise; the rest is looked at in any case
                own["keyed"] = _keyed(str(own["store_url"]), own.get("pepper"))
        except ConfigurationError as error:
            problems += error.problems
        except (CopykitError, ModuleNotFoundError):  # it does not answer, or nothing here could ask it
            if own.get("key") is None:  # with one, authentication is on whatever the store holds
                raise
        try:
            made = cls(**own)
        except ConfigurationError as error:
            problems += error.problems
        del values, own  # as above: an address may hold a password
        if problems:
            raise ConfigurationError(problems)
        return made

    def report(self) -> dict[str, object]:
        """Give all settings with secrets as stars and addresses without passwords."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("store_url", "limits_url"):
            if told[name]:
                told[name] = re.sub(r"//[^/@\s]*@", "//***@", told[name])
        return told


def file_url(folder: Path) -> str:
    """Give the address of the store in *folder*."""
    return f"sqlite:///{folder.absolute() / 'server.sqlite'}"


def _keyed(url: str, pepper: object) -> bool:
    """Ask the store at *url* whether it holds keys; in a thread, for the caller may have a loop of its own running."""
    from copykit.server.doors.pepper import ask

    given = pepper if isinstance(pepper, Secret) else None
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(ask(url, given))).result()


def data_folder(data_dir: str = "") -> Path:
    """Give the folder of what the server keeps on this machine: *data_dir*, or copykit's own in the user's state."""
    if data_dir:
        return Path(data_dir)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "copykit"


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches *host*."""
    if host.casefold() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _rate_problems(name: str, text: object) -> list[str]:
    if text == "" or (isinstance(text, str) and RATE.fullmatch(text.strip())):
        return []
    return [f"server.{name}={text!r}: write a number and a time, e.g. 600/minute; empty for no bound"]


def _choice_problems(name: str, value: object, choices: Iterable[str]) -> list[str]:
    known = tuple(choices)
    if value in known:
        return []
    near = nearest_names(str(value), known, 1)
    hint = f"nearest: {near[0]}" if near else "one of " + ", ".join(known)
    return [f"server.{name}={value!r}: unknown; {hint}"]


def _network_problems(peer: str) -> list[str]:
    try:
        ip_network(peer, strict=False)
    except ValueError:
        return [f"server.trusted_proxies: {peer!r} is no address or network, e.g. 10.0.0.0/8"]
    return []


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
