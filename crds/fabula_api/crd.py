"""CustomResourceDefinitions, generated from the models.

pydantic emits JSON Schema with references, nulls and numeric exclusive bounds; a CRD wants a structural schema without
them. This module translates, adds defaults of nested blocks, CEL rules, columns and the status subresource.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from fabula_api.base import GROUP, VERSION, SpecModel, camel
from fabula_api.recipes import API_KINDS, Kind, Recipe, block_of, recipes
from fabula_api.rules import fixed_rules
from fabula_api.specs import PARAMETERS, field_at, spec_type

Schema = dict[str, Any]

_KEPT = {
    "type", "format", "enum", "default", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", "description",
}  # fmt: skip
_UNBOUNDED = {"string": ("maxLength", 2048), "array": ("maxItems", 256), "object": ("maxProperties", 256)}


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, about: str = "") -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    if about:
        column["description"] = about
    if wide:
        column["priority"] = 1
    return column


_STATE = _column("State", ".status.state", about="Pending, Running, Suspended, Succeeded or Failed")
_PROGRESS = _column("Progress", ".status.progress.summary", about="Stage and how far it is")
_ETA = _column("ETA", ".status.progress.eta", about="Time left")
_REASON = _column(
    "Reason", ".status.reason", wide=True, about="What it waits for, why it failed, or why it stopped early"
)
_MESSAGE = _column(
    "Message",
    '.status.conditions[?(@.type=="Running")].message',
    wide=True,
    about="What it waits for, what it does, or why it failed, in a sentence",
)
_AGE = _column("Age", ".metadata.creationTimestamp", "date")

COLUMNS: dict[Kind, list[Schema]] = {
    "DatasetBuild": [
        _STATE, _PROGRESS, _ETA,
        _column("Samples", ".status.samples", "integer", about="Samples in the artifact"),
        _AGE, _REASON,
        _column("Cost", ".status.costUsd", "number", wide=True, about="Dollars spent"),
        _column("Artifact", ".status.artifact.uri", wide=True, about="Folder of the dataset"),
        _MESSAGE,
    ],
    "FineTuneRun": [
        _STATE, _PROGRESS, _ETA,
        _column("Loss", ".status.metrics.loss", "number", about="Training loss of the last step"),
        _AGE, _REASON,
        _column("Checkpoint", ".status.checkpoint.step", "integer", wide=True, about="Step of the last committed one"),
        _column("Tokens/s/GPU", ".status.metrics.tokensPerSecondPerGpu", "number", wide=True),
        _column("GPU-Hours", ".status.gpuHours.used", "number", wide=True),
        _column("Cost", ".status.costUsd", "number", wide=True, about="Dollars for the GPU hours"),
        _column("Adapter", ".status.adapter.uri", wide=True, about="Folder of the adapter"),
        _column("Model", ".status.model.uri", wide=True, about="Folder of a model trained in full"),
        _MESSAGE,
    ],
    "EvalRun": [
        _STATE, _PROGRESS, _ETA,
        _column("Score", ".status.score", about="The headline metric of each arm"),
        _column("Gates", '.status.conditions[?(@.type=="GatesPassed")].status', about="Whether all gates passed"),
        _AGE, _REASON,
        _column("Win Rate", ".status.judges[0].pairs[0].winRate", "number", wide=True,
                about="Share of samples that the first judge gives to the first arm against the baseline"),
        _column("Cost", ".status.costUsd", "number", wide=True, about="Dollars that judges have cost"),
        _column("Report", ".status.report.uri", wide=True, about="Folder with report.html"),
        _MESSAGE,
    ],
}  # fmt: skip


def structural(model: type[BaseModel]) -> Schema:
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
            guarded = block["properties"] if "x-kubernetes-validations" in block else {}
            filled = {name: below["default"] for name, below in guarded.items() if "default" in below}
            default = {**filled, **default.model_dump(mode="json", by_alias=True, exclude_unset=True)}
        block["default"] = copy.deepcopy(default)
    return schema


def _without_defaults(schema: Schema) -> Schema:
    """A status says what was seen; what was not seen is absent rather than a default."""
    out = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in out:
        out["properties"] = {key: _without_defaults(value) for key, value in out["properties"].items()}
    for inner in ("items", "additionalProperties"):
        if isinstance(out.get(inner), dict):
            out[inner] = _without_defaults(out[inner])
    return out


def spec_schema(kind: Kind) -> Schema:
    """The schema of a kind's spec: what every recipe has, and a block for each installed recipe that has one."""
    spec = _with_block_defaults(structural(API_KINDS[kind].spec), API_KINDS[kind].spec)
    rules = spec.setdefault("x-kubernetes-validations", [])
    for recipe in recipes().values():
        if block_of(kind, recipe) is not None:
            field, schema, own = _block(kind, recipe)
            spec["properties"][field] = schema
            rules += own
        rules += _of_recipe(kind, recipe)
    named = ", ".join(f"'{name}'" for name in sorted(recipes()))
    rules.append(
        {
            "rule": f"!has(self.{PARAMETERS}) || !(self.recipe in [{named}])",
            "message": "parameters is for recipes that this CRD does not know; use the block of the recipe's name",
            "fieldPath": f".{PARAMETERS}",
        }
    )
    return spec


def _of_recipe(kind: Kind, recipe: Recipe) -> list[Schema]:
    """What must hold of the fields of every recipe under this one."""
    rules: list[Schema] = []
    other = f"self.recipe != '{recipe.name}'"
    if kind == "EvalRun":
        named = [one.name for one in recipe.sample_formats]
        rules.append(
            {
                "rule": f"{other} || !has(self.samples.format) || self.samples.format in {json.dumps(named)}",
                "message": f"recipe {recipe.name} reads samples of the format {' or '.join(named)}",
                "fieldPath": ".samples.format",
            }
        )
    for path in recipe.unused.get(kind, ()):
        rules.append(
            {
                "rule": f"{other} || {_left_out(API_KINDS[kind].spec, path)}",
                "message": f"{camel(path)} says nothing under recipe {recipe.name}; leave it out",
                "fieldPath": f".{camel(path)}",
            }
        )
    return rules


def _left_out(model: type[BaseModel], path: str) -> str:
    """The CEL expression that says that a field has its default: what the API server fills in is no person's word."""
    at, found = f"self.{camel(path)}", field_at(model, path)
    if found is None:
        raise ValueError(f"{model.__name__} has no field {path} that could be left out")
    if found.default is None:
        return f"!has({at})"
    block = found.annotation
    if isinstance(block, type) and issubclass(block, SpecModel):
        given = found.get_default(call_default_factory=True).model_dump(mode="json", by_alias=True, exclude_none=True)
        return " && ".join(f"{at}.{name} == {json.dumps(value)}" for name, value in given.items())
    return f"{at} == {json.dumps(found.get_default(call_default_factory=True))}"


def _block(kind: Kind, recipe: Recipe) -> tuple[str, Schema, list[Schema]]:
    """Name and schema of a recipe's block, and the rules that it adds to the spec."""
    model, field = spec_type(kind, recipe.name), camel(recipe.block)
    whole = _with_block_defaults(structural(model), model)
    rules: list[Schema] = [
        {
            "rule": f"self.recipe != '{recipe.name}' || has(self.{field})",
            "message": f"recipe {recipe.name} needs the block {field}",
            "fieldPath": f".{field}",
        },
        {
            "rule": f"self.recipe == '{recipe.name}' || !has(self.{field})",
            "message": f"{field} goes with recipe {recipe.name} only",
            "fieldPath": f".{field}",
        },
    ]
    for rule in vars(model).get("cel", ()):  # what the kind itself says is there already
        rules.append({**rule, "rule": f"self.recipe != '{recipe.name}' || ({rule['rule']})"})
    return field, whole["properties"][field], rules


def columns(kind: Kind) -> list[Schema]:
    """The columns of `kubectl get`: every run's, and those that the installed recipes add."""
    own = [one for recipe in recipes().values() for one in recipe.columns.get(kind, ())]
    return [*COLUMNS[kind], *(_column(one.name, one.path, one.type, wide=one.wide, about=one.about) for one in own)]


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind."""
    named = API_KINDS[kind]
    spec_model, status_model = named.spec, named.status
    spec = spec_schema(kind)
    status = _without_defaults(structural(status_model))
    status.pop("required", None)
    about = (spec_model.__doc__ or "").strip()
    root: Schema = {
        "type": "object",
        "description": about,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {**spec, "description": about},
            "status": {**status, "description": "What the operator last saw. Written by the operator only."},
        },
        "x-kubernetes-validations": [dict(rule) for rule in fixed_rules(kind)],
    }
    singular = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{named.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "fabula", "app.kubernetes.io/part-of": "fabula"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": named.plural,
                "singular": singular,
                "shortNames": [named.short],
                "categories": ["fabula"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns(kind),
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


def crds() -> list[Schema]:
    """All CRDs of the platform."""
    return [crd(kind) for kind in API_KINDS]
