"""The fields of a model by their dotted snake_case paths, as stages and recipes name them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation, with or without None beside it."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def field_at(model: type[BaseModel], path: str) -> FieldInfo | None:
    """The field of a model at a path; None where there is none."""
    head, _, rest = path.partition(".")
    field = model.model_fields.get(head)
    if field is None or not rest:
        return field
    below = model_in(field.annotation)
    return None if below is None else field_at(below, rest)


def model_at(model: type[BaseModel], path: str) -> type[BaseModel] | None:
    """The model of the block at a path, the model itself at none; None where there is no block."""
    if not path:
        return model
    field = field_at(model, path)
    return None if field is None else model_in(field.annotation)


def can_be_read(model: type[BaseModel], path: str) -> bool:
    """Whether a value of the model has something at the path: a field, or a property at its end."""
    above, _, last = path.rpartition(".")
    owner = model_at(model, above)
    if owner is None:
        return False
    return last in owner.model_fields or isinstance(getattr(owner, last, None), property | cached_property)


def fields_named(model: type[BaseModel], name: str, path: str = "") -> Iterator[str]:
    """Paths of all fields of that name; those of a list's entries stand behind `[].`."""
    for field_name, field in model.model_fields.items():
        here = f"{path}{field_name}"
        if field_name == name:
            yield here
        elif (below := model_in(field.annotation)) is not None:
            yield from fields_named(below, name, f"{here}[]." if get_origin(field.annotation) is list else f"{here}.")
