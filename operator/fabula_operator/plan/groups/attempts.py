"""A group's attempts: one dead rank ends the attempt as a whole, attempts never overlap, two budgets pay for restarts.

Infrastructure pays for what is not the run's own doing: disruption, a pod or child deleted from outside, exit code 75
(no store, no space, SIGTERM), a grace period too short to save. Failure pays for crashes, out of memory and exceptions.
Exit codes 64, 65 and 77 end the run at once. A suspended attempt is over and costs neither budget; resuming starts the
next attempt from the last committed checkpoint, so that an attempt number always fences what came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from fabula_api.fine_tune_status import Attempt, EarlierAttempts
from fabula_api.outside import whole
from fabula_api.status import FailureDigest
from fabula_api.summary import TrainSummary
from fabula_api.worker import (
    FINAL_EXIT_CODES,
    GRACE_TOO_SHORT,
    PEER_LOST,
    RESUMED_METRIC,
    ExitCode,
    StageReport,
    WorkerResult,
)
from fabula_operator.plan.seen.api_objects import Child, Pod, running
from fabula_operator.plan.stages.pod_failures import cannot_start, pod_failure
from fabula_operator.plan.stages.results import result_of, summary_of

Budget = Literal["infrastructure", "failure"]
MAX_BACKOFF_SECONDS = 300.0
PEER_WAIT_SECONDS = 15.0
"""How long the word of the rank that began it is waited for; its launcher has a checkpoint or two to commit first."""
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt ended."""

    digest: FailureDigest
    budget: Budget
    final: bool
    """No further attempt can help."""
    resumed_from_step: int | None = None


def cause_of(child: Child, pods: Sequence[Pod]) -> Cause | None:
    """Why the attempt ended, or None while it goes on.

    A pod that is deleted from outside ends it too, before it is gone: its controller would make it anew under the same
    attempt, and nobody would pay for what is repeated.
    """
    if not child.failed and not running(pods):
        # The last pod has ended, so the child's controller is about to say how; its child stays for its logs.
        return None
    failed = [pod for pod in pods if pod.phase == "Failed"]
    judged = failed if child.failed else [pod for pod in failed if not pod.deleting]
    if not judged:
        if child.failed:
            if running(pods) and len({pod.index for pod in pods if not pod.deleting}) == child.size:
                # With every pod there and none of them failed, the news of the pods is older than that of the child.
                return None
            return _lost(child, "PodLost", f"{child.kind} {child.name}: a pod was deleted or its node is gone")
        leaving = [pod for pod in running(pods) if pod.deleting]
        if not leaving:
            return None
        disrupted = next((pod for pod in leaving if pod.disrupted), None)
        if disrupted is not None:
            return Cause(pod_failure(disrupted, child.stage), "infrastructure", False)
        return _lost(child, "PodDeleted", f"pod {leaving[0].name} was deleted from outside")
    disrupted = next((pod for pod in judged if pod.disrupted), None)
    if disrupted is not None:
        return Cause(pod_failure(disrupted, child.stage), "infrastructure", False, resumed_step(judged))
    mistaken = next((pod for pod in judged if cannot_start(pod)), None)
    if mistaken is not None:
        return Cause(pod_failure(mistaken, child.stage), "failure", True)
    digests = [(pod, pod_failure(pod, child.stage)) for pod in judged]
    first, digest = min(digests, key=lambda entry: (entry[1].reason == PEER_LOST, *_end_of(entry[0])))
    if digest.reason == PEER_LOST and (len(pods) < child.size or any(pod.deleting for pod in pods)):
        return _lost(child, "PodLost", f"{child.kind} {child.name}: a pod was deleted or its node is gone")
    if first.exit_code in (ExitCode.RETRY, None) or first.not_started or digest.reason == GRACE_TOO_SHORT:
        # No exit code: the kubelet refused or evicted the pod before its process could end. One that could not start
        # its container for a reason that passes is no failure of the run either.
        return Cause(digest, "infrastructure", False, resumed_step(judged))
    return Cause(digest, "failure", first.exit_code in FINAL_EXIT_CODES, resumed_step(judged))


def word_awaited(cause: Cause, pods: Sequence[Pod], now: datetime) -> float | None:
    """Seconds to wait for the pod whose rank began it, when all that ended so far did because another one had."""
    if cause.digest.reason != PEER_LOST or not running(pods):
        return None
    ended_at = last_end([pod for pod in pods if pod.phase == "Failed"], now)
    left = (ended_at - now).total_seconds() + PEER_WAIT_SECONDS
    return left if left > 0 else None


def _end_of(pod: Pod) -> tuple[bool, datetime, int]:
    return pod.finished_at is None, pod.finished_at or _NEVER, pod.index


def _lost(child: Child, reason: str, message: str) -> Cause:
    return Cause(FailureDigest(reason=reason, message=message, stage=child.stage), "infrastructure", False)


def resumed_step(pods: Sequence[Pod]) -> int | None:
    """Step of the checkpoint that an attempt went on from, as its pods say."""
    for pod in pods:
        result = result_of(pod)
        if result is not None and (step := _train_summary(result).resumed_from_step) is not None:
            return step
    return None


def _train_summary(result: WorkerResult) -> TrainSummary:
    """What a pod says of its training; nothing where it says something else, such as one that failed."""
    try:
        return summary_of(TrainSummary, result)
    except ValidationError:
        return TrainSummary()


def heard(attempt: Attempt, body: StageReport) -> dict[str, object]:
    """What a report tells of its attempt: the step it is at, where it began, and the last checkpoint it committed."""
    update: dict[str, object] = {"last_step": body.done}
    if (resumed := body.metrics.get(RESUMED_METRIC)) is not None:
        update["resumed_from_step"] = whole(resumed)
    elif attempt.number > 1 and attempt.last_step is None and "loss" not in body.metrics:
        # A trainer of another kind: before its first step it tells the step of the checkpoint that it goes on from.
        update["resumed_from_step"] = body.done or None
    if (checkpoint := body.checkpoint) is not None:
        update |= {"committed_step": checkpoint.step, "committed_at": checkpoint.committed_at}
    return update


def heard_late(attempt: Attempt, body: StageReport) -> Attempt:
    """The attempt, which is over, with a checkpoint that its last pod committed after the first one had ended it.

    Nothing else of such a report counts: a pod on a lost node may train on for hours, and commits nothing.
    """
    step, at = (heard(attempt, body).get(name) for name in ("committed_step", "committed_at"))
    if not isinstance(step, int) or step <= (attempt.committed_step or 0):
        return attempt
    last = max(attempt.last_step or 0, step)
    return attempt.replace(committed_step=step, committed_at=at, last_step=last)


def repeated(attempt: Attempt) -> str | None:
    """A sentence on the steps that the next attempt makes again; None when there are none."""
    saved = max(attempt.committed_step or 0, attempt.resumed_from_step or 0)
    if attempt.last_step is None or attempt.last_step <= saved:
        return None
    return f"its pods ended at step {attempt.last_step}, and the last checkpoint is of step {saved}"


def spent(attempts: Sequence[Attempt], earlier: EarlierAttempts | None, budget: Budget, generation: int) -> int:
    """How many attempts were charged to a budget since the spec was last edited; `earlier` are not listed any more."""
    listed = sum(1 for attempt in attempts if attempt.budget == budget and attempt.generation == generation)
    if earlier is None or earlier.generation != generation:
        return listed
    return listed + (earlier.infrastructure if budget == "infrastructure" else earlier.failure)


def backoff_seconds(attempts: Sequence[Attempt], base: float) -> float:
    """Wait before the next attempt: doubled for each failure in a row, none after a suspension.

    One that committed a checkpoint begins the row anew: where progress is made, haste does no harm.
    """
    in_a_row = 0
    for attempt in reversed(attempts):
        if attempt.state != "Failed":
            break
        in_a_row += 1
        if attempt.committed_step is not None:
            break
    return min(MAX_BACKOFF_SECONDS, base * 2.0 ** (in_a_row - 1)) if in_a_row else 0.0


def changed(attempts: Sequence[Attempt], attempt: Attempt) -> tuple[Attempt, ...]:
    """The attempts with one of them replaced, or added at the end."""
    others = [other for other in attempts if other.number != attempt.number]
    return tuple(sorted([*others, attempt], key=lambda other: other.number))


def ended(attempt: Attempt, cause: Cause, at: str) -> Attempt:
    """The attempt once it failed."""
    return attempt.replace(
        state="Failed",
        reason=cause.digest.reason,
        message=cause.digest.message[:256],
        budget=cause.budget,
        finished_at=at,
        resumed_from_step=attempt.resumed_from_step if cause.resumed_from_step is None else cause.resumed_from_step,
    )


def last_end(pods: Sequence[Pod], now: datetime) -> datetime:
    """When the last of the pods ended."""
    ends = [pod.finished_at for pod in pods if pod.finished_at]
    return max(ends) if ends else now
