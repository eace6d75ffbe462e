"""``/metrics`` as JSON: the figures that Prometheus reads, by family."""

from __future__ import annotations

from typing import Literal, TypedDict, final

__all__ = ["FigureReport", "Histogram", "HistogramReading", "SingleFigure", "SingleReading"]


@final
class SingleReading(TypedDict):
    """One series of a counter or gauge."""

    labels: dict[str, str]
    value: float | None
    """Null for a bound that there is none of."""


@final
class HistogramReading(TypedDict):
    """One series of a histogram."""

    labels: dict[str, str]
    at_most: dict[str, float]
    """How many values were at most so large, by that bound; the last is `+Inf`."""
    count: float
    """Of all values, and"""
    sum: float
    """their sum, in the unit of the figure's name."""


@final
class SingleFigure(TypedDict):
    """A figure with one value a series."""

    kind: Literal["counter", "gauge"]
    help: str
    """What it is."""
    values: list[SingleReading]


@final
class Histogram(TypedDict):
    """A figure of which each series is a distribution."""

    kind: Literal["histogram"]
    help: str
    """What it is."""
    values: list[HistogramReading]


@final
class FigureReport(TypedDict):
    """``GET /metrics`` as JSON: of each family its figures, by the names that queries use."""

    requests: dict[str, SingleFigure | Histogram]
    providers: dict[str, SingleFigure | Histogram]
    cache: dict[str, SingleFigure | Histogram]
    system: dict[str, SingleFigure | Histogram]
    optimization: dict[str, SingleFigure | Histogram]
