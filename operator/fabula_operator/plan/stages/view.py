"""How one stage (of one arm) stands: the common value that the engine, the kinds and the lifecycle speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fabula_api.fine_tune_status import Attempt
from fabula_api.recipes import Stage
from fabula_api.status import ArtifactStatus, FailureDigest, StageStatus
from fabula_api.worker import WorkerResult
from fabula_operator.plan.actions import Action
from fabula_operator.plan.seen.api_objects import Child
from fabula_operator.plan.seen.observed import Report, Subject, Waiting
from fabula_operator.plan.stages.watchdog import Health
from fabula_operator.render.launch import Launch


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage of one arm, as observed."""

    stage: Stage
    arm: str | None
    status: StageStatus
    launch: Launch | None = None
    """To be created now, unless the run is suspended."""
    child: Child | None = None
    """The child at work on it."""
    reports: dict[int, Report] = field(default_factory=dict)
    """The child's last reports by shard."""
    ended: int = 0
    """Shards of it that are through."""
    result: WorkerResult | None = None
    """Set in the one plan that sees the stage finish."""
    failure: FailureDigest | None = None
    """It has failed for good."""
    waiting: Waiting | None = None
    """Why its pods do not run."""
    held: Waiting | None = None
    """What is to be said of pods that run, and nothing but which is left of them."""
    unexplained: Subject | None = None
    """Whose events would say why its pods do not run."""
    retrying: str | None = None
    """What its last failed pod said, while there is another try."""
    actions: tuple[Action, ...] = ()
    """Other actions it needs, such as the deletion of a failed attempt's leftovers."""
    attempts: tuple[Attempt, ...] | None = None
    """Starts of a group."""
    requeue_after: float | None = None
    """Seconds after which something may be to be done."""
    retell_after: float | None = None
    """Seconds after which there may be something new to tell, and nothing to do."""
    health: Health | None = None
    """How a group at work is, by its reports."""

    @property
    def done(self) -> bool:
        """Later stages may read its output."""
        return self.status.state in ("Succeeded", "Skipped")


def result_view(views: Sequence[StageView]) -> StageView:
    """The stage whose artifact is what the run makes: the last one that makes any, else the last one."""
    return next((view for view in reversed(views) if view.stage.makes), views[-1])


def succeeded_status(status: StageStatus, launch: Launch, result: WorkerResult, finished_at: str) -> StageStatus:
    """The status of a stage that finished, with its artifact where it has one."""
    artifact = None
    if result.artifact is not None:
        artifact = ArtifactStatus(uri=result.artifact.uri, digest=result.artifact.digest)
    elif launch.shape == "sharded":
        # A ledger folder has no manifest of its own: its key says what is in it.
        artifact = ArtifactStatus(uri=launch.output, digest=launch.key)
    return status.replace(
        state="Succeeded",
        artifact=artifact,
        reused=result.reused,
        digests=result.digests or None,
        finished_at=finished_at,
    )
