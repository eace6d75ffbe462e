"""What this machine offers to copykit, what is used of it, and what would be worth installing.

Nothing here is stored: states, tier and score are found out on every call. The formulas stand in
``docs/capabilities.md``.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from copykit.errors import ConfigurationError

from . import catalogue, registry
from .catalogue import Library
from .measure import Gain, measure
from .verdicts import Verdict, judge

__all__ = ["CandidateState", "CapabilityState", "LibraryState", "Recommendation", "Report", "report"]


@dataclass(frozen=True, slots=True)
class LibraryState:
    """One library of the catalogue on this machine."""

    name: str
    importance: str
    capability: str
    use: str
    extra: str
    state: str
    """``absent``, ``present`` (not tried), ``verified`` or ``unusable``."""
    reason: str
    version: str | None
    """As installed; None if absent or without metadata."""
    note: str

    @property
    def works(self) -> bool:
        """Whether it counts: verified, or present where nothing was tried."""
        return self.state in ("verified", "present")


@dataclass(frozen=True, slots=True)
class CandidateState:
    """One candidate of a capability on this machine."""

    name: str
    state: str
    reason: str
    by_default: bool
    """False: it gains nothing at copykit's sizes and is used only when forced."""


@dataclass(frozen=True, slots=True)
class CapabilityState:
    """One capability: what serves it and why."""

    name: str
    summary: str
    chosen: str
    reason: str
    variable: str
    """The environment variable that forces a candidate."""
    candidates: tuple[CandidateState, ...]
    gains: tuple[Gain, ...] = ()
    """Measured here against the fallback; empty unless asked for."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A library worth installing here."""

    library: str
    importance: str
    capability: str
    command: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything `copykit check` prints."""

    tier: str
    score: int
    """0 to 100."""
    working: int
    """Libraries of the catalogue that work here."""
    verified: bool
    """False: nothing was imported, `working` counts what is installed."""
    gpu: bool
    """Whether copykit can compute on a GPU here."""
    python: str
    machine: str
    capabilities: tuple[CapabilityState, ...]
    libraries: tuple[LibraryState, ...]
    recommendations: tuple[Recommendation, ...]
    install: str
    """One pip command for all recommendations; empty if there are none."""
    entry_point_failures: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain JSON-safe data, with the verdict of each gain."""
        data = asdict(self)
        for shown, capability in zip(data["capabilities"], self.capabilities, strict=True):
            for row, gain in zip(shown["gains"], capability.gains, strict=True):
                row["verdict"] = gain.verdict
        return data


def report(*, measured: bool = False, verify: bool = True, timeout_s: float = 60.0) -> Report:
    """Look at this machine.

    Args:
        measured: Time every usable candidate against its fallback too; takes some seconds and loads them
            all into this process.
        verify: Import every installed library of the catalogue in a child process and let every candidate
            prove itself there; takes some seconds. Without it only presence is looked at.
        timeout_s: Longest time for one library.
    """
    verdicts = _verdicts(timeout_s) if verify else None
    capabilities = tuple(_capability(name, verdicts, measured) for name in registry.capability_names())
    libraries = tuple(_library(library, verdicts) for library in catalogue.libraries())
    gpu = any(c.name == "cupy" and c.state == "verified" for owner in capabilities for c in owner.candidates)
    working = sum(library.works for library in libraries)
    recommendations = _recommend(capabilities)
    return Report(
        tier=_tier(working, gpu),
        score=_score(libraries, gpu),
        working=working,
        verified=verify,
        gpu=gpu,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        machine=f"{platform.system()} {platform.machine()}",
        capabilities=capabilities,
        libraries=libraries,
        recommendations=recommendations,
        install=_install(recommendations),
        entry_point_failures=registry.entry_point_failures(),
    )


def _verdicts(timeout_s: float) -> dict[str, Verdict]:
    """Ask about everything that is installed; a candidate's proof stands for its library's import."""
    tasks = []
    proven = set()
    for owner in registry.capability_names():
        for candidate in registry.capability(owner).candidates:
            if candidate.module is None or not registry.is_present(candidate.module):
                continue
            tasks.append(f"{owner}:{candidate.name}")
            proven.add(candidate.module)
    for library in catalogue.libraries():
        if library.module and library.module not in proven and registry.is_present(library.module):
            tasks.append(library.module)
    return judge(tasks, timeout_s=timeout_s)


def _capability(name: str, verdicts: Mapping[str, Verdict] | None, measured: bool) -> CapabilityState:
    owner = registry.capability(name)
    candidates = tuple(
        _candidate(name, candidate, probed, verdicts)
        for candidate, probed in zip(owner.candidates, registry.probe(name), strict=True)
    )
    chosen, reason = _prospect(owner, candidates)
    gains: tuple[Gain, ...] = ()
    if measured:
        usable = [c.name for c in candidates if c.state in ("verified", "present")]
        gains = tuple(measure(name, candidates=usable))
    return CapabilityState(name, owner.summary, chosen, reason, registry.variable(name), candidates, gains)


def _candidate(
    owner: str, candidate: registry.Candidate, probed: registry.Probe, verdicts: Mapping[str, Verdict] | None
) -> CandidateState:
    state, reason = probed.state, probed.reason
    if state == "present" and verdicts is not None:
        # the child knows nothing of what was registered in this process only
        state, reason = verdicts.get(f"{owner}:{candidate.name}") or _prove(owner, candidate.name)
    return CandidateState(candidate.name, state, reason, candidate.by_default)


def _prove(owner: str, candidate: str) -> Verdict:
    try:
        registry.load(owner, candidate)
    except ConfigurationError as error:
        return "unusable", str(error)
    return "verified", ""


def _prospect(owner: registry.Capability, candidates: tuple[CandidateState, ...]) -> tuple[str, str]:
    """Say what serves *owner*, or would at first use, without choosing."""
    made = registry.chosen(owner.name)
    if made is not None:
        return made.candidate, made.reason
    wanted = registry.forced(owner.name)
    order = sorted(
        (c for c in candidates if c.by_default or c.name == wanted), key=lambda c: c.name != wanted
    )
    passed: list[str] = []
    for candidate in order:
        if candidate.state in ("verified", "present"):
            if candidate.name == wanted:
                return candidate.name, f"forced by {registry.variable(owner.name)}"
            return candidate.name, "; ".join(passed) or "preferred"
        passed.append(f"{candidate.name} {candidate.reason}")
    return "", "; ".join(passed)


def _library(library: Library, verdicts: Mapping[str, Verdict] | None) -> LibraryState:
    state, reason = _state(library, verdicts)
    version = _version(library.distribution) if state != "absent" else None
    return LibraryState(
        library.name, library.importance, library.capability, library.use, library.extra, state, reason,
        version, library.note,
    )  # fmt: skip


def _state(library: Library, verdicts: Mapping[str, Verdict] | None) -> Verdict:
    if not library.module:
        return _preloaded(library.name)
    if not registry.is_present(library.module):
        return "absent", ""
    if verdicts is None:
        return "present", ""
    proofs = [
        verdicts[task]
        for owner in registry.capability_names()
        for candidate in registry.capability(owner).candidates
        if candidate.module == library.module and (task := f"{owner}:{candidate.name}") in verdicts
    ] or [verdicts.get(library.module, ("present", ""))]
    return next((proof for proof in proofs if proof[0] == "verified"), proofs[0])


def _preloaded(name: str) -> Verdict:
    """Look for a shared library in this process."""
    try:
        loaded = name in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "absent", "this system does not list the libraries of a process"
    return ("verified", "loaded into this process") if loaded else ("absent", "not loaded into this process")


def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution) if distribution else None
    except PackageNotFoundError:
        return None


def _tier(working: int, gpu: bool) -> str:
    return next(t.name for t in catalogue.tiers() if working >= t.libraries and (gpu or not t.gpu))


def _score(libraries: tuple[LibraryState, ...], gpu: bool) -> int:
    weights = catalogue.weights()
    counted = [lib for lib in libraries if lib.use != catalogue.NOT_USED and (gpu or lib.importance != "gpu")]
    whole = sum(weights[lib.importance] for lib in counted)
    return round(100 * sum(weights[lib.importance] for lib in counted if lib.works) / whole)


def _recommend(capabilities: tuple[CapabilityState, ...]) -> tuple[Recommendation, ...]:
    """List the absent libraries that would be chosen over what serves their capability now."""
    modules = {lib.module: lib for lib in catalogue.libraries()}
    found = []
    for owner in capabilities:
        states = {c.name: c.state for c in owner.candidates}
        for candidate in registry.capability(owner.name).candidates:
            if candidate.name == owner.chosen:
                break
            library = modules.get(candidate.module or "")
            if library is None or not candidate.by_default or states[candidate.name] != "absent":
                continue
            if library.name == "uvloop" and sys.platform == "win32":
                continue
            reason = f"{library.name} would serve {owner.name} instead of {owner.chosen}"
            found.append(
                Recommendation(library.name, library.importance, owner.name, library.install_line(), reason)
            )
            break
    found.sort(key=lambda r: catalogue.IMPORTANCE.index(r.importance))
    return tuple(found)


def _install(recommendations: tuple[Recommendation, ...]) -> str:
    wanted = {r.library for r in recommendations}
    extras = sorted({lib.extra for lib in catalogue.libraries() if lib.name in wanted and lib.extra})
    return f'pip install "copykit[{",".join(extras)}]"' if extras else ""
