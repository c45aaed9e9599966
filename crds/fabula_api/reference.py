"""The API reference in Markdown, from the same schemas as the CRDs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fabula_api.base import API_VERSION
from fabula_api.crd import crd
from fabula_api.recipes import API_KINDS, Kind

Schema = dict[str, Any]


def _type(schema: Schema) -> str:
    kind = schema.get("type", "object")
    if kind == "array":
        return f"[]{_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map[string]{_type(schema['additionalProperties'])}"
    return str(kind)


def _bounds(schema: Schema) -> str:
    parts: list[str] = []
    if "enum" in schema:
        parts.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        parts.append(f"{'>' if schema.get('exclusiveMinimum') else '>='} {low}")
    if high is not None:
        parts.append(f"{'<' if schema.get('exclusiveMaximum') else '<='} {high}")
    if "multipleOf" in schema:
        parts.append(f"a multiple of {schema['multipleOf']}")
    return ", ".join(parts)


def _said_here(field: Schema) -> Any:
    """The field's default, without what the rows of the fields below it say themselves."""
    default, below = field.get("default"), field.get("properties")
    if not isinstance(default, dict) or not below:
        return default
    return {name: value for name, value in default.items() if value != below[name].get("default")}


def _rows(schema: Schema, path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        default = _said_here(field)
        shown = "required" if name in required else "" if default in (None, {}, []) else f"`{default}`"
        if default is True or default is False:
            shown = f"`{str(default).lower()}`"
        about = " ".join(str(field.get("description", "")).split()).replace("|", "\\|")
        if bounds := _bounds(field):
            about = f"{about} ({bounds})".strip()
        yield f"| `{here}` | {_type(field)} | {shown} | {about} |"
        if isinstance(values := field.get("additionalProperties"), dict):
            yield from _rows(values, here + "{}")
            continue
        inner = field["items"] if field.get("type") == "array" else field
        yield from _rows(inner, here + ("[]" if field.get("type") == "array" else ""))


def _section(kind: Kind) -> Iterator[str]:
    version = crd(kind)["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    yield f"## {kind}"
    yield ""
    yield f"`{API_KINDS[kind].plural}`, short `{API_KINDS[kind].short}`. {root['description']}"
    for part in ("spec", "status"):
        yield ""
        yield f"### {kind}.{part}"
        yield ""
        yield "| Field | Type | Default | |"
        yield "|---|---|---|---|"
        yield from _rows(root["properties"][part], "")
    yield ""
    yield f"### {kind}: what cannot change, and rules between fields"
    yield ""
    for rule in _rules(root, ""):
        yield f"* {rule}"


def _rules(schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        where = (path + rule.get("fieldPath", "")).lstrip(".")
        yield f"`{where or 'the object'}`: {rule['message']}."
    for name, field in schema.get("properties", {}).items():
        inner = field["items"] if field.get("type") == "array" else field
        yield from _rules(inner, f"{path}.{name}")


def reference() -> str:
    """The whole page."""
    lines = [
        "# API reference",
        "",
        f"Group and version `{API_VERSION}`, category `fabula`. Generated from the models in `crds/fabula_api`;"
        " `kubectl explain` shows the same text.",
        "",
    ]
    for kind in API_KINDS:
        lines += [*_section(kind), ""]
    return "\n".join(lines)
