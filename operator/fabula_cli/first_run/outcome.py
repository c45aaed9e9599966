"""What came of a trial, judged: where a cluster differs from what the operator takes it to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fabula_api.outside import plain
from fabula_api.probe import ProbeReport
from fabula_cli.checks import Check
from fabula_cli.first_run.manifests import Trial
from fabula_kube.errors import ApiError
from fabula_operator.kube.admission import JOB_UID, message_of

RANKED = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
"""What the training operator gives each pod, and torchrun reads."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen of one child."""

    trial: Trial
    refused: ApiError | None = None
    """The API server did not take it."""
    child: dict[str, Any] | None = None
    """As it was at the last look."""
    pods: Sequence[dict[str, Any]] = ()
    workloads: Sequence[dict[str, Any]] = ()
    """Kueue's, of this child."""
    seconds: float = 0.0


def judge(outcome: Outcome) -> list[Check]:
    """The lines about one trial."""
    about = outcome.trial.about
    if outcome.refused is not None:
        return [Check(about, _refusal(outcome.refused), f"{outcome.trial.kind}: {plain(outcome.refused.message)}")]
    if outcome.trial.suspended:
        return [_held(outcome)]
    if outcome.trial.queue and (missing := _not_admitted(outcome)):
        return [missing]
    checks = []
    if outcome.trial.kind == "PyTorchJob":
        checks += _trainer(outcome)
    if (stuck := _not_ended(outcome)) is not None:
        return [*checks, stuck]
    if outcome.trial.kind == "PyTorchJob":
        return checks
    if outcome.trial.queue:
        words = f"a suspended Job was admitted, started and ended after {outcome.seconds:.0f} s"
        return [Check(about, "OK", words)]
    return _reported(outcome)


def _refusal(error: ApiError) -> Any:
    return "MISSING" if error.code in (401, 403, 404) else "DIFFERS"


def ended(outcome: Outcome) -> str | None:
    """The condition that says that a child has ended."""
    conditions = ((outcome.child or {}).get("status") or {}).get("conditions") or ()
    return next((c["type"] for c in conditions if c["status"] == "True" and c["type"] in _ENDS), None)


_ENDS = ("Complete", "Failed", "Succeeded")


def _not_ended(outcome: Outcome) -> Check | None:
    about, end = outcome.trial.about, ended(outcome)
    if end in ("Complete", "Succeeded"):
        return None
    if not outcome.pods:
        words = (
            f"no pod came within {outcome.seconds:.0f} s: is a ResourceQuota or a webhook in the way? Look at events"
        )
        return Check(about, "MISSING", words)
    why = _why(outcome.pods[0])
    if end == "Failed":
        return Check(about, "MISSING", f"its pod failed: {why}")
    return Check(about, "MISSING", f"its pod has not ended within {outcome.seconds:.0f} s: {why}")


def _why(pod: dict[str, Any]) -> str:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return plain(f"{condition.get('reason')}: {condition.get('message')}")
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        if waiting := state.get("waiting"):
            return plain(f"{waiting.get('reason')}: {waiting.get('message') or ''}")
        if terminated := state.get("terminated"):
            said = terminated.get("message") or "see its log; are images.cpu and images.gpu of this version?"
            return plain(f"exit code {terminated.get('exitCode')}: {said}")
    return plain(f"it is {status.get('phase', 'Pending')}; {status.get('message') or 'look at its events'}")


def _reported(outcome: Outcome) -> list[Check]:
    about = outcome.trial.about
    try:
        report = ProbeReport.model_validate_json(_last_word(outcome.pods[0]))
    except ValidationError:
        return [Check(about, "MISSING", "its pod left no report: is the image of this version?")]
    return [Check(f"{about}: {finding.about}", finding.state, plain(finding.said)) for finding in report.findings]


def _last_word(pod: dict[str, Any]) -> str:
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        return str(((container.get("state") or {}).get("terminated") or {}).get("message") or "")
    return ""


def _trainer(outcome: Outcome) -> list[Check]:
    """What the operator counts on of PyTorchJobs: which pods there are, who they are, and that they stay."""
    about, differs = outcome.trial.about, []
    if len(outcome.pods) != 1:
        differs.append(f"{len(outcome.pods)} pods where one was asked for")
    for pod in outcome.pods:
        labels, spec = pod["metadata"].get("labels") or {}, pod["spec"]
        if labels.get("training.kubeflow.org/replica-type", "").lower() != "master":
            differs.append("its pod has no label training.kubeflow.org/replica-type, by which ranks are told apart")
        if spec.get("initContainers"):
            differs.append(f"it adds the init container {spec['initContainers'][0]['name']} to a single pod")
        given = {variable["name"] for variable in spec["containers"][0].get("env") or ()}
        if lacking := [name for name in RANKED if name not in given]:
            differs.append(f"its pod is not given {', '.join(lacking)}, which torchrun needs")
        owners = [owner["kind"] for owner in pod["metadata"].get("ownerReferences") or () if owner.get("controller")]
        if owners != ["PyTorchJob"]:
            differs.append("its pod is not owned by the PyTorchJob, so it would outlive it")
    if differs:
        return [Check(about, "DIFFERS", f"{'; '.join(differs)}. Set backend: Job in runs until this is mended")]
    if ended(outcome) is None:
        return []
    words = f"a PyTorchJob became one pod with rank and address, and ended after {outcome.seconds:.0f} s; its pod stays"
    return [Check(about, "OK", words)]


def _held(outcome: Outcome) -> Check:
    about = outcome.trial.about
    if outcome.pods:
        words = "a suspended PyTorchJob got pods: queued and suspended trainings would start. Set backend: Job"
        return Check(about, "DIFFERS", words)
    return Check(about, "OK", f"a suspended PyTorchJob had no pod for {outcome.seconds:.0f} s")


def _not_admitted(outcome: Outcome) -> Check | None:
    about = outcome.trial.about
    if not outcome.workloads:
        words = f"Kueue made no Workload for a Job within {outcome.seconds:.0f} s: is batch/job among its integrations?"
        return Check(about, "MISSING", words)
    uid = (outcome.child or {})["metadata"]["uid"]
    if (outcome.workloads[0]["metadata"].get("labels") or {}).get(JOB_UID) != uid:
        words = f"its Workload has no label {JOB_UID} with the Job's uid, so runs cannot say why they wait"
        return Check(about, "DIFFERS", words)
    if (outcome.child or {})["spec"].get("suspend"):
        words = message_of(outcome.workloads[0]) or "Kueue does not say why"
        return Check(about, "MISSING", f"not admitted within {outcome.seconds:.0f} s: {plain(words)}")
    return None
