"""One more check for schemathesis: a brief that the schema takes is refused only for what no schema can say."""

from __future__ import annotations

import re

import schemathesis

TOGETHER = re.compile(r"fields(\.|$)|provider$|model$|call_to_action$|restrictions$")
"""Fields whose rule hangs together with another field or with what is set up here."""
BY_NATURE = re.compile(
    r"a placeholder that|must say what is sold|in Traditional characters|the phrase bank (cannot|does not)"
)
"""Reasons that hang on what a text says, wherever it stands."""


HOW_WRITTEN = re.compile(r"a whole number of \d+ digits|the number .* is too large|brackets within brackets")
"""What is refused of JSON itself, whatever a schema says of the values."""


@schemathesis.check
def refused_only_for_what_no_schema_says(ctx, response, case):
    """A valid request answered 400 or 422 names one of those fields or reasons."""
    if response.status_code not in (400, 422) or not case.meta or not case.meta.generation.mode.is_positive:
        return
    problem = response.json()
    told = f"{problem['code']}: {problem['detail']}"
    if response.status_code == 400:
        assert HOW_WRITTEN.search(problem["detail"]), told
        return
    if problem["code"] == "idempotency_mismatch":
        return
    assert problem["code"] == "invalid_request", told
    field, reason = str(problem.get("field", "")), str(problem.get("reason", ""))
    assert TOGETHER.match(field) or BY_NATURE.search(reason), told
