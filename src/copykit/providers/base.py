"""The port every writer implements, and what it gives back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from copykit.brief.prompt import Prompt
from copykit.drafts.draft import Draft
from copykit.errors import ProviderError
from copykit.models import Usage

__all__ = [
    "Closable",
    "Completion",
    "Embedder",
    "Embeddings",
    "Priced",
    "Provider",
    "StreamingProvider",
    "charge",
    "charge_of",
]

E = TypeVar("E", bound=ProviderError)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a provider."""

    text: str = ""
    """What the model wrote, to be parsed; empty when *drafts* is given."""

    drafts: tuple[Draft, ...] = ()
    """Drafts of a provider that writes fields directly and needs no parsing."""

    model: str | None = None
    """The model that served, which may differ from the name asked for."""
    usage: Usage | None = None
    info: tuple[str, ...] = ()
    """Remarks for the reader of the result."""
    stop: str | None = None
    """Why the model ended: ``stop``, ``length`` (cut, though its JSON is complete), or the provider's own word."""
    request_id: str | None = None
    """The provider's number of this exchange, which its support asks for."""


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
class StreamingProvider(Protocol):
    """A provider that can give its text as it is written."""

    def stream(self, prompt: Prompt) -> AsyncIterator[str | Completion]:
        """Give the pieces of the text as they come, and last the whole as a `Completion`.

        Leaving the iteration early (``aclose``) closes the connection. Raises as `Provider.complete` does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Texts as vectors."""

    vectors: list[list[float]]
    """One a text, in the order of the texts, all of one length."""
    model: str
    """The model that served."""
    usage: Usage | None
    """Of all exchanges that it took; None if the provider tells nothing."""


@runtime_checkable
class Embedder(Protocol):
    """A provider that can turn texts into vectors."""

    async def embed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """Give a vector for each of *texts*, by *model* or the provider's own default.

        Raises as `Provider.complete` does.
        """
        ...


@runtime_checkable
class Priced(Protocol):
    """A provider whose calls have a bound in time and in what they are charged for.

    One without these is given a minute a call, and is not asked where a budget is set, unless it is free.
    """

    @property
    def timeout_s(self) -> float:
        """Seconds that one exchange may take."""
        ...

    def model_of(self, prompt: Prompt) -> str:
        """Give the model that will be asked for *prompt*; empty if only the call finds that out."""
        ...

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """Give bounds of what a call for *prompt* is charged for: bytes sent, and tokens answered."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A provider that holds something to give back: connections, a loaded model."""

    async def aclose(self) -> None:
        """Give it back; called once, by the engine that made the provider."""
        ...


def charge(error: E, usage: Usage | None) -> E:
    """Note on *error* what the exchange that failed has cost: refused and cut answers are billed as well."""
    error.__dict__["usage"] = usage
    return error


def charge_of(error: ProviderError) -> Usage | None:
    """Give what `charge` noted on *error*; None if nothing is known to be billed."""
    usage = error.__dict__.get("usage")
    return usage if isinstance(usage, Usage) else None
