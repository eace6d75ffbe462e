"""Where a service is and which key opens it, as the environment names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from copykit.errors import ConfigurationError
from copykit.settings import Secret, secret_text

__all__ = ["HERE", "key_of", "url_of"]

HERE = "http://127.0.0.1:8000"
"""Where ``copykit run`` listens unless it is told otherwise."""


def url_of(environment: Mapping[str, str]) -> str:
    """Read ``COPYKIT_URL``; not set, or empty, it is `HERE`."""
    return environment.get("COPYKIT_URL") or HERE


def key_of(environment: Mapping[str, str]) -> Secret | None:
    """Read ``API_KEY``, else the file that ``API_KEY_FILE`` names; None without either.

    Raises:
        ConfigurationError: the file cannot be read, or everybody can read it, or what it holds no header can carry;
            the message names the variable.
    """
    key, file = environment.get("API_KEY"), environment.get("API_KEY_FILE")
    if not key and not file:
        return None
    try:
        return Secret(key or secret_text(Path(file or "")))
    except ConfigurationError as error:
        name = "API_KEY" if key else "API_KEY_FILE"
        raise ConfigurationError([f"{name}: {problem}" for problem in error.problems]) from None
