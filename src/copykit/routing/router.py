"""Ask the targets in order until one gives copy; keep a receipt of every try."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from copykit import events
from copykit.brief.brief import Brief
from copykit.brief.prompt import build_prompt
from copykit.drafts.draft import Draft
from copykit.errors import NoProviderSucceeded, ProviderError
from copykit.models import Attempt, Usage
from copykit.providers.base import Completion, Provider
from copykit.providers.registry import load_provider

__all__ = ["Answer", "Router"]

MAX_ATTEMPTS = 3
"""Calls of one request over all targets, as long as they fail (DESIGN 13.6)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target wrote, and the way to it."""

    drafts: tuple[Draft, ...]
    served_by: str
    target: str
    attempts: tuple[Attempt, ...]
    usage: Usage
    info: tuple[str, ...]
    by_model: bool
    """Whether a language model wrote it, which some platforms want labelled."""


class Router:
    """Holds the providers in use, made at their first call.

    Args:
        emit: where events go.
        clock: monotonic seconds.
    """

    def __init__(
        self, emit: Callable[[events.Event], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._providers: dict[str, Provider] = {}

    async def ask(self, brief: Brief, targets: Sequence[str]) -> Answer:
        """Give the first usable answer; each target is asked once, at most three in all.

        Raises:
            NoProviderSucceeded: every target failed; carries the attempts.
            InvalidRequest: a target is unknown, or cannot serve this brief whatever is tried.
        """
        attempts: list[Attempt] = []
        last: ProviderError | None = None
        for target in targets[:MAX_ATTEMPTS]:
            started = self._clock()
            try:
                completion, drafts = await self._call(target, brief)
            except ProviderError as error:
                last = error
                attempts.append(self._record(target, None, error.code, started, reason=error.message))
                continue
            attempts.append(self._record(target, completion, "ok", started))
            name, _, model = target.partition(":")
            served_by = f"{name}:{model or completion.model or ''}".rstrip(":")
            usage = completion.usage or Usage()
            by_model = not completion.drafts
            return Answer(drafts, served_by, target, tuple(attempts), usage, completion.info, by_model)
        raise NoProviderSucceeded(attempts) from last

    async def _call(self, target: str, brief: Brief) -> tuple[Completion, tuple[Draft, ...]]:
        name, _, model = target.partition(":")
        provider = self._providers.get(name)
        if provider is None:
            provider = self._providers[name] = load_provider(name)
        completion = await provider.complete(
            build_prompt(brief, nonce=os.urandom(8).hex(), model=model or None)
        )
        if completion.drafts:
            return completion, completion.drafts
        from copykit.drafts.parse import parse  # the phrase bank's answers need no parsing

        return completion, tuple(parse(completion.text, brief))

    def _record(
        self,
        target: str,
        completion: Completion | None,
        outcome: str,
        started: float,
        *,
        reason: str | None = None,
    ) -> Attempt:
        latency_s = self._clock() - started
        self._emit(events.AttemptFinished(target, outcome, latency_s))
        usage = (completion and completion.usage) or Usage()
        return Attempt(
            target=target,
            model=completion.model if completion else None,
            outcome=outcome,
            latency_s=round(latency_s, 6),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost_usd,
            reason=reason,
        )
