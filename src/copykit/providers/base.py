"""The port every writer implements, and what it gives back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

from copykit.brief.prompt import Prompt
from copykit.drafts.draft import Draft
from copykit.errors import ProviderError
from copykit.models import Usage

__all__ = [
    "BatchJob",
    "BatchJobs",
    "Batching",
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


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A batch job as its provider tells of it."""

    id: str
    state: Literal["pending", "running", "ended", "failed", "expired", "cancelled"]
    """``failed``: refused or broken as a whole. The last four are final; all but ``failed`` may have results."""
    total: int | None = None
    """Requests in it; None where the provider does not tell, as with the next two."""
    done: int | None = None
    """Of these, those that were answered."""
    failed: int | None = None
    """Those that were not and will not be."""
    reason: str = ""
    """Why it failed, in the provider's words."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in ("pending", "running")


@runtime_checkable
class BatchJobs(Protocol):
    """Many prompts at a lower price, answered within a day: one exchange a call, no retry inside.

    All methods that ask the provider raise as `Provider.complete` does.
    """

    most_requests: int
    """Of one job."""
    most_bytes: int
    """Of one job, all its requests together."""

    def encode(self, key: str, prompt: Prompt) -> bytes:
        """Put *prompt* as one request of a job, exactly as `Provider.complete` would.

        Args:
            key: by which its result is known; 1 to 64 letters, digits, underscores and hyphens.
        """
        ...

    async def submit(self, requests: Sequence[bytes], *, model: str, label: str) -> str:
        """Begin a job for *requests*, as `encode` gave them; gives the provider's id of it.

        Args:
            model: of all of them.
            label: a name of the caller's own, by which `find` knows the job where the provider keeps such.
        """
        ...

    async def find(self, label: str, *, requests: int, since: float) -> list[str]:
        """Give the ids of the jobs that may be the one begun under *label*, for want of a note.

        Args:
            requests: how many it has.
            since: when it was begun at the earliest, in seconds of the epoch.
        """
        ...

    async def job(self, job_id: str) -> BatchJob:
        """Tell how far a job is."""
        ...

    def results(self, job_id: str) -> AsyncIterator[tuple[str, bytes]]:
        """Give key and answer of each request, in any order, as they come; the answer is to be `read`.

        What is no result, or larger than one may be, comes with an empty key.

        Raises:
            TruncatedStream: the results ended before their end; those given are whole.
        """
        ...

    def read(self, answer: bytes) -> Completion:
        """Read one answer as it came.

        Raises:
            ProviderError: the request failed, was refused or was not come to; `charge_of` tells what it cost.
        """
        ...

    def check(self, completion: Completion, prompt: Prompt) -> Completion:
        """Refuse what is no whole answer to *prompt*, as `Provider.complete` would, and add its remarks."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Stop a job; what it has answered can still be had, and is charged."""
        ...


@runtime_checkable
class Batching(Protocol):
    """A provider that may have batch jobs."""

    def batch_jobs(self) -> BatchJobs | None:
        """Give what submits them; None if it has none."""
        ...


@runtime_checkable
class Priced(Protocol):
    """A provider whose calls have a bound in time and in what they are charged for.

    One without these is given a minute a call, and is not asked where a budget is set, unless it is free. One that ends
    an exchange itself after its time may say so by an attribute ``keeps_time = True``: it is then watched by nobody else.
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
