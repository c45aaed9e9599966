"""What the life of a run asks its kind: one definition for each, in a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from fabula_api.bills import StageBill
from fabula_api.entries import Entry
from fabula_api.fine_tune_blocks import Estimate
from fabula_api.fine_tune_status import Attempt
from fabula_api.recipes import Stage
from fabula_api.status import ArtifactStatus, ConditionStatus, FailureDigest, RunStatus
from fabula_operator.plan.acceptance.preflight import Preflight
from fabula_operator.plan.acceptance.refusal import Refusal
from fabula_operator.plan.groups.group import Remembered
from fabula_operator.plan.kinds.needs import Needs, needs_of
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.status.conditions import Told
from fabula_operator.render.launch import Backend

SpecT = TypeVar("SpecT", contravariant=True)
StatusT = TypeVar("StatusT", bound=RunStatus)


class RunKind(Protocol[SpecT, StatusT]):
    """A kind of run. Pure, as all of planning is."""

    def dry_run(self, spec: SpecT) -> bool:
        """Whether the run only estimates."""

    def infeasible(self, spec: SpecT) -> Refusal | None:
        """The first field that the schema cannot judge, and what would do."""

    def expected(self, seen: Observed, spec: SpecT) -> Preflight | None:
        """What the run is expected to need; None where nothing is estimated."""

    def hopeless(self, seen: Observed, spec: SpecT, estimate: Preflight | None) -> Refusal | None:
        """Why the run cannot go well, by what it needs and by what is known of its inputs."""

    def takes_the_risk(self, spec: SpecT) -> bool:
        """Whether its author answers for it that it fits, so that it is not refused for its size."""

    def awaits(self, seen: Observed, spec: SpecT) -> Waiting | None:
        """What of a run that it names somebody has to mend first, as long as that one may still be edited."""

    def planned(self, spec: SpecT) -> str:
        """What an accepted run is told of what it will do; empty where there is nothing to say."""

    def backend(self, spec: SpecT, status: StatusT, pytorch_jobs: bool) -> tuple[Backend, str | None] | Waiting:
        """(kind of a group's child, sentence on why); the sentence is None for kinds without groups."""

    def needs(self, spec: SpecT, stage: Stage, entry: Entry | None) -> Needs:
        """What the pods of a stage need."""

    def told_by_silence(self, spec: SpecT) -> ConditionStatus:
        """Whether pods that run and say nothing for long have stalled: Unknown of programs that need not report."""

    def conditions(
        self, spec: SpecT | None, status: StatusT, at_work: Sequence[StageView] | None
    ) -> Mapping[str, Told]:
        """Its own conditions, which its status declares (`own_conditions`); `spec` is None where it does not parse,
        `at_work` where nothing of the run is."""

    def begin(self, status: StatusT, estimate: Estimate | None) -> StatusT:
        """The status that a look starts from, with what was estimated."""

    def fold(self, status: StatusT, spec: SpecT, views: Sequence[StageView], prices: Mapping[str, float]) -> StatusT:
        """The status with what the kind adds, from the newest reports and results; `prices` are for GPU hours."""

    def verdict(self, status: StatusT) -> FailureDigest | None:
        """Why a run whose stages all succeeded fails nevertheless."""

    def outcome(self, status: StatusT) -> str:
        """A sentence on what a successful run made."""

    def left(self, status: StatusT) -> Sequence[tuple[str, str]]:
        """What a successful run left undone, as (reason, what): nothing for most kinds."""

    def artifact(self, status: StatusT) -> ArtifactStatus | None:
        """What it made, and what other runs name it for."""

    def figure(self, status: StatusT) -> str | None:
        """How good what it makes is so far, for one cell; None where nothing tells."""

    def samples(self, status: StatusT) -> tuple[int | None, int | None]:
        """How many samples it made, and how many of them to train on; None where it says neither."""

    def bills(self, status: StatusT) -> Sequence[StageBill]:
        """What its stages have paid providers; nothing for kinds that pay none."""

    def attempts(self, status: StatusT) -> Sequence[Attempt]:
        """The attempts of its group of ranks; none for kinds without one."""

    def remembered(self, spec: SpecT, status: StatusT) -> Remembered | None:
        """What spec and status say of its group of ranks; None for kinds without one."""

    def stopped(self, status: StatusT, failure: FailureDigest, finished_at: str) -> StatusT:
        """The status of a run that ends with a failure while something of it is at work."""

    def timed(self, status: StatusT) -> StatusT:
        """The status with how long each of its parts took."""


S = TypeVar("S")
T = TypeVar("T", bound=RunStatus)


class Plain(Generic[S, T]):
    """What a kind answers that has nothing to add."""

    def dry_run(self, spec: S) -> bool:
        """No."""
        return False

    def infeasible(self, spec: S) -> Refusal | None:
        """None."""
        return None

    def expected(self, seen: Observed, spec: S) -> Preflight | None:
        """Nothing is estimated."""
        return None

    def hopeless(self, seen: Observed, spec: S, estimate: Preflight | None) -> Refusal | None:
        """None."""
        return None

    def takes_the_risk(self, spec: S) -> bool:
        """No."""
        return False

    def awaits(self, seen: Observed, spec: S) -> Waiting | None:
        """None."""
        return None

    def planned(self, spec: S) -> str:
        """Nothing."""
        return ""

    def backend(self, spec: S, status: T, pytorch_jobs: bool) -> tuple[Backend, str | None] | Waiting:
        """Jobs only."""
        return "Job", None

    def needs(self, spec: S, stage: Stage, entry: Entry | None) -> Needs:
        """What the recipe says."""
        return needs_of(stage, spec, entry)

    def told_by_silence(self, spec: S) -> ConditionStatus:
        """Our workers report."""
        return "True"

    def conditions(self, spec: S | None, status: T, at_work: Sequence[StageView] | None) -> Mapping[str, Told]:
        """None of its own."""
        return {}

    def begin(self, status: T, estimate: Estimate | None) -> T:
        """As it was: nothing is estimated."""
        return status

    def verdict(self, status: T) -> FailureDigest | None:
        """None: stages that succeeded are enough."""
        return None

    def left(self, status: T) -> Sequence[tuple[str, str]]:
        """Nothing."""
        return ()

    def figure(self, status: T) -> str | None:
        """Nothing tells."""
        return None

    def samples(self, status: T) -> tuple[int | None, int | None]:
        """None."""
        return None, None

    def bills(self, status: T) -> Sequence[StageBill]:
        """None: it pays nobody."""
        return ()

    def attempts(self, status: T) -> Sequence[Attempt]:
        """None: it has no group."""
        return ()

    def remembered(self, spec: S, status: T) -> Remembered | None:
        """None: it has no group."""
        return None

    def stopped(self, status: T, failure: FailureDigest, finished_at: str) -> T:
        """As it is."""
        return status

    def timed(self, status: T) -> T:
        """As it is."""
        return status
