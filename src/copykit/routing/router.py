"""Ask the targets in order until one gives copy; keep a receipt of every try."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from copykit import events
from copykit.brief.brief import Brief
from copykit.brief.prompt import build_prompt
from copykit.drafts.draft import Draft
from copykit.errors import ConfigurationError, InvalidRequest, NoProviderSucceeded, ProviderError
from copykit.models import Attempt, Usage
from copykit.providers.base import Closable, Completion, Provider
from copykit.providers.registry import Source, make_provider, provider_source
from copykit.settings import Settings

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
    """Holds the providers in use: made at their first call, made anew once their name is registered anew.

    Args:
        settings: where providers find their keys and addresses.
        emit: where events go.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        emit: Callable[[events.Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._providers: dict[str, tuple[Source, Provider]] = {}
        self._replaced: list[Provider] = []
        """Closed with the rest only: calls may still run on them."""

    async def ask(self, brief: Brief, targets: Sequence[str]) -> Answer:
        """Give the first usable answer; each target is asked once, at most three in all.

        Raises:
            NoProviderSucceeded: every target failed; carries the attempts.
            InvalidRequest: the target that the request names is unknown, or a target cannot serve this brief
                whatever is tried.
            ConfigurationError: a target that the settings name is unknown, or refuses its model.
        """
        attempts: list[Attempt] = []
        spent: list[Usage] = []
        last: ProviderError | None = None
        for target in targets[:MAX_ATTEMPTS]:
            started = self._clock()
            completion: Completion | None = None
            try:
                completion = await self._call(target, brief)
                spent.append(completion.usage or Usage())
                drafts = completion.drafts or _parsed(completion.text, brief)
            except ProviderError as error:
                last = error
                attempts.append(self._record(target, completion, error.code, started, reason=error.message))
                continue
            attempts.append(self._record(target, completion, "ok", started))
            return Answer(
                drafts,
                served_by=_served_by(target, completion),
                target=target,
                attempts=tuple(attempts),
                usage=_total(spent),
                info=completion.info,
                by_model=not completion.drafts,
            )
        raise NoProviderSucceeded(attempts) from last

    async def _call(self, target: str, brief: Brief) -> Completion:
        name, _, model = target.partition(":")
        prompt = build_prompt(brief, nonce=os.urandom(8).hex(), model=model or None)
        try:
            return await self._provider(name).complete(prompt)
        except InvalidRequest as error:
            if brief.request.provider is None and error.field in ("provider", "model"):
                raise ConfigurationError(f"routing.providers: {error.message}") from error
            raise

    def _provider(self, name: str) -> Provider:
        source = provider_source(name)
        held = self._providers.get(name)
        if held is not None and held[0] is source:
            return held[1]
        provider = make_provider(source, self._settings)
        if held is not None:
            self._replaced.append(held[1])
        self._providers[name] = (source, provider)
        return provider

    async def aclose(self) -> None:
        """Close every provider that can be closed, also when one of them fails to; what failed last is raised."""
        providers = [*self._replaced, *(provider for _, provider in self._providers.values())]
        self._providers, self._replaced = {}, []
        async with AsyncExitStack() as stack:
            for provider in providers:
                if isinstance(provider, Closable):
                    stack.push_async_callback(provider.aclose)

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


def _parsed(text: str, brief: Brief) -> tuple[Draft, ...]:
    from copykit.drafts.parse import parse  # the phrase bank's answers need no parsing

    return tuple(parse(text, brief))


def _served_by(target: str, completion: Completion) -> str:
    """Name who answered: the model that the provider says it was, else the one it was asked for."""
    name, _, model = target.partition(":")
    return f"{name}:{completion.model or model}".rstrip(":")


def _total(spent: Sequence[Usage]) -> Usage:
    """Add up all completions, also those that held no copy; a new object, since providers may share theirs."""
    totals: dict[str, Any] = {}
    for name in Usage.model_fields:
        known = [value for usage in spent if (value := getattr(usage, name)) is not None]
        totals[name] = sum(known) if known else None
    return Usage.model_construct(**totals)
