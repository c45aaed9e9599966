"""Fields of the API whose behaviour has not landed. They are refused, never ignored; to land one, delete its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fabula_api.base import camel, value_at
from fabula_api.recipes import Kind
from fabula_api.specs import Spec


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


NOT_LANDED: tuple[NotLanded, ...] = (NotLanded("EvalRun", "engine", _is("vllm"), "use `transformers`"),)


def first_not_landed(kind: Kind, spec: Spec) -> str | None:
    """A sentence naming the first field whose behaviour has not landed, or None."""
    for row in NOT_LANDED:
        if row.kind == kind and row.refused(value := value_at(spec, row.field)):
            shown = value if isinstance(value, str | int | float | bool) else "set"
            return f"spec.{camel(row.field)}: {shown} is not implemented in this version; {row.instead}"
    return None
