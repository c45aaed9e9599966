"""The simple JSONPath of printer columns: fields, indexes, [*] and equality filters; what is missing finds nothing."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Step = Callable[[Any], list[Any]]

_TOKEN = re.compile(
    r"""\.\.(?P<deep>[\w$-]+)
      | \.(?P<name>(?:\\.|[^.\[\]\\])+)
      | \[\?\((?P<filter>.+?)\)\]
      | \[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<start>-?\d*):(?P<end>-?\d*)\]
      | (?P<star>\[\*\]|\.\*)""",
    re.VERBOSE,
)
_COMPARISON = re.compile(r"^\s*@(?P<path>[^=!<>]*?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*$")


class JSONPathError(ValueError):
    """A path that cannot be read."""


@lru_cache(maxsize=2048)
def compile_path(path: str) -> Step:
    """A function from an object to all values at the path. Raises JSONPathError for a path it cannot read."""
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        raise JSONPathError(f"invalid path {path!r}: must start with '.'")
    steps: list[Step] = []
    position = 0
    while position < len(text):
        if text[position:] == ".":
            break
        match = _TOKEN.match(text, position)
        if not match:
            raise JSONPathError(f"invalid path {path!r} at {text[position:]!r}")
        steps.append(_step(match))
        position = match.end()

    def find(root: Any) -> list[Any]:
        values = [root]
        for step in steps:
            values = [value for node in values for value in step(node)]
        return values

    return find


def _step(match: re.Match[str]) -> Step:
    if match["star"]:
        return _children
    if (name := match["name"]) is not None:
        if name == "*":
            return _children
        return _field(re.sub(r"\\(.)", r"\1", name))
    if match["key"] is not None:
        return _field(match["key"])
    if match["index"] is not None:
        return _item(int(match["index"]))
    if match["start"] is not None:
        part = slice(*(int(bound) if bound else None for bound in (match["start"], match["end"])))
        return lambda value: value[part] if isinstance(value, list) else []
    if match["deep"] is not None:
        return _descendants(match["deep"])
    return _filter(match["filter"])


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _field(name: str) -> Step:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _item(index: int) -> Step:
    return lambda value: [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []


def _descendants(name: str) -> Step:
    def find(value: Any) -> list[Any]:
        direct = [value[name]] if isinstance(value, dict) and name in value else []
        return direct + [deep for child in _children(value) for deep in find(child)]

    return find


def _filter(condition: str) -> Step:
    parsed = _COMPARISON.match(condition)
    if not parsed:
        raise JSONPathError(f"invalid filter {condition!r}")
    inner = compile_path(parsed["path"])
    operator = parsed["op"]
    wanted = _literal(parsed["value"]) if operator else None

    def holds(item: Any) -> bool:
        values = inner(item)
        if not operator:
            return bool(values)
        if not values:
            return False
        have = values[0]
        if operator in ("==", "!="):
            return (have == wanted) is (operator == "==")
        try:
            return bool({"<": have < wanted, "<=": have <= wanted, ">": have > wanted, ">=": have >= wanted}[operator])
        except TypeError:
            return False

    return lambda value: [item for item in _children(value) if holds(item)]


def _literal(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError as problem:
        raise JSONPathError(f"invalid literal {text!r} in a filter") from problem
