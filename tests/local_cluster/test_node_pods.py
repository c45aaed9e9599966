"""Pods as real processes: what they see, how they end, and that nothing of them is left."""

import asyncio
import base64
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.support.control_plane import (
    Cluster,
    ControlPlane,
    condition,
    container,
    environment,
    eventually,
    phase,
    running,
)
from tests.support.patience import SECONDS

from fabula_local.client import Api, ApiError
from fabula_local.kinds import CONFIG_MAP, EVENT, LEASE, NODE, POD, SECRET, SERVICE_ACCOUNT


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("node"), "--gpus", "2", "--pass-env", "FABULA_TEST_PASSED") as found:
        yield found


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with Cluster(Api.from_kubeconfig(plane.kubeconfig), f"t-{uuid.uuid4().hex[:8]}") as found:
        yield found


def over(pod: dict[str, Any]) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


async def test_a_pod_runs_and_says_how_it_ended(cluster: Cluster) -> None:
    script = 'echo hello; echo done > "$FABULA_TERMINATION_LOG"; exit 3'
    await cluster.create(POD, "p", {"restartPolicy": "Never", "containers": [container(script)]})
    pod = await cluster.until(POD, "p", over)
    end = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (phase(pod), end["exitCode"], end["reason"], end["message"]) == ("Failed", 3, "Error", "done\n")
    assert pod["status"]["podIP"] == "127.0.0.1"
    assert await cluster.logs("p") == "hello\n"
    assert running([pod]) == []


async def test_environment_and_volumes(cluster: Cluster, plane: ControlPlane) -> None:
    await cluster.api.create(CONFIG_MAP, {"metadata": {"name": "c"}, "data": {"key": "from-map"}}, cluster.namespace)
    secret = base64.b64encode(b"from-secret").decode()
    await cluster.api.create(SECRET, {"metadata": {"name": "s"}, "data": {"key": secret}}, cluster.namespace)
    env = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "TAG", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tag']"}}},
        {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "key"}}},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        {"name": "CONFIG", "value": "/etc/conf/key"},
        {"name": "SHELL_NOT", "value": "$(NAME)/x"},
        {"name": "odd.name", "value": "kept"},
    ]
    odd = r'tr "\0" "\n" < /proc/$$$$/environ | grep odd'  # as in Kubernetes, $$ is one $
    script = 'echo $NAME $TAG $MAP $SECRET $SHELL_NOT; cat "$CONFIG"; cat "$0"; cat "$1" > "$2/copy"; ' + odd
    spec = {
        "restartPolicy": "Never",
        "volumes": [
            {"name": "conf", "configMap": {"name": "c"}},
            {"name": "work", "emptyDir": {"medium": "Memory"}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"secret": {"name": "s", "items": [{"key": "key", "path": "deep/secret"}]}},
                        {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
                        {"serviceAccountToken": {"path": "token", "audience": "tests", "expirationSeconds": 600}},
                    ]
                },
            },
        ],
        "containers": [
            {
                **container(script),
                "args": ["/all/deep/secret", "/all/token", "/scratch"],
                "env": env,
                "volumeMounts": [
                    {"name": "conf", "mountPath": "/etc/conf"},
                    {"name": "work", "mountPath": "/scratch"},
                    {"name": "all", "mountPath": "/all"},
                ],
            }
        ],
    }
    pod = await cluster.create(POD, "p", spec, labels={"tag": "blue"})
    pod = await cluster.until(POD, "p", over)
    text = await cluster.logs("p")
    assert text.startswith("p blue from-map from-secret p/x\nfrom-mapfrom-secret"), text
    assert "odd.name=kept" in text
    assert phase(pod) == "Succeeded"
    work = plane.state_dir / "pods" / f"{cluster.namespace}_p_{pod['metadata']['uid']}" / "volumes" / "work"
    assert (work / "copy").read_text().count(".") == 2, "a token has three parts"


async def test_a_pod_has_the_token_of_its_account(cluster: Cluster, plane: ControlPlane) -> None:
    script = 'test -s "$T/token" && grep -q CERTIFICATE "$T/ca.crt" && cat "$T/namespace"'
    env = [{"name": "T", "value": "/var/run/secrets/kubernetes.io/serviceaccount"}]
    await cluster.create(POD, "p", {"restartPolicy": "Never", "containers": [container(script, env=env)]})
    pod = await cluster.until(POD, "p", over)
    assert phase(pod) == "Succeeded", await cluster.logs("p")
    assert await cluster.logs("p") == cluster.namespace
    assert await cluster.api.find(SERVICE_ACCOUNT, "default", cluster.namespace)


async def test_a_pod_waits_for_its_config_map(cluster: Cluster) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "k"}}}]
    await cluster.create(POD, "p", {"restartPolicy": "Never", "containers": [container("echo $A", env=env)]})

    def waits(pod: dict[str, Any]) -> bool:
        statuses = pod["status"].get("containerStatuses") or [{}]
        waiting = (statuses[0].get("state") or {}).get("waiting") or {}
        return (waiting.get("reason"), waiting.get("message")) == (
            "CreateContainerConfigError",
            'configmap "late" not found',
        )

    await cluster.until(POD, "p", waits)
    await cluster.api.create(CONFIG_MAP, {"metadata": {"name": "late"}, "data": {"k": "v"}}, cluster.namespace)
    assert phase(await cluster.until(POD, "p", over)) == "Succeeded"
    assert await cluster.logs("p") == "v\n"


async def test_a_program_that_is_not_there(cluster: Cluster) -> None:
    broken = {"name": "main", "image": "none", "command": ["no-such-program"]}
    await cluster.create(POD, "p", {"restartPolicy": "Never", "containers": [broken]})
    pod = await cluster.until(POD, "p", over)
    end = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (end["reason"], end["exitCode"]) == ("StartError", 128)
    assert 'exec: "no-such-program": executable file not found in $PATH' in end["message"]


async def test_init_containers_come_first(cluster: Cluster) -> None:
    mounts = [{"name": "work", "mountPath": "/scratch"}]
    first = {**container("sleep 0.3; echo one > /scratch/f"), "name": "first", "volumeMounts": mounts}
    spec = {
        "restartPolicy": "Never",
        "volumes": [{"name": "work", "emptyDir": {}}],
        "initContainers": [first],
        "containers": [container("cat /scratch/f", volumeMounts=mounts)],
    }
    await cluster.create(POD, "p", spec)
    pod = await cluster.until(POD, "p", over)
    assert phase(pod) == "Succeeded"
    assert await cluster.logs("p", container="main") == "one\n"
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


async def test_a_container_is_restarted_and_backs_off(cluster: Cluster) -> None:
    await cluster.create(POD, "p", {"restartPolicy": "OnFailure", "containers": [container("echo try; exit 1")]})

    def backing_off(pod: dict[str, Any]) -> bool:
        entry = (pod["status"].get("containerStatuses") or [{}])[0]
        waiting = (entry.get("state") or {}).get("waiting") or {}
        return waiting.get("reason") == "CrashLoopBackOff" and entry["restartCount"] >= 1

    pod = await cluster.until(POD, "p", backing_off)
    assert phase(pod) == "Running"
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1


async def test_deletion_asks_first_and_then_insists(cluster: Cluster) -> None:
    polite = container("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    stubborn = container("trap '' TERM; echo up; while :; do sleep 0.1; done")
    for name, spec in (("polite", polite), ("stubborn", stubborn)):
        await cluster.create(POD, name, {"terminationGracePeriodSeconds": 1, "containers": [spec]})

    async def up() -> bool:
        return [await _log_or_empty(cluster, name) for name in ("polite", "stubborn")] == ["up\n", "up\n"]

    await eventually(up, "both to be up")
    pods = await cluster.pods()
    for name in ("polite", "stubborn"):
        await cluster.api.delete(POD, name, cluster.namespace)
    for name in ("polite", "stubborn"):
        await cluster.gone(POD, name)
    assert running(pods) == []


async def _log_or_empty(cluster: Cluster, pod: str) -> str:
    try:
        return await cluster.api.text(POD.path(cluster.namespace, pod, "log"))
    except ApiError:
        return ""


async def test_no_grandchild_survives_its_container(cluster: Cluster) -> None:
    script = "setsid sleep 300 & (setsid sh -c 'sleep 301 & sleep 302' &); sleep 0.2; exit 0"
    await cluster.create(POD, "p", {"restartPolicy": "Never", "containers": [container(script)]})
    pod = await cluster.until(POD, "p", over)
    assert phase(pod) == "Succeeded"
    assert running([pod]) == []


async def test_a_killed_process_and_a_killed_shim(cluster: Cluster, plane: ControlPlane) -> None:
    for name in ("process", "shim"):
        await cluster.create(POD, name, {"restartPolicy": "Never", "containers": [container("exec sleep 300")]})
    for name, code, reason in (("process", 137, "Error"), ("shim", 137, "ContainerStatusUnknown")):
        pod = await cluster.until(POD, name, lambda seen: phase(seen) == "Running")
        run = plane.state_dir / "pods" / f"{cluster.namespace}_{name}_{pod['metadata']['uid']}" / "main" / "0.run"
        shim = int(run.read_text().split()[0])
        victim = shim if name == "shim" else next(pid for pid in running([pod]) if pid != shim)
        os.kill(victim, 9)
        pod = await cluster.until(POD, name, over)
        end = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (end["exitCode"], end["reason"]) == (code, reason)
        assert running([pod]) == []


async def test_gpus_are_given_out_once(cluster: Cluster) -> None:
    limits = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    show = "echo gpu=$CUDA_VISIBLE_DEVICES; sleep 300"
    for name in ("one", "two"):
        await cluster.create(POD, name, {"containers": [container(show, **limits)], "terminationGracePeriodSeconds": 0})
    for name in ("one", "two"):
        await cluster.until(POD, name, lambda seen: phase(seen) == "Running")

    async def shown() -> list[str]:
        texts = sorted([await _log_or_empty(cluster, name) for name in ("one", "two")])
        return texts if all(texts) else []

    assert await eventually(shown, "devices") == ["gpu=0\n", "gpu=1\n"]
    await cluster.create(
        POD, "none", {"restartPolicy": "Never", "containers": [container("echo gpu=$CUDA_VISIBLE_DEVICES")]}
    )
    await cluster.until(POD, "none", over)
    assert await cluster.logs("none") == "gpu=\n"
    await cluster.create(POD, "three", {"containers": [container(show, **limits)], "terminationGracePeriodSeconds": 0})
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."

    def refused(pod: dict[str, Any]) -> bool:
        conditions = (pod.get("status") or {}).get("conditions") or ()
        return any(entry["type"] == "PodScheduled" and entry.get("message") == message for entry in conditions)

    await cluster.until(POD, "three", refused)
    await cluster.api.delete(POD, "one", cluster.namespace)
    await cluster.until(POD, "three", lambda seen: phase(seen) == "Running")
    events, _ = await cluster.api.list(EVENT, cluster.namespace)
    assert message in {event["message"] for event in events if event["reason"] == "FailedScheduling"}


async def test_a_pod_that_runs_too_long(cluster: Cluster) -> None:
    spec = {"restartPolicy": "Never", "activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 1}
    await cluster.create(POD, "p", {**spec, "containers": [container("sleep 300")]})
    pod = await cluster.until(POD, "p", over)
    assert (phase(pod), pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


async def test_logs_are_followed_to_the_end(cluster: Cluster, plane: ControlPlane) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.3; done"
    await cluster.create(POD, "p", {"restartPolicy": "Never", "containers": [container(script)]})
    await cluster.until(POD, "p", lambda seen: phase(seen) == "Running")
    command = ["kubectl", "logs", "-f", "p", "-n", cluster.namespace]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(plane.kubeconfig), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()
    assert output == b"1\n2\n3\n"


async def test_fallback_to_logs(cluster: Cluster) -> None:
    spec = container("echo why; exit 1", terminationMessagePolicy="FallbackToLogsOnError")
    await cluster.create(POD, "p", {"restartPolicy": "Never", "containers": [spec]})
    pod = await cluster.until(POD, "p", over)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "why"


async def test_an_idle_node_writes_only_its_lease(cluster: Cluster) -> None:
    async def versions() -> tuple[str, list[str]]:
        pods, pods_version = await cluster.api.list(POD)
        node = await cluster.api.get(NODE, "laptop")
        return pods_version, [node["metadata"]["resourceVersion"], *(p["metadata"]["resourceVersion"] for p in pods)]

    await cluster.create(POD, "p", {"containers": [container("sleep 300")], "terminationGracePeriodSeconds": 0})
    await cluster.until(POD, "p", lambda seen: condition(seen, "Ready") is not None)
    lease = await cluster.api.get(LEASE, "laptop", "kube-node-lease")
    _, before = await versions()

    async def beat() -> bool:
        found = await cluster.api.get(LEASE, "laptop", "kube-node-lease")
        return bool(found["spec"]["renewTime"] != lease["spec"]["renewTime"])

    await eventually(beat, "a heartbeat")
    assert (await versions())[1] == before
