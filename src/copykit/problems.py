"""Problems as they are sent (RFC 9457), and the errors that a client makes of them: those of `copykit.errors` again.

::

    CopykitError
    └── ServiceError                          status, code, retry_after_s
        └── ServiceUnreachable                status is None: no answer came
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from copykit.errors import (
    AllProvidersCooling,
    AuthenticationFailed,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContentRefused,
    ContextTooLong,
    CopykitError,
    DeadlineExceeded,
    InvalidRequest,
    JobsStopped,
    MalformedCompletion,
    ModelNotFound,
    NoProviderSucceeded,
    OutputRejected,
    Overloaded,
    ProviderProtocolError,
    ProviderQuotaError,
    ProviderTimeout,
    ProviderTLSError,
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
)
from copykit.models import Attempt, Violation

__all__ = ["ProblemAttempt", "ProblemBody", "ServiceError", "ServiceUnreachable", "error_of"]

_LONGEST = 1_000
"""Characters of an error's message; copykit's own are far shorter."""


class ProblemAttempt(BaseModel):
    """One call that was made before a request failed."""

    target: str
    outcome: str


class ProblemBody(BaseModel):
    """The body of an answer of kind ``application/problem+json``; members that do not belong to its code are absent."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    type: str = "about:blank"
    title: str = ""
    status: int
    detail: str = ""
    code: str = Field(pattern="^[a-z0-9_]{1,64}$")
    """Stable, machine-readable."""
    retryable: bool = False
    """Whether the same request may succeed later without a change."""
    request_id: str | None = None
    retry_after_s: float | None = Field(default=None, ge=0)
    """Seconds; the same as the header ``Retry-After``, which is whole and at least 1."""
    field: str = ""
    """Of the request: what breaks a rule,"""
    value: str = ""
    """an excerpt of what stands there,"""
    reason: str = ""
    """the rule,"""
    nearest: list[str] = Field(default_factory=list)
    """and what may have been meant."""
    category: str | None = None
    """Why a model declined, in its provider's own word."""
    scope: str = "budget"
    """Whose budget is spent."""
    cap: float | None = None
    """US dollars, as are the next three."""
    spent: float | None = None
    """What is held for calls in progress included,"""
    held: float | None = None
    """and that alone."""
    estimate: float | None = None
    queued: int | None = None
    """Calls that wait,"""
    limit: int | None = None
    """where this many may."""
    after_s: float | None = None
    """Seconds after which the deadline had passed."""
    violations: list[Violation] = Field(default_factory=list)
    attempts: list[ProblemAttempt] = Field(default_factory=list)


class ServiceError(CopykitError):
    """The service refused a request, under a code that no other class stands for; or what answered was no copykit.

    Args:
        status: of the answer; None if none came.
        code: the problem's own, e.g. ``unauthorized``, ``forbidden``, ``not_found``, ``payload_too_large``;
            ``unexpected_answer`` where the answer was no problem of copykit's.
        retry_after_s: seconds, if the answer named them.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None,
        code: str = "unexpected_answer",
        retry_after_s: float | None = None,
        retryable: bool = False,
        request_id: str | None = None,
    ) -> None:
        self.status, self.code, self.retry_after_s = status, code, retry_after_s
        self.retryable = retryable
        super().__init__(message, request_id=request_id)


class ServiceUnreachable(ServiceError):
    """No answer came: no connection, none that can be trusted, or it ended before the answer did."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message, status=None, code="service_unreachable", retryable=retryable)


def error_of(problem: ProblemBody) -> CopykitError:
    """Give the error that *problem* stands for, of the class that the service met, with what was told of it.

    What a service does not tell stays behind there: a provider's words, its status, the settings at fault. A code
    that no class stands for gives a `ServiceError`.
    """
    error = _MADE.get(problem.code, _general)(problem)
    error.message = _line(problem.detail)
    error.args = (error.message,)
    error.request_id, error.retryable = _line(problem.request_id or "") or None, problem.retryable
    if problem.attempts:
        error.attempts = _attempts(problem)
    return error


def _line(text: str) -> str:
    """Give *text* as logs and terminals can take it, whoever sent it: short, on one line."""
    return "".join(char if char.isprintable() else " " for char in text[:_LONGEST])


def _general(told: ProblemBody) -> CopykitError:
    return ServiceError(told.detail, status=told.status, code=told.code, retry_after_s=told.retry_after_s)


def _invalid(told: ProblemBody) -> CopykitError:
    error = InvalidRequest(told.field, told.value, told.reason, nearest=told.nearest)
    error.value = told.value  # an excerpt already
    return error


def _budget(told: ProblemBody) -> CopykitError:
    error = BudgetExceeded(
        told.cap or 0.0,
        told.spent or 0.0,
        told.estimate or 0.0,
        scope=told.scope,
        reason=told.detail,
        held=told.held or 0.0,
    )
    error.retry_after_s = told.retry_after_s
    return error


def _overloaded(told: ProblemBody) -> CopykitError:
    return Overloaded(told.queued or 0, told.limit or 0, retry_after_s=told.retry_after_s)


def _attempts(told: ProblemBody) -> tuple[Attempt, ...]:
    return tuple(Attempt(target=one.target, outcome=one.outcome) for one in told.attempts)


def _plain(kind: Callable[[str], CopykitError]) -> Callable[[ProblemBody], CopykitError]:
    return lambda told: kind(told.detail)


def _waiting(kind: Callable[..., CopykitError]) -> Callable[[ProblemBody], CopykitError]:
    return lambda told: kind(told.detail, retry_after_s=told.retry_after_s)


def _late(told: ProblemBody) -> CopykitError:
    return ProviderTimeout(told.detail, after_s=told.after_s)


_MADE: dict[str, Callable[[ProblemBody], CopykitError]] = {
    "invalid_request": _invalid,
    "budget_exceeded": _budget,
    "overloaded": _overloaded,
    "provider_timeout": _late,
    "provider_failed": lambda told: NoProviderSucceeded(_attempts(told)),
    "deadline_exceeded": lambda told: DeadlineExceeded(told.after_s or 0.0),
    "content_refused": lambda told: ContentRefused(told.detail, category=told.category),
    "output_rejected": lambda told: OutputRejected(told.violations),
    "output_invalid": lambda told: MalformedCompletion(told.detail),
    "empty_output": lambda told: MalformedCompletion(told.detail, empty=True),
    "missing_extra": lambda told: ConfigurationError(told.detail),
    **{
        kind.code: _waiting(kind)
        for kind in (AllProvidersCooling, CircuitOpen, ProviderUnavailable, RateLimited)
    },
    **{
        kind.code: _plain(kind)
        for kind in (
            AuthenticationFailed,
            ConfigurationError,
            ContextTooLong,
            JobsStopped,
            ModelNotFound,
            ProviderProtocolError,
            ProviderQuotaError,
            ProviderTLSError,
            TruncatedStream,
        )
    },
}
"""How each code becomes the error that it stands for; the message and what all have in common come after."""
