"""The Job planner: situations as a person would tell them, and what follows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fabula_local.controllers.indexes import format_indexes, parse_indexes
from fabula_local.controllers.job_plan import JobPlan, plan_job
from fabula_local.controllers.job_pods import FINALIZER, index_of, render_pod
from fabula_local.controllers.job_policy import judge

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LONG_AGO = "2026-01-01T11:00:00Z"
JUST_NOW = "2026-01-01T11:59:59Z"


def job(status: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}}
    return {
        "metadata": {"name": "j", "namespace": "n", "uid": "job-uid", **(meta or {})},
        "spec": {"parallelism": 2, "completions": 2, "completionMode": "Indexed", "template": template, **spec},
        "status": {"startTime": LONG_AGO, **(status or {})},
    }


def pod(
    name: str,
    phase: str = "Running",
    *,
    index: int | None = 0,
    code: int | None = None,
    at: str = LONG_AGO,
    node: str = "laptop",
    deleting: bool = False,
    tracked: bool = True,
    failures: int = 0,
    conditions: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    annotations = {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)}
    if failures:
        annotations["batch.kubernetes.io/job-index-failure-count"] = str(failures)
    meta: dict[str, Any] = {"name": name, "namespace": "n", "uid": name, "annotations": annotations}
    if tracked:
        meta["finalizers"] = [FINALIZER]
    if deleting:
        meta["deletionTimestamp"] = JUST_NOW
    status: dict[str, Any] = {"phase": phase, "conditions": conditions or []}
    if phase in ("Succeeded", "Failed"):
        exit_code = code if code is not None else (0 if phase == "Succeeded" else 1)
        status["containerStatuses"] = [
            {"name": "main", "state": {"terminated": {"exitCode": exit_code, "finishedAt": at}}}
        ]
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": status}


def plan(the_job: dict[str, Any], *pods: dict[str, Any], released: tuple[str, ...] = ()) -> JobPlan:
    return plan_job(the_job, pods, NOW, released=released, backoff_seconds=10)


def conditions(found: JobPlan) -> dict[str, str]:
    return {entry["type"]: entry["reason"] for entry in found.status.get("conditions", []) if entry["status"] == "True"}


def names(pods: list[dict[str, Any]]) -> list[str]:
    return [entry["metadata"]["name"] for entry in pods]


@pytest.mark.parametrize(
    ("text", "indexes"),
    [("", set()), ("0", {0}), ("0,1", {0, 1}), ("0-2,5", {0, 1, 2, 5}), ("1,3-5,7", {1, 3, 4, 5, 7})],
)
def test_indexes_are_written_as_kubernetes_writes_them(text: str, indexes: set[int]) -> None:
    assert parse_indexes(text) == indexes
    assert format_indexes(indexes) == text


@pytest.mark.parametrize(
    ("situation", "the_job", "pods", "created"),
    [
        ("nothing runs yet", job(), [], [0, 1]),
        ("one index runs", job(), [pod("a", index=1)], [0]),
        ("parallelism is used up", job(parallelism=1, completions=3), [pod("a", index=2)], []),
        ("an index is done already", job({"completedIndexes": "0", "succeeded": 1}), [], [1]),
        (
            "a failed pod's place is taken again after the pause",
            job(),
            [pod("a", "Failed"), pod("b", index=1)],
            [0],
        ),
        ("a failed pod's place stays free during the pause", job(), [pod("a", "Failed", at=JUST_NOW)], []),
        (
            "an ending pod holds its index where only failed ones are replaced",
            job(podReplacementPolicy="Failed"),
            [pod("a", deleting=True), pod("b", index=1)],
            [],
        ),
        (
            "a deleted pod that no node ever had counts as failed and its place waits",
            job(podReplacementPolicy="Failed"),
            [pod("a", "Pending", node="", deleting=True, at=LONG_AGO)],
            [],
        ),
        ("suspended", job(suspend=True), [], []),
        ("being deleted", job(meta={"deletionTimestamp": JUST_NOW}), [], []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pods_that_are_made(situation: str, the_job: dict[str, Any], pods: list[Any], created: list[int]) -> None:
    assert [new.index for new in plan(the_job, *pods).create] == created


def test_no_index_ever_gets_two_pods() -> None:
    found = plan(job(parallelism=5), pod("a"), pod("b"), pod("c", index=1))
    assert found.create == []
    assert len(found.drop) == 1
    assert index_of(found.drop[0]) == 0


def test_a_success_is_counted_before_its_finalizer_goes() -> None:
    found = plan(job(), pod("a", "Succeeded"), pod("b", index=1))
    assert found.status["completedIndexes"] == "0"
    assert found.status["succeeded"] == 1
    assert names(found.release) == ["a"]
    assert "Complete" not in conditions(found)


def test_the_job_is_complete_with_its_last_index() -> None:
    pods = [pod("a", "Succeeded"), pod("b", "Succeeded", index=1)]
    first = plan(job(), *pods)
    assert conditions(first) == {"SuccessCriteriaMet": "CompletionsReached"}
    assert names(first.release) == ["a", "b"]
    found = plan(job(first.status), *pods, released=("a", "b"))
    assert conditions(found) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert found.status["completedIndexes"] == "0,1"
    assert found.status["completionTime"] == "2026-01-01T12:00:00Z"
    assert [notice.reason for notice in found.notices] == ["Completed"]


def test_a_failure_is_counted_once_whatever_the_cache_says() -> None:
    failed = pod("a", "Failed", at=JUST_NOW)
    first = plan(job(), failed)
    assert first.status["uncountedTerminatedPods"] == {"failed": ["a"]}
    second = plan(job(first.status), failed)
    assert second.status["uncountedTerminatedPods"] == {"failed": ["a"]}
    stale = plan(job(first.status), failed, released=("a",))
    assert stale.status["failed"] == 1
    assert stale.status["uncountedTerminatedPods"] == {}
    later = plan(job(stale.status), failed, released=("a",))
    assert later.status["failed"] == 1


@pytest.mark.parametrize(
    ("situation", "the_job", "pods", "reason"),
    [
        ("one failure too many", job(backoffLimit=0), [pod("a", "Failed")], "BackoffLimitExceeded"),
        ("too many according to the status", job({"failed": 7}), [], "BackoffLimitExceeded"),
        ("active for too long", job(activeDeadlineSeconds=60), [], "DeadlineExceeded"),
        (
            "an index failed for good and the rest is done",
            job({"completedIndexes": "1"}, backoffLimitPerIndex=0),
            [pod("a", "Failed")],
            "FailedIndexes",
        ),
        (
            "more failed indexes than allowed",
            job({"failedIndexes": "0,1"}, completions=9, backoffLimitPerIndex=0, maxFailedIndexes=1),
            [],
            "MaxFailedIndexesExceeded",
        ),
        (
            "an exit code that the policy takes for fatal",
            job(
                podFailurePolicy={
                    "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64, 65]}}]
                }
            ),
            [pod("a", "Failed", code=64)],
            "PodFailurePolicy",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_failures_that_end_the_job(situation: str, the_job: dict[str, Any], pods: list[Any], reason: str) -> None:
    found = plan(the_job, *pods)
    assert conditions(found)["FailureTarget"] == reason
    assert found.create == []
    released = tuple(names(found.release))
    settled = plan({**the_job, "status": found.status}, *pods, released=released)
    assert conditions(settled)["Failed"] == reason


def test_a_failing_job_ends_its_other_pods_before_it_has_failed() -> None:
    found = plan(job(backoffLimit=0), pod("a", "Failed"), pod("b", index=1))
    assert names(found.delete) == ["b"]
    assert "FailureTarget" in conditions(found)
    assert "Failed" not in conditions(found)


def test_a_disruption_is_not_the_users_failure() -> None:
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
    hit = pod("a", "Failed", code=143, conditions=[{"type": "DisruptionTarget", "status": "True"}])
    found = plan(job(backoffLimit=0, podFailurePolicy=policy), hit, pod("b", index=1))
    assert [new.index for new in found.create] == [0]
    assert found.status["uncountedTerminatedPods"] == {}
    assert names(found.release) == ["a"]


def test_an_index_is_tried_again_within_its_own_budget() -> None:
    the_job = job(backoffLimitPerIndex=1, completions=2)
    found = plan(the_job, pod("a", "Failed"), pod("b", index=1))
    assert [(new.index, new.failures) for new in found.create] == [(0, 1)]
    assert found.release == [], "the failed pod carries the count until its replacement does"
    again = plan(the_job, pod("a", "Failed"), pod("c", failures=1), pod("b", index=1))
    assert names(again.release) == ["a"]
    spent = plan(the_job, pod("a", "Failed"), pod("c", "Failed", failures=1), pod("b", index=1))
    assert spent.status["failedIndexes"] == "0"
    assert spent.create == []


def test_fail_index_gives_one_index_up_at_once() -> None:
    policy = {"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [65]}}]}
    the_job = job(backoffLimitPerIndex=5, podFailurePolicy=policy)
    found = plan(the_job, pod("a", "Failed", code=65), pod("b", index=1))
    assert found.status["failedIndexes"] == "0"
    assert "FailureTarget" not in conditions(found)


def test_suspending_ends_pods_without_counting_them() -> None:
    found = plan(job(suspend=True), pod("a"))
    assert names(found.drop) == ["a"]
    assert conditions(found) == {"Suspended": "JobSuspended"}
    assert "startTime" not in found.status
    assert "active" not in found.status
    resumed = plan(job({**found.status, "startTime": None} | {"startTime": LONG_AGO}))
    assert conditions(resumed) == {}
    assert resumed.status["startTime"] == "2026-01-01T12:00:00Z"
    assert [new.index for new in resumed.create] == [0, 1]


def test_a_pause_doubles_with_each_failure() -> None:
    ended = (NOW - timedelta(seconds=15)).strftime("%Y-%m-%dT%H:%M:%SZ")
    once = plan(job(backoffLimit=9, completions=1), pod("a", "Failed", at=ended))
    twice = plan(job(backoffLimit=9, completions=1), pod("a", "Failed", at=ended), pod("b", "Failed", at=ended))
    assert len(once.create) == 1
    assert twice.create == []
    assert twice.again_seconds == pytest.approx(5)


def test_a_finished_job_is_deleted_when_its_time_is_over() -> None:
    end = {"type": "Complete", "status": "True", "reason": "x", "lastTransitionTime": "2026-01-01T11:59:00Z"}
    assert plan(job({"conditions": [end]}, ttlSecondsAfterFinished=60)).delete_job
    waiting = plan(job({"conditions": [end]}, ttlSecondsAfterFinished=90))
    assert not waiting.delete_job
    assert waiting.again_seconds == pytest.approx(30)


def test_a_settled_job_has_nothing_to_write() -> None:
    seen = [pod("a"), pod("b", index=1)]
    first = plan(job(), *seen)
    assert plan(job(first.status), *seen).status == first.status
    assert first.create == first.drop == first.delete == first.release == []


def test_work_queue_jobs_end_with_the_first_success() -> None:
    the_job = job(completionMode="NonIndexed", completions=None, parallelism=2)
    running = plan(the_job, pod("a", "Succeeded", index=None), pod("b", index=None))
    assert running.create == []
    assert "SuccessCriteriaMet" not in conditions(running)
    done = plan(the_job, pod("a", "Succeeded", index=None), pod("b", "Succeeded", index=None))
    assert conditions(done) == {"SuccessCriteriaMet": "CompletionsReached"}
    assert conditions(plan({**the_job, "status": done.status}))["Complete"] == "CompletionsReached"


def test_the_pod_of_an_index_knows_who_it_is() -> None:
    import random

    found = render_pod(job(), 3, random.Random(1), failures=2)
    assert found["metadata"]["name"].startswith("j-3-")
    assert len(found["metadata"]["name"]) == len("j-3-") + 5
    assert found["spec"]["hostname"] == "j-3"
    label = "batch.kubernetes.io/job-completion-index"
    assert found["metadata"]["labels"][label] == found["metadata"]["annotations"][label] == "3"
    assert found["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "2"
    owner = found["metadata"]["ownerReferences"][0]
    assert owner["controller"]
    assert owner["blockOwnerDeletion"]
    assert "JOB_COMPLETION_INDEX" in {entry["name"] for entry in found["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize(
    ("rule", "the_pod", "action"),
    [
        ({"onExitCodes": {"operator": "NotIn", "values": [1]}}, pod("a", "Failed", code=2), "FailJob"),
        ({"onExitCodes": {"operator": "NotIn", "values": [1]}}, pod("a", "Failed", code=1), "Count"),
        ({"onExitCodes": {"operator": "NotIn", "values": [1]}}, pod("a", "Failed", code=0), "Count"),
        (
            {"onExitCodes": {"operator": "In", "values": [1], "containerName": "side"}},
            pod("a", "Failed", code=1),
            "Count",
        ),
    ],
)
def test_exit_code_rules(rule: dict[str, Any], the_pod: dict[str, Any], action: str) -> None:
    assert judge({"rules": [{"action": "FailJob", **rule}]}, the_pod).action == action
