"""The node's decisions: environment, paths and hosts, scheduling, the life of a pod."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_kube.quantity import parse_quantity
from fabula_local.node.environment import MissingSourceError, Sources, container_env, expand
from fabula_local.node.lifecycle import next_step
from fabula_local.node.pod_status import SHUTDOWN, build_status
from fabula_local.node.ports import LocalPorts
from fabula_local.node.records import Attempt
from fabula_local.node.rewriting import ServiceHosts, rewrite_paths
from fabula_local.node.scheduling import obstacles, unschedulable_message, used

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "main", "command": ["x"]}], **spec},
    }


def test_environment_is_resolved_in_order() -> None:
    container = {
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$(LATER)-$$(A)"},
            {"name": "LATER", "value": "x"},
            {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}},
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "O", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}},
        ],
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}],
    }
    env = container_env(container, pod(), Sources(config_maps={"c": {"k": "v"}}))
    assert env == {"P_k": "v", "A": "1", "B": "1-$(LATER)-$(A)", "LATER": "x", "N": "p", "L": "b", "K": "v"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$$$$(A)", "$$(A)"), ("costs $$5", "costs $5"),
        ("$5 $", "$5 $"), ("$(", "$("), ("$(A", "$(A"), ("$()", "$()"), ("$(NONE)", "$(NONE)"),
        ("$(B$(A))", "$(B$(A))"),
        ("$$$$", "$$"), ("$A", "$A"), ("x$(A)y$(A)", "x1y1"), ("$(two\nlines)", "$(two\nlines)"),
    ],
)  # fmt: skip
def test_values_are_expanded_as_kubernetes_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


@given(st.text(alphabet="$()AB x", max_size=30))
def test_a_value_that_was_escaped_arrives_unchanged(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"A": "1", "AB": "2", "": "3"}) == text


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({"configMapKeyRef": {"name": "gone", "key": "k"}}, 'configmap "gone" not found'),
        ({"configMapKeyRef": {"name": "c", "key": "x"}}, "couldn't find key x in ConfigMap n/c"),
    ],
)
def test_a_missing_source_is_named(ref: dict[str, Any], words: str) -> None:
    with pytest.raises(MissingSourceError, match=words):
        container_env({"env": [{"name": "A", "valueFrom": ref}]}, pod(), Sources(config_maps={"c": {"k": "v"}}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", "/real/d"),
        ("/data/x.json", "/real/d/x.json"),
        ("--config=/data/x", "--config=/real/d/x"),
        ('{"uri": "file:///data/x"}', '{"uri": "file:///real/d/x"}'),
        ("/data/deep/x", "/real/deep/x"),
        ("a:/data:/data/b", "a:/real/d:/real/d/b"),
        ("/database", "/database"),
        ("/mnt/data", "/mnt/data"),
        ("s3://bucket/data", "s3://bucket/data"),
        ("http://data/x", "http://data/x"),
    ],
)
def test_mount_paths_are_replaced_where_they_begin_a_path(text: str, expected: str) -> None:
    assert rewrite_paths(text, {"/data": "/real/d", "/data/deep": "/real/deep"}) == expected


def hosts() -> ServiceHosts:
    headless = {"metadata": {"name": "m-0", "namespace": "n", "uid": "1"}, "spec": {"clusterIP": "None"}}
    plain = {
        "metadata": {"name": "web", "namespace": "o", "uid": "2"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "targetPort": 8080}]},
    }

    def port_of(service: dict[str, Any], port: int) -> int:
        return 20001 if service is headless else 8080

    return ServiceHosts([headless, plain], "n", port_of)


def test_service_names_become_this_machine() -> None:
    env = {
        "MASTER_ADDR": "m-0",
        "MASTER_PORT": "23456",
        "OTHER_PORT": "23456",
        "URL": "http://web.o.svc/x",
        "NAME": "m-0",
        "POD": "web",
        "RDZV": "m-0:23456",
        "PET_MASTER_ADDR": "pod-0.m-0",
        "PET_MASTER_PORT": "23456",
        "OTHER_ADDR": "pod-0.web.o",
    }
    assert hosts().rewrite_env(env) == {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "20001",
        "OTHER_PORT": "23456",
        "URL": "http://127.0.0.1:8080/x",
        "NAME": "m-0",
        "POD": "web",
        "RDZV": "127.0.0.1:20001",
        # A headless Service answers for its pods, another one does not.
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": "20001",
        "OTHER_ADDR": "pod-0.web.o",
    }
    assert hosts().rewrite_argument("--rdzv-endpoint=m-0:23456") == "--rdzv-endpoint=127.0.0.1:20001"


def test_two_jobs_get_two_ports_and_keep_them(tmp_path: Path) -> None:
    one = {"metadata": {"uid": "1"}, "spec": {"clusterIP": "None"}}
    two = {"metadata": {"uid": "2"}, "spec": {"clusterIP": "None"}}
    ports = LocalPorts(tmp_path / "ports.json")
    first, second = ports.port_of(one, 23456), ports.port_of(two, 23456)
    assert first != second
    assert LocalPorts(tmp_path / "ports.json").port_of(one, 23456) == first


@pytest.mark.parametrize(
    ("text", "number"), [("500m", 0.5), ("2", 2), ("1Gi", 2**30), ("1k", 1000), ("1e3", 1000), ("0.5", 0.5)]
)
def test_quantities(text: str, number: float) -> None:
    assert float(parse_quantity(text)) == number


def node(gpus: str = "1") -> dict[str, Any]:
    room = {"cpu": "2", "memory": "4Gi", "pods": "110", "nvidia.com/gpu": gpus}
    return {"metadata": {"name": "laptop", "labels": {"disk": "ssd"}}, "spec": {}, "status": {"allocatable": room}}


def wants(**resources: str) -> list[dict[str, Any]]:
    return [{"name": "main", "resources": {"limits": {key.replace("_", "."): v for key, v in resources.items()}}}]


@pytest.mark.parametrize(
    ("the_pod", "reasons"),
    [
        (pod(), []),
        (
            pod(containers=[{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "2"}}}]),
            ["Insufficient nvidia.com/gpu"],
        ),
        (pod(containers=wants(cpu="3")), ["Insufficient cpu"]),
        (pod(nodeSelector={"disk": "hdd"}), ["node(s) didn't match Pod's node affinity/selector"]),
        (pod(nodeSelector={"disk": "ssd"}), []),
    ],
)
def test_whether_a_pod_fits(the_pod: dict[str, Any], reasons: list[str]) -> None:
    assert obstacles(the_pod, node(), {}) == reasons


def test_what_runs_takes_room_and_what_ended_does_not() -> None:
    running = pod(containers=wants(cpu="2"), nodeName="laptop")
    assert obstacles(pod(containers=wants(cpu="1")), node(), used([running], "laptop")) == ["Insufficient cpu"]
    ended = {**running, "status": {"phase": "Failed"}}
    assert obstacles(pod(containers=wants(cpu="1")), node(), used([ended], "laptop")) == []


def test_the_words_are_the_schedulers() -> None:
    message = unschedulable_message([["Insufficient nvidia.com/gpu"]])
    assert message == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def ended(number: int, code: int, seconds_ago: float = 60) -> Attempt:
    moment = NOW - timedelta(seconds=seconds_ago)
    return Attempt(number, moment, code, moment)


@pytest.mark.parametrize(
    ("situation", "spec", "attempts", "started", "phase"),
    [
        ("nothing ran", {}, {}, ["main"], "Pending"),
        ("it runs", {}, {"main": [Attempt(0, NOW)]}, [], "Running"),
        ("it ended well", {"restartPolicy": "Never"}, {"main": [ended(0, 0)]}, [], "Succeeded"),
        ("it failed", {"restartPolicy": "Never"}, {"main": [ended(0, 3)]}, [], "Failed"),
        ("it failed and may try again", {"restartPolicy": "OnFailure"}, {"main": [ended(0, 3)]}, ["main"], "Running"),
        (
            "it ended well and is not wanted again",
            {"restartPolicy": "OnFailure"},
            {"main": [ended(0, 0)]},
            [],
            "Succeeded",
        ),
        ("init first", {"initContainers": [{"name": "i"}]}, {}, ["i"], "Pending"),
        ("init runs", {"initContainers": [{"name": "i"}]}, {"i": [Attempt(0, NOW)]}, [], "Pending"),
        ("init is done", {"initContainers": [{"name": "i"}]}, {"i": [ended(0, 0)]}, ["main"], "Pending"),
        (
            "init failed",
            {"initContainers": [{"name": "i"}], "restartPolicy": "Never"},
            {"i": [ended(0, 1)]},
            [],
            "Failed",
        ),
        (
            "a sidecar runs beside",
            {"initContainers": [{"name": "i", "restartPolicy": "Always"}]},
            {"i": [Attempt(0, NOW)]},
            ["main"],
            "Pending",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_next_step(
    situation: str, spec: dict[str, Any], attempts: dict[str, Any], started: list[str], phase: str
) -> None:
    step = next_step(pod(**spec), attempts, NOW, ending=False, crash_loop_seconds=1)
    assert [container["name"] for container, _ in step.start] == started
    assert step.phase == phase


def test_a_crash_loop_waits_and_says_so() -> None:
    attempts = {"main": [ended(1, 1, seconds_ago=0.5)]}
    step = next_step(pod(), attempts, NOW, ending=False, crash_loop_seconds=1)
    assert step.start == []
    assert step.waiting["main"][0] == "CrashLoopBackOff"
    assert step.again_seconds == pytest.approx(0.5)
    status = build_status(pod(), attempts, step, NOW)
    entry = status["containerStatuses"][0]
    assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert entry["lastState"]["terminated"]["exitCode"] == 1
    assert entry["restartCount"] == 1


def test_an_ending_pod_starts_nothing() -> None:
    step = next_step(pod(), {"main": [ended(0, 143)]}, NOW, ending=True, crash_loop_seconds=1)
    assert step.start == []
    assert step.phase == "Failed"


def test_a_stopped_node_is_not_the_users_failure() -> None:
    the_pod = pod(restartPolicy="Never")
    attempts = {"main": [ended(0, 143)]}
    step = next_step(the_pod, attempts, NOW, ending=True, crash_loop_seconds=1)
    status = build_status(the_pod, attempts, step, NOW, ended=SHUTDOWN)
    assert status["reason"] == "Terminated"
    conditions = {entry["type"]: entry for entry in status["conditions"]}
    assert conditions["DisruptionTarget"]["status"] == "True"
    assert conditions["DisruptionTarget"]["reason"] == "TerminationByKubelet"


def test_a_settled_status_does_not_change() -> None:
    attempts = {"main": [Attempt(0, NOW)]}
    step = next_step(pod(), attempts, NOW, ending=False, crash_loop_seconds=1)
    first = build_status(pod(), attempts, step, NOW)
    later = build_status({**pod(), "status": first}, attempts, step, NOW + timedelta(minutes=5))
    assert later == first


def test_other_writers_conditions_are_kept() -> None:
    mark = {"type": "DisruptionTarget", "status": "True", "reason": "Evicted"}
    seen = {**pod(), "status": {"conditions": [mark]}}
    step = next_step(seen, {}, NOW, ending=False, crash_loop_seconds=1)
    assert mark in build_status(seen, {}, step, NOW)["conditions"]


def test_the_machine_offers_what_the_node_needs() -> None:
    assert hasattr(os, "pidfd_open"), "the process node needs Linux 5.3 or later"
