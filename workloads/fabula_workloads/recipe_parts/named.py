"""What a recipe names as text, imported where it is needed."""

from __future__ import annotations

from typing import TypeVar

from fabula_api.named_function import named_function
from fabula_workloads.runtime.failures import ConfigInvalid

T = TypeVar("T")


def named(recipe: str, what: str, text: str, kind: type[T]) -> T:
    """The object that a recipe names as `module:object`. Raises ConfigInvalid where there is none of that kind."""
    try:
        part = named_function(text)
    except Exception as error:  # whatever the recipe's module raises when it is imported
        why = f"{type(error).__name__}: {error}"
        raise ConfigInvalid(
            f"the recipe {recipe} names its {what} {text}, which this image cannot import: {why}"
        ) from error
    if not isinstance(part, kind):
        raise ConfigInvalid(f"the recipe {recipe} names its {what} {text}, which is a {type(part).__name__}")
    return part
