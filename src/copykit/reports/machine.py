"""``/optimization/report``: what the service's machine offers to copykit, and what is used of it.

What each field means stands where the report is made, at the classes of `copykit.accel.report`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict, final

from pydantic import Field

from copykit.reports.values import Count

__all__ = [
    "AdvisedLibrary",
    "CandidateLook",
    "CapabilityLook",
    "GainLook",
    "LibraryLook",
    "OptimizationReport",
]

State = Literal["absent", "present", "verified", "unusable"]
"""Present: installed, and not tried."""
Importance = Literal["critical", "ultra", "high", "gpu", "medium"]


@final
class CandidateLook(TypedDict):
    """One candidate of a capability: `copykit.accel.report.CandidateState`."""

    name: str
    state: str
    reason: str
    by_default: bool


@final
class GainLook(TypedDict):
    """One candidate measured against the fallback: `copykit.accel.measure.Gain`."""

    capability: str
    workload: str
    candidate: str
    took_us: float
    fallback_us: float
    ratio: float
    low: float
    high: float


@final
class CapabilityLook(TypedDict):
    """One capability, what serves it and why: `copykit.accel.report.CapabilityState`."""

    name: str
    summary: str
    chosen: str
    reason: str
    variable: str
    candidates: list[CandidateLook]
    gains: list[GainLook]


@final
class LibraryLook(TypedDict):
    """One library of the catalogue: `copykit.accel.report.LibraryState`."""

    name: str
    importance: Importance
    capability: str
    use: str
    extra: str
    state: State
    reason: str
    version: str | None
    note: str


@final
class AdvisedLibrary(TypedDict):
    """A library worth installing: `copykit.accel.report.Recommendation`."""

    library: str
    importance: Importance
    capability: str
    command: str
    reason: str


@final
class OptimizationReport(TypedDict):
    """``GET /optimization/report``: `copykit.accel.report.Report`; nothing is tried or measured for it."""

    tier: str
    score: Annotated[int, Field(ge=0, le=100)]
    working: Count
    verified: bool
    gpu: bool
    python: str
    machine: str
    capabilities: list[CapabilityLook]
    libraries: list[LibraryLook]
    recommendations: list[AdvisedLibrary]
    install: str
    entry_point_failures: list[str]
