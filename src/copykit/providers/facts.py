"""What is known of providers and their models: ``data/models.toml``, read at the first question."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Any

from copykit.data import load_toml

__all__ = ["ModelFacts", "ProviderFacts", "context_of", "full_name", "model_facts", "provider_facts"]


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """What is known of a provider whatever model is asked."""

    base_url: str
    """Address; empty if it has none of its own."""
    model: str
    """The model asked when a target names none; empty if there is no such."""
    keys: tuple[str, ...]
    """Environment variables that hold its key, preferred first; empty if it needs none."""
    timeout_s: float
    """Bound of one exchange, in seconds."""
    embedding: str = ""
    """The model asked for vectors when none is named; empty if there is no such."""
    job_requests: int = 0
    """Most requests of one batch job; 0 where there are no such jobs."""
    job_bytes: int = 0
    """Most bytes of one."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model takes."""

    temperature: tuple[float, float] | None = None
    """The range that creativity 0..1 is spread over; None where no temperature is sent."""
    schema: bool = False
    """Whether its answer can be held to a JSON Schema."""
    effort: str = ""
    """The reasoning effort to ask for, in the provider's own word; empty for none."""
    room: int = 0
    """Tokens kept for reasoning beside the answer."""
    output: int = 4_096
    """Most tokens of one answer."""
    context: int | None = None
    """Most tokens of prompt and answer together; None if not known."""
    cached_from: int = 1_024
    """Fewest tokens of a prompt's beginning that the provider's cache keeps."""
    prompt: str = ""
    """``plain`` for a model that is too small for the usual prompt; empty for the others."""
    tries: int = 1
    """Texts that a model of this process writes for each one wanted, of which the best is taken."""
    retires: date | None = None
    """First day without it; None if not announced."""

    def at(self, creativity: float) -> float | None:
        """Give the temperature for *creativity* 0..1, or None where none is sent."""
        if self.temperature is None:
            return None
        low, high = self.temperature
        return round(low + creativity * (high - low), 4)


@cache
def _table() -> dict[str, Any]:
    return load_toml("models.toml")


@cache
def provider_facts(provider: str) -> ProviderFacts:
    """Give what is known of *provider*; KeyError if nothing is."""
    row = _table()[provider]
    return ProviderFacts(
        row["base_url"],
        row["model"],
        tuple(row["keys"]),
        float(row["timeout_s"]),
        embedding=row.get("embedding", ""),
        job_requests=row.get("job_requests", 0),
        job_bytes=row.get("job_bytes", 0),
    )


@lru_cache(maxsize=1024)  # names come from requests too
def model_facts(provider: str, model: str) -> ModelFacts:
    """Give what is known of *model*: the provider's common facts, and over them each pattern that fits its name.

    Names are compared without regard to capitals: the same model is spelled in many ways.
    """
    known: dict[str, Any] = {}
    for row in _table()[provider]["models"]:
        if fnmatchcase(model.lower(), row["match"]):
            known |= {key: value for key, value in row.items() if key not in ("match", "source")}
    known["temperature"] = tuple(known["temperature"]) or None
    return ModelFacts(**known)


def context_of(target: str) -> int | None:
    """Give how many tokens *target* (``name:model``) reads and writes together; None where nobody knows."""
    provider, _, model = target.partition(":")
    if provider not in _table():
        return None
    return model_facts(provider, model or provider_facts(provider).model).context


def full_name(target: str) -> str:
    """Give *target* with its model: a provider's default where it names none, so that equal names mean equal writers."""
    name, _, model = target.partition(":")
    if model or name == "phrasebank" or name not in _table():  # the bank's calls read no table
        return target
    return f"{name}:{provider_facts(name).model}".rstrip(":")
