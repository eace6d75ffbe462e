"""The libraries that copykit knows about, as data: what each is for and what installs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from copykit.data import load_toml

__all__ = ["NOT_USED", "Library", "Tier", "libraries", "tiers", "weights"]

NOT_USED = "detected, not used"
"""What `Library.use` says of a library that copykit only looks for."""

IMPORTANCE = ("critical", "ultra", "high", "gpu", "medium")


@dataclass(frozen=True, slots=True)
class Library:
    """One entry of ``data/libraries.toml``."""

    name: str
    module: str
    """Top-level module; empty for a shared library that Python does not import."""
    distribution: str
    """Name on the package index; empty if it is not there."""
    capability: str
    """A capability of the registry, or in words what it is for."""
    importance: str
    """``critical``, ``ultra``, ``high``, ``medium`` or ``gpu``, as the specification sorts them."""
    use: str
    """What copykit uses it for, or `NOT_USED`."""
    extra: str
    """The extra that installs it, ``core``, or empty."""
    note: str

    @property
    def used(self) -> bool:
        """Whether copykit uses it."""
        return self.use != NOT_USED

    def install_line(self) -> str:
        """Give the pip command that brings it in; empty where pip cannot."""
        if self.extra == "core":
            return "pip install copykit"
        if self.extra:
            return f'pip install "copykit[{self.extra}]"'
        return f"pip install {self.distribution}" if self.distribution else ""


@dataclass(frozen=True, slots=True)
class Tier:
    """A name for a number of working libraries."""

    name: str
    libraries: int
    """At least this many must work."""
    gpu: bool
    """Whether a usable GPU is needed too."""


@cache
def libraries() -> tuple[Library, ...]:
    """List the catalogue in the order of its file."""
    return tuple(Library(**row) for row in load_toml("libraries.toml")["library"])


@cache
def tiers() -> tuple[Tier, ...]:
    """List the tiers, highest first; the last asks for nothing."""
    return tuple(Tier(**row) for row in load_toml("libraries.toml")["tier"])


@cache
def weights() -> dict[str, int]:
    """Give the weight of each importance in the score."""
    return dict(load_toml("libraries.toml")["weights"])
