"""Tables: what kubectl get prints for custom and built-in kinds."""

# ruff: noqa: E501 (a table of cases reads better with one case a line)

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fabula_local.resource import Resource
from fabula_local.schema.age import human_duration
from fabula_local.schema.builtin import builtin_resources
from fabula_local.schema.json_path import JSONPathError, compile_path
from fabula_local.schema.tables import table

NOW = datetime(2026, 1, 2, 0, 3, 12, tzinfo=UTC)
BORN = "2026-01-02T00:00:00Z"
KINDS = {one.group_resource: one for one in builtin_resources()}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (192, "3m12s"), (600, "10m"), (10799, "179m"),
     (10800, "3h"), (10860, "3h1m"), (8 * 3600, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"), (50 * 3600, "2d2h"),
     (8 * 86400, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"), (731 * 86400, "2y1d"), (3650 * 86400, "10y")],
)  # fmt: skip
def test_durations_read_as_in_kubectl(seconds: int, text: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == text


OBJ: dict[str, Any] = {
    "metadata": {"name": "n", "creationTimestamp": BORN, "labels": {"a.b/c": "x"}},
    "status": {
        "step": 3,
        "loss": 0.25,
        "ok": True,
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Done", "status": "False"}],
        "stages": [{"name": "a"}, {"name": "b"}],
    },
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".status.step", [3]),
        ("{.status.step}", [3]),
        ('.status.conditions[?(@.type=="Done")].status', ["False"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        (".status.stages[*].name", ["a", "b"]),
        (".status.stages[-1].name", ["b"]),
        (".status.stages[0:1].name", ["a"]),
        (".status.stages[7].name", []),
        (".metadata.labels.a\\.b/c", ["x"]),
        (".metadata.labels['a.b/c']", ["x"]),
        (".status.missing.deep", []),
        ("..name", ["n", "a", "b"]),
    ],
)
def test_json_paths(path: str, values: list[Any]) -> None:
    assert compile_path(path)(OBJ) == values


@pytest.mark.parametrize("path", ["status", ".a[", ".a[?(x)]"])
def test_unreadable_json_paths_are_refused(path: str) -> None:
    with pytest.raises(JSONPathError):
        compile_path(path)


def custom(*columns: tuple[str, str, str]) -> Resource:
    declared = tuple({"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns)
    return Resource("x.dev", "v1", "X", "xs", "x", "XList", True, printer_columns=declared)


def test_custom_columns_keep_their_types() -> None:
    kind = custom(
        ("Step", "integer", ".status.step"),
        ("Loss", "number", ".status.loss"),
        ("Shown", "string", ".status.loss"),
        ("Ok", "boolean", ".status.ok"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
        ("Stages", "string", ".status.stages[*].name"),
        ("None", "string", ".status.none"),
        ("Age", "date", ".metadata.creationTimestamp"),
    )
    shown = table(kind, [OBJ], "Metadata", NOW)
    assert [one["name"] for one in shown["columnDefinitions"]][:3] == ["Name", "Step", "Loss"]
    assert shown["rows"][0]["cells"] == ["n", 3, 0.25, "0.25", True, "True", "a b", None, "3m12s"]
    assert shown["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_without_columns_there_is_name_and_age() -> None:
    assert table(custom(), [OBJ], "None", NOW)["rows"] == [{"cells": ["n", "3m12s"]}]


def pod(status: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "creationTimestamp": BORN, **meta},
        "spec": {"containers": [{"name": "c"}]},
        "status": status,
    }


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "c", "state": state, "restartCount": 0, **more}]}


@pytest.mark.parametrize(
    ("status", "meta", "cells"),
    [
        ({"phase": "Pending"}, {}, ["p", "0/1", "Pending", "0", "3m12s"]),
        ({"phase": "Running", **container({"running": {}}, ready=True)}, {}, ["p", "1/1", "Running", "0", "3m12s"]),
        (
            {"phase": "Succeeded", **container({"terminated": {"exitCode": 0, "reason": "Completed"}})},
            {},
            ["p", "0/1", "Completed", "0", "3m12s"],
        ),
        (
            {"phase": "Failed", **container({"terminated": {"exitCode": 3}})},
            {},
            ["p", "0/1", "ExitCode:3", "0", "3m12s"],
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    {
                        "name": "c",
                        "restartCount": 2,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"finishedAt": "2026-01-02T00:03:00Z"}},
                    }
                ],
            },
            {},
            ["p", "0/1", "CrashLoopBackOff", "2 (12s ago)", "3m12s"],
        ),
        ({"phase": "Running"}, {"deletionTimestamp": BORN}, ["p", "0/1", "Terminating", "0", "3m12s"]),
        ({"phase": "Failed", "reason": "Evicted"}, {}, ["p", "0/1", "Evicted", "0", "3m12s"]),
    ],
)
def test_pods(status: dict[str, Any], meta: dict[str, Any], cells: list[Any]) -> None:
    row = table(KINDS["pods"], [pod(status, **meta)], "None", NOW)["rows"][0]
    assert row["cells"][:5] == cells
    assert row["cells"][5:] == ["<none>"] * 4


@pytest.mark.parametrize(
    ("spec", "status", "cells"),
    [
        ({"completions": 2, "parallelism": 2}, {"succeeded": 1, "startTime": BORN}, ["Running", "1/2", "3m12s"]),
        ({"parallelism": 2}, {}, ["Running", "0/1 of 2", ""]),
        (
            {"completions": 1},
            {
                "succeeded": 1,
                "startTime": BORN,
                "completionTime": "2026-01-02T00:00:09Z",
                "conditions": [{"type": "Complete", "status": "True"}],
            },
            ["Complete", "1/1", "9s"],
        ),
        ({"completions": 1}, {"conditions": [{"type": "Suspended", "status": "True"}]}, ["Suspended", "0/1", ""]),
    ],
)
def test_jobs(spec: dict[str, Any], status: dict[str, Any], cells: list[Any]) -> None:
    job = {"metadata": {"name": "j", "creationTimestamp": BORN}, "spec": spec, "status": status}
    assert table(KINDS["jobs.batch"], [job], "None", NOW)["rows"][0]["cells"][:5] == ["j", *cells, "3m12s"]


def test_every_built_in_kind_prints_a_bare_object_with_as_many_cells_as_columns() -> None:
    for name, kind in KINDS.items():
        shown = table(kind, [{"metadata": {"name": "x"}}], "None", NOW)
        assert len(shown["columnDefinitions"]) == len(shown["rows"][0]["cells"]), name


def cells(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    obj = {**obj, "metadata": {"name": "x", "creationTimestamp": BORN, **obj.get("metadata", {})}}
    shown = table(KINDS[kind], [obj], "None", NOW)
    names = [one["name"] for one in shown["columnDefinitions"]]
    return dict(zip(names, shown["rows"][0]["cells"], strict=True))


TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}


@pytest.mark.parametrize(
    ("kind", "obj", "expected"),
    [
        (
            "deployments.apps",
            {
                "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE},
                "status": {"readyReplicas": 1, "updatedReplicas": 2},
            },
            {"Ready": "1/2", "Up-to-date": 2, "Available": 0, "Containers": "c,d", "Images": "i,j", "Selector": "a=b"},
        ),
        (
            "nodes",
            {
                "metadata": {"labels": {"node-role.kubernetes.io/worker": ""}},
                "spec": {"unschedulable": True},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1.37.0"},
                },
            },
            {"Status": "Ready,SchedulingDisabled", "Roles": "worker", "Version": "v1.37.0", "Internal-IP": "10.0.0.1"},
        ),
        ("nodes", {}, {"Status": "Unknown", "Roles": "<none>", "OS-Image": "<unknown>"}),
        (
            "events",
            {
                "type": "Warning",
                "reason": "Failed",
                "message": " why ",
                "count": 3,
                "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"},
                "source": {"component": "node", "host": "here"},
                "firstTimestamp": BORN,
                "lastTimestamp": "2026-01-02T00:03:00Z",
            },
            {
                "Last Seen": "12s",
                "Type": "Warning",
                "Object": "pod/p",
                "Subobject": "spec.containers{c}",
                "Source": "node, here",
                "Message": "why",
                "First Seen": "3m12s",
                "Count": 3,
            },
        ),
        (
            "events",
            {
                "message": "n",
                "involvedObject": {"kind": "Job", "name": "j"},
                "eventTime": BORN,
                "reportingComponent": "op",
            },
            {"Last Seen": "3m12s", "Object": "job/j", "Message": "n", "Source": "op"},
        ),
        (
            "services",
            {"spec": {"type": "NodePort", "clusterIP": "1.2.3.4", "ports": [{"port": 80, "nodePort": 30080}]}},
            {"Type": "NodePort", "Cluster-IP": "1.2.3.4", "External-IP": "<none>", "Port(s)": "80:30080/TCP"},
        ),
        ("services", {"spec": {"type": "LoadBalancer"}}, {"External-IP": "<pending>"}),
        ("secrets", {"type": "Opaque", "data": {"a": "", "b": ""}}, {"Type": "Opaque", "Data": 2}),
        (
            "persistentvolumeclaims",
            {
                "spec": {"volumeName": "v"},
                "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
            },
            {"Status": "Bound", "Volume": "v", "Capacity": "1Gi", "Access Modes": "RWO"},
        ),
        ("leases.coordination.k8s.io", {"spec": {"holderIdentity": "me"}}, {"Holder": "me", "Age": "3m12s"}),
        ("customresourcedefinitions.apiextensions.k8s.io", {}, {"Created At": BORN}),
    ],
)
def test_cells_of_built_in_kinds(kind: str, obj: dict[str, Any], expected: dict[str, Any]) -> None:
    shown = cells(kind, obj)
    assert {name: shown[name] for name in expected} == expected
