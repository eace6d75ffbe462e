"""Regular expressions that are compiled at their first use.

Importing the whole engine would otherwise compile several hundred patterns of which one request needs a few;
`benchmarks/import_time.py` shows what that saves.
"""

from __future__ import annotations

import re
from typing import Any, cast

__all__ = ["lazy"]


class _Lazy:
    """Stands for a pattern until it is asked for anything, then keeps the pattern's own methods."""

    def __init__(self, source: str, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        pattern = re.compile(self._source, self._flags)
        for method in (
            "search",
            "match",
            "fullmatch",
            "sub",
            "subn",
            "findall",
            "finditer",
            "split",
            "pattern",
        ):
            setattr(self, method, getattr(pattern, method))
        return getattr(pattern, name)


def lazy(source: str, flags: int | re.RegexFlag = 0) -> re.Pattern[str]:
    """Give a pattern for *source* that is compiled when one of its methods is first used.

    It has the methods of a compiled pattern; functions of `re` that take a pattern do not accept it. A faulty
    *source* raises `re.error` at that first use.
    """
    return cast("re.Pattern[str]", _Lazy(source, int(flags)))
