"""The ``copykit`` command: one file a verb, put together here."""

from __future__ import annotations

from typing import Annotated

import typer

from copykit.cli import (
    batch,
    benchmark,
    catalog,
    check,
    economy,
    generate,
    health,
    install_deps,
    keys,
    providers,
    run,
)

__all__ = ["app"]

app = typer.Typer(
    help="Briefs in, publishable marketing copy out.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"copykit {version('copykit')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop."),
    ] = False,
) -> None:
    """Briefs in, publishable marketing copy out: inside the limits, on brand, in the right language."""


app.command("generate")(generate.command)
app.command("batch")(batch.command)
app.command("batch-jobs")(economy.command)
app.add_typer(catalog.app, name="catalog")
app.command("providers")(providers.command)
app.command("run")(run.command)
app.command("health")(health.command)
app.add_typer(keys.app, name="keys")
app.command("check")(check.command)
app.command("benchmark")(benchmark.command)
app.command("install-deps")(install_deps.command)
