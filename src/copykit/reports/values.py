"""Kinds of values that reports are made of; the bounds stand in the published schemas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["Breaker", "Bytes", "Count", "Masked", "Share", "Usd"]

Count = Annotated[int, Field(ge=0)]
"""How many."""
Bytes = Annotated[int, Field(ge=0)]
"""How large."""
Usd = Annotated[float, Field(ge=0)]
"""How many US dollars."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A part of one."""
Breaker = Literal["closed", "open", "half_open"]
"""Of a target: it is asked; it is left alone; a few calls find out whether it answers again."""
Masked = Literal["***"]
"""What stands for a secret."""
