"""Jobs, deletion and logs as Kubernetes documents them; the same tests for our cluster and for any named by KUBECONFIG.

What differs between clusters is named here: FABULA_CONFORMANCE_IMAGE is an image with a shell (busybox by default).
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import Cluster, ControlPlane, condition, eventually, phase

from fabula_local.client import Api
from fabula_local.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, JOB, POD

IMAGE = os.environ.get("FABULA_CONFORMANCE_IMAGE", "busybox")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pods_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster that runs pods."""
    if found := os.environ.get("KUBECONFIG"):
        yield Path(found)
        return
    with ControlPlane(tmp_path_factory.mktemp("conformance-jobs")) as plane:
        yield plane.kubeconfig


@pytest.fixture
async def cluster(pods_kubeconfig: Path) -> AsyncIterator[Cluster]:
    async with Cluster(Api.from_kubeconfig(pods_kubeconfig), f"jobs-{uuid.uuid4().hex[:8]}") as found:
        yield found


def job_spec(script: str, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    pod = {"restartPolicy": more.pop("restart", "Never"), "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"template": {"spec": pod}, **more}


def ended(job: dict[str, Any]) -> str | None:
    return condition(job, "Complete") or condition(job, "Failed")


def indexes(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods)


async def test_an_indexed_job_runs_each_index_once(cluster: Cluster) -> None:
    spec = job_spec("echo index $JOB_COMPLETION_INDEX of $(hostname)", completions=3, parallelism=2)
    await cluster.create(JOB, "j", {**spec, "completionMode": "Indexed"})
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Complete") == "CompletionsReached"
    status = job["status"]
    assert (status["succeeded"], status["completedIndexes"]) == (3, "0-2")
    assert status["startTime"] <= status["completionTime"]
    pods = await cluster.pods("job-name=j")
    assert indexes(pods) == ["0", "1", "2"]
    for pod in pods:
        meta = pod["metadata"]
        index = meta["labels"]["batch.kubernetes.io/job-completion-index"]
        assert meta["name"].startswith(f"j-{index}-")
        assert meta["labels"]["batch.kubernetes.io/controller-uid"] == job["metadata"]["uid"]
        assert pod["spec"]["hostname"] == f"j-{index}"
        assert "finalizers" not in meta, "a counted pod is let go"
        assert (await cluster.logs(meta["name"])).startswith(f"index {index} ")
    events, _ = await cluster.api.list(EVENT, cluster.namespace, fields="involvedObject.kind=Job")
    assert {"SuccessfulCreate", "Completed"} <= {event["reason"] for event in events}


async def test_a_plain_job_counts_its_successes(cluster: Cluster) -> None:
    await cluster.create(JOB, "j", job_spec("true", completions=3, parallelism=3))
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Complete")
    assert job["status"]["succeeded"] == 3
    assert not job["status"].get("uncountedTerminatedPods")


async def test_backoff_limit(cluster: Cluster) -> None:
    await cluster.create(JOB, "j", job_spec("exit 1", backoffLimit=0))
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Failed") == "BackoffLimitExceeded"
    assert condition(job, "FailureTarget") == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 1
    assert "completionTime" not in job["status"]


async def test_a_failed_pod_is_replaced(cluster: Cluster) -> None:
    await cluster.create(JOB, "j", job_spec("exit 1", backoffLimit=1))
    job = await cluster.until(JOB, "j", ended)
    assert job["status"]["failed"] == 2
    assert len(await cluster.pods("job-name=j")) == 2


async def test_backoff_limit_per_index(cluster: Cluster) -> None:
    spec = job_spec(
        'test "$JOB_COMPLETION_INDEX" != 1',
        completions=3,
        parallelism=3,
        backoffLimitPerIndex=1,
        completionMode="Indexed",
    )
    await cluster.create(JOB, "j", spec)
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Failed") == "FailedIndexes"
    assert (job["status"]["completedIndexes"], job["status"]["failedIndexes"]) == ("0,2", "1")
    counts = [
        pod["metadata"]["annotations"].get("batch.kubernetes.io/job-index-failure-count")
        for pod in await cluster.pods("batch.kubernetes.io/job-completion-index=1")
    ]
    assert sorted(counts, key=str) == ["0", "1"]


async def test_max_failed_indexes(cluster: Cluster) -> None:
    spec = job_spec("exit 1", completions=4, parallelism=2, backoffLimitPerIndex=0, maxFailedIndexes=1)
    await cluster.create(JOB, "j", {**spec, "completionMode": "Indexed"})
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Failed") == "MaxFailedIndexesExceeded"


@pytest.mark.parametrize(("code", "reason"), [(64, "PodFailurePolicy"), (1, "BackoffLimitExceeded")])
async def test_exit_codes_decide(cluster: Cluster, code: int, reason: str) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [64, 65]}}]
    await cluster.create(JOB, "j", job_spec(f"exit {code}", backoffLimit=0, podFailurePolicy={"rules": rules}))
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Failed") == reason
    if code == 64:
        message = next(entry["message"] for entry in job["status"]["conditions"] if entry["type"] == "Failed")
        assert "failed with exit code 64 matching FailJob rule at index 0" in message


async def test_fail_index_does_not_retry(cluster: Cluster) -> None:
    rules = [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [65]}}]
    spec = job_spec(
        'test "$JOB_COMPLETION_INDEX" = 0 || exit 65',
        completions=2,
        parallelism=2,
        backoffLimitPerIndex=3,
        podFailurePolicy={"rules": rules},
        completionMode="Indexed",
    )
    await cluster.create(JOB, "j", spec)
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Failed") == "FailedIndexes"
    assert job["status"]["failedIndexes"] == "1"
    assert len(await cluster.pods("job-name=j")) == 2


async def test_suspend_and_resume(cluster: Cluster) -> None:
    await cluster.create(JOB, "j", job_spec("sleep 300", suspend=True))
    job = await cluster.until(JOB, "j", lambda seen: condition(seen, "Suspended"))
    assert "startTime" not in job["status"]
    assert await cluster.pods("job-name=j") == []
    await cluster.api.patch(JOB, "j", cluster.namespace, {"spec": {"suspend": False}})
    await cluster.until(JOB, "j", lambda seen: seen["status"].get("ready") == 1)
    await cluster.api.patch(JOB, "j", cluster.namespace, {"spec": {"suspend": True}})

    async def empty() -> bool:
        return await cluster.pods("job-name=j") == []

    await eventually(empty, "the pods to be gone")
    job = await cluster.until(JOB, "j", lambda seen: condition(seen, "Suspended") and not seen["status"].get("active"))
    assert not job["status"].get("failed"), "a suspended pod is no failure"
    assert "startTime" not in job["status"]


async def test_active_deadline(cluster: Cluster) -> None:
    await cluster.create(JOB, "j", job_spec("sleep 300", activeDeadlineSeconds=2))
    job = await cluster.until(JOB, "j", ended)
    assert condition(job, "Failed") == "DeadlineExceeded"


async def test_a_deleted_pod_is_replaced_only_when_it_has_ended(cluster: Cluster) -> None:
    spec = job_spec("trap '' TERM; sleep 300", completions=1, podReplacementPolicy="Failed", completionMode="Indexed")
    await cluster.create(JOB, "j", spec)
    await cluster.until(JOB, "j", lambda seen: seen["status"].get("ready") == 1)
    (first,) = await cluster.pods("job-name=j")
    await cluster.api.delete(POD, first["metadata"]["name"], cluster.namespace)
    most = 0

    async def replaced() -> bool:
        nonlocal most
        pods = await cluster.pods("job-name=j")
        most = max(most, sum(phase(pod) in ("Pending", "Running") for pod in pods))
        return any(pod["metadata"]["uid"] != first["metadata"]["uid"] and phase(pod) == "Running" for pod in pods)

    await eventually(replaced, "a new pod")
    assert most == 1, "two pods for one index"
    job = await cluster.get(JOB, "j")
    assert job["status"]["failed"] == 1


async def test_ttl_removes_job_and_pods(cluster: Cluster) -> None:
    await cluster.create(JOB, "j", job_spec("true", ttlSecondsAfterFinished=1))
    await cluster.gone(JOB, "j")

    async def empty() -> bool:
        return await cluster.pods("job-name=j") == []

    await eventually(empty, "the pods to be gone")


@pytest.mark.parametrize("policy", ["Foreground", "Background"])
async def test_deleting_a_job_deletes_its_pods(cluster: Cluster, policy: str) -> None:
    await cluster.create(JOB, "j", job_spec("sleep 300", completions=2, parallelism=2))
    await cluster.until(JOB, "j", lambda seen: seen["status"].get("ready") == 2)
    await cluster.api.delete(JOB, "j", cluster.namespace, propagation=policy)
    await cluster.gone(JOB, "j")
    if policy == "Foreground":
        assert await cluster.pods("job-name=j") == [], "foreground deletion waits for the pods"

    async def empty() -> bool:
        return await cluster.pods("job-name=j") == []

    await eventually(empty, "the pods to be gone")


async def test_orphaned_pods_stay(cluster: Cluster) -> None:
    await cluster.create(JOB, "j", job_spec("sleep 300"))
    await cluster.until(JOB, "j", lambda seen: seen["status"].get("ready") == 1)
    await cluster.api.delete(JOB, "j", cluster.namespace, propagation="Orphan")
    await cluster.gone(JOB, "j")

    async def free() -> bool:
        (pod,) = await cluster.pods("job-name=j")
        return "ownerReferences" not in pod["metadata"] and "finalizers" not in pod["metadata"]

    await eventually(free, "the pod to be free")
    (pod,) = await cluster.pods("job-name=j")
    assert phase(pod) == "Running"


async def test_a_dependent_of_nobody_is_collected(cluster: Cluster) -> None:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "never", "uid": str(uuid.uuid4())}
    meta = {"name": "c", "ownerReferences": [owner]}
    await cluster.api.create(CONFIG_MAP, {"metadata": meta, "data": {}}, cluster.namespace)
    await cluster.gone(CONFIG_MAP, "c")


async def test_a_deployment_rolls(cluster: Cluster) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, **job_spec("sleep 300", restart="Always")["template"]}
    await cluster.create(DEPLOYMENT, "web", {"replicas": 2, "selector": {"matchLabels": labels}, "template": template})

    def done(deployment: dict[str, Any]) -> bool:
        status = deployment.get("status") or {}
        counts = [status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        current = status.get("observedGeneration") == deployment["metadata"]["generation"]
        return current and counts == [deployment["spec"]["replicas"]] * 3

    await cluster.until(DEPLOYMENT, "web", done)
    before = {pod["metadata"]["uid"] for pod in await cluster.pods("app=web")}
    annotated = {"metadata": {"annotations": {"roll": "1"}}}
    await cluster.api.patch(DEPLOYMENT, "web", cluster.namespace, {"spec": {"template": annotated}})
    await cluster.until(DEPLOYMENT, "web", done)
    live = [pod for pod in await cluster.pods("app=web") if "deletionTimestamp" not in pod["metadata"]]
    assert len(live) == 2
    assert not before & {pod["metadata"]["uid"] for pod in live}
