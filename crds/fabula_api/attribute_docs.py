"""What a model's source says below each field, read when a schema is made of it and not whenever a program starts.

pydantic's `use_attribute_docstrings` looks for the source of each class as it is defined, in all loaded modules.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import BaseModel


@cache
def attribute_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """Field names to the text below them; those that a model inherits come from where they are declared last."""
    texts: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        for name in inspect.get_annotations(owner):
            texts.pop(name, None)
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            texts |= _classes(owner.__module__).get(owner.__qualname__, {})
    return texts


@cache
def _classes(module: str) -> Mapping[str, Mapping[str, str]]:
    """The texts of each class of a module, by its qualified name; none where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError, KeyError):
        return {}
    return dict(_below(tree, ""))


def _below(node: ast.AST, place: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.ClassDef):
            yield f"{place}{inner.name}", _texts(inner)
            yield from _below(inner, f"{place}{inner.name}.")
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _below(inner, f"{place}{inner.name}.<locals>.")
        else:
            yield from _below(inner, place)


def _texts(node: ast.ClassDef) -> dict[str, str]:
    texts = {}
    for field, text in zip(node.body, node.body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(said))),
            ):
                texts[name] = inspect.cleandoc(said)
    return texts
