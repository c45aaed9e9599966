"""A group's attempts: one dead rank ends the attempt as a whole, attempts never overlap, two budgets pay for restarts.

Infrastructure pays for what is not the run's own doing: disruption, a pod or child deleted from outside, exit code 75
(no store, no space, SIGTERM). Failure pays for crashes, out of memory and exceptions. Exit codes 64, 65 and 77 end the
run at once. A suspended attempt is over and costs neither budget; resuming starts the next attempt from the last
committed checkpoint, so that an attempt number always fences what came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from fabula_api.fine_tune_run import Attempt, CheckpointStatus
from fabula_api.shared_spec import Retries
from fabula_api.status import FailureDigest
from fabula_api.worker import FINAL_EXIT_CODES, ExitCode, StageReport
from fabula_operator.plan.children import Child, Pod, running
from fabula_operator.plan.results import failure_of, pod_failure, result_of

Budget = Literal["infrastructure", "failure"]
MAX_BACKOFF_SECONDS = 300.0
KEPT = 64


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt ended."""

    digest: FailureDigest
    budget: Budget
    final: bool
    """No further attempt can help."""
    resumed_from_step: int | None = None


def cause_of(child: Child, pods: Sequence[Pod]) -> Cause | None:
    """Why the attempt ended, or None while it goes on. A pod that is being deleted is not judged yet."""
    failed = [pod for pod in pods if pod.phase == "Failed"]
    if not child.failed and not running(pods):
        # The last pod has ended, so the child's controller is about to say how; its child stays for its logs.
        return None
    judged = failed if child.failed else [pod for pod in failed if not pod.deleting]
    if not judged:
        whole = len({pod.index for pod in pods if not pod.deleting}) == child.size
        if not child.failed or (whole and running(pods)):
            # With every pod there and none of them failed, the news of the pods is older than that of the child.
            return None
        digest = failure_of(child, ())
        return Cause(
            digest.model_copy(
                update={
                    "reason": "PodLost",
                    "message": f"{child.kind} {child.name}: a pod was deleted or its node is gone",
                }
            ),
            "infrastructure",
            False,
        )
    disrupted = [pod for pod in judged if pod.disrupted]
    if disrupted:
        return Cause(pod_failure(disrupted[0], child.stage), "infrastructure", False, resumed_step(judged))
    first = min(judged, key=lambda pod: (pod.finished_at is None, pod.finished_at, pod.index))
    digest = pod_failure(first, child.stage)
    if first.exit_code == ExitCode.RETRY or first.exit_code is None:
        # No exit code: the kubelet refused or evicted the pod before its process could end.
        return Cause(digest, "infrastructure", False, resumed_step(judged))
    return Cause(digest, "failure", first.exit_code in FINAL_EXIT_CODES, resumed_step(judged))


def resumed_step(pods: Sequence[Pod]) -> int | None:
    """Step of the checkpoint that an attempt went on from, as its pods say."""
    for pod in pods:
        result = result_of(pod)
        step = result.summary.get("resumedFromStep") if result else None
        if isinstance(step, int):
            return step
    return None


def heard(attempt: Attempt, body: StageReport) -> dict[str, object]:
    """What a report tells of its attempt: the step it is at, where it began, and the last checkpoint it committed."""
    update: dict[str, object] = {"last_step": body.done}
    if attempt.number > 1 and attempt.last_step is None and "loss" not in body.metrics:
        # Before its first step a worker reports the step of the checkpoint it goes on from.
        update["resumed_from_step"] = body.done or None
    try:
        checkpoint = CheckpointStatus.model_validate(body.checkpoint) if body.checkpoint else None
    except ValidationError:
        checkpoint = None
    if checkpoint is not None:
        update |= {"committed_step": checkpoint.step, "committed_at": checkpoint.committed_at}
    return update


def spent(attempts: Sequence[Attempt], budget: Budget, generation: int) -> int:
    """How many attempts were charged to a budget since the spec was last edited."""
    return sum(1 for one in attempts if one.budget == budget and one.generation == generation)


def exhausted(attempts: Sequence[Attempt], budget: Budget, generation: int, retries: Retries) -> bool:
    """Whether the budget pays for no further attempt."""
    allowed = retries.infrastructure if budget == "infrastructure" else retries.failure
    return spent(attempts, budget, generation) > allowed


def backoff_seconds(attempts: Sequence[Attempt], base: float) -> float:
    """Wait before the next attempt: doubled for each failure in a row, none after a suspension."""
    in_a_row = 0
    for one in reversed(attempts):
        if one.state != "Failed":
            break
        in_a_row += 1
    return min(MAX_BACKOFF_SECONDS, base * 2.0 ** (in_a_row - 1)) if in_a_row else 0.0


def changed(attempts: Sequence[Attempt], attempt: Attempt) -> tuple[Attempt, ...]:
    """The attempts with one of them replaced, or added at the end."""
    others = [one for one in attempts if one.number != attempt.number]
    return tuple(sorted([*others, attempt], key=lambda one: one.number)[-KEPT:])


def ended(attempt: Attempt, cause: Cause, at: str) -> Attempt:
    """The attempt once it failed."""
    return attempt.model_copy(
        update={
            "state": "Failed",
            "reason": cause.digest.reason,
            "message": cause.digest.message[:256],
            "budget": cause.budget,
            "finished_at": at,
            "resumed_from_step": attempt.resumed_from_step
            if cause.resumed_from_step is None
            else cause.resumed_from_step,
        }
    )


def last_end(pods: Sequence[Pod], now: datetime) -> datetime:
    """When the last of the pods ended."""
    ends = [pod.finished_at for pod in pods if pod.finished_at]
    return max(ends) if ends else now
