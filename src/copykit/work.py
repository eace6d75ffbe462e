"""What is decided about a request before anything is written: by whom, under which key, by when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from copykit.brief.catalog import platforms_version
from copykit.brief.prompt import REVISION
from copykit.caching.key import request_key, revision_of
from copykit.errors import DeadlineExceeded, InvalidRequest
from copykit.models import Attempt, CopywritingInput
from copykit.providers.facts import full_name
from copykit.routing.account import OWN, Account
from copykit.routing.router import Router
from copykit.settings import Group, RoutingSettings

__all__ = ["Work", "in_time", "plan_work"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work:
    """One request and what was decided about it."""

    request: CopywritingInput
    targets: tuple[str, ...]
    """In the order in which they are asked."""
    first: tuple[str, ...]
    """Those of them that the settings ask first: their copy is kept, another's is not."""
    versions: dict[str, str]
    key: str
    deadline_s: float
    deadline_at: float
    """By the engine's clock."""
    account: Account = OWN
    """On whose behalf."""


def plan_work(request: CopywritingInput, router: Router, *, now: float, account: Account = OWN) -> Work:
    """Say who is to write *request*, under which key, and by when.

    The targets of a weighted deployment share one key: whichever of them wrote it, the copy serves all.

    Raises:
        InvalidRequest: the request names a model in a way that fits no target.
    """
    routing = router.settings.routing
    groups = router.groups if request.provider is request.model is None else _named(request, routing)
    first = tuple(target for target, _ in groups[0])
    versions = {"prompt": REVISION, "platforms": platforms_version()}
    if request.brand is not None:
        versions["brand"] = revision_of(request.brand)
    writers = "|".join(sorted(map(full_name, first)))
    deadline_s = request.deadline_s or routing.deadline_s
    return Work(
        request=request,
        targets=router.order(groups),
        first=first,
        versions=versions,
        key=request_key(request, target=writers, versions=versions, tenant=account.space),
        deadline_s=deadline_s,
        deadline_at=now + deadline_s,
        account=account,
    )


def _named(request: CopywritingInput, routing: RoutingSettings) -> tuple[Group, ...]:
    named, model = request.provider, request.model
    if named and model is None:
        return routing.groups((named,))
    if not model or not named or ":" in named or named in routing.deployments:
        raise InvalidRequest("model", model, "names a model, beside a provider that is named without one")
    return routing.groups((f"{named}:{model}",))


async def in_time(work: Work, left_s: float, answer: Awaitable[T], attempts: Sequence[Attempt] = ()) -> T:
    """Give *answer* if it comes within *left_s* seconds, else raise `DeadlineExceeded` for *work*.

    Args:
        attempts: grows while the answer is waited for; what stands in it at the end goes into the error.
    """
    try:
        async with asyncio.timeout(left_s) as deadline:
            return await answer
    except TimeoutError:
        if not deadline.expired():  # another's own, which says nothing of this request's time
            raise
        raise DeadlineExceeded(work.deadline_s, attempts) from None
