"""How the server is set up: where it listens, who may call it, and the bounds of a request."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

from copykit.errors import ConfigurationError, CopykitError, without_password
from copykit.server.bounds import problems_of, store_problems
from copykit.settings import Secret, read_values

__all__ = ["ServerSettings", "data_folder", "file_url"]


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
    budget_per: str = "start"
    """What the engine's ``routing.budget_usd`` is for: each start of each server, or, with a store, a ``day``, a ``month``
    (by the calendar of UTC) or the ``total`` of all servers over that store, whenever they were started."""
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
    """Seconds in which a client has to take what waits for it; a longer answer at 1 kB/s at least."""
    max_body: int = 256 * 1024
    """Bytes of a request's body,"""
    max_batch_body: int = 4 * 2**20
    """of a batch's body,"""
    max_batch_items: int = 10_000
    """and briefs of a batch."""
    body_s: float = 10.0
    """Seconds in which a body has to arrive; a longer one has to bring 1 kB for each of them each time that they pass."""
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
        if problems := problems_of({field.name: getattr(self, field.name) for field in fields(self)}):
            raise ConfigurationError(problems)

    def __repr__(self) -> str:
        """Show everything, with stars for what is secret: an address may hold a password."""
        told = ", ".join(f"{name}={value!r}" for name, value in self.report().items())
        return f"{type(self).__name__}({told})"

    @property
    def open(self) -> bool:
        """Whether authentication is off: no key is set and the store holds none."""
        return self.key is None and not self.keyed

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
            folder = data_folder(str(own.get("data_dir", "")))
            if why := _unusable(folder):
                problems.append(f"COPYKIT_DATA_DIR: {folder}: {why}")
                own.setdefault("keyed", True)  # nobody knows whether it holds keys
            else:
                own["store_url"] = file_url(folder)
        away: Exception | None = None
        if "keyed" not in own and _names_store(own.get("store_url")):
            own["keyed"] = True  # unless the store says otherwise; the rest is looked at in any case
            try:
                own["keyed"] = _keyed(own["store_url"], own.get("pepper"))
            except ConfigurationError as error:
                problems += error.problems
            except (CopykitError, ModuleNotFoundError) as error:
                # it does not answer, or nothing here could ask it; with a key of the operator's authentication is on
                away = error if own.get("key") is None else None
        try:
            made = cls(**own)
        except ConfigurationError as error:
            problems += error.problems
        del values, own  # as above: an address may hold a password
        if problems:
            raise ConfigurationError(list(dict.fromkeys(problems)))
        if away is not None:
            raise away
        return made

    def report(self) -> dict[str, object]:
        """Give all settings with secrets as stars and addresses without passwords."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("store_url", "limits_url"):
            if told[name]:
                told[name] = without_password(told[name])
        return told


def _unusable(folder: Path) -> str:
    """Make *folder*, for its owner alone, if it is not there; why it cannot hold a file, empty if it can."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if os.access(folder, os.W_OK | os.X_OK) else "no right to write there"


def file_url(folder: Path) -> str:
    """Give the address of the store in *folder*."""
    return f"sqlite:///{folder.absolute() / 'server.sqlite'}"


def _names_store(url: object) -> bool:
    """Say whether *url* is the address of a store that can be asked."""
    return isinstance(url, str) and bool(url) and not store_problems(url)


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
