"""Entry point of the ``copykit`` command and of ``python -m copykit``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    import sys
    from io import TextIOWrapper

    try:
        from copykit.cli.app import app
    except KeyboardInterrupt:  # later ones typer answers, with the same status
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a terminal that cannot show a character shows its number, and no command ends in a traceback
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="copykit")


if __name__ == "__main__":
    main()
