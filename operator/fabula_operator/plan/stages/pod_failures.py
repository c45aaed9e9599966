"""Why a child failed, in what a person needs first: the worker's own account, else what the kubelet says of its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from fabula_api.outside import camel_reason
from fabula_api.status import FailureDigest
from fabula_api.worker import ExitCode
from fabula_operator.plan.seen.api_objects import Child, Pod
from fabula_operator.plan.stages.results import result_of

_LAST = datetime.max.replace(tzinfo=UTC)
_NOT_THERE = ("no such file or directory", "executable file not found", "permission denied", "exec format error",
              "not a directory", "is a directory", "argument list too long")  # fmt: skip
"""What a runtime says of a command that no try will make start. Its other words may pass, such as a full node's."""


def first_failed(child: Child, pods: Sequence[Pod]) -> Pod | None:
    """The pod that failed first and for a reason of its own, of a shard that failed for good where that is known."""
    failed = [pod for pod in pods if pod.phase == "Failed"]
    final = [pod for pod in failed if pod.index in child.failed_indexes]
    undisrupted = [pod for pod in final or failed if pod.disrupted is None]
    # Of a group, the first to die took the others with it. Of a shard, the last try is what it failed of.
    ordered = sorted(undisrupted or failed, key=lambda pod: (pod.finished_at or _LAST, pod.index, pod.name))
    if not ordered:
        return None
    shard = ordered[0].index
    tries = [pod for pod in ordered if pod.index == shard]
    return tries[-1] if child.failed_indexes else ordered[0]


def failure_of(child: Child, pods: Sequence[Pod]) -> FailureDigest:
    """Why a child failed, by its first failing pod's own account, else by what Kubernetes says of it."""
    pod = first_failed(child, pods)
    if pod is None:
        return FailureDigest(
            reason=camel_reason(child.reason or "ChildFailed"),
            message=f"{child.kind} {child.name} failed: {child.message or 'no pod is left that says why'}",
            stage=child.stage,
        )
    return pod_failure(pod, child.stage)


def cannot_start(pod: Pod) -> bool:
    """Whether the pod's container was never started, and would not be at another try: a mistake of the spec."""
    said = (pod.not_started or "").lower()
    ours = re.search(r"\bexec\b|chdir to cwd", said) is not None
    return pod.phase == "Failed" and ours and any(words in said for words in _NOT_THERE)


def pod_failure(pod: Pod, stage: str) -> FailureDigest:
    """Why one pod failed."""
    result = result_of(pod)
    if result is not None and result.failure is not None:
        said = result.failure
        return said.replace(
            reason=camel_reason(said.reason),
            stage=said.stage or stage,
            shard=pod.index if said.shard is None else said.shard,
            exit_code=pod.exit_code if said.exit_code is None else said.exit_code,
        )
    reason, message = _in_kubernetes_words(pod)
    return FailureDigest(reason=reason, message=message[:4096], stage=stage, shard=pod.index, exit_code=pod.exit_code)


def _in_kubernetes_words(pod: Pod) -> tuple[str, str]:
    more = f": {pod.message}" if pod.message else ""
    if pod.disrupted:
        return camel_reason(pod.disrupted), f"pod {pod.name} was disrupted: {pod.disrupted}{more}"
    if pod.ended_reason == "OOMKilled":
        told = f"pod {pod.name} used more memory than its limit and was killed; raise resources.limits.memory"
        return "OOMKilled", told
    if pod.not_started is not None:
        mend = "; mend the image or its command" if cannot_start(pod) else ""
        return camel_reason(pod.ended_reason or "StartError"), (
            f"pod {pod.name} could not start its container: {pod.not_started}{mend}"
        )
    if pod.exit_code is None:
        return camel_reason(pod.ended_reason or "PodFailed"), (
            f"pod {pod.name} failed: {pod.message or pod.ended_reason or 'Kubernetes names no reason'}"
        )
    if pod.exit_code > 128:
        return "Killed", f"pod {pod.name} was killed by signal {pod.exit_code - 128}{more}"
    account = "an account that is no result of this version" if pod.termination_message else "no account"
    return _EXIT_REASONS.get(pod.exit_code, "Crashed"), (
        f"pod {pod.name} ended with exit code {pod.exit_code} and left {account}; see its log"
    )


_EXIT_REASONS = {
    int(ExitCode.CONFIG): "ConfigInvalid",
    int(ExitCode.INPUT): "InputInvalid",
    int(ExitCode.CREDENTIALS): "CredentialsRefused",
    int(ExitCode.RETRY): "TryAgain",
}
