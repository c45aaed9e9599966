"""meta.k8s.io/v1 Tables: what `kubectl get` prints, one row an object.

Kinds with printer columns are read by JSONPath; built-in kinds have printers of their own, as on a real cluster.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fabula_local.resource import Resource

from .age import age
from .errors import go_float
from .json_path import compile_path
from .printers import PRINTERS
from .printing import Column, Printer

Object = dict[str, Any]

_NAME = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a"
    " client to request the generation of an appropriate name automatically. Name is primarily intended for creation"
    " idempotence and configuration definition. Cannot be updated."
)
_DEFAULT_COLUMNS = ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},)

_printers: dict[int, tuple[Resource, Printer]] = {}


def table(resource: Resource, objects: list[Object], include: str, now: datetime) -> Object:
    """The Table of the objects. `include` is the includeObject parameter: "None", "Metadata" (default) or "Object"."""
    known = _printers.get(id(resource))
    if known is None:
        known = _printers[id(resource)] = (resource, _printer(resource))
    printer = known[1]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [_definition(column) for column in printer.columns],
        "rows": [_row(printer, obj, include, now) for obj in objects],
    }


def _row(printer: Printer, obj: Object, include: str, now: datetime) -> Object:
    row: Object = {"cells": printer.cells(obj, now)}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj.get("metadata", {}),
        }
    return row


def _definition(column: Column) -> Object:
    name, kind, priority, description, format_ = column
    if name == "Name" and format_ == "name":
        description = description or _NAME
    return {"name": name, "type": kind, "format": format_, "description": description, "priority": priority}


def _printer(resource: Resource) -> Printer:
    if not resource.printer_columns and (printer := PRINTERS.get(resource.group_resource)):
        return printer
    declared = resource.printer_columns or _DEFAULT_COLUMNS
    columns: list[Column] = [("Name", "string", 0, "", "name")]
    cells: list[Callable[[Object, datetime], Any]] = []
    for column in declared:
        kind, path = column["type"], column["jsonPath"]
        text = column.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
        columns.append((column["name"], kind, int(column.get("priority", 0)), str(text), str(column.get("format", ""))))
        cells.append(_cell(kind, path))
    return Printer(columns, lambda obj, now: [obj["metadata"]["name"], *(cell(obj, now) for cell in cells)])


def _cell(kind: str, path: str) -> Callable[[Object, datetime], Any]:
    find = compile_path(path)

    def show(obj: Object, now: datetime) -> Any:
        values = find(obj)
        if not values:
            return None
        if kind == "string":
            return " ".join(_text(value) for value in values)
        value = values[0]
        if kind == "date":
            return age(value, now) if isinstance(value, str) else None
        if kind == "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        if kind == "number":
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        return value if kind == "boolean" and isinstance(value, bool) else None

    return show


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, float):
        return go_float(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
