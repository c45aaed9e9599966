"""From pydantic's JSON Schema to the structural schema of a CRD.

pydantic emits references, nulls and numeric exclusive bounds; a CRD wants none of them, a bound for everything that can
grow, and defaults where the API server fills them in.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

Schema = dict[str, Any]

_KEPT = {
    "type", "format", "enum", "default", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", "description",
}  # fmt: skip
_UNBOUNDED = {"string": ("maxLength", 2048), "array": ("maxItems", 256), "object": ("maxProperties", 256)}
_RULES = "x-kubernetes-validations"


def spec_structural(model: type[BaseModel]) -> Schema:
    """The schema of a spec, or of a part of one: with defaults, but for those of the entries of lists."""
    return _plain_entries(_with_block_defaults(_structural(model), model))


def status_structural(model: type[BaseModel]) -> Schema:
    """The schema of a status. It says what was seen; what was not seen is absent rather than a default."""
    return _without_defaults(_structural(model))


def explained(schema: Schema, *, given: bool) -> Schema:
    """The schema for `kubectl explain`, which wraps lines and shows neither defaults nor bounds: each description is
    one line, and where a person gives the field it tells both."""
    out = dict(schema)
    if "description" in out:
        out["description"] = " ".join(str(out["description"]).split())
    if given and "description" in out and "properties" not in out:
        out = _with_default(out)
        out["description"] = f"{out['description']} {_bounds(out)}".rstrip()
    if "properties" in out:
        out["properties"] = {key: explained(value, given=given) for key, value in out["properties"].items()}
    return out | {key: explained(value, given=given) for key, value in _below(out).items()}


def _bounds(schema: Schema) -> str:
    """A sentence with the least and the largest value of a number; empty where it has neither."""
    low, high = schema.get("minimum"), schema.get("maximum")
    least = None if low is None else f"above {low}" if schema.get("exclusiveMinimum") else f"at least {low}"
    most = None if high is None else f"below {high}" if schema.get("exclusiveMaximum") else f"at most {high}"
    words = ", ".join(bound for bound in (least, most) if bound)
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model: no references, nulls, titles or unbounded scalars."""
    mode = "validation"
    raw = model.model_json_schema(by_alias=True, schema_generator=GenerateJsonSchema, mode=mode)  # type: ignore[arg-type]
    definitions: Mapping[str, Schema] = raw.get("$defs", {})
    return _translate(raw, definitions)


def _translate(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    schema = dict(schema)
    if reference := schema.pop("$ref", None):
        target = reference.rsplit("/", 1)[1]
        # A description or default beside the reference belongs to the field and wins over the model's own.
        return _translate({**definitions[target], **schema}, definitions)
    if options := schema.pop("anyOf", None) or schema.pop("allOf", None):
        concrete = [option for option in options if option.get("type") != "null"]
        if len(concrete) != 1:
            raise TypeError(f"a union of {len(concrete)} types has no structural schema: {options}")
        return _translate({**concrete[0], **schema}, definitions)
    out: Schema = {key: value for key, value in schema.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "const" in schema:
        out["enum"] = [schema["const"]]
    for bound, numeric in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if numeric in schema:
            out[bound], out[numeric] = schema[numeric], True
    if out.get("default", ...) is None:
        del out["default"]
    kind = out.get("type")
    if kind == "array":
        out["items"] = _translate(schema.get("items", {}), definitions)
    elif kind == "object" and "properties" in schema:
        out["properties"] = {key: _translate(value, definitions) for key, value in schema["properties"].items()}
    elif kind == "object":
        extra = schema.get("additionalProperties", True)
        if extra is True:
            out["x-kubernetes-preserve-unknown-fields"] = True
        else:
            out["additionalProperties"] = _translate(extra, definitions)
    elif kind == "integer":
        out.setdefault("format", "int64")
    if kind in _UNBOUNDED and "properties" not in out and "enum" not in out:
        out.setdefault(*_UNBOUNDED[kind])
    return out


def _with_block_defaults(schema: Schema, model: type[BaseModel]) -> Schema:
    """Blocks and lists default to what the model says, so that the API server fills in the fields below them.

    `{}` is enough for most blocks. But the server holds a default against its block's CEL rules as it stands, before
    any field below is filled in: the default of a block with rules names its fields.
    """
    for field_name, field in model.model_fields.items():
        block = schema["properties"][field.alias or field_name]
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            _with_block_defaults(block, field.annotation)
        if field.default_factory is None:
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            guarded = block["properties"] if _RULES in block else {}
            filled = {name: below["default"] for name, below in guarded.items() if "default" in below}
            default = {**filled, **default.model_dump(mode="json", by_alias=True, exclude_unset=True)}
        block["default"] = copy.deepcopy(default)
    return schema


def _below(schema: Schema) -> dict[str, Schema]:
    """What is nested in a schema, by the keyword that holds it."""
    return {key: schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)}


def _without_defaults(schema: Schema) -> Schema:
    out = {key: value for key, value in schema.items() if key != "default"}
    out |= {key: _without_defaults(value) for key, value in _below(schema).items()}
    if "properties" in out:
        out["properties"] = {key: _without_defaults(value) for key, value in out["properties"].items()}
    return out


def _plain_entries(schema: Schema) -> Schema:
    """The schema without defaults in the entries of lists.

    `kubectl apply` compares a list as a whole: an entry into which the server filled something differs from the file
    for ever, and each further apply says "configured". The models fill these fields in instead.
    """
    out = dict(schema)
    if "properties" in out:
        out["properties"] = {key: _plain_entries(value) for key, value in out["properties"].items()}
    for key, value in _below(schema).items():
        out[key] = _entry(value) if key == "items" else _plain_entries(value)
    return out


def _entry(schema: Schema) -> Schema:
    """An entry's schema: its descriptions tell what its defaults are, and its rules read them."""
    out = {key: value for key, value in schema.items() if key != "default"}
    out |= {key: _entry(value) for key, value in _below(schema).items()}
    if "properties" not in out:
        return out
    defaults = {name: _literal(field) for name, field in out["properties"].items() if "default" in field}
    if _RULES in out:
        out[_RULES] = [{**rule, "rule": _filled_in(rule["rule"], defaults)} for rule in out[_RULES]]
    out["properties"] = {name: _entry(_with_default(field)) for name, field in out["properties"].items()}
    return out


def _with_default(field: Schema) -> Schema:
    about = str(field.get("description", ""))
    default = field.get("default")
    if default in (None, [], {}) or "Default:" in about:
        return field
    return {**field, "description": f"{about} Default: `{_shown(default)}`.".lstrip()}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _literal(field: Schema) -> str:
    """A field's default as CEL has it, where a number of type `number` is never an `int`."""
    default = field["default"]
    return json.dumps(float(default) if field.get("type") == "number" else default)


def _filled_in(rule: str, defaults: Mapping[str, str]) -> str:
    """A rule that takes a field's default for one that is not there, which would be an error."""
    for name, default in defaults.items():
        there = f"self.{name}"
        rule = re.sub(rf"(?<!has\()(?<![\w.]){re.escape(there)}(?!\w)", f"(has({there}) ? {there} : {default})", rule)
    return rule
