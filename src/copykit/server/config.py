"""How the server is set up: where it listens, who may call it, and the bounds of a request."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from math import log2

from copykit.errors import ConfigurationError
from copykit.settings import Secret, at_least

__all__ = ["ServerSettings", "is_loopback"]

_SAMPLES = frozenset({"your-secure-api-key", "your-api-key", "changeme", "secret", "test"})
"""Keys that documents show: everybody knows them."""
_KEY_BITS = 128
_DISTINCT = 10
"""Different characters that a random key of this length has at least, but for one in many millions."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Bounds and doors of one server.

    Raises:
        ConfigurationError: every mistake at once; among them a bind that others reach with no key set.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    key: Secret | None = None
    """One key with every scope; None turns authentication off, which only a loopback address may."""
    insecure: bool = False
    """Whether a server without a key may listen where others reach it."""
    allowed_hosts: tuple[str, ...] = ()
    """Values of ``Host`` that are answered; empty for all on a loopback address."""
    max_body: int = 256 * 1024
    """Bytes of a request's body,"""
    max_batch_body: int = 4 * 2**20
    """of a batch's body,"""
    max_batch_items: int = 10_000
    """and briefs of a batch."""
    body_s: float = 10.0
    """Seconds in which a body has to arrive."""
    deadline_s: float = 60.0
    """Seconds of a request that names none in ``X-Request-Timeout-Ms``, and"""
    longest_s: float = 120.0
    """the most that one may name."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name, least in (("max_body", 1024), ("max_batch_body", 1024), ("max_batch_items", 1)):
            try:
                at_least(f"server.{name}", getattr(self, name), least, whole=True)
            except ConfigurationError as error:
                problems += error.problems
        for name in ("body_s", "deadline_s", "longest_s"):
            try:
                at_least(f"server.{name}", getattr(self, name), 0.001)
            except ConfigurationError as error:
                problems += error.problems
        if not 0 <= self.port < 65_536:
            problems.append(f"server.port={self.port!r}: must be 0 to 65535")
        if self.key is not None and (weak := _weakness(self.key.reveal())):
            problems.append(
                f"API_KEY: {weak}; make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        if self.key is None and not self.insecure and not is_loopback(self.host):
            problems.append(
                f"server.host={self.host!r}: others reach it and no key is set: set API_KEY, or say --insecure"
            )
        if problems:
            raise ConfigurationError(problems)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **given: object) -> ServerSettings:
        """Read ``API_KEY`` and ``COPYKIT_ALLOWED_HOSTS``; what is *given* wins.

        Raises:
            ConfigurationError: as the class does.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        if text := environment.get("API_KEY"):
            values["key"] = Secret(text)
        if text := environment.get("COPYKIT_ALLOWED_HOSTS"):
            values["allowed_hosts"] = tuple(name.strip() for name in text.split(",") if name.strip())
        return cls(**{**values, **given})  # type: ignore[arg-type]  # checked by the class itself


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches *host*."""
    if host.casefold() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
