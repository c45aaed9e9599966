"""Field errors in the words of Kubernetes, because people and tools read them on a real cluster too.

Wording: apimachinery field.Error and kube-openapi validation errors.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

OMITTED = object()
"""In place of a value that a message does not show: an object or a list that breaks a CEL rule."""
UNDECODABLE = "Undecodable"
"""The reason of an error that no 422 carries: built-in kinds are decoded into Go types, and that fails with 400."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One cause of a 422 answer.

    `reason` is a CauseType such as "FieldValueInvalid"; `message` is the body without the "field: " prefix.
    """

    reason: str
    field: str
    message: str


def go_float(value: float) -> str:
    """The number as Go's %v prints it: shortest digits, an exponent below -4 or from 6 on (0.05, 100000, 1e+06)."""
    if value == 0:
        return "0"
    sign, digits, point = Decimal(repr(float(value))).normalize().as_tuple()
    assert isinstance(point, int)
    exponent = len(digits) + point - 1
    minus = "-" if sign else ""
    text = "".join(map(str, digits))
    if -4 <= exponent < 6:
        return minus + format(Decimal((0, digits, point)), "f")
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{minus}{text[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def quoted(text: str) -> str:
    """The text as Go's %q prints it."""
    return json.dumps(text, ensure_ascii=False)


def shown(value: Any) -> str:
    """The value as the body of a field error shows it: plain scalars, quoted strings, else JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return go_float(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    """A value that breaks a bound, a pattern or a rule."""
    return FieldError("FieldValueInvalid", field, _body(_about("Invalid value", value), detail))


def type_invalid(field: str, value: Any, detail: str) -> FieldError:
    """A value of another type or format than the schema asks."""
    return FieldError("FieldValueTypeInvalid", field, _body(f"Invalid value: {shown(value)}", detail))


def undecodable(field: str, why: str) -> FieldError:
    """A text that cannot be what its field holds, such as a quantity; the request is not read any further."""
    return FieldError(UNDECODABLE, field, why)


def required(field: str, detail: str = "") -> FieldError:
    """A missing field."""
    return FieldError("FieldValueRequired", field, _body("Required value", detail))


def forbidden(field: str, detail: str) -> FieldError:
    """A field that may not be set here."""
    return FieldError("FieldValueForbidden", field, _body("Forbidden", detail))


def not_found(field: str, value: Any) -> FieldError:
    """A name of something that is not there."""
    return FieldError("FieldValueNotFound", field, f"Not found: {shown(value)}")


def duplicate(field: str, value: Any) -> FieldError:
    """A second item with the same identity."""
    return FieldError("FieldValueDuplicate", field, _about("Duplicate value", value))


def not_supported(field: str, value: Any, allowed: list[Any]) -> FieldError:
    """A value outside an enumeration."""
    names = [item if isinstance(item, str) else json.dumps(item) for item in allowed]
    detail = f"supported values: {', '.join(quoted(name) for name in names)}" if names else ""
    return FieldError("FieldValueNotSupported", field, _body(f"Unsupported value: {shown(value)}", detail))


def too_long(field: str, limit: int) -> FieldError:
    """A string over its length; the value itself is never shown."""
    return FieldError(
        "FieldValueTooLong", field, f"Too long: may not be more than {limit} byte{'' if limit == 1 else 's'}"
    )


def too_many(field: str, actual: int, limit: int) -> FieldError:
    """A list or map over its size."""
    return FieldError(
        "FieldValueTooMany", field, f"Too many: {actual}: must have at most {limit} item{'' if limit == 1 else 's'}"
    )


def _about(head: str, value: Any) -> str:
    return head if value is OMITTED else f"{head}: {shown(value)}"


def _body(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head
