"""How a capability is chosen: order, absence, broken packages, forcing, others' candidates."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from copykit import events
from copykit.accel import registry
from copykit.accel.registry import Candidate
from copykit.errors import ConfigurationError

OPTIONAL = (
    "orjson", "msgspec", "simdjson", "xxhash", "blake3", "zstandard", "cramjam", "lz4", "blosc2", "moka_py",
    "numpy", "numba", "cupy", "rapidfuzz", "psutil", "uvloop", "aiohttp", "httpx",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    for name in registry.capability_names():
        monkeypatch.delenv(registry.variable(name), raising=False)
    registry.reset()
    yield
    registry.reset()


@pytest.fixture
def seen():
    """The events of the process while the test runs."""
    heard = []
    events.subscribe(heard.append)
    yield heard
    events.unsubscribe(heard.append)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write an importable package of the given name and source, which hides an installed one."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, source):
        for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, loaded)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source, encoding="utf-8")

    yield write
    for name in {path.name for path in tmp_path.iterdir() if path.is_dir()}:
        sys.modules.pop(name, None)


def hide(monkeypatch, *modules):
    """Make *modules* look absent."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def first_default(capability):
    """Give the names that would be tried without forcing, in order."""
    return [c.name for c in registry.capability(capability).candidates if c.by_default]


def test_with_everything_hidden_the_last_candidate_serves_each_capability(monkeypatch):
    """
    Without any optional package every capability works, and the choice says what is missing.
    """
    hide(monkeypatch, *OPTIONAL)
    for name in registry.capability_names():
        choice = registry.choose(name)
        assert choice.candidate == registry.candidate_names(name)[-1]
        for probe in choice.passed:
            assert probe.state == "absent"
            assert "pip install" in choice.reason


@pytest.mark.parametrize("capability", registry.capability_names())
def test_hiding_the_chosen_package_moves_the_choice_to_the_next_candidate(capability, monkeypatch):
    """
    Hide what was chosen, ask again, and the next one that works here is taken, down to the fallback.
    """
    order = first_default(capability)
    chosen = []
    while True:
        registry.reset()
        choice = registry.choose(capability)
        chosen.append(choice.candidate)
        candidate = next(c for c in registry.capability(capability).candidates if c.name == choice.candidate)
        if choice.candidate == registry.candidate_names(capability)[-1]:
            break
        hide(monkeypatch, candidate.module)
    assert chosen == sorted(set(chosen), key=order.index)


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('no such symbol')",
        "raise SystemExit(3)",
        "import nothing_of_that_name",
        "class Panic(BaseException): pass\nraise Panic('rust')",
        "",
        "1/0",
        "def dumps(*a): return b'[]'\ndef loads(*a): return 1\n"
        "OPT_PASSTHROUGH_DATACLASS = OPT_PASSTHROUGH_DATETIME = 0",
    ],
    ids=["raises", "exits", "lacks a module", "panics", "is empty", "divides", "answers wrongly"],
)
def test_a_broken_package_is_passed_over_with_the_reason(source, package):
    """
    A package that raises, exits, panics, is hollow or answers wrongly costs its place and nothing else.
    """
    package("orjson", source)
    choice = registry.choose("json")
    assert choice.candidate != "orjson"
    first = choice.passed[0]
    assert (first.candidate, first.state) == ("orjson", "unusable")
    assert "failed" in first.reason
    assert choice.implementation.loads(choice.implementation.dumps({"a": 1})) == {"a": 1}
    states = {probe.candidate: probe.state for probe in registry.probe("json")}
    assert states["orjson"] == "unusable"
    assert states[choice.candidate] == "verified"


def test_cupy_without_a_device_is_unusable_even_when_forced(package, monkeypatch):
    """
    CuPy imports without a driver; asking for the devices is what fails, and the call goes on.
    """
    package(
        "cupy",
        "class runtime:\n"
        "    @staticmethod\n"
        "    def getDeviceCount(): raise RuntimeError('cudaErrorInsufficientDriver')\n"
        "class cuda:\n    runtime = runtime\n",
    )
    monkeypatch.setenv("COPYKIT_SIMILARITY", "cupy")
    from copykit.accel import similarity

    assert similarity.dots([[1, 2], [3, 4]]) == [[5, 11], [11, 25]]
    choice = registry.choose("similarity")
    assert choice.candidate != "cupy"
    assert "cudaErrorInsufficientDriver" in choice.reason
    assert choice.reason.startswith("COPYKIT_SIMILARITY could not be followed")


def test_cupy_with_a_device_computes_through_it(package, monkeypatch):
    """
    Where a device answers, forcing cupy uses it; here its arrays are numpy's.
    """
    pytest.importorskip("numpy", reason="the stand-in for a device needs numpy")
    package(
        "cupy",
        "from numpy import *\n"
        "class runtime:\n    getDeviceCount = staticmethod(lambda: 1)\n"
        "class cuda:\n    runtime = runtime\n",
    )
    monkeypatch.setenv("COPYKIT_SIMILARITY", "cupy")
    from copykit.accel import similarity

    assert similarity.dots([[1, 2], [3, 4]]) == [[5, 11], [11, 25]]
    assert registry.choose("similarity").candidate == "cupy"


def test_the_environment_forces_a_choice_when_it_is_made(monkeypatch, seen):
    """
    `COPYKIT_JSON` is read at the first use, and the event says that it was followed.
    """
    monkeypatch.setenv("COPYKIT_JSON", "json")
    assert registry.choose("json").reason == "forced by COPYKIT_JSON"
    assert seen == [events.CapabilitySelected("json", "json", "forced by COPYKIT_JSON")]


def test_an_unknown_name_is_refused_with_the_nearest(monkeypatch):
    """
    A misspelt candidate is a ConfigurationError that names the right one.
    """
    monkeypatch.setenv("COPYKIT_JSON", "orjsn")
    with pytest.raises(ConfigurationError, match="COPYKIT_JSON='orjsn' is unknown; nearest: 'orjson'"):
        registry.choose("json")
    with pytest.raises(ConfigurationError, match="nearest: 'digest'"):
        registry.choose("digset")


def test_a_forced_but_absent_candidate_gives_way_and_says_so(monkeypatch, seen):
    """
    Forcing what is not installed never breaks a call: the next one serves, with the reason in the event.
    """
    hide(monkeypatch, *OPTIONAL)
    monkeypatch.setenv("COPYKIT_JSON", "msgspec")
    choice = registry.choose("json")
    assert choice.candidate == "json"
    assert choice.reason.startswith(
        'COPYKIT_JSON could not be followed: msgspec not installed: pip install "copykit[fast]"'
    )
    assert seen[0].reason == choice.reason


def test_a_choice_is_made_and_told_once(seen):
    """
    Many calls from many threads give one choice and one event.
    """
    found = []
    threads = [threading.Thread(target=lambda: found.append(registry.choose("json"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(choice) for choice in found}) == 1
    assert len([e for e in seen if isinstance(e, events.CapabilitySelected)]) == 1


def test_override_holds_inside_the_block_and_then_the_old_choice_is_back(seen):
    """
    Tests can force a candidate for a while; one that cannot be used is refused.
    """
    before = registry.choose("fuzzy")
    with registry.override("fuzzy", "python") as choice:
        assert choice.candidate == registry.choose("fuzzy").candidate == "python"
        assert choice.reason == "forced by override"
    assert registry.choose("fuzzy") is before
    with (
        pytest.raises(ConfigurationError, match="fuzzy: candidate 'rapid' is unknown"),
        registry.override("fuzzy", "rapid"),
    ):
        pass


def test_override_refuses_what_cannot_be_used(monkeypatch):
    """
    An override is for tests, so an absent candidate is an error and not a silent fallback.
    """
    hide(monkeypatch, "rapidfuzz")
    with (
        pytest.raises(ConfigurationError, match="absent: not installed"),
        registry.override("fuzzy", "rapidfuzz"),
    ):
        pass


OTHERS = """
class Upper:
    def distance(self, a, b):
        from copykit.accel.fuzzy import _Python
        return _Python().distance(a, b)

def register(register_candidate):
    from copykit.accel.registry import Candidate
    register_candidate("fuzzy", Candidate("others", "others_pkg", "others_pkg:Upper"))
"""


def test_a_registered_candidate_is_tried_first_and_verified(package):
    """
    `register_candidate` puts another's implementation in front; a wrong one is passed over.
    """
    package("others_pkg", OTHERS)
    registry.register_candidate("fuzzy", Candidate("others", "others_pkg", "others_pkg:Upper"))
    assert registry.choose("fuzzy").candidate == "others"
    registry.register_candidate("fuzzy", Candidate("wrong", None, "copykit.accel.system:_Stdlib"))
    choice = registry.choose("fuzzy")
    assert choice.candidate == "others"
    assert choice.passed[0].state == "unusable"


def test_a_registered_candidate_may_stand_before_another():
    """
    *before* gives the place; the fallback cannot be replaced and unknown names are refused.
    """
    mine = Candidate("mine", None, "copykit.accel.fuzzy:_Python")
    registry.register_candidate("fuzzy", mine, before="python")
    assert registry.candidate_names("fuzzy") == ("rapidfuzz", "mine", "python")
    registry.register_candidate("fuzzy", mine)
    assert registry.candidate_names("fuzzy") == ("mine", "rapidfuzz", "python")
    with pytest.raises(ConfigurationError, match="fallback"):
        registry.register_candidate("fuzzy", Candidate("python", None, "x:y"))
    with pytest.raises(ConfigurationError, match="unknown"):
        registry.register_candidate("fuzzy", mine, before="nobody")
    with pytest.raises(ConfigurationError, match="capability"):
        registry.register_candidate("nothing", mine)


def test_entry_points_bring_candidates_and_broken_ones_are_noted(package, tmp_path):
    """
    An installed distribution registers itself through `copykit.accelerators`; one that fails is listed.
    """
    package("others_pkg", OTHERS)
    info = tmp_path / "others_pkg-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: others-pkg\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        "[copykit.accelerators]\nothers = others_pkg:register\nbroken = others_pkg:missing\n",
        encoding="utf-8",
    )
    assert registry.choose("fuzzy").candidate == "others"
    assert len(registry.entry_point_failures()) == 1
    assert "broken (others_pkg:missing): AttributeError" in registry.entry_point_failures()[0]


def test_a_demoted_candidate_is_not_chosen_again():
    """
    What failed at work is unusable from then on, and reset forgets that.
    """
    registry.register_candidate("fuzzy", Candidate("mine", None, "copykit.accel.fuzzy:_Python"))
    assert registry.choose("fuzzy").candidate == "mine"
    registry.demote("fuzzy", "mine", "failed at work: test")
    choice = registry.choose("fuzzy")
    assert choice.candidate != "mine"
    assert "failed at work" in choice.reason


def test_candidates_that_gain_nothing_are_used_only_when_forced(monkeypatch):
    """
    blake3 stays unused by default even as the only digest package, and serves when forced.
    """
    hide(monkeypatch, "xxhash")
    assert registry.choose("digest").candidate == "hashlib"
    if registry.is_present("blake3"):
        registry.reset()
        monkeypatch.setenv("COPYKIT_DIGEST", "blake3")
        assert registry.choose("digest").candidate == "blake3"


def test_probing_loads_nothing():
    """
    `probe` knows presence from metadata alone: no candidate's package is imported by it.
    """
    code = (
        "import sys; from copykit.accel import registry\n"
        "states = [p.state for n in registry.capability_names() for p in registry.probe(n)]\n"
        f"loaded = sorted(set({OPTIONAL!r}) & set(sys.modules))\n"
        "assert not loaded, loaded; assert set(states) <= {'absent', 'present'}, states"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_copykit_loads_no_optional_package_and_no_registry_choice():
    """
    `import copykit` imports none of the accelerators, whatever is installed.
    """
    code = (
        "import sys, copykit\n"
        f"loaded = sorted(set({OPTIONAL!r}) & set(sys.modules))\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_module_made_by_hand_without_a_spec_counts_as_present(monkeypatch):
    """
    A stand-in put into `sys.modules` is found although it has no spec.
    """
    import types

    stand_in = types.ModuleType("made_by_hand")
    stand_in.__spec__ = None
    monkeypatch.setitem(sys.modules, "made_by_hand", stand_in)
    assert registry.is_present("made_by_hand")
    assert not registry.is_present("surely_absent_module")
