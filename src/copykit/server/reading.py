"""Everything that a server starts with, read at once: its own settings, the engine's, and what they need to be there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from copykit.caching.registry import cache_problems
from copykit.errors import ConfigurationError, CopykitError, MissingExtra
from copykit.providers.registry import check_targets
from copykit.server.bounds import is_loopback, redis_problems
from copykit.server.config import ServerSettings
from copykit.server.doors.keys import MOST_USD
from copykit.settings import RoutingSettings, Settings, outside, read_values

__all__ = ["read_settings", "without_effect"]

_NOT_GRANIANS = ("max_header_fields", "keep_alive_s", "stalled_s", "drain_delay_s")
"""Settings of the server that granian has no means for."""


def read_settings(
    environment: Mapping[str, str], *, wrong: Iterable[str] = ()
) -> tuple[ServerSettings, Settings]:
    """Read variables and ``copykit.toml`` as ``copykit run`` does: a store in the data folder where none is named.

    Looks at what the settings name: whether the store answers and its folder can be written, whether packages are there.

    Args:
        wrong: what is wrong with the rest, to be told with it: options of a command.

    Raises:
        ConfigurationError: every mistake of both halves, each once.
        StoreUnavailable: nothing is wrong, but the store does not answer.
    """
    problems = list(wrong)
    server: ServerSettings | None = None
    engine: Settings | None = None
    away: Exception | None = None
    try:
        server = ServerSettings.from_env(environment, keep=True)
    except ConfigurationError as error:
        problems += error.problems
    except (CopykitError, ModuleNotFoundError) as error:
        away = error
    try:
        engine = Settings.from_env(environment, check_targets=check_targets)
    except ConfigurationError as error:
        problems += error.problems
    problems += _lacks(environment)
    del environment  # keys and addresses would stand in the traceback, where variables are shown
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
    if away is not None:
        raise away
    assert server is not None and engine is not None  # noqa: S101, PT018  # else something was wrong
    return server, engine


def without_effect(server: ServerSettings, engine: Settings, by: str) -> tuple[str, ...]:
    """Say of each setting that was given and does nothing why, and what to use instead.

    Args:
        by: the program that serves, ``uvicorn`` or ``granian``.
    """
    told = list(engine.ignored)
    if engine.routing.deadline_s != RoutingSettings().deadline_s:
        told.append(
            "routing.deadline_s (COPYKIT_DEADLINE_S) has no effect on a server: server.deadline_s in copykit.toml is what a "
            "request may take that names no time"
        )
    if server.cors_credentials and not server.cors_origins:
        told.append(
            "server.cors_credentials (COPYKIT_CORS_CREDENTIALS) has no effect without server.cors_origins "
            "(COPYKIT_CORS_ORIGINS), which names the pages that it is for"
        )
    if server.insecure and (not server.open or is_loopback(server.host)):
        why = "on an address that only this machine reaches" if server.open else "where a key is set"
        told.append(
            f"server.insecure (COPYKIT_INSECURE, --insecure) has no effect {why}: leave it out, or it lets everybody in "
            "once that is different"
        )
    if by == "granian":
        usual = {field.name: field.default for field in fields(server)}
        told += [
            f"server.{name} has no effect with --server granian, which has no such bound: use uvicorn, or a proxy in front"
            for name in _NOT_GRANIANS
            if getattr(server, name) != usual[name]
        ]
    return tuple(told)


def _lacks(environment: Mapping[str, str]) -> list[str]:
    """Say what is wrong beyond the values themselves; those that cannot be read are told already."""
    from copykit.server.watch.traces import trace_problems

    values = {**read_values(environment)[0], **read_values(environment, group="server")[0]}
    problems = [*trace_problems(environment), *_budget_problems(values), *_folder_problems(environment)]
    for name, look in (("cache.url", cache_problems), ("server.limits_url", _redis_problems)):
        if isinstance(values.get(name), str):
            problems += look(values[name])
    return problems


def _folder_problems(environment: Mapping[str, str]) -> list[str]:
    """Say whether the folder for files that last as long as the process cannot be written."""
    folder = environment.get("TMPDIR", "")
    if not folder or (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):  # noqa: PTH112
        return []
    user = f"user {os.getuid()}" if hasattr(os, "getuid") else "this user"
    return [f"TMPDIR={folder}: {user} cannot write there; in a container mount a tmpfs"]


def _redis_problems(url: str) -> list[str]:
    """Say what is wrong with the Redis at *url*, without asking it."""
    if not url or redis_problems(url):
        return []
    if find_spec("redis") is None or find_spec("limits") is None:
        return [MissingExtra("limits shared in Redis", "redis", "redis").message]
    connection: Any = import_module("redis.connection")
    try:
        connection.parse_url(url)
    except ValueError as error:  # which names the part, not its value
        return [] if "scheme" in str(error) else [f"server.limits_url: {error}"]
    return []


def _budget_problems(values: Mapping[str, Any]) -> list[str]:
    """Say whether the budget is more than a store can count."""
    budget_usd = values.get("routing.budget_usd")
    if budget_usd is None or outside("", budget_usd, 0, float("inf")) or budget_usd <= MOST_USD:
        return []
    return [f"routing.budget_usd={budget_usd!r}: with a store at most {MOST_USD:.0f}"]
