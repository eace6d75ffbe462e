"""What can go wrong, as one tree.

::

    CopykitError                              code, retryable, request_id
    ├── InvalidRequest (also ValueError)      field, value, reason, nearest
    ├── ConfigurationError                    problems
    │   └── MissingExtra (also ImportError)   capability, package, extra
    ├── ProviderError                         target, status, attempts
    │   ├── ProviderTimeout                   after_s
    │   ├── ProviderUnavailable               retry_after_s
    │   ├── ProviderTLSError
    │   ├── ProviderProtocolError
    │   │   └── TruncatedStream
    │   ├── RateLimited                       retry_after_s
    │   ├── ProviderQuotaError
    │   ├── AuthenticationFailed
    │   ├── ModelNotFound
    │   ├── ContextTooLong
    │   ├── ContentRefused                    category
    │   └── MalformedCompletion               excerpt
    ├── CircuitOpen, AllProvidersCooling      retry_after_s
    ├── Overloaded                            queued, limit, retry_after_s
    ├── DeadlineExceeded                      after_s
    ├── BudgetExceeded                        cap, spent, held, estimate
    ├── NoProviderSucceeded                   attempts
    ├── JobsStopped
    ├── InternalError                         __cause__
    └── OutputRejected (strict only)          violations, best

Every error pickles and never carries a key or a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "AllProvidersCooling",
    "AuthenticationFailed",
    "BudgetExceeded",
    "CircuitOpen",
    "ConfigurationError",
    "ContentRefused",
    "ContextTooLong",
    "CopykitError",
    "DeadlineExceeded",
    "InternalError",
    "InvalidRequest",
    "JobsStopped",
    "MalformedCompletion",
    "MissingExtra",
    "ModelNotFound",
    "NoProviderSucceeded",
    "OutputRejected",
    "Overloaded",
    "ProviderError",
    "ProviderProtocolError",
    "ProviderQuotaError",
    "ProviderTLSError",
    "ProviderTimeout",
    "ProviderUnavailable",
    "RateLimited",
    "TruncatedStream",
    "counted",
]


class CopykitError(Exception):
    """Root of everything that copykit raises on purpose."""

    code: str = "copykit_error"
    """Stable machine-readable name, the ``code`` of a problem+json body."""

    retryable: bool = False
    """Whether the same call may succeed later without a change."""

    attempts: tuple[Any, ...] = ()
    """The calls that were made before it, as receipts have them: they may have cost money."""

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(kind: type[CopykitError], message: str, state: dict[str, Any]) -> CopykitError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class InvalidRequest(CopykitError, ValueError):
    """The caller's input breaks a rule; the message names field, value, rule and the nearest valid choice."""

    code = "invalid_request"

    def __init__(
        self,
        field: str,
        value: object,
        reason: str,
        *,
        nearest: Sequence[str] = (),
        request_id: str | None = None,
    ) -> None:
        self.field = field
        self.value = excerpt(value)
        self.reason = reason
        self.nearest = tuple(nearest)
        hint = f"; nearest: {', '.join(self.nearest)}" if self.nearest else ""
        super().__init__(f"{field}={self.value}: {reason}{hint}", request_id=request_id)


class ConfigurationError(CopykitError):
    """Settings that cannot work; lists every mistake at once."""

    code = "configuration_error"

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))


class MissingExtra(ConfigurationError, ImportError):
    """An optional package is needed and absent; the message holds the exact pip line."""

    code = "missing_extra"

    def __init__(self, capability: str, package: str, extra: str) -> None:
        self.capability, self.package, self.extra = capability, package, extra
        super().__init__(f'{capability} needs {package}: pip install "copykit[{extra}]"')


class ProviderError(CopykitError):
    """A provider did not give a usable answer.

    Raised as it stands for what no subclass names: an answer of status 400 or 422 is the request's own fault and
    not *retryable*.

    Args:
        target: ``name:model`` that was asked.
        status: the HTTP status, if one came.
        retryable: whether another try may succeed; the class's own word if not given.
        attempts: the receipts' attempts up to here.
    """

    code = "provider_failed"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        target: str = "",
        status: int | None = None,
        retryable: bool | None = None,
        attempts: Sequence[Any] = (),
        request_id: str | None = None,
    ) -> None:
        self.target, self.status, self.attempts = target, status, tuple(attempts)
        if retryable is not None:
            self.retryable = retryable
        super().__init__(message, request_id=request_id)


class ProviderTimeout(ProviderError):
    """A provider answered too late."""

    code = "provider_timeout"

    def __init__(
        self, message: str, *, target: str = "", status: int | None = None, after_s: float | None = None
    ) -> None:
        self.after_s = after_s
        super().__init__(message, target=target, status=status)


class ProviderUnavailable(ProviderError):
    """A provider could not be reached or reported a failure of its own; *retry_after_s* if it said when to come back."""

    code = "provider_unavailable"

    def __init__(
        self,
        message: str,
        *,
        target: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, target=target, status=status, retryable=retryable)


class ProviderTLSError(ProviderError):
    """No trusted connection: an expired, foreign or unknown certificate. Another try meets the same one."""

    code = "provider_tls"
    retryable = False


class ProviderProtocolError(ProviderError):
    """A provider answered with something that is not its protocol: no HTTP, no JSON, too large, no event stream."""

    code = "provider_protocol"


class TruncatedStream(ProviderProtocolError):
    """An answer ended before its end signal, whatever it held until then."""

    code = "truncated_stream"


class RateLimited(ProviderError):
    """A provider throttles this credential; *retry_after_s* if it said for how long."""

    code = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        target: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, target=target, status=status)


class ProviderQuotaError(ProviderError):
    """The account behind the credential has no money or quota left; waiting does not help."""

    code = "provider_quota"
    retryable = False


class AuthenticationFailed(ProviderError):
    """A provider refuses the credential, or what it may do."""

    code = "provider_auth"
    retryable = False


class ModelNotFound(ProviderError):
    """The provider has no such model, or none for this credential."""

    code = "model_not_found"
    retryable = False


class ContextTooLong(ProviderError):
    """The prompt and the answer's room exceed what the model reads; a larger model may take it."""

    code = "context_too_long"
    retryable = False


class ContentRefused(ProviderError):
    """The model or its filter declined to write; *category* is the provider's own word for why, if it gave one."""

    code = "content_refused"
    retryable = False

    def __init__(
        self, message: str, *, target: str = "", status: int | None = None, category: str | None = None
    ) -> None:
        self.category = category
        super().__init__(message, target=target, status=status)


class MalformedCompletion(ProviderError):
    """A provider answered with text that holds no copy; *excerpt* is at most 500 characters of it.

    The code is ``empty_output`` where it answered with no text at all, else ``output_invalid``.
    """

    code = "output_invalid"

    def __init__(self, message: str, *, target: str = "", excerpt: str = "", empty: bool = False) -> None:
        self.excerpt = excerpt[:500]
        if empty:
            self.code = "empty_output"
        super().__init__(message, target=target)


class CircuitOpen(CopykitError):
    """A target failed so often that it is left alone for a while."""

    code = "circuit_open"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class AllProvidersCooling(CircuitOpen):
    """Every target is throttled, open or in quarantine; *retry_after_s* is the soonest end."""

    code = "all_providers_cooling"


class Overloaded(CopykitError):
    """More work is waiting than can be done in time."""

    code = "overloaded"
    retryable = True

    def __init__(self, queued: int, limit: int, *, retry_after_s: float | None = None) -> None:
        self.queued, self.limit, self.retry_after_s = queued, limit, retry_after_s
        super().__init__(f"{counted(queued, 'call')} {'waits' if queued == 1 else 'wait'} where {limit} may")


class BudgetExceeded(CopykitError):
    """A call could cost more than the budget has left, or nobody knows what it costs; nothing was sent.

    Of *spent*, *held* is promised to calls in progress, which may cost less. Where the call would fit without it, the
    error is *retryable*, in *retry_after_s*. All amounts are dollars.
    """

    code = "budget_exceeded"

    def __init__(
        self,
        cap: float,
        spent: float,
        estimate: float,
        *,
        scope: str = "budget",
        reason: str = "",
        held: float = 0.0,
    ) -> None:
        self.cap, self.spent, self.estimate, self.scope, self.held = cap, spent, estimate, scope, held
        self.retryable = held > 0 and spent - held + estimate <= cap
        self.retry_after_s = 1.0 if self.retryable else None
        left = max(0.0, cap - spent)
        told = f"the {scope} of {cap:.6g} USD has {left:.6g} left, and the next call may cost {estimate:.6g}"
        if self.retryable:
            told += f"; {held:.6g} are held for calls in progress"
        super().__init__(reason or told)


class DeadlineExceeded(CopykitError):
    """The request's own deadline passed before an answer was ready; *attempts* are what was tried until then."""

    code = "deadline_exceeded"
    retryable = True

    def __init__(self, after_s: float, attempts: Sequence[Any] = ()) -> None:
        self.after_s, self.attempts = after_s, tuple(attempts)
        super().__init__(f"no answer within the deadline of {after_s:g} s")


class NoProviderSucceeded(CopykitError):
    """Every target was tried and failed; *attempts* are the receipts' attempts, in order."""

    code = "provider_failed"
    retryable = True

    def __init__(self, attempts: Sequence[Any]) -> None:
        self.attempts = tuple(attempts)
        tried = ", ".join(f"{a.target}: {a.reason or a.outcome}" for a in self.attempts) or "none configured"
        super().__init__(f"no provider succeeded ({tried})")


class JobsStopped(CopykitError):
    """A batch job failed as a whole or was cancelled; what it answered is kept, and nothing else is asked unbidden."""

    code = "jobs_stopped"
    retryable = True


class InternalError(CopykitError):
    """A defect, of copykit or of a provider of your own, where it is told and not raised: at the end of a stream.

    Only the defect's kind is told, since nobody knows what its words hold; the defect itself is the ``__cause__``.
    """

    code = "internal_error"

    def __init__(self, defect: BaseException) -> None:
        super().__init__(f"an unexpected error ({type(defect).__name__})")
        self.__cause__ = defect
        self.attempts = tuple(getattr(defect, "attempts", ()))


class OutputRejected(CopykitError):
    """Strict mode: no variant passed the checks; *best* is the best rejected one."""

    code = "output_rejected"

    def __init__(self, violations: Sequence[Any], best: Any = None) -> None:
        self.violations, self.best = tuple(violations), best
        rules = ", ".join(sorted({v.rule for v in self.violations})) or "no variant"
        super().__init__(f"no variant passed the checks ({rules})")


_NEAR = 0.65
"""Share of letters in common, from which a name may have been meant; below it a proposal only misleads."""
_LONGEST_NAME = 80


def nearest_names(
    wanted: str, known: Iterable[str], count: int = 3, *, meaning: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Give what of *known* was probably meant by *wanted*, nearest first; nothing if nothing is near.

    Case does not matter. *meaning* has the names that spellings stand for (``{"happy": "playful"}``).
    """
    from difflib import get_close_matches  # only on the failing path

    folded = {spelling.casefold(): (meaning or {}).get(spelling, spelling) for spelling in known}
    # a text far longer than any name is near to none, and the comparison takes quadratic time
    near = get_close_matches(wanted[:_LONGEST_NAME].casefold(), folded, n=4 * count, cutoff=_NEAR)
    return tuple(dict.fromkeys(folded[spelling] for spelling in near))[:count]


def counted(count: int, noun: str) -> str:
    """Give *count* with *noun*, which takes an "s" beside any number but 1: ``1 item``, ``3 items``, ``1,200 items``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def excerpt(value: object, limit: int = 60) -> str:
    """Give *value* for a message: quoted, control characters escaped, at most *limit* characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write whole numbers of more than 4,300 digits
        text = f"<{type(value).__name__}, too long to show>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def excerpt_address(value: object, limit: int = 60) -> str:
    """Give *value*, which is or may hold an address, as `excerpt` does, but `without_password`."""
    if isinstance(value, str):
        return excerpt(without_password(value), limit)
    return without_password(excerpt(value, 10_000))[:limit]  # a list, say, that holds one


def without_password(address: str) -> str:
    """Give *address* with stars for whoever it names and their password.

    These end at the last ``@``: a password that is not percent-encoded may hold any letter.
    """
    end = address.rfind("@")
    start = address.find("//", 0, max(end, 0))
    return address if end < 0 else f"{address[: start + 2 if start >= 0 else 0]}***{address[end:]}"
