"""What the models say of their fields, for the published schemas: the words stand in the source, and only there."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from types import ModuleType
from typing import Any

from pydantic import BaseModel

__all__ = ["describe"]


def describe(schemas: dict[str, Any], *modules: ModuleType) -> None:
    """Add to the schemas of the models of *modules* what each class says of itself and of its fields.

    Where a schema says something of a field already, both stand. Without source files only classes speak.
    """
    models = {name: found for module in modules for name, found in vars(module).items() if name in schemas}
    for name, model in models.items():
        schema = schemas[name]
        schema["description"] = _markdown((model.__doc__ or "").partition("\n\n")[0])
        for field, words in _words(model).items():
            told = schema["properties"].get(field)
            if told is not None:
                own = told.get("description")
                told["description"] = _markdown(f"{words} {own}" if own else words)


def _words(model: type[BaseModel]) -> dict[str, str]:
    """Give the strings that stand below the fields of *model*'s class; of several fields in a row the last has it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError):
        return {}
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    found = {}
    for before, node in pairwise(body):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            found[before.target.id] = inspect.cleandoc(node.value.value)
    return found


def _markdown(text: str) -> str:
    """Give *text* as pages of OpenAPI read it: on one line, code in single marks."""
    return " ".join(text.replace("``", "`").split())
