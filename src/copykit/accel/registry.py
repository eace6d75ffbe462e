"""Which implementation serves each capability on this machine, and why that one.

A capability is an ordered list of candidates whose last entry needs nothing but the standard
library. Asking is cheap (`importlib.util.find_spec` on top-level names), loading is late (the first
`choose`), and every candidate must pass the capability's known answers before it is used. What is
absent, raises at import or answers wrongly is passed over with the reason kept in the `Choice`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from copykit import events
from copykit.errors import ConfigurationError, excerpt, nearest_names

__all__ = [
    "ENTRY_POINT_GROUP",
    "Candidate",
    "Capability",
    "Choice",
    "Probe",
    "candidate_names",
    "capability",
    "capability_names",
    "choose",
    "chosen",
    "demote",
    "entry_point_failures",
    "expect",
    "forced",
    "is_present",
    "load",
    "override",
    "probe",
    "register_candidate",
    "reset",
    "variable",
]

ENTRY_POINT_GROUP = "copykit.accelerators"
"""Each entry point names a callable that takes `register_candidate` and calls it."""

_BUILT_IN = {
    "json": "copykit.accel.json:CAPABILITY",
    "digest": "copykit.accel.digest:CAPABILITY",
    "compress": "copykit.accel.compress:CAPABILITY",
    "store": "copykit.accel.store:CAPABILITY",
    "similarity": "copykit.accel.similarity:CAPABILITY",
    "fuzzy": "copykit.accel.fuzzy:CAPABILITY",
    "system": "copykit.accel.system:CAPABILITY",
    "loop": "copykit.accel.loop:CAPABILITY",
    "http": "copykit.accel.http:CAPABILITY",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to provide a capability."""

    name: str
    """What `COPYKIT_<CAPABILITY>` and reports call it."""
    module: str | None
    """Top-level module it needs; None means the standard library is enough."""
    target: str
    """``package.module:attribute``, called without arguments to give the implementation."""
    extra: str | None = None
    """The extra of copykit that installs it, if there is one."""
    by_default: bool = True
    """False for one that gains nothing at copykit's sizes: it is used only when forced."""

    def load(self) -> Any:
        """Import *target* and call it; raises whatever the import or the call raises."""
        path, _, attribute = self.target.partition(":")
        return getattr(import_module(path), attribute)()

    def install_line(self) -> str:
        """Give the pip command that brings the package in."""
        return f'pip install "copykit[{self.extra}]"' if self.extra else f"pip install {self.module}"


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that several libraries can do, in the order in which they are tried."""

    name: str
    summary: str
    """What it is and what copykit does with it, one sentence."""
    candidates: tuple[Candidate, ...]
    """Preferred first; the order is what ``benchmarks/accel_order.py`` measured."""
    verify: Callable[[Any], None]
    """Takes an implementation and raises on a wrong answer; see `expect`."""

    def names(self) -> tuple[str, ...]:
        """List the candidates' names in order."""
        return tuple(c.name for c in self.candidates)


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of one candidate on this machine."""

    candidate: str
    state: str
    """``absent``, ``present`` (not loaded yet), ``verified`` or ``unusable``."""
    reason: str = ""
    """Why it is absent or unusable, with the install line where that helps."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An implementation and the story of how it was chosen."""

    capability: str
    candidate: str
    implementation: Any
    reason: str
    """``preferred``, ``forced by COPYKIT_JSON``, or what was wrong with those before it."""
    passed: tuple[Probe, ...] = ()
    """The candidates passed over, in order."""


_lock = threading.RLock()
_capabilities: dict[str, Capability] = {}
_choices: dict[str, Choice] = {}
_loaded: dict[tuple[str, str], Any] = {}
_unusable: dict[tuple[str, str], str] = {}
_overrides: dict[str, str] = {}
_entry_failures: list[str] = []
_entry_points_read = False


def capability_names() -> tuple[str, ...]:
    """List the capabilities that copykit uses."""
    return tuple(_BUILT_IN)


def capability(name: str) -> Capability:
    """Give the capability called *name* with everything registered so far.

    Raises:
        ConfigurationError: there is none, with the nearest name.
    """
    with _lock:
        if name not in _capabilities:
            if name not in _BUILT_IN:
                raise ConfigurationError(f"capability {_unknown(name, capability_names())}")
            path, _, attribute = _BUILT_IN[name].partition(":")
            _capabilities[name] = getattr(import_module(path), attribute)
        return _capabilities[name]


def candidate_names(name: str) -> tuple[str, ...]:
    """List the candidates of capability *name*, preferred first."""
    return capability(name).names()


def variable(name: str) -> str:
    """Give the environment variable that forces capability *name*, e.g. ``COPYKIT_JSON``."""
    return f"COPYKIT_{name.upper()}"


def chosen(name: str) -> Choice | None:
    """Give the choice already made for capability *name*, or None; loads nothing."""
    return _choices.get(name)


def forced(name: str) -> str | None:
    """Give the candidate that `override` or the environment asks for, or None.

    Raises:
        ConfigurationError: there is no candidate of that name, with the nearest.
    """
    wanted = _overrides.get(name) or os.environ.get(variable(name), "").strip().lower()
    if not wanted:
        return None
    problems = refusals(name, wanted)
    if problems:
        raise ConfigurationError(problems)
    return wanted


def refusals(name: str, wanted: str) -> list[str]:
    """Say why *wanted* cannot be the forced candidate of capability *name*; empty when it is one of them."""
    with _lock:
        _read_entry_points()
    known, wanted = candidate_names(name), wanted.strip().lower()
    return [] if not wanted or wanted in known else [f"{variable(name)}={_unknown(wanted, known)}"]


def choose(name: str) -> Choice:
    """Give the implementation of capability *name*, loading and verifying it on first use.

    The walk starts with the forced candidate if there is one. A forced candidate that is absent or
    unusable is passed over like any other: the choice says so and no call breaks. The result is kept
    until `reset`, so a later call costs one dictionary look-up. Thread-safe.

    Raises:
        ConfigurationError: the capability or the forced candidate's name is unknown, or every candidate
            failed, which takes a broken standard library or core dependency.
    """
    found = _choices.get(name)
    if found is not None:
        return found
    with _lock:
        if name in _choices:
            return _choices[name]
        _read_entry_points()
        choice = _choices[name] = _walk(capability(name))
    events.emit(events.CapabilitySelected(name, choice.candidate, choice.reason))
    return choice


def load(name: str, candidate: str) -> Any:
    """Give one candidate's verified implementation, whatever the order.

    Raises:
        ConfigurationError: the names are unknown, or the candidate is absent or unusable, with the reason.
    """
    wanted = _candidate(capability(name), candidate)
    with _lock:
        result = _try(capability(name), wanted)
    if isinstance(result, Probe):
        raise ConfigurationError(f"{name}: {candidate} is {result.state}: {result.reason}")
    return result[0]


def probe(name: str) -> tuple[Probe, ...]:
    """Tell the state of every candidate of capability *name* without loading any."""
    with _lock:
        _read_entry_points()
        return tuple(_state(name, c) for c in capability(name).candidates)


def demote(name: str, candidate: str, reason: str) -> None:
    """Record that *candidate* failed at work; the next `choose` takes another."""
    with _lock:
        _unusable[name, candidate] = reason
        _loaded.pop((name, candidate), None)
        current = _choices.get(name)
        if current is not None and current.candidate == candidate:
            del _choices[name]


def register_candidate(name: str, candidate: Candidate, *, before: str | None = None) -> None:
    """Add *candidate* to capability *name*, in front of *before* or of all others.

    A candidate of the same name is replaced. The standard library stays last and cannot be replaced,
    so that there is always an answer.

    Raises:
        ConfigurationError: the capability or *before* is unknown, or the name is the fallback's.
    """
    with _lock:
        owner = capability(name)
        if before is not None:
            _candidate(owner, before)
        if candidate.name == owner.candidates[-1].name:
            raise ConfigurationError(f"{name}: {candidate.name!r} is the fallback and cannot be replaced")
        kept = [c for c in owner.candidates if c.name != candidate.name]
        names = [c.name for c in kept]
        kept.insert(names.index(before) if before in names else 0, candidate)
        _capabilities[name] = replace(owner, candidates=tuple(kept))
        _choices.pop(name, None)
        _loaded.pop((name, candidate.name), None)
        _unusable.pop((name, candidate.name), None)


@contextmanager
def override(name: str, candidate: str) -> Iterator[Choice]:
    """Use *candidate* for capability *name* inside the block, in the whole process; for tests.

    Raises:
        ConfigurationError: the names are unknown, or the candidate cannot be used here.
    """
    load(name, candidate)
    with _lock:
        before, current = _overrides.get(name), _choices.pop(name, None)
        _overrides[name] = candidate
    try:
        yield choose(name)
    finally:
        with _lock:
            _choices.pop(name, None)
            _overrides.pop(name, None)
            if before is not None:
                _overrides[name] = before
            if current is not None:
                _choices[name] = current


def reset() -> None:
    """Forget every choice, verdict and registration, as if nothing had been asked yet."""
    global _entry_points_read
    with _lock:
        for kept in (_capabilities, _choices, _loaded, _unusable, _overrides):
            kept.clear()
        _entry_failures.clear()
        _entry_points_read = False


def entry_point_failures() -> tuple[str, ...]:
    """List the entry points that could not be loaded, with the reason; empty before the first choice."""
    return tuple(_entry_failures)


def expect(holds: bool, otherwise: str) -> None:
    """Raise `AssertionError` with *otherwise* unless *holds*; also under ``-O``."""
    if not holds:
        raise AssertionError(otherwise)


def is_present(module: str) -> bool:
    """Tell whether the top-level *module* can be found, without importing it."""
    try:
        return find_spec(module.partition(".")[0]) is not None
    except ValueError:  # already imported and made by hand, without a spec
        return True
    except Exception:  # a broken import hook means that importing would fail too
        return False


def _walk(owner: Capability) -> Choice:
    wanted = forced(owner.name)
    order = [c for c in owner.candidates if c.by_default or c.name == wanted]
    by = "override" if owner.name in _overrides else variable(owner.name)
    if wanted is not None:
        order.sort(key=lambda c: c.name != wanted)
    passed: list[Probe] = []
    for candidate in order:
        result = _try(owner, candidate)
        if isinstance(result, Probe):
            passed.append(result)
        else:
            reason = _story(candidate, wanted, by, passed)
            return Choice(owner.name, candidate.name, result[0], reason, tuple(passed))
    told = "; ".join(f"{p.candidate} {p.reason}" for p in passed)
    raise ConfigurationError(f"nothing here provides {owner.name}: {told}")


def _story(candidate: Candidate, wanted: str | None, by: str, passed: list[Probe]) -> str:
    if candidate.name == wanted:
        return f"forced by {by}"
    told = "; ".join(f"{p.candidate} {p.reason}" for p in passed)
    return f"{by} could not be followed: {told}" if wanted else told or "preferred"


def _try(owner: Capability, candidate: Candidate) -> tuple[Any] | Probe:
    state = _state(owner.name, candidate)
    key = (owner.name, candidate.name)
    if state.state in ("absent", "unusable"):
        return state
    if key not in _loaded:
        try:
            implementation = candidate.load()
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # packages may exit or panic while they are imported
            return _fail(key, f"import failed: {_say(error)}")
        try:
            owner.verify(implementation)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            return _fail(key, f"self-test failed: {_say(error)}")
        _loaded[key] = implementation
    return (_loaded[key],)


def _fail(key: tuple[str, str], reason: str) -> Probe:
    _unusable[key] = reason
    return Probe(key[1], "unusable", reason)


def _state(name: str, candidate: Candidate) -> Probe:
    key = (name, candidate.name)
    if key in _unusable:
        return Probe(candidate.name, "unusable", _unusable[key])
    if key in _loaded:
        return Probe(candidate.name, "verified")
    if candidate.module is None or is_present(candidate.module):
        return Probe(candidate.name, "present")
    return Probe(candidate.name, "absent", f"not installed: {candidate.install_line()}")


def _candidate(owner: Capability, name: str) -> Candidate:
    for candidate in owner.candidates:
        if candidate.name == name:
            return candidate
    raise ConfigurationError(f"{owner.name}: candidate {_unknown(name, owner.names())}")


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = nearest_names(name, known, 1)
    hint = f"nearest: {near[0]!r}; " if near else ""
    return f"{excerpt(name)} is unknown; {hint}known: {', '.join(known)}"


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {excerpt(str(error), 160)}" if str(error) else type(error).__name__


def _read_entry_points() -> None:
    global _entry_points_read
    if _entry_points_read:
        return
    _entry_points_read = True
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            point.load()(register_candidate)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # someone else's package must not break a choice
            _entry_failures.append(f"{point.name} ({point.value}): {_say(error)}")
