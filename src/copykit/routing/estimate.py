"""What many requests may cost, told before any of them is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from copykit.accel import json
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, build_prompt
from copykit.errors import InvalidRequest
from copykit.models import CopywritingInput, Usage
from copykit.providers.base import Closable, Priced, Provider
from copykit.providers.registry import make_provider, provider_source
from copykit.routing.asking import MAX_CALLS
from copykit.routing.budget import Price, Prices
from copykit.settings import Settings

__all__ = ["ASSUMED", "ASSUMED_OF_JOBS", "Estimate", "Estimator", "Range"]

_BYTES_PER_TOKEN = 4
"""Of text sent: about right for Latin words, and for scripts whose letters take two or three bytes."""
_ANSWERED = 4
"""The share of the room for an answer that it usually fills: one in so many. The room is twice the texts' limits."""

ASSUMED = (
    f"usual: one call a line to the first target, a token for {_BYTES_PER_TOKEN} bytes sent, a quarter of the "
    "room for the answer filled, nothing served from a cache",
    f"worst: {MAX_CALLS} calls a line, each as large as the first, to the dearest target, a token for each byte "
    "sent, the whole room for the answer and for reasoning filled",
)

ASSUMED_OF_JOBS = (
    ASSUMED[0].replace(
        "one call a line to the first target", "each line part of a batch job of the first target"
    ),
    ASSUMED[1].replace("calls a line, ", "calls a line, the batch job's answer among them, "),
)
"""The same where the first target is asked by batch jobs."""


@dataclass(frozen=True, slots=True)
class Range:
    """Tokens: what is usual, and the most."""

    usual: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What requests may cost together."""

    asked: int
    """Requests that a target will be asked for."""
    not_asked: int
    """Requests that are refused before anybody is asked."""
    input_tokens: Range
    output_tokens: Range
    usual_usd: float | None
    """By the assumption in `ASSUMED`; None where the first target's price is unknown."""
    worst_usd: float | None
    """None where a target's price is unknown and no budget keeps it from being asked."""
    unpriced: tuple[str, ...]
    """Targets whose price nobody knows."""


class Estimator:
    """Adds up what requests to the same targets may cost; nothing is sent.

    Args:
        settings: keys and addresses, prices, and the cap of a request.
        targets: ``name`` or ``name:model``, in the order in which they are asked.
        capped: whether a budget will hold: a target without a price is then passed over.
        jobs: whether the first target is asked by batch jobs, at its price for these.

    Raises:
        InvalidRequest: a target is unknown.
        ConfigurationError: a target lacks what it needs, or a price is no price.
    """

    def __init__(
        self, settings: Settings, targets: Sequence[str], *, capped: bool = False, jobs: bool = False
    ) -> None:
        self._jobs = jobs
        self._most_usd = settings.routing.request_budget_usd
        self._capped = capped or self._most_usd is not None
        self._prices = Prices(settings.routing.prices)
        self._made: list[Provider] = []
        self._targets = [(target, self._paid_provider(target, settings)) for target in targets]
        self._asked = self._not_asked = 0
        self._in = self._out = Range()
        self._usual_usd: float | None = 0.0
        self._worst_usd: float | None = 0.0
        self._unpriced: dict[str, None] = {}

    @property
    def free(self) -> bool:
        """Whether all targets cost nothing."""
        return all(provider is None for _, provider in self._targets)

    def add(self, request: CopywritingInput) -> None:
        """Count *request*; one that cannot be served costs nothing."""
        try:
            brief = compile_brief(request)
        except InvalidRequest:
            self.refused()
            return
        self._asked += 1
        worst = of_job = 0.0
        most_in = most_out = 0
        unknown = told_usual = False
        for target, provider in self._targets:
            if provider is None:
                told_usual = True
                continue
            prompt = build_prompt(brief, nonce="0" * 16, model=target.partition(":")[2] or None)
            price, size, tokens = self._bounds(target, provider, prompt)
            if price is None:
                self._unpriced[target] = None
                if self._capped:
                    continue
                unknown = True
            else:
                worst = max(worst, price.worst_usd(size, tokens))
            most_in, most_out = max(most_in, size), max(most_out, tokens)
            if not told_usual:
                if self._jobs and price is not None:
                    price = self._bounds(target, provider, prompt, batch=True)[0] or price
                    of_job = price.worst_usd(size, tokens)
                self._add_usual(prompt, price, tokens)
                told_usual = True
        worst *= MAX_CALLS
        if self._most_usd is not None:
            # what was submitted before the request set out is not bounded by its own cap
            worst = min(worst, self._most_usd + of_job)
        self._in = Range(self._in.usual, self._in.most + MAX_CALLS * most_in)
        self._out = Range(self._out.usual, self._out.most + MAX_CALLS * most_out)
        self._worst_usd = None if unknown or self._worst_usd is None else self._worst_usd + worst

    def worst_call_usd(self, request: CopywritingInput) -> float | None:
        """Give the most that one call for *request* may cost, to the dearest target; None if nobody knows."""
        try:
            brief = compile_brief(request)
        except InvalidRequest:
            return 0.0
        worst = 0.0
        for target, provider in self._targets:
            if provider is None:
                continue
            prompt = build_prompt(brief, nonce="0" * 16, model=target.partition(":")[2] or None)
            price, size, tokens = self._bounds(target, provider, prompt)
            if price is None:
                return None
            worst = max(worst, price.worst_usd(size, tokens))
        return worst

    def refused(self) -> None:
        """Count a request that will not be sent."""
        self._not_asked += 1

    def look(self) -> Estimate:
        """Give the sums of this moment."""
        return Estimate(
            asked=self._asked,
            not_asked=self._not_asked,
            input_tokens=self._in,
            output_tokens=self._out,
            usual_usd=self._usual_usd,
            worst_usd=self._worst_usd,
            unpriced=tuple(self._unpriced),
        )

    async def aclose(self) -> None:
        """Close the providers that were made for their bounds."""
        for provider in self._made:
            if isinstance(provider, Closable):
                await provider.aclose()

    def _paid_provider(self, target: str, settings: Settings) -> Provider | None:
        """Make what answers for *target*; None where it is free whatever it is asked."""
        price = self._prices.price(target)
        if price is not None and not price.worst_usd(1, 1):
            return None
        provider = make_provider(provider_source(target.partition(":")[0]), settings)
        self._made.append(provider)
        return provider

    def _bounds(
        self, target: str, provider: Provider, prompt: Prompt, *, batch: bool = False
    ) -> tuple[Price | None, int, int]:
        """Give price, bytes and tokens of one call at most; no price where the router would not know it either."""
        if not isinstance(provider, Priced):
            return None, 0, 0
        name = target if ":" in target else f"{target}:{provider.model_of(prompt)}"
        return self._prices.price(name, batch=batch), *provider.most(prompt)

    def _add_usual(self, prompt: Prompt, price: Price | None, tokens: int) -> None:
        sent = len(prompt.system.encode()) + len(prompt.user.encode()) + len(json.dumps(prompt.schema))
        usual_in, usual_out = sent // _BYTES_PER_TOKEN, tokens // _ANSWERED
        cost = (
            None if price is None else price.cost_usd(Usage(input_tokens=usual_in, output_tokens=usual_out))
        )
        self._in = Range(self._in.usual + usual_in, self._in.most)
        self._out = Range(self._out.usual + usual_out, self._out.most)
        self._usual_usd = None if cost is None or self._usual_usd is None else self._usual_usd + cost
