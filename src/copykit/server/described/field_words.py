"""What the models say of their fields, for the published schemas: the words stand in the source, and only there."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from itertools import pairwise
from types import ModuleType
from typing import Any

__all__ = ["describe", "describe_as"]


def describe(schemas: dict[str, Any], *modules: ModuleType) -> None:
    """Add to the schemas of the models of *modules* what each class says of itself and of its fields.

    Where a schema says something of a field already, both stand. Without source files only classes speak.
    """
    for module in modules:
        for name, model in vars(module).items():
            if name in schemas and isinstance(model, type) and model.__module__ == module.__name__:
                schemas[name]["description"] = _markdown((model.__doc__ or "").partition("\n\n")[0])
                describe_as(schemas[name], model)


def describe_as(schema: dict[str, Any], model: type[Any]) -> None:
    """Add to *schema* what the class *model*, whose fields have the same names, says of them."""
    for field, words in _words(model).items():
        told = schema["properties"].get(field)
        if told is not None:
            own = told.get("description")
            told["description"] = _markdown(f"{words} {own}" if own else words)


def _words(model: type[Any]) -> dict[str, str]:
    """Give the strings that stand below the fields of *model*'s class; of several fields in a row the last has it.

    Those of a class of the same module above it count too, which a ``TypedDict`` does not remember itself.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError):
        return {}
    (made,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    beside = vars(sys.modules[model.__module__])
    found: dict[str, str] = {}
    for base in made.bases:
        above = beside.get(base.id) if isinstance(base, ast.Name) else None
        if isinstance(above, type) and above.__module__ == model.__module__:
            found |= _words(above)
    for before, node in pairwise(made.body):
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
