"""Standing guards over the house: layers, cycles, exports, docstrings, a light import."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import copykit

SRC = Path(copykit.__file__).parent
LAYERS = {
    "errors": 0,
    "events": 0,
    "data": 0,
    "lazy": 0,
    "models": 1,
    "accel": 1,
    "settings": 1.5,
    "stream_events": 1.5,
    "legacy": 1.5,
    "problems": 1.5,
    "reports": 1.5,
    "background": 1.5,
    "performance": 1.75,
    "brief": 2,
    "drafts": 2.5,
    "providers": 3,
    "caching": 3,
    "feeds": 3,
    "flight": 3,
    "routing": 3.5,
    "writing": 4,
    "sharing": 4,
    "work": 4,
    "streaming": 4,
    "engine": 4.25,
    "batch": 4.5,
    "economy": 4.75,
    "stats": 4,
    "service": 5,
    "sync": 6,
    "langchain": 6.5,
    "client": 5.5,
    "cli": 6,
    "server": 5.5,
    "__main__": 7,
    "testing": 9,
}
"""Room to layer; a module imports only from lower numbers or its own room. Fractions settle siblings that may."""
SIBLINGS = {"providers", "caching", "feeds", "flight"}


def modules() -> dict[str, Path]:
    """Map dotted names below copykit to files."""
    found = {}
    for path in SRC.rglob("*.py"):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, dotted: str) -> set[str]:
    """List the copykit modules that the file imports at any depth, relative to copykit, type-checking ones left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    package = dotted.split(".") if path.name == "__init__.py" else dotted.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "copykit"}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                stem = package[: len(package) - node.level + 1]
                base = ".".join(["copykit", *stem, *([node.module] if node.module else [])])
            if base.split(".")[0] == "copykit":
                found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    names = modules()
    inner = {name.removeprefix("copykit").lstrip(".") for name in found}
    return {name for name in inner if name in names or name == ""}


def test_imports_go_only_down() -> None:
    """A room imports from lower layers or from itself; siblings of the effects layer leave each other alone."""
    wrong = []
    for dotted, path in modules().items():
        room = dotted.split(".")[0]
        if not room:
            continue
        for target in imports(path, dotted):
            other = target.split(".")[0]
            if not other or other == room:
                continue
            if LAYERS[other] >= LAYERS[room] or {room, other} <= SIBLINGS:
                wrong.append(f"{dotted} imports {target}")
    assert not wrong


def test_nothing_inside_imports_the_package_door() -> None:
    """`copykit/__init__` is for users: importing it from inside would make a cycle."""
    wrong = [
        d
        for d, p in modules().items()
        if d and "from copykit import" in p.read_text(encoding="utf-8") and not _only_rooms(p)
    ]
    assert not wrong


def _only_rooms(path: Path) -> bool:
    names = modules()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return all(
        alias.name in names
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "copykit" and not node.level
        for alias in node.names
    )


def test_there_is_no_import_cycle() -> None:
    """Following imports from any module never comes back to it."""
    graph = {d: imports(p, d) - {d, ""} for d, p in modules().items() if d}
    # importing a name from a package imports the package's own module first
    done: set[str] = set()

    def visit(node: str, trail: tuple[str, ...]) -> None:
        assert node not in trail, " -> ".join((*trail[trail.index(node) :], node))
        if node in done:
            return
        for other in sorted(graph.get(node, ())):
            if not (other in graph and node.startswith(other + ".")):
                visit(other, (*trail, node))
        done.add(node)

    for name in graph:
        visit(name, ())


def test_exports_exist_and_are_all_there_is() -> None:
    """Every name of `copykit.__all__` can be had, and each public module's `__all__` names what it defines."""
    assert sorted(copykit.__all__) == list(copykit.__all__)
    for name in copykit.__all__:
        assert getattr(copykit, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Servise'"):
        copykit.Servise  # noqa: B018
    for info in pkgutil.walk_packages([str(SRC)], "copykit."):
        if info.name.startswith("copykit.cli") or info.name == "copykit.__main__":
            continue
        try:
            module = importlib.import_module(info.name)
            missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        except ImportError as error:  # an extra is absent: where it is there the names are looked at
            if (error.name or "").partition(".")[0] == "copykit":
                raise
            continue
        assert not missing, f"{info.name}.__all__ names {missing}"


def test_every_public_thing_has_a_docstring() -> None:
    """Modules, public classes, functions and methods all say what they give."""
    silent = []
    for dotted, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            silent.append(dotted)
        silent += [f"{dotted}.{name}" for name in _silent(tree, "")]
    assert not silent


def _silent(node: ast.AST, prefix: str) -> list[str]:
    found = []
    for child in getattr(node, "body", ()):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name.startswith("_"):
                continue
            overload = any("overload" in ast.unparse(d) for d in child.decorator_list)
            if not ast.get_docstring(child) and not overload:
                found.append(prefix + child.name)
            if isinstance(child, ast.ClassDef):
                found += _silent(child, f"{prefix}{child.name}.")
    return found


def test_importing_copykit_is_light() -> None:
    """
    `import copykit` and its models load no optional package, nothing of the command line, no network library,
    and read no environment variable.
    """
    code = (
        "import os, sys\n"
        "class Watch(dict):\n"
        "    pass\n"
        "seen = []\n"
        "get = os.environ.__class__.__getitem__\n"
        "os.environ.__class__.__getitem__ = lambda self, key: seen.append(key) or get(self, key)\n"
        "before = set(sys.modules)\n"
        "import copykit\n"
        "copykit.CopywritingInput\n"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before}))\n"
        "print([k for k in seen if 'COPYKIT' in k or 'API' in k or 'REDIS' in k])\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    ).stdout.splitlines()
    loaded = set(ast.literal_eval(out[0]))
    heavy = "typer rich click httpx2 httpx orjson numpy numba cupy msgspec regex jinja2 tenacity genai_prices"
    assert not loaded & {*heavy.split(), "pydantic_settings", "cachetools", "anyio", "uvloop"}
    assert ast.literal_eval(out[1]) == []


def test_the_engine_stays_readable() -> None:
    """`engine.py` keeps to about one screen a step: under 200 lines, no function beyond 45."""
    text = (SRC / "engine.py").read_text(encoding="utf-8")
    assert text.count("\n") < 200
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 45, node.name


def test_whatever_uses_the_store_goes_on_to_its_end() -> None:
    """A function with a transaction is behind `to_the_end`, or is called within its file by such ones alone."""
    loose = []
    for path in sorted((SRC / "server").rglob("*.py")):
        functions = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.AsyncFunctionDef)
        ]
        whole = {f.name for f in functions if any("to_the_end" in ast.unparse(d) for d in f.decorator_list)}
        calls = {
            f.name: {_called(node) for node in ast.walk(f) if isinstance(node, ast.Call)} for f in functions
        }
        for _ in functions:  # until nothing is added any more, at most once for each
            for name in calls.keys() - whole:
                callers = {other for other, called in calls.items() if name in called and other != name}
                if callers and callers <= whole:
                    whole.add(name)
        loose += [
            f"{path.name}: {name}"
            for name, called in calls.items()
            if called & {"writing", "reading"} and name not in whole
        ]
    assert loose == []


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_no_data_format_that_runs_code_is_read() -> None:
    """No pickle, marshal, shelve, eval or exec anywhere in the package."""
    banned = {"pickle", "marshal", "shelve"}
    for dotted, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not banned & {a.name for a in node.names}, dotted
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, dotted
