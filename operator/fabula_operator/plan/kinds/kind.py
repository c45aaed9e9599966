"""What the life of a run asks its kind: one definition for each, in a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from fabula_api.fine_tune_blocks import Estimate
from fabula_api.fine_tune_run import Attempt
from fabula_api.status import ArtifactStatus, FailureDigest, RunStatus
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.status.conditions import Told

SpecT = TypeVar("SpecT", contravariant=True)
StatusT = TypeVar("StatusT", bound=RunStatus)


class RunKind(Protocol[SpecT, StatusT]):
    """A kind of run. Pure, as all of planning is."""

    @property
    def condition_types(self) -> tuple[str, ...]:
        """Types of the conditions that it has beside those of every kind."""

    def conditions(
        self, spec: SpecT | None, status: StatusT, at_work: Sequence[StageView] | None
    ) -> Mapping[str, Told]:
        """Its own conditions; `spec` is None where it does not parse, `at_work` where nothing of the run is."""

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

    def made(self, status: StatusT) -> ArtifactStatus | None:
        """What other runs name it for."""

    def samples(self, status: StatusT) -> tuple[int | None, int | None]:
        """How many samples it made, and how many of them to train on; None where it says neither."""

    def attempts(self, status: StatusT) -> Sequence[Attempt]:
        """The attempts of its group of ranks; none for kinds without one."""

    def stopped(self, status: StatusT, failure: FailureDigest, finished_at: str) -> StatusT:
        """The status of a run that ends with a failure while something of it is at work."""

    def timed(self, status: StatusT) -> StatusT:
        """The status with how long each of its parts took."""


S = TypeVar("S")
T = TypeVar("T", bound=RunStatus)


class Plain(Generic[S, T]):
    """What a kind answers that has nothing to add."""

    condition_types: tuple[str, ...] = ()

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

    def made(self, status: T) -> ArtifactStatus | None:
        """Nothing that other runs name."""
        return None

    def samples(self, status: T) -> tuple[int | None, int | None]:
        """None."""
        return None, None

    def attempts(self, status: T) -> Sequence[Attempt]:
        """None: it has no group."""
        return ()

    def stopped(self, status: T, failure: FailureDigest, finished_at: str) -> T:
        """As it is."""
        return status

    def timed(self, status: T) -> T:
        """As it is."""
        return status
