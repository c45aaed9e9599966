"""Custom kinds: schema, defaults, pruning, rules, the status subresource."""

import pytest
from tests.conformance.conftest import DEFINITIONS
from tests.support.wire import APPLY, MERGE, STRATEGIC, Object, Wire

pytestmark = pytest.mark.custom_resources


NOT_CHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing"
    " errors to complete validation"
)


def widget(wire: Wire, widgets: str, name: str = "w", **spec: object) -> Object:
    group = widgets.split("/")[2]
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 3, **spec}}


def test_defaults_are_filled_and_generation_begins(wire: Wire, widgets: str) -> None:
    made = wire.ok("POST", widgets, {**widget(wire, widgets), "status": {"phase": "Ready"}})
    assert made["spec"] == {"size": 3, "color": "red"}
    assert made["metadata"]["generation"] == 1
    assert "status" not in made


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (
            {"size": 0},
            "spec.size",
            "Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            {"color": "blue"},
            "spec.color",
            'Unsupported value: "blue": supported values: "red", "green"',
        ),
        ({"size": None}, "spec.size", "Required value"),
        (
            {"size": "three"},
            "spec.size",
            'Invalid value: "string": spec.size in body must be of type integer: "string"',
        ),
    ],
    ids=["bound", "enum", "required", "type"],
)
def test_violations_name_field_and_bound(wire: Wire, widgets: str, spec: Object, field: str, message: str) -> None:
    field_only = "in body should" in message  # a bound that is broken does not keep rules from being checked
    bad = widget(wire, widgets)
    bad["spec"] = {key: value for key, value in {**bad["spec"], **spec}.items() if value is not None}
    refused = wire.call("POST", widgets, bad)
    group = widgets.split("/")[2]
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    said = f"{field}: {message}" if field_only else f"[{field}: {message}, <nil>: {NOT_CHECKED}]"
    assert refused.body["message"] == f'Widget.{group} "w" is invalid: {said}'
    cause = refused.body["details"]["causes"][0]
    assert (cause["field"], cause["message"]) == (field, message)


def test_unknown_fields_are_pruned_warned_or_refused(wire: Wire, widgets: str) -> None:
    odd = widget(wire, widgets, surprise=1)
    refused = wire.call("POST", widgets, odd, fieldValidation="Strict")
    assert (refused.status, refused.body["reason"]) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.surprise"' in refused.body["message"]
    warned = wire.call("POST", widgets, odd, fieldValidation="Warn", dryRun="All")
    assert 'unknown field \\"spec.surprise\\"' in warned.headers["Warning"]
    pruned = wire.ok("POST", widgets, odd, fieldValidation="Ignore")
    assert "surprise" not in pruned["spec"]


def test_a_rule_forbids_a_change(wire: Wire, widgets: str) -> None:
    wire.ok("POST", widgets, widget(wire, widgets, serial="one"))
    refused = wire.call("PATCH", f"{widgets}/w", {"spec": {"serial": "two"}}, media=MERGE)
    assert refused.status == 422
    assert refused.body["details"]["causes"][0]["field"] == "spec.serial"
    assert "serial is immutable" in refused.body["message"]


def test_status_and_spec_are_written_apart(wire: Wire, widgets: str) -> None:
    made = wire.ok("POST", widgets, widget(wire, widgets))
    body = {**made, "spec": {"size": 9}, "status": {"phase": "Ready"}}
    status = wire.ok("PUT", f"{widgets}/w/status", body)
    assert status["spec"]["size"] == 3
    assert status["status"] == {"phase": "Ready"}
    assert status["metadata"]["generation"] == 1
    spec = wire.ok("PUT", f"{widgets}/w", {**status, "spec": {"size": 9}, "status": {"phase": "Lost"}})
    assert spec["spec"]["size"] == 9
    assert spec["status"] == {"phase": "Ready"}
    assert spec["metadata"]["generation"] == 2
    labelled = wire.ok("PATCH", f"{widgets}/w", {"metadata": {"labels": {"a": "b"}}}, media=MERGE)
    assert labelled["metadata"]["generation"] == 2


def test_a_status_that_breaks_the_schema_is_refused(wire: Wire, widgets: str) -> None:
    wire.ok("POST", widgets, widget(wire, widgets))
    refused = wire.call("PATCH", f"{widgets}/w/status", {"status": {"phase": 7}}, media=MERGE)
    assert refused.status == 422


def test_an_update_needs_the_version_it_started_from(wire: Wire, widgets: str) -> None:
    wire.ok("POST", widgets, widget(wire, widgets))
    refused = wire.call("PUT", f"{widgets}/w", widget(wire, widgets, size=4))
    assert refused.status == 422
    assert refused.body["details"]["causes"][0]["field"] == "metadata.resourceVersion"


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"kind": None}, 400, "the object provided is unrecognized (must be of type Widget): Object 'Kind' is missing"),
        (
            {"apiVersion": None},
            400,
            "the API version in the data () does not match the expected API version (GROUP/v1)",
        ),
        ({"apiVersion": "GROUP/v2"}, 400, "the API version in the data (GROUP/v2) does not match the expected"),
        ({"kind": "Gadget"}, 422, 'Gadget.GROUP "w" is invalid: kind: Invalid value: "Gadget": must be Widget'),
    ],
    ids=["no kind", "no version", "another version", "another kind"],
)
def test_a_body_says_what_it_is(wire: Wire, widgets: str, change: Object, status: int, message: str) -> None:
    group = widgets.split("/")[2]
    change = {key: value and value.replace("GROUP", group) for key, value in change.items()}
    body = {key: value for key, value in {**widget(wire, widgets), **change}.items() if value is not None}
    refused = wire.call("POST", widgets, body)
    assert refused.status == status
    assert refused.body["message"].startswith(message.replace("GROUP", group))


@pytest.mark.parametrize(
    ("options", "kind", "cause"),
    [
        ({"fieldManager": "x" * 129}, "CreateOptions", "Too long: may not be more than 128 bytes"),
        ({"fieldManager": "a\nb"}, "CreateOptions", 'Invalid value: "a\\nb": invalid character U+000A (at position 1)'),
        ({"dryRun": "Some"}, "CreateOptions", 'Unsupported value: ["Some"]: supported values: "All"'),
        (
            {"fieldValidation": "Some"},
            "CreateOptions",
            'Unsupported value: "Some": supported values: "", "Ignore", "Strict", "Warn"',
        ),
    ],
    ids=["long manager", "odd manager", "dryRun", "fieldValidation"],
)
def test_options_are_checked_before_the_object(
    wire: Wire, widgets: str, options: Object, kind: str, cause: str
) -> None:
    wire.ok("POST", widgets, widget(wire, widgets))
    refused = wire.call("POST", widgets, widget(wire, widgets), **options)
    assert (refused.status, refused.body["details"]["kind"]) == (422, kind)
    assert refused.body["details"]["causes"][0]["message"] == cause


def test_a_patch_does_not_change_what_it_is(wire: Wire, widgets: str) -> None:
    wire.ok("POST", widgets, widget(wire, widgets))
    for field, value in (("kind", "Gadget"), ("apiVersion", "example.com/v9")):
        refused = wire.call("PATCH", f"{widgets}/w", {field: value}, media=MERGE)
        assert (refused.status, refused.body["details"]["causes"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"surprise": 1}, ".spec.surprise: field not declared in schema"),
        ({"size": "three"}, ".spec.size: expected numeric (int or float), got string"),
        ({"color": 1}, ".spec.color: expected string, got &value.valueUnstructured{Value:1}"),
        ({"labels": ["a"]}, ".spec.labels: expected map, got &{[a]}"),
        ({"labels": {"a": True}}, ".spec.labels.a: expected string, got &value.valueUnstructured{Value:true}"),
    ],
)
def test_what_is_applied_fits_the_schema(wire: Wire, widgets: str, spec: Object, problem: str) -> None:
    body = widget(wire, widgets, **spec)
    refused = wire.call("PATCH", f"{widgets}/w", body, media=APPLY, fieldManager="one")
    given = f"/w; {body['apiVersion']}, Kind=Widget"
    assert refused.status == 500
    assert refused.body["message"] == f"failed to create typed patch object ({given}): {problem}"


def test_what_an_apply_leaves_out_goes(wire: Wire, widgets: str) -> None:
    options = {"media": APPLY, "fieldManager": "one"}
    wire.ok("PATCH", f"{widgets}/w", widget(wire, widgets, labels={"a": "1"}, color="green"), **options)
    changed = wire.ok("PATCH", f"{widgets}/w", widget(wire, widgets, labels={"b": "1"}), **options)
    assert changed["spec"] == {"size": 3, "color": "red", "labels": {"b": "1"}}
    emptied = wire.call("PATCH", f"{widgets}/w", widget(wire, widgets, labels={}), **options)
    assert emptied.status == 422, "what is emptied and asked for as empty is null"
    assert emptied.body["details"]["causes"][0]["field"] == "spec.labels"
    gone = wire.ok("PATCH", f"{widgets}/w", widget(wire, widgets), **options)
    assert gone["spec"] == {"size": 3, "color": "red"}
    (owner,) = gone["metadata"]["managedFields"]
    assert (owner["manager"], owner["operation"]) == ("one", "Apply")
    assert owner["fieldsV1"] == {"f:spec": {"f:size": {}}}


def test_fields_have_managers(wire: Wire, widgets: str) -> None:
    wire.ok("POST", widgets, widget(wire, widgets), fieldManager="maker")
    wire.ok("PATCH", f"{widgets}/w/status", {"status": {"phase": "Ready"}}, media=MERGE, fieldManager="teller")
    applied = wire.call("PATCH", f"{widgets}/w", widget(wire, widgets, size=4), media=APPLY, fieldManager="one")
    assert applied.status == 409
    group = widgets.split("/")[2]
    said = f'Apply failed with 1 conflict: conflict with "maker" using {group}/v1: .spec.size'
    assert applied.body["message"] == said
    made = wire.ok("PATCH", f"{widgets}/w", widget(wire, widgets), media=APPLY, fieldManager="one")
    entries = {one["manager"]: one for one in made["metadata"]["managedFields"]}
    assert {name: (one["operation"], one.get("subresource")) for name, one in entries.items()} == {
        "one": ("Apply", None),
        "maker": ("Update", None),
        "teller": ("Update", "status"),
    }
    assert entries["maker"]["fieldsV1"] == {"f:spec": {".": {}, "f:color": {}, "f:size": {}}}
    assert entries["teller"]["fieldsV1"] == {"f:status": {".": {}, "f:phase": {}}}


def test_strategic_merge_is_not_for_custom_kinds(wire: Wire, widgets: str) -> None:
    wire.ok("POST", widgets, widget(wire, widgets))
    assert wire.call("PATCH", f"{widgets}/w", {"spec": {"size": 4}}, media=STRATEGIC).status == 415


def test_the_kind_is_discovered(wire: Wire, widget_group: str) -> None:
    found = wire.ok("GET", f"/apis/{widget_group}/v1")
    entries = {item["name"]: item for item in found["resources"]}
    assert entries["widgets"]["kind"] == "Widget"
    assert entries["widgets"]["shortNames"] == ["wd"]
    assert "widgets/status" in entries
    assert wire.ok("GET", f"/apis/{widget_group}")["preferredVersion"]["groupVersion"] == f"{widget_group}/v1"


def test_a_definition_without_structure_is_refused(wire: Wire) -> None:
    version = {"name": "v1", "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"description": "untyped"}}}}
    assert causes_of(wire, version) == [
        (
            "spec.validation.openAPIV3Schema.properties[spec].type",
            "Required value: must not be empty for specified object fields",
        )
    ]


RANGE: Object = {
    "type": "object",
    "properties": {"min": {"type": "integer", "default": 1}, "max": {"type": "integer", "default": 2}},
    "x-kubernetes-validations": [{"rule": "self.min <= self.max", "message": "min above max", "fieldPath": ".min"}],
}


@pytest.mark.parametrize(
    ("default", "field", "message"),
    [
        ({}, "", 'Invalid value: "object": no such key: min evaluating rule: min above max'),
        ({"min": 3, "max": 1}, ".min", "Invalid value: min above max"),
        ({"min": 1, "max": 2, "odd": 1}, "", 'Invalid value: {"max":2,"min":1,"odd":1}: must not have unknown fields'),
        ({"min": "x"}, ".min", 'Invalid value: "string": min in body must be of type integer: "string"'),
        ("x", "", 'Invalid value: "string":  in body must be of type object: "string"'),
    ],
    ids=["empty", "broken", "unknown", "type below", "type"],
)
def test_a_default_is_checked_as_written(wire: Wire, default: object, field: str, message: str) -> None:
    version = {"name": "v1", "served": True, "storage": True}
    block = {**RANGE, "default": default}
    version["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"block": block}}}
    where = "spec.validation.openAPIV3Schema.properties[block].default"
    assert causes_of(wire, version) == [(where + field, message)]


def causes_of(wire: Wire, version: Object) -> list[tuple[str, str]]:
    """Why a definition with this version is refused."""
    names = {"plural": "gadgets", "kind": "Gadget"}
    spec = {"group": "bad.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    refused = wire.call("POST", DEFINITIONS, {"metadata": {"name": "gadgets.bad.example.com"}, "spec": spec})
    assert refused.status == 422, refused.text
    return [(cause["field"], cause["message"]) for cause in refused.body["details"]["causes"]]
