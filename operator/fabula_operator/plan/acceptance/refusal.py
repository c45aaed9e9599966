"""What is said of a spec: that it is refused and why, or accepted with what it is expected to need."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.fine_tune_blocks import Estimate
from fabula_api.recipes import Stage
from fabula_api.specs import Spec
from fabula_operator.plan.acceptance.preflight import Preflight


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run is refused."""

    reason: str
    message: str
    preflight: Preflight | None = None
    """The estimate, where that is why."""

    @property
    def estimate(self) -> Estimate | None:
        """As a status shows it."""
        return self.preflight.estimate if self.preflight else None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid spec and the stages that carry it out."""

    spec: Spec
    stages: tuple[Stage, ...]
    preflight: Preflight | None = None
    """What the run is expected to need."""

    @property
    def estimate(self) -> Estimate | None:
        """As a status shows it."""
        return self.preflight.estimate if self.preflight else None
