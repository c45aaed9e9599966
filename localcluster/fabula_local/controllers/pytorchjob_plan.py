"""What to do next for a PyTorchJob. Pure; conditions and reasons are those of the Kubeflow training operator."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fabula_local import timestamps
from fabula_local.controllers import pods as podinfo
from fabula_local.controllers.conditions import find_condition, with_condition
from fabula_local.controllers.job_plan import Notice
from fabula_local.controllers.pytorchjob_pods import PREFIX, replicas
from fabula_local.kinds import Obj

ENDS = ("Succeeded", "Failed")
RETRYABLE_FROM = 128
"""With restartPolicy ExitCode, codes of 128 and above mean a signal: try again. Lower ones are the program's fault."""


@dataclass(slots=True)
class PyTorchJobPlan:
    """Executed in this order: delete, create, status, delete_job."""

    status: Obj
    delete: list[Obj] = field(default_factory=list)
    create: list[tuple[str, int]] = field(default_factory=list)
    """(replica type, index) of pods and Services to make."""
    delete_services: bool = False
    notices: list[Notice] = field(default_factory=list)
    delete_job: bool = False
    again_seconds: float | None = None


def plan_pytorchjob(job: Obj, pods: Sequence[Obj], now: datetime) -> PyTorchJobPlan:
    """The next step, given the pods that the job controls."""
    plan = PyTorchJobPlan(copy.deepcopy(job.get("status") or {}))
    plan.status.setdefault("conditions", [])
    plan.status.setdefault("replicaStatuses", {})
    if "deletionTimestamp" in job["metadata"]:
        return plan
    policy = job["spec"].get("runPolicy") or {}
    name = job["metadata"]["name"]
    end = next((kind for kind in ENDS if _true(plan, kind)), None)
    if end is not None:
        _clean(plan, pods, policy)
        _expire(plan, policy, now)
        return plan
    if find_condition(plan.status["conditions"], "Created") is None:
        _set(plan, "Created", "PyTorchJobCreated", f"PyTorchJob {name} is created.", now)
    if policy.get("suspend"):
        _suspend(plan, pods, name, now)
        return plan
    if _true(plan, "Suspended"):
        _unset(plan, "Suspended", "PyTorchJobResumed", f"PyTorchJob {name} is resumed.", now)
        plan.status["startTime"] = timestamps.rfc3339(now)
        plan.notices.append(Notice("Normal", "PyTorchJobResumed", f"PyTorchJob {name} is resumed."))
    plan.status.setdefault("startTime", timestamps.rfc3339(now))
    by_place = {_place(pod): pod for pod in pods}
    plan.status["replicaStatuses"] = _count(job, pods)
    exceeded = _exceeded(job, plan, pods, now)
    failure = None if exceeded is not None else _failure(job, plan, by_place)
    if exceeded is not None:
        _finish(plan, "Failed", "PyTorchJobFailed", exceeded, pods, policy, now)
        # The training operator cleans up before it writes down that the job has failed, and cleanPodPolicy counts only
        # from then on: with a limit that is exceeded every pod goes, and its last word with it.
        plan.delete, plan.delete_services = [pod for pod in pods if not podinfo.deleting(pod)], True
    elif failure is not None:
        _finish(plan, "Failed", "PyTorchJobFailed", failure, pods, policy, now)
    elif _succeeded(job, by_place):
        message = f"PyTorchJob {name} is successfully completed."
        _finish(plan, "Succeeded", "PyTorchJobSucceeded", message, pods, policy, now)
    else:
        _keep_running(plan, job, by_place, name, now)
    return plan


def _place(pod: Obj) -> tuple[str, int]:
    pod_labels = pod["metadata"].get("labels") or {}
    return pod_labels[f"{PREFIX}/replica-type"].capitalize(), int(pod_labels[f"{PREFIX}/replica-index"])


def _count(job: Obj, pods: Sequence[Obj]) -> Obj:
    result: Obj = {}
    for kind in replicas(job):
        phases = [podinfo.phase(pod) for pod in pods if _place(pod)[0] == kind]
        # A pod that does not run yet counts as nothing, as in the training operator.
        counts = {"active": "Running", "succeeded": "Succeeded", "failed": "Failed"}
        entry: Obj = {name: phases.count(phase) for name, phase in counts.items() if phases.count(phase)}
        entry["selector"] = f"{PREFIX}/job-name={job['metadata']['name']},{PREFIX}/replica-type={kind.lower()}"
        result[kind] = entry
    return result


def _succeeded(job: Obj, by_place: dict[tuple[str, int], Obj]) -> bool:
    counts = replicas(job)
    # The master's word is the job's; without one the workers all have to succeed.
    wanted = [("Master", 0)] if "Master" in counts else [("Worker", index) for index in range(counts["Worker"])]
    return all(place in by_place and podinfo.phase(by_place[place]) == "Succeeded" for place in wanted)


def _exceeded(job: Obj, plan: PyTorchJobPlan, pods: Sequence[Obj], now: datetime) -> str | None:
    """The message of a limit in runPolicy that the job has exceeded."""
    name, policy = job["metadata"]["name"], job["spec"].get("runPolicy") or {}
    backoff = policy.get("backoffLimit")
    if backoff is not None:
        restarted = sum(podinfo.restarts(pod) for pod in pods) + int(plan.status.get("restartCount", 0))
        known = ((job.get("status") or {}).get("replicaStatuses") or {}).values()
        failed = sum(podinfo.phase(pod) == "Failed" for pod in pods)
        active = sum(not podinfo.finished(pod) and not podinfo.deleting(pod) for pod in pods)
        failed_before = sum(int(replica.get("failed", 0)) for replica in known)
        news = failed > failed_before and active != sum(replicas(job).values())
        # Without restarts only a limit of 0 is one: the first failure exceeds it.
        if (news and int(backoff) == 0) or restarted >= max(int(backoff), 1):
            return f"PyTorchJob {name} has failed because it has reached the specified backoff limit"
    limit = policy.get("activeDeadlineSeconds")
    if limit is not None:
        left = (timestamps.parse(plan.status["startTime"]) + timedelta(seconds=int(limit)) - now).total_seconds()
        if left <= 0:
            return f"PyTorchJob {name} has failed because it was active longer than specified deadline"
        plan.again_seconds = left
    return None


def _failure(job: Obj, plan: PyTorchJobPlan, by_place: dict[tuple[str, int], Obj]) -> str | None:
    """The message of the job's failure; retryable failures are planned as restarts instead."""
    name = job["metadata"]["name"]
    restarted = int(plan.status.get("restartCount", 0))
    for (kind, _), pod in by_place.items():
        if podinfo.phase(pod) != "Failed" or podinfo.deleting(pod):
            continue
        exit_codes = [code for _, code in podinfo.terminated(pod)]
        by_exit_code = job["spec"]["pytorchReplicaSpecs"][kind].get("restartPolicy") == "ExitCode"
        if not by_exit_code or any(0 < code < RETRYABLE_FROM for code in exit_codes):
            failed = plan.status["replicaStatuses"][kind].get("failed", 1)
            return f"PyTorchJob {name} is failed because {failed} {kind} replica(s) failed."
        plan.delete.append(pod)
        plan.status["restartCount"] = restarted = restarted + 1
    return None


def _keep_running(
    plan: PyTorchJobPlan, job: Obj, by_place: dict[tuple[str, int], Obj], name: str, now: datetime
) -> None:
    if plan.delete:
        message = f"PyTorchJob {name} is restarting because {len(plan.delete)} replica(s) failed."
        _unset(plan, "Running", "PyTorchJobRestarting", message, now)
        _set(plan, "Restarting", "PyTorchJobRestarting", message, now)
        plan.notices.append(Notice("Warning", "PyTorchJobRestarting", message))
    wanted = [(kind, index) for kind, number in replicas(job).items() for index in range(number)]
    plan.create = [place for place in wanted if place not in by_place]
    lead = "Master" if "Master" in replicas(job) else "Worker"
    if plan.status["replicaStatuses"][lead].get("active") and not plan.delete:
        _unset(plan, "Restarting", "PyTorchJobRunning", f"PyTorchJob {name} is running.", now)
        _set(plan, "Running", "PyTorchJobRunning", f"PyTorchJob {name} is running.", now)


def _finish(
    plan: PyTorchJobPlan, kind: str, reason: str, message: str, pods: Sequence[Obj], policy: Obj, now: datetime
) -> None:
    plan.delete.clear()
    plan.status["completionTime"] = timestamps.rfc3339(now)
    _unset(plan, "Running", reason, message, now)
    _unset(plan, "Restarting", reason, message, now)
    _set(plan, kind, reason, message, now)
    plan.notices.append(Notice("Normal" if kind == "Succeeded" else "Warning", reason, message))
    _clean(plan, pods, policy)


def _clean(plan: PyTorchJobPlan, pods: Sequence[Obj], policy: Obj) -> None:
    """cleanPodPolicy: which pods go when the job has ended."""
    choice = policy.get("cleanPodPolicy", "None")
    if choice == "None":
        return
    plan.delete = [pod for pod in pods if not podinfo.deleting(pod) and (choice == "All" or not podinfo.finished(pod))]
    plan.delete_services = True


def _expire(plan: PyTorchJobPlan, policy: Obj, now: datetime) -> None:
    ttl = policy.get("ttlSecondsAfterFinished")
    moment = plan.status.get("completionTime")
    if ttl is None or moment is None:
        return
    left = (timestamps.parse(moment) + timedelta(seconds=int(ttl)) - now).total_seconds()
    plan.delete_job, plan.again_seconds = left <= 0, (None if left <= 0 else left)


def _suspend(plan: PyTorchJobPlan, pods: Sequence[Obj], name: str, now: datetime) -> None:
    message = f"PyTorchJob {name} is suspended."
    plan.delete = [pod for pod in pods if not podinfo.deleting(pod)]
    plan.status["replicaStatuses"] = {}
    plan.status.pop("startTime", None)
    if not _true(plan, "Suspended"):
        _unset(plan, "Running", "PyTorchJobSuspended", message, now)
        _set(plan, "Suspended", "PyTorchJobSuspended", message, now)
        plan.notices.append(Notice("Normal", "PyTorchJobSuspended", message))


def _true(plan: PyTorchJobPlan, kind: str) -> bool:
    condition = find_condition(plan.status["conditions"], kind)
    return condition is not None and condition["status"] == "True"


def _set(plan: PyTorchJobPlan, kind: str, reason: str, message: str, now: datetime) -> None:
    if not _true(plan, kind):
        _write(plan, kind, "True", reason, message, now)


def _unset(plan: PyTorchJobPlan, kind: str, reason: str, message: str, now: datetime) -> None:
    if _true(plan, kind):
        _write(plan, kind, "False", reason, message, now)


def _write(plan: PyTorchJobPlan, kind: str, status: str, reason: str, message: str, now: datetime) -> None:
    plan.status["conditions"] = with_condition(
        plan.status["conditions"], kind, status, reason, message, now, lastUpdateTime=timestamps.rfc3339(now)
    )
