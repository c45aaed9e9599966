"""`values.yaml`, `values.schema.json` and the table of the README, from the models in `values`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fabula_api.attribute_docs import attribute_docs
from fabula_chart.values import ChartValues, Values

WIDTH = 118
_HIDDEN = {"global"}


def schema() -> str:
    """JSON Schema of the values: what Helm checks before it renders anything."""
    made = ChartValues.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **_draft_07(made)}, indent=2) + "\n"


def _draft_07(node: Any) -> Any:
    """Pydantic writes 2020-12; of what it uses, draft 7 names `$defs` otherwise and ignores siblings of `$ref`."""
    if isinstance(node, list):
        return [_draft_07(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {
        ("definitions" if key == "$defs" else key): _draft_07(value)
        for key, value in node.items()
        if key not in ("title",) or isinstance(value, dict)
    }
    if "patternProperties" in made:
        made["additionalProperties"] = False  # else a name that keeps to no pattern would be let through
    if "$ref" in made:
        reference = made.pop("$ref").replace("#/$defs/", "#/definitions/")
        made = {key: value for key, value in made.items() if key != "default"}
        return {"allOf": [{"$ref": reference}], **made} if made else {"$ref": reference}
    return made


def values_yaml() -> str:
    """The commented file of defaults."""
    head = (
        "# Generated from charts/fabula_chart/values.py by `make generate`. Do not edit; give a file of your own to\n"
    )
    head += "# `helm install -f`, with only what differs.\n"
    return head + "\n".join(_block(ChartValues(), "")) + "\n"


def _block(values: Values, indent: str) -> Iterator[str]:
    for key, field, value in _fields(values):
        if not indent:
            yield ""
        for line in textwrap.wrap(_about(field), WIDTH - len(indent)):
            yield f"{indent}# {line}"
        if isinstance(value, list) and (entry := _item_model(field)) is not None:
            parts = ", ".join(part.alias or name for name, part in entry.model_fields.items())
            words = f"An entry has: {parts}."
            yield from (f"{indent}# {line}" for line in textwrap.wrap(words, WIDTH - len(indent)))
        if isinstance(value, Values):
            yield f"{indent}{key}:"
            yield from _block(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_flow(value)}"


def _fields(values: Values) -> Iterator[tuple[str, FieldInfo, Any]]:
    for name, field in type(values).model_fields.items():
        key = field.alias or name
        if key not in _HIDDEN:
            yield key, field, getattr(values, name)


def _about(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def table() -> str:
    """Rows of the README: path, default and meaning of each value."""
    rows = ["| Value | Default | |", "|---|---|---|"]
    rows += _rows(ChartValues, ChartValues(), "")
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], values: Values | None, path: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in _HIDDEN:
            continue
        here = f"{path}.{key}" if path else key
        value = getattr(values, name) if values is not None else None if field.is_required() else field.get_default()
        if isinstance(value, Values):
            yield from _rows(type(value), value, here)
            continue
        shown = (
            "required" if field.is_required() and values is None else f"`{_flow(value)}`" if value is not None else ""
        )
        # Models of the API keep their descriptions apart.
        about = _about(field) or " ".join(attribute_docs(model).get(name, "").split())
        yield f"| `{here}` | {shown} | {about.replace('|', chr(92) + '|')} |"
        if (inner := _item_model(field)) is not None:
            yield from _rows(inner, None, here + ("[]" if isinstance(value, list) else ""))


def _item_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a list's items, or of an optional block."""
    for argument in getattr(field.annotation, "__args__", ()):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument
    return None
