"""CustomResourceDefinitions and the OpenAPI documents of what they define."""

# ruff: noqa: E501 (a table of cases reads better with one case a line)

import copy
import json
from typing import Any

import pytest

from fabula_local.schema.builtin import builtin_resources
from fabula_local.schema.crd import resources_of, validate_crd
from fabula_local.schema.openapi import openapi_v3_group, openapi_v3_paths

CRD: dict[str, Any] = {
    "metadata": {"name": "runs.x.dev"},
    "spec": {
        "group": "x.dev",
        "scope": "Namespaced",
        "names": {"plural": "runs", "kind": "Run", "shortNames": ["r"], "categories": ["x"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Step", "type": "integer", "jsonPath": ".status.step"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "description": "What to run.",
                                "properties": {"rank": {"type": "integer", "description": "Width."}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


def test_a_good_definition_serves_its_versions() -> None:
    assert validate_crd(CRD) == []
    (kind,) = resources_of(CRD)
    assert (kind.group, kind.version, kind.singular, kind.list_kind) == ("x.dev", "v1", "run", "RunList")
    assert kind.custom
    assert kind.subresources == {"status"}
    assert kind.short_names == ("r",)


BLOCK: dict[str, Any] = {
    "type": "object",
    "properties": {"min": {"type": "integer", "default": 1}, "max": {"type": "integer", "default": 2}},
    "x-kubernetes-validations": [{"rule": "self.min <= self.max", "message": "min above max", "fieldPath": ".min"}],
}


@pytest.mark.parametrize(
    ("schema", "field", "message"),
    [
        ({**BLOCK, "default": {}}, "", 'Invalid value: "object": no such key: min evaluating rule: min above max'),
        ({**BLOCK, "default": {"min": 3, "max": 1}}, ".min", "Invalid value: min above max"),
        ({**BLOCK, "default": {"min": 1, "max": 2}}, None, ""),
        ({**BLOCK, "default": {"min": 1, "max": 2, "odd": 1}}, "", 'Invalid value: {"max":2,"min":1,"odd":1}: must not have unknown fields'),
        ({**BLOCK, "required": ["min"], "default": {"max": 2}}, ".min", "Required value"),
        ({"type": "integer", "default": 3, "x-kubernetes-validations": [{"rule": "self > 4"}]}, "", "Invalid value: 3: failed rule: self > 4"),
        (
            {**BLOCK, "default": {"min": 1, "max": 2}, "x-kubernetes-validations": [{"rule": "self.min != oldSelf.min", "message": "changed"}]},
            "",
            "Invalid value: changed",
        ),
    ],
    ids=["empty", "broken", "kept", "unknown", "missing", "scalar", "transition"],
)  # fmt: skip
def test_a_default_is_checked_as_written(schema: dict[str, Any], field: str | None, message: str) -> None:
    """As Kubernetes 1.36 answers: nothing below a default is filled in before its rules are checked."""
    crd = copy.deepcopy(CRD)
    target: Any = crd
    for step in SPEC:
        target = target[step]
    target["properties"]["block"] = schema
    found = [(one.field, one.message) for one in validate_crd(crd)]
    where = "spec.validation.openAPIV3Schema.properties[spec].properties[block].default"
    assert found == ([] if field is None else [(where + field, message)])


SPEC = ("spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec")


@pytest.mark.parametrize(
    ("path", "value", "field", "message"),
    [
        (("metadata", "name"), "x", "metadata.name", 'Invalid value: "x": must be spec.names.plural+"."+spec.group'),
        (("spec", "scope"), "All", "spec.scope", 'Unsupported value: "All": supported values: "Cluster", "Namespaced"'),
        (("spec", "versions", 0, "storage"), False, "spec.versions", None),
        (("spec", "versions", 0, "schema"), {}, "spec.versions[0].schema.openAPIV3Schema", "Required value"),
        (
            ("spec", "versions", 0, "additionalPrinterColumns", 0, "jsonPath"),
            "status",
            "spec.additionalPrinterColumns[0].JSONPath",
            'Invalid value: "status": must be a simple json path starting with .',
        ),
        (
            (*SPEC, "properties", "rank"),
            {"description": "no type"},
            "spec.validation.openAPIV3Schema.properties[spec].properties[rank].type",
            "Required value: must not be empty for specified object fields",
        ),
        (
            (*SPEC, "properties", "rank", "default"),
            "x",
            "spec.validation.openAPIV3Schema.properties[spec].properties[rank].default",
            'Invalid value: "string":  in body must be of type integer: "string"',
        ),
        (
            (*SPEC, "properties", "rank"),
            {"type": "array"},
            "spec.validation.openAPIV3Schema.properties[spec].properties[rank].items",
            "Required value: must be specified",
        ),
    ],
)  # fmt: skip
def test_a_bad_definition_is_told_what_is_wrong(
    path: tuple[Any, ...], value: Any, field: str, message: str | None
) -> None:
    crd = copy.deepcopy(CRD)
    target = crd
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    found = {one.field: one.message for one in validate_crd(crd)}
    assert field in found
    assert message is None or found[field] == message


def test_the_document_of_a_custom_kind_explains_and_declares_server_side_checks() -> None:
    resources = [*builtin_resources(), *resources_of(CRD)]
    assert openapi_v3_paths(resources)["paths"]["apis/x.dev/v1"]["serverRelativeURL"].startswith(
        "/openapi/v3/apis/x.dev/v1?hash="
    )
    document = openapi_v3_group(resources, "x.dev", "v1")
    run = document["components"]["schemas"]["dev.x.v1.Run"]
    assert run["properties"]["spec"]["properties"]["rank"]["description"] == "Width."
    assert run["properties"]["metadata"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    ]
    patch = document["paths"]["/apis/x.dev/v1/namespaces/{namespace}/runs/{name}"]["patch"]
    assert "fieldValidation" in {one["name"] for one in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "x.dev", "version": "v1", "kind": "Run"}
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]


def test_the_index_changes_with_the_schema_and_only_with_it() -> None:
    def address(crd: dict[str, Any]) -> str:
        return str(openapi_v3_paths(resources_of(crd))["paths"]["apis/x.dev/v1"]["serverRelativeURL"])

    other = copy.deepcopy(CRD)
    assert address(other) == address(CRD)
    target: Any = other
    for step in SPEC:
        target = target[step]
    target["description"] = "Something else."
    assert address(other) != address(CRD)


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(one) for one in value.values()))
    return set().union(*(references(one) for one in value)) if isinstance(value, list) else set()


def test_every_reference_of_every_document_is_defined() -> None:
    resources = builtin_resources()
    for group, version in {(one.group, one.version) for one in resources}:
        document = json.loads(json.dumps(openapi_v3_group(resources, group, version)))
        known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
        assert references(document) <= known


def test_the_patch_of_a_built_in_kind_may_be_strategic() -> None:
    document = openapi_v3_group(builtin_resources(), "batch", "v1")
    patch = document["paths"]["/apis/batch/v1/namespaces/{namespace}/jobs/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
