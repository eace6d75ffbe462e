"""The catalogue of libraries, the report on this machine, and the commands that print them."""

from __future__ import annotations

import ast
import json
import sys
import tomllib
from email.message import Message
from pathlib import Path

import pytest
from typer.testing import CliRunner

import copykit
from copykit.accel import catalogue, extras, registry, report, verdicts
from copykit.accel.catalogue import NOT_USED
from copykit.accel.measure import Gain, measure
from copykit.cli import benchmark, check, install_deps

ROOT = Path(__file__).parents[1]
SPECIFIED = {
    "critical": "uvloop orjson redis hiredis numpy",
    "ultra": "numba polars duckdb msgspec simdjson blake3 cramjam",
    "high": "pyarrow xxhash blosc2 lz4 zstandard asyncpg httptools numexpr scikit-learn scipy aiofiles "
    "rapidfuzz regex psutil jemalloc",
    "gpu": "cupy cudf torch rapids",
}
"""What the specification names, sorted as it sorts them."""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    for name in registry.capability_names():
        monkeypatch.delenv(registry.variable(name), raising=False)
    registry.reset()
    yield
    registry.reset()


def hide_all(monkeypatch):
    """Make every library of the catalogue but the core ones look absent."""
    for library in catalogue.libraries():
        if library.extra != "core" and library.module:
            monkeypatch.setitem(sys.modules, library.module, None)


def project():
    """Give the ``[project]`` table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def numbers(version):
    """Give a plain version as something to compare."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def run(command, *arguments):
    """Run one command of the command line."""
    import typer

    app = typer.Typer()
    app.command()(command)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


def test_the_catalogue_holds_at_least_sixty_libraries_and_all_that_the_specification_names():
    """
    Every name of the specification is there with its importance, and no name twice.
    """
    found = {library.name: library.importance for library in catalogue.libraries()}
    assert len(found) == len(catalogue.libraries()) >= 60
    for importance, names in SPECIFIED.items():
        for name in names.split():
            assert found[name] == importance, name
    assert set(found.values()) == set(catalogue.weights()) == set(catalogue.IMPORTANCE)


def test_extras_of_the_catalogue_install_the_library():
    """
    What the catalogue says an extra brings is what the project's metadata says.
    """
    from importlib.metadata import requires

    lines = [line.lower() for line in requires("copykit") or []]
    for library in catalogue.libraries():
        if not library.extra or library.extra == "core":
            continue
        marks = (f"extra == '{library.extra}'", f'extra == "{library.extra}"')
        mine = [line for line in lines if any(mark in line for mark in marks)]
        assert any(library.distribution.lower() in line for line in mine), library.name


def imported_modules():
    """Top-level modules that the files of copykit import, by statement or by name."""
    found = set()
    for path in Path(copykit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
                found |= {str(a.value).partition(".")[0] for a in node.args if isinstance(a, ast.Constant)}
    return found


def test_the_catalogue_says_truly_what_is_used():
    """
    A library is imported somewhere in copykit if and only if its entry says what for.
    """
    used = imported_modules()
    wrong = [
        f"{library.name} is {'' if there else 'not '}imported, data/libraries.toml says {library.use!r}"
        for library in catalogue.libraries()
        if library.module and (there := library.module in used) != library.used
    ]
    assert not wrong


def test_every_optional_candidate_is_in_the_catalogue():
    """
    The registry and the catalogue agree on module, capability and extra.
    """
    known = {library.module: library for library in catalogue.libraries()}
    for name in registry.capability_names():
        for candidate in registry.capability(name).candidates:
            if candidate.module is None:
                continue
            library = known[candidate.module]
            assert library.capability == name
            assert library.used
            assert library.extra == (candidate.extra or "core")


def test_with_nothing_optional_the_tier_is_the_lowest_and_advice_is_given(monkeypatch):
    """
    Hidden packages count as absent; the report names what to install and with which line.
    """
    hide_all(monkeypatch)
    found = report.report()
    assert found.tier == "STANDARD"
    assert found.verified
    assert not found.gpu
    assert 0 < found.score < 20
    assert {owner.chosen for owner in found.capabilities} >= {
        "json",
        "hashlib",
        "zlib",
        "cachetools",
        "python",
    }
    assert [advice.library for advice in found.recommendations][:3] == ["orjson", "numpy", "uvloop"]
    assert found.install == 'pip install "copykit[accel,fast]"'
    json.dumps(found.to_dict())


def test_the_quick_report_imports_nothing(monkeypatch):
    """
    Without verifying, installed libraries are present and no child process is started.
    """
    monkeypatch.setattr(report, "judge", None)
    found = report.report(verify=False)
    assert not found.verified
    assert {library.state for library in found.libraries if library.name != "jemalloc"} <= {
        "absent",
        "present",
    }


def test_a_broken_library_is_told_with_its_reason_and_does_not_count(tmp_path, monkeypatch):
    """
    A package that fails, exits or answers wrongly is unusable in the report, and the rest is still verified.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, source in {
        "theine": "raise RuntimeError('built for another machine')",
        "ujson": "import os; os._exit(9)",
        "isal": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "orjson": "def dumps(*a): return b'{}'\ndef loads(*a): return {}\n"
        "OPT_PASSTHROUGH_DATACLASS = OPT_PASSTHROUGH_DATETIME = 1",
        "mmh3": "print('hello from mmh3')",
    }.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = {library.name: library for library in report.report().libraries}
    assert (found["theine"].state, "another machine" in found["theine"].reason) == ("unusable", True)
    assert (found["ujson"].state, "crashed" in found["ujson"].reason) == ("unusable", True)
    assert found["isal"].state == "unusable"
    assert (found["orjson"].state, "self-test failed" in found["orjson"].reason) == ("unusable", True)
    assert found["mmh3"].state == "verified"
    assert found["pydantic"].state == "verified"
    assert found["pydantic"].version


def test_a_library_that_hangs_is_given_up(tmp_path, monkeypatch):
    """
    One that never finishes its import is unusable after the time allowed, and the others are judged.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hangs_here.py").write_text("import threading; threading.Event().wait()", encoding="utf-8")
    found = verdicts.judge(["hangs_here", "textwrap", "surely_absent_module"], timeout_s=5)
    assert found["hangs_here"] == ("unusable", "crashed or took more than 5 s")
    assert found["textwrap"] == ("verified", "")
    assert found["surely_absent_module"][0] == "absent"


@pytest.mark.parametrize(
    "working, gpu, tier",
    [
        (0, False, "STANDARD"), (9, True, "STANDARD"), (10, False, "ENHANCED"), (20, False, "OPTIMIZED"),
        (30, False, "ULTRA"), (40, False, "ULTRA"), (39, True, "ULTRA"), (40, True, "MAXIMUM"),
    ],
)  # fmt: skip
def test_tiers_count_working_libraries_and_the_highest_needs_a_gpu(working, gpu, tier):
    """
    10, 20, 30 and 40 libraries are the steps; the last one also asks for a usable GPU.
    """
    assert report._tier(working, gpu) == tier


def test_the_score_weighs_the_used_libraries_that_work():
    """
    Unused libraries do not count, and those for a GPU only where one answers.
    """

    def state(importance, works, use="something"):
        return report.LibraryState(
            "a", importance, "x", use, "", "verified" if works else "absent", "", None, ""
        )

    assert report._score((state("critical", True), state("high", False)), False) == 80
    assert report._score((state("critical", True), state("high", False, NOT_USED)), False) == 100
    assert report._score((state("high", True), state("gpu", False)), False) == 100
    assert report._score((state("high", True), state("gpu", True), state("ultra", False)), True) == 60


def test_a_forced_choice_shows_in_the_report(monkeypatch):
    """
    The report says what would be used and that the environment forced it, without choosing yet.
    """
    monkeypatch.setenv("COPYKIT_JSON", "json")
    owner = next(owner for owner in report.report(verify=False).capabilities if owner.name == "json")
    assert (owner.chosen, owner.reason) == ("json", "forced by COPYKIT_JSON")
    assert registry.chosen("json") is None


def test_measuring_compares_every_usable_candidate_with_the_fallback():
    """
    Each usable candidate has a gain on each workload, with its spread; the fallback is the measure.
    """
    for gain in measure("fuzzy", rounds=3) + measure("json", rounds=3):
        assert gain.candidate != registry.candidate_names(gain.capability)[-1]
        assert gain.took_us > 0
        assert 0 < gain.low <= gain.ratio <= gain.high


def test_verdicts_need_both_quartiles_to_agree():
    """
    A ratio whose spread includes 1 is no gain.
    """

    def verdict(low, high):
        return Gain("c", "w", "n", 1.0, 1.0, (low + high) / 2, low, high).verdict

    assert [verdict(1.2, 1.4), verdict(0.9, 1.4), verdict(0.5, 0.9), verdict(0.97, 1.02)] == [
        "faster", "no gain", "slower", "no gain",
    ]  # fmt: skip


def test_check_prints_tables_and_the_same_as_json(monkeypatch):
    """
    `copykit check --quick` shows the capabilities; `--json` gives the whole report as data.
    """
    shown = run(check.command, "--quick")
    assert shown.exit_code == 0
    assert "similarity" in shown.stdout
    assert "critical" not in shown.stdout
    assert "copykit works with what is here; score" in " ".join(shown.stdout.split())
    data = json.loads(run(check.command, "--quick", "--json").stdout)
    assert {owner["name"] for owner in data["capabilities"]} == set(registry.capability_names())
    assert len(data["libraries"]) >= 60
    assert data["verified"] is False


def test_check_measures_each_candidate_when_asked(monkeypatch):
    """
    `--measure` adds the gains with ratio, spread and verdict, in the table and in the data.
    """
    monkeypatch.setattr(
        report, "measure", lambda name, candidates: [Gain(name, "work", "fast", 1.0, 3.0, 3.0, 2.5, 3.5)]
    )
    shown = run(check.command, "--quick", "--measure")
    assert "3.00 (2.50 to 3.50)" in " ".join(shown.stdout.split())
    data = json.loads(run(check.command, "--quick", "--measure", "--json").stdout)
    assert [owner["gains"][0]["verdict"] for owner in data["capabilities"]] == ["faster"] * len(
        registry.capability_names()
    )


def test_check_refuses_a_misspelt_forced_candidate(monkeypatch):
    """
    A wrong variable ends with status 78 and the nearest name, not with a traceback.
    """
    monkeypatch.setenv("COPYKIT_JSON", "orjsn")
    result = run(check.command, "--quick")
    assert result.exit_code == 78
    assert "nearest: 'orjson'" in " ".join(result.stderr.split())


def test_install_deps_prints_the_line_for_what_is_missing(monkeypatch):
    """
    Missing libraries come by importance with one pip line; an unknown extra is refused.
    """
    hide_all(monkeypatch)
    result = run(install_deps.command)
    assert result.exit_code == 0
    assert result.stdout.strip() == 'pip install "copykit[accel,fast]"'
    data = json.loads(run(install_deps.command, "--json", "--extra", "redis").stdout)
    assert [row["library"] for row in data["missing"]] == ["redis", "hiredis"]
    assert data["command"] == 'pip install "copykit[redis]"'
    refused = run(install_deps.command, "--extra", "rediss")
    assert refused.exit_code == 2
    assert "nearest: redis" in refused.stderr


def test_install_deps_leaves_out_what_would_only_be_used_when_forced(monkeypatch):
    """
    What gains nothing by default is not worth an installation, unless its extra is asked for.
    """
    hide_all(monkeypatch)
    worth = {row["library"] for row in json.loads(run(install_deps.command, "--json").stdout)["missing"]}
    idle = {
        candidate.module
        for name in registry.capability_names()
        for candidate in registry.capability(name).candidates
        if not candidate.by_default
    }
    assert idle
    assert not worth & {library.name for library in catalogue.libraries() if library.module in idle}
    asked = json.loads(run(install_deps.command, "--json", "--extra", "accel").stdout)["missing"]
    assert "psutil" in {row["library"] for row in asked}


@pytest.mark.parametrize("extra", sorted(project()["optional-dependencies"]))
def test_install_deps_knows_every_extra_of_the_project(monkeypatch, extra):
    """
    Also those that hold no library of the catalogue, or only other extras; what is here is not missing.
    """
    about = Message()
    for name, requirements in project()["optional-dependencies"].items():
        about["Provides-Extra"] = name
        for requirement in requirements:
            what, _, marker = requirement.partition(";")
            about["Requires-Dist"] = (
                f"{what}; ({marker}) and extra == '{name}'" if marker else f"{what}; extra == '{name}'"
            )
    monkeypatch.setattr(extras, "metadata", lambda name: about)
    monkeypatch.setattr(install_deps, "extras", extras.extras.__wrapped__)
    monkeypatch.setattr(install_deps, "is_installed", lambda name: name == "pytest")
    hide_all(monkeypatch)
    result = run(install_deps.command, "--json", "--extra", extra)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["command"] == f'pip install "copykit[{extra}]"'
    assert all(row["extra"] == extra for row in told["missing"])
    assert "pytest" not in {row["library"] for row in told["missing"]}


def test_markers_decide_what_an_extra_brings_here(monkeypatch):
    """
    A requirement for another system is not missing on this one; an extra of extras brings what they bring.
    """
    about = Message()
    for name in ("a", "b", "whole"):
        about["Provides-Extra"] = name
    for line in (
        "core>=1",
        "One.Thing[x]>=2; extra == 'a'",
        "elsewhere; (sys_platform == 'nowhere') and extra == 'a'",
        'here; sys_platform != "nowhere" and extra == "b"',
        "copykit[a,b]; extra == 'whole'",
    ):
        about["Requires-Dist"] = line
    monkeypatch.setattr(extras, "metadata", lambda name: about)
    found = extras.extras.__wrapped__()
    assert found == {"a": ("one-thing",), "b": ("here",), "whole": ("one-thing", "here")}


def test_all_installs_every_feature_but_the_large_ones():
    """
    A new extra is in ``all`` unless it is one of those that are named here.
    """
    declared = project()["optional-dependencies"]
    (line,) = declared["all"]
    inside = set(line.removeprefix("copykit[").removesuffix("]").split(","))
    assert set(declared) - inside == {"all", "gpu", "lingua", "peers", "test", "dev", "deploy-checks"}


def test_constraints_pin_what_the_tests_are_run_with():
    """
    Every direct requirement of the core and of the extras that CI installs, inside its own bounds.
    """
    pinned = dict(
        line.partition(" ")[0].split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    declared = project()["optional-dependencies"]
    wanted = [line for name in ("test", "dev", "fast", "accel", "peers") for line in declared[name]]
    for line in (*project()["dependencies"], *wanted):
        name, _, least = line.partition(";")[0].strip().partition(">=")
        if name.startswith("copykit["):
            continue
        version = pinned.get(name.lower())
        assert version, f"{name} is not in constraints.txt"
        assert numbers(version) >= numbers(least), name


def test_install_deps_runs_pip_only_when_told(monkeypatch):
    """
    With `--yes` this interpreter's pip gets exactly the printed line, and its status is handed on.
    """
    hide_all(monkeypatch)
    ran = []

    class Done:
        returncode = 7

    def pip(command, **_):
        ran.append(command)
        return Done

    monkeypatch.setattr(install_deps.subprocess, "run", pip)
    monkeypatch.setattr(install_deps, "find_spec", lambda name: object())
    assert run(install_deps.command).exit_code == 0
    assert ran == []
    assert run(install_deps.command, "--yes").exit_code == 7
    assert ran == [[sys.executable, "-m", "pip", "install", "copykit[accel,fast]"]]


def test_install_deps_says_so_where_there_is_no_pip(monkeypatch):
    """
    An environment without pip gets the line to run with its own installer.
    """
    hide_all(monkeypatch)
    monkeypatch.setattr(install_deps, "find_spec", lambda name: None)
    result = run(install_deps.command, "--yes")
    assert result.exit_code == 2
    assert "no pip" in result.stderr


def test_benchmark_gives_figures_with_versions_machine_and_date(monkeypatch):
    """
    `copykit benchmark --json` names what was measured on what, and generates offline.
    """
    monkeypatch.setattr(benchmark, "measure", lambda name: measure(name, rounds=2) if name == "fuzzy" else [])
    result = run(benchmark.command, "--json", "--seconds", "0.1")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["copykit"]
    assert data["python"]
    assert data["machine"]
    assert data["taken_at"].startswith("20")
    works = [row["work"].partition(",")[0] for row in data["generation"]]
    assert works == ["x.post", "x.post", "google_ads.rsa", "google_ads.rsa", "x.post"]
    assert all(row["per_second"] > 0 for row in data["generation"])
