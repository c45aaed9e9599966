"""One object's life on the wire: create, read, write, conflict, delete."""

import pytest
from tests.support.wire import APPLY, JSON_PATCH, MERGE, STRATEGIC, Object, Wire


def config(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_a_created_object_gets_its_identity(wire: Wire, configmaps: str) -> None:
    answer = wire.call("POST", configmaps, config("a", k="v"))
    made = answer.body["metadata"]
    assert answer.status == 201
    assert made["uid"]
    assert made["creationTimestamp"].endswith("Z")
    assert int(made["resourceVersion"]) > 0
    assert wire.ok("GET", f"{configmaps}/a")["metadata"]["uid"] == made["uid"]


def test_generate_name_adds_five_characters(wire: Wire, configmaps: str) -> None:
    made = wire.ok("POST", configmaps, {"metadata": {"generateName": "pre-"}})
    assert made["metadata"]["name"].startswith("pre-")
    assert len(made["metadata"]["name"]) == len("pre-") + 5


def test_failures_carry_reason_and_details(wire: Wire, configmaps: str) -> None:
    missing = wire.call("GET", f"{configmaps}/nobody")
    assert missing.status == 404
    assert missing.body["reason"] == "NotFound"
    assert missing.body["message"] == 'configmaps "nobody" not found'
    assert missing.body["details"] == {"name": "nobody", "kind": "configmaps"}
    wire.ok("POST", configmaps, config("a"))
    twice = wire.call("POST", configmaps, config("a"))
    assert (twice.status, twice.body["reason"]) == (409, "AlreadyExists")
    assert twice.body["message"] == 'configmaps "a" already exists'


def test_a_bad_name_is_refused_with_its_field(wire: Wire, configmaps: str) -> None:
    refused = wire.call("POST", configmaps, config("Not_A_Name"))
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    assert refused.body["details"]["causes"][0]["field"] == "metadata.name"


def test_a_missing_namespace_is_named(wire: Wire) -> None:
    refused = wire.call("POST", "/api/v1/namespaces/no-such-namespace/configmaps", config("a"))
    assert refused.status == 404
    assert refused.body["message"] == 'namespaces "no-such-namespace" not found'


def test_a_stale_write_conflicts(wire: Wire, configmaps: str) -> None:
    old = wire.ok("POST", configmaps, config("a", k="1"))
    wire.ok("PUT", f"{configmaps}/a", {**old, "data": {"k": "2"}})
    stale = wire.call("PUT", f"{configmaps}/a", {**old, "data": {"k": "3"}})
    assert (stale.status, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to '
        "the latest version and try again"
    )
    assert wire.ok("GET", f"{configmaps}/a")["data"] == {"k": "2"}


def test_a_write_that_changes_nothing_is_none(wire: Wire, configmaps: str) -> None:
    made = wire.ok("POST", configmaps, config("a", k="1"))
    same = wire.ok("PUT", f"{configmaps}/a", made)
    patched = wire.ok("PATCH", f"{configmaps}/a", {"data": {"k": "1"}}, media=MERGE)
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert patched["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_dry_run_leaves_nothing(wire: Wire, configmaps: str) -> None:
    assert wire.call("POST", configmaps, config("a"), dryRun="All").status == 201
    assert wire.call("GET", f"{configmaps}/a").status == 404


@pytest.mark.parametrize(
    ("media", "change"),
    [
        (MERGE, {"data": {"a": None, "b": "2"}}),
        (STRATEGIC, {"data": {"a": None, "b": "2"}}),
        (JSON_PATCH, [{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/b", "value": "2"}]),
    ],
    ids=["merge", "strategic", "json"],
)
def test_patches(wire: Wire, configmaps: str, media: str, change: object) -> None:
    wire.ok("POST", configmaps, config("x", a="1"))
    assert wire.ok("PATCH", f"{configmaps}/x", change, media=media)["data"] == {"b": "2"}


def test_apply_owns_fields_and_reports_conflicts(wire: Wire, configmaps: str) -> None:
    first = wire.call("PATCH", f"{configmaps}/x", config("x", k="1"), media=APPLY, fieldManager="one")
    assert first.status == 201
    refused = wire.call("PATCH", f"{configmaps}/x", config("x", k="2"), media=APPLY, fieldManager="two")
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["message"].startswith('Apply failed with 1 conflict: conflict with "one"')
    assert refused.body["details"]["causes"][0]["field"] == ".data.k"
    forced = wire.ok("PATCH", f"{configmaps}/x", config("x", k="2"), media=APPLY, fieldManager="two", force="true")
    assert forced["data"] == {"k": "2"}
    released = wire.ok("PATCH", f"{configmaps}/x", config("x"), media=APPLY, fieldManager="two")
    assert not released.get("data")


def test_an_unknown_patch_type_is_415(wire: Wire, configmaps: str) -> None:
    wire.ok("POST", configmaps, config("x"))
    assert wire.call("PATCH", f"{configmaps}/x", {}, media="application/json").status == 415


def test_delete_answers_success_and_honours_preconditions(wire: Wire, configmaps: str) -> None:
    made = wire.ok("POST", configmaps, config("x"))
    other = wire.call("DELETE", f"{configmaps}/x", {"preconditions": {"uid": "not-this-one"}})
    assert (other.status, other.body["reason"]) == (409, "Conflict")
    gone = wire.ok("DELETE", f"{configmaps}/x", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert (gone["kind"], gone["status"]) == ("Status", "Success")
    assert wire.call("GET", f"{configmaps}/x").status == 404


def test_a_finalizer_holds_the_object(wire: Wire, configmaps: str) -> None:
    held = config("x")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    wire.ok("POST", configmaps, held)
    marked = wire.ok("DELETE", f"{configmaps}/x")
    assert marked["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    refused = wire.call("PATCH", f"{configmaps}/x", more, media=MERGE)
    assert refused.status == 422
    wire.ok("PATCH", f"{configmaps}/x", {"metadata": {"finalizers": None}}, media=MERGE)
    assert wire.call("GET", f"{configmaps}/x").status == 404


def test_a_collection_is_deleted_by_label(wire: Wire, configmaps: str) -> None:
    for name, label in (("a", "x"), ("b", "y")):
        made = config(name)
        made["metadata"]["labels"] = {"app": label}
        wire.ok("POST", configmaps, made)
    wire.ok("DELETE", configmaps, labelSelector="app=x")
    assert wire.call("GET", f"{configmaps}/a").status == 404
    assert wire.call("GET", f"{configmaps}/b").status == 200


def test_a_secret_takes_text(wire: Wire, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    made = wire.ok("POST", path, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    assert made["data"] == {"k": "dg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made
