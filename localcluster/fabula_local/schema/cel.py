"""x-kubernetes-validations: rules in the Common Expression Language, checked on every write of a custom resource."""

from typing import Any

from .errors import FieldError

Object = dict[str, Any]


def compile_errors(schema: Object) -> list[FieldError]:
    """Rules that cannot be used, with paths below the schema; empty when all can."""
    return []
