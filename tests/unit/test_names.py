"""A thing has the name that the field has for it: `one`, `found` and `own` say nothing about what they stand for.

In a comprehension `one` may stand where the element has no name; everywhere else it has.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "crds", "kube", "operator", "workloads", "quickstart", "localcluster", "charts", "benchmarks", "images",
    "tests/support",
)  # fmt: skip
SAYING_NOTHING = frozenset({"one", "found", "own"})
_WORDS = re.compile(rf"\b_*({'|'.join(SAYING_NOTHING)})_*\b")


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What a file names, with the line: variables, parameters, attributes, functions and classes."""
    elements: set[int] = set()
    for node in ast.walk(tree):  # a comprehension comes before the names in it
        match node:
            case ast.comprehension(target=target):
                elements.update(id(name) for name in ast.walk(target))
            case ast.Name(id=name, ctx=ast.Store(), lineno=line) if not (name == "one" and id(node) in elements):
                yield name, line
            case ast.Attribute(attr=name, lineno=line) | ast.arg(arg=name, lineno=line):
                yield name, line
            case ast.FunctionDef(name=name, lineno=line) | ast.AsyncFunctionDef(name=name, lineno=line):
                yield name, line
            case ast.ClassDef(name=name, lineno=line):
                yield name, line


def saying_nothing(source: str) -> list[tuple[str, int]]:
    """Such names in a file, private ones too."""
    if not _WORDS.search(source):
        return []
    return [(name, line) for name, line in names(ast.parse(source)) if name.lstrip("_") in SAYING_NOTHING]


@pytest.mark.parametrize(
    "source",
    [
        "one = 1", "for one in runs: pass", "def f(one): pass", "def one(): pass", "lambda one: one", "run.own",
        "class C:\n    own: str", "if found := f(): pass", "[found for found in runs]", "with f() as (found, _): pass",
        "async def _one(): pass", "self._own",
    ],
)  # fmt: skip
def test_a_name_that_says_nothing_is_seen(source: str) -> None:
    assert saying_nothing(source)


def test_an_element_without_a_name_may_be_called_one() -> None:
    assert not saying_nothing("first = min(one for one in seconds if one)")


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_named_is_named_for_what_it_is(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert [
        f"{path.relative_to(ROOT)}:{line}: {name}" for path in files for name, line in saying_nothing(path.read_text())
    ] == []
