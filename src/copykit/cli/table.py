"""Tables that lose nothing: what does not fit its column goes on in the next line."""

from __future__ import annotations

from typing import Any

from rich.table import Table as _Table

__all__ = ["Table"]


class Table(_Table):
    """A rich table whose cells fold instead of ending in an ellipsis, however narrow the terminal is."""

    def add_column(self, *args: Any, **options: Any) -> None:
        """Add a column, as rich does, with folding as the default."""
        options.setdefault("overflow", "fold")
        super().add_column(*args, **options)
