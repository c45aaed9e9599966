"""Fields of the API whose behaviour has not landed. They are refused, never ignored; to land one, delete its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fabula_api.recipes import Kind
from fabula_api.worker import Spec


@dataclass(frozen=True, slots=True)
class NotLanded:
    """One field, and which of its values cannot be had yet."""

    kind: Kind
    field: str
    """Dotted path in snake_case."""
    refused: Callable[[Any], bool]
    instead: str
    """What a person can do today."""


def _is(*values: object) -> Callable[[Any], bool]:
    return lambda value: value in values


def _given(value: object) -> bool:
    return bool(value)


NOT_LANDED: tuple[NotLanded, ...] = (
    NotLanded("EvalRun", "engine", _is("vllm"), "use `transformers`"),
    NotLanded("EvalRun", "judges", _given, "leave them out"),
)


def value_at(spec: Any, path: str) -> Any:
    """The value of a spec's field by its dotted snake_case path."""
    for part in path.split("."):
        spec = getattr(spec, part)
    return spec


def camel(path: str) -> str:
    """A dotted snake_case path as a person writes it in YAML."""

    def one(part: str) -> str:
        head, *tail = part.split("_")
        return head + "".join(word.capitalize() for word in tail)

    return ".".join(one(part) for part in path.split("."))


def first_not_landed(kind: Kind, spec: Spec) -> str | None:
    """A sentence naming the first field whose behaviour has not landed, or None."""
    for row in NOT_LANDED:
        if row.kind == kind and row.refused(value := value_at(spec, row.field)):
            shown = value if isinstance(value, str | int | float | bool) else "set"
            return f"spec.{camel(row.field)}: {shown} is not implemented in this version; {row.instead}"
    return None
