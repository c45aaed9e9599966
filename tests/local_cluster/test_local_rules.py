"""The rules for built-in kinds that no recorded answer shows: siblings of those that one does."""

# ruff: noqa: E501  (the server's sentences are kept whole)

from typing import Any

import pytest

from fabula_kube.quantity import QuantityError, parse_quantity
from fabula_local.apiserver.strategies.rules.data import config_map_rules, secret_rules
from fabula_local.apiserver.strategies.rules.job_status import job_status_rules
from fabula_local.apiserver.strategies.rules.jobs import steered_template
from fabula_local.apiserver.strategies.rules.pods import pod_spec_rules

Object = dict[str, Any]
MAIN: Object = {"name": "m", "image": "i"}


def told(errors: Any) -> list[str]:
    return [f"{error.field}: {error.message}" for error in errors]


def spec(*containers: Object, **more: Any) -> Object:
    return {"containers": list(containers) or [MAIN], **more}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (spec(initContainers=[{"name": "i"}]), ["spec.initContainers[0].image: Required value"]),
        (spec(initContainers=[MAIN]), ['spec.initContainers[0].name: Duplicate value: "m"']),
        (
            spec(initContainers=[{**MAIN, "name": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]),
            ['spec.initContainers[0].volumeMounts[0].name: Not found: "v"'],
        ),
        (
            spec({**MAIN, "resources": {"requests": {"a.b/c": "1"}, "limits": {"a.b/c": "2"}}}),
            ['spec.containers[0].resources.requests: Invalid value: "1": must be equal to a.b/c limit of 2'],
        ),
        (
            spec({**MAIN, "resources": {"limits": {"gpu": "1", "nvidia.com/gpu": "500m", "cpu": "-1"}}}),
            [
                'spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers',
                'spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer',
                'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
            ],
        ),
        (
            spec({**MAIN, "ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]}),
            ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"'],
        ),
        (
            spec({**MAIN, "ports": [{"containerPort": 1, "hostPort": 80}]}, hostNetwork=True),
            [
                "spec.containers[0].ports[0].hostPort: Invalid value: 80: must match `containerPort` when `hostNetwork` "
                "is true"
            ],
        ),
        (
            spec({**MAIN, "env": [{"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}),
            [
                "spec.containers[0].env[0].valueFrom.secretKeyRef.key: Required value",
                'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
            ],
        ),
        (
            spec(tolerations=[{"operator": "Equal", "tolerationSeconds": 1}]),
            [
                'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which '
                'means "match all values and all keys"',
                "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is "
                "set",
            ],
        ),
        (
            spec(
                affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ""}]}}
            ),
            [
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required "
                "value: can not be empty"
            ],
        ),
        (
            spec(volumes=[{"name": "v", "emptyDir": {}, "secret": {}}, {"name": "w", "secret": {}}]),
            [
                "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
                "spec.volumes[1].secret.secretName: Required value",
            ],
        ),
        (
            spec(activeDeadlineSeconds=0),
            ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
    ],
)
def test_pods(given: Object, expected: list[str]) -> None:
    assert told(pod_spec_rules(given, "spec")) == expected


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("kubernetes.io/dockerconfigjson", {}, ["data[.dockerconfigjson]: Required value"]),
        ("kubernetes.io/ssh-auth", {"a": ""}, ["data[ssh-privatekey]: Required value"]),
        ("kubernetes.io/basic-auth", {}, ["data[username]: Required value", "data[password]: Required value"]),
        ("kubernetes.io/basic-auth", {"username": ""}, []),
        ("Opaque", {"..a": ""}, ["data[..a]: Invalid value: \"..a\": must not start with '..'"]),
        (
            "kubernetes.io/service-account-token",
            {},
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
    ],
)
def test_secrets(kind: str, data: Object, expected: list[str]) -> None:
    assert told(secret_rules({"metadata": {}, "type": kind, "data": data})) == expected


def test_a_key_lies_in_one_map_and_all_of_them_in_a_mebibyte() -> None:
    both = {"data": {"k": ""}, "binaryData": {"k": ""}}
    assert told(config_map_rules(both)) == [
        'data[k]: Invalid value: "k": duplicate of key present in binaryData',
        'binaryData[k]: Invalid value: "k": duplicate of key present in data',
    ]
    assert told(config_map_rules({"data": {"k": "x" * (1024 * 1024 + 1)}})) == [
        ": Too long: may not be more than 1048576 bytes"
    ]


START, LATER = "2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"


def conditions(*types: str) -> list[Object]:
    return [{"type": kind, "status": "True"} for kind in types]


DONE = {
    "startTime": START,
    "completionTime": LATER,
    "succeeded": 1,
    "conditions": conditions("SuccessCriteriaMet", "Complete"),
}


@pytest.mark.parametrize(
    ("before", "status", "expected"),
    [
        ({}, DONE, []),
        ({"startTime": START}, {"startTime": START, "active": 1, "ready": 1}, []),
        ({}, {**DONE, "active": 1}, ["status.active: Invalid value: 1: active>0 is invalid for finished job"]),
        (
            {},
            {**DONE, "completionTime": START, "startTime": LATER},
            [f'status.completionTime: Invalid value: "{START}": completionTime cannot be set before startTime'],
        ),
        (
            {"failed": 2, "startTime": START},
            {"failed": 1, "startTime": START},
            ["status.failed: Invalid value: 1: cannot decrease the failed counter"],
        ),
        (
            {"startTime": START},
            {"startTime": LATER},
            ["status.startTime: Required value: startTime cannot be removed for unsuspended job"],
        ),
        (
            DONE,
            {"startTime": START, "succeeded": 1},
            [
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ],
        ),
        (
            {},
            {"startTime": START, "completedIndexes": "0"},
            [
                'status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed '
                "completion mode"
            ],
        ),
        (
            {},
            {"startTime": START, "conditions": conditions("Failed")},
            [
                "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"
            ],
        ),
    ],
)
def test_job_status(before: Object, status: Object, expected: list[str]) -> None:
    job = {"spec": {"completionMode": "NonIndexed"}}
    assert told(job_status_rules({**job, "status": status}, {**job, "status": before})) == expected


def test_an_unchanged_status_is_not_looked_at() -> None:
    broken = {"spec": {}, "status": {"conditions": conditions("Complete")}}
    assert told(job_status_rules(broken, broken)) == []


def test_steering_keeps_all_but_the_way_to_a_node() -> None:
    old = {
        "spec": {"image": "a", "affinity": {"podAffinity": {}, "nodeAffinity": {"x": 1}}, "nodeSelector": {"a": "b"}}
    }
    new = {"metadata": {"labels": {"l": "1"}}, "spec": {"image": "b", "affinity": {"nodeAffinity": {"y": 1}}}}
    assert steered_template(new, old) == {
        "metadata": {"labels": {"l": "1"}},
        "spec": {"image": "a", "affinity": {"podAffinity": {}, "nodeAffinity": {"y": 1}}},
    }
    assert steered_template({"spec": {}}, {"spec": {"affinity": {"nodeAffinity": {}}}})["spec"] == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abc", "must match the regular expression"),
        ("1.2.3", "must match the regular expression"),
        ("1GB", "must match the regular expression"),
        ("1GG", "suffix"),
        ("-.", "numeric part"),
    ],
)
def test_what_is_no_quantity(text: str, words: str) -> None:
    with pytest.raises(QuantityError, match=words):
        parse_quantity(text)
