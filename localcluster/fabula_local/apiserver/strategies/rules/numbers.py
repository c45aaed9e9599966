"""Bounds on whole numbers and quantities. Rules: k8s.io/apimachinery/pkg/api/validation ValidateNonnegativeField."""

from collections.abc import Iterator, Mapping
from typing import Any

from fabula_kube.quantity import parse_quantity
from fabula_local.schema.errors import FieldError, invalid

NEGATIVE = "must be greater than or equal to 0"
_INT32_MAX = 2**31 - 1


def nonnegative(holder: Mapping[str, Any], path: str, *fields: str) -> Iterator[FieldError]:
    """The named fields of the holder, where they are set, are not below zero."""
    for field in fields:
        if (value := holder.get(field)) is not None and value < 0:
            yield invalid(f"{path}.{field}", value, NEGATIVE)


def positive_int32(holder: Mapping[str, Any], path: str, field: str) -> Iterator[FieldError]:
    """The named field, where it is set, is between 1 and the largest 32-bit number."""
    if (value := holder.get(field)) is not None and not 1 <= value <= _INT32_MAX:
        yield invalid(f"{path}.{field}", value, f"must be between 1 and {_INT32_MAX}, inclusive")


def nonnegative_quantity(value: Any, path: str) -> Iterator[FieldError]:
    """A quantity is not below zero."""
    if parse_quantity(value) < 0:
        yield invalid(path, str(value), NEGATIVE)
