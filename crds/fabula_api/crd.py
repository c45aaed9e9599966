"""CustomResourceDefinitions, generated from the models: schemas, CEL rules, columns and the status subresource."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping

from pydantic import BaseModel

from fabula_api.base import GROUP, VERSION, SpecModel, camel
from fabula_api.columns import columns
from fabula_api.fields import field_at
from fabula_api.recipes import API_KINDS, Kind, Recipe, block_of, needs_block, recipes, unused_of
from fabula_api.rules import fixed_rules
from fabula_api.specs import PARAMETERS, spec_type
from fabula_api.structural import Schema, explained, spec_structural, status_structural


def spec_schema(kind: Kind) -> Schema:
    """The schema of a kind's spec: what every recipe has, and a block for each installed recipe that has one."""
    spec = spec_structural(API_KINDS[kind].spec)
    rules = spec.setdefault("x-kubernetes-validations", [])
    for recipe in recipes().values():
        if block_of(kind, recipe) is not None:
            field, schema, block_rules = _block(kind, recipe)
            spec["properties"][field] = schema
            rules += block_rules
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
        named = [sample_format.name for sample_format in recipe.sample_formats]
        rules.append(
            {
                "rule": f"{other} || !has(self.samples.format) || self.samples.format in {json.dumps(named)}",
                "message": f"recipe {recipe.name} reads samples of the format {' or '.join(named)}",
                "fieldPath": ".samples.format",
            }
        )
    for path in unused_of(recipe, kind):
        rules.append(
            {
                "rule": f"{other} || {_left_out(API_KINDS[kind].spec, path)}",
                "message": f"{camel(path)} says nothing under recipe {recipe.name}; leave it out",
                "fieldPath": f".{camel(path)}",
            }
        )
    return rules


def _left_out(model: type[BaseModel], path: str, below: str = "self.") -> str:
    """The CEL expression that says that a field has its default: what the API server fills in is no person's word."""
    at, field = f"{below}{camel(path)}", field_at(model, path)
    if field is None:
        raise ValueError(f"{model.__name__} has no field {path} that could be left out")
    if field.default is None:
        return f"!has({at})"
    block = field.annotation
    if isinstance(block, type) and issubclass(block, SpecModel):
        return " && ".join(_left_out(block, name, f"{at}.") for name in block.model_fields)
    default = field.get_default(call_default_factory=True)
    default = float(default) if field.annotation is float else default
    return f"size({at}) == 0" if default in ([], {}) else f"{at} == {json.dumps(default)}"


def _block(kind: Kind, recipe: Recipe) -> tuple[str, Schema, list[Schema]]:
    """Name and schema of a recipe's block, and the rules that it adds to the spec."""
    model, field = spec_type(kind, recipe.name), camel(recipe.block)
    # Filled in by the server, it would be in the runs of other recipes too.
    block = {key: value for key, value in spec_structural(model)["properties"][field].items() if key != "default"}
    rules: list[Schema] = [
        {
            "rule": f"self.recipe == '{recipe.name}' || !has(self.{field})",
            "message": f"{field} goes with recipe {recipe.name} only",
            "fieldPath": f".{field}",
        },
    ]
    if needs_block(kind, recipe):
        needed = {
            "rule": f"self.recipe != '{recipe.name}' || has(self.{field})",
            "message": f"recipe {recipe.name} needs the block {field}",
            "fieldPath": f".{field}",
        }
        rules.insert(0, needed)
    for rule in vars(model).get("cel", ()):  # what the kind itself says is there already
        rules.append({**rule, "rule": f"self.recipe != '{recipe.name}' || ({rule['rule']})"})
    return field, block, rules


_kept: dict[Kind, tuple[Mapping[str, Recipe], Schema]] = {}
"""Definitions that were made, each with the recipes that were installed then."""


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind."""
    installed = recipes()
    if kind not in _kept or _kept[kind][0] is not installed:
        _kept[kind] = installed, _generated(kind)
    return copy.deepcopy(_kept[kind][1])


def _generated(kind: Kind) -> Schema:
    named = API_KINDS[kind]
    spec_model, status_model = named.spec, named.status
    spec = spec_schema(kind)
    status = status_structural(status_model)
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
    """All CRDs of the platform, as they are installed: their descriptions say what `kubectl explain` leaves out."""
    return [_for_reading(crd(kind)) for kind in API_KINDS]


def _for_reading(definition: Schema) -> Schema:
    for version in definition["spec"]["versions"]:
        root = version["schema"]["openAPIV3Schema"]["properties"]
        root["spec"], root["status"] = explained(root["spec"], given=True), explained(root["status"], given=False)
    return definition
