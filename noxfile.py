"""Maintainers' sessions: tests on each Python found, core only and with everything; types; lint; docs; bench."""

import shutil

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "typing", "lint", "docs_examples"]
PYTHONS = [v for v in ("3.11", "3.12", "3.13", "3.14") if shutil.which(f"python{v}")]
SETS = {"core": "test", "everything": "test,fast,accel"}


@nox.session(python=PYTHONS)
@nox.parametrize("extras", [nox.param(value, id=name) for name, value in SETS.items()])
def tests(session: nox.Session, extras: str) -> None:
    """Run the test suite with one set of packages."""
    session.install("-e", f".[{extras}]")
    session.run("pytest", "-q", *session.posargs)


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types, strictly."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and that every public thing has a docstring."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("interrogate", "-q", "src/copykit")


@nox.session
def docs_examples(session: nox.Session) -> None:
    """Run the examples and every snippet of README and docs."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "tests/test_examples.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Print the figures of the docs; never a gate."""
    session.install("-e", ".[fast,accel]")
    for script in ("import_time", "generation_rate", "cached_hit", "batch_overhead"):
        session.run("python", f"benchmarks/{script}.py", *session.posargs)
