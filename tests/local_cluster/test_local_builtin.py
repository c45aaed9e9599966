"""Built-in kinds: every schema loads, checks and merges as the API conventions say."""

from typing import Any

from fabula_local.schema.builtin import builtin_resources
from fabula_local.schema.merge import strategic_merge_patch
from fabula_local.schema.structural import apply_defaults, prune, validate

KINDS = {one.group_resource: one for one in builtin_resources()}


def schema(name: str) -> dict[str, Any]:
    found = KINDS[name].schema
    assert found is not None
    return found


def test_every_kind_checks_an_empty_object() -> None:
    assert len(KINDS) >= 27
    for name, resource in KINDS.items():
        assert resource.schema
        obj: dict[str, Any] = {"metadata": {"name": "x"}}
        assert prune(obj, resource.schema) == [], name
        apply_defaults(obj, resource.schema)
        validate(obj, resource.schema)


def test_a_pod_gets_its_defaults_and_loses_unknown_fields() -> None:
    pod: dict[str, Any] = {
        "spec": {"containers": [{"name": "c", "image": "i", "oops": 1, "ports": [{"containerPort": 80}]}]}
    }
    assert prune(pod, schema("pods")) == ["spec.containers[0].oops"]
    apply_defaults(pod, schema("pods"))
    assert validate(pod, schema("pods")) == []
    assert pod["spec"]["restartPolicy"] == "Always"
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert pod["spec"]["containers"][0]["terminationMessagePath"] == "/dev/termination-log"


def test_a_bad_pod_is_told_what_is_wrong() -> None:
    pod = {"spec": {"restartPolicy": "No", "containers": [{"image": "i"}]}}
    found = {(one.field, one.message) for one in validate(pod, schema("pods"))}
    assert found == {
        ("spec.restartPolicy", 'Unsupported value: "No": supported values: "Always", "OnFailure", "Never"'),
        ("spec.containers[0].name", "Required value"),
    }


def test_a_status_may_be_partial() -> None:
    pod = {"spec": {"containers": [{"name": "c"}]}, "status": {"containerStatuses": [{"name": "c"}]}}
    assert validate(pod, schema("pods")) == []


def test_quantities_are_numbers_or_strings() -> None:
    pod = {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1Gi"}}}]}}
    assert validate(pod, schema("pods")) == []


def test_a_quantity_that_is_none_is_refused() -> None:
    pod = {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "abc"}}}]}}
    (found,) = validate(pod, schema("pods"))
    assert found.field == "spec.containers[0].resources.limits.cpu"


def test_strategic_merge_knows_the_keys_of_containers_and_env() -> None:
    job = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]}}}}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "B", "value": "2"}]}]}}}}
    merged = strategic_merge_patch(job, patch, schema("jobs.batch"))
    env = merged["spec"]["template"]["spec"]["containers"][0]["env"]
    assert sorted(one["name"] for one in env) == ["A", "B"]


def test_owner_references_merge_by_uid() -> None:
    obj = {"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}]}}
    merged = strategic_merge_patch(obj, {"metadata": {"ownerReferences": [{"uid": "2"}]}}, schema("configmaps"))
    assert len(merged["metadata"]["ownerReferences"]) == 2
