"""One object's life on the wire: create, read, write, conflict, delete."""

import pytest
from tests.conformance.conftest import Records
from tests.support.wire import APPLY, JSON_PATCH, MERGE, STRATEGIC, Wire


def test_a_created_object_gets_its_identity(wire: Wire, records: Records) -> None:
    answer = wire.call("POST", records.path, records.new("a", k="v"))
    made = answer.body["metadata"]
    assert answer.status == 201
    assert made["uid"]
    assert made["creationTimestamp"].endswith("Z")
    assert int(made["resourceVersion"]) > 0
    assert wire.ok("GET", f"{records.path}/a")["metadata"]["uid"] == made["uid"]


def test_generate_name_adds_five_characters(wire: Wire, records: Records) -> None:
    asked = records.new("x")
    asked["metadata"] = {"generateName": "pre-"}
    made = wire.ok("POST", records.path, asked)
    assert made["metadata"]["name"].startswith("pre-")
    assert len(made["metadata"]["name"]) == len("pre-") + 5


def test_failures_carry_reason_and_details(wire: Wire, records: Records) -> None:
    missing = wire.call("GET", f"{records.path}/nobody")
    assert missing.status == 404
    assert missing.body["reason"] == "NotFound"
    assert missing.body["message"] == f'{records.resource} "nobody" not found'
    plural, _, group = records.resource.partition(".")
    assert missing.body["details"] == {"name": "nobody", **({"group": group} if group else {}), "kind": plural}
    wire.ok("POST", records.path, records.new("a"))
    twice = wire.call("POST", records.path, records.new("a"))
    assert (twice.status, twice.body["reason"]) == (409, "AlreadyExists")
    assert twice.body["message"] == f'{records.resource} "a" already exists'


def test_a_bad_name_is_refused_with_its_field(wire: Wire, records: Records) -> None:
    refused = wire.call("POST", records.path, records.new("Not_A_Name"))
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    assert refused.body["details"]["causes"][0]["field"] == "metadata.name"


def test_a_missing_namespace_is_named(wire: Wire) -> None:
    refused = wire.call("POST", "/api/v1/namespaces/no-such-namespace/configmaps", {"metadata": {"name": "a"}})
    assert refused.status == 404
    assert refused.body["message"] == 'namespaces "no-such-namespace" not found'


def test_a_stale_write_conflicts(wire: Wire, records: Records) -> None:
    old = wire.ok("POST", records.path, records.new("a", k="1"))
    wire.ok("PUT", f"{records.path}/a", {**old, "data": {"k": "2"}})
    stale = wire.call("PUT", f"{records.path}/a", {**old, "data": {"k": "3"}})
    assert (stale.status, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"] == (
        f'Operation cannot be fulfilled on {records.resource} "a": the object has been modified; please apply your '
        "changes to the latest version and try again"
    )
    assert wire.ok("GET", f"{records.path}/a")["data"] == {"k": "2"}


def test_a_write_that_changes_nothing_is_none(wire: Wire, records: Records) -> None:
    made = wire.ok("POST", records.path, records.new("a", k="1"))
    same = wire.ok("PUT", f"{records.path}/a", made)
    patched = wire.ok("PATCH", f"{records.path}/a", {"data": {"k": "1"}}, media=MERGE)
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert patched["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_dry_run_leaves_nothing(wire: Wire, records: Records) -> None:
    assert wire.call("POST", records.path, records.new("a"), dryRun="All").status == 201
    assert wire.call("GET", f"{records.path}/a").status == 404


@pytest.mark.parametrize(
    ("media", "change"),
    [
        (MERGE, {"data": {"a": None, "b": "2"}}),
        (JSON_PATCH, [{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/b", "value": "2"}]),
    ],
    ids=["merge", "json"],
)
def test_patches(wire: Wire, records: Records, media: str, change: object) -> None:
    wire.ok("POST", records.path, records.new("x", a="1"))
    assert wire.ok("PATCH", f"{records.path}/x", change, media=media)["data"] == {"b": "2"}


def test_a_strategic_patch_of_a_built_in_kind(wire: Wire, configmaps: str) -> None:
    wire.ok("POST", configmaps, {"metadata": {"name": "x"}, "data": {"a": "1"}})
    change = {"data": {"a": None, "b": "2"}}
    assert wire.ok("PATCH", f"{configmaps}/x", change, media=STRATEGIC)["data"] == {"b": "2"}


def test_apply_owns_fields_and_reports_conflicts(wire: Wire, records: Records) -> None:
    first = wire.call("PATCH", f"{records.path}/x", records.new("x", k="1"), media=APPLY, fieldManager="one")
    assert first.status == 201
    refused = wire.call("PATCH", f"{records.path}/x", records.new("x", k="2"), media=APPLY, fieldManager="two")
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["message"].startswith('Apply failed with 1 conflict: conflict with "one"')
    assert refused.body["details"]["causes"][0]["field"] == ".data.k"
    forced = wire.ok(
        "PATCH", f"{records.path}/x", records.new("x", k="2"), media=APPLY, fieldManager="two", force="true"
    )
    assert forced["data"] == {"k": "2"}
    bare = {key: value for key, value in records.new("x").items() if key != "data"}
    released = wire.ok("PATCH", f"{records.path}/x", bare, media=APPLY, fieldManager="two")
    assert not released.get("data")


def test_an_unknown_patch_type_is_415(wire: Wire, records: Records) -> None:
    wire.ok("POST", records.path, records.new("x"))
    assert wire.call("PATCH", f"{records.path}/x", {}, media="application/json").status == 415


def test_delete_answers_success_and_honours_preconditions(wire: Wire, records: Records) -> None:
    made = wire.ok("POST", records.path, records.new("x"))
    other = wire.call("DELETE", f"{records.path}/x", {"preconditions": {"uid": "not-this-one"}})
    assert (other.status, other.body["reason"]) == (409, "Conflict")
    gone = wire.ok("DELETE", f"{records.path}/x", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert (gone["kind"], gone["status"]) == ("Status", "Success")
    assert wire.call("GET", f"{records.path}/x").status == 404


def test_a_finalizer_holds_the_object(wire: Wire, records: Records) -> None:
    held = records.new("x")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    wire.ok("POST", records.path, held)
    marked = wire.ok("DELETE", f"{records.path}/x")
    assert marked["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    refused = wire.call("PATCH", f"{records.path}/x", more, media=MERGE)
    assert refused.status == 422
    wire.ok("PATCH", f"{records.path}/x", {"metadata": {"finalizers": None}}, media=MERGE)
    assert wire.call("GET", f"{records.path}/x").status == 404


def test_a_collection_is_deleted_by_label(wire: Wire, records: Records) -> None:
    for name, label in (("a", "x"), ("b", "y")):
        made = records.new(name)
        made["metadata"]["labels"] = {"app": label}
        wire.ok("POST", records.path, made)
    wire.ok("DELETE", records.path, labelSelector="app=x")
    assert wire.call("GET", f"{records.path}/a").status == 404
    assert wire.call("GET", f"{records.path}/b").status == 200


def test_a_secret_takes_text(wire: Wire, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    made = wire.ok("POST", path, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    assert made["data"] == {"k": "dg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made
