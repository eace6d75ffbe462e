"""The port every writer implements, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from copykit.brief.prompt import Prompt
from copykit.drafts.draft import Draft
from copykit.models import Usage

__all__ = ["Closable", "Completion", "Provider"]


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a provider."""

    text: str = ""
    """What the model wrote, to be parsed; empty when *drafts* is given."""

    drafts: tuple[Draft, ...] = ()
    """Drafts of a provider that writes fields directly and needs no parsing."""

    model: str | None = None
    usage: Usage | None = None
    info: tuple[str, ...] = ()
    """Remarks for the reader of the result."""


@runtime_checkable
class Provider(Protocol):
    """Writes copy for a prompt: one exchange, no retry inside."""

    name: str
    """Short name, the first half of ``name:model`` in receipts."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer *prompt*.

        Raises:
            ProviderError: the provider could not answer; the class says why.
            InvalidRequest: the request cannot be served by this provider, whatever is tried.
        """
        ...


@runtime_checkable
class Closable(Protocol):
    """A provider that holds something to give back: connections, a loaded model."""

    async def aclose(self) -> None:
        """Give it back; called once, by the engine that made the provider."""
        ...
