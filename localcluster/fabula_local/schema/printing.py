"""What the printers of all kinds share: columns, ages, selectors and the cells of a pod template."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from .age import UNKNOWN, age

Object = dict[str, Any]
Column = tuple[str, str, int, str, str]
"""Name, type, priority, description, format."""


class Printer(NamedTuple):
    """How one kind is shown: its columns and a function from object and time to cells."""

    columns: list[Column]
    cells: Callable[[Object, datetime], list[Any]]


NONE = "<none>"
_INTEGERS = frozenset(
    (
        "Desired",
        "Current",
        "Up-to-date",
        "Available",
        "Data",
        "Secrets",
        "Count",
        "Value",
    )
)


def columns(shown: str, wide: str = "") -> list[Column]:
    """Column definitions of names joined by "|", those of priority 0 first."""
    result: list[Column] = []
    for names, priority in ((shown, 0), (wide, 1)):
        for name in filter(None, names.split("|")):
            kind = "integer" if name in _INTEGERS else "date" if name == "Created At" else "string"
            result.append((name, kind, priority, "", "name" if name == "Name" and not priority else ""))
    return result


def parts(obj: Object) -> tuple[str, Object, Object]:
    """Name, spec and status of an object."""
    return obj["metadata"].get("name", ""), obj.get("spec") or {}, obj.get("status") or {}


def object_age(obj: Object, now: datetime) -> str:
    """How old the object is."""
    return age(obj["metadata"].get("creationTimestamp"), now)


def created_at(obj: Object) -> str:
    """When the object was created."""
    return str(obj["metadata"].get("creationTimestamp", UNKNOWN))


def containers(template: Object) -> list[str]:
    """Names and images of a pod template."""
    containers = template.get("spec", {}).get("containers", [])
    return [",".join(container.get(field, "") for container in containers) for field in ("name", "image")]


def selector_text(selector: Object | None) -> str:
    """A LabelSelector, or plain labels, in the form that kubectl takes."""
    if not selector:
        return NONE
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or NONE
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or []:
        values = f"({','.join(sorted(rule.get('values') or []))})"
        forms = {"In": f" in {values}", "NotIn": f" notin {values}", "Exists": ""}
        operator = rule.get("operator")
        parts.append(f"!{rule['key']}" if operator == "DoesNotExist" else rule["key"] + forms.get(operator, ""))
    return ",".join(parts) or NONE


def has_condition(status: Object, kind: str) -> bool:
    """Whether a condition is True."""
    return any(
        condition.get("type") == kind and condition.get("status") == "True"
        for condition in status.get("conditions") or []
    )


def simple_printer(shown: str, *cells: Callable[[Object], Any], wide: str = "") -> Printer:
    """A printer whose first cell is the name; "Age" cells are filled in where the column is named so."""
    names = shown.split("|")[1:] + [column for column in wide.split("|") if column]
    getters = iter(cells)
    order = [None if name == "Age" else next(getters) for name in names]

    def cells_of(obj: Object, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], *(object_age(obj, now) if cell is None else cell(obj) for cell in order)]

    return Printer(columns(shown, wide), cells_of)
