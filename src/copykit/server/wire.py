"""What goes over the wire: strict JSON in, problems out. Knows no web framework."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import Any

from copykit.errors import (
    AllProvidersCooling,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContentRefused,
    ContextTooLong,
    CopykitError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    NoProviderSucceeded,
    OutputRejected,
    Overloaded,
    ProviderError,
    ProviderTimeout,
    excerpt,
)
from copykit.server.process.drain import ShuttingDown

__all__ = ["GONE", "WHOLE", "BadBody", "Problem", "Refused", "StoreUnavailable", "problem_of", "read_json"]

MAX_DEPTH = 32
"""Brackets within brackets: a brief needs four."""
MAX_DIGITS = 20
"""Of a whole number: more than 64 bits hold, and Python takes quadratic time to read very long ones."""
GONE = "copykit.gone"
"""Extension in the scope of a request: called with that scope, it says whether the client left before its answer was
whole. What is sent then goes nowhere, and servers do not tell."""
WHOLE = "copykit.whole"
"""Extension in the scope of a request whose body is all there: called with the header lines and the body of an answer
with 200, it sends them at once, or says False: then they go by messages."""

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""Possessive: a text that never ends is left at once, not tried in all its lengths."""
_BRACKETS = re.compile(r"[\[\]{}]")
_NO_WORD = re.compile(r"[^\w.:-]+", re.ASCII)


class BadBody(CopykitError):
    """A body that is not the JSON we accept."""

    code = "malformed_request"


class StoreUnavailable(CopykitError):
    """The store did not answer; nothing is known to have changed."""

    code = "store_unavailable"
    retryable = True


class Refused(CopykitError):
    """A request that HTTP itself forbids, with the status that says so; the connection is closed after it."""

    def __init__(
        self, status: int, code: str, reason: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.headers = status, code, dict(headers or {})
        super().__init__(reason)


def read_json(body: bytes) -> Any:
    """Read *body* as RFC 8259 has it, and nothing beyond: what two readers could understand in two ways is refused.

    Raises:
        BadBody: not UTF-8, not JSON, a name twice in one object, ``NaN`` or ``Infinity``, a number beyond 64 bits
            or a double's range, more than 32 levels, or half a surrogate pair.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBody(f"the body is not UTF-8: byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise BadBody("the body begins with a byte order mark")
    if not text.strip():
        raise BadBody("the body is empty; a JSON object is wanted")
    _refuse_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_whole,
        )
    except json.JSONDecodeError as error:
        raise BadBody(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if "\\u" in text and not _is_whole(value):
        raise BadBody("a text holds half a surrogate pair")
    return value


def _refuse_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise BadBody(f"more than {MAX_DEPTH} brackets within brackets")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadBody(f"the name {excerpt(name)} stands twice in one object")
        found[name] = value
    return found


def _refuse_constant(name: str) -> Any:
    raise BadBody(f"{name} is no number in JSON")


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise BadBody(f"the number {excerpt(text)} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise BadBody(f"a whole number of {len(text)} digits; at most {MAX_DIGITS}")
    return int(text)


def _is_whole(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that says what went wrong, as RFC 9457 has it (``application/problem+json``)."""

    status: int
    code: str
    """Stable, machine-readable."""
    detail: str
    retryable: bool = False
    retry_after_s: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Members of this kind of problem: ``field``, ``nearest``, ``attempts`` ..."""
    own_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """Give the headers that belong to it."""
        if self.retry_after_s is None:
            return dict(self.own_headers)
        return {**self.own_headers, "Retry-After": str(max(1, ceil(self.retry_after_s)))}

    def body(self, request_id: str) -> dict[str, Any]:
        """Give what is sent."""
        waiting = {} if self.retry_after_s is None else {"retry_after_s": self.retry_after_s}
        return {
            "type": f"urn:copykit:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.retryable,
            "request_id": request_id,
            **waiting,
            **self.more,
        }


_STATUS: tuple[tuple[type[CopykitError], int], ...] = (
    (BadBody, 400),
    (InvalidRequest, 422),
    (ContentRefused, 422),
    (ContextTooLong, 422),
    (OutputRejected, 422),
    (BudgetExceeded, 429),
    (AllProvidersCooling, 503),
    (CircuitOpen, 503),
    (Overloaded, 503),
    (StoreUnavailable, 503),
    (ShuttingDown, 503),
    (ConfigurationError, 503),
    (DeadlineExceeded, 504),
    (ProviderTimeout, 504),
    (ProviderError, 502),
    (NoProviderSucceeded, 502),
)
"""The first class that fits counts. What is in none is a defect: 500."""
_PASSING = frozenset({408, 409, 429, 503})
"""Statuses of refusals after which the same request may be served later."""
_OWN_BUDGETS = frozenset({"request budget", "key's budget", "tenant's budget"})
"""Those whose figures are the caller's own; what the whole server has spent is not for everybody."""
_SHORTLY_S = 1.0
"""After which a refusal that names no time may be tried again."""


def problem_of(error: BaseException) -> Problem:
    """Say what *error* is to a client: never an upstream's words, a prompt, a path or a traceback."""
    if not isinstance(error, CopykitError) or isinstance(error, InternalError):
        return Problem(500, "internal_error", "an unexpected error; its request id finds it in the log")
    if isinstance(error, Refused):
        after = error.headers.get("Retry-After")
        return Problem(
            error.status,
            error.code,
            error.message,
            error.status in _PASSING,
            None if after is None else float(after),
            own_headers=error.headers,
        )
    attempts = error.attempts
    if isinstance(error, NoProviderSucceeded) and isinstance(
        error.__cause__, ContentRefused | ContextTooLong
    ):
        error = error.__cause__  # one target, or none that may take its place: the request is what is wrong
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    after_s = getattr(error, "retry_after_s", None) if error.retryable else None
    if status == 503 and error.retryable and after_s is None:
        after_s = _SHORTLY_S
    return Problem(status, error.code, _detail(error), error.retryable, after_s, _members(error, attempts))


def _detail(error: CopykitError) -> str:
    if isinstance(error, NoProviderSucceeded):
        return "no provider gave an answer"
    if isinstance(error, AllProvidersCooling | CircuitOpen):
        return "no provider may be asked now"
    if isinstance(error, ContentRefused):
        return "the model declined to write this"
    if isinstance(error, ContextTooLong):
        return "the brief is longer than the model reads"
    if isinstance(error, ProviderError):
        return "the provider failed"
    if isinstance(error, BudgetExceeded) and error.scope == "budget":
        return "the budget of the whole server has too little left for this request"
    if isinstance(error, ConfigurationError):
        return "the service is not set up for this request"
    if isinstance(error, StoreUnavailable):  # what is wrong with it is for the log
        return "what the server keeps cannot be reached now"
    return error.message


def _members(error: CopykitError, attempts: Sequence[Any]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if isinstance(error, InvalidRequest):
        members = {
            "field": error.field,
            "value": error.value,
            "reason": error.reason,
            "nearest": list(error.nearest),
        }
    elif isinstance(error, ContentRefused) and error.category:
        members = {"category": _NO_WORD.sub(" ", error.category)[:60]}
    elif isinstance(error, BudgetExceeded):
        members = {"scope": error.scope, "estimate": error.estimate}
        if error.scope in _OWN_BUDGETS:
            members |= {"cap": error.cap, "spent": error.spent, "held": error.held}
    elif isinstance(error, Overloaded):
        members = {"queued": error.queued, "limit": error.limit}
    elif isinstance(error, DeadlineExceeded):
        members = {"after_s": error.after_s}
    elif isinstance(error, OutputRejected):
        members = {"violations": [violation.model_dump(mode="json") for violation in error.violations]}
    if attempts:
        members["attempts"] = [{"target": a.target, "outcome": a.outcome} for a in attempts]
    return members
