"""Entry point of the ``copykit`` command and of ``python -m copykit``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from copykit.cli.app import app

    app(prog_name="copykit")


if __name__ == "__main__":
    main()
