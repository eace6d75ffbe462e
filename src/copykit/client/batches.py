"""What a batch over HTTP gives: one item a brief, in order, an error in the place of a failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from copykit.errors import CopykitError
from copykit.problems import ProblemBody, error_of

__all__ = ["BatchAnswer", "BatchItem", "answer_of"]

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[T]):
    """What became of one brief: an output or an error."""

    index: int
    """From 0, in the order of the briefs sent."""
    status: Literal["ok", "repaired", "rejected", "failed"]
    output: T | None
    error: CopykitError | None


@dataclass(frozen=True, slots=True)
class BatchAnswer(Generic[T]):
    """The items of a batch; iterating gives them."""

    results: tuple[BatchItem[T], ...]
    total: int
    succeeded: int
    failed: int

    def __iter__(self) -> Iterator[BatchItem[T]]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)


def answer_of(told: Mapping[str, Any], kind: type[T]) -> BatchAnswer[T]:
    """Read what the service told, with outputs of *kind*.

    Raises:
        ValueError, KeyError, TypeError: it is no answer to a batch.
    """
    summary = told["summary"]
    return BatchAnswer(
        tuple(_item(one, kind) for one in told["results"]),
        total=int(summary["total"]),
        succeeded=int(summary["succeeded"]),
        failed=int(summary["failed"]),
    )


def _item(told: Mapping[str, Any], kind: type[T]) -> BatchItem[T]:
    output, error = told["output"], told["error"]
    return BatchItem(
        index=int(told["index"]),
        status=told["status"],
        output=None if output is None else kind.model_validate(output, extra="ignore"),
        error=None if error is None else error_of(ProblemBody.model_validate(error)),
    )
