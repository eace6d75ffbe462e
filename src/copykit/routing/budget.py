"""Money: what a call may cost, what it did cost, and a cap that holds whoever spends at once.

Sums are kept in whole trillionths of a dollar, so that they add up exactly; a cost given as a float of dollars keeps
its value through that up to some thousand dollars.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from copykit.errors import BudgetExceeded, ConfigurationError
from copykit.models import Usage
from copykit.settings import price_problems

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Ledger", "LedgerState", "Price", "Prices", "Rate", "Reservation"]

_PICO = 10**12
_PICO_PER_MTOK = 10**6
"""Trillionths of a dollar a token, for one dollar a million tokens."""
_MOST_TOKENS = 10**9
"""No answer has more: what a provider reports beyond it is not believed."""


@dataclass(frozen=True, slots=True)
class LedgerState:
    """One look at a ledger, in US dollars."""

    cap_usd: float | None
    spent_usd: float
    reserved_usd: float
    """Worst cases of the calls in progress."""
    estimated: int
    """Calls whose charge is the worst case, because nobody said what they cost."""
    overrun_usd: float
    """What calls cost beyond their worst case, in all; above zero only if a price is wrong."""


class Ledger:
    """What was spent and what is promised, never above *cap_usd* together.

    ::

        with ledger.reserve(price.worst_usd(size_bytes, tokens)) as money:   # raises BudgetExceeded, nothing was sent
            ...                                                              # the call
            money.settle(prices.cost_usd(target, usage))                     # or money.release(): not charged

    A ledger with a *parent* (a request's within the process's) reserves in both or in none. Safe to use from several
    threads and event loops: nothing waits while its lock is held.

    Args:
        cap_usd: None counts without a bound.
        scope: what the error calls it, e.g. ``request budget``.
    """

    def __init__(
        self, cap_usd: float | None = None, *, scope: str = "budget", parent: Ledger | None = None
    ) -> None:
        self._cap = None if cap_usd is None else _pico("cap_usd", cap_usd)
        self._scope = scope
        self._above: tuple[Ledger, ...] = () if parent is None else (parent, *parent._above)
        self._lock: Lock = parent._lock if parent is not None else Lock()
        self._spent = self._reserved = self._overrun = self._estimated = 0

    @property
    def capped(self) -> bool:
        """Whether this ledger or one above it has a cap: then a target whose price is unknown cannot be asked."""
        return any(ledger._cap is not None for ledger in (self, *self._above))

    @property
    def left_usd(self) -> float | None:
        """What may still be promised here and above; None if nothing bounds it."""
        with self._lock:
            rooms = [ledger._room() for ledger in (self, *self._above) if ledger._cap is not None]
        return max(0, min(rooms)) / _PICO if rooms else None

    def reserve(self, worst_usd: float) -> Reservation:
        """Promise *worst_usd* to one call about to be sent; what costs nothing is always granted.

        Raises:
            BudgetExceeded: this ledger, or one above it, has less left.
        """
        amount = _pico("worst_usd", worst_usd)
        with self._lock:
            for ledger in (self, *self._above):
                if amount and ledger._cap is not None and amount > ledger._room():
                    raise ledger.refusal(worst_usd)
            for ledger in (self, *self._above):
                ledger._reserved += amount
        return Reservation(self, amount)

    async def more(self, worst_usd: float) -> bool:
        """Fetch room for *worst_usd* where this ledger and those above it have their money from; say whether it fits now.

        Others may use what was fetched before the caller does: whoever is told that it fits, and then finds that it
        does not, asks again.
        """
        return all([await ledger.fetch(worst_usd) for ledger in (self, *self._above)])

    def refusal(self, worst_usd: float) -> BudgetExceeded:
        """Give what is raised where *worst_usd* does not fit."""
        committed = (self._spent + self._reserved) / _PICO
        held = self._reserved / _PICO
        return BudgetExceeded((self._cap or 0) / _PICO, committed, worst_usd, scope=self._scope, held=held)

    def enlarge(self, usd: float) -> None:
        """Add *usd* to the cap, or take a negative one from it; without a cap nothing changes."""
        with self._lock:
            if self._cap is not None:
                self._cap += round(usd * _PICO)

    async def fetch(self, worst_usd: float) -> bool:
        """Enlarge this ledger's own part until *worst_usd* fits, where it is part of a larger sum; say whether it fits."""
        with self._lock:
            return self._cap is None or round(worst_usd * _PICO) <= self._room()

    def look(self) -> LedgerState:
        """Give the sums of this moment."""
        with self._lock:
            return LedgerState(
                None if self._cap is None else self._cap / _PICO,
                self._spent / _PICO,
                self._reserved / _PICO,
                self._estimated,
                self._overrun / _PICO,
            )

    def _room(self) -> int:
        return (self._cap or 0) - self._spent - self._reserved

    def _close(self, reserved: int, charged: int, *, estimated: bool) -> None:
        with self._lock:
            for ledger in (self, *self._above):
                ledger._reserved -= reserved
                ledger._spent += charged
                ledger._overrun += max(0, charged - reserved)
                ledger._estimated += estimated


class Reservation:
    """Money promised to one call: settled or released once.

    Leaving the ``with`` block without a word settles the worst case: a call whose end nobody saw (a cancelled one,
    a crash between) may have been charged.
    """

    def __init__(self, ledger: Ledger, amount: int) -> None:
        self._ledger = ledger
        self._amount = amount
        self._open = True
        self.estimated = False
        """Whether the charge is the worst case, for want of a true one."""

    @property
    def worst_usd(self) -> float:
        """What was promised: the most that the call can cost."""
        return self._amount / _PICO

    def settle(self, cost_usd: float | None) -> float:
        """Charge what the call cost, and give it; the worst case if that is None or no amount of money.

        Raises:
            RuntimeError: it is settled or released already.
        """
        true = cost_usd is not None and isfinite(cost_usd) and cost_usd >= 0
        charged = round((cost_usd or 0.0) * _PICO) if true else self._amount
        self.estimated = not true
        self._end(charged)
        return charged / _PICO

    def release(self) -> None:
        """Give the money back: the call was not sent, or is not charged.

        Raises:
            RuntimeError: it is settled or released already.
        """
        self._end(0)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self.settle(None)

    def _end(self, charged: int) -> None:
        if not self._open:
            raise RuntimeError("this reservation is settled or released already")
        self._open = False
        self._ledger._close(self._amount, charged, estimated=self.estimated)


def _pico(name: str, usd: float) -> int:
    if not (isfinite(usd) and usd >= 0):
        raise ValueError(f"{name}={usd!r}: must be a finite number of dollars, 0 or more")
    return round(usd * _PICO)


@dataclass(frozen=True, slots=True)
class Rate:
    """Price of one kind of token, in trillionths of a dollar each.

    The whole request pays the rate of the highest step that its input tokens exceed (long-context prices).
    """

    base: int
    steps: tuple[tuple[int, int], ...] = ()
    """``(input tokens, rate)``, ascending."""

    def at(self, input_tokens: int) -> int:
        """Give the rate of a request with so many input tokens."""
        rate = self.base
        for start, stepped in self.steps:
            if input_tokens > start:
                rate = stepped
        return rate

    def most(self, input_tokens: int) -> int:
        """Give the highest rate of a request with at most so many input tokens."""
        return max([self.base, *(rate for start, rate in self.steps if input_tokens > start)])


@dataclass(frozen=True, slots=True)
class Price:
    """What the tokens of one model cost. A kind without its own rate costs what the kind that holds it does."""

    source: str
    """``genai-prices``, ``override`` or ``free``."""
    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    reasoning: Rate | None = None
    call: int = 0
    """Of each call, whatever its size."""

    def cost_usd(self, usage: Usage) -> float | None:
        """Give what a call with this *usage* cost; None if the usage is missing or cannot be true.

        An amount that the provider itself reports counts, unless the price is an override or nothing. What is free
        costs nothing, whatever it reports or leaves out.
        """
        if not self.input.base and not self.worst_usd(_MOST_TOKENS, _MOST_TOKENS):
            return 0.0
        told = _told(usage)
        if self.source == "genai-prices" and told is not None:
            return told
        all_in, all_out = usage.input_tokens, usage.output_tokens
        if all_in is None or all_out is None:
            return None
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        thought = usage.reasoning_tokens or 0
        counts = (all_in, all_out, cached, written, thought)
        if not all(0 <= count <= _MOST_TOKENS for count in counts):
            return None
        if cached + written > all_in or thought > all_out:
            return None
        kinds = [
            (cached, self.cache_read or self.input),
            (written, self.cache_write or self.input),
            (all_in - cached - written, self.input),
            (thought, self.reasoning or self.output),
            (all_out - thought, self.output),
        ]
        return (self.call + sum(count * rate.at(all_in) for count, rate in kinds)) / _PICO

    def worst_usd(self, input_bytes: int, output_tokens: int) -> float:
        """Give the most that a call can cost.

        Args:
            input_bytes: size of the request's whole body, schema and wrapping included: no token is shorter than a
                byte, and all of them may be written to the provider's cache (for five minutes).
            output_tokens: the bound that the request sets, reasoning included.
        """
        rates_in = [rate.most(input_bytes) for rate in (self.input, self.cache_write) if rate]
        rates_out = [rate.most(input_bytes) for rate in (self.output, self.reasoning) if rate]
        return (self.call + input_bytes * max(rates_in) + output_tokens * max(rates_out)) / _PICO


def _told(usage: Usage) -> float | None:
    """Give the amount that a provider reports, if it is an amount."""
    told = usage.cost_usd
    if told is None or not isfinite(told) or told < 0:
        return None
    return round(told * _PICO) / _PICO


_FREE = Price("free", Rate(0), Rate(0))


class Prices:
    """Prices by target, from the tables of genai-prices; what the caller says wins.

    The tables are imported at the first price that is asked for (about 0.3 s), and a model's is read again every half
    hour, since some providers have prices by the time of day.

    Args:
        overrides: ``name:model`` or ``name`` (all its models) to dollars per million tokens:
            ``{"openai:gpt-x": {"input": 2.0, "output": 8.0, "cached": 0.2}}``.
        free: providers that cost nothing, because they run here.
        clock: wall-clock seconds.

    Raises:
        ConfigurationError: an override that is no price; every mistake at once.
    """

    def __init__(
        self,
        overrides: Mapping[str, Mapping[str, float]] | None = None,
        *,
        free: tuple[str, ...] = ("phrasebank", "llamacpp", "local"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._overrides = _read_overrides(overrides or {})
        self._free = free
        self._clock = clock
        self._known: dict[tuple[str, bool], tuple[int, Price | None]] = {}

    def price(self, target: str, *, batch: bool = False) -> Price | None:
        """Give the price of *target* (``name:model``); None if nobody knows it, which is not the same as free.

        *batch* asks for the rate of the provider's batch jobs, where it has one; overrides stand as they are.
        """
        name, _, model = target.partition(":")
        override = self._overrides.get(target) or self._overrides.get(name)
        if override is not None:
            return override
        if name in self._free:
            return _FREE
        half_hour = int(self._clock() // 1800)
        held = self._known.get((target, batch))
        if held is None or held[0] != half_hour:
            if len(self._known) >= 1000:  # names come from requests too
                self._known.clear()
            held = (half_hour, _look_up(name, model, batch, half_hour * 1800) if model else None)
            self._known[target, batch] = held
        return held[1]

    def cost_usd(self, target: str, usage: Usage, *, batch: bool = False) -> float | None:
        """Give what a call of *target* cost: by its price, else as the provider reports; None if neither is known."""
        price = self.price(target, batch=batch)
        return _told(usage) if price is None else price.cost_usd(usage)


def _look_up(name: str, model: str, batch: bool, at_s: float) -> Price | None:
    from datetime import UTC, datetime

    from genai_prices import Usage as NoTokens
    from genai_prices.data_snapshot import DataSnapshot, get_snapshot  # a megabyte and a half of tables

    tables = get_snapshot()
    # a look of our own, since one remembers every name that it was ever asked for, and names come from requests too
    look = DataSnapshot(
        providers=tables.providers, from_auto_update=tables.from_auto_update, timestamp=tables.timestamp
    )
    try:
        found = look.calc(
            NoTokens(),
            model,
            name,
            None,
            datetime.fromtimestamp(at_s, UTC),
            price_context={"processing": "batch"} if batch else None,
        ).model_price
    except LookupError:
        return None
    read, write = found.input_mtok, found.output_mtok
    if read is None or write is None:
        return None  # priced by something else than text
    return Price(
        "genai-prices",
        _rate(read),
        _rate(write),
        cache_read=_optional(found.cache_read_mtok),
        cache_write=_optional(found.cache_write_mtok),
        reasoning=_optional(found.output_reasoning_mtok),
        call=0 if found.requests_kcount is None else _rate(found.requests_kcount).base * 1000,
    )


def _rate(price: Any) -> Rate:
    """Read one price of genai-prices: a decimal number of dollars per million, or one with steps."""
    base = getattr(price, "base", price)
    steps = getattr(price, "tiers", ())
    return Rate(_per_token(base), tuple((step.start, _per_token(step.price)) for step in steps))


def _optional(price: Any) -> Rate | None:
    return None if price is None else _rate(price)


def _per_token(usd_per_mtok: float | Decimal) -> int:
    return round(usd_per_mtok * _PICO_PER_MTOK)


def _read_overrides(overrides: Mapping[str, Mapping[str, float]]) -> dict[str, Price]:
    if problems := price_problems(overrides):
        raise ConfigurationError(problems)
    prices = {}
    for target, cells in overrides.items():
        rates = {name: Rate(_per_token(value)) for name, value in cells.items()}
        prices[target] = Price(
            "override",
            rates["input"],
            rates["output"],
            cache_read=rates.get("cached"),
            cache_write=rates.get("cache_write"),
            reasoning=rates.get("reasoning"),
        )
    return prices
